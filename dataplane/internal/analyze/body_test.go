package analyze

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aimux/aimux/shared/route"
	"github.com/google/go-cmp/cmp"
)

const (
	ant = route.Anthropic
	oai = route.OpenAI
)

// read analyzes a body that must be fine.
func read(t *testing.T, p route.Protocol, body string, hints *Hints) Result {
	t.Helper()
	var out Result
	if problem := Body(p, []byte(body), nil, hints, &out); problem != nil {
		t.Fatalf("%v (offset %d)\n%s", problem, problem.Offset, body)
	}
	return out
}

// anthropicWith is a small body with further members.
func anthropicWith(more string) string {
	return `{"model":"claude-x","max_tokens":100,"messages":[{"role":"user","content":"hi there"}]` + comma(more) + `}`
}

func openAIWith(more string) string {
	return `{"model":"gpt-x","messages":[{"role":"user","content":"hi there"}]` + comma(more) + `}`
}

func comma(more string) string {
	if more == "" {
		return ""
	}
	return "," + more
}

// user is a body with one user message of this content.
func user(p route.Protocol, content string) string {
	return talk(p, `{"role":"user","content":`+content+`}`)
}

func talk(p route.Protocol, messages string) string {
	if p == ant {
		return `{"model":"claude-x","max_tokens":100,"messages":[` + messages + `]}`
	}
	return `{"model":"gpt-x","messages":[` + messages + `]}`
}

func TestRefusalsNameThePlace(t *testing.T) {
	for _, tc := range []struct {
		p          route.Protocol
		body, path string
		reason     string // a part of it
	}{
		{ant, ``, "", "unexpected end"},
		{ant, `[]`, "", "must be a JSON object"},
		{ant, `{"model":1}`, "model", "must be a string"},
		{ant, `{"model":""}`, "model", "must not be empty"},
		{ant, `{"model":null}`, "model", "must be a string"},
		{ant, `{"messages":[{"role":"user","content":"x"}],"max_tokens":1}`, "model", "is required"},
		{ant, `{"model":"m","max_tokens":1}`, "messages", "is required"},
		{ant, `{"model":"m","max_tokens":1,"messages":{}}`, "messages", "must be an array"},
		{ant, `{"model":"m","max_tokens":1,"messages":[]}`, "messages", "at least one"},
		{ant, `{"model":"m","messages":[{"role":"user","content":"x"}]}`, "max_tokens", "is required"},
		{ant, talk(ant, `{"role":"robot","content":"x"}`), "messages[0].role", "user, assistant or system"},
		{ant, talk(ant, `{"role":"user","content":"x"},{"content":"x"}`), "messages[1].role", "is required"},
		{ant, talk(ant, `{"role":"user"}`), "messages[0].content", "is required"},
		{ant, talk(ant, `{"role":"user","content":null}`), "messages[0].content", "must be a string or an array"},
		{ant, talk(ant, `{"role":"user","content":7}`), "messages[0].content", "must be a string or an array"},
		{ant, talk(ant, `"x"`), "messages[0]", "must be a message object"},
		{ant, user(ant, `["x"]`), "messages[0].content[0]", "content block"},
		{ant, user(ant, `[{"text":"x"}]`), "messages[0].content[0].type", "is required"},
		{ant, user(ant, `[{"type":"text"}]`), "messages[0].content[0].text", "is required"},
		{ant, user(ant, `[{"type":"text","text":"a"},{"type":"text","text":5}]`), "messages[0].content[1].text", "must be a string"},
		{ant, user(ant, `[{"type":"image"}]`), "messages[0].content[0].source", "is required"},
		{ant, user(ant, `[{"type":"image","source":{"type":"base64","data":"xx"}}]`), "messages[0].content[0].source.media_type", "is required"},
		{ant, user(ant, `[{"type":"tool_result","content":"x"}]`), "messages[0].content[0].tool_use_id", "must be a string"},
		{ant, user(ant, `[{"type":"tool_result","tool_use_id":"a","content":7}]`), "messages[0].content[0].content", "must be a string or an array"},
		{ant, talk(ant, `{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":"x"}]}`), "messages[0].content[0].input", "must be an object"},
		{ant, anthropicWith(`"stream":"yes"`), "stream", "true or false"},
		{ant, anthropicWith(`"temperature":1.5`), "temperature", "from 0 to 1"},
		{ant, anthropicWith(`"thinking":{"type":"enabled","budget_tokens":10}`), "thinking.budget_tokens", "1024"},
		{ant, anthropicWith(`"thinking":true`), "thinking", "object"},
		{ant, anthropicWith(`"output_config":{"effort":"huge"}`), "output_config.effort", "low, medium"},
		{ant, anthropicWith(`"tools":{}`), "tools", "array"},
		{ant, anthropicWith(`"tools":[{"input_schema":{}}]`), "tools[0].name", "is required"},
		{ant, anthropicWith(`"tools":[{"name":"a","input_schema":3}]`), "tools[0].input_schema", "object"},
		{ant, anthropicWith(`"tool_choice":"auto"`), "tool_choice", "object"},
		{ant, anthropicWith(`"tool_choice":{"type":"tool"}`), "tool_choice.name", "is required"},
		{ant, anthropicWith(`"stop_sequences":"x"`), "stop_sequences", "array"},
		{ant, anthropicWith(`"system":3`), "system", "string or an array"},
		{ant, anthropicWith(`"system":[{"type":"image"}]`), "system[0].type", "must be text"},
		{ant, anthropicWith(`"metadata":"x"`), "metadata", "object"},
		{ant, `{"model":"m","max_tokens":-1,"messages":[]}`, "max_tokens", "whole number"},
		{ant, `{"model":"m","max_tokens":1.5,"messages":[]}`, "max_tokens", "whole number"},
		{ant, anthropicWith(`"model":"again"`), "model", "twice"},
		{ant, anthropicWith(`"x":{"a":[0,{"b":1,"b":2}]}`), "x.a[1].b", "twice"},
		{ant, anthropicWith(`"x":` + strings.Repeat("[", 200)), "x" + strings.Repeat("[0]", 127), "too deeply"},
		{ant, anthropicWith(`"x":"` + "\xff" + `"`), "x", "UTF-8"},
		{ant, anthropicWith(`"x":"\ud800"`), "x", "surrogate"},
		{ant, anthropicWith("") + "x", "", "behind the end"},
		{ant, `{"model":"m",}`, "", "key"},
		{oai, `{"model":"m"}`, "messages", "is required"},
		{oai, talk(oai, `{"role":"user"}`), "messages[0].content", "is required"},
		{oai, talk(oai, `{"role":"user","content":[]}`), "messages[0].content", "at least one part"},
		{oai, talk(oai, `{"role":"assistant","content":null}`), "messages[0].content", "no tool calls"},
		{oai, talk(oai, `{"role":"tool","content":"x"}`), "messages[0].tool_call_id", "is required"},
		{oai, talk(oai, `{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{}}}]}`), "messages[0].tool_calls[0].function.arguments", "must be a string"},
		{oai, user(oai, `[{"type":"image_url","image_url":"http://x"}]`), "messages[0].content[0].image_url", "object"},
		{oai, user(oai, `[{"type":"image_url"}]`), "messages[0].content[0].image_url", "is required"},
		{oai, openAIWith(`"temperature":2.1`), "temperature", "from 0 to 2"},
		{oai, openAIWith(`"n":0`), "n", "1 to 128"},
		{oai, openAIWith(`"max_tokens":0`), "max_tokens", "1 or more"},
		{oai, openAIWith(`"stop":["a","b","c","d","e"]`), "stop[4]", "at most 4"},
		{oai, openAIWith(`"reasoning_effort":"extreme"`), "reasoning_effort", "minimal"},
		{oai, openAIWith(`"response_format":{"type":"json_schema"}`), "response_format.json_schema", "is required"},
		{oai, openAIWith(`"response_format":"json"`), "response_format", "object"},
		{oai, openAIWith(`"tools":[{"type":"function","function":{}}]`), "tools[0].function.name", "is required"},
		{oai, openAIWith(`"tools":[{"function":{"name":"f"}}]`), "tools[0].type", "is required"},
		{oai, openAIWith(`"tool_choice":"perhaps"`), "tool_choice", "none, auto"},
		{oai, openAIWith(`"top_logprobs":21`), "top_logprobs", "0 to 20"},
		{oai, openAIWith(`"stream_options":true`), "stream_options", "object"},
	} {
		var out Result
		problem := Body(tc.p, []byte(tc.body), nil, nil, &out)
		if problem == nil {
			t.Errorf("%s: accepted", tc.body)
			continue
		}
		if problem.Path != tc.path || !strings.Contains(problem.Reason, tc.reason) {
			t.Errorf("%s:\n got  %q: %s\n want %q: …%s…", tc.body, problem.Path, problem.Reason, tc.path, tc.reason)
		}
	}
}

// The shapes that real clients send must all pass.
func TestShapesOfRealClientsPass(t *testing.T) {
	for _, tc := range []struct {
		p    route.Protocol
		body string
	}{
		{ant, talk(ant, `{"role":"user","content":"a"},{"role":"system","content":"reminder"},{"role":"user","content":[{"type":"text","text":""}]}`)},
		{ant, talk(ant, `{"role":"user","content":"a"},{"role":"system","clear_at":1}`)},
		{ant, anthropicWith(`"system":[{"type":"text","text":"x-anthropic-billing-header: a","cache_control":{"type":"ephemeral","ttl":"1h"}}],"context_management":{"edits":[]},"metadata":{"user_id":null}`)},
		{ant, anthropicWith(`"thinking":{"type":"adaptive","display":"omitted"},"service_tier":"auto","speed":"fast","tool_choice":null,"stop_sequences":null`)},
		{ant, talk(ant, `{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"s"},{"type":"redacted_thinking","data":"d"},`+
			`{"type":"server_tool_use","id":"srv_1","name":"web_search","input":{"query":"q"}},`+
			`{"type":"web_search_tool_result","tool_use_id":"srv_1","content":[{"type":"web_search_result","url":"u","title":"t","encrypted_content":"e"}]},`+
			`{"type":"web_fetch_tool_result","tool_use_id":"srv_2","content":{"type":"web_fetch_result","url":"u","content":{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"}}}},`+
			`{"type":"code_execution_tool_result","tool_use_id":"s","content":{"type":"code_execution_result","stdout":"o","stderr":"","return_code":0,"content":[]}},`+
			`{"type":"text","text":"t","citations":[{"type":"x"}]}]},{"role":"user","content":"b"}`)},
		{ant, anthropicWith(`"tools":[{"type":"bash_20250124","name":"bash"},{"type":"mcp_toolset","mcp_server_name":"x"},{"type":"custom","name":"a","input_schema":{"type":"object"},"strict":true}]`)},
		{oai, talk(oai, `{"role":"developer","content":[{"type":"text","text":"d"}]},{"role":"user","content":""},{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":""}}]},{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"r"}]}`)},
		{oai, talk(oai, `{"role":"user","content":"a"},{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":null}`)},
		{oai, talk(oai, `{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},{"role":"assistant","audio":{"id":"x"}},{"role":"user","content":"b","name":"bob"}`)},
		{oai, openAIWith(`"max_tokens":null,"temperature":null,"stop":null,"tools":null,"tool_choice":null,"response_format":null,"stream_options":null,"n":null,"logprobs":null,"seed":123456789012345678901234567890`)},
		{oai, openAIWith(`"tools":[{"type":"custom","custom":{"name":"c","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"x"}}}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}`)},
	} {
		read(t, tc.p, tc.body, nil)
	}
	read(t, ant, `{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[]}`, &Hints{CountTokens: true})
}

func TestNeeds(t *testing.T) {
	image := `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}`
	for _, tc := range []struct {
		name        string
		p           route.Protocol
		body        string
		need, wants route.Capability
	}{
		{"nothing", ant, anthropicWith(""), 0, 0},
		{"stream", ant, anthropicWith(`"stream":true`), route.Streaming, 0},
		{"image", ant, user(ant, `[`+image+`]`), route.Vision, 0},
		{"image whose type comes last", ant, user(ant, `[{"source":{"data":"aGk=","media_type":"image/png","type":"base64"},"type":"image"}]`), route.Vision, 0},
		{"image in escapes", ant, user(ant, `[{"type":"im\u0061ge","sourc\u0065":{"type":"b\u0061se64","media_type":"image/png","data":"aGk="}}]`), route.Vision, 0},
		{"image in a tool result", ant, user(ant, `[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"x"},`+image+`]}]`), route.Vision | route.Tools, 0},
		{"image in a document in a tool result", ant, user(ant, `[{"type":"tool_result","tool_use_id":"a","content":[{"type":"document","source":{"type":"content","content":[`+image+`]}}]}]`), route.Vision | route.Tools, 0},
		{"an image only spoken of", ant, user(ant, `[{"type":"tool_result","tool_use_id":"a","content":"{\"type\":\"image\"}"}]`), route.Tools, 0},
		{"an image in a tool's input is data", ant, talk(ant, `{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"content":[`+image+`]}}]}`), route.Tools, 0},
		{"uploaded image", ant, user(ant, `[{"type":"image","source":{"type":"file","file_id":"f"}}]`), route.Vision | route.FileIDs, 0},
		{"pdf", ant, user(ant, `[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"aGk="}}]`), route.PDF, 0},
		{"text document", ant, user(ant, `[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"hi"}}]`), 0, 0},
		{"tools", ant, anthropicWith(`"tools":[{"name":"a","input_schema":{}}]`), route.Tools, 0},
		{"no tools", ant, anthropicWith(`"tools":[]`), 0, 0},
		{"search only", ant, anthropicWith(`"tools":[{"type":"web_search_20250305","name":"web_search"}]`), route.WebSearch, 0},
		{"search among others", ant, anthropicWith(`"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"a"}]`), route.Tools, route.WebSearch},
		{"search among others, forced", ant, anthropicWith(`"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"a"}],"tool_choice":{"type":"tool","name":"web_search"}`), route.Tools | route.WebSearch, 0},
		{"schema", ant, anthropicWith(`"output_config":{"format":{"type":"json_schema","schema":{}}}`), route.JSONSchema, 0},
		{"mcp", ant, anthropicWith(`"mcp_servers":[{"type":"url","url":"x","name":"y"}],"container":"c"`), route.MCP | route.Container, 0},
		{"no mcp", ant, anthropicWith(`"mcp_servers":[],"container":null`), 0, 0},
		{"prefill", ant, talk(ant, `{"role":"user","content":"x"},{"role":"assistant","content":"{"}`), route.Prefill, 0},
		{"effort", ant, anthropicWith(`"output_config":{"effort":"high"}`), route.Thinking, 0},
		{"image url", oai, user(oai, `[{"type":"text","text":"x"},{"image_url":{"url":"https://x/y.png"},"type":"image_url"}]`), route.Vision, 0},
		{"image for a tool", oai, talk(oai, `{"role":"tool","tool_call_id":"a","content":[{"type":"image_url","image_url":{"url":"u"}}]}`), route.Vision | route.Tools, 0},
		{"file", oai, user(oai, `[{"type":"file","file":{"file_data":"data:application/pdf;base64,xx","filename":"a.pdf"}}]`), route.PDF, 0},
		{"file id", oai, user(oai, `[{"type":"file","file":{"file_id":"f"}}]`), route.FileIDs, 0},
		{"audio", oai, `{"modalities":["text","audio"],` + user(oai, `[{"type":"input_audio","input_audio":{"data":"xx","format":"wav"}}]`)[1:], route.AudioIn | route.AudioOut, 0},
		{"n", oai, openAIWith(`"n":2,"logprobs":true`), route.Choices | route.Logprobs, 0},
		{"n of one", oai, openAIWith(`"n":1,"logprobs":false,"top_logprobs":0`), 0, 0},
		{"object", oai, openAIWith(`"response_format":{"type":"json_object"}`), 0, route.JSONObject},
		{"schema", oai, openAIWith(`"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{}}}`), route.JSONSchema, 0},
		{"functions", oai, openAIWith(`"functions":[{"name":"f"}]`), route.Tools, 0},
		{"search", oai, openAIWith(`"web_search_options":{}`), route.WebSearch, 0},
		{"no prefill", oai, talk(oai, `{"role":"user","content":"x"},{"role":"assistant","content":"y"}`), 0, 0},
		{"grammar", oai, openAIWith(`"tools":[{"type":"custom","custom":{"name":"c","format":{"type":"grammar"}}}]`), route.Tools, route.GrammarTools},
	} {
		out := read(t, tc.p, tc.body, nil)
		if out.Ask.Needs != tc.need || out.Ask.Wants != tc.wants {
			t.Errorf("%s: needs %v wants %v", tc.name, out.Ask.Needs.Names(), out.Ask.Wants.Names())
		}
	}
}

func TestMembersAndSettings(t *testing.T) {
	body := ` {"stream" : true ,"model":"m\u0031","max_tokens":5,"max_completion_tokens": 7,"stream_options":{"include_usage":true},"metadata":{"a":"b"},"messages":[{"role":"user","content":"x"}]}`
	out := read(t, oai, body, nil)
	var got []string
	for _, m := range out.Members.All() {
		got = append(got, body[m.Key.Start:m.Key.End]+body[m.Value.Start:m.Value.End])
	}
	want := []string{
		`"stream"true`, `"model""m\u0031"`, `"max_tokens"5`, `"max_completion_tokens"7`, `"stream_options"{"include_usage":true}`, `"metadata"{"a":"b"}`,
		`"messages"[{"role":"user","content":"x"}]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if out.Ask.Model != "m1" || out.Ask.MaxTokens != 7 || !out.Stream || !out.IncludeUsage {
		t.Errorf("%+v", out)
	}
}

// A body of very many fields is understood; where they stand is then not kept.
func TestManyMembers(t *testing.T) {
	for _, more := range []int{20, 21, 22, 23, 2000} {
		var extra strings.Builder
		for i := range more {
			fmt.Fprintf(&extra, `"x%d":%d,`, i, i)
		}
		out := read(t, oai, "{"+extra.String()+`"model":"m","messages":[{"role":"user","content":"x"}]}`, nil)
		want := more + 2
		if want > 24 {
			want = 0
		}
		if got := len(out.Members.All()); got != want {
			t.Errorf("%d fields more: %d are kept, want %d", more, got, want)
		}
	}
}

func TestWhatPassageLooksFor(t *testing.T) {
	for content, want := range map[string][2]bool{
		`[{"type":"text","text":"a"}]`: {}, `[{"text":"","type":"text"}]`: {false, true},
		`[{"type":"thinking","thinking":"","signature":"s"},{"type":"text","text":"a"}]`: {true, false},
	} {
		out := read(t, ant, talk(ant, `{"role":"user","content":"x"},{"role":"assistant","content":`+content+`},{"role":"user","content":"y"}`), nil)
		if got := [2]bool{out.Thought, out.EmptyText}; got != want {
			t.Errorf("%s: %v, want %v", content, got, want)
		}
	}
	for message, want := range map[string][2]bool{
		`{"role":"assistant","content":"a","refusal":"b"}`: {}, `{"role":"developer","content":"a"}`: {false, true},
		`{"role":"assistant","content":"a","reasoning_content":"b"}`: {true, false}, `{"role":"assistant","reasoning":"b"}`: {true, false},
	} {
		out := read(t, oai, talk(oai, `{"role":"user","content":"x"},`+message+`,{"role":"user","content":"y"}`), nil)
		if got := [2]bool{out.Thought, out.Developer}; got != want {
			t.Errorf("%s: %v, want %v", message, got, want)
		}
	}
}

func TestClasses(t *testing.T) {
	long := strings.Repeat("many words in a row make a long prompt ", 9000)
	image := `[{"type":"image","source":{"type":"url","url":"u"}}]`
	tools := `"tools":[{"name":"a","input_schema":{}}]`
	for _, tc := range []struct {
		name string
		p    route.Protocol
		body string
		want route.Class
	}{
		{"plain", ant, anthropicWith(""), route.Standard},
		{"stream", ant, anthropicWith(`"stream":true`), route.ClassStreaming},
		{"long", ant, user(ant, `"`+long+`"`), route.ClassLongContext},
		{"tools before long", ant, strings.Replace(user(ant, `"`+long+`"`), "{", "{"+tools+",", 1), route.ClassTools},
		{"explicit before tools", ant, anthropicWith(tools + `,"output_config":{"effort":"xhigh"}`), route.ClassThinking},
		{"adaptive says nothing", ant, anthropicWith(tools + `,"thinking":{"type":"adaptive"},"output_config":{"effort":"medium"}`), route.ClassTools},
		{"image before explicit", ant, strings.Replace(user(ant, image), "{", `{"output_config":{"effort":"max"},`, 1), route.ClassVision},
		{"budget", ant, anthropicWith(`"thinking":{"type":"enabled","budget_tokens":16000}`), route.ClassThinking},
		{"small budget", ant, anthropicWith(`"thinking":{"type":"enabled","budget_tokens":4000}`), route.Standard},
		{"disabled", ant, anthropicWith(`"thinking":{"type":"disabled"},"output_config":{"effort":"high"}`), route.Standard},
		{"reasoning effort", oai, openAIWith(`"reasoning_effort":"high"`), route.ClassThinking},
		{"low effort", oai, openAIWith(`"reasoning_effort":"low"`), route.Standard},
		{"tools in the history", oai, talk(oai, `{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"y"}`), route.ClassTools},
		{"ultrathink", ant, talk(ant, `{"role":"user","content":"x"},{"role":"system","content":"The user asked to ultrathink."}`), route.ClassThinking},
		{"ultrathink while tools run", ant, talk(ant, `{"role":"user","content":"x"},{"role":"system","content":"ultrathink"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"y"},{"type":"text","text":"<system-reminder>z</system-reminder>"}]}`), route.ClassThinking},
		{"ultrathink of a turn ago", ant, talk(ant, `{"role":"user","content":"x"},{"role":"system","content":"ultrathink"},{"role":"assistant","content":"y"},{"role":"user","content":"thanks"}`), route.Standard},
	} {
		if got := read(t, tc.p, tc.body, nil).Ask.Class; got != tc.want {
			t.Errorf("%s: class %v, want %v", tc.name, got, tc.want)
		}
	}
	riddle := `{"role":"user","content":"A bat and a ball cost 1.10 together. The bat costs 1 more than the ball. How much is the ball?"}`
	for _, tc := range []struct {
		name string
		body string
		want route.Class
	}{
		{"inferred", talk(ant, riddle), route.ClassThinking},
		{"inferred before streaming", strings.Replace(talk(ant, riddle), "{", `{"stream":true,`, 1), route.ClassThinking},
		{"tools before inferred", strings.Replace(talk(ant, riddle), "{", "{"+tools+",", 1), route.ClassTools},
		{"declined", strings.Replace(talk(ant, riddle), "{", `{"thinking":{"type":"disabled"},`, 1), route.Standard},
		{"only the last turn", talk(ant, riddle+`,{"role":"assistant","content":"5 cents"},{"role":"user","content":"thanks, now write me a nice birthday card"}`), route.Standard},
		{"a turn in several messages", talk(ant, riddle+`,{"role":"user","content":"please"}`), route.ClassThinking},
		{"a reminder is nobody's words", talk(ant, `{"role":"user","content":[{"type":"text","text":"<system-reminder>Solve for x: 3x+4=10 and prove it</system-reminder>"},{"type":"text","text":"hello there"}]}`), route.Standard},
		{"escapes", talk(ant, `{"role":"user","content":"\u5c0f\u660e\u670912\u4e2a\u82f9\u679c\uff0c\u53c8\u4e70\u4e868\u4e2a\uff0c\u73b0\u5728\u6709\u51e0\u4e2a\uff1f"}`), route.ClassThinking},
	} {
		if got := read(t, ant, tc.body, nil); got.Ask.Class != tc.want {
			t.Errorf("%s: class %v (score %+.2f), want %v", tc.name, got.Ask.Class, got.ThinkingScore, tc.want)
		}
	}
	policy := &Policy{ClassOrder: []route.Class{route.ClassTools, route.ClassThinking}, LongContextTokens: 10}
	var out Result
	if problem := Body(ant, []byte(anthropicWith(tools+`,"output_config":{"effort":"max"}`)), policy, nil, &out); problem != nil || out.Ask.Class != route.ClassTools {
		t.Errorf("policy's order: %v %v", out.Ask.Class, problem)
	}
}

func TestMarksOfCodingAgents(t *testing.T) {
	billing := `"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2; cc_is_subagent=true;"},{"type":"text","text":"You are"}]`
	for _, tc := range []struct {
		name  string
		body  string
		hints *Hints
		want  route.Trait
	}{
		{"nobody's", anthropicWith(""), nil, 0},
		{"subagent by the system block", anthropicWith(billing), nil, route.TraitSubagent},
		{"subagent by its header", anthropicWith(""), &Hints{Agent: "a"}, route.TraitSubagent},
		{"subagent on the cheap", anthropicWith(billing + `,"thinking":{"type":"disabled"}`), nil, route.TraitSubagent | route.TraitBackground},
		{"side call", anthropicWith(`"thinking":{"type":"disabled"}`), &Hints{Session: "s"}, route.TraitBackground},
		{"low effort", anthropicWith(`"output_config":{"effort":"low"}`), nil, route.TraitBackground},
		{"small model", strings.Replace(anthropicWith(""), "claude-x", "claude-haiku-4-5", 1), nil, route.TraitBackground},
		{"a name that only sounds small", strings.Replace(anthropicWith(""), "claude-x", "MiniMax-M3", 1), nil, 0},
		{"open tool", talk(ant, `{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}`), nil, route.TraitTools | route.TraitToolOpen},
		{"closed tool", talk(ant, `{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]},{"role":"assistant","content":"done"},{"role":"user","content":"thanks"}`), nil, route.TraitTools},
	} {
		if got := read(t, ant, tc.body, tc.hints).Ask.Traits; got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got.Names(), tc.want.Names())
		}
	}
}

func TestSessions(t *testing.T) {
	session := func(p route.Protocol, body string, h *Hints) uint64 { return read(t, p, body, h).Ask.Session }
	byHeader := session(ant, anthropicWith(""), &Hints{Session: "11-22"})
	same := []uint64{
		session(ant, anthropicWith(`"metadata":{"user_id":"{\"device_id\":\"d\",\"session_id\":\"11-22\"}"}`), nil),
		session(ant, anthropicWith(`"metadata":{"user_id":"user_aa_account__session_11-22"}`), nil),
		session(oai, openAIWith(`"prompt_cache_key":"11-22"`), nil),
		session(oai, openAIWith(`"prompt_cache_key":"other"`), &Hints{Session: "11-22"}),
	}
	for i, s := range same {
		if s != byHeader || s == 0 {
			t.Errorf("%d: another session", i)
		}
	}
	first := `{"role":"user","content":"tell me of the sea"}`
	begun := session(ant, talk(ant, first), nil)
	grown := session(ant, talk(ant, `{"role":"user","content":[{"type":"text","text":"tell me of the sea","cache_control":{"type":"ephemeral"}}]},{"role":"assistant","content":"It is wet."},{"role":"user","content":"more"}`), nil)
	other := session(ant, talk(ant, `{"role":"user","content":"tell me of the land"}`), nil)
	if begun == 0 || begun != grown || begun == other {
		t.Errorf("begun %x grown %x other %x", begun, grown, other)
	}
}

func TestPreference(t *testing.T) {
	for header, want := range map[string]route.Prefer{"": route.PreferNothing, "cost": route.PreferCost, "Latency": route.PreferLatency, "reliability": route.PreferReliability, "x": route.PreferNothing} {
		if got := read(t, ant, anthropicWith(""), &Hints{Prefer: header}).Ask.Prefer; got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		anthropicWith(`"stream":true,"system":"s","metadata":{"user_id":"{\"session_id\":\"x\"}"}`),
		openAIWith(`"stream":true,"stream_options":{"include_usage":true},"max_tokens":3`),
		user(ant, `[{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"x"}}]}]`),
		user(ant, `"<system-reminder>a</system-reminder>\n b <"`), user(oai, `"\u4f60\u597d \ud83d\ude00"`), `{"mod\u0065l":"x"}`,
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, anthropic bool) {
		p := oai
		if anthropic {
			p = ant
		}
		kept := string(body)
		var out Result
		problem := Body(p, body, nil, nil, &out)
		if string(body) != kept {
			t.Fatal("the body was written to")
		}
		if problem != nil {
			if problem.Reason == "" || problem.Offset < 0 || problem.Offset > len(body) {
				t.Fatalf("%+v", problem)
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(body, &members); err != nil {
			t.Fatalf("accepted %q: %v", body, err)
		}
		for _, m := range out.Members.All() {
			var name string
			if err := json.Unmarshal(body[m.Key.Start:m.Key.End], &name); err != nil {
				t.Fatalf("the key %q: %v", body[m.Key.Start:m.Key.End], err)
			}
			if got := string(body[m.Value.Start:m.Value.End]); got != string(members[name]) {
				t.Fatalf("%s: %q, is %q", name, got, members[name])
			}
		}
		var model string
		if json.Unmarshal(members["model"], &model); model != out.Ask.Model {
			t.Fatalf("model %q, is %q", out.Ask.Model, model)
		}
		if out.Ask.PromptTokens < 0 || out.PromptTokensMax < out.Ask.PromptTokens {
			t.Fatalf("tokens %d, at most %d", out.Ask.PromptTokens, out.PromptTokensMax)
		}
	})
}
