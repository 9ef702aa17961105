package admin

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// ListLimits implements LimitService.
func (s *service) ListLimits(ctx context.Context, r *connect.Request[adminv1.ListLimitsRequest]) (*connect.Response[adminv1.ListLimitsResponse], error) {
	view, err := s.at(ctx, r.Msg.GetMinRevision())
	if err != nil {
		return nil, err
	}
	answer, uses := &adminv1.ListLimitsResponse{Revision: view.Revision}, Uses(view)
	for _, scope := range catalog.LimitScopes(view.Document.GetCatalog()) {
		answer.Limits = append(answer.Limits, limitEntry(view, scope, uses))
	}
	return connect.NewResponse(answer), nil
}

// GetLimit implements LimitService.
func (s *service) GetLimit(ctx context.Context, r *connect.Request[adminv1.GetLimitRequest]) (*connect.Response[adminv1.GetLimitResponse], error) {
	view, err := s.at(ctx, r.Msg.GetMinRevision())
	if err != nil {
		return nil, err
	}
	scope := r.Msg.GetScope()
	if _, ok := catalog.LimitsAt(view.Document.GetCatalog(), scope); !ok {
		return nil, coded(noScope(scope))
	}
	return connect.NewResponse(&adminv1.GetLimitResponse{Revision: view.Revision, Limit: limitEntry(view, scope, Uses(view))}), nil
}

// SetLimit implements LimitService.
func (s *service) SetLimit(ctx context.Context, r *connect.Request[adminv1.SetLimitRequest]) (*connect.Response[adminv1.SetLimitResponse], error) {
	scope, limits := r.Msg.GetScope(), r.Msg.GetLimits()
	if limits == nil {
		return nil, coded(refuse(connect.CodeInvalidArgument, "limits: is missing; UnsetLimit takes limits away"))
	}
	view, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		if !catalog.SetLimits(doc.GetCatalog(), scope, limits) {
			return noScope(scope)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.SetLimitResponse{Revision: revision, Limit: limitEntry(view, scope, Uses(view))}), nil
}

// UnsetLimit implements LimitService.
func (s *service) UnsetLimit(ctx context.Context, r *connect.Request[adminv1.UnsetLimitRequest]) (*connect.Response[adminv1.UnsetLimitResponse], error) {
	scope := r.Msg.GetScope()
	_, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		if !catalog.SetLimits(doc.GetCatalog(), scope, nil) {
			return noScope(scope)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.UnsetLimitResponse{Revision: revision}), nil
}

// ListUses implements LimitService.
func (s *service) ListUses(ctx context.Context, r *connect.Request[adminv1.ListUsesRequest]) (*connect.Response[adminv1.ListUsesResponse], error) {
	view, err := s.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	uses := slices.DeleteFunc(Uses(view), func(u *adminv1.LimitUse) bool { return !strings.HasPrefix(u.GetScope(), r.Msg.GetScope()) })
	fullness := func(u *adminv1.LimitUse) float64 { return u.GetUsed() / max(u.GetLimit(), 1e-9) }
	slices.SortStableFunc(uses, func(a, b *adminv1.LimitUse) int {
		return cmp.Or(cmp.Compare(fullness(b), fullness(a)), cmp.Compare(b.GetRefused(), a.GetRefused()))
	})
	if top := int(r.Msg.GetTop()); top > 0 && top < len(uses) {
		uses = uses[:top]
	}
	return connect.NewResponse(&adminv1.ListUsesResponse{Uses: uses}), nil
}

func noScope(scope string) error {
	return refuse(connect.CodeNotFound,
		"there is no scope %q: want all, key/ID, team/ID, issuer/ID/subjects, provider/ID, provider/ID/keys or provider/ID/model/MODEL, of what the catalog lists", scope)
}

// limitEntry is a scope as it is told: the keys of a pool are met by their fingerprints, the subjects of an issuer by their names.
func limitEntry(view *View, scope string, uses []*adminv1.LimitUse) *adminv1.LimitEntry {
	limits, _ := catalog.LimitsAt(view.Document.GetCatalog(), scope)
	e := &adminv1.LimitEntry{Scope: scope, Limits: limits}
	for _, u := range uses {
		if catalog.SharedScope(u.GetScope()) == scope {
			e.Uses = append(e.Uses, u)
		}
	}
	return e
}

// Uses is how far every limit is used in the whole cluster, in the order of scope and what: what the live nodes have told, added up. Slots and money
// are told by each node for itself; of units a node knows what is left of its region's part, and who asked last knows best: that is who knows of
// least.
func Uses(view *View) []*adminv1.LimitUse {
	type part struct{ limit, inUse, left, beyond int64 }
	uses, parts := map[[2]string]*adminv1.LimitUse{}, map[[3]string]*part{}
	for _, node := range view.Nodes {
		if !node.GetLive() {
			continue
		}
		for _, sign := range node.GetHeartbeat().GetLimits() {
			at := [2]string{sign.GetScope(), sign.GetWhat()}
			if uses[at] == nil {
				uses[at] = &adminv1.LimitUse{Scope: at[0], What: at[1]}
			}
			uses[at].Refused += sign.GetRefused()
			in := [3]string{at[0], at[1], node.GetHeartbeat().GetRegion()}
			if parts[in] == nil {
				parts[in] = &part{left: sign.GetLeft()}
			}
			one := parts[in]
			one.limit, one.left = max(one.limit, sign.GetLimit()), min(one.left, sign.GetLeft())
			one.inUse, one.beyond = one.inUse+sign.GetInUse(), one.beyond+sign.GetBeyond()
		}
	}
	for in, one := range parts {
		u, used, unit := uses[[2]string{in[0], in[1]}], one.inUse, 1.0
		if u.GetWhat() != "in_flight" {
			used = max(used, one.limit-one.left)
		}
		if strings.HasPrefix(u.GetWhat(), "dollars") {
			unit = 1e-9
		}
		u.Limit += float64(one.limit) * unit
		u.Used += float64(max(used, 0)) * unit
		u.Beyond += uint64(max(one.beyond, 0))
	}
	fill(view.Document.GetCatalog(), uses)
	return slices.SortedFunc(maps.Values(uses), func(a, b *adminv1.LimitUse) int {
		return cmp.Or(cmp.Compare(a.GetScope(), b.GetScope()), cmp.Compare(a.GetWhat(), b.GetWhat()))
	})
}

// whats are what can be limited, by the names in LimitUse.
var whats = [...]string{"in_flight", "requests", "tokens", "input_tokens", "output_tokens", "dollars_per_day", "dollars_per_month"}

// fill takes the whole limits from the catalog: of what is not used, nodes and regions tell nothing.
func fill(cat *adminv1.Catalog, uses map[[2]string]*adminv1.LimitUse) {
	for _, u := range uses {
		limits, _ := catalog.LimitsAt(cat, catalog.SharedScope(u.GetScope()))
		if whole := configured(limits, u.GetWhat()); whole > 0 {
			u.Limit = whole
		}
	}
	for _, scope := range catalog.LimitScopes(cat) {
		if strings.HasSuffix(scope, "/keys") || strings.HasSuffix(scope, "/subjects") {
			continue // they are met one by one
		}
		limits, _ := catalog.LimitsAt(cat, scope)
		for _, what := range whats {
			at := [2]string{scope, what}
			if whole := configured(limits, what); whole > 0 && uses[at] == nil {
				uses[at] = &adminv1.LimitUse{Scope: scope, What: what, Limit: whole}
			}
		}
	}
}

// configured is the limit of that, 0 for none.
func configured(l *adminv1.Limits, what string) float64 {
	switch what {
	case "in_flight":
		return float64(l.GetMaxConcurrentRequests())
	case "requests":
		return float64(l.GetRequestsPerMinute())
	case "tokens":
		return float64(l.GetTokensPerMinute())
	case "input_tokens":
		return float64(l.GetInputTokensPerMinute())
	case "output_tokens":
		return float64(l.GetOutputTokensPerMinute())
	case "dollars_per_day":
		return l.GetDollarsPerDay()
	case "dollars_per_month":
		return l.GetDollarsPerMonth()
	}
	return 0
}
