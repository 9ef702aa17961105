package limit

import (
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/shared/route"
)

// Budgets are spent in a period of the calendar. What crosses to the source are sums since the period's start, so that an answer that is
// lost, or a source that has lost its memory, changes nothing: each node says again what it has spent.

// budget is one limit on money in one period, at the source: how much each node has spent or may.
type budget struct{ nodes map[string]int64 }

// budgetAsk is what a node wants of a budget.
type budgetAsk struct {
	// limit of the whole cluster; spent by this node since the period's start; want is how much more it may come to spend.
	limit, spent, want int64
}

// draw gives the sum that the node may spend in the whole period; left is what nobody has taken.
func (b *budget) draw(node string, a budgetAsk) (granted, left int64) {
	if b.nodes == nil {
		b.nodes = make(map[string]int64)
	}
	others := int64(0)
	for id, sum := range b.nodes {
		if id != node {
			others += sum
		}
	}
	granted = max(min(a.spent+a.want, a.limit-others), 0)
	b.nodes[node] = max(a.spent, granted)
	return granted, max(a.limit-others-b.nodes[node], 0)
}

// budgetMeter is a budget as this node sees it. The request path uses the atomics; all else belongs to Run's goroutine.
type budgetMeter struct {
	key    string
	period int
	// spent or reserved since the period's start, of what the node is allowed to.
	spent   *atomic.Int64
	allowed atomic.Int64
	// low is how much should be left.
	low atomic.Int64
	// endsMs is the period's end, in Unix milliseconds.
	endsMs atomic.Int64
	// left is what no node had taken when the source was last asked.
	left    atomic.Int64
	refused atomic.Uint64

	name                string // of the period, as in 2026-11
	limit, share, block int64
	mode                route.LimitMode
	// answered is when the source last answered, in this period; told is how much it then knew to be spent.
	answered, again time.Time
	told            int64
}

// A node fetches a sixty-fourth of its share ahead: by so much, times the nodes, a budget may remain unspent.
const (
	budgetParts    = 64
	budgetTold     = 10 * time.Second // a source is told of what was spent at least as often
	budgetPatience = 10 * time.Second // without an answer for so long a node goes by its mode
)

func newBudget(spent *atomic.Int64, key string, period int, now time.Time) *budgetMeter {
	m := &budgetMeter{spent: spent, key: key, period: period}
	m.turn(now)
	return m
}

// turn begins a period.
func (m *budgetMeter) turn(now time.Time) {
	at := now.UTC()
	year, mon, dom := at.Date()
	ends := time.Date(year, mon+1, 1, 0, 0, 0, 0, time.UTC)
	m.name = at.Format("2006-01")
	if m.period == day {
		ends, m.name = time.Date(year, mon, dom+1, 0, 0, 0, 0, time.UTC), at.Format("2006-01-02")
	}
	m.endsMs.Store(ends.UnixMilli())
	m.spent.Store(0)
	m.left.Store(m.limit)
	m.answered, m.again, m.told = time.Time{}, time.Time{}, 0
	m.begin()
}

// begin allows a block until the source has answered.
func (m *budgetMeter) begin() {
	m.allowed.Store(0)
	if m.mode != route.Strict {
		m.allowed.Store(m.block)
	}
}

func (m *budgetMeter) adjust(limit, nodes int64, mode route.LimitMode) {
	fresh := m.limit == 0
	m.limit, m.share, m.mode = limit, max(limit/max(nodes, 1), 1), mode
	m.block = max(m.share/budgetParts, 1)
	m.low.Store(m.block / 2)
	m.again = time.Time{}
	if fresh {
		m.left.Store(limit)
		m.begin()
	}
}

// take takes n if there is anything left.
func (m *budgetMeter) take(n int64) (ok, low bool) {
	spent, allowed := m.spent.Add(n), m.allowed.Load()
	if spent-n >= allowed {
		m.spent.Add(-n)
		m.refused.Add(1)
		return false, true
	}
	return true, allowed-spent < m.low.Load()
}

func (m *budgetMeter) give(n int64) { m.spent.Add(-n) }

func (m *budgetMeter) full() bool { return m.spent.Load() >= m.allowed.Load() }

func (m *budgetMeter) ask(now time.Time) (a Ask, ok bool) {
	if now.UnixMilli() >= m.endsMs.Load() {
		m.turn(now)
	}
	spent := max(m.spent.Load(), 0)
	hungry := m.allowed.Load()-spent < m.block/2
	if now.Before(m.again) || !hungry && (spent == m.told || now.Sub(m.answered) < budgetTold) {
		return Ask{}, false
	}
	return Ask{Key: m.key + "/" + m.name, Kind: Money, Limit: m.limit, InUse: spent, Want: m.block, TTL: m.kept(now)}, true
}

// kept is for how long the source should remember the period.
func (m *budgetMeter) kept(now time.Time) time.Duration {
	return time.UnixMilli(m.endsMs.Load()).Sub(now) + time.Hour
}

func (m *budgetMeter) apply(asked time.Time, a Ask, g Grant) {
	if a.Key != m.key+"/"+m.name {
		return
	}
	m.answered, m.told = asked, a.InUse
	m.again = asked.Add(refillAtOnce)
	if g.Granted < a.InUse+a.Want {
		m.again = asked.Add(renewAbove)
	}
	m.allowed.Store(g.Granted)
	m.left.Store(g.Left)
}

func (m *budgetMeter) alone(now time.Time, _ Ask) { m.again = now.Add(refillSpent) }

// lapse goes by the mode when the source has not answered for long, though it was asked.
func (m *budgetMeter) lapse(now time.Time) {
	if spent := m.spent.Load(); now.Sub(m.answered) < budgetPatience || m.allowed.Load()-spent >= m.block/2 {
		return
	}
	switch m.mode {
	case route.Strict:
	case route.Open:
		m.allowed.Store(m.limit)
	default:
		m.allowed.Store(max(m.allowed.Load(), m.share))
	}
}

func (m *budgetMeter) leave() (a Ask, ok bool) {
	spent := max(m.spent.Load(), 0)
	return Ask{Key: m.key + "/" + m.name, Kind: Money, Limit: m.limit, InUse: spent, TTL: m.kept(time.Now())}, spent > 0
}
