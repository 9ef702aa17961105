package dialect

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// Request is what a client asks for, in no format. Slices alias the body it was read from.
type Request struct {
	// Instructions are the system prompt: text blocks.
	Instructions []Block
	Messages     []Message
	Tools        []Tool
	Choice       Choice
	// OneTool forbids more than one tool call at a time.
	OneTool bool
	// MaxTokens of the answer; 0 means the client did not say.
	MaxTokens               int
	Stop                    []Text
	Temperature, TopP, TopK Value
	Thinking                Thinking
	Format                  Format
	User, CacheKey          Text
	Tier                    Tier
	Fast                    bool
	Cache                   Value
	Stream, WantsUsage      bool
	WantsSignatures, Legacy bool
	// Extra is what has no place above, in the order it stood.
	Extra []Extra
}

// Extra is a field of one format that the neutral request has no place for.
type Extra struct {
	Path  string
	Value Value
	Loss  Loss
	// Why it cannot be carried, for people.
	Why string
}

// Loss is what it means that a field is not carried.
type Loss uint8

// The losses, from nothing to everything.
const (
	Harmless Loss = iota // the answer is the same; reported
	Degrades             // the answer is still useful; reported, and refused under strict
	Fatal                // the request makes no sense without it
)

// Role is who speaks.
type Role uint8

// The roles. A tool's answer is a ToolResult block of a User message.
const (
	User Role = iota + 1
	Assistant
	System
)

// Message is one turn.
type Message struct {
	Role   Role
	Name   Text
	Blocks []Block
	// At is the index in the client's messages, for paths; Within that of the tool result whose content Blocks are, or -1.
	At, Within int
}

// Path of a block of the message in the client's body.
func (m *Message) Path(b *Block) string {
	if m.Within >= 0 {
		return Path("messages", m.At, "content", m.Within, "content", b.At)
	}
	if b.At < 0 {
		return Path("messages", m.At, "content")
	}
	return Path("messages", m.At, "content", b.At)
}

// BlockKind is what a block holds.
type BlockKind uint8

// The kinds.
const (
	TextBlock BlockKind = iota + 1
	ThinkingBlock
	RedactedBlock // thinking that only its maker can read: Text
	ImageBlock
	DocumentBlock
	AudioBlock
	ToolUse
	ToolResult
	RefusalBlock
	ToolReference // says that a tool is available now: Name
	NoteBlock     // what a server tool did, told in words: Text
	OpaqueBlock   // anything else: Raw
)

// Block is a part of a message.
type Block struct {
	Kind BlockKind
	// Text of text, thinking, refusal; what a redacted block holds.
	Text Text
	// Signature of thinking.
	Signature Text
	// Source of an image, a document or audio.
	Source Source
	// ID of a tool call, and Name of its tool.
	ID, Name Text
	// Input of a tool call: an object.
	Input Value
	// Content of a tool's result, and whether the tool failed.
	Content []Block
	Failed  bool
	// Cache is the mark that the prompt up to here may be kept.
	Cache Value
	// Custom: a call of a tool that takes text; Input is {"input": text}.
	Custom bool
	// Raw is the whole block as it stood.
	Raw Value
	// At is the index in the client's content, for paths; -1 for content that was a string.
	At int
}

// Source is where a medium's bytes are.
type Source struct {
	// Media is the MIME type.
	Media string
	// Data is base64; URL an address; FileID a file at the provider. One of them is set.
	Data, URL, FileID Text
	// Detail, Title and Context are what the client said of it.
	Detail, Title, Context Text
}

// Readable reports a document that is text.
func (s *Source) Readable() bool {
	_, readable := s.Words()
	return readable
}

// Words is what a document says that is text; false for any other.
func (s *Source) Words() (words Text, readable bool) {
	if !strings.HasPrefix(s.Media, "text/") || s.Data == nil {
		return nil, false
	}
	plain, err := base64.StdEncoding.DecodeString(s.Data.Plain())
	return Quote(string(plain)), err == nil && utf8.Valid(plain)
}

// Tool is one that the model may call.
type Tool struct {
	Name, Description Text
	// Schema of the input; nil when the client gave none.
	Schema Value
	Strict Value
	Cache  Value
	// Custom tools take text instead of an object.
	Custom bool
	// Server is the type of a tool that the provider runs itself; its Raw is the client's whole definition.
	Server string
	Raw    Value
	// Examples of inputs.
	Examples Value
	At       int
}

// ChoiceMode is how free the model is in calling tools.
type ChoiceMode uint8

// The modes; ChoiceUnset leaves it to the provider.
const (
	ChoiceUnset ChoiceMode = iota
	ChoiceAuto
	ChoiceAny
	ChoiceNone
	ChoiceOne
)

// Choice is the client's wish about tool calls. Name is set for ChoiceOne; Allowed, if not nil, narrows the tools.
type Choice struct {
	Mode    ChoiceMode
	Name    Text
	Allowed []Text
}

// ThinkingMode is how a client asks for reasoning.
type ThinkingMode uint8

// The modes; ThinkingUnset leaves it to the provider.
const (
	ThinkingUnset ThinkingMode = iota
	ThinkingOff
	ThinkingAdaptive
	ThinkingBudget
	ThinkingEffort // only an effort was given
)

// Thinking is what the client wants of reasoning.
type Thinking struct {
	Mode   ThinkingMode
	Budget int
	// Effort is one of none, minimal, low, medium, high, xhigh, max; or empty.
	Effort string
	// Hidden: the client does not want to see it.
	Hidden bool
	// Raw is the client's own object.
	Raw Value
}

// FormatKind is what the answer's text has to be.
type FormatKind uint8

// The kinds.
const (
	FreeText FormatKind = iota
	JSONObject
	JSONSchema
)

// Format is the client's demand on the answer's form.
type Format struct {
	Kind              FormatKind
	Name, Description Text
	Schema, Strict    Value
}

// Tier is the class of service.
type Tier uint8

// The tiers; TierUnset leaves it to the provider.
const (
	TierUnset Tier = iota
	TierAuto
	TierStandard
	TierOther
)
