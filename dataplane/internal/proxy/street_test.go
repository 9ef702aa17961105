package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"

	"github.com/aimux/aimux/dataplane/internal/auth"
	"github.com/aimux/aimux/shared/fault"
)

func TestStreet(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "anthropic", keys: []string{"the-providers-own-key"}}})
	const ask = `{"model":"m-a","max_tokens":10,"messages":[{"role":"user","content":"Hi"}]}`
	for _, row := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/anthropic", ask, 200, `"type":"message"`},
		{"POST", "/anthropic/v1/messages", ask, 200, `"type":"message"`},
		{"POST", "/v1/messages?beta=true", ask, 200, `"type":"message"`},
		{"POST", "/v1/messages/", ask, 200, `"type":"message"`},
		{"POST", "/v1/chat/completions", ask, 200, `"object":"chat.completion"`},
		{"POST", "/v1/messages/count_tokens?beta=true", `{"model":"m-a","messages":[{"role":"user","content":"Hi"}]}`, 200, `"input_tokens"`},
		{"POST", "/anthropic/v1/messages/count_tokens", `{"model":"m-a","messages":[{"role":"user","content":"Hi"}]}`, 200, `"input_tokens"`},
		{"GET", "/v1/models", "", 200, `"m-a"`},
		{"GET", "/anthropic/v1/models?limit=1000", "", 200, `"has_more"`},
		{"GET", "/v1/models/m-a", "", 200, `"display_name"`},
		{"GET", "/v1/models/a/m-a", "", 200, `"id":"a/m-a"`},
		{"GET", "/v1/models/a%2Fm-a", "", 200, `"id":"a/m-a"`},
		{"GET", "/anthropic/v1/models/a/m-a", "", 200, `"type":"model"`},
		{"GET", "/v1/models/a/nope", "", 404, "a/nope"},
		{"GET", "/v1/models/b/m-a", "", 404, "b/m-a"},
		{"GET", "/v1/models/nope", "", 404, "nope"},
		{"GET", "/anthropic/v1/models/nope", "", 404, `"type":"error"`},
		{"GET", "/health", "", 200, `"status": "ok"`},
		{"GET", "/livez", "", 200, "ok"},
		{"GET", "/readyz", "", 200, "ok"},
		{"GET", "/metrics", "", 200, "aimux_requests_total{"},
		{"GET", "/providers", "", 200, `"weight_ppm"`},
		{"GET", "/config", "", 200, `"load_balancer": "weighted"`},
		{"HEAD", "/", "", 200, ""},
		{"HEAD", "/anthropic", "", 200, ""},
		{"HEAD", "/health", "", 200, ""},
		{"GET", "/v1/messages", "", 405, "takes POST"},
		{"PUT", "/v1/chat/completions", "{}", 405, `"error"`},
		{"POST", "/health", "{}", 405, "takes GET"},
		{"DELETE", "/", "", 405, "takes GET"},
		{"GET", "/nowhere", "", 404, "/nowhere"},
		{"POST", "/v1/responses", "{}", 404, `"code":null`},
		{"POST", "/anthropic/v1/nowhere", "{}", 404, `"type":"not_found_error"`},
		{"POST", "/v1/messages", "", 400, "error"},
		{"POST", "/v1/messages", "{", 400, "error"},
		{"POST", "/v1/messages", "[]", 400, "error"},
		{"POST", "/v1/messages", `{"model":5,"max_tokens":1,"messages":[{"role":"user","content":"x"}]}`, 400, "model"},
		{"POST", "/v1/messages", `{"model":"x","max_tokens":1,"messages":[]}`, 400, "messages"},
		{"POST", "/v1/chat/completions", `{"model":"x","messages":[{"role":"king","content":"x"}]}`, 400, "role"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), row.method, r.url+row.path, strings.NewReader(row.body))
		if err != nil {
			t.Fatal(err)
		}
		a := r.do(req)
		if a.status != row.status || !strings.Contains(a.body, row.want) {
			t.Errorf("%s %s: %d %s", row.method, row.path, a.status, a.body)
		}
		if strings.HasPrefix(row.path, "/v1/") && row.method == "POST" && (a.header.Get("Request-Id") == "" || a.header.Get("Request-Id") != a.header.Get("X-Request-ID")) {
			t.Errorf("%s: ids %q and %q", row.path, a.header.Get("Request-Id"), a.header.Get("X-Request-ID"))
		}
		if strings.Contains(a.body, "the-providers-own-key") {
			t.Errorf("%s shows a key", row.path)
		}
	}
	var figures map[string]any
	if err := json.Unmarshal([]byte(r.get("/metrics", "Accept", "application/json").body), &figures); err != nil || figures["aimux_requests_total"] == nil {
		t.Errorf("metrics as JSON: %v", err)
	}
	r.handler.Drain()
	if a := r.get("/readyz"); a.status != 503 {
		t.Errorf("readyz while draining: %d", a.status)
	}
	if a := r.get("/livez"); a.status != 200 {
		t.Errorf("livez while draining: %d", a.status)
	}
}

// What reaches a provider: its own key and what the format asks for; of the client's headers the version and the betas, byte for byte.
func TestHeadersUpstream(t *testing.T) {
	got := make(chan *http.Request, 1)
	provider := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got <- r
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}`)
	})
	r := newRig(t, []backend{{id: "a", protocol: "anthropic", handler: provider, keys: []string{"key-of-the-node"}}})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/messages?beta=true", strings.NewReader(fmt.Sprintf(anthropicAsk, "")))
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Anthropic-Beta"] = []string{"one-2025,two ;x", "three"}
	for name, value := range map[string]string{
		"Anthropic-Version": "2026-10-21", "X-Api-Key": "key-of-the-client", "Authorization": "Bearer key-of-the-client", "Cookie": "a=b",
		"X-Forwarded-For": "1.2.3.4", "X-Secret": "x", "Host": "evil",
	} {
		req.Header.Set(name, value)
	}
	if a := r.do(req); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	sent := <-got
	want := map[string][]string{
		"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "Content-Type": {"application/json"}, "User-Agent": {"aimux/test"},
		"X-Api-Key": {"key-of-the-node"}, "Anthropic-Version": {"2026-10-21"}, "Anthropic-Beta": {"one-2025,two ;x", "three"},
	}
	for name, values := range sent.Header {
		if name != "Content-Length" && fmt.Sprint(values) != fmt.Sprint(want[name]) {
			t.Errorf("%s: %q", name, values)
		}
	}
	for name := range want {
		if sent.Header[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if sent.URL.RawQuery != "beta=true" || strings.Contains(sent.Host, "evil") {
		t.Errorf("%s %s", sent.Host, sent.URL)
	}
	if a := r.ask("openai", false); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if sent := <-got; sent.Header.Get("Anthropic-Version") != apiVersionDefault || sent.URL.RawQuery != "" {
		t.Errorf("from another format: %v %s", sent.Header, sent.URL)
	}
}

// A plain request for a long answer is served by streaming upstream.
func TestAggregates(t *testing.T) {
	for _, protocol := range []string{"openai", "anthropic"} {
		r := newRig(t, []backend{{id: "a", protocol: protocol}})
		path, body := "/v1/chat/completions", openAIAsk
		if protocol == "anthropic" {
			path, body = "/v1/messages", anthropicAsk
		}
		a := r.post(path, strings.Replace(fmt.Sprintf(body, ""), `"max_tokens":64`, `"max_tokens":64000`, 1))
		if a.status != 200 || !ended(protocol, false, a.body) || strings.Contains(a.body, "data:") {
			t.Errorf("%d %s", a.status, a.body)
		}
		if sent := r.providers["a"].Received()[0]; !strings.Contains(string(sent.Body), `"stream":true`) {
			t.Errorf("upstream was asked for %s", sent.Body)
		}
		if rec := r.last(1); rec.Stream || rec.Attempts[0].FirstToken == 0 || !rec.Usage.Reported {
			t.Errorf("record: %s, first token %v", told(rec), rec.Attempts[0].FirstToken)
		}
	}
}

// A provider that breaks in the middle of a plain answer is as invisible as one that refuses.
func TestAggregatesElsewhere(t *testing.T) {
	r := newRig(t, []backend{{id: "sick", protocol: "anthropic", scenario: "cut&after=5+token=5ms"}, {id: "well", protocol: "anthropic"}})
	a := r.post("/v1/messages", strings.Replace(fmt.Sprintf(anthropicAsk, ""), `"max_tokens":64`, `"max_tokens":20000`, 1))
	if a.status != 200 || a.header.Get("X-Aimux-Provider") != "well" {
		t.Errorf("%d %s %s", a.status, a.header.Get("X-Aimux-Provider"), a.body)
	}
	if rec := r.last(1); len(rec.Attempts) != 2 || rec.Attempts[0].Fault.Kind != fault.Truncated {
		t.Errorf("record: %s", told(rec))
	}
}

// A token count that nobody answers is estimated, and rather too high.
func TestCountEstimated(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "openai"}})
	a := r.post("/v1/messages/count_tokens", `{"model":"m-a","messages":[{"role":"user","content":"`+strings.Repeat("hello world ", 200)+`"}]}`)
	var count struct {
		Tokens int `json:"input_tokens"`
	}
	if err := json.Unmarshal([]byte(a.body), &count); err != nil || count.Tokens < 400 || count.Tokens > 1500 {
		t.Errorf("%d %s", a.status, a.body)
	}
	r.last(1)
}

// Callers without a key are turned away where the table says so and the listener is not the machine's own.
func TestStrangers(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "anthropic"}})
	r.handler.deps.Door = auth.New(auth.Config{}, auth.Deps{Log: r.handler.deps.Log, Now: time.Now})
	for _, protocol := range []string{"openai", "anthropic"} {
		if a := r.ask(protocol, false, "X-Api-Key", "guess"); a.status != 401 || a.header.Get("X-Should-Retry") != "false" || !strings.Contains(a.body, "authentication_error") && !strings.Contains(a.body, "invalid_api_key") {
			t.Errorf("%s: %d %s", protocol, a.status, a.body)
		}
	}
	if a := r.get("/providers"); a.status != 401 {
		t.Errorf("/providers: %d", a.status)
	}
	if a := r.get("/health"); a.status != 200 {
		t.Errorf("/health: %d", a.status)
	}
}

// A provider that is gone costs no request, however many were on their way to it: what reached nobody needs no room in the budget.
func TestNobodyToConnectTo(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "openai"}, {id: "b", protocol: "openai"}}, func(c *tablev1.Config, _ *Config) {
		gone, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		gone.Close()
		c.Policy.RetryShare, c.Providers[0].BaseUrl = 0.0001, "http://"+gone.Addr().String()+"/v1"
	})
	r.handler.budgets.request(r.snapshot.Load().Table, r.vitals.NowMs())
	for r.handler.budgets.retry(r.vitals.NowMs(), &fault.Fault{Kind: fault.ServerError, Sent: true}) {
	}
	if a := r.ask("openai", false); a.status != 200 || a.header.Get("X-Aimux-Attempts") != "2" {
		t.Errorf("%d after %s attempts: %s", a.status, a.header.Get("X-Aimux-Attempts"), a.body)
	}
	r.snapshot.Load().Table.Policy().RetryShare = 0 // as an operator says that nothing is to be tried again
	r.handler.budgets.request(r.snapshot.Load().Table, r.vitals.NowMs())
	if a := r.ask("openai", false); a.status != 502 || a.header.Get("X-Aimux-Attempts") != "1" {
		t.Errorf("without retries: %d after %s attempts", a.status, a.header.Get("X-Aimux-Attempts"))
	}
}

// Budgets hold: without room for retries the first failure is the answer.
func TestRetryBudget(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "openai", scenario: "status=404"}, {id: "b", protocol: "openai"}},
		func(c *tablev1.Config, _ *Config) { c.Policy.RetryShare = 0.0001; c.Policy.LoadBalancer = "weighted" })
	failed := 0
	for range 40 {
		if a := r.ask("openai", false); a.status != 200 {
			failed++
		}
	}
	if n := r.providers["b"].Stats().Requests; failed == 0 || n > 40 {
		t.Errorf("%d failed, %d reached the second provider", failed, n)
	}
	retries := 0
	r.last(40)
	for _, rec := range r.records {
		retries += len(rec.Attempts) - 1
	}
	if retries > 10 {
		t.Errorf("%d retries", retries)
	}
}
