package limit

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// tick is how long a meter waits for Run at most.
const tick = 100 * time.Millisecond

// Run fetches ahead of need until ctx ends. It is the only goroutine that talks to the source; another one tries for those who
// wait, and one reads the ledger.
func (l *Limiter) Run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var others sync.WaitGroup
	defer others.Wait()
	others.Go(func() { l.queue.run(ctx) })
	others.Go(func() { l.readLedger(ctx) })
	for {
		var again <-chan time.Time
		if l.round(ctx) {
			again = time.After(renewAtOnce)
		}
		select {
		case <-ctx.Done():
			l.leave(context.WithoutCancel(ctx))
			return
		case <-ticker.C:
		case <-again:
		case <-l.kick:
			// Wishes of the next milliseconds are one round: the source is asked for many at the price of one.
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond):
			}
			l.woken.Store(false)
		}
	}
}

// askTimeout bounds a round: a source that hangs must not keep leases from ending in time, which leaseMargin allows for.
const askTimeout = 200 * time.Millisecond

// round asks the source for everything that is due, and puts every meter to rights. It reports that there should be another one at once.
func (l *Limiter) round(ctx context.Context) (again bool) {
	now := time.Now()
	l.mu.Lock()
	asks, whose := l.due(now)
	asks = l.sweep(now, asks)
	l.sendUnread(now)
	l.mu.Unlock()
	grants := make([]Grant, len(asks))
	answered := len(asks) > 0 && l.ask(ctx, now, asks, grants)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, m := range whose {
		if answered {
			again = m.apply(now, asks[i], grants[i]) || again
		} else {
			m.alone(now, asks[i])
		}
	}
	now = time.Now()
	l.eachMeter(func(m meter) { m.lapse(now) })
	l.queue.poke()
	return again
}

// roundMax is how many asks are sent at once: as many as the source can answer in time, however many callers come together.
const roundMax = 1 << 9

// due gathers the asks of all meters. Those for which there is no room are for the next round, which follows at once; callers come in another order
// then.
func (l *Limiter) due(now time.Time) (asks []Ask, whose []meter) {
	l.eachMeter(func(m meter) {
		if len(asks) == roundMax {
			l.wake()
			return
		}
		if a, ok := m.ask(now); ok {
			asks, whose = append(asks, a), append(whose, m)
		}
	})
	return asks, whose
}

// sweepEvery is how often Run looks for callers that are quiet.
const sweepEvery = 5 * time.Second

// sweep lets callers go that are quiet, with asks that give back what their gates held.
func (l *Limiter) sweep(now time.Time, asks []Ask) []Ask {
	if now.Sub(l.swept) < sweepEvery || l.failures > 0 {
		return asks
	}
	l.swept = now
	for _, c := range l.kinds() {
		gone, more := c.sweep(now)
		if more {
			l.swept = time.Time{} // at the next round
		}
		for _, g := range gone {
			g.each(func(m meter) {
				if a, ok := m.leave(now); ok {
					asks = append(asks, a)
				}
			})
		}
	}
	return asks
}

// leave gives back what is not in use, so that the others need not wait for the leases to end.
func (l *Limiter) leave(ctx context.Context) {
	now := time.Now()
	l.mu.Lock()
	var asks []Ask
	l.eachMeter(func(m meter) {
		if a, ok := m.leave(now); ok {
			asks = append(asks, a)
		}
	})
	l.mu.Unlock()
	for some := range slices.Chunk(asks, roundMax) {
		if !l.ask(ctx, time.Now(), some, make([]Grant, len(some))) {
			return // the leases end by themselves
		}
	}
}

func (l *Limiter) eachMeter(do func(meter)) { l.eachGate(func(g *gate) { g.each(do) }) }

func (l *Limiter) eachGate(do func(*gate)) {
	for _, g := range l.plan.Load().gates {
		do(g)
	}
	for _, c := range l.kinds() {
		for _, g := range c.all() {
			do(g)
		}
	}
}

// Close ends the connections to the source, after Run.
func (l *Limiter) Close() {
	if l.deps.Source != nil {
		_ = l.deps.Source.Close() // nothing is lost: leases end by themselves
	}
}

// backoffMax is how long a source that fails is left alone at most.
const backoffMax = 2 * time.Second

// ask asks the source, unless it has just failed. Nodes come back to it at different times.
func (l *Limiter) ask(ctx context.Context, now time.Time, asks []Ask, grants []Grant) bool {
	if l.deps.Source == nil || now.Before(l.retry) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := l.deps.Source.Renew(ctx, l.config.Node, asks, grants)
	l.sourced.asks.Add(uint64(len(asks)))
	l.sourced.up.Store(err == nil)
	if err == nil {
		if l.failures > 0 {
			l.deps.Log.Info("the store of limits answers again", "failures", l.failures)
		}
		l.failures = 0
		l.sourced.rounds.Add(1)
		l.sourced.tookNs.Store(int64(time.Since(now)))
		return true
	}
	l.sourced.failures.Add(1)
	if l.failures++; l.failures == 1 {
		l.deps.Log.Warn("the store of limits does not answer: leases are kept until they end", "error", err)
	}
	backoff := min(tick<<min(l.failures, 5), backoffMax)
	l.retry = now.Add(backoff/2 + rand.N(backoff))
	return false
}
