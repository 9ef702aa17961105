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
	// gives it. TTL is how long slots are kept for a node that does not ask again, or for how long a period is to be remembered; Lease is
	// how long a node goes by the slots that it was given.
	InUse, Held int64
	TTL, Lease  time.Duration
	// Strict: slots are not given anew while somebody may be using them, even where the source's clock was set.
	Strict bool
	// Gone: the node will not ask again.
	Gone bool
	// Seq grows from ask to ask of a node: one that a source hears after a later one says nothing any more.
	Seq int64

	// A source that has lost its memory of slots gives nobody more than was Held, or the Share, before all nodes have asked that Held some. Memory and
	// Roster are those of the last Grant. Peers are the nodes that shared the limit in the memory before, nil if the node has not heard of one. Where nobody
	// has, Nodes is how many there are, 0 being unknown. After Learn it gives again, whoever has asked.
	Share  int64
	Memory string
	Roster int64
	Peers  []string
	Nodes  int64
	Learn  time.Duration

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
	// Memory names what the source knows of slots: another name than before says that it has forgotten, and wants to be asked again at once.
	// Roster is the number of the roster of those who share the limit, Peers the others on it, if the ask was by another roster.
	Memory string
	Roster int64
	Peers  []string
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
			grants[i] = entry(m.slots, a.Key).renew("", node, nowMs, a.slots())
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

// slots is the ask as the arithmetic reads it.
func (a *Ask) slots() slotAsk {
	return slotAsk{
		cap: a.Limit, ttlMs: a.TTL.Milliseconds(), leaseMs: a.Lease.Milliseconds(), want: a.Want, inUse: a.InUse, held: a.Held, share: a.Share,
		learnMs: a.Learn.Milliseconds(), nodes: a.Nodes, strict: a.Strict, gone: a.Gone, seq: a.Seq,
		memory: a.Memory, roster: a.Roster, peers: a.Peers,
	}
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
