package route

import (
	"testing"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// TestCallersLimitsReachTheTable keeps only those who have any, and refuses what cannot be meant.
func TestCallersLimitsReachTheTable(t *testing.T) {
	config := &tablev1.Config{Policy: &tablev1.Policy{MaxAttempts: 1}, Auth: &tablev1.Auth{
		Callers: []*tablev1.Caller{{Id: "alice", Team: "red", Limits: &tablev1.Limits{RequestsPerMinute: 60, Mode: "strict"}}, {Id: "bob", Limits: &tablev1.Limits{Mode: "open"}}},
		Teams:   []*tablev1.Team{{Id: "red", Limits: &tablev1.Limits{NanodollarsPerDay: 5}}, {Id: "blue"}},
	}}
	table, err := FromWire(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := table.KeyLimits(); len(got) != 1 || got["alice"] != (Limits{Requests: 60, Mode: Strict}) {
		t.Errorf("keys: %+v", got)
	}
	if got := table.TeamLimits(); len(got) != 1 || got["red"] != (Limits{NanoPerDay: 5}) {
		t.Errorf("teams: %+v", got)
	}
	config.Auth.Teams[1].Limits = &tablev1.Limits{Mode: "loose"}
	if _, err := FromWire(config, nil); err == nil {
		t.Error("a mode that is none was taken")
	}
}

// TestRegionsPart is all where nobody said, and never nothing of a limit.
func TestRegionsPart(t *testing.T) {
	whole := Limits{InFlight: 10, Tokens: 1 << 53, NanoPerDay: 3, Mode: Strict}
	for share, want := range map[uint32]Limits{
		ppm: whole, 2 * ppm: whole, 250_000: {InFlight: 2, Tokens: 1 << 51, NanoPerDay: 1, Mode: Strict}, 1: {InFlight: 1, Tokens: (1 << 53) / ppm, NanoPerDay: 1, Mode: Strict},
	} {
		if got := whole.Part(share); got != want {
			t.Errorf("%d ppm: %+v, want %+v", share, got, want)
		}
	}
	table, err := FromWire(&tablev1.Config{Policy: &tablev1.Policy{MaxAttempts: 1}, Providers: []*tablev1.Provider{
		{Id: "p", Kind: "compatible", Protocol: "openai", Enabled: true, Models: []*tablev1.Model{{Id: "m"}, {Id: "n"}}},
		{Id: "q", Kind: "compatible", Protocol: "openai", Enabled: true, Models: []*tablev1.Model{{Id: "m"}}},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if table.RegionSharePPM() != ppm || table.CapacitySharePPM(0) != ppm {
		t.Error("nobody said that the region has less than all")
	}
	table = table.WithHealth(&tablev1.Health{RegionSharePpm: 400_000, Targets: []*tablev1.TargetHealth{
		{Provider: "p", CapacitySharePpm: 300_000}, {Provider: "p", Model: "m", CapacitySharePpm: 100_000}, {Provider: "q", State: tablev1.State_STATE_UNHEALTHY},
	}})
	if got := table.RegionSharePPM(); got != 400_000 {
		t.Errorf("the region has %d", got)
	}
	if got := table.CapacitySharePPM(0); got != 300_000 {
		t.Errorf("of p the region has %d", got)
	}
	if got := table.CapacitySharePPM(1); got != ppm {
		t.Errorf("of q, which is unhealthy, the region has %d", got)
	}
	if got := table.Aged(forgotten * 2); got.RegionSharePPM() != 400_000 || got.CapacitySharePPM(0) != 300_000 {
		t.Error("without news the region takes what others were given")
	}
}
