package proxy

import (
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
)

// The watch is one timer per request. It sees late first tokens at the moment they are late, begins the hedge, ends tries that have used up
// their time, and keeps silent streams alive; so no read needs a deadline of its own and no event a timer.

// The limits where the policy says nothing.
const (
	firstTokenDefault = 60 * time.Second
	idleDefault       = 60 * time.Second
	// hollowTimes is how many times as long as it may be silent an answer may take with nothing but signs of life, as pings and empty pieces are.
	hollowTimes = 5
	// lingerMax is how long an answer that is complete may take to close its connection in order.
	lingerMax = 250 * time.Millisecond
)

func (x *exchange) idleLimit() time.Duration {
	if d := x.table.Policy().IdleTimeout; d > 0 {
		return d
	}
	return idleDefault
}

// stallsAt is when an answer that has begun counts as stalled, if nothing comes until then. The caller holds mu.
func (x *exchange) stallsAt(t *try) time.Time {
	silent := time.Unix(0, t.lastRead.Load()).Add(x.idleLimit())
	return earlier(silent, t.moved.Add(hollowTimes*x.idleLimit()))
}

func (x *exchange) startWatch() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wrote = x.began
	x.due = x.began.Add(time.Hour)
	if x.timer == nil {
		x.timer = time.AfterFunc(time.Hour, x.tick)
	}
}

// watch sets the try's limits. The caller holds mu.
func (x *exchange) watch(t *try) {
	policy := x.table.Policy()
	e := x.table.Expect(&x.found.Ask, int(t.candidate.Target), &x.view)
	t.expectFirst = e.FirstToken
	t.overdueAt = t.began.Add(route.Overdue(e.FirstToken))
	t.firstDue = t.began.Add(orDefault(policy.FirstTokenTimeout, firstTokenDefault))
	if !t.streams { // the first byte comes with the last
		t.overdueAt = t.began.Add(route.Overdue(e.Total))
		t.firstDue = t.firstDue.Add(x.longest(t))
	}
	x.arm(t.began)
}

// longest is how long the target may take for the longest answer that the client allows: twice as long as it usually takes for so many
// tokens. Who has said nothing by then says nothing any more.
func (x *exchange) longest(t *try) time.Duration {
	tokens := x.found.Ask.MaxTokens
	if tokens <= 0 {
		tokens = answerDefault
	}
	return 2 * time.Duration(tokens) * max(x.desk.bound.PerToken(int(t.candidate.Target)), perTokenMin)
}

// The longest answer that is waited for where the client sets no limit, in tokens, and the least time for one.
const (
	answerDefault = 4096
	perTokenMin   = 5 * time.Millisecond
)

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// tick is the timer's goroutine.
func (x *exchange) tick() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	now := time.Now()
	if pause := now.Sub(x.due); pause >= pauseMin {
		x.forgive(pause)
	}
	for _, t := range x.racing {
		x.check(t, now)
	}
	if x.found.Stream {
		x.keepAlive(now)
	}
	x.arm(now)
}

// pauseMin is how late the timer must be to show that the node stood still: a stopped process, a stalled machine.
const pauseMin = 100 * time.Millisecond

// forgive does not count a time in which the node stood still as anybody's silence: what came meanwhile may wait to be read. The
// request's own deadline stays. The caller holds mu.
func (x *exchange) forgive(pause time.Duration) {
	for _, t := range x.racing {
		t.overdueAt, t.firstDue, t.moved = t.overdueAt.Add(pause), t.firstDue.Add(pause), t.moved.Add(pause)
		read := t.lastRead.Load()
		t.lastRead.CompareAndSwap(read, read+pause.Nanoseconds()) // unless something has just been read
	}
}

// limit is until when the client waits for what comes next.
func (x *exchange) limit() time.Time {
	if x.committed {
		return x.deadline
	}
	return x.headDeadline
}

// check looks at one try. The caller holds mu.
func (x *exchange) check(t *try, now time.Time) {
	if !now.Before(x.limit()) {
		t.stop(fault.Deadline)
		return
	}
	read := time.Unix(0, t.lastRead.Load())
	switch {
	case t.lingering:
		if now.Sub(read) >= lingerMax {
			t.stop(fault.Canceled)
		}
	case t.opened:
		if !now.Before(x.stallsAt(t)) {
			t.stop(fault.Stall)
		}
	default:
		if !t.late && !now.Before(t.overdueAt) {
			t.late = true
			x.overdue(t, now)
		}
		if !now.Before(t.firstDue) {
			t.stop(fault.FirstToken)
		}
	}
}

// overdue counts a late first token now, not when it comes or fails, and begins the hedge. The caller holds mu.
func (x *exchange) overdue(t *try, now time.Time) {
	if t.vital.Overdue(now.Sub(t.began), t.streams) {
		x.h.deps.Ledger.Overdue(t.outcome.Target)
		t.place.metrics.overdue.Add(1)
	}
	more := x.next < len(x.chain) && worthHedging(x.chain[x.next])
	if x.hedging != nil || x.hedged != nil || x.winner != nil || x.committed || !more || len(x.tries) >= x.triesMax() {
		return
	}
	if !x.h.budgets.hedge(x.h.deps.Vitals.NowMs()) {
		x.h.metrics.hedgesDenied.Add(1)
		return
	}
	x.h.metrics.hedges.Add(1)
	done := make(chan struct{})
	x.hedging = done
	go x.runHedge(done)
}

// keepAlive tells a streaming client that its request lives. The caller holds mu.
func (x *exchange) keepAlive(now time.Time) {
	switch {
	case len(x.racing) == 0:
		return
	case !x.committed && now.Sub(x.began) >= x.h.config.HoldMax:
		x.commit(x.racing[0], now)
	case !x.committed || now.Sub(x.wrote) < x.h.config.PingEvery:
		return
	}
	speaker := x.racing[0]
	if x.winner != nil {
		speaker = x.winner
	}
	x.out = speaker.reply.Ping(x.out[:0])
	if x.in.Write(x.out) != nil || x.in.Flush() != nil {
		x.cancel(nil)
	}
	x.wrote = now
}

// arm sets the timer to the next moment at which something may be due. The caller holds mu.
func (x *exchange) arm(now time.Time) {
	due := x.limit()
	for _, t := range x.racing {
		read := time.Unix(0, t.lastRead.Load())
		switch {
		case t.stopped.Load() != 0:
		case t.lingering:
			due = earlier(due, read.Add(lingerMax))
		case t.opened:
			due = earlier(due, x.stallsAt(t))
		case !t.late:
			due = earlier(due, earlier(t.overdueAt, t.firstDue))
		default:
			due = earlier(due, t.firstDue)
		}
	}
	switch {
	case !x.found.Stream:
	case !x.committed:
		due = earlier(due, x.began.Add(x.h.config.HoldMax))
	default:
		due = earlier(due, x.wrote.Add(x.h.config.PingEvery))
	}
	// Never at once again: what is overdue for reasons of its own must not spin.
	wait := max(due.Sub(now), time.Millisecond)
	x.due = now.Add(wait)
	x.timer.Reset(wait)
}

// rearm sets the timer anew if what has changed may be due sooner than what it waits for. The caller holds mu.
func (x *exchange) rearm(now time.Time) {
	if now.Add(x.idleLimit()).Before(x.due) {
		x.arm(now)
	}
}
