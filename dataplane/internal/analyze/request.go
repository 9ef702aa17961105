package analyze

import "github.com/aimux/aimux/shared/route"

// effort is how much reasoning a client asked for, in the order of the levels.
type effort uint8

const (
	effortUnset effort = iota
	effortNone
	effortMinimal
	effortLow
	effortMedium
	effortHigh
)

var (
	// The words of the formats. Those of OpenAI stand in the order of the levels.
	openAIEfforts    = []string{"", "none", "minimal", "low", "medium", "high", "xhigh", "max"}
	anthropicEfforts = []string{"", "low", "medium", "high", "xhigh", "max"}
)

const tokensMax = 1 << 30 // of max_tokens and budgets: far above any model's, far below overflow

// modelField reads the model.
func (a *Analyzer) modelField() {
	a.peek()
	start := a.at
	t := a.name()
	if t.end-t.start > nameBytesMax {
		a.fail(start, "must not be longer than 512 bytes")
	}
	if a.failed() {
		return
	}
	a.out.Ask.Model = a.intern(t)
}

// furtherModels reads a member of others' formats: the models that a provider may use in place of the one asked for.
func (a *Analyzer) furtherModels() {
	a.out.Ask.Further = a.peek() != 'n' || a.out.Ask.Further
	a.value()
}

// streamField reads the stream flag.
func (a *Analyzer) streamField() { a.out.Stream = a.boolean() }

// noteMember notes where the member stands whose value has been walked since start.
func (a *Analyzer) noteMember(o *object, start int) {
	a.out.Members.add(Member{Key: Span{o.keyAt, o.keyEnd}, Value: Span{start, a.at}})
}

// finishRequest checks what every request must have.
func (a *Analyzer) finishRequest(start int, messages bool) {
	switch {
	case a.failed():
	case a.out.Ask.Model == "":
		a.lack(start, "model", "is required")
	case !messages:
		a.lack(start, "messages", "is required")
	}
}

// messages walks the conversation with a reader for one message.
func (a *Analyzer) messages(read func(*Analyzer)) {
	a.peek()
	start := a.at
	l := a.list("must be an array of messages")
	for a.element(&l) {
		a.pending.n = 0
		read(a)
		a.tally.messages++
	}
	if !a.failed() && l.n == 0 {
		a.fail(start, "must have at least one message")
	}
	if a.turn.n > 0 {
		a.last.take(&a.turn)
	}
}

// said closes a message of somebody who is not the assistant: its text belongs to the turn that is being spoken.
func (a *Analyzer) said(system bool) {
	f := &a.facts
	f.prefill = false
	if system {
		f.systemHash = a.pending.hash(f.systemHash, a.body, !f.userSeen)
		if a.pending.contains(a.body, "ultrathink") {
			f.ultrathink, f.ultraAnswered = true, false
		}
		return
	}
	if a.pending.n > 0 {
		// A human speaks anew; tool results alone belong to the turn before.
		f.ultrathink = f.ultrathink && !f.ultraAnswered
		a.turn.add(&a.pending)
	}
	f.firstHash = a.pending.hash(f.firstHash, a.body, !f.userSeen)
	f.userSeen = true
}

// assistantSaid closes an assistant's message, and with it the turn before.
func (a *Analyzer) assistantSaid(tools, endsInText bool) {
	f := &a.facts
	f.openTools = tools
	f.toolHistory = f.toolHistory || tools
	f.prefill = endsInText
	f.ultraAnswered = true
	if a.turn.n > 0 {
		a.last.take(&a.turn)
	}
}

// count adds a string's text to the prompt's tokens.
func (a *Analyzer) count(t text) { a.tally.add(a.body[t.start:t.end], t.unicode) }

// counted walks any value and adds it to the prompt's tokens as it stands.
func (a *Analyzer) counted() {
	a.peek()
	start := a.at
	a.value()
	if !a.failed() {
		a.tally.add(a.body[start:a.at], false)
	}
}

func (a *Analyzer) need(c route.Capability) {
	a.out.Ask.Needs |= c
	a.sight(c)
}

// sight notes where the body stands if this is the capability whose reason is looked for.
func (a *Analyzer) sight(c route.Capability) {
	if a.seek&c != 0 && a.sighted < 0 {
		a.sighted = a.at
	}
}
