package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aimux/aimux/shared/certs"
	"github.com/aimux/aimux/shared/secret"
	"github.com/nats-io/nats.go"
)

// The client's own defaults notice a dead link after minutes, give up after two minutes, and replay eight megabytes of
// old news after a cut. These do not.
const (
	pingInterval = time.Second
	pingsMax     = 2
	// dialTimeout bounds how long an attempt that began in a partition delays the first one after it: nodes are one again within a second
	// of its end. Parties and servers stand in one region, where a connection takes milliseconds.
	dialTimeout    = 600 * time.Millisecond
	flusherTimeout = time.Second
	reconnectWait  = 100 * time.Millisecond
	reconnectNoise = 100 * time.Millisecond
	closeTimeout   = time.Second
	nameBytesMax   = 63
)

var (
	// ErrDown means that the bus cannot be reached now; the message was dropped and counted.
	ErrDown = errors.New("bus: not connected")
	// ErrTooLarge means that the message is larger than its kind or the server allows; it was dropped and counted.
	ErrTooLarge = errors.New("bus: message too large")
	// ErrNobody means that no one is there to answer the request.
	ErrNobody = errors.New("bus: nobody answers")
	// ErrClosed means that the bus was closed.
	ErrClosed = errors.New("bus: closed")
)

// Config says which bus, and who is speaking.
type Config struct {
	// URL of one or more NATS servers, comma-separated. Ignored when InProcess is set.
	URL string
	// InProcess connects to a server in this process, typically (*server.Server).InProcessConn.
	InProcess func() (net.Conn, error)
	// Cluster, Region and Name (the node or the replica) each are 1 to 63 of a-z, A-Z, 0-9, '-' and '_'.
	Cluster, Region, Name string
	// Key is the cluster's: by it messages prove that a party of the cluster made them. It is needed.
	Key secret.Key
	// CredentialsFile holds a NATS user's JWT and seed; empty means none.
	CredentialsFile string
	// NKeyFile holds a NATS user's nkey seed; empty means none.
	NKeyFile string
	// TLS is spoken with the servers, which must have a certificate that it believes; nil means that they decide, and are believed by the
	// system's authorities.
	TLS *certs.Keeper
	// Changed is called after each connect, reconnect and loss, but not for Close, from a goroutine of the bus; it must not block.
	// Nil is allowed.
	Changed func(connected bool)
	// Log gets connects, losses and slow handlers; nil discards.
	Log *slog.Logger
}

func (c *Config) validate() error {
	for _, part := range []struct{ what, name string }{{"cluster", c.Cluster}, {"region", c.Region}, {"name", c.Name}} {
		if !validName(part.name) {
			return fmt.Errorf("%s %q: want 1 to %d of a-z, A-Z, 0-9, '-' and '_'", part.what, part.name, nameBytesMax)
		}
	}
	if c.Key.IsZero() {
		return errors.New("there is no cluster key")
	}
	if c.InProcess != nil {
		return nil
	}
	if c.URL == "" {
		return errors.New("the bus has no URL")
	}
	for i, one := range strings.Split(c.URL, ",") {
		if _, err := url.Parse(strings.TrimSpace(one)); err != nil {
			// url.Error quotes the URL, and a URL may hold a password.
			return fmt.Errorf("URL %d of the bus: %w", i+1, errors.Unwrap(err))
		}
	}
	return nil
}

// validName says whether s can be one token of a subject.
func validName(s string) bool {
	if s == "" || len(s) > nameBytesMax {
		return false
	}
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// Bus is one party's connection. All methods may be called concurrently; see the package comment for which goroutines may.
type Bus struct {
	cfg   Config
	conn  *nats.Conn
	lanes lanes
	seals seals

	mu   sync.Mutex // protects below
	subs map[*subscription]struct{}
	down bool
}

// Connect joins the bus. It fails only for a Config that can never work; a bus that cannot be reached yet is waited for
// in the background. The caller must Close.
func Connect(cfg Config) (*Bus, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("connecting to the bus: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Changed == nil {
		cfg.Changed = func(bool) {}
	}
	b := &Bus{cfg: cfg, lanes: newLanes(), seals: newSeals(cfg.Key), subs: map[*subscription]struct{}{}}
	opts := b.options()
	if cfg.NKeyFile != "" {
		login, err := nats.NkeyOptionFromSeed(cfg.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("connecting to the bus: nkey %q: %w", cfg.NKeyFile, err)
		}
		opts = append(opts, login)
	}
	conn, err := nats.Connect(cfg.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the bus: %w", err)
	}
	b.conn = conn
	return b, nil
}

// inProcess makes a function what the client wants.
type inProcess func() (net.Conn, error)

// InProcessConn implements nats.InProcessConnProvider.
func (f inProcess) InProcessConn() (net.Conn, error) { return f() }

func (b *Bus) options() []nats.Option {
	cfg := &b.cfg
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.CustomInboxPrefix(inbox(cfg.Cluster, cfg.Name)),
		nats.Timeout(dialTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsMax),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectNoise, reconnectNoise),
		nats.ReconnectBufSize(-1),
		nats.FlusherTimeout(flusherTimeout),
		nats.ReconnectOnFlusherError(),
		// A refused login may be a credential in rotation: giving up for good after two would need a restart.
		nats.IgnoreAuthErrorAbort(),
		nats.NoCallbacksAfterClientClose(),
		nats.ConnectHandler(func(c *nats.Conn) { b.up(c, "bus connected") }),
		nats.ReconnectHandler(func(c *nats.Conn) { b.up(c, "bus connected again") }),
		nats.NoCallbacksAfterClientClose(), // closing on purpose is no loss
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			cfg.Log.Warn("bus lost", "error", err)
			cfg.Changed(false)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			cfg.Log.Warn("bus trouble", "subject", subject, "error", err)
		}),
	}
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(inProcess(cfg.InProcess)))
	}
	if cfg.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(cfg.CredentialsFile))
	}
	if cfg.TLS != nil {
		// Asked at every connect, so that renewed certificates need no restart.
		opts = append(opts, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12}), nats.ClientTLSConfig(cfg.TLS.Certificate, cfg.TLS.Roots))
	}
	return opts
}

func (b *Bus) up(c *nats.Conn, what string) {
	b.cfg.Log.Info(what, "server", c.ConnectedUrlRedacted())
	b.cfg.Changed(true)
}

// Connected says whether the bus can be reached now, as far as is known.
func (b *Bus) Connected() bool { return b.conn.IsConnected() }

// Conn is the connection itself, for the catalog's store and for nobody else.
func (b *Bus) Conn() *nats.Conn { return b.conn }

// Close ends all watches, waits for handlers that run, gives what was published a second to leave, and disconnects.
// It must not be called from a handler. Closing twice is harmless.
func (b *Bus) Close() {
	b.mu.Lock()
	b.down = true
	subs := make([]*subscription, 0, len(b.subs))
	for s := range b.subs {
		subs = append(subs, s)
	}
	b.mu.Unlock()
	for _, s := range subs {
		s.stop()
	}
	if b.conn.IsConnected() {
		// With a context, not FlushTimeout: the client pools that one's timers for the whole process, which ends a
		// test process that has met a synctest bubble.
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := b.conn.FlushWithContext(ctx); err != nil {
			b.cfg.Log.Warn("bus closed before everything left", "error", err)
		}
	}
	b.conn.Close()
}
