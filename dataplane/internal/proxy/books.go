package proxy

import (
	"time"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
)

// end closes the try's books, once.
func (t *try) end(f *fault.Fault) {
	if t.ended {
		return
	}
	t.ended = true
	x := t.x
	now := time.Now()
	x.mu.Lock()
	x.racing = without(x.racing, t)
	if x.winner == t && f.Kind != fault.None {
		x.winner = nil
	}
	progress := *t.reply.Progress()
	first := t.first
	x.mu.Unlock()
	if t.response != nil {
		t.response.Close()
	}
	t.cancel()
	o := &t.outcome
	o.Fault, o.FirstToken, o.Duration, o.Ended, o.Overdue = *f, first, now.Sub(t.began), now, t.vital.Late()
	o.Usage = t.usage(&progress)
	o.CostNano = t.place.target.Price.Cost(o.Usage.Input, o.Usage.Output, o.Usage.CacheRead, o.Usage.CacheWrite)
	x.h.deps.Ledger.Observe(o) // before the circuit may open, so that the word of it brings the failure along
	t.vital.End(f, int(o.Usage.Output), t.spokeFor(f))
	t.permit.Settle(o.Usage, o.CostNano)
	if f.Kind.Hard() || f.Kind == fault.Unauthorized || o.Probe {
		x.h.deps.Urgent()
	}
	if !f.OK() {
		t.span.Keep(byCaller(f.Kind, 1))
	}
	t.place.metrics.attempt(o, t.span.Example())
	t.place.metrics.genAI.gap.Take(&t.gaps.tally, t.span.Example())
	t.body.release()
	t.giveBack(f.OK())
}

// paceLeast is how many tokens a plain answer must have to tell how long one takes.
const paceLeast = 32

// spokeFor is how long the answer took from its first token on; 0 where that cannot be told. Of a plain answer the wait for the first token is
// taken off as it is expected, and at most half of all.
func (t *try) spokeFor(f *fault.Fault) time.Duration {
	switch {
	case t.streams && t.outcome.FirstToken > 0:
		return time.Duration(t.lastRead.Load()-t.began.UnixNano()) - t.outcome.FirstToken
	case !t.streams && f.OK() && t.outcome.Usage.Reported && t.outcome.Usage.Output >= paceLeast:
		return max(t.outcome.Duration-t.expectFirst, t.outcome.Duration/2)
	}
	return 0
}

// usage is what the provider reported, or an estimate where it was cut off after it had begun.
func (t *try) usage(p *dialect.Progress) outcome.Usage {
	u := p.Usage
	if u.Reported {
		output := u.Output
		if !p.Done {
			output = max(output, p.Tokens) // who breaks off has not counted to the end
		}
		return outcome.Usage{Input: count(u.Input), Output: count(output), CacheRead: count(u.CacheRead), CacheWrite: count(u.CacheWrite), Reported: true}
	}
	if !p.Started {
		return outcome.Usage{}
	}
	return outcome.Usage{Input: count(t.x.found.Ask.PromptTokens), Output: count(p.Tokens)}
}

func count(n int) uint64 { return uint64(max(n, 0)) }
