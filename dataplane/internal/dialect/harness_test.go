package dialect_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aimux/aimux/dataplane/internal/analyze"
	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/dataplane/internal/dialect/anthropic"
	"github.com/aimux/aimux/dataplane/internal/dialect/openai"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

const everything = ^route.Capability(0)

func newTranslator() *dialect.Translator {
	return dialect.New(dialect.Options{Dialects: []dialect.Dialect{anthropic.Dialect{}, openai.Dialect{}}, Key: [32]byte{1, 2, 3}, Thoughts: 64, Signers: 64})
}

// sheets as the tests need them.
var (
	openaiSheet = &provider.Sheet{
		Kind: "openai", MaxTokensField: "max_completion_tokens", StopMax: 4,
		Takes:   []string{"prompt_cache_key", "safety_identifier", "prompt_cache_breakpoint"},
		Refuses: []string{"messages[].reasoning_content", "messages[].thinking_blocks"},
	}
	cerebrasSheet = &provider.Sheet{
		Kind: "cerebras", MaxTokensField: "max_completion_tokens", StopMax: 4, Reasoning: provider.Reasoning, System: provider.SystemUser, NoDeveloper: true,
		OutputReserve: 16384, Refuses: []string{"frequency_penalty", "presence_penalty", "logit_bias", "user", "service_tier", "parallel_tool_calls", "*.cache_control"},
	}
	zaiSheet = &provider.Sheet{
		Kind: "zai", MaxTokensField: "max_tokens", StopMax: 1, Reasoning: provider.ReasoningContent, System: provider.SystemUser, ThinkingOn: "enabled",
		Refuses: []string{"response_format.json_schema", "parallel_tool_calls", "user"},
	}
	minimaxSheet = &provider.Sheet{
		Kind: "minimax", MaxTokensField: "max_completion_tokens", Reasoning: provider.ReasoningDetails, System: provider.SystemHoist, ThinkingOn: "adaptive",
		TemperatureMin: 0.01, TemperatureMax: 1, Ignores: []string{"stop_sequences", "top_k"},
	}
	thinkTagSheet  = &provider.Sheet{Kind: "compatible", Reasoning: provider.ThinkTags}
	anthropicSheet = &provider.Sheet{Kind: "anthropic", StopMax: provider.Unbounded, System: provider.SystemNative, TemperatureMax: 1}
)

func target(sheet *provider.Sheet, p route.Protocol) dialect.Target {
	return dialect.Target{Provider: sheet.Kind, Sheet: sheet, Protocol: p, Model: "target-model", Has: everything, MaxOutputTokens: 128000}
}

func call(client route.Protocol, t dialect.Target, body string) *dialect.Call {
	v := dialect.Value(body)
	return &dialect.Call{
		Client: client, Body: []byte(body), Target: t, RequestID: "req_1", Now: time.Unix(1700000000, 0),
		Found: &analyze.Result{
			Ask: route.Ask{Model: v.Get("model").Plain()}, Stream: v.Get("stream").True(), IncludeUsage: v.Get("stream_options").Get("include_usage").True(),
		},
	}
}

// prepare translates a body that has to be accepted.
func prepare(t testing.TB, c *dialect.Call) (string, dialect.Reply) {
	t.Helper()
	body, reply, rejected := newTranslator().Prepare(nil, c)
	if rejected != nil {
		t.Fatalf("rejected: %v", rejected)
	}
	if !json.Valid(body) {
		t.Fatalf("not JSON: %s", body)
	}
	return string(body), reply
}

// same compares JSON, whatever the order of keys and the white space.
func same(t testing.TB, got, want string) {
	t.Helper()
	if g, w := flat(t, got), flat(t, want); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func flat(t testing.TB, s string) string {
	t.Helper()
	var v any
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v: %s", err, s)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// part is what stands at a path like messages.1.content, as JSON; "" when there is nothing.
func part(t testing.TB, body, path string) string {
	t.Helper()
	v := dialect.Value(body)
	for name := range strings.SplitSeq(path, ".") {
		var i int
		if n, _ := fmt.Sscanf(name, "%d", &i); n == 1 && v.Array() {
			next := dialect.Value(nil)
			for j, item := range v.Items() {
				if j == i {
					next = item
				}
			}
			v = next
			continue
		}
		v = v.Get(name)
	}
	return string(v)
}

// feed sends a whole answer through a reply in pieces of that size; 0 is one piece.
func feed(r dialect.Reply, input string, size int) string {
	var dst []byte
	for len(input) > 0 {
		n := len(input)
		if size > 0 {
			n = min(n, size)
		}
		piece := []byte(input[:n])
		dst = r.Feed(dst, piece)
		for i := range piece {
			piece[i] = '#' // what was fed is not kept
		}
		input = input[n:]
	}
	return string(r.Close(dst))
}

// warned reports whether a path is among the warnings.
func warned(r dialect.Reply, path string) bool {
	for _, w := range r.Progress().Warnings {
		if w.Path == path {
			return true
		}
	}
	return false
}

// sse writes an OpenAI stream of chunks.
func sse(chunks ...string) string {
	var b bytes.Buffer
	for _, c := range chunks {
		b.WriteString("data: " + c + "\n\n")
	}
	return b.String()
}

// events writes an Anthropic stream; the name of each event is its type.
func events(list ...string) string {
	var b bytes.Buffer
	for _, e := range list {
		b.WriteString("event: " + dialect.Value(e).Get("type").Plain() + "\ndata: " + e + "\n\n")
	}
	return b.String()
}
