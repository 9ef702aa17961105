package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// traced is one span as a collector wrote it down.
type traced struct {
	Service                                   string
	TraceID, SpanID, ParentSpanID, Name, Kind string
	Status                                    string
	Attributes                                map[string]any
	// Links are "trace/span".
	Links []string
	Began uint64
}

// kinds are the protocol's numbers of what a span may be.
var kinds = map[int]string{1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}

// startCollector runs a real OpenTelemetry collector and has everything that starts from now on send to it. It returns what reads the spans
// that it has got so far.
func startCollector(t *testing.T) (read func() []traced) {
	t.Helper()
	file := collect(t)
	return func() []traced { return readSpans(t, file) }
}

// collect is startCollector for those who read the collector's file by themselves.
func collect(t *testing.T) (file string) {
	t.Helper()
	binary := filepath.Join(root(t), ".tmp", "bin", "otelcol")
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%v: make otelcol first", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	file = filepath.Join(t.TempDir(), "spans.json")
	config := fmt.Sprintf(`yaml:{receivers: {otlp: {protocols: {http: {endpoint: %q}}}}, exporters: {file: {path: %q, flush_interval: 100ms}},
service: {telemetry: {metrics: {level: none}, logs: {level: error}}, pipelines: {traces: {receivers: [otlp], exporters: [file]}}}}`, address, file)
	collector := exec.Command(binary, "--config", config)
	collector.Stderr = os.Stderr
	if err := collector.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = collector.Process.Signal(os.Interrupt)
		_ = collector.Wait()
	})
	eventually(t, "the collector", func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+address)
	return file
}

// readSpans reads the collector's file, in the order in which the spans began.
func readSpans(t *testing.T, file string) (all []traced) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // still being written
		}
		var batch struct {
			ResourceSpans []struct {
				Resource   struct{ Attributes []keyValue }
				ScopeSpans []struct {
					Spans []struct {
						TraceID, SpanID, ParentSpanID, Name string
						Kind                                int
						StartTimeUnixNano                   uint64 `json:",string"`
						Attributes                          []keyValue
						Status                              struct{ Code int }
						Links                               []struct{ TraceID, SpanID string }
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &batch); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, resource := range batch.ResourceSpans {
			service, _ := values(resource.Resource.Attributes)["service.name"].(string)
			for _, scope := range resource.ScopeSpans {
				for _, s := range scope.Spans {
					one := traced{
						Service: service, TraceID: s.TraceID, SpanID: s.SpanID, ParentSpanID: s.ParentSpanID, Name: s.Name, Kind: kinds[s.Kind],
						Status: []string{"unset", "ok", "error"}[s.Status.Code], Attributes: values(s.Attributes), Began: s.StartTimeUnixNano,
					}
					if len(one.Attributes) != len(s.Attributes) {
						t.Errorf("%s says something twice: %+v", s.Name, s.Attributes)
					}
					for _, l := range s.Links {
						one.Links = append(one.Links, l.TraceID+"/"+l.SpanID)
					}
					all = append(all, one)
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b traced) int { return int(int64(a.Began) - int64(b.Began)) })
	return all
}

// keyValue is an attribute in OTLP's JSON.
type keyValue struct {
	Key   string
	Value struct {
		StringValue *string
		IntValue    *string
		DoubleValue *float64
		BoolValue   *bool
		ArrayValue  *struct {
			Values []struct{ StringValue string }
		}
	}
}

func values(list []keyValue) map[string]any {
	all := map[string]any{}
	for _, a := range list {
		v := a.Value
		switch {
		case v.StringValue != nil:
			all[a.Key] = *v.StringValue
		case v.IntValue != nil:
			n, _ := json.Number(*v.IntValue).Int64()
			all[a.Key] = n
		case v.DoubleValue != nil:
			all[a.Key] = *v.DoubleValue
		case v.BoolValue != nil:
			all[a.Key] = *v.BoolValue
		case v.ArrayValue != nil:
			texts := []string{}
			for _, one := range v.ArrayValue.Values {
				texts = append(texts, one.StringValue)
			}
			all[a.Key] = texts
		}
	}
	return all
}

// a client's trace context.
const (
	clientTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan  = "00f067aa0ba902b7"
)

// TestTraceOfAFailover has a real collector receive the trace of one request that failed over, in the client's own trace, and that of the
// control plane's step which took the failing provider out, linked to the attempt that was the reason.
func TestTraceOfAFailover(t *testing.T) {
	eachFormTraced(t, func(t *testing.T, house *House, read func() []traced) {
		if err := house.Upstream["sick"].Behave("status=500"); err != nil {
			t.Fatal(err)
		}
		response, body := post(t, house.Data[0]+"/v1/messages", `{"model":"asked-sick","max_tokens":64,"messages":[{"role":"user","content":"a prompt that nobody may see"}]}`,
			"Traceparent", "00-"+clientTrace+"-"+clientSpan+"-01", "Tracestate", "vendor=1")
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
		var request, first, second traced
		eventually(t, "the request's trace", func() error {
			var got []traced
			for _, s := range read() {
				if s.TraceID == clientTrace {
					got = append(got, s)
				}
			}
			if len(got) != 3 {
				return fmt.Errorf("%d spans: %+v", len(got), got)
			}
			request, first, second = got[0], got[1], got[2]
			return nil
		})
		checkSpan(t, request, "chat asked-sick", "server", clientSpan, "unset", map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.request.model": "asked-sick", "gen_ai.request.max_tokens": int64(64), "gen_ai.request.stream": false,
			"gen_ai.provider.name": "steady", "gen_ai.response.model": "text", "gen_ai.usage.input_tokens": any(nil), "gen_ai.usage.output_tokens": any(nil),
			"http.request.method": "POST", "http.route": "/v1/messages", "http.response.status_code": int64(200),
			"aimux.request_id": response.Header.Get("Request-Id"), "aimux.class": "standard", "aimux.reason": "failover", "aimux.attempts": int64(2), "aimux.protocol": "anthropic",
			"aimux.provider": "steady", "aimux.strategy": any(nil), "aimux.table_revision": any(nil), "aimux.node": any(nil), "aimux.region": "local",
			"aimux.cost_usd": any(nil), "aimux.queue_ms": any(nil), "aimux.lease": "none", "aimux.candidates": []string{"sick/text", "steady/text"}, "aimux.dropped": any(nil),
		})
		port := func(id string) int64 {
			_, text, _ := net.SplitHostPort(house.Upstream[id].Web.Listener.Addr().String())
			n, _ := json.Number(text).Int64()
			return n
		}
		checkSpan(t, first, "chat text", "client", request.SpanID, "error", map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.provider.name": "sick", "gen_ai.request.model": "text", "server.address": "127.0.0.1", "server.port": port("sick"),
			"http.response.status_code": int64(500), "error.type": "server_error", "aimux.attempt": int64(1), "aimux.hedge": false, "aimux.probe": false,
			"aimux.state": "HEALTHY", "aimux.credential": any(nil), "aimux.provider": "sick",
		})
		checkSpan(t, second, "chat text", "client", request.SpanID, "unset", map[string]any{
			"gen_ai.provider.name": "steady", "gen_ai.response.model": "text", "gen_ai.usage.output_tokens": any(nil), "gen_ai.response.finish_reasons": any(nil),
			"server.port": port("steady"), "http.response.status_code": int64(200), "aimux.attempt": int64(2), "aimux.cost_usd": any(nil),
			"gen_ai.response.id": any(nil), "aimux.lease": "none",
		})
		if e, failed := second.Attributes["error.type"]; failed {
			t.Errorf("the attempt that succeeded has the error %v", e)
		}
		checkTransition(t, house, read)
		for _, s := range read() {
			if text := fmt.Sprintf("%+v", s); strings.Contains(text, "upstream-key") || strings.Contains(text, "nobody may see") {
				t.Errorf("a key or a prompt is in %s", text)
			}
		}
	})
}

// checkApplied wants every node to apply the push in the same trace, and to tell what it changed there.
func checkApplied(t *testing.T, house *House, read func() []traced, step, push traced) {
	t.Helper()
	told, _ := step.Attributes["aimux.transition"].([]string)
	if len(told) == 0 {
		t.Fatalf("the step tells no transition: %+v", step)
	}
	change, _, _ := strings.Cut(told[0], ": ") // provider/model
	nodes := map[any]traced{}
	eventually(t, "every node's applying", func() error {
		clear(nodes)
		for _, s := range read() {
			if s.Name == "apply table" && s.ParentSpanID == push.SpanID {
				nodes[s.Attributes["aimux.node"]] = s
			}
		}
		if len(nodes) != len(house.Data) {
			return fmt.Errorf("%d of %d nodes", len(nodes), len(house.Data))
		}
		return nil
	})
	for node, s := range nodes {
		checkSpan(t, s, "apply table", "consumer", push.SpanID, "unset", map[string]any{
			"messaging.system": "nats", "messaging.operation.type": "process", "messaging.operation.name": "apply", "messaging.destination.name": "health",
			"aimux.node": node, "aimux.region": "local", "aimux.leader": push.Attributes["aimux.leader"], "aimux.epoch": push.Attributes["aimux.epoch"],
			"aimux.health_seq": push.Attributes["aimux.health_seq"], "aimux.table_revision": push.Attributes["aimux.table_revision"],
			"aimux.drift": int64(0), "aimux.applied": true, "aimux.changes": any(nil), "aimux.transition": any(nil),
		})
		if s.TraceID != step.TraceID || s.Service != "aimux-dataplane" {
			t.Errorf("%v applies in trace %s of %s, want %s", node, s.TraceID, s.Service, step.TraceID)
		}
		if n, _ := s.Attributes["aimux.changes"].(int64); n < 1 || !strings.Contains(fmt.Sprint(s.Attributes["aimux.transition"]), change) {
			t.Errorf("%v changed %d: %v, want %s", node, n, s.Attributes["aimux.transition"], told)
		}
	}
}

// checkTransition fails until the circuit opens, and wants the control plane's step, its push, and the link to an attempt.
func checkTransition(t *testing.T, house *House, read func() []traced) {
	t.Helper()
	var step, push, cause traced
	eventually(t, "the transition's trace", func() error {
		post(t, house.Data[0]+"/v1/messages", `{"model":"asked-sick","max_tokens":64,"messages":[{"role":"user","content":"again"}]}`)
		spans := read()
		for _, s := range spans {
			if s.Name == "step" && len(s.Links) > 0 {
				step = s
			}
		}
		for _, s := range spans {
			if step.SpanID != "" && s.ParentSpanID == step.SpanID {
				push = s
			}
			if len(step.Links) > 0 && s.TraceID+"/"+s.SpanID == step.Links[0] {
				cause = s
			}
		}
		if push.SpanID == "" || cause.SpanID == "" {
			return fmt.Errorf("%d spans; step %+v, push %+v, cause %+v", len(spans), step, push, cause)
		}
		return nil
	})
	checkSpan(t, step, "step", "internal", "", "unset", map[string]any{
		"aimux.transitions": any(nil), "aimux.transition": any(nil), "aimux.epoch": any(nil), "aimux.leader": any(nil), "aimux.table_revision": any(nil),
	})
	if step.Service != "aimux-controlplane" || cause.Service != "aimux-dataplane" {
		t.Errorf("step of %s, cause of %s", step.Service, cause.Service)
	}
	checkSpan(t, push, "send health", "producer", step.SpanID, "unset", map[string]any{
		"messaging.system": "nats", "messaging.operation.type": "send", "messaging.destination.name": "health", "aimux.health_seq": any(nil),
	})
	checkApplied(t, house, read, step, push)
	if cause.Attributes["gen_ai.provider.name"] != "sick" || cause.Attributes["error.type"] == nil {
		t.Errorf("the cause is %+v", cause)
	}
}

// checkSpan compares; a wanted nil is an attribute that must be there, whatever it says.
func checkSpan(t *testing.T, s traced, name, kind, parent, status string, want map[string]any) {
	t.Helper()
	if s.Name != name || s.Kind != kind || s.ParentSpanID != parent || s.Status != status {
		t.Errorf("%q is a %s span below %q with status %s; want %q, %s, %q, %s", s.Name, s.Kind, s.ParentSpanID, s.Status, name, kind, parent, status)
	}
	for key, wanted := range want {
		got, there := s.Attributes[key]
		if !there || wanted != nil && fmt.Sprint(got) != fmt.Sprint(wanted) {
			t.Errorf("%s: %s is %v (there: %v), want %v", name, key, got, there, wanted)
		}
	}
}

// eachFormTraced opens each form with a collector beside it.
func eachFormTraced(t *testing.T, test func(t *testing.T, house *House, read func() []traced)) {
	t.Helper()
	for _, form := range Forms {
		t.Run(form.Name, func(t *testing.T) {
			read := startCollector(t)
			blind := compatible("anthropic")
			blind["models"] = []any{map[string]any{"id": "tiny", "serves": []any{"*"}, "context_window": 10, "max_output_tokens": 5}}
			house := openRouted(t, form, map[string]any{}, map[string]any{
				"sick": serves(compatible("anthropic"), "text", "asked-sick"), "steady": serves(compatible("openai"), "text", "*"), "tiny": blind,
			})
			test(t, house, read)
		})
	}
}

// TestAKeptTrace wants the trace of a failure although sampling chose none, and nothing of what went well.
func TestAKeptTrace(t *testing.T) {
	read := startCollector(t)
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0")
	house := openRouted(t, Forms[0], map[string]any{}, map[string]any{
		"sick": serves(compatible("anthropic"), "text", "asked-sick"), "steady": serves(compatible("openai"), "text", "*"),
	})
	if err := house.Upstream["sick"].Behave("status=500"); err != nil {
		t.Fatal(err)
	}
	for _, model := range []string{"any", "any", "asked-sick"} {
		if response, body := post(t, house.Data[0]+"/v1/messages", `{"model":"`+model+`","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}`); response.StatusCode != http.StatusOK {
			t.Fatal(body)
		}
	}
	eventually(t, "the kept trace", func() error {
		for _, s := range read() {
			if s.Name == "chat any" {
				t.Fatalf("not chosen, and nothing failed, but here it is: %+v", s)
			}
			if s.Name == "chat asked-sick" && s.Kind == "server" {
				return nil
			}
		}
		return fmt.Errorf("%d spans", len(read()))
	})
}

// TestToldContent wants prompts and answers in the spans of requests once the operator asks for them, in the forms of the conventions, without keys.
func TestToldContent(t *testing.T) {
	read := startCollector(t)
	t.Setenv("AIMUX_TRACE_CONTENT", "4096")
	house := open(t, Forms[1], map[string]any{"steady": serves(compatible("openai"), "text", "*")})
	for _, row := range []struct{ path, body string }{
		{"/v1/messages", `{"model":"told-1","max_tokens":64,"system":"Be brief.","messages":[{"role":"user","content":"Where is sk-canary0123456789?"}]}`},
		{"/v1/chat/completions", `{"model":"told-2","stream":true,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Where is sk-canary0123456789?"}]}`},
	} {
		if response, body := post(t, house.Data[0]+row.path, row.body); response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
	}
	told := map[string]traced{}
	eventually(t, "the requests' spans", func() error {
		for _, s := range read() {
			if text := fmt.Sprintf("%+v", s); strings.Contains(text, "canary") {
				t.Fatalf("a key is in %s", text)
			}
			if s.Kind == "server" {
				told[s.Name] = s
			}
		}
		if len(told) < 2 {
			return fmt.Errorf("%d spans", len(told))
		}
		return nil
	})
	asked := `{"role":"user","parts":[{"type":"text","content":"Where is [secret]?"}]}`
	checkSpan(t, told["chat told-1"], "chat told-1", "server", "", "unset", map[string]any{
		"gen_ai.system_instructions": `[{"type":"text","content":"Be brief."}]`, "gen_ai.input.messages": "[" + asked + "]", "gen_ai.output.messages": any(nil),
	})
	checkSpan(t, told["chat told-2"], "chat told-2", "server", "", "unset", map[string]any{
		"gen_ai.input.messages": `[{"role":"system","parts":[{"type":"text","content":"Be brief."}]},` + asked + "]", "gen_ai.output.messages": any(nil),
	})
	for name, s := range told {
		var answers []struct {
			Role         string
			FinishReason string `json:"finish_reason"`
			Parts        []struct{ Type, Content string }
		}
		text, _ := s.Attributes["gen_ai.output.messages"].(string)
		if err := json.Unmarshal([]byte(text), &answers); err != nil || len(answers) != 1 || answers[0].Role != "assistant" || answers[0].FinishReason != "stop" ||
			len(answers[0].Parts) != 1 || answers[0].Parts[0].Type != "text" || answers[0].Parts[0].Content == "" {
			t.Errorf("%s: %v: %s", name, err, text)
		}
	}
}
