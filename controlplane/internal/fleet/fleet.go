package fleet

import (
	"fmt"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/clock"
	"github.com/aimux/aimux/shared/outcome"
)

// Config is the fleet's settings. Zero fields take the default.
type Config struct {
	// Region is where this control plane stands: it judges by what the nodes of its region see, and for them.
	Region string
	// Seed decides the jitter of all waits. Replicas may have the same.
	Seed uint64
	// NodesMax and TargetsMax bound the memory; defaults 4096, and 16384 as in a node: models times their keys. What is beyond is dropped and counted.
	NodesMax, TargetsMax int
	// Silence after which a node counts as dead; default 3 s. Forget is when it is forgotten altogether; default 10 min.
	Silence, Forget time.Duration
	// Learning is how long after a cold start nothing is closed or raised; default 3 s.
	Learning time.Duration
	// PanicShare of a route's capacity is the most that health may take away; default 0.34.
	PanicShare float64
	// TransitionsMax is how many transitions are remembered; default 1000.
	TransitionsMax int
}

func (c Config) filled() Config {
	orDefault(&c.NodesMax, 4096)
	orDefault(&c.TargetsMax, 16384)
	orDefault(&c.Silence, 3*time.Second)
	orDefault(&c.Forget, 10*time.Minute)
	orDefault(&c.Learning, 3*time.Second)
	orDefault(&c.PanicShare, 0.34)
	orDefault(&c.TransitionsMax, 1000)
	return c
}

func orDefault[T int | float64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Fleet is the whole state. It has one owner and is not for concurrent use.
//
// Its time is what its methods are given as now: a clock that nobody sets. What other parties say of moments is by clocks of their own, and is moved
// as it comes in.
type Fleet struct {
	config Config
	pool   *outcome.Pool

	// What was asked for.
	revision uint64
	units    map[key]*unit // :: who → their circuit and figures
	order    []*unit       // the same: each provider before its models, those before its credentials
	routes   []*route

	// What was heard.
	nodes   map[string]*node   // :: name → what is known of it; of this region
	regions map[string]*region // :: name → what is known of the other regions
	links   []link             // :: target ID of the pool → the units it concerns; emptied when the catalog changes
	pooled  []opinion          // :: target ID → how all nodes together see it

	// Where this replica stands.
	leading                    bool
	followedEpoch, followedSeq uint64
	skew                       clock.Skew    // how far its time is ahead of the leader's
	ahead                      time.Duration // how far the wall clock is ahead of its time
	learnUntil                 int64         // ms; nothing closes or rises before
	quietUntil                 int64         // ms; no probe is granted before, for the last leader's may still be out
	sweptAt                    int64         // ms
	leases                     uint64
	transitions                []*tablev1.Transition
	saved                      map[key]savedUnit // from a snapshot, for units that nobody has asked for yet
	refused                    uint64            // nodes and regions beyond the limit, messages without a node
	late                       uint64            // batches of processes that are not the latest of their name
	scratch                    outcome.Sketch

	// What this region takes of the limits that are no target's, in ppm; moved says that the parts are to be computed anew, tell that the other
	// regions should hear of something at once.
	share       uint32
	moved, tell bool
	claims      []claim // scratch
}

// Decision is what a Step decided.
type Decision struct {
	// Health is the whole view, without a header. Each Step builds it anew, and it is the caller's.
	Health *tablev1.Health
	// Transitions are the changes of this Step alone; the caller must not change them.
	Transitions []*tablev1.Transition
	// Changed says that nodes should hear of it now rather than with the next heartbeat: a state, a grant or an outlier changed.
	Changed bool
	// Shifted says that a weight changed by a lot: nodes should hear of it soon.
	Shifted bool
	// Tell says that the other regions should get a Digest now rather than within the second.
	Tell bool
}

// New makes a fleet that knows nothing, and learns for a while before it raises or closes anything.
func New(c Config, now time.Time) *Fleet {
	c = c.filled()
	return &Fleet{
		config:     c,
		pool:       outcome.NewPool(outcome.Limits{Nodes: c.NodesMax, Targets: c.TargetsMax}),
		units:      map[key]*unit{},
		nodes:      map[string]*node{},
		regions:    map[string]*region{},
		share:      ppm,
		saved:      map[key]savedUnit{},
		learnUntil: now.Add(c.Learning).UnixMilli(),
	}
}

// WallAhead says how far the wall clock is ahead of the fleet's time, for the moments that people read.
func (f *Fleet) WallAhead(d time.Duration) { f.ahead = d }

// Step judges, if leading, and returns the view. Call it on every tick (50 to 100 ms), and at once when Observe says so.
func (f *Fleet) Step(now time.Time, leading bool) Decision {
	nowMS := now.UnixMilli()
	if leading && !f.leading {
		f.quietUntil = nowMS + leaseMax.Milliseconds()
	}
	f.leading = leading
	swept := nowMS-f.sweptAt >= sweepEvery.Milliseconds() || nowMS < f.sweptAt
	if swept {
		f.sweptAt = nowMS
		f.sweep(nowMS)
	}
	if leading {
		if swept || f.moved {
			f.apportion(nowMS)
		}
		f.judge(nowMS)
		f.guard(nowMS)
		f.grant(nowMS)
	}
	changes, changed, shifted := f.show(nowMS)
	f.tell = f.tell || len(changes) > 0
	return Decision{Health: f.health(nowMS), Transitions: changes, Changed: changed, Shifted: shifted, Tell: f.tell && leading && f.Abroad()}
}

// sweepEvery is how often that is done which needs no hurry.
const sweepEvery = time.Second

// judge lets what was heard work on every circuit.
func (f *Fleet) judge(nowMS int64) {
	raise := circuit.MayRaise
	learning := nowMS < f.learnUntil
	if learning {
		raise = 0
	}
	for _, u := range f.order {
		forced := u.override(nowMS) == "closed"
		if forced && !u.machine.State().Closed() {
			u.note(u.machine.Adopt(nowMS, circuit.Memory{State: circuit.Healthy}))
		}
		if b := u.block; b.atMS != 0 && !forced && nowMS-b.atMS < evidenceAge.Milliseconds() {
			u.note(u.machine.Block(nowMS, b.quota))
		}
		if v := u.verdict; v.lease != 0 && v.lease == u.machine.Probe().Lease {
			u.note(u.machine.Probed(nowMS, v.ok, raise|circuit.MayOpen))
			u.heed.active = u.heed.active && v.ok // a probe that failed here is evidence of its own
		}
		u.block, u.verdict = block{}, verdict{}
		l := raise
		if !forced && u.machine.Tripped(nowMS) && f.mayOpen(u, nowMS) {
			l |= circuit.MayOpen
		}
		u.note(u.machine.Judge(nowMS, l))
		if !forced {
			f.obey(u, nowMS, l)
		}
	}
	if learning {
		f.resume(nowMS) // what was heard says more, where it says enough
	}
}

// resume opens after a cold start what is open on at least half of the nodes, as soon as all have had the time to tell.
func (f *Fleet) resume(nowMS int64) {
	if f.learnUntil-nowMS > f.config.Learning.Milliseconds()/2 {
		return
	}
	live := 0
	for _, n := range f.nodes {
		if n.live {
			live++
		}
	}
	for _, u := range f.order {
		if !u.machine.State().Closed() || u.nodesOpen == 0 || 2*u.nodesOpen < live || !f.mayOpen(u, nowMS) {
			continue
		}
		r := u.machine.Adopt(nowMS, circuit.Memory{State: circuit.Open, Opens: 1, RetryMS: nowMS + f.config.Learning.Milliseconds()})
		if r.Changed() {
			u.why = fmt.Sprintf("open on %d of %d nodes when this control plane had started", u.nodesOpen, live)
		}
	}
}
