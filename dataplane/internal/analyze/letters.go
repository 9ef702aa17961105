package analyze

import (
	"unicode"
	"unicode/utf8"
)

// Some readers of JSON take "Model" for model: what stands under such a key would be one thing here and another upstream, and whoever may
// use one model or one class would get any. So a key of the formats in other letters is refused; keys of nobody's may look as they like.

// member goes to the value of the next member of an object that a format describes.
func (a *Analyzer) member(o *object) bool {
	if !a.scanner.member(o) {
		return false
	}
	for _, c := range o.key {
		if c-'A' < 26 || c >= utf8.RuneSelf {
			return a.otherLetters(o)
		}
	}
	return true
}

// keyBytesMax is longer than any key of the formats, in whatever letters.
const keyBytesMax = 64

// otherLetters refuses a key that is one of the formats' but for its letters.
func (a *Analyzer) otherLetters(o *object) bool {
	if len(o.key) > keyBytesMax {
		return true
	}
	var buffer [keyBytesMax]byte
	plain := buffer[:0]
	for _, r := range string(o.key) {
		plain = append(plain, plainLetter(r))
	}
	if formatKeys[string(plain)] {
		a.fail(o.keyAt, "this key is written in other letters than the format's, which are small")
		return false
	}
	return true
}

// plainLetter is the small letter of ASCII that a reader heedless of case may take a character for; 0 for none.
func plainLetter(r rune) byte {
	for f := unicode.SimpleFold(r); ; f = unicode.SimpleFold(f) {
		if f < utf8.RuneSelf && (f < 'A' || f > 'Z') {
			return byte(f)
		}
		if f == r {
			return 0
		}
	}
}

// formatKeys are all keys that the readers of the formats know; a test compares them with those readers. Never written to.
var formatKeys = map[string]bool{
	"arguments": true, "audio": true, "budget_tokens": true, "container": true, "content": true, "context": true, "custom": true,
	"data": true, "description": true, "disable_parallel_tool_use": true, "effort": true, "fallbacks": true, "file": true,
	"file_data": true, "file_id": true, "filename": true, "format": true, "frequency_penalty": true, "function": true,
	"function_call": true, "functions": true, "id": true, "image_url": true, "include_obfuscation": true, "include_usage": true,
	"inference_geo": true, "input": true, "input_audio": true, "input_schema": true, "json_schema": true, "logit_bias": true,
	"logprobs": true, "max_completion_tokens": true, "max_tokens": true, "mcp_servers": true, "media_type": true, "messages": true,
	"metadata": true, "modalities": true, "model": true, "models": true, "n": true, "name": true, "output_config": true,
	"output_format": true, "parallel_tool_calls": true, "parameters": true, "presence_penalty": true, "prompt_cache_key": true,
	"reasoning": true, "reasoning_content": true, "reasoning_details": true, "reasoning_effort": true, "refusal": true,
	"response_format": true, "role": true, "safety_identifier": true, "schema": true, "seed": true, "service_tier": true, "source": true,
	"speed": true, "stderr": true, "stdout": true, "stop": true, "stop_sequences": true, "store": true, "stream": true,
	"stream_options": true, "strict": true, "system": true, "temperature": true, "text": true, "thinking": true, "thinking_blocks": true,
	"title": true, "tool_call_id": true, "tool_calls": true, "tool_choice": true, "tool_use_id": true, "tools": true, "top_k": true,
	"top_logprobs": true, "top_p": true, "type": true, "url": true, "user": true, "user_id": true, "verbosity": true,
	"web_search_options": true,
}
