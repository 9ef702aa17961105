package telemetry

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes spans and sends them away in the background. A nil Tracer makes spans that cost nothing.
type Tracer struct {
	tracer trace.Tracer
	sender *sender
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
	sampler, err := newSampler(os.Getenv("OTEL_TRACES_SAMPLER"), os.Getenv("OTEL_TRACES_SAMPLER_ARG"))
	if err != nil || sampler == nil {
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
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithResource(resource))
	return &Tracer{tracer: provider.Tracer("github.com/aimux/aimux"), sender: newSender(exporter, c.Metrics, c.Log)}, nil
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

// live is a span that is recorded.
type live struct {
	span   trace.Span
	family *family
	root   bool
	// attributes are set all at once, at the end.
	attributes []attribute.KeyValue
	later      func(*Late)
}

// attributesFew are as many as most spans have.
const attributesFew = 24

// begin makes a span below what ctx holds. Without a family it begins one.
func (t *Tracer) begin(ctx context.Context, f *family, name string, kind trace.SpanKind, at time.Time) Span {
	_, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(at))
	l := &live{span: span, family: f, attributes: make([]attribute.KeyValue, 0, attributesFew)}
	if f == nil {
		l.root, l.family = true, &family{tracer: t, wanted: span.SpanContext().IsSampled()}
	}
	return Span{live: l}
}

// Server begins a request's span, as a child of the W3C traceparent and tracestate that came with it, if any.
func (t *Tracer) Server(name, traceparent, tracestate string, at time.Time) Span {
	parent, ok := parseTraceparent(traceparent)
	if ok {
		if state, err := trace.ParseTraceState(tracestate); err == nil {
			parent = parent.WithTraceState(state)
		}
	}
	if t == nil {
		return Span{from: parent}
	}
	ctx := context.Background()
	if ok {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	return t.begin(ctx, nil, name, trace.SpanKindServer, at)
}

// Client begins a call to somebody else that no request has asked for.
func (t *Tracer) Client(name string, at time.Time) Span {
	if t == nil {
		return Span{}
	}
	return t.begin(context.Background(), nil, name, trace.SpanKindClient, at)
}

// Internal begins work that nobody has asked for.
func (t *Tracer) Internal(name string, at time.Time) Span {
	if t == nil {
		return Span{}
	}
	return t.begin(context.Background(), nil, name, trace.SpanKindInternal, at)
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
	return s.live.family.tracer.begin(trace.ContextWithSpan(context.Background(), s.live.span), s.live.family, name, kind, at)
}

func (s Span) add(a attribute.KeyValue) {
	if s.live != nil {
		s.live.attributes = append(s.live.attributes, a)
	}
}

// Text sets an attribute. What has the shape of a key is cut out of it before it leaves the process.
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
		s.live.span.SetName(name)
	}
}

// Link points at the span of another trace, by both ids in hexadecimal; what is no id is not linked to.
func (s Span) Link(traceID, spanID string) {
	if s.live == nil {
		return
	}
	t, err := trace.TraceIDFromHex(traceID)
	id, wrong := trace.SpanIDFromHex(spanID)
	if err == nil && wrong == nil {
		s.live.span.AddLink(trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: t, SpanID: id, Remote: true})})
	}
}

// Keep has the whole trace sent, whether or not it was chosen at its beginning.
func (s Span) Keep() {
	if s.live != nil {
		s.live.family.keep()
	}
}

// End ends it. The last of a trace to end must be the first that began.
func (s Span) End(at time.Time) {
	if s.live == nil {
		return
	}
	s.live.span.SetAttributes(s.live.attributes...)
	s.live.span.End(trace.WithTimestamp(at))
	if read, ok := s.live.span.(sdktrace.ReadOnlySpan); ok {
		s.live.family.ended(ended{read, s.live.later}, s.live.root)
	}
}

// On says whether anybody may see the span.
func (s Span) On() bool { return s.live != nil }

func (s Span) context() trace.SpanContext {
	if s.live == nil {
		return s.from
	}
	return s.live.span.SpanContext()
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
	return s.live.span.SpanContext().SpanID().String()
}

// Traceparent is the header for whom s calls; empty when there is no trace.
func (s Span) Traceparent() string {
	c := s.context()
	if !c.IsValid() {
		return ""
	}
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// Tracestate is the header that goes with Traceparent; empty when there is nothing in it.
func (s Span) Tracestate() string { return s.context().TraceState().String() }

// parseTraceparent reads version 00 of the W3C header.
func parseTraceparent(text string) (parent trace.SpanContext, ok bool) {
	if len(text) != 55 || text[:3] != "00-" || text[35] != '-' || text[52] != '-' {
		return parent, false
	}
	var traceID trace.TraceID
	var spanID trace.SpanID
	var flags [1]byte
	if _, err := hex.Decode(traceID[:], []byte(text[3:35])); err != nil {
		return parent, false
	}
	if _, err := hex.Decode(spanID[:], []byte(text[36:52])); err != nil {
		return parent, false
	}
	if _, err := hex.Decode(flags[:], []byte(text[53:])); err != nil {
		return parent, false
	}
	read := trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags[0]), Remote: true})
	if !read.IsValid() {
		return parent, false
	}
	return read, true
}
