package fleet

import (
	"strings"
	"testing"
	"time"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// Two processes under one name are two among which limits are shared, the younger's word counts and gets the grants, and everybody is told.
func TestTwoProcessesUnderOneName(t *testing.T) {
	f := New(Config{}, begin)
	f.Asked(begin, providers("a"))
	now := begin
	pass := func(d time.Duration, boots ...uint64) *tablev1.Health {
		for end := now.Add(d); now.Before(end); now = now.Add(500 * time.Millisecond) {
			for _, boot := range boots {
				if boot == 1 { // the younger one has nothing to tell
					f.Observe(now, &outcomev1.Batch{Node: "n", Boot: boot, Seq: uint64(now.UnixMilli()), SentUnixMs: now.UnixMilli()})
				}
				f.Heard(now, &tablev1.Heartbeat{Node: "n", Boot: boot, SentUnixMs: now.UnixMilli(), Address: map[uint64]string{1: "old:1", 2: "new:1"}[boot]})
			}
		}
		return f.Step(now, true).Health
	}
	if h := pass(2*time.Second, 1); h.GetNodesLive() != 1 || len(h.GetOutliers()) != 0 {
		t.Errorf("one process: %v", h)
	}
	h := pass(2*time.Second, 1, 2)
	if h.GetNodesLive() != 2 || len(h.GetOutlierReasons()) != 1 || !strings.Contains(h.GetOutlierReasons()[0], "two processes run under its name, at new:1 and, begun earlier, at old:1") {
		t.Errorf("two processes: %d nodes, outliers %v %v", h.GetNodesLive(), h.GetOutliers(), h.GetOutlierReasons())
	}
	if boot := f.nodes["n"].boot(); boot != 2 {
		t.Errorf("grants go to boot %d", boot)
	}
	if h := pass(5*time.Second, 2); h.GetNodesLive() != 1 || len(h.GetOutliers()) != 0 {
		t.Errorf("the older one has ended: %v", h)
	}
	pass(2*time.Second, 1, 2)
	if h := pass(8*time.Second, 1); h.GetNodesLive() != 1 || len(h.GetOutliers()) != 0 || f.nodes["n"].boot() != 1 {
		t.Errorf("the younger one has ended: %v, and boot %d counts", h, f.nodes["n"].boot())
	}
}
