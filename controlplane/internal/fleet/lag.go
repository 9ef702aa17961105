package fleet

import (
	"fmt"
	"math"
	"time"

	"github.com/aimux/aimux/shared/outcome"
)

// lag is how late first tokens come: the sum of their logarithms, and how many there were, both fading.
type lag struct {
	logs, n float64
	atMS    int64
}

// What makes a node slow for a target: at least this many first tokens of late, here and elsewhere, that take so many times as long as elsewhere, and
// so much longer; it is no longer slow when they take less than lagBack times as long. No more than a third of the nodes are so.
const (
	lagHalfLife = 20 * time.Second
	lagSamples  = 8
	lagTimes    = 3
	lagBack     = 2
	lagLeast    = 200 * time.Millisecond
)

// add counts some first tokens.
func (l *lag) add(nowMS int64, s *outcome.Sketch, n float64) {
	if n == 0 {
		return
	}
	l.fade(nowMS)
	l.logs += n * math.Log(float64(max(s.Typical(), time.Microsecond)))
	l.n += n
}

func (l *lag) fade(nowMS int64) {
	left := decayed(1, nowMS-l.atMS, lagHalfLife)
	l.logs, l.n, l.atMS = l.logs*left, l.n*left, max(l.atMS, nowMS)
}

// take takes away what another has counted in it.
func (l *lag) take(o *lag) {
	o.fade(l.atMS)
	l.logs, l.n = l.logs-o.logs, max(l.n-o.n, 0)
}

// typical is the geometric mean; 0 when there are too few to tell.
func (l lag) typical() time.Duration {
	if l.n < lagSamples {
		return 0
	}
	return time.Duration(math.Exp(l.logs / l.n))
}

// elsewhere is what all others have counted.
func (v *view) elsewhere(all *opinion) lag {
	others := all.lag
	own := v.lag
	others.take(&own)
	return others
}

// timed takes a node's latest first tokens from a target.
func (f *Fleet) timed(n *node, id int, s *outcome.Sketch, nowMS int64) {
	count := float64(s.Count())
	n.view(id).lag.add(nowMS, s, count)
	f.pooled[id].lag.add(nowMS, s, count)
}

// pace decides whether the target is slow for this node, and for hardly anybody else.
func (n *node) pace(v *view, all *opinion, nowMS int64) {
	if v.lag.n == 0 && !v.lagging {
		return
	}
	v.lag.fade(nowMS)
	all.lag.fade(nowMS)
	here, there := v.lag.typical(), v.elsewhere(all).typical()
	slow := v.lagging && here != 0 && there != 0 && here >= lagBack*there
	if !v.lagging {
		slow = there != 0 && here >= lagTimes*there && here-there >= lagLeast && outlierNodes*(all.lagging+1) <= all.users
	}
	if slow != v.lagging {
		all.lagging += sign(slow)
		n.mark(v, v.outlier, slow)
	}
}

// oddity says what is odd about a node, for people.
func (f *Fleet) oddity(n *node, nowMS int64) string {
	if f.twins(n, nowMS) {
		return fmt.Sprintf("two processes run under its name, at %s and, begun earlier, at %s, whose word is not counted: give each an --id of its own", n.heartbeat.GetAddress(), n.twin.address)
	}
	for id := range n.views {
		v := &n.views[id]
		if !v.odd() {
			continue
		}
		t := f.pool.Targets()[id]
		k := key{provider: t.Provider, model: t.Model}
		if v.outlier {
			return fmt.Sprintf("%.0f answers of %s failed for it, while others' were good", v.since.bad, k)
		}
		return fmt.Sprintf("first tokens of %s take %v there, and %v elsewhere", k, v.lag.typical().Round(time.Millisecond), v.elsewhere(&f.pooled[id]).typical().Round(time.Millisecond))
	}
	return ""
}
