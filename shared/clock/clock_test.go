package clock

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// What has passed moves a Steady; that the wall clock was set does not.
func TestSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Begin(time.Now())
		time.Sleep(time.Hour)
		if at := s.At(time.Now()); !at.Equal(time.Now()) || s.Ahead(time.Now()) != 0 {
			t.Errorf("after an hour it shows %v at %v", at, time.Now())
		}
	})
	// A clock that was set cannot be had in a test: a moment without its monotonic part stands for one.
	wall := time.UnixMilli(1_800_000_000_000)
	s := Begin(wall)
	if got := s.Ms(wall.Add(time.Minute)); got != 1_800_000_060_000 {
		t.Errorf("a minute later it shows %d", got)
	}
	if (Steady{}).At(wall) != wall {
		t.Error("the zero clock is not the wall clock")
	}
}

func TestSkew(t *testing.T) {
	var s Skew
	for i, step := range []struct {
		now    int64
		epoch  uint64
		issued int64
		want   time.Duration
	}{
		{1_000_000, 1, 1_000_000, 0},
		{1_000_500, 1, 1_000_100, 0},                           // on its way for 0.4 s
		{1_060_000, 1, 1_001_000, 0},                           // for a minute: somebody was stopped
		{1_060_000, 2, 4_659_000, -3599 * time.Second},         // the next leader is an hour ahead
		{1_060_100, 2, 4_660_090, -3599990 * time.Millisecond}, // and is heard faster
		{1_090_000, 2, 4_660_200, -3599990 * time.Millisecond}, // and slower
		{1_090_000, 3, 0, 0},                                   // one that does not say
	} {
		if got := s.Hear(step.now, step.epoch, step.issued); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

// Every moment that a view names is moved, but for those of transitions; none is where there was none, and what came in stays as it was.
func TestHealthIsMovedWhole(t *testing.T) {
	h := &tablev1.Health{
		Targets: []*tablev1.TargetHealth{
			{
				SinceUnixMs: 1000, OpenedUnixMs: 2000, RetryUnixMs: 3000, OverrideUntilUnixMs: 4000,
				Probe: &tablev1.ProbeGrant{ExpiresUnixMs: 5000}, Check: &tablev1.Check{AtUnixMs: 6000},
			},
			{},
		},
		Regions: []*tablev1.RegionView{{HeardUnixMs: 7000}}, Transitions: []*tablev1.Transition{{AtUnixMs: 8000}},
	}
	before := proto.CloneOf(h)
	moved := Health(h, time.Second)
	want := &tablev1.Health{
		Targets: []*tablev1.TargetHealth{
			{
				SinceUnixMs: 2000, OpenedUnixMs: 3000, RetryUnixMs: 4000, OverrideUntilUnixMs: 5000,
				Probe: &tablev1.ProbeGrant{ExpiresUnixMs: 6000}, Check: &tablev1.Check{AtUnixMs: 7000},
			},
			{},
		},
		Regions: []*tablev1.RegionView{{HeardUnixMs: 8000}}, Transitions: []*tablev1.Transition{{AtUnixMs: 8000}},
	}
	if !proto.Equal(moved, want) || !proto.Equal(h, before) || Health(h, 0) != h {
		t.Errorf("moved by a second: %v", moved)
	}
}
