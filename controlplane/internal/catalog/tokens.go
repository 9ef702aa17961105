package catalog

import (
	"fmt"
	"maps"
	"slices"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/identity"
)

const adminTokensMax = 1000

// Roles are those of the admin API, from the least to the most.
var Roles = []string{"viewer", "operator", "admin"}

// adminTokens judges the admin API's tokens.
func (v *validator) adminTokens() {
	all := v.cat.GetTokens()
	if len(all) > adminTokensMax {
		v.add("tokens", "", "has %d entries; %d are allowed", len(all), adminTokensMax)
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		path, token := at("tokens", id), all[id]
		if !identity.ValidID(id) {
			v.add(path, "", "must have an id of 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit")
		}
		v.text(at(path, "name"), token.GetName(), nameMax)
		if !slices.Contains(Roles, token.GetRole()) {
			v.add(at(path, "role"), show("role", token.GetRole()), "must be one of %v", Roles)
		}
		if len(token.GetHash()) != identity.HashSize {
			v.add(at(path, "hash"), "", "has %d bytes; a token's has %d: tokens are made by the admin API (aimux token create)", len(token.GetHash()), identity.HashSize)
		}
		if token.GetExpiresUnixMs() < 0 {
			v.add(at(path, "expires_unix_ms"), fmt.Sprint(token.GetExpiresUnixMs()), "must not be negative")
		}
	}
}

// NewReferences lists the settings of after that have the control plane read something of its own, an environment variable or a file,
// which before did not have it read for the same place. Whoever may write them may send what is there to a server of his choice.
func NewReferences(before, after *adminv1.Catalog) []string {
	var found []string
	for _, id := range providerIDs(after) {
		next, old := after.GetProviders()[id], before.GetProviders()[id]
		moved := !samePlace(id, old, next)
		for _, key := range append([]string{next.GetApiKey()}, next.GetApiKeys()...) {
			known := slices.Contains(append([]string{old.GetApiKey()}, old.GetApiKeys()...), key)
			if isReference(key) && (moved || !known) {
				found = append(found, at(at("providers", id), "api_key"))
				break
			}
		}
	}
	if plugin := after.GetRouting().GetPlugin(); plugin != "" && plugin != before.GetRouting().GetPlugin() {
		found = append(found, "routing.plugin")
	}
	return found
}

// samePlace says whether two forms of a provider send its keys to one origin.
func samePlace(id string, old, next *adminv1.Provider) bool {
	if old == nil {
		return false
	}
	from, problem := locate(id, old)
	to, newProblem := locate(id, next)
	return problem == nil && newProblem == nil && sameOrigin(from.baseURL, to.baseURL)
}
