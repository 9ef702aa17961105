// Package report carries what a node saw to the control plane, without anybody waiting for it: outcomes, heartbeats, suspicions.
package report

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/clock"
	"github.com/aimux/aimux/shared/outcome"
)

// Bus is where everything goes. Its methods may block; they are called from the Reporter's one goroutine.
type Bus interface {
	SendOutcomes(m *outcomev1.Batch) error
	SendHeartbeat(m *tablev1.Heartbeat) error
	SendSuspect(m *tablev1.Suspect) error
}

// Config holds a Reporter's bounds. A zero field takes the default named beside it.
type Config struct {
	// Node is the name under which the records are told.
	Node string
	// Boot identifies this start of the node's process; milliseconds since 1970.
	Boot uint64
	// RecordsMax wait to be sent; the oldest is dropped for the next, 8192.
	RecordsMax int
	// BatchRecordsMax travel in one batch, 512.
	BatchRecordsMax int
}

// Deps is what a Reporter needs of its owner.
type Deps struct {
	// Bus may be nil: then everything is counted as dropped.
	Bus    Bus
	Ledger *outcome.Ledger
	// Heartbeat says how the node is.
	Heartbeat func() *tablev1.Heartbeat
	// Clock is the node's; zero is the wall clock.
	Clock clock.Steady
	Log   *slog.Logger
}

// The rhythm. Ordinary batches are spread so that nodes do not speak in step. The first failure goes at once; those that follow it wait just long
// enough to go together, but for the one that opens a circuit.
const (
	batchEvery     = 50 * time.Millisecond
	batchSpread    = 50 * time.Millisecond
	urgentEvery    = 5 * time.Millisecond
	heartbeatEvery = time.Second
	// wholeEvery is how often all counters are sent and not only what changed, because batches may be lost.
	wholeEvery  = time.Second
	suspectsMax = 64
)

// Reporter collects and sends. Record, Urgent, Tripped, Suspect and Beat may be called from any goroutine and never wait.
type Reporter struct {
	config Config
	deps   Deps

	mu      sync.Mutex
	ring    []*outcome.Record // guarded by mu; a ring from first
	first   int               // guarded by mu
	pending int               // guarded by mu

	urgent   chan struct{}
	tripped  chan struct{}
	beat     chan struct{}
	suspects chan *tablev1.Suspect

	dropped, unsent, sent, lost atomic.Uint64

	// The rest belongs to Run.
	seq     uint64
	whole   time.Time // when all counters were last sent
	hurried time.Time // when an urgent batch was last sent
}

// New makes a Reporter; Run makes it speak.
func New(config Config, deps Deps) *Reporter {
	if config.RecordsMax <= 0 {
		config.RecordsMax = 8192
	}
	if config.BatchRecordsMax <= 0 {
		config.BatchRecordsMax = 512
	}
	return &Reporter{
		config: config, deps: deps,
		urgent: make(chan struct{}, 1), tripped: make(chan struct{}, 1), beat: make(chan struct{}, 1), suspects: make(chan *tablev1.Suspect, suspectsMax),
	}
}

// Record takes a request that has ended; the record belongs to the Reporter from now on.
func (r *Reporter) Record(rec *outcome.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < r.config.RecordsMax && r.pending == len(r.ring) {
		r.unroll()
		r.ring = append(r.ring, rec)
		r.pending++
		return
	}
	if r.pending == len(r.ring) { // full: the oldest makes room
		r.ring[r.first] = rec
		r.first = (r.first + 1) % len(r.ring)
		r.dropped.Add(1)
		return
	}
	r.ring[(r.first+r.pending)%len(r.ring)] = rec
	r.pending++
}

// unroll moves the ring's beginning to index 0, so that it can grow.
func (r *Reporter) unroll() {
	if r.first != 0 {
		r.ring = append(append([]*outcome.Record(nil), r.ring[r.first:]...), r.ring[:r.first]...)
		r.first = 0
	}
}

// Urgent asks for a batch within 5 ms: a hard failure, a probe's answer.
func (r *Reporter) Urgent() { poke(r.urgent) }

// Tripped asks for a batch at once: a circuit of this node changed.
func (r *Reporter) Tripped() { poke(r.tripped) }

// Beat asks for a heartbeat at once: a table was applied or refused.
func (r *Reporter) Beat() { poke(r.beat) }

// Suspect tells the node's peers of a circuit that it opened by itself.
func (r *Reporter) Suspect(s *tablev1.Suspect) {
	select {
	case r.suspects <- s:
	default:
		r.lost.Add(1)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Stats are counters since the node's start: records dropped for lack of room, batches sent and not sent, suspicions lost.
type Stats struct{ RecordsDropped, BatchesSent, BatchesUnsent, SuspectsLost uint64 }

// Stats may be called at any time.
func (r *Reporter) Stats() Stats {
	return Stats{r.dropped.Load(), r.sent.Load(), r.unsent.Load(), r.lost.Load()}
}

// Run speaks until ctx ends, and once more then.
func (r *Reporter) Run(ctx context.Context) {
	if r.deps.Bus == nil {
		<-ctx.Done()
		return
	}
	batch := time.NewTimer(spread())
	defer batch.Stop()
	hearts := time.NewTicker(heartbeatEvery)
	defer hearts.Stop()
	r.heartbeat()
	for {
		select {
		case <-ctx.Done():
			r.batch(false)
			r.heartbeat()
			return
		case <-batch.C:
			r.batch(false)
			batch.Reset(spread())
		case <-r.urgent:
			r.gather(ctx)
			r.hurry()
			batch.Reset(spread())
		case <-r.tripped:
			r.hurry()
			batch.Reset(spread())
		case s := <-r.suspects:
			r.send("suspicion", func() error { return r.deps.Bus.SendSuspect(s) })
		case <-r.beat:
			r.heartbeat()
		case <-hearts.C:
			r.heartbeat()
		}
	}
}

func spread() time.Duration { return batchEvery + rand.N(batchSpread) }

// gather waits until the next urgent batch may go, or must because a circuit has changed or the end has come.
func (r *Reporter) gather(ctx context.Context) {
	wait := urgentEvery - time.Since(r.hurried)
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-r.tripped:
	case <-t.C:
	}
}

// hurry sends an urgent batch, which answers all who have asked for one until now.
func (r *Reporter) hurry() {
	for _, asked := range []chan struct{}{r.urgent, r.tripped} {
		select {
		case <-asked:
		default:
		}
	}
	r.batch(true)
	r.hurried = time.Now()
}

func (r *Reporter) heartbeat() {
	r.send("heartbeat", func() error { return r.deps.Bus.SendHeartbeat(r.deps.Heartbeat()) })
}

// batch sends what has changed; nothing when nothing has.
func (r *Reporter) batch(urgent bool) {
	now := time.Now()
	all := now.Sub(r.whole) >= wholeEvery
	records := r.take()
	counters := r.deps.Ledger.Snapshot(nil, all)
	if len(counters) == 0 && len(records) == 0 && !urgent {
		return
	}
	r.seq++
	m := &outcomev1.Batch{
		Boot: r.config.Boot, Seq: r.seq, SentUnixMs: r.deps.Clock.Ms(now), Targets: counters, RecordsDropped: r.dropped.Load(), Urgent: urgent,
	}
	for _, rec := range records {
		m.Records = append(m.Records, rec.Wire(r.config.Node))
	}
	if r.send("batch", func() error { return r.deps.Bus.SendOutcomes(m) }) {
		r.sent.Add(1)
		if all {
			r.whole = now
		}
		return
	}
	// The counters are cumulative and go again, all of them, with the next batch; the records are gone and counted.
	r.unsent.Add(1)
	r.dropped.Add(uint64(len(records)))
	r.whole = time.Time{}
}

// take removes the oldest records, as many as travel in one batch.
func (r *Reporter) take() []*outcome.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(r.pending, r.config.BatchRecordsMax)
	taken := make([]*outcome.Record, n)
	for i := range n {
		at := (r.first + i) % len(r.ring)
		taken[i], r.ring[at] = r.ring[at], nil
	}
	if n > 0 {
		r.first = (r.first + n) % len(r.ring)
		r.pending -= n
	}
	return taken
}

func (r *Reporter) send(what string, send func() error) bool {
	err := send()
	// A bus that is down says so itself, once; every message that does not leave would say it again.
	if err != nil && !errors.Is(err, bus.ErrDown) && !errors.Is(err, bus.ErrClosed) {
		r.deps.Log.Warn("not reported", "what", what, "error", err)
	}
	return err == nil
}
