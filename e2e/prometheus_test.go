package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// windows are the times over which the rules take rates, and those that a test can wait for.
var windows = strings.NewReplacer("[5m]", "[5s]", "[30m]", "[8s]", "[1h]", "[10s]", "[6h]", "[12s]")

// startPrometheus runs a real Prometheus with the project's rules over a cluster. It looks often; its rules do not wait, and look back over seconds.
func startPrometheus(t *testing.T, house *House) (base string) {
	t.Helper()
	dir := t.TempDir()
	rules, err := os.ReadFile(filepath.Join(root(t), "deploy", "prometheus", "rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	soon := regexp.MustCompile(`(?m)^(\s+)for: .*$`).ReplaceAllString(windows.Replace(string(rules)), "${1}for: 0s")
	targets := func(bases []string, shift int) string {
		var list []string
		for _, b := range bases {
			at, _ := url.Parse(b)
			var port int
			fmt.Sscan(at.Port(), &port)
			list = append(list, fmt.Sprintf("%q", fmt.Sprintf("127.0.0.1:%d", port+shift)))
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	config := fmt.Sprintf(`{global: {scrape_interval: 500ms, evaluation_interval: 500ms}, rule_files: [rules.yml], scrape_configs: [
{job_name: aimux-node, static_configs: [{targets: %s}]}, {job_name: aimux-controlplane, static_configs: [{targets: %s}]}]}`, targets(house.Data, 10), targets(house.Admin, 0))
	for name, text := range map[string]string{"rules.yml": soon, "prometheus.yml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	var said bytes.Buffer
	prometheus := exec.Command("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	prometheus.Stderr = &said
	if err := prometheus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = prometheus.Process.Signal(os.Interrupt)
		_ = prometheus.Wait()
		if t.Failed() {
			t.Logf("prometheus: %s", said.String())
		}
	})
	return "http://" + address
}

// firing asks Prometheus which alerts fire, by name.
func firing(base string) (names []string, err error) {
	response, err := http.Get(base + "/api/v1/alerts")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			names = append(names, a.Labels["alertname"])
		}
	}
	return names, nil
}

// scrape gets one process's figures.
func figures(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", url, response.StatusCode, err)
	}
	return string(text)
}

// TestPrometheus has a real Prometheus scrape a cluster: its linter finds nothing to say, every board asks for what is there, and under
// one outage after the other the alerts fire that should.
func TestPrometheus(t *testing.T) {
	sized := func(protocol string, size int, name string) map[string]any {
		settings := serves(compatible(protocol), "text", name)
		settings["max_failures"], settings["max_concurrent_requests"] = 3, size
		return settings
	}
	// Health alone takes the small one out; of the big one it only takes weight, since nobody else could carry its load.
	house := openRouted(t, Forms[1], map[string]any{"load_balancer": "round_robin"}, map[string]any{
		"steady": sized("openai", 60, "*"), "small": sized("anthropic", 20, "*"), "big": sized("anthropic", 100, "*"),
	})
	ask := func() {
		for i, node := range house.Data {
			post(t, node+"/v1/messages", fmt.Sprintf(`{"model":"any","max_tokens":64,"stream":%v,"messages":[{"role":"user","content":"Hello"}]}`, i == 0))
		}
	}
	ask()
	base := startPrometheus(t, house)
	checkMetrics(t, house)
	quiet := func() error {
		names, err := firing(base)
		if err == nil && len(names) > 0 {
			err = fmt.Errorf("firing: %v", names)
		}
		return err
	}
	eventually(t, "quiet after the start", quiet)
	fires := func(what string, wanted ...string) {
		t.Helper()
		eventually(t, what, func() error {
			ask()
			names, err := firing(base)
			for _, name := range wanted {
				if err == nil && !slices.Contains(names, name) {
					err = fmt.Errorf("%s does not fire; %v do", name, names)
				}
			}
			return err
		})
	}
	for _, row := range [][]string{{"small", "AimuxCircuitOpen"}, {"big", "AimuxCapacityShort"}} {
		if err := house.Upstream[row[0]].Behave("status=500"); err != nil {
			t.Fatal(err)
		}
		fires(row[0], row[1])
	}
	checkBoards(t, base)
	checkMetrics(t, house) // with what only failures count
	house.Cluster(t, "stop", "redis")
	fires("no Redis", "AimuxRedisDown")
	house.Cluster(t, "stop", "nats")
	fires("no NATS", "AimuxNATSDown", "AimuxTableStale")
	house.Cluster(t, "stop", "cp-3")
	fires("a control plane less", "AimuxDown")
}

// checkMetrics has Prometheus's own linter look at every process's figures.
func checkMetrics(t *testing.T, house *House) {
	t.Helper()
	for _, base := range slices.Concat(house.Data, house.Admin) {
		lint := exec.Command("promtool", "check", "metrics")
		lint.Stdin = strings.NewReader(figures(t, base+"/metrics"))
		if out, err := lint.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("%s: %v\n%s", base, err, out)
		}
	}
}

// checkBoards asks Prometheus every question of every board, and wants the metric of each to be known.
func checkBoards(t *testing.T, base string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(root(t), "deploy", "grafana", "*.json"))
	if len(files) < 3 {
		t.Fatalf("%d boards", len(files))
	}
	known := map[string]bool{}
	var names struct{ Data []string }
	if err := json.Unmarshal([]byte(figures(t, base+"/api/v1/label/__name__/values")), &names); err != nil {
		t.Fatal(err)
	}
	for _, name := range names.Data {
		known[name] = true
	}
	metric := regexp.MustCompile(`\b(?:aimux|gen_ai|process|go)_[a-z_]+[a-z]\b`)
	for _, file := range files {
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &board)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, panel := range board.Panels {
			for _, target := range panel.Targets {
				expr := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$provider", ".*").Replace(target.Expr)
				response, err := http.Get(base + "/api/v1/query?query=" + url.QueryEscape(expr))
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				if response.StatusCode != http.StatusOK {
					t.Errorf("%s: %q: %d for %s", filepath.Base(file), panel.Title, response.StatusCode, expr)
				}
				for _, name := range metric.FindAllString(expr, -1) {
					if !known[name] && name != "gen_ai_token_type" {
						t.Errorf("%s: %q asks for %s, which nobody has", filepath.Base(file), panel.Title, name)
					}
				}
			}
		}
	}
}
