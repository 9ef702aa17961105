package bus_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/bus/bustest"
)

// court is a server on which every party may do what its permissions say and nothing else.
type court struct {
	url   string
	seeds map[string]string // the file of each party's nkey seed
}

var parties = []string{"node-1", "node-2", "node-0", "cp-1", "cp-2"}

func newCourt(t *testing.T) *court {
	t.Helper()
	c := &court{seeds: map[string]string{}}
	opts := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, MaxPayload: 8 << 20, JetStream: true, StoreDir: t.TempDir()}
	for _, name := range parties {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		seed, _ := pair.Seed()
		public, _ := pair.PublicKey()
		c.seeds[name] = filepath.Join(t.TempDir(), name+".nk")
		if err := os.WriteFile(c.seeds[name], seed, 0o600); err != nil {
			t.Fatal(err)
		}
		may := bus.ControlPlanePermissions(bustest.Cluster, bustest.Region, name)
		if strings.HasPrefix(name, "node") {
			may = bus.NodePermissions(bustest.Cluster, bustest.Region, name)
		}
		opts.Nkeys = append(opts.Nkeys, &server.NkeyUser{Nkey: public, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: may.Publish}, Subscribe: &server.SubjectPermission{Allow: may.Subscribe},
			Response: &server.ResponsePermission{MaxMsgs: 1, Expires: time.Minute},
		}})
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	c.url = s.ClientURL()
	return c
}

// TestPermissionsAreEnough takes the whole exam with every party held to its own.
func TestPermissionsAreEnough(t *testing.T) {
	bustest.Run(t, func(t *testing.T) func(string) *bus.Bus {
		c := newCourt(t)
		return func(name string) *bus.Bus {
			return join(t, bus.Config{URL: c.url, Name: name, NKeyFile: c.seeds[name]})
		}
	})
}

// raw connects with a party's key and without the bus, as somebody would who has stolen it; refused collects what the server refuses.
func (c *court) raw(t *testing.T, name string, refused chan<- string) *nats.Conn {
	t.Helper()
	login, err := nats.NkeyOptionFromSeed(c.seeds[name])
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(c.url, login, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err.Error() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// TestAStolenNodeKeyIsWorthLittle tries with a node's key what a control plane may, and what another node may.
func TestAStolenNodeKeyIsWorthLittle(t *testing.T) {
	c := newCourt(t)
	refused := make(chan string, 100)
	conn := c.raw(t, "node-1", refused)
	const all, here = "aimux.v1." + bustest.Cluster + ".", "aimux.v1." + bustest.Cluster + ".region." + bustest.Region + "."
	speak := []string{
		here + "health", here + "config", here + "lead", here + "digest", all + "catalog", here + "outcome.node-2", here + "node.node-2", here + "suspect.node-2",
		all + "usage.node-2", all + "audit", all + "explain", "$KV.AIMUX_CONFIG.catalog." + bustest.Cluster, "$JS.API.INFO", "$JS.API.STREAM.NAMES",
		"$JS.API.STREAM.DELETE.KV_AIMUX_CONFIG", "$JS.API.STREAM.PURGE.AIMUX_AUDIT_" + bustest.Cluster, "$JS.API.STREAM.MSG.GET.KV_AIMUX_CONFIG",
		"$SYS.REQ.SERVER.PING", "_INBOX." + bustest.Cluster + ".node-2.x", "aimux.v1.other.region.here.outcome.node-1",
	}
	listen := []string{
		">", "aimux.>", "*", here + "outcome.*", here + "node.*", all + "usage.*", all + "catalog", here + "lead", all + "config.get", all + "spent.get", "_INBOX.>", "$KV.>", "$SYS.>",
		"_INBOX." + bustest.Cluster + ".node-2.>", "_INBOX." + bustest.Cluster + ".*.>", all + "explain.node-2",
	}
	for _, subject := range speak {
		if err := conn.Publish(subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for _, subject := range listen {
		if _, err := conn.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for range len(speak) + len(listen) {
		select {
		case one := <-refused:
			said = append(said, one)
		case <-time.After(10 * time.Second):
			t.Fatalf("only %d of %d were refused: %v", len(said), len(speak)+len(listen), said)
		}
	}
	for _, subject := range slices.Concat(speak, listen) {
		if !slices.ContainsFunc(said, func(one string) bool { return strings.Contains(one, `"`+subject+`"`) }) {
			t.Errorf("%s was not refused", subject)
		}
	}
}

// TestNobodyDestroys wants not even a control plane's key to be able to remove or change a stream.
func TestNobodyDestroys(t *testing.T) {
	c := newCourt(t)
	refused := make(chan string, 10)
	conn := c.raw(t, "cp-1", refused)
	for _, call := range []string{"STREAM.DELETE", "STREAM.PURGE", "STREAM.UPDATE", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT", "STREAM.RESTORE"} {
		if err := conn.Publish("$JS.API."+call+".KV_AIMUX_CONFIG", nil); err != nil {
			t.Fatal(err)
		}
		select {
		case <-refused:
		case <-time.After(10 * time.Second):
			t.Errorf("%s was not refused", call)
		}
	}
}
