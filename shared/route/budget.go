package route

import "time"

// BudgetWindow is the time over which a budget holds.
const BudgetWindow = 10 * time.Second

// A budget keeps an outage from multiplying the load of those who are well: what all of them are sent is never more than the requests and the share.
//
// A share of few requests is less than one: a tenth of three would leave a lone request to the first provider that fails it. So whatever
// the share, a cluster is always granted so many extra attempts in a window, far too few to hurt anybody, and its nodes divide them. A node's part is never
// less than it needs while a provider dies suddenly: a node that has had no requests lately suffers as many failures, one request each, as open its own
// circuit where nobody said otherwise (retriesNeeded). A lone request that is late needs one hedge.
//
// A node grants an attempt only while those of the last 10 seconds are within the share of the requests of the same 10 seconds, or within its part. So from
// 100 requests on in 10 seconds a node's retries are within 10 %, and from 40 on its hedges within 5 %. All nodes together begin, in any 10 seconds, at
// most the share of the requests that they have had since 10 seconds before, and max(RetriesLeast, retriesNeeded × nodes) retries or
// max(HedgesLeast, nodes) hedges.
//
// An attempt that never reached its provider, because there was nobody to connect to, loaded nobody. The next one is the first that the request is to
// anyone, and no extra: it is not charged (Retry). So the death of a provider's host costs no request, however many were on their way to it; what the
// others get is what they will get when its circuit is open.
const (
	RetriesLeast = 10
	HedgesLeast  = 2

	retriesNeeded = 5
	hedgesNeeded  = 1
)

// RetryBudget is one node's of so many; share from 0 to 1.
func RetryBudget(share float64, nodes int) Budget {
	return NewBudget(share, max(RetriesLeast/max(nodes, 1), retriesNeeded))
}

// HedgeBudget is one node's of so many; share from 0 to 1.
func HedgeBudget(share float64, nodes int) Budget {
	return NewBudget(share, max(HedgesLeast/max(nodes, 1), hedgesNeeded))
}

// Follow takes over another budget's terms; what was granted stays granted.
func (b *Budget) Follow(terms Budget) { b.share, b.least = terms.share, terms.least }

// slots of a window: 100 ms each, and one more for the slot that is passing out.
const (
	budgetSlots  = 100
	budgetSlotMs = int64(BudgetWindow/time.Millisecond) / budgetSlots
)

// Budget bounds extra attempts to a share of the requests. At the moment of every grant, the extra attempts granted in the 10 seconds
// that end there are at most the larger of share × requests begun in them and least. Arithmetic on slots of 100 ms, erring to
// the strict side. Not for concurrent use.
//
// Invariant: extra and requests are the sums over slots; slots[n%len] belongs to slot number n, for n in (newest-len, newest].
type Budget struct {
	share           float64
	least           uint64
	slots           [budgetSlots + 1]budgetSlot
	newest          int64
	requests, extra uint64
}

type budgetSlot struct {
	requests, extra uint32
}

// NewBudget makes a budget of a share of the requests, from 0 to 1, and of at least so many extra attempts in any window.
// A share of 0 grants nothing at all.
func NewBudget(share float64, least int) Budget {
	if share <= 0 {
		least = 0
	}
	return Budget{share: share, least: uint64(max(least, 0))}
}

// Request counts a request that begins now; nowMs from any fixed point. Earlier than before counts as the latest.
func (b *Budget) Request(nowMs int64) {
	s := b.slot(nowMs)
	s.requests++
	b.requests++
}

// Spend asks for one extra attempt, and counts it when granted.
func (b *Budget) Spend(nowMs int64) (granted bool) {
	s := b.slot(nowMs)
	// The oldest slot has passed out of the window in part: its extras still count, its requests no longer.
	oldest := &b.slots[(b.newest+1)%int64(len(b.slots))]
	allowed := max(b.least, uint64(b.share*float64(b.requests-uint64(oldest.requests))))
	if b.extra >= allowed {
		return false
	}
	s.extra++
	b.extra++
	return true
}

// Retry asks for one more attempt after one that failed; reached says whether that may have reached its provider. If not, it is granted wherever
// retries are allowed at all.
func (b *Budget) Retry(nowMs int64, reached bool) (granted bool) {
	if !reached {
		return b.share > 0
	}
	return b.Spend(nowMs)
}

// slot moves the window to now and returns its newest slot.
func (b *Budget) slot(nowMs int64) *budgetSlot {
	now := max(b.newest, nowMs/budgetSlotMs)
	if now-b.newest > int64(len(b.slots)) {
		b.slots, b.requests, b.extra, b.newest = [budgetSlots + 1]budgetSlot{}, 0, 0, now
	}
	for b.newest < now {
		b.newest++
		s := &b.slots[b.newest%int64(len(b.slots))]
		b.requests -= uint64(s.requests)
		b.extra -= uint64(s.extra)
		*s = budgetSlot{}
	}
	return &b.slots[now%int64(len(b.slots))]
}
