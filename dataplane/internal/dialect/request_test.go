package dialect_test

import (
	"strings"
	"testing"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

// row is one rule of translation: what stands at path of the request that goes out.
type row struct {
	name  string
	sheet *provider.Sheet
	body  string
	path  string
	want  string // JSON; empty means absent
	warn  string // the path that a warning names
	lacks route.Capability
}

func (r *row) check(t *testing.T, from, to route.Protocol, sheet *provider.Sheet) {
	if r.sheet != nil {
		sheet = r.sheet
	}
	target := target(sheet, to)
	target.Has &^= r.lacks
	body, reply := prepare(t, call(from, target, r.body))
	got := part(t, body, r.path)
	switch {
	case got == "" || r.want == "":
		if got != r.want {
			t.Errorf("%s is %q, want %q in %s", r.path, got, r.want, body)
		}
	default:
		same(t, got, r.want)
	}
	if r.warn != "" && !warned(reply, r.warn) {
		t.Errorf("no warning about %s, only %v", r.warn, reply.Progress().Warnings)
	}
	if r.warn == "" && len(reply.Progress().Warnings) > 0 {
		t.Errorf("warnings %v", reply.Progress().Warnings)
	}
}

// user wraps content and more fields into an Anthropic request.
func asks(more string) string {
	return `{"model":"claude-x","max_tokens":100,"messages":[{"role":"user","content":"hi"}]` + more + `}`
}

func turns(messages string) string {
	return `{"model":"claude-x","max_tokens":100,"messages":[` + messages + `]}`
}

const (
	aUse     = `{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"toolu_1","name":"read","input":{"n": 12345678901234567890,"s":"\u00e9\n"}},{"type":"tool_use","id":"toolu_2","name":"read","input":{}}]}`
	toolDef  = `,"tools":[{"name":"read","description":"Reads.","input_schema":{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"integer"}}},"cache_control":{"type":"ephemeral"}}]`
	pngImage = `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw=="}}`
)

func TestAnthropicToOpenAI(t *testing.T) {
	for _, r := range []row{
		{name: "model", body: asks(``), path: "model", want: `"target-model"`},
		{name: "system string", body: asks(`,"system":"Be brief."`), path: "messages.0", want: `{"role":"system","content":"Be brief."}`},
		{name: "system blocks joined", body: asks(`,"system":[{"type":"text","text":"A"},{"type":"text","text":"B"}]`), path: "messages.0.content", want: `"A\n\nB"`},
		{name: "billing block dropped", body: asks(`,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1"},{"type":"text","text":"B"}]`), path: "messages.0.content", want: `"B"`},
		{name: "cache mark where taken", body: asks(`,"system":[{"type":"text","text":"A","cache_control":{"type":"ephemeral"}}]`), path: "messages.0.content.0", want: `{"type":"text","text":"A","prompt_cache_breakpoint":{"mode":"explicit"}}`},
		{name: "cache mark stripped", sheet: cerebrasSheet, body: asks(`,"system":[{"type":"text","text":"A","cache_control":{"type":"ephemeral"}}]`), path: "messages.0.content", want: `"A"`},
		{name: "system in the middle, native", body: turns(`{"role":"user","content":"a"},{"role":"system","content":"s"}`), path: "messages.1", want: `{"role":"system","content":"s"}`},
		{name: "system in the middle, user", sheet: zaiSheet, body: turns(`{"role":"user","content":"a"},{"role":"system","content":"s"}`), path: "messages.0.content.1.text", want: `"<system-reminder>\ns\n</system-reminder>"`},
		{name: "system in the middle, hoisted", sheet: minimaxSheet, body: turns(`{"role":"user","content":"a"},{"role":"system","content":"s"}`), path: "messages.0", want: `{"role":"system","content":"s"}`},
		{name: "empty text dropped", body: turns(`{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"x"}]}`), path: "messages.0.content", want: `"x"`},
		{name: "image base64", body: turns(`{"role":"user","content":[` + pngImage + `]}`), path: "messages.0.content.0", want: `{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw=="}}`},
		{name: "image url", body: turns(`{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://x/y.png"}}]}`), path: "messages.0.content.0.image_url.url", want: `"https://x/y.png"`},
		{name: "document text", body: turns(`{"role":"user","content":[{"type":"document","title":"T","context":"C","source":{"type":"text","media_type":"text/plain","data":"D"}}]}`), path: "messages.0.content", want: `"title: T\ncontext: C\nD"`},
		{name: "document content", body: turns(`{"role":"user","content":[{"type":"document","source":{"type":"content","content":[{"type":"text","text":"D"},` + pngImage + `]}}]}`), path: "messages.0.content.1.type", want: `"image_url"`},
		{name: "document citations", body: turns(`{"role":"user","content":[{"type":"document","citations":{"enabled":true},"source":{"type":"text","media_type":"text/plain","data":"D"}}]}`), path: "messages.0.content", want: `"D"`, warn: "messages[0].content[0].citations"},
		{name: "document pdf", body: turns(`{"role":"user","content":[{"type":"document","title":"a.pdf","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}}]}`), path: "messages.0.content.0", want: `{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBE","filename":"a.pdf"}}`},
		{name: "schema that is strict", body: asks(`,"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"object","properties":{}}},"required":["a"]}}}`), path: "response_format.json_schema", want: `{"name":"output","strict":true,"schema":{"type":"object","properties":{"a":{"type":"object","properties":{},"additionalProperties":false}},"required":["a"],"additionalProperties":false}}`},
		{name: "schema that is not", body: asks(`,"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"object","properties":{"b":{}}}},"required":["a"]}}}`), path: "response_format.json_schema", want: `{"name":"output","strict":false,"schema":{"type":"object","properties":{"a":{"type":"object","properties":{"b":{}}}},"required":["a"]}}`, warn: "output_config.format.schema"},
		{name: "strict tool", body: asks(`,"tools":[{"name":"t","strict":true,"input_schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}]`), path: "tools.0.function.strict", want: `true`},
		{name: "tool that cannot be strict", body: asks(`,"tools":[{"name":"t","strict":true,"input_schema":{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}}]`), path: "tools.0.function.strict", warn: "tools[0].strict"},
		{name: "unknown member of a tool", body: asks(`,"tools":[{"name":"t","input_schema":{"type":"object","properties":{}},"brand_new":1}]`), path: "tools.0.function.name", want: `"t"`, warn: "tools[0].brand_new"},
		{name: "unknown member of a message", body: turns(`{"role":"user","content":"a","brand_new":1}`), path: "messages.0.content", want: `"a"`, warn: "messages[0].brand_new"},
		{name: "a reminder that is over", body: turns(`{"role":"user","content":"a"},{"role":"system","content":"once","clear_at":"next_user_message"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}`), path: "messages.1.role", want: `"assistant"`},
		{name: "a reminder that holds", body: turns(`{"role":"user","content":"c"},{"role":"system","content":"once","clear_at":"next_user_message"}`), path: "messages.1.content", want: `"once"`},
		{name: "effort of the turn", body: turns(`{"role":"user","content":"c"},{"role":"system","content":[],"output_config":{"effort":"low"}}`), path: "reasoning_effort", want: `"low"`},
		{name: "effort of a turn that is past", body: turns(`{"role":"user","content":"c"},{"role":"system","content":[],"output_config":{"effort":"low"}},{"role":"assistant","content":"b"},{"role":"user","content":"c"}`), path: "reasoning_effort"},
		{name: "a tool that goes", body: turns(`{"role":"user","content":"c"},{"role":"system","content":[{"type":"tool_removal","tool":{"type":"tool_reference","name":"read"}}]}` + `],"tools":[{"name":"list","input_schema":{"type":"object","properties":{}}},{"name":"read","input_schema":{"type":"object","properties":{}}}],"x":[`), path: "tools.1", warn: "x"},
		{name: "a tool that comes", body: turns(`{"role":"user","content":"c"},{"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"new","input_schema":{"type":"object","properties":{}}}}}]}`), path: "tools.0.function.name", want: `"new"`},
		{name: "search result", body: turns(`{"role":"user","content":[{"type":"search_result","title":"T","source":"http://s","content":[{"type":"text","text":"D"}]}]}`), path: "messages.0.content", want: `"Search result: T (http://s)\nD"`, warn: "messages[0].content[0]"},
		{name: "text and calls", body: turns(aUse + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1"},{"type":"tool_result","tool_use_id":"toolu_2"}]}`), path: "messages.1",
			want: `{"role":"assistant","content":"I look.","tool_calls":[{"id":"toolu_1","type":"function","function":{"name":"read","arguments":"{\"n\":12345678901234567890,\"s\":\"\\u00e9\\n\"}"}},{"id":"toolu_2","type":"function","function":{"name":"read","arguments":"{}"}}]}`},
		{name: "results first, in the order of the calls", body: turns(aUse + `,{"role":"user","content":[{"type":"text","text":"note"},{"type":"tool_result","tool_use_id":"toolu_2","content":"two"},{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"one"}]}]}`), path: "messages.2", want: `{"role":"tool","tool_call_id":"toolu_1","content":"one"}`},
		{name: "then the rest", body: turns(aUse + `,{"role":"user","content":[{"type":"text","text":"note"},{"type":"tool_result","tool_use_id":"toolu_2","content":"two"},{"type":"tool_result","tool_use_id":"toolu_1","content":"one"}]}`), path: "messages.4", want: `{"role":"user","content":"note"}`},
		{name: "empty result", body: turns(aUse + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1"},{"type":"tool_result","tool_use_id":"toolu_2","content":[]}]}`), path: "messages.3", want: `{"role":"tool","tool_call_id":"toolu_2","content":""}`},
		{name: "failed result", body: turns(aUse + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","is_error":true,"content":"no file"},{"type":"tool_result","tool_use_id":"toolu_2"}]}`), path: "messages.2.content", want: `"Error: no file"`},
		{name: "image of a result hoisted behind all results", body: turns(aUse + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"see"},` + pngImage + `]},{"type":"tool_result","tool_use_id":"toolu_2","content":"x"}]}`), path: "messages.4.content.1.type", want: `"image_url"`},
		{name: "image of a result leaves a word", body: turns(aUse + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[` + pngImage + `]},{"type":"tool_result","tool_use_id":"toolu_2","content":"x"}]}`), path: "messages.2.content", want: `"[image: see the next user message]"`},
		{name: "image in the tool role where taken", sheet: &provider.Sheet{Kind: "compatible", ToolImages: true}, body: turns(aUse + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[` + pngImage + `]},{"type":"tool_result","tool_use_id":"toolu_2","content":"x"}]}`), path: "messages.2.content.0.type", want: `"image_url"`},
		{name: "only calls: content null", body: turns(`{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"text","text":""},{"type":"tool_use","id":"t","name":"read","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"x"}]}`), path: "messages.1.content", want: `null`},
		{name: "odd ids cleaned", body: turns(`{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"Bash:0","name":"read","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"Bash:0","content":"x"}]}`), path: "messages.2.tool_call_id", want: `"Bash_0_` + hashOf("Bash:0") + `"`},
		{name: "foreign thinking dropped", body: turns(`{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"abc"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"b"}]},{"role":"user","content":"c"}`), path: "messages.1", want: `{"role":"assistant","content":"b"}`},
		{name: "server tools of the past as text", body: turns(`{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"q"}},{"type":"web_search_tool_result","tool_use_id":"s","content":[{"type":"web_search_result","title":"T","url":"http://u","encrypted_content":"zz"}]},{"type":"text","text":"b"}]},{"role":"user","content":"c"}`), path: "messages.1.content", want: `"\n[used web_search: {\"query\":\"q\"}]\n\n[T; http://u]\nb"`, warn: "messages[1].content[0]"},
		{name: "tool", body: asks(toolDef), path: "tools.0", want: `{"type":"function","function":{"name":"read","description":"Reads.","parameters":{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"integer"}}}}}`},
		{name: "tool without properties", body: asks(`,"tools":[{"name":"x","input_schema":{"type":"object"}}]`), path: "tools.0.function.parameters", want: `{"type":"object","properties":{}}`},
		{name: "tool strict", body: asks(`,"tools":[{"name":"x","strict":true,"input_schema":{"type":"object","properties":{}}}]`), path: "tools.0.function.strict", want: `true`},
		{name: "input examples", body: asks(`,"tools":[{"name":"x","description":"D","input_examples":[{"a":1}],"input_schema":{"type":"object","properties":{}}}]`), path: "tools.0.function.description", want: `"D\n\nExamples of inputs: [{\"a\":1}]"`, warn: "tools[0].input_examples"},
		{name: "client tools get their schema", body: asks(`,"tools":[{"type":"bash_20250124","name":"bash"}]`), path: "tools.0.function.parameters.type", want: `"object"`},
		{name: "server tool among others dropped", body: asks(`,"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"x","input_schema":{"type":"object","properties":{}}}]`), path: "tools.0.function.name", want: `"x"`, warn: "tools[0]"},
		{name: "choice any", body: asks(toolDef + `,"tool_choice":{"type":"any"}`), path: "tool_choice", want: `"required"`},
		{name: "choice tool", body: asks(toolDef + `,"tool_choice":{"type":"tool","name":"read"}`), path: "tool_choice", want: `{"type":"function","function":{"name":"read"}}`},
		{name: "choice none", body: asks(toolDef + `,"tool_choice":{"type":"none"}`), path: "tool_choice", want: `"none"`},
		{name: "choice without tools", body: asks(`,"tool_choice":{"type":"auto"}`), path: "tool_choice"},
		{name: "no parallel tools", body: asks(toolDef + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`), path: "parallel_tool_calls", want: `false`},
		{name: "no parallel tools where refused", sheet: cerebrasSheet, body: asks(toolDef + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`), path: "parallel_tool_calls", warn: "parallel_tool_calls"},
		{name: "max tokens", body: asks(``), path: "max_completion_tokens", want: `100`},
		{name: "max tokens, older word", sheet: zaiSheet, body: asks(``), path: "max_tokens", want: `100`},
		{name: "max tokens clamped", body: `{"model":"m","max_tokens":999999,"messages":[{"role":"user","content":"x"}]}`, path: "max_completion_tokens", want: `128000`, warn: "max_tokens"},
		{name: "stop", body: asks(`,"stop_sequences":["a","b"]`), path: "stop", want: `["a","b"]`},
		{name: "too many stops", body: asks(`,"stop_sequences":["a","b","c","d","e"]`), path: "stop"},
		{name: "temperature clamped", sheet: minimaxSheet, body: asks(`,"temperature":0`), path: "temperature", want: `0.01`, warn: "temperature"},
		{name: "top_k", body: asks(`,"top_k":5`), path: "top_k", warn: "top_k"},
		{name: "effort", body: asks(`,"output_config":{"effort":"high"}`), path: "reasoning_effort", want: `"high"`},
		{name: "budget", body: asks(`,"thinking":{"type":"enabled","budget_tokens":5000}`), path: "reasoning_effort", want: `"medium"`},
		{name: "adaptive leaves it to the provider", body: asks(`,"thinking":{"type":"adaptive"}`), path: "reasoning_effort"},
		{name: "disabled", body: asks(`,"thinking":{"type":"disabled"}`), path: "reasoning_effort", want: `"none"`},
		{name: "thinking switch on", sheet: zaiSheet, body: asks(`,"thinking":{"type":"adaptive"}`), path: "thinking", want: `{"type":"enabled"}`},
		{name: "thinking switch off", sheet: zaiSheet, body: asks(`,"thinking":{"type":"disabled"}`), path: "thinking", want: `{"type":"disabled"}`},
		{name: "reasoning split", sheet: minimaxSheet, body: asks(``), path: "reasoning_split", want: `true`},
		{name: "schema", body: asks(`,"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}`), path: "response_format", want: `{"type":"json_schema","json_schema":{"name":"output","schema":{"type":"object"},"strict":true}}`},
		{name: "schema, older place", body: asks(`,"output_format":{"type":"json_schema","schema":{"type":"object"}}`), path: "response_format.type", want: `"json_schema"`},
		{name: "schema where only objects are known", sheet: zaiSheet, body: asks(`,"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}`), path: "response_format", want: `{"type":"json_object"}`, warn: "output_config.format"},
		{name: "user hashed", body: asks(`,"metadata":{"user_id":"u"}`), path: "safety_identifier", want: `"0bfe935e70c321c7ca3afc75ce0d0ca2f98b5422e008bb31c00c6d7f1f1c0ad6"`},
		{name: "session", body: asks(`,"metadata":{"user_id":"{\"session_id\":\"s-1\"}"}`), path: "prompt_cache_key", want: `"s-1"`},
		{name: "session, older form", body: asks(`,"metadata":{"user_id":"user_1_account__session_s-2"}`), path: "prompt_cache_key", want: `"s-2"`},
		{name: "user where refused", sheet: zaiSheet, body: asks(`,"metadata":{"user_id":"u"}`), path: "user"},
		{name: "tier", body: asks(`,"service_tier":"standard_only"`), path: "service_tier", want: `"default"`},
		{name: "speed", body: asks(`,"speed":"fast"`), path: "service_tier", warn: "speed"},
		{name: "keeping all thinking is nothing to lose", body: asks(`,"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]}`), path: "context_management"},
		{name: "other context management", body: asks(`,"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}`), path: "context_management", warn: "context_management.edits[0]"},
		{name: "unknown field", body: asks(`,"brand_new":1`), path: "brand_new", warn: "brand_new"},
		{name: "prefill", body: turns(`{"role":"user","content":"a"},{"role":"assistant","content":"{"}`), path: "messages.1.content", want: `"{"`},
		{name: "stream asks for usage", body: asks(`,"stream":true`), path: "stream_options", want: `{"include_usage":true}`},
		{name: "plain", body: asks(``), path: "stream"},
		{name: "dotted tool name", body: asks(`,"tools":[{"name":"a.b","input_schema":{"type":"dict","properties":{"x":{"type":"float"}}}}]`), path: "tools.0.function", want: `{"name":"a_b_` + hashOf("a.b") + `","parameters":{"type":"object","properties":{"x":{"type":"number"}}}}`},
		{name: "tool reference", body: turns(aUse + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"tool_reference","tool_name":"write"}]},{"type":"tool_result","tool_use_id":"toolu_2","content":"x"}]}`), path: "messages.2.content", want: `"The tool write is now available."`},
		{name: "compaction keeps its words", body: turns(`{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"compaction","content":"summary","encrypted_content":"x"}]},{"role":"user","content":"c"}`), path: "messages.1.content", want: `"summary\n\n"`},
		{name: "two assistant turns are one", body: turns(`{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"assistant","content":"c"},{"role":"user","content":"d"}`), path: "messages.1.content", want: `"bc"`},
	} {
		t.Run(r.name, func(t *testing.T) { r.check(t, route.Anthropic, route.OpenAI, openaiSheet) })
	}
}

func oai(more string) string {
	return `{"model":"gpt-x","messages":[{"role":"user","content":"hi"}]` + more + `}`
}

func oturns(messages string) string { return `{"model":"gpt-x","messages":[` + messages + `]}` }

const (
	oUse  = `{"role":"user","content":"go"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"read","arguments":"{\"a\": 1.50}"}},{"id":"call_2","type":"function","function":{"name":"read","arguments":""}}]}`
	oDone = `,{"role":"tool","tool_call_id":"call_1","content":"one"},{"role":"tool","tool_call_id":"call_2","content":"two"}`
	oTool = `,"tools":[{"type":"function","function":{"name":"read","description":"Reads.","parameters":{"type":"object","properties":{"a":{"type":"number"}}}}}]`
)

func TestOpenAIToAnthropic(t *testing.T) {
	for _, r := range []row{
		{name: "leading system run", body: oturns(`{"role":"system","content":"A"},{"role":"developer","content":[{"type":"text","text":"B"}]},{"role":"user","content":"x"}`), path: "system", want: `[{"type":"text","text":"A"},{"type":"text","text":"B"}]`},
		{name: "later system", body: oturns(`{"role":"user","content":"x"},{"role":"system","content":"A"}`), path: "messages.1", want: `{"role":"system","content":"A"}`},
		{name: "later system elsewhere", sheet: minimaxSheet, body: oturns(`{"role":"user","content":"x"},{"role":"system","content":"A"}`), path: "system", want: `[{"type":"text","text":"A"}]`},
		{name: "system alone", body: oturns(`{"role":"system","content":"A"}`), path: "messages.0", want: `{"role":"user","content":[{"type":"text","text":"A"}]}`},
		{name: "user string", body: oai(``), path: "messages.0", want: `{"role":"user","content":[{"type":"text","text":"hi"}]}`},
		{name: "data url", body: oturns(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image\/png;base64,iV\/Bw=="}}]}`), path: "messages.0.content.0", want: `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iV/Bw=="}}`},
		{name: "https url", body: oturns(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y"}}]}`), path: "messages.0.content.0.source", want: `{"type":"url","url":"https://x/y"}`},
		{name: "pdf data url", body: oturns(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:application/pdf;base64,JVBE"}}]}`), path: "messages.0.content.0.type", want: `"document"`},
		{name: "file", body: oturns(`{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBE"}}]}`), path: "messages.0.content.0", want: `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"a.pdf"}`},
		{name: "text file", body: oturns(`{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,SGkgIgo="}}]}`), path: "messages.0.content.0", want: `{"type":"document","source":{"type":"text","media_type":"text/plain","data":"Hi \"\n"},"title":"a.txt"}`},
		{name: "the other name of JPEG", body: oturns(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/JPG;base64,iVBw"}}]}`), path: "messages.0.content.0.source.media_type", want: `"image/jpeg"`},
		{name: "detail of an image", body: oturns(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y","detail":"low"}}]}`), path: "messages.0.content.0.type", want: `"image"`, warn: "messages[0].content[0].image_url.detail"},
		{name: "blank words beside calls", body: oturns(`{"role":"user","content":"go"},{"role":"assistant","content":"\n\n","tool_calls":[{"id":"c","type":"function","function":{"name":"read","arguments":"null"}}]},{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":" "},{"type":"text","text":"x"}]}`), path: "messages.1.content", want: `[{"type":"tool_use","id":"c","name":"read","input":{}}]`},
		{name: "blank words in a result", body: oturns(`{"role":"user","content":"go"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"read","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":" "},{"type":"text","text":"x"}]}`), path: "messages.2.content.0.content", want: `[{"type":"text","text":"x"}]`},
		{name: "blank instructions", body: oturns(`{"role":"system","content":" \u2028"},{"role":"user","content":"x"}`), path: "system"},
		{name: "white space behind a prefill", body: oturns(`{"role":"user","content":"x"},{"role":"assistant","content":"It is \n"}`), path: "messages.1.content.0.text", want: `"It is"`},
		{name: "metadata", body: oai(`,"metadata":{"a":"b"}`), path: "metadata", warn: "metadata"},
		{name: "unknown member of a message", body: oturns(`{"role":"user","content":"x","brand_new":1}`), path: "messages.0.role", want: `"user"`, warn: "messages[0].brand_new"},
		{name: "two ways to sample", body: oai(`,"temperature":0.5,"top_p":0.5`), path: "top_p", warn: "top_p"},
		{name: "top_p while thinking", body: oai(`,"reasoning_effort":"high","top_p":0.5`), path: "top_p", warn: "top_p"},
		{name: "a schema that stands elsewhere", body: oai(`,"tools":[{"type":"function","function":{"name":"t","parameters":{"$ref":"#/$defs/A","$defs":{"A":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}}}}]`), path: "tools.0.input_schema", want: `{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"$defs":{"A":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}}`, warn: "tools[0].function.parameters"},
		{name: "calls last, empty arguments", body: oturns(oUse + oDone), path: "messages.1.content", want: `[{"type":"tool_use","id":"call_1","name":"read","input":{"a":1.50}},{"type":"tool_use","id":"call_2","name":"read","input":{}}]`},
		{name: "text beside calls", body: oturns(`{"role":"user","content":"go"},{"role":"assistant","content":"T","tool_calls":[{"id":"c","type":"function","function":{"name":"read","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"x"}`), path: "messages.1.content.0.text", want: `"T"`},
		{name: "results in one turn with what follows", body: oturns(oUse + oDone + `,{"role":"user","content":"then"}`), path: "messages.2", want: `{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"one"},{"type":"tool_result","tool_use_id":"call_2","content":"two"},{"type":"text","text":"then"}]}`},
		{name: "result behind text goes first", body: oturns(oUse + `,{"role":"tool","tool_call_id":"call_2","content":"two"},{"role":"user","content":"mid"},{"role":"tool","tool_call_id":"call_1","content":"one"}`), path: "messages.2.content.0.tool_use_id", want: `"call_1"`},
		{name: "images in tool content", body: oturns(oUse + `,{"role":"tool","tool_call_id":"call_1","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},{"role":"tool","tool_call_id":"call_2","content":"two"}`), path: "messages.2.content.0.content.0.type", want: `"image"`},
		{name: "same roles merged", body: oturns(`{"role":"user","content":"a"},{"role":"user","content":"b"}`), path: "messages.0.content.1.text", want: `"b"`},
		{name: "refusal", body: oturns(`{"role":"user","content":"a"},{"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":"b"}`), path: "messages.1.content.0.text", want: `"no"`, warn: "messages[1].refusal"},
		{name: "names of speakers", body: oturns(`{"role":"user","name":"bob","content":"a"}`), path: "messages.0.name", warn: "messages[0].name"},
		{name: "tool", body: oai(oTool), path: "tools.0", want: `{"name":"read","description":"Reads.","input_schema":{"type":"object","properties":{"a":{"type":"number"}}}}`},
		{name: "tool without parameters", body: oai(`,"tools":[{"type":"function","function":{"name":"x"}}]`), path: "tools.0.input_schema", want: `{"type":"object","properties":{}}`},
		{name: "alternatives at the top", body: oai(`,"tools":[{"type":"function","function":{"name":"x","parameters":{"anyOf":[{"type":"object","properties":{"a":{"type":"string"},"c":{"type":"string"}},"required":["a","c"]},{"type":"object","properties":{"b":{"type":"dict"},"c":{"type":"string"}},"required":["c"]}]}}}]`), path: "tools.0.input_schema", want: `{"type":"object","properties":{"a":{"type":"string"},"c":{"type":"string"},"b":{"type":"object"}},"required":["c"]}`, warn: "tools[0].function.parameters"},
		{name: "custom tool", body: oai(`,"tools":[{"type":"custom","custom":{"name":"sh","description":"D"}}]`), path: "tools.0.input_schema.required", want: `["input"]`},
		{name: "grammar", body: oai(`,"tools":[{"type":"custom","custom":{"name":"sh","format":{"type":"grammar"}}}]`), path: "tools.0.name", want: `"sh"`, warn: "tools[0].custom.format"},
		{name: "old functions", body: oai(`,"functions":[{"name":"f","parameters":{"type":"object","properties":{}}}],"function_call":{"name":"f"}`), path: "tool_choice", want: `{"type":"tool","name":"f"}`},
		{name: "old function history", body: oturns(`{"role":"user","content":"a"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"r"}`), path: "messages.2.content.0", want: `{"type":"tool_result","tool_use_id":"call_function_1","content":"r"}`},
		{name: "required", body: oai(oTool + `,"tool_choice":"required"`), path: "tool_choice", want: `{"type":"any"}`},
		{name: "allowed tools", body: oai(`,"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"b"}}]}}`), path: "tools", want: `[{"name":"b","input_schema":{"type":"object","properties":{}}}]`},
		{name: "forced call excludes thinking", body: oai(oTool + `,"tool_choice":"required","reasoning_effort":"high"`), path: "thinking", warn: "reasoning_effort"},
		{name: "one call at a time", body: oai(oTool + `,"parallel_tool_calls":false`), path: "tool_choice", want: `{"type":"auto","disable_parallel_tool_use":true}`},
		{name: "max tokens", body: oai(`,"max_completion_tokens":7,"max_tokens":9`), path: "max_tokens", want: `7`},
		{name: "max tokens by default", body: oai(``), path: "max_tokens", want: `128000`},
		{name: "stop", body: oai(`,"stop":"x"`), path: "stop_sequences", want: `["x"]`},
		{name: "stop of white space", body: oai(`,"stop":["\n","x"]`), path: "stop_sequences", want: `["x"]`, warn: "stop[0]"},
		{name: "hot", body: oai(`,"temperature":1.7`), path: "temperature", want: `1`, warn: "temperature"},
		{name: "effort", body: oai(`,"reasoning_effort":"high"`), path: "output_config.effort", want: `"high"`},
		{name: "effort thinks", body: oai(`,"reasoning_effort":"high"`), path: "thinking.type", want: `"adaptive"`},
		{name: "no effort", body: oai(`,"reasoning_effort":"none"`), path: "thinking", want: `{"type":"disabled"}`},
		{name: "schema", body: oai(`,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"a":{"type":"integer","minimum":3},"b":{"oneOf":[{"type":"string","maxLength":9,"description":"B"}]}},"required":["a"]}}}`), path: "output_config.format.schema",
			want: `{"type":"object","properties":{"a":{"type":"integer","description":"minimum: 3"},"b":{"anyOf":[{"type":"string","description":"B; maxLength: 9"}]}},"required":["a"],"additionalProperties":false}`, warn: "response_format.json_schema.schema"},
		{name: "json object", body: oai(`,"response_format":{"type":"json_object"}`), path: "system.0.text", want: `"Reply with a single JSON object and nothing else."`, warn: "response_format"},
		{name: "n of one", body: oai(`,"n":1`), path: "n"},
		{name: "seed", body: oai(`,"seed":3`), path: "seed", warn: "seed"},
		{name: "user", body: oai(`,"user":"u","safety_identifier":"s"`), path: "metadata.user_id", want: `"s"`},
		{name: "web search", body: oai(`,"web_search_options":{"user_location":{"type":"approximate","approximate":{"city":"Ulm"}}}`), path: "tools.0", want: `{"type":"web_search_20250305","name":"web_search","user_location":{"type":"approximate","city":"Ulm"}}`},
		{name: "tier", body: oai(`,"service_tier":"default"`), path: "service_tier", want: `"standard_only"`},
		{name: "cache mark", body: oturns(`{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}]}`), path: "messages.0.content.0.cache_control", want: `{"type":"ephemeral","ttl":"1h"}`},
		{name: "cache mark of OpenAI", body: oturns(`{"role":"user","content":[{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"explicit"}}]}`), path: "messages.0.content.0.cache_control", want: `{"type":"ephemeral"}`},
		{name: "ttl for one vendor only", sheet: zaiSheet, body: oturns(`{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}]}`), path: "messages.0.content.0.cache_control", want: `{"type":"ephemeral"}`},
		{name: "signed thinking goes back", body: oturns(`{"role":"user","content":"a"},{"role":"assistant","content":"b","thinking_blocks":[{"type":"thinking","thinking":"t","signature":"sig"},{"type":"redacted_thinking","data":"d"}]},{"role":"user","content":"c"}`), path: "messages.1.content", want: `[{"type":"thinking","thinking":"t","signature":"sig"},{"type":"redacted_thinking","data":"d"},{"type":"text","text":"b"}]`},
		{name: "unsigned thinking does not", body: oturns(`{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning_content":"t"},{"role":"user","content":"c"}`), path: "messages.1.content", want: `[{"type":"text","text":"b"}]`},
		{name: "ids that come again", body: oturns(`{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"B:0","type":"function","function":{"name":"r","arguments":"{}"}}]},{"role":"tool","tool_call_id":"B:0","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"B:0","type":"function","function":{"name":"r","arguments":"{}"}}]},{"role":"tool","tool_call_id":"B:0","content":"y"}`), path: "messages.4.content.0.content", want: `"y"`},
	} {
		t.Run(r.name, func(t *testing.T) { r.check(t, route.OpenAI, route.Anthropic, anthropicSheet) })
	}
}

func TestRejections(t *testing.T) {
	for _, r := range []struct {
		name  string
		from  route.Protocol
		body  string
		lacks route.Capability
		path  string
		again bool
	}{
		{"orphan result", route.Anthropic, turns(`{"role":"user","content":[{"type":"tool_result","tool_use_id":"x","content":"a"}]}`), 0, "messages[0].content[0]", false},
		{"unanswered call", route.Anthropic, turns(aUse + `,{"role":"user","content":"no"}`), 0, "messages[2]", false},
		{"document by address", route.Anthropic, turns(`{"role":"user","content":[{"type":"document","source":{"type":"url","url":"http://x"}}]}`), 0, "messages[0].content[0].source", true},
		{"file id", route.Anthropic, turns(`{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}`), 0, "messages[0].content[0].source.file_id", true},
		{"no vision", route.Anthropic, turns(`{"role":"user","content":[` + pngImage + `]}`), route.Vision, "messages[0].content[0]", true},
		{"no vision in a result", route.Anthropic, turns(aUse + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[` + pngImage + `]},{"type":"tool_result","tool_use_id":"toolu_2"}]}`), route.Vision, "messages[2].content[0].content[0]", true},
		{"forced server tool", route.Anthropic, asks(`,"tools":[{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"tool","name":"web_search"}`), 0, "tools[0]", true},
		{"mcp servers", route.Anthropic, asks(`,"mcp_servers":[{"url":"x"}]`), 0, "mcp_servers", true},
		{"container", route.Anthropic, asks(`,"container":"c"`), 0, "container", true},
		{"computer use", route.Anthropic, asks(`,"tools":[{"type":"computer_toolset_20260801","name":"computer"}]`), 0, "tools[0].type", true},
		{"prefill", route.Anthropic, turns(`{"role":"user","content":"a"},{"role":"assistant","content":"{"}`), route.Prefill, "messages[1]", true},
		{"warm cache", route.Anthropic, `{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"a"}]}`, 0, "max_tokens", true},
		{"n", route.OpenAI, oai(`,"n":2`), 0, "n", true},
		{"logprobs", route.OpenAI, oai(`,"logprobs":true`), 0, "logprobs", true},
		{"audio", route.OpenAI, oturns(`{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}]}`), 0, "messages[0].content[0]", true},
		{"arguments", route.OpenAI, oturns(`{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{bad"}}]},{"role":"tool","tool_call_id":"c","content":"x"}`), 0, "messages[1].tool_calls[0].function.arguments", false},
		{"image type", route.OpenAI, oturns(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/tiff;base64,AA"}}]}`), 0, "messages[0].content[0]", true},
		{"file by id", route.OpenAI, oturns(`{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}`), 0, "messages[0].content[0]", true},
		{"property name", route.OpenAI, oai(`,"tools":[{"type":"function","function":{"name":"x","parameters":{"type":"object","properties":{"a b":{}},"required":["a b"]}}}]`), 0, "tools[0].function.parameters", true},
	} {
		t.Run(r.name, func(t *testing.T) {
			to, sheet := route.OpenAI, openaiSheet
			if r.from == route.OpenAI {
				to, sheet = route.Anthropic, anthropicSheet
			}
			target := target(sheet, to)
			target.Has &^= r.lacks
			_, _, rejected := newTranslator().Prepare(nil, call(r.from, target, r.body))
			if rejected == nil {
				t.Fatal("accepted")
			}
			if rejected.Path != r.path || rejected.Elsewhere != r.again {
				t.Errorf("got %+v, want path %s, elsewhere %v", rejected, r.path, r.again)
			}
		})
	}
}

func TestStrictRefusesWhatWouldBeDegraded(t *testing.T) {
	target := target(openaiSheet, route.OpenAI)
	target.Strict = true
	_, _, rejected := newTranslator().Prepare(nil, call(route.Anthropic, target, asks(`,"top_k":5`)))
	if rejected == nil || rejected.Path != "top_k" || !rejected.Elsewhere {
		t.Fatalf("got %v", rejected)
	}
}

func TestWarningsAreBounded(t *testing.T) {
	var more strings.Builder
	for i := range 100 {
		more.WriteString(`,"x` + strings.Repeat("y", i) + `":1`)
	}
	_, reply := prepare(t, call(route.Anthropic, target(openaiSheet, route.OpenAI), asks(more.String())))
	if n := len(reply.Progress().Warnings); n == 0 || n > 30 {
		t.Errorf("%d warnings", n)
	}
}

func TestToolArgumentsSurvive(t *testing.T) {
	const input = `{"big":12345678901234567890123,"f":1.0e-7,"z":1,"a":"\ud83d\ude00 \\ \" <>&"}`
	body, _ := prepare(t, call(route.Anthropic, target(openaiSheet, route.OpenAI), turns(`{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"r","input":`+input+`}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"x"}]}`)))
	if got := dialect.Value(part(t, body, "messages.1.tool_calls.0.function.arguments")).Plain(); got != input {
		t.Errorf("got  %s\nwant %s", got, input)
	}
}
