// Package limittest is the exam that every body of limit.Source takes.
package limittest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aimux/aimux/dataplane/internal/limit"
)

// Body is a source on trial.
type Body struct {
	Source limit.Source
	// Advance lets time pass, on the source's clock: by moving it, or by waiting.
	Advance func(time.Duration)
	// Waits says that Advance waits; then the parts wait at the same time.
	Waits bool
}

// Run examines the bodies that open makes: a new, empty one for each part.
func Run(t *testing.T, open func(t *testing.T) Body) {
	t.Helper()
	for name, part := range map[string]func(*exam){
		"one node has what it wants":                 oneNode,
		"nobody gets what others hold":               full,
		"what is returned can be had":                returned,
		"a dead node's slots return":                 dead,
		"everybody comes to a fair part":             fair,
		"a source without memory believes the nodes": amnesia,
		"many at once never exceed the cap":          crowd,
		"units run out and come back":                units,
		"debts are written down":                     debts,
		"what comes back can be had":                 refunds,
		"what was drawn before counts":               again,
		"limits are apart":                           apart,
		"who is heard late says nothing":             late,
		"money is spent once":                        money,
		"money that the ledger knows of is spent":    known,
	} {
		t.Run(name, func(t *testing.T) {
			body := open(t)
			if body.Waits {
				t.Parallel()
			}
			part(&exam{T: t, Body: body})
		})
	}
}

// ttl of leases: short, because some bodies can only be waited for, and long enough for a busy machine.
const ttl = time.Second

// learn is how long a new source only believes.
const learn = ttl / 4

type exam struct {
	*testing.T
	Body
}

func (e *exam) renew(node string, a limit.Ask) limit.Grant {
	e.Helper()
	grants := make([]limit.Grant, 1)
	if err := e.Source.Renew(context.Background(), node, []limit.Ask{a}, grants); err != nil {
		e.Fatal(err)
	}
	return grants[0]
}

// slots asks for a lease on the key "k" as a node of two.
func (e *exam) slots(node string, limitTo, want, inUse int64) int64 {
	e.Helper()
	return e.renew(node, limit.Ask{Key: "k", Kind: limit.Slots, Limit: limitTo, Want: want, InUse: inUse, Share: (limitTo + 1) / 2, TTL: ttl, Learn: learn}).Granted
}

// settle lets the time pass in which a new source only believes, with the nodes' leases kept alive.
func (e *exam) settle(leases map[string]int64, limitTo int64) {
	e.Helper()
	for range 3 {
		for node, held := range leases {
			e.renew(node, limit.Ask{Key: "k", Kind: limit.Slots, Limit: limitTo, Want: held, InUse: held, Held: held, Share: held, TTL: ttl, Learn: learn})
		}
		e.Advance(learn / 2)
	}
}

func (e *exam) want(what string, got, want int64) {
	e.Helper()
	if got != want {
		e.Errorf("%s: %d, want %d", what, got, want)
	}
}

func oneNode(e *exam) {
	e.settle(map[string]int64{"a": 1}, 10)
	e.want("some", e.slots("a", 10, 3, 0), 3)
	e.want("all", e.slots("a", 10, 10, 3), 10)
	e.want("more than there are", e.slots("a", 10, 99, 10), 10)
	e.want("fewer", e.slots("a", 10, 2, 1), 2)
	e.want("not fewer than are in use", e.slots("a", 10, 1, 2), 2)
}

func full(e *exam) {
	e.settle(map[string]int64{"a": 10}, 10)
	e.want("another", e.slots("b", 10, 5, 0), 0)
	grant := e.renew("b", limit.Ask{Key: "k", Kind: limit.Slots, Limit: 10, Want: 5, TTL: ttl, Learn: learn})
	if !grant.Tight {
		e.Error("the node is not told that the limit is tight")
	}
	e.want("a's part now, of which it uses 4", e.slots("a", 10, 10, 4), 5)
	e.want("b's part now", e.slots("b", 10, 5, 0), 5)
}

func returned(e *exam) {
	e.settle(map[string]int64{"a": 10}, 10)
	e.want("given back", e.slots("a", 10, 0, 0), 0)
	e.want("had by another", e.slots("b", 10, 10, 0), 10)
}

func dead(e *exam) {
	e.settle(map[string]int64{"a": 10}, 10)
	e.slots("a", 10, 10, 10)
	e.Advance(ttl / 4)
	e.want("before the lease has run out", e.slots("b", 10, 10, 0), 0)
	e.Advance(ttl)
	e.want("after", e.slots("b", 10, 10, 0), 10)
	e.want("the dead returns, with requests in flight", e.slots("a", 10, 10, 3), 0)
}

func fair(e *exam) {
	e.settle(map[string]int64{"a": 1, "b": 1, "c": 1}, 12)
	wants := map[string]int64{"a": 2, "b": 20, "c": 20}
	got := map[string]int64{}
	for range 4 {
		for _, node := range []string{"a", "b", "c"} {
			got[node] = e.slots(node, 12, wants[node], 0)
		}
	}
	e.want("who wants little", got["a"], 2)
	e.want("who wants much", got["b"], 5)
	e.want("the other", got["c"], 5)

	for _, node := range []string{"a", "b", "c"} {
		e.slots(node, 12, 0, 0)
	}
	var all int64
	for _, node := range []string{"a", "b", "c", "d"} {
		all += e.slots(node, 2, 1, 0)
	}
	e.want("fewer slots than nodes: they are given out all the same", all, 2)
}

func late(e *exam) {
	ask := limit.Ask{Key: "k", Kind: limit.Slots, Limit: 10, Want: 10, Share: 10, TTL: ttl, Learn: ttl, Seq: 5}
	e.want("all of them", e.renew("a", ask).Granted, 10)
	before := ask
	before.Want, before.InUse, before.Seq = 2, 1, 4
	e.renew("a", before)
	e.want("another", e.slots("b", 10, 10, 0), 0)
}

func amnesia(e *exam) {
	// Nothing is known yet, and nodes say what they hold.
	ask := limit.Ask{Key: "k", Kind: limit.Slots, Limit: 10, Want: 10, InUse: 4, Held: 7, Share: 2, TTL: ttl, Learn: ttl}
	e.want("what it holds, and not more", e.renew("a", ask).Granted, 7)
	ask.Held, ask.InUse = 0, 0
	e.want("a new node has its share", e.renew("b", ask).Granted, 2)
	e.want("but not what others hold", e.renew("c", ask).Granted, 1)
}

func crowd(e *exam) {
	const capacity, nodes = 40, 8
	var mu sync.Mutex
	held := map[string]int64{}
	var wg sync.WaitGroup
	for n := range nodes {
		wg.Go(func() {
			node := fmt.Sprint("node-", n)
			grants := make([]limit.Grant, 1)
			for i := range 30 {
				// What is in use from now on is at most what was held: the smaller of both leases counts while one is replaced.
				mu.Lock()
				want := int64((i*7+n*3)%20 + 1)
				before := held[node]
				mu.Unlock()
				ask := limit.Ask{Key: "k", Kind: limit.Slots, Limit: capacity, Want: want, InUse: min(before, want), Share: capacity / nodes, TTL: time.Minute, Learn: time.Minute}
				mu.Lock()
				held[node] = min(before, want)
				mu.Unlock()
				if err := e.Source.Renew(context.Background(), node, []limit.Ask{ask}, grants); err != nil {
					e.Error(err)
					return
				}
				mu.Lock()
				held[node] = grants[0].Granted
				var all int64
				for _, slots := range held {
					all += slots
				}
				if all > capacity {
					e.Errorf("%d slots are held, of %d", all, capacity)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func (e *exam) units(a limit.Ask) limit.Grant {
	e.Helper()
	a.Key, a.Kind = "u", limit.Units
	return e.renew("a", a)
}

func units(e *exam) {
	e.want("some", e.units(limit.Ask{Limit: 100, Want: 30}).Granted, 30)
	rest := e.units(limit.Ask{Limit: 100, Want: 99})
	e.want("the rest", rest.Granted, 70)
	if rest.Wait <= 0 || rest.Wait > 61*time.Second {
		e.Errorf("who gets less than he wants waits %v", rest.Wait)
	}
	e.want("no more", e.units(limit.Ask{Limit: 100, Want: 1}).Granted, 0)
	e.want("a higher limit counts at once", e.units(limit.Ask{Limit: 110, Want: 99}).Granted, 10)
}

func debts(e *exam) {
	e.want("beyond the limit", e.units(limit.Ask{Limit: 100, Want: 10, Owe: 95}).Granted, 5)
	e.want("deep in debt", e.units(limit.Ask{Limit: 100, Want: 10, Owe: 1000}).Granted, 0)
	e.want("still in debt", e.units(limit.Ask{Limit: 1000, Want: 10}).Granted, 0)
}

func again(e *exam) {
	first := e.units(limit.Ask{Limit: 100, Want: 10})
	e.want("drawn of another source", e.units(limit.Ask{Limit: 100, Want: 100, Again: []int64{0, 30, 20}}).Granted, 40)
	if next := e.units(limit.Ask{Limit: 100}); first.Born == 0 || next.Born != first.Born {
		e.Errorf("it knows the limit since %d, and then since %d", first.Born, next.Born)
	}
}

func refunds(e *exam) {
	e.units(limit.Ask{Limit: 100, Want: 100})
	e.want("what came back", e.units(limit.Ask{Limit: 100, Want: 100, Back: 40}).Granted, 40)
	e.want("more than was ever drawn", e.units(limit.Ask{Limit: 100, Want: 500, Back: 500}).Granted, 100)
}

func apart(e *exam) {
	asks := make([]limit.Ask, 20)
	for i := range asks {
		asks[i] = limit.Ask{Key: fmt.Sprint("limit ", i), Kind: limit.Units, Limit: int64(i), Want: 100}
		if i%2 == 0 {
			asks[i] = limit.Ask{Key: fmt.Sprint("limit ", i), Kind: limit.Slots, Limit: int64(i), Want: 100, Share: int64(i), TTL: ttl, Learn: ttl}
		}
	}
	grants := make([]limit.Grant, len(asks))
	if err := e.Source.Renew(context.Background(), "a", asks, grants); err != nil {
		e.Fatal(err)
	}
	for i, grant := range grants {
		e.want(asks[i].Key, grant.Granted, int64(i))
	}
}

func money(e *exam) {
	spend := func(node string, spent, want int64) int64 {
		e.Helper()
		return e.renew(node, limit.Ask{Key: "k/2026-11", Kind: limit.Money, Limit: 100, InUse: spent, Want: want, TTL: time.Hour}).Granted
	}
	e.want("a's first block", spend("a", 0, 40), 40)
	e.want("the same, asked again", spend("a", 0, 40), 40)
	e.want("b's", spend("b", 0, 40), 40)
	e.want("all that is left", spend("a", 40, 40), 60)
	e.want("nothing more", spend("b", 40, 40), 40)
	e.want("what a spent without asking", spend("a", 70, 10), 60)
	e.want("counts against b", spend("b", 40, 40), 30)
	e.want("a gives back", spend("a", 20, 0), 20)
	e.want("and b has it", spend("b", 40, 99), 80)
}

func known(e *exam) {
	spend := func(node string, spent, want, known int64) int64 {
		e.Helper()
		return e.renew(node, limit.Ask{Key: "l/2026-11", Kind: limit.Money, Limit: 100, InUse: spent, Want: want, Known: known, TTL: time.Hour}).Granted
	}
	e.want("what earlier nodes left", spend("a", 0, 50, 80), 20)
	e.want("what a has spent is in the ledger", spend("a", 20, 50, 95), 25)
	e.want("and not left for others", spend("b", 0, 50, 100), 0)
	e.want("the ledger is behind", spend("b", 0, 80, 10), 75)
}
