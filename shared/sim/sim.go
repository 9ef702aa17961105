package main

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/route"
)

// strategy is one row of the table: what is switched on.
type strategy struct {
	name               string
	balancer, priority string
	breaker            bool // the node's own circuits
	overdue            bool // late first tokens are evidence
	hedge              bool
	cluster            bool // the control plane
	oracle             bool
}

// The life of a request.
const (
	attemptsMax    = 3
	firstTimeoutUs = 30_000_000
	refusedUs      = 50_000  // a refused connection
	errorUs        = 150_000 // an error
	overloadedUs   = 80_000
)

type kind uint8

const (
	onArrival kind = iota
	onFirst
	onFailure
	onOverload
	onOverdue
	onDone
	onEvidence
	onTick
	onTable
	onFreeProbe
)

// event is something that happens. Which fields it has depends on what it is.
type event struct {
	atUs     int64
	order    uint64 // among events of the same time: the first planned comes first
	what     kind
	target   int
	attempt  *attempt
	evidence circuit.Evidence
	table    *route.Table
}

// request under way.
type request struct {
	arrival
	chain    []route.Candidate
	next     int // of chain
	tries    int
	active   []*attempt
	answered bool
	over     bool
}

type attempt struct {
	request   *request
	target    int
	atUs      int64
	tokenUs   float64
	hedge     bool
	ownProbe  bool // of the node's own circuit
	lease     uint64
	wasOver   bool // was overdue
	gone      bool // failed, cancelled or done: events about it mean nothing
	firstDone bool
}

// sim is one run: one world, one strategy.
type sim struct {
	strategy *strategy
	world    *world
	catalog  *route.Table
	table    *route.Table // as every node has it
	nowUs    int64
	random   *rand.Rand
	queue    queue
	planned  uint64
	gateways []*gateway
	names    []string
	cluster  *cluster
	carried  []int // by vendor
	ask      route.Ask
	result   result
}

// run plays the world through a strategy, to the end of the last request.
func run(st *strategy, w *world, seed uint64) (*result, error) {
	table, err := catalog(st)
	if err != nil {
		return nil, err
	}
	s := &sim{
		strategy: st, world: w, catalog: table, table: table, random: rand.New(rand.NewPCG(seed, 3)), carried: make([]int, len(vendors)),
		ask: route.Ask{Protocol: route.OpenAI, Model: "m", Traits: route.TraitStreaming, Needs: route.Streaming},
	}
	for i := range nodes {
		s.gateways = append(s.gateways, newGateway(s, seed*nodes+uint64(i)))
		s.names = append(s.names, "node-"+string(rune('0'+i)))
	}
	s.cluster = newCluster(s, seed)
	if st.cluster {
		s.after(tickUs, event{what: onTick})
	}
	for i := range w.arrivals {
		a := w.arrivals[i]
		s.nowUs = 0
		s.after(a.atUs, event{what: onArrival, attempt: &attempt{request: &request{arrival: a}}})
	}
	last := w.arrivals[len(w.arrivals)-1].atUs
	for len(s.queue) > 0 {
		e := s.queue.pop()
		s.nowUs = e.atUs
		if e.what == onTick && e.atUs > last+2*firstTimeoutUs {
			continue
		}
		s.happen(e)
	}
	return &s.result, nil
}

func (s *sim) after(us int64, e event) {
	s.planned++
	e.atUs, e.order = s.nowUs+us, s.planned
	s.queue.push(e)
}

func (s *sim) happen(e event) {
	switch e.what {
	case onArrival:
		s.arrive(e.attempt.request)
	case onFirst:
		s.first(e.attempt)
	case onFailure:
		s.fail(e.attempt)
	case onOverload:
		s.overload(e.attempt)
	case onOverdue:
		s.overdue(e.attempt)
	case onDone:
		s.release(e.attempt)
	case onEvidence:
		s.cluster.observe(e.target, e.evidence)
	case onTick:
		s.cluster.tick()
		s.after(tickUs, event{what: onTick})
	case onTable:
		s.table = e.table
	case onFreeProbe:
		s.cluster.freeProbe(e.target)
	}
}

func (s *sim) arrive(r *request) {
	s.result.requests++
	g := s.gateways[r.node]
	g.retries.Request(s.nowUs / 1000)
	g.hedges.Request(s.nowUs / 1000)
	if s.strategy.oracle {
		r.chain = s.bestOf()
	} else {
		s.ask.PromptTokens, s.ask.ExpectTokens = r.prompt, tokensMedian
		r.chain, _ = s.table.Pick(nil, &s.ask, g, s.names[r.node], s.nowUs/1000, s.random.Uint64())
	}
	if len(r.chain) == 0 {
		s.end(r)
		return
	}
	s.try(r, false)
}

// bestOf is what an oracle does: of the vendors that are well and have room, the one whose first token comes first.
func (s *sim) bestOf() []route.Candidate {
	best, bestMs := -1, math.Inf(1)
	for i := range vendors {
		if ms := vendors[i].firstMs(s.carried[i] + 1); s.world.ails(i, s.nowUs) == well && ms < bestMs {
			best, bestMs = i, ms
		}
	}
	if best < 0 {
		return nil
	}
	return []route.Candidate{{Target: int32(best)}}
}

// try sends the request to the next of its chain that has room; a request that nobody has room for has failed.
func (s *sim) try(r *request, hedge bool) {
	g := s.gateways[r.node]
	for r.next < len(r.chain) && g.full(int(r.chain[r.next].Target)) {
		r.next++
	}
	if r.next == len(r.chain) {
		if len(r.active) == 0 {
			s.end(r)
		}
		return
	}
	c := r.chain[r.next]
	r.next++
	r.tries++
	i := int(c.Target)
	v := &vendors[i]
	a := &attempt{request: r, target: i, atUs: s.nowUs, hedge: hedge}
	if health := s.table.Health(i); c.Probe() && health.Probe.For(s.names[r.node], s.nowUs/1000) {
		a.lease = health.Probe.Lease
		g.signs[i].usedLease = a.lease
	}
	a.ownProbe = g.begin(i)
	r.active = append(r.active, a)
	s.result.attempts++
	s.carried[i]++
	s.evidence(i, circuit.Evidence{Begun: 1})
	ails := s.world.ails(i, s.nowUs)
	switch {
	case ails == stopped:
		s.after(refusedUs, event{what: onFailure, attempt: a})
	case s.carried[i] > 2*v.slots:
		s.after(overloadedUs, event{what: onOverload, attempt: a})
	case ails == erring && s.random.Float64() < erringShare:
		s.after(errorUs, event{what: onFailure, attempt: a})
	default:
		first := v.firstMs(s.carried[i]) * 1000 * math.Exp(firstSpread*s.random.NormFloat64())
		a.tokenUs = v.tokenMs * 1000
		if ails == brownout {
			first, a.tokenUs = first*brownoutFactor, a.tokenUs*brownoutFactor
		}
		if ails == hanging || first > firstTimeoutUs {
			s.after(firstTimeoutUs, event{what: onFailure, attempt: a})
			break
		}
		s.after(int64(first), event{what: onFirst, attempt: a})
	}
	if s.strategy.overdue {
		average := time.Duration(g.signs[i].firstUs) * time.Microsecond
		if average == 0 {
			average = time.Duration(v.idleMs) * time.Millisecond
		}
		s.after(route.Overdue(average).Microseconds(), event{what: onOverdue, attempt: a})
	}
}

func (s *sim) first(a *attempt) {
	if a.gone {
		return
	}
	a.firstDone = true
	r := a.request
	s.gateways[r.node].firstToken(a.target, float64(s.nowUs-a.atUs))
	s.evidence(a.target, circuit.Evidence{OK: 1})
	s.settleProbe(a, true)
	for _, other := range r.active {
		if other != a {
			s.release(other)
		}
	}
	r.answered = true
	s.result.answer(s.nowUs - r.atUs)
	s.result.costNano += vendors[a.target].priceIn*uint64(r.prompt) + vendors[a.target].priceOut*uint64(r.tokens)
	s.after(int64(a.tokenUs*float64(r.tokens)), event{what: onDone, attempt: a})
}

func (s *sim) fail(a *attempt) {
	if a.gone {
		return
	}
	s.gateways[a.request.node].failed(a.target, a.wasOver)
	weight := circuit.HardWeight
	if a.wasOver {
		weight -= circuit.OverdueWeight
	}
	s.evidence(a.target, circuit.Evidence{Failed: weight, Run: 1})
	s.settleProbe(a, false)
	s.elsewhere(a)
}

func (s *sim) overload(a *attempt) {
	if a.gone {
		return
	}
	s.gateways[a.request.node].overloaded(a.target)
	s.evidence(a.target, circuit.Evidence{Overloaded: 1})
	s.elsewhere(a)
}

// elsewhere tries the next of the chain, if nobody else is at work on the request and the budget has room.
func (s *sim) elsewhere(a *attempt) {
	s.release(a)
	r := a.request
	if len(r.active) > 0 || r.answered {
		return
	}
	if r.next >= len(r.chain) || r.tries >= attemptsMax || !s.gateways[r.node].retries.Spend(s.nowUs/1000) {
		s.end(r)
		return
	}
	s.try(r, false)
}

func (s *sim) overdue(a *attempt) {
	if a.gone || a.firstDone {
		return
	}
	a.wasOver = true
	r := a.request
	g := s.gateways[r.node]
	g.overdue(a.target)
	s.evidence(a.target, circuit.Evidence{Overdue: 1})
	s.settleProbe(a, false)
	worth := r.next < len(r.chain) && r.tries < attemptsMax && !r.chain[r.next].LastResort()
	if s.strategy.hedge && worth && g.hedges.Spend(s.nowUs/1000) {
		s.try(r, true)
	}
}

// settleProbe tells the cluster how its probe went, once.
func (s *sim) settleProbe(a *attempt, ok bool) {
	if a.lease != 0 && a.lease == s.cluster.breakers[a.target].Probe().Lease {
		s.cluster.probed(a.target, ok)
	}
	a.lease = 0
}

// release ends an attempt, however it went.
func (s *sim) release(a *attempt) {
	if a.gone {
		return
	}
	a.gone = true
	s.carried[a.target]--
	sign := &s.gateways[a.request.node].signs[a.target]
	sign.inFlight--
	if a.ownProbe {
		sign.probing = false
	}
	for i, other := range a.request.active {
		if other == a {
			a.request.active = append(a.request.active[:i:i], a.request.active[i+1:]...)
			break
		}
	}
}

// end gives up on a request.
func (s *sim) end(r *request) {
	if !r.over && !r.answered {
		r.over = true
		s.result.failed++
	}
}

func (s *sim) evidence(i int, e circuit.Evidence) {
	if s.strategy.cluster {
		s.after(evidenceDelayUs, event{what: onEvidence, target: i, evidence: e})
	}
}
