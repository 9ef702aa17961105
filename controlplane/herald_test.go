package controlplane

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aimux/aimux/controlplane/internal/admin"
	"github.com/aimux/aimux/controlplane/internal/notify"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// sight is what a leader's board shows.
func sight(weight uint32, behind uint64, spentNano int64, transitions ...*tablev1.Transition) *admin.View {
	return &admin.View{
		Revision: 7, Leading: true, Document: &adminv1.Document{Catalog: &adminv1.Catalog{}},
		Config: &tablev1.Config{Providers: []*tablev1.Provider{{Id: "zai", Enabled: true}}},
		Health: &tablev1.Health{Targets: []*tablev1.TargetHealth{{Provider: "zai", WeightPpm: weight}}}, Transitions: transitions,
		Nodes: []*adminv1.NodeEntry{{Live: true, Drift: behind, Heartbeat: &tablev1.Heartbeat{Limits: []*tablev1.LimitSign{
			{Scope: "all", What: "dollars_per_day", Limit: 100e9, InUse: spentNano, Left: 100e9 - spentNano},
		}}}},
	}
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

// What happens is told once; what lasts is told when it has lasted, and when it ends; who does not lead says nothing.
func TestHerald(t *testing.T) {
	dawn := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return dawn.Add(time.Duration(s * float64(time.Second))) }
	opened := func(s float64) *tablev1.Transition {
		return &tablev1.Transition{AtUnixMs: at(s).UnixMilli(), Provider: "zai", From: 1, To: tablev1.State_STATE_CIRCUIT_OPEN, Reason: "3 hard failures in a row"}
	}
	h := &herald{cluster: "local"}
	follower := sight(1e6, 0, 0, opened(0))
	follower.Leading = false
	for i, row := range []struct {
		at   float64
		view *admin.View
		want []string
	}{
		{0, follower, nil},
		{1, sight(1e6, 0, 0, opened(-60), opened(0)), []string{"zai circuit_open"}}, // the one that the leader before may not have told
		{2, sight(1e6, 0, 0, opened(-60), opened(0)), nil},
		{3, sight(1e6, 0, 0, opened(0), opened(3)), []string{"zai circuit_open"}},
		{4, sight(2e5, 0, 0), nil},
		{20, sight(1e6, 0, 0), nil}, // short, and not for long
		{21, sight(2e5, 1, 0), nil},
		{52, sight(2e5, 1, 0), []string{"capacity_short firing", "drift firing"}},
		{60, sight(2e5, 1, 0), nil},
		{61, sight(1e6, 0, 95e9), []string{"capacity_short resolved", "drift resolved"}},
		{62, sight(1e6, 0, 95e9), []string{"budget_nearly_spent firing"}},
		{63, sight(1e6, 0, 0), []string{"budget_nearly_spent resolved"}},
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
	h := &herald{cluster: "local"}
	h.look(now, sight(1e6, 0, 0))
	var storm []*tablev1.Transition
	for i := range 300 {
		storm = append(storm, &tablev1.Transition{AtUnixMs: now.UnixMilli() + int64(i), Provider: "zai", Model: fmt.Sprint(i), To: tablev1.State_STATE_CIRCUIT_OPEN})
	}
	if got := len(h.look(now.Add(300*time.Millisecond), sight(1e6, 0, 0, storm...))); got != 300 {
		t.Errorf("%d of 300 are told", got)
	}
}
