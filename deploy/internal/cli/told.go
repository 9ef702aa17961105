package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// told writes what commands say. Names, reasons and errors come from callers, providers, nodes and other operators: a terminal would obey the
// control characters in them, and people would read lines that nobody wrote. They come out as \u001b, which in JSON is the same text.
type told struct{ to io.Writer }

// Write implements io.Writer.
func (t told) Write(p []byte) (int, error) {
	if bytes.IndexFunc(p, moves) < 0 && utf8.Valid(p) {
		return t.to.Write(p)
	}
	out := make([]byte, 0, len(p)+64)
	for _, r := range string(p) {
		if moves(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
			continue
		}
		out = utf8.AppendRune(out, r) // what is no UTF-8 becomes U+FFFD
	}
	if _, err := t.to.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// moves reports a character that a terminal does something for in place of showing it, or that turns the direction of the text around it.
func moves(r rune) bool {
	return r != '\n' && r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// beneath is where a writer's words end up: for what draws on a terminal itself, or leaves it to another program.
func beneath(w io.Writer) io.Writer {
	if t, ok := w.(told); ok {
		return t.to
	}
	return w
}

// tell prints a line of words. The texts in it stay on it. Where more follows, the last line's error tells enough.
func tell(out io.Writer, format string, words ...any) error {
	for i := range words {
		if text, ok := words[i].(string); ok {
			words[i] = oneLine(text)
		}
	}
	_, err := fmt.Fprintf(out, format, words...)
	return err
}

var flat = strings.NewReplacer("\n", `\n`, "\t", " ")

// oneLine keeps a text of somebody else's from looking like two lines, or two columns.
func oneLine(text string) string { return flat.Replace(text) }
