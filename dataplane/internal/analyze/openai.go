package analyze

import "github.com/aimux/aimux/shared/route"

// openAI reads a Chat Completions body. Members that are not named here pass unread.
func (a *Analyzer) openAI() {
	o := a.record("the body must be a JSON object")
	messages, limited, completion := false, false, false
	for a.member(&o) {
		start := a.at
		switch string(o.key) {
		case "model":
			a.modelField()
		case "max_completion_tokens", "max_tokens":
			newer := len(o.key) > len("max_tokens")
			n, given := a.integer(1, tokensMax, "must be a whole number, 1 or more")
			if given && (newer || !completion) || !limited {
				a.out.Ask.MaxTokens = n
				limited, completion = true, given && newer
			}
		case "messages":
			messages = true
			a.messages((*Analyzer).openAIMessage)
		case "stream":
			a.streamField()
		case "stream_options":
			a.streamOptions()
		case "metadata":
			a.anyObject()
		default:
			if !a.openAIToolField(o.key) {
				a.openAISetting(o.key)
			}
		}
		a.noteMember(&o, start)
	}
	a.finishRequest(o.start, messages)
}

func (a *Analyzer) streamOptions() {
	if a.null() {
		return
	}
	for o := a.record("must be an object"); a.member(&o); {
		switch string(o.key) {
		case "include_usage":
			a.out.IncludeUsage = a.boolean()
		case "include_obfuscation":
			a.boolean()
		default:
			a.value()
		}
	}
}

// openAIToolField reads one of the members that have to do with tools; false if the key is none of them.
func (a *Analyzer) openAIToolField(key []byte) bool {
	switch string(key) {
	case "tools":
		a.tools((*Analyzer).openAITool)
	case "functions":
		a.tools((*Analyzer).function)
	case "tool_choice":
		a.openAIToolChoice()
	case "function_call":
		if c := a.peek(); c != '"' && c != '{' && c != 'n' {
			a.unexpected("must be a string or an object")
		}
		a.value()
	case "parallel_tool_calls":
		a.boolean()
	case "web_search_options":
		if !a.null() {
			a.anyObject()
			a.need(route.WebSearch)
		}
	default:
		return false
	}
	return true
}

// openAISetting reads one of the members that steer the answer.
func (a *Analyzer) openAISetting(key []byte) {
	switch string(key) {
	case "temperature":
		a.within(0, 2, "must be a number from 0 to 2")
	case "top_p":
		a.within(0, 1, "must be a number from 0 to 1")
	case "presence_penalty", "frequency_penalty":
		a.within(-2, 2, "must be a number from -2 to 2")
	case "n":
		if n, _ := a.integer(1, 128, "must be a whole number from 1 to 128"); n > 1 {
			a.need(route.Choices)
		}
	case "logprobs":
		if a.boolean() {
			a.need(route.Logprobs)
		}
	case "top_logprobs":
		if n, _ := a.integer(0, 20, "must be a whole number from 0 to 20"); n > 0 {
			a.need(route.Logprobs)
		}
	case "stop":
		if a.peek() == '"' {
			a.str()
			return
		}
		a.strings(4, "must be a string or an array of at most 4 strings")
	case "seed":
		if !a.null() {
			a.numeral("must be a whole number")
		}
	case "logit_bias", "audio":
		a.anyObject()
	case "modalities":
		a.modalities()
	case "response_format":
		a.responseFormat()
	case "reasoning_effort":
		if i := a.enum(openAIEfforts, "must be none, minimal, "+effortWords); i > 0 {
			a.facts.effort = effort(i)
		}
	case "thinking":
		a.thinkingField()
	case "prompt_cache_key":
		if t, given := a.optionalString(); given && !a.failed() {
			a.session(a.plain(t))
		}
	case "user", "safety_identifier", "service_tier", "verbosity":
		a.optionalString()
	case "store":
		a.boolean()
	case "models", "fallbacks":
		a.furtherModels()
	default:
		a.value()
	}
}

func (a *Analyzer) modalities() {
	if a.null() {
		return
	}
	for l := a.list("must be an array of strings"); a.element(&l); {
		if t := a.stringValue(); string(a.plain(t)) == "audio" {
			a.need(route.AudioOut)
		}
	}
}

var responseFormats = []string{"text", "json_object", "json_schema"}

// responseFormat reads what the answer is held to be.
func (a *Analyzer) responseFormat() {
	if a.null() {
		return
	}
	a.peek()
	start := a.at
	kind, schema := -1, false
	for o := a.record("must be an object"); a.member(&o); {
		switch string(o.key) {
		case "type":
			kind = a.enum(responseFormats, "must be text, json_object or json_schema")
		case "json_schema":
			schema = true
			a.named((*Analyzer).jsonSchema)
		default:
			a.value()
		}
	}
	if a.failed() {
		return
	}
	switch kind {
	case -1:
		a.lack(start, "type", "is required")
	case 1:
		// It can be asked for in words where it cannot be enforced.
		a.out.Ask.Wants |= route.JSONObject
	case 2:
		a.need(route.JSONSchema)
		if !schema {
			a.lack(start, "json_schema", "is required where type is json_schema")
		}
	}
}

// named reads an object that must have a name; other reads the member of any other key.
func (a *Analyzer) named(other func(a *Analyzer, key []byte)) {
	a.peek()
	start, named := a.at, false
	for o := a.record("must be an object"); a.member(&o); {
		if string(o.key) == "name" {
			a.name()
			named = true
			continue
		}
		other(a, o.key)
	}
	if !a.failed() && !named {
		a.lack(start, "name", "is required")
	}
}

func (a *Analyzer) jsonSchema(key []byte) {
	switch string(key) {
	case "schema":
		if a.peek() != '{' {
			a.unexpected("must be an object")
		}
		a.counted()
	case "strict":
		a.boolean()
	case "description":
		a.optionalString()
	default:
		a.value()
	}
}

var toolKinds = []string{"function", "custom"}

// openAITool reads one tool: a function, or a custom one whose input is plain text or held to a grammar.
func (a *Analyzer) openAITool() {
	start := a.at
	kind, function, custom := text{}, false, false
	for o := a.record("must be a tool object"); a.member(&o); {
		switch string(o.key) {
		case "type":
			kind = a.name()
		case "function":
			function = true
			a.function()
		case "custom":
			custom = true
			a.named((*Analyzer).customTool)
		default:
			a.value()
		}
	}
	if a.failed() {
		return
	}
	switch string(a.plain(kind)) {
	case "":
		a.lack(start, "type", "is required")
	case "function":
		if !function {
			a.lack(start, "function", "is required")
		}
	case "custom":
		if !custom {
			a.lack(start, "custom", "is required")
		}
		a.facts.clientTools++
	default: // a provider's own kind, which passes to providers of that format
		a.facts.clientTools++
	}
}

// function reads the declaration of a function.
func (a *Analyzer) function() {
	a.named((*Analyzer).functionMember)
	a.facts.clientTools++
}

func (a *Analyzer) functionMember(key []byte) {
	switch string(key) {
	case "description":
		a.optionalString()
	case "parameters":
		a.anyObject()
	case "strict":
		a.boolean()
	default:
		a.value()
	}
}

// customTool reads a member of the declaration of a tool whose input is text.
func (a *Analyzer) customTool(key []byte) {
	if string(key) == "format" {
		a.toolFormat()
		return
	}
	a.value()
}

func (a *Analyzer) toolFormat() {
	if a.null() {
		return
	}
	for o := a.record("must be an object"); a.member(&o); {
		if string(o.key) == "type" {
			if string(a.plain(a.name())) == "grammar" {
				a.out.Ask.Wants |= route.GrammarTools
			}
			continue
		}
		a.value()
	}
}

var openAIToolChoices = []string{"", "auto", "none", "required"}

func (a *Analyzer) openAIToolChoice() {
	if a.peek() != '{' {
		a.facts.toolForced = a.enum(openAIToolChoices, "must be none, auto, required or an object") == 3
		return
	}
	start := a.at
	typed := false
	for o := a.object(); a.member(&o); {
		if string(o.key) != "type" {
			a.value()
			continue
		}
		a.name()
		typed = true
	}
	if !a.failed() && !typed {
		a.lack(start, "type", "is required")
	}
	a.facts.toolForced = true
}
