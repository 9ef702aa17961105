package admin

import (
	"context"
	"maps"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/controlplane/internal/notify"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// Webhooks is how it goes for webhooks, and a way to try one.
type Webhooks interface {
	States() map[string]notify.State
	// Test sends a test event at once.
	Test(ctx context.Context, name string) (status int, err error)
}

// ListWebhooks implements WebhookService.
func (s *service) ListWebhooks(ctx context.Context, _ *connect.Request[adminv1.ListWebhooksRequest]) (*connect.Response[adminv1.ListWebhooksResponse], error) {
	view, err := s.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListWebhooksResponse{Revision: view.Revision}
	for _, name := range slices.Sorted(maps.Keys(view.Document.GetCatalog().GetWebhooks())) {
		answer.Webhooks = append(answer.GetWebhooks(), s.webhookEntry(view, name))
	}
	return connect.NewResponse(answer), nil
}

func (s *service) webhookEntry(view *View, name string) *adminv1.WebhookEntry {
	state := s.deps.Webhooks.States()[name]
	return &adminv1.WebhookEntry{
		Name: name, Webhook: catalog.RedactWebhook(view.Document.GetCatalog().GetWebhooks()[name]), Problem: state.Problem,
		Delivered: state.Fates[notify.Delivered], Dropped: state.Dropped(), Queued: uint32(state.Queued), LastError: state.LastError,
	}
}

// SetWebhook implements WebhookService.
func (s *service) SetWebhook(ctx context.Context, r *connect.Request[adminv1.SetWebhookRequest]) (*connect.Response[adminv1.SetWebhookResponse], error) {
	name := r.Msg.GetName()
	asked := r.Msg.GetWebhook()
	if asked == nil {
		asked = &adminv1.Webhook{}
	}
	view, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		merged, problems := catalog.MergeWebhook(name, doc.GetCatalog().GetWebhooks()[name], asked)
		if len(problems) > 0 {
			return catalog.Problems(problems)
		}
		if doc.Catalog.Webhooks == nil {
			doc.Catalog.Webhooks = map[string]*adminv1.Webhook{}
		}
		doc.Catalog.Webhooks[name] = proto.CloneOf(merged)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.SetWebhookResponse{Revision: revision, Webhook: s.webhookEntry(view, name)}), nil
}

// DeleteWebhook implements WebhookService.
func (s *service) DeleteWebhook(ctx context.Context, r *connect.Request[adminv1.DeleteWebhookRequest]) (*connect.Response[adminv1.DeleteWebhookResponse], error) {
	name := r.Msg.GetName()
	_, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		if doc.GetCatalog().GetWebhooks()[name] == nil {
			return refuse(connect.CodeNotFound, "there is no webhook %q", name)
		}
		delete(doc.GetCatalog().GetWebhooks(), name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.DeleteWebhookResponse{Revision: revision}), nil
}

// TestWebhook implements WebhookService.
func (s *service) TestWebhook(ctx context.Context, r *connect.Request[adminv1.TestWebhookRequest]) (*connect.Response[adminv1.TestWebhookResponse], error) {
	view, err := s.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	if view.Document.GetCatalog().GetWebhooks()[r.Msg.GetName()] == nil {
		return nil, coded(refuse(connect.CodeNotFound, "there is no webhook %q", r.Msg.GetName()))
	}
	status, err := s.deps.Webhooks.Test(ctx, r.Msg.GetName())
	answer := &adminv1.TestWebhookResponse{Status: uint32(max(status, 0))}
	if err != nil {
		answer.Error = err.Error()
	}
	return connect.NewResponse(answer), nil
}
