package auth

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/issuer"
	"github.com/aimux/aimux/shared/route"
)

// retryAfter is when to come again with a token whose issuer has not been heard yet.
const retryAfter = time.Second

// vouched is the caller for whom an issuer vouches with a token.
func (d *Door) vouched(ctx context.Context, t *route.Table, text string) (Caller, *fault.Fault) {
	token, refusal := d.issuers.Verify(ctx, text)
	if refusal != nil {
		f := d.refuse(tokenReason(refusal.Why), refusal.Reason)
		if refusal.Why == issuer.Unavailable {
			f.Kind, f.RetryAfter = fault.Overloaded, retryAfter
		}
		return Caller{}, f
	}
	// The table is what counts: the verifier may still trust whom it no longer names.
	i := slices.IndexFunc(t.Auth().Issuers, func(i route.Issuer) bool { return i.URL == token.Issuer })
	if i < 0 {
		return Caller{}, d.refuse(tokenReason(issuer.Issuer), "the token's issuer is not one that is trusted here")
	}
	return d.readClaims(t, &t.Auth().Issuers[i], token)
}

// emailClaim is the one claim whose holder may have made it up, and says so beside it.
const emailClaim = "email"

// readClaims reads a token's claims as its issuer's settings say. A claim that they name must be there: whoever leaves it out does not get more
// than whoever has it.
func (d *Door) readClaims(t *route.Table, from *route.Issuer, token *issuer.Token) (Caller, *fault.Fault) {
	missing := func(claim string) (Caller, *fault.Fault) {
		return Caller{}, d.refuse(claims, "the token has no claim "+claim+", which this gateway wants from its issuer")
	}
	name := token.Subject
	if from.NameClaim != "" {
		said := token.Claim(from.NameClaim)
		if len(said) == 0 || said[0] == "" {
			return missing(from.NameClaim)
		}
		name = said[0]
	}
	if from.NameClaim == emailClaim && slices.Equal(token.Claim(emailClaim+"_verified"), []string{"false"}) {
		return Caller{}, d.refuse(claims, "the token's issuer has not verified the email address by which this gateway knows its callers")
	}
	subject := identity.Subject(from.ID, name)
	caller := Caller{Name: subject, Subject: subject}
	if from.TeamClaim != "" {
		team := teamOf(t, token.Claim(from.TeamClaim))
		if team == nil {
			return Caller{}, d.refuse(claims, "the token's claim "+from.TeamClaim+" names no team of this gateway")
		}
		caller.Team, caller.Scope = team.ID, team.Scope
	}
	var terms route.Terms
	for _, list := range [...]struct {
		claim string
		into  *[]string
	}{{from.ModelsClaim, &terms.Models}, {from.ProvidersClaim, &terms.Providers}} {
		if list.claim == "" {
			continue
		}
		if *list.into = words(token.Claim(list.claim)); len(*list.into) == 0 {
			return missing(list.claim)
		}
	}
	if slices.Contains(terms.Providers, "*") {
		terms.Providers = nil
	}
	caller.Scope = t.Narrow(caller.Scope, terms)
	return caller, nil
}

// teamOf is the first of the names that is a team's.
func teamOf(t *route.Table, names []string) *route.Team {
	for _, name := range names {
		if team := t.Auth().Team(name); team != nil {
			return team
		}
	}
	return nil
}

// words takes apart texts that are lists: issuers write scopes with spaces between them.
func words(texts []string) (all []string) {
	for _, text := range texts {
		all = append(all, strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })...)
	}
	return all
}
