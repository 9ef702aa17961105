package proxy

import (
	"sync"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
)

// budgets bound this node's extra attempts to a share of its requests. Safe for concurrent use.
type budgets struct {
	mu              sync.Mutex
	retries, hedges route.Budget
	terms           terms
}

// terms are what the budgets depend on; both may change at any time.
type terms struct {
	retryShare, hedgeShare float64
	nodes                  int
}

// request counts a request that begins.
func (b *budgets) request(table *route.Table, nowMs int64) {
	p := table.Policy()
	now := terms{p.RetryShare, p.HedgeShare, table.NodesLive()}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now != b.terms {
		b.terms = now
		b.retries.Follow(route.RetryBudget(now.retryShare, now.nodes))
		b.hedges.Follow(route.HedgeBudget(now.hedgeShare, now.nodes))
	}
	b.retries.Request(nowMs)
	b.hedges.Request(nowMs)
}

// retry takes the right to one retry of what failed, if there is one left.
func (b *budgets) retry(nowMs int64, failed *fault.Fault) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.retries.Retry(nowMs, failed.Kind != fault.Connect || failed.Sent)
}

// hedge takes the right to one hedge, if there is one left.
func (b *budgets) hedge(nowMs int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hedges.Spend(nowMs)
}
