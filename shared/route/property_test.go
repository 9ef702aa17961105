package route

import (
	"slices"
	"strings"
	"testing"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var modelNames = []string{"alpha", "beta", "gamma-1", "gamma-2", "p0/alpha", "p1/gamma-1", "nobody"}

// drawTable draws a table of up to eight providers in any state.
func drawTable(t *rapid.T) *Table {
	names := func(label string, list ...string) string { return rapid.SampledFrom(list).Draw(t, label) }
	cfg := &tablev1.Config{Policy: &tablev1.Policy{
		LoadBalancer: names("balancer", balancerNames[:4]...), Priority: names("priority", priorityNames[:4]...), UnknownModel: names("unknown", "any", "reject"),
		Regions: rapid.SampledFrom([][]string{nil, {"eu"}, {"eu", "us"}}).Draw(t, "regions"),
	}}
	health := &tablev1.Health{}
	for i := range rapid.IntRange(1, 8).Draw(t, "providers") {
		id := "p" + string(rune('0'+i))
		p := &tablev1.Provider{
			Id: id, Kind: "k", Protocol: names("protocol", "anthropic", "openai"), Region: names("region", "eu", "us"), Enabled: rapid.IntRange(0, 9).Draw(t, "enabled") > 0,
			Fallback: rapid.IntRange(0, 9).Draw(t, "fallback") == 0, Override: &tablev1.Override{State: names("override", "", "", "", "", "drain", "open", "closed")},
		}
		for m := range rapid.IntRange(1, 3).Draw(t, "models") {
			has := Capability(rapid.Uint64Range(0, uint64(capabilities-1)).Draw(t, "has")) | Streaming
			p.Models = append(p.Models, &tablev1.Model{
				Id: modelNames[m], Serves: rapid.SampledFrom([][]string{nil, {"gamma-*"}, {"*"}, {"gamma-1"}}).Draw(t, "serves"), Has: uint64(has),
				Unknown: rapid.Uint64Range(0, uint64(capabilities-1)).Draw(t, "unknown") &^ uint64(has), ContextWindow: rapid.SampledFrom([]uint32{0, 1000, 100_000}).Draw(t, "window"),
			})
			health.Targets = append(health.Targets, &tablev1.TargetHealth{
				Provider: id, Model: modelNames[m], State: tablev1.State(rapid.IntRange(0, 5).Draw(t, "state")), WeightPpm: rapid.Uint32Range(0, ppm).Draw(t, "weight"),
				Probe: &tablev1.ProbeGrant{Node: names("grant", "n", "m"), ExpiresUnixMs: now + 1, Live: true},
			})
		}
		cfg.Providers = append(cfg.Providers, p)
	}
	for _, pin := range []*string{&cfg.Policy.ThinkingProvider, &cfg.Policy.DefaultProvider} {
		*pin = names("pin", "", "p0")
	}
	table, err := FromWire(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return table.WithHealth(health)
}

func drawNode(t *rapid.T, table *Table) *node {
	n := newNode(table, nil)
	for i := range n.lives {
		n.lives[i] = Live{
			InFlight: rapid.Int32Range(0, 100).Draw(t, "in flight"), FirstTokenUs: rapid.Uint32().Draw(t, "first"), SuccessPPM: rapid.Uint32Range(0, ppm).Draw(t, "success"),
			Turn: rapid.Uint64Range(0, 1<<41).Draw(t, "turn"), Open: rapid.IntRange(0, 3).Draw(t, "open") == 0,
			ProbeHere: rapid.Bool().Draw(t, "probe"), BlockedUntilMs: rapid.SampledFrom([]int64{0, 0, 0, now + 5}).Draw(t, "blocked"),
		}
	}
	n.home = rapid.IntRange(-1, table.Len()-1).Draw(t, "home")
	return n
}

func drawAsk(t *rapid.T) *Ask {
	return &Ask{
		Protocol: rapid.SampledFrom([]Protocol{Anthropic, OpenAI}).Draw(t, "from"), Model: rapid.SampledFrom(modelNames).Draw(t, "model"),
		Class: Class(rapid.IntRange(0, Classes-1).Draw(t, "class")), Traits: Trait(rapid.Uint16Range(0, 255).Draw(t, "traits")),
		Needs: Streaming | 1<<rapid.IntRange(0, 19).Draw(t, "need"), PromptTokens: rapid.IntRange(-1, 200_000).Draw(t, "prompt"), MaxTokens: rapid.IntRange(0, 5000).Draw(t, "max"),
		Session: rapid.Uint64Range(0, 2).Draw(t, "session"),
	}
}

func drawTerms(t *rapid.T) Terms {
	return Terms{
		Providers: rapid.SampledFrom([][]string{nil, nil, {"p0", "p1"}, {"nobody"}}).Draw(t, "providers"),
		Regions:   rapid.SampledFrom([][]string{nil, nil, {"", "us"}, {"mars"}}).Draw(t, "regions"),
		Models:    rapid.SampledFrom([][]string{nil, nil, {"*"}, {modelNames[0], "p*"}}).Draw(t, "models"),
		Classes:   rapid.SampledFrom([][]Class{nil, nil, {Standard, ClassTools, ClassStreaming}}).Draw(t, "classes"),
	}
}

// may says in the plainest way what terms allow.
func may(table *Table, terms Terms, ask *Ask, p *Provider) bool {
	name := func(name string) bool {
		return slices.ContainsFunc(terms.Models, func(pattern string) bool { return Match(pattern, name) })
	}
	first, rest, _ := strings.Cut(ask.Model, "/")
	if _, pinned := table.ProviderByID(first); !pinned {
		rest = ask.Model
	}
	return (len(terms.Providers) == 0 || slices.Contains(terms.Providers, p.ID)) && (len(terms.Regions) == 0 || slices.Contains(terms.Regions, p.Region)) &&
		(len(terms.Models) == 0 || name(ask.Model) || name(rest)) && (len(terms.Classes) == 0 || slices.Contains(terms.Classes, ask.Class))
}

// Whatever the table, the node and the request: nobody gets what he must not get, and the order is what its name says.
func TestEveryChainIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := drawTable(t)
		n, ask := drawNode(t, table), drawAsk(t)
		outer, inner := drawTerms(t), drawTerms(t)
		ask.Scope = table.Narrow(table.Narrow(nil, outer), inner)
		rnd := rapid.Uint64().Draw(t, "rnd")
		chain, verdict := table.Pick(nil, ask, n, "n", now, rnd)
		if (len(chain) == 0) != (verdict.Outcome != Picked) || (len(chain) == 0) != (verdict.String() != "") {
			t.Fatalf("%d candidates and the verdict %q", len(chain), verdict)
		}
		seen := map[int]bool{}
		for i, c := range chain {
			target := table.Target(int(c.Target))
			p, live, health := table.Provider(target.Provider), n.Live(target.Index), table.Health(target.Index)
			order := p.Override.At(now)
			switch {
			case target.Missing(ask) != 0:
				t.Fatalf("%s lacks %v", target.Key, target.Missing(ask).Names())
			case target.ContextWindow != 0 && ask.PromptTokens+ask.MaxTokens > target.ContextWindow:
				t.Fatalf("%s is too short", target.Key)
			case !p.Enabled || order == Drain || order == ForceOpen || !table.inRegion(p):
				t.Fatalf("%s must not be used", target.Key)
			case !may(table, outer, ask, p) || !may(table, inner, ask, p):
				t.Fatalf("%s is not allowed for the caller", target.Key)
			case live.BlockedUntilMs > now:
				t.Fatalf("%s is blocked", target.Key)
			case seen[target.Provider]:
				t.Fatalf("%s is there twice", p.ID)
			case i > 0 && chain[i-1].key >= c.key:
				t.Fatalf("%v is not in order", keys(table, chain))
			case i > 0 && chain[i-1].Fallback() && !c.Fallback():
				t.Fatalf("%s is behind the fallback", target.Key)
			}
			granted := live.ProbeHere && health.Probe.Node == "n"
			open := live.Open && !live.ProbeHere || health.State.out() && !granted
			if open && order != ForceClosed && (len(chain) > 1 || !c.LastResort()) {
				t.Fatalf("%s is open and not the last that is left", target.Key)
			}
			seen[target.Provider] = true
		}
		again, _ := table.Pick(nil, ask, n, "n", now, rnd)
		if diff := cmp.Diff(keys(table, chain), keys(table, again)); diff != "" {
			t.Fatalf("the same again gives another chain:\n%s", diff)
		}
		if diff := cmp.Diff(keys(table, chain), table.Explain(ask, n, "n", now, rnd).GetChain()); diff != "" {
			t.Fatalf("the explanation has another chain:\n%s", diff)
		}
		dropped := table.Dropped(nil, ask, n, "n", now, rnd, 1000)
		for _, d := range dropped {
			if find(chain, d.Target) >= 0 {
				t.Fatalf("%s is a candidate and dropped out: %s", table.Target(int(d.Target)).Key, d.Reason)
			}
		}
		if len(dropped) > 0 && !verdict.Dropped {
			t.Fatalf("the verdict does not say that %v dropped out", dropped)
		}
	})
}

// A target that could serve is refused for health alone only while somebody else is there.
func TestHealthAloneLeavesNobodyAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := drawTable(t)
		n, ask := drawNode(t, table), drawAsk(t)
		for i := range n.lives {
			n.lives[i].BlockedUntilMs = 0
		}
		_, verdict := table.Pick(nil, ask, n, "n", now, 1)
		if verdict.Ill > 0 {
			t.Fatalf("%d could serve but for their health: %v", verdict.Ill, verdict)
		}
	})
}

func TestSortingAnyChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfNDistinct(rapid.Uint64(), 0, 200, rapid.ID).Draw(t, "keys")
		chain := make([]Candidate, len(list))
		for i, key := range list {
			chain[i].key = key
		}
		sortChain(chain)
		slices.Sort(list)
		for i := range chain {
			if chain[i].key != list[i] {
				t.Fatalf("place %d holds %d, want %d", i, chain[i].key, list[i])
			}
		}
	})
}

func TestReorderKeepsRanks(t *testing.T) {
	table := table(t, house(provider("zai", func(p *tablev1.Provider) { p.Fallback = true })))
	chain, _ := table.Pick(nil, chat("claude-sonnet-4-5"), newNode(table, nil), "n", now, 1)
	byKey := func(key string) int32 {
		for i := range table.Targets() {
			if table.Target(i).Key == key {
				return int32(i)
			}
		}
		return -1
	}
	oss, glm, sonnet := byKey("cerebras/gpt-oss-120b"), byKey("zai/glm-4.6"), byKey("anthropic/claude-sonnet-4-5")
	for _, bad := range [][]int32{{oss, oss}, {99}, {oss, glm, sonnet, 4}} {
		before := slices.Clone(chain)
		if Reorder(chain, bad) || !slices.Equal(before, chain) {
			t.Errorf("order %v must be refused and change nothing", bad)
		}
	}
	if !Reorder(chain, []int32{glm, oss, sonnet}) {
		t.Fatal("a good order is refused")
	}
	if got := keys(table, chain); got[2] != "zai/glm-4.6" {
		t.Errorf("chain %v: the fallback stays last, whatever a plugin says", got)
	}
}

// At every grant, the extra attempts of the last 10 seconds stay within the share, or within the few that are always granted.
func TestBudgetHoldsOverAnyWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share, least := rapid.SampledFrom([]float64{0, 0.05, 0.1, 1}).Draw(t, "share"), rapid.IntRange(0, 12).Draw(t, "least")
		b := NewBudget(share, least)
		var requests, extras []int64
		at := rapid.Int64Range(0, 1<<41).Draw(t, "start")
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			at += rapid.SampledFrom([]int64{0, 1, 7, 50, 99, 100, 101, 700, 3000, 9950, 10_050, 30_000}).Draw(t, "pause")
			for range rapid.IntRange(0, 30).Draw(t, "requests") {
				b.Request(at)
				requests = append(requests, at)
			}
			for range rapid.IntRange(0, 8).Draw(t, "wishes") {
				if !b.Spend(at) {
					continue
				}
				extras = append(extras, at)
				got, of := within(extras, at), within(requests, at)
				if allowed := share * float64(of); float64(got) > max(allowed, float64(least)) || share == 0 {
					t.Fatalf("%d extra attempts for %d requests in 10 s; share %v, least %d", got, of, share, least)
				}
			}
		}
	})
}

// Whatever the traffic of each node, and however they come and go, the nodes together keep to what is promised of the cluster; and a node
// alone never leaves one request without its failover.
func TestBudgetsOfACluster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(1, 12).Draw(t, "nodes")
		retries, hedges := make([]Budget, nodes), make([]Budget, nodes)
		for i := range nodes {
			retries[i], hedges[i] = RetryBudget(0.1, nodes), HedgeBudget(0.05, nodes)
		}
		var requests, retried, hedged []int64
		at := int64(1 << 40)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			at += rapid.SampledFrom([]int64{0, 1, 40, 100, 500, 3000, 9950, 10_050}).Draw(t, "pause")
			i := rapid.IntRange(0, nodes-1).Draw(t, "node")
			for range rapid.SampledFrom([]int{1, 1, 2, 50}).Draw(t, "requests") {
				retries[i].Request(at)
				hedges[i].Request(at)
				requests = append(requests, at)
			}
			for range rapid.IntRange(0, 6).Draw(t, "failures") {
				if retries[i].Spend(at) {
					retried = append(retried, at)
				}
				if hedges[i].Spend(at) {
					hedged = append(hedged, at)
				}
			}
			of := float64(within(requests, at) + within(requests, at-BudgetWindow.Milliseconds()))
			if got := within(retried, at); float64(got) > 0.1*of+float64(max(RetriesLeast, retriesNeeded*nodes)) {
				t.Fatalf("%d retries in 10 s, for %v requests in 20 s at %d nodes", got, of, nodes)
			}
			if got := within(hedged, at); float64(got) > 0.05*of+float64(max(HedgesLeast, nodes)) {
				t.Fatalf("%d hedges in 10 s, for %v requests in 20 s at %d nodes", got, of, nodes)
			}
		}
		quiet := RetryBudget(0.1, nodes)
		quiet.Request(at)
		for range retriesNeeded {
			if !quiet.Spend(at) {
				t.Fatalf("a node of %d that has had one request cannot retry until its circuit opens", nodes)
			}
		}
	})
}

// TestRetriesMultiplyNothing has requests meet providers that are gone, that fail and that answer, in any order: what reaches providers is never more
// than the requests and what the budget grants; and no request is lost to providers that are gone, as long as one is there.
func TestRetriesMultiplyNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.SampledFrom([]float64{0, 0.05, 0.1}).Draw(t, "share")
		b := RetryBudget(share, rapid.IntRange(1, 12).Draw(t, "nodes"))
		least := int(b.least)
		var requests, reached []int64
		at := int64(1 << 40)
		for range rapid.IntRange(1, 300).Draw(t, "requests") {
			at += rapid.SampledFrom([]int64{0, 1, 40, 3000, 10_050}).Draw(t, "pause")
			b.Request(at)
			requests = append(requests, at)
			failed := false
			for try, granted := 0, true; try < 4 && granted; try++ {
				kind := rapid.SampledFrom([]string{"gone", "fails", "answers"}).Draw(t, "provider")
				if kind != "gone" {
					reached = append(reached, at)
				}
				if kind == "answers" {
					break
				}
				failed = failed || kind == "fails"
				if granted = b.Retry(at, kind != "gone"); !granted && !failed && share > 0 {
					t.Fatal("a request that reached nobody is given up")
				}
			}
			of := within(requests, at)
			if got := within(reached, at) - of; share == 0 && got > 0 || float64(got) > max(share*float64(of), float64(least)) {
				t.Fatalf("%d requests reached providers %d times in 10 s; share %v, least %d", of, of+got, share, least)
			}
		}
	})
}

// within counts what lies in the window that ends at a moment.
func within(list []int64, at int64) (n int) {
	for _, when := range list {
		if when > at-BudgetWindow.Milliseconds() && when <= at {
			n++
		}
	}
	return n
}

// New terms forget nothing of what was granted.
func TestBudgetFollows(t *testing.T) {
	b := RetryBudget(0.1, 1)
	for b.Spend(1000) {
	}
	for nodes := 9; nodes > 0; nodes-- {
		if b.Follow(RetryBudget(0.2, nodes)); b.Spend(1000) {
			t.Fatalf("one more for %d nodes", nodes)
		}
	}
	if b.Spend(1000 + BudgetWindow.Milliseconds() + 200); !b.Spend(1000 + BudgetWindow.Milliseconds() + 200) {
		t.Error("nothing ever again")
	}
}

func TestBudgetGrantsWhatIsDue(t *testing.T) {
	b := NewBudget(0.1, 0)
	granted := 0
	for ms := range int64(60_000) {
		b.Request(ms)
		if b.Spend(ms) {
			granted++
		}
	}
	if granted < 5800 || granted > 6000 {
		t.Errorf("%d grants for 60000 requests, want a tenth but for the edges", granted)
	}
}

func TestCostNeverOverflows(t *testing.T) {
	p := Price{Input: 3000, Output: 15000, CacheRead: 300, CacheWrite: 3750}
	if got, want := p.Cost(1000, 200, 50_000, 2000), uint64(3_000_000+3_000_000+15_000_000+7_500_000); got != want {
		t.Errorf("cost %d, want %d", got, want)
	}
	if got, want := (Price{Input: 10, Output: 20}).Cost(1, 1, 1, 1), uint64(50); got != want {
		t.Errorf("cache at the price of input: %d, want %d", got, want)
	}
	if got := (Price{Input: priceMax, Output: priceMax}).Cost(1<<40, 1<<40, 1<<40, 0); got != 1<<64-1 {
		t.Errorf("cost %d, want the largest number", got)
	}
}
