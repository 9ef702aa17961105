package telemetry

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// sampler chooses traces at their beginning. What it does not choose is recorded nevertheless, since it is sent if it fails.
type sampler struct {
	parentBased bool
	// below this stands half of the id's last 8 bytes of a trace that is chosen, as every OpenTelemetry SDK for Go has it: one trace is chosen
	// everywhere or nowhere.
	below uint64
}

// newSampler reads what OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say; on is false where nothing is to be traced.
func newSampler(name, argument string) (s sampler, on bool, err error) {
	ratio := 1.0
	if argument != "" {
		ratio, err = strconv.ParseFloat(argument, 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return s, false, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG=%s: want a share from 0 to 1", argument)
		}
	}
	const all = 1 << 63
	root, parentBased := strings.CutPrefix(name, "parentbased_")
	s.parentBased = parentBased
	switch {
	case name == "always_off":
		return s, false, nil
	case name == "":
		s.parentBased, s.below = true, all
	case root == "always_on":
		s.below = all
	case root == "always_off":
	case root == "traceidratio":
		s.below = uint64(ratio * all)
	default:
		return s, false, fmt.Errorf("OTEL_TRACES_SAMPLER=%s: want always_on, always_off, traceidratio, or one of them behind parentbased_", name)
	}
	return s, true, nil
}

func (s sampler) chooses(parent trace.SpanContext, id trace.TraceID) bool {
	if s.parentBased && parent.IsValid() {
		return parent.IsSampled()
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < s.below
}

// How many traces that were not chosen are sent a second, and at once after a quiet time: of our own failures and providers', and of what callers can
// bring about as often as they like. An outage, or a caller who means no good, must not become a flood for the collector.
const (
	keptPerSecond, keptAtOnce       = 100, 1000
	refusedPerSecond, refusedAtOnce = 10, 100
)

// ration is a token bucket. It is asked for traces that were not chosen and failed, and for no others.
type ration struct {
	perSecond, most float64

	mu   sync.Mutex // protects below
	used float64
	at   time.Time
}

func (r *ration) take(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used = max(r.used-now.Sub(r.at).Seconds()*r.perSecond, 0)
	r.at = now
	if r.used+1 > r.most {
		return false
	}
	r.used++
	return true
}

// familyMax bounds the spans of one family: a request makes a few attempts, and hardly ever more than familyUsual.
const (
	familyMax   = 64
	familyUsual = 8
)

// family is the spans that one root has in this process. They go to the sender together when the root has ended, for only then is it known
// whether something failed.
type family struct {
	tracer *Tracer

	mu     sync.Mutex
	wanted bool // chosen at its beginning, or kept since
	denied bool // to be kept, but there were too many
	lost   bool // there was no room for it at its end
	over   bool
	spans  []*live
}

// Keep has the whole trace sent, whether or not it was chosen at its beginning: within bounds, which are narrow for what callers can bring about as often
// as they like.
func (s Span) Keep(byCaller bool) {
	if s.live != nil {
		s.live.family.keep(byCaller)
	}
}

func (f *family) keep(byCaller bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wanted {
		return
	}
	from := &f.tracer.kept
	if byCaller {
		from = &f.tracer.refused
	}
	f.wanted = from.take(time.Now())
	f.denied = !f.wanted
}

// Wanted says, of a request that is about to end, whether anybody will see what its spans say; else it need not be said.
func (s Span) Wanted() bool {
	if s.live == nil {
		return false
	}
	f := s.live.family
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = f.lost || f.wanted && f.tracer.sender.full()
	return f.wanted && !f.lost
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

func (f *family) ended(l *live) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = f.over || l.root
	if len(f.spans) < familyMax {
		f.spans = append(f.spans, l)
	} else {
		l.discard()
	}
	if !f.over {
		return
	}
	fate := &f.tracer.sender.unchosen
	switch {
	case f.wanted && !f.lost && f.tracer.sender.send(f.spans):
		f.spans = nil
		return
	case f.wanted:
		fate = &f.tracer.sender.dropped
	case f.denied:
		fate = &f.tracer.sender.rationed
	}
	fate.Add(uint64(len(f.spans)))
	for _, l := range f.spans {
		l.discard()
	}
	f.spans = nil
}

// discard is told of a span that is not sent.
func (l *live) discard() {
	if l.later != nil {
		l.later(nil)
	}
}
