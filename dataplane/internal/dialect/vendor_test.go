package dialect_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/synthetic"
)

// vendor is a likeness of a provider: it judges what it gets by the vendor's rules and answers in the vendor's shapes.
type vendor struct {
	name     string
	sheet    *provider.Sheet
	endpoint provider.Endpoint
	model    *provider.Model
	server   *synthetic.Server
}

func vendors(t testing.TB) (list []*vendor) {
	for _, kind := range []string{"anthropic", "openai", "cerebras", "zai", "minimax"} {
		sheet, _ := provider.For(kind)
		for i, e := range sheet.Endpoints {
			server := synthetic.New(synthetic.Config{Vendor: kind, Name: kind, Now: func() time.Time { return time.Unix(1700000000, 0) }})
			t.Cleanup(server.Close)
			list = append(list, &vendor{fmt.Sprintf("%s-%s-%d", kind, e.Protocol, i), sheet, e, &sheet.Models[0], server})
		}
	}
	return list
}

func (v *vendor) target(scenario string) dialect.Target {
	return dialect.Target{
		Provider: v.sheet.Kind, Sheet: v.sheet, Protocol: v.endpoint.Protocol, Model: v.model.ID + ":" + scenario, Has: v.model.Has,
		Unknown: ^(v.model.Has | v.model.Lacks), MaxOutputTokens: v.model.MaxOutput, Efforts: v.model.Efforts,
	}
}

// ask sends a request through translation to the likeness; the answer is what the client gets.
func (v *vendor) ask(t testing.TB, tr *dialect.Translator, client route.Protocol, body, scenario string) (string, *fault.Fault, dialect.Reply) {
	t.Helper()
	target := v.target(scenario)
	out, reply, rejected := tr.Prepare(nil, call(client, target, body))
	if rejected != nil {
		t.Fatalf("%s: rejected: %v", v.name, rejected)
	}
	at, _ := url.Parse(v.endpoint.BaseURL + v.endpoint.Path)
	r := httptest.NewRequest(http.MethodPost, at.Path, strings.NewReader(string(out)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer key")
	r.Header.Set("Anthropic-Version", "2023-06-01")
	r.Header.Set("Anthropic-Beta", "context-management-2025-06-27,interleaved-thinking-2025-05-14,mid-conversation-system-2026-01-01")
	w := httptest.NewRecorder()
	v.server.ServeHTTP(w, r)
	if w.Code != 200 {
		f := tr.DecodeError(&target, w.Code, w.Header().Get, w.Body.Bytes())
		if f.Kind == fault.BadRequest {
			t.Logf("sent %s", out)
		}
		return "", &f, reply
	}
	answer := feed(reply, w.Body.String(), 100)
	return answer, &reply.Progress().Fault, reply
}

func (v *vendor) turn(client route.Protocol, stream bool, rest string) string {
	read := "fs.read"
	if client == v.endpoint.Protocol {
		read = "fs_read"
	}
	s := map[bool]string{true: "true", false: "false"}[stream]
	if client == route.Anthropic {
		return `{"model":"claude-x","max_tokens":32000,"stream":` + s + `,"system":[{"type":"text","text":"x-anthropic-billing-header: z"},{"type":"text","text":"Be good.","cache_control":{"type":"ephemeral","ttl":"1h"}}],` +
			`"thinking":{"type":"adaptive"},"output_config":{"effort":"high"},"metadata":{"user_id":"{\"session_id\":\"s\"}"},"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},` +
			`"tools":[{"name":"` + read + `","description":"Reads.","input_schema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]},"cache_control":{"type":"ephemeral"}},{"name":"list","input_schema":{"type":"object","properties":{}}}],` +
			`"messages":[{"role":"user","content":[{"type":"text","text":"Look at it.","cache_control":{"type":"ephemeral"}}]},{"role":"system","content":"Mind the gap."}` + rest + `]}`
	}
	return `{"model":"gpt-x","max_completion_tokens":32000,"stream":` + s + `,"reasoning_effort":"high","seed":1,"user":"u","parallel_tool_calls":true,` +
		`"tools":[{"type":"function","function":{"name":"fs_read","description":"Reads.","parameters":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}},{"type":"function","function":{"name":"list"}}],` +
		`"messages":[{"role":"developer","content":"Be good."},{"role":"user","content":[{"type":"text","text":"Look at it."}]}` + rest + `]}`
}

// replay is the next turn of an agent: the model's answer as it came, and a result for each of its calls.
func replay(t testing.TB, client route.Protocol, answer string) string {
	t.Helper()
	if client == route.Anthropic {
		rest := `,{"role":"assistant","content":` + part(t, answer, "content") + `},{"role":"user","content":[`
		for _, b := range dialect.Value(part(t, answer, "content")).Items() {
			if b.Get("type").Plain() == "tool_use" {
				rest += `{"type":"tool_result","tool_use_id":` + string(b.Get("id")) + `,"content":"found"},`
			}
		}
		return rest + `{"type":"text","text":"Go on."}]}`
	}
	m := dialect.Value(part(t, answer, "choices.0.message"))
	content := string(m.Get("content"))
	if content == "" {
		content = "null"
	}
	rest := `,{"role":"assistant","content":` + content // the rest is dropped, as the clients of this format do
	if refusal := m.Get("refusal"); refusal.Set() {
		rest += `,"refusal":` + string(refusal)
	}
	if calls := m.Get("tool_calls"); calls != nil {
		rest += `,"tool_calls":` + string(calls)
	}
	rest += "}"
	for _, c := range m.Get("tool_calls").Items() {
		rest += `,{"role":"tool","tool_call_id":` + string(c.Get("id")) + `,"content":"found"}`
	}
	return rest + `,{"role":"user","content":"Go on."}`
}

// TestVendorsTakeWhatIsSent: every vendor's rules, against an agent's first turn and the one after its calls, from both kinds of client.
func TestVendorsTakeWhatIsSent(t *testing.T) {
	for _, v := range vendors(t) {
		for _, client := range []route.Protocol{route.Anthropic, route.OpenAI} {
			scenarios := []string{"text", "thinking", "tool", "thinking+tool", "thinking+tools-parallel"}
			if client != v.endpoint.Protocol { // in their own format a provider's oddities are its client's to know
				scenarios = append(scenarios, "tools-interleaved", "tool-odd-id", "tool-no-id", "tool-same-id", "tool-empty-args", "text-after-tools")
			}
			for _, scenario := range scenarios {
				t.Run(v.name+"/"+client.String()+"/"+scenario, func(t *testing.T) {
					tr := newTranslator()
					answer, f, _ := v.ask(t, tr, client, v.turn(client, false, ""), scenario)
					if f.Kind != fault.None {
						t.Fatalf("first turn: %v", f.Error())
					}
					_, f, _ = v.ask(t, tr, client, v.turn(client, false, replay(t, client, answer)), "text")
					if f.Kind != fault.None {
						t.Fatalf("second turn: %v\nanswer %s", f.Error(), answer)
					}
				})
			}
		}
	}
}

// TestConversationsMove: what one vendor has answered, every other one takes as the conversation's past, with calls in flight too.
func TestConversationsMove(t *testing.T) {
	t.Parallel()
	all := vendors(t)
	for _, first := range all {
		for _, client := range []route.Protocol{route.Anthropic, route.OpenAI} {
			for _, scenario := range []string{"thinking", "thinking+tools-parallel", "redacted+tool", "tool-odd-id", "tool-no-id", "tool-same-id", "tool-empty-args", "text-after-tools", "server-tool", "citations", "empty-text", "empty", "refusal", "think-stray"} {
				if client == first.endpoint.Protocol && (strings.HasPrefix(scenario, "tool-") || scenario == "text-after-tools") {
					continue // in its own format an answer passes as it is, and its client has to know what to do with it
				}
				for _, second := range all {
					t.Run(first.name+"/"+client.String()+"/"+scenario+"/"+second.name, func(t *testing.T) {
						tr := newTranslator()
						answer, f, _ := first.ask(t, tr, client, first.turn(client, false, ""), scenario)
						if f.Kind != fault.None {
							t.Fatalf("first turn: %v", f.Error())
						}
						body := strings.ReplaceAll(second.turn(client, false, replay(t, client, answer)), "fs.read", "fs_read")
						_, f, _ = second.ask(t, tr, client, body, "text")
						if f.Kind == fault.Unsignable { // the one thing that only the provider can tell
							tr.Learn(&dialect.Target{Provider: second.sheet.Kind}, f)
							_, f, _ = second.ask(t, tr, client, body, "text")
						}
						if f.Kind != fault.None {
							t.Fatalf("second turn: %v\nanswer %s", f.Error(), answer)
						}
					})
				}
			}
		}
	}
}

// TestVendorsAnswers: every shape that a vendor can give an answer reaches both kinds of client whole.
func TestVendorsAnswers(t *testing.T) {
	t.Parallel()
	good := []string{
		"text", "tokens=50", "thinking", "thinking-omitted", "redacted", "think-tags", "think-stray", "reasoning=reasoning", "reasoning=reasoning_content", "reasoning=reasoning_details", "reasoning=both",
		"tool", "tools-parallel", "tools-interleaved", "tools-indexless", "tools-index0", "tools-sparse", "tool-empty-args", "tool-whole", "tool-in-start", "arguments-object", "tool-no-id", "tool-same-id", "tool-odd-id",
		"tool-split-name", "tool-cut-args", "stop-with-tools", "text-after-tools", "server-tool", "crlf", "bom", "pings", "unknown-event", "error-null", "moving-id", "usage=none", "usage=finish", "usage=separate", "usage=every",
		"cached=9", "written=9", "refusal", "length", "content-filter", "empty", "empty-text", "citations", "finish=brand_new", "huge-line=200000",
	}
	bad := map[string]fault.Kind{
		"error-in-200": fault.None, "error-mid-stream": fault.None, "cut": fault.Truncated, "garbage": fault.Garbage, "no-finish": fault.Truncated, "html-error": fault.ServerError, "empty-body": fault.None,
	}
	for _, v := range vendors(t) {
		if v.name == "zai-openai-1" {
			continue // the same but for its address
		}
		for _, client := range []route.Protocol{route.Anthropic, route.OpenAI} {
			for _, stream := range []bool{true, false} {
				name := fmt.Sprintf("%s/%s/%v/", v.name, client, stream)
				for _, scenario := range good {
					t.Run(name+scenario, func(t *testing.T) {
						answer, f, reply := v.ask(t, newTranslator(), client, v.turn(client, stream, ""), scenario)
						if f.Kind != fault.None || !reply.Progress().Done {
							t.Fatalf("%v", f.Error())
						}
						if stream && client != v.endpoint.Protocol {
							grammar(t, client, answer)
						}
						if !stream {
							flat(t, answer)
						}
					})
				}
				for scenario, want := range bad {
					t.Run(name+scenario, func(t *testing.T) {
						if want == fault.Truncated && !stream || want == fault.Garbage && !stream {
							return
						}
						_, f, reply := v.ask(t, newTranslator(), client, v.turn(client, stream, ""), scenario)
						if f.Kind == fault.None || reply.Progress().Done {
							t.Fatal("taken for an answer")
						}
						if want != fault.None && f.Kind != want {
							t.Errorf("fault %v, want %v", f.Error(), want)
						}
					})
				}
			}
		}
	}
}
