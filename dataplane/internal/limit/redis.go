package limit

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"slices"
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

// format is the version of what the scripts keep. It changes only when nodes with the scripts before could not go on beside those with new
// ones: each version then gives out the whole of every limit.
const format = "1"

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
		client: redis.NewUniversalClient(universal), prefix: "aimux:" + format + ":" + config.Cluster + ":" + config.Region + ":",
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
	for i := range asks {
		if only != nil && !slices.Contains(only, i) {
			continue
		}
		script, args := r.command(node, &asks[i])
		keys := []string{r.prefix + "{" + asks[i].Key + "}"}
		if only == nil {
			answers[i] = script.EvalSha(ctx, pipe, keys, args...)
		} else {
			answers[i] = script.Eval(ctx, pipe, keys, args...)
		}
	}
	_, failed := pipe.Exec(ctx)
	for i, answer := range answers {
		if answer == nil {
			continue
		}
		values, err := answer.Slice()
		switch {
		case err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") && only == nil:
			missing = append(missing, i)
			continue
		case err == nil:
			grants[i], err = grantOf(asks[i].Kind, values)
		}
		if err != nil {
			return nil, fmt.Errorf("asking Redis for %q: %w", asks[i].Key, err)
		}
	}
	if failed != nil && len(missing) == 0 {
		return nil, fmt.Errorf("asking Redis: %w", failed)
	}
	return missing, nil
}

// command is the script for an ask, and its arguments.
func (r *Redis) command(node string, a *Ask) (script *redis.Script, args []any) {
	switch a.Kind {
	case Money:
		return r.budget, []any{node, a.Limit, a.InUse, a.Want, a.Known, a.TTL.Milliseconds()}
	case Slots:
		args = []any{
			node, a.Limit, a.TTL.Milliseconds(), a.Lease.Milliseconds(), a.Want, a.InUse, a.Held, a.Share, a.Learn.Milliseconds(), a.Nodes,
			a.Strict, a.Gone, a.Seq, a.Memory, a.Roster, a.Peers != nil,
		}
		for _, peer := range a.Peers {
			args = append(args, peer)
		}
		return r.lease, args
	default:
		args = []any{a.Limit, a.Want, a.Owe, a.Back}
		for _, units := range a.Again {
			args = append(args, units)
		}
		return r.window, args
	}
}

// grantOf reads a script's answer: three numbers, and what its kind has beyond them.
func grantOf(kind Kind, values []any) (g Grant, err error) {
	var numbers [3]int64
	for i := range numbers {
		number, ok := element(values, i).(int64)
		if !ok {
			return g, fmt.Errorf("%v instead of three numbers", values)
		}
		numbers[i] = number
	}
	if kind != Slots {
		g = Grant{Granted: numbers[0], Wait: time.Duration(numbers[1]) * time.Millisecond, Left: numbers[2]}
		g.Born, _ = element(values, 3).(int64) // budgets have none
		return g, nil
	}
	g = Grant{Granted: numbers[0], Tight: numbers[1] == 1}
	memory, named := element(values, 3).(string)
	roster, numbered := element(values, 4).(int64)
	if !named || !numbered {
		return g, fmt.Errorf("%v without a memory and a roster", values)
	}
	g.Memory, g.Roster = memory, roster
	for _, value := range values[5:] {
		peer, ok := value.(string)
		if !ok {
			return g, fmt.Errorf("%v is no node", value)
		}
		g.Peers = append(g.Peers, peer)
	}
	return g, nil
}

func element(values []any, i int) any {
	if i >= len(values) {
		return nil
	}
	return values[i]
}

// Close ends the connections.
func (r *Redis) Close() error { return r.client.Close() }
