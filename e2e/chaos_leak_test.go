package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

// canary is a provider's key that must be seen nowhere but at the provider and in the operator's own file (I17).
const canary = "sk-canary-4f1c9d2e7ab8"

// TestNoSecretAnywhere plants a key, lets providers fail in ways that quote it, and looks for it everywhere.
func TestNoSecretAnywhere(t *testing.T) {
	quiet(t)
	quoting := compatible("openai")
	quoting["api_key"] = canary
	plain := compatible("anthropic")
	plain["api_keys"] = []string{canary, canary + "-second"}
	delete(plain, "api_key")
	house := chaosHouse(t, map[string]any{"quoting": quoting, "plain": plain})
	wire := tap(t, house.Port(t, 0))
	var seen bytes.Buffer
	quotes := "message=Incorrect API key provided: " + canary
	for _, behaviour := range []string{"", "echo", "status=500&" + quotes, "status=400&" + quotes, "status=429&" + quotes, "error-mid-stream&" + quotes, "status=401&" + quotes} {
		if err := house.Upstream["quoting"].Behave(behaviour); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			body := fmt.Sprintf(`{"model":"quoting/text","stream":%v,"max_tokens":64,"messages":[{"role":"user","content":"Hello!"}]}`, i%2 == 0)
			response, text := post(t, house.Data[i%3]+[]string{"/v1/messages", "/v1/chat/completions"}[i/2], body)
			if behaviour != "echo" { // what a provider says in an answer is its own
				fmt.Fprintf(&seen, "answer: %d %v %s\n", response.StatusCode, response.Header, text)
			}
		}
	}
	created, err := house.Providers(0).CreateProvider(t.Context(), connect.NewRequest(&adminv1.CreateProviderRequest{Id: "third", Provider: &adminv1.Provider{
		Kind: "compatible", Protocol: "openai", BaseUrl: house.Upstream["plain"].Web.URL, AllowPrivateAddress: true, ApiKey: canary, Models: []*adminv1.Model{{Id: "text"}},
	}}))
	if err != nil {
		t.Fatal(err)
	}
	house.Converged(t, created.Msg.GetRevision())
	time.Sleep(1200 * time.Millisecond) // a heartbeat of every node, a batch of every node

	fmt.Fprintf(&seen, "created: %v\n", created.Msg)
	for i, node := range house.Data {
		for _, page := range []string{"/providers", "/config", "/health", "/metrics", "/v1/models"} {
			fmt.Fprintf(&seen, "%s: %s\n", page, fetch(t, node+page))
		}
		for page := range strings.FieldsSeq(fetch(t, debugURL(t, node)+"/")) {
			if !strings.Contains(page, "pprof") {
				fmt.Fprintf(&seen, "%s of node %d: %s\n", page, i+1, fetch(t, debugURL(t, node)+page))
			}
		}
	}
	for i, admin := range house.Admin {
		for _, page := range []string{"/metrics", "/healthz", "/debug/table", "/debug/fleet"} {
			fmt.Fprintf(&seen, "%s of control plane %d: %s\n", page, i+1, fetch(t, admin+page))
		}
		house.tellAll(t, i, &seen)
	}
	err = filepath.WalkDir(house.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Base(path) == "aimux.json" {
			return nil //nolint:nilerr // files come and go under a running cluster
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&seen, "file %s: %s\n", path, text)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	heard := wire.stop()
	if len(heard) < 10000 {
		t.Errorf("only %d bytes were heard on NATS", len(heard))
	}
	fmt.Fprintf(&seen, "NATS: %s\n", heard)
	if !strings.Contains(seen.String(), "Incorrect API key provided") {
		t.Error("what was looked at does not even hold what the provider said about the key")
	}
	for name, form := range map[string]string{
		"in clear": canary, "in base64": base64.StdEncoding.EncodeToString([]byte(canary))[:20], "in hex": hex.EncodeToString([]byte(canary)),
	} {
		for line := range strings.Lines(seen.String()) {
			if at := strings.Index(line, form); at >= 0 {
				t.Errorf("a key is seen %s: %.120s … %.200s", name, line, line[max(0, at-80):])
			}
		}
	}
}

// tellAll writes what a control plane answers to every question.
func (h *House) tellAll(t testing.TB, controlplane int, into *bytes.Buffer) {
	t.Helper()
	ctx, at := t.Context(), h.Admin[controlplane]
	say := func(what string, answer any, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		fmt.Fprintf(into, "%s of control plane %d: %v\n", what, controlplane+1, answer)
	}
	providers, err := h.Providers(controlplane).ListProviders(ctx, connect.NewRequest(&adminv1.ListProvidersRequest{}))
	say("providers", providers.Msg, err)
	one, err := h.Providers(controlplane).GetProvider(ctx, connect.NewRequest(&adminv1.GetProviderRequest{Id: "quoting"}))
	say("provider", one.Msg, err)
	nodes, err := h.Nodes(controlplane).ListNodes(ctx, connect.NewRequest(&adminv1.ListNodesRequest{}))
	say("nodes", nodes.Msg, err)
	health, err := adminv1connect.NewHealthServiceClient(http.DefaultClient, at).GetHealth(ctx, connect.NewRequest(&adminv1.GetHealthRequest{}))
	say("health", health.Msg, err)
	transitions, err := adminv1connect.NewHealthServiceClient(http.DefaultClient, at).ListTransitions(ctx, connect.NewRequest(&adminv1.ListTransitionsRequest{}))
	say("transitions", transitions.Msg, err)
	table, err := adminv1connect.NewTableServiceClient(http.DefaultClient, at).GetTable(ctx, connect.NewRequest(&adminv1.GetTableRequest{}))
	say("table", table.Msg, err)
	usage, err := adminv1connect.NewUsageServiceClient(http.DefaultClient, at).GetUsage(ctx, connect.NewRequest(&adminv1.GetUsageRequest{}))
	say("usage", usage.Msg, err)
	routing, err := adminv1connect.NewRoutingServiceClient(http.DefaultClient, at).GetRouting(ctx, connect.NewRequest(&adminv1.GetRoutingRequest{}))
	say("routing", routing.Msg, err)
}

// tapped is everything that goes over a NATS server.
type tapped struct {
	conn net.Conn
	all  sync.WaitGroup
	text bytes.Buffer
}

// tap subscribes to every subject, in NATS's own words, and listens until stop.
func tap(t testing.TB, address string) *tapped {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	w := &tapped{conn: conn}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte("CONNECT {\"verbose\":false}\r\nSUB > 1\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	for line := ""; line != "PONG\r\n"; {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	w.all.Go(func() { _, _ = lines.WriteTo(&w.text) })
	return w
}

// stop returns what was heard.
func (w *tapped) stop() string {
	w.conn.Close()
	w.all.Wait()
	return w.text.String()
}

// TestNothingIsLeftBehind loads the nodes, with clients that leave in the middle and providers that fail, and counts goroutines and memory
// afterwards (I18).
func TestNothingIsLeftBehind(t *testing.T) {
	quiet(t)
	const slow = "tokens=100+token=10ms"
	house := chaosHouse(t, fourProviders(slow, "stall+after=3", "cut+after=3"))
	load := func(model string, length time.Duration) {
		w := pourEvery(t, house.Data, 24, model, chaosDeadline, time.Millisecond)
		time.Sleep(length)
		sum(w.halt()).answersAlways(t, model)
	}
	load("text", 2*time.Second) // connections, pools and buffers that stay
	count := func() (most, memory int) {
		for i, node := range house.Data {
			most = max(most, goroutines(t, node))
			memory = max(memory, residentKB(t, house, fmt.Sprint("node-", i+1)))
		}
		return most, memory
	}
	calm := func() { runtime.GC(); time.Sleep(500 * time.Millisecond) }
	calm()
	before, memory := count()
	load("text", 2*time.Second)
	load(slow, 2*time.Second)
	load("stall+after=3", 2*time.Second)
	leaveEarly(t, house, slow)
	after, kept := 0, 0
	eventually(t, "goroutines are back where they were", func() error {
		if after, kept = count(); after > before+before/5+10 {
			return fmt.Errorf("%d, before the load %d", after, before)
		}
		return nil
	})
	t.Logf("goroutines of the busiest node: %d before, %d after; memory of the largest %d kB before, %d kB after", before, after, memory, kept)
	if kept > memory+memory/2+16<<10 {
		t.Errorf("the largest node holds %d kB, %d kB before the load", kept, memory)
	}
}

// leaveEarly has clients leave in the middle of their answers.
func leaveEarly(t testing.TB, house *House, model string) {
	t.Helper()
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			body := fmt.Sprintf(`{"model":%q,"stream":%v,"max_tokens":1024,"messages":[{"role":"user","content":"Hello!"}]}`, model, i%2 == 0)
			client := &http.Client{Timeout: time.Duration(50+10*i) * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
			response, err := client.Post(house.Data[i%len(house.Data)]+"/v1/messages", "application/json", strings.NewReader(body))
			if err == nil {
				_, _ = bufio.NewReader(response.Body).ReadString(0)
				response.Body.Close()
			}
		})
	}
	all.Wait()
}
