package admin

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"time"

	"connectrpc.com/connect"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/keyfile"
	"github.com/aimux/aimux/shared/secret"
)

// MintToken makes an admin token of that id from the system's randomness.
func MintToken(id string) secret.Secret {
	var random [identity.RandomSize]byte
	rand.Read(random[:]) // never fails: the process ends when the system has no randomness
	return identity.Mint(identity.Admin, id, random)
}

// WhoAmI implements TokenService.
func (s *service) WhoAmI(ctx context.Context, _ *connect.Request[adminv1.WhoAmIRequest]) (*connect.Response[adminv1.WhoAmIResponse], error) {
	caller, err := s.again(ctx)
	if err != nil {
		return nil, coded(err)
	}
	return connect.NewResponse(&adminv1.WhoAmIResponse{Actor: caller.Actor, Role: caller.Role.String(), ExpiresUnixMs: caller.ExpiresUnixMs}), nil
}

// CreateToken implements TokenService.
func (s *service) CreateToken(ctx context.Context, r *connect.Request[adminv1.CreateTokenRequest]) (*connect.Response[adminv1.CreateTokenResponse], error) {
	id, now := r.Msg.GetId(), time.Now()
	if id == "" {
		var random [identity.IDSize]byte
		rand.Read(random[:])
		id = identity.NewID(random)
	}
	if err := judgeToken(id, r.Msg, now); err != nil {
		return nil, coded(err)
	}
	key := MintToken(id)
	token := &adminv1.Token{
		Name: r.Msg.GetName(), Role: r.Msg.GetRole(), Hash: s.deps.Door.Hasher.Hash(key), ExpiresUnixMs: r.Msg.GetExpiresUnixMs(), CreatedUnixMs: now.UnixMilli(),
	}
	_, revision, err := s.write(ctx, 0, func(doc *adminv1.Document) error {
		if doc.GetCatalog().GetTokens()[id] != nil {
			return refuse(connect.CodeAlreadyExists, "token %q exists already", id)
		}
		PutToken(doc, id, token)
		return nil
	})
	if err != nil {
		return nil, err
	}
	answer := connect.NewResponse(&adminv1.CreateTokenResponse{Revision: revision, Entry: tokenEntry(id, token), Token: key.Reveal()})
	answer.Header().Set("Cache-Control", "no-store")
	return answer, nil
}

// judgeToken refuses what cannot be made, before anything is.
func judgeToken(id string, r *adminv1.CreateTokenRequest, now time.Time) error {
	switch end := r.GetExpiresUnixMs(); {
	case !identity.ValidID(id):
		return refuse(connect.CodeInvalidArgument, "id: %q: want 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit", id)
	case id == keyfile.LocalID:
		return refuse(connect.CodeInvalidArgument, "id: %q is that of every control plane's own token", id)
	case !slices.Contains(catalog.Roles, r.GetRole()):
		return refuse(connect.CodeInvalidArgument, "role: %q: want one of %v", r.GetRole(), catalog.Roles)
	case end != 0 && end <= now.UnixMilli():
		return refuse(connect.CodeInvalidArgument, "expires_unix_ms: %d has passed", end)
	}
	return nil
}

// PutToken sets a token in a document.
func PutToken(doc *adminv1.Document, id string, token *adminv1.Token) {
	if doc.Catalog.Tokens == nil {
		doc.Catalog.Tokens = map[string]*adminv1.Token{}
	}
	doc.Catalog.Tokens[id] = token
}

// ListTokens implements TokenService.
func (s *service) ListTokens(ctx context.Context, _ *connect.Request[adminv1.ListTokensRequest]) (*connect.Response[adminv1.ListTokensResponse], error) {
	view, err := s.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	answer, tokens := &adminv1.ListTokensResponse{Revision: view.Revision}, view.Document.GetCatalog().GetTokens()
	for _, id := range slices.Sorted(maps.Keys(tokens)) {
		answer.Tokens = append(answer.Tokens, tokenEntry(id, tokens[id]))
	}
	return connect.NewResponse(answer), nil
}

func tokenEntry(id string, t *adminv1.Token) *adminv1.TokenEntry {
	return &adminv1.TokenEntry{Id: id, Name: t.GetName(), Role: t.GetRole(), ExpiresUnixMs: t.GetExpiresUnixMs(), CreatedUnixMs: t.GetCreatedUnixMs()}
}

// RevokeToken implements TokenService.
func (s *service) RevokeToken(ctx context.Context, r *connect.Request[adminv1.RevokeTokenRequest]) (*connect.Response[adminv1.RevokeTokenResponse], error) {
	id := r.Msg.GetId()
	_, revision, err := s.write(ctx, 0, func(doc *adminv1.Document) error {
		if doc.GetCatalog().GetTokens()[id] == nil {
			return refuse(connect.CodeNotFound, "there is no token %q", id)
		}
		delete(doc.GetCatalog().GetTokens(), id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.RevokeTokenResponse{Revision: revision}), nil
}
