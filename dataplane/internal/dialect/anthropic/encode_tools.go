package anthropic

import (
	"bytes"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/route"
)

// encodeTools appends the tools and what the client said of their use.
func encodeTools(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	n := len(dst)
	dst = append(dialect.Key(dst, "tools"), '[')
	begun := false
	for i := range r.Tools {
		t := &r.Tools[i]
		if r.Choice.Allowed != nil && !allowed(r.Choice.Allowed, t.Name) {
			continue
		}
		switch {
		case t.Server == "":
			if out.Target.Lacks(route.Tools) {
				out.Notes.Refuse("tools", "the model has no tools")
			}
			dst, begun = encodeTool(dialect.Item(dst), t, out), true
		case t.Server == "web_search" && !out.Target.Lacks(route.WebSearch):
			if t.Raw.Get("search_context_size").Set() {
				out.Notes.Mention("web_search_options.search_context_size", "the provider's search has no such setting")
			}
			dst, begun = webSearch(dialect.Item(dst), t.Raw), true
		case len(r.Tools) > 1:
			out.Notes.Degrade("web_search_options", "the provider has no server tool "+t.Server)
		default:
			out.Notes.Refuse("web_search_options", "the provider has no server tool "+t.Server)
		}
	}
	if !begun {
		return dst[:n]
	}
	return encodeChoice(append(dst, ']'), r, out)
}

func allowed(list []dialect.Text, name dialect.Text) bool {
	for _, item := range list {
		if bytes.Equal(item, name) {
			return true
		}
	}
	return false
}

func encodeTool(dst []byte, t *dialect.Tool, out *dialect.Outbound) []byte {
	dst = dialect.TextField(append(dst, '{'), "name", out.Names.Wire(t.Name))
	if len(t.Description) > 0 {
		dst = dialect.TextField(dst, "description", t.Description)
	}
	path := dialect.Path("tools", t.At, "function", "parameters")
	var flat, whole bool
	at := len(dst)
	dst, flat, whole = dialect.AppendFlatSchema(dialect.Key(dst, "input_schema"), t.Schema)
	switch {
	case !whole:
		out.Notes.Degrade(path, "alternatives at the top of the schema that are no objects are not told")
	case flat:
		out.Notes.Degrade(path, "alternatives at the top of the schema are put together")
	}
	if name := badProperty(dialect.Value(dst[at:])); name != "" {
		out.Notes.Refuse(path, "has a property whose name the provider does not take: "+name)
	}
	if t.Strict.True() && !out.Refuses("tools[].strict") && !flat {
		dst = append(dialect.Key(dst, "strict"), "true"...)
	}
	return append(encodeMark(dst, t.Cache, out), '}')
}

// badProperty is a property at the top of a schema whose name has other characters than letters, digits, _, . and -, or too many.
func badProperty(field dialect.Value) string {
	_, schema, _ := bytes.Cut(field, []byte(`"input_schema":`))
	for name := range dialect.Value(schema).Get("properties").Fields() {
		if len(name) == 0 || len(name) > 64 {
			return dialect.Clean(string(name))
		}
		for _, c := range name {
			if c != '.' && !dialect.PlainByte(c) {
				return dialect.Clean(string(name))
			}
		}
	}
	return ""
}

// encodeMark passes the mark that the prompt may be kept. Its time to live is known to one vendor only.
func encodeMark(dst []byte, mark dialect.Value, out *dialect.Outbound) []byte {
	switch {
	case mark == nil || out.Refuses("*.cache_control"):
		return dst
	case out.Target.Sheet.Kind != "anthropic":
		return append(dialect.Key(dst, "cache_control"), `{"type":"ephemeral"}`...)
	}
	return dialect.ValueField(dst, "cache_control", mark)
}

// webSearch offers the provider's own search.
func webSearch(dst []byte, options dialect.Value) []byte {
	dst = append(dst, `{"type":"web_search_20250305","name":"web_search"`...)
	if place := options.Get("user_location").Get("approximate"); place.Object() {
		dst = append(dst, `,"user_location":{"type":"approximate"`...)
		for key, v := range place.Fields() {
			if v.String() {
				dst = dialect.ValueField(dst, string(key), v)
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func encodeChoice(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	kind := ""
	switch r.Choice.Mode {
	case dialect.ChoiceUnset:
		if !r.OneTool {
			return dst
		}
		kind = "auto"
	case dialect.ChoiceAuto:
		kind = "auto"
	case dialect.ChoiceAny:
		kind = "any"
	case dialect.ChoiceNone:
		return append(dialect.Key(dst, "tool_choice"), `{"type":"none"}`...)
	case dialect.ChoiceOne:
		kind = "tool"
	}
	dst = dialect.StringField(append(dialect.Key(dst, "tool_choice"), '{'), "type", kind)
	if kind == "tool" {
		dst = dialect.TextField(dst, "name", out.Names.Wire(r.Choice.Name))
	}
	if r.OneTool {
		dst = append(dialect.Key(dst, "disable_parallel_tool_use"), "true"...)
	}
	return append(dst, '}')
}
