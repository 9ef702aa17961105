package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// The provider answers at once, and streams an event every few milliseconds, as a quick model does.
const (
	eventsPerStream = 50
	eventEvery      = 4 * time.Millisecond
)

// startProvider serves both formats until ctx ends.
func startProvider(ctx context.Context) (address string, err error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // it is closed: the run is over
			}
			go func() {
				defer conn.Close()
				_ = provide(conn) // a proxy that has left needs no answer
			}()
		}
	}()
	return ln.Addr().String(), nil
}

// provide answers one request after the other.
func provide(conn net.Conn) error {
	in := bufio.NewReaderSize(conn, 128<<10)
	var body []byte
	for {
		path, length, _, err := readHead(in)
		if err != nil {
			return err
		}
		if cap(body) < length {
			body = make([]byte, length)
		}
		body = body[:length]
		if _, err := io.ReadFull(in, body); err != nil {
			return err
		}
		f := formats[0]
		if strings.HasSuffix(path, "/messages") {
			f = formats[1]
		}
		if bytes.Contains(body[:min(len(body), 256)], []byte(`"stream":true`)) {
			err = stream(conn, f)
		} else {
			_, err = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(f.answer), f.answer)
		}
		if err != nil {
			return err
		}
	}
}

// stream sends events, each in a chunk of its own.
func stream(conn net.Conn, f format) error {
	chunk := func(s string) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(s), s) }
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
		return err
	}
	if begin := f.begin(); begin != "" {
		if _, err := conn.Write(chunk(begin)); err != nil {
			return err
		}
	}
	event, every := chunk(f.event), time.NewTicker(eventEvery)
	defer every.Stop()
	for range eventsPerStream {
		<-every.C
		if _, err := conn.Write(event); err != nil {
			return err
		}
	}
	_, err := conn.Write(append(chunk(f.end), "0\r\n\r\n"...))
	return err
}
