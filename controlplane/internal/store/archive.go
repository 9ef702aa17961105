package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Archive keeps records that are numbered without gaps, and drops the oldest when it is full. Implementations are safe for concurrent use
// and pass storetest.RunArchive.
type Archive interface {
	// Last is the number of the newest record; 0 when there is none.
	Last(ctx context.Context) (uint64, error)
	// Append keeps a record under its number, which must be the one behind the last; an empty archive begins with any. Else it fails with
	// ErrStale. When it returns, the record is durable.
	Append(ctx context.Context, number uint64, record []byte) error
	// Read lists up to limit records behind that number, oldest first.
	Read(ctx context.Context, after uint64, limit int) ([][]byte, error)
}

// The bounds of an archive.
const (
	archiveRecordsMax = 100_000
	archiveBytesMax   = 64 << 20
)

// StreamArchive is an Archive in JetStream: a stream in which the sequence is the number.
type StreamArchive struct {
	name, subject string
	replicas      int
	conn          *nats.Conn
	js            jetstream.JetStream
	// found: the stream is there. Who publishes without it is told at once only while nobody else listens to the subject.
	found atomic.Bool
}

// NewStreamArchive makes the archive of a cluster, with as many replicas as its KV has. Like a KV it does not wait for the server.
func NewStreamArchive(cfg KVConfig, conn *nats.Conn) (*StreamArchive, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return &StreamArchive{
		name: "AIMUX_AUDIT_" + cfg.Cluster, subject: "aimux.v1." + cfg.Cluster + ".audit", replicas: cfg.Replicas, conn: conn, js: js,
	}, nil
}

// Last implements Archive.
func (a *StreamArchive) Last(ctx context.Context) (uint64, error) {
	state, err := a.state(ctx)
	if err != nil {
		return 0, fmt.Errorf("asking for the end of the archive: %w", err)
	}
	return state.LastSeq, nil
}

// state is zero for a stream that is not there.
func (a *StreamArchive) state(ctx context.Context) (jetstream.StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stream, err := a.js.Stream(ctx, a.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return jetstream.StreamState{}, nil
	}
	if err != nil {
		return jetstream.StreamState{}, unavailable(err)
	}
	return stream.CachedInfo().State, nil
}

// Append implements Archive.
func (a *StreamArchive) Append(ctx context.Context, number uint64, record []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if !a.found.Load() {
		_, err := a.js.Stream(ctx, a.name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			err = a.create(ctx, number)
		}
		if err != nil {
			return fmt.Errorf("appending to the archive: %w", unavailable(err))
		}
		a.found.Store(true)
	}
	ack, err := a.append(ctx, number, record)
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		if err = a.create(ctx, number); err == nil {
			ack, err = a.append(ctx, number, record)
		}
	}
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == staleOnReplicas):
		return ErrStale
	case err != nil:
		a.found.Store(false)
		return fmt.Errorf("appending to the archive: %w", unavailable(err))
	case ack.Sequence != number:
		return fmt.Errorf("record %d stands in the archive as %d", number, ack.Sequence)
	}
	return nil
}

func (a *StreamArchive) append(ctx context.Context, number uint64, record []byte) (*jetstream.PubAck, error) {
	return a.js.Publish(ctx, a.subject, record, jetstream.WithExpectStream(a.name), jetstream.WithExpectLastSequence(number-1))
}

// create makes the stream so that its first message has that number. Nobody may delete from it or empty it but by removing it whole.
func (a *StreamArchive) create(ctx context.Context, first uint64) error {
	_, err := a.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: a.name, Description: "aimux: who changed what", Subjects: []string{a.subject}, Storage: jetstream.FileStorage,
		Replicas: replicasOn(a.conn, a.replicas), MaxMsgs: archiveRecordsMax, MaxBytes: archiveBytesMax, Discard: jetstream.DiscardOld,
		DenyDelete: true, DenyPurge: true, FirstSeq: first,
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil // another replica was quicker
	}
	return err
}

// Read implements Archive.
func (a *StreamArchive) Read(ctx context.Context, after uint64, limit int) ([][]byte, error) {
	state, err := a.state(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	if state.Msgs == 0 {
		return nil, nil
	}
	stream, err := a.js.Stream(ctx, a.name)
	if err != nil {
		return nil, fmt.Errorf("reading the archive: %w", unavailable(err))
	}
	var records [][]byte
	for number := max(after+1, state.FirstSeq); number <= state.LastSeq && len(records) < limit; number++ {
		m, err := stream.GetMsg(ctx, number)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			continue // it was dropped a moment ago, or somebody took it out: then the chain will say so
		case err != nil:
			return nil, fmt.Errorf("reading record %d of the archive: %w", number, unavailable(err))
		}
		records = append(records, m.Data)
	}
	return records, nil
}

// replicasOn is how many replicas a stream has: as asked for, else as many as the server's cluster can bear.
func replicasOn(conn *nats.Conn, asked int) int {
	switch {
	case asked != 0:
		return asked
	case conn.ConnectedClusterName() != "":
		return 3
	default:
		return 1
	}
}

// MemoryArchive is an Archive in the process, for tests.
type MemoryArchive struct {
	mu      sync.Mutex // protects below
	first   uint64
	records [][]byte
}

// Last implements Archive.
func (a *MemoryArchive) Last(context.Context) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.first + uint64(len(a.records)) - min(1, a.first), nil
}

// Append implements Archive.
func (a *MemoryArchive) Append(_ context.Context, number uint64, record []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case len(a.records) == 0:
		a.first = number
	case number != a.first+uint64(len(a.records)):
		return ErrStale
	}
	a.records = append(a.records, bytes.Clone(record))
	return nil
}

// Read implements Archive.
func (a *MemoryArchive) Read(_ context.Context, after uint64, limit int) ([][]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.records) == 0 {
		return nil, nil
	}
	from := min(max(after+1, a.first)-a.first, uint64(len(a.records)))
	return slices.Clone(a.records[from:min(from+uint64(limit), uint64(len(a.records)))]), nil
}
