package auth_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aimux/aimux/dataplane/internal/auth"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/issuer"
	"github.com/aimux/aimux/shared/issuer/issuertest"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/secret"
)

var cluster = secret.NewKey([secret.KeySize]byte{1})

// keyOf is the key of an id; number tells keys of one id apart.
func keyOf(id string, number byte) string {
	return identity.Mint(identity.Client, id, sha256.Sum256([]byte{number, id[0]})).Reveal()
}

func hashOf(id string) []byte {
	return identity.NewHasher(cluster).Hash(secret.New(keyOf(id, 1)))
}

func table(t testing.TB, who *tablev1.Auth) *route.Table {
	t.Helper()
	config := &tablev1.Config{Auth: who, Policy: &tablev1.Policy{MaxAttempts: 1}}
	for _, id := range []string{"east", "west"} {
		config.Providers = append(config.Providers, &tablev1.Provider{Id: id, Kind: "compatible", Protocol: "openai", Enabled: true, Region: id, Models: []*tablev1.Model{{Id: "m"}}})
	}
	table, err := route.FromWire(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func door(t testing.TB, cfg auth.Config, now func() time.Time, trusting *route.Table) *auth.Door {
	t.Helper()
	cfg.ClusterKey = cluster
	d := auth.New(cfg, auth.Deps{Log: slog.New(slog.DiscardHandler), Now: now})
	d.Apply(trusting)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return d
}

func apiKey(key string) auth.Said { return auth.Said{APIKey: []string{key}} }
func bearer(key string) auth.Said { return auth.Said{Authorization: []string{"Bearer " + key}} }

// Who comes in with what, and what the others are told.
func TestKeys(t *testing.T) {
	now := time.Now()
	people := func() []*tablev1.Caller {
		return []*tablev1.Caller{
			{Id: "ada", Hash: hashOf("ada"), Team: "red", Priority: 7, ExpiresUnixMs: now.UnixMilli() + 1},
			{Id: "late", Hash: hashOf("late"), ExpiresUnixMs: now.UnixMilli()},
			{Id: "off", Hash: hashOf("off"), Disabled: true},
			{Id: "gone", Hash: hashOf("gone"), RevokedUnixMs: 1},
			{Id: "hollow"},
		}
	}
	with := table(t, &tablev1.Auth{Teams: []*tablev1.Team{{Id: "red"}}, Callers: people()})
	open := table(t, &tablev1.Auth{Teams: []*tablev1.Team{{Id: "red"}}, Callers: people(), Anonymous: true})
	none := table(t, nil)
	ada := keyOf("ada", 1)
	const come, unknown = "", "not one of this gateway's"
	for _, row := range []struct {
		name     string
		table    *route.Table
		loopback bool
		said     auth.Said
		who      string
		refused  string
	}{
		{"key in x-api-key", with, false, apiKey(ada), "ada", come},
		{"key as bearer", with, false, bearer(ada), "ada", come},
		{"bearer in other letters", with, false, auth.Said{Authorization: []string{"bEARER  " + ada + " "}}, "ada", come},
		{"the same in both", with, false, auth.Said{APIKey: []string{ada}, Authorization: []string{"Bearer " + ada}}, "ada", come},
		{"a dummy beside it", with, false, auth.Said{APIKey: []string{"sk-ant-dummy"}, Authorization: []string{"Bearer " + ada}}, "ada", come},
		{"basic beside it", with, false, auth.Said{APIKey: []string{ada}, Authorization: []string{"Basic dTpw"}}, "ada", come},
		{"two of ours", with, false, auth.Said{APIKey: []string{ada}, Authorization: []string{"Bearer " + keyOf("off", 1)}}, "", "two different keys"},
		{"two of ours in one header", with, false, auth.Said{APIKey: []string{ada, keyOf("ada", 2)}}, "", "two different keys"},
		{"no scheme", with, false, auth.Said{Authorization: []string{ada}}, "", "none of this gateway's"},

		{"no key", with, false, auth.Said{}, "", "wants a key"},
		{"no key on loopback", with, true, auth.Said{}, "", "wants a key"},
		{"empty key", with, false, apiKey(""), "", "wants a key"},
		{"a vendor's", with, false, apiKey("sk-proj-whatever"), "", "begin with aimux_"},
		{"wrong secret", with, false, apiKey(keyOf("ada", 2)), "", unknown},
		{"wrong id", with, false, apiKey(keyOf("eve", 1)), "", unknown},
		{"another's secret", with, false, apiKey(strings.Replace(keyOf("off", 1), "_off_", "_ada_", 1)), "", unknown},
		{"no such form", with, false, apiKey("aimux_ada"), "", unknown},
		{"a key without a hash", with, false, apiKey(keyOf("hollow", 1)), "", unknown},
		{"cut", with, false, apiKey(ada[:len(ada)-1]), "", unknown},
		{"expired", with, false, apiKey(keyOf("late", 1)), "", "expired at"},
		{"disabled", with, false, apiKey(keyOf("off", 1)), "", "is disabled"},
		{"revoked", with, false, apiKey(keyOf("gone", 1)), "", "was revoked at 1970"},
		{"wrong secret of a revoked one", with, false, apiKey(keyOf("gone", 2)), "", unknown},
		{"an admin's", with, false, apiKey(identity.Mint(identity.Admin, "ada", [32]byte{1}).Reveal()), "", "admin API"},
		{"something like a JWT", with, false, bearer("eyJhbGciOiJub25lIn0.e30."), "", "none of this gateway's"},

		{"anonymous", open, false, auth.Said{}, "", come},
		{"anonymous with a dummy", open, false, apiKey("sk-ant-dummy"), "", come},
		{"anonymous with a key", open, false, apiKey(ada), "ada", come},
		{"anonymous with a bad key of ours", open, false, apiKey(keyOf("ada", 2)), "", unknown},
		{"anonymous with a revoked key", open, false, bearer(keyOf("gone", 1)), "", "was revoked"},

		{"nobody known, loopback", none, true, auth.Said{}, "", come},
		{"nobody known, loopback, a dummy", none, true, bearer("sk-dummy"), "", come},
		{"nobody known, loopback, a key of ours", none, true, bearer(ada), "", unknown},
		{"nobody known, elsewhere", none, false, bearer("sk-dummy"), "", "no client keys are configured"},
		{"only a revoked key, loopback", table(t, &tablev1.Auth{Callers: people()[3:4]}), true, auth.Said{}, "", "wants a key"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := door(t, auth.Config{Loopback: row.loopback}, func() time.Time { return now }, row.table)
			caller, f := d.Check(t.Context(), row.table, row.said)
			if (f == nil) != (row.refused == come) || caller.Key != row.who || caller.Name != row.who {
				t.Fatalf("%+v, %v", caller, f)
			}
			if f != nil && (!strings.Contains(f.Message, row.refused) || f.Kind != fault.Unauthenticated || strings.Contains(f.Message, ada[12:])) {
				t.Errorf("refused with %v: %q, want %q", f.Kind, f.Message, row.refused)
			}
			if row.who == "ada" && (caller.Team != "red" || caller.Priority != 7) {
				t.Errorf("%+v", caller)
			}
			n := 0.0
			d.Refused(func(v float64, _ ...string) { n += v })
			if want := map[bool]float64{true: 0, false: 1}[f == nil]; n != want {
				t.Errorf("%v counted as refused, want %v", n, want)
			}
		})
	}
}

// For whom an issuer vouches, and as whom he comes in.
func TestTokens(t *testing.T) {
	home := issuertest.New(t)
	strict := &tablev1.Issuer{
		Issuer: home.URL, Audience: "aimux", NameClaim: "email", TeamClaim: "groups", ModelsClaim: "scope", ProvidersClaim: "via", AllowPrivateAddress: true,
	}
	loose := &tablev1.Issuer{Issuer: home.URL, Audience: "aimux", AllowPrivateAddress: true}
	teams := []*tablev1.Team{{Id: "red", Scope: &tablev1.Scope{Providers: []string{"west"}, Classes: []string{"tools"}}}}
	type claims = issuertest.Claims
	full := func(more claims) string {
		all := claims{"email": "ada@example.com", "groups": []string{"staff", "red"}, "scope": "claude-* gpt-6", "via": []string{"*"}}
		maps.Copy(all, more)
		return home.Sign(t, "ES256", home.Good("a1", "aimux", all), nil)
	}
	for _, row := range []struct {
		name    string
		issuer  *tablev1.Issuer
		token   string
		who     string
		refused string
	}{
		{"as its subject", loose, full(nil), "jwt:a1", ""},
		{"by its claims", strict, full(nil), "jwt:ada@example.com", ""},
		{"with a name that is none", strict, full(claims{"email": "a\nb\x00" + strings.Repeat("é", 200)}), identity.Subject("jwt", "a\nb\x00"+strings.Repeat("é", 200)), ""},
		{"by an address that it made up", strict, full(claims{"email_verified": false}), "", "has not verified"},
		{"by an address that is its own", strict, full(claims{"email_verified": true}), "jwt:ada@example.com", ""},
		{"of an issuer with an id", &tablev1.Issuer{Id: "home", Issuer: home.URL, Audience: "aimux", AllowPrivateAddress: true}, full(nil), "home:a1", ""},
		{"without its name", strict, full(claims{"email": nil}), "", "no claim email"},
		{"of no team", strict, full(claims{"groups": "blue"}), "", "claim groups names no team"},
		{"without a team", strict, full(claims{"groups": nil}), "", "claim groups names no team"},
		{"without models", strict, full(claims{"scope": ""}), "", "no claim scope"},
		{"without providers", strict, full(claims{"via": nil}), "", "no claim via"},
		{"for others", loose, home.Sign(t, "ES256", home.Good("a1", "other", nil), nil), "", "not for this audience"},
		{"in clear", loose, home.Sign(t, "none", home.Good("a1", "aimux", nil), nil), "", "algorithm"},
	} {
		t.Run(row.name, func(t *testing.T) {
			table := table(t, &tablev1.Auth{Teams: teams, Issuers: []*tablev1.Issuer{row.issuer}})
			d := door(t, auth.Config{Loopback: true}, time.Now, table)
			for _, said := range []auth.Said{bearer(row.token), apiKey(row.token)} {
				caller, f := d.Check(t.Context(), table, said)
				if (f == nil) != (row.refused == "") || caller.Name != row.who || caller.Subject != row.who || caller.Key != "" {
					t.Fatalf("%+v, %v", caller, f)
				}
				if f != nil && (!strings.Contains(f.Message, row.refused) || f.Kind != fault.Unauthenticated) {
					t.Errorf("%v", f)
				}
				if f == nil && row.issuer == strict && (caller.Team != "red" || caller.Scope.Model("gpt-5") || !caller.Scope.Model("gpt-6") || caller.Scope.Provider(0) || !caller.Scope.Provider(1)) {
					t.Errorf("%+v", caller)
				}
			}
			if _, f := d.Check(t.Context(), table, auth.Said{}); f == nil {
				t.Error("somebody without a token came in on a loopback listener with an issuer")
			}
		})
	}
}

// A dead issuer costs the holders of keys nothing, and his own callers are told to come again.
func TestDeadIssuer(t *testing.T) {
	dead := issuertest.New(t)
	asked, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	dead.Misbehave(func(http.ResponseWriter, *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		<-release
	})
	table := table(t, &tablev1.Auth{
		Callers: []*tablev1.Caller{{Id: "ada", Hash: hashOf("ada")}},
		Issuers: []*tablev1.Issuer{{Issuer: dead.URL, Audience: "aimux", AllowPrivateAddress: true}},
	})
	d := door(t, auth.Config{Issuers: issuer.Config{Wait: time.Hour}}, time.Now, table)
	ctx, leave := context.WithCancel(t.Context())
	waiting := make(chan *fault.Fault)
	token := dead.Sign(t, "ES256", dead.Good("bob", "aimux", nil), nil)
	go func() {
		_, f := d.Check(ctx, table, bearer(token))
		waiting <- f
	}()
	<-asked
	for range 1000 {
		if _, f := d.Check(t.Context(), table, apiKey(keyOf("ada", 1))); f != nil {
			t.Fatal(f)
		}
	}
	leave()
	if f := <-waiting; f == nil || f.Kind != fault.Overloaded || f.RetryAfter <= 0 {
		t.Errorf("%v", f)
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false} {
		addr, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if auth.IsLoopback(addr) != want {
			t.Errorf("%s", address)
		}
	}
}

// What each answer costs: that of an id which does not exist must not stand out from that of a wrong secret.
func BenchmarkCheck(b *testing.B) {
	callers := make([]*tablev1.Caller, 10_000)
	for i := range callers {
		callers[i] = &tablev1.Caller{Id: fmt.Sprintf("key%05d", i), Hash: hashOf("x")}
	}
	callers[0] = &tablev1.Caller{Id: "key00000", Hash: hashOf("key00000")}
	table := table(b, &tablev1.Auth{Callers: callers})
	d := door(b, auth.Config{}, time.Now, table)
	for _, row := range []struct{ name, key string }{
		{"right", keyOf("key00000", 1)}, {"wrong secret", keyOf("key00000", 2)}, {"wrong id", keyOf("key99999", 2)}, {"no key", "sk-dummy"},
	} {
		said := apiKey(row.key)
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = d.Check(b.Context(), table, said)
			}
		})
	}
}
