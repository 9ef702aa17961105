package issuer

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Token is what a verified JWT says. Immutable.
type Token struct {
	Issuer, Subject string
	// Expires is when it ends, the leeway not counted.
	Expires time.Time

	claims map[string]json.RawMessage
	source *source
	keys   *keySet
}

// Claim is the value of a claim as a list: a text is a list of one, a number or truth too. A name that no claim has is a path, with dots
// between the names on the way. Nil when there is nothing of the kind.
func (t *Token) Claim(name string) []string {
	claims := t.claims
	for {
		if value, ok := claims[name]; ok {
			return texts(value)
		}
		first, rest, deeper := strings.Cut(name, ".")
		inner, ok := claims[first]
		claims = nil
		if !deeper || !ok || json.Unmarshal(inner, &claims) != nil {
			return nil
		}
		name = rest
	}
}

// texts reads a list of plain values, or one as a list.
func texts(value json.RawMessage) []string {
	if len(value) == 0 {
		return nil
	}
	if value[0] != '[' {
		value = slices.Concat([]byte("["), value, []byte("]"))
	}
	var list []json.RawMessage
	if json.Unmarshal(value, &list) != nil {
		return nil
	}
	var all []string
	for _, one := range list {
		var text string
		switch one[0] {
		case '{', '[', 'n':
			continue
		case '"':
			if json.Unmarshal(one, &text) != nil {
				continue
			}
		default:
			text = string(one)
		}
		all = append(all, text)
	}
	return all
}

// Why is the kind of a Refusal, for counters.
type Why uint8

// The kinds of refusals.
const (
	Malformed   Why = iota // no JWT, or one that is not taken: encrypted, too long
	Issuer                 // nobody trusts its issuer
	Algorithm              // not one that is taken from its issuer
	Signature              // by nobody's key, or tampered with
	Audience               // for somebody else
	Expired                // its time is over
	NotYet                 // its time has not come
	Unavailable            // its issuer's keys have not been fetched yet: try again
)

var whyNames = [...]string{"malformed", "issuer", "algorithm", "signature", "audience", "expired", "not_yet", "unavailable"}

// String is the kind's name in metrics.
func (w Why) String() string { return whyNames[w] }

// Refusal is why a token is not taken. Its text is for whoever sent it: it says more only about tokens whose signature has been verified.
type Refusal struct {
	Why    Why
	Reason string
}

// Error is the reason.
func (r *Refusal) Error() string { return r.Reason }

func refuse(why Why, reason string, args ...any) *Refusal {
	return &Refusal{why, fmt.Sprintf(reason, args...)}
}

func unavailable(s *source) *Refusal {
	return refuse(Unavailable, "the keys of issuer %s have not been fetched yet; try again", s.trust.URL)
}

// glimpse is what a token says before anything is proved: whose keys would prove it.
type glimpse struct{ algorithm, key, issuer string }

// kinds of tokens that say who somebody is; others must not pass for those.
var kinds = []string{"", "jwt", "at+jwt", "application/jwt", "application/at+jwt"}

// Resembles reports whether a text is meant to be a JWT, so that it is judged as one.
func Resembles(text string) bool {
	return strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") >= 2
}

// glance reads a token's head and issuer.
func glance(text string) (glimpse, *Refusal) {
	if strings.ContainsFunc(text, notInToken) {
		return glimpse{}, refuse(Malformed, "the token is no JWT")
	}
	parts := strings.Split(text, ".")
	switch len(parts) {
	case 3:
	case 5:
		return glimpse{}, refuse(Malformed, "encrypted tokens are not taken")
	default:
		return glimpse{}, refuse(Malformed, "the token is no JWT")
	}
	var head struct {
		Algorithm string `json:"alg"`
		Key       string `json:"kid"`
		Kind      string `json:"typ"`
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if !decode(parts[0], &head) || !decode(parts[1], &claims) {
		return glimpse{}, refuse(Malformed, "the token is no JWT")
	}
	if !slices.Contains(kinds, strings.ToLower(head.Kind)) {
		return glimpse{}, refuse(Malformed, "the token's typ is not that of a JWT or an access token")
	}
	return glimpse{head.Algorithm, head.Key, claims.Issuer}, nil
}

// notInToken finds what readers of base64 may pass over: a token has one spelling.
func notInToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}

func decode(part string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(raw, into) == nil
}

// judge checks what a token with a good signature says of itself.
func (s *source) judge(verified *oidc.IDToken, now time.Time) (*Token, *Refusal) {
	var times struct {
		Expires   *float64 `json:"exp"`
		NotBefore *float64 `json:"nbf"`
	}
	t := &Token{Issuer: verified.Issuer, Subject: verified.Subject}
	if verified.Claims(&t.claims) != nil || verified.Claims(&times) != nil {
		return nil, refuse(Malformed, "the token's claims are not what they should be")
	}
	switch {
	case verified.Issuer != s.trust.URL:
		return nil, refuse(Issuer, "the token's issuer is not one that is trusted here")
	case !slices.Contains(verified.Audience, s.trust.Audience):
		return nil, refuse(Audience, "the token is not for this audience: its aud must contain %q", s.trust.Audience)
	case times.Expires == nil:
		return nil, refuse(Expired, "the token has no exp, and none is taken without an end")
	case t.Subject == "":
		return nil, refuse(Malformed, "the token has no sub, so it does not say who calls")
	}
	t.Expires = moment(*times.Expires)
	if !now.Before(t.Expires.Add(Leeway)) {
		return nil, refuse(Expired, "the token expired at %s", t.Expires.UTC().Format(time.RFC3339))
	}
	if times.NotBefore != nil && now.Add(Leeway).Before(moment(*times.NotBefore)) {
		return nil, refuse(NotYet, "the token is not valid before %s", moment(*times.NotBefore).UTC().Format(time.RFC3339))
	}
	return t, nil
}

// endOfTime keeps a claim from being a time that cannot be kept.
const endOfTime = 253402300799

func moment(unixS float64) time.Time {
	return time.UnixMilli(int64(min(max(unixS, 0), endOfTime) * 1000))
}
