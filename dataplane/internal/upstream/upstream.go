// Package upstream makes one attempt at one provider: it moves bytes under deadlines, guards where they go, and knows no dialect.
package upstream

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aimux/aimux/shared/fault"
)

// Field is one header line. Names are in canonical spelling; values hold no control characters.
type Field struct{ Name, Value string }

// Request is what is sent. Nothing in it is kept once the attempt has ended.
type Request struct {
	Method string
	// URL is shared between requests and never written to.
	URL *url.URL
	// Header is all that goes out besides Host, Content-Length and Accept-Encoding.
	Header []Field
	// Body is not read any more once Do has failed or the Response has been closed.
	Body []byte
	// AllowPrivate permits loopback and private addresses; the clouds' metadata addresses stay forbidden.
	AllowPrivate bool
	// InProcess sends the request to the handler inside this process.
	InProcess bool
}

// Engine makes attempts. Safe for concurrent use.
type Engine interface {
	// Do sends r and waits for the head of the answer, whatever its status; a redirect is an answer like any other. ctx bounds the whole
	// attempt, reading included; when it ends, Do and Read return at once. The fault's kind is Connect, or Canceled when ctx ended.
	Do(ctx context.Context, r *Request) (*Response, *fault.Fault)
	// Close drops idle connections. Attempts under way go on.
	Close()
}

// Response is an answer whose body is still to be read, by one goroutine. It must be closed.
type Response struct {
	Status int
	header header
	body   io.ReadCloser
	closed bool
}

// header is an answer's headers, as its engine keeps them.
type header interface {
	// Get gives the first value by its canonical name.
	Get(name string) string
}

// Header gives the first value of a header by its canonical name; empty when there is none.
func (r *Response) Header(name string) string { return r.header.Get(name) }

// Read reads as the network gives; io.EOF is an end in order, any other error an end before its time.
func (r *Response) Read(p []byte) (int, error) {
	if r.closed {
		return 0, errDetached
	}
	return r.body.Read(p)
}

// ReadAll reads what is left into dst, at most limit bytes in all; whole is false when there was more, or the end came too early.
func (r *Response) ReadAll(dst []byte, limit int) (all []byte, whole bool) {
	for {
		if len(dst) >= limit {
			return dst[:limit], false
		}
		if len(dst) == cap(dst) {
			dst = append(dst, make([]byte, 4<<10)...)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err != nil {
			return dst[:min(len(dst), limit)], len(dst) <= limit && isEnd(err)
		}
	}
}

// Close ends the attempt. The connection serves again only if the body was read to its end.
func (r *Response) Close() {
	if !r.closed {
		r.closed = true
		_ = r.body.Close() // the answer is over; there is nobody to tell
	}
}

// Config holds an engine's limits. A zero field takes the default named beside it.
type Config struct {
	ConnectTimeout time.Duration // for DNS, dial and TLS each, 5 s
	IdleTimeout    time.Duration // of a connection between attempts, 55 s
	IdlePerHost    int           // idle connections kept for one host, 512
	HeaderBytesMax int           // of an answer, 64 KiB
}

func (c Config) withDefaults() Config {
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = 55 * time.Second
	}
	if c.IdlePerHost <= 0 {
		c.IdlePerHost = 512
	}
	if c.HeaderBytesMax <= 0 {
		c.HeaderBytesMax = 64 << 10
	}
	return c
}

// Deps is what an engine needs of its owner.
type Deps struct {
	// InProcess answers requests that leave no process; nil means that there are none.
	InProcess http.Handler
	// ConnectTimeout is asked at every dial; nil or an answer of 0 means Config's.
	ConnectTimeout func() time.Duration
	// Resent is told of each request that is sent again, because the connection that was kept for it was closed without a word; nil is not
	// told.
	Resent func()
}
