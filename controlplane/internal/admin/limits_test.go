package admin_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// TestUsesAreThoseOfAllNodes adds up what live nodes tell, puts the fullest first, and shows each scope its own.
func TestUsesAreThoseOfAllNodes(t *testing.T) {
	url, board := serve(t)
	view := full()
	view.Document.Catalog = &adminv1.Catalog{Limits: &adminv1.Limits{RequestsPerMinute: new(uint32(100))}, Providers: map[string]*adminv1.Provider{
		"p": {MaxConcurrentRequests: new(uint32(10)), LimitsPerKey: &adminv1.Limits{DollarsPerDay: new(5.0)}},
	}}
	beat := func(live bool, region string, signs ...*tablev1.LimitSign) *adminv1.NodeEntry {
		return &adminv1.NodeEntry{Live: live, Heartbeat: &tablev1.Heartbeat{Limits: signs, Region: region}}
	}
	view.Document.Catalog.Limits.TokensPerMinute = new(uint64(7)) // nobody has used any
	view.Nodes = []*adminv1.NodeEntry{
		beat(true, "here", &tablev1.LimitSign{Scope: "provider/p", What: "in_flight", Limit: 10, InUse: 3, Refused: 2}, &tablev1.LimitSign{Scope: "all", What: "requests", Limit: 60, Left: 40}),
		beat(true, "here", &tablev1.LimitSign{Scope: "provider/p", What: "in_flight", Limit: 10, InUse: 2, Beyond: 2, Refused: 5}, &tablev1.LimitSign{Scope: "all", What: "requests", Limit: 60, Left: 30},
			&tablev1.LimitSign{Scope: "provider/p/key/fp", What: "dollars_per_day", Limit: 5e9, InUse: 5e8, Left: 1e9}),
		beat(true, "there", &tablev1.LimitSign{Scope: "all", What: "requests", Limit: 30, Left: 25}), // of a third region nothing is heard
		beat(false, "here", &tablev1.LimitSign{Scope: "provider/p", What: "in_flight", Limit: 10, InUse: 9}),
	}
	board.put(view)
	api := adminv1connect.NewLimitServiceClient(http.DefaultClient, url)
	uses, err := api.ListUses(t.Context(), connect.NewRequest(&adminv1.ListUsesRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []*adminv1.LimitUse{
		{Scope: "provider/p/key/fp", What: "dollars_per_day", Limit: 5, Used: 4},
		{Scope: "provider/p", What: "in_flight", Limit: 10, Used: 5, Beyond: 2, Refused: 7},
		{Scope: "all", What: "requests", Limit: 100, Used: 35},
		{Scope: "all", What: "tokens", Limit: 7},
	} {
		if got := uses.Msg.GetUses()[i]; got.String() != want.String() {
			t.Errorf("%v, want %v", got, want)
		}
	}
	if one, err := api.ListUses(t.Context(), connect.NewRequest(&adminv1.ListUsesRequest{Scope: "provider/", Top: 1})); err != nil || len(one.Msg.GetUses()) != 1 || one.Msg.GetUses()[0].GetScope() != "provider/p/key/fp" {
		t.Errorf("%v %v", one.Msg, err)
	}
	list, err := api.ListLimits(t.Context(), connect.NewRequest(&adminv1.ListLimitsRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	var scopes []string
	for _, entry := range list.Msg.GetLimits() {
		scopes = append(scopes, entry.GetScope())
		if len(entry.GetUses()) == 0 {
			t.Errorf("%s: %v", entry.GetScope(), entry.GetUses())
		}
	}
	if len(scopes) != 3 || scopes[2] != "provider/p/keys" {
		t.Errorf("%q", scopes)
	}
	for _, ask := range []func() error{
		func() error {
			_, err := api.GetLimit(t.Context(), connect.NewRequest(&adminv1.GetLimitRequest{Scope: "provider/none"}))
			return err
		},
		func() error {
			_, err := api.SetLimit(t.Context(), connect.NewRequest(&adminv1.SetLimitRequest{Scope: "all"}))
			return err
		},
	} {
		if err := ask(); connect.CodeOf(err) != connect.CodeNotFound && connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v", err)
		}
	}
}

// TestUsageTellsWhatIsMissing: of regions whose nodes are not heard, and of nodes that could not hand over what was used.
func TestUsageTellsWhatIsMissing(t *testing.T) {
	url, board := serve(t)
	view := full()
	node := func(live bool, region string, waiting uint32) *adminv1.NodeEntry {
		return &adminv1.NodeEntry{Live: live, Heartbeat: &tablev1.Heartbeat{Region: region, UsageBlocksWaiting: waiting}}
	}
	view.Nodes = []*adminv1.NodeEntry{node(true, "here", 1), node(true, "there", 9), node(true, "there", 1), node(false, "there", 70), node(false, "away", 3)}
	ask := func() string {
		t.Helper()
		board.put(view)
		answer, err := adminv1connect.NewLedgerServiceClient(http.DefaultClient, url).SumUsage(t.Context(), connect.NewRequest(&adminv1.SumUsageRequest{By: []string{"region"}}))
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, r := range answer.Msg.GetRegions() {
			told = append(told, fmt.Sprintf("%s %v %d", r.GetRegion(), r.GetSilent(), r.GetBlocksWaiting()))
		}
		slices.Sort(told)
		return strings.Join(told, ", ")
	}
	if got := ask(); got != "away true 0, here false 0, there false 9" {
		t.Error(got)
	}
	if view.Listening = true; ask() != "away false 0, gone false 0, here false 0, there false 9" {
		t.Error("whoever has just begun to listen says " + ask())
	}
}
