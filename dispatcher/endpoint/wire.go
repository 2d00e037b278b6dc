package endpoint

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

var (
	errHeaderName  = errors.New("a header's name is not a token")
	errHeaderValue = errors.New("a header's value has a character that no header has")
)

// appendHead appends the head of an HTTP/1.1 request: the line, Host, User-Agent, Content-Length, and the other headers
// in the order of their names, which is how net/http writes it. Names go out as written, of User-Agent the first alone.
// What RFC 9110 lets no header hold is an error, so that no value ever becomes a header or a request of its own.
func appendHead(b []byte, r *Request) ([]byte, error) {
	u := r.URL.Wire
	b = append(b, "POST "...)
	b = append(b, r.URL.Text[len(u.Scheme)+len("://")+len(u.Host):]...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, u.Host...)
	b = append(b, "\r\n"...)

	var few [24]int
	order := few[:0]
	agent := -1
	for i := range r.Headers {
		name := r.Headers[i].Name
		switch {
		case !isToken(name):
			return b, errHeaderName
		case strings.EqualFold(name, "User-Agent"):
			if agent < 0 {
				agent = i
			}
		case framing(name):
			// Two lengths, or another host than the address is of, would make two requests of one.
		default:
			order = append(order, i)
		}
	}
	var err error
	if agent >= 0 && r.Headers[agent].Value != "" {
		if b, err = appendHeader(b, "User-Agent", r.Headers[agent].Value); err != nil {
			return b, err
		}
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(r.Body)), 10)
	b = append(b, "\r\n"...)

	byName := func(i, j int) int { return strings.Compare(wireName(r.Headers[i].Name), wireName(r.Headers[j].Name)) }
	slices.SortStableFunc(order, byName)
	for _, i := range order {
		if b, err = appendHeader(b, wireName(r.Headers[i].Name), r.Headers[i].Value); err != nil {
			return b, err
		}
	}
	return append(b, "\r\n"...), nil
}

func appendHeader(b []byte, name, value string) ([]byte, error) {
	b = append(b, name...)
	b = append(b, ": "...)
	value = strings.Trim(value, " \t")
	for i := range len(value) {
		if !isValueByte(value[i]) {
			return b, errHeaderValue
		}
	}
	b = append(b, value...)
	return append(b, "\r\n"...), nil
}

// framing tells whether a header is one that the client itself writes.
func framing(name string) bool {
	switch len(name) {
	case len("Host"):
		return strings.EqualFold(name, "Host")
	case len("Trailer"):
		return strings.EqualFold(name, "Trailer")
	case len("Content-Length"):
		return strings.EqualFold(name, "Content-Length")
	case len("Transfer-Encoding"):
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

// wireName is a header's name as it goes out. Under these two, as they are usually written, net/http takes a POST for
// one to be sent again by itself after the server may have handled it. In lower case they say the same to the receiver
// and nothing to net/http.
func wireName(name string) string {
	if name == "Idempotency-Key" || name == "X-Idempotency-Key" {
		return strings.ToLower(name)
	}
	return name
}

var tokenChars = newCharset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~")

// isToken tells whether s is a token (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenChars.has(s[i]) {
			return false
		}
	}
	return s != ""
}

// isValueByte tells whether c may stand in a header's value (RFC 9110, 5.5).
func isValueByte(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' }
