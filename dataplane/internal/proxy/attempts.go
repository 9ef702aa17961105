package proxy

import (
	"fmt"
	"strings"
	"time"

	"github.com/aimux/aimux/dataplane/internal/vitals"
	"github.com/aimux/aimux/shared/fault"
)

// attemptsDefault is how often a request is tried where the policy says nothing; attemptsMax whatever it says.
const (
	attemptsDefault = 3
	attemptsMax     = 8
)

// again is what the next try does differently from the one before.
type again struct {
	at     *try          // at the same target; nil means the next candidate
	strip  bool          // without the history's thinking
	behind *try          // the one whose answer broke, and is to go on
	keys   []*vitals.Key // with another key than these
	lesson string        // without what the provider refused in these words
}

// attempts tries until an answer has begun (for a stream) or is complete (for a plain one), or until nothing is left to try.
func (x *exchange) attempts() (*try, *fault.Fault) {
	x.startWatch()
	var next again
	for {
		t, f := x.begin(next, false)
		if f != nil {
			return nil, x.exhausted(f)
		}
		f = t.run()
		if f == nil {
			return t, nil
		}
		t.end(f)
		if w := x.settleRace(f); w != nil {
			return w, nil
		}
		var ok bool
		if next, ok = x.mayGoOn(t, f); !ok {
			return nil, x.exhausted(f)
		}
	}
}

// mayGoOn decides whether a failed try may be followed by another one, and by which.
func (x *exchange) mayGoOn(t *try, f *fault.Fault) (next again, ok bool) {
	if x.ctx.Err() != nil || f.Kind == fault.Canceled || f.Kind == fault.Deadline || x.isCommitted() && !x.table.Policy().Continuation || len(x.tries) >= x.triesMax() {
		return next, false
	}
	rule := f.Kind.Rule()
	switch {
	case f.Kind == fault.Unsignable && !t.strip:
		x.h.deps.Translator.Learn(&t.place.dialect, f)
		next = again{at: t, strip: true}
	case f.Kind == fault.BadRequest && f.Message != t.lesson && x.h.deps.Translator.Learn(&t.place.dialect, f):
		x.lessons++
		next = again{at: t, lesson: f.Message}
	case rule.Same && x.hasKeyBeside(t):
		next = again{at: t, keys: append(t.triedKeys, t.key)}
	case !rule.Retry || x.next >= len(x.chain):
		return next, false
	}
	if !x.h.budgets.retry(x.h.deps.Vitals.NowMs(), f) {
		x.h.metrics.budget.Add(1)
		return next, false
	}
	x.h.metrics.retries.Add(1)
	return next, true
}

func (x *exchange) hasKeyBeside(t *try) bool {
	if t.key == nil {
		return false
	}
	_, ok := x.desk.bound.PickKey(int(t.candidate.Target), x.table, append(t.triedKeys, t.key))
	return ok
}

// triesMax is how many tries the request has: as many as the policy says, and one more for each that has taught what its provider refuses.
func (x *exchange) triesMax() int {
	n := x.table.Policy().MaxAttempts
	if n <= 0 {
		n = attemptsDefault
	}
	return min(n+x.lessons, attemptsMax)
}

func (x *exchange) isCommitted() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.committed
}

// begin takes the next candidate that lets itself be tried, and translates for it. A fault says that there is none.
func (x *exchange) begin(how again, hedge bool) (*try, *fault.Fault) {
	var last *fault.Fault
	for {
		t, full := x.take(how, hedge)
		switch {
		case t != nil:
		case last != nil:
			return nil, last
		case full != nil && !hedge && len(x.tries) == 0:
			if t, full = x.queue(how, full); t == nil {
				return nil, full
			}
		case full != nil:
			return nil, full
		default:
			return nil, &fault.Fault{Kind: fault.Overloaded, Message: "no provider is left to try", RetryAfter: time.Second}
		}
		f := t.prepare()
		if f == nil {
			x.start(t)
			return t, nil
		}
		t.drop()
		x.skip(t.place.target.Key, f.Message)
		if !t.elsewhere {
			return nil, f
		}
		last, how = f, again{behind: how.behind}
	}
}

// exhausted is the last fault as the client is to see it: with everybody who was tried, and why each was of no use.
func (x *exchange) exhausted(last *fault.Fault) *fault.Fault {
	if x.ctx.Err() != nil && last.Kind == fault.Canceled {
		return x.gone()
	}
	f := *last
	if f.Kind == fault.RateLimited {
		f.RetryAfter = x.soonest(f.RetryAfter)
	}
	if len(x.tries)+len(x.skipped) < 2 {
		return &f
	}
	var all strings.Builder
	all.WriteString(f.Message)
	all.WriteString(" (tried: ")
	for i, t := range x.tries {
		if i > 0 {
			all.WriteString("; ")
		}
		fmt.Fprintf(&all, "%s: %s", t.place.target.Key, t.outcome.Fault.Kind)
	}
	for i, s := range x.skipped {
		if i > 0 || len(x.tries) > 0 {
			all.WriteString("; ")
		}
		fmt.Fprintf(&all, "%s: not tried, %s", s.Target, clip(s.Reason, 120))
	}
	all.WriteString(")")
	f.Message = all.String()
	return &f
}

// soonest is when the first of those who were tried can be tried again, as far as is known; said is when the last one said.
func (x *exchange) soonest(said time.Duration) time.Duration {
	for _, t := range x.tries {
		left, _ := x.desk.bound.Blocked(int(t.candidate.Target), x.table)
		if left > 0 && (said == 0 || left < said) {
			said = left
		}
	}
	return said
}

// retryAfterMax is the longest wait that a client is told.
const retryAfterMax = 60 * time.Second
