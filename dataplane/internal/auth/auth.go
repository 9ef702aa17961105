// Package auth says who is calling: the holder of a client key, somebody for whom a trusted issuer vouches, or nobody in particular where that is allowed.
package auth

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/issuer"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/secret"
)

// Caller is who sent a request. The zero value is an anonymous caller.
type Caller struct {
	// Name in records: the id of a client key, or the subject; empty is anonymous.
	Name string
	// Key is the id of the client key; empty for callers without one.
	Key string
	// Subject is for whom an issuer vouches, as [identity.Subject] names it; empty for all others.
	Subject string
	// Team is the id of the caller's team; empty means none.
	Team string
	// Scope is what the caller may use, by the table that it was checked with; nil means everything.
	Scope *route.Scope
	// Priority in a queue: higher ones go first.
	Priority int
}

// Said is what a request says about who sends it: every line of either vendor's header, and what browsers say of the page that sends it.
type Said struct {
	APIKey, Authorization []string
	Origin, Host          string
}

// Config says where a Door stands.
type Config struct {
	// Loopback: the listener can only be reached from this machine.
	Loopback bool
	// ClusterKey is what keys are known again with.
	ClusterKey secret.Key
	// Issuers changes how issuers are asked for their keys.
	Issuers issuer.Config
}

// Deps is what a Door needs of its owner.
type Deps struct {
	Log *slog.Logger
	Now func() time.Time
}

// Door decides who comes in. Safe for concurrent use.
type Door struct {
	loopback bool
	hasher   identity.Hasher
	issuers  *issuer.Verifier
	now      func() time.Time
	refused  map[string]*atomic.Uint64 // by reason; never written to
}

// New makes a Door. Somebody must Run it.
func New(cfg Config, deps Deps) *Door {
	d := &Door{
		loopback: cfg.Loopback, hasher: identity.NewHasher(cfg.ClusterKey), now: deps.Now,
		issuers: issuer.New(cfg.Issuers, issuer.Deps{Log: deps.Log, Now: deps.Now}), refused: make(map[string]*atomic.Uint64),
	}
	for _, why := range reasons() {
		d.refused[why] = new(atomic.Uint64)
	}
	return d
}

// Run fetches issuers' keys until ctx ends.
func (d *Door) Run(ctx context.Context) { d.issuers.Run(ctx) }

// Apply trusts the issuers of a table.
func (d *Door) Apply(t *route.Table) {
	trusts := make([]issuer.Trust, 0, len(t.Auth().Issuers))
	for _, i := range t.Auth().Issuers {
		trusts = append(trusts, issuer.Trust{URL: i.URL, Audience: i.Audience, Algorithms: i.Algorithms, AllowPrivate: i.AllowPrivate})
	}
	d.issuers.Apply(trusts)
}

// Issuers is how the trusted issuers stand.
func (d *Door) Issuers() []issuer.Status { return d.issuers.Status() }

// The reasons for which callers are turned away, in metrics; those of tokens are the issuer room's.
const (
	noKey      = "no_key"
	foreignKey = "foreign_key"
	twoKeys    = "two_keys"
	unknownKey = "unknown_key"
	disabled   = "disabled"
	expired    = "expired"
	revoked    = "revoked"
	claims     = "claims"

	foreignPage = "foreign_page"
)

func reasons() []string {
	all := []string{noKey, foreignKey, twoKeys, unknownKey, disabled, expired, revoked, claims, foreignPage}
	for why := issuer.Malformed; why <= issuer.Unavailable; why++ {
		all = append(all, tokenReason(why))
	}
	return all
}

func tokenReason(why issuer.Why) string { return "token_" + why.String() }

// Refused tells how many callers were turned away, by reason.
func (d *Door) Refused(give func(n float64, labels ...string)) {
	for why, n := range d.refused {
		give(float64(n.Load()), why)
	}
}

func (d *Door) refuse(why, message string) *fault.Fault {
	d.refused[why].Add(1)
	return &fault.Fault{Kind: fault.Unauthenticated, Message: message}
}

// Check says who calls. It waits only for the keys of an issuer of which none have been seen yet, a bounded time.
func (d *Door) Check(ctx context.Context, t *route.Table, said Said) (Caller, *fault.Fault) {
	auth := t.Auth()
	key, other, f := d.read(said, len(auth.Issuers) > 0)
	switch {
	case f != nil:
		return Caller{}, f
	case identity.Claims(identity.Client, key):
		return d.holder(auth, key)
	case identity.Claims(identity.Admin, key):
		return Caller{}, d.refuse(foreignKey, "this is a token of the admin API; requests take a client key, which begins with "+identity.Client.Prefix())
	case key != "":
		return d.vouched(ctx, t, key)
	case auth.Anonymous || d.loopback && auth.Nobody():
		if said.byForeignPage(!auth.Anonymous) {
			return Caller{}, d.refuse(foreignPage, `this comes from a web page of another origin, or for a name that is not this machine's: then a key is wanted, or "auth": {"anonymous": true} for other names`)
		}
		return Caller{}, nil
	case auth.Nobody():
		return Caller{}, d.refuse(noKey, `no client keys are configured, and callers without one are served only on a loopback listener or with "auth": {"anonymous": true}`)
	case other:
		return Caller{}, d.refuse(foreignKey, "the key is none of this gateway's; those begin with "+identity.Client.Prefix())
	}
	return Caller{}, d.refuse(noKey, "this gateway wants a key: send one as x-api-key, or as authorization: Bearer")
}

// read finds the one credential that is meant for this gateway. Clients also send the key of their vendor, or a dummy, in the other header:
// that is other, and nothing here. Two that are meant for this gateway contradict each other.
func (d *Door) read(said Said, tokens bool) (key string, other bool, f *fault.Fault) {
	take := func(value string) {
		value = strings.TrimSpace(value)
		ours := identity.Claims(identity.Client, value) || identity.Claims(identity.Admin, value) || tokens && issuer.Resembles(value)
		switch {
		case value == "":
		case !ours:
			other = true
		case key == "" || key == value:
			key = value
		default:
			f = d.refuse(twoKeys, "the request carries two different keys of this gateway; send one")
		}
	}
	for _, value := range said.APIKey {
		take(value)
	}
	for _, value := range said.Authorization {
		if scheme, rest, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "bearer") {
			take(rest)
		} else if value != "" {
			other = true
		}
	}
	return key, other, f
}

// holder is the caller with a client key. Whether there is a key of that id, and what state it is in, learns only who has the whole of it;
// a key that does not exist takes as long to refuse as one that is wrong.
func (d *Door) holder(auth *route.Auth, key string) (Caller, *fault.Fault) {
	const unknown = "the key is not one of this gateway's"
	id, ok := identity.Parse(identity.Client, key)
	if !ok {
		return Caller{}, d.refuse(unknownKey, unknown)
	}
	var hash []byte
	c := auth.Caller(id)
	if c != nil {
		hash = c.Hash
	}
	if !d.hasher.Proves(key, hash) {
		return Caller{}, d.refuse(unknownKey, unknown)
	}
	switch {
	case c.RevokedMs != 0:
		return Caller{}, d.refuse(revoked, "the key was revoked at "+moment(c.RevokedMs))
	case c.Disabled:
		return Caller{}, d.refuse(disabled, "the key is disabled")
	case c.ExpiresMs != 0 && d.now().UnixMilli() >= c.ExpiresMs:
		return Caller{}, d.refuse(expired, "the key expired at "+moment(c.ExpiresMs))
	}
	return Caller{Name: c.ID, Key: c.ID, Team: c.Team, Scope: c.Scope, Priority: c.Priority}, nil
}

func moment(unixMs int64) string { return time.UnixMilli(unixMs).UTC().Format(time.RFC3339) }

// IsLoopback says whether a listener's address can only be reached from this machine.
func IsLoopback(addr net.Addr) bool {
	if addr == nil || addr.Network() == "unix" || addr.Network() == "memory" {
		return true
	}
	at, err := netip.ParseAddrPort(addr.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}
