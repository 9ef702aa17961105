package limit_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aimux/aimux/dataplane/internal/limit"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
)

// TestScopes wants each scope to hold by itself, and what one refuses not to be taken from the others.
func TestScopes(t *testing.T) {
	two := &tablev1.Limits{MaxConcurrentRequests: 2}
	for name, row := range map[string]struct {
		limits           func(*tablev1.Config)
		k1m, k2m, k1n    int // entered in this order, of 10 each
		refused, message string
	}{
		"nothing":  {func(*tablev1.Config) {}, 10, 10, 10, "", ""},
		"provider": {func(c *tablev1.Config) { c.Providers[0].Limits = two }, 2, 0, 0, "k1m", "in flight of provider/p is"},
		"key":      {func(c *tablev1.Config) { c.Providers[0].LimitsPerKey = two }, 2, 2, 0, "k1n", "in flight of provider/p/key/k1 is"},
		"model":    {func(c *tablev1.Config) { c.Providers[0].Models[0].Limits = two }, 2, 0, 10, "k1m", "in flight of provider/p/model/m is"},
		"all three": {func(c *tablev1.Config) {
			p := c.GetProviders()[0]
			p.Limits, p.LimitsPerKey, p.Models[0].Limits = &tablev1.Limits{MaxConcurrentRequests: 7}, two, &tablev1.Limits{MaxConcurrentRequests: 3}
		}, 2, 1, 0, "k1m", "in flight of provider/p"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := start(t, "a", limit.NewMemory(time.Now), tableWith(t, 1, 1, nil, row.limits))
				defer n.stop()
				enter := func(model int, key string) (entered int, last *fault.Fault) {
					for range 10 {
						if _, f := n.Enter(n.table.Target(model), key, &route.Ask{}); f != nil {
							last = f
						} else {
							entered++
						}
					}
					return entered, last
				}
				k1m, f := enter(0, "k1")
				k2m, _ := enter(0, "k2")
				k1n, fn := enter(1, "k1")
				if k1m != row.k1m || k2m != row.k2m || k1n != row.k1n {
					t.Errorf("%d, %d, %d entered, want %d, %d, %d", k1m, k2m, k1n, row.k1m, row.k2m, row.k1n)
				}
				if row.refused == "k1n" {
					f = fn
				}
				if row.message != "" && !strings.Contains(f.Message, row.message) {
					t.Errorf("refused with %q, want %q", f.Message, row.message)
				}
				n.Signs(func(s limit.Sign) {
					if s.InUse > s.Limit {
						t.Errorf("%s: %d in use, of %d", s.Scope, s.InUse, s.Limit)
					}
				})
			})
		})
	}
}

// TestStrictestAnswers has a request meet several limits that are used up: it is told of the one that lasts longest.
func TestStrictestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", limit.NewMemory(time.Now), tableWith(t, 1, 1, &tablev1.Limits{MaxConcurrentRequests: 1, RequestsPerMinute: 1}, func(c *tablev1.Config) {
			c.Providers[0].LimitsPerKey = &tablev1.Limits{NanodollarsPerDay: 1}
		}))
		defer n.stop()
		if got := len(n.enter(5, 10)); got != 1 {
			t.Fatalf("%d entered", got)
		}
		later(time.Second)
		_, f := n.Enter(n.table.Target(0), "k1", &route.Ask{})
		now := time.Now().UTC()
		midnight := time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, time.UTC)
		if f == nil || !strings.Contains(f.Message, "dollars per day of provider/p/key/k1") || f.RetryAfter.Round(time.Second) != midnight.Sub(now).Round(time.Second) ||
			f.Kind != fault.QuotaExhausted || !strings.HasSuffix(f.Message, "until "+midnight.Format(time.RFC3339)) {
			t.Errorf("%+v", f)
		}
	})
}

// TestBudgetThatIsNotFetchedYet: who asks for money of which there is some, but not here at this moment, is not told that all is spent.
func TestBudgetThatIsNotFetchedYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := make(chan struct{})
		ledger := func(ctx context.Context, _ []limit.Budget, _ []limit.Spent) error {
			select {
			case <-silent:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		n := startWith(t, "a", limit.Deps{Source: limit.NewMemory(time.Now), Ledger: ledger}, tableWith(t, 1, 1, &tablev1.Limits{NanodollarsPerDay: 12_000_000}))
		defer n.stop()
		var f *fault.Fault
		for range 64 {
			if _, f = n.Enter(n.table.Target(0), "k1", &route.Ask{PromptTokens: 10, MaxTokens: 50, ExpectTokens: 50}); f != nil {
				break
			}
		}
		if f == nil || f.Kind != fault.RateLimited || f.RetryAfter != time.Second || strings.Contains(f.Message, "until") {
			t.Fatalf("%+v", f)
		}
		close(silent)
		later(10 * time.Second)
		if _, f := n.Enter(n.table.Target(0), "k1", &route.Ask{PromptTokens: 10, MaxTokens: 50, ExpectTokens: 50}); f != nil {
			t.Errorf("%+v", f)
		}
	})
}

// TestInputAndOutputTokens are counted apart; what providers read from their caches is no input.
func TestInputAndOutputTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", limit.NewMemory(time.Now), tableWith(t, 1, 1, &tablev1.Limits{InputTokensPerMinute: 60_000, OutputTokensPerMinute: 6_000}))
		defer n.stop()
		served := 0
		for range 100 {
			p, f := n.Enter(n.table.Target(0), "k1", &route.Ask{PromptTokens: 1_000, MaxTokens: 100})
			if f == nil {
				served++
				p.Settle(outcome.Usage{Input: 100, CacheRead: 900, Output: 100, Reported: true}, 0)
			}
			later(100 * time.Millisecond)
		}
		if served < 60 || served > 65 {
			t.Errorf("%d answers of 100 tokens, of 6,000", served)
		}
	})
}

// TestBudget spends from three nodes, without the store for a while and after it has lost its memory: it is never spent twice, and comes
// back with the next day.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A request costs 10 × 1,000 + 1 × 2,000 billionths.
		const cost, day = 12_000, 12_000_000
		time.Sleep(23 * time.Hour) // the next day is near
		shared := &source{Source: limit.NewMemory(time.Now)}
		table := tableWith(t, 1, 3, &tablev1.Limits{NanodollarsPerDay: day})
		var nodes []*node
		for _, name := range []string{"a", "b", "c"} {
			nodes = append(nodes, start(t, name, shared, table))
		}
		spend := func(steps int) (served int) {
			for range steps {
				for _, n := range nodes {
					for range 3 {
						if p, f := n.Enter(table.Target(0), "k1", &route.Ask{PromptTokens: 10, MaxTokens: 50, ExpectTokens: 50}); f == nil {
							served++
							p.Settle(outcome.Usage{Input: 10, Output: 1, Reported: true}, cost)
						}
					}
				}
				later(100 * time.Millisecond)
			}
			return served
		}
		served := spend(20)
		shared.failing.Store(true)
		served += spend(30)
		shared.fresh.Store(limit.NewMemory(time.Now))
		shared.failing.Store(false)
		later(15 * time.Second)
		served += spend(300)
		if total := served * cost; total > day*105/100 || total < day*90/100 {
			t.Errorf("%d was spent, of %d", total, day)
		}
		_, f := nodes[0].Enter(table.Target(0), "k1", &route.Ask{})
		if f == nil || f.RetryAfter < 55*time.Minute {
			t.Errorf("the budget is spent: %+v", f)
		}
		for len(nodes) > 1 {
			nodes[1].stop()
			nodes = append(nodes[:1], nodes[2:]...)
		}
		later(time.Hour)
		if got := spend(1); got == 0 {
			t.Error("nothing on the next day")
		}
		nodes[0].stop()
	})
}

// TestFewUnitsForManyNodes has three nodes use up a limit that is hardly enough for a request each now and then.
func TestFewUnitsForManyNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, table := limit.NewMemory(time.Now), tableOf(t, 1, 0, 10, 0, 3)
		nodes := []*node{start(t, "a", shared, table), start(t, "b", shared, table), start(t, "c", shared, table)}
		served := 0
		for i := range 30 {
			served += len(nodes[i%3].enter(1, 1))
			later(50 * time.Millisecond)
		}
		if served < 8 || served > 10+3 {
			t.Errorf("%d were let in, of 10 in a minute", served)
		}
		for _, n := range nodes {
			n.stop()
		}
	})
}

// TestSpentStaysSpent begins a budget anew again and again, the node and the store with it: what the ledger knows is not spent twice, with a store
// or without one.
func TestSpentStaysSpent(t *testing.T) {
	const cost, day = 12_000, 12_000_000
	table := tableWith(t, 1, 1, &tablev1.Limits{NanodollarsPerDay: day})
	for name, open := range map[string]func() limit.Source{
		"with a store": func() limit.Source { return limit.NewMemory(time.Now) }, "without one": func() limit.Source { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var all, written atomic.Int64
				today := time.Now().UTC().Format("2006-01-02")
				ledger := func(_ context.Context, budgets []limit.Budget, spent []limit.Spent) error {
					for i, b := range budgets {
						if b.Scope == "provider/p" && b.Period == today {
							spent[i] = limit.Spent{Here: written.Load(), All: written.Load()}
						}
					}
					return nil
				}
				for range 20 {
					n := startWith(t, "a", limit.Deps{Source: open(), Ledger: ledger}, table)
					for range 100 {
						if p, f := n.Enter(table.Target(0), "k1", &route.Ask{PromptTokens: 10, MaxTokens: 50, ExpectTokens: 50}); f == nil {
							p.Settle(outcome.Usage{Input: 10, Output: 1, Reported: true}, cost)
							all.Add(cost)
						}
						later(100 * time.Millisecond)
					}
					n.stop()
					written.Store(all.Load())
				}
				if total := all.Load(); total > day*105/100 || total < day*90/100 {
					t.Errorf("%d was spent, of %d", total, day)
				}
			})
		})
	}
}

// TestRegionsSpendOneBudget moves the regions' parts of a budget to and fro while both spend all that they can.
func TestRegionsSpendOneBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cost, day = 12_000, 12_000_000
		table := tableWith(t, 1, 1, &tablev1.Limits{NanodollarsPerDay: day})
		part := func(seq uint64, ppm uint32) *route.Table {
			return table.WithHealth(&tablev1.Health{
				Header: &tablev1.Header{ConfigRevision: 1, HealthSeq: seq}, NodesLive: 1,
				Targets: []*tablev1.TargetHealth{{Provider: "p", State: tablev1.State_STATE_HEALTHY, CapacitySharePpm: ppm}},
			})
		}
		var spent [2]atomic.Int64
		var nodes [2]*node
		for i := range nodes {
			ledger := func(_ context.Context, budgets []limit.Budget, known []limit.Spent) error {
				for at, b := range budgets {
					if b.Scope == "provider/p" {
						known[at] = limit.Spent{Here: spent[i].Load(), All: spent[0].Load() + spent[1].Load()}
					}
				}
				return nil
			}
			nodes[i] = startWith(t, "a", limit.Deps{Source: limit.NewMemory(time.Now), Ledger: ledger}, part(1, 500_000))
		}
		for round := range uint64(20) {
			for i, n := range nodes {
				// Who has little to spend has most of what is left.
				n.Apply(part(round+2, []uint32{900_000, 100_000}[(int(round)+i)%2]), 1)
			}
			for range 50 {
				for i, n := range nodes {
					if p, f := n.Enter(table.Target(0), "k1", &route.Ask{PromptTokens: 10, MaxTokens: 50, ExpectTokens: 50}); f == nil {
						p.Settle(outcome.Usage{Input: 10, Output: 1, Reported: true}, cost)
						spent[i].Add(cost)
					}
				}
				later(200 * time.Millisecond)
			}
		}
		if all := spent[0].Load() + spent[1].Load(); all > day*105/100 || all < day*90/100 {
			t.Errorf("%d and %d were spent, of %d", spent[0].Load(), spent[1].Load(), day)
		}
		for _, n := range nodes {
			n.stop()
		}
	})
}

// TestUnitsOutliveTheStore empties the store again and again within a minute whose units are drawn: nobody draws them twice, and all are back later.
func TestUnitsOutliveTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, nodes = 1200, 3
		shared, table := &source{Source: limit.NewMemory(time.Now)}, tableOf(t, 1, 0, most, 0, nodes)
		var all []*node
		for _, name := range []string{"a", "b", "c"} {
			all = append(all, start(t, name, shared, table))
		}
		draw := func(steps int) (served int) {
			for range steps {
				for _, n := range all {
					served += len(n.enter(10, 1))
				}
				later(100 * time.Millisecond)
			}
			return served
		}
		served := draw(100)
		for range 3 {
			later(2 * time.Second)
			shared.fresh.Store(limit.NewMemory(time.Now))
			served += draw(60)
		}
		// Each time, every node has drawn a block before it hears that the store has forgotten.
		if upTo := most + 3*nodes*(most/nodes/12+1); served < most || served > upTo {
			t.Errorf("%d were let in, of %d in a minute; at most %d are to be", served, most, upTo)
		}
		later(65 * time.Second)
		if got := draw(100); got < most*95/100 || got > most+nodes*(most/nodes/12+1) {
			t.Errorf("%d were let in a minute later, of %d", got, most)
		}
		for _, n := range all {
			n.stop()
		}
	})
}
