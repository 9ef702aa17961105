package guard_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aimux/aimux/shared/guard"
)

func TestJudge(t *testing.T) {
	for address, allowed := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700::1111": true,
		"10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "100.64.0.1": false, "169.254.1.1": false,
		"fe80::1": false, "fd12::1": false, "::ffff:10.0.0.1": false, "64:ff9b::a00:1": false, "2002:a00:1::": false, "224.0.0.1": false, "255.255.255.255": false,
	} {
		if err := guard.Judge(netip.MustParseAddr(address), false); (err == nil) != allowed {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"169.254.169.254", "fd00:ec2::254", "100.100.100.200"} {
		if guard.Judge(netip.MustParseAddr(address), true) == nil {
			t.Errorf("%s is reachable where private addresses are allowed", address)
		}
	}
}

// A client goes where it may, reads what it asked for, and follows nobody.
func TestClient(t *testing.T) {
	var reached atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { reached.Add(1); fmt.Fprint(w, "hello") })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 100)) })
	mux.HandleFunc("/never", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	server := httptest.NewServer(mux)
	defer server.Close()

	open := guard.New(guard.Config{AllowPrivate: true, Timeout: 200 * time.Millisecond})
	defer open.Close()
	if body, err := open.Get(t.Context(), server.URL+"/ok", 30); err != nil || string(body) != "hello" {
		t.Errorf("%q, %v", body, err)
	}
	for path, want := range map[string]string{"/away": "status 302", "/long": "longer than 30 bytes", "/never": "exceeded", "/none": "status 404"} {
		if _, err := open.Get(t.Context(), server.URL+path, 30); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if reached.Load() != 1 {
		t.Errorf("reached %d times", reached.Load())
	}
	closed := guard.New(guard.Config{})
	if _, err := closed.Get(t.Context(), server.URL+"/ok", 5); !errors.Is(err, guard.ErrPlain) {
		t.Errorf("plain http: %v", err)
	}
	if _, err := closed.Get(t.Context(), strings.Replace(server.URL, "http:", "https:", 1), 5); !errors.Is(err, guard.ErrForbidden) {
		t.Errorf("loopback: %v", err)
	}
	for _, url := range []string{"file:///etc/passwd", "gopher://127.0.0.1/", "http://169.254.169.254/"} {
		if _, err := open.Get(t.Context(), url, 5); err == nil {
			t.Errorf("%s was reached", url)
		}
	}
}
