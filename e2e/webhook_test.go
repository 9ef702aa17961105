package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

// hookSecret signs what the receivers of these tests are told.
const hookSecret = "whsec-of-the-receivers"

// notice is one event as a receiver reads it.
type notice struct {
	ID, Type, Cluster, Region, Text, Link string
	Seq                                   uint64
	At                                    time.Time
	Transition                            *struct{ Provider, Model, From, To, Reason string }
	Alert                                 *struct{ Name, Subject, State string }
}

// what says it in two words.
func (n notice) what() string {
	switch {
	case n.Transition != nil:
		return n.Transition.Provider + " " + n.Transition.To
	case n.Alert != nil:
		return strings.TrimSpace(n.Alert.Name+" "+n.Alert.Subject) + " " + n.Alert.State
	}
	return n.Type
}

// receivers are somebody's ends of webhooks, one at each path. What is not signed, or not what was told before under its id, fails the test.
type receivers struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex                   // protects below
	answer map[string]http.HandlerFunc  // :: path → what it does instead of taking an event
	took   map[string]map[string]notice // :: path → id → event
	tries  map[string]int               // :: path → requests
	known  map[string]notice            // :: id → event
}

func newReceivers(t testing.TB) *receivers {
	t.Helper()
	r := &receivers{t: t, answer: map[string]http.HandlerFunc{}, took: map[string]map[string]notice{}, tries: map[string]int{}, known: map[string]notice{}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.hear))
	t.Cleanup(r.Close)
	return r
}

func (r *receivers) hear(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var event notice
	if err == nil {
		err = json.Unmarshal(body, &event)
	}
	mac := hmac.New(sha256.New, []byte(hookSecret))
	fmt.Fprintf(mac, "%s.%s", request.Header.Get("Aimux-Timestamp"), body)
	if want := "v1=" + hex.EncodeToString(mac.Sum(nil)); err != nil || request.Header.Get("Aimux-Signature") != want || request.Header.Get("Aimux-Event-Id") != event.ID {
		r.t.Errorf("%s hears %v %s: %v, want the signature %s", request.URL.Path, request.Header, body, err, want)
	}
	if sent, err := strconv.ParseInt(request.Header.Get("Aimux-Timestamp"), 10, 64); err != nil || time.Since(time.Unix(sent, 0)).Abs() > time.Minute {
		r.t.Errorf("%s hears something of %s", request.URL.Path, request.Header.Get("Aimux-Timestamp"))
	}
	r.mu.Lock()
	if before, known := r.known[event.ID]; known && (before.Text != event.Text || before.Seq != event.Seq) {
		r.t.Errorf("told twice, and differently:\n%+v\n%+v", before, event)
	}
	r.known[event.ID] = event
	r.tries[request.URL.Path]++
	instead := r.answer[request.URL.Path]
	if instead == nil {
		if r.took[request.URL.Path] == nil {
			r.took[request.URL.Path] = map[string]notice{}
		}
		r.took[request.URL.Path][event.ID] = event
	}
	r.mu.Unlock()
	if instead != nil {
		instead(w, request)
	}
}

// does has one path do something instead of taking events; nil ends that.
func (r *receivers) does(path string, instead http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer[path] = instead
}

// taken are the events that a path took, in the order of their numbers.
func (r *receivers) taken(path string) []notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.took[path]), func(a, b notice) int { return int(int64(a.Seq) - int64(b.Seq)) })
}

// sorts are those of one sort.
func (r *receivers) sorts(path, what string) (all []notice) {
	for _, n := range r.taken(path) {
		if n.what() == what {
			all = append(all, n)
		}
	}
	return all
}

// asked is how often a path was.
func (r *receivers) asked(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries[path]
}

// awaits waits until a path has taken an event of that sort.
func (r *receivers) awaits(path, what string) (found notice) {
	r.t.Helper()
	eventually(r.t, path+" is told: "+what, func() error {
		all := r.sorts(path, what)
		if len(all) == 0 {
			return fmt.Errorf("it has others: %+v", r.taken(path))
		}
		found = all[0]
		return nil
	})
	return found
}

// hooks are the settings of a webhook for each path.
func (r *receivers) hooks(paths ...string) map[string]any {
	all := map[string]any{}
	for _, path := range paths {
		all[strings.TrimPrefix(path, "/")] = map[string]any{"url": r.URL + path, "secret": hookSecret, "allow_private_address": true}
	}
	return all
}

// TestWebhooksOutliveTheirTeller opens and closes circuits of a real cluster, kills the leader and spends a budget, while one receiver is well, one
// fails, one hangs and one redirects: everybody is told of everything in the end, under one id each, and nobody waits for anybody else.
func TestWebhooksOutliveTheirTeller(t *testing.T) {
	r := newReceivers(t)
	r.does("/fails", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	r.does("/hangs", func(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() })
	r.does("/redirects", func(w http.ResponseWriter, request *http.Request) {
		http.Redirect(w, request, "/elsewhere", http.StatusTemporaryRedirect)
	})
	sick := compatible("anthropic")
	sick["recovery_delay"] = 2 // else its circuit waits for half a minute
	dear := serves(compatible("openai"), "precious")
	maps.Copy(dear, map[string]any{"limits": map[string]any{"dollars_per_day": 1}, "cost_per_input_token": 0.01, "cost_per_output_token": 0.01})
	house := openWhole(t, Forms[1], map[string]any{"webhooks": r.hooks("/well", "/fails", "/hangs", "/redirects")}, map[string]any{
		"sick": sick, "steady": compatible("openai"), "dear": dear,
	})
	turn := 0 // a half-open circuit is tried by one node, whichever that is
	ask := func(model string) {
		turn++
		post(t, house.Data[turn%len(house.Data)]+"/v1/messages", fmt.Sprintf(`{"model":%q,"max_tokens":64,"messages":[{"role":"user","content":"Hello!"}]}`, model))
	}
	// becomes has the provider behave so, and waits until /well is told another time that its circuit is in that state.
	becomes := func(behaviour, state string) (found notice) {
		t.Helper()
		if err := house.Upstream["sick"].Behave(behaviour); err != nil {
			t.Fatal(err)
		}
		before := len(r.sorts("/well", "sick "+state))
		eventually(t, "/well is told: sick "+state, func() error {
			all := r.sorts("/well", "sick "+state)
			if len(all) > before {
				found = all[len(all)-1]
				return nil
			}
			ask("sick/text")
			ask("text")
			return fmt.Errorf("so far: %+v", r.taken("/well"))
		})
		return found
	}
	opened := becomes("status=500", "circuit_open")
	if !strings.Contains(opened.Text, opened.Transition.Reason) || opened.Transition.Reason == "" || opened.Link == "" || opened.Region != "local" {
		t.Errorf("nobody understands this at night: %+v", opened)
	}
	becomes("", "healthy")
	becomes("status=500", "circuit_open")
	house.Cluster(t, "stop", fmt.Sprintf("cp-%d", leader(t, house)), "KILL")
	for range 60 {
		ask("precious")
	}
	spent := r.awaits("/well", "budget_nearly_spent provider/dear dollars_per_day firing")
	if !strings.Contains(spent.Text, "$1.00 per day") {
		t.Errorf("nobody understands this at night: %+v", spent)
	}
	for _, path := range []string{"/fails", "/hangs", "/redirects"} {
		r.does(path, nil)
	}
	for _, path := range []string{"/fails", "/hangs", "/redirects"} {
		eventually(t, path+" is told what /well is", func() error {
			for _, n := range r.taken("/well") {
				if !slices.ContainsFunc(r.taken(path), func(other notice) bool { return other.ID == n.ID }) {
					return fmt.Errorf("not of %+v", n)
				}
			}
			return nil
		})
	}
	if n := r.asked("/elsewhere"); n > 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
	seen := map[string]notice{}
	for _, n := range r.taken("/well") {
		if before, twice := seen[fmt.Sprint(n.At, n.what())]; twice {
			t.Errorf("told twice, under two ids: %+v, %+v", before, n)
		}
		seen[fmt.Sprint(n.At, n.what())] = n
	}
	all := r.taken("/well")
	for i := range all[1:] {
		if all[i+1].At.Before(all[i].At.Add(-time.Second)) { // two clocks, of who led before and after
			t.Errorf("the numbers do not say what came first: %+v, %+v", all[i], all[i+1])
		}
	}
}

// TestWebhooksDoNotLeadInside has webhooks point into a network: what is written is refused, what is dialled is refused, whatever name leads there.
func TestWebhooksDoNotLeadInside(t *testing.T) {
	r := newReceivers(t)
	secure := httptest.NewTLSServer(http.HandlerFunc(r.hear))
	defer secure.Close()
	house := open(t, Forms[0], map[string]any{"steady": compatible("openai")})
	api := adminv1connect.NewWebhookServiceClient(http.DefaultClient, house.Admin[0])
	_, port, _ := strings.Cut(strings.TrimPrefix(secure.URL, "https://"), ":")
	for _, row := range []struct {
		url, refused, undialled string
		private                 bool
	}{
		{url: r.URL, refused: "must be https"},
		{url: "ftp://127.0.0.1/", refused: "must be https", private: true},
		{url: "https://user:password@example.com/", refused: "user or password"},
		{url: secure.URL, undialled: "private"},
		{url: "https://localhost:" + port, undialled: "private"},
		{url: "https://localhost.:" + port, undialled: "private"},
		{url: "https://[::ffff:127.0.0.1]:" + port, undialled: "private"},
		{url: "https://2130706433:" + port, undialled: "private"},
		{url: "https://0x7f.1:" + port, undialled: "private"},
		{url: "https://0.0.0.0:" + port, undialled: "private"},
		{url: "https://169.254.169.254/latest/meta-data", undialled: "private"},
		{url: "http://169.254.169.254/latest/meta-data", undialled: "private", private: true},
		{url: "http://[fd00:ec2::254]/", undialled: "private", private: true},
	} {
		_, err := api.SetWebhook(t.Context(), connect.NewRequest(&adminv1.SetWebhookRequest{
			Name: "inside", Webhook: &adminv1.Webhook{Url: row.url, Secret: hookSecret, AllowPrivateAddress: row.private},
		}))
		if row.refused != "" {
			if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), row.refused) || strings.Contains(err.Error(), "password@") {
				t.Errorf("%s: %v", row.url, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", row.url, err)
			continue
		}
		answer, err := api.TestWebhook(t.Context(), connect.NewRequest(&adminv1.TestWebhookRequest{Name: "inside"}))
		if err != nil || answer.Msg.GetStatus() != 0 || !strings.Contains(answer.Msg.GetError(), row.undialled) && !strings.Contains(answer.Msg.GetError(), "no such host") {
			t.Errorf("%s: %v, %v", row.url, answer, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.tries) > 0 {
		t.Errorf("somebody inside was told: %v", r.tries)
	}
}
