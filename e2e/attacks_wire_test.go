package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// goodReply is an answer of the evil provider.
const goodReply = `{"id":"m","type":"message","role":"assistant","model":"x","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`

// answerLine begins an answer, with lines of the attacker's before its length.
func answerWith(lines ...string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + strings.Join(append(lines, ""), "\r\n")
}

func wellSized(lines ...string) string {
	return answerWith(append(lines, fmt.Sprint("Content-Length: ", len(goodReply)))...) + "\r\n" + goodReply
}

// rawAnswers are what a provider may send in place of an answer, by the name of a model, and what its client gets: the answer, or an error.
func rawAnswers() []struct{ model, what, bytes, want string } {
	const refused, served = "^5\\d\\d, \\d{2,3} bytes, nothing passed on$", "^200, \\d{3} bytes, nothing passed on$"
	chunked := answerWith("Transfer-Encoding: chunked") + "\r\n"
	poison := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n" + `{"poison":"poison" }`
	return []struct{ model, what, bytes, want string }{
		{"raw-both", "Content-Length and Transfer-Encoding together", wellSized("Transfer-Encoding: chunked"), refused},
		{"raw-two", "two values of Content-Length", wellSized("Content-Length: 1"), refused},
		{"raw-lf", "lines of the head that end with LF alone", strings.ReplaceAll(wellSized("Set-Cookie: a=b"), "\r\n", "\n"), refused},
		{"raw-fold", "a header that goes on in a second line", wellSized("X-Evil: a", " Set-Cookie: a=b"), refused},
		{"raw-cr", "a line end inside a value (CR alone)", wellSized("Request-Id: a\rSet-Cookie: b=c"), refused},
		{"raw-nul", "NUL inside a value", wellSized("Request-Id: a\x00b"), refused},
		{"raw-name", "a header's name with a space and letters beyond ASCII", wellSized("Sét Cookie: a=b"), refused},
		{"raw-nine", "HTTP/0.9: a body and no head", goodReply, refused},
		{"raw-two-oh", "HTTP/2 where HTTP/1.1 was spoken", "\x00\x00\x00\x04\x00\x00\x00\x00\x00", refused},
		{"raw-switch", "101 Switching Protocols, uncalled for", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + goodReply, refused},
		{"raw-interim", "1,000 interim answers", strings.Repeat("HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\n\r\n", 1000) + wellSized(), refused},
		{"raw-overflow", "a chunk longer than any number", chunked + "ffffffffffffffff2\r\n" + goodReply, refused},
		{"raw-minus", "a chunk of negative length", chunked + "-5\r\n" + goodReply, refused},
		{"raw-extension", "a chunk's extension of 1 MB", chunked + "1;" + strings.Repeat("a", 1<<20) + "\r\n{\r\n0\r\n\r\n", refused},
		{"raw-trailer", "trailers of 1 MB", chunked + fmt.Sprintf("%x\r\n%s\r\n0\r\n", len(goodReply), goodReply) + strings.Repeat("X-Evil: a\r\n", 100_000) + "\r\n", refused},
		{"raw-head", "a head of 10 MB", answerWith() + strings.Repeat("X-Evil: aaaaaaaaaaaaaaaaaaaa\r\n", 350_000) + "\r\n", refused},
		{"raw-length", "an answer of an exabyte, of which a little comes", answerWith("Content-Length: 1000000000000000000") + "\r\n" + goodReply, "^(200|5\\d\\d), \\d{2,3} bytes, nothing passed on$"},
		{"raw-cookies", "headers for browsers: cookies, CORS, HSTS, a location, trailers announced", wellSized("Set-Cookie: a=b", "Access-Control-Allow-Origin: *", "Strict-Transport-Security: max-age=1", "Location: http://evil.example", "X-Evil: 1", "Trailer: X-Evil"), served},
		{"raw-behind", "a second answer behind the first, for whoever asks next", wellSized() + poison, served},
		{"raw-br", "Content-Encoding: br, which nobody asked for", wellSized("Content-Encoding: br"), refused},
		{"raw-zstd", "Content-Encoding: gzip, zstd", wellSized("Content-Encoding: gzip, zstd"), refused},
		{"raw-deep", "a million opening brackets", answerWith("Content-Length: 1000012") + "\r\n" + `{"content":` + strings.Repeat("[", 1_000_000) + "}", refused},
	}
}

// rawProvider answers each request with the bytes of the model that it asks for, and lets the connection stand.
type rawProvider struct {
	net.Listener
	answers map[string]string
}

func newRawProvider(t *testing.T) *rawProvider {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &rawProvider{listener, map[string]string{}}
	for _, one := range rawAnswers() {
		p.answers[one.model] = one.bytes
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

func (p *rawProvider) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	for in := bufio.NewReader(conn); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		for model, bytes := range p.answers {
			if strings.Contains(string(body), `"`+model+`"`) {
				if _, err := io.WriteString(conn, bytes); err != nil {
					return
				}
				if model == "raw-length" || model == "raw-minus" || strings.HasSuffix(bytes, goodReply) && !strings.Contains(bytes, "Content-Length") {
					return
				}
			}
		}
	}
}

// rawProviders are a provider for each answer, so that the health of one keeps no other from being tried.
func (p *rawProvider) providers(into map[string]any) {
	for model := range p.answers {
		settings := compatible("anthropic", model)
		settings["models"] = settings["models"].([]any)[1:] // and not what everybody serves
		settings["base_url"], settings["allow_private_address"] = "http://"+p.Addr().String()+"/v1", true
		into["evil-"+model] = settings
	}
}

// hostileWires has a provider answer with bytes that are not what an answer should be, twice: what the first leaves behind must not be the second's.
func hostileWires() (all []attack) {
	for _, one := range rawAnswers() {
		all = append(all, attack{"a provider's bytes", one.what, func(t *testing.T, x *target) string {
			var got string
			for range 2 {
				response, text := post(t, "http://"+x.data+"/v1/messages", message(one.model))
				passed := "nothing passed on"
				for _, name := range []string{"Set-Cookie", "X-Evil", "Access-Control-Allow-Origin", "Strict-Transport-Security", "Location", "Trailer", "Content-Encoding"} {
					if response.Header.Get(name) != "" {
						passed = "passed on: " + name
					}
				}
				if strings.Contains(text, "poison") {
					passed = "the next one's answer was the attacker's"
				}
				if again := fmt.Sprintf("%d, %d bytes, %s", response.StatusCode, len(text), passed); got == "" || passed != "nothing passed on" {
					got = again
				}
			}
			return got
		}, one.want})
	}
	return all
}

func rawAdmin(bytes string) func(*testing.T, *target) string {
	return func(t *testing.T, x *target) string {
		return wire(t, x.admin, strings.ReplaceAll(bytes, "TOKEN", x.token), soon)
	}
}

// adminWires are the same ambiguities against the admin listener, each with a token and a second request hidden in it: one answer at most.
func adminWires() []attack {
	head := func(lines ...string) string {
		return "POST /aimux.admin.v1.ProviderService/ListProviders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	const hidden = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\n\r\n"
	const one = `^(4\d\d|501|no answer); closed$`
	return []attack{
		{"admin API", "Content-Length and Transfer-Encoding together, a second request inside", rawAdmin(head("Content-Length: 4", "Transfer-Encoding: chunked") + "2\r\n{}\r\n0\r\n\r\n" + hidden), `^(200|4\d\d); closed$`},
		{"admin API", "two values of Content-Length", rawAdmin(head("Content-Length: 2", "Content-Length: 40") + "{}" + hidden), one},
		{"admin API", "Content-Length with a plus sign", rawAdmin(head("Content-Length: +2") + "{}" + hidden), one},
		{"admin API", "a space before the colon of Content-Length", rawAdmin(head("Content-Length : 2") + "{}" + hidden), one},
		{"admin API", "Transfer-Encoding: xchunked", rawAdmin(head("Transfer-Encoding: xchunked") + "2\r\n{}\r\n0\r\n\r\n" + hidden), one},
		{"admin API", "Transfer-Encoding in two lines", rawAdmin(head("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "2\r\n{}\r\n0\r\n\r\n" + hidden), one},
		{"admin API", "a chunk longer than any number", rawAdmin(head("Transfer-Encoding: chunked") + "ffffffffffffffff2\r\n{}\r\n0\r\n\r\n" + hidden), one},
		{"admin API", "a chunk extension that ends with LF alone", rawAdmin(head("Transfer-Encoding: chunked") + "2;\n{}\r\n0\r\n\r\n" + hidden), one},
		{"admin API", "a name with NUL, one beyond ASCII", rawAdmin(head("X-\x00A: b", "X-é: c", "Content-Length: 2") + "{}" + hidden), one},
		{"admin API", "two hosts", rawAdmin(head("Host: evil.example", "Content-Length: 2") + "{}" + hidden), one},
		{"admin API", "GET of a whole URL elsewhere", rawAdmin("GET http://169.254.169.254/latest/ HTTP/1.1\r\nHost: 169.254.169.254\r\nAuthorization: Bearer TOKEN\r\n\r\n"), "^404; "},
		{"admin API", "CONNECT", rawAdmin("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\nAuthorization: Bearer TOKEN\r\n\r\n"), "^4\\d\\d; "},
		{"admin API", "a body that never ends, without a token", func(t *testing.T, x *target) string {
			return wire(t, x.admin, strings.ReplaceAll(head("Content-Length: 1000"), "Authorization: Bearer TOKEN\r\n", "")+"{", time.Minute)
		}, "^401; closed$"},
	}
}
