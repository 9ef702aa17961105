package cli

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// hostile clears the screen, turns the text around, rings, and writes a line of its own; what it begins with is looked for.
const hostile = "hostile\x1b[2J\x1b]0;title\x07\u009b31m\u202e\u2028\x7f\r\b\nforged\ttext\xc2\x9b"

// TestNoTextMovesTheCursor has an admin API answer every question with such texts in all places, and every reading command print them.
func TestNoTextMovesTheCursor(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(answerHostile))
	defer server.Close()
	for _, words := range []string{
		"provider list", "provider get x", "key list", "team list", "auth get", "routing get", "node list", "table", "limit list", "limit get x", "health", "health --transitions", "usage",
		"usage --by key,model", "top --once", "tail --no-follow", "tail --no-follow --attempts", "webhook list", "token list", "token whoami", "audit", "explain", "provider delete x", "key revoke x",
	} {
		shown := false
		for _, format := range []string{"text", "json"} {
			var out, trouble bytes.Buffer
			args := append(strings.Fields(words), "--admin", server.URL, "--token", "t", "-o", format)
			code := Main(t.Context(), args, Street{Stdin: strings.NewReader(`{"model":"x"}`), Stdout: &out, Stderr: &trouble})
			if code == 2 {
				t.Errorf("%s: %s", words, trouble.String())
				continue
			}
			for name, text := range map[string]string{"stdout": out.String(), "stderr": trouble.String()} {
				if i := strings.IndexFunc(text, func(r rune) bool {
					return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
				}); i >= 0 {
					t.Errorf("%s -o %s: %s has %q", words, format, name, text[max(0, i-20):min(len(text), i+20)])
				}
				if strings.Contains(text, "\nforged") {
					t.Errorf("%s -o %s: %s has a line that nobody wrote: %q", words, format, name, text)
				}
			}
			shown = shown || strings.Contains(out.String(), "hostile")
		}
	}
}

func answerHostile(w http.ResponseWriter, r *http.Request) {
	name := strings.ReplaceAll(strings.TrimPrefix(r.URL.Path, "/"), "/", ".")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	method, ok := found.(protoreflect.MethodDescriptor)
	if err != nil || !ok {
		http.NotFound(w, r)
		return
	}
	answer := dynamicpb.NewMessage(method.Output())
	fill(answer, 0)
	body, err := proto.MarshalOptions{AllowPartial: true}.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/proto")
	_, _ = w.Write(body)
}

const hostileDepth = 5

// fill sets every text of a message and of those in it.
func fill(m protoreflect.Message, depth int) {
	text := protoreflect.ValueOfString(strings.ToValidUTF8(hostile, ""))
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap() || f.Kind() == protoreflect.MessageKind && depth == hostileDepth:
		case f.IsList() && f.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(f).List().AppendMutable().Message(), depth+1)
		case f.IsList() && f.Kind() == protoreflect.StringKind:
			m.Mutable(f).List().Append(text)
		case f.IsList():
		case f.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(f).Message(), depth+1)
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, text)
		}
	}
}

// What stands in errors is written like everything else.
func TestTold(t *testing.T) {
	for said, want := range map[string]string{
		"plain – ünïcode 日本\n\ttab": "plain – ünïcode 日本\n\ttab",
		"\x1b[2J":                   `\u001b[2J`,
		"a\r\nb":                    `a\u000d` + "\nb",
		"\u009b\u202e\u2066":        `\u009b\u202e\u2066`,
		"\xff\x9b":                  "\ufffd\ufffd",
	} {
		var out bytes.Buffer
		if n, err := io.WriteString(told{&out}, said); err != nil || n != len(said) || out.String() != want {
			t.Errorf("%q: %q, %d, %v", said, out.String(), n, err)
		}
	}
	if got := fmt.Sprint(beneath(told{io.Discard}) == io.Discard, beneath(io.Discard) == io.Discard); got != "true true" {
		t.Error(got)
	}
}
