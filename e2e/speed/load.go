package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// format is a wire format, as client and provider speak it.
type format struct{ name, title, path, answer, event, end string }

var formats = []format{
	{
		name: "openai", title: "OpenAI Chat Completions", path: "/v1/chat/completions",
		answer: `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there."},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}`,
		event:  `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n",
		end:    `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n",
	},
	{
		name: "anthropic", title: "Anthropic Messages", path: "/v1/messages",
		answer: `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hello there."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":3}}`,
		event:  "event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word"}}` + "\n\n",
		end: "event: content_block_stop\n" + `data: {"type":"content_block_stop","index":0}` + "\n\nevent: message_delta\n" +
			`data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":50}}` + "\n\nevent: message_stop\n" + `data: {"type":"message_stop"}` + "\n\n",
	},
}

// begin is what stands before the first event.
func (f format) begin() string {
	if f.name != "anthropic" {
		return ""
	}
	return "event: message_start\n" + `data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}}}` +
		"\n\nevent: content_block_start\n" + `data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n"
}

// cell is one kind of load: so many clients, each with one request after the other.
type cell struct {
	name   string
	unit   string
	conns  int
	bytes  int // of the conversation
	stream bool
	once   bool // one request, and no more
}

var cells = []cell{
	{name: "small", unit: "µs a request", conns: 64},
	{name: "64 KB", unit: "µs a request", conns: 32, bytes: 64 << 10},
	{name: "stream", unit: "µs an event", conns: 64, stream: true},
}

// request is what a client sends: a conversation of a coding agent where it is long.
func (c cell) request(f format) []byte {
	var body strings.Builder
	fmt.Fprintf(&body, `{"model":"m","max_tokens":64,"stream":%t,"messages":[`, c.stream)
	turn := strings.Repeat("The harbour was quiet when the boats came in. ", 12) + strings.Repeat(`\tif v, ok := s.m[\"key\"]; ok {\n\t\treturn v\n\t}\n`, 8)
	for body.Len() < c.bytes-1000 {
		fmt.Fprintf(&body, `{"role":"user","content":"%s"},{"role":"assistant","content":"%s"},`, turn, "Done.")
	}
	body.WriteString(`{"role":"user","content":"Hello"}]}`)
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nUser-Agent: speed\r\nAccept: */*\r\nAuthorization: Bearer k\r\nAnthropic-Version: 2023-06-01\r\nContent-Length: %d\r\n\r\n%s",
		f.path, body.Len(), body.String())
}

// load is clients at work.
type load struct {
	units   atomic.Int64 // requests, or events of streams, that have been answered
	over    atomic.Bool
	clients sync.WaitGroup
	mu      sync.Mutex
	err     error // the first; guarded by mu
}

func startLoad(address string, c cell, f format) *load {
	l := &load{}
	request := c.request(f)
	for range c.conns {
		l.clients.Go(func() {
			if err := l.client(address, c, request); err != nil {
				l.mu.Lock()
				l.err = errors.Join(l.err, err)
				l.mu.Unlock()
				l.over.Store(true)
			}
		})
	}
	return l
}

// stop waits for the answers under way.
func (l *load) stop() error {
	l.over.Store(true)
	l.clients.Wait()
	return l.err
}

func (l *load) client(address string, c cell, request []byte) error {
	conn, err := net.DialTimeout("tcp", address, time.Second) //nolint:noctx // it has a timeout, which is all that is needed
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 32<<10)
	for first := true; first || !l.over.Load(); first = false {
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := conn.Write(request); err != nil {
			return err
		}
		if err := l.answer(in, c); err != nil {
			return err
		}
		if c.once {
			return nil
		}
	}
	return nil
}

// answer reads one, and counts it.
func (l *load) answer(in *bufio.Reader, c cell) error {
	status, length, chunked, err := readHead(in)
	switch {
	case err != nil:
		return err
	case status != "200":
		return fmt.Errorf("the answer's status is %s", status)
	case !chunked:
		_, err = in.Discard(length)
		l.units.Add(1)
		return err
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(bytes.TrimRight(line, "\r\n")), 16, 32)
		if err != nil {
			return err
		}
		data, err := in.Peek(min(int(size)+2, in.Size()))
		if err != nil {
			return err
		}
		if c.stream {
			l.units.Add(int64(bytes.Count(data, []byte("\n\n"))))
		}
		if _, err := in.Discard(int(size) + 2); err != nil {
			return err
		}
		if size == 0 {
			break
		}
	}
	if !c.stream {
		l.units.Add(1)
	}
	return nil
}

// readHead reads a head of a request or of an answer, as far as is needed here.
func readHead(in *bufio.Reader) (second string, length int, chunked bool, err error) {
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return "", 0, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case first:
			words := strings.Fields(string(line))
			if len(words) < 2 {
				return "", 0, false, io.ErrUnexpectedEOF
			}
			second = words[1]
		case len(line) == 0:
			return second, length, chunked, nil
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil {
				return "", 0, false, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
}
