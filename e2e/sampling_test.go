package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// spanFate reads how many of a process's spans came to that end so far.
func spanFate(t *testing.T, base, fate string) int {
	t.Helper()
	found := regexp.MustCompile(`(?m)^aimux_spans_total\{fate="` + fate + `"\} (\d+)$`).FindStringSubmatch(figures(t, base+"/metrics"))
	if found == nil {
		t.Fatalf("%s does not count spans that are %s", base, fate)
	}
	n, _ := strconv.Atoi(found[1])
	return n
}

// TestSamplingKeepsWhatFailed samples none and wants, of hundreds of requests that went well, none, and of 5 that failed over and 5 that failed all:
// each whole, with the attempts that had ended before anybody knew. The callers ask for everything to be traced, which is not theirs to ask here.
func TestSamplingKeepsWhatFailed(t *testing.T) {
	read := startCollector(t)
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0")
	t.Setenv("AIMUX_TRACE_OWN", "true")
	patient := func(settings map[string]any) map[string]any {
		settings["max_failures"] = 1000 // circuits are not the matter here
		return settings
	}
	house := openRouted(t, Forms[1], map[string]any{}, map[string]any{
		"sick": patient(serves(compatible("anthropic"), "text", "asked-sick")), "steady": patient(serves(compatible("openai"), "text", "*")),
	})
	behave := func(behaviour string, providers ...string) {
		t.Helper()
		for _, provider := range providers {
			if err := house.Upstream[provider].Behave(behaviour); err != nil {
				t.Fatal(err)
			}
		}
	}
	node := house.Data[0]
	failovers, failures, good := 0, 0, 0
	ask := func(model string) {
		t.Helper()
		response, body := post(t, node+"/v1/messages", fmt.Sprintf(`{"model":%q,"max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}`, model),
			"Traceparent", "00-"+clientTrace+"-"+clientSpan+"-01")
		switch {
		case response.StatusCode == http.StatusInternalServerError:
			failures++
		case response.StatusCode != http.StatusOK:
			t.Fatalf("%s: %d %s", model, response.StatusCode, body)
		case response.Header.Get("X-Aimux-Attempts") != "1":
			failovers++
		default:
			good++
		}
	}
	for failovers < 5 && good < 2000 {
		behave("status=500", "sick")
		ask("asked-sick")
		if failures < 5 {
			behave("status=500", "steady")
			ask("asked-sick")
		}
		behave("text", "sick", "steady")
		for range 20 {
			ask("asked-sick")
			ask("well")
		}
	}
	kept := map[string][]traced{} // :: trace → its spans of requests
	eventually(t, "what is kept, and everything else given up", func() error {
		clear(kept)
		for _, s := range read() {
			if s.Service == "aimux-dataplane" && strings.HasPrefix(s.Name, "chat ") {
				kept[s.TraceID] = append(kept[s.TraceID], s)
			}
		}
		if unsampled := spanFate(t, node, "unsampled"); len(kept) < failovers+failures || unsampled < 2*good {
			return fmt.Errorf("%d traces, %d spans given up", len(kept), unsampled)
		}
		return nil
	})
	failed := 0
	for id, spans := range kept {
		root := spans[0]
		if root.Kind != "server" || id == clientTrace || len(root.Links) != 1 || root.Links[0] != clientTrace+"/"+clientSpan {
			t.Errorf("trace %s begins with %+v, linked to %v", id, root.Name, root.Links)
		}
		if root.Attributes["aimux.attempts"] == int64(1) {
			t.Errorf("it went well, and is here: %+v", root)
		}
		if n, _ := root.Attributes["aimux.attempts"].(int64); int(n) != len(spans)-1 || n < 2 {
			t.Errorf("%s: %d attempts, but %d spans", root.Name, n, len(spans))
		}
		if root.Status == "error" {
			failed++
		}
		for _, attempt := range spans[1:] {
			if attempt.ParentSpanID != root.SpanID || attempt.Attributes["aimux.attempt"] == nil || attempt.Attributes["gen_ai.provider.name"] == nil {
				t.Errorf("an attempt says too little: %+v", attempt)
			}
		}
	}
	if len(kept) != failovers+failures || failed != failures || failovers < 5 || failures != 5 {
		t.Errorf("%d traces, %d of them failed; of %d good requests, %d that failed over, and %d that failed", len(kept), failed, good, failovers, failures)
	}
}
