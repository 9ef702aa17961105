package limit

import (
	"context"
	"time"
)

// A source remembers what was spent for as long as it lives, and a node for as long as its process does. The ledger knows it for good, some
// seconds late: by it a budget that was spent stays spent when both begin anew.

// Ledger tells in spent[i] what is known to have been spent of budgets[i], and returns within ctx.
type Ledger func(ctx context.Context, budgets []Budget, spent []Spent) error

// Budget is a scope's money in one period: a month of UTC as in "2026-11", or a day as in "2026-11-23".
type Budget struct{ Scope, Period string }

// Spent is how much money, in billionths of a dollar: in this region, and in all.
type Spent struct{ Here, All int64 }

const (
	ledgerEvery = 5 * time.Second // for each budget: as often as nodes write down what was used
	ledgerAgain = time.Second     // after it did not answer
	ledgerDeaf  = 3               // times in a row, and nobody waits for it
	ledgerBatch = 1 << 10         // budgets at once
)

// sendUnread hands the budgets that it is time to ask about to the goroutine that reads the ledger, unless that has some to read.
func (l *Limiter) sendUnread(now time.Time) {
	if l.deps.Ledger == nil || len(l.toRead) > 0 {
		return
	}
	var due []*budgetMeter
	l.eachMeter(func(m meter) {
		if b, ok := m.(*budgetMeter); ok && now.Sub(b.read) >= ledgerEvery && len(due) < ledgerBatch {
			b.read = now
			due = append(due, b)
		}
	})
	if len(due) > 0 {
		l.toRead <- due // has room: only Run sends
	}
}

// readLedger asks what was spent until ctx ends.
func (l *Limiter) readLedger(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case due := <-l.toRead:
			l.readBudgets(ctx, due)
		}
	}
}

// readBudgets asks about some, and has the source hear of it.
func (l *Limiter) readBudgets(ctx context.Context, due []*budgetMeter) {
	ctx, cancel := context.WithTimeout(ctx, ledgerAgain)
	defer cancel()
	budgets, spent := make([]Budget, len(due)), make([]Spent, len(due))
	l.mu.Lock()
	for i, m := range due {
		budgets[i] = Budget{m.scope, m.name}
	}
	l.mu.Unlock()
	err := l.deps.Ledger(ctx, budgets, spent)
	if l.ledgerFailures++; err == nil {
		l.ledgerFailures = 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, m := range due {
		switch {
		case m.name != budgets[i].Period: // it has turned meanwhile, and is due anew
		case err == nil:
			m.learn(spent[i])
		default:
			m.read = m.read.Add(ledgerAgain - ledgerEvery)
			m.heard = m.heard || l.ledgerFailures >= ledgerDeaf
		}
	}
	l.wake()
}
