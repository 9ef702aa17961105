package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// capped is a provider with these settings beside the usual ones. It answers the model "first=…" after that wait.
func capped(settings map[string]any, scenarios ...string) map[string]any {
	provider := compatible("openai", scenarios...)
	maps.Copy(provider, settings)
	return map[string]any{"only": provider}
}

// crowd is clients that ask again and again, each at one node, and come back soon after a refusal.
type crowd struct {
	t    testing.TB
	http *http.Client
	ends chan struct{} // closed when nobody is to ask again
	end  sync.Once
	all  sync.WaitGroup

	mu      sync.Mutex
	answers []answered // guarded by mu
}

// answered is one answer as its client saw it.
type answered struct {
	at         time.Time
	took       time.Duration
	status     int
	retryAfter string
	node       string
	tokens     int // used, as the answer says
}

// gather starts n clients, spread over the nodes in turn; body is what they send. leave ends them.
func gather(t testing.TB, nodes []string, n int, body string) *crowd {
	t.Helper()
	c := &crowd{t: t, ends: make(chan struct{}), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}}
	for i := range n {
		c.all.Go(func() {
			for {
				var pause time.Duration
				if !c.ask(t.Context(), nodes[i%len(nodes)]+"/v1/chat/completions", body) {
					pause = 20 * time.Millisecond
				}
				select {
				case <-c.ends:
					return
				case <-time.After(pause):
				}
			}
		})
	}
	t.Cleanup(c.leave)
	return c
}

// ask asks once; ok is false where the client should wait before it asks again. What the crowd's end cuts off is not counted.
func (c *crowd) ask(ctx context.Context, url, body string) (ok bool) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return false
	}
	request.Header.Set("Content-Type", "application/json")
	a := answered{at: time.Now(), node: request.URL.Host}
	response, err := c.http.Do(request)
	if err == nil {
		var document struct {
			Usage struct {
				Total int `json:"total_tokens"`
			} `json:"usage"`
		}
		err = json.NewDecoder(response.Body).Decode(&document)
		response.Body.Close()
		a.status, a.retryAfter, a.tokens = response.StatusCode, response.Header.Get("Retry-After"), document.Usage.Total
	}
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		a.status = 0
	}
	a.took = time.Since(a.at)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, a)
	return a.status == http.StatusOK
}

// leave lets every client have its last answer. Clients that hang up would give their slots back at once, while the provider has not
// noticed yet: it would count their requests together with those that got the slots.
func (c *crowd) leave() {
	c.end.Do(func() { close(c.ends) })
	c.all.Wait()
	c.http.CloseIdleConnections()
}

// since are the answers to what was asked from then on.
func (c *crowd) since(from time.Time) (list []answered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.answers {
		if !a.at.Before(from) {
			list = append(list, a)
		}
	}
	return list
}

// tally is how a phase went, for people and for what a test wants of it.
type tally struct {
	served, refused, failed int
	tokens                  int
	p50, p99                time.Duration
}

func (y tally) String() string {
	return fmt.Sprintf("%d served, %d refused, %d failed; p50 %v, p99 %v", y.served, y.refused, y.failed,
		y.p50.Round(100*time.Microsecond), y.p99.Round(100*time.Microsecond))
}

// count sums answers up: refused are those that a limit refused, failed all others without success.
func count(answers []answered) (y tally) {
	var served []time.Duration
	for _, a := range answers {
		switch a.status {
		case http.StatusOK:
			y.served++
			y.tokens += a.tokens
			served = append(served, a.took)
		case http.StatusTooManyRequests, http.StatusServiceUnavailable, 529:
			y.refused++
		default:
			y.failed++
		}
	}
	if len(served) > 0 {
		slices.Sort(served)
		y.p50, y.p99 = served[len(served)/2], served[len(served)*99/100]
	}
	return y
}

func asking(model string) string {
	return `{"model":"` + model + `","max_tokens":64,"messages":[{"role":"user","content":"Hello!"}]}`
}

// TestRequestsInFlightHoldForTheCluster overloads a provider threefold, from every node and then from one alone: never more are in
// flight there than its cap, and one node alone gets what the others leave.
func TestRequestsInFlightHoldForTheCluster(t *testing.T) {
	for _, form := range Forms {
		t.Run(form.Name, func(t *testing.T) {
			const most = 18
			house := open(t, form, capped(map[string]any{"max_concurrent_requests": most}, "first=100ms..200ms"))
			provider := house.Upstream["only"]
			began := time.Now()
			all := gather(t, house.Data, 3*most, asking("first=100ms..200ms"))
			eventually(t, "as many are served as the provider takes, and some refused", func() error {
				if y := count(all.since(began)); y.served < 10*most || y.refused == 0 {
					return fmt.Errorf("%v", y)
				}
				return nil
			})
			all.leave()
			everywhere := count(all.since(began))
			t.Logf("from every node: at most %d in flight, of %d; %v", provider.Stats().InFlightMost, most, everywhere)
			one := gather(t, house.Data[:1], 3*most, asking("first=100ms..200ms"))
			eventually(t, "one node alone gets the slots of the others", func() error {
				if now := provider.Stats().InFlight; now < most-len(house.Data)+1 {
					return fmt.Errorf("%d in flight, of %d", now, most)
				}
				return nil
			})
			one.leave()
			if got := provider.Stats().InFlightMost; got > most || got < most-len(house.Data) {
				t.Errorf("at most %d in flight, of %d", got, most)
			}
			if everywhere.served == 0 || everywhere.refused == 0 || everywhere.failed > 0 {
				t.Errorf("from every node: %v", everywhere)
			}
			for _, a := range all.since(began) {
				if a.status != http.StatusOK && a.retryAfter == "" {
					t.Fatalf("refused with %d, without retry-after", a.status)
				}
			}
		})
	}
}

// TestMinuteLimitsHoldForTheCluster asks for far more than a minute's requests, and tokens, within seconds.
func TestMinuteLimitsHoldForTheCluster(t *testing.T) {
	const requests, tokens, answer = 120, 6000, 80 // an answer's tokens, with its prompt's, at most
	for _, form := range Forms {
		t.Run(form.Name, func(t *testing.T) {
			house := open(t, form, map[string]any{
				"requests": capped(map[string]any{"requests_per_minute": requests})["only"],
				"tokens":   capped(map[string]any{"tokens_per_minute": tokens}, "tokens=50")["only"],
			})
			nodes := len(house.Data)
			for name, row := range map[string]struct {
				model string
				most  int // what may be admitted: the limit, and a block and a request for each node
				used  func(y tally) int
			}{
				"requests": {"requests/text", requests + nodes*(requests/nodes/12+1), func(y tally) int { return y.served }},
				"tokens":   {"tokens/tokens=50", tokens + nodes*(tokens/nodes/12+answer), func(y tally) int { return y.tokens }},
			} {
				began := time.Now()
				c := gather(t, house.Data, 12, asking(row.model))
				eventually(t, name+" are used up", func() error {
					late := count(c.since(time.Now().Add(-time.Second)))
					if late.served > 0 || late.refused == 0 || time.Since(began) < 2*time.Second {
						return fmt.Errorf("in the last second %v", late)
					}
					return nil
				})
				c.leave()
				got := row.used(count(c.since(began)))
				t.Logf("%s: %d in %v, %d allowed in a minute", name, got, time.Since(began).Round(time.Second), row.most)
				if got > row.most || got < row.most/3 {
					t.Errorf("%s: %d were let through in %v, %d allowed in a minute", name, got, time.Since(began), row.most)
				}
				for _, a := range c.since(began) {
					if a.status != http.StatusOK && (a.status != http.StatusTooManyRequests || a.retryAfter == "") {
						t.Fatalf("%s: refused with %d and retry-after %q", name, a.status, a.retryAfter)
					}
				}
			}
		})
	}
}

// TestRedisMayGo stops, hangs and empties Redis under a steady load that fits the limits: nobody is refused, nobody waits, and the cap
// holds all the time.
func TestRedisMayGo(t *testing.T) {
	const most = 24
	house := open(t, Forms[1], capped(map[string]any{"max_concurrent_requests": most, "requests_per_minute": 60000, "tokens_per_minute": 10000000}, "first=20ms"))
	provider := house.Upstream["only"]
	c := gather(t, house.Data, most/2, asking("first=20ms"))
	phase := func(name string, length time.Duration) tally {
		began := time.Now()
		time.Sleep(length)
		y := count(c.since(began))
		t.Logf("%-32s %v; at most %d in flight, of %d", name, y, provider.Stats().InFlightMost, most)
		if y.refused+y.failed > 0 || y.served == 0 {
			t.Errorf("%s: %v", name, y)
		}
		return y
	}
	eventually(t, "the nodes have shared the slots out", func() error {
		if y := count(c.since(time.Now().Add(-2 * time.Second))); y.refused > 0 || y.served < 8*most {
			return fmt.Errorf("in the last two seconds %v", y)
		}
		return nil
	})
	phase("before", 2*time.Second)
	house.Cluster(t, "stop", "redis", "STOP")
	phase("Redis hangs", 4*time.Second)
	house.Cluster(t, "stop", "redis", "CONT")
	phase("Redis goes on", 2*time.Second)
	house.Cluster(t, "stop", "redis", "KILL")
	phase("Redis is gone", 4*time.Second)
	house.Cluster(t, "start", "redis")
	phase("Redis is back, and empty", 4*time.Second)
	c.leave()
	if got := provider.Stats().InFlightMost; got > most {
		t.Errorf("%d were in flight, of %d", got, most)
	}
}

// TestADeadNodesSlotsReturn kills a node that holds a provider's slots: the others get them when its lease has run out.
func TestADeadNodesSlotsReturn(t *testing.T) {
	const most, lease = 18, 10 * time.Second
	house := open(t, Forms[1], capped(map[string]any{"max_concurrent_requests": most}, "first=100ms"))
	provider := house.Upstream["only"]
	doomed := gather(t, house.Data[2:], most, asking("first=100ms"))
	eventually(t, "the node holds what it can get", func() error {
		if now := provider.Stats().InFlight; now < most/3 {
			return fmt.Errorf("%d in flight", now)
		}
		return nil
	})
	survivors := gather(t, house.Data[:2], 2*most, asking("first=100ms"))
	house.Cluster(t, "stop", "node-3", "KILL")
	killed := time.Now()
	doomed.leave()
	eventually(t, "the others have all slots", func() error {
		if now := provider.Stats().InFlight; now < most {
			return fmt.Errorf("%d in flight, of %d", now, most)
		}
		return nil
	})
	back := time.Since(killed)
	survivors.leave()
	t.Logf("the slots were back after %v; at most %d in flight, of %d", back.Round(10*time.Millisecond), provider.Stats().InFlightMost, most)
	if back > lease+time.Second {
		t.Errorf("the slots of a dead node were back after %v", back)
	}
	if got := provider.Stats().InFlightMost; got > most {
		t.Errorf("%d were in flight, of %d", got, most)
	}
}

// TestLimitsChangeAtRunTime sets limits through the admin API while the provider is overloaded: each holds from then on, for the provider,
// for each key and for a model, and even two slots go round among three nodes.
func TestLimitsChangeAtRunTime(t *testing.T) {
	providers := capped(map[string]any{"api_keys": []string{"key-one", "key-two"}}, "first=50ms")
	delete(providers["only"].(map[string]any), "api_key")
	house := open(t, Forms[1], providers)
	provider, api := house.Upstream["only"], house.Providers(0)
	current, err := api.GetProvider(t.Context(), connect.NewRequest(&adminv1.GetProviderRequest{Id: "only"}))
	if err != nil {
		t.Fatal(err)
	}
	revision := current.Msg.GetRevision()
	c := gather(t, house.Data, 30, asking("first=50ms"))
	for _, row := range []struct {
		name string
		most int
		set  func(p *adminv1.Provider)
	}{
		{"12 for the provider", 12, func(p *adminv1.Provider) { p.MaxConcurrentRequests = new(uint32(12)) }},
		{"3 for each of two keys", 6, func(p *adminv1.Provider) { p.LimitsPerKey = &adminv1.Limits{MaxConcurrentRequests: new(uint32(3))} }},
		{"2 for the model", 2, func(p *adminv1.Provider) {
			for _, m := range p.GetModels() {
				m.Limits = &adminv1.Limits{MaxConcurrentRequests: new(uint32(2))}
			}
		}},
	} {
		p := proto.CloneOf(current.Msg.GetProvider().GetProvider())
		row.set(p)
		written, err := api.UpdateProvider(t.Context(), connect.NewRequest(&adminv1.UpdateProviderRequest{Id: "only", Provider: p, Revision: revision}))
		if err != nil {
			t.Fatal(err)
		}
		revision = written.Msg.GetRevision()
		house.Converged(t, revision)
		eventually(t, "what is in flight comes down to the limit", func() error {
			if now := provider.Stats().InFlight; now > row.most {
				return fmt.Errorf("%d in flight, of %d", now, row.most)
			}
			return nil
		})
		down := time.Now()
		eventually(t, row.name+": every node serves within the limit", func() error {
			byNode := map[string]int{}
			for _, a := range c.since(down) {
				if a.status == http.StatusOK {
					byNode[a.node]++
				}
			}
			if len(byNode) != len(house.Data) {
				return fmt.Errorf("only these nodes served anything: %v", byNode)
			}
			return nil
		})
		provider.Forget()
		began := time.Now()
		time.Sleep(3 * time.Second)
		y, most := count(c.since(began)), provider.Stats().InFlightMost
		t.Logf("%-24s at most %d in flight, of %d; %v", row.name, most, row.most, y)
		if most > row.most || most < row.most-1 || y.failed > 0 {
			t.Errorf("%s: at most %d in flight, of %d; %v", row.name, most, row.most, y)
		}
	}
}

// TestLimitsOnAllRequests holds the whole cluster to a number of requests per minute, told in each caller's own way.
func TestLimitsOnAllRequests(t *testing.T) {
	const most = 30
	for _, form := range Forms {
		t.Run(form.Name, func(t *testing.T) {
			house := open(t, limitedAsAWhole(form, map[string]any{"requests_per_minute": most}), map[string]any{"only": compatible("openai")})
			served := 0
			for i := range 2 * most {
				response, body := post(t, house.Data[i%len(house.Data)]+"/v1/messages", hello)
				if limit := response.Header.Get("Anthropic-Ratelimit-Requests-Limit"); limit != "30" {
					t.Fatalf("the limit is said to be %q", limit)
				}
				switch response.StatusCode {
				case http.StatusOK:
					served++
				case http.StatusTooManyRequests:
					if !strings.Contains(body, "rate_limit_error") || response.Header.Get("Retry-After") == "" || response.Header.Get("X-Should-Retry") != "true" {
						t.Errorf("refused with retry-after %q: %s", response.Header.Get("Retry-After"), body)
					}
				default:
					t.Fatalf("%d: %s", response.StatusCode, body)
				}
			}
			nodes := len(house.Data)
			bound := most + nodes*(most/nodes/12+1)
			for _, node := range house.Data {
				if series(node, `aimux_limit_store_rounds_total{result="failed"}`) > 0 {
					bound = 2 * most // a node that was not answered in time went by its share for a while
				}
			}
			if served < most || served > bound {
				t.Errorf("%d were served, of %d in a minute; %d would do", served, most, bound)
			}
			response, _ := post(t, house.Data[0]+"/v1/chat/completions", hello)
			if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("X-Ratelimit-Remaining-Requests") != "0" {
				t.Errorf("%d, and %q are left", response.StatusCode, response.Header.Get("X-Ratelimit-Remaining-Requests"))
			}
		})
	}
}

// limitedAsAWhole is the form with limits on all requests in its catalog.
func limitedAsAWhole(form Form, limits map[string]any) Form {
	return Form{form.Name, func(t testing.TB, catalog map[string]any) *House {
		catalog["limits"] = limits
		return form.Start(t, catalog)
	}}
}

// TestProvidersThatSayItIsTooMuch has one or two providers refuse for their rates without saying for how long: clients are told 429 and when to
// come again, in each dialect, and who comes then is answered as soon as a provider does.
func TestProvidersThatSayItIsTooMuch(t *testing.T) {
	providers := map[string]any{}
	for id, model := range map[string]string{"sole": "alone", "one": "both", "other": "both"} {
		providers[id] = serves(compatible("openai"), model)
	}
	house := openRouted(t, Forms[0], map[string]any{"unknown_model": "reject", "retry_share": 1}, providers)
	behave(t, house, "status=429", "sole", "one", "other")
	for _, model := range []string{"alone", "both"} {
		for i := range 3 {
			for protocol, path := range streets {
				response, body := post(t, house.Data[0]+path, ask(model))
				if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") == "" ||
					response.Header.Get("X-Should-Retry") != "true" || !strings.Contains(body, "rate_limit_error") {
					t.Errorf("%s, %s, round %d: %d, retry-after %q: %s", model, protocol, i, response.StatusCode, response.Header.Get("Retry-After"), body)
				}
			}
		}
	}
	behave(t, house, "", "sole", "other")
	for _, model := range []string{"alone", "both"} {
		eventually(t, model+" is answered", func() error {
			if response, body := post(t, house.Data[0]+"/v1/messages", ask(model)); response.StatusCode != http.StatusOK {
				return fmt.Errorf("%d: %s", response.StatusCode, body)
			}
			return nil
		})
	}
}
