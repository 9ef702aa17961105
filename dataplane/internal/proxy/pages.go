package proxy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/dataplane/internal/ingress"
	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
)

// Pages are everything on the street that is no completion. None shows a key.

func (h *Handler) pageNothing(in ingress.Exchange, _ street) {
	switch in.Method() {
	case "HEAD", "GET":
		respond(in, http.StatusOK, "text/plain; charset=utf-8", []byte("aimux\n"))
	default:
		h.pageWrongMethod(in, street{protocol: route.OpenAI, path: in.Path(), allow: "GET"})
	}
}

func (h *Handler) pageNotFound(in ingress.Exchange, at street) {
	h.refuse(in, at, http.StatusNotFound, fault.BadRequest, fmt.Sprintf("there is nothing at %s; completions are at /v1/messages, /anthropic/v1/messages and /v1/chat/completions", clip(visible(at.path), 200)))
}

func (h *Handler) pageWrongMethod(in ingress.Exchange, at street) {
	in.SetHeader("Allow", at.allow)
	h.refuse(in, at, http.StatusMethodNotAllowed, fault.BadRequest, fmt.Sprintf("%s takes %s, not %s", clip(visible(at.path), 200), at.allow, clip(visible(in.Method()), 20)))
}

// refuse answers a request that has no notebook. Its body was not read, so the connection ends.
func (h *Handler) refuse(in ingress.Exchange, at street, status int, kind fault.Kind, message string) {
	id := requestID(rand.Uint64(), rand.Uint64())
	name(in, id)
	advise(in, &fault.Fault{Kind: kind})
	if in.Method() != "GET" && in.Method() != "HEAD" {
		in.Hangup()
	}
	h.document(in, at.protocol, &dialect.ErrorDoc{Status: status, Kind: kind, Message: message, RequestID: id})
}

// admitted lets a page be seen by those who may also send requests, and returns what the page is made from.
func (h *Handler) admitted(in ingress.Exchange, at street) (visit, bool) {
	s := h.deps.Snapshot()
	if s == nil {
		h.refuse(in, at, http.StatusServiceUnavailable, fault.Overloaded, "this node has no routing table yet")
		return visit{}, false
	}
	caller, f := h.deps.Door.Check(in.Context(), s.Table, said(in))
	if f != nil {
		h.refuse(in, at, h.deps.Translator.ClientStatus(at.protocol, f.Kind), f.Kind, f.Message)
		return visit{}, false
	}
	return visit{s.Table, s.Warm, caller.Scope}, true
}

// visit is what a page shows, and how much of it to this caller.
type visit struct {
	table *route.Table
	desk  *Desk
	scope *route.Scope
}

func (h *Handler) pageLive(in ingress.Exchange, _ street) {
	respond(in, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}

func (h *Handler) pageReady(in ingress.Exchange, _ street) {
	switch {
	case h.draining.Load():
		respond(in, http.StatusServiceUnavailable, "text/plain; charset=utf-8", []byte("draining\n"))
	case h.deps.Snapshot() == nil:
		respond(in, http.StatusServiceUnavailable, "text/plain; charset=utf-8", []byte("no routing table yet\n"))
	default:
		respond(in, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
	}
}

// healthPage is what /health shows.
type healthPage struct {
	Status   string `json:"status"` // ok, degraded, starting or draining
	Node     string `json:"node"`
	Region   string `json:"region"`
	Version  string `json:"version"`
	UptimeS  int64  `json:"uptime_s"`
	InFlight int    `json:"in_flight"`
	Outlier  string `json:"outlier,omitempty"` // why the cluster calls this node one
	Table    struct {
		Revision  uint64 `json:"revision"`
		Epoch     uint64 `json:"epoch"`
		HealthSeq uint64 `json:"health_seq"`
		Leader    string `json:"leader,omitempty"`
		AgeMs     int64  `json:"age_ms"` // since the last word of the control plane
		Source    string `json:"source"`
		Refused   string `json:"refused,omitempty"` // why the newest configuration was not taken
	} `json:"table"`
	Providers struct {
		Healthy int `json:"healthy"`
		Enabled int `json:"enabled"`
		Total   int `json:"total"`
	} `json:"providers"`
}

// staleAfter is a silence of the control plane that a node mentions.
const staleAfter = 3 * time.Second

func (h *Handler) pageHealth(in ingress.Exchange, _ street) {
	status := h.deps.Status()
	p := healthPage{
		Status: "ok", Node: h.config.Node, Region: h.config.Region, Version: h.config.Version,
		UptimeS: int64(time.Since(h.started).Seconds()), InFlight: h.InFlight(), Outlier: status.Outlier,
	}
	p.Table.Revision, p.Table.Epoch, p.Table.HealthSeq = status.Applied.GetConfigRevision(), status.Applied.GetEpoch(), status.Applied.GetHealthSeq()
	p.Table.Leader, p.Table.AgeMs, p.Table.Source = status.Applied.GetLeader(), status.Silence.Milliseconds(), string(status.Source)
	p.Table.Refused = status.Nack.GetReason()
	snapshot := h.deps.Snapshot()
	if snapshot != nil {
		for _, one := range h.providers(snapshot.Table, snapshot.Warm) {
			p.Providers.Total++
			if one.Enabled {
				p.Providers.Enabled++
			}
			if one.Enabled && (one.Health == route.Healthy.String() || one.Health == route.Degraded.String()) {
				p.Providers.Healthy++
			}
		}
	}
	code := http.StatusOK
	switch {
	case h.draining.Load():
		p.Status, code = "draining", http.StatusServiceUnavailable
	case snapshot == nil:
		p.Status, code = "starting", http.StatusServiceUnavailable
	case status.Silence > staleAfter || p.Providers.Healthy < p.Providers.Enabled || p.Table.Refused != "", p.Outlier != "":
		p.Status = "degraded"
	}
	respondJSON(in, code, p)
}

func respondJSON(in ingress.Exchange, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"the page cannot be shown"}`)
	}
	respond(in, status, "application/json", append(body, '\n'))
}

func (h *Handler) pageMetrics(in ingress.Exchange, at street) {
	if _, ok := h.admitted(in, at); !ok {
		return
	}
	if strings.Contains(in.Header("Accept"), "application/json") {
		body, err := h.deps.Metrics.JSON()
		if err == nil {
			respond(in, http.StatusOK, "application/json", body)
			return
		}
	}
	body, contentType := h.deps.Metrics.Text(in.Header("Accept"))
	respond(in, http.StatusOK, contentType, body)
}

// providerPage is a provider as /providers shows it.
type providerPage struct {
	ID             string      `json:"id"`
	Kind           string      `json:"kind"`
	Name           string      `json:"name"`
	Protocol       string      `json:"protocol"`
	Region         string      `json:"region,omitempty"`
	Enabled        bool        `json:"enabled"`
	DisabledReason string      `json:"disabled_reason,omitempty"`
	Health         string      `json:"health"` // the best of its models
	Fallback       bool        `json:"fallback,omitempty"`
	Override       string      `json:"override,omitempty"`
	Credentials    []string    `json:"credentials,omitempty"` // fingerprints
	Refuses        []string    `json:"refuses,omitempty"`     // fields that it has been seen to refuse
	Limits         limitsPage  `json:"limits"`
	LimitsPerKey   *limitsPage `json:"limits_per_key,omitempty"`
	Models         []modelPage `json:"models"`
}

type limitsPage struct {
	MaxConcurrentRequests int64   `json:"max_concurrent_requests,omitempty"`
	RequestsPerMinute     int64   `json:"requests_per_minute,omitempty"`
	TokensPerMinute       int64   `json:"tokens_per_minute,omitempty"`
	InputTokensPerMinute  int64   `json:"input_tokens_per_minute,omitempty"`
	OutputTokensPerMinute int64   `json:"output_tokens_per_minute,omitempty"`
	DollarsPerDay         float64 `json:"dollars_per_day,omitempty"`
	DollarsPerMonth       float64 `json:"dollars_per_month,omitempty"`
	Mode                  string  `json:"mode,omitempty"`
}

// pageOf are limits as they are shown.
func pageOf(l route.Limits) limitsPage {
	page := limitsPage{
		l.InFlight, l.Requests, l.Tokens, l.InputTokens, l.OutputTokens, float64(l.NanoPerDay) / 1e9, float64(l.NanoPerMonth) / 1e9, "",
	}
	if !l.None() {
		page.Mode = l.Mode.String()
	}
	return page
}

// pageOfAny is nil where there are none.
func pageOfAny(l route.Limits) *limitsPage {
	if l.None() {
		return nil
	}
	page := pageOf(l)
	return &page
}

type modelPage struct {
	ID             string      `json:"id"`
	Serves         []string    `json:"serves,omitempty"`
	Health         string      `json:"health"` // the cluster's view
	Reason         string      `json:"reason,omitempty"`
	Circuit        string      `json:"circuit"` // this node's own
	ProviderWide   string      `json:"provider_circuit"`
	WeightPPM      uint32      `json:"weight_ppm"`
	SharePPM       uint32      `json:"capacity_share_ppm"`
	InFlight       int         `json:"in_flight"`
	Limit          float64     `json:"learnt_limit,omitempty"`
	FirstTokenMs   int64       `json:"first_token_ms,omitempty"`
	PerTokenUs     int64       `json:"per_token_us,omitempty"`
	SuccessPPM     uint32      `json:"success_ppm,omitempty"`
	BlockedUntilMs int64       `json:"blocked_until_unix_ms,omitempty"`
	Capabilities   []string    `json:"capabilities"`
	Unstated       []string    `json:"unstated_capabilities,omitempty"`
	ContextWindow  int         `json:"context_window,omitempty"`
	MaxOutput      int         `json:"max_output_tokens,omitempty"`
	Limits         *limitsPage `json:"limits,omitempty"`
	Price          struct {
		Input      uint64 `json:"input"`
		Output     uint64 `json:"output"`
		CacheRead  uint64 `json:"cache_read,omitempty"`
		CacheWrite uint64 `json:"cache_write,omitempty"`
	} `json:"price_nano_usd_per_token"`
}

// providers describes every provider as this node sees it.
func (h *Handler) providers(t *route.Table, d *Desk) []providerPage {
	now := h.deps.Vitals.NowMs()
	pages := make([]providerPage, 0, len(t.Providers()))
	for i := range t.Providers() {
		p := &t.Providers()[i]
		one := providerPage{
			ID: p.ID, Kind: p.Kind, Name: p.Name, Protocol: p.Protocol.String(), Region: p.Region, Enabled: p.Enabled, DisabledReason: p.DisabledReason,
			Fallback: p.Fallback, Override: p.Override.At(now).String(), Refuses: h.deps.Translator.Refused(p.ID),
			Limits: pageOf(p.Limits), LimitsPerKey: pageOfAny(p.LimitsPerKey),
		}
		for _, c := range p.Credentials {
			one.Credentials = append(one.Credentials, c.Fingerprint)
		}
		best := route.CircuitOpen
		for k := range p.Models {
			m := h.modelPage(t, d, p.First+k)
			one.Models = append(one.Models, m)
			best = better(best, t.Health(p.First+k).State, m)
		}
		one.Health = best.String()
		pages = append(pages, one)
	}
	return pages
}

// better keeps the better of a provider's models; a circuit of this node's own counts as open.
func better(best, state route.State, m modelPage) route.State {
	if m.Circuit == circuit.Open.String() || m.ProviderWide == circuit.Open.String() {
		state = route.CircuitOpen
	}
	rank := func(s route.State) int {
		return map[route.State]int{route.Healthy: 0, route.Degraded: 1, route.Unhealthy: 2, route.HalfOpen: 3}[s] + map[bool]int{true: 4}[s == route.CircuitOpen]
	}
	if rank(state) < rank(best) {
		return state
	}
	return best
}

func (h *Handler) modelPage(t *route.Table, d *Desk, i int) modelPage {
	target, health, sign := t.Target(i), t.Health(i), d.bound.Sign(i, t)
	m := modelPage{
		ID: target.Model, Serves: target.Serves, Health: health.State.String(), Reason: health.Reason, Circuit: sign.Circuit.String(),
		ProviderWide: sign.ProviderCircuit.String(), WeightPPM: health.WeightPPM, SharePPM: health.CapacitySharePPM, InFlight: sign.InFlight,
		Limit: sign.Limit, FirstTokenMs: sign.FirstToken.Milliseconds(), PerTokenUs: sign.PerToken.Microseconds(), SuccessPPM: sign.SuccessPPM,
		BlockedUntilMs: sign.BlockedUntilMs, Capabilities: target.Has.Names(), Unstated: target.Unknown.Names(),
		ContextWindow: target.ContextWindow, MaxOutput: target.MaxOutput, Limits: pageOfAny(target.Limits),
	}
	m.Price.Input, m.Price.Output, m.Price.CacheRead, m.Price.CacheWrite = target.Price.Input, target.Price.Output, target.Price.CacheRead, target.Price.CacheWrite
	return m
}

func (h *Handler) pageProviders(in ingress.Exchange, at street) {
	v, ok := h.admitted(in, at)
	if !ok {
		return
	}
	page := struct {
		Revision  uint64         `json:"revision"`
		Providers []providerPage `json:"providers"`
	}{v.table.Revision().Config, []providerPage{}}
	for i, one := range h.providers(v.table, v.desk) {
		if v.scope.Provider(i) {
			page.Providers = append(page.Providers, one)
		}
	}
	respondJSON(in, http.StatusOK, page)
}

// configPage is the policy as /config shows it.
type configPage struct {
	Revision            uint64   `json:"revision"`
	Priority            string   `json:"priority"`
	LoadBalancer        string   `json:"load_balancer"`
	ThinkingProvider    string   `json:"thinking_provider,omitempty"`
	VisionProvider      string   `json:"vision_provider,omitempty"`
	ToolsProvider       string   `json:"tools_provider,omitempty"`
	DefaultProvider     string   `json:"default_provider,omitempty"`
	UnknownModel        string   `json:"unknown_model"`
	LongContext         int      `json:"long_context_threshold"`
	ThinkingBudget      int      `json:"thinking_budget_threshold"`
	ClassOrder          []string `json:"class_order,omitempty"`
	MaxAttempts         int      `json:"max_attempts"`
	RetryShare          float64  `json:"retry_share"`
	HedgeShare          float64  `json:"hedge_share"`
	ConnectTimeoutMs    int64    `json:"connect_timeout_ms"`
	FirstTokenTimeoutMs int64    `json:"first_token_timeout_ms"`
	IdleTimeoutMs       int64    `json:"idle_timeout_ms"`
	RequestTimeoutMs    int64    `json:"request_timeout_ms"`
	Continuation        bool     `json:"continuation"`
	Regions             []string `json:"regions,omitempty"`
	Anonymous           bool     `json:"anonymous"`
	NodesLive           int      `json:"nodes_live"`
	HoldMs              int64    `json:"hold_ms"`
	PingMs              int64    `json:"ping_ms"`
	AggregateFrom       int      `json:"aggregate_from_max_tokens"`
}

func (h *Handler) pageConfig(in ingress.Exchange, at street) {
	v, ok := h.admitted(in, at)
	if !ok {
		return
	}
	t, p := v.table, v.table.Policy()
	id := func(i int) string {
		if i < 0 {
			return ""
		}
		return t.Provider(i).ID
	}
	page := configPage{
		Revision: t.Revision().Config, Priority: p.Priority.String(), LoadBalancer: p.Balancer.String(),
		ThinkingProvider: id(p.ThinkingProvider), VisionProvider: id(p.VisionProvider), ToolsProvider: id(p.ToolsProvider), DefaultProvider: id(p.DefaultProvider),
		UnknownModel: "any", LongContext: p.LongContextTokens, ThinkingBudget: p.ThinkingBudgetTokens, MaxAttempts: p.MaxAttempts,
		RetryShare: p.RetryShare, HedgeShare: p.HedgeShare, ConnectTimeoutMs: p.ConnectTimeout.Milliseconds(),
		FirstTokenTimeoutMs: p.FirstTokenTimeout.Milliseconds(), IdleTimeoutMs: p.IdleTimeout.Milliseconds(), RequestTimeoutMs: p.RequestTimeout.Milliseconds(),
		Continuation: p.Continuation, Regions: p.Regions, Anonymous: t.Auth().Anonymous, NodesLive: t.NodesLive(),
		HoldMs: h.config.HoldMax.Milliseconds(), PingMs: h.config.PingEvery.Milliseconds(), AggregateFrom: h.config.AggregateFrom,
	}
	if p.RejectUnknown {
		page.UnknownModel = "reject"
	}
	for _, c := range p.ClassOrder {
		page.ClassOrder = append(page.ClassOrder, c.String())
	}
	respondJSON(in, http.StatusOK, page)
}
