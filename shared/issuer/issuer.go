// Package issuer verifies the JWTs of issuers that an operator trusts, whose keys it finds by OpenID Connect discovery.
//
// Whoever verifies never fetches: Run does, one fetch per issuer at a time, so an issuer that hangs delays nobody but its own callers, and
// those only for a bounded time at first sight. Keys once fetched stay in use while their issuer is away.
package issuer

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Trust is one issuer, and what its tokens must be like.
type Trust struct {
	// URL is the issuer's, exactly as the iss claim says it.
	URL string
	// Audience that the aud claim must contain.
	Audience string
	// Algorithms that are taken, of those in [identity.Algorithms]; nil means its default.
	Algorithms []string
	// AllowPrivate lets the issuer stand at a private or loopback address, and speak plain http there.
	AllowPrivate bool
}

func (t Trust) equal(o Trust) bool {
	return t.URL == o.URL && t.Audience == o.Audience && t.AllowPrivate == o.AllowPrivate && slices.Equal(t.Algorithms, o.Algorithms)
}

// The bounds of a Verifier.
const (
	TokenBytesMax = 8 << 10
	IssuersMax    = 16
	// Leeway is how far the clocks of issuer and verifier may differ.
	Leeway = 30 * time.Second

	waitMax       = 2 * time.Second // for an issuer's keys at first sight
	waitersMax    = 256             // requests that wait at once
	cacheBytesMax = 8 << 20         // of verified tokens
	refreshEvery  = 10 * time.Minute
	refreshMin    = 5 * time.Second // between two fetches, whatever tokens say
	retryMax      = time.Minute
)

// Config changes what a Verifier does by itself. Zero fields take the defaults.
type Config struct {
	// Wait is how long a token waits for keys that have not been fetched yet; 0 means 2 s.
	Wait time.Duration
	// RefreshMin is the least time between two fetches from one issuer; 0 means 5 s.
	RefreshMin time.Duration
	// Roots are the authorities of the issuers' certificates; nil means the system's.
	Roots *x509.CertPool
}

// Deps is what a Verifier needs of its owner.
type Deps struct {
	Log *slog.Logger
	Now func() time.Time
}

// Verifier verifies the tokens of the issuers that were applied last. Safe for concurrent use.
type Verifier struct {
	cfg     Config
	deps    Deps
	wake    chan struct{} // Run should look again who is to be fetched from
	waiters atomic.Int64
	cache   cache

	applying sync.Mutex
	sources  atomic.Pointer[[]*source]
}

// New makes a Verifier that trusts nobody yet. Somebody must Run it.
func New(cfg Config, deps Deps) *Verifier {
	if cfg.Wait <= 0 {
		cfg.Wait = waitMax
	}
	if cfg.RefreshMin <= 0 {
		cfg.RefreshMin = refreshMin
	}
	v := &Verifier{cfg: cfg, deps: deps, wake: make(chan struct{}, 1)}
	v.sources.Store(new([]*source))
	return v
}

// Apply trusts these issuers and nobody else, from the next token on. Issuers that stay as they are keep their keys. More than IssuersMax
// are not taken.
func (v *Verifier) Apply(trusts []Trust) {
	v.applying.Lock()
	defer v.applying.Unlock()
	before := *v.sources.Load()
	after := make([]*source, 0, min(len(trusts), IssuersMax))
	for _, t := range trusts[:min(len(trusts), IssuersMax)] {
		i := slices.IndexFunc(before, func(s *source) bool { return s.trust.equal(t) })
		if i >= 0 {
			after = append(after, before[i])
			continue
		}
		after = append(after, newSource(t, v.cfg, v.deps))
	}
	v.sources.Store(&after)
	v.poke()
}

func (v *Verifier) poke() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// Run fetches the issuers' keys until ctx ends, and returns when no fetch is under way any more.
func (v *Verifier) Run(ctx context.Context) {
	var fetches sync.WaitGroup
	defer fetches.Wait()
	for {
		now, next := v.deps.Now(), refreshEvery
		for _, s := range *v.sources.Load() {
			wait, due := s.begin(now)
			if due {
				fetches.Go(func() { s.fetch(ctx); v.poke() })
			}
			next = min(next, wait)
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-v.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Verify says what a token says, if one of the trusted issuers says so; else why not. It waits only for keys that have not been seen yet,
// a bounded time, and ctx ends that.
func (v *Verifier) Verify(ctx context.Context, text string) (*Token, *Refusal) {
	if len(text) > TokenBytesMax {
		return nil, refuse(Malformed, "the token is longer than %d bytes", TokenBytesMax)
	}
	name := sha256.Sum256([]byte(text))
	now := v.deps.Now()
	if token := v.cache.get(name, now); token != nil && token.source.current(v, token.keys) {
		return token, nil
	}
	said, refusal := glance(text)
	if refusal != nil {
		return nil, refusal
	}
	s := v.find(said.issuer)
	if s == nil {
		return nil, refuse(Issuer, "the token's issuer is not one that is trusted here")
	}
	if !slices.Contains(s.algorithms(), said.algorithm) {
		return nil, refuse(Algorithm, "the token is signed with an algorithm that is not taken from its issuer")
	}
	set, keys, refusal := v.keys(ctx, s, said)
	if refusal != nil {
		return nil, refusal
	}
	proof := oidc.NewVerifier(s.trust.URL, &oidc.StaticKeySet{PublicKeys: keys}, &oidc.Config{
		SupportedSigningAlgs: s.algorithms(), SkipClientIDCheck: true, SkipExpiryCheck: true, // judged below, with reasons
	})
	verified, err := proof.Verify(ctx, text)
	if err != nil {
		if said.key == "" && s.want(now) != nil {
			v.poke() // it names no key, so it may be by one that has not been seen
		}
		return nil, refuse(Signature, "the token's signature does not verify")
	}
	token, refusal := s.judge(verified, now)
	if refusal != nil {
		return nil, refusal
	}
	token.source, token.keys = s, set
	v.cache.put(name, token, len(text), now)
	return token, nil
}

func (v *Verifier) find(url string) *source {
	for _, s := range *v.sources.Load() {
		if s.trust.URL == url {
			return s
		}
	}
	return nil
}

// keys are those of the issuer that may have signed the token, waiting for them where they may still come.
func (v *Verifier) keys(ctx context.Context, s *source, said glimpse) (*keySet, []crypto.PublicKey, *Refusal) {
	set := s.keys.Load()
	if found := set.find(said); len(found) > 0 {
		return set, found, nil
	}
	fetched := s.want(v.deps.Now())
	if fetched == nil {
		return nil, nil, s.lacking()
	}
	v.poke()
	if v.waiters.Add(1) > waitersMax {
		v.waiters.Add(-1)
		return nil, nil, unavailable(s)
	}
	defer v.waiters.Add(-1)
	patience := time.NewTimer(v.cfg.Wait)
	defer patience.Stop()
	select {
	case <-fetched:
	case <-patience.C:
	case <-ctx.Done():
	}
	set = s.keys.Load()
	if found := set.find(said); len(found) > 0 {
		return set, found, nil
	}
	return nil, nil, s.lacking()
}

// Status is how one issuer stands, for people.
type Status struct {
	Issuer string
	Keys   int
	// Fetched is when its keys were last fetched; zero when never.
	Fetched time.Time
	// Trouble is why the last fetch failed; empty when it did not.
	Trouble string
}

// Status lists the issuers in the order in which they were applied.
func (v *Verifier) Status() []Status {
	var all []Status
	for _, s := range *v.sources.Load() {
		all = append(all, s.status())
	}
	return all
}
