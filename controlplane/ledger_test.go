package controlplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
)

// tape is a stream of usage that tests write on; it breaks off after every block, and gives the last one twice.
type tape struct{ blocks []*outcomev1.UsageBlock }

func (s *tape) WatchUsage(ctx context.Context, after uint64, _ int, restart, whole func(), handle func(uint64, *outcomev1.UsageBlock)) error {
	if uint64(len(s.blocks)) < after {
		restart()
		after = 0
	}
	if after == uint64(len(s.blocks)) {
		whole()
		<-ctx.Done()
		return ctx.Err()
	}
	if after > 0 {
		handle(after, s.blocks[after-1])
	}
	handle(after+1, s.blocks[after])
	return errors.New("broken off")
}

// readLedger is what a ledger knows a minute after it has begun to read, in a bubble.
func readLedger(t *testing.T, stream *tape, dir string) *ledger {
	t.Helper()
	l := newLedger(stream, 0, dir, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.run(ctx) }()
	time.Sleep(time.Minute)
	stop()
	<-done
	return l
}

func usageBlock(boot, seq uint64, at time.Time, key, team string, tokens uint64) *outcomev1.UsageBlock {
	return &outcomev1.UsageBlock{Node: "n", Boot: boot, Seq: seq, EndedUnixMs: at.UnixMilli(), Lines: []*outcomev1.UsageLine{
		{Caller: key, Team: team, Provider: "p", Model: "m", Requests: 1, InputTokens: tokens, CostNanoUsd: tokens * 1e9},
		{Caller: key, Team: team, Provider: "q", Model: "m", Failures: 1},
	}}
}

// TestLedgerCountsOnce reads a stream that breaks off and repeats, dies, begins again from what it kept, and from a stream made anew.
func TestLedgerCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		first, second := time.Date(2026, 11, 22, 23, 59, 0, 0, time.UTC), time.Date(2026, 11, 23, 0, 1, 0, 0, time.UTC)
		stream := &tape{blocks: []*outcomev1.UsageBlock{
			usageBlock(1, 1, first, "alice", "red", 10), usageBlock(1, 2, second, "bob", "red", 5), usageBlock(1, 2, second, "bob", "red", 5),
			usageBlock(2, 1, second, "alice", "red", 1), usageBlock(1, 1, first, "alice", "red", 10),
		}}
		for name, l := range map[string]*ledger{
			"at first": readLedger(t, stream, dir), "from disk": readLedger(t, stream, dir),
			"from a stream made anew": readLedger(t, &tape{blocks: append([]*outcomev1.UsageBlock{stream.blocks[1]}, usageBlock(2, 1, second, "alice", "red", 1))}, dir),
		} {
			for _, row := range []struct {
				ask  *adminv1.SumUsageRequest
				want []float64 // dollars, in order
			}{
				{&adminv1.SumUsageRequest{By: []string{"key"}}, []float64{11, 5}},
				{&adminv1.SumUsageRequest{By: []string{"team", "day"}}, []float64{10, 6}},
				{&adminv1.SumUsageRequest{By: []string{"key"}, Since: "2026-11-23", Top: 1}, []float64{5}},
				{&adminv1.SumUsageRequest{By: []string{"provider"}, Key: "alice", Until: "2026-11-22"}, []float64{10, 0}},
				{&adminv1.SumUsageRequest{By: []string{"model"}, Team: "blue"}, nil},
			} {
				sums := l.sums(row.ask).GetSums()
				if len(sums) != len(row.want) {
					t.Fatalf("%s: %v: %v", name, row.ask, sums)
				}
				for i, s := range sums {
					if s.GetCostUsd() != row.want[i] {
						t.Errorf("%s: %v: %v, want %v", name, row.ask, s, row.want[i])
					}
				}
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "usage.ledger"), []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readLedger(t, stream, dir).sums(&adminv1.SumUsageRequest{By: []string{"team"}}).GetSums(); len(got) != 1 || got[0].GetCostUsd() != 16 {
			t.Errorf("from a damaged book: %v", got)
		}
	})
}

// TestLedgerHoldsManySubjects: subjects without end neither push out other days nor the usage of keys, and all that they used is in the sums.
func TestLedgerHoldsManySubjects(t *testing.T) {
	dir := t.TempDir()
	l := newLedger(nil, 0, dir, slog.New(slog.DiscardHandler))
	first := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	l.observe(1, usageBlock(1, 1, first, "alice", "red", 1))
	const count = subjectsMax + 1000
	for i := range count {
		l.observe(uint64(i+2), usageBlock(1, uint64(i+2), first.AddDate(0, 0, 1), fmt.Sprint("jwt:", i), "red", 1))
	}
	l.observe(count+2, usageBlock(1, count+2, first.AddDate(0, 0, 2), "jwt:late", "red", 1))
	l.save()
	again := newLedger(nil, 0, dir, slog.New(slog.DiscardHandler))
	again.observe(count+3, usageBlock(1, count+3, first.AddDate(0, 0, 1), "jwt:later", "red", 1))
	for _, row := range []struct {
		ask  *adminv1.SumUsageRequest
		want float64
	}{
		{&adminv1.SumUsageRequest{By: []string{"team"}}, count + 3},
		{&adminv1.SumUsageRequest{By: []string{"key"}, Key: "jwt:7"}, 1},
		{&adminv1.SumUsageRequest{By: []string{"key"}, Key: "jwt:late"}, 1},
		{&adminv1.SumUsageRequest{By: []string{"key"}, Key: "jwt:*"}, count + 1 - subjectsMax/2},
		{&adminv1.SumUsageRequest{By: []string{"day"}, Until: "2026-11-22"}, 1},
	} {
		if sums := again.sums(row.ask).GetSums(); len(sums) != 1 || sums[0].GetCostUsd() != row.want {
			t.Errorf("%v: %v, want %v", row.ask, sums, row.want)
		}
	}
	if lines := len(again.book.lines); lines > subjectsMax+10 {
		t.Errorf("%d lines", lines)
	}
}
