package openai

import (
	"bytes"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/route"
)

// encodeTools appends the tools that the client runs, and what the client said of their use. Tools that a provider runs itself have no
// place in this format.
func encodeTools(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	tools := make([]*dialect.Tool, 0, len(r.Tools))
	for i := range r.Tools {
		t := &r.Tools[i]
		if t.Server != "" {
			continue
		}
		if r.Choice.Allowed == nil || holds(r.Choice.Allowed, t.Name) {
			tools = append(tools, t)
		}
	}
	dst = serverTools(dst, r, out, len(tools) > 0)
	if len(tools) == 0 {
		return dst
	}
	if out.Target.Lacks(route.Tools) {
		out.Notes.Refuse("tools", "the model has no tools")
		return dst
	}
	dst = append(dialect.Key(dst, "tools"), '[')
	for _, t := range tools {
		dst = encodeTool(dialect.Item(dst), t, out)
	}
	dst = append(dst, ']')
	dst = encodeChoice(dst, r, out)
	if r.OneTool && gone(false, "parallel_tool_calls", out) {
		dst = append(dialect.Key(dst, "parallel_tool_calls"), "false"...)
	}
	return dst
}

func holds(list []dialect.Text, name dialect.Text) bool {
	for _, item := range list {
		if bytes.Equal(item, name) {
			return true
		}
	}
	return false
}

// serverTools leaves out what the provider would have to run, if the request still makes sense without.
func serverTools(dst []byte, r *dialect.Request, out *dialect.Outbound, others bool) []byte {
	for i := range r.Tools {
		t := &r.Tools[i]
		path := dialect.Path("tools", t.At)
		switch {
		case t.Server == "":
		case t.Server == "tool_search":
			// Every tool is sent, so nothing has to be searched for.
		case t.Server == "web_search" && out.Takes("web_search_options"):
			dst = append(dialect.Key(dst, "web_search_options"), "{}"...)
		case others && r.Choice.Mode != dialect.ChoiceOne && r.Choice.Mode != dialect.ChoiceAny:
			out.Notes.Degrade(path, "the provider has no server tool "+t.Server)
		default:
			out.Notes.Refuse(path, "the provider has no server tool "+t.Server)
		}
	}
	return dst
}

func encodeTool(dst []byte, t *dialect.Tool, out *dialect.Outbound) []byte {
	dst = append(dst, `{"type":"function","function":{`...)
	dst = dialect.TextField(dst, "name", out.Names.Wire(t.Name))
	if len(t.Description) > 0 || t.Examples != nil {
		dst = append(dialect.Key(dst, "description"), '"')
		dst = append(dst, t.Description...)
		if t.Examples != nil {
			dst = append(dst, `\n\nExamples of inputs: `...)
			dst = dialect.AppendJSONInString(dst, t.Examples)
			out.Notes.Degrade(dialect.Path("tools", t.At, "input_examples"), "told in the description")
		}
		dst = append(dst, '"')
	}
	strict := t.Strict
	if strict.True() {
		closed, ok := dialect.AppendStrictSchema(nil, t.Schema)
		if !ok {
			out.Notes.Degrade(dialect.Path("tools", t.At, "strict"), "the provider is strict only with schemas that leave nothing open")
			strict = nil
		} else {
			t.Schema = closed
		}
	}
	dst = dialect.AppendSchema(dialect.Key(dst, "parameters"), t.Schema)
	if strict != nil && !out.Refuses("tools[].function.strict") {
		dst = dialect.ValueField(dst, "strict", strict)
	}
	return append(dst, '}', '}')
}

func encodeChoice(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	word := ""
	switch r.Choice.Mode {
	case dialect.ChoiceUnset:
		return dst
	case dialect.ChoiceAuto:
		word = "auto"
	case dialect.ChoiceAny:
		word = "required"
	case dialect.ChoiceNone:
		word = "none"
	}
	if out.Refuses("tool_choice") {
		if r.Choice.Mode != dialect.ChoiceAuto {
			out.Notes.Degrade("tool_choice", "the provider does not take it")
		}
		return dst
	}
	if word != "" {
		return dialect.StringField(dst, "tool_choice", word)
	}
	dst = append(dialect.Key(dst, "tool_choice"), `{"type":"function","function":{`...)
	dst = dialect.TextField(dst, "name", out.Names.Wire(r.Choice.Name))
	return append(dst, '}', '}')
}
