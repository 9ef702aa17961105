package admin_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aimux/aimux/controlplane/internal/admin"
)

// Whoever asks and takes nothing of the answer is cut off after half a minute, and counted; who takes all of it, slowly, is not.
func TestWhoTakesNothingHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Int64
		handler := admin.New(admin.Config{ID: "cp-1"}, admin.Deps{
			Board: &shelf{view: full(), changed: make(chan struct{})}, Door: admin.Door{Anonymous: admin.Viewer},
			Metrics: func(string) ([]byte, string) { return bytes.Repeat([]byte("x"), 1<<20), "text/plain" },
			Refused: func(reason string) {
				if reason == "slow" {
					slow.Add(1)
				}
			},
		})
		street := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: handler}
		var all sync.WaitGroup
		all.Go(func() { _ = server.Serve(street) })
		ask := func() net.Conn {
			ours, theirs := net.Pipe()
			street.conns <- theirs
			_, _ = io.WriteString(ours, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
			return ours
		}
		silent, begun := ask(), time.Now()
		synctest.Wait()
		time.Sleep(time.Minute)
		if _, err := io.ReadAll(silent); err != nil || slow.Load() != 1 {
			t.Errorf("who takes nothing: %v, counted %d times, after %v", err, slow.Load(), time.Since(begun))
		}
		patient, got := ask(), 0
		for buf := make([]byte, 64<<10); got < 1<<20; time.Sleep(10 * time.Second) {
			n, err := io.ReadFull(patient, buf)
			if got += n; err != nil && n == 0 {
				t.Fatalf("who takes some every ten seconds: %v after %d bytes", err, got)
			}
		}
		if slow.Load() != 1 {
			t.Errorf("counted %d times", slow.Load())
		}
		patient.Close()
		_ = server.Close()
		street.Close()
		all.Wait()
	})
}

// pipes are connections in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// Strangers whose bodies do not come fill their own room, and no other, and not for long.
func TestStrangersDoNotTakeTheRoomOfOthers(t *testing.T) {
	office := openOffice(t, nil)
	stall := func(path string) net.Conn {
		conn, err := net.Dial("tcp", strings.TrimPrefix(office.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
		return conn
	}
	// Who may not have what he asks for is told so at once, and held no longer than it takes to hear it.
	refused := stall("/aimux.admin.v1.ProviderService/ListProviders")
	defer refused.Close()
	_ = refused.SetReadDeadline(time.Now().Add(20 * time.Second))
	if text, err := io.ReadAll(refused); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 401 ") {
		t.Errorf("without a token: %v %q", err, text)
	}
	status := func(page, who string) int {
		code, _ := get(t, office.url+page, func(r *http.Request) { r.Header.Set("Authorization", who) })
		return code
	}
	for range 128 {
		defer stall("/grpc.health.v1.Health/Check").Close()
	}
	for deadline := time.Now().Add(20 * time.Second); status("/readyz", "") != http.StatusServiceUnavailable; {
		if time.Now().After(deadline) {
			t.Fatal("128 strangers are not too many")
		}
		defer stall("/grpc.health.v1.Health/Check").Close() // in the place of one whose time is over
	}
	if code := status("/metrics", office.keys["viewer"]); code != http.StatusOK {
		t.Errorf("with a token: %d", code)
	}
}

// Wrong tokens are told that they are too many, from whichever address they come; a right one is let in beside them.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reasons := map[string]int{}
		o := newOffice(func(d *admin.Deps) { d.Refused = func(reason string) { reasons[reason]++ } })
		handler := admin.New(admin.Config{ID: "cp-1"}, o.deps)
		ask := func(from, authorization string) int {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
			r.RemoteAddr, r.Host = from, "localhost"
			r.Header.Set("Authorization", authorization)
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, r)
			if (answer.Code == http.StatusTooManyRequests) != (answer.Header().Get("Retry-After") != "") {
				t.Errorf("%d with retry-after %q", answer.Code, answer.Header().Get("Retry-After"))
			}
			return answer.Code
		}
		const guesser, neighbour, stranger = "[2001:db8::1]:1000", "[2001:db8::2]:1000", "192.0.2.1:1000"
		codes := map[int]int{}
		for range 1100 {
			codes[ask(guesser, "Bearer "+mint("admin", 8).Reveal())]++
		}
		if codes[http.StatusUnauthorized] != 1000 || codes[http.StatusTooManyRequests] != 100 || reasons["guessing"] != 100 {
			t.Errorf("%v, counted as %v", codes, reasons)
		}
		for _, row := range []struct {
			from, who string
			want      int
		}{
			{guesser, o.keys["viewer"], http.StatusOK},
			{guesser, "Bearer good.viewer.jwt", http.StatusOK},
			{neighbour, "Bearer x", http.StatusTooManyRequests}, // of the same network
			{stranger, "Bearer x", http.StatusUnauthorized},
			{guesser, o.keys["rolled"], http.StatusForbidden},
		} {
			if got := ask(row.from, row.who); got != row.want {
				t.Errorf("%s with %.20s…: %d, want %d", row.from, row.who, got, row.want)
			}
		}
		time.Sleep(time.Second)
		if got := ask(guesser, "Bearer x"); got != http.StatusUnauthorized {
			t.Errorf("a second later: %d", got)
		}
	})
}

// TestAskedOnce wants a caller of a reading procedure, and of a page, to be authenticated once, and nothing to be read of a stranger's body.
func TestAskedOnce(t *testing.T) {
	var asked atomic.Int64
	o := openOffice(t, func(d *admin.Deps) {
		d.Door.JWT = func(ctx context.Context, text string) (string, string, int64, error) {
			asked.Add(1)
			return someIssuer(ctx, text)
		}
	})
	for _, page := range []string{"/metrics", "/healthz", "/aimux.admin.v1.ProviderService/ListProviders"} {
		asked.Store(0)
		code, body := get(t, o.url+page, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer good.viewer.jwt")
			if strings.HasPrefix(page, "/aimux.") {
				r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader("{}")), 2
				r.Header.Set("Content-Type", "application/json")
			}
		})
		if code != http.StatusOK || asked.Load() != 1 {
			t.Errorf("%s: %d %s, asked %d times who it is", page, code, body, asked.Load())
		}
	}
}
