package dataplane

import (
	"flag"
	"log/slog"
	"net"
	"os"
	"testing"

	"github.com/aimux/aimux/shared/bus/bustest"
	"github.com/aimux/aimux/shared/secret"
)

var update = flag.Bool("update", false, "write the table of metrics into the documentation")

// The documentation lists every family of figures that a node has.
func TestMetricsAreDocumented(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1") // with what is counted of traces
	b := bustest.Join(t, bustest.Serve(t), "node-1")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	n, err := build(t.Context(), Config{ID: "node-1", Cluster: bustest.Cluster, Region: bustest.Region, ClusterKey: secret.NewKey([32]byte{1})}, Deps{Bus: b, Log: slog.New(slog.DiscardHandler)}, listener)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	const file = "../deploy/docs/metrics-node.md"
	want := "# Metrics of a node\n\nAt `/metrics` of the data address and of the debug listener. `go test ./dataplane -run TestMetricsAreDocumented -update` writes this page.\n\n" + n.metrics.Table()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != want {
		t.Errorf("%s is not what the node counts (%v): run with -update", file, err)
	}
}
