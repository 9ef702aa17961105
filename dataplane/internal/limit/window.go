package limit

import (
	"maps"
	"slices"
)

// Units, which are requests or tokens, are drawn from a window: what was drawn within the last minute, by the second. Unlike a bucket
// it lets a burst have the whole limit at once and still never gives more than the limit within any 60 s.

// windowS is over how many seconds a limit holds.
const windowS = 60

// unitAsk is what a node wants of a limit per minute.
type unitAsk struct {
	// limit per minute for the whole cluster.
	limit int64
	// want is drawn as far as there is room.
	want int64
	// owe was used without having been drawn: it is written down whatever the limit says.
	owe int64
	// back was drawn and not used.
	back int64
	// again was drawn from a source that has forgotten it, by how many seconds ago.
	again []int64
}

// window is one limit per minute, at the source: units drawn, by second.
type window struct {
	// bornMs is when the source began to know of it.
	bornMs int64
	cells  map[int64]int64
}

// draw gives at most what is left of the limit, and says how long to wait, in milliseconds, when that is less than was wanted; left is what
// nobody has drawn yet.
func (w *window) draw(nowMs int64, a unitAsk) (granted, waitMs, left int64) {
	if w.cells == nil {
		w.bornMs, w.cells = nowMs, make(map[int64]int64)
	}
	now := nowMs / 1000
	for ago, units := range a.again {
		if units > 0 {
			w.cells[now-int64(ago)] += units
		}
	}
	for second, units := range w.cells {
		if second > now { // the clock was set back
			delete(w.cells, second)
			w.cells[now] += units
		}
	}
	oldest, used := now, int64(0)
	// The running second and the 60 before it: a window of exactly 60 s never sees more.
	for _, second := range slices.Sorted(maps.Keys(w.cells)) {
		units := w.cells[second]
		// What comes back is taken from the oldest first. The second it was drawn in may be a later one, so this errs on the side of
		// the limit.
		returned := int64(0)
		if second >= now-windowS {
			returned = min(units, a.back)
		}
		units, a.back = units-returned, a.back-returned
		if second < now-windowS || units == 0 {
			delete(w.cells, second)
			continue
		}
		w.cells[second] = units
		oldest, used = min(oldest, second), used+units
	}
	granted = min(a.want, max(a.limit-used-a.owe, 0))
	if drawn := granted + a.owe; drawn > 0 {
		w.cells[now] += drawn
	}
	if granted < a.want {
		waitMs = (oldest+windowS+1)*1000 - nowMs
	}
	return granted, waitMs, max(a.limit-used-a.owe-granted, 0)
}

// ago is what was drawn, by how many seconds ago it was.
func (w *window) ago(nowMs int64) []int64 {
	list := make([]int64, windowS+1)
	for second, units := range w.cells {
		if ago := nowMs/1000 - second; ago >= 0 && ago <= windowS {
			list[ago] = units
		}
	}
	return list
}

// used is what was drawn within the last minute.
func (w *window) used(nowMs int64) (units int64) {
	for second, drawn := range w.cells {
		if second >= nowMs/1000-windowS {
			units += drawn
		}
	}
	return units
}
