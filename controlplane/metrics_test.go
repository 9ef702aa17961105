package controlplane

import (
	"flag"
	"log/slog"
	"os"
	"testing"

	"github.com/aimux/aimux/controlplane/internal/store"
	"github.com/aimux/aimux/shared/bus/bustest"
	"github.com/aimux/aimux/shared/secret"
)

var update = flag.Bool("update", false, "write the table of metrics into the documentation")

// The documentation lists every family of figures that a control plane has.
func TestMetricsAreDocumented(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1") // with what is counted of traces
	b := bustest.Join(t, bustest.Serve(t), "cp-1")
	r, err := build(t.Context(), Config{ID: "cp-1", Cluster: bustest.Cluster, Region: bustest.Region, ClusterKey: secret.NewKey([32]byte{1})}, Deps{
		Bus: b, Log: slog.New(slog.DiscardHandler), Listener: &silent{closed: make(chan struct{})}, Store: store.NewMemory(), Archive: &store.MemoryArchive{}, Slate: &store.MemorySlate{},
		LookupEnv: func(string) (string, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.tracer.Close(t.Context())
	const file = "../deploy/docs/metrics-controlplane.md"
	want := "# Metrics of a control plane\n\nAt `/metrics` of the admin address and of the debug listener. `go test ./controlplane -run TestMetricsAreDocumented -update` writes this page.\n\n" + r.metrics.Table()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != want {
		t.Errorf("%s is not what the control plane counts (%v): run with -update", file, err)
	}
}
