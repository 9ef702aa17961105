package limit_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aimux/aimux/dataplane/internal/limit"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
)

// callersOf is a table with these limits of keys and teams.
func callersOf(t testing.TB, revision uint64, nodes uint32, keys, teams map[string]*tablev1.Limits, more ...func(*tablev1.Config)) *route.Table {
	t.Helper()
	return tableWith(t, revision, nodes, nil, append(more, func(c *tablev1.Config) {
		c.Auth = &tablev1.Auth{}
		for id, limits := range keys {
			c.Auth.Callers = append(c.Auth.Callers, &tablev1.Caller{Id: id, Limits: limits})
		}
		for id, limits := range teams {
			c.Auth.Teams = append(c.Auth.Teams, &tablev1.Team{Id: id, Limits: limits})
		}
	})...)
}

// admit asks for as many requests of a caller, and says why there were no more.
func (n *node) admit(caller limit.Caller, upTo int) (permits []*limit.Permit, last *fault.Fault) {
	ask := &route.Ask{PromptTokens: 9, MaxTokens: 1, ExpectTokens: 1}
	for range upTo {
		p, f := n.Admit(caller, ask)
		if f != nil {
			return permits, f
		}
		permits = append(permits, p)
	}
	return permits, nil
}

// TestCallersAreLimitedTogether meets a key's limits, its team's and those of all requests: all or nothing, and who has none is not
// limited.
func TestCallersAreLimitedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", limit.NewMemory(time.Now), callersOf(t, 1, 1,
			map[string]*tablev1.Limits{"alice": {MaxConcurrentRequests: 3}, "bob": {RequestsPerMinute: 24}},
			map[string]*tablev1.Limits{"red": {MaxConcurrentRequests: 5}},
			func(c *tablev1.Config) { c.Limits = &tablev1.Limits{MaxConcurrentRequests: 20} }))
		defer n.stop()
		alice, bob := limit.Caller{Key: "alice", Team: "red"}, limit.Caller{Key: "bob", Team: "red"}
		held, f := n.admit(alice, 10)
		if len(held) != 3 || f.Kind != fault.RateLimited || f.RetryAfter < time.Second || !strings.Contains(f.Message, "requests in flight of key/alice is") {
			t.Fatalf("alice has %d in flight, of 3: %+v", len(held), f)
		}
		more, f := n.admit(bob, 10)
		if len(more) != 2 || !strings.Contains(f.Message, "requests in flight of team/red is") {
			t.Errorf("bob has %d in flight, of the 2 that are left to the team: %+v", len(more), f)
		}
		rest, f := n.admit(limit.Caller{Key: "carol"}, 99)
		if len(rest) != 15 || f.Kind != fault.Overloaded || !strings.Contains(f.Message, "in flight of all is") {
			t.Errorf("carol has %d in flight, of the 15 that are left to all: %+v", len(rest), f)
		}
		for _, p := range append(append(held, more...), rest...) {
			p.Settle(outcome.Usage{}, 0)
		}
		served := 0
		for range 100 {
			permits, _ := n.admit(limit.Caller{Key: "bob"}, 1)
			served += len(permits)
			settle(permits, 1)
			later(20 * time.Millisecond)
		}
		if served < 21 || served > 24+2 { // what was refused for lack of slots has cost nothing
			t.Errorf("bob was served %d more, of 24 a minute of which 2 are gone", served)
		}
		_, f = n.admit(limit.Caller{Key: "bob"}, 1)
		if f == nil || f.Kind != fault.RateLimited || f.RetryAfter < 30*time.Second {
			t.Errorf("%+v", f)
		}
		r := n.Rates(limit.Caller{Key: "bob"})
		if r.Requests.Limit != 24 || r.Requests.Left != 0 || r.Requests.Whole < 30*time.Second || r.Tokens.Limit != 0 {
			t.Errorf("bob is told %+v", r)
		}
	})
}

// TestCallersShareAcrossNodes holds a key to its limits wherever it calls, and gives it all of them at one node.
func TestCallersShareAcrossNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := limit.NewMemory(time.Now)
		table := callersOf(t, 1, 3, map[string]*tablev1.Limits{"alice": {MaxConcurrentRequests: 12, TokensPerMinute: 6_000}}, nil)
		var nodes []*node
		for _, name := range []string{"a", "b", "c"} {
			nodes = append(nodes, start(t, name, shared, table))
		}
		caller := limit.Caller{Key: "alice"}
		held, _ := nodes[0].admit(caller, 99)
		for range 40 {
			later(50 * time.Millisecond)
			more, _ := nodes[0].admit(caller, 99)
			held = append(held, more...)
		}
		later(20 * time.Second) // it is known for long enough
		for range 20 {
			later(50 * time.Millisecond)
			more, _ := nodes[0].admit(caller, 99)
			held = append(held, more...)
		}
		if len(held) != 12 {
			t.Errorf("%d in flight at one node, of 12", len(held))
		}
		settle(held, 10)
		used := 0
		for i := range 600 {
			permits, _ := nodes[i%3].admit(caller, 3)
			used += 10 * len(permits)
			settle(permits, 10)
			later(20 * time.Millisecond)
		}
		if used < 4_000 || used > 6_000+3*(6_000/3/12+10) {
			t.Errorf("%d tokens within 12 s, of 6,000 a minute", used)
		}
		for _, n := range nodes {
			n.stop()
		}
	})
}

// TestQuietCallersCostNothing has hundreds of keys call once: their gates go, what they held returns, and what they have spent is not
// forgotten.
func TestQuietCallersCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 300
		keys := map[string]*tablev1.Limits{}
		for i := range count {
			keys[fmt.Sprint("key-", i)] = &tablev1.Limits{MaxConcurrentRequests: 4, RequestsPerMinute: 60, NanodollarsPerDay: 100}
		}
		s := &source{Source: limit.NewMemory(time.Now)}
		n := start(t, "a", s, callersOf(t, 1, 1, keys, nil))
		defer n.stop()
		before := heap()
		live := func() (callers int) {
			n.Signs(func(s limit.Sign) {
				if s.Caller && s.What == "in_flight" {
					callers++
				}
			})
			return callers
		}
		for i := range count {
			p, f := n.Admit(limit.Caller{Key: fmt.Sprint("key-", i)}, &route.Ask{})
			if f != nil {
				t.Fatal(f)
			}
			p.Settle(outcome.Usage{Input: 1, Reported: true}, 100) // all that it may spend today
		}
		if got := live(); got != count {
			t.Errorf("%d callers are there", got)
		}
		later(2 * time.Second)
		s.asked.Store(0)
		later(10 * time.Second)
		if got := s.asked.Load(); got > 2*count {
			t.Errorf("the source was asked %d times for %d callers that are quiet", got, count)
		}
		later(2 * time.Minute)
		if got := live(); got != 0 {
			t.Errorf("%d callers are still there", got)
		}
		s.asked.Store(0)
		later(time.Minute)
		if got := s.asked.Load(); got != 0 {
			t.Errorf("the source was asked %d times for nobody", got)
		}
		if grown := int64(heap()) - int64(before); grown > count*2_500 { // with what the source keeps of each
			t.Errorf("%d bytes are kept for each of them", grown/count)
		}
		if _, f := n.admit(limit.Caller{Key: "key-7"}, 1); f == nil || !strings.Contains(f.Message, "dollars per day") {
			t.Errorf("what was spent is forgotten: %+v", f)
		}
		if _, f := n.admit(limit.Caller{Key: "nobody"}, 1); f != nil || live() != 1 {
			t.Errorf("who has no limits: %+v, and %d callers are there", f, live())
		}
	})
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// subjectsOf is a table in which each subject of these issuers has these limits.
func subjectsOf(t testing.TB, issuers map[string]*tablev1.Limits) *route.Table {
	t.Helper()
	return tableWith(t, 1, 1, nil, func(c *tablev1.Config) {
		c.Auth = &tablev1.Auth{Teams: []*tablev1.Team{{Id: "red", Limits: &tablev1.Limits{MaxConcurrentRequests: 5}}}}
		for id, limits := range issuers {
			c.Auth.Issuers = append(c.Auth.Issuers, &tablev1.Issuer{Id: id, Issuer: "https://" + id, Audience: "aimux", SubjectLimits: limits})
		}
	})
}

// TestSubjectsAreLimitedOneByOne: each has its issuer's limits for itself, and meets its team's beside them.
func TestSubjectsAreLimitedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", limit.NewMemory(time.Now), subjectsOf(t, map[string]*tablev1.Limits{"jwt": {MaxConcurrentRequests: 3, RequestsPerMinute: 24}, "free": nil}))
		defer n.stop()
		for _, name := range []string{"jwt:ada", "jwt:eve"} {
			held, f := n.admit(limit.Caller{Subject: name}, 10)
			if len(held) != 2 || f == nil || !strings.Contains(f.Message, "of subject/"+name+" is") { // a block of 24 a minute is 2
				t.Errorf("%s has %d in flight: %+v", name, len(held), f)
			}
			if r := n.Rates(limit.Caller{Subject: name}); r.Requests.Limit != 24 {
				t.Errorf("%s is told %+v", name, r)
			}
			settle(held, 1)
		}
		later(time.Second)
		held, _ := n.admit(limit.Caller{Subject: "jwt:ada", Team: "red"}, 1)
		if more, _ := n.admit(limit.Caller{Subject: "free:ada"}, 50); len(more) != 50 || n.Rates(limit.Caller{Subject: "free:ada"}).Requests.Limit != 0 {
			t.Errorf("%d of 50 of an issuer without limits", len(more))
		}
		more, f := n.admit(limit.Caller{Subject: "free:eve", Team: "red"}, 50)
		if len(held)+len(more) != 5 || f == nil || !strings.Contains(f.Message, "of team/red is") {
			t.Errorf("%d+%d of the team's 5: %+v", len(held), len(more), f)
		}
		if s := n.CallersState(); s.Subjects != 2 || s.SubjectsRefused != 2 || s.TeamsRefused != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestManySubjects has one issuer's subjects come without end: they are held within their part, cost the others no room, and what was theirs goes
// when they are quiet.
func TestManySubjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := &tablev1.Limits{RequestsPerMinute: 60, NanodollarsPerMonth: 1 << 40}
		s := &source{Source: limit.NewMemory(time.Now)}
		const part = 400
		n := startAs(t, limit.Config{Node: "a", SubjectsMax: 2 * part}, limit.Deps{Source: s, Ledger: func(context.Context, []limit.Budget, []limit.Spent) error { return nil }},
			subjectsOf(t, map[string]*tablev1.Limits{"jwt": limits, "other": limits}))
		defer n.stop()
		synctest.Wait()
		before := heap()
		served := 0
		for i := range part + 100 {
			p, f := n.Admit(limit.Caller{Subject: fmt.Sprint("jwt:s", i)}, &route.Ask{})
			if f == nil {
				served++
				p.Settle(outcome.Usage{Input: 1, Reported: true}, 100)
			} else if f.Kind != fault.Overloaded || f.RetryAfter <= 0 || !strings.Contains(f.Message, "more subjects of issuer jwt") {
				t.Fatalf("%+v", f)
			}
		}
		if crowded := n.CallersState().SubjectsCrowded; served != part || crowded != 100 {
			t.Errorf("%d were served and %d refused, of %d for whom there is room", served, crowded, part)
		}
		for _, known := range []string{"jwt:s0", "other:ada"} {
			if _, f := n.Admit(limit.Caller{Subject: known}, &route.Ask{}); f != nil {
				t.Errorf("%s is refused: %+v", known, f)
			}
		}
		later(90 * time.Second)
		if state := n.CallersState(); state.Subjects != 2 {
			t.Errorf("after 90 s %d are there, of which two are being served", state.Subjects)
		}
		if widest := s.widest.Load(); widest > 1<<11 {
			t.Errorf("the source was asked %d things at once", widest)
		}
		s.Source = limit.NewMemory(time.Now)
		if grown := int64(heap()) - int64(before); grown > 1<<17 {
			t.Errorf("%d bytes are left of them at the node", grown)
		}
	})
}

// TestCallersLimitsChange at run time, with requests in flight.
func TestCallersLimitsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		of := func(revision uint64, most uint32) *route.Table {
			return callersOf(t, revision, 1, map[string]*tablev1.Limits{"alice": {MaxConcurrentRequests: most}}, nil)
		}
		n := start(t, "a", limit.NewMemory(time.Now), of(1, 10))
		defer n.stop()
		alice := limit.Caller{Key: "alice"}
		held, _ := n.admit(alice, 99)
		n.Apply(of(2, 4), 1)
		later(time.Second)
		settle(held[:6], 0)
		if more, _ := n.admit(alice, 99); len(more) != 0 {
			t.Error("4 are in flight, of 4 now, and another was let in")
		}
		settle(held[6:], 0)
		if more, _ := n.admit(alice, 99); len(more) != 4 {
			t.Errorf("%d of 4", len(more))
		}
		n.Apply(of(3, 0), 1)
		if more, _ := n.admit(alice, 50); len(more) != 50 {
			t.Errorf("%d of 50 without a limit", len(more))
		}
	})
}
