package store_test

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/aimux/aimux/controlplane/internal/store"
	"github.com/aimux/aimux/controlplane/internal/store/storetest"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/bus/bustest"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsCluster starts three servers with JetStream on loopback, and waits until they agree on a leader.
func natsCluster(t *testing.T) []*server.Server {
	t.Helper()
	var routes []*url.URL
	var held []net.Listener
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
	}
	var servers []*server.Server
	for i, l := range held {
		l.Close()
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
			SyncAlways: true, Routes: routes, MaxPayload: 8 << 20,
			Cluster: server.ClusterOpts{Name: "nats", Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		leaders, current := 0, 0
		for _, s := range servers {
			if s.JetStreamIsLeader() {
				leaders++
				current = len(s.JetStreamClusterPeers())
			}
		}
		if leaders == 1 && current == 3 {
			return servers
		}
		if time.Now().After(deadline) {
			t.Fatalf("the NATS cluster does not agree: %d leaders, %d peers", leaders, current)
		}
	}
}

// The exam over a bucket with three replicas, each party at a server of its own.
func TestKVOnACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers take seconds to agree")
	}
	servers := natsCluster(t)
	exams := 0
	storetest.Run(t, func(t *testing.T) func() store.Store {
		exams++
		cluster, parties := fmt.Sprintf("exam-%d", exams), 0
		return func() store.Store {
			parties++
			b, err := bus.Connect(bus.Config{URL: servers[parties%3].ClientURL(), Cluster: cluster, Region: bustest.Region, Name: fmt.Sprintf("cp-%d", parties), Key: bustest.Key()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(b.Close)
			k, err := store.NewKV(store.KVConfig{Cluster: cluster, Poll: 100 * time.Millisecond}, store.KVDeps{Conn: b.Conn(), Notice: b, Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
	})
	js, err := jetstream.New(connect(t, servers[0]))
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.Stream(t.Context(), "KV_"+store.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	if got := bucket.CachedInfo().Config; got.Replicas != 3 || got.Storage != jetstream.FileStorage || got.MaxMsgsPerSubject != 1 {
		t.Errorf("the bucket is %+v, want three replicas in files, one version", got)
	}
}

func connect(t *testing.T, s *server.Server) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}
