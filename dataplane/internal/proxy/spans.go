package proxy

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/telemetry"
)

// One span per request, and one per attempt, hedge and probe, by the conventions for generative AI where they have a name for what is said, else
// under aimux. No word of a prompt or of an answer is in them, but where the operator asks for it (content.go).

// spanListMax bounds the lists in a span, nameMax the bytes of what others name.
const (
	spanListMax = 32
	nameMax     = 128
)

// spanChoice notes who may serve the request, in order, and why nobody else may; once.
func (x *exchange) spanChoice() {
	if x.asked == nil {
		return // nobody was chosen, or it has been told
	}
	e := x.table.Explain(x.asked, &x.view, x.h.config.Node, x.view.NowMs, x.random)
	x.asked = nil
	chain := x.candidates(spanListMax)
	var dropped []string
	for _, c := range e.GetCandidates() {
		target := c.GetProvider() + "/" + c.GetModel()
		if !c.GetEligible() && len(dropped) < spanListMax && !slices.Contains(chain, target) {
			dropped = append(dropped, target+": "+c.GetReason())
		}
	}
	x.span.Texts("aimux.candidates", chain)
	x.span.Texts("aimux.dropped", dropped)
	x.span.Texts("aimux.traits", e.GetTraits())
	x.span.Texts("aimux.needs", e.GetNeeds())
	x.span.Text("aimux.strategy", e.GetStrategy())
}

// endSpans ends the spans of the request and of its attempts. Most are wanted by nobody, and it is known only now which.
func (x *exchange) endSpans(rec *outcome.Record, now time.Time) {
	if !x.span.On() {
		return
	}
	if rec.Fault != fault.None || len(rec.Attempts) > 1 {
		x.span.Keep(len(rec.Attempts) < 2 && byCaller(rec.Fault, len(rec.Attempts)))
	}
	wanted := x.span.Wanted()
	for i, t := range x.tries {
		if wanted {
			t.fillSpan(i + 1)
		}
		t.span.End(t.outcome.Ended)
	}
	if wanted {
		x.fillSpan(rec)
	}
	x.tell()
	x.span.End(now)
}

// byCaller reports a failure that whoever calls can bring about as often as he likes.
func byCaller(kind fault.Kind, attempts int) bool {
	return kind.Rule().Charge == fault.Nobody && kind != fault.Internal || attempts == 0 && kind == fault.RateLimited
}

// fillSpan has the request's span say everything.
func (x *exchange) fillSpan(rec *outcome.Record) {
	s := x.span
	x.spanChoice()
	s.Text("http.request.method", x.in.Method())
	s.Text("http.route", x.at.path)
	s.Number("http.response.status_code", int64(rec.Status))
	s.Number("http.request.body.size", int64(len(x.body)))
	x.spanAsk(rec)
	if x.answerer != nil {
		s.Text("gen_ai.provider.name", vendor(x.answerer.place.target, x.answerer.place.provider.Kind))
		s.Text("gen_ai.response.model", x.answerer.place.target.Model)
		s.Text("aimux.provider", x.answerer.place.target.ProviderID)
		spanUsage(s, &rec.Usage)
	}
	s.Text("aimux.request_id", rec.RequestID)
	s.Text("aimux.caller", rec.Caller)
	s.Text("aimux.team", rec.Team)
	s.Text("aimux.protocol", rec.Protocol.String())
	s.Text("aimux.class", rec.Class.String())
	s.Text("aimux.reason", rec.Reason)
	s.Text("aimux.node", x.h.config.Node)
	s.Text("aimux.region", x.h.config.Region)
	s.Number("aimux.attempts", int64(len(rec.Attempts)))
	s.Real("aimux.cost_usd", float64(rec.CostNano)/1e9)
	s.Real("aimux.analysis_ms", milliseconds(x.analysis))
	s.Real("aimux.queue_ms", milliseconds(x.queued))
	if x.table != nil {
		revision := x.table.Revision()
		s.Number("aimux.table_revision", int64(revision.Config))
		s.Number("aimux.health_seq", int64(revision.Health))
	}
	var skipped []string
	for _, one := range x.skipped {
		skipped = append(skipped, one.Target+": "+one.Reason)
	}
	s.Texts("aimux.skipped", skipped)
	s.Texts("aimux.warnings", rec.Warnings)
	if x.grounds != "" {
		s.Text("aimux.lease", x.grounds)
	}
	if rec.Fault == fault.None {
		return
	}
	s.Text("error.type", rec.Fault.String())
	if rec.Status < 400 || rec.Status >= 500 { // what the client got wrong is no error of the server's
		s.Fail(rec.Fault.String())
	}
}

// spanAsk notes what was asked for.
func (x *exchange) spanAsk(rec *outcome.Record) {
	s := x.span
	if rec.Model == "" {
		return
	}
	s.Name(operation + " " + clip(rec.Model, 64))
	s.Text("gen_ai.operation.name", operation)
	s.Text("gen_ai.request.model", rec.Model)
	s.Flag("gen_ai.request.stream", rec.Stream)
	if n := x.found.Ask.MaxTokens; n > 0 {
		s.Number("gen_ai.request.max_tokens", int64(n))
	}
	x.spanSettings()
	if x.found.Ask.Needs.Has(route.JSONSchema) {
		s.Text("gen_ai.output.type", "json")
	}
	if session := x.in.Header("X-Claude-Code-Session-Id"); session != "" {
		s.Text("gen_ai.conversation.id", clip(session, 64))
	}
	if rec.Stream && rec.FirstByte > 0 {
		s.Real("gen_ai.response.time_to_first_chunk", rec.FirstByte.Seconds())
	}
}

// spanSettings notes how the client wants the answer to be made, where it says so.
func (x *exchange) spanSettings() {
	for _, m := range x.found.Members.All() {
		v := dialect.Value(x.body[m.Value.Start:m.Value.End])
		switch key := string(x.body[m.Key.Start+1 : m.Key.End-1]); key {
		case "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty":
			if f, ok := v.Float(); ok {
				x.span.Real("gen_ai.request."+key, f)
			}
		case "seed":
			if n, ok := v.Int(); ok {
				x.span.Number("gen_ai.request.seed", int64(n))
			}
		case "n":
			if n, ok := v.Int(); ok && n != 1 {
				x.span.Number("gen_ai.request.choice.count", int64(n))
			}
		case "stop", "stop_sequences":
			x.span.Texts("gen_ai.request.stop_sequences", stops(v))
		}
	}
}

// stops are the sequences that end an answer: one, or a list.
func stops(v dialect.Value) (all []string) {
	if v.String() {
		return []string{clip(v.Plain(), nameMax)}
	}
	for _, one := range v.Items() {
		if len(all) < spanListMax && one.String() {
			all = append(all, clip(one.Plain(), nameMax))
		}
	}
	return all
}

// fillSpan has an attempt's span say everything. The attempt has ended, the nth of its request.
func (t *try) fillSpan(n int) {
	s, o, said := t.span, &t.outcome, t.reply.Progress()
	spanTarget(s, t.place)
	s.Number("aimux.attempt", int64(n))
	s.Text("aimux.lease", t.grounds)
	s.Text("gen_ai.operation.name", operation)
	s.Flag("gen_ai.request.stream", t.streams)
	if n := t.x.found.Ask.MaxTokens; n > 0 {
		s.Number("gen_ai.request.max_tokens", int64(n))
	}
	if t.opened {
		s.Text("gen_ai.response.model", clip(cmp.Or(said.Model, t.place.target.Model), nameMax))
		spanUsage(s, &o.Usage)
		if said.Usage.Thinking > 0 {
			s.Number("gen_ai.usage.reasoning.output_tokens", int64(said.Usage.Thinking))
		}
	}
	if said.ID != "" {
		s.Text("gen_ai.response.id", clip(said.ID, nameMax))
	}
	if said.StopReason != "" {
		s.Texts("gen_ai.response.finish_reasons", []string{said.StopReason})
	}
	s.Flag("aimux.hedge", t.hedge)
	s.Flag("aimux.continuation", t.behind != nil)
	s.Flag("aimux.probe", o.Probe)
	s.Flag("aimux.overdue", o.Overdue)
	health := t.x.table.Health(int(t.candidate.Target))
	s.Text("aimux.state", health.State.String())
	s.Real("aimux.weight", float64(health.WeightPPM)/1e6)
	s.Text("aimux.credential", o.Target.Credential)
	s.Real("aimux.cost_usd", float64(o.CostNano)/1e9)
	if o.FirstToken > 0 {
		s.Real("gen_ai.response.time_to_first_chunk", o.FirstToken.Seconds())
	}
	spanFault(s, &o.Fault)
	if t.response != nil {
		s.Number("http.response.status_code", int64(t.response.Status))
	}
}

// endProbe tells how a free probe went.
func endProbe(s telemetry.Span, p *place, o *outcome.Attempt) {
	if !o.Fault.OK() {
		s.Keep(false)
	}
	if s.Wanted() {
		spanTarget(s, p)
		s.Flag("aimux.probe", true)
		spanFault(s, &o.Fault)
	}
	s.End(o.Ended)
}

func spanTarget(s telemetry.Span, p *place) {
	s.Text("gen_ai.provider.name", vendor(p.target, p.provider.Kind))
	s.Text("gen_ai.request.model", p.target.Model)
	s.Text("aimux.provider", p.target.ProviderID)
	s.Text("server.address", p.url.Hostname())
	port, err := strconv.Atoi(p.url.Port())
	if err != nil {
		port = map[string]int{"http": 80, "https": 443}[p.url.Scheme]
	}
	s.Number("server.port", int64(port))
}

// vendor is what the conventions call a provider: whose service it is where that is known, else the operator's name for it.
func vendor(t *route.Target, kind string) string {
	if kind == "compatible" || kind == "synthetic" || kind == "" {
		return t.ProviderID
	}
	return kind
}

func spanUsage(s telemetry.Span, u *outcome.Usage) {
	s.Number("gen_ai.usage.input_tokens", int64(u.Input+u.CacheRead+u.CacheWrite))
	s.Number("gen_ai.usage.output_tokens", int64(u.Output))
	if u.CacheRead > 0 {
		s.Number("gen_ai.usage.cache_read.input_tokens", int64(u.CacheRead))
	}
	if u.CacheWrite > 0 {
		s.Number("gen_ai.usage.cache_creation.input_tokens", int64(u.CacheWrite))
	}
}

func spanFault(s telemetry.Span, f *fault.Fault) {
	if !f.OK() {
		s.Text("error.type", f.Kind.String())
		s.Fail(f.Message)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
