package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is the KV bucket that holds the catalogs of all clusters on one NATS, a key each.
const Bucket = "AIMUX_CONFIG"

const (
	// A KV bucket is a stream of this name with these subjects: `nats kv get AIMUX_CONFIG catalog.<cluster>` reads it.
	streamName  = "KV_" + Bucket
	subjects    = "$KV." + Bucket + ".>"
	catalogKey  = "$KV." + Bucket + ".catalog."
	pollDefault = 2 * time.Second
	callTimeout = 5 * time.Second
	// staleOnReplicas is the code of a failed comparison on a replicated stream; on others it is 10071.
	staleOnReplicas jetstream.ErrorCode = 10164
)

// Notice brings a save to the other replicas at once; it may lose messages and repeat them. *bus.Bus is one.
type Notice interface {
	PublishCatalog(revision uint64, body []byte) error
	WatchCatalog(handle func(revision uint64, body []byte)) (stop func(), err error)
}

// KVConfig says where the catalog is.
type KVConfig struct {
	// Cluster names the catalog's key.
	Cluster string
	// Replicas of the bucket, where this store makes it: 1, 3 or 5; 0 means 3 on a NATS cluster, else 1.
	Replicas int
	// Poll is how often a watch asks for what the notices did not bring, give or take a fifth; default 2 s.
	Poll time.Duration
}

// KVDeps is what a KV works with.
type KVDeps struct {
	Conn   *nats.Conn
	Notice Notice
	// Genuine says whether a notice brings what a replica has saved, and not what somebody else put on the bus; nil takes all.
	Genuine func(body []byte) bool
	Log     *slog.Logger
}

// KV is a Store in JetStream.
type KV struct {
	cfg    KVConfig
	deps   KVDeps
	js     jetstream.JetStream
	latest *latest

	mu     sync.Mutex       // protects below
	bucket jetstream.Stream // nil until found or made
}

// NewKV makes a store on the connection. It does not wait for the server: until that is there, calls fail with ErrUnavailable.
func NewKV(cfg KVConfig, deps KVDeps) (*KV, error) {
	if cfg.Poll == 0 {
		cfg.Poll = pollDefault
	}
	js, err := jetstream.New(deps.Conn)
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return &KV{cfg: cfg, deps: deps, js: js, latest: newLatest()}, nil
}

// Load implements Store.
func (k *KV) Load(ctx context.Context) (Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s, err := k.load(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("loading the catalog: %w", err)
	}
	k.latest.learn(s)
	return s, nil
}

func (k *KV) load(ctx context.Context) (Snapshot, error) {
	bucket, err := k.find(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	m, err := bucket.GetLastMsgForSubject(ctx, catalogKey+k.cfg.Cluster)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return Snapshot{}, nil
	case errors.Is(err, jetstream.ErrStreamNotFound):
		k.forget()
		return Snapshot{}, unavailable(err)
	case err != nil:
		return Snapshot{}, unavailable(err)
	}
	return Snapshot{Revision: m.Sequence, Body: m.Data}, nil
}

// Save implements Store.
func (k *KV) Save(ctx context.Context, body []byte, based uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	revision, err := k.save(ctx, body, based)
	if err != nil {
		return 0, fmt.Errorf("saving the catalog: %w", err)
	}
	k.latest.learn(Snapshot{Revision: revision, Body: bytes.Clone(body)})
	if err := k.deps.Notice.PublishCatalog(revision, body); err != nil {
		k.deps.Log.Warn("other replicas learn of the catalog late", "revision", revision, "error", err)
	}
	return revision, nil
}

func (k *KV) save(ctx context.Context, body []byte, based uint64) (uint64, error) {
	if _, err := k.find(ctx); err != nil {
		return 0, err
	}
	ack, err := k.js.Publish(ctx, catalogKey+k.cfg.Cluster, body, jetstream.WithExpectStream(streamName), jetstream.WithExpectLastSequencePerSubject(based))
	var api *jetstream.APIError
	switch {
	case err == nil:
		return ack.Sequence, nil
	case errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == staleOnReplicas):
		return 0, ErrStale
	case errors.Is(err, nats.ErrMaxPayload), errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return 0, fmt.Errorf("%w: %d bytes: raise max_payload of nats-server", ErrTooLarge, len(body))
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		k.forget()
	}
	// The answer may have been lost after the write: then the store holds exactly this.
	if s, again := k.load(ctx); again == nil && s.Revision > based && bytes.Equal(s.Body, body) {
		return s.Revision, nil
	}
	return 0, unavailable(err)
}

// Watch implements Store.
func (k *KV) Watch(ctx context.Context, handle func(Snapshot)) {
	stop, err := k.deps.Notice.WatchCatalog(func(revision uint64, body []byte) {
		if k.deps.Genuine == nil || k.deps.Genuine(body) {
			k.latest.learn(Snapshot{revision, body})
		}
	})
	if err != nil {
		k.deps.Log.Warn("saves of other replicas are heard of late", "error", err)
		stop = func() {}
	}
	defer stop()
	var polling sync.WaitGroup
	polling.Go(func() { k.poll(ctx) })
	defer polling.Wait()
	k.latest.watch(ctx, handle)
}

// poll asks the store again and again, for what the notices did not bring, until ctx ends.
func (k *KV) poll(ctx context.Context) {
	failing := false // says each trouble once
	for {
		switch err := k.compare(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			failing = true
			k.deps.Log.Warn("the catalog cannot be read; serving the last one known", "error", err)
		case err == nil && failing:
			failing = false
			k.deps.Log.Info("the catalog can be read again")
		}
		jittered := k.cfg.Poll*4/5 + rand.N(k.cfg.Poll*2/5)
		select {
		case <-time.After(jittered):
		case <-ctx.Done():
			return
		}
	}
}

// compare loads once. A store that has lost what this replica knows gets it back: nobody else can have saved since,
// because the save is based on nothing being there.
func (k *KV) compare(ctx context.Context) error {
	s, err := k.Load(ctx)
	if err != nil {
		return err
	}
	known, _ := k.latest.now()
	if s.Revision != 0 || known.Revision == 0 {
		return nil
	}
	revision, err := k.Save(ctx, known.Body, 0)
	if err != nil {
		return err
	}
	k.deps.Log.Warn("the store had lost the catalog; it was put back", "lost_revision", known.Revision, "revision", revision)
	return nil
}

// find returns the bucket, making it if it is not there.
func (k *KV) find(ctx context.Context) (jetstream.Stream, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bucket != nil {
		return k.bucket, nil
	}
	bucket, err := k.js.Stream(ctx, streamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		bucket, err = k.js.CreateStream(ctx, k.streamConfig())
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		bucket, err = k.js.Stream(ctx, streamName) // another replica was quicker
	}
	if err != nil {
		return nil, unavailable(err)
	}
	k.bucket = bucket
	return bucket, nil
}

func (k *KV) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bucket = nil
}

func (k *KV) streamConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              streamName,
		Description:       "aimux: what the operator asked for",
		Subjects:          []string{subjects},
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardNew,
		Storage:           jetstream.FileStorage,
		Replicas:          replicasOn(k.deps.Conn, k.cfg.Replicas),
		DenyDelete:        true,
		AllowRollup:       true,
		// A bucket made anew continues above every revision of the one before: writes average less than one a second.
		FirstSeq: uint64(time.Now().Unix()),
	}
}

// unavailable marks what may succeed later, cause included.
func unavailable(err error) error {
	if errors.Is(err, nats.ErrReconnectBufExceeded) { // how the client says it, since nothing is buffered
		return fmt.Errorf("%w: NATS is not connected", ErrUnavailable)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
