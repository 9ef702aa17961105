package admin_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/aimux/aimux/controlplane/internal/admin"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/keyfile"
	"github.com/aimux/aimux/shared/secret"
)

var roleOf = map[string]int{"nobody": 0, "viewer": 1, "operator": 2, "admin": 3}

// wanted is the role that a method takes, told by its name and not by the table under test: reading is a viewer's, writing an operator's,
// tokens are an admin's.
func wanted(method protoreflect.MethodDescriptor) string {
	switch name := string(method.FullName()); {
	case strings.HasSuffix(name, "TokenService.WhoAmI"):
		return "viewer"
	case strings.Contains(name, ".TokenService."), strings.Contains(name, ".WebhookService."), strings.HasSuffix(name, ".UpdateAuth"):
		return "admin"
	case strings.Contains(name, ".AuditService."):
		return "operator"
	case regexp.MustCompile(`\.(Get|List|Watch|Explain|WaitFor|Tail|Sum)\w*$`).MatchString(name):
		return "viewer"
	default:
		return "operator"
	}
}

// methods are all procedures of the admin API, found in what the services are made of.
func methods(t *testing.T) []protoreflect.MethodDescriptor {
	t.Helper()
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage("aimux.admin.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				all = append(all, service.Methods().Get(j))
			}
		}
		return true
	})
	if len(all) < 20 {
		t.Fatalf("only %d procedures were found", len(all))
	}
	return all
}

// office is an admin API with tokens in its catalog.
type office struct {
	url    string
	deps   admin.Deps
	board  *shelf
	keys   map[string]string // the Authorization header by who holds it
	hasher identity.Hasher
}

func mint(id string, seed byte) secret.Secret {
	return identity.Mint(identity.Admin, id, [identity.RandomSize]byte{seed})
}

// newOffice is one that is not served.
func newOffice(change func(*admin.Deps)) *office {
	hasher := identity.NewHasher(secret.NewKey([secret.KeySize]byte{1}))
	o := &office{board: &shelf{view: &admin.View{}, changed: make(chan struct{})}, keys: map[string]string{}, hasher: hasher}
	tokens := map[string]*adminv1.Token{}
	add := func(id, role string, expires int64) {
		key := mint(id, 7)
		tokens[id] = &adminv1.Token{Role: role, Hash: hasher.Hash(key), ExpiresUnixMs: expires}
		o.keys[id] = "Bearer " + key.Reveal()
	}
	later := time.Now().Add(time.Hour).UnixMilli()
	add("viewer", "viewer", 0)
	add("operator", "operator", later)
	add("admin", "admin", 0)
	add("expired", "admin", 1)
	add("rolled", "emperor", 0)
	view := full()
	view.Document.Catalog.Tokens = tokens
	o.board.put(view)
	deps := admin.Deps{
		Board: o.board,
		Write: func(context.Context, admin.Author, uint64, func(*adminv1.Document) error) (uint64, error) {
			return 0, errors.New("written")
		},
		Explain: func(context.Context, string, *tablev1.ExplainRequest) (*tablev1.Explanation, error) {
			return nil, errors.New("no")
		},
		Requests: func(*adminv1.ListRequestsRequest) *adminv1.ListRequestsResponse {
			return &adminv1.ListRequestsResponse{}
		},
		Archive:  func(context.Context, uint64, int) ([]*adminv1.AuditEntry, error) { return nil, nil },
		Describe: func(context.Context) (string, error) { return "the fleet", nil },
		Metrics:  func(string) ([]byte, string) { return []byte("aimux_x 1\n"), "text/plain" },
		Refused:  func(string) {},
		Log:      slog.New(slog.DiscardHandler),
		Door:     admin.Door{Hasher: hasher, Local: hasher.Hash(mint(keyfile.LocalID, 9)), JWT: someIssuer},
	}
	if change != nil {
		change(&deps)
	}
	o.deps = deps
	return o
}

func openOffice(t *testing.T, change func(*admin.Deps)) *office {
	t.Helper()
	o := newOffice(change)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- admin.Serve(ctx, listener, admin.New(admin.Config{ID: "cp-1"}, o.deps)) }()
	t.Cleanup(func() { cancel(); <-ended })
	o.url = "http://" + listener.Addr().String()
	return o
}

// someIssuer takes "good.ROLE.jwt" and nothing else.
func someIssuer(_ context.Context, text string) (name, role string, expires int64, err error) {
	parts := strings.Split(text, ".")
	if parts[0] != "good" {
		return "", "", 0, errors.New("the JWT's signature is not its issuer's")
	}
	return "alice", parts[1], 0, nil
}

// notServed is what a procedure answers that no service implements yet.
const notServed = "not served"

// call asks for a procedure with an empty message and returns the code of the answer, "" for success.
func (o *office) call(t *testing.T, method protoreflect.MethodDescriptor, authorization string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	body, kind := []byte("{}"), "application/json"
	if method.IsStreamingServer() {
		body, kind = []byte("\x00\x00\x00\x00\x02{}"), "application/connect+json"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/%s/%s", o.url, method.Parent().FullName(), method.Name()), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text := make([]byte, 8<<10)
	n, err := answer.Body.Read(text) // of a watch the first message is enough
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("%s: %v", method.FullName(), err)
	}
	if answer.StatusCode == http.StatusNotFound && !bytes.Contains(text[:n], []byte(`"code"`)) {
		return notServed
	}
	found := regexp.MustCompile(`"code":"(\w+)"`).FindSubmatch(text[:n])
	if found == nil {
		return ""
	}
	return string(found[1])
}

// TestEveryProcedureForEveryRole is the admin half of the auth matrix.
func TestEveryProcedureForEveryRole(t *testing.T) {
	o := openOffice(t, nil)
	revoked := "Bearer " + mint("revoked", 7).Reveal()
	callers := []struct{ who, authorization, role string }{
		{"nobody", "", "unauthenticated"},
		{"viewer", o.keys["viewer"], "viewer"},
		{"operator", o.keys["operator"], "operator"},
		{"admin", o.keys["admin"], "admin"},
		{"whoever runs it", "Bearer " + mint(keyfile.LocalID, 9).Reveal(), "admin"},
		{"viewer by JWT", "Bearer good.viewer.jwt", "viewer"},
		{"operator by JWT", "Bearer good.operator.jwt", "operator"},
		{"admin by JWT", "bearer good.admin.jwt", "admin"},
		{"as a password", "Basic " + base64.StdEncoding.EncodeToString([]byte("any:"+strings.TrimPrefix(o.keys["viewer"], "Bearer "))), "viewer"},
		{"expired", o.keys["expired"], "unauthenticated"},
		{"revoked", revoked, "unauthenticated"},
		{"another random part", "Bearer " + mint("admin", 8).Reveal(), "unauthenticated"},
		{"another local one", "Bearer " + mint(keyfile.LocalID, 8).Reveal(), "unauthenticated"},
		{"a client's key", "Bearer " + identity.Mint(identity.Client, "admin", [identity.RandomSize]byte{7}).Reveal(), "unauthenticated"},
		{"a JWT of nobody's", "Bearer bad.admin.jwt", "unauthenticated"},
		{"a JWT with an unknown role", "Bearer good.emperor.jwt", "unauthenticated"},
		{"an unknown role", o.keys["rolled"], "nobody"},
		{"no scheme", strings.TrimPrefix(o.keys["admin"], "Bearer "), "unauthenticated"},
		{"cut", o.keys["admin"][:len(o.keys["admin"])-1], "unauthenticated"},
		{"an id alone", "Bearer aimuxadm_admin_", "unauthenticated"},
		{"the hash", "Bearer aimuxadm_admin_" + base64.RawURLEncoding.EncodeToString(o.hasher.Hash(mint("admin", 7))), "unauthenticated"},
		{"too long", o.keys["admin"] + strings.Repeat("x", 9<<10), "unauthenticated"},
	}
	for _, method := range methods(t) {
		needed := wanted(method)
		for _, caller := range callers {
			want := "let in"
			switch {
			case caller.role == "unauthenticated":
				want = "unauthenticated"
			case roleOf[caller.role] < roleOf[needed]:
				want = "permission_denied"
			}
			got := o.call(t, method, caller.authorization)
			if want == "let in" && got != "unauthenticated" && got != "permission_denied" && got != "unimplemented" {
				got = want
			}
			if got != want && got != notServed {
				t.Errorf("%s called by %s: %s, want %s", method.FullName(), caller.who, got, want)
			}
		}
	}
}

// TestPagesTakeARole is the same for what is no procedure.
func TestPagesTakeARole(t *testing.T) {
	o := openOffice(t, nil)
	for page, open := range map[string]bool{
		"/livez": true, "/readyz": true, "/": true, "/ui/app.js": true, "/healthz": false, "/metrics": false, "/debug/table": false, "/debug/fleet": false,
	} {
		for who, authorization := range map[string]string{"": "", "viewer": o.keys["viewer"], "expired": o.keys["expired"], "rolled": o.keys["rolled"]} {
			want := http.StatusOK
			switch {
			case open || who == "viewer":
			case who == "rolled":
				want = http.StatusForbidden
			default:
				want = http.StatusUnauthorized
			}
			code, body := get(t, o.url+page, func(r *http.Request) {
				if authorization != "" {
					r.Header.Set("Authorization", authorization)
				}
			})
			if code != want {
				t.Errorf("%s by %q: %d %s, want %d", page, who, code, body, want)
			}
		}
	}
}

// TestTwoAuthorizations wants no choice between two words on who calls.
func TestTwoAuthorizations(t *testing.T) {
	o := openOffice(t, nil)
	code, _ := get(t, o.url+"/metrics", func(r *http.Request) { r.Header["Authorization"] = []string{o.keys["viewer"], o.keys["admin"]} })
	if code != http.StatusUnauthorized {
		t.Errorf("%d", code)
	}
}

// TestRevocationEndsAWatch wants a call that lasts to end with the token that began it.
func TestRevocationEndsAWatch(t *testing.T) {
	o := openOffice(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ask := connect.NewRequest(&adminv1.WatchHealthRequest{})
	ask.Header().Set("Authorization", o.keys["viewer"])
	stream, err := adminv1connect.NewHealthServiceClient(h2c(), o.url).WatchHealth(ctx, ask)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if !stream.Receive() {
		t.Fatal(stream.Err())
	}
	o.board.put(full()) // a catalog without tokens
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeUnauthenticated {
		t.Errorf("the watch goes on, or ends with %v", stream.Err())
	}
}

// TestOperatorsLetNothingBeRead wants no operator to have the control plane read files or variables for him, in whatever way he writes them.
func TestOperatorsLetNothingBeRead(t *testing.T) {
	stored := &adminv1.Document{Catalog: &adminv1.Catalog{Providers: map[string]*adminv1.Provider{
		"p": {Kind: "compatible", Protocol: "openai", BaseUrl: "https://api.example.com", ApiKey: "env:KEY"},
	}}}
	o := openOffice(t, func(d *admin.Deps) {
		d.Write = func(_ context.Context, _ admin.Author, _ uint64, change func(*adminv1.Document) error) (uint64, error) {
			doc := &adminv1.Document{Catalog: &adminv1.Catalog{Providers: map[string]*adminv1.Provider{}}}
			maps.Copy(doc.GetCatalog().GetProviders(), stored.GetCatalog().GetProviders())
			return 7, change(doc)
		}
	})
	for who, want := range map[string]connect.Code{"operator": connect.CodePermissionDenied, "admin": 0} {
		for what, p := range map[string]*adminv1.Provider{
			"a file":            {Kind: "compatible", Protocol: "openai", BaseUrl: "https://evil.example", ApiKey: "file:/root/.aimux/cluster.key"},
			"the same variable": {Kind: "compatible", Protocol: "openai", BaseUrl: "https://evil.example", ApiKey: "env:KEY"},
		} {
			ask := connect.NewRequest(&adminv1.UpdateProviderRequest{Id: "p", Provider: p})
			ask.Header().Set("Authorization", o.keys[who])
			_, err := adminv1connect.NewProviderServiceClient(http.DefaultClient, o.url).UpdateProvider(t.Context(), ask)
			if err == nil && want != 0 || err != nil && connect.CodeOf(err) != want {
				t.Errorf("%s writes %s: %v", who, what, err)
			}
		}
	}
}

// TestRowsAndProceduresMatch finds a row without a procedure: a name that was changed would leave the new one closed and the old one listed.
func TestRowsAndProceduresMatch(t *testing.T) {
	var have []string
	for _, method := range methods(t) {
		have = append(have, fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name()))
	}
	for _, row := range admin.Rows() {
		if strings.HasPrefix(row, "/aimux.") && !slices.Contains(have, row) {
			t.Errorf("%s has a row and is no procedure", row)
		}
	}
	for _, name := range have {
		if !slices.Contains(admin.Rows(), name) {
			t.Errorf("%s has no row: say in roles.go which role it takes", name)
		}
	}
}
