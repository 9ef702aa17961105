package dialect_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

// spoken writes an answer that says these pieces, as a provider of that format streams it.
func spoken(p route.Protocol, name string, pieces []string) string {
	if p == route.Anthropic {
		list := []string{
			`{"type":"message_start","message":{"id":"msg_` + name + `","type":"message","role":"assistant","model":"m-` + name + `","content":[],"usage":{"input_tokens":7,"output_tokens":1}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"ping"}`,
		}
		for _, piece := range pieces {
			list = append(list, fmt.Sprintf(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%q}}`, piece))
		}
		return events(append(list, `{"type":"content_block_stop","index":0}`,
			fmt.Sprintf(`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":%d}}`, len(pieces)), `{"type":"message_stop"}`)...)
	}
	head := `{"id":"chatcmpl-` + name + `","object":"chat.completion.chunk","created":17,"model":"m-` + name + `",`
	list := []string{head + `"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}`}
	for _, piece := range pieces {
		list = append(list, head+fmt.Sprintf(`"choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}]}`, piece))
	}
	return sse(append(list, head+`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`,
		head+fmt.Sprintf(`"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":%d,"total_tokens":9}}`, len(pieces)), "[DONE]")...)
}

// heard is the text of a client's stream, and the usage at its end.
func heard(client route.Protocol, out string) (text string, input, output int) {
	var s dialect.Scanner
	s.Feed([]byte(out))
	var f dialect.Frame
	for s.Next(&f) {
		v := dialect.Value(f.Data)
		if client == route.Anthropic {
			text += v.Get("delta").Get("text").Plain()
			if u := v.Get("usage"); u.Object() {
				input, _ = u.Get("input_tokens").Int()
				output, _ = u.Get("output_tokens").Int()
			}
			continue
		}
		for _, choice := range v.Get("choices").Items() {
			text += choice.Get("delta").Get("content").Plain()
		}
		if u := v.Get("usage"); u.Object() {
			input, _ = u.Get("prompt_tokens").Int()
			output, _ = u.Get("completion_tokens").Int()
		}
	}
	return text, input, output
}

// continued is how a model goes on from the last words of a request: it never sees the white space that may not stand at their end.
func continued(t *testing.T, body, whole string) []string {
	t.Helper()
	messages := dialect.Value(body).Get("messages")
	var last dialect.Value
	for _, m := range messages.Items() {
		last = m
	}
	if last.Get("role").Plain() != "assistant" {
		return pieces(whole)
	}
	text := last.Get("content").Plain()
	for _, part := range last.Get("content").Items() {
		text += part.Get("text").Plain()
	}
	if strings.TrimRight(text, " \n\t") != text {
		t.Errorf("the words to go on from end in white space: %q", text)
	}
	rest, ok := strings.CutPrefix(whole, text)
	if !ok {
		t.Fatalf("the words to go on from are not those that were said: %q", text)
	}
	return pieces(rest)
}

// pieces cuts a text into what a provider sends at once.
func pieces(text string) (list []string) {
	for _, r := range text {
		if n := len(list); n > 0 && len(list[n-1]) < 4 {
			list[n-1] += string(r)
			continue
		}
		list = append(list, string(r))
	}
	return list
}

const tale = "The “old” mill \n\n runs\tslowly: 水 and 😀, \\n is no line.   And it stops. "

// Wherever an answer of plain text breaks, another provider of any format goes on with it, and the client of any format gets one message: every word
// once, one id, one head, one end, and the usage of both.
func TestOnward(t *testing.T) {
	t.Parallel()
	protocols := []route.Protocol{route.Anthropic, route.OpenAI}
	for _, client := range protocols {
		for _, first := range protocols {
			for _, second := range protocols {
				t.Run(fmt.Sprintf("%v/%v/%v", client, first, second), func(t *testing.T) { onward(t, client, first, second) })
			}
		}
	}
}

func onward(t *testing.T, client, first, second route.Protocol) {
	ask := `{"model":"asked-for","max_tokens":500,"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Tell me."}] }`
	if client == route.Anthropic {
		ask = strings.Replace(ask, `"stream_options":{"include_usage":true},`, `"thinking":{"type":"adaptive"},`, 1)
	}
	whole := spoken(first, "first", pieces(tale))
	tr := newTranslator()
	joined := 0
	for cut := 0; cut < len(whole); cut += 29 {
		c := call(client, target(&provider.Sheet{Kind: "first", StopMax: 4}, first), ask)
		c.Keep = true
		_, a, rejected := tr.Prepare(nil, c)
		if rejected != nil {
			t.Fatal(rejected)
		}
		out := a.Feed(nil, []byte(whole[:cut]))
		bytes, ok := a.Onward()
		if !a.Progress().Spoken || !ok {
			continue // nothing but the head has gone out, or the end
		}
		text, _, _ := heard(client, string(out))
		if len(text) == 0 || !strings.HasPrefix(tale, text) || bytes < len(text) {
			t.Fatalf("cut at %d: %d bytes kept of %q", cut, bytes, text)
		}
		next := call(client, target(&provider.Sheet{Kind: "second", StopMax: 4}, second), ask)
		next.Keep, next.Behind = true, a
		body, b, rejected := tr.Prepare(nil, next)
		if rejected != nil {
			t.Fatal(rejected)
		}
		if !json.Valid(body) || dialect.Value(body).Get("thinking") != nil {
			t.Fatalf("the request: %s", body)
		}
		said := a.Progress().Tokens
		rest := continued(t, string(body), tale)
		out = append(out, feed(b, spoken(second, "second", rest), 9)...)
		grammar(t, client, string(out))
		got, input, output := heard(client, string(out))
		if got != tale {
			t.Fatalf("cut at %d, after %q: the client has %q", cut, text, got)
		}
		if input < 7 || output != said+len(rest) {
			t.Fatalf("cut at %d: usage %d in, %d out; %d and %d were said", cut, input, output, said, len(rest))
		}
		if !b.Progress().Done || b.Progress().Fault.Kind != 0 {
			t.Fatalf("cut at %d: %+v", cut, b.Progress())
		}
		joined++
	}
	if joined < len(whole)/29/2 {
		t.Errorf("only %d of %d cuts could be joined", joined, len(whole))
	}
}

// Behind anything but plain text nobody else can go on, nor where nobody asked to keep it.
func TestOnwardIsForPlainTextOnly(t *testing.T) {
	start := `{"type":"message_start","message":{"id":"m","content":[],"usage":{"input_tokens":1}}}`
	text := `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hm"}}`
	chunk := func(delta string) string { return `{"id":"c","choices":[{"index":0,"delta":` + delta + `}]}` }
	for _, row := range []struct {
		name   string
		server route.Protocol
		stream string
		want   bool
	}{
		{"text", route.Anthropic, events(start, text), true},
		{"a second block of text", route.Anthropic, events(start, text, `{"type":"content_block_stop","index":0}`, `{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"So"}}`), true},
		{"a call", route.Anthropic, events(start, text, `{"type":"content_block_stop","index":0}`, `{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"n","input":{}}}`), false},
		{"thinking", route.Anthropic, events(start, `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"Hm","signature":""}}`), false},
		{"signed thinking before the text", route.Anthropic, events(start, `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"Hm","signature":"s"}}`,
			`{"type":"content_block_stop","index":0}`, `{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"So"}}`), false},
		{"a block that nobody knows", route.Anthropic, events(start, text, `{"type":"content_block_stop","index":0}`, `{"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"t","name":"web_search","input":{}}}`), false},
		{"a citation", route.Anthropic, events(start, text, `{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"url":"https://a.example","title":"A"}}}`), false},
		{"an end that is known", route.Anthropic, events(start, text, `{"type":"content_block_stop","index":0}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}`), false},
		{"content", route.OpenAI, sse(chunk(`{"content":"Hm"}`)), true},
		{"reasoning", route.OpenAI, sse(chunk(`{"reasoning_content":"Hm"}`), chunk(`{"content":"So"}`)), false},
		{"no reasoning", route.OpenAI, sse(chunk(`{"reasoning_content":null,"content":"So","tool_calls":[]}`)), true},
		{"a call in pieces", route.OpenAI, sse(chunk(`{"content":"Hm"}`), chunk(`{"tool_calls":[{"index":0,"id":"t","function":{"name":"n","arguments":"{\"a"}}]}`)), false},
		{"a refusal", route.OpenAI, sse(chunk(`{"refusal":"No"}`)), false},
		{"a finish", route.OpenAI, sse(chunk(`{"content":"Hm"}`), `{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"length"}]}`), false},
	} {
		for _, client := range []route.Protocol{route.Anthropic, route.OpenAI} {
			for _, keep := range []bool{true, false} {
				c := call(client, target(&provider.Sheet{Kind: "first", StopMax: 4}, row.server), `{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}`)
				c.Keep = keep
				_, r := prepare(t, c)
				r.Feed(nil, []byte(row.stream))
				if _, ok := r.Onward(); ok != (row.want && keep) {
					t.Errorf("%s for %v, keep %v: %v", row.name, client, keep, ok)
				}
			}
		}
	}
}

// What the client had begun itself is gone on from as one text, and the limit of the answer is what is left of it.
func TestOnwardKeepsTheRequest(t *testing.T) {
	for _, row := range []struct{ name, messages, want string }{
		{"the user's turn", `{"role":"user","content":"a"}`, `[{"role":"user","content":"a"},{"role":"assistant","content":"One, two"}]`},
		{"words begun by the client", `{"role":"user","content":"a"},{"role":"assistant","content":"Zero, "}`, `[{"role":"user","content":"a"},{"role":"assistant","content":"Zero, One, two"}]`},
		{
			"blocks begun by the client", `{"role":"user","content":"a"},{"role":"assistant","content":[ {"type":"text","text":"Zero"} ]}`,
			`[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"text","text":"Zero"},{"type":"text","text":"One, two"}]}]`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			ask := `{"messages":[` + row.messages + `],"model":"m","max_tokens":9,"thinking":{"type":"adaptive"},"stream":true}`
			first := call(route.Anthropic, target(anthropicSheet, route.Anthropic), ask)
			first.Keep = true
			_, a := prepare(t, first)
			a.Feed(nil, []byte(events(`{"type":"message_start","message":{"id":"m","content":[]}}`, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"One,"}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" two \n"}}`)))
			next := call(route.Anthropic, target(anthropicSheet, route.Anthropic), ask)
			next.Behind = a
			body, _ := prepare(t, next)
			same(t, part(t, body, "messages"), row.want)
			if part(t, body, "max_tokens") != "7" || part(t, body, "thinking") != "" {
				t.Errorf("%s", body)
			}
		})
	}
}
