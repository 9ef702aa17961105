package controlplane

import (
	"maps"
	"time"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	"github.com/aimux/aimux/shared/identity"
)

// purse is what was spent of everything that a budget can be of, this month and on its days. It follows from the book's lines.
type purse struct {
	// month is the current one; nobody asks about earlier ones.
	month string
	sums  map[purseKey]uint64
}

// purseKey is a scope's spending in a period: in one region, or everywhere.
type purseKey struct {
	scope, period, region string
	everywhere            bool
}

const monthFormat = "2006-01"

// turn begins the month of that moment.
func (p *purse) turn(now time.Time) {
	month := now.UTC().Format(monthFormat)
	if p.month == month {
		return
	}
	p.month = month
	maps.DeleteFunc(p.sums, func(k purseKey, _ uint64) bool { return k.period < month })
}

// add counts what a line cost for every scope that it is of.
func (p *purse) add(at lineKey, nano uint64) {
	if nano == 0 || len(at.Day) != len(dayFormat) || at.Day < p.month {
		return
	}
	provider := "provider/" + at.Provider
	caller := "key/" + at.Key
	if _, ok := identity.IssuerOf(at.Key); ok {
		caller = "subject/" + at.Key
	}
	for _, scope := range [...]string{"all", caller, "team/" + at.Team, provider, provider + "/model/" + at.Model} {
		for _, period := range [...]string{at.Day, at.Day[:len(monthFormat)]} {
			p.sums[purseKey{scope, period, at.Region, false}] += nano
			p.sums[purseKey{scope, period, "", true}] += nano
		}
	}
}

// budgetsMax is about how many budgets a node may ask at once.
const budgetsMax = 1 << 10

// spent answers a node: of nothing as long as the ledger has not counted what the stream has, and else of the first budgetsMax.
func (l *ledger) spent(ask *outcomev1.SpentRequest) *outcomev1.SpentAnswer {
	l.mu.Lock()
	defer l.mu.Unlock()
	answer := &outcomev1.SpentAnswer{}
	if !l.whole {
		return answer
	}
	for _, b := range ask.GetBudgets()[:min(len(ask.GetBudgets()), budgetsMax)] {
		answer.Spent = append(answer.Spent, &outcomev1.Spent{
			HereNanoUsd: l.purse.sums[purseKey{b.GetScope(), b.GetPeriod(), ask.GetRegion(), false}],
			AllNanoUsd:  l.purse.sums[purseKey{b.GetScope(), b.GetPeriod(), "", true}],
		})
	}
	return answer
}
