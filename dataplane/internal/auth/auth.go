// Package auth says who is calling.
package auth

import (
	"net"
	"net/netip"
	"strings"
)

// Caller is who sent a request. The zero value is an anonymous caller.
type Caller struct {
	// Name for records and limits; empty is anonymous.
	Name string
	// Team whose limits the caller shares; empty is none.
	Team string
	// Allow limits the caller to these providers; nil means all.
	Allow []string
	// Priority in a queue: higher ones go first.
	Priority int
}

// keyBytesMax bounds what is looked at of a credential.
const keyBytesMax = 8 << 10

// Credential takes the key a client sent, in either vendor's way: x-api-key wins over an authorization header, as it does at Anthropic.
// It is empty when there is none, or when it is too long to be one.
func Credential(apiKey, authorization string) string {
	key := apiKey
	if key == "" {
		if scheme, rest, ok := strings.Cut(authorization, " "); ok && strings.EqualFold(scheme, "bearer") {
			key = strings.TrimSpace(rest)
		}
	}
	if len(key) > keyBytesMax {
		return ""
	}
	return key
}

// Door is what decides about anonymous callers.
type Door struct {
	// Loopback: the listener can only be reached from this machine.
	Loopback bool
}

// Check says who calls with that key. reason is for the caller, and empty when it may come in. No client keys are configured yet, so a
// key proves nothing and is not looked at further: clients send the vendor's, or a dummy.
func (d Door) Check(_ string, anonymousAllowed bool) (caller Caller, reason string) {
	if d.Loopback || anonymousAllowed {
		return Caller{}, ""
	}
	return Caller{}, `no client keys are configured, and callers without one are served only on a loopback listener or with "auth": {"anonymous": true}`
}

// IsLoopback says whether a listener's address can only be reached from this machine.
func IsLoopback(addr net.Addr) bool {
	if addr == nil || addr.Network() == "unix" || addr.Network() == "memory" {
		return true
	}
	at, err := netip.ParseAddrPort(addr.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}
