package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// otlpURL checks the address of a collector.
func otlpURL(v string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Opaque != "":
		return errors.New("the URL is not valid, such as http://127.0.0.1:4318")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the scheme %s, but http or https belongs here", quote(u.Scheme))
	case u.Hostname() == "":
		return errors.New("the URL has no host")
	case u.User != nil:
		return errors.New("the URL holds a user: what the collector asks for belongs into telemetry.otlp_headers")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("the URL has a query or a fragment, which an endpoint has not")
	}
	return nil
}

// otlpHeaders checks headers for a collector.
func otlpHeaders(v string) error {
	_, err := OTLPHeaders(v)
	return err
}

// OTLPHeaders reads headers as OpenTelemetry writes them: name=value, comma separated, values percent-encoded. Its errors quote no
// value.
func OTLPHeaders(v string) (map[string]string, error) {
	if strings.TrimSpace(v) == "" {
		return nil, nil
	}
	headers := map[string]string{}
	for i, pair := range strings.Split(v, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsFunc(name, notOfName) {
			return nil, fmt.Errorf("header %d of the list is not name=value", i+1)
		}
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if err != nil || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("the value of header %s is not percent-encoded text on one line", name)
		}
		headers[name] = value
	}
	return headers, nil
}

// notOfName tells whether a header's name cannot hold the character (RFC 9110, 5.6.2).
func notOfName(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
