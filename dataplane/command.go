package dataplane

import (
	"context"
	"io"

	"github.com/aimux/aimux/shared/certs"
	"github.com/aimux/aimux/shared/command"
	"github.com/aimux/aimux/shared/keyfile"
)

// Main is the command `aimux-dataplane`: it runs one node until ctx ends and returns the process's exit code: 0, 1 for a failure, told in
// one line, 2 for wrong words. lookupEnv is os.LookupEnv.
func Main(ctx context.Context, args []string, lookupEnv func(string) (string, bool), stderr io.Writer) int {
	var cfg Config
	var redisTLS certs.Files
	line := command.New("aimux-dataplane", "node-1", lookupEnv, stderr)
	line.Text(&cfg.Redis, "redis", "", "Redis that shares limits out among nodes; without one each node keeps to its part")
	line.Files(&redisTLS, "redis", "to Redis")
	line.Text(&cfg.Listen, "listen", "127.0.0.1:8080", "where clients are served")
	line.Text(&cfg.Debug, "debug", "", "where profiles and debug pages are; empty means nowhere")
	line.Truth(&cfg.DebugOpen, "debug-open", "let whoever reaches the debug listener in, without a token")
	line.Text(&cfg.Data, "data", "", "directory for the last good table")
	line.Duration(&cfg.DrainTimeout, "drain-timeout", drainTimeoutDefault, "how long running requests may take once the node is told to stop")
	line.Truth(&cfg.LogRequests, "log-requests", "one line per request; without it at log level debug only")
	line.Truth(&cfg.TraceOwn, "trace-own", "begin requests' traces anew, linked to their callers'; without it they go on with them, and callers decide what is sampled")
	line.Number(&cfg.TraceContent, "trace-content", "how many bytes of prompts and of answers a request's span tells in each of its attributes; 0 means none")
	line.List(&cfg.TraceContentOf, "trace-content-of", "tell only those of these: class:NAME, team:NAME, caller:NAME, comma-separated; default: everybody's")
	return line.Main(args, func(who command.Party) error {
		cfg.ID, cfg.Cluster, cfg.Region, cfg.Version, cfg.ClusterKey = who.ID, who.Cluster, who.Region, who.Version, who.ClusterKey
		if dir, err := keyfile.TokensDir(); err == nil {
			cfg.Tokens = dir
		}
		redis, err := command.Keep("redis-ca, --redis-cert, --redis-key", redisTLS, who.Log)
		if err != nil {
			return err
		}
		return Run(ctx, cfg, Deps{Bus: who.Bus, Log: who.Log, Level: who.Level, TLS: who.TLS, DebugTLS: who.DebugTLS, RedisTLS: redis, Ready: func(addr string) {
			who.Log.Info("node is ready", "id", cfg.ID, "address", command.Scheme(who.TLS)+addr)
		}})
	})
}
