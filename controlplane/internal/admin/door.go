package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/issuer"
	"github.com/aimux/aimux/shared/keyfile"
)

// Caller is who asks.
type Caller struct {
	// Actor is the name in the audit log: token:ID, jwt:NAME, local, anonymous.
	Actor string
	Role  Role
	// ExpiresUnixMs is when the caller's word ends; 0 means never.
	ExpiresUnixMs int64
}

// Door says who a caller is. Its zero value knows nobody.
type Door struct {
	// Hasher knows tokens again.
	Hasher identity.Hasher
	// Local is the hash of this process's own token, which is admin: it is for whoever runs the process. Nil means that there is none.
	Local []byte
	// Anonymous is what callers without a token may do.
	Anonymous Role
	// JWT verifies a token of an issuer that the catalog trusts, and says whose it is and which role it gives; nil means that none is taken.
	JWT func(ctx context.Context, text string) (name, role string, expiresUnixMs int64, err error)
}

// tokenBytesMax bounds a token; signed ones with many claims are the longest.
const tokenBytesMax = 8 << 10

// The refusals of a caller; why exactly a token is not taken is told only where that helps nobody to guess.
const (
	noToken       = "the admin API wants a token: authorization: Bearer aimuxadm_…; aimux token local prints the one of this machine" //nolint:gosec // no token
	badToken      = "the token is not one of this cluster's, or was revoked"
	expiredToken  = "the token has expired"
	noRole        = "the token's role is none of viewer, operator and admin"
	unknownScheme = "authorization must be Bearer and a token"
)

func refuseCaller(reason string) error { return refuse(connect.CodeUnauthenticated, "%s", reason) }

// who finds the caller in a request's headers. The error is a Refused of code unauthenticated.
func (d *Door) who(ctx context.Context, tokens map[string]*adminv1.Token, header http.Header, now time.Time) (Caller, error) {
	said := header.Values("Authorization")
	switch {
	case len(said) == 0 && d.Anonymous != Nobody:
		return Caller{Actor: "anonymous", Role: d.Anonymous}, nil
	case len(said) == 0:
		return Caller{}, refuseCaller(noToken)
	case len(said) > 1 || len(said[0]) > tokenBytesMax:
		return Caller{}, refuseCaller(unknownScheme)
	}
	text, ok := bearer(said[0])
	switch {
	case !ok:
		return Caller{}, refuseCaller(unknownScheme)
	case identity.Claims(identity.Admin, text):
		return d.holder(tokens, text, now)
	case d.JWT != nil && strings.Contains(text, "."):
		return d.signed(ctx, text)
	}
	return Caller{}, refuseCaller(badToken)
}

// bearer is the token in an Authorization header; of Basic, which is all that some tools can send, it is the password.
func bearer(value string) (string, bool) {
	scheme, text, ok := strings.Cut(value, " ")
	if strings.EqualFold(scheme, "Basic") {
		request := http.Request{Header: http.Header{"Authorization": {value}}}
		_, password, ok := request.BasicAuth()
		return password, ok
	}
	return strings.TrimSpace(text), ok && strings.EqualFold(scheme, "Bearer")
}

// holder is the caller with an aimux token. The time it takes tells nothing about tokens that exist.
func (d *Door) holder(tokens map[string]*adminv1.Token, text string, now time.Time) (Caller, error) {
	id, ok := identity.Parse(identity.Admin, text)
	if !ok {
		return Caller{}, refuseCaller(badToken)
	}
	if id == keyfile.LocalID && d.Hasher.Proves(text, d.Local) {
		return Caller{Actor: "local", Role: Admin}, nil
	}
	token := tokens[id]
	if !d.Hasher.Proves(text, token.GetHash()) {
		return Caller{}, refuseCaller(badToken)
	}
	if end := token.GetExpiresUnixMs(); end != 0 && end <= now.UnixMilli() {
		return Caller{}, refuseCaller(expiredToken)
	}
	role, _ := ParseRole(token.GetRole()) // one that is not known may do nothing
	return Caller{Actor: "token:" + id, Role: role, ExpiresUnixMs: token.GetExpiresUnixMs()}, nil
}

func (d *Door) signed(ctx context.Context, text string) (Caller, error) {
	name, said, expires, err := d.JWT(ctx, text)
	if refusal, ok := errors.AsType[*issuer.Refusal](err); ok && refusal.Why == issuer.Unavailable {
		return Caller{}, refuse(connect.CodeUnavailable, "%s", refusal.Reason)
	}
	if err != nil {
		return Caller{}, refuseCaller(err.Error())
	}
	role, ok := ParseRole(said)
	if !ok {
		return Caller{}, refuseCaller(noRole)
	}
	return Caller{Actor: "jwt:" + name, Role: role, ExpiresUnixMs: expires}, nil
}

// caller is who sent the headers, by the tokens that are in force now.
func (s *service) caller(ctx context.Context, header http.Header) (Caller, error) {
	view, _ := s.deps.Board.View()
	caller, err := s.deps.Door.who(ctx, view.Document.GetCatalog().GetTokens(), header, time.Now())
	switch {
	case err == nil:
	case !view.Ready() && header.Get("Authorization") != "":
		err = refuse(connect.CodeUnavailable, "%s has not read the catalog yet, and knows no tokens", s.id)
	default:
		s.deps.Refused("unknown")
	}
	return caller, err
}

// admit says who asks for what is at a path, if that caller may.
func (s *service) admit(ctx context.Context, path string, header http.Header) (Caller, error) {
	role, known := needs(path)
	if known && role == everybody {
		return Caller{}, nil
	}
	caller, err := s.caller(ctx, header)
	switch {
	case err != nil:
	case !known:
		err = refuse(connect.CodeNotFound, "there is nothing at %.200q", path)
	case caller.Role < role:
		s.deps.Refused("forbidden")
		err = refuse(connect.CodePermissionDenied, "%s is %s; %s takes %s", caller.Actor, caller.Role, path, role)
	}
	return caller, err
}

// again is admit in the middle of a call, for one that lasts or writes: the token may have been revoked since.
func (s *service) again(ctx context.Context) (Caller, error) {
	call, ok := connect.CallInfoForHandlerContext(ctx)
	if !ok {
		return Caller{}, refuseCaller(noToken)
	}
	return s.admit(ctx, call.Spec().Procedure, call.RequestHeader())
}
