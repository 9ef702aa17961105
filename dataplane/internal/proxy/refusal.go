package proxy

import (
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/telemetry"
)

// The bounds of what is read of an error's body.
const (
	refusalBytesMax = 64 << 10
	refusalTimeMax  = time.Second
)

// refusal reads an answer that is none.
func (t *try) refusal() *fault.Fault {
	status := t.response.Status
	if status >= 300 && status < 400 {
		return &fault.Fault{Kind: fault.ServerError, Status: status, Message: "the provider answered with a redirect, which is never followed", Sent: true}
	}
	t.x.mu.Lock()
	t.late, t.firstDue = true, time.Now().Add(refusalTimeMax)
	t.x.arm(time.Now())
	t.x.mu.Unlock()
	scratch := buffers.Get().(*buffer)
	defer scratch.release()
	scratch.bytes, _ = t.response.ReadAll(scratch.bytes, refusalBytesMax)
	// A refusal whose words do not come is still one; only what was ended for other reasons is not.
	if kind := t.stopped.Load(); kind != uint32(fault.FirstToken)+1 && (kind != 0 || t.ctx.Err() != nil) {
		return t.why(&fault.Fault{Kind: fault.Truncated})
	}
	header := func(name string) string { return t.response.Header(textproto.CanonicalMIMEHeaderKey(name)) }
	f := t.x.h.deps.Translator.DecodeError(&t.place.dialect, status, header, scratch.bytes)
	f.Sent = true
	return t.clean(&f)
}

// clean makes sure that a provider's words don't quote its key, and that it does not make us wait for ever.
func (t *try) clean(f *fault.Fault) *fault.Fault {
	if t.key != nil {
		f.Message = telemetry.ScrubKey(f.Message, t.key.Credential.Key.Reveal())
		f.UpstreamID = telemetry.ScrubKey(f.UpstreamID, t.key.Credential.Key.Reveal())
	}
	return f
}

// left tells the key how much the provider says is left of its rate.
func (t *try) left() {
	if t.key == nil {
		return
	}
	for _, names := range [...][2]string{
		{"X-Ratelimit-Remaining-Requests", "X-Ratelimit-Limit-Requests"},
		{"X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Limit-Tokens"},
		{"Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Limit"},
		{"Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Limit"},
		{"X-Ratelimit-Remaining-Tokens-Minute", "X-Ratelimit-Limit-Tokens-Minute"},
	} {
		if text := t.response.Header(names[0]); text != "" {
			remaining, err := strconv.ParseFloat(text, 64)
			limit, wrong := strconv.ParseFloat(t.response.Header(names[1]), 64)
			if err == nil && wrong == nil && limit > 0 {
				t.key.Left(remaining / limit)
				if strings.Contains(names[0], "Requests") {
					t.vital.Told(int64(remaining))
				}
			}
		}
	}
}
