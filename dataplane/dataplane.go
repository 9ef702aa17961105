// Package dataplane is a node: it takes requests in, and sends each to the provider that fits it best.
//
// The goroutines of a node, all owned and waited for by Run:
//
//	                     ┌──────────────────────────────────────────────────────────────┐
//	clients ──► ingress ─┤ 1 accepts · 1 per connection: proxy serves the request on it │──► upstream (2 per kept connection)
//	                     │ + at most 1 hedge, + 1 timer now and then, per request       │
//	                     └──────┬───────────────▲──────────────────────────┬────────────┘
//	                   records, │ counters      │ snapshot (atomic)        │ one live try per grant
//	                            ▼               │                          ▼
//	                     1 reporter          1 keeper ◄── disk          1 prober + at most 8 free probes
//	                            │               ▲
//	                            ▼               │ callbacks on the bus's own goroutines: config, health, suspicions, explain
//	control plane ◄──────── bus ┴───────────────┘
//
//	+ 1 reader per request that takes more than a moment: it notices that the client leaves
//	+ 1 plugin host: compiles the operator's module, if there is one, and keeps instances of it ready
//	+ 1 door: fetches the keys of trusted issuers, + 1 per issuer while it does
//	+ 1 that writes down what callers used, and sends it until it is kept
//	+ 1 limiter: fetches what limits may give out, ahead of need, from Redis
//	+ 1 debug listener, if there is an address for it; + the trace exporter's 1, if there is a collector
//
// Whoever serves a request waits for none of the others: the snapshot is one atomic load, records go into a bounded ring.
package dataplane

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"

	"github.com/aimux/aimux/dataplane/internal/auth"
	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/dataplane/internal/dialect/anthropic"
	"github.com/aimux/aimux/dataplane/internal/dialect/openai"
	"github.com/aimux/aimux/dataplane/internal/ingress"
	"github.com/aimux/aimux/dataplane/internal/keeper"
	"github.com/aimux/aimux/dataplane/internal/plugin"
	"github.com/aimux/aimux/dataplane/internal/proxy"
	"github.com/aimux/aimux/dataplane/internal/report"
	"github.com/aimux/aimux/dataplane/internal/upstream"
	"github.com/aimux/aimux/dataplane/internal/vitals"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/certs"
	"github.com/aimux/aimux/shared/clock"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/secret"
	"github.com/aimux/aimux/shared/telemetry"
)

// Config says who a node is and where it stands. What is not marked as optional is needed.
type Config struct {
	// ID, Cluster and Region name the node on the bus.
	ID, Cluster, Region string
	Version             string
	// Listen is the data address, where Deps brings no listener.
	Listen string
	// Debug is the address of the debug listener; empty means none. It wants a token, filed in the directory Tokens for who runs the process,
	// unless DebugOpen says that whoever reaches it may read it.
	Debug, Tokens string
	DebugOpen     bool
	// Data is the directory of what lasts: the last good table. Empty means that nothing does.
	Data string
	// Redis is the URL of the store that shares limits out among nodes; empty means that each keeps to its fair share.
	Redis string
	// ClusterKey opens the providers' keys.
	ClusterKey secret.Key
	// DrainTimeout is how long running requests may take once the node is told to stop; 0 means 30 s.
	DrainTimeout time.Duration
	// LogRequests logs one line per request.
	LogRequests bool
	// TraceOwn begins requests' traces anew, linked to those of their callers; else they go on with them, and obey their flag of being sampled.
	TraceOwn bool
	// TraceContent is how long each attribute may be in which a request's span tells what was asked and answered; 0 means that none does.
	// TraceContentOf, where it is not empty, narrows that to the requests of any of these: class:NAME, team:NAME, caller:NAME.
	TraceContent   int
	TraceContentOf []string
	// Limits of the street; zero fields take their defaults.
	Street ingress.Config
}

// Deps is what the process brings.
type Deps struct {
	// Bus may be nil: then the node lives from its table on disk.
	Bus *bus.Bus
	Log *slog.Logger
	// Level is the log's, for changing it at run time over the debug listener; nil means that it stays.
	Level *slog.LevelVar
	// Listener takes the data traffic; nil means Config.Listen.
	Listener net.Listener
	// TLS is spoken on the data listener, DebugTLS on the debug listener; nil means plain HTTP. RedisTLS is spoken with Redis; nil means what
	// the URL's scheme says, with the system's authorities.
	TLS, DebugTLS, RedisTLS *certs.Keeper
	// DialRedis replaces the network on the way to Redis, for a store inside this process; nil means the network.
	DialRedis func(ctx context.Context, network, address string) (net.Conn, error)
	// Ready is called once, with the data address, as soon as requests are served: there is a table, or none has come in five seconds. Nil is allowed.
	Ready func(addr string)
}

const drainTimeoutDefault = 30 * time.Second

// Run serves until ctx ends, then drains and returns nil; or it returns what keeps it from serving.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	listener, err := listen(ctx, cfg, deps)
	if err != nil {
		return err
	}
	defer listener.Close()
	n, err := build(ctx, cfg, deps, listener)
	if err != nil {
		return err
	}
	defer n.close()
	if err := n.keeper.LoadDisk(); err != nil {
		deps.Log.Error("starting without the table kept on disk", "error", err)
	}
	return n.run(ctx, listener)
}

func listen(ctx context.Context, cfg Config, deps Deps) (net.Listener, error) {
	listener := deps.Listener
	if listener == nil {
		var err error
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("listening on %q (--listen): %w", cfg.Listen, err)
		}
	}
	if deps.TLS != nil {
		listener = deps.TLS.Listener(listener, "http/1.1")
	}
	return listener, nil
}

// node is a node's rooms, built and connected, not yet running.
type node struct {
	cfg      Config
	deps     Deps
	boot     time.Time
	clock    clock.Steady
	metrics  *telemetry.Metrics
	circuits *telemetry.Counters
	tracer   *telemetry.Tracer
	ledger   *outcome.Ledger
	reporter *report.Reporter
	usage    *report.Usage
	vitals   *vitals.Vitals
	keeper   *keeper.Keeper[*proxy.Desk]
	limits   limits
	scripted *scripted
	engine   upstream.Engine
	plugin   *plugin.Host
	door     *auth.Door
	handler  *proxy.Handler
	street   ingress.Server
	addr     string
}

// targetsMax bounds the counters a node keeps: targets times their keys.
const targetsMax = 16384

func build(ctx context.Context, cfg Config, deps Deps, listener net.Listener) (*node, error) {
	if cfg.DrainTimeout <= 0 {
		cfg.DrainTimeout = drainTimeoutDefault
	}
	if cfg.Data != "" {
		if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
			return nil, fmt.Errorf("making the data directory %q (--data): %w", cfg.Data, err)
		}
	}
	content := proxy.Content{Bytes: cfg.TraceContent, Of: cfg.TraceContentOf}
	if err := content.Validate(); err != nil {
		return nil, err
	}
	metrics := telemetry.NewMetrics()
	tracer, err := telemetry.NewTracer(ctx, telemetry.TracerConfig{Service: "aimux-dataplane", Instance: cfg.ID, Version: cfg.Version, Metrics: metrics, Log: deps.Log})
	if err != nil {
		return nil, err
	}
	boot := time.Now()
	n := &node{
		cfg: cfg, deps: deps, boot: boot, clock: clock.Begin(boot), metrics: metrics, tracer: tracer, ledger: outcome.NewLedger(targetsMax),
		scripted: &scripted{}, addr: listener.Addr().String(),
	}
	if err := n.newLimits(); err != nil {
		return nil, err
	}
	n.reporter = report.New(report.Config{Node: cfg.ID, Boot: uint64(n.boot.UnixMilli())}, report.Deps{
		Bus: n.reportBus(), Ledger: n.ledger, Heartbeat: n.heartbeat, Clock: n.clock, Log: deps.Log,
	})
	if n.usage, err = n.newUsage(); err != nil {
		return nil, err
	}
	n.vitals = vitals.New(vitals.Deps{Node: cfg.ID, Changed: n.circuitChanged, Clock: n.clock})
	resent := metrics.Counters("aimux_upstream_resent_total", "Requests sent again on a new connection, because the one kept for them was closed without a word.").With()
	n.engine = upstream.New(upstream.Config{}, upstream.Deps{InProcess: n.scripted, ConnectTimeout: n.connectTimeout, Resent: func() { resent.Add(1) }})
	n.plugin = plugin.New(plugin.Config{}, plugin.Deps{Log: deps.Log, Now: time.Now})
	n.door = auth.New(auth.Config{Loopback: auth.IsLoopback(listener.Addr()), ClusterKey: cfg.ClusterKey}, auth.Deps{Log: deps.Log, Now: time.Now})
	n.handler = proxy.New(proxy.Config{Node: cfg.ID, Region: cfg.Region, Version: cfg.Version, LogRequests: cfg.LogRequests, TraceOwn: cfg.TraceOwn, Content: content}, proxy.Deps{
		Snapshot: n.snapshot, Status: n.status, Translator: translator(cfg.ClusterKey), Upstream: n.engine, Vitals: n.vitals, Ledger: n.ledger, Limits: n.limits, Order: n.plugin.Order,
		Door: n.door, Metrics: n.metrics, Tracer: tracer,
		Record: n.record, Urgent: n.reporter.Urgent, Log: deps.Log,
	})
	path := ""
	if cfg.Data != "" {
		path = filepath.Join(cfg.Data, "table")
	}
	n.keeper = keeper.New(keeper.Deps[*proxy.Desk]{
		Node: cfg.ID, Region: cfg.Region, Tracer: tracer, Boot: uint64(n.boot.UnixMilli()), Bus: n.keeperBus(), Path: path, Key: cfg.ClusterKey, Warm: n.warm, Changed: n.tableChanged, Deposed: n.reporter.Beat, Log: deps.Log,
		Now: func() time.Time { return n.clock.At(time.Now()) },
	})
	n.street = ingress.New(cfg.Street, ingress.Deps{Handler: n.handler.Serve, Log: deps.Log})
	n.readings()
	return n, nil
}

// translator speaks both formats. Its key signs thinking, so it must be the same on every node: it follows from the cluster's.
func translator(key secret.Key) *dialect.Translator {
	return dialect.New(dialect.Options{
		Dialects: []dialect.Dialect{anthropic.Dialect{}, openai.Dialect{}},
		Key:      sha256.Sum256([]byte("aimux thinking\n" + key.Reveal())),
	})
}

func (n *node) close() {
	n.limits.Close()
	n.engine.Close()
	n.scripted.Close()
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	n.tracer.Close(last)
}

// run starts the goroutines of the drawing and stops them in the order in which nobody misses anybody.
func (n *node) run(ctx context.Context, listener net.Listener) error {
	// Everything but the street goes on until the street is empty.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var rooms sync.WaitGroup
	failed := make(chan error, 3)
	start := func(run func(context.Context) error) {
		rooms.Go(func() {
			if err := run(background); err != nil {
				failed <- err
			}
		})
	}
	start(n.keeper.Run)
	start(func(ctx context.Context) error { n.limits.Run(ctx); return nil })
	start(func(ctx context.Context) error { n.reporter.Run(ctx); return nil })
	start(func(ctx context.Context) error { n.usage.Run(ctx); return nil })
	start(func(ctx context.Context) error { n.plugin.Run(ctx); return nil })
	start(func(ctx context.Context) error { n.door.Run(ctx); return nil })
	start(func(ctx context.Context) error { n.handler.Probes(ctx); return nil })
	if err := n.debug(background, start); err != nil {
		stop()
		rooms.Wait()
		return err
	}
	unwatch, err := n.watch()
	if err == nil {
		err = n.serve(ctx, listener, failed)
		unwatch()
	}
	stop()
	rooms.Wait()
	return err
}

// serve runs the street until ctx ends and everything on it has come to its end.
func (n *node) serve(ctx context.Context, listener net.Listener, failed <-chan error) error {
	served := make(chan error, 1)
	go func() { served <- n.street.Serve(listener) }()
	announced := make(chan struct{})
	patient, stopWaiting := context.WithCancel(ctx)
	go func() { defer close(announced); n.announce(patient) }()
	defer func() { stopWaiting(); <-announced }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	case err = <-served:
		return fmt.Errorf("serving %s: %w", n.addr, err)
	}
	n.handler.Drain()
	n.reporter.Beat()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.DrainTimeout)
	defer cancel()
	if cut := n.street.Drain(limit); cut > 0 {
		n.deps.Log.Warn("connections were cut", "connections", cut, "drain_timeout", n.cfg.DrainTimeout)
	}
	return errors.Join(err, <-served)
}

// readyAfter is how long a node waits for its first table before it says that it is there.
const readyAfter = 5 * time.Second

func (n *node) announce(ctx context.Context) {
	patience := time.NewTimer(readyAfter)
	defer patience.Stop()
	select {
	case <-n.keeper.Ready():
	case <-patience.C:
		n.deps.Log.Warn("no routing table yet: requests are refused until the control plane is heard", "node", n.cfg.ID)
	case <-ctx.Done():
		return
	}
	if n.deps.Ready != nil {
		n.deps.Ready(n.addr)
	}
}

// watch listens to what the bus says besides tables.
func (n *node) watch() (stop func(), err error) {
	if n.deps.Bus == nil {
		return func() {}, nil
	}
	stopSuspects, err := n.deps.Bus.WatchSuspects(n.suspect)
	if err != nil {
		return nil, fmt.Errorf("watching suspicions: %w", err)
	}
	stopExplain, err := n.deps.Bus.ServeExplain(n.handler.Explain)
	if err != nil {
		stopSuspects()
		return nil, fmt.Errorf("answering what would happen: %w", err)
	}
	return func() { stopSuspects(); stopExplain() }, nil
}

// leaderless is a silence in which nodes listen to each other.
const leaderless = 3 * time.Second

func (n *node) suspect(s *tablev1.Suspect) {
	if s.GetState() == tablev1.State_STATE_CIRCUIT_OPEN && n.keeper.Status().Silence > leaderless {
		n.vitals.Suspect(s.GetProvider(), s.GetModel(), n.vitals.NowMs())
	}
}

func (n *node) snapshot() *keeper.Snapshot[*proxy.Desk] { return n.keeper.Snapshot() }
func (n *node) status() keeper.Status                   { return n.keeper.Status() }

func (n *node) connectTimeout() time.Duration {
	if s := n.keeper.Snapshot(); s != nil {
		return s.Table.Policy().ConnectTimeout
	}
	return 0
}

// tableChanged limits by the new table, leaves alone what it says to leave alone, and tells the control plane at once how far the node is.
func (n *node) tableChanged(config bool) {
	if s := n.keeper.Snapshot(); s != nil {
		n.limits.Apply(s.Table, n.nodesLive())
		s.Warm.Heed(s.Table, n.vitals.NowMs())
		n.loadPlugin(s.Table.Policy())
		if config {
			n.door.Apply(s.Table)
		}
	}
	if config {
		n.reporter.Beat()
	}
}

// circuitChanged tells everybody of a circuit that this node changed by itself.
func (n *node) circuitChanged(c vitals.Change) {
	n.ledger.Circuit(outcome.Target{Provider: c.Provider, Model: c.Model}, uint8(c.Reason.To))
	n.circuits.With(c.Provider, c.Model, strings.ToLower(c.Reason.To.String())).Add(1)
	n.reporter.Tripped()
	n.reporter.Suspect(&tablev1.Suspect{Provider: c.Provider, Model: c.Model, State: tablev1.State(c.Reason.To), AtUnixMs: c.AtMs})
	n.deps.Log.Info("circuit of this node", "provider", c.Provider, "model", c.Model,
		"from", c.Reason.From.String(), "to", c.Reason.To.String(), "reason", c.Reason.String())
}

func (n *node) heartbeat() *tablev1.Heartbeat {
	s := n.keeper.Status()
	return &tablev1.Heartbeat{
		Boot: uint64(n.boot.UnixMilli()), Version: n.cfg.Version, StartedUnixMs: n.boot.UnixMilli(), SentUnixMs: n.clock.Ms(time.Now()),
		Applied: s.Applied, ConfigHash: s.Hash, Nack: n.nack(s), StalenessMs: uint32(min(s.Silence.Milliseconds(), 1<<31)),
		InFlight: uint32(n.handler.InFlight()), Source: string(s.Source), Address: n.addr, Draining: n.handler.Draining(), Limits: n.limitSigns(), LimitsAlone: n.limitsAlone(),
		UsageBlocksWaiting: uint32(min(n.usage.Stats().Waiting, math.MaxUint32)),
	}
}

// limitsAlone says that the store of limits has failed last; one that nobody has asked yet has not.
func (n *node) limitsAlone() bool {
	s := n.limits.SourceState()
	return !s.Answers && s.Failures > 0
}

// newUsage makes what writes down who used what, beside the table.
func (n *node) newUsage() (*report.Usage, error) {
	config := report.UsageConfig{Boot: uint64(n.boot.UnixMilli())}
	if n.cfg.Data != "" {
		config.Dir = filepath.Join(n.cfg.Data, "usage")
	}
	var to report.UsageBus
	if n.deps.Bus != nil {
		to = n.deps.Bus
	}
	return report.NewUsage(config, report.UsageDeps{Bus: to, Log: n.deps.Log})
}

// record takes a request that has ended: for the bill, then for everybody to see.
func (n *node) record(r *outcome.Record) {
	n.usage.Record(r)
	n.reporter.Record(r)
}

// forgedFor is how long a node complains of tables that no control plane of its cluster made.
const forgedFor = time.Minute

// nack is why the newest table was refused, by the keeper or, before it could see it, by the bus.
func (n *node) nack(s keeper.Status) *tablev1.Nack {
	if s.Nack != nil || n.deps.Bus == nil {
		return s.Nack
	}
	count, last := n.deps.Bus.ForgedTables()
	if count == 0 || time.Since(last) > forgedFor {
		return nil
	}
	return &tablev1.Nack{Reason: fmt.Sprintf("%d tables were not signed with this node's cluster key, and were refused", count)}
}

// reportBus and keeperBus keep a bus that is not there from becoming an interface that is.
func (n *node) reportBus() report.Bus {
	if n.deps.Bus == nil {
		return nil
	}
	return n.deps.Bus
}

func (n *node) keeperBus() keeper.Bus {
	if n.deps.Bus == nil {
		return nil
	}
	return n.deps.Bus
}
