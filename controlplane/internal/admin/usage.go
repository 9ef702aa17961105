package admin

import (
	"context"
	"slices"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// sumsBy is what sums can be by.
var sumsBy = []string{"day", "key", "team", "provider", "model", "region"}

// SumUsage implements LedgerService.
func (s *service) SumUsage(_ context.Context, r *connect.Request[adminv1.SumUsageRequest]) (*connect.Response[adminv1.SumUsageResponse], error) {
	for _, by := range r.Msg.GetBy() {
		if !slices.Contains(sumsBy, by) {
			return nil, coded(refuse(connect.CodeInvalidArgument, "by: %q: want day, key, team, provider, model or region", by))
		}
	}
	for _, day := range [...]struct{ name, is string }{{"since", r.Msg.GetSince()}, {"until", r.Msg.GetUntil()}} {
		if _, err := time.Parse(time.DateOnly, day.is); day.is != "" && err != nil {
			return nil, coded(refuse(connect.CodeInvalidArgument, "%s: %q: want a day as in 2026-11-23", day.name, day.is))
		}
	}
	answer := s.deps.Usage(r.Msg)
	view, _ := s.deps.Board.View()
	answer.Regions = missing(answer.GetRegions(), view, time.Now())
	return connect.NewResponse(answer), nil
}

// awayFor is for how long a region of which no node is heard is told of: it may have been taken down.
const awayFor = 7 * 24 * time.Hour

// waitingUsual is how many blocks may be on their way from a node.
const waitingUsual = 1

// missing says of each region what of it is not in the sums, and leaves those out that have been gone for long. Of a region whose nodes have not had the
// time to speak it says nothing.
func missing(regions []*adminv1.RegionUsage, view *View, now time.Time) (told []*adminv1.RegionUsage) {
	for _, r := range regions {
		live := view.Listening
		for _, n := range view.Nodes {
			if n.GetLive() && n.GetHeartbeat().GetRegion() == r.GetRegion() {
				live = true
				if waiting := n.GetHeartbeat().GetUsageBlocksWaiting(); waiting > waitingUsual {
					r.BlocksWaiting += uint64(waiting)
				}
			}
		}
		if r.Silent = !live; live || now.Sub(time.UnixMilli(r.GetRecordedUnixMs())) < awayFor {
			told = append(told, r)
		}
	}
	return told
}
