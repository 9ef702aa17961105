package controlplane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/controlplane/internal/admin"
	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/controlplane/internal/store"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// savesMax is how often a change is repeated on a newer document, when others save at the same time.
const savesMax = 16

// overridesKept is how long an override that has ended stays in the document: longer than the clocks of replicas may be apart, or who writes with a
// clock that is ahead would end what is in force.
const overridesKept = 24 * time.Hour

// errNothing ends a change that turned out to change nothing.
var errNothing = errors.New("nothing to change")

// keeper is the one way to the stored document, for the admin API and for the file. Safe for concurrent use.
type keeper struct {
	id    string
	store store.Store
	env   catalog.Env
	board *board
	docs  documents
	// archived is how far the audit archive has come.
	archived func() uint64
	// turn lets one change of this replica happen at a time; several would only defeat each other.
	turn chan struct{}
	// tableMax is how large nodes' tables may be, in bytes; nil means as large as they are.
	tableMax func() (config, health int)
}

func newKeeper(id string, s store.Store, env catalog.Env, b *board, docs documents, archived func() uint64) *keeper {
	return &keeper{id: id, store: s, env: env, board: b, docs: docs, archived: archived, turn: make(chan struct{}, 1)}
}

// write is admin.Deps.Write.
func (k *keeper) write(ctx context.Context, by admin.Author, based uint64, change func(*adminv1.Document) error) (uint64, error) {
	revision, err := k.change(ctx, by, based, func(doc *adminv1.Document, _ uint64) error { return change(doc) })
	if err != nil {
		return 0, err
	}
	for {
		view, changed := k.board.View()
		if view.Revision >= revision {
			return revision, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, fmt.Errorf("saved as revision %d, which is not in force here yet: %w", revision, ctx.Err())
		}
	}
}

// change applies to the newest document, whose revision must be based unless that is 0, and saves the result in the name of by. It fails with
// catalog.Problems for a result that is not valid, with store.ErrStale, or with what change fails with.
func (k *keeper) change(ctx context.Context, by admin.Author, based uint64, change func(doc *adminv1.Document, revision uint64) error) (uint64, error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	for range savesMax {
		current, err := k.store.Load(ctx)
		if err != nil {
			return 0, err
		}
		if based != 0 && based != current.Revision {
			return 0, store.ErrStale
		}
		body, err := k.edit(current, by, change)
		if err != nil {
			return 0, err
		}
		revision, err := k.store.Save(ctx, body, current.Revision)
		if !errors.Is(err, store.ErrStale) || based != 0 {
			return revision, err
		}
		select {
		case <-time.After(rand.N(10 * time.Millisecond)):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return 0, fmt.Errorf("%d times in a row somebody else saved first: %w", savesMax, store.ErrUnavailable)
}

// edit makes the next body of a snapshot: changed, valid, sealed, and entered in the audit log.
func (k *keeper) edit(current store.Snapshot, by admin.Author, change func(*adminv1.Document, uint64) error) ([]byte, error) {
	doc, err := k.docs.decode(current)
	if err != nil {
		return nil, err
	}
	before := proto.CloneOf(doc)
	if err := change(doc, current.Revision); err != nil {
		return nil, err
	}
	if problems := catalog.Validate(doc.GetCatalog()); len(problems) > 0 {
		return nil, catalog.Problems(problems)
	}
	sealed, problems := catalog.SealLiterals(doc.GetCatalog(), k.env.Key, k.env.Nonce)
	if len(problems) > 0 {
		return nil, catalog.Problems(problems)
	}
	now := time.Now()
	maps.DeleteFunc(doc.GetOverrides(), func(_ string, o *tablev1.Override) bool {
		return o.GetExpiresUnixMs() != 0 && o.GetExpiresUnixMs() < now.Add(-overridesKept).UnixMilli()
	})
	doc.Catalog, doc.Writer, doc.SavedUnixMs = sealed, k.id, now.UnixMilli()
	if err := k.fits(doc, before, current.Revision+1); err != nil {
		return nil, err
	}
	if err := enter(doc, before, by, k.id, current.Revision, k.archived(), now); err != nil {
		return nil, err
	}
	return k.docs.encode(doc)
}

// compile resolves a document into what nodes route by.
func compile(doc *adminv1.Document, revision uint64, env catalog.Env) *tablev1.Config {
	config := catalog.Compile(doc.GetCatalog(), revision, env)
	for _, p := range config.GetProviders() {
		p.Override = doc.GetOverrides()[p.GetId()]
	}
	config.ContentHash = catalog.Hash(config)
	return config
}
