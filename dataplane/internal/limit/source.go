package limit

import (
	"context"
	"sync"
	"time"
)

// Kind is what a limit counts.
type Kind uint8

// The kinds.
const (
	// Slots are held for a time and given back: requests in flight.
	Slots Kind = iota
	// Units are used up: requests or tokens per minute.
	Units
	// Money is spent in a period.
	Money
)

// Ask is what one node wants of one limit.
type Ask struct {
	// Key names the limit in the whole cluster.
	Key  string
	Kind Kind
	// Limit is the cap on slots, units per minute, or what may be spent in a period, for the cluster; at most 2^53.
	Limit int64
	// Want is how many slots the node could use in all, or how many more units, or how much more money.
	Want int64

	// InUse slots are in use at this moment; of money, what the node has spent since the period's start. Held says how many the node's lease
	// gives it, Share how many it may have without having held any: they help a source that has just lost its memory. TTL is how long
	// slots are kept for a node that does not ask again, or for how long a period is to be remembered.
	InUse, Held, Share int64
	TTL                time.Duration
	// Learn is for how long a source that has just begun to know the limit gives only what was Held, or the Share; it ends when so many
	// Peers have asked, 0 being unknown.
	Learn time.Duration
	Peers int64
	// Strict: slots are not given anew while somebody may be using them, even where the source's clock was set.
	Strict bool
	// Seq grows from ask to ask of a node: one that a source hears after a later one says nothing any more.
	Seq int64

	// Known is what the ledger knows to have been spent of money by all nodes and all that they were before: a source that has forgotten
	// it goes by that.
	Known int64

	// Owe are units that were used without having been granted, Back units that were granted and not used.
	Owe, Back int64
	// Again are units that the node drew of a source that has forgotten it, by how many seconds ago, at most 61; nil for none.
	Again []int64
}

// Grant answers an Ask.
type Grant struct {
	// Granted slots in all, or units in addition, or money for the whole period.
	Granted int64
	// Tight says of slots that the nodes together want more than there are.
	Tight bool
	// Wait is when more units may be had, if fewer than wanted were granted.
	Wait time.Duration
	// Born is when the source began to know of units, by its own clock: another one than before says that it has forgotten.
	Born int64
	// Left are units that no node has drawn, or money that none has taken.
	Left int64
}

// Source shares limits out among nodes. Safe for concurrent use. Every body passes limittest.Run.
type Source interface {
	// Renew answers asks[i] in grants[i], all in one round trip, and returns within ctx. After an error nothing is known: what was
	// asked may have been granted or not, and the node must count neither.
	Renew(ctx context.Context, node string, asks []Ask, grants []Grant) error
	// Close ends the connections; nothing is given back, the leases run out.
	Close() error
}

// Memory is a Source for the nodes of one process.
type Memory struct {
	now func() time.Time

	mu      sync.Mutex
	slots   map[string]*slots
	windows map[string]*window
	budgets map[string]*budget
}

// NewMemory makes a source that goes by the clock now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, slots: make(map[string]*slots), windows: make(map[string]*window), budgets: make(map[string]*budget)}
}

// Renew never fails.
func (m *Memory) Renew(_ context.Context, node string, asks []Ask, grants []Grant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	nowMs := m.now().UnixMilli()
	for i := range asks {
		a := &asks[i]
		switch a.Kind {
		case Slots:
			granted, tight := entry(m.slots, a.Key).renew("", node, nowMs, slotAsk{
				cap: a.Limit, ttlMs: a.TTL.Milliseconds(), want: a.Want, inUse: a.InUse, held: a.Held, share: a.Share,
				learnMs: a.Learn.Milliseconds(), peers: a.Peers, strict: a.Strict, seq: a.Seq,
			})
			grants[i] = Grant{Granted: granted, Tight: tight}
		case Money:
			granted, left := entry(m.budgets, a.Key).draw(node, budgetAsk{limit: a.Limit, spent: a.InUse, want: a.Want, known: a.Known})
			grants[i] = Grant{Granted: granted, Left: left}
		default:
			w := entry(m.windows, a.Key)
			granted, waitMs, left := w.draw(nowMs, unitAsk{limit: a.Limit, want: a.Want, owe: a.Owe, back: a.Back, again: a.Again})
			grants[i] = Grant{Granted: granted, Wait: time.Duration(waitMs) * time.Millisecond, Left: left, Born: w.bornMs}
		}
	}
	return nil
}

// Close does nothing.
func (m *Memory) Close() error { return nil }

// entry is a key's value, made on first use. There are as many keys as limits were ever configured, and for budgets one for each day.
func entry[T any](all map[string]*T, key string) *T {
	e := all[key]
	if e == nil {
		e = new(T)
		all[key] = e
	}
	return e
}
