package telemetry

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is one process part's set of figures. Register everything before the first scrape; series are cheap to feed at any time.
type Metrics struct {
	registry *prometheus.Registry
	scrape   http.Handler
	folded   atomic.Uint64
	families []described
}

// seriesMax bounds the series of one family. Whoever would be one more is counted under other; of what is only read, nothing more is told.
const seriesMax = 2048

// other is the value of every label of the series that stands for all beyond seriesMax.
const other = "other"

// NewMetrics makes an empty set, with what the runtime says of itself.
func NewMetrics() *Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := &Metrics{registry: registry, scrape: promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})}
	m.Read(Reading{
		Name: "aimux_series_folded_total", Help: "Series beyond the bound of their family: they are counted under other.", Counter: true,
		Read: func(give func(float64, ...string)) { give(float64(m.folded.Load())) },
	})
	return m
}

// described is a family as the documentation tells of it.
type described struct {
	name, kind, help string
	labels           []string
}

func (m *Metrics) note(name, kind, help string, labels []string) {
	m.families = append(m.families, described{name, kind, help, labels})
}

// Table lists every family that was registered, in the order of the names, as a table in Markdown.
func (m *Metrics) Table() string {
	all := slices.SortedFunc(slices.Values(m.families), func(a, b described) int { return strings.Compare(a.name, b.name) })
	var out strings.Builder
	out.WriteString("| metric | kind | labels | what it says |\n|---|---|---|---|\n")
	for _, f := range all {
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", f.name, f.kind, strings.Join(f.labels, ", "), f.help)
	}
	return out.String()
}

// bound keeps one family within seriesMax.
type bound struct {
	m    *Metrics
	mu   sync.Mutex
	seen map[string]bool // :: labels' values, joined
}

func (b *bound) admit(values []string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := strings.Join(values, "\x00")
	switch {
	case b.seen[name]:
		return values
	case len(b.seen) < seriesMax:
		b.seen[name] = true
		return values
	}
	b.m.folded.Add(1)
	folded := make([]string, len(values))
	for i := range folded {
		folded[i] = other
	}
	return folded
}

// Counter only grows. Safe for concurrent use; a nil Counter counts nothing.
type Counter struct{ counter prometheus.Counter }

// Add adds n, which is not negative.
func (c *Counter) Add(n uint64) {
	if c != nil {
		c.counter.Add(float64(n))
	}
}

// AddReal adds what is no whole number, and not negative.
func (c *Counter) AddReal(x float64) {
	if c != nil {
		c.counter.Add(x)
	}
}

// Counters is a family of counters that differ in their labels' values.
type Counters struct {
	family *prometheus.CounterVec
	bound  bound
}

// Counters registers a family; a name that exists already, or is none, is a mistake of the program and panics at its start.
func (m *Metrics) Counters(name, help string, labels ...string) *Counters {
	family := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(family)
	m.note(name, "counter", help, labels)
	return &Counters{family: family, bound: bound{m: m, seen: map[string]bool{}}}
}

// With finds the counter of these values, in the order of the labels. It takes a lock: call it once and keep the answer.
func (c *Counters) With(values ...string) *Counter {
	return &Counter{c.family.WithLabelValues(c.bound.admit(values)...)}
}

// Histogram is a distribution of durations, or of amounts. Safe for concurrent use; a nil Histogram sees nothing.
type Histogram struct {
	observer prometheus.Observer
	// told is when the last example was given, in Unix nanoseconds, and toldOf its value's bits.
	told, toldOf atomic.Uint64
}

// exampleEvery lies between examples: making one costs more than all else. What is more than the last example is one at once.
const exampleEvery = time.Second

// Observe adds one duration, exported in seconds.
func (h *Histogram) Observe(d time.Duration) {
	if h != nil {
		h.observer.Observe(d.Seconds())
	}
}

// ObserveIn is Observe for what belongs to a trace that will be sent: now and then, and for the worst, the trace becomes the bucket's example. Without one
// it is Observe.
func (h *Histogram) ObserveIn(d time.Duration, traceID string) { h.observeIn(d.Seconds(), traceID) }

// CountIn adds one amount, exported as it is, to a trace as ObserveIn does.
func (h *Histogram) CountIn(n uint64, traceID string) { h.observeIn(float64(n), traceID) }

func (h *Histogram) observeIn(x float64, traceID string) {
	if h == nil {
		return
	}
	if exemplary, ok := h.observer.(prometheus.ExemplarObserver); ok && traceID != "" && h.exemplary(x) {
		exemplary.ObserveWithExemplar(x, prometheus.Labels{"trace_id": traceID})
		return
	}
	h.observer.Observe(x)
}

func (h *Histogram) exemplary(x float64) bool {
	now, told := uint64(time.Now().UnixNano()), h.told.Load()
	if now-told < uint64(exampleEvery) && x <= math.Float64frombits(h.toldOf.Load()) {
		return false
	}
	h.told.Store(now)
	h.toldOf.Store(math.Float64bits(x))
	return true
}

// Histograms is a family of histograms that differ in their labels' values.
type Histograms struct {
	family *prometheus.HistogramVec
	bound  bound
}

// Histograms registers a family with these bucket bounds, in seconds or whatever is counted. Errors are treated as by Counters.
func (m *Metrics) Histograms(name, help string, bounds []float64, labels ...string) *Histograms {
	family := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, labels)
	m.registry.MustRegister(family)
	m.note(name, "histogram", help, labels)
	return &Histograms{family: family, bound: bound{m: m, seen: map[string]bool{}}}
}

// With finds the histogram of these values. It takes a lock: call it once and keep the answer.
func (h *Histograms) With(values ...string) *Histogram {
	return &Histogram{observer: h.family.WithLabelValues(h.bound.admit(values)...)}
}

// Reading is one family of figures that lives elsewhere and is read at the moment of a scrape: free for those who count.
type Reading struct {
	Name, Help string
	// Counter says that it only grows; else it is a gauge.
	Counter bool
	Labels  []string
	// Read gives each series once, with as many labels as Labels. It may be called by several goroutines at once.
	Read func(give func(value float64, labels ...string))
}

// Read registers a Reading. Errors are treated as by Counters.
func (m *Metrics) Read(r Reading) {
	kind := "gauge"
	if r.Counter {
		kind = "counter"
	}
	m.note(r.Name, kind, r.Help, r.Labels)
	m.registry.MustRegister(&collector{m, r, prometheus.NewDesc(r.Name, r.Help, r.Labels, nil)})
}

type collector struct {
	metrics *Metrics
	reading Reading
	desc    *prometheus.Desc
}

// Describe and Collect make it a prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

// Collect reads every series.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	kind := prometheus.GaugeValue
	if c.reading.Counter {
		kind = prometheus.CounterValue
	}
	given := 0
	c.reading.Read(func(value float64, labels ...string) {
		if given++; given > seriesMax {
			c.metrics.folded.Add(1)
			return
		}
		metric, err := prometheus.NewConstMetric(c.desc, kind, value, labels...)
		if err == nil {
			out <- metric
		}
	})
}

// Text is the set in the form that Prometheus scrapes, with its content type. accept is what the scraper's header of that name says:
// OpenMetrics, which has the examples, or without it Prometheus's own text.
func (m *Metrics) Text(accept string) (body []byte, contentType string) {
	answer := &inMemory{header: http.Header{}}
	m.scrape.ServeHTTP(answer, &http.Request{Method: http.MethodGet, Header: http.Header{"Accept": {accept}}})
	return answer.body, answer.header.Get("Content-Type")
}

// inMemory keeps what a handler answers.
type inMemory struct {
	header http.Header
	body   []byte
}

func (w *inMemory) Header() http.Header { return w.header }
func (w *inMemory) WriteHeader(int)     {}
func (w *inMemory) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

// Series is one series as JSON shows it.
type Series struct {
	Labels map[string]string `json:"labels,omitempty"`
	Value  *float64          `json:"value,omitempty"`
	Count  *uint64           `json:"count,omitempty"`
	Sum    *float64          `json:"sum,omitempty"`
}

// JSON is the set as one object: each family's name with its series. Histograms show count and sum.
func (m *Metrics) JSON() ([]byte, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gathering metrics: %w", err)
	}
	all := make(map[string][]Series, len(families))
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			s := Series{}
			for _, label := range metric.GetLabel() {
				if s.Labels == nil {
					s.Labels = map[string]string{}
				}
				s.Labels[label.GetName()] = label.GetValue()
			}
			switch {
			case metric.GetCounter() != nil:
				s.Value = metric.GetCounter().Value
			case metric.GetGauge() != nil:
				s.Value = metric.GetGauge().Value
			case metric.GetHistogram() != nil:
				s.Count, s.Sum = metric.GetHistogram().SampleCount, metric.GetHistogram().SampleSum
			case metric.GetSummary() != nil:
				s.Count, s.Sum = metric.GetSummary().SampleCount, metric.GetSummary().SampleSum
			case metric.GetUntyped() != nil:
				s.Value = metric.GetUntyped().Value
			}
			all[family.GetName()] = append(all[family.GetName()], s)
		}
	}
	return json.Marshal(all)
}
