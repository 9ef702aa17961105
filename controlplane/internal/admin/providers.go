package admin

import (
	"context"
	"errors"
	"maps"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/spelling"
)

// ListProviders implements ProviderService.
func (s *service) ListProviders(ctx context.Context, r *connect.Request[adminv1.ListProvidersRequest]) (*connect.Response[adminv1.ListProvidersResponse], error) {
	view, err := s.at(ctx, r.Msg.GetMinRevision())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.ListProvidersResponse{Revision: view.Revision, Providers: entries(view)}), nil
}

// GetProvider implements ProviderService.
func (s *service) GetProvider(ctx context.Context, r *connect.Request[adminv1.GetProviderRequest]) (*connect.Response[adminv1.GetProviderResponse], error) {
	view, err := s.at(ctx, r.Msg.GetMinRevision())
	if err != nil {
		return nil, err
	}
	found := entry(view, r.Msg.GetId())
	if found == nil {
		return nil, coded(none("provider", r.Msg.GetId(), view.Document.GetCatalog().GetProviders()))
	}
	return connect.NewResponse(&adminv1.GetProviderResponse{Revision: view.Revision, Provider: found}), nil
}

// CreateProvider implements ProviderService.
func (s *service) CreateProvider(ctx context.Context, r *connect.Request[adminv1.CreateProviderRequest]) (*connect.Response[adminv1.CreateProviderResponse], error) {
	id := r.Msg.GetId()
	view, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		if doc.GetCatalog().GetProviders()[id] != nil {
			return refuse(connect.CodeAlreadyExists, "provider %q exists already", id)
		}
		return put(doc, id, r.Msg.GetProvider())
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.CreateProviderResponse{Revision: revision, Provider: entry(view, id)}), nil
}

// UpdateProvider implements ProviderService.
func (s *service) UpdateProvider(ctx context.Context, r *connect.Request[adminv1.UpdateProviderRequest]) (*connect.Response[adminv1.UpdateProviderResponse], error) {
	id := r.Msg.GetId()
	view, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		if doc.GetCatalog().GetProviders()[id] == nil {
			return none("provider", id, doc.GetCatalog().GetProviders())
		}
		return put(doc, id, r.Msg.GetProvider())
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.UpdateProviderResponse{Revision: revision, Provider: entry(view, id)}), nil
}

// put sets a provider; every [secret] in it becomes the key that is stored.
func put(doc *adminv1.Document, id string, p *adminv1.Provider) error {
	if p == nil {
		p = &adminv1.Provider{}
	}
	merged, problems := catalog.MergeSecrets(id, doc.GetCatalog().GetProviders()[id], p)
	if len(problems) > 0 {
		return catalog.Problems(problems)
	}
	if doc.Catalog.Providers == nil {
		doc.Catalog.Providers = map[string]*adminv1.Provider{}
	}
	doc.Catalog.Providers[id] = merged
	return nil
}

// DeleteProvider implements ProviderService.
func (s *service) DeleteProvider(ctx context.Context, r *connect.Request[adminv1.DeleteProviderRequest]) (*connect.Response[adminv1.DeleteProviderResponse], error) {
	id := r.Msg.GetId()
	_, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		if doc.GetCatalog().GetProviders()[id] == nil {
			return none("provider", id, doc.GetCatalog().GetProviders())
		}
		delete(doc.GetCatalog().GetProviders(), id)
		delete(doc.GetOverrides(), id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.DeleteProviderResponse{Revision: revision}), nil
}

// WatchProviders implements ProviderService.
func (s *service) WatchProviders(ctx context.Context, _ *connect.Request[adminv1.WatchProvidersRequest], stream *connect.ServerStream[adminv1.WatchProvidersResponse]) error {
	return watchReady(ctx, s, stream, func(view *View) *adminv1.WatchProvidersResponse {
		return &adminv1.WatchProvidersResponse{Revision: view.Revision, Providers: entries(view)}
	}, equal)
}

// none refuses an id that nobody has among all of that kind, and names the one that was probably meant.
func none[T any](what, id string, all map[string]T) error {
	ids := slices.Sorted(maps.Keys(all))
	return refuse(connect.CodeNotFound, "there is no %s %q%s", what, id, spelling.Meant(id, len(ids), func(i int) string { return ids[i] }))
}

// entries are all providers in the order of their ids.
func entries(view *View) []*adminv1.ProviderEntry {
	var all []*adminv1.ProviderEntry
	for _, id := range slices.Sorted(maps.Keys(view.Document.GetCatalog().GetProviders())) {
		all = append(all, entry(view, id))
	}
	return all
}

// entry is one provider as it may be shown; nil if there is none of that id.
func entry(view *View, id string) *adminv1.ProviderEntry {
	asked := view.Document.GetCatalog().GetProviders()[id]
	if asked == nil {
		return nil
	}
	shown := &adminv1.ProviderEntry{Id: id, Provider: catalog.Redact(asked)}
	if whole := wholeOf(view.Health, id); whole != nil {
		shown.State, shown.Check = whole.GetState(), whole.GetCheck()
	}
	for _, p := range view.Config.GetProviders() {
		if p.GetId() != id {
			continue
		}
		shown.Enabled, shown.DisabledReason = p.GetEnabled(), p.GetDisabledReason()
		for _, c := range p.GetCredentials() {
			shown.Credentials = append(shown.Credentials, c.GetFingerprint())
		}
	}
	return shown
}

// wholeOf is what is known of a provider as a whole; nil when nothing is.
func wholeOf(health *tablev1.Health, id string) *tablev1.TargetHealth {
	for _, target := range health.GetTargets() {
		if target.GetProvider() == id && target.GetModel() == "" && target.GetCredential() == "" {
			return target
		}
	}
	return nil
}

// GetRouting implements RoutingService.
func (s *service) GetRouting(ctx context.Context, _ *connect.Request[adminv1.GetRoutingRequest]) (*connect.Response[adminv1.GetRoutingResponse], error) {
	view, err := s.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.GetRoutingResponse{Revision: view.Revision, Routing: view.Document.GetCatalog().GetRouting()}), nil
}

// UpdateRouting implements RoutingService.
func (s *service) UpdateRouting(ctx context.Context, r *connect.Request[adminv1.UpdateRoutingRequest]) (*connect.Response[adminv1.UpdateRoutingResponse], error) {
	view, revision, err := s.write(ctx, r.Msg.GetRevision(), func(doc *adminv1.Document) error {
		doc.Catalog.Routing = proto.CloneOf(r.Msg.GetRouting())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.UpdateRoutingResponse{Revision: revision, Routing: view.Document.GetCatalog().GetRouting()}), nil
}

// Explain implements RoutingService.
func (s *service) Explain(ctx context.Context, r *connect.Request[adminv1.ExplainRequest]) (*connect.Response[adminv1.ExplainResponse], error) {
	if r.Msg.GetRequest() == nil {
		return nil, coded(refuse(connect.CodeInvalidArgument, "request: is missing"))
	}
	explanation, err := s.deps.Explain(ctx, r.Msg.GetNode(), r.Msg.GetRequest())
	switch {
	case errors.Is(err, bus.ErrNobody) && r.Msg.GetNode() == "":
		return nil, coded(refuse(connect.CodeUnavailable, "there is no node that could explain"))
	case errors.Is(err, bus.ErrNobody):
		return nil, coded(refuse(connect.CodeUnavailable, "node %q does not answer", r.Msg.GetNode()))
	case err != nil:
		return nil, coded(err)
	}
	return connect.NewResponse(&adminv1.ExplainResponse{Explanation: explanation}), nil
}
