package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

// five is three control planes and five nodes, all real processes.
var five = Form{"five nodes", func(t testing.TB, catalog map[string]any) *House { return startSized(t, 3, 5, "local", catalog) }}

// series is one series of a node's metrics; 0 where it has none, or does not answer.
func series(node, name string) float64 {
	response, err := (&http.Client{Timeout: time.Second}).Get(node + "/metrics")
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			value, _ := strconv.ParseFloat(text, 64)
			return value
		}
	}
	return 0
}

// beyond is by how many requests in flight the limit of a provider may be exceeded now, as the nodes say together.
func beyond(house *House, provider string) (sum float64) {
	for _, node := range house.Data {
		sum += series(node, `aimux_limit_beyond{scope="provider/`+provider+`",what="in_flight"}`)
	}
	return sum
}

// overload is what TestFiveNodesUnderOverload asks for, all through five nodes: three times as much of "slots" as may be in flight there, far more
// tokens of "rate" than there are, and of "calm" what it can give.
type overload struct {
	t           *testing.T
	house       *House
	slots, calm *crowd
	most        int
}

// phase watches for that long: as many are in flight as may be, and as the nodes publish beyond it, in such a part.
func (o *overload) phase(name string, length time.Duration, may float64) {
	provider := o.house.Upstream["slots"]
	began, published := time.Now(), 0.0
	for time.Since(began) < length {
		published = max(published, beyond(o.house, "slots"))
		time.Sleep(100 * time.Millisecond)
	}
	y, calm, got := count(o.slots.since(began)), count(o.calm.since(began)), provider.Stats().InFlightMost
	o.t.Logf("| %-24s | at most %2d of %d, %2.0f beyond | %4.0f/s served | calm %5.1f %% of %d, p50 %v p99 %v |", name, got, o.most, published,
		float64(y.served)/length.Seconds(), 100*float64(calm.served)/float64(calm.served+calm.refused+calm.failed), calm.served+calm.refused+calm.failed,
		calm.p50.Round(100*time.Microsecond), calm.p99.Round(100*time.Microsecond))
	if float64(got) > float64(o.most)+may*published || y.failed+calm.failed > 0 {
		o.t.Errorf("%s: %d in flight, of %d and %.0f beyond; %v; calm %v", name, got, o.most, published, y, calm)
	}
	provider.Forget()
}

// tokensInAMinute are the most tokens of what was asked for within any 60 s.
func tokensInAMinute(answers []answered) (most int) {
	slices.SortFunc(answers, func(a, b answered) int { return a.at.Compare(b.at) })
	for first, last, sum := 0, 0, 0; last < len(answers); last++ {
		sum += answers[last].tokens
		for ; answers[last].at.Sub(answers[first].at) >= time.Minute; first++ {
			sum -= answers[first].tokens
		}
		most = max(most, sum)
	}
	return most
}

// TestFiveNodesUnderOverload asks three times as much of a provider as its limits allow, through five nodes, while Redis hangs, goes, comes back empty
// and is emptied, and while a node is killed: strict limits hold whatever happens, bounded ones within what the nodes say. Who asks for what there
// is notices nothing, unless his limits are strict. Alone in make chaos it takes a minute for each phase that counts, and long enough without
// Redis for every lease to end.
func TestFiveNodesUnderOverload(t *testing.T) {
	const most, tokens, answer, lease = 20, 60_000, 80, 10 * time.Second
	steady, gone := 60*time.Second, 20*time.Second
	if testing.Short() {
		steady, gone = 3*time.Second, 2*time.Second
	}
	for _, mode := range []string{"bounded", "strict"} {
		t.Run(mode, func(t *testing.T) {
			house := open(t, five, map[string]any{
				"slots": capped(map[string]any{"limits": map[string]any{"max_concurrent_requests": most, "mode": mode}}, "first=100ms..200ms")["only"],
				"rate":  capped(map[string]any{"limits": map[string]any{"tokens_per_minute": tokens, "mode": mode}}, "tokens=50")["only"],
				"calm":  capped(map[string]any{"limits": map[string]any{"max_concurrent_requests": 5 * most, "tokens_per_minute": 100 * tokens, "mode": mode}}, "first=20ms")["only"],
			})
			provider := house.Upstream["slots"]
			o := &overload{t: t, house: house, most: most, slots: gather(t, house.Data, 3*most, asking("slots/first=100ms..200ms"))}
			o.calm = gather(t, house.Data, 5, asking("calm/first=20ms"))
			eventually(t, "the provider has all that it takes", func() error {
				if now := provider.Stats().InFlight; now < most-2 {
					return fmt.Errorf("%d in flight, of %d", now, most)
				}
				return nil
			})
			// While nothing fails nobody is beyond anything: the cap holds as it is.
			provider.Forget()
			rates := gather(t, house.Data, 15, asking("rate/tokens=50"))
			o.phase("overload", steady, 0)
			rates.leave()
			got := tokensInAMinute(rates.since(time.Time{}))
			if limit := tokens + 5*(tokens/5/12+answer); got > limit {
				t.Errorf("%d tokens in a minute, of %d", got, limit)
			}
			t.Logf("at most %d tokens in any minute, of %d", got, tokens)
			may := 0.0
			if mode == "bounded" {
				may = 1
			}
			house.Cluster(t, "stop", "redis", "STOP")
			o.phase("Redis hangs", gone, may)
			house.Cluster(t, "stop", "redis", "CONT")
			o.phase("Redis goes on", gone, may)
			house.redis(t, "FLUSHALL")
			o.phase("Redis was emptied", gone, 0)
			house.Cluster(t, "stop", "redis", "KILL")
			o.phase("Redis is gone", gone, may)
			house.Cluster(t, "start", "redis")
			o.phase("Redis is back, and empty", gone, may)
			o.slots.leave()
			o.calm.leave()
			provider.Forget()
			slotsReturn(t, house, most, mode == "strict", lease)
		})
	}
}

// slotsReturn kills a node: the others have its slots when its lease has ended, or, of a strict limit, when the node has come back.
func slotsReturn(t *testing.T, house *House, most int, strict bool, lease time.Duration) {
	provider := house.Upstream["slots"]
	doomed := gather(t, house.Data[4:], most, asking("slots/first=100ms..200ms"))
	eventually(t, "the node holds what it can get", func() error {
		if now := provider.Stats().InFlight; now < most/2 {
			return fmt.Errorf("%d in flight", now)
		}
		return nil
	})
	house.Cluster(t, "stop", "node-5", "KILL")
	killed := time.Now()
	doomed.leave()
	survivors := gather(t, house.Data[:4], 3*most, asking("slots/first=100ms..200ms"))
	if strict {
		time.Sleep(lease / 5)
		provider.Forget()
		time.Sleep(lease / 5)
		if got := provider.Stats().InFlightMost; got > most/2+1 {
			t.Errorf("%d in flight, though a node may still have %d", got, most/2)
		}
		house.Cluster(t, "start", "node-5")
	}
	eventually(t, "the others have all slots", func() error {
		if now := provider.Stats().InFlight; now < most-1 {
			return fmt.Errorf("%d in flight, of %d", now, most)
		}
		return nil
	})
	back := time.Since(killed)
	survivors.leave()
	t.Logf("the slots were back after %v; at most %d in flight, of %d", back.Round(10*time.Millisecond), provider.Stats().InFlightMost, most)
	if got := provider.Stats().InFlightMost; got > most {
		t.Errorf("%d were in flight, of %d", got, most)
	}
}

// TestCallersLimits holds a key and a team to limits that were set while they call, at every node together, and tells them in their own words.
func TestCallersLimits(t *testing.T) {
	for _, form := range Forms {
		t.Run(form.Name, func(t *testing.T) {
			const most, teamMost = 24, 40
			house := open(t, form, map[string]any{"only": compatible("openai")})
			keys := adminv1connect.NewKeyServiceClient(http.DefaultClient, house.Admin[0])
			limits := adminv1connect.NewLimitServiceClient(http.DefaultClient, house.Admin[0])
			if _, err := keys.SetTeam(t.Context(), connect.NewRequest(&adminv1.SetTeamRequest{Id: "red", Team: &adminv1.Team{}})); err != nil {
				t.Fatal(err)
			}
			var secrets []string
			for _, id := range []string{"alice", "bob"} {
				made, err := keys.CreateKey(t.Context(), connect.NewRequest(&adminv1.CreateKeyRequest{Id: id, Key: &adminv1.ClientKey{Team: "red"}}))
				if err != nil {
					t.Fatal(err)
				}
				secrets = append(secrets, made.Msg.GetKey())
			}
			var revision uint64
			for scope, n := range map[string]uint32{"key/alice": most, "team/red": teamMost} {
				set, err := limits.SetLimit(t.Context(), connect.NewRequest(&adminv1.SetLimitRequest{Scope: scope, Limits: &adminv1.Limits{RequestsPerMinute: new(n)}}))
				if err != nil {
					t.Fatal(err)
				}
				revision = max(revision, set.Msg.GetRevision())
			}
			house.Converged(t, revision)
			nodes := len(house.Data)
			slack := func(limit int) int { return nodes * (limit/nodes/12 + 1) }
			ask := func(secret string, n int) (served int, last *http.Response, body string) {
				for i := range n {
					street := []string{"/v1/messages", "/v1/chat/completions"}[i/nodes%2]
					last, body = post(t, house.Data[i%nodes]+street, hello, "Authorization", "Bearer "+secret)
					if last.StatusCode == http.StatusOK {
						served++
					} else if last.StatusCode != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" || !strings.Contains(body, "rate_limit_error") {
						t.Fatalf("refused with %d, retry-after %q: %s", last.StatusCode, last.Header.Get("Retry-After"), body)
					}
				}
				return served, last, body
			}
			alice, _, body := ask(secrets[0], 2*most)
			if alice < most || alice > most+slack(most) || !strings.Contains(body, "requests per minute of key/alice") {
				t.Errorf("alice was served %d times, of %d in a minute: %s", alice, most, body)
			}
			bob, last, body := ask(secrets[1], 2*teamMost)
			if all := alice + bob; all < teamMost || all > teamMost+slack(teamMost)+nodes || !strings.Contains(body, "requests per minute of team/red") {
				t.Errorf("the team was served %d times, of %d in a minute: %s", all, teamMost, body)
			}
			if left := last.Header.Get("X-Ratelimit-Remaining-Requests") + last.Header.Get("Anthropic-Ratelimit-Requests-Remaining"); left != "0" {
				t.Errorf("%q are said to be left", left)
			}
			eventually(t, "the admin API tells how far the limits are used", func() error {
				uses, err := limits.ListUses(t.Context(), connect.NewRequest(&adminv1.ListUsesRequest{Scope: "team/"}))
				if err != nil || len(uses.Msg.GetUses()) != 1 || uses.Msg.GetUses()[0].GetUsed() < teamMost || uses.Msg.GetUses()[0].GetRefused() == 0 {
					return fmt.Errorf("%v %w", uses, err)
				}
				return nil
			})
			if _, err := limits.UnsetLimit(t.Context(), connect.NewRequest(&adminv1.UnsetLimitRequest{Scope: "team/red"})); err != nil {
				t.Fatal(err)
			}
			eventually(t, "bob is not limited any more", func() error {
				if response, body := post(t, house.Data[0]+"/v1/messages", hello, "X-Api-Key", secrets[1]); response.StatusCode != http.StatusOK {
					return fmt.Errorf("%d: %s", response.StatusCode, body)
				}
				return nil
			})
		})
	}
}

// TestUsageLandsOnce asks while NATS is killed and a node is: what its block on disk says is in the ledger as every other, once.
func TestUsageLandsOnce(t *testing.T) {
	house := open(t, Forms[1], map[string]any{"only": compatible("openai")})
	ledger := adminv1connect.NewLedgerServiceClient(http.DefaultClient, house.Admin[2])
	served := uint64(0)
	ask := func(n int) {
		for i := range n {
			if response, body := post(t, house.Data[i%len(house.Data)]+"/v1/messages", hello); response.StatusCode != http.StatusOK {
				t.Fatalf("%d: %s", response.StatusCode, body)
			}
			served++
		}
	}
	counted := func() error {
		sums, err := ledger.SumUsage(t.Context(), connect.NewRequest(&adminv1.SumUsageRequest{By: []string{"provider"}}))
		if err != nil {
			return err
		}
		if got := sums.Msg.GetSums(); len(got) != 1 || got[0].GetRequests() != served {
			return fmt.Errorf("%v, of %d requests", sums.Msg, served)
		}
		return nil
	}
	ask(30)
	eventually(t, "all is in the ledger", counted)
	house.Cluster(t, "stop", "nats", "KILL")
	ask(30)
	eventually(t, "every node has written down what it cannot send", func() error {
		for i, node := range house.Data {
			if waiting := series(node, "aimux_usage_blocks_waiting"); waiting == 0 {
				return fmt.Errorf("node %d waits with none", i+1)
			}
		}
		return nil
	})
	house.Cluster(t, "stop", "node-2", "KILL")
	house.Cluster(t, "start", "nats")
	house.Cluster(t, "start", "node-2")
	eventually(t, "all is in the ledger", counted)
	house.Cluster(t, "stop", "cp-3", "KILL")
	house.Cluster(t, "start", "cp-3")
	eventually(t, "a control plane that begins again counts the same", counted)
}
