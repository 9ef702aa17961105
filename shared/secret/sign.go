package secret

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
)

// SignatureSize is in bytes.
const SignatureSize = ed25519.SignatureSize

// Signer signs with Ed25519, under a key that follows from a cluster's: whoever has that can sign and verify. The zero value signs nothing
// and takes nothing for genuine. Safe for concurrent use.
type Signer struct {
	// Functions, because nothing prints what they hold.
	sign   func(message []byte) []byte
	verify func(message, signature []byte) bool
}

// NewSigner makes the signer of one purpose.
func NewSigner(cluster Key, purpose string) Signer {
	if cluster.IsZero() {
		return Signer{}
	}
	seed, err := hkdf.Key(sha256.New, []byte(*cluster.bytes), nil, "aimux signing "+purpose, ed25519.SeedSize)
	if err != nil {
		return Signer{} // hkdf knows no error for a key of this size
	}
	private := ed25519.NewKeyFromSeed(seed)
	public := ed25519.PublicKey(private[ed25519.SeedSize:])
	return Signer{
		sign:   func(message []byte) []byte { return ed25519.Sign(private, message) },
		verify: func(message, signature []byte) bool { return ed25519.Verify(public, message, signature) },
	}
}

// Sign is the signature of a message at a place: it is worth nothing elsewhere. It is nil from the zero value.
func (s Signer) Sign(place string, message []byte) []byte {
	if s.sign == nil {
		return nil
	}
	return s.sign(placed(place, message))
}

// Verify reports whether the message was signed for the place.
func (s Signer) Verify(place string, message, signature []byte) bool {
	return s.verify != nil && len(signature) == SignatureSize && s.verify(placed(place, message), signature)
}

// placed binds a message to a place, in whose name no zero byte stands.
func placed(place string, message []byte) []byte {
	all := make([]byte, 0, len(place)+1+len(message))
	all = append(append(all, place...), 0)
	return append(all, message...)
}
