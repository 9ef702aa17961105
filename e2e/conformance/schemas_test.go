package conformance

// hard is a schema with everything that one vendor or the other refuses.
const hard = `{"type":"object","properties":{"age":{"type":"integer","minimum":0,"maximum":130},"name":{"type":"string","minLength":1,"maxLength":40,"format":"uri"},"tags":{"type":"array","items":{"type":"string"},"minItems":2,"uniqueItems":true},"kind":{"oneOf":[{"type":"string"},{"type":"null"}]},"half":{"type":"number","multipleOf":0.5}},"required":["age"]}`

var schemas = Group{"schemas", "Schemas", []Case{
	{"structured", "An answer by a schema", "prose comes where a program expects JSON", []Leg{
		{Runs: "A>O A>any-O A>cerebras", Ask: `{"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}}`, Sent: `
			response_format.type = "json_schema"
			response_format.json_schema.name = "output"
			response_format.json_schema.strict = true
			response_format.json_schema.schema == {"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}
			output_config absent`},
		{Runs: "A>O", Ask: `{"output_format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}`, Sent: `
			response_format.json_schema.schema.required = ["a"]`},
		{Runs: "O>A O>any-A", Ask: `{"response_format":{"type":"json_schema","json_schema":{"name":"out","strict":true,"schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}}`, Sent: `
			output_config.format.type = "json_schema"
			output_config.format.schema = {"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}
			response_format absent`},
	}},
	{"half-strict", "A schema that leaves something open", "one vendor holds a model to it, the other refuses the request", []Leg{
		{Runs: "A>O A>any-O", Ask: `{"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}}`, Sent: `
			response_format.json_schema.strict = false
			response_format.json_schema.schema.required = ["a"]`, Got: `@header.x-aimux-warnings ~ output_config.format`},
		{Runs: "A>O", Ask: `{"tools":[{"name":"t","strict":true,"input_schema":{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false}}]}`, Sent: `
			tools[0].function.strict absent`, Got: `@header.x-aimux-warnings ~ tools[0].strict`},
		{Runs: "O>A", Ask: `{"response_format":{"type":"json_schema","json_schema":{"name":"out","schema":{"type":"object","additionalProperties":{"type":"string"}}}}}`, Sent: `
			output_config.format.schema.additionalProperties = false
			output_config.format.schema.description ~ additionalProperties`, Got: `@header.x-aimux-warnings ~ response_format`},
	}},
	{"schema-keywords", "Bounds in a schema", "one unsupported word fails the request", []Leg{
		{Runs: "O>A", Ask: `{"response_format":{"type":"json_schema","json_schema":{"name":"out","schema":` + hard + `}}}`, Sent: `
			output_config.format.schema.additionalProperties = false
			output_config.format.schema.properties.age.minimum absent
			output_config.format.schema.properties.age.description ~ 130
			output_config.format.schema.properties.name.minLength absent
			output_config.format.schema.properties.tags.minItems absent
			output_config.format.schema.properties.tags.uniqueItems absent
			output_config.format.schema.properties.kind.oneOf absent
			output_config.format.schema.properties.kind.anyOf len 2
			output_config.format.schema.properties.half.multipleOf absent`, Got: `@header.x-aimux-warnings ~ response_format`},
	}},
	{"no-schemas", "A provider that knows no schemas", "the request is refused, or the schema is dropped without a word", []Leg{
		{Runs: "A>zai", Ask: `{"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}}`, Sent: `
			response_format = {"type":"json_object"}
			messages[0].role = "system"
			messages[0].content ~ "required"`, Got: `@header.x-aimux-warnings ~ output_config.format`},
	}},
	{"json-object", "An answer that has to be JSON", "prose comes where a program expects JSON", []Leg{
		{Runs: "O>A O>any-A", Ask: `{"response_format":{"type":"json_object"}}`, Sent: `
			system ~ JSON
			response_format absent`, Got: `@header.x-aimux-warnings ~ response_format`},
		{Runs: "O>A", Ask: `{"response_format":{"type":"text"}}`, Sent: `
			system absent
			response_format absent`},
	}},
	{"property-names", "A property whose name one vendor refuses", "one tool of fifty fails every request", []Leg{
		{Runs: "O>A", Ask: `{"tools":[{"type":"function","function":{"name":"t","parameters":{"type":"object","properties":{"$filter":{"type":"string"},"top":{"type":"integer"}},"required":["top"]}}}]}`, Sent: `
			tools[0].input_schema.properties = {"top":{"type":"integer"}}
			tools[0].input_schema.required = ["top"]`, Got: `@header.x-aimux-warnings ~ $filter`},
		{Runs: "O>A", Ask: `{"tools":[{"type":"function","function":{"name":"t","parameters":{"type":"object","properties":{"$filter":{"type":"string"}},"required":["$filter"]}}}]}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ $filter`},
	}},
	{"top-level-reference", "A tool whose schema stands elsewhere in it", "one vendor refuses the reference", []Leg{
		{Runs: "O>A", Ask: `{"tools":[{"type":"function","function":{"name":"t","parameters":{"$ref":"#/$defs/A","$defs":{"A":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}}}}]}`, Sent: `
			tools[0].input_schema.type = "object"
			tools[0].input_schema.$ref absent
			tools[0].input_schema.properties = {"a":{"type":"string"}}
			tools[0].input_schema.required = ["a"]`, Got: `@header.x-aimux-warnings ~ tools[0]`},
	}},
	{"top-level-union", "A tool whose schema is a choice", "one tool of fifty fails every request", []Leg{
		{Runs: "O>A", Ask: `{"tools":[{"type":"function","function":{"name":"f","parameters":{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}}},{"type":"object","properties":{"b":{"type":"string"}}}]}}}]}`, Sent: `
			tools[0].input_schema.type = "object"
			tools[0].input_schema.anyOf absent
			tools[0].input_schema.properties.a present
			tools[0].input_schema.properties.b present`, Got: `@header.x-aimux-warnings ~ tools[0]`},
		{Runs: "A>A", Ask: `{"tools":[{"name":"f","input_schema":{"type":"object","properties":{"a":{"type":"string"}}}}]}`, Sent: `tools[0].input_schema == {"type":"object","properties":{"a":{"type":"string"}}}`},
	}},
	{"dict-types", "A type that no standard has", "the request is refused by every vendor", []Leg{
		{Runs: "O>A", Ask: `{"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"dict","properties":{"a":{"type":"dict","properties":{"b":{"type":"float"}}},"c":{"type":"tuple","items":{"type":"integer"}}},"required":["a"]}}}]}`, Sent: `
			tools[0].input_schema.type = "object"
			tools[0].input_schema.properties.a.type = "object"
			tools[0].input_schema.properties.a.properties.b.type = "number"
			tools[0].input_schema.properties.c.type = "array"`},
	}},
	{"schema-bytes", "Numbers and order in a schema", "examples and bounds change", []Leg{
		{Runs: "A>O", Ask: `{"tools":[{"name":"f","input_schema":{"type":"object","properties":{"z":{"default":1.0,"type":"number","maximum":1e3},"a":{"enum":["\u00e9"],"type":"string"}}}}]}`, Sent: `
			tools[0].function.parameters == {"type":"object","properties":{"z":{"default":1.0,"type":"number","maximum":1e3},"a":{"enum":["\u00e9"],"type":"string"}}}`},
	}},
}}
