package limit

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/route"
)

// Caller is who calls: a client key and a team by their ids, and a subject for whom an issuer vouches by its name; each empty where there is none.
// Who has no limits costs one look.
type Caller struct{ Key, Subject, Team string }

// callers are the gates of those who call: made with the first request, gone when they have been quiet. One of them is a map in
// parts, so that requests of different callers do not meet at a lock.
type callers struct {
	kind string // of the scope's name, as in "key/alice"
	// limited are the limits that a plan has of callers of this kind. Where these are issuers', there may be any number of callers of each, and most is
	// how many gates there are for all; 0 where callers are listed one by one.
	limited func(p *plan) map[string]route.Limits
	most    int
	seed    maphash.Seed
	parts   [callerParts]struct {
		mu    sync.RWMutex
		gates map[string]*gate // guarded by mu
	}
	// refused requests since the start, and those that were because too many called.
	refused, crowded atomic.Uint64
	// there are so many gates for each issuer's callers; guarded by the limiter's lock.
	there map[string]int
	// spent are the budgets of callers who are quiet, by their ids, until their period ends; guarded by the limiter's lock.
	spent map[string][periods]*budgetMeter
}

const callerParts = 64

const subjectsMax = 1 << 13

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

func newCallers(kind string, limited func(p *plan) map[string]route.Limits) *callers {
	c := &callers{kind: kind, limited: limited, seed: maphash.MakeSeed(), there: make(map[string]int), spent: make(map[string][periods]*budgetMeter)}
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

// listed is what a caller's limits are listed by: its id, or its issuer's.
func (c *callers) listed(id string) string {
	if c.most == 0 {
		return id
	}
	issuer, _ := identity.IssuerOf(id)
	return issuer
}

// open makes the gate of a caller who has not called for a while, and holds it; full says that there is no room for one. The caller holds the
// limiter's lock.
func (c *callers) open(id string, p *plan) (g *gate, full bool) {
	if g := c.hold(id); g != nil {
		return g, false // somebody was quicker
	}
	at := c.listed(id)
	if c.most > 0 && c.there[at] >= c.most/max(len(c.limited(p)), 1) {
		c.crowded.Add(1)
		return nil, true
	}
	if g = p.callerGate(c, id, nil); g == nil {
		return nil, false
	}
	g.presence = &presence{id: id, of: c}
	g.presence.come()
	c.there[at]++
	c.put(id, g)
	return g, false
}

// callerGate makes the gate of a caller, or adjusts the one it has.
func (p *plan) callerGate(c *callers, id string, old *gate) *gate {
	if spent, ok := c.spent[id]; ok && old == nil {
		old = &gate{name: c.kind + "/" + id, budgets: spent}
		delete(c.spent, id)
	}
	g := p.gate(c.kind+"/"+id, c.limited(p)[c.listed(id)], p.sharePPM, old, true)
	if g != nil && c.most > 0 && p.ledger {
		for _, m := range g.budgets {
			if m != nil {
				m.brief = true
			}
		}
	}
	return g
}

// adjust gives all gates the limits of a new plan. The caller holds the limiter's lock.
func (c *callers) adjust(p *plan) {
	for _, g := range c.all() {
		now := p.callerGate(c, g.presence.id, g)
		if now == nil {
			c.left(g)
		}
		c.put(g.presence.id, now)
	}
}

// all are the gates of now, in any order: where there is room for some only, all have their turn.
func (c *callers) all() (list []*gate) {
	first := rand.N(callerParts)
	for i := range c.parts {
		part := &c.parts[(first+i)%callerParts]
		part.mu.RLock()
		for _, g := range part.gates {
			list = append(list, g)
		}
		part.mu.RUnlock()
	}
	return list
}

// count is how many gates there are now.
func (c *callers) count() (n int) {
	for i := range c.parts {
		part := &c.parts[i]
		part.mu.RLock()
		n += len(part.gates)
		part.mu.RUnlock()
	}
	return n
}

// left counts a gate that goes.
func (c *callers) left(g *gate) {
	at := c.listed(g.presence.id)
	if c.there[at]--; c.there[at] <= 0 {
		delete(c.there, at)
	}
}

// sweepMax is how many gates go at once: each has up to seven things to give back, in one batch with what is due then.
const sweepMax = 32

// sweep takes away the gates of those who have been quiet, and what is to be given back of them; more says that there may be further ones. The caller
// holds the limiter's lock.
func (c *callers) sweep(now time.Time) (gone []*gate, more bool) {
	for i := range c.parts {
		part := &c.parts[i]
		part.mu.Lock()
		for id, g := range part.gates {
			if len(gone) < sweepMax && g.presence.quiet(now) {
				delete(part.gates, id)
				gone = append(gone, g)
			}
		}
		part.mu.Unlock()
	}
	for _, g := range gone {
		c.left(g)
		if g.budgets != [periods]*budgetMeter{} && c.remembers(g) {
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
	return gone, len(gone) == sweepMax
}

// remembers reports that what a quiet caller spent is to be kept here. Of subjects the ledger knows it; where there is none, it is that of so
// many.
func (c *callers) remembers(g *gate) bool {
	if c.most == 0 {
		return true
	}
	for _, m := range g.budgets {
		if m != nil && m.brief {
			return false
		}
	}
	return len(c.spent) < c.most
}
