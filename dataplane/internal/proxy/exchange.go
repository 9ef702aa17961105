package proxy

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aimux/aimux/dataplane/internal/analyze"
	"github.com/aimux/aimux/dataplane/internal/auth"
	"github.com/aimux/aimux/dataplane/internal/ingress"
	"github.com/aimux/aimux/dataplane/internal/vitals"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/telemetry"
)

// exchange is one request's notebook. It belongs to the goroutine that serves the request, but for the group at its end.
type exchange struct {
	h      *Handler
	in     ingress.Exchange
	at     street
	id     string
	began  time.Time
	random uint64
	span   telemetry.Span

	// what is learnt on the way
	table    *route.Table
	desk     *Desk
	caller   auth.Caller
	permit   Permit
	grounds  string     // of the permit, for the span
	asked    *route.Ask // what the chain was chosen for, until the span has told it
	body     []byte
	found    analyze.Result
	view     vitals.View
	chain    []route.Candidate
	chainBuf [8]route.Candidate
	ordered  bool // by the operator's plugin

	// how it goes
	bodyRead  time.Time
	analysis  time.Duration
	queued    time.Duration // waited for room
	firstByte time.Duration
	next      int                  // index in chain of the candidate to try next
	tries     []*try               // all, in the order of their beginning
	dropped   []outcome.PassedOver // who serves the model, and is no candidate
	skipped   []outcome.PassedOver // candidates that were not tried
	triesBuf  [4]*try
	answerer  *try // whose bytes the client gets
	status    int  // what the client is answered; set ahead of time where the fault's own would not do
	fault     fault.Kind
	quiet     bool // the timer will not fire any more
	lessons   int  // tries that have taught what their provider refuses
	onward    int  // how often a broken answer was to go on elsewhere
	hears     bool // its span tells what is said

	// until when the client waits: for the first byte, and for the last
	headDeadline, deadline time.Time

	// mu guards what the watch shares with the request's goroutine: everything below, the tries' replies, and writing to the client.
	mu        sync.Mutex
	ctx       context.Context
	cancel    context.CancelCauseFunc
	timer     *time.Timer
	due       time.Time // when the timer fires
	over      bool      // the watch has nothing to do any more
	committed bool      // the client has got the head of its answer
	racing    []*try
	winner    *try // the first whose answer has begun
	out       []byte
	wrote     time.Time
	hedging   chan struct{} // closed when the hedge has returned; nil without one
	hedged    *try
	speaker   *try // whose head was sent
	aborted   bool // the stream was ended with an error
	heard     []byte
}

// exchanges saves the notebook's allocation.
var exchanges = sync.Pool{New: func() any { return new(exchange) }}

func (h *Handler) open(in ingress.Exchange, at street) *exchange {
	x := exchanges.Get().(*exchange)
	*x = exchange{h: h, in: in, at: at, began: in.Begun(), random: rand.Uint64(), out: x.out[:0], timer: x.timer}
	x.chain, x.tries = x.chainBuf[:0], x.triesBuf[:0]
	x.id = requestID(x.random, rand.Uint64())
	x.deadline = x.began.Add(requestTimeoutDefault)
	x.headDeadline = x.deadline
	x.ctx, x.cancel = context.WithCancelCause(in.Context())
	if h.config.TraceOwn {
		x.span = h.deps.Tracer.Stranger("aimux "+at.path, in.Header("Traceparent"), x.began)
	} else {
		x.span = h.deps.Tracer.Server("aimux "+at.path, in.Header("Traceparent"), in.Header("Tracestate"), x.began)
	}
	return x
}

// outKept bounds the buffer that a notebook keeps for the next request.
const outKept = 64 << 10

// close gives back what was borrowed. Nobody else knows the notebook any more: finish has stopped the watch and waited for the hedge.
func (x *exchange) close() {
	x.cancel(nil)
	x.h.inFlight.Add(-1)
	if !x.quiet || cap(x.out) > outKept {
		return // its timer may be about to look at it once more
	}
	*x = exchange{out: x.out, timer: x.timer}
	exchanges.Put(x)
}

const hexDigits = "0123456789abcdef"

// requestID is "req_" and 24 hexadecimal digits.
func requestID(a, b uint64) string {
	var id [28]byte
	copy(id[:], "req_")
	for i := 4; i < len(id); i++ {
		if i == 16 {
			a = b
		}
		id[i] = hexDigits[a&15]
		a >>= 4
	}
	return string(id[:])
}

// requestTimeoutDefault holds until the table has been asked, and where its policy says nothing.
const requestTimeoutDefault = 600 * time.Second

// deadlineMin keeps a client's deadline from being one that nothing can meet.
const deadlineMin = 100 * time.Millisecond

// setDeadline works out until when the client waits: the policy's time, or its own if that is shorter. An SDK's own timeout ends, for a
// stream, with the first byte.
func (x *exchange) setDeadline() {
	limit := x.table.Policy().RequestTimeout
	if limit <= 0 {
		limit = requestTimeoutDefault
	}
	x.deadline = x.began.Add(limit)
	if own, ok := parseWait(x.in.Header("X-Request-Timeout")); ok {
		x.deadline = earlier(x.deadline, x.began.Add(own))
	}
	x.headDeadline = x.deadline
	if own, ok := parseWait(x.in.Header("X-Stainless-Timeout")); ok {
		x.headDeadline = earlier(x.headDeadline, x.began.Add(own))
		if !x.found.Stream {
			x.deadline = x.headDeadline
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// parseWait reads seconds, or a duration with its unit.
func parseWait(text string) (d time.Duration, ok bool) {
	if text == "" {
		return 0, false
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil && s > 0 && s < 1e6 {
		d = time.Duration(s * float64(time.Second))
	} else if d, err = time.ParseDuration(text); err != nil || d <= 0 {
		return 0, false
	}
	return max(d, deadlineMin), true
}

// gone says why the client's context ended, as a fault.
func (x *exchange) gone() *fault.Fault {
	if context.Cause(x.in.Context()) == ingress.ErrDrained { //nolint:errorlint // the very value
		return &fault.Fault{Kind: fault.Overloaded, Message: "this node is shutting down; try again", RetryAfter: time.Second}
	}
	return &fault.Fault{Kind: fault.Canceled, Message: "the client left"}
}

// reason says in a word why the answer came from where it came.
func (x *exchange) reason() string {
	switch {
	case x.answerer == nil:
		return "none"
	case x.answerer.behind != nil:
		return "continued"
	case x.answerer.hedge:
		return "hedge"
	case len(x.tries) > 1:
		return "failover"
	case x.answerer.candidate.Probe():
		return "probe"
	case x.answerer.candidate.Sticky():
		return "sticky"
	case x.answerer.candidate.Pinned():
		return "pinned"
	case x.answerer.candidate.Fallback():
		return "fallback"
	case x.answerer.candidate.LastResort():
		return "last-resort"
	}
	if b := x.table.Policy().Balancer; b != route.Plugin || x.ordered {
		return b.String()
	}
	return fallbackBalancer.String()
}

// record is what is left of the request.
func (x *exchange) record(now time.Time) *outcome.Record {
	r := &outcome.Record{
		RequestID: x.id, TraceID: x.span.TraceID(), Caller: x.caller.Name, Team: x.caller.Team, Protocol: x.at.protocol, Model: telemetry.Scrub(clip(x.found.Ask.Model, 256)),
		Class: x.found.Ask.Class, Stream: x.found.Stream, Started: x.began, Duration: now.Sub(x.began), FirstByte: x.firstByte,
		Status: x.status, Fault: x.fault, Reason: x.reason(), Warnings: x.lost(),
	}
	if x.table != nil {
		r.Revision = x.table.Revision().Config
	}
	r.Candidates, r.PassedOver = x.considered()
	used := outcome.Usage{Reported: true}
	for _, t := range x.tries {
		r.Attempts = append(r.Attempts, t.outcome)
		r.CostNano += t.outcome.CostNano
		if t.heard {
			used = used.Plus(t.outcome.Usage)
			r.Usage = used
		}
	}
	return r
}

// considered are who was to be tried, in order, and who was not, with the reasons.
func (x *exchange) considered() (candidates []string, passedOver []outcome.PassedOver) {
	passedOver = slices.Concat(x.skipped, x.dropped)
	return x.candidates(toldMax), passedOver[:min(len(passedOver), toldMax)]
}

// candidates are the first of who is to be tried, in order.
func (x *exchange) candidates(most int) (keys []string) {
	if len(x.chain) > 0 {
		keys = make([]string, 0, min(len(x.chain), most))
	}
	for _, c := range x.chain[:min(len(x.chain), most)] {
		keys = append(keys, x.table.Target(int(c.Target)).Key)
	}
	return keys
}

func clip(text string, bytes int) string {
	if len(text) > bytes {
		return text[:bytes]
	}
	return text
}
