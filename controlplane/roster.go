package controlplane

import (
	"maps"
	"slices"
	"time"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/telemetry"
)

const (
	nodeSilence  = 3 * time.Second
	nodeForget   = 10 * time.Minute
	nodesMax     = 4096
	revisionsMax = 64
)

// roster is which nodes there are and how far each has come. It belongs to the loop.
type roster struct {
	nodes map[string]*member
	// spreads of recent revisions, newest last; revisions grow.
	spreads []*spread
	// dropped counts heartbeats of nodes beyond nodesMax.
	dropped uint64
}

type member struct {
	beat  *tablev1.Heartbeat
	heard time.Time
	// began is when this process was first heard, twin what an older one says that runs under the same name.
	began time.Time
	twin  *member
}

// twinAfter is how long the last words of a process that has been replaced may come in.
const twinAfter = time.Second

// spread is how one revision reaches the nodes.
type spread struct {
	revision  uint64
	published time.Time
	acked     map[string]bool
	lastAck   time.Duration
}

func newRoster() *roster { return &roster{nodes: map[string]*member{}} }

// published notes that a revision is in force here from now on.
func (r *roster) published(now time.Time, revision uint64) {
	r.spreads = append(r.spreads, &spread{revision: revision, published: now, acked: map[string]bool{}})
	if len(r.spreads) > revisionsMax {
		r.spreads = slices.Delete(r.spreads, 0, 1)
	}
}

// heard takes a heartbeat, and gives acks the time that each new ACK took. It answers whether the node stands differently than before, as far
// as anybody may wait for.
func (r *roster) heard(now time.Time, beat *tablev1.Heartbeat, acks *telemetry.Histogram) (changed bool) {
	before := r.nodes[beat.GetNode()]
	switch {
	case before == nil && len(r.nodes) >= nodesMax:
		r.dropped++
		return false
	case before != nil && beat.GetBoot() < before.beat.GetBoot() && r.live(now, before):
		return before.hearTwin(now, beat)
	}
	next := &member{beat: beat, heard: now, began: now}
	if before != nil {
		next.twin = before.twin
		if before.beat.GetBoot() == beat.GetBoot() {
			next.began = before.began
		}
	}
	r.nodes[beat.GetNode()] = next
	for _, s := range r.spreads {
		if s.revision <= beat.GetApplied().GetConfigRevision() && !s.acked[beat.GetNode()] {
			s.acked[beat.GetNode()] = true
			s.lastAck = max(s.lastAck, now.Sub(s.published))
			if before != nil { // a node that has just started was not there to be told
				acks.Observe(now.Sub(s.published))
			}
			changed = true
		}
	}
	return changed || before == nil || before.beat.GetNack().GetConfigRevision() != beat.GetNack().GetConfigRevision()
}

// hearTwin takes the heartbeat of an older process of the same name, unless it is the last words of one that was replaced.
func (m *member) hearTwin(now time.Time, beat *tablev1.Heartbeat) (changed bool) {
	if beat.GetDraining() || now.Sub(m.began) < twinAfter {
		return false
	}
	before := m.twin
	m.twin = &member{beat: beat, heard: now}
	return before == nil || before.beat.GetApplied().GetConfigRevision() != beat.GetApplied().GetConfigRevision()
}

// forget drops nodes that have been silent for long.
func (r *roster) forget(now time.Time) {
	maps.DeleteFunc(r.nodes, func(_ string, m *member) bool { return now.Sub(m.heard) > nodeForget })
}

func (r *roster) live(now time.Time, m *member) bool { return now.Sub(m.heard) < nodeSilence }

// list is all nodes in the order of their names.
func (r *roster) list(now time.Time, health *tablev1.Health) []*adminv1.NodeEntry {
	all := make([]*adminv1.NodeEntry, 0, len(r.nodes))
	for _, name := range slices.Sorted(maps.Keys(r.nodes)) {
		m := r.nodes[name]
		one := &adminv1.NodeEntry{
			Heartbeat: m.beat, Live: r.live(now, m), LastHeardUnixMs: m.heard.UnixMilli(),
			Drift: r.drift(m.beat.GetApplied().GetConfigRevision()),
		}
		if i := slices.Index(health.GetOutliers(), name); i >= 0 {
			one.Outlier, one.OutlierReason = true, health.GetOutlierReasons()[i]
		}
		all = append(all, one)
		if twin := m.twin; twin != nil && r.live(now, twin) && r.live(now, m) {
			all = append(all, &adminv1.NodeEntry{
				Heartbeat: twin.beat, Live: true, LastHeardUnixMs: twin.heard.UnixMilli(), Drift: r.drift(twin.beat.GetApplied().GetConfigRevision()),
				Outlier: one.GetOutlier(), OutlierReason: one.GetOutlierReason(),
			})
		}
	}
	return all
}

// drift is how many of the known revisions are newer than applied.
func (r *roster) drift(applied uint64) (behind uint64) {
	for _, s := range r.spreads {
		if s.revision > applied {
			behind++
		}
	}
	return behind
}

// convergence is how recent revisions spread over the nodes that live now, newest last.
func (r *roster) convergence(now time.Time) []*adminv1.Convergence {
	all := make([]*adminv1.Convergence, 0, len(r.spreads))
	for _, s := range r.spreads {
		c := &adminv1.Convergence{
			ConfigRevision: s.revision, PublishedUnixMs: s.published.UnixMilli(),
			LastAckUs: uint64(s.lastAck.Microseconds()),
		}
		for name, m := range r.nodes {
			if !r.live(now, m) {
				continue
			}
			c.Nodes++
			switch {
			case s.acked[name]:
				c.Acked++
			case m.beat.GetNack().GetConfigRevision() == s.revision:
				c.Nacked++
			}
		}
		all = append(all, c)
	}
	return all
}
