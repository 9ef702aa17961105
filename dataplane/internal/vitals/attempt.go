package vitals

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
)

// Attempt is one try under way. Begin, then Overdue and FirstToken as they happen, then End, once. Overdue may be called from another
// goroutine than the rest.
type Attempt struct {
	bound  *Bound
	target *target
	key    *Key
	pace   *pacer
	// begunMs is when it was begun, in Unix milliseconds.
	begunMs int64
	// probe: it goes to a target that is out, and holds its only permission.
	probe   bool
	overdue atomic.Bool
	spoken  bool
}

// probeTime is how long a probe of this node's own circuit may take before another may be sent.
const probeTime = 60 * time.Second

// Begin starts an attempt at the target with that key. ok is false when the target is out and its one permission has been taken by
// somebody else in the meantime: go elsewhere. lastResort means that nobody is better, so that a closed door is no reason.
func (b *Bound) Begin(a *Attempt, i int, key *Key, table *route.Table, lastResort bool) (ok bool) {
	t := b.targets[i]
	nowMs := b.vitals.NowMs()
	a.bound, a.target, a.key, a.pace = b, t, key, b.paceOf(i, key)
	health := table.Health(i)
	out := isOut(health.State) && !health.Stale
	if granted := out && health.Probe.For(b.vitals.deps.Node, nowMs); granted {
		if !t.probing.CompareAndSwap(false, true) {
			return lastResort
		}
		if t.used(&health.Probe).Swap(health.Probe.Lease) == health.Probe.Lease {
			t.probing.Store(false)
			return lastResort
		}
		a.probe = true
	} else if t.breaker.open.Load() || t.vendor.breaker.open.Load() {
		if !b.claim(a, t, nowMs) && !lastResort {
			return false
		}
	}
	t.inFlight.Add(1)
	a.pace.inFlight.Add(1)
	a.begunMs = nowMs
	t.turn.Store(b.vitals.turns.Add(1))
	if key != nil {
		key.signs.inFlight.Add(1)
	}
	t.breaker.mu.Lock()
	t.breaker.machine.Begin(nowMs)
	t.breaker.mu.Unlock()
	return true
}

// claim takes the right to try a target that this node's own circuit holds back.
func (b *Bound) claim(a *Attempt, t *target, nowMs int64) bool {
	if !b.due(t, nowMs) || !t.probing.CompareAndSwap(false, true) {
		return false
	}
	a.probe = true
	for _, br := range []*breaker{&t.breaker, &t.vendor.breaker} {
		if br.open.Load() {
			br.mu.Lock()
			_, reason := br.machine.Grant(nowMs, rand.Uint64()|1, probeTime)
			br.mu.Unlock()
			b.tell(br, t, reason, nowMs)
		}
	}
	return true
}

// BeginProbe starts a free probe of the target, if this node is to send one now: the cluster has granted it, or a circuit of its own waits for
// it. The caller sends it, calls FirstToken(0) if it went well, and End.
func (b *Bound) BeginProbe(a *Attempt, i int, table *route.Table, nowMs int64) bool {
	t := b.targets[i]
	a.bound, a.target, a.pace = b, t, b.paces[i][0]
	grant := &table.Health(i).Probe
	if grant.Node == b.vitals.deps.Node && grant.Node != "" && !grant.Live && nowMs < grant.ExpiresMs && t.used(grant).Load() != grant.Lease {
		if !t.probing.CompareAndSwap(false, true) {
			return false
		}
		if t.used(grant).Swap(grant.Lease) == grant.Lease {
			t.probing.Store(false)
			return false
		}
		a.probe = true
		t.inFlight.Add(1)
		a.pace.inFlight.Add(1)
		a.begunMs = nowMs
		return true
	}
	open := t.breaker.open.Load() || t.vendor.breaker.open.Load()
	if !open || !t.free || t.live(nowMs) || isOut(table.Health(i).State) || !b.claim(a, t, nowMs) {
		return false
	}
	t.inFlight.Add(1)
	a.pace.inFlight.Add(1)
	a.begunMs = nowMs
	return true
}

// Probe reports that the attempt is the one try that a target which is out was given.
func (a *Attempt) Probe() bool { return a.probe }

// Overdue counts a first token that has not come for so long, at the moment that is late; it reports whether this is the first word of
// it. measured says that waiting this long tells something about the first token.
func (a *Attempt) Overdue(waited time.Duration, measured bool) bool {
	if a.overdue.Swap(true) {
		return false
	}
	nowMs := a.bound.vitals.NowMs()
	if measured {
		a.target.first.follow(nowMs, waited)
	}
	a.judge(&a.target.breaker, nowMs, func(m *circuit.Machine) circuit.Reason { return m.Overdue(nowMs) })
	a.target.succeed(nowMs, ppm/2)
	return true
}

// Late reports whether the first token was overdue.
func (a *Attempt) Late() bool { return a.overdue.Load() }

// FirstToken notes the first real event, so long after sending; 0 means that it came with the last. It is what a circuit calls success.
func (a *Attempt) FirstToken(after time.Duration) {
	if a.spoken {
		return
	}
	a.spoken = true
	t := a.target
	nowMs := a.bound.vitals.NowMs()
	if after > 0 {
		t.first.follow(nowMs, after)
	}
	t.succeed(nowMs, ppm)
	t.rest.succeeded()
	a.key.succeeded()
	succeed := func(m *circuit.Machine) circuit.Reason { return m.Success(nowMs) }
	a.judge(&t.breaker, nowMs, succeed)
	a.judge(&t.vendor.breaker, nowMs, succeed)
	inFlight := int64(a.pace.inFlight.Load())
	a.pace.learn(func(p *pace) { p.answered(nowMs, inFlight, float64(after.Microseconds())/1000) })
}

// End ends the attempt as f says. tokens and duration from the first token on give the time per token; 0 tokens give none.
func (a *Attempt) End(f *fault.Fault, tokens int, streamed time.Duration) {
	t := a.target
	nowMs := a.bound.vitals.NowMs()
	t.inFlight.Add(-1)
	if inFlight := int64(a.pace.inFlight.Add(-1)) + 1; f.Kind == fault.Overloaded || f.Kind == fault.RateLimited {
		a.pace.learn(func(p *pace) { p.overloaded(nowMs, a.begunMs, inFlight) })
	}
	if a.key != nil {
		a.key.signs.inFlight.Add(-1)
		a.key.judge(nowMs, f)
	}
	if tokens > 1 && streamed > 0 {
		t.perToken.follow(nowMs, streamed/time.Duration(tokens-1))
	}
	counts, provider := hard(f)
	switch {
	case counts:
		t.succeed(nowMs, 0)
		weight := circuit.HardWeight
		if a.overdue.Load() && !a.spoken {
			weight -= circuit.OverdueWeight
		}
		at := &t.breaker
		if provider {
			at = &t.vendor.breaker
		}
		a.judge(at, nowMs, func(m *circuit.Machine) circuit.Reason { return m.Failure(nowMs, weight) })
	case f.Kind == fault.Overloaded:
		t.rest.overloaded(nowMs, f.RetryAfter)
		a.judge(&t.breaker, nowMs, func(m *circuit.Machine) circuit.Reason { return m.Overload(nowMs, f.RetryAfter) })
	}
	if a.probe {
		t.probing.Store(false)
	}
}

// judge lets one event work on a circuit and tells of a change.
func (a *Attempt) judge(b *breaker, nowMs int64, event func(*circuit.Machine) circuit.Reason) {
	b.mu.Lock()
	reason := event(&b.machine)
	if a.probe && b.machine.State() == circuit.HalfOpen && b.machine.Probe().Lease == 0 {
		b.passed.Store(true)
		b.dueMs.Store(nowMs)
	}
	b.mu.Unlock()
	a.bound.tell(b, a.target, reason, nowMs)
}

// tell makes a change visible to the next pick, then to the owner.
func (b *Bound) tell(at *breaker, t *target, reason circuit.Reason, nowMs int64) {
	if !reason.Changed() {
		return
	}
	if reason.To == circuit.Open {
		at.dueMs.Store(nowMs + reason.Wait.Milliseconds())
		at.passed.Store(false)
		if reason.From.Closed() {
			at.sinceMs.Store(nowMs)
		}
	}
	at.open.Store(!reason.To.Closed())
	change := Change{Provider: t.name.Provider, Reason: reason, AtMs: nowMs}
	if at == &t.breaker {
		change.Model = t.name.Model
	}
	b.vitals.deps.Changed(change)
}
