package admin

import (
	"context"
	"fmt"
	"slices"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// How many transitions a page has.
const (
	transitionsUsual = 100
	transitionsMost  = 1000
)

// ListTransitions implements HealthService.
func (s *service) ListTransitions(ctx context.Context, r *connect.Request[adminv1.ListTransitionsRequest]) (*connect.Response[adminv1.ListTransitionsResponse], error) {
	view, err := s.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	from := place{atMs: 1 << 62}
	if token := r.Msg.GetPageToken(); token != "" {
		if _, err := fmt.Sscanf(token, placeForm, &from.atMs, &from.told); err != nil || from.told < 0 {
			return nil, coded(refuse(connect.CodeInvalidArgument, "page_token: %q: is not one of ours", token))
		}
	}
	size := int(r.Msg.GetPageSize())
	if size == 0 {
		size = transitionsUsual
	}
	answer := &adminv1.ListTransitionsResponse{}
	answer.Transitions, answer.NextPageToken = pageOf(view.Transitions, r.Msg, from, min(size, transitionsMost))
	return connect.NewResponse(answer), nil
}

// place is how far the pages have come, from the newest backwards: to this moment, of whose transitions so many were told. Unlike a number it means
// the same to every replica.
type place struct {
	atMs int64
	told int
}

const placeForm = "%d.%d"

// pageOf takes a page out of all transitions, oldest first, and says where the next one begins; empty when there is none.
func pageOf(all []*tablev1.Transition, ask *adminv1.ListTransitionsRequest, from place, size int) (page []*tablev1.Transition, next string) {
	skip, last := from.told, place{}
	for _, t := range slices.Backward(all) {
		at := t.GetAtUnixMs()
		switch {
		case !wanted(ask, t), at > from.atMs:
			continue
		case at == from.atMs && skip > 0:
			skip--
			continue
		case len(page) == size:
			slices.Reverse(page)
			return page, fmt.Sprintf(placeForm, last.atMs, last.told)
		case last.atMs != at:
			last = place{atMs: at}
			if at == from.atMs {
				last.told = from.told
			}
		}
		last.told++
		page = append(page, t)
	}
	slices.Reverse(page)
	return page, ""
}

func wanted(ask *adminv1.ListTransitionsRequest, t *tablev1.Transition) bool {
	return (ask.GetProvider() == "" || ask.GetProvider() == t.GetProvider()) && (ask.GetModel() == "" || ask.GetModel() == t.GetModel()) &&
		t.GetAtUnixMs() >= ask.GetSinceUnixMs() && (ask.GetUntilUnixMs() == 0 || t.GetAtUnixMs() < ask.GetUntilUnixMs())
}
