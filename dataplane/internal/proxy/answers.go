package proxy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/dataplane/internal/ingress"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/telemetry"
)

// headers are what every answer carries: who gave it, how it was understood, and where the time went.
func (x *exchange) headers(t *try) {
	in := x.in
	name(in, x.id)
	in.SetHeader("X-Aimux-Class", x.found.Ask.Class.String())
	in.SetHeader("X-Aimux-Attempts", strconv.Itoa(len(x.tries)))
	if t != nil {
		in.SetHeader("X-Aimux-Provider", t.place.target.ProviderID)
		in.SetHeader("X-Aimux-Model", t.place.target.Model)
		if warnings := warn(t.reply.Progress()); warnings != "" {
			in.SetHeader("X-Aimux-Warnings", warnings)
		}
		if x.answerer == nil {
			x.answerer = t // the head goes out before anybody has answered
		}
	}
	x.rates()
	in.SetHeader("X-Aimux-Reason", x.reason())
	in.SetHeader("Server-Timing", x.timing(t))
}

// rates tells a caller with limits of its own what is left of them, under the names that its vendor's clients look for.
func (x *exchange) rates() {
	r := x.h.deps.Limits.Rates(x.caller)
	if x.at.protocol == route.Anthropic {
		x.rateAnthropic("Requests", r.Requests)
		x.rateAnthropic("Tokens", r.Tokens)
		x.rateAnthropic("Input-Tokens", r.Input)
		x.rateAnthropic("Output-Tokens", r.Output)
		return
	}
	x.rateOpenAI("Requests", r.Requests)
	x.rateOpenAI("Tokens", r.Tokens)
}

func (x *exchange) rateAnthropic(what string, r Rate) {
	if r.Limit > 0 {
		prefix := "Anthropic-Ratelimit-" + what
		x.in.SetHeader(prefix+"-Limit", strconv.FormatInt(r.Limit, 10))
		x.in.SetHeader(prefix+"-Remaining", strconv.FormatInt(r.Left, 10))
		x.in.SetHeader(prefix+"-Reset", time.Now().Add(r.Whole).UTC().Format(time.RFC3339))
	}
}

func (x *exchange) rateOpenAI(what string, r Rate) {
	if r.Limit > 0 {
		x.in.SetHeader("X-Ratelimit-Limit-"+what, strconv.FormatInt(r.Limit, 10))
		x.in.SetHeader("X-Ratelimit-Remaining-"+what, strconv.FormatInt(r.Left, 10))
		x.in.SetHeader("X-Ratelimit-Reset-"+what, r.Whole.Round(time.Millisecond).String())
	}
}

// name gives the answer the request's id, under the name that each vendor's clients look for.
func name(in ingress.Exchange, id string) {
	in.SetHeader("Request-Id", id)
	in.SetHeader("X-Request-Id", id)
}

// timing is the server-timing header, in milliseconds.
func (x *exchange) timing(t *try) string {
	b := make([]byte, 0, 96)
	b = metric(b, "analysis", x.analysis)
	if x.queued > 0 {
		b = metric(append(b, ", "...), "queue", x.queued)
	}
	if t != nil {
		b = metric(append(b, ", "...), "attempts", time.Since(x.began)-x.analysis-x.queued)
		first := t.first
		if first == 0 {
			first = time.Since(t.began)
		}
		b = metric(append(b, ", "...), "upstream", first)
	}
	return string(b)
}

func metric(b []byte, name string, d time.Duration) []byte {
	b = append(append(b, name...), ";dur="...)
	return strconv.AppendFloat(b, float64(d.Microseconds())/1000, 'f', -1, 64)
}

// The bounds of the warnings' header.
const (
	warningBytesMax  = 120
	warningsBytesMax = 1024
)

// warn joins the warnings for the header: one line of visible ASCII.
func warn(p *dialect.Progress) string {
	var line strings.Builder
	more := p.WarningsDropped
	for i := range p.Warnings {
		text := warning(&p.Warnings[i])
		if line.Len()+len(text) > warningsBytesMax {
			more++
			continue
		}
		if line.Len() > 0 {
			line.WriteString("; ")
		}
		line.WriteString(text)
	}
	if more > 0 {
		fmt.Fprintf(&line, "; and %d more", more)
	}
	return line.String()
}

func warning(w *dialect.Warning) string { return visible(clip(w.Path+": "+w.Reason, warningBytesMax)) }

// lost is what each of the answers that the client got, or of the last that it did not, has lost on the way: for the record.
func (x *exchange) lost() (all []string) {
	for i, t := range x.tries {
		if t != x.answerer && !t.heard && (x.answerer != nil || i < len(x.tries)-1) {
			continue
		}
		p := t.reply.Progress()
		for i := range p.Warnings {
			if text := warning(&p.Warnings[i]); !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	return all
}

func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}

// fail is the request's one bad end: an error document, or the error that ends a stream, or nothing where nobody listens.
func (x *exchange) fail(f *fault.Fault) {
	x.fault = f.Kind
	x.mu.Lock()
	committed, speaker := x.committed, x.speaker
	if committed && speaker != nil && x.found.Stream && f.Kind != fault.Canceled && !x.aborted {
		x.aborted = true
		x.out = speaker.reply.Abort(x.out[:0], f)
		if speaker.key != nil { // it may hold the provider's own event, as it came
			x.out = append(x.out[:0], telemetry.ScrubKey(string(x.out), speaker.key.Credential.Key.Reveal())...)
		}
		_ = x.send(x.out, time.Now()) // the last words; who has gone does not hear them
	}
	x.mu.Unlock()
	if committed {
		return
	}
	if f.Kind == fault.Canceled {
		x.status = statusGone
		x.in.Hangup()
		return
	}
	doc := x.h.deps.Translator.ErrorFor(x.at.protocol, f, x.id)
	if x.status != 0 {
		doc.Status = x.status
	}
	x.status = doc.Status
	x.committed = true
	if f.UpstreamID != "" {
		x.in.SetHeader("X-Aimux-Upstream-Request-Id", visible(clip(f.UpstreamID, 128)))
	}
	x.mu.Lock()
	var last *try
	if len(x.tries) > 0 {
		last = x.tries[len(x.tries)-1]
	}
	x.headers(last)
	x.mu.Unlock()
	advise(x.in, f)
	x.h.document(x.in, x.at.protocol, &doc)
}

// statusGone stands in records for a client that left before it was answered.
const statusGone = 499

// advise says what an SDK should do with the error.
func advise(in ingress.Exchange, f *fault.Fault) {
	rule := f.Kind.Rule()
	again := !rule.Final
	in.SetHeader("X-Should-Retry", strconv.FormatBool(again))
	wait := min(f.RetryAfter, retryAfterMax)
	if f.Kind == fault.QuotaExhausted && f.Status == 0 { // a budget of the gateway's own: its end is known, and no provider made it up
		again, wait = true, f.RetryAfter
	}
	if again && wait > 0 {
		in.SetHeader("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
}

// document writes an error in the envelope of the path's protocol. It quotes what was asked for, and people paste keys into anything: clients keep errors in
// their logs.
func (h *Handler) document(in ingress.Exchange, protocol route.Protocol, doc *dialect.ErrorDoc) {
	doc.Message = telemetry.Scrub(doc.Message)
	body := h.deps.Translator.EncodeError(nil, protocol, doc)
	respond(in, doc.Status, "application/json", body)
}

func respond(in ingress.Exchange, status int, contentType string, body []byte) {
	in.SetHeader("Content-Type", contentType)
	in.SetHeader("Content-Length", strconv.Itoa(len(body)))
	in.SetHeader("Cache-Control", "no-store")
	in.Head(status)
	if in.Method() != "HEAD" {
		_ = in.Write(body) // who has gone does not read it
	}
}
