package fleet

import (
	"cmp"
	"hash/fnv"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/circuit"
)

// key names whom a circuit is about: a provider, a model of it, or a credential of it.
type key struct{ provider, model, credential string }

// unit is one circuit with everything that is known about its subject.
type unit struct {
	key      key
	machine  circuit.Machine
	provider *unit   // itself, for a provider
	models   []*unit // of a provider
	keys     []*unit // of a provider
	routes   []*route
	asked    asked
	// wordEndsMS is when the operator's word ends by itself, 0 for never; of a provider.
	wordEndsMS int64

	// What was heard and not yet judged.
	block     block
	verdict   verdict
	probe     probe
	nodesOpen int // nodes on which a circuit of their own is open

	inFlight    int64
	usedMS      int64 // when anything was last asked of it
	throttledMS int64 // until when it is throttled
	trace       trace
	why         string // reason of the machine's last change
	check       check
	speed       speed
	traffic     traffic
	okMS        int64   // when it last answered well
	heed        heeding // other regions' word
	share       uint32  // this region's part of its limits, in ppm; a credential's is its provider's
	shown       shown
	said        circuit.State // what whoever leads last told the nodes; Unknown before the first time
}

// asked is what the operator wants of a provider.
type asked struct {
	breaker  circuit.Params
	capacity float64 // requests at once; 0 means no limit
	fallback bool
	override *tablev1.Override
	check    time.Duration // interval of health checks while idle; 0 means none
	endpoint string        // where it is
}

// trace names a request's trace, and the attempt in it.
type trace struct{ id, span, request string }

// block is a refusal of a credential that waits to be judged.
type block struct {
	atMS  int64
	quota bool
}

// verdict is how a granted probe ended, until it is judged.
type verdict struct {
	lease uint64
	ok    bool
}

// probe is the grant that is out, and who holds it.
type probe struct {
	node  string
	lease uint64
}

// check is the free probe of a provider that is well as far as anybody knows: one when it is new, then whenever it was idle for long.
type check struct {
	node      string
	lease     uint64
	expiresMS int64
	nextMS    int64
	// last is how the latest ended; nil before the first.
	last *tablev1.Check
}

// shown is what nodes were told last.
type shown struct {
	state   circuit.State
	sinceMS int64
	reason  string
	weight  uint32
	lease   uint64
	told    bool
	byHand  bool // it is the operator's word
	derived bool // a provider's state that is its models'; their transitions tell of it
}

// note keeps the reason of a change.
func (u *unit) note(r circuit.Reason) {
	if r.Changed() {
		u.why = r.String()
	}
}

// Asked takes what the operator asked for: providers, their breakers and overrides. The whole of it, each time it changes.
// Overrides end by the fleet's time.
func (f *Fleet) Asked(now time.Time, c *tablev1.Config) {
	f.revision = c.GetHeader().GetConfigRevision()
	old := f.units
	f.units, f.order, f.links = make(map[key]*unit, len(old)), nil, f.links[:0]
	for _, p := range c.GetProviders() {
		if !p.GetEnabled() {
			continue
		}
		a := asked{
			breaker: breaker(p.GetBreaker()), capacity: float64(p.GetMaxConcurrentRequests()), fallback: p.GetFallback(),
			override: p.GetOverride(), check: seconds(p.GetHealthCheckIntervalS()), endpoint: p.GetBaseUrl(),
		}
		provider := f.adopt(now, old, key{provider: p.GetId()}, a)
		provider.provider, provider.models, provider.keys = provider, nil, nil
		for _, m := range p.GetModels() {
			model := f.adopt(now, old, key{provider: p.GetId(), model: m.GetId()}, a)
			model.provider = provider
			provider.models = append(provider.models, model)
		}
		for _, k := range p.GetCredentials() {
			credential := f.adopt(now, old, key{provider: p.GetId(), credential: k.GetFingerprint()}, a)
			credential.provider = provider
			provider.keys = append(provider.keys, credential)
		}
	}
	slices.SortFunc(f.order, func(a, b *unit) int { return compareKeys(a.key, b.key) })
	f.lay(c)
	f.recount()
}

// compareKeys puts a provider before its models, and those before its credentials.
func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.provider, b.provider), cmp.Compare(a.credential, b.credential), cmp.Compare(a.model, b.model))
}

// adopt keeps the unit that was there before, or makes a new one, perhaps with a memory from a snapshot.
func (f *Fleet) adopt(now time.Time, old map[key]*unit, k key, a asked) *unit {
	u, known := old[k]
	if twice := f.units[k]; twice != nil {
		return twice
	}
	if !known {
		u = &unit{key: k, machine: circuit.New(a.breaker, f.seed(k)), usedMS: now.UnixMilli(), share: f.idleShare()}
		if s, ok := f.saved[k]; ok {
			u.restore(now.UnixMilli(), s)
			delete(f.saved, k)
		}
	}
	if known && a.breaker != u.asked.breaker {
		u.machine.Tune(a.breaker)
	}
	if known && (a.endpoint != u.asked.endpoint || a.check != u.asked.check) {
		u.check = check{last: u.check.last} // due anew, by the new interval
		if a.endpoint != u.asked.endpoint {
			u.check.last, u.okMS = nil, 0
		}
	}
	if !known || !proto.Equal(a.override, u.asked.override) {
		u.wordEndsMS = a.override.GetExpiresUnixMs()
	}
	u.asked, u.routes = a, nil
	f.units[k] = u
	f.order = append(f.order, u)
	return u
}

// seed gives every circuit a jitter of its own.
func (f *Fleet) seed(k key) uint64 {
	h := fnv.New64a()
	for _, s := range []string{k.provider, k.model, k.credential} {
		_, _ = h.Write([]byte(s)) // a hash's Write cannot fail
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64() ^ f.config.Seed
}

func breaker(b *tablev1.Breaker) circuit.Params {
	return circuit.Params{
		MaxFailures: int(b.GetMaxFailures()), RecoveryDelay: seconds(b.GetRecoveryDelayS()),
		ProbeInterval: seconds(b.GetProbeIntervalS()), CloseAfter: int(b.GetCloseAfter()),
	}
}

func seconds(s float64) time.Duration {
	if !(s > 0 && s < 1e9) {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

// override is the operator's word in force: "open", "drain", "closed", or empty.
func (u *unit) override(nowMS int64) string {
	p := u.provider
	if p.wordEndsMS != 0 && nowMS >= p.wordEndsMS {
		return ""
	}
	return p.asked.override.GetState()
}
