package route

import (
	"math"
	"testing"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// shop is one kind of provider in the trace.
type shop struct {
	id       string
	firstUs  int64
	price    uint64
	failPPM  uint64
	priority float64
}

var shops = []shop{
	{"cheap", 1_500_000, 100, 100_000, 40},
	{"fast", 250_000, 4000, 100_000, 30},
	{"sure", 900_000, 2000, 500, 10},
	{"plain", 800_000, 1500, 100_000, 20},
}

// tally of one run over the trace.
type run struct {
	served  map[string]int
	cost    float64 // mean, in billionths of a dollar per token
	firstMs float64 // mean
	failed  float64 // share
	// uneven is the mean difference between the most and the least in flight.
	uneven float64
}

// drive sends the same trace, a request every 150 ms, through one strategy. Answers take the first token's time three times over.
func drive(t *testing.T, balancer, priority string, weights *tablev1.Weights) run {
	cfg := &tablev1.Config{Policy: &tablev1.Policy{LoadBalancer: balancer, Priority: priority, Weights: weights}}
	for _, s := range shops {
		cfg.Providers = append(cfg.Providers, &tablev1.Provider{
			Id: s.id, Kind: "k", Protocol: "anthropic", Enabled: true, PriorityScore: s.priority, AvgResponseTimeMs: float64(s.firstUs) / 1000,
			Models: []*tablev1.Model{{Id: "m", Has: uint64(Streaming), Price: &tablev1.Price{Input: s.price, Output: s.price}}},
		})
	}
	table := table(t, cfg)
	n := newNode(table, nil)
	for i, s := range shops {
		n.lives[i].FirstTokenUs, n.lives[i].SuccessPPM = uint32(s.firstUs), uint32(ppm-s.failPPM)
	}
	const requests = 4000
	ends := make([][]int64, len(shops)) // of those in flight
	r := run{served: map[string]int{}}
	var chain []Candidate
	for i := range requests {
		nowUs := int64(i) * 150_000
		least, most := int32(math.MaxInt32), int32(0)
		for s := range shops {
			for len(ends[s]) > 0 && ends[s][0] <= nowUs {
				ends[s] = ends[s][1:]
			}
			n.lives[s].InFlight = int32(len(ends[s]))
			least, most = min(least, n.lives[s].InFlight), max(most, n.lives[s].InFlight)
		}
		chain, _ = table.Pick(chain[:0], chat("m"), n, "n", nowUs/1000, dice(1, int32(i)))
		s := chain[0].Target
		n.lives[s].Turn = uint64(i + 1)
		ends[s] = append(ends[s], nowUs+3*shops[s].firstUs)
		r.served[shops[s].id]++
		r.cost += float64(shops[s].price) / requests
		r.firstMs += float64(shops[s].firstUs) / 1000 / requests
		r.failed += float64(shops[s].failPPM) / ppm / requests
		r.uneven += float64(most-least) / requests
	}
	return r
}

// Every strategy, on the same trace, does what its name says.
func TestStrategiesAreWhatTheyAreCalled(t *testing.T) {
	balanced := drive(t, "adaptive", "balanced", nil)
	cost := drive(t, "adaptive", "cost", nil)
	performance := drive(t, "adaptive", "performance", nil)
	reliability := drive(t, "adaptive", "reliability", nil)
	others := []run{balanced, cost, performance, reliability, drive(t, "round_robin", "", nil), drive(t, "weighted", "", nil), drive(t, "least_connections", "", nil)}
	for _, o := range others {
		if cost.cost > o.cost {
			t.Errorf("cost pays %.0f, another %.0f", cost.cost, o.cost)
		}
		if performance.firstMs > o.firstMs {
			t.Errorf("performance waits %.0f ms, another %.0f", performance.firstMs, o.firstMs)
		}
		if reliability.failed > o.failed {
			t.Errorf("reliability fails %.4f, another %.4f", reliability.failed, o.failed)
		}
	}
	if !(balanced.cost < performance.cost && balanced.firstMs < cost.firstMs) {
		t.Errorf("balanced (%.0f, %.0f ms) is neither cheaper than performance (%.0f) nor faster than cost (%.0f ms)", balanced.cost, balanced.firstMs, performance.cost, cost.firstMs)
	}
	custom := drive(t, "adaptive", "custom", &tablev1.Weights{Latency: 2, Reliability: 2})
	if custom.firstMs != performance.firstMs || custom.cost != performance.cost {
		t.Error("custom with the exponents of performance is performance")
	}
	for id, got := range others[4].served {
		if got != 1000 {
			t.Errorf("round robin gives %s %d of 4000, want 1000", id, got)
		}
	}
	for _, s := range shops {
		if got := float64(others[5].served[s.id]) / 40; math.Abs(got-s.priority) > 2.5 {
			t.Errorf("weighted gives %s %.1f %%, want %.0f %%", s.id, got, s.priority)
		}
	}
	for _, o := range others[:6] {
		if others[6].uneven > o.uneven {
			t.Errorf("least connections is uneven by %.2f, another by %.2f", others[6].uneven, o.uneven)
		}
	}
}

func TestCallersShiftTheBalance(t *testing.T) {
	cfg := house()
	for _, p := range cfg.GetProviders() {
		p.Models = p.GetModels()[:1]
		p.Models[0].Serves = []string{"m"}
	}
	cfg.Providers[0].Models[0].Price = &tablev1.Price{Input: 5000, Output: 20000} // fast and dear
	cfg.Providers[1].Models[0].Price = &tablev1.Price{Input: 50, Output: 200}     // slow and cheap
	table := table(t, cfg)
	n := newNode(table, map[string]Live{"cerebras/gpt-oss-120b": {SuccessPPM: 950_000}, "anthropic/claude-sonnet-4-5": {SuccessPPM: 999_999}, "zai/glm-4.6": {SuccessPPM: 900_000}})
	for _, test := range []struct {
		change func(*Ask)
		want   string
	}{
		{func(a *Ask) { a.Prefer = PreferCost }, "zai/glm-4.6"},
		{func(a *Ask) { a.Traits |= TraitBackground }, "zai/glm-4.6"},
		{func(a *Ask) { a.Prefer = PreferLatency }, "cerebras/gpt-oss-120b"},
	} {
		ask := chat("m")
		test.change(ask)
		chain, _ := table.Pick(nil, ask, n, "n", now, 1)
		if got := keys(table, chain)[0]; got != test.want {
			t.Errorf("prefer %d, traits %v: first is %s, want %s", ask.Prefer, ask.Traits.Names(), got, test.want)
		}
	}
}

// Weights of the control plane are the share of what a target would get.
func TestWeightsOfHealthAreShares(t *testing.T) {
	for _, balancer := range []string{"adaptive", "round_robin", "least_connections"} {
		cfg := house(policy(func(p *tablev1.Policy) { p.LoadBalancer, p.DefaultProvider = balancer, "zai" }))
		for _, test := range []struct {
			weight uint32
			want   float64
		}{{1_000_000, 1}, {500_000, 0.5}, {100_000, 0.1}} {
			table := table(t, cfg).WithHealth(&tablev1.Health{Targets: []*tablev1.TargetHealth{{Provider: "zai", State: tablev1.State_STATE_DEGRADED, WeightPpm: test.weight}}})
			first := 0
			for i := range 4000 {
				chain, _ := table.Pick(nil, chat("claude-sonnet-4-5"), newNode(table, nil), "n", now, dice(7, int32(i)))
				if keys(table, chain)[0] == "zai/glm-4.6" {
					first++
				}
			}
			if got := float64(first) / 4000; math.Abs(got-test.want) > 0.03 {
				t.Errorf("%s: a pinned provider of weight %d is first in %.2f, want %.2f", balancer, test.weight, got, test.want)
			}
		}
	}
}

func TestLogarithmsAreCloseAndInOrder(t *testing.T) {
	last := float32(-200)
	for v := float32(1e-20); v < 1e20; v *= 1.01 {
		got := log2(v)
		if math.Abs(float64(got)-math.Log2(float64(v))) > 0.003 || got <= last {
			t.Fatalf("log2(%g) = %g, the one before %g", v, got, last)
		}
		last = got
	}
}

func TestAPickAllocatesNothing(t *testing.T) {
	table := table(t, wide("adaptive"))
	view := make(quiet, table.Len())
	ask, chain := chat("claude-4-x"), make([]Candidate, 0, 64)
	if got := testing.AllocsPerRun(100, func() { chain, _ = table.Pick(chain[:0], ask, &view, "n", now, 1) }); got != 0 || len(chain) != 50 {
		t.Errorf("%v allocations for %d candidates, want none for 50", got, len(chain))
	}
}

// A target that nobody has measured is guessed to be slow, and still gets a request now and then until it has been measured.
func TestTheUntriedAreTried(t *testing.T) {
	cfg := &tablev1.Config{Policy: &tablev1.Policy{}}
	for _, id := range []string{"known", "new"} {
		cfg.Providers = append(cfg.Providers, &tablev1.Provider{
			Id: id, Kind: "k", Protocol: "anthropic", Enabled: true, Models: []*tablev1.Model{{Id: "m", Has: uint64(Streaming)}},
		})
	}
	plain := table(t, cfg)
	measured := plain.WithHealth(&tablev1.Health{Header: &tablev1.Header{}, Targets: []*tablev1.TargetHealth{{Provider: "new", Model: "m", FirstTokenMs: 900}}})
	for _, row := range []struct {
		name        string
		table       *Table
		live        Live
		least, most int
	}{
		{"nobody knows it", plain, Live{}, 50, 250},
		{"its first request is under way", plain, Live{InFlight: 1}, 0, 0},
		{"this node has tried it", plain, Live{SuccessPPM: 1}, 0, 0},
		{"the cluster knows it", measured, Live{}, 0, 0},
	} {
		n := newNode(row.table, map[string]Live{"known/m": {FirstTokenUs: 2000, SuccessPPM: ppm}, "new/m": row.live})
		first := 0
		for i := range int32(1000) {
			if chain, _ := row.table.Pick(nil, chat("m"), n, "n", now, dice(7, i)); row.table.Target(int(chain[0].Target)).ProviderID == "new" {
				first++
			}
		}
		if first < row.least || first > row.most {
			t.Errorf("%s: %d of 1000 requests", row.name, first)
		}
	}
}
