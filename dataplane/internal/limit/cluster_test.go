package limit_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aimux/aimux/dataplane/internal/limit"
	"github.com/aimux/aimux/dataplane/internal/limit/limittest"
)

// TestRedisCluster takes the exam on three masters, each with a third of the keys.
func TestRedisCluster(t *testing.T) {
	t.Parallel() // it mostly waits
	addrs := startRedisCluster(t)
	t.Run("many keys", func(t *testing.T) { manyKeys(t, addrs) })
	limittest.Run(t, func(t *testing.T) limittest.Body {
		source, err := limit.NewRedis(limit.RedisConfig{
			URL: "redis://" + addrs[0] + "?addr=" + strings.Join(addrs[1:], "&addr="), Cluster: t.Name(), Timeout: patient,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { source.Close() })
		return limittest.Body{Source: source, Advance: time.Sleep, Waits: true}
	})
}

// manyKeys asks for limits that live on all three masters in one round.
func manyKeys(t *testing.T, addrs []string) {
	source, err := limit.NewRedis(limit.RedisConfig{URL: "redis://" + addrs[2] + "?addr=" + addrs[0], Cluster: "many", Timeout: patient})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	var asks []limit.Ask
	for i := range 60 {
		asks = append(asks, limit.Ask{
			Key: fmt.Sprint("limit ", i), Kind: limit.Kind(i % 3), Limit: 100, Want: int64(i%7) + 1, Share: 100, TTL: time.Minute,
		})
	}
	for range 3 { // the scripts are loaded once, at each
		grants := make([]limit.Grant, len(asks))
		if err := source.Renew(t.Context(), "a", asks, grants); err != nil {
			t.Fatal(err)
		}
		for i := range grants {
			if grants[i].Granted != asks[i].Want {
				t.Errorf("%q: %+v, want %d", asks[i].Key, grants[i], asks[i].Want)
			}
		}
	}
}

// startRedisCluster runs three masters on loopback.
func startRedisCluster(t *testing.T) (addrs []string) {
	t.Helper()
	needRedis(t)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	var masters []*redis.Client
	for range 3 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		bus, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := listener.Addr().String()
		_, port, _ := net.SplitHostPort(addr)
		_, busPort, _ := net.SplitHostPort(bus.Addr().String())
		listener.Close()
		bus.Close()
		server := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(),
			"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", busPort)
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
		master := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		t.Cleanup(func() { master.Close() })
		until(ctx, t, "a master to start", func() bool { return master.Ping(ctx).Err() == nil })
		addrs, masters = append(addrs, addr), append(masters, master)
		if len(masters) > 1 {
			if err := meet(ctx, master, addrs[0], masters[0]); err != nil {
				t.Fatal(err)
			}
		}
		const slots = 16384
		i := len(masters) - 1
		if err := master.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, master := range masters {
		until(ctx, t, "the cluster to form", func() bool {
			info, err := master.ClusterInfo(ctx).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return addrs
}

// meet joins a master to the first one, whose bus has a port of its own.
func meet(ctx context.Context, master *redis.Client, addr string, first *redis.Client) error {
	bus, err := first.ConfigGet(ctx, "cluster-port").Result()
	if err != nil {
		return fmt.Errorf("asking for the bus's port: %w", err)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("reading the first master's address: %w", err)
	}
	return master.Do(ctx, "CLUSTER", "MEET", host, port, bus["cluster-port"]).Err()
}

func until(ctx context.Context, t *testing.T, what string, yes func() bool) {
	t.Helper()
	for !yes() {
		if ctx.Err() != nil {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
