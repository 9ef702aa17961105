package dialect_test

import (
	"strings"
	"testing"

	"github.com/aimux/aimux/dataplane/internal/analyze"
	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

// searchless and schemaless are providers that lack what everything else has.
var searchless, schemaless = &provider.Sheet{Kind: "searchless"}, &provider.Sheet{Kind: "schemaless"}

// TestSameDialectKeepsBytes: what need not change does not.
func TestSameDialectKeepsBytes(t *testing.T) {
	for _, c := range []struct {
		name       string
		p          route.Protocol
		sheet      *provider.Sheet
		body, want string
		warn       string
	}{
		{name: "only the model", p: route.Anthropic, sheet: anthropicSheet,
			body: ` { "max_tokens" : 1e2, "model" : "claude\u002dx" , "messages":[{"role":"user","content":"\u00fc\/ 1"}],"new":{"z":1,"a":12345678901234567890.10} } `,
			want: ` { "max_tokens" : 1e2, "model" : "target-model" , "messages":[{"role":"user","content":"\u00fc\/ 1"}],"new":{"z":1,"a":12345678901234567890.10} } `},
		{name: "billing block stays at its vendor", p: route.Anthropic, sheet: anthropicSheet,
			body: `{"model":"m","system":[{"type":"text","text":"x-anthropic-billing-header: a"},{"type":"text","text":"B"}],"messages":[]}`,
			want: `{"model":"target-model","system":[{"type":"text","text":"x-anthropic-billing-header: a"},{"type":"text","text":"B"}],"messages":[]}`},
		{name: "and goes elsewhere", p: route.Anthropic, sheet: zaiSheet,
			body: `{"model":"m","system":[{"type":"text","text":"x-anthropic-billing-header: a"}, {"type":"text","text":"B","cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[]}`,
			want: `{"model":"target-model","system":[{"type":"text","text":"B","cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[]}`},
		{name: "alone it takes system with it", p: route.Anthropic, sheet: zaiSheet,
			body: `{"system":[{"type":"text","text":"x-anthropic-billing-header: a"}],"model":"m","messages":[]}`,
			want: `{"model":"target-model","messages":[]}`},
		{name: "refused fields at the top, last and first", p: route.OpenAI, sheet: &provider.Sheet{Kind: "x", Refuses: []string{"seed", "logit_bias", "store"}},
			body: `{"seed":1,"store":true,"model":"m", "messages":[] ,"logit_bias":{}}`, want: `{"model":"target-model", "messages":[]}`, warn: "seed"},
		{name: "refused fields within, never in tool inputs and schemas", p: route.Anthropic, sheet: &provider.Sheet{Kind: "anthropic", Refuses: []string{"*.cache_control.ttl"}},
			body: `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"tool_use","input":{"cache_control":{"ttl":1}}}]}],"tools":[{"input_schema":{"properties":{"cache_control":{"ttl":1}}},"cache_control":{"ttl":"5m"}}]}`,
			want: `{"model":"target-model","messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"tool_use","input":{"cache_control":{"ttl":1}}}]}],"tools":[{"input_schema":{"properties":{"cache_control":{"ttl":1}}},"cache_control":{}}]}`, warn: "messages[].content[].cache_control.ttl"},
		{name: "usage is asked for", p: route.OpenAI, sheet: openaiSheet,
			body: `{"model":"m","stream":true,"messages":[]}`, want: `{"stream_options":{"include_usage":true},"model":"target-model","stream":true,"messages":[]}`},
		{name: "and joins other options", p: route.OpenAI, sheet: openaiSheet,
			body: `{"model":"m","stream":true,"stream_options":{"include_obfuscation":false},"messages":[]}`, want: `{"model":"target-model","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true},"messages":[]}`},
		{name: "limit renamed", p: route.OpenAI, sheet: zaiSheet, body: `{"model":"m","max_completion_tokens":5,"messages":[]}`, want: `{"model":"target-model","max_tokens":5,"messages":[]}`},
		{name: "limit renamed the other way", p: route.OpenAI, sheet: openaiSheet, body: `{"model":"m","max_tokens":5,"messages":[]}`, want: `{"model":"target-model","max_completion_tokens":5,"messages":[]}`},
		{name: "limit clamped", p: route.OpenAI, sheet: openaiSheet, body: `{"model":"m","max_tokens":500000,"messages":[]}`, want: `{"model":"target-model","max_completion_tokens":128000,"messages":[]}`, warn: "max_tokens"},
		{name: "modest limit where the provider reserves", p: route.OpenAI, sheet: cerebrasSheet, body: `{"model":"m","messages":[]}`, want: `{"max_completion_tokens":16384,"model":"target-model","messages":[]}`},
		{name: "developer is system", p: route.OpenAI, sheet: cerebrasSheet, body: `{"model":"m","max_completion_tokens":5,"messages":[{"role":"developer","content":"a"}]}`, want: `{"model":"target-model","max_completion_tokens":5,"messages":[{"role":"system","content":"a"}]}`},
		{name: "reasoning under the provider's name", p: route.OpenAI, sheet: cerebrasSheet, body: `{"model":"m","max_completion_tokens":5,"messages":[{"role":"assistant","content":"a","reasoning_content":"r"}]}`, want: `{"model":"target-model","max_completion_tokens":5,"messages":[{"role":"assistant","content":"a","reasoning":"r"}]}`},
		{name: "only the model, in a whole request", p: route.Anthropic, sheet: anthropicSheet,
			body: "\n { \"max\\u005ftokens\" : 5, \"model\" : \"claude\\u002dx\" , \"messages\" : [{\"role\":\"user\",\"content\":\"\\u00fc\\/ 1\"}],\"new\":{\"z\":1,\"a\":12345678901234567890.10} }\n",
			want: "\n { \"max\\u005ftokens\" : 5, \"model\" : \"target-model\" , \"messages\" : [{\"role\":\"user\",\"content\":\"\\u00fc\\/ 1\"}],\"new\":{\"z\":1,\"a\":12345678901234567890.10} }\n"},
		{name: "own thinking and empty text stripped from a whole request", p: route.Anthropic, sheet: anthropicSheet,
			body: `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"aimux1.zai.x"}, {"type":"text","text":"a"},{"type":"text","text":""}]},{"role":"user","content":"b"}]}`,
			want: `{"model":"target-model","max_tokens":5,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"text","text":"a"}]},{"role":"user","content":"b"}]}`},
		{name: "own thinking stripped", p: route.Anthropic, sheet: anthropicSheet,
			body: `{"model":"m","messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"aimux1.zai.x"}, {"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"aimux1.zai.x"}]},{"role":"user","content":"b"}]}`,
			want: `{"model":"target-model","messages":[{"role":"assistant","content":[{"type":"text","text":"a"}]},{"role":"user","content":"b"}]}`},
		{name: "text without words, as models write it", p: route.Anthropic, sheet: anthropicSheet,
			body: `{"model":"m","messages":[{"role":"assistant","content":[{"type":"text","text":""},{"type":"tool_use","id":"a","name":"f","input":{"text":""}}]},{"role":"assistant","content":[{"type":"text","text": ""}]},{"role":"user","content":[{"type":"text","text":""}]}]}`,
			want: `{"model":"target-model","messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"text":""}}]},{"role":"user","content":[{"type":"text","text":""}]}]}`},
		{name: "a tool that the provider does not run", p: route.Anthropic, sheet: searchless,
			body: `{"model":"m","tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"f","input_schema":{}}],"messages":[]}`,
			want: `{"model":"target-model","tools":[{"name":"f","input_schema":{}}],"messages":[]}`, warn: "tools[0]"},
		{name: "one system message", p: route.OpenAI, sheet: minimaxSheet,
			body: `{"model":"m","max_completion_tokens":5,"messages":[{"role":"system","content":"A\u00e9"},{"role":"user","content":"b"},{"role":"developer","content":[{"type":"text","text":"C"}]}]}`,
			want: `{"model":"target-model","max_completion_tokens":5,"messages":[{"role":"system","content":"A\u00e9\n\nC"},{"role":"user","content":"b"}]}`},
		{name: "one system message, and it first", p: route.OpenAI, sheet: minimaxSheet,
			body: `{"model":"m","max_completion_tokens":5,"messages":[{"role":"user","content":"b"},{"role":"system","content":"C"}]}`,
			want: `{"model":"target-model","max_completion_tokens":5,"messages":[{"role":"system","content":"C"},{"role":"user","content":"b"}]}`},
		{name: "a schema that cannot be enforced is told", p: route.OpenAI, sheet: schemaless,
			body: `{"model":"m","response_format":{"type":"json_schema","json_schema":{"name":"o","schema":{"a":1.0}}},"messages":[{"role":"user","content":"b"}]}`,
			want: `{"model":"target-model","response_format":{"type":"json_object"},"messages":[{"role":"system","content":"Reply with a single JSON object, and nothing else, that satisfies this JSON schema: {\"a\":1.0}"},{"role":"user","content":"b"}]}`, warn: "response_format"},
		{name: "temperature clamped", p: route.Anthropic, sheet: minimaxSheet, body: `{"model":"m","temperature":0,"messages":[]}`, want: `{"model":"target-model","temperature":0.01,"messages":[]}`, warn: "temperature"},
		{name: "fields that are not obeyed are reported", p: route.Anthropic, sheet: minimaxSheet, body: `{"model":"m","top_k":3,"messages":[]}`, want: `{"model":"target-model","top_k":3,"messages":[]}`, warn: "top_k"},
		{name: "a name twice", p: route.OpenAI, sheet: openaiSheet, body: `{"model":"a","model":"b","messages":[]}`, want: `{"model":"target-model","model":"target-model","messages":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := target(c.sheet, c.p)
			switch c.sheet {
			case searchless:
				at.Has &^= route.WebSearch
			case schemaless:
				at.Has &^= route.JSONSchema
			}
			got, reply := prepare(t, call(c.p, at, c.body))
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			read := call(c.p, at, c.body)
			if analyze.Body(c.p, read.Body, nil, nil, read.Found) == nil { // some of these are fragments
				if got, _ := prepare(t, read); got != c.want {
					t.Errorf("by what the analysis has found, got\n%s\nwant\n%s", got, c.want)
				}
			}
			if c.warn != "" && !warned(reply, c.warn) {
				t.Errorf("no warning about %s: %v", c.warn, reply.Progress().Warnings)
			}
			if n := len(reply.Progress().Warnings); c.warn == "" && n > 0 {
				t.Errorf("warnings %v", reply.Progress().Warnings)
			}
		})
	}
}

// TestOwnUsageIsTakenOutAgain: a client that did not ask for usage does not get a chunk without choices.
func TestOwnUsageIsTakenOutAgain(t *testing.T) {
	_, reply := prepare(t, call(route.OpenAI, target(openaiSheet, route.OpenAI), `{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}`))
	got := feed(reply, sse(delta(`"content":"A"`), finish("stop"), oUsage, "[DONE]"), 5)
	if want := sse(delta(`"content":"A"`), finish("stop"), "[DONE]"); got != want {
		t.Errorf("got %s", got)
	}
	if u := reply.Progress().Usage; u.Output != 20 || u.CacheRead != 60 || u.Input != 30 {
		t.Errorf("usage %+v", u)
	}
}

func TestStripThinking(t *testing.T) {
	c := call(route.Anthropic, target(anthropicSheet, route.Anthropic), `{"model":"m","messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"real"},{"type":"redacted_thinking","data":"d"},{"type":"text","text":"a"}]}]}`)
	c.StripThinking = true
	got, _ := prepare(t, c)
	if want := `{"model":"target-model","messages":[{"role":"assistant","content":[{"type":"text","text":"a"}]}]}`; got != want {
		t.Errorf("got %s", got)
	}
}

// TestStopSequences finds them where the provider does not, however the text is cut.
func TestStopSequences(t *testing.T) {
	body := `{"model":"m","max_tokens":9,"stream":true,"stop_sequences":["END","\n\nHuman:"],"messages":[{"role":"user","content":"a"}]}`
	text := func(pieces ...string) string {
		list := []string{aHead, aStart("0", `{"type":"text","text":""}`)}
		for _, p := range pieces {
			list = append(list, aText("0", p))
		}
		return events(append(list, aStop("0"), aEnd("end_turn"), aTail)...)
	}
	for _, c := range []struct{ name, input, said, stop string }{
		{"whole", text("abc END def"), "abc ", "END"},
		{"cut", text("abc E", "N", "D def"), "abc ", "END"},
		{"almost", text("abc E", "N", "d def"), "abc ENd def", ""},
		{"held at the end", text("abc EN"), "abc EN", ""},
		{"escaped", text(`abc \n`, `\u000aHum`, `an: x`), "abc ", "\n\nHuman:"},
		{"first of two", text("a END b \\n\\nHuman:"), "a ", "END"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, reply := prepare(t, call(route.Anthropic, target(minimaxSheet, route.Anthropic), body))
			out := feed(reply, c.input, 0)
			if !reply.Progress().Done {
				t.Fatalf("not done: %v", reply.Progress().Fault)
			}
			var said strings.Builder
			var s dialect.Scanner
			s.Feed([]byte(out))
			stop := dialect.Value(nil)
			for f := (dialect.Frame{}); s.Next(&f); {
				v := dialect.Value(f.Data)
				said.WriteString(v.Get("delta").Get("text").Plain())
				if string(f.Name) == "message_delta" {
					stop = dialect.Value(string(v.Get("delta").Get("stop_sequence")))
				}
			}
			if said.String() != c.said || stop.Plain() != c.stop {
				t.Errorf("said %q stop %q, want %q and %q", said.String(), stop.Plain(), c.said, c.stop)
			}
		})
	}
}

// TestThinkingFindsItsWayBack: reasoning of a provider that signs nothing comes back to it, and to nobody else.
func TestThinkingFindsItsWayBack(t *testing.T) {
	tr := newTranslator()
	ask := func(sheet *provider.Sheet, p route.Protocol, messages string) string {
		body, _, rejected := tr.Prepare(nil, call(route.Anthropic, target(sheet, p), turns(messages)))
		if rejected != nil {
			t.Fatal(rejected)
		}
		return string(body)
	}
	_, reply, _ := tr.Prepare(nil, call(route.Anthropic, target(zaiSheet, route.OpenAI), turns(`{"role":"user","content":"a"}`)))
	answer := feed(reply, sse(delta(`"reasoning_content":"I \u00fc"`), delta(`"content":"A"`), finish("stop"), "[DONE]"), 0)
	history := `{"role":"user","content":"a"},{"role":"assistant","content":` + part(t, answer, "content") + `},{"role":"user","content":"b"}`
	history = strings.ReplaceAll(history, `\u00fc`, "ü") // as the client's own library writes it
	if got := part(t, ask(zaiSheet, route.OpenAI, history), "messages.1"); got != `{"role":"assistant","reasoning_content":"I ü","content":"A"}` {
		t.Errorf("back home: %s", got)
	}
	if got := part(t, ask(cerebrasSheet, route.OpenAI, history), "messages.1"); got != `{"role":"assistant","content":"A"}` {
		t.Errorf("elsewhere: %s", got)
	}
	if got := part(t, ask(anthropicSheet, route.Anthropic, history), "messages.1.content"); got != `[{"type":"text","text":"A"}]` {
		t.Errorf("at Anthropic: %s", got)
	}
	if got := part(t, ask(zaiSheet, route.OpenAI, strings.Replace(history, "I ü", "I lie", 1)), "messages.1.reasoning_content"); got != "" {
		t.Errorf("altered: %s", got)
	}
}

// TestForgottenThinkingIsRecalled: a client of the other format drops the signed thinking that its tool call needs.
func TestForgottenThinkingIsRecalled(t *testing.T) {
	tr := newTranslator()
	tools := `"tools":[{"type":"function","function":{"name":"read"}}],`
	_, reply, _ := tr.Prepare(nil, call(route.OpenAI, target(anthropicSheet, route.Anthropic), `{`+tools+`"model":"m","messages":[{"role":"user","content":"a"}]}`))
	feed(reply, events(aHead, aStart("0", `{"type":"thinking","thinking":"","signature":""}`), aDelta("0", `{"type":"thinking_delta","thinking":"hm"}`), aDelta("0", `{"type":"signature_delta","signature":"real"}`), aStop("0"),
		aStart("1", `{"type":"tool_use","id":"toolu_0123456789abcdef","name":"read","input":{}}`), aStop("1"), aEnd("tool_use"), aTail), 0)
	body, _, rejected := tr.Prepare(nil, call(route.OpenAI, target(anthropicSheet, route.Anthropic), `{`+tools+`"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"toolu_0123456789abcdef","type":"function","function":{"name":"read","arguments":"{}"}}]},{"role":"tool","tool_call_id":"toolu_0123456789abcdef","content":"x"}]}`))
	if rejected != nil {
		t.Fatal(rejected)
	}
	if got := part(t, string(body), "messages.1.content.0"); got != `{"type":"thinking","thinking":"hm","signature":"real"}` {
		t.Errorf("got %s", got)
	}
}

// TestToolNames: names that no provider takes are mapped, and come back as the client's own.
func TestToolNames(t *testing.T) {
	tools := `,"tools":[{"name":"a.b","input_schema":{}},{"name":"a_b","input_schema":{}},{"name":"a/b","input_schema":{}}]`
	body, reply := prepare(t, call(route.Anthropic, target(openaiSheet, route.OpenAI), asks(tools)))
	seen := map[string]bool{}
	var wire []string
	for _, tool := range dialect.Value(part(t, body, "tools")).Items() {
		name := tool.Get("function").Get("name").Plain()
		if seen[name] || strings.ContainsAny(name, "./") || len(name) > 64 {
			t.Errorf("bad or double name %s", name)
		}
		seen[name] = true
		wire = append(wire, name)
	}
	out := feed(reply, sse(delta(`"tool_calls":[{"index":0,"id":"c1","function":{"name":"`+wire[0]+`","arguments":"{}"}},{"index":1,"id":"c2","function":{"name":"`+wire[1]+`","arguments":"{}"}},{"index":2,"id":"c3","function":{"name":"`+wire[2]+`","arguments":"{}"}}]`), finish("tool_calls"), "[DONE]"), 0)
	for i, want := range []string{"a.b", "a_b", "a/b"} {
		if got := part(t, out, "content."+string(rune('0'+i))+".name"); got != `"`+want+`"` {
			t.Errorf("call %d is %s, want %s", i, got, want)
		}
	}
}

// TestCustomTools: a tool that takes text is offered as one that takes an object, and called as what it is.
func TestCustomTools(t *testing.T) {
	for _, stream := range []string{"true", "false"} {
		_, reply := prepare(t, call(route.OpenAI, target(anthropicSheet, route.Anthropic), oai(`,"stream":`+stream+`,"tools":[{"type":"custom","custom":{"name":"sh"}}]`)))
		out := feed(reply, events(aHead, aStart("0", `{"type":"tool_use","id":"toolu_a","name":"sh","input":{}}`), aDelta("0", `{"type":"input_json_delta","partial_json":"{\"input\": \"ls "}`), aDelta("0", `{"type":"input_json_delta","partial_json":"-l\\n\"}"}`), aStop("0"), aEnd("tool_use"), aTail), 3)
		if !strings.Contains(out, `"type":"custom","custom":{"name":"sh","input":"ls -l\n"}`) {
			t.Errorf("stream %s: %s", stream, out)
		}
	}
}

// TestOldFunctions: a client that knows functions gets a function_call.
func TestOldFunctions(t *testing.T) {
	_, reply := prepare(t, call(route.OpenAI, target(anthropicSheet, route.Anthropic), oai(`,"functions":[{"name":"f"}]`)))
	out := feed(reply, events(aHead, aStart("0", `{"type":"tool_use","id":"toolu_a","name":"f","input":{}}`), aDelta("0", `{"type":"input_json_delta","partial_json":"{\"a\":1}"}`), aStop("0"), aEnd("tool_use"), aTail), 0)
	same(t, part(t, out, "choices.0.message.function_call"), `{"name":"f","arguments":"{\"a\":1}"}`)
	if got := part(t, out, "choices.0.finish_reason"); got != `"function_call"` {
		t.Errorf("finish %s", got)
	}
}

func TestCountTokens(t *testing.T) {
	body, rejected := newTranslator().PrepareCount(nil, call(route.Anthropic, target(anthropicSheet, route.Anthropic), `{"model":"m","messages":[],"tools":[]}`))
	if rejected != nil || string(body) != `{"model":"target-model","messages":[],"tools":[]}` {
		t.Errorf("%v %s", rejected, body)
	}
	if _, rejected := newTranslator().PrepareCount(nil, call(route.Anthropic, target(openaiSheet, route.OpenAI), `{"model":"m"}`)); rejected == nil {
		t.Error("another format cannot count")
	}
}

// TestCustomToolsGoElsewhere: a provider that knows functions only is passed over for one that knows more.
func TestCustomToolsGoElsewhere(t *testing.T) {
	at := target(openaiSheet, route.OpenAI)
	at.Has &^= route.GrammarTools
	_, _, rejected := newTranslator().Prepare(nil, call(route.OpenAI, at, `{"model":"m","tools":[{"type":"custom","custom":{"name":"f"}}],"messages":[{"role":"user","content":"a"}]}`))
	if rejected == nil || !rejected.Elsewhere || rejected.Path != "tools[0].type" {
		t.Errorf("rejected %+v", rejected)
	}
}

// TestUsageThatCannotBe: a provider that counts as nobody can is not believed, so that it fills nobody's budget.
func TestUsageThatCannotBe(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "17": 17, "1e3": 1000, "1073741824": 1 << 30, "1073741825": -1, "-1": -1, "1e300": -1, "9000000000000000000": -1, "18446744073709551617": -1, `"17"`: -1, "null": -1, "": -1} {
		n, ok := dialect.Value(text).Count()
		if ok != (want >= 0) || ok && n != want {
			t.Errorf("%s: %d %v, want %d", text, n, ok, want)
		}
	}
}
