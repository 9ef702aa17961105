package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// TestKeysTakeEffectEverywhere makes and revokes keys at one control plane of a real cluster while clients of every node use them, and
// measures how long each node takes to follow. A key is good at every node when its making has been answered; a revoked one is good nowhere
// when its revoking has.
func TestKeysTakeEffectEverywhere(t *testing.T) {
	house, _ := callersHouse(t, Forms[1])
	house.key(t, "warm", nil)
	var made, revoked []time.Duration
	for round := range 10 {
		id := fmt.Sprintf("round-%d", round)
		began := time.Now()
		key := house.key(t, id, nil)
		made = append(made, time.Since(began))
		for i, node := range house.Data {
			if a := knock(t, node, dataRoutes[4], "Authorization", key); a.status != 200 {
				t.Fatalf("node %d does not know a key that was made: %d %s", i, a.status, a.body)
			}
		}
		revoked = append(revoked, revoke(t, house, id, key))
	}
	slices.Sort(made)
	slices.Sort(revoked)
	t.Logf("made and known by all %d nodes: median %v, slowest %v", len(house.Data), made[len(made)/2], made[len(made)-1])
	t.Logf("refused by the last node after revoking began: median %v, slowest %v", revoked[len(revoked)/2], revoked[len(revoked)-1])
	if slowest := revoked[len(revoked)-1]; slowest > time.Second && !testing.Short() {
		t.Errorf("a revoked key was good for %v", slowest)
	}
}

// revoke ends a key that is in use at every node, and returns how long the last of them still took it.
func revoke(t *testing.T, house *House, id, key string) time.Duration {
	t.Helper()
	models := dataRoute{"GET", "/v1/models", ""}
	lasts := make([]time.Time, len(house.Data)) // when each node last took the key
	var users sync.WaitGroup
	for i, node := range house.Data {
		users.Go(func() {
			for {
				a := knock(t, node, models, "X-Api-Key", key)
				if a.status != http.StatusOK {
					if a.status != http.StatusUnauthorized || !strings.Contains(a.body, "was revoked") {
						t.Errorf("node %d: %d %s", i, a.status, a.body)
					}
					return
				}
				lasts[i] = time.Now()
			}
		})
	}
	began := time.Now()
	if _, err := house.Keys(0).RevokeKey(t.Context(), connect.NewRequest(&adminv1.RevokeKeyRequest{Id: id, Wait: true})); err != nil {
		t.Fatal(err)
	}
	for i, node := range house.Data {
		if a := knock(t, node, models, "X-Api-Key", key); a.status != http.StatusUnauthorized {
			t.Errorf("node %d takes a key after its revoking was answered: %d", i, a.status)
		}
	}
	users.Wait()
	longest := time.Duration(0)
	for _, last := range lasts {
		longest = max(longest, last.Sub(began))
	}
	return longest
}

// BenchmarkGuessing measures what a guesser over HTTP sees: the time to refuse a wrong secret of a key that exists, and one of a key that
// does not, in turn, so that what the machine does otherwise happens to both.
func BenchmarkGuessing(b *testing.B) {
	house := openWhole(b, Forms[0], map[string]any{}, map[string]any{"up": compatible("anthropic")})
	good := house.key(b, "good", &adminv1.ClientKey{})
	for i := range 500 {
		house.key(b, fmt.Sprintf("other%03d", i), nil)
	}
	random := strings.TrimPrefix(good, "aimux_good_")
	wrong := strings.Repeat("a", len(random))
	times := map[string][]time.Duration{}
	for b.Loop() {
		for what, guess := range map[string]string{"wrong-secret": "aimux_good_" + wrong, "wrong-id": "aimux_evil_" + wrong} { // in either order
			began := time.Now()
			if a := knock(b, house.Data[0], dataRoute{"GET", "/v1/models", ""}, "X-Api-Key", guess); a.status != 401 {
				b.Fatal(a)
			}
			times[what] = append(times[what], time.Since(began))
		}
	}
	for what, all := range times {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), what+"-p50-µs")
		b.ReportMetric(float64(all[len(all)/10].Nanoseconds())/1000, what+"-p10-µs")
	}
}
