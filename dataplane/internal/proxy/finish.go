package proxy

import (
	"log/slog"
	"strings"
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
)

// finish closes the books, exactly once, whatever happened: the watch ends, the hedge is waited for, every try has its outcome, the request
// its one record.
func (x *exchange) finish() {
	x.mu.Lock()
	x.over = true
	x.quiet = x.timer == nil || x.timer.Stop()
	for _, t := range x.racing {
		t.stop(fault.Canceled)
	}
	hedging := x.hedging
	x.mu.Unlock()
	if hedging != nil {
		<-hedging
	}
	for _, t := range x.tries {
		t.end(&fault.Fault{Kind: fault.Canceled, Message: "not needed any more"})
		t.held.release()
	}
	now := time.Now()
	rec := x.record(now)
	if x.permit != nil {
		x.permit.Settle(rec.Usage, rec.CostNano)
	}
	if x.answerer != nil && x.fault == fault.None && x.found.Ask.Session != 0 {
		x.desk.bound.Settled(x.found.Ask.Session, int(x.answerer.candidate.Target))
	}
	x.endSpans(rec, now)
	x.h.metrics.request(x, rec)
	if x.h.config.LogRequests || x.h.deps.Log.Enabled(x.ctx, slog.LevelDebug) {
		x.log(rec)
	}
	x.h.deps.Record(rec) // it is no longer ours
}

func (x *exchange) log(rec *outcome.Record) {
	at := ""
	if x.answerer != nil {
		at = x.answerer.place.target.Key
	}
	x.h.deps.Log.Info("request", "request_id", rec.RequestID, "trace_id", rec.TraceID, "caller", rec.Caller, "team", rec.Team, "protocol", rec.Protocol.String(), "model", rec.Model,
		"class", rec.Class.String(), "stream", rec.Stream, "target", at, "reason", rec.Reason, "attempts", len(rec.Attempts), "status", rec.Status,
		"fault", rec.Fault.String(), "ms", rec.Duration.Milliseconds(), "first_byte_ms", rec.FirstByte.Milliseconds(),
		"input_tokens", rec.Usage.Input, "output_tokens", rec.Usage.Output, "warnings", strings.Join(rec.Warnings, "; "))
}
