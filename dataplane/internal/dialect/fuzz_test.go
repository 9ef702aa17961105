package dialect_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

// FuzzScanner: all bytes come out again, and how they were cut changes nothing.
func FuzzScanner(f *testing.F) {
	f.Add([]byte("data: a\n\n"), 3)
	f.Add([]byte("\ufeffevent: x\r\ndata: a\r\ndata: b\r\n\r\n: c\r\rdata"), 1)
	f.Fuzz(func(t *testing.T, input []byte, size int) {
		size = 1 + (size&0xff+0xff)%97
		read := func(size int) (raw []byte, seen []string) {
			var s dialect.Scanner
			var f dialect.Frame
			take := func() {
				raw = append(raw, f.Raw...)
				if f.Data != nil {
					seen = append(seen, string(f.Name)+"|"+string(f.Data))
				}
			}
			for rest := input; len(rest) > 0; {
				n := min(size, len(rest))
				s.Feed(bytes.Clone(rest[:n]))
				for s.Next(&f) {
					take()
				}
				rest = rest[n:]
			}
			if s.End(&f) {
				take()
			}
			return raw, seen
		}
		whole, want := read(len(input) + 1)
		if !bytes.Equal(whole, input) {
			t.Fatalf("in %q out %q", input, whole)
		}
		pieces, got := read(size)
		if !bytes.Equal(pieces, input) || len(got) != len(want) {
			t.Fatalf("pieces of %d: %q, %d events, want %d", size, pieces, len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("event %d is %q, want %q", i, got[i], want[i])
			}
		}
	})
}

var fuzzSheets = []*provider.Sheet{openaiSheet, cerebrasSheet, zaiSheet, minimaxSheet, thinkTagSheet, anthropicSheet}

// FuzzRequest: whatever JSON comes, what goes out is JSON, or a refusal.
func FuzzRequest(f *testing.F) {
	for _, body := range []string{
		asks(toolDef), turns(aUse), oai(oTool), oturns(oUse + oDone), `{}`, `{"model":1,"messages":{}}`, `{"model":"m","messages":[{"role":"user"}]}`,
		asks(`,"system":[{"type":"text","text":"x-anthropic-billing-header:"}]`), oai(`,"functions":[{"name":"f"}]`), "{\"a\\\"b\":1,\"model\":\"m\"}",
		turns(`{"role":"user","content":[` + pngImage + `,{"type":"document","source":{"type":"content","content":"x"}}]}`),
	} {
		f.Add([]byte(body), uint8(0))
		f.Add([]byte(body), uint8(7))
	}
	tr := newTranslator()
	f.Fuzz(func(t *testing.T, body []byte, how uint8) {
		v, ok := dialect.ParseValue(body)
		if !ok || !v.Object() {
			return
		}
		for _, from := range []route.Protocol{route.Anthropic, route.OpenAI} {
			for _, to := range []route.Protocol{route.Anthropic, route.OpenAI} {
				c := call(from, target(fuzzSheets[int(how)%len(fuzzSheets)], to), string(body))
				c.StripThinking = how&0x80 != 0
				c.StreamUpstream = how&0x40 != 0
				out, reply, rejected := tr.Prepare(nil, c)
				if rejected == nil && !json.Valid(out) {
					t.Fatalf("%v to %v: %s", from, to, out)
				}
				if rejected == nil && (reply == nil || len(reply.Progress().Warnings) > 30) {
					t.Fatal("no reply, or too many warnings")
				}
			}
		}
	})
}

// FuzzReply: whatever a provider sends, however it is cut, the client gets the same, and it is well-formed.
func FuzzReply(f *testing.F) {
	for i := range stories {
		f.Add([]byte(stories[i].input), uint8(i), uint8(i))
	}
	f.Fuzz(func(t *testing.T, input []byte, how, size uint8) {
		s := story{from: route.Anthropic, input: string(input), sheet: fuzzSheets[int(how>>3)%len(fuzzSheets)]}
		if how&1 != 0 {
			s.from = route.OpenAI
		}
		client := route.Anthropic
		if how&2 != 0 {
			client = route.OpenAI
		}
		stream := how&4 != 0
		run := func(size int) (string, dialect.Progress) {
			r := s.reply(t, client, stream)
			out := feed(r, s.input, size)
			p := *r.Progress()
			if p.Paused {
				if _, ok := r.Resume(nil, []byte(asks(``))); ok == (r.Progress().Fault.Kind != fault.None) {
					t.Fatalf("resumed %v and fault %v", ok, r.Progress().Fault)
				}
				return out, dialect.Progress{}
			}
			if p.Done == (p.Fault.Kind != fault.None) {
				t.Fatalf("done %v and fault %v", p.Done, p.Fault)
			}
			if p.Fault.Kind != fault.None && p.Started {
				out = string(r.Abort([]byte(out), &p.Fault))
			}
			return out, p
		}
		whole, p := run(0)
		if pieces, _ := run(1 + int(size)%17); pieces != whole {
			t.Fatalf("pieces:\n%s\nwhole:\n%s", pieces, whole)
		}
		if client != s.from && stream && p.Started {
			grammar(t, client, whole)
		}
		if !stream && p.Done && !json.Valid([]byte(whole)) {
			t.Fatalf("not JSON: %s", whole)
		}
	})
}

// FuzzError: whatever an error's body is, there is a kind and a short clean message.
func FuzzError(f *testing.F) {
	f.Add([]byte(`{"error":{"message":"m","code":1302}}`), 429, "1.5")
	f.Add([]byte(`<html>`), 502, "Mon, 23 Nov 2026 01:00:30 GMT")
	tr := newTranslator()
	f.Fuzz(func(t *testing.T, body []byte, status int, after string) {
		got := tr.DecodeError(&dialect.Target{Sheet: zaiSheet}, status, func(string) string { return after }, body)
		if got.Kind == fault.None || len(got.Message) > 1000 || got.RetryAfter < 0 {
			t.Fatalf("%+v", got)
		}
		for _, r := range got.Message {
			if r < ' ' {
				t.Fatalf("control character in %q", got.Message)
			}
		}
		doc := tr.ErrorFor(route.Anthropic, &got, "r")
		if out := tr.EncodeError(nil, route.Anthropic, &doc); !json.Valid(out) {
			t.Fatalf("not JSON: %s", out)
		}
	})
}

// FuzzValid: the checker takes what encoding/json takes.
func FuzzValid(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e+3,"x\u00e9\n",true,false,null,{}]}`, `[]`, `01`, `"\x"`, "\"\t\"", `{"a" : 1 , "b":[ ]}`, `-`, `1.`, `1e`, `{"a":1,}`, `{,}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.TrimSpace(b)
		if got, want := dialect.Valid(b), json.Valid(b); got != want {
			t.Fatalf("%q: %v, encoding/json says %v", b, got, want)
		}
	})
}
