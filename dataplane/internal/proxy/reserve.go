package proxy

import (
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
)

// toldMax bounds what is told of who could be tried, and of who was not.
const toldMax = 16

// take reserves the next candidate: its key, its place within the limits, its permission where its circuit is not closed. full is, of those
// that could not be reserved, which may be soonest.
func (x *exchange) take(how again, hedge bool) (_ *try, full *fault.Fault) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if hedge && (x.committed || x.winner != nil) {
		return nil, nil
	}
	if how.at != nil {
		t := &try{x: x, candidate: how.at.candidate, place: how.at.place, strip: how.strip || how.at.strip, lesson: how.lesson, triedKeys: how.keys}
		if full = t.reserve(true); full == nil {
			return t, nil
		}
	}
	for x.next < len(x.chain) {
		c := x.chain[x.next]
		if hedge && !worthHedging(c) {
			return nil, nil // not worth it, or not for it
		}
		x.next++
		t := &try{x: x, candidate: c, place: &x.desk.places[c.Target], hedge: hedge, behind: how.behind}
		f := t.reserve(c.LastResort())
		if f == nil {
			return t, nil
		}
		x.skip(t.place.target.Key, f.Message)
		full = sooner(full, f)
	}
	return nil, full
}

func (x *exchange) skip(target, reason string) {
	if len(x.skipped) < toldMax {
		x.skipped = append(x.skipped, outcome.PassedOver{Target: target, Reason: reason})
	}
}

// reserve takes key, room and permission, or says what there is none of. The caller holds exchange.mu.
func (t *try) reserve(lastResort bool) *fault.Fault {
	x, target := t.x, int(t.candidate.Target)
	if f := t.enter(target); f != nil {
		return f
	}
	if !x.desk.bound.Begin(&t.vital, target, t.key, x.table, lastResort) {
		t.permit.Settle(outcome.Usage{}, 0)
		return &fault.Fault{Kind: fault.Overloaded, Message: "its probe was just taken by another request", RetryAfter: time.Second}
	}
	return nil
}

// enter finds a key that has room.
func (t *try) enter(target int) (full *fault.Fault) {
	x := t.x
	for {
		key, ok := x.desk.bound.PickKey(target, x.table, t.triedKeys)
		switch {
		case !ok && full != nil:
			return full
		case !ok:
			return x.noKey(target)
		}
		t.key = key
		permit, f := x.h.deps.Limits.Enter(t.place.target, t.fingerprint(), &x.found.Ask)
		if f == nil {
			t.permit = permit
			return nil
		}
		full = sooner(full, f)
		if key == nil {
			return full
		}
		t.triedKeys = append(t.triedKeys, key)
	}
}

// noKey says why none of a target's keys can be used.
func (x *exchange) noKey(target int) *fault.Fault {
	if left, by := x.desk.bound.Blocked(target, x.table); left > 0 && by == fault.RateLimited {
		return &fault.Fault{Kind: by, Message: "its provider allows no more requests for now", RetryAfter: left}
	}
	return &fault.Fault{Kind: fault.Overloaded, Message: "all of its keys are blocked or have as much to do as they take", RetryAfter: time.Second}
}

// sooner is of two refusals the one that ends first; nil is none.
func sooner(a, b *fault.Fault) *fault.Fault {
	if a == nil || b != nil && b.RetryAfter < a.RetryAfter {
		return b
	}
	return a
}

func (t *try) fingerprint() string {
	if t.key == nil {
		return ""
	}
	return t.key.Credential.Fingerprint
}

// drop gives back what reserve took, for a candidate that was never called.
func (t *try) drop() {
	t.vital.End(&fault.Fault{Kind: fault.Canceled}, 0, 0)
	t.permit.Settle(outcome.Usage{}, 0)
	t.body.release()
	t.giveBack(false)
}

// patienceLeast is a wait that is always worth while, if any is: limits that say so are refilled from moment to moment.
const patienceLeast = time.Second

// queue waits for room at any of the candidates, of which the first will have some soon.
func (x *exchange) queue(how again, full *fault.Fault) (t *try, _ *fault.Fault) {
	full = x.await(x.found.Ask.Model, full, func() (still *fault.Fault) {
		x.mu.Lock()
		x.next, x.skipped = 0, x.skipped[:0]
		x.mu.Unlock()
		if t, still = x.take(how, false); t == nil && still == nil {
			still = &fault.Fault{Kind: fault.Overloaded, Message: "no provider is left to try", RetryAfter: time.Second}
		}
		return still
	})
	return t, full
}

// await waits for room, if there will be some soon. try takes it, or says what is still in the way.
func (x *exchange) await(lane string, full *fault.Fault, try func() *fault.Fault) *fault.Fault {
	policy := x.table.Policy()
	longest := min(policy.QueueTimeout, time.Until(x.headDeadline))
	if longest <= 0 || full.RetryAfter > max(longest, patienceLeast) {
		return full
	}
	began := time.Now()
	x.h.deps.Limits.Wait(x.ctx, Wish{Caller: x.caller, Lane: lane, Longest: longest, Depth: policy.QueueDepth, Try: func() bool {
		full = try()
		return full == nil
	}})
	x.queued += time.Since(began)
	return full
}
