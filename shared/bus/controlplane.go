package bus

import (
	"context"
	"strconv"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
)

// revisionHeader carries the revision beside a catalog's bytes.
const revisionHeader = "Aimux-Revision"

// WatchOutcomes calls handle for the batches of every node of the region: each replica hears everything, and what a region sees stays in it.
func (b *Bus) WatchOutcomes(handle func(*outcomev1.Batch)) (stop func(), err error) {
	accept := func(m *outcomev1.Batch, from string) bool {
		return m.GetCluster() == b.cfg.Cluster && m.GetNode() == from
	}
	return watch(b, b.lanes.outcomes, b.inRegion("outcome.*"), accept, handle)
}

// WatchHeartbeats calls handle for every node's heartbeats, of every region.
func (b *Bus) WatchHeartbeats(handle func(*tablev1.Heartbeat)) (stop func(), err error) {
	accept := func(m *tablev1.Heartbeat, from string) bool {
		return m.GetCluster() == b.cfg.Cluster && m.GetNode() == from
	}
	return watch(b, b.lanes.heartbeats, b.inCluster("region.*.node.*"), accept, handle)
}

// PublishConfig tells every node of the region what to route by, and the W3C traceparent of the push; empty means that it is not traced. Only the
// leader calls it.
func (b *Bus) PublishConfig(m *tablev1.Config, traceparent string) error {
	return b.publishTraced(b.lanes.config, b.inRegion("config"), m, traceparent)
}

// PublishHealth tells the nodes of the region how the targets are, and the traceparent as PublishConfig does. Only the leader calls it.
func (b *Bus) PublishHealth(m *tablev1.Health, traceparent string) error {
	return b.publishTraced(b.lanes.health, b.inRegion("health"), m, traceparent)
}

// besideTables is what a table's message takes besides the table, in bytes: its header, the proof, and the traceparent.
const besideTables = kib

// TableBytesMax is how large an encoded Config and an encoded Health may be: what their kinds allow, and what the server does, where one has been
// reached.
func (b *Bus) TableBytesMax() (config, health int) {
	config, health = b.lanes.config.bytesMax, b.lanes.health.bytesMax
	if server := int(b.conn.MaxPayload()); server > 0 {
		config, health = min(config, server), min(health, server)
	}
	return config - besideTables, health - besideTables
}

// ServeConfig answers nodes that ask for the Config in force. A nil from current leaves them to ask another replica after
// their deadline.
func (b *Bus) ServeConfig(current func() *tablev1.Config) (stop func(), err error) {
	return serve(b, b.lanes.config, b.inCluster("config.get"), "controlplanes", func(*tablev1.Header) proto.Message {
		if c := current(); c != nil {
			return c
		}
		return nil
	})
}

// ServeSpent answers nodes that ask what has been spent.
func (b *Bus) ServeSpent(spent func(*outcomev1.SpentRequest) *outcomev1.SpentAnswer) (stop func(), err error) {
	return serve(b, b.lanes.spent, b.inCluster("spent.get"), "controlplanes", func(ask *outcomev1.SpentRequest) proto.Message { return spent(ask) })
}

// PublishLead says that this replica leads the region, under the header's epoch.
func (b *Bus) PublishLead(m *tablev1.Header) error {
	return b.publish(b.lanes.lead, b.inRegion("lead"), m)
}

// WatchLead calls handle for each leader's heartbeat in the region; never for this replica's own.
func (b *Bus) WatchLead(handle func(*tablev1.Header)) (stop func(), err error) {
	accept := func(m *tablev1.Header, _ string) bool { return m.GetCluster() == b.cfg.Cluster && m.GetLeader() != "" }
	return watch(b, b.lanes.lead, b.inRegion("lead"), accept, func(m *tablev1.Header) {
		if m.GetLeader() != b.cfg.Name {
			handle(m)
		}
	})
}

// PublishDigest tells the other regions how this one is. It fills in the region. Only the leader calls it.
func (b *Bus) PublishDigest(m *tablev1.RegionDigest) error {
	m.Region = b.cfg.Region
	return b.publish(b.lanes.digests, b.inRegion("digest"), m)
}

// WatchDigests calls handle for what the leaders of other regions tell; never for this region's own.
func (b *Bus) WatchDigests(handle func(*tablev1.RegionDigest)) (stop func(), err error) {
	return b.subscribe(b.lanes.digests, b.inCluster("region.*.digest"), "", func(raw *nats.Msg) bool {
		if raw.Subject == b.inRegion("digest") {
			return true
		}
		m := &tablev1.RegionDigest{}
		if proto.Unmarshal(raw.Data, m) != nil || m.GetHeader().GetCluster() != b.cfg.Cluster ||
			raw.Subject != b.inCluster("region."+m.GetRegion()+".digest") {
			return false
		}
		handle(m)
		return true
	})
}

// PublishCatalog tells the other replicas of a catalog that has just been saved, so that they need not wait for the store.
func (b *Bus) PublishCatalog(revision uint64, body []byte) error {
	m := nats.NewMsg(b.inCluster("catalog"))
	m.Header.Set(revisionHeader, strconv.FormatUint(revision, 10))
	m.Data = body
	return b.send(b.lanes.catalog, m)
}

// WatchCatalog calls handle for each catalog that a replica has saved, this one's own included. The body is handle's to keep.
func (b *Bus) WatchCatalog(handle func(revision uint64, body []byte)) (stop func(), err error) {
	return b.subscribe(b.lanes.catalog, b.inCluster("catalog"), "", func(raw *nats.Msg) bool {
		revision, err := strconv.ParseUint(raw.Header.Get(revisionHeader), 10, 64)
		if err != nil {
			return false
		}
		handle(revision, raw.Data)
		return true
	})
}

// Explain asks a node what it would do with a request; an empty node means any. Errors are those of FetchConfig, and
// ErrTooLarge for a request that the bus cannot carry.
func (b *Bus) Explain(ctx context.Context, node string, ask *tablev1.ExplainRequest) (*tablev1.Explanation, error) {
	subject := b.inCluster("explain")
	if node != "" {
		if !validName(node) {
			return nil, ErrNobody
		}
		subject += "." + node
	}
	answer := &tablev1.Explanation{}
	if err := b.request(ctx, b.lanes.explain, subject, ask, answer); err != nil {
		return nil, err
	}
	return answer, nil
}
