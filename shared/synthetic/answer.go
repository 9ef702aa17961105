package synthetic

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// An answer is what the model says, before it is put into a dialect.
type answer struct {
	parts   []part
	finish  string // by its OpenAI name: stop, length, tool_calls, content_filter, …
	matched string // the stop sequence that ended the text
	usage   usage
}

type partKind int

const (
	textPart partKind = iota
	thinkingPart
	redactedPart
	callPart
	serverPart
	refusalPart
)

// A part is one block of an answer: a text of some kind in tokens, or a tool call.
type part struct {
	kind   partKind
	tokens []string
	call   call
}

// A call is one tool call; its arguments come in fragments.
type call struct {
	id, name  string
	fragments []string
}

// A usage counts tokens; input leaves out what the cache read or wrote.
type usage struct {
	input, output, cached, written, reasoning int
}

func (p *part) text() string      { return strings.Join(p.tokens, "") }
func (c *call) arguments() string { return strings.Join(c.fragments, "") }

// compose makes the answer that the script asks for.
func (x *exchange) compose() answer {
	s, a := &x.script, answer{finish: "stop"}
	text, calls := x.content()
	text = onward(text, x.ask.begun())
	if s.has(thinks) {
		a.add(thinkingPart, tokenize("The user wants an answer. I think — 考えて — and then I answer."))
	}
	if s.has(thinksRedacted) {
		a.parts = append(a.parts, part{kind: redactedPart})
	}
	if s.has(serverCall) {
		a.parts = append(a.parts, part{kind: serverPart})
	}
	switch {
	case s.has(refuses):
		a.add(refusalPart, tokenize("I can’t help with that."))
	case s.has(empties):
	case text != nil:
		a.add(textPart, text)
	}
	for n := range calls {
		a.parts = append(a.parts, part{kind: callPart, call: x.call(n)})
		a.finish = "tool_calls"
	}
	if s.has(callThenText) {
		a.add(textPart, tokenize("And a word after the call."))
	}
	x.limit(&a)
	if s.has(callCut) {
		a.finish = "length"
	}
	if s.finish != "" {
		a.finish = s.finish
	}
	x.count(&a)
	return a
}

func (a *answer) add(kind partKind, tokens []string) {
	a.parts = append(a.parts, part{kind: kind, tokens: tokens})
}

// content is the text of the answer, nil for none, and the number of tool calls.
func (x *exchange) content() (text []string, calls int) {
	s := &x.script
	results := x.ask.results()
	wantsCall := s.calls > 0 || s.has(agent) && len(x.ask.tools) > 0 || s.plain && x.invited()
	// Whoever really runs the tools comes back with their results; calling again would never end.
	if wantsCall && len(results) == 0 {
		calls = max(s.calls, 1)
	}
	switch {
	case s.say != "":
		return tokenize(s.say), calls
	case s.tokens > 0:
		return filler(s.tokens, x.server.config.Seed), calls
	case s.line > 0:
		return []string{strings.Repeat("x", s.line)}, calls
	case s.has(echoes):
		return []string{x.echo()}, calls
	case s.has(acknowledges):
		return tokenize(x.acknowledgement()), calls
	case s.has(thinksStray):
		return tokenize("One thought </think> and the answer."), calls
	case calls > 0 && !s.has(speaks|emptyText|cites):
		return nil, calls
	case len(results) > 0:
		return tokenize("The tool answered: " + strings.Join(results, "; ")), 0
	case s.plain && x.ask.schema.object():
		return tokenize(sample(x.ask.schema, "", "")), 0
	case s.plain && x.ask.wantJSON:
		return tokenize(`{"answer":"aimux"}`), 0
	}
	return tokenize(x.sentence()), calls
}

// onward is the rest of a text that the caller has begun itself; a text that begins otherwise is said whole.
func onward(text []string, begun string) []string {
	rest, ok := strings.CutPrefix(strings.Join(text, ""), begun)
	if begun == "" || !ok {
		return text
	}
	return tokenize(rest)
}

// invited says whether a plain answer should be a tool call: the caller forces one, or the user asks for it in words.
func (x *exchange) invited() bool {
	switch {
	case x.ask.choice.mode == "none" || len(x.ask.tools) == 0:
		return false
	case x.ask.choice.mode == "any" || x.ask.choice.mode == "tool":
		return true
	}
	prompt := strings.ToLower(x.ask.prompt())
	return strings.Contains(prompt, "use the tool") || strings.Contains(prompt, "call the tool") ||
		strings.Contains(prompt, "use the "+strings.ToLower(x.tool(0).name)+" tool")
}

// sentence is the usual answer.
func (x *exchange) sentence() string {
	prompt := strings.ToValidUTF8(x.ask.prompt(), "\uFFFD")
	const most = 80
	if runes := []rune(prompt); len(runes) > most {
		prompt = string(runes[:most]) + "…"
	}
	return fmt.Sprintf("Hello from %s, a scripted provider. You said: “%s”.", x.server.config.Name, prompt)
}

func (x *exchange) acknowledgement() string {
	images := x.ask.images()
	words := make([]string, 0, len(images)+1)
	words = append(words, fmt.Sprintf("I see %d images", len(images)))
	for _, i := range images {
		words = append(words, i.String())
	}
	return strings.Join(words, "; ") + "."
}

// echo is the request as JSON. The credential is left out of it: echoes end up in logs.
func (x *exchange) echo() string {
	b := appendString([]byte(`{"method":`), x.r.Method)
	b = appendString(append(b, `,"path":`...), x.r.URL.Path)
	b = appendString(append(b, `,"query":`...), x.r.URL.RawQuery)
	b = append(b, `,"headers":`...)
	b = appendHeaders(b, x.r.Header)
	b = append(append(b, `,"body":`...), x.ask.body...)
	return string(append(b, '}'))
}

// appendHeaders appends headers as a JSON object of lists, in order of their names, credentials hidden.
func appendHeaders(dst []byte, h http.Header) []byte {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, strings.ToLower(name)), ":["...)
		for j, v := range h[name] {
			if j > 0 {
				dst = append(dst, ',')
			}
			if name == "Authorization" || name == "X-Api-Key" {
				v = "[secret]"
			}
			dst = appendString(dst, v)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// tool chooses what the nth call calls: the tool that the caller forces, or the prompt names, or a shell, or the first.
// Without a shell further calls go to further tools.
func (x *exchange) tool(n int) offer {
	tools := x.ask.tools
	if len(tools) == 0 || x.script.has(callsUnasked) {
		return offer{name: [...]string{"lookup", "search"}[n%2]}
	}
	prompt := x.ask.prompt()
	for _, t := range tools {
		if t.name == x.ask.choice.name {
			return t
		}
	}
	for _, t := range tools {
		if t.name != "" && strings.Contains(prompt, t.name) {
			return t
		}
	}
	for _, t := range tools {
		if strings.EqualFold(t.name, "bash") {
			return t
		}
	}
	return tools[n%len(tools)]
}

func (x *exchange) call(n int) call {
	s, t := &x.script, x.tool(n)
	c := call{id: x.id("call_"), name: t.name}
	if x.ask.dialect == anthropic {
		c.id = x.id("toolu_01")
	}
	switch {
	case s.has(callNoID):
		c.id = ""
	case s.has(callSameID):
		c.id = "call_same"
	case s.has(callOddID):
		c.id = fmt.Sprintf("functions.%s:%d", t.name, n)
	}
	mark := ""
	if n > 0 {
		mark = fmt.Sprint(" ", n+1)
	}
	arguments := sample(t.schema, mark, x.ask.prompt())
	switch {
	case s.has(callEmpty):
		arguments = ""
	case s.has(callBadJSON):
		arguments = `{"query": "aimux", oops`
	case s.has(callCut):
		arguments = arguments[:len(arguments)/2]
	}
	if s.has(callWhole | callInStart) {
		c.fragments = []string{arguments}
	} else {
		c.fragments = fragment(arguments, 7)
	}
	return c
}

// limit applies what the caller limits: stop sequences first, then the number of tokens.
func (x *exchange) limit(a *answer) {
	spent := 0
	for i := range a.parts {
		p := &a.parts[i]
		if p.kind == textPart && !x.vendor.ignoresStops(x.ask.dialect) {
			if kept, stop := cutAtStop(p.text(), x.ask.stops); stop != "" {
				p.tokens, a.parts = tokenize(kept), a.parts[:i+1]
				a.finish, a.matched = "stop", stop
				break
			}
		}
		spent += len(p.tokens)
		if most := x.ask.maxTokens; most >= 0 && spent > most && p.kind != callPart {
			p.tokens, a.parts = p.tokens[:len(p.tokens)-(spent-most)], a.parts[:i+1]
			a.finish = "length"
			return
		}
	}
}

// cutAtStop returns the text before the first of the stop sequences, and which one it was.
func cutAtStop(text string, stops []string) (kept, stop string) {
	first := len(text)
	for _, candidate := range stops {
		if at := strings.Index(text, candidate); candidate != "" && at >= 0 && at < first {
			first, stop = at, candidate
		}
	}
	return text[:first], stop
}

func (x *exchange) count(a *answer) {
	u := usage{input: x.ask.promptTokens(), cached: x.script.cached, written: x.script.written}
	for i := range a.parts {
		p := &a.parts[i]
		u.output += len(p.tokens) + len(p.call.fragments)
		if p.kind == thinkingPart {
			u.reasoning += len(p.tokens)
		}
	}
	a.usage = u
}

// signature signs a thinking text, so that the server knows its own when it comes back.
func (s *Server) signature(thinking string) string {
	mac := hmac.New(sha256.New, fmt.Appendf(nil, "%s %d", s.config.Name, s.config.Seed))
	mac.Write([]byte(thinking))
	return "ErUB" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// tokenize splits a text into words with the space before them.
func tokenize(text string) []string {
	var tokens []string
	for text != "" {
		end := strings.IndexByte(text[1:], ' ') + 1
		if end == 0 {
			end = len(text)
		}
		tokens = append(tokens, text[:end])
		text = text[end:]
	}
	return tokens
}

// filler is a text of n tokens.
func filler(n int, seed uint64) []string {
	words := [...]string{" the", " river", " runs", " slowly", " past", " an", " old", " mill", " and", " nobody", " minds", " its", " café", " 水", " at", " dusk"}
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = words[(uint64(i)*7+seed)%uint64(len(words))]
	}
	return tokens
}

// fragment cuts a text into pieces of about size bytes, never inside a character.
func fragment(text string, size int) []string {
	var pieces []string
	for len(text) > size {
		end := size
		for !utf8.RuneStart(text[end]) && end > 1 {
			end--
		}
		pieces = append(pieces, text[:end])
		text = text[end:]
	}
	if text != "" {
		pieces = append(pieces, text)
	}
	return pieces
}
