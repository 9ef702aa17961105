package provider_test

import (
	"net/netip"
	"testing"

	"github.com/aimux/aimux/shared/provider"
)

func TestAddresses(t *testing.T) {
	for _, test := range []struct {
		addr             string
		public, metadata bool
	}{
		{"104.18.2.161", true, false},
		{"2606:4700::6812:2a1", true, false},
		{"127.0.0.1", false, false},
		{"127.8.9.1", false, false},
		{"0.0.0.0", false, false},
		{"10.1.2.3", false, false},
		{"172.31.255.255", false, false},
		{"172.32.0.0", true, false},
		{"192.168.1.1", false, false},
		{"100.64.0.1", false, false},
		{"169.254.1.1", false, true}, // of a link: the clouds put more and more there
		{"169.254.170.23", false, true},
		{"168.63.129.16", true, true}, // a public address that only the machines of one cloud reach
		{"100.100.100.200", false, true},
		{"192.0.0.192", false, true},
		{"fd00:ec2::23", false, true},
		{"fd20:ce::254", false, true},
		{"169.254.169.254", false, true},
		{"::ffff:169.254.169.254", false, true},
		{"::ffff:127.0.0.1", false, false},
		{"::1", false, false},
		{"::", false, false},
		{"fd00:ec2::254", false, true},
		{"fe80::1%eth0", false, false},
		{"64:ff9b::7f00:1", false, false},
		{"2002:7f00:1::", false, false},
		{"255.255.255.255", false, false},
		{"192.88.99.1", false, false},
		{"::127.0.0.1", false, false},
		{"::169.254.169.254", false, true},
		{"::ffff:0:169.254.169.254", false, true},
		{"64:ff9b::a9fe:a9fe", false, true},
		{"64:ff9b:1::a9fe:a9fe", false, true},
		{"64:ff9b::808:808", false, false},
		{"2002:a9fe:a9fe::1", false, true},
		{"2002:6472:6372::", false, false},
		{"fec0::1", false, false},
		{"5f00::1", false, false},
		{"3fff::1", false, false},
		{"2001::1", false, false},
		{"2001:20::1", false, false},
		{"2001:4860:4860::8888", true, false},
		{"2a00:1450:4001:80e::200a", true, false},
		{"ff02::1", false, false},
	} {
		a := netip.MustParseAddr(test.addr)
		if provider.PublicAddress(a) != test.public || provider.MetadataAddress(a) != test.metadata {
			t.Errorf("%s: public %v, metadata %v", a, provider.PublicAddress(a), provider.MetadataAddress(a))
		}
	}
	if provider.PublicAddress(netip.Addr{}) {
		t.Error("no address is public")
	}
}
