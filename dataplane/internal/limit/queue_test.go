package limit_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aimux/aimux/dataplane/internal/limit"
	"github.com/aimux/aimux/shared/route"
)

// waits enters, or waits for it; the permit is nil when that was in vain.
func (n *node) waits(ctx context.Context, lane string, priority int, longest time.Duration) (p *limit.Permit) {
	ask := &route.Ask{}
	try := func() (ok bool) {
		taken, f := n.Enter(n.table.Target(0), "k1", ask)
		if f == nil {
			p = taken
		}
		return f == nil
	}
	if !try() {
		n.Wait(ctx, limit.Wish{Lane: lane, Priority: priority, Longest: longest, Depth: 10, Try: try})
	}
	return p
}

// TestQueueIsFair has six wait for two slots: the urgent first, then who came first.
func TestQueueIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", limit.NewMemory(time.Now), tableOf(t, 1, 2, 0, 0, 1))
		defer n.stop()
		held := n.enter(2, 1)
		var mu sync.Mutex
		var order []string
		for i, priority := range []int{0, 0, 5, 0, 5, 1} {
			go func() {
				if p := n.waits(t.Context(), "m", priority, time.Minute); p != nil {
					mu.Lock()
					order = append(order, fmt.Sprint(priority, ".", i))
					mu.Unlock()
					time.Sleep(time.Second)
					settle([]*limit.Permit{p}, 0)
				}
			}()
			synctest.Wait()
		}
		if got := n.QueueState().Waiting; got != 6 {
			t.Errorf("%d wait", got)
		}
		settle(held[:1], 0) // one slot from now on
		later(10 * time.Second)
		if want := []string{"5.2", "5.4", "1.5", "0.0", "0.1", "0.3"}; !slices.Equal(order, want) {
			t.Errorf("served %v, want %v", order, want)
		}
		if s := n.QueueState(); s.Waiting != 0 || s.Served != 6 || s.Waited != (0+1+2+3+4+5)*time.Second {
			t.Errorf("%+v", s)
		}
	})
}

// TestQueueTakesTurns has one caller flood the queue, and another come late: they are served in turn.
func TestQueueTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", limit.NewMemory(time.Now), tableOf(t, 1, 1, 0, 0, 1))
		defer n.stop()
		held := n.enter(1, 1)
		var mu sync.Mutex
		var order []string
		for i, caller := range []string{"a", "a", "a", "a", "b", "b", "c"} {
			go func() {
				var p *limit.Permit
				try := func() bool {
					taken, f := n.Enter(n.table.Target(0), "k1", &route.Ask{})
					if f == nil {
						p = taken
					}
					return f == nil
				}
				if n.Wait(t.Context(), limit.Wish{Lane: "m", Caller: caller, Longest: time.Minute, Depth: 10, Try: try}) {
					mu.Lock()
					order = append(order, fmt.Sprint(caller, i))
					mu.Unlock()
					time.Sleep(time.Second)
					settle([]*limit.Permit{p}, 0)
				}
			}()
			synctest.Wait()
		}
		settle(held, 0)
		later(10 * time.Second)
		if want := []string{"a0", "b4", "c6", "a1", "b5", "a2", "a3"}; !slices.Equal(order, want) {
			t.Errorf("served %v, want %v", order, want)
		}
	})
}

// TestQueueEnds sheds who finds it full, gives up when the time is over, and lets go who leaves.
func TestQueueEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", limit.NewMemory(time.Now), tableOf(t, 1, 1, 0, 0, 1))
		defer n.stop()
		n.enter(1, 1)
		leaving, leave := context.WithCancel(t.Context())
		for i := range 12 {
			ctx := t.Context()
			if i < 3 {
				ctx = leaving
			}
			go func() {
				if n.waits(ctx, "m", 0, 10*time.Second) != nil {
					t.Error("got what nobody gave back")
				}
			}()
			synctest.Wait()
		}
		if s := n.QueueState(); s.Waiting != 10 || s.Shed != 2 {
			t.Errorf("%+v", s)
		}
		leave()
		synctest.Wait()
		if s := n.QueueState(); s.Waiting != 7 || s.Left != 3 {
			t.Errorf("%+v", s)
		}
		later(11 * time.Second)
		if s := n.QueueState(); s.Waiting != 0 || s.Expired != 7 {
			t.Errorf("%+v", s)
		}
	})
}

// TestFewSlotsForManyNodes lets four nodes take turns at two slots: nobody keeps one that he does not use.
func TestFewSlotsForManyNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, table := limit.NewMemory(time.Now), tableOf(t, 1, 2, 0, 0, 4)
		var nodes []*node
		for i := range 4 {
			nodes = append(nodes, start(t, fmt.Sprint(i), shared, table))
		}
		later(20 * time.Second)
		for i := range 20 {
			began := time.Now()
			p := nodes[i%4].waits(t.Context(), "m", 0, 5*time.Second)
			if p == nil {
				t.Fatalf("node %d got none of two slots that nobody uses", i%4)
			}
			if waited := time.Since(began); waited > time.Second {
				t.Errorf("node %d waited %v", i%4, waited)
			}
			later(300 * time.Millisecond)
			settle([]*limit.Permit{p}, 0)
		}
		for _, n := range nodes {
			n.stop()
		}
	})
}
