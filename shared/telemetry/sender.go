package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
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

// ended is a span that has ended, and what it has to say later.
type ended struct {
	sdktrace.ReadOnlySpan
	later func(*Late)
}

// discard is told of a span that is not sent.
func (e ended) discard() {
	if e.later != nil {
		e.later(nil)
	}
}

// batch is what goes to the collector at once.
type batch struct {
	spans []sdktrace.ReadOnlySpan
	bytes int // of what the spans say late
}

func (b *batch) add(e ended) {
	c := clean{ReadOnlySpan: e.ReadOnlySpan}
	if e.later != nil {
		var late Late
		e.later(&late)
		c.late = late.attributes
		for _, a := range c.late {
			b.bytes += len(a.Value.AsString())
		}
	}
	b.spans = append(b.spans, c)
}

func (b *batch) full() bool { return len(b.spans) >= spansBatch || b.bytes >= batchBytes }

// reset lets go of what was sent.
func (b *batch) reset() {
	clear(b.spans)
	b.spans, b.bytes = b.spans[:0], 0
}

// sender takes spans to the collector in a goroutine of its own. Whoever ends a span never waits: what the queue has no room for is dropped
// and counted.
type sender struct {
	exporter sdktrace.SpanExporter
	log      *slog.Logger
	queue    chan ended
	stop     chan struct{} // closed by close
	done     chan struct{} // closed by the goroutine
	cancel   context.CancelFunc
	ailing   bool // the last batch was not taken

	sent, failed, dropped, unwanted atomic.Uint64
}

func newSender(exporter sdktrace.SpanExporter, metrics *Metrics, log *slog.Logger) *sender {
	s := &sender{exporter: exporter, log: log, queue: make(chan ended, spansQueued), stop: make(chan struct{}), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if metrics != nil {
		metrics.Read(Reading{
			Name: "aimux_spans_total", Help: "Spans that ended, by what became of them: sent, refused by the collector (failed), dropped because too many waited for it, or not chosen (unsampled).",
			Counter: true, Labels: []string{"fate"},
			Read: func(give func(float64, ...string)) {
				give(float64(s.sent.Load()), "sent")
				give(float64(s.failed.Load()), "failed")
				give(float64(s.dropped.Load()), "dropped")
				give(float64(s.unwanted.Load()), "unsampled")
			},
		})
	}
	go s.run(ctx)
	return s
}

// send never waits.
func (s *sender) send(spans []ended) {
	for _, span := range spans {
		select {
		case s.queue <- span:
		default:
			s.dropped.Add(1)
			span.discard()
		}
	}
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
		case span := <-s.queue:
			if len(waiting.spans) == 0 {
				due.Reset(sendEvery)
			}
			if waiting.add(span); !waiting.full() {
				continue
			}
		case <-due.C:
		}
		s.export(ctx, &waiting)
	}
}

// drain sends what is left in the queue.
func (s *sender) drain(ctx context.Context, waiting *batch) {
	for ctx.Err() == nil {
		for !waiting.full() && len(s.queue) > 0 {
			waiting.add(<-s.queue)
		}
		if len(waiting.spans) == 0 {
			return
		}
		s.export(ctx, waiting)
	}
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

// clean is a span without secrets. Looking for them takes time, so it is done here and not where the span ends.
type clean struct {
	sdktrace.ReadOnlySpan
	late []attribute.KeyValue
}

// Name, Attributes and Status are what may hold the words of others.
func (c clean) Name() string { return cleaned(c.ReadOnlySpan.Name()) }

// cleaned is a text without what looks like a key, and without what is not UTF-8: one such byte would have the collector refuse the whole batch.
func cleaned(text string) string { return strings.ToValidUTF8(Scrub(text), "\uFFFD") }

// Attributes of the span, each without what looks like a key.
func (c clean) Attributes() []attribute.KeyValue {
	out := slices.Concat(c.ReadOnlySpan.Attributes(), c.late)
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
	s := c.ReadOnlySpan.Status()
	s.Description = cleaned(s.Description)
	return s
}
