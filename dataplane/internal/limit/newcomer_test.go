package limit_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aimux/aimux/dataplane/internal/limit"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
)

// TestANewcomerIsServed has a node join others that would use any number of slots: it has its first one soon, whoever waits with it, and
// nobody has more than the limit at any time.
func TestANewcomerIsServed(t *testing.T) {
	const takes = 200 * time.Millisecond // a request
	for _, row := range []struct {
		limit  uint32
		nodes  int
		within time.Duration
	}{
		{9, 3, time.Second},
		{5, 3, time.Second},
		{2, 2, 3 * time.Second}, // fewer than nodes: they take turns, of a second each
		{1, 2, 4 * time.Second},
	} {
		for _, mode := range []string{"bounded", "strict"} {
			t.Run(fmt.Sprintf("%d among %d, %s", row.limit, row.nodes, mode), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := limit.NewMemory(time.Now)
					limits := &tablev1.Limits{MaxConcurrentRequests: row.limit, Mode: mode}
					before := tableWith(t, 1, uint32(row.nodes), limits)
					var all []*node
					for i := range row.nodes {
						all = append(all, start(t, fmt.Sprint("n", i), store, before))
					}
					var inside, most atomic.Int64
					over := make(chan struct{})
					press := func(n *node, entered func()) {
						for range row.limit {
							go func() {
								for {
									select {
									case <-over:
										return
									case <-time.After(20 * time.Millisecond):
									}
									if p, f := n.Enter(n.table.Target(0), "k1", &route.Ask{}); f == nil {
										most.Store(max(most.Load(), inside.Add(1)))
										entered()
										time.Sleep(takes)
										inside.Add(-1)
										p.Settle(outcome.Usage{}, 0)
									}
								}
							}()
						}
					}
					for _, n := range all {
						press(n, func() {})
					}
					later(3 * time.Second)
					after := tableWith(t, 2, uint32(row.nodes)+1, limits)
					for _, n := range all {
						n.Apply(after, row.nodes+1)
					}
					joined := time.Now()
					var first atomic.Int64
					newcomer := start(t, "newcomer", store, after)
					press(newcomer, func() { first.CompareAndSwap(0, int64(time.Since(joined))) })
					later(row.within)
					close(over)
					later(time.Second)
					if got := time.Duration(first.Load()); got == 0 || got > row.within {
						t.Errorf("its first request is let in after %v", got)
					} else {
						t.Logf("its first request is let in after %v", got)
					}
					if most.Load() > int64(row.limit) {
						t.Errorf("%d in flight", most.Load())
					}
					for _, n := range append(all, newcomer) {
						n.stop()
					}
				})
			})
		}
	}
}
