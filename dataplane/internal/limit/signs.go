package limit

import "time"

// Sign is one limit as this node sees it, for people and metrics.
type Sign struct {
	// Scope is what is limited, as in "provider/zai"; What is what of it is counted. Money is in billionths of a dollar.
	Scope string `json:"scope"`
	What  string `json:"what"`
	// Limit of the whole cluster, Share a node's fair part of it.
	Limit int64 `json:"limit"`
	Share int64 `json:"share"`
	// Mode is what holds without the source.
	Mode string `json:"mode"`
	// InUse are slots in use, or money that this node has spent; Leased what the lease gives, Allowance what the node goes by: the lease, or without one what the mode says.
	InUse     int64 `json:"in_use,omitempty"`
	Leased    int64 `json:"leased,omitempty"`
	Allowance int64 `json:"allowance,omitempty"`
	// Stock are units that were fetched and are not used; below zero a debt. Block is how many are fetched ahead.
	Stock int64 `json:"stock,omitempty"`
	Block int64 `json:"block,omitempty"`
	// Left is what no node had drawn, or taken of money, when the source last said.
	Left int64 `json:"left,omitempty"`
	// Beyond are slots that this node may be using although others may have been given them: all nodes' together are how far the limit
	// may be exceeded now.
	Beyond int64 `json:"beyond,omitempty"`
	// Tight says that the nodes together want more slots than there are.
	Tight   bool   `json:"tight,omitempty"`
	Refused uint64 `json:"refused"`
	// Caller says that the scope is a client key, a subject or a team; Subject that it is a subject, of which there may be any number.
	Caller  bool `json:"-"`
	Subject bool `json:"-"`
}

// Used is which part of the limit is in use in the cluster, as far as this node knows.
func (s *Sign) Used() float64 {
	used := s.InUse
	if s.What != "in_flight" {
		used = max(used, s.Limit-s.Left)
	}
	return float64(used) / float64(max(s.Limit, 1))
}

// Signs gives every limit once; of callers those who have called lately.
func (l *Limiter) Signs(give func(Sign)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := int64(time.Since(l.born))
	l.eachGate(func(g *gate) { g.signs(now, give) })
}

func (g *gate) signs(now int64, tell func(Sign)) {
	give := func(s Sign) {
		s.Caller = g.presence != nil
		s.Subject = s.Caller && g.presence.of.most > 0
		tell(s)
	}
	if m := g.slots; m != nil {
		give(Sign{
			Scope: g.name, What: "in_flight", Limit: m.cap.Load(), Share: m.share, Mode: m.mode.String(), InUse: m.inUse.Load(), Leased: m.granted,
			Allowance: m.may(now), Tight: m.tight, Beyond: m.beyond(now), Refused: m.refused.Load(),
		})
	}
	for kind, m := range g.units {
		if m != nil {
			give(Sign{
				Scope: g.name, What: unitKeys[kind], Limit: m.limit, Share: m.share, Mode: m.mode.String(), Stock: m.stock.Load(), Block: m.block,
				Left: min(m.leftOver(time.Now())+m.apart, m.limit), Refused: m.refused.Load(),
			})
		}
	}
	for period, m := range g.budgets {
		if m != nil {
			spent, allowed := m.spent.Load(), m.allowed.Load()
			give(Sign{
				Scope: g.name, What: spendKeys[period], Limit: m.limit, Share: m.share, Mode: m.mode.String(), InUse: spent, Allowance: allowed,
				Stock: allowed - spent, Block: m.block, Left: m.left.Load(), Refused: m.refused.Load(),
			})
		}
	}
}

// CallersState is who has called lately and has limits, and how often callers were refused since the start.
type CallersState struct {
	Keys            int    `json:"keys"`
	Subjects        int    `json:"subjects"`
	Teams           int    `json:"teams"`
	KeysRefused     uint64 `json:"keys_refused"`
	SubjectsRefused uint64 `json:"subjects_refused"`
	TeamsRefused    uint64 `json:"teams_refused"`
	// SubjectsCrowded are requests for whose subject there was no room beside all the others.
	SubjectsCrowded uint64 `json:"subjects_crowded"`
}

// CallersState may be read at any time.
func (l *Limiter) CallersState() CallersState {
	return CallersState{
		Keys: l.keys.count(), Subjects: l.subjects.count(), Teams: l.teams.count(), KeysRefused: l.keys.refused.Load(),
		SubjectsRefused: l.subjects.refused.Load(), TeamsRefused: l.teams.refused.Load(), SubjectsCrowded: l.subjects.crowded.Load(),
	}
}

// SourceState is how the source does. All is zero where there is none.
type SourceState struct {
	// Answers says that it answered when it was last asked.
	Answers bool `json:"answers"`
	// Rounds that it answered, and that it failed to; Asks that were made of it in all.
	Rounds   uint64 `json:"rounds"`
	Failures uint64 `json:"failures"`
	Asks     uint64 `json:"asks"`
	// Took is how long the last answer took.
	Took time.Duration `json:"took_ns"`
}

// SourceState may be read at any time.
func (l *Limiter) SourceState() SourceState {
	return SourceState{
		Answers: l.sourced.up.Load(), Rounds: l.sourced.rounds.Load(), Failures: l.sourced.failures.Load(), Asks: l.sourced.asks.Load(),
		Took: time.Duration(l.sourced.tookNs.Load()),
	}
}
