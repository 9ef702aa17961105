package limit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/dataplane/internal/limit"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/secret"
)

// tableOf is a table of one provider, p, with these limits, in a cluster of so many nodes.
func tableOf(t testing.TB, revision uint64, inFlight, requests uint32, tokens uint64, nodes uint32) *route.Table {
	t.Helper()
	return tableWith(t, revision, nodes, &tablev1.Limits{MaxConcurrentRequests: inFlight, RequestsPerMinute: requests, TokensPerMinute: tokens})
}

// tableWith is a table of one provider, p, with these limits and two keys, in a cluster of so many nodes. more changes it.
func tableWith(t testing.TB, revision uint64, nodes uint32, limits *tablev1.Limits, more ...func(*tablev1.Config)) *route.Table {
	t.Helper()
	config := &tablev1.Config{
		Header: &tablev1.Header{ConfigRevision: revision},
		Policy: &tablev1.Policy{Priority: "balanced", LoadBalancer: "adaptive", UnknownModel: "any", MaxAttempts: 3},
		Providers: []*tablev1.Provider{{
			Id: "p", Kind: "synthetic", Name: "p", Protocol: "openai", Enabled: true, Limits: limits,
			Credentials: []*tablev1.Credential{{Fingerprint: "k1"}, {Fingerprint: "k2"}},
			Models: []*tablev1.Model{
				{Id: "m", Has: uint64(route.AllCapabilities), Price: &tablev1.Price{Input: 1000, Output: 2000}},
				{Id: "n", Has: uint64(route.AllCapabilities)},
			},
		}},
	}
	for _, change := range more {
		change(config)
	}
	table, err := route.FromWire(config, func(*tablev1.Provider, *tablev1.Credential) (secret.Secret, error) { return secret.Secret{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	return table.WithHealth(&tablev1.Health{Header: proto.CloneOf(&tablev1.Header{ConfigRevision: revision, HealthSeq: 1}), NodesLive: nodes})
}

// source can be told to fail or to hang.
type source struct {
	limit.Source
	failing, hanging atomic.Bool
	fresh            atomic.Pointer[limit.Memory] // instead of Source: it has lost its memory
	asked, widest    atomic.Int64                 // in all, and at once
}

func (s *source) Renew(ctx context.Context, node string, asks []limit.Ask, grants []limit.Grant) error {
	s.asked.Add(int64(len(asks)))
	s.widest.Store(max(s.widest.Load(), int64(len(asks))))
	if s.hanging.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.failing.Load() {
		return errors.New("gone")
	}
	if fresh := s.fresh.Load(); fresh != nil {
		return fresh.Renew(ctx, node, asks, grants)
	}
	return s.Source.Renew(ctx, node, asks, grants)
}

// node is one node of a test: its limiter, running until stop.
type node struct {
	*limit.Limiter
	table *route.Table
	stop  func()
}

func start(t *testing.T, name string, source limit.Source, table *route.Table) *node {
	t.Helper()
	return startWith(t, name, limit.Deps{Source: source}, table)
}

// startWith returns when the node has asked the source for the first time.
func startWith(t *testing.T, name string, deps limit.Deps, table *route.Table) *node {
	t.Helper()
	n := run(t, name, deps, table)
	synctest.Wait()
	return n
}

// run is for nodes outside of a bubble.
func run(t *testing.T, name string, deps limit.Deps, table *route.Table) *node {
	t.Helper()
	return startAs(t, limit.Config{Node: name}, deps, table)
}

func startAs(t *testing.T, config limit.Config, deps limit.Deps, table *route.Table) *node {
	t.Helper()
	l := limit.New(config, deps)
	l.Apply(table, table.NodesLive())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	return &node{Limiter: l, table: table, stop: func() { cancel(); <-done }}
}

// enter takes as many permits as it can get, up to n, each for so many tokens.
func (n *node) enter(upTo, tokens int) (permits []*limit.Permit) {
	ask := &route.Ask{PromptTokens: tokens - 1, MaxTokens: 1, ExpectTokens: 1}
	for range upTo {
		p, f := n.Enter(n.table.Target(0), "k1", ask)
		if f != nil {
			return permits
		}
		permits = append(permits, p)
	}
	return permits
}

// insist takes what there is for 50 ms: refusals are what a node's demand is known by.
func (n *node) insist() (taken int) {
	for range 5 {
		taken += len(n.enter(100, 1))
		later(10 * time.Millisecond)
	}
	return taken
}

func settle(permits []*limit.Permit, tokens uint64) {
	for _, p := range permits {
		p.Settle(outcome.Usage{Input: tokens, Reported: true}, 0)
	}
}

func later(d time.Duration) { time.Sleep(d); synctest.Wait() }

func TestOneNodeHasAllSlotsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", limit.NewMemory(time.Now), tableOf(t, 1, 50, 0, 0, 1))
		defer n.stop()
		permits := n.enter(60, 10)
		if len(permits) != 50 {
			t.Fatalf("%d in flight, of 50", len(permits))
		}
		_, f := n.Enter(n.table.Target(0), "k1", &route.Ask{})
		if f.Kind != fault.Overloaded || f.RetryAfter <= 0 || f.Message != "the gateway's limit on requests in flight of provider/p is used up" {
			t.Errorf("%+v", f)
		}
		settle(permits[:20], 0)
		if again := n.enter(60, 10); len(again) != 20 {
			t.Errorf("%d more, of the 20 that were given back", len(again))
		}
	})
}

func TestSlotsGoWhereTheyAreNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, table := limit.NewMemory(time.Now), tableOf(t, 1, 30, 0, 0, 3)
		a, b, c := start(t, "a", shared, table), start(t, "b", shared, table), start(t, "c", shared, table)
		later(11 * time.Second)
		if got := len(a.enter(100, 1)); got != 10 {
			t.Errorf("at once a node has its fair share: %d of 10", got)
		}
		// a goes on wanting, the others do not: their slots come.
		total := 10
		for range 100 {
			later(100 * time.Millisecond)
			total += len(a.enter(100, 1))
		}
		if total < 26 || total > 28 {
			t.Errorf("a has %d of 30, of which the idle keep one each", total)
		}
		if got := len(b.enter(100, 1)) + len(c.enter(100, 1)); got+total > 30 {
			t.Errorf("%d in flight, of 30", got+total)
		}
		a.stop()
		b.stop()
		c.stop()
	})
}

func TestADeadNodesSlotsReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, table := limit.NewMemory(time.Now), tableOf(t, 1, 10, 0, 0, 2)
		dead := &source{Source: shared}
		a, b := start(t, "a", dead, table), start(t, "b", shared, table)
		defer b.stop()
		later(11 * time.Second)
		dead.failing.Store(true) // its last words do not arrive
		a.stop()
		taken := b.enter(10, 1)
		if len(taken) != 5 {
			t.Errorf("%d of 5 before the lease of the dead has run out", len(taken))
		}
		later(11 * time.Second)
		if got := len(taken) + b.insist(); got != 10 {
			t.Errorf("%d of 10 after the lease of the dead has run out", got)
		}
	})
}

func TestALeavingNodesSlotsReturnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, table := limit.NewMemory(time.Now), tableOf(t, 1, 10, 0, 0, 2)
		a, b := start(t, "a", shared, table), start(t, "b", shared, table)
		defer b.stop()
		later(11 * time.Second)
		a.stop()
		if got := b.insist(); got != 10 {
			t.Errorf("%d of 10", got)
		}
	})
}

func TestWithoutTheSource(t *testing.T) {
	for _, test := range []struct {
		mode    route.LimitMode
		slots   int
		grounds string
	}{{route.Bounded, 5, "share"}, {route.Strict, 0, ""}, {route.Open, 20, "open"}} {
		for _, hanging := range []bool{false, true} {
			t.Run(fmt.Sprint("mode ", test.mode, ", hanging ", hanging), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &source{Source: limit.NewMemory(time.Now)}
					nodes := uint32(4)
					if test.mode == route.Strict {
						nodes = 1 // or nobody would be given anything before all had asked
					}
					n := start(t, "a", s, tableWith(t, 1, nodes, &tablev1.Limits{MaxConcurrentRequests: 20, Mode: test.mode.String()}))
					defer n.stop()
					before := n.enter(20, 1)
					later(time.Second)
					more := append(before, n.enter(20, 1)...)
					s.failing.Store(!hanging)
					s.hanging.Store(hanging)
					later(5 * time.Second)
					settle(more, 0)
					if got := n.enter(20, 1); len(got) != len(more) {
						t.Errorf("%d with the lease still running, of %d", len(got), len(more))
					} else if word := got[0].Grounds(); word != "lease" {
						t.Errorf("let in by %q with the lease still running", word)
					} else {
						settle(got, 0)
					}
					later(6 * time.Second)
					if got := n.enter(30, 1); len(got) != test.slots {
						t.Errorf("%d without a lease, want %d", len(got), test.slots)
					} else {
						for _, p := range got {
							if word := p.Grounds(); word != test.grounds {
								t.Errorf("let in by %q without a lease, want %q", word, test.grounds)
							}
						}
						settle(got, 0)
					}
					s.failing.Store(false)
					s.hanging.Store(false)
					later(4 * time.Second)
					got := n.enter(30, 1)
					later(time.Second)
					if got = append(got, n.enter(30, 1)...); len(got) < 5 {
						t.Errorf("%d after the source is back", len(got))
					}
				})
			})
		}
	}
}

// TestTokensStayWithinTheLimit lets three nodes use what they get for five minutes and looks at every minute.
func TestTokensStayWithinTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perMinute, nodes, size = 60_000, 3, 500
		shared, table := limit.NewMemory(time.Now), tableOf(t, 1, 0, 0, perMinute, nodes)
		var all []*node
		for i := range nodes {
			all = append(all, start(t, fmt.Sprint(i), shared, table))
		}
		var seconds []int
		for range 300 {
			used := 0
			for range 4 {
				for _, n := range all {
					permits := n.enter(20, size)
					used += len(permits) * size
					settle(permits, size)
				}
				later(250 * time.Millisecond)
			}
			seconds = append(seconds, used)
		}
		block := perMinute / nodes / 12
		minute := 0
		for i, used := range seconds {
			minute += used
			if i >= 60 {
				minute -= seconds[i-60]
			}
			if minute > perMinute+nodes*(block+size) {
				t.Fatalf("%d tokens in the minute before second %d", minute, i)
			}
			if i >= 120 && i%60 == 0 && minute < perMinute*9/10 {
				t.Errorf("only %d tokens in the minute before second %d, though many more were wanted", minute, i)
			}
		}
		for _, n := range all {
			n.stop()
		}
	})
}

func TestUnusedTokensComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", limit.NewMemory(time.Now), tableOf(t, 1, 0, 0, 60_000, 1))
		defer n.stop()
		admitted := 0
		for range 200 { // each reserves 6,000 and uses 100
			permits := n.enter(1, 6_000)
			admitted += len(permits)
			settle(permits, 100)
			later(10 * time.Millisecond)
		}
		if admitted != 200 {
			t.Errorf("%d of 200 requests that use 20,000 tokens of 60,000", admitted)
		}
		later(time.Second)
		if got := len(n.enter(100, 6_000)); got < 1 {
			t.Error("nothing is left of the 40,000")
		}
	})
}

func TestRequestsPerMinuteAndRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", limit.NewMemory(time.Now), tableOf(t, 1, 0, 120, 0, 1))
		defer n.stop()
		admitted := 0
		for range 200 {
			admitted += len(n.enter(5, 1))
			later(50 * time.Millisecond)
		}
		if admitted < 120 || admitted > 120+10 {
			t.Errorf("%d requests, of 120 a minute and a block of 10", admitted)
		}
		_, f := n.Enter(n.table.Target(0), "k1", &route.Ask{})
		if f == nil || f.RetryAfter < 45*time.Second || f.RetryAfter > 61*time.Second {
			t.Errorf("%+v", f)
		}
	})
}

// TestAMinuteWithASilentSource has the source be silent for a while, at some nodes or at all, early or when the limit is used up: what nodes
// let in meanwhile is no more than what was left, and is made up for when they hear from it, which some do before others.
func TestAMinuteWithASilentSource(t *testing.T) {
	const perMinute, nodes = 30, 3
	for _, row := range []struct {
		name        string
		from, to    time.Duration
		silentTo    int // so many of the nodes
		known       uint32
		most, least int
	}{
		{"never", 0, 0, 0, nodes, perMinute, perMinute},
		{"when the nodes start", 0, time.Second, nodes, 0, perMinute, perMinute},
		{"to one that starts", 0, time.Second, 1, 0, perMinute, perMinute},
		{"when half is used", 700 * time.Millisecond, 2 * time.Second, nodes, nodes, perMinute + 9, perMinute - nodes},
		{"when all is used", 3 * time.Second, 20 * time.Second, nodes, nodes, perMinute, perMinute},
		{"to one when all is used", 3 * time.Second, 20 * time.Second, 1, nodes, perMinute, perMinute},
		{"to all for good", 0, time.Hour, nodes, nodes, perMinute, perMinute},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared, table := limit.NewMemory(time.Now), tableOf(t, 1, 0, perMinute, 0, row.known)
				var all []*node
				var sources []*source
				silence := func(silent bool) {
					for _, s := range sources[:row.silentTo] {
						s.failing.Store(silent)
					}
				}
				for i := range nodes {
					s := &source{Source: shared}
					s.failing.Store(row.from == 0 && i < row.silentTo)
					sources = append(sources, s)
					all = append(all, start(t, fmt.Sprint(i), s, table))
				}
				later(50 * time.Millisecond)
				for _, n := range all {
					n.Apply(tableOf(t, 2, 0, perMinute, 0, nodes), nodes)
				}
				let := 0
				for at := time.Duration(0); at < 50*time.Second; at += 100 * time.Millisecond {
					if at == row.from || at == row.to {
						silence(at != row.to)
					}
					if row.from == 0 && at < row.to+3*time.Second && row.to < time.Minute {
						later(100 * time.Millisecond)
						continue // requests come when all nodes have heard from the source again
					}
					for _, n := range all {
						let += len(n.enter(1, 1))
					}
					later(100 * time.Millisecond)
				}
				if let > row.most || let < row.least {
					t.Errorf("%d were let in, want %d to %d", let, row.least, row.most)
				}
				for _, n := range all {
					n.stop()
				}
			})
		})
	}
}

func TestTablesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", limit.NewMemory(time.Now), tableOf(t, 1, 10, 0, 0, 1))
		defer n.stop()
		permits := n.enter(10, 1)
		n.Apply(tableOf(t, 2, 5, 0, 0, 1), 1)
		later(time.Second)
		settle(permits[:4], 0)
		if got := len(n.enter(1, 1)); got != 0 {
			t.Error("6 are in flight, of 5 now, and another was let in")
		}
		settle(permits[4:], 0)
		if got := len(n.enter(10, 1)); got != 5 {
			t.Errorf("%d of 5", got)
		}
		n.Apply(tableOf(t, 3, 0, 0, 0, 1), 1)
		if got := len(n.enter(100, 1)); got != 100 {
			t.Errorf("%d of 100 without a limit", got)
		}
	})
}

// TestTablesChangeUnderRequests is for the race detector.
func TestTablesChangeUnderRequests(t *testing.T) {
	all := &tablev1.Limits{MaxConcurrentRequests: 16, RequestsPerMinute: 1 << 20, TokensPerMinute: 1 << 30}
	n := run(t, "a", limit.Deps{Source: limit.NewMemory(time.Now)}, tableWith(t, 1, 1, all))
	defer n.stop()
	var asking sync.WaitGroup
	for range 2 {
		asking.Go(func() {
			for range 2000 {
				settle(n.enter(8, 1), 1)
			}
		})
	}
	for revision := range uint64(200) {
		other := proto.CloneOf(all)
		other.MaxConcurrentRequests, other.TokensPerMinute = 15+uint32(revision%3), 1<<20+revision%3
		n.Apply(tableWith(t, revision+2, 1, other), int(revision%3))
	}
	asking.Wait()
}

// TestTheSourceIsAskedSeldom counts what a steady load costs: one ask is one command.
func TestTheSourceIsAskedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{Source: limit.NewMemory(time.Now)}
		n := start(t, "a", s, tableOf(t, 1, 100, 24_000, 24_000_000, 1))
		defer n.stop()
		later(time.Second)
		s.asked.Store(0)
		const requests = 12_000 // 200 in a second
		for range requests {
			permits := n.enter(1, 1_000)
			if len(permits) == 0 {
				t.Fatal("refused within the limits")
			}
			later(5 * time.Millisecond)
			settle(permits, 900)
		}
		if per1000 := float64(s.asked.Load()) * 1000 / requests; per1000 >= 20 {
			t.Errorf("%.1f commands for 1,000 requests", per1000)
		} else {
			t.Logf("%.1f commands for 1,000 requests", per1000)
		}
	})
}
