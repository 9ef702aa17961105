package route

import (
	"fmt"
	"math"
	"strconv"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// Explain is what Pick would do with the same arguments, with a reason for every target of the table. It sends nothing and uses up nothing.
// What only the analysis knows (ThinkingScore) is the caller's to fill in.
func (t *Table) Explain(ask *Ask, view View, node string, nowMs int64, rnd uint64) *tablev1.Explanation {
	var w walker
	w.start(t, ask, view, node, nowMs, rnd)
	w.notes = make([]Reason, len(t.targets))
	for i := range w.notes {
		w.notes[i] = w.absent(i)
	}
	served := w.run(ask.Model)
	sortChain(w.chain)
	x := &tablev1.Explanation{
		Node: node, Table: t.revision.header(),
		Class: ask.Class.String(), Traits: ask.Traits.Names(), Needs: ask.Needs.Names(),
		PromptTokens: uint64(max(ask.PromptTokens, 0)), MaxOutputTokens: uint64(max(ask.MaxTokens, 0)), ExpectedOutputTokens: uint64(max(ask.ExpectTokens, 0)),
		RequestedModel: ask.Model, Strategy: t.policy.Balancer.String(), Priority: t.policy.Priority.String(),
	}
	if ask.Session != 0 {
		x.Session = strconv.FormatUint(ask.Session, 16)
	}
	for _, c := range w.chain {
		x.Candidates = append(x.Candidates, w.considered(c.Target, c.Score, w.whyPicked(c)))
		x.Chain = append(x.Chain, t.targets[c.Target].Key)
	}
	for i := range t.targets {
		if find(w.chain, int32(i)) < 0 {
			x.Candidates = append(x.Candidates, w.whyNot(int32(i)))
		}
	}
	if len(w.chain) == 0 {
		x.Error = w.verdict(ask, served).String()
	}
	return x
}

// absent is the reason of a target that no walk visits.
func (w *walker) absent(target int) Reason {
	p := &w.t.providers[w.t.targets[target].Provider]
	switch {
	case !p.Enabled:
		return Disabled
	case !w.t.inRegion(p):
		return WrongRegion
	default:
		return NotServing
	}
}

func (w *walker) considered(target int32, score float32, reason string) *tablev1.Considered {
	t, health, live := &w.t.targets[target], &w.t.health[target], w.view.Live(int(target))
	e := w.expect(target, live)
	return &tablev1.Considered{
		Provider: t.ProviderID, Model: t.Model, Eligible: true, Reason: reason, Score: math.Exp2(float64(score)),
		CostUsd: float64(e.CostNano) / 1e9, ExpectedFirstTokenMs: milliseconds32(e.FirstToken), ExpectedTotalMs: milliseconds32(e.Total),
		State: health.State.wire(), InFlight: uint32(max(live.InFlight, 0)), WeightPpm: health.WeightPPM,
	}
}

func (w *walker) whyNot(target int32) *tablev1.Considered {
	x := w.considered(target, 0, w.barrier(target))
	x.Eligible = false
	return x
}

// Dropped appends to dst why Pick, with the same arguments, passes over targets that serve the model: most of them at the most, in the
// table's order. It walks the whole table, so it is for requests whose Verdict says that some dropped out.
func (t *Table) Dropped(dst []Dropped, ask *Ask, view View, node string, nowMs int64, rnd uint64, most int) []Dropped {
	var w walker
	w.start(t, ask, view, node, nowMs, rnd)
	w.notes = make([]Reason, len(t.targets))
	for i := range w.notes {
		w.notes[i] = NotServing
	}
	w.run(ask.Model)
	for i, reason := range w.notes {
		if reason > Disabled && len(dst) < most && find(w.chain, int32(i)) < 0 {
			dst = append(dst, Dropped{Target: int32(i), Reason: w.barrier(int32(i))})
		}
	}
	return dst
}

// Dropped is a target that may not serve a request, and why.
type Dropped struct {
	Target int32
	Reason string
}

// barrier is what stands against a target, in words.
func (w *walker) barrier(target int32) string {
	reason := w.notes[target]
	var detail string
	p := &w.t.providers[w.t.targets[target].Provider]
	r, health := &w.t.rows[target], &w.t.health[target]
	switch reason {
	case Disabled:
		detail = p.DisabledReason
	case WrongRegion:
		detail = p.Region
	case LacksCapability:
		detail = list(w.needs &^ r.can[w.dialect])
	case ContextTooShort:
		detail = fmt.Sprintf("%d tokens, %d needed", r.window, w.prompt+min(w.reserve, r.maxOutput))
	case Drained, ForcedOut:
		detail = p.Override.Reason
	case ClusterOpen, ClusterProbing:
		detail = health.Reason
	case Blocked:
		live := w.view.Live(int(target))
		detail = fmt.Sprintf("%s, for another %v", live.BlockedBy, time.Duration(live.BlockedUntilMs-w.nowMs)*time.Millisecond)
	}
	return with(reason.String(), detail)
}

// whyPicked says what beyond its score decided a candidate's place.
func (w *walker) whyPicked(c Candidate) string {
	health := &w.t.health[c.Target]
	switch {
	case w.notes[c.Target].ill():
		return with("nothing else is left, and this is the least bad", w.notes[c.Target].String())
	case c.Fallback():
		return "fallback: only when nothing else can"
	case c.LastResort():
		return with("last resort", with(health.State.String(), health.Reason))
	case c.Probe():
		return with("probe", health.State.String())
	case c.Sticky():
		return "an open tool call began here"
	case c.rank()&byLoss != 0:
		return "cannot do all that the request would rather have: " + list(w.wants&^w.t.rows[c.Target].can[w.dialect])
	case c.rank()&byTurnAside != 0 && w.view.Live(int(c.Target)).Busy:
		return "at its limits: others go first"
	case c.rank()&byTurnAside != 0:
		return with("standing back for its weight", health.Reason)
	case c.Pinned():
		return "pinned by policy"
	case c.key>>orderShift&orderMask == 0:
		return "not measured yet"
	case c.rank()&byLooseName != 0:
		return "serves the model by pattern"
	default:
		return "by score"
	}
}

func with(reason, detail string) string {
	if detail == "" {
		return reason
	}
	return reason + ": " + detail
}

func milliseconds32(d time.Duration) uint32 { return uint32(min(d.Milliseconds(), math.MaxUint32)) }

func (r *Revision) header() *tablev1.Header {
	return &tablev1.Header{
		Cluster: r.Cluster, Leader: r.Leader, Epoch: r.Epoch, ConfigRevision: r.Config, HealthSeq: r.Health, IssuedUnixMs: r.IssuedMs,
	}
}
