package route

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/secret"
)

func TestABadTableIsRefusedWithItsPath(t *testing.T) {
	tests := []struct {
		name   string
		change func(*tablev1.Config)
		want   string
	}{
		{"no id", provider("zai", func(p *tablev1.Provider) { p.Id = "" }), `providers[1].id: is empty`},
		{"twice", provider("zai", func(p *tablev1.Provider) { p.Id = "cerebras" }), `providers["cerebras"]: is there twice`},
		{"no kind", provider("zai", func(p *tablev1.Provider) { p.Kind = "" }), `providers["zai"].kind: is empty`},
		{"protocol", provider("zai", func(p *tablev1.Provider) { p.Protocol = "gopher" }), `providers["zai"].protocol: "gopher" is neither`},
		{"override", provider("zai", func(p *tablev1.Provider) { p.Override = &tablev1.Override{State: "ajar"} }), `providers["zai"].override.state: "ajar"`},
		{"number", provider("zai", func(p *tablev1.Provider) { p.AvgResponseTimeMs = math.NaN() }), `providers["zai"].avg_response_time_ms: NaN`},
		{"model twice", provider("zai", func(p *tablev1.Provider) { p.Models[1].Id = "glm-4.6" }), `providers["zai"].models["glm-4.6"]: is there twice`},
		{"model without id", provider("zai", func(p *tablev1.Provider) { p.Models[1].Id = "" }), `providers["zai"].models[1].id: is empty`},
		{"capability of tomorrow", provider("zai", func(p *tablev1.Provider) { p.Models[0].Has |= 1 << 60 }), `models["glm-4.6"].has: bits 0x1000000000000000`},
		{"both stated and unknown", provider("zai", func(p *tablev1.Provider) { p.Models[0].Unknown = uint64(Tools) }), `tools cannot be both`},
		{"price", provider("zai", func(p *tablev1.Provider) { p.Models[0].Price.Output = 1 << 40 }), `price: 1099511627776 billionths`},
		{"empty name served", provider("zai", func(p *tablev1.Provider) { p.Models[0].Serves = []string{""} }), `serves[0]: 0 bytes`},
		{"priority", policy(func(p *tablev1.Policy) { p.Priority = "luck" }), `policy.priority: "luck"`},
		{"balancer", policy(func(p *tablev1.Policy) { p.LoadBalancer = "luck" }), `policy.load_balancer: "luck"`},
		{"pin", policy(func(p *tablev1.Policy) { p.VisionProvider = "nobody" }), `policy.vision_provider: "nobody" is no provider`},
		{"unknown model", policy(func(p *tablev1.Policy) { p.UnknownModel = "perhaps" }), `policy.unknown_model: "perhaps"`},
		{"class", policy(func(p *tablev1.Policy) { p.ClassOrder = []string{"first"} }), `policy.class_order[0]: "first"`},
		{"share", policy(func(p *tablev1.Policy) { p.RetryShare = 2 }), `policy.retry_share: 2`},
		{"weights", policy(func(p *tablev1.Policy) { p.Weights = &tablev1.Weights{Cost: -1} }), `policy.weights.cost: -1`},
		{"plugin", policy(func(p *tablev1.Policy) { p.LoadBalancer = "plugin" }), `policy.plugin: is empty`},
		{"too many", func(c *tablev1.Config) { c.Providers = make([]*tablev1.Provider, ProvidersMax+1) }, `providers: 513 of them`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table, err := FromWire(house(test.change), nil)
			if err == nil || table != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want it to say %s", err, test.want)
			}
		})
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	_, err := FromWire(house(provider("zai", func(p *tablev1.Provider) { p.Protocol, p.Kind = "", "" }), policy(func(p *tablev1.Policy) { p.Priority = "luck" })), nil)
	for _, path := range []string{"revision 7", "zai\"].protocol", "zai\"].kind", "policy.priority"} {
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v does not name %s", err, path)
		}
	}
}

func TestKeysOpenAndNeverPrint(t *testing.T) {
	sealed := func(p *tablev1.Provider) { p.Credentials = []*tablev1.Credential{{Fingerprint: "f1"}} }
	open := func(p *tablev1.Provider, c *tablev1.Credential) (secret.Secret, error) {
		if p.GetId() == "zai" {
			return secret.Secret{}, errors.New("sealed for another cluster")
		}
		return secret.New("sk-" + c.GetFingerprint()), nil
	}
	table, err := FromWire(house(provider("cerebras", sealed)), open)
	if err != nil {
		t.Fatal(err)
	}
	credential := table.Provider(0).Credentials[0]
	if credential.Key.Reveal() != "sk-f1" || strings.Contains(fmt.Sprintf("%+v %v", credential, table.Providers()), "sk-") {
		t.Errorf("a key must open and never print: %+v", credential)
	}
	if _, err = FromWire(house(provider("zai", sealed)), open); err == nil || !strings.Contains(err.Error(), `providers["zai"].credentials[0]: sealed for another cluster`) {
		t.Errorf("error %v, want it to name the credential", err)
	}
	disabled := provider("zai", func(p *tablev1.Provider) { p.Enabled = false })
	if _, err = FromWire(house(provider("zai", sealed), disabled), open); err != nil {
		t.Errorf("a disabled provider's key need not open: %v", err)
	}
}

func TestSilenceMakesHealthFade(t *testing.T) {
	heard := table(t, house()).WithHealth(&tablev1.Health{NodesLive: 3, Targets: []*tablev1.TargetHealth{
		{Provider: "zai", Model: "glm-4.6", State: tablev1.State_STATE_CIRCUIT_OPEN},
		{Provider: "cerebras", State: tablev1.State_STATE_DEGRADED, WeightPpm: 100_000},
	}})
	zai, _ := heard.TargetByName("zai", "glm-4.6")
	cerebras, _ := heard.TargetByName("cerebras", "gpt-oss-120b")
	for _, test := range []struct {
		silence time.Duration
		state   State
		weight  uint32
	}{
		{time.Second, CircuitOpen, 100_000},
		{3 * time.Second, Unhealthy, 100_000},
		{16500 * time.Millisecond, Unhealthy, 550_000},
		{time.Minute, Healthy, 1_000_000},
	} {
		aged := heard.Aged(test.silence)
		if got := aged.Health(zai.Index).State; got != test.state {
			t.Errorf("after %v: %v, want %v", test.silence, got, test.state)
		}
		if got := aged.Health(cerebras.Index).WeightPPM; got != test.weight {
			t.Errorf("after %v: weight %d, want %d", test.silence, got, test.weight)
		}
	}
	if heard.NodesLive() != 3 || heard.Health(zai.Index).State != CircuitOpen {
		t.Error("the table as it was heard must not change")
	}
}

// Who may call is read whole, each key within its team's scope, and what cannot be meant is refused.
func TestWhoMayCall(t *testing.T) {
	with := func(change func(*tablev1.Auth)) *tablev1.Config {
		auth := &tablev1.Auth{
			Teams: []*tablev1.Team{{Id: "red", Scope: &tablev1.Scope{Models: []string{"claude-*"}, Providers: []string{"zai", "anthropic"}}}},
			Callers: []*tablev1.Caller{
				{Id: "ada", Name: "Ada", Team: "red", Scope: &tablev1.Scope{Regions: []string{"us"}}, Priority: -3, ExpiresUnixMs: 5},
				{Id: "bob", Disabled: true, RevokedUnixMs: 7},
			},
			Issuers: []*tablev1.Issuer{{Issuer: "https://id.example.com", Audience: "aimux", TeamClaim: "team"}},
		}
		change(auth)
		return house(func(c *tablev1.Config) { c.Auth = auth })
	}
	table := table(t, with(func(*tablev1.Auth) {}))
	auth := table.Auth()
	ada, bob := auth.Caller("ada"), auth.Caller("bob")
	if ada == nil || ada.Name != "Ada" || ada.Team != "red" || ada.Priority != -3 || ada.ExpiresMs != 5 || bob == nil || bob.Scope != nil || !bob.Disabled || bob.RevokedMs != 7 {
		t.Fatalf("%+v, %+v", ada, bob)
	}
	if auth.Caller("eve") != nil || auth.Team("blue") != nil || auth.Nobody() || auth.Anonymous || len(auth.Issuers) != 1 {
		t.Errorf("%+v", auth)
	}
	for _, id := range []string{"cerebras", "zai", "anthropic"} {
		p, _ := table.ProviderByID(id)
		if ada.Scope.Provider(p.Index) != (id == "anthropic") { // of the team's two the one in the key's region
			t.Errorf("%s is wrong in ada's scope", id)
		}
	}
	if !ada.Scope.Model("claude-x") || ada.Scope.Model("gpt-x") || ada.Scope.Model("") {
		t.Error("ada's models")
	}
	for want, change := range map[string]func(*tablev1.Auth){
		`auth.callers["ada"].team: "blue" is no team`:      func(a *tablev1.Auth) { a.Callers[0].Team = "blue" },
		`auth.callers["ada"]: is empty or there twice`:     func(a *tablev1.Auth) { a.Callers[1].Id = "ada" },
		`auth.teams["red"]: is empty or there twice`:       func(a *tablev1.Auth) { a.Teams = append(a.GetTeams(), a.GetTeams()[0]) },
		`auth.teams["red"].scope.classes[0]: "luck" is no`: func(a *tablev1.Auth) { a.Teams[0].Scope.Classes = []string{"luck"} },
		`auth.issuers[0]: has no issuer or no audience`:    func(a *tablev1.Auth) { a.Issuers[0].Audience = "" },
		`auth.issuers: 17 of them`:                         func(a *tablev1.Auth) { a.Issuers = make([]*tablev1.Issuer, 17) },
		`auth.callers: 16385 of them`:                      func(a *tablev1.Auth) { a.Callers = make([]*tablev1.Caller, CallersMax+1) },
	} {
		if _, err := FromWire(with(change), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to say %s", err, want)
		}
	}
}
