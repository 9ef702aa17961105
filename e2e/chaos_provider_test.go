package e2e

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/synthetic"
)

// TestProviderFails lets one of four providers fail in every way there is while requests go to all of them in turn. What fails before its
// first byte is served by another; what fails later is told inside its stream, until the circuit is open, which takes a few failures; or nobody
// learns of it, where another provider goes on.
func TestProviderFails(t *testing.T) {
	for _, row := range []struct {
		name, behaviour string
		told            int // how many streams, or plain answers, may end in an error that names itself
	}{
		{"500", "status=500", 0},
		{"429 storm", "status=429+retry-after=2", 0},
		{"529", "status=529", 0},
		{"an error in 200", "error-in-200", 0},
		{"an HTML page", "html-error", 0},
		{"an empty body", "empty-body", 0},
		{"hangs before headers", "stall+after=0", 0},
		{"resets before headers", "reset+after=0", 0},
		{"garbage", "garbage+after=0", 0},
		{"stalls mid-stream", "stall+after=4", 25},
		{"truncates", "cut+after=4", 25},
		{"resets mid-stream", "reset+after=4", 25},
		{"garbage mid-stream", "garbage+after=4", 25},
		{"drips", "slow-drip=5ms", 25},
		{"stalls mid-stream, and another goes on", "stall+after=4", goesOn},
		{"truncates, and another goes on", "cut+after=4", goesOn},
		{"resets mid-stream, and another goes on", "reset+after=4", goesOn},
		{"garbage mid-stream, and another goes on", "garbage+after=4", goesOn},
	} {
		t.Run(row.name, func(t *testing.T) {
			if !slices.Contains([]string{"500", "an error in 200", "truncates"}, row.name) { // one of each sort
				quiet(t)
			}
			providers := fourProviders()
			for _, settings := range providers {
				settings.(map[string]any)["supports_prefill"] = row.told == goesOn
			}
			house := failingHouse(t, providers)
			if row.told == goesOn {
				house.reroute(t, func(r *adminv1.Routing) { r.Continuation = true })
			}
			before, since := drill(t, house, house.Data, func() {
				if err := house.Upstream["a"].Behave(row.behaviour); err != nil {
					t.Fatal(err)
				}
				time.Sleep(1500 * time.Millisecond)
			}, 0)
			if row.told <= 0 {
				since.unnoticed(t, row.name, before)
				return
			}
			since.answersAlways(t, row.name)
			if lost := since.total - since.by[whole]; lost > row.told {
				t.Errorf("%d of %d requests noticed", lost, since.total)
			}
		})
	}
}

// goesOn marks failures that nobody learns of, because another provider goes on with the stream.
const goesOn = -1

// failingHouse is a chaosHouse that sends requests to its providers in turn, so that a provider that fails is met at once.
func failingHouse(t testing.TB, providers map[string]any) *House {
	t.Helper()
	routing := chaosPace().routing()
	routing["load_balancer"] = "round_robin"
	house := openRouted(t, Forms[1], routing, providers)
	watchTables(t, house)
	return house
}

// TestProviderRefusesConnections takes a provider's port away.
func TestProviderRefusesConnections(t *testing.T) {
	house := failingHouse(t, fourProviders())
	before, since := drill(t, house, house.Data, func() {
		house.Upstream["a"].Web.CloseClientConnections()
		house.Upstream["a"].Web.Close()
		time.Sleep(2 * time.Second)
	}, 0)
	since.unnoticed(t, "refuses connections", before)
}

// TestProviderFlaps lets a provider fail and recover every second.
func TestProviderFlaps(t *testing.T) {
	house := failingHouse(t, fourProviders())
	before, since := drill(t, house, house.Data, func() {
		for i := range 6 {
			behave(t, house, []string{"status=500", ""}[i%2], "a")
			time.Sleep(time.Second)
		}
	}, 0)
	since.unnoticed(t, "a provider flaps", before)
}

// behave sets what providers do.
func behave(t testing.TB, house *House, scenario string, providers ...string) {
	t.Helper()
	for _, id := range providers {
		if err := house.Upstream[id].Behave(scenario); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAllProvidersFail takes every provider away for a while: every request is answered with an error, soon, and when the providers
// are back users are served within two seconds.
func TestAllProvidersFail(t *testing.T) {
	for name, behaviour := range map[string]string{"500": "status=500", "429": "status=429", "529": "status=529"} {
		t.Run(name, func(t *testing.T) {
			house := failingHouse(t, fourProviders())
			load := pour(t, house.Data, 8, "text", chaosDeadline)
			time.Sleep(time.Second)
			behave(t, house, behaviour, "a", "b", "c", "d")
			failing := time.Now()
			time.Sleep(2 * time.Second)
			behave(t, house, "", "a", "b", "c", "d")
			back := time.Now()
			time.Sleep(3 * time.Second)
			ends := load.halt()
			sum(between(ends, failing, back)).answersAlways(t, "all providers fail")
			after := sum(between(ends, back.Add(2*time.Second), time.Now()))
			after.answersAlways(t, "two seconds later")
			if after.share() < 0.999 {
				t.Errorf("two seconds after all providers were back, %.2f %% are answered", 100*after.share())
			}
		})
	}
}

// TestOneBadKeyOfTwo has the only provider refuse one of its two keys from some moment on.
func TestOneBadKeyOfTwo(t *testing.T) {
	server := synthetic.New(synthetic.Config{Name: "only"})
	revoked := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-revoked:
			if strings.Contains(r.Header.Get("Authorization")+r.Header.Get("X-Api-Key"), "second") {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = w.Write([]byte(`{"error":{"message":"Invalid API key","type":"invalid_request_error"}}`))
				return
			}
		default:
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	only := compatible("openai")
	delete(only, "api_key")
	maps.Copy(only, map[string]any{"base_url": web.URL + "/v1", "allow_private_address": true, "api_keys": []string{"the-first-key", "the-second-key"}})
	house := Forms[1].Start(t, map[string]any{"providers": map[string]any{"only": only}})
	before, since := drill(t, house, house.Data, func() {
		close(revoked)
		time.Sleep(2 * time.Second)
	}, 0)
	since.unnoticed(t, "one bad key of two", before)
}
