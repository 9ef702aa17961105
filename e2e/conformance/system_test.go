package conformance

// billing is the block that a coding agent puts first: its value is another in every request.
const billing = `{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.330; cch=8f3a1;"}`

// claudeCode is a request as a coding agent sends it.
const claudeCode = `{"max_tokens":64000,"thinking":{"type":"adaptive"},"output_config":{"effort":"medium"},` +
	`"metadata":{"user_id":"{\"device_id\":\"d\",\"account_uuid\":\"\",\"session_id\":\"0f2b6f6e-1111\"}"},` +
	`"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},` +
	`"system":[` + billing + `,{"type":"text","text":"You are an agent.","cache_control":{"type":"ephemeral","ttl":"1h"}}],` + aTools + `,` +
	`"messages":[{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]},{"role":"system","content":"Today is Monday."}]}`

var claudeCodeHeaders = []string{"Anthropic-Beta", "claude-code-20250219,context-management-2025-06-27,something-new-2027-01-01", "X-App", "cli"}

var system = Group{"system", "System prompts and coding agents", []Case{
	{"string", "A system prompt", "the instructions are gone", []Leg{
		{Runs: "A>O A>any-O A>cerebras A>zai A>minimax", Ask: `{"system":"Be brief."}`, Sent: `
			messages[0] = {"role":"system","content":"Be brief."}
			messages len 2`},
		{Runs: "A>A", Ask: `{"system":"Be brief."}`, Sent: `system == "Be brief."`},
	}},
	{"blocks", "A system prompt of blocks", "all but the first block are gone", []Leg{
		{Runs: "A>O A>any-O", Ask: `{"system":[{"type":"text","text":"One."},{"type":"text","text":""},{"type":"text","text":"Two."}]}`, Sent: `
			messages[0].role = "system"
			messages[0].content = "One.\n\nTwo."`},
		{Runs: "O>A", Ask: `{"messages":[{"role":"system","content":"One."},{"role":"developer","content":[{"type":"text","text":"Two."}]},{"role":"user","content":"Hi"}]}`, Sent: `
			system[*].text = ["One.","Two."]
			messages[*].role = ["user"]`},
	}},
	{"in-the-middle", "A system message between the turns", "the agent's every request is refused", []Leg{
		{Runs: "A>O", Ask: `{"system":"S","messages":[{"role":"user","content":"Hi"},{"role":"system","content":"Be quick."},{"role":"assistant","content":"Hello"},{"role":"user","content":"Go"}]}`, Sent: `
			messages[*].role = ["system","user","system","assistant","user"]
			messages[2].content = "Be quick."`},
		{Runs: "A>any-O A>cerebras A>zai", Ask: `{"system":"S","messages":[{"role":"user","content":"Hi"},{"role":"system","content":"Be quick."},{"role":"assistant","content":"Hello"},{"role":"user","content":"Go"}]}`, Sent: `
			messages[*].role = ["system","user","assistant","user"]
			messages[1].content[0].text = "Hi"
			messages[1].content[1].text = "<system-reminder>\nBe quick.\n</system-reminder>"`},
		{Runs: "A>A", Ask: `{"system":"S","messages":[{"role":"user","content":"Hi"},{"role":"system","content":"Be quick."}]}`, Sent: `
			messages[1] == {"role":"system","content":"Be quick."}`},
		{Runs: "O>A", Ask: `{"messages":[{"role":"user","content":"Hi"},{"role":"system","content":"Be quick."},{"role":"user","content":"Go"}]}`, Sent: `
			messages[*].role = ["user","system","user"]
			messages[1].content ~ Be quick.`},
	}},
	{"per-turn", "What a system message asks of one turn", "a reminder that is over is said again, and the effort of the turn is lost", []Leg{
		{Runs: "A>O A>any-O", Ask: `{"messages":[{"role":"user","content":"Hi"},{"role":"system","content":"Once.","clear_at":"next_user_message"},{"role":"assistant","content":"Hello"},{"role":"user","content":"Go"},{"role":"system","content":[],"output_config":{"effort":"low"}}]}`, Sent: `
			messages[*].role = ["user","assistant","user"]
			messages[0].content = "Hi"
			reasoning_effort = "low"`},
		{Runs: "A>A", Ask: `{"messages":[{"role":"user","content":"Hi"},{"role":"system","content":"Once.","clear_at":"next_user_message"}]}`, Sent: `
			messages[1] == {"role":"system","content":"Once.","clear_at":"next_user_message"}`},
	}},
	{"one-system-message", "A provider that takes one system message", "a second one is refused with a bare number", []Leg{
		{Runs: "A>minimax", Ask: `{"system":"S","messages":[{"role":"user","content":"Hi"},{"role":"system","content":"Be quick."},{"role":"assistant","content":"Hello"},{"role":"user","content":"Go"}]}`, Sent: `
			messages[*].role = ["system","user","assistant","user"]
			messages[0].content = "S\n\nBe quick."`},
		{Runs: "O>minimax", Ask: `{"messages":[{"role":"system","content":"One."},{"role":"system","content":"Two."},{"role":"user","content":"Hi"}]}`, Sent: `
			messages[*].role = ["system","user"]
			messages[0].content ~ One.
			messages[0].content ~ Two.`},
	}},
	{"never-first", "System messages at the front", "the provider wants them beside the messages, not in front", []Leg{
		{Runs: "O>A O>any-A", Ask: `{"messages":[{"role":"developer","content":"S"},{"role":"user","content":"Hi"}]}`, Sent: `
			messages[0].role = "user"
			system ~ S`},
		{Runs: "O>A", Ask: `{"messages":[{"role":"system","content":"S"},{"role":"assistant","content":"Hello"},{"role":"system","content":"T"},{"role":"user","content":"Hi"}]}`, Sent: `
			messages[0].role != "system"`},
	}},
	{"developer-role", "The developer role", "providers that never heard of it refuse", []Leg{
		{Runs: "O>cerebras O>zai O>minimax", Ask: `{"messages":[{"role":"developer","content":"S"},{"role":"user","content":"Hi"}]}`, Sent: `messages[0] = {"role":"system","content":"S"}`},
		{Runs: "O>O", Ask: `{"messages":[{"role":"developer","content":"S"},{"role":"user","content":"Hi"}]}`, Sent: `messages[0].role = "developer"`},
	}},
	{"rotating-first-block", "The agent's first block, another every time", "no prompt cache ever hits, and every turn is slow and dear", []Leg{
		{Runs: "A>O A>any-O A>cerebras A>zai A>minimax", Ask: claudeCode, Header: claudeCodeHeaders, Sent: `
			@text !~ billing-header
			messages[0].role = "system"
			messages[0].content ~ You are an agent.`, Got: `@header.x-aimux-warnings !~ system`, Modes: "stream"},
		{Runs: "A>any-A A>zai-a A>minimax-a", Ask: claudeCode, Header: claudeCodeHeaders, Sent: `
			@text !~ billing-header
			system[0].text = "You are an agent."`, Got: `@header.x-aimux-warnings !~ billing`, Modes: "stream"},
		{Runs: "A>A", Ask: `{"system":[` + billing + `,{"type":"text","text":"S"}]}`, Sent: `system[0] == ` + billing},
	}},
	{"context-management", "Editing of the context", "a field that needs a header is refused without it", []Leg{
		{Runs: "A>A", Ask: `{"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]}}`, Header: []string{"Anthropic-Beta", "context-management-2025-06-27"}, Sent: `
			context_management present
			@header.anthropic-beta = "context-management-2025-06-27"`},
		{Runs: "A>O A>any-O", Ask: `{"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]}}`, Sent: `context_management absent`},
		{Runs: "A>O", Ask: `{"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}}`, Sent: `context_management absent`, Got: `@header.x-aimux-warnings ~ context_management`},
		{Runs: "A>any-A", Ask: `{"context_management":{"edits":[]}}`, Scenario: "refuse=context_management", Sent: `
			#0 context_management present
			context_management absent
			@count = 2`, Got: `@header.x-aimux-warnings ~ context_management`},
	}},
	{"cache-marks", "Marks for the prompt cache", "a mark, or its lifetime, is refused; or the caller's own data is changed on the way", []Leg{
		{Runs: "A>O A>any-O A>cerebras", Ask: `{"cache_control":{"type":"ephemeral","ttl":"1h"},"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral","ttl":"1h"}}],"tools":[{"name":"f","cache_control":{"type":"ephemeral"},"input_schema":{"type":"object","properties":{"cache_control":{"type":"string"}}}}],` +
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]}]}`, Sent: `
			cache_control absent
			@text !~ ephemeral
			tools[0].function.parameters.properties.cache_control = {"type":"string"}`},
		{Runs: "A>A A>any-A", Ask: `{"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral","ttl":"1h"}}]}`, Sent: `system[0].cache_control == {"type":"ephemeral","ttl":"1h"}`},
		{Runs: "A>any-A", Ask: `{"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral","ttl":"1h"}}],"tools":[{"name":"f","input_schema":{"type":"object","properties":{"ttl":{"type":"string"}}}}],` +
			`"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_a","name":"f","input":{"cache_control":{"ttl":"x"}}}]},{"role":"user","content":[` + resultA + `]}]}`,
			Replies: []Reply{{Status: 400, Plain: `{"type":"error","error":{"type":"invalid_request_error","message":"system.0.cache_control.ttl: Extra inputs are not permitted"}}`}, {Plain: body(`[{"type":"text","text":"ok"}]`, "end_turn", ""), Stream: message("end_turn", textBlock(0, "ok"))}}, Sent: `
			@count = 2
			system[0].cache_control.ttl absent
			messages[1].content[0].input = {"cache_control":{"ttl":"x"}}
			tools[0].input_schema.properties.ttl present`, Got: `@header.x-aimux-warnings ~ ttl`},
		{Runs: "A>zai-a A>minimax-a", Ask: `{"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}]}`, Sent: `system[0].cache_control == {"type":"ephemeral"}`},
		{Runs: "A>any-A", Ask: `{"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}]}`, Scenario: "refuse=cache_control", Sent: `
			@count = 2
			system[0].cache_control absent`, Got: `@header.x-aimux-warnings ~ cache_control`},
		{Runs: "O>A", Ask: `{"messages":[{"role":"system","content":[{"type":"text","text":"S","prompt_cache_breakpoint":{"mode":"explicit"}}]},{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]}]}`, Sent: `
			system[0].cache_control.type = "ephemeral"
			messages[0].content[0].cache_control.type = "ephemeral"
			@text !~ prompt_cache_breakpoint`},
		{Runs: "A>O", Ask: `{"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}]}`, Sent: `@text !~ ephemeral`},
	}},
	{"headers", "What the agent says of itself", "features that a header switches on are off", []Leg{
		{Runs: "A>A A>any-A", Header: []string{"Anthropic-Beta", "claude-code-20250219, something-new-2027-01-01", "Anthropic-Version", "2023-06-01"}, Sent: `
			@header.anthropic-beta = "claude-code-20250219, something-new-2027-01-01"
			@header.anthropic-version = "2023-06-01"`},
		{Runs: "O>A", Sent: `@header.anthropic-version = "2023-06-01"`},
		{Runs: "A>O", Header: []string{"Anthropic-Beta", "claude-code-20250219"}, Sent: `
			@header.anthropic-beta absent
			@header.anthropic-version absent`},
	}},
	{"second-version", "The second version of the API", "requests of current SDKs fail", []Leg{
		{Runs: "A>A A>any-A", Header: []string{"Anthropic-Version", "2026-10-21"}, Sent: `@header.anthropic-version = "2026-10-21"`},
		{Runs: "A>O", Header: []string{"Anthropic-Version", "2026-10-21"}, Sent: `messages len 1`},
	}},
	{"bearer", "The key as a bearer token, or as x-api-key", "half of the SDKs cannot log in", []Leg{
		{Runs: "A>A A>O", Header: []string{"X-Api-Key", "", "Authorization", "Bearer a-client-key"}, Sent: `@text !~ a-client-key`},
		{Runs: "O>O", Sent: `
			@header.authorization = "Bearer upstream-key-0001"
			@header.x-api-key absent`},
		{Runs: "A>A", Sent: `
			@header.x-api-key = "upstream-key-0001"
			@header.authorization absent`},
		{Runs: "A>zai-a A>minimax-a", Sent: `@header.authorization = "Bearer upstream-key-0001"`},
	}},
	{"beta-query", "The agent's ?beta=true", "the path is not found", []Leg{
		{Runs: "A>A", Path: "/v1/messages?beta=true", Sent: `
			@query = "beta=true"
			@path = "/v1/messages"`},
		{Runs: "A>O", Path: "/v1/messages?beta=true", Sent: `@path = "/v1/chat/completions"`},
		{Runs: "A>O", Path: "/anthropic/v1/messages?beta=true", Sent: `@path = "/v1/chat/completions"`},
	}},
	{"a-whole-agent-request", "Everything that an agent sends, at once", "one field of many is refused, and the agent stops", []Leg{
		{Runs: "A>A", Ask: claudeCode, Header: claudeCodeHeaders, Sent: `
			thinking == {"type":"adaptive"}
			output_config == {"effort":"medium"}`},
		{Runs: "A>O", Ask: claudeCode, Header: claudeCodeHeaders, Sent: `
			messages[*].role = ["system","user","system"]
			reasoning_effort = "medium"
			tools len 1
			max_completion_tokens = 64000
			prompt_cache_key = "0f2b6f6e-1111"`},
	}},
	{"who-asks", "The end user's name", "abuse cannot be told apart, or a name leaves the house as it is", []Leg{
		{Runs: "A>O A>any-O", Ask: `{"metadata":{"user_id":"ann"}}`, Sent: `
			metadata absent
			@text !~ "ann"
			@text ~ 49915e0d7d4b402e3017d010bc1c0e83cac6c797d6c16e66340fe3268693a6a1`},
		{Runs: "O>A", Ask: `{"user":"ann"}`, Sent: `metadata.user_id present`},
		{Runs: "O>A", Ask: `{"safety_identifier":"bob","user":"ann"}`, Sent: `metadata.user_id ~ bob`},
	}},
}}
