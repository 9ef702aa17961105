package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes spans and sends them away in the background. A nil Tracer makes spans that cost nothing.
type Tracer struct {
	sampler sampler
	sender  *sender
	// kept and refused bound how many traces are sent beyond those that were chosen.
	kept, refused ration
}

// TracerConfig says whose spans they are. Metrics and Log may be nil.
type TracerConfig struct {
	Service, Instance, Version string
	// Metrics shows what became of the spans; Log hears when the collector begins to refuse them, and when it takes them again.
	Metrics *Metrics
	Log     *slog.Logger
}

// NewTracer exports over OTLP/HTTP as the usual environment says (OTEL_EXPORTER_OTLP_ENDPOINT or …_TRACES_ENDPOINT, and what
// goes with them; OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES). Without an endpoint it returns nil: no tracing.
func NewTracer(ctx context.Context, c TracerConfig) (*Tracer, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil //nolint:nilnil // a nil Tracer is a Tracer
	}
	sampler, on, err := newSampler(os.Getenv("OTEL_TRACES_SAMPLER"), os.Getenv("OTEL_TRACES_SAMPLER_ARG"))
	if err != nil || !on {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("making the trace exporter: %w", err)
	}
	resource, err := sdkresource.New(ctx, sdkresource.WithAttributes(
		attribute.String("service.name", c.Service), attribute.String("service.instance.id", c.Instance), attribute.String("service.version", c.Version),
	), sdkresource.WithTelemetrySDK(), sdkresource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("reading OTEL_RESOURCE_ATTRIBUTES=%s: %w", os.Getenv("OTEL_RESOURCE_ATTRIBUTES"), err)
	}
	return &Tracer{
		sampler: sampler, sender: newSender(exporter, resource, c.Metrics, c.Log),
		kept: ration{perSecond: keptPerSecond, most: keptAtOnce}, refused: ration{perSecond: refusedPerSecond, most: refusedAtOnce},
	}, nil
}

// Close sends what is left, until ctx ends.
func (t *Tracer) Close(ctx context.Context) {
	if t != nil {
		t.sender.close(ctx)
	}
}

// Span is one piece of work. The zero Span does nothing. Its methods may be called by one goroutine at a time.
type Span struct {
	live *live
	// from is, where nothing is traced here, the context that came with the request and is passed on.
	from trace.SpanContext
}

// live is a span that is recorded. Of most it is known only at their end that nobody wants them, so it costs little until somebody does.
type live struct {
	family          *family
	root            bool
	name            string
	kind            trace.SpanKind
	context, parent trace.SpanContext
	began, ended    time.Time
	attributes      []attribute.KeyValue
	links           []sdktrace.Link
	status          sdktrace.Status
	later           func(*Late)
}

// attributesFew are as many as most spans have.
const attributesFew = 24

// begin makes a span below its parent, if that is one. Without a family it begins one.
func (t *Tracer) begin(f *family, parent trace.SpanContext, name string, kind trace.SpanKind, at time.Time) Span {
	if t == nil {
		return Span{}
	}
	own := trace.SpanContextConfig{TraceID: parent.TraceID(), SpanID: newSpanID(), TraceFlags: parent.TraceFlags(), TraceState: parent.TraceState()}
	l := &live{family: f, name: name, kind: kind, parent: parent, began: at}
	if f == nil {
		if !parent.IsValid() {
			own.TraceID = newTraceID()
		}
		chosen := t.sampler.chooses(parent, own.TraceID)
		own.TraceFlags = own.TraceFlags.WithSampled(chosen)
		l.root, l.family = true, &family{tracer: t, wanted: chosen}
	}
	l.context = trace.NewSpanContext(own)
	return Span{live: l}
}

// Server begins a request's span, as a child of the W3C traceparent and tracestate that came with it, if any.
func (t *Tracer) Server(name, traceparent, tracestate string, at time.Time) Span {
	parent := parseParent(traceparent, tracestate)
	if t == nil {
		return Span{from: parent}
	}
	return t.begin(nil, parent, name, trace.SpanKindServer, at)
}

// Stranger begins the span of a request whose caller is not to decide what is traced: in a trace of its own, which links to the caller's.
// Where nothing is traced here, nothing of the caller's is passed on.
func (t *Tracer) Stranger(name, traceparent string, at time.Time) Span {
	if t == nil {
		return Span{}
	}
	s := t.begin(nil, trace.SpanContext{}, name, trace.SpanKindServer, at)
	if from := parseParent(traceparent, ""); from.IsValid() {
		s.live.links = []sdktrace.Link{{SpanContext: from}}
	}
	return s
}

// Consumer begins the handling of a message as a child of the traceparent that came with it, from a party that is trusted: if that one's trace
// is sent, so is this.
func (t *Tracer) Consumer(name, traceparent string, at time.Time) Span {
	if t == nil {
		return Span{}
	}
	parent := parseParent(traceparent, "")
	s := t.begin(nil, parent, name, trace.SpanKindConsumer, at)
	s.live.family.wanted = s.live.family.wanted || parent.IsSampled()
	return s
}

// Client begins a call to somebody else that no request has asked for.
func (t *Tracer) Client(name string, at time.Time) Span {
	return t.begin(nil, trace.SpanContext{}, name, trace.SpanKindClient, at)
}

// Internal begins work that nobody has asked for.
func (t *Tracer) Internal(name string, at time.Time) Span {
	return t.begin(nil, trace.SpanContext{}, name, trace.SpanKindInternal, at)
}

// Client begins a call to somebody else, as a child of s.
func (s Span) Client(name string, at time.Time) Span { return s.child(name, trace.SpanKindClient, at) }

// Producer begins the sending of a message, as a child of s.
func (s Span) Producer(name string, at time.Time) Span {
	return s.child(name, trace.SpanKindProducer, at)
}

func (s Span) child(name string, kind trace.SpanKind, at time.Time) Span {
	if s.live == nil {
		return Span{from: s.from}
	}
	return s.live.family.tracer.begin(s.live.family, s.live.context, name, kind, at)
}

func (s Span) add(a attribute.KeyValue) {
	switch {
	case s.live == nil:
		return
	case s.live.attributes == nil:
		s.live.attributes = make([]attribute.KeyValue, 0, attributesFew)
	}
	s.live.attributes = append(s.live.attributes, a)
}

// Text sets an attribute, at most once. What has the shape of a key is cut out of it before it leaves the process.
func (s Span) Text(key, value string) { s.add(attribute.String(key, value)) }

// Number sets an attribute.
func (s Span) Number(key string, value int64) { s.add(attribute.Int64(key, value)) }

// Real sets an attribute.
func (s Span) Real(key string, value float64) { s.add(attribute.Float64(key, value)) }

// Flag sets an attribute.
func (s Span) Flag(key string, value bool) { s.add(attribute.Bool(key, value)) }

// Texts sets an attribute that is a list; an empty one is left out.
func (s Span) Texts(key string, values []string) {
	if s.live != nil && len(values) > 0 {
		s.add(attribute.StringSlice(key, values))
	}
}

// Later has work say more of the span once it is sent: in the goroutine that sends, where it may take its time. It is called once, with nil if the
// span is not sent.
func (s Span) Later(work func(*Late)) {
	if s.live == nil {
		work(nil)
		return
	}
	s.live.later = work
}

// Late is where Later's work puts what it has to say.
type Late struct{ attributes []attribute.KeyValue }

// Text sets an attribute, as Span.Text does.
func (l *Late) Text(key, value string) {
	l.attributes = append(l.attributes, attribute.String(key, value))
}

// Number sets an attribute.
func (l *Late) Number(key string, value int64) {
	l.attributes = append(l.attributes, attribute.Int64(key, value))
}

// Name gives the span its name once more is known than at its beginning.
func (s Span) Name(name string) {
	if s.live != nil {
		s.live.name = name
	}
}

// linksMax bounds the links of a span.
const linksMax = 128

// Link points at the span of another trace, by both ids in hexadecimal; what is no id is not linked to.
func (s Span) Link(traceID, spanID string) {
	if s.live == nil || len(s.live.links) >= linksMax {
		return
	}
	t, err := trace.TraceIDFromHex(traceID)
	id, wrong := trace.SpanIDFromHex(spanID)
	if err == nil && wrong == nil {
		s.live.links = append(s.live.links, sdktrace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: t, SpanID: id, Remote: true})})
	}
}

// Fail marks the span as failed. Whether that has the trace sent is for Keep to say.
func (s Span) Fail(reason string) {
	if s.live != nil {
		s.live.status = sdktrace.Status{Code: codes.Error, Description: reason}
	}
}

// End ends it. The last of a trace to end must be the first that began.
func (s Span) End(at time.Time) {
	if s.live != nil {
		s.live.ended = at
		s.live.family.ended(s.live)
	}
}

// On says whether anybody may see the span.
func (s Span) On() bool { return s.live != nil }

func (s Span) context() trace.SpanContext {
	if s.live == nil {
		return s.from
	}
	return s.live.context
}

// TraceID is in hexadecimal; empty when there is no trace.
func (s Span) TraceID() string {
	if c := s.context(); c.HasTraceID() {
		return c.TraceID().String()
	}
	return ""
}

// SpanID is in hexadecimal; empty when nothing is recorded.
func (s Span) SpanID() string {
	if s.live == nil {
		return ""
	}
	return s.live.context.SpanID().String()
}

// Traceparent is the header for whom s calls, which says whether this trace will be sent as far as is known now; empty when there is no trace.
func (s Span) Traceparent() string {
	c := s.context()
	if !c.IsValid() {
		return ""
	}
	if s.live != nil {
		c = s.live.sentContext()
	}
	return formatParent(c)
}

// Tracestate is the header that goes with Traceparent; empty when there is nothing in it.
func (s Span) Tracestate() string { return s.context().TraceState().String() }

// sentContext is the context, chosen if the trace is to be sent.
func (l *live) sentContext() trace.SpanContext {
	return l.context.WithTraceFlags(l.context.TraceFlags().WithSampled(l.context.IsSampled() || l.family.sendable()))
}
