package proxy

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/dataplane/internal/analyze"
	"github.com/aimux/aimux/dataplane/internal/auth"
	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/dataplane/internal/ingress"
	"github.com/aimux/aimux/dataplane/internal/keeper"
	"github.com/aimux/aimux/dataplane/internal/plugin"
	"github.com/aimux/aimux/dataplane/internal/upstream"
	"github.com/aimux/aimux/dataplane/internal/vitals"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/telemetry"
)

// Config holds a Handler's own settings; what an operator may change at run time is in the table. A zero field takes the default
// named beside it.
type Config struct {
	Node, Region, Version string
	// HoldMax is how long a streaming client waits for the first byte before it is told that its request lives, 10 s.
	HoldMax time.Duration
	// PingEvery is how long a committed stream may be silent, 15 s.
	PingEvery time.Duration
	// AggregateFrom is the max_tokens from which a plain request is served by streaming upstream, 16,384.
	AggregateFrom int
	// LogRequests logs one line per request.
	LogRequests bool
	// TraceOwn begins a trace of its own for each request, which only links to the caller's: no caller then decides what is traced.
	TraceOwn bool
	// Content is told in requests' spans.
	Content Content
}

func (c Config) withDefaults() Config {
	if c.HoldMax <= 0 {
		c.HoldMax = 10 * time.Second
	}
	if c.PingEvery <= 0 {
		c.PingEvery = 15 * time.Second
	}
	if c.AggregateFrom <= 0 {
		c.AggregateFrom = 16384
	}
	return c
}

// Deps is what a Handler needs of its owner.
type Deps struct {
	// Snapshot is what to route by now; nil as long as there is no table.
	Snapshot   func() *keeper.Snapshot[*Desk]
	Translator *dialect.Translator
	Upstream   upstream.Engine
	Vitals     *vitals.Vitals
	Ledger     *outcome.Ledger
	Door       *auth.Door
	Limits     Limits // nil means none
	// Order asks the operator's plugin; nil means that there is none. It never takes long.
	Order   func(*plugin.Question) plugin.Result
	Metrics *telemetry.Metrics
	Tracer  *telemetry.Tracer // nil means none
	// Record takes each request's record when it has ended; Urgent is told of hard failures. Neither may wait.
	Record func(*outcome.Record)
	Urgent func()
	// Status says how the table stands, for the health page.
	Status func() keeper.Status
	Log    *slog.Logger
}

// Handler serves exchanges. Safe for concurrent use.
type Handler struct {
	config  Config
	deps    Deps
	metrics *metrics
	started time.Time
	// inFlight requests, pages not counted.
	inFlight atomic.Int64
	draining atomic.Bool
	budgets  budgets
	hearing  *hearing
	// busy asks the limits; here, so that no request has to make it.
	busy func(target *route.Target) bool
}

// New makes a Handler.
func New(config Config, deps Deps) *Handler {
	if deps.Limits == nil {
		deps.Limits = unlimited{}
	}
	h := &Handler{config: config.withDefaults(), deps: deps, metrics: newMetrics(deps.Metrics), started: time.Now(), hearing: newHearing(config.Content, deps.Metrics)}
	h.busy = func(target *route.Target) bool { return h.deps.Limits.Busy(target) }
	return h
}

// InFlight is how many requests are being served.
func (h *Handler) InFlight() int { return int(h.inFlight.Load()) }

// Drain makes the node say that it takes no more; what it still gets it serves.
func (h *Handler) Drain() { h.draining.Store(true) }

// Draining reports that the node takes no more.
func (h *Handler) Draining() bool { return h.draining.Load() }

// Serve answers one exchange.
func (h *Handler) Serve(in ingress.Exchange) {
	at, page := locate(in.Method(), in.Path())
	if page != nil {
		page(h, in, at)
		return
	}
	h.inFlight.Add(1)
	x := h.open(in, at)
	defer x.close() // after finish; what was borrowed goes back
	defer x.finish()
	defer x.survive()
	if f := x.serve(); f != nil {
		x.fail(f)
	}
}

// serve is the story. A fault is the request's end, and still to be told to the client unless the client has begun to read.
func (x *exchange) serve() *fault.Fault {
	if f := x.who(); f != nil {
		return f
	}
	if f := x.read(); f != nil {
		return f
	}
	if f := x.understand(); f != nil {
		return f
	}
	if f := x.admit(); f != nil {
		return f
	}
	if x.at.counting {
		return x.count()
	}
	if f := x.choose(); f != nil {
		return f
	}
	t, f := x.attempts()
	if f != nil {
		return f
	}
	if x.found.Stream {
		return x.stream(t)
	}
	return x.deliver(t)
}

// who finds out who calls, and gives the request its table.
func (x *exchange) who() *fault.Fault {
	snapshot := x.h.deps.Snapshot()
	if snapshot == nil {
		return &fault.Fault{Kind: fault.Overloaded, Message: "this node has no routing table yet; it is waiting for its control plane", RetryAfter: time.Second}
	}
	x.table, x.desk = snapshot.Table, snapshot.Warm
	var f *fault.Fault
	x.caller, f = x.h.deps.Door.Check(x.ctx, x.table, said(x.in))
	return f
}

func said(in ingress.Exchange) auth.Said {
	return auth.Said{APIKey: in.Values("X-Api-Key"), Authorization: in.Values("Authorization"), Origin: in.Header("Origin"), Host: in.Header("Host")}
}

// read takes the whole body.
func (x *exchange) read() *fault.Fault {
	body, refusal := x.in.Body()
	if refusal == nil {
		x.body, x.bodyRead = body, time.Now()
		return nil
	}
	if refusal.Gone {
		return &fault.Fault{Kind: fault.Canceled, Message: refusal.Reason}
	}
	f := &fault.Fault{Kind: fault.BadRequest, Message: refusal.Reason}
	switch refusal.Status {
	case 413:
		f.Kind = fault.TooLarge
	case 503:
		f.Kind, f.RetryAfter = fault.Overloaded, time.Second
		return f
	}
	x.status = refusal.Status
	return f
}

// understand reads what the body asks for.
func (x *exchange) understand() *fault.Fault {
	hints := x.hints()
	problem := analyze.Body(x.at.protocol, x.body, &x.desk.analysis, &hints, &x.found)
	now := time.Now()
	x.analysis = now.Sub(x.began)
	x.setDeadline()
	if problem != nil {
		return &fault.Fault{Kind: fault.BadRequest, Message: problem.Error(), Param: problem.Path}
	}
	x.found.Ask.Protocol = x.at.protocol
	x.found.Ask.Scope = x.caller.Scope
	if verdict := x.table.Permits(&x.found.Ask); verdict.Outcome != route.Picked {
		f := verdict.Fault()
		return &f
	}
	return nil
}

// hints are what the headers say of the request.
func (x *exchange) hints() analyze.Hints {
	return analyze.Hints{
		Session: x.in.Header("X-Claude-Code-Session-Id"), Agent: x.in.Header("X-Claude-Code-Agent-Id"),
		Prefer: x.in.Header("X-Aimux-Prefer"), ClientUA: x.in.Header("User-Agent"), CountTokens: x.at.counting,
	}
}

// admit asks the caller's limits.
func (x *exchange) admit() *fault.Fault {
	take := func() (f *fault.Fault) {
		x.permit, f = x.h.deps.Limits.Admit(x.caller, &x.found.Ask)
		return f
	}
	f := take()
	if f != nil {
		f = x.await("caller/"+x.caller.Name, f, take)
	}
	if f != nil {
		x.grounds = "refused"
		return f
	}
	if x.span.On() {
		x.grounds = x.permit.Grounds()
	}
	return nil
}

// survive keeps a mistake of ours in one request.
func (x *exchange) survive() {
	if r := recover(); r != nil {
		x.panicked(r)
		x.fail(&fault.Fault{Kind: fault.Internal, Message: "the gateway made a mistake; its log says which"})
		x.in.Hangup()
	}
}

// panicked tells of a mistake of ours, from the goroutine that made it.
func (x *exchange) panicked(what any) {
	x.h.metrics.panics.Add(1)
	x.h.deps.Log.Error("a request made the node panic", "request_id", x.id, "trace_id", x.span.TraceID(), "panic", fmt.Sprint(what), "stack", string(debug.Stack()))
}
