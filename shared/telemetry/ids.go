package telemetry

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// The header of W3C's Trace Context, version 00: version, trace, span and flags, in lower-case hexadecimal. Later versions begin with the same.
const (
	parentLength = 55
	// parentFlags are those that are passed on: that the trace is chosen, and that its id is random.
	parentFlags = 0x03
)

func newTraceID() (id trace.TraceID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:8], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

func newSpanID() (id trace.SpanID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// parseParent reads both headers. What is none is the context of nobody; a state that is none is left out.
func parseParent(traceparent, tracestate string) trace.SpanContext {
	parent, ok := parseTraceparent(traceparent)
	if !ok || tracestate == "" {
		return parent
	}
	if state, err := trace.ParseTraceState(tracestate); err == nil {
		parent = parent.WithTraceState(state)
	}
	return parent
}

func parseTraceparent(text string) (parent trace.SpanContext, ok bool) {
	if len(text) < parentLength || text[2] != '-' || text[35] != '-' || text[52] != '-' || text != strings.ToLower(text) {
		return parent, false
	}
	var version, flags [1]byte
	var traceID trace.TraceID
	var spanID trace.SpanID
	for _, part := range []struct {
		into []byte
		text string
	}{{version[:], text[:2]}, {traceID[:], text[3:35]}, {spanID[:], text[36:52]}, {flags[:], text[53:55]}} {
		if _, err := hex.Decode(part.into, []byte(part.text)); err != nil {
			return parent, false
		}
	}
	later := version[0] > 0 && version[0] != 0xff && (len(text) == parentLength || text[parentLength] == '-')
	if !later && (version[0] != 0 || len(text) > parentLength) {
		return parent, false
	}
	read := trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags[0]) & parentFlags, Remote: true})
	if !read.IsValid() {
		return parent, false
	}
	return read, true
}

func formatParent(c trace.SpanContext) string {
	var text [parentLength]byte
	traceID, spanID := c.TraceID(), c.SpanID()
	copy(text[:], "00-")
	hex.Encode(text[3:], traceID[:])
	text[35] = '-'
	hex.Encode(text[36:], spanID[:])
	text[52] = '-'
	hex.Encode(text[53:], []byte{byte(c.TraceFlags())})
	return string(text[:])
}
