package notify

import (
	"cmp"
	"slices"
	"time"
)

// The bounds of what one webhook is owed, and of trying.
const (
	queueMax   = 256
	ageMax     = time.Hour
	pauseMax   = 30 * time.Second
	pauseFirst = time.Second
)

// queue is what one webhook is still to be told. It asks no clock, and belongs to who guards it.
//
// What was tried least goes first, so an event that fails stands aside for whatever is new. While the receiver is well the oldest of those goes first, while
// it is failing the newest: that says how things are. One try at a time, and after a failure a pause, which grows with each failure in a row; for what was never
// tried it is the shortest.
type queue struct {
	// owed is in the order of the events' Seq.
	owed []debt
	// failures in a row, the last at failed.
	failures int
	failed   time.Time
	// pause is the shortest.
	pause time.Duration
	fates [fates]uint64
}

// debt is an event, and how often it was tried.
type debt struct {
	event Event
	tries int
}

// Fate is what became of an event for one webhook.
type Fate int

// Delivered events were taken; those Refused were answered with a status that says never to ask again; Full found no room, or made room for newer ones; Late are
// those that were not taken within an hour.
const (
	Delivered Fate = iota
	Refused
	Full
	Late
	fates
)

// fateNames are by Fate.
var fateNames = [fates]string{"delivered", "refused", "full", "late"}

// String is the fate's name.
func (f Fate) String() string { return fateNames[f] }

// add owes an event. When there are too many, the oldest makes room.
func (q *queue) add(e Event) {
	at, known := slices.BinarySearchFunc(q.owed, e, func(d debt, e Event) int {
		return cmp.Or(cmp.Compare(d.event.Seq, e.Seq), cmp.Compare(d.event.ID, e.ID))
	})
	if known {
		return
	}
	q.owed = slices.Insert(q.owed, at, debt{event: e})
	if len(q.owed) > queueMax {
		q.owed = slices.Delete(q.owed, 0, 1)
		q.fates[Full]++
	}
}

// next is the event to try, or how long there is none to try: for ever when that is negative.
func (q *queue) next(now time.Time) (e Event, wait time.Duration) {
	q.owed = slices.DeleteFunc(q.owed, func(d debt) bool {
		late := now.Sub(d.event.At) > ageMax
		if late {
			q.fates[Late]++
		}
		return late
	})
	if len(q.owed) == 0 {
		return Event{}, -1
	}
	best := q.owed[0]
	for _, d := range q.owed[1:] {
		if d.tries < best.tries || d.tries == best.tries && q.failures > 0 {
			best = d
		}
	}
	if q.failures == 0 {
		return best.event, 0
	}
	pause := q.pause
	if best.tries > 0 {
		pause = min(q.pause<<min(q.failures-1, 16), pauseMax)
	}
	return best.event, max(q.failed.Add(pause).Sub(now), 0)
}

// settle notes how a try went: the event has found its fate, or it is to be tried again.
func (q *queue) settle(now time.Time, id string, fate Fate, failed bool) {
	if failed {
		q.failures++
		q.failed = now
	} else {
		q.failures = 0
	}
	at := slices.IndexFunc(q.owed, func(d debt) bool { return d.event.ID == id })
	switch {
	case !failed:
		q.fates[fate]++
		if at >= 0 { // else it made room while it was tried
			q.owed = slices.Delete(q.owed, at, at+1)
		}
	case at >= 0:
		q.owed[at].tries++
	}
}
