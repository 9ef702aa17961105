package proxy

import (
	"bufio"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"

	"github.com/aimux/aimux/dataplane/internal/ingress"
	"github.com/aimux/aimux/shared/fault"
)

// How much memory a large body takes on its way, all in all, as often as its own size.
func TestCopies(t *testing.T) {
	const size = 4 << 20
	text := strings.Repeat("x", size)
	openAI := `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` + text + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`
	small := `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`
	chunked := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(openAI), openAI)
	ask := `{"model":"any","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}`
	long := `{"model":"any","max_tokens":64,"messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + text + `"}}]}]}`
	longAcross := `{"model":"any","max_tokens":64,"messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + text + `"}}]}]}`
	for _, row := range []struct {
		name, path, body, answer string
		most                     float64
	}{
		{"an answer", "/v1/chat/completions", ask, answerOf("application/json", openAI), 1.2},
		{"an answer in chunks", "/v1/chat/completions", ask, chunked, 4},
		{"an answer across formats", "/v1/messages", ask, answerOf("application/json", openAI), 5.5},
		{"a request", "/v1/chat/completions", long, answerOf("application/json", small), 3.5},
		{"a request across formats", "/v1/messages", longAcross, answerOf("application/json", small), 3.5},
	} {
		t.Run(row.name, func(t *testing.T) {
			upstream := rawProvider(t, row.answer)
			r := newRig(t, []backend{{id: "a", protocol: "openai", handler: http.NotFoundHandler()}}, func(c *tablev1.Config, _ *Config) { c.Providers[0].BaseUrl = upstream })
			conn, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAnthropic-Version: 2023-06-01\r\nContent-Length: %d\r\n\r\n%s", row.path, len(row.body), row.body)
			in := bufio.NewReaderSize(conn, 64<<10)
			taken := math.Inf(1)
			for range 3 { // the first warms the pools
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				if _, err := conn.Write(request); err != nil {
					t.Fatal(err)
				}
				if head, err := in.Peek(16); err != nil || string(head) != "HTTP/1.1 200 OK\r" {
					t.Fatalf("%s, %v", head, err)
				}
				readAnswer(t, in)
				runtime.ReadMemStats(&after)
				taken = min(taken, float64(after.TotalAlloc-before.TotalAlloc)/size)
			}
			if taken > row.most {
				t.Errorf("%.2f times its size was taken, want at most %.2f", taken, row.most)
			}
		})
	}
}

// Where the memory for bodies is full, whoever needs more is told so, no provider is blamed, and afterwards all of it is free again.
func TestRoom(t *testing.T) {
	const room = 4 << 20
	said := func(size int) string {
		return `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` + strings.Repeat("x", size) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`
	}
	inChunks := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	}
	for name, row := range map[string]struct {
		asked, answered int
		protocol        string
		answer          func(string) string
		status          int
	}{
		"small":                     {10, 10, "openai", inChunks, 200},
		"both fit":                  {room / 4, room / 4, "openai", inChunks, 200},
		"what is sent does not":     {room * 3 / 5, 10, "openai", inChunks, 503},
		"the answer does not":       {10, room * 5 / 4, "openai", inChunks, 500},
		"what it becomes does not":  {10, room / 2, "anthropic", inChunks, 500},
		"an announced one does not": {10, room * 5 / 4, "openai", func(body string) string { return answerOf("application/json", body) }, 500},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := rawProvider(t, row.answer(said(row.answered)))
			r := newRig(t, []backend{{id: "a", protocol: "openai", handler: http.NotFoundHandler()}}, func(c *tablev1.Config, _ *Config) { c.Providers[0].BaseUrl = upstream })
			r.serve(ingress.Config{BuffersBytesMax: room}, slog.New(slog.DiscardHandler))
			path := map[string]string{"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}[row.protocol]
			a := r.post(path, `{"model":"any","max_tokens":64,"messages":[{"role":"user","content":"Hello"}],"metadata":{"x":"`+strings.Repeat("x", row.asked)+`"}}`)
			if a.status != row.status || row.status == 200 && len(a.body) < row.answered {
				t.Errorf("status %d, %.200s", a.status, a.body)
			}
			refused := row.status == 500 || row.status == 503
			if again := a.header.Get("Retry-After") == "1" && a.header.Get("X-Should-Retry") == "true"; again != refused {
				t.Errorf("retry-after %q", a.header.Get("Retry-After"))
			}
			if rec := r.last(1); refused && len(rec.Attempts) > 0 && rec.Attempts[0].Fault.Kind.Rule().Charge != fault.Nobody {
				t.Errorf("blamed: %+v", rec.Attempts)
			}
			if cut := r.street.Drain(t.Context()); cut > 0 || r.street.Stats().BufferBytes != 0 {
				t.Errorf("%d cut, %d bytes are still held", cut, r.street.Stats().BufferBytes)
			}
			if no := r.street.Stats().BodyFull; (no > 0) != refused {
				t.Errorf("%d refused for room", no)
			}
		})
	}
}
