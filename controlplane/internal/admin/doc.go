// Package admin is the operators' way in: the Connect services of aimux.admin.v1 over one replica's view, and what probers and debuggers ask.
//
// Handlers are thin: reads are answered from the newest View, writes change a copy of the stored document through one function
// that validates, seals, saves and waits until this replica serves the result. Nothing here touches the fleet's state.
//
// gRPC, gRPC-Web and Connect are spoken on one listener, over HTTP/1.1 and HTTP/2 without TLS, with gRPC reflection and grpc.health.v1. Beside
// them: the dashboard at /, and /livez, /readyz, /healthz, /metrics, /debug/fleet and /debug/table.
//
// Errors: invalid_argument lists every problem by path, a line each and as a detail (aimux.admin.v1.Problems); aborted is a stale
// revision; not_found, already_exists; failed_precondition is what must be changed elsewhere first; unavailable may be tried again;
// resource_exhausted names the limit.
//
// Who calls is found at the Door: a token of the catalog, kept as a keyed hash; a JWT of an issuer that the catalog trusts; the process's own
// token, for whoever runs it; or nobody. He is found once, before anything but the head of his call is read. Every procedure and page has a row in
// roles.go that says which role it takes, and is closed without one. A call that lasts is asked again as it goes on, and a write when it is made.
// Every write is made in its caller's name, for the audit log. Wrong tokens are counted by address.
//
// Browsers are kept from being used as a way in: requests from other origins, and to host names that this replica was not told of, are
// refused; and no cookie and no address carries a token.
package admin
