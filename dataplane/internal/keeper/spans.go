package keeper

import (
	"strings"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/telemetry"
)

// changesTold bounds the changes named in a span.
const changesTold = 32

// applied is what became of a table that was pushed.
type applied struct {
	taken bool
	// refused is why a newer one could not be used.
	refused string
}

// traced does the work of applying a push of that kind, in a span below the push's if that one was traced. The caller holds the lock.
func (k *Keeper[W]) traced(kind, traceparent string, head *tablev1.Header, apply func() applied) {
	span := telemetry.Span{}
	if traceparent != "" {
		span = k.deps.Tracer.Consumer("apply table", traceparent, time.Now())
	}
	before := k.base
	done := apply()
	if done.refused != "" {
		span.Keep(false)
	}
	if span.Wanted() {
		k.fill(span, kind, head, before, done)
	}
	span.End(time.Now())
}

func (k *Keeper[W]) fill(s telemetry.Span, kind string, head *tablev1.Header, before *route.Table, done applied) {
	s.Text("messaging.system", "nats")
	s.Text("messaging.operation.type", "process")
	s.Text("messaging.operation.name", "apply")
	s.Text("messaging.destination.name", kind)
	s.Text("aimux.node", k.deps.Node)
	s.Text("aimux.region", k.deps.Region)
	s.Text("aimux.leader", head.GetLeader())
	s.Number("aimux.epoch", int64(head.GetEpoch()))
	s.Number("aimux.health_seq", int64(k.seq))
	have := k.config.GetHeader().GetConfigRevision()
	s.Number("aimux.table_revision", int64(have))
	s.Number("aimux.drift", max(int64(head.GetConfigRevision())-int64(have), 0))
	s.Flag("aimux.applied", done.taken)
	changes, told := changed(before, k.base)
	s.Number("aimux.changes", int64(changes))
	s.Texts("aimux.transition", told)
	if done.refused != "" {
		s.Text("error.type", "refused")
		s.Fail(done.refused)
	}
}

// changed counts the targets that one table has and the other has not, or that stand otherwise, and names some.
func changed(before, after *route.Table) (n int, told []string) {
	if before == after || after == nil {
		return 0, nil
	}
	was := map[string]string{} // :: target → its state
	if before != nil {
		for i, target := range before.Targets() {
			was[target.Key] = stand(before, i)
		}
	}
	tell := func(text string) {
		if n++; n <= changesTold {
			told = append(told, text)
		}
	}
	for i, target := range after.Targets() {
		now, had := stand(after, i), was[target.Key]
		delete(was, target.Key)
		switch {
		case had == "":
			tell(target.Key + ": new, " + now)
		case had != now:
			tell(target.Key + ": " + had + " to " + now)
		}
	}
	for key := range was {
		tell(key + ": gone")
	}
	return n, told
}

func stand(t *route.Table, target int) string {
	return strings.ToLower(t.Health(target).State.String())
}
