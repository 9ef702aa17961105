package e2e

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// TestLeaderHangs stops the leading control plane without ending it, and lets it go on when another leads: what it still has to say counts
// for nothing, and no circuit changes.
func TestLeaderHangs(t *testing.T) {
	quiet(t)
	house := chaosHouse(t, fourProviders())
	first := leader(t, house)
	witness := first%3 + 1
	behave(t, house, "status=500", "a")
	for range 6 {
		post(t, house.Data[0]+"/v1/messages", asking("a/text"))
	}
	eventually(t, "the circuit opens everywhere", func() error { return openEverywhere(t, house, "a") })
	before, since := drill(t, house, house.Data, func() {
		open := circuits(t, house, witness)
		for range 2 {
			hanging := leader(t, house)
			house.Cluster(t, "stop", replica(hanging), "STOP")
			time.Sleep(1500 * time.Millisecond)
			if leader(t, house) == hanging {
				t.Errorf("cp-%d hangs and still leads", hanging)
			}
			house.Cluster(t, "stop", replica(hanging), "CONT")
			time.Sleep(500 * time.Millisecond)
		}
		healed(t, house, "leader hangs", 0)
		for i := range house.Admin {
			if later := circuits(t, house, i+1); !maps.Equal(open, later) {
				t.Errorf("%s: leaders that hung changed circuits from %v to %v", replica(i+1), open, later)
			}
		}
	}, 500*time.Millisecond)
	since.unnoticed(t, "leader hangs", before)
}

// TestNodeHangs stops a node for two seconds, longer than it gives a provider for its first token. Its clients wait; it must not take its
// own pause for the providers' fault.
func TestNodeHangs(t *testing.T) {
	quiet(t)
	house := chaosHouse(t, fourProviders("tokens=30+token=20ms"))
	streams := pourEvery(t, house.Data[1:2], 8, "tokens=30+token=20ms", chaosDeadline, 20*time.Millisecond)
	before, since := drill(t, house, house.Data, func() {
		for range 2 {
			house.Cluster(t, "stop", "node-2", "STOP")
			time.Sleep(2 * time.Second)
			house.Cluster(t, "stop", "node-2", "CONT")
			time.Sleep(time.Second)
		}
		healed(t, house, "node hangs", 0)
	}, 500*time.Millisecond)
	since.unnoticed(t, "node hangs", before)
	long := sum(streams.halt())
	long.answersAlways(t, "streams on it")
	if long.share() < 0.97 {
		t.Errorf("%.2f %% of the streams on it were answered", 100*long.share())
	}
	for i := range house.Admin {
		if open := circuits(t, house, i+1); len(open) > 0 {
			t.Errorf("a node's pause changed circuits: %v", open)
		}
	}
}

// TestStoreIsLost takes NATS away with all that it has kept: the operator's writes fail soon and are not lost silently, revisions do not
// go back when it returns empty, and the next write reaches every node.
func TestStoreIsLost(t *testing.T) {
	quiet(t)
	house := chaosHouse(t, fourProviders())
	revision := touch(t, house, "b")
	together(t, house, revision)
	before, since := drill(t, house, house.Data, func() {
		house.Cluster(t, "stop", "nats", "KILL")
		if err := os.RemoveAll(filepath.Join(house.dir, "nats")); err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithTimeout(t.Context(), 10*time.Second)
		defer leave()
		began := time.Now()
		_, err := house.Providers(0).DeleteProvider(ctx, connect.NewRequest(&adminv1.DeleteProviderRequest{Id: "b"}))
		t.Logf("a write without a store: %v after %v", err, time.Since(began).Round(time.Millisecond))
		if err == nil || ctx.Err() != nil {
			t.Errorf("a write without a store: %v after %v", err, time.Since(began))
		}
		house.Cluster(t, "start", "nats")
		eventually(t, "writes work again", func() error {
			_, err := house.Providers(0).DeleteProvider(t.Context(), connect.NewRequest(&adminv1.DeleteProviderRequest{Id: "d"}))
			return err
		})
		later := touch(t, house, "c")
		if later <= revision {
			t.Errorf("revision %d came after %d", later, revision)
		}
		healed(t, house, "an empty store", later)
	}, 500*time.Millisecond)
	since.unnoticed(t, "the store is lost", before)
	for i := range house.Admin {
		list, err := house.Providers(i).ListProviders(t.Context(), connect.NewRequest(&adminv1.ListProvidersRequest{}))
		if err != nil || len(list.Msg.GetProviders()) < 3 {
			t.Errorf("%s lists %v %v", house.Admin[i], list, err)
		}
	}
}
