package telemetry

import (
	"context"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"unicode"
)

// NewLog makes the process's log: one JSON object a line, without secrets. level may be changed at any time.
func NewLog(w io.Writer, level *slog.LevelVar) *slog.Logger {
	return slog.New(&redacting{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})})
}

const redacted = "[secret]"

// shapes are the forms in which keys of vendors, of aimux itself and of token issuers come. Each begins with a word's first letter, as mayBegin
// knows.
const shapes = `(?:sk|csk|pk|rk)-[A-Za-z0-9_\-*.]{6,}|aimux(?:adm)?_[a-z0-9\-]{1,63}_[a-z2-7]{8,}|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-.]+|(?i:bearer\s+)(?:[A-Za-z_\-.~+/=]*[0-9_\-.~+/=][A-Za-z0-9_\-.~+/=]{5,}|[A-Za-z0-9_\-.~+/=]{16,})|[0-9a-f]{32}\.[A-Za-z0-9]{12,}`

var keyShape = regexp.MustCompile(`^(?:` + shapes + `)`)

// Scrub replaces everything in text that has the shape of a key. Texts are long and keys are rare, so the expression is asked only where one may
// begin.
func Scrub(text string) string {
	var out strings.Builder
	done := 0
	for i := 0; i < len(text); i++ {
		if !mayBegin(text, i) {
			continue
		}
		if found := keyShape.FindStringIndex(text[i:]); found != nil {
			out.WriteString(text[done:i])
			out.WriteString(redacted)
			done = i + found[1]
			i = done - 1
		}
	}
	if done == 0 {
		return text
	}
	out.WriteString(text[done:])
	return out.String()
}

// mayBegin reports a place at which one of the shapes may begin.
func mayBegin(text string, i int) bool {
	rest := text[i:]
	switch c := text[i]; {
	case c == 's', c == 'c', c == 'p', c == 'r':
		at := strings.IndexByte(rest[:min(len(rest), 4)], '-')
		return at >= 2 && rest[at-1] == 'k' && wordBegins(text, i)
	case c == 'a' && strings.HasPrefix(rest, "aimux"), c == 'e' && strings.HasPrefix(rest, "eyJ"), c|0x20 == 'b' && len(rest) > 6 && strings.EqualFold(rest[:6], "bearer"):
		return wordBegins(text, i)
	}
	const half = 32 // of a key whose halves a full stop divides
	return len(rest) > half && rest[half] == '.' && wordBegins(text, i)
}

// wordBegins reports that no letter or digit stands before i, but for one that is a JSON string's word for something else, such as the n of a new line.
func wordBegins(text string, i int) bool {
	if i == 0 || !wordByte(text[i-1]) {
		return true
	}
	return i > 1 && text[i-2] == '\\' && strings.IndexByte("nrtbf", text[i-1]) >= 0
}

func wordByte(c byte) bool {
	return c == '_' || c-'0' < 10 || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// runMin is the shortest piece of a key that counts as a leak.
const runMin = 8

// ScrubKey is Scrub for a text in which one particular key may have been quoted, whole or in part, whatever its shape.
func ScrubKey(text, key string) string {
	if len(key) >= runMin {
		text = cutRuns(text, key)
	} else if key != "" {
		text = strings.ReplaceAll(text, key, redacted)
	}
	return Scrub(text)
}

// cutRuns replaces every run of at least runMin bytes that stands in key.
func cutRuns(text, key string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		n := 0
		if i+runMin <= len(text) && strings.Contains(key, text[i:i+runMin]) {
			n = runMin
			for i+n < len(text) && strings.Contains(key, text[i:i+n+1]) {
				n++
			}
		}
		if n > 0 && isWord(text[i:i+n], key) {
			out.WriteString(text[i : i+n])
			i += n
			continue
		}
		if n == 0 {
			out.WriteByte(text[i])
			i++
			continue
		}
		out.WriteString(redacted)
		i += n
	}
	return out.String()
}

// isWord reports that a run is letters alone and the lesser part of the key: a word that stands in both by chance, and tells nothing of it.
func isWord(run, key string) bool {
	return 2*len(run) < len(key) && !strings.ContainsFunc(run, func(r rune) bool { return !unicode.IsLetter(r) })
}

// redacting hides secrets in what passes: by the attribute's name, and by the shape of its text.
type redacting struct{ next slog.Handler }

func (h *redacting) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *redacting) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, Scrub(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(redact(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h *redacting) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = redact(a)
	}
	return &redacting{h.next.WithAttrs(clean)}
}

func (h *redacting) WithGroup(name string) slog.Handler { return &redacting{h.next.WithGroup(name)} }

func redact(a slog.Attr) slog.Attr {
	if secretName(a.Key) {
		return slog.String(a.Key, redacted)
	}
	value := a.Value.Resolve()
	switch value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, Scrub(value.String()))
	case slog.KindGroup:
		group := value.Group()
		clean := make([]slog.Attr, len(group))
		for i, member := range group {
			clean[i] = redact(member)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(clean...)}
	case slog.KindAny:
		if err, ok := value.Any().(error); ok {
			return slog.String(a.Key, Scrub(err.Error()))
		}
	default:
	}
	return slog.Attr{Key: a.Key, Value: value}
}

// secretNames mark attributes that are not shown whatever they hold.
var secretNames = [...]string{"authorization", "api_key", "apikey", "api-key", "secret", "password", "cookie", "bearer"}

func secretName(key string) bool {
	key = strings.ToLower(key)
	for _, name := range secretNames {
		if strings.Contains(key, name) {
			return true
		}
	}
	return false
}
