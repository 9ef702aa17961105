// Package vitals is what this node itself knows of every target right now: in flight, speed, success, blocks, its own circuits, and who holds a session.
package vitals

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/clock"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

// Change is a circuit of this node that changed its state.
type Change struct {
	// Provider as a whole when Model is empty.
	Provider, Model string
	Reason          circuit.Reason
	AtMs            int64
}

// Deps is what Vitals needs of its owner.
type Deps struct {
	// Node is this node's name, as probe grants call it.
	Node string
	// Changed is told of every change of a circuit; it must not block. Several goroutines may call it at once.
	Changed func(Change)
	// Clock is the node's; zero is the wall clock.
	Clock clock.Steady
}

// Vitals keeps the signs of every target by its name, so that they outlive the tables. Bind and Suspect take a lock; what a request
// calls (everything on Bound and Attempt) shares no lock but that of the one target it concerns.
type Vitals struct {
	deps     Deps
	sessions sessions
	turns    atomic.Uint64

	mu      sync.Mutex         // protects below
	targets map[string]*target // :: "provider/model" → its signs
	vendors map[string]*vendor // :: provider → its signs
	ids     []string           // :: id of a target → "provider/model"; only grows, so sessions survive
	idOf    map[string]uint32  // the inverse
}

// New makes Vitals that know nothing yet.
func New(deps Deps) *Vitals {
	return &Vitals{deps: deps, targets: map[string]*target{}, vendors: map[string]*vendor{}, idOf: map[string]uint32{}}
}

// NowMs is the node's time, by which everything here is counted: milliseconds since 1970 by a clock that nobody sets.
func (v *Vitals) NowMs() int64 { return v.deps.Clock.Ms(time.Now()) }

// target holds one target's signs. The atomics are written by whoever serves a request and read at every pick.
type target struct {
	id        uint32
	name      outcome.Target
	vendor    *vendor
	breaker   breaker
	inFlight  atomic.Int32
	paces     map[string]*pacer // :: fingerprint of a key → how many at once it takes; guarded by Vitals.mu
	rest      rest
	first     average // time to the first token, in microseconds
	perToken  average // time per further token, in microseconds
	success   average // share of attempts that succeed, in parts per million
	turn      atomic.Uint64
	usedLease atomic.Uint64 // the last grant of the cluster that was used
	probing   atomic.Bool
	free      bool          // the provider can be probed without a bill
	recovery  time.Duration // the longest isolation before a real request is tried
}

// vendor holds one provider's signs: its circuit for what concerns all of its models, and its keys.
type vendor struct {
	provider, kind string
	breaker        breaker
	usedLease      atomic.Uint64   // the last grant for the whole provider that was used
	keys           map[string]*Key // :: fingerprint → key; guarded by Vitals.mu
}

// breaker is one circuit of this node. shut mirrors whether it is closed, for readers without the lock.
type breaker struct {
	mu      sync.Mutex
	machine circuit.Machine // guarded by mu
	open    atomic.Bool
	dueMs   atomic.Int64 // when a probe may be sent while it is open
	sinceMs atomic.Int64 // when it opened
	passed  atomic.Bool  // a probe has succeeded since it opened: the next may be a real request
}

// live reports that the next probe of an open circuit should be a real request.
func (b *breaker) live(nowMs int64, recovery time.Duration) bool {
	return !b.open.Load() || b.passed.Load() || nowMs-b.sinceMs.Load() >= recovery.Milliseconds()
}

// Bound is Vitals as one table numbers its targets. Immutable; its methods may be called concurrently.
type Bound struct {
	vitals  *Vitals
	targets []*target
	keys    [][]*Key       // by index of the provider
	paces   [][]*pacer     // by index of the target and of its key; one where there are no keys
	fixed   bool           // nothing of what is learnt about how many at once is heeded
	indexOf map[uint32]int // :: id → index in the table
}

// Bind finds or makes the signs of every target in t. Signs of targets that t lacks are forgotten; attempts under way keep theirs.
func (v *Vitals) Bind(t *route.Table) *Bound {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := &Bound{vitals: v, fixed: t.Policy().FixedConcurrency, indexOf: make(map[uint32]int, t.Len())}
	vendors := make(map[string]*vendor, len(t.Providers()))
	for i := range t.Providers() {
		p := &t.Providers()[i]
		params := paramsOf(p)
		vendor := v.vendor(p, params)
		vendors[p.ID] = vendor
		b.keys = append(b.keys, vendor.bind(p.Credentials))
	}
	targets := make(map[string]*target, t.Len())
	for i := range t.Targets() {
		at := &t.Targets()[i]
		one := v.target(at, vendors[at.ProviderID], paramsOf(&t.Providers()[at.Provider]))
		targets[at.Key] = one
		b.targets = append(b.targets, one)
		b.paces = append(b.paces, one.bind(b.keys[at.Provider]))
		b.indexOf[one.id] = i
	}
	v.targets, v.vendors = targets, vendors
	return b
}

func (v *Vitals) vendor(p *route.Provider, params circuit.Params) *vendor {
	one := v.vendors[p.ID]
	if one == nil || one.kind != p.Kind {
		one = &vendor{provider: p.ID, kind: p.Kind, keys: map[string]*Key{}}
		one.breaker.machine = circuit.New(params, rand.Uint64())
		return one
	}
	one.breaker.tune(params)
	return one
}

func (v *Vitals) target(at *route.Target, of *vendor, params circuit.Params) *target {
	one := v.targets[at.Key]
	if one == nil || one.vendor != of {
		id, known := v.idOf[at.Key]
		if !known {
			id = uint32(len(v.ids)) + 1
			v.ids, v.idOf[at.Key] = append(v.ids, at.Key), id
		}
		one = &target{id: id, name: outcome.Target{Provider: at.ProviderID, Model: at.Model}, vendor: of}
		sheet, known := provider.For(of.kind)
		one.free = known && sheet.Endpoint(at.Endpoint.Protocol).ProbePath != ""
		one.recovery = max(params.RecoveryDelay, recoveryMin)
		one.breaker.machine = circuit.New(params, rand.Uint64())
		return one
	}
	one.breaker.tune(params)
	return one
}

// recoveryMin is the shortest isolation after which a real request stands in for a free probe.
const recoveryMin = 30 * time.Second

func (b *breaker) tune(params circuit.Params) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.machine.Tune(params)
}

func paramsOf(p *route.Provider) circuit.Params {
	return circuit.Params{
		MaxFailures: p.Breaker.MaxFailures, RecoveryDelay: p.Breaker.RecoveryDelay,
		ProbeInterval: p.Breaker.ProbeInterval, CloseAfter: p.Breaker.CloseAfter,
	}
}

// View is Bound beside the table of one request: a route.View, for one goroutine at a time.
type View struct {
	Bound *Bound
	Table *route.Table
	NowMs int64
	// Busy reports that a target's limits leave no room; nil means that nobody limits.
	Busy func(target *route.Target) bool
	live route.Live
}

// Live is how a target stands with this node; valid until the next call. It is written field by field, because the processor waits for
// narrow writes that are soon read as wide ones.
func (v *View) Live(i int) *route.Live {
	b, live := v.Bound, &v.live
	t := b.targets[i]
	live.InFlight = t.inFlight.Load()
	t.speak(live, v.Table, i, v.NowMs)
	open, rests := t.breaker.open.Load() || t.vendor.breaker.open.Load(), t.rest.on(v.NowMs)
	live.Open, live.Turn = open || rests, t.turn.Load()
	live.Busy = v.Busy != nil && v.Busy(v.Table.Target(i))
	live.BlockedUntilMs, live.BlockedBy = blockedUntil(b.keys[v.Table.Target(i).Provider])
	if health := v.Table.Health(i); isOut(health.State) {
		live.ProbeHere = !t.probing.Load() && t.used(&health.Probe).Load() != health.Probe.Lease
	} else {
		live.ProbeHere = open && !rests && !t.probing.Load() && b.due(t, v.NowMs) && t.live(v.NowMs)
	}
	return live
}

// used is where the use of a grant is noted: one for a whole provider is used once for all of its models.
func (t *target) used(g *route.Grant) *atomic.Uint64 {
	if g.Provider {
		return &t.vendor.usedLease
	}
	return &t.usedLease
}

// live reports that this node's next probe of the target should be a real request.
func (t *target) live(nowMs int64) bool {
	return !t.free || t.breaker.live(nowMs, t.recovery) && t.vendor.breaker.live(nowMs, t.recovery)
}

// Home is the target that served the session last.
func (v *View) Home(session uint64) (i int, ok bool) {
	if id := v.Bound.vitals.sessions.find(session); id != 0 {
		i, ok = v.Bound.indexOf[id]
	}
	return i, ok
}

// due reports that the circuits of this node that are open have waited long enough for one try.
func (b *Bound) due(t *target, nowMs int64) bool {
	own, all := &t.breaker, &t.vendor.breaker
	return (!own.open.Load() || nowMs >= own.dueMs.Load()) && (!all.open.Load() || nowMs >= all.dueMs.Load())
}

// Settled notes that the target served the session.
func (b *Bound) Settled(session uint64, i int) {
	if session != 0 {
		b.vitals.sessions.put(session, b.targets[i].id)
	}
}

// Sign is one target's figures for people and metrics.
type Sign struct {
	InFlight                 int
	FirstToken, PerToken     time.Duration
	SuccessPPM               uint32
	BlockedUntilMs           int64
	Circuit, ProviderCircuit circuit.State
	Limit                    float64 // requests at once, learnt, of all keys together; 0 means none
}

// Sign reads the figures of a target.
func (b *Bound) Sign(i int, table *route.Table) Sign {
	t := b.targets[i]
	limit, nowMs := 0.0, b.vitals.NowMs()
	for _, p := range b.paces[i] {
		one := p.limit(nowMs)
		if limit += one; one == 0 {
			limit = 0 // one of them has none
			break
		}
	}
	blockedUntilMs, _ := blockedUntil(b.keys[table.Target(i).Provider])
	return Sign{
		InFlight: int(t.inFlight.Load()), FirstToken: time.Duration(t.first.value.Load()) * time.Microsecond,
		PerToken: time.Duration(t.perToken.value.Load()) * time.Microsecond, SuccessPPM: t.success.value.Load(), BlockedUntilMs: blockedUntilMs,
		Circuit: t.breaker.state(), ProviderCircuit: t.vendor.breaker.state(), Limit: limit,
	}
}

func (b *breaker) state() circuit.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.machine.State()
}

// Suspect takes a peer's word that a circuit opened there: as half of what it takes to open it here. It is for times without a control plane.
func (v *Vitals) Suspect(provider, model string, nowMs int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.vendors[provider]
	b := (*breaker)(nil)
	if one != nil {
		b = &one.breaker
	}
	if t := v.targets[provider+"/"+model]; model != "" && t != nil {
		b = &t.breaker
	}
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.machine.Add(nowMs, circuit.Evidence{Run: suspicion})
}

// suspicion is a peer's word in hard failures: half of the default threshold, so that it alone opens nothing.
const suspicion = 2

// PerToken is how long the target takes for one token; a guess when nothing has been measured.
func (b *Bound) PerToken(i int) time.Duration {
	if us := b.targets[i].perToken.value.Load(); us > 0 {
		return time.Duration(us) * time.Microsecond
	}
	return perTokenDefault
}

const perTokenDefault = 15 * time.Millisecond

// hard reports that a fault counts towards a circuit, and towards whose.
func hard(f *fault.Fault) (counts, provider bool) {
	rule := f.Kind.Rule()
	return rule.Severity == fault.Hard, rule.Charge == fault.Provider
}
