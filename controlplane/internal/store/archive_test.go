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
