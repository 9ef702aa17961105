package catalog

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/secret"
)

// What a catalog may hold at most.
const (
	providersMax = 500
	targetsMax   = 8192 // models of all providers
	modelsMax    = 500
	servesMax    = 100
	keysMax      = 64
	nameMax      = 128
	attemptsMax  = 10
	queueMax     = 100_000
)

var (
	idPattern     = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	regionPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	envPattern    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
)

// Validate judges what a decoded catalog asks for, and reports everything that cannot be done or cannot be meant, all at once, in
// the order of the providers' ids. Nil means that [Compile] will use it as it is. Values that may be keys are not shown.
func Validate(cat *adminv1.Catalog) []Problem {
	v := validator{cat: cat}
	if len(cat.GetProviders()) > providersMax {
		v.add("providers", "", "has %d entries; %d are allowed", len(cat.GetProviders()), providersMax)
	}
	v.routing(cat.GetRouting())
	v.judgeLimits("limits", cat.GetLimits())
	v.callers()
	v.adminTokens()
	v.webhooks()
	names, targets := make(map[string]string), 0
	for _, id := range providerIDs(cat) {
		path, p := at("providers", id), cat.GetProviders()[id]
		if !idPattern.MatchString(id) {
			v.add(path, "", "must have an id of 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit")
		}
		v.provider(path, id, p)
		targets += modelCount(id, p)
		if name := p.GetName(); name != "" {
			if other, taken := names[name]; taken {
				v.add(at(path, "name"), show("name", name), "is the name of provider %s already", other)
			}
			names[name] = id
		}
	}
	if targets > targetsMax {
		v.add("providers", "", "have %d models in all; %d are allowed", targets, targetsMax)
	}
	return v.done()
}

// modelCount is how many models a provider brings, listed or by its kind.
func modelCount(id string, p *adminv1.Provider) int {
	if here, problem := locate(id, p); problem == nil && len(p.GetModels()) == 0 {
		return len(here.sheet.Models)
	}
	return len(p.GetModels())
}

// providerIDs are the ids in order.
func providerIDs(cat *adminv1.Catalog) []string {
	ids := make([]string, 0, len(cat.GetProviders()))
	for id := range cat.GetProviders() {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}

type validator struct {
	report
	cat *adminv1.Catalog
}

func (v *validator) provider(path, id string, p *adminv1.Provider) {
	v.text(at(path, "name"), p.GetName(), nameMax)
	v.place(path, id, p)
	v.keys(path, p)
	v.region(at(path, "region"), p.GetRegion())

	v.between(at(path, "avg_response_time_ms"), p.AvgResponseTimeMs, 0, 600_000)
	v.between(at(path, "priority_score"), p.PriorityScore, 0, 100)
	v.atLeastOne(at(path, "max_concurrent_requests"), p.MaxConcurrentRequests, "; leave it out for no limit")
	v.atLeastOne(at(path, "requests_per_minute"), p.RequestsPerMinute, "; leave it out for no limit")
	if p.TokensPerMinute != nil && p.GetTokensPerMinute() == 0 {
		v.add(at(path, "tokens_per_minute"), "0", "must be at least 1; leave it out for no limit")
	}
	v.judgeProviderLimits(path, p)
	if p.GetHealthCheckInterval() != 0 {
		v.between(at(path, "health_check_interval"), p.HealthCheckInterval, 1, 86_400)
	}
	v.atLeastOne(at(path, "max_failures"), p.MaxFailures, "")
	v.atLeastOne(at(path, "close_after"), p.CloseAfter, "")
	v.between(at(path, "recovery_delay"), p.RecoveryDelay, 1, 86_400)
	v.between(at(path, "probe_interval"), p.ProbeInterval, 1, 3_600)
	v.costs(path, p.CostPerInputToken, p.CostPerOutputToken, p.CostPerCacheReadToken, p.CostPerCacheWriteToken)
	v.models(path, id, p)
}

// place judges kind, protocol and base_url, and that they go together.
func (v *validator) place(path, id string, p *adminv1.Provider) {
	if raw := p.GetBaseUrl(); raw != "" {
		if reason := judgeURL(raw, p.GetAllowPrivateAddress()); reason != "" {
			v.add(at(path, "base_url"), showURL(raw), "%s", reason)
		}
	}
	if _, problem := locate(id, p); problem != nil {
		v.add(at(path, problem.Path), problem.Value, "%s", problem.Reason)
	}
}

func (v *validator) keys(path string, p *adminv1.Provider) {
	if p.GetApiKey() != "" && len(p.GetApiKeys()) > 0 {
		v.add(at(path, "api_keys"), "", "stands beside api_key; one of the two is enough")
	}
	if len(p.GetApiKeys()) > keysMax {
		v.add(at(path, "api_keys"), "", "has %d entries; %d are allowed", len(p.GetApiKeys()), keysMax)
	}
	if key := p.GetApiKey(); key != "" {
		v.key(at(path, "api_key"), key)
	}
	for i, key := range p.GetApiKeys() {
		here := index(at(path, "api_keys"), i)
		v.key(here, key)
		if key != secret.Redacted && slices.Contains(p.GetApiKeys()[:i], key) {
			v.add(here, show("api_keys", key), "is there twice")
		}
	}
}

func (v *validator) key(path, key string) {
	name, isEnv := strings.CutPrefix(key, "env:")
	file, isFile := strings.CutPrefix(key, "file:")
	switch {
	case key == "":
		v.add(path, "", "is empty")
	case isEnv && !envPattern.MatchString(name):
		v.add(path, "", "must name a variable behind env:, of letters, digits and '_'")
	case isFile && (file == "" || strings.ContainsAny(file, "\x00\n\r")):
		v.add(path, "", "must name a path behind file:")
	case isEnv || isFile:
	case key == secret.Redacted:
		v.add(path, secret.Redacted, "stands for a stored key, and none is stored here")
	case secret.IsSealedText(key):
		if _, err := secret.FromText(key); err != nil {
			v.add(path, secret.Redacted, "is not a sealed key as aimux writes them")
		}
	default:
		if reason := judgeKey(key); reason != "" {
			v.add(path, secret.Redacted, "%s", reason)
		}
	}
}

func (v *validator) models(path, id string, p *adminv1.Provider) {
	path = at(path, "models")
	if len(p.GetModels()) > modelsMax {
		v.add(path, "", "has %d entries; %d are allowed", len(p.GetModels()), modelsMax)
	}
	if here, problem := locate(id, p); problem == nil && len(p.GetModels()) == 0 && len(here.sheet.Models) == 0 {
		v.add(path, "", "must list at least one model: nothing is known of kind %s", here.sheet.Kind)
	}
	seen := make(map[string]bool)
	for i, m := range p.GetModels() {
		here := index(path, i)
		switch {
		case m.GetId() == "":
			v.add(at(here, "id"), "", "is needed")
		case strings.Contains(m.GetId(), "*"):
			v.add(at(here, "id"), show("id", m.GetId()), "must be one model; patterns belong into serves")
		case seen[m.GetId()]:
			v.add(at(here, "id"), show("id", m.GetId()), "is there twice")
		default:
			v.word(at(here, "id"), m.GetId())
		}
		seen[m.GetId()] = true
		v.model(here, m)
	}
}

func (v *validator) model(path string, m *adminv1.Model) {
	if len(m.GetServes()) > servesMax {
		v.add(at(path, "serves"), "", "has %d entries; %d are allowed", len(m.GetServes()), servesMax)
	}
	for i, pattern := range m.GetServes() {
		here := index(at(path, "serves"), i)
		if pattern == "" {
			v.add(here, "", "is empty; every name is '*'")
			continue
		}
		v.word(here, pattern)
		if strings.Count(pattern, "*") > 8 {
			v.add(here, show("serves", pattern), "has more than 8 times '*'")
		}
		if slices.Contains(m.GetServes()[:i], pattern) {
			v.add(here, show("serves", pattern), "is there twice")
		}
	}
	v.atLeastOne(at(path, "context_window"), m.ContextWindow, "; leave it out if it is unknown")
	v.atLeastOne(at(path, "max_output_tokens"), m.MaxOutputTokens, "; leave it out if it is unknown")
	if m.GetContextWindow() > 0 && m.GetMaxOutputTokens() > m.GetContextWindow() {
		v.add(at(path, "max_output_tokens"), number(m.GetMaxOutputTokens()), "is more than the context_window of %d", m.GetContextWindow())
	}
	v.judgeLimits(at(path, "limits"), m.GetLimits())
	v.costs(path, m.CostPerInputToken, m.CostPerOutputToken, m.CostPerCacheReadToken, m.CostPerCacheWriteToken)
}

// costMax is ten thousand dollars for a million tokens: more was meant per thousand or per million.
const costMax = 0.01

func (v *validator) costs(path string, input, output, cacheRead, cacheWrite *float64) {
	for _, cost := range [...]struct {
		name  string
		value *float64
	}{
		{"cost_per_input_token", input},
		{"cost_per_output_token", output},
		{"cost_per_cache_read_token", cacheRead},
		{"cost_per_cache_write_token", cacheWrite},
	} {
		if cost.value != nil && !(*cost.value >= 0 && *cost.value <= costMax) {
			v.add(at(path, cost.name), number(*cost.value), "must be from 0 to %v: it is in US dollars for one token", costMax)
		}
	}
}

func (v *validator) routing(r *adminv1.Routing) {
	v.oneOf("routing.priority", r.GetPriority(), "cost", "performance", "reliability", "balanced", "custom")
	v.oneOf("routing.load_balancer", r.GetLoadBalancer(), "round_robin", "weighted", "least_connections", "adaptive", "plugin")
	v.plugin(r.GetLoadBalancer(), r.GetPlugin())
	v.oneOf("routing.unknown_model", r.GetUnknownModel(), "any", "reject")
	for _, pin := range [...]struct{ name, id string }{
		{"thinking_provider", r.GetThinkingProvider()},
		{"vision_provider", r.GetVisionProvider()},
		{"tools_provider", r.GetToolsProvider()},
		{"default_provider", r.GetDefaultProvider()},
		{"fallback_provider", r.GetFallbackProvider()},
	} {
		if _, known := v.cat.GetProviders()[pin.id]; pin.id != "" && !known {
			v.add(at("routing", pin.name), show(pin.name, pin.id), "names no provider of this catalog")
		}
	}
	for i, class := range r.GetClassOrder() {
		here := index("routing.class_order", i)
		if _, ok := route.ParseClass(class); !ok {
			v.add(here, show("", class), "is no class")
		} else if slices.Contains(r.GetClassOrder()[:i], class) {
			v.add(here, show("", class), "is there twice")
		}
	}
	if r != nil {
		v.limits(r)
	}
	for i, region := range r.GetRegions() {
		here := index("routing.regions", i)
		v.region(here, region)
		if region == "" || slices.Contains(r.GetRegions()[:i], region) {
			v.add(here, show("", region), "is empty or there twice")
		}
	}
}

// limits judges the numbers of routing.
func (v *validator) limits(r *adminv1.Routing) {
	v.atLeastOne("routing.long_context_threshold", r.LongContextThreshold, "")
	v.atLeastOne("routing.thinking_budget_threshold", r.ThinkingBudgetThreshold, "")
	if r.MaxAttempts != nil && (r.GetMaxAttempts() < 1 || r.GetMaxAttempts() > attemptsMax) {
		v.add("routing.max_attempts", number(r.GetMaxAttempts()), "must be from 1 to %d", attemptsMax)
	}
	v.between("routing.retry_share", r.RetryShare, 0, 1)
	v.between("routing.hedge_share", r.HedgeShare, 0, 1)
	v.between("routing.connect_timeout", r.ConnectTimeout, 0.05, 300)
	v.between("routing.first_token_timeout", r.FirstTokenTimeout, 0.05, 3_600)
	v.between("routing.idle_timeout", r.IdleTimeout, 0.05, 3_600)
	v.between("routing.request_timeout", r.RequestTimeout, 0.05, 86_400)
	v.between("routing.queue_timeout", r.QueueTimeout, 0, 600)
	if r.GetQueueDepth() > queueMax {
		v.add("routing.queue_depth", number(r.GetQueueDepth()), "must be at most %d", queueMax)
	}
	w := r.GetWeights()
	for _, weight := range [...]struct {
		name  string
		value float64
	}{{"cost", w.GetCost()}, {"latency", w.GetLatency()}, {"reliability", w.GetReliability()}} {
		v.between(at("routing.weights", weight.name), &weight.value, 0, 10)
	}
	if r.GetPriority() == "custom" && w.GetCost() == 0 && w.GetLatency() == 0 && w.GetReliability() == 0 {
		v.add("routing.weights", "", "must say what counts when priority is custom")
	}
}

// text judges what is shown to people.
func (v *validator) text(path, text string, most int) {
	if len(text) > most || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		v.add(path, show(path, text), "must be at most %d bytes without control characters", most)
	}
}

// word judges a name that crosses the wire: a model, a pattern.
func (v *validator) word(path, text string) {
	if len(text) > nameMax || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		v.add(path, show(path, text), "must be at most %d printable ASCII characters without spaces", nameMax)
	}
}

func (v *validator) region(path, region string) {
	if region != "" && !regionPattern.MatchString(region) {
		v.add(path, show(path, region), "must be 1 to 63 letters, digits, '.', '-' and '_'")
	}
}

func (v *validator) oneOf(path, value string, words ...string) {
	if value != "" && !slices.Contains(words, value) {
		v.add(path, show(path, value), "must be one of %s", strings.Join(words, ", "))
	}
}

func (v *validator) between(path string, value *float64, least, most float64) {
	if value != nil && !(*value >= least && *value <= most) {
		v.add(path, number(*value), "must be from %v to %v", least, most)
	}
}

func (v *validator) atLeastOne(path string, value *uint32, hint string) {
	if value != nil && *value == 0 {
		v.add(path, "0", "must be at least 1%s", hint)
	}
}

// number is how a number is shown.
func number[N uint32 | float64](n N) string { return fmt.Sprint(n) }
