package admin

import (
	"context"
	"slices"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// sumsBy is what sums can be by.
var sumsBy = []string{"day", "key", "team", "provider", "model"}

// SumUsage implements LedgerService.
func (s *service) SumUsage(_ context.Context, r *connect.Request[adminv1.SumUsageRequest]) (*connect.Response[adminv1.SumUsageResponse], error) {
	for _, by := range r.Msg.GetBy() {
		if !slices.Contains(sumsBy, by) {
			return nil, coded(refuse(connect.CodeInvalidArgument, "by: %q: want day, key, team, provider or model", by))
		}
	}
	for _, day := range [...]struct{ name, is string }{{"since", r.Msg.GetSince()}, {"until", r.Msg.GetUntil()}} {
		if _, err := time.Parse(time.DateOnly, day.is); day.is != "" && err != nil {
			return nil, coded(refuse(connect.CodeInvalidArgument, "%s: %q: want a day as in 2026-11-23", day.name, day.is))
		}
	}
	return connect.NewResponse(s.deps.Usage(r.Msg)), nil
}
