package analyze

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// A key that stands twice in an object is read in one way here and perhaps in another upstream, so it is refused wherever it stands.

const (
	// keysMax bounds how many keys may be open at once, those of all enclosing objects counted: 2 MB of keyring.
	keysMax = 1 << 16
	// keysLinear is the largest object whose keys are compared one by one as they come; larger ones are sorted at their end.
	keysLinear = 24
)

// keyring holds the keys of the objects that are open, the innermost's last.
type keyring struct {
	open []keyref
	// plain is where a key with escapes is unescaped.
	plain []byte
	// other is the same for the key that it is compared with.
	other []byte
}

type keyref struct {
	hash uint64
	key  text
}

// addKey notes a key of the innermost object, whose keys begin at base, and returns it unescaped.
func (s *scanner) addKey(t text, base int) []byte {
	if s.failed() {
		return nil
	}
	k := &s.keys
	key := s.body[t.start:t.end]
	if t.escaped {
		k.plain = unescape(k.plain[:0], key)
		key = k.plain
	}
	if len(k.open) >= keysMax {
		s.fail(t.start-1, "too many keys")
		return nil
	}
	h := hashKey(key)
	if mine := k.open[base:]; len(mine) < keysLinear {
		for i := range mine {
			if mine[i].hash == h && s.sameKey(mine[i].key, key) {
				s.fail(t.start-1, "this key stands twice in its object")
				return nil
			}
		}
	}
	k.open = append(k.open, keyref{h, t})
	return key
}

func (s *scanner) sameKey(t text, key []byte) bool {
	other := s.body[t.start:t.end]
	if t.escaped {
		s.keys.other = unescape(s.keys.other[:0], other)
		other = s.keys.other
	}
	return bytes.Equal(other, key)
}

// closeKeys forgets the keys from base on; those of a large object it compares first.
func (s *scanner) closeKeys(base int) {
	k := &s.keys
	mine := k.open[base:]
	k.open = k.open[:base]
	if len(mine) <= keysLinear {
		return
	}
	slices.SortFunc(mine, func(x, y keyref) int {
		return cmp.Or(cmp.Compare(x.hash, y.hash), cmp.Compare(x.key.start, y.key.start))
	})
	for i := range mine {
		// Different keys with one hash are made on purpose or never; a run of them is compared in full, within reason.
		for j := i - 1; j >= 0 && mine[j].hash == mine[i].hash; j-- {
			t := mine[i].key
			key := s.body[t.start:t.end]
			if t.escaped {
				k.plain = unescape(k.plain[:0], key)
				key = k.plain
			}
			if i-j > keysLinear || s.sameKey(mine[j].key, key) {
				s.fail(t.start-1, "this key stands twice in its object")
				return
			}
		}
	}
}

// hashKey spreads a key over 64 bits.
func hashKey(key []byte) uint64 {
	h := uint64(len(key)) * mixA
	for len(key) >= 8 {
		h = mix(h, binary.LittleEndian.Uint64(key))
		key = key[8:]
	}
	// Halves that overlap hold what is left, without a loop.
	var w uint64
	switch n := len(key); {
	case n >= 4:
		w = uint64(binary.LittleEndian.Uint32(key))<<32 | uint64(binary.LittleEndian.Uint32(key[n-4:]))
	case n > 0:
		w = uint64(key[0])<<16 | uint64(key[n/2])<<8 | uint64(key[n-1])
	}
	return mix(h, w)
}

const (
	mixA = 0x9E3779B97F4A7C15 // the golden ratio's fraction
	mixB = 0xD6E8FEB86659FD93 // an odd multiplier that spreads well
)

// mix folds a word into a hash.
func mix(h, w uint64) uint64 {
	h = (h ^ w) * mixB
	return h ^ h>>32
}

// unescape appends what a JSON string's bytes, already checked, stand for.
func unescape(dst, src []byte) []byte {
	for {
		i := bytes.IndexByte(src, '\\')
		if i < 0 {
			return append(dst, src...)
		}
		dst = append(dst, src[:i]...)
		var n int
		dst, n = appendEscape(dst, src[i:])
		src = src[i+n:]
	}
}

// appendEscape appends the character that the escape at the start of src stands for, and returns the escape's length.
// One that is cut off, as at the end of an excerpt, stands for nothing.
func appendEscape(dst, src []byte) ([]byte, int) {
	if len(src) < 2 {
		return dst, len(src)
	}
	switch c := src[1]; c {
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'u':
	default:
		return append(dst, c), 2
	}
	r, ok := hex4(src, 2)
	if !ok {
		return dst, len(src)
	}
	if r >= 0xD800 && r < 0xDC00 {
		if low, ok := hex4(src, 8); ok {
			return utf8.AppendRune(dst, 0x10000+(r-0xD800)<<10+(low-0xDC00)), 12
		}
		return dst, len(src)
	}
	return utf8.AppendRune(dst, r), 6
}
