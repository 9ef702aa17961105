package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Slate keeps one small record of a region, which whoever leads writes over again and again, and whoever leads next reads. Implementations are safe for
// concurrent use.
type Slate interface {
	// Read is what was written last; nil when nothing was.
	Read(ctx context.Context) ([]byte, error)
	// Write replaces the record. When it returns, the record is durable.
	Write(ctx context.Context, record []byte) error
}

// slateBytesMax bounds what all regions' records take together.
const slateBytesMax = 16 << 20

// StreamSlate is a Slate in JetStream: the last message of the region's subject.
type StreamSlate struct {
	name, all, subject string
	replicas           int
	conn               *nats.Conn
	js                 jetstream.JetStream
	// found: the stream is there. Who publishes without it is told at once only while nobody else listens to the subject.
	found atomic.Bool
}

// NewStreamSlate makes the slate of a cluster's region, with as many replicas as its KV has. Like a KV it does not wait for the server.
func NewStreamSlate(cfg KVConfig, region string, conn *nats.Conn) (*StreamSlate, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	all := "aimux.v1." + cfg.Cluster + ".told."
	return &StreamSlate{name: "AIMUX_TOLD_" + cfg.Cluster, all: all + "*", subject: all + region, replicas: cfg.Replicas, conn: conn, js: js}, nil
}

// Read implements Slate.
func (s *StreamSlate) Read(ctx context.Context) ([]byte, error) {
	stream, err := s.js.Stream(ctx, s.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the slate: %w", unavailable(err))
	}
	m, err := stream.GetLastMsgForSubject(ctx, s.subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the slate: %w", unavailable(err))
	}
	return m.Data, nil
}

// Write implements Slate.
func (s *StreamSlate) Write(ctx context.Context, record []byte) error {
	err := s.find(ctx)
	if err == nil {
		_, err = s.js.Publish(ctx, s.subject, record, jetstream.WithExpectStream(s.name))
	}
	if err != nil {
		s.found.Store(false)
		return fmt.Errorf("writing the slate: %w", unavailable(err))
	}
	return nil
}

// find makes the stream if it is not there.
func (s *StreamSlate) find(ctx context.Context) error {
	if s.found.Load() {
		return nil
	}
	_, err := s.js.Stream(ctx, s.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = s.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: s.name, Description: "aimux: what webhooks are owed", Subjects: []string{s.all}, Storage: jetstream.FileStorage,
			Replicas: replicasOn(s.conn, s.replicas), MaxMsgsPerSubject: 1, MaxBytes: slateBytesMax, Discard: jetstream.DiscardOld,
		})
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		err = nil // another replica was quicker
	}
	s.found.Store(err == nil)
	return err
}

// MemorySlate is a Slate in the process, for tests.
type MemorySlate struct {
	mu     sync.Mutex
	record []byte // guarded by mu
}

// Read implements Slate.
func (s *MemorySlate) Read(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record, nil
}

// Write implements Slate.
func (s *MemorySlate) Write(_ context.Context, record []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = bytes.Clone(record)
	return nil
}
