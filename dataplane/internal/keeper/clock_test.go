package keeper

import (
	"testing"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// A node whose clock is wrong, by however much and in whichever direction, obeys as all do, and knows how long grants and overrides hold.
func TestAClockThatIsWrong(t *testing.T) {
	for _, wrong := range []time.Duration{0, 3 * time.Second, time.Hour, -time.Hour, -30 * time.Hour, -20 * 365 * 24 * time.Hour, 20 * 365 * 24 * time.Hour} {
		k := newKeeper(t, "")
		leaders := k.now.Add(-wrong)
		c := config(t, 3)
		c.Header.IssuedUnixMs = leaders.UnixMilli()
		c.Providers[0].Override = &tablev1.Override{State: "drain", ExpiresUnixMs: leaders.Add(time.Minute).UnixMilli()}
		k.TakeConfig(c, "")
		h := health(uint64(leaders.UnixMilli())<<16, 1, 3, tablev1.State_STATE_HALF_OPEN)
		h.Header.IssuedUnixMs = leaders.UnixMilli()
		h.Targets[0].Probe = &tablev1.ProbeGrant{Node: "n1", Lease: 7, Live: true, ExpiresUnixMs: leaders.Add(5 * time.Second).UnixMilli()}
		k.TakeHealth(h, "")
		grant, override := k.Snapshot().Table.Health(0).Probe, k.Snapshot().Table.Providers()[0].Override
		if !grant.For("n1", k.now.UnixMilli()) || grant.For("n1", k.now.Add(6*time.Second).UnixMilli()) {
			t.Errorf("%v ahead: a grant for 5 s ends after %v", wrong, time.UnixMilli(grant.ExpiresMs).Sub(k.now))
		}
		if left := time.UnixMilli(override.UntilMs).Sub(k.now); left != time.Minute {
			t.Errorf("%v ahead: an override for a minute ends after %v", wrong, left)
		}
	}
}

// A view that was long on its way does not make its grants younger, once a faster one has come.
func TestALateViewIsNoSlowClock(t *testing.T) {
	k := newKeeper(t, "")
	k.TakeConfig(config(t, 3), "")
	take := func(seq uint64, issued time.Time) bool {
		h := health(10, seq, 3, tablev1.State_STATE_HALF_OPEN)
		h.Header.IssuedUnixMs = issued.UnixMilli()
		h.Targets[0].Probe = &tablev1.ProbeGrant{Node: "n1", Lease: seq, Live: true, ExpiresUnixMs: issued.Add(5 * time.Second).UnixMilli()}
		k.TakeHealth(h, "")
		return k.Snapshot().Table.Health(0).Probe.For("n1", k.now.UnixMilli())
	}
	if !take(1, k.now) {
		t.Error("a fresh grant does not hold")
	}
	if take(2, k.now.Add(-time.Minute)) {
		t.Error("a grant that was a minute on its way holds")
	}
}

// A grant to another process that runs under the node's name is not this one's.
func TestAnotherProcessesGrant(t *testing.T) {
	k := newKeeper(t, "")
	k.TakeConfig(config(t, 3), "")
	for seq, row := range []struct {
		boot uint64
		ours bool
	}{{k.deps.Boot, true}, {k.deps.Boot + 1, false}, {0, true}} {
		h := health(10, uint64(seq)+1, 3, tablev1.State_STATE_HALF_OPEN)
		h.Targets[0].Probe = &tablev1.ProbeGrant{Node: "n1", Boot: row.boot, Lease: 7, Live: true, ExpiresUnixMs: k.now.Add(time.Second).UnixMilli()}
		k.TakeHealth(h, "")
		if got := k.Snapshot().Table.Health(0).Probe.For("n1", k.now.UnixMilli()); got != row.ours {
			t.Errorf("a grant to boot %d, being boot %d: %v", row.boot, k.deps.Boot, got)
		}
	}
}
