package dialect

import (
	"bytes"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/provider"
)

// WholeMax is the longest answer that is no stream, in bytes.
const WholeMax = 64 << 20

// streamMax is the longest stream that is not just passed on, in bytes.
const streamMax = 256 << 20

// machine is the Reply. What comes is read by the decoder of the provider's format. If the client speaks the same format the bytes pass
// and the events are only watched; otherwise they go through the filters to the encoder of the client's format. For a plain client
// what would be its stream is folded into one body at the end.
type machine struct {
	t              *Translator
	client, server Dialect
	sheet          *provider.Sheet
	who, provider  string
	requestID      string
	promptTokens   int // as analysis estimates them
	pass, toStream bool
	named          bool
	dropUsage      bool

	decoder  Decoder
	encoder  Encoder
	folder   Folder
	scanner  Scanner
	refold   Scanner
	current  Frame // here, because what is behind an interface escapes
	own      Event
	events   []Event
	scratch  []byte
	whole    []byte // an answer that is no stream and has to be changed; one that passes is kept where it goes to
	expected int    // bytes of the answer; 0 where that is not known
	fed      int    // bytes of the stream so far
	sniffed  sniff
	progress Progress
	over     bool
	held     []byte // the provider's own error event, as it came

	names    Names
	stops    stopper
	voice    voice
	pause    pause
	notes    *Notes
	told     int   // warnings that the client has been told, or will be by the head of its answer
	seal     *seal // nil where the client gets the provider's own format, with the provider's own signatures or none
	sealing  bool
	thoughts thoughtLog
	ids      []Text // of the calls so far
}

type sniff uint8

const (
	unknownYet sniff = iota
	isStream
	isWhole
)

// begin readies the machine once it is known how the request went out.
func (m *machine) begin(shape *Shape, c *Call) {
	m.decoder = m.server.Decoder(m.sheet)
	m.encoder = m.client.Encoder(shape)
	m.voice.kept = c.Keep && m.toStream
	if broken, ok := c.Behind.(*machine); ok {
		m.follow(broken)
	}
	if !m.toStream {
		m.folder = m.client.Folder(!m.pass)
	}
	m.progress.PlainText = true
	if m.client.Protocol() != m.server.Protocol() {
		m.seal = newSeal(&m.t.key, m.who)
		m.pause.resumer, _ = m.server.(Resumer)
	}
}

// Expect makes room for an answer of n bytes when it comes.
func (m *machine) Expect(n int) { m.expected = min(max(n, 0), WholeMax) }

// Feed takes the next bytes.
func (m *machine) Feed(dst, src []byte) []byte {
	if m.sniffed == unknownYet {
		src = m.sniff(src)
	}
	switch {
	case m.sniffed != isWhole:
	case m.passesWhole():
		return m.keepWhole(dst, src)
	default:
		m.whole = m.keepWhole(m.whole, src)
		return dst
	}
	if m.fed += len(src); m.fed > streamMax && (!m.pass || m.folder != nil) {
		m.fail(&fault.Fault{Kind: fault.Garbage, Message: "the stream is longer than 256 MiB"})
		return dst
	}
	m.scanner.Feed(src)
	for m.scanner.Next(&m.current) {
		dst = m.frame(dst, &m.current)
	}
	if m.scanner.TooLong() {
		m.fail(&fault.Fault{Kind: fault.Garbage, Message: "an event of the stream is longer than 32 MiB"})
	}
	return dst
}

// sniff decides by the first byte that counts whether a stream comes or one document: providers answer with an error document, or
// with a plain answer, where a stream was asked for.
func (m *machine) sniff(src []byte) []byte {
	for i, c := range src {
		switch c {
		case ' ', '\t', '\r', '\n', 0xEF, 0xBB, 0xBF:
			continue
		case '{', '[', '<':
			m.sniffed = isWhole
			return src[i:]
		}
		m.sniffed = isStream
		break
	}
	return src
}

// passesWhole reports that an answer that is no stream goes to the client as it came.
func (m *machine) passesWhole() bool { return m.pass && !m.toStream }

// keepWhole keeps what has come of an answer that is no stream behind what is there. Room is made once where its length is known, else doubled:
// a quarter more each time, as append makes of large ones, would copy it five times.
func (m *machine) keepWhole(kept, src []byte) []byte {
	switch size := len(kept) + len(src); {
	case m.over:
		return kept
	case size > WholeMax:
		m.fail(&fault.Fault{Kind: fault.Garbage, Message: "the answer is longer than 64 MiB"})
		return nil
	case size > cap(kept):
		kept = append(make([]byte, 0, max(size, m.expected, 2*cap(kept))), kept...)
	}
	return append(kept, src...)
}

// frame takes one event of the provider's stream.
func (m *machine) frame(dst []byte, f *Frame) []byte {
	if m.progress.Fault.Kind != fault.None {
		return dst
	}
	if m.over {
		if m.pass && m.toStream {
			dst = append(dst, f.Raw...)
		}
		return dst
	}
	if f.Data == nil {
		if m.pass && m.toStream {
			dst = append(dst, f.Raw...)
		}
		return dst
	}
	m.pause.keep(f.Raw)
	m.events = m.decoder.Event(m.events[:0], f)
	if !m.pass {
		return m.emitAll(dst)
	}
	for i := range m.events {
		m.watch(&m.events[i])
	}
	switch {
	case m.progress.Fault.Kind != fault.None:
		m.held = append(m.held[:0], f.Raw...)
	case m.folder != nil:
		m.folder.Frame(f)
	case m.dropUsage && m.server.UsageOnly(f):
	default:
		if m.voice.kept && !m.voice.barred {
			text, plain := m.encoder.Passed(f)
			m.voice.say(text)
			m.voice.barred = m.voice.barred || !plain
		}
		dst = append(dst, f.Raw...)
	}
	return dst
}

// watch keeps Progress.
func (m *machine) watch(e *Event) {
	p := &m.progress
	if e.Kind != Failed {
		p.Started = true
	}
	switch e.Kind {
	case Started:
		if m.named {
			p.ID, p.Model = e.ID.Plain(), e.Name.Plain()
		}
	case UsageNow, Failed:
	case ThoughtStart, BlockEnd:
		p.Opened = true
	default:
		p.Opened = true
		p.Spoken = p.Spoken || len(e.Text) > 0 || e.Kind != TextPiece && e.Kind != ThoughtPiece
	}
	if e.moves() {
		p.Moves++
		p.Hidden = e.hides()
	}
	switch e.Kind {
	case TextPiece:
		p.Tokens++
	case ThoughtPiece, RefusalPiece, CallPiece:
		p.Tokens++
		p.PlainText = false
	case CallStart, Redacted, Citation, Foreign:
		p.PlainText = false
	case Signature:
		p.PlainText = false
		if m.pass {
			m.t.signers.put(memoryKey(e.Text), m.who)
		}
	case UsageNow:
		p.Usage = e.Usage
	case Finish:
		p.StopReason = string(e.Name)
		if !m.pass && (e.Stop == StopUnknown || e.Stop == StopPause) {
			m.lose("stop_reason", "the client's format has no "+Clean(e.Name.Plain()))
		}
	case Ended:
		p.Done = true
		m.over = true
	case Failed:
		m.fail(e.Fault)
	}
}

// lose notes what the client does not get of the answer.
func (m *machine) lose(path, reason string) {
	m.notes.Mention(path, reason)
	m.progress.Warnings, m.progress.WarningsDropped = m.notes.Warnings, m.notes.Dropped
}

// tell says in a stream, as a comment, what has been lost since its head: a comment is the one thing that every client passes over.
func (m *machine) tell(dst []byte) []byte {
	for ; m.toStream && m.told < len(m.progress.Warnings); m.told++ {
		w := &m.progress.Warnings[m.told]
		dst = append(append(append(append(append(dst, ": warning "...), w.Path...), ": "...), w.Reason...), "\n\n"...)
	}
	return dst
}

func (m *machine) fail(f *fault.Fault) {
	m.over = true
	if m.progress.Fault.Kind == fault.None && !m.progress.Done {
		m.progress.Fault = *f
		m.progress.Fault.Sent = true
	}
}

// emitAll takes the decoded events through the filters to the client.
func (m *machine) emitAll(dst []byte) []byte {
	for i := range m.events {
		if m.over {
			break
		}
		dst = m.filter(dst, &m.events[i])
	}
	return dst
}

// emit watches and writes one event that has passed the filters.
func (m *machine) emit(dst []byte, e *Event) []byte {
	m.watch(e)
	switch e.Kind {
	case Foreign: // said for Progress alone
		m.voice.barred = true
		return dst
	case Failed, ThoughtStart:
		return dst
	}
	m.voice.heard(e)
	if e.Kind == UsageNow && m.voice.behind {
		e = &Event{Kind: UsageNow, Usage: e.Usage.plus(&m.voice.spent)}
	}
	if m.folder == nil {
		dst = m.tell(dst) // before the event, which may be the last
		return m.tell(m.encoder.Event(dst, e))
	}
	m.scratch = m.encoder.Event(m.scratch[:0], e)
	m.refold.Feed(m.scratch)
	var f Frame
	for m.refold.Next(&f) {
		if f.Data != nil {
			m.folder.Frame(&f)
		}
	}
	return dst
}

// Close takes the end of the answer.
func (m *machine) Close(dst []byte) []byte {
	if m.sniffed == isWhole {
		return m.closeWhole(dst)
	}
	var f Frame
	if m.scanner.End(&f) {
		was := len(dst)
		dst = m.frame(dst, &f)
		if len(dst) > was && f.Data != nil {
			dst = append(dst, '\n') // the blank line that was missing
			if c := f.Raw[len(f.Raw)-1]; c != '\n' && c != '\r' {
				dst = append(dst, '\n')
			}
		}
	}
	if !m.over {
		m.events = m.decoder.End(m.events[:0])
		if m.pass {
			for i := range m.events {
				m.watch(&m.events[i])
			}
		} else {
			dst = m.emitAll(dst)
		}
	}
	if !m.over {
		m.fail(&fault.Fault{Kind: fault.Truncated, Message: "the stream ended before its end"})
	}
	if m.folder != nil && m.progress.Done {
		dst = m.fold(dst)
	}
	return dst
}

// fold appends the one body that a plain client gets.
func (m *machine) fold(dst []byte) []byte {
	dst, f := m.folder.Body(dst)
	if f != nil {
		m.progress.Done = false
		m.fail(f)
	}
	return dst
}

// closeWhole reads an answer that came as one document.
func (m *machine) closeWhole(dst []byte) []byte {
	if !m.passesWhole() {
		return m.convert(dst)
	}
	m.readWhole(dst)
	for i := range m.events {
		m.watch(&m.events[i])
	}
	if m.incomplete() {
		return dst[:0] // a plain client gets all of it or nothing
	}
	return dst
}

// convert makes of an answer that came as one document what the client gets.
func (m *machine) convert(dst []byte) []byte {
	m.readWhole(m.whole)
	m.pass = false // where a stream is due, its own bytes are none
	dst = m.emitAll(dst)
	if !m.progress.Paused {
		m.whole, m.scratch, m.events = nil, nil, nil // of a large answer each is a copy
	}
	if m.incomplete() || m.toStream {
		return dst
	}
	return m.fold(dst)
}

// readWhole makes events of a document; none if it is no answer.
func (m *machine) readWhole(whole []byte) {
	m.events = m.events[:0]
	if m.over {
		return
	}
	body, ok := valid(whole)
	if !ok {
		m.fail(&fault.Fault{Kind: fault.Garbage, Message: "the answer is not JSON: " + Clean(string(whole[:min(len(whole), 200)]))})
		return
	}
	if f, bad := errorIn200(m.sheet, body); bad {
		m.fail(&f)
		return
	}
	m.events = m.decoder.Whole(m.events, body)
}

// incomplete reports that what was read of a document is no whole answer, and makes it a failure.
func (m *machine) incomplete() bool {
	if !m.over {
		m.fail(&fault.Fault{Kind: fault.Garbage, Message: "the answer holds no complete message"})
	}
	return !m.progress.Done
}

// Abort ends a stream with an error. A plain answer has not begun, so there is nothing to end.
func (m *machine) Abort(dst []byte, f *fault.Fault) []byte {
	m.over = true
	if !m.toStream {
		return dst
	}
	// Garbage is no event of anybody's: what came must not pass.
	if len(m.held) > 0 && f.Kind == m.progress.Fault.Kind && f.Kind != fault.Garbage {
		if !bytes.HasSuffix(m.held, []byte("\n\n")) {
			m.held = append(m.held, '\n', '\n')
		}
		return append(dst, m.held...)
	}
	return m.encoder.Abort(dst, &ErrorDoc{
		Status: m.client.ClientStatus(f.Kind), Kind: f.Kind, Message: f.Message, Param: f.Param, RequestID: m.requestID,
	})
}

// Ping keeps the connection alive.
func (m *machine) Ping(dst []byte) []byte {
	if !m.toStream {
		return dst
	}
	if !m.progress.Spoken { // nothing of the answer is with the client, so none of its format's own events may be
		return append(dst, ": ping\n\n"...)
	}
	return m.encoder.Ping(dst)
}

// Progress so far.
func (m *machine) Progress() *Progress { return &m.progress }

// ContentType of what is produced.
func (m *machine) ContentType() string {
	if m.toStream {
		return "text/event-stream"
	}
	return "application/json"
}
