package conformance

var parameters = Group{"parameters", "Parameters", []Case{
	{"limit", "The longest answer", "the field is refused, or the answer is cut", []Leg{
		{Runs: "A>O A>cerebras A>minimax", Ask: `{"max_tokens":321}`, Sent: `
			max_completion_tokens = 321
			max_tokens absent`},
		{Runs: "A>zai A>any-O", Ask: `{"max_tokens":321}`, Sent: `
			max_tokens = 321
			max_completion_tokens absent`},
		{Runs: "O>A O>any-A", Ask: `{"max_completion_tokens":321}`, Sent: `
			max_tokens = 321
			max_completion_tokens absent`},
		{Runs: "O>A", Ask: `{"max_completion_tokens":321,"max_tokens":99}`, Sent: `max_tokens = 321`},
		{Runs: "O>O", Ask: `{"max_tokens":321}`, Sent: `
			max_completion_tokens = 321
			max_tokens absent`},
		{Runs: "O>zai", Ask: `{"max_completion_tokens":321}`, Sent: `
			max_tokens = 321
			max_completion_tokens absent`},
	}},
	{"no-limit", "No limit given", "a missing field is refused; a zero gives no answer at all", []Leg{
		{Runs: "O>A", Sent: `max_tokens = 128000`},
		{Runs: "O>A-old", Sent: `max_tokens = 64000`},
		{Runs: "O>any-A", Sent: `max_tokens = 64000`},
	}},
	{"too-high", "A limit above the model's own", "the agent's 64000 is refused", []Leg{
		{Runs: "A>cerebras", Ask: `{"max_tokens":64000}`, Sent: `max_completion_tokens = 40960`, Got: `@header.x-aimux-warnings ~ max_tokens`},
		{Runs: "O>A-old", Ask: `{"max_tokens":128000}`, Sent: `max_tokens = 64000`, Got: `@header.x-aimux-warnings ~ max_`},
	}},
	{"warm-cache", "A request that only warms the cache", "a provider that cannot do it answers for money", []Leg{
		{Runs: "A>O", Ask: `{"max_tokens":0}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.message ~ max_tokens`},
		{Runs: "A>A", Ask: `{"max_tokens":0}`, Modes: "plain", Sent: `max_tokens = 0`},
	}},
	{"output-reserve", "A quota that is charged in advance", "every request reserves the whole context, and three of them use up the minute", []Leg{
		{Runs: "O>cerebras", Sent: `max_completion_tokens < 32769`},
		{Runs: "A>cerebras", Ask: `{"max_tokens":500}`, Sent: `max_completion_tokens = 500`},
	}},
	{"temperature", "Temperature", "it is out of range, or dropped without a word", []Leg{
		{Runs: "A>any-O A>zai", Ask: `{"temperature":0.5}`, Sent: `temperature == 0.5`},
		{Runs: "O>A-old", Ask: `{"temperature":1.7}`, Sent: `temperature = 1`, Got: `@header.x-aimux-warnings ~ temperature`},
		{Runs: "O>A-old O>any-A", Ask: `{"temperature":0.70}`, Sent: `temperature == 0.70`},
		{Runs: "A>minimax", Ask: `{"temperature":0}`, Sent: `
			temperature > 0
			temperature < 1.01`, Got: `@header.x-aimux-warnings ~ temperature`},
		{Runs: "O>minimax", Ask: `{"temperature":1.5}`, Sent: `temperature = 1`, Got: `@header.x-aimux-warnings ~ temperature`},
	}},
	{"sampling-refused", "Sampling for models that take none", "the request is refused", []Leg{
		{Runs: "O>A", Ask: `{"temperature":0.5,"top_p":0.9}`, Sent: `
			temperature absent
			top_p absent`, Got: `
			@header.x-aimux-warnings ~ temperature
			@header.x-aimux-warnings ~ top_p`},
		{Runs: "A>O", Ask: `{"temperature":0.5}`, Sent: `temperature absent`, Got: `@header.x-aimux-warnings ~ temperature`},
		{Runs: "A>O", Ask: `{"temperature":0.5,"thinking":{"type":"disabled"}}`, Sent: `
			reasoning_effort = "none"
			temperature absent`, Got: `@header.x-aimux-warnings ~ temperature`},
		{Runs: "O>any-A", Ask: `{"temperature":0.5}`, Sent: `temperature = 0.5`},
	}},
	{"top-k", "top_k", "an unknown field is refused", []Leg{
		{Runs: "A>O A>any-O A>cerebras", Ask: `{"top_k":40}`, Sent: `top_k absent`, Got: `@header.x-aimux-warnings ~ top_k`},
		{Runs: "A>A-old", Ask: `{"top_k":40}`, Sent: `top_k = 40`},
	}},
	{"stops", "Stop sequences", "the answer runs on", []Leg{
		{Runs: "A>O A>any-O", Ask: `{"stop_sequences":["END","STOP"]}`, Sent: `
			stop = ["END","STOP"]
			stop_sequences absent`},
		{Runs: "O>A O>any-A", Ask: `{"stop":["END","STOP"]}`, Sent: `
			stop_sequences = ["END","STOP"]
			stop absent`},
		{Runs: "O>A", Ask: `{"stop":"END"}`, Sent: `stop_sequences = ["END"]`},
		{Runs: "O>A", Ask: `{"stop":["\n\n","END"]}`, Sent: `stop_sequences = ["END"]`, Got: `@header.x-aimux-warnings ~ stop`},
	}},
	{"which-stop", "Which stop sequence it was", "a parser that waits for it hangs", []Leg{
		{Runs: "A>any-O", Ask: `{"stop_sequences":["END"]}`, Scenario: "say=one two END three", Got: `
			stop_reason = "end_turn"
			content[0].text = "one two "`},
		{Runs: "A>any-O", Ask: `{"stop_sequences":["END"]}`, Replies: tagged("one two E", "ND three"), Got: `
			stop_reason = "stop_sequence"
			stop_sequence = "END"
			content[0].text = "one two "`},
		{Runs: "A>A", Ask: `{"stop_sequences":["END"]}`, Scenario: "say=one two END three", Got: `
			stop_reason = "stop_sequence"
			stop_sequence = "END"`},
		{Runs: "O>A", Ask: `{"stop":["END"]}`, Scenario: "say=one two END three", Got: `
			choices[0].finish_reason = "stop"
			choices[0].message.content = "one two "`},
	}},
	{"many-stops", "More stop sequences than the provider takes", "the request is refused, or the answer runs on", []Leg{
		{Runs: "A>O A>any-O", Ask: `{"stop_sequences":["1","2","3","4","END"]}`, Scenario: "say=one two END three", Sent: `stop absent`, Got: `
			stop_reason = "stop_sequence"
			stop_sequence = "END"
			content[0].text = "one two "`},
		{Runs: "A>minimax A>minimax-a", Ask: `{"stop_sequences":["END"]}`, Scenario: "say=one two END three", Got: `
			stop_reason = "stop_sequence"
			stop_sequence = "END"
			content[0].text = "one two "`},
		{Runs: "O>minimax O>minimax-a", Ask: `{"stop":["END"]}`, Scenario: "say=one two END three", Got: `
			choices[0].finish_reason = "stop"
			choices[0].message.content = "one two "`},
		{Runs: "A>any-O", Ask: `{"stop_sequences":["a","b","c","d","E\"N\nD"]}`, Replies: []Reply{{Piece: 1,
			Plain:  completion(`{"role":"assistant","content":"X E\"N\nE\"N\nD Y"}`, "stop", ""),
			Stream: chunk(`{"role":"assistant","content":""}`, `{"content":"X E\""}`, `{"content":"N\n"}`, `{"content":"E\"N"}`, `{"content":"\nD Y"}`) + ending("stop", oUsage)}}, Got: `
			content[0].text = "X E\"N\n"
			stop_reason = "stop_sequence"`},
	}},
	{"tiers", "Classes of service", "an unknown word is refused", []Leg{
		{Runs: "A>O", Ask: `{"service_tier":"auto"}`, Sent: `service_tier = "auto"`},
		{Runs: "A>O", Ask: `{"service_tier":"standard_only"}`, Sent: `service_tier = "default"`},
		{Runs: "O>A", Ask: `{"service_tier":"auto"}`, Sent: `service_tier = "auto"`},
		{Runs: "O>A", Ask: `{"service_tier":"default"}`, Sent: `service_tier = "standard_only"`},
		{Runs: "O>A", Ask: `{"service_tier":"flex"}`, Sent: `service_tier absent`, Got: `@header.x-aimux-warnings ~ service_tier`},
		{Runs: "A>cerebras", Ask: `{"service_tier":"auto"}`, Sent: `service_tier absent`},
		{Runs: "A>any-O", Ask: `{"speed":"fast"}`, Sent: `speed absent`, Got: `@header.x-aimux-warnings ~ speed`},
		{Runs: "O>A", Ask: `{"service_tier":"priority"}`, Sent: `
			service_tier absent
			speed = "fast"`},
	}},
	{"several-answers", "Several answers to one question", "one comes where three were asked for", []Leg{
		{Runs: "O>A", Ask: `{"n":3}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ n
			@header.x-should-retry = "false"`},
		{Runs: "O>A", Ask: `{"n":1}`, Sent: `n absent`},
		{Runs: "O>A", Ask: `{"n":2}`, Beside: []Beside{{Flavour: "O"}}, Sent: `
			@count = 0
			b1 n = 2`},
	}},
	{"probabilities", "Probabilities of tokens", "they are missing, and nobody says so", []Leg{
		{Runs: "O>A", Ask: `{"logprobs":true,"top_logprobs":2}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.message ~ logprobs`},
		{Runs: "O>A", Ask: `{"logprobs":false}`, Sent: `logprobs absent`},
		{Runs: "O>A", Ask: `{"logprobs":true}`, Beside: []Beside{{Flavour: "O"}}, Sent: `
			@count = 0
			b1 logprobs = true`},
	}},
	{"spoken-answers", "An answer to be spoken", "text comes instead", []Leg{
		{Runs: "O>A", Ask: `{"modalities":["text","audio"],"audio":{"voice":"alloy","format":"wav"}}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"`},
	}},
	{"two-ways-to-sample", "Temperature and top_p at once", "models that take one of the two refuse both", []Leg{
		{Runs: "O>A-old", Ask: `{"temperature":0.5,"top_p":0.9}`, Sent: `
			temperature = 0.5
			top_p absent`, Got: `@header.x-aimux-warnings ~ top_p`},
		{Runs: "O>any-A", Ask: `{"temperature":0.5,"top_p":0.9}`, Sent: `
			temperature = 0.5
			top_p = 0.9`},
	}},
	{"no-counterpart", "Fields that the other format does not have", "they vanish without a word, or are refused", []Leg{
		{Runs: "O>A", Ask: `{"logit_bias":{"1":2},"presence_penalty":0.5,"frequency_penalty":0.25,"seed":7,"prediction":{"type":"content","content":"x"},"verbosity":"low"}`, Sent: `
			logit_bias absent
			presence_penalty absent
			frequency_penalty absent
			seed absent
			prediction absent
			verbosity absent`, Got: `
			@header.x-aimux-warnings ~ logit_bias
			@header.x-aimux-warnings ~ presence_penalty
			@header.x-aimux-warnings ~ frequency_penalty
			@header.x-aimux-warnings ~ seed
			@header.x-aimux-warnings ~ prediction
			@header.x-aimux-warnings ~ verbosity`},
		{Runs: "O>A", Ask: `{"presence_penalty":0,"frequency_penalty":0,"n":1}`, Sent: `presence_penalty absent`},
		{Runs: "O>A", Ask: `{"store":false,"prompt_cache_key":"k"}`, Sent: `store absent`},
		{Runs: "O>A", Ask: `{"store":true,"metadata":{"a":"b"}}`, Sent: `
			store absent
			metadata absent`, Got: `@header.x-aimux-warnings ~ store`},
		{Runs: "A>O", Ask: `{"inference_geo":"eu"}`, Sent: `inference_geo absent`, Got: `@header.x-aimux-warnings ~ inference_geo`},
		{Runs: "A>O", Ask: `{"diagnostics":{"previous_message_id":"msg_1"}}`, Sent: `diagnostics absent`, Got: `@header.x-aimux-warnings ~ diagnostics`},
	}},
	{"needs-its-vendor", "Fields that make no sense elsewhere", "the request is answered without what it needs", []Leg{
		{Runs: "A>O", Ask: `{"mcp_servers":[{"type":"url","url":"https://example.com","name":"m"}]}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.message ~ mcp_servers`},
		{Runs: "A>O", Ask: `{"container":"container_1"}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.message ~ container`},
		{Runs: "A>O", Ask: `{"container":"container_1"}`, Beside: []Beside{{Flavour: "A"}}, Sent: `
			@count = 0
			b1 container = "container_1"`},
	}},
	{"unknown-fields", "A field that is newer than this gateway", "it is lost where it would have worked", []Leg{
		{Runs: "A>any-A", Ask: `{"brand_new":{"a":[1.0,{"b":null}]}}`, Sent: `brand_new == {"a":[1.0,{"b":null}]}`},
		{Runs: "O>any-O", Ask: `{"brand_new":{"a":[1.0,{"b":null}]}}`, Sent: `brand_new == {"a":[1.0,{"b":null}]}`},
		{Runs: "A>O A>any-O", Ask: `{"brand_new":1}`, Sent: `brand_new absent`, Got: `@header.x-aimux-warnings ~ brand_new`},
		{Runs: "O>A O>any-A", Ask: `{"brand_new":1}`, Sent: `brand_new absent`, Got: `@header.x-aimux-warnings ~ brand_new`},
	}},
	{"strict-providers", "A provider that is configured strict", "what would be degraded is sent all the same", []Leg{
		{Runs: "A>O", Ask: `{"top_k":40}`, Settings: `{"strict":true}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ top_k`},
		{Runs: "O>A", Ask: `{"seed":1}`, Settings: `{"strict":true}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.message ~ seed`},
	}},
	{"learnt-refusals", "A field that the provider turns out to refuse", "every request fails until somebody reads the log", []Leg{
		{Runs: "A>any-O", Ask: `{` + aTools + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`, Scenario: "refuse=parallel_tool_calls", Sent: `
			@count = 2
			#0 parallel_tool_calls = false
			parallel_tool_calls absent`, Got: `@header.x-aimux-warnings ~ parallel_tool_calls`,
			Then: []Leg{{Ask: `{` + aTools + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`, Sent: `
			@count = 1
			parallel_tool_calls absent`, Got: `@header.x-aimux-warnings ~ parallel_tool_calls`}}},
		{Runs: "O>any-O", Ask: `{"seed":1}`, Scenario: "refuse=seed", Sent: `
			@count = 2
			seed absent`, Got: `@header.x-aimux-warnings ~ seed`},
		{Runs: "O>any-O", Ask: `{"seed":1,"verbosity":"low","store":false,"logit_bias":{}}`, Scenario: "refuse=seed+refuse=verbosity+refuse=store+refuse=logit_bias", Sent: `
			@count = 5
			seed absent
			logit_bias absent`, Got: `
			@header.x-aimux-warnings ~ seed
			@header.x-aimux-warnings ~ logit_bias`},
		{Runs: "A>any-O", Ask: `{"temperature":0.5}`, Replies: []Reply{
			{Status: 422, Plain: `{"message":"body.temperature: property 'temperature' is unsupported","type":"invalid_request_error","param":"validation_error","code":"wrong_api_format"}`},
			{Plain: completion(`{"role":"assistant","content":"ok"}`, "stop", ""), Stream: chunk(`{"role":"assistant","content":"ok"}`) + ending("stop", oUsage)}}, Sent: `
			@count = 2
			temperature absent`, Got: `@header.x-aimux-warnings ~ temperature`},
	}},
	{"learnt-betas", "A field that is refused, and the header that switches it on", "the header alone is refused as well, or the field is tried again and again", []Leg{
		{Runs: "A>any-A", Ask: `{"context_management":{"edits":[]}}`, Header: []string{"Anthropic-Beta", "one-2025-01-01, context-management-2025-06-27"},
			Replies: []Reply{{Status: 400, Plain: `{"type":"error","error":{"type":"invalid_request_error","message":"context_management: Extra inputs are not permitted"}}`}, {Plain: body(`[{"type":"text","text":"Word"}]`, "end_turn", ""), Stream: message("end_turn", textBlock(0, "Word"))}},
			Sent: `
			#0 @header.anthropic-beta = "one-2025-01-01, context-management-2025-06-27"
			@count = 2
			@header.anthropic-beta = "one-2025-01-01"
			context_management absent`, Got: `
			content[0].text = "Word"
			@header.x-aimux-warnings ~ context_management`,
			Then: []Leg{{Ask: `{"context_management":{"edits":[]}}`, Header: []string{"Anthropic-Beta", "context-management-2025-06-27"}, Sent: `
			@count = 1
			@header.anthropic-beta absent
			context_management absent`, Got: `@header.x-aimux-warnings ~ anthropic-beta`}}},
		{Runs: "A>any-A", Header: []string{"Anthropic-Beta", "one-2025-01-01,two-2025-01-01"},
			Replies: []Reply{{Status: 400, Plain: "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Unexpected value(s) `two-2025-01-01` for the `anthropic-beta` header.\"}}"}, {Plain: body(`[{"type":"text","text":"Word"}]`, "end_turn", ""), Stream: message("end_turn", textBlock(0, "Word"))}},
			Sent: `
			@count = 2
			@header.anthropic-beta = "one-2025-01-01"`, Got: `
			content[0].text = "Word"
			@header.x-aimux-warnings ~ anthropic-beta`},
	}},
	{"learnt-for-one-model", "A refusal by one of a provider's models", "its other models lose what they could do", []Leg{
		{Runs: "A>any-A", Modes: "plain", Settings: `{"models":[{"id":"some-model"},{"id":"other-model"}]}`, Ask: `{"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}]}`,
			Replies: []Reply{{Status: 400, Plain: `{"type":"error","error":{"type":"invalid_request_error","message":"system.0.cache_control: Extra inputs are not permitted"}}`}, {Plain: body(`[{"type":"text","text":"ok"}]`, "end_turn", "")}},
			Sent:    `system[0].cache_control absent`, Got: `@header.x-aimux-warnings ~ cache_control`,
			Then: []Leg{{Raw: `{"model":"PROVIDER/other-model","max_tokens":9,"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"x"}]}`, Sent: `
			model = "other-model"
			system[0].cache_control present`}}},
	}},
	{"stream-options", "Usage at the end of a stream", "it is missing from the books, or comes where nobody asked", []Leg{
		{Runs: "A>O A>any-O", Modes: "stream", Sent: `
			stream = true
			stream_options = {"include_usage":true}`},
		{Runs: "O>O O>any-O", Modes: "stream", Ask: `{"stream_options":{"include_usage":false}}`, Stream: `
			usage absent
			@text !~ prompt_tokens`},
		{Runs: "O>A", Modes: "stream", Ask: `{"stream_options":{"include_usage":false}}`, Stream: `usage absent`},
		{Runs: "O>A O>O", Modes: "stream", Stream: `usage.prompt_tokens present`},
	}},
	{"big-answers", "A plain request for a long answer", "the connection is cut before the answer is done", []Leg{
		{Runs: "A>A A>O O>A O>O", Modes: "plain", Ask: `{"max_tokens":64000}`, Sent: `stream = true`, Got: `@status = 200`},
		{Runs: "A>A A>O", Modes: "plain", Ask: `{"max_tokens":2000}`, Sent: `stream absent`},
	}},
}}
