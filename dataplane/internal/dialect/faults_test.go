package dialect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

func TestDecodeError(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		status     int
		header     map[string]string
		body       string
		want       fault.Kind
		param      string
		wait       time.Duration
		message    string
	}{
		{name: "nested", status: 400, body: `{"error":{"message":"bad thing","type":"invalid_request_error","param":"seed","code":null}}`, want: fault.BadRequest, param: "seed", message: "bad thing"},
		{name: "anthropic", status: 529, body: `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_9"}`, want: fault.Overloaded, message: "Overloaded"},
		{name: "flat", kind: "cerebras", status: 422, body: `{"message":"property 'frequency_penalty' is unsupported","type":"invalid_request_error","param":"validation_error","code":"wrong_api_format"}`, want: fault.BadRequest, param: "frequency_penalty"},
		{name: "html", status: 502, body: `<html><head><title>502 Bad Gateway</title></head></html>`, want: fault.ServerError, message: "502 Bad Gateway"},
		{name: "empty", status: 503, want: fault.ServerError, message: "HTTP 503"},
		{name: "overloaded 503", status: 503, body: `{"error":{"message":"The server is overloaded"}}`, want: fault.Overloaded},
		{name: "bare string", status: 500, body: `{"error":"oops"}`, want: fault.ServerError, message: "oops"},
		{name: "key refused", status: 401, body: `{"error":{"message":"Incorrect API key provided: sk-proj-abcdefghijklmnop***wxyz. Look."}}`, want: fault.Unauthorized, message: "Incorrect API key provided: [secret] Look."},
		{name: "forbidden", status: 403, want: fault.Unauthorized},
		{name: "payment", status: 402, want: fault.QuotaExhausted},
		{name: "quota in a 429", status: 429, body: `{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"You exceeded your current quota"}}`, want: fault.QuotaExhausted},
		{name: "spend cap", kind: "anthropic", status: 429, body: `{"type":"error","error":{"type":"rate_limit_error","message":"cap","details":{"error_code":"enforced_spend_limit_reached"}}}`, want: fault.QuotaExhausted},
		{name: "balance in a 400", kind: "anthropic", status: 400, body: `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API"}}`, want: fault.QuotaExhausted},
		{name: "unknown model", status: 404, body: `{"error":{"message":"The model x does not exist","code":"model_not_found"}}`, want: fault.NotFound},
		{name: "unknown model as 400", status: 400, body: `{"error":{"message":"m","code":"model_not_found"}}`, want: fault.NotFound},
		{name: "too large", status: 413, want: fault.TooLarge},
		{name: "timeout", status: 504, want: fault.ServerError},
		{name: "context, openai", status: 400, body: `{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.","code":"context_length_exceeded"}}`, want: fault.ContextTooLong},
		{name: "context, anthropic", kind: "anthropic", status: 400, body: `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}`, want: fault.ContextTooLong},
		{name: "signature", kind: "anthropic", status: 400, body: `{"type":"error","error":{"type":"invalid_request_error","message":"messages.1.content.0: Invalid ` + "`signature`" + ` in ` + "`thinking`" + ` block"}}`, want: fault.Unsignable},
		{name: "filter", status: 400, body: `{"error":{"message":"m","code":"content_filter"}}`, want: fault.ContentFilter},
		{name: "zai concurrency", kind: "zai", status: 429, body: `{"error":{"code":"1302","message":"too many"}}`, want: fault.RateLimited},
		{name: "zai balance", kind: "zai", status: 429, body: `{"error":{"code":"1113","message":"arrears"}}`, want: fault.QuotaExhausted},
		{name: "zai number", kind: "zai", status: 429, body: `{"error":{"code":1312,"message":"busy"}}`, want: fault.Overloaded},
		{name: "zai plan window", kind: "zai", status: 429, header: map[string]string{"date": "Mon, 23 Nov 2026 01:00:00 GMT"}, body: `{"error":{"code":"1308","message":"Usage limit reached. Your limit will reset at 2026-11-23 10:30:00"}}`, want: fault.QuotaExhausted, wait: 90 * time.Minute},
		{name: "minimax in words", kind: "minimax", status: 400, body: `{"type":"error","error":{"type":"bad_request_error","message":"invalid params (2013)","http_code":"400"},"request_id":"r"}`, want: fault.BadRequest},
		{name: "minimax balance", kind: "minimax", status: 200, body: `{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`, want: fault.QuotaExhausted},
		{name: "retry-after-ms", status: 429, header: map[string]string{"retry-after-ms": "250", "retry-after": "9"}, want: fault.RateLimited, wait: 250 * time.Millisecond},
		{name: "seconds", status: 429, header: map[string]string{"retry-after": "1.5"}, want: fault.RateLimited, wait: 1500 * time.Millisecond},
		{name: "date", status: 429, header: map[string]string{"retry-after": "Mon, 23 Nov 2026 01:00:30 GMT", "date": "Mon, 23 Nov 2026 01:00:00 GMT"}, want: fault.RateLimited, wait: 30 * time.Second},
		{name: "reset as duration", status: 429, header: map[string]string{"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "9h"}, want: fault.RateLimited, wait: 6 * time.Minute},
		{name: "reset as seconds", kind: "cerebras", status: 429, header: map[string]string{"x-ratelimit-remaining-tokens-minute": "0", "x-ratelimit-reset-tokens-minute": "12.5"}, want: fault.RateLimited, wait: 12500 * time.Millisecond},
		{name: "reset as date", kind: "anthropic", status: 429, header: map[string]string{"date": "Mon, 23 Nov 2026 01:00:00 GMT", "anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-11-23T01:00:20Z"}, want: fault.RateLimited, wait: 20 * time.Second},
		{name: "in words", status: 429, body: `{"error":{"message":"Rate limit reached. Please try again in 20s."}}`, want: fault.RateLimited, wait: 20 * time.Second},
		{name: "extra inputs", status: 400, body: `{"type":"error","error":{"type":"invalid_request_error","message":"context_management: Extra inputs are not permitted"}}`, want: fault.BadRequest, param: "context_management"},
		{name: "unrecognized", status: 400, body: `{"error":{"message":"Unrecognized request argument supplied: verbosity"}}`, want: fault.BadRequest, param: "verbosity"},
		{name: "control characters", status: 500, body: `{"error":{"message":"a\u0000b\r\nc\u001b[31m"}}`, want: fault.ServerError, message: "a b c [31m"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sheet := &provider.Sheet{}
			if c.kind != "" {
				sheet, _ = provider.For(c.kind)
			}
			f := newTranslator().DecodeError(&dialect.Target{Sheet: sheet}, c.status, func(name string) string { return c.header[name] }, []byte(c.body))
			if f.Kind != c.want {
				t.Errorf("kind %v, want %v (%s)", f.Kind, c.want, f.Message)
			}
			if f.RetryAfter != c.wait {
				t.Errorf("wait %v, want %v", f.RetryAfter, c.wait)
			}
			if c.param != "" && f.Param != c.param {
				t.Errorf("param %q, want %q", f.Param, c.param)
			}
			if c.message != "" && f.Message != c.message {
				t.Errorf("message %q, want %q", f.Message, c.message)
			}
		})
	}
}

// TestLearning: what a provider names as unknown is left out from then on, and nothing that matters is.
func TestLearning(t *testing.T) {
	tr := newTranslator()
	target := target(&provider.Sheet{Kind: "compatible"}, route.OpenAI)
	learn := func(body string) bool {
		f := tr.DecodeError(&target, 400, func(string) string { return "" }, []byte(body))
		return tr.Learn(&target, &f)
	}
	if !learn(`{"error":{"message":"messages.0.content.1.text.cache_control: Extra inputs are not permitted"}}`) ||
		!learn(`{"error":{"message":"Unsupported parameter: 'seed' is not supported with this model.","param":"seed","code":"unsupported_parameter"}}`) {
		t.Fatal("not learnt")
	}
	for _, body := range []string{
		`{"error":{"message":"messages: Extra inputs are not permitted"}}`,
		`{"error":{"message":"temperature must be at most 1","param":"temperature"}}`,
		`{"error":{"message":"model not supported","param":"model"}}`,
	} {
		if learn(body) {
			t.Errorf("learnt from %s", body)
		}
	}
	if got := strings.Join(tr.Refused(target.Provider), " "); got != "messages[].content[].cache_control seed" {
		t.Errorf("refused %s", got)
	}
	body, reply, rejected := tr.Prepare(nil, call(route.OpenAI, target, `{"model":"m","seed":1,"max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{}}]}]}`))
	if want := `{"model":"target-model","max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]}`; rejected != nil || string(body) != want {
		t.Errorf("%v %s", rejected, body)
	}
	if !warned(reply, "seed") {
		t.Errorf("no warning: %v", reply.Progress().Warnings)
	}
	other := target
	other.Model = "other-model"
	if body, _, _ := tr.Prepare(nil, call(route.OpenAI, other, `{"model":"m","seed":1,"max_tokens":5,"messages":[{"role":"user","content":"a"}]}`)); part(t, string(body), "seed") != "1" {
		t.Errorf("another model of the provider loses what it takes: %s", body)
	}
	for i := range 100 {
		tr.Learn(&target, &fault.Fault{Kind: fault.BadRequest, Param: "field_" + strings.Repeat("x", i), Message: "unknown parameter"})
	}
	if n := len(tr.Refused(target.Provider)); n > 32 {
		t.Errorf("%d fields learnt", n)
	}
}

// TestBetas: what a target refuses goes out of the header with it, and nothing else does.
func TestBetas(t *testing.T) {
	tr := newTranslator()
	target := target(&provider.Sheet{Kind: "compatible"}, route.Anthropic)
	const line = "claude-code-20250219, context-management-2025-06-27,effort-2025-11-24,extended-cache-ttl-2025-04-11,interleaved-thinking-2025-05-14"
	if got := tr.Betas(&target, line); got != line {
		t.Errorf("changed to %s", got)
	}
	for _, row := range []struct{ words, want string }{
		{"output_config.effort: Extra inputs are not permitted", "claude-code-20250219,context-management-2025-06-27,extended-cache-ttl-2025-04-11,interleaved-thinking-2025-05-14"},
		{"system.0.cache_control.ttl: Extra inputs are not permitted", "claude-code-20250219,context-management-2025-06-27,interleaved-thinking-2025-05-14"},
		{"This field needs the `anthropic-beta: context-management-2025-06-27` header", "claude-code-20250219,context-management-2025-06-27,interleaved-thinking-2025-05-14"},
		{"Unexpected value(s) `context-management-2025-06-27`, `interleaved-thinking-2025-05-14` for the `anthropic-beta` header.", "claude-code-20250219"},
		{"invalid beta flag", ""},
	} {
		f := tr.DecodeError(&target, 400, func(string) string { return "" }, []byte(`{"type":"error","error":{"type":"invalid_request_error","message":"`+row.words+`"}}`))
		tr.Learn(&target, &f)
		if got := tr.Betas(&target, line); got != row.want {
			t.Errorf("after %q: %s", row.words, got)
		}
	}
	other := target
	other.Model = "other-model"
	if got := tr.Betas(&other, line); got != line {
		t.Errorf("another model loses %s", got)
	}
}

// TestLimitUnderItsOtherName: a provider that refuses one name of the limit gets the other.
func TestLimitUnderItsOtherName(t *testing.T) {
	tr := newTranslator()
	target := target(&provider.Sheet{Kind: "compatible"}, route.OpenAI)
	f := fault.Fault{Kind: fault.BadRequest, Status: 400, Param: "max_tokens", Message: "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."}
	if !tr.Learn(&target, &f) {
		t.Fatal("not learnt")
	}
	for from, request := range map[route.Protocol]string{route.OpenAI: `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"a"}]}`, route.Anthropic: `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"a"}]}`} {
		body, _, rejected := tr.Prepare(nil, call(from, target, request))
		if rejected != nil || part(t, string(body), "max_completion_tokens") != "5" || part(t, string(body), "max_tokens") != "" {
			t.Errorf("%v: %v %s", from, rejected, body)
		}
	}
}

// TestPickyAboutSignatures: a provider that has refused a signature gets only its own thinking from then on.
func TestPickyAboutSignatures(t *testing.T) {
	tr := newTranslator()
	target := target(anthropicSheet, route.Anthropic)
	_, reply, _ := tr.Prepare(nil, call(route.Anthropic, target, asks(`,"stream":true`)))
	feed(reply, events(aHead, aStart("0", `{"type":"thinking","thinking":"","signature":""}`), aDelta("0", `{"type":"signature_delta","signature":"its-own"}`), aStop("0"), aEnd("end_turn"), aTail), 0)
	tr.Learn(&target, &fault.Fault{Kind: fault.Unsignable})
	body, _, _ := tr.Prepare(nil, call(route.Anthropic, target, `{"model":"m","messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"its-own"},{"type":"thinking","thinking":"b","signature":"other"},{"type":"text","text":"c"}]}]}`))
	if want := `{"model":"target-model","messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"its-own"},{"type":"text","text":"c"}]}]}`; string(body) != want {
		t.Errorf("got %s", body)
	}
}

func TestEncodeError(t *testing.T) {
	tr := newTranslator()
	for _, c := range []struct {
		client route.Protocol
		fault  fault.Fault
		status int
		want   string
	}{
		{route.Anthropic, fault.Fault{Kind: fault.BadRequest, Message: "m"}, 400, `{"type":"error","error":{"type":"invalid_request_error","message":"m"},"request_id":"r"}`},
		{route.OpenAI, fault.Fault{Kind: fault.BadRequest, Message: "m", Param: "seed"}, 400, `{"error":{"message":"m","type":"invalid_request_error","param":"seed","code":null}}`},
		{route.Anthropic, fault.Fault{Kind: fault.Overloaded, Message: "m"}, 529, `{"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"r"}`},
		{route.OpenAI, fault.Fault{Kind: fault.Overloaded, Message: "m"}, 503, `{"error":{"message":"m","type":"service_unavailable_error","param":null,"code":"overloaded"}}`},
		{route.Anthropic, fault.Fault{Kind: fault.ServerError, Status: 502, Message: "m"}, 500, `{"type":"error","error":{"type":"api_error","message":"m"},"request_id":"r"}`},
		{route.Anthropic, fault.Fault{Kind: fault.ServerError, Status: 504, Message: "m"}, 504, `{"type":"error","error":{"type":"timeout_error","message":"m"},"request_id":"r"}`},
		{route.OpenAI, fault.Fault{Kind: fault.ServerError, Status: 504, Message: "m"}, 504, `{"error":{"message":"m","type":"server_error","param":null,"code":"timeout"}}`},
		{route.Anthropic, fault.Fault{Kind: fault.Unauthorized, Message: "m"}, 502, `{"type":"error","error":{"type":"api_error","message":"m"},"request_id":"r"}`},
		{route.OpenAI, fault.Fault{Kind: fault.NotFound, Message: "m"}, 404, `{"error":{"message":"m","type":"not_found_error","param":null,"code":"model_not_found"}}`},
		{route.OpenAI, fault.Fault{Kind: fault.QuotaExhausted, Message: "m"}, 429, `{"error":{"message":"m","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`},
		{route.OpenAI, fault.Fault{Kind: fault.ContextTooLong, Message: "m"}, 400, `{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"context_length_exceeded"}}`},
		{route.Anthropic, fault.Fault{Kind: fault.ContextTooLong, Message: "maximum context length is 8192 tokens, you asked for 9000"}, 400, `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9000 tokens > 8192 maximum (maximum context length is 8192 tokens, you asked for 9000)"},"request_id":"r"}`},
	} {
		doc := tr.ErrorFor(c.client, &c.fault, "r")
		if doc.Status != c.status {
			t.Errorf("%v for %v: status %d, want %d", c.fault.Kind, c.client, doc.Status, c.status)
		}
		if got := string(tr.EncodeError(nil, c.client, &doc)); got != c.want {
			t.Errorf("%v for %v:\n%s\nwant\n%s", c.fault.Kind, c.client, got, c.want)
		}
	}
}

func TestModels(t *testing.T) {
	list := dialect.EncodeModels(nil, dialect.ModelsPage{Models: []dialect.ModelInfo{{ID: "a", OwnedBy: "x", Created: time.Unix(1700000000, 0), MaxInputTokens: 5, Has: route.Vision}, {ID: "b"}}})
	for path, want := range map[string]string{
		"object": `"list"`, "has_more": "false", "first_id": `"a"`, "last_id": `"b"`, "data.0.object": `"model"`, "data.0.type": `"model"`, "data.0.created": "1700000000",
		"data.0.created_at": `"2023-11-14T22:13:20Z"`, "data.0.display_name": `"a"`, "data.0.max_input_tokens": "5", "data.0.capabilities.image_input.supported": "true", "data.1.owned_by": `""`,
	} {
		if got := part(t, string(list), path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	flat(t, string(list))
	flat(t, string(dialect.EncodeModels(nil, dialect.ModelsPage{})))
}

// TestPagesOfModels: a client that goes through the list page by page, in either direction, sees every model once.
func TestPagesOfModels(t *testing.T) {
	var all []dialect.ModelInfo
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		all = append(all, dialect.ModelInfo{ID: id})
	}
	for _, row := range []struct {
		after, before string
		limit         int
		want          string
		more          bool
	}{
		{"", "", 0, "abcde", false}, {"", "", 2, "ab", true}, {"b", "", 2, "cd", true}, {"d", "", 2, "e", false}, {"e", "", 2, "", false},
		{"", "e", 2, "cd", true}, {"", "c", 2, "ab", false}, {"", "a", 2, "", false}, {"", "", 5, "abcde", false}, {"a", "d", 0, "bc", false},
	} {
		p, ok := dialect.PageModels(all, row.after, row.before, row.limit)
		got := ""
		for _, m := range p.Models {
			got += m.ID
		}
		if !ok || got != row.want || p.More != row.more {
			t.Errorf("%+v: %s %v", row, got, p.More)
		}
	}
	if _, ok := dialect.PageModels(all, "x", "", 0); ok {
		t.Error("behind a model that is not there")
	}
}
