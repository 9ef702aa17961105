// Package allinone runs both planes in one process, over NATS and a limits' store of its own: the same doors with other Deps.
//
//	Run ─┬─ NATS server         in memory for messages, a directory for the catalog; no port
//	     ├─ limits' store       Redis-compatible, in memory; no port
//	     ├─ controlplane.Run    on the admin listener
//	     └─ dataplane.Run       on the data listener
//
// They stop in the reverse order: the node drains first, while everything that it needs is still there.
package allinone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/aimux/aimux/controlplane"
	"github.com/aimux/aimux/dataplane"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/certs"
	"github.com/aimux/aimux/shared/keyfile"
	"github.com/aimux/aimux/shared/secret"
)

// Config says where everything is. All fields but File and ClusterKey are needed.
type Config struct {
	// Listen is the data address, Admin the admin address; port 0 picks a free one.
	Listen, Admin string
	// Data is the directory of everything that lasts; it is made if it is missing.
	Data string
	// File is the catalog's file; empty means what the store holds, and three synthetic providers at the first start.
	File   string
	Region string
	// ClusterKey is a setting as keyfile.Find reads it; empty means a key in the data directory.
	ClusterKey string
	// AdminOpen allows an admin address that is not on loopback although it does not speak TLS.
	AdminOpen bool
	// Debug is the address of the node's debug listener; empty means none.
	Debug string
	// AdminAnonymous is the role of callers of the admin API without a token; empty means that they may do nothing.
	AdminAnonymous string
	// Tokens is the directory where the process files its own admin token, as keyfile.FindToken reads it; empty means that it has none.
	Tokens  string
	Version string
	// LogRequests, TraceOwn, TraceContent and TraceContentOf are the node's.
	LogRequests    bool
	TraceOwn       bool
	TraceContent   int
	TraceContentOf []string
}

// Deps are what the process brings.
type Deps struct {
	Log *slog.Logger
	// Level is the log's, for changing it at run time over the debug listener; nil means that it stays.
	Level *slog.LevelVar
	// TLS is spoken on the data listener, AdminTLS on those for operators; nil means plain HTTP.
	TLS, AdminTLS *certs.Keeper
	// Ready is called once, when requests are served.
	Ready func(Addresses)
	// FirstToken is called at the first start in a data directory, before Ready, with an admin token that nobody keeps; nil means that none
	// is made.
	FirstToken func(secret.Secret)
}

// Addresses are where it really listens.
type Addresses struct{ Data, Admin string }

// Run starts everything, and returns nil when ctx ends and all has drained, or the first error. It may run several times in one
// process, each with a data directory of its own.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	listeners, err := bind(ctx, cfg)
	if err != nil {
		return err
	}
	defer listeners.close()
	if err := writable(cfg.Data); err != nil {
		return err
	}
	key, err := keyfile.Find(cfg.ClusterKey)
	if cfg.ClusterKey == "" {
		key, err = keyfile.InDir(cfg.Data)
	}
	if err != nil {
		return err
	}
	nats, err := startNATS(filepath.Join(cfg.Data, "nats"))
	if err != nil {
		return err
	}
	defer nats.stop()
	limits := startRedis()
	defer limits.stop()

	planes := newPlanes(ctx, deps.Log)
	above, err := bus.Connect(bus.Config{InProcess: nats.dial, Cluster: cluster, Region: cfg.Region, Name: "cp-1", Key: key, Log: deps.Log})
	if err != nil {
		return err
	}
	defer above.Close()
	below, err := bus.Connect(bus.Config{InProcess: nats.dial, Cluster: cluster, Region: cfg.Region, Name: "node-1", Key: key, Log: deps.Log})
	if err != nil {
		return err
	}
	defer below.Close()

	planes.start("control plane", func(ctx context.Context, ready func(string)) error {
		return controlplane.Run(ctx, controlplane.Config{
			ID: "cp-1", Cluster: cluster, Region: cfg.Region, Version: cfg.Version, Data: filepath.Join(cfg.Data, "cp-1"), File: cfg.File, ClusterKey: key, Seed: controlplane.Trial(),
			AdminOpen: cfg.AdminOpen, AdminAnonymous: cfg.AdminAnonymous, Tokens: cfg.Tokens,
			TrustStore: true, // the store is a directory beside the cluster key: whoever can write to the one can read the other
		}, controlplane.Deps{Bus: above, Log: deps.Log, TLS: deps.AdminTLS, Listener: listeners.admin, Ready: ready, FirstToken: deps.FirstToken})
	})
	planes.start("node", func(ctx context.Context, ready func(string)) error {
		return dataplane.Run(ctx, dataplane.Config{
			ID: "node-1", Cluster: cluster, Region: cfg.Region, Version: cfg.Version, Data: filepath.Join(cfg.Data, "node-1"), ClusterKey: key,
			Redis: redisURL, Debug: cfg.Debug, Tokens: cfg.Tokens,
			LogRequests: cfg.LogRequests, TraceOwn: cfg.TraceOwn, TraceContent: cfg.TraceContent, TraceContentOf: cfg.TraceContentOf,
		}, dataplane.Deps{Bus: below, Log: deps.Log, TLS: deps.TLS, DebugTLS: deps.AdminTLS, Level: deps.Level, Listener: listeners.data, DialRedis: limits.dial, Ready: ready})
	})
	return planes.wait(func() {
		deps.Ready(Addresses{Data: listeners.data.Addr().String(), Admin: listeners.admin.Addr().String()})
	})
}

// cluster is the name of the cluster of one.
const cluster = "local"

// listeners are bound before anything starts, so that a busy port is the first thing said.
type listeners struct{ data, admin net.Listener }

func bind(ctx context.Context, cfg Config) (*listeners, error) {
	var bound listeners
	var err error
	if bound.data, err = listen(ctx, "--listen", cfg.Listen); err != nil {
		return nil, err
	}
	if bound.admin, err = listen(ctx, "--admin", cfg.Admin); err != nil {
		bound.data.Close()
		return nil, err
	}
	return &bound, nil
}

func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s %s: another program is listening there", flag, address)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", flag, address, err)
	}
	return listener, nil
}

func (l *listeners) close() {
	l.data.Close()
	l.admin.Close()
}

// writable makes the data directory and proves that it can be written to.
func writable(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(dir, ".probe-*"); err == nil {
			probe.Close()
			err = os.Remove(probe.Name())
		}
	}
	if err != nil {
		if where, ok := errors.AsType[*fs.PathError](err); ok {
			err = where.Err
		}
		return fmt.Errorf("--data %s: cannot be written to: %w", dir, err)
	}
	return nil
}
