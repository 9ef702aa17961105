package admin_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"

	"github.com/aimux/aimux/controlplane/internal/admin"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// shelf is a Board that tests write on.
type shelf struct {
	mu      sync.Mutex
	view    *admin.View
	changed chan struct{}
}

func (s *shelf) View() (*admin.View, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view, s.changed
}

func (s *shelf) put(v *admin.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.view, s.changed = v, make(chan struct{})
}

// serve starts the admin API over a shelf.
func serve(t *testing.T) (url string, board *shelf) {
	t.Helper()
	board = &shelf{view: &admin.View{}, changed: make(chan struct{})}
	handler := admin.New(admin.Config{ID: "cp-1", Hosts: []string{"admin.example.com"}}, admin.Deps{
		Board: board,
		Write: func(context.Context, admin.Author, uint64, func(*adminv1.Document) error) (uint64, error) {
			panic("a bug")
		},
		Explain: func(context.Context, string, *tablev1.ExplainRequest) (*tablev1.Explanation, error) {
			return nil, errors.New("no")
		},
		Describe: func(context.Context) (string, error) { return "the fleet", nil },
		Metrics:  func(string) ([]byte, string) { return []byte("aimux_x 1\n"), "text/plain" },
		Log:      slog.New(slog.DiscardHandler),
		Door:     admin.Door{Anonymous: admin.Admin},
		Refused:  func(string) {},
		Usage: func(ask *adminv1.SumUsageRequest) *adminv1.SumUsageResponse {
			answer := &adminv1.SumUsageResponse{}
			for region, ago := range map[string]time.Duration{"here": time.Hour, "there": time.Minute, "away": time.Hour, "gone": 30 * 24 * time.Hour} {
				answer.Regions = append(answer.Regions, &adminv1.RegionUsage{Region: region, RecordedUnixMs: time.Now().Add(-ago).UnixMilli()})
			}
			return answer
		},
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- admin.Serve(ctx, listener, handler) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String(), board
}

func full() *admin.View {
	return &admin.View{
		Revision: 7, Leading: true, Leader: "cp-1", Document: &adminv1.Document{Catalog: &adminv1.Catalog{}}, Config: &tablev1.Config{}, Health: &tablev1.Health{},
	}
}

// h2c speaks HTTP/2 without TLS, as gRPC clients do.
func h2c() *http.Client {
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{}}}
}

func TestEveryProtocolOnOneListener(t *testing.T) {
	url, board := serve(t)
	board.put(full())
	for name, opts := range map[string][]connect.ClientOption{"connect": nil, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()}} {
		for version, client := range map[string]*http.Client{"HTTP/1.1": http.DefaultClient, "HTTP/2": h2c()} {
			if name == "grpc" && version == "HTTP/1.1" {
				continue // gRPC is HTTP/2
			}
			answer, err := adminv1connect.NewProviderServiceClient(client, url, opts...).ListProviders(t.Context(), connect.NewRequest(&adminv1.ListProvidersRequest{}))
			if err != nil || answer.Msg.GetRevision() != 7 {
				t.Errorf("%s over %s: %v, %v", name, version, answer, err)
			}
		}
	}
}

func TestReflectionTellsTheServices(t *testing.T) {
	url, _ := serve(t)
	stream := grpcreflect.NewClient(h2c(), url).NewStream(t.Context())
	defer stream.Close()
	names, err := stream.ListServices()
	if err != nil || len(names) != 13 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, name := range names {
		if _, err := stream.FileContainingSymbol(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadinessFollowsTheCatalog(t *testing.T) {
	url, board := serve(t)
	client := connect.NewClient[adminv1.ProbeRequest, adminv1.ProbeResponse](h2c(), url+"/grpc.health.v1.Health/Check", connect.WithGRPC())
	check := func(service string) (string, error) {
		answer, err := client.CallUnary(t.Context(), connect.NewRequest(&adminv1.ProbeRequest{Service: service}))
		if err != nil {
			return "", err
		}
		return answer.Msg.GetStatus().String(), nil
	}
	for i, want := range []struct {
		code   int
		status string
	}{{503, "NOT_SERVING"}, {200, "SERVING"}} {
		if i == 1 {
			board.put(full())
		}
		for _, page := range []string{"/readyz", "/healthz", "/debug/table"} {
			if code, body := get(t, url+page, nil); code != want.code {
				t.Errorf("%s: %d %s, want %d", page, code, body, want.code)
			}
		}
		if code, _ := get(t, url+"/livez", nil); code != 200 {
			t.Errorf("/livez: %d", code)
		}
		if status, err := check(""); err != nil || status != want.status {
			t.Errorf("health: %s, %v; want %s", status, err, want.status)
		}
	}
	if _, err := check("no.such.Service"); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("an unknown service: %v", err)
	}
	if _, body := get(t, url+"/healthz", nil); !strings.Contains(body, `"leading": true`) {
		t.Error(body)
	}
}

func TestBeforeTheCatalogReadsAreUnavailable(t *testing.T) {
	url, _ := serve(t)
	_, err := adminv1connect.NewTableServiceClient(http.DefaultClient, url).GetTable(t.Context(), connect.NewRequest(&adminv1.GetTableRequest{}))
	if connect.CodeOf(err) != connect.CodeUnavailable {
		t.Error(err)
	}
}

func get(t *testing.T, url string, change func(*http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	r.RequestURI = ""
	if change != nil {
		change(r)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// A page in an operator's browser must not reach the admin API, neither by a name of its own nor across origins.
func TestBrowsersAreNoWayIn(t *testing.T) {
	url, board := serve(t)
	board.put(full())
	for host, want := range map[string]int{
		"127.0.0.1:8081": 200, "[::1]:8081": 200, "localhost:8081": 200, "cp-1:8081": 200, "aimux.localhost": 200,
		"admin.example.com": 200, "ADMIN.example.com.": 200, "evil.example.org": 421, "evil.example.org:8081": 421, "127.0.0.1.evil.org": 421,
	} {
		if code, body := get(t, url+"/readyz", func(r *http.Request) { r.Host = host }); code != want {
			t.Errorf("host %s: %d %s, want %d", host, code, body, want)
		}
	}
	for header, value := range map[string]string{"Origin": "https://evil.example.org", "Sec-Fetch-Site": "cross-site"} {
		code, body := get(t, url+"/aimux.admin.v1.ProviderService/DeleteProvider", func(r *http.Request) {
			r.Method = http.MethodPost
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set(header, value)
			r.Body = io.NopCloser(strings.NewReader(`{"id":"x"}`))
		})
		if code != http.StatusForbidden {
			t.Errorf("with %s: %s: %d %s, want 403", header, value, code, body)
		}
	}
}

func TestAPanicIsAnAnswer(t *testing.T) {
	url, board := serve(t)
	board.put(full())
	_, err := adminv1connect.NewProviderServiceClient(http.DefaultClient, url).DeleteProvider(t.Context(), connect.NewRequest(&adminv1.DeleteProviderRequest{}))
	if connect.CodeOf(err) != connect.CodeInternal || strings.Contains(err.Error(), "a bug") {
		t.Errorf("%v, want internal without the details", err)
	}
}

func TestTooManyWatchesAreRefused(t *testing.T) {
	url, board := serve(t)
	board.put(full())
	client := adminv1connect.NewHealthServiceClient(h2c(), url)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	refused := 0
	for range 70 {
		stream, err := client.WatchHealth(ctx, connect.NewRequest(&adminv1.WatchHealthRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		if !stream.Receive() && connect.CodeOf(stream.Err()) == connect.CodeResourceExhausted {
			refused++
		}
	}
	if refused != 6 {
		t.Errorf("%d of 70 watches were refused, want 6", refused)
	}
}

func TestMinRevisionWaits(t *testing.T) {
	url, board := serve(t)
	board.put(full())
	answered := make(chan uint64, 1)
	go func() {
		answer, err := adminv1connect.NewProviderServiceClient(http.DefaultClient, url).ListProviders(t.Context(), connect.NewRequest(&adminv1.ListProvidersRequest{MinRevision: 9}))
		if err != nil {
			t.Error(err)
		}
		answered <- answer.Msg.GetRevision()
	}()
	for _, revision := range []uint64{8, 9} {
		next := full()
		next.Revision = revision
		board.put(next)
	}
	if got := <-answered; got != 9 {
		t.Errorf("answered at %d, want 9", got)
	}
}

// TestTheDashboardIsAtTheRoot wants the page at / and its files, and nothing where nothing was, nor for a foreign name.
func TestTheDashboardIsAtTheRoot(t *testing.T) {
	url, _ := serve(t)
	for path, want := range map[string]int{"/": 200, "/ui/app.js": 200, "/ui/none.js": 404, "/none": 404, "/index.html": 404} {
		if code, body := get(t, url+path, nil); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
	if code, _ := get(t, url+"/", func(r *http.Request) { r.Host = "evil.example.org" }); code != http.StatusMisdirectedRequest {
		t.Errorf("under a foreign name: %d", code)
	}
}
