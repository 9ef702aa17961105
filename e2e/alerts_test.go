package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/keyfile"
)

// TestAlertsFireAndResolve does to a cluster under a real Prometheus what the alerts are for that no outage of TestPrometheus causes, and takes it
// back: each fires, and ends.
func TestAlertsFireAndResolve(t *testing.T) {
	priced := func(protocol string) map[string]any {
		settings := serves(compatible(protocol), "text", "*")
		settings["cost_per_input_token"], settings["cost_per_output_token"] = 0.001, 0.001
		return settings
	}
	house := openRouted(t, Forms[1], map[string]any{"load_balancer": "round_robin"}, map[string]any{"one": priced("openai"), "two": priced("anthropic")})
	base := startPrometheus(t, house)
	becomes := func(what string, fires bool, alerts ...string) {
		t.Helper()
		var names []string
		var err error
		for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			for _, node := range house.Data {
				post(t, node+"/v1/messages", `{"model":"any","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}`)
			}
			names, err = firing(base)
			if err == nil && !slices.ContainsFunc(alerts, func(name string) bool { return slices.Contains(names, name) != fires }) {
				return
			}
		}
		t.Fatalf("%s: firing are %v, %v; of %v each should be %v", what, names, err, alerts, fires)
	}
	all := []string{"AimuxBudgetNearlySpent", "AimuxDrift", "AimuxErrorBudgetBurnsFast", "AimuxErrorBudgetBurns"}
	becomes("after the start", false, all...)

	house.budget(t, 0.5)
	becomes("a budget of half a dollar", true, "AimuxBudgetNearlySpent")
	house.budget(t, 100_000)
	becomes("a budget that lasts", false, "AimuxBudgetNearlySpent")

	house.publishNonsense(t)
	becomes("nodes refuse what they are told", true, "AimuxDrift")
	for attempts := range uint32(2) { // the first has the number of the nonsense
		if _, err := house.Routing(0).UpdateRouting(t.Context(), connect.NewRequest(&adminv1.UpdateRoutingRequest{Routing: &adminv1.Routing{MaxAttempts: new(2 + attempts)}})); err != nil {
			t.Fatal(err)
		}
	}
	becomes("nodes are told something better", false, "AimuxDrift")

	for _, upstream := range house.Upstream {
		if err := upstream.Behave("status=500"); err != nil {
			t.Fatal(err)
		}
	}
	becomes("everybody fails", true, "AimuxErrorBudgetBurnsFast", "AimuxErrorBudgetBurns")
	for _, upstream := range house.Upstream {
		if err := upstream.Behave(""); err != nil {
			t.Fatal(err)
		}
	}
	becomes("everybody is well", false, all...)
}

// budget is how many dollars a day a provider may cost.
func (h *House) budget(t *testing.T, dollars float64) {
	t.Helper()
	limits := adminv1connect.NewLimitServiceClient(http.DefaultClient, h.Admin[0])
	if _, err := limits.SetLimit(t.Context(), connect.NewRequest(&adminv1.SetLimitRequest{Scope: "provider/one", Limits: &adminv1.Limits{DollarsPerDay: &dollars}})); err != nil {
		t.Fatal(err)
	}
}

// publishNonsense has somebody with the cluster's key publish a table that no node can route by, as the next revision.
func (h *House) publishNonsense(t *testing.T) {
	t.Helper()
	key, err := keyfile.Find("file:" + filepath.Join(h.dir, "cluster.key"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.Connect(bus.Config{URL: "nats://" + h.Port(t, 0), Cluster: "local", Region: "local", Name: "cp-9", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	table, err := adminv1connect.NewTableServiceClient(http.DefaultClient, h.Admin[0]).GetTable(t.Context(), connect.NewRequest(&adminv1.GetTableRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	nonsense := table.Msg.GetConfig()
	nonsense.Header.ConfigRevision++
	nonsense.Providers = append(nonsense.GetProviders(), &tablev1.Provider{Id: "one", Kind: "nonsense", Protocol: "smoke signals", Enabled: true})
	eventually(t, "it is said", func() error {
		if !b.Connected() {
			return fmt.Errorf("not connected to NATS")
		}
		return b.PublishConfig(nonsense, "")
	})
	if err := b.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestEveryAlertHasACase wants each rule to be seen firing, and quiet, by promtool: make rules runs the cases.
func TestEveryAlertHasACase(t *testing.T) {
	dir := filepath.Join(root(t), "deploy", "prometheus")
	rules, err := os.ReadFile(filepath.Join(dir, "rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	cases, err := os.ReadFile(filepath.Join(dir, "rules_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllSubmatch(rules, -1)
	if len(alerts) < 15 {
		t.Fatalf("only %d alerts were found", len(alerts))
	}
	for _, alert := range alerts {
		name := string(alert[1])
		if !regexp.MustCompile(`alertname: ` + name + `\s+exp_alerts:\s+- exp_labels`).Match(cases) {
			t.Errorf("%s fires in no case", name)
		}
		if !regexp.MustCompile(`alertname: ` + name + `, exp_alerts: \[\]`).Match(cases) {
			t.Errorf("%s is quiet in no case", name)
		}
	}
}
