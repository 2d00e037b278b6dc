package endpoint

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// reasonMetadata is the reason that networks in the allow list do not lift: only the very address does.
const reasonMetadata = "cloud metadata"

// metadata are the addresses at which clouds hand credentials to whoever runs on their machines.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), // AWS, GCP, Azure, OpenStack and most others
	netip.MustParseAddr("169.254.170.2"),   // AWS ECS
	netip.MustParseAddr("fd00:ec2::254"),   // AWS, IPv6
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),   // Azure's wire server: globally routable by its number
}

// block is a network and why its addresses are not called.
type block struct {
	prefix netip.Prefix
	reason string
}

func blocks(pairs ...string) []block {
	list := make([]block, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, block{netip.MustParsePrefix(pairs[i]), pairs[i+1]})
	}
	return list
}

// What the IANA special-purpose address registries (RFC 6890) do not call globally reachable, with multicast and what
// is reserved. Their few reachable exceptions inside 192.0.0.0/24 and 2001::/23 serve protocols, not webhooks, and
// stay refused. The first that matches names the reason.
var (
	blocks4 = blocks(
		"0.0.0.0/32", "unspecified",
		"0.0.0.0/8", "reserved", // "this network": Linux answers at some of them
		"10.0.0.0/8", "private",
		"100.64.0.0/10", "carrier-grade NAT",
		"127.0.0.0/8", "loopback",
		"169.254.0.0/16", "link-local",
		"172.16.0.0/12", "private",
		"192.0.0.0/24", "reserved",
		"192.0.2.0/24", "documentation",
		"192.88.99.0/24", "reserved", // 6to4 relays, withdrawn by RFC 7526
		"192.168.0.0/16", "private",
		"198.18.0.0/15", "benchmarking",
		"198.51.100.0/24", "documentation",
		"203.0.113.0/24", "documentation",
		"224.0.0.0/4", "multicast",
		"255.255.255.255/32", "broadcast",
		"240.0.0.0/4", "reserved",
	)
	blocks6 = blocks(
		"::/128", "unspecified",
		"::1/128", "loopback",
		"64:ff9b:1::/48", "private", // NAT64 of one network's own, RFC 8215
		"100::/64", "discard-only",
		"2001::/32", "Teredo",
		"2001::/23", "reserved",
		"2001:db8::/32", "documentation",
		"3fff::/20", "documentation",
		"5f00::/16", "reserved", // segment routing
		"fc00::/7", "unique-local",
		"fe80::/10", "link-local",
		"fec0::/10", "site-local",
		"ff00::/8", "multicast",
	)

	globalUnicast = netip.MustParsePrefix("2000::/3") // all of IPv6 that has been given out
	compatible    = netip.MustParsePrefix("::/96")
	translated    = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
	nat64         = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local    = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour     = netip.MustParsePrefix("2002::/16")
	teredo        = netip.MustParsePrefix("2001::/32")
)

// Forbidden says why an address must not be called ("loopback", "private", "link-local", "cloud metadata", ...); "" where
// it may: it is globally routable, or allow covers it. An IPv4 address mapped into IPv6 is that IPv4 address, in allow too;
// one inside another kind of IPv6 address (NAT64, 6to4) is judged, but allowed just where allow covers the IPv6 address.
// A metadata address, in every one of these spellings, is allowed only by a prefix of that single address.
func Forbidden(a netip.Addr, allow []netip.Prefix) string {
	if !a.IsValid() {
		return "not an address"
	}
	a = a.Unmap().WithZone("")
	reason := special(a)
	if reason == "" {
		return ""
	}
	for _, p := range allow {
		p = unmapPrefix(p)
		if reason == reasonMetadata && !p.IsSingleIP() {
			continue
		}
		if p.Contains(a) {
			return ""
		}
	}
	return reason
}

// ForbiddenHost says the same of a host that is an address in any spelling (decimal, octal, hex, short forms); "" for
// names, which are judged by what they resolve to. Brackets and a dot at the end do not matter.
func ForbiddenHost(host string, allow []netip.Prefix) string {
	a, ok := spelledAddr(host)
	if !ok {
		return ""
	}
	return Forbidden(a, allow)
}

// special is why an address is not globally routable; "" where it is.
func special(a netip.Addr) string {
	if slices.Contains(metadata, a) {
		return reasonMetadata
	}
	if a.Is4() {
		return lookupBlock(blocks4, a)
	}
	reason := lookupBlock(blocks6, a)
	for _, v4 := range embedded(a) {
		switch inner := special(v4); {
		case inner == reasonMetadata:
			return inner // not to be lifted by allowing the network around it
		case reason == "":
			reason = inner
		}
	}
	if reason == "" && !globalUnicast.Contains(a) && !nat64.Contains(a) {
		return "reserved"
	}
	return reason
}

func lookupBlock(list []block, a netip.Addr) string {
	for _, b := range list {
		if b.prefix.Contains(a) {
			return b.reason
		}
	}
	return ""
}

// embedded lists the IPv4 addresses that a relay or translator would make of an IPv6 address.
func embedded(a netip.Addr) []netip.Addr {
	b := a.As16()
	at := func(i, j, k, l int) netip.Addr { return netip.AddrFrom4([4]byte{b[i], b[j], b[k], b[l]}) }
	last := at(12, 13, 14, 15)
	switch {
	case a.IsUnspecified(), a.IsLoopback():
		return nil
	case compatible.Contains(a), translated.Contains(a), nat64.Contains(a):
		return []netip.Addr{last}
	case nat64Local.Contains(a): // RFC 6052, 2.2: whole at the end, or around the eighth octet
		return []netip.Addr{last, at(6, 7, 9, 10)}
	case sixToFour.Contains(a):
		return []netip.Addr{at(2, 3, 4, 5)}
	case teredo.Contains(a): // RFC 4380, 4: the server, and the client with its bits turned
		for i := 12; i < 16; i++ {
			b[i] ^= 0xff
		}
		return []netip.Addr{at(4, 5, 6, 7), at(12, 13, 14, 15)}
	}
	return nil
}

// unmapPrefix gives a prefix written for mapped addresses (::ffff:10.0.0.0/104) as the IPv4 prefix it is.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// spelledAddr reads a host that is an address: IPv6 with or without brackets, or IPv4 in any spelling that inet_aton
// takes (one to four parts, decimal, 0 octal, 0x hex), with or without a dot at the end.
func spelledAddr(host string) (netip.Addr, bool) {
	if inner, found := strings.CutPrefix(host, "["); found {
		host = strings.TrimSuffix(inner, "]")
	}
	host = strings.TrimSuffix(host, ".")
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap(), true
	}
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, part := range parts {
		n, ok := spelledNumber(part)
		if !ok {
			return netip.Addr{}, false
		}
		if i < len(parts)-1 {
			if n > 255 {
				return netip.Addr{}, false
			}
			sum |= n << (24 - 8*i)
			continue
		}
		// The last part fills what the others left.
		if n >= 1<<(8*(5-len(parts))) {
			return netip.Addr{}, false
		}
		sum |= n
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}

func spelledNumber(s string) (uint64, bool) {
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"), strings.HasPrefix(s, "0X"):
		base, s = 16, s[2:]
		if s == "" { // "0x" alone is zero, as the WHATWG URL Standard reads it
			return 0, true
		}
	case len(s) > 1 && s[0] == '0':
		base = 8
	}
	if s == "" || strings.ContainsAny(s, "+-_") {
		return 0, false
	}
	s = strings.TrimLeft(s, "0")
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, base, 32)
	return n, err == nil
}
