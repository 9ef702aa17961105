package auth

import (
	"net"
	"net/netip"
	"strings"
)

// Whoever is let in without a key is known by where he stands, and a browser stands there too: any page that it shows could send requests, and one
// whose name was led to this address could read the answers. With a key a page must ask first, which is not granted.

// byForeignPage reports a request of a web page that is neither of this machine nor of this gateway's own origin. Where the listener is for this
// machine alone, the name that it was asked under must not be one of the Internet's, either: a page may own it.
func (s Said) byForeignPage(local bool) bool {
	if local && strings.Contains(strings.TrimSuffix(nameOf(s.Host), "."), ".") && !isAddress(s.Host) && !isThisMachine(s.Host) {
		return true
	}
	scheme, host, _ := strings.Cut(s.Origin, "://")
	switch scheme {
	case "http", "https":
		return !strings.EqualFold(host, s.Host) && !isThisMachine(host)
	}
	return scheme == "null" // a page that hides where it is from; editors and other programs have schemes of their own
}

// nameOf is a host without its port.
func nameOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(nameOf(host))
	return err == nil
}

func isThisMachine(host string) bool {
	name := strings.TrimSuffix(nameOf(host), ".")
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Unmap().IsLoopback() || name == "localhost" || strings.HasSuffix(name, ".localhost")
}
