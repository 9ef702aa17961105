package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/dataplane/internal/ingress"
	"github.com/aimux/aimux/shared/fault"
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
	list := v.models()
	for i := range list {
		if list[i].ID == at.rest {
			respond(in, http.StatusOK, "application/json", dialect.EncodeModel(nil, &list[i]))
			return
		}
	}
	name := clip(visible(at.rest), 100)
	if !v.scope.Model(at.rest) {
		h.refuse(in, at, http.StatusForbidden, fault.Forbidden, fmt.Sprintf("this key may not use model %q", name))
		return
	}
	h.refuse(in, at, http.StatusNotFound, fault.NotFound, fmt.Sprintf("there is no model %q", name))
}
