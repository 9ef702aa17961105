package fleet

import (
	"maps"
	"slices"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/clock"
	"github.com/aimux/aimux/shared/outcome"
)

// node is one node as it is heard.
type node struct {
	name, region string
	heardMS      int64 // when anything was last heard
	live         bool
	views        []view  // :: target ID → its view of the target
	outliers     int     // how many of its views are outliers
	rate         float64 // requests it starts, fading by half in rateHalfLife
	rateMS       int64
	heartbeat    *tablev1.Heartbeat // the latest; nil before the first
	skew         clock.Skew         // how far the fleet's time is ahead of the node's
	bootMS       int64              // when the process that counts was first heard
	twin         twin
}

// twin is an older process that runs under the node's name.
type twin struct {
	address string
	heardMS int64
}

// twinAfter is how long the last words of a process that has been replaced may come in.
const twinAfter = time.Second

// twins reports that two processes run under the node's name.
func (f *Fleet) twins(n *node, nowMS int64) bool {
	return n.live && n.twin.heardMS != 0 && nowMS-n.twin.heardMS <= f.config.Silence.Milliseconds()
}

// view is how one target looks from one node.
type view struct {
	// since the first of its recent failures, at markMS: what it saw itself, and what all nodes had seen by then.
	since, mark tally
	markMS      int64
	lastBadMS   int64
	against     float64 // its failures while others' answers were good
	inFlight    uint32
	circuit     circuit.State
	lag         lag
	used        bool // it has asked anything of the target
	failing     bool // mostly failures of late
	lagging     bool // its first tokens come much later than elsewhere
	outlier     bool // its failures are its own
}

// odd reports that the view is not everybody's.
func (v *view) odd() bool { return v.outlier || v.lagging }

// opinion is how all nodes together see a target.
type opinion struct {
	tally
	users, failing int // nodes that use it, and for which it mostly fails
	lag            lag
	lagging        int // nodes for which it is slow
}

// rateHalfLife is how fast a node's rate forgets.
const rateHalfLife = 10 * time.Second

// NodeView is one node as the control plane hears it.
type NodeView struct {
	Name, Region string
	// Live: heard within Config.Silence.
	Live    bool
	HeardAt time.Time
	// Outlier: its view of some target differs from all others'.
	Outlier bool
	// Heartbeat is the latest, nil before the first; read only.
	Heartbeat *tablev1.Heartbeat
}

// Nodes lists the nodes by name.
func (f *Fleet) Nodes() []NodeView {
	list := make([]NodeView, 0, len(f.nodes))
	for _, name := range slices.Sorted(maps.Keys(f.nodes)) {
		n := f.nodes[name]
		list = append(list, NodeView{
			Name: n.name, Region: n.region, Live: n.live, HeardAt: time.UnixMilli(n.heardMS), Outlier: n.outliers > 0 || f.twins(n, n.heardMS), Heartbeat: n.heartbeat,
		})
	}
	return list
}

// node finds the node of that name, or makes it; nil when there are too many.
func (f *Fleet) node(name string) *node {
	n := f.nodes[name]
	if n == nil {
		if name == "" || len(f.nodes) >= f.config.NodesMax {
			f.refused++
			return nil
		}
		n = &node{name: name}
		f.nodes[name] = n
	}
	return n
}

// Heard takes what a node says of itself. Of a node of another region it is only of interest that there is such a region.
func (f *Fleet) Heard(now time.Time, h *tablev1.Heartbeat) {
	nowMS := now.UnixMilli()
	if f.away(h.GetRegion()) {
		f.region(h.GetRegion(), nowMS)
		return
	}
	n := f.node(h.GetNode())
	if n == nil {
		return
	}
	if h.GetBoot() < n.boot() && f.silent(n, nowMS) {
		f.renew(n)
	}
	switch {
	case h.GetBoot() > n.boot():
		n.bootMS = nowMS
	case h.GetBoot() < n.boot() && !h.GetDraining() && nowMS-n.bootMS >= twinAfter.Milliseconds():
		n.twin = twin{h.GetAddress(), nowMS}
	}
	if n.heartbeat != nil && (h.GetBoot() < n.boot() || h.GetBoot() == n.boot() && h.GetSentUnixMs() < n.heartbeat.GetSentUnixMs()) {
		return // late, or of a boot that has ended
	}
	n.heartbeat = h
	n.hear(nowMS, h.GetRegion())
}

// silent reports that nothing was heard of a node for so long that it counts as dead: whoever speaks under its name now is it, whatever its boot says.
func (f *Fleet) silent(n *node, nowMS int64) bool {
	return nowMS-n.heardMS > f.config.Silence.Milliseconds()
}

// renew forgets what a node has told: its clock was ahead when it booted, and it has restarted since.
func (f *Fleet) renew(n *node) {
	n.leave(f)
	n.heartbeat = nil
	f.pool.Forget(n.name)
}

func (n *node) hear(nowMS int64, region string) {
	n.heardMS = max(n.heardMS, nowMS)
	n.live = true
	if region != "" {
		n.region = region
	}
}

// boot of the process that counts; 0 while it has not said.
func (n *node) boot() uint64 {
	if n == nil {
		return 0
	}
	return n.heartbeat.GetBoot()
}

// draining reports that the node takes no new requests, so that a probe granted to it would wait in vain.
func (n *node) draining() bool { return n.heartbeat.GetDraining() }

// view finds the node's view of a target.
func (n *node) view(id int) *view {
	for len(n.views) <= id {
		n.views = append(n.views, view{})
	}
	return &n.views[id]
}

// watch keeps the gauges of a change in the sums over all nodes.
func (n *node) watch(c *outcome.Change, to link, nowMS int64) {
	v := n.view(c.ID)
	to.provider.inFlight += int64(c.Gauges.InFlight) - int64(v.inFlight)
	if to.model != nil {
		to.model.inFlight += int64(c.Gauges.InFlight) - int64(v.inFlight)
	}
	was, is := v.circuit, circuit.State(c.Gauges.Circuit)
	to.subject().tell(was, -1)
	to.subject().tell(is, +1)
	v.circuit = is
	v.inFlight = c.Gauges.InFlight
	n.rate = decayed(n.rate, nowMS-n.rateMS, rateHalfLife) + float64(c.New.Started)
	n.rateMS = nowMS
}

// tell counts a node's own circuit in or out.
func (u *unit) tell(s circuit.State, by int) {
	if s != circuit.Unknown && !s.Closed() {
		u.nodesOpen += by
	}
}

// What makes a node an outlier for a target: this many failures of its own after so many answers of others were good and hardly any failed; and
// no more than a third of the nodes that use the target are so.
const (
	outlierBad    = 3
	outlierOthers = 5
	outlierShare  = 0.1
	outlierNodes  = 3
	outlierWeight = 0.1
	outlierMemory = 30 * time.Second
)

// suspect takes a node's latest answers from a target, and reports whether its view is an outlier.
func (f *Fleet) suspect(n *node, id int, seen tally, nowMS int64) bool {
	for len(f.pooled) <= id {
		f.pooled = append(f.pooled, opinion{})
	}
	all := &f.pooled[id]
	v := n.view(id)
	if !v.used && seen.ok+seen.bad > 0 {
		v.used = true
		all.users++
	}
	if seen.bad > 0 {
		if v.markMS == 0 || nowMS-v.lastBadMS > outlierMemory.Milliseconds() {
			v.mark, v.markMS, v.since, v.against = all.tally, nowMS, tally{}, 0
		}
		v.lastBadMS = nowMS
		if v.contradicted(all) {
			v.against += seen.bad
		}
	}
	all.ok += seen.ok
	all.bad += seen.bad
	if v.markMS != 0 {
		v.since.ok += seen.ok
		v.since.bad += seen.bad
	}
	n.reconsider(v, all, nowMS)
	return v.odd()
}

// contradicted reports that others' answers have been good since this view's failures began.
func (v *view) contradicted(all *opinion) bool {
	others := tally{all.ok - v.mark.ok - v.since.ok, all.bad - v.mark.bad - v.since.bad}
	return others.ok >= outlierOthers && others.bad <= outlierShare*(others.ok+others.bad)
}

// reconsider decides whether a view is an outlier now.
func (n *node) reconsider(v *view, all *opinion, nowMS int64) {
	failing := v.markMS != 0 && nowMS-v.lastBadMS <= outlierMemory.Milliseconds() && v.since.bad >= outlierBad && v.since.bad >= v.since.ok
	if failing != v.failing {
		v.failing = failing
		all.failing += sign(failing)
	}
	if outlier := failing && v.against >= outlierBad && outlierNodes*all.failing <= all.users && v.contradicted(all); outlier != v.outlier {
		n.mark(v, outlier, v.lagging)
	}
}

// mark notes what is odd about a view now, and counts the views that are.
func (n *node) mark(v *view, outlier, lagging bool) {
	was := v.odd()
	v.outlier, v.lagging = outlier, lagging
	if v.odd() != was {
		n.outliers += sign(v.odd())
	}
}

func sign(up bool) int {
	if up {
		return 1
	}
	return -1
}

// sweep does once a second what needs no hurry: who lives, who is an outlier, how fast everybody is.
func (f *Fleet) sweep(nowMS int64) {
	for name, n := range f.nodes {
		silent := nowMS - n.heardMS
		if n.live && silent > f.config.Silence.Milliseconds() {
			n.live = false
			n.leave(f)
		}
		if silent > f.config.Forget.Milliseconds() {
			delete(f.nodes, name)
			f.pool.Forget(name)
			continue
		}
		for id := range n.views {
			if id >= len(f.pooled) {
				break
			}
			v := &n.views[id]
			if v.markMS != 0 {
				n.reconsider(v, &f.pooled[id], nowMS)
			}
			n.pace(v, &f.pooled[id], nowMS)
		}
	}
	for name, r := range f.regions {
		if nowMS-r.signMS > f.config.Forget.Milliseconds() {
			delete(f.regions, name)
			f.moved = true
		}
	}
	for _, u := range f.order {
		u.traffic.sample(nowMS, max(u.inFlight, 0))
		if u.key.credential == "" && u.key.model != "" {
			u.speed.sweep(&f.scratch, nowMS, u.machine.State() == circuit.Healthy)
			u.machine.Latency(nowMS, u.speed.p99)
		}
	}
}

// leave takes a silent node out of the sums; if it speaks again, it counts from there.
func (n *node) leave(f *Fleet) {
	for id := range n.views {
		v := &n.views[id]
		if id < len(f.links) {
			to := f.links[id]
			if to.provider != nil {
				to.provider.inFlight -= int64(v.inFlight)
				to.subject().tell(v.circuit, -1)
			}
			if to.model != nil {
				to.model.inFlight -= int64(v.inFlight)
			}
		}
		if id < len(f.pooled) && v.used {
			f.pooled[id].users--
			if v.failing {
				f.pooled[id].failing--
			}
			if v.lagging {
				f.pooled[id].lagging--
			}
			f.pooled[id].lag.take(&v.lag)
		}
		*v = view{}
	}
	n.outliers, n.rate = 0, 0
}

// recount makes the sums over all nodes anew, for a new catalog.
func (f *Fleet) recount() {
	for _, u := range f.order {
		u.inFlight, u.nodesOpen = 0, 0
	}
	for _, n := range f.nodes {
		for id := range n.views {
			v := &n.views[id]
			to := f.link(id, f.pool.Targets()[id])
			if to.provider == nil {
				continue
			}
			to.provider.inFlight += int64(v.inFlight)
			to.subject().tell(v.circuit, +1)
			if to.model != nil {
				to.model.inFlight += int64(v.inFlight)
			}
		}
	}
}
