package ingress

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// script is a connection whose client has said everything beforehand; it is read in pieces of a size.
type script struct {
	net.Conn // nil: what is not here is not used
	said     *bytes.Reader
	piece    int
	answers  bytes.Buffer
}

func (s *script) Read(p []byte) (int, error)       { return s.said.Read(p[:min(len(p), s.piece)]) }
func (s *script) Write(p []byte) (int, error)      { return s.answers.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// served is a request as the handler saw it.
type served struct{ method, path, query, agent, body string }

// serveScript gives the requests that were served, and what was answered.
func serveScript(said []byte, piece int) (all []served, answers []byte) {
	s := New(Config{HeaderBytesMax: 4 << 10, BodyBytesMax: 16 << 10}, Deps{Log: slog.New(slog.DiscardHandler), Handler: func(x Exchange) {
		body, refusal := x.Body()
		if refusal != nil {
			x.Head(refusal.Status)
			return
		}
		all = append(all, served{x.Method(), x.Path(), x.Query(), x.Header("User-Agent"), string(body)})
		x.Head(200)
		_ = x.Write(body)
	}}).(*server)
	client := &script{said: bytes.NewReader(said), piece: piece}
	newConn(s, client).serve()
	return all, client.answers.Bytes()
}

// Whatever is served, net/http reads the same way: request by request, to the byte, however the bytes are cut. And who reads the answers finds
// one for each.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /a?b=c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nT: r\r\n\r\nHEAD /%41 HTTP/1.1\r\nhost: [::1]:80\r\nuser-agent: a b\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"\r\n\r\nGET / HTTP/1.0\r\ncontent-length:\t 0 \r\nConnection: keep-alive\r\n\r\nGET //a HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.1\nHost: x\n\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
	} {
		f.Add([]byte(seed), uint8(7))
	}
	f.Fuzz(func(t *testing.T, said []byte, piece uint8) {
		all, answers := serveScript(said, 1<<20)
		inPieces, again := serveScript(said, int(piece)+1)
		count := func(all []byte) int {
			return bytes.Count(all, []byte("HTTP/1.1 ")) - bytes.Count(all, []byte("HTTP/1.1 100 "))
		}
		if !slices.Equal(all, inPieces) || count(answers) != count(again) {
			t.Fatalf("%q and %q at once, %q and %q in pieces of %d", all, answers, inPieces, again, piece)
		}
		in := bufio.NewReader(bytes.NewReader(said))
		for i, one := range all {
			for next, _ := in.Peek(2); string(next) == "\r\n"; next, _ = in.Peek(2) {
				_, _ = in.Discard(2) // net/http does not know that an empty line before a request means nothing
			}
			r, err := http.ReadRequest(in)
			if err != nil {
				t.Fatalf("request %d: net/http refuses what was served as %q: %v", i, one, err)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatalf("request %d: net/http refuses a body that was taken: %v", i, err)
			}
			if want := (served{r.Method, r.URL.Path, r.URL.RawQuery, r.UserAgent(), string(body)}); one != want {
				t.Fatalf("request %d: %q; net/http reads %q", i, one, want)
			}
		}
		left := bufio.NewReader(bytes.NewReader(answers))
		for i, one := range all {
			response, err := http.ReadResponse(left, &http.Request{Method: one.method})
			for err == nil && response.StatusCode == http.StatusContinue {
				response, err = http.ReadResponse(left, &http.Request{Method: one.method})
			}
			if err != nil {
				t.Fatalf("answer %d of %q: %v", i, answers, err)
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || one.method != http.MethodHead && string(body) != one.body {
				t.Fatalf("answer %d: %q, %v", i, body, err)
			}
		}
	})
}

// What is refused for its head alone, whatever follows. No row is served, and each is told why.
func TestHeadsRefused(t *testing.T) {
	for name, row := range map[string]struct {
		say    string
		status int
	}{
		"nothing of HTTP":               {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
		"no version":                    {"GET /\r\n\r\n", 400},
		"an unknown version":            {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505},
		"the next version":              {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		"two spaces":                    {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"a tab in the request line":     {"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"a space at its end":            {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
		"a space in the target":         {"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"a NUL in the target":           {"GET /a\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"a byte beyond ASCII in it":     {"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"an escape that is none":        {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"a method that is none":         {"G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"no host":                       {"GET / HTTP/1.1\r\n\r\n", 400},
		"two hosts":                     {"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400},
		"a host with a path":            {"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400},
		"another host":                  {"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"a space before the colon":      {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello", 400},
		"a name with a space":           {"GET / HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n", 400},
		"no name":                       {"GET / HTTP/1.1\r\nHost: x\r\n: c\r\n\r\n", 400},
		"no colon":                      {"GET / HTTP/1.1\r\nHost: x\r\nabc\r\n\r\n", 400},
		"a NUL in a value":              {"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", 400},
		"a carriage return in a value":  {"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc: d\r\n\r\n", 400},
		"a line feed alone":             {"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400},
		"a line feed alone at the end":  {"GET / HTTP/1.1\r\nHost: x\r\n\n", 400},
		"a first header that goes on":   {"GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400},
		"a negative length":             {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
		"a length beyond all numbers":   {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
		"a length in hexadecimal":       {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\nhi", 400},
		"an empty length":               {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nhi", 400},
		"a list of lengths":             {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\nhi", 400},
		"both lengths, chunked first":   {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400},
		"chunked twice":                 {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
		"chunked in a list":             {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		"chunked, hidden":               {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400},
		"identity":                      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", 501},
		"something else to be expected": {"POST / HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n", 417},
		"very many headers":             {"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", linesMax) + "\r\n", 431},
		"a head too large at once":      {"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("b", 5000) + "\r\n\r\n", 431},
	} {
		t.Run(name, func(t *testing.T) {
			all, answers := serveScript([]byte(row.say+"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"), 1<<20)
			if len(all) != 0 {
				t.Errorf("served %q", all)
			}
			if want := fmt.Sprintf("HTTP/1.1 %d ", row.status); !bytes.HasPrefix(answers, []byte(want)) || !bytes.Contains(answers, []byte("Connection: close\r\n")) {
				t.Errorf("answered %q, want %s", answers, want)
			}
		})
	}
}

// Bodies in chunks that are not as they should be: each gets one answer, and nothing behind it is read as a request.
func TestChunksRefused(t *testing.T) {
	for name, chunks := range map[string]string{
		"no size":                     "\r\nhi\r\n0\r\n\r\n",
		"a size with a sign":          "+2\r\nhi\r\n0\r\n\r\n",
		"a size with a prefix":        "0x2\r\nhi\r\n0\r\n\r\n",
		"a size with a space":         "2 \r\nhi\r\n0\r\n\r\n",
		"a size beyond all numbers":   "ffffffffffffffff2\r\nhi\r\n0\r\n\r\n",
		"a size ended by a line feed": "2\nhi\r\n0\r\n\r\n",
		"data longer than its size":   "2\r\nhiX\r\n0\r\n\r\n",
		"data ended by a line feed":   "2\r\nhi\n0\r\n\r\n",
		"an extension with a return":  "2;a\rb\r\nhi\r\n0\r\n\r\n",
		"a long extension":            "2;" + strings.Repeat("a", 300) + "\r\nhi\r\n0\r\n\r\n",
		"very many extensions":        strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 100) + "0\r\n\r\n",
		"a trailer that is none":      "2\r\nhi\r\n0\r\nGET /hidden HTTP/1.1\r\n\r\n",
		"a trailer with a space":      "2\r\nhi\r\n0\r\nA : b\r\n\r\n",
		"very many trailers":          "2\r\nhi\r\n0\r\n" + strings.Repeat("A: "+strings.Repeat("b", 100)+"\r\n", 200) + "\r\n",
		"an end by a line feed":       "2\r\nhi\r\n0\r\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			all, answers := serveScript([]byte("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+chunks+"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"), 1<<20)
			if len(all) != 0 {
				t.Errorf("served %q", all)
			}
			if !bytes.HasPrefix(answers, []byte("HTTP/1.1 400 ")) || bytes.Count(answers, []byte("HTTP/1.1 ")) != 1 || !bytes.Contains(answers, []byte("Connection: close\r\n")) {
				t.Errorf("answered %q", answers)
			}
		})
	}
}

// Each way of telling where an answer ends, and what becomes of the connection, as a client reads it.
func TestAnswers(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for name, row := range map[string]struct {
		request string
		handler func(Exchange)
		want    string // the answer's head, without the date
		body    string
	}{
		"short, at once": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", func(x Exchange) { x.Head(200); _ = x.Write([]byte("a")) },
			"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", "a"},
		"of a length that was said": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", func(x Exchange) {
			x.SetHeader("Content-Length", "100000")
			x.Head(201)
			_ = x.Write([]byte(long))
		}, "HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n", long},
		"in pieces": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", func(x Exchange) {
			for _, piece := range []string{"a", "", "bc"} {
				_ = x.Write([]byte(piece))
				_ = x.Flush()
			}
		}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"},
		"long, unannounced": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", func(x Exchange) { _ = x.Write([]byte(long)) },
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "186a0\r\n" + long + "\r\n0\r\n\r\n"},
		"in pieces for the old protocol": {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", func(x Exchange) { _ = x.Write([]byte("a")); _ = x.Flush(); _ = x.Write([]byte("b")) },
			"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "ab"},
		"the old protocol stays": {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", func(x Exchange) { _ = x.Write([]byte("a")) },
			"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", "a"},
		"the old protocol goes": {"GET / HTTP/1.0\r\n\r\n", func(x Exchange) { _ = x.Write([]byte("a")) },
			"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n", "a"},
		"the client goes": {"GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n", func(x Exchange) { _ = x.Write([]byte("a")) },
			"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n", "a"},
		"nothing but a head": {"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", func(x Exchange) { x.SetHeader("Content-Length", "5"); x.Head(200); _ = x.Write([]byte("hello")) },
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ""},
		"nothing": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", func(x Exchange) { x.Head(204) }, "HTTP/1.1 204 No Content\r\n\r\n", ""},
		"less than was said": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", func(x Exchange) { x.SetHeader("Content-Length", "5"); _ = x.Write([]byte("abc")) },
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "abc"},
		"headers that would be more": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", func(x Exchange) { x.SetHeader("A", "b\r\nC: d"); x.SetHeader("A", "b\r\nE: f"); x.Head(204) },
			"HTTP/1.1 204 No Content\r\nA: b  E: f\r\n\r\n", ""},
		"a body that nobody wanted": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", func(x Exchange) { x.Head(204) }, "HTTP/1.1 204 No Content\r\n\r\n", ""},
		"a body that waits": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", func(x Exchange) { x.Head(204) },
			"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", ""},
		"no word": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", func(Exchange) {}, "", ""},
		"a panic": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", func(x Exchange) { _ = x.Write([]byte("a")); panic("a mistake") }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Config{}, Deps{Log: slog.New(slog.DiscardHandler), Handler: row.handler}).(*server)
			client := &script{said: bytes.NewReader([]byte(row.request)), piece: 1 << 20}
			newConn(s, client).serve()
			head, body, _ := strings.Cut(client.answers.String(), "\r\n\r\n")
			lines := slices.DeleteFunc(strings.Split(head, "\r\n"), func(l string) bool { return strings.HasPrefix(l, "Date: ") })
			if head = strings.Join(lines, "\r\n"); row.want != "" {
				head += "\r\n\r\n"
			}
			if head != row.want || body != row.body {
				t.Errorf("%q, body of %d bytes %.80q", head, len(body), body)
			}
			if held := s.bodies.held.Load(); held != 0 {
				t.Errorf("%d bytes of bodies are still held", held)
			}
		})
	}
}

// An event of a stream is one write, with its head in the first.
func TestOneWriteForAnEvent(t *testing.T) {
	writes := &counted{script: script{said: bytes.NewReader([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), piece: 1 << 20}}
	s := New(Config{}, Deps{Log: slog.New(slog.DiscardHandler), Handler: func(x Exchange) {
		for range 10 {
			_ = x.Write([]byte("data: "))
			_ = x.Write([]byte("x\n\n"))
			_ = x.Flush()
		}
	}}).(*server)
	newConn(s, writes).serve()
	if writes.n != 11 {
		t.Errorf("%d writes for 10 events and the end", writes.n)
	}
}

type counted struct {
	script
	n int
}

func (c *counted) Write(p []byte) (int, error) {
	c.n++
	return c.script.Write(p)
}

// Over TLS it is the same, and a client that would rather speak HTTP/2 falls back.
func TestTLS(t *testing.T) {
	other := httptest.NewTLSServer(http.NotFoundHandler()) // it has a certificate, and a client that trusts it
	defer other.Close()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{}, Deps{Log: slog.New(slog.DiscardHandler), Handler: func(x Exchange) {
		body, _ := x.Body()
		_ = x.Write(body)
		_ = x.Flush()
		_ = x.Write(body)
	}})
	done := make(chan error, 1)
	go func() { done <- s.Serve(tls.NewListener(plain, &tls.Config{Certificates: other.TLS.Certificates})) }()
	client := other.Client()
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	for _, size := range []int{0, 5, 100_000} {
		said := strings.Repeat("x", size)
		response, err := client.Post("https://"+plain.Addr().String()+"/a", "text/plain", strings.NewReader(said))
		if err != nil {
			t.Fatal(err)
		}
		heard, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || string(heard) != said+said || response.ProtoMajor != 1 {
			t.Errorf("%d bytes: %d, %s, %v", size, len(heard), response.Proto, err)
		}
	}
	client.CloseIdleConnections()
	if cut := s.Drain(t.Context()); cut != 0 {
		t.Errorf("%d cut", cut)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What a client waits for before it sends its body comes, once, and only if the body is wanted.
func TestExpect(t *testing.T) {
	s := newStreet(t, Config{})
	got := s.say("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", "hi")
	if !strings.HasPrefix(got, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "POST /a 2 bytes") {
		t.Errorf("%q", got)
	}
}

// A client that leaves is noticed however long its request has been running, and one that has said more in the meantime is served next.
func TestWatch(t *testing.T) {
	s := newStreet(t, Config{})
	s.during = func(x Exchange) {
		select {
		case <-x.Context().Done():
			x.Head(500)
		case <-time.After(3 * watchAfter): // long enough to be watched
			x.Head(204)
		}
	}
	got := s.say("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n", "", "GET /b HTTP/1.1\r\nHost: x\r\n", "\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 204 ") || !strings.HasSuffix(got, "GET /b 0 bytes") {
		t.Errorf("%q", got)
	}
}

func BenchmarkHead(b *testing.B) {
	text := "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Go 3.0\r\nAccept: application/json\r\nAuthorization: Bearer sk-12345678901234567890\r\nX-Stainless-Lang: go\r\nContent-Length: 0\r\n"
	var h head
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if r := h.parse(text); r != nil {
			b.Fatal(r)
		}
	}
}
