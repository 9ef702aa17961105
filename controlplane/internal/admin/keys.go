package admin

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/identity"
)

// reachMax is how long a write waits for the nodes to go by it.
const reachMax = 5 * time.Second

// CreateKey implements KeyService.
func (s *service) CreateKey(ctx context.Context, r *connect.Request[adminv1.CreateKeyRequest]) (*connect.Response[adminv1.CreateKeyResponse], error) {
	id := r.Msg.GetId()
	if id == "" {
		var random [identity.IDSize]byte
		rand.Read(random[:]) // never fails: the process ends when the system has no randomness
		id = identity.NewID(random)
	}
	if !identity.ValidID(id) {
		return nil, coded(refuse(connect.CodeInvalidArgument, "id: %q: want 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit", id))
	}
	var random [identity.RandomSize]byte
	rand.Read(random[:])
	whole := identity.Mint(identity.Client, id, random)
	made := &adminv1.ClientKey{Hash: s.deps.Door.Hasher.Hash(whole), CreatedUnixMs: time.Now().UnixMilli()}
	view, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		if doc.GetCatalog().GetKeys()[id] != nil {
			return refuse(connect.CodeAlreadyExists, "key %q exists already", id)
		}
		return putKey(doc, id, r.Msg.GetKey(), made)
	})
	if err != nil {
		return nil, err
	}
	answer := connect.NewResponse(&adminv1.CreateKeyResponse{
		Revision: revision, Entry: keyEntry(view, id), Key: whole.Reveal(), Reach: s.reach(ctx, revision, r.Msg.GetWait()),
	})
	answer.Header().Set("Cache-Control", "no-store")
	return answer, nil
}

// putKey sets what asked says of a key; what no caller decides stays as it is in from.
func putKey(doc *adminv1.Document, id string, asked, from *adminv1.ClientKey) error {
	if asked == nil {
		asked = &adminv1.ClientKey{}
	}
	end := asked.GetExpiresUnixMs()
	switch {
	case len(asked.GetHash()) > 0:
		return refuse(connect.CodeInvalidArgument, "key.hash: is made here, never given")
	case end != 0 && end != from.GetExpiresUnixMs() && end <= time.Now().UnixMilli():
		return refuse(connect.CodeInvalidArgument, "key.expires_unix_ms: %d has passed", end)
	}
	if err := knownProviders(doc, asked.GetScope()); err != nil {
		return err
	}
	key := proto.CloneOf(asked)
	key.Hash, key.CreatedUnixMs, key.RevokedUnixMs = from.GetHash(), from.GetCreatedUnixMs(), from.GetRevokedUnixMs()
	if doc.Catalog.Keys == nil {
		doc.Catalog.Keys = map[string]*adminv1.ClientKey{}
	}
	doc.Catalog.Keys[id] = key
	return nil
}

// knownProviders finds slips of the pen: the catalog itself lets a scope name providers that are not there.
func knownProviders(doc *adminv1.Document, scope *adminv1.Scope) error {
	for _, id := range scope.GetProviders() {
		if doc.GetCatalog().GetProviders()[id] == nil {
			return refuse(connect.CodeInvalidArgument, "scope.providers: there is no provider %q", id)
		}
	}
	return nil
}

// ListKeys implements KeyService.
func (s *service) ListKeys(ctx context.Context, r *connect.Request[adminv1.ListKeysRequest]) (*connect.Response[adminv1.ListKeysResponse], error) {
	view, err := s.at(ctx, r.Msg.GetMinRevision())
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListKeysResponse{Revision: view.Revision}
	for _, id := range slices.Sorted(maps.Keys(view.Document.GetCatalog().GetKeys())) {
		answer.Keys = append(answer.Keys, keyEntry(view, id))
	}
	return connect.NewResponse(answer), nil
}

// keyEntry is a key as it may be shown; nil if there is none of that id.
func keyEntry(view *View, id string) *adminv1.KeyEntry {
	key := view.Document.GetCatalog().GetKeys()[id]
	if key == nil {
		return nil
	}
	shown := proto.CloneOf(key)
	shown.Hash = nil
	entry := &adminv1.KeyEntry{Id: id, Key: shown, State: "active"}
	switch {
	case key.GetRevokedUnixMs() != 0:
		entry.State = "revoked"
	case key.GetDisabled():
		entry.State = "disabled"
	case key.GetExpiresUnixMs() != 0 && key.GetExpiresUnixMs() <= time.Now().UnixMilli():
		entry.State = "expired"
	}
	return entry
}

// UpdateKey implements KeyService.
func (s *service) UpdateKey(ctx context.Context, r *connect.Request[adminv1.UpdateKeyRequest]) (*connect.Response[adminv1.UpdateKeyResponse], error) {
	id := r.Msg.GetId()
	view, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		old := doc.GetCatalog().GetKeys()[id]
		switch {
		case old == nil:
			return none("key", id, doc.GetCatalog().GetKeys())
		case old.GetRevokedUnixMs() != 0:
			return refuse(connect.CodeFailedPrecondition, "key %q is revoked, which is for good: make another", id)
		}
		return putKey(doc, id, r.Msg.GetKey(), old)
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.UpdateKeyResponse{Revision: revision, Entry: keyEntry(view, id), Reach: s.reach(ctx, revision, r.Msg.GetWait())}), nil
}

// RevokeKey implements KeyService.
func (s *service) RevokeKey(ctx context.Context, r *connect.Request[adminv1.RevokeKeyRequest]) (*connect.Response[adminv1.RevokeKeyResponse], error) {
	id := r.Msg.GetId()
	view, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		key := doc.GetCatalog().GetKeys()[id]
		if key == nil {
			return none("key", id, doc.GetCatalog().GetKeys())
		}
		if key.GetRevokedUnixMs() == 0 {
			key.RevokedUnixMs = time.Now().UnixMilli()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.RevokeKeyResponse{Revision: revision, Entry: keyEntry(view, id), Reach: s.reach(ctx, revision, r.Msg.GetWait())}), nil
}

// DeleteKey implements KeyService.
func (s *service) DeleteKey(ctx context.Context, r *connect.Request[adminv1.DeleteKeyRequest]) (*connect.Response[adminv1.DeleteKeyResponse], error) {
	id := r.Msg.GetId()
	_, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		if doc.GetCatalog().GetKeys()[id] == nil {
			return none("key", id, doc.GetCatalog().GetKeys())
		}
		delete(doc.GetCatalog().GetKeys(), id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.DeleteKeyResponse{Revision: revision, Reach: s.reach(ctx, revision, r.Msg.GetWait())}), nil
}

// heardWithin is how long a node may be silent that is there: a replica that hears none for longer has none.
const heardWithin = 1500 * time.Millisecond

// reach waits, where that was asked for, until every live node goes by the revision or refuses it, or for as long as a write waits; then it
// says how far the revision has come. A replica that has just begun first listens for who leads, and for the nodes.
func (s *service) reach(ctx context.Context, revision uint64, wait bool) *adminv1.Convergence {
	if !wait {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reachMax)
	defer cancel()
	silence := time.NewTimer(heardWithin)
	defer silence.Stop()
	for alone := false; ; {
		view, changed := s.deps.Board.View()
		_, waiting, refusing := progress(view, revision)
		heard := slices.ContainsFunc(view.Nodes, func(n *adminv1.NodeEntry) bool { return n.GetLive() })
		if view.Leader != "" && waiting == len(refusing) && (heard || alone) {
			return convergence(view, revision)
		}
		select {
		case <-changed:
		case <-silence.C:
			alone = true
		case <-ctx.Done():
			return convergence(view, revision)
		}
	}
}

// ListTeams implements KeyService.
func (s *service) ListTeams(ctx context.Context, r *connect.Request[adminv1.ListTeamsRequest]) (*connect.Response[adminv1.ListTeamsResponse], error) {
	view, err := s.at(ctx, r.Msg.GetMinRevision())
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListTeamsResponse{Revision: view.Revision}
	for _, id := range slices.Sorted(maps.Keys(view.Document.GetCatalog().GetTeams())) {
		answer.Teams = append(answer.Teams, teamEntry(view, id))
	}
	return connect.NewResponse(answer), nil
}

func teamEntry(view *View, id string) *adminv1.TeamEntry {
	entry := &adminv1.TeamEntry{Id: id, Team: view.Document.GetCatalog().GetTeams()[id]}
	for _, key := range view.Document.GetCatalog().GetKeys() {
		if key.GetTeam() == id {
			entry.Keys++
		}
	}
	return entry
}

// SetTeam implements KeyService.
func (s *service) SetTeam(ctx context.Context, r *connect.Request[adminv1.SetTeamRequest]) (*connect.Response[adminv1.SetTeamResponse], error) {
	id := r.Msg.GetId()
	view, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		team := &adminv1.Team{}
		if r.Msg.GetTeam() != nil {
			team = proto.CloneOf(r.Msg.GetTeam())
		}
		if doc.Catalog.Teams == nil {
			doc.Catalog.Teams = map[string]*adminv1.Team{}
		}
		doc.Catalog.Teams[id] = team
		return knownProviders(doc, team.GetScope())
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.SetTeamResponse{Revision: revision, Entry: teamEntry(view, id), Reach: s.reach(ctx, revision, r.Msg.GetWait())}), nil
}

// DeleteTeam implements KeyService.
func (s *service) DeleteTeam(ctx context.Context, r *connect.Request[adminv1.DeleteTeamRequest]) (*connect.Response[adminv1.DeleteTeamResponse], error) {
	id := r.Msg.GetId()
	_, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		if doc.GetCatalog().GetTeams()[id] == nil {
			return none("team", id, doc.GetCatalog().GetTeams())
		}
		for _, key := range slices.Sorted(maps.Keys(doc.GetCatalog().GetKeys())) {
			if doc.GetCatalog().GetKeys()[key].GetTeam() == id {
				return refuse(connect.CodeFailedPrecondition, "key %q is of team %q; give it another team, or delete it, first", key, id)
			}
		}
		delete(doc.GetCatalog().GetTeams(), id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.DeleteTeamResponse{Revision: revision, Reach: s.reach(ctx, revision, r.Msg.GetWait())}), nil
}
