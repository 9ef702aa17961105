package route

// Reason says why a target is a candidate or dropped out.
type Reason uint8

// The reasons, in the order in which they are found.
const (
	Fits            Reason = iota
	NotServing             // it does not serve the model
	OtherModel             // its provider serves with another of its models
	Disabled               // its provider is not enabled
	WrongRegion            // its provider's region may not be used
	NotAllowed             // not for this caller
	LacksCapability        // a need that it does not meet
	ContextTooShort        // prompt and answer do not fit its context window
	Drained                // by the operator
	ForcedOut              // by the operator
	ClusterOpen            // the cluster's circuit is open
	ClusterProbing         // half open, and the probe is not this node's
	NodeOpen               // this node's own circuit is open
	Blocked                // until a retry-after has passed
	reasons
)

var reasonTexts = [reasons]string{
	"fits", "does not serve this model", "its provider serves with another model", "disabled", "region not allowed by policy", "not allowed for this caller",
	"lacks a needed capability", "context window too short", "drained by the operator", "forced open by the operator", "circuit open",
	"half open, and the probe is another node's", "circuit open on this node", "blocked until its retry-after has passed",
}

// String is the reason in words.
func (r Reason) String() string { return reasonTexts[min(r, reasons-1)] }

// ill: out of use for its health alone, so that it may be tried when nothing else is left.
func (r Reason) ill() bool { return r == ClusterOpen || r == ClusterProbing || r == NodeOpen }

// Capabilities for which translation has a representation, by the dialect translated from. Whatever else a request needs is met only in
// its own dialect, whatever a provider says it can do.
const (
	crossing              = Vision | PDF | Tools | Thinking | Streaming | JSONSchema | JSONObject | ToolImages
	fromAnthropicCrossing = crossing
	fromOpenAICrossing    = crossing | WebSearch | GrammarTools | Prefill
)

// can is what a target can do for a request that comes in a dialect: what it has, and what nobody has stated either way, within what
// reaches it.
func (t *Target) can(from Protocol) Capability {
	able := t.Has | t.Unknown
	switch from {
	case t.Endpoint.Protocol:
		return able
	case Anthropic:
		return able&fromAnthropicCrossing | t.Has&Prefill // most begin anew, unless one is known to go on
	default:
		return able & fromOpenAICrossing
	}
}

// Missing is what an Ask needs and the target cannot do.
func (t *Target) Missing(ask *Ask) Capability { return ask.Needs &^ t.can(ask.Protocol) }

// row is all that Pick reads of a target, in one place and without a pointer: what the configuration says, and how the target stands.
type row struct {
	can [2]Capability // by the dialect of the request, Anthropic first
	// in tokens; unlimited where nobody stated one
	window, maxOutput int32
	// billionths of a dollar per token; the table's mean price where nobody stated one
	input, output, cached float32
	// what to expect: of the cluster's making, else as configured, else the default
	firstUs, tokenUs, success float32
	// weight of the configured share, from 0 to 1; capacity share as scores add it up; one over all that the weighted balancer goes by
	weight, logCapacity, rarity float32
	// load that one request of this node adds
	load         float32
	orderUntilMs int64
	order        Order
	state        State
	fallback     bool
	// measured: the cluster knows how long its first token takes, and does not only guess.
	measured bool
	// well: healthy, at full weight, nothing ordered. Nearly always; then much need not be looked at.
	well bool
}

// Expected of a target of which nothing is known.
const (
	firstTokenDefaultUs = 1_000_000
	perTokenDefaultUs   = 15_000
	priorityDefault     = 50
)

// settleRows writes what the configuration says of each target.
func (c *catalog) settleRows() {
	c.rows = make([]row, len(c.targets))
	mean := c.meanPrice()
	for i := range c.targets {
		t := &c.targets[i]
		p := &c.providers[t.Provider]
		price := t.Price
		if !price.Known() {
			price = mean
		}
		if price.CacheRead == 0 {
			price.CacheRead = price.Input
		}
		r := &c.rows[i]
		*r = row{
			can:    [2]Capability{t.can(Anthropic), t.can(OpenAI)},
			window: tokensMax(t.ContextWindow), maxOutput: tokensMax(t.MaxOutput),
			input: float32(price.Input), output: float32(price.Output), cached: float32(price.CacheRead),
			firstUs: firstTokenDefaultUs, tokenUs: perTokenDefaultUs, success: 1, weight: 1, rarity: 1.0 / priorityDefault,
			order: p.Override.Order, orderUntilMs: p.Override.UntilMs, fallback: p.Fallback,
		}
		if p.FirstToken > 0 {
			r.firstUs = float32(p.FirstToken.Microseconds())
		}
		if p.PriorityScore > 0 {
			r.rarity = 1 / float32(p.PriorityScore)
		}
		r.well, r.load = r.order == NoOrder, loadOf(p, 1)
	}
}

// loadFull is how much worse a target at its limit is than an idle one, and how many requests of a node count for that where nobody
// stated a limit.
const loadFull = 8

// loadOf one request: its part of what a provider takes from each node.
func loadOf(p *Provider, nodes int) float32 {
	if p.MaxConcurrent <= 0 {
		return 1
	}
	return loadFull * float32(nodes) / float32(p.MaxConcurrent)
}

// stands writes how the target stands over a row of the configuration.
func (r *row) stands(h *Health) {
	r.state = h.State
	if h.FirstToken > 0 {
		r.firstUs, r.measured = float32(h.FirstToken.Microseconds()), true
	}
	if h.PerToken > 0 {
		r.tokenUs = float32(h.PerToken.Microseconds())
	}
	if h.SuccessPPM > 0 {
		r.success = float32(h.SuccessPPM) * perPPM
	}
	r.weight = float32(h.WeightPPM) * perPPM
	capacity := float32(h.CapacitySharePPM) * perPPM
	r.logCapacity = log2(capacity)
	r.rarity /= r.weight * capacity
	r.well = r.well && h.State == Healthy && h.WeightPPM == ppm
}

// orders is what the operator says of the target at that moment.
func (r *row) orders(nowMs int64) Order {
	if r.orderUntilMs != 0 && nowMs >= r.orderUntilMs {
		return NoOrder
	}
	return r.order
}

// meanPrice of the targets whose price is known: what an unknown price is taken for, so that it neither draws nor repels.
func (c *catalog) meanPrice() Price {
	var sum Price
	var n uint64
	for i := range c.targets {
		if p := c.targets[i].Price; p.Known() {
			sum.Input, sum.Output, sum.CacheRead, n = sum.Input+p.Input, sum.Output+p.Output, sum.CacheRead+p.CacheRead, n+1
		}
	}
	if n == 0 {
		return Price{Input: 1, Output: 1, CacheRead: 1}
	}
	return Price{Input: sum.Input / n, Output: sum.Output / n, CacheRead: sum.CacheRead / n}
}

// tokensMax reads a limit of tokens; 0 means that nobody stated one.
func tokensMax(tokens int) int32 {
	if tokens <= 0 || tokens > unlimited {
		return unlimited
	}
	return int32(tokens)
}

// unlimited is more than any prompt and answer together.
const unlimited = 1<<31 - 1

// suits reports a target that meets what is asked, and of which neither caller nor operator has said a word: nearly all do.
func (w *walker) suits(r *row) bool {
	return w.needs&^r.can[w.dialect] == 0 && w.prompt+min(w.reserve, r.maxOutput) <= r.window && !w.limited && r.order == NoOrder
}

// fails says what it is that a target does not meet, by what is asked of it and by the operator's word, if there is anything. How it stands
// is not read yet.
func (w *walker) fails(h hop, r *row) Reason {
	order := r.orders(w.nowMs)
	switch {
	case w.limited && (w.barred || !w.scope.Provider(int(h.provider))):
		return NotAllowed
	case w.needs&^r.can[w.dialect] != 0:
		return LacksCapability
	case w.prompt+min(w.reserve, r.maxOutput) > r.window:
		return ContextTooShort
	case order == Drain:
		return Drained
	case order == ForceOpen:
		return ForcedOut
	default:
		return Fits
	}
}

// ready reports a target that is well and not blocked: nearly all are.
func (w *walker) ready(r *row, live *Live) bool {
	return r.well && !live.Open && live.BlockedUntilMs <= w.nowMs
}

// ails says what is wrong with a target, if there is anything.
func (w *walker) ails(h hop, r *row, live *Live) Reason {
	switch {
	case live.BlockedUntilMs > w.nowMs:
		return Blocked
	case r.orders(w.nowMs) == ForceClosed:
		return Fits
	case r.state.out():
		return w.isOut(h, r, live)
	case live.Open && !live.ProbeHere:
		return NodeOpen
	default:
		return Fits
	}
}

// isOut says so of a target that the cluster has taken out: only the holder of a probe grant may try it.
func (w *walker) isOut(h hop, r *row, live *Live) Reason {
	switch {
	case live.ProbeHere && w.t.health[h.target].Probe.For(w.node, w.nowMs):
		return Fits
	case r.state == HalfOpen:
		return ClusterProbing
	default:
		return ClusterOpen
	}
}
