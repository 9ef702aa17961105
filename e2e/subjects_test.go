package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	"github.com/aimux/aimux/shared/issuer/issuertest"
)

// subjectsMost is how many requests a minute each subject of the issuer may send.
const subjectsMost = 12

// TestSubjects: whoever calls by a token has his issuer's limits for himself, at every node, is told of them as his vendor would, and finds in the
// ledger what he used.
func TestSubjects(t *testing.T) {
	for _, form := range Forms {
		t.Run(form.Name, func(t *testing.T) {
			home := issuertest.NewRSA(t)
			house := openWhole(t, form, map[string]any{"auth": map[string]any{"issuers": []any{map[string]any{
				"id": "people", "issuer": home.URL, "audience": "aimux", "name_claim": "email", "allow_private_address": true,
				"subject_limits": map[string]any{"requests_per_minute": subjectsMost, "dollars_per_month": 1000},
			}}}}, map[string]any{"openai-like": compatible("openai")})
			served := map[string]int{}
			for _, name := range []string{"ada", "eve"} {
				served[name] = subjectCalls(t, house, home, name)
			}
			subjectUse(t, house, served)
			subjectLimitRises(t, house, home)
		})
	}
}

// subjectToken is a token of somebody of that name.
func subjectToken(t testing.TB, home *issuertest.Issuer, name string) string {
	t.Helper()
	return home.Sign(t, "RS256", home.Good("subject-"+name, "aimux", issuertest.Claims{"email": name + "@example.com"}), nil)
}

// subjectCalls asks each node in turn, in each dialect, twice as often as is allowed, and says how often it was answered.
func subjectCalls(t *testing.T, house *House, home *issuertest.Issuer, name string) (served int) {
	t.Helper()
	token := subjectToken(t, home, name)
	for i := range 2 * subjectsMost {
		route, limit := dataRoutes[2], "Anthropic-Ratelimit-Requests-Limit"
		if i%2 == 1 {
			route, limit = dataRoutes[4], "X-Ratelimit-Limit-Requests"
		}
		a := knock(t, house.Data[i%len(house.Data)], route, "Authorization", token)
		if got := a.header.Get(limit); got != fmt.Sprint(subjectsMost) {
			t.Errorf("%s is told of a limit of %q", name, got)
		}
		switch a.status {
		case http.StatusOK:
			served++
		case http.StatusTooManyRequests:
			if !strings.Contains(a.body, "rate_limit") || !strings.Contains(a.body, "subject/people:"+name+"@example.com") || a.header.Get("Retry-After") == "" {
				t.Errorf("%s is refused with retry-after %q: %s", name, a.header.Get("Retry-After"), a.body)
			}
		default:
			t.Fatalf("%d: %s", a.status, a.body)
		}
	}
	nodes := len(house.Data)
	bound := subjectsMost + nodes*(subjectsMost/nodes/12+2) // and a request for each node before it has asked for the first time
	for _, node := range house.Data {
		if series(node, `aimux_limit_store_rounds_total{result="failed"}`) > 0 {
			bound = 2 * subjectsMost // a node that was not answered in time went by its share for a while
		}
	}
	if served < subjectsMost || served > bound {
		t.Errorf("%s was served %d times, of %d in a minute; %d would do", name, served, subjectsMost, bound)
	}
	return served
}

// subjectUse wants limits and ledger to tell of each subject what it used.
func subjectUse(t *testing.T, house *House, served map[string]int) {
	t.Helper()
	limits := adminv1connect.NewLimitServiceClient(http.DefaultClient, house.Admin[0])
	ledger := adminv1connect.NewLedgerServiceClient(http.DefaultClient, house.Admin[0])
	for name, count := range served {
		subject := "people:" + name + "@example.com"
		eventually(t, "the limit is seen to be used up", func() error {
			uses, err := limits.ListUses(t.Context(), connect.NewRequest(&adminv1.ListUsesRequest{Scope: "subject/" + subject}))
			if err != nil {
				return err
			}
			for _, u := range uses.Msg.GetUses() {
				if u.GetWhat() == "requests" && u.GetLimit() == subjectsMost && u.GetUsed() >= subjectsMost && u.GetRefused() > 0 {
					return nil
				}
			}
			return fmt.Errorf("%v", uses.Msg.GetUses())
		})
		eventually(t, "the ledger has each request", func() error {
			sums, err := ledger.SumUsage(t.Context(), connect.NewRequest(&adminv1.SumUsageRequest{By: []string{"key"}, Key: subject}))
			if err != nil || len(sums.Msg.GetSums()) != 1 || sums.Msg.GetSums()[0].GetRequests() != uint64(count) {
				return fmt.Errorf("%v %w; %d were served", sums, err, count)
			}
			return nil
		})
	}
}

// subjectLimitRises lets those who were refused in again, by a change at run time.
func subjectLimitRises(t *testing.T, house *House, home *issuertest.Issuer) {
	t.Helper()
	limits := adminv1connect.NewLimitServiceClient(http.DefaultClient, house.Admin[0])
	listed, err := limits.ListLimits(t.Context(), connect.NewRequest(&adminv1.ListLimitsRequest{}))
	if err != nil || len(listed.Msg.GetLimits()) != 1 || listed.Msg.GetLimits()[0].GetScope() != "issuer/people/subjects" || len(listed.Msg.GetLimits()[0].GetUses()) < 4 {
		t.Fatalf("%v %v", listed, err)
	}
	set, err := limits.SetLimit(t.Context(), connect.NewRequest(&adminv1.SetLimitRequest{
		Scope: "issuer/people/subjects", Limits: &adminv1.Limits{RequestsPerMinute: new(uint32(10 * subjectsMost))},
	}))
	if err != nil {
		t.Fatal(err)
	}
	house.Converged(t, set.Msg.GetRevision())
	eventually(t, "the subject is let in again", func() error {
		if a := knock(t, house.Data[0], dataRoutes[2], "Authorization", subjectToken(t, home, "ada")); a.status != http.StatusOK {
			return fmt.Errorf("%d: %s", a.status, a.body)
		}
		return nil
	})
}
