package dialect

import (
	"strconv"
	"strings"
)

// warningsMax bounds what is reported of one request; what is over is counted.
const warningsMax = 24

// Rejection is why a request cannot go to a target, or to anybody. It is an error.
type Rejection struct {
	// Path is the JSON path of the culprit in the client's body.
	Path string
	// Reason, for people.
	Reason string
	// Elsewhere: another target may be able to carry it; false means that the request itself is wrong.
	Elsewhere bool
}

// Error names the place and the reason.
func (r *Rejection) Error() string {
	if r.Path == "" {
		return r.Reason
	}
	return r.Path + ": " + r.Reason
}

// Notes collects what is lost while a request is translated. One goroutine at a time.
type Notes struct {
	Warnings []Warning
	// Dropped counts the warnings that did not fit.
	Dropped int

	strict   bool
	rejected *Rejection
}

// Degrade reports a field whose meaning is reduced; under strict it is refused.
func (n *Notes) Degrade(path, reason string) {
	if n.strict {
		n.Refuse(path, reason+" (the provider is configured strict)")
		return
	}
	n.Mention(path, reason)
}

// Mention reports a loss that changes nothing in the answer, or that is too late to be refused, strict or not.
func (n *Notes) Mention(path, reason string) {
	for _, w := range n.Warnings {
		if w.Path == path && w.Reason == reason {
			return
		}
	}
	if len(n.Warnings) == warningsMax {
		n.Dropped++
		return
	}
	n.Warnings = append(n.Warnings, Warning{Path: path, Reason: reason})
}

// Refuse says that this target cannot take the request; the first word stays.
func (n *Notes) Refuse(path, reason string) {
	if n.rejected == nil {
		n.rejected = &Rejection{Path: path, Reason: reason, Elsewhere: true}
	}
}

// Reject says that the request itself is wrong; the first word stays.
func (n *Notes) Reject(path, reason string) {
	if n.rejected == nil {
		n.rejected = &Rejection{Path: path, Reason: reason}
	}
}

// Lose reports what is not carried, by what it means.
func (n *Notes) Lose(x *Extra) {
	switch x.Loss {
	case Harmless:
		n.Mention(x.Path, x.Why)
	case Degrades:
		n.Degrade(x.Path, x.Why)
	case Fatal:
		n.Refuse(x.Path, x.Why)
	}
}

// Rejected is why the request cannot be sent, or nil.
func (n *Notes) Rejected() *Rejection { return n.rejected }

// Path joins names and indices: Path("messages", 3, "content", 0) is messages[3].content[0]. A negative index is left out.
func Path(parts ...any) string {
	var b strings.Builder
	for _, part := range parts {
		switch p := part.(type) {
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(p)
		case int:
			if p >= 0 {
				b.WriteByte('[')
				b.WriteString(strconv.Itoa(p))
				b.WriteByte(']')
			}
		}
	}
	return b.String()
}
