package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"

	"github.com/aimux/aimux/dataplane/internal/auth"
	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/dataplane/internal/ingress"
	"github.com/aimux/aimux/dataplane/internal/keeper"
	"github.com/aimux/aimux/dataplane/internal/upstream"
	"github.com/aimux/aimux/dataplane/internal/vitals"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/secret"
	"github.com/aimux/aimux/shared/synthetic"
	"github.com/aimux/aimux/shared/telemetry"
)

// rig is a node's request path on loopback, with scripted providers behind it.
type rig struct {
	t         testing.TB
	url       string
	addr      string
	handler   *Handler
	street    ingress.Server
	vitals    *vitals.Vitals
	ledger    *outcome.Ledger
	snapshot  atomic.Pointer[keeper.Snapshot[*Desk]]
	metrics   *telemetry.Metrics
	providers map[string]*synthetic.Server
	changes   chan vitals.Change
	log       *lockedBuffer
	tracer    *telemetry.Tracer

	mu      sync.Mutex
	records []*outcome.Record
	urgent  atomic.Int64
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// backend is one provider of a rig, in the order of preference.
type backend struct {
	id, protocol, scenario string
	keys                   []string
	handler                http.Handler // instead of a scripted provider
	kind                   string
}

type rigOption func(*tablev1.Config, *Config)

func newRig(t testing.TB, backends []backend, options ...rigOption) *rig {
	t.Helper()
	r := &rig{t: t, providers: map[string]*synthetic.Server{}, changes: make(chan vitals.Change, 100), log: &lockedBuffer{}}
	key := secret.NewKey([32]byte{1})
	wire := &tablev1.Config{
		Header: &tablev1.Header{Cluster: "test", ConfigRevision: 7},
		Policy: &tablev1.Policy{Priority: "balanced", LoadBalancer: "weighted", UnknownModel: "any", MaxAttempts: 3, RetryShare: 1, HedgeShare: 1},
	}
	for i, b := range backends {
		wire.Providers = append(wire.Providers, r.backend(b, i, key))
	}
	wire.Policy.DefaultProvider = backends[0].id
	config := Config{Node: "node-1", Version: "test"}
	for _, o := range options {
		o(wire, &config)
	}
	table, err := route.FromWire(wire, func(p *tablev1.Provider, c *tablev1.Credential) (secret.Secret, error) {
		where, err := secret.Bind(p.GetId(), p.GetBaseUrl())
		if err != nil {
			return secret.Secret{}, err
		}
		return secret.Open(key, secret.FromBytes(c.GetSealed()), where)
	})
	if err != nil {
		t.Fatal(err)
	}
	r.vitals = vitals.New(vitals.Deps{Node: "node-1", Changed: func(c vitals.Change) { r.changes <- c }})
	engine := upstream.New(upstream.Config{}, upstream.Deps{InProcess: synthetic.New(synthetic.Config{})})
	t.Cleanup(engine.Close)
	r.ledger, r.metrics = outcome.NewLedger(100), telemetry.NewMetrics()
	tracer, err := telemetry.NewTracer(t.Context(), telemetry.TracerConfig{Service: "aimux-dataplane", Instance: "node-1", Version: "test"}) // none, but where the test has a collector
	if err != nil {
		t.Fatal(err)
	}
	r.tracer = tracer
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.handler = New(config, Deps{
		Snapshot: r.snapshot.Load, Status: func() keeper.Status { return keeper.Status{Source: keeper.FromDisk} },
		Translator: dialect.New(dialect.Options{Dialects: dialects()}), Upstream: engine, Vitals: r.vitals,
		Ledger: r.ledger, Door: auth.New(auth.Config{Loopback: true, ClusterKey: key}, auth.Deps{Log: log, Now: time.Now}), Metrics: r.metrics, Tracer: tracer, Log: log,
		Record: r.record, Urgent: func() { r.urgent.Add(1) },
	})
	desk, err := r.handler.Warm(table)
	if err != nil {
		t.Fatal(err)
	}
	r.snapshot.Store(&keeper.Snapshot[*Desk]{Table: table, Warm: desk})
	r.serve(ingress.Config{}, log)
	return r
}

func (r *rig) backend(b backend, i int, key secret.Key) *tablev1.Provider {
	r.t.Helper()
	handler := b.handler
	if handler == nil {
		s := synthetic.New(synthetic.Config{Name: b.id})
		if err := s.Behave(b.scenario); err != nil {
			r.t.Fatal(err)
		}
		r.providers[b.id] = s
		r.t.Cleanup(s.Close)
		handler = s
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.Start()
	r.t.Cleanup(server.Close)
	base := server.URL
	if b.protocol == "openai" {
		base += "/v1"
	}
	kind := b.kind
	if kind == "" {
		kind = "compatible"
	}
	p := &tablev1.Provider{
		Id: b.id, Kind: kind, Protocol: b.protocol, BaseUrl: base, Enabled: true, AllowPrivateAddress: true, PriorityScore: float64(90 - 20*i),
		AvgResponseTimeMs: 100,
		Models:            []*tablev1.Model{{Id: "m-" + b.id, Has: ^uint64(0) >> 44, ContextWindow: 200000, MaxOutputTokens: 64000, Price: &tablev1.Price{Input: 1, Output: 2}}},
	}
	where, err := secret.Bind(b.id, base)
	if err != nil {
		r.t.Fatal(err)
	}
	for n, k := range b.keys {
		sealed, err := secret.Seal(key, secret.Nonce{byte(n)}, secret.New(k), where)
		if err != nil {
			r.t.Fatal(err)
		}
		p.Credentials = append(p.Credentials, &tablev1.Credential{Fingerprint: fmt.Sprintf("fp-%s-%d", b.id, n), Sealed: sealed.Bytes()})
	}
	return p
}

// serve opens a street; the rig's requests take the newest.
func (r *rig) serve(config ingress.Config, log *slog.Logger) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	street := ingress.New(config, ingress.Deps{Handler: r.handler.Serve, Log: log})
	r.street = street
	r.addr, r.url = ln.Addr().String(), "http://"+ln.Addr().String()
	done := make(chan error, 1)
	go func() { done <- street.Serve(ln) }()
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		street.Drain(ctx)
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
}

// health lets the cluster say how the targets stand.
func (r *rig) health(targets ...*tablev1.TargetHealth) {
	was := r.snapshot.Load()
	r.snapshot.Store(&keeper.Snapshot[*Desk]{Table: was.Table.WithHealth(&tablev1.Health{Header: &tablev1.Header{}, Targets: targets}), Warm: was.Warm})
}

func (r *rig) record(rec *outcome.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, rec)
}

// last waits until there are n records and returns the last of them.
func (r *rig) last(n int) *outcome.Record {
	r.t.Helper()
	for range 500 {
		r.mu.Lock()
		have := len(r.records)
		if have >= n {
			defer r.mu.Unlock()
			if have > n {
				r.t.Fatalf("%d records, want %d", have, n)
			}
			return r.records[n-1]
		}
		r.mu.Unlock()
		time.Sleep(10 * time.Millisecond) // polls; the bound is five seconds
	}
	r.t.Fatalf("no %d records within five seconds", n)
	return nil
}

const (
	openAIAsk    = `{"model":"any-model","max_tokens":64,"messages":[{"role":"user","content":"Hello there"}]%s}`
	anthropicAsk = `{"model":"any-model","max_tokens":64,"messages":[{"role":"user","content":"Hello there"}]%s}`
)

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// ask sends a request to the street of one protocol.
func (r *rig) ask(protocol string, stream bool, header ...string) answer {
	r.t.Helper()
	path, body, extra := "/v1/chat/completions", openAIAsk, ""
	if protocol == "anthropic" {
		path, body = "/v1/messages", anthropicAsk
	}
	if stream {
		extra = `,"stream":true`
	}
	return r.post(path, fmt.Sprintf(body, extra), header...)
}

func (r *rig) post(path, body string, header ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return r.do(req)
}

func (r *rig) get(path string, header ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+path, http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return r.do(req)
}

func (r *rig) do(req *http.Request) answer {
	r.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text), err}
}

// dialConn speaks to the street in raw bytes.
func (r *rig) dialConn(text string) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// until polls for at most five seconds.
func (r *rig) until(what string, yes func() bool) {
	r.t.Helper()
	for range 500 {
		if yes() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Fatalf("not within five seconds: %s", what)
}

// panicking limits are a mistake of ours.
type panicking struct{ unlimited }

func (panicking) Enter(*route.Target, string, *route.Ask) (Permit, *fault.Fault) { panic("a mistake") }

// told is a record in a line.
func told(rec *outcome.Record) string {
	line := fmt.Sprintf("%v %d %s", rec.Fault, rec.Status, rec.Reason)
	for _, a := range rec.Attempts {
		line += fmt.Sprintf(" | %s %v %d %q hedge=%v overdue=%v %+v", a.Target.Provider, a.Fault.Kind, a.Fault.Status, a.Fault.Message, a.Hedge, a.Overdue, a.Usage)
	}
	return line
}

// bodyOf is a request in one of the formats above.
func bodyOf(format string, stream bool) io.Reader {
	extra := ""
	if stream {
		extra = `,"stream":true`
	}
	return strings.NewReader(fmt.Sprintf(format, extra))
}
