package proxy

import (
	"context"
	"math/rand/v2"
	"net/textproto"
	"sync"
	"time"

	"github.com/aimux/aimux/dataplane/internal/upstream"
	"github.com/aimux/aimux/dataplane/internal/vitals"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
)

// The rhythm and the bounds of free probes.
const (
	probeEvery   = 200 * time.Millisecond
	probeTimeout = 10 * time.Second
	probesMax    = 8
	probeBytes   = 64 << 10
)

// Probes sends the free probes that the cluster grants to this node, and those that its own circuits wait for, until ctx ends; it returns when the
// last one has.
func (h *Handler) Probes(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	room := make(chan struct{}, probesMax)
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s := h.deps.Snapshot()
		if s == nil {
			continue
		}
		for i := range s.Table.Targets() {
			if s.Warm.places[i].probe == nil {
				continue
			}
			vital := &vitals.Attempt{}
			if len(room) == cap(room) || !s.Warm.bound.BeginProbe(vital, i, s.Table, h.deps.Vitals.NowMs()) {
				continue
			}
			room <- struct{}{}
			running.Go(func() {
				defer func() { <-room }()
				h.probe(ctx, &s.Warm.places[i], vital, s.Warm.bound, s.Table, i)
			})
		}
	}
}

// probe makes one free call and reports it like any attempt, marked as what it is.
func (h *Handler) probe(ctx context.Context, p *place, vital *vitals.Attempt, bound *vitals.Bound, table *route.Table, i int) {
	began := time.Now()
	key, _ := bound.PickKey(i, table, nil)
	target := p.name
	if key != nil {
		target.Credential = key.Credential.Fingerprint
	}
	h.deps.Ledger.Begin(target)
	limit := probeTimeout
	if grant := table.Health(i).Probe; grant.Node == h.config.Node && grant.ExpiresMs > 0 {
		limit = min(limit, time.Duration(grant.ExpiresMs-h.deps.Vitals.NowMs())*time.Millisecond) // behind it, somebody else may hold the next grant
	}
	span := h.deps.Tracer.Client("probe "+target.Provider, began)
	f := h.callProbe(ctx, p, key, limit)
	if f.OK() {
		vital.FirstToken(0)
	}
	now := time.Now()
	vital.End(f, 0, 0)
	attempt := outcome.Attempt{Target: target, Fault: *f, Probe: true, Duration: now.Sub(began), Ended: now, SpanID: span.SpanID()}
	h.deps.Ledger.Observe(&attempt)
	endProbe(span, p, &attempt)
	p.metrics.attempt(&attempt, span.Example())
	h.deps.Record(&outcome.Record{
		RequestID: "probe_" + requestID(rand.Uint64(), rand.Uint64())[4:], TraceID: span.TraceID(), Protocol: p.target.Endpoint.Protocol, Model: p.target.Model, Started: began,
		Duration: attempt.Duration, Fault: f.Kind, Status: f.Status, Attempts: []outcome.Attempt{attempt}, Reason: "free probe", Revision: table.Revision().Config,
	})
	h.deps.Urgent()
}

func (h *Handler) callProbe(ctx context.Context, p *place, key *vitals.Key, limit time.Duration) *fault.Fault {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	fields := p.authorize([]upstream.Field{{Name: "User-Agent", Value: "aimux/" + h.config.Version}, {Name: "Accept", Value: "application/json"}}, key)
	if p.target.Endpoint.Protocol == route.Anthropic {
		fields = append(fields, upstream.Field{Name: "Anthropic-Version", Value: apiVersionDefault})
	}
	response, f := h.deps.Upstream.Do(ctx, &upstream.Request{
		Method: "GET", URL: p.probe, Header: fields, AllowPrivate: p.provider.AllowPrivateAddress, InProcess: p.inProcess,
	})
	late := &fault.Fault{Kind: fault.FirstToken, Message: "the probe was not answered in time", Sent: true}
	if f != nil {
		if ctx.Err() != nil {
			return late
		}
		return f
	}
	defer response.Close()
	body, _ := response.ReadAll(nil, probeBytes)
	if ctx.Err() != nil {
		return late
	}
	if response.Status >= 200 && response.Status < 300 {
		return &fault.Fault{}
	}
	header := func(name string) string { return response.Header(textproto.CanonicalMIMEHeaderKey(name)) }
	decoded := h.deps.Translator.DecodeError(&p.dialect, response.Status, header, body)
	if decoded.Kind.Rule().Charge == fault.Nobody {
		return &fault.Fault{} // it answers, and says that this is not how to ask: it is there
	}
	return &decoded
}
