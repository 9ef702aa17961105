package limit

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/aimux/aimux/shared/certs"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

//go:embed lease.lua
var leaseLua string

//go:embed window.lua
var windowLua string

//go:embed budget.lua
var budgetLua string

// Redis is a Source in a Redis server or cluster. Every script touches one key, so that any of them may live anywhere; the time is the
// server's.
type Redis struct {
	client redis.UniversalClient
	prefix string
	lease  *redis.Script
	window *redis.Script
	budget *redis.Script
}

// RedisConfig is where the store is.
type RedisConfig struct {
	// URL as in redis://user:password@host:port/db, rediss:// for TLS; with ?addr=host:port for further nodes of a cluster.
	URL string
	// Cluster, the aimux cluster's name, keeps the keys of several apart, and Region those of its regions, each of which has a part of every limit.
	Cluster, Region string
	// Timeout for each read and write; 0 means 50 ms. A late answer is worth nothing: the next round asks anew.
	Timeout time.Duration
	// TLS is spoken with the servers; nil means what the URL's scheme says, with the system's authorities.
	TLS *certs.Keeper
	// Dial replaces the network, for a store inside this process; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewRedis makes a source; it connects when it is first asked. An error means that the URL is none.
func NewRedis(config RedisConfig) (*Redis, error) {
	options, err := redis.ParseClusterURL(config.URL)
	if err != nil {
		return nil, fmt.Errorf("reading the Redis URL: %w", redactURL(err))
	}
	single, err := redis.ParseURL(config.URL)
	if err != nil && len(options.Addrs) < 2 {
		return nil, fmt.Errorf("reading the Redis URL: %w", redactURL(err))
	}
	if config.Timeout <= 0 {
		config.Timeout = 50 * time.Millisecond
	}
	if config.TLS != nil && config.Dial == nil {
		config.Dial = dialTLS(config.TLS)
	}
	logging.Disable() // a line on stderr for every attempt to connect; the limiter says once that the store is gone
	universal := &redis.UniversalOptions{
		Addrs: options.Addrs, Username: options.Username, Password: options.Password, TLSConfig: options.TLSConfig, Dialer: config.Dial,
		// The client's own defaults would wait for seconds and try again.
		ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1, MaxRedirects: 3, PoolSize: 2,
		DialTimeout: 4 * config.Timeout, ReadTimeout: config.Timeout, WriteTimeout: config.Timeout, PoolTimeout: config.Timeout,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if single != nil {
		universal.DB = single.DB
	}
	return &Redis{
		client: redis.NewUniversalClient(universal), prefix: "aimux:" + config.Cluster + ":" + config.Region + ":",
		lease: redis.NewScript(leaseLua), window: redis.NewScript(windowLua), budget: redis.NewScript(budgetLua),
	}, nil
}

// dialTLS asks for the certificates at every connection, so that renewed ones need no restart.
func dialTLS(keeper *certs.Keeper) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return (&tls.Dialer{Config: keeper.Client(host)}).DialContext(ctx, network, address)
	}
}

// redactURL drops the URL that a parser's error quotes: it may hold a password.
func redactURL(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return errors.New("redis://user:password@host:port/db expected")
}

// Renew runs one script for each ask in one pipeline. The scripts are sent whole only to a server that does not have them.
func (r *Redis) Renew(ctx context.Context, node string, asks []Ask, grants []Grant) error {
	missing, err := r.run(ctx, node, asks, grants, nil)
	if err != nil || len(missing) == 0 {
		return err
	}
	_, err = r.run(ctx, node, asks, grants, missing)
	return err
}

// run sends the asks, or only those of which the script is missing, whole; it tells of which ones it was missing.
func (r *Redis) run(ctx context.Context, node string, asks []Ask, grants []Grant, only []int) (missing []int, err error) {
	pipe := r.client.Pipeline()
	answers := make([]*redis.Cmd, len(asks))
	send := func(i int) {
		script, args := r.window, []any{asks[i].Limit, asks[i].Want, asks[i].Owe, asks[i].Back}
		switch asks[i].Kind {
		case Units:
			for _, units := range asks[i].Again {
				args = append(args, units)
			}
		case Money:
			script, args = r.budget, []any{node, asks[i].Limit, asks[i].InUse, asks[i].Want, asks[i].Known, asks[i].TTL.Milliseconds()}
		case Slots:
			script = r.lease
			args = []any{
				node, asks[i].Limit, asks[i].TTL.Milliseconds(), asks[i].Want, asks[i].InUse, asks[i].Held, asks[i].Share,
				asks[i].Learn.Milliseconds(), asks[i].Peers, asks[i].Strict, asks[i].Seq,
			}
		}
		keys := []string{r.prefix + "{" + asks[i].Key + "}"}
		if only == nil {
			answers[i] = script.EvalSha(ctx, pipe, keys, args...)
		} else {
			answers[i] = script.Eval(ctx, pipe, keys, args...)
		}
	}
	if only == nil {
		for i := range asks {
			send(i)
		}
	}
	for _, i := range only {
		send(i)
	}
	_, failed := pipe.Exec(ctx)
	for i, answer := range answers {
		if answer == nil {
			continue
		}
		numbers, err := answer.Int64Slice()
		switch {
		case err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") && only == nil:
			missing = append(missing, i)
		case err != nil:
			return nil, fmt.Errorf("asking Redis for %q: %w", asks[i].Key, err)
		case len(numbers) < 3:
			return nil, fmt.Errorf("asking Redis for %q: %d numbers instead of 3", asks[i].Key, len(numbers))
		case asks[i].Kind == Slots:
			grants[i] = Grant{Granted: numbers[0], Tight: numbers[1] == 1}
		default:
			grants[i] = Grant{Granted: numbers[0], Wait: time.Duration(numbers[1]) * time.Millisecond, Left: numbers[2]}
			if len(numbers) > 3 {
				grants[i].Born = numbers[3]
			}
		}
	}
	if failed != nil && len(missing) == 0 {
		return nil, fmt.Errorf("asking Redis: %w", failed)
	}
	return missing, nil
}

// Close ends the connections.
func (r *Redis) Close() error { return r.client.Close() }
