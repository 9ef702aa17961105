package allinone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aimux/aimux/controlplane"
	"github.com/aimux/aimux/dataplane"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/bus/bustest"
	"github.com/aimux/aimux/shared/secret"
)

// pipes is a listener whose connections are pipes: a bubble's clock does not wait for real sockets.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, errors.New("nobody listens")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// town is a whole cluster in a bubble: real control planes, real nodes, core NATS and the limits' store, and nothing outside.
type town struct {
	t     *testing.T
	dial  func() (net.Conn, error)
	redis *embeddedRedis
	plane controlplane.Deps // what all replicas share
	stops map[string]func()
	doors map[string]*pipes // :: node → its data listener
	mu    sync.Mutex
	heard *tablev1.Health // guarded by mu: the latest of whoever leads
}

var townKey = secret.NewKey([32]byte{7})

func newTown(t *testing.T) *town {
	w := &town{t: t, dial: bustest.Serve(t), redis: startRedis(), stops: map[string]func(){}, doors: map[string]*pipes{}}
	t.Cleanup(w.redis.stop)
	w.plane.Store, w.plane.Archive = controlplane.Memory()
	w.plane.LookupEnv = func(string) (string, bool) { return "", false }
	w.plane.Log = slog.New(slog.DiscardHandler)
	ear := w.connect("ear")
	stop, err := ear.WatchHealth(func(h *tablev1.Health, _ string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if h.GetHeader().GetEpoch() >= w.heard.GetHeader().GetEpoch() {
			w.heard = h
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); ear.Close() })
	return w
}

func (w *town) connect(name string) *bus.Bus {
	w.t.Helper()
	b, err := bus.Connect(bus.Config{InProcess: w.dial, Cluster: cluster, Region: "local", Name: name, Key: townKey})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// start runs one process until stops[name].
func (w *town) start(name string, run func(ctx context.Context, b *bus.Bus) error) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b, ended := w.connect(name), make(chan error, 1)
	go func() {
		defer b.Close()
		ended <- run(ctx, b)
	}()
	w.stops[name] = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("%s ended with %v", name, err)
		}
	})
	w.t.Cleanup(w.stops[name])
}

func (w *town) controlPlane(name string) {
	seed := &adminv1.Catalog{Routing: &adminv1.Routing{LoadBalancer: "round_robin"}, Providers: map[string]*adminv1.Provider{
		"a":    {Kind: "synthetic", Models: []*adminv1.Model{{Id: "text"}}, Limits: &adminv1.Limits{MaxConcurrentRequests: new(uint32(12))}},
		"b":    {Kind: "synthetic", Models: []*adminv1.Model{{Id: "text"}}},
		"c":    {Kind: "synthetic", Models: []*adminv1.Model{{Id: "text"}}},
		"sick": {Kind: "synthetic", Models: []*adminv1.Model{{Id: "status=500", Serves: []string{"text"}}}},
	}}
	w.start(name, func(ctx context.Context, b *bus.Bus) error {
		deps := w.plane
		deps.Bus, deps.Listener = b, newPipes()
		return controlplane.Run(ctx, controlplane.Config{ID: name, Cluster: cluster, Region: "local", Seed: seed, ClusterKey: townKey}, deps)
	})
}

func (w *town) node(name string) {
	door := newPipes()
	w.doors[name] = door
	w.start(name, func(ctx context.Context, b *bus.Bus) error {
		return dataplane.Run(ctx, dataplane.Config{ID: name, Cluster: cluster, Region: "local", ClusterKey: townKey, Redis: redisURL}, dataplane.Deps{
			Bus: b, Log: slog.New(slog.DiscardHandler), Listener: door, DialRedis: w.redis.dial,
		})
	})
}

// health is what whoever leads says.
func (w *town) health() *tablev1.Health {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heard
}

// ask sends one request to a node, and says what is wrong with the answer.
func (w *town) ask(node string) error {
	client := &http.Client{Transport: &http.Transport{DialContext: w.doors[node].dial, DisableKeepAlives: true}, Timeout: time.Minute}
	body := `{"model":"text","max_tokens":16,"messages":[{"role":"user","content":"Hello!"}]}`
	response, err := client.Post("http://node/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return err
}

// TestTheWholeCluster: three nodes serve for five minutes while one of four providers fails all the time, leaders are stopped and nodes restart: every request is
// answered, and from the first minute on the sick provider is known as such.
func TestTheWholeCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.controlPlane("cp-1")
		w.controlPlane("cp-2")
		nodes := []string{"node-1", "node-2", "node-3"}
		for _, name := range nodes {
			w.node(name)
		}
		time.Sleep(10 * time.Second)
		requests, out := 0, 0
		began := time.Now()
		for minute := range 5 {
			for range 20 {
				for _, node := range nodes {
					if err := w.ask(node); err != nil {
						t.Fatalf("after %v, %s: %v", time.Since(began), node, err)
					}
					requests++
				}
				time.Sleep(3 * time.Second)
			}
			if w.out("sick") {
				out++
			}
			switch minute % 3 {
			case 1:
				leader := w.health().GetHeader().GetLeader()
				w.stops[leader]()
				w.controlPlane(leader)
				time.Sleep(time.Second)
				if now := w.health().GetHeader().GetLeader(); now == leader {
					t.Errorf("%s was stopped and still leads", leader)
				}
			case 2:
				node := nodes[minute/3%len(nodes)]
				w.stops[node]()
				w.node(node)
				time.Sleep(5 * time.Second)
			}
		}
		t.Logf("%d requests in %v of the cluster's time", requests, time.Since(began).Round(time.Second))
		if out < 5 {
			t.Errorf("the sick provider was out after %d of 5 minutes: %v", out, w.health().GetTransitions())
		}
		if live := w.health().GetNodesLive(); live != 3 {
			t.Errorf("%d nodes live, want 3", live)
		}
	})
}

// out reports that whoever leads has the provider's circuit open, or tries it.
func (w *town) out(provider string) bool {
	for _, target := range w.health().GetTargets() {
		if target.GetProvider() == provider && target.GetModel() == "" {
			return target.GetState() == tablev1.State_STATE_CIRCUIT_OPEN || target.GetState() == tablev1.State_STATE_HALF_OPEN
		}
	}
	return false
}
