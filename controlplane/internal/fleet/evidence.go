package fleet

import (
	"math"
	"time"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
)

// link is the units that a target of the pool concerns; nil where nobody has asked for them.
type link struct {
	known                       bool
	provider, model, credential *unit
}

// subject is whose circuit a node tells of with this target.
func (l link) subject() *unit {
	switch {
	case l.model != nil:
		return l.model
	case l.credential != nil:
		return l.credential
	}
	return l.provider
}

// tally is good and bad answers.
type tally struct{ ok, bad float64 }

// evidenceAge is how long evidence counts. What a node tells after it was silent for longer counts for less, in proportion.
const evidenceAge = 10 * time.Second

// Observe takes what a node saw. urgent says that Step should follow at once.
func (f *Fleet) Observe(now time.Time, b *outcomev1.Batch) (urgent bool) {
	nowMS := now.UnixMilli()
	if f.away(b.GetRegion()) {
		f.refused++ // what a region sees stays in it
		return false
	}
	n := f.node(b.GetNode())
	if n == nil {
		return false
	}
	silent := nowMS - n.heardMS
	boot, _, known := f.pool.Boot(n.name)
	if latest := max(boot, n.boot()); latest > b.GetBoot() {
		if !f.silent(n, nowMS) {
			f.late++ // of a process that was replaced, or that shares its name
			return false
		}
		f.renew(n)
		known = false
	}
	if known && boot < b.GetBoot() {
		n.leave(f) // what it said before it restarted
	}
	first := (!known || boot != b.GetBoot()) && !young(b)
	urgent = b.GetUrgent()
	skewMS := n.skew.Hear(nowMS, b.GetBoot(), b.GetSentUnixMs()).Milliseconds()
	news := f.pool.Merge(b, func(c *outcome.Change) {
		for _, at := range []*int64{&c.Gauges.LastFailureUnixMS, &c.Gauges.ThrottledUntilUnixMS} {
			if *at != 0 {
				*at += skewMS
			}
		}
		if first {
			onlyRecent(c, nowMS)
		}
		e := f.examine(n, c, nowMS)
		if known && silent > evidenceAge.Milliseconds() {
			e = e.scaled(float64(evidenceAge.Milliseconds()) / float64(silent))
		}
		urgent = f.charge(n, c, e, nowMS) || urgent
	})
	if news == outcome.Refused {
		return false
	}
	n.hear(nowMS, b.GetRegion())
	f.traces(b.GetRecords())
	return urgent
}

// young reports that everything the node has ever counted is recent, so that it is evidence although it is the first we hear.
func young(b *outcomev1.Batch) bool {
	return b.GetSentUnixMs()-int64(b.GetBoot()) < evidenceAge.Milliseconds()
}

// evidence is a change, divided by whom it is charged to.
type evidence struct {
	model, provider circuit.Evidence
	// refused counts refusals of the credential, quota those among them for a balance that is used up.
	refused, quota float64
}

// examine turns a change into evidence, and weighs it by how the node stands.
func (f *Fleet) examine(n *node, c *outcome.Change, nowMS int64) evidence {
	var e evidence
	var bad float64 // of any kind that could be the node's own trouble
	for k, count := range c.New.Faults {
		if count == 0 {
			continue
		}
		kind, some := fault.Kind(k), float64(count)
		e.count(kind, some)
		if kind.Hard() || kind.Rule().Severity == fault.Block {
			bad += some
		}
	}
	// A probe that passed may be a free one, which tells that the provider can be reached, and nothing about the model.
	e.model.OK = max(e.model.OK-float64(c.New.Probes-min(c.New.Probes, c.New.ProbesFailed)), 0)
	e.model.Begun = float64(c.New.Started)
	e.model.Overdue = float64(c.New.Overdue)
	run := float64(c.Gauges.Consecutive)
	if e.model.OK > 0 {
		e.model.Run = min(e.model.Run, run)
	}
	if e.provider.OK > 0 {
		e.provider.Run = min(e.provider.Run, run)
	}
	if e.model.Overloaded > 0 {
		e.model.RetryAfter = time.Duration(c.Gauges.RetryAfterMS) * time.Millisecond
	}
	if f.suspect(n, c.ID, tally{e.model.OK, bad}, nowMS) {
		return e.scaled(outlierWeight)
	}
	return e
}

// count charges some answers of one kind. A provider's circuit is about reaching it: whatever came back, it was reached.
func (e *evidence) count(k fault.Kind, some float64) {
	rule := k.Rule()
	switch k {
	case fault.Canceled, fault.Deadline, fault.Internal:
		return
	case fault.Connect:
		e.provider.Failed += some
		e.provider.Run += some
		return
	case fault.None:
		e.model.OK += some
	case fault.FirstToken:
		// It was counted as overdue before, for the other half.
		e.model.Failed += some * (circuit.HardWeight - circuit.OverdueWeight)
		e.model.Run += some
	case fault.Overloaded:
		e.model.Overloaded += some
	case fault.QuotaExhausted:
		e.quota += some
	default:
		if rule.Severity == fault.Hard {
			e.model.Failed += some
			e.model.Run += some
		}
	}
	e.provider.OK += some
	if rule.Severity == fault.Block {
		e.refused += some
	}
}

// scaled is the same evidence with less weight.
func (e evidence) scaled(w float64) evidence {
	for _, c := range []*circuit.Evidence{&e.model, &e.provider} {
		c.OK, c.Failed, c.Overdue, c.Overloaded = c.OK*w, c.Failed*w, c.Overdue*w, c.Overloaded*w
		c.Begun, c.Run = c.Begun*w, c.Run*w
	}
	e.refused, e.quota = e.refused*w, e.quota*w
	return e
}

// onlyRecent cuts the first word of a node that has been at work for long down to what is evidence of now: the failures in a row that it
// suffers at present.
func onlyRecent(c *outcome.Change, nowMS int64) {
	worst, most := fault.None, uint64(0)
	for k, count := range c.New.Faults {
		if fault.Kind(k).Hard() && count > most {
			worst, most = fault.Kind(k), count
		}
	}
	c.New = outcome.Total{}
	c.FirstToken.Reset()
	c.PerToken.Reset()
	if worst != fault.None && nowMS-c.Gauges.LastFailureUnixMS < evidenceAge.Milliseconds() {
		c.New.Faults[worst] = uint64(c.Gauges.Consecutive)
	}
}

// charge gives everybody concerned their evidence. It reports whether something should be judged at once.
func (f *Fleet) charge(n *node, c *outcome.Change, e evidence, nowMS int64) (urgent bool) {
	to := f.link(c.ID, c.Target)
	if to.provider == nil {
		return false
	}
	n.watch(c, to, nowMS)
	f.timed(n, c.ID, &c.FirstToken, nowMS)
	if u := to.model; u != nil {
		if !n.views[c.ID].lagging {
			u.speed.add(&c.FirstToken, &c.PerToken)
		}
		urgent = u.take(n, c, e.model, nowMS) || urgent
	}
	urgent = to.provider.take(n, c, e.provider, nowMS) || urgent
	if u := to.credential; u != nil {
		u.throttledMS = max(u.throttledMS, min(c.Gauges.ThrottledUntilUnixMS, nowMS+throttleMax.Milliseconds()))
		urgent = u.refuse(n, c, e, nowMS) || urgent
	}
	return urgent
}

// throttleMax is the longest retry-after that is believed.
const throttleMax = 60 * time.Second

// take adds evidence to a unit's circuit, or reads in it how its probe ended.
func (u *unit) take(n *node, c *outcome.Change, e circuit.Evidence, nowMS int64) (urgent bool) {
	u.asking(nowMS, c.New.Started)
	if e.OK >= 0.5 {
		u.okMS = nowMS
	}
	u.checked(n, c, nowMS)
	if u.machine.State().Closed() {
		u.machine.Add(nowMS, e)
		return u.machine.Tripped(nowMS)
	}
	return u.probed(n, c)
}

// asking counts requests that began.
func (u *unit) asking(nowMS int64, begun uint64) {
	if begun > 0 {
		u.usedMS = nowMS
		u.traffic.count(nowMS, float64(begun))
	}
}

// checked takes how a free probe of the whole provider ended.
func (u *unit) checked(n *node, c *outcome.Change, nowMS int64) {
	if u != u.provider || c.New.Probes == 0 || u.check.node != n.name && u.probe.node != n.name {
		return
	}
	last := &tablev1.Check{AtUnixMs: nowMS, Node: n.name}
	for k, count := range c.New.Faults {
		if count > 0 && c.New.ProbesFailed > 0 && fault.Kind(k) != fault.None {
			last.Fault = fault.Kind(k).String()
		}
	}
	if u.check.expiresMS = nowMS; last.GetFault() != "" {
		u.check.nextMS = min(u.check.nextMS, nowMS+checkAgain.Milliseconds())
	}
	u.check.last = last
}

// checkAgain is when a provider is checked again that a check has failed for: a few in a row open its circuit before anybody relies on it.
const checkAgain = time.Second

// probed takes the answer to a probe from the node that was granted it.
func (u *unit) probed(n *node, c *outcome.Change) bool {
	g := u.machine.Probe()
	if c.New.Probes == 0 || g.Lease == 0 || u.probe.lease != g.Lease || u.probe.node != n.name {
		return false
	}
	u.verdict = verdict{lease: g.Lease, ok: c.New.ProbesFailed == 0}
	return true
}

// refuse takes what was said about a credential. One node's word suffices, unless it is an outlier's.
func (u *unit) refuse(n *node, c *outcome.Change, e evidence, nowMS int64) (urgent bool) {
	if !u.machine.State().Closed() {
		return u.probed(n, c)
	}
	u.asking(nowMS, c.New.Started)
	if e.model.OK >= 0.5 {
		u.okMS = nowMS
	}
	if e.refused < 0.5 {
		return false
	}
	u.block = block{atMS: nowMS, quota: e.quota > 0}
	return true
}

// link finds the units that a target concerns.
func (f *Fleet) link(id int, t outcome.Target) link {
	for len(f.links) <= id {
		f.links = append(f.links, link{})
	}
	l := &f.links[id]
	if !l.known {
		*l = link{known: true, provider: f.units[key{provider: t.Provider}]}
		if t.Model != "" {
			l.model = f.units[key{provider: t.Provider, model: t.Model}]
		}
		if t.Credential != "" {
			l.credential = f.units[key{provider: t.Provider, credential: t.Credential}]
		}
	}
	return *l
}

// traces remembers an example of a failed request for each target, for the reasons that operators read.
func (f *Fleet) traces(records []*outcomev1.Record) {
	for _, r := range records {
		for _, a := range r.GetAttempts() {
			kind, ok := fault.Parse(a.GetFault())
			if a.GetFault() == "" || !ok || !kind.Hard() {
				continue
			}
			t := a.GetTarget()
			if u := f.units[key{provider: t.GetProvider(), model: t.GetModel()}]; u != nil {
				u.trace = trace{r.GetTraceId(), a.GetSpanId(), r.GetRequestId()}
				u.provider.trace = u.trace
			}
		}
	}
}

// decayed is what is left after so long of what fades by half in halfLife.
func decayed(v float64, forMS int64, halfLife time.Duration) float64 {
	return v * math.Exp2(-float64(max(forMS, 0))/float64(halfLife.Milliseconds()))
}
