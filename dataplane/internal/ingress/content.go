package ingress

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
)

// content is a request's body as it comes over its connection: of a length that was announced, or in chunks.
type content struct {
	conn   *conn
	length int64 // as announced; -1 for one in chunks
	left   int64 // of the body, or of the chunk
	state  chunkState
	extras int // bytes of sizes, extensions and trailers so far, beyond what each chunk needs
}

// chunkState is what comes next in a chunked body.
type chunkState uint8

const (
	sized     chunkState = iota // it is not chunked
	chunkSize                   // the size's line
	chunkData
	chunkEnd // the line end behind the data
	trailer
	ended
)

// The bounds of what stands beside a chunked body's data: one line, and all of them.
const (
	chunkLineMax   = 256
	chunkExtrasMax = 16 << 10
)

var errChunk = errors.New("it is not chunked as it should be")

func contentOf(c *conn, h *head) content {
	if h.chunked {
		return content{conn: c, length: -1, state: chunkSize}
	}
	return content{conn: c, length: max(h.length, 0), left: max(h.length, 0)}
}

// over reports that all of it has been read.
func (b *content) over() bool { return b.state == ended || b.state == sized && b.left == 0 }

// ready reports that reading on does not wait for the client.
func (b *content) ready() bool { return b.over() || b.state == sized && b.conn.from < b.conn.to }

// Read gives what has come; with the last of it, io.EOF.
func (b *content) Read(p []byte) (n int, err error) {
	if b.state == sized {
		n, err = b.some(p)
	} else {
		n, err = b.chunks(p)
	}
	switch {
	case b.over():
		return n, io.EOF
	case err == io.EOF: //nolint:errorlint // a Reader's end is this very value
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// some gives of what is left what was read ahead, or else what the connection brings.
func (b *content) some(p []byte) (n int, err error) {
	c := b.conn
	p = p[:min(int64(len(p)), b.left)]
	if c.from < c.to {
		n = copy(p, c.in[c.from:c.to])
		c.from += n
	} else if len(p) > 0 {
		n, err = c.raw.Read(p)
	}
	b.left -= int64(n)
	return n, err
}

// chunks gives the data of every chunk that has come, as far as p has room.
func (b *content) chunks(p []byte) (n int, err error) {
	c := b.conn
	for b.state != ended {
		if b.state == chunkData && c.from < c.to {
			if n == len(p) {
				return n, nil
			}
			k := copy(p[n:], c.in[c.from:min(c.to, c.from+int(min(b.left, math.MaxInt32)))])
			n, c.from, b.left = n+k, c.from+k, b.left-int64(k)
			if b.left == 0 {
				b.state = chunkEnd
			}
			continue
		}
		if b.state != chunkData {
			more, err := b.control()
			if err != nil {
				return n, err
			}
			if !more {
				continue
			}
		}
		switch {
		case n > 0:
			return n, nil
		case b.state == chunkData:
			n, err = c.raw.Read(p[:min(int64(len(p)), b.left)])
			if b.left -= int64(n); b.left == 0 {
				b.state = chunkEnd
			}
			return n, err
		}
		if err := c.fill(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// control takes one line between the data; more says that it has not come whole.
func (b *content) control() (more bool, err error) {
	c := b.conn
	end := bytes.IndexByte(c.in[c.from:c.to], '\n')
	if end < 0 {
		if c.to-c.from > chunkLineMax {
			return false, errChunk
		}
		return true, nil
	}
	line := c.in[c.from : c.from+end]
	c.from += end + 1
	if len(line) == 0 || len(line) > chunkLineMax || line[len(line)-1] != '\r' {
		return false, errChunk
	}
	line = line[:len(line)-1]
	if b.state != chunkEnd {
		b.extras += len(line)
	}
	switch b.state {
	case chunkEnd:
		if len(line) > 0 {
			return false, errChunk
		}
		b.state = chunkSize
	case trailer:
		if len(line) == 0 {
			b.state = ended
		} else if name, value, ok := strings.Cut(string(line), ":"); !ok || !isToken(name) || hasControl(value) {
			return false, errChunk
		}
	default:
		if b.left, err = b.size(line); err != nil {
			return false, err
		}
		if b.state = chunkData; b.left == 0 {
			b.state = trailer
		}
	}
	if b.extras > chunkExtrasMax {
		return false, errChunk
	}
	return false, nil
}

// size reads a chunk's size. What is written beside it means nothing, and is bounded.
func (b *content) size(line []byte) (n int64, err error) {
	digits, beside, extended := bytes.Cut(line, []byte(";"))
	if len(digits) == 0 || len(digits) > 15 || extended && hasControl(string(beside)) {
		return 0, errChunk
	}
	b.extras -= len(digits)
	for _, c := range digits {
		switch {
		case isDigit(c):
			n = n<<4 | int64(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | int64(c|0x20-'a'+10)
		default:
			return 0, errChunk
		}
	}
	return n, nil
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return true
		}
	}
	return false
}
