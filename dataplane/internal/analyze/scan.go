package analyze

import (
	"encoding/binary"
	"math/bits"
)

// scanner walks JSON text once, from left to right, and checks all of it: the grammar of RFC 8259, UTF-8, surrogate escapes, nesting,
// and that no object has a key twice.
//
// A failure is sticky. The first one is kept, the position jumps to the end, and every walk ends: whoever reads need not ask after
// each step, only at the end.
type scanner struct {
	body     []byte
	at       int
	depth    int
	depthMax int
	keys     keyring
	scratch  []byte // where a string is unescaped

	reason   string // why the body is refused; empty as long as it is fine
	reasonAt int
	missing  string // the member that should have been in the object at reasonAt
}

// text is a JSON string as it stands in the body, between its quotes.
type text struct {
	start, end int
	escaped    bool // has a backslash
	unicode    bool // has \u
}

func (t text) empty() bool { return t.start == t.end }

// fail refuses the body for what stands at offset.
func (s *scanner) fail(offset int, reason string) {
	if s.reason == "" {
		s.reason, s.reasonAt = reason, offset
	}
	s.at = len(s.body)
}

// lack refuses the object at offset because a member is not there.
func (s *scanner) lack(offset int, member, reason string) {
	if s.reason == "" {
		s.missing = member
	}
	s.fail(offset, reason)
}

func (s *scanner) failed() bool { return s.reason != "" }

// peek skips white space and returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.body) {
		c := s.body[s.at]
		if c > ' ' {
			return c
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			s.fail(s.at, "invalid character")
			return 0
		}
		s.at++
	}
	return 0
}

// unexpected refuses what stands here in place of what is wanted.
func (s *scanner) unexpected(want string) {
	if s.at >= len(s.body) {
		s.fail(len(s.body), "unexpected end of JSON")
		return
	}
	s.fail(s.at, want)
}

// value walks any value.
func (s *scanner) value() {
	switch c := s.peek(); c {
	case '{':
		for o := s.object(); s.member(&o); {
			s.value()
		}
	case '[':
		for a := s.array(); s.element(&a); {
			s.value()
		}
	case '"':
		s.str()
	case 't':
		s.word("true")
	case 'f':
		s.word("false")
	case 'n':
		s.word("null")
	default:
		if c == '-' || c-'0' <= 9 {
			s.number()
			return
		}
		s.unexpected("a value was expected here")
	}
}

// word walks one of the three literals.
func (s *scanner) word(w string) {
	if len(s.body)-s.at < len(w) || string(s.body[s.at:s.at+len(w)]) != w {
		s.fail(s.at, "invalid literal")
		return
	}
	s.at += len(w)
}

// null walks a null, if one stands here.
func (s *scanner) null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.word("null")
	return true
}

// number walks a number and returns its bytes.
func (s *scanner) number() []byte {
	start := s.at
	if s.at < len(s.body) && s.body[s.at] == '-' {
		s.at++
	}
	if s.at < len(s.body) && s.body[s.at] == '0' {
		s.at++
	} else if !s.digits() {
		return nil
	}
	if s.at < len(s.body) && s.body[s.at] == '.' {
		s.at++
		if !s.digits() {
			return nil
		}
	}
	if s.at < len(s.body) && s.body[s.at]|0x20 == 'e' {
		s.at++
		if s.at < len(s.body) && (s.body[s.at] == '+' || s.body[s.at] == '-') {
			s.at++
		}
		if !s.digits() {
			return nil
		}
	}
	return s.body[start:s.at]
}

// digits walks one digit or more.
func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.body) && s.body[s.at]-'0' <= 9 {
		s.at++
	}
	if s.at == start {
		s.unexpected("invalid number")
		return false
	}
	return true
}

// array is a walk over an array: for a := s.array(); s.element(&a); { …walk one value… }.
type array struct {
	start int
	n     int // elements begun
	open  bool
}

// array enters an array; the caller has seen its bracket.
func (s *scanner) array() array {
	start := s.at
	return array{start: start, open: s.enter()}
}

// element goes to the next element; false at the closing bracket, which it walks, and after a failure.
func (s *scanner) element(a *array) bool {
	if !a.open || s.failed() {
		return false
	}
	c := s.peek()
	switch {
	case c == ']':
		s.at++
		s.depth--
		a.open = false
		return false
	case a.n > 0 && c != ',':
		s.unexpected("a comma or a closing bracket was expected here")
		return false
	case a.n > 0:
		s.at++
		if s.peek() == ']' {
			s.fail(s.at, "a comma before a closing bracket")
			return false
		}
	}
	a.n++
	return true
}

// object is a walk over an object: for o := s.object(); s.member(&o); { …walk one value… }.
type object struct {
	start int
	n     int // members begun
	base  int // of this object's keys in the keyring
	open  bool
	// key of the current member, unescaped; valid until the next walk.
	key []byte
	// keyAt is where the key's opening quote stands, keyEnd behind its closing one.
	keyAt, keyEnd int
}

// object enters an object; the caller has seen its brace.
func (s *scanner) object() object {
	start := s.at
	return object{start: start, base: len(s.keys.open), open: s.enter()}
}

// enter steps into an array or an object, if nesting allows.
func (s *scanner) enter() bool {
	if s.depth >= s.depthMax {
		s.fail(s.at, "nested too deeply")
	}
	if s.failed() {
		return false
	}
	s.depth++
	s.at++
	return true
}

// member goes to the value of the next member; false at the closing brace, which it walks, and after a failure.
func (s *scanner) member(o *object) bool {
	if !o.open || s.failed() {
		return false
	}
	c := s.peek()
	if c == '}' {
		s.at++
		s.depth--
		o.open = false
		s.closeKeys(o.base)
		return false
	}
	if o.n > 0 {
		if c != ',' {
			s.unexpected("a comma or a closing brace was expected here")
			return false
		}
		s.at++
		c = s.peek()
	}
	if c != '"' {
		s.unexpected("a key in quotes was expected here")
		return false
	}
	o.n++
	o.keyAt = s.at
	key := s.str()
	o.keyEnd = s.at
	o.key = s.addKey(key, o.base)
	if s.peek() != ':' {
		s.unexpected("a colon was expected here")
		return false
	}
	s.at++
	s.peek()
	return !s.failed()
}

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks, by their high bits, the bytes of w that a string's walk must look at: quotes, backslashes, control characters and
// all that is not ASCII. Only the lowest mark is certain: a borrow may set marks above it.
func special(w uint64) uint64 {
	// A difference has the high bit of a byte that was smaller, or that was not ASCII and is marked in any case. With its second bit turned
	// over, the quote follows the control characters, and one difference finds both.
	return (((w ^ lows*0x02) - lows*('"'^0x02+1)) | ((w ^ lows*'\\') - lows) | w) & highs
}

// str walks a string; the caller has seen its opening quote. After a failure the text is empty.
func (s *scanner) str() text {
	b := s.body
	i := s.at + 1
	t := text{start: i}
	for {
		var escaped bool
		i, escaped = plainRun(b, i)
		t.escaped = t.escaped || escaped
		if i >= len(b) {
			s.fail(len(b), "a string without an end")
			return text{}
		}
		switch c := b[i]; {
		case c == '"':
			t.end, s.at = i, i+1
			return t
		case c == '\\':
			t.escaped = true
			if i+1 < len(b) && simpleEscapes[b[i+1]] {
				i += 2
				break
			}
			n := s.escape(i)
			if n == 0 {
				return text{}
			}
			t.unicode = true
			i += n
		case c < ' ':
			s.fail(i, "a control character in a string must be escaped")
			return text{}
		case c >= 0x80:
			if i = multibyte(b, i); i < 0 {
				s.fail(^i, "invalid UTF-8")
				return text{}
			}
		}
	}
}

// plainRun walks on from i over ASCII and escapes of two bytes, and reports where that ends and whether there were escapes.
func plainRun(b []byte, i int) (end int, escaped bool) {
	i, escaped = plainBlocks(b, i)
	for i+16 > len(b) && i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' && b[i] < 0x80 {
		i++
	}
	return i, escaped
}

// plainWords is plainBlocks without a processor's help, eight bytes at a time.
func plainWords(b []byte, i int) (end int, escaped bool) {
	for i+16 <= len(b) {
		m := special(binary.LittleEndian.Uint64(b[i : i+8]))
		next := special(binary.LittleEndian.Uint64(b[i+8 : i+16]))
		if m|next == 0 {
			i += 16
			continue
		}
		if m != 0 {
			i += bits.TrailingZeros64(m) >> 3
		} else {
			i += 8 + bits.TrailingZeros64(next)>>3
		}
		run := i
		for i+1 < len(b) && b[i] == '\\' && simpleEscapes[b[i+1]] {
			i += 2
		}
		if i == run {
			return i, escaped
		}
		escaped = true
	}
	return i, escaped
}

// multibyte walks the run of multi-byte characters that begins at i, and returns where it ends, or the complement of where it is not UTF-8.
func multibyte(b []byte, i int) int {
	for i < len(b) && b[i] >= 0x80 {
		c := b[i]
		switch {
		case c >= 0xE1 && c <= 0xEC || c == 0xEE || c == 0xEF:
			if i+2 >= len(b) || b[i+1]&0xC0 != 0x80 || b[i+2]&0xC0 != 0x80 {
				return ^i
			}
			i += 3
		case c >= 0xC2 && c <= 0xDF:
			if i+1 >= len(b) || b[i+1]&0xC0 != 0x80 {
				return ^i
			}
			i += 2
		case c == 0xE0 || c == 0xED: // no overlong forms, no surrogates
			if i+2 >= len(b) || b[i+1]&0xE0 != 0x80|(^c&1)<<5 || b[i+2]&0xC0 != 0x80 {
				return ^i
			}
			i += 3
		case c >= 0xF0 && c <= 0xF4: // not above U+10FFFF
			if i+3 >= len(b) || b[i+1]&0xC0 != 0x80 || b[i+2]&0xC0 != 0x80 || b[i+3]&0xC0 != 0x80 ||
				c == 0xF0 && b[i+1] < 0x90 || c == 0xF4 && b[i+1] > 0x8F {
				return ^i
			}
			i += 4
		default:
			return ^i
		}
	}
	return i
}

// simpleEscapes are the letters that make an escape of two bytes.
var simpleEscapes = [256]bool{'"': true, '\\': true, '/': true, 'b': true, 'f': true, 'n': true, 'r': true, 't': true}

// escape checks the \u escape at i and returns its length, a pair of surrogates counting as one; 0 after a failure.
func (s *scanner) escape(i int) int {
	b := s.body
	if i+1 >= len(b) {
		s.fail(len(b), "a string without an end")
		return 0
	}
	if b[i+1] != 'u' {
		s.fail(i, "invalid escape")
		return 0
	}
	r, ok := hex4(b, i+2)
	switch {
	case !ok:
		s.fail(i, `\u must be followed by four hexadecimal digits`)
		return 0
	case r < 0xD800 || r > 0xDFFF:
		return 6
	}
	if r < 0xDC00 && i+7 < len(b) && b[i+6] == '\\' && b[i+7] == 'u' {
		if low, ok := hex4(b, i+8); ok && low >= 0xDC00 && low <= 0xDFFF {
			return 12
		}
	}
	s.fail(i, "half of a surrogate pair")
	return 0
}

// hex4 reads the four hexadecimal digits at i.
func hex4(b []byte, i int) (rune, bool) {
	if i+4 > len(b) {
		return 0, false
	}
	var r rune
	for _, c := range b[i : i+4] {
		switch {
		case c-'0' <= 9:
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
