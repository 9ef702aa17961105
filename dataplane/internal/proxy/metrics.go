package proxy

import (
	"sync"
	"sync/atomic"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/telemetry"
)

// metrics are the request path's own figures. Every series is found once and kept: what runs per request adds to atomics.
type metrics struct {
	set      *telemetry.Metrics
	requests *telemetry.Counters
	attempts *telemetry.Counters
	answers  *telemetry.Counters
	tokens   *telemetry.Counters
	costs    *telemetry.Counters
	overdues *telemetry.Counters
	firsts   *telemetry.Histograms
	genAI    genAI

	byRequest [3][route.Classes][fault.Kinds]atomic.Pointer[telemetry.Counter]
	duration  [3][2]*telemetry.Histogram // by protocol and stream
	firstByte [3]*telemetry.Histogram
	analysis  *telemetry.Histogram
	overhead  *telemetry.Histogram
	queue     *telemetry.Histogram

	retries, failovers, hedges, hedgesWon, budget, panics, onward, onwardFailed, resumed *telemetry.Counter
	hedgesDenied                                                                         *telemetry.Counter

	mu      sync.Mutex
	targets map[string]*targetMetrics // :: target's key → its series; guarded by mu
}

// targetMetrics are one target's series.
type targetMetrics struct {
	m               *metrics
	provider, model string
	// answers by class and reason; reasons are few, and a read of the map takes no lock.
	answers  sync.Map // :: answerKey → *telemetry.Counter
	attempts [fault.Kinds]atomic.Pointer[telemetry.Counter]
	first    *telemetry.Histogram
	overdue  *telemetry.Counter
	tokens   [4]*telemetry.Counter // input, output, cache read, cache write
	cost     *telemetry.Counter
	genAI    targetGenAI
}

// answerKey is what requests that a target answered are counted by.
type answerKey struct {
	class  route.Class
	reason string
}

func newMetrics(set *telemetry.Metrics) *metrics {
	waits := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
	m := &metrics{
		set: set, targets: map[string]*targetMetrics{}, genAI: newGenAI(set),
		requests: set.Counters("aimux_requests_total", "Requests that ended, by the client's protocol, the request's class and how it ended.", "protocol", "class", "fault"),
		attempts: set.Counters("aimux_attempts_total", "Attempts that ended, by target and how they ended.", "provider", "model", "fault"),
		answers:  set.Counters("aimux_answers_total", "Requests that a target answered, by class and by the reason why it was the one.", "provider", "model", "class", "reason"),
		tokens:   set.Counters("aimux_tokens_total", "Tokens used, as reported by the providers or estimated.", "provider", "model", "kind"),
		costs:    set.Counters("aimux_cost_usd_total", "Cost of attempts in US dollars.", "provider", "model"),
		overdues: set.Counters("aimux_first_token_overdue_total", "First tokens later than expected, counted at that moment.", "provider", "model"),
		firsts:   set.Histograms("aimux_first_token_seconds", "Time from sending an attempt to its first real event.", waits, "provider", "model"),
	}
	durations := set.Histograms("aimux_request_duration_seconds", "Time from a request's head to the end of its answer.", waits, "protocol", "stream")
	firstBytes := set.Histograms("aimux_first_byte_seconds", "Time from a request's head to the first byte of its answer.", waits, "protocol")
	for p, name := range [...]string{"none", route.Anthropic.String(), route.OpenAI.String()} {
		if p > 0 {
			m.duration[p] = [2]*telemetry.Histogram{durations.With(name, "false"), durations.With(name, "true")}
			m.firstByte[p] = firstBytes.With(name)
		}
	}
	m.analysis = set.Histograms("aimux_analysis_seconds", "Time from a request's head to having read and understood its body.",
		[]float64{1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, .05, 1}).With()
	m.overhead = set.Histograms("aimux_overhead_seconds", "Time that the gateway itself takes before the first attempt is sent: from the last byte of the request's body, without the wait for room.",
		[]float64{1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, .05, 1}).With()
	m.queue = set.Histograms("aimux_queue_wait_seconds", "Time that a request waited for room within limits, of those that waited.", waits).With()
	m.failovers = set.Counters("aimux_failovers_total", "Requests answered by another target than the one tried first, because that one failed.").With()
	m.hedgesWon = set.Counters("aimux_hedges_won_total", "Requests answered by their hedge.").With()
	m.retries = set.Counters("aimux_retries_total", "Attempts made because an earlier one of the same request had failed.").With()
	m.hedges = set.Counters("aimux_hedges_total", "Attempts made beside one whose first token was late.").With()
	m.hedgesDenied = set.Counters("aimux_hedges_denied_total", "Hedges that the budget did not allow.").With()
	m.budget = set.Counters("aimux_retries_denied_total", "Retries that the budget did not allow.").With()
	m.onward = set.Counters("aimux_continuations_total", "Streams of plain text that broke and went on at another provider.").With()
	m.resumed = set.Counters("aimux_resumptions_total", "Answers that paused, and whose provider was asked for the rest.").With()
	m.onwardFailed = set.Counters("aimux_continuations_failed_total", "Streams of plain text that broke and for which nobody was found to go on.").With()
	m.panics = set.Counters("aimux_panics_total", "Requests that made the node panic.").With()
	return m
}

// target finds or makes a target's series.
func (m *metrics) target(t *route.Target, kind string) *targetMetrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.targets[t.Key]
	if one == nil {
		p, model := t.ProviderID, t.Model
		one = &targetMetrics{m: m, provider: p, model: model, first: m.firsts.With(p, model), overdue: m.overdues.With(p, model), cost: m.costs.With(p, model)}
		for i, kind := range [...]string{"input", "output", "cache_read", "cache_write"} {
			one.tokens[i] = m.tokens.With(p, model, kind)
		}
		one.genAI = m.genAI.target(vendor(t, kind), p, model)
		m.targets[t.Key] = one
	}
	return one
}

// answer counts a request that this target answered.
func (t *targetMetrics) answer(rec *outcome.Record) {
	key := answerKey{rec.Class, rec.Reason}
	c, ok := t.answers.Load(key)
	if !ok {
		c, _ = t.answers.LoadOrStore(key, t.m.answers.With(t.provider, t.model, rec.Class.String(), rec.Reason))
	}
	if counter, is := c.(*telemetry.Counter); is {
		counter.Add(1)
	}
}

// attempt counts an attempt that has ended; trace is the id of its trace if that will be sent.
func (t *targetMetrics) attempt(o *outcome.Attempt, trace string) {
	kind := min(int(o.Fault.Kind), fault.Kinds-1)
	c := t.attempts[kind].Load()
	if c == nil {
		c = t.m.attempts.With(t.provider, t.model, o.Fault.Kind.String())
		t.attempts[kind].Store(c)
	}
	c.Add(1)
	if o.FirstToken > 0 {
		t.first.ObserveIn(o.FirstToken, trace)
	}
	for i, n := range [...]uint64{o.Usage.Input, o.Usage.Output, o.Usage.CacheRead, o.Usage.CacheWrite} {
		if n > 0 {
			t.tokens[i].Add(n)
		}
	}
	if o.CostNano > 0 {
		t.cost.AddReal(float64(o.CostNano) / 1e9)
	}
	t.genAI.attempt(o, trace)
}

// request counts a request that has ended.
func (m *metrics) request(x *exchange, rec *outcome.Record) {
	p, class, kind := int(rec.Protocol), min(int(rec.Class), route.Classes-1), min(int(rec.Fault), fault.Kinds-1)
	slot := &m.byRequest[p][class][kind]
	c := slot.Load()
	if c == nil {
		c = m.requests.With(rec.Protocol.String(), rec.Class.String(), rec.Fault.String())
		slot.Store(c)
	}
	c.Add(1)
	stream := 0
	if rec.Stream {
		stream = 1
	}
	trace := x.span.Example()
	m.duration[p][stream].ObserveIn(rec.Duration, trace)
	if rec.FirstByte > 0 {
		m.firstByte[p].ObserveIn(rec.FirstByte, trace)
	}
	if x.analysis > 0 {
		m.analysis.ObserveIn(x.analysis, trace)
	}
	if x.queued > 0 {
		m.queue.ObserveIn(x.queued, trace)
	}
	if len(x.tries) > 0 && !x.bodyRead.IsZero() {
		m.overhead.ObserveIn(max(x.tries[0].began.Sub(x.bodyRead)-x.queued, 0), trace)
	}
	if x.answerer != nil {
		m.answered(x, rec, trace)
	}
}

// answered counts a request by who answered it.
func (m *metrics) answered(x *exchange, rec *outcome.Record, trace string) {
	switch {
	case x.answerer.hedge:
		m.hedgesWon.Add(1)
	case x.answerer.place != x.tries[0].place:
		m.failovers.Add(1)
	}
	x.answerer.place.metrics.answer(rec)
	x.answerer.place.metrics.genAI.request(rec, trace)
}
