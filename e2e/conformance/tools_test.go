package conformance

var tools = Group{"tools", "Tools", []Case{
	{"offered", "Tools that are offered", "the model cannot call them", []Leg{
		{Runs: "A>O A>any-O A>cerebras A>zai A>minimax", Ask: `{` + aTools + `}`, Sent: `
			tools len 1
			tools[0].type = "function"
			tools[0].function.name = "get_weather"
			tools[0].function.description = "The weather of a city"
			tools[0].function.parameters == {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}
			tool_choice absent`},
		{Runs: "O>A O>any-A O>zai-a O>minimax-a", Ask: `{` + oTools + `}`, Sent: `
			tools len 1
			tools[0].name = "get_weather"
			tools[0].description = "The weather of a city"
			tools[0].input_schema == {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`},
	}},
	{"called", "A call in the answer", "the agent cannot run what it cannot read", []Leg{
		{Runs: "A>O A>A A>cerebras A>zai A>minimax A>any-O", Ask: `{` + aTools + `}`, Scenario: "tool", Got: `
			stop_reason = "tool_use"
			content[-1].type = "tool_use"
			content[-1].name = "get_weather"
			content[-1].input.city present`},
		{Runs: "O>O O>A O>zai-a O>any-A", Ask: `{` + oTools + `}`, Scenario: "tool", Got: `
			choices[0].finish_reason = "tool_calls"
			choices[0].message.content = null
			choices[0].message.tool_calls len 1
			choices[0].message.tool_calls[0].type = "function"
			choices[0].message.tool_calls[0].function.name = "get_weather"
			choices[0].message.tool_calls[0].function.arguments ~ city`},
	}},
	{"choice", "Which tools may, must, must not be called", "the model calls what it should not, or does not what it must", []Leg{
		{Runs: "A>O A>any-O", Ask: `{` + aTools + `,"tool_choice":{"type":"auto"}}`, Sent: `tool_choice = "auto"`},
		{Runs: "A>O A>any-O", Ask: `{` + aTools + `,"tool_choice":{"type":"any"}}`, Sent: `tool_choice = "required"`, Got: `stop_reason = "tool_use"`},
		{Runs: "A>O A>any-O", Ask: `{` + aTools + `,"tool_choice":{"type":"none"}}`, Sent: `tool_choice = "none"`},
		{Runs: "A>O A>any-O", Ask: `{` + aTools + `,"tool_choice":{"type":"tool","name":"get_weather"}}`, Sent: `tool_choice = {"type":"function","function":{"name":"get_weather"}}`, Got: `stop_reason = "tool_use"`},
		{Runs: "O>A O>any-A", Ask: `{` + oTools + `,"tool_choice":"auto"}`, Sent: `tool_choice.type = "auto"`},
		{Runs: "O>A O>any-A", Ask: `{` + oTools + `,"tool_choice":"required"}`, Sent: `tool_choice.type = "any"`, Got: `choices[0].finish_reason = "tool_calls"`},
		{Runs: "O>A", Ask: `{` + oTools + `,"tool_choice":{"type":"required"}}`, Sent: `tool_choice.type = "any"`, Got: `choices[0].finish_reason = "tool_calls"`},
		{Runs: "O>A O>any-A", Ask: `{` + oTools + `,"tool_choice":"none"}`, Sent: `tool_choice.type = "none"`},
		{Runs: "O>A O>any-A", Ask: `{` + oTools + `,"tool_choice":{"type":"function","function":{"name":"get_weather"}}}`, Sent: `tool_choice = {"type":"tool","name":"get_weather"}`},
	}},
	{"choice-without-tools", "A choice among no tools", "refused by both vendors", []Leg{
		{Runs: "A>O", Ask: `{"tool_choice":{"type":"auto"}}`, Sent: `
			tool_choice absent
			tools absent`},
		{Runs: "O>A", Ask: `{"tool_choice":"auto"}`, Sent: `
			tool_choice absent
			tools absent`},
		{Runs: "A>O", Ask: `{"tools":[],"tool_choice":{"type":"auto"}}`, Sent: `
			tool_choice absent
			tools absent`},
	}},
	{"one-at-a-time", "One call at a time", "an agent that runs one gets several", []Leg{
		{Runs: "A>O A>any-O", Ask: `{` + aTools + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`, Sent: `parallel_tool_calls = false`},
		{Runs: "O>A O>any-A", Ask: `{` + oTools + `,"parallel_tool_calls":false}`, Sent: `tool_choice = {"type":"auto","disable_parallel_tool_use":true}`},
		{Runs: "O>A", Ask: `{` + oTools + `,"parallel_tool_calls":false,"tool_choice":"required"}`, Sent: `tool_choice = {"type":"any","disable_parallel_tool_use":true}`},
		{Runs: "O>A", Ask: `{` + oTools + `,"parallel_tool_calls":false,"tool_choice":"none"}`, Sent: `tool_choice = {"type":"none"}`},
		{Runs: "O>A", Ask: `{` + oTools + `,"parallel_tool_calls":true}`, Sent: `tool_choice absent`},
	}},
	{"allowed-tools", "A choice among some of the tools", "all are allowed, or the request is refused", []Leg{
		{Runs: "O>A", Ask: `{"tools":[` + oWeather + `,{"type":"function","function":{"name":"other","parameters":{"type":"object","properties":{}}}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"get_weather"}}]}}}`, Sent: `
			tools[*].name = ["get_weather"]
			tool_choice.type = "any"`},
	}},
	{"no-parameters", "A tool without parameters", "a missing schema is refused", []Leg{
		{Runs: "O>A", Ask: `{"tools":[{"type":"function","function":{"name":"now"}}]}`, Sent: `tools[0].input_schema = {"type":"object","properties":{}}`},
		{Runs: "A>O", Ask: `{"tools":[{"name":"now","input_schema":{"type":"object"}}]}`, Sent: `tools[0].function.parameters = {"type":"object","properties":{}}`},
	}},
	{"strict", "Strictness of a tool's schema", "arguments come that the schema forbids", []Leg{
		{Runs: "A>O", Ask: `{"tools":[{"name":"f","strict":true,"input_schema":{"type":"object","properties":{},"additionalProperties":false}}]}`, Sent: `tools[0].function.strict = true`},
		{Runs: "O>A", Ask: `{"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{},"additionalProperties":false}}}]}`, Sent: `tools[0].strict = true`},
	}},
	{"examples", "Examples of a tool's input", "the model guesses what was shown", []Leg{
		{Runs: "A>O", Ask: `{"tools":[{"name":"f","description":"D","input_schema":{"type":"object","properties":{"a":{"type":"integer"}}},"input_examples":[{"a":1}]}]}`, Sent: `
			tools[0].function.description ~ D
			tools[0].function.description ~ {"a":1}
			tools[0] !~ input_examples`, Got: `@header.x-aimux-warnings ~ tools[0].input_examples`},
	}},
	{"deferred", "A tool that is to be found by search", "the model cannot find it, or the field is refused", []Leg{
		{Runs: "A>O", Ask: `{"tools":[{"type":"tool_search_tool_regex_20251119","name":"tool_search_tool_regex"},{"name":"f","defer_loading":true,"input_schema":{"type":"object","properties":{}}}]}`, Sent: `
			tools len 1
			tools[0].function.name = "f"
			@text !~ defer_loading`},
	}},
	{"found", "A tool that has been found", "the model does not learn that it is there", []Leg{
		{Runs: "A>O", Ask: aCalledOnce(`{"type":"tool_result","tool_use_id":"toolu_a","content":[{"type":"tool_reference","tool_name":"get_weather"}]}`), Sent: `messages[2].content ~ get_weather`},
	}},
	{"tools-that-change", "Tools that come and go within a conversation", "the model cannot call what has come, or calls what has gone", []Leg{
		{Runs: "A>O A>any-O", Ask: `{` + aTools + `,"messages":[{"role":"user","content":"Hi"},{"role":"system","content":[{"type":"tool_removal","tool":{"type":"tool_reference","name":"get_weather"}},` +
			`{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"get_time","input_schema":{"type":"object","properties":{}}}}}]}]}`, Sent: `
			tools[*].function.name = ["get_time"]
			messages[*].role = ["user"]`},
	}},
	{"client-tools", "Tools whose definition only their vendor's models know", "another model cannot call them", []Leg{
		{Runs: "A>O A>any-O", Ask: `{"tools":[{"type":"bash_20250124","name":"bash"},{"type":"text_editor_20250728","name":"str_replace_based_edit_tool"},{"type":"memory_20250818","name":"memory"}]}`, Sent: `
			tools[*].type = ["function","function","function"]
			tools[*].function.name = ["bash","str_replace_based_edit_tool","memory"]
			tools[0].function.parameters.properties.command.type = "string"
			tools[1].function.parameters.required = ["command","path"]`},
		{Runs: "A>O", Ask: `{"tools":[{"type":"computer_toolset_20260801","name":"computer"}]}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.message ~ tools[0]`},
		{Runs: "A>A", Ask: `{"tools":[{"type":"bash_20250124","name":"bash"}]}`, Sent: `tools == [{"type":"bash_20250124","name":"bash"}]`},
	}},
	{"server-tools", "Tools that the provider runs itself", "they become functions that nobody runs, or vanish without a word", []Leg{
		{Runs: "A>A", Ask: `{"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":8}]}`, Sent: `tools == [{"type":"web_search_20250305","name":"web_search","max_uses":8}]`},
		{Runs: "A>O", Ask: `{"tools":[{"type":"code_execution_20250825","name":"code_execution"},` + aWeather + `]}`, Sent: `tools[*].function.name = ["get_weather"]`, Got: `@header.x-aimux-warnings ~ tools[0]`},
		{Runs: "A>any-O A>cerebras", Ask: `{"tools":[{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"tool","name":"web_search"}}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ tools[0]
			@header.x-should-retry = "false"`},
		{Runs: "A>O", Ask: `{"tools":[{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"tool","name":"web_search"}}`, Beside: []Beside{{Flavour: "A"}}, Sent: `
			@count = 0
			b1 @count = 1
			b1 tools[0].type = "web_search_20250305"`},
	}},
	{"web-search-options", "A search asked for in the other way", "the answer knows nothing new", []Leg{
		{Runs: "O>A", Ask: `{"web_search_options":{}}`, Sent: `
			tools len 1
			tools[0].name = "web_search"
			tools[0].type matches ^web_search_20`},
	}},
	{"custom-tools", "Tools that take text by a grammar", "the model cannot call them, or the call comes back in another shape", []Leg{
		{Runs: "O>A", Ask: `{"tools":[{"type":"custom","custom":{"name":"patch","description":"D","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start: WORD"}}}}],"tool_choice":"required"}`,
			Replies: []Reply{{
				Plain: body(`[{"type":"tool_use","id":"toolu_1","name":"patch","input":{"input":"line one\nline \"two\""}}]`, "tool_use", ""),
				Stream: message("tool_use", block(0, `{"type":"tool_use","id":"toolu_1","name":"patch","input":{}}`, `{"type":"input_json_delta","partial_json":"{\"input\":\"line one\\nli"}`,
					`{"type":"input_json_delta","partial_json":"ne \\\"two\\\"\"}"}`)),
			}}, Sent: `
			tools[0].name = "patch"
			tools[0].input_schema.properties.input.type = "string"`, Got: `
			@header.x-aimux-warnings ~ tools[0]
			choices[0].message.tool_calls[0].type = "custom"
			choices[0].message.tool_calls[0].custom.name = "patch"`, Plain: `
			choices[0].message.tool_calls[0].custom.input = "line one\nline \"two\""`},
	}},
	{"old-functions", "Functions as they were before tools", "old programs stop working", []Leg{
		{Runs: "O>A", Ask: `{"functions":[{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}],"function_call":{"name":"get_weather"}}`, Sent: `
			tools[0].name = "get_weather"
			tool_choice = {"type":"tool","name":"get_weather"}`, Got: `
			choices[0].finish_reason = "function_call"
			choices[0].message.function_call.name = "get_weather"
			choices[0].message.function_call.arguments ~ city`},
		{Runs: "O>A", Ask: `{"functions":[{"name":"f","parameters":{"type":"object","properties":{}}}],"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"done"}]}`, Sent: `
			messages[*].role = ["user","assistant","user"]
			messages[1].content[0].type = "tool_use"
			messages[2].content[0].type = "tool_result"`},
	}},
	{"forced-while-thinking", "A forced call and thinking at once", "refused by the vendor", []Leg{
		{Runs: "O>A", Ask: `{` + oTools + `,"reasoning_effort":"high","tool_choice":"required"}`, Sent: `
			tool_choice.type = "any"
			thinking.type absent`, Got: `@header.x-aimux-warnings ~ thinking`},
		{Runs: "O>A-old", Ask: `{` + oTools + `,"reasoning_effort":"high","tool_choice":"required","max_tokens":32000}`, Sent: `
			tool_choice.type = "any"
			@text !~ budget_tokens`, Got: `@header.x-aimux-warnings ~ thinking`},
	}},
	{"dotted-names", "Names with signs that the vendor refuses", "the whole request is refused, or the answer names a tool that nobody has", []Leg{
		{Runs: "O>A", Ask: `{"tools":[{"type":"function","function":{"name":"mcp.files/read","parameters":{"type":"object","properties":{}}}}],"tool_choice":{"type":"function","function":{"name":"mcp.files/read"}}}`, Sent: `
			tools[0].name matches ^[a-zA-Z0-9_-]{1,64}$
			tool_choice.name matches ^[a-zA-Z0-9_-]{1,64}$`, Got: `choices[0].message.tool_calls[0].function.name = "mcp.files/read"`},
		{Runs: "A>O", Ask: `{"tools":[{"name":"mcp__a_very_long_name_of_a_server__and_an_even_longer_name_of_its_tool","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"any"}}`, Sent: `
			tools[0].function.name matches ^[a-zA-Z0-9_-]{1,64}$`, Got: `content[0].name = "mcp__a_very_long_name_of_a_server__and_an_even_longer_name_of_its_tool"`},
	}},
	{"names-that-collide", "Names that look the same once cleaned", "one tool is called for another", []Leg{
		{Runs: "O>A", Ask: `{"tools":[{"type":"function","function":{"name":"a.b","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"a_b","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"a:b","parameters":{"type":"object","properties":{}}}}],"tool_choice":{"type":"function","function":{"name":"a:b"}}}`, Sent: `
			tools len 3
			tools[1].name = "a_b"
			tools[0].name != "a_b"
			tools[2].name != "a_b"`, Got: `choices[0].message.tool_calls[0].function.name = "a:b"`},
	}},
	{"text-and-parallel", "Words and two calls in one answer", "one call's arguments end up in the other", []Leg{
		{Runs: "A>O A>A A>any-O", Ask: `{` + aTools + `}`, Scenario: "text+tools-parallel", Got: `
			content[*].type = ["text","tool_use","tool_use"]
			content[1].input.city present
			content[2].input.city present
			stop_reason = "tool_use"`},
		{Runs: "O>A O>O O>any-A", Ask: `{` + oTools + `}`, Scenario: "text+tools-parallel", Got: `
			choices[0].message.content present
			choices[0].message.tool_calls len 2
			choices[0].message.tool_calls[1].function.arguments ~ city
			choices[0].finish_reason = "tool_calls"`},
	}},
}}
