// Package keeper keeps the table that a node routes by: it fences and validates what the bus brings, swaps one pointer, and outlives the bus by a copy on disk.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/clock"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/secret"
	"github.com/aimux/aimux/shared/telemetry"
)

// Bus is where tables come from. Its watches call from goroutines of their own.
type Bus interface {
	WatchConfig(handle func(m *tablev1.Config, traceparent string)) (stop func(), err error)
	WatchHealth(handle func(m *tablev1.Health, traceparent string)) (stop func(), err error)
	FetchConfig(ctx context.Context) (*tablev1.Config, error)
}

// Deps is what a Keeper needs of its owner. W is whatever the owner derives from a configuration before it is put to use.
type Deps[W any] struct {
	// Node is this node's name in its Region, Boot this process's, as heartbeats say them.
	Node, Region string
	Boot         uint64
	// Bus may be nil: then the table is what the disk or Take gives.
	Bus Bus
	// Path of the copy on disk; empty means that none is kept.
	Path string
	// Key opens the providers' keys.
	Key secret.Key
	// Warm derives W from a new configuration; an error refuses the configuration. It is called under the Keeper's lock.
	Warm func(*route.Table) (W, error)
	// Changed is called after a configuration was applied or refused, and after a change of health; it must not block.
	Changed func(config bool)
	// Deposed is called when a view of health was refused because a later leader has been heard, at most five times a second; it must not block.
	// Whoever sent it does not know of the other, and has to hear it from this node.
	Deposed func()
	Log     *slog.Logger
	// Tracer makes a span of each push that is applied and was traced; nil means none.
	Tracer *telemetry.Tracer
	// Now is the time by a clock that nobody sets; what others tell of moments is moved to it.
	Now func() time.Time
}

// Source is where the configuration in use came from.
type Source string

// The sources.
const (
	FromNowhere Source = "none"
	FromDisk    Source = "disk"
	FromBus     Source = "bus"
)

// Snapshot is what a request routes by, from its beginning to its end. Immutable.
type Snapshot[W any] struct {
	Table *route.Table
	Warm  W
}

// Keeper holds the snapshot in use. Snapshot and Status may be called from any goroutine.
//
// Invariants (I10, I12): the configuration's revision never falls; (epoch, seq) of the health never falls; a configuration that cannot
// be used leaves the last one in place and its reason in Status.
type Keeper[W any] struct {
	deps    Deps[W]
	current atomic.Pointer[Snapshot[W]]
	ready   chan struct{}
	fetch   chan struct{} // asks Run to fetch the configuration
	save    chan struct{} // asks Run to write the copy soon

	mu     sync.Mutex // protects below
	base   *route.Table
	warm   W
	config *tablev1.Config
	health *tablev1.Health // the last one heard; nil before the first
	kept   *tablev1.Health // what of health is on disk
	epoch  uint64
	seq    uint64
	skew   clock.Skew // how far this node's clock is ahead of the leader's
	heard  time.Time  // when health was heard; the start of the node before the first
	source Source
	nack   *tablev1.Nack
	odd    string // why the last health calls this node an outlier
	aged   bool   // current shows an aged base
	// deposed is when Deps.Deposed was last called
	deposed time.Time
}

// New makes a Keeper without a table.
func New[W any](deps Deps[W]) *Keeper[W] {
	return &Keeper[W]{
		deps: deps, ready: make(chan struct{}), fetch: make(chan struct{}, 1), save: make(chan struct{}, 1),
		heard: deps.Now(), source: FromNowhere,
	}
}

// Snapshot is what to route by now; nil as long as the node has never had a table.
func (k *Keeper[W]) Snapshot() *Snapshot[W] { return k.current.Load() }

// Ready is closed when there is a table.
func (k *Keeper[W]) Ready() <-chan struct{} { return k.ready }

// Status is how the Keeper stands.
type Status struct {
	Source  Source
	Applied *tablev1.Header
	Hash    []byte
	// Nack is why the newest refused configuration was refused; nil when the newest was taken.
	Nack *tablev1.Nack
	// Silence is how long ago the last Health was heard, or the node started.
	Silence time.Duration
	// Outlier is why the cluster calls this node one, empty when it does not: some provider looks otherwise from here than from everywhere else.
	Outlier string
}

// Status may be called at any time; it takes a lock that no request takes.
func (k *Keeper[W]) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Status{Source: k.source, Nack: k.nack, Silence: k.deps.Now().Sub(k.heard), Outlier: k.odd, Applied: &tablev1.Header{}}
	if k.base != nil {
		r := k.base.Revision()
		s.Applied = &tablev1.Header{
			Cluster: r.Cluster, Epoch: k.epoch, Leader: r.Leader, ConfigRevision: r.Config, HealthSeq: k.seq, IssuedUnixMs: r.IssuedMs,
		}
		s.Hash = k.config.GetContentHash()
	}
	return s
}

// TakeConfig applies a configuration from the bus if it is newer and can be used. traceparent is that of its push; empty if that was not traced.
func (k *Keeper[W]) TakeConfig(c *tablev1.Config, traceparent string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.traced("config", traceparent, c.GetHeader(), func() applied { return k.takeConfig(c) })
}

func (k *Keeper[W]) takeConfig(c *tablev1.Config) applied {
	have := k.config.GetHeader().GetConfigRevision()
	revision := c.GetHeader().GetConfigRevision()
	switch {
	case k.base != nil && revision == have:
		late := k.nack != nil && k.nack.GetConfigRevision() < have // who spoke of an older one was behind, and has caught up
		if late {
			k.nack = nil
		}
		if k.source == FromDisk || late {
			k.source = FromBus // a copy from disk was up to date
			k.deps.Changed(true)
		}
		return applied{}
	case k.base != nil && revision < have:
		// A message that was overtaken is no news. A new leader that insists has lost its store, and an operator must hear it.
		if c.GetHeader().GetEpoch() > k.epoch {
			return k.refuse(revision, "", fmt.Sprintf("revision %d is older than %d, which this node has: the catalog's store went back; remove the node's data directory to accept it", revision, have))
		}
		return applied{}
	}
	// It may be any replica's, so its clock is known by this message alone: enough for the ends of overrides.
	c = clock.Config(c, new(clock.Skew).Hear(k.deps.Now().UnixMilli(), 0, c.GetHeader().GetIssuedUnixMs()))
	if err := k.apply(c, FromBus); err != nil {
		return k.refuse(revision, "", err.Error())
	}
	poke(k.save)
	return applied{taken: true}
}

// apply validates and warms c and swaps it in. The caller holds the lock.
func (k *Keeper[W]) apply(c *tablev1.Config, source Source) error {
	table, err := route.FromWire(c, k.open)
	if err != nil {
		return err
	}
	warm, err := k.deps.Warm(table)
	if err != nil {
		return err
	}
	switch {
	case k.health != nil:
		table = table.WithHealth(k.health)
	case k.kept != nil:
		table = table.WithHealth(k.kept)
	}
	k.base, k.warm, k.config, k.source, k.nack = table, warm, c, source, nil
	k.show(k.deps.Now())
	select {
	case <-k.ready:
	default:
		close(k.ready)
	}
	k.deps.Changed(true)
	return nil
}

// refuse keeps what there is and says why. The caller holds the lock.
func (k *Keeper[W]) refuse(revision uint64, path, reason string) applied {
	if k.nack.GetConfigRevision() == revision && k.nack.GetReason() == reason {
		return applied{refused: reason}
	}
	k.nack = &tablev1.Nack{ConfigRevision: revision, Path: path, Reason: reason}
	k.deps.Log.Error("configuration refused; the last good one stays in use", "revision", revision, "reason", reason)
	k.deps.Changed(true)
	return applied{refused: reason}
}

func (k *Keeper[W]) open(p *tablev1.Provider, c *tablev1.Credential) (secret.Secret, error) {
	where, err := secret.Bind(p.GetId(), p.GetBaseUrl())
	if err != nil {
		return secret.Secret{}, err
	}
	return secret.Open(k.deps.Key, secret.FromBytes(c.GetSealed()), where)
}

// deposedEvery is how often at most Deps.Deposed is called.
const deposedEvery = 200 * time.Millisecond

// TakeHealth applies a view of health if its speaker and its number are newer than all before. traceparent is as TakeConfig's.
func (k *Keeper[W]) TakeHealth(h *tablev1.Health, traceparent string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.traced("health", traceparent, h.GetHeader(), func() applied { return applied{taken: k.takeHealth(h)} })
}

func (k *Keeper[W]) takeHealth(h *tablev1.Health) (taken bool) {
	head := h.GetHeader()
	now := k.deps.Now()
	if head.GetEpoch() < k.epoch && now.Sub(k.deposed) >= deposedEvery {
		k.deposed = now
		k.deps.Deposed()
	}
	newer := head.GetEpoch() > k.epoch || head.GetEpoch() == k.epoch && head.GetHealthSeq() > k.seq
	behind := head.GetConfigRevision() < k.config.GetHeader().GetConfigRevision()
	if !newer || behind || head.GetEpoch() > clock.EpochMax {
		return false
	}
	h = clock.Health(h, k.skew.Hear(now.UnixMilli(), head.GetEpoch(), head.GetIssuedUnixMs()))
	k.disown(h)
	k.epoch, k.seq, k.health, k.heard = head.GetEpoch(), head.GetHealthSeq(), h, now
	k.standOut(h)
	if head.GetConfigRevision() > k.config.GetHeader().GetConfigRevision() && k.nack.GetConfigRevision() != head.GetConfigRevision() {
		poke(k.fetch)
	}
	if k.base == nil {
		return false
	}
	before := k.base
	k.base = before.WithHealth(h)
	k.show(now)
	k.deps.Changed(false)
	k.narrate(before, k.base)
	return true
}

// narrate tells whoever debugs which targets stand otherwise from now on.
func (k *Keeper[W]) narrate(before, after *route.Table) {
	if !k.deps.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	for i, target := range after.Targets() {
		if from, to := before.Health(i).State, after.Health(i).State; from != to {
			k.deps.Log.Debug("circuit in the table", "provider", target.ProviderID, "model", target.Model, "from", from.String(), "to", to.String(),
				"health_seq", after.Revision().Health)
		}
	}
}

// disown leaves out the grants of another process that runs under this node's name.
func (k *Keeper[W]) disown(h *tablev1.Health) {
	for _, t := range h.GetTargets() {
		if g := t.GetProbe(); g.GetNode() == k.deps.Node && g.GetBoot() != 0 && g.GetBoot() != k.deps.Boot {
			t.Probe = nil
		}
	}
}

// standOut hears whether this node is an outlier. The caller holds the lock.
func (k *Keeper[W]) standOut(h *tablev1.Health) {
	was := k.odd
	k.odd = ""
	if i := slices.Index(h.GetOutliers(), k.deps.Node); i >= 0 {
		k.odd = "its view of a provider is not everybody's"
		if i < len(h.GetOutlierReasons()) {
			k.odd = h.GetOutlierReasons()[i]
		}
	}
	switch {
	case k.odd != "" && was == "":
		k.deps.Log.Warn("this node is an outlier: what it sees or says is not what the others do", "reason", k.odd)
	case k.odd == "" && was != "":
		k.deps.Log.Info("this node is no outlier any more")
	}
}

// show puts the table to use as it looks now. The caller holds the lock.
func (k *Keeper[W]) show(now time.Time) {
	silence := now.Sub(k.heard)
	table := k.base.Aged(silence)
	k.aged = table != k.base
	k.current.Store(&Snapshot[W]{Table: table, Warm: k.warm})
}

// The rhythm of Run.
const (
	ageEvery     = 250 * time.Millisecond
	saveAfter    = 100 * time.Millisecond // how late the copy on disk may be: the control plane waits for the ACK, and a burst of writes needs one copy
	sharesEvery  = time.Second            // how often what of health is kept is looked at
	fetchTimeout = 2 * time.Second
	fetchWaitMin = 100 * time.Millisecond
	fetchWaitMax = 2 * time.Second
)

// LoadDisk applies the copy on disk, if there is a good one; it is no error when there is none.
func (k *Keeper[W]) LoadDisk() error {
	if k.deps.Path == "" {
		return nil
	}
	c, shares := &tablev1.Config{}, &tablev1.Health{}
	found, err := load(k.deps.Path, diskHead, c)
	if err != nil || !found {
		return err
	}
	if _, err := load(k.deps.Path+sharesSuffix, sharesHead, shares); err != nil {
		k.deps.Log.Warn("starting without knowing how many nodes there were", "error", err)
		shares.Reset()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = shares
	if err := k.apply(c, FromDisk); err != nil {
		return fmt.Errorf("using the table kept in %q: %w", k.deps.Path, err)
	}
	return nil
}

// Run listens, fetches, ages and saves until ctx ends.
func (k *Keeper[W]) Run(ctx context.Context) error {
	if k.deps.Bus != nil {
		stopConfig, err := k.deps.Bus.WatchConfig(k.TakeConfig)
		if err != nil {
			return fmt.Errorf("watching the configuration: %w", err)
		}
		defer stopConfig()
		stopHealth, err := k.deps.Bus.WatchHealth(k.TakeHealth)
		if err != nil {
			return fmt.Errorf("watching health: %w", err)
		}
		defer stopHealth()
		poke(k.fetch)
	}
	ages := time.NewTicker(ageEvery)
	defer ages.Stop()
	wait, shares := fetchWaitMin, k.deps.Now()
	var again, due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			k.store()
			k.storeShares()
			return nil
		case now := <-ages.C:
			k.age()
			if now.Sub(shares) >= sharesEvery {
				shares = now
				k.storeShares()
			}
		case <-k.save:
			if due == nil {
				due = time.After(saveAfter)
			}
		case <-due:
			due = nil
			k.store()
		case <-k.fetch:
			again, wait = k.fetchOnce(ctx, wait)
		case <-again:
			again, wait = k.fetchOnce(ctx, wait)
		}
	}
}

// fetchOnce asks for the configuration; when nobody answers, it says when to ask again.
func (k *Keeper[W]) fetchOnce(ctx context.Context, wait time.Duration) (again <-chan time.Time, next time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	c, err := k.deps.Bus.FetchConfig(ctx)
	if err == nil {
		k.TakeConfig(c, "")
		return nil, fetchWaitMin
	}
	if !errors.Is(err, bus.ErrDown) && !errors.Is(err, bus.ErrNobody) && ctx.Err() == nil {
		k.deps.Log.Warn("the configuration cannot be fetched", "error", err)
	}
	return time.After(wait), min(2*wait, fetchWaitMax)
}

// age shows how the table looks after a silence, and nothing new while there is none.
func (k *Keeper[W]) age() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.base == nil {
		return
	}
	now := k.deps.Now()
	if table := k.base.Aged(now.Sub(k.heard)); table != k.base {
		k.show(now)
	} else if k.aged {
		k.show(now)
	}
}

// store writes the copy, if it is not what came from there.
func (k *Keeper[W]) store() {
	k.mu.Lock()
	c, source := k.config, k.source
	k.mu.Unlock()
	if k.deps.Path == "" || c == nil || source == FromDisk {
		return
	}
	if err := save(k.deps.Path, diskHead, c); err != nil {
		k.deps.Log.Error("the table cannot be kept on disk; a restart without the control plane will start from an older one", "path", k.deps.Path, "error", err)
	}
}

// storeShares writes what of health is kept, if that has changed.
func (k *Keeper[W]) storeShares() {
	k.mu.Lock()
	health, kept := k.health, k.kept
	k.mu.Unlock()
	if k.deps.Path == "" || health == nil {
		return
	}
	now := sharesOf(health)
	if proto.Equal(now, kept) {
		return
	}
	if err := save(k.deps.Path+sharesSuffix, sharesHead, now); err != nil {
		k.deps.Log.Error("how many nodes there are cannot be kept on disk", "path", k.deps.Path+sharesSuffix, "error", err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = now
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
