package endpoint

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// toASCII maps names outside ASCII as browsers do when they look one up (UTS 46, not transitional). The characters of
// what comes out are checked by name, which lets an underscore pass: STD 3 would not, and container networks use it.
var toASCII = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.BidiRule(),
	idna.CheckJoiners(true),
	idna.StrictDomainName(false),
)

var hostLegal = newCharset("abcdefghijklmnopqrstuvwxyz0123456789-_")

// The limits of RFC 1035, 2.3.4, for names as they are written.
const (
	maxName  = 253
	maxLabel = 63
)

// ipv6 checks an address in brackets and gives it in lower case.
func (p parser) ipv6(bracketed string) (string, error) {
	inner := strings.ToLower(bracketed[1 : len(bracketed)-1])
	if strings.Contains(inner, "%") {
		return "", fmt.Errorf("%s has a zone, which means something else on every machine", p.quoted("host", bracketed))
	}
	if a, err := netip.ParseAddr(inner); err != nil || !a.Is6() {
		return "", fmt.Errorf("%s is not an IPv6 address", p.quoted("host", bracketed))
	}
	return "[" + inner + "]", nil
}

// name gives a host name as it goes on the wire: escapes decoded (a host name needs none), punycode for what is outside
// ASCII, lower case. A dot at the end stays, and so does an IPv4 address in whatever spelling.
func (p parser) name(written string) (string, error) {
	name := written
	if p.encoding == Normalize {
		name = decode(name)
	}
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("%s is not valid UTF-8 when decoded", p.quoted("host", written))
	}
	if !ascii(name) {
		mapped, err := toASCII.ToASCII(name)
		if err != nil {
			return "", fmt.Errorf("%s cannot be written in ASCII (IDNA)", p.quoted("host", written))
		}
		name = mapped
	}
	name = strings.ToLower(name)
	labels := strings.TrimSuffix(name, ".")
	if len(labels) > maxName {
		return "", fmt.Errorf("%s has %d characters, a host name at most %d", p.quoted("host", written), len(labels), maxName)
	}
	for label := range strings.SplitSeq(labels, ".") {
		switch {
		case label == "":
			return "", fmt.Errorf("%s has an empty label", p.quoted("host", written))
		case len(label) > maxLabel:
			return "", fmt.Errorf("%s has a label of %d characters, at most %d", p.quoted("host", written), len(label), maxLabel)
		}
		for _, r := range label {
			if r >= utf8.RuneSelf || !hostLegal.has(byte(r)) {
				if p.quiet {
					return "", errors.New("the host has a character that no host name has")
				}
				return "", fmt.Errorf("host %q has the character %q, which no host name has", written, r)
			}
		}
	}
	return name, nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
