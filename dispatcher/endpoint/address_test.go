package endpoint

import (
	"net/netip"
	"testing"
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func TestForbidden(t *testing.T) {
	tests := []struct{ addr, want string }{
		{"8.8.8.8", ""}, {"1.1.1.1", ""}, {"172.15.255.255", ""}, {"172.32.0.0", ""}, {"100.63.255.255", ""}, {"100.128.0.0", ""},
		{"198.17.255.255", ""}, {"198.20.0.0", ""}, {"223.255.255.255", ""}, {"192.0.1.1", ""}, {"169.253.1.1", ""},
		{"0.0.0.0", "unspecified"}, {"0.1.2.3", "reserved"}, {"10.0.0.1", "private"}, {"172.16.0.1", "private"},
		{"172.31.255.255", "private"}, {"192.168.1.1", "private"}, {"100.64.0.1", "carrier-grade NAT"},
		{"100.127.255.255", "carrier-grade NAT"}, {"127.0.0.1", "loopback"}, {"127.255.255.255", "loopback"},
		{"169.254.1.1", "link-local"}, {"192.0.0.1", "reserved"}, {"192.0.2.1", "documentation"}, {"192.88.99.1", "reserved"},
		{"198.18.0.1", "benchmarking"}, {"198.19.255.255", "benchmarking"}, {"198.51.100.1", "documentation"},
		{"203.0.113.1", "documentation"}, {"224.0.0.1", "multicast"}, {"239.255.255.255", "multicast"},
		{"240.0.0.1", "reserved"}, {"255.255.255.255", "broadcast"},
		{"169.254.169.254", "cloud metadata"}, {"169.254.170.2", "cloud metadata"}, {"100.100.100.200", "cloud metadata"},
		{"168.63.129.16", "cloud metadata"}, {"168.63.129.17", ""}, {"fd00:ec2::254", "cloud metadata"},

		{"2606:4700:4700::1111", ""}, {"2a00:1450::1", ""}, {"2001:4860::1", ""}, {"2003::1", ""},
		{"::", "unspecified"}, {"::1", "loopback"}, {"::2", "reserved"}, {"100::1", "discard-only"}, {"100:0:0:1::1", "reserved"},
		{"2001::1", "Teredo"}, {"2001:20::1", "reserved"}, {"2001:db8::1", "documentation"}, {"3fff::1", "documentation"},
		{"3fff:1000::1", ""}, {"5f00::1", "reserved"}, {"4000::1", "reserved"}, {"fc00::1", "unique-local"}, {"fd12::1", "unique-local"},
		{"fe80::1", "link-local"}, {"fe80::1%eth0", "link-local"}, {"fec0::1", "site-local"}, {"ff02::1", "multicast"}, {"64:ff9b:1::1", "private"},

		{"::ffff:8.8.8.8", ""}, {"::ffff:127.0.0.1", "loopback"}, {"::ffff:a9fe:a9fe", "cloud metadata"},
		{"::7f00:1", "loopback"}, {"::8.8.8.8", "reserved"}, {"::169.254.169.254", "cloud metadata"},
		{"::ffff:0:10.0.0.1", "private"}, {"::ffff:0:169.254.169.254", "cloud metadata"},
		{"64:ff9b::8.8.8.8", ""}, {"64:ff9b::10.0.0.1", "private"}, {"64:ff9b::169.254.169.254", "cloud metadata"},
		{"64:ff9b:1::169.254.169.254", "cloud metadata"}, {"64:ff9b:1:a9fe:a9:fe00::", "cloud metadata"},
		{"2002:808:808::1", ""}, {"2002:7f00:1::1", "loopback"}, {"2002:a9fe:a9fe::1", "cloud metadata"}, {"2002:c0a8:101::", "private"},
		{"2001:0:808:808:0:0:f7f7:f7f7", "Teredo"}, {"2001:0:a9fe:a9fe::1", "cloud metadata"}, {"2001:0:808:808:0:0:5601:5601", "cloud metadata"},
	}
	for _, tt := range tests {
		if got := Forbidden(netip.MustParseAddr(tt.addr), nil); got != tt.want {
			t.Errorf("Forbidden(%s) = %q, want %q", tt.addr, got, tt.want)
		}
	}
	if got := Forbidden(netip.Addr{}, prefixes("0.0.0.0/0", "::/0")); got == "" {
		t.Error("Forbidden allows the zero Addr")
	}
}

func TestForbiddenAllow(t *testing.T) {
	tests := []struct {
		addr, allow string
		want        string
	}{
		{"10.1.2.3", "10.0.0.0/8", ""},
		{"10.1.2.3", "10.1.2.3/32", ""},
		{"10.1.2.3", "192.168.0.0/16", "private"},
		{"127.0.0.1", "0.0.0.0/0", ""},
		{"::1", "::/0", ""},
		{"fe80::1%eth0", "fe80::/10", ""},
		{"fd12::1", "fc00::/7", ""},
		{"::ffff:10.1.2.3", "10.0.0.0/8", ""},
		{"10.1.2.3", "::ffff:10.0.0.0/104", ""},
		{"10.1.2.3", "::/0", "private"},
		{"64:ff9b::10.1.2.3", "10.0.0.0/8", "private"},
		{"64:ff9b::10.1.2.3", "64:ff9b::/96", ""},
		{"2002:a01:203::1", "10.0.0.0/8", "private"},
		{"169.254.169.254", "169.254.0.0/16", "cloud metadata"},
		{"169.254.169.254", "0.0.0.0/0", "cloud metadata"},
		{"169.254.169.254", "169.254.169.254/31", "cloud metadata"},
		{"169.254.169.254", "169.254.169.254/32", ""},
		{"169.254.169.254", "169.254.170.2/32", "cloud metadata"},
		{"169.254.169.254", "::ffff:169.254.169.254/128", ""},
		{"::ffff:169.254.169.254", "169.254.169.254/32", ""},
		{"64:ff9b::a9fe:a9fe", "169.254.169.254/32", "cloud metadata"},
		{"64:ff9b::a9fe:a9fe", "64:ff9b::/96", "cloud metadata"},
		{"64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:a9fe/128", ""},
		{"2002:a9fe:a9fe::1", "2002::/16", "cloud metadata"},
		{"fd00:ec2::254", "fd00::/8", "cloud metadata"},
		{"fd00:ec2::254", "fd00:ec2::254/128", ""},
		{"168.63.129.16", "168.63.129.0/24", "cloud metadata"},
		{"100.100.100.200", "100.64.0.0/10", "cloud metadata"},
	}
	for _, tt := range tests {
		if got := Forbidden(netip.MustParseAddr(tt.addr), prefixes(tt.allow)); got != tt.want {
			t.Errorf("Forbidden(%s) where %s is allowed = %q, want %q", tt.addr, tt.allow, got, tt.want)
		}
	}
}

// loopbackSpellings are ways to write 127.0.0.1 and ::1 in a URL.
var loopbackSpellings = []string{
	"127.0.0.1", "127.0.0.1.", "2130706433", "2130706433.", "0x7f000001", "0X7F000001", "017700000001", "127.1", "127.0.1", "0x7f.1", "0177.0.0.1", "0177.0.0.01",
	"0x7f.0x0.0x0.0x1", "127.000.000.001", "127.0x1", "127.0.0.0x000000001", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
	"[64:ff9b::127.0.0.1]", "[2002:7f00:1::]",
}

func TestForbiddenHost(t *testing.T) {
	for _, host := range loopbackSpellings {
		if got := ForbiddenHost(host, nil); got != "loopback" {
			t.Errorf("ForbiddenHost(%q) = %q, want loopback", host, got)
		}
	}
	tests := []struct{ host, want string }{
		{"::1", "loopback"}, {"0", "unspecified"}, {"0x", "unspecified"}, {"00", "unspecified"}, {"10.1", "private"}, {"0xa9fea9fe", "cloud metadata"}, {"2852039166", "cloud metadata"},
		{"0251.0376.0251.0376", "cloud metadata"}, {"192.168.257", "private"}, {"[fd00:ec2::254]", "cloud metadata"}, {"[fe80::1%25eth0]", "link-local"},
		{"8.8.8.8", ""}, {"134744072", ""}, {"010.8.8.8", ""},
		{"crm.example.com", ""}, {"localhost", ""}, {"1.2.3.4.5", ""}, {"256.1.1.1", ""}, {"127.0.0.256", ""}, {"127.16777216", ""}, {"4294967296", ""},
		{"08.0.0.1", ""}, {"0xg", ""}, {"127.0.0.-1", ""}, {"1_0.0.0.1", ""}, {"127..1", ""}, {"", ""}, {".", ""}, {"127.0.0.1..", ""}, {"a.1", ""},
	}
	for _, tt := range tests {
		if got := ForbiddenHost(tt.host, nil); got != tt.want {
			t.Errorf("ForbiddenHost(%q) = %q, want %q", tt.host, got, tt.want)
		}
	}
	if got := ForbiddenHost("2130706433", prefixes("127.0.0.0/8")); got != "" {
		t.Errorf("ForbiddenHost(2130706433) where 127.0.0.0/8 is allowed = %q, want it allowed", got)
	}
}
