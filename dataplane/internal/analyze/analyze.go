// Package analyze reads a request's bytes once and says what it asks for: model, class, needs, tokens, session, and where the bytes that matter stand.
package analyze

import "github.com/aimux/aimux/shared/route"

// Span is a half-open range of the body's bytes. The zero Span means absent.
type Span struct{ Start, End int }

// Member is a field at the top of the body: its key with the quotes, and its value.
type Member struct{ Key, Value Span }

// Members are the fields at the top of the body, so that whoever changes one of them need not look for it.
type Members struct {
	list [24]Member
	n    int
}

// All lists the fields in their order; nil where a body has more of them than are kept, and where none has been read.
func (m *Members) All() []Member {
	if m.n > len(m.list) {
		return nil
	}
	return m.list[:m.n]
}

func (m *Members) add(one Member) {
	if m.n < len(m.list) {
		m.list[m.n] = one
	}
	m.n = min(m.n, len(m.list)) + 1
}

// Policy is what of the routing policy analysis needs. It is plain data, fixed per table; the zero value and nil mean the defaults.
type Policy struct {
	// ClassOrder lists the classes from the first that applies; nil means vision, thinking, tools, thinking, long_context, streaming.
	// Where thinking is listed twice, the first mention stands for what was asked for by a setting, the second for what was inferred
	// from the text; listed once, it stands for both.
	ClassOrder []route.Class
	// LongContextTokens is the estimated prompt above which a request is long; 0 means 60,000.
	LongContextTokens int
	// ThinkingBudgetTokens is the smallest thinking budget that makes a request one for thinking; 0 means 16,000.
	ThinkingBudgetTokens int
	DepthMax             int // nesting above it is refused; 0 means 128
}

// Hints are what is known of the request besides its body: the headers that take part in understanding it, and the route.
type Hints struct {
	Session  string // x-claude-code-session-id
	Agent    string // x-claude-code-agent-id
	Prefer   string // x-aimux-prefer
	ClientUA string
	// CountTokens: the body asks how long it is, and not for an answer. It needs no max_tokens.
	CountTokens bool
}

// Result is everything learnt from one body. It shares no memory with the body.
type Result struct {
	Ask route.Ask
	// Members of the body; whole only where the body was not refused.
	Members Members
	Stream  bool
	// Thought: the history holds thinking. EmptyText: it holds a block of text without any. Developer: a developer has a say in it.
	Thought, EmptyText, Developer bool
	// IncludeUsage: an OpenAI client asked for the usage chunk.
	IncludeUsage bool
	// ThinkingScore of the last user turn, in log odds; what the model said, whether or not it decided the class.
	ThinkingScore float64
	// PromptTokensMax is a prompt length that the true one should not exceed with any tokenizer in use.
	PromptTokensMax int
}

// Problem is why a body is refused. It is an error.
type Problem struct {
	// Path is the JSON path of the culprit, such as messages[3].content[0].type; empty for the body itself.
	Path string
	// Offset in bytes into the body.
	Offset int
	// Reason, for people.
	Reason string
}

// Error names the place and the reason.
func (p *Problem) Error() string {
	if p.Path == "" {
		return p.Reason
	}
	return p.Path + ": " + p.Reason
}
