// Package bustest is the exam that every transport of the bus takes, and a bus in the process for everybody's tests.
package bustest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/secret"
	"github.com/nats-io/nats-server/v2/server"
)

// Cluster and Region are where Join connects to.
const (
	Cluster = "test"
	Region  = "here"
)

// Key is the cluster's key of everybody whom Join connects.
func Key() secret.Key { return secret.NewKey([secret.KeySize]byte{1}) }

const (
	readyTimeout = 10 * time.Second
	maxPayload   = 8 << 20
)

// Serve starts a NATS server in this process, without a port and without JetStream, that ends with the test. What it
// returns is for bus.Config.InProcess. It works inside a synctest bubble, as long as no client reconnects there: the client
// pools the timers of its reconnects for the whole process, and a timer must not leave its bubble.
func Serve(t testing.TB) func() (net.Conn, error) {
	t.Helper()
	return serve(t, &server.Options{})
}

// ServeJetStream is Serve with JetStream in the directory, which a later server may take over. It does not work in a bubble.
func ServeJetStream(t testing.TB, dir string) func() (net.Conn, error) {
	t.Helper()
	return serve(t, &server.Options{JetStream: true, StoreDir: dir, SyncAlways: true})
}

func serve(t testing.TB, opts *server.Options) func() (net.Conn, error) {
	t.Helper()
	opts.DontListen, opts.NoSigs, opts.NoLog, opts.MaxPayload = true, true, true, maxPayload
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatalf("making a NATS server: %v", err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(readyTimeout) {
		t.Fatal("the NATS server is not ready")
	}
	return s.InProcessConn
}

// Join connects name to the server; the connection closes with the test.
func Join(t testing.TB, inProcess func() (net.Conn, error), name string) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(bus.Config{InProcess: inProcess, Cluster: Cluster, Region: Region, Name: name, Key: Key()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// Settle waits until the server has everything that the parties have subscribed to and published, and they have
// everything that it sent them before.
func Settle(t testing.TB, parties ...*bus.Bus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	for _, b := range parties {
		if err := b.Conn().FlushWithContext(ctx); err != nil {
			t.Fatalf("settling: %v", err)
		}
	}
}
