package dialect

import "github.com/aimux/aimux/shared/fault"

// EventKind is what an Event says.
type EventKind uint8

// The kinds, in the order in which an answer has them. Blocks may interleave; Key says which call a piece belongs to.
const (
	Started      EventKind = iota + 1 // the answer begins: ID, Model
	TextPiece                         // Text
	ThoughtPiece                      // Text of reasoning
	Signature                         // Text that signs the reasoning before it
	Redacted                          // Text: a whole block of unreadable reasoning
	RefusalPiece                      // Text of a refusal
	BlockEnd                          // the text or the reasoning so far is a whole
	CallStart                         // Key, ID, Name, Custom
	CallPiece                         // Key, Text: more of the arguments
	CallEnd                           // Key
	Citation                          // Raw, of a web page: Text is the title, Name the address
	UsageNow                          // Usage so far, whole
	Finish                            // Stop, Text: the stop sequence or the explanation, Name: the provider's word
	Ended                             // the answer is complete and correct
	Failed                            // Fault: the provider's words or garbage ended the answer
	ThoughtStart                      // reasoning begins; it may be that no word of it is shown
	Foreign                           // a block that no other format has begins
)

// StopKind is why an answer ended.
type StopKind uint8

// The reasons.
const (
	StopUnknown StopKind = iota
	StopEnd
	StopLength
	StopTool
	StopSequence
	StopRefusal
	StopContext
	StopPause
)

// Event is one step of an answer, in no format. Its slices are valid until the decoder's next call.
type Event struct {
	Kind     EventKind
	Stop     StopKind
	Custom   bool
	Key      int
	ID, Name Text
	Text     Text
	Usage    Usage
	Fault    *fault.Fault
}

// moves reports an event that brings the answer on.
func (e *Event) moves() bool {
	switch e.Kind {
	case UsageNow, Failed:
		return false
	case TextPiece, ThoughtPiece, RefusalPiece, CallPiece:
		return len(e.Text) > 0
	}
	return true
}

// hides reports an event after which a provider may work for minutes without showing any of it.
func (e *Event) hides() bool {
	switch e.Kind {
	case ThoughtStart, CallStart, CallPiece, Foreign:
		return true
	}
	return false
}

// Total is every token of the prompt, cached or not.
func (u *Usage) Total() int { return u.Input + u.CacheRead + u.CacheWrite }

// Decoder reads one answer of a provider and says what it means. One goroutine at a time.
type Decoder interface {
	// Event reads one event of a stream and appends what it says. What it does not know says nothing.
	Event(events []Event, f *Frame) []Event
	// End is told that the stream ended in order; it appends Ended or Failed if none of them has come.
	End(events []Event) []Event
	// Whole reads an answer that is no stream and appends the same events that a stream would have given.
	Whole(events []Event, body []byte) []Event
}

// Encoder writes one answer for a client, as a stream. One goroutine at a time.
type Encoder interface {
	// Event appends what the client is to get for e.
	Event(dst []byte, e *Event) []byte
	// Passed is told of an event of its own format that the client got without it, so that it can write behind it. It returns the text in it;
	// plain is false for anything that another provider could not go on from.
	Passed(f *Frame) (text Text, plain bool)
	// Ping appends a keep-alive.
	Ping(dst []byte) []byte
	// Abort appends the error that ends a stream.
	Abort(dst []byte, e *ErrorDoc) []byte
}

// Folder makes of a stream in one format the answer that a plain request gets in that format.
type Folder interface {
	// Frame takes one event of the stream.
	Frame(f *Frame)
	// Body appends the whole answer. A fault says that there is none: what came makes no sense as a whole.
	Body(dst []byte) ([]byte, *fault.Fault)
}

// Shape is what an encoder has to know of the client that it writes for.
type Shape struct {
	Model     string
	RequestID string
	// CreatedUnix is the time of the answer in seconds, for formats that carry one.
	CreatedUnix int64
	// Usage: the client asked for the usage at the end of a stream.
	Usage bool
	// Signatures: the client can carry thinking and its signatures back.
	Signatures bool
	// Legacy: the client knows functions instead of tools.
	Legacy bool
	// HideThinking: only signatures are shown.
	HideThinking bool
	// Lost is told what of the answer the client's format has no place for.
	Lost func(path, reason string)
}
