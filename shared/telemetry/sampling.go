package telemetry

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// newSampler reads what OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say; nil means that nothing is to be traced. What is not chosen is
// recorded nevertheless, since it is sent if it fails.
func newSampler(name, argument string) (sdktrace.Sampler, error) {
	ratio := 1.0
	if argument != "" {
		parsed, err := strconv.ParseFloat(argument, 64)
		if err != nil || !(parsed >= 0 && parsed <= 1) {
			return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG=%s: want a share from 0 to 1", argument)
		}
		ratio = parsed
	}
	root, parentBased := strings.CutPrefix(name, "parentbased_")
	var sampler sdktrace.Sampler
	switch {
	case name == "always_off":
		return nil, nil //nolint:nilnil // nothing is traced
	case name == "":
		parentBased, sampler = true, sdktrace.AlwaysSample()
	case root == "always_on":
		sampler = sdktrace.AlwaysSample()
	case root == "always_off":
		sampler = sdktrace.NeverSample()
	case root == "traceidratio":
		sampler = sdktrace.TraceIDRatioBased(ratio)
	default:
		return nil, fmt.Errorf("OTEL_TRACES_SAMPLER=%s: want always_on, always_off, traceidratio, or one of them behind parentbased_", name)
	}
	if parentBased {
		sampler = sdktrace.ParentBased(sampler)
	}
	return recording{sampler}, nil
}

// recording records what its sampler would drop.
type recording struct{ sdktrace.Sampler }

// ShouldSample decides at a trace's beginning.
func (r recording) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := r.Sampler.ShouldSample(p)
	if result.Decision == sdktrace.Drop {
		result.Decision = sdktrace.RecordOnly
	}
	return result
}

// familyMax bounds the spans of one family: a request makes a few attempts.
const familyMax = 64

// family is the spans that one root has in this process. They go to the sender together when the root has ended, for only then is it known
// whether something failed.
type family struct {
	tracer *Tracer

	mu     sync.Mutex
	wanted bool // chosen at its beginning, or kept since
	over   bool
	spans  []ended
}

func (f *family) keep() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted = true
}

func (f *family) ended(s ended, root bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = f.over || root
	if len(f.spans) < familyMax {
		f.spans = append(f.spans, s)
	} else {
		s.discard()
	}
	if !f.over {
		return
	}
	if f.wanted {
		f.tracer.sender.send(f.spans)
	} else {
		f.tracer.sender.unwanted.Add(uint64(len(f.spans)))
		for _, s := range f.spans {
			s.discard()
		}
	}
	f.spans = f.spans[:0:0]
}

// Fail marks the span as failed, and has the whole trace sent.
func (s Span) Fail(reason string) {
	if s.live != nil {
		s.live.span.SetStatus(codes.Error, reason)
		s.Keep()
	}
}

// Example is the trace's id if the trace will be sent, for what shall point at it; else empty.
func (s Span) Example() string {
	if s.live == nil || !s.live.family.sendable() {
		return ""
	}
	return s.TraceID()
}

func (f *family) sendable() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wanted
}
