package synthetic

import (
	"fmt"
	"strings"
	"testing"
)

// A ruling is a body and what is said against it; nothing for one that is fine.
type ruling struct {
	body string
	want string
}

// judge posts each body to a server of the vendor's kind. In bodies, MSG stands for one user message.
func judge(t *testing.T, v vendor, path string, status int, rulings []ruling, headers ...string) {
	t.Helper()
	r := newRig(t, Config{Vendor: string(v)})
	for _, c := range rulings {
		body := strings.ReplaceAll(c.body, "MSG", `{"role":"user","content":"x"}`)
		got := r.post(path, body, headers...)
		switch {
		case c.want == "" && got.status != 200:
			t.Errorf("%s: %s: refused: %d %s", v, body, got.status, got.body)
		case c.want != "" && (got.status != status || !strings.Contains(parsed(t, got.body).message(), c.want)):
			t.Errorf("%s: %s: %d %s, want %q", v, body, got.status, got.body, c.want)
		}
	}
}

// message is the message of an error body of any vendor.
func (v value) message() string {
	if m := v.get("message"); m != nil {
		return m.str()
	}
	return v.get("error").get("message").str()
}

func TestAnthropicRules(t *testing.T) {
	// with puts members before a whole request.
	with := func(members string) string {
		return fmt.Sprintf(`{%s,"model":"claude-opus-5-5","max_tokens":2000,"messages":[MSG]}`, members)
	}
	say := func(messages string) string {
		return `{"model":"claude-opus-5-5","max_tokens":2000,"messages":[` + messages + `]}`
	}
	content := func(blocks string) string { return say(`{"role":"user","content":[` + blocks + `]}`) }
	tool := func(schema string) string { return with(`"tools":[{"name":"t","input_schema":` + schema + `}]`) }
	const call, result = `{"type":"tool_use","id":"a","name":"t","input":{}}`, `{"type":"tool_result","tool_use_id":"a","content":"x"}`
	turn := func(assistant, user string) string {
		return say(`MSG,{"role":"assistant","content":[` + assistant + `]},{"role":"user","content":[` + user + `]}`)
	}
	judge(t, vendorAnthropic, messagesPath, 400, []ruling{
		{say("MSG"), ""},
		{with(`"zzz":1`), "zzz: Extra inputs are not permitted"},
		{with(`"context_management":{"edits":[]}`), "context_management: Extra inputs are not permitted"},
		{`{"model":"m","messages":[MSG]}`, "max_tokens: Field required"},
		{`{"max_tokens":1,"messages":[MSG]}`, "model: Field required"},
		{`{"model":"m","max_tokens":-1,"messages":[MSG]}`, "max_tokens: Input should be a valid integer"},
		{with(`"temperature":0.5`), "`temperature` is not supported by this model"},
		{with(`"temperature":1`), ""},
		{with(`"top_k":5`), "`top_k` is not supported"},
		{`{"model":"claude-haiku-4-5","max_tokens":9,"temperature":0.5,"messages":[MSG]}`, ""},
		{`{"model":"claude-haiku-4-5","max_tokens":9,"temperature":1.5,"messages":[MSG]}`, "temperature: range: 0..1"},
		{with(`"stop_sequences":[" "]`), "each stop sequence must contain non-whitespace"},
		{with(`"metadata":{"user_id":"u","session":"s"}`), "metadata.session: Extra inputs are not permitted"},
		{with(`"system":[{"type":"text","text":""}]`), "system.0: text content blocks must be non-empty"},
		{with(`"system":5`), "system: Input should be a valid string or array"},

		{say(`{"role":"system","content":"x"},MSG`), "messages.0: use the top-level 'system' parameter"},
		{say(`MSG,{"role":"system","content":"x"}`), ""},
		{say(`{"role":"tool","content":"x"}`), "messages.0.role: Input should be"},
		{say(`{"role":"user"}`), "messages.0.content: Input should be a valid string or array"},
		{say(`{"role":"user","content":""}`), "messages.0: all messages must have non-empty content"},
		{say(`{"role":"user","content":[]}`), "messages.0: user messages must have non-empty content"},
		{say(`{"role":"user","content":"x","name":"n"}`), "messages.0.name: Extra inputs are not permitted"},
		{say(`MSG,{"role":"assistant","content":"{"}`), "does not support assistant message prefill"},
		{`{"model":"claude-haiku-4-5","max_tokens":9,"messages":[MSG,{"role":"assistant","content":"So \n"}]}`, "cannot end with trailing whitespace"},
		{`{"model":"claude-haiku-4-5","max_tokens":9,"messages":[MSG,{"role":"assistant","content":"{"}]}`, ""},
		{content(`{"type":"text","text":""}`), "messages.0.content.0: text content blocks must be non-empty"},
		{content(`{"type":"text","text":" \n"}`), "must contain non-whitespace text"},
		{content(`{"type":"text","text":"x","prompt_cache_breakpoint":{}}`), "messages.0.content.0.text.prompt_cache_breakpoint: Extra inputs"},
		{content(`{"type":"image_url","image_url":{"url":"x"}}`), "Input tag 'image_url' found using 'type' does not match"},
		{content(`{"type":"image","source":{"type":"base64","media_type":"image/tiff","data":"aGk="}}`), "base64.media_type: Input should be"},
		{content(`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"%%"}}`), "invalid base64 data"},
		{content(`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}`), ""},
		{content(`{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"1h"}}`), ""},
		{content(`{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"2h"}}`), "cache_control.ephemeral.ttl: Input should be"},
		{content(strings.TrimSuffix(strings.Repeat(`{"type":"text","text":"x","cache_control":{"type":"ephemeral"}},`, 5), ",")), "A maximum of 4 blocks"},

		{turn(call, result), ""},
		{turn(call, result+`,{"type":"text","text":"x"}`), ""},
		{turn(`{"type":"text","text":"x"},`+call, result), ""},
		{turn(call, `{"type":"text","text":"x"},`+result), "`tool_use` ids were found without `tool_result` blocks immediately after: a"},
		{turn(call, `{"type":"text","text":"x"}`), "messages.1: `tool_use` ids were found without `tool_result` blocks"},
		{turn(`{"type":"text","text":"x"}`, result), "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a"},
		{content(result), "messages.0.content.0: unexpected `tool_use_id`"},
		{turn(call, result+","+result), "messages.2.content.1: unexpected `tool_use_id`"},
		{turn(call+`,{"type":"text","text":"x"}`, result), "ids were found without"},
		{turn(call+","+call, result), "`tool_use` ids must be unique"},
		{turn(strings.Replace(call, `"a"`, `"f.x:0"`, 1), result), "tool_use.id: String should match pattern"},
		{turn(strings.Replace(call, `"t"`, `"a.b"`, 1), result), "tool_use.name: String should match pattern"},
		{turn(strings.Replace(call, `{}}`, `"{}"}`, 1), result), "tool_use.input: Input should be a valid dictionary"},
		{say(`MSG,{"role":"assistant","content":[` + call + `]},{"role":"system","content":"s"},{"role":"user","content":[` + result + `]}`), ""},
		{say(`MSG,{"role":"assistant","content":[` + call + `]}`), "messages.1: `tool_use` ids were found without"},
		{say(`MSG,{"role":"assistant","content":[` + call + `]},{"role":"user","content":[` + result + `]},MSG`), ""},
		{content(call), "`tool_use` blocks can only be in `assistant` messages"},
		{turn(call, `{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":""}]}`), "text content blocks must be non-empty"},
		{turn(call, `{"type":"tool_result","tool_use_id":"a"}`), ""},

		{tool(`{"type":"object"}`), ""},
		{tool(`{"type":"dict"}`), "input_schema.type: Input should be 'object'"},
		{tool(`{"type":"object","properties":{"a":{"type":"dict"}}}`), "JSON schema is invalid"},
		{tool(`{"type":"object","anyOf":[]}`), "does not support oneOf, allOf, or anyOf at the top level"},
		{tool(`{"type":"object","properties":{"a b":{}}}`), "Property keys should match pattern"},
		{with(`"tools":[{"name":"a.b","input_schema":{"type":"object"}}]`), "name: String should match pattern"},
		{with(`"tools":[{"name":"a"}]`), "input_schema: Field required"},
		{with(`"tools":[{"type":"function","function":{"name":"a"}}]`), "Input tag 'function' found using 'type'"},
		{with(`"tools":[{"type":"web_search_20250305","name":"web_search"},{"type":"bash_20250124","name":"bash"}]`), ""},
		{with(`"tools":[{"name":"a","input_schema":{"type":"object"}},{"name":"a","input_schema":{"type":"object"}}]`), "Tool names must be unique"},
		{with(`"tool_choice":{"type":"auto"}`), "may only be specified while providing tools"},
		{with(`"tool_choice":{"type":"required"},"tools":[{"name":"a","input_schema":{"type":"object"}}]`), "tool_choice: Input tag 'required'"},
		{with(`"tool_choice":{"type":"tool","name":"b"},"tools":[{"name":"a","input_schema":{"type":"object"}}]`), "Tool 'b' not found in provided tools"},
		{with(`"thinking":{"type":"adaptive"},"tool_choice":{"type":"any"},"tools":[{"name":"a","input_schema":{"type":"object"}}]`), "Thinking may not be enabled when tool_choice forces tool use"},
		{with(`"thinking":{"type":"enabled","budget_tokens":100}`), "greater than or equal to 1024"},
		{with(`"thinking":{"type":"enabled","budget_tokens":4000}`), "`max_tokens` must be greater than"},
		{with(`"thinking":{"type":"disabled"}`), ""},
		{with(`"output_config":{"effort":"minimal"}`), "output_config.effort: Input should be"},
		{with(`"output_config":{"format":{"type":"json_schema","schema":{"type":"object","additionalProperties":false,"properties":{"a":{"type":"integer","minimum":1}}}}}`), "property 'minimum' is not supported"},
		{with(`"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}`), "'additionalProperties' must be explicitly set to false"},
	})
	judge(t, vendorAnthropic, messagesPath, 400, []ruling{
		{with(`"temperature":1`), "temperature: Extra inputs are not permitted"},
		{say(`MSG,{"role":"assistant","content":[{"type":"document","source":{}}]},MSG`), "`document` blocks are not permitted in assistant messages"},
		{content(`{"type":"text","text":"x","citations":[{}]}`), "citations are not permitted in user messages"},
		{with(`"context_management":{"edits":[]}`), ""},
	}, "Anthropic-Version", "2026-10-21", "Anthropic-Beta", "context-management-2025-06-27")
	judge(t, vendorAnthropic, messagesPath, 400, []ruling{{say("MSG"), "anthropic-version"}}, "Anthropic-Version", "2022-01-01")
	judge(t, vendorAnthropic, messagesPath+"/count_tokens", 400, []ruling{
		{`{"model":"m","messages":[MSG]}`, ""},
		{`{"model":"m","max_tokens":1,"messages":[MSG]}`, "max_tokens: Extra inputs are not permitted"},
	})
}

// TestSignatures: a server takes back the thinking it signed, unchanged, and nobody else's.
func TestSignatures(t *testing.T) {
	r, other := newRig(t, Config{Vendor: "anthropic"}), newRig(t, Config{Vendor: "anthropic", Seed: 7})
	first := parsed(t, r.post(messagesPath, asking("thinking+redacted+tool", false)).body)
	replay := func(r *rig, blocks string) reply {
		return r.post(messagesPath, fmt.Sprintf(`{"model":"text","max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":2000},"messages":[{"role":"user","content":"x"},`+
			`{"role":"assistant","content":%s},{"role":"user","content":[{"type":"tool_result","tool_use_id":%s,"content":"x"}]}]}`, blocks, at(first, "content", "2", "id")))
	}
	blocks := string(first.get("content"))
	if got := replay(r, blocks); got.status != 200 {
		t.Errorf("its own thinking: %d %s", got.status, got.body)
	}
	for name, got := range map[string]reply{
		"another server": replay(other, blocks),
		"changed text":   replay(r, strings.Replace(blocks, "I think", "I thought", 1)),
		"no signature":   replay(r, strings.Replace(blocks, at(first, "content", "0", "signature").str(), "", 1)),
	} {
		if got.status != 400 || !strings.Contains(got.body, "Invalid `signature` in `thinking` block") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := replay(r, "["+string(at(first, "content", "2"))+"]"); !strings.Contains(got.body, "Expected `thinking` or `redacted_thinking`") {
		t.Errorf("calls without their thinking: %d %s", got.status, got.body)
	}
}

func TestOpenAIRules(t *testing.T) {
	with := func(members string) string { return `{` + members + `,"model":"gpt-6.1-sol","messages":[MSG]}` }
	say := func(messages string) string { return `{"model":"gpt-6.1-sol","messages":[` + messages + `]}` }
	const call, result = `{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`, `{"role":"tool","tool_call_id":"a","content":"x"}`
	judge(t, vendorOpenAI, chatPath, 400, []ruling{
		{say("MSG"), ""},
		{with(`"top_k":1`), "Unknown parameter: 'top_k'"},
		{with(`"max_tokens":5`), "Use 'max_completion_tokens' instead"},
		{`{"model":"gpt-4o","max_tokens":5,"messages":[MSG]}`, ""},
		{with(`"max_completion_tokens":5`), ""},
		{with(`"max_completion_tokens":0`), "Invalid 'max_completion_tokens'"},
		{with(`"temperature":0.5`), "only supported with reasoning_effort 'none'"},
		{with(`"temperature":0.5,"reasoning_effort":"none"`), ""},
		{with(`"temperature":3,"reasoning_effort":"none"`), "Invalid 'temperature'"},
		{with(`"reasoning_effort":"huge"`), "Invalid value: 'huge'"},
		{with(`"stream_options":{"include_usage":true}`), "only allowed when 'stream' is enabled"},
		{with(`"stop":["1","2","3","4","5"]`), "array too long"},
		{with(`"tools":[]`), "Invalid 'tools': empty array"},
		{with(`"tool_choice":"auto"`), "only allowed when 'tools' are specified"},
		{with(`"tools":[{"type":"function","function":{"name":"a.b"}}]`), "does not match pattern"},
		{with(`"tools":[{"type":"function","function":{"name":"` + strings.Repeat("a", 65) + `"}}]`), "string too long"},
		{with(`"tools":[{"type":"function","function":{"name":"a","parameters":{"type":"dict"}}}]`), "got 'type: \"dict\"'"},
		{with(`"tools":[{"type":"function","function":{"name":"a","strict":true,"parameters":{"type":"object","properties":{}}}}]`), "'additionalProperties' is required"},
		{with(`"tools":[{"type":"web_search_20250305","name":"web_search"}]`), "Unknown parameter: 'tools[0].name'"},
		{with(`"tools":[{"type":"function","function":{"name":"a"},"cache_control":{}}]`), "Unknown parameter: 'tools[0].cache_control'"},
		{with(`"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":{"type":"function","function":{"name":"b"}}`), "Tool choice 'b' not found"},
		{with(`"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"any"`), "Invalid value: 'any'"},
		{with(`"response_format":{"type":"json_schema","json_schema":{"schema":{}}}`), "response_format.json_schema.name"},
		{with(`"response_format":{"type":"json_object"}`), "must contain the word 'json'"},

		{say(`MSG,` + call + `,` + result), ""},
		{say(`MSG,` + call + `,MSG,` + result), "did not have response messages: a"},
		{say(`MSG,` + call), "did not have response messages: a"},
		{say(`MSG,` + result), "must be a response to a preceding message with 'tool_calls'"},
		{say(`MSG,` + call + `,{"role":"tool","tool_call_id":"a","content":[{"type":"image_url","image_url":{"url":"https://x"}}]}`), "Supported values in 'tool' messages are: text"},
		{say(`MSG,` + strings.Replace(call, `"{}"`, `{}`, 1) + `,` + result), "arguments': expected a string"},
		{say(`MSG,` + strings.Replace(call, `"f"`, `"a.f"`, 1) + `,` + result), "does not match pattern"},
		{say(`{"role":"assistant","content":"x","tool_calls":[]},MSG`), "tool_calls': empty array"},
		{say(`{"role":"assistant","content":null},MSG`), "expected a string, got null"},
		{say(`{"role":"user","content":null}`), "expected a string, got null"},
		{say(`{"role":"user","content":[]}`), "empty array"},
		{say(`{"role":"model","content":"x"}`), "Invalid value: 'model'"},
		{say(`{"role":"assistant","content":"x","reasoning_content":"y"},MSG`), "Unknown parameter: 'messages[0].reasoning_content'"},
		{say(`{"role":"user","content":[{"type":"text","text":"x","cache_control":{}}]}`), "Unknown parameter: 'messages[0].content[0].cache_control'"},
		{say(`{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://x"}}]},MSG`), "Supported values in 'system' messages"},
		{say(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/tiff;base64,aGk="}}]}`), "unsupported image"},
		{say(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}]}`), ""},
		{say(`{"role":"developer","content":"x"},MSG`), ""},
	})
}

func TestCerebrasRules(t *testing.T) {
	judge(t, vendorCerebras, chatPath, 422, []ruling{
		{`{"model":"m","messages":[MSG],"max_completion_tokens":9,"reasoning_effort":"low"}`, ""},
		{`{"model":"m","messages":[MSG],"frequency_penalty":1}`, "property 'frequency_penalty' is unsupported"},
		{`{"model":"m","messages":[MSG],"prompt_cache_key":"k"}`, "property 'prompt_cache_key' is unsupported"},
		{`{"model":"m","messages":[{"role":"developer","content":"x"}]}`, "role: Input should be"},
		{`{"model":"m","messages":[{"role":"assistant","content":"x","reasoning_content":"y"},MSG]}`, "property 'reasoning_content' is unsupported"},
		{`{"model":"m","messages":[{"role":"assistant","content":"x","reasoning":"y"},MSG]}`, ""},
		{`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x"}}]}]}`, "type: Input should be 'text'"},
	})
}

func TestZAIRules(t *testing.T) {
	judge(t, vendorZAI, "/api/paas/v4/chat/completions", 400, []ruling{
		{`{"model":"m","messages":[MSG],"thinking":{"type":"enabled"},"tool_stream":true}`, ""},
		{`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{}}]}]}`, "cache_control"},
		{`{"model":"m","messages":[MSG],"tools":[{"type":"custom","custom":{"name":"x"}}]}`, "tools[0].type is illegal"},
		{`{"model":"m","messages":[MSG],"response_format":{"type":"json_schema"}}`, "response_format.type is illegal"},
		{`{"model":"m","messages":[{"role":"developer","content":"x"}]}`, "Incorrect role information"},
	})
	judge(t, vendorZAI, "/api/anthropic/v1/messages", 400, []ruling{
		{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}]}`, ""},
	})
}

func TestMiniMaxRules(t *testing.T) {
	judge(t, vendorMiniMax, chatPath, 400, []ruling{
		{`{"model":"m","messages":[{"role":"system","content":"x"},MSG]}`, ""},
		{`{"model":"m","messages":[{"role":"system","content":"x"},{"role":"system","content":"y"},MSG]}`, "(2013)"},
		{`{"model":"m","messages":[MSG],"n":2}`, "n must be 1"},
		{`{"model":"m","messages":[MSG],"temperature":0}`, "temperature must be in (0,1]"},
		{`{"model":"m","messages":[MSG],"tools":[{"type":"custom","custom":{"name":"x"}}]}`, "must be function"},
		{`{"model":"m","messages":[MSG,{"role":"tool","tool_call_id":"a","content":"x"}]}`, "(2013)"},
	})
	judge(t, vendorMiniMax, "/anthropic/v1/messages", 400, []ruling{
		{`{"model":"m","max_tokens":9,"stop_sequences":["scripted"],"messages":[MSG]}`, ""},
		{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{}}]}]}`, "block type document is not supported"},
	})
}
