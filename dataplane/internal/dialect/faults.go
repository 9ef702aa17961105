package dialect

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/provider"
)

// messageMax bounds a provider's words, in bytes.
const messageMax = 600

// words is an error document of any vendor, taken apart.
type words struct {
	message, kind, code, param, requestID string
	status                                int // inside the document; 0 when it says none
}

// DecodeError reads a provider's refusal: the status, the headers (by their lower-case names) and the body, whatever envelope that has.
// A time in the headers is read against the answer's own date header.
func (t *Translator) DecodeError(target *Target, status int, header func(name string) string, body []byte) fault.Fault {
	sheet := target.Sheet
	if sheet == nil {
		sheet = noSheet
	}
	w := readWords(body)
	if w.message == "" {
		w.message = "HTTP " + strconv.Itoa(status)
	}
	f := judge(sheet, status, &w)
	f.RetryAfter = retryAfter(sheet, header, w.message)
	for _, name := range [...]string{"request-id", "x-request-id", "trace_id", "x-trace-id", "cf-ray"} {
		if id := header(name); id != "" && f.UpstreamID == "" {
			f.UpstreamID = Clean(id)
		}
	}
	if f.UpstreamID == "" {
		f.UpstreamID = Clean(w.requestID)
	}
	return f
}

// errorIn200 finds an error document where an answer should be.
func errorIn200(sheet *provider.Sheet, body Value) (fault.Fault, bool) {
	var kind, wrong, base Value
	for key, v := range body.Fields() {
		switch string(key) {
		case "type":
			kind = v
		case "error":
			wrong = v
		case "base_resp":
			base = v
		}
	}
	status, _ := base.Get("status_code").Int()
	if bad := wrong.Set() || kind.Plain() == "error" || status != 0; !bad {
		return fault.Fault{}, false
	}
	return FaultOf(sheet, body), true
}

// FaultOf reads an error that came inside an answer or a stream, where the HTTP status says nothing.
func FaultOf(sheet *provider.Sheet, doc Value) fault.Fault {
	w := readWords(doc)
	f := judge(sheet, w.status, &w)
	f.Status = w.status
	f.UpstreamID = Clean(w.requestID)
	f.Sent = true
	return f
}

// readWords takes any envelope: nested, flat, a bare string, base_resp, HTML, nothing.
func readWords(body []byte) (w words) {
	v, ok := valid(body)
	if !ok {
		w.message = htmlTitle(string(body))
		return w
	}
	w.requestID = v.Get("request_id").Plain()
	doc := v
	if inner := v.Get("error"); inner.Object() {
		doc = inner
	} else if inner.String() {
		w.message = inner.Plain()
	} else if base := v.Get("base_resp"); base.Object() {
		if n, _ := base.Get("status_code").Int(); n != 0 {
			return words{message: base.Get("status_msg").Plain(), code: strconv.Itoa(n), requestID: w.requestID}
		}
	}
	for key, value := range doc.Fields() {
		switch string(key) {
		case "message", "msg", "detail", "error_message":
			if w.message == "" {
				w.message = sayText(value)
			}
		case "type":
			w.kind = value.Plain()
		case "code":
			w.code = sayText(value)
		case "param":
			w.param = value.Plain()
		case "http_code", "status", "status_code":
			w.status = sayNumber(value)
		case "details":
			if code := value.Get("error_code").Plain(); code != "" {
				w.code = code
			}
		}
	}
	if w.status == 0 {
		if n, err := strconv.Atoi(w.code); err == nil && n >= 400 && n < 600 {
			w.status = n
		}
	}
	if w.code == "" {
		if m := codeInWords.FindStringSubmatch(w.message); m != nil {
			w.code = m[1]
		}
	}
	return w
}

// codeInWords finds a vendor's code that stands only in the text: "invalid params (2013)".
var codeInWords = regexp.MustCompile(`\((\d{4})\)`)

func sayText(v Value) string {
	if v.String() {
		return v.Plain()
	}
	if !v.Set() {
		return ""
	}
	return string(v)
}

func sayNumber(v Value) int {
	if n, ok := v.Int(); ok {
		return n
	}
	n, _ := strconv.Atoi(v.Plain())
	return n
}

var (
	titleTag = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	anyTag   = regexp.MustCompile(`(?s)<[^>]*>`)
)

func htmlTitle(s string) string {
	s = s[:min(len(s), 8<<10)]
	if m := titleTag.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return anyTag.ReplaceAllString(s, " ")
}

// judge decides what kind of failure the words mean.
func judge(sheet *provider.Sheet, status int, w *words) fault.Fault {
	f := fault.Fault{Status: status, Message: Clean(w.message), Param: fieldOf(w)}
	effective := status
	if effective == 0 || effective == 200 {
		effective = w.status
	}
	if code, ok := sheet.Codes[w.code]; ok && w.code != "" {
		f.Kind = code.Kind
		if refined := byWords(effective, w); f.Kind == fault.BadRequest && refined != fault.None {
			f.Kind = refined
		}
		return f
	}
	if f.Kind = byWords(effective, w); f.Kind != fault.None {
		return f
	}
	if effective == 0 {
		f.Kind = byType(w)
		return f
	}
	if code, ok := sheet.Codes[w.kind]; ok && (effective == 400 || effective >= 500) && code.Kind != fault.BadRequest {
		f.Kind = code.Kind
		return f
	}
	if effective == 503 && (overloaded.MatchString(w.message) || strings.Contains(w.kind, "overloaded")) {
		f.Kind = fault.Overloaded
		return f
	}
	f.Kind = byStatus(effective)
	return f
}

// The words by which providers name what their status does not.
var (
	unsignable    = regexp.MustCompile(`(?i)signature.{0,80}thinking|thinking.{0,120}(block|signature)`)
	tooLong       = regexp.MustCompile(`(?i)prompt is too long|context[_ ]length|maximum context|context window|exceeds? the context|input is too long|too many (input )?tokens|reduce the length|prompt too long|longer than the model|exceeds? .{0,40}(maximum|max) .{0,20}(length|tokens)`)
	outOfMoney    = regexp.MustCompile(`(?i)insufficient[_ ](quota|balance|credit|funds)|credit balance is too low|exceeded your current quota|spend(ing)?[_ ]limit|billing hard limit|out of credits|arrears|payment required`)
	filtered      = regexp.MustCompile(`(?i)content[_ ](filter|policy)|content management policy|sensitive content|safety system`)
	overloaded    = regexp.MustCompile(`(?i)overload|at capacity|over capacity|too busy|queue`)
	unknownModel  = regexp.MustCompile(`(?i)model[_ ]not[_ ](found|exist)|unknown model|no such model|model .{0,80}does not exist|invalid model`)
	limitedInText = regexp.MustCompile(`(?i)rate[_ ]limit|too many requests`)
)

func byWords(status int, w *words) fault.Kind {
	said := w.kind + " " + w.code + " " + w.message
	client := status == 0 || status >= 400 && status < 500
	switch {
	case status == 402 || client && status != 401 && outOfMoney.MatchString(said):
		return fault.QuotaExhausted
	case !client || status == 401 || status == 429:
		return fault.None
	case tooLong.MatchString(said) && status != 403:
		return fault.ContextTooLong
	case (status == 400 || status == 422) && unsignable.MatchString(w.message):
		return fault.Unsignable
	case status != 403 && filtered.MatchString(w.kind+" "+w.code):
		return fault.ContentFilter
	case (status == 400 || status == 404) && unknownModel.MatchString(said):
		return fault.NotFound
	}
	return fault.None
}

// byType reads an error without any status: in a stream, or in a 200.
func byType(w *words) fault.Kind {
	said := w.kind + " " + w.code
	switch {
	case strings.Contains(said, "overloaded") || strings.Contains(said, "unavailable"):
		return fault.Overloaded
	case limitedInText.MatchString(said) || strings.Contains(said, "throttl"):
		return fault.RateLimited
	case strings.Contains(said, "invalid_request") || strings.Contains(said, "bad_request"):
		return fault.BadRequest
	case strings.Contains(said, "authentication") || strings.Contains(said, "permission") || strings.Contains(said, "api_key"):
		return fault.Unauthorized
	case strings.Contains(said, "not_found"):
		return fault.NotFound
	case strings.Contains(said, "billing") || strings.Contains(said, "quota"):
		return fault.QuotaExhausted
	case overloaded.MatchString(w.message):
		return fault.Overloaded
	}
	return fault.ServerError
}

func byStatus(status int) fault.Kind {
	switch {
	case status == 401 || status == 403:
		return fault.Unauthorized
	case status == 404:
		return fault.NotFound
	case status == 408:
		return fault.ServerError
	case status == 413:
		return fault.TooLarge
	case status == 429:
		return fault.RateLimited
	case status == 529:
		return fault.Overloaded
	case status >= 400 && status < 500:
		return fault.BadRequest
	}
	return fault.ServerError
}

// fieldOf is the field that the words name as the culprit.
func fieldOf(w *words) string {
	if w.param != "" && !strings.Contains(w.param, " ") && !strings.HasSuffix(w.param, "_error") {
		return w.param
	}
	for _, pattern := range named {
		if m := pattern.FindStringSubmatch(w.message); m != nil {
			return strings.Trim(m[1], ".")
		}
	}
	return ""
}

// secretLike matches what may be a key: a provider that quotes ours must not be quoted.
var secretLike = regexp.MustCompile(`(?i)\b(?:sk|csk|pk|rk|xai|gsk|key|token|api)[-_][\w*.-]{8,}|\bbearer\s+[\w*.~+/=-]+|\beyJ[\w.-]{16,}|\bAIza[\w-]{20,}|` +
	`\b[0-9a-f]{32}\.\w{8,}|\b[A-Za-z0-9+/_-]{48,}={0,2}`)

// Clean makes a provider's words fit to be shown: one line, bounded, without control characters and anything like a key.
func Clean(s string) string {
	s = s[:min(len(s), 4*messageMax)]
	s = strings.ToValidUTF8(s, "\ufffd")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
	s = secretLike.ReplaceAllStringFunc(s, func(found string) string {
		if knownWord.MatchString(found) {
			return found
		}
		return "[secret]"
	})
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > messageMax {
		cut := messageMax
		for !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return s
}

// knownWord is what looks like a key by its beginning and is none: snake_case words of the protocols.
var knownWord = regexp.MustCompile(`^(?:api|key|token)(?:[_-][a-z]+)+$`)

var (
	waitInWords  = regexp.MustCompile(`(?i)(?:try again|retry|wait)(?: after| in| for)? (\d+(?:\.\d+)?) ?(ms|milliseconds?|s|sec|seconds?|m|min|minutes?|h|hours?)\b`)
	resetInWords = regexp.MustCompile(`(?i)reset[a-z]* (?:at|time:?|on) (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)`)
)

// waitMax is the longest wait that is believed.
const waitMax = 31 * 24 * time.Hour

// retryAfter is how long the provider asks to wait, in any of the ways they say it; 0 when it does not.
func retryAfter(sheet *provider.Sheet, header func(string) string, message string) time.Duration {
	if ms, err := strconv.ParseFloat(header("retry-after-ms"), 64); err == nil && ms >= 0 {
		return believe(ms * float64(time.Millisecond))
	}
	now, _ := httpDate(header("date"))
	if after := strings.TrimSpace(header("retry-after")); after != "" {
		if s, err := strconv.ParseFloat(after, 64); err == nil && s >= 0 {
			return believe(s * float64(time.Second))
		}
		if at, ok := httpDate(after); ok && !now.IsZero() {
			return believe(float64(at.Sub(now)))
		}
	}
	if wait := resetHeaders(header, now); wait > 0 {
		return wait
	}
	if m := waitInWords.FindStringSubmatch(message); m != nil {
		n, _ := strconv.ParseFloat(m[1], 64)
		return believe(n * float64(waitUnit(strings.ToLower(m[2]))))
	}
	if m := resetInWords.FindStringSubmatch(message); m != nil && !now.IsZero() {
		zone := time.UTC
		if sheet.Kind == "zai" {
			zone = time.FixedZone("UTC+8", 8*3600)
		}
		if at, err := time.ParseInLocation(time.DateTime, m[1]+" "+m[2], zone); err == nil {
			return believe(float64(at.Sub(now)))
		}
	}
	return 0
}

func waitUnit(word string) time.Duration {
	switch {
	case strings.HasPrefix(word, "ms"), strings.HasPrefix(word, "milli"):
		return time.Millisecond
	case strings.HasPrefix(word, "m"):
		return time.Minute
	case strings.HasPrefix(word, "h"):
		return time.Hour
	}
	return time.Second
}

func believe(d float64) time.Duration {
	if d <= 0 || d != d {
		return 0
	}
	return time.Duration(min(d, float64(waitMax)))
}

func httpDate(s string) (time.Time, bool) {
	for _, layout := range [...]string{time.RFC1123, time.RFC850, time.ANSIC, time.RFC3339} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// limits are the dimensions by which vendors count, as their headers name them.
var limits = [...]struct{ remaining, reset string }{
	{"anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"},
	{"anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"},
	{"anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"},
	{"anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"},
	{"x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"},
	{"x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"},
	{"x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day"},
	{"x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute"},
}

// resetHeaders is when the last used-up limit is full again.
func resetHeaders(header func(string) string, now time.Time) (wait time.Duration) {
	for _, l := range limits {
		if left, err := strconv.ParseFloat(header(l.remaining), 64); err != nil || left > 0 {
			continue
		}
		reset := header(l.reset)
		var d time.Duration
		if s, err := strconv.ParseFloat(reset, 64); err == nil {
			d = believe(s * float64(time.Second))
		} else if parsed, err := time.ParseDuration(reset); err == nil {
			d = believe(float64(parsed))
		} else if at, err := time.Parse(time.RFC3339, reset); err == nil && !now.IsZero() {
			d = believe(float64(at.Sub(now)))
		}
		wait = max(wait, d)
	}
	return wait
}
