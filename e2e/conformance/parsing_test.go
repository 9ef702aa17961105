package conformance

import "strings"

// One stream in both formats, to be written in all the ways that are allowed.
var (
	plainChunks = chunk(`{"role":"assistant","content":""}`, `{"content":"Ünïcode 考える "}`, `{"content":"😀 end"}`) + ending("stop", oUsage)
	plainEvents = message("end_turn", textBlock(0, "Ünïcode 考える ", "😀 end"))
)

const unicodeO, unicodeA = `choices[0].message.content = "Ünïcode 考える 😀 end"`, `content[0].text = "Ünïcode 考える 😀 end"`

// written are both streams in one way of writing, in pieces of that many bytes.
func written(piece int, write func(string) string) []Leg {
	o, a := []Reply{{Stream: write(plainChunks), Piece: piece}}, []Reply{{Stream: write(plainEvents), Piece: piece}}
	return []Leg{
		{Runs: "A>any-O", Replies: o, Stream: unicodeA},
		{Runs: "O>any-A", Replies: a, Stream: unicodeO},
	}
}

// passed is the same for providers of the client's own format.
func passed(piece int, write func(string) string) []Leg {
	return append(written(piece, write),
		Leg{Runs: "A>any-A", Replies: []Reply{{Stream: write(plainEvents), Piece: piece}}, Stream: unicodeA},
		Leg{Runs: "O>any-O", Replies: []Reply{{Stream: write(plainChunks), Piece: piece}}, Stream: unicodeO})
}

func asItIs(s string) string { return s }

func replaced(old, with string) func(string) string {
	return func(s string) string { return strings.ReplaceAll(s, old, with) }
}

var parsing = Group{"parsing", "Reading streams", []Case{
	{"byte-by-byte", "A stream byte by byte", "characters are torn, events are lost", passed(1, asItIs)},
	{"odd-pieces", "A stream in pieces of three bytes", "characters are torn, events are lost", passed(3, asItIs)},
	{"in-one-piece", "A stream in one piece", "only the first event of a read is seen", passed(1<<20, asItIs)},
	{"crlf", "Lines that end in CR LF", "no event is ever found", written(7, replaced("\n", "\r\n"))},
	{"cr", "Lines that end in CR", "no event is ever found", written(7, replaced("\n", "\r"))},
	{"mark-first", "A byte order mark first", "the first event is lost", []Leg{
		{Runs: "A>any-O", Replies: []Reply{{Stream: "\ufeff" + chunk(`{"role":"assistant","content":"One "}`, `{"content":"two"}`) + ending("stop", oUsage), Piece: 2}}, Stream: `content[0].text = "One two"`},
		{Runs: "O>any-A", Replies: []Reply{{Stream: "\ufeffdata: " + messageStart + "\nevent: message_start\n\n" + textBlock(0, "One two") + stopped("end_turn"), Piece: 2}}, Stream: `
			choices[0].message.content = "One two"
			usage.prompt_tokens = 11`},
	}},
	{"no-space", "No space behind the colon", "the event begins with the wrong character", written(5, replaced("data: ", "data:"))},
	{"several-lines", "Data over several lines", "half of an event is no JSON", written(5, replaced(`,"created"`, ",\ndata: \"created\""))},
	{"several-lines-a", "Data over several lines, in the other format", "half of an event is no JSON", []Leg{
		{Runs: "O>any-A", Replies: []Reply{{Stream: strings.ReplaceAll(plainEvents, `{"type":"text_delta",`, "{\ndata: \"type\":\"text_delta\",")}}, Stream: unicodeO},
	}},
	{"comments", "Comments between events", "they are taken for data", written(11, replaced("data: {", ": keep-alive\ndata: {"))},
	{"other-fields", "Fields that say nothing here", "id: and retry: lines end the stream", written(11, replaced("data: {", "id: 7\nretry: 3000\ndata: {"))},
	{"no-last-line", "A last event without its blank line", "the end of the answer is lost", []Leg{
		{Runs: "A>any-O", Replies: []Reply{{Stream: strings.TrimSuffix(plainChunks, "\n\n")}}, Stream: unicodeA},
		{Runs: "O>any-A", Replies: []Reply{{Stream: strings.TrimSuffix(plainEvents, "\n\n")}}, Stream: unicodeO},
		{Runs: "A>any-A", Replies: []Reply{{Stream: strings.TrimSuffix(plainEvents, "\n\n")}}, Stream: unicodeA},
	}},
	{"torn-in-arguments", "A character torn inside arguments", "the agent writes a file with broken letters", []Leg{
		{Runs: "A>any-O", Ask: `{` + aTools + `}`, Replies: []Reply{{Piece: 1, Stream: chunk(`{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Malmö"}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":" 東京 😀\"}"}}]}`) + ending("tool_calls", oUsage)}}, Stream: `
			content[0].input.city = "Malmö 東京 😀"`},
	}},
	{"scripted-ways", "The same ways, as the scripted provider has them", "one of them is forgotten", []Leg{
		{Runs: "A>any-O O>any-A A>O O>A", Modes: "stream", Scenario: "text+split", Got: `@status = 200`},
		{Runs: "A>any-O O>any-A", Modes: "stream", Scenario: "text+crlf", Got: `@status = 200`},
		{Runs: "A>any-O O>any-A", Modes: "stream", Scenario: "text+bom", Got: `@status = 200`},
		{Runs: "A>any-O O>any-A A>A O>O", Modes: "stream", Scenario: "text+burst", Got: `@status = 200`},
		{Runs: "A>any-O O>any-A", Modes: "stream", Scenario: "text+pings", Got: `@status = 200`},
	}},
	{"no-event-lines", "Anthropic events without their names", "the SDK drops every one of them, and shows nothing", []Leg{
		{Runs: "O>any-A", Modes: "stream", Scenario: "say=Hello+data-only", Got: `choices[0].message.content = "Hello"`},
	}},
	{"long-lines", "A line of a megabyte", "the reader's buffer is too small, and the stream breaks", []Leg{
		{Runs: "A>any-O A>any-A", Modes: "stream", Scenario: "huge-line", Got: `content[0].text len 1048576`},
		{Runs: "O>any-A O>any-O", Modes: "stream", Scenario: "huge-line", Got: `choices[0].message.content len 1048576`},
	}},
	{"endless-lines", "A line without end", "the gateway's memory fills up", []Leg{
		{Runs: "A>any-O", Modes: "stream", Scenario: "huge-line=33600000+early", Got: `
			@status = 502
			error.message ~ longer than 32 MiB`},
	}},
	{"garbage", "Bytes that are no events", "the client waits for ever", []Leg{
		{Runs: "A>any-O A>any-A", Modes: "stream", Scenario: "tokens=20+garbage+after=6+token=20ms", Got: `@error.error.type = "api_error"`},
		{Runs: "A>any-O", Modes: "plain", Scenario: "garbage", Got: fell("502", "api_error")},
		{Runs: "O>any-A", Modes: "plain", Scenario: "garbage", Got: fell("502", "server_error")},
	}},
	{"asks-for-no-compression", "What the gateway asks of the provider", "a compressed stream comes in lumps", []Leg{
		{Runs: "A>O O>A", Sent: `
			@header.accept-encoding matches ^(identity)?$
			@header.content-type ~ application/json`},
	}},
}}
