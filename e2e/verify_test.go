package e2e

import (
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

// TestProvidersAreVerified: a provider is checked by a free probe when it is new, by one node; one that cannot be reached is out before anybody
// asks it, with a history that says why; and the interval of the checks can be changed while they run.
func TestProvidersAreVerified(t *testing.T) {
	there, gone := compatible("openai"), compatible("openai")
	there["health_check_interval"], gone["health_check_interval"] = 3600, 3600
	eachForm(t, map[string]any{"there": there, "gone": gone, "other": compatible("openai"), "another": compatible("openai")}, func(t *testing.T, house *House) {
		api := house.Providers(0)
		entry := func(id string) *adminv1.ProviderEntry {
			got, err := api.GetProvider(t.Context(), connect.NewRequest(&adminv1.GetProviderRequest{Id: id}))
			if err != nil {
				t.Fatal(err)
			}
			return got.Msg.GetProvider()
		}
		eventually(t, "the provider is verified", func() error {
			if check := entry("there").GetCheck(); check.GetAtUnixMs() == 0 || check.GetFault() != "" || check.GetNode() == "" {
				return fmt.Errorf("%v", check)
			}
			return nil
		})
		probes := func() (n uint64) {
			for path, count := range house.Upstream["there"].Stats().ByPath {
				if strings.HasSuffix(path, "/models") {
					n += count
				}
			}
			return n
		}
		if n := probes(); n != 1 {
			t.Errorf("it was probed %d times, want once", n)
		}
		eventually(t, "its nodes tell of it", func() error {
			if page := fetch(t, house.Data[0]+"/providers"); !strings.Contains(page, "free probe") {
				return fmt.Errorf("%s", page)
			}
			return nil
		})
		changed := proto.CloneOf(entry("there").GetProvider())
		changed.HealthCheckInterval = new(1.0)
		if _, err := api.UpdateProvider(t.Context(), connect.NewRequest(&adminv1.UpdateProviderRequest{Id: "there", Provider: changed})); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is checked every second or so", func() error {
			if n := probes(); n < 3 {
				return fmt.Errorf("%d probes so far", n)
			}
			return nil
		})
		if house.Cluster == nil { // it takes as long in both forms
			moveAway(t, house, entry)
		}
	})
}

// moveAway moves a provider to where nobody listens.
func moveAway(t *testing.T, house *House, entry func(id string) *adminv1.ProviderEntry) {
	t.Helper()
	house.Upstream["gone"].Web.Close()
	moved := proto.CloneOf(entry("gone").GetProvider())
	moved.BaseUrl += "/moved"
	moved.ApiKey = "upstream-key"
	if _, err := house.Providers(0).UpdateProvider(t.Context(), connect.NewRequest(&adminv1.UpdateProviderRequest{Id: "gone", Provider: moved})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is out, and nobody has asked it", func() error {
		if gone := entry("gone"); gone.GetCheck().GetFault() != "connect" || gone.GetState().String() != "STATE_CIRCUIT_OPEN" {
			return fmt.Errorf("%v %v", gone.GetState(), gone.GetCheck())
		}
		return nil
	})
	history := adminv1connect.NewHealthServiceClient(pageClient, house.Admin[0])
	page, err := history.ListTransitions(t.Context(), connect.NewRequest(&adminv1.ListTransitionsRequest{Provider: "gone", PageSize: 1}))
	if err != nil || len(page.Msg.GetTransitions()) != 1 {
		t.Fatalf("%v, %v", page.Msg.GetTransitions(), err)
	}
	if page, err = history.ListTransitions(t.Context(), connect.NewRequest(&adminv1.ListTransitionsRequest{Provider: "there"})); err != nil || len(page.Msg.GetTransitions()) > 0 {
		t.Errorf("the history of a provider that is well: %v, %v", page.Msg.GetTransitions(), err)
	}
}
