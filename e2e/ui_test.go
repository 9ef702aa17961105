package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestDashboard has a browser do each page's job as a person would, while one of the providers fails.
func TestDashboard(t *testing.T) {
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
	browse(t, "dashboard", house.Admin[0])
}

// TestDashboardOfMany shows the dashboard clusters that are larger, emptier or more broken than a test can run: the admin API's answers are the
// script's.
func TestDashboardOfMany(t *testing.T) {
	house := openRouted(t, Forms[0], map[string]any{}, map[string]any{"one": dashboardProvider("openai", "*")})
	browse(t, "crowd", house.Admin[0])
}

// dashboardProvider answers to the names; the first model that a request names by itself is asked first.
func dashboardProvider(protocol string, names ...string) map[string]any {
	return serves(compatible(protocol), "text", names...)
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
