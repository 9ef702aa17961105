package controlplane

import (
	"strings"
	"time"

	"github.com/aimux/aimux/shared/telemetry"
)

// A step of the loop has a span when it changed something that nodes hear of, and so has each push of Health and Config. What a step
// changed is linked to the attempt that caused it.

// transitionsTold bounds the transitions named in a span.
const transitionsTold = 32

// stepSpan begins the span of the step that began at now and has just decided; the zero Span where there is nothing to tell.
func (l *loop) stepSpan(now time.Time) telemetry.Span {
	if !l.led || !l.decision.Changed && len(l.decision.Transitions) == 0 {
		return telemetry.Span{}
	}
	s := l.tracer.Internal("step", now)
	if !s.On() {
		return s
	}
	l.spanSpeaker(s)
	s.Number("aimux.transitions", int64(len(l.decision.Transitions)))
	var told []string
	for _, t := range l.decision.Transitions[:min(len(l.decision.Transitions), transitionsTold)] {
		target := t.GetProvider()
		if t.GetModel() != "" {
			target += "/" + t.GetModel()
		}
		told = append(told, target+": "+stateName(t.GetFrom())+" to "+stateName(t.GetTo())+": "+t.GetReason())
		s.Link(t.GetTraceId(), t.GetSpanId())
	}
	s.Texts("aimux.transition", told)
	if len(told) > 0 {
		s.Keep(false)
	}
	return s
}

// push publishes within a span of its own, by the conventions for messages, and tells the nodes which: theirs are below it.
func (l *loop) push(parent telemetry.Span, what string, send func(traceparent string) error) bool {
	span := parent.Producer("send "+what, time.Now())
	err := send(span.Traceparent())
	if span.On() {
		span.Text("messaging.system", "nats")
		span.Text("messaging.operation.type", "send")
		span.Text("messaging.operation.name", "publish")
		span.Text("messaging.destination.name", what)
		l.spanSpeaker(span)
		if err != nil {
			span.Text("error.type", "unsent")
			span.Fail(err.Error())
			span.Keep(false)
		}
		span.End(time.Now())
	}
	return l.publish(what, err)
}

func (l *loop) spanSpeaker(s telemetry.Span) {
	s.Text("aimux.leader", l.lead.Leader())
	s.Number("aimux.epoch", int64(l.lead.Epoch()))
	s.Number("aimux.table_revision", int64(l.asked.revision))
	s.Number("aimux.health_seq", int64(l.seq))
}

// stateName is a state as spans and logs call it.
func stateName(s interface{ String() string }) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "STATE_"))
}
