package admin

import (
	"context"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// GetTable implements TableService.
func (s *service) GetTable(ctx context.Context, _ *connect.Request[adminv1.GetTableRequest]) (*connect.Response[adminv1.GetTableResponse], error) {
	view, err := s.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.GetTableResponse{
		Config: unsealed(view.Config), Health: view.Health, ControlPlane: s.id, Leading: view.Leading,
	}), nil
}

// unsealed leaves the sealed keys, the hashes of client keys and the plugin's megabytes out: nobody but a node needs them.
func unsealed(c *tablev1.Config) *tablev1.Config {
	c = proto.CloneOf(c)
	if c.GetPolicy() != nil {
		c.Policy.Plugin = nil
	}
	for _, p := range c.GetProviders() {
		for _, credential := range p.GetCredentials() {
			credential.Sealed = nil
		}
	}
	for _, caller := range c.GetAuth().GetCallers() {
		caller.Hash = nil
	}
	return c
}

// WatchTable implements TableService.
func (s *service) WatchTable(ctx context.Context, _ *connect.Request[adminv1.WatchTableRequest], stream *connect.ServerStream[adminv1.WatchTableResponse]) error {
	return watchReady(ctx, s, stream, func(view *View) *adminv1.WatchTableResponse {
		return &adminv1.WatchTableResponse{Config: unsealed(view.Config), Health: view.Health}
	}, func(a, b *adminv1.WatchTableResponse) bool {
		return a.GetConfig().GetHeader().GetConfigRevision() == b.GetConfig().GetHeader().GetConfigRevision() &&
			slices.EqualFunc(a.GetHealth().GetTargets(), b.GetHealth().GetTargets(), sameState)
	})
}

func sameState(a, b *tablev1.TargetHealth) bool {
	return a.GetProvider() == b.GetProvider() && a.GetModel() == b.GetModel() && a.GetCredential() == b.GetCredential() && a.GetState() == b.GetState()
}

// GetHealth implements HealthService.
func (s *service) GetHealth(ctx context.Context, _ *connect.Request[adminv1.GetHealthRequest]) (*connect.Response[adminv1.GetHealthResponse], error) {
	view, err := s.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.GetHealthResponse{Health: view.Health}), nil
}

// WatchHealth implements HealthService.
func (s *service) WatchHealth(ctx context.Context, _ *connect.Request[adminv1.WatchHealthRequest], stream *connect.ServerStream[adminv1.WatchHealthResponse]) error {
	return watchReady(ctx, s, stream, func(view *View) *adminv1.WatchHealthResponse {
		return &adminv1.WatchHealthResponse{Health: view.Health}
	}, func(a, b *adminv1.WatchHealthResponse) bool {
		return slices.EqualFunc(a.GetHealth().GetTargets(), b.GetHealth().GetTargets(), func(x, y *tablev1.TargetHealth) bool { return proto.Equal(x, y) })
	})
}

// overrides are what an operator may decide.
var overrides = []string{"", "drain", "open", "closed"}

const reasonBytesMax = 500

// SetOverride implements HealthService.
func (s *service) SetOverride(ctx context.Context, r *connect.Request[adminv1.SetOverrideRequest]) (*connect.Response[adminv1.SetOverrideResponse], error) {
	id, override := r.Msg.GetProvider(), r.Msg.GetOverride()
	switch {
	case !slices.Contains(overrides, override.GetState()):
		return nil, coded(refuse(connect.CodeInvalidArgument, "override.state: %q: want drain, open, closed, or nothing to end an override", override.GetState()))
	case override.GetExpiresUnixMs() < 0:
		return nil, coded(refuse(connect.CodeInvalidArgument, "override.expires_unix_ms: %d: must not be negative", override.GetExpiresUnixMs()))
	case override.GetExpiresUnixMs() != 0 && override.GetExpiresUnixMs() <= time.Now().UnixMilli():
		return nil, coded(refuse(connect.CodeInvalidArgument, "override.expires_unix_ms: %d: has passed", override.GetExpiresUnixMs()))
	case len(override.GetReason()) > reasonBytesMax:
		return nil, coded(refuse(connect.CodeInvalidArgument, "override.reason: is longer than %d bytes", reasonBytesMax))
	}
	_, revision, err := s.write(ctx, 0, func(doc *adminv1.Document) error {
		if doc.GetCatalog().GetProviders()[id] == nil {
			return none("provider", id, doc.GetCatalog().GetProviders())
		}
		if override.GetState() == "" {
			delete(doc.GetOverrides(), id)
			return nil
		}
		if doc.Overrides == nil {
			doc.Overrides = map[string]*tablev1.Override{}
		}
		doc.Overrides[id] = proto.CloneOf(override)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.SetOverrideResponse{Revision: revision}), nil
}

// GetUsage implements UsageService.
func (s *service) GetUsage(ctx context.Context, _ *connect.Request[adminv1.GetUsageRequest]) (*connect.Response[adminv1.GetUsageResponse], error) {
	view, err := s.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.GetUsageResponse{Usage: view.Usage}), nil
}

// ListRequests implements UsageService.
func (s *service) ListRequests(_ context.Context, r *connect.Request[adminv1.ListRequestsRequest]) (*connect.Response[adminv1.ListRequestsResponse], error) {
	for _, status := range r.Msg.GetFilter().GetStatuses() {
		if !isStatus(status) {
			return nil, coded(refuse(connect.CodeInvalidArgument, "filter.statuses: %q: want a status such as 503, or 5xx for all that begin so", status))
		}
	}
	if n := len(r.Msg.GetFilter().GetText()); n > filterTextMax {
		return nil, coded(refuse(connect.CodeInvalidArgument, "filter.text: is %d bytes long; at most %d", n, filterTextMax))
	}
	return connect.NewResponse(s.deps.Requests(r.Msg)), nil
}

// filterTextMax bounds what every remembered request is looked through for.
const filterTextMax = 256

// isStatus takes 100 to 599, with xx in the place of any two last digits.
func isStatus(text string) bool {
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	return len(text) == 3 && text[0] >= '1' && text[0] <= '5' && (text[1:] == "xx" || digit(text[1]) && digit(text[2]))
}
