package admin

import (
	"context"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// GetAuth implements AuthService.
func (s *service) GetAuth(ctx context.Context, r *connect.Request[adminv1.GetAuthRequest]) (*connect.Response[adminv1.GetAuthResponse], error) {
	view, err := s.at(ctx, r.Msg.GetMinRevision())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.GetAuthResponse{Revision: view.Revision, Auth: view.Document.GetCatalog().GetAuth()}), nil
}

// UpdateAuth implements AuthService.
func (s *service) UpdateAuth(ctx context.Context, r *connect.Request[adminv1.UpdateAuthRequest]) (*connect.Response[adminv1.UpdateAuthResponse], error) {
	view, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		doc.Catalog.Auth = proto.CloneOf(r.Msg.GetAuth())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.UpdateAuthResponse{
		Revision: revision, Auth: view.Document.GetCatalog().GetAuth(), Reach: s.reach(ctx, revision, r.Msg.GetWait()),
	}), nil
}
