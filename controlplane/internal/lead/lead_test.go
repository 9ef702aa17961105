package lead

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aimux/aimux/shared/clock"
)

var dawn = time.UnixMilli(1_764_000_000_000)

func TestAFirstReplicaLeadsAfterTheSilence(t *testing.T) {
	l := New(Config{Replica: "cp-1", Jitter: 0.5}, dawn)
	if l.Tick(dawn.Add(204*time.Millisecond), true) || l.Leading() {
		t.Error("claims before silence and jitter are over")
	}
	if l.Tick(dawn.Add(time.Minute), false) {
		t.Error("claims with nothing to say")
	}
	if !l.Tick(dawn.Add(time.Minute), true) || !l.Leading() || l.Leader() != "cp-1" {
		t.Error("does not claim")
	}
	if l.Tick(dawn.Add(time.Minute+49*time.Millisecond), true) || !l.Tick(dawn.Add(time.Minute+50*time.Millisecond), true) {
		t.Error("does not beat every 50 ms")
	}
}

func TestADeposedLeaderFallsSilent(t *testing.T) {
	l := New(Config{Replica: "cp-1"}, dawn)
	now := dawn.Add(time.Second)
	l.Tick(now, true)
	if follow := l.Hear(now, l.Epoch()+1, "cp-2"); !follow || l.Leading() || l.Leader() != "cp-2" {
		t.Error("a higher epoch is not followed")
	}
	if l.Tick(now.Add(100*time.Millisecond), true) {
		t.Error("speaks after it was deposed")
	}
}

// Nodes ignore everything below the highest epoch they have heard. A leader that does not know of that epoch, its own of an earlier life
// on a faster clock for one, would speak to nobody for ever.
func TestALeaderLearnsFromNodesThatItIsOutbid(t *testing.T) {
	l := New(Config{Replica: "cp-1"}, dawn)
	now := dawn.Add(time.Second)
	l.Tick(now, true)
	elsewhere := uint64(now.Add(time.Minute).UnixMilli()) << idBits
	if l.Outbid(now, elsewhere); l.Leading() {
		t.Error("goes on leading below what nodes follow")
	}
	if l.Tick(now.Add(time.Millisecond), true) {
		t.Error("does not wait for whoever holds the epoch")
	}
	if !l.Tick(now.Add(time.Second), true) || l.Epoch() <= elsewhere {
		t.Errorf("claims epoch %d, not above %d", l.Epoch(), elsewhere)
	}
	if l.Outbid(now, clock.EpochMax+1); l.Rejected() != 1 || !l.Leading() {
		t.Error("believes an epoch after which there is no next")
	}
}

func TestALowerClaimIsAnsweredAtOnce(t *testing.T) {
	l := New(Config{Replica: "cp-1"}, dawn)
	now := dawn.Add(time.Second)
	l.Tick(now, true)
	now = now.Add(time.Millisecond)
	if l.Hear(now, l.Epoch()-1, "cp-2") || !l.Leading() {
		t.Error("a lower epoch is followed")
	}
	if !l.Tick(now, true) {
		t.Error("a deposed leader is left waiting")
	}
}

func TestEqualEpochsAreOrderedByName(t *testing.T) {
	l := New(Config{Replica: "cp-2"}, dawn)
	l.Tick(dawn.Add(time.Second), true)
	if l.Hear(dawn, l.Epoch(), "cp-1") || !l.Hear(dawn, l.Epoch(), "cp-3") {
		t.Error("of two with one epoch the later name leads")
	}
}

// Whoever leads by a clock that is wrong by hours or years is followed, and outlived: the next claim is above his.
func TestAClaimFromTheFutureIsOutlived(t *testing.T) {
	l := New(Config{Replica: "cp-1"}, dawn)
	for _, ahead := range []time.Duration{30 * time.Minute, 2 * time.Hour, 50 * 365 * 24 * time.Hour} {
		claim := uint64(dawn.Add(ahead).UnixMilli()) << 16
		if !l.Hear(dawn, claim, "cp-2") {
			t.Errorf("does not follow a leader whose clock is %v ahead", ahead)
		}
		if l.Tick(dawn.Add(time.Second), true); !l.Leading() || l.Epoch() <= claim {
			t.Errorf("claims epoch %d after a leader of %d has died", l.Epoch(), claim)
		}
	}
	if l.Hear(dawn, clock.EpochMax+1, "cp-2") || l.Rejected() != 1 {
		t.Error("follows an epoch after which there is no next")
	}
	mad := New(Config{Replica: "cp-3"}, dawn)
	if mad.Tick(dawn.AddDate(5000, 0, 0), true); !mad.Leading() || mad.Epoch() > clock.EpochMax/2 {
		t.Errorf("a clock in the year 7000 claims epoch %d", mad.Epoch())
	}
}

// world is a region of replicas on a bus that loses and delays, with clocks that differ.
type world struct {
	replicas []*Lead
	skew     []time.Duration
	dead     []bool
	side     []int // replicas hear each other on the same side only
	mail     []letter
	claims   map[uint64]string
}

type letter struct {
	at     time.Time
	to     int
	epoch  uint64
	leader string
}

// step passes time by a tick: beats go out, after a delay or never, and what has arrived is heard.
func (w *world) step(t *rapid.T, now time.Time, loss int) {
	w.mail = slices.DeleteFunc(w.mail, func(m letter) bool {
		if m.at.After(now) {
			return false
		}
		if !w.dead[m.to] {
			w.replicas[m.to].Hear(now.Add(w.skew[m.to]), m.epoch, m.leader)
		}
		return true
	})
	for i, l := range w.replicas {
		if w.dead[i] || !l.Tick(now.Add(w.skew[i]), true) {
			continue
		}
		if other, taken := w.claims[l.Epoch()]; taken && other != l.Leader() {
			t.Fatalf("%s and %s both claim %d", other, l.Leader(), l.Epoch())
		}
		w.claims[l.Epoch()] = l.Leader()
		for j := range w.replicas {
			if i != j && w.side[i] == w.side[j] && rapid.IntRange(0, 99).Draw(t, "loss") >= loss {
				delay := time.Duration(rapid.IntRange(0, 10).Draw(t, "delay")) * time.Millisecond
				w.mail = append(w.mail, letter{now.Add(delay), j, l.Epoch(), l.Leader()})
			}
		}
	}
}

func (w *world) leaders() (names []string) {
	for i, l := range w.replicas {
		if !w.dead[i] && l.Leading() {
			names = append(names, l.Leader())
		}
	}
	return names
}

// Whatever is lost, cut or killed: claims are unique, no replica's epoch goes down, and 300 ms after the bus is whole again one
// replica leads and all follow it.
func TestOneLeaderOnceTheBusIsWhole(t *testing.T) {
	const tick = 5 * time.Millisecond
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 5).Draw(t, "replicas")
		w := &world{dead: make([]bool, count), side: make([]int, count), claims: map[uint64]string{}}
		for i := range count {
			w.skew = append(w.skew, time.Duration(rapid.IntRange(-2000, 2000).Draw(t, "skew"))*time.Millisecond)
			w.replicas = append(w.replicas, New(Config{Replica: fmt.Sprintf("cp-%d", i), Jitter: float64(i) / float64(count)}, dawn.Add(w.skew[i])))
		}
		now, highest := dawn, make([]uint64, count)
		pass := func(d time.Duration, loss int) {
			for end := now.Add(d); now.Before(end); now = now.Add(tick) {
				w.step(t, now, loss)
				for i, l := range w.replicas {
					if l.Epoch() < highest[i] {
						t.Fatalf("cp-%d went back from %d to %d", i, highest[i], l.Epoch())
					}
					highest[i] = l.Epoch()
				}
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "troubles") {
			who := rapid.IntRange(0, count-1).Draw(t, "who")
			switch rapid.SampledFrom([]string{"cut", "heal", "kill", "revive"}).Draw(t, "trouble") {
			case "cut":
				w.side[who] = rapid.IntRange(0, 1).Draw(t, "side")
			case "heal":
				clear(w.side)
			case "kill":
				w.dead[who] = slices.Contains(slices.Delete(slices.Clone(w.dead), who, who+1), false) // one stays
			case "revive":
				w.dead[who] = false
			}
			pass(time.Duration(rapid.IntRange(10, 400).Draw(t, "ms"))*time.Millisecond, rapid.IntRange(0, 50).Draw(t, "percent"))
		}
		clear(w.side)
		pass(300*time.Millisecond, 0)
		leaders := w.leaders()
		if len(leaders) != 1 {
			t.Fatalf("%v lead", leaders)
		}
		for i, l := range w.replicas {
			if !w.dead[i] && l.Leader() != leaders[0] {
				t.Fatalf("cp-%d follows %q, not %q", i, l.Leader(), leaders[0])
			}
		}
	})
}
