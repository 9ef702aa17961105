package analyze

import "github.com/aimux/aimux/shared/route"

var openAIRoles = []string{"user", "assistant", "system", "developer", "tool", "function"}

const (
	developerRole = 3
	toolRole      = 4
	functionRole  = 5
)

// openAITurn is what has been read of a message; its members come in any order.
type openAITurn struct {
	role      int
	content   bool
	calls     int
	answers   bool
	named     bool
	otherwise bool // says something without content: a refusal, reasoning, an earlier audio
}

// openAIMessage reads one message.
func (a *Analyzer) openAIMessage() {
	a.peek()
	start := a.at
	m := openAITurn{role: -1}
	for o := a.record("must be a message object"); a.member(&o); {
		switch string(o.key) {
		case "role":
			m.role = a.enum(openAIRoles, "must be user, assistant, system, developer, tool or function")
		case "content":
			m.content = a.openAIContent()
		case "tool_calls":
			m.calls = a.toolCalls()
		case "tool_call_id":
			m.answers = !a.name().empty()
		case "function_call":
			if !a.null() {
				m.calls++
				a.named((*Analyzer).calledFunction)
			}
		case "name":
			_, m.named = a.optionalString()
		case "refusal", "reasoning_content", "reasoning":
			a.out.Thought = a.out.Thought || string(o.key) != "refusal"
			if t, given := a.optionalString(); given && !a.failed() {
				a.count(t)
				m.otherwise = true
			}
		case "audio":
			m.otherwise = !a.null()
			if m.otherwise {
				a.anyObject()
			}
		case "thinking_blocks", "reasoning_details":
			m.otherwise = true
			a.value()
		default:
			a.value()
		}
	}
	if !a.failed() {
		a.judgeMessage(&m, start)
	}
}

// judgeMessage checks a message that has been read, and notes whose turn it belongs to.
func (a *Analyzer) judgeMessage(m *openAITurn, start int) {
	switch {
	case m.role < 0:
		a.lack(start, "role", "is required")
	case m.role == assistantRole:
		if !m.content && m.calls == 0 && !m.otherwise {
			a.lack(start, "content", "is required where there are no tool calls")
		}
		a.assistantSaid(m.calls > 0, false)
	case m.role == functionRole:
		if !m.named {
			a.lack(start, "name", "is required")
		}
		a.toolAnswered()
	case !m.content:
		a.lack(start, "content", "is required")
	case m.role == toolRole:
		if !m.answers {
			a.lack(start, "tool_call_id", "is required")
		}
		a.toolAnswered()
	default:
		a.out.Developer = a.out.Developer || m.role == developerRole
		a.said(m.role != 0)
	}
}

// toolAnswered closes a tool's message: what it says is nobody's turn.
func (a *Analyzer) toolAnswered() { a.facts.toolHistory = true }

// openAIContent reads a message's content: a string, parts, or null. It reports whether there was any.
func (a *Analyzer) openAIContent() bool {
	switch a.peek() {
	case 'n':
		a.null()
		return false
	case '"':
		if t := a.str(); !a.failed() {
			a.heard(t)
		}
		return true
	}
	a.peek()
	start := a.at
	l := a.list("must be a string or an array of content parts")
	for a.element(&l) {
		a.part()
	}
	if !a.failed() && l.n == 0 {
		a.fail(start, "must have at least one part")
	}
	return true
}

// part reads one content part.
func (a *Analyzer) part() {
	a.peek()
	start := a.at
	var kind, said text
	given := false
	for o := a.record("must be a content part"); a.member(&o); {
		switch string(o.key) {
		case "type":
			kind = a.name()
		case "text":
			said, given = a.stringValue(), true
		case "image_url":
			given = true
			a.imageURL()
		case "input_audio":
			given = true
			a.anyObject()
		case "file":
			given = true
			a.fileOf()
		case "refusal":
			given = true
			a.count(a.stringValue())
		default:
			a.value()
		}
	}
	if a.failed() {
		return
	}
	var member string
	switch string(a.plain(kind)) {
	case "":
		a.lack(start, "type", "is required")
	case "text":
		member = "text"
		a.heard(said)
	case "image_url":
		member = "image_url"
		a.image()
	case "input_audio":
		member = "input_audio"
		a.need(route.AudioIn)
		a.tally.images++
	case "file":
		member = "file"
	case "refusal":
		member = "refusal"
	}
	if member != "" && !given {
		a.lack(start, member, "is required")
	}
}

// imageURL reads an image's address, or the image itself as a data URL. PDFs come this way too.
func (a *Analyzer) imageURL() {
	a.peek()
	start := a.at
	given := false
	for o := a.record("must be an object with a url"); a.member(&o); {
		if string(o.key) != "url" {
			a.value()
			continue
		}
		t := a.name()
		given = true
		if !a.failed() && a.begins(t, "data:application/pdf") {
			a.need(route.PDF)
			a.tally.pdf(t.end - t.start)
		}
	}
	if !a.failed() && !given {
		a.lack(start, "url", "is required")
	}
}

// fileOf reads a file, given whole or by its id.
func (a *Analyzer) fileOf() {
	a.peek()
	start := a.at
	given := false
	for o := a.record("must be an object"); a.member(&o); {
		switch string(o.key) {
		case "file_data":
			t := a.name()
			given = true
			if a.failed() {
				return
			}
			if a.begins(t, "data:image/") {
				a.image()
				continue
			}
			a.need(route.PDF)
			a.tally.pdf(t.end - t.start)
		case "file_id":
			a.name()
			given = true
			a.need(route.FileIDs)
			a.tally.pdf(0)
		case "filename":
			a.optionalString()
		default:
			a.value()
		}
	}
	if !a.failed() && !given {
		a.lack(start, "file_data", "is required where there is no file_id")
	}
}

// toolCalls reads an assistant's calls and returns how many there are.
func (a *Analyzer) toolCalls() int {
	if a.null() {
		return 0
	}
	l := a.list("must be an array of tool calls")
	for a.element(&l) {
		a.toolCall()
	}
	return l.n
}

func (a *Analyzer) toolCall() {
	a.peek()
	start := a.at
	id, called := false, false
	for o := a.record("must be a tool call"); a.member(&o); {
		switch string(o.key) {
		case "id":
			id = !a.name().empty()
		case "type":
			a.enum(toolKinds, "must be function or custom")
		case "function":
			called = true
			a.named((*Analyzer).calledFunction)
		case "custom":
			called = true
			a.counted()
		default:
			a.value()
		}
	}
	a.tally.calls++
	switch {
	case a.failed():
	case !id:
		a.lack(start, "id", "is required")
	case !called:
		a.lack(start, "function", "is required")
	}
}

// calledFunction reads a member of a call beside the name. The arguments are a string, not looked into.
func (a *Analyzer) calledFunction(key []byte) {
	if string(key) != "arguments" {
		a.value()
		return
	}
	if t, given := a.optionalString(); given && !a.failed() {
		a.count(t)
	}
}
