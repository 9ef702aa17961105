package ingress

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aimux/aimux/shared/certs"
)

// server accepts connections and knows those that are open. Each has a goroutine of its own.
type server struct {
	config  Config
	handler func(Exchange)
	log     *slog.Logger
	bodies  bodies

	mu        sync.Mutex
	listeners map[net.Listener]struct{} // guarded by mu
	conns     map[*conn]struct{}        // guarded by mu
	empty     chan struct{}             // closed when there is no connection left after draining has begun; guarded by mu
	draining  atomic.Bool
	stamp     atomic.Pointer[stamp]

	accepted, refused, evicted    atomic.Uint64
	heads, headsSlow, answersSlow atomic.Uint64
}

// New makes a Server. It speaks HTTP/1.1, and 1.0, over whatever its listeners accept.
func New(config Config, deps Deps) Server {
	config = config.withDefaults()
	s := &server{
		config: config, handler: deps.Handler, log: deps.Log,
		listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{}, empty: make(chan struct{}),
	}
	s.bodies.config = config
	return s
}

// acceptPauseMax is the longest pause after an Accept that failed for want of resources.
const acceptPauseMax = time.Second

// Serve accepts from ln until Drain.
func (s *server) Serve(ln net.Listener) error {
	s.mu.Lock()
	s.listeners[ln] = struct{}{}
	s.mu.Unlock()
	if s.draining.Load() {
		_ = ln.Close() // it came too late to be served
	}
	pause := time.Duration(0)
	for {
		raw, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.welcome(raw)
		case s.draining.Load():
			return nil
		case isPassing(err):
			pause = min(max(2*pause, 5*time.Millisecond), acceptPauseMax)
			s.log.Warn("accepting a connection failed; trying again", "error", err, "pause", pause)
			time.Sleep(pause)
		default:
			return err
		}
	}
}

// isPassing reports a failure of Accept that says nothing against the listener.
func isPassing(err error) bool {
	for _, one := range [...]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// welcome serves a connection. One above the limit takes the place of one that is idle, so that nobody is kept out by people who say
// nothing; where all are at work it is closed as it comes: waiting would let the backlog fill with people who get no answer.
func (s *server) welcome(raw net.Conn) {
	c := newConn(s, raw)
	s.mu.Lock()
	room := len(s.conns) < s.config.ConnectionsMax || s.evict()
	if room {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if !room {
		s.refused.Add(1)
		certs.Sever(raw)
		return
	}
	s.accepted.Add(1)
	go c.serve()
}

// looksMax is how many connections are looked at for one that is idle.
const looksMax = 64

// evict closes of some connections that which has been idle for longest; false where none is. The caller holds mu.
func (s *server) evict() bool {
	var longest *conn
	var since int64
	looks := 0
	for c := range s.conns { // in no order: some are as good as others
		if idle := c.idle.Load(); idle != 0 && (longest == nil || idle < since) {
			longest, since = c, idle
		}
		if looks++; looks == looksMax {
			break
		}
	}
	if longest == nil || !longest.idle.CompareAndSwap(since, 0) { // it has just spoken
		return false
	}
	s.evicted.Add(1)
	delete(s.conns, longest)
	certs.Sever(longest.raw)
	return true
}

// forget ends a connection.
func (s *server) forget(c *conn) {
	_ = c.raw.Close() // what was to be said has been said
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.emptied()
}

// emptied notes that a drain has come to its end. The caller holds mu.
func (s *server) emptied() {
	if !s.draining.Load() || len(s.conns) > 0 {
		return
	}
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// Drain lets what runs come to its end, in order until ctx ends and briefly afterwards.
func (s *server) Drain(ctx context.Context) int {
	s.mu.Lock()
	s.draining.Store(true)
	for ln := range s.listeners {
		_ = ln.Close() // nobody new
	}
	for c := range s.conns {
		if c.idle.Load() != 0 {
			_ = c.raw.SetReadDeadline(past) // it waits for a request that is not to come
		}
	}
	s.emptied()
	s.mu.Unlock()
	select {
	case <-s.empty:
		return 0
	case <-ctx.Done():
	}
	s.each(func(c *conn) { c.cancel(ErrDrained) })
	last := time.NewTimer(s.config.DrainedAnswerTime)
	defer last.Stop()
	select {
	case <-s.empty:
		return 0
	case <-last.C:
	}
	cut := 0
	s.each(func(c *conn) {
		cut++
		certs.Sever(c.raw) // it does not read; there is nothing more to tell it
	})
	return cut
}

func (s *server) each(do func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		do(c)
	}
}

// Stats reads the figures.
func (s *server) Stats() Stats {
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	return Stats{
		Connections: int64(open), BufferBytes: s.bodies.held.Load(),
		Accepted: s.accepted.Load(), Refused: s.refused.Load(), Evicted: s.evicted.Load(),
		HeadsRefused: s.heads.Load(), HeadsTooSlow: s.headsSlow.Load(), AnswersTooSlow: s.answersSlow.Load(),
		BodiesTooLarge: s.bodies.tooLarge.Load(), BodiesTooSlow: s.bodies.tooSlow.Load(), BodyFull: s.bodies.full.Load(),
	}
}

// stamp is the date of one second, as headers give it.
type stamp struct {
	unix int64
	text string
}

func (s *server) date() string {
	now := time.Now()
	at := s.stamp.Load()
	if at == nil || at.unix != now.Unix() {
		at = &stamp{now.Unix(), now.UTC().Format(http.TimeFormat)}
		s.stamp.Store(at)
	}
	return at.text
}
