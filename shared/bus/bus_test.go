package bus_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/bus/bustest"
	"github.com/aimux/aimux/shared/secret"
	"github.com/nats-io/nats-server/v2/server"
)

func TestInProcess(t *testing.T) {
	bustest.Run(t, func(t *testing.T) func(string) *bus.Bus {
		inProcess := bustest.Serve(t)
		return func(name string) *bus.Bus { return bustest.Join(t, inProcess, name) }
	})
}

func TestTCP(t *testing.T) {
	bustest.Run(t, func(t *testing.T) func(string) *bus.Bus {
		url := serveTCP(t, server.RANDOM_PORT).ClientURL()
		return func(name string) *bus.Bus { return join(t, bus.Config{URL: url, Name: name}) }
	})
}

// serveTCP starts a server on a port of the loopback.
func serveTCP(t *testing.T, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, MaxPayload: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	return s
}

func join(t *testing.T, cfg bus.Config) *bus.Bus {
	t.Helper()
	cfg.Cluster, cfg.Region = bustest.Cluster, bustest.Region
	if cfg.Key.IsZero() {
		cfg.Key = bustest.Key()
	}
	b, err := bus.Connect(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// A minute of heartbeats passes in no time, and not one is lost: other rooms test their loops this way.
func TestRunsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inProcess := bustest.Serve(t)
		node, cp := bustest.Join(t, inProcess, "node-1"), bustest.Join(t, inProcess, "cp-1")
		heard := 0
		stop, err := cp.WatchHeartbeats(func(*tablev1.Heartbeat) { heard++ })
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 60 {
			if err := node.SendHeartbeat(&tablev1.Heartbeat{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		stop()
		if heard != 60 {
			t.Errorf("heard %d heartbeats of 60", heard)
		}
	})
}

// While nobody is there, publishing fails at once and is counted; when the server comes, the watches are there.
func TestServerComesLate(t *testing.T) {
	reserved, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := reserved.Addr().(*net.TCPAddr).Port
	reserved.Close()

	changed := make(chan bool, 16)
	url := "nats://" + reserved.Addr().String()
	node := join(t, bus.Config{URL: url, Name: "node-1", Changed: func(up bool) { changed <- up }})
	cp := join(t, bus.Config{URL: url, Name: "cp-1"})
	heard := make(chan uint64, 1)
	if _, err := node.WatchHealth(func(m *tablev1.Health, _ string) { heard <- m.GetHeader().GetHealthSeq() }); err != nil {
		t.Fatal(err)
	}
	if err := node.SendHeartbeat(&tablev1.Heartbeat{}); !errors.Is(err, bus.ErrDown) || node.Connected() {
		t.Errorf("publishing to nobody: %v, want ErrDown", err)
	}

	s := serveTCP(t, port)
	if !<-changed {
		t.Error("heard of a loss before the first connect")
	}
	publishUntilHeard(t, cp, heard, 1)

	s.Shutdown()
	s.WaitForShutdown()
	if <-changed {
		t.Error("a lost server was reported as there")
	}
	serveTCP(t, port)
	if !<-changed {
		t.Error("a second loss before the second connect")
	}
	publishUntilHeard(t, cp, heard, 2)

	stats := node.Stats()
	if !stats.Connected || stats.Reconnects == 0 || stats.Server == "" {
		t.Errorf("after the reconnect: %+v", stats)
	}
	for _, tr := range stats.Traffic {
		if tr.Name == "heartbeats" && (tr.Sent != 0 || tr.Unsent != 1) {
			t.Errorf("heartbeats %+v, want one unsent and none replayed", tr)
		}
	}
}

// publishUntilHeard publishes like a leader, again and again, until the node has heard.
func publishUntilHeard(t *testing.T, cp *bus.Bus, heard <-chan uint64, seq uint64) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); ; {
		select {
		case got := <-heard:
			if got == seq {
				return
			}
		case <-tick.C:
			// ErrDown until this side is connected too.
			_ = cp.PublishHealth(&tablev1.Health{Header: &tablev1.Header{Cluster: bustest.Cluster, HealthSeq: seq}}, "")
		case <-deadline:
			t.Fatal("never heard")
		}
	}
}

func TestMalformedIsCountedAndDropped(t *testing.T) {
	inProcess := bustest.Serve(t)
	cp, stranger := bustest.Join(t, inProcess, "cp-1"), bustest.Join(t, inProcess, "stranger")
	heard := make(chan string, 8)
	if _, err := cp.WatchHeartbeats(func(m *tablev1.Heartbeat) { heard <- m.GetNode() }); err != nil {
		t.Fatal(err)
	}
	bustest.Settle(t, cp)
	for subject, body := range map[string]string{
		"node.node-1": "\xff not protobuf",
		"node.node-2": "\x0a\x05other\x12\x06node-2",                    // another cluster
		"node.node-3": "\x0a\x04test\x12\x06node-1",                     // says it is somebody else
		"node.node-4": "\x0a\x04test\x12" + strings.Repeat("x", 70<<10), // too large
	} {
		subject = "aimux.v1.test.region.here." + subject
		mac := bustest.Key().Derive("voices").MAC(subject + "\x00" + body) // whoever sends it is of this cluster
		if err := stranger.Conn().Publish(subject, append([]byte(body+"\x7a\x20"), mac[:]...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stranger.SendHeartbeat(&tablev1.Heartbeat{}); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "stranger" {
		t.Errorf("heard %q, want only the well-formed one", got)
	}
	for _, tr := range cp.Stats().Traffic {
		if tr.Name == "heartbeats" && tr.Malformed != 4 {
			t.Errorf("%d malformed, want 4", tr.Malformed)
		}
	}
}

// A handler that does not return loses what comes after its queue is full; the loss is counted, and others are not held up.
func TestSlowHandlerOverflows(t *testing.T) {
	inProcess := bustest.Serve(t)
	slow, quick, cp := bustest.Join(t, inProcess, "node-1"), bustest.Join(t, inProcess, "node-2"), bustest.Join(t, inProcess, "cp-1")
	const count = 200
	release, heard := make(chan struct{}), make(chan struct{}, count)
	if _, err := slow.WatchHealth(func(_ *tablev1.Health, _ string) { <-release }); err != nil {
		t.Fatal(err)
	}
	if _, err := quick.WatchHealth(func(_ *tablev1.Health, _ string) { heard <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	bustest.Settle(t, slow, quick)
	for seq := range uint64(count) {
		if err := cp.PublishHealth(&tablev1.Health{Header: &tablev1.Header{Cluster: bustest.Cluster, HealthSeq: seq}}, ""); err != nil {
			t.Fatal(err)
		}
		<-heard
	}
	// The server has passed everything on before it answers a ping.
	bustest.Settle(t, slow)
	for _, tr := range slow.Stats().Traffic {
		if tr.Name == "health" && tr.Overflowed < count/2 {
			t.Errorf("%d overflowed of %d", tr.Overflowed, count)
		}
	}
	close(release)
}

func TestConfigIsRefused(t *testing.T) {
	good := bus.Config{URL: "nats://127.0.0.1:1", Cluster: "c", Region: "r", Name: "n", Key: bustest.Key()}
	for name, c := range map[string]struct {
		change func(*bus.Config)
		want   string
	}{
		"no key":        {func(c *bus.Config) { c.Key = secret.Key{} }, "cluster key"},
		"no url":        {func(c *bus.Config) { c.URL = "" }, "no URL"},
		"dotted region": {func(c *bus.Config) { c.Region = "us.east" }, `region "us.east"`},
		"wild name":     {func(c *bus.Config) { c.Name = "*" }, `name "*"`},
		"long cluster":  {func(c *bus.Config) { c.Cluster = strings.Repeat("c", 64) }, "cluster"},
		"bad url":       {func(c *bus.Config) { c.URL = "nats://user:hunter2@[::1" }, "URL 1"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			b, err := bus.Connect(cfg)
			if err == nil {
				b.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q, want %q in it and no password", err, c.want)
			}
		})
	}
}

// How large a table may be follows from its kind and from the server.
func TestTableBytesMax(t *testing.T) {
	b := join(t, bus.Config{InProcess: bustest.Serve(t), Name: "cp-1"})
	bustest.Settle(t, b)
	config, health := b.TableBytesMax()
	if server := int(b.Conn().MaxPayload()); config >= server || config < server-(2<<10) || health >= 4<<20 || health < 4<<20-(2<<10) {
		t.Errorf("config %d, health %d bytes where the server takes %d", config, health, server)
	}
	if err := b.PublishConfig(&tablev1.Config{ContentHash: make([]byte, config-16)}, ""); err != nil {
		t.Error(err)
	}
}
