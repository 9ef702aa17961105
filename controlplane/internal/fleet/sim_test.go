package fleet

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/clock"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
)

var (
	simSeed     = flag.Uint64("seed", 0, "play only the schedule of this seed")
	simDuration = flag.Duration("duration", 2*time.Second, "how long to play schedules")
	simFrom     = flag.Uint64("from", 1, "the first seed")
)

// TestSimulator plays schedules of sick providers, a bad bus and dying replicas and nodes, one for each seed, and checks after every step what must
// always hold. A failure prints its seed; -seed plays it again.
func TestSimulator(t *testing.T) {
	if *simSeed != 0 {
		if err := simulate(*simSeed, t.Logf); err != nil {
			t.Fatalf("seed %d: %v", *simSeed, err)
		}
		return
	}
	played, seconds := 0, int64(0)
	for begin := time.Now(); played < 1 || time.Since(begin) < *simDuration; played++ {
		seed := *simFrom + uint64(played)
		if err := simulate(seed, func(string, ...any) {}); err != nil {
			t.Fatalf("after %d clean schedules, seed %d: %v\nplay it again with: go test -run TestSimulator -v -seed=%d", played, seed, err, seed)
		}
		seconds += 3*60 + 50
	}
	t.Logf("%d schedules, about %d s of cluster time, all clean", played, seconds)
}

// sim is one schedule with its auditor.
type sim struct {
	*world
	regions []string
	log     func(string, ...any)
	calmMS  int64 // since when the bus is whole and nobody has come or gone
	soloMS  int64 // since when there has been no second leader and no partition
	outMS   map[string]map[key]int64
	probes  map[inRegion]map[string]int64 // :: whose grant → nodes with a probe in flight → since when
	shares  map[string]said               // :: region → what its only leader said last
	orders  map[string]order              // :: provider → what was decided by hand last
	over    map[key]int64                 // :: what the regions take more of than there is → since when
	broken  error
}

// said is what a leader said, and when.
type said struct {
	*tablev1.Health
	atMS int64
}

// order is what was decided by hand, and when it ends.
type order struct {
	what        string
	atMS, endMS int64
}

// inRegion is a target as one region sees it.
type inRegion struct {
	region string
	key
}

func (s *sim) failf(format string, args ...any) {
	if s.broken == nil {
		s.broken = fmt.Errorf("at %.2f s: %s", float64(s.nowMS-worldBegin)/1000, fmt.Sprintf(format, args...))
	}
}

func simulate(seed uint64, log func(string, ...any)) error {
	s := &sim{world: newWorld(seed), log: log, outMS: map[string]map[key]int64{}, probes: map[inRegion]map[string]int64{}, shares: map[string]said{}, orders: map[string]order{}, over: map[key]int64{}}
	s.bus.part = map[string]int{}
	s.build()
	s.observe = watcher{published: s.published, accepted: s.accepted, began: s.began, probed: s.probed, took: s.took, decided: s.decided}
	s.run(3 * time.Second)
	s.chaos(60 * time.Second)
	s.peace()
	s.failover()
	s.across()
	s.reckon()
	return s.broken
}

// pick is a number below n.
func (s *sim) pick(n int) int { return s.rand.IntN(n) }

func (s *sim) build() {
	limited := s.pick(2) == 0
	for i := range 2 + s.pick(5) {
		models := []string{"m"}
		if s.pick(3) == 0 {
			models = []string{"m", "n"}
		}
		capacity := uint32(0)
		if limited {
			capacity = uint32(200 + s.pick(2000))
		}
		p := s.addProvider(string(rune('a'+i)), models, s.pick(3), capacity)
		if s.pick(3) == 0 {
			p.HealthCheckIntervalS = 5
		}
	}
	s.regions = []string{"eu", "us", "as"}[:1+s.pick(3)]
	s.bus.far = time.Duration(s.pick(100)) * time.Millisecond
	for _, region := range s.regions {
		for i := range 4 - len(s.regions) {
			s.addReplica(fmt.Sprintf("cp-%s-%d", region, i+1), region)
		}
		for i := range 2 + s.pick(5)/len(s.regions) {
			s.addNode(fmt.Sprintf("n-%s-%d", region, i+1), region, 5+20*s.rand.Float64())
		}
	}
	for range s.pick(4) { // some clocks are wrong from the start
		_, c := s.party()
		c.wallMS = s.wrong()
	}
	for _, r := range s.replicas {
		r.start()
	}
	for _, n := range s.nodes {
		n.start()
	}
	s.bus.loss, s.bus.twice = 0.2*s.rand.Float64(), 0.2*s.rand.Float64()
	s.bus.delay = time.Duration(s.pick(100)+1) * time.Millisecond
	s.disturb()
	s.soloMS = s.nowMS
}

// disturb says that the cluster is not calm now.
func (s *sim) disturb() { s.calmMS = s.nowMS }

// chaos lets things happen.
func (s *sim) chaos(d time.Duration) {
	end := s.nowMS + d.Milliseconds()
	for s.nowMS < end && s.broken == nil {
		s.run(time.Duration(100+s.pick(4000)) * time.Millisecond)
		s.happen()
		s.watchLeaders()
	}
}

// happen does one thing to the cluster.
func (s *sim) happen() {
	p := s.config.GetProviders()[s.pick(len(s.config.GetProviders()))]
	switch s.pick(17) {
	case 0, 1, 2:
		s.sicken(p)
	case 3, 4:
		v := s.vendors[p.GetId()]
		*v = vendor{latency: v.latency, slow: 1}
		s.log("%d %s recovers", s.nowMS-worldBegin, p.GetId())
	case 5, 12, 13:
		r := s.replicas[s.pick(len(s.replicas))]
		if l := s.leader(r.region); l != nil && s.pick(2) == 0 {
			r = l
		}
		s.disturb()
		if r.alive {
			r.stop()
		} else {
			r.start()
		}
		s.log("%d %s alive %v", s.nowMS-worldBegin, r.name, r.alive)
	case 6:
		s.disturb()
		s.bounce(s.nodes[s.pick(len(s.nodes))])
	case 7:
		s.split()
	case 8, 9:
		s.disturb()
		clear(s.bus.part)
		s.log("%d healed", s.nowMS-worldBegin)
	case 10:
		p.Override = &tablev1.Override{State: []string{"open", "drain", "closed", ""}[s.pick(4)], ExpiresUnixMs: s.nowMS + 5000}
		s.orders[p.GetId()] = order{p.GetOverride().GetState(), s.nowMS, s.nowMS + 5000}
		s.ask()
		s.log("%d %s by hand %s", s.nowMS-worldBegin, p.GetId(), p.GetOverride().GetState())
	case 11:
		s.bus.delay = time.Duration(s.pick(100)+1) * time.Millisecond
		s.disturb()
	case 14, 15, 16:
		name, c := s.party()
		c.wallMS = s.wrong()
		s.log("%d %s's clock is set to be %d s ahead", s.nowMS-worldBegin, name, c.wallMS/1000)
	}
}

// party is a replica's clock, or a node's.
func (s *sim) party() (string, *watch) {
	i := s.pick(len(s.replicas) + len(s.nodes))
	if i < len(s.replicas) {
		return s.replicas[i].name, &s.replicas[i].watch
	}
	n := s.nodes[i-len(s.replicas)]
	return n.name, &n.watch
}

// wrong is by how much a clock may be wrong.
func (s *sim) wrong() int64 {
	by := []time.Duration{0, 0, 700 * time.Millisecond, 4 * time.Second, 5 * time.Minute, time.Hour, 30 * time.Hour, 20 * 365 * 24 * time.Hour}[s.pick(8)]
	return by.Milliseconds() * int64(1-2*s.pick(2))
}

func (s *sim) sicken(p *tablev1.Provider) {
	v := s.vendors[p.GetId()]
	kinds := []fault.Kind{fault.ServerError, fault.Connect, fault.Overloaded, fault.RateLimited, fault.Truncated, fault.Unauthorized}
	*v = vendor{latency: v.latency, slow: 1, kind: kinds[s.pick(len(kinds))], share: []float64{0.1, 0.4, 0.7, 1, 1}[s.pick(5)], retry: time.Duration(s.pick(5000)) * time.Millisecond}
	switch s.pick(5) {
	case 0:
		v.hang = true
	case 1:
		v.slow = 8
	}
	switch s.pick(6) {
	case 0:
		v.only = []string{s.nodes[s.pick(len(s.nodes))].name}
	case 1, 2:
		v.only = []string{s.regions[s.pick(len(s.regions))]}
	}
	s.log("%d %s sickens: %+v", s.nowMS-worldBegin, p.GetId(), *v)
}

func (s *sim) bounce(n *simNode) {
	n.alive = !n.alive
	if n.alive {
		n.start()
	} else {
		for k := range s.probes {
			delete(s.probes[k], n.name)
		}
	}
	s.log("%d %s alive %v", s.nowMS-worldBegin, n.name, n.alive)
}

func (s *sim) split() {
	s.disturb()
	s.soloMS = s.nowMS
	for _, r := range s.replicas {
		s.bus.part[r.name] = s.pick(2)
	}
	for _, n := range s.nodes {
		s.bus.part[n.name] = s.pick(2)
	}
	s.log("%d split %v", s.nowMS-worldBegin, s.bus.part)
}

// watchLeaders notes when there is more than one leader, or a partition.
func (s *sim) watchLeaders() {
	leaders := map[string]int{}
	for _, r := range s.replicas {
		if r.alive && r.lead.Leading() {
			leaders[r.region]++
		}
	}
	for _, n := range leaders {
		if n > 1 {
			s.soloMS = s.nowMS
		}
	}
	if slices.Contains(slices.Collect(maps.Values(s.bus.part)), 1) {
		s.soloMS = s.nowMS
	}
}

// leader is the only leader of a region.
func (s *sim) leader(region string) *replica {
	var leader *replica
	for _, r := range s.replicas {
		if r.alive && r.lead.Leading() && r.region == region {
			if leader != nil {
				return nil
			}
			leader = r
		}
	}
	return leader
}

// published audits what a leader says: I15, and that it is a whole.
func (s *sim) published(r *replica, h *tablev1.Health) {
	s.watchLeaders()
	out := s.outMS[r.name]
	if out == nil {
		out = map[key]int64{}
		s.outMS[r.name] = out
	}
	now := circuits(h)
	for k := range out {
		if !now[k] {
			delete(out, k)
		}
	}
	for k := range now {
		if out[k] == 0 {
			out[k] = s.nowMS
		}
	}
	s.capacity(r, h)
	s.shares[r.region] = said{h, s.nowMS}
	s.ordered(r, h)
	s.apportioned()
}

// apportioned audits the regions' parts: while all hear each other, they are not more than the whole, but for what happens within the time of a few messages.
func (s *sim) apportioned() {
	if s.nowMS-s.calmMS < 5000 || s.nowMS-s.soloMS < 5000 {
		clear(s.over)
		return
	}
	sums := map[key]float64{}
	for _, h := range s.shares {
		if s.nowMS-h.atMS > 200 {
			clear(s.over)
			return // nobody leads there, so nobody knows what its nodes take
		}
		sums[key{}] += float64(h.GetRegionSharePpm())
		for _, e := range h.GetTargets() {
			if e.GetCredential() == "" {
				sums[key{e.GetProvider(), e.GetModel(), ""}] += float64(e.GetCapacitySharePpm())
			}
		}
	}
	for k, sum := range sums {
		if sum <= 1.2*ppm {
			delete(s.over, k)
			continue
		}
		if s.over[k] == 0 {
			s.over[k] = s.nowMS
		}
		if s.nowMS-s.over[k] > 5000 { // digests may be lost
			s.failf("all regions together take %.0f %% of %q: %v", 100*sum/ppm, k, s.parts(k))
		}
	}
}

// heardMS is how late an operator's word may begin and end: as late as messages are, by clocks that count as the same.
const heardMS = 200 + int64(clock.Tolerance/time.Millisecond)

// ordered audits the operator's word: while it holds, whoever leads says so, and when it is over, no longer; by the time that the operator knows, whatever
// the clocks of the replicas show. A replica that began later knows it from the others, or, if nobody was there, by its own clock.
func (s *sim) ordered(r *replica, h *tablev1.Health) {
	for _, e := range h.GetTargets() {
		o, decided := s.orders[e.GetProvider()]
		if !decided || e.GetModel() != "" || e.GetCredential() != "" || s.leader(r.region) != r || slices.ContainsFunc(s.replicas, func(o2 *replica) bool { return o2.startedMS >= o.atMS }) {
			continue
		}
		byHand := strings.Contains(e.GetReason(), "by hand")
		switch since := s.nowMS - o.atMS; {
		case o.what != "" && !byHand && since > heardMS && s.nowMS < o.endMS-heardMS:
			s.failf("%s forgets that %s was decided to be %s, %d ms ago", r.name, e.GetProvider(), o.what, since)
		case byHand && (s.nowMS > o.endMS+heardMS || o.what == "" && since > heardMS):
			s.failf("%s still says of %s: %s; it is over for %d ms", r.name, e.GetProvider(), e.GetReason(), s.nowMS-o.endMS)
		}
	}
}

// parts lists what each region takes of something.
func (s *sim) parts(k key) (list []string) {
	for region, h := range s.shares {
		part := h.GetRegionSharePpm()
		for _, e := range h.GetTargets() {
			if k != (key{}) && k == (key{e.GetProvider(), e.GetModel(), e.GetCredential()}) {
				part = e.GetCapacitySharePpm()
			}
		}
		list = append(list, fmt.Sprintf("%s %.1f %%", region, percent(part)))
	}
	slices.Sort(list)
	return list
}

// capacity is I15: health takes away no more than 34 % of any route that more than one provider serves, or one provider of it, and never the last candidate.
func (s *sim) capacity(r *replica, h *tablev1.Health) {
	out, why := circuits(h), map[key]string{}
	for _, e := range h.GetTargets() {
		why[key{e.GetProvider(), e.GetModel(), e.GetCredential()}] = e.GetReason()
	}
	for name, list := range s.servers() {
		if !slices.ContainsFunc(list, func(m server) bool { return m.k.provider != list[0].k.provider }) {
			continue // served by one alone, whom its nodes try whatever is said
		}
		var total, gone float64
		left, providers := 0, map[string]bool{}
		for _, m := range list {
			reason := why[key{provider: m.k.provider}]
			if out[key{provider: m.k.provider}] && (strings.Contains(reason, "by hand") || strings.Contains(reason, "keys are refused")) {
				continue // no matter of health
			}
			total += m.capacity
			if out[m.k] || out[key{provider: m.k.provider}] {
				gone += m.capacity
				providers[m.k.provider] = true
				continue
			}
			left++
		}
		if total > 0 && left == 0 {
			s.failf("I15: %s takes every candidate of %q away: %s", r.name, name, states(h))
		}
		if len(providers) > 1 && gone > 0.34*total+1e-9 {
			s.failf("I15: %s takes %.0f %% of %q away: %s", r.name, 100*gone/total, name, states(h))
		}
	}
}

type server struct {
	k        key
	capacity float64
}

// servers lists who serves each name, with capacities; computed apart from the code under test.
func (s *sim) servers() map[string][]server {
	lists := map[string][]server{}
	limited := true
	for _, p := range s.config.GetProviders() {
		limited = limited && p.GetMaxConcurrentRequests() > 0
	}
	for _, p := range s.config.GetProviders() {
		for _, m := range p.GetModels() {
			for _, name := range []string{m.GetId(), "any"} {
				capacity := 1.0
				if limited {
					capacity = float64(p.GetMaxConcurrentRequests())
				}
				if name == "any" {
					capacity /= float64(len(p.GetModels()))
				}
				lists[name] = append(lists[name], server{key{provider: p.GetId(), model: m.GetId()}, capacity})
			}
		}
	}
	return lists
}

// accepted audits I10: nothing goes backwards on a node.
func (s *sim) accepted(n *simNode, before, after *tablev1.Health) {
	b, a := before.GetHeader(), after.GetHeader()
	if before == nil {
		return
	}
	if a.GetEpoch() < b.GetEpoch() || a.GetEpoch() == b.GetEpoch() && a.GetHealthSeq() <= b.GetHealthSeq() || a.GetConfigRevision() < b.GetConfigRevision() {
		s.failf("I10: %s went from %v to %v", n.name, b, a)
	}
	if a.GetEpoch() == b.GetEpoch() && a.GetLeader() != b.GetLeader() {
		s.failf("I10: %s and %s speak with the same epoch", a.GetLeader(), b.GetLeader())
	}
}

// obeyed is within what time a node must know, with a bus that loses a fifth of everything and delays by a tenth of a second.
const obeyed = 1500 * time.Millisecond

// began audits I5 and I6: nobody asks what is open, but for one probe at a time.
func (s *sim) began(n *simNode, t outcome.Target, probe *key) {
	if probe == nil {
		l := s.leader(n.region)
		since := s.nowMS - obeyed.Milliseconds()
		if l == nil || s.calmMS > since || l.leadingMS > since || !s.reaches(l.name, n.name) {
			return
		}
		for _, k := range []key{{provider: t.Provider}, {t.Provider, t.Model, ""}, {t.Provider, "", t.Credential}} {
			if k != (key{}) && s.outMS[l.name][k] != 0 && s.outMS[l.name][k] < since {
				s.failf("I5: %s asks %s, which %s said to be out %d ms ago; it follows %v: %s", n.name, k, l.name, s.nowMS-s.outMS[l.name][k],
					n.health.GetHeader(), states(n.health))
			}
		}
		return
	}
	s.log("%d %s probes %s", s.nowMS-worldBegin, n.name, probe)
	at := inRegion{n.region, *probe}
	if s.probes[at] == nil {
		s.probes[at] = map[string]int64{}
	}
	s.probes[at][n.name] = s.nowMS - worldBegin
	if len(s.probes[at]) > 1 && s.nowMS-s.soloMS > 2*leaseMax.Milliseconds() {
		s.failf("I6: %d probes of %s at once, by %v; the latest by %s, from %v", len(s.probes[at]), *probe, s.probes[at], n.name, n.health.GetHeader())
	}
}

func (s *sim) probed(n *simNode, probe key) { delete(s.probes[inRegion{n.region, probe}], n.name) }

// decided writes the transitions into the log of a schedule that is played again.
func (s *sim) decided(r *replica, d Decision) {
	for _, t := range d.Transitions {
		k := key{t.GetProvider(), t.GetModel(), t.GetCredential()}
		s.log("%d %s: %s %s → %s: %s", s.nowMS-worldBegin, r.name, k, name(t.GetFrom()), name(t.GetTo()), t.GetReason())
	}
}

// took audits I14: what is different after a change of leader has a reason of its own.
func (s *sim) took(r *replica, before *tablev1.Health, d Decision) {
	if before == nil {
		return
	}
	was, is := circuits(before), circuits(d.Health)
	for _, t := range d.Transitions {
		// A provider may be out because its models are; their transitions tell of it.
		for _, k := range []key{{t.GetProvider(), t.GetModel(), t.GetCredential()}, {provider: t.GetProvider()}} {
			delete(was, k)
			delete(is, k)
		}
	}
	if !maps.Equal(was, is) {
		s.failf("I14: %s took over; open before %v and after %v, and no reason for it", r.name, was, is)
	}
}

// opened lists the circuits that are open themselves.
func opened(h *tablev1.Health) map[key]bool {
	open := map[key]bool{}
	for _, e := range h.GetTargets() {
		if e.GetOpenedUnixMs() != 0 {
			open[key{e.GetProvider(), e.GetModel(), e.GetCredential()}] = true
		}
	}
	return open
}

// peace heals everything: I9 within a second, and two minutes later all is as it should be.
func (s *sim) peace() {
	if s.broken != nil {
		return
	}
	s.log("%d peace", s.nowMS-worldBegin)
	clear(s.bus.part)
	s.bus.loss, s.bus.twice, s.bus.delay = 0, 0, 5*time.Millisecond
	for _, p := range s.config.GetProviders() {
		v := s.vendors[p.GetId()]
		*v = vendor{latency: v.latency, slow: 1}
		p.Override = nil
	}
	for _, r := range s.replicas {
		if !r.alive {
			r.start()
		}
	}
	for _, n := range s.nodes {
		if !n.alive {
			n.start()
		}
	}
	clear(s.orders)
	s.ask()
	s.disturb()
	s.run(time.Second)
	s.sameEverywhere()
	s.run(2 * time.Minute)
	s.wellEverywhere()
}

// sameEverywhere is I9.
func (s *sim) sameEverywhere() {
	for _, region := range s.regions {
		s.sameIn(region)
	}
}

func (s *sim) sameIn(region string) {
	l := s.leader(region)
	if l == nil {
		s.failf("I9: a second after the bus was healed there is not one leader in %s", region)
		return
	}
	for _, n := range s.nodes {
		if n.region != region {
			continue
		}
		h := n.health.GetHeader()
		if h.GetEpoch() != l.lead.Epoch() || h.GetHealthSeq()+2 < l.seq || h.GetConfigRevision() != s.config.GetHeader().GetConfigRevision() {
			s.failf("I9: %s has %v, and %s speaks %d/%d", n.name, h, l.name, l.lead.Epoch(), l.seq)
		}
	}
}

// wellEverywhere: two minutes after all providers are well, all get their full weight.
func (s *sim) wellEverywhere() {
	for _, n := range s.nodes {
		for _, e := range n.health.GetTargets() {
			if e.GetState() != tablev1.State_STATE_HEALTHY || e.GetModel() != "" && e.GetWeightPpm() < 0.9*ppm {
				if l := s.leader(n.region); l != nil {
					s.log("%s", l.fleet.Describe(l.now()))
				}
				s.failf("%s still sees %s %s at %d ppm two minutes after it was well: %s", n.name,
					key{e.GetProvider(), e.GetModel(), e.GetCredential()}, name(e.GetState()), e.GetWeightPpm(), e.GetReason())
			}
		}
	}
}

// failover lets a provider die, and then the leader: all obey, and no circuit changes.
func (s *sim) failover() {
	if s.broken != nil {
		return
	}
	p := s.config.GetProviders()[0].GetId()
	v := s.vendors[p]
	v.kind, v.share = fault.ServerError, 1
	s.run(15 * time.Second)
	before := opened(s.nodes[0].health)
	l := s.leader(s.nodes[0].region)
	if l == nil {
		s.failf("there is not one leader")
		return
	}
	if len(s.replicas)/len(s.regions) < 2 {
		*v = vendor{latency: v.latency, slow: 1}
		return // nobody would follow it
	}
	l.stop()
	s.disturb()
	s.run(400 * time.Millisecond)
	for _, n := range s.nodes {
		if n.region != l.region {
			continue
		}
		if n.health.GetHeader().GetLeader() == l.name {
			s.failf("%s still follows %s, dead for 400 ms", n.name, l.name)
		}
		if after := opened(n.health); !maps.Equal(before, after) {
			s.failf("I14: open before the leader's death %v, and after %v", before, after)
		}
	}
	l.start()
	*v = vendor{latency: v.latency, slow: 1}
	s.run(2 * time.Second)
}

// across lets a provider fail that only the first region asks: within a second of its opening there, it is out in all others. Then it fails for the first
// region alone, while all ask: it stays in use elsewhere. With one region, nothing crosses.
func (s *sim) across() {
	if s.broken != nil {
		return
	}
	if len(s.regions) == 1 {
		if s.stats.digests > 0 {
			s.failf("one region alone has sent %d digests", s.stats.digests)
		}
		return
	}
	p := s.config.GetProviders()[len(s.config.GetProviders())-1]
	v := s.vendors[p.GetId()]
	home := s.regions[0]
	s.hush(func(n *simNode) bool { return n.region != home })
	s.run(3 * time.Minute) // and what is usual elsewhere is forgotten
	v.kind, v.share = fault.ServerError, 1
	s.run(20 * time.Second)
	for _, m := range p.GetModels() {
		s.crossed(home, key{provider: p.GetId(), model: m.GetId()})
	}
	s.hush(func(*simNode) bool { return false })
	*v = vendor{latency: v.latency, slow: 1}
	s.run(3 * time.Minute)
	s.log("%d %s cannot be reached from %s", s.nowMS-worldBegin, p.GetId(), home)
	v.kind, v.share, v.only = fault.Connect, 1, []string{home}
	s.run(20 * time.Second)
	for _, n := range s.nodes {
		if n.region != home && circuits(n.health)[key{provider: p.GetId()}] {
			s.failf("%s is out in %s, and cannot be reached from %s alone: %s", p.GetId(), n.region, home, states(n.health))
		}
	}
	*v = vendor{latency: v.latency, slow: 1}
	s.run(3 * time.Minute)
	s.wellEverywhere()
}

// hush ends the traffic of those nodes alone.
func (s *sim) hush(whose func(*simNode) bool) {
	for _, n := range s.nodes {
		n.quiet = whose(n)
	}
}

// crossed audits I5 between regions: what is out in one that has all the traffic is out in all within a second, unless their guard holds it.
func (s *sim) crossed(home string, k key) {
	first := s.leader(home)
	if first == nil || s.outMS[first.name][k] == 0 {
		return // the guard of the first region held it
	}
	opened := s.outMS[first.name][k]
	for _, n := range s.nodes {
		for _, e := range n.health.GetTargets() {
			if n.region == home || k != (key{e.GetProvider(), e.GetModel(), e.GetCredential()}) {
				continue
			}
			l := s.leader(n.region)
			if l == nil || l.fleet.units[k].heed.distrustMS-l.ofMS > opened || !l.fleet.mayOpen(l.fleet.units[k], l.nowMS()) {
				continue // it has seen the contrary during the chaos, or its guard holds it
			}
			if at := s.outMS[l.name][k]; e.GetOpenedUnixMs() == 0 || at-opened > 1000 {
				s.failf("I5: %s opened in %s at %d and in %s at %d: %s", k, home, opened-worldBegin, n.region, at-worldBegin, e.GetReason())
			}
		}
	}
}

// reckon ends all traffic and is I13: every replica has counted what the nodes have, no more and no less.
func (s *sim) reckon() {
	if s.broken != nil {
		return
	}
	for _, n := range s.nodes {
		n.quiet = true
	}
	for _, p := range s.config.GetProviders() {
		p.HealthCheckIntervalS = 0
	}
	s.ask()
	s.run(35 * time.Second)
	want := map[string]map[outcome.Target]uint64{}
	for _, n := range s.nodes {
		if want[n.region] == nil {
			want[n.region] = map[outcome.Target]uint64{}
		}
		for t, count := range n.truth {
			want[n.region][t] += count
		}
	}
	for _, r := range s.replicas {
		for t, count := range want[r.region] {
			var got uint64
			sum := r.fleet.Sum(t)
			for _, f := range sum.Faults {
				got += f
			}
			if got != count || sum.Started != count {
				s.failf("I13: %s counts %d answers of %v and %d begun, the nodes %d", r.name, got, t, sum.Started, count)
			}
		}
	}
}
