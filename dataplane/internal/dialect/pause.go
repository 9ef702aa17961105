package dialect

import (
	"bytes"

	"github.com/aimux/aimux/shared/fault"
)

// A provider that runs tools itself may pause in the middle of a turn, and wants to be asked to go on. A client whose format has no word for
// that gets the turn as one answer: the provider is asked for the rest, with what has come so far at the end of the request.

// The bounds of it: how often one answer may pause, and how much of it is kept to be sent back.
const (
	pausesMax = 8
	pausedMax = 8 << 20
)

// Resumer is a dialect whose providers pause.
type Resumer interface {
	// Resume appends the request for the rest of an answer, which has come for the request sent; false if there is nothing to go on from.
	Resume(dst, sent, answer []byte) ([]byte, bool)
}

// pause is what is kept of an answer in case it pauses.
type pause struct {
	resumer Resumer // nil where the client is told of a pause
	stream  []byte  // so far
	count   int
	due     bool // the provider's finish was a pause, and it will be asked for more
	spent   Usage
}

// keep keeps a part of the stream.
func (p *pause) keep(raw []byte) {
	switch {
	case p.resumer == nil:
	case len(p.stream)+len(raw) > pausedMax:
		p.resumer, p.stream = nil, nil
	default:
		p.stream = append(p.stream, raw...)
	}
}

// resumable reports a finish that is none.
func (p *pause) resumable(e *Event) bool {
	return e.Kind == Finish && e.Stop == StopPause && p.resumer != nil && p.count < pausesMax
}

// Resume appends the request for the rest of an answer that has paused, and gets ready to read it.
func (m *machine) Resume(dst, sent []byte) ([]byte, bool) {
	p := &m.pause
	answer := m.whole
	if m.sniffed == isStream {
		answer = p.answer(m.server)
	}
	dst, ok := p.resumer.Resume(dst, sent, answer)
	if !ok {
		m.fail(&fault.Fault{Kind: fault.Garbage, Message: "the answer paused before it said anything"})
		return dst, false
	}
	p.count++
	p.due, p.stream, p.spent = false, p.stream[:0], m.progress.Usage
	m.decoder, m.scanner, m.sniffed, m.whole = m.server.Decoder(m.sheet), Scanner{}, unknownYet, nil
	m.progress.Paused, m.over = false, false
	return dst, true
}

// answer is the stream so far as a whole answer.
func (p *pause) answer(server Dialect) []byte {
	folder := server.Folder(false)
	var s Scanner
	var f Frame
	s.Feed(bytes.Clone(p.stream))
	for s.Next(&f) {
		if f.Data != nil {
			folder.Frame(&f)
		}
	}
	if s.End(&f) && f.Data != nil {
		folder.Frame(&f)
	}
	answer, broken := folder.Body(nil)
	if broken != nil {
		return nil
	}
	return answer
}
