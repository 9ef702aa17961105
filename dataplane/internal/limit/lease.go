package limit

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Slots are leased for a time. All times are in milliseconds of the source's clock.
//
// Invariant: what all nodes may have in flight is no more than the cap. The source gives only what no lease has; a lease has at
// least what its node last said that it held or used; and a node goes by an answer for less time than the source keeps it.
//
// A source may lose its memory of that, all of it or the last of it. What it knows since then is a memory with a name of its own, and a memory is complete when
// every node that may hold slots has spoken to it: until then nobody is given what nobody has claimed. A node has spoken when it has asked by the memory's name, for
// an ask that was on its way for long may be from before. Who may hold slots, the nodes say: each has heard the roster, the names of all
// that share the limit, from the memory before, and whoever comes to a strict limit is given nothing as long as one of the others has not heard of him.

// slotAsk is what a node wants of a limit on requests in flight.
type slotAsk struct {
	// cap of the whole cluster; ttlMs is how long a lease is kept, leaseMs how long a node goes by it.
	cap, ttlMs, leaseMs int64
	// want is how many slots the node could use, inUse how many it does use.
	want, inUse int64
	// held is what the node's lease says it has; share is what it may have of an incomplete memory without having held anything.
	held, share int64
	// learnMs is after how long a memory is complete, whoever has spoken. Where nobody knows of others, it is when so many nodes have; 0 is
	// unknown.
	learnMs, nodes int64
	// strict: no slot is given anew as long as somebody may be using it, whatever the clock says.
	strict bool
	// gone: the node will not ask again.
	gone bool
	// seq grows with every ask of the node.
	seq int64
	// memory and roster are what the node last heard; peers who shared the limit when it heard from another memory, nil if it never did.
	memory string
	roster int64
	peers  []string
}

// lease is what the source knows of one node.
type lease struct {
	// slots given; want is what was asked for, for sharing out.
	slots, want int64
	// expires: from then on the slots are free.
	expires int64
	// seq is the ask's that it is from: one that arrives after a later one is not heard.
	seq int64
	// old: the node has not spoken to this memory.
	old bool
	// joined is the roster that the node is on since, heard the one that it has heard.
	joined, heard int64
	// since is when it began to want slots without having any; 0 if it does not.
	since int64
}

// slots is one limit on requests in flight, at the source.
type slots struct {
	// memory is its name, bornMs when it began; server is who kept it.
	memory string
	bornMs int64
	server string
	// lastMs is when somebody last asked.
	lastMs int64
	// told: somebody who knew of others has spoken. complete: nobody else can hold anything.
	told, complete bool
	// claimed are the slots that those had who spoke to the memory before it was complete.
	claimed int64
	// roster grows when somebody joins or goes.
	roster int64
	leases map[string]lease
}

const (
	// gapMs is a silence that no node that lives leaves: after it, either nobody was there, or the clock was set.
	gapMs = 5_000
	// starvingMs is how long nobody takes the slot of a node that has none and has asked.
	starvingMs = 1_000
)

// renew gives a node its part, and never more than is left by the leases of the others. What it gets less than it holds, others get when the
// node has confirmed it by asking again.
func (s *slots) renew(server, node string, nowMs int64, a slotAsk) Grant {
	s.remember(server, node, nowMs, a.seq)
	if s.overtaken(node, nowMs, a.seq) {
		return s.grant(node, a, s.leases[node].slots, false)
	}
	s.settleClock(nowMs, a)
	s.clear(node, nowMs)
	mine, known := s.leases[node]
	if !known {
		s.roster++
		mine.joined = s.roster
	}
	spoke := s.complete || a.memory == s.memory || known && !mine.old
	if spoke && !s.complete {
		s.hear(node, nowMs, a, !known || mine.old)
	}
	s.learn(node, nowMs, a, spoke)
	a.want = min(max(a.want, a.inUse), a.cap)
	o := s.others(node, nowMs, a, mine)
	granted := o.part(a, max(a.held, a.inUse))
	if !s.complete {
		claimed := int64(0)
		if spoke {
			claimed = s.claimed - o.spoken
		}
		granted = min(granted, max(claimed, a.held, a.share))
	}
	if a.strict && o.unaware {
		granted = min(granted, a.held)
	}
	// What is in flight is in use, whether it was granted or not. And until the node says that it holds less, it may use what it held: this
	// answer is on its way, or lost.
	keep := max(granted, a.inUse, a.held)
	if !spoke {
		keep = max(keep, mine.slots)
	}
	next := lease{slots: keep, want: a.want, expires: nowMs + a.ttlMs, seq: a.seq, old: !spoke, joined: mine.joined, heard: mine.heard}
	if a.memory == s.memory {
		next.heard = a.roster
	}
	if granted == 0 && a.want > 0 {
		next.since = o.since
	}
	s.leases[node] = next
	if a.gone && keep == 0 {
		delete(s.leases, node)
		s.roster++
	}
	return s.grant(node, a, granted, o.wanted+a.want > a.cap || a.strict && o.unaware)
}

// remember begins a memory, where there is none or another server kept it: a promoted replica, or one that was started again, may be some writes
// behind. What is remembered counts until its nodes have spoken.
func (s *slots) remember(server, node string, nowMs, seq int64) {
	if s.memory != "" && s.server == server {
		return
	}
	if s.memory == "" {
		s.lastMs, s.leases = nowMs, make(map[string]lease)
	}
	s.memory, s.server, s.bornMs = node+"#"+strconv.FormatInt(seq, 10), server, nowMs
	s.told, s.complete, s.claimed = false, false, 0
	for id, l := range s.leases {
		l.old, l.heard = true, 0
		s.leases[id] = l
	}
}

// overtaken reports that the node, or one that was started later under its name, has been heard since it asked this.
func (s *slots) overtaken(node string, nowMs, seq int64) bool {
	if l := s.leases[node]; l.seq > seq && l.expires > nowMs && !l.old {
		return true
	}
	return s.replaced(node)
}

// replaced reports that one who was started later under the node's name has a lease.
func (s *slots) replaced(node string) bool {
	for id := range s.leases {
		if followed(node, id) {
			return true
		}
	}
	return false
}

// settleClock makes up for a clock that was set: nothing lies further ahead than it can, and strict limits begin to count anew after a gap.
func (s *slots) settleClock(nowMs int64, a slotAsk) {
	gap := a.strict && nowMs-s.lastMs > gapMs
	s.bornMs, s.lastMs = min(s.bornMs, nowMs), nowMs
	if gap {
		s.bornMs = nowMs
	}
	for id, l := range s.leases {
		if gap || l.expires > nowMs+a.ttlMs {
			l.expires = nowMs + a.ttlMs
			s.leases[id] = l
		}
	}
}

// clear ends the leases that have run out, and those of the processes that this node was before.
func (s *slots) clear(node string, nowMs int64) {
	for id, l := range s.leases {
		if l.expires <= nowMs || followed(id, node) {
			delete(s.leases, id)
			s.roster++
		}
	}
}

// hear takes down what a node says that speaks to an incomplete memory; first says that it does so for the first time.
func (s *slots) hear(node string, nowMs int64, a slotAsk, first bool) {
	if first {
		s.claimed += max(a.held, a.inUse)
	}
	if a.peers == nil || a.memory != s.memory {
		return
	}
	s.told = true
	for _, peer := range a.peers {
		if _, known := s.leases[peer]; known || peer == node || followed(peer, node) || s.replaced(peer) {
			continue
		}
		s.roster++
		s.leases[peer] = lease{expires: nowMs + a.ttlMs, old: true, joined: s.roster}
	}
}

// learn finds whether the memory is complete now.
func (s *slots) learn(node string, nowMs int64, a slotAsk, spoke bool) {
	silent, spoken := 0, int64(0)
	for id, l := range s.leases {
		switch {
		case id == node:
		case l.old:
			silent++
		default:
			spoken++
		}
	}
	all := spoke && silent == 0 && (s.told || a.nodes > 0 && spoken+1 >= a.nodes)
	s.complete = s.complete || all || nowMs-s.bornMs >= a.learnMs
}

// others are all nodes but one, as far as they matter to what it gets.
type others struct {
	// taken are their slots, spoken those of who has spoken; reserved are slots that they have or must get first. wanted is what they want.
	taken, spoken, reserved, wanted int64
	// equal is a part when all get the same; left is what they leave beyond that, excess what all want beyond it.
	equal, left, excess int64
	// unaware: one who was there before has not heard of this node.
	unaware bool
	// since is when the node began to want slots without having any.
	since int64
}

func (s *slots) others(node string, nowMs int64, a slotAsk, mine lease) (o others) {
	n := int64(1)
	for id, l := range s.leases {
		if id != node && l.want > 0 {
			n++
		}
	}
	o.equal = a.cap / n
	o.left, o.excess = a.cap-o.equal, a.want-o.equal
	if o.since = nowMs; mine.since > 0 {
		o.since = min(mine.since, nowMs)
	}
	for id, l := range s.leases {
		if id == node {
			continue
		}
		o.taken, o.wanted = o.taken+l.slots, o.wanted+l.want
		if !l.old {
			o.spoken += l.slots
		}
		o.left -= min(l.want, o.equal)
		o.excess += max(l.want-o.equal, 0)
		asked := l.expires - a.ttlMs
		o.unaware = o.unaware || l.joined < mine.joined && l.heard < mine.joined && nowMs-asked < a.leaseMs
		o.reserved += l.slots
		// Who has nothing comes before who has something, and among those who have nothing who has waited for longer.
		if nowMs-asked < starvingMs && (a.held+a.inUse > 0 || l.slots == 0 && l.since < o.since) {
			o.reserved += max(min(l.want, max(o.equal, 1))-l.slots, 0)
		}
	}
	return o
}

// part is a node's part when all want something: what it wants if that is no more than an equal part; else the equal part, and of what
// others leave, in proportion to what each wants beyond it, rounded up: who asks first has the odd slot, and who has one keeps it. Where there are fewer slots than nodes, it is
// one for those who have one.
func (o *others) part(a slotAsk, has int64) int64 {
	fair := a.want
	if a.want > o.equal && o.left < o.excess {
		fair = min(max(o.equal+(o.left*(a.want-o.equal)+o.excess-1)/o.excess, 1), a.want)
	}
	return min(fair, max(a.cap-o.taken, 0), max(a.cap-o.reserved, min(has, max(o.equal, 1))))
}

// grant is the answer, with the roster if it is known and the node has not heard it.
func (s *slots) grant(node string, a slotAsk, granted int64, tight bool) Grant {
	g := Grant{Granted: granted, Tight: tight, Memory: s.memory}
	if !s.told && !s.complete {
		return g // nobody knows who else there is
	}
	g.Roster = s.roster
	if a.memory == s.memory && a.roster == s.roster {
		return g
	}
	for _, id := range slices.Sorted(maps.Keys(s.leases)) {
		if id != node {
			g.Peers = append(g.Peers, id)
		}
	}
	return g
}

// followed reports that the later node is the earlier one, started again: its name is followed by a dot and a number that grows.
func followed(earlier, later string) bool {
	name, boot, ok := cutBoot(earlier)
	other, next, also := cutBoot(later)
	return ok && also && name == other && boot < next
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
