package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

const hello = `{"model":"text","max_tokens":64,"messages":[{"role":"user","content":"Hello!"}]}`

// TestProviderReachesEveryNode has an operator add, change and delete a provider at one control plane, and sees every node follow.
func TestProviderReachesEveryNode(t *testing.T) {
	eachForm(t, map[string]any{"first": compatible("anthropic")}, func(t *testing.T, house *House) {
		ctx, api := t.Context(), house.Providers(len(house.Admin)-1)
		up := house.Upstream["first"]
		second := &adminv1.Provider{
			Kind: "compatible", Protocol: "openai", BaseUrl: up.Web.URL + "/v1", ApiKey: "sk-secret-of-second", AllowPrivateAddress: true,
			Models: []*adminv1.Model{{Id: "text", Serves: []string{"second-*"}}},
		}
		created, err := api.CreateProvider(ctx, connect.NewRequest(&adminv1.CreateProviderRequest{Id: "second", Provider: second}))
		if err != nil {
			t.Fatal(err)
		}
		if text := created.Msg.String(); strings.Contains(text, "sk-secret-of-second") {
			t.Error("the answer tells the key")
		}
		house.Converged(t, created.Msg.GetRevision())
		for _, node := range house.Data {
			response, body := post(t, node+"/v1/messages", strings.Replace(hello, `"text"`, `"second-model"`, 1))
			if response.StatusCode != http.StatusOK || response.Header.Get("X-Aimux-Provider") != "second" {
				t.Errorf("%s: %d from %q: %s", node, response.StatusCode, response.Header.Get("X-Aimux-Provider"), body)
			}
		}

		stale := connect.NewRequest(&adminv1.UpdateProviderRequest{Id: "second", Provider: second, Revision: created.Msg.GetRevision() - 1})
		if _, err := api.UpdateProvider(ctx, stale); connect.CodeOf(err) != connect.CodeAborted {
			t.Errorf("a stale write: %v, want aborted", err)
		}
		again := connect.NewRequest(&adminv1.CreateProviderRequest{Id: "second", Provider: second})
		if _, err := api.CreateProvider(ctx, again); connect.CodeOf(err) != connect.CodeAlreadyExists {
			t.Errorf("creating it twice: %v, want already_exists", err)
		}

		deleted, err := api.DeleteProvider(ctx, connect.NewRequest(&adminv1.DeleteProviderRequest{Id: "second", Revision: created.Msg.GetRevision()}))
		if err != nil {
			t.Fatal(err)
		}
		house.Converged(t, deleted.Msg.GetRevision())
		for _, node := range house.Data {
			if response, body := post(t, node+"/v1/messages", strings.Replace(hello, `"text"`, `"second/text"`, 1)); response.Header.Get("X-Aimux-Provider") == "second" {
				t.Errorf("%s still serves the deleted provider: %s", node, body)
			}
		}
	})
}

// TestEveryProblemAtOnce refuses a bad provider with all that is wrong with it, by path, and keeps the last good table.
func TestEveryProblemAtOnce(t *testing.T) {
	eachForm(t, map[string]any{"first": compatible("anthropic")}, func(t *testing.T, house *House) {
		bad := &adminv1.Provider{Kind: "compatible", BaseUrl: "ftp://nowhere", PriorityScore: new(-3.0), MaxFailures: new(uint32(0)), Models: []*adminv1.Model{{Id: ""}}}
		_, err := house.Providers(0).CreateProvider(t.Context(), connect.NewRequest(&adminv1.CreateProviderRequest{Id: "bad", Provider: bad}))
		if connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Fatalf("%v, want invalid_argument", err)
		}
		for _, path := range []string{"base_url", "protocol", "priority_score", "models[0].id"} {
			if !strings.Contains(err.Error(), path) {
				t.Errorf("the answer does not name %s: %v", path, err)
			}
		}
		if response, body := post(t, house.Data[0]+"/v1/messages", hello); response.StatusCode != http.StatusOK {
			t.Errorf("after a refused write: %d %s", response.StatusCode, body)
		}
	})
}

// TestWhatOneNodeSuffersEveryNodeKnows breaks one of four providers, sends requests to one node only, and sees the table change for all.
func TestWhatOneNodeSuffersEveryNodeKnows(t *testing.T) {
	providers := map[string]any{"sick": compatible("anthropic"), "a": compatible("openai"), "b": compatible("anthropic"), "c": compatible("openai")}
	eachForm(t, providers, func(t *testing.T, house *House) {
		if err := house.Upstream["sick"].Behave("status=500"); err != nil {
			t.Fatal(err)
		}
		for range 12 {
			post(t, house.Data[0]+"/v1/messages", strings.Replace(hello, `"text"`, `"sick/text"`, 1))
		}
		for i := range house.Admin {
			eventually(t, "the circuit opens at "+house.Admin[i], func() error {
				answer, err := adminv1connect.NewHealthServiceClient(http.DefaultClient, house.Admin[i]).GetHealth(t.Context(), connect.NewRequest(&adminv1.GetHealthRequest{}))
				if err != nil {
					return err
				}
				open := slices.ContainsFunc(answer.Msg.GetHealth().GetTargets(), func(target *tablev1.TargetHealth) bool {
					return target.GetProvider() == "sick" && target.GetModel() == "text" && target.GetState() == tablev1.State_STATE_CIRCUIT_OPEN
				})
				if !open {
					return fmt.Errorf("health is %v", answer.Msg.GetHealth().GetTargets())
				}
				return nil
			})
		}
		before := len(house.Upstream["sick"].Received())
		for _, node := range house.Data {
			for range 20 {
				if response, body := post(t, node+"/v1/messages", hello); response.StatusCode != http.StatusOK {
					t.Errorf("%s: %d %s", node, response.StatusCode, body)
				}
			}
		}
		// A probe may go out now and then; traffic may not.
		if more := len(house.Upstream["sick"].Received()) - before; more > 5 {
			t.Errorf("the sick provider got %d more requests although its circuit is open everywhere", more)
		}
	})
}

// opened says whether a node's table has the provider's circuit open, or being tried.
func opened(t testing.TB, node, provider string) bool {
	t.Helper()
	response, err := http.Get(node + "/providers")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var page struct {
		Providers []struct {
			ID     string `json:"id"`
			Models []struct {
				Health string `json:"health"`
			} `json:"models"`
		} `json:"providers"`
	}
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil {
		t.Fatal(err)
	}
	for _, one := range page.Providers {
		if one.ID == provider {
			return one.Models[0].Health == "CIRCUIT_OPEN" || one.Models[0].Health == "HALF_OPEN"
		}
	}
	return false
}

func reportQuantiles(b *testing.B, what string, times []time.Duration) {
	slices.Sort(times)
	for name, q := range map[string]float64{"p50": 0.5, "p99": 0.99} {
		b.ReportMetric(float64(times[int(q*float64(len(times)-1))].Microseconds())/1000, what+"-"+name+"-ms")
	}
}
