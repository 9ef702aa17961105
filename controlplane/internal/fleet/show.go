package fleet

import (
	"fmt"
	"slices"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/circuit"
)

// transitionsShown is how many of the latest transitions go out with every Health.
const transitionsShown = 16

// show decides what nodes are told of every target, and lists what is different from what whoever leads told them before.
func (f *Fleet) show(nowMS int64) (changes []*tablev1.Transition, changed, shifted bool) {
	for _, u := range f.order {
		s := f.view(u, nowMS)
		was := u.shown
		s.told, s.sinceMS = true, was.sinceMS
		if !was.told || s.state != was.state {
			s.sinceMS = nowMS
		}
		u.shown = s
		changed = changed || !was.told || s.state != u.said || s.lease != was.lease
		shifted = shifted || apart(s.weight, was.weight)
		if !f.leading {
			continue
		}
		// What a provider is because of its models, their transitions tell.
		theirs := (s.derived || was.derived) && u.modelsChanged()
		// Of what nobody has told before, only that it is out is news: it broke before there was a leader.
		news := s.state != u.said && (u.said != circuit.Unknown || s.state == circuit.Open)
		if news && !theirs {
			example := u.example(s.state)
			changes = append(changes, &tablev1.Transition{
				AtUnixMs: nowMS + f.ahead.Milliseconds(), Provider: u.key.provider, Model: u.key.model, Credential: u.key.credential,
				From: tablev1.State(u.said), To: tablev1.State(s.state), Reason: s.reason, TraceId: example.id, SpanId: example.span, RequestId: example.request,
			})
		}
		u.said = s.state
	}
	f.remember(changes...)
	return changes, changed, shifted
}

// apart reports that two weights differ by more than a fifth.
func apart(a, b uint32) bool { return 5*max(a, b) > 6*min(a, b) }

// modelsChanged reports that a model of the provider is not as it was last said to be.
func (u *unit) modelsChanged() bool {
	return slices.ContainsFunc(u.models, func(m *unit) bool { return m.machine.State() != m.said })
}

// example is the trace of a request that failed, for changes to the worse.
func (u *unit) example(to circuit.State) trace {
	if to == circuit.Healthy || to == circuit.HalfOpen {
		return trace{}
	}
	return u.trace
}

// remember makes the list anew, because what it was before may be shown to somebody.
func (f *Fleet) remember(t ...*tablev1.Transition) {
	if len(t) == 0 {
		return
	}
	all := slices.Concat(f.transitions, t)
	f.transitions = all[max(len(all)-f.config.TransitionsMax, 0):]
}

// Transitions are all changes that this replica remembers, oldest first: those it decided, and of those that others did what it has heard. Read only; it
// stays as it is when there are more.
func (f *Fleet) Transitions() []*tablev1.Transition { return f.transitions }

// view is what a target looks like from outside: the operator's word before everything, then what concerns the whole provider, then its circuit.
func (f *Fleet) view(u *unit, nowMS int64) shown {
	g, _ := u.granted(nowMS)
	s := shown{state: u.machine.State(), reason: u.why, weight: f.weigh(u, nowMS), lease: g.Lease}
	switch word := u.provider.override(nowMS); {
	case word == "closed":
		return u.provider.byHand(circuit.Healthy, "closed by hand", ppm)
	case u != u.provider:
	case word == "open":
		return u.byHand(circuit.Open, "opened by hand", 0)
	case word == "drain":
		return u.byHand(circuit.Open, "drained by hand", 0)
	}
	switch {
	case u == u.provider && u.keyless():
		s.state, s.reason = circuit.Open, fmt.Sprintf("all of its %d keys are refused", len(u.keys))
	case u == u.provider && s.state.Closed():
		f.asItsModels(u, &s, nowMS)
	}
	if !s.state.Closed() {
		s.weight = 0
	}
	if until := u.throttledMS; until > nowMS && s.state == circuit.Healthy {
		s.state, s.reason = circuit.Degraded, "throttled until "+time.UnixMilli(until).Add(f.ahead).UTC().Format("15:04:05")
	}
	if s.state == circuit.Healthy && s.reason == "" {
		s.reason = u.wellness()
	}
	return s
}

// wellness is why nothing is held against a target.
func (u *unit) wellness() string {
	last := u.check.last
	switch {
	case last == nil:
		return "no trouble seen"
	case last.GetFault() == "":
		return "no trouble seen; answered " + last.GetNode() + "'s free probe"
	}
	return last.GetNode() + "'s free probe failed: " + last.GetFault()
}

// byHand is what an operator decided of a provider, with his reason after ours.
func (u *unit) byHand(state circuit.State, what string, weight uint32) shown {
	if why := u.asked.override.GetReason(); why != "" {
		what += ": " + why
	}
	return shown{state: state, reason: what, weight: weight, byHand: true}
}

// asItsModels makes a provider no better than the best of its models in use: it is worse only if two or more of them are, and none in use is better, or
// if it is all of them.
func (f *Fleet) asItsModels(u *unit, shown *shown, nowMS int64) {
	best, worse, closed := circuit.State(0), 0, 0
	for _, m := range u.models {
		s := m.machine.State()
		if s.Closed() {
			closed++
		}
		if s == circuit.Healthy && nowMS-m.usedMS > evidenceAge.Milliseconds() {
			continue // not in use
		}
		if best == 0 || rank(s) < rank(best) {
			best = s
		}
		if s != circuit.Healthy {
			worse++
		}
	}
	if worse == 0 || worse < min(2, len(u.models)) || rank(best) <= rank(shown.state) {
		return
	}
	if !best.Closed() && closed > 0 && !f.mayOpen(u, nowMS) {
		return // it would take models away that are not in use and may be well
	}
	shown.state, shown.derived = best, true
	shown.reason = fmt.Sprintf("%d of its models are no better", worse)
	if len(u.models) == 1 {
		shown.reason = u.models[0].why
	}
}

// rank orders the states from well to out; a half-open circuit is nearer to well than an open one.
func rank(s circuit.State) int {
	switch s {
	case circuit.HalfOpen:
		return 2*int(circuit.Open) - 1
	default:
		return 2 * int(s)
	}
}

// health builds the view that goes out.
func (f *Fleet) health(nowMS int64) *tablev1.Health {
	h := &tablev1.Health{Targets: make([]*tablev1.TargetHealth, 0, len(f.order))}
	for _, u := range f.order {
		if u.key.credential != "" && u.shown.state == circuit.Healthy {
			continue // a key that is well is not worth its bytes
		}
		h.Targets = append(h.Targets, f.entry(u, nowMS))
	}
	for _, n := range f.nodes {
		if n.live {
			h.NodesLive++
		}
		twins := f.twins(n, nowMS)
		if twins {
			h.NodesLive++
		}
		if n.live && n.outliers > 0 || twins {
			h.Outliers = append(h.Outliers, n.name)
		}
	}
	slices.Sort(h.GetOutliers())
	for _, name := range h.GetOutliers() {
		h.OutlierReasons = append(h.OutlierReasons, f.oddity(f.nodes[name], nowMS))
	}
	if f.Abroad() {
		h.RegionSharePpm, h.Regions = f.share, f.views()
	}
	h.Transitions = f.transitions[max(len(f.transitions)-transitionsShown, 0):]
	return h
}

// entry is one target as it crosses the bus.
func (f *Fleet) entry(u *unit, nowMS int64) *tablev1.TargetHealth {
	m, share := u.machine.Memory(), u.share
	if u.key.credential != "" {
		share = u.provider.share
	}
	e := &tablev1.TargetHealth{
		Provider: u.key.provider, Model: u.key.model, Credential: u.key.credential,
		State: tablev1.State(u.shown.state), Reason: u.shown.reason, ByHand: u.shown.byHand, SinceUnixMs: u.shown.sinceMS,
		WeightPpm: u.shown.weight, CapacitySharePpm: share, InFlight: uint32(max(u.inFlight, 0)),
		FirstTokenMs: uint32(u.speed.p50.Milliseconds()), UsualFirstTokenMs: uint32(u.speed.baseline), PerTokenUs: uint32(u.speed.perToken.Microseconds()),
		Opens: uint32(m.Opens), Successes: uint32(m.Good), OpenedUnixMs: m.OpenedMS, RetryUnixMs: m.RetryMS, Heeded: u.heed.active,
	}
	if u == u.provider {
		e.Check = u.check.last
		if u.override(nowMS) != "" {
			e.OverrideUntilUnixMs = u.wordEndsMS
		}
	}
	if f.Abroad() {
		e.OpenIn = f.listen(u, nowMS).open
	}
	if success, samples := u.machine.SuccessShare(nowMS); samples > 0 {
		e.SuccessPpm = uint32(success * ppm)
	}
	if u.throttledMS > nowMS {
		e.RetryUnixMs = max(e.GetRetryUnixMs(), u.throttledMS)
	}
	if g, node := u.granted(nowMS); g.Lease != 0 && u.shown.lease == g.Lease {
		e.Probe = &tablev1.ProbeGrant{Node: node, Lease: g.Lease, ExpiresUnixMs: g.ExpiresMS - leaseMargin, Live: g.Live, Boot: f.nodes[node].boot()}
	}
	return e
}
