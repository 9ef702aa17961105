package proxy

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/aimux/aimux/dataplane/internal/analyze"
	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/dataplane/internal/upstream"
	"github.com/aimux/aimux/dataplane/internal/vitals"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/telemetry"
)

// Desk is everything that requests would otherwise work out anew each time, worked out once per configuration. Immutable.
type Desk struct {
	places   []place // by index of the target
	bound    *vitals.Bound
	analysis analyze.Policy
}

// place is where and how a target is reached.
type place struct {
	target              *route.Target
	provider            *route.Provider
	sheet               *provider.Sheet
	url, betaURL, count *url.URL
	probe               *url.URL
	keyHeader           string
	inProcess           bool
	dialect             dialect.Target
	metrics             *targetMetrics
	name                outcome.Target // without a credential
	aggregate           bool           // it can stream, so long plain answers are asked for as streams
}

// InProcessDomain stands behind the id of a provider that lives inside this process, as the host of what it is sent.
const InProcessDomain = ".synthetic.invalid"

// InProcess reports that a provider lives inside this process: its kind allows it, and it has no URL.
func InProcess(p *route.Provider) bool {
	sheet, ok := provider.For(p.Kind)
	return ok && sheet.InProcess && p.BaseURL == ""
}

// Warm prepares a configuration; an error refuses it.
func (h *Handler) Warm(t *route.Table) (*Desk, error) {
	p := t.Policy()
	d := &Desk{analysis: analyze.Policy{ClassOrder: p.ClassOrder, LongContextTokens: p.LongContextTokens, ThinkingBudgetTokens: p.ThinkingBudgetTokens}}
	for i := range t.Targets() {
		one, err := h.place(t, &t.Targets()[i])
		if err != nil {
			return nil, err
		}
		d.places = append(d.places, one)
	}
	d.bound = h.deps.Vitals.Bind(t)
	return d, nil
}

// Heed takes what a newer view of health says of keys. Safe for concurrent use.
func (d *Desk) Heed(t *route.Table, nowMs int64) { d.bound.Heed(t, nowMs) }

func (h *Handler) place(t *route.Table, target *route.Target) (place, error) {
	p := t.Provider(target.Provider)
	sheet, ok := provider.For(p.Kind)
	if !ok {
		return place{}, fmt.Errorf("providers.%s.kind: %q is not a kind that this node knows", p.ID, p.Kind)
	}
	end := sheet.Endpoint(target.Endpoint.Protocol)
	base := target.Endpoint.BaseURL
	if base == "" {
		base = end.BaseURL
	}
	one := place{
		target: target, provider: p, sheet: sheet, keyHeader: end.KeyHeader, aggregate: (target.Has|target.Unknown)&route.Streaming != 0,
		name: outcome.Target{Provider: target.ProviderID, Model: target.Model},
		dialect: dialect.Target{
			Provider: p.ID, Sheet: sheet, Protocol: target.Endpoint.Protocol, Model: target.Model, Has: target.Has, Unknown: target.Unknown,
			MaxOutputTokens: target.MaxOutput, Efforts: target.Efforts, Strict: p.Strict,
		},
		metrics: h.metrics.target(target, p.Kind),
	}
	if base == "" {
		if !sheet.InProcess {
			if p.Enabled {
				return place{}, fmt.Errorf("providers.%s.base_url: is empty, and kind %q has none of its own", p.ID, p.Kind)
			}
			return one, nil
		}
		base, one.inProcess = "http://"+p.ID+InProcessDomain, true
		if end.Protocol == route.OpenAI {
			base += "/v1"
		}
	}
	return one, one.reach(p.ID, strings.TrimSuffix(base, "/"), end)
}

// reach parses the place's URLs.
func (p *place) reach(id, base string, end provider.Endpoint) (err error) {
	if p.url, err = url.Parse(base + end.Path); err != nil || p.url.Host == "" || p.url.User != nil {
		return fmt.Errorf("providers.%s.base_url: %q is not a URL that can be called", id, base)
	}
	beta := *p.url
	beta.RawQuery = "beta=true"
	p.betaURL = &beta
	if end.CountPath != "" {
		p.count, err = url.Parse(base + end.CountPath)
	}
	if end.ProbePath != "" && err == nil {
		p.probe, err = url.Parse(base + end.ProbePath)
	}
	return err
}

// apiVersionDefault is sent to providers that speak Anthropic's format when the client named no version.
const apiVersionDefault = "2023-06-01"

// header makes the lines of an attempt: nothing of the client's but what is named here.
func (p *place) header(dst []upstream.Field, x *exchange, key *vitals.Key, stream bool, span telemetry.Span) []upstream.Field {
	accept := "application/json"
	if stream {
		accept = "text/event-stream"
	}
	dst = append(dst, upstream.Field{Name: "Content-Type", Value: "application/json"}, upstream.Field{Name: "Accept", Value: accept})
	dst = append(dst, upstream.Field{Name: "User-Agent", Value: "aimux/" + x.h.config.Version})
	dst = p.authorize(dst, key)
	if p.target.Endpoint.Protocol == route.Anthropic {
		dst = p.anthropic(dst, x)
	}
	if parent := span.Traceparent(); parent != "" {
		dst = append(dst, upstream.Field{Name: "Traceparent", Value: parent})
		if state := span.Tracestate(); state != "" {
			dst = append(dst, upstream.Field{Name: "Tracestate", Value: state})
		}
	}
	if p.sheet.InProcess { // the scripted provider takes its script from the client
		if scenario := x.in.Header("X-Synthetic-Scenario"); scenario != "" {
			dst = append(dst, upstream.Field{Name: "X-Synthetic-Scenario", Value: scenario})
		}
	}
	return dst
}

func (p *place) authorize(dst []upstream.Field, key *vitals.Key) []upstream.Field {
	switch {
	case key == nil:
		return dst
	case p.keyHeader == "x-api-key":
		return append(dst, upstream.Field{Name: "X-Api-Key", Value: key.Credential.Key.Reveal()})
	}
	return append(dst, upstream.Field{Name: "Authorization", Value: "Bearer " + key.Credential.Key.Reveal()})
}

// anthropic passes the client's version and betas byte for byte, every line of them; only what the provider has refused is left out.
func (p *place) anthropic(dst []upstream.Field, x *exchange) []upstream.Field {
	version := apiVersionDefault
	if own := x.in.Header("Anthropic-Version"); own != "" && x.at.protocol == route.Anthropic {
		version = own
	}
	dst = append(dst, upstream.Field{Name: "Anthropic-Version", Value: version})
	if x.at.protocol != route.Anthropic {
		return dst
	}
	x.in.Headers(func(name, value string) bool {
		if name == "Anthropic-Beta" {
			if value = x.h.deps.Translator.Betas(&p.dialect, value); value != "" {
				dst = append(dst, upstream.Field{Name: name, Value: value})
			}
		}
		return true
	})
	return dst
}
