package store

import (
	"context"
	"errors"
	"slices"
	"sync"
)

var (
	// ErrStale means that the catalog has another revision than the one that the save was based on.
	ErrStale = errors.New("the catalog has changed since that revision")
	// ErrUnavailable means that the store cannot be reached now. A save that fails with it may have happened.
	ErrUnavailable = errors.New("the catalog's store cannot be reached")
	// ErrTooLarge means that the store does not take that many bytes, or the bus not those of what nodes get of it.
	ErrTooLarge = errors.New("the catalog is too large")
)

// Snapshot is the catalog at one revision. The zero value means that nothing has been saved yet.
type Snapshot struct {
	Revision uint64
	// Body is read only.
	Body []byte
}

// Store keeps one catalog. Implementations are safe for concurrent use and pass storetest.Run.
type Store interface {
	// Load returns what was saved last; the zero Snapshot when nothing was. A Load that begins after a Save has returned,
	// on any replica, sees that save or a later one.
	Load(ctx context.Context) (Snapshot, error)
	// Save replaces the catalog if its revision still is based, 0 meaning that nothing was saved; else it fails with
	// ErrStale. When it returns, the save is durable.
	Save(ctx context.Context, body []byte, based uint64) (revision uint64, err error)
	// Watch calls handle with what was saved last and then with every later save that it hears of, revisions strictly
	// growing, in-between ones possibly left out. It returns when ctx ends, after handle has returned for the last time.
	Watch(ctx context.Context, handle func(Snapshot))
}

// latest is the newest snapshot known, and wakes those who wait for a newer one.
type latest struct {
	mu       sync.Mutex // protects below
	snapshot Snapshot
	changed  chan struct{} // closed and replaced at each change
}

func newLatest() *latest { return &latest{changed: make(chan struct{})} }

// now returns the snapshot and what is closed at the next change.
func (l *latest) now() (Snapshot, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.snapshot, l.changed
}

// learn takes s if it is newer.
func (l *latest) learn(s Snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set(s)
}

func (l *latest) set(s Snapshot) {
	if s.Revision <= l.snapshot.Revision {
		return
	}
	l.snapshot = s
	close(l.changed)
	l.changed = make(chan struct{})
}

// watch is Store.Watch.
func (l *latest) watch(ctx context.Context, handle func(Snapshot)) {
	for seen := uint64(0); ctx.Err() == nil; {
		s, changed := l.now()
		if s.Revision > seen {
			seen = s.Revision
			handle(s)
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// Memory is a Store in the process, for tests and for synctest bubbles, in which JetStream does not work.
type Memory struct{ latest *latest }

// NewMemory makes an empty one.
func NewMemory() *Memory { return &Memory{newLatest()} }

// Load implements Store.
func (m *Memory) Load(context.Context) (Snapshot, error) {
	s, _ := m.latest.now()
	return s, nil
}

// Save implements Store.
func (m *Memory) Save(_ context.Context, body []byte, based uint64) (uint64, error) {
	m.latest.mu.Lock()
	defer m.latest.mu.Unlock()
	if based != m.latest.snapshot.Revision {
		return 0, ErrStale
	}
	m.latest.set(Snapshot{Revision: based + 1, Body: slices.Clone(body)})
	return based + 1, nil
}

// Watch implements Store.
func (m *Memory) Watch(ctx context.Context, handle func(Snapshot)) { m.latest.watch(ctx, handle) }
