package openai

import (
	"bytes"
	"strconv"

	"github.com/aimux/aimux/dataplane/internal/dialect"
)

// encoder writes chunks for a client.
type encoder struct {
	shape *dialect.Shape
	// head and tail stand around every delta.
	head, tail string
	usage      dialect.Usage
	role       bool
	calls      []written
	thought    []byte // the text of the open thinking, for its signature
	blocks     []byte // thinking_blocks so far
	cites      []cite // of the block of text that is open
	said       int    // characters of text so far
	saidBefore int    // the same, where the open block began
	stop       dialect.Event
}

// written is a call as the client has it.
type written struct {
	key    int
	custom bool
	any    bool   // arguments have been sent
	held   []byte // the arguments of a custom tool, until they are whole
	name   []byte
	id     []byte
}

func newEncoder(shape *dialect.Shape) *encoder {
	e := &encoder{shape: shape, head: head(dialect.MintID("chatcmpl-", shape.RequestID, 0), int(max(shape.CreatedUnix, 0)), dialect.Quote(shape.Model))}
	if shape.Usage {
		e.tail = `,"usage":null`
	}
	e.tail += "}\n\n"
	return e
}

// head is what stands in front of every chunk's choices.
func head(id dialect.Text, createdUnix int, model dialect.Text) string {
	dst := dialect.TextField([]byte(`data: {`), "id", id)
	dst = dialect.StringField(dst, "object", "chat.completion.chunk")
	dst = dialect.IntField(dst, "created", createdUnix)
	return string(dialect.TextField(dst, "model", model))
}

// Passed takes the name of an answer that is not its own, and follows what is said in it.
func (e *encoder) Passed(f *dialect.Frame) (text dialect.Text, plain bool) {
	v := dialect.Value(bytes.TrimSpace(f.Data))
	if !v.Object() {
		return nil, true
	}
	if !e.role {
		created, _ := v.Get("created").Int()
		e.role, e.head = true, head(v.Get("id").Text(), created, v.Get("model").Text())
	}
	plain = true
	for _, choice := range v.Get("choices").Items() {
		index, _ := choice.Get("index").Int()
		plain = plain && index == 0 && !choice.Get("finish_reason").Set() && !choice.Get("logprobs").Set()
		for key, value := range choice.Get("delta").Fields() {
			switch string(key) {
			case "content":
				text = value.Text()
			case "role":
			default:
				plain = plain && (!value.Set() || value.Len() == 0 && len(value.Text()) == 0)
			}
		}
	}
	return text, plain
}

// open begins a chunk with one choice; what follows is its delta.
func (e *encoder) open(dst []byte) []byte {
	if !e.role {
		e.role = true
		dst = e.close(append(e.open(dst), `"role":"assistant","content":""`...), "null")
	}
	dst = append(dst, e.head...)
	return append(dst, `,"choices":[{"index":0,"delta":{`...)
}

func (e *encoder) close(dst []byte, finish string) []byte {
	dst = append(dst, `},"finish_reason":`...)
	dst = append(dst, finish...)
	dst = append(dst, `}]`...)
	return append(dst, e.tail...)
}

// delta writes one chunk with one text.
func (e *encoder) delta(dst []byte, field string, t dialect.Text) []byte {
	if len(t) == 0 {
		return dst
	}
	return e.close(dialect.TextField(e.open(dst), field, t), "null")
}

// Event writes what the client gets for ev.
func (e *encoder) Event(dst []byte, ev *dialect.Event) []byte {
	switch ev.Kind {
	case dialect.Started:
		if !e.role {
			e.role = true
			dst = e.close(append(e.open(dst), `"role":"assistant","content":""`...), "null")
		}
	case dialect.TextPiece:
		e.said += ev.Text.Characters()
		return e.delta(dst, "content", ev.Text)
	case dialect.BlockEnd:
		return e.annotate(dst)
	case dialect.RefusalPiece:
		return e.delta(dst, "refusal", ev.Text)
	case dialect.ThoughtPiece:
		if e.shape.Signatures {
			e.thought = append(e.thought, ev.Text...)
		}
		return e.delta(dst, "reasoning_content", ev.Text)
	case dialect.Signature, dialect.Redacted:
		e.sign(ev)
	case dialect.CallStart:
		return e.callStart(dst, ev)
	case dialect.CallPiece:
		return e.callPiece(dst, ev)
	case dialect.CallEnd:
		return e.callEnd(dst, ev)
	case dialect.Citation:
		e.cites = append(e.cites, cite{bytes.Clone(ev.Name), bytes.Clone(ev.Text)})
	case dialect.UsageNow:
		e.usage = ev.Usage
	case dialect.Finish:
		e.stop = dialect.Event{Stop: ev.Stop, Text: bytes.Clone(ev.Text)}
	case dialect.Ended:
		return e.end(dst)
	}
	return dst
}

// cite is a page that a text refers to.
type cite struct{ url, title dialect.Text }

// annotate tells the pages that the block which ends refers to, each with the place of the block: there are clients that demand one.
func (e *encoder) annotate(dst []byte) []byte {
	if len(e.cites) > 0 {
		dst = append(e.open(dst), `"annotations":[`...)
		for _, c := range e.cites {
			dst = append(dialect.Item(dst), `{"type":"url_citation","url_citation":{`...)
			dst = dialect.IntField(dst, "start_index", e.saidBefore)
			dst = dialect.IntField(dst, "end_index", e.said)
			dst = dialect.TextField(dst, "url", c.url)
			dst = append(dialect.TextField(dst, "title", c.title), '}', '}')
		}
		dst = e.close(append(dst, ']'), "null")
	}
	e.cites, e.saidBefore = e.cites[:0], e.said
	return dst
}

// sign collects a block of thinking for clients that can carry it back.
func (e *encoder) sign(ev *dialect.Event) {
	if !e.shape.Signatures {
		return
	}
	if len(e.blocks) == 0 {
		e.blocks = append(e.blocks, '[')
	}
	e.blocks = append(dialect.Item(e.blocks), '{')
	if ev.Kind == dialect.Redacted {
		e.blocks = append(e.blocks, `"type":"redacted_thinking"`...)
		e.blocks = dialect.TextField(e.blocks, "data", ev.Text)
	} else {
		e.blocks = append(e.blocks, `"type":"thinking"`...)
		e.blocks = dialect.TextField(e.blocks, "thinking", e.thought)
		e.blocks = dialect.TextField(e.blocks, "signature", ev.Text)
		e.thought = e.thought[:0]
	}
	e.blocks = append(e.blocks, '}')
}

func (e *encoder) find(key int) (n int, w *written) {
	for i := len(e.calls) - 1; i >= 0; i-- {
		if e.calls[i].key == key {
			return i, &e.calls[i]
		}
	}
	return -1, nil
}

func (e *encoder) callStart(dst []byte, ev *dialect.Event) []byte {
	e.calls = append(e.calls, written{key: ev.Key, custom: ev.Custom})
	n := len(e.calls) - 1
	switch {
	case ev.Custom:
		e.calls[n].id, e.calls[n].name = bytes.Clone(ev.ID), bytes.Clone(ev.Name)
		return dst
	case e.shape.Legacy:
		if n > 0 {
			e.shape.Lost("content", "the old format has room for one call")
			return dst
		}
		dst = append(e.open(dst), `"function_call":{`...)
		dst = dialect.TextField(dst, "name", ev.Name)
		return e.close(append(dst, `,"arguments":""}`...), "null")
	}
	dst = e.openCall(dst, n)
	dst = dialect.TextField(dst, "id", ev.ID)
	dst = append(dst, `,"type":"function","function":{`...)
	dst = dialect.TextField(dst, "name", ev.Name)
	return e.close(append(dst, `,"arguments":""}}]`...), "null")
}

func (e *encoder) openCall(dst []byte, n int) []byte {
	dst = append(e.open(dst), `"tool_calls":[{"index":`...)
	return strconv.AppendInt(dst, int64(n), 10)
}

func (e *encoder) callPiece(dst []byte, ev *dialect.Event) []byte {
	n, w := e.find(ev.Key)
	if w == nil || len(ev.Text) == 0 {
		return dst
	}
	w.any = true
	if w.custom {
		w.held = append(w.held, ev.Text...)
		return dst
	}
	return e.arguments(dst, n, ev.Text)
}

func (e *encoder) arguments(dst []byte, n int, t dialect.Text) []byte {
	if e.shape.Legacy {
		if n > 0 {
			return dst
		}
		dst = append(e.open(dst), `"function_call":{`...)
		return e.close(append(dialect.TextField(dst, "arguments", t), '}'), "null")
	}
	dst = append(e.openCall(dst, n), `,"function":{`...)
	return e.close(append(dialect.TextField(dst, "arguments", t), `}}]`...), "null")
}

func (e *encoder) callEnd(dst []byte, ev *dialect.Event) []byte {
	n, w := e.find(ev.Key)
	switch {
	case w == nil:
		return dst
	case w.custom:
		input := dialect.Text(w.held)
		if object := dialect.Value(input.Plain()).Get("input"); object.String() {
			input = object.Text()
		}
		dst = dialect.TextField(e.openCall(dst, n), "id", w.id)
		dst = append(dst, `,"type":"custom","custom":{`...)
		dst = dialect.TextField(dst, "name", w.name)
		return e.close(append(dialect.TextField(dst, "input", input), `}}]`...), "null")
	case !w.any:
		w.any = true
		return e.arguments(dst, n, dialect.Text("{}"))
	}
	return dst
}

// end writes the last chunks: the finish, the usage for who asked for it, and the mark.
func (e *encoder) end(dst []byte) []byte {
	dst = e.annotate(dst)
	if len(e.blocks) > 0 {
		e.blocks = append(e.blocks, ']')
		dst = append(e.open(dst), `"thinking_blocks":`...)
		dst = e.close(append(dst, e.blocks...), "null")
	}
	finish := `"stop"`
	switch e.stop.Stop {
	case dialect.StopLength, dialect.StopContext:
		finish = `"length"`
	case dialect.StopTool:
		if finish = `"tool_calls"`; e.shape.Legacy {
			finish = `"function_call"`
		}
	case dialect.StopRefusal:
		finish = `"content_filter"`
		dst = e.delta(dst, "refusal", e.stop.Text)
	}
	dst = e.close(e.open(dst), finish)
	if e.shape.Usage {
		dst = append(append(dst, e.head...), `,"choices":[],"usage":`...)
		dst = append(appendUsage(dst, &e.usage), "}\n\n"...)
	}
	return append(dst, "data: [DONE]\n\n"...)
}

func appendUsage(dst []byte, u *dialect.Usage) []byte {
	dst = append(dst, '{')
	dst = dialect.IntField(dst, "prompt_tokens", u.Total())
	dst = dialect.IntField(dst, "completion_tokens", u.Output)
	dst = dialect.IntField(dst, "total_tokens", u.Total()+u.Output)
	dst = append(dst, `,"prompt_tokens_details":{`...)
	dst = dialect.IntField(dst, "cached_tokens", u.CacheRead)
	dst = dialect.IntField(dst, "cache_write_tokens", u.CacheWrite)
	dst = append(dst, `},"completion_tokens_details":{`...)
	dst = dialect.IntField(dst, "reasoning_tokens", u.Thinking)
	return append(dst, '}', '}')
}

// Ping is a comment: the format has no event for it.
func (e *encoder) Ping(dst []byte) []byte { return append(dst, ": ping\n\n"...) }

// Abort writes the error that ends a stream. Nothing follows it.
func (e *encoder) Abort(dst []byte, doc *dialect.ErrorDoc) []byte {
	dst = append(dst, "data: "...)
	return append(Dialect{}.EncodeError(dst, doc), '\n', '\n')
}
