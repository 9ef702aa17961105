package openai

import (
	"bytes"
	"strings"

	"github.com/aimux/aimux/dataplane/internal/dialect"
)

func (r *request) messages(v dialect.Value) {
	r.Messages = make([]dialect.Message, 0, 32)
	for i, item := range v.Items() {
		r.message(i, item)
	}
}

func (r *request) message(i int, v dialect.Value) {
	m := dialect.Message{At: i, Within: -1}
	content := v.Get("content")
	switch role := v.Get("role").Plain(); role {
	case "system", "developer":
		m.Role = dialect.System
		m.Blocks = r.parts(content, i)
		if len(r.Messages) == 0 {
			r.Instructions = append(r.Instructions, m.Blocks...)
			return
		}
	case "user":
		m.Role = dialect.User
		m.Blocks = r.parts(content, i)
	case "assistant":
		m.Role = dialect.Assistant
		m.Blocks = r.assistant(v, i)
	case "tool":
		m.Role = dialect.User
		m.Blocks = []dialect.Block{{Kind: dialect.ToolResult, ID: v.Get("tool_call_id").Text(), Content: r.parts(content, i), Cache: cacheMark(v), At: -1}}
	case "function":
		m.Role = dialect.User
		m.Blocks = []dialect.Block{{Kind: dialect.ToolResult, ID: r.open, Content: r.parts(content, i), At: -1}}
	default:
		r.notes.Reject(dialect.Path("messages", i, "role"), "is not a role: "+role)
	}
	if name := v.Get("name"); name.String() && v.Get("role").Plain() != "function" {
		r.notes.Degrade(dialect.Path("messages", i, "name"), "the provider's format has no names of speakers")
	}
	for key, value := range v.Fields() {
		if value.Set() && !known(string(key)) {
			r.notes.Degrade(dialect.Path("messages", i, string(key)), "unknown to the provider's format")
		}
	}
	if mark := cacheMark(v); mark != nil && len(m.Blocks) > 0 {
		m.Blocks[len(m.Blocks)-1].Cache = mark
	}
	r.Messages = append(r.Messages, m)
}

// known names the members of a message that are read or say nothing.
func known(key string) bool {
	switch key {
	case "role", "content", "name", "refusal", "tool_calls", "tool_call_id", "function_call", "audio", "annotations", "cache_control",
		"prompt_cache_breakpoint", "reasoning_content", "reasoning", "reasoning_details", "thinking_blocks":
		return true
	}
	return false
}

// parts reads content: a string, or a list of parts. Empty text says nothing.
func (r *request) parts(v dialect.Value, message int) []dialect.Block {
	if v.String() {
		if len(v.Text()) == 0 {
			return nil
		}
		return []dialect.Block{{Kind: dialect.TextBlock, Text: v.Text(), At: -1}}
	}
	if !v.Array() {
		return nil
	}
	blocks := make([]dialect.Block, 0, 4)
	for i, part := range v.Items() {
		b := dialect.Block{At: i, Cache: cacheMark(part), Raw: part}
		switch kind := part.Get("type").Plain(); kind {
		case "text":
			b.Kind, b.Text = dialect.TextBlock, part.Get("text").Text()
			if len(b.Text) == 0 {
				continue
			}
		case "refusal":
			b.Kind, b.Text = dialect.RefusalBlock, part.Get("refusal").Text()
		case "image_url":
			r.image(&b, part.Get("image_url"), message)
		case "file":
			r.file(&b, part.Get("file"), message)
		case "input_audio":
			audio := part.Get("input_audio")
			b.Kind = dialect.AudioBlock
			b.Source = dialect.Source{Data: audio.Get("data").Text(), Media: "audio/" + audio.Get("format").Plain()}
		default:
			b.Kind = dialect.OpaqueBlock
			r.notes.Reject(dialect.Path("messages", message, "content", i, "type"), "is not a type of content: "+kind)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func (r *request) image(b *dialect.Block, v dialect.Value, message int) {
	b.Kind = dialect.ImageBlock
	url := v.Get("url").Text()
	if v.String() {
		url = v.Text()
	}
	if b.Source.Detail = v.Get("detail").Text(); len(b.Source.Detail) > 0 && string(b.Source.Detail) != "auto" {
		r.notes.Mention(dialect.Path("messages", message, "content", b.At, "image_url", "detail"), "the provider's format has no such setting")
	}
	media, data, isData := dataURL(url)
	switch {
	case !isData:
		b.Source.URL = url
	case data == nil:
		r.notes.Reject(dialect.Path("messages", message, "content", b.At, "image_url", "url"), "is a data URL without base64")
	case media == "application/pdf":
		b.Kind, b.Source.Media, b.Source.Data = dialect.DocumentBlock, media, data
	default:
		b.Source.Media, b.Source.Data = media, data
	}
}

func (r *request) file(b *dialect.Block, v dialect.Value, message int) {
	b.Kind = dialect.DocumentBlock
	b.Source.Title = v.Get("filename").Text()
	if id := v.Get("file_id"); id.String() {
		b.Source.FileID = id.Text()
		return
	}
	media, data, isData := dataURL(v.Get("file_data").Text())
	if !isData {
		media, data = "application/pdf", v.Get("file_data").Text()
	}
	if len(data) == 0 {
		r.notes.Reject(dialect.Path("messages", message, "content", b.At, "file", "file_data"), "holds no data")
	}
	b.Source.Media, b.Source.Data = media, data
}

// dataURL takes a data URL apart; data is nil when it is not base64.
func dataURL(url dialect.Text) (media string, data dialect.Text, ok bool) {
	if !bytes.HasPrefix(url, []byte("data:")) {
		return "", nil, false
	}
	if bytes.IndexByte(url, '\\') >= 0 {
		url = dialect.Text(url.Plain())
	}
	head, data, found := bytes.Cut(url[len("data:"):], []byte(","))
	if !found || !bytes.HasSuffix(bytes.ToLower(head), []byte(";base64")) {
		return "", nil, true
	}
	media, _, _ = cutString(strings.ToLower(string(head)))
	if media == "image/jpg" {
		media = "image/jpeg" // what many clients call it
	}
	return media, data, true
}

// cutString is the media type without its parameters.
func cutString(head string) (media, rest string, ok bool) {
	for i := range len(head) {
		if head[i] == ';' {
			return head[:i], head[i+1:], true
		}
	}
	return head, "", false
}

// assistant reads an assistant's turn in the order in which it was thought: reasoning, words, calls.
func (r *request) assistant(v dialect.Value, i int) []dialect.Block {
	blocks := r.reasoning(v)
	blocks = append(blocks, r.parts(v.Get("content"), i)...)
	if refusal := v.Get("refusal"); refusal.String() && len(refusal.Text()) > 0 {
		blocks = append(blocks, dialect.Block{Kind: dialect.RefusalBlock, Text: refusal.Text(), At: -1})
	}
	if v.Get("audio").Object() {
		r.notes.Degrade(dialect.Path("messages", i, "audio"), "the provider cannot hear former answers")
	}
	for j, call := range v.Get("tool_calls").Items() {
		b := dialect.Block{Kind: dialect.ToolUse, ID: call.Get("id").Text(), At: j}
		if custom := call.Get("custom"); custom.Object() {
			b.Name, b.Custom = custom.Get("name").Text(), true
			b.Input = append(dialect.AppendText([]byte(`{"input":`), custom.Get("input").Text()), '}')
		} else {
			f := call.Get("function")
			b.Name = f.Get("name").Text()
			b.Input = r.arguments(f.Get("arguments"), i, j)
		}
		blocks = append(blocks, b)
	}
	if f := v.Get("function_call"); f.Object() {
		r.open = r.legacyID()
		blocks = append(blocks, dialect.Block{Kind: dialect.ToolUse, ID: r.open, Name: f.Get("name").Text(), Input: r.arguments(f.Get("arguments"), i, -1), At: -1})
	}
	return blocks
}

// reasoning is what the client kept of the thinking: signed blocks, or else the bare text.
func (r *request) reasoning(v dialect.Value) (blocks []dialect.Block) {
	for _, item := range v.Get("thinking_blocks").Items() {
		r.WantsSignatures = true
		if data := item.Get("data"); data.String() {
			blocks = append(blocks, dialect.Block{Kind: dialect.RedactedBlock, Text: data.Text(), At: -1})
			continue
		}
		blocks = append(blocks, dialect.Block{Kind: dialect.ThinkingBlock, Text: item.Get("thinking").Text(), Signature: item.Get("signature").Text(), At: -1})
	}
	if blocks != nil {
		return blocks
	}
	for _, name := range [...]string{"reasoning_content", "reasoning"} {
		if text := v.Get(name).Text(); len(text) > 0 {
			return []dialect.Block{{Kind: dialect.ThinkingBlock, Text: text, At: -1}}
		}
	}
	return nil
}

// arguments are JSON in a string.
func (r *request) arguments(v dialect.Value, message, call int) dialect.Value {
	if v.Object() {
		return v
	}
	plain, ok := dialect.ParseValue([]byte(v.Plain()))
	if len(plain) == 0 || string(plain) == "null" {
		return dialect.Value(`{}`)
	}
	if !ok || !plain.Object() || !dialect.Valid(plain) {
		r.notes.Reject(dialect.Path("messages", message, "tool_calls", call, "function", "arguments"), "is not a JSON object")
	}
	return plain
}
