package synthetic

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// A dialect is the wire format of a path.
type dialect int

const (
	anthropic dialect = iota
	openai
)

// An ask is what a request says, in either dialect, as far as an answer depends on it.
type ask struct {
	dialect   dialect
	body      value
	model     string
	stream    bool
	withUsage bool // stream_options.include_usage
	splitting bool // reasoning_split
	maxTokens int  // -1 when not said
	stops     []string
	tools     []offer
	choice    choice
	messages  []message
	schema    value // the JSON schema that the answer has to satisfy
	wantJSON  bool  // any JSON object will do
}

type message struct {
	role    string
	content value
	whole   value
}

// An offer is a tool that the caller runs and the model may call.
type offer struct {
	name   string
	schema value
}

// A choice is the caller's tool_choice: mode is auto, any, none or tool.
type choice struct {
	mode string
	name string
}

// An image is one that was found in a request, wherever it stood.
type image struct {
	media string
	data  string // base64, or empty
	url   string
}

func readAsk(d dialect, body value) ask {
	a := ask{dialect: d, body: body, maxTokens: -1, choice: choice{mode: "auto"}}
	for key, v := range body.members {
		switch key {
		case "model":
			a.model = v.str()
		case "stream":
			a.stream = v.yes()
		case "messages":
			a.messages = readMessages(v)
		case "tools":
			a.tools = readOffers(v)
		case "tool_choice":
			a.choice = readChoice(v)
		case "max_tokens", "max_completion_tokens":
			if n, ok := v.integer(); ok {
				a.maxTokens = n
			}
		case "stop", "stop_sequences":
			a.stops = readStops(v)
		case "stream_options":
			a.withUsage = v.get("include_usage").yes()
		case "reasoning_split":
			a.splitting = v.yes()
		case "response_format":
			a.schema = v.get("json_schema").get("schema")
			a.wantJSON = v.get("type").str() == "json_object"
		case "output_config":
			a.schema = v.get("format").get("schema")
		}
	}
	return a
}

func readMessages(list value) []message {
	var messages []message
	for _, item := range list.items {
		m := message{whole: item}
		for key, v := range item.members {
			switch key {
			case "role":
				m.role = v.str()
			case "content":
				m.content = v
			}
		}
		messages = append(messages, m)
	}
	return messages
}

// readOffers keeps the tools that the caller runs itself: functions, custom tools, and the vendor-defined client tools.
func readOffers(list value) []offer {
	var offers []offer
	for _, item := range list.items {
		kind := item.get("type").str()
		if f := item.get("function"); f.object() {
			offers = append(offers, offer{f.get("name").str(), f.get("parameters")})
			continue
		}
		if c := item.get("custom"); c.object() && kind == "custom" {
			offers = append(offers, offer{name: c.get("name").str()})
			continue
		}
		if !serverTool(kind) {
			offers = append(offers, offer{item.get("name").str(), item.get("input_schema")})
		}
	}
	return offers
}

// serverTool says whether a tool of this type is run by the provider rather than by the caller.
func serverTool(kind string) bool {
	for _, family := range [...]string{"web_search", "web_fetch", "code_execution", "tool_search_tool", "mcp_toolset", "advisor"} {
		if strings.HasPrefix(kind, family) {
			return true
		}
	}
	return false
}

func readChoice(v value) choice {
	if v.text() {
		if mode := v.str(); mode != "required" {
			return choice{mode: mode}
		}
		return choice{mode: "any"}
	}
	switch kind := v.get("type").str(); kind {
	case "function", "custom":
		return choice{mode: "tool", name: v.get(kind).get("name").str()}
	case "allowed_tools":
		if v.get("allowed_tools").get("mode").str() == "required" {
			return choice{mode: "any"}
		}
		return choice{mode: "auto"}
	default:
		return choice{mode: kind, name: v.get("name").str()}
	}
}

func readStops(v value) []string {
	if v.text() {
		return []string{v.str()}
	}
	var stops []string
	for _, item := range v.items {
		stops = append(stops, item.str())
	}
	return stops
}

// begun is the text that the caller has put into the assistant's mouth, for it to go on from.
func (a *ask) begun() string {
	if n := len(a.messages); n > 0 && a.messages[n-1].role == "assistant" {
		return strings.Join(texts(a.messages[n-1].content), "")
	}
	return ""
}

// turn is the messages after the assistant last spoke. Words that it is to go on from are none of its own.
func (a *ask) turn() []message {
	last := len(a.messages)
	if a.begun() != "" {
		last--
	}
	for i := last; i > 0; i-- {
		if a.messages[i-1].role == "assistant" {
			return a.messages[i:last]
		}
	}
	return a.messages[:last]
}

// prompt is the last text the user wrote in this turn. Reminders that coding agents add in tags don't count.
func (a *ask) prompt() string {
	last := ""
	for _, m := range a.turn() {
		if m.role != "user" {
			continue
		}
		for _, text := range texts(m.content) {
			if trimmed := strings.TrimSpace(text); trimmed != "" && !strings.HasPrefix(trimmed, "<") {
				last = trimmed
			}
		}
	}
	return last
}

// results are the texts of the tool results of this turn.
func (a *ask) results() []string {
	var results []string
	for _, m := range a.turn() {
		if m.role == "tool" {
			results = append(results, strings.Join(texts(m.content), "\n"))
		}
		for _, block := range m.content.items {
			if block.get("type").str() == "tool_result" {
				results = append(results, strings.Join(texts(block.get("content")), "\n"))
			}
		}
	}
	return results
}

// texts are the text blocks of a content, which may be a plain string.
func texts(content value) []string {
	if content.text() {
		return []string{content.str()}
	}
	var found []string
	for _, block := range content.items {
		if block.get("type").str() == "text" {
			found = append(found, block.get("text").str())
		}
	}
	return found
}

// images finds every image of the request, those inside tool results too.
func (a *ask) images() []image {
	var found []image
	for _, m := range a.messages {
		found = appendImages(found, m.content)
	}
	return found
}

func appendImages(found []image, content value) []image {
	for _, block := range content.items {
		switch block.get("type").str() {
		case "image":
			source := block.get("source")
			found = append(found, image{source.get("media_type").str(), source.get("data").str(), source.get("url").str()})
		case "image_url":
			found = append(found, dataURL(block.get("image_url").get("url").str()))
		case "tool_result":
			found = appendImages(found, block.get("content"))
		}
	}
	return found
}

func dataURL(url string) image {
	rest, isData := strings.CutPrefix(url, "data:")
	if !isData {
		return image{url: url}
	}
	media, data, _ := strings.Cut(rest, ";base64,")
	return image{media: media, data: data}
}

// String says what is known of the image, so that a test can tell whether it came through whole.
func (i image) String() string {
	if i.url != "" {
		return "an image at " + i.url
	}
	data, err := base64.StdEncoding.DecodeString(i.data)
	if err != nil {
		return fmt.Sprintf("an image of type %s that is not valid base64", i.media)
	}
	return fmt.Sprintf("an image of type %s, %d bytes, sha256 %.8x", i.media, len(data), sha256.Sum256(data))
}

// promptTokens estimates the size of the prompt at four bytes a token.
func (a *ask) promptTokens() int { return len(a.body)/4 + 1 }
