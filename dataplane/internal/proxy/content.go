package proxy

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/aimux/aimux/dataplane/internal/dialect/content"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/telemetry"
)

// Content says whose prompts and answers their spans tell, and how much of them. The zero value tells nobody's.
type Content struct {
	// Bytes is how long each of the attributes that tell them may be; 0 means that there are none.
	Bytes int
	// Of narrows it to the requests of any of these: class:NAME, team:NAME, caller:NAME. Empty means everybody's.
	Of []string
}

// ContentBytesMax is the most that Content.Bytes may be: collectors and what is behind them have limits of their own.
const ContentBytesMax = 1 << 20

// Validate names what no node could go by.
func (c *Content) Validate() error {
	if c.Bytes < 0 || c.Bytes > ContentBytesMax {
		return fmt.Errorf("--trace-content %d: want from 0 to %d bytes", c.Bytes, ContentBytesMax)
	}
	for _, of := range c.Of {
		kind, name, _ := strings.Cut(of, ":")
		if _, known := route.ParseClass(name); name == "" || kind != "team" && kind != "caller" && (kind != "class" || !known) {
			return fmt.Errorf("--trace-content-of %s: want class:NAME, team:NAME or caller:NAME", of)
		}
	}
	return nil
}

const (
	// heardMax is how much of a request and of its answer is copied for its span.
	heardMax = 1 << 20
	// heardHeldMax bounds such copies of all requests together, until their spans are sent.
	heardHeldMax = 64 << 20
)

// hearing is what of requests and answers is copied for their spans.
type hearing struct {
	of        Content
	held      atomic.Int64 // bytes of copies
	told, cut *telemetry.Counter
}

func newHearing(of Content, set *telemetry.Metrics) *hearing {
	family := set.Counters("aimux_trace_content_bytes_total", "Bytes of prompts and answers, where spans tell them: told in a span, or cut for lack of room.", "fate")
	return &hearing{of: of, told: family.With("told"), cut: family.With("cut")}
}

// take copies what there is room for.
func (h *hearing) take(dst, said []byte) []byte {
	n := int64(min(len(said), heardMax-len(dst)))
	if h.held.Add(n) > heardHeldMax {
		h.held.Add(-n)
		n = 0
	}
	if missed := len(said) - int(n); missed > 0 {
		h.cut.Add(uint64(missed))
	}
	return append(dst, said[:n]...)
}

// hear begins to listen, if the request's span is to tell what is said.
func (x *exchange) hear() {
	h := x.h.hearing
	if h.of.Bytes == 0 || !x.span.On() {
		return
	}
	if len(h.of.Of) == 0 || slices.ContainsFunc(h.of.Of, func(of string) bool {
		kind, name, _ := strings.Cut(of, ":")
		return name == map[string]string{"class": x.found.Ask.Class.String(), "team": x.caller.Team, "caller": x.caller.Name}[kind]
	}) {
		x.hears = true
	}
}

// overhear takes a part of the answer, as the client gets it.
func (x *exchange) overhear(said []byte) {
	if x.hears {
		x.heard = x.h.hearing.take(x.heard, said)
	}
}

// tell has the span tell what was said. What is done for it here is to copy the request, if the span is sent at all.
func (x *exchange) tell() {
	if !x.hears {
		return
	}
	h, id := x.h, x.id
	if x.span.Example() == "" {
		h.hearing.held.Add(-int64(len(x.heard)))
		return
	}
	said := &content.Said{
		Format: h.deps.Translator.Dialect(x.at.protocol), Request: h.hearing.take(nil, x.body), Answer: x.heard, Stream: x.found.Stream, Bytes: h.hearing.of.Bytes,
	}
	x.span.Later(func(late *telemetry.Late) {
		defer h.hearing.held.Add(-int64(len(said.Request) + len(said.Answer)))
		if late != nil {
			h.told(late, said, id)
		}
	})
}

// told writes the attributes. It runs in the goroutine that sends spans, which no request may end.
func (h *Handler) told(late *telemetry.Late, said *content.Said, id string) {
	defer func() {
		if r := recover(); r != nil {
			h.metrics.panics.Add(1)
			h.deps.Log.Error("what a request said made the node panic", "request_id", id, "panic", fmt.Sprint(r))
		}
	}()
	t := content.Tell(said)
	for _, one := range []struct{ name, text string }{
		{"gen_ai.system_instructions", t.Instructions}, {"gen_ai.input.messages", t.Input}, {"gen_ai.output.messages", t.Output}, {"gen_ai.tool.definitions", t.Tools},
	} {
		if one.text != "" {
			late.Text(one.name, one.text)
			h.hearing.told.Add(uint64(len(one.text)))
		}
	}
	if t.Cut > 0 {
		late.Number("aimux.content_cut_bytes", int64(t.Cut))
		h.hearing.cut.Add(uint64(t.Cut))
	}
}
