package upstream

import (
	"io"
	"strconv"
	"strings"

	"github.com/aimux/aimux/dataplane/internal/http1"
)

// answer is one answer on a conn: its headers, and its body as it comes. It is strict: what two readers might understand differently
// is not HTTP.
type answer struct {
	conn   *conn
	lines  []Field // as they came
	stop   func() bool
	mode   mode
	left   int64 // bytes of a sized body that are still to come
	chunks http1.Chunks
	keep   bool // the connection may serve again
	ended  bool // the body came to its end in order
}

// mode is how the end of a body is found.
type mode uint8

const (
	untilClose mode = iota
	sized
	inChunks
)

// Get gives the first value of a header, whatever the case of its name.
func (a *answer) Get(name string) string {
	for i := range a.lines {
		if len(a.lines[i].Name) == len(name) && strings.EqualFold(a.lines[i].Name, name) {
			return a.lines[i].Value
		}
	}
	return ""
}

// parse reads a head: status line and lines, each with its CRLF.
func (a *answer) parse(head string) (status int, err error) {
	line, rest, _ := strings.Cut(head, "\r\n")
	if len(line) < 12 || line[:7] != "HTTP/1." || line[7] != '0' && line[7] != '1' || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return 0, errNotHTTP
	}
	status, err = strconv.Atoi(line[9:12])
	if err != nil || status < 100 {
		return 0, errNotHTTP
	}
	a.keep = line[7] == '1'
	a.left = -1
	for rest != "" {
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		if !ok || !http1.IsToken(name) {
			return 0, errNotHTTP
		}
		value = strings.Trim(value, " \t")
		if http1.HasControl(value) {
			return 0, errNotHTTP
		}
		a.lines = append(a.lines, Field{name, value})
		if err := a.frame(name, value); err != nil {
			return 0, err
		}
	}
	switch {
	case a.mode == inChunks && a.left >= 0:
		return 0, errNotHTTP // both lengths: one of them is a lie
	case a.mode == inChunks:
		a.chunks.Lenient = true
	case a.left >= 0:
		a.mode = sized
	default:
		a.keep = false
	}
	return status, nil
}

// frame takes what a header says about where the body ends and what becomes of the connection.
func (a *answer) frame(name, value string) error {
	switch {
	case len(name) == 14 && strings.EqualFold(name, "Content-Length"):
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || value[0] == '+' || a.left >= 0 && a.left != int64(n) {
			return errNotHTTP
		}
		a.left = int64(n)
	case len(name) == 17 && strings.EqualFold(name, "Transfer-Encoding"):
		if a.mode == inChunks || !strings.EqualFold(value, "chunked") {
			return errNotHTTP
		}
		a.mode = inChunks
	case len(name) == 10 && strings.EqualFold(name, "Connection"):
		if strings.Contains(strings.ToLower(value), "close") {
			a.keep = false
		}
	}
	return nil
}

// Read gives what has come, and waits only when nothing has. It may return bytes and io.EOF together.
func (a *answer) Read(p []byte) (n int, err error) {
	if a.ended {
		return 0, io.EOF
	}
	switch a.mode {
	case inChunks:
		n, err = a.readChunks(p)
	case sized:
		n, err = a.readSized(p)
	default:
		if n, err = a.readRaw(p); err == io.EOF { //nolint:errorlint // a Reader's end is this very value
			a.ended = true
		}
		return n, err
	}
	if err == io.EOF && !a.ended { //nolint:errorlint // a Reader's end is this very value
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// readRaw takes what was read ahead, or reads.
func (a *answer) readRaw(p []byte) (int, error) {
	c := a.conn
	if c.from < c.to {
		n := copy(p, c.in[c.from:c.to])
		c.from += n
		return n, nil
	}
	return c.raw.Read(p)
}

func (a *answer) readSized(p []byte) (int, error) {
	if a.left == 0 {
		a.ended = true
		return 0, io.EOF
	}
	n, err := a.readRaw(p[:min(int64(len(p)), a.left)])
	if a.left -= int64(n); a.left == 0 {
		a.ended = true
		return n, io.EOF
	}
	return n, err
}

// readChunks gives the data of every chunk that has come, as far as p has room; so many small events cost one read.
func (a *answer) readChunks(p []byte) (int, error) {
	c := a.conn
	for {
		n, used, err := a.chunks.Next(p, c.in[c.from:c.to])
		c.from += used
		if a.ended = a.chunks.Ended(); a.ended {
			return n, io.EOF
		}
		if n > 0 || err != nil {
			return n, err
		}
		if left := a.chunks.Left(); left > int64(len(c.in)) || left > 0 && len(p) == 0 {
			n, err := c.raw.Read(p[:min(int64(len(p)), left)])
			a.chunks.Skip(n)
			return n, err
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
}

// Close ends the attempt. The connection is kept if the body came to its end, nothing uncalled for came behind it, and nobody has
// ended the attempt from outside.
func (a *answer) Close() error {
	c := a.conn
	if !a.stop() || !a.ended || !a.keep || c.from != c.to || !c.pool.put(c) {
		c.drop()
	}
	return nil
}
