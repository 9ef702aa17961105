package catalog

import (
	"fmt"
	"strings"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/secret"
	"google.golang.org/protobuf/proto"
)

const keyBytesMax = 8 << 10

// isReference reports that an api_key says where the key is, rather than what it is.
func isReference(key string) bool {
	return strings.HasPrefix(key, "env:") || strings.HasPrefix(key, "file:")
}

// judgeKey says why a key cannot stand in a header, "" if it can.
func judgeKey(key string) string {
	switch {
	case len(key) > keyBytesMax:
		return fmt.Sprintf("is longer than %d bytes", keyBytesMax)
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "holds spaces, line ends or other characters that no key has"
	}
	return ""
}

// Redact returns a copy of a provider as it may be shown: keys that are kept here read [secret], references stay.
func Redact(p *adminv1.Provider) *adminv1.Provider {
	shown := proto.CloneOf(p)
	eachKey(shown, func(key string) string {
		if key == "" || isReference(key) {
			return key
		}
		return secret.Redacted
	})
	return shown
}

// eachKey replaces every key of a provider, in their order.
func eachKey(p *adminv1.Provider, replace func(key string) string) {
	if p.GetApiKey() != "" {
		p.ApiKey = replace(p.GetApiKey())
	}
	for i, key := range p.GetApiKeys() {
		p.ApiKeys[i] = replace(key)
	}
}

// MergeSecrets returns a copy of next in which every [secret] is the key that old keeps, so that a provider can be read, edited and
// written back. It works only while the keys stay at the origin they were entered for, and for a pool only as long as all of its
// stored keys are there, in their order. The problems' paths begin with providers and the id; merged is nil when there are any. Old
// may be nil.
func MergeSecrets(id string, old, next *adminv1.Provider) (merged *adminv1.Provider, problems []Problem) {
	path := at("providers", id)
	merged = proto.CloneOf(next)
	single, pool := 0, 0
	if next.GetApiKey() == secret.Redacted {
		single = 1
	}
	for _, key := range next.GetApiKeys() {
		if key == secret.Redacted {
			pool++
		}
	}
	if single+pool == 0 {
		return merged, nil
	}
	oldPlace, problem := locate(id, old)
	newPlace, newProblem := locate(id, next)
	stored := storedKeys(old)
	switch {
	case len(stored) == 0:
		return nil, []Problem{{Path: at(path, "api_key"), Value: secret.Redacted, Reason: "stands for a stored key, and none is stored for this provider"}}
	case single+pool != len(stored) || (single == 1) != (old.GetApiKey() != "" && !isReference(old.GetApiKey())):
		return nil, []Problem{{
			Path: at(path, "api_keys"), Value: secret.Redacted,
			Reason: fmt.Sprintf("stands for %d of %d stored keys, and it cannot be told which: enter all keys again", single+pool, len(stored)),
		}}
	case problem != nil || newProblem != nil || !sameOrigin(oldPlace.baseURL, newPlace.baseURL):
		return nil, []Problem{{Path: at(path, "api_key"), Value: secret.Redacted, Reason: "was entered for another base_url: with a new one, enter the key again"}}
	}
	eachKey(merged, func(key string) string {
		if key != secret.Redacted {
			return key
		}
		key, stored = stored[0], stored[1:]
		return key
	})
	return merged, nil
}

// storedKeys are a provider's keys that are kept here, in their order.
func storedKeys(p *adminv1.Provider) []string {
	var stored []string
	for _, key := range append([]string{p.GetApiKey()}, p.GetApiKeys()...) {
		if key != "" && !isReference(key) {
			stored = append(stored, key)
		}
	}
	return stored
}

func sameOrigin(a, b string) bool {
	originA, errA := secret.Origin(a)
	originB, errB := secret.Origin(b)
	return a == b || errA == nil && errB == nil && originA == originB
}

// SealLiterals returns a copy of the catalog as it may be stored: every literal key sealed for its provider and origin. Nonce is asked
// for a new nonce for each. What is sealed already stays; so do references.
func SealLiterals(cat *adminv1.Catalog, key secret.Key, nonce func() secret.Nonce) (*adminv1.Catalog, []Problem) {
	var r report
	stored := proto.CloneOf(cat)
	for _, id := range providerIDs(stored) {
		p := stored.GetProviders()[id]
		eachKey(p, func(literal string) string {
			if isReference(literal) || secret.IsSealedText(literal) {
				return literal
			}
			text, err := sealFor(id, p, key, nonce, literal)
			if err != nil {
				r.add(at(at("providers", id), "api_key"), secret.Redacted, "cannot be sealed: %v", err)
				return secret.Redacted
			}
			return text.Text()
		})
	}
	sealWebhooks(stored, key, nonce, &r)
	if problems := r.done(); len(problems) > 0 {
		return nil, problems
	}
	return stored, nil
}

// sealFor seals a literal key for the place of its provider.
func sealFor(id string, p *adminv1.Provider, key secret.Key, nonce func() secret.Nonce, literal string) (secret.Sealed, error) {
	where, err := bindingOf(id, p)
	if err != nil {
		return secret.Sealed{}, err
	}
	return secret.Seal(key, nonce(), secret.New(literal), where)
}

// bindingOf is where a provider's keys may be used.
func bindingOf(id string, p *adminv1.Provider) (secret.Binding, error) {
	here, problem := locate(id, p)
	if problem != nil {
		return secret.Binding{}, fmt.Errorf("%s %s", problem.Path, problem.Reason)
	}
	return secret.Bind(id, here.baseURL)
}
