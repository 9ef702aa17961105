package analyze

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// scanAll reads a whole JSON text with a scanner and returns why it is refused.
func scanAll(body []byte) (string, int) {
	s := scanner{body: body, depthMax: 128}
	s.value()
	if !s.failed() && (s.peek() != 0 || s.at < len(body)) {
		s.fail(s.at, "data behind the end of the body")
	}
	return s.reason, s.reasonAt
}

// stricter tells whether a text that encoding/json takes may be refused all the same, found out in another way.
func stricter(t *testing.T, body []byte) bool {
	t.Helper()
	if !utf8.Valid(body) || loneSurrogate(body) {
		return true
	}
	depth, deepest := 0, 0
	type frame struct {
		object, key bool
		seen        map[string]bool
	}
	stack := []frame{{}}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return deepest > 128
		}
		if err != nil {
			t.Fatalf("token of valid JSON: %v", err)
		}
		top := &stack[len(stack)-1]
		if delim, ok := tok.(json.Delim); ok {
			switch delim {
			case '{', '[':
				top.key = !top.key
				stack = append(stack, frame{object: delim == '{', key: true, seen: map[string]bool{}})
				depth++
				deepest = max(deepest, depth)
			default:
				stack = stack[:len(stack)-1]
				depth--
			}
			continue
		}
		if top.object && top.key {
			name, _ := tok.(string)
			if top.seen[name] {
				return true
			}
			top.seen[name] = true
		}
		top.key = !top.key
	}
}

// loneSurrogate looks for a \u escape of half a pair.
func loneSurrogate(body []byte) bool {
	for i := 0; i+6 <= len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		if body[i+1] != 'u' {
			i++
			continue
		}
		var r, low int
		if _, err := fmt.Sscanf(string(body[i+2:i+6]), "%04x", &r); err != nil {
			return false
		}
		switch {
		case r >= 0xD800 && r < 0xDC00:
			if i+12 > len(body) || body[i+6] != '\\' || body[i+7] != 'u' {
				return true
			}
			if _, err := fmt.Sscanf(string(body[i+8:i+12]), "%04x", &low); err != nil || low < 0xDC00 || low > 0xDFFF {
				return true
			}
			i += 11
		case r >= 0xDC00 && r <= 0xDFFF:
			return true
		default:
			i += 5
		}
	}
	return false
}

func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `null`, ` true `, `-0.5e+10`, `01`, `1.`, `"\u00e9\ud83d\ude00"`, `"\ud83d"`, `"` + "\xff" + `"`, `{"a":1,"\u0061":2}`,
		`{"a":{"b":[1,2,{"c":null}]},"d":"x\ny"}`, `[1,]`, `{"a":1,}`, `{"a"}`, `"` + "\x01" + `"`, "\"0123456789abcdef0123456789\xc3\xa9\"",
		strings.Repeat("[", 129) + strings.Repeat("]", 129), "", " ", `{"a":1} x`, "\"\xed\xa0\x80\"", "\"\xe0\x9f\xbf\"", "\"\xf4\x90\x80\x80\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		reason, at := scanAll(body)
		valid := json.Valid(body)
		switch {
		case reason == "" && !valid:
			t.Fatalf("accepted what encoding/json refuses: %q", body)
		case reason == "" && stricter(t, body):
			t.Fatalf("accepted a double key, a broken character or too deep a nesting: %q", body)
		case reason != "" && valid && !stricter(t, body):
			t.Fatalf("refused what encoding/json takes: %q: %s at %d", body, reason, at)
		}
		if reason != "" {
			locate(body, at, "")
		}
	})
}

func TestLargeObjectWithADoubleKey(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"x":{`)
	for i := range 1000 {
		fmt.Fprintf(&b, `"key%d":%d,`, i, i)
	}
	whole := b.String() + `"last":0}}`
	if reason, _ := scanAll([]byte(whole)); reason != "" {
		t.Fatalf("a large object is refused: %s", reason)
	}
	twice := b.String() + `"key\u0035":0}}`
	reason, at := scanAll([]byte(twice))
	if !strings.Contains(reason, "twice") || !strings.HasPrefix(twice[at:], `"key\u0035"`) {
		t.Fatalf("got %q at %d", reason, at)
	}
	if got := locate([]byte(twice), at, ""); got != "x.key5" {
		t.Fatalf("path %q", got)
	}
}

func TestTooManyKeysAreRefused(t *testing.T) {
	var b strings.Builder
	b.WriteByte('{')
	for i := range keysMax + 1 {
		fmt.Fprintf(&b, `"%d":0,`, i)
	}
	b.WriteString(`"z":0}`)
	if reason, _ := scanAll([]byte(b.String())); reason != "too many keys" {
		t.Fatalf("got %q", reason)
	}
}

// Whoever walks plain text, sixteen bytes at a time or eight, ends at the same place.
func TestPlainTextEndsAtOnePlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "plain text ", `\n`, `\"`, `\\`, `\u0041`, `\x`, `\`, `"`, "\x00", "\x1f", " ", "!", "#", "é", "\xff", "\x7f", "]"}), 0, 40).Draw(t, "pieces")
		b := []byte(strings.Join(pieces, ""))
		i := rapid.IntRange(0, len(b)).Draw(t, "i")
		end, escaped := plainBlocks(b, i)
		if wantEnd, wantEscaped := plainWords(b, i); end != wantEnd || escaped != wantEscaped {
			t.Fatalf("%q from %d: %d %v, and %d %v", b, i, end, escaped, wantEnd, wantEscaped)
		}
	})
}
