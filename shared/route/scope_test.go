package route

import (
	"testing"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// A marketplace's ids look like a provider's name with a model's behind it, and are asked for as they stand.
func TestNamesWithASlash(t *testing.T) {
	market := func(c *tablev1.Config) {
		c.Providers = append(c.Providers, &tablev1.Provider{Id: "market", Kind: "compatible", Protocol: "anthropic", Enabled: true, Models: []*tablev1.Model{
			{Id: "anthropic/claude-opus-4", Has: uint64(Tools | Streaming)}, {Id: "anthropic/claude-sonnet-4-5", Has: uint64(Tools | Streaming)}, {Id: "zai/glm-4.6", Has: uint64(Streaming)},
		}})
	}
	table := table(t, house(market))
	for _, test := range []struct {
		model string
		may   []string
		want  bool
	}{
		{"anthropic/claude-sonnet-4-5", []string{"claude-*"}, true}, // the vendor's, pinned
		{"anthropic/claude-haiku-9", []string{"claude-*"}, true},    // by a pattern of the vendor's
		{"anthropic/claude-opus-4", []string{"claude-*"}, false},    // the market's, which the vendor has not
		{"anthropic/claude-opus-4", []string{"anthropic/*"}, true},
		{"zai/glm-4.6", []string{"glm-4.6"}, true},
		{"zai/nothing", []string{"nothing"}, true}, // the policy lets a provider answer to any name
		{"cerebras/gpt-5", []string{"claude-*"}, false},
		{"anthropic/", []string{"claude-*"}, false},
		{"/claude-sonnet-4-5", []string{"claude-*"}, false},
		{"Anthropic/claude-sonnet-4-5", []string{"claude-*"}, false},
		{"market/anthropic/claude-opus-4", []string{"claude-*"}, false},
		{"market/anthropic/claude-opus-4", []string{"anthropic/claude-opus-4"}, true},
	} {
		ask := chat(test.model)
		ask.Scope = table.Narrow(nil, Terms{Models: test.may})
		if v := table.Permits(ask); (v.Outcome == Picked) != test.want {
			t.Errorf("%s within %v: %v", test.model, test.may, v.Outcome)
		}
	}
}

// Whoever may use some models only may not name others that a provider is to choose from.
func TestFurtherModelsAreForCallersWithoutBounds(t *testing.T) {
	table := table(t, house())
	for _, test := range []struct {
		terms Terms
		want  bool
	}{
		{Terms{}, true},
		{Terms{Providers: []string{"anthropic"}}, true},
		{Terms{Models: []string{"claude-*"}}, false},
	} {
		ask := chat("claude-sonnet-4-5")
		ask.Further, ask.Scope = true, table.Narrow(nil, test.terms)
		if v := table.Permits(ask); (v.Outcome == Picked) != test.want {
			t.Errorf("%v: %v", test.terms, v.Outcome)
		}
	}
}
