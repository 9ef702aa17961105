package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDamagedTable spoils the table that a node keeps on disk: the node says so, does not use it, and starts from the control plane.
func TestDamagedTable(t *testing.T) {
	quiet(t)
	house := chaosHouse(t, fourProviders())
	path := filepath.Join(house.dir, "node-1", "table")
	eventually(t, "the table is kept", func() error { _, err := os.Stat(path); return err })
	house.Cluster(t, "stop", "node-1", "KILL")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoiled := range map[string][]byte{
		"a bit flipped": append(append([]byte{}, text[:len(text)/2]...), append([]byte{text[len(text)/2] ^ 1}, text[len(text)/2+1:]...)...),
		"cut":           text[:len(text)/2],
		"empty":         {},
		"zeros":         make([]byte, len(text)),
	} {
		if err := os.WriteFile(path, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		house.Cluster(t, "start", "node-1")
		eventually(t, name+": the node has a table", func() error { return isReady(house.Data[0]) })
		if v, err := tableOf(house.Data[0]); err != nil || v.Table.Source != "bus" {
			t.Errorf("%s: %+v %v", name, v, err)
		}
		house.Cluster(t, "stop", "node-1", "KILL")
	}
	if log := house.log(t, "node-1"); strings.Count(log, "without the table kept on disk") != 4 {
		t.Errorf("the node's log does not tell of four damaged tables:\n%s", log)
	}
}

// TestDiskRefusesWrites takes the place of the table on disk: the node says so and serves on, also what is changed meanwhile.
func TestDiskRefusesWrites(t *testing.T) {
	quiet(t)
	house := chaosHouse(t, fourProviders())
	dir := filepath.Join(house.dir, "node-1")
	eventually(t, "the table is kept", func() error { _, err := os.Stat(filepath.Join(dir, "table")); return err })
	before, since := drill(t, house, house.Data[:1], func() {
		// A file where the directory was, because permissions do not hold back a superuser.
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		healed(t, house, "a write to a node without a disk", touch(t, house, "b"))
	}, 500*time.Millisecond)
	since.unnoticed(t, "no disk", before)
	eventually(t, "the node says so", func() error {
		if log := house.log(t, "node-1"); !strings.Contains(log, "cannot be kept on disk") {
			return os.ErrNotExist
		}
		return nil
	})
}

// isReady is nil when a node is ready.
func isReady(node string) error {
	response, err := pageClient.Get(node + "/readyz")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return os.ErrNotExist
	}
	return nil
}

// log is what a process has logged.
func (h *House) log(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
