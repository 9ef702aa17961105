package dialect

import (
	"bytes"
	"iter"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Value is one JSON value as it stood in a body, without the white space around it. Absent is nil. What is carried rather than
// interpreted stays a Value, so that numbers, the order of keys and escapes survive. Values are read, never written to.
type Value []byte

// Text is the inside of a JSON string as it stood, still escaped. Texts may be joined, and quoted again without a second escape,
// so a surrogate pair that a provider cut in two comes out as it went in.
type Text []byte

// ParseValue trims b and says whether it is one JSON value.
func ParseValue(b []byte) (Value, bool) {
	b = bytes.Trim(b, " \t\r\n") // JSON knows no other white space
	return b, Valid(b)
}

// Object reports a JSON object.
func (v Value) Object() bool { return len(v) > 1 && v[0] == '{' }

// Array reports a JSON array.
func (v Value) Array() bool { return len(v) > 1 && v[0] == '[' }

// String reports a JSON string.
func (v Value) String() bool { return len(v) > 1 && v[0] == '"' }

// Set reports a value that is there and not null.
func (v Value) Set() bool { return len(v) > 0 && v[0] != 'n' }

// True reports the literal true.
func (v Value) True() bool { return len(v) > 0 && v[0] == 't' }

// False reports the literal false.
func (v Value) False() bool { return len(v) > 0 && v[0] == 'f' }

// Text is the inside of a string; nil of anything else.
func (v Value) Text() Text {
	if !v.String() {
		return nil
	}
	return Text(v[1 : len(v)-1])
}

// Plain is the string that v says; empty of anything else.
func (v Value) Plain() string { return v.Text().Plain() }

// Int is the whole number that v says; a fraction is cut. ok is false for anything that is not a number or does not fit.
func (v Value) Int() (n int, ok bool) {
	if len(v) == 0 || (v[0] != '-' && (v[0] < '0' || v[0] > '9')) {
		return 0, false
	}
	if n, err := strconv.Atoi(string(v)); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f > 1<<52 || f < -1<<52 {
		return 0, false
	}
	return int(f), true
}

// countMax is far above the tokens of any answer, and far below where sums of them overflow.
const countMax = 1 << 30

// Count is the number of tokens that v says; ok is false for what is no such number.
func (v Value) Count() (n int, ok bool) {
	if n, ok = v.Int(); !ok || n < 0 || n > countMax {
		return 0, false
	}
	return n, true
}

// Float is the number that v says.
func (v Value) Float() (f float64, ok bool) {
	if len(v) == 0 || (v[0] != '-' && (v[0] < '0' || v[0] > '9')) {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v), 64)
	return f, err == nil
}

// Get is the member of that name, the last if there are several; nil when there is none or v is no object.
func (v Value) Get(name string) Value {
	var found Value
	for key, member := range v.Fields() {
		if string(key) == name {
			found = member
		}
	}
	return found
}

// Fields walks an object's members in their order. It yields nothing for any other value and stops at what is not JSON.
func (v Value) Fields() iter.Seq2[Text, Value] {
	return func(yield func(Text, Value) bool) {
		for i, m := v.member(1); i > 0; i, m = v.member(i) {
			if !yield(v.key(m), v[m.start:m.end]) {
				return
			}
		}
	}
}

// span is where a member stands: its quoted key and its value.
type span struct{ keyAt, keyEnd, start, end int }

// back is the same member seen from n bytes further on.
func (m span) back(n int) span { return span{m.keyAt - n, m.keyEnd - n, m.start - n, m.end - n} }

// member reads the member at or behind offset i and says where the next may begin; 0 when there is none.
func (v Value) member(i int) (next int, m span) {
	if !v.Object() {
		return 0, m
	}
	if i = skipSpace(v, i); i < len(v) && v[i] == ',' {
		i = skipSpace(v, i+1)
	}
	if i >= len(v) || v[i] != '"' {
		return 0, m
	}
	m.keyAt, m.keyEnd = i, skipString(v, i)
	colon := skipSpace(v, m.keyEnd)
	if colon >= len(v) || v[colon] != ':' {
		return 0, m
	}
	m.start = skipSpace(v, colon+1)
	if m.end = skipValue(v, m.start); m.end < 0 {
		return 0, m
	}
	return m.end, m
}

func (v Value) key(m span) Text {
	key := Text(v[m.keyAt+1 : m.keyEnd-1])
	if slices.Contains(key, '\\') {
		return Text(key.Plain())
	}
	return key
}

// Items walks an array's elements in their order. It yields nothing for any other value and stops at what is not JSON.
func (v Value) Items() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		if !v.Array() {
			return
		}
		n := 0
		for i := skipSpace(v, 1); i < len(v) && v[i] != ']'; {
			end := skipValue(v, i)
			if end < 0 || !yield(n, v[i:end]) {
				return
			}
			n++
			i = skipSpace(v, end)
			if i >= len(v) || v[i] != ',' {
				return
			}
			i = skipSpace(v, i+1)
		}
	}
}

// Len counts the elements of an array.
func (v Value) Len() int {
	n := 0
	for range v.Items() {
		n++
	}
	return n
}

// skipSpace is the first offset from i on that holds no white space. A negative i stays as it is.
func skipSpace(b []byte, i int) int {
	if i < 0 {
		return len(b)
	}
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString is the offset behind the string that begins at i, or -1.
func skipString(b []byte, i int) int {
	// Most strings are short, and for them a call costs more than it finds.
	for near := min(len(b), i+32); i+1 < near; {
		i++
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	for i++; i < len(b); {
		quote := bytes.IndexByte(b[i:], '"')
		if quote < 0 {
			return -1
		}
		end := i + quote
		slashes := 0
		for j := end - 1; j >= i && b[j] == '\\'; j-- {
			slashes++
		}
		i = end + 1
		if slashes%2 == 0 {
			return i
		}
	}
	return -1
}

// skipValue is the offset behind the value that begins at i, or -1. Brackets are counted, not checked: bodies have been
// checked as a whole before they are walked.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	case ',', ':', '}', ']':
		return -1
	}
	for i < len(b) && !delimiter[b[i]] {
		i++
	}
	return i
}

func skipNested(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			if i = skipString(b, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// delimiter holds the bytes that end a number or a literal.
var delimiter = [256]bool{',': true, '}': true, ']': true, ':': true, ' ': true, '\n': true, '\t': true, '\r': true, '"': true, '{': true, '[': true}

// Quote escapes s, so that it can stand inside a JSON string. Bytes that are not UTF-8 become U+FFFD.
func Quote(s string) Text { return appendEscaped(nil, s) }

// Plain is what the text says.
func (t Text) Plain() string {
	if bytes.IndexByte(t, '\\') < 0 {
		return string(t)
	}
	return string(appendPlain(make([]byte, 0, len(t)), t))
}

// Blank reports text that says nothing: white space only, escaped or not.
func (t Text) Blank() bool {
	for i := 0; i < len(t); {
		r, size := utf8.DecodeRune(t[i:])
		if r == '\\' && i+1 < len(t) {
			size = 2
			switch t[i+1] {
			case 'n', 'r', 't', 'f':
				r = ' '
			case 'u':
				r, _ = hex4(t[i:])
				size = 6
			}
		}
		if !unicode.IsSpace(r) {
			return false
		}
		i += size
	}
	return true
}

// Characters is how many characters the text says.
func (t Text) Characters() (n int) {
	for i := 0; i < len(t); {
		switch c := t[i]; {
		case c != '\\' || i+1 == len(t):
			if utf8.RuneStart(c) {
				n++
			}
			i++
		case t[i+1] != 'u':
			n++
			i += 2
		default:
			if first, ok := hex4(t[i:]); !ok || first < 0xDC00 || first > 0xDFFF { // the second half of a pair
				n++
			}
			i += 6
		}
	}
	return n
}

// TrimRight leaves out white space at the end, escaped or not.
func (t Text) TrimRight() Text {
	end := 0
	for i := 0; i < len(t); {
		size := 1
		if t[i] == '\\' && i+1 < len(t) {
			size = 2
			if t[i+1] == 'u' {
				size = min(6, len(t)-i)
			}
		}
		if !t[i : i+size].Blank() {
			end = i + size
		}
		i += size
	}
	return t[:end]
}

// AppendPlain appends what the text says.
func (t Text) AppendPlain(dst []byte) []byte { return appendPlain(dst, t) }

func appendPlain(dst []byte, t Text) []byte {
	for i := 0; i < len(t); {
		if t[i] != '\\' {
			next := bytes.IndexByte(t[i:], '\\')
			if next < 0 {
				return append(dst, t[i:]...)
			}
			dst = append(dst, t[i:i+next]...)
			i += next
		}
		if i+1 >= len(t) {
			return dst
		}
		switch c := t[i+1]; c {
		case 'n':
			dst = append(dst, '\n')
		case 't':
			dst = append(dst, '\t')
		case 'r':
			dst = append(dst, '\r')
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'u':
			var size int
			dst, size = appendUnicode(dst, t[i:])
			i += size
			continue
		default:
			dst = append(dst, c)
		}
		i += 2
	}
	return dst
}

// appendUnicode reads a \u escape, or a pair of them that make one rune, and says how long it was.
func appendUnicode(dst []byte, t Text) ([]byte, int) {
	first, ok := hex4(t)
	if !ok {
		return utf8.AppendRune(dst, utf8.RuneError), min(len(t), 6)
	}
	if utf16.IsSurrogate(first) {
		if second, ok := hex4(t[6:]); ok {
			if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
				return utf8.AppendRune(dst, r), 12
			}
		}
	}
	return utf8.AppendRune(dst, first), 6
}

func hex4(t Text) (rune, bool) {
	if len(t) < 6 || t[0] != '\\' || t[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(t[2:6]), 16, 16)
	return rune(n), err == nil
}

const hexDigits = "0123456789abcdef"

// appendEscaped escapes what JSON demands and nothing more.
func appendEscaped[S string | []byte](dst []byte, s S) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := decodeRune(s[i:])
			if r == utf8.RuneError && size <= 1 {
				dst = append(append(dst, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += max(size, 1)
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(dst, s[from:]...)
}

// decodeRune is utf8.DecodeRune for both kinds of text, without a copy.
func decodeRune[S string | []byte](s S) (rune, int) {
	var head [utf8.UTFMax]byte
	return utf8.DecodeRune(head[:copy(head[:], s[:min(len(s), utf8.UTFMax)])])
}
