// Package synthetic is the scripted provider: every shape of both wire formats, and every fault, on cue.
//
// It is an http.Handler that answers like a provider of language models, without a model. It speaks Anthropic Messages
// (…/messages, …/messages/count_tokens) and OpenAI Chat Completions (…/chat/completions), streamed and not, and lists models
// (…/models, …/models/{id}). Tests, benchmarks, the demo and the fallback are served by it.
//
// # Scenarios
//
// What is answered follows from a scenario. It is looked for in this order:
//
//   - the behaviour set by Server.Behave, or by POST /synthetic/behaviour with {"scenario":"…"}, for every request;
//   - the header x-synthetic-scenario;
//   - the model: "synthetic/SCENARIO", or a name that is a scenario or ends in one after its last slash or colon
//     ("claude-sonnet-5-5:tool").
//
// Where the conversation ends in words of the assistant's, and the answer begins with them, the rest of it is said: a model that goes on.
//
// Any other model gets the plain answer: a sentence that quotes the prompt; a tool call where the caller forces one or the
// prompt says "use the tool"; a sample of the JSON schema where one is asked for. A tool whose result is already there is
// not called again, so agents come to an end.
//
// A scenario is one or more terms joined by + or &, in any order. A term is a word or word=value; a value that holds +, & or
// % has them percent-encoded. Unknown terms and impossible values are refused with 400.
//
//	thinking+tools-parallel
//	status=429&retry-after=2
//	tokens=200+first=300ms..600ms+token=5ms
//	error-mid-stream+after=10+vendor=zai
//
// All terms:
//
//	answer
//	  text                       a sentence that names the provider and quotes the prompt; never a tool call
//	  say=TEXT                   exactly this text
//	  tokens=N                   a text of N tokens
//	  agent                      calls a fitting tool first, and quotes its result once there is one
//	  image                      lists the images that arrived: type, size, hash
//	  echo                       the request as it arrived, as JSON: method, path, headers, body
//	  refusal                    declines: a refusal with its stop reason
//	  length                     ends at the token limit
//	  content-filter             ends by the content filter
//	  finish=WORD                ends with this finish or stop reason, word for word
//	  empty                      an answer without any content
//	  empty-text                 Anthropic: an empty text block before the text; OpenAI: empty content deltas
//	  citations                  Anthropic: text with a citation; OpenAI: url_citation annotations
//	thinking
//	  thinking                   reasons before it answers; signed on the Anthropic side
//	  thinking-omitted           Anthropic: a thinking block with nothing but a signature
//	  redacted                   Anthropic: a redacted_thinking block before the text
//	  think-tags                 OpenAI: reasoning inside content as <think>…</think>, the tags straddling chunks
//	  think-stray                a closing </think> in the text that nothing opened
//	  reasoning=FIELD            OpenAI: where reasoning is put: reasoning, reasoning_content, reasoning_details, both, tags or none
//	tools
//	  tool                       one call of the first fitting tool, its arguments the least its schema allows
//	  tools-parallel             two calls, one after the other
//	  tools-interleaved          two calls, their fragments taking turns
//	  tools-indexless            OpenAI: two calls without an index
//	  tools-index0               OpenAI: two calls, both with index 0
//	  tools-sparse               OpenAI: two calls, indices 1 and 3
//	  calls=N                    N calls instead
//	  tool-unoffered             a call of a tool that nobody offered
//	  tool-empty-args            a call without any arguments: no fragment at all
//	  tool-whole                 the whole call in one event
//	  tool-in-start              Anthropic: the input whole in content_block_start, no deltas; OpenAI: arguments in the first fragment
//	  arguments-object           OpenAI: arguments as an object, not a string
//	  tool-no-id                 a call without an id
//	  tool-same-id               two calls with one id
//	  tool-odd-id                ids with signs that Anthropic refuses: functions.NAME:0
//	  tool-split-name            OpenAI: the name in two fragments
//	  tool-bad-json              arguments that are no valid JSON
//	  tool-cut-args              arguments cut off by the token limit
//	  stop-with-tools            a call, and a finish reason that denies it: stop, end_turn
//	  text-after-tools           text again after the calls
//	  server-tool                Anthropic: a web search run by the provider itself, with its result
//	stream
//	  split                      one byte to a write, so that characters arrive in halves
//	  slow-drip[=DURATION]       one byte to a write, with a wait after each (1ms)
//	  burst                      the whole stream in one write
//	  crlf                       lines end in CR LF
//	  bom                        a byte order mark first
//	  pings                      a ping (Anthropic) or a comment (OpenAI) before each event
//	  data-only                  Anthropic: no event: lines
//	  unknown-event              Anthropic: an event nobody knows; OpenAI: a chunk with unknown members
//	  error-null                 OpenAI: "error":null in every chunk
//	  moving-id                  OpenAI: another id in every chunk
//	  no-done                    the last event is missing: message_stop, [DONE]
//	  no-finish                  no finish reason ever, but the last event comes
//	  huge-line[=BYTES]          one event with that much text (1048576)
//	  early                      headers and opening event at once, before the wait for the first token
//	usage
//	  usage=WHERE                where usage stands: none; finish (with the finish reason); separate (OpenAI: a chunk of its own, Anthropic: input first, output last); every (event)
//	  cached=N                   N prompt tokens read from the cache
//	  written=N                  N prompt tokens written to the cache
//	pace
//	  first=DURATION             wait before the first token; A..B chooses between the two by the seed
//	  token=DURATION             wait before each further token, likewise
//	error
//	  status=CODE                this HTTP status with the vendor's error body
//	  code=CODE                  the vendor's own error code; without a status, the one that belongs to it
//	  message=TEXT               the error's message
//	  vendor=NAME                the shapes and rules of anthropic, openai, cerebras, zai or minimax, for this request
//	  retry-after=VALUE          the header as given: seconds, fractions, a date, nonsense
//	  retry-after-date=DURATION  the header as an HTTP date that far ahead
//	  retry-after-ms=N           the header retry-after-ms
//	  should-retry=BOOL          the header x-should-retry
//	  error-in-200               an error body under status 200; in a stream, as its first event
//	  html-error                 an HTML page instead of an error body (502 unless a status is given)
//	  empty-body                 no body at all, under 200 or the status given
//	  redirect[=URL]             307 to this address (/redirected)
//	  refuse=FIELD               400 naming the field if the body has it, at any depth; may be repeated
//	  needs-reasoning            400 if an assistant turn with tool calls comes back without its reasoning
//	  limit=N                    the vendor's rate-limit headers: the limit
//	  remaining=N                what is left of it
//	  reset-in=DURATION          when it is whole again
//	fault
//	  error-mid-stream           an error event in the stream; without a stream, status 500
//	  cut                        the body ends early, cleanly; without a stream, short of its length
//	  abort                      the connection closes inside the body
//	  reset                      the connection is reset (RST)
//	  stall                      nothing more comes, until the client leaves
//	  garbage                    bytes that are no event and no JSON
//	  after=N                    the fault strikes after N events (4); 0 is before the headers, 1 after the opening
//	when
//	  share=PART                 only for this part of the requests (0.4), chosen by the seed; the others get what they would have got without
//	  times=N                    only for the first N requests that ask for this scenario
//
// # Vendors
//
// Config.Vendor makes the server one vendor's likeness: its paths, error bodies, rate-limit headers, reasoning field and place
// of usage, and its rules. The rules are strict, and their messages say what was broken; without a vendor nothing but sound
// JSON is asked for. The term vendor=… borrows shapes and rules for one request and leaves the paths.
//
//	anthropic  nested errors with request_id; thinking is accepted only with a signature that this server gave to just
//	           that text; tool_use and tool_result must pair; version 2026-10-21 refuses sampling parameters
//	openai     nested errors; tool messages must follow their calls; unknown parameters are refused; no reasoning text
//	cerebras   flat errors, 422 for unknown fields; reasoning; usage and time_info in the finish chunk; whole calls; no images
//	zai        {"error":{"code":"1302",…}}; reasoning_content; refuses cache_control, json_schema, tools that are no functions
//	minimax    base_resp under status 200 for its own codes; <think> in content, or reasoning_details with reasoning_split;
//	           one system message; signed thinking on its Anthropic side
//
// # Watching
//
// Server.Received and Server.Stats tell what arrived and what became of it; GET /synthetic/received and /synthetic/stats show
// the same from outside the process, without credentials, and DELETE on either forgets. All waits end when the client leaves,
// and such answers are counted as cancelled.
//
// The same Config.Seed and the same order of requests give the same bytes, but for the clock's.
package synthetic
