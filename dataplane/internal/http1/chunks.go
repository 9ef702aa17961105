package http1

import (
	"bytes"
	"errors"
	"strings"
)

// Chunks is how far one reader has come in a body in chunks. It is given what has come, and owns no memory. The zero value stands at the
// beginning.
//
// It refuses what two readers might understand differently: behind such a body another message may hide.
type Chunks struct {
	// Lenient takes what providers are known to send and clients have no reason to: spaces behind a size, longer lines, and extensions without end.
	Lenient bool

	state  chunkState
	left   int64 // of the chunk's data
	beside int   // bytes of extensions and trailers so far
}

// chunkState is what comes next.
type chunkState uint8

const (
	chunkSize chunkState = iota // the size's line
	chunkData
	chunkEnd // the line end behind the data
	trailer
	ended
)

// The bounds of what stands beside the data: one line, and all of them.
const (
	lineMax          = 256
	lineMaxLenient   = 4 << 10
	besideMax        = 16 << 10
	besideMaxLenient = 4 << 10 // trailers only
)

// ErrChunk is a body that is not chunked as it should be. There is no reading on behind it.
var ErrChunk = errors.New("it is not chunked as it should be")

// Ended reports that the body came to its end in order.
func (c *Chunks) Ended() bool { return c.state == ended }

// Left is how much of the chunk's data is still to come; 0 between chunks. Whoever takes it past Next says so with Skip.
func (c *Chunks) Left() int64 {
	if c.state != chunkData {
		return 0
	}
	return c.left
}

// Skip says that n bytes of what is Left were taken.
func (c *Chunks) Skip(n int) {
	if c.left -= int64(n); c.left == 0 && c.state == chunkData {
		c.state = chunkEnd
	}
}

// Next copies the data of every chunk that stands in said into p, as far as p has room: n bytes. It is done with used bytes of said, and wants
// more behind the rest unless p is full or the body has Ended. Data may come with the error behind it.
func (c *Chunks) Next(p, said []byte) (n, used int, err error) {
	for c.state != ended {
		if c.state == chunkData {
			if n == len(p) || used == len(said) {
				break
			}
			k := copy(p[n:], said[used:used+int(min(c.left, int64(len(said)-used)))])
			n, used = n+k, used+k
			c.Skip(k)
			continue
		}
		k, err := c.line(said[used:])
		if k == 0 || err != nil {
			return n, used, err
		}
		used += k
	}
	return n, used, nil
}

// line takes one line between the data, and says how long it is; 0 as long as it has not come whole.
func (c *Chunks) line(said []byte) (used int, err error) {
	longest := lineMax
	if c.Lenient {
		longest = lineMaxLenient
	}
	end := bytes.IndexByte(said, '\n')
	switch {
	case end < 0 && len(said) <= longest:
		return 0, nil
	case end <= 0, end > longest, said[end-1] != '\r':
		return 0, ErrChunk
	}
	line := said[:end-1]
	switch c.state {
	case chunkEnd:
		if len(line) > 0 {
			return 0, ErrChunk
		}
		c.state = chunkSize
		return end + 1, nil
	case trailer:
		err = c.trailer(line)
	default:
		err = c.size(line)
	}
	if c.beside > besideMax || c.Lenient && c.beside > besideMaxLenient {
		err = ErrChunk
	}
	return end + 1, err
}

func (c *Chunks) trailer(line []byte) error {
	if len(line) == 0 {
		c.state = ended
		return nil
	}
	c.beside += len(line)
	if name, value, ok := strings.Cut(string(line), ":"); !ok || !IsToken(name) || HasControl(value) {
		return ErrChunk
	}
	return nil
}

// size reads a chunk's size. What is written beside it means nothing.
func (c *Chunks) size(line []byte) error {
	digits, extension, extended := bytes.Cut(line, []byte(";"))
	if c.Lenient {
		digits = bytes.TrimRight(digits, " \t")
	} else {
		c.beside += len(line) - len(digits)
	}
	if len(digits) == 0 || len(digits) > 15 || extended && HasControl(string(extension)) {
		return ErrChunk
	}
	c.left = 0
	for _, d := range digits {
		switch {
		case IsDigit(d):
			c.left = c.left<<4 | int64(d-'0')
		case d|0x20 >= 'a' && d|0x20 <= 'f':
			c.left = c.left<<4 | int64(d|0x20-'a'+10)
		default:
			return ErrChunk
		}
	}
	if c.state = chunkData; c.left == 0 {
		c.state = trailer
	}
	return nil
}
