package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"golang.org/x/net/dns/dnsmessage"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

// narrow is a client key that may use one model, in requests without tools.
func (x *target) narrow(t *testing.T) string {
	t.Helper()
	if x.key == "" {
		keys := adminv1connect.NewKeyServiceClient(&http.Client{Transport: withToken(x.token)}, "http://"+x.admin)
		made, err := keys.CreateKey(t.Context(), connect.NewRequest(&adminv1.CreateKeyRequest{Id: "narrow", Wait: true, Key: &adminv1.ClientKey{
			Scope: &adminv1.Scope{Models: []string{"text"}, Classes: []string{"standard"}},
		}}))
		if err != nil {
			t.Fatal(err)
		}
		x.key = made.Msg.GetKey()
	}
	return x.key
}

// reachFor sends bodies with the narrow key, and tells those that reached the provider, and with which answers the others ended.
func reachFor(want string, bodies ...string) func(*testing.T, *target) string {
	return func(t *testing.T, x *target) string {
		key, before := x.narrow(t), x.evil.count()
		if response, text := post(t, "http://"+x.data+"/v1/messages", hello, "X-Api-Key", key); response.StatusCode != http.StatusOK {
			return fmt.Sprintf("what it may: %d %s", response.StatusCode, text)
		}
		codes := map[int]int{}
		for _, body := range bodies {
			path := "/v1/messages"
			if at, rest, ok := strings.Cut(body, " "); ok && strings.HasPrefix(at, "/") {
				path, body = at, rest
			}
			response, _ := post(t, "http://"+x.data+path, body, "X-Api-Key", key, "X-Model", "evil-line/line", "X-Aimux-Model", "line", "X-Aimux-Provider", "evil-line", "X-Original-Url", "/v1/models")
			codes[response.StatusCode]++
		}
		return fmt.Sprintf("%d of %d came through; %v", x.evil.count()-before-1, len(bodies), codes)
	}
}

func (e *evil) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.requests)
}

// scopes are ways past what a key may use: the model that is judged must be the model that is served.
func scopes() []attack {
	none := func(n int, codes string) string { return fmt.Sprintf(`^0 of %d came through; map\[%s\]$`, n, codes) }
	with := func(member string) string { return strings.Replace(hello, "{", "{"+member+",", 1) }
	other := message("cookies")
	spelled := []string{
		with(`"model":"cookies"`), with(`"mode\u006c":"cookies"`), with(`"Model":"cookies"`), with(`"MODEL":"cookies"`), with(`"\u004dodel":"cookies"`),
		with(`"Tools":[{"name":"f","input_schema":{}}]`), with(`"meſſages":[]`), strings.TrimSuffix(hello, "}") + `,"model":"cookies"}`,
	}
	broken := []string{
		"\ufeff" + hello, hello + hello, hello + other, hello + "\x00", "[" + hello + "]", strings.Replace(hello, `"text"`, "\"te\xff\xfext\"", 1), strings.Replace(hello, `"text"`, `"te\ud800xt"`, 1),
		strings.Replace(hello, ":64", ":64,}", 1), "/*" + hello + "*/" + hello, strings.ReplaceAll(hello, `"`, `'`), utf16(hello), strings.Replace(hello, ":64", ":0x40", 1), strings.Replace(hello, ":64", ":NaN", 1),
	}
	elsewhere := []string{
		other, message("evil-cookies/cookies"), message("evil/cookies"), message(" text"), message("text "), message("TEXT"), message("text/../cookies"), message("evil-cookies/"), message("*"), message(`te\u0078t\u0000`),
		with(`"models":["cookies"]`), with(`"fallbacks":["cookies"]`), with(`"tools":[{"name":"f","input_schema":{}}]`), "/v1/messages/count_tokens " + other, "/anthropic/v1/messages " + other, "/v1/messages?model=text " + other,
		"/v1/%6dessages " + other, "/v1/messages/ " + other,
	}
	nowhere := []string{
		"//v1/messages " + other, "/v1//messages " + other, "/v1/messages;x " + other, "/V1/MESSAGES " + other, "/v1/models/../messages " + other, "/v1/messages%00 " + other, "/v1/messages%2f..%2fmessages " + other,
		"/v1/messages.json " + other, "/v1/embeddings " + other, "/v1/responses " + other, "/v1/completions " + other, "/v1/messages/batches " + other, "/v1/batches " + other, "/v1/files " + other, "/evil-cookies/v1/messages " + other,
	}
	return []attack{
		{"scopes of keys", fmt.Sprintf("another model beside the one that is allowed, in %d spellings", len(spelled)), reachFor("", spelled...), none(len(spelled), `400:\d+`)},
		{"scopes of keys", fmt.Sprintf("%d bodies that other readers take for something: BOM, UTF-16, two documents, comments, broken text", len(broken)), reachFor("", broken...), none(len(broken), `400:\d+`)},
		{"scopes of keys", fmt.Sprintf("another model or class by %d names, pins, lists, pages and headers", len(elsewhere)), reachFor("", elsewhere...), none(len(elsewhere), `403:\d+`)},
		{"scopes of keys", fmt.Sprintf("%d paths that look like one", len(nowhere)), reachFor("", nowhere...), none(len(nowhere), `404:\d+( 405:\d+)?`)},
		{"bodies", "bodies compressed by deflate, br, zstd, gzip twice, an unknown coding", func(t *testing.T, x *target) string {
			var codes []string
			for _, coding := range []string{"deflate", "br", "zstd", "gzip, gzip", "x", "gzip;q=1", ""} {
				response, _ := post(t, "http://"+x.data+"/v1/messages", strings.Repeat("\x1f\x8b", 10), "Content-Encoding", coding)
				codes = append(codes, fmt.Sprint(response.StatusCode))
			}
			return strings.Join(codes, " ")
		}, `^(415 ){6}400$`},
	}
}

func utf16(text string) string {
	var out strings.Builder
	out.WriteString("\xff\xfe")
	for _, r := range text {
		_, _ = out.Write([]byte{byte(r), 0}) // into memory
	}
	return out.String()
}

// rebinding has names lead to inner addresses when they are dialled, which is after they were judged: nobody is reached.
func rebinding() []attack {
	forms := []string{"127.0.0.1", "127.8.9.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"}
	return []attack{{"forged requests", fmt.Sprintf("names that resolve to %d forms of this machine's address when they are dialled", len(forms)), func(t *testing.T, x *target) string {
		var asked atomic.Int64
		resolve(t, &asked, forms)
		_, port, _ := net.SplitHostPort(x.trap.Addr().String())
		before := x.trap.visits.Load()
		codes := map[int]int{}
		for i := range forms {
			id := fmt.Sprintf("rebound%d", i)
			p := &adminv1.Provider{Kind: "compatible", Protocol: "anthropic", BaseUrl: fmt.Sprintf("https://form%d.rebind.example:%s", i, port), ApiKey: "sk-x", Models: []*adminv1.Model{{Id: "m"}}}
			made, err := x.asOperator().CreateProvider(t.Context(), connect.NewRequest(&adminv1.CreateProviderRequest{Id: id, Provider: p}))
			if err != nil {
				return err.Error()
			}
			nodes := adminv1connect.NewNodeServiceClient(&http.Client{Transport: withToken(x.token)}, "http://"+x.admin)
			if _, err := nodes.WaitForRevision(t.Context(), connect.NewRequest(&adminv1.WaitForRevisionRequest{Revision: made.Msg.GetRevision()})); err != nil {
				return err.Error()
			}
			response, _ := post(t, "http://"+x.data+"/v1/messages", message(id+"/m"))
			codes[response.StatusCode]++
			if _, err := x.asOperator().DeleteProvider(t.Context(), connect.NewRequest(&adminv1.DeleteProviderRequest{Id: id})); err != nil {
				return err.Error()
			}
		}
		if asked.Load() < int64(len(forms)) {
			return "the names were never asked for"
		}
		return fmt.Sprintf("%v, %d visits there", codes, x.trap.visits.Load()-before)
	}, `^map\[5\d\d:6\], 0 visits there$`}}
}

// resolve answers this process's questions for formN.rebind.example with the forms, until the test ends.
func resolve(t *testing.T, asked *atomic.Int64, forms []string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	usual := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() { net.DefaultResolver = usual; conn.Close() })
	go func() {
		for buf := make([]byte, 1500); ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
			q := m.Questions[0]
			var at int
			if _, err := fmt.Sscanf(q.Name.String(), "form%d.rebind.example.", &at); err != nil || at >= len(forms) {
				m.RCode = dnsmessage.RCodeNameError
			} else {
				asked.Add(1)
				head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
				switch addr := netip.MustParseAddr(forms[at]); {
				case q.Type == dnsmessage.TypeA && addr.Is4():
					m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}}}
				case q.Type == dnsmessage.TypeAAAA && addr.Is6():
					m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}}}
				}
			}
			if packed, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(packed, from)
			}
		}
	}()
}
