package synthetic

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// FuzzParseJSON: the reader takes what the library takes, and what it takes can be walked.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{`{}`, `[1,-2.5e3,"a\n\u00e9",true,null]`, ` {"a":{"b":[{}]}, "c":"\\\""} `, `{"a":1,}`, `01`, `"\x"`, `-`, `[1 2]`, "\"\x01\"", `1e`, `{"a"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseJSON(b)
		if (err == nil) != json.Valid(b) && !errors.Is(err, errTooDeep) {
			t.Fatalf("%q: error %v, the library says %v", b, err, json.Valid(b))
		}
		if err == nil {
			walk(t, v)
		}
	})
}

// walk holds what a value is divided into against what the library makes of it.
func walk(t *testing.T, v value) {
	t.Helper()
	var members map[string]json.RawMessage
	var items []json.RawMessage
	if v.object() && json.Unmarshal(v, &members) == nil {
		for key, member := range v.members {
			if utf8.Valid(v) && string(v.get(key)) != string(members[key]) {
				t.Fatalf("member %q of %q: %q, want %q", key, v, v.get(key), members[key])
			}
			walk(t, member)
		}
	}
	if v.array() && json.Unmarshal(v, &items) == nil {
		for n, item := range v.items {
			if string(item) != string(items[n]) {
				t.Fatalf("item %d of %q: %q, want %q", n, v, item, items[n])
			}
			walk(t, item)
		}
		if v.length() != len(items) {
			t.Fatalf("%q has %d items, want %d", v, v.length(), len(items))
		}
	}
}

func TestStringsSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		quoted := appendString(nil, s)
		v, err := parseJSON(quoted)
		if err != nil || v.str() != s {
			t.Fatalf("%q came back as %q, %v", s, v.str(), err)
		}
		if pieces := fragment(s, 7); len(s) > 0 && concat(pieces) != s {
			t.Fatalf("%q in fragments is %q", s, pieces)
		}
		if tokens := tokenize(s); concat(tokens) != s {
			t.Fatalf("%q in tokens is %q", s, tokens)
		}
	})
}

func concat(pieces []string) string {
	all := ""
	for _, p := range pieces {
		all += p
	}
	return all
}

func TestSamplesSatisfySchemas(t *testing.T) {
	for schema, want := range map[string]string{
		`{"type":"object","properties":{"command":{"type":"string"},"n":{"type":"integer"}},"required":["command"]}`: `{"command":"echo aimux"}`,
		`{"type":"object"}`: `{}`,
		`{"type":"object","required":["a","b","c"],"properties":{"a":{"enum":["x","y"]},"b":{"type":"integer","minimum":5,"multipleOf":4},"c":{"type":"array","minItems":2,"items":{"type":"boolean"}}}}`: `{"a":"x","b":8,"c":[false,false]}`,
		`{"type":"object","required":["a"],"properties":{"a":{"$ref":"#/$defs/t"}},"$defs":{"t":{"const":7}}}`:                                                                                            `{"a":7}`,
		`{"type":"dict","required":["a"],"properties":{"a":{"type":"float"}}}`:                                                                                                                            `{"a":1}`,
		`{"type":["object","null"],"required":["a"],"properties":{"a":{"anyOf":[{"type":"string","maxLength":3},{"type":"null"}]}}}`:                                                                      `{"a":"aim"}`,
		`{"type":"object","required":["a"],"properties":{"a":{"$ref":"#"}}}`:                                                                                                                              ``, // ends in null somewhere
	} {
		got := sample(value(schema), "", "")
		if !json.Valid([]byte(got)) || want != "" && got != want {
			t.Errorf("%s: %s, want %s", schema, got, want)
		}
	}
}
