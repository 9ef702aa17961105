package controlplane

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/controlplane/internal/admin"
	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/controlplane/internal/store"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/secret"
)

// What nodes could never be told is refused when it is asked for, with its size; a way back is open.
func TestTablesThatTheBusDoesNotCarry(t *testing.T) {
	key := secret.NewKey([32]byte{1})
	k := newKeeper("cp-1", store.NewMemory(), catalog.Env{Key: key, Nonce: nonce}, newBoard(), newDocuments(key, false), func() uint64 { return 0 })
	configMax, healthMax := 64<<10, 64<<10
	k.tableMax = func() (int, int) { return configMax, healthMax }
	models := func(n int) error {
		_, err := k.change(t.Context(), admin.Author{Actor: "operator", Procedure: "test"}, 0, func(doc *adminv1.Document, _ uint64) error {
			p := &adminv1.Provider{Kind: "synthetic"}
			for i := range n {
				p.Models = append(p.Models, &adminv1.Model{Id: fmt.Sprintf("model-%d", i)})
			}
			doc.Catalog = &adminv1.Catalog{Providers: map[string]*adminv1.Provider{"a": p}}
			return nil
		})
		return err
	}
	refused := func(err error, what string) {
		t.Helper()
		if !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "max_payload") {
			t.Errorf("%v, want that the %s is too large", err, what)
		}
	}
	if err := models(200); err != nil {
		t.Fatal(err)
	}
	refused(models(400), "health that nodes get would have 80883 bytes, 15347 more")
	configMax = 1 << 10
	refused(models(201), "table that nodes get")
	refused(models(200), "table that nodes get")
	if err := models(100); err != nil {
		t.Errorf("fewer are refused: %v", err)
	}
}

// Health takes no more of a target than what is reckoned with.
func TestHealthBytes(t *testing.T) {
	const id, model = "a-provider", "a-model"
	full := &tablev1.Health{Targets: []*tablev1.TargetHealth{{
		Provider: id, Model: model, State: tablev1.State_STATE_CIRCUIT_OPEN, WeightPpm: 1_000_000, CapacitySharePpm: 1_000_000, Reason: strings.Repeat("x", 64), FirstTokenMs: 100_000, SuccessPpm: 999_999,
		InFlight: 100_000, SinceUnixMs: 1 << 42, PerTokenUs: 1_000_000, Opens: 1000, Successes: 10, OpenedUnixMs: 1 << 42, RetryUnixMs: 1 << 42, OpenIn: []string{"us-east-1"}, Heeded: true,
		OverrideUntilUnixMs: 1 << 42, Probe: &tablev1.ProbeGrant{Node: "node-1"},
	}}}
	if n := proto.Size(full); n > healthBytes+len(id)+len(model) {
		t.Errorf("%d bytes", n)
	}
}
