package route

import (
	"fmt"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/identity"
)

// The limits of who may call. A configuration over them is refused.
const (
	CallersMax = 1 << 14
	TeamsMax   = 1 << 12
	IssuersMax = 16
)

// Auth is who may call. Read only.
type Auth struct {
	// Anonymous: callers without a key are served on any listener.
	Anonymous bool
	Issuers   []Issuer
	callers   map[string]*Caller
	teams     map[string]*Team
}

// Caller is the holder of one client key.
type Caller struct {
	ID, Name string
	// Hash is the keyed hash of the whole key; one that is none is proved by no key.
	Hash []byte
	Team string
	// Scope is what it may use, the team's scope included; nil means everything.
	Scope    *Scope
	Priority int
	Disabled bool
	// ExpiresMs and RevokedMs are in Unix milliseconds; 0 means never.
	ExpiresMs, RevokedMs int64
}

// Team is callers who share a scope.
type Team struct {
	ID    string
	Scope *Scope
}

// Issuer is one whose JWTs are taken.
type Issuer struct {
	// ID begins the names of its subjects.
	ID            string
	URL, Audience string
	Algorithms    []string
	// The claims that say who calls, for which team, and what it may use; where one is named, a token must have it.
	NameClaim, TeamClaim, ModelsClaim, ProvidersClaim string
	AllowPrivate                                      bool
}

// Auth is who may call.
func (t *Table) Auth() *Auth { return &t.auth }

// Caller finds the holder of a key by the key's id; nil when there is none.
func (a *Auth) Caller(id string) *Caller { return a.callers[id] }

// Team finds a team; nil when there is none.
func (a *Auth) Team(id string) *Team { return a.teams[id] }

// Nobody reports that no key and no issuer is known, revoked and disabled keys counted: then a loopback listener serves everybody.
func (a *Auth) Nobody() bool { return len(a.callers) == 0 && len(a.Issuers) == 0 }

// auth reads who may call; the providers have been read.
func (r *reader) auth(w *tablev1.Auth) {
	a := &r.c.auth
	a.Anonymous, a.callers, a.teams = w.GetAnonymous(), make(map[string]*Caller, len(w.GetCallers())), make(map[string]*Team, len(w.GetTeams()))
	if n := len(w.GetCallers()); n > CallersMax {
		r.badf("auth.callers", "%d of them; at most %d", n, CallersMax)
		return
	}
	if n := len(w.GetTeams()); n > TeamsMax {
		r.badf("auth.teams", "%d of them; at most %d", n, TeamsMax)
		return
	}
	if n := len(w.GetIssuers()); n > IssuersMax {
		r.badf("auth.issuers", "%d of them; at most %d", n, IssuersMax)
		return
	}
	for _, team := range w.GetTeams() {
		path := fmt.Sprintf("auth.teams[%q]", team.GetId())
		if team.GetId() == "" || a.teams[team.GetId()] != nil {
			r.badf(path, "is empty or there twice")
		}
		a.teams[team.GetId()] = &Team{ID: team.GetId(), Scope: r.scope(path+".scope", nil, team.GetScope())}
	}
	for _, k := range w.GetCallers() {
		r.caller(fmt.Sprintf("auth.callers[%q]", k.GetId()), k)
	}
	for i, one := range w.GetIssuers() {
		if one.GetIssuer() == "" || one.GetAudience() == "" {
			r.badf(fmt.Sprintf("auth.issuers[%d]", i), "has no issuer or no audience")
		}
		a.Issuers = append(a.Issuers, Issuer{
			ID: identity.IssuerID(one.GetId()), URL: one.GetIssuer(), Audience: one.GetAudience(), Algorithms: one.GetAlgorithms(),
			NameClaim: one.GetNameClaim(), TeamClaim: one.GetTeamClaim(), ModelsClaim: one.GetModelsClaim(), ProvidersClaim: one.GetProvidersClaim(), AllowPrivate: one.GetAllowPrivateAddress(),
		})
	}
}

func (r *reader) caller(path string, w *tablev1.Caller) {
	a := &r.c.auth
	if w.GetId() == "" || a.callers[w.GetId()] != nil {
		r.badf(path, "is empty or there twice")
	}
	var outer *Scope
	if w.GetTeam() != "" {
		team := a.teams[w.GetTeam()]
		if team == nil {
			r.badf(path+".team", "%q is no team", w.GetTeam())
			return
		}
		outer = team.Scope
	}
	a.callers[w.GetId()] = &Caller{
		ID: w.GetId(), Name: w.GetName(), Hash: w.GetHash(), Team: w.GetTeam(), Scope: r.scope(path+".scope", outer, w.GetScope()),
		Priority: int(w.GetPriority()), Disabled: w.GetDisabled(), ExpiresMs: w.GetExpiresUnixMs(), RevokedMs: w.GetRevokedUnixMs(),
	}
}

// scope reads what may be used within outer. A provider that is not there is nobody's harm: it may come back.
func (r *reader) scope(path string, outer *Scope, w *tablev1.Scope) *Scope {
	terms := Terms{Providers: w.GetProviders(), Models: w.GetModels(), Regions: w.GetRegions()}
	for i, name := range w.GetClasses() {
		class, ok := ParseClass(name)
		if !ok {
			r.badf(fmt.Sprintf("%s.classes[%d]", path, i), "%q is no class", name)
		}
		terms.Classes = append(terms.Classes, class)
	}
	return r.c.narrow(outer, terms)
}
