package dialect

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aimux/aimux/shared/fault"
)

// The bounds of what is learnt: so many fields of so many targets, so many providers.
const (
	lessonsFields    = 32
	lessonsTargets   = 1024
	lessonsProviders = 256
)

// lessons is what has been seen to be refused. It is never written to, only replaced.
type lessons struct {
	// fields :: provider/model → paths. What one model refuses, another of the same provider may well take.
	fields map[string][]string
	// unsigned are the providers that have refused a signature which they did not make.
	unsigned map[string]bool
	// full counts what did not fit.
	full int
}

func (l *lessons) picky(provider string) bool { return l.unsigned[provider] }

// lesson names a target among the lessons.
func (t *Target) lesson() string { return t.Provider + "/" + t.Model }

// Learn takes a failure as a lesson: a field that the target named as unknown or unsupported is left out for it from now on, and a
// provider that refused a signature gets only its own. It reports whether the next try will be different. Safe for concurrent use.
func (t *Translator) Learn(target *Target, f *fault.Fault) bool {
	if f.Kind == fault.Unsignable {
		return t.teach(target.Provider, "", true)
	}
	if betas := refusedBetas(f); len(betas) > 0 {
		learned := false
		for _, name := range betas {
			learned = t.teach(target.lesson(), name, false) || learned
		}
		return learned
	}
	if f.Kind != fault.BadRequest || f.Param == "" || !refusal.MatchString(f.Message) {
		return false
	}
	field := normalPath(f.Param)
	if precious(field) {
		return false
	}
	return t.teach(target.lesson(), field, false)
}

// Refused lists the fields that any of a provider's models has been seen to refuse, in order. The slice is the caller's.
func (t *Translator) Refused(provider string) []string {
	var all []string
	for lesson, fields := range t.learned.Load().fields {
		if strings.HasPrefix(lesson, provider+"/") {
			all = append(all, fields...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// refused lists the fields that a target has been seen to refuse. The slice is the caller's.
func (t *Translator) refused(target *Target) []string {
	return slices.Clone(t.learned.Load().fields[target.lesson()])
}

// teach keeps a field that a target refuses, or that a provider refuses signatures which it did not make.
func (t *Translator) teach(whom, field string, unsigned bool) bool {
	for {
		old := t.learned.Load()
		if unsigned && old.unsigned[whom] || !unsigned && slices.Contains(old.fields[whom], field) {
			return true
		}
		next := &lessons{fields: maps.Clone(old.fields), unsigned: maps.Clone(old.unsigned), full: old.full}
		if next.fields == nil {
			next.fields, next.unsigned = make(map[string][]string), make(map[string]bool)
		}
		fits := true
		switch {
		case unsigned && len(next.unsigned) < lessonsProviders:
			next.unsigned[whom] = true
		case !unsigned && len(next.fields[whom]) < lessonsFields && (len(next.fields) < lessonsTargets || next.fields[whom] != nil):
			next.fields[whom] = append(slices.Clone(next.fields[whom]), field)
		default:
			fits = false
			next.full++
		}
		if t.learned.CompareAndSwap(old, next) {
			return fits
		}
	}
}

// precious fields are never left out: without them it is another request.
func precious(field string) bool {
	switch field {
	case "", "model", "messages", "messages[]", "messages[].role", "messages[].content", "messages[].content[]", "messages[].content[].type",
		"messages[].tool_calls", "messages[].tool_call_id", "system", "tools", "tools[]", "tool_choice", "stream", "n",
		"response_format", "output_config", "output_config.format":
		return true
	}
	return false
}

// refusal matches the words by which providers say that they do not know a field, as opposed to its value being wrong.
var refusal = regexp.MustCompile(`(?i)extra (inputs|fields)|not permitted|unrecognized|unknown (parameter|field|argument|name)|unsupported|not supported|` +
	`does(n't| not) support|unexpected (keyword|field|property|argument)|additional propert|is not allowed|not a valid field|wrong_api_format`)

// named finds the field in words where the error document does not name it.
var named = []*regexp.Regexp{
	regexp.MustCompile(`(?i)^([a-z_][\w.\[\]]*): (?:extra inputs|extra fields|unknown|unexpected|unsupported)`),
	regexp.MustCompile("(?i)(?:unrecognized request argument|unrecognized argument|unknown parameter|unsupported parameter|unknown field|unexpected keyword argument|unexpected field)s?(?: supplied)?:? *[`'\"]?([a-z_][\\w.\\[\\]]*)"),
	regexp.MustCompile("(?i)(?:property|parameter|field|argument|input) [`'\"]([a-z_][\\w.\\[\\]]*)[`'\"] (?:is|was|not|in)"),
	regexp.MustCompile("(?i)[`'\"]([a-z_][\\w.\\[\\]]*)[`'\"] (?:is not supported|is unsupported|is not permitted|is not allowed|does not exist)"),
	regexp.MustCompile("(?i)additional propert[a-z]+ .*?[`'\"]([a-z_][\\w.]*)[`'\"]"),
	regexp.MustCompile(`(?i)(?:^|[\s:(])([a-z]+(?:_[a-z]+)+) is (?:not supported|unsupported|not permitted|not allowed)`),
}

// normalPath turns a provider's way of naming a place into ours: messages.0.content.1.text.cache_control is
// messages[].content[].cache_control.
func normalPath(path string) string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "$."), "body.")
	path = strings.NewReplacer("[", ".", "]", "").Replace(path)
	var out []string
	afterIndex := false
	parts := strings.Split(path, ".")
	for i, part := range parts {
		switch {
		case part == "":
		case part[0] >= '0' && part[0] <= '9':
			if len(out) > 0 && !afterIndex {
				out[len(out)-1] += "[]"
			}
			afterIndex = true
			continue
		case afterIndex && i < len(parts)-1 && unionTag(part):
		default:
			out = append(out, part)
		}
		afterIndex = false
	}
	return strings.Join(out, ".")
}

// unionTag names the kinds of blocks and tools: validators put them into the paths of what they refuse.
func unionTag(part string) bool {
	switch part {
	case "custom", "text", "image", "document", "thinking", "tool_use", "tool_result", "redacted_thinking", "server_tool_use", "search_result":
		return true
	}
	return false
}
