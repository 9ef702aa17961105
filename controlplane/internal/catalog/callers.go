package catalog

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/route"
)

// How many there may be of those who call, and in what they may use.
const (
	clientKeysMax = 5000
	teamsMax      = 1000
	issuersMax    = route.IssuersMax
	scopeMax      = 200
	priorityMax   = 100
	audienceMax   = 256
)

// callers judges who may call.
func (v *validator) callers() {
	v.few("keys", len(v.cat.GetKeys()), clientKeysMax)
	for _, id := range slices.Sorted(maps.Keys(v.cat.GetKeys())) {
		v.clientKey(at("keys", id), id, v.cat.GetKeys()[id])
	}
	v.few("teams", len(v.cat.GetTeams()), teamsMax)
	for _, id := range slices.Sorted(maps.Keys(v.cat.GetTeams())) {
		path, team := at("teams", id), v.cat.GetTeams()[id]
		if !idPattern.MatchString(id) {
			v.add(path, "", "must have an id of 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit")
		}
		v.text(at(path, "name"), team.GetName(), nameMax)
		v.scope(at(path, "scope"), team.GetScope())
		v.judgeLimits(at(path, "limits"), team.GetLimits())
	}
	ids := map[string]bool{}
	v.issuers("auth.issuers", v.cat.GetAuth().GetIssuers(), func(path string, i *adminv1.Issuer) {
		if i.GetRoleClaim() != "" {
			v.add(at(path, "role_claim"), show("", i.GetRoleClaim()), "is for auth.admin_issuers: callers have no role")
		}
		v.judgeLimits(at(path, "subject_limits"), i.GetSubjectLimits())
		if ids[issuerID(i)] {
			v.add(at(path, "id"), show("", issuerID(i)), "is another issuer's, and two subjects of one name would be taken for one; each needs an id of its own")
		}
		ids[issuerID(i)] = true
	})
	v.issuers("auth.admin_issuers", v.cat.GetAuth().GetAdminIssuers(), func(path string, i *adminv1.Issuer) {
		if i.GetRoleClaim() == "" {
			v.add(at(path, "role_claim"), "", "is needed: it names the claim that says viewer, operator or admin")
		}
		if i.GetSubjectLimits() != nil {
			v.add(at(path, "subject_limits"), "", "is for auth.issuers: the admin API has no limits")
		}
	})
}

func (v *validator) few(path string, n, most int) {
	if n > most {
		v.add(path, "", "has %d entries; %d are allowed", n, most)
	}
}

func (v *validator) clientKey(path, id string, k *adminv1.ClientKey) {
	if !identity.ValidID(id) {
		v.add(path, "", "must have an id of 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit")
	}
	v.text(at(path, "name"), k.GetName(), nameMax)
	if len(k.GetHash()) != identity.HashSize {
		v.add(at(path, "hash"), "", "has %d bytes; that of a key has %d: aimux key create makes keys, and with --offline the entry for a file", len(k.GetHash()), identity.HashSize)
	}
	if _, known := v.cat.GetTeams()[k.GetTeam()]; k.GetTeam() != "" && !known {
		v.add(at(path, "team"), show("", k.GetTeam()), "names no team of this catalog")
	}
	v.scope(at(path, "scope"), k.GetScope())
	v.judgeLimits(at(path, "limits"), k.GetLimits())
	if k.GetPriority() < -priorityMax || k.GetPriority() > priorityMax {
		v.add(at(path, "priority"), strconv.Itoa(int(k.GetPriority())), "must be from -%d to %d", priorityMax, priorityMax)
	}
	for _, moment := range [...]struct {
		name   string
		unixMs int64
	}{{"expires_unix_ms", k.GetExpiresUnixMs()}, {"created_unix_ms", k.GetCreatedUnixMs()}, {"revoked_unix_ms", k.GetRevokedUnixMs()}} {
		if moment.unixMs < 0 {
			v.add(at(path, moment.name), strconv.FormatInt(moment.unixMs, 10), "must not be negative")
		}
	}
}

// scope judges what may be used. A provider that is not there is let pass: the scope only becomes narrower, and it may come back.
func (v *validator) scope(path string, s *adminv1.Scope) {
	lists := map[string][]string{"providers": s.GetProviders(), "models": s.GetModels(), "classes": s.GetClasses(), "regions": s.GetRegions()}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		v.few(at(path, name), len(lists[name]), scopeMax)
		for i, text := range lists[name] {
			v.scoped(index(at(path, name), i), name, text)
		}
	}
}

func (v *validator) scoped(path, list, text string) {
	switch list {
	case "providers":
		if !idPattern.MatchString(text) {
			v.add(path, show("", text), "is no id of a provider")
		}
	case "classes":
		if _, ok := route.ParseClass(text); !ok {
			v.add(path, show("", text), "is no class")
		}
	case "regions":
		if v.region(path, text); text == "" {
			v.add(path, "", "is empty")
		}
	case "models":
		if v.word(path, text); text == "" || strings.Contains(strings.TrimSuffix(text, "*"), "*") {
			v.add(path, show("", text), "must be a name, or the beginning of names and one '*' at its end")
		}
	}
}

// issuers judges those whose JWTs are taken; more judges what only one of the two lists asks for.
func (v *validator) issuers(path string, list []*adminv1.Issuer, more func(path string, i *adminv1.Issuer)) {
	v.few(path, len(list), issuersMax)
	for n, i := range list {
		here := index(path, n)
		if reason := judgeURL(i.GetIssuer(), i.GetAllowPrivateAddress()); reason != "" {
			v.add(at(here, "issuer"), showURL(i.GetIssuer()), "%s", reason)
		}
		if slices.ContainsFunc(list[:n], func(other *adminv1.Issuer) bool { return other.GetIssuer() == i.GetIssuer() }) {
			v.add(at(here, "issuer"), showURL(i.GetIssuer()), "is there twice")
		}
		if i.GetId() != "" && !idPattern.MatchString(i.GetId()) {
			v.add(at(here, "id"), show("", i.GetId()), "must be 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit")
		}
		if v.text(at(here, "audience"), i.GetAudience(), audienceMax); i.GetAudience() == "" {
			v.add(at(here, "audience"), "", "is needed: without it a token for anybody would do")
		}
		for k, name := range i.GetAlgorithms() {
			if !slices.Contains(identity.Algorithms(), name) {
				v.add(index(at(here, "algorithms"), k), show("", name), "must be one of %s", strings.Join(identity.Algorithms(), ", "))
			}
		}
		for _, claim := range [...]struct{ name, text string }{
			{"name_claim", i.GetNameClaim()}, {"team_claim", i.GetTeamClaim()}, {"models_claim", i.GetModelsClaim()},
			{"providers_claim", i.GetProvidersClaim()}, {"role_claim", i.GetRoleClaim()},
		} {
			v.text(at(here, claim.name), claim.text, nameMax)
		}
		more(here, i)
	}
}

// issuerID is an issuer's id, given or not.
func issuerID(i *adminv1.Issuer) string { return identity.IssuerID(i.GetId()) }

// compileAuth is who may call, as nodes are told.
func compileAuth(cat *adminv1.Catalog) *tablev1.Auth {
	auth := &tablev1.Auth{Anonymous: cat.GetAuth().GetAnonymous()}
	for _, id := range slices.Sorted(maps.Keys(cat.GetTeams())) {
		team := cat.GetTeams()[id]
		auth.Teams = append(auth.Teams, &tablev1.Team{Id: id, Scope: compileScope(team.GetScope()), Limits: compileLimits(team.GetLimits())})
	}
	for _, id := range slices.Sorted(maps.Keys(cat.GetKeys())) {
		k := cat.GetKeys()[id]
		auth.Callers = append(auth.Callers, &tablev1.Caller{
			Id: id, Name: k.GetName(), Hash: k.GetHash(), Team: k.GetTeam(), Scope: compileScope(k.GetScope()), Limits: compileLimits(k.GetLimits()),
			Priority: k.GetPriority(), Disabled: k.GetDisabled(), ExpiresUnixMs: k.GetExpiresUnixMs(), RevokedUnixMs: k.GetRevokedUnixMs(),
		})
	}
	for _, i := range cat.GetAuth().GetIssuers() {
		auth.Issuers = append(auth.Issuers, &tablev1.Issuer{
			Issuer: i.GetIssuer(), Audience: i.GetAudience(), Algorithms: i.GetAlgorithms(), NameClaim: i.GetNameClaim(), TeamClaim: i.GetTeamClaim(),
			ModelsClaim: i.GetModelsClaim(), ProvidersClaim: i.GetProvidersClaim(), AllowPrivateAddress: i.GetAllowPrivateAddress(),
			Id: issuerID(i), SubjectLimits: compileLimits(i.GetSubjectLimits()),
		})
	}
	return auth
}

func compileScope(s *adminv1.Scope) *tablev1.Scope {
	if s == nil {
		return nil
	}
	return &tablev1.Scope{Providers: s.GetProviders(), Models: s.GetModels(), Classes: s.GetClasses(), Regions: s.GetRegions()}
}
