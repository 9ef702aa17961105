package telemetry

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// spansQueued wait for the collector, spansBatch go to it at once, sendEvery after the first of them at the latest, and sendTimeout is how
	// long it may take.
	spansQueued = 4096
	spansBatch  = 512
	sendEvery   = time.Second
	sendTimeout = 5 * time.Second
)

// sender takes spans to the collector in a goroutine of its own. Whoever ends a span never waits: what the queue has no room for is dropped
// and counted.
type sender struct {
	exporter sdktrace.SpanExporter
	log      *slog.Logger
	queue    chan sdktrace.ReadOnlySpan
	stop     chan struct{} // closed by close
	done     chan struct{} // closed by the goroutine
	cancel   context.CancelFunc
	ailing   bool // the last batch was not taken

	sent, failed, dropped, unwanted atomic.Uint64
}

func newSender(exporter sdktrace.SpanExporter, metrics *Metrics, log *slog.Logger) *sender {
	s := &sender{exporter: exporter, log: log, queue: make(chan sdktrace.ReadOnlySpan, spansQueued), stop: make(chan struct{}), done: make(chan struct{})}
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
func (s *sender) send(spans []sdktrace.ReadOnlySpan) {
	for _, span := range spans {
		select {
		case s.queue <- span:
		default:
			s.dropped.Add(1)
		}
	}
}

func (s *sender) run(ctx context.Context) {
	defer close(s.done)
	batch := make([]sdktrace.ReadOnlySpan, 0, spansBatch)
	due := time.NewTimer(sendEvery)
	defer due.Stop()
	for {
		select {
		case <-s.stop:
			s.drain(ctx, batch)
			return
		case span := <-s.queue:
			if len(batch) == 0 {
				due.Reset(sendEvery)
			}
			if batch = append(batch, clean{span}); len(batch) < spansBatch {
				continue
			}
		case <-due.C:
		}
		s.export(ctx, batch)
		batch = batch[:0]
	}
}

// drain sends what is left in the queue.
func (s *sender) drain(ctx context.Context, batch []sdktrace.ReadOnlySpan) {
	for ctx.Err() == nil {
		for len(batch) < spansBatch && len(s.queue) > 0 {
			batch = append(batch, clean{<-s.queue})
		}
		if len(batch) == 0 {
			return
		}
		s.export(ctx, batch)
		batch = batch[:0]
	}
}

// export sends one batch. What a collector does not take in time is lost, as any span may be.
func (s *sender) export(ctx context.Context, batch []sdktrace.ReadOnlySpan) {
	if len(batch) == 0 {
		return
	}
	limit, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err := s.exporter.ExportSpans(limit, batch)
	if err == nil {
		s.sent.Add(uint64(len(batch)))
	} else {
		s.failed.Add(uint64(len(batch)))
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
type clean struct{ sdktrace.ReadOnlySpan }

// Name, Attributes and Status are what may hold the words of others.
func (c clean) Name() string { return Scrub(c.ReadOnlySpan.Name()) }

// Attributes of the span, each without what looks like a key.
func (c clean) Attributes() []attribute.KeyValue {
	all := c.ReadOnlySpan.Attributes()
	out := make([]attribute.KeyValue, len(all))
	for i, a := range all {
		switch a.Value.Type() {
		case attribute.STRING:
			a.Value = attribute.StringValue(Scrub(a.Value.AsString()))
		case attribute.STRINGSLICE:
			list := a.Value.AsStringSlice()
			for i, text := range list {
				list[i] = Scrub(text)
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
	s.Description = Scrub(s.Description)
	return s
}
