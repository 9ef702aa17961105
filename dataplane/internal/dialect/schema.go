package dialect

import (
	"slices"
	"strings"
)

// efforts are the words for how much a model may think, weakest first.
var efforts = [...]string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

func effortRank(effort string) int { return slices.Index(efforts[:], effort) }

// ClampEffort is the strongest effort of the model's set that is not above the wanted one, or else the weakest of the set. A nil set
// takes any; an empty one none.
func ClampEffort(effort string, set []string) string {
	if set == nil || slices.Contains(set, effort) {
		return effort
	}
	wanted, best := effortRank(effort), ""
	if wanted < 0 {
		return ""
	}
	for _, have := range set {
		rank := effortRank(have)
		if rank >= 0 && rank <= wanted && (best == "" || rank > effortRank(best)) && (rank > 0 || wanted == 0) {
			best = have
		}
	}
	if best != "" {
		return best
	}
	for _, have := range set {
		if rank := effortRank(have); rank > 0 && (best == "" || rank < effortRank(best)) {
			best = have
		}
	}
	return best
}

// noSchema is a schema of an object without properties.
const noSchema = `{"type":"object","properties":{}}`

// typeName mends a word for a type that other schema languages use and no vendor accepts; "" means that anything goes.
func typeName(word Text) (mended string, bad bool) {
	switch string(word) {
	case "dict", "map", "hash":
		return "object", true
	case "tuple", "list", "set":
		return "array", true
	case "float", "double", "decimal":
		return "number", true
	case "int", "long", "short":
		return "integer", true
	case "bool":
		return "boolean", true
	case "str", "char":
		return "string", true
	case "any":
		return "", true
	}
	return "", false
}

// AppendSchema appends a tool's schema. A sound one passes as it stands; words for types that no vendor accepts are replaced, and an
// object gets its properties.
func AppendSchema(dst []byte, schema Value) []byte {
	if !schema.Object() {
		return append(dst, noSchema...)
	}
	kind := schema.Get("type")
	switch {
	case sick(schema, 0):
		at := len(dst)
		dst = repair(dst, schema, 0)
		return topped(dst, at)
	case !kind.Set() || !schema.Get("properties").Set() && kind.Plain() == "object":
		at := len(dst)
		return topped(append(dst, schema...), at)
	}
	return append(dst, schema...)
}

// topped makes the schema that begins at dst[at] an object with properties.
func topped(dst []byte, at int) []byte {
	schema := Value(dst[at:])
	head := ""
	if !schema.Get("type").Set() && !combined(schema) {
		head += `"type":"object",`
	}
	if !schema.Get("properties").Set() && !combined(schema) {
		head += `"properties":{},`
	}
	if head == "" {
		return dst
	}
	if next, _ := schema.member(1); next == 0 {
		head = head[:len(head)-1]
	}
	return slices.Insert(dst, at+1, []byte(head)...)
}

// combined reports a schema that is made of others.
func combined(schema Value) bool {
	for key := range schema.Fields() {
		switch string(key) {
		case "anyOf", "oneOf", "allOf", "$ref":
			return true
		}
	}
	return false
}

// schemaDepth bounds how deep schemas are looked into.
const schemaDepth = 64

// place says what stands under a key of a schema.
type place uint8

const (
	plainPlace  place = iota // no schema
	schemaPlace              // a schema
	listPlace                // schemas
	mapPlace                 // names and schemas
)

func placeOf(key Text, v Value) place {
	switch string(key) {
	case "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "additionalItems":
		if v.Array() {
			return listPlace
		}
		return schemaPlace
	case "anyOf", "oneOf", "allOf", "prefixItems":
		return listPlace
	case "properties", "patternProperties", "$defs", "definitions", "dependentSchemas":
		return mapPlace
	}
	return plainPlace
}

// sick looks for a type that has to be repaired.
func sick(schema Value, depth int) bool {
	if depth > schemaDepth {
		return false
	}
	for key, v := range schema.Fields() {
		if string(key) == "type" && v.String() {
			if _, bad := typeName(v.Text()); bad {
				return true
			}
			continue
		}
		switch placeOf(key, v) {
		case schemaPlace:
			if sick(v, depth+1) {
				return true
			}
		case listPlace:
			for _, item := range v.Items() {
				if sick(item, depth+1) {
					return true
				}
			}
		case mapPlace:
			for _, item := range v.Fields() {
				if sick(item, depth+1) {
					return true
				}
			}
		}
	}
	return false
}

// repair writes the schema with its types mended.
func repair(dst []byte, schema Value, depth int) []byte {
	if !schema.Object() || depth > schemaDepth {
		return append(dst, schema...)
	}
	dst = append(dst, '{')
	for key, v := range schema.Fields() {
		if string(key) == "type" && v.String() {
			word, bad := typeName(v.Text())
			switch {
			case !bad:
				dst = ValueField(dst, "type", v)
			case word != "":
				dst = StringField(dst, "type", word)
				if word == "array" && schema.Get("items") == nil {
					dst = append(Key(dst, "items"), "{}"...)
				}
			}
			continue
		}
		dst = mapSchema(textKey(dst, key), key, v, func(dst []byte, inner Value) []byte { return repair(dst, inner, depth+1) })
	}
	return append(dst, '}')
}

// mapSchema writes what stands under a key of a schema, every schema in it changed by change.
func mapSchema(dst []byte, key Text, v Value, change func([]byte, Value) []byte) []byte {
	switch place := placeOf(key, v); {
	case place == schemaPlace && v.Object():
		return change(dst, v)
	case place == listPlace && v.Array():
		dst = append(dst, '[')
		for _, item := range v.Items() {
			dst = change(Item(dst), item)
		}
		return append(dst, ']')
	case place == mapPlace && v.Object():
		dst = append(dst, '{')
		for name, item := range v.Fields() {
			dst = change(textKey(dst, name), item)
		}
		return append(dst, '}')
	}
	return append(dst, v...)
}

// textKey appends a member's name that was read from JSON.
func textKey(dst []byte, key Text) []byte {
	dst = append(Item(dst), '"')
	dst = appendEscaped(dst, []byte(key))
	return append(dst, '"', ':')
}

// AppendFlatSchema appends a tool's schema for providers that refuse alternatives at its top: their properties are put together,
// and required is what all of them require. ok is false if the alternatives are not all objects; then the tool takes anything.
func AppendFlatSchema(dst []byte, schema Value) (out []byte, flat, ok bool) {
	if !schema.Object() || !combined(schema) {
		return AppendSchema(dst, schema), false, true
	}
	f := flattener{root: schema, required: map[string]int{}}
	ok = f.add(schema, true, 0)
	dst = append(dst, `{"type":"object","properties":{`...)
	for _, p := range f.properties {
		dst = repair(textKey(dst, Text(p.name)), p.schema, 1)
	}
	dst = append(append(dst, '}'), `,"required":[`...)
	for _, p := range f.properties {
		if f.required[p.name] > 0 {
			dst = AppendString(Item(dst), p.name)
		}
	}
	dst = append(dst, ']')
	for key, v := range schema.Fields() {
		switch string(key) {
		case "type", "properties", "required", "anyOf", "oneOf", "allOf", "$ref", "additionalProperties":
		default:
			dst = append(textKey(dst, key), v...)
		}
	}
	return append(dst, '}'), true, ok
}

// AppendWithout appends a schema without those properties at its top.
func AppendWithout(dst []byte, schema Value, names []string) []byte {
	dst = append(dst, '{')
	for key, v := range schema.Fields() {
		if string(key) != "properties" {
			dst = append(textKey(dst, key), v...)
			continue
		}
		dst = append(textKey(dst, key), '{')
		for name, property := range v.Fields() {
			if !slices.Contains(names, string(name)) {
				dst = append(textKey(dst, name), property...)
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// flattener puts the properties of alternatives together.
type flattener struct {
	root       Value
	properties []property
	required   map[string]int
}

type property struct {
	name   string
	schema Value
}

func (f *flattener) add(schema Value, required bool, depth int) bool {
	if depth > schemaDepth {
		return false
	}
	ok := true
	if ref := schema.Get("$ref"); ref != nil {
		target := f.resolve(ref.Plain())
		ok = target.Object() && f.add(target, required, depth+1)
	}
	for name, v := range schema.Get("properties").Fields() {
		known := slices.ContainsFunc(f.properties, func(p property) bool { return p.name == string(name) })
		if !known {
			f.properties = append(f.properties, property{string(name), v})
		}
	}
	if required {
		for _, name := range schema.Get("required").Items() {
			f.required[name.Plain()]++
		}
	}
	for _, part := range schema.Get("allOf").Items() {
		ok = part.Object() && f.add(part, required, depth+1) && ok
	}
	for _, list := range [...]Value{schema.Get("anyOf"), schema.Get("oneOf")} {
		common := map[string]int{}
		for _, part := range list.Items() {
			ok = part.Object() && f.add(part, false, depth+1) && ok
			for _, name := range part.Get("required").Items() {
				common[name.Plain()]++
			}
		}
		for name, n := range common {
			if required && n == list.Len() {
				f.required[name]++
			}
		}
	}
	return ok
}

// resolve finds a definition that stands in the schema itself; nil for none.
func (f *flattener) resolve(ref string) Value {
	path, local := strings.CutPrefix(ref, "#/")
	if !local {
		return nil
	}
	v := f.root
	for name := range strings.SplitSeq(path, "/") {
		v = v.Get(name)
	}
	return v
}
