package dialect

import "slices"

// AppendClosedSchema appends a schema for an answer as strict providers want it: every object closed, alternatives as anyOf, and without
// the keywords that they refuse. What a dropped keyword demanded is told in the description. It reports whether anything was dropped.
func AppendClosedSchema(dst []byte, schema Value) ([]byte, bool) {
	c := closer{}
	dst = c.close(dst, schema, 0)
	return dst, c.dropped
}

type closer struct{ dropped bool }

// formats that strict providers know.
func knownFormat(v Value) bool {
	switch v.Plain() {
	case "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid":
		return true
	}
	return false
}

// tooStrict reports a keyword that strict providers refuse.
func tooStrict(key Text, v Value) bool {
	switch string(key) {
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems", "uniqueItems",
		"minProperties", "maxProperties", "patternProperties", "propertyNames", "contains", "minContains", "maxContains", "if", "then", "else", "not", "$schema":
		return true
	case "minItems":
		n, _ := v.Int()
		return n > 1
	case "format":
		return !knownFormat(v)
	}
	return false
}

func (c *closer) close(dst []byte, schema Value, depth int) []byte {
	if !schema.Object() || depth > schemaDepth {
		return append(dst, schema...)
	}
	var told []byte
	object := schema.Get("type").Plain() == "object" || schema.Get("properties").Object()
	dst = append(dst, '{')
	for key, v := range schema.Fields() {
		switch name := string(key); {
		case name == "description" || name == "additionalProperties" && object && v.False():
			continue
		case name == "additionalProperties" && object, tooStrict(key, v):
			if name != "$schema" {
				c.dropped = true
				told = append(append(append(append(told, "; "...), key...), ": "...), v...)
			}
			continue
		case name == "oneOf":
			key = Text("anyOf")
		}
		dst = mapSchema(textKey(dst, key), key, v, func(dst []byte, inner Value) []byte { return c.close(dst, inner, depth+1) })
	}
	if object {
		dst = append(Key(dst, "additionalProperties"), "false"...)
	}
	if description := schema.Get("description").Text(); len(description) > 0 || told != nil {
		dst = append(append(Key(dst, "description"), '"'), description...)
		if told != nil {
			if len(description) == 0 {
				told = told[2:]
			}
			dst = appendEscaped(dst, told)
		}
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// AppendStrictSchema appends a schema for providers that hold a model to it only if every object is closed and demands each of its
// properties. Objects that name their properties and say nothing of others are closed; ok is false where something is optional or open on purpose, and nothing has
// been appended.
func AppendStrictSchema(dst []byte, schema Value) (out []byte, ok bool) {
	s := stricter{ok: true}
	out = s.close(dst, schema, 0)
	if !s.ok {
		return dst, false
	}
	return out, true
}

type stricter struct{ ok bool }

func (s *stricter) close(dst []byte, schema Value, depth int) []byte {
	if !schema.Object() || depth > schemaDepth {
		return append(dst, schema...)
	}
	properties, others := schema.Get("properties"), schema.Get("additionalProperties")
	object := properties.Object()
	if object && (others != nil && !others.False() || !demands(schema.Get("required"), properties)) {
		s.ok = false
	}
	dst = append(dst, '{')
	for key, v := range schema.Fields() {
		dst = mapSchema(textKey(dst, key), key, v, func(dst []byte, inner Value) []byte { return s.close(dst, inner, depth+1) })
	}
	if object && others == nil {
		dst = append(Key(dst, "additionalProperties"), "false"...)
	}
	return append(dst, '}')
}

// demands reports a list that names every property.
func demands(required, properties Value) bool {
	var names []string
	for _, item := range required.Items() {
		names = append(names, item.Plain())
	}
	for name := range properties.Fields() {
		if !slices.Contains(names, string(name)) {
			return false
		}
	}
	return true
}
