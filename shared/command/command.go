// Package command is what the planes' own commands share: flags that are also environment variables, and who a process then is on the bus.
package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/certs"
	"github.com/aimux/aimux/shared/keyfile"
	"github.com/aimux/aimux/shared/secret"
	"github.com/aimux/aimux/shared/telemetry"
)

// Line is one command line. Every flag NAME is also the environment variable AIMUX_NAME, over which the flag wins.
type Line struct {
	name      string
	set       *flag.FlagSet
	lookupEnv func(string) (string, bool)
	stderr    io.Writer

	party            Party
	nats             string
	credentials, key string
	nkey             string
	level            slog.Level
	// tls is for this process's own listeners, natsTLS for its way to NATS, debugCA for clients of the debug listener.
	tls, natsTLS certs.Files
	debugCA      string
}

// Party is who the process is, connected to the bus.
type Party struct {
	ID, Cluster, Region, Version string
	ClusterKey                   secret.Key
	Bus                          *bus.Bus
	Log                          *slog.Logger
	// Level is the log's, and may be changed at any time.
	Level *slog.LevelVar
	// TLS is spoken by the main listener, DebugTLS by the debug listener; nil means that they speak plain HTTP.
	TLS, DebugTLS *certs.Keeper
}

// New begins a command line with the flags that every plane has. id is the default of --id; lookupEnv is os.LookupEnv.
func New(name, id string, lookupEnv func(string) (string, bool), stderr io.Writer) *Line {
	l := &Line{name: name, set: flag.NewFlagSet(name, flag.ContinueOnError), lookupEnv: lookupEnv, stderr: stderr}
	l.set.SetOutput(io.Discard) // wrong words get one line, not the whole manual
	l.Text(&l.party.ID, "id", id, "this process's name")
	l.Text(&l.party.Cluster, "cluster", "local", "the cluster's name")
	l.Text(&l.party.Region, "region", "local", "the region this process stands in")
	l.Text(&l.nats, "nats", "nats://127.0.0.1:4222", "NATS servers, comma-separated")
	l.Text(&l.credentials, "nats-credentials", "", "file with a NATS user's JWT and seed")
	l.Text(&l.nkey, "nats-nkey", "", "file with a NATS user's nkey seed")
	l.Files(&l.natsTLS, "nats", "to NATS")
	l.Text(&l.tls.Cert, "tls-cert", "", "certificate of this process's listeners, PEM; they then speak TLS")
	l.Text(&l.tls.Key, "tls-key", "", "key of that certificate")
	l.Text(&l.tls.CA, "tls-client-ca", "", "authorities of the clients of the main listener, who then need a certificate")
	l.Text(&l.debugCA, "debug-client-ca", "", "authorities of the clients of the debug listener, who then need a certificate")
	l.Text(&l.key, "cluster-key", "", "the key that seals provider keys: hex, base64 or file:PATH")
	l.set.TextVar(&l.level, "log-level", slog.LevelInfo, usage("log-level", "debug, info, warn or error"))
	return l
}

// Text adds a flag that takes any text.
func (l *Line) Text(into *string, name, otherwise, what string) {
	l.set.StringVar(into, name, otherwise, usage(name, what))
}

// Files adds the three flags of a connection that this process makes: NAME-ca, NAME-cert and NAME-key.
func (l *Line) Files(into *certs.Files, name, where string) {
	l.Text(&into.CA, name+"-ca", "", "authorities of the other side of the connection "+where+", PEM; default: the system's")
	l.Text(&into.Cert, name+"-cert", "", "certificate for the connection "+where)
	l.Text(&into.Key, name+"-key", "", "key of that certificate")
}

// Truth adds a flag that is true or false; default: false.
func (l *Line) Truth(into *bool, name, what string) {
	l.set.BoolVar(into, name, false, usage(name, what))
}

// Number adds a flag that takes a whole number; default: 0.
func (l *Line) Number(into *int, name, what string) { l.set.IntVar(into, name, 0, usage(name, what)) }

// List adds a flag that takes texts, comma-separated.
func (l *Line) List(into *[]string, name, what string) {
	l.set.Func(name, usage(name, what), func(text string) error {
		*into = strings.Split(text, ",")
		return nil
	})
}

// Duration adds a flag that takes a positive duration such as 30s.
func (l *Line) Duration(into *time.Duration, name string, otherwise time.Duration, what string) {
	*into = otherwise
	l.set.Func(name, usage(name, what+", default "+otherwise.String()), func(text string) error {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return errors.New("want a positive duration such as 30s")
		}
		*into = d
		return nil
	})
}

func usage(name, what string) string { return what + " (" + variable(name) + ")" }

// variable is the environment's name of a flag.
func variable(name string) string {
	return "AIMUX_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Main reads the line, joins the bus, and runs until run returns. It returns the process's exit code: 0, 1 for a failure, told in one
// line, 2 for wrong words.
func (l *Line) Main(args []string, run func(Party) error) int {
	switch err := l.parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := l.join(run); err != nil {
		fmt.Fprintf(l.stderr, "%s: %v\n", l.name, err)
		return 1
	}
	return 0
}

// parse reads the environment, then the flags. What is wrong has been told when it returns.
func (l *Line) parse(args []string) error {
	var wrong error
	l.set.VisitAll(func(f *flag.Flag) {
		value, said := l.lookupEnv(variable(f.Name))
		if !said || wrong != nil || value == "" {
			return
		}
		if err := l.set.Set(f.Name, value); err != nil {
			wrong = err
			fmt.Fprintf(l.stderr, "%s: %s=%s: %v\n", l.name, variable(f.Name), value, err)
		}
	})
	if wrong != nil {
		return wrong
	}
	switch err := l.set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		l.set.SetOutput(l.stderr)
		l.set.Usage()
		return err
	case err != nil:
		fmt.Fprintf(l.stderr, "%s: %v; --help lists the flags\n", l.name, err)
		return err
	}
	if l.set.NArg() > 0 {
		fmt.Fprintf(l.stderr, "%s: unexpected argument %q\n", l.name, l.set.Arg(0))
		return errors.New("unexpected argument")
	}
	return nil
}

func (l *Line) join(run func(Party) error) error {
	p := l.party
	level := &slog.LevelVar{}
	level.Set(l.level)
	p.Version, p.Level, p.Log = Version(), level, telemetry.NewLog(l.stderr, level)
	var err error
	if p.ClusterKey, err = keyfile.Find(l.key); err != nil {
		return err
	}
	if p.TLS, err = Keep("tls-cert, --tls-key, --tls-client-ca", l.tls, p.Log); err != nil {
		return err
	}
	debug := certs.Files{Cert: l.tls.Cert, Key: l.tls.Key, CA: l.debugCA}
	if p.DebugTLS, err = Keep("tls-cert, --tls-key, --debug-client-ca", debug, p.Log); err != nil {
		return err
	}
	if (l.tls.CA != "" || l.debugCA != "") && l.tls.Cert == "" {
		return errors.New("--tls-client-ca and --debug-client-ca need --tls-cert and --tls-key: without TLS clients show no certificate")
	}
	natsTLS, err := Keep("nats-ca, --nats-cert, --nats-key", l.natsTLS, p.Log)
	if err != nil {
		return err
	}
	p.Bus, err = bus.Connect(bus.Config{
		URL: l.nats, Cluster: p.Cluster, Region: p.Region, Name: p.ID, Key: p.ClusterKey, CredentialsFile: l.credentials, NKeyFile: l.nkey, TLS: natsTLS, Log: p.Log,
	})
	if err != nil {
		return err
	}
	defer p.Bus.Close()
	return run(p)
}

// Keep opens files that flags name; nil when they name none.
func Keep(flags string, files certs.Files, log *slog.Logger) (*certs.Keeper, error) {
	if files.IsZero() {
		return nil, nil //nolint:nilnil // no TLS
	}
	keeper, err := certs.Open(files, log)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flags, err)
	}
	return keeper, nil
}

// Scheme is how an address of a listener begins.
func Scheme(tls *certs.Keeper) string {
	if tls == nil {
		return "http://"
	}
	return "https://"
}

// Version is the commit that the program was built from, or its module's version.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value[:min(12, len(setting.Value))]
		}
	}
	return info.Main.Version
}
