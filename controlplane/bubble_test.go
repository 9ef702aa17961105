package controlplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aimux/aimux/controlplane/internal/store"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/bus/bustest"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/secret"
)

// silent is a listener to which nobody comes: real sockets do not stand still with a bubble's clock.
type silent struct {
	once   sync.Once
	closed chan struct{}
}

func (s *silent) Accept() (net.Conn, error) { <-s.closed; return nil, net.ErrClosed }
func (s *silent) Close() error              { s.once.Do(func() { close(s.closed) }); return nil }
func (s *silent) Addr() net.Addr            { return &net.UnixAddr{Name: "bubble", Net: "unix"} }

// bubble is a cluster inside a synctest bubble: real replicas, a real bus, a catalog in memory, nodes that follow the fence.
type bubble struct {
	t       *testing.T
	dial    func() (net.Conn, error)
	store   store.Store
	archive *store.MemoryArchive
	slate   *store.MemorySlate
	stops   map[string]func()
	nodes   []*follower
}

func newBubble(t *testing.T) *bubble {
	return &bubble{t: t, dial: bustest.Serve(t), store: store.NewMemory(), archive: &store.MemoryArchive{}, slate: &store.MemorySlate{}, stops: map[string]func(){}}
}

func (b *bubble) replica(id string) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	conn, err := bus.Connect(bus.Config{InProcess: b.dial, Cluster: bustest.Cluster, Region: bustest.Region, Name: id, Key: bustest.Key()})
	if err != nil {
		b.t.Fatal(err)
	}
	seed := &adminv1.Catalog{Providers: map[string]*adminv1.Provider{}}
	for _, id := range []string{"a", "b", "c"} {
		seed.Providers[id] = &adminv1.Provider{Kind: "synthetic", Models: []*adminv1.Model{{Id: "text"}}}
	}
	ended := make(chan error, 1)
	go func() {
		defer conn.Close()
		ended <- Run(ctx, Config{ID: id, Cluster: bustest.Cluster, Region: bustest.Region, Seed: seed, ClusterKey: secret.NewKey([32]byte{1})}, Deps{
			Bus: conn, Log: slog.New(slog.DiscardHandler), Listener: &silent{closed: make(chan struct{})}, Store: b.store, Archive: b.archive, Slate: b.slate,
			LookupEnv: func(string) (string, bool) { return "", false },
		})
	}()
	b.stops[id] = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("%s: %v", id, err)
		}
	})
	b.t.Cleanup(b.stops[id])
}

// follower is a node: it fences what it hears, says that it lives, and tells what it was told to tell.
type follower struct {
	*bus.Bus
	mu     sync.Mutex // protects below
	health *tablev1.Health
	heard  time.Time
	gap    time.Duration // the longest time without news
	seq    uint64
}

func (b *bubble) node(name string) *follower {
	b.t.Helper()
	n := &follower{Bus: bustest.Join(b.t, b.dial, name)}
	stop, err := n.WatchHealth(n.hear)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(stop)
	b.nodes = append(b.nodes, n)
	return n
}

func (n *follower) hear(m *tablev1.Health, _ string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	had, has := n.health.GetHeader(), m.GetHeader()
	if has.GetEpoch() < had.GetEpoch() || has.GetEpoch() == had.GetEpoch() && has.GetHealthSeq() <= had.GetHealthSeq() {
		return
	}
	if !n.heard.IsZero() {
		n.gap = max(n.gap, time.Since(n.heard))
	}
	n.health, n.heard = m, time.Now()
}

// state is what the node was told of a provider's model; circuits are all states of all targets.
func (n *follower) state(provider string) tablev1.State {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, target := range n.health.GetTargets() {
		if target.GetProvider() == provider && target.GetModel() == "text" {
			return target.GetState()
		}
	}
	return tablev1.State_STATE_UNSPECIFIED
}

func (n *follower) circuits() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all strings.Builder
	for _, target := range n.health.GetTargets() {
		fmt.Fprintln(&all, target.GetProvider(), target.GetModel(), target.GetState())
	}
	return all.String()
}

func (n *follower) leader() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.health.GetHeader().GetLeader()
}

// fails tells of so many hard failures in a row at the provider.
func (n *follower) fails(t *testing.T, provider string, count uint32) {
	t.Helper()
	n.seq++
	faults := make([]uint64, fault.Kinds)
	faults[fault.ServerError] = uint64(count)
	err := n.SendOutcomes(&outcomev1.Batch{Boot: 1, Seq: n.seq, Urgent: true, SentUnixMs: time.Now().UnixMilli(), Targets: []*outcomev1.Counters{{
		Target: &outcomev1.Target{Provider: provider, Model: "text"}, Faults: faults, Started: uint64(count), Consecutive: count, LastFailureUnixMs: time.Now().UnixMilli(),
	}}})
	if err != nil {
		t.Error(err)
	}
}

// live passes time, a heartbeat from every node in each second.
func (b *bubble) live(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, n := range b.nodes {
			if err := n.SendHeartbeat(&tablev1.Heartbeat{Boot: 1, SentUnixMs: time.Now().UnixMilli(), Applied: &tablev1.Header{ConfigRevision: 1}}); err != nil && !errors.Is(err, bus.ErrDown) {
				b.t.Error(err)
			}
		}
		time.Sleep(min(time.Second, time.Until(end)))
	}
	synctest.Wait()
}

// The leader dies with half of the evidence delivered: the circuit is open everywhere within 300 ms of the other half, no other
// circuit has changed, and the nodes were never without news for longer than that.
func TestALeaderDiesWithEvidenceHalfDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		for _, id := range []string{"cp-1", "cp-2", "cp-3"} {
			b.replica(id)
		}
		one, two := b.node("node-1"), b.node("node-2")
		b.live(10 * time.Second)
		leader := one.leader()
		if leader == "" || two.leader() != leader {
			t.Fatalf("node-1 follows %q, node-2 %q", leader, two.leader())
		}
		one.fails(t, "a", 3)
		time.Sleep(time.Millisecond)
		b.stops[leader]()
		two.fails(t, "a", 3)
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		for i, n := range b.nodes {
			if n.leader() == leader {
				t.Errorf("node-%d still follows %s", i+1, leader)
			}
			if got := n.state("a"); got != tablev1.State_STATE_CIRCUIT_OPEN {
				t.Errorf("node-%d: a is %v, want open:\n%s", i+1, got, n.circuits())
			}
			if n.gap > 300*time.Millisecond {
				t.Errorf("node-%d was without news for %v", i+1, n.gap)
			}
			t.Logf("node-%d was without news for at most %v", i+1, n.gap)
		}
	})
}

// A change of leader alone changes no circuit, however often it happens, and the nodes are never long without news.
func TestLeadersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		for _, id := range []string{"cp-1", "cp-2", "cp-3"} {
			b.replica(id)
		}
		n := b.node("node-1")
		b.live(10 * time.Second)
		n.fails(t, "a", 6)
		b.live(time.Second)
		for range 20 {
			before, leader := n.circuits(), n.leader()
			b.stops[leader]()
			b.replica(leader)
			time.Sleep(350 * time.Millisecond)
			synctest.Wait()
			if n.leader() == leader {
				t.Errorf("%s still leads", leader)
			}
			// With time a circuit that is open comes to be tried; no probe has succeeded, so nothing more than that.
			after := n.circuits()
			if after != before && after != strings.ReplaceAll(before, "CIRCUIT_OPEN", "HALF_OPEN") && after != strings.ReplaceAll(before, "HALF_OPEN", "CIRCUIT_OPEN") {
				t.Errorf("%s took over from %s and changed\n%sto\n%s", n.leader(), leader, before, after)
			}
			b.live(10 * time.Second)
		}
		if got := n.state("a"); got != tablev1.State_STATE_CIRCUIT_OPEN && got != tablev1.State_STATE_HALF_OPEN {
			t.Errorf("without a single success a is %v", got)
		}
		if n.gap > 300*time.Millisecond {
			t.Errorf("the node was without news for %v", n.gap)
		}
	})
}
