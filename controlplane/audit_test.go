package controlplane_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	"github.com/aimux/aimux/shared/audit"
)

// reading is how procedures are called that change nothing. TestWebhook changes nothing either: it sends one event to where a webhook stands.
var reading = regexp.MustCompile(`^(Get|List|Watch|Explain|WaitFor|Sum|WhoAmI|TestWebhook)`)

// canary stands wherever a request takes a secret.
const canary = "canary-5b1f0c9d7e"

// writes are a call of every procedure that is not reading, in an order in which each can work, with a path that its entry must tell.
var writes = []struct{ procedure, body, path string }{
	{"ProviderService/CreateProvider", `{"id":"p","provider":{"kind":"compatible","protocol":"openai","base_url":"https://api.example.com","api_key":"sk-` + canary + `","models":[{"id":"m"}]}}`, "providers.p"},
	{"ProviderService/UpdateProvider", `{"id":"p","provider":{"kind":"compatible","protocol":"openai","base_url":"https://api.example.org","api_key":"sk-` + canary + `2","models":[{"id":"m"}]}}`, "providers.p.base_url"},
	{"HealthService/SetOverride", `{"provider":"p","override":{"state":"drain"}}`, "p"},
	{"LimitService/SetLimit", `{"scope":"provider/p","limits":{"max_concurrent_requests":5}}`, "p"},
	{"LimitService/UnsetLimit", `{"scope":"provider/p"}`, "p"},
	{"RoutingService/UpdateRouting", `{"routing":{"priority":"cost"}}`, "routing.priority"},
	{"AuthService/UpdateAuth", `{"auth":{"anonymous":true}}`, "auth.anonymous"},
	{"KeyService/SetTeam", `{"id":"red","team":{"scope":{"models":["m"]}}}`, "red"},
	{"KeyService/CreateKey", `{"id":"k","key":{"team":"red"}}`, "keys.k"},
	{"KeyService/UpdateKey", `{"id":"k","key":{"disabled":true}}`, "keys.k"},
	{"KeyService/RevokeKey", `{"id":"k"}`, "keys.k"},
	{"KeyService/DeleteKey", `{"id":"k"}`, "keys.k"},
	{"KeyService/DeleteTeam", `{"id":"red"}`, "red"},
	{"TokenService/CreateToken", `{"id":"ci","role":"viewer"}`, "tokens.ci"},
	{"TokenService/RevokeToken", `{"id":"ci"}`, "tokens.ci"},
	{"WebhookService/SetWebhook", `{"name":"ops","webhook":{"url":"https://hooks.example.com/` + canary + `","secret":"` + canary + canary + canary + `"}}`, "webhooks.ops"},
	{"WebhookService/DeleteWebhook", `{"name":"ops"}`, "webhooks.ops"},
	{"ProviderService/DeleteProvider", `{"id":"p"}`, "providers.p"},
}

// procedures are all of the admin API, found in what the services are made of, as Service/Method.
func procedures(t *testing.T) (all []string) {
	t.Helper()
	protoregistry.GlobalFiles.RangeFilesByPackage("aimux.admin.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				all = append(all, fmt.Sprintf("%s/%s", service.Name(), service.Methods().Get(j).Name()))
			}
		}
		return true
	})
	if len(all) < 40 {
		t.Fatalf("only %d procedures were found", len(all))
	}
	return all
}

// callRaw asks for a procedure with a body as it stands.
func callRaw(t *testing.T, url, token, procedure, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/aimux.admin.v1."+procedure, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Transport: as(token), Timeout: patience}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// logged is the whole audit log, as the chain proves it.
func logged(t *testing.T, url, token string) []*adminv1.AuditEntry {
	t.Helper()
	api := adminv1connect.NewAuditServiceClient(&http.Client{Transport: as(token)}, url)
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		answer, err := api.ListAudit(t.Context(), connect.NewRequest(&adminv1.ListAuditRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		var chain audit.Verifier
		for _, entry := range answer.Msg.GetEntries() {
			if err := chain.Take(entry); err != nil {
				t.Fatal(err)
			}
		}
		if err = chain.End(answer.Msg.GetLast(), answer.Msg.GetHead()); err == nil {
			return answer.Msg.GetEntries()
		}
		if time.Now().After(end) { // an entry on its way from the catalog to the archive is in neither for a moment
			t.Fatal(err)
		}
	}
}

// TestEveryProcedureThatWritesIsLogged calls every procedure there is: one that writes leaves one entry, which says who, what and where, and no
// secret; one that is refused, or reads, leaves none.
func TestEveryProcedureThatWritesIsLogged(t *testing.T) {
	h := newHouse(t)
	url, first := h.guarded("cp-1", "")
	token := <-first
	if code, text := callRaw(t, url, token, "TokenService/CreateToken", `{"id":"eyes","role":"viewer"}`); code != http.StatusOK {
		t.Fatal(code, text)
	}
	_, text := callRaw(t, url, token, "TokenService/CreateToken", `{"id":"other","role":"viewer"}`)
	viewer := regexp.MustCompile(`aimuxadm_other_\w+`).FindString(text)
	before := logged(t, url, token)
	var known []string
	for _, one := range writes {
		known = append(known, one.procedure)
		for _, refused := range []struct {
			token, body string
			code        int
		}{{viewer, one.body, http.StatusForbidden}, {"", one.body, http.StatusUnauthorized}, {token, `{"id":`, http.StatusBadRequest}} {
			if code, text := callRaw(t, url, refused.token, one.procedure, refused.body); code != refused.code {
				t.Errorf("%s with %s: %d %s, want %d", one.procedure, refused.body, code, text, refused.code)
			}
		}
		if code, text := callRaw(t, url, token, one.procedure, one.body); code != http.StatusOK {
			t.Fatalf("%s: %d %s", one.procedure, code, text)
		}
		all := logged(t, url, token)
		if len(all) != len(before)+1 {
			t.Fatalf("%s left %d entries", one.procedure, len(all)-len(before))
		}
		entry := all[len(all)-1]
		before = all
		if entry.GetActor() != "token:first" || entry.GetProcedure() != "aimux.admin.v1."+one.procedure || entry.GetReplica() != "cp-1" || entry.GetAtUnixMs() == 0 {
			t.Errorf("%s is told as %v", one.procedure, entry)
		}
		if !slices.ContainsFunc(entry.GetChanges(), func(c *adminv1.AuditChange) bool {
			return strings.Contains(c.GetPath(), one.path) && c.GetFrom() != c.GetTo() || strings.HasPrefix(c.GetPath(), one.path) && c.GetTo() == "[secret]"
		}) {
			t.Errorf("%s: no change of %s in %v", one.procedure, one.path, entry.GetChanges())
		}
		if strings.Contains(entry.String(), "canary") || strings.Contains(entry.String(), "aimuxadm_") || strings.Contains(entry.String(), "aimux_k_") {
			t.Errorf("%s: a secret is in %v", one.procedure, entry)
		}
	}
	for _, procedure := range procedures(t) {
		_, method, _ := strings.Cut(procedure, "/")
		switch {
		case !reading.MatchString(method) && !slices.Contains(known, procedure):
			t.Errorf("%s is called by none of writes", procedure)
		case reading.MatchString(method) && !strings.HasPrefix(method, "Watch"):
			callRaw(t, url, token, procedure, `{}`)
		}
	}
	if all := logged(t, url, token); len(all) != len(before) {
		t.Errorf("reading left %v", all[len(before):])
	}
}
