package dialect

import (
	"bytes"
	"slices"
	"strings"

	"github.com/aimux/aimux/shared/route"
)

// filter takes one event of the provider on its way to the client: stop sequences that the provider does not know, signatures for
// thinking that has none, the client's own names for its tools, ids that are valid and unique, and the memory of what was thought
// before a call.
func (m *machine) filter(dst []byte, e *Event) []byte {
	switch e.Kind {
	case ThoughtStart, ThoughtPiece, Signature, Redacted:
		if m.voice.behind {
			return dst // it would stand in the middle of a text
		}
	case TextPiece:
		text, due := m.voice.join(e.Text)
		if !due {
			return dst
		}
		e.Text = text
		if m.stops.active() {
			return m.stopText(dst, e)
		}
		return m.filterText(dst, e.Text)
	}
	switch e.Kind {
	case ThoughtPiece:
		dst = m.flushStops(dst)
		if m.seal != nil {
			m.sealing = true
			m.seal.add(e.Text)
		}
		m.thoughts.add(e.Text)
		return m.emit(dst, e)
	case Signature:
		if m.sealing {
			m.sealing = false
			m.seal.reset()
		}
		m.thoughts.sign(e.Text)
		return m.emit(dst, e)
	case UsageNow:
		if m.pause.count > 0 {
			e.Usage = e.Usage.plus(&m.pause.spent)
		}
		return m.emit(dst, e)
	case Started:
		return m.emit(dst, e)
	}
	dst = m.flushStops(m.endThought(dst))
	switch {
	case m.progress.Spoken && m.pause.resumable(e):
		m.pause.due = true
		return dst
	case e.Kind == Ended && m.pause.due:
		m.progress.Paused, m.over = true, true
		return dst
	}
	switch e.Kind {
	case Redacted:
		m.thoughts.redacted(e.Text)
	case CallStart:
		e.Name = m.names.Client(e.Name)
		e.Custom = m.names.Custom(e.Name)
		e.ID = m.callID(e.ID)
		m.remember(e.ID)
	case Finish:
		if !m.progress.Usage.Reported {
			// An estimate is better than nothing: agents judge by it when their context is full.
			dst = m.emit(dst, &Event{Kind: UsageNow, Usage: Usage{Input: m.promptTokens, Output: m.progress.Tokens}})
		}
	}
	return m.emit(dst, e)
}

// endThought signs the thinking so far, if its provider has not.
func (m *machine) endThought(dst []byte) []byte {
	if !m.sealing {
		return dst
	}
	m.sealing = false
	sum := m.seal.sum()
	m.thoughts.sign(sum)
	return m.emit(dst, &Event{Kind: Signature, Text: sum})
}

// callID is an id that every client takes and that no other call of this answer has.
func (m *machine) callID(id Text) Text {
	const idMax = 64
	if len(id) > 0 {
		id = CleanID(id, idMax)
	}
	for _, taken := range m.ids {
		if bytes.Equal(taken, id) {
			id = nil
			break
		}
	}
	if len(id) == 0 {
		id = MintID("call_", m.requestID, len(m.ids))
		if m.client.Protocol() == route.Anthropic {
			id = MintID("toolu_", m.requestID, len(m.ids))
		}
	}
	m.ids = append(m.ids, bytes.Clone(id))
	return id
}

// remember keeps the thinking of this answer under the call's id. Short ids come again in other conversations, so they are not keys.
func (m *machine) remember(id Text) {
	const idMin = 16
	if len(id) < idMin || len(m.thoughts.blocks) == 0 || m.thoughts.size > thoughtMax {
		return
	}
	m.t.thoughts.put(memoryKey([]byte(m.who), id), m.thoughts.blocks)
}

// thoughtLog collects the thinking of one answer, signed.
type thoughtLog struct {
	blocks []Block
	text   []byte
	size   int
}

func (l *thoughtLog) add(t Text) {
	if l.size += len(t); l.size <= thoughtMax {
		l.text = append(l.text, t...)
	}
}

func (l *thoughtLog) sign(signature Text) {
	l.blocks = append(slices.Clip(l.blocks), Block{Kind: ThinkingBlock, Text: bytes.Clone(l.text), Signature: bytes.Clone(signature)})
	l.size += len(signature)
	l.text = l.text[:0]
}

func (l *thoughtLog) redacted(data Text) {
	if l.size += len(data); l.size <= thoughtMax {
		l.blocks = append(slices.Clip(l.blocks), Block{Kind: RedactedBlock, Text: bytes.Clone(data)})
	}
}

// stopper finds stop sequences in text that comes in pieces. Text that may be the beginning of one is held back.
type stopper struct {
	stops []string
	text  []byte // plain text held back
	hit   bool
}

func (s *stopper) want(stops []Text) {
	for _, stop := range stops {
		if plain := stop.Plain(); plain != "" {
			s.stops = append(s.stops, plain)
		}
	}
}

func (s *stopper) active() bool { return len(s.stops) > 0 }

// find is the first stop sequence in the held text and where it begins.
func (s *stopper) find() (at int, stop string) {
	at = -1
	for _, candidate := range s.stops {
		i := bytes.Index(s.text, []byte(candidate))
		if i >= 0 && (at < 0 || i < at || i == at && len(candidate) > len(stop)) {
			at, stop = i, candidate
		}
	}
	return at, stop
}

// free is how much of the held text can be no part of a stop sequence.
func (s *stopper) free() int {
	hold := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(s.text)); n > hold; n-- {
			if strings.HasPrefix(stop, string(s.text[len(s.text)-n:])) {
				hold = n
				break
			}
		}
	}
	return len(s.text) - hold
}

func (m *machine) stopText(dst []byte, e *Event) []byte {
	s := &m.stops
	s.text = e.Text.AppendPlain(s.text)
	at, stop := s.find()
	if at < 0 {
		if free := s.free(); free > 0 {
			piece := appendEscaped(nil, s.text[:free])
			s.text = append(s.text[:0], s.text[free:]...)
			return m.filterText(dst, piece)
		}
		return dst
	}
	s.hit = true
	if at > 0 {
		dst = m.filterText(dst, appendEscaped(nil, s.text[:at]))
	}
	s.text, s.stops = nil, nil
	word := Quote(stop)
	dst = m.filter(dst, &Event{Kind: Finish, Stop: StopSequence, Text: word, Name: Text("stop_sequence")})
	return m.filter(dst, &Event{Kind: Ended})
}

// filterText sends text on that has been looked through.
func (m *machine) filterText(dst []byte, t Text) []byte {
	m.own = Event{Kind: TextPiece, Text: t}
	return m.emit(m.endThought(dst), &m.own)
}

// flushStops sends the held text, because what comes is no text.
func (m *machine) flushStops(dst []byte) []byte {
	if len(m.stops.text) == 0 {
		return dst
	}
	piece := appendEscaped(nil, m.stops.text)
	m.stops.text = m.stops.text[:0]
	return m.filterText(dst, piece)
}
