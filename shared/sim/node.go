package main

import (
	"math"
	"time"

	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/route"
)

// sign is what one node knows of one target.
type sign struct {
	inFlight  int32
	firstUs   float64
	success   float64
	learntUs  int64 // when something was learnt of it last
	turn      uint64
	breaker   circuit.Machine
	probing   bool
	usedLease uint64
	limit     float64 // requests at once, learnt from overloads; 0 means none
	limitedMs int64
}

// How a node learns, as its vitals do: up quickly, down slowly.
const (
	rise, fall        = 0.3, 0.1
	successShare      = 0.1
	limitForgottenMs  = 60_000
	ppm               = 1_000_000
	probeTTL          = 60 * time.Second
	shrinkTo          = 0.7
	overdueLostChance = 0.5
	fadeUs            = 30e6 // half of what was learnt is left after so long
)

// gateway is one node: it holds what it knows, and is the view of its picks.
type gateway struct {
	sim     *sim
	signs   []sign
	turns   uint64
	retries route.Budget
	hedges  route.Budget
	live    route.Live
}

func newGateway(s *sim, seed uint64) *gateway {
	g := &gateway{sim: s, signs: make([]sign, len(vendors)), retries: route.RetryBudget(0.10, nodes), hedges: route.HedgeBudget(0.05, nodes)}
	for i := range g.signs {
		g.signs[i].success, g.signs[i].firstUs = 1, vendors[i].idleMs*1000
		g.signs[i].breaker = circuit.New(circuit.Params{}, seed*1000+uint64(i))
	}
	return g
}

// Home is part of route.View: the world has no sessions.
func (g *gateway) Home(uint64) (int, bool) { return 0, false }

// Live is part of route.View.
func (g *gateway) Live(i int) *route.Live {
	s := &g.signs[i]
	// What was learnt fades while nothing new is: nobody would go back to a target that was slow once and is never asked again.
	left := math.Exp2(-float64(g.sim.nowUs-s.learntUs) / fadeUs)
	idleUs := vendors[i].idleMs * 1000
	g.live = route.Live{
		InFlight: s.inFlight, FirstTokenUs: uint32(idleUs + left*(s.firstUs-idleUs)), SuccessPPM: uint32(max(1, (1+left*(s.success-1))*ppm)), Turn: s.turn,
		Busy: g.full(i),
	}
	if !g.sim.strategy.breaker {
		return &g.live
	}
	g.live.Open = !s.breaker.State().Closed()
	health := g.sim.table.Health(i)
	if health.State == route.CircuitOpen || health.State == route.HalfOpen {
		g.live.ProbeHere = !s.probing && health.Probe.Lease != s.usedLease
	} else {
		g.live.ProbeHere = g.live.Open && !s.probing && s.breaker.Due(g.sim.nowUs/1000)
	}
	return &g.live
}

// full reports a target that takes no more at once, as far as this node has learnt: its limit lets nobody in. An oracle needs none.
func (g *gateway) full(i int) bool {
	s := &g.signs[i]
	return !g.sim.strategy.oracle && s.limit > 0 && float64(s.inFlight+1) > max(s.limit, 1) && g.sim.nowUs/1000-s.limitedMs < limitForgottenMs
}

// begin counts an attempt; probe reports that it is one of the node's own circuit.
func (g *gateway) begin(i int) (probe bool) {
	s, nowMs := &g.signs[i], g.sim.nowUs/1000
	g.turns++
	s.turn = g.turns
	s.inFlight++
	if !g.sim.strategy.breaker {
		return false
	}
	s.breaker.Begin(nowMs)
	if !s.breaker.State().Closed() && s.breaker.Due(nowMs) && !s.probing {
		s.breaker.Grant(nowMs, g.turns, probeTTL)
		s.probing = true
		return true
	}
	return false
}

// firstToken learns from a first token; what came before it is overdue was learnt then.
func (g *gateway) firstToken(i int, tookUs float64) {
	s := g.learn(i)
	s.follow(tookUs)
	s.succeed(1)
	if g.sim.strategy.breaker {
		s.breaker.Success(g.sim.nowUs / 1000)
	}
	if s.limit > 0 {
		s.limit += 1 / s.limit
	}
}

// overdue learns from a first token that is late, at that moment.
func (g *gateway) overdue(i int) {
	s := g.learn(i)
	s.succeed(overdueLostChance)
	if g.sim.strategy.breaker {
		s.breaker.Overdue(g.sim.nowUs / 1000)
	}
}

func (g *gateway) failed(i int, overdue bool) {
	s := g.learn(i)
	s.succeed(0)
	weight := circuit.HardWeight
	if overdue {
		weight -= circuit.OverdueWeight
	}
	if g.sim.strategy.breaker {
		s.breaker.Failure(g.sim.nowUs/1000, weight)
	}
}

// overloaded lowers what the target gets at once, and is no failure.
func (g *gateway) overloaded(i int) {
	s, nowMs := &g.signs[i], g.sim.nowUs/1000
	now := float64(s.inFlight + 1)
	if s.limit > 0 && nowMs-s.limitedMs < limitForgottenMs {
		now = min(now, s.limit)
	}
	s.limit, s.limitedMs = max(1, now*shrinkTo), nowMs
	if g.sim.strategy.breaker {
		s.breaker.Overload(nowMs, 0)
	}
}

func (g *gateway) learn(i int) *sign {
	s := &g.signs[i]
	s.learntUs = g.sim.nowUs
	return s
}

func (s *sign) follow(us float64) {
	share := fall
	if us > s.firstUs {
		share = rise
	}
	if s.firstUs == 0 {
		share = 1
	}
	s.firstUs += share * (us - s.firstUs)
}

func (s *sign) succeed(to float64) { s.success += successShare * (to - s.success) }
