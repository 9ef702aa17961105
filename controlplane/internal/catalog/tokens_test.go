package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

func TestTokensAreJudged(t *testing.T) {
	hash := make([]byte, 32)
	cat := &adminv1.Catalog{Tokens: map[string]*adminv1.Token{
		"ci":    {Name: "for CI", Role: "operator", Hash: hash},
		"Bad_1": {Role: "viewer", Hash: hash},
		"root":  {Role: "root", Hash: hash},
		"short": {Role: "admin", Hash: hash[:5]},
		"past":  {Role: "admin", Hash: hash, ExpiresUnixMs: -1},
		"long":  {Role: "admin", Hash: hash, Name: strings.Repeat("x", 200)},
	}}
	var paths []string
	for _, p := range catalog.Validate(cat) {
		paths = append(paths, p.Path)
	}
	want := []string{"tokens.Bad_1", "tokens.long.name", "tokens.past.expires_unix_ms", "tokens.root.role", "tokens.short.hash"}
	if !slices.Equal(paths, want) {
		t.Errorf("problems at %v, want %v", paths, want)
	}
}

// TestReferencesThatAreNew wants every way found by which a writer could have a file or a variable of the control plane sent somewhere.
func TestReferencesThatAreNew(t *testing.T) {
	at := func(url, key string, keys ...string) *adminv1.Provider {
		return &adminv1.Provider{Kind: "compatible", Protocol: "openai", BaseUrl: url, ApiKey: key, ApiKeys: keys}
	}
	const home, away = "https://api.example.com/v1", "https://evil.example/v1"
	for name, row := range map[string]struct {
		before, after *adminv1.Provider
		want          bool
	}{
		"nothing changes":               {at(home, "env:A"), at(home, "env:A"), false},
		"another path, same origin":     {at(home, "env:A"), at("https://api.example.com/v2", "env:A"), false},
		"a literal":                     {at(home, "env:A"), at(away, "sk-literal"), false},
		"a new provider with a literal": {nil, at(away, "sk-literal"), false},
		"a new provider":                {nil, at(away, "env:A"), true},
		"another variable":              {at(home, "env:A"), at(home, "env:B"), true},
		"a file":                        {at(home, "env:A"), at(home, "file:/etc/passwd"), true},
		"another origin":                {at(home, "env:A"), at(away, "env:A"), true},
		"in a pool":                     {at(home, "", "env:A"), at(home, "", "env:A", "file:/x"), true},
		"from the pool to the one":      {at(home, "", "env:A"), at(home, "env:A"), false},
	} {
		before, after := &adminv1.Catalog{Providers: map[string]*adminv1.Provider{}}, &adminv1.Catalog{Providers: map[string]*adminv1.Provider{"p": row.after}}
		if row.before != nil {
			before.Providers["p"] = row.before
		}
		if got := catalog.NewReferences(before, after); (len(got) > 0) != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	plugin := &adminv1.Catalog{Routing: &adminv1.Routing{Plugin: "file:/x.wasm"}}
	if got := catalog.NewReferences(&adminv1.Catalog{}, plugin); !slices.Equal(got, []string{"routing.plugin"}) {
		t.Errorf("a plugin: %v", got)
	}
	if got := catalog.NewReferences(plugin, plugin); got != nil {
		t.Errorf("the same plugin: %v", got)
	}
}

// TestDocumentsDiffer wants everything that can be written told, and nothing secret in it.
func TestDocumentsDiffer(t *testing.T) {
	before := &adminv1.Document{Catalog: &adminv1.Catalog{Auth: &adminv1.Auth{AdminIssuers: []*adminv1.Issuer{{Issuer: "https://a.example", RoleClaim: "role"}}}}}
	after := &adminv1.Document{
		Catalog: &adminv1.Catalog{
			Auth:   &adminv1.Auth{AdminIssuers: []*adminv1.Issuer{{Issuer: "https://a.example", RoleClaim: "groups"}, {Issuer: "https://b.example"}}},
			Tokens: map[string]*adminv1.Token{"ci": {Role: "viewer", Hash: []byte("canary-canary")}},
		},
		Overrides: map[string]*tablev1.Override{"zai": {State: "drain", Reason: "maintenance"}},
	}
	var lines []string
	for _, c := range catalog.Diff(before, after) {
		lines = append(lines, c.String())
	}
	all := strings.Join(lines, "\n")
	for _, want := range []string{`role_claim: "role" -> "groups"`, "b.example", `tokens.ci.role: not set -> "viewer"`, "tokens.ci.hash: not set -> [secret]", `overrides.zai.state: not set -> "drain"`} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not told in:\n%s", want, all)
		}
	}
	if strings.Contains(all, "canary") {
		t.Error(all)
	}
}
