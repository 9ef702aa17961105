package route

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/google/go-cmp/cmp"
)

// house is three providers that an operator could have: a cheap fast one without vision, one that sees, the vendor itself.
func house(change ...func(*tablev1.Config)) *tablev1.Config {
	text := uint64(Tools | Streaming | Thinking)
	cfg := &tablev1.Config{
		Header: &tablev1.Header{Cluster: "test", ConfigRevision: 7},
		Policy: &tablev1.Policy{MaxAttempts: 3, RetryShare: 0.1, HedgeShare: 0.05},
		Providers: []*tablev1.Provider{
			{Id: "cerebras", Kind: "cerebras", Protocol: "openai", Enabled: true, Region: "us", AvgResponseTimeMs: 300, Models: []*tablev1.Model{
				{Id: "gpt-oss-120b", Serves: []string{"claude-*", "gpt-*"}, ContextWindow: 131_072, MaxOutputTokens: 40_960, Has: text, Unknown: uint64(JSONSchema | Prefill), Price: &tablev1.Price{Input: 350, Output: 750}},
			}},
			{Id: "zai", Kind: "zai", Protocol: "anthropic", Enabled: true, Region: "asia", AvgResponseTimeMs: 900, Models: []*tablev1.Model{
				{Id: "glm-4.6", Serves: []string{"claude-*"}, ContextWindow: 200_000, MaxOutputTokens: 128_000, Has: text, Unknown: uint64(Prefill), Price: &tablev1.Price{Input: 600, Output: 2200}},
				{Id: "glm-4.5v", Serves: []string{"claude-*"}, ContextWindow: 64_000, MaxOutputTokens: 16_000, Has: text | uint64(Vision), Price: &tablev1.Price{Input: 600, Output: 1800}},
			}},
			{Id: "anthropic", Kind: "anthropic", Protocol: "anthropic", Enabled: true, Region: "us", AvgResponseTimeMs: 1200, Models: []*tablev1.Model{
				{Id: "claude-sonnet-4-5", ContextWindow: 200_000, MaxOutputTokens: 64_000, Has: text | uint64(Vision|PDF|WebSearch|Prefill|MCP), Price: &tablev1.Price{Input: 3000, Output: 15000, CacheRead: 300}},
				{Id: "claude-haiku-4-5", Serves: []string{"claude-haiku-*"}, ContextWindow: 200_000, MaxOutputTokens: 64_000, Has: text | uint64(Vision|PDF|WebSearch|Prefill|MCP), Price: &tablev1.Price{Input: 1000, Output: 5000}},
			}},
		},
	}
	for _, c := range change {
		c(cfg)
	}
	return cfg
}

func policy(change func(*tablev1.Policy)) func(*tablev1.Config) {
	return func(c *tablev1.Config) { change(c.GetPolicy()) }
}

func provider(id string, change func(*tablev1.Provider)) func(*tablev1.Config) {
	return func(c *tablev1.Config) {
		for _, p := range c.GetProviders() {
			if p.GetId() == id {
				change(p)
			}
		}
	}
}

func table(t testing.TB, cfg *tablev1.Config) *Table {
	t.Helper()
	table, err := FromWire(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// node is a View for tests: what is set of each target by its key, and a home for every session.
type node struct {
	lives []Live
	home  int // -1: none
}

func newNode(t *Table, lives map[string]Live) *node {
	n := &node{lives: make([]Live, t.Len()), home: -1}
	for i := range t.Targets() {
		n.lives[i] = lives[t.Target(i).Key]
	}
	return n
}

func (n *node) Live(i int) *Live        { return &n.lives[i] }
func (n *node) Home(uint64) (int, bool) { return n.home, n.home >= 0 }

func keys(t *Table, chain []Candidate) []string {
	var names []string
	for _, c := range chain {
		names = append(names, t.Target(int(c.Target)).Key)
	}
	return names
}

const now = 1_000_000

func chat(model string) *Ask {
	return &Ask{Protocol: Anthropic, Model: model, Traits: TraitStreaming, Needs: Streaming, PromptTokens: 1000, MaxTokens: 2000, ExpectTokens: 300}
}

func TestModelsResolveInOrder(t *testing.T) {
	open := house()
	reject := house(policy(func(p *tablev1.Policy) { p.UnknownModel = "reject" }))
	tests := []struct {
		name, model string
		cfg         *tablev1.Config
		want        []string // as a set per rank: by name first, patterns behind
	}{
		{"a pin is only that provider", "zai/glm-4.6", open, []string{"zai/glm-4.6"}},
		{"a pin takes what its provider serves", "cerebras/claude-opus-4", open, []string{"cerebras/gpt-oss-120b"}},
		{"a pin with an unknown model is that provider's first", "cerebras/nothing", open, []string{"cerebras/gpt-oss-120b"}},
		{"a pin with an unknown model is refused by policy", "cerebras/nothing", reject, nil},
		{"an exact id comes before patterns", "claude-sonnet-4-5", open, []string{"anthropic/claude-sonnet-4-5", "cerebras/gpt-oss-120b", "zai/glm-4.6"}},
		{"an id that nobody else serves", "glm-4.5v", open, []string{"zai/glm-4.5v"}},
		{"a pattern", "gpt-5", open, []string{"cerebras/gpt-oss-120b"}},
		{"the more specific pattern wins within a provider", "claude-haiku-9", open, []string{"cerebras/gpt-oss-120b", "zai/glm-4.6", "anthropic/claude-haiku-4-5"}},
		{"unknown: anybody's first", "llama", open, []string{"cerebras/gpt-oss-120b", "zai/glm-4.6", "anthropic/claude-sonnet-4-5"}},
		{"unknown: refused by policy", "llama", reject, nil},
		{"known models are not refused", "gpt-5", reject, []string{"cerebras/gpt-oss-120b"}},
		{"a name without end", strings.Repeat("x", NameMax+1), open, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := table(t, test.cfg)
			chain, verdict := table.Pick(nil, chat(test.model), newNode(table, nil), "n", now, 1)
			got := keys(table, chain)
			if len(got) > 0 && got[0] != test.want[0] && strings.Contains(test.name, "exact id") {
				t.Errorf("first is %s, want %s", got[0], test.want[0])
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(test.want))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("candidates (-want +got):\n%s", diff)
			}
			if len(test.want) == 0 && verdict.Outcome != UnknownModel {
				t.Errorf("verdict %q, want an unknown model", verdict)
			}
		})
	}
}

func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"claude-*", "claude-sonnet", true}, {"claude-*", "claude-", true}, {"claude-*", "claude", false},
		{"*", "", true}, {"*", "anything", true}, {"*-mini", "gpt-5-mini", true}, {"*-mini", "gpt-5-mini-2", false},
		{"gpt-*-mini", "gpt-5-mini", true}, {"gpt-*-mini", "gpt-mini", false}, {"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false},
		{"a*a", "a", false}, {"exact", "exact", true}, {"exact", "exactly", false}, {"a**b", "ab", true},
	} {
		if got := Match(test.pattern, test.name); got != test.want {
			t.Errorf("Match(%q, %q) = %v", test.pattern, test.name, got)
		}
	}
}

func TestNeedsAreMet(t *testing.T) {
	tests := []struct {
		name    string
		from    Protocol
		needs   Capability
		prompt  int
		max     int
		want    []string
		outcome Outcome
	}{
		{"vision goes to models that see, even the second of a provider", Anthropic, Vision, 100, 100, []string{"anthropic/claude-sonnet-4-5", "zai/glm-4.5v"}, Picked},
		{"unstated, same dialect: assumed", OpenAI, JSONSchema, 100, 100, []string{"cerebras/gpt-oss-120b"}, Picked},
		{"unstated, other dialect, translatable: assumed", Anthropic, JSONSchema, 100, 100, []string{"cerebras/gpt-oss-120b"}, Picked},
		{"unstated, other dialect, not translatable: not assumed", Anthropic, Prefill, 100, 100, []string{"anthropic/claude-sonnet-4-5", "zai/glm-4.6"}, Picked},
		{"stated, but no translation carries it", OpenAI, MCP, 100, 100, nil, NeedUnmet},
		{"web search crosses towards Anthropic", OpenAI, WebSearch, 100, 100, []string{"anthropic/claude-sonnet-4-5"}, Picked},
		{"nobody hears", Anthropic, AudioIn, 100, 100, nil, NeedUnmet},
		{"prompt and answer must fit", Anthropic, 0, 100_000, 64_000, []string{"anthropic/claude-sonnet-4-5", "zai/glm-4.6"}, Picked},
		{"the answer counts up to the model's maximum", Anthropic, 0, 85_000, 200_000, []string{"anthropic/claude-sonnet-4-5", "cerebras/gpt-oss-120b"}, Picked},
		{"too long for all", Anthropic, 0, 300_000, 1000, nil, TooLong},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := table(t, house())
			ask := chat("claude-sonnet-4-5")
			ask.Protocol, ask.Needs, ask.PromptTokens, ask.MaxTokens = test.from, test.needs, test.prompt, test.max
			chain, verdict := table.Pick(nil, ask, newNode(table, nil), "n", now, 1)
			got := keys(table, chain)
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("candidates (-want +got):\n%s", diff)
			}
			if verdict.Outcome != test.outcome {
				t.Errorf("verdict %d %q, want %d", verdict.Outcome, verdict, test.outcome)
			}
		})
	}
}

// A search beside other tools is left out where nobody searches. It should go to who does, before a pin that does not, and still go
// somewhere when that provider is gone.
func TestWhatIsRatherHadGoesFirst(t *testing.T) {
	wanting := chat("claude-sonnet-4-5")
	wanting.Wants = WebSearch
	pinned := policy(func(p *tablev1.Policy) { p.DefaultProvider = "cerebras" })
	byPattern := provider("anthropic", func(p *tablev1.Provider) { p.Models[0].Id, p.Models[0].Serves = "other", []string{"claude-*"} })
	full := table(t, house(pinned, byPattern))
	chain, _ := full.Pick(nil, wanting, newNode(full, nil), "n", now, 1)
	if got := keys(full, chain); len(got) != 3 || got[0] != "anthropic/other" || got[1] != "cerebras/gpt-oss-120b" {
		t.Errorf("the chain is %v: want who searches first, then the pin", got)
	}
	without := table(t, house(pinned, provider("anthropic", func(p *tablev1.Provider) { p.Enabled = false })))
	if chain, verdict := without.Pick(nil, wanting, newNode(without, nil), "n", now, 1); len(chain) != 2 {
		t.Errorf("nobody is left who searches: %d candidates, %v", len(chain), verdict)
	}
}

func TestWhoDropsOutAndWhoGoesFirst(t *testing.T) {
	all := []string{"anthropic/claude-sonnet-4-5", "cerebras/gpt-oss-120b", "zai/glm-4.6"}
	open := func(provider string, state tablev1.State, probe *tablev1.ProbeGrant) *tablev1.TargetHealth {
		return &tablev1.TargetHealth{Provider: provider, State: state, Probe: probe, Reason: "5 failures in a row"}
	}
	grant := &tablev1.ProbeGrant{Node: "n", Lease: 3, ExpiresUnixMs: now + 1, Live: true}
	tests := []struct {
		name   string
		cfg    *tablev1.Config
		health []*tablev1.TargetHealth
		lives  map[string]Live
		ask    func(*Ask)
		scope  Terms
		want   []string // in order where first is set, else as a set
		first  string
		last   string
	}{
		{name: "all are well", want: all, first: "anthropic/claude-sonnet-4-5"},
		{name: "disabled", cfg: house(provider("zai", func(p *tablev1.Provider) { p.Enabled = false })), want: all[:2]},
		{name: "another region", cfg: house(policy(func(p *tablev1.Policy) { p.Regions = []string{"us"} })), want: all[:2]},
		{name: "the caller's providers", scope: Terms{Providers: []string{"zai", "nobody"}}, want: all[2:]},
		{name: "the caller's regions", scope: Terms{Regions: []string{"us"}}, want: all[:2]},
		{name: "the caller's models and classes", scope: Terms{Models: []string{"gpt-*", "claude-*"}, Classes: []Class{Standard}}, want: all},
		{name: "drained", cfg: house(provider("zai", func(p *tablev1.Provider) { p.Override = &tablev1.Override{State: "drain"} })), want: all[:2]},
		{name: "a drain that is over", cfg: house(provider("zai", func(p *tablev1.Provider) {
			p.Override = &tablev1.Override{State: "drain", ExpiresUnixMs: now}
		})), want: all},
		{name: "forced open", cfg: house(provider("zai", func(p *tablev1.Provider) { p.Override = &tablev1.Override{State: "open"} })), want: all[:2]},
		{name: "forced closed beats every circuit", cfg: house(provider("zai", func(p *tablev1.Provider) { p.Override = &tablev1.Override{State: "closed"} })),
			health: []*tablev1.TargetHealth{open("zai", tablev1.State_STATE_CIRCUIT_OPEN, nil)}, lives: map[string]Live{"zai/glm-4.6": {Open: true}}, want: all},
		{name: "open in the cluster", health: []*tablev1.TargetHealth{open("zai", tablev1.State_STATE_CIRCUIT_OPEN, nil)}, want: all[:2]},
		{name: "half open, and the probe is ours", health: []*tablev1.TargetHealth{open("zai", tablev1.State_STATE_HALF_OPEN, grant)}, lives: map[string]Live{"zai/glm-4.6": {ProbeHere: true}}, want: all, first: "zai/glm-4.6"},
		{name: "half open, and the probe is used", health: []*tablev1.TargetHealth{open("zai", tablev1.State_STATE_HALF_OPEN, grant)}, want: all[:2]},
		{name: "half open, and the probe is another's", health: []*tablev1.TargetHealth{open("zai", tablev1.State_STATE_HALF_OPEN, &tablev1.ProbeGrant{Node: "m", ExpiresUnixMs: now + 1, Live: true})}, lives: map[string]Live{"zai/glm-4.6": {ProbeHere: true}}, want: all[:2]},
		{name: "half open, and the grant has expired", health: []*tablev1.TargetHealth{open("zai", tablev1.State_STATE_HALF_OPEN, &tablev1.ProbeGrant{Node: "n", ExpiresUnixMs: now, Live: true})}, lives: map[string]Live{"zai/glm-4.6": {ProbeHere: true}}, want: all[:2]},
		{name: "open here", lives: map[string]Live{"zai/glm-4.6": {Open: true}}, want: []string{"anthropic/claude-sonnet-4-5", "cerebras/gpt-oss-120b", "zai/glm-4.5v"}},
		{name: "open here, and due for a try", lives: map[string]Live{"zai/glm-4.6": {Open: true, ProbeHere: true}}, want: all, first: "zai/glm-4.6"},
		{name: "blocked", lives: map[string]Live{"cerebras/gpt-oss-120b": {BlockedUntilMs: now + 1}}, want: []string{all[0], all[2]}},
		{name: "a block that is over", lives: map[string]Live{"cerebras/gpt-oss-120b": {BlockedUntilMs: now}}, want: all},
		{name: "unhealthy comes last", health: []*tablev1.TargetHealth{open("anthropic", tablev1.State_STATE_UNHEALTHY, nil)}, want: all, last: all[0]},
		{name: "the fallback comes last of all", cfg: house(provider("cerebras", func(p *tablev1.Provider) { p.Fallback = true })), health: []*tablev1.TargetHealth{open("zai", tablev1.State_STATE_UNHEALTHY, nil)}, want: all, last: all[1]},
		{name: "the fallback takes any model", cfg: house(provider("zai", func(p *tablev1.Provider) { p.Fallback = true })), ask: func(a *Ask) { a.Model = "gpt-5" }, want: all[1:], last: all[2]},
		{name: "a pin goes first", cfg: house(policy(func(p *tablev1.Policy) { p.ThinkingProvider = "zai" })), ask: func(a *Ask) { a.Class = ClassThinking }, want: all, first: all[2]},
		{name: "a pin is for its class", cfg: house(policy(func(p *tablev1.Policy) { p.ThinkingProvider = "zai" })), want: all, first: all[0]},
		{name: "the default pin", cfg: house(policy(func(p *tablev1.Policy) { p.DefaultProvider = "zai" })), want: all, first: all[2]},
		{name: "a pin does not qualify when it cannot", cfg: house(policy(func(p *tablev1.Policy) { p.VisionProvider = "cerebras" })), ask: func(a *Ask) { a.Class, a.Needs = ClassVision, Vision }, want: []string{"anthropic/claude-sonnet-4-5", "zai/glm-4.5v"}},
		{name: "an ill pin stands back", cfg: house(policy(func(p *tablev1.Policy) { p.DefaultProvider = "zai" })), health: []*tablev1.TargetHealth{open("zai", tablev1.State_STATE_UNHEALTHY, nil)}, want: all, last: all[2]},
		{name: "all keys out is out", cfg: house(provider("zai", func(p *tablev1.Provider) {
			p.Credentials = []*tablev1.Credential{{Fingerprint: "a"}, {Fingerprint: "b"}}
		})), health: []*tablev1.TargetHealth{
			{Provider: "zai", Credential: "a", State: tablev1.State_STATE_CIRCUIT_OPEN}, {Provider: "zai", Credential: "b", State: tablev1.State_STATE_CIRCUIT_OPEN},
		}, want: all[:2]},
		{name: "one key out is not", cfg: house(provider("zai", func(p *tablev1.Provider) {
			p.Credentials = []*tablev1.Credential{{Fingerprint: "a"}, {Fingerprint: "b"}}
		})), health: []*tablev1.TargetHealth{
			{Provider: "zai", Credential: "a", State: tablev1.State_STATE_CIRCUIT_OPEN},
		}, want: all},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := test.cfg
			if cfg == nil {
				cfg = house()
			}
			table := table(t, cfg).WithHealth(&tablev1.Health{Targets: test.health})
			ask := chat("claude-sonnet-4-5")
			ask.Scope = table.Narrow(nil, test.scope)
			if test.ask != nil {
				test.ask(ask)
			}
			chain, _ := table.Pick(nil, ask, newNode(table, test.lives), "n", now, 1)
			got := keys(table, chain)
			if test.first != "" && (len(got) == 0 || got[0] != test.first) {
				t.Errorf("chain %v, first must be %s", got, test.first)
			}
			if test.last != "" && (len(got) == 0 || got[len(got)-1] != test.last) {
				t.Errorf("chain %v, last must be %s", got, test.last)
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("candidates (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnOpenToolCallStaysWhereItBegan(t *testing.T) {
	for _, balancer := range []string{"adaptive", "round_robin", "weighted", "least_connections"} {
		table := table(t, house(policy(func(p *tablev1.Policy) { p.LoadBalancer, p.ToolsProvider = balancer, "cerebras" })))
		home, _ := table.TargetByName("zai", "glm-4.6")
		n := newNode(table, map[string]Live{"zai/glm-4.6": {InFlight: 50, Turn: 9}})
		n.home = home.Index
		ask := chat("claude-sonnet-4-5")
		ask.Session, ask.Class, ask.Traits = 5, ClassTools, TraitToolOpen|TraitTools
		chain, _ := table.Pick(nil, ask, n, "n", now, 1)
		if int(chain[0].Target) != home.Index || !chain[0].Sticky() || len(chain) != 3 {
			t.Errorf("%s: chain %v, want the session's home first and the others behind it", balancer, keys(table, chain))
		}
		n.lives[home.Index].Open = true
		if chain, _ = table.Pick(chain[:0], ask, n, "n", now, 1); len(chain) != 3 || int(chain[0].Target) == home.Index {
			t.Errorf("%s: chain %v, want it to leave a home that is open", balancer, keys(table, chain))
		}
	}
}

func TestSomebodyIsAlwaysTried(t *testing.T) {
	open := &tablev1.Health{Targets: []*tablev1.TargetHealth{
		{Provider: "cerebras", State: tablev1.State_STATE_CIRCUIT_OPEN, SuccessPpm: 100_000},
		{Provider: "zai", State: tablev1.State_STATE_CIRCUIT_OPEN, SuccessPpm: 600_000},
		{Provider: "anthropic", State: tablev1.State_STATE_CIRCUIT_OPEN, SuccessPpm: 50_000},
	}}
	same := policy(func(p *tablev1.Policy) { p.Priority = "reliability" })
	ask := chat("llama")
	t.Run("the least bad", func(t *testing.T) {
		table := table(t, house(same)).WithHealth(open)
		chain, _ := table.Pick(nil, ask, newNode(table, nil), "n", now, 1)
		if got := keys(table, chain); len(got) != 1 || !strings.HasPrefix(got[0], "zai/") || !chain[0].LastResort() {
			t.Errorf("chain %v, want zai alone, as the last resort", got)
		}
	})
	t.Run("but not against the operator's word", func(t *testing.T) {
		forced := func(p *tablev1.Provider) { p.Override = &tablev1.Override{State: "open"} }
		table := table(t, house(same, provider("zai", forced), provider("cerebras", forced), provider("anthropic", forced))).WithHealth(open)
		chain, verdict := table.Pick(nil, ask, newNode(table, nil), "n", now, 1)
		if len(chain) != 0 || verdict.Outcome != Unavailable || verdict.RetryAfter <= 0 {
			t.Errorf("chain %v, verdict %v; want nobody, and when to come again", keys(table, chain), verdict)
		}
	})
	t.Run("and not before the fallback", func(t *testing.T) {
		table := table(t, house(same, provider("anthropic", func(p *tablev1.Provider) { p.Fallback = true }))).WithHealth(&tablev1.Health{Targets: open.GetTargets()[:2]})
		chain, _ := table.Pick(nil, ask, newNode(table, nil), "n", now, 1)
		if got := keys(table, chain); len(got) != 1 || !chain[0].Fallback() {
			t.Errorf("chain %v, want the fallback", got)
		}
	})
	t.Run("full is full", func(t *testing.T) {
		table := table(t, house())
		n := newNode(table, nil)
		for i := range n.lives {
			n.lives[i].BlockedUntilMs = now + 7000
		}
		_, verdict := table.Pick(nil, ask, n, "n", now, 1)
		if verdict.Outcome != Unavailable || verdict.RetryAfter.Milliseconds() != 7000 {
			t.Errorf("verdict %v, want to come again in 7 s", verdict)
		}
	})
}

func TestVerdictsSayWhatIsWrong(t *testing.T) {
	table := table(t, house(policy(func(p *tablev1.Policy) { p.UnknownModel = "reject" })))
	tests := []struct {
		ask    func(*Ask)
		want   []string
		status int
	}{
		{func(a *Ask) { a.Model = "llama" }, []string{`"llama"`, "no provider"}, 404},
		{func(a *Ask) { a.Needs = Vision | AudioIn }, []string{"audio_input", "nearest is anthropic/claude-sonnet-4-5, which lacks audio_input"}, 400},
		{func(a *Ask) { a.Needs, a.Protocol = WebSearch|FileIDs, OpenAI }, []string{"file_id"}, 400},
		{func(a *Ask) { a.PromptTokens = 250_000 }, []string{"252000 tokens", "200000"}, 400},
		{func(a *Ask) {
			a.Scope = table.Narrow(nil, Terms{Providers: []string{"nobody"}, Regions: []string{"us"}})
		}, []string{`"claude-sonnet-4-5"`, "this key", "providers nobody", "providers in us"}, 403},
		{func(a *Ask) { a.Scope = table.Narrow(nil, Terms{Models: []string{"gpt-*"}}) }, []string{`"claude-sonnet-4-5"`, "models gpt-*"}, 403},
		{func(a *Ask) { a.Scope, a.Model = table.Narrow(nil, Terms{Models: []string{"gpt-*"}}), "llama" }, []string{`"llama"`, "models gpt-*"}, 403},
		{func(a *Ask) { a.Scope, a.Class = table.Narrow(nil, Terms{Classes: []Class{ClassTools}}), ClassVision }, []string{`class "vision"`, "classes tools"}, 403},
	}
	for _, test := range tests {
		ask := chat("claude-sonnet-4-5")
		test.ask(ask)
		_, verdict := table.Pick(nil, ask, newNode(table, nil), "n", now, 1)
		f := verdict.Fault()
		for _, words := range test.want {
			if !strings.Contains(f.Message, words) {
				t.Errorf("%q does not say %q", f.Message, words)
			}
		}
		if status := f.Kind.Rule().Status; status != test.status {
			t.Errorf("%q: status %d, want %d", f.Message, status, test.status)
		}
	}
}

func TestExplainIsWhatPickDoes(t *testing.T) {
	table := table(t, house(provider("zai", func(p *tablev1.Provider) { p.Enabled, p.DisabledReason = false, "no key" })))
	table = table.WithHealth(&tablev1.Health{Header: &tablev1.Header{Epoch: 4, HealthSeq: 9}, Targets: []*tablev1.TargetHealth{{Provider: "cerebras", State: tablev1.State_STATE_CIRCUIT_OPEN, Reason: "5 in a row"}}})
	n := newNode(table, nil)
	ask := chat("claude-sonnet-4-5")
	chain, _ := table.Pick(nil, ask, n, "n", now, 1)
	x := table.Explain(ask, n, "n", now, 1)
	if diff := cmp.Diff(keys(table, chain), x.GetChain()); diff != "" {
		t.Errorf("chain (-picked +explained):\n%s", diff)
	}
	got := map[string]string{}
	for _, c := range x.GetCandidates() {
		got[c.GetProvider()+"/"+c.GetModel()] = c.GetReason()
	}
	want := map[string]string{
		"anthropic/claude-sonnet-4-5": "by score", "anthropic/claude-haiku-4-5": "does not serve this model",
		"cerebras/gpt-oss-120b": "circuit open: 5 in a row", "zai/glm-4.6": "disabled: no key", "zai/glm-4.5v": "disabled: no key",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	if dropped := table.Dropped(nil, ask, n, "n", now, 1, 16); len(dropped) != 1 || table.Target(int(dropped[0].Target)).Key != "cerebras/gpt-oss-120b" || dropped[0].Reason != "circuit open: 5 in a row" {
		t.Errorf("dropped %v", dropped)
	}
	if none := table.Dropped(nil, ask, n, "n", now, 1, 0); len(none) != 0 {
		t.Errorf("none at the most: %v", none)
	}
	if h := x.GetTable(); h.GetConfigRevision() != 7 || h.GetHealthSeq() != 9 || h.GetEpoch() != 4 {
		t.Errorf("explained by %v, want revision 7, epoch 4, health 9", h)
	}
	first := x.GetCandidates()[0]
	if want := (1000*3000 + 300*15000) / 1e9; fmt.Sprintf("%.6f", first.GetCostUsd()) != fmt.Sprintf("%.6f", want) || first.GetExpectedFirstTokenMs() != 1200 {
		t.Errorf("expected cost %v in %d ms, want %v in 1200", first.GetCostUsd(), first.GetExpectedFirstTokenMs(), want)
	}
}
