package notify

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Every event finds one fate or is owed, whatever receivers do; what is new is never behind what has failed, and no two tries of a failing receiver follow each
// other at once.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
		q := queue{pause: time.Second}
		added, tries := uint64(0), map[string]int{}
		var last time.Time // of a failure, when nothing has gone well since
		for range rapid.IntRange(1, 800).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				added++
				q.add(Event{ID: fmt.Sprint(added), Seq: added, At: now})
			case 1:
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "pause")))
			default:
				e, wait := q.next(now)
				if wait < 0 != (len(q.owed) == 0) {
					t.Fatalf("owes %d, waits %v", len(q.owed), wait)
				}
				if wait != 0 {
					break
				}
				for _, d := range q.owed {
					if tries[d.event.ID] < tries[e.ID] {
						t.Fatalf("%s, which failed %d times, goes before %s", e.ID, tries[e.ID], d.event.ID)
					}
				}
				if !last.IsZero() && now.Sub(last) < q.pause {
					t.Fatalf("tried again after %v", now.Sub(last))
				}
				failed := rapid.Bool().Draw(t, "fails")
				tries[e.ID]++
				q.settle(now, e.ID, Delivered, failed)
				if last = now; !failed {
					last = time.Time{}
				}
			}
			sum := uint64(len(q.owed))
			for _, n := range q.fates {
				sum += n
			}
			if sum != added || len(q.owed) > queueMax {
				t.Fatalf("%d events were told; %d are owed, fates %v", added, len(q.owed), q.fates)
			}
		}
	})
}

// A receiver that is well hears in order; one that fails hears the newest first, and all the rest in order as soon as it is well.
func TestOrder(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	q := queue{pause: time.Second}
	for seq := range uint64(6) {
		q.add(Event{ID: fmt.Sprint(seq), Seq: seq, At: now})
	}
	order := ""
	for _, failed := range []bool{false, true, true, false, false, false, false, false} {
		e, wait := q.next(now.Add(time.Hour / 2))
		now = now.Add(max(wait, 0) + time.Second)
		order += e.ID
		q.settle(now, e.ID, Delivered, failed)
	}
	if order != "01542315" {
		t.Errorf("tried in the order %s", order)
	}
}

// Who fails for ever is asked ever more rarely, and given up after an hour.
func TestGivenUp(t *testing.T) {
	begin := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	now, tries := begin, 0
	q := queue{pause: time.Second}
	q.add(Event{ID: "a", At: now})
	for {
		e, wait := q.next(now)
		if wait < 0 {
			break
		}
		if now = now.Add(wait); wait == 0 {
			tries++
			q.settle(now, e.ID, 0, true)
		}
	}
	if after := now.Sub(begin); q.fates[Late] != 1 || after < ageMax || after > ageMax+pauseMax || tries < 100 || tries > 130 {
		t.Errorf("given up after %v and %d tries: %v", after, tries, q.fates)
	}
}
