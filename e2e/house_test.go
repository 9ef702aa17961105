package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/aimux/aimux/deploy/allinone"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	"github.com/aimux/aimux/shared/synthetic"
)

// House is a running aimux with the scripted providers behind it, seen from the street.
type House struct {
	// Data and Admin are the base URLs of every node and every control plane.
	Data, Admin []string
	// Upstream are the scripted providers, by the provider's id.
	Upstream map[string]*Upstream
	dir      string // where the cluster's processes keep their files
	// Cluster runs deploy/cluster.sh with this house's settings; nil where everything is one process.
	Cluster func(t testing.TB, args ...string)
}

// Upstream is one scripted provider on a loopback port of its own.
type Upstream struct {
	*synthetic.Server
	Web *httptest.Server
}

// Form is one way to run aimux: the same suite runs against each.
type Form struct {
	Name  string
	Start func(t testing.TB, catalog map[string]any) *House
}

// Forms are all ways to run it.
var Forms = []Form{{"one process", startAllInOne}, {"real processes", startCluster}}

// eachForm runs the test against every form, each with providers of its own.
func eachForm(t *testing.T, providers map[string]any, test func(t *testing.T, house *House)) {
	t.Helper()
	for _, form := range Forms {
		t.Run(form.Name, func(t *testing.T) { test(t, open(t, form, providers)) })
	}
}

// open starts the scripted providers that the settings name, then a house that routes to them. A provider's settings may hold "vendor"
// and "recorded", the number of requests to remember, which are for the scripted provider and are not part of the catalog.
func open(t testing.TB, form Form, providers map[string]any) *House {
	t.Helper()
	return openRouted(t, form, map[string]any{}, providers)
}

// openRouted is open with the operator's routing.
func openRouted(t testing.TB, form Form, routing, providers map[string]any) *House {
	t.Helper()
	return openWhole(t, form, map[string]any{"routing": routing}, providers)
}

// openWhole is open with other sections of the catalog.
func openWhole(t testing.TB, form Form, sections, providers map[string]any) *House {
	t.Helper()
	catalog := map[string]any{}
	upstream := map[string]*Upstream{}
	for id, settings := range providers {
		wanted := maps.Clone(settings.(map[string]any))
		vendor, _ := wanted["vendor"].(string)
		recorded, _ := wanted["recorded"].(int)
		delete(wanted, "vendor")
		delete(wanted, "recorded")
		server := synthetic.New(synthetic.Config{Name: id, Vendor: vendor, MaxRecorded: recorded})
		web := httptest.NewServer(server)
		t.Cleanup(web.Close)
		upstream[id] = &Upstream{Server: server, Web: web}
		base, _ := wanted["base_url"].(string)
		wanted["base_url"] = web.URL + base
		wanted["allow_private_address"] = true
		catalog[id] = wanted
	}
	whole := maps.Clone(sections)
	whole["providers"] = catalog
	house := form.Start(t, whole)
	house.Upstream = upstream
	return house
}

// compatible is a provider's settings for one wire, with a model for each scenario that the tests ask for.
func compatible(protocol string, scenarios ...string) map[string]any {
	models := []any{}
	for _, scenario := range append([]string{"text"}, scenarios...) {
		models = append(models, map[string]any{"id": scenario, "context_window": 200000, "max_output_tokens": 64000})
	}
	return map[string]any{
		"kind": "compatible", "protocol": protocol, "base_url": "/v1", "api_key": "upstream-key", "health_check_interval": 0,
		"supports_thinking": true, "supports_vision": true, "supports_tools": true, "supports_streaming": true, "models": models,
	}
}

func writeCatalog(t testing.TB, dir string, catalog map[string]any) string {
	t.Helper()
	text, err := json.MarshalIndent(catalog, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "aimux.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startAllInOne runs everything in the test's own process.
func startAllInOne(t testing.TB, catalog map[string]any) *House {
	t.Helper()
	dir := t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan allinone.Addresses, 1), make(chan error, 1)
	go func() {
		ended <- allinone.Run(ctx, allinone.Config{
			Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", AdminAnonymous: "admin", Data: filepath.Join(dir, "data"), File: writeCatalog(t, dir, catalog), Region: "local", Version: "test",
		}, allinone.Deps{Log: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn})), Ready: func(at allinone.Addresses) { ready <- at }})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("aimux ended with %v", err)
		}
	})
	select {
	case at := <-ready:
		return &House{Data: []string{"http://" + at.Data}, Admin: []string{"http://" + at.Admin}}
	case err := <-ended:
		ended <- err
		t.Fatalf("aimux did not start: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("aimux did not become ready within a minute")
	}
	return nil
}

// testLog prints what the house logs where the test prints.
type testLog struct{ t testing.TB }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(line)))
	return len(line), nil
}

// root is the project's directory.
func root(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// startCluster runs deploy/cluster.sh: 3 control planes, 3 nodes, NATS and Redis, all real processes.
func startCluster(t testing.TB, catalog map[string]any) *House {
	return startSized(t, 3, 3, "local", catalog)
}

// startSized is startCluster with so many processes of each kind, which belong to the regions in turn.
func startSized(t testing.TB, controlplanes, nodes int, regions string, catalog map[string]any) *House {
	t.Helper()
	dir := t.TempDir()
	port := freePorts(t)
	env := append(os.Environ(), "AIMUX_ADMIN_ANONYMOUS=admin", "AIMUX_DEBUG_OPEN=true", "AIMUX_HOME="+dir, "CLUSTER_DIR="+dir, "CLUSTER_PORT="+strconv.Itoa(port), "CLUSTER_CONFIG="+writeCatalog(t, dir, catalog),
		fmt.Sprintf("CONTROLPLANES=%d", controlplanes), fmt.Sprintf("NODES=%d", nodes), "REGIONS="+regions)
	script := func(t testing.TB, args ...string) {
		t.Helper()
		command := exec.Command(filepath.Join(root(t), "deploy", "cluster.sh"), args...)
		command.Env = env
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("cluster.sh %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	t.Cleanup(func() {
		script(t, "down")
		if t.Failed() {
			keepLogs(t, dir)
		}
	})
	script(t, "up")
	house := &House{Cluster: script, dir: dir}
	for i := 1; i <= nodes; i++ {
		house.Data = append(house.Data, fmt.Sprintf("http://127.0.0.1:%d", port+20+i))
	}
	for i := 1; i <= controlplanes; i++ {
		house.Admin = append(house.Admin, fmt.Sprintf("http://127.0.0.1:%d", port+10+i))
	}
	return house
}

// keepLogs prints the end of every process's log of a test that failed.
func keepLogs(t testing.TB, dir string) {
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, name := range logs {
		text, _ := os.ReadFile(name)
		t.Logf("%s: …%s", filepath.Base(name), text[max(0, len(text)-2000):])
	}
}

// freePorts finds a base below the range that the system hands out by itself, where all of a cluster's ports are free.
func freePorts(t testing.TB) int {
	t.Helper()
	const wanted, first, last = 41, 20000, 32000
	for base := first + os.Getpid()%100*wanted; base < last; base += wanted {
		if allFree(base, wanted) {
			return base
		}
	}
	t.Fatal("no range of free ports")
	return 0
}

func allFree(base, n int) bool {
	for port := base; port < base+n; port++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		listener.Close()
	}
	return true
}

// PID is the process id of one of the cluster's processes.
func (h *House) PID(t testing.TB, name string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, name+".pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// Providers is the admin API of one control plane.
func (h *House) Providers(controlplane int) adminv1connect.ProviderServiceClient {
	return adminv1connect.NewProviderServiceClient(http.DefaultClient, h.Admin[controlplane])
}

// Nodes is the admin API's view of the nodes at one control plane.
func (h *House) Nodes(controlplane int) adminv1connect.NodeServiceClient {
	return adminv1connect.NewNodeServiceClient(http.DefaultClient, h.Admin[controlplane])
}

// Converged waits until every live node has applied the revision.
func (h *House) Converged(t testing.TB, revision uint64) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if _, err := h.Nodes(0).WaitForRevision(ctx, connect.NewRequest(&adminv1.WaitForRevisionRequest{Revision: revision})); err != nil {
		t.Fatalf("waiting for revision %d: %v", revision, err)
	}
}

// eventually waits for a condition, and fails with what it last said.
func eventually(t testing.TB, what string, condition func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = condition(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// post sends a request and returns the answer with its whole body.
func post(t testing.TB, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("reading the answer of %s: %v", url, err)
	}
	return response, string(text)
}
