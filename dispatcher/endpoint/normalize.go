// Package endpoint turns operators' endpoints into URLs for the wire and POSTs to them through a guarded HTTP client.
// It knows nothing of rules, retries or the bus, and never calls an address that is not globally routable unless the
// daemon's settings allow it.
package endpoint

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLength is how many characters an endpoint may have as written.
const MaxLength = 256

// Encoding says how an endpoint is encoded for the wire.
type Encoding string

// The encodings. The zero Encoding is Normalize.
const (
	Normalize Encoding = "normalize" // what is percent-encoded stays so, what is not legal becomes so
	Literal   Encoding = "literal"   // decoded text: a % is a percent sign and goes out as %25
)

// URL is an endpoint ready for the wire. It is immutable.
type URL struct {
	Text string   // exactly what goes on the wire, absolute: https://crm.example.com/hooks/course%20done?x=1
	Lane string   // scheme://host:port, the port always there, the host in lower case: https://crm.example.com:443
	Wire *url.URL // the same as Text for net/http, RawPath and RawQuery set so that not a byte changes

	// quiet keeps the host and its addresses out of error messages: they may have come from a secret.
	quiet bool
}

// Parse validates and encodes an endpoint as written, following RFC 3986. It performs no I/O: a host is checked for
// its form alone. The error's text fits behind "endpoint: " and quotes parts of the text.
func Parse(text string, encoding Encoding) (URL, error) {
	if n := utf8.RuneCountInString(text); n > MaxLength {
		return URL{}, fmt.Errorf("%d characters, at most %d", n, MaxLength)
	}
	return parser{encoding: encoding}.parse(text)
}

// ParseResolved is Parse for text in which secrets have taken the place of their names. The limit on the length does
// not hold, since it is one of the text as written; and neither the error nor what Client.Post later says of the URL
// quotes any part of it.
func ParseResolved(text string, encoding Encoding) (URL, error) {
	return parser{encoding: encoding, quiet: true}.parse(text)
}

// parser holds what the parts of an endpoint are read by.
type parser struct {
	encoding Encoding
	quiet    bool
}

// quoted is name and the text it stands for, or just "the name" where the text may hold a secret.
func (p parser) quoted(name, text string) string {
	if p.quiet {
		return "the " + name
	}
	return fmt.Sprintf("%s %q", name, text)
}

func (p parser) parse(text string) (URL, error) {
	switch p.encoding {
	case "":
		p.encoding = Normalize
	case Normalize, Literal:
	default:
		return URL{}, fmt.Errorf("unknown encoding %q: normalize or literal", string(p.encoding))
	}
	if err := checkCharacters(text); err != nil {
		return URL{}, err
	}
	scheme, rest, err := p.scheme(text)
	if err != nil {
		return URL{}, err
	}
	if strings.Contains(rest, "#") {
		if p.encoding == Literal {
			return URL{}, errors.New("a fragment (#...) is not sent: remove it")
		}
		return URL{}, errors.New("a fragment (#...) is not sent: remove it, or write %23 for a # in the path or query")
	}
	authority, target := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, target = rest[:i], rest[i:]
	}
	host, port, err := p.authority(authority)
	if err != nil {
		return URL{}, err
	}
	return p.build(scheme, host, port, target), nil
}

// checkCharacters refuses what stands nowhere in an endpoint, before any part of it is told from another.
func checkCharacters(text string) error {
	if text == "" {
		return errors.New("empty: an endpoint begins with https:// or http://")
	}
	if !utf8.ValidString(text) {
		return errors.New("not valid UTF-8")
	}
	n := 0
	for _, r := range text {
		n++
		if unicode.IsControl(r) { // C0, DEL and C1
			return fmt.Errorf("control character U+%04X at character %d", r, n)
		}
	}
	if strings.TrimLeftFunc(text, unicode.IsSpace) != text {
		return errors.New("begins with a space")
	}
	if strings.TrimRightFunc(text, unicode.IsSpace) != text {
		return errors.New("ends with a space: remove it, or write %20")
	}
	return nil
}

func (p parser) scheme(text string) (scheme, rest string, err error) {
	written, rest, found := strings.Cut(text, "://")
	if !found || !legalScheme(written) {
		return "", "", errors.New("no scheme: an endpoint begins with https:// or http://")
	}
	switch scheme = strings.ToLower(written); scheme {
	case "http", "https":
		return scheme, rest, nil
	}
	return "", "", fmt.Errorf("%s is not supported: use https or http", p.quoted("scheme", written))
}

// legalScheme is the scheme of RFC 3986, 3.1.
func legalScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return s != ""
}

// authority reads host[:port]. The host comes back as it goes on the wire, the port as written.
func (p parser) authority(authority string) (host, port string, err error) {
	if strings.Contains(authority, "@") {
		return "", "", errors.New("user information in an endpoint is not sent: set an Authorization header under headers")
	}
	var name string
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return "", "", fmt.Errorf("%s has no closing bracket", p.quoted("host", authority))
		}
		name, port = authority[:end+1], authority[end+1:]
		if port != "" && port[0] != ':' {
			return "", "", fmt.Errorf("%s is followed by more than a port", p.quoted("host", name))
		}
		port = strings.TrimPrefix(port, ":")
		if host, err = p.ipv6(name); err != nil {
			return "", "", err
		}
	} else {
		name, port, _ = strings.Cut(authority, ":")
		if strings.Contains(port, ":") {
			if a, err := netip.ParseAddr(authority); err == nil && a.Is6() {
				return "", "", fmt.Errorf("%s is an IPv6 address: put it in brackets", p.quoted("host", authority))
			}
			return "", "", fmt.Errorf("%s has more than one colon", p.quoted("host", authority))
		}
		if name == "" {
			return "", "", errors.New("no host")
		}
		if host, err = p.name(name); err != nil {
			return "", "", err
		}
	}
	if port == "" { // RFC 3986, 6.2.3: a colon without a port says nothing
		return host, "", nil
	}
	if !legalPort(port) {
		return "", "", fmt.Errorf("%s is not a number from 1 to 65535", p.quoted("port", port))
	}
	return host, port, nil
}

func legalPort(port string) bool {
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// build puts together what has been found legal; it cannot fail.
func (p parser) build(scheme, host, port, target string) URL {
	path, query, hasQuery := strings.Cut(target, "?")
	if path == "" {
		path = "/"
	}
	escapes := p.encoding == Normalize
	rawPath, rawQuery := encode(path, pathLegal, escapes), encode(query, queryLegal, escapes)

	hostPort := host
	if port != "" {
		hostPort += ":" + port
	}
	text := scheme + "://" + hostPort + rawPath
	if hasQuery {
		text += "?" + rawQuery
	}
	return URL{
		Text: text,
		Lane: lane(scheme, host, port),
		Wire: &url.URL{
			Scheme: scheme, Host: hostPort,
			// net/http writes RawPath just where it is an encoding of Path.
			Path: decode(rawPath), RawPath: rawPath,
			RawQuery: rawQuery, ForceQuery: hasQuery && rawQuery == "",
		},
		quiet: p.quiet,
	}
}

// lane names what a host and port are one of: two spellings of a port or of an IPv6 address share a lane.
func lane(scheme, host, port string) string {
	switch n, err := strconv.ParseUint(port, 10, 16); {
	case err == nil:
		port = strconv.FormatUint(n, 10)
	case scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	if inner, found := strings.CutPrefix(host, "["); found {
		if a, err := netip.ParseAddr(strings.TrimSuffix(inner, "]")); err == nil {
			host = "[" + a.String() + "]"
		}
	}
	return scheme + "://" + host + ":" + port
}
