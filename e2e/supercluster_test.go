package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

// superServers are the NATS servers of two regions: three of eu, where the streams are, and one of us, joined by gateways.
const superServers = 4

// openSuperCluster starts two regions of a control plane and a node each, with a NATS each; number 1 of them is eu, number 2 is us.
func openSuperCluster(t *testing.T, catalog map[string]any) (*House, natsServers) {
	t.Helper()
	house := startSized(t, 2, 2, "eu us", catalog) // for its directory and its ports
	names := []string{"cp-1", "node-1", "cp-2", "node-2"}
	for _, name := range append(names, "nats") {
		house.Cluster(t, "stop", name, "KILL")
		if err := os.RemoveAll(filepath.Join(house.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	var servers natsServers
	t.Cleanup(func() { servers.stop() })
	for i := range superServers {
		servers = append(servers, startSuperServer(t, house, i))
	}
	for _, name := range names {
		at := house.Port(t, 2)
		if strings.HasSuffix(name, "2") {
			at = house.Port(t, 2+superServers-1)
		}
		house.Cluster(t, "start", name, "nats://"+at)
	}
	for i, node := range house.Data {
		eventually(t, "the nodes are ready", func() error { return isReady(node) })
		eventually(t, "the control planes are ready", func() error { return isReady(house.Admin[i]) })
	}
	return house, servers
}

// startSuperServer starts one of the servers; the last one is alone in its region.
func startSuperServer(t *testing.T, house *House, i int) *exec.Cmd {
	t.Helper()
	port := func(n int) string { return house.Port(t, n) }
	region, routes := "eu", fmt.Sprintf("%q, %q, %q", "nats://"+port(6), "nats://"+port(7), "nats://"+port(8))
	if i == superServers-1 {
		region, routes = "us", fmt.Sprintf("%q", "nats://"+port(6+i))
	}
	text := fmt.Sprintf("server_name: n%d\nlisten: %q\nmax_payload: 4MB\njetstream { store_dir: %q, sync_interval: always }\n"+
		"cluster { name: %s, listen: %q, routes: [%s] }\ngateway { name: %s, listen: %q, gateways: [ { name: eu, urls: [%q, %q] }, { name: us, url: %q } ] }\n",
		i, port(2+i), filepath.Join(house.dir, fmt.Sprint("n", i)), region, port(6+i), routes, region, port(36+i),
		"nats://"+port(36), "nats://"+port(37), "nats://"+port(36+superServers-1))
	path := filepath.Join(house.dir, fmt.Sprint("n", i, ".conf"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(filepath.Join(filepath.Dir(aimux(t)), "nats-server"), "-c", path, "-l", filepath.Join(house.dir, fmt.Sprint("n", i, ".log")))
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	return server
}

// TestUsageOverRegions: two regions with a NATS each make one ledger, which tells them apart; while one is away it says whose usage is missing, and counts
// it when the region is back.
func TestUsageOverRegions(t *testing.T) {
	house, servers := openSuperCluster(t, map[string]any{"routing": map[string]any{}, "providers": map[string]any{"only": map[string]any{"kind": "synthetic"}}})
	call := func(node, times int) {
		t.Helper()
		for range times {
			if response, body := post(t, house.Data[node]+"/v1/messages", ask("synthetic")); response.StatusCode != http.StatusOK {
				t.Fatalf("%d: %s", response.StatusCode, body)
			}
		}
	}
	call(0, 3)
	call(1, 5)
	for _, controlplane := range []int{0, 1} {
		wantUsage(t, house, controlplane, map[string]uint64{"eu": 3, "us": 5}, "")
	}
	last := superServers - 1
	servers[last : last+1].stop()
	call(1, 4) // its node goes on without its NATS, and writes down what it serves
	call(0, 1)
	wantUsage(t, house, 0, map[string]uint64{"eu": 4, "us": 5}, "us")
	servers[last] = startSuperServer(t, house, last)
	for _, controlplane := range []int{0, 1} {
		wantUsage(t, house, controlplane, map[string]uint64{"eu": 4, "us": 9}, "")
	}
}

// wantUsage waits until a control plane tells so many requests for each region, by itself and chosen alone, and says that nothing but one region is
// missing.
func wantUsage(t *testing.T, house *House, controlplane int, want map[string]uint64, silent string) {
	t.Helper()
	ledger := adminv1connect.NewLedgerServiceClient(http.DefaultClient, house.Admin[controlplane])
	sum := func(region string) (map[string]uint64, string, error) {
		answer, err := ledger.SumUsage(t.Context(), connect.NewRequest(&adminv1.SumUsageRequest{By: []string{"region"}, Region: region}))
		if err != nil {
			return nil, "", err
		}
		got, missing := map[string]uint64{}, ""
		for _, s := range answer.Msg.GetSums() {
			got[s.GetRegion()] += s.GetRequests()
		}
		for _, r := range answer.Msg.GetRegions() {
			if r.GetSilent() {
				missing += r.GetRegion()
			}
		}
		return got, missing, nil
	}
	eventually(t, fmt.Sprintf("control plane %d knows what each region used", controlplane+1), func() error {
		got, missing, err := sum("")
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || missing != silent {
			return fmt.Errorf("%v, and %q is missing, %w; want %v and %q", got, missing, err, want, silent)
		}
		if alone, _, err := sum("us"); err != nil || len(alone) != 1 || alone["us"] != want["us"] {
			return fmt.Errorf("of us alone %v, %w", alone, err)
		}
		return nil
	})
}
