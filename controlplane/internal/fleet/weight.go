package fleet

import (
	"slices"
	"time"

	"github.com/aimux/aimux/shared/circuit"
)

// ppm is the whole in parts per million.
const ppm = 1_000_000

// The bounds of a weight: what is unhealthy is the last resort, and what is closed keeps a little at least, so that it can show that it is well.
const (
	weightUnhealthy = ppm / 100
	weightMin       = ppm / 20
	weightDegraded  = ppm * 9 / 10
)

// weigh is a target's weight, as a part of its configured share. Priority and price are in that share already; here it is health that speaks: success
// squared, the first token against the target's own baseline and against its peers, overload, what is left of its capacity, and the ramp after it was out.
func (f *Fleet) weigh(u *unit, nowMS int64) uint32 {
	switch state := u.machine.State(); {
	case !state.Closed():
		return 0
	case state == circuit.Unhealthy:
		return weightUnhealthy
	}
	success, _ := u.machine.SuccessShare(nowMS)
	w := success * success * (1 - u.machine.OverloadShare(nowMS)) * u.pace() * u.room() * u.machine.Ramp(nowMS)
	most := float64(ppm)
	if u.machine.State() == circuit.Degraded {
		most = weightDegraded
	}
	return uint32(min(max(w*ppm, weightMin), most))
}

// Slowness that is within the usual costs nothing: half as slow again as its own baseline, three times as slow as its peers.
const (
	usualSlowness = 1.5
	peerSlowness  = 3
	paceMin       = 0.1
)

// pace is 1 for a target as fast as usual, and less as it is slower.
func (u *unit) pace() float64 {
	if u.speed.samples == 0 || u.speed.p50 == 0 {
		return 1
	}
	now := float64(u.speed.p50) / float64(time.Millisecond)
	pace := 1.0
	if u.speed.baseline > 0 {
		pace = min(pace, usualSlowness*u.speed.baseline/now)
	}
	if peers := u.peers(); peers > 0 {
		pace = min(pace, peerSlowness*peers/now)
	}
	return max(pace, paceMin)
}

// peers is the median first token, in ms, of the other targets that serve the same; 0 when there are none.
func (u *unit) peers() float64 {
	if len(u.routes) == 0 {
		return 0
	}
	var list []float64
	for _, m := range u.routes[len(u.routes)-1].members {
		if m.unit != u && m.unit.speed.samples > 0 {
			list = append(list, float64(m.unit.speed.p50)/float64(time.Millisecond))
		}
	}
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[len(list)/2]
}

// room is 1 as long as the provider has capacity to spare, and falls as the last fifth is used.
func (u *unit) room() float64 {
	limit := u.asked.capacity
	if limit <= 0 {
		return 1
	}
	free := 1 - float64(u.provider.inFlight)/limit
	return min(max(free*5, 0.1), 1)
}
