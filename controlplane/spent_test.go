package controlplane

import (
	"testing"
	"testing/synctest"
	"time"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
)

// TestLedgerTellsWhatWasSpent of each scope, by day and month and region, the same after a restart, and forgets what is past.
func TestLedgerTellsWhatWasSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		begin := time.Now().UTC() // the first of a month
		block := func(seq uint64, region string, at time.Time, nano uint64) *outcomev1.UsageBlock {
			return &outcomev1.UsageBlock{Node: "n", Boot: 1, Seq: seq, Region: region, EndedUnixMs: at.UnixMilli(), Lines: []*outcomev1.UsageLine{
				{Caller: "alice", Team: "red", Provider: "p", Model: "m", CostNanoUsd: nano},
				{Caller: "jwt:ada", Provider: "r", Model: "m", CostNanoUsd: nano},
			}}
		}
		stream := &tape{blocks: []*outcomev1.UsageBlock{
			block(1, "eu", begin, 1), block(2, "us", begin, 10), block(3, "eu", begin.AddDate(0, 0, 1), 100), block(4, "eu", begin.AddDate(0, -1, 0), 1000),
		}}
		month, today := begin.Format("2006-01"), begin.Format("2006-01-02")
		for name, l := range map[string]*ledger{"at first": readLedger(t, stream, dir), "from disk": readLedger(t, stream, dir)} {
			for _, row := range []struct {
				scope, period string
				here, all     uint64
			}{
				{"all", month, 202, 222}, {"all", today, 2, 22}, {"subject/jwt:ada", today, 1, 11}, {"key/jwt:ada", month, 0, 0}, {"key/alice", month, 101, 111}, {"team/red", today, 1, 11}, {"provider/p", month, 101, 111},
				{"provider/p/model/m", today, 1, 11}, {"provider/p/key/f", month, 0, 0}, {"key/bob", month, 0, 0}, {"all", "", 0, 0},
			} {
				got := l.spent(&outcomev1.SpentRequest{Region: "eu", Budgets: []*outcomev1.Budget{{Scope: row.scope, Period: row.period}}}).GetSpent()
				if len(got) != 1 || got[0].GetHereNanoUsd() != row.here || got[0].GetAllNanoUsd() != row.all {
					t.Errorf("%s: %s in %q: %v, want %d of %d", name, row.scope, row.period, got, row.here, row.all)
				}
			}
		}
		l := readLedger(t, stream, dir)
		sums := l.sums(&adminv1.SumUsageRequest{By: []string{"region"}, Since: begin.Format(dayFormat)})
		if len(sums.GetSums()) != 2 || sums.GetSums()[0].GetRegion() != "eu" || sums.GetRegions()[1].GetRecordedUnixMs() != begin.UnixMilli() {
			t.Errorf("by region: %v", sums)
		}
		if us := l.sums(&adminv1.SumUsageRequest{By: []string{"team"}, Region: "us"}); len(us.GetRegions()) != 1 || us.GetSums()[0].GetCostUsd()+us.GetSums()[1].GetCostUsd() != 20e-9 {
			t.Errorf("of us: %v", us)
		}
		time.Sleep(32 * 24 * time.Hour)
		l.observe(5, block(5, "eu", time.Now(), 7))
		if len(l.purse.sums) != 36 {
			t.Errorf("%d sums are kept of two lines this month: %v", len(l.purse.sums), l.purse.sums)
		}
	})
}
