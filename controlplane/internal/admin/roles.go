package admin

import (
	"slices"
	"strings"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/controlplane/internal/ui"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

// Role is what a caller may do; each holds everything that those before it do. The zero value may do nothing.
type Role uint8

// The roles.
const (
	Nobody   Role = iota
	Viewer        // reads everything that is no secret
	Operator      // changes what serves traffic: providers with their keys, routing, limits, client keys, health by hand
	Admin         // makes tokens, and lets the control plane read its own files and environment
)

// ParseRole reads a role's name; false for none.
func ParseRole(name string) (Role, bool) {
	i := slices.Index(catalog.Roles, name)
	return Role(i + 1), i >= 0
}

// String is the role's name.
func (r Role) String() string {
	if r == Nobody || int(r) > len(catalog.Roles) {
		return "nobody"
	}
	return catalog.Roles[r-1]
}

// everybody marks what is answered without asking who it is: what probers need, and what tells nothing of this cluster.
const everybody = Nobody

// needs is the role that what is at a path takes; false for what has no row, which nobody gets.
func needs(path string) (Role, bool) {
	if strings.HasPrefix(path, ui.Prefix) {
		return everybody, true
	}
	role, known := rows[path]
	return role, known
}

// rows are all procedures and pages. A new one stays closed until it has a row; a test compares them with what the services have. Never written to.
var rows = map[string]Role{
	adminv1connect.ProviderServiceListProvidersProcedure:  Viewer,
	adminv1connect.ProviderServiceGetProviderProcedure:    Viewer,
	adminv1connect.ProviderServiceWatchProvidersProcedure: Viewer,
	adminv1connect.ProviderServiceCreateProviderProcedure: Operator,
	adminv1connect.ProviderServiceUpdateProviderProcedure: Operator,
	adminv1connect.ProviderServiceDeleteProviderProcedure: Operator,

	// A webhook's URL is often all that keeps strangers out.
	adminv1connect.WebhookServiceListWebhooksProcedure:  Admin,
	adminv1connect.WebhookServiceSetWebhookProcedure:    Admin,
	adminv1connect.WebhookServiceDeleteWebhookProcedure: Admin,
	adminv1connect.WebhookServiceTestWebhookProcedure:   Admin,

	adminv1connect.RoutingServiceGetRoutingProcedure:    Viewer,
	adminv1connect.RoutingServiceUpdateRoutingProcedure: Operator,
	adminv1connect.RoutingServiceExplainProcedure:       Viewer,

	adminv1connect.TableServiceGetTableProcedure:   Viewer,
	adminv1connect.TableServiceWatchTableProcedure: Viewer,

	adminv1connect.NodeServiceListNodesProcedure:       Viewer,
	adminv1connect.NodeServiceWatchNodesProcedure:      Viewer,
	adminv1connect.NodeServiceGetConvergenceProcedure:  Viewer,
	adminv1connect.NodeServiceWaitForRevisionProcedure: Viewer,

	adminv1connect.HealthServiceGetHealthProcedure:       Viewer,
	adminv1connect.HealthServiceWatchHealthProcedure:     Viewer,
	adminv1connect.HealthServiceListTransitionsProcedure: Viewer,
	adminv1connect.HealthServiceSetOverrideProcedure:     Operator,

	adminv1connect.UsageServiceGetUsageProcedure:     Viewer,
	adminv1connect.UsageServiceListRequestsProcedure: Viewer,

	adminv1connect.KeyServiceCreateKeyProcedure:  Operator,
	adminv1connect.KeyServiceListKeysProcedure:   Viewer,
	adminv1connect.KeyServiceUpdateKeyProcedure:  Operator,
	adminv1connect.KeyServiceRevokeKeyProcedure:  Operator,
	adminv1connect.KeyServiceDeleteKeyProcedure:  Operator,
	adminv1connect.KeyServiceListTeamsProcedure:  Viewer,
	adminv1connect.KeyServiceSetTeamProcedure:    Operator,
	adminv1connect.KeyServiceDeleteTeamProcedure: Operator,

	adminv1connect.AuthServiceGetAuthProcedure:    Viewer,
	adminv1connect.AuthServiceUpdateAuthProcedure: Admin, // it says whose tokens are admin's

	adminv1connect.LimitServiceListLimitsProcedure: Viewer,
	adminv1connect.LimitServiceGetLimitProcedure:   Viewer,
	adminv1connect.LimitServiceSetLimitProcedure:   Operator,
	adminv1connect.LimitServiceUnsetLimitProcedure: Operator,
	adminv1connect.LimitServiceListUsesProcedure:   Viewer,

	adminv1connect.LedgerServiceSumUsageProcedure: Viewer,

	adminv1connect.TokenServiceWhoAmIProcedure:      Viewer,
	adminv1connect.TokenServiceCreateTokenProcedure: Admin,
	adminv1connect.TokenServiceListTokensProcedure:  Admin,
	adminv1connect.TokenServiceRevokeTokenProcedure: Admin,

	adminv1connect.AuditServiceListAuditProcedure: Operator,

	probeCheck: everybody,
	probeWatch: everybody,
	// What the services are called is in the public source.
	reflectV1:    everybody,
	reflectAlpha: everybody,

	"/":            everybody, // the dashboard's files hold nothing
	"/livez":       everybody,
	"/readyz":      everybody,
	"/healthz":     Viewer,
	"/metrics":     Viewer,
	"/debug/table": Viewer,
	"/debug/fleet": Viewer,
}

const (
	reflectV1    = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
	reflectAlpha = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
)
