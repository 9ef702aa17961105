package vitals

import (
	"math"
	"sync"
	"sync/atomic"
)

// pace is how many requests at once one key takes for one model, as it has been learnt: pure arithmetic, without a clock. Nothing is known, and
// nothing limited, until there is a sign of too much:
//
//   - an overload or a refused rate takes the limit to seven tenths of what is in flight, and every round of successes gives one back: additive
//     increase, multiplicative decrease (Chiu and Jain, "Analysis of the Increase and Decrease Algorithms", 1989);
//   - first tokens that come later and later take it down with the ratio of the long to the short average of their time, less a tolerance
//     (Netflix's concurrency-limits, Gradient2Limit): a queue is building up over there, and more requests only make it longer;
//   - what the provider says is left of its rate is no less than what may be begun.
type pace struct {
	limit float64 // requests at once; 0 means that none is known
	// signMS is when there was last a sign of too much.
	signMS int64
	// short and long are averages of the time to the first token, in milliseconds; samples counts what went into them, at most samplesMax.
	short, long float64
	samples     int
	// calm is with how many in flight first tokens came in time: lateness alone takes the limit no lower.
	calm float64
	// left is what the provider said may still be begun, at leftMS.
	left   int64
	leftMS int64
}

const (
	paceShrink      = 0.7
	paceForgottenMS = 60_000 // how long a sign holds
	// The averages go over so many samples; what the first few say is not acted on.
	shortSamples, longSamples = 10, 200
	samplesMin, samplesMax    = 30, longSamples
	// tolerance is how much later first tokens may come without a sign: prompts differ.
	tolerance = 2.0
	// gradientMin bounds one step down.
	gradientMin = 0.5
	smoothing   = 0.2
	// What is late is for long a sign, and then how it is: the long average follows it lateSlower times slower, and calm fades with it.
	lateSlower  = 10
	calmFades   = 0.999
	leftHoldsMS = 5_000
)

// may is how many requests at once may be in flight; MaxInt32 where nothing is known.
func (p *pace) may(nowMS int64) int64 {
	may := int64(math.MaxInt32)
	if p.limit > 0 && nowMS-p.signMS < paceForgottenMS {
		may = max(int64(p.limit), 1)
	}
	if p.leftMS > 0 && nowMS-p.leftMS < leftHoldsMS {
		may = min(may, max(p.left, 1))
	}
	return may
}

// overloaded takes a word of too much for a request that was begun at that time, with so many in flight, that request included. What was
// begun before the limit was last lowered says nothing of the new one.
func (p *pace) overloaded(nowMS, begunMS, inFlight int64) {
	if p.limit > 0 && begunMS <= p.signMS {
		return
	}
	now := float64(inFlight)
	if p.limit > 0 && nowMS-p.signMS < paceForgottenMS {
		now = min(now, p.limit)
	}
	p.limit, p.signMS = max(now*paceShrink, 1), nowMS
}

// answered takes a first token that came after so many milliseconds, 0 being unknown, with so many in flight, that request included.
func (p *pace) answered(nowMS, inFlight int64, firstMS float64) {
	gradient := 1.0
	if firstMS > 0 {
		gradient = p.sample(float64(inFlight), firstMS)
	}
	switch {
	case gradient < 1 && float64(inFlight) > p.calm && (p.limit == 0 || float64(inFlight) >= p.limit/2):
		was := float64(inFlight)
		if p.limit > 0 && nowMS-p.signMS < paceForgottenMS {
			was = min(was, p.limit)
		}
		next := was*gradient + math.Sqrt(was)
		p.limit, p.signMS = max(was*(1-smoothing)+min(next, was)*smoothing, p.calm, 1), nowMS
	case p.limit > 0 && float64(inFlight) >= p.limit/2:
		p.limit += 1 / p.limit
	}
}

// sample takes the time of a first token, and says how the last ones are beside all: 1 where they are not late.
func (p *pace) sample(inFlight, firstMS float64) (gradient float64) {
	p.samples = min(p.samples+1, samplesMax)
	p.short += (firstMS - p.short) / float64(min(p.samples, shortSamples))
	weight := float64(p.samples)
	if p.samples >= samplesMin && firstMS > tolerance*p.long {
		weight *= lateSlower
		p.calm *= calmFades
	} else {
		p.calm = max(p.calm, inFlight)
	}
	p.long += (firstMS - p.long) / weight
	if p.samples < samplesMin {
		return 1
	}
	if p.long > 2*p.short { // it has become quicker: what was slow is no measure
		p.long *= 0.95
	}
	return max(gradientMin, min(1, tolerance*p.long/p.short))
}

// told takes what the provider says may still be begun.
func (p *pace) told(nowMS, left int64) { p.left, p.leftMS = max(left, 0), nowMS }

// pacer is a pace that requests share.
type pacer struct {
	inFlight atomic.Int32
	mu       sync.Mutex
	pace     pace // guarded by mu
	// learnt says that something has been: until then nobody need look.
	learnt atomic.Bool
}

// full reports that no further request is to begin.
func (p *pacer) full(nowMs int64) bool {
	if !p.learnt.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.inFlight.Load()) >= p.pace.may(nowMs)
}

func (p *pacer) learn(lesson func(*pace)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lesson(&p.pace)
	if p.pace.limit > 0 || p.pace.leftMS > 0 {
		p.learnt.Store(true)
	}
}

// limit is for people; 0 where none is known.
func (p *pacer) limit(nowMs int64) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if may := p.pace.may(nowMs); may < math.MaxInt32 {
		return float64(may)
	}
	return 0
}

// bind gives a target's paces in the order of its provider's keys; one where it has none. The caller holds Vitals.mu.
func (t *target) bind(keys []*Key) []*pacer {
	held := make(map[string]*pacer, len(keys))
	list := make([]*pacer, 0, max(len(keys), 1))
	add := func(fingerprint string) {
		p := t.paces[fingerprint]
		if p == nil {
			p = &pacer{}
		}
		held[fingerprint], list = p, append(list, p)
	}
	for _, k := range keys {
		add(k.Credential.Fingerprint)
	}
	if len(keys) == 0 {
		add("")
	}
	t.paces = held
	return list
}

// paceOf is the pace of a target's key; nil is that of a provider without keys.
func (b *Bound) paceOf(i int, key *Key) *pacer {
	if key == nil {
		return b.paces[i][0]
	}
	return b.paces[i][key.index]
}

// Told notes how many requests the provider says may still be begun with the attempt's key.
func (a *Attempt) Told(left int64) {
	nowMs := a.bound.vitals.NowMs()
	a.pace.learn(func(p *pace) { p.told(nowMs, left) })
}
