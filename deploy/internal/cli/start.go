package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/aimux/aimux/controlplane"
	"github.com/aimux/aimux/dataplane"
	"github.com/aimux/aimux/deploy/allinone"
	"github.com/aimux/aimux/shared/certs"
	"github.com/aimux/aimux/shared/command"
	"github.com/aimux/aimux/shared/keyfile"
	"github.com/aimux/aimux/shared/secret"
	"github.com/aimux/aimux/shared/synthetic"
	"github.com/aimux/aimux/shared/telemetry"
)

type upCommand struct {
	Listen string `help:"The data address, for clients." default:"127.0.0.1:8080" env:"AIMUX_LISTEN" placeholder:"ADDR"`
	Admin  string `help:"The admin address, for operators." default:"127.0.0.1:8081" env:"AIMUX_ADMIN" placeholder:"ADDR"`
	Data   string `help:"The directory for what lasts; default: ~/.aimux/up." env:"AIMUX_DATA" placeholder:"DIR"`
	Config string `help:"The configuration, JSON or YAML; default: three synthetic providers." env:"AIMUX_CONFIG" placeholder:"FILE"`
	Region string `help:"The region this is." default:"local" env:"AIMUX_REGION" placeholder:"NAME"`

	ClusterKey     string `help:"The key that seals provider keys: hex, base64 or file:PATH; default: made in the data directory." env:"AIMUX_CLUSTER_KEY" placeholder:"KEY"`
	Debug          string `help:"Where the node's profiles, debug pages and the log's level are; empty: nowhere." env:"AIMUX_DEBUG" placeholder:"ADDR"`
	TLSCert        string `name:"tls-cert" help:"Certificate of both listeners, PEM; they then speak TLS." env:"AIMUX_TLS_CERT" placeholder:"FILE"`
	TLSKey         string `name:"tls-key" help:"Key of that certificate." env:"AIMUX_TLS_KEY" placeholder:"FILE"`
	TLSClientCA    string `name:"tls-client-ca" help:"Authorities of the clients of the data address, who then need a certificate." env:"AIMUX_TLS_CLIENT_CA" placeholder:"FILE"`
	AdminClientCA  string `name:"admin-client-ca" help:"Authorities of the clients of the admin address, who then need a certificate." env:"AIMUX_ADMIN_CLIENT_CA" placeholder:"FILE"`
	AdminOpen      bool   `help:"Let the admin API listen beyond loopback without TLS." env:"AIMUX_ADMIN_OPEN"`
	AdminAnonymous string `help:"What callers of the admin API without a token may do, on loopback: viewer, operator or admin; default: nothing." env:"AIMUX_ADMIN_ANONYMOUS" placeholder:"ROLE"`
	LogRequests    bool   `help:"One line in the log per request; without it at log level debug only." env:"AIMUX_LOG_REQUESTS"`
	TraceOwn       bool   `help:"Begin requests' traces anew, linked to their callers'; without it they go on with them, and callers decide what is sampled." env:"AIMUX_TRACE_OWN"`
	TraceContent   int    `help:"How many bytes of prompts and of answers a request's span tells in each of its attributes; 0: none." env:"AIMUX_TRACE_CONTENT" placeholder:"BYTES"`

	TraceContentOf []string `help:"Tell only those of these: class:NAME, team:NAME, caller:NAME; default: everybody's." env:"AIMUX_TRACE_CONTENT_OF" placeholder:"WHO"`

	LogLevel string `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"warn" env:"AIMUX_LOG_LEVEL"`
}

// upDir is where everything in one process keeps its data, unless told otherwise, within this user's directory.
const upDir = "up"

// Run starts everything in one process.
func (c *upCommand) Run(ctx context.Context, street Street) error {
	level := &slog.LevelVar{}
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return err
	}
	if c.Data == "" {
		home, err := keyfile.Home()
		if err != nil {
			return err
		}
		c.Data = filepath.Join(home, upDir)
	}
	started := time.Now()
	tokens, err := keyfile.TokensDir()
	if err != nil { // no home: then the data directory
		tokens = filepath.Join(c.Data, "tokens")
	}
	var first secret.Secret
	cfg := allinone.Config{
		Listen: c.Listen, Admin: c.Admin, Data: c.Data, File: c.Config, Region: c.Region, ClusterKey: c.ClusterKey, AdminOpen: c.AdminOpen,
		Version: command.Version(), Debug: c.Debug, AdminAnonymous: c.AdminAnonymous, Tokens: tokens,
		LogRequests: c.LogRequests, TraceOwn: c.TraceOwn, TraceContent: c.TraceContent, TraceContentOf: c.TraceContentOf,
	}
	log := telemetry.NewLog(street.Stderr, level)
	data, admin, err := c.certs(log)
	if err != nil {
		return err
	}
	err = allinone.Run(ctx, cfg, allinone.Deps{
		Log: log, Level: level, TLS: data, AdminTLS: admin,
		Ready: func(at allinone.Addresses) {
			local, _ := keyfile.FindToken(tokens, at.Admin) // without one the dashboard asks for a token
			c.welcome(street, at, time.Since(started), local, first)
		},
		FirstToken: func(token secret.Secret) { first = token },
	})
	if err == nil {
		fmt.Fprintln(street.Stdout, "aimux: drained, stopped")
	}
	return err
}

// certs opens the certificates of the two listeners; nil where there are none.
func (c *upCommand) certs(log *slog.Logger) (data, admin *certs.Keeper, err error) {
	if c.TLSCert == "" && c.TLSClientCA+c.AdminClientCA != "" {
		return nil, nil, errors.New("--tls-client-ca and --admin-client-ca need --tls-cert and --tls-key: without TLS clients show no certificate")
	}
	if data, err = command.Keep("tls-cert, --tls-key, --tls-client-ca", certs.Files{Cert: c.TLSCert, Key: c.TLSKey, CA: c.TLSClientCA}, log); err != nil {
		return nil, nil, err
	}
	admin, err = command.Keep("tls-cert, --tls-key, --admin-client-ca", certs.Files{Cert: c.TLSCert, Key: c.TLSKey, CA: c.AdminClientCA}, log)
	return data, admin, err
}

func (c *upCommand) welcome(street Street, at allinone.Addresses, took time.Duration, local, first secret.Secret) {
	providers := "three synthetic providers: swift (fast), sage (thinks), iris (sees)"
	if c.Config != "" {
		providers = c.Config
	}
	scheme := "http://"
	if c.TLSCert != "" {
		scheme = "https://"
	}
	at.Data, at.Admin = scheme+at.Data, scheme+at.Admin
	dashboard := at.Admin + "/"
	if !local.IsZero() {
		dashboard += "#token=" + local.Reveal()
	}
	fmt.Fprintf(street.Stdout, `aimux is up after %d ms: control plane, node, NATS and the limits' store in one process
  data       %s   Anthropic Messages and OpenAI Chat Completions
  admin      %s   the admin API: aimux provider list, aimux table, aimux health
  dashboard  %s
  providers  %s
  state      %s
`, took.Milliseconds(), at.Data, at.Admin, dashboard, providers, c.Data)
	if !first.IsZero() {
		fmt.Fprintf(street.Stdout, "  token      %s   for other machines; shown this once\n", first.Reveal())
	}
	fmt.Fprintf(street.Stdout, `
Try it:

  curl %[1]s/v1/messages -H 'content-type: application/json' -d '{"model":"claude-sonnet-5-5","max_tokens":200,"messages":[{"role":"user","content":"Hello!"}]}'

  curl -N %[1]s/v1/chat/completions -H 'content-type: application/json' -d '{"model":"gpt-6.1-sol","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'

The commands on this machine, and the dashboard's address above, bring this process's own token.
Ctrl-C drains and stops.
`, at.Data)
}

// planeCommand hands everything behind the command's name to a plane's own command line, the same as that of its own binary.
type planeCommand struct {
	Args []string `arg:"" optional:"" passthrough:"all" help:"See --help of the command itself."`
}

func (c *planeCommand) end(code int) error {
	if code == 0 {
		return nil
	}
	return exitCode(code)
}

type controlplaneCommand struct{ planeCommand }

// Run runs one control plane.
func (c *controlplaneCommand) Run(ctx context.Context, street Street) error {
	return c.end(controlplane.Main(ctx, c.Args, os.LookupEnv, street.Stderr))
}

type dataplaneCommand struct{ planeCommand }

// Run runs one node.
func (c *dataplaneCommand) Run(ctx context.Context, street Street) error {
	return c.end(dataplane.Main(ctx, c.Args, os.LookupEnv, street.Stderr))
}

type syntheticCommand struct {
	Listen string `help:"Where to listen." default:"127.0.0.1:8090" env:"AIMUX_LISTEN" placeholder:"ADDR"`
	Vendor string `help:"Behave as this vendor: anthropic, openai, cerebras, zai or minimax; default: as none in particular." enum:",anthropic,openai,cerebras,zai,minimax" default:"" env:"AIMUX_VENDOR"`
}

// syntheticDrain is how long streams may go on after the scripted provider is told to stop.
const syntheticDrain = 5 * time.Second

// Run serves the scripted provider until it is interrupted.
func (c *syntheticCommand) Run(ctx context.Context, street Street) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", c.Listen, err)
	}
	server := &http.Server{Handler: synthetic.New(synthetic.Config{Name: "synthetic", Vendor: c.Vendor}), ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintf(street.Stdout, "synthetic provider on http://%s\n", listener.Addr())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patience, stop := context.WithTimeout(context.WithoutCancel(ctx), syntheticDrain)
	defer stop()
	if err := server.Shutdown(patience); errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return nil
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(street Street) error {
	_, err := fmt.Fprintln(street.Stdout, "aimux", command.Version())
	return err
}
