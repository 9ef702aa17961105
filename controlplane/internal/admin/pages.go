package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"google.golang.org/protobuf/encoding/protojson"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// pages are what is asked without RPC: by probers, Prometheus and people with curl. Whether the replica lives and is ready is told to everybody.
func (s *service) pages(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		body, contentType := s.deps.Metrics(r.Header.Get("Accept"))
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body)
	})
	mux.HandleFunc("GET /debug/table", s.debugTable)
	mux.HandleFunc("GET /debug/fleet", s.debugFleet)
}

// readyz answers 200 once the catalog has been read.
func (s *service) readyz(w http.ResponseWriter, _ *http.Request) {
	if view, _ := s.deps.Board.View(); !view.Ready() {
		http.Error(w, "the catalog has not been read yet", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// standing is /healthz.
type standing struct {
	Status       string   `json:"status"`
	ControlPlane string   `json:"control_plane"`
	Version      string   `json:"version"`
	Leading      bool     `json:"leading"`
	Leader       string   `json:"leader"`
	Revision     uint64   `json:"revision"`
	NodesLive    int      `json:"nodes_live"`
	Providers    int      `json:"providers"`
	Trouble      []string `json:"trouble,omitempty"`
}

func (s *service) healthz(w http.ResponseWriter, _ *http.Request) {
	view, _ := s.deps.Board.View()
	now := standing{
		Status: "ok", ControlPlane: s.id, Version: s.version, Leading: view.Leading, Leader: view.Leader, Revision: view.Revision,
		Providers: len(view.Config.GetProviders()), Trouble: view.Trouble,
	}
	for _, node := range view.Nodes {
		if node.GetLive() {
			now.NodesLive++
		}
	}
	code := http.StatusOK
	switch {
	case !view.Ready():
		now.Status, code = "starting", http.StatusServiceUnavailable
	case len(view.Trouble) > 0:
		now.Status = "degraded"
	}
	body, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n'))
}

func (s *service) debugTable(w http.ResponseWriter, _ *http.Request) {
	view, _ := s.deps.Board.View()
	if !view.Ready() {
		http.Error(w, "the catalog has not been read yet", http.StatusServiceUnavailable)
		return
	}
	table := &adminv1.GetTableResponse{Config: unsealed(view.Config), Health: view.Health, ControlPlane: s.id, Leading: view.Leading}
	body, err := protojson.MarshalOptions{Multiline: true, UseProtoNames: true}.Marshal(table)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}

func (s *service) debugFleet(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	text, err := s.deps.Describe(ctx)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(text))
}
