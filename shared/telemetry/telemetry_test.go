package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// However keys and what only resembles them stand beside each other, the quick way finds what the expression alone would.
func TestScrubIsTheExpression(t *testing.T) {
	whole := regexp.MustCompile(`\b(?:` + shapes + `)`)
	pieces := rapid.SampledFrom([]string{
		"sk-", "csk-", "pk-", "rk-", "desk-", "aimux_", "aimuxadm_", "eyJ", "bearer ", "BeArEr\n", "Bearer", "0123456789abcdef", "abc234", "abcdefgh", "x", "9", "_", "-", ".", " ", "é", `"`,
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(pieces, 0, 24).Draw(t, "text"), "")
		if got, want := Scrub(text), whole.ReplaceAllString(text, redacted); got != want {
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
	})
}

func TestNothingLooksLikeAKey(t *testing.T) {
	for _, text := range []string{
		"Incorrect API key provided: sk-proj-abcdefgh12345678.", "bearer abc.def-ghi_jkl=", "Authorization: Bearer 0123456789abcdef",
		"csk-0123456789abcdef", "sk-ant-api03-xxxxxxxx", "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig", "aimux_id12345_abcdefgh",
		"0123456789abcdef0123456789abcdef.AbCdEfGhIjKlMnOp", `"in JSON:\nsk-proj-abcdefgh12345678"`,
	} {
		if got := Scrub(text); !strings.Contains(got, redacted) {
			t.Errorf("%q stays as it is", text)
		}
	}
	for _, text := range []string{"", "an ordinary sentence", "the bearer Incorrect API key provided", "Bearer authentication required", "task-based", "model gpt-oss-120b is busy", "req_0123456789abcdef01234567"} {
		if got := Scrub(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	const key = "no.Shape-at.all.0123456789"
	for _, quoted := range []string{key, key[:10], key[5:20], "<" + key + ">" + key[8:]} {
		if got := ScrubKey("the key "+quoted+" is wrong", key); strings.Contains(got, key[8:16]) || strings.Contains(got, key[:8]) || !strings.HasPrefix(got, "the key ") {
			t.Errorf("%q became %q", quoted, got)
		}
	}
	// A key that was made of words does not take them out of the language.
	if got := ScrubKey("Incorrect API key provided: my-Incorrect-provided-key-77", "my-Incorrect-provided-key-77"); got != "Incorrect API key provided: "+redacted {
		t.Errorf("%q", got)
	}
	if got := ScrubKey("the short word", "short"); got != "the "+redacted+" word" {
		t.Errorf("%q", got)
	}
}

func TestLogsKeepSecrets(t *testing.T) {
	var out bytes.Buffer
	level := &slog.LevelVar{}
	log := NewLog(&out, level).With("api_key", "hunter2").WithGroup("g")
	log.Info("with sk-abcdefgh12345678", "authorization", "hunter2", "plain", "Bearer hunter2hunter2", "err", fmt.Errorf("it said: %w", errors.New("csk-12345678abcd")),
		slog.Group("deep", "password", "hunter2", "n", 5))
	log.Debug("not shown")
	level.Set(slog.LevelDebug)
	log.Debug("shown")
	text := out.String()
	for _, leak := range []string{"hunter2", "sk-abcdefgh", "csk-1234", "not shown"} {
		if strings.Contains(text, leak) {
			t.Errorf("%q is in the log: %s", leak, text)
		}
	}
	for _, want := range []string{`"n":5`, `"msg":"shown"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
}

func TestMetrics(t *testing.T) {
	m := NewMetrics()
	m.Counters("aimux_a_total", "A.", "who").With("x").Add(3)
	m.Histograms("aimux_b_seconds", "B.", []float64{1, 2}).With().Observe(1500 * time.Millisecond)
	m.Read(Reading{Name: "aimux_c", Help: "C.", Labels: []string{"who"}, Read: func(give func(float64, ...string)) { give(7, "y"); give(8) }})
	var none *Counter
	none.Add(1)
	text, contentType := m.Text("")
	for _, want := range []string{`aimux_a_total{who="x"} 3`, `aimux_b_seconds_bucket{le="2"} 1`, `aimux_c{who="y"} 7`, "go_goroutines"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing", want)
		}
	}
	if !strings.HasPrefix(contentType, "text/plain") {
		t.Error(contentType)
	}
	body, err := m.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]Series
	if err := json.Unmarshal(body, &all); err != nil {
		t.Fatal(err)
	}
	if a := all["aimux_a_total"]; len(a) != 1 || *a[0].Value != 3 || a[0].Labels["who"] != "x" {
		t.Errorf("%+v", a)
	}
	if b := all["aimux_b_seconds"]; len(b) != 1 || *b[0].Count != 1 || *b[0].Sum != 1.5 {
		t.Errorf("%+v", b)
	}
}

func TestTraceparent(t *testing.T) {
	for text, ok := range map[string]bool{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":   true,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":   false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01":   false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff":   true,
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01":   false,
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":   false,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":   true, // what a later version adds is not for us
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x": true,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x":  false,
		"00-4bf92f3577b34da6a3ce929d0e0e47zz-00f067aa0ba902b7-01":   false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x": false,
		"": false,
	} {
		if _, got := parseTraceparent(text); got != ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestNoTracerCostsNothing(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	tracer, err := NewTracer(t.Context(), TracerConfig{Service: "s"})
	if err != nil || tracer != nil {
		t.Fatalf("%v, %v", tracer, err)
	}
	span := tracer.Server("x", "", "", time.Now())
	child := span.Client("y", time.Now())
	child.Text("a", "b")
	child.Number("a", 1)
	child.Fail("no")
	child.End(time.Now())
	if span.On() || span.TraceID() != "" || child.Traceparent() != "" {
		t.Error("it is not nothing")
	}
	tracer.Close(t.Context())
}

// A trace is chosen at its beginning as the variables say, by its parent or by its id, and by nothing that a stranger says.
func TestSampler(t *testing.T) {
	const low, high = "00000000000000000000000000000001", "0000000000000000ffffffffffffffff"
	parent := func(id, flags string) string { return "00-" + id + "-00f067aa0ba902b7-" + flags }
	for _, row := range []struct {
		name, share, parent string
		chosen, fails       bool
	}{
		{"", "", "", true, false}, {"", "", parent(low, "00"), false, false}, {"", "", parent(high, "01"), true, false},
		{"always_on", "", parent(low, "00"), true, false}, {"traceidratio", "0.001", parent(low, "00"), true, false}, {"traceidratio", "0.001", parent(high, "01"), false, false},
		{"traceidratio", "0", parent(low, "01"), false, false}, {"traceidratio", "1", parent(high, "00"), true, false},
		{"parentbased_traceidratio", "0", parent(low, "01"), true, false}, {"parentbased_traceidratio", "0", "", false, false}, {"parentbased_always_off", "", "", false, false},
		{"sometimes", "", "", false, true}, {"traceidratio", "NaN", "", false, true}, {"traceidratio", "1.5", "", false, true},
	} {
		sampler, on, err := newSampler(row.name, row.share)
		if (err != nil) != row.fails || on == row.fails {
			t.Errorf("%s %s: %v, %v", row.name, row.share, on, err)
		}
		if row.fails {
			continue
		}
		tracer := &Tracer{sampler: sampler}
		span := tracer.Server("x", row.parent, "", time.Now())
		if got := span.Example() != ""; got != row.chosen || strings.HasSuffix(span.Traceparent(), "-01") != got {
			t.Errorf("%s %s, below %q: chosen is %v; it passes on %s", row.name, row.share, row.parent, got, span.Traceparent())
		}
		stranger := tracer.Stranger("x", row.parent, time.Now())
		if id := stranger.TraceID(); id == low || id == high || row.parent != "" && len(stranger.live.links) != 1 {
			t.Errorf("%s %s: a stranger decided on trace %s", row.name, row.share, id)
		}
		if consumer := tracer.Consumer("x", row.parent, time.Now()); strings.HasSuffix(row.parent, "-01") && consumer.Example() == "" {
			t.Errorf("%s %s: the message's trace is sent, but not its handling", row.name, row.share)
		}
	}
	if _, on, err := newSampler("always_off", ""); on || err != nil {
		t.Errorf("%v, %v", on, err)
	}
}

// What failed is kept with all that ended before, and says so onwards; but nobody can have everything kept by failing often.
func TestKeep(t *testing.T) {
	tracer := &Tracer{kept: ration{most: 2}, refused: ration{perSecond: 1, most: 1}, sender: &sender{queue: make(chan []*live, spansQueued)}}
	root := tracer.Server("r", "", "", time.Now())
	first := root.Client("a", time.Now())
	if !strings.HasSuffix(first.Traceparent(), "-00") {
		t.Errorf("nobody chose %s", first.Traceparent())
	}
	first.Keep(false)
	first.End(time.Now())
	second := root.Client("b", time.Now())
	if !strings.HasSuffix(second.Traceparent(), "-01") {
		t.Errorf("it will be sent, but says %s", second.Traceparent())
	}
	second.End(time.Now())
	root.Keep(false) // again: of the same trace
	root.End(time.Now())
	if family := <-tracer.sender.queue; len(family) != 3 {
		t.Errorf("%d of 3 spans", len(family))
	}
	now := time.Now()
	for i, want := range []bool{true, false, false} {
		if got := tracer.kept.take(now); got != want {
			t.Errorf("the %d. beyond those that were chosen: %v", i+2, got)
		}
	}
	if !tracer.refused.take(now) || tracer.refused.take(now) || !tracer.refused.take(now.Add(time.Second)) {
		t.Error("what callers bring about has a measure of its own")
	}
	for range spansQueued {
		lost := tracer.Client("l", now)
		lost.live.family.wanted = true
		if lost.Wanted() {
			lost.Text("a", "b")
		}
		lost.End(now)
	}
	if dropped := tracer.sender.dropped.Load(); dropped == 0 || dropped > spansQueued/2 {
		t.Errorf("%d dropped", dropped)
	}
}

// A collector that does not answer costs no time.
func TestDeadCollector(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // accepts nothing
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+ln.Addr().String())
	tracer, err := NewTracer(t.Context(), TracerConfig{Service: "s"})
	if err != nil {
		t.Fatal(err)
	}
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for range 10_000 {
		span := tracer.Server("x", parent, "vendor=1", time.Now())
		child := span.Client("y", time.Now())
		if child.Tracestate() != "vendor=1" || child.TraceID() != parent[3:35] || !strings.HasPrefix(child.Traceparent(), parent[:36]) {
			t.Fatalf("the trace was not continued: %s", child.Traceparent())
		}
		child.End(time.Now())
		span.End(time.Now())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	tracer.Close(ctx)
}

// What a span says late is worked out when it is sent, or given up when it is not: unchosen, or for lack of room. Bytes that are no text harm nobody.
func TestLater(t *testing.T) {
	var mu sync.Mutex
	var sent [][]byte
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var in io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			in, _ = gzip.NewReader(r.Body)
		}
		body, _ := io.ReadAll(in)
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, body)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_TRACES_SAMPLER", "traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0")
	tracer, err := NewTracer(t.Context(), TracerConfig{Service: "s"})
	if err != nil {
		t.Fatal(err)
	}
	var told, given atomic.Int64
	const kept = 3
	for i := range 10 {
		span := tracer.Server("odd \xff name", "", "", time.Now())
		span.Later(func(late *Late) {
			if late == nil {
				given.Add(1)
				return
			}
			told.Add(1)
			late.Text("late", "sk-0123456789 is not told \xff"+strings.Repeat("x", 2*batchBytes/kept))
			late.Number("n", 1)
		})
		if i < kept {
			span.Keep(false)
		}
		span.End(time.Now())
	}
	tracer.Close(t.Context())
	if told.Load() != kept || given.Load() != 10-kept {
		t.Errorf("%d told, %d given up", told.Load(), given.Load())
	}
	mu.Lock()
	defer mu.Unlock()
	all := string(bytes.Join(sent, nil))
	if strings.Contains(all, "sk-0123456789") || strings.Count(all, "is not told") != kept {
		t.Errorf("%d bytes were sent", len(all))
	}
	if len(sent) != 2 {
		t.Errorf("%d batches: two spans fill one", len(sent))
	}
	Span{}.Later(func(late *Late) {
		if late != nil {
			t.Error("nobody will see it")
		}
	})
}

func TestDebug(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done, level := make(chan error, 1), &slog.LevelVar{}
	go func() {
		done <- Debug(ctx, ln, DebugDeps{Level: level, Pages: map[string]Page{"/debug/table": func(q map[string][]string) ([]byte, string) { return []byte("table " + q["a"][0]), "text/plain" }}})
	}()
	for path, want := range map[string]string{"/": "/debug/table\n", "/debug/table?a=b": "table b", "/debug/pprof/": "goroutine"} {
		resp, err := http.Get("http://" + ln.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(body), want) {
			t.Errorf("%s: %q", path, body)
		}
	}
	for wanted, status := range map[string]int{"debug": http.StatusOK, "loud": http.StatusBadRequest} {
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+ln.Addr().String()+"/debug/log/level", strings.NewReader(wanted))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status || status == http.StatusOK && level.Level() != slog.LevelDebug {
			t.Errorf("level %s: %d, %v", wanted, resp.StatusCode, level.Level())
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// However many callers invent names, a family has a bound, and what is beyond it is still counted.
func TestSeriesAreBounded(t *testing.T) {
	m := NewMetrics()
	family := m.Counters("aimux_names_total", "Names.", "name", "kind")
	for i := range seriesMax + 100 {
		family.With(fmt.Sprint(i), "x").Add(1)
	}
	family.With("0", "x").Add(1)
	body, _ := m.Text("")
	text := string(body)
	for _, want := range []string{`aimux_names_total{kind="other",name="other"} 100`, `aimux_names_total{kind="x",name="0"} 2`, "aimux_series_folded_total 100"} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	m.Read(Reading{Name: "aimux_read", Help: "Read.", Labels: []string{"name"}, Read: func(give func(float64, ...string)) {
		for i := range seriesMax + 100 {
			give(1, fmt.Sprint(i))
		}
	}})
	body, _ = m.Text("")
	if n := strings.Count(string(body), "aimux_read{"); n != seriesMax {
		t.Errorf("%d series are read, want %d", n, seriesMax)
	}
}

// A scraper that understands examples gets the trace of one.
func TestExamples(t *testing.T) {
	m := NewMetrics()
	h := m.Histograms("aimux_h_seconds", "H.", []float64{1}).With()
	h.ObserveIn(time.Second/2, "4bf92f3577b34da6a3ce929d0e0e4736")
	h.ObserveIn(time.Second/2, "")
	h.ObserveIn(time.Second/3, "00000000000000000000000000000002") // no worse, and too soon
	h.ObserveIn(2*time.Second, "00000000000000000000000000000003")
	text, contentType := m.Text("application/openmetrics-text")
	for _, want := range []string{`aimux_h_seconds_bucket{le="1.0"} 3 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.5`, `aimux_h_seconds_bucket{le="+Inf"} 4 # {trace_id="00000000000000000000000000000003"} 2.0`} {
		if !strings.Contains(string(text), want) || !strings.HasPrefix(contentType, "application/openmetrics-text") {
			t.Errorf("%s: no %s", contentType, want)
		}
	}
}

// What is tallied is a histogram like any other, to the scraper and to its linter.
func TestTallied(t *testing.T) {
	m := NewMetrics()
	family := m.Tallied("aimux_gap_seconds", "Gaps.", []time.Duration{10 * time.Millisecond, 20 * time.Millisecond}, "provider")
	d := family.With("a")
	for _, trace := range []string{"", "4bf92f3577b34da6a3ce929d0e0e4736"} {
		var tally Tally
		d.Note(&tally, 0, 3)
		d.Note(&tally, 10*time.Millisecond, 1)
		d.Note(&tally, 15*time.Millisecond, 1)
		d.Note(&tally, time.Second, 1)
		family.With("a").Take(&tally, trace)
	}
	d.Take(&Tally{}, "00000000000000000000000000000001") // nothing in it, so no example of anything
	text, _ := m.Text("application/openmetrics-text")
	for _, want := range []string{
		`aimux_gap_seconds_bucket{provider="a",le="0.01"} 8`, `aimux_gap_seconds_bucket{provider="a",le="0.02"} 10`,
		`aimux_gap_seconds_bucket{provider="a",le="+Inf"} 12 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 1.0`, `aimux_gap_seconds_sum{provider="a"} 2.05`, `aimux_gap_seconds_count{provider="a"} 12`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// What one duration costs that comes often: tallied, and told each time.
func BenchmarkTally(b *testing.B) {
	m := NewMetrics()
	bounds := []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	var durations []time.Duration
	for _, s := range bounds {
		durations = append(durations, time.Duration(s*1e9))
	}
	tallied, told := m.Tallied("a_seconds", "A.", durations).With(), m.Histograms("b_seconds", "B.", bounds).With()
	b.Run("tallied", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			var t Tally
			for pb.Next() {
				tallied.Note(&t, 30*time.Millisecond, 1)
			}
			tallied.Take(&t, "")
		})
	})
	b.Run("told", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				told.Observe(30 * time.Millisecond)
			}
		})
	})
}
