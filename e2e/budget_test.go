package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/aimux/aimux/deploy/allinone"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	"github.com/aimux/aimux/shared/synthetic"
)

// purse is a provider with a budget of a dollar a month, at a tenth of a cent for a token.
func purse() map[string]any {
	return capped(map[string]any{"limits": map[string]any{"dollars_per_month": 1}, "cost_per_input_token": 0.001, "cost_per_output_token": 0.001}, "tokens=20")
}

// spend asks the nodes in turn until ten of them in a row are refused, and says how many dollars that cost.
func spend(t *testing.T, nodes []string) (dollars float64) {
	t.Helper()
	for i, refused := 0, 0; refused < 10; i++ {
		response, body := post(t, nodes[i%len(nodes)]+"/v1/chat/completions", asking("tokens=20"))
		if response.StatusCode != http.StatusOK {
			refused++
			time.Sleep(50 * time.Millisecond)
			continue
		}
		var answer struct {
			Usage struct {
				Total int `json:"total_tokens"`
			} `json:"usage"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		refused, dollars = 0, dollars+float64(answer.Usage.Total)/1000
	}
	return dollars
}

// TestBudgetsOutliveEverything spends a month's budget, and wants it spent after a restart of everything in one process, whose store is in memory, and
// in a cluster whose Redis was emptied and whose nodes were killed.
func TestBudgetsOutliveEverything(t *testing.T) {
	t.Run("one process", func(t *testing.T) {
		dir, upstream := t.TempDir(), purse()["only"].(map[string]any)
		web := scriptedUpstream(t)
		maps.Copy(upstream, map[string]any{"base_url": web + "/v1", "allow_private_address": true})
		file := writeCatalog(t, dir, map[string]any{"providers": map[string]any{"only": upstream}})
		total := 0.0
		for boot := range 3 {
			ctx, stop := context.WithCancel(t.Context())
			ready, ended := make(chan allinone.Addresses, 1), make(chan error, 1)
			go func() {
				ended <- allinone.Run(ctx, allinone.Config{
					Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", AdminAnonymous: "admin", Data: filepath.Join(dir, "data"), File: file, Region: "local", Version: "test",
				}, allinone.Deps{Log: slog.New(slog.DiscardHandler), Ready: func(at allinone.Addresses) { ready <- at }})
			}()
			select {
			case at := <-ready:
				now := spend(t, []string{"http://" + at.Data})
				total += now
				t.Logf("boot %d spent %.3f dollars", boot+1, now)
			case err := <-ended:
				t.Fatalf("aimux ended with %v", err)
			}
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
		if total > 1.25 || total < 0.9 {
			t.Errorf("%.3f dollars were spent, of 1", total)
		}
	})
	t.Run("real processes", func(t *testing.T) {
		house := open(t, Forms[1], purse())
		total := spend(t, house.Data)
		t.Logf("%.3f dollars were spent", total)
		eventually(t, "the ledger has all of it", func() error {
			if got := ledgerDollars(t, house); got < total-0.001 {
				return fmt.Errorf("%.3f dollars, of %.3f", got, total)
			}
			return nil
		})
		for i := range house.Data {
			house.Cluster(t, "stop", fmt.Sprintf("node-%d", i+1), "KILL")
		}
		house.Cluster(t, "stop", "redis", "KILL")
		house.Cluster(t, "start", "redis")
		for i := range house.Data {
			house.Cluster(t, "start", fmt.Sprintf("node-%d", i+1))
		}
		house.Cluster(t, "up") // until they are ready
		again := spend(t, house.Data)
		t.Logf("%.3f dollars were spent by those who know nothing", again)
		if total += again; total > 1.25 || total < 0.9 {
			t.Errorf("%.3f dollars were spent, of 1", total)
		}
	})
}

// scriptedUpstream is a scripted provider's base URL.
func scriptedUpstream(t *testing.T) string {
	t.Helper()
	web := httptest.NewServer(synthetic.New(synthetic.Config{Name: "only"}))
	t.Cleanup(web.Close)
	return web.URL
}

// ledgerDollars is what the ledger has counted of everything.
func ledgerDollars(t *testing.T, house *House) (dollars float64) {
	t.Helper()
	ledger := adminv1connect.NewLedgerServiceClient(http.DefaultClient, house.Admin[0])
	sums, err := ledger.SumUsage(t.Context(), connect.NewRequest(&adminv1.SumUsageRequest{By: []string{"provider"}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sums.Msg.GetSums() {
		dollars += s.GetCostUsd()
	}
	return dollars
}
