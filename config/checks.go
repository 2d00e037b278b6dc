package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// required refuses the empty text.
func required(v string) error {
	if strings.TrimSpace(v) == "" {
		return errors.New("empty, but a value is needed")
	}
	return nil
}

// daemonName checks a daemon's name, which becomes part of the URI reference bellhop/<node>.
func daemonName(v string) error {
	if len(v) > 255 {
		return fmt.Errorf("%d characters, at most 255", len(v))
	}
	if i := strings.IndexFunc(v, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }); i >= 0 {
		return fmt.Errorf("%s, but a name has no spaces or control characters", quote(v))
	}
	return nil
}

// streamName checks the name of a stream or consumer by NATS's rules.
func streamName(v string) error {
	if v == "" {
		return errors.New("empty, but a name is needed")
	}
	if len(v) > 255 {
		return fmt.Errorf("%d characters, at most 255", len(v))
	}
	for _, r := range v {
		if strings.ContainsRune(`.*>/\`, r) || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return fmt.Errorf("%s, but a name cannot hold %q", quote(v), r)
		}
	}
	return nil
}

// subjectPrefix checks what subjects begin with: tokens between dots, no wildcards.
func subjectPrefix(v string) error {
	if v == "" {
		return errors.New("empty, but a subject is needed")
	}
	if len(v) > 255 {
		return fmt.Errorf("%d characters, at most 255", len(v))
	}
	if strings.HasPrefix(v, "$") {
		return fmt.Errorf("%s, but subjects that begin with $ are the server's own", quote(v))
	}
	for token := range strings.SplitSeq(v, ".") {
		if token == "" {
			return fmt.Errorf("%s has an empty token: a dot stands between two tokens", quote(v))
		}
		for _, r := range token {
			if r == '*' || r == '>' || unicode.IsSpace(r) || !unicode.IsPrint(r) {
				return fmt.Errorf("%s, but a prefix cannot hold %q", quote(v), r)
			}
		}
	}
	return nil
}

// address checks host:port; empty is none.
func address(v string) error {
	if v == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return fmt.Errorf("%s is no host:port such as 127.0.0.1:8420 or [::1]:8420", quote(v))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return fmt.Errorf("%s, but a port is a number from 0 to 65535", quote(v))
	}
	if strings.ContainsFunc(host, func(r rune) bool { return unicode.IsSpace(r) || r == '/' || r == '@' }) {
		return fmt.Errorf("%s is no host:port such as 127.0.0.1:8420 or [::1]:8420", quote(v))
	}
	return nil
}

// loopback tells whether nothing but this machine can reach the address.
func loopback(v string) bool {
	host, _, err := net.SplitHostPort(v)
	if err != nil {
		return false
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// natsURLs checks one or more server URLs. Errors hold no part of the URL: it may have a password in it.
func natsURLs(v string) error {
	if v == "" {
		return nil
	}
	for i, one := range strings.Split(v, ",") {
		one = strings.TrimSpace(one)
		which := "the URL"
		if strings.Contains(v, ",") {
			which = fmt.Sprintf("URL %d", i+1)
		}
		if one == "" {
			return fmt.Errorf("%s is empty", which)
		}
		if !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		u, err := url.Parse(one)
		if err != nil {
			return fmt.Errorf("%s is not valid, such as nats://nats.example.com:4222", which)
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return fmt.Errorf("%s has the scheme %s, but nats, tls, ws or wss belongs here", which, quote(u.Scheme))
		}
		if u.Hostname() == "" {
			return fmt.Errorf("%s has no host", which)
		}
	}
	return nil
}

// proxyURL checks a proxy's URL. Errors hold no part of it: it may have a password in it.
func proxyURL(v string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Opaque != "" {
		return errors.New("the URL is not valid, such as http://proxy.example.com:3128")
	}
	switch u.Scheme {
	case "http", "https", "socks5":
	default:
		return fmt.Errorf("the scheme %s, but http, https or socks5 belongs here", quote(u.Scheme))
	}
	if u.Hostname() == "" {
		return errors.New("the URL has no host")
	}
	return nil
}

var seed = regexp.MustCompile(`^S[A-Z][A-Z2-7]{50,60}$`)

// seedFile refuses the seed itself where its file belongs, as the seed would be shown and logged.
func seedFile(v string) error {
	if seed.MatchString(v) {
		return errors.New("a seed, but the file that holds it belongs here")
	}
	return nil
}

// retryOn checks one entry of the list of failures that may pass.
func retryOn(v string) error {
	switch v {
	case "timeout", "network", "4xx", "5xx":
		return nil
	}
	if n, err := strconv.Atoi(v); err == nil && len(v) == 3 {
		if n >= 300 && n <= 599 {
			return nil
		}
		return fmt.Errorf("%s is no status of a failure (300 to 599)", v)
	}
	return fmt.Errorf("%s, but timeout, network, a status such as 408, 4xx or 5xx belongs here", quote(v))
}

// overlap tells whether subjects of one prefix can be subjects of the other.
func overlap(a, b string) bool {
	return strings.HasPrefix(a+".", b+".") || strings.HasPrefix(b+".", a+".")
}

// origins checks one origin of pages (RFC 6454, section 6.1): scheme, host and perhaps a port.
func origins(v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != v || strings.ContainsAny(v, " ;,'\"*") {
		return fmt.Errorf("%s is no origin, such as https://portal.example.com", quote(v))
	}
	return nil
}
