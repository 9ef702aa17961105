package synthetic

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// turns judges the messages in order.
func (j *anthropicJudge) turns() *problem {
	last := ""
	for n, m := range j.ask.messages {
		at := fmt.Sprintf("messages.%d", n)
		switch {
		case !among(" user assistant system ", m.role):
			return invalid(at, "%s.role: Input should be 'user', 'assistant' or 'system'", at)
		case m.role == "system" && n == 0:
			return invalid(at, "messages.0: use the top-level 'system' parameter for the initial system prompt")
		case !m.content.text() && !m.content.array() && (m.role != "system" || m.content.given()):
			return invalid(at, "%s.content: Input should be a valid string or array", at)
		}
		for key := range m.whole.members {
			if !among(" role content ", key) && m.role != "system" {
				return invalid(at, "%s.%s: Extra inputs are not permitted", at, key)
			}
		}
		// Turns of one role count as one: only a change of roles closes a turn. System messages stand outside.
		if m.role != "system" {
			if m.role == "user" && last != "user" {
				if p := j.answered(n); p != nil {
					return p
				}
			}
			if m.role == "assistant" && last != "assistant" {
				j.open = nil
			}
			if last == "" && m.role != "user" {
				return invalid("messages", `messages: first message must use the "user" role`)
			}
			last = m.role
		}
		if p := j.message(n, m); p != nil {
			return p
		}
	}
	if len(j.open) > 0 {
		return j.unanswered(len(j.ask.messages)-1, j.open)
	}
	if last == "assistant" && !elderClaude(j.ask.model) && j.endpoint != tokenCount {
		return invalid("messages", "This model does not support assistant message prefill. The conversation must end with a user message.")
	}
	if begun := j.ask.begun(); last == "assistant" && strings.TrimRightFunc(begun, unicode.IsSpace) != begun {
		return invalid("messages", "messages: final assistant content cannot end with trailing whitespace")
	}
	return nil
}

// answered holds the user turn that starts at n against the calls before it: results first, one for each call. Messages
// of one role that follow each other are one turn.
func (j *anthropicJudge) answered(n int) *problem {
	missing := slices.Clone(j.open)
	behind := false
	for i := n; i < len(j.ask.messages) && j.ask.messages[i].role != "assistant"; i++ {
		m := j.ask.messages[i]
		if m.role == "system" {
			continue
		}
		behind = behind || m.content.text()
		for k, b := range m.content.items {
			if b.get("type").str() != "tool_result" {
				behind = true
				continue
			}
			id := b.get("tool_use_id").str()
			at := slices.Index(missing, id)
			if at < 0 {
				return invalid("messages", "messages.%d.content.%d: unexpected `tool_use_id` found in `tool_result` blocks: %s. "+
					"Each `tool_result` block must have a corresponding `tool_use` block in the previous message.", i, k, id)
			}
			if behind {
				return j.unanswered(n-1, missing)
			}
			missing = slices.Delete(missing, at, at+1)
		}
	}
	if len(missing) > 0 {
		return j.unanswered(n-1, missing)
	}
	j.open = nil
	return nil
}

func (*anthropicJudge) unanswered(n int, ids []string) *problem {
	return invalid("messages", "messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after: %s. "+
		"Each `tool_use` block must have a corresponding `tool_result` block in the next message.", n, strings.Join(ids, ", "))
}

func (j *anthropicJudge) message(n int, m message) *problem {
	at, final := fmt.Sprintf("messages.%d", n), n == len(j.ask.messages)-1
	switch empty := m.content.length() == 0; {
	case m.role == "system":
	case m.content.text() && m.content.str() == "" && (!final || m.role != "assistant"):
		return invalid(at, "%s: all messages must have non-empty content except for the optional final assistant message", at)
	case m.content.array() && empty && m.role == "user":
		return invalid(at, "%s: user messages must have non-empty content", at)
	}
	calls, first := 0, ""
	for k, b := range m.content.items {
		here, kind := fmt.Sprintf("%s.content.%d", at, k), b.get("type").str()
		if k == 0 {
			first = kind
		}
		if kind == "tool_use" {
			calls++
		} else if calls > 0 {
			return j.unanswered(n, j.open)
		}
		if p := j.block(here, kind, b, m.role); p != nil {
			return p
		}
		if p := j.cacheMark(here, b); p != nil {
			return p
		}
	}
	manual := j.ask.body.get("thinking").get("type").str() == "enabled"
	if calls > 0 && manual && first != "thinking" && first != "redacted_thinking" && n == j.lastAnswer() {
		return invalid(at, "%s.content.0.type: Expected `thinking` or `redacted_thinking`, but found `%s`. When `thinking` is enabled, "+
			"a final `assistant` message must start with a thinking block", at, first)
	}
	return nil
}

// lastAnswer is the place of the last assistant message.
func (j *anthropicJudge) lastAnswer() int {
	for i := len(j.ask.messages) - 1; i > 0; i-- {
		if j.ask.messages[i].role == "assistant" {
			return i
		}
	}
	return 0
}

// block judges one content block where it stands.
func (j *anthropicJudge) block(at, kind string, b value, role string) *problem {
	switch kind {
	case "text":
		return j.textBlock(at, b, role)
	case "image":
		return j.imageBlock(at, b)
	case "document":
		if role == "assistant" && j.version == secondVersion {
			return invalid(at, "%s: `document` blocks are not permitted in assistant messages", at)
		}
		return nil
	case "tool_use":
		return j.callBlockAt(at, b, role)
	case "tool_result":
		return j.resultBlock(at, b, role)
	case "thinking":
		return j.thinkingBlock(at, b, role)
	case "redacted_thinking":
		if data := b.get("data").str(); data == "" || !strings.Contains(redacted, data) {
			return invalid(at, "%s: Invalid `data` in `redacted_thinking` block", at)
		}
		return nil
	}
	if among(" search_result server_tool_use web_search_tool_result web_fetch_tool_result code_execution_tool_result bash_code_execution_tool_result "+
		"text_editor_code_execution_tool_result tool_search_tool_result container_upload mcp_tool_use mcp_tool_result mcp_tool_listing "+
		"advisor_tool_result compaction fallback tool_addition tool_removal ", kind) {
		return nil
	}
	return invalid(at, "%s: Input tag '%s' found using 'type' does not match any of the expected tags", at, kind)
}

func (j *anthropicJudge) textBlock(at string, b value, role string) *problem {
	for key := range b.members {
		if !among(" type text citations cache_control ", key) {
			return invalid(at, "%s.text.%s: Extra inputs are not permitted", at, key)
		}
	}
	switch text := b.get("text"); {
	case !text.text():
		return invalid(at, "%s.text.text: Field required", at)
	case text.str() == "":
		return invalid(at, "%s: text content blocks must be non-empty", at)
	case strings.TrimSpace(text.str()) == "":
		return invalid(at, "%s: text content blocks must contain non-whitespace text", at)
	case role == "user" && j.version == secondVersion && b.get("citations").length() > 0:
		return invalid(at, "%s.text.citations: citations are not permitted in user messages", at)
	}
	return nil
}

func (*anthropicJudge) imageBlock(at string, b value) *problem {
	source := b.get("source")
	switch source.get("type").str() {
	case "url", "file":
		return nil
	case "base64":
		if media := source.get("media_type").str(); !among(imageTypes, media) {
			return invalid(at, "%s.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'", at)
		}
		if data := source.get("data").str(); data == "" || !validBase64(data) {
			return invalid(at, "%s.image.source.base64: invalid base64 data", at)
		}
		return nil
	}
	return invalid(at, "%s.image.source: Input tag does not match any of the expected tags: 'base64', 'url', 'file'", at)
}

func validBase64(data string) bool {
	_, err := base64.StdEncoding.DecodeString(data)
	return err == nil
}

func (j *anthropicJudge) callBlockAt(at string, b value, role string) *problem {
	id := b.get("id").str()
	switch {
	case role != "assistant":
		return invalid(at, "%s: `tool_use` blocks can only be in `assistant` messages", at)
	case !plainName(id, "", 0):
		return invalid(at, "%s.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", at)
	case !plainName(b.get("name").str(), "", 200):
		return invalid(at, "%s.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,200}$'", at)
	case !b.get("input").object():
		return invalid(at, "%s.tool_use.input: Input should be a valid dictionary", at)
	case slices.Contains(j.open, id):
		return invalid(at, "messages: `tool_use` ids must be unique")
	}
	j.open = append(j.open, id)
	return nil
}

func (j *anthropicJudge) resultBlock(at string, b value, role string) *problem {
	for key := range b.members {
		if !among(" type tool_use_id content is_error cache_control toolset_name ", key) {
			return invalid(at, "%s.tool_result.%s: Extra inputs are not permitted", at, key)
		}
	}
	content := b.get("content")
	switch {
	case role != "user":
		return invalid(at, "%s: `tool_result` blocks can only be in `user` messages", at)
	case content.given() && !content.text() && !content.array():
		return invalid(at, "%s.tool_result.content: Input should be a valid string or array", at)
	case b.get("is_error").given() && !b.get("is_error").boolean():
		return invalid(at, "%s.tool_result.is_error: Input should be a valid boolean", at)
	}
	for n, inner := range content.items {
		here, kind := fmt.Sprintf("%s.tool_result.content.%d", at, n), inner.get("type").str()
		switch kind {
		case "text":
			// An empty text is allowed nowhere, here neither.
			if p := j.textBlock(here, inner, "tool"); p != nil {
				return p
			}
		case "image":
			if p := j.imageBlock(here, inner); p != nil {
				return p
			}
		case "document", "search_result", "tool_reference", "browser_state":
		default:
			return invalid(here, "%s: Input tag '%s' found using 'type' does not match any of the expected tags", here, kind)
		}
	}
	// Whether a result has its call was found out when the turn began; a turn that nothing was asked of has no results.
	return nil
}

func (j *anthropicJudge) thinkingBlock(at string, b value, role string) *problem {
	signature := b.get("signature").str()
	switch {
	case role != "assistant":
		return invalid(at, "%s: `thinking` blocks can only be in `assistant` messages", at)
	case b.get("cache_control") != nil:
		return invalid(at, "%s.thinking.cache_control: Extra inputs are not permitted", at)
	case signature != j.server.signature(b.get("thinking").str()):
		return invalid(at, "%s: Invalid `signature` in `thinking` block", at)
	}
	return nil
}

// cacheMark judges a cache_control and counts it.
func (j *anthropicJudge) cacheMark(at string, b value) *problem {
	mark := b.get("cache_control")
	if !mark.given() {
		return nil
	}
	j.marked++
	switch ttl := mark.get("ttl"); {
	case mark.get("type").str() != "ephemeral":
		return invalid(at, "%s.cache_control.type: Input should be 'ephemeral'", at)
	case ttl.given() && !among(" 5m 1h ", ttl.str()):
		return invalid(at, "%s.cache_control.ephemeral.ttl: Input should be '5m' or '1h'", at)
	case j.marked > 4:
		return invalid(at, "A maximum of 4 blocks with cache_control may be provided. Found %d.", j.marked)
	}
	return nil
}
