package conformance

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aimux/aimux/deploy/allinone"
	"github.com/aimux/aimux/shared/synthetic"
)

// upstream is one provider: the scripted one that speaks whole formats, or answers byte by byte.
type upstream struct {
	handler  http.Handler
	server   *synthetic.Server // nil for answers byte by byte
	mu       sync.Mutex
	received []received
}

// received is one request as the provider got it.
type received struct {
	path, query string
	header      http.Header
	body        []byte
	status      int
	problem     string
}

func newUpstream(id string, f flavour, scenario string, replies []Reply) *upstream {
	up := &upstream{}
	if len(replies) > 0 {
		up.handler = &script{up: up, replies: replies}
		return up
	}
	up.server = synthetic.New(synthetic.Config{Name: id, Vendor: f.vendor})
	up.handler = up.server
	up.behave(scenario)
	return up
}

func (u *upstream) behave(scenario string) {
	if u.server != nil {
		must(u.server.Behave(scenario))
	}
}

// requests are what has come so far, probes and lists of models left out.
func (u *upstream) requests() []received {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.received
	if u.server != nil {
		all = nil
		for _, q := range u.server.Received() {
			if q.Method == http.MethodPost {
				all = append(all, received{q.Path, q.Query, q.Header, q.Body, q.Status, q.Problem})
			}
		}
	}
	return all
}

func (u *upstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.received = nil
	if u.server != nil {
		u.server.Forget()
	}
}

// street is where all providers live: one listener, a path for each.
type street struct {
	web       *httptest.Server
	providers map[string]*upstream
}

func newStreet(t testing.TB) *street {
	s := &street{providers: make(map[string]*upstream)}
	s.web = httptest.NewServer(s)
	t.Cleanup(func() {
		for _, up := range s.providers {
			if up.server != nil {
				up.server.Close()
			}
		}
		s.web.CloseClientConnections()
		s.web.Close()
	})
	return s
}

func (s *street) at(id string) string { return s.web.URL + "/p/" + id }

func (s *street) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/p/"), "/")
	up := s.providers[id]
	if up == nil {
		http.NotFound(w, r)
		return
	}
	r.URL.Path = "/" + rest
	up.handler.ServeHTTP(w, r)
}

// move builds a group's providers and starts the gateway before them.
func move(t testing.TB, runs []*run) {
	t.Helper()
	s := newStreet(t)
	catalog := map[string]any{}
	for _, r := range runs {
		f := flavours[r.flavour]
		r.up = newUpstream(r.id, f, r.leg.Scenario, r.leg.Replies)
		s.providers[r.id] = r.up
		catalog[r.id] = r.settings(f, s.at(r.id), r.modelID(), r.leg.Settings)
		for i, b := range r.leg.Beside {
			id := r.id + "-b" + string(rune('1'+i))
			f := flavours[b.Flavour]
			up := newUpstream(id, f, b.Scenario, b.Replies)
			s.providers[id] = up
			r.beside = append(r.beside, up)
			model := b.Model
			if model == "" {
				model = f.model
			}
			catalog[id] = r.settings(f, s.at(id), model, b.Settings)
		}
	}
	at := start(t, map[string]any{
		"routing":   map[string]any{"unknown_model": "reject", "retry_share": 1, "hedge_share": 0},
		"providers": catalog,
	})
	for _, r := range runs {
		r.gateway = at
	}
}

// start runs a gateway with that catalog until the test ends, and returns its address.
func start(t testing.TB, catalog map[string]any) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "aimux.json")
	must(os.WriteFile(file, marshal(catalog), 0o600))
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan allinone.Addresses, 1), make(chan error, 1)
	level := slog.LevelError
	if os.Getenv("CONFORMANCE_LOG") != "" {
		level = slog.LevelDebug
	}
	go func() {
		ended <- allinone.Run(ctx, allinone.Config{
			Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Data: filepath.Join(dir, "data"), File: file, Region: "local", Version: "test",
		}, allinone.Deps{Log: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: level})), Ready: func(at allinone.Addresses) { ready <- at }})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	})
	select {
	case at := <-ready:
		awaitTable(t, "http://"+at.Data)
		return "http://" + at.Data
	case err := <-ended:
		ended <- nil
		t.Fatalf("the gateway did not start: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the gateway did not become ready within a minute")
	}
	return ""
}

// awaitTable waits until the gateway knows its providers: on a busy machine it opens its door before.
func awaitTable(t testing.TB, gateway string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		response, err := http.Get(gateway + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the gateway has no table within a minute: %v %v", response, err)
		}
	}
}

type testLog struct{ t testing.TB }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(line)))
	return len(line), nil
}
