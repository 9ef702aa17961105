package openai

import (
	"bytes"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/provider"
)

// decoder reads the chunks of one answer, or a whole completion, and tells the vendors' ways of writing them apart.
type decoder struct {
	sheet   *provider.Sheet
	started bool
	over    bool
	// finish is the provider's word for the end; stop what it means.
	finish  dialect.Text
	stop    dialect.StopKind
	refused bool
	usage   dialect.Usage
	calls   calls
	split   splitter
	whole   bool
	// kept holds bytes that events point to and that are not the frame's own.
	kept []byte
}

// call is one tool call as its fragments come in.
type call struct {
	index    int
	indexed  bool
	custom   bool
	id, name []byte
	told     bool // CallStart has been said
	args     bool // arguments have begun
	balance  dialect.Balance
	early    []byte // arguments that came before the name
}

func newDecoder(sheet *provider.Sheet) *decoder {
	if sheet == nil {
		sheet = &provider.Sheet{}
	}
	d := &decoder{sheet: sheet}
	switch {
	case sheet.Reasoning == provider.ThinkTags || sheet.Reasoning == provider.ReasoningDetails:
		d.split.mode = splitAll
	case sheet.Kind != "openai":
		d.split.mode = splitFirst
	}
	return d
}

// Event reads one chunk.
func (d *decoder) Event(events []dialect.Event, f *dialect.Frame) []dialect.Event {
	data := bytes.TrimSpace(f.Data)
	switch {
	case d.over || len(data) == 0:
		return events
	case string(data) == "[DONE]":
		return d.End(events)
	}
	v := dialect.Value(data)
	if !v.Object() || !dialect.Valid(data) {
		return d.fail(events, &fault.Fault{Kind: fault.Garbage, Message: "a chunk is not JSON: " + dialect.Clean(string(data[:min(len(data), 200)]))})
	}
	if string(f.Name) == "error" {
		failure := dialect.FaultOf(d.sheet, v)
		return d.fail(events, &failure)
	}
	d.kept = d.kept[:0]
	return d.chunk(events, v, "delta")
}

func (d *decoder) fail(events []dialect.Event, f *fault.Fault) []dialect.Event {
	d.over = true
	return append(events, dialect.Event{Kind: dialect.Failed, Fault: f})
}

// chunk reads a chunk, or with "message" a whole completion.
func (d *decoder) chunk(events []dialect.Event, v dialect.Value, delta string) []dialect.Event {
	var id, model dialect.Text
	var choices, usage dialect.Value
	for key, value := range v.Fields() {
		switch string(key) {
		case "id":
			id = value.Text()
		case "model":
			model = value.Text()
		case "choices":
			choices = value
		case "usage":
			usage = value
		case "error", "base_resp":
			if code, _ := value.Get("status_code").Int(); value.Set() && (string(key) == "error" || code != 0) {
				f := dialect.FaultOf(d.sheet, v)
				return d.fail(events, &f)
			}
		}
	}
	if choices == nil && usage == nil {
		return events
	}
	if !d.started {
		d.started = true
		events = append(events, dialect.Event{Kind: dialect.Started, ID: id, Name: model})
	}
	for _, choice := range choices.Items() {
		events = d.choice(events, choice, delta)
		if d.over {
			return events
		}
	}
	return d.count(events, usage)
}

// count takes the provider's count, if there is one.
func (d *decoder) count(events []dialect.Event, usage dialect.Value) []dialect.Event {
	if !usage.Object() {
		return events
	}
	d.readUsage(usage)
	return append(events, dialect.Event{Kind: dialect.UsageNow, Usage: d.usage})
}

func (d *decoder) choice(events []dialect.Event, choice dialect.Value, delta string) []dialect.Event {
	var said, finish, usage dialect.Value
	first := true
	for key, value := range choice.Fields() {
		switch string(key) {
		case delta:
			said = value
		case "finish_reason":
			finish = value
		case "usage":
			usage = value // where Kimi has it
		case "index":
			n, _ := value.Int()
			first = n == 0
		}
	}
	if !first {
		return append(events, dialect.Event{Kind: dialect.TextPiece}) // more choices pass, they are never translated
	}
	events = d.count(d.delta(events, said), usage)
	if finish.String() && len(finish.Text()) > 0 {
		d.finish = bytes.Clone(finish.Text())
		return d.finished(events)
	}
	return events
}

// delta reads what is new in a message.
func (d *decoder) delta(events []dialect.Event, delta dialect.Value) []dialect.Event {
	var content, reasoning, reasoningContent, details, refusal, calls, function, annotations dialect.Value
	for key, value := range delta.Fields() {
		switch string(key) {
		case "content":
			content = value
		case "reasoning_content":
			reasoningContent = value
		case "reasoning":
			reasoning = value
		case "reasoning_details":
			details = value
		case "refusal":
			refusal = value
		case "tool_calls":
			calls = value
		case "function_call":
			function = value
		case "annotations":
			annotations = value
		}
	}
	switch {
	case len(reasoningContent.Text()) > 0:
		events = append(events, dialect.Event{Kind: dialect.ThoughtPiece, Text: reasoningContent.Text()})
	case len(reasoning.Text()) > 0:
		events = append(events, dialect.Event{Kind: dialect.ThoughtPiece, Text: reasoning.Text()})
	default:
		for _, item := range details.Items() {
			if text := item.Get("text").Text(); len(text) > 0 {
				events = append(events, dialect.Event{Kind: dialect.ThoughtPiece, Text: text})
			}
		}
	}
	events = d.content(events, content)
	if len(refusal.Text()) > 0 {
		d.refused = true
		events = append(events, dialect.Event{Kind: dialect.RefusalPiece, Text: refusal.Text()})
	}
	for _, item := range annotations.Items() {
		if c := item.Get("url_citation"); c.Object() {
			events = append(events, dialect.Event{Kind: dialect.Citation, Text: c.Get("title").Text(), Name: c.Get("url").Text()})
		}
	}
	if calls.Array() || function.Object() {
		events = d.split.flush(events)
	}
	for i, item := range calls.Items() {
		events = d.fragment(events, item, i)
	}
	if function.Object() {
		events = d.legacy(events, function)
	}
	return events
}

func (d *decoder) content(events []dialect.Event, content dialect.Value) []dialect.Event {
	if text := content.Text(); len(text) > 0 {
		return d.split.text(events, text)
	}
	for _, part := range content.Items() {
		if text := part.Get("text").Text(); len(text) > 0 {
			events = d.split.text(events, text)
		}
	}
	return events
}

// readUsage takes the provider's count. prompt_tokens holds the cached ones too.
func (d *decoder) readUsage(v dialect.Value) {
	var prompt, cached, written, thought int
	u := dialect.Usage{Reported: true}
	for key, value := range v.Fields() {
		switch string(key) {
		case "prompt_tokens":
			prompt, _ = value.Count()
		case "completion_tokens":
			u.Output, _ = value.Count()
		case "cached_tokens", "prompt_cache_hit_tokens":
			if n, _ := value.Count(); n > cached {
				cached = n
			}
		case "prompt_tokens_details":
			if n, ok := value.Get("cached_tokens").Count(); ok {
				cached = n
			}
			written, _ = value.Get("cache_write_tokens").Count()
		case "completion_tokens_details":
			thought, _ = value.Get("reasoning_tokens").Count()
		}
	}
	u.CacheRead, u.CacheWrite, u.Thinking = cached, written, thought
	u.Input = max(0, prompt-cached-written)
	d.usage = u
}

// finished takes the provider's word for the end. Some of them mean that the answer has failed.
func (d *decoder) finished(events []dialect.Event) []dialect.Event {
	switch string(d.finish) {
	case "network_error", "insufficient_system_resource", "error":
		return d.fail(events, &fault.Fault{Kind: fault.Overloaded, Message: "the provider ended the answer with " + string(d.finish)})
	}
	d.stop = stopOf(d.finish)
	return events
}

// stopOf is what a word for the end means.
func stopOf(word dialect.Text) dialect.StopKind {
	switch string(word) {
	case "stop", "eos", "end_turn":
		return dialect.StopEnd
	case "length", "max_tokens":
		return dialect.StopLength
	case "tool_calls", "function_call", "tool_use":
		return dialect.StopTool
	case "content_filter", "sensitive":
		return dialect.StopRefusal
	case "model_context_window_exceeded":
		return dialect.StopContext
	}
	return dialect.StopUnknown
}

// Answers are the choices of a completion.
func (Dialect) Answers(body dialect.Value) (all []dialect.Answer) {
	for _, choice := range body.Get("choices").Items() {
		word := choice.Get("finish_reason").Text()
		all = append(all, dialect.Answer{Message: choice.Get("message"), Stop: stopOf(word), Word: word})
	}
	return all
}

// End is told that nothing follows.
func (d *decoder) End(events []dialect.Event) []dialect.Event {
	if d.over {
		return events
	}
	if d.finish == nil {
		return d.fail(events, &fault.Fault{Kind: fault.Truncated, Message: "the stream ended without a finish_reason"})
	}
	d.over = true
	events = d.split.flush(events)
	for i := range d.calls {
		events = d.tell(events, i)
		events = append(events, dialect.Event{Kind: dialect.CallEnd, Key: i})
	}
	stop := d.stop
	switch {
	case d.refused && stop == dialect.StopEnd:
		stop = dialect.StopRefusal
	case len(d.calls) > 0 && (stop == dialect.StopEnd || stop == dialect.StopUnknown):
		stop = dialect.StopTool
	case len(d.calls) == 0 && stop == dialect.StopTool:
		stop = dialect.StopEnd
	}
	if d.usage.Reported {
		events = append(events, dialect.Event{Kind: dialect.UsageNow, Usage: d.usage})
	}
	events = append(events, dialect.Event{Kind: dialect.Finish, Stop: stop, Name: d.finish})
	return append(events, dialect.Event{Kind: dialect.Ended})
}

// Whole reads a completion that is no stream.
func (d *decoder) Whole(events []dialect.Event, body []byte) []dialect.Event {
	d.whole = true
	v := dialect.Value(body)
	if v.Get("choices").Len() == 0 {
		return d.fail(events, &fault.Fault{Kind: fault.Garbage, Message: "the completion has no choices"})
	}
	events = d.chunk(events, v, "message")
	if d.over {
		return events
	}
	if f := brokenArguments(v); f != nil && d.stop != dialect.StopLength {
		return d.fail(events[:0], f)
	}
	if d.finish == nil {
		return d.fail(events, &fault.Fault{Kind: fault.Garbage, Message: "the completion has no finish_reason"})
	}
	return d.End(events)
}

// brokenArguments finds a call in a completion whose arguments are no JSON.
func brokenArguments(v dialect.Value) *fault.Fault {
	for _, choice := range v.Get("choices").Items() {
		for _, call := range choice.Get("message").Get("tool_calls").Items() {
			f := call.Get("function")
			if args := f.Get("arguments"); len(args.Text()) > 0 && !dialect.Valid([]byte(args.Plain())) {
				return brokenCall(f.Get("name").Text())
			}
		}
	}
	return nil
}
