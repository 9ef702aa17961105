package limit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aimux/aimux/dataplane/internal/limit"
	"github.com/aimux/aimux/shared/outcome"
)

// A target is busy while its slots are taken, or its tokens used up; asking takes nothing.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", limit.NewMemory(time.Now), tableOf(t, 1, 2, 0, 0, 1))
		defer n.stop()
		target := n.table.Target(0)
		for range 10 {
			if n.Busy(target) {
				t.Fatal("busy with nobody in it")
			}
		}
		held := n.enter(2, 1)
		if len(held) != 2 || !n.Busy(target) {
			t.Fatalf("%d of 2 slots taken, busy %v", len(held), n.Busy(target))
		}
		held[0].Settle(outcome.Usage{}, 0)
		if n.Busy(target) || len(n.enter(2, 1)) != 1 {
			t.Error("a slot is free again, and nobody sees it")
		}
	})
}

// A node that holds none of too few slots is busy, and asks for one for having been asked: else nobody would ever go there. The others have said
// that they hold none, so it need not wait until the source has learnt by itself.
func TestBusyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, table := limit.NewMemory(time.Now), tableOf(t, 1, 1, 0, 0, 3)
		n := start(t, "a", source, table)
		defer n.stop()
		for _, name := range []string{"b", "c"} {
			defer start(t, name, source, table).stop()
		}
		for range 50 {
			if !n.Busy(n.table.Target(0)) {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Error("busy for five seconds, with nobody in it")
	})
}
