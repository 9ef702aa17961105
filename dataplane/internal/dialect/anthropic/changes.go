package anthropic

import (
	"bytes"
	"slices"

	"github.com/aimux/aimux/dataplane/internal/dialect"
)

// change is a tool that comes or goes in the middle of a conversation.
type change struct {
	gone bool
	tool dialect.Value // a reference or a definition
	path string
}

// change leaves those tools that the conversation has ended with: other formats know one list for all of it.
func (r *request) change() {
	for _, c := range r.changes {
		switch kind := c.tool.Get("type").Plain(); {
		case kind == "tool_reference" && c.gone:
			r.Tools = slices.DeleteFunc(r.Tools, func(t dialect.Tool) bool { return bytes.Equal(t.Name, c.tool.Get("name").Text()) })
		case kind == "tool_reference": // it is among the tools, which are all sent
		case kind == "tool_definition" && !c.gone:
			r.tool(c.tool.Get("definition"), len(r.Tools), c.path+".definition")
		default:
			r.notes.Degrade(c.path, "tools of this kind cannot change within a conversation")
		}
	}
}

// perTurn takes what a system message says of the turn that it stands in. What it said of former turns is past.
func (r *request) perTurn(output, messages dialect.Value, i int) {
	for key, value := range output.Fields() {
		switch {
		case !value.Set():
		case string(key) == "effort":
			if !turnBehind(messages, i, "assistant") {
				r.effort = value.Plain()
			}
		default:
			r.notes.Degrade(dialect.Path("messages", i, "output_config", string(key)), "unknown to the provider's format")
		}
	}
}

// turnBehind reports a turn of that role behind message i.
func turnBehind(messages dialect.Value, i int, role string) bool {
	for j, m := range messages.Items() {
		if j > i && m.Get("role").Plain() == role {
			return true
		}
	}
	return false
}
