package dialect_test

import (
	"strings"
	"testing"

	"github.com/aimux/aimux/dataplane/internal/analyze"
	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/route"
)

// agentRequest is a coding agent's request of about 64 KB: a long system prompt, twenty tools, a history of calls and results.
func agentRequest() string {
	var b strings.Builder
	b.WriteString(`{"model":"claude-x","max_tokens":32000,"stream":true,"thinking":{"type":"adaptive"},"system":[{"type":"text","text":"x-anthropic-billing-header: a"},{"type":"text","text":"`)
	b.WriteString(strings.Repeat(`You are an agent.\nYou \"help\" with code. `, 300))
	b.WriteString(`","cache_control":{"type":"ephemeral"}}],"tools":[`)
	for i := range 20 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"name":"tool_` + string(rune('a'+i)) + `","description":"` + strings.Repeat(`Does one thing well. `, 40) + `","input_schema":{"type":"object","properties":{"path":{"type":"string","description":"Where."},"lines":{"type":"array","items":{"type":"integer"}}},"required":["path"],"additionalProperties":false}}`)
	}
	b.WriteString(`],"messages":[{"role":"user","content":"Fix the bug."}`)
	for i := range 12 {
		id := "toolu_" + string(rune('a'+i)) + "123456789"
		b.WriteString(`,{"role":"assistant","content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"` + id + `","name":"tool_a","input":{"path":"/src/main.go","lines":[1,200]}}]}`)
		b.WriteString(`,{"role":"user","content":[{"type":"tool_result","tool_use_id":"` + id + `","content":"` + strings.Repeat(`\tif err != nil {\n\t\treturn fmt.Errorf(\"reading: %w\", err)\n\t}\n`, 40) + `"}]}`)
	}
	b.WriteString(`]}`)
	return b.String()
}

func BenchmarkPrepare(b *testing.B) {
	body := agentRequest()
	for _, to := range []route.Protocol{route.Anthropic, route.OpenAI} {
		sheet := anthropicSheet
		if to == route.OpenAI {
			sheet = cerebrasSheet
		}
		b.Run("anthropic_to_"+to.String(), func(b *testing.B) {
			tr, c := newTranslator(), call(route.Anthropic, target(sheet, to), body)
			if problem := analyze.Body(route.Anthropic, c.Body, nil, nil, c.Found); problem != nil {
				b.Fatal(problem)
			}
			var dst []byte
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var rejected *dialect.Rejection
				if dst, _, rejected = tr.Prepare(dst[:0], c); rejected != nil {
					b.Fatal(rejected)
				}
			}
		})
	}
}

// BenchmarkEvent is the cost of one event of a stream of text.
func BenchmarkEvent(b *testing.B) {
	for _, from := range []route.Protocol{route.Anthropic, route.OpenAI} {
		for _, client := range []route.Protocol{route.Anthropic, route.OpenAI} {
			b.Run(from.String()+"_for_"+client.String(), func(b *testing.B) {
				s := story{from: from}
				head, event := events(aHead, aStart("0", `{"type":"text","text":""}`)), []byte(events(aText("0", "Hello there")))
				if from == route.OpenAI {
					head, event = sse(delta(`"role":"assistant","content":""`)), []byte(sse(delta(`"content":"Hello there"`)))
				}
				r := s.reply(b, client, true)
				dst := r.Feed(nil, []byte(head))
				b.ReportAllocs()
				for b.Loop() {
					dst = r.Feed(dst[:0], event)
				}
			})
		}
	}
}
