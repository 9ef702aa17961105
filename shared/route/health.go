package route

import (
	"slices"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// State is how a target stands with the cluster.
type State uint8

// The states, from well to out. HalfOpen is out but for those who hold a probe grant.
const (
	Healthy State = iota
	Degraded
	Unhealthy
	CircuitOpen
	HalfOpen
)

var stateNames = [...]string{"HEALTHY", "DEGRADED", "UNHEALTHY", "CIRCUIT_OPEN", "HALF_OPEN"}

// String is the state's name on every surface.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "UNKNOWN"
}

// out reports that the state takes ordinary requests away.
func (s State) out() bool { return s == CircuitOpen || s == HalfOpen }

// worst of two views. A half-open target is nearer to well than an open one.
func worst(a, b State) State {
	order := [...]uint8{Healthy: 0, Degraded: 1, Unhealthy: 2, HalfOpen: 3, CircuitOpen: 4}
	if order[b] > order[a] {
		return b
	}
	return a
}

// ppm is the whole in parts per million; perPPM one part of it.
const (
	ppm    = 1_000_000
	perPPM = 1e-6
)

// weightFloorPPM is what is left of an unhealthy target's weight.
const weightFloorPPM = ppm / 100

// Health is the cluster's view of a target.
type Health struct {
	State State
	// WeightPPM of the configured share, CapacitySharePPM of this region; 1,000,000 where nobody said.
	WeightPPM, CapacitySharePPM uint32
	// FirstToken and PerToken are the cluster's estimates; 0 means unknown.
	FirstToken, PerToken time.Duration
	// SuccessPPM is the share of attempts that succeed; 0 means unknown.
	SuccessPPM uint32
	InFlight   int
	Probe      Grant
	Reason     string
	// SinceMs is when the state began, in Unix milliseconds of the control plane.
	SinceMs int64
	// Stale: there has been no news for so long that an open circuit is no more than a suspicion, and counts as Unhealthy.
	Stale bool
}

// Grant lets one node send one probe to a target that is open. The zero value grants nothing.
type Grant struct {
	Node      string
	Lease     uint64
	ExpiresMs int64
	// Live grants a real request; otherwise only the free probe.
	Live bool
	// Provider grants one for all models of the provider together.
	Provider bool
}

// For reports whether the grant is good for a real request of that node at that moment.
func (g *Grant) For(node string, nowMs int64) bool {
	return g.Live && g.Node == node && node != "" && nowMs < g.ExpiresMs
}

type credentialAt struct {
	target      int
	fingerprint string
}

// Health is how the target of that index stands with the cluster. Read only.
func (t *Table) Health(target int) *Health { return &t.health[target] }

// CredentialState is how one key stands for a target: Healthy unless the fleet took it out.
func (t *Table) CredentialState(target int, fingerprint string) State {
	return t.keys[credentialAt{target, fingerprint}]
}

// Throttle is a key that its provider has told some node to leave alone.
type Throttle struct {
	Target      int
	Fingerprint string
	// UntilMs is when it may be used again, in Unix milliseconds.
	UntilMs int64
}

// Throttles are the keys to be left alone, as the cluster knows. Read only.
func (t *Table) Throttles() []Throttle { return t.throttles }

// WithHealth is the same catalog under a newer view of its health. Entries for providers and models that the table does not have are
// ignored: they belong to another configuration. Whether h is newer is the caller's to judge.
func (t *Table) WithHealth(h *tablev1.Health) *Table {
	next := &Table{catalog: t.catalog, revision: t.revision, health: freshHealth(len(t.targets)), nodes: max(1, int(h.GetNodesLive())), heard: int(h.GetNodesLive()), regionShare: ppm}
	if part := h.GetRegionSharePpm(); part > 0 {
		next.regionShare = min(part, ppm)
	}
	if head := h.GetHeader(); head != nil {
		next.revision.Epoch, next.revision.Health, next.revision.Leader = head.GetEpoch(), head.GetHealthSeq(), head.GetLeader()
		next.revision.IssuedMs = head.GetIssuedUnixMs()
	}
	for _, entry := range h.GetTargets() {
		next.apply(entry)
	}
	next.settleCredentials()
	next.settleRows()
	return next
}

func freshHealth(n int) []Health {
	list := make([]Health, n)
	for i := range list {
		list[i].WeightPPM, list[i].CapacitySharePPM = ppm, ppm
	}
	return list
}

// settleRows writes the table's health into fresh rows.
func (t *Table) settleRows() {
	t.rows = slices.Clone(t.catalog.rows)
	for i := range t.rows {
		t.rows[i].stands(&t.health[i])
		t.rows[i].load = loadOf(&t.providers[t.targets[i].Provider], t.nodes)
	}
}

// apply writes one entry to the rows it concerns: one target, or all of a provider.
func (t *Table) apply(entry *tablev1.TargetHealth) {
	p, ok := t.ProviderByID(entry.GetProvider())
	if !ok {
		return
	}
	for i := range t.targetsOf(p) {
		if entry.GetModel() != "" && entry.GetModel() != t.targets[i].Model {
			continue
		}
		if key := entry.GetCredential(); key != "" {
			if t.keys == nil {
				t.keys = make(map[credentialAt]State)
			}
			at := credentialAt{i, key}
			t.keys[at] = worst(t.keys[at], stateFromWire(entry.GetState()))
			if until := entry.GetRetryUnixMs(); until != 0 && !t.keys[at].out() {
				t.throttles = append(t.throttles, Throttle{Target: i, Fingerprint: key, UntilMs: until})
			}
			continue
		}
		t.health[i].merge(entry, entry.GetModel() != "")
	}
}

// merge adds an entry to a row: the worse state and the smaller shares hold; figures of the model win over figures of the provider.
func (h *Health) merge(entry *tablev1.TargetHealth, own bool) {
	if s := stateFromWire(entry.GetState()); worst(h.State, s) != h.State || h.Reason == "" {
		h.State, h.Reason, h.SinceMs = worst(h.State, s), entry.GetReason(), entry.GetSinceUnixMs()
	}
	if p := entry.GetProbe(); p != nil {
		h.Probe = Grant{Node: p.GetNode(), Lease: p.GetLease(), ExpiresMs: p.GetExpiresUnixMs(), Live: p.GetLive(), Provider: !own}
	}
	h.WeightPPM = min(h.WeightPPM, share(entry.GetWeightPpm(), entry.GetState()))
	if part := entry.GetCapacitySharePpm(); part > 0 {
		h.CapacitySharePPM = min(h.CapacitySharePPM, part)
	}
	if v := entry.GetFirstTokenMs(); v != 0 && (own || h.FirstToken == 0) {
		h.FirstToken = time.Duration(v) * time.Millisecond
	}
	if v := entry.GetPerTokenUs(); v != 0 && (own || h.PerToken == 0) {
		h.PerToken = time.Duration(v) * time.Microsecond
	}
	if v := entry.GetSuccessPpm(); v != 0 && (own || h.SuccessPPM == 0) {
		h.SuccessPPM = min(v, ppm)
	}
	if own || h.InFlight == 0 {
		h.InFlight = int(entry.GetInFlight())
	}
}

// share reads a share of an entry: 0 means all for a target that is well, and the floor for one that is not.
func share(v uint32, state tablev1.State) uint32 {
	switch {
	case v != 0:
		return min(max(v, 1), ppm)
	case state == tablev1.State_STATE_UNSPECIFIED || state == tablev1.State_STATE_HEALTHY:
		return ppm
	default:
		return weightFloorPPM
	}
}

// settleCredentials opens the targets of a provider all of whose keys are out.
func (t *Table) settleCredentials() {
	for i := range t.targets {
		keys := t.providers[t.targets[i].Provider].Credentials
		out := 0
		for k := range keys {
			if t.keys[credentialAt{i, keys[k].Fingerprint}].out() {
				out++
			}
		}
		if out > 0 && out == len(keys) && !t.health[i].State.out() {
			t.health[i].State, t.health[i].Reason = CircuitOpen, "none of its credentials is accepted"
		}
	}
}

func stateFromWire(s tablev1.State) State {
	switch s {
	case tablev1.State_STATE_DEGRADED:
		return Degraded
	case tablev1.State_STATE_UNHEALTHY:
		return Unhealthy
	case tablev1.State_STATE_CIRCUIT_OPEN:
		return CircuitOpen
	case tablev1.State_STATE_HALF_OPEN:
		return HalfOpen
	case tablev1.State_STATE_HEALTHY, tablev1.State_STATE_UNSPECIFIED:
		return Healthy
	default: // a newer control plane's word: nothing this node knows to be bad
		return Healthy
	}
}

// wire is the state as it crosses the bus.
func (s State) wire() tablev1.State { return tablev1.State(s) + tablev1.State_STATE_HEALTHY }

// The decay of a view without news.
const (
	staleAfter = 3 * time.Second
	forgotten  = 30 * time.Second
)

// Aged is the table after so long without news of its health. For 3 seconds nothing changes. Then open circuits become suspicions: tried
// last and a little, the node's own circuit deciding the rest. Weights drift back to the configured ones within 30 seconds; then
// everything is forgotten. Call it on the table as it was last heard, not on one that has aged already.
func (t *Table) Aged(silence time.Duration) *Table {
	if silence < staleAfter {
		return t
	}
	left := max(0, 1-float64(silence-staleAfter)/float64(forgotten-staleAfter)) // of the old view
	next := *t
	next.health = make([]Health, len(t.health))
	next.keys, next.throttles = nil, nil
	for i := range t.health {
		h := t.health[i]
		h.Stale, h.Probe = true, Grant{}
		if h.State.out() {
			h.State = Unhealthy
		}
		h.WeightPPM = ppm - uint32(left*float64(ppm-h.WeightPPM))
		if left == 0 {
			h.State, h.SuccessPPM, h.InFlight, h.Reason = Healthy, 0, 0, ""
		}
		next.health[i] = h
	}
	next.settleRows()
	return &next
}
