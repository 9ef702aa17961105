package catalog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/secret"
)

const canary = "sk-canary0123456789abcdefXYZ"

func cerebras(keys ...string) *adminv1.Provider {
	if len(keys) == 1 {
		return &adminv1.Provider{Kind: "cerebras", ApiKey: keys[0]}
	}
	return &adminv1.Provider{Kind: "cerebras", ApiKeys: keys}
}

func TestRedactHidesWhatIsKept(t *testing.T) {
	sealed := sealedCatalog(t, cerebras(canary)).GetProviders()["p"].GetApiKey()
	for _, test := range []struct {
		keys []string
		want string
	}{
		{[]string{canary}, "[secret]"},
		{[]string{sealed}, "[secret]"},
		{[]string{"env:KEY"}, "env:KEY"},
		{[]string{"file:/run/key"}, "file:/run/key"},
		{[]string{canary, "env:KEY", sealed}, "[secret] env:KEY [secret]"},
		{[]string{}, ""},
	} {
		p := cerebras(test.keys...)
		shown := catalog.Redact(p)
		if got := strings.TrimSpace(strings.Join(append([]string{shown.GetApiKey()}, shown.GetApiKeys()...), " ")); got != test.want {
			t.Errorf("%v: %q, want %q", test.want, got, test.want)
		}
		if !proto.Equal(p, cerebras(test.keys...)) {
			t.Errorf("%v: the catalog itself was changed", test.want)
		}
	}
}

func TestMergeSecrets(t *testing.T) {
	at := func(url string, p *adminv1.Provider) *adminv1.Provider { p.BaseUrl = url; return p }
	const hidden = secret.Redacted
	for _, test := range []struct {
		name      string
		old, next *adminv1.Provider
		want      string // keys, or part of the problem
		refused   bool
	}{
		{"kept", cerebras("a"), cerebras(hidden), "a", false},
		{"replaced", cerebras("a"), cerebras("b"), "b", false},
		{"removed", cerebras("a"), cerebras(), "", false},
		{"kept at another path of the origin", cerebras("a"), at("https://api.cerebras.ai/v2", cerebras(hidden)), "a", false},
		{"kept when the vendor's URL is written out", cerebras("a"), at("https://API.cerebras.ai:443/v1", cerebras(hidden)), "a", false},
		{"moved away", cerebras("a"), at("https://evil.example/v1", cerebras(hidden)), "was entered for another base_url", true},
		{"moved to another port", cerebras("a"), at("https://api.cerebras.ai:444/v1", cerebras(hidden)), "was entered for another base_url", true},
		{"moved by its kind", cerebras("a"), &adminv1.Provider{Kind: "openai", ApiKey: hidden}, "was entered for another base_url", true},
		{"moved with a new key", cerebras("a"), at("https://other.example/v1", cerebras("b")), "b", false},
		{"nothing stored", cerebras("env:A"), cerebras(hidden), "none is stored", true},
		{"nothing there", nil, cerebras(hidden), "none is stored", true},
		{"pool kept", cerebras("a", "env:E", "b"), cerebras(hidden, "env:E", hidden), "a env:E b", false},
		{"pool grown", cerebras("a", "b"), cerebras(hidden, "c", hidden), "a c b", false},
		{"pool shrunk, nobody knows which", cerebras("a", "b", "c"), cerebras(hidden, hidden), "2 of 3 stored keys", true},
		{"pool grown by a secret nobody has", cerebras("a", "b"), cerebras(hidden, hidden, hidden), "3 of 2 stored keys", true},
		{"pool entered again", cerebras("a", "b"), cerebras("c", "d"), "c d", false},
		{"pool out of a single key", cerebras("a"), &adminv1.Provider{Kind: "cerebras", ApiKeys: []string{hidden}}, "1 of 1 stored keys", true},
	} {
		merged, problems := catalog.MergeSecrets("p", test.old, test.next)
		got := strings.TrimSpace(strings.Join(append([]string{merged.GetApiKey()}, merged.GetApiKeys()...), " "))
		if test.refused {
			got = catalog.Problems(problems).Error()
		}
		if (len(problems) > 0) != test.refused || (merged == nil) != test.refused || !strings.Contains(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: %q (%v), want %q", test.name, got, problems, test.want)
		}
	}
}

func sealedCatalog(t *testing.T, p *adminv1.Provider) *adminv1.Catalog {
	t.Helper()
	stored, problems := catalog.SealLiterals(&adminv1.Catalog{Providers: map[string]*adminv1.Provider{"p": p}}, clusterKey, nonces())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return stored
}

func TestStoredKeysAreSealedAndServe(t *testing.T) {
	stored := sealedCatalog(t, cerebras(canary, "env:A", "other"))
	again, problems := catalog.SealLiterals(stored, clusterKey, nonces())
	if len(problems) > 0 || !proto.Equal(stored, again) {
		t.Errorf("sealed twice: %v", problems)
	}
	if problems := catalog.Validate(stored); len(problems) > 0 {
		t.Errorf("what is stored does not pass: %v", problems)
	}
	env := environment(map[string]string{"A": "from-env"})
	p := catalog.Compile(stored, 1, env).GetProviders()[0]
	var fingerprints []string
	for _, c := range p.GetCredentials() {
		fingerprints = append(fingerprints, c.GetFingerprint())
	}
	want := []string{secret.New(canary).Fingerprint(), secret.New("from-env").Fingerprint(), secret.New("other").Fingerprint()}
	if strings.Join(fingerprints, " ") != strings.Join(want, " ") {
		t.Errorf("%v, want %v", fingerprints, want)
	}

	moved := proto.CloneOf(stored)
	moved.GetProviders()["p"].BaseUrl = "https://evil.example/v1"
	p = catalog.Compile(moved, 1, catalog.Env{Key: clusterKey}).GetProviders()[0]
	if p.GetEnabled() || len(p.GetCredentials()) > 0 || !strings.Contains(p.GetDisabledReason(), "enter it again") {
		t.Errorf("a sealed key moved to another origin: %v", p)
	}
	if _, problems := catalog.SealLiterals(&adminv1.Catalog{Providers: map[string]*adminv1.Provider{"p": cerebras(canary)}}, secret.Key{}, nonces()); len(problems) != 1 {
		t.Errorf("sealed without a key: %v", problems)
	}
}

// differ is Diff of documents that are nothing but these catalogs.
func differ(before, after *adminv1.Catalog) []catalog.Change {
	return catalog.Diff(&adminv1.Document{Catalog: before}, &adminv1.Document{Catalog: after})
}

func TestDiff(t *testing.T) {
	before := load(t, `{"routing": {"priority": "cost", "max_attempts": 3}, "providers": {"a": {"kind": "zai", "api_key": "`+canary+`",
		"models": [{"id": "glm-5", "context_window": 10}, {"id": "glm-4.7"}]}, "b": {"kind": "openai"}}}`)
	after := load(t, `{"routing": {"priority": "performance", "max_attempts": 3}, "providers": {"a": {"kind": "zai", "api_key": "`+canary+`2", "enabled": false,
		"models": [{"id": "glm-4.7"}, {"id": "glm-5", "context_window": 20}]}, "c": {"kind": "openai", "api_keys": ["env:K", "`+canary+`"]}}}`)
	var lines []string
	for _, change := range differ(before, after) {
		lines = append(lines, change.String())
	}
	want := `providers.a.api_key: [secret] -> [secret]
providers.a.enabled: not set -> false
providers.a.models: glm-5, glm-4.7 -> glm-4.7, glm-5
providers.a.models[glm-5].context_window: 10 -> 20
providers.b: there -> not set
providers.b.kind: "openai" -> not set
providers.c: not set -> there
providers.c.api_keys: not set -> "env:K", [secret]
providers.c.kind: not set -> "openai"
routing.priority: "cost" -> "performance"`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if changes := differ(before, before); len(changes) > 0 {
		t.Errorf("nothing changed: %v", changes)
	}
}

// TestNoSecretIsTold puts a key into every place where one may stand, rightly or by mistake, and reads everything that comes out.
func TestNoSecretIsTold(t *testing.T) {
	var told strings.Builder
	for _, text := range []string{
		`{"providers": {"openai": {"api_key": "K"}}}`,
		`{"providers": {"openai": {"api_keys": ["K", "K"]}}}`,
		`{"providers": {"openai": {"api_key": "K with spaces"}}}`,
		`{"providers": {"openai": {"apikey": "K", "key": "K", "token": "K", "x": "K", "api_key": {"K": "K"}}}}`,
		`{"providers": {"openai": {"api_key": "K", "apiKey": "K", "kind": "K", "name": "K\u0001", "region": "K K", "protocol": "K"}}}`,
		`{"providers": {"openai": {"base_url": "https://K@example.com", "max_failures": "K", "enabled": "K", "models": "K"}}}`,
		`{"providers": {"openai": {"base_url": "https://example.com?k=K"}, "a": {"base_url": "https://example.com/K#K"}, "b": {"base_url": "K"}}}`,
		`{"providers": {"openai": {"base_url": "https://u:K@[bad"}}}`,
		`{"providers": {"K": {"api_key": "K"}}, "K": 1, "routing": {"priority": "K", "vision_provider": "K", "class_order": ["K"]}}`,
		`{"providers": {"openai": {"api_key": "env:K K", "models": [{"id": "K*", "serves": ["K", "K"]}]}}}`,
		`{"providers": {"openai": {"api_key": "K" "K"}}}`,
	} {
		text = strings.ReplaceAll(text, "K", canary)
		for _, format := range []catalog.Format{catalog.JSON, catalog.YAML} {
			cat, problems := catalog.Decode([]byte(text), format)
			fmt.Fprintln(&told, catalog.Problems(problems))
			if cat == nil {
				continue
			}
			fmt.Fprintln(&told, catalog.Problems(catalog.Validate(cat)))
		}
	}
	env := environment(map[string]string{"K": canary + " " + canary})
	env.ReadFile = func(string) ([]byte, error) { return nil, errors.New("no such file") }
	for _, key := range []string{canary, "env:K", "file:/k"} {
		cat := &adminv1.Catalog{Providers: map[string]*adminv1.Provider{"p": cerebras(key)}}
		config := catalog.Compile(cat, 1, env)
		fmt.Fprintln(&told, protojson.Format(config), differ(cat, new(adminv1.Catalog)), differ(new(adminv1.Catalog), cat))
		fmt.Fprintln(&told, protojson.Format(sealedCatalog(t, cerebras(key))), protojson.Format(catalog.Redact(cerebras(key))))
	}
	for line := range strings.SplitSeq(told.String(), "\n") {
		if strings.Contains(line, canary[3:]) {
			t.Errorf("told: %s", line)
		}
	}
}
