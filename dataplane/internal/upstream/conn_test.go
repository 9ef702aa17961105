package upstream

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aimux/aimux/shared/fault"
)

// serveOnce answers each connection's requests with the given bytes, in pieces of that size (0 means whole), and closes when told. It says so when
// it has answered one, as far as it could.
func serveOnce(t *testing.T, conns *atomic.Int64, text string, piece int, closes bool) (base string, answered <-chan struct{}) {
	t.Helper()
	done := make(chan struct{}, 16)
	return rawServer(t, func(c net.Conn) {
		conns.Add(1)
		buf := make([]byte, 4096)
		for {
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if n, err := c.Read(buf); n == 0 || err != nil {
				return
			}
			err := sayInPieces(c, text, piece)
			done <- struct{}{}
			if err != nil || closes {
				return
			}
		}
	}), done
}

func sayInPieces(c net.Conn, text string, piece int) error {
	if piece == 0 {
		piece = len(text)
	}
	for ; text != ""; text = text[min(piece, len(text)):] {
		if _, err := io.WriteString(c, text[:min(piece, len(text))]); err != nil {
			return err
		}
	}
	return nil
}

func TestAnswers(t *testing.T) {
	for name, row := range map[string]struct {
		text   string
		closes bool
		body   string // what comes
		whole  bool
		fault  bool // no answer at all
		kept   bool // the connection serves again
		status int
	}{
		"sized":                {text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", body: "hello", whole: true, kept: true},
		"sized, empty":         {text: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", whole: true, kept: true},
		"no reason":            {text: "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", body: "ok", whole: true, kept: true},
		"chunked":              {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", body: "hello world", whole: true, kept: true},
		"chunked, a trailer":   {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\nX-A: b\r\n\r\n", body: "ok", whole: true, kept: true},
		"until close":          {text: "HTTP/1.1 200 OK\r\n\r\nhello", closes: true, body: "hello", whole: true},
		"HTTP/1.0":             {text: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", body: "ok", whole: true},
		"asks to close":        {text: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", body: "ok", whole: true},
		"an interim answer":    {text: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", body: "ok", whole: true, kept: true},
		"no content":           {text: "HTTP/1.1 204 No Content\r\n\r\n", whole: true, kept: false, status: 204},
		"cut short":            {text: "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", closes: true, body: "hello"},
		"a chunk cut short":    {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", closes: true, body: "hel"},
		"no last chunk":        {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", closes: true, body: "hello"},
		"a bad chunk size":     {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", body: "hello"},
		"a chunk too long":     {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n", body: "he"},
		"a huge chunk size":    {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx", body: ""},
		"a bare line feed":     {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n", body: ""},
		"bytes behind the end": {text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", body: "ok", whole: true},
		"both lengths":         {text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", fault: true},
		"two lengths":          {text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", fault: true},
		"a negative length":    {text: "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", fault: true},
		"another encoding":     {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", fault: true},
		"a folded header":      {text: "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok", fault: true},
		"a space in a name":    {text: "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", fault: true},
		"another protocol":     {text: "ICY 200 OK\r\n\r\n", fault: true},
		"a status of letters":  {text: "HTTP/1.1 2OO OK\r\n\r\n", fault: true},
		"switching protocols":  {text: "HTTP/1.1 101 Switching\r\n\r\n", fault: true},
		"only interim ones":    {text: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9), fault: true},
		"an endless head":      {text: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n", 5000), fault: true},
	} {
		for _, piece := range []int{0, 1, 7} {
			if len(row.text) > 10_000 && piece > 0 {
				continue
			}
			var conns atomic.Int64
			url, answered := serveOnce(t, &conns, row.text, piece, row.closes)
			e := newEngine(t, Deps{})
			for range 2 {
				resp, f := e.Do(t.Context(), &Request{Method: "POST", URL: target(t, url), Body: []byte("x"), AllowPrivate: true})
				if row.fault {
					if f == nil || f.Kind != fault.Connect {
						t.Errorf("%s/%d: taken: %+v", name, piece, f)
						resp.Close()
					}
					continue
				}
				if f != nil {
					t.Errorf("%s/%d: %v", name, piece, f)
					continue
				}
				body, whole := resp.ReadAll(nil, 1<<20)
				resp.Close()
				resp.Close()
				if string(body) != row.body || whole != row.whole {
					t.Errorf("%s/%d: %q, whole %v", name, piece, body, whole)
				}
				<-answered // so that the next request finds what has come behind this answer
			}
			if kept := conns.Load() == 1; kept != row.kept && !row.fault {
				t.Errorf("%s/%d: %d connections for two requests", name, piece, conns.Load())
			}
		}
	}
}

// What cannot become a head is refused as it comes: nobody waits for the rest.
func TestNothingIsExpectedOfWhatIsNotHTTP(t *testing.T) {
	for name, text := range map[string]string{
		"line feeds":           "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
		"a line feed, late":    "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\n",
		"HTTP/2":               "\x00\x00\x12\x04\x00\x00\x00\x00\x00",
		"TLS":                  "\x15\x03\x01\x00\x02\x02\x16",
		"a document":           `{"content":[]}`,
		"another version":      "HTTP/2.0 200 OK\r\n",
		"a mail server's word": "220 mail.example.com ESMTP\r\n",
	} {
		for _, piece := range []int{len(text), 1} {
			end := make(chan struct{})
			url := rawServer(t, func(c net.Conn) {
				for i := 0; i < len(text); i += piece {
					_, _ = io.WriteString(c, text[i:i+piece])
				}
				<-end
			})
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			_, f := newEngine(t, Deps{}).Do(ctx, &Request{Method: "POST", URL: target(t, url), Body: []byte("x"), AllowPrivate: true})
			if f == nil || f.Kind != fault.Connect || ctx.Err() != nil {
				t.Errorf("%s in pieces of %d: %+v", name, piece, f)
			}
			stop()
			close(end)
		}
	}
}

// What is sent: one head, the body behind it, and nothing that a value could smuggle in.
func TestSent(t *testing.T) {
	got := make(chan string, 10)
	url := rawServer(t, func(c net.Conn) {
		buf := make([]byte, 64<<10)
		n := 0
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		for !strings.Contains(string(buf[:n]), "END") {
			k, err := c.Read(buf[n:])
			if err != nil {
				break
			}
			n += k
		}
		got <- string(buf[:n])
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	e := newEngine(t, Deps{})
	for _, size := range []int{10, inlineBytes + 10} {
		body := strings.Repeat("x", size) + "END"
		resp, f := e.Do(t.Context(), &Request{Method: "POST", URL: target(t, url+"/a%20b?c=d"), Header: []Field{{"X-Key", "v"}}, Body: []byte(body), AllowPrivate: true})
		if f != nil {
			t.Fatal(f)
		}
		resp.Close()
		want := fmt.Sprintf("POST /a%%20b?c=d HTTP/1.1\r\nHost: %s\r\nAccept-Encoding: identity\r\nX-Key: v\r\nContent-Length: %d\r\n\r\n%s", strings.TrimPrefix(url, "http://"), len(body), body)
		if text := <-got; text != want {
			t.Errorf("%q", text[:min(len(text), 300)])
		}
	}
	for _, value := range []string{"a\r\nX-Evil: 1", "a\nb", "a\x00b"} {
		if _, f := e.Do(t.Context(), &Request{Method: "POST", URL: target(t, url), Header: []Field{{"X-Key", value}}, AllowPrivate: true}); f == nil {
			t.Errorf("%q was sent", value)
		}
	}
}

// Connections that nobody needs are closed in time.
func TestIdleConnectionsGo(t *testing.T) {
	var conns atomic.Int64
	closed := make(chan struct{}, 10)
	url := rawServer(t, func(c net.Conn) {
		conns.Add(1)
		readHead(c)
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == io.EOF { //nolint:errorlint // a Reader's end is this very value
			closed <- struct{}{}
		}
	})
	e := New(Config{IdleTimeout: 50 * time.Millisecond}, Deps{})
	defer e.Close()
	resp, f := e.Do(t.Context(), &Request{Method: "POST", URL: target(t, url), AllowPrivate: true})
	if f != nil {
		t.Fatal(f)
	}
	_, _ = resp.ReadAll(nil, 10)
	resp.Close()
	<-closed
}
