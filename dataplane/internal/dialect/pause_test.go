package dialect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
)

// paused is a part of an answer: a search, its result, and words.
func paused(stop, words string, stream bool) string {
	const (
		use    = `{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"q"}}`
		result = `{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result","title":"t","url":"https://u","encrypted_content":"e+/="}]}`
	)
	if !stream {
		return `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[` + use + `,` + result + `,{"type":"text","text":""},{"type":"text","text":"` + words + `"}],"stop_reason":"` + stop +
			`","stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":5}}`
	}
	block := func(i int, b string, deltas ...string) string {
		return events(append(append([]string{fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":%s}`, i, b)}, deltas...), fmt.Sprintf(`{"type":"content_block_stop","index":%d}`, i))...)
	}
	return events(`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":0}}}`) +
		block(0, `{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"q\"}"}}`) +
		block(1, result) + block(2, `{"type":"text","text":""}`) +
		block(3, `{"type":"text","text":""}`, `{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"`+words+`"}}`) +
		events(`{"type":"message_delta","delta":{"stop_reason":"`+stop+`","stop_sequence":null},"usage":{"output_tokens":5}}`, `{"type":"message_stop"}`)
}

// TestPause: a client whose format has no word for a pause gets the parts as one answer, with the usage of all.
func TestPause(t *testing.T) {
	for _, stream := range []bool{true, false} {
		for _, upstream := range []bool{true, false} {
			t.Run(fmt.Sprintf("stream %v of %v", stream, upstream), func(t *testing.T) {
				c := call(route.OpenAI, target(anthropicSheet, route.Anthropic), oai(fmt.Sprintf(`,"stream":%v,"stream_options":{"include_usage":true}`, stream)))
				c.StreamUpstream = upstream
				sent, reply := prepare(t, c)
				var got string
				for i, part := range []string{"One, ", "two, ", "three."} {
					stop := "pause_turn"
					if i == 2 {
						stop = "end_turn"
					}
					got += feed(reply, paused(stop, part, upstream), 7)
					p := reply.Progress()
					if p.Paused == (i == 2) || p.Done != (i == 2) || p.Fault.Kind != fault.None {
						t.Fatalf("part %d: %+v", i, p)
					}
					if i < 2 {
						next, ok := reply.Resume(nil, []byte(sent))
						if !ok {
							t.Fatal("nothing to go on from")
						}
						sent = string(next)
					}
				}
				same(t, part(t, sent, "messages.1.content"), `[`+blocksOf(t, "One, ")+`,`+blocksOf(t, "two, ")+`]`)
				if want := `"One, two, three."`; !stream && part(t, got, "choices.0.message.content") != want {
					t.Errorf("got %s", got)
				}
				if !strings.Contains(got, `"prompt_tokens":30,"completion_tokens":15`) || strings.Count(got, `"finish_reason":"stop"`) != 1 || strings.Contains(got, "warning") {
					t.Errorf("got %s", got)
				}
				if stream {
					grammar(t, route.OpenAI, got)
				}
				if u := reply.Progress().Usage; u.Input != 30 || u.Output != 15 {
					t.Errorf("usage %+v", u)
				}
			})
		}
	}
}

// blocksOf are the blocks of a part, as they are sent back: without the text that says nothing.
func blocksOf(t *testing.T, words string) string {
	list := strings.Replace(part(t, paused("pause_turn", words, false), "content"), `{"type":"text","text":""},`, "", 1)
	return list[1 : len(list)-1]
}

// TestPauseForEver: a provider that pauses again and again is left in the end, and the client is told.
func TestPauseForEver(t *testing.T) {
	sent, reply := prepare(t, call(route.OpenAI, target(anthropicSheet, route.Anthropic), oai(``)))
	n := 0
	for ; ; n++ {
		feed(reply, paused("pause_turn", "On. ", true), 0)
		if !reply.Progress().Paused {
			break
		}
		next, ok := reply.Resume(nil, []byte(sent))
		if !ok {
			t.Fatal("nothing to go on from")
		}
		sent = string(next)
	}
	if n != 8 || !reply.Progress().Done || !warned(reply, "stop_reason") {
		t.Errorf("after %d pauses: %+v", n, reply.Progress())
	}
}

// TestPausePasses: who speaks the provider's format is told of the pause.
func TestPausePasses(t *testing.T) {
	_, reply := prepare(t, call(route.Anthropic, target(anthropicSheet, route.Anthropic), asks(``)))
	if got := feed(reply, paused("pause_turn", "One", false), 0); reply.Progress().Paused || part(t, got, "stop_reason") != `"pause_turn"` {
		t.Errorf("got %s", got)
	}
}
