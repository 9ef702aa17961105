package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/guard"
)

// engine sends what goes over TLS by net/http, which speaks HTTP/2 there, and what goes in clear, to neighbours and into this process, by
// connections of its own, which cost a fraction. Each kind of address has a pool of its own, so that none serves a request that may
// not go there.
type engine struct {
	public, private                *http.Transport
	resent                         func()
	clear, clearPrivate, inProcess *pool
	local                          *inProcess
}

// New makes an Engine.
func New(config Config, deps Deps) Engine {
	config = config.withDefaults()
	if deps.Resent == nil {
		deps.Resent = func() {}
	}
	open, guarded := dialer(config, deps, true), dialer(config, deps, false)
	e := &engine{
		resent: deps.Resent,
		public: transport(config, guarded), private: transport(config, open),
		clear: newPool(config, guarded, deps.Resent), clearPrivate: newPool(config, open, deps.Resent),
	}
	if deps.InProcess != nil {
		e.local = serveInProcess(deps.InProcess)
		e.inProcess = newPool(config, e.local.dial, deps.Resent)
	}
	return e
}

type dial func(ctx context.Context, network, address string) (net.Conn, error)

func dialer(config Config, deps Deps, allowPrivate bool) dial {
	check := guard.Control(allowPrivate)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{Timeout: config.ConnectTimeout, KeepAlive: 15 * time.Second, Control: check}
		if deps.ConnectTimeout != nil {
			if own := deps.ConnectTimeout(); own > 0 {
				d.Timeout = own
			}
		}
		return d.DialContext(ctx, network, address)
	}
}

// transport neither asks the environment for a proxy nor unpacks: the bytes go where the table says, and come as they are.
func transport(config Config, dial dial) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		TLSHandshakeTimeout:    config.ConnectTimeout,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    config.IdlePerHost,
		IdleConnTimeout:        config.IdleTimeout,
		MaxResponseHeaderBytes: int64(config.HeaderBytesMax),
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
		ForceAttemptHTTP2:      true,
		// A connection whose other end has vanished is found out by a ping, not by the requests that are put on it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// Do makes one attempt.
func (e *engine) Do(ctx context.Context, r *Request) (*Response, *fault.Fault) {
	switch {
	case r.InProcess && e.inProcess == nil:
		return nil, &fault.Fault{Kind: fault.Internal, Message: "nothing is served inside this process"}
	case r.InProcess:
		return e.inProcess.do(ctx, r)
	case r.URL.Scheme == "http" && r.AllowPrivate:
		return e.clearPrivate.do(ctx, r)
	case r.URL.Scheme == "http":
		return e.clear.do(ctx, r)
	case r.AllowPrivate:
		return e.roundTrip(ctx, e.private, r)
	}
	return e.roundTrip(ctx, e.public, r)
}

// roundTrip makes an attempt by net/http. A connection that had gone stale in the pool costs a second dial, not the attempt.
func (e *engine) roundTrip(ctx context.Context, rt *http.Transport, r *Request) (*Response, *fault.Fault) {
	header := make(http.Header, len(r.Header)+1)
	for _, f := range r.Header {
		header[f.Name] = append(header[f.Name], f.Value)
	}
	header["Accept-Encoding"] = []string{"identity"}
	for again := true; ; again = false {
		sending := &sending{bytes: r.Body}
		response, err := rt.RoundTrip(request(ctx, r, header, sending)) //nolint:bodyclose // Response.Close does
		if err == nil {
			return &Response{Status: response.StatusCode, header: response.Header, body: &received{ReadCloser: response.Body, sending: sending}}, nil
		}
		sending.detach()
		if again && stale(err) && ctx.Err() == nil {
			e.resent()
			continue
		}
		return nil, connectFault(ctx, err)
	}
}

// Close drops idle connections.
func (e *engine) Close() {
	e.public.CloseIdleConnections()
	e.private.CloseIdleConnections()
	e.clear.close()
	e.clearPrivate.close()
	if e.inProcess != nil {
		e.inProcess.close()
		e.local.close()
	}
}

// stale recognises a kept connection that the other end had closed before the request was written to it. net/http has no
// exported value for it.
func stale(err error) bool { return strings.Contains(err.Error(), "server closed idle connection") }

func request(ctx context.Context, r *Request, header http.Header, body *sending) *http.Request {
	out := &http.Request{
		Method: r.Method, URL: r.URL, Host: r.URL.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if len(r.Body) > 0 {
		out.Body = body
		out.ContentLength = int64(len(r.Body))
		// Lets the transport send again when a kept connection had gone before anything was written.
		out.GetBody = body.again
	}
	return out.WithContext(ctx)
}

// sending is a request's body on its way out. The transport may go on reading it in the background after an attempt has ended,
// when the bytes already belong to somebody else: detach makes that harmless.
type sending struct {
	mu    sync.Mutex
	bytes []byte // guarded by mu
	off   int    // guarded by mu
	gone  bool   // guarded by mu
	// copies are the bodies made for repeated sending; guarded by mu
	copies []*sending
}

var errDetached = errors.New("the attempt has ended")

// Read gives the next bytes.
func (s *sending) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return 0, errDetached
	}
	if s.off == len(s.bytes) {
		return 0, io.EOF
	}
	n := copy(p, s.bytes[s.off:])
	s.off += n
	return n, nil
}

// Close does nothing: detach does what is to be done.
func (s *sending) Close() error { return nil }

func (s *sending) again() (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, errDetached
	}
	another := &sending{bytes: s.bytes}
	s.copies = append(s.copies, another)
	return another, nil
}

func (s *sending) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone, s.bytes = true, nil
	for _, another := range s.copies {
		another.detach()
	}
}

// received is an answer's body; closing it ends the attempt for the request's body too.
type received struct {
	io.ReadCloser
	sending *sending
}

// Close ends the attempt.
func (r *received) Close() error {
	r.sending.detach()
	return r.ReadCloser.Close()
}
