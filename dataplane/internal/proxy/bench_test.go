package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// The request path's cost: a raw client, the whole path, a raw provider, on loopback. What client and provider cost is in it.
func BenchmarkRequest(b *testing.B) {
	plain := `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`
	var stream strings.Builder
	for range 50 {
		stream.WriteString(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n")
	}
	stream.WriteString(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n")
	turn := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 30)
	for _, row := range []struct{ name, body, answer string }{
		{"small", fmt.Sprintf(openAIAsk, ""), answerOf("application/json", plain)},
		{"64k", fmt.Sprintf(`{"model":"any","max_tokens":64,"messages":[%s{"role":"user","content":"Hello"}]}`, strings.Repeat(`{"role":"user","content":"`+turn+`"},`, 46)), answerOf("application/json", plain)},
		{"stream50", fmt.Sprintf(openAIAsk, `,"stream":true`), chunked(stream.String())},
	} {
		b.Run(row.name, func(b *testing.B) {
			upstream := rawProvider(b, row.answer)
			r := newRig(b, []backend{{id: "a", protocol: "openai", handler: http.NotFoundHandler()}}, func(c *tablev1.Config, _ *Config) { c.Providers[0].BaseUrl = upstream })
			conn, err := net.Dial("tcp", r.addr)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			request := fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer x\r\nContent-Length: %d\r\n\r\n%s", len(row.body), row.body)
			in := bufio.NewReaderSize(conn, 64<<10)
			b.ReportAllocs()
			b.SetBytes(int64(len(row.body)))
			for b.Loop() {
				if _, err := conn.Write(request); err != nil {
					b.Fatal(err)
				}
				readAnswer(b, in)
			}
		})
	}
}

func answerOf(contentType, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body)
}

// chunked is a stream in one chunk per event.
func chunked(body string) string {
	var out strings.Builder
	out.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
	for event := range strings.SplitAfterSeq(body, "\n\n") {
		if event != "" {
			fmt.Fprintf(&out, "%x\r\n%s\r\n", len(event), event)
		}
	}
	return out.String() + "0\r\n\r\n"
}

// rawProvider answers every request with the same bytes; a stream goes out event by event.
func rawProvider(b testing.TB, answer string) (base string) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	parts := [][]byte{[]byte(answer)}
	if strings.Contains(answer, "chunked") {
		parts = parts[:0]
		for part := range strings.SplitAfterSeq(answer, "\n\n\r\n") {
			parts = append(parts, []byte(part))
		}
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReaderSize(conn, 128<<10)
				for readRequest(in) {
					for _, part := range parts {
						if _, err := conn.Write(part); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

func readRequest(in *bufio.Reader) bool {
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return false
		}
		if len(line) <= 2 {
			break
		}
		if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			fmt.Sscanf(string(n), "%d", &length)
		}
	}
	_, err := in.Discard(length)
	return err == nil
}

func readAnswer(b testing.TB, in *bufio.Reader) {
	length, isChunked := 0, false
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if len(line) <= 2 {
			break
		}
		if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			fmt.Sscanf(string(n), "%d", &length)
		}
		isChunked = isChunked || bytes.HasPrefix(line, []byte("Transfer-Encoding"))
	}
	for isChunked {
		line, err := in.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if bytes.Equal(line, []byte("0\r\n")) {
			length = 2
			break
		}
		var n int
		fmt.Sscanf(string(line), "%x", &n)
		if _, err := in.Discard(n + 2); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := io.CopyN(io.Discard, in, int64(length)); err != nil {
		b.Fatal(err)
	}
}

// What tracing costs a request, in CPU (cpu-ns/op, with what client, provider and collector need) and in time (ns/op): sampled wholly, in part and not at
// all, with a collector that takes everything, and with one that takes connections and says nothing, whose queue is full.
func BenchmarkTracing(b *testing.B) {
	well := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer well.Close()
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer hole.Close()
	b.Run("off", func(b *testing.B) { benchTracing(b, "", "1") })
	for name, collector := range map[string]string{"live": well.URL, "dead": "http://" + hole.Addr().String()} {
		for _, share := range []string{"1.0", "0.01", "0"} {
			b.Run(name+"="+share, func(b *testing.B) { benchTracing(b, collector, share) })
		}
	}
}

func benchTracing(b *testing.B, collector, share string) {
	plain := `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`
	b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
	b.Setenv("OTEL_TRACES_SAMPLER", "traceidratio")
	b.Setenv("OTEL_TRACES_SAMPLER_ARG", share)
	upstream := rawProvider(b, answerOf("application/json", plain))
	r := newRig(b, []backend{{id: "a", protocol: "openai", handler: http.NotFoundHandler()}}, func(c *tablev1.Config, _ *Config) { c.Providers[0].BaseUrl = upstream })
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	body := fmt.Sprintf(openAIAsk, "")
	request := fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	in := bufio.NewReaderSize(conn, 64<<10)
	ask := func() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		readAnswer(b, in)
	}
	for range 2500 { // as many as fill a queue that nobody empties
		ask()
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	for b.Loop() {
		ask()
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
