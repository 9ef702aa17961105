package content_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/dataplane/internal/dialect/anthropic"
	"github.com/aimux/aimux/dataplane/internal/dialect/content"
	"github.com/aimux/aimux/dataplane/internal/dialect/openai"
)

const anthropicAsk = `{"model":"m","system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],"max_tokens":9,
"tools":[{"name":"weather","description":"Tells it.","input_schema":{"type":"object"}},{"type":"web_search_20250305","name":"web_search"}],
"messages":[{"role":"user","content":[{"type":"text","text":"What is \"it\"?\nLook."},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgoAAAAN"}},
{"type":"image","source":{"type":"url","url":"https://example.com/a.png?sig=secret"}}]},
{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"c2ln"},{"type":"tool_use","id":"t1","name":"weather","input":{"at":"Paris"}}]},
{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"rain","is_error":true},{"type":"text","text":"And?"}]}]}`

const openAIAsk = `{"model":"m","tools":[{"type":"function","function":{"name":"weather","description":"Tells it.","parameters":{"type":"object"}}}],
"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Look."},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAAAN"}},
{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]},
{"role":"assistant","content":null,"reasoning_content":"Hm.","tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"at\":\"Paris\"}"}}]},
{"role":"tool","tool_call_id":"c1","content":"rain"}]}`

const (
	instructions = `[{"type":"text","content":"Be brief."}]`
	weather      = `{"type":"function","name":"weather","description":"Tells it.","parameters":{"type":"object"}}`
	picture      = `{"type":"blob","bytes":12,"content":"","modality":"image","mime_type":"image/png"}`
	call         = `{"type":"reasoning","content":"Hm."},{"type":"tool_call","id":"%s","name":"weather","arguments":{"at":"Paris"}}`
)

// What clients of both formats ask and get, plain and streamed, in the conventions' words.
func TestTell(t *testing.T) {
	for _, row := range []struct {
		name string
		said content.Said
		want content.Told
	}{
		{"anthropic", content.Said{Format: anthropic.Dialect{}, Request: []byte(anthropicAsk), Answer: []byte(
			`{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"It rains."},{"type":"tool_use","id":"t2","name":"weather","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":1}}`)},
			content.Told{
				Instructions: instructions, Tools: "[" + weather + `,{"type":"web_search","name":"web_search"}]`,
				Input: `[{"role":"user","parts":[{"type":"text","content":"What is \"it\"?\nLook."},` + picture + `,{"type":"uri","uri":"https://example.com/a.png","modality":"image"}]},` +
					`{"role":"assistant","parts":[` + fmt.Sprintf(call, "t1") + `]},{"role":"user","parts":[{"type":"tool_call_response","id":"t1","is_error":true,"response":"rain"},{"type":"text","content":"And?"}]}]`,
				Output: `[{"role":"assistant","parts":[{"type":"text","content":"It rains."},{"type":"tool_call","id":"t2","name":"weather","arguments":{}}],"finish_reason":"tool_call"}]`,
			}},
		{"openai", content.Said{Format: openai.Dialect{}, Request: []byte(openAIAsk), Answer: []byte(
			`{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"One."},"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":"Two"},"finish_reason":"length"}]}`)},
			content.Told{
				Tools: "[" + weather + "]",
				Input: `[{"role":"system","parts":[{"type":"text","content":"Be brief."}]},{"role":"user","parts":[{"type":"text","content":"Look."},` + picture +
					`,{"type":"blob","bytes":3,"content":"","modality":"audio","mime_type":"audio/wav"}]},{"role":"assistant","parts":[` + fmt.Sprintf(call, "c1") +
					`]},{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":"rain"}]}]`,
				Output: `[{"role":"assistant","parts":[{"type":"text","content":"One."}],"finish_reason":"stop"},{"role":"assistant","parts":[{"type":"text","content":"Two"}],"finish_reason":"length"}]`,
			}},
		{"anthropic stream that broke", content.Said{Format: anthropic.Dialect{}, Stream: true, Answer: []byte("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"role\":\"assistant\",\"content\":[],\"usage\":{}}}\n\n" +
			": ping\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
			"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"lo\"}}\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n")},
			content.Told{Output: `[{"role":"assistant","parts":[{"type":"text","content":"Hello"}],"finish_reason":"error"}]`}},
		{"openai stream", content.Said{Format: openai.Dialect{}, Stream: true, Answer: []byte("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"reasoning_content\":\"Hm.\"}}]}\n\n" +
			"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"content_filter\"}]}\n\ndata: [DONE]\n\n")},
			content.Told{Output: `[{"role":"assistant","parts":[{"type":"reasoning","content":"Hm."},{"type":"text","content":"Hello"}],"finish_reason":"content_filter"}]`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.said.Bytes = 10_000
			if got := content.Tell(&row.said); got != row.want {
				t.Errorf("\n%+v\n%+v", got, row.want)
			}
		})
	}
}

// What does not fit is cut where the oldest is, says so, and is counted; and what is told is still in the conventions' form.
func TestCut(t *testing.T) {
	long := strings.Repeat("é", 500)
	ask := fmt.Sprintf(`{"system":"%[1]s","tools":[{"name":"f","input_schema":{"x":"%[1]s"}}],"messages":[{"role":"user","content":"%[1]s"},{"role":"assistant","content":"%[1]s"},{"role":"user","content":"the last word"}]}`, long)
	told := content.Tell(&content.Said{Format: anthropic.Dialect{}, Request: []byte(ask), Bytes: 301})
	for name, text := range map[string]string{"instructions": told.Instructions, "input": told.Input, "tools": told.Tools} {
		if !json.Valid([]byte(text)) || !utf8.ValidString(text) || len(text) > 301+100 {
			t.Errorf("%s: %d bytes: %s", name, len(text), text)
		}
	}
	if !strings.Contains(told.Input, `"the last word"`) || !strings.Contains(told.Input, `"role":"assistant"`) || strings.Count(told.Input, `"role":"user"`) != 1 {
		t.Errorf("input: %s", told.Input)
	}
	if kept := strings.Count(told.Instructions+told.Input, "é"); told.Cut != 3*1000-2*kept+len(long)+len(`{"x":""}`) {
		t.Errorf("%d bytes are cut, %d kept", told.Cut, 2*kept)
	}
	if !strings.Contains(told.Instructions, `"cut_bytes":`) {
		t.Error(told.Instructions)
	}
}

// Wherever a request or an answer is cut off, what there is of it is told, in the conventions' form.
func TestCutOff(t *testing.T) {
	for _, format := range []struct {
		dialect dialect.Dialect
		ask     string
	}{{anthropic.Dialect{}, anthropicAsk}, {openai.Dialect{}, openAIAsk}} {
		whole := content.Tell(&content.Said{Format: format.dialect, Request: []byte(format.ask), Bytes: 10_000})
		for n := range len(format.ask) {
			told := content.Tell(&content.Said{Format: format.dialect, Request: []byte(format.ask[:n]), Answer: []byte(format.ask[:n]), Bytes: 10_000})
			checkForm(t, &told)
			if n == len(format.ask)-3 && told.Input[:100] != whole.Input[:100] {
				t.Errorf("cut off at its end: %s", told.Input)
			}
		}
	}
	told := content.Tell(&content.Said{Format: openai.Dialect{}, Request: []byte(`{"messages":[{"role":"user","content":"one"},{"role":"user","content":"tw\u00e`), Bytes: 1000})
	if want := `[{"role":"user","parts":[{"type":"text","content":"one"}]},{"role":"user","parts":[{"type":"text","content":"tw"}]}]`; told.Input != want {
		t.Errorf("%s, want %s", told.Input, want)
	}
}

// checkForm wants lists of messages and of parts.
func checkForm(t *testing.T, told *content.Told) {
	t.Helper()
	type part struct{ Type string }
	type message struct {
		Role  string
		Parts []part
	}
	for _, row := range []struct {
		text string
		into any
	}{{told.Input, &[]message{}}, {told.Output, &[]message{}}, {told.Instructions, &[]part{}}, {told.Tools, &[]part{}}} {
		if row.text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(row.text), row.into); err != nil {
			t.Fatalf("%v: %s", err, row.text)
		}
		switch list := row.into.(type) {
		case *[]message:
			for _, m := range *list {
				if m.Role == "" || m.Parts == nil {
					t.Fatalf("a message without a role or parts: %s", row.text)
				}
			}
		case *[]part:
			for _, p := range *list {
				if p.Type == "" {
					t.Fatalf("a part without a type: %s", row.text)
				}
			}
		}
	}
}

// Whatever a client asks for and wherever that is cut off, what is told is in the conventions' form, within its bound.
func FuzzTell(f *testing.F) {
	f.Add([]byte(anthropicAsk), 900, 100)
	f.Add([]byte(openAIAsk), 500, 1000)
	f.Fuzz(func(t *testing.T, ask []byte, n, bytes int) {
		if !json.Valid(ask) || !utf8.Valid(ask) {
			t.Skip("refused before")
		}
		bytes = min(max(bytes, 0), 1<<16)
		cut := ask[:min(max(n, 0), len(ask))]
		for _, format := range []dialect.Dialect{anthropic.Dialect{}, openai.Dialect{}} {
			told := content.Tell(&content.Said{Format: format, Request: cut, Answer: cut, Bytes: bytes})
			checkForm(t, &told)
			content.Tell(&content.Said{Format: format, Request: cut, Answer: append([]byte("data: "), cut...), Stream: true, Bytes: bytes})
			if len(told.Input) > 6*bytes+1000 {
				t.Errorf("%d bytes, want about %d", len(told.Input), bytes)
			}
		}
	})
}
