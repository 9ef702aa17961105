package dialect

import (
	"regexp"
	"slices"
	"strings"

	"github.com/aimux/aimux/shared/fault"
)

// What a provider of a format with beta features may refuse is not only a field but the name in the header that switches it on. A provider that
// refuses the one gets neither.

// betaHeader begins, among refused fields, the name of a beta feature; alone it stands for all of them.
const betaHeader = "anthropic-beta"

var (
	betaName    = regexp.MustCompile(`\b[a-z][a-z0-9]*(?:-[a-z0-9]+)*-20\d\d-\d\d-\d\d\b`)
	betaDate    = regexp.MustCompile(`-20\d\d-\d\d-\d\d$`)
	anyBetaFlag = regexp.MustCompile(`(?i)unexpected value.*\bbeta\b|\b(invalid|unsupported|unknown|unrecognized)[^.]{0,40}\bbeta\b|\bbeta\b[^.]{0,80}(not (supported|recognized|valid|allowed|permitted)|unsupported|unknown)`)
)

// refusedBetas are the features that a provider's words name as unknown.
func refusedBetas(f *fault.Fault) []string {
	if f.Kind != fault.BadRequest || !anyBetaFlag.MatchString(f.Message) {
		return nil
	}
	names := betaName.FindAllString(f.Message, 8)
	if len(names) == 0 {
		return []string{betaHeader}
	}
	for i := range names {
		names[i] = betaHeader + ":" + names[i]
	}
	return names
}

// switches names the features whose names say nothing of the fields that they switch on.
func switches(field string) []string {
	last := field[strings.LastIndexByte(field, '.')+1:]
	switch last {
	case "mcp_servers":
		return []string{"mcp-client"}
	case "output_format":
		return []string{"structured-outputs"}
	case "ttl":
		return []string{"extended-cache-ttl"}
	case "thinking":
		return []string{"interleaved-thinking", "thinking-token-count", "thinking-display-updates"}
	case "display":
		return []string{"thinking-display-updates"}
	case "input_examples", "defer_loading", "allowed_callers":
		return []string{"advanced-tool-use"}
	case "speed":
		return []string{"fast-mode"}
	case "container":
		return []string{"skills", "code-execution"}
	case "clear_at":
		return []string{"per-turn-control"}
	case "output_config":
		if strings.HasPrefix(field, "messages") {
			return []string{"per-turn-control"}
		}
	}
	name := strings.ReplaceAll(last, "_", "-")
	return []string{name, name + "s"}
}

// Betas is a line of the beta features that a client asks for, without those that the target refuses, by name or with the field that they switch
// on. Of a line from which nothing has to go no byte is changed. Safe for concurrent use.
func (t *Translator) Betas(target *Target, line string) string {
	if target.Sheet == nil {
		return line
	}
	refused := target.refusals(t.refused(target))
	if len(refused) == 0 {
		return line
	}
	kept, gone := []string(nil), false
	for entry := range strings.SplitSeq(line, ",") {
		if name := strings.TrimSpace(entry); betaRefused(name, refused) {
			gone = true
		} else {
			kept = append(kept, name)
		}
	}
	if !gone {
		return line
	}
	return strings.Join(kept, ",")
}

func betaRefused(name string, refused []string) bool {
	plain := betaDate.ReplaceAllString(name, "")
	for _, field := range refused {
		if field == betaHeader || field == betaHeader+":"+name || slices.Contains(switches(field), plain) {
			return true
		}
	}
	return false
}
