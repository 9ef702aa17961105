package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDashboard has a browser do each page's job as a person would, while one of the providers fails. The pictures are kept in
// .tmp/dashboard.
func TestDashboard(t *testing.T) {
	dir := filepath.Join(root(t), "e2e", "browser")
	if out, err := exec.Command(filepath.Join(dir, "install.sh")).CombinedOutput(); err != nil {
		t.Fatalf("installing the browser: %v\n%s", err, out)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	house := openRouted(t, Forms[0], map[string]any{"fallback_provider": "spare"}, map[string]any{
		"steady": dashboardProvider("openai", "*"), "sick": dashboardProvider("anthropic", "*", "asked-sick"), "spare": dashboardProvider("openai", "nothing"),
	})
	if err := house.Upstream["sick"].Behave("status=500"); err != nil {
		t.Fatal(err)
	}
	if err := house.Upstream["steady"].Behave("first=20ms"); err != nil {
		t.Fatal(err)
	}
	keepBusy(t, house.Data[0])
	pictures := filepath.Join(root(t), ".tmp", "dashboard")
	if err := os.RemoveAll(pictures); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 8*time.Minute)
	defer stop()
	person := exec.CommandContext(ctx, "node", filepath.Join(dir, "dashboard.mjs"), chromium, house.Admin[0], pictures)
	person.Stderr = os.Stderr
	said, err := person.StdoutPipe()
	if err == nil {
		err = person.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	report(t, said)
	if err := person.Wait(); err != nil {
		t.Errorf("the browser: %v", err)
	}
}

// dashboardProvider answers to the names; the first model that a request names by itself is asked first.
func dashboardProvider(protocol string, names ...string) map[string]any {
	return serves(compatible(protocol), "text", names...)
}

// report makes a test of each line of what the browser did.
func report(t *testing.T, said io.Reader) {
	t.Helper()
	jobs := 0
	for lines := bufio.NewScanner(said); lines.Scan(); jobs++ {
		var done struct {
			Job, Problem string
			MS           int
		}
		if err := json.Unmarshal(lines.Bytes(), &done); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		t.Run(done.Job, func(t *testing.T) {
			t.Logf("%d ms", done.MS)
			if done.Problem != "" {
				t.Error(done.Problem)
			}
		})
	}
	if jobs == 0 {
		t.Error("the browser did nothing")
	}
}

// hostileName is a model that a caller may ask for; the dashboard is to show it as what it is.
const hostileName = `<img src=x onerror=alert(1)>`

// keepBusy asks again and again, a bounded number of times, until the test ends. Half of the requests ask first for what fails.
func keepBusy(t *testing.T, base string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; i < 2000 && ctx.Err() == nil; i++ {
			body := fmt.Sprintf(`{"model":%q,"max_tokens":64,"stream":%v,"messages":[{"role":"user","content":"Say %d"}]}`, []string{"asked-sick", "any", "asked-sick", hostileName}[i%4], i%3 == 0, i)
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/messages", strings.NewReader(body))
			if err != nil {
				return
			}
			request.Header.Set("Content-Type", "application/json")
			if answer, err := http.DefaultClient.Do(request); err == nil {
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}
