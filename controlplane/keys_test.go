package controlplane_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/identity"
)

// callerOf is a key as a node has it; nil when it has none.
func callerOf(n *node, id string) *tablev1.Caller {
	config, _ := n.now()
	for _, c := range config.GetAuth().GetCallers() {
		if c.GetId() == id {
			return c
		}
	}
	return nil
}

// The life of a key: made and shown once, known by every node when the answer comes, changed, revoked for good, and forgotten.
func TestALifeOfAKey(t *testing.T) {
	h := newHouse(t)
	cp := h.controlPlane("cp-1", nil)
	nodes := []*node{h.node("node-1", nil), h.node("node-2", nil)}
	keys := adminv1connect.NewKeyServiceClient(http.DefaultClient, cp.url)
	create(t, cp, "a", provider(1))
	ctx := t.Context()
	eventually(t, func() string { // until then there is nobody to wait for
		answer, err := cp.nodes.ListNodes(ctx, connect.NewRequest(&adminv1.ListNodesRequest{}))
		if err != nil || len(answer.Msg.GetNodes()) != 2 {
			return fmt.Sprintf("%v, %v", answer, err)
		}
		return ""
	})
	if _, err := keys.SetTeam(ctx, connect.NewRequest(&adminv1.SetTeamRequest{Id: "red", Team: &adminv1.Team{Name: "Red"}})); err != nil {
		t.Fatal(err)
	}
	made, err := keys.CreateKey(ctx, connect.NewRequest(&adminv1.CreateKeyRequest{Wait: true, Key: &adminv1.ClientKey{
		Name: "for CI", Team: "red", Scope: &adminv1.Scope{Providers: []string{"a"}}, Priority: 3,
	}}))
	if err != nil {
		t.Fatal(err)
	}
	id, whole := made.Msg.GetEntry().GetId(), made.Msg.GetKey()
	if parsed, ok := identity.Parse(identity.Client, whole); !ok || parsed != id || made.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%q is not the key of %q", whole, id)
	}
	if reach := made.Msg.GetReach(); reach.GetConfigRevision() < made.Msg.GetRevision() || reach.GetAcked() != 2 {
		t.Errorf("waited for %v", reach)
	}
	for _, n := range nodes {
		if c := callerOf(n, id); c.GetTeam() != "red" || c.GetPriority() != 3 || !identity.NewHasher(h.key).Proves(whole, c.GetHash()) {
			t.Errorf("a node has %v when the answer comes", c)
		}
	}
	if again, err := keys.CreateKey(ctx, connect.NewRequest(&adminv1.CreateKeyRequest{})); err != nil || again.Msg.GetKey() == whole || again.Msg.GetEntry().GetId() == id {
		t.Errorf("%v, %v", again, err)
	}

	change := &adminv1.UpdateKeyRequest{Id: id, Wait: true, Key: &adminv1.ClientKey{Name: "of the old CI", Disabled: true, RevokedUnixMs: 5, CreatedUnixMs: 5}}
	changed, err := keys.UpdateKey(ctx, connect.NewRequest(change))
	if err != nil || changed.Msg.GetEntry().GetState() != "disabled" {
		t.Fatalf("%v, %v", changed, err)
	}
	if c := callerOf(nodes[0], id); c.GetTeam() != "" || !c.GetDisabled() || c.GetRevokedUnixMs() != 0 || !identity.NewHasher(h.key).Proves(whole, c.GetHash()) {
		t.Errorf("after the update: %v", c)
	}
	revoked, err := keys.RevokeKey(ctx, connect.NewRequest(&adminv1.RevokeKeyRequest{Id: id, Wait: true}))
	if err != nil || revoked.Msg.GetEntry().GetState() != "revoked" || callerOf(nodes[1], id).GetRevokedUnixMs() == 0 {
		t.Errorf("%v, %v", revoked, err)
	}
	if _, err := keys.UpdateKey(ctx, connect.NewRequest(&adminv1.UpdateKeyRequest{Id: id})); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("a revoked key is changed: %v", err)
	}
	if _, err := keys.CreateKey(ctx, connect.NewRequest(&adminv1.CreateKeyRequest{Id: id})); connect.CodeOf(err) != connect.CodeAlreadyExists {
		t.Errorf("a revoked key's id is given anew: %v", err)
	}

	list, err := keys.ListKeys(ctx, connect.NewRequest(&adminv1.ListKeysRequest{}))
	table, tableErr := cp.table.GetTable(ctx, connect.NewRequest(&adminv1.GetTableRequest{}))
	if err != nil || tableErr != nil || len(list.Msg.GetKeys()) != 2 || len(table.Msg.GetConfig().GetAuth().GetCallers()) != 2 {
		t.Fatalf("%v, %v", err, tableErr)
	}
	for _, k := range list.Msg.GetKeys() {
		if len(k.GetKey().GetHash()) > 0 || k.GetKey().GetCreatedUnixMs() == 0 {
			t.Errorf("listed as %v", k)
		}
	}
	for _, c := range table.Msg.GetConfig().GetAuth().GetCallers() {
		if len(c.GetHash()) > 0 {
			t.Error("the table shows hashes")
		}
	}
	if _, err := keys.DeleteKey(ctx, connect.NewRequest(&adminv1.DeleteKeyRequest{Id: id, Wait: true})); err != nil || callerOf(nodes[0], id) != nil {
		t.Errorf("deleted: %v, %v", err, callerOf(nodes[0], id))
	}
}

// What cannot be made is refused, with what would be right.
func TestKeysRefused(t *testing.T) {
	h := newHouse(t)
	cp := h.controlPlane("cp-1", nil)
	keys := adminv1connect.NewKeyServiceClient(http.DefaultClient, cp.url)
	ctx := t.Context()
	key := func(id string, k *adminv1.ClientKey) error {
		_, err := keys.CreateKey(ctx, connect.NewRequest(&adminv1.CreateKeyRequest{Id: id, Key: k}))
		return err
	}
	_, err := keys.SetTeam(ctx, connect.NewRequest(&adminv1.SetTeamRequest{Id: "red"}))
	if err == nil {
		err = key("ci", &adminv1.ClientKey{Team: "red"})
	}
	if err != nil {
		t.Fatal(err)
	}
	first := func(_ any, err error) error { return err }
	for name, row := range map[string]struct {
		err  error
		code connect.Code
		want string
	}{
		"id":              {key("c_i", nil), connect.CodeInvalidArgument, "a-z, 0-9"},
		"taken":           {key("ci", nil), connect.CodeAlreadyExists, `"ci" exists`},
		"a hash":          {key("x", &adminv1.ClientKey{Hash: make([]byte, 32)}), connect.CodeInvalidArgument, "key.hash"},
		"in the past":     {key("x", &adminv1.ClientKey{ExpiresUnixMs: time.Now().UnixMilli() - 1}), connect.CodeInvalidArgument, "has passed"},
		"unknown team":    {key("x", &adminv1.ClientKey{Team: "blue"}), connect.CodeInvalidArgument, `keys.x.team: "blue"`},
		"unknown place":   {key("x", &adminv1.ClientKey{Scope: &adminv1.Scope{Providers: []string{"zia"}}}), connect.CodeInvalidArgument, `no provider "zia"`},
		"unknown class":   {key("x", &adminv1.ClientKey{Scope: &adminv1.Scope{Classes: []string{"fast"}}}), connect.CodeInvalidArgument, "is no class"},
		"no such key":     {first(keys.UpdateKey(ctx, connect.NewRequest(&adminv1.UpdateKeyRequest{Id: "y"}))), connect.CodeNotFound, `"y"`},
		"nothing revoked": {first(keys.RevokeKey(ctx, connect.NewRequest(&adminv1.RevokeKeyRequest{Id: "y"}))), connect.CodeNotFound, `"y"`},
		"nothing deleted": {first(keys.DeleteKey(ctx, connect.NewRequest(&adminv1.DeleteKeyRequest{Id: "y"}))), connect.CodeNotFound, `"y"`},
		"no such team":    {first(keys.DeleteTeam(ctx, connect.NewRequest(&adminv1.DeleteTeamRequest{Id: "y"}))), connect.CodeNotFound, `"y"`},
		"team in use":     {first(keys.DeleteTeam(ctx, connect.NewRequest(&adminv1.DeleteTeamRequest{Id: "red"}))), connect.CodeFailedPrecondition, `key "ci" is of team "red"`},
		"stale":           {first(keys.RevokeKey(ctx, connect.NewRequest(&adminv1.RevokeKeyRequest{Id: "ci", Revision: 1}))), connect.CodeAborted, "again"},
	} {
		if connect.CodeOf(row.err) != row.code || !strings.Contains(row.err.Error(), row.want) {
			t.Errorf("%s: %v", name, row.err)
		}
	}
	teams, err := keys.ListTeams(ctx, connect.NewRequest(&adminv1.ListTeamsRequest{}))
	if err != nil || len(teams.Msg.GetTeams()) != 1 || teams.Msg.GetTeams()[0].GetKeys() != 1 {
		t.Errorf("%v, %v", teams, err)
	}
}

// Who is let in without a key is changed over the admin API too, whole, and judged before it is taken.
func TestAuthIsChanged(t *testing.T) {
	h := newHouse(t)
	cp := h.controlPlane("cp-1", nil)
	n := h.node("node-1", nil)
	api := adminv1connect.NewAuthServiceClient(http.DefaultClient, cp.url)
	wanted := &adminv1.Auth{Anonymous: true, Issuers: []*adminv1.Issuer{{Issuer: "https://id.example.com", Audience: "aimux"}}}
	changed, err := api.UpdateAuth(t.Context(), connect.NewRequest(&adminv1.UpdateAuthRequest{Auth: wanted, Wait: true}))
	if err != nil {
		t.Fatal(err)
	}
	if config, _ := n.now(); !config.GetAuth().GetAnonymous() || len(config.GetAuth().GetIssuers()) != 1 {
		t.Errorf("the node is told %v", config.GetAuth())
	}
	wanted.Issuers[0].Algorithms = []string{"HS256"}
	_, err = api.UpdateAuth(t.Context(), connect.NewRequest(&adminv1.UpdateAuthRequest{Auth: wanted, Revision: changed.Msg.GetRevision()}))
	if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "auth.issuers[0].algorithms[0]") {
		t.Errorf("a symmetric algorithm: %v", err)
	}
	if got, err := api.GetAuth(t.Context(), connect.NewRequest(&adminv1.GetAuthRequest{})); err != nil || len(got.Msg.GetAuth().GetIssuers()[0].GetAlgorithms()) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}
