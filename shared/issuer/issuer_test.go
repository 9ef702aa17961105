package issuer_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aimux/aimux/shared/issuer"
	"github.com/aimux/aimux/shared/issuer/issuertest"
)

type claims = issuertest.Claims

// clock is a time that tests move.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

func verifier(t *testing.T, cfg issuer.Config, trusts ...issuer.Trust) (*issuer.Verifier, *clock) {
	t.Helper()
	time := &clock{}
	v := issuer.New(cfg, issuer.Deps{Log: slog.New(slog.DiscardHandler), Now: time.now})
	v.Apply(trusts)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); v.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return v, time
}

func trust(i *issuertest.Issuer) issuer.Trust {
	return issuer.Trust{URL: i.URL, Audience: "aimux", AllowPrivate: true}
}

// Every way in which a token can be wrong, and what is said of it.
func TestTokens(t *testing.T) {
	home, foreign := issuertest.NewRSA(t), issuertest.NewRSA(t)
	v, _ := verifier(t, issuer.Config{}, trust(home))
	good := func(more claims) claims { return home.Good("ada", "aimux", more) }
	ago, hence := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }, func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	whole := home.Sign(t, "RS256", good(nil), nil)
	head, body, _ := strings.Cut(whole, ".")
	body, signature, _ := strings.Cut(body, ".")
	zeros := home.Sign(t, "ES256", good(nil), nil)
	zeros = zeros[:strings.LastIndexByte(zeros, '.')+1] + strings.Repeat("A", 86)
	forged := strings.Split(home.Sign(t, "RS256", good(claims{"sub": "eve"}), nil), ".")[1]
	for _, row := range []struct {
		name, token string
		why         issuer.Why
		taken       bool
	}{
		{"RS256", whole, 0, true},
		{"ES256", home.Sign(t, "ES256", good(nil), nil), 0, true},
		{"EdDSA", home.Sign(t, "EdDSA", good(nil), nil), 0, true},
		{"no key id", home.Sign(t, "ES256", good(nil), claims{"kid": nil}), 0, true},
		{"several audiences", home.Sign(t, "RS256", good(claims{"aud": []string{"other", "aimux"}}), nil), 0, true},
		{"an access token", home.Sign(t, "RS256", good(nil), claims{"typ": "at+JWT"}), 0, true},
		{"just over", home.Sign(t, "RS256", good(claims{"exp": ago(10 * time.Second)}), nil), 0, true},
		{"almost begun", home.Sign(t, "RS256", good(claims{"nbf": hence(10 * time.Second)}), nil), 0, true},

		{"none", home.Sign(t, "none", good(nil), nil), issuer.Algorithm, false},
		{"none, with a signature", home.Sign(t, "RS256", good(nil), claims{"alg": "none"}), issuer.Algorithm, false},
		{"none in other letters", home.Sign(t, "none", good(nil), claims{"alg": "nOnE"}), issuer.Algorithm, false},
		{"none beside an algorithm", home.Sign(t, "none", good(nil), claims{"ALG": "ES256"}), issuer.Algorithm, false},
		{"no algorithm", home.Sign(t, "RS256", good(nil), claims{"alg": nil}), issuer.Algorithm, false},
		{"HS256 with the public key", home.Sign(t, "HS256", good(nil), nil), issuer.Algorithm, false},
		{"HS256 with the published secret", home.Sign(t, "HS256", good(nil), claims{"kid": "HS256-1"}), issuer.Algorithm, false},
		{"an algorithm not pinned", home.Sign(t, "RS256", good(nil), claims{"alg": "PS256"}), issuer.Algorithm, false},
		{"another's algorithm", home.Sign(t, "ES256", good(nil), claims{"alg": "EdDSA"}), issuer.Signature, false},
		{"foreign issuer", foreign.Sign(t, "RS256", foreign.Good("ada", "aimux", nil), nil), issuer.Issuer, false},
		{"foreign key", foreign.Sign(t, "RS256", good(nil), nil), issuer.Signature, false},
		{"key of its own in its head", foreign.Sign(t, "RS256", good(nil), claims{"jwk": claims{"kty": "oct", "k": "AAAA"}, "kid": nil}), issuer.Signature, false},
		{"key at a URL of its own", foreign.Sign(t, "RS256", good(nil), claims{"jku": foreign.URL + "/keys", "x5u": foreign.URL}), issuer.Signature, false},
		{"key and its URLs of its own", foreign.Sign(t, "RS256", good(nil), claims{"jku": foreign.URL + "/keys", "x5u": foreign.URL + "/keys", "kid": nil}), issuer.Signature, false},
		{"certificate of its own", foreign.Sign(t, "RS256", good(nil), claims{"x5c": []string{"MIIB"}, "kid": nil}), issuer.Signature, false},
		{"unknown key id", home.Sign(t, "RS256", good(nil), claims{"kid": "../../etc"}), issuer.Signature, false},
		{"key id of a file", home.Sign(t, "HS256", good(nil), claims{"kid": "../../../dev/null"}), issuer.Algorithm, false},
		{"key id of a query", home.Sign(t, "RS256", good(nil), claims{"kid": "x' UNION SELECT 'secret"}), issuer.Signature, false},
		{"key id of a published secret", home.Sign(t, "ES256", good(nil), claims{"kid": "HS256-1"}), issuer.Signature, false},
		{"key id of another algorithm's key", home.Sign(t, "ES256", good(nil), claims{"kid": "RS256-1"}), issuer.Signature, false},
		{"key id that is a number", home.Sign(t, "RS256", good(nil), claims{"kid": 1}), issuer.Malformed, false},
		{"unknown critical extension", home.Sign(t, "RS256", good(nil), claims{"crit": []string{"x"}, "x": 1}), issuer.Signature, false},
		{"body exchanged", head + "." + forged + "." + signature, issuer.Signature, false},
		{"signature cut", whole[:len(whole)-4], issuer.Signature, false},
		{"signature of zeros", zeros, issuer.Signature, false},
		{"no signature", head + "." + body + ".", issuer.Signature, false},
		{"wrong audience", home.Sign(t, "RS256", good(claims{"aud": "other"}), nil), issuer.Audience, false},
		{"several audiences, none of them this", home.Sign(t, "RS256", good(claims{"aud": []string{"other", "aimux2", "AIMUX"}}), nil), issuer.Audience, false},
		{"no audience in the list", home.Sign(t, "RS256", good(claims{"aud": []string{}}), nil), issuer.Audience, false},
		{"audiences in one text", home.Sign(t, "RS256", good(claims{"aud": "other aimux"}), nil), issuer.Audience, false},
		{"audience of another type", home.Sign(t, "RS256", good(claims{"aud": claims{"aimux": true}}), nil), issuer.Signature, false},
		{"no audience", home.Sign(t, "RS256", good(claims{"aud": nil}), nil), issuer.Audience, false},
		{"part of the audience", home.Sign(t, "RS256", good(claims{"aud": "aimux-staging"}), nil), issuer.Audience, false},
		{"expired", home.Sign(t, "RS256", good(claims{"exp": ago(time.Minute)}), nil), issuer.Expired, false},
		{"without end", home.Sign(t, "RS256", good(claims{"exp": nil}), nil), issuer.Expired, false},
		{"end of another type", home.Sign(t, "RS256", good(claims{"exp": "never"}), nil), issuer.Signature, false},
		{"not begun", home.Sign(t, "RS256", good(claims{"nbf": hence(time.Minute)}), nil), issuer.NotYet, false},
		{"begin of another type", home.Sign(t, "RS256", good(claims{"nbf": "later"}), nil), issuer.Signature, false},
		{"end beyond all time, begin too", home.Sign(t, "RS256", good(claims{"exp": 1e300, "nbf": 1e300}), nil), issuer.NotYet, false},
		{"end before all time", home.Sign(t, "RS256", good(claims{"exp": -1e300}), nil), issuer.Expired, false},
		{"nobody", home.Sign(t, "RS256", good(claims{"sub": nil}), nil), issuer.Malformed, false},
		{"a logout", home.Sign(t, "RS256", good(nil), claims{"typ": "logout+jwt"}), issuer.Malformed, false},
		{"too long", home.Sign(t, "RS256", good(claims{"x": strings.Repeat("a", issuer.TokenBytesMax)}), nil), issuer.Malformed, false},
		{"encrypted", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d", issuer.Malformed, false},
		{"no JWT", "hello", issuer.Malformed, false},
		{"empty parts", "..", issuer.Malformed, false},
		{"as JSON", fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, head, body, signature), issuer.Malformed, false},
		{"with white space", whole + "\n", issuer.Malformed, false},
		{"many dots", strings.Repeat(".", issuer.TokenBytesMax), issuer.Malformed, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			for range 2 { // the second time from memory, if it was taken
				token, refusal := v.Verify(t.Context(), row.token)
				switch {
				case row.taken && (refusal != nil || token.Subject != "ada" || token.Issuer != home.URL):
					t.Fatalf("%+v, refused: %v", token, refusal)
				case !row.taken && (refusal == nil || refusal.Why != row.why):
					t.Fatalf("%+v, refused: %+v, want %v", token, refusal, row.why)
				}
			}
		})
	}
	if n := foreign.Fetches.Load(); n != 0 {
		t.Errorf("the URLs in tokens were asked for keys %d times", n)
	}
}

// A token is remembered until its end and no longer, and no longer than its issuer and its key.
func TestMemory(t *testing.T) {
	home := issuertest.New(t)
	v, clock := verifier(t, issuer.Config{RefreshMin: time.Nanosecond}, trust(home))
	token := home.Sign(t, "ES256", home.Good("ada", "aimux", nil), nil)
	taken := func(want bool) {
		t.Helper()
		if _, refusal := v.Verify(t.Context(), token); (refusal == nil) != want {
			t.Fatalf("taken %v, want %v: %v", refusal == nil, want, refusal)
		}
	}
	taken(true)
	clock.forward(time.Hour + issuer.Leeway - time.Minute)
	taken(true)
	clock.forward(2 * time.Minute)
	taken(false)
	clock.forward(-time.Hour)

	token = home.Sign(t, "ES256", home.Good("ada", "aimux", nil), nil)
	taken(true)
	v.Apply(nil)
	taken(false)
	v.Apply([]issuer.Trust{{URL: home.URL, Audience: "other", AllowPrivate: true}})
	taken(false)
	v.Apply([]issuer.Trust{trust(home)})
	taken(true)

	// The issuer takes its key back: what was signed with it ends as soon as that is known.
	old := token
	home.Rotate(t)
	token = home.Sign(t, "ES256", home.Good("ada", "aimux", nil), nil)
	taken(true)
	token = old
	taken(false)
}

// Tokens that name keys nobody has cannot make the verifier ask the issuer more often than it may.
func TestUnknownKeysAskSeldom(t *testing.T) {
	home := issuertest.New(t)
	v, clock := verifier(t, issuer.Config{}, trust(home))
	if _, refusal := v.Verify(t.Context(), home.Sign(t, "ES256", home.Good("ada", "aimux", nil), nil)); refusal != nil {
		t.Fatal(refusal)
	}
	before := home.Fetches.Load()
	for n := range 50 {
		token := home.Sign(t, "ES256", home.Good("ada", "aimux", nil), claims{"kid": fmt.Sprint("made up ", n)})
		if _, refusal := v.Verify(t.Context(), token); refusal == nil || refusal.Why != issuer.Signature {
			t.Fatalf("%+v", refusal)
		}
	}
	if n := home.Fetches.Load() - before; n != 0 {
		t.Errorf("%d fetches within the least interval", n)
	}
	clock.forward(time.Minute)
	for n := range 50 {
		token := home.Sign(t, "ES256", home.Good("ada", "aimux", nil), claims{"kid": fmt.Sprint("made up again ", n)})
		v.Verify(t.Context(), token)
	}
	if n := home.Fetches.Load() - before; n != 1 {
		t.Errorf("%d fetches after the least interval", n)
	}
}

// An issuer that hangs delays its own callers a bounded time and nobody else; what it signed before goes on.
func TestIssuerAway(t *testing.T) {
	home, dead := issuertest.New(t), issuertest.New(t)
	release := make(chan struct{})
	defer close(release)
	dead.Misbehave(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	v, clock := verifier(t, issuer.Config{Wait: 50 * time.Millisecond}, trust(home), trust(dead))
	if _, refusal := v.Verify(t.Context(), dead.Sign(t, "ES256", dead.Good("ada", "aimux", nil), nil)); refusal == nil || refusal.Why != issuer.Unavailable {
		t.Fatalf("%+v", refusal)
	}
	if _, refusal := v.Verify(t.Context(), home.Sign(t, "ES256", home.Good("ada", "aimux", nil), nil)); refusal != nil {
		t.Fatalf("another issuer's caller: %v", refusal)
	}
	home.Misbehave(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	clock.forward(20 * time.Minute)
	if _, refusal := v.Verify(t.Context(), home.Sign(t, "ES256", home.Good("bob", "aimux", claims{"exp": clock.now().Add(time.Hour).Unix()}), nil)); refusal != nil {
		t.Fatalf("with the last good keys: %v", refusal)
	}
}

// What an issuer answers is not believed blindly.
func TestIssuerMisbehaves(t *testing.T) {
	home, elsewhere := issuertest.New(t), issuertest.New(t)
	for name, answer := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusFound)
		},
		"another's name": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, elsewhere.URL, elsewhere.URL+"/keys")
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 1<<20)) },
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"file": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"issuer":"http://%s","jwks_uri":"file:///etc/passwd"}`, r.Host)
		},
		"metadata": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"issuer":"http://%s","jwks_uri":"http://169.254.169.254/keys"}`, r.Host)
		},
		"packed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "\x1f\x8b")
		},
	} {
		t.Run(name, func(t *testing.T) {
			home.Misbehave(answer)
			v, _ := verifier(t, issuer.Config{}, trust(home))
			_, refusal := v.Verify(t.Context(), home.Sign(t, "ES256", home.Good("ada", "aimux", nil), nil))
			if refusal == nil || refusal.Why != issuer.Unavailable {
				t.Fatalf("%+v", refusal)
			}
			if s := v.Status(); len(s) != 1 || s[0].Trouble == "" || s[0].Keys != 0 {
				t.Errorf("status %+v", s)
			}
		})
	}
	if n := elsewhere.Fetches.Load(); n != 0 {
		t.Errorf("somebody followed to elsewhere %d times", n)
	}
}

// Without leave, a private address is not even dialled.
func TestPrivateIssuer(t *testing.T) {
	home := issuertest.New(t)
	for _, url := range []string{home.URL, strings.Replace(home.URL, "http:", "https:", 1), "https://169.254.169.254"} {
		v, _ := verifier(t, issuer.Config{}, issuer.Trust{URL: url, Audience: "aimux"})
		_, refusal := v.Verify(t.Context(), home.Sign(t, "ES256", home.Good("ada", "aimux", claims{"iss": url}), nil))
		if refusal == nil || refusal.Why != issuer.Unavailable {
			t.Errorf("%s: %+v", url, refusal)
		}
	}
	if home.Fetches.Load() != 0 {
		t.Error("the issuer was asked")
	}
}

func TestClaims(t *testing.T) {
	home := issuertest.New(t)
	v, _ := verifier(t, issuer.Config{}, trust(home))
	token, refusal := v.Verify(t.Context(), home.Sign(t, "EdDSA", home.Good("ada", "aimux", claims{
		"team": "research", "models": []any{"claude-*", 7, nil, claims{}}, "https://x.example/role": "admin", "a.b": "flat",
		"realm": claims{"access": claims{"roles": []string{"x", "y"}}}, "a": claims{"b": "deep"}, "level": 3,
	}), nil))
	if refusal != nil {
		t.Fatal(refusal)
	}
	for name, want := range map[string]string{
		"team": "[research]", "models": "[claude-* 7]", "https://x.example/role": "[admin]", "a.b": "[flat]", "realm.access.roles": "[x y]",
		"level": "[3]", "realm": "[]", "realm.access.none": "[]", "none": "[]", "team.x": "[]", "sub": "[ada]", "": "[]",
	} {
		if got := fmt.Sprint(token.Claim(name)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	home := issuertest.NewRSA(b)
	v := issuer.New(issuer.Config{}, issuer.Deps{Log: slog.New(slog.DiscardHandler), Now: time.Now})
	v.Apply([]issuer.Trust{trust(home)})
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	go v.Run(ctx)
	known := home.Sign(b, "RS256", home.Good("ada", "aimux", nil), nil)
	if _, refusal := v.Verify(ctx, known); refusal != nil {
		b.Fatal(refusal)
	}
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			v.Verify(ctx, known)
		}
	})
	b.Run("forged", func(b *testing.B) {
		forged := known[:len(known)-8] + "AAAAAAAA"
		for b.Loop() {
			v.Verify(ctx, forged)
		}
	})
}
