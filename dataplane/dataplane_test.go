package dataplane

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"

	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/bus/bustest"
	"github.com/aimux/aimux/shared/secret"
)

// capital is a control plane that says what the test says.
type capital struct {
	t   *testing.T
	bus *bus.Bus

	mu      sync.Mutex
	records []*outcomev1.Record
	beats   []*tablev1.Heartbeat
}

func table(revision uint64) *tablev1.Config {
	return &tablev1.Config{
		Header: &tablev1.Header{Cluster: bustest.Cluster, ConfigRevision: revision, Epoch: 1},
		Policy: &tablev1.Policy{Priority: "balanced", LoadBalancer: "adaptive", UnknownModel: "any", RetryShare: .1, HedgeShare: .05},
		Providers: []*tablev1.Provider{{
			Id: "inside", Kind: "synthetic", Protocol: "openai", Enabled: true,
			Models: []*tablev1.Model{{Id: "synthetic", Has: ^uint64(0) >> 44, ContextWindow: 100_000, MaxOutputTokens: 10_000, Serves: []string{"*"}}},
		}},
	}
}

func newCapital(t *testing.T, dial func() (net.Conn, error)) *capital {
	t.Helper()
	b, err := bus.Connect(bus.Config{InProcess: dial, Cluster: bustest.Cluster, Region: bustest.Region, Name: "cp-1", Key: bustest.Key()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	c := &capital{t: t, bus: b}
	if _, err := b.WatchOutcomes(func(m *outcomev1.Batch) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.records = append(c.records, m.GetRecords()...)
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.WatchHeartbeats(func(m *tablev1.Heartbeat) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.beats = append(c.beats, m)
	}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *capital) until(what string, yes func() bool) {
	c.t.Helper()
	for range 500 {
		c.mu.Lock()
		ok := yes()
		c.mu.Unlock()
		if ok {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.t.Fatalf("not within five seconds: %s", what)
}

// started is a node under test.
type started struct {
	url  string
	stop func() error
}

func start(t *testing.T, data string, dial func() (net.Conn, error)) *started {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	deps := Deps{Log: slog.New(slog.DiscardHandler), Listener: ln}
	if dial != nil {
		b, err := bus.Connect(bus.Config{InProcess: dial, Cluster: bustest.Cluster, Region: bustest.Region, Name: "node-1", Key: bustest.Key()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		deps.Bus = b
	}
	ready := make(chan string, 1)
	deps.Ready = func(addr string) { ready <- addr }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{
			ID: "node-1", Cluster: bustest.Cluster, Region: bustest.Region, Version: "test", Data: data, ClusterKey: secret.NewKey([32]byte{1}), DrainTimeout: 5 * time.Second,
		}, deps)
	}()
	n := &started{url: "http://" + ln.Addr().String(), stop: sync.OnceValue(func() error { cancel(); return <-done })}
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		t.Fatal("the node does not become ready")
	}
	return n
}

func (n *started) ask(t *testing.T, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+"/v1/messages", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(header) == 2 {
		req.Header.Set(header[0], header[1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

const hello = `{"model":"any","max_tokens":50,"messages":[{"role":"user","content":"Hello"}]%s}`

// A node's whole life: a table comes, requests are served and told of, a bad table is refused, the node drains; then it starts again with
// nobody there.
func TestLife(t *testing.T) {
	dial := bustest.Serve(t)
	capital := newCapital(t, dial)
	data := filepath.Join(t.TempDir(), "node-1")
	if _, err := capital.bus.ServeConfig(func() *tablev1.Config { return table(3) }); err != nil {
		t.Fatal(err)
	}
	n := start(t, data, dial)
	if status, body := n.ask(t, fmt.Sprintf(hello, "")); status != 200 || !strings.Contains(body, `"type":"message"`) {
		t.Fatalf("%d %s", status, body)
	}
	capital.until("the request is told of", func() bool {
		return len(capital.records) == 1 && capital.records[0].GetAttempts()[0].GetTarget().GetProvider() == "inside" && capital.records[0].GetNode() == "node-1"
	})
	capital.until("the revision is acknowledged", func() bool {
		return len(capital.beats) > 0 && capital.beats[len(capital.beats)-1].GetApplied().GetConfigRevision() == 3
	})
	bad := table(4)
	bad.Providers[0].Kind = "unheard-of"
	if err := capital.bus.PublishConfig(bad, ""); err != nil {
		t.Fatal(err)
	}
	capital.until("the bad revision is refused with its reason", func() bool {
		b := capital.beats[len(capital.beats)-1]
		return b.GetNack().GetConfigRevision() == 4 && strings.Contains(b.GetNack().GetReason(), "unheard-of") && b.GetApplied().GetConfigRevision() == 3
	})

	streamed := make(chan string, 1)
	go func() {
		_, body := n.ask(t, fmt.Sprintf(hello, `,"stream":true`), "X-Synthetic-Scenario", "tokens=30+token=20ms")
		streamed <- body
	}()
	capital.until("the stream is under way", func() bool {
		page, err := http.Get(n.url + "/metrics")
		if err != nil {
			return false
		}
		defer page.Body.Close()
		text, _ := io.ReadAll(page.Body)
		return strings.Contains(string(text), "\naimux_requests_in_flight 1\n")
	})
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if body := <-streamed; !strings.Contains(body, "message_stop") {
		t.Errorf("the drain cut a stream: %q", body)
	}

	again := start(t, data, nil)
	if status, body := again.ask(t, fmt.Sprintf(hello, "")); status != 200 {
		t.Errorf("alone, from disk: %d %s", status, body)
	}
	resp, err := http.Get(again.url + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if page, _ := io.ReadAll(resp.Body); !strings.Contains(string(page), `"source": "disk"`) || !strings.Contains(string(page), `"revision": 3`) {
		t.Errorf("%s", page)
	}
}

func TestCommand(t *testing.T) {
	for _, row := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--nonsense"}, 2, "nonsense"},
		{[]string{"more", "words"}, 2, "unexpected"},
		{[]string{"--log-level", "loud"}, 2, "loud"},
		{[]string{"--drain-timeout", "soon"}, 2, "soon"},
		{[]string{"--id", "not a name"}, 1, "not a name"},
		{[]string{"--listen", "127.0.0.1:99999"}, 1, "--listen"},
		{[]string{"--help"}, 0, "AIMUX_LISTEN"},
	} {
		var stderr strings.Builder
		env := func(name string) (string, bool) {
			if name == "AIMUX_CLUSTER_KEY" {
				return strings.Repeat("ab", 32), true
			}
			return "", false
		}
		args := append([]string{"--nats", "nats://127.0.0.1:1"}, row.args...)
		if code := Main(t.Context(), args, env, &stderr); code != row.code || !strings.Contains(stderr.String(), row.want) {
			t.Errorf("%v: code %d, %q", row.args, code, stderr.String())
		}
	}
}
