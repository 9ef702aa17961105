package bustest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"google.golang.org/protobuf/proto"
)

// patience is how long an answer may take before the exam fails; nothing waits that long when all is well.
const patience = 10 * time.Second

// Run examines a bus. join connects one party of that name, in Cluster and Region, to the same server each time within
// one subtest; it closes it when the subtest ends.
func Run(t *testing.T, join func(t *testing.T) func(name string) *bus.Bus) {
	t.Helper()
	for _, exam := range []struct {
		name string
		run  func(*testing.T, func(string) *bus.Bus)
	}{
		{"every control plane hears every outcome", outcomesReachAll},
		{"heartbeats name their node", heartbeatsReachAll},
		{"tables reach every node in order", tablesReachAll},
		{"suspects reach the peers and not the speaker", suspectsReachPeers},
		{"leaders hear each other and not themselves", leadersHearEachOther},
		{"a saved catalog reaches every replica whole", catalogReachesAll},
		{"a node fetches the config from any control plane", fetchConfig},
		{"a node asks any control plane what was spent", fetchSpent},
		{"fetching says so when nobody is there", fetchFromNobody},
		{"a node is asked by name, or any is", explain},
		{"a stopped watch hears nothing more", stoppedWatch},
		{"what is too large is refused and counted", tooLarge},
		{"a closed bus says so", closedBus},
	} {
		t.Run(exam.name, func(t *testing.T) { exam.run(t, join(t)) })
	}
}

// must makes a watch that lives as long as the bus.
func must(t *testing.T) func(stop func(), err error) {
	return func(_ func(), err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// next receives, or fails the test.
func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func header(leader string, seq uint64) *tablev1.Header {
	return &tablev1.Header{Cluster: Cluster, Epoch: 1, Leader: leader, HealthSeq: seq}
}

func outcomesReachAll(t *testing.T, join func(string) *bus.Bus) {
	node, one, two := join("node-1"), join("cp-1"), join("cp-2")
	heard := make(chan *outcomev1.Batch, 2)
	for _, cp := range []*bus.Bus{one, two} {
		must(t)(cp.WatchOutcomes(func(m *outcomev1.Batch) { heard <- m }))
	}
	Settle(t, one, two)
	sent := &outcomev1.Batch{Boot: 7, Seq: 3, Urgent: true, Targets: []*outcomev1.Counters{{Started: 5}}}
	if err := node.SendOutcomes(sent); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got := next(t, heard)
		if !proto.Equal(got, sent) || got.GetNode() != "node-1" || got.GetCluster() != Cluster || got.GetRegion() != Region {
			t.Errorf("heard %v, want what node-1 sent: %v", got, sent)
		}
	}
}

func heartbeatsReachAll(t *testing.T, join func(string) *bus.Bus) {
	node, cp := join("node-1"), join("cp-1")
	heard := make(chan *tablev1.Heartbeat, 1)
	must(t)(cp.WatchHeartbeats(func(m *tablev1.Heartbeat) { heard <- m }))
	Settle(t, cp)
	if err := node.SendHeartbeat(&tablev1.Heartbeat{Node: "somebody-else", Boot: 7}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, heard); got.GetNode() != "node-1" || got.GetBoot() != 7 {
		t.Errorf("heard %v, want the heartbeat of node-1", got)
	}
}

func tablesReachAll(t *testing.T, join func(string) *bus.Bus) {
	const (
		count  = 20
		parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	)
	cp := join("cp-1")
	type heard struct {
		health chan *tablev1.Health
		config chan *tablev1.Config
		traces chan string
	}
	var nodes []heard
	for i := range 3 {
		h := heard{make(chan *tablev1.Health, count), make(chan *tablev1.Config, 1), make(chan string, 1)}
		node := join(fmt.Sprintf("node-%d", i))
		must(t)(node.WatchHealth(func(m *tablev1.Health, _ string) { h.health <- m }))
		must(t)(node.WatchConfig(func(m *tablev1.Config, traceparent string) { h.config <- m; h.traces <- traceparent }))
		Settle(t, node)
		nodes = append(nodes, h)
	}
	config := &tablev1.Config{Header: header("cp-1", 0), Providers: []*tablev1.Provider{{Id: "zai"}}}
	if err := cp.PublishConfig(config, parent); err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(count) {
		if err := cp.PublishHealth(&tablev1.Health{Header: header("cp-1", seq)}, ""); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range nodes {
		if got := next(t, n.config); !proto.Equal(got, config) {
			t.Errorf("node %d got config %v, want %v", i, got, config)
		}
		if got := next(t, n.traces); got != parent {
			t.Errorf("node %d got it within %q, want %q", i, got, parent)
		}
		for seq := range uint64(count) {
			if got := next(t, n.health).GetHeader().GetHealthSeq(); got != seq {
				t.Fatalf("node %d got health %d, want %d", i, got, seq)
			}
		}
	}
}

func suspectsReachPeers(t *testing.T, join func(string) *bus.Bus) {
	one, two := join("node-1"), join("node-2")
	heard := make(chan string, 4)
	must(t)(one.WatchSuspects(func(m *tablev1.Suspect) { heard <- "node-1 hears " + m.GetNode() }))
	must(t)(two.WatchSuspects(func(m *tablev1.Suspect) { heard <- "node-2 hears " + m.GetNode() }))
	Settle(t, one, two)
	if err := one.SendSuspect(&tablev1.Suspect{Provider: "zai"}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, heard); got != "node-2 hears node-1" {
		t.Error(got)
	}
	if err := two.SendSuspect(&tablev1.Suspect{Provider: "zai"}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, heard); got != "node-1 hears node-2" {
		t.Error(got)
	}
}

func leadersHearEachOther(t *testing.T, join func(string) *bus.Bus) {
	one, two := join("cp-1"), join("cp-2")
	heard := make(chan string, 4)
	must(t)(one.WatchLead(func(m *tablev1.Header) { heard <- "cp-1 hears " + m.GetLeader() }))
	must(t)(two.WatchLead(func(m *tablev1.Header) { heard <- "cp-2 hears " + m.GetLeader() }))
	Settle(t, one, two)
	if err := one.PublishLead(header("cp-1", 0)); err != nil {
		t.Fatal(err)
	}
	if got := next(t, heard); got != "cp-2 hears cp-1" {
		t.Error(got)
	}
	if err := two.PublishLead(header("cp-2", 0)); err != nil {
		t.Fatal(err)
	}
	if got := next(t, heard); got != "cp-1 hears cp-2" {
		t.Error(got)
	}
}

func catalogReachesAll(t *testing.T, join func(string) *bus.Bus) {
	one, two := join("cp-1"), join("cp-2")
	heard := make(chan string, 2)
	for _, cp := range []*bus.Bus{one, two} {
		must(t)(cp.WatchCatalog(func(revision uint64, body []byte) { heard <- fmt.Sprintf("%d %s", revision, body) }))
	}
	Settle(t, one, two)
	if err := one.PublishCatalog(42, []byte("the catalog")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := next(t, heard); got != "42 the catalog" {
			t.Errorf("heard %q", got)
		}
	}
}

func fetchConfig(t *testing.T, join func(string) *bus.Bus) {
	node, one, two := join("node-1"), join("cp-1"), join("cp-2")
	want := &tablev1.Config{Header: header("cp-1", 0), Providers: []*tablev1.Provider{{Id: "zai"}}}
	must(t)(one.ServeConfig(func() *tablev1.Config { return want }))
	must(t)(two.ServeConfig(func() *tablev1.Config { return want }))
	Settle(t, one, two)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 10 {
		if got, err := node.FetchConfig(ctx); err != nil || !proto.Equal(got, want) {
			t.Fatalf("fetched %v, %v; want %v", got, err, want)
		}
	}
}

func fetchSpent(t *testing.T, join func(string) *bus.Bus) {
	node, cp := join("node-1"), join("cp-1")
	must(t)(cp.ServeSpent(func(ask *outcomev1.SpentRequest) *outcomev1.SpentAnswer {
		answer := &outcomev1.SpentAnswer{}
		for _, b := range ask.GetBudgets() {
			if b.GetPeriod() == "2026-11" && ask.GetRegion() == Region {
				answer.Spent = append(answer.Spent, &outcomev1.Spent{HereNanoUsd: 1, AllNanoUsd: 2})
			}
		}
		return answer
	}))
	Settle(t, cp)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	budgets := []*outcomev1.Budget{{Scope: "all", Period: "2026-11"}, {Scope: "key/alice", Period: "2026-11"}}
	if got, err := node.FetchSpent(ctx, budgets); err != nil || len(got) != 2 || got[1].GetAllNanoUsd() != 2 {
		t.Errorf("%v, %v", got, err)
	}
	budgets[0].Period = "2026-12"
	if got, err := node.FetchSpent(ctx, budgets); err == nil {
		t.Errorf("an answer for one of two was taken: %v", got)
	}
}

func fetchFromNobody(t *testing.T, join func(string) *bus.Bus) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	node := join("node-1")
	Settle(t, node)
	if _, err := node.FetchConfig(ctx); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("fetching from nobody: %v, want ErrNobody", err)
	}
}

func explain(t *testing.T, join func(string) *bus.Bus) {
	cp := join("cp-1")
	for _, name := range []string{"node-1", "node-2"} {
		node := join(name)
		must(t)(node.ServeExplain(func(ask *tablev1.ExplainRequest) *tablev1.Explanation {
			return &tablev1.Explanation{Node: name, Class: ask.GetProtocol()}
		}))
		Settle(t, node)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ask := &tablev1.ExplainRequest{Protocol: "openai"}
	for _, name := range []string{"node-1", "node-2"} {
		if got, err := cp.Explain(ctx, name, ask); err != nil || got.GetNode() != name || got.GetClass() != "openai" {
			t.Errorf("asking %s: %v, %v", name, got, err)
		}
	}
	if got, err := cp.Explain(ctx, "", ask); err != nil || got.GetClass() != "openai" {
		t.Errorf("asking any node: %v, %v", got, err)
	}
	for _, absent := range []string{"node-3", "not.one.token", ">"} {
		if _, err := cp.Explain(ctx, absent, ask); !errors.Is(err, bus.ErrNobody) {
			t.Errorf("asking %q: %v, want ErrNobody", absent, err)
		}
	}
}

func stoppedWatch(t *testing.T, join func(string) *bus.Bus) {
	node, cp := join("node-1"), join("cp-1")
	stopped, heard := make(chan uint64, 2), make(chan uint64, 2)
	stop, err := node.WatchHealth(func(m *tablev1.Health, _ string) { stopped <- m.GetHeader().GetHealthSeq() })
	must(t)(stop, err)
	must(t)(node.WatchHealth(func(m *tablev1.Health, _ string) { heard <- m.GetHeader().GetHealthSeq() }))
	Settle(t, node)
	for seq := range uint64(2) {
		if err := cp.PublishHealth(&tablev1.Health{Header: header("cp-1", seq)}, ""); err != nil {
			t.Fatal(err)
		}
		next(t, heard)
		if seq == 0 {
			next(t, stopped)
			stop()
			Settle(t, node)
		}
	}
	if len(stopped) != 0 {
		t.Error("a stopped watch heard more")
	}
}

func tooLarge(t *testing.T, join func(string) *bus.Bus) {
	node := join("node-1")
	huge := &outcomev1.Batch{Records: []*outcomev1.Record{{RequestId: string(make([]byte, 2<<20))}}}
	if err := node.SendOutcomes(huge); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("sending 2 MiB of outcomes: %v, want ErrTooLarge", err)
	}
	if got := traffic(node, "outcomes").Unsent; got != 1 {
		t.Errorf("%d unsent, want 1", got)
	}
}

func closedBus(t *testing.T, join func(string) *bus.Bus) {
	node := join("node-1")
	node.Close()
	node.Close()
	if err := node.SendHeartbeat(&tablev1.Heartbeat{}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("publishing: %v, want ErrClosed", err)
	}
	if _, err := node.WatchHealth(func(_ *tablev1.Health, _ string) {}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("watching: %v, want ErrClosed", err)
	}
}

// traffic finds the counters of one kind.
func traffic(b *bus.Bus, name string) bus.Traffic {
	for _, tr := range b.Stats().Traffic {
		if tr.Name == name {
			return tr
		}
	}
	return bus.Traffic{}
}
