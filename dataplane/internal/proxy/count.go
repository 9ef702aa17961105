package proxy

import (
	"context"
	"time"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/dataplane/internal/upstream"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/telemetry"
)

// countTimeout is how long a provider may take to count; an estimate is better than a late truth.
const countTimeout = 5 * time.Second

// countBytesMax bounds a provider's answer to a count.
const countBytesMax = 64 << 10

// count answers how long a prompt is: by asking the provider that would get it, if it counts, else by an estimate that is rather too high.
func (x *exchange) count() *fault.Fault {
	body, f := x.askCount()
	if f != nil && f.Kind == fault.Forbidden {
		return f
	}
	if body == nil {
		tokens := dialect.OverCount(x.found.Ask.PromptTokens)
		body = dialect.EncodeCount(nil, max(tokens, x.found.PromptTokensMax))
	}
	x.status, x.committed = 200, true
	name(x.in, x.id)
	respond(x.in, 200, "application/json", body)
	return nil
}

// askCount is nil when nobody counts, or the one who does has not answered well; the fault says that nobody would serve the request.
func (x *exchange) askCount() ([]byte, *fault.Fault) {
	if f := x.choose(); f != nil {
		return nil, f
	}
	place := &x.desk.places[x.chain[0].Target]
	if place.count == nil || place.target.Endpoint.Protocol != route.Anthropic {
		return nil, nil
	}
	key, ok := x.desk.bound.PickKey(int(x.chain[0].Target), x.table, nil)
	if !ok {
		return nil, nil
	}
	call := dialect.Call{Client: x.at.protocol, Body: x.body, Found: &x.found, Target: place.dialect, RequestID: x.id, Now: x.began}
	call.Target.APIVersion, call.Target.Beta = x.in.Header("Anthropic-Version"), x.in.Header("Anthropic-Beta")
	sent, rejection := x.h.deps.Translator.PrepareCount(nil, &call)
	if rejection != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(x.ctx, countTimeout)
	defer cancel()
	response, f := x.h.deps.Upstream.Do(ctx, &upstream.Request{
		Method: "POST", URL: place.count, Header: place.header(nil, x, key, false, telemetry.Span{}), Body: sent,
		AllowPrivate: place.provider.AllowPrivateAddress, InProcess: place.inProcess,
	})
	if f != nil {
		return nil, nil
	}
	defer response.Close()
	answer, whole := response.ReadAll(nil, countBytesMax)
	if v, isJSON := dialect.ParseValue(answer); response.Status == 200 && whole && isJSON && v.Get("input_tokens").Set() {
		return answer, nil
	}
	return nil, nil
}
