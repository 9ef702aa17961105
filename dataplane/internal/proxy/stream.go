package proxy

import (
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/aimux/aimux/shared/fault"
)

// stream gives the client what has come, and then everything as it comes; if that breaks, another provider may go on with it.
func (x *exchange) stream(t *try) *fault.Fault {
	for {
		f := x.relay(t)
		t.end(f)
		switch {
		case f.Kind == fault.Canceled:
			return x.gone()
		case f.OK():
			return nil
		}
		if t = x.goOnward(t, f); t == nil {
			return f
		}
	}
}

// relay gives the client the answer of one try, to its end.
func (x *exchange) relay(t *try) *fault.Fault {
	x.mu.Lock()
	x.answerer, t.heard = t, true
	now := time.Now()
	x.commit(t, now)
	x.speaker = t
	gone := x.send(t.held.bytes, now)
	x.mu.Unlock()
	t.held.release()
	t.held = nil
	switch {
	case gone:
		return &fault.Fault{Kind: fault.Canceled, Message: "the client left"}
	case t.complete:
		return &fault.Fault{}
	}
	return x.pump(t)
}

// pump copies until the answer's end.
func (x *exchange) pump(t *try) *fault.Fault {
	buf := reads.Get().(*[32 << 10]byte)
	defer reads.Put(buf)
	for {
		if t.paused {
			if f := t.resume(); f != nil {
				return f
			}
		}
		n, err := t.response.Read(buf[:])
		now := time.Now()
		t.lastRead.Store(now.UnixNano())
		done, gone, f := x.pass(t, buf[:n], errors.Is(err, io.EOF), now)
		switch {
		case gone:
			return &fault.Fault{Kind: fault.Canceled, Message: "the client left"}
		case f != nil:
			return t.clean(f)
		case err == nil, t.paused:
		case done:
			return &fault.Fault{}
		default:
			return t.why(&fault.Fault{Kind: fault.Truncated, Message: "the connection broke in the middle of the answer", Sent: true})
		}
	}
}

// pass gives the client what one read has brought.
func (x *exchange) pass(t *try, read []byte, end bool, now time.Time) (done, gone bool, f *fault.Fault) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.out = t.reply.Feed(x.out[:0], read)
	if end {
		x.out = t.reply.Close(x.out)
	}
	gone = x.send(x.out, now)
	p := t.reply.Progress()
	t.chunks(p, now)
	t.move(p, now)
	switch {
	case p.Fault.Kind != fault.None && !p.Done:
		copied := p.Fault
		f = &copied
	case p.Paused:
		t.paused = true
	case end && !p.Done:
		f = &fault.Fault{Kind: fault.Truncated, Message: "the stream ended before its end", Sent: true}
	case p.Done && !t.lingering && !end:
		t.lingering = true
		x.arm(now)
	}
	return p.Done, gone, f
}

// commit sends the head of a stream; after it there is no way back. The caller holds mu.
func (x *exchange) commit(t *try, now time.Time) {
	if x.committed {
		return
	}
	x.committed = true
	x.firstByte = now.Sub(x.began)
	x.status = 200
	x.speaker = t
	x.in.SetHeader("Content-Type", t.reply.ContentType())
	x.in.SetHeader("Cache-Control", "no-cache")
	x.in.SetHeader("X-Accel-Buffering", "no")
	x.headers(t)
	x.in.Head(200)
}

// send writes and flushes; gone means that the client is. The caller holds mu.
func (x *exchange) send(p []byte, now time.Time) (gone bool) {
	if len(p) == 0 {
		return false
	}
	x.wrote = now
	x.overhear(p)
	return x.in.Write(p) != nil || x.in.Flush() != nil
}

// deliver gives a plain client its whole answer.
func (x *exchange) deliver(t *try) *fault.Fault {
	x.mu.Lock()
	defer func() {
		t.held.release()
		t.held = nil
	}()
	x.answerer, x.speaker, t.heard = t, t, true
	x.committed = true
	x.status = 200
	x.firstByte = time.Since(x.began)
	x.in.SetHeader("Content-Type", t.reply.ContentType())
	x.in.SetHeader("Content-Length", strconv.Itoa(len(t.held.bytes)))
	x.headers(t)
	x.overhear(t.held.bytes)
	x.mu.Unlock()
	t.end(&fault.Fault{}) // the provider has done its part; what the client does with it is another matter
	x.in.Head(200)
	if x.in.Write(t.held.bytes) != nil {
		return x.gone()
	}
	return nil
}
