package limit

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Caller is who calls: a client key and a team by their ids, each empty where there is none. Who has no limits costs one look.
type Caller struct{ Key, Team string }

// callers are the gates of those who call: made with the first request, gone when they have been quiet. One of them is a map in
// parts, so that requests of different callers do not meet at a lock.
type callers struct {
	kind  string // of the scope's name, as in "key/alice"
	seed  maphash.Seed
	parts [callerParts]struct {
		mu    sync.RWMutex
		gates map[string]*gate // guarded by mu
	}
	// refused requests since the start.
	refused atomic.Uint64
	// spent are the budgets of callers who are quiet, by their ids, until their period ends; guarded by the limiter's lock.
	spent map[string][periods]*budgetMeter
}

const callerParts = 64

// quietFor is how long a caller has not called when its gate goes: longer than what it drew counts in the window.
const quietFor = (windowS + 15) * time.Second

// presence says whether a caller is there. Whoever takes of its gate holds it, and it does not go.
type presence struct {
	id      string
	of      *callers
	holders atomic.Int64
	// called says that it came since the last sweep; since is when a sweep last found that it had, guarded by the limiter's lock. So
	// requests need not look at the clock.
	called atomic.Bool
	since  time.Time
}

func newCallers(kind string) *callers {
	c := &callers{kind: kind, seed: maphash.MakeSeed(), spent: make(map[string][periods]*budgetMeter)}
	for i := range c.parts {
		c.parts[i].gates = make(map[string]*gate)
	}
	return c
}

// hold finds the gate of a caller who has called before, and holds it.
func (c *callers) hold(id string) *gate {
	part := &c.parts[maphash.String(c.seed, id)%callerParts]
	part.mu.RLock()
	defer part.mu.RUnlock()
	g := part.gates[id]
	if g != nil {
		g.presence.come()
	}
	return g
}

func (p *presence) come() {
	p.holders.Add(1)
	if !p.called.Load() {
		p.called.Store(true)
	}
}

func (p *presence) drop() { p.holders.Add(-1) }

// quiet reports that nobody has called for long.
func (p *presence) quiet(now time.Time) bool {
	if p.called.Swap(false) || p.holders.Load() > 0 {
		p.since = now
	}
	return now.Sub(p.since) > quietFor
}

// put sets or takes away a gate.
func (c *callers) put(id string, g *gate) {
	part := &c.parts[maphash.String(c.seed, id)%callerParts]
	part.mu.Lock()
	defer part.mu.Unlock()
	if g == nil {
		delete(part.gates, id)
	} else {
		part.gates[id] = g
	}
}

// open makes the gate of a caller who has not called for a while, and holds it. The caller holds the limiter's lock.
func (c *callers) open(id string, p *plan) *gate {
	if g := c.hold(id); g != nil {
		return g // somebody was quicker
	}
	g := p.callerGate(c, id, nil)
	if g == nil {
		return nil
	}
	g.presence = &presence{id: id, of: c}
	g.presence.come()
	c.put(id, g)
	return g
}

// callerGate makes the gate of a caller, or adjusts the one it has.
func (p *plan) callerGate(c *callers, id string, old *gate) *gate {
	limits := p.keys[id]
	if c.kind == "team" {
		limits = p.teams[id]
	}
	if spent, ok := c.spent[id]; ok && old == nil {
		old = &gate{name: c.kind + "/" + id, budgets: spent}
		delete(c.spent, id)
	}
	return p.gate(c.kind+"/"+id, limits, p.sharePPM, old, true)
}

// adjust gives all gates the limits of a new plan. The caller holds the limiter's lock.
func (c *callers) adjust(p *plan) {
	for _, g := range c.all() {
		c.put(g.presence.id, p.callerGate(c, g.presence.id, g))
	}
}

// all are the gates of now.
func (c *callers) all() (list []*gate) {
	for i := range c.parts {
		part := &c.parts[i]
		part.mu.RLock()
		for _, g := range part.gates {
			list = append(list, g)
		}
		part.mu.RUnlock()
	}
	return list
}

// sweep takes away the gates of those who have been quiet, and what is to be given back of them. The caller holds the limiter's lock.
func (c *callers) sweep(now time.Time) (gone []*gate) {
	for i := range c.parts {
		part := &c.parts[i]
		part.mu.Lock()
		for id, g := range part.gates {
			if g.presence.quiet(now) {
				delete(part.gates, id)
				gone = append(gone, g)
			}
		}
		part.mu.Unlock()
	}
	for _, g := range gone {
		if g.budgets != [periods]*budgetMeter{} {
			c.spent[g.presence.id] = g.budgets
		}
	}
	for id, budgets := range c.spent {
		over := true
		for _, m := range budgets {
			over = over && (m == nil || now.UnixMilli() >= m.endsMs.Load() || m.spent.Load() <= 0)
		}
		if over {
			delete(c.spent, id)
		}
	}
	return gone
}
