// Package identity is what both planes agree on about who calls: how the keys that aimux gives out read, how they are known again without being kept, and how
// those are named for whom issuers vouch.
package identity

import (
	"crypto/subtle"
	"encoding/base32"
	"strings"

	"github.com/aimux/aimux/shared/secret"
)

// Kind says what a key is for. Keys of different kinds never stand for each other.
type Kind uint8

// The kinds.
const (
	Client Kind = iota // calls the data plane: aimux_<id>_<random>
	Admin              // calls the admin API: aimuxadm_<id>_<random>
)

var prefixes = [...]string{Client: "aimux_", Admin: "aimuxadm_"}

// Prefix is what keys of the kind begin with.
func (k Kind) Prefix() string { return prefixes[k] }

// RandomSize and IDSize are the bytes of chance in a key and in an id that nobody chose.
const (
	RandomSize = 32
	IDSize     = 5
)

// idMax is the length of an id in bytes.
const idMax = 63

// letters spell chance in lower case, so that a key is one word in any terminal.
var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// randomLength is how long the random part of a key is in letters.
var randomLength = letters.EncodedLen(RandomSize)

// NewID spells an id.
func NewID(random [IDSize]byte) string { return letters.EncodeToString(random[:]) }

// ValidID reports whether an id may stand in a key: 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit.
func ValidID(id string) bool {
	if id == "" || len(id) > idMax || id[0] == '-' {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// Mint makes the key of a valid id. It is the only copy: what is kept is its [Hasher.Hash].
func Mint(kind Kind, id string, random [RandomSize]byte) secret.Secret {
	return secret.New(kind.Prefix() + id + "_" + letters.EncodeToString(random[:]))
}

// Claims reports whether a text says of itself that it is a key of that kind. It need not be one.
func Claims(kind Kind, text string) bool { return strings.HasPrefix(text, kind.Prefix()) }

// Parse finds the id in a key; ok is false for what no key looks like. It proves nothing.
func Parse(kind Kind, text string) (id string, ok bool) {
	body, ok := strings.CutPrefix(text, kind.Prefix())
	if !ok {
		return "", false
	}
	id, random, ok := strings.Cut(body, "_")
	if !ok || len(random) != randomLength || !ValidID(id) {
		return "", false
	}
	for i := range len(random) {
		if c := random[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return "", false
		}
	}
	return id, true
}

// HashSize is the length of a hash in bytes.
const HashSize = 32

// Hasher makes the hashes by which keys are known again. Whoever reads a hash can neither find the key nor try keys on it, because a
// guess takes the cluster's key too. Safe for concurrent use.
type Hasher struct {
	key   secret.Key
	decoy [HashSize]byte
}

// NewHasher makes the Hasher of a cluster. Without a key it knows nobody.
func NewHasher(cluster secret.Key) Hasher {
	h := Hasher{key: cluster.Derive("client and admin keys")}
	h.decoy = h.key.MAC("nobody's")
	return h
}

// Hash is what is kept of a whole key; nil without a cluster key.
func (h Hasher) Hash(key secret.Secret) []byte {
	if h.key.IsZero() {
		return nil
	}
	sum := h.key.MAC(key.Reveal())
	return sum[:]
}

// Proves reports whether text is the key of that hash. Nil stands for the hash of a key that does not exist: it takes as long to
// see that nothing proves it.
func (h Hasher) Proves(text string, hash []byte) bool {
	known := len(hash) == HashSize && !h.key.IsZero()
	if !known {
		hash = h.decoy[:]
	}
	sum := h.key.MAC(text)
	return subtle.ConstantTimeCompare(sum[:], hash) == 1 && known
}

// Algorithms are those that an issuer of JWTs may be trusted to sign with: each needs a key that only the issuer has.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// AlgorithmsDefault are those of an issuer about which nothing is said.
func AlgorithmsDefault() []string { return []string{"RS256", "ES256", "EdDSA"} }
