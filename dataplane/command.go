package dataplane

import (
	"context"
	"io"

	"github.com/aimux/aimux/shared/command"
)

// Main is the command `aimux-dataplane`: it runs one node until ctx ends and returns the process's exit code: 0, 1 for a failure, told in
// one line, 2 for wrong words. lookupEnv is os.LookupEnv.
func Main(ctx context.Context, args []string, lookupEnv func(string) (string, bool), stderr io.Writer) int {
	var cfg Config
	line := command.New("aimux-dataplane", "node-1", lookupEnv, stderr)
	line.Text(&cfg.Redis, "redis", "", "Redis that shares limits out among nodes; without one each node keeps to its part")
	line.Text(&cfg.Listen, "listen", "127.0.0.1:8080", "where clients are served")
	line.Text(&cfg.Debug, "debug", "", "where profiles and debug pages are; empty means nowhere")
	line.Text(&cfg.Data, "data", "", "directory for the last good table")
	line.Duration(&cfg.DrainTimeout, "drain-timeout", drainTimeoutDefault, "how long running requests may take once the node is told to stop")
	line.Truth(&cfg.LogRequests, "log-requests", "one line per request; without it at log level debug only")
	return line.Main(args, func(who command.Party) error {
		cfg.ID, cfg.Cluster, cfg.Region, cfg.Version, cfg.ClusterKey = who.ID, who.Cluster, who.Region, who.Version, who.ClusterKey
		return Run(ctx, cfg, Deps{Bus: who.Bus, Log: who.Log, Level: who.Level, Ready: func(addr string) {
			who.Log.Info("node is ready", "id", cfg.ID, "address", "http://"+addr)
		}})
	})
}
