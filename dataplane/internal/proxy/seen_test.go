package proxy

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
)

// collector takes spans as a real one does.
type collector struct {
	mu    sync.Mutex
	spans []*tracev1.Span
}

func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var in io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		in, _ = gzip.NewReader(r.Body)
	}
	body, _ := io.ReadAll(in)
	var all tracev1.TracesData // the same on the wire as what exporters send
	if proto.Unmarshal(body, &all) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range all.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
}

// attributes of a span, as text.
func attributes(s *tracev1.Span) map[string]string {
	all := map[string]string{}
	for _, a := range s.GetAttributes() {
		v := a.GetValue()
		switch {
		case v.GetArrayValue() != nil:
			var list []string
			for _, one := range v.GetArrayValue().GetValues() {
				list = append(list, one.GetStringValue())
			}
			all[a.GetKey()] = strings.Join(list, "|")
		case v.GetStringValue() != "":
			all[a.GetKey()] = v.GetStringValue()
		case v.GetDoubleValue() != 0:
			all[a.GetKey()] = fmt.Sprint(v.GetDoubleValue())
		default:
			all[a.GetKey()] = fmt.Sprint(v.GetIntValue(), v.GetBoolValue())
		}
	}
	return all
}

// A request that failed over, as a collector gets it: who called, what it was, who was tried, why, and what it cost; in the caller's own trace.
func TestTrace(t *testing.T) {
	c := &collector{}
	server := httptest.NewServer(c)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	var sent http.Header
	r := newRig(t, []backend{
		{id: "sick", protocol: "anthropic", scenario: "status=500"},
		{id: "well", protocol: "openai", keys: []string{"sk-the-canary-0123456789"}, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sent = r.Header
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"prompt_tokens_details":{"cached_tokens":4}}}`)
		})},
		{id: "blind", protocol: "openai"},
	}, func(c *tablev1.Config, _ *Config) { c.Providers[2].Enabled = false })
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	a := r.post("/v1/messages", fmt.Sprintf(anthropicAsk, `,"temperature":0.25,"top_p":0.5,"top_k":7,"stop_sequences":["END","\u0041"]`), "Traceparent", parent, "Tracestate", "vendor=1")
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	rec := r.last(1)
	r.tracer.Close(t.Context())
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spans) != 3 {
		t.Fatalf("%d spans", len(c.spans))
	}
	slices.SortFunc(c.spans, func(a, b *tracev1.Span) int { return int(a.GetStartTimeUnixNano()) - int(b.GetStartTimeUnixNano()) })
	request, first, second := c.spans[0], c.spans[1], c.spans[2]
	if got := fmt.Sprintf("%x", request.GetTraceId()); got != parent[3:35] || rec.TraceID != got || fmt.Sprintf("%x", request.GetParentSpanId()) != parent[36:52] {
		t.Errorf("trace %s, record %s", got, rec.TraceID)
	}
	if request.GetKind() != tracev1.Span_SPAN_KIND_SERVER || first.GetKind() != tracev1.Span_SPAN_KIND_CLIENT || !bytes.Equal(first.GetParentSpanId(), request.GetSpanId()) {
		t.Errorf("%v", c.spans)
	}
	if sent.Get("Tracestate") != "vendor=1" || sent.Get("Traceparent") != fmt.Sprintf("00-%x-%x-01", second.GetTraceId(), second.GetSpanId()) {
		t.Errorf("upstream got %q, %q", sent.Get("Traceparent"), sent.Get("Tracestate"))
	}
	for _, row := range []struct {
		span *tracev1.Span
		name string
		want map[string]string
	}{
		{request, "chat any-model", map[string]string{
			"gen_ai.operation.name": "chat", "gen_ai.request.model": "any-model", "gen_ai.provider.name": "well", "gen_ai.response.model": "m-well", "gen_ai.request.max_tokens": "64 false",
			"gen_ai.usage.input_tokens": "7 false", "gen_ai.usage.output_tokens": "2 false", "gen_ai.usage.cache_read.input_tokens": "4 false",
			"http.route": "/v1/messages", "http.response.status_code": "200 false", "aimux.class": "standard", "aimux.reason": "failover", "aimux.attempts": "2 false",
			"aimux.candidates": "sick/m-sick|well/m-well", "aimux.dropped": "blind/m-blind: ", "aimux.node": "node-1", "aimux.table_revision": "7 false", "aimux.request_id": rec.RequestID,
			"gen_ai.request.temperature": "0.25", "gen_ai.request.top_p": "0.5", "gen_ai.request.top_k": "7", "gen_ai.request.stop_sequences": "END|A", "aimux.lease": "none",
		}},
		{first, "chat m-sick", map[string]string{
			"gen_ai.provider.name": "sick", "error.type": rec.Attempts[0].Fault.Kind.String(), "http.response.status_code": "500 false", "aimux.attempt": "1 false", "aimux.state": "HEALTHY",
			"server.address": "127.0.0.1",
		}},
		{second, "chat m-well", map[string]string{
			"gen_ai.provider.name": "well", "gen_ai.request.model": "m-well", "gen_ai.usage.output_tokens": "2 false", "aimux.attempt": "2 false", "aimux.credential": "fp-well-0",
			"gen_ai.response.finish_reasons": "", "aimux.cost_usd": "", "gen_ai.response.id": "chatcmpl-1", "gen_ai.response.model": "m", "aimux.lease": "none",
		}},
	} {
		have := attributes(row.span)
		for key, want := range row.want {
			if got, ok := have[key]; !ok || !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s is %q, want %q", row.span.GetName(), key, got, want)
			}
		}
		if row.span.GetName() != row.name {
			t.Errorf("name %q, want %q", row.span.GetName(), row.name)
		}
		if text := row.span.String(); strings.Contains(text, "canary") || strings.Contains(text, "Hello") {
			t.Errorf("a secret or a prompt is in %s", text)
		}
	}
}

// What a client of OpenAI's format sets is in its request's span, and by what it was let in within its limits.
func TestTraceOfSettings(t *testing.T) {
	for _, row := range []struct {
		refused *fault.Fault
		lease   string
	}{{nil, "share"}, {limited(fault.RateLimited, time.Hour, "no"), "refused"}} {
		c := &collector{}
		server := httptest.NewServer(c)
		defer server.Close()
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
		r := newRig(t, []backend{{id: "a", protocol: "openai"}})
		r.handler.deps.Limits = &fullness{caller: row.refused, settled: make(chan outcome.Usage, 8)}
		r.post("/v1/chat/completions", fmt.Sprintf(openAIAsk, `,"seed":-5,"n":2,"frequency_penalty":1.5,"presence_penalty":-1.5,"stop":"END","top_p":null`))
		r.last(1)
		r.tracer.Close(t.Context())
		c.mu.Lock()
		defer c.mu.Unlock()
		request := slices.IndexFunc(c.spans, func(s *tracev1.Span) bool { return s.GetKind() == tracev1.Span_SPAN_KIND_SERVER })
		if request < 0 {
			t.Fatalf("%d spans, none of the request", len(c.spans))
		}
		have := attributes(c.spans[request])
		for key, want := range map[string]string{
			"gen_ai.request.seed": "-5 false", "gen_ai.request.choice.count": "2 false", "gen_ai.request.frequency_penalty": "1.5",
			"gen_ai.request.presence_penalty": "-1.5", "gen_ai.request.stop_sequences": "END", "aimux.lease": row.lease,
		} {
			if have[key] != want {
				t.Errorf("%s is %q, want %q", key, have[key], want)
			}
		}
		if got, there := have["gen_ai.request.top_p"]; there {
			t.Errorf("top_p is %q, which nobody set", got)
		}
	}
}

// The figures say what happened, under names that Prometheus's own linter likes.
func TestMetrics(t *testing.T) {
	r := newRig(t, []backend{{id: "sick", protocol: "openai", scenario: "status=500"}, {id: "well", protocol: "openai", scenario: "tokens=10+token=1ms"}})
	for n, stream := range []bool{false, true} {
		if a := r.ask("openai", stream); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		r.last(n + 1)
	}
	text, _ := r.metrics.Text("")
	for _, want := range []string{
		`aimux_requests_total{class="standard",fault="ok",protocol="openai"} 1`,
		`aimux_requests_total{class="streaming",fault="ok",protocol="openai"} 1`,
		`gen_ai_client_operation_duration_seconds_count{error_type="server_error",gen_ai_operation_name="chat",gen_ai_provider_name="sick",gen_ai_request_model="m-sick",provider="sick"} 2`,
		`gen_ai_client_operation_duration_seconds_count{error_type="",gen_ai_operation_name="chat",gen_ai_provider_name="well",gen_ai_request_model="m-well",provider="well"} 2`,
		`gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="well",gen_ai_request_model="m-well",gen_ai_token_type="output",provider="well"} 20`,
		`gen_ai_server_request_duration_seconds_count{error_type="",gen_ai_operation_name="chat",gen_ai_provider_name="well",gen_ai_request_model="m-well",provider="well"} 2`,
		`gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="well",gen_ai_request_model="m-well",provider="well"} 1`,
		`gen_ai_client_operation_time_to_first_chunk_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="well",gen_ai_request_model="m-well",provider="well"} 1`,
		`gen_ai_client_operation_time_per_output_chunk_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="well",gen_ai_request_model="m-well",provider="well"} 9`,
		`aimux_overhead_seconds_count 2`, `aimux_failovers_total 2`, `aimux_answers_total{class="streaming",model="m-well",provider="well",reason="failover"} 1`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s", want)
		}
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Who asks for it gets prompts and answers in the requests' spans, of those he names, in the conventions' form, cut and without keys; nobody else
// gets a word.
func TestContent(t *testing.T) {
	for _, row := range []struct {
		name, protocol string
		stream         bool
		content        Content
		input, output  string
		more           int
	}{
		{"nobody asks", "anthropic", false, Content{}, "", "", 0},
		{"anthropic", "anthropic", false, Content{Bytes: 1000}, `[{"role":"user","parts":[{"type":"text","content":"Hello there [secret]"}]}]`,
			`[{"role":"assistant","parts":[{"type":"text","content":"Hello [secret] bye"}],"finish_reason":"stop"}]`, 0},
		{"openai stream", "openai", true, Content{Bytes: 1000, Of: []string{"team:other", "class:streaming"}}, `[{"role":"user","parts":[{"type":"text","content":"Hello there [secret]"}]}]`,
			`[{"role":"assistant","parts":[{"type":"text","content":"Hello [secret] bye"}],"finish_reason":"stop"}]`, 0},
		{"anthropic stream, cut", "anthropic", true, Content{Bytes: 100}, `[{"role":"user","parts":[{"type":"text","content":"Hello there`, `[{"role":"assistant","parts":[{"type":"text","content":"`, 99},
		{"of others", "openai", false, Content{Bytes: 1000, Of: []string{"team:other", "class:vision", "caller:nobody"}}, "", "", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := &collector{}
			server := httptest.NewServer(c)
			defer server.Close()
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
			r := newRig(t, []backend{{id: "a", protocol: "openai", handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if row.stream {
					w.Header().Set("Content-Type", "text/event-stream")
					fmt.Fprint(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hello sk-canary\"}}]}\n\n"+
						"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"0123456789 bye\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
					return
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hello sk-canary0123456789 bye"},"finish_reason":"stop"}]}`)
			})}}, func(_ *tablev1.Config, config *Config) { config.Content = row.content })
			path, extra := "/v1/chat/completions", ""
			if row.protocol == "anthropic" {
				path = "/v1/messages"
			}
			if row.stream {
				extra = `,"stream":true`
			}
			if a := r.post(path, `{"model":"m","max_tokens":64,"messages":[{"role":"user","content":"Hello there sk-canary0123456789`+strings.Repeat(" and so on", row.more)+`"}]`+extra+`}`); a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			r.last(1)
			r.tracer.Close(t.Context())
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, span := range c.spans {
				have := attributes(span)
				in, out := have["gen_ai.input.messages"], have["gen_ai.output.messages"]
				asked := row.input != "" && span.GetKind() == tracev1.Span_SPAN_KIND_SERVER
				if asked && (!strings.HasPrefix(in, row.input) || !strings.HasPrefix(out, row.output)) || !asked && in+out != "" {
					t.Errorf("%v: %s %s", span.GetKind(), in, out)
				}
				if strings.Contains(span.String(), "canary") || !asked && strings.Contains(span.String(), "Hello") {
					t.Errorf("a key, or a word that nobody wants told, is in %s", span)
				}
				if _, cut := have["aimux.content_cut_bytes"]; cut != (asked && row.content.Bytes == 100) {
					t.Errorf("cut: %v", have["aimux.content_cut_bytes"])
				}
			}
			if held := r.handler.hearing.held.Load(); held != 0 {
				t.Errorf("%d bytes are held for ever", held)
			}
		})
	}
}

// What nobody can go by is named.
func TestContentIsValidated(t *testing.T) {
	for of, ok := range map[string]bool{"class:thinking": true, "team:x": true, "caller:a:b": true, "class:luck": false, "team:": false, "x": false, "key:x": false} {
		if err := (&Content{Of: []string{of}}).Validate(); (err == nil) != ok {
			t.Errorf("%s: %v", of, err)
		}
	}
	for bytes, ok := range map[int]bool{-1: false, 0: true, ContentBytesMax: true, ContentBytesMax + 1: false} {
		if err := (&Content{Bytes: bytes}).Validate(); (err == nil) != ok {
			t.Errorf("%d: %v", bytes, err)
		}
	}
}

// A record tells the whole decision: who was to be tried, in order, and who serves the model and was not, with the reason.
func TestRecordsTellTheDecision(t *testing.T) {
	r := newRig(t, []backend{{id: "first", protocol: "anthropic"}, {id: "blind", protocol: "anthropic"}, {id: "second", protocol: "anthropic"}},
		func(c *tablev1.Config, _ *Config) { c.Providers[1].Models[0].Has = uint64(route.Streaming) })
	r.post("/v1/messages", fmt.Sprintf(anthropicAsk, ""))
	plain := r.last(1)
	if fmt.Sprint(plain.Candidates) != "[first/m-first second/m-second blind/m-blind]" && fmt.Sprint(plain.Candidates) != "[first/m-first blind/m-blind second/m-second]" || len(plain.PassedOver) != 0 {
		t.Errorf("candidates %v, passed over %v", plain.Candidates, plain.PassedOver)
	}
	r.post("/v1/messages", fmt.Sprintf(anthropicAsk, `,"tools":[{"name":"t","input_schema":{"type":"object"}}]`))
	tools := r.last(2)
	if fmt.Sprint(tools.Candidates) != "[first/m-first second/m-second]" || len(tools.PassedOver) != 1 || tools.PassedOver[0].Target != "blind/m-blind" || !strings.Contains(tools.PassedOver[0].Reason, "tools") {
		t.Errorf("candidates %v, passed over %v", tools.Candidates, tools.PassedOver)
	}
	wire := tools.Wire("node-1")
	if len(wire.GetCandidates()) != 2 || wire.GetPassedOver()[0].GetReason() != tools.PassedOver[0].Reason {
		t.Errorf("on the wire: %v", wire)
	}
}
