package ingress

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections have no buffers: who writes waits until somebody reads.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// TestHandshakesThatGoNowhere fills a listener with clients that begin TLS and do not end it, and with one that has been served and takes nothing
// any more. Nobody is kept out by them, or waits while they are sent away; and they go by themselves.
func TestHandshakesThatGoNowhere(t *testing.T) {
	certificate := httptest.NewTLSServer(http.NotFoundHandler())
	certificate.Close()
	synctest.Test(t, func(t *testing.T) {
		const room = 4
		plain := &pipes{make(chan net.Conn), make(chan struct{})}
		s := New(Config{ConnectionsMax: room, HeaderTimeout: 5 * time.Second, IdleTimeout: time.Hour}, Deps{
			Log: slog.New(slog.DiscardHandler), Handler: func(x Exchange) { x.Head(200); _ = x.Write([]byte("hi")) },
		})
		done := make(chan error, 1)
		go func() {
			done <- s.Serve(tls.NewListener(plain, &tls.Config{Certificates: certificate.TLS.Certificates}))
		}()
		ask := func() *tls.Conn {
			t.Helper()
			conn := tls.Client(plain.dial(), &tls.Config{InsecureSkipVerify: true})
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("%v %v", response, err)
			}
			return conn
		}
		served := ask()
		begun := time.Now()
		hanging := []net.Conn{plain.dial(), plain.dial(), plain.dial()}
		_, _ = hanging[1].Write([]byte{0x16, 3, 1, 2, 0, 1, 0}) // a part of a first message
		go func() {                                             // a whole one, whose answer nobody takes
			_ = tls.Client(deaf{hanging[2], plain.closed}, &tls.Config{InsecureSkipVerify: true}).Handshake()
		}()
		synctest.Wait()
		for range 2 * room { // each in the place of one that hangs, or of the one that was served
			ask()
		}
		if waited := time.Since(begun); waited > 0 {
			t.Errorf("those who speak waited %v for those who do not", waited)
		}
		if stats := s.Stats(); stats.Evicted < room || stats.Refused != 0 {
			t.Errorf("%+v", stats)
		}
		more := plain.dial()
		time.Sleep(6 * time.Second)
		if _, err := more.Read(make([]byte, 1)); err == nil {
			t.Error("a handshake that does not begin goes on")
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		begun = time.Now()
		s.Drain(ctx)
		if waited := time.Since(begun); waited > 2*time.Second {
			t.Errorf("draining waited %v", waited)
		}
		for _, conn := range append(hanging, served, more) {
			_ = conn.Close()
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// deaf takes nothing of what is said to it.
type deaf struct {
	net.Conn
	end <-chan struct{}
}

func (d deaf) Read([]byte) (int, error) { <-d.end; return 0, io.EOF }
