package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
)

// Usage is kept: a stream in JetStream holds every block until each control plane has summed it up, and long after, so that one that
// begins anew can begin from the first.
const (
	usageStream = "AIMUX_USAGE_"
	usageAge    = 100 * 24 * time.Hour
	// usageTooMuch is the server's word that it has not so much room.
	usageTooMuch jetstream.ErrorCode = 10047
	// usageTwice is for how long the stream itself knows a block again; whoever sums up knows it longer.
	usageTwice = 2 * time.Minute
	usageCall  = 5 * time.Second
	usagePause = time.Second
)

// SendUsage publishes what this node has used and returns when the stream has it on disk. It fills in cluster, region and node. After an
// error nothing is known: the same block is to be sent again. ErrNobody means that there is no stream yet.
func (b *Bus) SendUsage(ctx context.Context, m *outcomev1.UsageBlock) error {
	m.Cluster, m.Region, m.Node = b.cfg.Cluster, b.cfg.Region, b.cfg.Name
	l := b.lanes.usage
	subject := b.inCluster("usage." + b.cfg.Name)
	body, err := proto.Marshal(m)
	body = b.seals.close(l.proof, subject, body)
	if err == nil && len(body) > l.bytesMax {
		err = ErrTooLarge
	}
	var reply *nats.Msg
	if err == nil {
		ask := nats.NewMsg(subject)
		ask.Data = body
		ask.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("%s.%d.%d", m.GetNode(), m.GetBoot(), m.GetSeq()))
		reply, err = b.conn.RequestMsgWithContext(ctx, ask)
	}
	if err == nil {
		err = acknowledged(reply.Data)
	}
	if err != nil {
		l.unsent.Add(1)
		return fmt.Errorf("keeping usage block %d: %w", m.GetSeq(), translate(err))
	}
	l.sent.Add(1)
	return nil
}

// acknowledged reads what the stream says of a message.
func acknowledged(reply []byte) error {
	var ack struct {
		Stream string `json:"stream"`
		Error  struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	switch err := json.Unmarshal(reply, &ack); {
	case err != nil:
		return fmt.Errorf("reading the acknowledgement: %w", err)
	case ack.Error.Description != "":
		return errors.New(ack.Error.Description)
	case ack.Stream == "":
		return errors.New("somebody acknowledged who is no stream")
	}
	return nil
}

// WatchUsage calls handle for every block of every node, in the order in which they were kept, from the one after that sequence on, until ctx
// ends or something fails. A stream that is not there is made, with so many replicas, 0 meaning 3 on a NATS cluster, else 1. Blocks may
// come twice. When the stream has been made anew, its sequences begin anew: restart is called first; whole is called when for now there is no further block. It asks for one block after the other,
// and keeps nothing at the server that could be lost with it.
func (b *Bus) WatchUsage(ctx context.Context, after uint64, replicas int, restart, whole func(), handle func(sequence uint64, m *outcomev1.UsageBlock)) error {
	stream, err := b.usageStream(ctx, replicas)
	if err != nil {
		return fmt.Errorf("opening the stream of usage: %w", translate(err))
	}
	for {
		raw, err := stream.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(b.inCluster("usage.*")))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			whole()
			if err = usageRest(ctx); err == nil {
				var info *jetstream.StreamInfo
				if info, err = stream.Info(ctx); err == nil && info.State.LastSeq < after {
					restart()
					after = 0
				}
			}
			if err == nil {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("reading the stream of usage: %w", translate(err))
		}
		after = raw.Sequence
		m := &outcomev1.UsageBlock{}
		body, genuine := b.unseal(b.lanes.usage, raw.Subject, raw.Data)
		if !genuine {
			continue
		}
		if proto.Unmarshal(body, m) != nil || m.GetCluster() != b.cfg.Cluster {
			b.lanes.usage.malformed.Add(1)
			continue
		}
		b.lanes.usage.received.Add(1)
		handle(after, m)
	}
}

// usageRest waits before the stream is asked again whether there is something new.
func usageRest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(usagePause):
		return nil
	}
}

// usageStream finds the stream, or makes it.
func (b *Bus) usageStream(ctx context.Context, replicas int) (jetstream.Stream, error) {
	js, err := jetstream.New(b.conn)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, usageCall)
	defer cancel()
	stream, err := js.Stream(ctx, usageStream+b.cfg.Cluster)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return stream, err
	}
	if replicas == 0 {
		replicas = 1
		if b.conn.ConnectedClusterName() != "" {
			replicas = 3
		}
	}
	for _, most := range [...]int64{64 << 20, 4 << 20} { // what is reserved here the catalog has no more: little, and then the oldest blocks go
		stream, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: usageStream + b.cfg.Cluster, Description: "aimux: what was used, for bills", Subjects: []string{b.inCluster("usage.*")},
			Storage: jetstream.FileStorage, Replicas: replicas, MaxAge: usageAge, MaxBytes: most, Discard: jetstream.DiscardOld, Duplicates: usageTwice,
			DenyDelete: true, AllowDirect: true,
		})
		var api *jetstream.APIError
		if !errors.As(err, &api) || api.ErrorCode != usageTooMuch {
			break
		}
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		stream, err = js.Stream(ctx, usageStream+b.cfg.Cluster) // another replica was quicker
	}
	return stream, err
}
