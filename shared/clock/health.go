package clock

import (
	"time"

	"google.golang.org/protobuf/proto"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// Health is a view with its moments moved by that much: h itself if that is nothing, else a copy. Transitions keep theirs, which are for people and were
// read off a wall clock.
func Health(h *tablev1.Health, by time.Duration) *tablev1.Health {
	if by == 0 || h == nil {
		return h
	}
	h = proto.CloneOf(h)
	for _, t := range h.GetTargets() {
		move(&t.SinceUnixMs, by)
		move(&t.OpenedUnixMs, by)
		move(&t.RetryUnixMs, by)
		move(&t.OverrideUntilUnixMs, by)
		if t.GetProbe() != nil {
			move(&t.Probe.ExpiresUnixMs, by)
		}
		if t.GetCheck() != nil {
			move(&t.Check.AtUnixMs, by)
		}
	}
	for _, r := range h.GetRegions() {
		move(&r.HeardUnixMs, by)
	}
	return h
}

// Config is a configuration whose overrides end later by that much: c itself if that is nothing, else a copy.
func Config(c *tablev1.Config, by time.Duration) *tablev1.Config {
	if by == 0 || c == nil {
		return c
	}
	c = proto.CloneOf(c)
	for _, p := range c.GetProviders() {
		if p.GetOverride() != nil {
			move(&p.Override.ExpiresUnixMs, by)
		}
	}
	return c
}

// move moves a moment; 0 is none.
func move(unixMs *int64, by time.Duration) {
	if *unixMs != 0 {
		*unixMs += by.Milliseconds()
	}
}
