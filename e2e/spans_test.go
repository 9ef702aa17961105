package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented reads the table of attributes: "span attribute" and its type.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "deploy", "docs", "observability.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| (text|texts|number|real|flag) \\| ([a-z ]+) \\|").FindAllStringSubmatch(string(text), -1) {
		for span := range strings.FieldsSeq(row[3]) {
			all[span+" "+row[1]] = row[2]
		}
	}
	if len(all) < 50 {
		t.Fatalf("%d attributes are documented", len(all))
	}
	return all
}

// spanKind is what the documentation calls a span.
func spanKind(s traced) string {
	first, _, _ := strings.Cut(s.Name, " ")
	switch {
	case s.Kind == "server" && (first == "chat" || first == "aimux"):
		return "request"
	case s.Kind == "client" && first == "chat":
		return "attempt"
	case s.Kind == "client" && first == "probe":
		return "probe"
	case s.Kind == "internal" && (s.Name == "step" || s.Name == "catalog"):
		return s.Name
	case s.Kind == "producer" && first == "send":
		return "push"
	case s.Kind == "consumer" && s.Name == "apply table":
		return "apply"
	}
	return "undocumented span " + s.Kind + " " + s.Name
}

// seldom are attributes of failures that no scenario brings about from the street: a push that cannot be sent, a table that cannot be used.
var seldom = []string{"push error.type", "apply error.type"}

// typeOf is what the documentation calls a value's type.
func typeOf(v any) string {
	return map[string]string{"string": "text", "[]string": "texts", "int64": "number", "float64": "real", "bool": "flag"}[fmt.Sprintf("%T", v)]
}

// TestSpansAreDocumented plays what a cluster lives through, and holds every span that a real collector got against the documentation: each attribute that
// is documented is seen, with its type, and each that is seen is documented.
func TestSpansAreDocumented(t *testing.T) {
	read := startCollector(t)
	t.Setenv("AIMUX_TRACE_CONTENT", "100")
	probed := serves(compatible("openai"), "text", "asked-sick")
	probed["health_check_interval"] = 1
	exact := serves(compatible("openai"), "text", "asked-exact")
	exact["strict"] = true // it refuses what would be lost in translation
	blind := compatible("anthropic")
	blind["models"] = []any{map[string]any{"id": "tiny", "serves": []any{"*"}, "context_window": 10, "max_output_tokens": 5}}
	steady := serves(compatible("openai"), "text", "*")
	steady["supports_json_schema"] = true
	house := openRouted(t, Forms[1], map[string]any{}, map[string]any{"sick": probed, "exact": exact, "tiny": blind, "steady": steady})
	ask := func(path, scenario, body string) {
		t.Helper()
		if err := house.Upstream["steady"].Behave(scenario); err != nil {
			t.Fatal(err)
		}
		if response, text := post(t, house.Data[0]+path, body, "X-Claude-Code-Session-Id", "session-1"); response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", response.StatusCode, text)
		}
	}
	const long = "a prompt that is longer than what may be told of it, and goes on for quite a while, and then some more, until nobody wants to read it any more"
	ask("/v1/messages", "cached=3+written=2", `{"model":"any","max_tokens":64,"temperature":0.5,"top_p":0.5,"top_k":7,"stop_sequences":["END"],"system":"Be brief.","messages":[{"role":"user","content":"`+long+`"}],
		"tools":[{"name":"look","input_schema":{"type":"object"}}]}`)
	ask("/v1/messages", "text", `{"model":"asked-exact","max_tokens":64,"top_k":7,"messages":[{"role":"user","content":"Hello"}]}`)
	ask("/v1/chat/completions", "thinking", `{"model":"any","stream":true,"seed":5,"n":1,"frequency_penalty":0.5,"presence_penalty":0.5,"stop":"END","messages":[{"role":"user","content":"Hello"}]}`)
	ask("/v1/chat/completions", "text", `{"model":"any","response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}},"messages":[{"role":"user","content":"Hello"}]}`)
	if response, text := post(t, house.Data[0]+"/v1/chat/completions", `{"model":"any","n":2,"messages":[{"role":"user","content":"Hello"}]}`); response.StatusCode >= http.StatusInternalServerError {
		t.Fatalf("%d %s", response.StatusCode, text)
	}
	if response, text := post(t, house.Data[0]+"/v1/messages", `{"model":5}`); response.StatusCode != http.StatusBadRequest {
		t.Fatalf("%d %s", response.StatusCode, text)
	}
	house.Upstream["sick"].Web.Close()
	want, seen := documented(t), map[string]string{}
	eventually(t, "every attribute", func() error {
		ask("/v1/messages", "text", `{"model":"asked-sick","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}`)
		for _, s := range read() {
			kind := spanKind(s)
			for name, value := range s.Attributes {
				seen[kind+" "+name] = typeOf(value)
			}
		}
		var missing []string
		for name := range want {
			if seen[name] == "" && !slices.Contains(seldom, name) {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("documented, but in no span: %q", missing)
		}
		return nil
	})
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if seen[name] != want[name] {
			t.Errorf("%s is a %q, and documented as %q", name, seen[name], want[name])
		}
	}
}
