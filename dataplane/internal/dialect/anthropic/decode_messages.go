package anthropic

import (
	"bytes"
	"slices"
	"strings"

	"github.com/aimux/aimux/dataplane/internal/dialect"
)

func (r *request) messages(v dialect.Value) {
	r.Messages = make([]dialect.Message, 0, 32)
	for i, item := range v.Items() {
		m := dialect.Message{At: i, Within: -1}
		var role, content, until, output dialect.Value
		for key, value := range item.Fields() {
			switch string(key) {
			case "role":
				role = value
			case "content":
				content = value
			case "clear_at":
				until = value
			case "output_config":
				output = value
			default:
				r.notes.Degrade(dialect.Path("messages", i, string(key)), "unknown to the provider's format")
			}
		}
		switch string(role.Text()) {
		case "user":
			m.Role = dialect.User
		case "assistant":
			m.Role = dialect.Assistant
		case "system":
			m.Role = dialect.System
			r.perTurn(output, v, i)
			if until.Plain() == "next_user_message" && turnBehind(v, i, "user") {
				continue // the model was shown it once
			}
		default:
			r.notes.Reject(dialect.Path("messages", i, "role"), "is not a role: "+role.Plain())
		}
		m.Blocks = r.blocks(content, i)
		if n := len(r.Messages); m.Role == dialect.Assistant && n > 0 && r.Messages[n-1].Role == dialect.Assistant {
			r.Messages[n-1].Blocks = append(r.Messages[n-1].Blocks, m.Blocks...)
			continue
		}
		r.Messages = append(r.Messages, m)
	}
}

// blocks reads content: a string, or a list of blocks. Empty text says nothing.
func (r *request) blocks(v dialect.Value, message int) []dialect.Block {
	if v.String() {
		if len(v.Text()) == 0 {
			return nil
		}
		return []dialect.Block{{Kind: dialect.TextBlock, Text: v.Text(), At: -1}}
	}
	blocks := make([]dialect.Block, 0, 4)
	for i, item := range v.Items() {
		blocks = r.block(blocks, item, message, i)
	}
	return blocks
}

// members are those of a block that most requests are made of, read in one go.
type members struct {
	kind, text, id, name, input, source, content, failed, cache dialect.Value
}

func membersOf(v dialect.Value) (m members) {
	for key, value := range v.Fields() {
		switch string(key) {
		case "type":
			m.kind = value
		case "text":
			m.text = value
		case "id", "tool_use_id":
			m.id = value
		case "name":
			m.name = value
		case "input":
			m.input = value
		case "source":
			m.source = value
		case "content":
			m.content = value
		case "is_error":
			m.failed = value
		case "cache_control":
			if value.Object() {
				m.cache = value
			}
		}
	}
	return m
}

func (r *request) block(blocks []dialect.Block, v dialect.Value, message, i int) []dialect.Block {
	m := membersOf(v)
	b := dialect.Block{At: i, Raw: v, Cache: m.cache}
	path := func() string { return dialect.Path("messages", message, "content", i) }
	switch kind := string(m.kind.Text()); kind {
	case "text":
		if b.Kind, b.Text = dialect.TextBlock, m.text.Text(); len(b.Text) == 0 {
			return blocks
		}
	case "image":
		b.Kind, b.Source = dialect.ImageBlock, source(m.source)
	case "document":
		return r.document(blocks, b, v, message)
	case "tool_use":
		b.Kind, b.ID, b.Name, b.Input = dialect.ToolUse, m.id.Text(), m.name.Text(), m.input
		if !b.Input.Object() {
			b.Input = dialect.Value("{}")
		}
	case "tool_result":
		b.Kind, b.ID, b.Failed = dialect.ToolResult, m.id.Text(), m.failed.True()
		b.Content = r.blocks(m.content, message)
	case "thinking":
		b.Kind, b.Text, b.Signature = dialect.ThinkingBlock, v.Get("thinking").Text(), v.Get("signature").Text()
	case "redacted_thinking":
		b.Kind, b.Text = dialect.RedactedBlock, v.Get("data").Text()
	case "fallback", "mcp_tool_listing":
		return blocks
	case "compaction":
		// The summary stands for turns that are not there any more.
		if b.Kind, b.Text = dialect.NoteBlock, v.Get("content").Text(); len(b.Text) == 0 {
			return blocks
		}
		b.Text = append(slices.Clip(b.Text), `\n\n`...)
	case "tool_reference":
		b.Kind, b.Name = dialect.ToolReference, v.Get("tool_name").Text()
		b.Text = append(append(dialect.Text("The tool "), b.Name...), " is now available."...)
	case "search_result":
		r.notes.Degrade(path(), "told as text")
		b.Kind, b.Text = dialect.NoteBlock, searchResult(v)
	case "tool_addition", "tool_removal":
		r.changes = append(r.changes, change{kind == "tool_removal", v.Get("tool"), path() + ".tool"})
		return blocks
	case "container_upload":
		b.Kind = dialect.OpaqueBlock
	default:
		return r.note(blocks, b, v, kind, path())
	}
	return append(blocks, b)
}

// note tells in words what the provider's own tools did in turns that are past.
func (r *request) note(blocks []dialect.Block, b dialect.Block, v dialect.Value, kind, path string) []dialect.Block {
	r.notes.Degrade(path, "told as text")
	b.Kind = dialect.NoteBlock
	switch {
	case kind == "server_tool_use" || kind == "mcp_tool_use":
		text := append(append(dialect.Text("\\n[used "), v.Get("name").Text()...), ": "...)
		b.Text = append(dialect.AppendJSONInString(text, v.Get("input")), "]\\n"...)
	case strings.HasSuffix(kind, "_tool_result") || kind == "browser_state":
		b.Text = append(dialect.Text("\\n["), resultWords(v.Get("content"))...)
		b.Text = append(b.Text, "]\\n"...)
	default:
		b.Text = dialect.AppendJSONInString(nil, v)
	}
	return append(blocks, b)
}

// resultWords is what a result says: titles and addresses, or the texts in it.
func resultWords(v dialect.Value) dialect.Text {
	var words dialect.Text
	say := func(label string, t dialect.Text) {
		if len(t) > 0 {
			words = append(append(append(words, label...), t...), "; "...)
		}
	}
	if v.String() {
		return v.Text()
	}
	items := v
	if v.Object() {
		items = dialect.Value(append(append([]byte("["), v...), ']'))
	}
	for _, item := range items.Items() {
		for _, name := range [...]string{"title", "url", "text", "stdout", "stderr", "error_code"} {
			say("", item.Get(name).Text())
		}
		say("", item.Get("content").Get("source").Get("data").Text())
	}
	return bytes.TrimSuffix(words, []byte("; "))
}

func searchResult(v dialect.Value) dialect.Text {
	text := append(append(dialect.Text("Search result: "), v.Get("title").Text()...), " ("...)
	text = append(append(text, v.Get("source").Text()...), `)\n`...)
	for _, item := range v.Get("content").Items() {
		text = append(text, item.Get("text").Text()...)
	}
	return text
}

// source reads where a medium's bytes are.
func source(v dialect.Value) dialect.Source {
	s := dialect.Source{Media: v.Get("media_type").Plain()}
	switch v.Get("type").Plain() {
	case "url":
		s.URL = v.Get("url").Text()
	case "file":
		s.FileID = v.Get("file_id").Text()
	default:
		s.Data = v.Get("data").Text()
	}
	return s
}

// document reads a document. One that is text becomes text.
func (r *request) document(blocks []dialect.Block, b dialect.Block, v dialect.Value, message int) []dialect.Block {
	src := v.Get("source")
	if v.Get("citations").Get("enabled").True() {
		r.notes.Degrade(dialect.Path("messages", message, "content", b.At, "citations"), "the provider gives no citations")
	}
	kind := src.Get("type").Plain()
	if kind != "text" && kind != "content" {
		b.Kind, b.Source = dialect.DocumentBlock, source(src)
		b.Source.Title, b.Source.Context = v.Get("title").Text(), v.Get("context").Text()
		return append(blocks, b)
	}
	b.Kind = dialect.TextBlock
	for _, name := range [...]string{"title", "context"} {
		if t := v.Get(name).Text(); len(t) > 0 {
			b.Text = append(append(append(append(b.Text, name...), ": "...), t...), `\n`...)
		}
	}
	if kind == "text" {
		b.Text = append(slices.Clip(b.Text), src.Get("data").Text()...)
		return append(blocks, b)
	}
	inner := r.blocks(src.Get("content"), message)
	if len(b.Text) > 0 {
		blocks = append(blocks, b)
	}
	return append(blocks, inner...)
}
