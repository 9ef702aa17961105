package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/aimux/aimux/dataplane/internal/http1"
)

// conn is one HTTP/1.1 connection. It serves one request at a time, on that request's goroutine.
type conn struct {
	pool   *pool
	host   string
	raw    net.Conn
	reused bool
	since  time.Time // idle since; belongs to the pool
	out    []byte    // scratch for what is written
	in     []byte    // what was read and not yet used: in[from:to]
	from   int
	to     int
	answer answer // the answer under way
}

const (
	readBytes    = 16 << 10
	inlineBytes  = 16 << 10 // bodies up to this go out in one write with their head
	outBytesKept = 64 << 10
)

func newConn(p *pool, host string, raw net.Conn) *conn {
	return &conn{pool: p, host: host, raw: raw, in: make([]byte, readBytes)}
}

func (c *conn) drop() { _ = c.raw.Close() } // nothing is owed on it

var (
	errUnwritten = errors.New("the connection was gone before anything was written")
	errSilent    = errors.New("the connection was closed before the first byte of an answer")
	errCutShort  = errors.New("the connection was closed between an interim answer and the real one")
	errNotHTTP   = errors.New("its answer was not HTTP")
	errBadHeader = errors.New("a header value has control characters")
)

// past is a deadline that ends every read and write.
var past = time.Unix(1, 0)

// exchange sends r and reads the head of its answer.
func (c *conn) exchange(ctx context.Context, r *Request) (*Response, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.raw.SetDeadline(past) })
	wrote := c.write(r)
	if wrote != nil && (errors.Is(wrote, errUnwritten) || errors.Is(wrote, errBadHeader)) {
		stop()
		return nil, wrote
	}
	// A provider may refuse before it has read all of the body, and close: its answer counts more than our broken pipe.
	response, err := c.readHead(r)
	if err != nil {
		stop()
		if wrote != nil && !errors.Is(err, errSilent) {
			err = wrote
		}
		return nil, err
	}
	c.answer.stop = stop
	c.answer.keep = c.answer.keep && wrote == nil
	return response, nil
}

func (c *conn) write(r *Request) error {
	out := c.out[:0]
	out = append(out, r.Method...)
	out = append(append(out, ' '), r.URL.RequestURI()...)
	out = append(append(out, " HTTP/1.1\r\nHost: "...), r.URL.Host...)
	out = append(out, "\r\nAccept-Encoding: identity\r\n"...)
	for _, f := range r.Header {
		if http1.HasControl(f.Value) {
			return errBadHeader
		}
		out = append(append(append(append(out, f.Name...), ": "...), f.Value...), "\r\n"...)
	}
	if len(r.Body) > 0 || r.Method == http.MethodPost {
		out = strconv.AppendInt(append(out, "Content-Length: "...), int64(len(r.Body)), 10)
		out = append(out, "\r\n"...)
	}
	out = append(out, "\r\n"...)
	inline := len(r.Body) <= inlineBytes
	if inline {
		out = append(out, r.Body...)
	}
	if cap(out) <= outBytesKept {
		c.out = out
	}
	var n int64
	var err error
	if inline {
		var short int
		short, err = c.raw.Write(out)
		n = int64(short)
	} else {
		n, err = (&net.Buffers{out, r.Body}).WriteTo(c.raw)
	}
	if err != nil && n == 0 {
		return fmt.Errorf("%w: %w", errUnwritten, err)
	}
	return err
}

// isClosed reports that the other end has ended the connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// fill reads more behind what is there.
func (c *conn) fill() error {
	if c.from == c.to {
		c.from, c.to = 0, 0
	} else if c.to == len(c.in) {
		if c.from == 0 {
			if len(c.in) >= c.pool.config.HeaderBytesMax {
				return errNotHTTP
			}
			c.in = append(c.in, make([]byte, len(c.in))...)
		} else {
			c.to = copy(c.in, c.in[c.from:c.to])
			c.from = 0
		}
	}
	n, err := c.raw.Read(c.in[c.to:])
	c.to += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// begins reports that bytes may become a head: whatever speaks something else, or ends its lines in another way, would be waited for in vain.
// The first of them have been looked at.
func begins(head []byte, looked int) bool {
	const first = "HTTP/1."
	if n := min(len(head), len(first)); string(head[:n]) != first[:n] {
		return false
	}
	for i := looked; i < len(head); i++ {
		if head[i] == '\n' && head[i-1] != '\r' {
			return false
		}
	}
	return true
}

// informalMax is how many interim answers are taken before the real one.
const informalMax = 5

// readHead reads the head of the answer, passing over interim ones.
func (c *conn) readHead(r *Request) (*Response, error) {
	for i := range informalMax {
		head, err := c.head()
		if err != nil && i > 0 && errors.Is(err, errSilent) {
			err = errCutShort // it has said that more would come
		}
		if err != nil {
			return nil, err
		}
		a := &c.answer
		*a = answer{conn: c, lines: a.lines[:0]}
		status, err := a.parse(head)
		switch {
		case err != nil:
			return nil, err
		case status == 101:
			return nil, errNotHTTP
		case status < 200:
			continue
		}
		if r.Method == http.MethodHead || status == 204 || status == 304 {
			a.mode, a.left = sized, 0
		}
		return &Response{Status: status, header: a, body: a}, nil
	}
	return nil, errNotHTTP
}

// head takes everything up to the empty line.
func (c *conn) head() (string, error) {
	for seen := 0; ; {
		if end := bytes.Index(c.in[c.from+seen:c.to], []byte("\r\n\r\n")); end >= 0 {
			head := string(c.in[c.from : c.from+seen+end+2])
			c.from += seen + end + 4
			return head, nil
		}
		if c.to-c.from >= c.pool.config.HeaderBytesMax || !begins(c.in[c.from:c.to], seen) {
			return "", errNotHTTP
		}
		seen = max(0, c.to-c.from-3)
		if err := c.fill(); err != nil {
			if c.from == c.to && isClosed(err) {
				err = fmt.Errorf("%w: %w", errSilent, err)
			}
			return "", err
		}
	}
}
