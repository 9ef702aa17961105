package anthropic

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

// writer puts a conversation into the order that this format demands: turns alternate, and behind an assistant's calls comes one user turn
// that begins with the result of each.
type writer struct {
	dst []byte
	out *dialect.Outbound
	r   *dialect.Request
	// calls of the last assistant's turn: the client's ids, and the ones that are sent.
	calls []pending
	used  map[string]int
	path  int
	first bool // nothing has been written yet

	results []dialect.Block
	said    []dialect.Block
	system  []dialect.Text // to follow what was said
}

type pending struct{ id, sent dialect.Text }

func encodeMessages(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	w := &writer{dst: dst, out: out, r: r, used: map[string]int{}, first: true}
	instructions := r.Instructions
	if len(r.Messages) == 0 {
		// Instructions alone are a question in the other format.
		r.Messages, instructions = []dialect.Message{{Role: dialect.User, Blocks: instructions, Within: -1}}, nil
	}
	w.instructions(instructions)
	w.dst = append(dialect.Key(w.dst, "messages"), '[')
	for i := 0; i < len(r.Messages); i++ {
		m := &r.Messages[i]
		if m.Role != dialect.Assistant {
			w.take(m)
			continue
		}
		blocks := m.Blocks
		for i+1 < len(r.Messages) && r.Messages[i+1].Role == dialect.Assistant {
			i++
			blocks = append(slices.Clip(blocks), r.Messages[i].Blocks...)
		}
		turn := &dialect.Message{Role: dialect.Assistant, Blocks: blocks, At: m.At, Within: -1}
		if said := w.gather(turn); len(said) > 0 {
			if last := &said[len(said)-1]; i == len(r.Messages)-1 && last.Kind == dialect.TextBlock {
				last.Text = last.Text.TrimRight() // what is to be continued must not end in white space
			}
			w.flush()
			w.path = m.At
			if w.first { // no conversation may begin with the assistant
				w.dst = append(dialect.Item(w.dst), `{"role":"user","content":"(the assistant begins)"}`...)
			}
			w.assistant(said)
		}
	}
	if last := &r.Messages[len(r.Messages)-1]; last.Role == dialect.Assistant && out.Target.Lacks(route.Prefill) {
		out.Notes.Refuse(dialect.Path("messages", last.At), "the model does not continue an assistant's turn")
	}
	w.flush()
	return append(w.dst, ']')
}

// instructions writes the system prompt as blocks, with the later ones where the provider takes them nowhere else.
func (w *writer) instructions(blocks []dialect.Block) {
	if w.out.Target.Sheet.System == provider.SystemHoist {
		for i := range w.r.Messages {
			if w.r.Messages[i].Role == dialect.System {
				blocks = append(slices.Clip(blocks), w.r.Messages[i].Blocks...)
			}
		}
	}
	if text := formatPrompt(w.r, w.out); text != nil {
		blocks = append(slices.Clip(blocks), dialect.Block{Kind: dialect.TextBlock, Text: text})
	}
	blocks = slices.DeleteFunc(slices.Clone(blocks), func(b dialect.Block) bool { return b.Text.Blank() })
	if len(blocks) == 0 {
		return
	}
	dst := append(dialect.Key(w.dst, "system"), '[')
	for i := range blocks {
		dst = dialect.TextField(append(dialect.Item(dst), `{"type":"text"`...), "text", blocks[i].Text)
		dst = append(encodeMark(dst, blocks[i].Cache, w.out), '}')
	}
	dst = append(dst, ']')
	w.dst = dst
}

// take collects a turn that is not the assistant's.
func (w *writer) take(m *dialect.Message) {
	if m.Role == dialect.System {
		text := join(m.Blocks)
		switch {
		case len(text) == 0 || w.out.Target.Sheet.System == provider.SystemHoist:
		case w.out.Target.Sheet.System == provider.SystemNative && w.out.Target.Sheet.Kind == "anthropic":
			w.system = append(w.system, text)
		default:
			reminder := append(append(dialect.Text(`<system-reminder>\n`), text...), `\n</system-reminder>`...)
			w.said = append(w.said, dialect.Block{Kind: dialect.TextBlock, Text: reminder})
		}
		return
	}
	if len(w.system) > 0 && len(w.calls) == 0 {
		w.flush()
	}
	w.path = m.At
	for i := range m.Blocks {
		b := m.Blocks[i]
		if b.Kind == dialect.ToolResult {
			b.At = m.At
			w.results = append(w.results, b)
			continue
		}
		w.check(m, &b)
		w.said = append(w.said, b)
	}
}

func join(blocks []dialect.Block) (text dialect.Text) {
	for i := range blocks {
		if len(text) > 0 {
			text = append(text, `\n\n`...)
		}
		text = append(text, blocks[i].Text...)
	}
	return text
}

// check refuses what the target cannot see or hear.
func (w *writer) check(m *dialect.Message, b *dialect.Block) {
	refuse := func(why string) { w.out.Notes.Refuse(m.Path(b), why) }
	switch {
	case b.Kind == dialect.AudioBlock:
		refuse("the provider's format has no audio")
	case b.Source.FileID != nil:
		refuse("the file lies at another provider")
	case b.Kind == dialect.ImageBlock && w.out.Target.Lacks(route.Vision):
		refuse("the model takes no images")
	case b.Kind == dialect.DocumentBlock && w.out.Target.Lacks(route.PDF) && !b.Source.Readable():
		refuse("the model takes no documents")
	case b.Kind == dialect.ImageBlock && b.Source.URL == nil && !imageMedia(b.Source.Media):
		refuse("images of type " + b.Source.Media + " cannot be carried")
	case b.Kind == dialect.DocumentBlock && b.Source.Media != "application/pdf" && !b.Source.Readable():
		refuse("documents of type " + b.Source.Media + " cannot be carried")
	}
}

func imageMedia(media string) bool {
	switch media {
	case "image/jpeg", "image/png", "image/gif", "image/webp":
		return true
	}
	return false
}

// flush writes the user's turn, results first, and the system messages behind it.
func (w *writer) flush() {
	begun := false
	open := func() {
		if !begun {
			begun, w.first = true, false
			w.dst = append(dialect.Item(w.dst), `{"role":"user","content":[`...)
		}
	}
	for _, call := range w.calls {
		open()
		w.result(call)
	}
	for i := range w.results {
		if b := &w.results[i]; b.Kind == dialect.ToolResult {
			w.out.Notes.Reject(dialect.Path("messages", b.At), "answers the call "+b.ID.Plain()+", which the turn before has not made")
		}
	}
	for i := range w.said {
		if b := &w.said[i]; !silent(b) {
			open()
			w.dst = encodeBlock(dialect.Item(w.dst), b, w.out)
		}
	}
	if begun {
		w.dst = append(w.dst, ']', '}')
	}
	for _, text := range w.system {
		role := `{"role":"system"`
		if w.first {
			role = `{"role":"user"`
		}
		w.first = false
		w.dst = append(dialect.TextField(append(dialect.Item(w.dst), role...), "content", text), '}')
	}
	w.calls, w.results, w.said, w.system = w.calls[:0], w.results[:0], w.said[:0], nil
}

// silent reports a block of words without any: this format refuses to take one.
func silent(b *dialect.Block) bool {
	switch b.Kind {
	case dialect.TextBlock, dialect.RefusalBlock, dialect.NoteBlock:
		return b.Text.Blank()
	}
	return false
}

// result writes the answer to one call.
func (w *writer) result(call pending) {
	for i := range w.results {
		r := &w.results[i]
		if r.Kind != dialect.ToolResult || !bytes.Equal(r.ID, call.id) {
			continue
		}
		r.Kind = 0
		dst := dialect.TextField(append(dialect.Item(w.dst), `{"type":"tool_result"`...), "tool_use_id", call.sent)
		switch {
		case len(r.Content) == 1 && r.Content[0].Kind == dialect.TextBlock:
			dst = dialect.TextField(dst, "content", r.Content[0].Text)
		case len(r.Content) > 0:
			dst = append(dialect.Key(dst, "content"), '[')
			for j := range r.Content {
				w.check(&dialect.Message{At: r.At, Within: -1}, &r.Content[j])
				if !silent(&r.Content[j]) {
					dst = encodeBlock(dialect.Item(dst), &r.Content[j], w.out)
				}
			}
			dst = append(dst, ']')
		}
		if r.Failed {
			dst = append(dialect.Key(dst, "is_error"), "true"...)
		}
		w.dst = append(encodeMark(dst, r.Cache, w.out), '}')
		return
	}
	w.out.Notes.Reject(dialect.Path("messages", w.path), "has no tool result for the call "+call.id.Plain())
}

// gather orders a turn of the model: what it thought, what it said, and last its calls. A turn may come to nothing.
func (w *writer) gather(m *dialect.Message) []dialect.Block {
	blocks := make([]dialect.Block, 0, len(m.Blocks)+2)
	thought, calls := false, 0
	for i := range m.Blocks {
		switch b := &m.Blocks[i]; b.Kind {
		case dialect.ThinkingBlock:
			if w.out.Provenance.Foreign(b) {
				blocks, thought = append(blocks, *b), true
			}
		case dialect.RedactedBlock:
			blocks, thought = append(blocks, *b), true
		case dialect.ToolUse:
			if calls++; calls == 1 && !thought {
				blocks = append(w.recalled(b.ID), blocks...)
			}
		case dialect.TextBlock, dialect.NoteBlock:
			if !silent(b) {
				blocks = append(blocks, *b)
			}
		case dialect.RefusalBlock:
			w.out.Notes.Degrade(dialect.Path("messages", m.At, "refusal"), "told as text")
			blocks = append(blocks, *b)
		default:
			w.out.Notes.Degrade(m.Path(b), "left out of the assistant's turn")
		}
	}
	for i := range m.Blocks {
		if m.Blocks[i].Kind == dialect.ToolUse {
			blocks = append(blocks, m.Blocks[i])
		}
	}
	return blocks
}

// assistant writes a turn of the model.
func (w *writer) assistant(blocks []dialect.Block) {
	w.first = false
	w.dst = append(dialect.Item(w.dst), `{"role":"assistant","content":[`...)
	for i := range blocks {
		if b := &blocks[i]; b.Kind == dialect.ToolUse {
			w.call(b)
		} else {
			w.dst = encodeBlock(dialect.Item(w.dst), b, w.out)
		}
	}
	w.dst = append(w.dst, ']', '}')
}

// recalled is the thinking before a call that the client has not brought back. What this gateway signed is of no use here.
func (w *writer) recalled(id dialect.Text) (blocks []dialect.Block) {
	for _, b := range w.out.Provenance.Recall(id) {
		if b.Kind == dialect.RedactedBlock || w.out.Provenance.Foreign(&b) {
			blocks = append(blocks, b)
		}
	}
	return blocks
}

// call writes a call under an id that is valid and that no other call of the conversation has.
func (w *writer) call(b *dialect.Block) {
	sent := dialect.CleanID(b.ID, idMax)
	n := w.used[string(sent)]
	w.used[string(sent)]++
	if n > 0 {
		sent = append(slices.Clip(sent), '#')
		sent = dialect.CleanID(strconv.AppendInt(sent, int64(n), 10), idMax)
	}
	w.calls = append(w.calls, pending{id: b.ID, sent: sent})
	w.dst = dialect.TextField(append(dialect.Item(w.dst), `{"type":"tool_use"`...), "id", sent)
	w.dst = dialect.TextField(w.dst, "name", w.out.Names.Wire(b.Name))
	w.dst = append(dialect.ValueField(w.dst, "input", b.Input), '}')
}

// encodeBlock writes a block that is no call and no result.
func encodeBlock(dst []byte, b *dialect.Block, out *dialect.Outbound) []byte {
	switch b.Kind {
	case dialect.ThinkingBlock:
		dst = dialect.TextField(append(dst, `{"type":"thinking"`...), "thinking", b.Text)
		return append(dialect.TextField(dst, "signature", b.Signature), '}')
	case dialect.RedactedBlock:
		return append(dialect.TextField(append(dst, `{"type":"redacted_thinking"`...), "data", b.Text), '}')
	case dialect.ImageBlock, dialect.DocumentBlock:
		kind := "image"
		if b.Kind == dialect.DocumentBlock {
			kind = "document"
		}
		dst = dialect.StringField(append(dst, '{'), "type", kind)
		dst = append(dialect.Key(dst, "source"), '{')
		switch words, readable := b.Source.Words(); {
		case b.Source.URL != nil:
			dst = dialect.TextField(append(dst, `"type":"url"`...), "url", b.Source.URL)
		case readable:
			dst = dialect.TextField(append(dst, `"type":"text","media_type":"text/plain"`...), "data", words)
		default:
			dst = dialect.StringField(append(dst, `"type":"base64"`...), "media_type", b.Source.Media)
			dst = dialect.TextField(dst, "data", b.Source.Data)
		}
		dst = append(dst, '}')
		if b.Kind == dialect.DocumentBlock && len(b.Source.Title) > 0 {
			dst = dialect.TextField(dst, "title", b.Source.Title)
		}
	default:
		dst = dialect.TextField(append(dst, `{"type":"text"`...), "text", b.Text)
	}
	return append(encodeMark(dst, b.Cache, out), '}')
}
