package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// conn is one client's connection. It serves one request after the other, on one goroutine.
type conn struct {
	server *server
	raw    net.Conn
	remote string
	in     []byte // what was read and not yet used: in[from:to]
	from   int
	to     int
	due    time.Time // of reading, as last set
	x      exchange  // the request under way
	watch  watch
	// idle is since when nothing has been said, in Unix nanoseconds, so that a drain may end the connection, or one that is new take its
	// place; 0 while something is, and of one whose place is taken.
	idle   atomic.Int64
	ctx    context.Context
	cancel context.CancelCauseFunc
}

const (
	inBytes      = 4 << 10
	dueSlack     = time.Second // a deadline that is this much later is not worth setting
	refusalTime  = 250 * time.Millisecond
	refusalBytes = 64 << 10
)

// past is a deadline that ends every read.
var past = time.Unix(1, 0)

func newConn(s *server, raw net.Conn) *conn {
	c := &conn{server: s, raw: raw, remote: raw.RemoteAddr().String(), in: make([]byte, inBytes)}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.x.conn = c
	c.watch.conn = c
	c.idle.Store(time.Now().UnixNano())
	return c
}

// serve serves requests until one side has had enough.
func (c *conn) serve() {
	defer c.server.forget(c)
	defer c.cancel(nil)
	defer c.survive()
	wait, late := c.server.config.HeaderTimeout, time.Now().Add(c.server.config.HeaderTimeout)
	_ = c.raw.SetWriteDeadline(late) // of TLS's handshake; answers set their own
	for c.hear(wait) {
		text, refusal := c.head(late)
		if refusal == nil && text == "" {
			return // it left, or takes too long
		}
		x := &c.x
		if refusal == nil {
			refusal = x.head.parse(text)
		}
		if refusal != nil {
			c.refuse(refusal)
			return
		}
		if !x.serve() {
			return
		}
		if len(c.in) > inBytes && c.from == c.to {
			c.in = make([]byte, inBytes)
		}
		wait, late = c.server.config.IdleTimeout, time.Time{}
	}
}

// hear waits for the first bytes of a request.
func (c *conn) hear(wait time.Duration) bool {
	if c.from < c.to {
		return true
	}
	now := time.Now()
	if due := now.Add(wait); due.Sub(c.due) > dueSlack || due.Before(c.due) {
		c.until(due)
	}
	c.idle.Store(now.UnixNano())
	if c.server.draining.Load() {
		return false
	}
	err := c.fill()
	return c.idle.Swap(0) != 0 && err == nil
}

func (c *conn) until(due time.Time) {
	c.due = due
	_ = c.raw.SetReadDeadline(due) // a connection without deadlines has none to miss
}

// head reads as far as the empty line, and gives what stands above it; empty when the client has left, or is late: where no time is given,
// that of a head counts from here.
func (c *conn) head(late time.Time) (text string, refusal *Refusal) {
	var ends lineEnds
	limit := c.server.config.HeaderBytesMax
	for {
		end, wrong := ends.find(c.in[c.from:c.to])
		switch {
		case wrong:
			return "", ambiguous("a line of the head ends without a carriage return")
		case end > limit, end == 0 && c.to-c.from > limit:
			return "", &Refusal{Status: http.StatusRequestHeaderFieldsTooLarge, Reason: fmt.Sprintf("the request's head is larger than the %d bytes allowed", limit)}
		case end == 2: // an empty line before a request means nothing
			c.from += end
			ends = lineEnds{}
			continue
		case end > 0:
			text = string(c.in[c.from : c.from+end-2])
			c.from += end
			return text, nil
		}
		if late.IsZero() {
			late = time.Now().Add(c.server.config.HeaderTimeout)
			c.until(late)
		}
		if err := c.fill(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.server.headsSlow.Add(1)
			}
			return "", nil
		}
	}
}

// fill reads more behind what is there.
func (c *conn) fill() error {
	if c.compact(); c.to == len(c.in) {
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	n, err := c.raw.Read(c.in[c.to:])
	c.to += n
	switch {
	case n > 0:
		return nil
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}

// compact makes room behind what is there, as far as it can without growing.
func (c *conn) compact() {
	switch {
	case c.from == c.to:
		c.from, c.to = 0, 0
	case c.to == len(c.in):
		c.to = copy(c.in, c.in[c.from:c.to])
		c.from = 0
	}
}

// refuse answers a request whose head is wrong, and ends the connection: nobody knows where the next one begins.
func (c *conn) refuse(r *Refusal) {
	c.server.heads.Add(1)
	body := headRefusal(r.Reason)
	_ = c.raw.SetWriteDeadline(time.Now().Add(refusalTime)) // it goes, whether it listens or not
	_, _ = fmt.Fprintf(c.raw, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		r.Status, http.StatusText(r.Status), len(body), body)
	c.linger()
}

// headRefusal is an error that clients of either format can read.
func headRefusal(reason string) []byte {
	return fmt.Appendf(nil, `{"type":"error","error":{"type":"invalid_request_error","message":%q}}`, reason) // our own words, all of them ASCII
}

// linger reads a little of what a client still sends to a connection that ends: what is not read would tear the last answer away from it.
func (c *conn) linger() {
	half, ok := c.raw.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.raw.SetReadDeadline(time.Now().Add(refusalTime))
	_, _ = io.CopyN(io.Discard, c.raw, refusalBytes)
}

// survive keeps a panic in its connection.
func (c *conn) survive() {
	if r := recover(); r != nil {
		c.watch.stop()
		c.x.release()
		c.server.log.Error("serving a request panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	}
}
