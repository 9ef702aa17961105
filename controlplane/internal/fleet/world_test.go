package fleet

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/aimux/aimux/controlplane/internal/lead"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/clock"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
)

// world is a whole cluster in one event loop, without a goroutine and without a clock: nodes that send requests to sick providers, replicas that
// judge, and a bus between them that may do its worst. Everything that is random comes from one seed.
type world struct {
	nowMS     int64
	rand      *rand.Rand
	events    events
	seq       int
	config    *tablev1.Config
	targets   []outcome.Target // of the catalog at revision targetsAt
	targetsAt uint64
	vendors   map[string]*vendor // :: provider → how it behaves
	nodes     []*simNode
	replicas  []*replica
	bus       simBus
	// observe is told of everything that an invariant is about; nil fields are not asked.
	observe watcher
	stats   stats
}

// watcher holds the invariants' ears.
type watcher struct {
	published func(r *replica, h *tablev1.Health)
	accepted  func(n *simNode, before, after *tablev1.Health)
	began     func(n *simNode, t outcome.Target, probe *key) // probe is whose grant was used; nil for an ordinary request
	probed    func(n *simNode, probe key)
	took      func(r *replica, before *tablev1.Health, d Decision)
	decided   func(r *replica, d Decision)
}

type stats struct{ requests, failures, messages, lost, digests uint64 }

// vendor is how a provider behaves. Fields of it that name nodes apply to those alone.
type vendor struct {
	kind    fault.Kind // what a failing answer is
	share   float64    // of answers that fail
	latency time.Duration
	hang    bool
	slow    float64 // factor
	// only these nodes, or those of these regions, suffer; nil means all.
	only []string
	// badKeys are refused, whatever else.
	badKeys []string
	retry   time.Duration
	// lastAsked counts requests, for stories.
	asked int
}

type event struct {
	atMS int64
	seq  int
	run  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].atMS < e[j].atMS || e[i].atMS == e[j].atMS && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

// worldBegin is a date, so that epochs and boots look like real ones.
const worldBegin = int64(1_800_000_000_000)

func newWorld(seed uint64) *world {
	return &world{nowMS: worldBegin, rand: rand.New(rand.NewPCG(seed, 1)), vendors: map[string]*vendor{}, config: &tablev1.Config{Header: &tablev1.Header{ConfigRevision: 1}}}
}

func (w *world) after(d time.Duration, run func()) {
	w.seq++
	heap.Push(&w.events, event{w.nowMS + d.Milliseconds(), w.seq, run})
}

// every runs again and again, until it answers false; the wait is jittered by a fifth.
func (w *world) every(d time.Duration, run func() bool) {
	w.after(time.Duration(float64(d)*(0.9+0.2*w.rand.Float64())), func() {
		if run() {
			w.every(d, run)
		}
	})
}

// run lets time pass.
func (w *world) run(d time.Duration) { w.until(w.nowMS + d.Milliseconds()) }

func (w *world) until(endMS int64) {
	for len(w.events) > 0 && w.events[0].atMS <= endMS {
		e := heap.Pop(&w.events).(event)
		w.nowMS = e.atMS
		e.run()
	}
	w.nowMS = endMS
}

// addProvider puts a provider with these models and keys into the catalog, all of which serve "any".
func (w *world) addProvider(id string, models []string, keys int, capacity uint32) *tablev1.Provider {
	p := &tablev1.Provider{Id: id, Enabled: true, MaxConcurrentRequests: capacity, Breaker: &tablev1.Breaker{}}
	for _, m := range models {
		p.Models = append(p.Models, &tablev1.Model{Id: m, Serves: []string{"any"}})
	}
	for i := range keys {
		p.Credentials = append(p.Credentials, &tablev1.Credential{Fingerprint: fmt.Sprintf("%s-k%d", id, i+1)})
	}
	w.config.Providers = append(w.config.Providers, p)
	w.vendors[id] = &vendor{latency: 300 * time.Millisecond, slow: 1}
	return p
}

// ask tells all replicas of the catalog as it is now.
func (w *world) ask() {
	w.config.Header.ConfigRevision++
	for _, r := range w.replicas {
		if r.alive {
			r.fleet.Asked(r.now(), clock.Config(w.config, time.Duration(r.ofMS)*time.Millisecond)) // what is written just now tells how far the clocks are apart
		}
	}
}

// simBus carries messages, or not. Parties in different parts of the network do not hear each other.
type simBus struct {
	loss, twice float64
	delay       time.Duration // at most; 1 ms at least
	far         time.Duration // more, between regions
	part        map[string]int
	regions     map[string]string // :: party → region
}

func (w *world) reaches(from, to string) bool { return w.bus.part[from] == w.bus.part[to] }

// carry delivers a message from one party to another; who hears it is asked when it arrives.
func (w *world) carry(from, to string, deliver func()) {
	w.stats.messages++
	copies := 1
	if w.rand.Float64() < w.bus.twice {
		copies = 2
	}
	for range copies {
		if !w.reaches(from, to) || w.rand.Float64() < w.bus.loss {
			w.stats.lost++
			continue
		}
		d := time.Millisecond
		if w.bus.delay > 0 {
			d += time.Duration(w.rand.Int64N(int64(w.bus.delay)))
		}
		if w.bus.regions[from] != w.bus.regions[to] {
			d += w.bus.far
		}
		w.after(d, func() {
			if w.reaches(from, to) {
				deliver()
			}
		})
	}
}

// watch is a party's clock: its wall clock, which may be set, and the clock by which it counts, which began as the wall clock stood then.
type watch struct {
	w            *world
	wallMS, ofMS int64 // ahead of the world's time
}

func (c *watch) wind()          { c.ofMS = c.wallMS }
func (c *watch) nowMS() int64   { return c.w.nowMS + c.ofMS }
func (c *watch) now() time.Time { return time.UnixMilli(c.nowMS()) }

// ahead is how far the wall clock was set since.
func (c *watch) ahead() time.Duration { return time.Duration(c.wallMS-c.ofMS) * time.Millisecond }

// replica is one control plane.
type replica struct {
	watch
	name      string
	region    string
	life      int // grows with every start, so that events of an earlier life find nobody
	alive     bool
	lead      *lead.Lead
	fleet     *Fleet
	was       bool // leading at the last step
	seq       uint64
	sentMS    int64
	followed  *tablev1.Health // the last Health that it took over, or said itself
	leadingMS int64           // when it began to lead
	kept      []byte          // its snapshot on disk
	digests   uint64
	digestMS  int64 // when it last told the other regions
	startedMS int64
}

func (w *world) addReplica(name, region string) *replica {
	r := &replica{watch: watch{w: w}, name: name, region: region}
	w.replicas = append(w.replicas, r)
	w.belongs(name, region)
	r.start()
	return r
}

func (w *world) belongs(name, region string) {
	if w.bus.regions == nil {
		w.bus.regions = map[string]string{}
	}
	w.bus.regions[name] = region
}

// start starts it, with what it finds on disk.
func (r *replica) start() {
	w := r.w
	r.life++
	life := r.life
	r.wind()
	r.alive, r.was, r.followed, r.startedMS = true, false, nil, w.nowMS
	r.lead = lead.New(lead.Config{Replica: r.name, Jitter: w.rand.Float64()}, r.now())
	r.fleet = New(Config{Seed: w.rand.Uint64(), Region: r.region}, r.now())
	r.fleet.Asked(r.now(), w.config)
	if r.kept != nil {
		if err := r.fleet.Restore(r.now(), r.kept); err != nil {
			panic(err)
		}
	}
	same := func() bool { return r.alive && r.life == life }
	w.every(20*time.Millisecond, func() bool { return same() && r.tick() })
	w.every(50*time.Millisecond, func() bool { return same() && r.step() })
	w.every(3*time.Second, func() bool {
		if !same() {
			return false
		}
		r.kept = r.fleet.Snapshot(r.now())
		return true
	})
}

func (r *replica) stop() { r.alive = false }

// tick is the heartbeat of leadership.
func (r *replica) tick() bool {
	if r.lead.Tick(r.now(), true) {
		epoch := r.lead.Epoch()
		for _, other := range r.w.replicas {
			if other != r && other.region == r.region {
				r.w.carry(r.name, other.name, func() {
					if other.alive {
						other.lead.Hear(other.now(), epoch, r.name)
					}
				})
			}
		}
	}
	return true
}

// step judges and speaks.
func (r *replica) step() bool {
	leading := r.lead.Leading()
	took := leading && !r.was
	if took {
		r.leadingMS = r.w.nowMS
	}
	r.fleet.WallAhead(r.ahead())
	d := r.fleet.Step(r.now(), leading)
	if took && r.w.observe.took != nil {
		r.w.observe.took(r, r.followed, d)
	}
	r.was = leading
	if r.w.observe.decided != nil {
		r.w.observe.decided(r, d)
	}
	if leading && (d.Changed || d.Shifted || took || r.w.nowMS-r.sentMS >= 100) {
		r.publish(d.Health)
	}
	if leading && (took || r.fleet.Abroad() && (d.Tell || r.w.nowMS-r.digestMS >= 1000)) {
		r.tell()
	}
	return true
}

// tell tells the other regions.
func (r *replica) tell() {
	r.digests++
	r.digestMS = r.w.nowMS
	d := r.fleet.Digest(r.now())
	d.Header = &tablev1.Header{Epoch: r.lead.Epoch(), HealthSeq: r.digests, Leader: r.name}
	for _, other := range r.w.replicas {
		if other.region != r.region {
			r.w.stats.digests++
			r.w.carry(r.name, other.name, func() {
				if other.alive && other.fleet.HeardRegion(other.now(), d) {
					other.step()
				}
			})
		}
	}
}

func (r *replica) publish(h *tablev1.Health) {
	w := r.w
	r.seq++
	r.sentMS = w.nowMS
	h.Header = &tablev1.Header{Epoch: r.lead.Epoch(), HealthSeq: r.seq, Leader: r.name, ConfigRevision: w.config.GetHeader().GetConfigRevision(), IssuedUnixMs: r.nowMS()}
	r.followed = h
	if w.observe.published != nil {
		w.observe.published(r, h)
	}
	for _, n := range w.nodes {
		if n.region == r.region {
			w.carry(r.name, n.name, func() { n.accept(h) })
		}
	}
	for _, other := range w.replicas {
		if other != r && other.region == r.region {
			w.carry(r.name, other.name, func() { other.hear(h) })
		}
	}
}

// hear takes over what the leader says.
func (r *replica) hear(h *tablev1.Health) {
	head := h.GetHeader()
	if !r.alive || !r.lead.Hear(r.now(), head.GetEpoch(), head.GetLeader()) {
		return
	}
	if last := r.followed.GetHeader(); last.GetEpoch() == head.GetEpoch() && last.GetHealthSeq() >= head.GetHealthSeq() {
		return
	}
	r.followed = h
	r.fleet.Follow(r.now(), h)
}

// hearNode takes a node's heartbeat. A node may have followed a leader of which this replica has never heard, and which is dead now: then
// it will follow nobody with a lower epoch, so the epoch must be learnt from the node.
func (r *replica) hearNode(h *tablev1.Heartbeat) {
	r.fleet.Heard(r.now(), h)
	if h.GetRegion() == r.region {
		r.lead.Outbid(r.now(), h.GetApplied().GetEpoch())
	}
}

func (r *replica) observeBatch(b *outcomev1.Batch) {
	if r.alive && r.fleet.Observe(r.now(), b) {
		r.step()
	}
}

// simNode is one node: it sends requests, counts them, and obeys.
type simNode struct {
	watch
	skew   clock.Skew
	name   string
	region string
	rate   float64 // requests per second
	life   int
	boot   uint64
	seq    uint64
	alive  bool
	ledger *outcome.Ledger
	truth  map[outcome.Target]uint64 // ended, this boot
	health *tablev1.Health
	seenMS int64
	toldMS int64 // when it last told a deposed leader so
	own    map[key]*circuit.Machine
	live   map[key]*tablev1.ProbeGrant // grants for a real request, not yet used
	used   map[uint64]bool             // leases
	flush  bool                        // an urgent batch is on its way out
	quiet  bool                        // sends no more requests
}

func (w *world) addNode(name, region string, rate float64) *simNode {
	n := &simNode{watch: watch{w: w}, name: name, region: region, rate: rate}
	w.nodes = append(w.nodes, n)
	w.belongs(name, region)
	n.start()
	return n
}

func (n *simNode) start() {
	w := n.w
	n.life++
	life := n.life
	n.wind()
	n.alive, n.boot, n.seq = true, uint64(n.nowMS()), 0
	n.ledger = outcome.NewLedger(256)
	n.truth, n.own = map[outcome.Target]uint64{}, map[key]*circuit.Machine{}
	n.live, n.used = map[key]*tablev1.ProbeGrant{}, map[uint64]bool{}
	n.health = nil
	same := func() bool { return n.alive && n.life == life }
	tenth := 0
	w.every(100*time.Millisecond, func() bool {
		if !same() {
			return false
		}
		tenth++
		n.report(tenth%10 == 0, false)
		return true
	})
	beat := func() bool {
		if !same() {
			return false
		}
		n.beat()
		return true
	}
	beat()
	w.every(time.Second, beat)
	if n.rate > 0 {
		w.every(time.Duration(float64(time.Second)/n.rate), func() bool {
			if !same() {
				return false
			}
			n.request()
			return true
		})
	}
}

func (n *simNode) beat() {
	h := &tablev1.Heartbeat{Node: n.name, Boot: n.boot, Region: n.region, SentUnixMs: n.nowMS(), Applied: n.health.GetHeader()}
	n.toReplicas(true, func(r *replica) { r.hearNode(h) })
}

// toReplicas sends to those of its region, or to all.
func (n *simNode) toReplicas(everywhere bool, deliver func(*replica)) {
	for _, r := range n.w.replicas {
		if !everywhere && r.region != n.region {
			continue
		}
		n.w.carry(n.name, r.name, func() {
			if r.alive {
				deliver(r)
			}
		})
	}
}

// report sends what changed, or all.
func (n *simNode) report(all, urgent bool) {
	n.seq++
	b := &outcomev1.Batch{
		Node: n.name, Boot: n.boot, Seq: n.seq, Region: n.region, SentUnixMs: n.nowMS(), Urgent: urgent,
		Targets: n.ledger.Snapshot(nil, all),
	}
	n.toReplicas(false, func(r *replica) { r.observeBatch(b) })
}

// accept takes a Health that is newer than what it has, and not of an older catalog: the fence.
func (n *simNode) accept(h *tablev1.Health) {
	if !n.alive {
		return
	}
	have, head := n.health.GetHeader(), h.GetHeader()
	if n.health != nil && (head.GetEpoch() < have.GetEpoch() || head.GetEpoch() == have.GetEpoch() && head.GetHealthSeq() <= have.GetHealthSeq()) {
		if head.GetEpoch() < have.GetEpoch() && n.w.nowMS-n.toldMS >= 200 {
			n.toldMS = n.w.nowMS
			n.beat() // the speaker does not know that it is deposed
		}
		return
	}
	if head.GetConfigRevision() < have.GetConfigRevision() {
		return
	}
	if n.w.observe.accepted != nil {
		n.w.observe.accepted(n, n.health, h)
	}
	h = clock.Health(h, n.skew.Hear(n.nowMS(), head.GetEpoch(), head.GetIssuedUnixMs()))
	n.health, n.seenMS = h, n.w.nowMS
	clear(n.live)
	for _, e := range h.GetTargets() {
		g := e.GetProbe()
		if g.GetNode() != n.name || n.used[g.GetLease()] || n.nowMS() >= g.GetExpiresUnixMs() {
			continue
		}
		k := key{e.GetProvider(), e.GetModel(), e.GetCredential()}
		if g.GetLive() {
			n.live[k] = g
			continue
		}
		n.used[g.GetLease()] = true
		n.try(outcome.Target{Provider: k.provider, Model: k.model, Credential: k.credential}, &k, g.GetExpiresUnixMs())
	}
}

// out reports whether the cluster's view takes the target away.
func (n *simNode) out(t outcome.Target) bool {
	for _, e := range n.health.GetTargets() {
		if e.GetProvider() != t.Provider || e.GetModel() != "" && e.GetModel() != t.Model || e.GetCredential() != "" && e.GetCredential() != t.Credential {
			continue
		}
		if !circuit.State(e.GetState()).Closed() {
			return true
		}
	}
	return false
}

func (n *simNode) weight(t outcome.Target) float64 {
	w := 1.0
	for _, e := range n.health.GetTargets() {
		if e.GetProvider() == t.Provider && (e.GetModel() == "" || e.GetModel() == t.Model) && e.GetCredential() == "" {
			w = min(w, float64(e.GetWeightPpm())/ppm)
		}
	}
	return w
}

func (n *simNode) breaker(k key) *circuit.Machine {
	m := n.own[k]
	if m == nil {
		fresh := circuit.New(circuit.Params{}, n.w.rand.Uint64())
		m = &fresh
		n.own[k] = m
	}
	return m
}

// request sends one request where the weights say, or where a grant says.
func (n *simNode) request() {
	if n.quiet {
		return
	}
	n.w.stats.requests++
	for _, t := range n.targets() {
		for _, k := range []key{{t.Provider, t.Model, ""}, {t.Provider, "", ""}, {t.Provider, "", t.Credential}} {
			if g := n.live[k]; g != nil && n.nowMS() < g.GetExpiresUnixMs() {
				delete(n.live, k)
				n.used[g.GetLease()] = true
				n.try(t, &k, g.GetExpiresUnixMs())
				return
			}
		}
	}
	var open []outcome.Target
	var weights []float64
	total := 0.0
	for _, t := range n.targets() {
		if n.out(t) || !n.breaker(key{t.Provider, t.Model, ""}).State().Closed() || !n.breaker(key{t.Provider, "", t.Credential}).State().Closed() {
			continue
		}
		open = append(open, t)
		weights = append(weights, n.weight(t))
		total += weights[len(weights)-1]
	}
	at := n.w.rand.Float64() * total
	for i, t := range open {
		if at -= weights[i]; at <= 0 {
			n.try(t, nil, n.nowMS()+30_000)
			return
		}
	}
}

// targets lists everything that can be asked, once for each catalog.
func (n *simNode) targets() []outcome.Target {
	if at := n.w.config.GetHeader().GetConfigRevision(); n.w.targetsAt != at {
		n.w.targetsAt, n.w.targets = at, targetsOf(n.w.config)
	}
	return n.w.targets
}

func targetsOf(c *tablev1.Config) []outcome.Target {
	var list []outcome.Target
	for _, p := range c.GetProviders() {
		for _, m := range p.GetModels() {
			if len(p.GetCredentials()) == 0 {
				list = append(list, outcome.Target{Provider: p.GetId(), Model: m.GetId()})
			}
			for _, c := range p.GetCredentials() {
				list = append(list, outcome.Target{Provider: p.GetId(), Model: m.GetId(), Credential: c.GetFingerprint()})
			}
		}
	}
	return list
}

// try makes one attempt and says how it ends.
func (n *simNode) try(t outcome.Target, probe *key, deadlineMS int64) {
	w := n.w
	if w.observe.began != nil {
		w.observe.began(n, t, probe)
	}
	v := w.vendors[t.Provider]
	v.asked++
	kind, first, expected := v.answer(w, n, t)
	limit := time.Duration(deadlineMS-n.nowMS()) * time.Millisecond * 9 / 10
	if first > limit {
		kind, first = fault.FirstToken, limit
	}
	life, overdue := n.life, first > 3*expected+700*time.Millisecond
	n.ledger.Begin(t)
	n.breaker(key{t.Provider, t.Model, ""}).Begin(n.nowMS())
	if overdue {
		w.after(3*expected+700*time.Millisecond, func() {
			if n.alive && n.life == life {
				n.ledger.Overdue(t)
				n.breaker(key{t.Provider, t.Model, ""}).Overdue(n.nowMS())
			}
		})
	}
	w.after(first, func() {
		if n.alive && n.life == life {
			n.ended(t, kind, first, overdue, v.retry, probe)
		}
	})
}

func (n *simNode) ended(t outcome.Target, kind fault.Kind, first time.Duration, overdue bool, retry time.Duration, probe *key) {
	w := n.w
	a := outcome.Attempt{Target: t, Fault: fault.Fault{Kind: kind, RetryAfter: retry}, Duration: first, Overdue: overdue, Probe: probe != nil, Ended: n.now()}
	if kind == fault.None {
		a.FirstToken, a.Usage = first, outcome.Usage{Output: 10}
		a.Duration += 200 * time.Millisecond
	} else {
		w.stats.failures++
	}
	n.ledger.Observe(&a)
	n.truth[t]++
	n.judge(t, kind)
	if w.observe.probed != nil && probe != nil {
		w.observe.probed(n, *probe)
	}
	rule := kind.Rule()
	if (rule.Severity == fault.Hard || rule.Severity == fault.Block || probe != nil) && !n.flush {
		n.flush = true
		w.after(5*time.Millisecond, func() {
			n.flush = false
			if n.alive {
				n.report(false, true)
			}
		})
	}
}

// judge lets an answer work on the node's own circuits; they recover by themselves, with one request at a time.
func (n *simNode) judge(t outcome.Target, kind fault.Kind) {
	k := key{t.Provider, t.Model, ""}
	switch rule := kind.Rule(); {
	case kind == fault.None:
		n.breaker(k).Success(n.nowMS())
	case rule.Severity == fault.Hard:
		n.breaker(k).Failure(n.nowMS(), circuit.HardWeight)
	case rule.Severity == fault.Block:
		k = key{t.Provider, "", t.Credential}
		n.breaker(k).Block(n.nowMS(), false)
	}
	m := n.breaker(k)
	n.ledger.Circuit(t, uint8(m.State()))
	if m.State().Closed() {
		return
	}
	life := n.life
	n.w.after(5*time.Second, func() { // this node's own probing is not what is tested here
		if n.alive && n.life == life {
			*m = circuit.New(circuit.Params{}, n.w.rand.Uint64())
			n.ledger.Circuit(t, uint8(m.State()))
		}
	})
}

// answer is what the provider does with a request: how it ends, after how long, and how long it usually takes.
func (v *vendor) answer(w *world, n *simNode, t outcome.Target) (kind fault.Kind, first, expected time.Duration) {
	expected = v.latency
	first = time.Duration(float64(v.latency) * (0.7 + 0.6*w.rand.Float64()))
	if slices.Contains(v.badKeys, t.Credential) {
		return fault.Unauthorized, 20 * time.Millisecond, expected
	}
	if v.only != nil && !slices.Contains(v.only, n.name) && !slices.Contains(v.only, n.region) {
		return fault.None, first, expected
	}
	if v.hang {
		return fault.FirstToken, 30 * time.Second, expected
	}
	first = time.Duration(float64(first) * v.slow)
	if w.rand.Float64() < v.share {
		return v.kind, min(first, 50*time.Millisecond), expected
	}
	return fault.None, first, expected
}

// states lists what a Health says, without figures that always move, for comparing.
func states(h *tablev1.Health) string {
	var b strings.Builder
	for _, e := range h.GetTargets() {
		if e.GetState() == tablev1.State_STATE_HEALTHY {
			continue
		}
		fmt.Fprintf(&b, "%s %s; ", key{e.GetProvider(), e.GetModel(), e.GetCredential()}, name(e.GetState()))
	}
	return b.String()
}

// circuits lists what is out.
func circuits(h *tablev1.Health) map[key]bool {
	out := map[key]bool{}
	for _, e := range h.GetTargets() {
		if !circuit.State(e.GetState()).Closed() {
			out[key{e.GetProvider(), e.GetModel(), e.GetCredential()}] = true
		}
	}
	return out
}
