package limit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aimux/aimux/dataplane/internal/limit"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
)

// BenchmarkAcquireRelease is what limits cost a request: what it meets of its caller and of its attempt is taken and settled, where one, three
// or five scopes have a limit of every kind, with a source that answers and with one that hangs.
func BenchmarkAcquireRelease(b *testing.B) {
	every := &tablev1.Limits{
		MaxConcurrentRequests: 1_000_000, RequestsPerMinute: 4_000_000_000, TokensPerMinute: 1 << 50, InputTokensPerMinute: 1 << 50,
		OutputTokensPerMinute: 1 << 50, NanodollarsPerDay: 1 << 52, NanodollarsPerMonth: 1 << 52, Mode: "open",
	}
	scopes := []func(*tablev1.Config){
		func(c *tablev1.Config) { c.Limits = every },
		func(c *tablev1.Config) { c.Auth.Callers = []*tablev1.Caller{{Id: "alice", Limits: every}} },
		func(c *tablev1.Config) { c.Providers[0].Limits = every },
		func(c *tablev1.Config) { c.Auth.Teams = []*tablev1.Team{{Id: "red", Limits: every}} },
		func(c *tablev1.Config) { c.Providers[0].LimitsPerKey = every },
	}
	for _, n := range []int{1, 3, 5} {
		for _, hangs := range []bool{false, true} {
			b.Run(fmt.Sprintf("scopes=%d/hanging=%t", n, hangs), func(b *testing.B) {
				table := tableWith(b, 1, 1, nil, func(c *tablev1.Config) {
					c.Auth = &tablev1.Auth{}
					for _, limited := range scopes[:n] {
						limited(c)
					}
				})
				acquireRelease(b, table, hangs)
			})
		}
	}
}

func acquireRelease(b *testing.B, table *route.Table, hangs bool) {
	s := &source{Source: limit.NewMemory(time.Now)}
	s.hanging.Store(hangs)
	l := limit.New(limit.Config{Node: "a"}, limit.Deps{Source: s})
	l.Apply(table, table.NodesLive())
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	defer func() { cancel(); <-done }()
	target, ask := table.Target(0), &route.Ask{PromptTokens: 10, ExpectTokens: 10}
	used := outcome.Usage{Input: 10, Output: 9, Reported: true}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			request, refused := l.Admit(limit.Caller{Key: "alice", Team: "red"}, ask)
			attempt, full := l.Enter(target, "k1", ask)
			if refused != nil || full != nil {
				b.Error(refused, full)
				return
			}
			attempt.Settle(used, 30_000)
			request.Settle(used, 30_000)
		}
	})
}
