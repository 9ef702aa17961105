package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aimux/aimux/controlplane/internal/admin"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/issuer"
)

// sso takes the JWTs of the issuers that the catalog trusts with the admin API.
type sso struct {
	verifier *issuer.Verifier
	board    *board
}

// trust follows the catalog.
func (s *sso) trust(auth *adminv1.Auth) {
	var trusts []issuer.Trust
	for _, i := range auth.GetAdminIssuers() {
		trusts = append(trusts, issuer.Trust{URL: i.GetIssuer(), Audience: i.GetAudience(), Algorithms: i.GetAlgorithms(), AllowPrivate: i.GetAllowPrivateAddress()})
	}
	s.verifier.Apply(trusts)
}

// verify is admin.Door.JWT.
func (s *sso) verify(ctx context.Context, text string) (name, role string, expiresUnixMs int64, err error) {
	token, refusal := s.verifier.Verify(ctx, text)
	if refusal != nil {
		return "", "", 0, refusal
	}
	view, _ := s.board.View()
	issuers := view.Document.GetCatalog().GetAuth().GetAdminIssuers()
	at := slices.IndexFunc(issuers, func(i *adminv1.Issuer) bool { return i.GetIssuer() == token.Issuer })
	if at < 0 {
		return "", "", 0, errors.New("the JWT's issuer is no longer trusted with the admin API")
	}
	rules := issuers[at]
	if name = token.Subject; rules.GetNameClaim() != "" {
		if said := token.Claim(rules.GetNameClaim()); len(said) > 0 {
			name = said[0]
		}
	}
	best := admin.Nobody
	for _, said := range token.Claim(rules.GetRoleClaim()) {
		if role, ok := admin.ParseRole(said); ok {
			best = max(best, role)
		}
	}
	if best == admin.Nobody {
		return "", "", 0, fmt.Errorf("the JWT's claim %q names none of viewer, operator and admin", rules.GetRoleClaim())
	}
	return name, best.String(), token.Expires.UnixMilli(), nil
}
