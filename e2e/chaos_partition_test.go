package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// TestOneNodeIsCutOff cuts one node off from NATS, in both directions and in each alone, while the operator changes the configuration. The
// node serves on, and has caught up within a second of the end of the partition (I9).
func TestOneNodeIsCutOff(t *testing.T) {
	quiet(t)
	for _, row := range []struct {
		name        string
		there, back bool
		deaf        bool // it cannot hear of the change
	}{
		{"both directions", true, true, true},
		{"it hears nothing", false, true, true},
		{"nobody hears it", true, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			house := chaosHouse(t, fourProviders())
			way := newPassage(t, house.Port(t, 0))
			house.Cluster(t, "stop", "node-3")
			house.Cluster(t, "start", "node-3", "nats://"+way.Addr().String())
			together(t, house, 0)
			before, since := drill(t, house, house.Data, func() {
				way.shutTo(row.there, row.back)
				time.Sleep(time.Second)
				revision := touch(t, house, "b")
				eventually(t, "the others have the change", func() error {
					if v, err := tableOf(house.Data[0]); err != nil || v.Table.Revision != revision {
						return fmt.Errorf("%+v %w", v, err)
					}
					return nil
				})
				time.Sleep(2500 * time.Millisecond)
				if v, err := tableOf(house.Data[2]); err != nil || row.deaf && v.Table.Revision == revision {
					t.Errorf("the node is not cut off: %+v %v", v, err)
				}
				way.shutTo(false, false)
				healed(t, house, "partition", revision)
			}, 500*time.Millisecond)
			since.unnoticed(t, "one node cut off", before)
		})
	}
}

// touch changes a provider a little, at the first control plane, and returns the revision.
func touch(t testing.TB, house *House, id string) uint64 {
	t.Helper()
	api := house.Providers(0)
	current, err := api.GetProvider(t.Context(), connect.NewRequest(&adminv1.GetProviderRequest{Id: id}))
	if err != nil {
		t.Fatal(err)
	}
	provider := current.Msg.GetProvider().GetProvider()
	provider.PriorityScore = new(float64(1 + current.Msg.GetRevision()%90))
	written, err := api.UpdateProvider(t.Context(), connect.NewRequest(&adminv1.UpdateProviderRequest{Id: id, Provider: provider}))
	if err != nil {
		t.Fatal(err)
	}
	return written.Msg.GetRevision()
}

// TestConfigStorm writes fast, badly and hugely under load: what is bad changes nothing (I12), what is good reaches every node, and nobody
// notices.
func TestConfigStorm(t *testing.T) {
	quiet(t)
	house := chaosHouse(t, fourProviders())
	before, since := drill(t, house, house.Data, func() {
		last := uint64(0)
		every := time.NewTicker(20 * time.Millisecond)
		defer every.Stop()
		for range 100 {
			last = touch(t, house, "b")
			<-every.C
		}
		healed(t, house, "100 writes, 50 a second", last)
		for name, bad := range map[string]*adminv1.Provider{
			"bad":  {Kind: "compatible", BaseUrl: "ftp://nowhere", Models: []*adminv1.Model{{Id: ""}}},
			"huge": {Kind: "compatible", Protocol: "openai", BaseUrl: house.Upstream["a"].Web.URL, AllowPrivateAddress: true, Models: manyModels(60000)},
		} {
			if _, err := house.Providers(0).CreateProvider(t.Context(), connect.NewRequest(&adminv1.CreateProviderRequest{Id: name, Provider: bad})); err == nil {
				t.Errorf("a %s provider was accepted", name)
			} else if len(err.Error()) > 10000 {
				t.Errorf("a %s provider was refused in %d bytes", name, len(err.Error()))
			}
		}
		healed(t, house, "bad and huge writes", touch(t, house, "c"))
	}, 500*time.Millisecond)
	since.unnoticed(t, "config storm", before)
}

func manyModels(n int) (list []*adminv1.Model) {
	for i := range n {
		list = append(list, &adminv1.Model{Id: fmt.Sprint("model-", i, strings.Repeat("x", 80))})
	}
	return list
}
