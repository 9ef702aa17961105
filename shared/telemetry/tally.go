package telemetry

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// talliedMax bounds the buckets of what is tallied, with the last one, which has no bound.
const talliedMax = 16

// Tally counts durations that come so often that no atomic may be spent on each. It belongs to one goroutine, which hands it over now and then.
// The zero Tally is empty.
type Tally struct {
	counts [talliedMax]uint64
	sum    time.Duration
	most   time.Duration
}

// Tallied is a distribution of durations that is fed by tallies. Safe for concurrent use.
type Tallied struct {
	bounds []time.Duration
	counts [talliedMax]atomic.Uint64
	// micros is the sum: nanoseconds of many streams would overflow within days.
	micros  atomic.Uint64
	example atomic.Pointer[prometheus.Exemplar]
}

// Note adds n durations, all alike, to a goroutine's tally.
func (d *Tallied) Note(t *Tally, each time.Duration, n int) {
	i := 0
	for i < len(d.bounds) && each > d.bounds[i] {
		i++
	}
	t.counts[i] += uint64(n)
	t.sum += time.Duration(n) * each
	t.most = max(t.most, each)
}

// Take adds a tally that will not be used again. traceID, where it is not empty, becomes the example of the longest duration in it.
func (d *Tallied) Take(t *Tally, traceID string) {
	told := false
	for i, n := range t.counts {
		if n > 0 {
			d.counts[i].Add(n)
			told = true
		}
	}
	d.micros.Add(uint64(t.sum.Microseconds()))
	if told && traceID != "" {
		d.example.Store(&prometheus.Exemplar{Value: t.most.Seconds(), Labels: prometheus.Labels{"trace_id": traceID}, Timestamp: time.Now()})
	}
}

// TalliedFamily is a family of such distributions that differ in their labels' values.
type TalliedFamily struct {
	desc   *prometheus.Desc
	bounds []time.Duration
	bound  bound

	mu     sync.Mutex
	series map[string]*Tallied // :: labels' values, joined
}

// Tallied registers a family of histograms with these bucket bounds, fewer than talliedMax, exported in seconds. Errors are treated as by Counters.
func (m *Metrics) Tallied(name, help string, bounds []time.Duration, labels ...string) *TalliedFamily {
	f := &TalliedFamily{
		desc: prometheus.NewDesc(name, help, labels, nil), bounds: bounds[:min(len(bounds), talliedMax-1)],
		bound: bound{m: m, seen: map[string]bool{}}, series: map[string]*Tallied{},
	}
	m.registry.MustRegister(f)
	m.note(name, "histogram", help, labels)
	return f
}

// With finds the distribution of these values. It takes a lock: call it once and keep the answer.
func (f *TalliedFamily) With(values ...string) *Tallied {
	name := strings.Join(f.bound.admit(values), "\x00")
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.series[name] == nil {
		f.series[name] = &Tallied{bounds: f.bounds}
	}
	return f.series[name]
}

// Describe and Collect make it a prometheus.Collector.
func (f *TalliedFamily) Describe(out chan<- *prometheus.Desc) { out <- f.desc }

// Collect reads every series.
func (f *TalliedFamily) Collect(out chan<- prometheus.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, d := range f.series {
		buckets, count := make(map[float64]uint64, len(f.bounds)), uint64(0)
		for i, bound := range f.bounds {
			count += d.counts[i].Load()
			buckets[bound.Seconds()] = count
		}
		count += d.counts[len(f.bounds)].Load()
		metric, err := prometheus.NewConstHistogram(f.desc, count, float64(d.micros.Load())/1e6, buckets, strings.Split(name, "\x00")...)
		if example := d.example.Load(); err == nil && example != nil {
			metric, err = prometheus.NewMetricWithExemplars(metric, *example)
		}
		if err == nil {
			out <- metric
		}
	}
}
