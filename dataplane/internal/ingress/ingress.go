// Package ingress takes HTTP in: listeners, limits on headers, bodies and slow clients, and a small Exchange that hides the engine behind it.
package ingress

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"time"
)

// Exchange is one request and its answer. It belongs to the goroutine that serves it, which may hand single calls to another one
// as long as no two run at once. Everything it gives out is dead when the handler has returned.
//
//nolint:interfacebloat // an engine's whole surface: a request, an answer, and when either is over
type Exchange interface {
	// Context ends when the client has left (cause context.Canceled) or when the drain deadline has passed (cause ErrDrained).
	Context() context.Context
	// Begun is when the request's head had been read.
	Begun() time.Time
	Method() string
	// Path is decoded and never empty; Query is as it came, without the question mark.
	Path() string
	Query() string
	// Remote is the client's address and port.
	Remote() string
	// Header gives the first value of a header in its canonical spelling; empty when there is none.
	Header(name string) string
	// Values gives every value of a header in its canonical spelling. Read only.
	Values(name string) []string
	// Headers visits every header line, several of the same name included, in no order, until visit says false.
	Headers(visit func(name, value string) bool)
	// Body reads the whole body, once. The bytes are valid until the handler returns and must not be written to.
	Body() ([]byte, *Refusal)
	// Hold counts n bytes that the handler is about to keep for this exchange against the memory that all bodies share; false means that
	// there is no room for them. Fewer than 0 gives back; what is not given back is when the handler returns. Safe for concurrent use.
	Hold(n int) bool

	// SetHeader sets a header of the answer; after Head it does nothing.
	SetHeader(name, value string)
	// Hangup closes the connection behind the answer; after Head it does nothing.
	Hangup()
	// Head sends status and headers with the first bytes. Calls after the first do nothing.
	Head(status int)
	// Status is what Head was called with; 0 as long as it wasn't.
	Status() int
	// Write sends bytes of the answer; they may wait in a buffer until Flush or the handler's end. An error means that the client is gone
	// or has taken nothing for Config.WriteTimeout.
	Write(p []byte) error
	Flush() error
}

// Refusal is why a request is refused before anybody has looked into its body.
type Refusal struct {
	Status int
	Reason string
	// Gone: there is nobody left to tell.
	Gone bool
}

// Error gives the reason.
func (r *Refusal) Error() string { return r.Reason }

// ErrDrained is the cause of an Exchange's context that ended because the node's drain deadline has passed.
var ErrDrained = errors.New("the node is shutting down")

// Config holds the limits of a Server. A zero field takes the default named beside it.
type Config struct {
	ConnectionsMax    int           // open connections, 16384; one above takes an idle one's place, or is closed at once
	HeaderBytesMax    int           // request line and headers, 32 KiB; 431 above
	HeaderTimeout     time.Duration // for the whole head, 5 s
	BodyBytesMax      int64         // one body, 32 MiB; 413 above
	BuffersBytesMax   int64         // all large bodies in memory together, of requests and answers, 1 GiB or half of GOMEMLIMIT; 503 above
	BodyBytesPerSec   int64         // a body that comes slower is refused, 1024
	BodyGrace         time.Duration // before the rate counts, 10 s
	IdleTimeout       time.Duration // between requests of a connection, 120 s
	WriteTimeout      time.Duration // how long a client may take nothing while bytes wait, 30 s
	DrainedAnswerTime time.Duration // for the last words after the drain deadline, 1 s
}

func (c Config) withDefaults() Config {
	orInt(&c.ConnectionsMax, 16384)
	orInt(&c.HeaderBytesMax, 32<<10)
	orInt(&c.BodyBytesMax, 32<<20)
	orInt(&c.BuffersBytesMax, min(1<<30, debug.SetMemoryLimit(-1)/2))
	orInt(&c.BodyBytesPerSec, 1024)
	orInt(&c.HeaderTimeout, 5*time.Second)
	orInt(&c.BodyGrace, 10*time.Second)
	orInt(&c.IdleTimeout, 120*time.Second)
	orInt(&c.WriteTimeout, 30*time.Second)
	orInt(&c.DrainedAnswerTime, time.Second)
	return c
}

func orInt[T ~int | ~int64](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Deps is what a Server needs of its owner.
type Deps struct {
	// Handler serves one Exchange; it is called on many goroutines at once.
	Handler func(Exchange)
	Log     *slog.Logger
}

// Server takes requests from listeners until it is drained.
type Server interface {
	// Serve accepts from ln until Drain; it returns nil after a drain. It may be called for several listeners.
	Serve(ln net.Listener) error
	// Drain stops accepting, lets running exchanges finish until ctx ends, then ends their contexts with ErrDrained, gives them
	// a moment for their last words, and closes what is left. It reports how many connections it had to cut.
	Drain(ctx context.Context) (cut int)
	// Stats may be called at any time.
	Stats() Stats
}

// Stats are a Server's figures: gauges of now and counters since its start.
type Stats struct {
	Connections, BufferBytes int64
	// Evicted connections were idle and made room, Refused ones found none.
	Accepted, Refused, Evicted              uint64
	HeadsRefused, HeadsTooSlow              uint64
	AnswersTooSlow                          uint64
	BodiesTooLarge, BodiesTooSlow, BodyFull uint64
}
