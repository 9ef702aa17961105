package fleet

import (
	"maps"
	"math"
	"slices"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/clock"
)

// region is another region, as its leader tells of it.
type region struct {
	name, leader string
	epoch, seq   uint64
	// heardMS is when its leader spoke last, 0 before the first time; signMS is when anything of it was heard.
	heardMS, signMS int64
	nodes           uint32
	demand          demand
	share, idle     uint32
	targets         map[key]foreign
}

// foreign is a target as another region tells of it.
type foreign struct {
	out      bool // by that region's own evidence
	openedMS int64
	reason   string
	demand   demand
	share    uint32
}

// demand is how much a region asks for: requests begun per second, lately and usually, and in flight.
type demand struct{ rate, usual, inFlight float64 }

const (
	regionsMax = 64
	// regionSilence is how long a region's last word about circuits counts.
	regionSilence = 5 * time.Second
)

// away reports that a node or a message is of another region.
func (f *Fleet) away(name string) bool {
	return name != "" && f.config.Region != "" && name != f.config.Region
}

// region finds another region, or makes it; nil when there are too many.
func (f *Fleet) region(name string, nowMS int64) *region {
	r := f.regions[name]
	if r == nil {
		if len(f.regions) >= regionsMax {
			f.refused++
			return nil
		}
		r = &region{name: name}
		f.regions[name] = r
		f.tell = true
	}
	r.signMS = max(r.signMS, nowMS)
	return r
}

// HeardRegion takes what the leader of another region tells. urgent says that Step should follow at once.
func (f *Fleet) HeardRegion(now time.Time, d *tablev1.RegionDigest) (urgent bool) {
	nowMS, head := now.UnixMilli(), d.GetHeader()
	if !f.away(d.GetRegion()) || head.GetEpoch() > clock.EpochMax || len(d.GetTargets()) > f.config.TargetsMax {
		f.refused++
		return false
	}
	r := f.region(d.GetRegion(), nowMS)
	if r == nil {
		return false
	}
	older := head.GetEpoch() < r.epoch || head.GetEpoch() == r.epoch && head.GetHealthSeq() <= r.seq
	if older && nowMS-r.heardMS <= regionSilence.Milliseconds() {
		return false
	}
	if head.GetEpoch() != r.epoch {
		f.tell = true // its leader is new, and may know nothing of this region
	}
	was := r.targets
	*r = region{
		name: r.name, leader: head.GetLeader(), epoch: head.GetEpoch(), seq: head.GetHealthSeq(), heardMS: nowMS, signMS: nowMS,
		nodes: d.GetNodesLive(), demand: heardDemand(d.GetDemand()), share: min(d.GetSharePpm(), ppm), idle: min(d.GetIdleSharePpm(), ppm),
		targets: make(map[key]foreign, len(d.GetTargets())),
	}
	for _, t := range d.GetTargets() {
		k := key{t.GetProvider(), t.GetModel(), t.GetCredential()}
		out := t.GetOpenedUnixMs() != 0 && !t.GetHeeded()
		r.targets[k] = foreign{out, t.GetOpenedUnixMs(), t.GetReason(), heardDemand(t.GetDemand()), min(t.GetSharePpm(), ppm)}
		urgent = urgent || out != was[k].out
		if u := f.units[k]; u != nil && k.credential != "" {
			u.throttledMS = max(u.throttledMS, nowMS+min(int64(t.GetThrottledMs()), throttleMax.Milliseconds()))
		}
	}
	for k, t := range was {
		_, told := r.targets[k]
		urgent = urgent || t.out && !told
	}
	f.moved = true
	return urgent
}

func heardDemand(d *tablev1.Demand) demand {
	return demand{float64(d.GetRateMilli()) / 1000, float64(d.GetUsualMilli()) / 1000, float64(d.GetInFlightMilli()) / 1000}
}

func (d demand) wire() *tablev1.Demand {
	return &tablev1.Demand{RateMilli: uint64(d.rate * 1000), UsualMilli: uint64(d.usual * 1000), InFlightMilli: uint64(d.inFlight * 1000)}
}

// Abroad reports that there are other regions, which want to hear of this one: a Digest once a second, and at once when Decision.Tell says so.
func (f *Fleet) Abroad() bool { return len(f.regions) > 0 }

// Digest is what the other regions are told, without a header.
func (f *Fleet) Digest(now time.Time) *tablev1.RegionDigest {
	nowMS := now.UnixMilli()
	f.tell = false
	idle := f.idleShare()
	d := &tablev1.RegionDigest{Region: f.config.Region, Demand: f.demand(nowMS).wire(), SharePpm: f.share, IdleSharePpm: idle}
	for _, n := range f.nodes {
		if n.live {
			d.NodesLive++
		}
	}
	for _, u := range f.order {
		m, want := u.machine.Memory(), u.demand(nowMS)
		throttled := max(u.throttledMS-nowMS, 0)
		if m.OpenedMS == 0 && throttled == 0 && want.rate < 0.001 && want.inFlight < 0.001 && (u.key.credential != "" || u.share == idle) {
			continue
		}
		t := &tablev1.RegionTarget{
			Provider: u.key.provider, Model: u.key.model, Credential: u.key.credential, State: tablev1.State(u.machine.State()),
			OpenedUnixMs: m.OpenedMS, Heeded: u.heed.active, Demand: want.wire(), SharePpm: u.share, ThrottledMs: uint32(throttled),
		}
		if m.OpenedMS != 0 {
			t.Reason = u.why
		}
		d.Targets = append(d.Targets, t)
	}
	return d
}

// demandHalfLife is how fast a demand forgets, usualHalfLife how fast what is usual does; the latter stands still while the circuit is open.
const (
	demandHalfLife = 30 * time.Second
	usualHalfLife  = time.Minute
)

// traffic counts requests that begin, fading, and how many are in flight on average.
type traffic struct {
	rate, usual, inFlight float64
	atMS, sampledMS       int64
}

// sample moves the average of what is in flight.
func (t *traffic) sample(nowMS, inFlight int64) {
	t.inFlight = float64(inFlight) + decayed(t.inFlight-float64(inFlight), nowMS-t.sampledMS, demandHalfLife)
	t.sampledMS = nowMS
}

func (t *traffic) count(nowMS int64, begun float64) {
	t.rate = decayed(t.rate, nowMS-t.atMS, demandHalfLife) + begun
	t.usual = decayed(t.usual, nowMS-t.atMS, usualHalfLife) + begun
	t.atMS = max(t.atMS, nowMS)
}

// demand is what this region's nodes ask of a target.
func (u *unit) demand(nowMS int64) demand {
	usualMS := nowMS
	if opened := u.machine.Memory().OpenedMS; opened != 0 {
		usualMS = min(nowMS, opened)
	}
	return demand{
		rate:     perSecond(decayed(u.traffic.rate, nowMS-u.traffic.atMS, demandHalfLife), demandHalfLife),
		usual:    perSecond(decayed(u.traffic.usual, usualMS-u.traffic.atMS, usualHalfLife), usualHalfLife),
		inFlight: u.traffic.inFlight,
	}
}

// perSecond is the steady rate at which a fading count stands where it does.
func perSecond(count float64, halfLife time.Duration) float64 {
	return count * math.Ln2 / halfLife.Seconds()
}

// demand is what this region's nodes ask of everybody.
func (f *Fleet) demand(nowMS int64) (all demand) {
	for _, u := range f.order {
		if u == u.provider {
			d := u.demand(nowMS)
			all.rate, all.usual, all.inFlight = all.rate+d.rate, all.usual+d.usual, all.inFlight+d.inFlight
		}
	}
	return all
}

// views are the other regions as they are shown.
func (f *Fleet) views() []*tablev1.RegionView {
	var list []*tablev1.RegionView
	for _, name := range slices.Sorted(maps.Keys(f.regions)) {
		r := f.regions[name]
		list = append(list, &tablev1.RegionView{Region: name, Leader: r.leader, NodesLive: r.nodes, HeardUnixMs: r.heardMS, SharePpm: r.share})
	}
	return list
}
