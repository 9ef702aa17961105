package content

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/route"
)

// page is one element of a list while it is written. Invariant: dst is empty, or a whole element once its writer has returned.
type page struct {
	dst  []byte
	room int // bytes that are left
	cut  int // bytes of what was said that found no room
}

// enter begins an object, unless there is no room for even an empty one; then what it would have said is cut.
func (p *page) enter(said int) bool {
	const least = 32 // the braces and the names of an object that says nothing
	if p.room-len(p.dst) < least {
		p.cut += said
		return false
	}
	if n := len(p.dst); n > 0 && p.dst[n-1] != ':' {
		p.dst = dialect.Item(p.dst)
	}
	p.dst = append(p.dst, '{')
	return true
}

func (p *page) leave() { p.dst = append(p.dst, '}') }

// word writes a member that is short by its nature; absent ones are left out.
func (p *page) word(name, value string) {
	const longest = 256
	if value == "" {
		return
	}
	if len(value) > longest {
		value = clip(value, longest)
	}
	p.dst = dialect.StringField(p.dst, name, value)
}

// text writes a member that may be long, as much of it as there is room for.
func (p *page) text(name string, t dialect.Text) {
	room := max(p.room-len(p.dst), 0)
	if bytes.Contains(t, []byte(`\u`)) || bytes.Contains(t, []byte(`\/`)) {
		t = dialect.Quote(t.Plain()) // in one spelling, so that who looks for keys finds them
	}
	if len(t) <= room {
		p.dst = dialect.TextField(p.dst, name, t)
		return
	}
	plain := t.Plain()
	kept := clip(plain, room)
	p.dst = dialect.StringField(p.dst, name, kept)
	p.lose(len(plain) - len(kept))
}

// value writes a member that is JSON. What finds no room becomes a text that is cut, and what a cut has broken a text too.
func (p *page) value(name string, v dialect.Value) {
	if len(v) == 0 {
		return
	}
	if len(v) <= p.room-len(p.dst) && dialect.Valid(v) {
		p.dst = dialect.ValueField(p.dst, name, v)
		return
	}
	p.text(name, dialect.Quote(string(v)))
}

// lose says in the object that is open that n bytes of it are missing.
func (p *page) lose(n int) {
	if n > 0 {
		p.cut += n
		p.dst = dialect.IntField(p.dst, "cut_bytes", n)
	}
}

// clip is the beginning of a text, whole characters of it.
func clip(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	for bytes > 0 && !utf8.RuneStart(text[bytes]) {
		bytes--
	}
	return text[:bytes]
}

// message writes one turn.
func (p *page) message(m *dialect.Message, format route.Protocol) {
	if m.Role == 0 || !p.enter(spoken(m.Blocks)) { // without a role where a cut has left nothing of it
		return
	}
	role := [...]string{dialect.User: "user", dialect.Assistant: "assistant", dialect.System: "system"}[m.Role]
	if format == route.OpenAI && len(m.Blocks) == 1 && m.Blocks[0].Kind == dialect.ToolResult {
		role = "tool"
	}
	p.word("role", role)
	p.word("name", m.Name.Plain())
	p.parts("parts", m.Blocks)
	p.leave()
}

func (p *page) parts(name string, blocks []dialect.Block) {
	p.dst = append(dialect.Key(p.dst, name), '[')
	for i := range blocks {
		p.part(&blocks[i])
	}
	p.dst = append(p.dst, ']')
}

// part writes one block.
func (p *page) part(b *dialect.Block) {
	if !p.enter(spoken([]dialect.Block{*b})) {
		return
	}
	switch b.Kind {
	case dialect.TextBlock:
		p.word("type", "text")
		p.text("content", b.Text)
	case dialect.ThinkingBlock:
		p.word("type", "reasoning")
		p.text("content", b.Text)
	case dialect.RedactedBlock:
		p.size("redacted_reasoning", len(b.Text))
	case dialect.RefusalBlock:
		p.word("type", "refusal")
		p.text("content", b.Text)
	case dialect.ImageBlock:
		p.medium("image", &b.Source)
	case dialect.AudioBlock:
		p.medium("audio", &b.Source)
	case dialect.DocumentBlock:
		p.medium("document", &b.Source)
	case dialect.ToolUse:
		p.word("type", "tool_call")
		p.word("id", b.ID.Plain())
		p.word("name", b.Name.Plain())
		p.value("arguments", b.Input)
	case dialect.ToolResult:
		p.result(b)
	case dialect.ToolReference:
		p.word("type", "tool_reference")
		p.word("name", b.Name.Plain())
	case dialect.NoteBlock:
		p.word("type", kindOf(b, "note"))
		p.text("content", b.Text)
	default:
		p.size(kindOf(b, "unknown"), len(b.Raw))
	}
	p.leave()
}

// kindOf is what the client's format calls a block that the conventions have no name for.
func kindOf(b *dialect.Block, otherwise string) string {
	if kind := b.Raw.Get("type").Plain(); kind != "" {
		return kind
	}
	return otherwise
}

// size tells of something that it is there, and how long.
func (p *page) size(kind string, bytes int) {
	p.word("type", kind)
	p.dst = dialect.IntField(p.dst, "bytes", bytes)
}

// medium tells of a picture, sound or document what it is, and of its bytes how many.
func (p *page) medium(modality string, s *dialect.Source) {
	switch {
	case len(s.URL) > 0:
		address, _, _ := strings.Cut(s.URL.Plain(), "?") // behind it stands who may fetch it
		p.word("type", "uri")
		p.word("uri", address)
	case len(s.FileID) > 0:
		p.word("type", "file")
		p.word("file_id", s.FileID.Plain())
	default:
		p.size("blob", len(bytes.TrimRight(s.Data, "="))*3/4)
		p.dst = dialect.StringField(p.dst, "content", "")
	}
	p.word("modality", modality)
	p.word("mime_type", s.Media)
}

// result writes what a tool gave back: a text where it is one, else its parts.
func (p *page) result(b *dialect.Block) {
	p.word("type", "tool_call_response")
	p.word("id", b.ID.Plain())
	if b.Failed {
		p.dst = append(dialect.Key(p.dst, "is_error"), "true"...)
	}
	switch {
	case len(b.Content) == 0:
		p.dst = dialect.StringField(p.dst, "response", "")
	case len(b.Content) == 1 && b.Content[0].Kind == dialect.TextBlock:
		p.text("response", b.Content[0].Text)
	default:
		p.parts("response", b.Content)
	}
}

// spoken is how many bytes of words the blocks hold.
func spoken(blocks []dialect.Block) (n int) {
	for i := range blocks {
		b := &blocks[i]
		n += len(b.Input) + spoken(b.Content)
		if b.Kind != dialect.RedactedBlock {
			n += len(b.Text)
		}
	}
	return n
}

// tool writes what a tool is.
func (p *page) tool(t *dialect.Tool) {
	if !p.enter(len(t.Description) + len(t.Schema)) {
		return
	}
	kind := "function"
	switch {
	case t.Server != "":
		kind = t.Server
	case t.Custom:
		kind = "custom"
	}
	p.word("type", kind)
	p.word("name", t.Name.Plain())
	if len(t.Description) > 0 {
		p.text("description", t.Description)
	}
	if len(t.Schema) <= p.room-len(p.dst) { // half a schema is none
		p.value("parameters", t.Schema)
	} else {
		p.cut += len(t.Schema)
	}
	p.leave()
}

// answer writes one choice of the answer.
func (p *page) answer(format dialect.Dialect, a *dialect.Answer) {
	wrapped := append(append([]byte(`{"messages":[`), a.Message...), `]}`...)
	messages := format.DecodeRequest(wrapped, &dialect.Notes{}).Messages
	if len(messages) == 0 || !p.enter(spoken(messages[0].Blocks)) {
		return
	}
	p.word("role", "assistant")
	p.parts("parts", messages[0].Blocks)
	p.word("finish_reason", ending(a))
	p.leave()
}

// ending is why an answer ended, in the conventions' words where they have one.
func ending(a *dialect.Answer) string {
	switch a.Stop {
	case dialect.StopEnd, dialect.StopSequence:
		return "stop"
	case dialect.StopLength, dialect.StopContext:
		return "length"
	case dialect.StopTool:
		return "tool_call"
	case dialect.StopRefusal:
		return "content_filter"
	}
	if len(a.Word) > 0 {
		return a.Word.Plain()
	}
	return "error" // it has no end
}
