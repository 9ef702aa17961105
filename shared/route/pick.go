package route

import "github.com/aimux/aimux/shared/fault"

// Live is what this node knows of a target at this instant.
type Live struct {
	// InFlight requests of this node at the target.
	InFlight int32
	// FirstTokenUs and PerTokenUs are this node's own estimates, in microseconds; 0 means unknown. An attempt in flight that is overdue
	// should already show in them.
	FirstTokenUs, PerTokenUs uint32
	// SuccessPPM is the share of this node's attempts that succeed, in parts per million; 0 means unknown.
	SuccessPPM uint32
	// BlockedUntilMs: no credential may be used until then, in Unix milliseconds; 0 means one may.
	BlockedUntilMs int64
	// BlockedBy is what blocked the credential that may be used first.
	BlockedBy fault.Kind
	// Turn is the node's count of picks when it last sent to the target; 0 means never. Round robin goes by it.
	Turn uint64
	// Open: the node's own circuit is open, or the target asked it for a pause.
	Open bool
	// Busy: its limits leave no room right now. Others go before it, and who has nobody else may wait for it.
	Busy bool
	// ProbeHere: one live request may be tried in spite of a circuit: the node's own is half open and lets one through, or a grant
	// of the table (Health.Probe) has not been used yet.
	ProbeHere bool
}

// View is what a node knows by itself, as one request sees it. Its methods are called in the course of Pick and must neither block nor
// allocate. One goroutine at a time.
type View interface {
	// Live of the target of that index; valid until the next call, so that a view may keep one and no copy is made.
	Live(target int) *Live
	// Home is the target that holds a session's prompt cache; ok is false when none is known to.
	Home(session uint64) (target int, ok bool)
}

// Candidate is one target of a chain.
type Candidate struct {
	key uint64
	// Target is its index in the table.
	Target int32
	// Score is the binary logarithm of how bad a choice it is, by the table's priority.
	Score float32
}

// A candidate's key sorts chains: the rank in the upper 9 bits, the balancer's order in the next 39, then the target.
// In the rank, whatever weighs most stands highest.
const (
	byFallback  = 1 << 8 // its provider serves only when nothing else can
	byLast      = 1 << 7 // unhealthy, suspected, or open and the least bad there is
	notProbe    = 1 << 6 // a probe goes first: whoever comes next is its safety
	notSticky   = 1 << 5 // an open tool call goes where it began
	byLoss      = 1 << 4 // serves, but without something that the request would rather have
	byTurnAside = 1 << 3 // its weight said no this time, or its limits have no room
	pinNone     = 2 << 1 // 0 the class's provider, 1 the default provider, 2 neither
	pinDefault  = 1 << 1
	pins        = 3 << 1
	byLooseName = 1 // serves the model by a pattern, while others do by name

	rankShift  = 55
	orderShift = 16
	orderMask  = 1<<39 - 1
)

func (c Candidate) rank() uint16 { return uint16(c.key >> rankShift) }

// Fallback reports the provider that serves only when nothing else can.
func (c Candidate) Fallback() bool { return c.rank()&byFallback != 0 }

// LastResort reports a target that is unhealthy, suspected, or open and the least bad there is. Not worth a hedge.
func (c Candidate) LastResort() bool { return c.rank()&byLast != 0 }

// Probe reports an attempt that puts a target to the test: it uses up this node's right to try one whose circuit is not closed, or it
// is the little that an unhealthy one gets.
func (c Candidate) Probe() bool { return c.rank()&notProbe == 0 }

// Pinned reports that the policy names the provider for this class, or for all.
func (c Candidate) Pinned() bool { return c.rank()&pins != pinNone }

// Sticky reports that an open tool call goes back where it began.
func (c Candidate) Sticky() bool { return c.rank()&notSticky == 0 }

// walker is one request on its way through the table: everything worked out once, then judged target by target.
type walker struct {
	t     *Table
	view  View
	node  string
	nowMs int64
	// dice is the caller's randomness; mood seeds the noise: the session's where there is one, so that all nodes lean the same way.
	dice, mood uint64

	needs   Capability
	wants   Capability
	dialect int
	prompt  int32
	reserve int32   // tokens of the answer that must fit
	input   float32 // tokens of the prompt
	output  float32 // tokens of the answer that are expected
	whole   bool    // the client waits for the last token

	balancer                   Balancer
	cost, latency, reliability float32

	// scope of the caller; limited says that it does not hold all providers, barred that it holds nobody for this Ask.
	scope           *Scope
	limited, barred bool
	// only limits the walk to one provider; -1 means none.
	only                 int32
	home                 int32 // target, or -1
	toolOpen             bool
	classPin, defaultPin int32

	placed [ProvidersMax / 64]uint64 // providers with a candidate
	chain  []Candidate
	base   int // length of chain before this walk
	least  Candidate
	refuse tally
	// notes, when not nil, take the reason for every target: explaining is the same walk.
	notes []Reason
}

// Pick appends to dst the targets that may serve the request, the best first: the whole failover chain, each provider at most once. When
// there is none, the verdict says why. It allocates nothing if dst has room. node is this node's name, for probe grants; nowMs the
// time in Unix milliseconds; rnd any random number, on which and on nothing else the noise depends.
//
// The first that counts decides the order: a probe that this node owes; where an open tool call began; who has what the request would
// rather have; the policy's pins; those who serve
// the model by name before those who do by pattern; the balancer. Unhealthy targets come after all others, the fallback provider last.
// If everybody who could serve is out for health alone, the least bad one is the chain: somebody is always tried.
func (t *Table) Pick(dst []Candidate, ask *Ask, view View, node string, nowMs int64, rnd uint64) ([]Candidate, Verdict) {
	var w walker
	w.start(t, ask, view, node, nowMs, rnd)
	w.chain, w.base = dst, len(dst)
	served := w.run(ask.Model)
	if len(w.chain) == w.base {
		return w.chain, w.verdict(ask, served)
	}
	sortChain(w.chain[w.base:])
	return w.chain, Verdict{Dropped: w.refuse.some}
}

func (w *walker) start(t *Table, ask *Ask, view View, node string, nowMs int64, rnd uint64) {
	w.t, w.view, w.node, w.nowMs = t, view, node, nowMs
	w.dice, w.mood = rnd, rnd
	w.home, w.only = -1, -1
	if ask.Session != 0 {
		w.mood = ask.Session
		if home, ok := view.Home(ask.Session); ok {
			w.home = int32(home)
		}
	}
	w.toolOpen = ask.Traits&TraitToolOpen != 0
	w.needs, w.wants = ask.Needs, ask.Wants
	if ask.Protocol == OpenAI {
		w.dialect = 1
	}
	w.prompt = clamp(ask.PromptTokens)
	w.input = float32(w.prompt)
	w.reserve = clamp(ask.MaxTokens)
	expect := clamp(ask.ExpectTokens)
	if w.reserve == 0 {
		w.reserve = expect
	}
	w.output = float32(max(1, min(expect, w.reserve)))
	w.whole = ask.Traits&TraitStreaming == 0
	w.balancer = t.policy.Balancer
	w.cost, w.latency, w.reliability = t.policy.sensitivity(ask)
	w.classPin, w.defaultPin = int32(t.policy.pin(ask.Class)), int32(t.policy.DefaultProvider)
	if ask.Scope != nil {
		w.scope = ask.Scope
		w.barred = t.Permits(ask).Outcome == NotPermitted
		w.limited = ask.Scope.limited || w.barred
	}
}

// clamp keeps sums of two token counts within 32 bits.
func clamp(tokens int) int32 { return int32(min(max(tokens, 0), 1<<29)) }

// pin is the provider that the policy names for a class; -1 means none.
func (p *Policy) pin(class Class) int {
	switch class {
	case ClassThinking:
		return p.ThinkingProvider
	case ClassVision:
		return p.VisionProvider
	case ClassTools:
		return p.ToolsProvider
	default:
		return -1
	}
}

// run walks all who serve the model, and the fallback provider; served is false when nobody serves it.
func (w *walker) run(model string) (served bool) {
	served = w.t.walk(model, w)
	if served && w.only < 0 {
		w.visit(w.t.names.fallback, byPolicy)
	}
	if len(w.chain) == w.base && w.least.key != 0 {
		w.chain = append(w.chain, w.least)
	}
	return served
}

// visit judges hops and places those that fit, one for each provider; it returns whether there was any to judge.
func (w *walker) visit(hops []hop, by stage) (judged bool) {
	for _, h := range hops {
		if w.only >= 0 && h.provider != w.only {
			continue
		}
		judged = true
		if w.placed[h.provider>>6]&(1<<(h.provider&63)) != 0 {
			if w.notes != nil && w.notes[h.target] != Fits {
				w.notes[h.target] = OtherModel
			}
			continue
		}
		var live *Live
		r := &w.t.rows[h.target]
		reason := Fits
		if !w.suits(r) {
			reason = w.fails(h, r)
		}
		if reason == Fits {
			if live = w.view.Live(int(h.target)); !w.ready(r, live) {
				reason = w.ails(h, r, live)
			}
		}
		if w.notes != nil {
			w.notes[h.target] = reason
		}
		switch reason {
		case Fits:
			w.placed[h.provider>>6] |= 1 << (h.provider & 63)
			w.chain = append(w.chain, w.candidate(h, r, live, by))
		default:
			w.refuse.add(w, h, reason, live)
			if reason.ill() {
				w.keepLeast(h, r, live, by)
			}
		}
	}
	return judged
}

// candidate makes one of a target that fits.
func (w *walker) candidate(h hop, r *row, live *Live, by stage) Candidate {
	score := w.score(h.target, r, live)
	rank := uint16(notProbe | notSticky | pinNone)
	if w.wants&^r.can[w.dialect] != 0 {
		rank |= byLoss
	}
	if by == byPattern {
		rank |= byLooseName
	}
	switch h.provider {
	case w.classPin:
		rank &^= pins
	case w.defaultPin:
		rank = rank&^pins | pinDefault
	}
	if !r.well || r.fallback || live.Open || live.Busy || w.toolOpen {
		rank = w.rank(rank, h.target, r, live)
	}
	order := ordered(score)
	if w.balancer != Adaptive {
		order = w.order(h.target, r, live, score)
	} else if live.SuccessPPM == 0 && w.untried(h.target, r, live) {
		order = 0
	}
	key := uint64(rank)<<rankShift | order&orderMask<<orderShift | uint64(h.target)
	return Candidate{key: key, Target: h.target, Score: score}
}

// keepLeast remembers the least bad of those who are out for their health.
func (w *walker) keepLeast(h hop, r *row, live *Live, by stage) {
	c := w.candidate(h, r, live, by)
	c.key |= (byLast | notProbe) << rankShift
	if w.least.key == 0 || c.key < w.least.key {
		w.least = c
	}
}

// rank adds to a rank what depends on how the target stands, and on where an open tool call began.
func (w *walker) rank(rank uint16, target int32, r *row, live *Live) uint16 {
	if r.fallback {
		rank |= byFallback
	}
	switch {
	case r.orders(w.nowMs) == ForceClosed:
		return rank
	case live.ProbeHere && (r.state.out() || live.Open), r.state == Unhealthy && w.trickle(target):
		return rank &^ notProbe
	case r.state.out(), r.state == Unhealthy:
		return rank | byLast
	case w.toolOpen && target == w.home:
		return rank &^ notSticky
	case live.Busy, r.weight < 1 && w.aside(target, rank):
		return rank | byTurnAside
	default:
		return rank
	}
}

// trickle sends an unhealthy target the little that its weight leaves it of a fair share, first in the chain so that it is really
// tried: without requests nobody would see it get well.
func (w *walker) trickle(target int32) bool {
	weight := max(w.t.rows[target].weight, weightFloorPPM*perPPM)
	return !w.toolOpen && chance(w.dice^trickleDice, target) < weight/float32(w.t.size)
}

// aside lets a target with less than its full weight stand back as often as the weight says. Weighted has its own way, which a pin
// would overrule.
func (w *walker) aside(target int32, rank uint16) bool {
	if w.t.policy.Balancer == Weighted && rank&pins == pinNone {
		return false
	}
	return chance(w.dice^asideDice, target) >= w.t.rows[target].weight
}

// untried sends a target that neither this node nor the cluster has ever measured a request now and then, as long as none is under way: what is
// guessed of it may be so much worse than what is measured of others that it would never get one.
func (w *walker) untried(target int32, r *row, live *Live) bool {
	return live.FirstTokenUs == 0 && live.InFlight == 0 && !r.measured && w.home < 0 && chance(w.dice^untriedDice, target) < untriedShare
}

// untriedShare of the requests that a target could serve goes to it until it has been measured once.
const untriedShare = 1.0 / 8

// Different dice of one throw.
const (
	untriedDice = 0x1f83_d9ab_fb41_bd6b
	trickleDice = 0x5bf0_3635_d1a2_9c11
	asideDice   = 0xc2b2_ae3d_27d4_eb4f
)

// sortChain sorts by key, in place; no two keys are equal. By hand, because chains of this length come in an order that no processor can
// guess: dividing them without a branch takes half of the library's time.
func sortChain(chain []Candidate) {
	for len(chain) > 12 {
		first, middle, last := chain[0].key, chain[len(chain)/2].key, chain[len(chain)-1].key
		pivot := max(min(first, middle), min(max(first, middle), last)) // never the smallest of all: below is not empty
		below := 0
		for i, c := range chain {
			chain[i], chain[below] = chain[below], c
			smaller := 0
			if c.key < pivot {
				smaller = 1
			}
			below += smaller
		}
		sortChain(chain[:below])
		chain = chain[below:]
	}
	for i := 1; i < len(chain); i++ {
		c := chain[i]
		at := i
		for ; at > 0 && chain[at-1].key > c.key; at-- {
			chain[at] = chain[at-1]
		}
		chain[at] = c
	}
}
