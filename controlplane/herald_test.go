package controlplane

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aimux/aimux/controlplane/internal/admin"
	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/controlplane/internal/notify"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// seen is what a leader's board shows.
func seen(weight uint32, behind uint64, spentNano int64, transitions ...*tablev1.Transition) *admin.View {
	return &admin.View{
		Revision: 7, Leading: true, Document: &adminv1.Document{Catalog: &adminv1.Catalog{}},
		Config: &tablev1.Config{Providers: []*tablev1.Provider{{Id: "zai", Enabled: true}}},
		Health: &tablev1.Health{Targets: []*tablev1.TargetHealth{{Provider: "zai", WeightPpm: weight}}}, Transitions: transitions,
		Nodes: []*adminv1.NodeEntry{{Live: true, Drift: behind, Heartbeat: &tablev1.Heartbeat{Node: "node-1", Region: "eu", Limits: []*tablev1.LimitSign{
			{Scope: "all", What: "dollars_per_day", Limit: 100e9, InUse: spentNano, Left: 100e9 - spentNano},
		}}}},
	}
}

// begin is the herald of a replica that has just begun to lead, where the leader before has left it a page or nil.
func begin(now time.Time, last *page) *herald {
	h := &herald{cluster: "local", region: "eu", link: "https://aimux.example", notifier: notify.New(notify.Deps{Log: slog.New(slog.DiscardHandler)})}
	h.notifier.Set([]catalog.Hook{{Name: "pager"}})
	h.resume(now, last)
	return h
}

func names(events []notify.Event) (all []string) {
	for _, e := range events {
		switch {
		case e.Alert != nil:
			all = append(all, e.Alert.Name+" "+e.Alert.State)
		case e.Transition != nil:
			all = append(all, e.Transition.Provider+" "+e.Transition.To)
		}
	}
	slices.Sort(all)
	return all
}

// What happens is told once; what lasts is told when it has lasted, and when it ends.
func TestHerald(t *testing.T) {
	dawn := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return dawn.Add(time.Duration(s * float64(time.Second))) }
	opened := func(s float64) *tablev1.Transition {
		return &tablev1.Transition{AtUnixMs: at(s).UnixMilli(), Provider: "zai", From: 1, To: tablev1.State_STATE_CIRCUIT_OPEN, Reason: "3 hard failures in a row"}
	}
	h := begin(at(1), nil)
	for i, row := range []struct {
		at   float64
		view *admin.View
		want []string
	}{
		{1, seen(1e6, 0, 0, opened(-60), opened(0)), []string{"zai circuit_open"}}, // the one that the leader before may not have told
		{2, seen(1e6, 0, 0, opened(-60), opened(0)), nil},
		{3, seen(1e6, 0, 0, opened(0), opened(3)), []string{"zai circuit_open"}},
		{4, seen(2e5, 0, 0), nil},
		{20, seen(1e6, 0, 0), nil}, // short, and not for long
		{21, seen(2e5, 1, 0), nil},
		{52, seen(2e5, 1, 0), []string{"capacity_short firing", "drift firing"}},
		{60, seen(2e5, 1, 0), nil},
		{61, seen(1e6, 0, 95e9), []string{"budget_nearly_spent firing", "capacity_short resolved", "drift resolved"}},
		{62, seen(1e6, 0, 95e9), nil},
		{63, seen(1e6, 0, 0), []string{"budget_nearly_spent resolved"}},
	} {
		if got := names(h.look(at(row.at), row.view)); !slices.Equal(got, row.want) {
			t.Errorf("row %d: %v, want %v", i, got, row.want)
		}
	}
}

// Two replicas give the same event the same name.
func TestEventsHaveNames(t *testing.T) {
	transition := &tablev1.Transition{AtUnixMs: 5, Provider: "zai", To: tablev1.State_STATE_CIRCUIT_OPEN}
	other := &tablev1.Transition{AtUnixMs: 6, Provider: "zai", To: tablev1.State_STATE_CIRCUIT_OPEN}
	if a, b := transitionID("local", transition), transitionID("local", transition); a != b || a == transitionID("local", other) || a == transitionID("else", transition) {
		t.Errorf("%s, %s", a, b)
	}
}

// However many circuits change between two looks, each is told.
func TestAStormIsToldWhole(t *testing.T) {
	now := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	h := begin(now, nil)
	h.look(now, seen(1e6, 0, 0))
	var storm []*tablev1.Transition
	for i := range 300 {
		storm = append(storm, &tablev1.Transition{AtUnixMs: now.UnixMilli() + int64(i), Provider: "zai", Model: fmt.Sprint(i), To: tablev1.State_STATE_CIRCUIT_OPEN})
	}
	if got := len(h.look(now.Add(300*time.Millisecond), seen(1e6, 0, 0, storm...))); got != 300 {
		t.Errorf("%d of 300 are told", got)
	}
}

// Whoever leads next goes on where the last one ended: nothing is told again but what was not delivered, an alert that fires ends under the same beginning,
// what has begun to be wrong is not given more time, and numbers grow even if the next clock is behind.
func TestTheNextLeaderGoesOn(t *testing.T) {
	dawn := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return dawn.Add(time.Duration(s * float64(time.Second))) }
	opened := func(s float64) *tablev1.Transition {
		return &tablev1.Transition{AtUnixMs: at(s).UnixMilli(), Provider: "zai", To: tablev1.State_STATE_CIRCUIT_OPEN}
	}
	first := begin(at(0), nil)
	var told []notify.Event
	for _, row := range []struct {
		at   float64
		view *admin.View
	}{{0, seen(2e5, 0, 0)}, {31, seen(2e5, 0, 0, opened(30))}, {40, seen(2e5, 1, 0, opened(30), opened(39))}} {
		for _, e := range first.look(at(row.at), row.view) {
			first.notifier.Tell(e)
			told = append(told, e)
		}
	}
	if got := names(told); !slices.Equal(got, []string{"capacity_short firing", "zai circuit_open", "zai circuit_open"}) {
		t.Fatal(got)
	}
	text, err := json.Marshal(first.page(at(40)))
	if err != nil {
		t.Fatal(err)
	}
	last := &page{}
	if err := json.Unmarshal(text, last); err != nil {
		t.Fatal(err)
	}
	next := begin(at(39.5), last) // its clock is behind
	if owed := next.notifier.Owed(); len(owed) != 3 || owed[0].Event.ID != told[0].ID || owed[2].Event.Text != told[2].Text {
		t.Errorf("owed after the takeover: %+v, told were %+v", owed, told)
	}
	after := next.look(at(39.7), seen(2e5, 1, 0, opened(30), opened(39), opened(40)))
	if got := names(after); !slices.Equal(got, []string{"zai circuit_open"}) {
		t.Fatalf("after the takeover: %v", got)
	}
	if after[0].Seq <= told[2].Seq {
		t.Errorf("number %d after %d", after[0].Seq, told[2].Seq)
	}
	after = next.look(at(70.5), seen(1e6, 1, 0, opened(40)))
	if got := names(after); !slices.Equal(got, []string{"capacity_short resolved", "drift firing"}) {
		t.Fatalf("later: %v", got)
	}
	fired := told[slices.IndexFunc(told, func(e notify.Event) bool { return e.Alert != nil })]
	if resolved := after[0]; !resolved.Alert.Since.Equal(fired.Alert.Since) {
		t.Errorf("resolved since another time than it fired: %+v, %+v", resolved.Alert, fired.Alert)
	}
	// Who has just begun and has not heard the nodes yet judges nothing by their silence.
	deaf := seen(2e5, 0, 0)
	deaf.Listening, deaf.Nodes = true, nil
	if got := names(next.look(at(71), deaf)); got != nil {
		t.Errorf("before anybody spoke: %v", got)
	}
}

// TestEventsReadAtNight holds what people read of each kind of event: what, where, since when, why, and where to look.
func TestEventsReadAtNight(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	view := seen(2e5, 0, 95e9, &tablev1.Transition{AtUnixMs: now.UnixMilli(), Provider: "zai", Model: "glm-5", From: tablev1.State_STATE_HEALTHY, To: tablev1.State_STATE_CIRCUIT_OPEN, Reason: "5 hard failures in a row"})
	view.Config.Providers[0].Models = []*tablev1.Model{{Id: "glm-5", Has: ^uint64(0)}}
	view.Health.Targets = append(view.Health.Targets, &tablev1.TargetHealth{Provider: "zai", Model: "glm-5", State: tablev1.State_STATE_CIRCUIT_OPEN, Reason: "5 hard failures in a row"})
	view.Nodes = append(view.Nodes,
		&adminv1.NodeEntry{Live: false, LastHeardUnixMs: now.Add(-4 * time.Second).UnixMilli(), Heartbeat: &tablev1.Heartbeat{Node: "node-2", Region: "eu", Address: "10.0.0.2:8080", InFlight: 3}},
		&adminv1.NodeEntry{Live: false, Heartbeat: &tablev1.Heartbeat{Node: "node-3", Region: "eu", Draining: true}},
		&adminv1.NodeEntry{Live: false, Heartbeat: &tablev1.Heartbeat{Node: "node-4", Region: "us"}},
		&adminv1.NodeEntry{Live: true, Heartbeat: &tablev1.Heartbeat{Node: "node-5", Region: "eu", Nack: &tablev1.Nack{ConfigRevision: 7, Reason: "a plugin that it cannot run"}}})
	h := begin(now, nil)
	var got []string
	for _, e := range append(h.look(now, view), h.look(now.Add(30*time.Second), view)...) {
		got = append(got, e.Text+" "+e.Link)
	}
	const here = " (cluster local, region eu) https://aimux.example/#/"
	want := []string{
		"zai/glm-5: circuit open since 2026-11-23 03:00:00Z, was healthy: 5 hard failures in a row" + here + "providers/zai",
		"class unserved, standard, since 2026-11-23 03:00:00Z: 0 of 1 models that can serve it are up; out: zai/glm-5 (circuit open: 5 hard failures in a row)" + here + "providers",
		"node gone, node-2, since 2026-11-23 03:00:00Z: node-2 at 10.0.0.2:8080 has not been heard since 2026-11-23 02:59:56Z and did not say that it goes; 3 requests were in flight" + here + "nodes",
		"budget nearly spent, all dollars_per_day, since 2026-11-23 03:00:00Z: all has spent $95.00 of its $100.00 per day, 5 % is left" + here + "limits",
		"capacity short, since 2026-11-23 03:00:00Z: health leaves 20 % of the providers' capacity in use; reduced: zai (unknown)" + here + "providers",
		"drift, since 2026-11-23 03:00:00Z: 1 of 2 nodes are behind the catalog, revision 7: node-5 refuses revision 7: a plugin that it cannot run" + here + "nodes",
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("nobody reads %q in\n%s", line, strings.Join(got, "\n"))
		}
	}
	for _, line := range got {
		if strings.Contains(line, "node-3") || strings.Contains(line, "node-4") {
			t.Errorf("told of a node that left or is elsewhere: %s", line)
		}
	}
}
