package route

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/secret"
)

// The limits of a table. A configuration over them is refused.
const (
	ProvidersMax = 1 << 9
	TargetsMax   = 1 << 13
	ServesMax    = 256 // names per model
	NameMax      = 256 // bytes in a model's name
	exponentMax  = 100 // in the weights of the custom priority
)

// FromWire reads a configuration, everybody's health still unknown. It takes all of it or none: an error names the path and the
// value of every problem. Keys are opened with open, which must be able to tell the provider they are sealed for.
// Whether a provider's kind has a sheet is for the caller to judge.
func FromWire(cfg *tablev1.Config, open func(p *tablev1.Provider, c *tablev1.Credential) (secret.Secret, error)) (*Table, error) {
	r := &reader{open: open, c: &catalog{byID: make(map[string]int)}}
	r.providers(cfg.GetProviders())
	r.policy(cfg.GetPolicy())
	r.auth(cfg.GetAuth())
	r.c.limits = r.limits("limits", cfg.GetLimits())
	r.callerLimits(cfg.GetAuth())
	if err := errors.Join(r.problems...); err != nil {
		return nil, fmt.Errorf("reading configuration revision %d: %w", cfg.GetHeader().GetConfigRevision(), err)
	}
	r.c.settle()
	head := cfg.GetHeader()
	t := &Table{catalog: r.c, health: freshHealth(len(r.c.targets)), rows: r.c.rows, nodes: 1, regionShare: ppm, revision: Revision{
		Cluster: head.GetCluster(), Leader: head.GetLeader(), Config: head.GetConfigRevision(),
		Epoch: head.GetEpoch(), Health: head.GetHealthSeq(), IssuedMs: head.GetIssuedUnixMs(),
	}}
	return t, nil
}

// reader gathers a catalog and all that is wrong with it.
type reader struct {
	open     func(*tablev1.Provider, *tablev1.Credential) (secret.Secret, error)
	c        *catalog
	problems []error
}

// problemsMax bounds what one refusal tells.
const problemsMax = 32

func (r *reader) badf(path, format string, args ...any) {
	if len(r.problems) < problemsMax {
		r.problems = append(r.problems, fmt.Errorf(path+": "+format, args...))
	}
}

func (r *reader) providers(list []*tablev1.Provider) {
	if len(list) > ProvidersMax {
		r.badf("providers", "%d of them; at most %d", len(list), ProvidersMax)
		return
	}
	for i, w := range list {
		path := fmt.Sprintf("providers[%q]", w.GetId())
		if w.GetId() == "" {
			path = fmt.Sprintf("providers[%d]", i)
			r.badf(path+".id", "is empty")
		}
		if _, twice := r.c.byID[w.GetId()]; twice {
			r.badf(path, "is there twice")
			continue
		}
		r.c.byID[w.GetId()] = len(r.c.providers)
		r.provider(path, w)
	}
}

func (r *reader) provider(path string, w *tablev1.Provider) {
	p := Provider{
		ID: w.GetId(), Kind: w.GetKind(), Name: w.GetName(), Index: len(r.c.providers), BaseURL: w.GetBaseUrl(), Region: w.GetRegion(),
		Enabled: w.GetEnabled(), DisabledReason: w.GetDisabledReason(), First: len(r.c.targets),
		PriorityScore:       r.number(path+".priority_score", w.GetPriorityScore()),
		FirstToken:          milliseconds(r.number(path+".avg_response_time_ms", w.GetAvgResponseTimeMs())),
		MaxConcurrent:       int(w.GetMaxConcurrentRequests()),
		RequestsPerMinute:   int(w.GetRequestsPerMinute()),
		TokensPerMinute:     int64(min(w.GetTokensPerMinute(), math.MaxInt64)),
		HealthCheckInterval: seconds(r.number(path+".health_check_interval_s", w.GetHealthCheckIntervalS())),
		AllowPrivateAddress: w.GetAllowPrivateAddress(), Strict: w.GetStrict(), Fallback: w.GetFallback(),
		Breaker: Breaker{
			MaxFailures:   int(w.GetBreaker().GetMaxFailures()),
			CloseAfter:    int(w.GetBreaker().GetCloseAfter()),
			RecoveryDelay: seconds(r.number(path+".breaker.recovery_delay_s", w.GetBreaker().GetRecoveryDelayS())),
			ProbeInterval: seconds(r.number(path+".breaker.probe_interval_s", w.GetBreaker().GetProbeIntervalS())),
		},
	}
	p.Limits = r.limits(path+".limits", w.GetLimits()).or(int64(p.MaxConcurrent), int64(p.RequestsPerMinute), p.TokensPerMinute)
	p.LimitsPerKey = r.limits(path+".limits_per_key", w.GetLimitsPerKey())
	if p.Kind == "" {
		r.badf(path+".kind", "is empty")
	}
	var ok bool
	if p.Protocol, ok = ParseProtocol(w.GetProtocol()); !ok {
		r.badf(path+".protocol", `%q is neither "anthropic" nor "openai"`, w.GetProtocol())
	}
	r.override(path+".override", &p, w.GetOverride())
	r.credentials(path, &p, w)
	r.models(path, &p, w.GetModels())
	r.c.providers = append(r.c.providers, p)
}

func (r *reader) override(path string, p *Provider, w *tablev1.Override) {
	i, ok := position([]string{NoOrder.String(), Drain.String(), ForceOpen.String(), ForceClosed.String()}, w.GetState())
	if !ok {
		r.badf(path+".state", `%q is none of "drain", "open", "closed"`, w.GetState())
	}
	p.Override = Override{Order: Order(i), UntilMs: w.GetExpiresUnixMs(), Reason: w.GetReason()}
}

// credentials opens the keys of a provider. Those of a disabled provider stay shut: it may be disabled because they do not open.
func (r *reader) credentials(path string, p *Provider, w *tablev1.Provider) {
	for i, c := range w.GetCredentials() {
		credential := Credential{Fingerprint: c.GetFingerprint()}
		if p.Enabled && r.open != nil {
			key, err := r.open(w, c)
			if err != nil {
				r.badf(fmt.Sprintf("%s.credentials[%d]", path, i), "%w", err)
			}
			credential.Key = key
		}
		p.Credentials = append(p.Credentials, credential)
	}
}

func (r *reader) models(path string, p *Provider, list []*tablev1.Model) {
	seen := make(map[string]bool, len(list))
	for i, m := range list {
		at := fmt.Sprintf("%s.models[%q]", path, m.GetId())
		switch {
		case m.GetId() == "":
			r.badf(fmt.Sprintf("%s.models[%d].id", path, i), "is empty")
		case len(m.GetId()) > NameMax:
			r.badf(at+".id", "%d bytes; at most %d", len(m.GetId()), NameMax)
		case seen[m.GetId()]:
			r.badf(at, "is there twice")
		case len(r.c.targets) >= TargetsMax:
			r.badf(at, "is one too many: at most %d models in all", TargetsMax)
			return
		default:
			seen[m.GetId()] = true
			r.model(at, p, m)
		}
	}
}

func (r *reader) model(path string, p *Provider, m *tablev1.Model) {
	has, unknown := Capability(m.GetHas()), Capability(m.GetUnknown())
	if odd := (has | unknown) &^ (capabilities - 1); odd != 0 {
		r.badf(path+".has", "bits %#x are no capability that this version knows", uint64(odd))
	}
	if both := has & unknown; both != 0 {
		r.badf(path+".unknown", "%s cannot be both stated and unknown", strings.Join(both.Names(), ", "))
	}
	if len(m.GetServes()) > ServesMax {
		r.badf(path+".serves", "%d names; at most %d", len(m.GetServes()), ServesMax)
	}
	for i, name := range m.GetServes() {
		if name == "" || len(name) > NameMax {
			r.badf(fmt.Sprintf("%s.serves[%d]", path, i), "%d bytes; 1 to %d", len(name), NameMax)
		}
	}
	price := Price{m.GetPrice().GetInput(), m.GetPrice().GetOutput(), m.GetPrice().GetCacheRead(), m.GetPrice().GetCacheWrite()}
	if most := max(price.Input, price.Output, price.CacheRead, price.CacheWrite); most > priceMax {
		r.badf(path+".price", "%d billionths of a dollar for one token; at most %d", most, uint64(priceMax))
	}
	r.c.targets = append(r.c.targets, Target{
		Index: len(r.c.targets), Provider: p.Index, ProviderID: p.ID, Model: m.GetId(), Key: p.ID + "/" + m.GetId(),
		Endpoint: Endpoint{Protocol: p.Protocol, BaseURL: p.BaseURL}, Has: has, Unknown: unknown,
		ContextWindow: int(m.GetContextWindow()), MaxOutput: int(m.GetMaxOutputTokens()),
		Price: price, Efforts: m.GetEfforts(), Serves: m.GetServes(), Limits: r.limits(path+".limits", m.GetLimits()),
	})
	p.Models++
}

func (r *reader) policy(w *tablev1.Policy) {
	p := &r.c.policy
	var ok bool
	if p.Priority, ok = ParsePriority(w.GetPriority()); !ok {
		r.badf("policy.priority", "%q is none of %s", w.GetPriority(), strings.Join(priorityNames[:], ", "))
	}
	if p.Balancer, ok = ParseBalancer(w.GetLoadBalancer()); !ok {
		r.badf("policy.load_balancer", "%q is none of %s", w.GetLoadBalancer(), strings.Join(balancerNames[:], ", "))
	}
	p.ThinkingProvider = r.pin("policy.thinking_provider", w.GetThinkingProvider())
	p.VisionProvider = r.pin("policy.vision_provider", w.GetVisionProvider())
	p.ToolsProvider = r.pin("policy.tools_provider", w.GetToolsProvider())
	p.DefaultProvider = r.pin("policy.default_provider", w.GetDefaultProvider())
	reject, ok := position([]string{"any", "reject"}, w.GetUnknownModel())
	if p.RejectUnknown = reject == 1; !ok {
		r.badf("policy.unknown_model", `%q is neither "any" nor "reject"`, w.GetUnknownModel())
	}
	for i, name := range w.GetClassOrder() {
		class, ok := ParseClass(name)
		if !ok {
			r.badf(fmt.Sprintf("policy.class_order[%d]", i), "%q is no class", name)
		}
		p.ClassOrder = append(p.ClassOrder, class)
	}
	p.RetryShare = r.part("policy.retry_share", w.GetRetryShare())
	p.HedgeShare = r.part("policy.hedge_share", w.GetHedgeShare())
	p.Weights = Weights{
		Cost:        r.exponent("policy.weights.cost", w.GetWeights().GetCost()),
		Latency:     r.exponent("policy.weights.latency", w.GetWeights().GetLatency()),
		Reliability: r.exponent("policy.weights.reliability", w.GetWeights().GetReliability()),
	}
	p.LongContextTokens, p.ThinkingBudgetTokens = int(w.GetLongContextTokens()), int(w.GetThinkingBudgetTokens())
	p.MaxAttempts = max(1, int(w.GetMaxAttempts()))
	p.ConnectTimeout, p.FirstTokenTimeout = milliseconds(float64(w.GetConnectTimeoutMs())), milliseconds(float64(w.GetFirstTokenTimeoutMs()))
	p.IdleTimeout, p.RequestTimeout = milliseconds(float64(w.GetIdleTimeoutMs())), milliseconds(float64(w.GetRequestTimeoutMs()))
	p.FixedConcurrency = w.GetFixedConcurrency()
	p.QueueTimeout, p.QueueDepth = milliseconds(float64(w.GetQueueTimeoutMs())), int(w.GetQueueDepth())
	p.Continuation, p.Plugin, p.Regions = w.GetContinuation(), w.GetPlugin(), w.GetRegions()
	if p.Balancer == Plugin && len(p.Plugin) == 0 {
		r.badf("policy.plugin", `is empty, and policy.load_balancer is "plugin"`)
	}
}

// pin finds the provider that a setting names; -1 when it names none.
func (r *reader) pin(path, id string) int {
	if id == "" {
		return -1
	}
	i, ok := r.c.byID[id]
	if !ok {
		r.badf(path, "%q is no provider", id)
		return -1
	}
	return i
}

// number refuses what is no finite, positive quantity.
func (r *reader) number(path string, v float64) float64 {
	if math.IsNaN(v) || v < 0 || v > 1e9 {
		r.badf(path, "%v is not between 0 and 1e9", v)
		return 0
	}
	return v
}

func (r *reader) part(path string, v float64) float64 {
	if math.IsNaN(v) || v < 0 || v > 1 {
		r.badf(path, "%v is not between 0 and 1", v)
		return 0
	}
	return v
}

func (r *reader) exponent(path string, v float64) float64 {
	if math.IsNaN(v) || v < 0 || v > exponentMax {
		r.badf(path, "%v is not between 0 and %d", v, exponentMax)
		return 0
	}
	return v
}

func seconds(v float64) time.Duration      { return time.Duration(v * float64(time.Second)) }
func milliseconds(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
