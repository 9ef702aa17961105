package route

import (
	"iter"
	"time"

	"github.com/aimux/aimux/shared/secret"
)

// Table is everything a node routes by, as one immutable value: providers, targets, policy, and how every target stands.
// A request loads it once and keeps it to its end. Safe for concurrent use.
//
// Invariant: targets of one provider stand together, in the operator's order; Targets()[i].Index == i.
type Table struct {
	*catalog
	revision Revision
	// health and rows have one entry per target; sharing the catalog, a new Health makes only new ones of these.
	health []Health
	rows   []row
	// keys are credentials that the fleet took out: target and fingerprint -> how it stands.
	keys map[credentialAt]State
	// throttles are keys to be left alone for a while.
	throttles []Throttle
	// nodes is how many nodes the control plane hears, at least 1; heard is the same, and 0 where nobody said.
	nodes, heard int
	// regionShare is this region's part of the limits that are not a provider's, in parts per million.
	regionShare uint32
}

// catalog is the part of a table that changes only with the configuration.
type catalog struct {
	providers []Provider
	targets   []Target
	// rows without anybody's health, to start from.
	rows   []row
	policy Policy
	// byID finds a provider's index.
	byID   map[string]int
	names  names
	auth   Auth
	limits Limits
	// keyLimits and teamLimits are those of client keys and teams that have any, by their ids; subjectLimits those of each subject, by its issuer's.
	keyLimits, teamLimits, subjectLimits map[string]Limits
	// size is the number of providers in use: a fair share of one is 1/size.
	size int
}

// Revision says which state of the world a table shows.
type Revision struct {
	Cluster string
	Leader  string
	// Config is the catalog's revision; Epoch and Health order the soft part.
	Config, Epoch, Health uint64
	// IssuedMs is when the newer part was issued, on the speaker's clock, in Unix milliseconds.
	IssuedMs int64
}

// Provider is one provider as it is configured. Read only.
type Provider struct {
	ID, Kind, Name string
	Index          int
	Protocol       Protocol
	BaseURL        string
	Region         string
	Enabled        bool
	// DisabledReason says for people why it is not enabled.
	DisabledReason string
	Credentials    []Credential
	// First is the index of its first target, Models their number.
	First, Models int
	// PriorityScore from 0 to 100; higher is preferred. 0 means that nobody said.
	PriorityScore float64
	// FirstToken is what to expect until it has been measured; 0 means unknown.
	FirstToken time.Duration
	// MaxConcurrent, RequestsPerMinute and TokensPerMinute are the cluster's limits; 0 means none.
	MaxConcurrent     int
	RequestsPerMinute int
	TokensPerMinute   int64
	// Limits are all of the provider's limits, those three included; LimitsPerKey are those of each of its keys.
	Limits, LimitsPerKey Limits
	Breaker              Breaker
	// HealthCheckInterval between free probes; 0 means none are sent.
	HealthCheckInterval time.Duration
	AllowPrivateAddress bool
	// Strict turns what translation would degrade into a refusal.
	Strict bool
	// Fallback serves only when nothing else can.
	Fallback bool
	Override Override
}

// Credential is one key of a provider. The key never prints itself.
type Credential struct {
	Fingerprint string
	Key         secret.Secret
}

// Breaker holds a circuit's parameters; zero fields mean the circuit's own defaults.
type Breaker struct {
	MaxFailures   int
	RecoveryDelay time.Duration
	ProbeInterval time.Duration
	CloseAfter    int
}

// Override is an operator's word on a provider's health. It wins over everything until it expires.
type Override struct {
	Order Order
	// UntilMs is when it ends by itself, in Unix milliseconds; 0 means never.
	UntilMs int64
	Reason  string
}

// Order is what an override says.
type Order uint8

// The orders.
const (
	NoOrder     Order = iota
	Drain             // nothing new
	ForceOpen         // out of use
	ForceClosed       // in use, whatever its health
)

// String is the order's name in configuration.
func (o Order) String() string { return [...]string{"", "drain", "open", "closed"}[o&3] }

// At is what the override says at that moment.
func (o Override) At(nowMs int64) Order {
	if o.UntilMs != 0 && nowMs >= o.UntilMs {
		return NoOrder
	}
	return o.Order
}

// Target is one model at one provider: the unit that is picked, measured and opened. Read only.
type Target struct {
	// Index is dense: 0 to Len()-1, for arrays of counters. It holds for one configuration revision.
	Index int
	// Provider is the index of its provider.
	Provider   int
	ProviderID string
	Model      string
	// Key is "provider/model", its name in metrics and explanations.
	Key      string
	Endpoint Endpoint
	Has      Capability
	// Unknown are capabilities that nobody has stated either way.
	Unknown Capability
	// ContextWindow and MaxOutput in tokens; 0 means unknown.
	ContextWindow, MaxOutput int
	Price                    Price
	// Efforts that the model takes, weakest first; nil means nobody said.
	Efforts []string
	// Serves are the requested names it answers to; '*' matches any run of characters.
	Serves []string
	Limits Limits
}

// Endpoint is where a target is reached, and the wire it speaks.
type Endpoint struct {
	Protocol Protocol
	BaseURL  string
}

// Policy is how to choose and how to try. Read only.
type Policy struct {
	Priority Priority
	Balancer Balancer
	// Pins are the providers that go first for a class; -1 means none.
	ThinkingProvider, VisionProvider, ToolsProvider, DefaultProvider int
	// RejectUnknown refuses models that no provider serves; otherwise any provider may take them.
	RejectUnknown     bool
	LongContextTokens int
	ClassOrder        []Class
	// ThinkingBudgetTokens asks for thinking explicitly from this budget on.
	ThinkingBudgetTokens int
	MaxAttempts          int
	// RetryShare and HedgeShare of requests, from 0 to 1, over any 10 seconds.
	RetryShare, HedgeShare float64
	ConnectTimeout         time.Duration
	FirstTokenTimeout      time.Duration
	IdleTimeout            time.Duration
	RequestTimeout         time.Duration
	// QueueTimeout is how long a request may wait for room within limits, QueueDepth how many may at one node.
	QueueTimeout time.Duration
	QueueDepth   int
	// FixedConcurrency leaves it at the configured limits: what is learnt about how many requests at once a key takes is not heeded.
	FixedConcurrency bool
	// Continuation lets a broken stream of plain text go on at another provider.
	Continuation bool
	// Weights are the exponents of the custom priority.
	Weights Weights
	// Plugin is a WebAssembly module that orders candidates; nil means none.
	Plugin []byte
	// Regions that may be used; empty means all.
	Regions []string
}

// Revision says which state of the world the table shows.
func (t *Table) Revision() Revision { return t.revision }

// Policy is how to choose and how to try.
func (t *Table) Policy() *Policy { return &t.policy }

// NodesHeard is how many nodes the control plane hears, this one included; 0 where nobody said.
func (t *Table) NodesHeard() int { return t.heard }

// NodesLive is how many nodes the control plane hears, this one included; at least 1.
func (t *Table) NodesLive() int { return t.nodes }

// Limits are those of all requests together.
func (t *Table) Limits() Limits { return t.limits }

// KeyLimits are those of each client key that has any, by its id. Read only.
func (t *Table) KeyLimits() map[string]Limits { return t.keyLimits }

// TeamLimits are those of each team that has any, by its id. Read only.
func (t *Table) TeamLimits() map[string]Limits { return t.teamLimits }

// SubjectLimits are those of each subject of an issuer, by the issuer's id. Read only.
func (t *Table) SubjectLimits() map[string]Limits { return t.subjectLimits }

// RegionSharePPM is this region's part of the limits that are not a provider's, in parts per million.
func (t *Table) RegionSharePPM() uint32 { return t.regionShare }

// CapacitySharePPM is this region's part of a provider's own limits, in parts per million.
func (t *Table) CapacitySharePPM(provider int) uint32 {
	p, most := &t.providers[provider], uint32(0)
	for i := range t.targetsOf(p) {
		most = max(most, t.health[i].CapacitySharePPM)
	}
	return most
}

// Len is the number of targets, those of disabled providers included.
func (t *Table) Len() int { return len(t.targets) }

// Target is the target of that index, which must be in range.
func (t *Table) Target(i int) *Target { return &t.targets[i] }

// Targets are all targets in order of their index. Read only.
func (t *Table) Targets() []Target { return t.targets }

// Providers are all providers, disabled ones included, in order of their index. Read only.
func (t *Table) Providers() []Provider { return t.providers }

// Provider is the provider of that index, which must be in range.
func (t *Table) Provider(i int) *Provider { return &t.providers[i] }

// ProviderByID finds a provider; ok is false when the table has none of that id.
func (t *Table) ProviderByID(id string) (p *Provider, ok bool) {
	i, ok := t.byID[id]
	if !ok {
		return nil, false
	}
	return &t.providers[i], true
}

// TargetByName finds a provider's model by both names; ok is false when the table has no such target.
func (t *Table) TargetByName(provider, model string) (target *Target, ok bool) {
	p, ok := t.ProviderByID(provider)
	if !ok {
		return nil, false
	}
	for i := range t.targetsOf(p) {
		if t.targets[i].Model == model {
			return &t.targets[i], true
		}
	}
	return nil, false
}

// targetsOf yields the indexes of a provider's targets.
func (c *catalog) targetsOf(p *Provider) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := p.First; i < p.First+p.Models; i++ {
			if !yield(i) {
				return
			}
		}
	}
}
