package bus_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/bus/bustest"
	"github.com/aimux/aimux/shared/secret"
)

// TestWhoOwnsNATSMakesNoTable has somebody with all rights on the server send what nodes and control planes listen to: bare, with another
// cluster's key, and what was genuine, in another place. Only what was genuine in its place is heard.
func TestWhoOwnsNATSMakesNoTable(t *testing.T) {
	dial := bustest.Serve(t)
	node, cp := bustest.Join(t, dial, "node-1"), bustest.Join(t, dial, "cp-1")
	forger := join(t, bus.Config{InProcess: dial, Name: "cp-2", Key: secret.NewKey([secret.KeySize]byte{9})})
	heard := make(chan string, 16)
	must := func(_ func(), err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(node.WatchConfig(func(m *tablev1.Config, _ string) { heard <- "config of " + m.GetHeader().GetLeader() }))
	must(node.WatchHealth(func(m *tablev1.Health, _ string) { heard <- "health of " + m.GetHeader().GetLeader() }))
	must(cp.WatchOutcomes(func(m *outcomev1.Batch) { heard <- "outcomes of " + m.GetNode() }))
	must(cp.WatchLead(func(m *tablev1.Header) { heard <- "lead of " + m.GetLeader() }))

	const here = "aimux.v1." + bustest.Cluster + ".region." + bustest.Region + "."
	tap, err := forger.Conn().SubscribeSync(here + "health")
	if err != nil {
		t.Fatal(err)
	}
	bustest.Settle(t, node, cp, forger)
	head := func(leader string) *tablev1.Header {
		return &tablev1.Header{Cluster: bustest.Cluster, Epoch: 1, Leader: leader, HealthSeq: 1, ConfigRevision: 1}
	}
	if err := cp.PublishHealth(&tablev1.Health{Header: head("cp-1")}, ""); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "health of cp-1" {
		t.Fatal(got)
	}
	genuine, err := tap.NextMsg(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}

	bare, err := proto.Marshal(&tablev1.Health{Header: head("forger")})
	if err != nil {
		t.Fatal(err)
	}
	changed := append([]byte(nil), genuine.Data...)
	changed[len(changed)-70] ^= 1
	for subject, bodies := range map[string][][]byte{
		here + "health":         {bare, changed, genuine.Data[:len(genuine.Data)-66], nil, {1}},
		here + "config":         {bare, genuine.Data},
		here + "lead":           {bare, genuine.Data},
		here + "outcome.node-1": {bare, genuine.Data},
	} {
		for _, body := range bodies {
			if err := forger.Conn().Publish(subject, body); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, err := range []error{
		forger.PublishHealth(&tablev1.Health{Header: head("forger")}, ""), forger.PublishConfig(&tablev1.Config{Header: head("forger")}, ""), forger.PublishLead(head("forger")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	bustest.Settle(t, forger)
	// What is genuine and comes after all that is heard next.
	if err := cp.PublishHealth(&tablev1.Health{Header: head("cp-1")}, ""); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "health of cp-1" {
		t.Errorf("heard %s", got)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		count, last := node.ForgedTables()
		if count == 9 && time.Since(last) < time.Minute {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d forged tables were counted, want 9", count)
		}
		bustest.Settle(t, forger, node)
	}
	select {
	case got := <-heard:
		t.Errorf("heard %s", got)
	default:
	}
}

// TestAnswersGoNowhereElse has somebody with all rights on the server repeat a genuine question with another place for the answer: proved for that
// place, an answer of today could be told there later as the news.
func TestAnswersGoNowhereElse(t *testing.T) {
	dial := bustest.Serve(t)
	node, cp := bustest.Join(t, dial, "node-1"), bustest.Join(t, dial, "cp-1")
	forger := join(t, bus.Config{InProcess: dial, Name: "cp-2", Key: secret.NewKey([secret.KeySize]byte{9})})
	asked := make(chan struct{}, 16)
	stop, err := cp.ServeConfig(func() *tablev1.Config {
		asked <- struct{}{}
		return &tablev1.Config{Header: &tablev1.Header{Cluster: bustest.Cluster, ConfigRevision: 7}}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	const all, elsewhere = "aimux.v1." + bustest.Cluster + ".", "aimux.v1." + bustest.Cluster + ".region.far.config"
	questions, err := forger.Conn().SubscribeSync(all + "config.get")
	if err != nil {
		t.Fatal(err)
	}
	answers, err := forger.Conn().SubscribeSync(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	bustest.Settle(t, node, cp, forger)
	ask := func() {
		t.Helper()
		if c, err := node.FetchConfig(t.Context()); err != nil || c.GetHeader().GetConfigRevision() != 7 {
			t.Fatalf("%v %v", c, err)
		}
		<-asked
	}
	ask()
	genuine, err := questions.NextMsg(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := forger.Conn().PublishRequest(all+"config.get", elsewhere, genuine.Data); err != nil {
		t.Fatal(err)
	}
	bustest.Settle(t, forger)
	ask() // comes after it
	if n, _, _ := answers.Pending(); n != 0 || len(asked) != 0 {
		t.Errorf("%d answers went elsewhere, %d questions were taken", n, len(asked))
	}
}

// BenchmarkHealth is what a table of 200 targets costs at both ends together.
func BenchmarkHealth(b *testing.B) {
	dial := bustest.Serve(b)
	node, cp := bustest.Join(b, dial, "node-1"), bustest.Join(b, dial, "cp-1")
	heard := make(chan struct{}, 1)
	if _, err := node.WatchHealth(func(_ *tablev1.Health, _ string) { heard <- struct{}{} }); err != nil {
		b.Fatal(err)
	}
	bustest.Settle(b, node)
	table := &tablev1.Health{Header: &tablev1.Header{Cluster: bustest.Cluster}}
	for range 200 {
		table.Targets = append(table.Targets, &tablev1.TargetHealth{Provider: "some-provider", Model: "some-model", WeightPpm: 1_000_000, Reason: "healthy"})
	}
	for b.Loop() {
		if err := cp.PublishHealth(table, ""); err != nil {
			b.Fatal(err)
		}
		<-heard
	}
}
