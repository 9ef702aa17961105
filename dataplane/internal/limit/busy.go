package limit

import (
	"time"

	"github.com/aimux/aimux/shared/route"
)

// Busy reports that there is no room at a target now: at its provider, its model there, or with any of its keys. It takes nothing, and refuses
// nobody; but as whoever asks would have come, it lets the source be asked for more. Room may have come or gone by the time that somebody enters.
func (l *Limiter) Busy(target *route.Target) bool {
	providers := l.plan.Load().providers
	if len(providers) == 0 {
		return false
	}
	at := providers[target.ProviderID]
	if at == nil {
		return false
	}
	now := int64(time.Since(l.born))
	busy := at.own.busy(now)
	busy = at.models[target.Model].busy(now) || busy
	some := len(at.keys) == 0
	for _, key := range at.keys {
		some = !key.busy(now) || some
	}
	if busy = busy || !some; busy {
		l.wake()
	}
	return busy
}

// busy reports that one more would be refused; nil has no limit.
func (g *gate) busy(now int64) bool {
	if g == nil {
		return false
	}
	if g.slots != nil && g.slots.full(now) {
		g.slots.denied.CompareAndSwap(0, 1) // a node that nobody asks for a slot asks for none
		return true
	}
	for _, m := range &g.units {
		if m != nil && m.stock.Load() <= 0 {
			return true
		}
	}
	for _, m := range &g.budgets {
		if m != nil && m.full() {
			return true
		}
	}
	return false
}
