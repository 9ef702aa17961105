package provider

import "net/netip"

// special are the networks in which no public provider lives, from the registries of special-purpose addresses; never written to.
var special = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("3fff::/20"),
}

// unicast is where IPv6 has its public addresses: what is outside is reserved, of this link or site, or another form of an IPv4 address.
var unicast = netip.MustParsePrefix("2000::/3")

// metadata are the clouds' services that hand keys to whoever asks; never written to. Of IPv4 they stand on the link, but for a few.
var metadata = [...]netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("100.100.100.200/32"), netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("192.0.0.192/32"), netip.MustParsePrefix("fd00:ec2::/32"), netip.MustParsePrefix("fd20:ce::254/128"),
}

// embedded are the networks of IPv6 whose addresses lead to an IPv4 address in them, and at which byte it stands; never written to.
var embedded = [...]struct {
	network netip.Prefix
	at      int
}{
	{netip.MustParsePrefix("::/96"), 12}, {netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, {netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, {netip.MustParsePrefix("2002::/16"), 2},
}

// PublicAddress reports that an address may belong to a provider on the Internet. IPv6 forms of IPv4 addresses count as those.
func PublicAddress(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, network := range special {
		if network.Contains(a) {
			return false
		}
	}
	return a.Is4() || unicast.Contains(a)
}

// MetadataAddress reports that an address is, or leads to, a cloud's metadata service, which no provider may have even where private addresses
// are allowed.
func MetadataAddress(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, network := range metadata {
		if network.Contains(a) {
			return true
		}
	}
	for _, form := range embedded {
		if form.network.Contains(a) {
			bytes := a.As16()
			return MetadataAddress(netip.AddrFrom4([4]byte(bytes[form.at : form.at+4])))
		}
	}
	return false
}
