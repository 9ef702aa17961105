package controlplane

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/aimux/aimux/shared/command"
	"github.com/aimux/aimux/shared/keyfile"
	"github.com/aimux/aimux/shared/secret"
)

// Main is the command `aimux-controlplane`: it runs one replica until ctx ends and returns the process's exit code: 0, 1 for a failure, told
// in one line, 2 for wrong words. lookupEnv is os.LookupEnv.
func Main(ctx context.Context, args []string, lookupEnv func(string) (string, bool), stderr io.Writer) int {
	var cfg Config
	var hosts string
	line := command.New("aimux-controlplane", "cp-1", lookupEnv, stderr)
	line.Text(&cfg.Admin, "admin", adminDefault, "where the admin API listens")
	line.Text(&cfg.AdminURL, "admin-url", "", "where people find the admin address, for links in what webhooks are told; empty means where it listens")
	line.Text(&hosts, "admin-hosts", "", "host names of the admin API, comma-separated")
	line.Text(&cfg.Debug, "debug", "", "where profiles and the log's level are; empty means nowhere")
	line.Truth(&cfg.AdminOpen, "admin-open", "let the admin API listen beyond loopback without TLS")
	line.Text(&cfg.AdminAnonymous, "admin-anonymous", "", "what callers of the admin API without a token may do, on loopback: viewer, operator or admin; empty means nothing")
	line.Truth(&cfg.TrustStore, "trust-store", "take a stored catalog that is not signed, as earlier versions wrote it; for one start")
	line.Truth(&cfg.DebugOpen, "debug-open", "let whoever reaches the debug listener in, without a token")
	line.Text(&cfg.Data, "data", "", "directory for what this replica remembers")
	line.Text(&cfg.File, "config", "", "the operator's catalog, JSON or YAML, watched")
	return line.Main(args, func(who command.Party) error {
		cfg.ID, cfg.Cluster, cfg.Region, cfg.Version, cfg.ClusterKey = who.ID, who.Cluster, who.Region, who.Version, who.ClusterKey
		if hosts != "" {
			cfg.AdminHosts = strings.Split(strings.ToLower(hosts), ",")
		}
		if dir, err := keyfile.TokensDir(); err == nil {
			cfg.Tokens = dir
		}
		first := func(token secret.Secret) {
			fmt.Fprintf(stderr, "aimux-controlplane: first start: the admin token, shown this once: %s\n", token.Reveal())
		}
		return Run(ctx, cfg, Deps{Bus: who.Bus, Log: who.Log, Level: who.Level, TLS: who.TLS, DebugTLS: who.DebugTLS, LookupEnv: lookupEnv, FirstToken: first, Ready: func(addr string) {
			who.Log.Info("control plane is ready", "id", cfg.ID, "admin", command.Scheme(who.TLS)+addr)
		}})
	})
}
