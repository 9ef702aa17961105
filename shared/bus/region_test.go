package bus_test

import (
	"testing"
	"time"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/bus/bustest"
)

// TestRegions: outcomes, configurations and health stay in their region; digests go to all others, and heartbeats to everybody.
func TestRegions(t *testing.T) {
	dial := bustest.Serve(t)
	connect := func(name, region string) *bus.Bus {
		b, err := bus.Connect(bus.Config{InProcess: dial, Cluster: bustest.Cluster, Region: region, Name: name, Key: bustest.Key()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	heard := make(chan string, 64)
	for _, region := range []string{"eu", "us"} {
		cp, node := connect("cp-"+region, region), connect("listener-"+region, region)
		tell := func(what string) { heard <- region + " hears " + what }
		for _, err := range []error{
			watching(cp.WatchOutcomes(func(b *outcomev1.Batch) { tell("outcomes of " + b.GetNode()) })),
			watching(cp.WatchHeartbeats(func(h *tablev1.Heartbeat) { tell("heartbeat of " + h.GetNode()) })),
			watching(cp.WatchDigests(func(d *tablev1.RegionDigest) { tell("digest of " + d.GetRegion()) })),
			watching(node.WatchConfig(func(c *tablev1.Config, _ string) { tell("config of " + c.GetHeader().GetLeader()) })),
			watching(node.WatchHealth(func(h *tablev1.Health, _ string) { tell("health of " + h.GetHeader().GetLeader()) })),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		bustest.Settle(t, cp, node)
	}
	leader, node := connect("cp-1", "eu"), connect("n1", "eu")
	header := &tablev1.Header{Cluster: bustest.Cluster, Leader: "cp-1"}
	for _, err := range []error{
		node.SendOutcomes(&outcomev1.Batch{}), node.SendHeartbeat(&tablev1.Heartbeat{}), leader.PublishDigest(&tablev1.RegionDigest{Header: header}),
		leader.PublishConfig(&tablev1.Config{Header: header}, ""), leader.PublishHealth(&tablev1.Health{Header: header}, ""),
		leader.PublishDigest(&tablev1.RegionDigest{Header: &tablev1.Header{Cluster: "another"}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]bool{
		"eu hears outcomes of n1": true, "eu hears heartbeat of n1": true, "us hears heartbeat of n1": true, "us hears digest of eu": true,
		"eu hears config of cp-1": true, "eu hears health of cp-1": true,
	}
	bustest.Settle(t, leader, node)
	for len(want) > 0 {
		select {
		case got := <-heard:
			if !want[got] {
				t.Errorf("%s", got)
			}
			delete(want, got)
		case <-time.After(10 * time.Second):
			t.Fatalf("nobody heard %v", want)
		}
	}
	select {
	case got := <-heard:
		t.Errorf("%s besides", got)
	default:
	}
}

func watching(_ func(), err error) error { return err }
