package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/keyfile"
)

var measuredNodes = flag.Int("nodes", 3, "how many nodes the benchmarks on real processes run, at most 10")

// measured is the form that benchmarks run: 3 control planes and as many nodes as were asked for.
var measured = Form{"measured", func(t testing.TB, catalog map[string]any) *House {
	return startSized(t, 3, *measuredNodes, "local", catalog)
}}

// BenchmarkWriteToLastAck measures the time from an acknowledged admin write to the last node's ACK, on real processes.
func BenchmarkWriteToLastAck(b *testing.B) {
	house := open(b, measured, map[string]any{"first": compatible("anthropic")})
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	defer stop()
	api, nodes := house.Providers(0), house.Nodes(0)
	current, err := api.GetProvider(ctx, connect.NewRequest(&adminv1.GetProviderRequest{Id: "first"}))
	if err != nil {
		b.Fatal(err)
	}
	provider, revision := current.Msg.GetProvider().GetProvider(), current.Msg.GetRevision()
	var writes, acks []time.Duration
	for i := 0; b.Loop(); i++ {
		provider.PriorityScore = new(float64(1 + i%90))
		began := time.Now()
		written, err := api.UpdateProvider(ctx, connect.NewRequest(&adminv1.UpdateProviderRequest{Id: "first", Provider: provider, Revision: revision}))
		if err != nil {
			b.Fatal(err)
		}
		acknowledged := time.Now()
		revision = written.Msg.GetRevision()
		if _, err := nodes.WaitForRevision(ctx, connect.NewRequest(&adminv1.WaitForRevisionRequest{Revision: revision})); err != nil {
			b.Fatal(err)
		}
		writes, acks = append(writes, acknowledged.Sub(began)), append(acks, time.Since(acknowledged))
	}
	reportQuantiles(b, "write", writes)
	reportQuantiles(b, "ack", acks)
}

// BenchmarkOutcomeToLastNode measures the time from the last of five failed answers at one node to the moment when the other nodes' tables
// say that the circuit is open, on real processes.
func BenchmarkOutcomeToLastNode(b *testing.B) {
	b.Setenv("AIMUX_LOG_LEVEL", "debug")
	house := open(b, measured, map[string]any{"a": compatible("anthropic"), "b": compatible("openai"), "c": compatible("anthropic"), "sick": compatible("anthropic")})
	if err := house.Upstream["sick"].Behave("status=500"); err != nil {
		b.Fatal(err)
	}
	api := house.Providers(0)
	template, err := api.GetProvider(context.Background(), connect.NewRequest(&adminv1.GetProviderRequest{Id: "sick"}))
	if err != nil {
		b.Fatal(err)
	}
	sick := template.Msg.GetProvider().GetProvider()
	sick.ApiKey = "upstream-key"
	var times []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		id := fmt.Sprintf("sick-%d", i)
		created, err := api.CreateProvider(context.Background(), connect.NewRequest(&adminv1.CreateProviderRequest{Id: id, Provider: sick}))
		if err != nil {
			b.Fatal(err)
		}
		house.Converged(b, created.Msg.GetRevision())
		time.Sleep(rest)
		b.StartTimer()
		for range 5 {
			post(b, house.Data[0]+"/v1/messages", strings.Replace(hello, `"text"`, `"`+id+`/text"`, 1))
		}
		failed := time.Now()
		times = append(times, openAt(b, house, upTo(1, len(house.Data)), id).Sub(failed))
		b.StopTimer()
		if _, err := api.DeleteProvider(context.Background(), connect.NewRequest(&adminv1.DeleteProviderRequest{Id: id})); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	reportQuantiles(b, "open", times)
}

// rest lets the nodes finish what a write has begun, such as their copies on disk, which here share one disk.
const rest = 100 * time.Millisecond

// openAt waits until all of these nodes have put a table to use in which the provider's circuit is open, and returns when the last did. It asks their logs,
// at the level debug: asking fifteen processes all the time takes the time that is to be measured.
func openAt(b *testing.B, house *House, nodes []int, provider string) (last time.Time) {
	b.Helper()
	for _, node := range nodes {
		log := filepath.Join(house.dir, fmt.Sprintf("node-%d.log", node+1))
		eventually(b, fmt.Sprintf("node-%d hears that %s is sick", node+1, provider), func() error {
			at, err := openedAt(log, provider)
			if at.After(last) {
				last = at
			}
			return err
		})
	}
	return last
}

// openedAt finds the line in a node's log that says that its table has the provider's circuit open.
func openedAt(log, provider string) (time.Time, error) {
	text, err := os.ReadFile(log)
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, `"circuit in the table"`) {
			continue
		}
		var said struct {
			Time         time.Time
			Provider, To string
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			return time.Time{}, err
		}
		if said.Provider == provider && said.To == "CIRCUIT_OPEN" {
			return said.Time, nil
		}
	}
	return time.Time{}, fmt.Errorf("no word of it in %s", log)
}

// upTo lists the numbers from first below n.
func upTo(first, n int) (list []int) {
	for ; first < n; first++ {
		list = append(list, first)
	}
	return list
}

// BenchmarkAbsorption sends the batches of a thousand simulated nodes, each of which has used a hundred targets, over a real NATS server to one real control
// plane, as fast as it takes them. It measures outcomes and batches per second of its processor time, and its memory.
func BenchmarkAbsorption(b *testing.B) {
	const nodes, providers, models, changed, answers = 1000, 10, 10, 10, 20
	catalog := map[string]any{}
	for p := range providers {
		var names []string
		for m := range models {
			names = append(names, fmt.Sprint("m", m))
		}
		catalog[fmt.Sprint("p", p)] = compatible("openai", names...)
	}
	house := open(b, Form{"one control plane", func(t testing.TB, c map[string]any) *House { return startSized(t, 1, 1, "local", c) }}, catalog)
	crowd := newThousand(b, house, nodes)
	crowd.beat(b)
	for part := range providers * models / changed { // every node has used every target
		crowd.round(b, part, changed, answers)
		crowd.absorbed(b, house)
	}
	pid := house.PID(b, "cp-1")
	spent, began, before := cpu(b, pid), time.Now(), crowd.sent
	for part := 0; b.Loop(); part++ {
		crowd.round(b, part%(providers*models/changed), changed, answers)
		crowd.absorbed(b, house)
	}
	cores, took := (cpu(b, pid) - spent).Seconds(), time.Since(began)
	batches := float64(crowd.sent - before)
	b.ReportMetric(batches/cores, "batches/core-s")
	b.ReportMetric(batches*changed*answers/cores, "outcomes/core-s")
	b.ReportMetric(batches/took.Seconds(), "batches/s")
	b.ReportMetric(float64(memory(b, pid))/1024, "rss-MB")
}

// thousand are simulated nodes, each with a connection of its own.
type thousand struct {
	nodes     []*bus.Bus
	faults    []uint64
	seq, sent uint64
}

func newThousand(b *testing.B, house *House, nodes int) *thousand {
	b.Helper()
	key, err := keyfile.Find("file:" + filepath.Join(house.dir, "cluster.key"))
	if err != nil {
		b.Fatal(err)
	}
	c := &thousand{faults: make([]uint64, fault.Kinds)}
	for i := range nodes {
		node, err := bus.Connect(bus.Config{URL: "nats://" + house.Port(b, 0), Cluster: "local", Region: "local", Name: fmt.Sprint("n", i), Key: key})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(node.Close)
		c.nodes = append(c.nodes, node)
	}
	eventually(b, "all are connected", func() error {
		for i, node := range c.nodes {
			if !node.Connected() {
				return fmt.Errorf("node %d is not", i)
			}
		}
		return nil
	})
	return c
}

func (c *thousand) beat(b *testing.B) {
	for _, node := range c.nodes {
		if err := node.SendHeartbeat(&tablev1.Heartbeat{Boot: 1, SentUnixMs: time.Now().UnixMilli()}); err != nil {
			b.Fatal(err)
		}
	}
}

// round sends one batch of every node, with so many targets that have counted so many answers more since the last round.
func (c *thousand) round(b *testing.B, part, changed, answers int) {
	c.seq++
	c.faults[fault.None] = c.seq * uint64(answers)
	batch := &outcomev1.Batch{Boot: 1, Seq: c.seq, SentUnixMs: time.Now().UnixMilli()}
	for i := range changed {
		at := part*changed + i
		batch.Targets = append(batch.Targets, &outcomev1.Counters{
			Target: &outcomev1.Target{Provider: fmt.Sprint("p", at/10), Model: fmt.Sprint("m", at%10)}, Faults: c.faults, Started: c.faults[fault.None],
			OutputTokens: 100 * c.faults[fault.None], FirstToken: &outcomev1.Sketch{Offset: 300, Counts: []uint64{c.seq, 3 * c.seq, 7 * c.seq, 5 * c.seq, 4 * c.seq}},
		})
	}
	for _, node := range c.nodes {
		if err := node.SendOutcomes(batch); err != nil {
			b.Fatal(err)
		}
		c.sent++
	}
}

// absorbed waits until the control plane has taken what was sent, or counted it as lost.
func (c *thousand) absorbed(b *testing.B, house *House) {
	eventually(b, "the control plane has taken everything", func() error {
		page, err := read(house.Admin[0] + "/metrics")
		if err != nil {
			return err
		}
		var taken uint64
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "aimux_bus_messages_total{") && strings.Contains(line, `kind="outcomes"`) && (strings.Contains(line, `result="received"`) || strings.Contains(line, "overflowed")) {
				n, _ := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
				taken += uint64(n)
				if n > 0 && strings.Contains(line, "overflowed") {
					b.Fatalf("lost: %s", line)
				}
			}
		}
		if taken < c.sent {
			return fmt.Errorf("%d of %d", taken, c.sent)
		}
		return nil
	})
}

// cpu is the processor time that a process has used.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("there is no /proc here")
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // the kernel's ticks
}

// memory is a process's resident memory in KiB.
func memory(b *testing.B, pid int) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip("there is no /proc here")
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, _ := strconv.Atoi(strings.Fields(rest)[0])
	return kib
}
