package dialect_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

var update = flag.Bool("update", false, "write the goldens anew")

// story is one answer of a provider, as recorded or as others' trackers tell of it.
type story struct {
	name  string
	from  route.Protocol // the provider's format
	sheet *provider.Sheet
	input string
	fault fault.Kind
}

const (
	oHead = `"id":"chatcmpl-up","object":"chat.completion.chunk","created":1,"model":"up"`
	aHead = `{"type":"message_start","message":{"id":"msg_up","type":"message","role":"assistant","model":"up","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":3,"cache_read_input_tokens":5,"output_tokens":1}}}`
	aTail = `{"type":"message_stop"}`
)

func delta(fields string) string {
	return `{` + oHead + `,"choices":[{"index":0,"delta":{` + fields + `},"finish_reason":null}]}`
}

func finish(reason string) string {
	return `{` + oHead + `,"choices":[{"index":0,"delta":{},"finish_reason":"` + reason + `"}]}`
}

const oUsage = `{` + oHead + `,"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":10},"completion_tokens_details":{"reasoning_tokens":7}}}`

func aText(index, text string) string {
	return `{"type":"content_block_delta","index":` + index + `,"delta":{"type":"text_delta","text":"` + text + `"}}`
}

func aStart(index, block string) string {
	return `{"type":"content_block_start","index":` + index + `,"content_block":` + block + `}`
}

func aStop(index string) string { return `{"type":"content_block_stop","index":` + index + `}` }

func aDelta(index, delta string) string {
	return `{"type":"content_block_delta","index":` + index + `,"delta":` + delta + `}`
}

func aEnd(reason string) string {
	return `{"type":"message_delta","delta":{"stop_reason":"` + reason + `","stop_sequence":null},"usage":{"output_tokens":42,"input_tokens":null}}`
}

var stories = []story{
	{name: "text", from: route.OpenAI, input: sse(delta(`"role":"assistant","content":""`), delta(`"content":"Hel"`), delta(`"content":"lo \u00fc 😀"`), finish("stop"), oUsage, "[DONE]")},
	{name: "text_no_done", from: route.OpenAI, input: sse(delta(`"content":"Hi"`), finish("stop"))},
	{name: "text_cut_off", from: route.OpenAI, input: sse(delta(`"content":"Hi"`), finish("length"), oUsage, "[DONE]")},
	{name: "usage_in_finish_chunk", from: route.OpenAI, sheet: cerebrasSheet, input: sse(delta(`"role":"assistant"`), delta(`"reasoning":"think"`), delta(`"content":"Hi"`), `{`+oHead+`,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2},"time_info":{"queue_time":0.1}}`, "[DONE]")},
	{name: "tools_parallel", from: route.OpenAI, input: sse(delta(`"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"read","arguments":""}}]`), delta(`"tool_calls":[{"index":0,"function":{"arguments":"{\"p\":"}}]`), delta(`"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]`), delta(`"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"write","arguments":"{}"}}]`), finish("tool_calls"), oUsage, "[DONE]")},
	{name: "tools_interleaved", from: route.OpenAI, input: sse(delta(`"tool_calls":[{"index":0,"id":"call_a","function":{"name":"read","arguments":"{\"a\""}},{"index":1,"id":"call_b","function":{"name":"write","arguments":"{\"b\""}}]`), delta(`"tool_calls":[{"index":1,"function":{"arguments":":2}"}}]`), delta(`"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]`), finish("tool_calls"), "[DONE]")},
	{name: "tools_all_index_zero", from: route.OpenAI, input: sse(delta(`"tool_calls":[{"index":0,"id":"call_a","function":{"name":"read","arguments":"{\"a\":1}"}}]`), delta(`"tool_calls":[{"index":0,"id":"call_b","function":{"name":"read","arguments":"{\"b\":2}"}}]`), finish("tool_calls"), "[DONE]")},
	{name: "tools_no_index_no_id", from: route.OpenAI, input: sse(delta(`"tool_calls":[{"function":{"name":"read","arguments":"{\"a\":1}"}}]`), delta(`"tool_calls":[{"function":{"name":"read","arguments":"{\"b\":2}"}}]`), finish("tool_calls"), "[DONE]")},
	{name: "tools_sparse_index", from: route.OpenAI, input: sse(delta(`"tool_calls":[{"index":1,"id":"call_a","function":{"name":"read","arguments":"{}"}}]`), delta(`"tool_calls":[{"index":3,"id":"call_b","function":{"name":"write","arguments":""}}]`), finish("tool_calls"), "[DONE]")},
	{name: "tools_name_split_args_object", from: route.OpenAI, input: sse(delta(`"tool_calls":[{"index":0,"id":"call_a","function":{"name":"re"}}]`), delta(`"tool_calls":[{"index":0,"function":{"name":"ad"}}]`), delta(`"tool_calls":[{"index":0,"function":{"arguments":{"a": [1, 2]}}}]`), finish("tool_calls"), "[DONE]")},
	{name: "tools_repeat_id_and_name", from: route.OpenAI, input: sse(delta(`"tool_calls":[{"index":0,"id":"call_a","function":{"name":"read","arguments":"{\"a\":"}}]`), delta(`"tool_calls":[{"index":0,"id":"call_a","function":{"name":"read","arguments":"1}"}}]`), finish("tool_calls"), "[DONE]")},
	{name: "tools_same_ids", from: route.OpenAI, input: sse(delta(`"tool_calls":[{"index":0,"id":"Bash:0","function":{"name":"read","arguments":"{}"}}]`), delta(`"tool_calls":[{"index":1,"id":"Bash:0","function":{"name":"read","arguments":"{}"}}]`), finish("tool_calls"), "[DONE]")},
	{name: "tools_with_stop", from: route.OpenAI, input: sse(delta(`"content":"I look. "`), delta(`"tool_calls":[{"index":0,"id":"call_a","function":{"name":"read","arguments":"{}"}}]`), finish("stop"), "[DONE]")},
	{name: "tools_cut_off", from: route.OpenAI, input: sse(delta(`"tool_calls":[{"index":0,"id":"call_a","function":{"name":"read","arguments":"{\"a\":\"b"}}]`), finish("length"), "[DONE]")},
	{name: "text_behind_tools", from: route.OpenAI, input: sse(delta(`"tool_calls":[{"index":0,"id":"call_a","function":{"name":"read","arguments":"{}"}}]`), delta(`"content":"done"`), finish("stop"), "[DONE]")},
	{name: "reasoning_content", from: route.OpenAI, sheet: zaiSheet, input: sse(delta(`"role":"assistant","reasoning_content":"I "`), delta(`"reasoning_content":"think"`), delta(`"content":"A"`), delta(`"tool_calls":[{"index":0,"id":"call_a","function":{"name":"read","arguments":"{}"}}]`), finish("tool_calls"), oUsage, "[DONE]")},
	{name: "reasoning_details", from: route.OpenAI, sheet: minimaxSheet, input: sse(delta(`"reasoning_details":[{"type":"reasoning.text","text":"I think"}]`), delta(`"content":"</thinking>A"`), finish("stop"), "[DONE]")},
	{name: "think_tags", from: route.OpenAI, sheet: thinkTagSheet, input: sse(delta(`"content":"<thi"`), delta(`"content":"nk>I th"`), delta(`"content":"ink</th"`), delta(`"content":"ink>\n\nA < b"`), delta(`"content":" <"`), delta(`"content":"i>x</think>"`), finish("stop"), "[DONE]")},
	{name: "refusal", from: route.OpenAI, input: sse(delta(`"refusal":"I will "`), delta(`"refusal":"not."`), finish("stop"), "[DONE]")},
	{name: "content_filter", from: route.OpenAI, input: sse(delta(`"content":"A"`), finish("content_filter"), "[DONE]")},
	{name: "sensitive", from: route.OpenAI, sheet: zaiSheet, input: sse(delta(`"content":"A"`), finish("sensitive"), "[DONE]")},
	{name: "unknown_finish", from: route.OpenAI, input: sse(delta(`"content":"A"`), finish("brand_new"), "[DONE]")},
	{name: "network_error", from: route.OpenAI, sheet: zaiSheet, input: sse(delta(`"content":"A"`), finish("network_error"), "[DONE]"), fault: fault.Overloaded},
	{name: "error_chunk", from: route.OpenAI, input: sse(delta(`"content":"A"`), `{"error":{"message":"boom","type":"server_error"}}`), fault: fault.ServerError},
	{name: "error_null", from: route.OpenAI, input: sse(`{`+oHead+`,"error":null,"choices":[{"index":0,"delta":{"content":"A"},"finish_reason":null}]}`, finish("stop"), "[DONE]")},
	{name: "truncated", from: route.OpenAI, input: sse(delta(`"content":"A"`)), fault: fault.Truncated},
	{name: "done_without_finish", from: route.OpenAI, input: sse(delta(`"content":"A"`), "[DONE]"), fault: fault.Truncated},
	{name: "garbage", from: route.OpenAI, input: sse(delta(`"content":"A"`), `{"choices":[`), fault: fault.Garbage},
	{name: "error_document", from: route.OpenAI, input: `{"error":{"message":"busy","type":"overloaded"}}`, fault: fault.Overloaded},
	{name: "base_resp", from: route.OpenAI, sheet: &provider.Sheet{Kind: "minimax", Codes: map[string]provider.Code{"1002": {Kind: fault.RateLimited}}}, input: `{"base_resp":{"status_code":1002,"status_msg":"rate limit"}}`, fault: fault.RateLimited},
	{name: "document_instead_of_stream", from: route.OpenAI, input: `{"id":"x","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","tool_calls":[{"id":"call_a","type":"function","function":{"name":"read","arguments":""}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`},
	{name: "empty", from: route.OpenAI, input: ``, fault: fault.Truncated},
	{name: "html", from: route.OpenAI, input: `<html><title>502 Bad Gateway</title></html>`, fault: fault.Garbage},
	{name: "crlf_comments_bom", from: route.OpenAI, input: "\ufeff: hello\r\n\r\ndata:{" + oHead + ",\r\ndata: \"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\r\n\r\n: ping\r\n\r\ndata: " + finish("stop") + "\r\n\r\ndata: [DONE]"},
	{name: "cr_only", from: route.OpenAI, input: "data: " + delta(`"content":"Hi"`) + "\r\rdata: " + finish("stop") + "\r\rdata: [DONE]\r\r"},
	{name: "empty_arguments_function_call", from: route.OpenAI, input: sse(delta(`"function_call":{"name":"read","arguments":""}`), finish("function_call"), "[DONE]")},
	{name: "citation", from: route.OpenAI, input: sse(delta(`"content":"A"`), delta(`"annotations":[{"type":"url_citation","url_citation":{"url":"http://u","title":"T"}}]`), finish("stop"), "[DONE]")},

	{name: "text", from: route.Anthropic, input: events(aHead, `{"type":"ping"}`, aStart("0", `{"type":"text","text":""}`), aText("0", "Hel"), aText("0", `lo \u00fc 😀`), aStop("0"), aEnd("end_turn"), aTail)},
	{name: "two_texts", from: route.Anthropic, input: events(aHead, aStart("0", `{"type":"text","text":""}`), aText("0", "A"), aStop("0"), aStart("1", `{"type":"text","text":""}`), aText("1", "B"), aStop("1"), aEnd("max_tokens"), aTail)},
	{name: "thinking_tools", from: route.Anthropic, input: events(aHead, aStart("0", `{"type":"thinking","thinking":"","signature":""}`), aDelta("0", `{"type":"thinking_delta","thinking":"I think"}`), aDelta("0", `{"type":"signature_delta","signature":"c2ln"}`), aStop("0"), aStart("1", `{"type":"redacted_thinking","data":"xyz"}`), aStop("1"), aStart("2", `{"type":"text","text":""}`), aText("2", "So"), aStop("2"), aStart("3", `{"type":"tool_use","id":"toolu_a","name":"read","input":{}}`), aDelta("3", `{"type":"input_json_delta","partial_json":""}`), aDelta("3", `{"type":"input_json_delta","partial_json":"{\"p\":"}`), aDelta("3", `{"type":"input_json_delta","partial_json":"1}"}`), aStop("3"), aStart("4", `{"type":"tool_use","id":"toolu_b","name":"write","input":{}}`), aStop("4"), aEnd("tool_use"), aTail)},
	{name: "tools_interleaved", from: route.Anthropic, input: events(aHead, aStart("0", `{"type":"tool_use","id":"toolu_a","name":"read","input":{}}`), aStart("1", `{"type":"tool_use","id":"toolu_b","name":"write","input":{"x": 1}}`), aDelta("0", `{"type":"input_json_delta","partial_json":"{\"a\":1}"}`), aStop("1"), aStop("0"), aEnd("tool_use"), aTail)},
	{name: "server_tools", from: route.Anthropic, input: events(aHead, aStart("0", `{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}`), aDelta("0", `{"type":"input_json_delta","partial_json":"{\"query\":\"q\"}"}`), aStop("0"), aStart("1", `{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result","title":"T","url":"http://u","encrypted_content":"e"}]}`), aStop("1"), aStart("2", `{"type":"text","text":""}`), aText("2", "A"), aDelta("2", `{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"http://u","title":"T"}}`), aStop("2"), aEnd("end_turn"), aTail)},
	{name: "refusal", from: route.Anthropic, input: events(aHead, `{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":"cyber","explanation":"Not this."}},"usage":{"output_tokens":0}}`, aTail)},
	{name: "context_exceeded", from: route.Anthropic, input: events(aHead, aStart("0", `{"type":"text","text":""}`), aText("0", "A"), aStop("0"), aEnd("model_context_window_exceeded"), aTail)},
	{name: "pause", from: route.Anthropic, input: events(aHead, aEnd("pause_turn"), aTail)},
	{name: "stop_sequence", from: route.Anthropic, input: events(aHead, aStart("0", `{"type":"text","text":""}`), aText("0", "A"), aStop("0"), `{"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"END"},"usage":{"output_tokens":1}}`, aTail)},
	{name: "unknown_stop", from: route.Anthropic, input: events(aHead, aEnd("brand_new"), aTail)},
	{name: "error_event", from: route.Anthropic, input: events(aHead, aStart("0", `{"type":"text","text":""}`), aText("0", "A"), `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), fault: fault.Overloaded},
	{name: "truncated", from: route.Anthropic, input: events(aHead, aStart("0", `{"type":"text","text":""}`), aText("0", "A"), aStop("0"), aEnd("end_turn")), fault: fault.Truncated},
	{name: "unknown_events", from: route.Anthropic, input: events(aHead, `{"type":"brand_new","x":1}`, aStart("0", `{"type":"brand_new_block","x":1}`), aDelta("0", `{"type":"brand_new_delta"}`), aStop("0"), aEnd("end_turn"), aTail)},
	{name: "document_instead_of_stream", from: route.Anthropic, input: `{"id":"msg_up","type":"message","role":"assistant","model":"up","content":[{"type":"thinking","thinking":"T","signature":"S"},{"type":"text","text":"A"},{"type":"tool_use","id":"toolu_a","name":"read","input":{"a": 1}},{"type":"tool_use","id":"toolu_b","name":"read","input":{}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":4}}`},
	{name: "data_only_error", from: route.Anthropic, input: `{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}`, fault: fault.RateLimited},
}

// reply makes the machine for an answer of a story to a client of that format.
func (s *story) reply(t testing.TB, client route.Protocol, stream bool) dialect.Reply {
	sheet := s.sheet
	if sheet == nil {
		sheet = &provider.Sheet{Kind: s.from.String(), StopMax: provider.Unbounded}
	}
	body := `{"model":"asked-for","max_tokens":100,"messages":[{"role":"user","content":"hi"}],"stream":` + map[bool]string{true: "true", false: "false"}[stream]
	if client == route.OpenAI && stream {
		body += `,"stream_options":{"include_usage":true}`
	}
	c := call(client, target(sheet, s.from), body+"}")
	c.StreamUpstream = true
	_, r := prepare(t, c)
	return r
}

// play runs a story for one client and tells everything that can be seen.
func (s *story) play(t testing.TB, client route.Protocol, stream bool, size int) string {
	r := s.reply(t, client, stream)
	out := feed(r, s.input, size)
	p := r.Progress()
	if p.Done == (p.Fault.Kind != fault.None) {
		t.Errorf("done %v and fault %v", p.Done, p.Fault)
	}
	if p.Fault.Kind != s.fault {
		t.Errorf("fault %v (%s), want %v", p.Fault.Kind, p.Fault.Message, s.fault)
	}
	if p.Fault.Kind != fault.None && p.Started {
		out = string(r.Abort([]byte(out), &p.Fault))
	}
	out += fmt.Sprintf("\n-- usage %+v stop %s", p.Usage, p.StopReason)
	if p.Fault.Kind != fault.None {
		out += " fault " + p.Fault.Error()
	}
	if p.PlainText {
		out += " plain"
	}
	return out + "\n"
}

func TestStories(t *testing.T) {
	t.Parallel()
	for i := range stories {
		s := &stories[i]
		for _, client := range []route.Protocol{route.Anthropic, route.OpenAI} {
			for _, stream := range []bool{true, false} {
				mode := map[bool]string{true: "stream", false: "plain"}[stream]
				name := s.from.String() + "_" + s.name + "_for_" + client.String() + "_" + mode
				t.Run(name, func(t *testing.T) {
					got := s.play(t, client, stream, 0)
					golden(t, filepath.Join("testdata", "streams", name+".golden"), got)
					if stream {
						grammar(t, client, got)
					}
					for _, size := range []int{1, 5} {
						if again := s.play(t, client, stream, size); again != got {
							t.Fatalf("in pieces of %d:\n%s\nwhole:\n%s", size, again, got)
						}
					}
				})
			}
		}
	}
}

// TestCuts cuts every story in two, at other places in each.
func TestCuts(t *testing.T) {
	t.Parallel()
	for i := range stories {
		s := &stories[i]
		for _, client := range []route.Protocol{route.Anthropic, route.OpenAI} {
			want := s.play(t, client, true, 0)
			for cut := i % 29; cut < len(s.input); cut += 29 {
				r := s.reply(t, client, true)
				got := r.Feed(nil, []byte(s.input[:cut]))
				got = r.Close(r.Feed(got, []byte(s.input[cut:])))
				if p := r.Progress(); p.Fault.Kind != fault.None && p.Started {
					got = r.Abort(got, &p.Fault)
				}
				if !strings.HasPrefix(want, string(got)) {
					t.Fatalf("%s cut at %d:\n%s\nwant\n%s", s.name, cut, got, want)
				}
			}
		}
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestChoicesFold: several choices whose pieces take turns come out in the order of their numbers, with what was said of each.
func TestChoicesFold(t *testing.T) {
	piece := func(index int, text string) string {
		return fmt.Sprintf(`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":%d,"delta":{"content":%q},"logprobs":{"content":[{"token":%q}],"refusal":null},"finish_reason":null}]}`, index, text, text)
	}
	end := func(index int) string {
		return fmt.Sprintf(`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":%d,"delta":{},"finish_reason":"stop"}]}`, index)
	}
	c := call(route.OpenAI, target(openaiSheet, route.OpenAI), oai(`,"n":2,"logprobs":true`))
	c.StreamUpstream = true
	_, reply := prepare(t, c)
	got := feed(reply, sse(piece(1, "b"), piece(0, "a"), piece(1, "B"), piece(0, "A"), end(1), end(0), "[DONE]"), 5)
	for path, want := range map[string]string{
		"choices.0.index": "0", "choices.0.message.content": `"aA"`, "choices.1.message.content": `"bB"`, "choices.1.logprobs.content.1.token": `"B"`, "object": `"chat.completion"`,
	} {
		if have := part(t, got, path); have != want {
			t.Errorf("%s is %s, want %s in %s", path, have, want, got)
		}
	}
}
