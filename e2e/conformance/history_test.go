package conformance

// The smallest PNG there is, and a PDF's beginning.
const (
	png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
	pdf = "JVBERi0xLjQKJcOkw7zDtsOf"

	aPNG = `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + png + `"}}`
	oPNG = `{"type":"image_url","image_url":{"url":"data:image/png;base64,` + png + `"}}`

	aWeather = `{"name":"get_weather","description":"The weather of a city","input_schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}`
	oWeather = `{"type":"function","function":{"name":"get_weather","description":"The weather of a city","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}`
	aTools   = `"tools":[` + aWeather + `]`
	oTools   = `"tools":[` + oWeather + `]`
)

// aCalled is an Anthropic history in which two tools were called, and what the user says then.
func aCalled(answer string) string {
	return `{` + aTools + `,"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":[{"type":"text","text":"I look."},` +
		`{"type":"tool_use","id":"toolu_a","name":"get_weather","input":{"city":"Oslo"}},{"type":"tool_use","id":"toolu_b","name":"get_weather","input":{"city":"Rom"}}]},` +
		`{"role":"user","content":[` + answer + `]}]}`
}

// aCalledOnce is one with a single call.
func aCalledOnce(answer string) string {
	return `{` + aTools + `,"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":[` +
		`{"type":"tool_use","id":"toolu_a","name":"get_weather","input":{"city":"Oslo"}}]},{"role":"user","content":[` + answer + `]}]}`
}

// oCalled is an OpenAI history in which two tools were called, and what follows.
func oCalled(follows string) string {
	return `{` + oTools + `,"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":null,"tool_calls":[` +
		`{"id":"call_a","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}},` +
		`{"id":"call_b","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Rom\"}"}}]},` + follows + `]}`
}

const (
	resultA = `{"type":"tool_result","tool_use_id":"toolu_a","content":"cold"}`
	resultB = `{"type":"tool_result","tool_use_id":"toolu_b","content":[{"type":"text","text":"warm"}]}`
	toolA   = `{"role":"tool","tool_call_id":"call_a","content":"cold"}`
	toolB   = `{"role":"tool","tool_call_id":"call_b","content":"warm"}`
)

var history = Group{"history", "History", []Case{
	{"results-before-text", "Text around tool results", "providers refuse anything between a call and its result", []Leg{
		{Runs: "A>O A>any-O", Ask: aCalled(`{"type":"text","text":"before"},` + resultB + `,{"type":"text","text":"between"},` + resultA + `,{"type":"text","text":"after"}`), Sent: `
			messages[*].role = ["user","assistant","tool","tool","user"]
			messages[*].tool_call_id = ["toolu_a","toolu_b"]
			messages[2].content = "cold"
			messages[3].content = "warm"
			messages[4].content[*].text = ["before","between","after"]`},
		{Runs: "O>A O>any-A", Ask: oCalled(toolA + `,{"role":"user","content":"between"},` + toolB), Sent: `
			messages[*].role = ["user","assistant","user"]
			messages[2].content[*].type = ["tool_result","tool_result","text"]
			messages[2].content[*].tool_use_id = ["call_a","call_b"]
			messages[2].content[2].text = "between"`},
	}},
	{"results-in-one-turn", "A run of tool messages", "every result in a turn of its own is refused", []Leg{
		{Runs: "O>A", Ask: oCalled(toolB + `,` + toolA + `,{"role":"user","content":"and now?"}`), Sent: `
			messages[*].role = ["user","assistant","user"]
			messages[2].content[*].type = ["tool_result","tool_result","text"]
			messages[2].content[2].text = "and now?"`},
	}},
	{"results-over-turns", "Results spread over two user turns", "one of them counts as missing", []Leg{
		{Runs: "A>O", Ask: `{` + aTools + `,"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":[` +
			`{"type":"tool_use","id":"toolu_a","name":"get_weather","input":{}},{"type":"tool_use","id":"toolu_b","name":"get_weather","input":{}}]},` +
			`{"role":"user","content":[` + resultA + `]},{"role":"user","content":[` + resultB + `]}]}`, Sent: `
			messages[*].role = ["user","assistant","tool","tool"]
			messages[*].tool_call_id = ["toolu_a","toolu_b"]`},
	}},
	{"system-between", "A system message between a call and its result", "agents slip reminders in there, and every next turn is refused", []Leg{
		{Runs: "A>O", Ask: `{` + aTools + `,"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_a","name":"get_weather","input":{}}]},` +
			`{"role":"system","content":"Be quick."},{"role":"user","content":[` + resultA + `]}]}`, Sent: `
			messages[*].role = ["user","assistant","tool","system"]
			messages[3].content = "Be quick."`},
		{Runs: "A>any-O", Ask: `{` + aTools + `,"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_a","name":"get_weather","input":{}}]},` +
			`{"role":"system","content":"Be quick."},{"role":"user","content":[` + resultA + `]}]}`, Sent: `
			messages[*].role = ["user","assistant","tool","user"]
			messages[3].content ~ <system-reminder>
			messages[3].content ~ Be quick.`},
	}},
	{"server-tool-and-call", "A call beside a search that the provider ran", "the pairing of calls and results breaks", []Leg{
		{Runs: "A>O", Ask: `{` + aTools + `,"messages":[{"role":"user","content":"News?"},{"role":"assistant","content":[` +
			`{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"aimux news"}},` +
			`{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result","title":"The Page","url":"https://example.com/p","encrypted_content":"x"}]},` +
			`{"type":"tool_use","id":"toolu_a","name":"get_weather","input":{}}]},{"role":"user","content":[` + resultA + `]}]}`, Sent: `
			messages[*].role = ["user","assistant","tool"]
			messages[1].tool_calls len 1
			messages[1].content ~ aimux news
			messages[1].content ~ The Page
			messages[1].content ~ https://example.com/p`, Got: `@header.x-aimux-warnings ~ messages[1].content[0]`},
	}},
	{"images-behind-all-results", "Images in parallel tool results", "the image's message between two results is refused", []Leg{
		{Runs: "A>O", Ask: aCalled(`{"type":"tool_result","tool_use_id":"toolu_a","content":[{"type":"text","text":"a picture"},` + aPNG + `]},` +
			`{"type":"tool_result","tool_use_id":"toolu_b","content":[` + aPNG + `]},{"type":"text","text":"what is it?"}`), Sent: `
			messages[*].role = ["user","assistant","tool","tool","user"]
			messages[2].content ~ a picture
			messages[2].content !~ ` + png + `
			messages[3].content !~ ` + png + `
			messages[4].content[*].image_url.url = ["data:image/png;base64,` + png + `","data:image/png;base64,` + png + `"]
			messages[4].content[-1].text = "what is it?"`},
	}},
	{"images-in-tool-messages", "An image in a tool message", "the picture is dropped or sent as text", []Leg{
		{Runs: "O>A", Ask: oCalled(`{"role":"tool","tool_call_id":"call_a","content":[{"type":"text","text":"look"},` + oPNG + `]},` + toolB), Sent: `
			messages[2].content[0].type = "tool_result"
			messages[2].content[0].content[*].type = ["text","image"]
			messages[2].content[0].content[1].source = {"type":"base64","media_type":"image/png","data":"` + png + `"}`},
	}},
	{"image-in-one-result", "The screenshot an agent has read", "the model is blind, or gets half a megabyte of base64 as words", []Leg{
		{Runs: "A>O A>any-O", Ask: aCalledOnce(`{"type":"tool_result","tool_use_id":"toolu_a","content":[` + aPNG + `]}`), Sent: `
			messages[*].role = ["user","assistant","tool","user"]
			messages[2].content !~ ` + png + `
			messages[3].content[*].type = ["text","image_url"]`},
		{Runs: "A>A", Ask: aCalledOnce(`{"type":"tool_result","tool_use_id":"toolu_a","content":[` + aPNG + `]}`), Sent: `
			messages[2].content[0].content == [` + aPNG + `]`},
	}},
	{"null-content", "An assistant turn with calls and no words", "null where a list is expected is refused", []Leg{
		{Runs: "O>A", Ask: oCalled(toolA + `,` + toolB), Sent: `
			messages[1].content[*].type = ["tool_use","tool_use"]
			messages[1].content[0].input = {"city":"Oslo"}
			messages[1].content[*].id = ["call_a","call_b"]`},
		{Runs: "A>O", Ask: aCalledOnce(resultA), Sent: `
			messages[1].content = null
			messages[1].tool_calls[0].function.arguments == "{\"city\":\"Oslo\"}"
			messages[1].tool_calls[0].type = "function"`},
	}},
	{"empty-text-of-ours", "Empty text that the model itself wrote", "the next turn is refused, and every one after it", []Leg{
		{Runs: "A>A A>any-A", Ask: `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"text","text":""},{"type":"text","text":"Hello"}]},{"role":"user","content":"Go on"}]}`, Sent: `
			messages[1].content[*].text = ["Hello"]`},
		{Runs: "A>O", Ask: `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"text","text":""},{"type":"text","text":"Hello"}]},{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"Go on"}]}]}`, Sent: `
			messages[1].content = "Hello"
			messages[2].content = "Go on"`},
	}},
	{"empty-string-content", "Empty words beside calls", "an empty text block is refused", []Leg{
		{Runs: "O>A", Ask: `{` + oTools + `,"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":"","tool_calls":[{"id":"call_a","type":"function","function":{"name":"get_weather","arguments":"{}"}}]},` + toolA + `]}`, Sent: `
			messages[1].content[*].type = ["tool_use"]`},
	}},
	{"blank-words", "Words that are nothing but white space", "one vendor refuses them, and other vendors' models write them beside every call", []Leg{
		{Runs: "O>A O>any-A", Ask: `{` + oTools + `,"messages":[{"role":"system","content":" "},{"role":"user","content":[{"type":"text","text":"\n"},{"type":"text","text":"Weather?"}]},{"role":"assistant","content":"\n\n","tool_calls":[` +
			`{"id":"call_a","type":"function","function":{"name":"get_weather","arguments":"null"}}]},{"role":"tool","tool_call_id":"call_a","content":[{"type":"text","text":" "},{"type":"text","text":"cold"}]}]}`, Sent: `
			system absent
			messages[0].content[*].text = ["Weather?"]
			messages[1].content = [{"type":"tool_use","id":"call_a","name":"get_weather","input":{}}]
			messages[2].content[0].content = [{"type":"text","text":"cold"}]`},
	}},
	{"unknown-members", "Members of a message that nobody knows", "they vanish without a word", []Leg{
		{Runs: "A>O", Ask: `{"messages":[{"role":"user","content":"Hi","brand_new":1}],"tools":[{"name":"t","input_schema":{"type":"object","properties":{}},"brand_new":1}]}`, Got: `
			@header.x-aimux-warnings ~ messages[0].brand_new
			@header.x-aimux-warnings ~ tools[0].brand_new`},
		{Runs: "O>A", Ask: `{"messages":[{"role":"user","content":"Hi","brand_new":1}],"metadata":{"a":"b"}}`, Got: `
			@header.x-aimux-warnings ~ messages[0].brand_new
			@header.x-aimux-warnings ~ metadata`},
		{Runs: "A>any-A O>any-O", Ask: `{"messages":[{"role":"user","content":"Hi","brand_new":1}]}`, Sent: `messages[0].brand_new = 1`},
	}},
	{"words-and-calls", "Words beside calls", "what the model said before it called is gone", []Leg{
		{Runs: "O>A", Ask: `{` + oTools + `,"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":"I look.","tool_calls":[{"id":"call_a","type":"function","function":{"name":"get_weather","arguments":"{}"}}]},` + toolA + `]}`, Sent: `
			messages[1].content[*].type = ["text","tool_use"]
			messages[1].content[0].text = "I look."`},
		{Runs: "A>O", Ask: aCalled(resultA + `,` + resultB), Sent: `
			messages[1].content = "I look."
			messages[1].tool_calls len 2`},
	}},
	{"no-calls", "An empty list of calls", "a turn without content is refused", []Leg{
		{Runs: "O>A", Ask: `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello","tool_calls":[]},{"role":"user","content":"Go on"}]}`, Sent: `
			messages[1] has {"role":"assistant"}
			messages[1].content !~ tool_use
			messages[1].content ~ Hello`},
		{Runs: "O>A", Ask: `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"","tool_calls":[]},{"role":"user","content":"Go on"}]}`, Sent: `
			messages[*].role = ["user"]
			messages[0].content[*].text = ["Hi","Go on"]`},
	}},
	{"two-texts", "Several texts in an assistant turn", "all but the first are lost, or a line break is invented between them", []Leg{
		{Runs: "A>O", Ask: `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"text","text":"Hel"},{"type":"text","text":"lo"}]},{"role":"user","content":"Go on"}]}`, Sent: `
			messages[1].content = "Hello"`},
	}},
	{"assistant-first", "A conversation that the assistant begins", "one vendor refuses it, and chat programs begin with a greeting", []Leg{
		{Runs: "O>A O>any-A", Ask: `{"messages":[{"role":"system","content":"S"},{"role":"assistant","content":"How can I help?"},{"role":"user","content":"Hi"}]}`, Sent: `
			messages[*].role = ["user","assistant","user"]
			messages[1].content[0].text = "How can I help?"`},
		{Runs: "A>O", Ask: `{"messages":[{"role":"assistant","content":"How can I help?"},{"role":"user","content":"Hi"}]}`, Sent: `messages[*].role = ["assistant","user"]`},
	}},
	{"same-role", "Turns of one role behind each other", "a strict provider wants them to alternate", []Leg{
		{Runs: "O>A", Ask: `{"messages":[{"role":"user","content":"one"},{"role":"user","content":"two"},{"role":"assistant","content":"three"},{"role":"assistant","content":"four"},{"role":"user","content":"five"}]}`, Sent: `
			messages[*].role = ["user","assistant","user"]
			messages[0].content[*].text = ["one","two"]
			messages[1].content[*].text = ["three","four"]`},
	}},
	{"failed-tool", "A tool that failed", "the model takes the error for a result", []Leg{
		{Runs: "A>O", Ask: aCalledOnce(`{"type":"tool_result","tool_use_id":"toolu_a","is_error":true,"content":"no such city"}`), Sent: `
			messages[2].content = "Error: no such city"`},
		{Runs: "A>A", Ask: aCalledOnce(`{"type":"tool_result","tool_use_id":"toolu_a","is_error":true,"content":"no such city"}`), Sent: `
			messages[2].content[0].is_error = true`},
		{Runs: "O>A", Ask: oCalled(`{"role":"tool","tool_call_id":"call_a","content":"{\"error\":\"no such city\"}"},` + toolB), Sent: `
			messages[2].content[0].is_error absent
			messages[2].content[0].content ~ no such city`},
	}},
	{"empty-result", "A tool that returned nothing", "a result without content is refused", []Leg{
		{Runs: "A>O", Ask: aCalledOnce(`{"type":"tool_result","tool_use_id":"toolu_a"}`), Sent: `messages[2].content = ""`},
		{Runs: "A>O", Ask: aCalledOnce(`{"type":"tool_result","tool_use_id":"toolu_a","content":[]}`), Sent: `messages[2].content = ""`},
		{Runs: "O>A", Ask: oCalled(`{"role":"tool","tool_call_id":"call_a","content":""},` + toolB), Sent: `
			messages[2].content[0] has {"type":"tool_result","tool_use_id":"call_a"}
			messages[2].content[0] !~ "text"`},
	}},
	{"several-texts-in-a-result", "A result of several texts", "it arrives as a printed list", []Leg{
		{Runs: "A>O", Ask: aCalledOnce(`{"type":"tool_result","tool_use_id":"toolu_a","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}`), Sent: `
			messages[2].content matches ^one\n+two$`},
	}},
	{"orphan-result", "A result of a call that nobody made", "the provider's refusal names nothing the user knows", []Leg{
		{Runs: "A>O", Ask: `{` + aTools + `,"messages":[{"role":"user","content":[` + resultA + `]}]}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ messages[0].content[0]
			@header.x-should-retry = "false"`},
		{Runs: "O>A", Ask: `{` + oTools + `,"messages":[{"role":"user","content":"Hi"},` + toolA + `]}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ messages[1]`},
	}},
	{"unanswered-call", "A call without its result", "the provider's refusal names nothing the user knows", []Leg{
		{Runs: "A>O", Ask: aCalled(resultA), Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ toolu_b`},
		{Runs: "O>A", Ask: oCalled(toolA), Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ call_b`},
	}},
	{"input-bytes", "Numbers and order in a call's input", "1.0 becomes 1, big integers are rounded, keys change places", []Leg{
		{Runs: "A>O", Ask: `{` + aTools + `,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_a","name":"get_weather","input":{"z":1.0,"a":12345678901234567890,"e":1e2,"u":"\u00e9\u2028"}}]},{"role":"user","content":[` + resultA + `]}]}`, Sent: `
			messages[1].tool_calls[0].function.arguments == "{\"z\":1.0,\"a\":12345678901234567890,\"e\":1e2,\"u\":\"\\u00e9\\u2028\"}"`},
		{Runs: "O>A", Ask: `{` + oTools + `,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_a","type":"function","function":{"name":"get_weather","arguments":"{\"z\":1.0,\"a\":12345678901234567890,\"e\":1e2,\"u\":\"\\u00e9\"}"}}]},` + toolA + `]}`, Sent: `
			messages[1].content[0].input == {"z":1.0,"a":12345678901234567890,"e":1e2,"u":"\u00e9"}`},
	}},
	{"bad-arguments", "Arguments that are no JSON", "they fail deep inside the provider", []Leg{
		{Runs: "O>A", Ask: `{` + oTools + `,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_a","type":"function","function":{"name":"get_weather","arguments":"{\"city\":"}}]},` + toolA + `]}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.message ~ messages[1].tool_calls[0].function.arguments`},
	}},
	{"empty-arguments", "Arguments left empty", "nothing is no JSON, and the turn is refused", []Leg{
		{Runs: "O>A", Ask: `{` + oTools + `,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_a","type":"function","function":{"name":"get_weather","arguments":""}}]},` + toolA + `]}`, Sent: `
			messages[1].content[0].input = {}`},
	}},
	{"refused-before", "A refusal in the history", "the model does not know that it has refused", []Leg{
		{Runs: "O>A", Ask: `{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"refusal":"I will not."},{"role":"user","content":"y"}]}`, Sent: `
			messages[1].content[0].text = "I will not."`, Got: `@header.x-aimux-warnings ~ messages[1].refusal`},
	}},
	{"speakers-names", "Names of speakers", "a field that the other format does not have is refused", []Leg{
		{Runs: "O>A", Ask: `{"messages":[{"role":"user","name":"ann","content":"x"}]}`, Sent: `messages[0].name absent`, Got: `@header.x-aimux-warnings ~ messages[0].name`},
	}},
	{"prefill", "An answer begun by the caller", "the model starts anew, or the provider refuses", []Leg{
		{Runs: "A>A-old", Ask: `{"messages":[{"role":"user","content":"JSON please"},{"role":"assistant","content":"{"}]}`, Sent: `messages[1].content = "{"`},
		{Runs: "A>O O>A", Ask: `{"messages":[{"role":"user","content":"JSON please"},{"role":"assistant","content":"{"}]}`, Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			@header.x-should-retry = "false"`},
		{Runs: "A>O", Ask: `{"messages":[{"role":"user","content":"JSON please"},{"role":"assistant","content":"{"}]}`, Beside: []Beside{{Flavour: "A-old"}}, Sent: `
			@count = 0
			b1 @count = 1`},
	}},
	{"byte-for-byte", "A request to a provider of its own format", "a prompt cache misses, a signature breaks, a number is rounded", []Leg{
		{Runs: "A>A", Raw: "{ \"max_tokens\" : 99,\n\t\"model\":\"MODEL\",\"metadata\":{\"user_id\":\"\\u0061b\"},  \"messages\":[{\"content\":[{\"text\":\"caf\\u00e9 1.0\",\"type\":\"text\"}],\"role\":\"user\"}] }", Modes: "plain", Sent: `
			@text == "{ \"max_tokens\" : 99,\n\t\"model\":\"claude-sonnet-5-5\",\"metadata\":{\"user_id\":\"\\u0061b\"},  \"messages\":[{\"content\":[{\"text\":\"caf\\u00e9 1.0\",\"type\":\"text\"}],\"role\":\"user\"}] }"`},
		{Runs: "O>O", Raw: "{ \"seed\" : 1e0,\n\t\"model\":\"MODEL\",  \"messages\":[{\"content\":\"caf\\u00e9 1.0\",\"role\":\"user\"}] }", Modes: "plain", Sent: `
			@text == "{ \"seed\" : 1e0,\n\t\"model\":\"gpt-6-sol\",  \"messages\":[{\"content\":\"caf\\u00e9 1.0\",\"role\":\"user\"}] }"`},
	}},
}}
