package dialect

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"

	"github.com/aimux/aimux/dataplane/internal/analyze"
)

// An answer that breaks behind plain text can go on at another provider: the second machine writes behind the first, with the first one's encoder,
// so that the client sees one message. Its request ends in the words that the client has; where the provider continues them, the two make one text.

// saidMax bounds the text that is kept of an answer that may have to go on elsewhere, in bytes.
const saidMax = 1 << 20

// voice is what the client has heard so far, as far as another answer can be written behind it.
type voice struct {
	kept   bool // what is said is kept, in case the answer breaks
	barred bool // something has been said that only its own provider can go on with
	said   Text
	// spent is what the answers before this one have used.
	spent Usage
	// behind: this answer is written behind another one's text. gap is the white space that the client has from there and the provider does
	// not know of; the answer's own goes into it.
	behind bool
	gap    string
	lead   Text
}

// say keeps text that the client gets.
func (v *voice) say(t Text) {
	if !v.kept || v.barred {
		return
	}
	if len(v.said)+len(t) > saidMax {
		v.said, v.barred = nil, true
		return
	}
	v.said = append(v.said, t...)
}

// heard keeps what the client gets of one event.
func (v *voice) heard(e *Event) {
	switch e.Kind {
	case TextPiece:
		v.say(e.Text)
	case ThoughtPiece:
		v.barred = v.barred || len(e.Text) > 0
	case RefusalPiece, Signature, Redacted, CallStart, Foreign, Citation, Finish:
		v.barred = true
	}
}

// Onward says whether another answer could be written behind this one, and how many bytes of text it would have to go on from.
func (m *machine) Onward() (bytes int, ok bool) {
	v := &m.voice
	if v.kept && !v.barred && !m.progress.Done {
		// A finish that waits for the usage is known to the decoder alone.
		for _, e := range m.decoder.End(nil) {
			v.barred = v.barred || e.Kind != TextPiece && e.Kind != BlockEnd && e.Kind != Failed
		}
	}
	return len(v.said), v.kept && !v.barred && !m.progress.Done
}

// follow makes m write behind an answer that broke off.
func (m *machine) follow(broken *machine) {
	m.pass, m.encoder, m.ids = false, broken.encoder, broken.ids
	m.voice = voice{kept: true, said: broken.voice.said, spent: broken.used(), behind: len(broken.voice.said) > 0}
	text := m.voice.said.Plain()
	m.voice.gap = text[len(trimEnd(text)):]
}

// used is what this answer, which broke off, and those before it have used, estimated where nothing has been reported.
func (m *machine) used() Usage {
	u := m.progress.Usage
	if !u.Reported && m.progress.Started {
		u.Input = m.promptTokens
	}
	u.Output = max(u.Output, m.progress.Tokens) // who breaks off has not counted to the end
	return u.plus(&m.voice.spent)
}

// plus is the sum of what two answers have used.
func (u Usage) plus(other *Usage) Usage {
	u.Input += other.Input
	u.Output += other.Output
	u.CacheRead += other.CacheRead
	u.CacheWrite += other.CacheWrite
	u.CacheWrite1h += other.CacheWrite1h
	u.Thinking += other.Thinking
	return u
}

// join takes the first text of an answer that is written behind another one's, and says whether any of it is due.
func (v *voice) join(t Text) (Text, bool) {
	if v.gap == "" {
		return t, true
	}
	t = append(v.lead, t...)
	words := trimStart(t)
	if len(words) == 0 {
		v.lead = t
		return nil, false
	}
	space := t[:len(t)-len(words)].Plain()
	gap := v.gap
	v.gap, v.lead = "", nil
	if more, ok := strings.CutPrefix(space, gap); ok && more != "" {
		return append(Quote(more), words...), true
	}
	return words, true
}

// trimEnd leaves out white space at the end, which providers refuse to go on from.
func trimEnd(text string) string { return strings.TrimRightFunc(text, unicode.IsSpace) }

// trimStart leaves out white space at the beginning.
func trimStart(t Text) Text {
	for len(t) > 0 {
		switch {
		case t[0] == ' ':
			t = t[1:]
		case len(t) > 1 && t[0] == '\\' && (t[1] == 'n' || t[1] == 't' || t[1] == 'r'):
			t = t[2:]
		default:
			return t
		}
	}
	return t
}

// goOnward makes c the request for an answer that is written behind a broken one.
func (c *Call) goOnward(broken *machine) {
	c.Body = onwardBody(c, broken.voice.said, broken.used().Output)
	if c.Found != nil {
		found := *c.Found
		found.Members = analyze.Members{} // they stand elsewhere now
		c.Found = &found
	}
}

// onwardBody is the client's request, ending in the words that the client has. What was said counts against the answer's limit. The model does not
// think again: providers refuse to go on from words and to think at once.
func onwardBody(c *Call, said Text, tokens int) []byte {
	p := NewPatcher(Value(c.Body), c.Found, &Notes{})
	for _, name := range [...]string{"max_tokens", "max_completion_tokens"} {
		if n, ok := p.Get(name).Int(); ok {
			p.Set(name, strconv.AppendInt(nil, int64(max(n-tokens, 1)), 10))
		}
	}
	for _, name := range [...]string{"thinking", "reasoning_effort"} {
		p.Drop(name)
	}
	text := Quote(trimEnd(said.Plain()))
	var last Value
	for _, message := range p.Get("messages").Items() {
		last = message
	}
	content := last.Get("content")
	switch {
	case len(text) == 0 || last == nil:
	case last.Get("role").Plain() != "assistant":
		turn := append(bytes.Clone(last), `,{"role":"assistant"`...)
		p.Replace(last, append(TextField(turn, "content", text), '}'))
	case content.String():
		p.Replace(content, AppendText(nil, append(bytes.Clone(content.Text()), text...)))
	case content.Array():
		parts := bytes.Clone(bytes.TrimSpace(content[:len(content)-1]))
		p.Replace(content, append(TextField(append(Item(parts), `{"type":"text"`...), "text", text), "}]"...))
	}
	return p.Apply(nil)
}
