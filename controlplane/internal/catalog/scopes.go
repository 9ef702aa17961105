package catalog

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/identity"
)

// A scope of limits is named as nodes name it: all, key/ID, team/ID, issuer/ID/subjects, provider/ID, provider/ID/keys, provider/ID/model/MODEL.

// LimitScopes lists the scopes of a catalog that have limits: those of all, then of keys, teams, issuers and providers in the order of their names.
func LimitScopes(cat *adminv1.Catalog) (scopes []string) {
	add := func(scope string) {
		if l, ok := LimitsAt(cat, scope); ok && l != nil {
			scopes = append(scopes, scope)
		}
	}
	add("all")
	for _, id := range slices.Sorted(maps.Keys(cat.GetKeys())) {
		add("key/" + id)
	}
	for _, id := range slices.Sorted(maps.Keys(cat.GetTeams())) {
		add("team/" + id)
	}
	for _, i := range cat.GetAuth().GetIssuers() {
		add(subjectsOf(issuerID(i)))
	}
	for _, id := range providerIDs(cat) {
		add("provider/" + id)
		add("provider/" + id + "/keys")
		for _, m := range cat.GetProviders()[id].GetModels() {
			add("provider/" + id + "/model/" + m.GetId())
		}
	}
	return scopes
}

// subjectsOf is the scope of each of an issuer's subjects.
func subjectsOf(issuer string) string { return "issuer/" + issuer + "/subjects" }

// SharedScope is the scope that holds the limits of one: one key of a provider's pool and one subject of an issuer have those of all their kind.
func SharedScope(one string) string {
	if subject, ok := strings.CutPrefix(one, "subject/"); ok {
		issuer, _ := identity.IssuerOf(subject)
		return subjectsOf(issuer)
	}
	if pool, _, ok := strings.Cut(one, "/key/"); ok {
		return pool + "/keys"
	}
	return one
}

// LimitsAt are the limits of a scope, wherever they stand, nil where it has none; ok is false when there is no such scope. They are not to
// be changed.
func LimitsAt(cat *adminv1.Catalog, scope string) (l *adminv1.Limits, ok bool) {
	at := placeOf(cat, scope)
	if at == nil {
		return nil, false
	}
	return at.get(), true
}

// SetLimits puts limits in the place of all that the scope has, nil for none; ok is false when there is no such scope.
func SetLimits(cat *adminv1.Catalog, scope string, l *adminv1.Limits) (ok bool) {
	at := placeOf(cat, scope)
	if at == nil {
		return false
	}
	at.set(l)
	return true
}

// limitPlace is where the limits of a scope stand.
type limitPlace struct {
	field    **adminv1.Limits
	provider *adminv1.Provider // whose own fields hold three of them besides; else nil
}

// placeOf finds a scope; nil means that there is none.
func placeOf(cat *adminv1.Catalog, scope string) *limitPlace {
	kind, id, _ := strings.Cut(scope, "/")
	switch {
	case scope == "all":
		return &limitPlace{field: &cat.Limits}
	case kind == "key" && cat.GetKeys()[id] != nil:
		return &limitPlace{field: &cat.Keys[id].Limits}
	case kind == "team" && cat.GetTeams()[id] != nil:
		return &limitPlace{field: &cat.Teams[id].Limits}
	case kind == "issuer":
		for _, i := range cat.GetAuth().GetIssuers() {
			if scope == subjectsOf(issuerID(i)) {
				return &limitPlace{field: &i.SubjectLimits}
			}
		}
		return nil
	case kind != "provider":
		return nil
	}
	id, part, _ := strings.Cut(id, "/")
	p := cat.GetProviders()[id]
	model, isModel := strings.CutPrefix(part, "model/")
	switch {
	case p == nil:
	case part == "":
		return &limitPlace{field: &p.Limits, provider: p}
	case part == "keys":
		return &limitPlace{field: &p.LimitsPerKey}
	case isModel:
		for _, m := range p.GetModels() {
			if m.GetId() == model {
				return &limitPlace{field: &m.Limits}
			}
		}
	}
	return nil
}

func (at *limitPlace) get() *adminv1.Limits {
	p := at.provider
	if p == nil || p.MaxConcurrentRequests == nil && p.RequestsPerMinute == nil && p.TokensPerMinute == nil {
		return *at.field
	}
	l := &adminv1.Limits{}
	if *at.field != nil {
		l = proto.CloneOf(*at.field)
	}
	l.MaxConcurrentRequests = either(l.MaxConcurrentRequests, p.MaxConcurrentRequests)
	l.RequestsPerMinute = either(l.RequestsPerMinute, p.RequestsPerMinute)
	l.TokensPerMinute = either(l.TokensPerMinute, p.TokensPerMinute)
	return l
}

func (at *limitPlace) set(l *adminv1.Limits) {
	if p := at.provider; p != nil {
		p.MaxConcurrentRequests, p.RequestsPerMinute, p.TokensPerMinute = nil, nil, nil
	}
	*at.field = nil
	if l != nil {
		*at.field = proto.CloneOf(l)
	}
}

func either[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}
