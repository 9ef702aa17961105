package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"time"

	"github.com/aimux/aimux/shared/secret"
)

// Page answers one path of the debug listener with text or JSON. query is the URL's, parsed.
type Page func(query map[string][]string) (body []byte, contentType string)

// DebugDeps is what a debug listener shows besides profiles; each may be nil.
type DebugDeps struct {
	// Pages by path, such as "/debug/table".
	Pages map[string]Page
	// Metrics are at /metrics.
	Metrics *Metrics
	// Token that callers must show, as a bearer token or as a password; the zero value lets everybody in.
	Token secret.Secret
	// Level of the log: GET /debug/log/level says it, PUT changes it (debug, info, warn or error).
	Level *slog.LevelVar
}

// Debug serves profiles, what deps bring, and a list of it at "/", until ctx ends. It is for the people who run the process: bind it to
// loopback.
func Debug(ctx context.Context, ln net.Listener, deps DebugDeps) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	paths := []string{"/debug/pprof/"}
	if deps.Metrics != nil {
		paths = append(paths, "/metrics")
		mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
			body, contentType := deps.Metrics.Text(r.Header.Get("Accept"))
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(body)
		})
	}
	if deps.Level != nil {
		paths = append(paths, "/debug/log/level")
		mux.Handle("/debug/log/level", LevelDoor(deps.Level))
	}
	for path, page := range deps.Pages {
		paths = append(paths, path)
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			body, contentType := page(r.URL.Query())
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("X-Content-Type-Options", "nosniff")
			_, _ = w.Write(body)
		})
	}
	slices.Sort(paths)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		for _, path := range paths {
			fmt.Fprintln(w, path)
		}
	})
	server := &http.Server{
		Handler: shown(deps.Token, mux), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // nobody waits for a debug page
	defer stop()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the debug listener: %w", err)
	}
	return nil
}

// shown lets only those through who show the token.
func shown(token secret.Secret, next http.Handler) http.Handler {
	if token.IsZero() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			_, said, _ = r.BasicAuth()
		}
		if !token.Equal(secret.New(said)) {
			w.Header().Set("WWW-Authenticate", `Basic realm="aimux debug"`)
			http.Error(w, "the debug listener wants its process's token: aimux token local --admin ADDRESS prints it to who runs the process", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// levelBytesMax bounds what is put into a LevelDoor.
const levelBytesMax = 16

// LevelDoor shows a log's level to GET, and changes it to what is PUT: debug, info, warn or error.
func LevelDoor(level *slog.LevelVar) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		switch r.Method {
		case http.MethodGet:
		case http.MethodPut:
			text, _ := io.ReadAll(io.LimitReader(r.Body, levelBytesMax))
			var wanted slog.Level
			if err := wanted.UnmarshalText([]byte(strings.TrimSpace(string(text)))); err != nil {
				http.Error(w, "want debug, info, warn or error", http.StatusBadRequest)
				return
			}
			level.Set(wanted)
		default:
			w.Header().Set("Allow", "GET, PUT")
			http.Error(w, "GET or PUT", http.StatusMethodNotAllowed)
			return
		}
		fmt.Fprintln(w, strings.ToLower(level.Level().String()))
	})
}
