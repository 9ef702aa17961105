package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/issuer/issuertest"
)

// Keys is the admin API of one control plane for client keys.
func (h *House) Keys(controlplane int) adminv1connect.KeyServiceClient {
	return adminv1connect.NewKeyServiceClient(http.DefaultClient, h.Admin[controlplane])
}

// key makes a client key that every node knows when this returns.
func (h *House) key(t testing.TB, id string, is *adminv1.ClientKey) string {
	t.Helper()
	made, err := h.Keys(0).CreateKey(t.Context(), connect.NewRequest(&adminv1.CreateKeyRequest{Id: id, Key: is, Wait: true}))
	if err != nil {
		t.Fatal(err)
	}
	return made.Msg.GetKey()
}

// callersHouse trusts an issuer of the test's own and has a team; a key must be made before anybody is refused for having none.
func callersHouse(t *testing.T, form Form) (*House, *issuertest.Issuer) {
	t.Helper()
	home := issuertest.NewRSA(t)
	return openWhole(t, form, map[string]any{
		"auth":  map[string]any{"issuers": []any{map[string]any{"issuer": home.URL, "audience": "aimux", "allow_private_address": true}}},
		"teams": map[string]any{"red": map[string]any{"scope": map[string]any{"models": []any{"text"}}}},
	}, map[string]any{"anthropic-like": compatible("anthropic", "other"), "openai-like": compatible("openai", "other")}), home
}

// dataRoute is a place on a node's street that wants to know who calls.
type dataRoute struct{ method, path, body string }

const (
	anthropicAsk = `{"model":"text","max_tokens":10,"messages":[{"role":"user","content":"Hi"}]}`
	openAIAsk    = `{"model":"text","messages":[{"role":"user","content":"Hi"}]}`
)

// dataRoutes are all of them; the first ones take a model, which a scope may hold or not.
var dataRoutes = []dataRoute{
	{"POST", "/anthropic", anthropicAsk},
	{"POST", "/anthropic/v1/messages", anthropicAsk},
	{"POST", "/v1/messages", anthropicAsk},
	{"POST", "/v1/messages", strings.Replace(anthropicAsk, "{", `{"stream":true,`, 1)},
	{"POST", "/v1/chat/completions", openAIAsk},
	{"POST", "/v1/chat/completions", strings.Replace(openAIAsk, "{", `{"stream":true,`, 1)},
	{"POST", "/v1/messages/count_tokens", anthropicAsk},
	{"POST", "/anthropic/v1/messages/count_tokens", anthropicAsk},
	{"GET", "/v1/models/text", ""},
	{"GET", "/anthropic/v1/models/text", ""},
	{"GET", "/v1/models", ""},
	{"GET", "/anthropic/v1/models", ""},
	{"GET", "/providers", ""},
	{"GET", "/config", ""},
	{"GET", "/metrics", ""},
}

// withModel is how many of dataRoutes name a model.
const withModel = 10

// credential is what a caller shows, and what becomes of it: 200, 401 with words, or 403 with words where a model is named.
type credential struct {
	name, key string
	status    int
	words     string
}

// credentials are one of each kind.
func credentials(t *testing.T, house *House, home *issuertest.Issuer) []credential {
	t.Helper()
	good := house.key(t, "good", &adminv1.ClientKey{Team: "red"})
	disabled := house.key(t, "disabled", &adminv1.ClientKey{Disabled: true})
	expired := house.key(t, "expired", &adminv1.ClientKey{ExpiresUnixMs: time.Now().Add(time.Second).UnixMilli()})
	scoped := house.key(t, "scoped", &adminv1.ClientKey{Scope: &adminv1.Scope{Models: []string{"other", "gpt-*"}}})
	revoked, deleted := house.key(t, "revoked", nil), house.key(t, "deleted", nil)
	if _, err := house.Keys(0).RevokeKey(t.Context(), connect.NewRequest(&adminv1.RevokeKeyRequest{Id: "revoked", Wait: true})); err != nil {
		t.Fatal(err)
	}
	if _, err := house.Keys(0).DeleteKey(t.Context(), connect.NewRequest(&adminv1.DeleteKeyRequest{Id: "deleted", Wait: true})); err != nil {
		t.Fatal(err)
	}
	foreign := issuertest.NewRSA(t)
	type claims = issuertest.Claims
	sign := func(algorithm string, more, head claims) string {
		return home.Sign(t, algorithm, home.Good("ada", "aimux", more), head)
	}
	whole := sign("RS256", nil, nil)
	elsewhere := claims{"jku": foreign.URL + "/keys", "x5u": foreign.URL + "/keys", "jwk": claims{"kty": "oct", "k": "AAAA"}, "kid": nil}
	t.Cleanup(func() {
		if n := foreign.Fetches.Load(); n != 0 {
			t.Errorf("the URLs in tokens were asked for keys %d times", n)
		}
	})
	parts := strings.Split(whole, ".")
	const unknown = "not one of this gateway's"
	return []credential{
		{"good key", good, 200, ""},
		{"no key", "", 401, "wants a key"},
		{"a vendor's key", "sk-ant-api03-" + strings.Repeat("x", 80), 401, "aimux_"},
		{"wrong secret", strings.Replace(deleted, "_deleted_", "_good_", 1), 401, unknown},
		{"wrong id", strings.Replace(good, "_good_", "_nobody_", 1), 401, unknown},
		{"cut key", good[:len(good)-1], 401, unknown},
		{"long key", good + strings.Repeat("a", 5000), 401, unknown},
		{"admin token", strings.Replace(good, "aimux_", "aimuxadm_", 1), 401, "admin API"},
		{"expired", expired, 401, "expired at"},
		{"disabled", disabled, 401, "is disabled"},
		{"revoked", revoked, 401, "was revoked"},
		{"deleted", deleted, 401, unknown},
		{"another scope", scoped, 403, `model "text"`},

		{"JWT, RS256", whole, 200, ""},
		{"JWT, ES256", sign("ES256", nil, nil), 200, ""},
		{"JWT, algorithm not taken", sign("RS256", nil, claims{"alg": "RS384"}), 401, "algorithm"},
		{"JWT, none", sign("none", nil, nil), 401, "algorithm"},
		{"JWT, HS256 with the public key", sign("HS256", nil, nil), 401, "algorithm"},
		{"JWT, none in other letters", sign("none", nil, claims{"alg": "NonE"}), 401, "algorithm"},
		{"JWT, for several", sign("RS256", claims{"aud": []string{"others", "aimux"}}, nil), 200, ""},
		{"JWT, for several others", sign("RS256", claims{"aud": []string{"others", "aimux2"}}, nil), 401, "audience"},
		{"JWT, for others", sign("RS256", claims{"aud": "others"}, nil), 401, "audience"},
		{"JWT, of nobody trusted", foreign.Sign(t, "RS256", foreign.Good("ada", "aimux", nil), nil), 401, "issuer"},
		{"JWT, by a foreign key", foreign.Sign(t, "RS256", home.Good("ada", "aimux", nil), nil), 401, "signature"},
		{"JWT, with keys and URLs of its own", foreign.Sign(t, "RS256", home.Good("ada", "aimux", nil), elsewhere), 401, "signature"},
		{"JWT, without end", sign("RS256", claims{"exp": nil}, nil), 401, "no exp"},
		{"JWT, expired", sign("RS256", claims{"exp": time.Now().Add(-time.Hour).Unix()}, nil), 401, "expired at"},
		{"JWT, not begun", sign("RS256", claims{"nbf": time.Now().Add(time.Hour).Unix()}, nil), 401, "not valid before"},
		{"JWT, tampered with", parts[0] + "." + strings.Split(sign("RS256", claims{"sub": "eve"}, nil), ".")[1] + "." + parts[2], 401, "signature"},
		{"JWT, without signature", parts[0] + "." + parts[1] + ".", 401, "signature"},
		{"JWT, unknown key", sign("RS256", nil, claims{"kid": "made up"}), 401, "does not publish"},
		{"JWT, a file for a key", sign("HS256", nil, claims{"kid": "../../../dev/null"}), 401, "algorithm"},
		{"JWT, a query for a key", sign("ES256", nil, claims{"kid": "x' UNION SELECT 'secret"}), 401, "does not publish"},
		{"JWT, another algorithm's key", sign("ES256", nil, claims{"kid": "RS256-1"}), 401, "does not publish"},
		{"JWT, too long", sign("RS256", claims{"x": strings.Repeat("a", 9000)}, nil), 401, "longer than"},
		{"JWT, encrypted", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d", 401, "encrypted"},
	}
}

// TestWhoMayCall puts every kind of credential, in either vendor's header, to every route of every node.
func TestWhoMayCall(t *testing.T) {
	for _, form := range Forms {
		t.Run(form.Name, func(t *testing.T) {
			house, home := callersHouse(t, form)
			all := credentials(t, house, home)
			for i, one := range all {
				if one.name == "expired" {
					eventually(t, "the key's time ends", func() error {
						return judgeAnswer(knock(t, house.Data[0], dataRoutes[0], "X-Api-Key", one.key), all[i], dataRoutes[0], false)
					})
				}
			}
			for _, node := range house.Data {
				for n, route := range dataRoutes {
					for _, one := range all {
						for _, header := range []string{"X-Api-Key", "Authorization"} {
							if err := judgeAnswer(knock(t, node, route, header, one.key), one, route, n < withModel); err != nil {
								t.Errorf("%s %s with %s in %s: %v", route.method, route.path, one.name, header, err)
							}
						}
					}
				}
				for _, path := range []string{"/health", "/livez", "/readyz"} {
					if a := knock(t, node, dataRoute{"GET", path, ""}, "", ""); a.status != 200 {
						t.Errorf("%s without a key: %d", path, a.status)
					}
				}
			}
			for _, upstream := range house.Upstream { // nobody's key is anybody else's
				for _, seen := range upstream.Received() {
					if text := fmt.Sprint(seen); strings.Contains(text, "aimux_") || strings.Contains(text, "eyJ") {
						t.Errorf("a provider was sent a caller's key: %s", text)
					}
				}
			}
		})
	}
}

// doorAnswer is what came back.
type doorAnswer struct {
	status int
	header http.Header
	body   string
}

func knock(t testing.TB, node string, route dataRoute, header, key string) doorAnswer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), route.method, node+route.path, strings.NewReader(route.body))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case key == "":
	case header == "Authorization":
		request.Header.Set(header, "Bearer "+key)
	default:
		request.Header.Set(header, key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return doorAnswer{response.StatusCode, response.Header, string(body)}
}

// judgeAnswer compares an answer with what the credential should get, in the envelope of the route's clients.
func judgeAnswer(a doorAnswer, one credential, route dataRoute, named bool) error {
	status := one.status
	if status == 403 && !named {
		status = 200
	}
	if a.status != status {
		return fmt.Errorf("status %d, want %d: %.200s", a.status, status, a.body)
	}
	if status == 200 {
		return nil
	}
	var doc struct {
		Type  string
		Error struct{ Type, Message, Code string }
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		return fmt.Errorf("%w: %.200s", err, a.body)
	}
	want := map[int]string{401: "authentication_error", 403: "permission_error"}[status]
	anthropic := strings.HasPrefix(route.path, "/anthropic") || strings.HasPrefix(route.path, "/v1/messages")
	switch {
	case doc.Error.Type != want, anthropic != (doc.Type == "error"):
		return fmt.Errorf("not the clients' envelope: %s", a.body)
	case !strings.Contains(doc.Error.Message, one.words):
		return fmt.Errorf("%q does not say %q", doc.Error.Message, one.words)
	case len(one.key) > 30 && strings.Contains(a.body, one.key[20:30]):
		return fmt.Errorf("the key is in the answer: %s", a.body)
	case a.header.Get("X-Should-Retry") != "false":
		return fmt.Errorf("x-should-retry is %q", a.header.Get("X-Should-Retry"))
	}
	return nil
}

// TestGuessingTellsNothing wants one answer, but for its id, to whatever is wrong with a key that nobody holds.
func TestGuessingTellsNothing(t *testing.T) {
	house, _ := callersHouse(t, Forms[0])
	good := house.key(t, "good", nil)
	house.key(t, "off", &adminv1.ClientKey{Disabled: true})
	random := strings.TrimPrefix(good, "aimux_good_")
	other := strings.Repeat("a", len(random))
	var first string
	for _, guess := range []string{"aimux_good_" + other, "aimux_nobody_" + other, "aimux_off_" + other, "aimux_off_" + random, "aimux_good_", "aimux_", "aimux_Good_" + random} {
		a := knock(t, house.Data[0], dataRoutes[0], "X-Api-Key", guess)
		for _, own := range []string{"Date", "Request-Id", "X-Request-Id", "Server-Timing"} {
			a.body = strings.ReplaceAll(a.body, a.header.Get("Request-Id"), "ID")
			a.header.Del(own)
		}
		a.header.Del("Content-Length")
		answer := fmt.Sprint(a)
		if first == "" {
			first = answer
		}
		if answer != first || a.status != 401 {
			t.Errorf("%s…: %s\nbut the first guess got %s", guess[:11], answer, first)
		}
	}
}

// TestScopesAreSeen looks at what a narrow key is shown, and at what is written down of it.
func TestScopesAreSeen(t *testing.T) {
	house, home := callersHouse(t, Forms[0])
	narrow := house.key(t, "narrow", &adminv1.ClientKey{Team: "red", Scope: &adminv1.Scope{Providers: []string{"openai-like"}, Classes: []string{"standard"}}})
	var list struct{ Data []struct{ ID string } }
	if err := json.Unmarshal([]byte(knock(t, house.Data[0], dataRoute{"GET", "/v1/models", ""}, "X-Api-Key", narrow).body), &list); err != nil || len(list.Data) != 1 || list.Data[0].ID != "text" {
		t.Errorf("the list of models is %v, %v", list, err)
	}
	if body := knock(t, house.Data[0], dataRoute{"GET", "/providers", ""}, "X-Api-Key", narrow).body; strings.Contains(body, "anthropic-like") || !strings.Contains(body, "openai-like") {
		t.Errorf("/providers shows %s", body)
	}
	for body, want := range map[string]string{
		anthropicAsk: "",
		strings.Replace(anthropicAsk, `"text"`, `"openai-like/text"`, 1):                          "",
		strings.Replace(anthropicAsk, `"text"`, `"anthropic-like/text"`, 1):                       "providers openai-like",
		strings.Replace(anthropicAsk, `"text"`, `"other"`, 1):                                     "models text",
		strings.Replace(anthropicAsk, `"Hi"`, `"Hi"}],"tools":[{"name":"f","input_schema":{}`, 1): "classes standard",
	} {
		a := knock(t, house.Data[0], dataRoute{"POST", "/v1/messages", body}, "X-Api-Key", narrow)
		if a.status != map[bool]int{true: 200, false: 403}[want == ""] || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s, want %q", body, a.status, a.body, want)
		}
	}
	if got := house.Upstream["anthropic-like"].Stats().Requests; got != 0 {
		t.Errorf("a provider outside of the scope got %d requests", got)
	}
	explained, err := adminv1connect.NewRoutingServiceClient(http.DefaultClient, house.Admin[0]).Explain(t.Context(), connect.NewRequest(explainAs("narrow", anthropicAsk)))
	if err != nil || !slices.Equal(explained.Msg.GetExplanation().GetChain(), []string{"openai-like/text"}) || explained.Msg.GetExplanation().GetTeam() != "red" {
		t.Errorf("explained as %v, %v", explained, err)
	}
	knock(t, house.Data[0], dataRoutes[4], "Authorization", home.Sign(t, "ES256", home.Good("ada", "aimux", nil), nil))
	usage := adminv1connect.NewUsageServiceClient(http.DefaultClient, house.Admin[0])
	eventually(t, "the records name who called", func() error {
		heard, err := usage.ListRequests(t.Context(), connect.NewRequest(&adminv1.ListRequestsRequest{}))
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, r := range heard.Msg.GetRequests() {
			seen[r.GetCaller()+" of "+r.GetTeam()] = true
		}
		if !seen["narrow of red"] || !seen["jwt:ada of "] {
			return fmt.Errorf("they name %v", seen)
		}
		return nil
	})
}

func explainAs(caller, body string) *adminv1.ExplainRequest {
	return &adminv1.ExplainRequest{Request: &tablev1.ExplainRequest{Body: []byte(body), Caller: caller}}
}

// TestTwoCredentials says which of several counts, whatever lines and headers they come in.
func TestTwoCredentials(t *testing.T) {
	house, _ := callersHouse(t, Forms[0])
	good, other := house.key(t, "good", nil), house.key(t, "other", nil)
	for _, row := range []struct {
		headers []string // name and value, in turn
		status  int
	}{
		{[]string{"X-Api-Key", good, "Authorization", "Bearer " + good}, 200},
		{[]string{"X-Api-Key", "sk-dummy", "Authorization", "Bearer " + good}, 200},
		{[]string{"X-Api-Key", good, "Authorization", "Bearer sk-dummy"}, 200},
		{[]string{"X-Api-Key", good, "X-Api-Key", good}, 200},
		{[]string{"X-Api-Key", good, "X-Api-Key", other}, 401},
		{[]string{"Authorization", "Bearer " + good, "Authorization", "Bearer " + other}, 401},
		{[]string{"X-Api-Key", good, "Authorization", "Bearer " + other}, 401},
		{[]string{"X-Api-Key", "sk-dummy", "X-Api-Key", good}, 200},
		{[]string{"Authorization", "Basic dTpw", "Authorization", "Bearer " + good}, 200},
		{[]string{"Authorization", good}, 401},
		{[]string{"X-Api-Key", good + "," + other}, 401},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, house.Data[0]+"/v1/messages", strings.NewReader(anthropicAsk))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(row.headers); i += 2 {
			request.Header.Add(row.headers[i], row.headers[i+1])
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != row.status {
			t.Errorf("%.30q: %d, want %d", row.headers, response.StatusCode, row.status)
		}
	}
}
