package admin

import (
	"context"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

const auditMax = 200

// ListAudit implements AuditService: what the archive has, and behind it what the catalog itself holds and the archive does not yet.
func (s *service) ListAudit(ctx context.Context, r *connect.Request[adminv1.ListAuditRequest]) (*connect.Response[adminv1.ListAuditResponse], error) {
	view, err := s.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	limit := int(r.Msg.GetLimit())
	if limit == 0 || limit > auditMax {
		limit = auditMax
	}
	entries, err := s.deps.Archive(ctx, r.Msg.GetAfter(), limit)
	if err != nil {
		return nil, coded(err)
	}
	last := r.Msg.GetAfter()
	if len(entries) > 0 {
		last = entries[len(entries)-1].GetNumber()
	}
	newest := view.Document.GetAudit()
	for _, entry := range newest {
		if entry.GetNumber() > last && len(entries) < limit {
			entries = append(entries, entry)
		}
	}
	answer := &adminv1.ListAuditResponse{Entries: entries}
	if len(newest) > 0 {
		answer.Last, answer.Head = newest[len(newest)-1].GetNumber(), newest[len(newest)-1].GetHash()
	}
	return connect.NewResponse(answer), nil
}
