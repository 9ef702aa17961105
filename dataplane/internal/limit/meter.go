package limit

import (
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/shared/route"
)

// slotMeter is a limit on requests in flight, as this node sees it. The request path uses the atomics; all else belongs to Run's
// goroutine.
//
// Invariant: what take lets in is never more than the allowance at that moment; a smaller allowance ends nobody's request.
type slotMeter struct {
	key       string
	inUse     *atomic.Int64
	allowance atomic.Int64
	// ends is when the lease that the allowance is from is over, and fallback what holds from then on: a goroutine that comes late, or a
	// process that was stopped, must not let in what others may. Both are counted from born, in nanoseconds.
	ends, fallback atomic.Int64
	born           time.Time
	// peak in use, and refusals, since the last renewal.
	peak, denied atomic.Int64
	// refused since the start.
	refused atomic.Uint64

	cap   atomic.Int64
	share int64
	// scarce: there are hardly any for so many nodes, and who needs one asks for it.
	scarce bool
	mode   route.LimitMode
	// nodes that share the limit, 0 being unknown. keep is how long the source keeps the slots of a node that does not ask again.
	nodes int64
	keep  time.Duration
	// lazy: nobody minds the first requests being let in on the node's share, so an idle node holds no lease.
	lazy bool
	// granted by the lease that ends at expires; 0 without one. The lease is renewed at renew; not earlier than at again.
	granted               int64
	expires, renew, again time.Time
	tight                 bool
	// turnEnds is when a node that holds some of too few slots makes way for others; yielding says that it is doing so.
	turnEnds time.Time
	yielding bool
	// owes is how many were in use when the source last heard of it, if that is more than were granted: others get one when one has ended.
	owes int64
	// memory and roster are what the source last said, peers who is on it. before are the peers of an earlier memory, nil if there was none or
	// the source has been told.
	memory        string
	roster        int64
	peers, before []string
	// confirm: the node holds less than before, and others get the rest when it has said so.
	confirm bool
}

// Leases. The node counts a lease from before it asked and gives it up early by the margin, so that it ends here before it ends there
// even if one of the clocks runs 1 % fast.
const (
	leaseTTL      = 10 * time.Second
	leaseMargin   = 500 * time.Millisecond
	renewEvery    = 3 * time.Second
	renewAbove    = 500 * time.Millisecond // with more than its share: others may have begun to miss it
	renewTight    = 500 * time.Millisecond
	renewAtOnce   = 5 * time.Millisecond
	turnTime      = time.Second
	renewMissed   = 100 * time.Millisecond // when there was not enough for all
	lowWaterShare = 8                      // parts of an allowance, one of which should be free
)

// adjust sets a limit's numbers; a lease that it has goes on, within a smaller cap. longest is how long a request may take: with a strict
// limit nobody is given what a node that was cut off may still be using.
func (m *slotMeter) adjust(limit, nodes int64, mode route.LimitMode, longest time.Duration) {
	if m.nodes != nodes {
		m.renew = time.Time{} // who has come waits until all have heard of it
	}
	m.mode, m.nodes, m.keep = mode, nodes, leaseTTL
	if mode == route.Strict {
		m.keep += longest + gapMs*time.Millisecond // and the source's clock may be set without anybody seeing it
	}
	share := max(limit/max(nodes, 1), 1)
	if m.share != share {
		m.renew = time.Time{} // who had too much must not keep others waiting
	}
	changed := m.cap.Swap(limit) != limit
	m.share, m.scarce = share, nodes == 0 || nodes > 1 && limit < 2*nodes
	switch mode {
	case route.Strict:
		m.fallback.Store(0)
	case route.Open:
		m.fallback.Store(limit)
	default:
		m.fallback.Store(share)
	}
	if changed {
		m.allowance.Store(min(m.allowance.Load(), limit))
		m.lapse(time.Now())
	}
}

// since is the moment as the request path compares it.
func (m *slotMeter) since(t time.Time) int64 { return int64(t.Sub(m.born)) }

// seq orders asks. Another meter of this process may go on where this one ends.
func (m *slotMeter) seq(now time.Time) int64 { return now.Sub(m.born).Microseconds() }

// may is what the node goes by at that moment.
func (m *slotMeter) may(now int64) int64 {
	if now >= m.ends.Load() {
		return m.fallback.Load()
	}
	return m.allowance.Load()
}

// leased reports that what may says is the source's word.
func (m *slotMeter) leased(now int64) bool {
	ends := m.ends.Load()
	return now < ends && ends != math.MaxInt64
}

// take takes a slot. low says that a renewal should not wait for its time.
func (m *slotMeter) take(now int64) (ok, low bool) {
	n, allowance := m.inUse.Add(1), m.may(now)
	if n > allowance {
		m.inUse.Add(-1)
		m.denied.Add(1)
		m.refused.Add(1)
		return false, true
	}
	for p := m.peak.Load(); n > p && !m.peak.CompareAndSwap(p, n); p = m.peak.Load() {
	}
	return true, allowance-n < allowance/lowWaterShare && allowance < m.cap.Load()
}

func (m *slotMeter) give() { m.inUse.Add(-1) }

func (m *slotMeter) full(now int64) bool { return m.inUse.Load() >= m.may(now) }

func (m *slotMeter) ask(now time.Time) (a Ask, ok bool) {
	m.lapse(now)
	yields := m.yield(now) // before anybody looks at what is in use
	inUse, peak, denied := m.inUse.Load(), m.peak.Load(), m.denied.Load()
	want := min(peak+denied, m.cap.Load())
	switch {
	case m.scarce, m.lazy && want == 0:
		// Nobody holds a slot for later.
	case m.tight:
		want = max(want, 1)
	default:
		want = max(min(want+peak/2+1, m.cap.Load()), m.share) // idle slots stay here as long as nobody misses them
	}
	if m.confirm {
		want = min(want, m.granted)
	}
	if yields {
		want = 0
		if inUse == 0 {
			m.renew = time.Time{}
		}
	}
	if m.lazy && want == 0 && m.granted == 0 {
		return Ask{}, false
	}
	hungry := want > m.granted && (denied > 0 || m.granted-peak < m.granted/lowWaterShare && !m.tight)
	if now.Before(m.renew) && (!hungry && inUse >= m.owes || now.Before(m.again)) {
		return Ask{}, false
	}
	m.peak.Store(inUse)
	m.denied.Store(0)
	a = m.say(now, want, inUse)
	// A node with a lease keeps to it where the source has lost its memory: its share beside what others hold would be too much. One that has
	// just started must not wait until the source has learnt.
	if m.lazy || !a.Strict && (!now.Before(m.expires) || m.nodes == 0 && m.granted == 0) {
		a.Share = m.share
	}
	return a, true
}

// say is an ask for so many slots.
func (m *slotMeter) say(now time.Time, want, inUse int64) Ask {
	a := Ask{
		Key: m.key, Kind: Slots, Limit: m.cap.Load(), Want: want, InUse: inUse, Held: m.granted, TTL: m.keep, Lease: leaseTTL, Learn: leaseTTL,
		Strict: m.mode == route.Strict, Seq: m.seq(now), Memory: m.memory, Roster: m.roster, Peers: m.before,
	}
	if m.lazy { // callers are only met where they call: how many nodes that is, is not known, and there may be nothing to wait for
		a.Gone = want == 0 && inUse == 0
		return a
	}
	if a.Nodes = m.nodes; a.Strict {
		a.Learn = m.keep
	}
	return a
}

// hear takes what the source knows. It reports that the source should be told at once: who was there when it knew more, or, of a strict limit, that this
// node has heard who has come.
func (m *slotMeter) hear(a *Ask, g *Grant) (tell bool) {
	forgot := g.Memory != a.Memory
	if forgot && (m.roster > 0 || m.before != nil) {
		m.before = append(append([]string{}, m.before...), m.peers...)
		slices.Sort(m.before)
		m.before = slices.Compact(m.before)
	} else if !forgot {
		m.before = nil
	}
	if !forgot && g.Roster == a.Roster {
		return false
	}
	m.memory, m.roster, m.peers = g.Memory, g.Roster, g.Peers
	return a.Strict || forgot && (!m.lazy || m.before != nil)
}

func (m *slotMeter) apply(asked time.Time, a Ask, g Grant) (again bool) {
	again = m.hear(&a, &g) && !a.Gone
	m.confirm = g.Granted < m.granted
	m.owes = 0
	if a.InUse > g.Granted {
		m.owes = a.InUse
	}
	m.granted, m.tight = g.Granted, g.Tight
	m.expires, m.again, m.renew = asked.Add(leaseTTL-leaseMargin), asked.Add(renewAtOnce), asked.Add(renewEvery)
	switch {
	case g.Tight:
		m.renew, m.again = asked.Add(renewTight), asked.Add(renewMissed)
	case m.scarce && g.Granted > 0:
		m.renew = asked.Add(renewTight)
	case g.Granted > m.share:
		m.renew = asked.Add(renewAbove)
	}
	if again = again || m.confirm; again {
		m.renew = asked.Add(renewAtOnce)
	}
	if m.yielding && a.InUse > 0 {
		return again // nobody new comes in
	}
	if m.yielding {
		m.again, m.renew = asked.Add(2*renewMissed), asked.Add(2*renewMissed)
	}
	m.yielding = false
	if m.cap.Load() >= m.nodes && m.nodes > 0 || !g.Tight || g.Granted == 0 {
		m.turnEnds = time.Time{} // there is one for everybody
	} else if m.turnEnds.IsZero() {
		m.turnEnds = asked.Add(turnTime)
	}
	m.allowance.Store(min(g.Granted, m.cap.Load()))
	m.ends.Store(m.since(m.expires))
	if a.Gone {
		m.expires = asked
		m.lapse(asked)
	}
	return again
}

// yield reports that the node lets nobody in until it has no slot in use: there are fewer slots than nodes that want one, and its turn
// is over.
func (m *slotMeter) yield(now time.Time) bool {
	if !m.yielding && !m.turnEnds.IsZero() && !now.Before(m.turnEnds) {
		m.yielding = true
		m.allowance.Store(0)
	}
	return m.yielding
}

func (m *slotMeter) alone(time.Time, Ask) {}

// lapse ends a lease that has run out.
func (m *slotMeter) lapse(now time.Time) {
	if now.Before(m.expires) {
		return
	}
	m.granted, m.owes, m.tight, m.yielding, m.turnEnds = 0, 0, false, false, time.Time{}
	m.memory, m.roster, m.peers, m.before = "", 0, nil, nil // who was there then may have gone
	m.allowance.Store(m.fallback.Load())
	m.ends.Store(math.MaxInt64)
}

// beyond is how many slots the node may be using that others may have been given: without a lease, all that it has in flight or lets in.
// Of a strict limit nobody is given what was in flight here.
func (m *slotMeter) beyond(now int64) int64 {
	if m.granted > 0 && now < m.ends.Load() || m.mode == route.Strict || m.lazy && m.inUse.Load() == 0 {
		return 0
	}
	return max(m.inUse.Load(), m.may(now))
}

func (m *slotMeter) leave(now time.Time) (a Ask, ok bool) {
	m.allowance.Store(0)
	m.ends.Store(math.MaxInt64)
	a = m.say(now, 0, m.inUse.Load())
	a.Held, a.Gone = 0, true
	return a, m.memory != ""
}

// unitMeter is a limit per minute, as this node sees it. The request path uses the atomics; all else belongs to Run's goroutine.
//
// Invariant: stock is what was drawn from the source and not yet used; below zero it is a debt.
type unitMeter struct {
	key   string
	stock *atomic.Int64
	// until is when the source expects to have units again, in Unix milliseconds.
	until atomic.Int64
	// left is what no node had drawn when the source was last asked, which was at told, in Unix seconds.
	left, told atomic.Int64
	// low is the stock below which a refill should not wait for its tick.
	low atomic.Int64
	// refused since the start.
	refused atomic.Uint64

	limit, share, block, nodes int64
	mode                       route.LimitMode
	// local is what this node drew in the last minute: by it the node goes while the source does not answer. unregistered is
	// what of that the source does not know of.
	local        window
	unregistered int64
	again        time.Time
	// born is since when the source knows the limit; lost is what this node drew before, and the source has to hear again: by second.
	born int64
	lost *window
	// heard is when the source last answered, and part what this node had then drawn, with its share of what nobody had.
	heard time.Time
	part  int64
	// apart is what of the limit is not this node's to draw from while it is alone.
	apart int64
}

// A node's stock is what its fair share of a limit brings in five seconds.
const (
	blockShare   = 12
	refillAtOnce = 5 * time.Millisecond
	refillSpent  = 100 * time.Millisecond
)

func (m *unitMeter) adjust(limit, nodes int64, mode route.LimitMode) {
	fresh := m.limit == 0
	m.nodes = max(nodes, 1)
	m.limit, m.share, m.mode = limit, max(limit/m.nodes, 1), mode
	m.block = max(m.share/blockShare, 1)
	m.low.Store(max(m.block/4, 1))
	m.left.Store(min(m.left.Load(), limit))
	if fresh {
		m.unregistered = 0
		if mode != route.Strict {
			m.unregistered = m.block // requests may be here before the source has answered for the first time
			m.local.draw(time.Now().UnixMilli(), unitAsk{owe: m.block})
		}
		m.stock.Store(m.unregistered)
		m.left.Store(limit - m.unregistered)
	}
}

// take takes n units if there is anything left: who comes to a stock that is not empty is let in whole.
func (m *unitMeter) take(n int64) (ok, low bool) {
	left := m.stock.Add(-n)
	if left+n <= 0 {
		m.stock.Add(n)
		m.refused.Add(1)
		return false, true
	}
	return true, left < m.low.Load()
}

// leftOver is what no node has drawn, as far as is known: what is known is forgotten when all of it is older than the window.
func (m *unitMeter) leftOver(now time.Time) int64 {
	if now.Unix()-m.told.Load() > windowS {
		return m.limit
	}
	return m.left.Load()
}

// give puts back n units; below zero takes more, whatever is left.
func (m *unitMeter) give(n int64) { m.stock.Add(n) }

func (m *unitMeter) ask(now time.Time) (a Ask, ok bool) {
	stock := m.stock.Load()
	if now.Before(m.again) {
		return Ask{}, false
	}
	a = Ask{Key: m.key, Kind: Units, Limit: m.limit, Owe: max(-stock, 0) + m.unregistered}
	switch {
	case stock < max(m.block*3/4, 1):
		a.Want = m.block - max(stock, 0)
	case stock > 2*m.block:
		a.Back = stock - m.block
		m.stock.Add(-a.Back)
	}
	if m.lost != nil {
		a.Again, a.Want = m.lost.ago(now.UnixMilli()), 0
	}
	return a, a.Want > 0 || a.Back > 0 || a.Owe > 0 || a.Again != nil
}

func (m *unitMeter) apply(now time.Time, a Ask, g Grant) (again bool) {
	m.apart = 0
	registered := m.unregistered
	m.unregistered = 0
	if m.lost = nil; m.born != 0 && m.born != g.Born { // all but what it has just been told
		m.lost = &window{cells: maps.Clone(m.local.cells)}
		m.lost.draw(now.UnixMilli(), unitAsk{back: registered})
	}
	m.born = g.Born
	m.local.draw(now.UnixMilli(), unitAsk{owe: g.Granted + a.Owe - registered, back: a.Back})
	m.heard, m.part = now, m.local.used(now.UnixMilli())+g.Left/m.nodes
	m.refill(now, a.Owe-registered, g)
	if a.Again != nil {
		m.again = now.Add(2 * refillSpent) // by then the others have told, too
	}
	return false
}

func (m *unitMeter) refill(now time.Time, owed int64, g Grant) {
	m.stock.Add(owed + g.Granted)
	m.left.Store(g.Left)
	m.told.Store(now.Unix())
	m.again = now.Add(refillAtOnce)
	if g.Wait > 0 {
		m.again = now.Add(min(g.Wait, refillSpent))
		m.until.Store(now.Add(g.Wait).UnixMilli())
	}
}

// alone answers an ask that the source did not, out of what the mode leaves to a node alone: its share of the limit, and for the minute
// after the source last answered no more than its part of what was left then, for others may have drawn the rest.
func (m *unitMeter) alone(now time.Time, a Ask) {
	limit := m.share
	if now.Sub(m.heard) <= windowS*time.Second {
		limit = min(limit, m.part)
	}
	switch m.mode {
	case route.Strict:
		m.local.draw(now.UnixMilli(), unitAsk{back: a.Back})
		return // and what was to go back may have arrived: it is nobody's now
	case route.Open:
		limit = m.limit
	}
	m.apart = m.limit - limit
	owed := a.Owe - m.unregistered
	granted, waitMs, left := m.local.draw(now.UnixMilli(), unitAsk{limit: limit, want: a.Want, owe: owed, back: a.Back})
	m.unregistered = min(m.unregistered+owed+granted, m.local.used(now.UnixMilli()))
	m.refill(now, owed, Grant{Granted: granted, Wait: time.Duration(waitMs) * time.Millisecond, Left: left})
}

func (m *unitMeter) lapse(time.Time) {}

func (m *unitMeter) leave(time.Time) (a Ask, ok bool) {
	stock := m.stock.Swap(0)
	// What nobody knows to have been drawn need not come back.
	a = Ask{Key: m.key, Kind: Units, Limit: m.limit, Owe: max(m.unregistered-stock, 0), Back: max(stock-m.unregistered, 0)}
	return a, a.Owe+a.Back > 0
}
