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
	dst = dialect.Key(dst, "input_schema")
	at := len(dst)
	dst, flat, whole = dialect.AppendFlatSchema(dst, t.Schema)
	switch {
	case !whole:
		out.Notes.Degrade(path, "alternatives at the top of the schema that are no objects are not told")
	case flat:
		out.Notes.Degrade(path, "alternatives at the top of the schema are put together")
	}
	dst = nameable(dst, at, path, out)
	if t.Strict.True() && !out.Refuses("tools[].strict") && !flat {
		dst = append(dialect.Key(dst, "strict"), "true"...)
	}
	return append(encodeMark(dst, t.Cache, out), '}')
}

// nameable leaves out of the schema that begins at dst[at] the properties whose names the provider refuses: with one of them it refuses the whole
// request. A tool that demands one cannot be offered.
func nameable(dst []byte, at int, path string, out *dialect.Outbound) []byte {
	schema := dialect.Value(dst[at:])
	var bad []string
	for name := range schema.Get("properties").Fields() {
		if !propertyName(name) {
			bad = append(bad, string(name))
			out.Notes.Degrade(dialect.Path(path, "properties", dialect.Clean(string(name))), "the provider takes no such name of a property")
		}
	}
	if bad == nil {
		return dst
	}
	for _, name := range schema.Get("required").Items() {
		if !propertyName(name.Text()) {
			out.Notes.Refuse(path, "demands a property whose name the provider does not take: "+dialect.Clean(name.Plain()))
		}
	}
	kept := dialect.AppendWithout(nil, schema, bad)
	return append(dst[:at], kept...)
}

// propertyName reports a name of letters, digits, _, . and -, not too long.
func propertyName(name dialect.Text) bool {
	for _, c := range name {
		if c != '.' && !dialect.PlainByte(c) {
			return false
		}
	}
	return len(name) > 0 && len(name) <= 64
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
