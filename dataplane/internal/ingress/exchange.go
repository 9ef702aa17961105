package ingress

import (
	"context"
	"errors"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// exchange is an Exchange on a connection, which has one for all of its requests.
type exchange struct {
	conn    *conn
	head    head
	begun   time.Time
	content content
	intake  intake
	held    atomic.Int64 // bytes of the bodies' budget that the handler holds besides
	read    bool         // the body has been, or could not be
	values  []string

	status   int
	fields   []field
	hangup   bool
	declared int64 // bytes of the answer; -1 where the handler did not say
	written  int64
	mute     bool // an answer that has no body
	framed   bool // the answer's head is out, in chunks where it is chunked
	chunked  bool
	failed   error // of writing; there is nothing more to say
	out      *outgoing
	due      time.Time // of writing, as last set
}

type field struct{ name, value string }

// outgoing is pooled memory for an answer: what is yet to be sent, and what it is put together in.
type outgoing struct{ waiting, wire []byte }

// What an answer begins with, which is enough for the events of a stream; the bounds of what waits to be sent, and of what a pool keeps.
const (
	outgoingBytes   = 4 << 10
	waitingBytesMax = 16 << 10
	wireBytesKept   = 64 << 10
)

// outgoings saves the allocation of an answer's size per request.
var outgoings = sync.Pool{New: func() any {
	return &outgoing{waiting: make([]byte, 0, outgoingBytes/2), wire: make([]byte, 0, outgoingBytes)}
}}

// serve lets the handler answer the request whose head has been read; it reports whether the connection may go on.
func (x *exchange) serve() bool {
	c := x.conn
	*x = exchange{conn: c, head: x.head, begun: time.Now(), values: x.values[:0], fields: x.fields[:0], declared: -1, due: x.due}
	x.content = contentOf(c, &x.head)
	x.intake = intake{from: &x.content, begun: x.begun}
	x.out = outgoings.Get().(*outgoing)
	if x.content.over() {
		x.read = true
		c.watch.start()
	}
	c.server.handler(x)
	c.watch.stop()
	x.giveBack() // whoever has the answer's end may ask what is still held
	x.finish()
	x.release()
	if !x.content.over() && x.failed == nil {
		c.linger()
	}
	return x.content.over() && !x.hangup && x.failed == nil && c.ctx.Err() == nil
}

// release gives back what was borrowed.
func (x *exchange) release() {
	x.giveBack()
	if out := x.out; out != nil && cap(out.wire) <= wireBytesKept {
		out.waiting, out.wire = out.waiting[:0], out.wire[:0]
		outgoings.Put(out)
	}
	x.out = nil
	clear(x.head.lines) // parts of a text that need not stay
	clear(x.values)
}

func (x *exchange) giveBack() {
	bodies := &x.conn.server.bodies
	if n := x.held.Load(); n != 0 { // of ordinary requests nothing is
		x.held.Store(0)
		bodies.take(-n)
	}
	bodies.release(&x.intake)
}

func (x *exchange) Hold(n int) bool {
	if !x.conn.server.bodies.take(int64(n)) {
		return false
	}
	x.held.Add(int64(n))
	return true
}

func (x *exchange) Context() context.Context { return x.conn.ctx }
func (x *exchange) Begun() time.Time         { return x.begun }
func (x *exchange) Method() string           { return x.head.method }
func (x *exchange) Path() string             { return x.head.path }
func (x *exchange) Query() string            { return x.head.query }
func (x *exchange) Remote() string           { return x.conn.remote }
func (x *exchange) Status() int              { return x.status }

func (x *exchange) Header(name string) string { return x.head.get(name) }

func (x *exchange) Values(name string) []string {
	from := len(x.values)
	for _, l := range x.head.lines {
		if strings.EqualFold(l.name, name) {
			x.values = append(x.values, l.value)
		}
	}
	return x.values[from:len(x.values):len(x.values)]
}

func (x *exchange) Headers(visit func(name, value string) bool) {
	for _, l := range x.head.lines {
		if !visit(textproto.CanonicalMIMEHeaderKey(l.name), l.value) {
			return
		}
	}
}

// Body reads the whole body within size, rate and memory limits.
func (x *exchange) Body() ([]byte, *Refusal) {
	if x.read {
		return x.body(), nil
	}
	if encoding := x.Header("Content-Encoding"); encoding != "" && encoding != "identity" {
		x.Hangup()
		return nil, &Refusal{Status: http.StatusUnsupportedMediaType, Reason: "content-encoding: " + clip(encoding) + " is not accepted; send the body as it is"}
	}
	if refusal := x.take(); refusal != nil {
		// What remains of the body must not be read as the next request.
		x.Hangup()
		return nil, refusal
	}
	x.conn.watch.start()
	return x.body(), nil
}

func (x *exchange) take() *Refusal {
	if x.head.expects && x.content.length <= x.conn.server.config.BodyBytesMax && x.conn.from == x.conn.to {
		if err := x.send([]byte("HTTP/1.1 100 Continue\r\n\r\n"), nil, ""); err != nil {
			return &Refusal{Status: http.StatusBadRequest, Reason: "the client left", Gone: true}
		}
	}
	x.read = true
	return x.conn.server.bodies.read(&x.intake)
}

func (x *exchange) body() []byte {
	if x.intake.buffer == nil {
		return nil
	}
	return x.intake.buffer.bytes
}

func clip(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}

func (x *exchange) SetHeader(name, value string) {
	if x.framed {
		return
	}
	if name == "Content-Length" {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 {
			x.declared = n
		}
		return
	}
	for i := range x.fields {
		if x.fields[i].name == name {
			x.fields[i].value = value
			return
		}
	}
	x.fields = append(x.fields, field{name, value})
}

func (x *exchange) Hangup() { x.hangup = true }

func (x *exchange) Head(status int) {
	if x.status == 0 {
		x.status = status
		x.mute = x.head.method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
	}
}

var errLonger = errors.New("the answer is longer than was said")

func (x *exchange) Write(p []byte) error {
	x.Head(http.StatusOK)
	x.written += int64(len(p))
	switch {
	case x.failed != nil:
		return x.failed
	case x.mute:
		return nil
	case x.declared >= 0 && x.written > x.declared:
		x.failed = errLonger
		return x.failed
	case len(x.out.waiting)+len(p) <= waitingBytesMax:
		x.out.waiting = append(x.out.waiting, p...)
		return nil
	}
	return x.push(p, false)
}

func (x *exchange) Flush() error {
	if x.failed != nil || x.framed && len(x.out.waiting) == 0 {
		return x.failed
	}
	x.Head(http.StatusOK)
	return x.push(nil, false)
}
