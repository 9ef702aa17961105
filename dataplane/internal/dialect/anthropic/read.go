package anthropic

import (
	"bytes"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/provider"
)

// blocksMax bounds the blocks of one answer; more are left out.
const blocksMax = 4096

// decoder reads the events of one message, or a whole one.
type decoder struct {
	sheet   *provider.Sheet
	blocks  []block
	usage   dialect.Usage
	calls   int
	stopped bool // a stop reason has come
	over    bool
	kept    []byte
}

// block is one that has started.
type block struct {
	index int
	kind  blockKind
	key   int // of a call
	input []byte
	any   bool // arguments have come in pieces
}

type blockKind uint8

const (
	otherBlock blockKind = iota
	textBlock
	thinkingBlock
	callBlock
)

func newDecoder(sheet *provider.Sheet) *decoder {
	if sheet == nil {
		sheet = &provider.Sheet{}
	}
	return &decoder{sheet: sheet}
}

// Event reads one event of a stream.
func (d *decoder) Event(events []dialect.Event, f *dialect.Frame) []dialect.Event {
	data := bytes.TrimSpace(f.Data)
	if d.over || len(data) == 0 || string(data) == "[DONE]" {
		return events
	}
	v := dialect.Value(data)
	if !v.Object() || !dialect.Valid(data) {
		return d.fail(events, &fault.Fault{Kind: fault.Garbage, Message: "an event is not JSON: " + dialect.Clean(string(data[:min(len(data), 200)]))})
	}
	var kind, inner dialect.Value
	var usage dialect.Value
	index := 0
	for key, value := range v.Fields() {
		switch string(key) {
		case "type":
			kind = value
		case "index":
			index, _ = value.Int()
		case "message", "content_block", "delta", "error":
			inner = value
		case "usage":
			usage = value
		}
	}
	switch string(kind.Text()) {
	case "message_start":
		return d.start(events, inner)
	case "content_block_start":
		return d.blockStart(events, index, inner)
	case "content_block_delta":
		return d.delta(events, index, inner)
	case "content_block_stop":
		return d.blockStop(events, index)
	case "message_delta":
		return d.messageDelta(events, inner, usage)
	case "message_stop":
		if !d.stopped {
			return d.fail(events, &fault.Fault{Kind: fault.Truncated, Message: "the message stopped without a stop_reason"})
		}
		d.over = true
		return append(events, dialect.Event{Kind: dialect.Ended})
	case "error":
		fallthrough
	default:
		if string(f.Name) == "error" || string(kind.Text()) == "error" || kind == nil && inner.Object() {
			failure := dialect.FaultOf(d.sheet, v)
			return d.fail(events, &failure)
		}
	}
	return events
}

func (d *decoder) fail(events []dialect.Event, f *fault.Fault) []dialect.Event {
	d.over = true
	return append(events, dialect.Event{Kind: dialect.Failed, Fault: f})
}

func (d *decoder) start(events []dialect.Event, message dialect.Value) []dialect.Event {
	events = append(events, dialect.Event{Kind: dialect.Started, ID: message.Get("id").Text(), Name: message.Get("model").Text()})
	return d.count(events, message.Get("usage"))
}

// count takes what is said of the usage: absent and null counters are unchanged.
func (d *decoder) count(events []dialect.Event, v dialect.Value) []dialect.Event {
	if !v.Object() {
		return events
	}
	u := &d.usage
	u.Reported = true
	for key, value := range v.Fields() {
		n, ok := value.Count()
		switch string(key) {
		case "input_tokens":
			set(&u.Input, n, ok)
		case "output_tokens":
			set(&u.Output, n, ok)
		case "cache_read_input_tokens":
			set(&u.CacheRead, n, ok)
		case "cache_creation_input_tokens":
			set(&u.CacheWrite, n, ok)
		case "cache_creation":
			n, ok := value.Get("ephemeral_1h_input_tokens").Count()
			set(&u.CacheWrite1h, n, ok)
		case "output_tokens_details":
			n, ok := value.Get("thinking_tokens").Count()
			set(&u.Thinking, n, ok)
		}
	}
	return append(events, dialect.Event{Kind: dialect.UsageNow, Usage: *u})
}

func set(counter *int, n int, ok bool) {
	if ok {
		*counter = n
	}
}

func (d *decoder) find(index int) *block {
	for i := len(d.blocks) - 1; i >= 0; i-- {
		if d.blocks[i].index == index {
			return &d.blocks[i]
		}
	}
	return nil
}

// blockStart reads the head of a block, or a whole one.
func (d *decoder) blockStart(events []dialect.Event, index int, v dialect.Value) []dialect.Event {
	if len(d.blocks) == blocksMax {
		return events
	}
	d.blocks = append(d.blocks, block{index: index})
	b := &d.blocks[len(d.blocks)-1]
	switch string(v.Get("type").Text()) {
	case "text":
		b.kind = textBlock
		if text := v.Get("text").Text(); len(text) > 0 {
			events = append(events, dialect.Event{Kind: dialect.TextPiece, Text: text})
		}
		events = d.citations(events, v.Get("citations"))
	case "thinking":
		b.kind = thinkingBlock
		events = append(events, dialect.Event{Kind: dialect.ThoughtStart})
		if text := v.Get("thinking").Text(); len(text) > 0 {
			events = append(events, dialect.Event{Kind: dialect.ThoughtPiece, Text: text})
		}
		if signature := v.Get("signature").Text(); len(signature) > 0 {
			events = append(events, dialect.Event{Kind: dialect.Signature, Text: signature})
		}
	case "redacted_thinking":
		events = append(events, dialect.Event{Kind: dialect.Redacted, Text: v.Get("data").Text()})
	case "tool_use":
		b.kind, b.key = callBlock, d.calls
		d.calls++
		if input := v.Get("input"); input.Object() && string(input) != "{}" {
			b.input = bytes.Clone(input)
		}
		events = append(events, dialect.Event{Kind: dialect.CallStart, Key: b.key, ID: v.Get("id").Text(), Name: v.Get("name").Text()})
	default:
		events = append(events, dialect.Event{Kind: dialect.Foreign})
	}
	return events
}

func (d *decoder) citations(events []dialect.Event, list dialect.Value) []dialect.Event {
	for _, c := range list.Items() {
		if url := c.Get("url").Text(); len(url) > 0 {
			events = append(events, dialect.Event{Kind: dialect.Citation, Name: url, Text: c.Get("title").Text()})
		}
	}
	return events
}

func (d *decoder) delta(events []dialect.Event, index int, v dialect.Value) []dialect.Event {
	var kind, said dialect.Value
	for key, value := range v.Fields() {
		switch string(key) {
		case "type":
			kind = value
		case "text", "thinking", "signature", "partial_json", "citation":
			said = value
		}
	}
	switch string(kind.Text()) {
	case "text_delta":
		return append(events, dialect.Event{Kind: dialect.TextPiece, Text: said.Text()})
	case "thinking_delta":
		return append(events, dialect.Event{Kind: dialect.ThoughtPiece, Text: said.Text()})
	case "signature_delta":
		return append(events, dialect.Event{Kind: dialect.Signature, Text: said.Text()})
	case "citations_delta":
		if url := said.Get("url").Text(); len(url) > 0 {
			return append(events, dialect.Event{Kind: dialect.Citation, Name: url, Text: said.Get("title").Text()})
		}
	case "input_json_delta":
		if b := d.find(index); b != nil && b.kind == callBlock && len(said.Text()) > 0 {
			b.any = true
			return append(events, dialect.Event{Kind: dialect.CallPiece, Key: b.key, Text: said.Text()})
		}
	}
	return events
}

func (d *decoder) blockStop(events []dialect.Event, index int) []dialect.Event {
	b := d.find(index)
	switch {
	case b == nil:
	case b.kind == callBlock:
		if b.input != nil && !b.any {
			d.kept = dialect.AppendJSONInString(d.kept[:0], b.input)
			events = append(events, dialect.Event{Kind: dialect.CallPiece, Key: b.key, Text: d.kept})
		}
		events = append(events, dialect.Event{Kind: dialect.CallEnd, Key: b.key})
	case b.kind != otherBlock:
		events = append(events, dialect.Event{Kind: dialect.BlockEnd})
	}
	return events
}

func (d *decoder) messageDelta(events []dialect.Event, delta, usage dialect.Value) []dialect.Event {
	events = d.count(events, usage)
	if reason := delta.Get("stop_reason"); reason.String() {
		d.stopped = true
		events = append(events, finish(delta, reason))
	}
	return events
}

// finish reads why an answer ended, from where that stands.
func finish(v, reason dialect.Value) dialect.Event {
	e := dialect.Event{Kind: dialect.Finish, Name: reason.Text()}
	switch string(reason.Text()) {
	case "end_turn":
		e.Stop = dialect.StopEnd
	case "max_tokens":
		e.Stop = dialect.StopLength
	case "stop_sequence":
		e.Stop, e.Text = dialect.StopSequence, v.Get("stop_sequence").Text()
	case "tool_use":
		e.Stop = dialect.StopTool
	case "refusal":
		e.Stop, e.Text = dialect.StopRefusal, v.Get("stop_details").Get("explanation").Text()
	case "model_context_window_exceeded":
		e.Stop = dialect.StopContext
	case "pause_turn":
		e.Stop = dialect.StopPause
	}
	return e
}

// Answers is the message itself.
func (Dialect) Answers(body dialect.Value) []dialect.Answer {
	end := finish(body, body.Get("stop_reason"))
	return []dialect.Answer{{Message: body, Stop: end.Stop, Word: end.Name}}
}

// End is told that nothing follows. A message ends with its own event, so it is always too early.
func (d *decoder) End(events []dialect.Event) []dialect.Event {
	if d.over {
		return events
	}
	return d.fail(events, &fault.Fault{Kind: fault.Truncated, Message: "the stream ended without message_stop"})
}

// Whole reads a message that is no stream.
func (d *decoder) Whole(events []dialect.Event, body []byte) []dialect.Event {
	v := dialect.Value(body)
	reason := v.Get("stop_reason")
	if !v.Get("content").Array() || !reason.String() {
		return d.fail(events, &fault.Fault{Kind: fault.Garbage, Message: "the message has no content or no stop_reason"})
	}
	events = d.start(events, v)
	for i, item := range v.Get("content").Items() {
		events = d.blockStart(events, i, item)
		if b := d.find(i); b != nil && b.kind == callBlock {
			args := dialect.Text("{}")
			if b.input != nil {
				args = dialect.AppendJSONInString(nil, b.input)
			}
			events = append(events, dialect.Event{Kind: dialect.CallPiece, Key: b.key, Text: args}, dialect.Event{Kind: dialect.CallEnd, Key: b.key})
			continue
		}
		events = append(events, dialect.Event{Kind: dialect.BlockEnd})
	}
	d.over = true
	return append(events, finish(v, reason), dialect.Event{Kind: dialect.Ended})
}
