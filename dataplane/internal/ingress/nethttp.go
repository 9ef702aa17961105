package ingress

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// server is the engine on top of net/http.
type server struct {
	config  Config
	handler func(Exchange)
	http    *http.Server
	bodies  bodies
	cutOff  context.CancelCauseFunc // ends every exchange's context

	connections       atomic.Int64
	accepted, refused atomic.Uint64
	heads             atomic.Uint64 // refused for what they say
}

// New makes a Server on net/http.
func New(config Config, deps Deps) Server {
	config = config.withDefaults()
	base, cutOff := context.WithCancelCause(context.Background())
	s := &server{config: config, handler: deps.Handler, cutOff: cutOff}
	s.bodies.config = config
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: config.HeaderTimeout,
		IdleTimeout:       config.IdleTimeout,
		MaxHeaderBytes:    config.HeaderBytesMax,
		ErrorLog:          slog.NewLogLogger(deps.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState:         s.count,
		// Without this, net/http would answer OPTIONS * itself.
		DisableGeneralOptionsHandler: true,
	}
	return s
}

// Serve accepts from ln until Drain.
func (s *server) Serve(ln net.Listener) error {
	err := s.http.Serve(&cappedListener{Listener: ln, server: s})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Drain lets what runs come to its end, in order until ctx ends and briefly afterwards.
func (s *server) Drain(ctx context.Context) int {
	if s.http.Shutdown(ctx) == nil {
		s.cutOff(ErrDrained)
		return 0
	}
	s.cutOff(ErrDrained)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.DrainedAnswerTime)
	defer cancel()
	if s.http.Shutdown(last) == nil {
		return 0
	}
	cut := int(s.connections.Load())
	_ = s.http.Close() // what is left does not read; there is nothing more to tell it
	return cut
}

// Stats reads the figures.
func (s *server) Stats() Stats {
	return Stats{
		Connections: s.connections.Load(), BufferBytes: s.bodies.held.Load(),
		Accepted: s.accepted.Load(), Refused: s.refused.Load(), HeadsRefused: s.heads.Load(),
		BodiesTooLarge: s.bodies.tooLarge.Load(), BodiesTooSlow: s.bodies.tooSlow.Load(), BodyFull: s.bodies.full.Load(),
	}
}

// count keeps the number of open connections; a hijacked one would leave, but nobody hijacks.
func (s *server) count(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.accepted.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.connections.Add(-1)
	case http.StateActive, http.StateIdle:
	}
}

// ServeHTTP wraps one request as an Exchange.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchanges.Get().(*exchange)
	x.begin(s, w, r)
	// A panicking handler has had its say; net/http closes the connection. What it borrowed goes back in any case.
	defer x.end()
	if len(r.TransferEncoding) > 0 {
		x.Hangup() // what comes behind a chunked body is not watched
	}
	if r.Method == http.MethodConnect || r.URL.Host != "" {
		s.heads.Add(1)
		x.Hangup()
		x.SetHeader("Content-Type", "application/json")
		x.Head(http.StatusBadRequest)
		_ = x.Write(headRefusal("the request's target is another host; this is no proxy"))
		return
	}
	s.handler(x)
}

// exchanges saves the allocation of an exchange per request.
var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// exchange is an Exchange over net/http.
type exchange struct {
	server   *server
	w        http.ResponseWriter
	r        *http.Request
	control  *http.ResponseController
	begun    time.Time
	body     *buffer
	taken    int64 // bytes of the common budget that body holds
	status   int
	deadline time.Time // of writing, as last set
	// values saves an allocation per header of the answer; the header's slices point into it until Head, which copies them.
	values [24]string
	set    int
}

func (x *exchange) begin(s *server, w http.ResponseWriter, r *http.Request) {
	*x = exchange{server: s, w: w, r: r, control: http.NewResponseController(w), begun: time.Now()}
}

func (x *exchange) end() {
	x.server.bodies.release(x.body, x.taken)
	if x.status == 0 {
		return // net/http still has to send the headers, whose values are here
	}
	*x = exchange{}
	exchanges.Put(x)
}

func (x *exchange) Context() context.Context { return x.r.Context() }
func (x *exchange) Begun() time.Time         { return x.begun }
func (x *exchange) Method() string           { return x.r.Method }
func (x *exchange) Path() string             { return x.r.URL.Path }
func (x *exchange) Query() string            { return x.r.URL.RawQuery }
func (x *exchange) Remote() string           { return x.r.RemoteAddr }
func (x *exchange) Status() int              { return x.status }

func (x *exchange) Header(name string) string {
	if values := x.r.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func (x *exchange) Values(name string) []string { return x.r.Header[name] }

func (x *exchange) Headers(visit func(name, value string) bool) {
	for name, values := range x.r.Header {
		for _, value := range values {
			if !visit(name, value) {
				return
			}
		}
	}
}

func (x *exchange) SetHeader(name, value string) {
	if x.set == len(x.values) {
		x.w.Header()[name] = []string{value}
		return
	}
	x.values[x.set] = value
	x.set++
	x.w.Header()[name] = x.values[x.set-1 : x.set : x.set]
}

func (x *exchange) Hangup() { x.SetHeader("Connection", "close") }

func (x *exchange) Head(status int) {
	if x.status == 0 {
		x.status = status
		x.w.WriteHeader(status)
	}
}

func (x *exchange) Write(p []byte) error {
	x.arm()
	_, err := x.w.Write(p)
	return err
}

func (x *exchange) Flush() error {
	x.arm()
	return x.control.Flush()
}

// arm moves the write deadline, at most once a second: a stalled client may hold its buffers that long and no longer.
func (x *exchange) arm() {
	if due := time.Now().Add(x.server.config.WriteTimeout); due.Sub(x.deadline) > time.Second {
		x.deadline = due
		_ = x.control.SetWriteDeadline(due) // an engine without deadlines has none to miss
	}
}

// Body reads the whole body within size, rate and memory limits.
func (x *exchange) Body() ([]byte, *Refusal) {
	if x.body != nil {
		return x.body.bytes, nil
	}
	if encoding := x.Header("Content-Encoding"); encoding != "" && encoding != "identity" {
		x.Hangup()
		return nil, &Refusal{Status: http.StatusUnsupportedMediaType, Reason: "content-encoding: " + clip(encoding) + " is not accepted; send the body as it is"}
	}
	refusal := x.server.bodies.read(x)
	if refusal != nil {
		// What remains of the body must not be read as the next request.
		x.Hangup()
		return nil, refusal
	}
	return x.body.bytes, nil
}

func clip(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}
