package store_test

import (
	"testing"

	"github.com/aimux/aimux/controlplane/internal/store"
	"github.com/aimux/aimux/shared/bus/bustest"
)

// Whoever reads a slate, on whatever replica, reads what was written last there, and nothing of another region.
func TestSlate(t *testing.T) {
	inProcess := bustest.ServeJetStream(t, t.TempDir())
	open := func(replica, region string) store.Slate {
		s, err := store.NewStreamSlate(store.KVConfig{Cluster: "test"}, region, bustest.Join(t, inProcess, replica).Conn())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	memory := &store.MemorySlate{}
	for name, s := range map[string][2]store.Slate{"memory": {memory, memory}, "stream": {open("cp-1", "eu"), open("cp-2", "eu")}} {
		want(t, name, s[1], "")
		for _, text := range []string{"one", "two", "three"} {
			if err := s[0].Write(t.Context(), []byte(text)); err != nil {
				t.Fatal(err)
			}
			want(t, name, s[1], text)
		}
	}
	want(t, "another region", open("cp-3", "us"), "")
}

func want(t *testing.T, name string, s store.Slate, text string) {
	t.Helper()
	if got, err := s.Read(t.Context()); err != nil || string(got) != text {
		t.Errorf("%s: %q, %v; want %q", name, got, err, text)
	}
}
