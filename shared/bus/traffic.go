package bus

import "sync/atomic"

// Sizes are bounds on one encoded message of a kind; the server's max_payload (1 MiB unless configured) binds as well.
const (
	kib = 1 << 10
	mib = 1 << 20
)

// lane is the bookkeeping of one kind of message.
type lane struct {
	name string
	// bytesMax of one message, encoded.
	bytesMax int
	// pendingMax messages wait for a handler before the next is dropped.
	pendingMax int
	proof      proof

	sent, unsent, received, malformed, overflowed, forged atomic.Uint64
	// lastForged in milliseconds since 1970.
	lastForged atomic.Int64
}

// lanes are all kinds of messages.
type lanes struct {
	outcomes, heartbeats, suspects, health, config, lead, digests, catalog, explain, usage, spent *lane
}

func newLanes() lanes {
	return lanes{
		outcomes:   &lane{name: "outcomes", bytesMax: mib, pendingMax: 4096, proof: maced},
		heartbeats: &lane{name: "heartbeats", bytesMax: 16 * kib, pendingMax: 4096, proof: maced},
		suspects:   &lane{name: "suspects", bytesMax: 4 * kib, pendingMax: 1024, proof: maced},
		health:     &lane{name: "health", bytesMax: 4 * mib, pendingMax: 64, proof: signed},
		config:     &lane{name: "config", bytesMax: 16 * mib, pendingMax: 64, proof: signed},
		lead:       &lane{name: "lead", bytesMax: 4 * kib, pendingMax: 256, proof: signed},
		digests:    &lane{name: "digests", bytesMax: 4 * mib, pendingMax: 256, proof: signed},
		catalog:    &lane{name: "catalog", bytesMax: 16 * mib, pendingMax: 64},
		explain:    &lane{name: "explain", bytesMax: 16 * mib, pendingMax: 64, proof: maced},
		usage:      &lane{name: "usage", bytesMax: mib, pendingMax: 64, proof: maced},
		spent:      &lane{name: "spent", bytesMax: mib, pendingMax: 256, proof: maced},
	}
}

func (l *lanes) all() []*lane {
	return []*lane{l.outcomes, l.heartbeats, l.suspects, l.health, l.config, l.lead, l.digests, l.catalog, l.explain, l.usage, l.spent}
}

// pendingBytesMax bounds what waits for one handler, in bytes, whatever the number of messages.
const pendingBytesMax = 32 * mib

// Traffic is what happened to one kind of message since Connect.
type Traffic struct {
	Name string
	// Sent went out; Unsent was dropped because the bus was down or the message too large.
	Sent, Unsent uint64
	// Received was handed to a handler; Malformed was not, being undecodable, too large, or not of this cluster.
	Received, Malformed uint64
	// Overflowed was dropped because the handler was too slow.
	Overflowed uint64
	// Forged was not made by a party of this cluster.
	Forged uint64
}

// Stats is how the bus is doing, for metrics and debugging.
type Stats struct {
	Connected bool
	// Server is the URL in use without its password; empty while down.
	Server string
	// Reconnects since Connect.
	Reconnects uint64
	Traffic    []Traffic
}

// Stats reads the counters.
func (b *Bus) Stats() Stats {
	overflowed := b.overflowed()
	s := Stats{Connected: b.conn.IsConnected(), Server: b.conn.ConnectedUrlRedacted(), Reconnects: b.conn.Stats().Reconnects}
	for _, l := range b.lanes.all() {
		s.Traffic = append(s.Traffic, Traffic{
			Name: l.name, Sent: l.sent.Load(), Unsent: l.unsent.Load(), Received: l.received.Load(),
			Malformed: l.malformed.Load(), Overflowed: l.overflowed.Load() + overflowed[l], Forged: l.forged.Load(),
		})
	}
	return s
}

// overflowed sums what live subscriptions have dropped; ended ones have left their count in the lane.
func (b *Bus) overflowed() map[*lane]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := map[*lane]uint64{}
	for s := range b.subs {
		if n, err := s.sub.Dropped(); err == nil && n > 0 {
			sum[s.lane] += uint64(n)
		}
	}
	return sum
}
