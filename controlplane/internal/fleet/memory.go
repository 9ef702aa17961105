package fleet

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/clock"
)

// Follow takes the circuits over from what the leader says. Replicas that do not lead call it for every Health of the leader's; one that is
// older than what was followed already is ignored.
func (f *Fleet) Follow(now time.Time, h *tablev1.Health) {
	nowMS := now.UnixMilli()
	epoch, seq := h.GetHeader().GetEpoch(), h.GetHeader().GetHealthSeq()
	if epoch < f.followedEpoch || epoch == f.followedEpoch && seq < f.followedSeq {
		return
	}
	f.followedEpoch, f.followedSeq = epoch, seq
	h = clock.Health(h, f.skew.Hear(nowMS, epoch, h.GetHeader().GetIssuedUnixMs()))
	if share := h.GetRegionSharePpm(); share > 0 {
		f.share = share
	}
	healthyKeys := map[*unit]bool{}
	for _, u := range f.order {
		if u.key.credential != "" {
			healthyKeys[u] = true
		}
	}
	for _, e := range h.GetTargets() {
		u := f.units[key{e.GetProvider(), e.GetModel(), e.GetCredential()}]
		if u == nil {
			continue
		}
		delete(healthyKeys, u)
		u.follow(nowMS, e)
		if u == u.provider && h.GetHeader().GetConfigRevision() == f.revision {
			u.followWord(nowMS, e.GetOverrideUntilUnixMs())
		}
		if share := e.GetCapacitySharePpm(); share > 0 && u.key.credential == "" {
			u.share = share
		}
		if u.heed.active = e.GetHeeded(); u.heed.active {
			u.heed.by = f.openings(u, e.GetOpenIn())
		}
	}
	for u := range healthyKeys { // a key that is well is not mentioned
		u.follow(nowMS, &tablev1.TargetHealth{State: tablev1.State_STATE_HEALTHY})
	}
	f.catchUp(h.GetTransitions())
}

// follow takes one circuit over. What is shown may be an operator's word or a provider's, and not the circuit's own: that is open just if it
// says when it opened.
func (u *unit) follow(nowMS int64, e *tablev1.TargetHealth) {
	m := circuit.Memory{
		State: circuit.State(e.GetState()), SinceMS: e.GetSinceUnixMs(), OpenedMS: e.GetOpenedUnixMs(), RetryMS: e.GetRetryUnixMs(),
		Opens: int(e.GetOpens()), Good: int(e.GetSuccesses()), RampMS: u.machine.Memory().RampMS,
	}
	g := e.GetProbe()
	switch {
	case m.OpenedMS == 0 && !m.State.Closed():
		m.State = u.machine.State()
		if !m.State.Closed() {
			m.State = circuit.Healthy
		}
	case m.OpenedMS != 0 && (g != nil || m.Good > 0 || m.State == circuit.HalfOpen):
		m.State = circuit.HalfOpen
	case m.OpenedMS != 0:
		m.State = circuit.Open
	}
	if g != nil && m.State == circuit.HalfOpen {
		m.Grant = circuit.Grant{Lease: g.GetLease(), ExpiresMS: g.GetExpiresUnixMs() + leaseMargin, Live: g.GetLive()}
		if u.probe.lease != g.GetLease() {
			u.probe = probe{node: g.GetNode(), lease: g.GetLease()}
		}
	}
	if m.State.Closed() && !u.machine.State().Closed() {
		m.RampMS = nowMS
	}
	if u.machine.Adopt(nowMS, m).Changed() || u.why == "" {
		u.why = e.GetReason()
		if e.GetByHand() {
			u.why = "" // which holds for as long as the word does
		}
	}
	if last := e.GetCheck(); last != nil {
		u.check.last = last
	}
	u.said = circuit.State(e.GetState())
	u.shown.state, u.shown.sinceMS, u.shown.told = u.said, e.GetSinceUnixMs(), true
}

// followWord takes over when the operator's word ends, which is by the leader's clock; 0 if it has ended there.
func (u *unit) followWord(nowMS, endsMS int64) {
	switch {
	case u.wordEndsMS == 0:
	case endsMS != 0:
		u.wordEndsMS = endsMS
	default:
		u.wordEndsMS = min(u.wordEndsMS, nowMS)
	}
}

// catchUp takes over the transitions that are new to us. Their moments do not tell which those are: they are by the clock of whoever led then.
func (f *Fleet) catchUp(list []*tablev1.Transition) {
	ours := f.transitions[max(len(f.transitions)-4*transitionsShown, 0):]
	for _, t := range list {
		if !slices.ContainsFunc(ours, func(o *tablev1.Transition) bool { return sameChange(o, t) }) {
			f.remember(t)
		}
	}
}

func sameChange(a, b *tablev1.Transition) bool {
	return a.GetAtUnixMs() == b.GetAtUnixMs() && a.GetProvider() == b.GetProvider() && a.GetModel() == b.GetModel() &&
		a.GetCredential() == b.GetCredential() && a.GetTo() == b.GetTo()
}

// snapshot is a fleet's memory as it is kept on disk.
type snapshot struct {
	Version     int                   `json:"version"`
	AtMS        int64                 `json:"at_ms"`
	Units       []savedUnit           `json:"units"`
	Transitions []*tablev1.Transition `json:"transitions,omitempty"`
	// Regions are the other ones, and Share what this one takes beside them of what is not a provider's.
	Regions []string `json:"regions,omitempty"`
	Share   uint32   `json:"share_ppm,omitempty"`
}

// savedUnit is what is kept of one circuit and its subject.
type savedUnit struct {
	Provider   string         `json:"provider"`
	Model      string         `json:"model,omitempty"`
	Credential string         `json:"credential,omitempty"`
	Circuit    circuit.Memory `json:"circuit"`
	Why        string         `json:"why,omitempty"`
	// Said is what nodes were told last, so that only what is different from it is a change.
	Said        circuit.State `json:"said,omitempty"`
	BaselineMS  float64       `json:"baseline_ms,omitempty"`
	BaselineN   float64       `json:"baseline_n,omitempty"`
	ThrottledMS int64         `json:"throttled_ms,omitempty"`
	Share       uint32        `json:"share_ppm,omitempty"`
}

const (
	snapshotVersion = 1
	// transitionsKept is how many of the latest transitions a snapshot holds: it is made again whenever one is added.
	transitionsKept = 128
)

// Snapshot returns the circuits, baselines and transitions for a later Restore.
func (f *Fleet) Snapshot(now time.Time) []byte {
	s := snapshot{Version: snapshotVersion, AtMS: now.UnixMilli(), Transitions: f.transitions[max(len(f.transitions)-transitionsKept, 0):]}
	if f.Abroad() {
		s.Regions, s.Share = slices.Sorted(maps.Keys(f.regions)), f.share
	}
	for _, u := range f.order {
		s.Units = append(s.Units, savedUnit{
			Provider: u.key.provider, Model: u.key.model, Credential: u.key.credential, Circuit: u.machine.Memory(), Why: u.why, Said: u.said,
			BaselineMS: u.speed.baseline, BaselineN: u.speed.baselineN, ThrottledMS: u.throttledMS, Share: u.share,
		})
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil // only a number that is none could cause it, and there is none
	}
	return b
}

// Restore takes over from a snapshot; call it before or after Asked. It errs when b is not a snapshot, and then nothing has changed.
func (f *Fleet) Restore(now time.Time, b []byte) error {
	var s snapshot
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("reading the fleet's snapshot: %w", err)
	}
	if s.Version != snapshotVersion {
		return fmt.Errorf("reading the fleet's snapshot: version %d, want %d", s.Version, snapshotVersion)
	}
	f.restoreShares(now.UnixMilli(), &s)
	behindMS := max(s.AtMS-now.UnixMilli(), 0) // the clock went back meanwhile
	for _, saved := range s.Units[:min(len(s.Units), f.config.TargetsMax)] {
		saved.move(-behindMS)
		k := key{saved.Provider, saved.Model, saved.Credential}
		if u := f.units[k]; u != nil {
			u.restore(now.UnixMilli(), saved)
		} else {
			f.saved[k] = saved
		}
	}
	f.transitions = nil
	f.remember(s.Transitions...)
	return nil
}

// restoreShares has the region go on with the part that it took beside the others, which may still be there: they tell within a second.
func (f *Fleet) restoreShares(nowMS int64, s *snapshot) {
	for _, name := range s.Regions {
		if f.away(name) {
			f.region(name, nowMS)
		}
	}
	if s.Share > 0 && f.Abroad() {
		f.share = min(s.Share, ppm)
	}
}

// move moves all moments.
func (s *savedUnit) move(byMS int64) {
	for _, at := range []*int64{&s.Circuit.SinceMS, &s.Circuit.OpenedMS, &s.Circuit.RetryMS, &s.Circuit.RampMS, &s.ThrottledMS} {
		if *at != 0 {
			*at += byMS
		}
	}
}

// restore takes over what was kept. A grant is not: its probe is long over, or its answer goes nowhere.
func (u *unit) restore(nowMS int64, s savedUnit) {
	m := s.Circuit
	m.Grant = circuit.Grant{}
	m.SinceMS, m.OpenedMS = min(m.SinceMS, nowMS), min(m.OpenedMS, nowMS)
	m.RetryMS = min(m.RetryMS, nowMS+time.Hour.Milliseconds())
	u.machine.Adopt(nowMS, m)
	u.why, u.said = s.Why, s.Said
	if s.BaselineMS > 0 {
		u.speed.baseline, u.speed.baselineN, u.speed.baselineMS = s.BaselineMS, s.BaselineN, nowMS
	}
	if s.Share > 0 {
		u.share = min(s.Share, ppm)
	}
	u.throttledMS = min(s.ThrottledMS, nowMS+throttleMax.Milliseconds())
}
