package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
)

// subscription is one watch. Its mutex is held while the handler runs, so stop can wait for it.
type subscription struct {
	bus  *Bus
	lane *lane
	sub  *nats.Subscription

	mu      sync.Mutex // protects below
	stopped bool
}

// stop ends the watch and returns when its handler has returned for the last time; never call it from that handler.
func (s *subscription) stop() {
	if n, err := s.sub.Dropped(); err == nil && n > 0 {
		s.lane.overflowed.Add(uint64(n))
	}
	s.bus.mu.Lock()
	delete(s.bus.subs, s)
	s.bus.mu.Unlock()
	// It fails only for a subscription or connection already closed, which is what stop wants.
	_ = s.sub.Unsubscribe()
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
}

// subscribe calls handle for each message of the subject; queue "" means everyone gets all, else one of the queue gets each.
// handle answers whether the message was well-formed.
func (b *Bus) subscribe(l *lane, subject, queue string, handle func(*nats.Msg) bool) (stop func(), err error) {
	s := &subscription{bus: b, lane: l}
	deliver := func(m *nats.Msg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case s.stopped:
		case len(m.Data) > l.bytesMax:
			l.malformed.Add(1)
		default:
			b.deliver(l, m, handle)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, ErrClosed
	}
	s.sub, err = b.conn.QueueSubscribe(subject, queue, deliver)
	if err == nil {
		err = s.sub.SetPendingLimits(l.pendingMax, pendingBytesMax)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribing to %q: %w", subject, translate(err))
	}
	b.subs[s] = struct{}{}
	return sync.OnceFunc(s.stop), nil
}

// deliver hands a message over that was made in this cluster.
func (b *Bus) deliver(l *lane, m *nats.Msg, handle func(*nats.Msg) bool) {
	body, genuine := b.unseal(l, m.Subject, m.Data)
	if !genuine {
		return
	}
	if m.Data = body; handle(m) {
		l.received.Add(1)
	} else {
		l.malformed.Add(1)
	}
}

// message is a pointer to T that is a protobuf message.
type message[T any] interface {
	*T
	proto.Message
}

// traceHeader carries the W3C traceparent of a push beside its bytes. It is not proved, so nothing but a span may follow from it.
const traceHeader = "traceparent"

// watch is watchTraced for who does not ask by what a message was caused.
func watch[T any, M message[T]](b *Bus, l *lane, subject string, accept func(m M, from string) bool, handle func(M)) (stop func(), err error) {
	return watchTraced(b, l, subject, accept, func(m M, _ string) { handle(m) })
}

// watchTraced subscribes to messages of one type. accept answers whether the message belongs here; from is the subject's last token.
func watchTraced[T any, M message[T]](b *Bus, l *lane, subject string, accept func(m M, from string) bool, handle func(m M, traceparent string)) (stop func(), err error) {
	return b.subscribe(l, subject, "", func(raw *nats.Msg) bool {
		m := M(new(T))
		if proto.Unmarshal(raw.Data, m) != nil || !accept(m, raw.Subject[strings.LastIndexByte(raw.Subject, '.')+1:]) {
			return false
		}
		handle(m, raw.Header.Get(traceHeader))
		return true
	})
}

// publish sends one message, or counts it as unsent and says why.
func (b *Bus) publish(l *lane, subject string, m proto.Message) error {
	return b.publishTraced(l, subject, m, "")
}

// publishTraced is publish, with the traceparent of what caused the message unless that is empty.
func (b *Bus) publishTraced(l *lane, subject string, m proto.Message, traceparent string) error {
	body, err := proto.Marshal(m)
	if err != nil {
		l.unsent.Add(1)
		return fmt.Errorf("encoding for %q: %w", subject, err)
	}
	message := &nats.Msg{Subject: subject, Data: b.seals.close(l.proof, subject, body)}
	if traceparent != "" {
		message.Header = nats.Header{traceHeader: {traceparent}}
	}
	return b.send(l, message)
}

func (b *Bus) send(l *lane, m *nats.Msg) error {
	err := ErrTooLarge
	if len(m.Data) <= l.bytesMax {
		err = translate(b.conn.PublishMsg(m))
	}
	if err != nil {
		l.unsent.Add(1)
		return fmt.Errorf("publishing %d bytes on %q: %w", len(m.Data), m.Subject, err)
	}
	l.sent.Add(1)
	return nil
}

// request asks and decodes the answer into it.
func (b *Bus) request(ctx context.Context, l *lane, subject string, ask, answer proto.Message) error {
	body, err := proto.Marshal(ask)
	body = b.seals.close(l.proof, subject, body)
	if err == nil && len(body) > l.bytesMax {
		err = ErrTooLarge
	}
	var reply *nats.Msg
	if err == nil {
		reply, err = b.conn.RequestWithContext(ctx, subject, body)
	}
	if err != nil {
		l.unsent.Add(1)
		return fmt.Errorf("asking on %q: %w", subject, translate(err))
	}
	l.sent.Add(1)
	said, genuine := b.unseal(l, reply.Subject, reply.Data)
	if !genuine {
		return fmt.Errorf("asking on %q: the answer was not made with this cluster's key", subject)
	}
	if len(reply.Data) > l.bytesMax || proto.Unmarshal(said, answer) != nil {
		l.malformed.Add(1)
		return fmt.Errorf("asking on %q: an answer of %d bytes that does not decode", subject, len(reply.Data))
	}
	l.received.Add(1)
	return nil
}

// serve answers requests; exactly one server of the queue gets each. A nil answer leaves the request unanswered. Answers go to inboxes of the
// cluster and nowhere else: where an answer goes is what no proof covers, so whoever repeats a request to another subject would have us prove a
// message for it.
func serve[T any, M message[T]](b *Bus, l *lane, subject, queue string, answer func(M) proto.Message) (stop func(), err error) {
	return b.subscribe(l, subject, queue, func(raw *nats.Msg) bool {
		ask := M(new(T))
		if !strings.HasPrefix(raw.Reply, inbox(b.cfg.Cluster, "")) || proto.Unmarshal(raw.Data, ask) != nil {
			return false
		}
		if m := answer(ask); m != nil {
			if err := b.publish(l, raw.Reply, m); err != nil {
				b.cfg.Log.Warn("bus request not answered", "subject", subject, "error", err)
			}
		}
		return true
	})
}

// translate makes the client's errors the bus's own.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrDisconnected):
		return ErrDown
	case errors.Is(err, nats.ErrMaxPayload):
		return ErrTooLarge
	case errors.Is(err, nats.ErrNoResponders):
		return ErrNobody
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return ErrClosed
	default:
		return err
	}
}
