package proxy

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/aimux/aimux/dataplane/internal/analyze"
	"github.com/aimux/aimux/dataplane/internal/keeper"
	"github.com/aimux/aimux/dataplane/internal/plugin"
	"github.com/aimux/aimux/dataplane/internal/vitals"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
)

// choose orders everybody who may serve.
func (x *exchange) choose() *fault.Fault {
	x.view = x.h.look(x.desk, x.table)
	p := picking{ask: &x.found.Ask, table: x.table, view: &x.view, random: x.random, chain: x.chain}
	verdict := x.h.pick(&p)
	x.chain, x.ordered = p.chain, p.ordered
	if verdict.Dropped {
		x.drop(p.ask)
	}
	x.asked = p.ask
	x.hear()
	x.h.budgets.request(x.table, x.view.NowMs)
	if len(x.chain) > 0 {
		return nil
	}
	f := verdict.Fault()
	if verdict.Outcome == route.NeedUnmet {
		x.blame(&f, cmp.Or(verdict.Missing, verdict.NearestMissing))
	}
	return &f
}

// drop notes who serves the model and may not serve this request.
func (x *exchange) drop(ask *route.Ask) {
	var told [toldMax]route.Dropped
	for _, d := range x.table.Dropped(told[:0], ask, &x.view, x.h.config.Node, x.view.NowMs, x.random, toldMax) {
		x.dropped = append(x.dropped, outcome.PassedOver{Target: x.table.Target(int(d.Target)).Key, Reason: d.Reason})
	}
}

// look is how everything stands with this node now.
func (h *Handler) look(desk *Desk, table *route.Table) vitals.View {
	return vitals.View{Bound: desk.bound, Table: table, NowMs: h.deps.Vitals.NowMs(), Busy: h.busy}
}

// blame names the place in the body that needs what nobody can do.
func (x *exchange) blame(f *fault.Fault, need route.Capability) {
	hints := x.hints()
	if path := analyze.Where(x.at.protocol, x.body, &x.desk.analysis, &hints, need); path != "" {
		f.Param, f.Message = path, path+": "+f.Message
	}
}

// picking is what a choice depends on, and its outcome.
type picking struct {
	ask    *route.Ask
	table  *route.Table
	view   *vitals.View
	random uint64

	chain   []route.Candidate // its memory is used again
	ordered bool              // by the operator's plugin
}

// pick makes the chain. Where nobody can hold an answer to a schema, somebody can still be told of it: then p.ask asks for no more than that.
func (h *Handler) pick(p *picking) (verdict route.Verdict) {
	p.chain, verdict = p.table.Pick(p.chain[:0], p.ask, p.view, h.config.Node, p.view.NowMs, p.random)
	if verdict.Outcome == route.NeedUnmet && p.ask.Needs.Has(route.JSONSchema) {
		told := *p.ask
		told.Needs &^= route.JSONSchema
		chain, again := p.table.Pick(p.chain[:0], &told, p.view, h.config.Node, p.view.NowMs, p.random)
		if again.Outcome != route.NeedUnmet {
			p.ask, p.chain, verdict = &told, chain, again
		}
	}
	if p.table.Policy().Balancer == route.Plugin && len(p.chain) > 1 && h.deps.Order != nil {
		p.ordered = h.deps.Order(&plugin.Question{
			Ask: p.ask, Table: p.table, View: p.view, Chain: p.chain, NowMs: p.view.NowMs, Random: p.random,
		}) == plugin.Ordered
	}
	return verdict
}

// explain picks as a request does, and says why.
func (h *Handler) explain(s *keeper.Snapshot[*Desk], found *analyze.Result) *tablev1.Explanation {
	view := h.look(s.Warm, s.Table)
	p := picking{ask: &found.Ask, table: s.Table, view: &view, random: rand.Uint64()}
	h.pick(&p)
	e := s.Table.Explain(p.ask, &view, h.config.Node, view.NowMs, p.random)
	e.Node, e.ThinkingScore, e.Needs = h.config.Node, found.ThinkingScore, found.Ask.Needs.Names()
	switch {
	case p.ordered:
		reorder(e, s.Table, p.chain)
	case s.Table.Policy().Balancer == route.Plugin:
		e.Strategy = fallbackBalancer.String()
	}
	return e
}

// fallbackBalancer orders where a plugin does not.
const fallbackBalancer = route.Adaptive

// reorder puts an explanation's candidates into the order of the chain; those that dropped out stay behind.
func reorder(e *tablev1.Explanation, table *route.Table, chain []route.Candidate) {
	e.Chain = e.GetChain()[:0]
	place := make(map[string]int, len(chain))
	for i, c := range chain {
		key := table.Target(int(c.Target)).Key
		e.Chain, place[key] = append(e.Chain, key), i
	}
	at := func(c *tablev1.Considered) int {
		if i, ok := place[c.GetProvider()+"/"+c.GetModel()]; ok {
			return i
		}
		return len(chain)
	}
	slices.SortStableFunc(e.GetCandidates(), func(a, b *tablev1.Considered) int { return cmp.Compare(at(a), at(b)) })
}
