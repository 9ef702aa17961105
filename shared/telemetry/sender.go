package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// spansQueued wait for the collector, spansBatch go to it at once, or fewer once what they say late is batchBytes long, sendEvery after the
	// first of them at the latest, and sendTimeout is how long it may take.
	spansQueued = 4096
	spansBatch  = 512
	batchBytes  = 4 << 20
	sendEvery   = time.Second
	sendTimeout = 5 * time.Second
)

// batch is what goes to the collector at once.
type batch struct {
	spans []sdktrace.ReadOnlySpan
	bytes int // of what the spans say late
}

func (b *batch) full() bool { return len(b.spans) >= spansBatch || b.bytes >= batchBytes }

// reset lets go of what was sent.
func (b *batch) reset() {
	clear(b.spans)
	b.spans, b.bytes = b.spans[:0], 0
}

// sender takes spans to the collector in a goroutine of its own. Whoever ends a span never waits: what the queue has no room for is dropped
// and counted, whole families of it.
type sender struct {
	exporter sdktrace.SpanExporter
	resource *sdkresource.Resource
	log      *slog.Logger
	queue    chan []*live  // families
	queued   atomic.Int64  // spans in the queue
	stop     chan struct{} // closed by close
	done     chan struct{} // closed by the goroutine
	cancel   context.CancelFunc
	ailing   bool // the last batch was not taken

	sent, failed, dropped, unchosen, rationed atomic.Uint64
}

func newSender(exporter sdktrace.SpanExporter, resource *sdkresource.Resource, metrics *Metrics, log *slog.Logger) *sender {
	s := &sender{exporter: exporter, resource: resource, log: log, queue: make(chan []*live, spansQueued), stop: make(chan struct{}), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if metrics != nil {
		metrics.Read(Reading{
			Name: "aimux_spans_total", Help: "Spans that ended, by what became of them: sent, refused by the collector (failed), dropped because too many waited for it, not chosen (unsampled), or not chosen and failed, of which there were too many (rationed).",
			Counter: true, Labels: []string{"fate"},
			Read: func(give func(float64, ...string)) {
				give(float64(s.sent.Load()), "sent")
				give(float64(s.failed.Load()), "failed")
				give(float64(s.dropped.Load()), "dropped")
				give(float64(s.unchosen.Load()), "unsampled")
				give(float64(s.rationed.Load()), "rationed")
			},
		})
	}
	go s.run(ctx)
	return s
}

// full says that there is no room for another family, as they usually are; whoever knows need not make it.
func (s *sender) full() bool { return s.queued.Load() > spansQueued-familyUsual }

// send takes a family if there is room for all of it. It never waits.
func (s *sender) send(family []*live) (taken bool) {
	n := int64(len(family))
	if s.queued.Add(n) > spansQueued {
		s.queued.Add(-n)
		return false
	}
	s.queue <- family // it has room for as many families as there are spans, and none is empty
	return true
}

func (s *sender) run(ctx context.Context) {
	defer close(s.done)
	waiting := batch{spans: make([]sdktrace.ReadOnlySpan, 0, spansBatch)}
	due := time.NewTimer(sendEvery)
	defer due.Stop()
	for {
		select {
		case <-s.stop:
			s.drain(ctx, &waiting)
			return
		case family := <-s.queue:
			if len(waiting.spans) == 0 {
				due.Reset(sendEvery)
			}
			s.take(ctx, &waiting, family)
		case <-due.C:
			s.export(ctx, &waiting)
		}
	}
}

// take puts a family into the batch, and sends the batch whenever it is full.
func (s *sender) take(ctx context.Context, b *batch, family []*live) {
	s.queued.Add(-int64(len(family)))
	for _, l := range family {
		c := clean{live: l, resource: s.resource}
		if l.later != nil {
			var late Late
			l.later(&late)
			c.late = late.attributes
			for _, a := range c.late {
				b.bytes += len(a.Value.AsString())
			}
		}
		if b.spans = append(b.spans, c); b.full() {
			s.export(ctx, b)
		}
	}
}

// drain sends what is left in the queue.
func (s *sender) drain(ctx context.Context, waiting *batch) {
	for ctx.Err() == nil && len(s.queue) > 0 {
		s.take(ctx, waiting, <-s.queue)
	}
	s.export(ctx, waiting)
}

// export sends the batch, and empties it. What a collector does not take in time is lost, as any span may be.
func (s *sender) export(ctx context.Context, b *batch) {
	if len(b.spans) == 0 {
		return
	}
	defer b.reset()
	limit, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err := s.exporter.ExportSpans(limit, b.spans)
	if err == nil {
		s.sent.Add(uint64(len(b.spans)))
	} else {
		s.failed.Add(uint64(len(b.spans)))
	}
	if s.log != nil && s.ailing != (err != nil) {
		if err != nil {
			s.log.Warn("the trace collector does not take spans", "error", err)
		} else {
			s.log.Info("the trace collector takes spans again")
		}
	}
	s.ailing = err != nil
}

// close sends what is queued, until ctx ends.
func (s *sender) close(ctx context.Context) {
	release := context.AfterFunc(ctx, s.cancel)
	defer release()
	close(s.stop)
	<-s.done
	s.cancel()
	_ = s.exporter.Shutdown(ctx) // there is nothing left to lose
}

// clean is a span that has ended, as exporters want to see it, without secrets: looking for them takes time, so it is done here and not where the
// span ends.
type clean struct {
	sdktrace.ReadOnlySpan // nil: it lets nobody else be one. All that exporters ask is below.

	live     *live
	resource *sdkresource.Resource
	late     []attribute.KeyValue
}

// cleaned is a text without what looks like a key, and without what is not UTF-8: one such byte would have the collector refuse the whole batch.
func cleaned(text string) string { return strings.ToValidUTF8(Scrub(text), "\uFFFD") }

func (c clean) Name() string                    { return cleaned(c.live.name) }
func (c clean) SpanContext() trace.SpanContext  { return c.live.sentContext() }
func (c clean) Parent() trace.SpanContext       { return c.live.parent }
func (c clean) SpanKind() trace.SpanKind        { return c.live.kind }
func (c clean) StartTime() time.Time            { return c.live.began }
func (c clean) EndTime() time.Time              { return c.live.ended }
func (c clean) Links() []sdktrace.Link          { return c.live.links }
func (c clean) Events() []sdktrace.Event        { return nil }
func (c clean) Resource() *sdkresource.Resource { return c.resource }
func (c clean) InstrumentationScope() instrumentation.Scope {
	return instrumentation.Scope{Name: "github.com/aimux/aimux"}
}
func (c clean) DroppedAttributes() int { return 0 }
func (c clean) DroppedLinks() int      { return 0 }
func (c clean) DroppedEvents() int     { return 0 }
func (c clean) ChildSpanCount() int    { return 0 }

// Attributes of the span, each without what looks like a key.
func (c clean) Attributes() []attribute.KeyValue {
	out := slices.Concat(c.live.attributes, c.late)
	for i, a := range out {
		switch a.Value.Type() {
		case attribute.STRING:
			a.Value = attribute.StringValue(cleaned(a.Value.AsString()))
		case attribute.STRINGSLICE:
			list := a.Value.AsStringSlice()
			for i, text := range list {
				list[i] = cleaned(text)
			}
			a.Value = attribute.StringSliceValue(list)
		default:
		}
		out[i] = a
	}
	return out
}

// Status of the span, its words without what looks like a key.
func (c clean) Status() sdktrace.Status {
	return sdktrace.Status{Code: c.live.status.Code, Description: cleaned(c.live.status.Description)}
}
