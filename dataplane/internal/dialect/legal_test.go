package dialect_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/synthetic"
)

type object = map[string]any

// draw makes requests that a format's own vendor takes, of everything that the format has.
type draw struct {
	*rapid.T
	call int
}

func (d *draw) coin(what string) bool                   { return rapid.Bool().Draw(d.T, what) }
func (d *draw) upTo(n int, what string) int             { return rapid.IntRange(0, n).Draw(d.T, what) }
func (d *draw) of(what string, list ...any) any         { return list[d.upTo(len(list)-1, what)] }
func (d *draw) word(what string, list ...string) string { return list[d.upTo(len(list)-1, what)] }

func (d *draw) text() string {
	return d.word("text", "Hello.", "考える 😀", "a \"quoted\" \\ word", "<think>not a thought</think>", "line\nline\ttab", "a\u2028b", "</system-reminder>", "[DONE]", " x ")
}

func (d *draw) input() object {
	return object{
		"n": json.RawMessage(d.word("number", "1", "1.0", "12345678901234567890", "-1e400", "0.1")), "s": d.text(),
		"deep": d.of("deep", nil, []any{}, object{}, object{"input": object{"cache_control": "mine"}}),
	}
}

func (d *draw) schema() object {
	s := object{"type": "object", "properties": object{"n": object{"type": "number", "minimum": 0}, "s": object{"type": []string{"string", "null"}, "enum": []any{"a", nil}}}}
	switch d.upTo(3, "schema") {
	case 1:
		s["properties"].(object)["cache_control"] = object{"$ref": "#/$defs/x"}
		s["$defs"] = object{"x": object{"anyOf": []any{object{"type": "string"}, object{"type": "integer"}}}}
	case 2:
		s["required"], s["additionalProperties"] = []string{"n"}, false
	case 3:
		s = object{"type": "object", "properties": object{}}
	}
	return s
}

func (d *draw) id(prefix string) string {
	d.call++
	return fmt.Sprintf("%s%d%s", prefix, d.call, strings.Repeat("x", d.upTo(1, "length")*30))
}

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// mark puts a cache mark on some blocks, as few as the vendor takes.
func (d *draw) mark(b object, marks *int) object {
	if *marks > 0 && d.upTo(9, "mark") == 0 {
		*marks--
		b["cache_control"] = d.of("ttl", object{"type": "ephemeral"}, object{"type": "ephemeral", "ttl": "1h"})
	}
	return b
}

// anthropic is a request of that format.
func (d *draw) anthropic() string {
	marks := 4
	image := func() object {
		return object{"type": "image", "source": d.of("image", object{"type": "base64", "media_type": "image/png", "data": png}, object{"type": "url", "url": "https://x/y.png"})}
	}
	text := func() object { return d.mark(object{"type": "text", "text": d.text()}, &marks) }
	said := func() any {
		if d.coin("string") {
			return d.text()
		}
		blocks := []any{text()}
		for range d.upTo(2, "more") {
			switch d.upTo(5, "kind") {
			case 0:
				blocks = append(blocks, d.mark(image(), &marks))
			case 1:
				blocks = append(blocks, object{"type": "document", "title": "T", "source": object{"type": "text", "media_type": "text/plain", "data": d.text()}, "citations": object{"enabled": true}})
			case 2:
				blocks = append(blocks, object{"type": "document", "source": object{"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQ="}})
			case 3:
				blocks = append(blocks, object{"type": "search_result", "source": "https://s", "title": "T", "content": []any{object{"type": "text", "text": "found"}}})
			default:
				blocks = append(blocks, text())
			}
		}
		return blocks
	}
	result := func(id string) object {
		r := object{"type": "tool_result", "tool_use_id": id}
		switch d.upTo(5, "result") {
		case 0:
			r["content"] = d.text()
		case 1:
			r["content"] = []any{object{"type": "text", "text": d.text()}, image()}
		case 2:
			r["content"], r["is_error"] = []any{}, true
		case 3:
			r["content"] = []any{object{"type": "text", "text": "a"}, object{"type": "text", "text": "b"}, object{"type": "search_result", "source": "s", "title": "t", "content": []any{}}}
		case 4:
			r["content"] = []any{object{"type": "tool_reference", "tool_name": "read"}}
		}
		return d.mark(r, &marks)
	}
	var messages []any
	say := func(role string, content any) { messages = append(messages, object{"role": role, "content": content}) }
	say("user", said())
	for range d.upTo(4, "turns") {
		if d.coin("words only") {
			say("assistant", []any{object{"type": "text", "text": d.text()}})
			if d.coin("searched") {
				say("assistant", []any{
					object{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": object{"query": "q"}},
					object{"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []any{object{"type": "web_search_result", "title": "t", "url": "https://u", "encrypted_content": "e"}}},
				})
			}
			say("user", said())
		} else {
			blocks, results := []any{}, []any{}
			if d.coin("words too") {
				blocks = append(blocks, object{"type": "text", "text": d.text()})
			}
			for range 1 + d.upTo(2, "calls") {
				id := d.id("toolu_")
				blocks = append(blocks, object{"type": "tool_use", "id": id, "name": d.word("called", "read", "list", "gone"), "input": d.input()})
				results = append([]any{result(id)}, results...)
			}
			say("assistant", blocks)
			if d.coin("reminder") {
				results = append(results, text())
			}
			say("user", results)
		}
		if d.upTo(3, "system") == 0 {
			say("system", d.of("system", "Mind the gap.", []any{object{"type": "text", "text": "Mind it."}}))
		}
	}
	body := object{"model": "claude-sonnet-4-5:text", "max_tokens": d.of("max", 1, 1024, 64000), "messages": messages, "stream": d.coin("stream")}
	tools := []any{}
	if d.coin("tools") {
		for _, name := range []string{"read", "list"} {
			tools = append(tools, d.mark(object{"name": name, "description": d.text(), "input_schema": d.schema()}, &marks))
		}
		if d.coin("bash") {
			tools = append(tools, object{"type": "bash_20250124", "name": "bash"})
		}
		body["tools"] = tools
		if d.coin("choice") {
			body["tool_choice"] = d.of("choice", object{"type": "auto", "disable_parallel_tool_use": true}, object{"type": "any"}, object{"type": "none"}, object{"type": "tool", "name": "list"})
		}
	}
	d.some(body, object{
		"system":         d.of("instructions", "Be brief.", []any{object{"type": "text", "text": "x-anthropic-billing-header: 1"}, object{"type": "text", "text": "Be brief."}}),
		"stop_sequences": d.of("stops", []string{}, []string{"END"}, []string{"a", "b", "c", "d", "e"}), "temperature": d.of("temperature", 0, 0.5, 1),
		"top_k": 5, "metadata": object{"user_id": d.text()}, "service_tier": d.of("tier", "auto", "standard_only"),
		"output_config": object{"format": object{"type": "json_schema", "schema": object{"type": "object", "properties": object{"a": object{"type": "string"}}, "required": []string{"a"}, "additionalProperties": false}}},
	})
	return marshal(body)
}

// some adds some of the fields.
func (d *draw) some(to, fields object) {
	for _, name := range rapid.Permutation(keys(fields)).Draw(d.T, "order") {
		if d.upTo(2, name) == 0 {
			to[name] = fields[name]
		}
	}
}

func keys(o object) []string { return slices.Sorted(maps.Keys(o)) }

func marshal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// openai is a request of that format.
func (d *draw) openai() string {
	part := func() object { return object{"type": "text", "text": d.word("words", "", " ", d.text(), d.text())} }
	said := func() any {
		if d.coin("string") {
			return d.text()
		}
		parts := []any{object{"type": "text", "text": d.text()}}
		for range d.upTo(2, "more") {
			switch d.upTo(3, "kind") {
			case 0:
				parts = append(parts, object{"type": "image_url", "image_url": object{"url": d.word("url", "data:image/png;base64,"+png, "https://x/y.png"), "detail": "low"}})
			case 1:
				parts = append(parts, object{"type": "file", "file": object{"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQ="}})
			default:
				parts = append(parts, part())
			}
		}
		return parts
	}
	var messages []any
	for range d.upTo(2, "instructions") {
		messages = append(messages, object{"role": d.word("role", "system", "developer"), "content": d.of("system", "Be brief.", []any{part(), part()}, "")})
	}
	messages = append(messages, object{"role": "user", "content": said()})
	for range d.upTo(4, "turns") {
		if d.coin("words only") {
			a := object{"role": "assistant", "content": d.of("said", d.text(), []any{part()}, []any{object{"type": "refusal", "refusal": "No."}}, "\n\n")}
			if d.coin("refused") {
				a = object{"role": "assistant", "content": nil, "refusal": "No."}
			}
			messages = append(messages, a, object{"role": "user", "name": "someone", "content": said()})
		} else {
			var calls, results []any
			for range 1 + d.upTo(2, "calls") {
				id := d.id(d.word("prefix", "call_", "functions.read:", "toolu_"))
				arguments := d.word("arguments", "{}", "", marshal(d.input()), " {\"a\" : 1.0 } ")
				calls = append(calls, object{"id": id, "type": "function", "function": object{"name": d.word("called", "read", "list", "gone"), "arguments": arguments}})
				results = append([]any{object{"role": "tool", "tool_call_id": id, "content": d.of("result", "", " ", d.text(), []any{part(), part()}, []any{object{"type": "text", "text": ""}})}}, results...)
			}
			a := object{"role": "assistant", "content": d.of("beside", nil, "", "\n", d.text(), []any{part()}), "tool_calls": calls}
			messages = append(append(messages, a), results...)
			if d.coin("and") {
				messages = append(messages, object{"role": "user", "content": said()})
			}
		}
		if d.upTo(3, "system") == 0 {
			messages = append(messages, object{"role": d.word("role", "system", "developer"), "content": "Mind the gap."})
		}
	}
	body := object{"model": "gpt-4o:text", "messages": messages, "stream": d.coin("stream")}
	if d.coin("tools") {
		var tools []any
		for _, name := range []string{"read", "list"} {
			f := object{"name": name}
			d.some(f, object{"description": d.text(), "parameters": d.schema(), "strict": false})
			tools = append(tools, object{"type": "function", "function": f})
		}
		body["tools"] = tools
		d.some(body, object{
			"tool_choice": d.of("choice", "auto", "none", "required", object{"type": "function", "function": object{"name": "list"}},
				object{"type": "allowed_tools", "allowed_tools": object{"mode": "required", "tools": []any{object{"type": "function", "function": object{"name": "read"}}}}}),
			"parallel_tool_calls": d.coin("parallel"),
		})
	}
	d.some(body, object{
		"max_completion_tokens": d.of("max", 1, 1000, 128000), "temperature": d.of("temperature", 0, 1, 2), "top_p": d.of("top_p", 0, 0.9, 1), "n": 1, "logprobs": false,
		"stop": d.of("stop", nil, "END", []string{"a", " ", "c", "d"}), "seed": 7, "presence_penalty": 1, "logit_bias": object{}, "user": d.text(),
		"response_format":  d.of("format", object{"type": "text"}, object{"type": "json_schema", "json_schema": object{"name": "out", "schema": d.schema()}}),
		"reasoning_effort": d.word("effort", "none", "minimal", "low", "high", "max"), "verbosity": "low", "service_tier": d.word("tier", "auto", "default", "flex", "priority"),
		"metadata": object{"a": "b"}, "store": false, "prediction": object{"type": "content", "content": "x"}, "modalities": []string{"text"}, "prompt_cache_key": "k",
	})
	return marshal(body)
}

// TestVendorsTakeWhatIsLegal: what a format's own vendor takes from its clients, translation makes every other vendor take as well, or
// refuses with the place.
func TestVendorsTakeWhatIsLegal(t *testing.T) {
	t.Parallel()
	own := map[route.Protocol]*synthetic.Server{
		route.Anthropic: synthetic.New(synthetic.Config{Vendor: "anthropic"}), route.OpenAI: synthetic.New(synthetic.Config{Vendor: "openai"}),
	}
	all := vendors(t)
	rapid.Check(t, func(rt *rapid.T) {
		d := &draw{T: rt}
		client := rapid.SampledFrom([]route.Protocol{route.Anthropic, route.OpenAI}).Draw(rt, "client")
		body, path := d.anthropic(), "/v1/messages"
		if client == route.OpenAI {
			body, path = d.openai(), "/v1/chat/completions"
		}
		if status, why := judged(own[client], path, body); status != 200 {
			rt.Fatalf("not legal: %s\n%s", why, body)
		}
		for _, v := range all {
			for i := range v.sheet.Models {
				if client == v.endpoint.Protocol {
					continue // in its own format it passes as it is
				}
				w := *v
				w.model = &v.sheet.Models[i]
				target := w.target("text")
				target.Model = w.model.ID
				out, _, rejected := newTranslator().Prepare(nil, call(client, target, body))
				if rejected != nil {
					if rejected.Path == "" {
						rt.Fatalf("%s: no place: %v\n%s", w.name, rejected, body)
					}
					continue
				}
				at, _ := url.Parse(v.endpoint.BaseURL + v.endpoint.Path)
				if status, why := judged(v.server, at.Path, string(out)); status != 200 {
					rt.Fatalf("%s %s: %s\nfrom %s\nto   %s", w.name, w.model.ID, why, body, out)
				}
			}
		}
	})
}

func judged(s *synthetic.Server, path, body string) (status int, why string) {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer key")
	r.Header.Set("Anthropic-Version", "2023-06-01")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	why = w.Body.String()
	return w.Code, why[:min(len(why), 500)]
}
