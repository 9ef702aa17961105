package dataplane

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"

	"github.com/aimux/aimux/shared/bus/bustest"
	"github.com/aimux/aimux/shared/route"
)

// cast is two scripted providers, as unlike as the catalog makes them.
func cast(revision uint64, name string) *tablev1.Config {
	config := table(revision)
	config.Providers = []*tablev1.Provider{
		{
			Id: "swift", Name: name, Kind: "synthetic", Protocol: "openai", Enabled: true, AvgResponseTimeMs: 1, PriorityScore: 90,
			Models: []*tablev1.Model{{Id: "swift-1", Has: uint64(route.Streaming), Price: &tablev1.Price{Input: 1, Output: 1}}},
		},
		{
			Id: "sage", Name: "Sage", Kind: "synthetic", Protocol: "openai", Enabled: true, AvgResponseTimeMs: 300, PriorityScore: 10,
			Models: []*tablev1.Model{{Id: "sage-1", Has: ^uint64(0) >> 44, Price: &tablev1.Price{Input: 1, Output: 1}}},
		},
	}
	return config
}

// The scripted providers inside a node are what the catalog says they are: by name, by speed, and after a change of the table too.
func TestScriptedProvidersAreWhatTheTableSays(t *testing.T) {
	dial := bustest.Serve(t)
	capital := newCapital(t, dial)
	if _, err := capital.bus.ServeConfig(func() *tablev1.Config { return cast(3, "Swift") }); err != nil {
		t.Fatal(err)
	}
	n := start(t, filepath.Join(t.TempDir(), "node-1"), dial)
	ask := func(model string) (string, time.Duration) {
		began := time.Now()
		status, body := n.ask(t, fmt.Sprintf(`{"model":%q,"max_tokens":50,"messages":[{"role":"user","content":"Hello"}]}`, model))
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		return body, time.Since(began)
	}
	if body, _ := ask("swift-1"); !strings.Contains(body, "Hello from Swift") {
		t.Errorf("%s", body)
	}
	if body, took := ask("sage-1"); !strings.Contains(body, "Hello from Sage") || took < 300*time.Millisecond {
		t.Errorf("after %v: %s", took, body)
	}
	if err := capital.bus.PublishConfig(cast(4, "Swallow"), ""); err != nil {
		t.Fatal(err)
	}
	capital.until("the new table is in use", func() bool {
		return len(capital.beats) > 0 && capital.beats[len(capital.beats)-1].GetApplied().GetConfigRevision() == 4
	})
	if body, _ := ask("swift-1"); !strings.Contains(body, "Hello from Swallow") {
		t.Errorf("%s", body)
	}
}
