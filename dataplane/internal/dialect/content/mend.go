package content

import (
	"slices"
	"unicode/utf8"
)

// mend closes what a cut has left open, so that a document that lost its end is JSON again: what was whole stays, and of a value that is a string
// what there is of it. A whole document stays as it is.
func mend(b []byte) []byte {
	m := mender{}
	for i := 0; i < len(b); {
		i = m.step(b, i)
	}
	if len(m.open) == 0 {
		return b
	}
	end := m.good
	mended := append(make([]byte, 0, len(b)+len(m.open)+1), b[:end]...)
	if m.string > 0 && !m.key {
		mended = append(append(mended[:0], b[:m.safe]...), '"')
	}
	for _, bracket := range slices.Backward(m.open) {
		mended = append(mended, bracket+2) // '{' and '}', '[' and ']' are two apart
	}
	return mended
}

// mender walks a document. Invariant: b[:good] followed by the closers of open is JSON.
type mender struct {
	open []byte // brackets that are open
	good int
	// string is where the string that is being read begins, behind its quote, or 0; safe is the end of its last whole character.
	string, safe int
	// key says that a string that begins or is being read is the name of a member.
	key bool
}

// step reads what begins at i and says where the next begins.
func (m *mender) step(b []byte, i int) int {
	if m.string > 0 {
		return m.char(b, i)
	}
	switch b[i] {
	case '"':
		m.string, m.safe = i+1, i+1
	case '{', '[':
		m.open = append(m.open, b[i])
		m.good, m.key = i+1, b[i] == '{'
	case '}', ']':
		if len(m.open) > 0 {
			m.open = m.open[:len(m.open)-1]
		}
		m.good, m.key = i+1, false
	case ',':
		m.good = i
		m.key = len(m.open) > 0 && m.open[len(m.open)-1] == '{'
	case ':':
		m.key = false
	}
	return i + 1
}

// char reads one character of a string.
func (m *mender) char(b []byte, i int) int {
	switch c := b[i]; {
	case c == '"':
		m.string = 0
		if !m.key {
			m.good = i + 1
		}
		return i + 1
	case c == '\\':
		n := 2
		if i+1 < len(b) && b[i+1] == 'u' {
			n = 6
		}
		if i+n <= len(b) {
			m.safe = i + n
		}
		return i + n
	case c < utf8.RuneSelf:
		m.safe = i + 1
		return i + 1
	}
	_, n := utf8.DecodeRune(b[i:])
	if utf8.FullRune(b[i:]) {
		m.safe = i + n
	}
	return i + n
}
