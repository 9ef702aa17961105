package synthetic

import (
	"math"
	"strconv"
	"strings"
)

// schemaDepth bounds how deep a schema is followed; recursive ones end in null.
const schemaDepth = 12

// A sampler writes the smallest JSON value that satisfies a schema, as far as the schema uses the common keywords. The
// name of the property a value is for chooses among strings, so that an agent that really runs its tools gets something
// harmless to run.
type sampler struct {
	root  value
	mark  string // ends the free strings, so that two samples of one schema differ
	path  string // for strings that are paths
	depth int
}

// sample is the smallest value for the schema; without a schema it is {"query":…}. Where it wants a path it gets the one that the
// prompt names.
func sample(schema value, mark, prompt string) string {
	if !schema.object() {
		return `{"query":"aimux` + mark + `"}`
	}
	p := sampler{root: schema, mark: mark, path: "/tmp/aimux"}
	for word := range strings.FieldsSeq(prompt) {
		if word = strings.TrimRight(word, ".,;:!?)\"'"); len(word) > 1 && word[0] == '/' {
			p.path = word
			break
		}
	}
	return string(p.append(nil, schema, ""))
}

func (p sampler) append(dst []byte, schema value, name string) []byte {
	if p.depth++; p.depth > schemaDepth {
		return append(dst, "null"...)
	}
	if fixed := fixedSample(schema); fixed != nil {
		return append(dst, fixed...)
	}
	if target := p.resolve(schema); target != nil {
		return p.append(dst, target, name)
	}
	switch sampleType(schema) {
	case "object":
		return p.appendObject(dst, schema)
	case "array":
		return p.appendArray(dst, schema, name)
	case "integer", "number":
		return strconv.AppendFloat(dst, numberSample(schema), 'f', -1, 64)
	case "boolean":
		return append(dst, "false"...)
	case "null":
		return append(dst, "null"...)
	default:
		return appendString(dst, p.text(schema, name))
	}
}

// fixedSample is the value that the schema itself names.
func fixedSample(schema value) value {
	if v := schema.get("const"); v != nil {
		return v
	}
	for _, v := range schema.get("enum").items {
		return v
	}
	return nil
}

// resolve follows a reference, or takes the first of several alternatives.
func (p sampler) resolve(schema value) value {
	if ref := schema.get("$ref").str(); strings.HasPrefix(ref, "#/") {
		target := p.root
		for step := range strings.SplitSeq(ref[2:], "/") {
			target = target.get(step)
		}
		return target
	}
	if schema.get("properties") != nil {
		return nil
	}
	for _, keyword := range [...]string{"anyOf", "oneOf", "allOf"} {
		for _, first := range schema.get(keyword).items {
			return first
		}
	}
	return nil
}

// sampleType is the type a schema asks for. Schemas in the wild call the types by the names of Python's, too.
func sampleType(schema value) string {
	kind := schema.get("type")
	name := kind.str()
	for _, first := range kind.items {
		name = first.str()
		break
	}
	switch name {
	case "dict":
		return "object"
	case "float":
		return "number"
	case "tuple", "list":
		return "array"
	case "":
		if schema.get("properties") != nil {
			return "object"
		}
	}
	return name
}

func (p sampler) appendObject(dst []byte, schema value) []byte {
	properties := schema.get("properties")
	dst = append(dst, '{')
	for n, item := range schema.get("required").items {
		if n > 0 {
			dst = append(dst, ',')
		}
		key := item.str()
		dst = append(appendString(dst, key), ':')
		dst = p.append(dst, properties.get(key), key)
	}
	return append(dst, '}')
}

func (p sampler) appendArray(dst []byte, schema value, name string) []byte {
	least, _ := schema.get("minItems").integer()
	dst = append(dst, '[')
	for n := range min(least, 16) {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = p.append(dst, schema.get("items"), name)
	}
	return append(dst, ']')
}

func numberSample(schema value) float64 {
	n := 1.0
	if least := schema.get("minimum"); least.number() {
		n = math.Max(n, least.float())
	}
	if least := schema.get("exclusiveMinimum"); least.number() && n <= least.float() {
		n = math.Floor(least.float()) + 1
	}
	if most := schema.get("maximum"); most.number() {
		n = math.Min(n, most.float())
	}
	if step := schema.get("multipleOf").float(); step > 0 {
		n = math.Ceil(n/step) * step
	}
	return n
}

func (p sampler) text(schema value, name string) string {
	text := "aimux" + p.mark
	switch schema.get("format").str() {
	case "date":
		return "2026-01-02"
	case "date-time":
		return "2026-01-02T03:04:05Z"
	case "uri", "url":
		return "http://127.0.0.1/"
	case "email":
		return "aimux@example.com"
	}
	switch strings.ToLower(name) {
	case "command", "cmd", "script":
		text = "echo aimux" + p.mark
	case "path", "file_path", "directory", "dir":
		text = p.path
	case "url", "uri":
		return "http://127.0.0.1/"
	}
	if least, ok := schema.get("minLength").integer(); ok && len(text) < least {
		text += strings.Repeat("x", min(least, 4096)-len(text))
	}
	if most, ok := schema.get("maxLength").integer(); ok && most >= 0 && len(text) > most {
		text = text[:most]
	}
	return text
}
