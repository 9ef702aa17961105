package route

import (
	"fmt"
	"strings"
	"time"

	"github.com/aimux/aimux/shared/fault"
)

// Verdict says why a request has no candidate. The zero value says that it has, and that nobody was passed over.
type Verdict struct {
	Outcome Outcome
	// Dropped: some target serves the model and may not serve this request, whoever else may.
	Dropped bool
	// Missing are the needs that no target meets who serves the model. It may be empty although nobody meets all.
	Missing Capability
	// Nearest came nearest to meeting the needs, and lacks NearestMissing; nil where that was not the trouble.
	Nearest        *Target
	NearestMissing Capability
	// TokensNeeded and WindowMax, the longest context there is, where that was the trouble.
	TokensNeeded, WindowMax int
	// RetryAfter is when it may be worth trying again; 0 where it never is.
	RetryAfter time.Duration
	// Ill, Blocked and Stopped count the targets that could have served.
	Ill, Blocked, Stopped int

	model string
	// blockedBy is what blocked the one that may be used first, where all who could serve are blocked or stopped.
	blockedBy fault.Kind
	// barred says what of the caller's scope stands against it.
	barred string
}

// Outcome is the kind of a verdict.
type Outcome uint8

// The outcomes.
const (
	Picked       Outcome = iota
	UnknownModel         // no provider in use serves it
	NotPermitted         // the caller's scope does not hold the model, the class, or anybody who serves it
	NeedUnmet            // nobody meets the needs
	TooLong              // nobody has room for prompt and answer
	Unavailable          // all who could are ill, full, blocked or stopped
)

// The bounds of what a client is told to wait.
const (
	retryAfterDefault = 2 * time.Second
	retryAfterMax     = 60 * time.Second
)

// tally counts why targets dropped out.
type tally struct {
	reasons     [reasons]int32
	some        bool
	missing     Capability // by all
	nearest     int32
	nearestLack Capability
	windowMax   int32
	blockedMs   int64 // the earliest end of a block
	blockedBy   fault.Kind
}

func (y *tally) add(w *walker, h hop, reason Reason, live *Live) {
	y.reasons[reason]++
	y.some = true
	r := &w.t.rows[h.target]
	switch reason {
	case LacksCapability:
		lack := w.needs &^ r.can[w.dialect]
		if y.reasons[reason] == 1 {
			y.missing, y.nearest, y.nearestLack = lack, h.target, lack
		}
		y.missing &= lack
		if lack.count() < y.nearestLack.count() {
			y.nearest, y.nearestLack = h.target, lack
		}
	case ContextTooShort:
		y.windowMax = max(y.windowMax, r.window)
	case Blocked:
		if y.blockedMs == 0 || live.BlockedUntilMs < y.blockedMs {
			y.blockedMs, y.blockedBy = live.BlockedUntilMs, live.BlockedBy
		}
	}
}

func (w *walker) verdict(ask *Ask, served bool) Verdict {
	y := &w.refuse
	v := Verdict{
		model: ask.Model, Dropped: y.some, Blocked: int(y.reasons[Blocked]), Stopped: int(y.reasons[Drained] + y.reasons[ForcedOut]),
		Ill: int(y.reasons[ClusterOpen] + y.reasons[ClusterProbing] + y.reasons[NodeOpen]),
	}
	switch {
	case w.barred: // whether anybody serves it is not this caller's to know
		v = w.t.Permits(ask)
		v.Dropped = y.some
	case !served:
		v.Outcome = UnknownModel
	case v.Blocked+v.Stopped+v.Ill > 0:
		v.Outcome, v.RetryAfter = Unavailable, retryAfterDefault
		if y.blockedMs != 0 {
			v.RetryAfter, v.blockedBy = min(time.Duration(y.blockedMs-w.nowMs)*time.Millisecond, retryAfterMax), y.blockedBy
		}
	case y.reasons[ContextTooShort] > 0:
		v.Outcome, v.TokensNeeded, v.WindowMax = TooLong, int(w.prompt+w.reserve), int(y.windowMax)
	case y.reasons[LacksCapability] > 0:
		v.Outcome, v.Missing = NeedUnmet, y.missing
		v.Nearest, v.NearestMissing = &w.t.targets[y.nearest], y.nearestLack
	default:
		v.Outcome, v.barred = NotPermitted, w.scope.barredAll(ask.Model)
	}
	return v
}

// String tells the client what is wrong. It names providers, never keys.
func (v Verdict) String() string {
	switch v.Outcome {
	case Picked:
		return ""
	case UnknownModel:
		return fmt.Sprintf("model %q is served by no provider", v.model)
	case NotPermitted:
		return v.barred
	case NeedUnmet:
		return v.unmet()
	case TooLong:
		return fmt.Sprintf("prompt and answer need about %d tokens; the longest context window for model %q is %d tokens", v.TokensNeeded, v.model, v.WindowMax)
	default:
		return fmt.Sprintf("every provider for model %q is unavailable (%d ill, %d at their limits, %d stopped by the operator); try again in %v",
			v.model, v.Ill, v.Blocked, v.Stopped, v.RetryAfter)
	}
}

func (v Verdict) unmet() string {
	nearest := fmt.Sprintf("the nearest is %s, which lacks %s", v.Nearest.Key, list(v.NearestMissing))
	if v.Missing == 0 {
		return fmt.Sprintf("no provider for model %q can do all that this request needs; %s", v.model, nearest)
	}
	return fmt.Sprintf("no provider for model %q can do %s, which this request needs; %s", v.model, list(v.Missing), nearest)
}

func list(c Capability) string { return strings.Join(c.Names(), ", ") }

// Fault is the verdict as the answer that a client gets.
func (v Verdict) Fault() fault.Fault {
	f := fault.Fault{Message: v.String(), RetryAfter: v.RetryAfter}
	switch v.Outcome {
	case Picked:
		return fault.Fault{}
	case UnknownModel:
		f.Kind, f.Param = fault.NotFound, "model"
	case NotPermitted:
		f.Kind = fault.Forbidden
	case NeedUnmet:
		f.Kind = fault.BadRequest
	case TooLong:
		f.Kind = fault.ContextTooLong
	default:
		f.Kind = fault.Overloaded
		if v.blockedBy == fault.RateLimited { // as whoever met it was told
			f.Kind = fault.RateLimited
		}
	}
	return f
}
