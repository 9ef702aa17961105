package admin

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

const (
	// callTimeout bounds every call but the watches and WaitForRevision, whose clients set their own, up to waitMax.
	callTimeout = 30 * time.Second
	waitMax     = 5 * time.Minute
	// watchersMax is how many watches run at once, and watchPause the least time between two messages of one.
	watchersMax = 64
	watchPause  = 50 * time.Millisecond
)

// Deps are what the services work with.
type Deps struct {
	Board Board
	// Write changes the stored document: change gets a copy of the newest, which it may keep the result in. based is the
	// revision that the caller saw, 0 for any. It returns when the change is durable and the Board shows it.
	Write func(ctx context.Context, by Author, based uint64, change func(*adminv1.Document) error) (revision uint64, err error)
	// Archive lists the writes behind that number, oldest first, as far as they have left the document.
	Archive func(ctx context.Context, after uint64, limit int) ([]*adminv1.AuditEntry, error)
	// Door knows who may come in.
	Door Door
	// Refused counts callers who were turned away: unknown, known and not allowed (forbidden), or too slow to take their answer.
	Refused func(reason string)
	// Explain asks a node, or any if its name is empty.
	Explain func(ctx context.Context, node string, ask *tablev1.ExplainRequest) (*tablev1.Explanation, error)
	// Requests are the latest that ended after the one of a number, and are wanted; limit 0 stands for the most that is told at once.
	Requests func(*adminv1.ListRequestsRequest) *adminv1.ListRequestsResponse
	// Usage sums up what was used; what sums are by is one of the words that it knows.
	Usage func(*adminv1.SumUsageRequest) *adminv1.SumUsageResponse
	// Webhooks are who is told of what happens.
	Webhooks Webhooks
	// Describe is the fleet's state as text.
	Describe func(ctx context.Context) (string, error)
	// Metrics is what Prometheus scrapes, in a form that it accepts.
	Metrics func(accept string) (body []byte, contentType string)
	Log     *slog.Logger
}

// Author is who changes the document, for the audit log.
type Author struct{ Actor, Procedure string }

// service implements all services of aimux.admin.v1.
type service struct {
	id       string
	version  string
	deps     Deps
	watchers atomic.Int64
}

// at returns a View that is ready and not older than revision, waiting for it if need be.
func (s *service) at(ctx context.Context, revision uint64) (*View, error) {
	for {
		view, changed := s.deps.Board.View()
		switch {
		case view.Ready() && view.Revision >= revision:
			return view, nil
		case !view.Ready() && revision == 0:
			return nil, connect.NewError(connect.CodeUnavailable, refuse(connect.CodeUnavailable, "%s has not read the catalog yet", s.id))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, coded(ctx.Err())
		}
	}
}

// write changes the document in the name of the call's caller and returns the View that has the change.
func (s *service) write(ctx context.Context, based uint64, change func(*adminv1.Document) error) (*View, uint64, error) {
	caller, err := s.again(ctx)
	if err != nil {
		return nil, 0, coded(err)
	}
	call, _ := connect.CallInfoForHandlerContext(ctx) // again has found it
	by := Author{Actor: caller.Actor, Procedure: strings.TrimPrefix(call.Spec().Procedure, "/")}
	revision, err := s.deps.Write(ctx, by, based, func(doc *adminv1.Document) error {
		before := proto.CloneOf(doc.GetCatalog())
		if err := change(doc); err != nil {
			return err
		}
		return withinRole(caller, before, doc.GetCatalog())
	})
	if err != nil {
		return nil, 0, coded(err)
	}
	view, err := s.at(ctx, revision)
	return view, revision, err
}

// withinRole keeps those who are not admin from having the control plane read its files and environment for them: what is there, its own
// keys included, would be sent to a place of their choice.
func withinRole(caller Caller, before, after *adminv1.Catalog) error {
	if caller.Role >= Admin {
		return nil
	}
	if found := catalog.NewReferences(before, after); len(found) > 0 {
		return refuse(connect.CodePermissionDenied, "%s: env: and file: are read where the control plane runs, so only admin may set them, or move them to another origin; %s is %s",
			strings.Join(found, ", "), caller.Actor, caller.Role)
	}
	return nil
}

// message is a pointer to T that is a protobuf message.
type message[T any] interface {
	*T
	proto.Message
}

// watchReady is watch for what only a View that is ready can show.
func watchReady[T any, M message[T]](ctx context.Context, s *service, stream *connect.ServerStream[T], build func(*View) M, same func(a, b M) bool) error {
	if _, err := s.at(ctx, 0); err != nil {
		return err
	}
	return watch(ctx, s, stream, build, same)
}

// watch sends what build makes of the View, at once and then whenever it is not the same as what was sent last.
func watch[T any, M message[T]](ctx context.Context, s *service, stream *connect.ServerStream[T], build func(*View) M, same func(a, b M) bool) error {
	if s.watchers.Add(1) > watchersMax {
		s.watchers.Add(-1)
		return connect.NewError(connect.CodeResourceExhausted, refuse(connect.CodeResourceExhausted, "%d watches run already, which is the limit", watchersMax))
	}
	defer s.watchers.Add(-1)
	var last M
	for {
		if _, err := s.again(ctx); err != nil {
			return coded(err)
		}
		view, changed := s.deps.Board.View()
		if next := build(view); last == nil || !same(last, next) {
			if err := stream.Send((*T)(next)); err != nil {
				return err
			}
			last = next
		}
		if !pause(ctx) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// pause waits for watchPause, or answers false when ctx ends first.
func pause(ctx context.Context) bool {
	select {
	case <-time.After(watchPause):
		return true
	case <-ctx.Done():
		return false
	}
}

// equal is same for messages that say nothing about the time.
func equal[M proto.Message](a, b M) bool { return proto.Equal(a, b) }
