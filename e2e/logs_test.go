package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// logged reads the lines of a process's log, each of which must be one JSON object.
func logged(t *testing.T, house *House, process, message string) (lines []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(house.dir, process+".log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var one map[string]any
		if !strings.HasSuffix(line, "\n") {
			break // still being written
		}
		if strings.HasPrefix(line, "aimux-controlplane: first start: ") {
			continue // said to who starts it, not logged
		}
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%s: %v: %s", process, err, line)
		}
		if one["msg"] == message {
			lines = append(lines, one)
		}
		if strings.Contains(line, "nobody may see") || strings.Contains(line, "upstream-key") {
			t.Errorf("a prompt or a key is in the log of %s: %s", process, line)
		}
	}
	return lines
}

// TestLogs follows requests through the logs of a cluster as who debugs it would: one line each, by their ids, to the circuit that they opened; and
// turns the logging of requests off and on again while they run. The histograms' examples lead to the same traces.
func TestLogs(t *testing.T) {
	startCollector(t)
	t.Setenv("AIMUX_LOG_REQUESTS", "true")
	house := openRouted(t, Forms[1], map[string]any{}, map[string]any{
		"sick": serves(compatible("anthropic"), "text", "asked-sick"), "steady": serves(compatible("openai"), "text", "*"),
	})
	if err := house.Upstream["sick"].Behave("status=500"); err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{} // :: request ids
	ask := func() string {
		t.Helper()
		response, body := post(t, house.Data[0]+"/v1/messages", `{"model":"asked-sick","max_tokens":64,"messages":[{"role":"user","content":"a prompt that nobody may see"}]}`,
			"Traceparent", "00-"+clientTrace+"-"+clientSpan+"-01")
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
		id := response.Header.Get("Request-Id")
		asked[id] = true
		return id
	}
	eventually(t, "a line of a control plane about a circuit that a request opened", func() error {
		ask()
		for _, process := range []string{"cp-1", "cp-2", "cp-3"} {
			for _, line := range logged(t, house, process, "health") {
				if id, _ := line["request_id"].(string); asked[id] && line["trace_id"] == clientTrace && line["provider"] == "sick" {
					return nil
				}
			}
		}
		return fmt.Errorf("after %d requests none", len(asked))
	})
	lines := map[string]int{}
	for _, line := range logged(t, house, "node-1", "request") {
		id, _ := line["request_id"].(string)
		lines[id]++
		if line["trace_id"] != clientTrace || line["status"] != float64(200) || line["target"] == "" {
			t.Errorf("%v", line)
		}
	}
	for id := range asked {
		if lines[id] > 1 {
			t.Errorf("%s has %d lines", id, lines[id])
		}
	}
	level := debugAddress(t, house.Data[0]) + "/debug/log/level"
	put(t, level, "error")
	quiet := ask()
	put(t, level, "info")
	loud := ask()
	eventually(t, "the level's change", func() error {
		for _, line := range logged(t, house, "node-1", "request") {
			switch line["request_id"] {
			case quiet:
				t.Fatalf("logged at level error: %v", line)
			case loud:
				return nil
			}
		}
		return fmt.Errorf("%s is not logged", loud)
	})
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, house.Data[0]+"/metrics", http.NoBody)
	request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	for _, family := range []string{"gen_ai_client_operation_duration_seconds_bucket", "gen_ai_server_request_duration_seconds_bucket", "gen_ai_client_token_usage_bucket", "aimux_request_duration_seconds_bucket", "aimux_overhead_seconds_bucket"} {
		found := false
		for line := range strings.Lines(string(text)) {
			found = found || strings.HasPrefix(line, family+"{") && strings.Contains(line, `# {trace_id="`+clientTrace+`"}`)
		}
		if !found {
			t.Errorf("%s points at no trace", family)
		}
	}
}

// debugAddress is where a node's debug listener is, in a cluster.
func debugAddress(t *testing.T, data string) string {
	t.Helper()
	at, err := url.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	port, _ := strconv.Atoi(at.Port())
	return fmt.Sprintf("http://127.0.0.1:%d", port+10)
}

func put(t *testing.T, address, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if said, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s", address, response.StatusCode, said)
	}
}
