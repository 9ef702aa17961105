package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// floods are clients who send much and take nothing: frames of HTTP/2, which the admin listener speaks, and an endless stream.
func floods() []attack {
	page := headerBlock(":method", "GET", ":path", "/healthz", ":scheme", "http", ":authority", "localhost")
	return []attack{
		{"floods", "100,000 requests over HTTP/2, each taken back at once (rapid reset)", flood(100_000, func(f *http2.Framer, i uint32) error {
			return errors.Join(f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: page, EndHeaders: true, EndStream: true}), f.WriteRSTStream(2*i+1, http2.ErrCodeCancel))
		}), "^(closed|left open); beside it 200$"},
		{"floods", "a head over HTTP/2 that goes on for 100,000 CONTINUATION frames", flood(100_000, func(f *http2.Framer, i uint32) error {
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: page})
			}
			return f.WriteContinuation(1, false, bytes.Repeat(headerBlock("x-more", "x"), 10))
		}), "^closed; beside it 200$"},
		{"floods", "200,000 pings over HTTP/2 whose answers nobody takes", flood(200_000, func(f *http2.Framer, i uint32) error {
			return f.WritePing(false, [8]byte{byte(i)})
		}), "^(closed|left open); beside it 200$"},
		{"floods", "200,000 SETTINGS over HTTP/2 whose answers nobody takes", flood(200_000, func(f *http2.Framer, i uint32) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1<<14 + i%2})
		}), "^(closed|left open); beside it 200$"},
		{"slow clients", "an endless stream of which nothing is taken", func(_ *testing.T, x *target) string { return <-x.untaken }, "^cut at both ends$"},
		{"guesses", "1,000 keys that do not exist, and the one that does with another end: the median times of the answers", guess, "^401, "},
	}
}

// headerBlock is a block of headers.
func headerBlock(pairs ...string) []byte {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}) // into memory
	}
	return block.Bytes()
}

// flood sends frames to the admin listener until it closes the connection or has got all, takes nothing, and asks for a page beside it.
func flood(frames uint32, write func(f *http2.Framer, i uint32) error) func(*testing.T, *target) string {
	return func(t *testing.T, x *target) string {
		conn, err := net.Dial("tcp", x.admin)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = io.WriteString(conn, http2.ClientPreface)
		f := http2.NewFramer(conn, conn)
		err = errors.Join(err, f.WriteSettings())
		for i := uint32(0); i < frames && err == nil; i++ {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Minute)) // whom nothing is taken from any more was stopped, too, but is not cut
			err = write(f, i)
		}
		beside := knockAt("GET", "/healthz", "", "Authorization", "Bearer TOKEN")(t, x)
		if err == nil { // all was sent: what became of the connection shows when it is read
			_ = conn.SetReadDeadline(time.Now().Add(soon))
			_, err = io.Copy(io.Discard, conn)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "left open; beside it " + beside
		}
		return "closed; beside it " + beside
	}
}

// takeNothing asks for an endless stream, takes nothing of it, and tells when the client and the provider were cut off.
func (x *target) takeNothing() string {
	conn, err := net.Dial("tcp", x.data)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	body := strings.Replace(message("endless"), `{"model"`, `{"stream":true,"model"`, 1)
	_, err = io.WriteString(conn, head("/v1/messages", fmt.Sprint("Content-Length: ", len(body)))+body)
	if err != nil {
		return err.Error()
	}
	select {
	case <-x.evil.stopped:
	case <-time.After(2 * time.Minute):
		return "the provider may speak on and on"
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		return "the client's connection stays"
	}
	return "cut at both ends"
}

// endless is a stream of text that ends when nobody takes it.
func (e *evil) endless(w http.ResponseWriter, _ *http.Request) {
	defer close(e.stopped)
	w.Header().Set("Content-Type", "text/event-stream")
	_, err := io.WriteString(w, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"x\",\"content\":[],\"usage\":{\"input_tokens\":1}}}\n\n"+
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n")
	more := []byte("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" + strings.Repeat("x", 8<<10) + "\"}}\n\n")
	for err == nil {
		_, err = w.Write(more)
	}
}

// guess offers a guesser both kinds of wrong key in turn. The times are told and not judged: another machine has others.
func guess(t *testing.T, x *target) string {
	tail := strings.Repeat("a", 52)
	times := map[string][]time.Duration{}
	for range 500 {
		for what, token := range map[string]string{"known": "aimuxadm_local_" + tail, "unknown": "aimuxadm_nobody_" + tail} {
			began := time.Now()
			got := knockAt("POST", "/aimux.admin.v1.ProviderService/ListProviders", "{}", "Content-Type", "application/json", "Authorization", "Bearer "+token)(t, x)
			if got != "401" && got != "429" {
				return got
			}
			times[what] = append(times[what], time.Since(began))
		}
	}
	for _, all := range times {
		slices.Sort(all)
	}
	if got := knockAt("GET", "/healthz", "", "Authorization", "Bearer TOKEN")(t, x); got != "200" {
		return "the right token: " + got
	}
	return fmt.Sprintf("401, %d and %d µs", times["unknown"][250].Microseconds(), times["known"][250].Microseconds())
}
