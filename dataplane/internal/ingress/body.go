package ingress

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/dataplane/internal/http1"
)

// bodies reads request bodies into pooled buffers under one common budget.
//
// Invariant: held is the sum of the capacities of all buffers handed out, and of what handlers hold besides.
type bodies struct {
	config                  Config
	held                    atomic.Int64
	tooLarge, tooSlow, full atomic.Uint64
}

// buffer is one pooled body.
type buffer struct{ bytes []byte }

// The pool keeps buffers that ordinary requests need. Larger ones are left to the collector: a burst of huge bodies must not stay.
const (
	bufferBytesMin  = 8 << 10
	bufferBytesKept = 256 << 10
)

// buffers saves an allocation of the body's size per request.
var buffers = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, 0, bufferBytesMin)} }}

// intake is one body on its way in.
type intake struct {
	from   *content
	buffer *buffer
	taken  int64 // bytes of the common budget that the buffer holds
	begun  time.Time
}

// read takes the whole body. On refusal the intake stays as far as it came; it must be released in any case.
func (b *bodies) read(in *intake) *Refusal {
	length := in.from.length
	if length > b.config.BodyBytesMax {
		return b.refuseLarge()
	}
	in.buffer = buffers.Get().(*buffer)
	// What is announced is made room for as it comes: a client may announce what it never sends.
	if refusal := b.grow(in, int(min(max(length, bufferBytesMin), 1<<20))); refusal != nil {
		return refusal
	}
	for {
		buf := in.buffer
		if len(buf.bytes) == cap(buf.bytes) && !in.from.over() {
			if refusal := b.grow(in, roomFor(cap(buf.bytes), length)); refusal != nil {
				return refusal
			}
		}
		if !in.from.ready() {
			// The moment at which the client falls below the rate.
			earned := time.Duration(int64(len(buf.bytes)) * int64(time.Second) / b.config.BodyBytesPerSec)
			in.from.conn.until(in.begun.Add(b.config.BodyGrace + earned))
		}
		n, err := in.from.Read(buf.bytes[len(buf.bytes):cap(buf.bytes)])
		buf.bytes = buf.bytes[:len(buf.bytes)+n]
		if int64(len(buf.bytes)) > b.config.BodyBytesMax {
			return b.refuseLarge()
		}
		if err == io.EOF { //nolint:errorlint // a Reader's end is this very value
			return nil
		}
		if err != nil {
			return b.refuseBroken(err)
		}
	}
}

// roomFor is how much room comes next after so much, for a body of that length, which may be unknown. Each step costs a copy, so the last one is
// large: an eighth of a body must have come before there is room for all of it.
func roomFor(have int, length int64) int {
	next := 4 * int64(have)
	switch {
	case length <= int64(have):
		return 2 * have
	case 2*next < length:
		return int(next)
	}
	return int(length)
}

// take counts more bytes, if the common budget allows; fewer it always does.
func (b *bodies) take(more int64) bool {
	if b.held.Add(more) > b.config.BuffersBytesMax && more > 0 {
		b.held.Add(-more)
		b.full.Add(1)
		return false
	}
	return true
}

// grow makes room for size bytes, if the common budget allows.
func (b *bodies) grow(in *intake, size int) *Refusal {
	if have := cap(in.buffer.bytes); size > have || in.taken == 0 {
		size = max(size, have)
		if !b.take(int64(size) - in.taken) {
			return &Refusal{Status: http.StatusServiceUnavailable, Reason: fmt.Sprintf("the bodies of running requests fill the %d bytes set aside for them; try again shortly", b.config.BuffersBytesMax)}
		}
		in.taken = int64(size)
		if size > have {
			in.buffer.bytes = append(make([]byte, 0, size), in.buffer.bytes...)
		}
	}
	return nil
}

func (b *bodies) release(in *intake) {
	b.held.Add(-in.taken)
	if buf := in.buffer; buf != nil && cap(buf.bytes) <= bufferBytesKept {
		buf.bytes = buf.bytes[:0]
		buffers.Put(buf)
	}
	*in = intake{}
}

func (b *bodies) refuseLarge() *Refusal {
	b.tooLarge.Add(1)
	return &Refusal{Status: http.StatusRequestEntityTooLarge, Reason: fmt.Sprintf("the body is larger than the %d bytes allowed", b.config.BodyBytesMax)}
}

func (b *bodies) refuseBroken(err error) *Refusal {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.tooSlow.Add(1)
		return &Refusal{Status: http.StatusRequestTimeout, Reason: fmt.Sprintf("the body came slower than %d bytes a second", b.config.BodyBytesPerSec)}
	}
	if errors.Is(err, http1.ErrChunk) {
		return &Refusal{Status: http.StatusBadRequest, Reason: "the body could not be read to its end: " + http1.ErrChunk.Error()}
	}
	// A client that left half-way: it will not hear it.
	return &Refusal{Status: http.StatusBadRequest, Reason: "the body could not be read to its end", Gone: true}
}
