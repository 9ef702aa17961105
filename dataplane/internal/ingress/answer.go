package ingress

import (
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// finish sends what is left of an answer.
func (x *exchange) finish() {
	switch {
	case x.status == 0: // nobody is there to be answered
		x.hangup = true
	case x.failed != nil:
	case !x.framed && x.declared < 0 && !x.mute:
		x.declared = x.written // all of it is here
		fallthrough
	default:
		if !x.framed || x.chunked || len(x.out.waiting) > 0 {
			_ = x.push(nil, true) // who has gone does not hear the end
		}
		if !x.mute && x.declared > x.written {
			x.hangup = true // less than was said: only the connection's end tells
		}
	}
}

// push sends what waits, and p behind it, in one write: an event of a stream is one packet.
func (x *exchange) push(p []byte, last bool) error {
	wire := x.out.wire[:0]
	if !x.framed {
		wire = x.appendHead(wire)
	}
	size := len(x.out.waiting) + len(p)
	if x.chunked && size > 0 {
		wire = append(strconv.AppendUint(wire, uint64(size), 16), "\r\n"...)
	}
	wire = append(wire, x.out.waiting...)
	x.out.waiting = x.out.waiting[:0]
	end := ""
	switch {
	case !x.chunked:
	case size == 0 && last:
		end = "0\r\n\r\n"
	case last:
		end = "\r\n0\r\n\r\n"
	case size > 0:
		end = "\r\n"
	}
	if len(p) <= waitingBytesMax {
		wire = append(append(wire, p...), end...)
		p, end = nil, ""
	}
	x.out.wire = wire
	return x.send(wire, p, end)
}

// pieceBytes is how much of an answer a client must take within the write timeout.
const pieceBytes = 256 << 10

// send writes in one call, if it can; the deadline moves at most once a second: a stalled client may hold its buffers that long and no longer.
func (x *exchange) send(wire, p []byte, end string) (err error) {
	if len(wire)+len(p)+len(end) == 0 {
		return nil
	}
	for ; len(p) > pieceBytes; wire, p = nil, p[pieceBytes:] {
		if err := x.send(wire, p[:pieceBytes], ""); err != nil {
			return err
		}
	}
	if due := time.Now().Add(x.conn.server.config.WriteTimeout); due.Sub(x.due) > dueSlack {
		x.due = due
		_ = x.conn.raw.SetWriteDeadline(due) // a connection without deadlines has none to miss
	}
	if p == nil && end == "" {
		_, err = x.conn.raw.Write(wire)
	} else {
		_, err = (&net.Buffers{wire, p, []byte(end)}).WriteTo(x.conn.raw)
	}
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			x.conn.server.answersSlow.Add(1)
		}
		x.failed = err
	}
	return err
}

// appendHead writes the answer's head, and settles how the body's end will be told and whether the connection goes on.
func (x *exchange) appendHead(dst []byte) []byte {
	x.framed = true
	c, h := x.conn, &x.head
	x.hangup = x.hangup || h.closes || h.old && !h.stays || c.server.draining.Load() || !x.settle()
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(x.status), 10)
	dst = append(append(append(dst, ' '), http.StatusText(x.status)...), "\r\nDate: "...)
	dst = append(append(dst, c.server.date()...), "\r\n"...)
	for _, f := range x.fields {
		dst = append(append(dst, f.name...), ": "...)
		dst = appendValue(dst, f.value)
		dst = append(dst, "\r\n"...)
	}
	switch {
	case x.declared >= 0 && x.status != http.StatusNoContent && x.status != http.StatusNotModified:
		dst = append(strconv.AppendInt(append(dst, "Content-Length: "...), x.declared, 10), "\r\n"...)
	case x.mute:
	case h.old:
		x.hangup = true // its end is the connection's
	default:
		x.chunked = true
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case x.hangup:
		dst = append(dst, "Connection: close\r\n"...)
	case h.old:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendValue keeps control characters out of a header, whoever put them into its value.
func appendValue(dst []byte, value string) []byte {
	for i := range len(value) {
		c := value[i]
		if c < ' ' && c != '\t' || c == 0x7f {
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst
}

// leftoverBytesMax is how much of a body that nobody wanted is read, so that its connection may go on.
const leftoverBytesMax = 256 << 10

// settle reads what is left of a body that the handler did not want; false means that what comes is not the next request.
func (x *exchange) settle() bool {
	body := &x.content
	switch {
	case body.over():
		return true
	case x.read || x.head.expects || body.length > leftoverBytesMax: // refused, not asked for, or too much
		return false
	}
	x.read = true
	x.conn.until(time.Now().Add(refusalTime))
	scratch := x.out.wire[:cap(x.out.wire)]
	for total := 0; total <= leftoverBytesMax; {
		n, err := body.Read(scratch)
		total += n
		if err != nil {
			return body.over()
		}
	}
	return false
}
