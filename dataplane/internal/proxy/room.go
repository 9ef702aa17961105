package proxy

import (
	"strconv"
	"time"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/fault"
)

// What a try keeps of large bodies counts against the memory that all bodies of the node share: what it sends, and a plain answer until the client
// has it. What ordinary requests keep fits into pooled buffers, and does not count.

// copiesAcross is how many copies of a plain answer there are at a time on its way into another format; of one that passes there is one.
const copiesAcross = 3

// roomToSend counts what is to be sent. Nothing has been: the fault is nobody's.
func (t *try) roomToSend(n int) *fault.Fault {
	return t.hold(&t.sends, n, fault.Overloaded)
}

// roomToKeep counts what a plain answer takes that has n bytes. It has cost what it costs, so it is not asked for a second time.
func (t *try) roomToKeep(n int) *fault.Fault {
	if t.x.found.Stream {
		return nil
	}
	if n = min(n, dialect.WholeMax); t.place.target.Endpoint.Protocol != t.x.at.protocol {
		n *= copiesAcross
	}
	return t.hold(&t.keeps, n, fault.Internal)
}

// expect makes room for an answer whose head says how long it is.
func (t *try) expect(length string) *fault.Fault {
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || t.x.found.Stream {
		return nil
	}
	if f := t.roomToKeep(n); f != nil {
		return f
	}
	t.x.mu.Lock()
	defer t.x.mu.Unlock()
	t.reply.Expect(n)
	return nil
}

// arrived makes room for what has come beyond what was announced, and for as much again.
func (t *try) arrived(n int) *fault.Fault {
	if t.came += n; t.came <= t.keeps || t.came <= bufferBytesKept {
		return nil
	}
	return t.roomToKeep(2 * t.came)
}

func (t *try) hold(held *int, n int, kind fault.Kind) *fault.Fault {
	if n <= max(*held, bufferBytesKept) {
		return nil
	}
	if !t.x.in.Hold(n - *held) {
		return &fault.Fault{Kind: kind, Message: "the bodies of running requests fill the memory set aside for them; try again shortly", RetryAfter: time.Second}
	}
	*held = n
	return nil
}

// giveBack gives back what the try has no use for any more; whoever gets its answer keeps that until its own end.
func (t *try) giveBack(delivers bool) {
	back := t.sends
	if t.sends = 0; !delivers {
		back, t.keeps = back+t.keeps, 0
	}
	if back > 0 {
		t.x.in.Hold(-back)
	}
}
