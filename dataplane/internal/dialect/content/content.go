// Package content tells what a request and its answer say, in the JSON that OpenTelemetry's conventions for generative AI have for it.
//
// What is told is bounded: of the conversation the newest is kept, of everything else the beginning. A text that does not fit is cut and says by how
// much. Of pictures, sound and documents only kind and size are told, of addresses nothing behind the path.
package content

import (
	"slices"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/route"
)

// Said is a request and its answer as bytes of the client's format. Either may be cut off at its end.
type Said struct {
	Format          dialect.Dialect
	Request, Answer []byte
	// Stream: the answer is the events of a stream, else one document.
	Stream bool
	// Bytes is about how long each text of a Told may be.
	Bytes int
}

// Told are documents in the forms of the conventions; what has nothing to say is empty.
type Told struct {
	Instructions, Input, Output, Tools string
	// Cut is how many bytes of what was said are not told. What is told in its place, or as a size, does not count.
	Cut int
}

// Tell makes the documents.
func Tell(s *Said) (t Told) {
	r := s.Format.DecodeRequest(mend(s.Request), &dialect.Notes{})
	messages := r.Messages
	if s.Format.Protocol() == route.OpenAI { // whose instructions are a part of the conversation
		if len(r.Instructions) > 0 {
			messages = slices.Insert(messages, 0, dialect.Message{Role: dialect.System, Blocks: r.Instructions})
		}
	} else {
		t.Instructions = t.list(s.Bytes, len(r.Instructions), false, func(p *page, i int) { p.part(&r.Instructions[i]) })
	}
	t.Input = t.list(s.Bytes, len(messages), true, func(p *page, i int) { p.message(&messages[i], s.Format.Protocol()) })
	t.Tools = t.list(s.Bytes, len(r.Tools), false, func(p *page, i int) { p.tool(&r.Tools[i]) })
	answers := s.Format.Answers(s.whole())
	t.Output = t.list(s.Bytes, len(answers), false, func(p *page, i int) { p.answer(s.Format, &answers[i]) })
	return t
}

// whole is the answer as one document; nil where it makes none.
func (s *Said) whole() dialect.Value {
	if len(s.Answer) == 0 {
		return nil
	}
	if !s.Stream {
		return mend(s.Answer)
	}
	folder := s.Format.Folder(false)
	var scanner dialect.Scanner
	var frame dialect.Frame
	scanner.Feed(s.Answer)
	for scanner.Next(&frame) {
		if frame.Data != nil {
			folder.Frame(&frame)
		}
	}
	body, broken := folder.Body(nil)
	if broken != nil {
		return nil
	}
	return body
}

// list writes n elements into an array of about that many bytes: from the first to the last as long as there is room, or newest, from the last to
// the first.
func (t *Told) list(bytes, n int, newest bool, write func(p *page, i int)) string {
	var elements [][]byte
	room := bytes
	for k := range n {
		i := k
		if newest {
			i = n - 1 - k
		}
		p := page{room: room}
		write(&p, i)
		t.Cut += p.cut
		if len(p.dst) == 0 {
			continue
		}
		elements = append(elements, p.dst)
		room -= len(p.dst)
	}
	if elements == nil {
		return ""
	}
	if newest {
		slices.Reverse(elements)
	}
	dst := []byte{'['}
	for _, e := range elements {
		dst = append(dialect.Item(dst), e...)
	}
	return string(append(dst, ']'))
}
