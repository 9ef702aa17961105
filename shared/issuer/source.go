package issuer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/aimux/aimux/shared/guard"
	"github.com/aimux/aimux/shared/identity"
)

// What is read of an issuer at most, and what its keys must be at least.
const (
	documentBytesMax = 256 << 10
	keysMax          = 64
	rsaBitsMin       = 2048
)

// source is one trusted issuer and its keys.
type source struct {
	trust  Trust
	cfg    Config
	deps   Deps
	client *guard.Client
	keys   atomic.Pointer[keySet] // nil until fetched

	mu       sync.Mutex    // protects below
	fetched  chan struct{} // closed when the fetch that is wanted or under way has ended; nil when there is none
	running  bool
	notYet   time.Time // no fetch before
	due      time.Time // the next fetch that nobody asked for
	failures int
	trouble  string
	last     time.Time
}

func newSource(t Trust, cfg Config, deps Deps) *source {
	return &source{trust: t, cfg: cfg, deps: deps, client: guard.New(guard.Config{AllowPrivate: t.AllowPrivate, Roots: cfg.Roots})}
}

func (s *source) algorithms() []string {
	if len(s.trust.Algorithms) == 0 {
		return identity.AlgorithmsDefault()
	}
	return s.trust.Algorithms
}

// current reports whether a token that was verified with these keys still would be.
func (s *source) current(v *Verifier, set *keySet) bool {
	return s.keys.Load() == set && slices.Contains(*v.sources.Load(), s)
}

// want asks for a fetch, and returns what is closed when it has ended; nil when it is too early for one.
func (s *source) want(now time.Time) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetched == nil {
		if now.Before(s.notYet) {
			return nil
		}
		s.fetched = make(chan struct{})
	}
	return s.fetched
}

// begin reports whether a fetch must begin now, which the caller then makes; else how long there is time.
func (s *source) begin(now time.Time) (wait time.Duration, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.running:
		return refreshEvery, false
	case s.fetched == nil && now.Before(s.due):
		return s.due.Sub(now), false
	}
	if s.fetched == nil {
		s.fetched = make(chan struct{})
	}
	s.running, s.notYet = true, now.Add(s.cfg.RefreshMin)
	return refreshEvery, true
}

// fetch gets the keys and says so to those who wait. A failure leaves the last good keys.
func (s *source) fetch(ctx context.Context) {
	set, err := s.load(ctx)
	now := s.deps.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failures++
		s.due = now.Add(min(s.cfg.RefreshMin<<min(s.failures-1, 8), retryMax))
		if s.trouble != err.Error() {
			s.deps.Log.Warn("the keys of an issuer cannot be fetched; those it had stay in use", "issuer", s.trust.URL, "error", err)
		}
		s.trouble = err.Error()
	} else {
		s.failures, s.trouble, s.last, s.due = 0, "", now, now.Add(refreshEvery)
		if !set.equal(s.keys.Load()) { // the same keys keep the verified tokens valid
			s.keys.Store(set)
		}
	}
	close(s.fetched)
	s.fetched, s.running = nil, false
}

// load finds the issuer's keys.
func (s *source) load(ctx context.Context) (*keySet, error) {
	text, err := s.client.Get(ctx, strings.TrimSuffix(s.trust.URL, "/")+"/.well-known/openid-configuration", documentBytesMax)
	if err != nil {
		return nil, err
	}
	var about struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &about); err != nil {
		return nil, fmt.Errorf("the discovery document of %s is not JSON as it should be", s.trust.URL)
	}
	if about.Issuer != s.trust.URL {
		return nil, fmt.Errorf("the discovery document of %s is that of issuer %.200q", s.trust.URL, about.Issuer)
	}
	if at, err := url.Parse(about.Keys); err != nil || at.Host == "" || at.User != nil {
		return nil, fmt.Errorf("the discovery document of %s has no usable jwks_uri", s.trust.URL)
	}
	if text, err = s.client.Get(ctx, about.Keys, documentBytesMax); err != nil {
		return nil, err
	}
	return readKeys(text)
}

// lacking is the answer to a token whose key is not there.
func (s *source) lacking() *Refusal {
	if s.keys.Load() == nil {
		return unavailable(s)
	}
	return refuse(Signature, "the token is signed with a key that its issuer does not publish")
}

func (s *source) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Status{Issuer: s.trust.URL, Keys: s.keys.Load().len(), Fetched: s.last, Trouble: s.trouble}
}

// keySet is what an issuer publishes to sign with. Immutable.
type keySet struct {
	keys []jose.JSONWebKey
	text []byte // the keys as they were written, to see whether they have changed
}

// readKeys takes the keys that can sign and passes over the others: a set may hold kinds that nobody here knows.
func readKeys(text []byte) (*keySet, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("the issuer's keys are not JSON as it should be")
	}
	set := &keySet{text: text}
	for _, one := range raw.Keys[:min(len(raw.Keys), keysMax)] {
		var key jose.JSONWebKey
		if json.Unmarshal(one, &key) == nil && usable(&key) {
			set.keys = append(set.keys, key)
		}
	}
	if len(set.keys) == 0 {
		return nil, fmt.Errorf("the issuer publishes no key that could verify a signature")
	}
	return set, nil
}

// usable keeps out what must never verify: secrets, keys for encryption, and those too short to trust.
func usable(key *jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" || !key.Valid() {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= rsaBitsMin
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// find lists the keys that may have signed a token: that of its key id, or where it names none, all for its algorithm.
func (s *keySet) find(said glimpse) (keys []crypto.PublicKey) {
	if s == nil {
		return nil
	}
	for i := range s.keys {
		key := &s.keys[i]
		if (said.key == "" || key.KeyID == said.key) && (key.Algorithm == "" || key.Algorithm == said.algorithm) {
			keys = append(keys, key.Key)
		}
	}
	return keys
}

func (s *keySet) equal(o *keySet) bool { return o != nil && bytes.Equal(s.text, o.text) }

func (s *keySet) len() int {
	if s == nil {
		return 0
	}
	return len(s.keys)
}
