package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/clock"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
)

var begin = time.UnixMilli(worldBegin)

// sick is a fleet of three providers with a node that has seen one of them fail; leading, and past its learning.
func sick(t *testing.T) (*Fleet, time.Time) {
	t.Helper()
	f := New(Config{}, begin)
	f.Asked(begin, providers("a", "b", "c"))
	now := begin.Add(5 * time.Second)
	f.Step(now, true)
	if !f.Observe(now, failures("n1", "a", 5, now)) {
		t.Error("five failures in a row are not urgent")
	}
	if d := f.Step(now, true); !d.Changed || stateOf(d.Health, "a", "m") != tablev1.State_STATE_CIRCUIT_OPEN {
		t.Fatalf("a is not open: %v", d.Health)
	}
	return f, now
}

func providers(ids ...string) *tablev1.Config {
	c := &tablev1.Config{}
	for _, id := range ids {
		c.Providers = append(c.Providers, &tablev1.Provider{Id: id, Enabled: true, Models: []*tablev1.Model{{Id: "m", Serves: []string{"any"}}}})
	}
	return c
}

// failures is the first batch of a young node, which saw so many hard failures.
func failures(node, provider string, count int, now time.Time) *outcomev1.Batch {
	l := outcome.NewLedger(4)
	for range count {
		a := outcome.Attempt{Target: outcome.Target{Provider: provider, Model: "m"}, Fault: fault.Fault{Kind: fault.ServerError}, Ended: now}
		l.Begin(a.Target)
		l.Observe(&a)
	}
	boot := now.Add(-time.Second).UnixMilli()
	return &outcomev1.Batch{Node: node, Boot: uint64(boot), Seq: 1, SentUnixMs: now.UnixMilli(), Region: "eu", Targets: l.Snapshot(nil, true)}
}

func stateOf(h *tablev1.Health, provider, model string) tablev1.State {
	for _, e := range h.GetTargets() {
		if e.GetProvider() == provider && e.GetModel() == model && e.GetCredential() == "" {
			return e.GetState()
		}
	}
	return tablev1.State_STATE_UNSPECIFIED
}

// A control plane that starts again from its snapshot stands where it stood, whether the catalog comes before or after.
func TestRestore(t *testing.T) {
	f, now := sick(t)
	kept := f.Snapshot(now)
	want := f.Step(now, true).Health
	now = now.Add(time.Second)
	for name, order := range map[string]func(*Fleet) error{
		"catalog first": func(f *Fleet) error {
			f.Asked(now, providers("a", "b", "c"))
			return f.Restore(now, kept)
		},
		"snapshot first": func(f *Fleet) error {
			err := f.Restore(now, kept)
			f.Asked(now, providers("a", "b", "c"))
			return err
		},
	} {
		again := New(Config{}, now)
		if err := order(again); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := again.Step(now, true).Health
		ignore := protocmp.IgnoreFields(&tablev1.TargetHealth{}, "since_unix_ms", "success_ppm")
		if diff := cmp.Diff(want.GetTargets(), got.GetTargets(), protocmp.Transform(), ignore); diff != "" {
			t.Errorf("%s (-before +after):\n%s", name, diff)
		}
		if diff := cmp.Diff(want.GetTransitions(), got.GetTransitions(), protocmp.Transform()); diff != "" {
			t.Errorf("%s, transitions (-before +after):\n%s", name, diff)
		}
	}
}

// What is no snapshot is refused, and changes nothing.
func TestRestoreRefuses(t *testing.T) {
	f, now := sick(t)
	before := string(f.Snapshot(now))
	for _, b := range []string{"", "{", `{"version":99}`, `[]`, `{"version":"1"}`} {
		if err := f.Restore(now, []byte(b)); err == nil {
			t.Errorf("%q was taken for a snapshot", b)
		}
	}
	if after := string(f.Snapshot(now)); after != before {
		t.Errorf("changed from %s to %s", before, after)
	}
}

// FuzzRestore: whatever lies on the disk, the fleet stands and judges afterwards.
func FuzzRestore(f *testing.F) {
	fleet := New(Config{}, begin)
	fleet.Asked(begin, providers("a", "b"))
	f.Add(fleet.Snapshot(begin))
	f.Add([]byte(`{"version":1,"units":[{"provider":"a","model":"m","circuit":{"state":4,"opened_ms":-1,"retry_ms":9223372036854775807,"opens":99999999}}]}`))
	f.Add([]byte(`{"version":1,"transitions":[null]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		g := New(Config{}, begin)
		g.Asked(begin, providers("a", "b"))
		_ = g.Restore(begin, b) // an error is as good as none here
		now := begin
		for range 3 {
			now = now.Add(2 * time.Hour)
			h := g.Step(now, true).Health
			if len(h.GetTargets()) != 4 {
				t.Fatalf("%d targets, want 4", len(h.GetTargets()))
			}
			_ = g.Describe(now)
		}
	})
}

// A follower takes the leader's circuits over, and when it leads it says the same.
func TestFollow(t *testing.T) {
	leader, now := sick(t)
	said := leader.Step(now, true).Health
	said.Header = &tablev1.Header{Epoch: 7, HealthSeq: 3}
	follower := New(Config{}, begin)
	follower.Asked(begin, providers("a", "b", "c"))
	follower.Follow(now, said)
	older := proto.Clone(said).(*tablev1.Health)
	older.Header.HealthSeq = 2
	for _, e := range older.GetTargets() {
		e.State, e.OpenedUnixMs = tablev1.State_STATE_HEALTHY, 0
	}
	follower.Follow(now, older)
	d := follower.Step(now.Add(10*time.Millisecond), true)
	if len(d.Transitions) != 0 {
		t.Errorf("the change of leader alone changed something: %v", d.Transitions)
	}
	if diff := cmp.Diff(opened(said), opened(d.Health)); diff != "" {
		t.Errorf("(-leader +follower):\n%s", diff)
	}
	if got, want := len(d.Health.GetTransitions()), len(said.GetTransitions()); got != want {
		t.Errorf("knows %d transitions of %d", got, want)
	}
}

// Nodes beyond the limit and targets that nobody asked for change nothing and are counted.
func TestLimits(t *testing.T) {
	f := New(Config{NodesMax: 2, TargetsMax: 2}, begin)
	f.Asked(begin, providers("a", "b"))
	for i := range 5 {
		f.Observe(begin, failures(fmt.Sprint("n", i), "a", 1, begin))
		f.Heard(begin, &tablev1.Heartbeat{Node: fmt.Sprint("n", i)})
		f.Observe(begin, failures("n0", fmt.Sprint("unheard-of-", i), 9, begin))
	}
	f.Heard(begin, &tablev1.Heartbeat{})
	if got := len(f.Nodes()); got != 2 {
		t.Errorf("%d nodes, want 2", got)
	}
	if text := f.Describe(begin); !strings.Contains(text, "dropped: 7 nodes") {
		t.Errorf("does not tell of 7 messages of nodes over the limit:\n%s", text)
	}
	if d := f.Step(begin, true); len(d.Health.GetTargets()) != 4 {
		t.Errorf("%d targets, want those of the catalog: 4", len(d.Health.GetTargets()))
	}
}

// Each region gets the part of a provider's capacity that its nodes ask for, and never nothing.
func TestCapacityShares(t *testing.T) {
	eu, us := New(Config{Region: "eu"}, begin), New(Config{Region: "us"}, begin)
	for i, f := range []*Fleet{eu, us} {
		f.Asked(begin, providers("a"))
		b := failures("n1", "a", 3-2*i, begin)
		b.Region = f.config.Region
		f.Observe(begin, b)
		h := f.Step(begin, true).Health
		if got := h.GetTargets()[0].GetCapacitySharePpm(); got != ppm || h.GetRegionSharePpm() != 0 || f.Abroad() {
			t.Errorf("alone it gets %d ppm, want all", got)
		}
	}
	for seq := range uint64(3) {
		for _, way := range [][2]*Fleet{{eu, us}, {us, eu}} {
			d := way[0].Digest(begin)
			d.Header = &tablev1.Header{Epoch: 1, HealthSeq: seq + 1, Leader: "cp"}
			way[1].HeardRegion(begin, d)
			way[1].Step(begin, true)
		}
	}
	for _, row := range []struct {
		f    *Fleet
		want uint32
	}{{eu, 700_000}, {us, 300_000}} {
		h := row.f.Step(begin, true).Health
		if got := h.GetTargets()[0].GetCapacitySharePpm(); got/1000 != row.want/1000 || h.GetRegionSharePpm() != got {
			t.Errorf("%s gets %d ppm of the provider and %d of the rest, want %d", row.f.config.Region, got, h.GetRegionSharePpm(), row.want)
		}
	}
	again := New(Config{Region: "eu"}, begin)
	if err := again.Restore(begin, eu.Snapshot(begin)); err != nil {
		t.Fatal(err)
	}
	again.Asked(begin, providers("a"))
	h := again.Step(begin, true).Health
	if got := h.GetTargets()[0].GetCapacitySharePpm(); got > 700_000 || h.GetRegionSharePpm() > 700_000 || got < 400_000 {
		t.Errorf("begun again, it takes %d ppm of the provider and %d of the rest before it has heard of the other region", got, h.GetRegionSharePpm())
	}
	us.Step(begin.Add(11*time.Minute), true)
	if got := us.Step(begin.Add(11*time.Minute), true).Health.GetTargets()[0].GetCapacitySharePpm(); got != ppm {
		t.Errorf("when the other region is forgotten it gets %d ppm, want all", got)
	}
}

// TestServedByOneAlone: what one provider serves alone has a circuit like all others: there is nothing to spare it for, and its nodes try the least bad. Where
// another provider serves the same, the last one left is held.
func TestServedByOneAlone(t *testing.T) {
	f := New(Config{}, begin)
	catalog := providers("a", "b")
	catalog.Providers[0].Models[0].Id, catalog.Providers[1].Models[0].Id = "x", "y"
	catalog.Providers[0].Models[0].Serves, catalog.Providers[1].Models[0].Serves = nil, nil
	catalog.Policy = &tablev1.Policy{UnknownModel: "reject"}
	f.Asked(begin, catalog)
	later := begin.Add(time.Minute)
	for i, p := range []string{"a", "b"} {
		b := failures("n"+p, p, 6, later)
		b.Targets[0].Target.Model = []string{"x", "y"}[i]
		f.Observe(later, b)
	}
	if out := circuits(f.Step(later, true).Health); !out[key{provider: "a", model: "x"}] || !out[key{provider: "b", model: "y"}] {
		t.Errorf("out are %v, want a/x and b/y", out)
	}
	f = New(Config{}, begin)
	f.Asked(begin, providers("a", "b"))
	for _, p := range []string{"a", "b"} {
		f.Observe(later, failures("n"+p, p, 6, later))
	}
	if out := circuits(f.Step(later, true).Health); out[key{provider: "a", model: "m"}] == out[key{provider: "b", model: "m"}] {
		t.Errorf("out are %v, want one of a/m and b/m", out)
	}
}

// TestDigestsAreFenced: what is late, from the own region, from a broken clock or without end changes nothing, and memory is bounded.
func TestDigestsAreFenced(t *testing.T) {
	f := New(Config{Region: "eu", TargetsMax: 4}, begin)
	f.Asked(begin, providers("a"))
	digest := func(region string, epoch, seq uint64, open bool) *tablev1.RegionDigest {
		d := &tablev1.RegionDigest{Header: &tablev1.Header{Epoch: epoch, HealthSeq: seq, Leader: "cp"}, Region: region}
		if open {
			d.Targets = append(d.Targets, &tablev1.RegionTarget{Provider: "a", Model: "m", OpenedUnixMs: begin.UnixMilli(), Demand: &tablev1.Demand{UsualMilli: 1000}})
		}
		return d
	}
	open := func(now time.Time) bool { return circuits(f.Step(now, true).Health)[key{provider: "a", model: "m"}] }
	many := digest("us", 9, 9, false)
	many.Targets = make([]*tablev1.RegionTarget, 5)
	for what, d := range map[string]*tablev1.RegionDigest{
		"its own region":             digest("eu", 1, 1, true),
		"an epoch beyond any":        digest("us", clock.EpochMax+1, 1, true),
		"more targets than are kept": many,
	} {
		if f.HeardRegion(begin, d); f.Abroad() {
			t.Errorf("%s was taken", what)
		}
	}
	f.HeardRegion(begin, digest("us", 2, 7, false))
	for what, d := range map[string]*tablev1.RegionDigest{"an old one": digest("us", 2, 6, true), "a repeated one": digest("us", 2, 7, true), "a deposed leader's": digest("us", 1, 9, true)} {
		if f.HeardRegion(begin, d) || open(begin) {
			t.Errorf("%s was taken", what)
		}
	}
	if f.HeardRegion(begin, digest("us", 2, 8, true)); !open(begin) {
		t.Error("the circuit did not open by the word of the region that all requests come from")
	}
	for i := range 2 * regionsMax {
		f.HeardRegion(begin, digest(fmt.Sprint("r", i), 1, 1, false))
	}
	if got := len(f.regions); got != regionsMax {
		t.Errorf("%d regions are remembered, want %d", got, regionsMax)
	}
}

// A node that booted with its clock ahead and has restarted since is heard again as soon as the boot of before is silent, and its late words are not until then.
func TestABootFromTheFuture(t *testing.T) {
	f := New(Config{}, begin)
	f.Asked(begin, providers("a", "b"))
	ahead := failures("n1", "a", 1, begin)
	ahead.Boot += 3_600_000
	f.Observe(begin, ahead)
	f.Heard(begin, &tablev1.Heartbeat{Node: "n1", Boot: ahead.GetBoot()})
	for _, row := range []struct {
		after time.Duration
		heard bool
	}{{time.Second, false}, {5 * time.Second, true}} {
		now := begin.Add(row.after)
		b := failures("n1", "a", 6, now)
		f.Observe(now, b)
		f.Heard(now, &tablev1.Heartbeat{Node: "n1", Boot: b.GetBoot()})
		if got := circuits(f.Step(now, true).Health)[key{provider: "a", model: "m"}]; got != row.heard || (f.nodes["n1"].heartbeat.GetBoot() == b.GetBoot()) != row.heard {
			t.Errorf("after %v its failures opened the circuit: %v, want %v; boot %d", row.after, got, row.heard, f.nodes["n1"].heartbeat.GetBoot())
		}
	}
}

// A node that falls silent is no longer counted, and what it had in flight is gone.
func TestSilentNode(t *testing.T) {
	f := New(Config{}, begin)
	f.Asked(begin, providers("a"))
	b := failures("n1", "a", 1, begin)
	b.Targets[0].InFlight = 4
	f.Observe(begin, b)
	if h := f.Step(begin, true).Health; h.GetNodesLive() != 1 || h.GetTargets()[1].GetInFlight() != 4 {
		t.Errorf("%d nodes live, %d in flight; want 1 and 4", h.GetNodesLive(), h.GetTargets()[1].GetInFlight())
	}
	later := begin.Add(4 * time.Second)
	if h := f.Step(later, true).Health; h.GetNodesLive() != 0 || h.GetTargets()[1].GetInFlight() != 0 {
		t.Errorf("%d nodes live, %d in flight; want none", h.GetNodesLive(), h.GetTargets()[1].GetInFlight())
	}
	f.Step(begin.Add(20*time.Minute), true)
	if got := len(f.Nodes()); got != 0 {
		t.Errorf("%d nodes are remembered after 20 minutes", got)
	}
}

// A replica that starts late hears counters of hours; what happened in them is no evidence of now, but a row of failures that goes on is.
func TestOldCounters(t *testing.T) {
	for name, c := range map[string]struct {
		ended time.Time
		want  tablev1.State
	}{
		"an hour ago": {begin.Add(-time.Hour), tablev1.State_STATE_HEALTHY},
		"just now":    {begin.Add(-time.Second), tablev1.State_STATE_CIRCUIT_OPEN},
	} {
		f := New(Config{}, begin)
		f.Asked(begin, providers("a", "b", "c"))
		b := failures("n1", "a", 5, c.ended)
		b.Boot, b.SentUnixMs = uint64(begin.Add(-2*time.Hour).UnixMilli()), begin.UnixMilli()
		f.Observe(begin, b)
		if got := stateOf(f.Step(begin, true).Health, "a", "m"); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// After a cold start without a snapshot, what is open on half of the nodes is open; what only one of three holds back is that one's affair.
func TestResumeFromNodes(t *testing.T) {
	for open, want := range map[int]tablev1.State{1: tablev1.State_STATE_HEALTHY, 2: tablev1.State_STATE_CIRCUIT_OPEN} {
		f := New(Config{}, begin)
		f.Asked(begin, providers("a", "b", "c"))
		for i := range 3 {
			l := outcome.NewLedger(1)
			state := circuit.Healthy
			if i < open {
				state = circuit.Open
			}
			l.Circuit(outcome.Target{Provider: "a", Model: "m"}, uint8(state))
			old := uint64(begin.Add(-time.Hour).UnixMilli())
			f.Observe(begin, &outcomev1.Batch{Node: fmt.Sprint("n", i), Boot: old, Seq: 9, SentUnixMs: worldBegin, Targets: l.Snapshot(nil, true)})
		}
		if got := stateOf(f.Step(begin, true).Health, "a", "m"); got != tablev1.State_STATE_HEALTHY {
			t.Errorf("%s before everybody can have told", got)
		}
		if got := stateOf(f.Step(begin.Add(2*time.Second), true).Health, "a", "m"); got != want {
			t.Errorf("open on %d of 3: %s, want %s", open, got, want)
		}
	}
}

// While it learns, a fleet that has just started lets nothing close; afterwards it does.
func TestLearningClosesNothing(t *testing.T) {
	f, now := sick(t)
	kept := f.Snapshot(now)
	now = now.Add(time.Minute)
	again := New(Config{}, now)
	again.Asked(now, providers("a", "b", "c"))
	if err := again.Restore(now, kept); err != nil {
		t.Fatal(err)
	}
	u := again.units[key{"a", "m", ""}]
	again.Step(now, true)
	for i := range 3 {
		lease := uint64(i + 1)
		u.machine.Grant(now.UnixMilli(), lease, time.Second)
		u.verdict = verdict{lease: lease, ok: true}
		again.Step(now, true)
	}
	if got := u.machine.State(); got != circuit.HalfOpen {
		t.Errorf("%s while it learns, want %s", got, circuit.HalfOpen)
	}
	again.Step(now.Add(4*time.Second), true)
	if got := u.machine.State(); got != circuit.Healthy {
		t.Errorf("%s when it has learnt, want %s", got, circuit.Healthy)
	}
}

// What broke before anybody led is told by the first who does, once: neither a restart nor the next leader says it again.
func TestWhatBrokeBeforeThereWasALeaderIsTold(t *testing.T) {
	f := New(Config{}, begin)
	f.Asked(begin, providers("a", "b"))
	now := begin.Add(5 * time.Second)
	f.Step(now, false)
	f.Observe(now, failures("n1", "a", 5, now))
	d := f.Step(now, true)
	if len(d.Transitions) != 1 || d.Transitions[0].GetModel() != "m" || d.Transitions[0].GetTo() != tablev1.State_STATE_CIRCUIT_OPEN || d.Transitions[0].GetReason() == "" {
		t.Fatalf("told: %v", d.Transitions)
	}
	again := New(Config{}, now)
	again.Asked(now, providers("a", "b"))
	if err := again.Restore(now, f.Snapshot(now)); err != nil {
		t.Fatal(err)
	}
	if d := again.Step(now.Add(time.Millisecond), true); len(d.Transitions) != 0 {
		t.Errorf("told again after a restart: %v", d.Transitions)
	}
}
