// Package keyfile finds the cluster key on this machine, in a setting, in a file, or made once for all processes of this user; and the tokens of those processes.
package keyfile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aimux/aimux/shared/secret"
)

// Setting is the environment variable that names the cluster key.
const Setting = "AIMUX_CLUSTER_KEY"

// Find returns the cluster key that setting names: "file:PATH", or the key itself in hex or base64. An empty setting means the key
// of this user on this machine, in .aimux/cluster.key of the home directory, made on first use: processes on one machine then
// agree without being told, and processes on several need the setting.
func Find(setting string) (secret.Key, error) {
	path, named := strings.CutPrefix(setting, "file:")
	switch {
	case named:
		return read(path)
	case setting != "":
		key, err := secret.ParseKey(setting)
		if err != nil {
			return secret.Key{}, fmt.Errorf("reading %s: %w", Setting, err)
		}
		return key, nil
	}
	home, err := Home()
	if err != nil {
		return secret.Key{}, fmt.Errorf("%w; or set %s", err, Setting)
	}
	return InDir(home)
}

// Home is the directory where this user's processes keep what is not told otherwise.
func Home() (string, error) {
	if dir := os.Getenv("AIMUX_HOME"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding a place for data: %w: set AIMUX_HOME or --data", err)
	}
	return filepath.Join(home, ".aimux"), nil
}

// InDir returns the key in dir/cluster.key, making it if there is none. Several processes may race: all return the same key.
func InDir(dir string) (secret.Key, error) {
	path := filepath.Join(dir, "cluster.key")
	key, err := read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := create(dir, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return secret.Key{}, fmt.Errorf("making the cluster key %q: %w", path, err)
	}
	return read(path)
}

func read(path string) (secret.Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return secret.Key{}, fmt.Errorf("reading the cluster key: %w", err)
	}
	key, err := secret.ParseKey(strings.TrimSpace(string(text)))
	if err != nil {
		return secret.Key{}, fmt.Errorf("reading the cluster key %q: %w", path, err)
	}
	return key, nil
}

// create writes the key whole or not at all, and never over another: the link fails if the name is taken.
func create(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return err
	}
	draft, err := os.CreateTemp(dir, "cluster.key.*")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	if _, err = draft.WriteString(hex.EncodeToString(raw[:]) + "\n"); err == nil {
		err = draft.Sync()
	}
	if closing := draft.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Link(draft.Name(), path)
}
