package proxy

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/telemetry"
)

// genAI are the figures that OpenTelemetry's conventions for generative AI define, under their names and in their buckets: the node is a client
// of its providers (gen_ai.client.*, one per attempt), and a server for its clients (gen_ai.server.*, one per request). There are as many
// series as targets, times the ways to fail that have been seen.
type genAI struct {
	operations, requests *telemetry.Histograms
	tokens               *telemetry.Histograms
	chunks               *telemetry.Histograms
	gaps                 *telemetry.TalliedFamily
	firsts, perTokens    *telemetry.Histograms
}

// operation is what all of it is about, as the conventions call it.
const operation = "chat"

func newGenAI(set *telemetry.Metrics) genAI {
	durations := []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	at := []string{"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "provider"}
	and := func(more string) []string { return append(slices.Clip(at), more) }
	return genAI{
		operations: set.Histograms("gen_ai_client_operation_duration_seconds", "Duration of an attempt at a provider.", durations, and("error_type")...),
		tokens: set.Histograms("gen_ai_client_token_usage", "Tokens of an attempt, the input with what was read from and written to caches.",
			[]float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}, and("gen_ai_token_type")...),
		chunks: set.Histograms("gen_ai_client_operation_time_to_first_chunk_seconds", "Time from sending an attempt for a stream to its first chunk that says something.",
			durations, at...),
		gaps:     set.Tallied("gen_ai_client_operation_time_per_output_chunk_seconds", "Time from one chunk of a stream that says something to the next, as they came from the provider.", gapBounds(durations), at...),
		requests: set.Histograms("gen_ai_server_request_duration_seconds", "Duration of a request as its client sees it, by who answered.", durations, and("error_type")...),
		firsts: set.Histograms("gen_ai_server_time_to_first_token_seconds", "Time from a stream's request to its first byte as its client sees it, by who answered.",
			[]float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}, at...),
		perTokens: set.Histograms("gen_ai_server_time_per_output_token_seconds", "Time per token of a stream behind its first, by who answered.",
			[]float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}, at...),
	}
}

func gapBounds(seconds []float64) (bounds []time.Duration) {
	for _, s := range seconds {
		bounds = append(bounds, time.Duration(s*1e9+.5))
	}
	return bounds
}

// gaps are the times between the chunks of one stream.
type gaps struct {
	tally telemetry.Tally
	seen  int // chunks
	last  time.Time
}

// chunks notes that a read at now has brought the stream's chunks up to that many. Those that came in one read came at once.
func (g *gaps) chunks(d *telemetry.Tallied, upTo int, now time.Time) {
	n := upTo - g.seen
	if n <= 0 {
		return
	}
	if g.seen > 0 {
		d.Note(&g.tally, now.Sub(g.last), 1)
	}
	if n > 1 {
		d.Note(&g.tally, 0, n-1)
	}
	g.seen, g.last = upTo, now
}

// targetGenAI are one target's series.
type targetGenAI struct {
	operations, requests       *byFault
	input, output, chunk       *telemetry.Histogram
	gap                        *telemetry.Tallied
	firstToken, perOutputToken *telemetry.Histogram
}

// target finds the series of one target: whose service it is, and the operator's name for it.
func (g *genAI) target(vendor, provider, model string) targetGenAI {
	return targetGenAI{
		operations: &byFault{family: g.operations, vendor: vendor, provider: provider, model: model},
		requests:   &byFault{family: g.requests, vendor: vendor, provider: provider, model: model},
		input:      g.tokens.With(operation, vendor, model, provider, "input"), output: g.tokens.With(operation, vendor, model, provider, "output"),
		chunk: g.chunks.With(operation, vendor, model, provider), gap: g.gaps.With(operation, vendor, model, provider),
		firstToken: g.firsts.With(operation, vendor, model, provider), perOutputToken: g.perTokens.With(operation, vendor, model, provider),
	}
}

// byFault is a histogram for every way to fail. Each is found when it is needed first, and kept.
type byFault struct {
	family                  *telemetry.Histograms
	vendor, provider, model string
	slots                   [fault.Kinds]atomic.Pointer[telemetry.Histogram]
}

func (b *byFault) observe(kind fault.Kind, d time.Duration, trace string) {
	slot := &b.slots[min(int(kind), fault.Kinds-1)]
	h := slot.Load()
	if h == nil {
		name := "" // the conventions leave error.type out where nothing failed
		if kind != fault.None {
			name = kind.String()
		}
		h = b.family.With(operation, b.vendor, b.model, b.provider, name)
		slot.Store(h)
	}
	h.ObserveIn(d, trace)
}

// attempt counts an attempt that has ended.
func (t *targetGenAI) attempt(o *outcome.Attempt, trace string) {
	t.operations.observe(o.Fault.Kind, o.Duration, trace)
	if o.FirstToken > 0 {
		t.chunk.ObserveIn(o.FirstToken, trace)
	}
	if u := &o.Usage; u.Reported {
		t.input.CountIn(u.Input+u.CacheRead+u.CacheWrite, trace)
		t.output.CountIn(u.Output, trace)
	}
}

// request counts a request that this target answered.
func (t *targetGenAI) request(rec *outcome.Record, trace string) {
	t.requests.observe(rec.Fault, rec.Duration, trace)
	if !rec.Stream || rec.FirstByte <= 0 || rec.Fault != fault.None {
		return // the conventions measure successful answers only
	}
	t.firstToken.ObserveIn(rec.FirstByte, trace)
	if rec.Usage.Output > 1 {
		t.perOutputToken.ObserveIn((rec.Duration-rec.FirstByte)/time.Duration(rec.Usage.Output-1), trace)
	}
}
