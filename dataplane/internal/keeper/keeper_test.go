package keeper

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/clock"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/secret"
)

const secretKey = "a-provider-key-that-must-not-be-seen"

type kept struct {
	*Keeper[int]
	now    time.Time
	warmed int
	warm   error
	// deposed counts the leaders of the past that were told so
	deposed int
}

func newKeeper(t *testing.T, path string) *kept {
	t.Helper()
	k := &kept{now: time.UnixMilli(1_800_000_000_000)}
	k.Keeper = New(Deps[int]{
		Node: "n1", Boot: 5, Path: path, Key: secret.NewKey([32]byte{7}), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return k.now }, Changed: func(bool) {}, Deposed: func() { k.deposed++ },
		Warm: func(*route.Table) (int, error) { k.warmed++; return k.warmed, k.warm },
	})
	return k
}

func config(t *testing.T, revision uint64) *tablev1.Config {
	t.Helper()
	where, err := secret.Bind("p", "https://api.example.com/v1")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := secret.Seal(secret.NewKey([32]byte{7}), secret.Nonce{1}, secret.New(secretKey), where)
	if err != nil {
		t.Fatal(err)
	}
	return &tablev1.Config{
		Header: &tablev1.Header{Cluster: "c", ConfigRevision: revision, Epoch: 5},
		Providers: []*tablev1.Provider{{
			Id: "p", Kind: "openai", Protocol: "openai", BaseUrl: "https://api.example.com/v1", Enabled: true,
			Models:      []*tablev1.Model{{Id: "m", Has: 1}},
			Credentials: []*tablev1.Credential{{Fingerprint: "fp", Sealed: sealed.Bytes()}},
		}},
		Policy: &tablev1.Policy{Priority: "balanced", LoadBalancer: "adaptive", UnknownModel: "any"},
	}
}

func health(epoch, seq, revision uint64, state tablev1.State) *tablev1.Health {
	return &tablev1.Health{
		Header:  &tablev1.Header{Cluster: "c", Epoch: epoch, HealthSeq: seq, ConfigRevision: revision},
		Targets: []*tablev1.TargetHealth{{Provider: "p", Model: "m", State: state}},
	}
}

func state(k *kept) route.State { return k.Snapshot().Table.Health(0).State }

// Revisions never fall; a speaker that was deposed is not heard.
func TestFence(t *testing.T) {
	k := newKeeper(t, "")
	if k.Snapshot() != nil {
		t.Fatal("a table out of nothing")
	}
	k.TakeConfig(config(t, 3), "")
	k.TakeConfig(config(t, 2), "")
	if got := k.Snapshot().Table.Revision().Config; got != 3 {
		t.Fatalf("revision %d", got)
	}
	healthy, open := tablev1.State_STATE_HEALTHY, tablev1.State_STATE_CIRCUIT_OPEN
	for i, step := range []struct {
		h    *tablev1.Health
		want route.State
	}{
		{health(10, 1, 3, open), route.CircuitOpen},
		{health(10, 1, 3, healthy), route.CircuitOpen},               // again
		{health(9, 99, 3, healthy), route.CircuitOpen},               // deposed
		{health(10, 2, 2, healthy), route.CircuitOpen},               // of an older configuration
		{health(10, 3, 3, healthy), route.Healthy},                   // newer
		{health(11, 1, 3, open), route.CircuitOpen},                  // the next leader counts anew
		{health(10, 4, 3, healthy), route.CircuitOpen},               // its predecessor is late
		{health(clock.EpochMax+1, 1, 3, healthy), route.CircuitOpen}, // after which no leader could ever speak
		{health(11, 2, 4, healthy), route.Healthy},                   // ahead of our configuration: obeyed, and fetched
	} {
		k.TakeHealth(step.h, "")
		if got := state(k); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
	if len(k.fetch) != 1 {
		t.Error("a configuration that others have is not fetched")
	}
	k.TakeConfig(config(t, 4), "")
	if got := state(k); got != route.Healthy || k.Snapshot().Table.Revision().Config != 4 {
		t.Errorf("after a new configuration: %v", k.Snapshot().Table.Revision())
	}
}

// A configuration that cannot be used leaves the last good one, and says why.
func TestBadConfig(t *testing.T) {
	k := newKeeper(t, "")
	k.TakeConfig(config(t, 3), "")
	before := k.Snapshot()
	bad := config(t, 4)
	bad.Providers[0].Protocol = "smoke signals"
	k.TakeConfig(bad, "")
	if s := k.Status(); k.Snapshot() != before || s.Nack.GetConfigRevision() != 4 || !strings.Contains(s.Nack.GetReason(), "smoke signals") {
		t.Errorf("status %+v", s)
	}
	wrongKey := config(t, 5)
	wrongKey.Providers[0].BaseUrl = "https://elsewhere.example.com"
	k.TakeConfig(wrongKey, "")
	if s := k.Status(); k.Snapshot() != before || s.Nack.GetConfigRevision() != 5 {
		t.Errorf("a key was opened for another origin: %+v", s)
	}
	k.warm = errors.New("too cold")
	k.TakeConfig(config(t, 6), "")
	if s := k.Status(); k.Snapshot() != before || s.Nack.GetReason() != "too cold" {
		t.Errorf("status %+v", s)
	}
	k.warm = nil
	k.TakeConfig(config(t, 7), "")
	if s := k.Status(); s.Nack != nil || s.Applied.GetConfigRevision() != 7 {
		t.Errorf("after a good one: %+v", s)
	}
	back := config(t, 2)
	back.Header.Epoch = 1 << 40
	k.TakeConfig(back, "")
	if s := k.Status(); s.Applied.GetConfigRevision() != 7 || !strings.Contains(s.Nack.GetReason(), "older") {
		t.Errorf("a new leader with an old catalog: %+v", s)
	}
}

// A node that starts alone routes by the table it had; the keys stay sealed on disk.
func TestDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node", "table")
	k := newKeeper(t, path)
	if err := k.LoadDisk(); err != nil {
		t.Fatalf("a first start: %v", err)
	}
	k.TakeConfig(config(t, 3), "")
	k.store()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), secretKey) {
		t.Error("the key is on the disk")
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	again := newKeeper(t, path)
	if err := again.LoadDisk(); err != nil {
		t.Fatal(err)
	}
	if s := again.Status(); s.Source != FromDisk || s.Applied.GetConfigRevision() != 3 {
		t.Errorf("%+v", s)
	}
	again.TakeConfig(config(t, 2), "")
	if again.Snapshot().Table.Revision().Config != 3 {
		t.Error("below what it had before it was restarted")
	}
	for name, damage := range map[string]func([]byte) []byte{
		"a flipped bit": func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
		"cut off":       func(b []byte) []byte { return b[:len(b)/2] },
		"empty":         func([]byte) []byte { return nil },
		"another file":  func([]byte) []byte { return []byte("hello") },
	} {
		if err := os.WriteFile(path, damage(append([]byte(nil), data...)), 0o600); err != nil {
			t.Fatal(err)
		}
		hurt := newKeeper(t, path)
		if err := hurt.LoadDisk(); err == nil || hurt.Snapshot() != nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Without news an open circuit becomes a suspicion after three seconds; with news it is open again.
func TestAges(t *testing.T) {
	k := newKeeper(t, "")
	k.TakeConfig(config(t, 3), "")
	k.TakeHealth(health(10, 1, 3, tablev1.State_STATE_CIRCUIT_OPEN), "")
	k.now = k.now.Add(2 * time.Second)
	k.age()
	if k.Snapshot().Table.Health(0).Stale {
		t.Error("stale after two seconds")
	}
	k.now = k.now.Add(2 * time.Second)
	k.age()
	if !k.Snapshot().Table.Health(0).Stale {
		t.Error("not stale after four seconds")
	}
	k.TakeHealth(health(10, 2, 3, tablev1.State_STATE_CIRCUIT_OPEN), "")
	if h := k.Snapshot().Table.Health(0); h.Stale || h.State != route.CircuitOpen {
		t.Errorf("after news: %+v", h)
	}
}

// A node hears that it is an outlier, and why; and a word about an older revision is forgotten when its speaker has caught up.
func TestToldOfItself(t *testing.T) {
	k := newKeeper(t, "")
	k.TakeConfig(config(t, 3), "")
	odd := health(10, 1, 3, tablev1.State_STATE_HEALTHY)
	odd.Outliers, odd.OutlierReasons = []string{"n0", "n1"}, []string{"slow", "cut off"}
	for i, step := range []struct {
		h    *tablev1.Health
		want string
	}{{odd, "cut off"}, {health(10, 2, 3, tablev1.State_STATE_HEALTHY), ""}} {
		if k.TakeHealth(step.h, ""); k.Status().Outlier != step.want {
			t.Errorf("step %d: %q, want %q", i, k.Status().Outlier, step.want)
		}
	}
	older := config(t, 2)
	older.Header.Epoch = 11
	if k.TakeConfig(older, ""); k.Status().Nack == nil {
		t.Fatal("a new leader's older revision is not refused aloud")
	}
	if k.TakeConfig(config(t, 3), ""); k.Status().Nack != nil {
		t.Errorf("still refused: %v", k.Status().Nack)
	}
}

// Who still believes to lead learns from the nodes that somebody else does; not from every message, for it sends many.
func TestADeposedLeaderIsTold(t *testing.T) {
	k := newKeeper(t, "")
	k.TakeConfig(config(t, 3), "")
	k.TakeHealth(health(10, 1, 3, tablev1.State_STATE_HEALTHY), "")
	k.TakeHealth(health(10, 1, 3, tablev1.State_STATE_HEALTHY), "")
	if k.deposed != 0 {
		t.Error("the leader itself was told, for a message that came twice")
	}
	for seq := range uint64(100) { // a second
		k.TakeHealth(health(9, seq, 3, tablev1.State_STATE_HEALTHY), "")
		if k.deposed == 0 {
			t.Fatal("not told at once")
		}
		k.now = k.now.Add(10 * time.Millisecond)
	}
	if k.deposed != 5 {
		t.Errorf("told %d times in a second, want 5", k.deposed)
	}
}

// A node that starts alone shares its limits out as among the nodes that there were, and takes no more than its region's part.
func TestSharesOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table")
	first := newKeeper(t, path)
	first.TakeConfig(config(t, 3), "")
	first.store()
	h := health(9, 1, 3, tablev1.State_STATE_CIRCUIT_OPEN)
	h.NodesLive, h.RegionSharePpm, h.Targets[0].CapacitySharePpm = 5, 300_000, 250_000
	first.TakeHealth(h, "")
	first.storeShares()
	second := newKeeper(t, path)
	if err := second.LoadDisk(); err != nil {
		t.Fatal(err)
	}
	table := second.Snapshot().Table
	if table.NodesHeard() != 5 || table.RegionSharePPM() != 300_000 || table.CapacitySharePPM(0) != 250_000 {
		t.Errorf("%d nodes, %d of the region, %d of p", table.NodesHeard(), table.RegionSharePPM(), table.CapacitySharePPM(0))
	}
	if table.Health(0).State != route.Healthy || table.Revision().Health != 0 {
		t.Error("an earlier life's view of health is not this one's")
	}
	if err := os.WriteFile(path+".shares", []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	third := newKeeper(t, path)
	if err := third.LoadDisk(); err != nil || third.Snapshot().Table.NodesHeard() != 0 {
		t.Errorf("damaged shares: %v, %d nodes", err, third.Snapshot().Table.NodesHeard())
	}
}

// Two tables differ by the targets that came, went, or stand otherwise.
func TestChanged(t *testing.T) {
	k := newKeeper(t, "")
	if n, _ := changed(nil, nil); n != 0 {
		t.Errorf("%d changes of nothing", n)
	}
	k.TakeConfig(config(t, 3), "")
	first := k.Snapshot().Table
	k.TakeHealth(health(10, 1, 3, tablev1.State_STATE_CIRCUIT_OPEN), "")
	second := k.Snapshot().Table
	other := config(t, 4)
	other.Providers[0].Models = append(other.Providers[0].Models, &tablev1.Model{Id: "m2", Has: 1})
	other.Providers[0].Models[0].Id = "m1"
	k.TakeConfig(other, "")
	for _, row := range []struct {
		before, after *route.Table
		want          string
	}{
		{nil, first, "[p/m: new, healthy]"}, {first, first, "[]"}, {first, second, "[p/m: healthy to circuit_open]"}, {second, first, "[p/m: circuit_open to healthy]"},
		{first, k.Snapshot().Table, "[p/m1: new, healthy p/m2: new, healthy p/m: gone]"},
	} {
		if n, told := changed(row.before, row.after); fmt.Sprint(told) != row.want || n != len(told) {
			t.Errorf("%d: %v, want %s", n, told, row.want)
		}
	}
}
