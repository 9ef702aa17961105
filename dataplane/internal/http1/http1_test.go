package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// walk reads said, which comes in pieces of a size, through a window and into room of a size; rest is what stands behind the body.
func walk(c *Chunks, said []byte, piece, room int) (data, rest []byte, err error) {
	var window []byte
	p := make([]byte, room)
	for {
		n, used, err := c.Next(p, window)
		data, window = append(data, p[:n]...), window[used:]
		switch {
		case err != nil:
			return data, nil, err
		case c.Ended():
			return data, append(window, said...), nil
		case n > 0:
			continue
		case len(said) == 0:
			return data, nil, io.ErrUnexpectedEOF
		}
		if left := c.Left(); left > 0 && len(window) == 0 { // past the window
			n := copy(p, said[:min(int64(piece), int64(len(said)), left)])
			data, said = append(data, p[:n]...), said[n:]
			c.Skip(n)
			continue
		}
		n = min(piece, len(said))
		window, said = append(window, said[:n]...), said[n:]
	}
}

// What is taken of clients, of providers, or of nobody.
func TestChunks(t *testing.T) {
	long := strings.Repeat("a", 300)
	for name, row := range map[string]struct {
		said            string
		strict, lenient bool
	}{
		"plain":                        {"2\r\nhi\r\n0\r\n\r\n", true, true},
		"sizes as they may be written": {"002\r\nhi\r\nA\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", true, true},
		"an extension and a trailer":   {"2;a=\"b\tc\"\r\nhi\r\n0;x\r\nA:b\r\n\r\n", true, true},
		"spaces behind a size":         {"2 \t\r\nhi\r\n0\r\n\r\n", false, true},
		"a long line":                  {"2;" + long + "\r\nhi\r\n0\r\n\r\n", false, true},
		"very many extensions":         {strings.Repeat("1;"+long[:200]+"\r\nx\r\n", 100) + "0\r\n\r\n", false, true},
		"very many trailers":           {"0\r\n" + strings.Repeat("A: "+long[:100]+"\r\n", 200) + "\r\n", false, false},
		"a line without end":           {strings.Repeat("a", 5000), false, false},
		"nothing":                      {"\r\n0\r\n\r\n", false, false},
		"a space before a size":        {" 2\r\nhi\r\n0\r\n\r\n", false, false},
		"a size of spaces":             {"  \r\n0\r\n\r\n", false, false},
		"a sign":                       {"+2\r\nhi\r\n0\r\n\r\n", false, false},
		"a prefix":                     {"0x2\r\nhi\r\n0\r\n\r\n", false, false},
		"a line between digits":        {"0_2\r\nhi\r\n0\r\n\r\n", false, false},
		"a size beyond all numbers":    {"ffffffffffffffff\r\nhi\r\n0\r\n\r\n", false, false},
		"a line feed behind a size":    {"2\nhi\r\n0\r\n\r\n", false, false},
		"a line feed behind data":      {"2\r\nhi\n0\r\n\r\n", false, false},
		"a line feed at the end":       {"2\r\nhi\r\n0\r\n\n", false, false},
		"data longer than its size":    {"2\r\nhiX\r\n0\r\n\r\n", false, false},
		"a return in an extension":     {"2;a\rb\r\nhi\r\n0\r\n\r\n", false, false},
		"a trailer that is none":       {"0\r\nGET / HTTP/1.1\r\n\r\n", false, false},
		"a space in a trailer's name":  {"0\r\nA : b\r\n\r\n", false, false},
	} {
		for _, lenient := range []bool{false, true} {
			want := row.strict && !lenient || row.lenient && lenient
			for _, piece := range []int{1, 7, 1 << 20} {
				_, rest, err := walk(&Chunks{Lenient: lenient}, []byte(row.said+"next"), piece, 3)
				if (err == nil) != want || want && string(rest) != "next" || !want && !errors.Is(err, ErrChunk) {
					t.Errorf("%s, lenient %v, pieces of %d: %v, and %.40q behind it", name, lenient, piece, err, rest)
				}
			}
		}
	}
}

// However the bytes are cut, the body is the same; what is taken, net/http takes too, and ends it where we end it; and what is taken of
// clients is taken of providers.
func FuzzChunks(f *testing.F) {
	for _, seed := range []string{"2\r\nhi\r\n0\r\n\r\nnext", "2;a=b\r\nhi\r\n0\r\nT: r\r\n\r\n", "2 \r\nhi\r\n0\r\n\r\n", "ffffffffffffffff\r\nx", "2\r\nhi\n0\r\n\r\n"} {
		f.Add([]byte(seed), uint8(3), uint8(2))
	}
	f.Fuzz(func(t *testing.T, said []byte, piece, room uint8) {
		strict := false
		for _, lenient := range []bool{false, true} {
			data, rest, err := walk(&Chunks{Lenient: lenient}, said, 1<<20, 1<<20)
			again, restAgain, errAgain := walk(&Chunks{Lenient: lenient}, said, int(piece)+1, int(room)+1)
			if !bytes.Equal(data, again) || !bytes.Equal(rest, restAgain) || !errors.Is(err, errAgain) {
				t.Fatalf("%q %q %v at once, %q %q %v in pieces of %d", data, rest, err, again, restAgain, errAgain, piece)
			}
			if err != nil {
				if strict {
					t.Fatal("taken of a client, and not of a provider")
				}
				continue
			}
			strict = true
			from := bufio.NewReaderSize(io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(said)), 64<<10)
			response, err := http.ReadResponse(from, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatalf("net/http refuses what was taken: %v", err)
			}
			behind, _ := io.ReadAll(from)
			if !bytes.Equal(body, data) || !bytes.Equal(behind, rest) {
				t.Fatalf("%q and %q behind it; net/http reads %q and %q", data, rest, body, behind)
			}
		}
	})
}

// A body of 64 KiB in chunks of a size, through a window as connections have.
func BenchmarkChunks(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			said := []byte(strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", size, strings.Repeat("x", size)), (64<<10)/size) + "0\r\n\r\n")
			p := make([]byte, 64<<10)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				c, all := Chunks{}, 0
				for at := 0; !c.Ended(); {
					n, used, err := c.Next(p[all:], said[at:min(at+16<<10, len(said))])
					if err != nil {
						b.Fatal(err)
					}
					all, at = all+n, at+used
				}
				if all != len(p) {
					b.Fatal(all)
				}
			}
		})
	}
}
