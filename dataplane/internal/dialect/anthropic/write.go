package anthropic

import (
	"bytes"
	"strconv"

	"github.com/aimux/aimux/dataplane/internal/dialect"
)

// encoder writes the events of a message. Blocks are written one after the other, whatever order their pieces come in: many clients
// take what comes for the last block that began.
type encoder struct {
	shape *dialect.Shape
	begun bool
	next  int  // index of the next block
	open  kind // what the open block holds
	calls []call
	live  int // the call whose block is open, -1 for none
	// waiting are pieces that came while a call was unfinished.
	waiting []dialect.Event
	usage   dialect.Usage
	stop    dialect.Event
}

type kind uint8

const (
	nothing kind = iota
	words
	thoughts
	aCall
)

// call is a tool call on its way.
type call struct {
	key      int
	id, name []byte
	held     []byte // arguments that wait for their block
	balance  dialect.Balance
	ended    bool // no more arguments come
	closed   bool // its block is closed
}

// Event writes what the client gets for ev.
func (e *encoder) Event(dst []byte, ev *dialect.Event) []byte {
	switch ev.Kind {
	case dialect.Started:
		return e.start(dst)
	case dialect.UsageNow:
		e.usage = ev.Usage
		return dst
	case dialect.CallStart:
		return e.callStart(e.start(dst), ev)
	case dialect.CallPiece:
		return e.callPiece(dst, ev)
	case dialect.CallEnd:
		if c := e.call(ev.Key); c != nil {
			c.ended = true
			dst = e.advance(dst)
		}
		return dst
	case dialect.Finish:
		e.stop = dialect.Event{Stop: ev.Stop, Text: bytes.Clone(ev.Text)}
		return dst
	case dialect.Ended:
		return e.end(e.start(dst))
	case dialect.Citation:
		e.shape.Lost("choices[0].message.annotations", "the client's format has citations of its own kind only")
		return dst
	}
	dst = e.start(dst)
	if e.unfinished() {
		e.waiting = append(e.waiting, dialect.Event{Kind: ev.Kind, Text: bytes.Clone(ev.Text)})
		return dst
	}
	return e.piece(e.closeCalls(dst), ev)
}

// piece writes text, thinking and what belongs to it.
func (e *encoder) piece(dst []byte, ev *dialect.Event) []byte {
	switch ev.Kind {
	case dialect.TextPiece, dialect.RefusalPiece:
		if len(ev.Text) == 0 {
			return dst
		}
		dst = e.openBlock(dst, words, `{"type":"text","text":""}`)
		return e.delta(dst, "text_delta", "text", ev.Text)
	case dialect.ThoughtPiece:
		if len(ev.Text) == 0 {
			return dst
		}
		dst = e.openBlock(dst, thoughts, `{"type":"thinking","thinking":"","signature":""}`)
		if e.shape.HideThinking {
			return dst
		}
		return e.delta(dst, "thinking_delta", "thinking", ev.Text)
	case dialect.Signature:
		dst = e.openBlock(dst, thoughts, `{"type":"thinking","thinking":"","signature":""}`)
		return e.closeBlock(e.delta(dst, "signature_delta", "signature", ev.Text))
	case dialect.Redacted:
		dst = e.closeBlock(dst)
		dst = e.blockStart(dst)
		dst = append(dst, `{"type":"redacted_thinking","data":"`...)
		dst = append(append(dst, ev.Text...), "\"}}\n\n"...)
		e.open = words
		return e.closeBlock(dst)
	case dialect.BlockEnd:
		return e.closeBlock(dst)
	}
	return dst
}

func (e *encoder) start(dst []byte) []byte {
	if e.begun {
		return dst
	}
	e.begun = true
	dst = append(dst, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{"...)
	dst = dialect.TextField(dst, "id", dialect.MintID("msg_", e.shape.RequestID, 0))
	dst = append(dst, `,"type":"message","role":"assistant"`...)
	dst = dialect.StringField(dst, "model", e.shape.Model)
	dst = append(dst, `,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}`...)
	return e.Ping(append(dst, "\n\n"...))
}

// openBlock sees to it that a block of that kind is open.
func (e *encoder) openBlock(dst []byte, k kind, head string) []byte {
	if e.open == k {
		return dst
	}
	dst = e.blockStart(e.closeBlock(dst))
	e.open = k
	return append(append(dst, head...), "}\n\n"...)
}

func (e *encoder) blockStart(dst []byte) []byte {
	dst = append(dst, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":"...)
	return append(strconv.AppendInt(dst, int64(e.next), 10), `,"content_block":`...)
}

func (e *encoder) delta(dst []byte, kind, field string, t dialect.Text) []byte {
	dst = append(dst, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":"...)
	dst = strconv.AppendInt(dst, int64(e.next), 10)
	dst = append(append(append(dst, `,"delta":{"type":"`...), kind...), '"')
	return append(dialect.TextField(dst, field, t), "}}\n\n"...)
}

func (e *encoder) closeBlock(dst []byte) []byte {
	if e.open == nothing {
		return dst
	}
	e.open = nothing
	dst = append(dst, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":"...)
	dst = append(strconv.AppendInt(dst, int64(e.next), 10), "}\n\n"...)
	e.next++
	return dst
}

func (e *encoder) call(key int) *call {
	for i := len(e.calls) - 1; i >= 0; i-- {
		if e.calls[i].key == key {
			return &e.calls[i]
		}
	}
	return nil
}

// unfinished reports a call whose arguments have begun and are not whole.
func (e *encoder) unfinished() bool {
	for i := range e.calls {
		if c := &e.calls[i]; !c.closed && !c.ended && c.balance.Begun() && !c.balance.Whole() {
			return true
		}
	}
	return false
}

func (e *encoder) callStart(dst []byte, ev *dialect.Event) []byte {
	e.calls = append(e.calls, call{key: ev.Key, id: bytes.Clone(ev.ID), name: bytes.Clone(ev.Name)})
	return e.advance(dst)
}

func (e *encoder) callPiece(dst []byte, ev *dialect.Event) []byte {
	c := e.call(ev.Key)
	if c == nil || c.closed || len(ev.Text) == 0 {
		return dst
	}
	c.balance.Add(ev.Text)
	if e.live >= 0 && &e.calls[e.live] == c {
		return e.delta(dst, "input_json_delta", "partial_json", ev.Text)
	}
	c.held = append(c.held, ev.Text...)
	return e.advance(dst)
}

// advance closes the live call if it is whole and another waits, and lets the next begin.
func (e *encoder) advance(dst []byte) []byte {
	for {
		if e.live >= 0 {
			c := &e.calls[e.live]
			if !c.ended && (!c.balance.Whole() || e.live == len(e.calls)-1) {
				return dst
			}
			c.closed = true
			e.live = -1
			dst = e.closeBlock(dst)
		}
		next := -1
		for i := range e.calls {
			if !e.calls[i].closed {
				next = i
				break
			}
		}
		if next < 0 {
			return e.release(dst)
		}
		dst = e.begin(dst, next)
	}
}

// begin opens the block of a call, with the arguments that have come so far.
func (e *encoder) begin(dst []byte, i int) []byte {
	c := &e.calls[i]
	dst = e.blockStart(e.closeBlock(dst))
	dst = dialect.TextField(append(dst, `{"type":"tool_use"`...), "id", c.id)
	dst = append(dialect.TextField(dst, "name", c.name), ",\"input\":{}}}\n\n"...)
	e.open, e.live = aCall, i
	if len(c.held) > 0 {
		dst = e.delta(dst, "input_json_delta", "partial_json", c.held)
		c.held = nil
	}
	return dst
}

// closeCalls ends every call, because something else comes.
func (e *encoder) closeCalls(dst []byte) []byte {
	if e.live < 0 {
		return dst
	}
	for i := range e.calls {
		e.calls[i].ended = true
	}
	return e.advance(dst)
}

// release writes what waited for the calls.
func (e *encoder) release(dst []byte) []byte {
	waiting := e.waiting
	e.waiting = nil
	for i := range waiting {
		dst = e.piece(dst, &waiting[i])
	}
	return dst
}

// end writes the last events.
func (e *encoder) end(dst []byte) []byte {
	dst = e.closeCalls(dst)
	dst = e.closeBlock(e.release(dst))
	var reason string
	switch e.stop.Stop {
	case dialect.StopLength:
		reason = "max_tokens"
	case dialect.StopTool:
		reason = "tool_use"
	case dialect.StopSequence:
		reason = "stop_sequence"
	case dialect.StopRefusal:
		reason = "refusal"
	case dialect.StopContext:
		reason = "model_context_window_exceeded"
	case dialect.StopPause:
		reason = "pause_turn"
	default:
		reason = "end_turn"
	}
	dst = append(dst, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{"...)
	dst = dialect.StringField(dst, "stop_reason", reason)
	dst = dialect.Key(dst, "stop_sequence")
	if reason == "stop_sequence" {
		dst = dialect.AppendText(dst, e.stop.Text)
	} else {
		dst = append(dst, "null"...)
	}
	if reason == "refusal" && len(e.stop.Text) > 0 {
		dst = append(dst, `,"stop_details":{"type":"refusal","category":null`...)
		dst = append(dialect.TextField(dst, "explanation", e.stop.Text), '}')
	}
	dst = appendUsage(append(dst, `},"usage":`...), &e.usage)
	return append(dst, "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"...)
}

func appendUsage(dst []byte, u *dialect.Usage) []byte {
	dst = append(dst, '{')
	dst = dialect.IntField(dst, "input_tokens", u.Input)
	dst = dialect.IntField(dst, "cache_creation_input_tokens", u.CacheWrite)
	dst = dialect.IntField(dst, "cache_read_input_tokens", u.CacheRead)
	dst = dialect.IntField(dst, "output_tokens", u.Output)
	if u.Thinking > 0 {
		dst = append(dialect.IntField(append(dialect.Key(dst, "output_tokens_details"), '{'), "thinking_tokens", u.Thinking), '}')
	}
	return append(dst, '}')
}

// Passed follows the blocks of a message that is not its own.
func (e *encoder) Passed(f *dialect.Frame) (text dialect.Text, plain bool) {
	v := dialect.Value(bytes.TrimSpace(f.Data))
	index, _ := v.Get("index").Int()
	switch string(v.Get("type").Text()) {
	case "message_start":
		e.begun = true
	case "content_block_start":
		block := v.Get("content_block")
		e.next, e.open = index, words
		return block.Get("text").Text(), block.Get("type").Plain() == "text"
	case "content_block_delta":
		delta := v.Get("delta")
		return delta.Get("text").Text(), delta.Get("type").Plain() == "text_delta"
	case "content_block_stop":
		e.next, e.open = index+1, nothing
	case "message_delta":
		return nil, !v.Get("delta").Get("stop_reason").Set()
	}
	return nil, true
}

// Ping is the format's own keep-alive.
func (e *encoder) Ping(dst []byte) []byte {
	return append(dst, "event: ping\ndata: {\"type\":\"ping\"}\n\n"...)
}

// Abort writes the error that ends a stream. No message_stop follows it.
func (e *encoder) Abort(dst []byte, doc *dialect.ErrorDoc) []byte {
	dst = append(dst, "event: error\ndata: "...)
	return append(Dialect{}.EncodeError(dst, doc), '\n', '\n')
}
