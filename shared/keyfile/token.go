package keyfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/secret"
)

// TokensDir is where this user's processes file their own tokens, a file for each address.
func TokensDir() (string, error) {
	home, err := Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, "tokens"), nil
}

// LocalID is the id of every process's own token, which no catalog holds.
const LocalID = "local"

// MintToken makes a process's own token and files it. Without a directory there is none.
func MintToken(dir, address string) (token secret.Secret, remove func(), err error) {
	if dir == "" {
		return secret.Secret{}, func() {}, nil
	}
	var random [identity.RandomSize]byte
	rand.Read(random[:]) // never fails: the process ends when the system has no randomness
	token = identity.Mint(identity.Admin, LocalID, random)
	if remove, err = FileToken(dir, address, token); err != nil {
		return secret.Secret{}, func() {}, err
	}
	return token, remove, nil
}

// DebugToken is MintToken for a debug listener, which does not work without a token unless it is open.
func DebugToken(dir, address string, open bool) (token secret.Secret, remove func(), err error) {
	if open {
		return secret.Secret{}, func() {}, nil
	}
	token, remove, err = MintToken(dir, address)
	if err == nil && token.IsZero() {
		err = errors.New("there is nowhere to file its token (AIMUX_HOME); --debug-open (AIMUX_DEBUG_OPEN=true) lets everybody who reaches it in")
	}
	return token, remove, err
}

// FileToken keeps a process's token for the user it runs as, under the address at which the process listens. Remove ends that.
func FileToken(dir, address string, token secret.Secret) (remove func(), err error) {
	path := filepath.Join(dir, tokenName(address))
	if err := writeToken(dir, path, token.Reveal()+"\n"); err != nil {
		return nil, fmt.Errorf("filing the token of %s: %w", address, err)
	}
	return func() {
		// A process that came after this one, on the same address, has its own there.
		if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == token.Reveal() {
			_ = os.Remove(path) // what stays is worth nothing
		}
	}, nil
}

func writeToken(dir, path, text string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	draft, err := os.CreateTemp(dir, ".token-*") // readable by its owner alone
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) // gone already when all went well
	_, err = draft.WriteString(text)
	if closed := draft.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(draft.Name(), path)
	}
	return err
}

// FindToken returns the token that was filed by whoever listens at the address, host:port; the empty secret when there is none. A
// process that listens everywhere is found at every address of this machine's loopback.
func FindToken(dir, address string) (secret.Secret, error) {
	candidates := []string{address}
	if host, port, err := net.SplitHostPort(address); err == nil && isLoopback(host) {
		if host == "localhost" {
			candidates = []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
		}
		candidates = append(candidates, net.JoinHostPort("::", port), net.JoinHostPort("0.0.0.0", port))
	}
	for _, one := range candidates {
		text, err := os.ReadFile(filepath.Join(dir, tokenName(one)))
		if err == nil {
			return secret.New(strings.TrimSpace(string(text))), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return secret.Secret{}, fmt.Errorf("reading the token of %s: %w", address, err)
		}
	}
	return secret.Secret{}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// tokenName is an address as a file's name.
func tokenName(address string) string {
	return strings.NewReplacer(":", "_", "/", "_", "\\", "_").Replace(address)
}
