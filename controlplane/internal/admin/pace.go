package admin

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/aimux/aimux/shared/certs"
)

// What one client may cost the others.
const (
	connsMax     = 2048
	callsMax     = 512
	strangersMax = 128 // calls of people who have shown nothing
	bodyTimeout  = 30 * time.Second
	// strangersTimeout is how long the body of a stranger may take, read or not.
	strangersTimeout = 5 * time.Second
	bodyBytesMax     = 4 << 20
	writeTimeout     = 30 * time.Second
	pieceBytes       = 64 << 10 // of an answer must be taken within writeTimeout
)

// paced gives a body 30 seconds to arrive, and a client as long to take each piece of its answer: who takes nothing holds nothing. The
// answer as a whole may take as long as it needs.
func (s *service) paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
			// net/http passes over a Content-Length beside it: what somebody in between took for the body's end may be another's request.
			w.Header().Set("Connection", "close")
		}
		_ = control.SetWriteDeadline(time.Time{}) // that of the connection's last answer
		if r.Body != nil && r.Body != http.NoBody && control.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil {
			r.Body = &pacedBody{http.MaxBytesReader(w, r.Body, bodyBytesMax), control}
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		answer := &pacedAnswer{ResponseWriter: w, control: control}
		// What is left in buffers goes out after the handler's end.
		defer func() {
			_ = control.SetWriteDeadline(time.Now().Add(writeTimeout)) // a connection without deadlines has none to miss
			if answer.cut {
				s.deps.Refused("slow")
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// pacedBody lifts the deadline when the body has been read: behind it the server waits for the client to leave, for as long as it takes.
type pacedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.control.SetReadDeadline(time.Time{}) // a connection that is gone has no deadline to lift
	}
	return n, unreadable(err)
}

// unreadable says of a body that is not framed as it should be that this is its sender's mistake.
func unreadable(err error) error {
	_, large := errors.AsType[*http.MaxBytesError](err)
	if err == nil || large || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("the body could not be read to its end: %w", err))
}

// pacedAnswer gives every piece a deadline of its own, and none to the time between them: over HTTP/2 a deadline ends the answer even
// while nothing is written.
type pacedAnswer struct {
	http.ResponseWriter
	control *http.ResponseController
	cut     bool
}

// Unwrap lets a ResponseController through to what has deadlines.
func (a *pacedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Write implements http.ResponseWriter.
func (a *pacedAnswer) Write(p []byte) (n int, err error) {
	for first := true; err == nil && (first || len(p) > 0); first = false {
		piece := p[:min(len(p), pieceBytes)]
		p = p[len(piece):]
		err = a.within(func() (err error) {
			var k int
			k, err = a.ResponseWriter.Write(piece)
			n += k
			return err
		})
	}
	return n, err
}

// FlushError is what a ResponseController asks for.
func (a *pacedAnswer) FlushError() error { return a.within(a.control.Flush) }

// Flush implements http.Flusher.
func (a *pacedAnswer) Flush() { _ = a.FlushError() } // whoever wants to know asks FlushError

func (a *pacedAnswer) within(do func() error) error {
	due := time.Now().Add(writeTimeout)
	_ = a.control.SetWriteDeadline(due)
	err := do()
	if err != nil {
		a.cut = a.cut || !time.Now().Before(due)
		return err
	}
	_ = a.control.SetWriteDeadline(time.Time{})
	return nil
}

// crowd are a server's open connections. One above the limit takes the place of one that is idle: whoever holds connections and says
// nothing keeps nobody out.
type crowd struct {
	mu    sync.Mutex
	conns map[net.Conn]time.Time // :: open → idle since, zero while it is not; guarded by mu
}

// note is for http.Server.ConnState.
func (c *crowd) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if len(c.conns) >= connsMax {
			worst := c.longestIdle()
			if worst == nil {
				worst = conn // all are at work: the newest goes
			}
			delete(c.conns, worst)
			certs.Sever(worst)
			if worst == conn {
				return
			}
		}
		c.conns[conn] = time.Now()
	case http.StateIdle:
		c.conns[conn] = time.Now()
	case http.StateActive:
		c.conns[conn] = time.Time{}
	case http.StateClosed, http.StateHijacked:
		delete(c.conns, conn)
	}
}

// looksMax is how many connections are looked at for one that is idle.
const looksMax = 64

// longestIdle is of some connections that which has been idle for longest; nil when none is. The caller holds mu.
func (c *crowd) longestIdle() (longest net.Conn) {
	since, looks := time.Unix(math.MaxInt32, 0), 0
	for conn, idle := range c.conns { // in no order: some are as good as others
		if !idle.IsZero() && idle.Before(since) {
			longest, since = conn, idle
		}
		if looks++; looks == looksMax {
			break
		}
	}
	return longest
}
