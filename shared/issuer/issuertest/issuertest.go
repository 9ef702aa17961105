// Package issuertest is an OpenID Connect issuer on loopback for tests: it publishes keys, signs whatever it is told to, and misbehaves on cue.
package issuertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Claims are what a token says.
type Claims = map[string]any

// Issuer is one issuer. Safe for concurrent use.
type Issuer struct {
	URL string
	// Fetches of its keys so far.
	Fetches atomic.Int64

	withRSA bool

	mu     sync.Mutex // protects below
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
	epoch  int
	answer http.HandlerFunc // instead of what it should answer; nil means none
}

// New starts an issuer that lives as long as the test and signs with ES256 and EdDSA.
func New(t testing.TB) *Issuer {
	t.Helper()
	return start(t, false)
}

// NewRSA is New with RS256 too, whose keys take long to make.
func NewRSA(t testing.TB) *Issuer {
	t.Helper()
	return start(t, true)
}

func start(t testing.TB, withRSA bool) *Issuer {
	t.Helper()
	i := &Issuer{withRSA: withRSA}
	i.Rotate(t)
	server := httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(server.Close)
	i.URL = server.URL
	return i
}

// Rotate replaces its keys, key ids included.
func (i *Issuer) Rotate(t testing.TB) {
	t.Helper()
	var rsaKey *rsa.PrivateKey
	var err error
	if i.withRSA {
		if rsaKey, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rsa, i.ec, i.ed, i.epoch = rsaKey, ecKey, edKey, i.epoch+1
}

// Misbehave answers every request so from now on; nil ends it.
func (i *Issuer) Misbehave(answer http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	answer := i.answer
	i.mu.Unlock()
	switch {
	case r.URL.Path == "/keys":
		i.Fetches.Add(1)
	case r.URL.Path != "/.well-known/openid-configuration":
		http.NotFound(w, r)
		return
	}
	switch {
	case answer != nil:
		answer(w, r)
	case r.URL.Path == "/keys":
		show(w, Claims{"keys": i.published()})
	default:
		show(w, Claims{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	}
}

func show(w http.ResponseWriter, document Claims) {
	text, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(text) // whoever asked will miss it
}

// published are its public keys, and one that is of no use to anybody.
func (i *Issuer) published() []Claims {
	i.mu.Lock()
	defer i.mu.Unlock()
	point, err := i.ec.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	keys := []Claims{
		{"kty": "EC", "kid": i.keyID("ES256"), "use": "sig", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])},
		{"kty": "OKP", "kid": i.keyID("EdDSA"), "crv": "Ed25519", "x": encode(i.ed.Public().(ed25519.PublicKey))},
		{"kty": "oct", "kid": i.keyID("HS256"), "k": encode([]byte("a secret that everybody knows, 32"))},
		{"kty": "unheard of", "kid": "x"},
	}
	if i.rsa != nil {
		keys = append(keys, Claims{"kty": "RSA", "kid": i.keyID("RS256"), "use": "sig", "alg": "RS256", "n": encode(i.rsa.N.Bytes()), "e": encode(big.NewInt(int64(i.rsa.E)).Bytes())})
	}
	return keys
}

// keyID names the key for an algorithm; the caller holds the lock.
func (i *Issuer) keyID(algorithm string) string { return fmt.Sprintf("%s-%d", algorithm, i.epoch) }

// Good are claims that say subject calls audience for an hour, with more put over them; a nil value takes a claim away.
func (i *Issuer) Good(subject, audience string, more Claims) Claims {
	claims := Claims{"iss": i.URL, "sub": subject, "aud": audience, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(claims, more)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// Sign makes a token of the claims: RS256, ES256 or EdDSA as they should be, "none" without a signature, and HS256 as somebody would
// who takes the public RSA key for a shared secret. head is put over the token's head.
func (i *Issuer) Sign(t testing.TB, algorithm string, claims, head Claims) string {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	top := Claims{"alg": algorithm, "typ": "JWT", "kid": i.keyID(algorithm)}
	if algorithm == "HS256" {
		top["kid"] = i.keyID("RS256")
	}
	maps.Copy(top, head)
	maps.DeleteFunc(top, func(_ string, v any) bool { return v == nil })
	text := part(t, top) + "." + part(t, claims)
	digest := sha256.Sum256([]byte(text))
	var signature []byte
	var err error
	switch algorithm {
	case "RS256":
		if i.rsa == nil {
			t.Fatal("only an issuer made by NewRSA signs with RS256")
		}
		signature, err = rsa.SignPKCS1v15(rand.Reader, i.rsa, crypto.SHA256, digest[:])
	case "ES256":
		r, s, signing := ecdsa.Sign(rand.Reader, i.ec, digest[:])
		signature, err = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), signing
	case "EdDSA":
		signature = ed25519.Sign(i.ed, []byte(text))
	case "HS256":
		mac := hmac.New(sha256.New, i.rsa.N.Bytes())
		mac.Write([]byte(text))
		signature = mac.Sum(nil)
	case "none":
	default:
		t.Fatalf("nobody signs with %s", algorithm)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(signature)
}

func part(t testing.TB, claims Claims) string {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return encode(text)
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
