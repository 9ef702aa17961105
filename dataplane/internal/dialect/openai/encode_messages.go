package openai

import (
	"bytes"
	"slices"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

// writer puts a conversation into the order that this format demands: behind the calls of an assistant's turn first one tool message for
// each, in the order of the calls, and only then whatever else was said.
type writer struct {
	dst []byte
	out *dialect.Outbound
	// calls of the last assistant's turn, in order.
	calls []dialect.Text
	path  int
	// user collects the parts of the next user message.
	user []dialect.Block
	// hoisted are images from tool results, for the user message behind them.
	hoisted []dialect.Block
	results []result
	later   []dialect.Message // system messages and user turns that wait for the results
}

// result is the answer to a call, and the index of the message in which it stood.
type result struct {
	dialect.Block
	message int
}

func encodeMessages(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	w := &writer{dst: append(dialect.Key(dst, "messages"), '['), out: out}
	w.system(r)
	for i := range r.Messages {
		m := &r.Messages[i]
		if m.Role != dialect.Assistant {
			w.said(m)
			continue
		}
		w.flush()
		w.assistant(m)
	}
	if n := len(r.Messages); n > 0 && r.Messages[n-1].Role == dialect.Assistant {
		w.prefill(&r.Messages[n-1])
	}
	w.flush()
	return append(w.dst, ']')
}

func (w *writer) prefill(m *dialect.Message) {
	path := dialect.Path("messages", m.At)
	if w.out.Target.Lacks(route.Prefill) {
		w.out.Notes.Refuse(path, "the model does not continue an assistant's turn")
	} else if w.out.Target.Has&route.Prefill == 0 {
		w.out.Notes.Degrade(path, "the model may not continue an assistant's turn")
	}
}

// system writes the instructions as one message.
func (w *writer) system(r *dialect.Request) {
	blocks := r.Instructions
	if w.out.Target.Sheet.System == provider.SystemHoist {
		for i := range r.Messages {
			if r.Messages[i].Role == dialect.System {
				blocks = append(slices.Clip(blocks), r.Messages[i].Blocks...)
			}
		}
	}
	if text := formatPrompt(r, w.out); text != nil {
		blocks = append(slices.Clip(blocks), dialect.Block{Kind: dialect.TextBlock, Text: text})
	}
	if joined := join(blocks, `\n\n`); joined != nil {
		w.role("system")
		if w.marks(blocks) {
			w.content(blocks)
		} else {
			w.dst = dialect.TextField(w.dst, "content", joined)
		}
		w.dst = append(w.dst, '}')
	}
}

// marks reports cache marks that the provider takes.
func (w *writer) marks(blocks []dialect.Block) bool {
	if !w.out.Takes("prompt_cache_breakpoint") {
		return false
	}
	for i := range blocks {
		if blocks[i].Cache != nil {
			return true
		}
	}
	return false
}

// join puts texts together; nil when there is none. The one text of many stays the client's own bytes.
func join(blocks []dialect.Block, between string) dialect.Text {
	var joined dialect.Text
	n := 0
	for i := range blocks {
		b := &blocks[i]
		if len(b.Text) == 0 || b.Kind != dialect.TextBlock && b.Kind != dialect.RefusalBlock && b.Kind != dialect.NoteBlock && b.Kind != dialect.ToolReference {
			continue
		}
		switch n++; n {
		case 1:
			joined = b.Text
		default:
			joined = append(append(slices.Clip(joined), between...), b.Text...)
		}
	}
	return joined
}

func (w *writer) role(name string) {
	w.dst = append(dialect.Item(w.dst), '{')
	w.dst = dialect.StringField(w.dst, "role", name)
}

// said takes a turn that is not the assistant's.
func (w *writer) said(m *dialect.Message) {
	if m.Role == dialect.System {
		switch w.out.Target.Sheet.System {
		case provider.SystemHoist:
		case provider.SystemUser:
			if text := join(m.Blocks, `\n\n`); text != nil {
				reminder := append(append(dialect.Text(`<system-reminder>\n`), text...), `\n</system-reminder>`...)
				w.user = append(w.user, dialect.Block{Kind: dialect.TextBlock, Text: reminder})
			}
		default:
			w.userTurn()
			w.later = append(w.later, *m)
		}
		return
	}
	w.path = m.At
	for i := range m.Blocks {
		if m.Blocks[i].Kind == dialect.ToolResult {
			w.results = append(w.results, result{m.Blocks[i], m.At})
		} else {
			w.user = append(w.user, m.Blocks[i])
		}
	}
}

// userTurn ends the user message that is being collected.
func (w *writer) userTurn() {
	if len(w.user) > 0 {
		w.later = append(w.later, dialect.Message{Role: dialect.User, Blocks: w.user, At: w.path, Within: -1})
		w.user = nil
	}
}

// flush writes everything that was said since the last assistant's turn.
func (w *writer) flush() {
	w.toolMessages()
	if len(w.hoisted) > 0 {
		switch {
		case len(w.later) == 0:
			w.user = append(w.hoisted, w.user...)
		case w.later[0].Role == dialect.User:
			w.later[0].Blocks = append(w.hoisted, w.later[0].Blocks...)
		default:
			w.message(&dialect.Message{Role: dialect.User, Blocks: w.hoisted, Within: -1})
		}
		w.hoisted = nil
	}
	w.userTurn()
	for i := range w.later {
		w.message(&w.later[i])
	}
	w.later = w.later[:0]
}

func (w *writer) message(m *dialect.Message) {
	if m.Role == dialect.System {
		if text := join(m.Blocks, `\n\n`); text != nil {
			w.role("system")
			w.dst = append(dialect.TextField(w.dst, "content", text), '}')
		}
		return
	}
	blocks := w.fit(m)
	if len(blocks) == 0 {
		return
	}
	w.role("user")
	if len(blocks) == 1 && blocks[0].Kind == dialect.TextBlock && !w.marks(blocks) {
		w.dst = dialect.TextField(w.dst, "content", blocks[0].Text)
	} else {
		w.content(blocks)
	}
	w.dst = append(w.dst, '}')
}

// toolMessages answers the calls of the last assistant's turn.
func (w *writer) toolMessages() {
	for _, id := range w.calls {
		found := false
		for i := range w.results {
			if r := &w.results[i]; r.Kind == dialect.ToolResult && bytes.Equal(r.ID, id) {
				w.toolMessage(r)
				r.Kind, found = 0, true
				break
			}
		}
		if !found {
			w.out.Notes.Reject(dialect.Path("messages", w.path), "has no tool result for the call "+id.Plain())
		}
	}
	for i := range w.results {
		if r := &w.results[i]; r.Kind == dialect.ToolResult {
			w.out.Notes.Reject(dialect.Path("messages", r.message, "content", r.At), "answers the call "+r.ID.Plain()+", which the turn before has not made")
		}
	}
	w.calls, w.results = w.calls[:0], w.results[:0]
}

func (w *writer) toolMessage(r *result) {
	w.role("tool")
	w.dst = dialect.TextField(w.dst, "tool_call_id", dialect.CleanID(r.ID, idMax))
	var media []dialect.Block
	var text dialect.Text
	for _, b := range w.fit(&dialect.Message{At: r.message, Within: r.At, Blocks: r.Content}) {
		if b.Kind == dialect.TextBlock {
			if text != nil {
				text = append(slices.Clip(text), '\\', 'n')
			}
			text = append(slices.Clip(text), b.Text...)
			continue
		}
		media = append(media, b)
	}
	if r.Failed {
		text = append(dialect.Text("Error: "), text...)
	}
	if len(media) > 0 && w.out.Target.Sheet.ToolImages {
		if text != nil {
			media = append([]dialect.Block{{Kind: dialect.TextBlock, Text: text}}, media...)
		}
		w.content(media)
		w.dst = append(w.dst, '}')
		return
	}
	if len(media) > 0 {
		if text != nil {
			text = append(slices.Clip(text), '\\', 'n')
		}
		for i := range media {
			what := "[image: see the next user message]"
			if media[i].Kind != dialect.ImageBlock {
				what = "[document: see the next user message]"
			}
			if i > 0 {
				text = append(text, '\\', 'n')
			}
			text = append(slices.Clip(text), what...)
		}
		label := append(dialect.Text("[from the result of tool call "), dialect.CleanID(r.ID, idMax)...)
		w.hoisted = append(w.hoisted, dialect.Block{Kind: dialect.TextBlock, Text: append(label, ']')})
		w.hoisted = append(w.hoisted, media...)
	}
	w.dst = append(dialect.TextField(w.dst, "content", text), '}')
}

// assistant writes a turn of the model: its words in one piece, its calls behind them.
func (w *writer) assistant(m *dialect.Message) {
	w.path = m.At + 1
	var text, thought dialect.Text
	calls := 0
	for i := range m.Blocks {
		switch b := &m.Blocks[i]; b.Kind {
		case dialect.TextBlock, dialect.RefusalBlock, dialect.NoteBlock:
			text = append(slices.Clip(text), b.Text...)
		case dialect.ThinkingBlock:
			if w.out.Provenance.Ours(b) {
				thought = append(slices.Clip(thought), b.Text...)
			}
		case dialect.ToolUse:
			calls++
			if calls == 1 && len(thought) == 0 {
				thought = w.recalled(b.ID)
			}
		case dialect.RedactedBlock:
		case dialect.ImageBlock, dialect.DocumentBlock, dialect.OpaqueBlock:
			w.out.Notes.Degrade(m.Path(b), "left out of the assistant's turn")
		default:
			w.out.Notes.Reject(m.Path(b), "cannot stand in an assistant's turn")
		}
	}
	if len(text) == 0 && calls == 0 {
		return
	}
	w.role("assistant")
	text = w.thought(text, thought)
	if len(text) > 0 {
		w.dst = dialect.TextField(w.dst, "content", text)
	} else {
		w.dst = append(dialect.Key(w.dst, "content"), "null"...)
	}
	if calls > 0 {
		w.toolCalls(m)
	}
	w.dst = append(w.dst, '}')
}

func (w *writer) recalled(id dialect.Text) (thought dialect.Text) {
	for _, b := range w.out.Provenance.Recall(id) {
		thought = append(thought, b.Text...)
	}
	return thought
}

// thought gives reasoning back to who wants it, in the field where it came from.
func (w *writer) thought(text, thought dialect.Text) dialect.Text {
	if len(thought) == 0 {
		return text
	}
	w.out.Replayed = true
	switch field := w.out.Target.Sheet.Reasoning; field {
	case provider.ReasoningDetails:
		w.dst = append(dialect.Key(w.dst, "reasoning_details"), `[{"type":"reasoning.text"`...)
		w.dst = append(dialect.TextField(w.dst, "text", thought), '}', ']')
	case provider.ThinkTags:
		return append(append(append(dialect.Text("<think>"), thought...), `</think>\n\n`...), text...)
	case provider.ReasoningContent, provider.Reasoning:
		w.dst = dialect.TextField(w.dst, reasoningName(field), thought)
	}
	return text
}

func (w *writer) toolCalls(m *dialect.Message) {
	w.dst = append(dialect.Key(w.dst, "tool_calls"), '[')
	for i := range m.Blocks {
		b := &m.Blocks[i]
		if b.Kind != dialect.ToolUse {
			continue
		}
		if holds(w.calls, b.ID) {
			w.out.Notes.Reject(dialect.Path("messages", m.At, "content", b.At, "id"), "is used twice in one turn")
		}
		w.calls = append(w.calls, b.ID)
		w.dst = append(dialect.Item(w.dst), '{')
		w.dst = dialect.TextField(w.dst, "id", dialect.CleanID(b.ID, idMax))
		w.dst = append(w.dst, `,"type":"function","function":{`...)
		w.dst = dialect.TextField(w.dst, "name", w.out.Names.Wire(b.Name))
		w.dst = append(dialect.Key(w.dst, "arguments"), '"')
		w.dst = dialect.AppendJSONInString(w.dst, b.Input)
		w.dst = append(w.dst, '"', '}', '}')
	}
	w.dst = append(w.dst, ']')
}
