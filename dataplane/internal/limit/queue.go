package limit

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Wish is how somebody waits for room.
type Wish struct {
	// Lane names those who wait for the same: where its first gets nothing, nobody behind it would.
	Lane string
	// Priority: higher ones go first; among equals callers take turns, and each one's go in the order in which they came.
	Priority int
	Caller   string
	// Longest is how long to wait; Depth how many may wait at this node, this one included.
	Longest time.Duration
	Depth   int
	// Try takes what is wanted, if it can. It is called by one goroutine at a time, and not after Wait has returned.
	Try func() bool
}

// queue is those who wait for room at this node. One goroutine tries for them, in their order, whenever something may have become free.
type queue struct {
	kick    chan struct{}
	waiting atomic.Int32

	mu   sync.Mutex
	line []*waiter // by priority, then by turn, then by arrival; guarded by mu
	// turn is that of who was served last: whoever comes now begins behind it. guarded by mu
	turn uint64

	served, expired, shed, left atomic.Uint64
	waitedNs                    atomic.Int64
}

type waiter struct {
	Wish
	turn uint64 // one more than that of the caller's one before; set by join
	mu   sync.Mutex
	gone bool // guarded by mu
	// got is closed when Try has succeeded.
	got chan struct{}
}

// QueueState is how many wait, and what became of those who waited.
type QueueState struct {
	Waiting int    `json:"waiting"`
	Served  uint64 `json:"served"`
	// Expired waited in vain; Shed found too many before them; Left went away themselves.
	Expired uint64 `json:"expired"`
	Shed    uint64 `json:"shed"`
	Left    uint64 `json:"left"`
	// Waited is the time of all together.
	Waited time.Duration `json:"waited_ns"`
}

// QueueState may be read at any time.
func (l *Limiter) QueueState() QueueState {
	q := &l.queue
	return QueueState{
		Waiting: int(q.waiting.Load()), Served: q.served.Load(), Expired: q.expired.Load(), Shed: q.shed.Load(), Left: q.left.Load(),
		Waited: time.Duration(q.waitedNs.Load()),
	}
}

// Wait waits in turn with everybody else until w.Try has succeeded, and reports that it has. It is the one method that waits: not for
// the source, but for what others give back or the source brings.
func (l *Limiter) Wait(ctx context.Context, w Wish) bool {
	q := &l.queue
	one := &waiter{Wish: w, got: make(chan struct{})}
	if w.Longest <= 0 || !q.join(one) {
		q.shed.Add(1)
		return false
	}
	began := time.Now()
	patience := time.NewTimer(w.Longest)
	defer patience.Stop()
	q.poke() // what became free before this one had joined
	l.wake()
	end := &q.served
	select {
	case <-one.got:
	case <-patience.C:
		end = &q.expired
	case <-ctx.Done():
		end = &q.left
	}
	ok := q.quit(one)
	if ok {
		end = &q.served
	}
	end.Add(1)
	q.waitedNs.Add(int64(time.Since(began)))
	return ok
}

func (q *queue) join(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.line) >= w.Depth {
		return false
	}
	w.turn = q.turn + 1
	for _, one := range q.line {
		if one.Caller == w.Caller && one.Priority == w.Priority {
			w.turn = max(w.turn, one.turn+1)
		}
	}
	i := len(q.line)
	for i > 0 && (q.line[i-1].Priority < w.Priority || q.line[i-1].Priority == w.Priority && q.line[i-1].turn > w.turn) {
		i--
	}
	q.line = append(q.line, nil)
	copy(q.line[i+1:], q.line[i:])
	q.line[i] = w
	q.waiting.Store(int32(len(q.line)))
	return true
}

// quit takes the waiter out; ok is true when it has got what it wanted.
func (q *queue) quit(w *waiter) (ok bool) {
	w.mu.Lock()
	w.gone = true
	select {
	case <-w.got:
		ok = true
	default:
	}
	w.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, one := range q.line {
		if one == w {
			q.line = append(q.line[:i], q.line[i+1:]...)
			if ok {
				q.turn = max(q.turn, w.turn)
			}
			break
		}
	}
	q.waiting.Store(int32(len(q.line)))
	return ok
}

// poke says that something may have become free. It costs one load while nobody waits.
func (q *queue) poke() {
	if q.waiting.Load() == 0 {
		return
	}
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// run tries for everybody, in turn, until ctx ends.
func (q *queue) run(ctx context.Context) {
	full := make(map[string]bool) // :: lane → its first got nothing
	var line []*waiter
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.kick:
		}
		clear(full)
		q.mu.Lock()
		line = append(line[:0], q.line...)
		q.mu.Unlock()
		for _, w := range line {
			if !full[w.Lane] && !w.try() {
				full[w.Lane] = true
			}
		}
		clear(line)
	}
}

// try reports that the waiter wants nothing any more.
func (w *waiter) try() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return true
	}
	select {
	case <-w.got:
		return true // it has got it, and has not left yet
	default:
	}
	if !w.Try() {
		return false
	}
	close(w.got)
	return true
}
