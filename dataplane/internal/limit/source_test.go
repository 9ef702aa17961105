package limit_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"pgregory.net/rapid"

	"github.com/aimux/aimux/dataplane/internal/limit"
	"github.com/aimux/aimux/dataplane/internal/limit/limittest"
)

// epoch is a moment with a fraction of a second and of a millisecond.
var epoch = time.UnixMicro(1_790_000_000_123_456)

// patient enough for a busy machine.
const patient = 5 * time.Second

func TestMemory(t *testing.T) {
	limittest.Run(t, func(*testing.T) limittest.Body {
		now := epoch
		return limittest.Body{
			Source:  limit.NewMemory(func() time.Time { return now }),
			Advance: func(d time.Duration) { now = now.Add(d) },
		}
	})
}

func TestEmbeddedRedis(t *testing.T) {
	limittest.Run(t, func(t *testing.T) limittest.Body {
		store := miniredis.RunT(t)
		now := epoch
		store.SetTime(now)
		return limittest.Body{
			Source: openRedis(t, store.Addr()),
			Advance: func(d time.Duration) {
				now = now.Add(d)
				store.SetTime(now)
				store.FastForward(d)
			},
		}
	})
}

func TestRealRedis(t *testing.T) {
	t.Parallel() // it mostly waits
	needRedis(t)
	addr := serve(t, t.TempDir(), nil).addr
	limittest.Run(t, func(t *testing.T) limittest.Body {
		// Every part has keys of its own.
		source, err := limit.NewRedis(limit.RedisConfig{URL: "redis://" + addr, Cluster: t.Name(), Timeout: patient})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { source.Close() })
		return limittest.Body{Source: source, Advance: time.Sleep, Waits: true}
	})
}

func openRedis(t interface {
	Fatal(...any)
	Cleanup(func())
}, addr string,
) *limit.Redis {
	source, err := limit.NewRedis(limit.RedisConfig{URL: "redis://" + addr, Cluster: "test", Timeout: patient})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	return source
}

// TestScriptsAgreeWithTheArithmetic asks both for the same things at the same times, and expects the same answers.
func TestScriptsAgreeWithTheArithmetic(t *testing.T) {
	store := miniredis.RunT(t)
	source := openRedis(t, store.Addr())
	now := epoch
	rapid.Check(t, func(t *rapid.T) {
		store.FlushAll()
		memory := limit.NewMemory(func() time.Time { return now })
		limitTo := rapid.OneOf(rapid.Int64Range(0, 20), rapid.Int64Range(1000, 1_000_000)).Draw(t, "limit")
		var last limit.Grant
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.OneOf(rapid.Int64Range(0, 3_000), rapid.Int64Range(0, 90_000), rapid.Int64Range(-70_000, 0)).Draw(t, "ms")) * time.Millisecond)
			store.SetTime(now)
			number := rapid.OneOf(rapid.Int64Range(0, 30), rapid.Int64Range(0, 2*limitTo+1))
			node := rapid.SampledFrom([]string{"a", "b", "c.1", "c.2", "d.x", "e.9"}).Draw(t, "node")
			memoryOf := rapid.SampledFrom([]string{"", last.Memory, last.Memory, last.Memory}).Draw(t, "memory")
			peers := rapid.SampledFrom([][]string{nil, nil, {}, {"a", "c.1"}, {"b", "c.2", "f"}}).Draw(t, "peers")
			asks := []limit.Ask{
				{Key: "s", Kind: limit.Slots, Limit: limitTo, TTL: 10 * time.Second, Want: number.Draw(t, "want"), InUse: number.Draw(t, "in use"), Held: number.Draw(t, "held"), Share: number.Draw(t, "share"), Seq: rapid.Int64Range(0, 5).Draw(t, "seq"), Learn: 10 * time.Second, Lease: 8 * time.Second, Nodes: rapid.Int64Range(0, 4).Draw(t, "nodes"), Strict: rapid.Bool().Draw(t, "strict"), Gone: rapid.Bool().Draw(t, "gone"),
					Memory: memoryOf, Roster: rapid.Int64Range(0, 6).Draw(t, "roster"), Peers: peers},
				{Key: "u", Kind: limit.Units, Limit: limitTo, Want: number.Draw(t, "units"), Owe: number.Draw(t, "owe"), Back: number.Draw(t, "back"), Again: rapid.SliceOfN(number, 0, 61).Draw(t, "again")},
				{Key: "m", Kind: limit.Money, Limit: limitTo, Want: number.Draw(t, "money"), InUse: number.Draw(t, "spent"), Known: number.Draw(t, "known"), TTL: time.Hour},
			}
			want, got := make([]limit.Grant, 3), make([]limit.Grant, 3)
			if err := errors.Join(memory.Renew(context.Background(), node, asks, want), source.Renew(context.Background(), node, asks, got)); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if !reflect.DeepEqual(want[i], got[i]) {
					t.Fatalf("%+v\nin Go  %+v\nin Lua %+v", asks[i], want[i], got[i])
				}
			}
			last = got[0]
		}
	})
}

// TestNoWindowSeesMoreThanTheLimit draws at random times, and looks at every 60 s.
func TestNoWindowSeesMoreThanTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := epoch
		memory := limit.NewMemory(func() time.Time { return now })
		limitTo := rapid.Int64Range(1, 100).Draw(t, "limit")
		type draw struct {
			at    time.Time
			units int64
		}
		var draws []draw
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 8_000).Draw(t, "ms")) * time.Millisecond)
			grants := make([]limit.Grant, 1)
			// Up to half of the last draw was not used after all.
			back := int64(0)
			if n := len(draws); n > 0 {
				back = rapid.Int64Range(0, draws[n-1].units/2).Draw(t, "back")
				draws[n-1].units -= back
			}
			ask := limit.Ask{Key: "u", Kind: limit.Units, Limit: limitTo, Want: rapid.Int64Range(0, limitTo).Draw(t, "want"), Back: back}
			if err := memory.Renew(context.Background(), "n", []limit.Ask{ask}, grants); err != nil {
				t.Fatal(err)
			}
			draws = append(draws, draw{now, grants[0].Granted})
			for i := range draws {
				sum := int64(0)
				for _, d := range draws[i:] {
					if d.at.Before(draws[i].at.Add(time.Minute)) {
						sum += d.units
					}
				}
				if sum > limitTo {
					t.Fatalf("%d within the minute from %v, of %d", sum, draws[i].at, limitTo)
				}
			}
		}
	})
}

func TestRedisURLs(t *testing.T) {
	for _, url := range []string{"", "http://x", "redis://:hunter2@host:port:1/x", "nonsense hunter2"} {
		if _, err := limit.NewRedis(limit.RedisConfig{URL: url}); err == nil {
			t.Errorf("%q is a URL", url)
		} else if got := err.Error(); strings.Contains(got, "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// TestALaterVersionMayWriteMore has what a later version would add to a lease stand behind it: its slots count all the same, and it goes on.
func TestALaterVersionMayWriteMore(t *testing.T) {
	store := miniredis.RunT(t)
	source := openRedis(t, store.Addr())
	renew := func(node string, want int64) int64 {
		t.Helper()
		grants := make([]limit.Grant, 1)
		ask := limit.Ask{Key: "s", Kind: limit.Slots, Limit: 10, Want: want, TTL: time.Minute}
		if err := source.Renew(t.Context(), node, []limit.Ask{ask}, grants); err != nil {
			t.Fatal(err)
		}
		return grants[0].Granted
	}
	renew("later", 7)
	for _, key := range store.Keys() {
		store.HSet(key, "n:later", store.HGet(key, "n:later")+":more:9", "later_field", "x")
	}
	if got := renew("now", 10); got != 3 {
		t.Errorf("%d beside a lease of 7 of 10, want 3", got)
	}
	if got := renew("later", 7); got != 5 {
		t.Errorf("the later version has %d, now that both want more than half of 10", got)
	}
}
