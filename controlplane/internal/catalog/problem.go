package catalog

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/aimux/aimux/shared/secret"
)

// Problem is one thing that is wrong with a catalog, for the person who wrote it.
type Problem struct {
	// Path of the setting, as in providers.zai.models[0].id; empty for the document as a whole.
	Path string
	// Value that stands there, cut, and without anything that looks like a key; empty when there is none to show.
	Value string
	// Reason says what is wrong and what would be right.
	Reason string
}

// String is one line: path: value: reason.
func (p Problem) String() string {
	parts := make([]string, 0, 3)
	if p.Path != "" {
		parts = append(parts, p.Path)
	}
	if p.Value != "" {
		parts = append(parts, p.Value)
	}
	return strings.Join(append(parts, p.Reason), ": ")
}

// Problems are all that is wrong at once; as an error they are one line each.
type Problems []Problem

// Error joins the problems by line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// problemsMax is how many problems are told at once; the rest is counted.
const problemsMax = 100

// report collects problems up to problemsMax.
type report struct {
	problems Problems
	dropped  int
}

func (r *report) add(path, value, reason string, args ...any) {
	if len(r.problems) == problemsMax {
		r.dropped++
		return
	}
	r.problems = append(r.problems, Problem{Path: path, Value: value, Reason: fmt.Sprintf(reason, args...)})
}

// done returns what was found, nil for nothing.
func (r *report) done() []Problem {
	if r.dropped > 0 {
		return append(r.problems, Problem{Reason: fmt.Sprintf("and %d problems more", r.dropped)})
	}
	return r.problems
}

var (
	// keyish are names of fields in which people put keys, right or misspelt.
	keyish = regexp.MustCompile(`(?i)key|secret|^token$|(api|access|auth)_?token|password|auth|credential|bearer`)
	// random is a run of characters as keys have them. It is judged with mixed, so that long words and numbers can be shown.
	random = regexp.MustCompile(`[A-Za-z0-9+/=]{16,}`)
	// prefixed is what begins as keys do.
	prefixed = regexp.MustCompile(`\b(?:sk|csk|pk|rk|aimux|aimuxadm)[-_][A-Za-z0-9_-]{8,}`)
	// plainPath is a path element that needs no quotes.
	plainPath = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

const shownMax = 80

// show is how a value stands in a problem: quoted and cut, and [secret] if its field (or path) or its looks say that it may be a key.
// References to keys, env:NAME and file:PATH, are no secrets.
func show(field, value string) string {
	if value == "" {
		return `""`
	}
	if keyish.MatchString(field[strings.LastIndexByte(field, '.')+1:]) && !isReference(value) {
		return secret.Redacted
	}
	value = prefixed.ReplaceAllString(value, secret.Redacted)
	value = random.ReplaceAllStringFunc(value, func(run string) string {
		if strings.ContainsAny(run, "0123456789") && strings.ContainsFunc(run, isLetter) {
			return secret.Redacted
		}
		return run
	})
	if len(value) > shownMax {
		value = strings.ToValidUTF8(value[:shownMax], "") + "…"
	}
	return strconv.Quote(value)
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

// at appends a name to a path; a name that is no plain word, or may be a key, in brackets as it may be shown.
func at(path, name string) string {
	if shown := show("", name); !plainPath.MatchString(name) || len(shown) != len(name)+len(`""`) {
		return path + "[" + shown + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// index appends a position to a path.
func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
