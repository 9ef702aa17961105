package ingress

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// street serves a handler that answers with the body's length, or refuses as the body was refused.
type street struct {
	t      *testing.T
	server Server
	addr   string
	served atomic.Int64
	// during runs inside a request whose path is /wait.
	during func(Exchange)
	done   chan error
}

func newStreet(t *testing.T, config Config) *street {
	t.Helper()
	s := &street{t: t, done: make(chan error, 1)}
	s.server = New(config, Deps{Handler: s.handle, Log: slog.New(slog.DiscardHandler)})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	go func() { s.done <- s.server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		s.server.Drain(ctx)
		if err := <-s.done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *street) handle(x Exchange) {
	s.served.Add(1)
	body, refusal := x.Body()
	if refusal != nil {
		x.Head(refusal.Status)
		_ = x.Write([]byte(refusal.Reason))
		return
	}
	if x.Path() == "/wait" {
		s.during(x)
		return
	}
	x.Head(200)
	_ = x.Write(fmt.Appendf(nil, "%s %s %d bytes", x.Method(), x.Path(), len(body)))
}

// say sends text and returns everything that comes until the other side closes or nothing comes for a while.
func (s *street) say(texts ...string) string {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	for i, text := range texts {
		if i > 0 {
			time.Sleep(30 * time.Millisecond) // a client that takes its time is what is tested
		}
		if _, err := io.WriteString(conn, text); err != nil {
			break // refused already: the answer says so
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
	all, _ := io.ReadAll(conn)
	return string(all)
}

func TestAttacks(t *testing.T) {
	big := strings.Repeat("x", 3000)
	for name, row := range map[string]struct {
		say     []string
		want    string // the answer's first line begins with it
		closed  bool   // and the connection ends
		answers int
		words   string // are in the answer
	}{
		"an ordinary body": {
			say: []string{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"}, want: "HTTP/1.1 200", answers: 1,
		},
		"two requests on one connection": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"},
			want: "HTTP/1.1 200", answers: 2,
		},
		"a second request hidden by both lengths": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"},
			want: "HTTP/1.1 400", closed: true, answers: 1, words: "content-length and transfer-encoding",
		},
		"both lengths behind another request": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiPOST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\ncontent-length: 6\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"},
			want: "HTTP/1.1 200", closed: true, answers: 2, words: "content-length and transfer-encoding",
		},
		"both lengths, in pieces": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nConTENT-lengt", "h: 6\r\nTransfer-Enc", "oding: chunked\r\n\r", "\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"},
			want: "HTTP/1.1 400", closed: true, answers: 1, words: "content-length and transfer-encoding",
		},
		"a chunked body of the old protocol": {
			say:  []string{"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"},
			want: "HTTP/1.1 400", closed: true, answers: 1, words: "transfer-encoding",
		},
		"a chunked body, and another request behind it": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n"},
			want: "HTTP/1.1 200", answers: 2, words: "POST /a 2 bytes",
		},
		"lines without a carriage return": {
			say: []string{"POST /a HTTP/1.1\nHost: x\nContent-Length: 0\n\n"}, want: "HTTP/1.1 400", closed: true, answers: 1, words: "carriage return",
		},
		"a header in two lines": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n 20\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"},
			want: "HTTP/1.1 400", closed: true, answers: 1, words: "content-length",
		},
		"a header that goes on": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"},
			want: "HTTP/1.1 400", closed: true, answers: 1, words: "second line",
		},
		"a length that is none": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\nhi"},
			want: "HTTP/1.1 400", closed: true, answers: 1, words: "no number",
		},
		"the same length twice": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi"},
			want: "HTTP/1.1 200", answers: 1, words: "2 bytes",
		},
		"a request for another host": {
			say:  []string{"GET http://elsewhere.example/hidden HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n"},
			want: "HTTP/1.1 400", closed: true, answers: 1, words: "no proxy",
		},
		"a tunnel": {
			say:  []string{"CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: elsewhere.example:443\r\n\r\n"},
			want: "HTTP/1.1 400", closed: true, answers: 1, words: "no proxy",
		},
		"another protocol on the same connection": {
			say:  []string{"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"},
			want: "HTTP/1.1 200", answers: 1, words: "GET /a",
		},
		"two lengths that differ": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 20\r\n\r\nhiGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"},
			want: "HTTP/1.1 400", closed: true, answers: 1,
		},
		"an unknown transfer encoding": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"},
			want: "HTTP/1.1 501", closed: true, answers: 1,
		},
		"a line end inside a header": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nX-A: b\rContent-Length: 5\r\n\r\nhello"},
			want: "HTTP/1.1 400", closed: true, answers: 1,
		},
		"a chunk that lies about its size": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"},
			want: "HTTP/1.1 400", closed: true, answers: 1,
		},
		"a body announced too large": {
			say: []string{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n" + big}, want: "HTTP/1.1 413", closed: true, answers: 1,
		},
		"a body that turns out too large": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n" + big + "\r\n0\r\n\r\n"},
			want: "HTTP/1.1 413", closed: true, answers: 1,
		},
		"a body in a compression": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi"},
			want: "HTTP/1.1 415", closed: true, answers: 1,
		},
		"a body that never ends": {
			say: []string{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nh", "i"}, want: "HTTP/1.1 408", closed: true, answers: 1,
		},
		"a body that drips": {
			say:  []string{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nh", "i", "j", "k", "l", "m", "n", "o", "p"},
			want: "HTTP/1.1 408", closed: true, answers: 1,
		},
		"a head that never ends": {
			say: []string{"POST /a HTTP/1.1\r\nHost: x\r\nX-A: b"}, want: "", closed: true,
		},
		"a head too large": {
			say: []string{"POST /a HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("y", 20000) + "\r\n\r\n"}, want: "HTTP/1.1 431", closed: true, answers: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStreet(t, Config{
				BodyBytesMax: 2000, BodyGrace: 100 * time.Millisecond, BodyBytesPerSec: 1 << 10, HeaderTimeout: 200 * time.Millisecond, HeaderBytesMax: 8 << 10,
			})
			got := s.say(row.say...)
			if !strings.HasPrefix(got, row.want) {
				t.Errorf("answer %q, want %q", got, row.want)
			}
			if n := strings.Count(got, "HTTP/1.1 "); n != row.answers {
				t.Errorf("%d answers in %q", n, got)
			}
			if closed := strings.Contains(got, "Connection: close"); row.answers > 0 && closed != row.closed {
				t.Errorf("connection closed: %v, in %q", closed, got)
			}
			if !strings.Contains(got, row.words) {
				t.Errorf("%q does not say %q", got, row.words)
			}
			if strings.Contains(got, "/hidden") {
				t.Errorf("a hidden request was answered: %q", got)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	s := newStreet(t, Config{})
	for _, size := range []int{0, 1, bufferBytesMin - 1, bufferBytesMin, bufferBytesMin + 1, 100_000, 3 << 20} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader(strings.Repeat("z", size))
			if chunked {
				body = io.MultiReader(body) // hides the length
			}
			resp, err := http.Post("http://"+s.addr+"/a", "application/json", body)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := fmt.Sprintf("POST /a %d bytes", size); string(text) != want {
				t.Errorf("chunked=%v: %q, want %q", chunked, text, want)
			}
		}
	}
	if held := s.server.Stats().BufferBytes; held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

// All bodies together stay within their memory; who does not fit is told so.
func TestBodiesTogether(t *testing.T) {
	s := newStreet(t, Config{BuffersBytesMax: 1 << 20})
	inside, leave := make(chan struct{}), make(chan struct{})
	s.during = func(x Exchange) {
		close(inside)
		<-leave
		x.Head(204)
	}
	go s.say("POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 700000\r\n\r\n" + strings.Repeat("x", 700_000))
	<-inside
	got := s.say("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 700000\r\n\r\n" + strings.Repeat("x", 700_000))
	close(leave)
	if !strings.HasPrefix(got, "HTTP/1.1 503") {
		t.Errorf("%q", got)
	}
	if s.server.Stats().BodyFull != 1 {
		t.Error("it was not counted")
	}
}

// Where there are too many connections, the one that has been idle for longest makes room; where all are at work, the new one is closed.
func TestConnectionsAbove(t *testing.T) {
	s := newStreet(t, Config{ConnectionsMax: 2, HeaderTimeout: time.Minute})
	leave, at := make(chan struct{}), make(chan struct{})
	s.during = func(x Exchange) {
		at <- struct{}{}
		<-leave
		x.Head(200)
	}
	var conns []net.Conn
	open := func(path string) {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if path != "" {
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		}
		conns = append(conns, conn)
	}
	hears := func(conn net.Conn) string {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		return line
	}
	for range 2 {
		open("")
	}
	for deadline := time.Now().Add(10 * time.Second); s.server.Stats().Connections < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("two connections are not open")
		}
	}
	for i := range 2 {
		open("/wait")
		<-at
		if _, err := io.Copy(io.Discard, conns[i]); err != nil {
			t.Errorf("idle connection %d was not closed in order: %v", i, err)
		}
	}
	open("/a")
	if line := hears(conns[4]); line != "" {
		t.Errorf("a third was served beside two at work: %q", line)
	}
	if got := s.server.Stats(); got.Evicted != 2 || got.Refused != 1 || got.Connections != 2 {
		t.Errorf("%+v", got)
	}
	close(leave)
	for _, conn := range conns[2:4] {
		if line := hears(conn); !strings.Contains(line, "200") {
			t.Errorf("at work: %q", line)
		}
	}
}

// A client that takes nothing is let go.
func TestClientThatDoesNotRead(t *testing.T) {
	s := newStreet(t, Config{WriteTimeout: 200 * time.Millisecond})
	failed := make(chan error, 1)
	s.during = func(x Exchange) {
		x.Head(200)
		chunk := make([]byte, 64<<10)
		for range 10_000 {
			if err := x.Write(chunk); err != nil {
				failed <- err
				return
			}
			if err := x.Flush(); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-failed; err == nil {
		t.Error("640 MB were written to a client that reads nothing")
	}
	if got := s.server.Stats().AnswersTooSlow; got != 1 {
		t.Errorf("counted %d times", got)
	}
}

// A drain lets what runs come to its end, and takes nothing new.
func TestDrain(t *testing.T) {
	for _, patient := range []bool{true, false} {
		s := newStreet(t, Config{})
		inside, leave, cause := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		s.during = func(x Exchange) {
			x.Head(200)
			_ = x.Write([]byte("first "))
			_ = x.Flush()
			close(inside)
			select {
			case <-leave:
				cause <- nil
			case <-x.Context().Done():
				cause <- context.Cause(x.Context())
			}
			_ = x.Write([]byte("last words"))
		}
		got := make(chan string, 1)
		go func() { got <- s.say("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") }()
		<-inside
		limit := 50 * time.Millisecond
		if patient {
			limit = 10 * time.Second
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		drained := make(chan int, 1)
		go func() { drained <- s.server.Drain(ctx) }()
		if patient {
			for range 100 { // until the listener is closed
				conn, err := net.Dial("tcp", s.addr)
				if err != nil {
					break
				}
				conn.Close()
				time.Sleep(5 * time.Millisecond)
			}
			if conn, err := net.Dial("tcp", s.addr); err == nil {
				conn.Close()
				t.Error("a new connection was accepted during the drain")
			}
			close(leave)
		}
		err := <-cause
		if cut := <-drained; cut != 0 {
			t.Errorf("patient=%v: %d cut", patient, cut)
		}
		cancel()
		if patient != (err == nil) || !patient && err != ErrDrained { //nolint:errorlint // the very value
			t.Errorf("patient=%v: cause %v", patient, err)
		}
		if text := <-got; !strings.Contains(text, "last words") {
			t.Errorf("patient=%v: %q", patient, text)
		}
	}
}

// A client that leaves ends the exchange's context.
func TestGone(t *testing.T) {
	s := newStreet(t, Config{})
	inside, gone := make(chan struct{}), make(chan struct{})
	s.during = func(x Exchange) {
		close(inside)
		<-x.Context().Done()
		close(gone)
	}
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
	<-inside
	conn.Close()
	<-gone
}
