package catalog_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/shared/route"
)

// hash32 is a hash as a file has it.
var hash32 = base64.StdEncoding.EncodeToString(make([]byte, 32))

// Keys, teams and issuers of a file reach the node's table as the operator meant them.
func TestCallersReachTheTable(t *testing.T) {
	cat, problems := catalog.Read(fmt.Appendf(nil, `
providers: {zai: {api_key: "env:ZAI"}, cerebras: {api_key: "env:CEREBRAS", region: us-east}}
teams: {research: {name: Research, scope: {models: ["claude-*"]}, limits: {dollars_per_day: 5}}}
keys:
  ci: {name: "for CI", hash: %q, team: research, scope: {regions: [us-east], classes: [tools, standard]}, priority: -5, expires_unix_ms: 1795419682000}
  old: {hash: %[1]q, disabled: true, revoked_unix_ms: "7", limits: {requests_per_minute: 60}}
auth:
  issuers: [{issuer: "https://id.example.com/realms/x", audience: aimux, algorithms: [ES256], team_claim: groups, models_claim: a.b, subject_limits: {requests_per_minute: 9}}, {id: two, issuer: "https://two.example.com", audience: aimux}]
  admin_issuers: [{issuer: "https://id.example.com/realms/x", audience: admin, role_claim: role}]
`, hash32), catalog.YAML)
	if len(problems) > 0 {
		t.Fatal(catalog.Problems(problems))
	}
	table, err := route.FromWire(catalog.Compile(cat, 1, catalog.Env{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	auth := table.Auth()
	ci, old := auth.Caller("ci"), auth.Caller("old")
	if ci == nil || ci.Team != "research" || ci.Priority != -5 || ci.ExpiresMs != 1795419682000 || len(ci.Hash) != 32 || ci.Name != "for CI" || ci.Disabled {
		t.Errorf("%+v", ci)
	}
	if old == nil || !old.Disabled || old.RevokedMs != 7 || old.Scope != nil {
		t.Errorf("%+v", old)
	}
	for i := range table.Providers() {
		if p := table.Provider(i); ci.Scope.Provider(i) != (p.Region == "us-east") {
			t.Errorf("%s in the scope of ci: %v", p.ID, ci.Scope.Provider(i))
		}
	}
	if !ci.Scope.Model("claude-x") || ci.Scope.Model("glm-5") {
		t.Error("the team's models do not hold for ci")
	}
	if len(auth.Issuers) != 2 || auth.Issuers[0].ID != "jwt" || auth.Issuers[1].ID != "two" || auth.Issuers[0].TeamClaim != "groups" || auth.Issuers[0].ModelsClaim != "a.b" || auth.Issuers[0].Audience != "aimux" {
		t.Errorf("%+v", auth.Issuers)
	}
	if table.KeyLimits()["old"].Requests != 60 || table.TeamLimits()["research"].NanoPerDay != 5e9 || len(table.SubjectLimits()) != 1 || table.SubjectLimits()["jwt"].Requests != 9 {
		t.Errorf("%+v %+v", table.KeyLimits(), table.TeamLimits())
	}
}

// What cannot be meant is refused by path, before anybody is locked out or let in by it.
func TestCallerProblems(t *testing.T) {
	key := func(more string) string { return fmt.Sprintf(`{"keys": {"ci": {"hash": %q, %s}}}`, hash32, more) }
	issuer := func(more string) string {
		return fmt.Sprintf(`{"auth": {"issuers": [{"issuer": "https://a.example", "audience": "x", %s}]}}`, more)
	}
	for _, test := range []struct{ text, want string }{
		{fmt.Sprintf(`{"keys": {"c_i": {"hash": %q}}}`, hash32), `keys.c_i: must have an id of 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit`},
		{`{"keys": {"ci": {}}}`, `keys.ci.hash: has 0 bytes; that of a key has 32: aimux key create makes keys, and with --offline the entry for a file`},
		{`{"keys": {"ci": {"hash": "no base64!"}}}`, `keys.ci.hash: "no base64!": must be bytes in base64`},
		{`{"keys": {"ci": {"hash": "YQ==="}}}`, `keys.ci.hash: "YQ===": must be bytes in base64`},
		{key(`"team": "blue"`), `keys.ci.team: "blue": names no team of this catalog`},
		{key(`"priority": 101`), `keys.ci.priority: 101: must be from -100 to 100`},
		{key(`"priority": -2147483649`), `keys.ci.priority: -2147483649: must be a whole number from -2147483648 to 2147483647`},
		{key(`"expires_unix_ms": "tomorrow"`), `keys.ci.expires_unix_ms: "tomorrow": must be a whole number`},
		{key(`"expires_unix_ms": -1`), `keys.ci.expires_unix_ms: -1: must not be negative`},
		{key(`"expires_unix_ms": 9223372036854775808`), `keys.ci.expires_unix_ms: 9223372036854775808: must be a whole number from -9223372036854775808 to 9223372036854775807`},
		{key(`"scope": {"classes": ["fast"], "models": ["*x"], "regions": [""], "providers": ["Zai"]}`),
			`keys.ci.scope.classes[0]: "fast": is no class` + "\n" + `keys.ci.scope.models[0]: "*x": must be a name, or the beginning of names and one '*' at its end` + "\n" +
				`keys.ci.scope.providers[0]: "Zai": is no id of a provider` + "\n" + `keys.ci.scope.regions[0]: is empty`},
		{key(`"limits": {"requests_per_minute": 0}`), `keys.ci.limits.requests_per_minute: 0: must be at least 1; leave it out for no limit`},
		{`{"teams": {"A B": {"limits": {"mode": "loose"}}}}`, `teams["A B"]: must have an id of 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit` + "\n" +
			`teams["A B"].limits.mode: "loose": must be one of bounded, strict, open`},
		{`{"auth": {"issuers": [{}]}}`, `auth.issuers[0].issuer: "": is not a URL such as https://api.example.com/v1` + "\n" + `auth.issuers[0].audience: is needed: without it a token for anybody would do`},
		{issuer(`"algorithms": ["HS256", "none"]`), `auth.issuers[0].algorithms[0]: "HS256": must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA` + "\n" +
			`auth.issuers[0].algorithms[1]: "none": must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA`},
		{issuer(`"role_claim": "role"`), `auth.issuers[0].role_claim: "role": is for auth.admin_issuers: callers have no role`},
		{`{"auth": {"issuers": [{"issuer": "http://10.0.0.1", "audience": "x"}, {"issuer": "https://a:b@c.example", "audience": "x"}]}}`,
			`auth.issuers[0].issuer: "http://10.0.0.1": must begin with https://; http is for private addresses, with allow_private_address` + "\n" +
				`auth.issuers[1].issuer: "https://c.example": must not contain a user or password; the key belongs into api_key` + "\n" +
				`auth.issuers[1].id: "jwt": is another issuer's, and two subjects of one name would be taken for one; each needs an id of its own`},
		{issuer(`"id": "A b"`), `auth.issuers[0].id: "A b": must be 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit`},
		{issuer(`"subject_limits": {"requests_per_minute": 0, "mode": "x"}`), `auth.issuers[0].subject_limits.requests_per_minute: 0: must be at least 1; leave it out for no limit` + "\n" +
			`auth.issuers[0].subject_limits.mode: "x": must be one of bounded, strict, open`},
		{`{"auth": {"admin_issuers": [{"issuer": "https://a.example", "audience": "x", "role_claim": "r", "subject_limits": {}}]}}`,
			`auth.admin_issuers[0].subject_limits: is for auth.issuers: the admin API has no limits`},
		{`{"auth": {"admin_issuers": [{"issuer": "https://a.example", "audience": "x"}]}}`, `auth.admin_issuers[0].role_claim: is needed: it names the claim that says viewer, operator or admin`},
		{`{"auth": {"issuers": [{"issuer": "https://a.example", "audience": "x"}, {"issuer": "https://a.example", "audience": "y", "id": "y"}]}}`, `auth.issuers[1].issuer: "https://a.example": is there twice`},
	} {
		_, problems := catalog.Read([]byte(test.text), catalog.JSON)
		if got := catalog.Problems(problems).Error(); got != test.want {
			t.Errorf("%s\ngot  %s\nwant %s", test.text, got, test.want)
		}
	}
	var many strings.Builder
	for i := range 5001 {
		fmt.Fprintf(&many, `"k%d": {"hash": %q},`, i, hash32)
	}
	_, problems := catalog.Read([]byte(`{"keys": {`+strings.TrimSuffix(many.String(), ",")+`}}`), catalog.JSON)
	if got := catalog.Problems(problems).Error(); got != "keys: has 5001 entries; 5000 are allowed" {
		t.Error(got)
	}
}
