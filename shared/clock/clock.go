// Package clock keeps time that nobody can set, and translates the moments that others tell by clocks of their own.
//
// A party counts by a Steady: the wall clock as it stood when the party began, and from then on what has passed. Where it is told moments by another,
// a Skew says how far apart the two clocks are. So a wall clock that is set, or was never right, moves no timer: not here, and not at who hears of it.
package clock

import "time"

// Steady is the clock of one party. The zero Steady shows what the wall clock shows.
type Steady struct{ begin time.Time }

// Begin starts a clock at now, which must come from the system.
func Begin(now time.Time) Steady { return Steady{now} }

// At is what the clock shows at now, which must come from the system: nobody has set it between the two.
func (s Steady) At(now time.Time) time.Time {
	if s.begin.IsZero() {
		return now
	}
	return s.begin.Add(now.Sub(s.begin))
}

// Ms is At in milliseconds since 1970.
func (s Steady) Ms(now time.Time) int64 { return s.At(now).UnixMilli() }

// Tolerance is how far apart two clocks are at most that count as showing the same: what a message may take on its way, and more than clocks that
// are kept in time differ.
const Tolerance = time.Second

// Ahead is how far the wall clock has been set forward since the clock began, or back if it is negative: what is to be added to moments that people are
// shown.
func (s Steady) Ahead(now time.Time) time.Duration {
	return apart(now.Round(0).Sub(s.At(now).Round(0))) // without what the two have in common, which is the monotonic part
}

func apart(d time.Duration) time.Duration {
	if d.Abs() <= Tolerance {
		return 0
	}
	return d
}

// Skew is how far this party's clock is ahead of another's, from what that one says when it says it. A message takes its time, and may have waited
// for long: the fastest counts. The zero Skew has heard nothing.
type Skew struct {
	epoch uint64
	least int64 // ms
	heard bool
}

// Hear takes a message of the speaker of that epoch, and answers how far this clock is ahead of his: what is to be added to the moments in it. nowMs is
// this clock's time, issuedMs his when he spoke, 0 if he did not say.
func (s *Skew) Hear(nowMs int64, epoch uint64, issuedMs int64) time.Duration {
	if issuedMs == 0 {
		return 0
	}
	if late := nowMs - issuedMs; !s.heard || epoch != s.epoch || late < s.least {
		*s = Skew{epoch: epoch, least: late, heard: true}
	}
	return apart(time.Duration(s.least) * time.Millisecond)
}

// EpochMax is the last epoch that anybody believes, in which a millisecond since 1970 stands above 16 bits: that of the year 4199. Epochs only order who
// speaks, so a leader whose clock is wrong by years does no harm: who comes after it claims the next. But there must be a next.
const EpochMax = uint64(1)<<62 - 1
