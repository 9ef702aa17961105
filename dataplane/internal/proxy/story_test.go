package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"

	"github.com/aimux/aimux/shared/fault"
)

// ended says that an answer is complete in its format.
func ended(protocol string, stream bool, body string) bool {
	switch {
	case !stream:
		return strings.HasPrefix(body, "{") && strings.Contains(body, "scripted provider")
	case protocol == "anthropic":
		return strings.Contains(body, "event: message_stop")
	}
	return strings.Contains(body, "data: [DONE]")
}

// A provider that fails before the first byte to the client is invisible: the next one answers, one record tells of both.
func TestFailsBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		scenario   string
		kind       fault.Kind
		onlyStream bool
		onlyPlain  bool
		urgent     bool
	}{
		{scenario: "status=500", kind: fault.ServerError, urgent: true},
		{scenario: "status=529", kind: fault.Overloaded},
		{scenario: "status=429&retry-after=2", kind: fault.RateLimited},
		{scenario: "status=401", kind: fault.Unauthorized, urgent: true},
		{scenario: "status=404", kind: fault.NotFound},
		{scenario: "html-error", kind: fault.ServerError, urgent: true},
		{scenario: "empty-body", kind: fault.Truncated, onlyPlain: true, urgent: true},
		{scenario: "error-in-200", kind: fault.Overloaded},
		{scenario: "redirect", kind: fault.ServerError, urgent: true},
		{scenario: "garbage&after=0", kind: fault.Garbage, onlyPlain: true, urgent: true},
		{scenario: "reset&after=0", kind: fault.Connect, urgent: true},
		{scenario: "abort&after=0", kind: fault.Connect, urgent: true},
		{scenario: "cut&after=3", kind: fault.Truncated, onlyPlain: true, urgent: true},
		{scenario: "stall&after=0", kind: fault.FirstToken, onlyStream: true, urgent: true},
		// Who says that an answer begins has said nothing yet.
		{scenario: "error-mid-stream&after=1", kind: fault.Overloaded, onlyStream: true},
		{scenario: "cut&after=1", kind: fault.Truncated, onlyStream: true, urgent: true},
		{scenario: "abort&after=1", kind: fault.Truncated, onlyStream: true, urgent: true},
		{scenario: "reset&after=1", kind: fault.Truncated, onlyStream: true, urgent: true},
		{scenario: "garbage&after=1", kind: fault.Garbage, onlyStream: true, urgent: true},
		{scenario: "stall&after=1", kind: fault.FirstToken, onlyStream: true, urgent: true},
		{scenario: "early+first=20s", kind: fault.FirstToken, onlyStream: true, urgent: true},
	} {
		for _, protocol := range []string{"openai", "anthropic"} {
			for _, stream := range []bool{false, true} {
				if row.onlyStream && !stream || row.onlyPlain && stream {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/stream=%v", row.scenario, protocol, stream), func(t *testing.T) {
					r := newRig(t, []backend{{id: "sick", protocol: protocol, scenario: row.scenario}, {id: "well", protocol: protocol}},
						func(c *tablev1.Config, _ *Config) { c.Policy.FirstTokenTimeoutMs = 300; c.Policy.HedgeShare = 0 })
					a := r.ask(protocol, stream)
					if a.err != nil || a.status != 200 || !ended(protocol, stream, a.body) {
						t.Fatalf("status %d, error %v, body %q", a.status, a.err, a.body)
					}
					if got := a.header.Get("X-Aimux-Provider"); got != "well" {
						t.Errorf("answered by %q", got)
					}
					if got := a.header.Get("X-Aimux-Attempts"); got != "2" {
						t.Errorf("x-aimux-attempts: %s", got)
					}
					rec := r.last(1)
					if len(rec.Attempts) != 2 || rec.Attempts[0].Fault.Kind != row.kind || !rec.Attempts[1].Fault.OK() || rec.Fault != fault.None {
						t.Errorf("record: %s", told(rec))
					}
					if rec.Reason != "failover" || !rec.Usage.Reported && protocol == "anthropic" {
						t.Errorf("reason %q, usage %+v", rec.Reason, rec.Usage)
					}
					if got := r.urgent.Load() > 0; got != row.urgent {
						t.Errorf("urgent: %v", got)
					}
				})
			}
		}
	}
}

// A stream that breaks after its first byte ends with the format's own error, and with no second attempt.
func TestBreaksAfterTheFirstByte(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		scenario string
		kind     fault.Kind
	}{
		{"cut&after=4+token=5ms", fault.Truncated},
		{"abort&after=4+token=5ms", fault.Truncated},
		{"reset&after=4+token=5ms", fault.Truncated},
		{"stall&after=4+token=5ms", fault.Stall},
		{"error-mid-stream&after=4+token=5ms", fault.Overloaded},
		{"garbage&after=4+token=5ms", fault.Garbage},
		{"no-done+no-finish+token=5ms", fault.Truncated},
	} {
		for _, protocol := range []string{"openai", "anthropic"} {
			t.Run(row.scenario+"/"+protocol, func(t *testing.T) {
				r := newRig(t, []backend{{id: "sick", protocol: protocol, scenario: row.scenario}, {id: "well", protocol: protocol}},
					func(c *tablev1.Config, _ *Config) { c.Policy.IdleTimeoutMs = 300 })
				a := r.ask(protocol, true)
				rec := r.last(1)
				if a.status != 200 || a.err != nil {
					t.Fatalf("status %d, error %v", a.status, a.err)
				}
				if ended(protocol, true, a.body) || !strings.Contains(a.body, `"error"`) {
					t.Errorf("the stream's end was invented, or its error is missing: %q", a.body)
				}
				if len(rec.Attempts) != 1 || rec.Status != 200 || rec.Fault == fault.None {
					t.Errorf("record: %s", told(rec))
				}
				if row.kind != rec.Fault {
					t.Errorf("fault %v, want %v", rec.Fault, row.kind)
				}
				if n := r.providers["well"].Stats().Requests; n != 0 {
					t.Errorf("%d requests reached another provider after the first byte", n)
				}
			})
		}
	}
}

// When nobody is left, the client gets its own envelope, who was tried, and what to do.
func TestNobodyLeft(t *testing.T) {
	for _, row := range []struct {
		scenario, retry, after    string
		statusOpenAI, statusOther int
	}{
		{"status=500", "true", "", 500, 500},
		{"status=429&retry-after=7", "true", "7", 429, 429},
		{"status=429&retry-after=99999999999", "true", "60", 429, 429},
		{"status=401", "false", "", 502, 502},
		{"status=529", "true", "", 503, 529},
		{"status=400&message=nonsense", "false", "", 400, 400},
	} {
		for _, protocol := range []string{"openai", "anthropic"} {
			t.Run(row.scenario+"/"+protocol, func(t *testing.T) {
				r := newRig(t, []backend{{id: "a", protocol: protocol, scenario: row.scenario}, {id: "b", protocol: protocol, scenario: row.scenario}})
				a := r.ask(protocol, true)
				want := row.statusOther
				if protocol == "openai" {
					want = row.statusOpenAI
				}
				if a.status != want || a.header.Get("X-Should-Retry") != row.retry || a.header.Get("Retry-After") != row.after {
					t.Errorf("status %d, x-should-retry %q, retry-after %q; want %d %q %q", a.status, a.header.Get("X-Should-Retry"), a.header.Get("Retry-After"), want, row.retry, row.after)
				}
				if a.header.Get("Content-Type") != "application/json" || !strings.Contains(a.body, `"error"`) || a.header.Get("Request-Id") == "" {
					t.Errorf("body %q, header %v", a.body, a.header)
				}
				if (protocol == "anthropic") != strings.Contains(a.body, `"type":"error"`) {
					t.Errorf("not the caller's envelope: %q", a.body)
				}
				r.last(1)
			})
		}
	}
}

// A key that a provider quotes in its error goes nowhere; the pool's other key is tried before the next provider.
func TestKeys(t *testing.T) {
	const one, two = "weird.Key-0123456789-abcdefghij", "other.Key-9876543210-zyxwvutsrq"
	var seen []string
	mux := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		seen = append(seen, key)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":{"message":"Incorrect API key provided: %s, or %s.","type":"invalid_request_error"}}`, key, key[:12])
	})
	r := newRig(t, []backend{{id: "a", protocol: "openai", handler: mux, keys: []string{one, two}}})
	a := r.ask("openai", false)
	if a.status != 502 || a.header.Get("X-Should-Retry") != "false" {
		t.Errorf("status %d, %v", a.status, a.header)
	}
	if len(seen) != 2 || seen[0] == seen[1] {
		t.Errorf("keys tried: %d", len(seen))
	}
	rec := r.last(1)
	for name, text := range map[string]string{"answer": a.body, "record": fmt.Sprintf("%+v", rec), "log": r.log.String(), "page": r.get("/providers").body} {
		for _, key := range []string{one, two} {
			if strings.Contains(text, key) || strings.Contains(text, key[:12]) {
				t.Errorf("the key is in the %s: %s", name, text)
			}
		}
	}
	if len(rec.Attempts) != 2 || rec.Attempts[0].Target.Credential == rec.Attempts[1].Target.Credential {
		t.Errorf("record: %s", told(rec))
	}
	if a := r.ask("openai", false); a.status != 503 {
		t.Errorf("with both keys refused: status %d, %s", a.status, a.body)
	}
	if len(seen) != 2 {
		t.Errorf("a refused key was used again")
	}
}

// A client that leaves, at whatever stage, cancels upstream and is nobody's failure.
func TestClientLeaves(t *testing.T) {
	for name, scenario := range map[string]string{"before the head": "first=20s", "in the stream": "tokens=10000+token=5ms", "before anything": "stall&after=0"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, []backend{{id: "a", protocol: "anthropic", scenario: scenario}, {id: "b", protocol: "anthropic"}},
				func(c *tablev1.Config, _ *Config) { c.Policy.HedgeShare = 0 })
			body := fmt.Sprintf(anthropicAsk, `,"stream":true`)
			head := fmt.Sprintf("POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
			req := r.dialConn(head + body)
			r.until("upstream is asked", func() bool { return r.providers["a"].Stats().InFlight == 1 })
			if name == "in the stream" {
				if _, err := req.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			req.Close()
			rec := r.last(1)
			if rec.Fault != fault.Canceled || len(rec.Attempts) != 1 || rec.Attempts[0].Fault.Kind != fault.Canceled {
				t.Errorf("record: %s", told(rec))
			}
			r.until("upstream is cancelled", func() bool { return r.providers["a"].Stats().InFlight == 0 })
			if n := r.providers["b"].Stats().Requests; n != 0 {
				t.Errorf("%d requests went on without a client", n)
			}
			if name == "in the stream" && (rec.Usage.Output == 0 || rec.Attempts[0].CostNano == 0) {
				t.Errorf("what had streamed was not accounted: %+v", rec.Attempts[0])
			}
			select {
			case c := <-r.changes:
				t.Errorf("a circuit changed: %+v", c)
			default:
			}
		})
	}
}

// A first token that is late counts at that moment and starts a hedge; the loser is cancelled, and both are accounted.
func TestHedge(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{true, false} {
		r := newRig(t, []backend{{id: "slow", protocol: "anthropic", scenario: "first=20s"}, {id: "fast", protocol: "anthropic"}},
			func(c *tablev1.Config, _ *Config) { c.Providers[0].AvgResponseTimeMs = 1 })
		extra := ""
		if stream {
			extra = `,"stream":true`
		}
		a := r.post("/v1/messages", strings.Replace(fmt.Sprintf(anthropicAsk, extra), `"max_tokens":64`, `"max_tokens":20000`, 1))
		if a.status != 200 || a.header.Get("X-Aimux-Provider") != "fast" || a.header.Get("X-Aimux-Reason") != "hedge" || !ended("anthropic", stream, a.body) {
			t.Fatalf("status %d, %v, %q", a.status, a.header, a.body)
		}
		rec := r.last(1)
		if len(rec.Attempts) != 2 || !rec.Attempts[0].Overdue || rec.Attempts[0].Fault.Kind != fault.Canceled || !rec.Attempts[1].Hedge {
			t.Errorf("record: %s", told(rec))
		}
		r.until("the loser is cancelled", func() bool { return r.providers["slow"].Stats().InFlight == 0 })
	}
}

// The client's own deadline holds, and the answer says what happened.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{true, false} {
		r := newRig(t, []backend{{id: "slow", protocol: "openai", scenario: "first=20s"}}, func(c *tablev1.Config, _ *Config) { c.Policy.HedgeShare = 0 })
		began := time.Now()
		a := r.ask("openai", stream, "X-Request-Timeout", "0.3")
		if a.status != 504 || time.Since(began) > 1300*time.Millisecond {
			t.Errorf("status %d after %v: %s", a.status, time.Since(began), a.body)
		}
		if rec := r.last(1); rec.Fault != fault.Deadline || rec.Attempts[0].Fault.Kind != fault.Deadline {
			t.Errorf("record: %s", told(rec))
		}
	}
}

// A silent stream is committed and pinged, and then goes on as if nothing had been.
func TestPings(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"openai", "anthropic"} {
		r := newRig(t, []backend{{id: "a", protocol: protocol, scenario: "first=500ms"}},
			func(_ *tablev1.Config, c *Config) {
				c.HoldMax, c.PingEvery = 100*time.Millisecond, 100*time.Millisecond
			})
		a := r.ask(protocol, true)
		if a.status != 200 || !ended(protocol, true, a.body) || !strings.HasPrefix(a.body, ":") && !strings.HasPrefix(a.body, "event: ping") {
			t.Errorf("%s: status %d, %q", protocol, a.status, a.body)
		}
		if rec := r.last(1); rec.FirstByte > 400*time.Millisecond || rec.Fault != fault.None {
			t.Errorf("record: %s", told(rec))
		}
	}
}

// After pings the way back is closed: a failure ends the stream with its error.
func TestFailsAfterPings(t *testing.T) {
	t.Parallel()
	r := newRig(t, []backend{{id: "a", protocol: "anthropic", scenario: "first=300ms+error-mid-stream&after=0"}, {id: "b", protocol: "anthropic"}},
		func(p *tablev1.Config, c *Config) {
			c.HoldMax = 50 * time.Millisecond
			p.Policy.FirstTokenTimeoutMs = 200
			p.Policy.HedgeShare = 0
		})
	a := r.ask("anthropic", true)
	if a.status != 200 || !strings.Contains(a.body, "event: error") || strings.Contains(a.body, "message_start") {
		t.Errorf("status %d, %q", a.status, a.body)
	}
	if rec := r.last(1); len(rec.Attempts) != 1 || rec.Fault != fault.FirstToken {
		t.Errorf("record: %s", told(rec))
	}
}

// A field that a provider refuses is left out in a second try, there and from then on.
func TestLearns(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "openai", scenario: "refuse=seed"}})
	for i := 1; i <= 2; i++ {
		a := r.post("/v1/chat/completions", fmt.Sprintf(openAIAsk, `,"seed":1`))
		if a.status != 200 {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		if rec := r.last(i); len(rec.Attempts) != 3-i {
			t.Errorf("request %d took %d attempts", i, len(rec.Attempts))
		}
	}
	if !strings.Contains(r.get("/providers").body, `"seed"`) {
		t.Error("/providers does not show what was learnt")
	}
}

// n requests give n records, whatever becomes of them: a panic in the middle included.
func TestOneRecordEach(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "openai", scenario: "status=500+share=0.3"}, {id: "b", protocol: "openai", scenario: "cut&after=4+share=0.3"}})
	const n = 60
	for i := range n {
		r.ask("openai", i%2 == 0)
	}
	r.last(n)
	seen := map[string]bool{}
	for _, one := range r.records {
		if seen[one.RequestID] {
			t.Errorf("%s twice", one.RequestID)
		}
		seen[one.RequestID] = true
	}
	if got := r.handler.InFlight(); got != 0 {
		t.Errorf("%d in flight", got)
	}
}

// When everybody has left, nothing of them is left: no goroutine, no body, nothing in flight.
func TestNothingStays(t *testing.T) {
	r := newRig(t, []backend{{id: "slow", protocol: "anthropic", scenario: "first=900ms"}, {id: "fast", protocol: "anthropic", scenario: "tokens=50+token=2ms"}},
		func(c *tablev1.Config, _ *Config) { c.Providers[0].AvgResponseTimeMs = 1 })
	before := runtime.NumGoroutine()
	body := fmt.Sprintf(anthropicAsk, `,"stream":true`)
	head := fmt.Sprintf("POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(body))
	const n = 16
	for i := range n {
		conn := r.dialConn(head + body)
		if i%2 == 0 {
			go func() { defer conn.Close(); _, _ = io.Copy(io.Discard, io.LimitReader(conn, 500)) }()
		} else {
			time.AfterFunc(time.Duration(i)*time.Millisecond, func() { conn.Close() })
		}
	}
	r.last(n)
	r.handler.deps.Upstream.Close() // kept connections hold goroutines of the providers, which stand in this process
	r.until("goroutines are back to where they were", func() bool { return runtime.NumGoroutine() <= before+2 })
	if s := r.street.Stats(); s.BufferBytes != 0 || r.handler.InFlight() != 0 {
		t.Errorf("%d bytes held, %d in flight", s.BufferBytes, r.handler.InFlight())
	}
	r.handler.Signs(func(s *Sign) {
		if s.InFlight != 0 {
			t.Errorf("%s: %d in flight", s.Provider, s.InFlight)
		}
	})
}

// A mistake of ours costs one request: it is answered, recorded, and nothing is left behind.
func TestPanic(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "openai"}})
	r.handler.deps.Limits = panicking{}
	a := r.ask("openai", false)
	if a.status != 500 || !strings.Contains(a.body, "error") {
		t.Errorf("status %d, %q", a.status, a.body)
	}
	if rec := r.last(1); rec.Fault != fault.Internal {
		t.Errorf("record: %s", told(rec))
	}
	r.handler.deps.Limits = unlimited{}
	if a := r.ask("openai", false); a.status != 200 {
		t.Errorf("the next request: status %d", a.status)
	}
}

// Failures in a row open the node's own circuit: the next pick goes elsewhere, and nobody was failed on the way.
func TestCircuit(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "openai", scenario: "status=500"}, {id: "b", protocol: "openai"}})
	for i := range 8 {
		if a := r.ask("openai", false); a.status != 200 {
			t.Fatalf("request %d: status %d", i, a.status)
		}
	}
	if n := r.providers["a"].Stats().Requests; n != 5 {
		t.Errorf("%d requests reached the sick provider, want 5", n)
	}
	opened := false
	for len(r.changes) > 0 {
		c := <-r.changes
		opened = opened || c.Provider == "a" && c.Model == "m-a" && !c.Reason.To.Closed()
	}
	if !opened {
		t.Error("nobody was told")
	}
}

// A provider that is only half dead is left in time: headers without a body, a refusal without its words, a plain answer that never comes.
func TestHalfDead(t *testing.T) {
	t.Parallel()
	for name, sick := range map[string]http.HandlerFunc{
		"a refusal without words": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"headers and nothing else": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index"`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"a hundred megabytes of refusal": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			for range 1600 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, []backend{{id: "sick", protocol: "openai", handler: drained(sick)}, {id: "well", protocol: "openai"}},
				func(c *tablev1.Config, _ *Config) { c.Policy.HedgeShare = 0; c.Policy.FirstTokenTimeoutMs = 200 })
			a := r.post("/v1/chat/completions", strings.Replace(fmt.Sprintf(openAIAsk, ""), `"max_tokens":64`, `"max_tokens":8`, 1))
			if a.status != 200 || a.header.Get("X-Aimux-Provider") != "well" {
				t.Errorf("%d %s", a.status, a.body)
			}
			if rec := r.last(1); !rec.Attempts[0].Fault.Kind.Hard() {
				t.Errorf("record: %s", told(rec))
			}
		})
	}
}

// A compressed answer, for which nobody asked, is given up at its head: it may be a bomb.
func TestACompressedAnswer(t *testing.T) {
	t.Parallel()
	packed := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // nobody waits for the rest
	}
	r := newRig(t, []backend{{id: "sick", protocol: "anthropic", handler: drained(packed)}, {id: "well", protocol: "anthropic"}}, func(c *tablev1.Config, _ *Config) { c.Policy.HedgeShare = 0 })
	a := r.ask("anthropic", false)
	if a.status != 200 || a.header.Get("X-Aimux-Provider") != "well" {
		t.Errorf("%d from %s: %.200s", a.status, a.header.Get("X-Aimux-Provider"), a.body)
	}
	if rec := r.last(1); rec.Attempts[0].Fault.Kind != fault.Garbage || !strings.Contains(rec.Attempts[0].Fault.Message, "gzip") {
		t.Errorf("record: %s", told(rec))
	}
}

// A stream that opens and then goes on without end, but says nothing, is given up before it fills the node's memory.
func TestGoesOnWithoutSayingAnything(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{
		"comments": ": and so on\n\n",
		"pings":    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
		"nothing":  "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\"}}\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			var sent atomic.Int64
			sick := func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprint(w, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"x\",\"content\":[],\"usage\":{\"input_tokens\":1}}}\n\n")
				fmt.Fprint(w, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n")
				for text := []byte(strings.Repeat(more, 1000)); sent.Load() < 1<<28; {
					n, err := w.Write(text)
					if sent.Add(int64(n)); err != nil {
						return
					}
				}
			}
			r := newRig(t, []backend{{id: "sick", protocol: "anthropic", handler: drained(sick)}, {id: "well", protocol: "anthropic"}}, func(c *tablev1.Config, _ *Config) { c.Policy.HedgeShare = 0 })
			a := r.ask("anthropic", true)
			if a.status != 200 || a.header.Get("X-Aimux-Provider") != "well" {
				t.Errorf("%d from %s: %.200s", a.status, a.header.Get("X-Aimux-Provider"), a.body)
			}
			if rec := r.last(1); rec.Attempts[0].Fault.Kind != fault.Garbage || sent.Load() >= 1<<28 {
				t.Errorf("%d bytes were taken; record: %s", sent.Load(), told(rec))
			}
		})
	}
}

// drained reads the request first, as net/http only then notices that its client leaves.
func drained(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		next(w, r)
	})
}

// A drain whose patience ends ends its streams in words, and charges nobody.
func TestDrainEndsStreamsInWords(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"openai", "anthropic"} {
		r := newRig(t, []backend{{id: "a", protocol: protocol, scenario: "tokens=10000+token=5ms"}})
		got := make(chan answer, 1)
		go func() { got <- r.ask(protocol, true) }()
		r.until("the stream is under way", func() bool { return r.providers["a"].Stats().InFlight == 1 })
		time.Sleep(50 * time.Millisecond) // some of it has come
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if cut := r.street.Drain(ctx); cut != 0 {
			t.Errorf("%d cut", cut)
		}
		cancel()
		if a := <-got; a.err != nil || !strings.Contains(a.body, "shutting down") || ended(protocol, true, a.body) {
			t.Errorf("%v, %q", a.err, a.body[max(0, len(a.body)-300):])
		}
		if rec := r.last(1); rec.Attempts[0].Fault.Kind != fault.Canceled || rec.Fault != fault.Overloaded {
			t.Errorf("record: %s", told(rec))
		}
	}
}

// Silence in a stream has its own limit, also where it ends before a first token would have been late.
func TestSilenceIsFoundInTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, []backend{{id: "a", protocol: "openai", scenario: "stall&after=4+token=5ms"}}, func(c *tablev1.Config, _ *Config) {
		c.Policy.IdleTimeoutMs, c.Providers[0].AvgResponseTimeMs = 200, 5000
	})
	r.ask("openai", true)
	if rec := r.last(1); rec.Attempts[0].Fault.Kind != fault.Stall || rec.Duration > 5*time.Second {
		t.Errorf("record: %s after %v", told(rec), rec.Duration)
	}
}

// An answer that only shows signs of life has stalled, whichever they are; one that thinks or writes a file in silence has not, as long as it shows them.
func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	const idle = 300 * time.Millisecond
	event := func(body string) string { return "data: " + body + "\n\n" }
	chunk := func(text string) string {
		return event(`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}]}`)
	}
	begin := event(`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}`)
	block := func(kind string) string {
		return event(`{"type":"content_block_start","index":0,"content_block":` + kind + `}`)
	}
	end := event(`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9}}`) + event(`{"type":"message_stop"}`)
	for name, row := range map[string]struct {
		protocol, opening, sign, rest string
	}{
		"empty pieces": {"openai", chunk("Hello"), chunk(""), ""},
		"comments":     {"openai", chunk("Hello"), ": alive\n\n", ""},
		"usage":        {"openai", chunk("Hello"), event(`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`), ""},
		"empty deltas": {"anthropic", begin + block(`{"type":"text","text":""}`), event(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}`), ""},
		"pings":        {"anthropic", begin + block(`{"type":"text","text":""}`) + event(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}`), event(`{"type":"ping"}`), ""},
		"silent thought": {"anthropic", begin + block(`{"type":"thinking","thinking":"","signature":""}`), event(`{"type":"ping"}`),
			event(`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}`) + event(`{"type":"content_block_stop","index":0}`) +
				end},
		"a long argument": {"anthropic", begin + block(`{"type":"tool_use","id":"t","name":"Write","input":{}}`) +
			event(`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"path\":\"a\","}}`), event(`{"type":"ping"}`),
			event(`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"\"content\":\"b\"}"}}`) +
				event(`{"type":"content_block_stop","index":0}`) + end},
		"a provider's own tool": {"anthropic", begin + block(`{"type":"server_tool_use","id":"s","name":"code_execution","input":{}}`) + event(`{"type":"content_block_stop","index":0}`), event(`{"type":"ping"}`), end},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alive := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, row.opening)
				tick := time.NewTicker(idle / 10)
				defer tick.Stop()
				for begun := time.Now(); row.rest == "" || time.Since(begun) < (hollowTimes+1)*idle; {
					_, _ = io.WriteString(w, row.sign)
					_ = http.NewResponseController(w).Flush()
					select {
					case <-r.Context().Done():
						return
					case <-tick.C:
					}
				}
				_, _ = io.WriteString(w, row.rest)
			})
			r := newRig(t, []backend{{id: "a", protocol: row.protocol, handler: alive}}, func(c *tablev1.Config, _ *Config) {
				c.Policy.IdleTimeoutMs = uint32(idle.Milliseconds())
			})
			a := r.ask(row.protocol, true)
			rec := r.last(1)
			if row.rest != "" && (rec.Fault != fault.None || !strings.Contains(a.body, "message_stop")) {
				t.Errorf("cut: %s %.300q", told(rec), a.body)
			}
			if row.rest == "" && (rec.Fault != fault.Stall || !strings.Contains(a.body, "signs of life")) {
				t.Errorf("not found: %s %.300q", told(rec), a.body)
			}
		})
	}
}

// Plain answers tell how long a token takes too, so that a node without streams knows when a plain one hangs.
func TestPlainAnswersTellThePace(t *testing.T) {
	t.Parallel()
	r := newRig(t, []backend{{id: "a", protocol: "openai", scenario: "tokens=50"}})
	bound := r.snapshot.Load().Warm.bound
	before := bound.PerToken(0)
	r.ask("openai", false)
	r.last(1)
	if after := bound.PerToken(0); after >= before {
		t.Errorf("%v per token before the first answer, %v after it", before, after)
	}
}
