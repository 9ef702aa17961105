package admin

import (
	"cmp"
	"context"
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
	answer, uses := &adminv1.ListLimitsResponse{Revision: view.Revision}, usesOf(view)
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
	return connect.NewResponse(&adminv1.GetLimitResponse{Revision: view.Revision, Limit: limitEntry(view, scope, usesOf(view))}), nil
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
	return connect.NewResponse(&adminv1.SetLimitResponse{Revision: revision, Limit: limitEntry(view, scope, usesOf(view))}), nil
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
	uses := slices.DeleteFunc(usesOf(view), func(u *adminv1.LimitUse) bool { return !strings.HasPrefix(u.GetScope(), r.Msg.GetScope()) })
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
		"there is no scope %q: want all, key/ID, team/ID, provider/ID, provider/ID/keys or provider/ID/model/MODEL, of what the catalog lists", scope)
}

// limitEntry is a scope as it is told: the keys of a pool are met by their fingerprints.
func limitEntry(view *View, scope string, uses []*adminv1.LimitUse) *adminv1.LimitEntry {
	limits, _ := catalog.LimitsAt(view.Document.GetCatalog(), scope)
	e := &adminv1.LimitEntry{Scope: scope, Limits: limits}
	pool, isPool := strings.CutSuffix(scope, "/keys")
	for _, u := range uses {
		if u.GetScope() == scope || isPool && strings.HasPrefix(scope, "provider/") && strings.HasPrefix(u.GetScope(), pool+"/key/") {
			e.Uses = append(e.Uses, u)
		}
	}
	return e
}

// Uses is how far every limit is used in the whole cluster.
func Uses(view *View) []*adminv1.LimitUse { return usesOf(view) }

// usesOf adds up what the live nodes have told, in the order of scope and what. Slots and money are told by each node for itself; of units a
// node knows what is left to all, and who asked last knows best: that is who knows of least.
func usesOf(view *View) []*adminv1.LimitUse {
	type sum struct{ limit, inUse, left, beyond int64 }
	sums, uses := map[[2]string]*sum{}, map[[2]string]*adminv1.LimitUse{}
	for _, node := range view.Nodes {
		if !node.GetLive() {
			continue
		}
		for _, sign := range node.GetHeartbeat().GetLimits() {
			at := [2]string{sign.GetScope(), sign.GetWhat()}
			if sums[at] == nil {
				sums[at], uses[at] = &sum{left: sign.GetLeft()}, &adminv1.LimitUse{Scope: at[0], What: at[1]}
			}
			one := sums[at]
			one.limit, one.left = max(one.limit, sign.GetLimit()), min(one.left, sign.GetLeft())
			one.inUse, one.beyond = one.inUse+sign.GetInUse(), one.beyond+sign.GetBeyond()
			uses[at].Refused += sign.GetRefused()
		}
	}
	list := make([]*adminv1.LimitUse, 0, len(uses))
	for at, u := range uses {
		one, unit := sums[at], 1.0
		used := one.inUse
		if at[1] != "in_flight" {
			used = max(used, one.limit-one.left)
		}
		if strings.HasPrefix(at[1], "dollars") {
			unit = 1e-9
		}
		u.Limit, u.Used, u.Beyond = float64(one.limit)*unit, float64(max(used, 0))*unit, uint64(max(one.beyond, 0))
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b *adminv1.LimitUse) int {
		return cmp.Or(cmp.Compare(a.GetScope(), b.GetScope()), cmp.Compare(a.GetWhat(), b.GetWhat()))
	})
	return list
}
