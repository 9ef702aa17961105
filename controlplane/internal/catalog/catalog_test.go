package catalog_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/secret"
)

// original is a file as the system before this one wrote them: it has to load as it stands.
const original = `{ "routing": { "priority": "balanced", "load_balancer": "adaptive", "thinking_provider": "cerebras", "vision_provider": "zai" },
  "providers": { "cerebras": {
      "kind": "cerebras", "name": "Cerebras", "base_url": "https://api.cerebras.ai/v1", "api_key": "env:CEREBRAS_API_KEY",
      "supports_thinking": true, "supports_vision": false, "supports_tools": true, "supports_streaming": true,
      "avg_response_time_ms": 800, "cost_per_input_token": 0.00000035, "cost_per_output_token": 0.00000075, "priority_score": 90,
      "max_concurrent_requests": 50, "requests_per_minute": 600, "tokens_per_minute": 1000000,
      "health_check_interval": 60, "max_failures": 5, "recovery_delay": 300, "enabled": true, "region": "us-east",
      "models": [ { "id": "gpt-oss-120b", "serves": ["claude-*", "gpt-*"], "context_window": 131072, "max_output_tokens": 40960 } ] },
    "zai": { "api_key": "env:ZAI_API_KEY" } } }`

// clusterKey and nonce stand for what the shell would make.
var clusterKey = secret.NewKey([secret.KeySize]byte{1, 2, 3})

func nonces() func() secret.Nonce {
	var n secret.Nonce
	return func() secret.Nonce { n[0]++; return n }
}

func environment(variables map[string]string) catalog.Env {
	return catalog.Env{
		Getenv: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			if path == "/run/secrets/key" {
				return []byte("file-key\n"), nil
			}
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
		},
		Key: clusterKey, Nonce: nonces(),
	}
}

func load(t *testing.T, text string) *adminv1.Catalog {
	t.Helper()
	cat, problems := catalog.Decode([]byte(text), catalog.JSON)
	if len(problems) == 0 {
		problems = catalog.Validate(cat)
	}
	if len(problems) > 0 {
		t.Fatal(catalog.Problems(problems))
	}
	return cat
}

func providerOf(t *testing.T, config *tablev1.Config, id string) *tablev1.Provider {
	t.Helper()
	for _, p := range config.GetProviders() {
		if p.GetId() == id {
			return p
		}
	}
	t.Fatalf("no provider %s", id)
	return nil
}

func TestAFileOfTheOriginalSystemLoads(t *testing.T) {
	config := catalog.Compile(load(t, original), 7, environment(map[string]string{"CEREBRAS_API_KEY": "csk-1"}))
	got := providerOf(t, config, "cerebras")
	where, err := secret.Bind("cerebras", got.GetBaseUrl())
	if err != nil {
		t.Fatal(err)
	}
	key, err := secret.Open(clusterKey, secret.FromBytes(got.GetCredentials()[0].GetSealed()), where)
	if err != nil || key.Reveal() != "csk-1" {
		t.Errorf("the node cannot open the key: %v", err)
	}
	got.Credentials = nil
	has := route.Thinking | route.Tools | route.Streaming | route.JSONSchema | route.JSONObject
	want := &tablev1.Provider{
		Id: "cerebras", Kind: "cerebras", Name: "Cerebras", Protocol: "openai", BaseUrl: "https://api.cerebras.ai/v1", Enabled: true, Region: "us-east",
		PriorityScore: 90, AvgResponseTimeMs: 800, MaxConcurrentRequests: 50, RequestsPerMinute: 600, TokensPerMinute: 1_000_000,
		Breaker:              &tablev1.Breaker{MaxFailures: 5, RecoveryDelayS: 300, ProbeIntervalS: 30, CloseAfter: 3},
		HealthCheckIntervalS: 60,
		Models: []*tablev1.Model{{
			Id: "gpt-oss-120b", Serves: []string{"claude-*", "gpt-*"}, ContextWindow: 131_072, MaxOutputTokens: 40_960,
			Has: uint64(has), Unknown: uint64(route.Logprobs),
			Price:   &tablev1.Price{Input: 350, Output: 750, CacheRead: 350, CacheWrite: 350},
			Efforts: []string{"low", "medium", "high"},
		}},
	}
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	zai := providerOf(t, config, "zai")
	if zai.GetEnabled() || zai.GetDisabledReason() != "ZAI_API_KEY is not set" {
		t.Errorf("without its key: enabled %v, %q", zai.GetEnabled(), zai.GetDisabledReason())
	}
	if config.GetHeader().GetConfigRevision() != 7 || len(config.GetContentHash()) != 32 {
		t.Errorf("header %v, hash %x", config.GetHeader(), config.GetContentHash())
	}
}

func TestAKindAndAKeyAreAProvider(t *testing.T) {
	config := catalog.Compile(load(t, `{"providers": {"c": {"kind": "cerebras", "api_key": "env:CEREBRAS_API_KEY"}}}`), 1,
		environment(map[string]string{"CEREBRAS_API_KEY": "csk-1"}))
	p := providerOf(t, config, "c")
	if !p.GetEnabled() || p.GetBaseUrl() != "https://api.cerebras.ai/v1" || p.GetName() != "c" || len(p.GetModels()) < 2 || len(p.GetCredentials()) != 1 {
		t.Errorf("%v", p)
	}
}

func TestTheFilesThatShipLoad(t *testing.T) {
	files, err := filepath.Glob("../../../deploy/examples/*.[jy]*")
	if err != nil || len(files) < 3 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cat, problems := catalog.Read(data, catalog.FormatOf(file))
		if len(problems) > 0 {
			t.Errorf("%s: %v", file, catalog.Problems(problems))
			continue
		}
		config := catalog.Compile(cat, 1, environment(nil))
		if filepath.Base(file) != "aimux.json" {
			continue
		}
		for _, p := range config.GetProviders() {
			if p.GetEnabled() != (p.GetId() == "synthetic") || p.GetFallback() != (p.GetId() == "synthetic") {
				t.Errorf("%s: without any keys only the synthetic provider serves, and only as a fallback: %v", file, p)
			}
		}
		config = catalog.Compile(load(t, string(data)), 1, environment(map[string]string{
			"CEREBRAS_API_KEY": "a", "ZAI_API_KEY": "b", "MINIMAX_API_KEY": "c", "ANTHROPIC_API_KEY": "d", "OPENAI_API_KEY": "e",
		}))
		for _, p := range config.GetProviders() {
			if !p.GetEnabled() {
				t.Errorf("%s: %s: %s", file, p.GetId(), p.GetDisabledReason())
			}
		}
	}
}

func TestTheDefaultServes(t *testing.T) {
	cat := catalog.Default()
	if problems := catalog.Validate(cat); len(problems) > 0 {
		t.Fatal(catalog.Problems(problems))
	}
	config := catalog.Compile(cat, 1, catalog.Env{})
	var all route.Capability
	for _, p := range config.GetProviders() {
		if !p.GetEnabled() || p.GetBaseUrl() != "" || len(p.GetCredentials()) != 0 {
			t.Errorf("%v", p)
		}
		for _, m := range p.GetModels() {
			all |= route.Capability(m.GetHas())
		}
	}
	if len(config.GetProviders()) != 3 || !all.Has(route.Vision|route.Thinking|route.Tools|route.Streaming|route.PDF) {
		t.Errorf("%d providers that can %v", len(config.GetProviders()), all.Names())
	}
}

func TestDefaultsOfThePolicy(t *testing.T) {
	got := catalog.Compile(load(t, `{}`), 1, catalog.Env{})
	want := &tablev1.Policy{
		Priority: "balanced", LoadBalancer: "adaptive", UnknownModel: "any", LongContextTokens: 60_000, ThinkingBudgetTokens: 16_000, QueueTimeoutMs: 250, QueueDepth: 256,
		MaxAttempts: 3, RetryShare: 0.10, HedgeShare: 0.05,
		ConnectTimeoutMs: 5_000, FirstTokenTimeoutMs: 60_000, IdleTimeoutMs: 60_000, RequestTimeoutMs: 600_000,
	}
	if !proto.Equal(got.GetPolicy(), want) || got.GetAuth().GetAnonymous() {
		t.Errorf("got  %v\nwant %v", got.GetPolicy(), want)
	}
	got = catalog.Compile(load(t, `{"routing": {"connect_timeout": 0.25, "max_attempts": 1, "class_order": ["tools"], "priority": "custom",
		"weights": {"cost": 2}, "regions": ["eu"], "continuation": true}, "auth": {"anonymous": true}}`), 1, catalog.Env{})
	p := got.GetPolicy()
	if p.GetConnectTimeoutMs() != 250 || p.GetMaxAttempts() != 1 || p.GetWeights().GetCost() != 2 || !p.GetContinuation() || !got.GetAuth().GetAnonymous() {
		t.Errorf("%v", got)
	}
	if fixed := catalog.Compile(load(t, `{"routing": {"adaptive_concurrency": false}}`), 1, catalog.Env{}); !fixed.GetPolicy().GetFixedConcurrency() {
		t.Error("adaptive_concurrency cannot be switched off")
	}
}

func TestWhatAProviderSpeaks(t *testing.T) {
	for _, test := range []struct{ name, provider, protocol, baseURL string }{
		{"the kind's default", `{"kind": "zai"}`, "openai", "https://api.z.ai/api/paas/v4"},
		{"the other wire of the kind", `{"kind": "zai", "protocol": "anthropic"}`, "anthropic", "https://api.z.ai/api/anthropic"},
		{"a known address", `{"kind": "zai", "base_url": "https://api.z.ai/api/coding/paas/v4/"}`, "openai", "https://api.z.ai/api/coding/paas/v4"},
		{"a known address as a whole", `{"kind": "zai", "base_url": "HTTPS://API.Z.AI/api/anthropic/v1/messages"}`, "anthropic", "https://api.z.ai/api/anthropic"},
		{"the only wire of the kind", `{"kind": "cerebras", "base_url": "https://mirror.example/v1"}`, "openai", "https://mirror.example/v1"},
		{"as it says", `{"base_url": "https://mirror.example/v1/", "protocol": "anthropic", "models": [{"id": "m"}]}`, "anthropic", "https://mirror.example"},
		{"as it says, whole address", `{"base_url": "https://mirror.example/x/v1/chat/completions", "protocol": "openai", "models": [{"id": "m"}]}`, "openai", "https://mirror.example/x/v1"},
		{"inside the node", `{"kind": "synthetic", "protocol": "anthropic"}`, "anthropic", ""},
		{"synthetic elsewhere", `{"kind": "synthetic", "base_url": "http://localhost:9/v1", "protocol": "openai", "allow_private_address": true}`, "openai", "http://localhost:9/v1"},
	} {
		p := providerOf(t, catalog.Compile(load(t, `{"providers": {"p": `+test.provider+`}}`), 1, catalog.Env{}), "p")
		if p.GetProtocol() != test.protocol || p.GetBaseUrl() != test.baseURL {
			t.Errorf("%s: %s at %q, want %s at %q", test.name, p.GetProtocol(), p.GetBaseUrl(), test.protocol, test.baseURL)
		}
	}
}

func TestKeysAreResolved(t *testing.T) {
	variables := map[string]string{"A": "key-a", "B": " key-b\n", "EMPTY": "", "TWO": "two words"}
	for _, test := range []struct {
		provider string
		keys     int
		reason   string
	}{
		{`"api_key": "env:A"`, 1, ""},
		{`"api_key": "a-literal"`, 1, ""},
		{`"api_key": "file:/run/secrets/key"`, 1, ""},
		{`"api_keys": ["env:A", "env:B", "another"]`, 3, ""},
		{`"api_keys": ["env:A", "key-a"]`, 1, ""},
		{`"api_keys": ["env:A", "env:C"]`, 1, "1 of 2 keys: C is not set"},
		{`"api_keys": ["env:C", "env:D"]`, 0, "2 of 2 keys: C is not set; D is not set"},
		{`"api_key": "env:EMPTY"`, 0, "EMPTY is empty"},
		{`"api_key": "env:TWO"`, 0, "TWO holds spaces, line ends or other characters that no key has"},
		{`"api_key": "file:/nowhere"`, 0, "open /nowhere: file does not exist"},
		{`"region": "eu"`, 0, "api_key is not set"},
		{`"region": "eu", "base_url": "https://mirror.example/v1"`, 0, ""},
		{`"api_key": "env:A", "enabled": false`, 1, "switched off by enabled: false"},
	} {
		p := providerOf(t, catalog.Compile(load(t, `{"providers": {"cerebras": {`+test.provider+`}}}`), 1, environment(variables)), "cerebras")
		enabled := test.keys > 0 && !strings.HasPrefix(test.reason, "switched") || test.reason == ""
		if len(p.GetCredentials()) != test.keys || p.GetDisabledReason() != test.reason || p.GetEnabled() != enabled {
			t.Errorf("%s: enabled %v with %d keys, %q", test.provider, p.GetEnabled(), len(p.GetCredentials()), p.GetDisabledReason())
		}
	}
	p := providerOf(t, catalog.Compile(load(t, `{"providers": {"cerebras": {"api_key": "k"}}}`), 1, catalog.Env{}), "cerebras")
	if p.GetEnabled() || p.GetDisabledReason() == "" {
		t.Errorf("sealed without a cluster key: %v", p)
	}
}

func TestWhoSaysWhatAModelCan(t *testing.T) {
	const model = `"models": [{"id": "gpt-oss-120b"` // its sheet says no to vision and to prefill, and yes to json_schema
	for _, test := range []struct {
		provider string
		can      string // of vision, json_schema and prefill: yes, no or unknown each
	}{
		{`"kind": "cerebras", ` + model + `}]`, "no yes no"},
		{`"kind": "cerebras", "supports_vision": true, ` + model + `}]`, "no yes no"},
		{`"kind": "cerebras", "supports_json_schema": false, ` + model + `}]`, "no no no"},
		{`"kind": "cerebras", ` + model + `, "supports_vision": true}]`, "yes yes no"},
		{`"kind": "cerebras", "supports_json_schema": false, ` + model + `, "supports_json_schema": true}]`, "no yes no"},
		{`"kind": "cerebras", "models": [{"id": "new"}]`, "unknown unknown unknown"},
		{`"kind": "cerebras", "supports_vision": true, "models": [{"id": "new"}]`, "yes unknown unknown"},
		{`"kind": "cerebras", "supports_vision": true, "models": [{"id": "new", "supports_vision": false}]`, "no unknown unknown"},
		{`"kind": "compatible", "base_url": "https://a.example", "protocol": "openai", "supports_prefill": true, "models": [{"id": "new"}]`, "unknown unknown yes"},
	} {
		p := providerOf(t, catalog.Compile(load(t, `{"providers": {"p": {`+test.provider+`}}}`), 1, catalog.Env{}), "p")
		var can []string
		for _, c := range []route.Capability{route.Vision, route.JSONSchema, route.Prefill} {
			switch m := p.GetModels()[0]; {
			case m.GetHas()&uint64(c) != 0:
				can = append(can, "yes")
			case m.GetUnknown()&uint64(c) != 0:
				can = append(can, "unknown")
			default:
				can = append(can, "no")
			}
		}
		if got := strings.Join(can, " "); got != test.can {
			t.Errorf("%s: vision, json_schema and prefill: %s, want %s", test.provider, got, test.can)
		}
	}
}

func TestPrices(t *testing.T) {
	for _, test := range []struct {
		provider string
		want     *tablev1.Price
	}{
		{`"kind": "anthropic", "models": [{"id": "claude-opus-5-5"}]`, &tablev1.Price{Input: 4_000, Output: 20_000, CacheRead: 400, CacheWrite: 5_000}},
		{`"kind": "anthropic", "cost_per_input_token": 2e-6, "models": [{"id": "claude-opus-5-5"}]`, &tablev1.Price{Input: 2_000, Output: 20_000, CacheRead: 2_000, CacheWrite: 2_000}},
		{`"kind": "anthropic", "cost_per_input_token": 2e-6, "models": [{"id": "claude-opus-5-5", "cost_per_input_token": 3e-6, "cost_per_cache_read_token": 0}]`,
			&tablev1.Price{Input: 3_000, Output: 20_000, CacheRead: 0, CacheWrite: 3_000}},
		{`"kind": "anthropic", "models": [{"id": "claude-opus-5"}]`, nil},
		{`"kind": "zai", "models": [{"id": "glm-4.7-flash"}]`, &tablev1.Price{}},
		{`"kind": "cerebras", "cost_per_input_token": 0.00000035, "cost_per_output_token": 0.00000075, "models": [{"id": "new"}]`,
			&tablev1.Price{Input: 350, Output: 750, CacheRead: 350, CacheWrite: 350}},
	} {
		p := providerOf(t, catalog.Compile(load(t, `{"providers": {"p": {`+test.provider+`}}}`), 1, catalog.Env{}), "p")
		if got := p.GetModels()[0].GetPrice(); !proto.Equal(got, test.want) || (got == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", test.provider, got, test.want)
		}
	}
}

func TestTheHashIsOfWhatIsSaid(t *testing.T) {
	one := catalog.Compile(load(t, original), 7, environment(map[string]string{"CEREBRAS_API_KEY": "csk-1"}))
	env := environment(map[string]string{"CEREBRAS_API_KEY": "csk-1"})
	env.Nonce() // other nonces
	two := catalog.Compile(load(t, original), 8, env)
	three := catalog.Compile(load(t, original), 7, environment(map[string]string{"CEREBRAS_API_KEY": "csk-2"}))
	if bytes.Equal(one.GetProviders()[0].GetCredentials()[0].GetSealed(), two.GetProviders()[0].GetCredentials()[0].GetSealed()) {
		t.Fatal("the test is none: nonces are the same")
	}
	if !bytes.Equal(one.GetContentHash(), two.GetContentHash()) {
		t.Error("a new nonce is no new content")
	}
	if bytes.Equal(one.GetContentHash(), three.GetContentHash()) {
		t.Error("a new key is new content")
	}
	if !bytes.Equal(catalog.Hash(one), one.GetContentHash()) {
		t.Error("a node gets another hash than was published")
	}
}

func TestEncodeIsAFileAgain(t *testing.T) {
	cat := load(t, original)
	text, err := catalog.Encode(cat)
	if err != nil {
		t.Fatal(err)
	}
	again, err := catalog.Encode(load(t, string(text)))
	if err != nil || !bytes.Equal(text, again) || !bytes.Contains(text, []byte(`"max_concurrent_requests": 50`)) {
		t.Errorf("%v\n%s", err, text)
	}
	yaml := "providers:\n  cerebras:\n    api_key: env:CEREBRAS_API_KEY\n    maxConcurrentRequests: 5e1\n"
	fromYAML, problems := catalog.Decode([]byte(yaml), catalog.FormatOf("aimux.yaml"))
	if len(problems) > 0 || fromYAML.GetProviders()["cerebras"].GetMaxConcurrentRequests() != 50 {
		t.Errorf("%v %v", fromYAML, problems)
	}
}
