package limit

import (
	"strconv"
	"strings"
)

// Slots are leased for a time. All times are in milliseconds of the source's clock.

// slotAsk is what a node wants of a limit on requests in flight.
type slotAsk struct {
	// cap of the whole cluster, ttlMs of a lease.
	cap, ttlMs int64
	// want is how many slots the node could use, inUse how many it does use.
	want, inUse int64
	// held is what the node's lease says it has: it may be in use, and a source that lost its memory believes it; share is what it may have
	// meanwhile without having held anything.
	held, share int64
	// learnMs is for how long a source that has lost its memory only believes; it ends earlier when so many peers have asked, 0 being
	// unknown.
	learnMs, peers int64
	// strict: no slot is given anew as long as somebody may be using it, whatever the clock says.
	strict bool
	// seq grows with every ask of the node.
	seq int64
}

// lease is what the source knows of one node.
type lease struct {
	// slots given; want is what was asked for, for sharing out.
	slots, want int64
	// expires: from then on the slots are free.
	expires int64
	// seq is the ask's that it is from: one that arrives after a later one is not heard.
	seq int64
	// old: it is what another server remembered, and the node has not asked this one yet.
	old bool
}

// slots is one limit on requests in flight, at the source.
type slots struct {
	// bornMs is when the source began to know this limit. For a while from then on it only confirms what nodes say they hold, and gives
	// to new ones their share: others may hold leases that it has forgotten.
	bornMs int64
	// lastMs is when somebody last asked.
	lastMs int64
	// server is who kept the leases.
	server string
	leases map[string]lease
}

// gapMs is a silence that no node that lives leaves: after it, either nobody was there, or the clock was set.
const gapMs = 5_000

// renew gives a node its part, at least one if there is one, and never more than is left by the leases of the others. What it gets less than it holds, others get when the
// node has confirmed it by asking again. tight says that
// not everybody got what he wanted. A want of 0 ends the lease.
func (s *slots) renew(server, node string, nowMs int64, a slotAsk) (granted int64, tight bool) {
	if s.leases == nil {
		s.bornMs, s.lastMs, s.server, s.leases = nowMs, nowMs, server, make(map[string]lease)
	}
	if late := s.leases[node]; late.seq > a.seq && late.expires > nowMs && !late.old {
		return late.slots, false
	}
	s.takeOver(server, nowMs)
	s.settleClock(nowMs, a)
	s.bury(node)
	mine := s.leases[node]
	if mine.expires <= nowMs {
		mine = lease{}
	}
	peers := int64(1)
	for id, l := range s.leases {
		if id != node && !l.old {
			peers++
		}
	}
	if a.peers > 0 && peers >= a.peers {
		s.bornMs = min(s.bornMs, nowMs-a.learnMs) // all have asked: that does not end when one of them leaves
	}
	learning := nowMs-s.bornMs < a.learnMs
	if learning {
		mine.slots = a.held
	}
	want := min(max(a.want, a.inUse), a.cap)
	var taken, wanted int64
	for id, l := range s.leases {
		switch {
		case l.expires <= nowMs:
			delete(s.leases, id)
		case id != node:
			taken, wanted = taken+l.slots, wanted+l.want
		}
	}
	granted = min(max(s.fair(node, a.cap, want), a.inUse), max(a.cap-taken, 0))
	if learning {
		granted = min(granted, max(mine.slots, a.share))
	}
	if want == 0 {
		granted = 0
	}
	// What is in flight is in use, whether it was granted or not. And until the node says that it holds less, it may use what it held: this
	// answer is on its way, or lost.
	keep := max(granted, a.inUse, min(a.held, mine.slots))
	if keep == 0 && want == 0 && !learning { // while it learns, the source counts who has said that it holds nothing
		delete(s.leases, node)
		return 0, wanted > a.cap
	}
	s.leases[node] = lease{slots: keep, want: want, expires: nowMs + a.ttlMs, seq: a.seq}
	return granted, wanted+want > a.cap
}

// takeOver makes up for a server that goes by what another one kept: a promoted replica, or one that was started again. Its memory may be some writes
// behind, so nodes are believed as after its loss; until they have spoken, what is remembered of them counts.
func (s *slots) takeOver(server string, nowMs int64) {
	if s.server == server {
		return
	}
	s.server, s.bornMs = server, nowMs
	for id, l := range s.leases {
		l.old = true
		s.leases[id] = l
	}
}

// settleClock makes up for a clock that was set: nothing lies further ahead than it can, and of strict limits no lease ends in a gap.
func (s *slots) settleClock(nowMs int64, a slotAsk) {
	gap := nowMs-s.lastMs > gapMs
	s.bornMs, s.lastMs = min(s.bornMs, nowMs), nowMs
	if a.strict && gap {
		s.bornMs = nowMs // how long it has been known is not known
	}
	for id, l := range s.leases {
		if l.expires > nowMs+a.ttlMs || a.strict && gap && l.expires <= nowMs {
			l.expires = nowMs + a.ttlMs
			s.leases[id] = l
		}
	}
}

// bury ends the leases of the processes that this node was before: its name is followed by a dot and the number of its start.
func (s *slots) bury(node string) {
	name, boot, ok := cutBoot(node)
	if !ok {
		return
	}
	for id := range s.leases {
		if other, earlier, ok := cutBoot(id); ok && other == name && earlier < boot {
			delete(s.leases, id)
		}
	}
}

// cutBoot takes a node's name apart.
func cutBoot(node string) (name string, boot uint64, ok bool) {
	i := strings.LastIndexByte(node, '.')
	if i < 0 {
		return "", 0, false
	}
	boot, err := strconv.ParseUint(node[i+1:], 10, 53)
	return node[:i], boot, err == nil
}

// fair is a node's part when all want something: what it wants if that is no more than an equal part; else the equal part, and of what
// others leave, in proportion to what each wants beyond it, rounded up: who asks first has the odd slot. It is never less than one slot, if one is wanted; whether there is one,
// is for the caller to see.
func (s *slots) fair(node string, capacity, want int64) int64 {
	n := int64(1)
	for id, l := range s.leases {
		if id != node && l.want > 0 {
			n++
		}
	}
	equal := capacity / n
	if want <= equal {
		return want
	}
	left, excess := capacity-equal, want-equal
	for id, l := range s.leases {
		if id != node {
			left -= min(l.want, equal)
			excess += max(l.want-equal, 0)
		}
	}
	if left >= excess {
		return want
	}
	return min(max(equal+(left*(want-equal)+excess-1)/excess, 1), want)
}
