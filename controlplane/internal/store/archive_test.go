package store_test

import (
	"testing"

	"github.com/aimux/aimux/controlplane/internal/store"
	"github.com/aimux/aimux/controlplane/internal/store/storetest"
	"github.com/aimux/aimux/shared/bus/bustest"
)

func TestMemoryArchive(t *testing.T) {
	storetest.RunArchive(t, func(*testing.T) func() store.Archive {
		a := &store.MemoryArchive{}
		return func() store.Archive { return a }
	})
}

// Somebody who listens to everything, as people do who look for a fault, does not keep the streams from being made.
func TestStreamsAreMadeThoughSomebodyListens(t *testing.T) {
	inProcess := bustest.ServeJetStream(t, t.TempDir())
	if _, err := bustest.Join(t, inProcess, "somebody").Conn().SubscribeSync(">"); err != nil {
		t.Fatal(err)
	}
	conn := bustest.Join(t, inProcess, "cp-1").Conn()
	archive, err := store.NewStreamArchive(store.KVConfig{Cluster: "test"}, conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := archive.Append(t.Context(), 1, []byte("record")); err != nil {
		t.Error(err)
	}
	slate, err := store.NewStreamSlate(store.KVConfig{Cluster: "test"}, "eu", conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := slate.Write(t.Context(), []byte("page")); err != nil {
		t.Error(err)
	}
}

func TestStreamArchive(t *testing.T) {
	storetest.RunArchive(t, func(t *testing.T) func() store.Archive {
		inProcess := bustest.ServeJetStream(t, t.TempDir())
		return func() store.Archive {
			a, err := store.NewStreamArchive(store.KVConfig{Cluster: "test"}, bustest.Join(t, inProcess, "cp-1").Conn())
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
	})
}
