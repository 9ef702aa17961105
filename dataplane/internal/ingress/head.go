package ingress

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/aimux/aimux/dataplane/internal/http1"
)

// head is what stands above a request's body. It is strict: whatever two readers might understand in two ways is refused, because behind such a
// request another one may hide.
type head struct {
	method, path, query string
	old                 bool // HTTP/1.0
	lines               []line
	host                bool  // there is a Host
	length              int64 // of the body; -1 where no length is announced
	chunked             bool
	expects             bool // the client waits for a word before it sends its body
	closes, stays       bool // what the client wishes for its connection
}

// line is one header line; the name as it came.
type line struct{ name, value string }

// linesMax bounds the header lines of a request.
const linesMax = 128

// parse reads a head: its lines, each with its CRLF, without the empty one at the end. Its strings are parts of text.
func (h *head) parse(text string) *Refusal {
	first, rest, _ := strings.Cut(text, "\r\n")
	*h = head{lines: h.lines[:0], length: -1}
	if r := h.request(first); r != nil {
		return r
	}
	for rest != "" {
		var one string
		one, rest, _ = strings.Cut(rest, "\r\n")
		if r := h.line(one); r != nil {
			return r
		}
	}
	switch {
	case h.chunked && h.length >= 0:
		return ambiguous("content-length and transfer-encoding contradict each other; send one of them")
	case h.chunked && h.old:
		return ambiguous("HTTP/1.0 has no transfer-encoding")
	case !h.host && !h.old:
		return ambiguous("the host header is missing")
	}
	return nil
}

func ambiguous(reason string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Reason: reason}
}

// request reads the request line.
func (h *head) request(text string) *Refusal {
	method, rest, _ := strings.Cut(text, " ")
	target, version, ok := strings.Cut(rest, " ")
	if !ok || !http1.IsToken(method) || target == "" {
		return ambiguous("the request line is malformed")
	}
	switch version {
	case "HTTP/1.1":
	case "HTTP/1.0":
		h.old = true
	default:
		if strings.HasPrefix(version, "HTTP/") && !strings.Contains(version, " ") {
			return &Refusal{Status: http.StatusHTTPVersionNotSupported, Reason: "this is HTTP/1.1"}
		}
		return ambiguous("the request line is malformed")
	}
	for i := range len(target) {
		if target[i] <= ' ' || target[i] >= 0x7f {
			return ambiguous("the request's target has a character that it cannot have")
		}
	}
	h.method = method
	if target[0] != '/' && (target != "*" || method != http.MethodOptions) {
		return ambiguous("the request's target is another host; this is no proxy")
	}
	path, query, _ := strings.Cut(target, "?")
	if strings.IndexByte(path, '%') >= 0 {
		plain, err := url.PathUnescape(path)
		if err != nil {
			return ambiguous("the request's path has an escape that is none")
		}
		path = plain
	}
	h.path, h.query = path, query
	return nil
}

// line reads a header line.
func (h *head) line(text string) *Refusal {
	if text[0] == ' ' || text[0] == '\t' {
		return ambiguous("a header goes on in a second line")
	}
	name, value, ok := strings.Cut(text, ":")
	if !ok || !http1.IsToken(name) {
		return ambiguous("a header's name is malformed")
	}
	value = strings.Trim(value, " \t")
	if http1.HasControl(value) {
		return ambiguous("a header's value has a control character")
	}
	if len(h.lines) == linesMax {
		return &Refusal{Status: http.StatusRequestHeaderFieldsTooLarge, Reason: "the request has more headers than the " + strconv.Itoa(linesMax) + " allowed"}
	}
	h.lines = append(h.lines, line{name, value})
	return h.frame(name, value)
}

// frame heeds the headers that say where the body ends and what becomes of the connection. Each has a length of its own, but for host.
func (h *head) frame(name, value string) *Refusal {
	switch len(name) {
	case len("Host"):
		if strings.EqualFold(name, "Host") {
			return h.name(value)
		}
	case len("Expect"):
		if strings.EqualFold(name, "Expect") {
			if !strings.EqualFold(value, "100-continue") {
				return &Refusal{Status: http.StatusExpectationFailed, Reason: "nothing can be expected here but 100-continue"}
			}
			h.expects = !h.old
		}
	case len("Connection"):
		if strings.EqualFold(name, "Connection") {
			for token := range strings.SplitSeq(value, ",") {
				token = strings.Trim(token, " \t")
				h.closes = h.closes || strings.EqualFold(token, "close")
				h.stays = h.stays || strings.EqualFold(token, "keep-alive")
			}
		}
	case len("Content-Length"):
		if strings.EqualFold(name, "Content-Length") {
			return h.announce(value)
		}
	case len("Transfer-Encoding"):
		if strings.EqualFold(name, "Transfer-Encoding") {
			if h.chunked || !strings.EqualFold(value, "chunked") {
				return &Refusal{Status: http.StatusNotImplemented, Reason: "no transfer-encoding is understood but chunked, once"}
			}
			h.chunked = true
		}
	}
	return nil
}

func (h *head) name(host string) *Refusal {
	if h.host {
		return ambiguous("there are two hosts")
	}
	h.host = true
	for i := range len(host) {
		if c := host[i]; !http1.IsLetter(c) && !http1.IsDigit(c) && strings.IndexByte("!$%&'()*+,-.:;=[]_~", c) < 0 {
			return ambiguous("the host has a character that it cannot have")
		}
	}
	return nil
}

func (h *head) announce(value string) *Refusal {
	for i := range len(value) {
		if !http1.IsDigit(value[i]) {
			return ambiguous("content-length is no number of bytes")
		}
	}
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return ambiguous("content-length is no number of bytes")
	case h.length >= 0 && n != h.length:
		return ambiguous("content-length is there twice, with two values")
	}
	h.length = n
	return nil
}

// get is the first value of a header; empty when there is none.
func (h *head) get(name string) string {
	for i := range h.lines {
		if l := &h.lines[i]; len(l.name) == len(name) && strings.EqualFold(l.name, name) {
			return l.value
		}
	}
	return ""
}

// lineEnds follows the lines of a head as its bytes come.
type lineEnds struct {
	line int // where the line under way begins
	seen int // as far as it has been looked at
}

// find is the length of the head with its empty line, once it is there; wrong is true of a line that ends as none may.
func (e *lineEnds) find(p []byte) (end int, wrong bool) {
	for {
		n := bytes.IndexByte(p[e.seen:], '\n')
		if n < 0 {
			e.seen = len(p)
			return 0, false
		}
		at := e.seen + n
		switch {
		case at == 0 || p[at-1] != '\r':
			return 0, true
		case at-1 == e.line:
			return at + 1, false
		}
		e.line, e.seen = at+1, at+1
	}
}
