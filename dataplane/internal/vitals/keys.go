package vitals

import (
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
)

// Key is one credential's signs: what is left of it, and whether it may be used.
type Key struct {
	// Credential as the table has it now.
	Credential route.Credential
	signs      *keySigns
	index      int // among its provider's
}

// keySigns outlive the tables.
type keySigns struct {
	inFlight       atomic.Int32
	blockedUntilMs atomic.Int64
	// blockedBy is the fault.Kind that blocked it last. A reader may find it a moment too new.
	blockedBy atomic.Uint32
	// throttled counts the refusals since the last success that did not say for how long; those of a pause are left out.
	throttled atomic.Int32
	// leftPPM is what the provider said is left of the key's rate; ppm where it says nothing.
	leftPPM atomic.Uint32
	turn    atomic.Uint64
}

const ppm = 1_000_000

// bind gives the provider's keys in the operator's order. The caller holds Vitals.mu.
func (v *vendor) bind(credentials []route.Credential) []*Key {
	held := make(map[string]*Key, len(credentials))
	list := make([]*Key, 0, len(credentials))
	for i, c := range credentials {
		key := &Key{Credential: c, index: i}
		if old := v.keys[c.Fingerprint]; old != nil {
			key.signs = old.signs
		} else {
			key.signs = &keySigns{}
			key.signs.leftPPM.Store(ppm)
		}
		held[c.Fingerprint] = key
		list = append(list, key)
	}
	v.keys = held
	return list
}

// blockedUntil is when the first of these keys may be used, and what has blocked it; 0 when there are none.
func blockedUntil(keys []*Key) (untilMs int64, by fault.Kind) {
	for i, k := range keys {
		if until := k.signs.blockedUntilMs.Load(); i == 0 || until < untilMs {
			untilMs, by = until, fault.Kind(k.signs.blockedBy.Load())
		}
	}
	return untilMs, by
}

// Blocked says for how long none of a target's keys may be used, and what has blocked the one that may be first; 0 means that one may.
func (b *Bound) Blocked(i int, table *route.Table) (left time.Duration, by fault.Kind) {
	untilMs, by := blockedUntil(b.keys[table.Target(i).Provider])
	return max(time.Duration(untilMs-b.vitals.NowMs())*time.Millisecond, 0), by
}

// PickKey chooses the key for an attempt: of those that may be used the one with most left, then the one with least in flight, then
// in turn. nil means that the provider has no keys; ok is false when all of them are
// blocked, were tried already, or have as many requests in flight as they are known to take.
func (b *Bound) PickKey(i int, table *route.Table, tried []*Key) (key *Key, ok bool) {
	keys := b.keys[table.Target(i).Provider]
	nowMs := b.vitals.NowMs()
	if len(keys) == 0 {
		return nil, len(tried) == 0 && (b.fixed || !b.paces[i][0].full(nowMs))
	}
	for _, k := range keys {
		if k.signs.blockedUntilMs.Load() > nowMs || contains(tried, k) || !b.fixed && b.paces[i][k.index].full(nowMs) || isOut(table.CredentialState(i, k.Credential.Fingerprint)) {
			continue
		}
		if key == nil || k.better(key) {
			key = k
		}
	}
	if key != nil {
		key.signs.turn.Store(b.vitals.turns.Add(1))
	}
	return key, key != nil
}

func (k *Key) better(than *Key) bool {
	a, b := k.signs, than.signs
	// What is left is only compared coarsely, or one key would be drained before the next is touched.
	if x, y := a.leftPPM.Load()/(ppm/8), b.leftPPM.Load()/(ppm/8); x != y {
		return x > y
	}
	if x, y := a.inFlight.Load(), b.inFlight.Load(); x != y {
		return x < y
	}
	return a.turn.Load() < b.turn.Load()
}

func contains(keys []*Key, key *Key) bool {
	for _, k := range keys {
		if k.signs == key.signs {
			return true
		}
	}
	return false
}

// Left notes what the provider said is left of the key's rate, as a share of all.
func (k *Key) Left(share float64) {
	if k != nil {
		k.signs.leftPPM.Store(uint32(max(0, min(share, 1)) * ppm))
	}
}

// Blocked is until when the key is not used; for people.
func (k *Key) Blocked() int64 { return k.signs.blockedUntilMs.Load() }

// The pauses of a key whose provider does not say how long: doubled with each refusal in a row, up to the longest. A sole provider is tried
// again after each. throttleMax is the longest that is believed.
const (
	throttleFirst   = time.Second
	throttleLongest = 8 * time.Second
	throttleMax     = 60 * time.Second
	refusedFor      = 5 * time.Minute
)

// judge blocks the key if the fault says so.
func (k *Key) judge(nowMs int64, f *fault.Fault) {
	rule := f.Kind.Rule()
	if k == nil || rule.Charge != fault.Credential {
		return
	}
	wait := refusedFor
	if rule.Severity == fault.Capacity {
		if wait = min(f.RetryAfter, throttleMax); wait <= 0 {
			if nowMs < k.signs.blockedUntilMs.Load() {
				return // it was sent before the pause
			}
			wait = min(throttleFirst<<min(k.signs.throttled.Add(1)-1, 10), throttleLongest)
		}
	}
	k.signs.block(nowMs+wait.Milliseconds(), f.Kind)
}

func (s *keySigns) block(untilMs int64, by fault.Kind) {
	if raise(&s.blockedUntilMs, untilMs) {
		s.blockedBy.Store(uint32(by))
	}
}

// succeeded ends a run of refusals.
func (k *Key) succeeded() {
	if k != nil && k.signs.throttled.Load() != 0 {
		k.signs.throttled.Store(0)
	}
}

// Heed leaves alone the keys that a provider has told other nodes to leave alone, no longer than if it had told this one.
func (b *Bound) Heed(table *route.Table, nowMs int64) {
	for _, told := range table.Throttles() {
		for _, k := range b.keys[table.Target(told.Target).Provider] {
			if k.Credential.Fingerprint == told.Fingerprint {
				k.signs.block(min(told.UntilMs, nowMs+throttleMax.Milliseconds()), fault.RateLimited)
			}
		}
	}
}

// raise reports whether the value was higher.
func raise(to *atomic.Int64, value int64) bool {
	for {
		have := to.Load()
		if have >= value {
			return false
		}
		if to.CompareAndSwap(have, value) {
			return true
		}
	}
}

// isOut reports a state that takes ordinary requests away.
func isOut(s route.State) bool { return s == route.CircuitOpen || s == route.HalfOpen }
