package route

import (
	"fmt"
	"math"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/identity"
)

// Limits hold for the whole cluster; 0 is no limit.
type Limits struct {
	// InFlight requests at once.
	InFlight int64
	// Requests, Tokens, InputTokens and OutputTokens are per minute; Tokens are both kinds together.
	Requests, Tokens, InputTokens, OutputTokens int64
	// NanoPerDay and NanoPerMonth are budgets in billionths of a US dollar, for a day and a month of UTC.
	NanoPerDay, NanoPerMonth int64
	Mode                     LimitMode
}

// None reports that nothing is limited.
func (l Limits) None() bool {
	l.Mode = 0
	return l == Limits{}
}

// LimitMode is what a limit does at a node that has been without the store of limits for longer than its lease.
type LimitMode uint8

// The modes.
const (
	// Bounded keeps to the fair share: the limit by the number of live nodes.
	Bounded LimitMode = iota
	// Strict lets nobody in.
	Strict
	// Open goes on as if each node had the whole limit.
	Open
)

var limitModes = [...]string{"bounded", "strict", "open"}

// String is the mode's name in configuration.
func (m LimitMode) String() string { return limitModes[min(int(m), len(limitModes)-1)] }

// ParseLimitMode reads a mode's name, the empty one as the default; ok is false for any other word.
func ParseLimitMode(name string) (m LimitMode, ok bool) {
	i, ok := position(limitModes[:], name)
	return LimitMode(i), ok
}

// limitMax is what a limit may be at most: the largest whole number that the store's arithmetic is exact for.
const limitMax = 1 << 53

// limits reads one scope's limits.
func (r *reader) limits(path string, w *tablev1.Limits) Limits {
	whole := func(name string, v uint64) int64 {
		if v > limitMax {
			r.badf(path+"."+name, "%d; at most %d", v, int64(limitMax))
		}
		return int64(min(v, math.MaxInt64))
	}
	l := Limits{
		InFlight: int64(w.GetMaxConcurrentRequests()), Requests: int64(w.GetRequestsPerMinute()),
		Tokens:      whole("tokens_per_minute", w.GetTokensPerMinute()),
		InputTokens: whole("input_tokens_per_minute", w.GetInputTokensPerMinute()), OutputTokens: whole("output_tokens_per_minute", w.GetOutputTokensPerMinute()),
		NanoPerDay: whole("nanodollars_per_day", w.GetNanodollarsPerDay()), NanoPerMonth: whole("nanodollars_per_month", w.GetNanodollarsPerMonth()),
	}
	var ok bool
	if l.Mode, ok = ParseLimitMode(w.GetMode()); !ok {
		r.badf(path+".mode", `%q is none of "bounded", "strict", "open"`, w.GetMode())
	}
	return l
}

// or takes from otherwise what l leaves open of the three limits that a provider states directly.
func (l Limits) or(inFlight, requests, tokens int64) Limits {
	if l.InFlight == 0 {
		l.InFlight = inFlight
	}
	if l.Requests == 0 {
		l.Requests = requests
	}
	if l.Tokens == 0 {
		l.Tokens = tokens
	}
	return l
}

// callerLimits reads the limits of client keys, teams and issuers' subjects.
func (r *reader) callerLimits(w *tablev1.Auth) {
	r.c.keyLimits, r.c.teamLimits, r.c.subjectLimits = make(map[string]Limits), make(map[string]Limits), make(map[string]Limits)
	for _, k := range w.GetCallers() {
		if l := r.limits(fmt.Sprintf("auth.callers[%q].limits", k.GetId()), k.GetLimits()); !l.None() {
			r.c.keyLimits[k.GetId()] = l
		}
	}
	for _, team := range w.GetTeams() {
		if l := r.limits(fmt.Sprintf("auth.teams[%q].limits", team.GetId()), team.GetLimits()); !l.None() {
			r.c.teamLimits[team.GetId()] = l
		}
	}
	for i, one := range w.GetIssuers() {
		if l := r.limits(fmt.Sprintf("auth.issuers[%d].subject_limits", i), one.GetSubjectLimits()); !l.None() {
			r.c.subjectLimits[identity.IssuerID(one.GetId())] = l
		}
	}
}

// Part is the limits of which only so many parts per million are ours; what is limited stays limited.
func (l Limits) Part(sharePPM uint32) Limits {
	if sharePPM >= ppm {
		return l
	}
	for _, n := range [...]*int64{&l.InFlight, &l.Requests, &l.Tokens, &l.InputTokens, &l.OutputTokens, &l.NanoPerDay, &l.NanoPerMonth} {
		if *n > 0 {
			*n = max(Part(*n, sharePPM), 1)
		}
	}
	return l
}

// Part is so many parts per million of n, which is not negative.
func Part(n int64, sharePPM uint32) int64 {
	share := int64(min(sharePPM, ppm))
	return n/ppm*share + n%ppm*share/ppm
}
