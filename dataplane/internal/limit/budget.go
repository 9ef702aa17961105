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
	// limit of the whole region; spent by this node since the period's start; want is how much more it may come to spend.
	limit, spent, want int64
	// known is what the ledger says that all have spent.
	known int64
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
	others = max(others, a.known-a.spent) // what the node itself has not spent, others have
	granted = max(min(a.spent+a.want, a.limit-others), 0)
	b.nodes[node] = max(a.spent, granted)
	return granted, max(a.limit-others-b.nodes[node], 0)
}

// budgetMeter is a budget as this node sees it. The request path uses the atomics; all else belongs to Run's goroutine.
type budgetMeter struct {
	scope  string
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

	name string // of the period, as in 2026-11
	// whole is the cluster's limit, of which the region has a part; known is what the ledger says to be spent, and read when it was asked.
	whole   int64
	partPPM uint32
	nodes   int64
	known   Spent
	read    time.Time
	// heard says that the ledger has answered since this meter began, or that nobody waits for it any more. Until then the source is not asked: it
	// may have forgotten what was spent.
	heard bool
	// limit is what the region may spend, share the node's fair share of it, block what is fetched ahead.
	limit, share, block int64
	mode                route.LimitMode
	// brief: the ledger can tell what was spent, and the source need not remember it for longer than a caller is there. So callers of whom there may be
	// any number leave nothing behind.
	brief bool
	// answered is when the source last answered, in this period; told is how much of this node's spending it then knew, of which limit, and
	// taken what all had taken.
	answered, again          time.Time
	told, toldLimit, toldAll int64
	// silent says that the source was last asked in vain.
	silent bool
	// dry says that there will be no more in this period, and not only none for a moment.
	dry atomic.Bool
}

// A node fetches a sixty-fourth of its share ahead: by so much, times the nodes, a budget may remain unspent.
const (
	budgetParts    = 64
	budgetTold     = 10 * time.Second // a source is told of what was spent at least as often
	budgetPatience = 10 * time.Second // without an answer for so long a node goes by its mode
	briefly        = 4 * quietFor
)

func newBudget(spent *atomic.Int64, scope string, period int, now time.Time, heard bool) *budgetMeter {
	m := &budgetMeter{spent: spent, scope: scope, period: period, heard: heard}
	m.turn(now)
	return m
}

// key names the budget of this period at the source.
func (m *budgetMeter) key() string { return m.scope + "/" + spendKeys[m.period] + "/" + m.name }

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
	m.dry.Store(false)
	m.known, m.read = Spent{}, time.Time{}
	m.answered, m.again, m.told, m.toldAll = time.Time{}, time.Time{}, 0, 0
	m.size()
	m.left.Store(m.limit)
	m.begin()
}

// begin allows a block until the source has answered.
func (m *budgetMeter) begin() {
	m.allowed.Store(0)
	if m.mode != route.Strict {
		m.allowed.Store(m.block)
	}
}

// adjust sets the cluster's limit, and the region's part of what is left of it.
func (m *budgetMeter) adjust(whole int64, partPPM uint32, nodes int64, mode route.LimitMode) {
	fresh := m.whole == 0
	m.whole, m.partPPM, m.nodes, m.mode = whole, partPPM, max(nodes, 1), mode
	m.size()
	m.again = time.Time{}
	if fresh {
		m.left.Store(m.limit)
		m.begin()
	}
}

// size works the limit out: what the region has spent, and its part of what nobody has. So the regions' limits together are the cluster's, however
// their parts change.
func (m *budgetMeter) size() {
	m.limit = m.known.Here + route.Part(max(m.whole-m.known.All, 0), m.partPPM)
	m.share = max(m.limit/max(m.nodes, 1), 1)
	m.block = max(m.share/budgetParts, 1)
	m.low.Store(m.block / 2)
}

// learn takes what the ledger says. It only ever says more.
func (m *budgetMeter) learn(known Spent) {
	m.heard = true
	if known.All >= m.known.All && known.Here >= m.known.Here {
		m.known = known
		m.size()
	}
}

// news reports that the source should hear what the ledger said: it knows of less, or the limit is another.
func (m *budgetMeter) news() bool {
	return min(m.known.Here, m.limit) > m.toldAll || m.limit < m.toldLimit-m.block/2 || m.limit > m.toldLimit+m.block/2
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
	late := spent != m.told && now.Sub(m.answered) >= budgetTold
	if !m.heard || now.Before(m.again) || !hungry && !late && !m.news() {
		return Ask{}, false
	}
	return Ask{Key: m.key(), Kind: Money, Limit: m.limit, InUse: spent, Want: m.block, Known: m.known.Here, TTL: m.kept(now)}, true
}

// kept is for how long the source should remember the period.
func (m *budgetMeter) kept(now time.Time) time.Duration {
	if m.brief {
		return briefly
	}
	return time.UnixMilli(m.endsMs.Load()).Sub(now) + time.Hour
}

func (m *budgetMeter) apply(asked time.Time, a Ask, g Grant) (again bool) {
	if a.Key != m.key() {
		return false
	}
	m.answered, m.silent = asked, false
	m.told, m.toldLimit, m.toldAll = a.InUse, a.Limit, a.Limit-g.Left
	m.again = asked.Add(refillAtOnce)
	if g.Granted < a.InUse+a.Want {
		m.again = asked.Add(renewAbove)
	}
	m.allowed.Store(g.Granted)
	m.left.Store(g.Left)
	return false
}

func (m *budgetMeter) alone(now time.Time, _ Ask) { m.again, m.silent = now.Add(refillSpent), true }

// lapse goes by the mode when the source has not answered for long, though it was asked; but never beyond what the ledger says to be left.
func (m *budgetMeter) lapse(now time.Time) {
	alone := m.silent && now.Sub(m.answered) >= budgetPatience
	m.dry.Store(m.heard && (!m.silent && m.left.Load() <= 0 || alone && m.mode != route.Strict))
	if !alone {
		return
	}
	allowed := m.allowed.Load()
	switch m.mode {
	case route.Strict:
	case route.Open:
		allowed = m.limit
	default:
		allowed = max(allowed, m.share)
	}
	m.allowed.Store(min(allowed, m.spent.Load()+max(m.limit-m.known.Here, 0)))
}

func (m *budgetMeter) leave(now time.Time) (a Ask, ok bool) {
	spent := max(m.spent.Load(), 0)
	return Ask{Key: m.key(), Kind: Money, Limit: m.limit, InUse: spent, TTL: m.kept(now)}, spent > 0
}
