package admin

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// ListNodes implements NodeService.
func (s *service) ListNodes(ctx context.Context, _ *connect.Request[adminv1.ListNodesRequest]) (*connect.Response[adminv1.ListNodesResponse], error) {
	view, err := s.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.ListNodesResponse{Revision: view.Revision, Nodes: view.Nodes}), nil
}

// WatchNodes implements NodeService.
func (s *service) WatchNodes(ctx context.Context, _ *connect.Request[adminv1.WatchNodesRequest], stream *connect.ServerStream[adminv1.WatchNodesResponse]) error {
	return watchReady(ctx, s, stream, func(view *View) *adminv1.WatchNodesResponse {
		return &adminv1.WatchNodesResponse{Revision: view.Revision, Nodes: view.Nodes}
	}, func(a, b *adminv1.WatchNodesResponse) bool {
		return a.GetRevision() == b.GetRevision() && slices.EqualFunc(a.GetNodes(), b.GetNodes(), sameStanding)
	})
}

// sameStanding compares what says how a node stands; that it was heard once more says nothing.
func sameStanding(a, b *adminv1.NodeEntry) bool {
	x, y := a.GetHeartbeat(), b.GetHeartbeat()
	return a.GetLive() == b.GetLive() && a.GetDrift() == b.GetDrift() && a.GetOutlier() == b.GetOutlier() &&
		x.GetNode() == y.GetNode() && x.GetBoot() == y.GetBoot() && x.GetSource() == y.GetSource() && x.GetDraining() == y.GetDraining() &&
		x.GetApplied().GetConfigRevision() == y.GetApplied().GetConfigRevision() && x.GetNack().GetConfigRevision() == y.GetNack().GetConfigRevision()
}

// GetConvergence implements NodeService.
func (s *service) GetConvergence(ctx context.Context, _ *connect.Request[adminv1.GetConvergenceRequest]) (*connect.Response[adminv1.GetConvergenceResponse], error) {
	view, err := s.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.GetConvergenceResponse{Recent: view.Convergence}), nil
}

// WaitForRevision implements NodeService.
func (s *service) WaitForRevision(ctx context.Context, r *connect.Request[adminv1.WaitForRevisionRequest]) (*connect.Response[adminv1.WaitForRevisionResponse], error) {
	revision, least := r.Msg.GetRevision(), int(r.Msg.GetMinNodes())
	for {
		view, changed := s.deps.Board.View()
		if view.Ready() && view.Revision >= revision {
			applied, waiting, refusing := progress(view, revision)
			switch {
			case len(refusing) > 0:
				return nil, coded(refuse(connect.CodeFailedPrecondition, "revision %d is refused by %s", revision, strings.Join(refusing, ", ")))
			case waiting == 0 && applied >= least && (least > 0 || !view.Listening):
				answer := &adminv1.WaitForRevisionResponse{Convergence: convergence(view, revision)}
				if applied == 0 {
					answer.Note = "no node is heard: revision " + strconv.FormatUint(revision, 10) + " is in force, and nobody routes by it"
				}
				return connect.NewResponse(answer), nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, coded(ctx.Err())
		}
	}
}

// progress counts the live nodes that have applied the revision and those that have not, and names those that refuse it or a later one.
func progress(view *View, revision uint64) (applied, waiting int, refusing []string) {
	for _, node := range view.Nodes {
		said := node.GetHeartbeat()
		switch {
		case !node.GetLive():
			continue
		case said.GetApplied().GetConfigRevision() >= revision:
			applied++
			continue
		}
		waiting++
		if nack := said.GetNack(); nack.GetConfigRevision() >= revision && nack.GetConfigRevision() > 0 {
			refusing = append(refusing, strings.TrimSpace(said.GetNode()+": "+nack.GetPath()+" "+nack.GetReason()))
		}
	}
	return applied, waiting, refusing
}

// convergence is how the revision spread; a later one stands in for a revision that was replaced before it was published.
func convergence(view *View, revision uint64) *adminv1.Convergence {
	for _, c := range view.Convergence {
		if c.GetConfigRevision() >= revision {
			return c
		}
	}
	return &adminv1.Convergence{ConfigRevision: revision}
}
