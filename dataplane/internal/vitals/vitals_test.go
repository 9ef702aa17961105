package vitals

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/secret"
)

func table(t *testing.T, keys int, ids ...string) *route.Table {
	t.Helper()
	wire := &tablev1.Config{Header: &tablev1.Header{ConfigRevision: 1}, Policy: &tablev1.Policy{Priority: "balanced", LoadBalancer: "adaptive", UnknownModel: "any"}}
	for _, id := range ids {
		p := &tablev1.Provider{
			Id: id, Kind: "compatible", Protocol: "openai", BaseUrl: "https://x.example", Enabled: true,
			Models: []*tablev1.Model{{Id: "m", Has: 1}}, Breaker: &tablev1.Breaker{MaxFailures: 3},
		}
		for i := range keys {
			p.Credentials = append(p.Credentials, &tablev1.Credential{Fingerprint: fmt.Sprint("key-", i)})
		}
		wire.Providers = append(wire.Providers, p)
	}
	built, err := route.FromWire(wire, func(_ *tablev1.Provider, c *tablev1.Credential) (secret.Secret, error) {
		return secret.New(c.GetFingerprint()), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// ward is Vitals in a bubble, with the changes it told of.
type ward struct {
	*Vitals
	*Bound
	t       *testing.T
	table   *route.Table
	mu      sync.Mutex
	changes []Change
}

func newWard(t *testing.T, built *route.Table) *ward {
	w := &ward{t: t, table: built}
	w.Vitals = New(Deps{Node: "n", Changed: func(c Change) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changes = append(w.changes, c)
	}})
	w.Bound = w.Bind(built)
	return w
}

func (w *ward) live(i int) route.Live {
	v := View{Bound: w.Bound, Table: w.table, NowMs: time.Now().UnixMilli()}
	return *v.Live(i)
}

// try runs one attempt to its end.
func (w *ward) try(i int, f fault.Fault, first time.Duration) bool {
	w.t.Helper()
	key, ok := w.PickKey(i, w.table, nil)
	if !ok {
		return false
	}
	var a Attempt
	if !w.Begin(&a, i, key, w.table, false) {
		return false
	}
	time.Sleep(first)
	if f.OK() {
		a.FirstToken(first)
	}
	a.End(&f, 11, 100*time.Millisecond)
	return true
}

func TestAverages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, table(t, 0, "p"))
		for range 50 {
			w.try(0, fault.Fault{}, 200*time.Millisecond)
		}
		l := w.live(0)
		if l.FirstTokenUs != 200_000 || l.PerTokenUs != 10_000 || l.SuccessPPM != ppm || l.InFlight != 0 {
			t.Errorf("%+v", l)
		}
		for range 5 {
			w.try(0, fault.Fault{}, 2*time.Second)
		}
		if up := w.live(0).FirstTokenUs; up < 1_400_000 {
			t.Errorf("five slow answers moved it to %d us only", up)
		}
		// A first token that does not come shows before it comes.
		var a Attempt
		w.Begin(&a, 0, nil, w.table, false)
		before := w.live(0)
		if !a.Overdue(10*time.Second, true) || a.Overdue(10*time.Second, true) {
			t.Error("overdue is told once")
		}
		if l := w.live(0); l.FirstTokenUs <= before.FirstTokenUs || l.SuccessPPM >= before.SuccessPPM || l.InFlight != 1 {
			t.Errorf("%+v, before %+v", l, before)
		}
		a.End(&fault.Fault{Kind: fault.Canceled}, 0, 0)
	})
}

func TestCircuitOpensProbesCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, table(t, 0, "p", "q"))
		for range 3 {
			w.try(0, fault.Fault{Kind: fault.ServerError}, time.Millisecond)
		}
		if l := w.live(0); !l.Open || l.ProbeHere {
			t.Fatalf("%+v", l)
		}
		if w.live(1).Open {
			t.Error("another provider's circuit opened too")
		}
		if w.try(0, fault.Fault{}, time.Millisecond) {
			t.Error("an open circuit let a request through")
		}
		var a, b Attempt
		for !w.BeginProbe(&a, 0, w.table, time.Now().UnixMilli()) {
			time.Sleep(100 * time.Millisecond)
		}
		if w.BeginProbe(&b, 0, w.table, time.Now().UnixMilli()) {
			t.Error("two probes at once")
		}
		a.FirstToken(0)
		a.End(&fault.Fault{}, 0, 0)
		for i := 2; i <= 3; i++ {
			if l := w.live(0); !l.ProbeHere {
				t.Fatalf("after a free probe real requests are tried, one by one: %+v", l)
			}
			if !w.try(0, fault.Fault{}, time.Millisecond) {
				t.Fatalf("probe %d", i)
			}
		}
		if l := w.live(0); l.Open {
			t.Errorf("after three: %+v", l)
		}
		last := w.changes[len(w.changes)-1]
		if last.Reason.To != circuit.Healthy || last.Provider != "p" || last.Model != "m" {
			t.Errorf("told: %+v", last)
		}
	})
}

// What cannot be reached at all opens the provider, not only the model.
func TestConnectFailuresOpenTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, table(t, 0, "p"))
		for range 3 {
			w.try(0, fault.Fault{Kind: fault.Connect}, time.Millisecond)
		}
		if c := w.changes[len(w.changes)-1]; c.Provider != "p" || c.Model != "" || c.Reason.To != circuit.Open {
			t.Errorf("told: %+v", c)
		}
		if !w.live(0).Open {
			t.Error("it is not open")
		}
	})
}

func TestHarmlessFaultsChargeNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, table(t, 1, "p"))
		for _, kind := range []fault.Kind{fault.Canceled, fault.BadRequest, fault.NotFound, fault.ContextTooLong, fault.ContentFilter, fault.TooLarge, fault.Deadline, fault.Internal} {
			for range 20 {
				if !w.try(0, fault.Fault{Kind: kind}, 0) {
					t.Fatalf("%v closed the door", kind)
				}
			}
		}
		if len(w.changes) != 0 {
			t.Errorf("told: %+v", w.changes)
		}
	})
}

func TestKeysTakeTurnsAndRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, table(t, 3, "p"))
		used := map[string]int{}
		for range 30 {
			k, _ := w.PickKey(0, w.table, nil)
			used[k.Credential.Fingerprint]++
		}
		if len(used) != 3 || used["key-0"] != 10 {
			t.Errorf("%v", used)
		}
		w.try(0, fault.Fault{Kind: fault.RateLimited, RetryAfter: 5 * time.Second}, 0)
		w.try(0, fault.Fault{Kind: fault.RateLimited, RetryAfter: 10_000 * time.Hour}, 0)
		if l := w.live(0); l.BlockedUntilMs > time.Now().UnixMilli() {
			t.Error("blocked although a key is left")
		}
		w.try(0, fault.Fault{Kind: fault.Unauthorized}, 0)
		l := w.live(0)
		if got := l.BlockedUntilMs - time.Now().UnixMilli(); got != 5000 {
			t.Errorf("blocked for %d ms, want 5000", got)
		}
		if w.try(0, fault.Fault{}, 0) {
			t.Error("a blocked key was used")
		}
		time.Sleep(61 * time.Second) // an absurd retry-after is believed for a minute
		used = map[string]int{}
		for range 4 {
			k, _ := w.PickKey(0, w.table, nil)
			used[k.Credential.Fingerprint]++
		}
		if len(used) != 2 {
			t.Errorf("after a minute: %v", used)
		}
		if len(w.changes) != 0 {
			t.Errorf("capacity opened a circuit: %+v", w.changes)
		}
		k, _ := w.PickKey(0, w.table, nil)
		k.Left(0.01)
		for range 4 {
			if again, _ := w.PickKey(0, w.table, nil); again.Credential.Fingerprint == k.Credential.Fingerprint {
				t.Error("the key with least left was picked")
			}
		}
	})
}

// TestOverloadLowersWhatIsSent to that key and model, and to no other; and not where the operator wants it otherwise.
func TestOverloadLowersWhatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, table(t, 0, "p"))
		room := func() bool {
			_, ok := w.PickKey(0, w.table, nil)
			return ok
		}
		var running [10]Attempt
		for i := range running {
			w.Begin(&running[i], 0, nil, w.table, false)
		}
		if !room() {
			t.Error("full without a reason")
		}
		time.Sleep(time.Second)
		for i := 8; i < 10; i++ { // both were sent before anything was known: that is one sign
			running[i].End(&fault.Fault{Kind: fault.Overloaded}, 0, 0)
		}
		if room() {
			t.Error("eight in flight after an overload at ten: there is room")
		}
		for i := range 4 {
			running[i].End(&fault.Fault{}, 0, 0)
		}
		if !room() {
			t.Error("four in flight: full")
		}
		if limit := w.Sign(0, w.table).Limit; limit != 7 {
			t.Errorf("the limit is %v", limit)
		}
		for range 100 {
			w.try(0, fault.Fault{}, time.Millisecond)
		}
		if limit := w.Sign(0, w.table).Limit; limit < 10 {
			t.Errorf("after a hundred successes the limit is %v", limit)
		}
		time.Sleep(time.Minute)
		if limit := w.Sign(0, w.table).Limit; limit != 0 {
			t.Errorf("after a quiet minute the limit is %v", limit)
		}
	})
}

func TestTheClustersGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		built := table(t, 0, "p")
		w := newWard(t, built)
		grant := func(node string, lease uint64, live bool) {
			w.table = built.WithHealth(&tablev1.Health{Header: &tablev1.Header{}, Targets: []*tablev1.TargetHealth{{
				Provider: "p", Model: "m", State: tablev1.State_STATE_HALF_OPEN,
				Probe: &tablev1.ProbeGrant{Node: node, Lease: lease, Live: live, ExpiresUnixMs: time.Now().Add(time.Second).UnixMilli()},
			}}})
		}
		grant("n", 1, true)
		if !w.live(0).ProbeHere {
			t.Fatal("the grant is not seen")
		}
		var a, b Attempt
		if !w.Begin(&a, 0, nil, w.table, false) || !a.Probe() {
			t.Error("the grant does not open the door")
		}
		if w.live(0).ProbeHere || w.Begin(&b, 0, nil, w.table, false) {
			t.Error("two requests used one grant")
		}
		a.End(&fault.Fault{}, 0, 0)
		if w.live(0).ProbeHere || w.Begin(&b, 0, nil, w.table, false) {
			t.Error("a grant was used twice, one after the other")
		}
		grant("n", 2, true)
		if !w.live(0).ProbeHere {
			t.Error("the next grant is not seen")
		}
		grant("n", 3, false)
		if !w.BeginProbe(&a, 0, w.table, time.Now().UnixMilli()) || w.BeginProbe(&b, 0, w.table, time.Now().UnixMilli()) {
			t.Error("a free grant is for one free probe")
		}
		a.End(&fault.Fault{}, 0, 0)
		grant("other", 4, false)
		if w.BeginProbe(&b, 0, w.table, time.Now().UnixMilli()) {
			t.Error("another node's grant was used")
		}
	})
}

// What is known of a target outlives the table; what is gone is forgotten.
func TestSurvivesTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, table(t, 0, "p", "q"))
		w.try(1, fault.Fault{}, 300*time.Millisecond)
		w.Settled(77, 1)
		var running Attempt
		w.Begin(&running, 1, nil, w.table, false)
		w.table = table(t, 0, "a", "q")
		w.Bound = w.Bind(w.table)
		if l := w.live(1); l.FirstTokenUs != 300_000 || l.InFlight != 1 {
			t.Errorf("%+v", l)
		}
		v := View{Bound: w.Bound, Table: w.table}
		if i, ok := v.Home(77); !ok || i != 1 {
			t.Errorf("the session lives at %d, %v", i, ok)
		}
		running.End(&fault.Fault{}, 0, 0)
		if w.live(1).InFlight != 0 {
			t.Error("an attempt that began under the old table did not end")
		}
		w.table = table(t, 0, "a")
		w.Bound = w.Bind(w.table)
		v = View{Bound: w.Bound, Table: w.table}
		if _, ok := v.Home(77); ok {
			t.Error("a session lives at a target that is gone")
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	var s sessions
	for i := range uint64(200_000) {
		s.put(i*0x9e3779b97f4a7c15+1, uint32(i%100+1))
	}
	found := 0
	for i := uint64(199_000); i < 200_000; i++ {
		if s.find(i*0x9e3779b97f4a7c15+1) == uint32(i%100+1) {
			found++
		}
	}
	if found < 990 {
		t.Errorf("%d of the last 1000 sessions are known", found)
	}
	s.put(5, 1)
	s.put(5, 2)
	if s.find(5) != 2 {
		t.Error("the newer note does not count")
	}
}

func TestPeersSuspicion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, table(t, 0, "p"))
		w.Suspect("p", "m", time.Now().UnixMilli())
		if w.live(0).Open {
			t.Error("a peer's word alone opened it")
		}
		w.try(0, fault.Fault{Kind: fault.ServerError}, 0)
		if !w.live(0).Open {
			t.Error("two of three failures were told by a peer, the third was seen here: not open")
		}
		w.Suspect("unknown", "m", 0)
	})
}

func BenchmarkAttempt(b *testing.B) {
	t := &testing.T{}
	built := table(t, 1, "p")
	v := New(Deps{Node: "n", Changed: func(Change) {}})
	bound := v.Bind(built)
	b.ReportAllocs()
	f := fault.Fault{}
	for b.Loop() {
		key, _ := bound.PickKey(0, built, nil)
		var a Attempt
		bound.Begin(&a, 0, key, built, false)
		a.FirstToken(time.Millisecond)
		a.End(&f, 10, time.Millisecond)
	}
}

// Who was slow or failed once is not known as such for ever: nobody would ask it, so nobody would learn better.
func TestWhatNothingRefreshesFades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, table(t, 0, "p"))
		usual := w.table.FirstToken(0)
		for range 20 {
			w.try(0, fault.Fault{}, 20*time.Second)
		}
		w.try(0, fault.Fault{Kind: fault.BadRequest}, 0)
		w.try(0, fault.Fault{Kind: fault.ServerError}, 0)
		slow := w.live(0)
		time.Sleep(30 * time.Second)
		half := w.live(0)
		if got, want := time.Duration(half.FirstTokenUs)*time.Microsecond, (usual+20*time.Second)/2; got < want-time.Second || got > want+time.Second {
			t.Errorf("after a half-life %v, want about %v", got, want)
		}
		if missing, before := ppm-half.SuccessPPM, ppm-slow.SuccessPPM; before == 0 || missing > before*6/10 || missing < before*4/10 {
			t.Errorf("of %d failures in a million %d are remembered after a half-life", before, missing)
		}
		time.Sleep(10 * time.Minute)
		if got := time.Duration(w.live(0).FirstTokenUs) * time.Microsecond; got > usual+usual/10 {
			t.Errorf("after ten minutes %v, usual is %v", got, usual)
		}
		w.try(0, fault.Fault{}, 100*time.Millisecond)
		if got := w.live(0).FirstTokenUs; got > 150_000 {
			t.Errorf("one answer in 100 ms after ten minutes: %d us; what was forgotten came back", got)
		}
	})
}

// A grant for a whole provider is one probe, not one for each of its models.
func TestAProvidersGrantIsUsedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := &tablev1.Config{Header: &tablev1.Header{ConfigRevision: 1}, Policy: &tablev1.Policy{Priority: "balanced", LoadBalancer: "adaptive", UnknownModel: "any"}}
		wire.Providers = []*tablev1.Provider{{
			Id: "p", Kind: "compatible", Protocol: "openai", BaseUrl: "https://x.example", Enabled: true, Models: []*tablev1.Model{{Id: "m", Has: 1}, {Id: "n", Has: 1}},
		}}
		built, err := route.FromWire(wire, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := newWard(t, built)
		for lease, live := range []bool{false, true} {
			w.table = built.WithHealth(&tablev1.Health{Header: &tablev1.Header{}, Targets: []*tablev1.TargetHealth{{
				Provider: "p", State: tablev1.State_STATE_HALF_OPEN,
				Probe: &tablev1.ProbeGrant{Node: "n", Lease: uint64(lease) + 1, Live: live, ExpiresUnixMs: time.Now().Add(time.Second).UnixMilli()},
			}}})
			var a [2]Attempt
			begun := 0
			for i := range a {
				var ok bool
				if live {
					ok = w.Begin(&a[i], i, nil, w.table, false)
				} else {
					ok = w.BeginProbe(&a[i], i, w.table, time.Now().UnixMilli())
				}
				if ok {
					begun++
					a[i].End(&fault.Fault{}, 0, 0)
				}
			}
			if begun != 1 {
				t.Errorf("live=%v: %d probes on one grant", live, begun)
			}
			if w.live(1).ProbeHere {
				t.Errorf("live=%v: the second model still asks for a probe", live)
			}
		}
	})
}

// What a provider told one node of a key, all nodes heed; not for longer than it would be believed here.
func TestAKeyThatAnotherNodeWasToldToLeaveAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		built := table(t, 2, "p")
		w := newWard(t, built)
		told := func(state tablev1.State, wait time.Duration) {
			w.table = built.WithHealth(&tablev1.Health{Header: &tablev1.Header{}, Targets: []*tablev1.TargetHealth{{
				Provider: "p", Model: "m", Credential: "key-0", State: state, RetryUnixMs: time.Now().Add(wait).UnixMilli(),
			}}})
			w.Heed(w.table, time.Now().UnixMilli())
		}
		told(tablev1.State_STATE_DEGRADED, 5*time.Second)
		for range 4 {
			if k, ok := w.PickKey(0, w.table, nil); !ok || k.Credential.Fingerprint != "key-1" {
				t.Fatalf("%v", k)
			}
		}
		time.Sleep(5 * time.Second)
		used := map[string]bool{}
		for range 4 {
			k, _ := w.PickKey(0, w.table, nil)
			used[k.Credential.Fingerprint] = true
		}
		if len(used) != 2 {
			t.Error("its time is over, and it is not used")
		}
		told(tablev1.State_STATE_DEGRADED, 1000*time.Hour)
		time.Sleep(61 * time.Second)
		if k, _ := w.PickKey(0, w.table, nil); k.Credential.Fingerprint != "key-0" {
			t.Error("an absurd wait is believed for longer than a minute")
		}
	})
}

// TestAKeyWhoseProviderDoesNotSayHowLong pauses for a second, longer with each refusal in a row but never long, and as at first after a success.
// What was under way when the pause began does not make it longer.
func TestAKeyWhoseProviderDoesNotSayHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, table(t, 1, "p"))
		refused := fault.Fault{Kind: fault.RateLimited}
		for _, seconds := range []int{1, 2, 4, 8, 8, 0, 1} {
			want := time.Duration(seconds) * time.Second
			if want == 0 {
				if !w.try(0, fault.Fault{}, time.Millisecond) {
					t.Error("not tried after its pause")
				}
				continue
			}
			var one, underWay Attempt
			k, ok := w.PickKey(0, w.table, nil)
			if !ok {
				t.Fatal("not tried after its pause")
			}
			w.Begin(&one, 0, k, w.table, false)
			w.Begin(&underWay, 0, k, w.table, false)
			one.End(&refused, 0, 0)
			underWay.End(&refused, 0, 0)
			left, by := w.Blocked(0, w.table)
			if left != want || by != fault.RateLimited {
				t.Errorf("blocked for %v by %v, want %v", left, by, want)
			}
			time.Sleep(left)
		}
	})
}
