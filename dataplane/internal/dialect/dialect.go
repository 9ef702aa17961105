// Package dialect is the neutral middle between wire formats: one request, one stream of events, one usage, and the interface that every format fulfils.
package dialect

import (
	"slices"
	"strings"
	"time"

	"github.com/aimux/aimux/dataplane/internal/analyze"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

// Call is one attempt's translation: the client's request as it came, and the target it goes to.
type Call struct {
	Client route.Protocol
	// Body as the client sent it; never written to.
	Body  []byte
	Found *analyze.Result
	// Target is who will answer.
	Target Target
	// StreamUpstream asks the provider for a stream even if the client did not ask for one.
	StreamUpstream bool
	// Keep says that the answer may have to go on elsewhere if it breaks, so that its text is kept.
	Keep bool
	// Behind is the answer that broke off behind text that the client has: this one goes on with it, and the two are one answer to the client. nil
	// for a request as it came. Its Onward has said that this is possible.
	Behind Reply
	// Named asks for Progress's ID and Model.
	Named bool
	// StripThinking drops every thinking block of the history: the second try after fault.Unsignable.
	StripThinking bool
	// RequestID names the request; message ids are derived from it.
	RequestID string
	// Now is the time of the answer, for formats that carry one.
	Now time.Time
}

// Target is a provider's model as translation sees it.
type Target struct {
	Provider string
	Sheet    *provider.Sheet
	Protocol route.Protocol
	Model    string
	Has      route.Capability
	Unknown  route.Capability
	// MaxOutputTokens of the model; 0 means unknown.
	MaxOutputTokens int
	Efforts         []string
	// Strict turns what would be degraded into a refusal.
	Strict bool
	// Refused lists field paths that this provider has been seen to refuse; they are left out and reported.
	Refused []string
	// APIVersion and Beta are the client's anthropic-version and anthropic-beta.
	APIVersion string
	Beta       string
}

// Warning says what could not be carried: shown in x-aimux-warnings.
type Warning struct {
	Path   string
	Reason string
}

// Usage is what a provider reported. Input excludes what was read from or written to a cache.
type Usage struct {
	Input, Output         int
	CacheRead, CacheWrite int
	CacheWrite1h          int
	Thinking              int
	// Reported is false as long as no usage has come.
	Reported bool
}

// Progress is what a Reply knows so far; read by the proxy after every Feed.
type Progress struct {
	// Started: a real event has come; it may be no more than that an answer begins.
	Started bool
	// Opened: the first token is there, though it may be one that is not shown.
	Opened bool
	// Spoken: what the client waits for has come, text, reasoning, a call or a proper end, so its 200 may be committed.
	Spoken bool
	// Paused: the provider waits to be asked for the rest, by Resume.
	Paused bool
	// Done: the provider's answer is complete and correct.
	Done bool
	// Fault is set when the provider's own words ended the answer: an error event, an error in a 200, garbage.
	Fault fault.Fault
	Usage Usage
	// Moves is how many events have brought the answer on. Pings, empty pieces and usage do not: they say that the provider is alive.
	Moves int
	// Hidden: what is under way may be shown only when it is whole, as reasoning, a call's arguments and the work of a provider's own tool are; how it
	// gets on cannot be seen.
	Hidden bool
	// Tokens is how many pieces of output have come: the base of an estimate when no usage ever comes.
	Tokens int
	// PlainText: nothing but text has been sent, so a continuation elsewhere is possible.
	PlainText bool
	// ID and Model are the provider's own names for the answer and for who gave it; empty unless the Call asked for them.
	ID, Model string
	// StopReason as the provider gave it.
	StopReason string
	// Warnings so far: of the request, and of the answer as it comes. WarningsDropped counts those that did not fit.
	Warnings        []Warning
	WarningsDropped int
}

// Reader reads one wire format. Safe for concurrent use.
type Reader interface {
	// DecodeRequest reads a client's request. What the neutral request has no place for is in Extra.
	DecodeRequest(body []byte, notes *Notes) *Request
	// Decoder reads the answer of a provider that has that sheet.
	Decoder(sheet *provider.Sheet) Decoder
	// Folder collects a stream of this format: a provider's own, or one that an Encoder has written.
	Folder(encoded bool) Folder
	// Answers are what a whole body of this format answers, a choice each.
	Answers(body Value) []Answer
	// UsageOnly reports an event that holds nothing but the usage, and is only sent to who asked for it.
	UsageOnly(f *Frame) bool
}

// Dialect is one wire format, both ways. It knows no other. Safe for concurrent use.
type Dialect interface {
	Reader
	Protocol() route.Protocol
	// EncodeRequest appends the request as the target is to get it.
	EncodeRequest(dst []byte, r *Request, out *Outbound) []byte
	// Encoder writes an answer for a client.
	Encoder(shape *Shape) Encoder
	// EncodeError appends an error document.
	EncodeError(dst []byte, e *ErrorDoc) []byte
	// ClientStatus is the HTTP status that a client of this format understands best.
	ClientStatus(kind fault.Kind) int
	// Patch says what has to change in a client's body that passes to a provider of the same format.
	Patch(p *Patcher, c *Call)
}

// Answer is one of the choices of an answer.
type Answer struct {
	// Message as a request of the format could hold it.
	Message Value
	// Stop is why it ended, Word how the format says so; unknown and empty where it has no end.
	Stop StopKind
	Word Text
}

// Outbound is everything that an encoder of requests has to know of where the request goes.
type Outbound struct {
	Target *Target
	// Names maps the tools' names to ones that the target takes.
	Names *Names
	Notes *Notes
	// Stream asks the provider for a stream.
	Stream bool
	// Provenance decides which thinking may go to the target.
	Provenance *Provenance
	// Model of the target's sheet, or nil.
	Model *provider.Model
	// Replayed is set by an encoder that has given reasoning back.
	Replayed bool
}

// Lacks reports a capability that the target is known not to have.
func (t *Target) Lacks(c route.Capability) bool { return t.Has&c == 0 && t.Unknown&c == 0 }

// refusals are all fields that the target refuses: by its sheet, as far as that holds on its wire, as its caller says, and as learnt.
func (t *Target) refusals(learned []string) []string {
	list := learned
	for _, field := range t.Sheet.Refuses {
		wire, rest, found := strings.Cut(field, ":")
		switch {
		case !found:
			list = append(list, field)
		case wire == t.Protocol.String():
			list = append(list, rest)
		}
	}
	return append(list, t.Refused...)
}

// Takes reports whether the provider is known to take a field beyond its format's standard.
func (o *Outbound) Takes(field string) bool { return slices.Contains(o.Target.Sheet.Takes, field) }

// Refuses reports a field that the provider is known, or has been seen, to refuse.
func (o *Outbound) Refuses(field string) bool {
	return slices.Contains(o.Target.Refused, field)
}

// Ignores reports a field that the provider takes and does not obey.
func (o *Outbound) Ignores(field string) bool { return slices.Contains(o.Target.Sheet.Ignores, field) }

// Reply turns what a provider sends into what the client gets. It is a pure machine: bytes in, bytes out; any split of the input
// gives the same output. One goroutine at a time.
//
// A Reply for a streaming client produces SSE bytes as they become due; one for a plain client produces one body, all of it in one dst, which is
// the client's no sooner than Close has returned it and Progress is Done.
type Reply interface {
	// Expect is told, before anything is fed, how long the answer will be in bytes, where its head says so: memory for one that is no stream is
	// taken once, as soon as it begins.
	Expect(n int)
	// Feed takes the next bytes from upstream and appends to dst what the client is to get. src is not kept.
	Feed(dst, src []byte) []byte
	// Close is told that upstream ended in order, and appends what remains. Progress says afterwards whether the answer was complete:
	// if it was not, Fault is Truncated and nothing invented has been appended.
	Close(dst []byte) []byte
	// Abort appends the protocol-correct error that ends a stream whose first bytes have reached the client.
	Abort(dst []byte, f *fault.Fault) []byte
	// Ping appends a keep-alive that every client of the format ignores.
	Ping(dst []byte) []byte
	// Onward says whether another answer can be written behind this one, which broke off, and how many bytes of text it would have to go on
	// from. It never can where anything but text has been said, or where the Call did not ask to keep it.
	Onward() (bytes int, ok bool)
	// Resume appends the request that asks for the rest of an answer that has paused; sent is the one before it. false means that there is
	// nothing to go on from, and that Progress has a Fault.
	Resume(dst, sent []byte) ([]byte, bool)
	// Progress is valid until the next call of any method.
	Progress() *Progress
	// ContentType of what is produced.
	ContentType() string
}

// ErrorDoc is an error as the client is to see it.
type ErrorDoc struct {
	Status    int
	Kind      fault.Kind
	Message   string
	Param     string
	RequestID string
}
