package conformance

const oBrief = `{"messages":[{"role":"user","content":"Think."}]}`

// thoughtful are OpenAI answers with reasoning in one of the places where vendors put it.
func thoughtful(field string) []Reply {
	return []Reply{{
		Plain:  completion(`{"role":"assistant","content":"Answer.","`+field+`":"I think 考え."}`, "stop", ""),
		Stream: chunk(`{"role":"assistant","content":""}`, `{"`+field+`":"I think"}`, `{"`+field+`":" 考え."}`, `{"content":"Answ"}`, `{"content":"er."}`) + ending("stop", oUsage),
	}}
}

// tagged are OpenAI answers with reasoning between tags in the text.
func tagged(content ...string) []Reply {
	whole, deltas := "", []string{`{"role":"assistant","content":""}`}
	for _, c := range content {
		whole += c
		deltas = append(deltas, `{"content":`+quote(c)+`}`)
	}
	return []Reply{{Plain: completion(`{"role":"assistant","content":`+quote(whole)+`}`, "stop", ""), Stream: chunk(deltas...) + ending("stop", oUsage)}}
}

const replay = `{"thinking":{"type":"adaptive"},` + aTools + `,"messages":[{"role":"user","content":"Think, then look."},{"role":"assistant","content":${content}},` +
	`{"role":"user","content":[{"type":"tool_result","tool_use_id":${content[-1].id},"content":"cold"}]}]}`

const asksThinking = `{"thinking":{"type":"adaptive"},` + aTools + `,"messages":[{"role":"user","content":"Think, then look."}]}`

// foreignThinking is a history with thinking that somebody else has signed.
func foreignThinking(signature string) string {
	return `{` + aTools + `,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"thinking","thinking":"secret thoughts","signature":"` + signature + `"},` +
		`{"type":"tool_use","id":"toolu_a","name":"get_weather","input":{}}]},{"role":"user","content":[` + resultA + `]}]}`
}

var reasoning = Group{"reasoning", "Reasoning", []Case{
	{"where-it-stands", "Reasoning under each of its names", "it is lost, or printed as the answer", []Leg{
		{Runs: "A>any-O", Replies: thoughtful("reasoning_content"), Got: `
			content[*].type = ["thinking","text"]
			content[0].thinking = "I think 考え."
			content[0].signature matches ^aimux1\.
			content[1].text = "Answer."`},
		{Runs: "A>any-O A>cerebras", Replies: thoughtful("reasoning"), Got: `
			content[0].thinking = "I think 考え."
			content[1].text = "Answer."`},
		{Runs: "A>any-O A>minimax", Replies: []Reply{{
			Plain:  completion(`{"role":"assistant","content":"Answer.","reasoning_details":[{"type":"reasoning.text","text":"I think 考え."}]}`, "stop", ""),
			Stream: chunk(`{"role":"assistant"}`, `{"reasoning_details":[{"type":"reasoning.text","text":"I think"}]}`, `{"reasoning_details":[{"type":"reasoning.text","text":" 考え."}]}`, `{"content":"Answer."}`) + ending("stop", oUsage),
		}}, Got: `
			content[0].thinking = "I think 考え."
			content[1].text = "Answer."`},
		{Runs: "O>A", Ask: oBrief, Replies: []Reply{{
			Plain:  body(`[{"type":"thinking","thinking":"I think 考え.","signature":"c2ln"},{"type":"text","text":"Answer."}]`, "end_turn", ""),
			Stream: message("end_turn", block(0, `{"type":"thinking","thinking":"","signature":""}`, `{"type":"thinking_delta","thinking":"I think"}`, `{"type":"thinking_delta","thinking":" 考え."}`, `{"type":"signature_delta","signature":"c2ln"}`), textBlock(1, "Answ", "er.")),
		}}, Got: `
			choices[0].message.reasoning_content = "I think 考え."
			choices[0].message.content = "Answer."`},
	}},
	{"vendors-reasoning", "Reasoning of real vendors", "it is lost, or printed as the answer", []Leg{
		{Runs: "A>cerebras A>zai A>minimax A>zai-a A>minimax-a A>A", Ask: `{"thinking":{"type":"adaptive"}}`, Scenario: "thinking", Got: `
			content[*].type = ["thinking","text"]
			content[0].thinking ~ 考えて
			content[0].signature present
			content[1].text !~ think>`},
		{Runs: "O>A O>zai-a O>minimax-a", Ask: `{"thinking":{"type":"adaptive"}}`, Scenario: "thinking", Got: `
			choices[0].message.reasoning_content ~ 考えて
			choices[0].message.content !~ 考えて`},
	}},
	{"tags", "Reasoning between tags in the text", "the user reads the model's musings, and tags", []Leg{
		{Runs: "A>any-O A>minimax", Replies: tagged("<th", "ink>I think", " 考え.</thi", "nk>\n\nAnswer."), Got: `
			content[*].type = ["thinking","text"]
			content[0].thinking = "I think 考え."
			content[1].text = "Answer."`},
		{Runs: "A>any-O", Replies: tagged("Use the <think> tag", " like </think> that."), Got: `
			content[*].type = ["text"]
			content[0].text = "Use the <think> tag like </think> that."`},
		{Runs: "A>minimax", Replies: tagged("One thought", " </thi", "nk> and the answer. a < b"), Got: `
			@text !~ think>
			content[-1].text ~ and the answer. a < b`},
	}},
	{"own-signature", "Thinking of a provider that signs nothing", "the next turn is refused, for ever, because the client sends it back", []Leg{
		{Runs: "A>zai", Ask: asksThinking, Scenario: "thinking+tool", Got: `content[0].signature matches ^aimux1\.`, Then: []Leg{{Ask: replay, Scenario: "text", Sent: `
			messages[1].role = "assistant"
			messages[1].reasoning_content ~ 考えて
			messages[1].tool_calls len 1
			messages[2].role = "tool"
			thinking = {"type":"enabled","clear_thinking":false}`}}},
		{Runs: "A>cerebras", Ask: asksThinking, Scenario: "thinking+tool", Got: `content[0].signature matches ^aimux1\.`, Then: []Leg{{Ask: replay, Scenario: "text", Sent: `
			messages[1].reasoning ~ 考えて
			messages[1].reasoning_content absent`}}},
		{Runs: "A>minimax", Ask: asksThinking, Scenario: "thinking+tool", Got: `content[0].signature matches ^aimux1\.`, Then: []Leg{{Ask: replay, Scenario: "text", Sent: `
			messages[1].reasoning_details[0].text ~ 考えて`}}},
		{Runs: "A>any-O", Ask: asksThinking, Scenario: "thinking+tool", Got: `content[0].signature matches ^aimux1\.`, Then: []Leg{{Ask: replay, Scenario: "needs-reasoning+text", Sent: `
			messages[1].reasoning_content ~ 考えて`}}},
	}},
	{"vendors-signature", "Thinking that its vendor has signed", "one changed byte, and the session is dead", []Leg{
		{Runs: "A>A A>minimax-a", Ask: asksThinking, Scenario: "thinking+tool", Then: []Leg{{Ask: replay, Scenario: "text", Sent: `
			messages[1].content[*].type = ["thinking","tool_use"]
			messages[1].content[0].thinking ~ 考えて`}}},
		{Runs: "A>A", Ask: asksThinking, Scenario: "redacted+tool", Then: []Leg{{Ask: replay, Scenario: "text", Sent: `
			messages[1].content[*].type = ["redacted_thinking","tool_use"]`}}},
	}},
	{"changed-thinking", "Thinking that was changed on the way", "a provider would be told what nobody thought", []Leg{
		{Runs: "A>zai", Ask: asksThinking, Scenario: "thinking+tool", Then: []Leg{{Ask: `{` + aTools + `,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[` +
			`{"type":"thinking","thinking":"something else","signature":${content[0].signature}},${content[-1]}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":${content[-1].id},"content":"cold"}]}]}`, Scenario: "text", Sent: `
			@text !~ something else`}}},
	}},
	{"signature-of-another", "Thinking from another provider", "refused, or one vendor reads what another thought", []Leg{
		{Runs: "A>O A>any-O A>zai A>cerebras", Ask: foreignThinking("EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"), Sent: `@text !~ secret thoughts`},
		{Runs: "A>zai A>any-O", Ask: foreignThinking("aimux1.cerebras.AAAAAAAAAAAAAAAAAAAAAAAA"), Sent: `@text !~ secret thoughts`},
		{Runs: "A>A A>any-A", Ask: foreignThinking("aimux1.zai.AAAAAAAAAAAAAAAAAAAAAAAA"), Sent: `
			@text !~ secret thoughts
			messages[1].content[*].type = ["tool_use"]`},
	}},
	{"signature-of-nobody-known", "A signature that this gateway has not seen made", "thinking that would have been taken is thrown away", []Leg{
		{Runs: "A>any-A A>minimax-a", Ask: foreignThinking("bm90IHlvdXJz"), Sent: `
			#0 messages[1].content[0].signature = "bm90IHlvdXJz"
			#0 messages[1].content[0].thinking = "secret thoughts"`},
	}},
	{"strip-and-retry", "A signature that the provider refuses", "the session never recovers: the client sends the same history again and again", []Leg{
		{Runs: "A>A", Ask: foreignThinking("bm90IHlvdXJz"), Sent: `
			@count = 2
			#0 messages[1].content[0].type = "thinking"
			messages[1].content[*].type = ["tool_use"]`},
		{Runs: "A>A", Ask: foreignThinking("bm90IHlvdXJz"), Then: []Leg{{Ask: foreignThinking("bm90IHlvdXJz"), Sent: `
			@count = 1
			messages[1].content[*].type = ["tool_use"]`}}},
		{Runs: "A>A", Ask: `{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":""},{"type":"text","text":"y"}]},{"role":"user","content":"z"}]}`, Sent: `
			messages[1].content[*].type = ["text"]`},
	}},
	{"clients-that-forget", "A client that does not carry thinking back", "the provider refuses a call without the thinking before it", []Leg{
		{Runs: "O>A-old", Ask: `{"reasoning_effort":"high","max_tokens":32000,` + oTools + `}`, Scenario: "thinking+tool", Then: []Leg{{
			Ask:      `{"reasoning_effort":"high","max_tokens":32000,` + oTools + `,"messages":[{"role":"user","content":"Hello"},{"role":"assistant","content":null,"tool_calls":${choices[0].message.tool_calls}},{"role":"tool","tool_call_id":${choices[0].message.tool_calls[0].id},"content":"cold"}]}`,
			Scenario: "text", Sent: `
			@count = 1
			messages[1].content[*].type = ["thinking","tool_use"]
			messages[1].content[0].signature present`}}},
		{Runs: "O>zai-a O>minimax-a", Ask: `{"thinking":{"type":"adaptive"},` + oTools + `}`, Scenario: "thinking+tool", Then: []Leg{{
			Ask:      `{"thinking":{"type":"adaptive"},` + oTools + `,"messages":[{"role":"user","content":"Hello"},{"role":"assistant","content":null,"tool_calls":${choices[0].message.tool_calls}},{"role":"tool","tool_call_id":${choices[0].message.tool_calls[0].id},"content":"cold"}]}`,
			Scenario: "text", Sent: `messages[1].content[*].type = ["thinking","tool_use"]`}}},
	}},
	{"clients-that-carry", "A client that carries thinking_blocks back", "the provider refuses what it did not sign", []Leg{
		{Runs: "O>A-old", Ask: `{"thinking":{"type":"enabled","budget_tokens":2000},"max_tokens":9000,` + oTools + `}`, Scenario: "thinking+tool", Got: `
			choices[0].message.thinking_blocks[0].type = "thinking"
			choices[0].message.thinking_blocks[0].signature present`, Then: []Leg{{
			Ask:      `{"thinking":{"type":"enabled","budget_tokens":2000},"max_tokens":9000,` + oTools + `,"messages":[{"role":"user","content":"Hello"},{"role":"assistant","content":null,"thinking_blocks":${choices[0].message.thinking_blocks},"tool_calls":${choices[0].message.tool_calls}},{"role":"tool","tool_call_id":${choices[0].message.tool_calls[0].id},"content":"cold"}]}`,
			Scenario: "text", Sent: `
			@count = 1
			messages[1].content[*].type = ["thinking","tool_use"]
			messages[1].content[0].thinking ~ 考えて`}}},
	}},
	{"bare-reasoning", "Reasoning that a client sends without a signature", "a forged signature is refused", []Leg{
		{Runs: "O>A", Ask: `{"messages":[{"role":"user","content":"x"},{"role":"assistant","reasoning_content":"bare thoughts","content":"y"},{"role":"user","content":"z"}]}`, Sent: `@text !~ bare thoughts`},
		{Runs: "O>O", Ask: `{"messages":[{"role":"user","content":"x"},{"role":"assistant","reasoning_content":"bare thoughts","content":"y"},{"role":"user","content":"z"}]}`, Sent: `
			messages[1].content = "y"
			@text !~ bare thoughts`, Got: `@header.x-aimux-warnings ~ reasoning_content`},
	}},
	{"always-thinking", "The agent's adaptive thinking", "everything is routed to the dearest model, or refused", []Leg{
		{Runs: "A>O A>any-O A>cerebras", Ask: `{"thinking":{"type":"adaptive"}}`, Sent: `
			reasoning_effort absent
			thinking absent`},
		{Runs: "A>zai", Ask: `{"thinking":{"type":"adaptive"}}`, Sent: `
			reasoning_effort absent
			thinking = {"type":"enabled"}`},
		{Runs: "A>minimax", Ask: `{"thinking":{"type":"adaptive"}}`, Sent: `
			reasoning_effort absent
			thinking = {"type":"adaptive"}`},
		{Runs: "A>A A>any-A", Ask: `{"thinking":{"type":"adaptive"}}`, Sent: `thinking == {"type":"adaptive"}`, Plain: `@header.x-aimux-class = "standard"`},
	}},
	{"budgets", "A budget of thinking", "the model thinks for a minute about nothing, or not at all", []Leg{
		{Runs: "A>O A>any-O", Ask: `{"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":1024}}`, Sent: `
			reasoning_effort = "low"
			thinking absent`},
		{Runs: "A>O A>any-O", Ask: `{"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":8000}}`, Sent: `reasoning_effort = "medium"`},
		{Runs: "A>O A>any-O", Ask: `{"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":16000}}`, Sent: `reasoning_effort = "high"`},
		{Runs: "A>O", Ask: `{"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":31999}}`, Sent: `reasoning_effort = "xhigh"`},
	}},
	{"efforts", "Effort, from one format to the other", "the knob does nothing", []Leg{
		{Runs: "A>O A>any-O", Ask: `{"output_config":{"effort":"low"}}`, Sent: `
			reasoning_effort = "low"
			output_config absent`},
		{Runs: "A>O", Ask: `{"output_config":{"effort":"max"},"thinking":{"type":"adaptive"}}`, Sent: `reasoning_effort = "max"`},
		{Runs: "O>A", Ask: `{"reasoning_effort":"high"}`, Sent: `
			output_config.effort = "high"
			thinking.type = "adaptive"`},
		{Runs: "O>A", Ask: `{"reasoning_effort":"low"}`, Model: "claude-opus-5-5", Sent: `
			output_config.effort = "low"
			thinking.budget_tokens absent`},
		{Runs: "O>A-old", Ask: `{"reasoning_effort":"low","max_tokens":8000}`, Sent: `
			thinking = {"type":"enabled","budget_tokens":1024}
			max_tokens > 1024`},
		{Runs: "O>A-old", Ask: `{"reasoning_effort":"medium","max_tokens":8000}`, Sent: `thinking = {"type":"enabled","budget_tokens":4096}`},
		{Runs: "O>A-old", Ask: `{"reasoning_effort":"high","max_tokens":2000}`, Sent: `
			thinking.type = "enabled"
			thinking.budget_tokens = 16384
			max_tokens > 16384`},
	}},
	{"off", "Thinking switched off", "it thinks anyway, or the word is refused", []Leg{
		{Runs: "A>O", Ask: `{"thinking":{"type":"disabled"}}`, Sent: `
			reasoning_effort = "none"
			thinking absent`},
		{Runs: "A>cerebras", Ask: `{"thinking":{"type":"disabled"}}`, Sent: `reasoning_effort = "low"`, Got: `@header.x-aimux-warnings ~ clamped`},
		{Runs: "A>zai A>minimax", Ask: `{"thinking":{"type":"disabled"}}`, Sent: `thinking = {"type":"disabled"}`},
		{Runs: "O>A", Ask: `{"reasoning_effort":"none"}`, Sent: `thinking = {"type":"disabled"}`},
		{Runs: "O>A", Ask: `{"reasoning_effort":"none"}`, Model: "claude-opus-5-5", Sent: `thinking absent`, Got: `@header.x-aimux-warnings ~ always thinks`},
	}},
	{"clamped-efforts", "An effort that the model does not have", "an unlisted value is refused", []Leg{
		{Runs: "A>cerebras", Ask: `{"output_config":{"effort":"max"}}`, Sent: `reasoning_effort = "high"`, Got: `@header.x-aimux-warnings ~ reasoning_effort`},
		{Runs: "A>zai", Ask: `{"output_config":{"effort":"medium"}}`, Model: "glm-5.3-flash", Sent: `reasoning_effort = "low"`, Got: `@header.x-aimux-warnings ~ reasoning_effort`},
		{Runs: "A>O", Ask: `{"thinking":{"type":"disabled"}}`, Model: "gpt-6.1-sol", Sent: `reasoning_effort = "low"`, Got: `@header.x-aimux-warnings ~ reasoning_effort`},
		{Runs: "A>minimax", Ask: `{"output_config":{"effort":"high"},"thinking":{"type":"adaptive"}}`, Sent: `
			reasoning_effort absent
			thinking = {"type":"adaptive"}`, Got: `@header.x-aimux-warnings ~ reasoning_effort`},
	}},
	{"omitted-thinking", "Thinking that is signed and not shown", "the signature is lost with it", []Leg{
		{Runs: "A>A", Ask: `{"thinking":{"type":"adaptive","display":"omitted"},` + aTools + `}`, Scenario: "thinking-omitted+tool", Got: `
			content[0].type = "thinking"
			content[0].signature present`},
	}},
	{"reasoning-then-text", "Text behind reasoning", "the words are swallowed by the thinking block", []Leg{
		{Runs: "A>any-O", Replies: []Reply{{Stream: chunk(`{"role":"assistant","reasoning_content":"t1"}`, `{"reasoning_content":"t2","content":"A"}`, `{"content":"B"}`, `{"reasoning_content":"t3"}`, `{"content":"C"}`) + ending("stop", oUsage)}}, Stream: `
			content[*].type = ["thinking","text","thinking","text"]
			content[0].thinking = "t1t2"
			content[1].text = "AB"
			content[3].text = "C"
			@events = ["message_start","start thinking","thinking_delta","signature_delta","stop","start text","text_delta","stop","start thinking","thinking_delta","signature_delta","stop","start text","text_delta","stop","message_delta","message_stop"]`},
	}},
}}
