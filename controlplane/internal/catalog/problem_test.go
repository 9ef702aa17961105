package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

func TestShapeProblems(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{``, `is empty; an empty catalog is {}`},
		{`{"providers": {}`, `is not JSON at line 1, column 16: unexpected end of JSON input`},
		{"{\n  \"routing\": {,}\n}", `is not JSON at line 2, column 15: invalid character ',' looking for beginning of object key string`},
		{`{} {}`, `is not JSON at line 1, column 4: invalid character '{' after top-level value`},
		{"{\"routing\": \"\xff\"}", `is not UTF-8`},
		{`[]`, `[…]: must be an object`},
		{`null`, `null: must be an object`},
		{`{"provders": {}}`, `provders: {…}: is unknown; did you mean providers?`},
		{`{"routing": {"maxAttempt": 3}}`, `routing.maxAttempt: 3: is unknown; did you mean max_attempts?`},
		{`{"routing": {"zzz": [[["x"]]]}}`, `routing.zzz: […]: is unknown`},
		{`{"routing": {"priority": 3}}`, `routing.priority: 3: must be a string`},
		{`{"routing": {"continuation": "yes"}}`, `routing.continuation: "yes": must be true or false`},
		{`{"routing": {"max_attempts": 1.5}}`, `routing.max_attempts: 1.5: must be a whole number from 0 to 4294967295`},
		{`{"routing": {"max_attempts": -1}}`, `routing.max_attempts: -1: must be a whole number from 0 to 4294967295`},
		{`{"routing": {"max_attempts": 4294967296}}`, `routing.max_attempts: 4294967296: must be a whole number from 0 to 4294967295`},
		{`{"routing": {"max_attempts": 1e99}}`, `routing.max_attempts: 1e99: must be a whole number from 0 to 4294967295`},
		{`{"routing": {"max_attempts": "many"}}`, `routing.max_attempts: "many": must be a whole number`},
		{`{"routing": {"retry_share": "NaN"}}`, `routing.retry_share: "NaN": must be a number`},
		{`{"routing": {"retry_share": 1e999}}`, `routing.retry_share: 1e999: is beyond any number that can be kept`},
		{`{"routing": {"regions": "eu"}}`, `routing.regions: "eu": must be a list`},
		{`{"routing": {"regions": [null]}}`, `routing.regions[0]: null: must be a string`},
		{`{"routing": {"region_s": null}}`, `routing.region_s: null: is unknown; did you mean regions?`},
		{`{"routing": {"max_attempts": 1, "maxAttempts": 2}}`, `routing.maxAttempts: 2: is there twice`},
		{`{"providers": {"a": {}, "a": {}}}`, `providers.a: {…}: is there twice`},
		{`{"providers": {"a": null}}`, `providers.a: null: must be an object`},
		{`{"providers": [1]}`, `providers: […]: must be an object`},
		{`{"providers": {"a b.c": {"models": [{"ID": "m"}]}}}`, `providers["a b.c"].models[0].ID: "m": is unknown; did you mean id?`},
		{`{"providers": {"a": {"name": "\ud800"}}}`, "providers.a.name: \"\ufffd\": holds characters that are not valid Unicode"},
	} {
		cat, problems := catalog.Decode([]byte(test.text), catalog.JSON)
		if got := catalog.Problems(problems).Error(); got != test.want || cat != nil {
			t.Errorf("%s\ngot  %s\nwant %s", test.text, got, test.want)
		}
	}
}

func TestMeaningProblems(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`{"providers": {"A": {"kind": "cerebras"}}}`, `providers.A: must have an id of 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit`},
		{`{"providers": {"a": {"kind": "cerebros"}}}`, `providers.a.kind: "cerebros": must be one of cerebras, zai, minimax, anthropic, openai, compatible, synthetic`},
		{`{"providers": {"a": {"protocol": "openai", "models": [{"id": "m"}]}}}`, `providers.a.base_url: is needed for kind compatible`},
		{`{"providers": {"a": {"base_url": "https://x.example", "models": [{"id": "m"}]}}}`, `providers.a.protocol: is needed with this base_url: anthropic or openai`},
		{`{"providers": {"a": {"base_url": "https://x.example", "protocol": "openai"}}}`, `providers.a.models: must list at least one model: nothing is known of kind compatible`},
		{`{"providers": {"a": {"kind": "zai", "base_url": "https://x.example"}}}`, `providers.a.protocol: is needed with this base_url: anthropic or openai`},
		{`{"providers": {"a": {"kind": "zai", "base_url": "https://api.z.ai/api/anthropic", "protocol": "openai"}}}`,
			`providers.a.protocol: "openai": contradicts base_url, which speaks anthropic`},
		{`{"providers": {"a": {"kind": "openai", "protocol": "anthropic"}}}`,
			`providers.a.protocol: "anthropic": is not offered by OpenAI; where somebody else offers it, set base_url too`},
		{`{"providers": {"a": {"kind": "openai", "protocol": "grpc"}}}`, `providers.a.protocol: "grpc": must be anthropic or openai`},
		{`{"providers": {"a": {"kind": "openai", "name": "N"}, "b": {"kind": "openai", "name": "N"}}}`, `providers.b.name: "N": is the name of provider a already`},
		{`{"providers": {"openai": {"api_key": "k", "api_keys": ["l"]}}}`, `providers.openai.api_keys: stands beside api_key; one of the two is enough`},
		{`{"providers": {"openai": {"api_keys": ["k", "", "k"]}}}`, "providers.openai.api_keys[1]: is empty\nproviders.openai.api_keys[2]: [secret]: is there twice"},
		{`{"providers": {"openai": {"api_key": "env:"}}}`, `providers.openai.api_key: must name a variable behind env:, of letters, digits and '_'`},
		{`{"providers": {"openai": {"api_key": "file:"}}}`, `providers.openai.api_key: must name a path behind file:`},
		{`{"providers": {"openai": {"api_key": "[secret]"}}}`, `providers.openai.api_key: [secret]: stands for a stored key, and none is stored here`},
		{`{"providers": {"openai": {"api_key": "sealed:AAAA"}}}`, `providers.openai.api_key: [secret]: is not a sealed key as aimux writes them`},
		{`{"providers": {"openai": {"api_key": "a\r\nHost: evil"}}}`, `providers.openai.api_key: [secret]: holds spaces, line ends or other characters that no key has`},
		{`{"providers": {"openai": {"priority_score": 101}}}`, `providers.openai.priority_score: 101: must be from 0 to 100`},
		{`{"providers": {"openai": {"cost_per_input_token": 0.35}}}`, `providers.openai.cost_per_input_token: 0.35: must be from 0 to 0.01: it is in US dollars for one token`},
		{`{"providers": {"openai": {"cost_per_output_token": -1e-7}}}`, `providers.openai.cost_per_output_token: -1e-07: must be from 0 to 0.01: it is in US dollars for one token`},
		{`{"providers": {"openai": {"max_concurrent_requests": 0, "tokens_per_minute": 0}}}`,
			"providers.openai.max_concurrent_requests: 0: must be at least 1; leave it out for no limit\nproviders.openai.tokens_per_minute: 0: must be at least 1; leave it out for no limit"},
		{`{"providers": {"openai": {"health_check_interval": 0.5, "recovery_delay": -3}}}`,
			"providers.openai.health_check_interval: 0.5: must be from 1 to 86400\nproviders.openai.recovery_delay: -3: must be from 1 to 86400"},
		{`{"providers": {"openai": {"region": "eu west"}}}`, `providers.openai.region: "eu west": must be 1 to 63 letters, digits, '.', '-' and '_'`},
		{`{"providers": {"openai": {"models": [{"id": "a"}, {"id": "a"}, {}, {"id": "gpt-*"}]}}}`,
			"providers.openai.models[1].id: \"a\": is there twice\nproviders.openai.models[2].id: is needed\nproviders.openai.models[3].id: \"gpt-*\": must be one model; patterns belong into serves"},
		{`{"providers": {"openai": {"models": [{"id": "a", "serves": ["", "x", "x", "a b"], "context_window": 10, "max_output_tokens": 20}]}}}`,
			"providers.openai.models[0].serves[0]: is empty; every name is '*'\nproviders.openai.models[0].serves[2]: \"x\": is there twice\n" +
				"providers.openai.models[0].serves[3]: \"a b\": must be at most 128 printable ASCII characters without spaces\n" +
				"providers.openai.models[0].max_output_tokens: 20: is more than the context_window of 10"},
		{`{"routing": {"priority": "cheap", "load_balancer": "random", "unknown_model": "maybe", "vision_provider": "nobody"}}`,
			"routing.priority: \"cheap\": must be one of cost, performance, reliability, balanced, custom\n" +
				"routing.load_balancer: \"random\": must be one of round_robin, weighted, least_connections, adaptive, plugin\n" +
				"routing.unknown_model: \"maybe\": must be one of any, reject\nrouting.vision_provider: \"nobody\": names no provider of this catalog"},
		{`{"routing": {"class_order": ["vision", "sound", "vision"], "max_attempts": 11, "retry_share": 1.1, "connect_timeout": 0}}`,
			"routing.class_order[1]: \"sound\": is no class\nrouting.class_order[2]: \"vision\": is there twice\nrouting.max_attempts: 11: must be from 1 to 10\n" +
				"routing.retry_share: 1.1: must be from 0 to 1\nrouting.connect_timeout: 0: must be from 0.05 to 300"},
		{`{"routing": {"priority": "custom"}}`, `routing.weights: must say what counts when priority is custom`},
	} {
		cat, problems := catalog.Decode([]byte(test.text), catalog.JSON)
		if len(problems) > 0 {
			t.Errorf("%s: %v", test.text, problems)
			continue
		}
		if got := catalog.Problems(catalog.Validate(cat)).Error(); got != test.want {
			t.Errorf("%s\ngot  %s\nwant %s", test.text, got, test.want)
		}
	}
}

func TestBaseURLs(t *testing.T) {
	for _, test := range []struct{ url, private, public string }{
		{"https://api.example.com/v1", "", ""},
		{"https://104.18.2.161:8443/v1", "", ""},
		{"https://[2606:4700::6812:2a1]/v1", "", ""},
		{"http://api.example.com/v1", "", "must begin with https"},
		{"http://127.0.0.1:9000/v1", "", "must begin with https"},
		{"https://127.0.0.1:9000/v1", "", "is a loopback or private address"},
		{"https://[::1]/v1", "", "is a loopback or private address"},
		{"https://[::ffff:10.0.0.1]/v1", "", "is a loopback or private address"},
		{"https://localhost/v1", "", "is a loopback or private address"},
		{"https://LOCALHOST/v1", "", "is a loopback or private address"},
		{"https://a.localhost/v1", "", "is a loopback or private address"},
		{"https://192.168.1.10/v1", "", "is a loopback or private address"},
		{"https://100.64.3.4/v1", "", "is a loopback or private address"},
		{"https://169.254.169.254/latest", "is a cloud's metadata service", "is a cloud's metadata service"},
		{"https://[fd00:ec2::254]/", "is a cloud's metadata service", "is a cloud's metadata service"},
		{"https://metadata.google.internal/", "is a cloud's metadata service", "is a cloud's metadata service"},
		{"https://127.1/v1", "must have a valid host", "must have a valid host"},
		{"https://2130706433/v1", "must have a valid host", "must have a valid host"},
		{"https://0x7f.0.0.1/v1", "must have a valid host", "must have a valid host"},
		{"https://a.0x7f000001/v1", "must have a valid host", "must have a valid host"},
		{"https://exa mple.com/", "is not a URL", "is not a URL"},
		{"https://exämple.com/", "must have a valid host", "must have a valid host"},
		{"https://example.com./", "must have a valid host", "must have a valid host"},
		{"https://user:hunter2@example.com/", "must not contain a user", "must not contain a user"},
		{"https://example.com/?key=hunter2", "must not contain a query", "must not contain a query"},
		{"https://example.com/?", "must not contain a query", "must not contain a query"},
		{"https://example.com/#hunter2", "must not contain a query", "must not contain a query"},
		{"https://example.com:0/", "must have a port", "must have a port"},
		{"https://example.com:99999/", "must have a port", "must have a port"},
		{"https://example.com:/", "must have a port", "must have a port"},
		{"ftp://example.com/", "must begin with https", "must begin with https"},
		{"https:example.com", "is not a URL", "is not a URL"},
		{"example.com/v1", "is not a URL", "is not a URL"},
		{"//example.com/v1", "must begin with https", "must begin with https"},
		{"https:///v1", "is not a URL", "is not a URL"},
		{"https://example.com/../admin", "must not go upwards", "must not go upwards"},
		{"https://" + strings.Repeat("a", 3000) + ".com/", "is not a URL", "is not a URL"},
	} {
		for allowed, want := range map[bool]string{true: test.private, false: test.public} {
			problems := catalog.Validate(&adminv1.Catalog{Providers: map[string]*adminv1.Provider{
				"p": {Protocol: "openai", BaseUrl: test.url, AllowPrivateAddress: allowed, Models: []*adminv1.Model{{Id: "m"}}},
			}})
			got := catalog.Problems(problems).Error()
			if (got == "") != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "hunter2") {
				t.Errorf("%s, private addresses allowed %v: %q, want %q", test.url, allowed, got, want)
			}
		}
	}
}

func TestManyProblemsAreCounted(t *testing.T) {
	var text strings.Builder
	for i := range 250 {
		fmt.Fprintf(&text, `"x%d": 1,`, i)
	}
	_, problems := catalog.Decode([]byte(`{`+text.String()+`"y": 1}`), catalog.JSON)
	if len(problems) != 101 || problems[100].Reason != "and 151 problems more" {
		t.Errorf("%d problems, the last %v", len(problems), problems[len(problems)-1])
	}
	_, problems = catalog.Decode(make([]byte, catalog.BytesMax+1), catalog.JSON)
	if len(problems) != 1 || !strings.Contains(problems[0].Reason, "1048577 bytes") {
		t.Errorf("%v", problems)
	}
	_, problems = catalog.Decode([]byte("a: 1\na: 2\n"), catalog.YAML)
	if len(problems) != 1 || !strings.Contains(problems[0].Reason, `already set in map`) {
		t.Errorf("%v", problems)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(original), false)
	f.Add([]byte(`{"routing": {"max_attempts": "3", "retryShare": 1e-1, "regions": ["\u00e9"], "class_order": null, "weights": {"cost": -0}}}`), false)
	f.Add([]byte(`{"providers": {"a": {"models": [{"id": "m", "contextWindow": 6.0e2, "context_window": 1}], "tokens_per_minute": 18446744073709551615}}}`), false)
	f.Add([]byte("providers:\n  a: &a {kind: zai, api_key: env:K}\n  b: *a\n"), true)
	f.Fuzz(func(t *testing.T, data []byte, isYAML bool) {
		format := catalog.JSON
		if isYAML {
			format = catalog.YAML
		}
		cat, problems := catalog.Decode(data, format)
		if (cat == nil) != (len(problems) > 0) {
			t.Fatalf("a catalog and problems, or neither: %v", problems)
		}
		if cat == nil {
			if problems[0].Reason == "is not protojson" {
				t.Fatal("the reason is not told")
			}
			return
		}
		text, err := catalog.Encode(cat)
		if err != nil {
			t.Fatal(err)
		}
		again, problems := catalog.Decode(text, catalog.JSON)
		if !proto.Equal(cat, again) {
			t.Fatalf("%v\nwas %s\nbecame %s", problems, data, text)
		}
		// Whatever was let in, the rest of the room takes it without falling.
		catalog.Validate(cat)
		catalog.Compile(cat, 1, environment(nil))
		differ(cat, new(adminv1.Catalog))
		if changes := differ(cat, again); len(changes) > 0 {
			t.Fatalf("equal catalogs differ: %v", changes)
		}
	})
}
