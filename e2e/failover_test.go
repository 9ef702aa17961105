package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// before are ways in which a provider fails before the first byte of its answer. Refused is no scenario: nobody listens there.
var before = []string{
	"status=500", "status=503", "status=529", "status=429&retry-after=1", "status=401", "status=404", "refused",
	"reset&after=0", "abort&after=0", "cut&after=0", "garbage&after=0", silence,
	"error-in-200", "html-error", "empty-body", "redirect",
}

// opening are ways in which a provider fails behind its opening event: the client has no word of it yet.
var opening = []string{"error-mid-stream&after=1", "cut&after=1", "reset&after=1", "garbage&after=1", "stall&after=1"}

// silence is a provider that takes a request and says nothing. For a plain request that is no sign of illness until the answer would have been
// there several times over, so it is put to streams alone.
const silence = "stall&after=0"

// TestAFailureBeforeTheFirstByteIsInvisible has both official SDKs ask for models whose first provider fails, each in its own way: they
// get the second provider's answer and learn nothing of it.
func TestAFailureBeforeTheFirstByteIsInvisible(t *testing.T) {
	for _, wire := range []string{"anthropic", "openai"} {
		t.Run(wire+" upstream", func(t *testing.T) {
			providers := map[string]any{"steady": serves(compatible("anthropic"), "text", "asked-*")}
			type trial struct {
				fault, model string
				client       client
				stream       bool
			}
			var trials []trial
			for i, fault := range slices.Concat(before, opening) {
				for j, client := range clients {
					for k, stream := range []bool{false, true} {
						if (fault == silence || i >= len(before)) && !stream {
							continue
						}
						id := fmt.Sprintf("ill-%d-%d-%d", i, j, k)
						model := "asked-" + id
						settings := serves(compatible(wire), model)
						settings["avg_response_time_ms"] = 50
						providers[id] = settings
						trials = append(trials, trial{fault, model, client, stream})
					}
				}
			}
			// A name goes before a pattern, so the ill provider is asked first.
			house := openRouted(t, Forms[0], map[string]any{"first_token_timeout": 1.5, "retry_share": 1}, providers)
			for _, trial := range trials {
				up := house.Upstream[strings.TrimPrefix(trial.model, "asked-")]
				if trial.fault == "refused" {
					up.Web.Close()
				} else if err := up.Behave(trial.fault); err != nil {
					t.Fatal(err)
				}
				t.Run(fmt.Sprintf("%s %s stream %v", trial.fault, trial.client.name, trial.stream), func(t *testing.T) {
					got, err := trial.client.ask(t.Context(), house.Data[0], trial.model, trial.stream)
					if err != nil || !strings.Contains(got.text, "steady") {
						t.Errorf("%+v, %v; want the answer of steady", got, err)
					}
					if n := up.Stats().Requests; n != 1 && trial.fault != "refused" {
						t.Errorf("the ill provider got %d requests, want 1", n)
					}
				})
			}
		})
	}
}

// serves gives a provider one model under that name, which answers to the others too.
func serves(settings map[string]any, model string, others ...string) map[string]any {
	settings["models"] = []any{map[string]any{"id": model, "serves": others, "context_window": 200000, "max_output_tokens": 64000}}
	return settings
}

// TestWhenNobodyCan wants a 400 that names the need and who came nearest where nobody can, and 529 or 503 with a time to come back where all who
// could are full or stopped, 429 where they are blocked.
func TestWhenNobodyCan(t *testing.T) {
	small := serves(compatible("openai"), "small")
	model := small["models"].([]any)[0].(map[string]any)
	model["context_window"], model["max_output_tokens"] = 1000, 1000
	narrow := serves(compatible("anthropic"), "narrow")
	narrow["max_concurrent_requests"] = 1
	providers := map[string]any{
		"blind": serves(able("anthropic", "tools", "pdf"), "plain"), "dumb": serves(able("openai", "vision"), "plain"), "small": small, "narrow": narrow,
		"limited": serves(compatible("openai"), "limited"), "drained": serves(compatible("anthropic"), "drained"),
	}
	house := openRouted(t, Forms[0], map[string]any{"unknown_model": "reject"}, providers)
	base := house.Data[0]
	picture := func(model, more string) string {
		return fmt.Sprintf(`{"model":%q,"max_tokens":64%s,"messages":[{"role":"user","content":[%s]}]}`, model, more, aPNG)
	}
	refusals := []struct {
		name, protocol, body string
		words                []string
	}{
		{"two needs that nobody meets together", "anthropic", picture("plain", ","+weatherTool), []string{"plain", "all that this request needs", "vision", "blind/plain"}},
		{"a need that nobody meets", "anthropic", `{"model":"plain","max_tokens":30000,"thinking":{"type":"enabled","budget_tokens":20000},"messages":[{"role":"user","content":"Hi"}]}`, []string{"thinking", "nearest"}},
		{"too long", "openai", `{"model":"small","messages":[{"role":"user","content":"` + strings.Repeat("lorem ipsum ", 1000) + `"}]}`, []string{"1000 tokens", "context window"}},
	}
	for _, row := range refusals {
		t.Run(row.name, func(t *testing.T) {
			response, body := post(t, base+streets[row.protocol], row.body)
			message := problem(t, body)
			if response.StatusCode != http.StatusBadRequest || response.Header.Get("X-Should-Retry") != "false" {
				t.Errorf("%d, x-should-retry %q: %s", response.StatusCode, response.Header.Get("X-Should-Retry"), body)
			}
			for _, word := range row.words {
				if !strings.Contains(message, word) {
					t.Errorf("the refusal does not say %q: %s", word, message)
				}
			}
			if why := house.explain(t, row.protocol, row.body); why.GetError() == "" || !strings.Contains(message, why.GetError()) {
				t.Errorf("explained as %q, refused with %q", why.GetError(), message)
			}
		})
	}
	t.Run("full", func(t *testing.T) {
		leave := house.occupy(t, "narrow", "narrow/narrow")
		defer leave()
		house.saysComeBack(t, "narrow", 529, http.StatusServiceUnavailable)
	})
	t.Run("blocked", func(t *testing.T) {
		if err := house.Upstream["limited"].Behave("status=429&retry-after=20"); err != nil {
			t.Fatal(err)
		}
		if response, body := post(t, base+"/v1/messages", ask("limited")); response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") != "20" {
			t.Errorf("the first: %d, retry-after %q: %s", response.StatusCode, response.Header.Get("Retry-After"), body)
		}
		house.saysComeBack(t, "limited", http.StatusTooManyRequests, http.StatusTooManyRequests)
		if n := house.Upstream["limited"].Stats().Requests; n != 1 {
			t.Errorf("a blocked provider was asked %d times, want once", n)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		written, err := house.Health(0).SetOverride(t.Context(), connect.NewRequest(&adminv1.SetOverrideRequest{Provider: "drained", Override: &tablev1.Override{State: "drain"}}))
		if err != nil {
			t.Fatal(err)
		}
		house.Converged(t, written.Msg.GetRevision())
		house.saysComeBack(t, "drained", 529, http.StatusServiceUnavailable)
	})
}

// ask is a plain request for a model, good in both dialects.
func ask(model string) string {
	return fmt.Sprintf(`{"model":%q,"max_tokens":64,"messages":[{"role":"user","content":"Hi"}]}`, model)
}

// problem is the message of an error, in either dialect's envelope.
func problem(t testing.TB, body string) string {
	t.Helper()
	var document struct{ Error struct{ Message string } }
	if err := json.Unmarshal([]byte(body), &document); err != nil || document.Error.Message == "" {
		t.Fatalf("not an error document: %s", body)
	}
	return document.Error.Message
}

// saysComeBack wants both dialects to be told that a model is not to be had now, and when to ask again.
func (h *House) saysComeBack(t *testing.T, model string, anthropic, openai int) {
	t.Helper()
	for protocol, status := range map[string]int{"anthropic": anthropic, "openai": openai} {
		response, body := post(t, h.Data[0]+streets[protocol], ask(model))
		if response.StatusCode != status || response.Header.Get("Retry-After") == "" || response.Header.Get("X-Should-Retry") != "true" {
			t.Errorf("%s: %d, retry-after %q, x-should-retry %q, want %d: %s", protocol, response.StatusCode,
				response.Header.Get("Retry-After"), response.Header.Get("X-Should-Retry"), status, body)
		}
		if message := problem(t, body); !strings.Contains(message, model) {
			t.Errorf("%s: the refusal does not name %s: %s", protocol, model, message)
		}
	}
}

// occupy has a provider work on a request that does not end until leave is called.
func (h *House) occupy(t testing.TB, provider, model string) (leave func()) {
	t.Helper()
	up := h.Upstream[provider]
	if err := up.Behave("stall&after=1"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		body := strings.Replace(ask(model), `"max_tokens"`, `"stream":true,"max_tokens"`, 1)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.Data[0]+"/v1/messages", strings.NewReader(body))
		if err != nil {
			return
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			<-ctx.Done()
			response.Body.Close()
		}
	}()
	eventually(t, "the provider is busy", func() error {
		if n := up.Stats().InFlight; n != 1 {
			return fmt.Errorf("%d in flight", n)
		}
		return nil
	})
	return func() { cancel(); <-ended }
}

// TestTheClientsDeadline ends a request when its client stops waiting, however long the provider takes, and frees the provider.
func TestTheClientsDeadline(t *testing.T) {
	house := open(t, Forms[0], map[string]any{"slow": compatible("anthropic"), "slower": compatible("openai")})
	for _, up := range house.Upstream {
		if err := up.Behave("stall&after=0"); err != nil {
			t.Fatal(err)
		}
	}
	for _, header := range []string{"X-Request-Timeout", "X-Stainless-Timeout"} {
		for protocol, street := range streets {
			for _, stream := range []string{"false", "true"} {
				t.Run(header+" "+protocol+" stream "+stream, func(t *testing.T) {
					began := time.Now()
					body := strings.Replace(ask("text"), `"max_tokens"`, `"stream":`+stream+`,"max_tokens"`, 1)
					response, text := post(t, house.Data[0]+street, body, header, "0.3")
					if response.StatusCode != http.StatusGatewayTimeout {
						t.Errorf("%d after %v: %s", response.StatusCode, time.Since(began), text)
					}
				})
			}
		}
	}
	eventually(t, "the providers are free", func() error {
		for id, up := range house.Upstream {
			if s := up.Stats(); s.InFlight != 0 || s.Cancelled != s.Requests {
				return fmt.Errorf("%s: %d of %d cancelled, %d in flight", id, s.Cancelled, s.Requests, s.InFlight)
			}
		}
		return nil
	})
}

// TestALongPlainAnswerIsStreamedUpstream: a plain request that may be answered at great length is a stream upstream, so that silence can be told
// from work, and still one document for the client.
func TestALongPlainAnswerIsStreamedUpstream(t *testing.T) {
	house := open(t, Forms[0], map[string]any{"a": serves(compatible("anthropic"), "a"), "o": serves(compatible("openai"), "o")})
	for protocol, street := range streets {
		for id, up := range house.Upstream {
			t.Run(protocol+" to "+id, func(t *testing.T) {
				up.Forget()
				response, body := post(t, house.Data[0]+street, strings.Replace(ask(id), `:64`, `:40000`, 1))
				var document map[string]any
				if err := json.Unmarshal([]byte(body), &document); err != nil || response.StatusCode != http.StatusOK || !strings.Contains(body, "Hi") {
					t.Fatalf("%d, %v: %s", response.StatusCode, err, body)
				}
				received := up.Received()
				if len(received) != 1 || !strings.Contains(string(received[0].Body), `"stream":true`) {
					t.Errorf("upstream was asked %d times, for no stream: %s", len(received), received[0].Body)
				}
			})
		}
	}
}
