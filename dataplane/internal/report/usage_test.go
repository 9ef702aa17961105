package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
)

// stream keeps what it is sent, and can fail before or after that.
type stream struct {
	mu           sync.Mutex
	kept         []*outcomev1.UsageBlock
	down, silent bool
}

// fail sets how it fails from now on.
func (s *stream) fail(down, silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.silent = down, silent
}

func (s *stream) SendUsage(_ context.Context, m *outcomev1.UsageBlock) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errors.New("down")
	}
	s.kept = append(s.kept, proto.CloneOf(m))
	if s.silent {
		return errors.New("the acknowledgement is lost")
	}
	return nil
}

func used(caller string, tokens uint64) *outcome.Record {
	return &outcome.Record{Caller: caller, Team: "red", Attempts: []outcome.Attempt{
		{Target: outcome.Target{Provider: "sick", Model: "m"}, Fault: fault.Fault{Kind: fault.ServerError}},
		{Target: outcome.Target{Provider: "p", Model: "m"}, Usage: outcome.Usage{Input: tokens, Output: 1}, CostNano: 7 * tokens},
	}}
}

// TestUsageLandsOnce carries blocks through a bus that is down, acknowledgements that are lost and the death of the process: each lands, and a
// repeated one is the same block.
func TestUsageLandsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, bus := t.TempDir(), &stream{down: true}
		run := func(boot uint64) (u *Usage, kill func()) {
			u, err := NewUsage(UsageConfig{Boot: boot, Dir: dir}, UsageDeps{Bus: bus, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); u.Run(ctx) }()
			return u, func() { stop(); <-done }
		}
		first, kill := run(1)
		first.Record(used("alice", 100))
		first.Record(used("alice", 50))
		first.Record(used("bob", 10))
		time.Sleep(6 * time.Second)
		first.Record(used("alice", 5))
		kill()
		if got := first.Stats(); got.Waiting != 2 || len(bus.kept) != 0 {
			t.Fatalf("%+v", got)
		}
		second, kill := run(2)
		second.Record(used("bob", 3))
		bus.fail(false, true)
		time.Sleep(11 * time.Second)
		bus.fail(false, false)
		time.Sleep(11 * time.Second)
		kill()
		if got := second.Stats(); got.Waiting != 0 || got.Lost != 0 || got.Dropped != 0 {
			t.Errorf("%+v", got)
		}
		tokens, seen := map[string]uint64{}, map[[2]uint64]*outcomev1.UsageBlock{}
		last := [2]uint64{}
		for _, m := range bus.kept {
			at := [2]uint64{m.GetBoot(), m.GetSeq()}
			if old := seen[at]; old != nil {
				if !proto.Equal(old, m) {
					t.Errorf("block %v is another the second time", at)
				}
				continue
			}
			if seen[at] = m; at[0] < last[0] || at[0] == last[0] && at[1] <= last[1] {
				t.Errorf("block %v came after %v", at, last)
			}
			last = at
			for _, line := range m.GetLines() {
				tokens[line.GetCaller()] += line.GetInputTokens()
				if line.GetProvider() != "p" || line.GetTeam() != "red" || line.GetCostNanoUsd() != 7*line.GetInputTokens() || line.GetFailures() != 0 {
					t.Errorf("%v", line)
				}
			}
		}
		if tokens["alice"] != 155 || tokens["bob"] != 13 || len(bus.kept) == len(seen) {
			t.Errorf("%v in %d blocks, sent %d times", tokens, len(seen), len(bus.kept))
		}
	})
}

// TestUsageIsBounded drops the oldest block, and counts requests that found no line.
func TestUsageIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, err := NewUsage(UsageConfig{Boot: 1, LinesMax: 2, BlocksMax: 3}, UsageDeps{Bus: &stream{down: true}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for _, caller := range []string{"a", "b", "c", "d", "e", "f", "a"} {
			u.Record(used(caller, 1))
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); u.Run(ctx) }()
		for range 5 {
			time.Sleep(usageEvery)
			u.Record(used("a", 1))
		}
		stop()
		<-done
		if got := u.Stats(); got.Lost != 2 || got.Waiting != 3 || got.Dropped == 0 {
			t.Errorf("%+v", got)
		}
	})
}

// TestManySubjectsOfUsage: where subjects come without end, those that are new are summed up together, keys keep their lines, and every block is short
// enough to be sent.
func TestManySubjectsOfUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &stream{}
		u, err := NewUsage(UsageConfig{Boot: 1}, UsageDeps{Bus: bus, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		long := strings.Repeat("x", 120)
		for i := range 3000 {
			u.Record(used(fmt.Sprintf("jwt:%s%d", long, i), 1))
		}
		for i := range 3000 {
			u.Record(used(fmt.Sprintf("%s%d", long, i), 1))
		}
		u.Record(used("jwt:"+long+"7", 1)) // has its line
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); u.Run(ctx) }()
		stop()
		<-done
		requests := map[string]uint64{}
		for _, m := range bus.kept {
			if size := proto.Size(m); size > blockBytesMax+1<<10 {
				t.Errorf("a block of %d bytes", size)
			}
			for _, line := range m.GetLines() {
				requests[line.GetCaller()] += line.GetRequests()
			}
		}
		if got := u.Stats(); got.Lost != 0 || got.Merged != 3000-4096/2 || requests["jwt:*"] != got.Merged {
			t.Errorf("%+v, and %d requests of others", got, requests["jwt:*"])
		}
		if len(bus.kept) < 2 || requests["jwt:"+long+"7"] != 2 || requests[long+"2999"] != 1 {
			t.Errorf("%d blocks, of %d callers", len(bus.kept), len(requests))
		}
	})
}
