package cli

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	"github.com/aimux/aimux/shared/audit"
)

// archive tells entries a page at a time, and where the catalog says that they end.
type archive struct {
	adminv1connect.UnimplementedAuditServiceHandler
	entries []*adminv1.AuditEntry
	last    *adminv1.AuditEntry
}

const archivePage = 7

func (a *archive) ListAudit(_ context.Context, r *connect.Request[adminv1.ListAuditRequest]) (*connect.Response[adminv1.ListAuditResponse], error) {
	from := 0
	if after := r.Msg.GetAfter(); after > 0 {
		from = 1 + slices.IndexFunc(a.entries, func(e *adminv1.AuditEntry) bool { return e.GetNumber() == after })
	}
	page := a.entries[from:min(from+archivePage, len(a.entries))]
	return connect.NewResponse(&adminv1.ListAuditResponse{Entries: page, Last: a.last.GetNumber(), Head: a.last.GetHash()}), nil
}

// TestVerifyFindsWhatWasTouched has aimux audit --verify read logs that somebody who owns the control plane's archive has touched.
func TestVerifyFindsWhatWasTouched(t *testing.T) {
	link := func(last *adminv1.AuditEntry, actor string) *adminv1.AuditEntry {
		return audit.Next(last, &adminv1.AuditEntry{
			AtUnixMs: 1000, Actor: actor, Procedure: "aimux.admin.v1.ProviderService/UpdateProvider", Replica: "cp-1",
			Changes: []*adminv1.AuditChange{{Path: "providers.zai.enabled", From: "true", To: "false"}},
		})
	}
	for _, row := range []struct {
		name, want string // a part of what is said
		touch      func(a *archive)
	}{
		{"nothing", "20 entries, up to number 20", func(*archive) {}},
		{"the oldest have been dropped, as archives do", "15 entries, up to number 20", func(a *archive) { a.entries = a.entries[5:] }},
		{"a value", "entry 4 was changed", func(a *archive) { a.entries[3].GetChanges()[0].To = "true" }},
		{"an actor", "entry 10 was changed", func(a *archive) { a.entries[9].Actor = "token:somebody" }},
		{"a time", "entry 10 was changed", func(a *archive) { a.entries[9].AtUnixMs++ }},
		{"a change more", "entry 1 was changed", func(a *archive) {
			a.entries[0].Changes = append(a.entries[0].Changes, &adminv1.AuditChange{Path: "x"})
		}},
		{"one is left out", "behind entry 7 comes 9", func(a *archive) { a.entries = slices.Delete(a.entries, 7, 8) }},
		{"the newest are left out", "the newest are missing", func(a *archive) { a.entries = a.entries[:12] }},
		{"all are left out", "the newest are missing", func(a *archive) { a.entries = nil }},
		{"two are in another order", "behind entry 2 comes 4", func(a *archive) { a.entries[2], a.entries[3] = a.entries[3], a.entries[2] }},
		{"two have changed places and numbers", "entry 3 was changed", func(a *archive) {
			a.entries[2], a.entries[3] = a.entries[3], a.entries[2]
			a.entries[2].Number, a.entries[3].Number = 3, 4
		}},
		{"one was replaced and hashed again", "entry 9 does not follow from entry 8", func(a *archive) {
			a.entries[7].Actor = "token:somebody"
			a.entries[7].Hash = audit.Hash(a.entries[7])
		}},
		{"all were made anew from one on", "the newest are missing or replaced", func(a *archive) {
			for i := 7; i < len(a.entries); i++ {
				a.entries[i] = link(a.entries[i-1], "token:somebody")
			}
		}},
		{"another beginning", "entry 1 does not begin", func(a *archive) {
			a.entries[0].Previous = make([]byte, 32)
			a.entries[0].Hash = audit.Hash(a.entries[0])
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := &archive{}
			for range 20 {
				a.last = link(a.last, "token:ci")
				a.entries = append(a.entries, proto.CloneOf(a.last))
			}
			row.touch(a)
			mux := http.NewServeMux()
			mux.Handle(adminv1connect.NewAuditServiceHandler(a))
			server := httptest.NewServer(mux)
			defer server.Close()
			var out, trouble bytes.Buffer
			code := Main(t.Context(), []string{"audit", "--verify", "--admin", server.URL, "--token", "t"}, Street{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &trouble})
			well := strings.Contains(row.want, "entries, up to")
			if said := out.String() + trouble.String(); !strings.Contains(said, row.want) || (code == 0) != well {
				t.Errorf("exit code %d: %s, want %s", code, said, row.want)
			}
		})
	}
}
