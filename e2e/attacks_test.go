package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/aimux/aimux/deploy/allinone"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	"github.com/aimux/aimux/shared/keyfile"
)

var publishAttacks = flag.Bool("attacks", false, "write what the attacks got to deploy/docs/attacks.md")

// target is an aimux under attack: its provider is the attacker's, beside it stands a place that nothing may reach, and the admin API wants
// tokens.
type target struct {
	data, admin string // host:port
	token       string
	evil        *evil
	trap        *trap
	key         string      // of a client who may use little; made when it is wanted
	untaken     chan string // what became of a stream of which nothing was taken
}

const upstreamKey = "sk-canary-7f3a9c51e2d84b06"

// evil is a provider in an attacker's hands. What it answers depends on the model that is asked for.
type evil struct {
	*httptest.Server
	mu       sync.Mutex // protects below
	requests []*http.Request
	answers  map[string]http.HandlerFunc
	reached  map[string]int // how often each answer was given
	stopped  chan struct{}  // closed when nobody takes the endless stream any more
}

func (e *evil) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	e.requests = append(e.requests, r)
	var answer http.HandlerFunc
	for name, one := range e.answers {
		if bytes.Contains(body, []byte(`"`+name+`"`)) {
			answer = one
			e.reached[name]++
		}
	}
	e.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id":"m","type":"message","role":"assistant","model":"x","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`)
}

func (e *evil) last() *http.Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.requests) == 0 {
		return nil
	}
	return e.requests[len(e.requests)-1]
}

// trap counts connections to a place that nothing may be led to.
type trap struct {
	net.Listener
	visits atomic.Int64
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &trap{Listener: listener}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c.visits.Add(1)
			conn.Close()
		}
	}()
	return c
}

// hostile are the models of the evil provider, each with its own answer.
func (e *evil) hostile(c *trap) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"endless": e.endless,
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+c.Addr().String()+"/latest/meta-data/", http.StatusTemporaryRedirect)
		},
		"bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			packed := gzip.NewWriter(w)
			for range 1 << 10 { // a gigabyte of zeros in a megabyte
				if _, err := packed.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
			_ = packed.Close()
		},
		"hugeerror": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			for range 100 {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
					return
				}
			}
		},
		"quote": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"type":"error","error":{"type":"invalid_request_error","message":"no such model for key %s (%s)"}}`, r.Header.Get("X-Api-Key"), r.Header.Get("Authorization"))
		},
		"patience": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "99999999999")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"cookies": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Set-Cookie", "session=evil")
			w.Header().Set("Location", "http://evil.example")
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<script>alert(1)</script>")
		},
		"line": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: ")
			for range 256 { // a line of 256 MB
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
					return
				}
			}
		},
	}
}

func openTarget(t *testing.T) *target {
	t.Helper()
	dir := t.TempDir()
	e, c := &evil{reached: map[string]int{}, stopped: make(chan struct{})}, newTrap(t)
	e.answers = e.hostile(c)
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	// A provider for each answer, so that what one does to its provider's health keeps no other from being tried.
	providers := map[string]any{}
	for name := range e.answers {
		providers["evil-"+name] = compatible("anthropic", name)
	}
	providers["evil"] = compatible("anthropic")
	for _, one := range providers {
		provider, _ := one.(map[string]any)
		provider["base_url"], provider["allow_private_address"], provider["api_key"] = e.URL+"/v1", true, upstreamKey
	}
	newRawProvider(t).providers(providers)
	file := writeCatalog(t, dir, map[string]any{
		"providers": providers, "routing": map[string]any{"max_attempts": 1, "first_token_timeout": 10}, "auth": map[string]any{"anonymous": true},
	})
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan allinone.Addresses, 1), make(chan error, 1)
	go func() {
		ended <- allinone.Run(ctx, allinone.Config{
			Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Data: filepath.Join(dir, "data"), File: file, Region: "local", Version: "test", Tokens: dir,
		}, allinone.Deps{Log: slog.New(slog.DiscardHandler), Ready: func(at allinone.Addresses) { ready <- at }})
	}()
	t.Cleanup(func() { stop(); <-ended })
	select {
	case at := <-ready:
		token, err := keyfile.FindToken(dir, at.Admin)
		if err != nil || token.IsZero() {
			t.Fatalf("no token: %v", err)
		}
		return &target{data: at.Data, admin: at.Admin, token: token.Reveal(), evil: e, trap: c, untaken: make(chan string, 1)}
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	case <-time.After(time.Minute):
		t.Fatal("aimux did not become ready within a minute")
	}
	return nil
}

// wire sends bytes as they are, and returns what came back until the other side closed or fell silent.
func wire(t *testing.T, address, bytes string, patience time.Duration) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, bytes) }() // the other side need not take all of it
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	answer, err := io.ReadAll(io.LimitReader(conn, 1<<20))
	closed := "; closed"
	if err != nil && !strings.Contains(err.Error(), "reset") {
		closed = "; left open"
	}
	status := regexp.MustCompile(`(?m)^HTTP/1\.[01] (\d{3})`).FindAllStringSubmatch(string(answer), -1)
	var codes []string
	for _, one := range status {
		codes = append(codes, one[1])
	}
	if len(codes) == 0 {
		return "no answer" + closed
	}
	return strings.Join(codes, ", ") + closed
}

// head is the beginning of a request to the data listener, for wire.
func head(path string, lines ...string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// soon is long enough for any answer that comes at once.
const soon = 3 * time.Second

// attack is one row of the table: got must match want.
type attack struct {
	kind, what string
	try        func(t *testing.T, x *target) (got string)
	want       string
}

func raw(bytes string) func(*testing.T, *target) string {
	return func(t *testing.T, x *target) string { return wire(t, x.data, bytes, soon) }
}

const hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"

// framings are requests that two readers could understand in two ways, and other trouble with heads.
func framings() []attack {
	one := "^(400|501|no answer).*closed$"
	return []attack{
		{"smuggling", "Content-Length and Transfer-Encoding together, a second request inside", raw(head("/v1/messages", "Content-Length: 4", "Transfer-Encoding: chunked") + "0\r\n\r\n" + hidden), one},
		{"smuggling", "two values of Content-Length", raw(head("/v1/messages", "Content-Length: 0", "Content-Length: 40") + hidden), one},
		{"smuggling", "Content-Length with a plus sign", raw(head("/v1/messages", "Content-Length: +5") + "{}abc" + hidden), one},
		{"smuggling", "a space before the colon of Content-Length", raw(head("/v1/messages", "Content-Length : 40") + hidden), one},
		{"smuggling", "Transfer-Encoding: xchunked", raw(head("/v1/messages", "Transfer-Encoding: xchunked") + "0\r\n\r\n" + hidden), one},
		{"smuggling", "Transfer-Encoding in two lines", raw(head("/v1/messages", "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "0\r\n\r\n" + hidden), one},
		{"smuggling", "Transfer-Encoding in HTTP/1.0", raw("POST /v1/messages HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden), one},
		{"smuggling", "lines of the head that end with LF alone", raw("POST /v1/messages HTTP/1.1\nHost: a\nContent-Length: 0\n\n" + hidden), one},
		{"smuggling", "a header that goes on in a second line", raw(head("/v1/messages", "X-A: b", " Content-Length: 40") + hidden), one},
		{"smuggling", "a chunk extension that ends with LF alone", raw(head("/v1/messages", "Transfer-Encoding: chunked") + "2;\n{}\r\n0\r\n\r\n" + hidden), "^400; closed$"},
		{"smuggling", "trailers behind a chunked body, with a key in them", raw(head("/v1/messages", "Transfer-Encoding: chunked", "Trailer: X-Api-Key") + "2\r\n{}\r\n0\r\nX-Api-Key: other\r\n\r\n"), "^400; "},
		{"headers", "a line end inside a value (as NUL and CR)", raw(head("/v1/messages", "X-A: b\rX-B: c", "X-C: d\x00e") + hidden), one},
		{"headers", "a head of 100 KB", raw(head("/v1/messages", "X-A: "+strings.Repeat("a", 100<<10))), "^(431|400); closed$"},
		{"headers", "10,000 headers", raw(head("/v1/messages", strings.Repeat("X-A: b\r\n", 10_000)+"X-A: b")), "^(431|400); closed$"},
		{"other protocols", "an upgrade to WebSocket", raw("GET /v1/messages HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), "^4\\d\\d; "},
		{"other protocols", "an upgrade to HTTP/2 without TLS", raw("GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"), "^200; "},
		{"other protocols", "HTTP/2 at once (so there is no rapid reset either)", raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "^(4\\d\\d|505|no answer)"},
		{"open proxy", "GET of a whole URL elsewhere", raw("GET http://169.254.169.254/latest/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n"), "^40[04]; "},
		{"open proxy", "CONNECT", raw("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n"), "^4\\d\\d; "},
		{"slow clients", "a head that never ends", func(t *testing.T, x *target) string {
			return wire(t, x.data, "POST /v1/messages HTTP/1.1\r\nHost: a\r\nX-A:", time.Minute)
		}, "closed$"},
		{"slow clients", "a body that never ends", func(t *testing.T, x *target) string {
			return wire(t, x.data, head("/v1/messages", "Content-Length: 1000")+`{"model":`, time.Minute)
		}, "^408; closed$"},
	}
}

// say posts a body to the data listener and tells what came.
func say(body string, headers ...string) func(*testing.T, *target) string {
	return func(t *testing.T, x *target) string {
		response, text := post(t, "http://"+x.data+"/v1/messages", body, headers...)
		return fmt.Sprintf("%d, %d bytes", response.StatusCode, len(text))
	}
}

func message(model string) string { return strings.Replace(hello, `"text"`, `"`+model+`"`, 1) }

// provoke has the evil provider give that answer, and is told how the client was answered.
func provoke(name string, tell func(x *target, response *http.Response, text string) string) func(*testing.T, *target) string {
	return func(t *testing.T, x *target) string {
		body := message(name)
		if name == "line" {
			body = strings.Replace(body, `{"model"`, `{"stream":true,"model"`, 1)
		}
		response, text := post(t, "http://"+x.data+"/v1/messages", body)
		x.evil.mu.Lock()
		defer x.evil.mu.Unlock()
		if x.evil.reached[name] == 0 {
			return "never tried"
		}
		return fmt.Sprintf("%d, %d bytes", response.StatusCode, len(text)) + tell(x, response, text)
	}
}

func plainly(*target, *http.Response, string) string { return "" }

// bodies are what a client may send, and what a provider may answer.
func bodies() []attack {
	small := `, \d{1,5} bytes$`
	return []attack{
		{"bodies", "a compressed body (a bomb)", say(strings.Repeat("\x1f\x8b", 10), "Content-Encoding", "gzip"), "^415" + small},
		{"bodies", "a million opening brackets", say(`{"model":"text","max_tokens":1,"messages":` + strings.Repeat("[", 1_000_000)), "^400" + small},
		{"bodies", "a key that is there twice", say(strings.Replace(hello, `{"model"`, `{"model":"other","model"`, 1)), "^400" + small},
		{"bodies", "a key that is there twice, once escaped", say(strings.Replace(hello, `{"model"`, `{"mode\u006c":"other","model"`, 1)), "^400" + small},
		{"bodies", "a number that is none", say(strings.Replace(hello, "64", "1e999999", 1)), "^400" + small},
		{"bodies", "an announcement of 10 GB", raw(head("/v1/messages", "Content-Length: 10000000000")), "^413; closed$"},
		{"headers", "headers of the client's that are for others: cookies, forwarding, other keys, hop by hop", func(t *testing.T, x *target) string {
			post(t, "http://"+x.data+"/v1/messages", hello, "Cookie", "a=b", "X-Forwarded-For", "1.2.3.4", "X-Api-Key", "client-key", "X-Goog-Api-Key", "other", "Connection", "x-secret", "X-Secret", "s", "Proxy-Authorization", "Basic x")
			var passed []string
			for _, name := range []string{"Cookie", "X-Forwarded-For", "X-Goog-Api-Key", "X-Secret", "Proxy-Authorization", "Forwarded"} {
				if value := x.evil.last().Header.Get(name); value != "" {
					passed = append(passed, name)
				}
			}
			if strings.Contains(fmt.Sprint(x.evil.last().Header), "client-key") {
				passed = append(passed, "the client's key")
			}
			return "passed on: " + strings.Join(passed, ", ")
		}, "^passed on: $"},
		{"browsers", "a page of another origin posts to the gateway (text/plain, so that it need not ask), without a key", say(hello, "Origin", "https://evil.example", "Content-Type", "text/plain"), "^401" + small},
		{"browsers", "a page that hides its origin does", say(hello, "Origin", "null", "Content-Type", "text/plain"), "^401" + small},
		{"browsers", "a page of another origin asks whether it may post JSON, or show a key", func(t *testing.T, x *target) string {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, "http://"+x.data+"/v1/messages", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Access-Control-Request-Method", "POST")
			r.Header.Set("Access-Control-Request-Headers", "x-api-key")
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			return fmt.Sprintf("%d, allowed: %q", response.StatusCode, response.Header.Get("Access-Control-Allow-Origin"))
		}, `^405, allowed: ""$`},
		{"browsers", "a page of another origin frames the dashboard", func(t *testing.T, x *target) string {
			response, err := http.Get("http://" + x.admin + "/")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			return fmt.Sprintf("%s, %v", response.Header.Get("X-Frame-Options"), strings.Contains(response.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'"))
		}, "^DENY, true$"},
		{"a provider's answers", "a redirect to a metadata address, key and prompt in hand", provoke("redirect", func(x *target, _ *http.Response, _ string) string {
			return fmt.Sprintf(", %d visits there", x.trap.visits.Load())
		}), "^5.*, 0 visits there$"},
		{"a provider's answers", "a gigabyte of zeros, compressed to a megabyte", provoke("bomb", plainly), "^5\\d\\d" + small},
		{"a provider's answers", "an error of 100 MB", provoke("hugeerror", plainly), "^[45]\\d\\d" + small},
		{"a provider's answers", "a stream's line of 256 MB", provoke("line", plainly), "^[25]\\d\\d" + small},
		{"a provider's answers", "its key, quoted in an error", provoke("quote", func(_ *target, response *http.Response, text string) string {
			return fmt.Sprintf(", told: %v", strings.Contains(text+fmt.Sprint(response.Header), upstreamKey[:12]))
		}), "^4.*, told: false$"},
		{"a provider's answers", "retry-after in three thousand years", provoke("patience", func(_ *target, response *http.Response, _ string) string {
			return fmt.Sprintf(", retry-after %q", response.Header.Get("Retry-After"))
		}), `^[45].*, retry-after "\d{0,3}"$`},
		{"a provider's answers", "cookies, redirects and pages for browsers", provoke("cookies", func(_ *target, response *http.Response, _ string) string {
			head := response.Header
			return fmt.Sprintf(", as %s, passed on: %s%s%s", head.Get("Content-Type"), head.Get("Set-Cookie"), head.Get("Location"), head.Get("Access-Control-Allow-Origin"))
		}), `^5.*, as application/json, passed on: $`},
	}
}

// asOperator is the admin API with the process's own token.
func (x *target) asOperator() adminv1connect.ProviderServiceClient {
	return adminv1connect.NewProviderServiceClient(&http.Client{Transport: withToken(x.token)}, "http://"+x.admin)
}

type withToken string

func (token withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(token))
	return http.DefaultTransport.RoundTrip(r)
}

// places are addresses that a provider may not stand at unless the operator says that it may.
func places() []attack {
	addresses := []string{
		"http://169.254.169.254", "https://169.254.169.254", "https://127.0.0.1", "https://[::1]", "https://[::ffff:127.0.0.1]", "https://[::ffff:a9fe:a9fe]", "https://0.0.0.0",
		"https://2130706433", "https://0x7f000001", "https://0177.0.0.1", "https://127.1", "https://10.0.0.1", "https://192.168.1.1", "https://100.64.0.1", "https://[fd00::1]", "https://[fe80::1]",
		"https://[64:ff9b::7f00:1]", "https://api.example.com@169.254.169.254", "http://api.example.com", "file:///etc/passwd", "gopher://127.0.0.1",
	}
	return []attack{
		{"forged requests", fmt.Sprintf("a provider at %d private, mapped, decimal and metadata addresses", len(addresses)), func(t *testing.T, x *target) string {
			var taken []string
			for _, url := range addresses {
				p := &adminv1.Provider{Kind: "compatible", Protocol: "openai", BaseUrl: url + "/v1", ApiKey: "sk-x", Models: []*adminv1.Model{{Id: "m"}}}
				if _, err := x.asOperator().CreateProvider(t.Context(), connect.NewRequest(&adminv1.CreateProviderRequest{Id: "inside", Provider: p})); err == nil {
					taken = append(taken, url)
					_, _ = x.asOperator().DeleteProvider(t.Context(), connect.NewRequest(&adminv1.DeleteProviderRequest{Id: "inside"}))
				}
			}
			return fmt.Sprintf("%d taken %s", len(taken), strings.Join(taken, " "))
		}, "^0 taken $"},
		{"forged requests", "a provider at a name of loopback", func(t *testing.T, x *target) string {
			_, port, _ := net.SplitHostPort(x.trap.Addr().String())
			before := x.trap.visits.Load()
			p := &adminv1.Provider{Kind: "compatible", Protocol: "anthropic", BaseUrl: "https://localhost:" + port, ApiKey: "sk-x", Models: []*adminv1.Model{{Id: "m"}}}
			_, err := x.asOperator().CreateProvider(t.Context(), connect.NewRequest(&adminv1.CreateProviderRequest{Id: "named", Provider: p}))
			response, _ := post(t, "http://"+x.data+"/v1/messages", message("named/m"))
			return fmt.Sprintf("taken: %v, then %d, %d visits there", err == nil, response.StatusCode, x.trap.visits.Load()-before)
		}, ", 0 visits there$"},
		{"forged requests", "a key moved to another origin", func(t *testing.T, x *target) string {
			got, err := x.asOperator().GetProvider(t.Context(), connect.NewRequest(&adminv1.GetProviderRequest{Id: "evil"}))
			if err != nil {
				t.Fatal(err)
			}
			moved := got.Msg.GetProvider().GetProvider()
			moved.BaseUrl = "https://evil.example/v1"
			_, err = x.asOperator().UpdateProvider(t.Context(), connect.NewRequest(&adminv1.UpdateProviderRequest{Id: "evil", Provider: moved}))
			return connect.CodeOf(err).String()
		}, "^invalid_argument$"},
	}
}

// knockAt asks the admin listener for something with these headers.
func knockAt(method, path, body string, headers ...string) func(*testing.T, *target) string {
	return func(t *testing.T, x *target) string {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+x.admin, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Opaque = path // as it stands, not cleaned
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], strings.ReplaceAll(headers[i+1], "TOKEN", x.token))
			if headers[i] == "Host" {
				r.Host = headers[i+1]
			}
		}
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		if strings.Contains(string(text), "root:") {
			return "a file of the machine"
		}
		return fmt.Sprint(response.StatusCode)
	}
}

// doors are ways into the admin API.
func doors() []attack {
	const list, remove = "/aimux.admin.v1.ProviderService/ListProviders", "/aimux.admin.v1.ProviderService/DeleteProvider"
	jsonType := []string{"Content-Type", "application/json"}
	with := func(more ...string) []string { return append(append([]string{}, jsonType...), more...) }
	return []attack{
		{"admin API", "no token", knockAt("POST", list, "{}", jsonType...), "^401$"},
		{"admin API", "the token in the address", knockAt("POST", list+"?token=x&access_token=x", "{}", jsonType...), "^401$"},
		{"admin API", "the token as a cookie", knockAt("POST", list, "{}", with("Cookie", "token=TOKEN; authorization=TOKEN")...), "^401$"},
		{"admin API", "a guess with an id that exists", knockAt("POST", list, "{}", with("Authorization", "Bearer aimuxadm_local_"+strings.Repeat("a", 52))...), "^401$"},
		{"admin API", "a token of 1 MB", knockAt("POST", list, "{}", with("Authorization", "Bearer "+strings.Repeat("a", 1<<20))...), "^431$"},
		{"admin API", "a page of another origin posts, with the token", knockAt("POST", remove, `{"id":"evil"}`, with("Authorization", "Bearer TOKEN", "Origin", "https://evil.example")...), "^403$"},
		{"admin API", "a page of another site posts, with the token", knockAt("POST", remove, `{"id":"evil"}`, with("Authorization", "Bearer TOKEN", "Sec-Fetch-Site", "cross-site")...), "^403$"},
		{"admin API", "a form posts (text/plain), with the token", knockAt("POST", remove, `{"id":"evil"}`, "Content-Type", "text/plain", "Authorization", "Bearer TOKEN"), "^415$"},
		{"admin API", "a name that was led to this address (DNS rebinding), with the token", knockAt("POST", list, "{}", with("Authorization", "Bearer TOKEN", "Host", "evil.example:8081")...), "^421$"},
		{"admin API", "another method, by a header", knockAt("GET", remove+"?message={}&encoding=json&connect=v1", "", "Authorization", "Bearer TOKEN", "X-Http-Method-Override", "POST"), "^40[45]$"},
		{"admin API", "a body of 10 MB", knockAt("POST", list, `{"x":"`+strings.Repeat("a", 10<<20)+`"}`, with("Authorization", "Bearer TOKEN")...), "^(413|429)$"},
		{"admin API", "a compressed body of 100 MB (a bomb)", func(t *testing.T, x *target) string {
			var packed bytes.Buffer
			w := gzip.NewWriter(&packed)
			_, _ = w.Write(make([]byte, 100<<20))
			_ = w.Close()
			return knockAt("POST", list, packed.String(), with("Authorization", "Bearer TOKEN", "Content-Encoding", "gzip")...)(t, x)
		}, "^(4\\d\\d)$"},
		{"admin API", "a million opening brackets", knockAt("POST", list, `{"x":`+strings.Repeat("[", 1_000_000), with("Authorization", "Bearer TOKEN")...), "^400$"},
		{"admin API", "a way out of the dashboard's files", knockAt("GET", "/ui/../../../../../../etc/passwd", ""), "^(301|307|400|404)$"},
		{"admin API", "the same, escaped", knockAt("GET", "/ui/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", ""), "^(301|307|400|404)$"},
		{"admin API", "the same, escaped twice and with NUL", knockAt("GET", "/ui/%252e%252e%252fetc%252fpasswd%00.js", ""), "^(301|307|400|404)$"},
		{"admin API", "profiles on the admin listener", knockAt("GET", "/debug/pprof/heap", "", "Authorization", "Bearer TOKEN"), "^404$"},
		{"admin API", "a page without a token", knockAt("GET", "/debug/table", ""), "^401$"},
	}
}

// TestAttacks tries every attack on a running aimux. With -attacks it writes the table.
func TestAttacks(t *testing.T) {
	x := openTarget(t)
	go func() { x.untaken <- x.takeNothing() }() // takes half a minute
	var table strings.Builder
	for _, one := range slices.Concat(framings(), bodies(), hostileWires(), places(), rebinding(), scopes(), doors(), adminWires(), floods()) {
		t.Run(one.kind+"/"+one.what, func(t *testing.T) {
			got := one.try(t, x)
			if !regexp.MustCompile(one.want).MatchString(got) {
				t.Errorf("got %q, want %s", got, one.want)
			}
			fmt.Fprintf(&table, "| %s | %s | %s |\n", one.kind, one.what, got)
		})
	}
	for _, r := range x.evil.requests {
		if strings.Contains(r.URL.Path, "hidden") {
			t.Errorf("a hidden request came through: %s", r.URL)
		}
	}
	if response, body := post(t, "http://"+x.data+"/v1/messages", hello); response.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d %s", response.StatusCode, body)
	}
	if *publishAttacks && !t.Failed() {
		publish(t, table.String())
	}
}

// elsewhere are attacks that have tests of their own, which hold what is told here.
const elsewhere = `
## Tried by other tests

| what was tried | what it got | test |
|---|---|---|
| TLS handshakes that do not begin, stop half-way, or whose answers nobody takes, more than a listener has room for | cut after 5 s, or as soon as somebody else wants the place; nobody waits for them | ` + "`TestHandshakesThatGoNowhere`" + ` |
| strangers' bodies that do not come, as many as there is room for | a room of their own, 5 s each; callers with a token are served | ` + "`TestStrangersDoNotTakeTheRoomOfOthers`" + ` |
| 1,100 wrong tokens from one address, then a right one | 401 up to 1,000, then 429; the right one 200 | ` + "`TestGuessing`" + ` |
| a node's NATS key used for tables, circuits, other nodes' outcomes, other parties' answers, the catalog, JetStream's API, NATS' own | 36 of 36 refused | ` + "`TestAStolenNodeKeyIsWorthLittle`" + ` |
| tables by whoever owns the NATS servers: bare, cut, changed, of another subject, by another key | dropped and counted | ` + "`TestWhoOwnsNATSMakesNoTable`" + ` |
| a genuine question repeated with another place for its answer | not answered | ` + "`TestAnswersGoNowhereElse`" + ` |
| tables that are older than what a node has, or of a leader that is none any more | fenced | ` + "`TestFence`" + ` |
| a catalog written to the store past the control plane, and an old one put back | not taken | ` + "`TestAForgedCatalogIsNotTaken`" + ` |
| one node that reports failures of a provider that serves everybody else | marked an outlier; the provider stays | ` + "`TestStories/one_bad_node`" + ` |
| keys and JWTs of every kind that is wrong, on every route: none, HS256 with the public key, jku, x5u, jwk, crit, kid as a path or a query, foreign, cut, long, encrypted | 401 | ` + "`TestWhoMayCall`" + `, ` + "`TestTokens`" + ` |
| JWTs with kids that nobody publishes, one after the other | the issuer is asked seldom | ` + "`TestUnknownKeysAskSeldom`" + ` |
| control characters, line ends and turned text in every text of the admin API | shown as \u001b; no command writes one | ` + "`TestNoTextMovesTheCursor`" + ` |
| keys of the formats in other letters (Model, TOOLS, K as the Kelvin sign), at every depth | 400 | ` + "`TestKeysInOtherLetters`" + ` |
| the audit log changed, cut at either end, reordered, replaced, made anew from one entry on | found by ` + "`aimux audit --verify`" + `, but for the oldest, which archives drop | ` + "`TestVerifyFindsWhatWasTouched`" + ` |
`

func publish(t *testing.T, rows string) {
	t.Helper()
	text := `# Attacks tried, and what each got

Made by ` + "`go test ./e2e -run TestAttacks -attacks`" + `: one process under attack on loopback, a provider in the attacker's hands, and beside it a
place that nothing may be led to. Numbers are HTTP status codes; "closed" and "left open" say what became of the connection.

| kind | what was tried | what it got |
|---|---|---|
` + rows + elsewhere
	if err := os.WriteFile(filepath.Join(root(t), "deploy", "docs", "attacks.md"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
