package ingress

import (
	"io"

	"github.com/aimux/aimux/dataplane/internal/http1"
)

// content is a request's body as it comes over its connection: of a length that was announced, or in chunks.
type content struct {
	conn   *conn
	length int64 // as announced; -1 for one in chunks
	left   int64 // of an announced one
	chunks http1.Chunks
}

func contentOf(c *conn, h *head) content {
	if h.chunked {
		return content{conn: c, length: -1}
	}
	return content{conn: c, length: max(h.length, 0), left: max(h.length, 0)}
}

func (b *content) chunked() bool { return b.length < 0 }

// over reports that all of it has been read.
func (b *content) over() bool {
	if b.chunked() {
		return b.chunks.Ended()
	}
	return b.left == 0
}

// ready reports that reading on does not wait for the client.
func (b *content) ready() bool { return b.over() || !b.chunked() && b.conn.from < b.conn.to }

// Read gives what has come; with the last of it, io.EOF.
func (b *content) Read(p []byte) (n int, err error) {
	if b.chunked() {
		n, err = b.inChunks(p)
	} else {
		n, err = b.some(p)
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

// inChunks gives the data of every chunk that has come, as far as p has room.
func (b *content) inChunks(p []byte) (int, error) {
	c := b.conn
	for {
		n, used, err := b.chunks.Next(p, c.in[c.from:c.to])
		c.from += used
		if n > 0 || err != nil || b.chunks.Ended() {
			return n, err
		}
		if left := b.chunks.Left(); left > 0 {
			n, err := c.raw.Read(p[:min(int64(len(p)), left)])
			b.chunks.Skip(n)
			return n, err
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
}
