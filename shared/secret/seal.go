package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
)

// KeySize and NonceSize are in bytes.
const (
	KeySize   = 32
	NonceSize = 12
)

// version of the sealed form: its first byte, and part of what is authenticated.
const version = 1

// sealedPrefix marks a sealed value where text is kept.
const sealedPrefix = "sealed:"

// ErrOpen says that a sealed value cannot be opened: another cluster key, another provider or origin, or damage.
var ErrOpen = errors.New("sealed with another cluster key, or for another provider or base URL, or damaged")

// Key is the cluster's key, with which provider keys are sealed. It prints as [secret]; the zero value is no key.
type Key struct {
	// 32 bytes behind a pointer to a string, the one kind that fmt never follows (see Secret).
	bytes *string
	_     [0]func()
}

// NewKey makes a key of random bytes.
func NewKey(random [KeySize]byte) Key {
	bytes := string(random[:])
	return Key{bytes: &bytes}
}

// ParseKey reads a key from 64 hexadecimal digits or from base64 of 32 bytes, surrounded by any white space.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != KeySize {
		raw, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(raw) != KeySize {
		return Key{}, fmt.Errorf("the cluster key must be %d bytes, as %d hexadecimal digits or in base64", KeySize, 2*KeySize)
	}
	return NewKey([KeySize]byte(raw)), nil
}

// IsZero reports that there is no key.
func (k Key) IsZero() bool { return k.bytes == nil }

// Derive makes a key for one purpose, from which neither this key nor that of any other purpose can be found. Without a key there is none
// to be made.
func (k Key) Derive(purpose string) Key {
	if k.IsZero() {
		return Key{}
	}
	raw, err := hkdf.Key(sha256.New, []byte(*k.bytes), nil, "aimux "+purpose, KeySize)
	if err != nil {
		return Key{} // hkdf knows no error for a key of this size
	}
	return NewKey([KeySize]byte(raw))
}

// MAC is the HMAC-SHA256 of a message under the key. Derive a key for each kind of message first.
func (k Key) MAC(message string) (sum [sha256.Size]byte) {
	if k.IsZero() {
		return sum
	}
	mac := hmac.New(sha256.New, []byte(*k.bytes))
	mac.Write([]byte(message))
	mac.Sum(sum[:0])
	return sum
}

// Reveal returns the key as hexadecimal digits, as ParseKey reads it; for the file it is kept in.
func (k Key) Reveal() string {
	if k.IsZero() {
		return ""
	}
	return hex.EncodeToString([]byte(*k.bytes))
}

// String returns [secret]; no key is the empty string.
func (k Key) String() string {
	if k.IsZero() {
		return ""
	}
	return Redacted
}

// GoString is String.
func (k Key) GoString() string { return k.String() }

// Format prints String whatever the verb and flags are.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalText returns String.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Nonce is random, new for every sealing.
type Nonce [NonceSize]byte

// Binding is where a sealed value may be used: one provider, at one origin. A sealed key moved elsewhere does not open.
type Binding struct{ aad string }

// Bind makes the binding of a provider's keys. Only the origin of baseURL counts; its path may change. An empty baseURL is the
// inside of the node.
func Bind(provider, baseURL string) (Binding, error) {
	origin := ""
	if baseURL != "" {
		var err error
		if origin, err = Origin(baseURL); err != nil {
			return Binding{}, err
		}
	}
	return Binding{aad: strings.Join([]string{"aimux provider key", strconv.Itoa(version), strconv.Quote(provider), strconv.Quote(origin)}, "\n")}, nil
}

// Origin is scheme, host and port of a URL in one spelling: lower case, without the scheme's usual port.
func Origin(baseURL string) (string, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Scheme == "" || u.Hostname() == "" {
		return "", errors.New("a base URL needs a scheme and a host")
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" || (scheme == "https" && port == "443") || (scheme == "http" && port == "80") {
		return scheme + "://" + host, nil
	}
	return scheme + "://" + host + ":" + port, nil
}

// Sealed is an encrypted secret: version, nonce, ciphertext with its tag. It is a type of its own so that it cannot be sealed again.
type Sealed struct{ box string }

// Seal encrypts s with AES-256-GCM for use at where. It fails only without a key.
func Seal(key Key, nonce Nonce, s Secret, where Binding) (Sealed, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return Sealed{}, fmt.Errorf("sealing: %w", err)
	}
	box := append([]byte{version}, nonce[:]...)
	return Sealed{box: string(gcm.Seal(box, nonce[:], []byte(s.Reveal()), []byte(where.aad)))}, nil
}

// Open decrypts what was sealed for where; any mismatch is [ErrOpen].
func Open(key Key, sealed Sealed, where Binding) (Secret, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return Secret{}, fmt.Errorf("opening: %w", err)
	}
	if len(sealed.box) < 1+NonceSize || sealed.box[0] != version {
		return Secret{}, ErrOpen
	}
	box := []byte(sealed.box)
	plain, err := gcm.Open(nil, box[1:1+NonceSize], box[1+NonceSize:], []byte(where.aad))
	if err != nil {
		return Secret{}, ErrOpen
	}
	return New(string(plain)), nil
}

func newGCM(key Key) (cipher.AEAD, error) {
	if key.IsZero() {
		return nil, errors.New("there is no cluster key")
	}
	block, err := aes.NewCipher([]byte(*key.bytes))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Bytes is the form that crosses the wire.
func (s Sealed) Bytes() []byte { return []byte(s.box) }

// FromBytes reads the form that crosses the wire. Whether it opens is only seen when it is opened.
func FromBytes(box []byte) Sealed { return Sealed{box: string(box)} }

// Text is the form that is kept in a catalog: "sealed:" and base64.
func (s Sealed) Text() string { return sealedPrefix + base64.StdEncoding.EncodeToString([]byte(s.box)) }

// IsSealedText reports that text claims to be a sealed value.
func IsSealedText(text string) bool { return strings.HasPrefix(text, sealedPrefix) }

// FromText reads the form that is kept in a catalog.
func FromText(text string) (Sealed, error) {
	body, ok := strings.CutPrefix(text, sealedPrefix)
	box, err := base64.StdEncoding.DecodeString(body)
	if !ok || err != nil || len(box) < 1+NonceSize {
		return Sealed{}, errors.New(`not a sealed value: "sealed:" and base64 expected`)
	}
	return Sealed{box: string(box)}, nil
}
