package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"

	"github.com/aimux/aimux/controlplane/internal/ui"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

// The listener's limits.
const (
	headerTimeout  = 5 * time.Second
	headerBytesMax = 32 << 10
	idleTimeout    = 2 * time.Minute
	pingAfter      = 30 * time.Second // of silence on a connection that speaks HTTP/2
	drainTimeout   = 2 * time.Second
	watchTimeout   = 500 * time.Millisecond
	streamsMax     = 128
)

// Config says who answers, and to whom.
type Config struct {
	// ID is the replica's, and Version its build's.
	ID, Version string
	// Hosts are the names, besides IP addresses, localhost and names without a dot, under which the listener may be asked: what a
	// browser was led to by a foreign name is refused. "*" allows all.
	Hosts []string
}

// New makes the handler of the whole listener.
func New(cfg Config, deps Deps) http.Handler {
	s := &service{id: cfg.ID, version: cfg.Version, deps: deps}
	mux := http.NewServeMux()
	opts := []connect.HandlerOption{
		connect.WithReadMaxBytes(bodyBytesMax),
		connect.WithInterceptors(patience()),
		connect.WithRecover(func(_ context.Context, spec connect.Spec, _ http.Header, p any) error {
			deps.Log.Error("admin call panicked", "procedure", spec.Procedure, "panic", p, "stack", string(debug.Stack()))
			return connect.NewError(connect.CodeInternal, fmt.Errorf("%s failed; the log says how", spec.Procedure))
		}),
	}
	mux.Handle(adminv1connect.NewProviderServiceHandler(s, opts...))
	mux.Handle(adminv1connect.NewRoutingServiceHandler(s, opts...))
	mux.Handle(adminv1connect.NewTableServiceHandler(s, opts...))
	mux.Handle(adminv1connect.NewNodeServiceHandler(s, opts...))
	mux.Handle(adminv1connect.NewHealthServiceHandler(s, opts...))
	mux.Handle(adminv1connect.NewUsageServiceHandler(s, opts...))
	mux.Handle(adminv1connect.NewLimitServiceHandler(s, opts...))
	mux.Handle(adminv1connect.NewKeyServiceHandler(s, opts...))
	mux.Handle(adminv1connect.NewAuthServiceHandler(s, opts...))
	mux.Handle(adminv1connect.NewTokenServiceHandler(s, opts...))
	mux.Handle(adminv1connect.NewAuditServiceHandler(s, opts...))
	mux.Handle(adminv1connect.NewLedgerServiceHandler(s, opts...))
	mux.Handle(adminv1connect.NewWebhookServiceHandler(s, opts...))
	mux.Handle(probeCheck, connect.NewUnaryHandler(probeCheck, s.check, opts...))
	mux.Handle(probeWatch, connect.NewServerStreamHandler(probeWatch, s.watchCheck, opts...))
	reflector := grpcreflect.NewStaticReflector(services()...)
	mux.Handle(grpcreflect.NewHandlerV1(reflector, opts...))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, opts...))
	s.pages(mux)
	dashboard := ui.New()
	mux.Handle("GET /{$}", dashboard)
	mux.Handle("GET "+ui.Prefix, dashboard)
	guarded := http.NewCrossOriginProtection().Handler(s.gate(mux))
	return s.paced(hosts(cfg.Hosts, guarded))
}

func services() []string {
	return []string{
		adminv1connect.ProviderServiceName, adminv1connect.RoutingServiceName, adminv1connect.TableServiceName,
		adminv1connect.NodeServiceName, adminv1connect.HealthServiceName, adminv1connect.UsageServiceName,
		adminv1connect.LimitServiceName, adminv1connect.LedgerServiceName, adminv1connect.KeyServiceName, adminv1connect.AuthServiceName, adminv1connect.TokenServiceName, adminv1connect.AuditServiceName,
		adminv1connect.WebhookServiceName,
	}
}

// Serve answers on the listener until ctx ends; then watches have half a second to end and calls two.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true) // where the listener speaks TLS
	protocols.SetUnencryptedHTTP2(true)
	calls, endCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer endCalls()
	open := &crowd{conns: map[net.Conn]time.Time{}}
	server := &http.Server{
		Handler:           handler,
		ConnState:         open.note,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: streamsMax, SendPingTimeout: pingAfter, WriteByteTimeout: writeTimeout},
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    headerBytesMax,
		IdleTimeout:       idleTimeout,
		BaseContext:       func(net.Listener) context.Context { return calls },
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		patience, done := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer done()
		time.AfterFunc(watchTimeout, endCalls)
		defer close(stopped)
		if server.Shutdown(patience) != nil {
			_ = server.Close() // whoever is left has had his time
		}
	})
	err := server.Serve(listener)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving the admin API on %s: %w", listener.Addr(), err)
}

// patience bounds every unary call that does not bound itself.
func patience() connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			limit := callTimeout
			if r.Spec().Procedure == adminv1connect.NodeServiceWaitForRevisionProcedure {
				limit = waitMax
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return next(ctx, r)
		}
	}
}

// hosts refuses requests for a host name that nobody gave to this listener: a page that resolves its own name to this
// address would else be of the same origin.
func hosts(allowed []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !ownHost(strings.Trim(host, "[]"), allowed) {
			http.Error(w, fmt.Sprintf("the admin API is not known under %q; AIMUX_ADMIN_HOSTS lists its names", host), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func ownHost(host string, allowed []string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || slices.Contains(allowed, host) || slices.Contains(allowed, "*")
}
