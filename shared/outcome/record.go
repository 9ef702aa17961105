// Package outcome says what one attempt did, and keeps it as cumulative counters and latency sketches that merge in any order.
package outcome

import (
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
)

// Target names whom an outcome concerns.
type Target struct {
	Provider string
	Model    string
	// Credential is the fingerprint of the key, never the key.
	Credential string
}

// Usage is the tokens of one answer. Input excludes cached tokens.
type Usage struct {
	Input, Output, CacheRead, CacheWrite uint64
	// Reported by the provider, not estimated.
	Reported bool
}

// Plus is what two answers have used; it is reported if both are.
func (u Usage) Plus(o Usage) Usage {
	return Usage{
		Input: u.Input + o.Input, Output: u.Output + o.Output, CacheRead: u.CacheRead + o.CacheRead, CacheWrite: u.CacheWrite + o.CacheWrite,
		Reported: u.Reported && o.Reported,
	}
}

// Attempt is one try at one target, ended.
type Attempt struct {
	Target Target
	Fault  fault.Fault
	Hedge  bool
	Probe  bool
	// FirstToken is the time from sending to the first real event; 0 means none came.
	FirstToken time.Duration
	Duration   time.Duration
	// Overdue: the first token was later than expected, whether or not it came.
	Overdue bool
	Usage   Usage
	// CostNano is the cost in billionths of a US dollar.
	CostNano uint64
	// Ended is when, on the node's clock.
	Ended time.Time
	// SpanID of its span in the record's trace; empty when there is none.
	SpanID string
}

// Record is one request, ended, with all its attempts.
type Record struct {
	RequestID string
	TraceID   string
	Caller    string
	Team      string
	Protocol  route.Protocol
	Model     string
	Class     route.Class
	Stream    bool
	Started   time.Time
	Duration  time.Duration
	FirstByte time.Duration
	Status    int
	Fault     fault.Kind
	Attempts  []Attempt
	Usage     Usage
	CostNano  uint64
	Reason    string
	Warnings  []string
	Revision  uint64
	// Candidates are who was to be tried, in order, as "provider/model"; PassedOver who was not, and why.
	Candidates []string
	PassedOver []PassedOver
}

// PassedOver is a target, as "provider/model", that a request did not go to, and why.
type PassedOver struct{ Target, Reason string }
