package limit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/anishathalye/porcupine"

	"github.com/aimux/aimux/dataplane/internal/limit"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
)

// The model is a semaphore of so many permits. A request that is let in has acquired one somewhere between its call and its return, and
// releases it somewhere between those of its end; one that is refused may be so at any time, because a node need not know of what others
// leave. A history that has no such order shows that there were more in flight at some moment than there may be.
type semaphoreOp struct{ release bool }

func semaphore(most int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, input, output any) (bool, any) {
			held, op, ok := state.(int), input.(semaphoreOp), output.(bool)
			switch {
			case op.release:
				return held > 0, held - 1
			case ok:
				return held < most, held + 1
			default:
				return true, held
			}
		},
		Equal:             func(a, b any) bool { return a == b },
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %v", input, output) },
	}
}

// history records what happened, in the order in which it did.
type history struct {
	mu   sync.Mutex
	ops  []porcupine.Operation
	tick int64
}

func (h *history) now() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick++
	return h.tick
}

func (h *history) add(client int, op semaphoreOp, called int64, ok bool) {
	returned := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: op, Output: ok, Call: called, Return: returned})
}

// link is a node's way to the store: it can be cut, so that nothing arrives, or that answers are lost, and it takes its time.
type link struct {
	limit.Source
	mu         sync.Mutex
	cut, mute  bool
	chance     *rand.Rand
	latencyMax time.Duration
}

func (l *link) Renew(ctx context.Context, node string, asks []limit.Ask, grants []limit.Grant) error {
	l.mu.Lock()
	cut, mute, wait := l.cut, l.mute, time.Duration(l.chance.Int64N(int64(l.latencyMax)))
	l.mu.Unlock()
	time.Sleep(wait / 2)
	if cut {
		return errors.New("cut off")
	}
	err := l.Source.Renew(ctx, node, asks, grants)
	time.Sleep(wait / 2)
	if mute {
		return errors.New("the answer is lost")
	}
	return err
}

func (l *link) set(cut, mute bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.mute = cut, mute
}

// TestHistories has clients acquire and release at three nodes while nodes are cut off, die and return under their names, answers are lost, the
// store's clock is set forward and back, and the store stands still, is empty or begins anew; and has every history checked. A strict limit
// holds through all of that; what may come together beyond these steps is for TestStrictLimitsHold.
func TestHistories(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playHistory(t, seed, true) })
		})
	}
}

// TestHistoriesCatch wants the check to find what a bounded limit does in the same faults: it goes beyond its cap, by what its nodes publish.
func TestHistoriesCatch(t *testing.T) {
	caught := false
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) { caught = !playHistory(t, seed, false) || caught })
	}
	if !caught {
		t.Error("no history of a bounded limit shows more in flight than the cap: the check checks nothing")
	}
}

func playHistory(t *testing.T, seed uint64, strict bool) (linear bool) {
	const most, nodes = 9, 3
	chance := rand.New(rand.NewPCG(seed, 7))
	clock := time.Duration(0) // the store's, beside the nodes'
	var mu sync.Mutex
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(clock) }
	store := limit.NewMemory(now)
	mode := map[bool]string{true: "strict", false: "bounded"}[strict]
	table := tableWith(t, 1, nodes, &tablev1.Limits{MaxConcurrentRequests: most, Mode: mode}, func(c *tablev1.Config) { c.Policy.RequestTimeoutMs = 20_000 })
	h := &history{}
	shared := &source{Source: store}
	var links [nodes]*link
	var running [nodes]atomic.Pointer[node] // nil while it is dead, or about to die
	var all sync.WaitGroup
	begin := func(i, boot int) {
		links[i] = &link{Source: shared, chance: rand.New(rand.NewPCG(seed, uint64(i))), latencyMax: 20 * time.Millisecond}
		running[i].Store(start(t, fmt.Sprintf("n%d.%d", i, boot), links[i], table))
	}
	for i := range nodes {
		begin(i, 1)
	}
	deadline := time.Now().Add(90 * time.Second)
	over := make(chan struct{})
	for client := range 4 * nodes {
		own := rand.New(rand.NewPCG(seed, uint64(100+client)))
		all.Go(func() {
			for time.Now().Before(deadline) {
				n := running[client%nodes].Load()
				if n == nil {
					time.Sleep(100 * time.Millisecond)
					continue
				}
				called := h.now()
				p, f := n.Enter(table.Target(0), "k1", &route.Ask{})
				h.add(client, semaphoreOp{}, called, f == nil)
				if f == nil {
					time.Sleep(time.Duration(own.Int64N(int64(3 * time.Second))))
					called = h.now()
					p.Settle(outcome.Usage{}, 0)
					h.add(client, semaphoreOp{release: true}, called, true)
				}
				time.Sleep(time.Duration(own.Int64N(int64(700 * time.Millisecond))))
			}
		})
	}
	go func() { all.Wait(); close(over) }()
	boots := 1
	for time.Now().Before(deadline) {
		i := chance.IntN(nodes)
		switch chance.IntN(7) {
		case 0: // cut off for longer than a lease, and found again
			links[i].set(true, false)
			time.Sleep(13 * time.Second)
			links[i].set(false, false)
		case 1: // what it is told is lost
			links[i].set(false, true)
			time.Sleep(3 * time.Second)
			links[i].set(false, false)
		case 2: // it dies without a word when its requests have ended, and comes back under its name
			old := running[i].Swap(nil)
			time.Sleep(4 * time.Second)
			links[i].set(true, false)
			old.stop()
			boots++
			begin(i, boots)
		case 3: // the store's clock is set
			mu.Lock()
			clock += []time.Duration{time.Hour, -time.Hour, 8 * time.Second, -8 * time.Second}[chance.IntN(4)]
			mu.Unlock()
		case 4: // the store stands still
			shared.hanging.Store(true)
			time.Sleep(12 * time.Second)
			shared.hanging.Store(false)
		case 5: // the store is empty: all nodes are there to say what they hold
			shared.fresh.Store(limit.NewMemory(now))
		case 6: // the store begins anew, after it was gone
			shared.failing.Store(true)
			time.Sleep(2 * time.Second)
			shared.fresh.Store(limit.NewMemory(now))
			shared.failing.Store(false)
		}
		time.Sleep(2 * time.Second)
	}
	<-over
	for i := range running {
		running[i].Load().stop()
	}
	served := 0
	for _, op := range h.ops {
		if op.Output.(bool) && !op.Input.(semaphoreOp).release {
			served++
		}
	}
	linear = porcupine.CheckOperations(semaphore(most), h.ops)
	if strict && !linear {
		t.Errorf("%d of %d operations let in, and at some moment more than %d at once", served, len(h.ops), most)
	}
	if served < 50 {
		t.Errorf("only %d of %d operations were let in", served, len(h.ops))
	}
	return linear
}

// TestHistoriesOfRealScripts plays acquire and release of whole leases against the scripts in a store that is emptied and whose clock is set.
func TestHistoriesOfRealScripts(t *testing.T) {
	store := miniredis.RunT(t)
	at := epoch
	store.SetTime(at)
	source := openRedis(t, store.Addr())
	const most, nodes = 6, 3
	chance := rand.New(rand.NewPCG(3, 9))
	h := &history{}
	var held [nodes]int64
	var memory [nodes]string
	for range 400 {
		i := chance.IntN(nodes)
		ask := limit.Ask{
			Key: "s", Kind: limit.Slots, Limit: most, Want: chance.Int64N(most + 1), InUse: 0, Held: held[i], TTL: 30 * time.Second, Learn: 30 * time.Second, Nodes: nodes, Strict: true, Memory: memory[i],
		}
		if ask.Want < held[i] { // it says first that it holds less
			for range held[i] - ask.Want {
				h.add(i, semaphoreOp{release: true}, h.now(), true)
			}
			held[i] = ask.Want
			ask.Held = ask.Want
		}
		grants := make([]limit.Grant, 1)
		called := h.now()
		if err := source.Renew(context.Background(), fmt.Sprint("n", i), []limit.Ask{ask}, grants); err != nil {
			t.Fatal(err)
		}
		memory[i] = grants[0].Memory
		for ; held[i] > grants[0].Granted; held[i]-- {
			h.add(i, semaphoreOp{release: true}, called, true)
		}
		for ; held[i] < grants[0].Granted; held[i]++ {
			h.add(i, semaphoreOp{}, called, true)
		}
		switch chance.IntN(10) {
		case 0:
			at = at.Add([]time.Duration{time.Hour, -time.Hour, 7 * time.Second}[chance.IntN(3)])
		case 1:
			store.FlushAll()
		default:
			at = at.Add(time.Duration(chance.Int64N(900)) * time.Millisecond)
		}
		store.SetTime(at)
	}
	if !porcupine.CheckOperations(semaphore(most), h.ops) {
		t.Errorf("more than %d were held at some moment", most)
	}
}
