package limit

import (
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/shared/route"
)

// The units that a scope may be limited in, each per minute.
const (
	requests = iota
	tokens   // of prompts and answers together
	input    // of prompts, without what providers read from their caches
	output   // of answers
	unitKinds
)

// The periods of budgets.
const (
	day = iota
	month
	periods
)

// The names of what is limited: for metrics, and for those who are refused.
var (
	unitKeys   = [unitKinds]string{"requests", "tokens", "input_tokens", "output_tokens"}
	unitNames  = [unitKinds]string{"requests per minute", "tokens per minute", "input tokens per minute", "output tokens per minute"}
	spendKeys  = [periods]string{"dollars_per_day", "dollars_per_month"}
	spendNames = [periods]string{"dollars per day", "dollars per month"}
)

// inFlight is what slots are for.
const inFlight = "requests in flight"

// amounts are what one request takes of everything.
type amounts struct {
	units [unitKinds]int64
	nano  int64
}

// plan is which gates stand before what.
type plan struct {
	// all stands before every request; nil where there is no limit, as everywhere here.
	all       *gate
	providers map[string]*provided
	// gates are all of these, by their scopes' names.
	gates map[string]*gate
	// keys and teams are the limits of callers, by their ids, and subjects those of each subject, by its issuer's; their gates are made when they call
	// (callers.go).
	keys, teams, subjects map[string]route.Limits
	builder
}

// provided are the gates before one provider; nil maps are empty.
type provided struct {
	own          *gate
	models, keys map[string]*gate
}

// gate is the meters of one scope; nil where there is no limit.
type gate struct {
	name string
	// presence is of a caller, and nil for all others.
	presence *presence
	slots    *slotMeter
	units    [unitKinds]*unitMeter
	// perMinute are the limits of units.
	perMinute [unitKinds]int64
	budgets   [periods]*budgetMeter
	counts    *counts
	// open: without the source nothing is limited here.
	open bool
}

// counts are what every request changes of a gate. They fill one line of a processor's cache, so that processors wait for each other once
// for a scope and not once for each of its limits.
type counts struct {
	inUse atomic.Int64
	stock [unitKinds]atomic.Int64
	spent [periods]atomic.Int64
	_     int64
}

// meter is what Run does with every kind of meter, under the limiter's lock.
type meter interface {
	// ask is what to ask the source for; ok is false when there is no need.
	ask(now time.Time) (a Ask, ok bool)
	// apply takes what the source gave for what was asked at that moment, and reports that it should be asked again at once; alone is for
	// when it did not answer.
	apply(asked time.Time, a Ask, g Grant) (again bool)
	alone(now time.Time, a Ask)
	// lapse is after every round: a lease may have run out.
	lapse(now time.Time)
	// leave is what to give back when the node ends.
	leave(now time.Time) (a Ask, ok bool)
}

// builder makes gates, out of what earlier ones have.
type builder struct {
	nodes int64
	// alone says that there is no source.
	alone bool
	// ledger: somebody knows what was spent.
	ledger bool
	// born is when the limiter began; longest is how long a request may take.
	born    time.Time
	longest time.Duration
	// sharePPM is the region's part of what is not a provider's.
	sharePPM uint32
}

// longestDefault is how long a request may take where the policy does not say.
const longestDefault = 10 * time.Minute

func planOf(table *route.Table, old *plan, b builder) *plan {
	if b.longest = table.Policy().RequestTimeout; b.longest <= 0 {
		b.longest = longestDefault
	}
	b.sharePPM = table.RegionSharePPM()
	p := &plan{providers: make(map[string]*provided), gates: make(map[string]*gate), keys: table.KeyLimits(), teams: table.TeamLimits(), subjects: table.SubjectLimits(), builder: b}
	add := func(name string, limits route.Limits, part uint32) *gate {
		g := b.gate(name, limits, part, old.gates[name], false)
		if g != nil {
			p.gates[name] = g
		}
		return g
	}
	p.all = add("all", table.Limits(), b.sharePPM)
	for i := range table.Providers() {
		from, part := &table.Providers()[i], table.CapacitySharePPM(i)
		scope := "provider/" + from.ID
		at := &provided{own: add(scope, from.Limits, part), models: make(map[string]*gate), keys: make(map[string]*gate)}
		for i := range from.Models {
			target := table.Target(from.First + i)
			if g := add(scope+"/model/"+target.Model, target.Limits, table.Health(target.Index).CapacitySharePPM); g != nil {
				at.models[target.Model] = g
			}
		}
		for _, c := range from.Credentials {
			if g := add(scope+"/key/"+c.Fingerprint, from.LimitsPerKey, part); g != nil {
				at.keys[c.Fingerprint] = g
			}
		}
		if at.own != nil || len(at.models)+len(at.keys) > 0 {
			p.providers[from.ID] = at
		}
	}
	return p
}

// gate makes a scope's meters, or adjusts those that an old one has. The limits are the whole cluster's, of which the region has a part; lazy is
// for those who come and go.
func (b builder) gate(name string, whole route.Limits, partPPM uint32, old *gate, lazy bool) *gate {
	limits := whole.Part(partPPM)
	if limits.None() {
		return nil
	}
	if b.alone && limits.Mode == route.Strict {
		limits.Mode = route.Bounded // nobody was ever given anything by others
	}
	g := &gate{name: name}
	if old != nil {
		*g = *old
	}
	g.open = limits.Mode == route.Open
	if g.counts == nil {
		g.counts = new(counts)
	}
	if limits.InFlight == 0 {
		g.slots = nil
	} else {
		if g.slots == nil {
			g.slots = &slotMeter{inUse: &g.counts.inUse, key: name + "/in_flight", born: b.born, lazy: lazy}
		}
		g.slots.adjust(limits.InFlight, b.nodes, limits.Mode, b.longest)
	}
	g.perMinute = [unitKinds]int64{requests: limits.Requests, tokens: limits.Tokens, input: limits.InputTokens, output: limits.OutputTokens}
	for kind, limit := range g.perMinute {
		if limit == 0 {
			g.units[kind] = nil
			continue
		}
		if g.units[kind] == nil {
			g.units[kind] = &unitMeter{stock: &g.counts.stock[kind], key: name + "/" + unitKeys[kind]}
		}
		g.units[kind].adjust(limit, b.nodes, limits.Mode)
	}
	for period, limit := range [periods]int64{day: whole.NanoPerDay, month: whole.NanoPerMonth} {
		if limit == 0 {
			g.budgets[period] = nil
			continue
		}
		if g.budgets[period] == nil {
			g.budgets[period] = newBudget(&g.counts.spent[period], name, period, time.Now(), !b.ledger)
		}
		g.budgets[period].adjust(limit, partPPM, b.nodes, limits.Mode)
	}
	return g
}

// each visits the meters of a gate.
func (g *gate) each(do func(meter)) {
	if g.slots != nil {
		do(g.slots)
	}
	for _, m := range g.units {
		if m != nil {
			do(m)
		}
	}
	for _, m := range g.budgets {
		if m != nil {
			do(m)
		}
	}
}

// take takes all or nothing, now being the moment as slots count it; low says that a renewal should not wait for its time.
func (g *gate) take(now int64, a *amounts) (ok, low bool) {
	if g.slots != nil {
		if ok, low = g.slots.take(now); !ok {
			return false, true
		}
	}
	for kind, m := range &g.units {
		if m == nil {
			continue
		}
		ok, hungry := m.take(a.units[kind])
		low = low || hungry
		if !ok {
			g.giveSlot()
			g.giveUnits(a, kind)
			return false, true
		}
	}
	for period, m := range &g.budgets {
		if m == nil {
			continue
		}
		ok, hungry := m.take(a.nano)
		low = low || hungry
		if !ok {
			g.giveSlot()
			g.giveUnits(a, unitKinds)
			g.giveMoney(a.nano, period)
			return false, true
		}
	}
	return true, low
}

// leased reports that all it gives out at that moment is the source's; up says that the source answers.
func (g *gate) leased(now int64, up bool) bool {
	if g.slots != nil && !g.slots.leased(now) {
		return false
	}
	return up || g.units == [unitKinds]*unitMeter{} && g.budgets == [periods]*budgetMeter{}
}

// give returns a slot, and what was not used after all.
func (g *gate) give(a *amounts) {
	g.giveSlot()
	g.giveUnits(a, unitKinds)
	g.giveMoney(a.nano, periods)
}

func (g *gate) giveSlot() {
	if g.slots != nil {
		g.slots.give()
	}
}

// giveUnits returns the first few kinds of units.
func (g *gate) giveUnits(a *amounts, kinds int) {
	for kind, m := range g.units[:kinds] {
		if m != nil && a.units[kind] != 0 {
			m.give(a.units[kind])
		}
	}
}

func (g *gate) giveMoney(nano int64, first int) {
	for _, m := range g.budgets[:first] {
		if m != nil && nano != 0 {
			m.give(nano)
		}
	}
}

// shortage is what there is none of, and until when at most.
type shortage struct {
	scope   *gate
	what    string
	untilMs int64
	spent   bool // a budget, of which there is nothing left until then
}

// shortage is the worst one, now being the moment as slots count it; what is empty when there is none.
func (g *gate) shortage(now, nowMs int64) (worst shortage) {
	consider := func(what string, untilMs int64, spent bool) {
		if worst.what == "" || untilMs > worst.untilMs {
			worst = shortage{g, what, untilMs, spent}
		}
	}
	if g.slots != nil && g.slots.full(now) {
		consider(inFlight, nowMs, false)
	}
	for kind, m := range g.units {
		if m != nil && m.stock.Load() <= 0 {
			consider(unitNames[kind], min(m.until.Load(), nowMs+(windowS+1)*1000), false)
		}
	}
	for period, m := range g.budgets {
		switch {
		case m == nil || !m.full():
		case m.dry.Load():
			consider(spendNames[period], m.endsMs.Load(), true)
		default:
			consider(spendNames[period], nowMs, false)
		}
	}
	return worst
}
