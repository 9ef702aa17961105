package analyze

import (
	"bytes"

	"github.com/aimux/aimux/shared/route"
)

// anthropic reads a Messages body. Members that are not named here pass unread.
func (a *Analyzer) anthropic() {
	o := a.record("the body must be a JSON object")
	messages, maxTokens := false, false
	for a.member(&o) {
		start := a.at
		switch string(o.key) {
		case "model":
			a.modelField()
		case "max_tokens":
			// 0 fills the cache and asks for no answer.
			a.out.Ask.MaxTokens, maxTokens = a.integer(0, tokensMax, "must be a whole number, 0 or more")
		case "messages":
			messages = true
			a.messages((*Analyzer).anthropicMessage)
		case "system":
			a.systemField()
		case "stream":
			a.streamField()
		case "metadata":
			a.metadata()
		default:
			a.anthropicSetting(o.key)
		}
		a.noteMember(&o, start)
	}
	a.finishRequest(o.start, messages)
	if !a.failed() && !maxTokens && !a.hints.CountTokens {
		a.lack(o.start, "max_tokens", "is required")
	}
	if a.facts.prefill {
		a.need(route.Prefill)
	}
}

// anthropicSetting reads one of the members that steer the answer.
func (a *Analyzer) anthropicSetting(key []byte) {
	switch string(key) {
	case "temperature", "top_p":
		a.within(0, 1, "must be a number from 0 to 1")
	case "top_k":
		a.integer(0, tokensMax, "must be a whole number, 0 or more")
	case "stop_sequences":
		a.strings(1024, "must be an array of at most 1024 strings")
	case "tools":
		a.tools((*Analyzer).anthropicTool)
	case "tool_choice":
		a.anthropicToolChoice()
	case "thinking":
		a.thinkingField()
	case "output_config":
		a.outputConfig()
	case "output_format":
		a.outputFormat()
	case "service_tier", "inference_geo", "speed":
		a.optionalString()
	case "container":
		if !a.null() {
			a.need(route.Container)
			if a.peek() != '"' && a.peek() != '{' {
				a.unexpected("must be a string or an object")
			}
			a.value()
		}
	case "mcp_servers":
		if a.null() {
			return
		}
		l := a.list("must be an array")
		for a.element(&l) {
			a.value()
			a.need(route.MCP)
		}
	case "models", "fallbacks":
		a.furtherModels()
	default:
		a.value()
	}
}

// systemField reads the system prompt: a string or text blocks.
func (a *Analyzer) systemField() {
	if a.null() {
		return
	}
	if a.peek() == '"' {
		a.systemText(a.str(), true)
		return
	}
	for l := a.list("must be a string or an array of text blocks"); a.element(&l); {
		a.peek()
		start := a.at
		typed, given := false, false
		for o := a.record("must be a text block"); a.member(&o); {
			switch string(o.key) {
			case "type":
				a.enum(textOnly, "must be text")
				typed = true
			case "text":
				a.systemText(a.stringValue(), l.n == 1)
				given = true
			default:
				a.value()
			}
		}
		switch {
		case a.failed():
		case !typed:
			a.lack(start, "type", "is required")
		case !given:
			a.lack(start, "text", "is required")
		}
	}
}

var textOnly = []string{"text"}

// billing is how the system block begins in which a coding agent says what the request is for. It changes with every request.
const billing = "x-anthropic-billing-header"

func (a *Analyzer) systemText(t text, first bool) {
	if a.failed() {
		return
	}
	a.count(t)
	raw := a.body[t.start:t.end]
	if first && bytes.HasPrefix(raw, []byte(billing)) {
		a.facts.agent = true
		a.facts.subagent = bytes.Contains(raw, []byte("cc_is_subagent=true"))
		return
	}
	a.facts.systemHash = hashText(a.facts.systemHash, raw)
}

// anthropicMessage reads one message.
func (a *Analyzer) anthropicMessage() {
	a.peek()
	start := a.at
	role, content := -1, false
	var c contents
	for o := a.record("must be a message object"); a.member(&o); {
		switch string(o.key) {
		case "role":
			role = a.enum(anthropicRoles, "must be user, assistant or system")
		case "content":
			content = true
			a.messageContent(&c)
		default:
			a.value()
		}
	}
	switch {
	case a.failed():
	case role < 0:
		a.lack(start, "role", "is required")
	case !content && role != systemRole:
		a.lack(start, "content", "is required")
	case role == assistantRole:
		a.assistantSaid(c.tools, c.endsInText)
	default:
		a.said(role == systemRole)
	}
}

const (
	assistantRole = 1
	systemRole    = 2
)

var anthropicRoles = []string{"user", "assistant", "system"}

// contents is what a message's content turned out to hold.
type contents struct {
	tools      bool // calls of tools that the client runs
	endsInText bool
}

// messageContent reads a message's content: a string or blocks.
func (a *Analyzer) messageContent(c *contents) {
	if a.peek() == '"' {
		t := a.str()
		if !a.failed() {
			a.heard(t)
			c.endsInText = true
		}
		return
	}
	for l := a.list("must be a string or an array of content blocks"); a.element(&l); {
		if a.peek() != '{' {
			a.unexpected("must be a content block")
			return
		}
		kind := a.block(false)
		c.tools = c.tools || kind == toolUse
		c.endsInText = kind == textBlock
	}
}

// tools reads the tools offered, each with the format's reader.
func (a *Analyzer) tools(read func(*Analyzer)) {
	if a.null() {
		return
	}
	for l := a.list("must be an array of tools"); a.element(&l); {
		a.peek()
		start := a.at
		read(a)
		if !a.failed() {
			a.tally.add(a.body[start:a.at], false)
			a.tally.tools++
		}
	}
}

// anthropicTool reads one tool: the client's own, one that the client runs by a published schema, or one of the provider's.
func (a *Analyzer) anthropicTool() {
	start := a.at
	var kind, name text
	for o := a.record("must be a tool object"); a.member(&o); {
		switch string(o.key) {
		case "type":
			kind, _ = a.optionalString()
		case "name":
			name = a.name()
		case "description":
			a.optionalString()
		case "input_schema":
			if a.peek() != '{' {
				a.unexpected("must be an object")
			}
			a.value()
		default:
			a.value()
		}
	}
	if a.failed() {
		return
	}
	raw := a.plain(kind)
	if server := serverTool(raw); server != 0 {
		a.facts.serverTools |= server
		a.sight(server)
		return
	}
	if name.empty() && (len(raw) == 0 || string(raw) == "custom") {
		a.lack(start, "name", "is required")
	}
	if !bytes.HasPrefix(raw, []byte("tool_search_tool")) && !bytes.HasPrefix(raw, []byte("advisor")) {
		a.facts.clientTools++
	}
}

// serverTool is the capability that a tool of this type needs of the provider; 0 for one that the client runs. Types carry a date.
func serverTool(kind []byte) route.Capability {
	switch {
	case bytes.HasPrefix(kind, []byte("web_search")):
		return route.WebSearch
	case bytes.HasPrefix(kind, []byte("web_fetch")):
		return route.WebFetch
	case bytes.HasPrefix(kind, []byte("code_execution")):
		return route.CodeExec
	case bytes.HasPrefix(kind, []byte("mcp_toolset")):
		return route.MCP
	}
	return 0
}

func (a *Analyzer) anthropicToolChoice() {
	if a.null() {
		return
	}
	a.peek()
	start := a.at
	kind, named := -1, false
	for o := a.record("must be an object"); a.member(&o); {
		switch string(o.key) {
		case "type":
			kind = a.enum(toolChoices, "must be auto, any, tool or none")
		case "name":
			a.name()
			named = true
		case "disable_parallel_tool_use":
			a.boolean()
		default:
			a.value()
		}
	}
	switch {
	case a.failed():
	case kind < 0:
		a.lack(start, "type", "is required")
	case kind == toolChosen && !named:
		a.lack(start, "name", "is required where type is tool")
	}
	a.facts.toolForced = kind >= toolAny
}

var toolChoices = []string{"auto", "none", "any", "tool"}

const (
	toolAny    = 2
	toolChosen = 3
)

// thinkingField reads the thinking setting, which OpenAI-speaking providers know too.
func (a *Analyzer) thinkingField() {
	if a.null() {
		return
	}
	a.peek()
	start := a.at
	typed := false
	for o := a.record("must be an object"); a.member(&o); {
		switch string(o.key) {
		case "type":
			typed = true
			kind := a.plain(a.name())
			a.facts.thinkingOff = string(kind) == "disabled"
			a.facts.thinkingOn = string(kind) == "enabled"
		case "budget_tokens":
			a.facts.budget, _ = a.integer(1024, tokensMax, "must be a whole number, 1024 or more")
		default:
			a.value()
		}
	}
	if !a.failed() && !typed {
		a.lack(start, "type", "is required")
	}
}

func (a *Analyzer) outputConfig() {
	if a.null() {
		return
	}
	for o := a.record("must be an object"); a.member(&o); {
		switch string(o.key) {
		case "effort":
			if i := a.enum(anthropicEfforts, "must be "+effortWords); i > 0 {
				a.facts.effort = effortLow + effort(i-1)
			}
		case "format":
			a.outputFormat()
		default:
			a.value()
		}
	}
}

const effortWords = "low, medium, high, xhigh or max"

// outputFormat reads the schema that the answer is held to.
func (a *Analyzer) outputFormat() {
	if a.null() {
		return
	}
	a.peek()
	start := a.at
	typed, schema := false, false
	for o := a.record("must be an object"); a.member(&o); {
		switch string(o.key) {
		case "type":
			a.enum(schemaOnly, "must be json_schema")
			typed = true
		case "schema":
			schema = true
			if a.peek() != '{' {
				a.unexpected("must be an object")
			}
			a.counted()
		default:
			a.value()
		}
	}
	switch {
	case a.failed():
	case !typed:
		a.lack(start, "type", "is required")
	case !schema:
		a.lack(start, "schema", "is required")
	}
	a.need(route.JSONSchema)
}

var schemaOnly = []string{"json_schema"}
