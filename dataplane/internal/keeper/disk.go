package keeper

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"google.golang.org/protobuf/proto"
)

// What is kept on disk, each in a file: a line that names the format, a SHA-256 of the rest, the message. That is the Config as it came, its
// keys sealed, and of Health what limits go by when nobody speaks.
const (
	diskHead     = "aimux table 1\n"
	sharesHead   = "aimux shares 1\n"
	sharesSuffix = ".shares"
	diskBytesMax = 64 << 20
)

// load reads what is kept into m; found is false without an error where nothing is.
func load(path, head string, m proto.Message) (found bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // a node's first start
	}
	if err != nil {
		return false, fmt.Errorf("reading the kept table: %w", err)
	}
	if info.Size() > diskBytesMax {
		return false, fmt.Errorf("the kept table %q has %d bytes, more than %d: not ours", path, info.Size(), diskBytesMax)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("reading the kept table: %w", err)
	}
	rest, ok := bytes.CutPrefix(data, []byte(head))
	if !ok || len(rest) < sha256.Size {
		return false, fmt.Errorf("the kept table %q is not one", path)
	}
	sum, body := rest[:sha256.Size], rest[sha256.Size:]
	if actual := sha256.Sum256(body); !bytes.Equal(sum, actual[:]) {
		return false, fmt.Errorf("the kept table %q is damaged", path)
	}
	if err := proto.Unmarshal(body, m); err != nil {
		return false, fmt.Errorf("reading the kept table %q: %w", path, err)
	}
	return true, nil
}

// sharesOf is what of a view of health is kept: among how many nodes limits are shared out, and the region's parts of them.
func sharesOf(h *tablev1.Health) *tablev1.Health {
	kept := &tablev1.Health{NodesLive: h.GetNodesLive(), RegionSharePpm: h.GetRegionSharePpm()}
	for _, t := range h.GetTargets() {
		if part := t.GetCapacitySharePpm(); part > 0 && t.GetCredential() == "" {
			kept.Targets = append(kept.Targets, &tablev1.TargetHealth{Provider: t.GetProvider(), Model: t.GetModel(), CapacitySharePpm: part})
		}
	}
	return kept
}

// save replaces the copy so that a reader, or a power cut, finds the old one or the new one whole.
func save(path, head string, m proto.Message) error {
	body, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding the table: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	file, err := os.CreateTemp(filepath.Dir(path), ".table-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone already when all went well
	for _, part := range [][]byte{[]byte(head), sum[:], body} {
		if _, err = file.Write(part); err != nil {
			break
		}
	}
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
