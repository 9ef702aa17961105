package e2e

import (
	"fmt"
	"maps"
	"testing"
	"time"
)

// The tests of this file kill, stop and restart what is not the users' concern, under load: the users must not notice.

// drill is a load on a healthy house, then what happens to it, then some time afterwards; it returns how it went before and since.
func drill(t *testing.T, house *House, nodes []string, happens func(), after time.Duration) (before, since account) {
	t.Helper()
	pace := chaosPace()
	load := pourEvery(t, nodes, pace.clients, "text", pace.deadline, pace.pause)
	began := time.Now()
	time.Sleep(time.Second)
	struck := time.Now()
	happens()
	time.Sleep(after)
	ends := load.halt()
	before = sum(between(ends, began.Add(200*time.Millisecond), struck))
	since = sum(between(ends, struck, time.Now()))
	before.answersAlways(t, "before")
	if before.share() < 0.999 {
		t.Errorf("before anything happened, %.2f %% were answered", 100*before.share())
	}
	return before, since
}

// TestLeaderKilled kills the leading control plane while a circuit is open: nobody notices, and no circuit changes (I14).
func TestLeaderKilled(t *testing.T) {
	house := chaosHouse(t, fourProviders())
	first := leader(t, house)
	if err := house.Upstream["a"].Behave("status=500"); err != nil {
		t.Fatal(err)
	}
	var open, later map[string]string
	before, since := drill(t, house, house.Data, func() {
		witness := first%3 + 1
		for range 6 {
			post(t, house.Data[0]+"/v1/messages", asking("a/text"))
		}
		eventually(t, "the circuit opens", func() error {
			if open = circuits(t, house, witness); open["a/text"] != "STATE_CIRCUIT_OPEN" {
				return fmt.Errorf("%v", open)
			}
			return nil
		})
		house.Cluster(t, "stop", fmt.Sprint("cp-", first), "KILL")
		healed(t, house, "leader killed", 0)
		later = circuits(t, house, witness)
	}, time.Second)
	since.unnoticed(t, "leader killed", before)
	if second := leader(t, house); second == first {
		t.Errorf("cp-%d is dead and still leads", first)
	}
	if !maps.Equal(open, later) {
		t.Errorf("a change of leader changed circuits from %v to %v", open, later)
	}
}

// TestAllControlPlanesKilled kills every control plane, and starts them again: circuits are resumed from nodes and disks.
func TestAllControlPlanesKilled(t *testing.T) {
	house := chaosHouse(t, fourProviders())
	if err := house.Upstream["a"].Behave("status=500"); err != nil {
		t.Fatal(err)
	}
	before, since := drill(t, house, house.Data, func() {
		for range 6 {
			post(t, house.Data[0]+"/v1/messages", asking("a/text"))
		}
		eventually(t, "the circuit opens everywhere", func() error { return openEverywhere(t, house, "a") })
		for _, name := range []string{"cp-1", "cp-2", "cp-3"} {
			house.Cluster(t, "stop", name, "KILL")
		}
		time.Sleep(4 * time.Second)
		for _, name := range []string{"cp-1", "cp-2", "cp-3"} {
			house.Cluster(t, "start", name)
		}
		t.Logf("all nodes heard a control plane %v after the start", together(t, house, 0).Round(time.Millisecond))
		if err := openEverywhere(t, house, "a"); err != nil {
			t.Errorf("after the restart of all control planes: %v", err)
		}
	}, time.Second)
	since.unnoticed(t, "no control plane", before)
}

// openEverywhere is nil when every node's table has the provider's circuit open.
func openEverywhere(t testing.TB, house *House, provider string) error {
	t.Helper()
	for _, node := range house.Data {
		if !opened(t, node, provider) {
			return fmt.Errorf("%s has the circuit of %s closed", node, provider)
		}
	}
	return nil
}

// TestNATSGoes kills NATS and starts it again, and lets it hang for a while.
func TestNATSGoes(t *testing.T) {
	for name, row := range map[string]struct{ away, back []string }{
		"killed": {[]string{"stop", "nats", "KILL"}, []string{"start", "nats"}},
		"hangs":  {[]string{"stop", "nats", "STOP"}, []string{"stop", "nats", "CONT"}},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "killed" {
				quiet(t)
			}
			house := chaosHouse(t, fourProviders())
			before, since := drill(t, house, house.Data, func() {
				house.Cluster(t, row.away...)
				time.Sleep(4 * time.Second) // health decays after three
				house.Cluster(t, row.back...)
				healed(t, house, "NATS "+name, 0)
			}, time.Second)
			since.unnoticed(t, "NATS "+name, before)
		})
	}
}

// TestNATSFlaps takes NATS away and gives it back, again and again.
func TestNATSFlaps(t *testing.T) {
	quiet(t)
	house := chaosHouse(t, fourProviders())
	before, since := drill(t, house, house.Data, func() {
		for range 4 {
			house.Cluster(t, "stop", "nats", "KILL")
			time.Sleep(600 * time.Millisecond)
			house.Cluster(t, "start", "nats")
			time.Sleep(600 * time.Millisecond)
		}
		healed(t, house, "NATS flapped", 0)
	}, time.Second)
	since.unnoticed(t, "NATS flaps", before)
}

// TestNodeKilled kills a node under load: clients that are told so by their connection ask elsewhere, streams that ran there are lost,
// and nothing else is.
func TestNodeKilled(t *testing.T) {
	house := chaosHouse(t, fourProviders())
	before, since := drill(t, house, house.Data, func() {
		house.Cluster(t, "stop", "node-2", "KILL")
		time.Sleep(2 * time.Second)
		house.Cluster(t, "start", "node-2")
		healed(t, house, "node back", 0)
	}, time.Second)
	t.Logf("%-28s %v", "node killed", since)
	if lost := since.total - since.by[whole]; lost > since.by[cut] || lost > 8 {
		t.Errorf("%d of %d were lost, of which %d ran on the dead node", lost, since.total, since.by[cut])
	}
	if before.total == 0 || since.total == 0 {
		t.Error("nothing was asked")
	}
}

// TestNodeDrains ends a node politely while long streams run on it: none is cut (I3), and new requests go elsewhere.
func TestNodeDrains(t *testing.T) {
	const long = "tokens=150+token=20ms" // three seconds
	house := chaosHouse(t, fourProviders(long))
	streams := pourEvery(t, house.Data[2:], 12, long, 2*chaosPace().deadline, time.Hour)
	time.Sleep(500 * time.Millisecond)
	before, since := drill(t, house, []string{house.Data[2], house.Data[0], house.Data[1]}, func() {
		house.Cluster(t, "stop", "node-3") // waits for its end
	}, 500*time.Millisecond)
	since.unnoticed(t, "node drains", before)
	ends := sum(streams.halt())
	ends.answersAlways(t, "long streams")
	if ends.total != 12 || ends.share() < 1 {
		t.Errorf("%d of %d long streams came to their end", ends.by[whole], ends.total)
	}
}

// TestServesFromDisk leaves one node, takes everything else away, and restarts it: it serves as before (I4).
func TestServesFromDisk(t *testing.T) {
	house := chaosHouse(t, fourProviders())
	pace := chaosPace()
	load := pourEvery(t, house.Data[:1], pace.clients, "text", pace.deadline, pace.pause)
	time.Sleep(1500 * time.Millisecond)
	before := sum(load.halt())
	for _, name := range []string{"node-2", "node-3", "cp-1", "cp-2", "cp-3", "redis", "nats"} {
		house.Cluster(t, "stop", name, "KILL")
	}
	load = pourEvery(t, house.Data[:1], pace.clients, "text", pace.deadline, pace.pause)
	time.Sleep(2 * time.Second)
	sum(load.halt()).unnoticed(t, "alone", before)
	house.Cluster(t, "stop", "node-1", "KILL")
	house.Cluster(t, "start", "node-1")
	eventually(t, "the node serves from its disk", func() error {
		v, err := tableOf(house.Data[0])
		if err == nil && v.Table.Source != "disk" {
			err = fmt.Errorf("its table is from %q", v.Table.Source)
		}
		return err
	})
	load = pourEvery(t, house.Data[:1], pace.clients, "text", pace.deadline, pace.pause)
	time.Sleep(4 * time.Second)
	sum(load.halt()).unnoticed(t, "alone and restarted", before)
}

// TestRedisGoes hangs, empties, kills and restarts Redis.
func TestRedisGoes(t *testing.T) {
	quiet(t)
	providers := fourProviders()
	for _, p := range providers {
		maps.Copy(p.(map[string]any), map[string]any{"max_concurrent_requests": 60, "requests_per_minute": 60000, "tokens_per_minute": 20000000})
	}
	house := chaosHouse(t, providers)
	before, since := drill(t, house, house.Data, func() {
		house.Cluster(t, "stop", "redis", "STOP")
		time.Sleep(2 * time.Second)
		house.Cluster(t, "stop", "redis", "CONT")
		time.Sleep(500 * time.Millisecond)
		house.redis(t, "FLUSHALL")
		time.Sleep(time.Second)
		house.Cluster(t, "stop", "redis", "KILL")
		time.Sleep(2 * time.Second)
		house.Cluster(t, "start", "redis")
	}, 2*time.Second)
	since.unnoticed(t, "Redis goes", before)
}
