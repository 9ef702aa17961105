package limit

import (
	"cmp"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
)

// Config is how a node limits; what is limited is in the table.
type Config struct {
	// Node is this process's name, new at every start: what an earlier one held returns by itself.
	Node string
	// SubjectsMax is how many subjects may be held within limits at a time, 8,192. Each issuer has an even part of them, so that none can take the
	// room of another's.
	SubjectsMax int
}

// Deps is what a limiter needs of its owner.
type Deps struct {
	// Source shares the limits out; nil means that nobody does, and every node keeps to its fair share.
	Source Source
	// Ledger knows what has been spent; nil means that nobody does, and budgets are forgotten with the source's memory.
	Ledger Ledger
	// Log hears when the source stops and begins to answer; nil means nobody does.
	Log *slog.Logger
}

// Limiter decides whether there is room. All methods but Run and Apply are for any goroutine, and none but Wait
// waits.
type Limiter struct {
	config Config
	deps   Deps
	// mu guards what is not atomic in the meters, which Apply and Run write. It is never held while the source is asked.
	mu   sync.Mutex
	plan atomic.Pointer[plan]
	// applied is what the plan was made of.
	applied applied
	// keys, subjects and teams are the gates of callers.
	keys, subjects, teams *callers
	// born is what slots count time from; swept is when Run last looked for callers that are quiet.
	born, swept time.Time
	// price of a token as it was paid lately, in billionths of a dollar: what a request will cost is not known before it has gone
	// somewhere.
	price atomic.Int64
	// woken says that kick holds a wish for a round at once.
	woken atomic.Bool
	kick  chan struct{}
	// toRead are budgets that the ledger is to be asked about; ledgerFailures of it in a row belong to its goroutine.
	toRead         chan []*budgetMeter
	ledgerFailures int
	// failures of the source in a row, and when it is asked again; both belong to Run.
	failures int
	retry    time.Time
	sourced  struct {
		up                     atomic.Bool
		rounds, failures, asks atomic.Uint64
		tookNs                 atomic.Int64
	}
	permits sync.Pool
	queue   queue
}

// New makes a limiter without limits; Apply brings them, Run fetches what they may give out.
func New(config Config, deps Deps) *Limiter {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	l := &Limiter{config: config, deps: deps, kick: make(chan struct{}, 1), toRead: make(chan []*budgetMeter, 1), born: time.Now()}
	l.keys = newCallers("key", func(p *plan) map[string]route.Limits { return p.keys })
	l.teams = newCallers("team", func(p *plan) map[string]route.Limits { return p.teams })
	l.subjects = newCallers("subject", func(p *plan) map[string]route.Limits { return p.subjects })
	l.subjects.most = cmp.Or(config.SubjectsMax, subjectsMax)
	l.queue.kick = make(chan struct{}, 1)
	l.permits.New = func() any { return new(Permit) }
	l.plan.Store(new(plan))
	return l
}

// Apply takes the limits from a table; it is cheap when they have not changed. What is in flight and in stock stays with limits whose
// scope is still there. nodesLive is among how many nodes the limits are to be shared; 0 means that nobody knows yet.
func (l *Limiter) Apply(table *route.Table, nodesLive int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := appliedOf(table, nodesLive)
	if now == l.applied {
		return
	}
	l.applied = now
	p := planOf(table, l.plan.Load(), builder{nodes: int64(nodesLive), alone: l.deps.Source == nil, ledger: l.deps.Ledger != nil, born: l.born})
	l.plan.Store(p)
	for _, c := range l.kinds() {
		c.adjust(p)
	}
	l.wake()
}

// applied is what of a table the limits depend on: its configuration, the nodes, and the region's shares, summed up.
type applied struct {
	config uint64
	nodes  int
	shares uint64
}

func appliedOf(table *route.Table, nodes int) applied {
	shares := uint64(table.RegionSharePPM())
	for i := range table.Targets() {
		shares = shares*1_000_003 + uint64(table.Health(i).CapacitySharePPM)
	}
	return applied{table.Revision().Config, nodes, shares}
}

// Permit is what was taken for one request or attempt. A nil Permit is one of nothing.
type Permit struct {
	l     *Limiter
	gates [gatesMax]*gate
	n     int
	// reserved but not yet paid.
	reserved amounts
	// prices says that what is paid tells of the price of tokens.
	prices bool
}

// gatesMax is how many scopes one of them meets at most: a request its key or subject, its team and all; an attempt its provider, its model there
// and its key.
const gatesMax = 3

// Admit takes what a request needs of the limits of its caller, of the caller's team and of all requests together, or says why it
// cannot.
func (l *Limiter) Admit(caller Caller, ask *route.Ask) (*Permit, *fault.Fault) {
	plan := l.plan.Load()
	subject, full := l.caller(plan, l.subjects, caller.Subject)
	if full {
		return nil, l.crowded(caller.Subject)
	}
	key, _ := l.caller(plan, l.keys, caller.Key)
	team, _ := l.caller(plan, l.teams, caller.Team)
	if plan.all == nil && key == nil && subject == nil && team == nil {
		return nil, nil // nothing is limited, nothing is taken
	}
	r := reservation(ask)
	r.nano = r.units[tokens] * l.price.Load()
	p := l.permit(r)
	p.prices = true
	if p.through(key); key == nil {
		p.through(subject)
	}
	p.through(team)
	p.through(plan.all)
	return p.take()
}

// kinds are the callers of every kind.
func (l *Limiter) kinds() [3]*callers { return [...]*callers{l.keys, l.teams, l.subjects} }

// caller holds the gate of a caller; nil where there are no limits, or it is full.
func (l *Limiter) caller(p *plan, of *callers, id string) (g *gate, full bool) {
	limited := of.limited(p)
	if id == "" || len(limited) == 0 {
		return nil, false
	}
	if g := of.hold(id); g != nil {
		return g, false
	}
	if _, ok := limited[of.listed(id)]; !ok {
		return nil, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g, full = of.open(id, l.plan.Load())
	l.wake()
	return g, full
}

// crowded refuses a subject for whom there is no room beside all the others. It is not he who did too much.
func (l *Limiter) crowded(subject string) *fault.Fault {
	issuer, _ := identity.IssuerOf(subject)
	return &fault.Fault{
		Kind: fault.Overloaded, RetryAfter: sweepEvery,
		Message: fmt.Sprintf("more subjects of issuer %s call than this node can hold within limits at a time (%d for all issuers)", issuer, l.subjects.most),
	}
}

// Enter takes what an attempt needs of the limits of its provider, its model there and its key, or says why it cannot. credential is
// the key's fingerprint; empty means none.
func (l *Limiter) Enter(target *route.Target, credential string, ask *route.Ask) (*Permit, *fault.Fault) {
	at := l.plan.Load().providers[target.ProviderID]
	if at == nil {
		return nil, nil
	}
	r := reservation(ask)
	r.nano = int64(target.Price.Cost(uint64(r.units[input]), uint64(r.units[output]), 0, 0))
	p := l.permit(r)
	p.through(at.own)
	p.through(at.models[target.Model])
	p.through(at.keys[credential])
	return p.take()
}

// Rate is how much of a limit per minute is left, as far as this node knows, and when all of it will be; Limit is 0 where there is none.
type Rate struct {
	Limit, Left int64
	Whole       time.Duration
}

// Rates are a caller's, of each kind the one of which least is left: of its key or subject, its team or all requests.
type Rates struct{ Requests, Tokens, Input, Output Rate }

// Rates are for callers to go by.
func (l *Limiter) Rates(caller Caller) (r Rates) {
	plan := l.plan.Load()
	nowMs := time.Now().UnixMilli()
	for _, g := range [...]*gate{l.known(plan, l.keys, caller.Key), l.known(plan, l.subjects, caller.Subject), l.known(plan, l.teams, caller.Team), plan.all} {
		if g == nil {
			continue
		}
		for kind, to := range [unitKinds]*Rate{requests: &r.Requests, tokens: &r.Tokens, input: &r.Input, output: &r.Output} {
			if one := g.rate(kind, nowMs); one.Limit > 0 && (to.Limit == 0 || one.Left < to.Left) {
				*to = one
			}
		}
		if g.presence != nil {
			g.presence.drop()
		}
	}
	return r
}

// known is caller, but makes no gate.
func (l *Limiter) known(p *plan, of *callers, id string) *gate {
	if id == "" || len(of.limited(p)) == 0 {
		return nil
	}
	return of.hold(id)
}

func (g *gate) rate(kind int, nowMs int64) (r Rate) {
	m := g.units[kind]
	if m == nil {
		return Rate{}
	}
	r = Rate{Limit: g.perMinute[kind], Left: max(min(m.leftOver(time.UnixMilli(nowMs))+m.stock.Load(), g.perMinute[kind]), 0)}
	switch until := time.Duration(m.until.Load()-nowMs) * time.Millisecond; {
	case r.Left == r.Limit:
	case r.Left == 0 && until > 0:
		r.Whole = min(until, windowS*time.Second)
	default:
		r.Whole = windowS * time.Second
	}
	return r
}

// expectDefault is how long an answer may be when nobody said anything, in tokens.
const expectDefault = 1_000

// reservation is the prompt and the answer as it will likely be.
func reservation(ask *route.Ask) (a amounts) {
	answer := ask.ExpectTokens
	if answer <= 0 {
		answer = expectDefault
	}
	if ask.MaxTokens > 0 {
		answer = min(answer, ask.MaxTokens)
	}
	a.units = [unitKinds]int64{requests: 1, tokens: int64(ask.PromptTokens + answer), input: int64(ask.PromptTokens), output: int64(answer)}
	return a
}

func (l *Limiter) permit(reserved amounts) *Permit {
	p := l.permits.Get().(*Permit)
	p.l, p.reserved = l, reserved
	return p
}

func (p *Permit) through(g *gate) {
	if g != nil {
		p.gates[p.n] = g
		p.n++
	}
}

// take takes all or nothing.
func (p *Permit) take() (*Permit, *fault.Fault) {
	now := int64(time.Since(p.l.born))
	hungry := false
	for i, g := range p.gates[:p.n] {
		ok, low := g.take(now, &p.reserved)
		hungry = hungry || low
		if ok {
			continue
		}
		for _, taken := range p.gates[:i] {
			taken.give(&p.reserved)
		}
		if g.presence != nil {
			g.presence.of.refused.Add(1)
		}
		f := p.strictest(now)
		p.l.wake()
		p.free()
		return nil, f
	}
	if hungry {
		p.l.wake()
	}
	return p, nil
}

// strictest is, of all limits that have no room, the one that has none for longest.
func (p *Permit) strictest(now int64) *fault.Fault {
	nowMs := time.Now().UnixMilli()
	var worst shortage
	for _, g := range p.gates[:p.n] {
		if s := g.shortage(now, nowMs); s.what != "" && (worst.what == "" || s.untilMs > worst.untilMs) {
			worst = s
		}
	}
	if worst.what == "" { // there is room again already
		worst = shortage{scope: p.gates[0], what: inFlight, untilMs: nowMs}
	}
	wait := max(time.Duration(worst.untilMs-nowMs)*time.Millisecond, time.Second)
	kind := fault.RateLimited
	if worst.what == inFlight && worst.scope.presence == nil {
		kind = fault.Overloaded // it is not the caller who did too much
	}
	message := fmt.Sprintf("the gateway's limit on %s of %s is used up", worst.what, worst.scope.name)
	if worst.spent {
		kind, message = fault.QuotaExhausted, message+" until "+time.UnixMilli(worst.untilMs).UTC().Format(time.RFC3339)
	}
	return &fault.Fault{Kind: kind, RetryAfter: wait, Message: message}
}

// Settle gives the slot back and pays for what was really used and what it cost, in billionths of a dollar; without any usage, for
// nothing but the request itself. Once, and the permit is not to be used after it.
func (p *Permit) Settle(used outcome.Usage, costNano uint64) {
	if p == nil {
		return
	}
	fresh := int64(used.Input + used.CacheWrite)
	all := fresh + int64(used.CacheRead+used.Output)
	if p.prices && used.Reported && all > 0 {
		p.l.paid(int64(costNano) / all)
	}
	back := amounts{nano: p.reserved.nano - int64(costNano)}
	for kind, paid := range [unitKinds]int64{requests: p.reserved.units[requests], tokens: all, input: fresh, output: int64(used.Output)} {
		back.units[kind] = p.reserved.units[kind] - paid
	}
	for _, g := range p.gates[:p.n] {
		g.give(&back)
	}
	p.l.queue.poke()
	p.free()
}

// Grounds are what there was room by, in a word, of several limits the one that is known least of: none (nothing is limited), lease (what the source gave this node),
// share (the node's fair share, as no source answers), open (limits that do not hold without the source). Not after Settle.
func (p *Permit) Grounds() string {
	if p == nil || p.n == 0 {
		return "none"
	}
	now, up := int64(time.Since(p.l.born)), p.l.sourced.up.Load()
	word := "lease"
	for _, g := range p.gates[:p.n] {
		switch {
		case g.leased(now, up):
		case g.open:
			return "open"
		default:
			word = "share"
		}
	}
	return word
}

// paid lets the price of a token follow what is paid; of two at once one may be lost.
func (l *Limiter) paid(perToken int64) {
	switch was := l.price.Load(); {
	case was == 0:
		l.price.Store(perToken)
	case was != perToken:
		l.price.Store(was + (perToken-was)/8)
	}
}

func (p *Permit) free() {
	l := p.l
	for _, g := range p.gates[:p.n] {
		if g.presence != nil {
			g.presence.drop()
		}
	}
	*p = Permit{}
	l.permits.Put(p)
}

// wake asks Run for a round at once.
func (l *Limiter) wake() {
	if !l.woken.Load() && l.woken.CompareAndSwap(false, true) {
		l.kick <- struct{}{} // has room: there is one wish between two times that Run clears woken
	}
}
