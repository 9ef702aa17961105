package conformance

// answered are OpenAI answers in both forms: that message, those deltas, that end.
func answered(message, reason string, deltas ...string) []Reply {
	return []Reply{{Plain: completion(message, reason, ""), Stream: chunk(deltas...) + ending(reason, oUsage)}}
}

// said is an OpenAI answer of one word that ends for that reason.
func said(reason string) []Reply {
	return answered(`{"role":"assistant","content":"Word"}`, reason, `{"role":"assistant","content":""}`, `{"content":"Word"}`)
}

// saidA is an Anthropic answer of one word that stops for that reason.
func saidA(stop string) []Reply {
	return []Reply{{Plain: body(`[{"type":"text","text":"Word"}]`, stop, ""), Stream: message(stop, textBlock(0, "Word"))}}
}

// callMessage is an OpenAI message with one call, and callDeltas its deltas.
const (
	callMessage = `{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}}]}`
	callDelta   = `{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":"}}]}`
	callDelta2  = `{"tool_calls":[{"index":0,"function":{"arguments":"\"Oslo\"}"}}]}`
)

// saidOdd are answers that end for a reason nobody knows; in a stream the reason comes late.
func saidOdd(reason string) []Reply {
	return []Reply{{Plain: completion(`{"role":"assistant","content":"Word"}`, reason, ""), Stream: chunk(`{"role":"assistant","content":"Word"}`) + pause + ending(reason, oUsage)}}
}

func saidOddA(stop string) []Reply {
	return []Reply{{Plain: body(`[{"type":"text","text":"Word"}]`, stop, ""), Stream: events(messageStart) + textBlock(0, "Word") + pause + stopped(stop)}}
}

// fell is an answer that is an error in truth.
func fell(status, kind string) string {
	return "@status = " + status + "\nerror.type = " + quote(kind)
}

const (
	searchUse    = `{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"q"}}`
	searchResult = `{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result","title":"t","url":"https://u","encrypted_content":"e+/="}]}`
)

var answers = Group{"answers", "Answers", []Case{
	{"shape", "An answer's shape", "the SDK cannot read it", []Leg{
		{Runs: "A>O A>any-O A>cerebras A>zai A>minimax", Scenario: "say=Hello there", Got: `
			type = "message"
			role = "assistant"
			content[*].type = ["text"]
			content[0].text = "Hello there"
			stop_reason = "end_turn"
			stop_sequence = null`},
		{Runs: "O>A O>any-A O>zai-a O>minimax-a", Scenario: "say=Hello there", Got: `
			choices len 1
			choices[0].index = 0
			choices[0].message.role = "assistant"
			choices[0].message.content = "Hello there"
			choices[0].finish_reason = "stop"`},
	}},
	{"ends", "Why an answer ended", "the agent stops half-way, or goes on for ever", []Leg{
		{Runs: "A>any-O", Replies: said("stop"), Got: `stop_reason = "end_turn"`},
		{Runs: "A>any-O", Replies: said("length"), Got: `stop_reason = "max_tokens"`},
		{Runs: "A>any-O A>O", Replies: said("content_filter"), Got: `stop_reason = "refusal"`},
		{Runs: "A>zai", Replies: said("sensitive"), Got: `stop_reason = "refusal"`},
		{Runs: "A>zai", Replies: said("model_context_window_exceeded"), Got: `stop_reason = "model_context_window_exceeded"`},
		{Runs: "A>any-O", Replies: answered(callMessage, "tool_calls", callDelta, callDelta2), Ask: `{` + aTools + `}`, Got: `stop_reason = "tool_use"`},
		{Runs: "A>any-O", Ask: `{` + aTools + `}`, Replies: answered(`{"role":"assistant","content":null,"function_call":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}}`, "function_call",
			`{"role":"assistant","function_call":{"name":"get_weather","arguments":"{\"city\":"}}`, `{"function_call":{"arguments":"\"Oslo\"}"}}`), Got: `
			stop_reason = "tool_use"
			content[0].type = "tool_use"
			content[0].input = {"city":"Oslo"}`},
		{Runs: "O>A", Replies: saidA("end_turn"), Got: `choices[0].finish_reason = "stop"`},
		{Runs: "O>A", Replies: saidA("stop_sequence"), Got: `choices[0].finish_reason = "stop"`},
		{Runs: "O>A", Replies: saidA("max_tokens"), Got: `choices[0].finish_reason = "length"`},
		{Runs: "O>A", Replies: saidA("model_context_window_exceeded"), Got: `choices[0].finish_reason = "length"`},
		{Runs: "O>A", Ask: `{` + oTools + `}`, Replies: []Reply{{Plain: body(`[{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{"city":"Oslo"}}]`, "tool_use", ""),
			Stream: message("tool_use", block(0, `{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{}}`, `{"type":"input_json_delta","partial_json":"{\"city\":\"Oslo\"}"}`))}}, Got: `
			choices[0].finish_reason = "tool_calls"
			choices[0].message.tool_calls[0].function.arguments = "{\"city\":\"Oslo\"}"`},
	}},
	{"unknown-ends", "A reason to end that is new", "a good answer becomes an error", []Leg{
		{Runs: "A>any-O", Replies: saidOdd("brand_new"), Got: `stop_reason = "end_turn"
			content[0].text = "Word"`, Plain: `@header.x-aimux-warnings ~ brand_new`, Stream: `@text ~ : warning stop_reason`},
		{Runs: "O>A", Replies: saidOddA("brand_new"), Got: `choices[0].finish_reason = "stop"
			choices[0].message.content = "Word"`, Plain: `@header.x-aimux-warnings ~ brand_new`},
		{Runs: "O>A", Replies: saidOddA("pause_turn"), Got: `choices[0].finish_reason = "stop"`, Plain: `@header.x-aimux-warnings ~ pause_turn`},
	}},
	{"calls-that-stop", "Calls in an answer that says it only stopped", "the agent does not run them, and waits", []Leg{
		{Runs: "A>any-O A>O", Ask: `{` + aTools + `}`, Replies: answered(callMessage, "stop", callDelta, callDelta2), Got: `
			stop_reason = "tool_use"
			content[0].input = {"city":"Oslo"}`},
		{Runs: "O>O", Ask: `{` + oTools + `}`, Scenario: "stop-with-tools", Got: `choices[0].message.tool_calls len 1`},
		{Runs: "A>O A>cerebras A>zai", Ask: `{` + aTools + `}`, Scenario: "stop-with-tools", Got: `stop_reason = "tool_use"`},
	}},
	{"broken-ends", "An end that is a failure in truth", "half an answer is taken for a whole one", []Leg{
		{Runs: "A>zai", Replies: []Reply{{Plain: completion(`{"role":"assistant","content":"Word"}`, "network_error", ""), Stream: chunk(`{"role":"assistant","content":"Word"}`) + pause + ending("network_error", oUsage)}},
			Plain: fell("529", "overloaded_error"), Stream: `@error.error.type = "overloaded_error"
			@events = ["message_start","start text","text_delta","error"]`},
		{Runs: "A>any-O", Replies: saidOdd("insufficient_system_resource"), Plain: fell("529", "overloaded_error"), Stream: `@error.error.type = "overloaded_error"`},
		{Runs: "A>any-O", Replies: []Reply{{Plain: `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Word"},"finish_reason":null}]}`}}, Modes: "plain", Got: fell("502", "api_error")},
	}},
	{"refusals", "A refusal", "it looks like an answer, or like nothing", []Leg{
		{Runs: "A>O A>any-O", Replies: answered(`{"role":"assistant","content":null,"refusal":"I will not."}`, "stop", `{"role":"assistant","refusal":""}`, `{"refusal":"I will "}`, `{"refusal":"not."}`), Got: `
			content[*].type = ["text"]
			content[0].text = "I will not."
			stop_reason = "refusal"`},
		{Runs: "O>A", Replies: []Reply{{
			Plain:  `{"id":"msg_up","type":"message","role":"assistant","model":"up","content":[],"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":"cyber","explanation":"I will not."},"usage":` + aUsage + `}`,
			Stream: events(messageStart, `{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":"cyber","explanation":"I will not."}},"usage":{"output_tokens":7}}`, `{"type":"message_stop"}`),
		}}, Got: `
			choices[0].finish_reason = "content_filter"
			choices[0].message.refusal = "I will not."
			choices[0].message.content = null`},
	}},
	{"order", "Thinking, words, calls", "the client takes the last block for the whole", []Leg{
		{Runs: "A>zai A>cerebras", Ask: `{` + aTools + `}`, Scenario: "thinking+text+tool", Got: `content[*].type = ["thinking","text","tool_use"]`},
	}},
	{"several-texts", "Several texts in an answer", "all but the first are lost, or a line break is put between them", []Leg{
		{Runs: "O>A", Replies: []Reply{{Plain: body(`[{"type":"text","text":"One "},{"type":"text","text":""},{"type":"text","text":"two."}]`, "end_turn", ""), Stream: message("end_turn", textBlock(0, "One "), textBlock(1), textBlock(2, "two."))}}, Got: `
			choices[0].message.content = "One two."`},
	}},
	{"no-text", "An answer of calls alone", "an empty string stands where nothing was said", []Leg{
		{Runs: "O>A", Ask: `{` + oTools + `}`, Scenario: "tool", Got: `choices[0].message.content = null`},
		{Runs: "A>cerebras A>any-O", Ask: `{` + aTools + `}`, Replies: []Reply{{
			Plain:  completion(`{"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}}]}`, "tool_calls", ""),
			Stream: chunk(`{"role":"assistant","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}}]}`) + ending("tool_calls", oUsage)}}, Got: `
			content[*].type = ["tool_use"]`},
	}},
	{"no-arguments", "A call without arguments", "nothing is no JSON, and the client fails", []Leg{
		{Runs: "O>A", Ask: `{` + oTools + `}`, Scenario: "tool-empty-args", Got: `choices[0].message.tool_calls[0].function.arguments = "{}"`},
		{Runs: "A>O A>any-O", Ask: `{` + aTools + `}`, Scenario: "tool-empty-args", Got: `content[-1].input = {}`},
	}},
	{"server-tool-in-answer", "A search that the provider has run", "it becomes a call that nobody can run", []Leg{
		{Runs: "O>A", Ask: `{"web_search_options":{}}`, Scenario: "server-tool+text", Got: `
			choices[0].message.tool_calls absent
			choices[0].finish_reason = "stop"
			choices[0].message.content present`},
		{Runs: "A>A", Ask: `{"tools":[{"type":"web_search_20250305","name":"web_search"}]}`, Scenario: "server-tool+text", Got: `
			content[*].type = ["server_tool_use","web_search_tool_result","text"]`},
	}},
	{"pause", "A turn that the provider pauses in", "half an answer is taken for a whole one", []Leg{
		{Runs: "O>A O>any-A", Ask: `{"web_search_options":{}}`, Replies: []Reply{
			{
				Plain:  body(`[`+searchUse+`,`+searchResult+`,{"type":"text","text":"Half, "}]`, "pause_turn", ""),
				Stream: message("pause_turn", block(0, searchUse), block(1, searchResult), textBlock(2, "Half, ")),
			},
			{
				Plain:  body(`[{"type":"text","text":"and whole."}]`, "end_turn", ""),
				Stream: message("end_turn", textBlock(0, "and whole.")),
			},
		}, Sent: `
			@count = 2
			messages[*].role = ["user","assistant"]
			messages[1].content[*].type = ["server_tool_use","web_search_tool_result","text"]
			messages[1].content[1] == ` + searchResult + `
			tools len 1`, Got: `
			choices[0].message.content = "Half, and whole."
			choices[0].finish_reason = "stop"
			usage.prompt_tokens = 22
			usage.completion_tokens = 14`},
		{Runs: "A>A A>any-A", Replies: []Reply{{
			Plain:  body(`[{"type":"text","text":"Half"}]`, "pause_turn", ""),
			Stream: message("pause_turn", textBlock(0, "Half")),
		}}, Sent: `@count = 1`, Got: `stop_reason = "pause_turn"`},
		{Runs: "O>A", Replies: []Reply{
			{
				Plain:  body(`[{"type":"text","text":"Half"}]`, "pause_turn", ""),
				Stream: message("pause_turn", textBlock(0, "Half")),
			},
			{Status: 529, Plain: `{"type":"error","error":{"type":"overloaded_error","message":"busy"}}`},
		}, Sent: `@count = 2`, Plain: `
			@status = 503
			error.message ~ busy`, Stream: `@error.error.message ~ busy`},
	}},
	{"citations", "Citations", "nobody can check what was said", []Leg{
		{Runs: "O>A", Replies: []Reply{{
			Plain:  body(`[{"type":"text","text":"Fact.","citations":[{"type":"web_search_result_location","cited_text":"f","url":"https://example.com/p","title":"The Page","encrypted_index":"x"}]}]`, "end_turn", ""),
			Stream: message("end_turn", block(0, `{"type":"text","text":""}`, `{"type":"text_delta","text":"Fact."}`, `{"type":"citations_delta","citation":{"type":"web_search_result_location","cited_text":"f","url":"https://example.com/p","title":"The Page","encrypted_index":"x"}}`)),
		}}, Got: `
			choices[0].message.content = "Fact."
			choices[0].message.annotations[0].type = "url_citation"
			choices[0].message.annotations[0].url_citation.url = "https://example.com/p"
			choices[0].message.annotations[0].url_citation.title = "The Page"
			choices[0].message.annotations[0].url_citation.start_index = 0
			choices[0].message.annotations[0].url_citation.end_index = 5`},
	}},
	{"text-and-json-calls", "Words and calls where a schema was asked for", "one of the two is lost", []Leg{
		{Runs: "A>cerebras", Ask: `{` + aTools + `}`, Replies: answered(`{"role":"assistant","content":"{\"a\":1}","tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}}]}`, "tool_calls",
			`{"role":"assistant","content":"{\"a\":1}"}`, `{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}}]}`), Got: `
			content[*].type = ["text","tool_use"]
			content[0].text = "{\"a\":1}"
			stop_reason = "tool_use"`},
	}},
	{"broken-arguments", "Arguments that are no JSON", "the client fails on a good status", []Leg{
		{Runs: "A>any-O", Ask: `{` + aTools + `}`, Modes: "plain", Scenario: "tool-bad-json", Got: fell("502", "api_error")},
		{Runs: "A>any-O", Ask: `{` + aTools + `}`, Modes: "stream", Scenario: "tool-bad-json", Got: `content[-1].type = "tool_use"
			stop_reason = "tool_use"`},
	}},
	{"cut-arguments", "Arguments cut by the limit", "the answer is lost, or the cut is not told", []Leg{
		{Runs: "A>any-O", Ask: `{` + aTools + `}`, Scenario: "tool-cut-args", Got: `
			stop_reason = "max_tokens"
			content[-1].type = "tool_use"`},
		{Runs: "O>any-A", Ask: `{` + oTools + `}`, Scenario: "tool-cut-args", Got: `
			choices[0].finish_reason = "length"
			choices[0].message.tool_calls len 1`},
	}},
	{"exact-text", "Every character of the answer", "emoji, line ends and quotes are broken", []Leg{
		{Runs: "A>any-O A>O", Replies: answered(`{"role":"assistant","content":"\ud83d\ude00 \"q\" \\ \n\t é \u2028 < & > end"}`, "stop", `{"role":"assistant","content":"\ud83d\ude00 \"q\" \\"}`, `{"content":" \n\t é \u2028 < & > end"}`), Got: `
			content[0].text = "\ud83d\ude00 \"q\" \\ \n\t é \u2028 < & > end"`},
		{Runs: "O>A", Replies: []Reply{{Plain: body(`[{"type":"text","text":"\ud83d\ude00 \"q\" \\ \n\t é \u2028 < & > end"}]`, "end_turn", ""),
			Stream: message("end_turn", block(0, `{"type":"text","text":""}`, `{"type":"text_delta","text":"\ud83d\ude00 \"q\" \\"}`, `{"type":"text_delta","text":" \n\t é \u2028 < & > end"}`))}}, Got: `
			choices[0].message.content = "\ud83d\ude00 \"q\" \\ \n\t é \u2028 < & > end"`},
	}},
	{"exact-input", "Every character of a call's arguments", "numbers are rounded, escapes are doubled", []Leg{
		{Runs: "A>any-O", Ask: `{` + aTools + `}`, Replies: []Reply{{
			Plain:  completion(`{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"z\":1.0,\"a\":12345678901234567890,\"s\":\"q\\\"\\\\ \\u00e9\"}"}}]}`, "tool_calls", ""),
			Stream: chunk(`{"role":"assistant","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"z\":1.0,\"a\":1234567890123"}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":"4567890,\"s\":\"q\\\"\\\\ \\u00e9\"}"}}]}`) + ending("tool_calls", oUsage)}}, Got: `
			content[0].input == {"z":1.0,"a":12345678901234567890,"s":"q\"\\ \u00e9"}`},
		{Runs: "O>A", Ask: `{` + oTools + `}`, Replies: []Reply{{
			Plain:  body(`[{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{"z":1.0,"a":12345678901234567890,"s":"q\"\\ \u00e9"}}]`, "tool_use", ""),
			Stream: message("tool_use", block(0, `{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{}}`, `{"type":"input_json_delta","partial_json":""}`, `{"type":"input_json_delta","partial_json":"{\"z\":1.0,\"a\":1234567890123"}`, `{"type":"input_json_delta","partial_json":"4567890,\"s\":\"q\\\"\\\\ \\u00e9\"}"}`))}}, Got: `
			choices[0].message.tool_calls[0].function.arguments = "{\"z\":1.0,\"a\":12345678901234567890,\"s\":\"q\\\"\\\\ \\u00e9\"}"`},
	}},
	{"empty-answers", "An answer without anything in it", "the client fails on a good status", []Leg{
		{Runs: "A>any-O", Scenario: "empty", Got: `
			content = []
			stop_reason = "end_turn"`},
		{Runs: "O>any-A", Scenario: "empty", Got: `choices[0].finish_reason = "stop"`},
	}},
	{"empty-text-in-answer", "Empty texts in an answer", "the client sends them back, and is refused", []Leg{
		{Runs: "A>any-O", Scenario: "empty-text", Got: `content len 1
			content[0].type = "text"`},
		{Runs: "O>any-A", Scenario: "empty-text", Got: `choices[0].finish_reason = "stop"`},
	}},
	{"odd-arguments", "Arguments as an object", "the client gets [object Object]", []Leg{
		{Runs: "A>any-O", Ask: `{` + aTools + `}`, Scenario: "arguments-object", Got: `content[-1].input.city present`},
	}},
}}
