package upstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aimux/aimux/shared/fault"
)

func target(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func newEngine(t *testing.T, deps Deps) Engine {
	t.Helper()
	e := New(Config{ConnectTimeout: 2 * time.Second}, deps)
	t.Cleanup(e.Close)
	return e
}

func TestAttempt(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Test", "yes")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s %s %s %q %s", r.Method, r.URL, r.Header.Get("Accept-Encoding"), r.Header.Get("X-Own"), r.Header.Get("User-Agent"), body)
	})
	server := httptest.NewServer(handler)
	defer server.Close()
	e := newEngine(t, Deps{InProcess: handler})
	for name, r := range map[string]*Request{
		"by the network": {URL: target(t, server.URL+"/a?b=c"), AllowPrivate: true},
		"in process":     {URL: target(t, "http://nowhere.invalid/a?b=c"), InProcess: true},
	} {
		r.Method, r.Body, r.Header = "POST", []byte("hello"), []Field{{"X-Own", "1"}, {"User-Agent", "aimux/test"}}
		for range 3 {
			resp, f := e.Do(t.Context(), r)
			if f != nil {
				t.Fatalf("%s: %v", name, f)
			}
			text, whole := resp.ReadAll(nil, 1<<20)
			resp.Close()
			if want := `POST /a?b=c identity 1 "aimux/test" hello`; string(text) != want || !whole || resp.Status != 201 || resp.Header("X-Test") != "yes" {
				t.Errorf("%s: %d %q, whole %v", name, resp.Status, text, whole)
			}
		}
	}
}

// What may not be reached is not, by whatever name.
func TestForbiddenAddresses(t *testing.T) {
	reached := atomic.Bool{}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer server.Close()
	port := target(t, server.URL).Port()
	e := newEngine(t, Deps{})
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1.2.3"} {
		_, f := e.Do(t.Context(), &Request{Method: "GET", URL: target(t, "http://"+host+":"+port+"/")})
		if f == nil || f.Kind != fault.Connect || f.Sent {
			t.Errorf("%s: %+v", host, f)
		}
	}
	if reached.Load() {
		t.Error("a forbidden address was reached")
	}
}

// A redirect is an answer like any other: nobody follows it with the key in hand.
func TestRedirect(t *testing.T) {
	followed := atomic.Bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b" {
			followed.Store(true)
		}
		http.Redirect(w, r, "/b", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	e := newEngine(t, Deps{})
	resp, f := e.Do(t.Context(), &Request{Method: "POST", URL: target(t, server.URL+"/a"), Body: []byte("x"), AllowPrivate: true})
	if f != nil || resp.Status != 307 || followed.Load() {
		t.Errorf("fault %v, followed %v", f, followed.Load())
	}
	resp.Close()
}

// An error body of any size costs what is read of it.
func TestHugeErrorBody(t *testing.T) {
	sent := atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		chunk := bytes.Repeat([]byte("x"), 64<<10)
		for range 1600 {
			n, err := w.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	defer server.Close()
	e := newEngine(t, Deps{})
	resp, f := e.Do(t.Context(), &Request{Method: "POST", URL: target(t, server.URL), AllowPrivate: true})
	if f != nil {
		t.Fatal(f)
	}
	text, whole := resp.ReadAll(make([]byte, 0, 1024), 64<<10)
	resp.Close()
	if len(text) != 64<<10 || cap(text) > 200<<10 || whole {
		t.Errorf("%d bytes in %d, whole %v", len(text), cap(text), whole)
	}
	if sent.Load() > 50<<20 {
		t.Errorf("%d bytes were drawn from the provider", sent.Load())
	}
}

func TestWhyNot(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + ln.Addr().String()
	ln.Close()
	hangup := rawServer(t, func(c net.Conn) { readHead(c) })
	nonsense := rawServer(t, func(c net.Conn) { readHead(c); fmt.Fprint(c, "SSH-2.0-nope\r\n\r\n") })
	flood := rawServer(t, func(c net.Conn) {
		readHead(c)
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nX-A: "+strings.Repeat("y", 200<<10)+"\r\n\r\n")
	})
	e := newEngine(t, Deps{})
	for _, row := range []struct{ url, words string }{
		{refused, "refused"}, {hangup, "closed the connection"}, {nonsense, "not HTTP"}, {flood, "not HTTP"},
		{"http://no-such-host.invalid", "name"}, {strings.Replace(nonsense, "http:", "https:", 1), "TLS"},
	} {
		_, f := e.Do(t.Context(), &Request{Method: "POST", URL: target(t, row.url), Body: []byte("x"), AllowPrivate: true})
		if f == nil || f.Kind != fault.Connect || !strings.Contains(f.Message, row.words) {
			t.Errorf("%s: %+v, want words %q", row.url, f, row.words)
		}
		if f != nil && strings.Contains(f.Message, "127.0.0.1") {
			t.Errorf("an address is told: %q", f.Message)
		}
	}
}

func rawServer(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return "http://" + ln.Addr().String()
}

// readHead reads what has come of a request; false means that nothing comes any more.
func readHead(c net.Conn) bool {
	buf := make([]byte, 4096)
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
	n, _ := c.Read(buf)
	return n > 0
}

// A context that ends, ends everything at once; the body's bytes are the caller's again.
func TestCancel(t *testing.T) {
	inside, leave := make(chan struct{}, 1), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			_, _ = w.Write([]byte("a"))
			w.(http.Flusher).Flush()
		}
		inside <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-leave:
		}
	}))
	defer server.Close()
	defer close(leave)
	e := newEngine(t, Deps{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-inside; cancel() }()
	body := bytes.Repeat([]byte("b"), 8<<20) // more than sockets buffer
	_, f := e.Do(ctx, &Request{Method: "POST", URL: target(t, server.URL), Body: body, AllowPrivate: true})
	for i := range body {
		body[i] = 'c' // the race detector sees who still reads
	}
	if f == nil || f.Kind != fault.Canceled {
		t.Errorf("%+v", f)
	}
	ctx, cancel = context.WithCancel(t.Context())
	resp, f := e.Do(ctx, &Request{Method: "POST", URL: target(t, server.URL+"/stream"), AllowPrivate: true})
	if f != nil {
		t.Fatal(f)
	}
	<-inside
	cancel()
	if _, whole := resp.ReadAll(nil, 1<<10); whole {
		t.Error("a cancelled answer came to an end in order")
	}
	resp.Close()
}

// A kept connection that the provider has closed meanwhile costs a second dial, not the attempt.
func TestStaleConnection(t *testing.T) {
	var conns atomic.Int64
	url := rawServer(t, func(c net.Conn) {
		conns.Add(1)
		readHead(c)
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	e := newEngine(t, Deps{})
	for i := range 20 {
		resp, f := e.Do(t.Context(), &Request{Method: "POST", URL: target(t, url), Body: []byte("x"), AllowPrivate: true})
		if f != nil {
			t.Fatalf("attempt %d: %v", i, f)
		}
		if text, whole := resp.ReadAll(nil, 10); string(text) != "ok" || !whole {
			t.Errorf("%q", text)
		}
		resp.Close()
	}
}

// A request is sent again only on a connection that was kept, once, on a new one, and only if not one byte of an answer has come.
func TestSentAgain(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for name, row := range map[string]struct {
		// answers of each connection, one for each request on it; the last is followed by its end
		conns  [][]string
		seen   int64 // requests that arrived
		resent int64
		fails  bool
	}{
		"a kept one ends without a word":              {[][]string{{ok, ""}, {ok}}, 3, 1, false},
		"a new one ends without a word":               {[][]string{{""}, {ok}}, 1, 0, true},
		"a kept one, and the new one too":             {[][]string{{ok, ""}, {""}, {ok}}, 3, 1, true},
		"a kept one ends within its answer's head":    {[][]string{{ok, "HTTP/1.1 2"}, {ok}}, 2, 0, true},
		"a kept one ends behind an interim answer":    {[][]string{{ok, "HTTP/1.1 103 Early Hints\r\n\r\n"}, {ok}}, 2, 0, true},
		"a kept one ends in the middle of a body":     {[][]string{{ok, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"}, {ok}}, 2, 0, false},
		"a kept one serves again, as most of them do": {[][]string{{ok, ok}}, 2, 0, false},
	} {
		var made, seen, resent atomic.Int64
		url := rawServer(t, func(c net.Conn) {
			n := int(made.Add(1)) - 1
			for _, text := range row.conns[min(n, len(row.conns)-1)] {
				if !readHead(c) {
					return
				}
				seen.Add(1)
				fmt.Fprint(c, text)
			}
		})
		e := newEngine(t, Deps{Resent: func() { resent.Add(1) }})
		var f *fault.Fault
		for range 2 {
			var resp *Response
			if resp, f = e.Do(t.Context(), &Request{Method: "POST", URL: target(t, url), Body: []byte("x"), AllowPrivate: true}); f != nil {
				break
			}
			resp.ReadAll(nil, 10)
			resp.Close()
		}
		if (f != nil) != row.fails || seen.Load() != row.seen || resent.Load() != row.resent {
			t.Errorf("%s: %d requests arrived, %d sent again, fault %v", name, seen.Load(), resent.Load(), f)
		}
	}
}
