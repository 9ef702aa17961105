package proxy

import (
	"fmt"
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
)

// A race is two tries beside each other: one whose first token is late, and its hedge. The first whose answer has begun wins.

// stop ends the try from outside, for a reason that its own goroutine will find.
func (t *try) stop(kind fault.Kind) {
	if t.stopped.CompareAndSwap(0, uint32(kind)+1) && t.cancel != nil {
		t.cancel()
	}
}

// why is the reason of a failed call or read: ours if we ended it, else what the network said.
func (t *try) why(f *fault.Fault) *fault.Fault {
	waited := time.Since(t.began).Round(time.Millisecond)
	switch kind := t.stopped.Load(); {
	case kind != 0:
		own := &fault.Fault{Kind: fault.Kind(kind - 1), Sent: true}
		switch own.Kind {
		case fault.FirstToken:
			own.Message = fmt.Sprintf("no answer began within %v", waited)
		case fault.Stall:
			own.Message = fmt.Sprintf("nothing more came for %v", t.x.idleLimit())
			if time.Since(time.Unix(0, t.lastRead.Load())) < t.x.idleLimit() {
				own.Message = fmt.Sprintf("nothing but signs of life came for %v", hollowTimes*t.x.idleLimit())
			}
		case fault.Deadline:
			own.Message = fmt.Sprintf("the request's time was over after %v", time.Since(t.x.began).Round(time.Millisecond))
		default:
			own.Message = "another provider was quicker"
		}
		return own
	case t.x.ctx.Err() != nil:
		return &fault.Fault{Kind: fault.Canceled, Message: "the client left", Sent: true}
	}
	return f
}

// claim makes t the one try whose answer the client gets; false means that another was quicker.
func (x *exchange) claim(t *try) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.winner != nil && x.winner != t {
		return false
	}
	x.winner = t
	for _, other := range x.racing {
		if other != t {
			other.stop(fault.Canceled)
		}
	}
	return true
}

func without(list []*try, t *try) []*try {
	kept := list[:0]
	for _, other := range list {
		if other != t {
			kept = append(kept, other)
		}
	}
	return kept
}

// worthHedging reports a candidate that may well be quicker than one that is only late, and is not put to the test by it.
func worthHedging(c route.Candidate) bool { return !c.LastResort() && !c.Fallback() && !c.Probe() }

// runHedge is the hedge's goroutine: it tries the next candidate beside the late one, and leaves a try that has won to the request's
// own goroutine.
func (x *exchange) runHedge(done chan struct{}) {
	defer close(done)
	var t *try
	defer func() {
		if r := recover(); r != nil {
			x.panicked(r)
			if t != nil {
				t.end(&fault.Fault{Kind: fault.Internal, Message: "the gateway made a mistake"})
			}
		}
	}()
	t, f := x.begin(again{}, true)
	if f != nil {
		return
	}
	x.mu.Lock()
	x.hedged = t
	x.mu.Unlock()
	if f := t.run(); f != nil {
		t.end(f)
	}
}

// settleRace waits for the hedge, if there is one that may still win; it returns the winner.
func (x *exchange) settleRace(f *fault.Fault) *try {
	x.mu.Lock()
	hedging, hedged := x.hedging, x.hedged
	x.hedging = nil
	if hedged != nil && !f.Kind.Rule().Retry && x.winner == nil && f.Kind != fault.Canceled {
		hedged.stop(fault.Canceled) // the request itself is refused: nobody else will take it
	}
	x.mu.Unlock()
	if hedging == nil {
		return nil
	}
	<-hedging
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.winner != nil && x.winner == x.hedged {
		return x.hedged
	}
	return nil
}
