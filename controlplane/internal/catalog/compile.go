package catalog

import (
	"crypto/sha256"
	"math"

	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/secret"
)

// What holds where the operator says nothing.
const (
	longContextTokens    = 60_000
	thinkingBudgetTokens = 16_000
	maxAttempts          = 3
	retryShare           = 0.10
	hedgeShare           = 0.05
	connectTimeoutS      = 5
	firstTokenTimeoutS   = 60
	idleTimeoutS         = 60
	requestTimeoutS      = 600
	queueTimeoutS        = 0.25
	queueDepth           = 256
	maxFailures          = 5
	recoveryDelayS       = 300
	probeIntervalS       = 30
	closeAfter           = 3
	healthCheckS         = 60
)

// Env is what compiling needs of the world outside.
type Env struct {
	// Getenv reads a variable, as os.LookupEnv does; nil means that there are none.
	Getenv func(name string) (value string, ok bool)
	// ReadFile reads the file of a key or a plugin, as os.ReadFile does; nil means that there are none.
	ReadFile func(path string) ([]byte, error)
	// Key is the cluster's, with which credentials are sealed. Without it providers that need a key are disabled.
	Key secret.Key
	// Nonce returns a new random nonce at every call.
	Nonce func() secret.Nonce
}

// Compile resolves a catalog that [Validate] has passed into what nodes route by: sheets merged, keys resolved and sealed, defaults
// put in, providers in the order of their ids. A provider that cannot serve, because its key is not set, say, is there, disabled,
// with the reason. It never fails: what Validate would have refused becomes a disabled provider. The header carries the revision
// only; the speaker adds the rest.
func Compile(cat *adminv1.Catalog, revision uint64, env Env) *tablev1.Config {
	config := &tablev1.Config{
		Policy: compilePolicy(cat.GetRouting(), env),
		Auth:   compileAuth(cat),
		Limits: compileLimits(cat.GetLimits()),
	}
	for _, id := range providerIDs(cat) {
		p := compileProvider(id, cat.GetProviders()[id], env)
		p.Fallback = id == cat.GetRouting().GetFallbackProvider()
		config.Providers = append(config.Providers, p)
	}
	config.ContentHash = Hash(config)
	config.Header = &tablev1.Header{ConfigRevision: revision}
	return config
}

// Hash is over what a Config says: the deterministic encoding without header, hash and sealed keys, which differ at every sealing;
// the fingerprints say which keys they are.
func Hash(config *tablev1.Config) []byte {
	plain := proto.CloneOf(config)
	plain.Header, plain.ContentHash = nil, nil
	for _, p := range plain.GetProviders() {
		for _, c := range p.GetCredentials() {
			c.Sealed = nil
		}
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(plain)
	if err != nil {
		return nil // text that is not UTF-8, which Decode does not let in; nodes refuse a Config without hash
	}
	sum := sha256.Sum256(data)
	return sum[:]
}

func compileProvider(id string, p *adminv1.Provider, env Env) *tablev1.Provider {
	out := &tablev1.Provider{
		Id: id, Kind: kindOf(id, p), Name: or(p.GetName(), id), Protocol: p.GetProtocol(), BaseUrl: p.GetBaseUrl(), Region: p.GetRegion(),
		MaxConcurrentRequests: p.GetMaxConcurrentRequests(), RequestsPerMinute: p.GetRequestsPerMinute(), TokensPerMinute: p.GetTokensPerMinute(),
		AllowPrivateAddress: p.GetAllowPrivateAddress(), Strict: p.GetStrict(),
		Breaker: &tablev1.Breaker{
			MaxFailures: value(p.MaxFailures, maxFailures), RecoveryDelayS: value(p.RecoveryDelay, recoveryDelayS),
			ProbeIntervalS: value(p.ProbeInterval, probeIntervalS), CloseAfter: value(p.CloseAfter, closeAfter),
		},
	}
	limitProvider(out, p)
	here, problem := locate(id, p)
	if problem != nil {
		out.DisabledReason = problem.String()
		return out
	}
	out.Protocol, out.BaseUrl = here.protocol.String(), here.baseURL
	out.PriorityScore = value(p.PriorityScore, here.sheet.Priority)
	out.AvgResponseTimeMs = value(p.AvgResponseTimeMs, here.sheet.FirstTokenMs)
	out.HealthCheckIntervalS = value(p.HealthCheckInterval, defaultHealthCheck(here))
	out.Models = compileModels(p, here.sheet)
	out.Credentials, out.DisabledReason = resolveKeys(id, p, here, env)
	out.Enabled = len(out.GetCredentials()) > 0 || out.GetDisabledReason() == ""
	if !value(p.Enabled, true) {
		out.Enabled, out.DisabledReason = false, "switched off by enabled: false"
	}
	return out
}

// defaultHealthCheck probes what can be probed for free.
func defaultHealthCheck(here place) float64 {
	if here.baseURL == "" || here.sheet.Endpoint(here.protocol).ProbePath == "" {
		return 0
	}
	return healthCheckS
}

func compilePolicy(r *adminv1.Routing, env Env) *tablev1.Policy {
	if r == nil {
		r = new(adminv1.Routing)
	}
	policy := &tablev1.Policy{
		Priority:             or(r.GetPriority(), "balanced"),
		LoadBalancer:         or(r.GetLoadBalancer(), "adaptive"),
		UnknownModel:         or(r.GetUnknownModel(), "any"),
		ThinkingProvider:     r.GetThinkingProvider(),
		VisionProvider:       r.GetVisionProvider(),
		ToolsProvider:        r.GetToolsProvider(),
		DefaultProvider:      r.GetDefaultProvider(),
		LongContextTokens:    value(r.LongContextThreshold, longContextTokens),
		ThinkingBudgetTokens: value(r.ThinkingBudgetThreshold, thinkingBudgetTokens),
		ClassOrder:           r.GetClassOrder(),
		MaxAttempts:          value(r.MaxAttempts, maxAttempts),
		RetryShare:           value(r.RetryShare, retryShare),
		HedgeShare:           value(r.HedgeShare, hedgeShare),
		ConnectTimeoutMs:     milliseconds(r.ConnectTimeout, connectTimeoutS),
		FirstTokenTimeoutMs:  milliseconds(r.FirstTokenTimeout, firstTokenTimeoutS),
		IdleTimeoutMs:        milliseconds(r.IdleTimeout, idleTimeoutS),
		RequestTimeoutMs:     milliseconds(r.RequestTimeout, requestTimeoutS),
		QueueTimeoutMs:       milliseconds(r.QueueTimeout, queueTimeoutS),
		QueueDepth:           value(r.QueueDepth, queueDepth),
		Continuation:         r.GetContinuation(),
		Regions:              r.GetRegions(),
		FixedConcurrency:     r.AdaptiveConcurrency != nil && !r.GetAdaptiveConcurrency(),
	}
	if w := r.GetWeights(); w != nil {
		policy.Weights = &tablev1.Weights{Cost: w.GetCost(), Latency: w.GetLatency(), Reliability: w.GetReliability()}
	}
	if policy.GetLoadBalancer() == pluginBalancer {
		var err error
		if policy.Plugin, err = readPlugin(r.GetPlugin(), env); err != nil {
			policy.LoadBalancer, policy.PluginProblem = "adaptive", err.Error()
		}
	}
	return policy
}

// compileModels are the models the operator lists, or else all that the vendor sells, in that order: the first is the one that
// unknown names get.
func compileModels(p *adminv1.Provider, sheet *provider.Sheet) []*tablev1.Model {
	var models []*tablev1.Model
	for _, m := range p.GetModels() {
		known, ok := sheet.Model(m.GetId())
		if !ok {
			known = &provider.Model{ID: m.GetId(), PriceUnknown: true}
		}
		models = append(models, compileModel(p, m, known))
	}
	if len(models) > 0 {
		return models
	}
	for i := range sheet.Models {
		models = append(models, compileModel(p, new(adminv1.Model), &sheet.Models[i]))
	}
	return models
}

func compileModel(p *adminv1.Provider, m *adminv1.Model, known *provider.Model) *tablev1.Model {
	has, unknown := abilities(p, m, known)
	out := &tablev1.Model{
		Id:              known.ID,
		Serves:          known.Serves,
		ContextWindow:   value(m.ContextWindow, uint32(min(known.ContextWindow, math.MaxUint32))),
		MaxOutputTokens: value(m.MaxOutputTokens, uint32(min(known.MaxOutput, math.MaxUint32))),
		Has:             uint64(has),
		Unknown:         uint64(unknown),
		Price:           price(p, m, known),
		Efforts:         known.Efforts,
		Limits:          compileLimits(m.GetLimits()),
	}
	if len(m.GetServes()) > 0 {
		out.Serves = m.GetServes()
	}
	return out
}

// value is what the operator says, or else otherwise.
func value[T any](said *T, otherwise T) T {
	if said != nil {
		return *said
	}
	return otherwise
}

func or(said, otherwise string) string {
	if said != "" {
		return said
	}
	return otherwise
}

func milliseconds(seconds *float64, otherwise float64) uint32 {
	ms := math.Round(value(seconds, otherwise) * 1000)
	if !(ms >= 0 && ms <= math.MaxUint32) { // out of any range that Validate passes; NaN too
		ms = otherwise * 1000
	}
	return uint32(ms)
}
