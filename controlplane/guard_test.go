package controlplane_test

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/aimux/aimux/controlplane"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	"github.com/aimux/aimux/shared/audit"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/bus/bustest"
	"github.com/aimux/aimux/shared/issuer/issuertest"
	"github.com/aimux/aimux/shared/keyfile"
	"github.com/aimux/aimux/shared/secret"
)

// as is a client that shows a token.
type as string

func (token as) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(token))
	return http.DefaultTransport.RoundTrip(r)
}

func tokensAt(url, token string) adminv1connect.TokenServiceClient {
	return adminv1connect.NewTokenServiceClient(&http.Client{Transport: as(token)}, url)
}

// guarded starts a control plane that asks for tokens; first is what it printed at a first start.
func (h *house) guarded(id, tokens string) (url string, first <-chan string) {
	h.t.Helper()
	return h.guardedWith(id, tokens, nil)
}

// guardedWith is guarded with a first catalog.
func (h *house) guardedWith(id, tokens string, seed *adminv1.Catalog) (url string, first <-chan string) {
	h.t.Helper()
	b, err := bus.Connect(bus.Config{InProcess: h.dial, Cluster: bustest.Cluster, Region: bustest.Region, Name: id, Key: bustest.Key()})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended, printed := make(chan string, 1), make(chan error, 1), make(chan string, 2)
	cfg := controlplane.Config{ID: id, Cluster: bustest.Cluster, Region: bustest.Region, Admin: "127.0.0.1:0", ClusterKey: h.key, Tokens: tokens, Seed: seed}
	go func() {
		defer b.Close()
		ended <- controlplane.Run(ctx, cfg, controlplane.Deps{
			Bus: b, Log: slog.New(slog.DiscardHandler), Ready: func(addr string) { ready <- addr },
			FirstToken: func(token secret.Secret) { printed <- token.Reveal() },
		})
	}()
	h.t.Cleanup(func() { cancel(); <-ended })
	select {
	case addr := <-ready:
		return "http://" + addr, printed
	case err := <-ended:
		h.t.Fatalf("%s ended: %v", id, err)
	case <-time.After(patience):
		h.t.Fatalf("%s is not ready", id)
	}
	return "", nil
}

// TestTokensFromTheFirstToTheLast follows tokens over two replicas: the first start prints one, of which only a hash is kept; it makes others;
// what is revoked at one replica ends at the other.
func TestTokensFromTheFirstToTheLast(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	one, first := h.guarded("cp-1", dir)
	two, second := h.guarded("cp-2", dir)
	var token string
	select {
	case token = <-first:
	case token = <-second:
	}
	ctx := t.Context()
	made, err := tokensAt(one, token).CreateToken(ctx, connect.NewRequest(&adminv1.CreateTokenRequest{Id: "ci", Role: "operator"}))
	if err != nil {
		t.Fatal(err)
	}
	who := func(url, token string) string {
		answer, err := tokensAt(url, token).WhoAmI(ctx, connect.NewRequest(&adminv1.WhoAmIRequest{}))
		if err != nil {
			return connect.CodeOf(err).String()
		}
		return answer.Msg.GetActor() + " " + answer.Msg.GetRole()
	}
	until := func(url, token, want string) {
		t.Helper()
		for end := time.Now().Add(patience); who(url, token) != want; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %s, want %s", url, who(url, token), want)
			}
		}
	}
	until(two, made.Msg.GetToken(), "token:ci operator")
	if _, err := tokensAt(one, made.Msg.GetToken()).CreateToken(ctx, connect.NewRequest(&adminv1.CreateTokenRequest{Id: "me", Role: "admin"})); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("an operator makes an admin: %v", err)
	}
	if _, err := tokensAt(two, token).RevokeToken(ctx, connect.NewRequest(&adminv1.RevokeTokenRequest{Id: "ci"})); err != nil {
		t.Fatal(err)
	}
	until(one, made.Msg.GetToken(), "unauthenticated")
	until(two, made.Msg.GetToken(), "unauthenticated")

	address := strings.TrimPrefix(one, "http://")
	local, err := keyfile.FindToken(dir, address)
	if err != nil || who(one, local.Reveal()) != "local admin" || who(two, local.Reveal()) != "unauthenticated" {
		t.Errorf("the local token of cp-1 is %s there, %s at cp-2 (%v)", who(one, local.Reveal()), who(two, local.Reveal()), err)
	}
	if info, err := os.Stat(dir + "/" + strings.ReplaceAll(address, ":", "_")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the local token's file: %v, %v", info, err)
	}
	select {
	case again := <-first:
		t.Errorf("a second first token: %s", again)
	case again := <-second:
		t.Errorf("a second first token: %s", again)
	default:
	}
	checkAudit(t, two, token, []string{"system start", "token:first aimux.admin.v1.TokenService/CreateToken", "token:first aimux.admin.v1.TokenService/RevokeToken"})
}

// checkAudit verifies the chain as one replica tells it, and wants these writes.
func checkAudit(t *testing.T, url, token string, want []string) {
	t.Helper()
	answer, err := adminv1connect.NewAuditServiceClient(&http.Client{Transport: as(token)}, url).ListAudit(t.Context(), connect.NewRequest(&adminv1.ListAuditRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	var chain audit.Verifier
	var got []string
	for _, entry := range answer.Msg.GetEntries() {
		if err := chain.Take(entry); err != nil {
			t.Error(err)
		}
		got = append(got, entry.GetActor()+" "+entry.GetProcedure())
		if strings.Contains(entry.String(), "aimuxadm_") {
			t.Errorf("entry %d tells a token", entry.GetNumber())
		}
	}
	if err := chain.End(answer.Msg.GetLast(), answer.Msg.GetHead()); err != nil {
		t.Error(err)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the log says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestEveryWriteIsInTheAuditLog writes much, and finds all of it, in order, in the archive and behind it.
func TestEveryWriteIsInTheAuditLog(t *testing.T) {
	h := newHouse(t)
	url, first := h.guarded("cp-1", "")
	token := <-first
	want := []string{"system start"}
	routing := adminv1connect.NewRoutingServiceClient(&http.Client{Transport: as(token)}, url)
	for i := range 30 {
		_, err := routing.UpdateRouting(t.Context(), connect.NewRequest(&adminv1.UpdateRoutingRequest{Routing: &adminv1.Routing{MaxAttempts: new(uint32(1 + i%5))}}))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, "token:first aimux.admin.v1.RoutingService/UpdateRouting")
	}
	checkAudit(t, url, token, want)
	if _, err := routing.UpdateRouting(t.Context(), connect.NewRequest(&adminv1.UpdateRoutingRequest{Routing: &adminv1.Routing{Priority: "nonsense"}})); err == nil {
		t.Fatal("nonsense was taken")
	}
	checkAudit(t, url, token, want) // what was refused was not written
}

// TestAForgedCatalogIsNotTaken writes to the store past the control plane, as somebody who has got hold of NATS would.
func TestAForgedCatalogIsNotTaken(t *testing.T) {
	h := newHouse(t)
	url, first := h.guarded("cp-1", "")
	token := <-first
	thief := bustest.Join(t, h.dial, "cp-2")
	forged := []byte("\x0a\x00") // a Document with an empty Catalog, and no MAC
	js, err := thief.Conn().JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish("$KV.AIMUX_CONFIG.catalog."+bustest.Cluster, forged); err != nil {
		t.Fatal(err)
	}
	if err := thief.PublishCatalog(1<<40, forged); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := as(token).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 4096)
		n, _ := answer.Body.Read(body)
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK && strings.Contains(string(body[:n]), "not written by a control plane with this cluster key") {
			return // said so, and still knows the token of the last good catalog
		}
		if time.Now().After(end) {
			t.Fatalf("%d %s", answer.StatusCode, body[:n])
		}
	}
}

// TestJWTsOfTheCatalogsIssuers has an issuer that the catalog trusts give every role, and everything that is wrong with a JWT refused.
func TestJWTsOfTheCatalogsIssuers(t *testing.T) {
	h, i, stranger := newHouse(t), issuertest.NewRSA(t), issuertest.New(t)
	url, _ := h.guardedWith("cp-1", "", &adminv1.Catalog{Auth: &adminv1.Auth{AdminIssuers: []*adminv1.Issuer{{
		Issuer: i.URL, Audience: "aimux", RoleClaim: "realm.groups", NameClaim: "email", AllowPrivateAddress: true,
	}}}})
	groups := func(names ...string) issuertest.Claims {
		return issuertest.Claims{"email": "alice@example.com", "realm": issuertest.Claims{"groups": names}}
	}
	past := i.Good("alice", "aimux", groups("admin"))
	past["exp"] = time.Now().Add(-time.Hour).Unix()
	with := func(more issuertest.Claims) issuertest.Claims {
		claims := i.Good("alice", "aimux", groups("admin"))
		maps.Copy(claims, more)
		return claims
	}
	elsewhere := issuertest.Claims{"jku": stranger.URL + "/keys", "x5u": stranger.URL + "/keys", "kid": nil}
	for name, row := range map[string]struct{ token, want string }{
		"several audiences": {i.Sign(t, "ES256", with(issuertest.Claims{"aud": []string{"other", "aimux"}}), nil), "jwt:alice@example.com admin"},
		"several others":    {i.Sign(t, "ES256", with(issuertest.Claims{"aud": []string{"other", "aimux2"}}), nil), "unauthenticated"},
		"not begun":         {i.Sign(t, "ES256", with(issuertest.Claims{"nbf": time.Now().Add(time.Hour).Unix()}), nil), "unauthenticated"},
		"keys elsewhere":    {stranger.Sign(t, "ES256", with(nil), elsewhere), "unauthenticated"},
		"a file for a key":  {i.Sign(t, "ES256", with(nil), issuertest.Claims{"kid": "../../../dev/null"}), "unauthenticated"},
		"viewer":            {i.Sign(t, "ES256", i.Good("alice", "aimux", groups("staff", "viewer")), nil), "jwt:alice@example.com viewer"},
		"the higher of two": {i.Sign(t, "ES256", i.Good("alice", "aimux", groups("operator", "viewer")), nil), "jwt:alice@example.com operator"},
		"admin":             {i.Sign(t, "EdDSA", i.Good("alice", "aimux", groups("admin")), nil), "jwt:alice@example.com admin"},
		"no role":           {i.Sign(t, "ES256", i.Good("alice", "aimux", groups("staff")), nil), "unauthenticated"},
		"no claim":          {i.Sign(t, "ES256", i.Good("alice", "aimux", nil), nil), "unauthenticated"},
		"another audience":  {i.Sign(t, "ES256", i.Good("alice", "other", groups("admin")), nil), "unauthenticated"},
		"expired":           {i.Sign(t, "ES256", past, nil), "unauthenticated"},
		"alg none":          {i.Sign(t, "none", i.Good("alice", "aimux", groups("admin")), nil), "unauthenticated"},
		"symmetric":         {i.Sign(t, "HS256", i.Good("alice", "aimux", groups("admin")), nil), "unauthenticated"},
		"another issuer":    {stranger.Sign(t, "ES256", stranger.Good("alice", "aimux", groups("admin")), nil), "unauthenticated"},
		"another's key":     {stranger.Sign(t, "ES256", i.Good("alice", "aimux", groups("admin")), nil), "unauthenticated"},
	} {
		got := ""
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			answer, err := tokensAt(url, row.token).WhoAmI(t.Context(), connect.NewRequest(&adminv1.WhoAmIRequest{}))
			if connect.CodeOf(err) == connect.CodeUnavailable && err != nil {
				continue // the issuer's keys are on their way
			}
			if err != nil {
				got = connect.CodeOf(err).String()
			} else {
				got = answer.Msg.GetActor() + " " + answer.Msg.GetRole()
			}
			break
		}
		if got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}
