package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aimux/aimux/shared/circuit"
)

// heeding is what a unit has to do with other regions' word.
type heeding struct {
	// active: the circuit is open here because of them, and nothing was seen here that says the same.
	active bool
	// by names whom was heeded, with the opening that it told of: nobody is heeded twice for one.
	by map[string]int64
	// distrustMS is until when they are not heeded, because this region's probes have shown the contrary.
	distrustMS int64
}

const (
	// heedOthers: as soon as so many other regions find a target out, it is out everywhere; or, of a model, those that have heedTraffic of all of
	// its usual requests. A credential that one region is refused with is refused everywhere.
	heedOthers  = 2
	heedTraffic = 0.5
	// heedHold: as long as the own last good answer is not older, most of them being good, others' word changes nothing here.
	heedHold = 2 * time.Second
	// heedWait is when the first probe of what is out by others' word is due, distrust how long the contrary of their word is remembered.
	heedWait = 2 * time.Second
	distrust = 10 * time.Minute
)

// word is what the other regions say of a target.
type word struct {
	open   []string // regions that find it out by themselves, sorted
	traced string   // why one of them does
	news   bool     // somebody says so who was not heeded for that yet
	agreed bool     // enough of them
	share  float64  // of its usual requests that are theirs
}

// listen sums up what the other regions say of a target.
func (f *Fleet) listen(u *unit, nowMS int64) (w word) {
	var theirs, all float64
	for name, r := range f.regions {
		t := r.targets[u.key]
		all += t.demand.usual
		if !t.out || nowMS-r.heardMS > regionSilence.Milliseconds() {
			continue
		}
		w.open = append(w.open, name)
		w.news = w.news || u.heed.by[name] != t.openedMS
		theirs += t.demand.usual
		w.traced = t.reason
	}
	if len(w.open) == 0 {
		return w
	}
	slices.Sort(w.open)
	w.traced, _, _ = strings.Cut(f.regions[w.open[0]].targets[u.key].reason, ";")
	if all += u.demand(nowMS).usual; all > 0 {
		w.share = theirs / all
	}
	w.agreed = len(w.open) >= heedOthers || u.key.credential != "" || u.key.model != "" && w.share >= heedTraffic
	return w
}

// String tells an operator why it is out here too.
func (w word) String() string {
	why := "out in " + strings.Join(w.open, " and in ")
	if len(w.open) < heedOthers && w.share > 0 {
		why += fmt.Sprintf(", from where %.0f %% of its requests come", 100*w.share)
	}
	if w.traced != "" {
		why += ": " + w.traced
	}
	return why
}

// well reports that what this region sees itself contradicts those who find the target out.
func (u *unit) well(nowMS int64) bool {
	share, samples := u.machine.SuccessShare(nowMS)
	return nowMS-u.okMS <= heedHold.Milliseconds() && (samples == 0 || share >= 0.5)
}

// obey lets the other regions' word work on a circuit.
func (f *Fleet) obey(u *unit, nowMS int64, l circuit.Latitude) {
	if len(f.regions) == 0 {
		return
	}
	w := f.listen(u, nowMS)
	switch closed := u.machine.State().Closed(); {
	case closed && u.heed.active: // its own probes have passed
		u.heed.active = false
		if len(w.open) > 0 {
			u.heed.distrustMS = nowMS + distrust.Milliseconds()
		}
	case closed && w.agreed && w.news && nowMS >= u.heed.distrustMS && !u.well(nowMS) && u.provider.override(nowMS) == "" && f.mayOpen(u, nowMS):
		f.open(u, w, nowMS)
	case !closed && u.heed.active && l&circuit.MayRaise != 0 && f.revoked(u, nowMS):
		u.heed.active = false
		if u.machine.Adopt(nowMS, circuit.Memory{State: circuit.Healthy, RampMS: nowMS}).Changed() {
			u.why = "well again in " + strings.Join(slices.Sorted(maps.Keys(u.heed.by)), " and in ") + ", by whose word it was out"
		}
	}
}

// open opens a circuit by others' word.
func (f *Fleet) open(u *unit, w word, nowMS int64) {
	m := circuit.Memory{State: circuit.Open, Opens: 1, SinceMS: nowMS, OpenedMS: nowMS, RetryMS: nowMS + heedWait.Milliseconds()}
	if !u.machine.Adopt(nowMS, m).Changed() {
		return
	}
	u.why = w.String()
	u.heed.active, u.heed.by = true, f.openings(u, w.open)
}

// openings are which opening each of these regions tells of.
func (f *Fleet) openings(u *unit, regions []string) map[string]int64 {
	by := make(map[string]int64, len(regions))
	for _, name := range regions {
		if r := f.regions[name]; r != nil {
			by[name] = r.targets[u.key].openedMS
		}
	}
	return by
}

// revoked reports that everybody who was heeded is heard, and says no more what he did. Who falls silent has not taken his word back.
func (f *Fleet) revoked(u *unit, nowMS int64) bool {
	for name := range u.heed.by {
		r := f.regions[name]
		if r == nil || nowMS-r.heardMS > regionSilence.Milliseconds() || r.targets[u.key].out {
			return false
		}
	}
	return len(u.heed.by) > 0
}
