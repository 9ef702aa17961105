package proxy

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/dataplane/internal/upstream"
	"github.com/aimux/aimux/dataplane/internal/vitals"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/telemetry"
)

// try is one attempt at one target. It belongs to one goroutine, the request's or the hedge's, but for the group at its end.
type try struct {
	x         *exchange
	candidate route.Candidate
	place     *place
	key       *vitals.Key
	triedKeys []*vitals.Key
	permit    Permit
	grounds   string // of the permit, for the span
	vital     vitals.Attempt
	span      telemetry.Span
	hedge     bool   // begun beside another one that was late
	strip     bool   // without the history's thinking
	behind    *try   // goes on with this one's answer; nil for an answer from its beginning
	lesson    string // the words with which its provider refused the try before
	elsewhere bool   // prepare found that another target may be able to
	ended     bool

	began time.Time
	body  *buffer
	came  int // bytes of its answer
	// sends and keeps are bytes of the memory that bodies share: of what it sends, and of its answer.
	sends, keeps int
	response     *upstream.Response
	streams      bool // upstream was asked for a stream
	paused       bool // upstream waits to be asked for the rest
	complete     bool // the whole answer is in held
	heard        bool // the client gets what it says
	outcome      outcome.Attempt

	ctx    context.Context
	cancel context.CancelFunc
	// why it was ended from outside: a fault.Kind and one; 0 as long as it wasn't.
	stopped  atomic.Uint32
	lastRead atomic.Int64 // Unix nanoseconds

	// guarded by exchange.mu
	reply               dialect.Reply
	held                *buffer // translated, and not yet the client's
	opened              bool    // its first token is there
	spoken              bool    // what the client waits for has come
	first               time.Duration
	gaps                gaps
	overdueAt, firstDue time.Time
	expectFirst         time.Duration // the wait for the first token that is usual
	late, lingering     bool
	moves               int       // that the answer had made when it last moved
	moved               time.Time // when that was
}

const (
	bufferBytes     = 16 << 10
	bufferBytesKept = 256 << 10
	// unspokenMax bounds what is held of a stream before it speaks: comments, and events that open it.
	unspokenMax = 1 << 20
)

// buffer is pooled memory for bodies on their way.
type buffer struct{ bytes []byte }

// buffers and reads save allocations of a body's and of a read's size per attempt.
var (
	buffers = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, 0, bufferBytes)} }}
	reads   = sync.Pool{New: func() any { return new([32 << 10]byte) }}
)

func (b *buffer) release() {
	if b != nil && cap(b.bytes) <= bufferBytesKept {
		b.bytes = b.bytes[:0]
		buffers.Put(b)
	}
}

// prepare translates the request for the target.
func (t *try) prepare() *fault.Fault {
	x := t.x
	if f := t.roomToSend(len(x.body)); f != nil {
		return f
	}
	t.body, t.held = buffers.Get().(*buffer), buffers.Get().(*buffer)
	call := dialect.Call{
		Client: x.at.protocol, Body: x.body, Found: &x.found, Target: t.place.dialect, StripThinking: t.strip,
		StreamUpstream: !x.found.Stream && t.place.aggregate && x.found.Ask.MaxTokens >= x.h.config.AggregateFrom,
		RequestID:      x.id, Now: x.began, Keep: x.mayGoOnward(), Named: x.span.On(),
	}
	if t.behind != nil {
		call.Behind = t.behind.reply
	}
	call.Target.APIVersion, call.Target.Beta = x.in.Header("Anthropic-Version"), x.in.Header("Anthropic-Beta")
	body, reply, rejection := x.h.deps.Translator.Prepare(t.body.bytes, &call)
	t.body.bytes = body
	if rejection != nil {
		t.elsewhere = rejection.Elsewhere
		return &fault.Fault{Kind: fault.BadRequest, Message: rejection.Error(), Param: rejection.Path}
	}
	t.streams = call.UpstreamStreams()
	t.reply = reply
	return nil
}

// start puts the try before the watch and into the books.
func (x *exchange) start(t *try) {
	t.began = time.Now()
	t.ctx, t.cancel = context.WithCancel(x.ctx)
	t.lastRead.Store(t.began.UnixNano())
	t.outcome = outcome.Attempt{Target: t.place.name, Hedge: t.hedge, Probe: t.vital.Probe()}
	t.outcome.Target.Credential = t.fingerprint()
	x.h.deps.Ledger.Begin(t.outcome.Target)
	t.span = x.span.Client(operation+" "+t.place.target.Model, t.began)
	t.outcome.SpanID = t.span.SpanID()
	if t.span.On() {
		t.grounds = t.permit.Grounds()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tries = append(x.tries, t)
	x.racing = append(x.racing, t)
	x.watch(t)
	if t.hedge && (x.winner != nil || x.over) {
		t.stop(fault.Canceled) // the race was over before it had begun
	}
}

// run sends, and reads until the answer speaks, or for a plain client until it is complete: a provider that says no more than that it
// begins, and then breaks, can still be exchanged. It returns nil when the client may have this answer, and only this one.
func (t *try) run() *fault.Fault {
	if f := t.send(); f != nil {
		return f
	}
	return t.listen()
}

// send sends the request, and receives the head of an answer or the whole of a refusal.
func (t *try) send() *fault.Fault {
	x := t.x
	request := upstream.Request{
		Method: "POST", URL: t.place.url, Body: t.body.bytes,
		AllowPrivate: t.place.provider.AllowPrivateAddress, InProcess: t.place.inProcess,
	}
	if x.at.protocol == route.Anthropic && strings.Contains("&"+x.in.Query()+"&", "&beta=true&") && t.place.target.Endpoint.Protocol == route.Anthropic {
		request.URL = t.place.betaURL
	}
	var fields [10]upstream.Field
	request.Header = t.place.header(fields[:0], x, t.key, t.streams, t.span)
	response, f := x.h.deps.Upstream.Do(t.ctx, &request)
	if f != nil {
		return t.why(f)
	}
	t.response = response
	t.left()
	if response.Status < 200 || response.Status > 299 {
		return t.refusal()
	}
	if coding := response.Header("Content-Encoding"); coding != "" && coding != "identity" {
		return t.clean(&fault.Fault{Kind: fault.Garbage, Message: "the answer is compressed (" + clip(visible(coding), 20) + "), and was asked for as it is", Sent: true})
	}
	return t.expect(response.Header("Content-Length"))
}

// resume asks for the rest of an answer that has paused.
func (t *try) resume() *fault.Fault {
	x, rest := t.x, buffers.Get().(*buffer)
	var ok bool
	x.mu.Lock()
	rest.bytes, ok = t.reply.Resume(rest.bytes, t.body.bytes)
	t.moved = time.Now()
	x.mu.Unlock()
	t.response.Close()
	t.body.release()
	t.body, t.response, t.paused = rest, nil, false
	if !ok {
		return &fault.Fault{Kind: fault.Garbage, Message: "the answer paused before it said anything", Sent: true}
	}
	x.h.metrics.resumed.Add(1)
	t.lastRead.Store(time.Now().UnixNano())
	return t.send()
}

// listen reads until the client may have the answer.
func (t *try) listen() *fault.Fault {
	buf := reads.Get().(*[32 << 10]byte)
	defer reads.Put(buf)
	for {
		if t.paused {
			if f := t.resume(); f != nil {
				return f
			}
		}
		n, err := t.response.Read(buf[:])
		now := time.Now()
		t.lastRead.Store(now.UnixNano())
		if f := t.arrived(n); f != nil {
			return f
		}
		spoke, f := t.take(buf[:n], errors.Is(err, io.EOF), now)
		switch {
		case f != nil:
			return t.clean(f)
		case spoke && !t.x.claim(t):
			return &fault.Fault{Kind: fault.Canceled, Message: "another provider was quicker"}
		case t.complete, t.paused && t.x.found.Stream:
			return nil
		case t.paused:
		case err != nil:
			return t.why(&fault.Fault{Kind: fault.Truncated, Message: "the connection broke in the middle of the answer", Sent: true})
		case t.spoken && t.x.found.Stream:
			return nil
		}
	}
}

// take feeds what was read; spoke is true once, when the answer has begun to speak.
func (t *try) take(read []byte, end bool, now time.Time) (spoke bool, f *fault.Fault) {
	x := t.x
	x.mu.Lock()
	defer x.mu.Unlock()
	t.held.bytes = t.reply.Feed(t.held.bytes, read)
	if end {
		t.held.bytes = t.reply.Close(t.held.bytes)
	}
	p := t.reply.Progress()
	t.chunks(p, now)
	if !p.Spoken && x.found.Stream && len(t.held.bytes) > unspokenMax {
		return false, &fault.Fault{Kind: fault.Garbage, Message: "the answer went on and on without saying anything", Sent: true}
	}
	t.move(p, now)
	if p.Opened && !t.opened {
		t.open(now)
	}
	if p.Spoken && !t.spoken {
		t.spoken, spoke = true, true
		if t.outcome.Probe && p.Fault.Kind == fault.None {
			// The cluster waits for this word, not for the end of what may be a long stream.
			x.h.deps.Ledger.Answered(t.outcome.Target)
			x.h.deps.Urgent()
		}
	}
	switch {
	case p.Fault.Kind != fault.None:
		copied := p.Fault
		return spoke, &copied
	case p.Paused:
		t.paused = true
	case end && !p.Done:
		return spoke, &fault.Fault{Kind: fault.Truncated, Message: "the answer ended before its end", Sent: true}
	case end, p.Done && !x.found.Stream:
		if !end { // a stream for a plain client: its end is known, the connection's need not be waited for
			t.held.bytes = t.reply.Close(t.held.bytes)
		}
		t.complete = true
	}
	return spoke, nil
}

// chunks counts what a read at now has brought of a stream. The caller holds exchange.mu.
func (t *try) chunks(p *dialect.Progress, now time.Time) {
	if t.streams {
		t.gaps.chunks(t.place.metrics.genAI.gap, p.Tokens, now)
	}
}

// move notes how the answer gets on. The caller holds exchange.mu.
func (t *try) move(p *dialect.Progress, now time.Time) {
	if p.Moves != t.moves || p.Hidden {
		t.moves, t.moved = p.Moves, now
	}
}

// open notes that the first token is there: from now on silence counts, and no more the wait for it. The caller holds exchange.mu.
func (t *try) open(now time.Time) {
	t.opened, t.moved = true, now
	if t.streams {
		t.first = now.Sub(t.began)
	}
	t.x.rearm(now)
	t.vital.FirstToken(t.first)
}
