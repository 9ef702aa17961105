package controlplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/controlplane/internal/store"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// archivist brings every write's entry from the document, where it is born together with the write, to the archive, where there is room.
// All replicas do; the archive takes each number once.
type archivist struct {
	archive  store.Archive
	board    *board
	log      *slog.Logger
	troubles *troubles
	// reached is how far the archive is known to have come; the keeper drops no entry behind it.
	reached atomic.Uint64
}

// archiveRetry is how long to wait after a failure.
const archiveRetry = time.Second

// run archives what is new in each view until ctx ends.
func (a *archivist) run(ctx context.Context) {
	for ctx.Err() == nil {
		view, changed := a.board.View()
		if newest := view.Document.GetAudit(); len(newest) > 0 && newest[len(newest)-1].GetNumber() > a.reached.Load() {
			if err := a.catchUp(ctx, newest); err != nil {
				a.log.Warn("the audit archive is behind; entries stay in the catalog until it is not", "error", err)
				a.troubles.set("audit", err.Error())
				changed = nil
			} else {
				a.troubles.set("audit", "")
			}
		}
		var again <-chan time.Time
		if changed == nil {
			again = time.After(archiveRetry)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
		}
	}
}

// catchUp appends the entries that the archive does not have.
func (a *archivist) catchUp(ctx context.Context, entries []*adminv1.AuditEntry) error {
	last, err := a.archive.Last(ctx)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		number := entry.GetNumber()
		switch {
		case number <= last:
			continue
		case last != 0 && number > last+1:
			return fmt.Errorf("the audit archive ends with entry %d, the catalog's begin with %d: what was between them is lost", last, number)
		}
		record, err := proto.Marshal(entry)
		if err != nil {
			return fmt.Errorf("encoding audit entry %d: %w", number, err)
		}
		if err := a.archive.Append(ctx, number, record); err != nil && !errors.Is(err, store.ErrStale) {
			return err
		}
		last = number // stale: another replica was quicker
	}
	a.reached.Store(last)
	return nil
}

// read is admin.Deps.Archive.
func (a *archivist) read(ctx context.Context, after uint64, limit int) ([]*adminv1.AuditEntry, error) {
	records, err := a.archive.Read(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	entries := make([]*adminv1.AuditEntry, len(records))
	for i, record := range records {
		entries[i] = &adminv1.AuditEntry{}
		if err := proto.Unmarshal(record, entries[i]); err != nil {
			return nil, fmt.Errorf("entry %d of %d behind %d of the audit archive does not decode: %w", i+1, len(records), after, err)
		}
	}
	return entries, nil
}
