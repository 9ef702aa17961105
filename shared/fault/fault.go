// Package fault names the few kinds of failure an attempt can have, and decides for each: may it be tried elsewhere, whom is it charged to, what does the client see.
package fault

import "time"

// Kind is what went wrong with an attempt. Its numbers cross the wire in outcome batches: append, never reorder.
type Kind uint8

// The kinds, in the order of their wire numbers.
const (
	None            Kind = iota // success
	Canceled                    // the client left; nobody's failure
	BadRequest                  // the provider refused the request itself (400, 422)
	NotFound                    // the provider does not know the model (404)
	ContextTooLong              // prompt and answer do not fit the model
	ContentFilter               // the provider refused the content
	TooLarge                    // body over the provider's limit (413)
	RateLimited                 // 429: capacity of this credential, not health
	QuotaExhausted              // balance, plan or spend cap used up (402, insufficient_quota)
	Unauthorized                // the provider refused our credential (401, 403)
	Overloaded                  // 529, or 503 that says overloaded: capacity, not health
	ServerError                 // 500, 502, 503, 504, 520-526
	Connect                     // DNS, dial, TLS, or a reset before any response header
	FirstToken                  // no first event within the limit
	Stall                       // no chunk within the limit, mid-stream
	Truncated                   // the stream ended before its end
	Garbage                     // what came is not the protocol
	Deadline                    // the request's own time ran out
	Internal                    // our own failure; nobody is charged
	Unsignable                  // the provider refused a thinking signature: strip and try once more, same provider
	Unauthenticated             // the caller has not shown who it is: no key, or none that is taken
	Forbidden                   // the caller is known, and may not have what it asks for
	kinds                       // count; keep last
)

// Kinds is how many kinds there are: the length of per-kind counters.
const Kinds = int(kinds)

// Scope is who is charged: always the smallest unit that the failure implies.
type Scope uint8

// The scopes from nobody to everything that the provider serves.
const (
	Nobody Scope = iota
	Credential
	Model
	Provider
)

// Severity is how a kind counts against its scope.
type Severity uint8

// The severities. Capacity lowers what is sent, Hard counts towards the circuit, Block takes the scope out at once.
const (
	Harmless Severity = iota
	Capacity
	Hard
	Block
)

// Rule is everything that is decided by the kind alone.
type Rule struct {
	Name     string
	Retry    bool // may be tried at another candidate, as long as no byte has reached the client
	Same     bool // may be tried at the same provider with another credential
	Charge   Scope
	Severity Severity
	Status   int    // what an Anthropic client gets when no candidate is left
	Type     string // Anthropic error type
	Code     string // OpenAI error type, or code where OpenAI has one
	Final    bool   // tell the SDK not to retry (x-should-retry: false)
}

// rules is the one table: ROWS ARE THE CONTRACT, tested row by row.
var rules = [kinds]Rule{
	None:            {Name: "ok", Charge: Nobody, Severity: Harmless, Status: 200},
	Canceled:        {Name: "canceled", Charge: Nobody, Severity: Harmless, Status: 499, Type: "api_error", Code: "server_error"},
	BadRequest:      {Name: "bad_request", Charge: Nobody, Severity: Harmless, Status: 400, Type: "invalid_request_error", Code: "invalid_request_error", Final: true},
	NotFound:        {Name: "not_found", Retry: true, Charge: Nobody, Severity: Harmless, Status: 404, Type: "not_found_error", Code: "model_not_found", Final: true},
	ContextTooLong:  {Name: "context_too_long", Charge: Nobody, Severity: Harmless, Status: 400, Type: "invalid_request_error", Code: "context_length_exceeded", Final: true},
	ContentFilter:   {Name: "content_filter", Charge: Nobody, Severity: Harmless, Status: 400, Type: "invalid_request_error", Code: "content_filter", Final: true},
	TooLarge:        {Name: "too_large", Charge: Nobody, Severity: Harmless, Status: 413, Type: "request_too_large", Code: "request_too_large", Final: true},
	RateLimited:     {Name: "rate_limited", Retry: true, Same: true, Charge: Credential, Severity: Capacity, Status: 429, Type: "rate_limit_error", Code: "rate_limit_error"},
	QuotaExhausted:  {Name: "quota_exhausted", Retry: true, Same: true, Charge: Credential, Severity: Block, Status: 429, Type: "rate_limit_error", Code: "insufficient_quota", Final: true},
	Unauthorized:    {Name: "unauthorized", Retry: true, Same: true, Charge: Credential, Severity: Block, Status: 502, Type: "api_error", Code: "server_error", Final: true},
	Overloaded:      {Name: "overloaded", Retry: true, Charge: Model, Severity: Capacity, Status: 529, Type: "overloaded_error", Code: "service_unavailable_error"},
	ServerError:     {Name: "server_error", Retry: true, Charge: Model, Severity: Hard, Status: 502, Type: "api_error", Code: "server_error"},
	Connect:         {Name: "connect", Retry: true, Charge: Provider, Severity: Hard, Status: 502, Type: "api_error", Code: "server_error"},
	FirstToken:      {Name: "first_token_timeout", Retry: true, Charge: Model, Severity: Hard, Status: 504, Type: "timeout_error", Code: "timeout"},
	Stall:           {Name: "stall", Retry: true, Charge: Model, Severity: Hard, Status: 504, Type: "timeout_error", Code: "timeout"},
	Truncated:       {Name: "truncated", Retry: true, Charge: Model, Severity: Hard, Status: 502, Type: "api_error", Code: "server_error"},
	Garbage:         {Name: "garbage", Retry: true, Charge: Model, Severity: Hard, Status: 502, Type: "api_error", Code: "server_error"},
	Deadline:        {Name: "deadline", Charge: Nobody, Severity: Harmless, Status: 504, Type: "timeout_error", Code: "timeout"},
	Internal:        {Name: "internal", Charge: Nobody, Severity: Harmless, Status: 500, Type: "api_error", Code: "server_error"},
	Unsignable:      {Name: "unsignable", Charge: Nobody, Severity: Harmless, Status: 400, Type: "invalid_request_error", Code: "invalid_request_error", Final: true},
	Unauthenticated: {Name: "unauthenticated", Charge: Nobody, Severity: Harmless, Status: 401, Type: "authentication_error", Code: "invalid_api_key", Final: true},
	Forbidden:       {Name: "forbidden", Charge: Nobody, Severity: Harmless, Status: 403, Type: "permission_error", Code: "permission_denied", Final: true},
}

// Rule returns the row of k. Unknown numbers, from a newer node, read as Internal.
func (k Kind) Rule() Rule {
	if k >= kinds {
		k = Internal
	}
	return rules[k]
}

// String is the kind's name in metrics, records and explanations.
func (k Kind) String() string { return k.Rule().Name }

// Hard says whether k counts as a failure towards a circuit.
func (k Kind) Hard() bool { return k.Rule().Severity == Hard }

// Parse finds the kind of that name; ok is false for a name nobody has.
func Parse(name string) (k Kind, ok bool) {
	for i := range rules {
		if rules[i].Name == name {
			return Kind(i), true
		}
	}
	return Internal, false
}

// Fault is one failure with what is known of it. The zero value is success.
type Fault struct {
	Kind Kind
	// Status is the upstream's HTTP status; 0 when there was none.
	Status int
	// Message is for people: the provider's words, cut and cleaned, or ours.
	Message string
	// RetryAfter is how long the provider asked us to wait; 0 means it did not say.
	RetryAfter time.Duration
	// UpstreamID is the provider's own request id.
	UpstreamID string
	// Param is the JSON path or field that the provider named as the culprit, if it did.
	Param string
	// Sent is whether any byte of the request may have reached the provider.
	Sent bool
}

// OK reports success.
func (f *Fault) OK() bool { return f.Kind == None }

// Error makes a Fault an error for the few places that need one.
func (f *Fault) Error() string {
	if f.Message == "" {
		return f.Kind.String()
	}
	return f.Kind.String() + ": " + f.Message
}
