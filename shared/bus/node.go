package bus

import (
	"context"
	"fmt"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"google.golang.org/protobuf/proto"
)

// inCluster and inRegion name subjects.
func (b *Bus) inCluster(what string) string { return "aimux.v1." + b.cfg.Cluster + "." + what }
func (b *Bus) inRegion(what string) string  { return b.inCluster("region." + b.cfg.Region + "." + what) }

// SendOutcomes publishes what this node saw. It fills in cluster, region and node.
func (b *Bus) SendOutcomes(m *outcomev1.Batch) error {
	m.Cluster, m.Region, m.Node = b.cfg.Cluster, b.cfg.Region, b.cfg.Name
	return b.publish(b.lanes.outcomes, b.inRegion("outcome."+b.cfg.Name), m)
}

// SendHeartbeat publishes how this node is. It fills in cluster, region and node.
func (b *Bus) SendHeartbeat(m *tablev1.Heartbeat) error {
	m.Cluster, m.Region, m.Node = b.cfg.Cluster, b.cfg.Region, b.cfg.Name
	return b.publish(b.lanes.heartbeats, b.inRegion("node."+b.cfg.Name), m)
}

// SendSuspect tells the peers of a circuit that this node opened by itself. It fills in cluster and node.
func (b *Bus) SendSuspect(m *tablev1.Suspect) error {
	m.Cluster, m.Node = b.cfg.Cluster, b.cfg.Name
	return b.publish(b.lanes.suspects, b.inRegion("suspect."+b.cfg.Name), m)
}

// WatchConfig calls handle for each Config that the region's leader publishes, with the traceparent of its push, which nobody has proved and which is empty
// where it is not traced. The node must still fence it by revision.
func (b *Bus) WatchConfig(handle func(m *tablev1.Config, traceparent string)) (stop func(), err error) {
	accept := func(m *tablev1.Config, _ string) bool { return m.GetHeader().GetCluster() == b.cfg.Cluster }
	return watchTraced(b, b.lanes.config, b.inRegion("config"), accept, handle)
}

// WatchHealth calls handle for each Health published for this region, as WatchConfig does. The node must still fence it by (epoch, seq).
func (b *Bus) WatchHealth(handle func(m *tablev1.Health, traceparent string)) (stop func(), err error) {
	accept := func(m *tablev1.Health, _ string) bool { return m.GetHeader().GetCluster() == b.cfg.Cluster }
	return watchTraced(b, b.lanes.health, b.inRegion("health"), accept, handle)
}

// WatchSuspects calls handle for what peers suspect; never for this node's own words.
func (b *Bus) WatchSuspects(handle func(*tablev1.Suspect)) (stop func(), err error) {
	accept := func(m *tablev1.Suspect, from string) bool {
		return m.GetCluster() == b.cfg.Cluster && m.GetNode() == from
	}
	return watch(b, b.lanes.suspects, b.inRegion("suspect.*"), accept, func(m *tablev1.Suspect) {
		if m.GetNode() != b.cfg.Name {
			handle(m)
		}
	})
}

// FetchConfig asks any one control plane for the Config in force. It fails with ErrNobody when none is there,
// with ErrDown when the bus is, and with the context's error when the answer takes too long: give it a deadline.
func (b *Bus) FetchConfig(ctx context.Context) (*tablev1.Config, error) {
	c := &tablev1.Config{}
	ask := &tablev1.Header{Cluster: b.cfg.Cluster, Leader: b.cfg.Name}
	if err := b.request(ctx, b.lanes.config, b.inCluster("config.get"), ask, c); err != nil {
		return nil, err
	}
	return c, nil
}

// FetchSpent asks any one control plane what the ledger knows to have been spent, here and everywhere, in the order of the budgets. Errors are
// those of FetchConfig.
func (b *Bus) FetchSpent(ctx context.Context, budgets []*outcomev1.Budget) ([]*outcomev1.Spent, error) {
	answer := &outcomev1.SpentAnswer{}
	ask := &outcomev1.SpentRequest{Region: b.cfg.Region, Budgets: budgets}
	if err := b.request(ctx, b.lanes.spent, b.inCluster("spent.get"), ask, answer); err != nil {
		return nil, err
	}
	if len(answer.GetSpent()) != len(budgets) {
		return nil, fmt.Errorf("asking what was spent of %d budgets: the answer is of %d", len(budgets), len(answer.GetSpent()))
	}
	return answer.GetSpent(), nil
}

// ServeExplain answers what this node would do with a request, for those who ask this node by name and those who ask any.
// explain is called from up to two goroutines at once.
func (b *Bus) ServeExplain(explain func(*tablev1.ExplainRequest) *tablev1.Explanation) (stop func(), err error) {
	answer := func(ask *tablev1.ExplainRequest) proto.Message { return explain(ask) }
	own, err := serve(b, b.lanes.explain, b.inCluster("explain."+b.cfg.Name), "", answer)
	if err != nil {
		return nil, err
	}
	common, err := serve(b, b.lanes.explain, b.inCluster("explain"), "nodes", answer)
	if err != nil {
		own()
		return nil, err
	}
	return func() { own(); common() }, nil
}
