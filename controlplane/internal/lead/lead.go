// Package lead decides who speaks for the control plane in a region: soft leadership by heartbeat, without I/O and without consensus.
//
// Every replica hears everything and judges alike, so two leaders for a moment do no harm and none for a moment costs only
// freshness. What must hold is that the receivers can tell: every claim has an epoch of its own, above every epoch that the
// claimant has heard of, and everybody follows the highest. A leader that hears a higher one falls silent at once.
package lead

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/aimux/aimux/shared/clock"
)

const (
	heartbeatDefault = 50 * time.Millisecond
	silenceDefault   = 180 * time.Millisecond
	spreadDefault    = 50 * time.Millisecond
	idBits           = 16
)

// Config says who this is. Durations of 0 take the default: with these, a dead leader is replaced in less than 300 ms.
type Config struct {
	Replica string
	// Heartbeat is how often a leader speaks; default 50 ms.
	Heartbeat time.Duration
	// Silence of the leader after which a replica claims, default 180 ms, and Spread the most that Jitter adds, default 50 ms.
	Silence, Spread time.Duration
	// Jitter in [0, 1) is drawn once by each replica, so that they do not claim all at once.
	Jitter float64
}

// Lead is one replica's view of who leads. It has one owner and is not for concurrent use.
type Lead struct {
	cfg Config
	// epoch and leader are the highest claim accepted, this replica's own included. Invariant: they never go down.
	epoch  uint64
	leader string
	// heard is when the leader last spoke, or when waiting began.
	heard time.Time
	// leading says that the highest claim is this replica's.
	leading bool
	// due is the next heartbeat, while leading.
	due time.Time
	// rejected counts claims after which there would be no next.
	rejected uint64
}

// New begins to listen: whoever leads already keeps leading.
func New(cfg Config, now time.Time) *Lead {
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = heartbeatDefault
	}
	if cfg.Silence == 0 {
		cfg.Silence = silenceDefault
	}
	if cfg.Spread == 0 {
		cfg.Spread = spreadDefault
	}
	return &Lead{cfg: cfg, heard: now}
}

// Hear takes another replica's claim, from a heartbeat or from the header of anything that a leader publishes. It answers
// whether that replica is to be followed.
func (l *Lead) Hear(now time.Time, epoch uint64, leader string) (follow bool) {
	switch {
	case leader == l.cfg.Replica || leader == "":
		return false
	case epoch > clock.EpochMax:
		l.rejected++
		return false
	case epoch < l.epoch || epoch == l.epoch && leader < l.leader:
		// A deposed leader that does not know it yet falls silent at the next heartbeat: do not let it wait.
		l.due = now
		return false
	}
	l.epoch, l.leader, l.leading, l.heard = epoch, leader, false, now
	return true
}

// Outbid takes an epoch that a node follows and that is higher than any this replica has heard of: whoever holds it, perhaps this
// replica in an earlier life, nodes would ignore everything below. A leader steps down and waits whether the holder speaks.
func (l *Lead) Outbid(now time.Time, epoch uint64) {
	switch {
	case epoch <= l.epoch:
	case epoch > clock.EpochMax:
		l.rejected++
	default:
		l.epoch, l.leader, l.leading, l.heard = epoch, "", false, now
	}
}

// Tick lets time pass; call it at least every half heartbeat. A replica that is not eligible, having nothing to say yet, does not
// claim. It answers whether a heartbeat is due, which the caller then publishes.
func (l *Lead) Tick(now time.Time, eligible bool) (beat bool) {
	patience := l.cfg.Silence + time.Duration(l.cfg.Jitter*float64(l.cfg.Spread))
	if !l.leading && eligible && now.Sub(l.heard) >= patience {
		l.claim(now)
	}
	if !l.leading || now.Before(l.due) {
		return false
	}
	l.due = now.Add(l.cfg.Heartbeat)
	return true
}

// claim takes an epoch above all that were ever heard of: their time plus one millisecond, or now if that is later; and the
// replica's own bits, so that two who claim in the same millisecond differ. The time only saves a replica without a memory from claiming what was
// claimed before: a clock that is wrong, ahead or behind, costs nothing, as whoever comes next takes the next.
func (l *Lead) claim(now time.Time) {
	ms := millis(l.epoch) + 1
	if wall := now.UnixMilli(); wall <= millis(clock.EpochMax)/2 {
		ms = max(ms, wall)
	}
	// A hash that spreads names which differ in one letter over all bits; FNV's upper ones are the same for cp-2 and cp-3.
	id := sha256.Sum256([]byte(l.cfg.Replica))
	l.epoch = uint64(ms)<<idBits | uint64(binary.BigEndian.Uint16(id[:]))
	l.leader, l.leading, l.due = l.cfg.Replica, true, now
}

// Leading says whether this replica speaks.
func (l *Lead) Leading() bool { return l.leading }

// Epoch is the highest accepted, 0 before the first, and Leader who holds it.
func (l *Lead) Epoch() uint64 { return l.epoch }

// Leader is who holds the highest epoch; empty before the first claim.
func (l *Lead) Leader() string { return l.leader }

// Rejected is how many claims were beyond what anybody may claim.
func (l *Lead) Rejected() uint64 { return l.rejected }

// millis is the time in an epoch, in milliseconds since 1970.
func millis(epoch uint64) int64 { return int64(epoch >> idBits) }
