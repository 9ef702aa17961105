package outcome

import (
	"time"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
)

// detailBytesMax bounds the provider's own words in a record, and each reason.
const detailBytesMax = 256

// Wire returns the record as it crosses the bus, as told by node.
func (r *Record) Wire(node string) *outcomev1.Record {
	w := &outcomev1.Record{
		RequestId:        r.RequestID,
		TraceId:          r.TraceID,
		Caller:           r.Caller,
		Team:             r.Team,
		Protocol:         r.Protocol.String(),
		RequestedModel:   r.Model,
		Class:            r.Class.String(),
		Stream:           r.Stream,
		StartedUnixMs:    r.Started.UnixMilli(),
		DurationMs:       wholeMS(r.Duration),
		FirstByteMs:      wholeMS(r.FirstByte),
		Status:           uint32(max(r.Status, 0)),
		InputTokens:      r.Usage.Input,
		OutputTokens:     r.Usage.Output,
		CacheReadTokens:  r.Usage.CacheRead,
		CacheWriteTokens: r.Usage.CacheWrite,
		CostNanoUsd:      r.CostNano,
		Reason:           r.Reason,
		Warnings:         r.Warnings,
		TableRevision:    r.Revision,
		Node:             node,
		Candidates:       r.Candidates,
	}
	for _, p := range r.PassedOver {
		w.PassedOver = append(w.PassedOver, &outcomev1.PassedOver{Target: p.Target, Reason: cut(p.Reason)})
	}
	if r.Fault != 0 {
		w.Fault = r.Fault.String()
	}
	for i := range r.Attempts {
		w.Attempts = append(w.Attempts, r.Attempts[i].wire())
	}
	return w
}

func (a *Attempt) wire() *outcomev1.Attempt {
	w := &outcomev1.Attempt{
		Target:       a.Target.wire(),
		Status:       uint32(max(a.Fault.Status, 0)),
		FirstTokenMs: wholeMS(a.FirstToken),
		DurationMs:   wholeMS(a.Duration),
		Hedge:        a.Hedge,
		Probe:        a.Probe,
		Detail:       cut(a.Fault.Message),
		SpanId:       a.SpanID,
	}
	if !a.Fault.OK() {
		w.Fault = a.Fault.Kind.String()
	}
	return w
}

func (t Target) wire() *outcomev1.Target {
	return &outcomev1.Target{Provider: t.Provider, Model: t.Model, Credential: t.Credential}
}

// wholeMS rounds up, so that what took any time at all is not zero.
func wholeMS(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	return uint32(min((d+time.Millisecond-1)/time.Millisecond, 1<<31))
}

// cut shortens s to the bytes a record may carry, without splitting a character.
func cut(s string) string {
	if len(s) <= detailBytesMax {
		return s
	}
	n := detailBytesMax
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
