// Package controlplane pools what every node sees into one view, and tells every node what to route by.
//
// One replica is these goroutines; replicas are alike, hear the same and differ only in who speaks:
//
//	bus ── usage, from its stream ─► ledger (1), summed up by who used it, to disk
//	bus ── outcomes, heartbeats, leads, healths, ─►┐
//	       digests (a goroutine each, the bus's)   │
//	store.Watch ── catalog, compiled ─────────────►├─ loop ─┬─► bus    health, config, lead, digest (the leader only)
//	  and its poll                                 │  (1)   ├─► board  the newest view, immutable
//	admin ── questions ───────────────────────────►┘        └─► keep   the fleet's memory, to disk
//	  (a goroutine each call)  ▲ board
//	  │
//	  └─ writes ─► keeper ─► store ─► (watch)
//	archivist ──► archive (who wrote what, out of the catalog); issuers ──► keys of those whose JWTs open the admin API
//	source ───────► (file edits, or the first catalog)
//
//	+ 1 herald, 1 for each webhook and 1 that writes down what these are owed: what happens, told to who asked
//	+ 1 debug listener, if there is an address for it; + the trace exporter's 1, if there is a collector
package controlplane

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/aimux/aimux/controlplane/internal/admin"
	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/controlplane/internal/fleet"
	"github.com/aimux/aimux/controlplane/internal/lead"
	"github.com/aimux/aimux/controlplane/internal/notify"
	"github.com/aimux/aimux/controlplane/internal/store"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/certs"
	"github.com/aimux/aimux/shared/clock"
	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/issuer"
	"github.com/aimux/aimux/shared/keyfile"
	"github.com/aimux/aimux/shared/secret"
	"github.com/aimux/aimux/shared/telemetry"
)

// Config says who this replica is.
type Config struct {
	// ID names the replica; it and Cluster and Region are what the bus takes as names.
	ID, Cluster, Region string
	Version             string
	// Admin is where to listen when Deps brings no Listener; default 127.0.0.1:8081.
	Admin string
	// AdminOpen allows a listener that is not on loopback although it does not speak TLS.
	AdminOpen bool
	// AdminAnonymous is the role of callers of the admin API without a token, only on loopback; empty means that they may do nothing.
	AdminAnonymous string
	// Tokens is the directory where this process files its own admin token, for who runs it; empty means that it has none.
	Tokens string
	// TrustStore takes a catalog without a MAC from the store, as versions before the MAC wrote them. It is for one start.
	TrustStore bool
	// AdminURL is where people find the admin address, for links in what webhooks are told; empty means where it listens.
	AdminURL string
	// AdminHosts are the listener's names besides addresses and names without a dot; "*" allows all.
	AdminHosts []string
	// Debug is the address of the debug listener; empty means none. It wants a token of its own, filed as the process's own is, unless
	// DebugOpen says that whoever reaches it may read it.
	Debug     string
	DebugOpen bool
	// Data is the directory of what this replica remembers; empty means that it remembers nothing.
	Data string
	// File is the operator's catalog, JSON or YAML, watched; empty means none. What changes in it, of routing, auth and each
	// provider, is written to the catalog; what does not change leaves standing what was changed over the admin API. It must be
	// valid by itself. Replicas may share it.
	File string
	// Seed is the first catalog, where the store is empty and there is no File; nil means an empty one.
	Seed *adminv1.Catalog
	// ClusterKey seals provider keys.
	ClusterKey secret.Key
	// CatalogReplicas of the store, where this replica makes it: 1, 3 or 5; 0 means 3 on a NATS cluster, else 1.
	CatalogReplicas int
}

// Deps are what the process brings.
type Deps struct {
	// Bus is connected under the same names; it must outlive Run.
	Bus *bus.Bus
	Log *slog.Logger
	// Level is the log's, for changing it at run time over the debug listener; nil means that it stays.
	Level *slog.LevelVar
	// Listener is the admin API's, closed by Run; nil means that Run listens on Config.Admin.
	Listener net.Listener
	// TLS is spoken on the admin listener, DebugTLS on the debug listener; nil means plain HTTP.
	TLS, DebugTLS *certs.Keeper
	// LookupEnv finds what env: keys name; nil means the process's environment. It should find the same on every replica.
	LookupEnv func(name string) (string, bool)
	// Ready is called once, when the catalog has been read and the admin API answers at addr; nil is allowed.
	Ready func(addr string)
	// Store is where the catalog is kept; nil means JetStream over the bus, and Archive, of what was written, as well.
	Store   store.Store
	Archive store.Archive
	// Slate is what a leader tells the next of webhooks by; nil means JetStream over the bus.
	Slate store.Slate
	// FirstToken is called once in a cluster's life, with the admin token that its first start makes and nobody keeps; nil means that
	// none is made.
	FirstToken func(token secret.Secret)
}

const adminDefault = "127.0.0.1:8081"

// Run is one replica: it returns nil when ctx ends and everything has stopped, or why it could not start. While NATS is away it
// waits for it; the file of the configuration must be good from the start.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	r, err := build(ctx, cfg, deps)
	if err != nil {
		if deps.Listener != nil {
			deps.Listener.Close()
		}
		return fmt.Errorf("starting control plane %s: %w", cfg.ID, err)
	}
	return r.run(ctx)
}

// replica is everything that Run has put together.
type replica struct {
	cfg      Config
	deps     Deps
	listener net.Listener
	metrics  *telemetry.Metrics
	tracer   *telemetry.Tracer
	herald   *herald
	store    store.Store
	board    *board
	keeper   *keeper
	archive  *archivist
	sso      *sso
	hasher   identity.Hasher
	// anonymous is the role of callers without a token.
	anonymous admin.Role
	// written is the number of the newest write seen; only compile uses it.
	written uint64
	source  *source
	loop    *loop
	memory  *memory
	ledger  *ledger
}

// build makes the parts; nothing runs yet.
func build(ctx context.Context, cfg Config, deps Deps) (*replica, error) {
	anonymous, known := admin.ParseRole(cfg.AdminAnonymous)
	if !known && cfg.AdminAnonymous != "" {
		return nil, fmt.Errorf("--admin-anonymous %s: want one of %v", cfg.AdminAnonymous, catalog.Roles)
	}
	if cfg.Seed == nil {
		cfg.Seed = &adminv1.Catalog{}
	}
	if deps.LookupEnv == nil {
		deps.LookupEnv = os.LookupEnv
	}
	r := &replica{cfg: cfg, deps: deps, metrics: telemetry.NewMetrics(), board: newBoard(), anonymous: anonymous}
	env := catalog.Env{Getenv: deps.LookupEnv, ReadFile: readFile, Key: cfg.ClusterKey, Nonce: nonce}
	trouble := &troubles{}
	var err error
	docs := newDocuments(cfg.ClusterKey, cfg.TrustStore)
	if r.store = deps.Store; r.store == nil {
		r.store, err = store.NewKV(store.KVConfig{Cluster: cfg.Cluster, Replicas: cfg.CatalogReplicas}, store.KVDeps{
			Conn: deps.Bus.Conn(), Notice: deps.Bus, Genuine: docs.genuine, Log: deps.Log,
		})
		if err != nil {
			return nil, err
		}
	}
	if err := r.newArchive(trouble); err != nil {
		return nil, err
	}
	if r.deps.Slate == nil {
		if r.deps.Slate, err = store.NewStreamSlate(store.KVConfig{Cluster: cfg.Cluster, Replicas: cfg.CatalogReplicas}, cfg.Region, deps.Bus.Conn()); err != nil {
			return nil, err
		}
	}
	r.keeper = newKeeper(cfg.ID, r.store, env, r.board, docs, r.archive.reached.Load)
	r.keeper.tableMax = deps.Bus.TableBytesMax
	r.hasher = identity.NewHasher(cfg.ClusterKey)
	r.sso = &sso{verifier: issuer.New(issuer.Config{}, issuer.Deps{Log: deps.Log, Now: time.Now}), board: r.board}
	r.source = &source{path: cfg.File, seed: cfg.Seed, keeper: r.keeper, log: deps.Log, troubles: trouble, first: r.firstToken}
	if cfg.File != "" {
		if r.source.content, err = store.ReadFile(cfg.File); err == nil {
			_, err = readCatalog(cfg.File, r.source.content)
		}
	}
	if err == nil {
		r.memory, err = newMemory(cfg.Data, deps.Log)
	}
	if err == nil {
		r.listener, err = listen(ctx, cfg, deps)
	}
	if err != nil {
		return nil, err
	}
	if r.tracer, err = telemetry.NewTracer(ctx, telemetry.TracerConfig{Service: "aimux-controlplane", Instance: cfg.ID, Version: cfg.Version, Metrics: r.metrics, Log: deps.Log}); err != nil {
		r.listener.Close()
		return nil, err
	}
	now := time.Now()
	r.loop = &loop{
		tracer:  r.tracer,
		cluster: cfg.Cluster, region: cfg.Region, bus: deps.Bus, log: deps.Log, inbox: newInbox(), board: r.board, troubles: trouble, snapshots: r.memory.queue,
		clock: clock.Begin(now), fleet: fleet.New(fleet.Config{Region: cfg.Region}, now), lead: lead.New(lead.Config{Replica: cfg.ID, Jitter: mathrand.Float64()}, now),
		roster: newRoster(), usage: newUsage(), tail: newTail(fmt.Sprintf("%s/%d", cfg.ID, now.UnixMilli())), saved: now, deaf: now, warmAt: now.Add(coldWait),
	}
	r.herald = newHerald(cfg, adminAddress(r.listener, deps.TLS != nil), r.board, notify.New(notify.Deps{Version: cfg.Version, Log: deps.Log}), r.deps.Slate, deps.Log)
	r.measure()
	r.memory.restore(now, r.loop.fleet)
	r.ledger = newLedger(deps.Bus, cfg.CatalogReplicas, cfg.Data, deps.Log)
	return r, nil
}

func nonce() (n secret.Nonce) {
	rand.Read(n[:]) // never fails: the process ends when the system has no randomness
	return n
}

// listen opens the admin listener, and refuses one that the world can reach unless it was asked for.
func listen(ctx context.Context, cfg Config, deps Deps) (net.Listener, error) {
	listener := deps.Listener
	if listener == nil {
		if cfg.Admin == "" {
			cfg.Admin = adminDefault
		}
		var err error
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Admin); err != nil {
			return nil, fmt.Errorf("--admin %s: %w", cfg.Admin, err)
		}
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		if err := exposed(cfg, deps.TLS != nil); err != nil {
			listener.Close()
			return nil, fmt.Errorf("--admin %s: %w", listener.Addr(), err)
		}
	}
	if deps.TLS != nil {
		listener = deps.TLS.Listener(listener, "h2", "http/1.1")
	}
	return listener, nil
}

// adminAddress is where people who run the process find the admin API.
func adminAddress(listener net.Listener, tls bool) string {
	scheme := "http://"
	if tls {
		scheme = "https://"
	}
	return scheme + listener.Addr().String()
}

// exposed says why the admin API must not listen beyond loopback.
func exposed(cfg Config, tls bool) error {
	switch {
	case cfg.AdminAnonymous != "":
		return fmt.Errorf("whoever reaches it would be %s; --admin-anonymous is for loopback", cfg.AdminAnonymous)
	case !cfg.AdminOpen && !tls:
		return errors.New("without TLS, tokens and keys would cross the network in clear; give it --tls-cert and --tls-key; --admin-open (AIMUX_ADMIN_OPEN=true) overrides this")
	}
	return nil
}

// run starts every goroutine of the drawing and waits for all of them.
func (r *replica) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	unsubscribe, err := r.subscribe(ctx)
	defer unsubscribe()
	if err != nil {
		r.listener.Close()
		return fmt.Errorf("starting control plane %s: %w", r.cfg.ID, err)
	}
	local, unfile, err := r.localToken()
	if err != nil {
		r.deps.Log.Warn("this process has no admin token of its own", "error", err)
	}
	defer unfile()
	handler := r.handler(local)
	var all sync.WaitGroup
	var serving error
	all.Go(func() { r.loop.run(ctx) })
	all.Go(func() { r.herald.run(ctx) })
	all.Go(func() { r.store.Watch(ctx, func(s store.Snapshot) { r.compile(ctx, s) }) })
	all.Go(func() { r.source.run(ctx) })
	all.Go(func() { r.memory.run(ctx) })
	all.Go(func() { r.archive.run(ctx) })
	all.Go(func() { r.sso.verifier.Run(ctx) })
	all.Go(func() { r.ledger.run(ctx) })
	all.Go(func() {
		defer stop()
		serving = admin.Serve(ctx, r.listener, handler)
	})
	if err := r.debug(ctx, &all); err != nil {
		serving = err
		stop()
	}
	stopConfig := r.ready(ctx)
	all.Wait()
	stopConfig()
	r.memory.keep(r.loop.fleet.Snapshot(r.loop.clock.At(time.Now())))
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	r.tracer.Close(last)
	return serving
}

// debug starts the debug listener, if there is an address for it.
func (r *replica) debug(ctx context.Context, all *sync.WaitGroup) error {
	if r.cfg.Debug == "" {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.cfg.Debug)
	if err != nil {
		return fmt.Errorf("--debug %s: %w", r.cfg.Debug, err)
	}
	token, unfile, err := keyfile.DebugToken(r.cfg.Tokens, listener.Addr().String(), r.cfg.DebugOpen)
	if err != nil {
		listener.Close()
		return fmt.Errorf("--debug %s: %w", r.cfg.Debug, err)
	}
	if r.deps.DebugTLS != nil {
		listener = r.deps.DebugTLS.Listener(listener, "http/1.1")
	}
	all.Go(func() {
		defer unfile()
		if err := telemetry.Debug(ctx, listener, telemetry.DebugDeps{Metrics: r.metrics, Level: r.deps.Level, Token: token}); err != nil {
			r.deps.Log.Error("no more debug pages", "error", err)
		}
	})
	return nil
}

// handler is the admin API over this replica; local is the hash of the process's own token.
func (r *replica) handler(local []byte) http.Handler {
	refused := r.metrics.Counters("aimux_admin_refused_total", "Callers of the admin API who were turned away: unknown, not allowed (forbidden), with too many wrong tokens from their address (guessing), or too slow to take their answer.", "reason")
	return admin.New(admin.Config{ID: r.cfg.ID, Version: r.cfg.Version, Hosts: r.cfg.AdminHosts}, admin.Deps{
		Board: r.board, Write: r.keeper.write, Explain: r.deps.Bus.Explain, Requests: r.loop.tail.list, Webhooks: r.herald, Usage: r.ledger.sums, Describe: r.loop.describe, Metrics: r.metrics.Text, Log: r.deps.Log,
		Archive: r.archive.read, Refused: func(reason string) { refused.With(reason).Add(1) },
		Door: admin.Door{Hasher: r.hasher, Local: local, Anonymous: r.anonymous, JWT: r.sso.verify},
	})
}

// ready waits for the first view, says so, and from then on answers nodes that ask for the Config; before, they hear at once that
// nobody answers.
func (r *replica) ready(ctx context.Context) (stop func()) {
	for {
		view, changed := r.board.View()
		if view.Ready() {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return func() {}
		}
	}
	stop, err := r.deps.Bus.ServeConfig(func() *tablev1.Config {
		view, _ := r.board.View()
		return view.Config
	})
	if err != nil {
		r.deps.Log.Error("nodes cannot ask for the table", "error", err)
		stop = func() {}
	}
	if r.deps.Ready != nil {
		r.deps.Ready(r.listener.Addr().String())
	}
	return stop
}

// compile hands a catalog to the loop as soon as it can be read. It reads the files of keys, which the loop must not wait for.
func (r *replica) compile(ctx context.Context, s store.Snapshot) {
	doc, err := r.keeper.docs.decode(s)
	if written := doc.GetAudit(); err == nil && len(written) > 0 {
		if newest := written[len(written)-1].GetNumber(); newest < r.written {
			err = fmt.Errorf("revision %d was written before what is in force (write %d, in force is %d): the store went back, or somebody put it back", s.Revision, newest, r.written)
		} else {
			r.written = newest
		}
	}
	if err != nil {
		r.deps.Log.Error("the catalog cannot be read; the last good one stays", "error", err)
		r.source.troubles.set("catalog", err.Error())
		return
	}
	r.source.troubles.set("catalog", "")
	r.sso.trust(doc.GetCatalog().GetAuth())
	r.herald.notifier.Set(catalog.Hooks(doc.GetCatalog(), r.keeper.env))
	config := compile(doc, s.Revision, r.keeper.env)
	problem := config.GetPolicy().GetPluginProblem()
	if problem != "" {
		r.deps.Log.Error("there is no plugin to order by; the adaptive balancer orders instead", "error", problem)
	}
	r.source.troubles.set("plugin", problem)
	give(ctx, r.loop.inbox.catalogs, &asked{s.Revision, doc, config})
}

// readFile reads the file of a key or a plugin, no more of it than shows that it is too long.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, catalog.PluginBytesMax+1))
}

// subscribe lets everything that the bus brings go to the loop. What it returns ends what it began, errors or not.
func (r *replica) subscribe(ctx context.Context) (unsubscribe func(), err error) {
	b, in := r.deps.Bus, &r.loop.inbox
	var stops []func()
	for _, begin := range []func() (func(), error){
		func() (func(), error) {
			return b.WatchOutcomes(func(m *outcomev1.Batch) { give(ctx, in.batches, m) })
		},
		func() (func(), error) {
			return b.WatchHeartbeats(func(m *tablev1.Heartbeat) { give(ctx, in.beats, m) })
		},
		func() (func(), error) {
			return b.WatchLead(func(m *tablev1.Header) { give(ctx, in.leads, m) })
		},
		func() (func(), error) {
			return b.WatchDigests(func(m *tablev1.RegionDigest) { give(ctx, in.digests, m) })
		},
		func() (func(), error) {
			return b.WatchHealth(func(m *tablev1.Health, _ string) {
				if m.GetHeader().GetLeader() != r.cfg.ID {
					give(ctx, in.healths, m)
				}
			})
		},
		func() (func(), error) { return b.ServeSpent(r.ledger.spent) },
	} {
		stop, begun := begin()
		if begun != nil {
			err = errors.Join(err, begun)
			continue
		}
		stops = append(stops, stop)
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}, err
}

// give waits until the loop takes m, or ctx ends.
func give[T any](ctx context.Context, to chan<- T, m T) {
	select {
	case to <- m:
	case <-ctx.Done():
	}
}
