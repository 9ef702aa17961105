package proxy

import (
	"context"
	"time"

	"github.com/aimux/aimux/dataplane/internal/auth"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
)

// Limits decides, from memory, whether there is room for a request and for an attempt. Safe for concurrent use; only Wait waits.
type Limits interface {
	// Admit takes what a request needs of its caller's limits, or says why not.
	Admit(caller auth.Caller, ask *route.Ask) (Permit, *fault.Fault)
	// Enter takes what an attempt needs of a provider's and a key's limits; credential is the key's fingerprint.
	Enter(target *route.Target, credential string, ask *route.Ask) (Permit, *fault.Fault)
	// Busy reports that a target has no room now. It takes nothing.
	Busy(target *route.Target) bool
	// Rates are what is left to the caller of its limits per minute.
	Rates(caller auth.Caller) Rates
	// Wait tries until it succeeds, in turn with others, as long as the wish says; it reports success.
	Wait(ctx context.Context, w Wish) bool
}

// Rates are limits per minute, each the one of which least is left where several hold.
type Rates struct{ Requests, Tokens, Input, Output Rate }

// Rate is how much of a limit per minute is left, and in how long all of it will be; Limit is 0 where there is none.
type Rate struct {
	Limit, Left int64
	Whole       time.Duration
}

// Wish is how a request waits for room.
type Wish struct {
	Caller auth.Caller
	// Lane names those who wait for the same: where its first gets nothing, nobody behind it would.
	Lane string
	// Longest is how long to wait, Depth how many may wait at this node.
	Longest time.Duration
	Depth   int
	// Try takes what is wanted, if it can. It is called by one goroutine at a time, and not after Wait has returned.
	Try func() bool
}

// Permit is what was taken; it must be settled once.
type Permit interface {
	// Settle gives the slot back and pays for what was really used, and what it cost in billionths of a dollar.
	Settle(used outcome.Usage, costNano uint64)
	// Grounds are what there was room by, in a word: none (nothing is limited), lease (what the store gave this node), share (the node's fair share, as
	// no store answers), open (limits that do not hold without the store). To be asked before it is settled.
	Grounds() string
}

// unlimited has room for everybody.
type unlimited struct{}

func (unlimited) Admit(auth.Caller, *route.Ask) (Permit, *fault.Fault) { return unlimited{}, nil }
func (unlimited) Enter(*route.Target, string, *route.Ask) (Permit, *fault.Fault) {
	return unlimited{}, nil
}
func (unlimited) Rates(auth.Caller) Rates         { return Rates{} }
func (unlimited) Wait(context.Context, Wish) bool { return false }
func (unlimited) Busy(*route.Target) bool         { return false }
func (unlimited) Settle(outcome.Usage, uint64)    {}
func (unlimited) Grounds() string                 { return "none" }
