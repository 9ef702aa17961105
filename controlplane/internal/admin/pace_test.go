package admin_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
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

// Strangers whose bodies do not come fill their own room, and no other.
func TestStrangersDoNotTakeTheRoomOfOthers(t *testing.T) {
	office := openOffice(t, nil)
	const list = "POST /aimux.admin.v1.ProviderService/ListProviders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
	status := func(who string) int {
		code, _ := get(t, office.url+"/metrics", func(r *http.Request) { r.Header.Set("Authorization", who) })
		return code
	}
	for range 128 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(office.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, list)
	}
	for deadline := time.Now().Add(20 * time.Second); status("Bearer none") != http.StatusServiceUnavailable; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("128 strangers are not too many")
		}
	}
	if code := status(office.keys["viewer"]); code != http.StatusOK {
		t.Errorf("with a token: %d", code)
	}
}
