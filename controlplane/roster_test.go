package controlplane

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/secret"
)

var dawn = time.UnixMilli(1_764_000_000_000)

func beat(node string, boot, applied uint64) *tablev1.Heartbeat {
	return &tablev1.Heartbeat{Node: node, Boot: boot, Applied: &tablev1.Header{ConfigRevision: applied}}
}

func TestConvergenceIsFromPublishingToTheLastAck(t *testing.T) {
	r := newRoster()
	at := func(ms int) time.Time { return dawn.Add(time.Duration(ms) * time.Millisecond) }
	r.heard(at(0), beat("a", 1, 0), nil)
	r.heard(at(0), beat("b", 1, 0), nil)
	r.published(at(10), 7)
	r.published(at(20), 9)
	r.heard(at(12), beat("a", 1, 7), nil)
	r.heard(at(25), beat("b", 1, 9), nil) // skipped 7: a later revision is as good
	all := r.convergence(at(30))
	for i, want := range []string{"7: 2 of 2 after 15000 us", "9: 1 of 2 after 5000 us"} {
		c := all[i]
		if got := fmt.Sprintf("%d: %d of %d after %d us", c.GetConfigRevision(), c.GetAcked(), c.GetNodes(), c.GetLastAckUs()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if nodes := r.list(at(30), &tablev1.Health{Outliers: []string{"b"}, OutlierReasons: []string{"odd"}}); nodes[0].GetDrift() != 1 || nodes[1].GetDrift() != 0 || nodes[0].GetOutlier() || !nodes[1].GetOutlier() {
		t.Errorf("%v", nodes)
	}
}

func TestANodeIsDeadAfterThreeSecondsAndForgottenLater(t *testing.T) {
	r := newRoster()
	r.heard(dawn, beat("a", 5, 0), nil)
	if r.list(dawn.Add(2999*time.Millisecond), nil)[0].GetLive() != true || r.list(dawn.Add(3*time.Second), nil)[0].GetLive() {
		t.Error("not dead at 3 s")
	}
	if r.heard(dawn.Add(time.Second), beat("a", 4, 0), nil); r.nodes["a"].beat.GetBoot() != 5 {
		t.Error("the last words of an earlier process count")
	}
	if r.heard(dawn.Add(10*time.Second), beat("a", 4, 0), nil); r.nodes["a"].beat.GetBoot() != 4 {
		t.Error("a node whose clock was set back is ignored for ever")
	}
	if r.forget(dawn.Add(20 * time.Minute)); len(r.nodes) != 0 {
		t.Error("never forgotten")
	}
}

func TestTheRosterIsBounded(t *testing.T) {
	r := newRoster()
	for i := range nodesMax + 10 {
		r.heard(dawn, beat(fmt.Sprint(i), 1, 0), nil)
	}
	for i := range revisionsMax + 10 {
		r.published(dawn, uint64(i+1))
	}
	if len(r.nodes) != nodesMax || r.dropped != 10 || len(r.spreads) != revisionsMax {
		t.Errorf("%d nodes, %d dropped, %d revisions", len(r.nodes), r.dropped, len(r.spreads))
	}
}

// Whatever is lost, repeated or reordered, as long as each boot's last batch arrives, the sums are what the nodes counted.
func TestUsageCountsNothingTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := newUsage()
		var want uint64
		for node := range rapid.IntRange(1, 3).Draw(t, "nodes") {
			for boot := range uint64(rapid.IntRange(1, 2).Draw(t, "boots")) {
				var sent []*outcomev1.Batch
				total := uint64(0)
				for range rapid.IntRange(1, 5).Draw(t, "batches") {
					total += uint64(rapid.IntRange(0, 9).Draw(t, "more"))
					faults := make([]uint64, fault.Kinds)
					faults[fault.None], faults[fault.Stall], faults[fault.Canceled] = total, total, 99
					sent = append(sent, &outcomev1.Batch{Node: fmt.Sprint(node), Boot: boot + 1, Targets: []*outcomev1.Counters{{
						Target: &outcomev1.Target{Provider: "zai", Model: "m"}, Faults: faults, OutputTokens: total,
					}}})
				}
				want += total
				for _, b := range rapid.Permutation(append(sent, sent...)).Draw(t, "order") {
					u.observe(b)
				}
			}
		}
		got := u.list()[0]
		if got.GetOutputTokens() != want || got.GetRequests() != 2*want || got.GetFailures() != want {
			t.Fatalf("%v, want %d tokens, twice as many requests, as many failures", got, want)
		}
	})
}

func TestMergeTakesOnlyWhatTheFileChanged(t *testing.T) {
	key := secret.NewKey([32]byte{1})
	score := func(s float64) *adminv1.Provider { return &adminv1.Provider{Kind: "synthetic", PriorityScore: &s} }
	doc := &adminv1.Document{Catalog: &adminv1.Catalog{Providers: map[string]*adminv1.Provider{"api": score(1)}}}
	file := &adminv1.Catalog{Routing: &adminv1.Routing{Priority: "cost"}, Providers: map[string]*adminv1.Provider{"a": score(10)}}
	if !merge(doc, file, key) || doc.GetCatalog().GetProviders()["a"].GetPriorityScore() != 10 || doc.GetCatalog().GetRouting().GetPriority() != "cost" {
		t.Fatal("a first file is not taken")
	}
	doc.Catalog.Providers["a"].PriorityScore = new(20.0)
	doc.Catalog.Routing.Priority = "reliability"
	if merge(doc, file, key) || doc.GetCatalog().GetProviders()["a"].GetPriorityScore() != 20 {
		t.Error("a file that says nothing new undoes what the API changed")
	}
	file = &adminv1.Catalog{Routing: &adminv1.Routing{Priority: "cost"}}
	if !merge(doc, file, key) || doc.GetCatalog().GetProviders()["a"] != nil || doc.GetCatalog().GetProviders()["api"] == nil {
		t.Error("what left the file stays, or what was never in it leaves")
	}
	if doc.GetCatalog().GetRouting().GetPriority() != "reliability" {
		t.Error("routing was changed, though the file says what it said before")
	}
	if merge(doc, &adminv1.Catalog{}, key); doc.GetCatalog().GetRouting() != nil {
		t.Error("routing left the file and stays")
	}
}

// A key of the file follows the file like everything else, but nothing that the file says brings a revoked one back.
func TestMergeKeepsRevokedKeysRevoked(t *testing.T) {
	cluster := secret.NewKey([32]byte{1})
	file := func(name string, hash byte) *adminv1.Catalog {
		return &adminv1.Catalog{
			Keys:  map[string]*adminv1.ClientKey{"ci": {Name: name, Hash: []byte{hash}, Team: "red"}},
			Teams: map[string]*adminv1.Team{"red": {Name: name}},
		}
	}
	doc := &adminv1.Document{Catalog: &adminv1.Catalog{}}
	if merge(doc, file("a", 1), cluster); doc.GetCatalog().GetKeys()["ci"].GetName() != "a" || doc.GetCatalog().GetTeams()["red"].GetName() != "a" {
		t.Fatalf("%v", doc)
	}
	doc.Catalog.Keys["ci"].RevokedUnixMs = 7
	if merge(doc, file("b", 1), cluster); doc.GetCatalog().GetKeys()["ci"].GetName() != "b" || doc.GetCatalog().GetKeys()["ci"].GetRevokedUnixMs() != 7 {
		t.Errorf("after another name: %v", doc.GetCatalog().GetKeys())
	}
	if merge(doc, file("b", 2), cluster); doc.GetCatalog().GetKeys()["ci"].GetRevokedUnixMs() != 0 {
		t.Errorf("another key of that id: %v", doc.GetCatalog().GetKeys())
	}
	if merge(doc, &adminv1.Catalog{}, cluster); len(doc.GetCatalog().GetKeys()) != 0 || len(doc.GetCatalog().GetTeams()) != 0 {
		t.Errorf("what left the file stays: %v", doc)
	}
}

// An older process of the same name is listed beside the one that counts, and waited for; not for the last words of one that was replaced or is draining.
func TestTwoProcessesUnderOneName(t *testing.T) {
	r := newRoster()
	at := func(ms int) time.Time { return dawn.Add(time.Duration(ms) * time.Millisecond) }
	r.heard(at(0), beat("a", 1, 7), nil)
	r.heard(at(10), beat("a", 2, 7), nil)
	if r.heard(at(20), beat("a", 1, 7), nil); len(r.list(at(20), nil)) != 1 {
		t.Error("the last words of a process that was replaced count")
	}
	draining := beat("a", 1, 7)
	draining.Draining = true
	if r.heard(at(2000), draining, nil); len(r.list(at(2000), nil)) != 1 {
		t.Error("a process that is draining counts")
	}
	r.heard(at(2000), beat("a", 2, 7), nil)
	if !r.heard(at(2010), beat("a", 1, 7), nil) || r.heard(at(2020), beat("a", 1, 7), nil) {
		t.Error("that there is another process changes how the node stands, once")
	}
	r.heard(at(2030), beat("a", 2, 7), nil)
	if list := r.list(at(2040), nil); len(list) != 2 || list[0].GetHeartbeat().GetBoot() != 2 || list[1].GetHeartbeat().GetBoot() != 1 {
		t.Errorf("listed are %v", list)
	}
	r.heard(at(5000), beat("a", 2, 7), nil)
	if list := r.list(at(5100), nil); len(list) != 1 {
		t.Errorf("after it was silent for 3 s: %v", list)
	}
}
