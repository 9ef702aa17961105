package upstream

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/aimux/aimux/shared/fault"
)

// pool keeps HTTP/1.1 connections by host, and uses each on the goroutine of the request that has it: no goroutine of its own, no
// hand-off. The newest connection is used first, so that those that are not needed grow old and go.
type pool struct {
	config Config
	dial   dial
	resent func()

	mu     sync.Mutex
	idle   map[string][]*conn // :: host and port → connections, oldest first; guarded by mu
	closed bool               // guarded by mu
	sweep  *time.Timer        // runs while there are idle connections; guarded by mu
}

func newPool(config Config, dial dial, resent func()) *pool {
	return &pool{config: config, dial: dial, resent: resent, idle: map[string][]*conn{}}
}

// staleTime is how long after sending a kept connection may turn out to have been closed before the request reached the other end.
const staleTime = time.Second

// do makes one attempt. A kept connection that the other end had closed meanwhile costs a second dial, not the attempt: the request is sent again,
// once and on a new connection, if the kept one was gone before anything was written, or was closed at once and without one byte of an answer.
// Whoever took the request and died without a word, just then, may serve and charge for it twice; it is counted.
func (p *pool) do(ctx context.Context, r *Request) (*Response, *fault.Fault) {
	if ctx.Err() != nil {
		return nil, connectFault(ctx, ctx.Err())
	}
	for fresh := false; ; fresh = true {
		c, err := p.get(ctx, r, fresh)
		if err != nil {
			return nil, connectFault(ctx, err)
		}
		sent := time.Now()
		response, err := c.exchange(ctx, r)
		if err == nil {
			return response, nil
		}
		c.drop()
		stale := errors.Is(err, errUnwritten) || errors.Is(err, errSilent) && time.Since(sent) < staleTime
		if c.reused && stale && ctx.Err() == nil {
			p.resent()
			continue
		}
		return nil, connectFault(ctx, err)
	}
}

// get takes the newest idle connection that is still alive, or dials; fresh means that it dials.
func (p *pool) get(ctx context.Context, r *Request, fresh bool) (*conn, error) {
	host := r.URL.Host
	if r.URL.Port() == "" {
		host = net.JoinHostPort(r.URL.Hostname(), "80")
	}
	for !fresh {
		c := p.pop(host)
		if c == nil {
			break
		}
		if c.alive() {
			c.reused = true
			return c, nil
		}
		c.drop()
	}
	raw, err := p.dial(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	return newConn(p, host, raw), nil
}

func (p *pool) pop(host string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[host]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	list[len(list)-1] = nil
	p.idle[host] = list[:len(list)-1]
	return c
}

// put keeps a connection for the next request; it reports whether it did.
func (p *pool) put(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle[c.host]) >= p.config.IdlePerHost {
		return false
	}
	c.since = time.Now()
	p.idle[c.host] = append(p.idle[c.host], c)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.config.IdleTimeout, p.clean)
	}
	return true
}

// clean closes connections that nobody has used for long.
func (p *pool) clean() {
	p.mu.Lock()
	var old []*conn
	left := 0
	limit := time.Now().Add(-p.config.IdleTimeout)
	for host, list := range p.idle {
		n := 0
		for n < len(list) && list[n].since.Before(limit) {
			n++
		}
		old = append(old, list[:n]...)
		kept := append([]*conn(nil), list[n:]...)
		if p.idle[host] = kept; len(kept) == 0 {
			delete(p.idle, host)
		}
		left += len(kept)
	}
	if left > 0 && !p.closed {
		p.sweep.Reset(p.config.IdleTimeout / 2)
	} else {
		p.sweep = nil
	}
	p.mu.Unlock()
	for _, c := range old {
		c.drop()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	all := p.idle
	p.idle = map[string][]*conn{}
	if p.sweep != nil {
		p.sweep.Stop()
	}
	p.mu.Unlock()
	for _, list := range all {
		for _, c := range list {
			c.drop()
		}
	}
}

// alive looks, without waiting, whether the other end has closed a kept connection or said something uncalled for.
func (c *conn) alive() bool {
	raw, ok := c.raw.(syscall.Conn)
	if !ok {
		return true // in memory: whoever closed it is in this process, and writing will tell
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = control.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && quiet
}
