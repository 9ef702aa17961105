package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/dataplane/internal/ingress"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
)

func (h *Handler) pageModels(in ingress.Exchange, at street) {
	v, ok := h.admitted(in, at)
	if !ok {
		return
	}
	query, _ := url.ParseQuery(in.Query()) // what is no query asks for nothing
	limit, err := strconv.Atoi(query.Get("limit"))
	if query.Has("limit") && (err != nil || limit < 1 || limit > modelsMax) {
		h.refuse(in, at, http.StatusBadRequest, fault.BadRequest, fmt.Sprintf("limit: %q is no number from 1 to %d", clip(visible(query.Get("limit")), 20), modelsMax))
		return
	}
	page, ok := dialect.PageModels(v.models(), query.Get("after_id"), query.Get("before_id"), limit)
	if !ok {
		h.refuse(in, at, http.StatusBadRequest, fault.BadRequest, "after_id, before_id: there is no such model")
		return
	}
	respond(in, http.StatusOK, "application/json", dialect.EncodeModels(nil, page))
}

// modelsMax is the most models that a client may ask for at once.
const modelsMax = 1000

func (h *Handler) pageModel(in ingress.Exchange, at street) {
	v, ok := h.admitted(in, at)
	if !ok {
		return
	}
	if m, ok := v.model(at.rest); ok {
		respond(in, http.StatusOK, "application/json", dialect.EncodeModel(nil, &m))
		return
	}
	name := clip(visible(at.rest), 100)
	if !v.scope.Model(at.rest) {
		h.refuse(in, at, http.StatusForbidden, fault.Forbidden, fmt.Sprintf("this key may not use model %q", name))
		return
	}
	h.refuse(in, at, http.StatusNotFound, fault.NotFound, fmt.Sprintf("there is no model %q", name))
}

// offers are the names that the targets go by which this caller's providers have, each with its target; patterns are no names.
func (v *visit) offers(yield func(name string, target *route.Target) bool) {
	for i := range v.table.Targets() {
		target := v.table.Target(i)
		p := v.table.Provider(target.Provider)
		if !p.Enabled || !v.scope.Provider(p.Index) {
			continue
		}
		for _, name := range append([]string{target.Model}, target.Serves...) {
			if name != "" && !strings.Contains(name, "*") && !yield(name, target) {
				return
			}
		}
	}
}

// models lists every name that may be asked for. Whoever may not ask for one by itself may with its provider's before it.
func (v *visit) models() []dialect.ModelInfo {
	var list []dialect.ModelInfo
	seen := map[string]bool{}
	for name, target := range v.offers {
		if !v.scope.Model(name) {
			name = v.pinned(name, target)
		}
		if !seen[name] && v.scope.Model(name) {
			seen[name] = true
			list = append(list, v.info(name, target))
		}
	}
	return list
}

// model is what may be asked for by that name, with its provider's before it or not.
func (v *visit) model(asked string) (m dialect.ModelInfo, ok bool) {
	for name, target := range v.offers {
		if (asked == name || asked == v.pinned(name, target)) && (v.scope.Model(asked) || v.scope.Model(name)) {
			return v.info(asked, target), true
		}
	}
	return m, false
}

func (v *visit) pinned(name string, target *route.Target) string {
	return v.table.Provider(target.Provider).ID + "/" + name
}

func (v *visit) info(name string, target *route.Target) dialect.ModelInfo {
	return dialect.ModelInfo{
		ID: name, OwnedBy: v.table.Provider(target.Provider).ID, Created: time.Unix(0, 0), MaxInputTokens: target.ContextWindow, MaxOutputTokens: target.MaxOutput,
		Has: target.Has, Efforts: target.Efforts,
	}
}
