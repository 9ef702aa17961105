package catalog

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/route"
)

func catalogOf(t *testing.T, text string) *adminv1.Catalog {
	t.Helper()
	cat := new(adminv1.Catalog)
	if err := protojson.Unmarshal([]byte(text), cat); err != nil {
		t.Fatal(err)
	}
	return cat
}

// Limits of every scope reach the node's table as the operator meant them, wherever a provider's three were written.
func TestLimitsReachTheTable(t *testing.T) {
	cat := catalogOf(t, `{
		"limits": {"dollars_per_day": 12.5, "mode": "strict"},
		"providers": {"synthetic": {"max_concurrent_requests": 7, "limits": {"requests_per_minute": 60, "input_tokens_per_minute": 9000, "mode": "open"},
			"limits_per_key": {"max_concurrent_requests": 2},
			"models": [{"id": "m", "limits": {"output_tokens_per_minute": 500, "dollars_per_month": 0.01}}]}}}`)
	if problems := Validate(cat); len(problems) > 0 {
		t.Fatal(problems)
	}
	table, err := route.FromWire(Compile(cat, 1, Env{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := table.Provider(0)
	for what, row := range map[string]struct{ got, want route.Limits }{
		"all":      {table.Limits(), route.Limits{NanoPerDay: 12_500_000_000, Mode: route.Strict}},
		"provider": {p.Limits, route.Limits{InFlight: 7, Requests: 60, InputTokens: 9000, Mode: route.Open}},
		"key":      {p.LimitsPerKey, route.Limits{InFlight: 2}},
		"model":    {table.Target(0).Limits, route.Limits{OutputTokens: 500, NanoPerMonth: 10_000_000}},
	} {
		if row.got != row.want {
			t.Errorf("%s: %+v, want %+v", what, row.got, row.want)
		}
	}
	if p.MaxConcurrent != 7 || p.RequestsPerMinute != 60 {
		t.Errorf("the provider shows %d and %d", p.MaxConcurrent, p.RequestsPerMinute)
	}
}

// What cannot be meant is refused by path.
func TestLimitsRefused(t *testing.T) {
	cat := catalogOf(t, `{
		"limits": {"requests_per_minute": 0, "dollars_per_day": -1, "mode": "loose"},
		"providers": {"synthetic": {"tokens_per_minute": 5, "limits": {"tokens_per_minute": 6},
			"models": [{"id": "m", "limits": {"output_tokens_per_minute": "9999999999999"}}]}}}`)
	var all strings.Builder
	for _, p := range Validate(cat) {
		all.WriteString(p.String() + "\n")
	}
	for _, path := range []string{
		"limits.requests_per_minute", "limits.dollars_per_day", "limits.mode", "providers.synthetic.limits.tokens_per_minute",
		"providers.synthetic.models[0].limits.output_tokens_per_minute",
	} {
		if !strings.Contains(all.String(), path) {
			t.Errorf("%s is not refused:\n%s", path, all.String())
		}
	}
}

// Every scope's limits are found and changed wherever they stand.
func TestLimitScopes(t *testing.T) {
	cat := catalogOf(t, `{
		"limits": {"requests_per_minute": 10},
		"keys": {"alice": {"hash": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "limits": {"tokens_per_minute": 5}}, "bob": {"hash": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}},
		"teams": {"red": {"limits": {"dollars_per_day": 1}}},
		"providers": {
			"a": {"kind": "synthetic", "max_concurrent_requests": 3, "limits": {"dollars_per_day": 2}, "limits_per_key": {"requests_per_minute": 1},
				"models": [{"id": "x/y", "limits": {"max_concurrent_requests": 1}}, {"id": "z"}]},
			"b": {"kind": "synthetic", "requests_per_minute": 7}, "c": {"kind": "synthetic"}}}`)
	want := []string{"all", "key/alice", "team/red", "provider/a", "provider/a/keys", "provider/a/model/x/y", "provider/b"}
	if got := LimitScopes(cat); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if l, _ := LimitsAt(cat, "provider/a"); l.GetMaxConcurrentRequests() != 3 || l.GetDollarsPerDay() != 2 {
		t.Errorf("both places: %v", l)
	}
	for _, scope := range []string{"", "none", "key/none", "team/", "provider/none", "provider/a/none", "provider/a/model/none", "all/x"} {
		if _, ok := LimitsAt(cat, scope); ok || SetLimits(cat, scope, nil) {
			t.Errorf("%q is a scope", scope)
		}
	}
	for _, scope := range append(want, "key/bob", "provider/c", "provider/c/keys", "provider/a/model/z") {
		limits := &adminv1.Limits{MaxConcurrentRequests: new(uint32(9))}
		if !SetLimits(cat, scope, limits) {
			t.Errorf("%q is no scope", scope)
		}
		if l, ok := LimitsAt(cat, scope); !ok || !proto.Equal(l, limits) {
			t.Errorf("%q has %v", scope, l)
		}
		if problems := Validate(cat); len(problems) > 0 {
			t.Errorf("%q: %v", scope, problems)
		}
		SetLimits(cat, scope, nil)
	}
	if got := LimitScopes(cat); len(got) > 0 {
		t.Errorf("%q still have limits", got)
	}
}
