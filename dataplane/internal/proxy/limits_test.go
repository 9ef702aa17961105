package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"

	"github.com/aimux/aimux/dataplane/internal/auth"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
)

// fullness is limits that are used up at some providers and keys.
type fullness struct {
	providers map[string]*fault.Fault
	caller    *fault.Fault
	settled   chan outcome.Usage
	waiting   chan Wish
	room      chan struct{}
	busy      map[string]bool // providers
	entered   []string
	rates     Rates
}

func (l *fullness) Admit(auth.Caller, *route.Ask) (Permit, *fault.Fault) { return l, l.caller }
func (l *fullness) Busy(target *route.Target) bool                       { return l.busy[target.ProviderID] }
func (l *fullness) Enter(target *route.Target, _ string, _ *route.Ask) (Permit, *fault.Fault) {
	l.entered = append(l.entered, target.ProviderID)
	return l, l.providers[target.ProviderID]
}
func (l *fullness) Wait(ctx context.Context, w Wish) bool {
	l.waiting <- w
	<-l.room
	return w.Try()
}
func (l *fullness) Rates(auth.Caller) Rates             { return l.rates }
func (l *fullness) Grounds() string                     { return "share" }
func (l *fullness) Settle(used outcome.Usage, _ uint64) { l.settled <- used }

func limited(kind fault.Kind, wait time.Duration, message string) *fault.Fault {
	return &fault.Fault{Kind: kind, RetryAfter: wait, Message: message}
}

// A provider whose limits leave no room is not even asked while there is another; explaining says so. Who has nobody else waits for it.
func TestBusyProvidersStandBack(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "openai"}, {id: "b", protocol: "openai"}})
	limits := &fullness{busy: map[string]bool{"a": true}, settled: make(chan outcome.Usage, 8)}
	r.handler.deps.Limits = limits
	if a := r.ask("openai", false); a.header.Get("X-Aimux-Provider") != "b" || strings.Join(limits.entered, " ") != "b" {
		t.Errorf("answered by %q; entered %v", a.header.Get("X-Aimux-Provider"), limits.entered)
	}
	e := r.handler.Explain(&tablev1.ExplainRequest{Protocol: "openai", Body: fmt.Appendf(nil, openAIAsk, "")})
	if len(e.GetCandidates()) != 2 || !strings.Contains(e.GetCandidates()[1].GetReason(), "at its limits") || !e.GetCandidates()[1].GetEligible() {
		t.Errorf("explained as %v", e)
	}
	limits.busy["b"] = true
	if a := r.ask("openai", false); a.status != 200 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// A provider that is full is passed over; when all are, the client learns of each why, and when the first may be tried again.
func TestFullProviders(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "openai"}, {id: "b", protocol: "openai"}})
	limits := &fullness{providers: map[string]*fault.Fault{"a": limited(fault.RateLimited, 40*time.Second, "a is full")}, settled: make(chan outcome.Usage, 8)}
	r.handler.deps.Limits = limits
	a := r.ask("openai", false)
	if a.status != 200 || a.header.Get("X-Aimux-Provider") != "b" || a.header.Get("X-Aimux-Attempts") != "1" {
		t.Fatalf("status %d by %q: %s", a.status, a.header.Get("X-Aimux-Provider"), a.body)
	}
	for range 2 { // the attempt's permit and the caller's
		if used := <-limits.settled; used.Input == 0 || used.Output == 0 {
			t.Errorf("settled %+v", used)
		}
	}
	limits.providers["b"] = limited(fault.RateLimited, 7*time.Second, "b is full")
	a = r.ask("anthropic", true)
	if a.status != 429 || a.header.Get("Retry-After") != "7" || a.header.Get("X-Should-Retry") != "true" {
		t.Errorf("status %d, retry-after %q: %s", a.status, a.header.Get("Retry-After"), a.body)
	}
	for _, part := range []string{"rate_limit_error", "a is full", "b is full"} {
		if !strings.Contains(a.body, part) {
			t.Errorf("the answer does not say %q: %s", part, a.body)
		}
	}
}

// A request that finds every provider full waits as long as the policy says, and not when it is known to be in vain.
func TestWaitsForRoom(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "openai"}, {id: "b", protocol: "openai"}}, func(c *tablev1.Config, _ *Config) {
		c.Policy.QueueTimeoutMs, c.Policy.QueueDepth = 5000, 7
	})
	limits := &fullness{
		providers: map[string]*fault.Fault{"a": limited(fault.RateLimited, 40*time.Second, "a is full"), "b": limited(fault.Overloaded, time.Second, "b is full")},
		settled:   make(chan outcome.Usage, 8), waiting: make(chan Wish, 1), room: make(chan struct{}),
	}
	r.handler.deps.Limits = limits
	go func() {
		if w := <-limits.waiting; w.Longest > 5*time.Second || w.Longest < 4*time.Second || w.Depth != 7 || w.Lane == "" {
			t.Errorf("waits with %+v", w)
		}
		delete(limits.providers, "b")
		limits.room <- struct{}{}
	}()
	a := r.ask("openai", true)
	if a.status != 200 || a.header.Get("X-Aimux-Provider") != "b" || !strings.Contains(a.header.Get("Server-Timing"), "queue;dur=") {
		t.Errorf("status %d, timing %q: %s", a.status, a.header.Get("Server-Timing"), a.body)
	}
	limits.providers["b"] = limited(fault.RateLimited, 30*time.Second, "b is full")
	if a := r.ask("openai", true); a.status != 429 || a.header.Get("Retry-After") != "30" {
		t.Errorf("status %d, retry-after %q: %s", a.status, a.header.Get("Retry-After"), a.body)
	}
}

// A caller's own limits answer 429 in its envelope, with the headers that its vendor's clients look for.
func TestCallersLimits(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "openai"}})
	limits := &fullness{settled: make(chan outcome.Usage, 8), rates: Rates{
		Requests: Rate{Limit: 60, Left: 0, Whole: time.Minute}, Tokens: Rate{Limit: 9000, Left: 9000}, Output: Rate{Limit: 500, Left: 100, Whole: 12 * time.Second},
	}}
	r.handler.deps.Limits = limits
	for _, full := range []bool{false, true} {
		status := 200
		if full {
			status, limits.caller = 429, limited(fault.RateLimited, 33*time.Second, "used up")
		}
		for protocol, want := range map[string]map[string]string{
			"anthropic": {"Anthropic-Ratelimit-Requests-Limit": "60", "Anthropic-Ratelimit-Requests-Remaining": "0", "Anthropic-Ratelimit-Tokens-Remaining": "9000", "Anthropic-Ratelimit-Output-Tokens-Limit": "500", "Anthropic-Ratelimit-Input-Tokens-Limit": ""},
			"openai":    {"X-Ratelimit-Limit-Requests": "60", "X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "1m0s", "X-Ratelimit-Limit-Tokens": "9000", "X-Ratelimit-Reset-Tokens": "0s"},
		} {
			a := r.ask(protocol, false)
			if a.status != status || full && (a.header.Get("Retry-After") != "33" || !strings.Contains(a.body, "rate_limit_error")) {
				t.Errorf("%s: status %d, retry-after %q: %s", protocol, a.status, a.header.Get("Retry-After"), a.body)
			}
			for name, value := range want {
				if got := a.header.Get(name); got != value {
					t.Errorf("%s, status %d: %s: %q, want %q", protocol, status, name, got, value)
				}
			}
		}
	}
}

// Who has spent his budget is told until when, and that asking again before is in vain.
func TestBudgetsAnswer(t *testing.T) {
	r := newRig(t, []backend{{id: "a", protocol: "openai"}})
	r.handler.deps.Limits = &fullness{settled: make(chan outcome.Usage, 8), caller: limited(fault.QuotaExhausted, 10*time.Hour, "dollars are used up until tomorrow")}
	for protocol, want := range map[string]string{"anthropic": "rate_limit_error", "openai": "insufficient_quota"} {
		a := r.ask(protocol, false)
		if a.status != 429 || a.header.Get("Retry-After") != "36000" || a.header.Get("X-Should-Retry") != "false" || !strings.Contains(a.body, want) || !strings.Contains(a.body, "until tomorrow") {
			t.Errorf("%s: status %d, retry-after %q, again %q: %s", protocol, a.status, a.header.Get("Retry-After"), a.header.Get("X-Should-Retry"), a.body)
		}
	}
}

// Providers that say that it is too much, with or without for how long, make the gateway say the same, to the first and to whoever comes while
// they are left alone: and when the first of them may be tried again. Then it is.
func TestRateLimitedProviders(t *testing.T) {
	for name, row := range map[string]struct {
		scenarios []string
		after     string
	}{
		"a sole one that does not say": {[]string{"status=429"}, "1"},
		"a sole one that says":         {[]string{"status=429&retry-after=7"}, "7"},
		"two that do not say":          {[]string{"status=429", "status=429"}, "1"},
		"two, one of which says":       {[]string{"status=429&retry-after=9", "status=429"}, "1"},
		"two that say":                 {[]string{"status=429&retry-after=9", "status=429&retry-after=5"}, "5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var backends []backend
			for i, scenario := range row.scenarios {
				backends = append(backends, backend{id: string(rune('a' + i)), protocol: "openai", scenario: scenario, keys: []string{fmt.Sprint("a-key-of-", i)}})
			}
			r := newRig(t, backends, func(c *tablev1.Config, _ *Config) { c.Policy.RetryShare = 1 })
			for i, protocol := range []string{"openai", "anthropic", "openai"} {
				a := r.ask(protocol, i == 1)
				if a.status != 429 || a.header.Get("Retry-After") != row.after || a.header.Get("X-Should-Retry") != "true" || !strings.Contains(a.body, "rate_limit_error") {
					t.Errorf("request %d: status %d, retry-after %q, want %q: %s", i+1, a.status, a.header.Get("Retry-After"), row.after, a.body)
				}
				if attempts := a.header.Get("X-Aimux-Attempts"); (attempts == "0") != (i > 0) {
					t.Errorf("request %d: %s attempts", i+1, attempts)
				}
			}
			if row.after == "1" {
				r.until("a provider is tried again", func() bool { return r.ask("openai", false).header.Get("X-Aimux-Attempts") != "0" })
			}
		})
	}
}

// slots are limits that tell when a slot is given back, and wait until that has been looked at.
type slots struct {
	unlimited
	settle func()
}

func (l slots) Enter(*route.Target, string, *route.Ask) (Permit, *fault.Fault) { return l, nil }
func (l slots) Settle(outcome.Usage, uint64)                                   { l.settle() }

// Who gets a slot finds the provider told that the one before is over: where a client hangs up, the connection is closed before the slot is given back.
func TestSlotsReturnAfterTheConnection(t *testing.T) {
	for name, said := range map[string]string{
		"before the head": "", "after the head": "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			asked, ended := make(chan struct{}), make(chan struct{})
			r := newRig(t, []backend{{id: "a", protocol: "openai", handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadAll(r.Body)
				if said != "" {
					w.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(w, said)
					_ = http.NewResponseController(w).Flush()
				}
				close(asked)
				<-r.Context().Done()
				close(ended)
			})}})
			late := make(chan bool, 1)
			r.handler.deps.Limits = slots{settle: func() {
				select {
				case <-ended:
					late <- false
				case <-time.After(5 * time.Second):
					late <- true
				}
			}}
			ctx, leave := context.WithCancel(t.Context())
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v1/chat/completions", strings.NewReader(fmt.Sprintf(openAIAsk, `,"stream":true`)))
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				<-asked
				leave()
			}()
			if response, err := http.DefaultClient.Do(request); err == nil {
				_, _ = io.ReadAll(response.Body)
				response.Body.Close()
			}
			if <-late {
				t.Error("the slot was given back while the provider could not know that the request is over")
			}
		})
	}
}
