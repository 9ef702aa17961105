// Package route holds the table a node routes by, and decides who may serve a request, who is picked, and why.
package route

import "math/bits"

// Protocol is a wire format.
type Protocol uint8

// The protocols.
const (
	Anthropic Protocol = iota + 1
	OpenAI
)

// String is the protocol's name in configuration and metrics.
func (p Protocol) String() string {
	switch p {
	case Anthropic:
		return "anthropic"
	case OpenAI:
		return "openai"
	}
	return "unknown"
}

// ParseProtocol reads a protocol's name; ok is false for any other word.
func ParseProtocol(name string) (p Protocol, ok bool) {
	switch name {
	case "anthropic":
		return Anthropic, true
	case "openai":
		return OpenAI, true
	}
	return 0, false
}

// Capability is a set of things a model can do, as bits. The bits cross the wire in Config: append, never reorder.
type Capability uint64

// The capabilities. A request's needs are a set of them; a candidate must have every one.
const (
	Vision       Capability = 1 << iota // images in the prompt, nested in tool results too
	PDF                                 // PDF documents in the prompt
	Tools                               // function tools
	Thinking                            // reasoning that can be asked for
	Streaming                           // server-sent events
	JSONSchema                          // answers held to a JSON schema
	JSONObject                          // answers held to be a JSON object
	Choices                             // more than one choice (n > 1)
	Logprobs                            // log probabilities
	AudioIn                             // audio in the prompt
	AudioOut                            // audio in the answer
	WebSearch                           // the provider searches the web itself
	WebFetch                            // the provider fetches pages itself
	CodeExec                            // the provider runs code itself
	Prefill                             // an assistant turn at the end is continued
	FileIDs                             // files uploaded to the provider before
	MCP                                 // the provider calls MCP servers itself
	Container                           // the provider's containers and skills
	ToolImages                          // images inside tool results, natively
	GrammarTools                        // tools whose input is held to a grammar
	capabilities                        // end; keep last
)

// AllCapabilities is the set of every capability.
const AllCapabilities = capabilities - 1

var capabilityNames = [...]string{
	"vision", "pdf", "tools", "thinking", "streaming", "json_schema", "json_object", "n", "logprobs", "audio_input", "audio_output",
	"web_search", "web_fetch", "code_execution", "prefill", "file_id", "mcp_servers", "container", "tool_result_images", "grammar_tools",
}

// Has reports whether c holds all of need.
func (c Capability) Has(need Capability) bool { return c&need == need }

// count is how many it holds.
func (c Capability) count() int { return bits.OnesCount64(uint64(c)) }

// Names lists the set by name, in the order of the bits.
func (c Capability) Names() []string {
	var names []string
	for i, name := range capabilityNames {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Class is the one label of a request, for policy and metrics.
type Class uint8

// The classes.
const (
	Standard Class = iota
	ClassVision
	ClassThinking
	ClassTools
	ClassLongContext
	ClassStreaming
)

// Classes is how many classes there are.
const Classes = int(ClassStreaming) + 1

var classNames = [Classes]string{"standard", "vision", "thinking", "tools", "long_context", "streaming"}

// String is the class's name in headers, configuration and metrics.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// ParseClass reads a class's name; ok is false for any other word.
func ParseClass(name string) (c Class, ok bool) {
	for i, n := range classNames {
		if n == name {
			return Class(i), true
		}
	}
	return 0, false
}

// Trait is a set of facts about a request, as bits. Unlike the class there may be several.
type Trait uint16

// The traits.
const (
	TraitVision Trait = 1 << iota
	TraitTools
	TraitThinking
	TraitLongContext
	TraitStreaming
	TraitBackground // a coding agent's side call: titles, summaries, cheap on purpose
	TraitSubagent   // a coding agent's sub-agent
	TraitToolOpen   // a tool call of the history awaits this request's result: stay with the provider
)

var traitNames = [...]string{"vision", "tools", "thinking", "long_context", "streaming", "background", "subagent", "tool_open"}

// Names lists the set by name, in the order of the bits.
func (t Trait) Names() []string {
	var names []string
	for i, name := range traitNames {
		if t&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Prefer is what a caller said it cares for most (x-aimux-prefer).
type Prefer uint8

// The preferences.
const (
	PreferNothing Prefer = iota
	PreferCost
	PreferLatency
	PreferReliability
)

// Ask is a request as routing sees it: everything that decides where it may go, and nothing else.
type Ask struct {
	Protocol Protocol
	// Model as the client wrote it.
	Model string
	// Further says that the body names further models, of which the provider may use one in place of Model.
	Further bool
	Class   Class
	Traits  Trait
	// Needs are the capabilities that every candidate must have.
	Needs Capability
	// Wants are capabilities that the request can do without, at a loss: candidates that have them go first.
	Wants Capability
	// PromptTokens is estimated from the bytes, before any provider's correction.
	PromptTokens int
	// MaxTokens the client allows for the answer; 0 means it did not say.
	MaxTokens int
	// ExpectTokens is how long the answer will likely be.
	ExpectTokens int
	Prefer       Prefer
	// Session names the conversation for affinity; 0 means none is known.
	Session uint64
	// Explicit says that thinking was asked for by a setting and not inferred from the text.
	Explicit bool
	// Scope is what the caller may use of this table's catalog; nil means everything.
	Scope *Scope
}
