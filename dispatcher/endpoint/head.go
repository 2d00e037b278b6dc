package endpoint

import (
	"bytes"
	"errors"
	"math"
)

// errHeadTooLong ends an attempt whose response, interim ones included, has more headers than fit.
var errHeadTooLong = errors.New("the response's headers exceed 64 KiB")

// head is what matters of the head of a response.
type head struct {
	status     int
	chunked    bool
	close      bool   // the connection ends with this response
	length     int64  // of the body; -1: to the end of the chunks or of the connection
	retryAfter string // the first Retry-After of a 429 or 503
}

// readHead reads the head of the final response (RFC 9112), over the interim ones before it. What a head says that cannot
// be right (two lengths that differ, an encoding that nobody asked for) makes it malformed: where the body ends would be
// anybody's guess.
func (r *reader) readHead() (head, error) {
	r.left = maxHeaderBytes
	for {
		h, err := r.oneHead()
		// 101 is the end of HTTP on this connection, and so a final response.
		if err != nil || h.status < 100 || h.status > 199 || h.status == 101 {
			return h, err
		}
	}
}

func (r *reader) oneHead() (head, error) {
	line, err := r.line()
	if err != nil {
		return head{}, err
	}
	var p headParser
	if !p.statusLine(line) {
		return head{}, errMalformed
	}
	first := true
	for {
		line, err := r.line()
		if err != nil {
			return head{}, err
		}
		if len(line) == 0 {
			break
		}
		if first && isSpace(line[0]) || bytes.IndexByte(line, ':') < 0 {
			return head{}, errMalformed
		}
		first = false
		line, err = r.unfold(line)
		if err != nil {
			return head{}, err
		}
		if !p.field(line) {
			return head{}, errMalformed
		}
	}
	return p.finish()
}

// headParser gathers what the lines of one head say.
type headParser struct {
	h            head
	major, minor byte
	encodings    int
	keepAlive    bool
	digits       int // of the Content-Length; 0: there is none
	length       int64
	hasRetry     bool
}

// statusLine reads "HTTP/1.1 200 OK".
func (p *headParser) statusLine(line []byte) bool {
	version, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok || len(version) != len("HTTP/1.1") || string(version[:5]) != "HTTP/" || version[6] != '.' {
		return false
	}
	p.major, p.minor = version[5]-'0', version[7]-'0'
	if p.major > 9 || p.minor > 9 {
		return false
	}
	rest = bytes.TrimLeft(rest, " ")
	code, _, _ := bytes.Cut(rest, []byte{' '})
	if len(code) != 3 {
		return false
	}
	for _, c := range code {
		if c < '0' || c > '9' {
			return false
		}
		p.h.status = 10*p.h.status + int(c-'0')
	}
	return p.h.status >= 100
}

// splitField splits a header, or a trailer, where it has the form of one.
func splitField(line []byte) (name, value []byte, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return nil, nil, false
	}
	name, value = line[:i], trimSpace(line[i+1:])
	for _, c := range name {
		// A space before the colon makes another header of it, as in net/http: it is not the one it looks like.
		if !tokenChars.has(c) && c != ' ' {
			return nil, nil, false
		}
	}
	for _, c := range value {
		if !isValueByte(c) {
			return nil, nil, false
		}
	}
	return name, value, true
}

// field reads one header. Only the few that say where the body ends, whether the connection goes on, and when to come
// again are looked into; all have to have a header's form.
func (p *headParser) field(line []byte) bool {
	name, value, ok := splitField(line)
	if !ok {
		return false
	}
	switch len(name) {
	case len("Connection"):
		if foldIs(name, "connection") {
			p.h.close = p.h.close || hasElement(value, "close")
			p.keepAlive = p.keepAlive || hasElement(value, "keep-alive")
		}
	case len("Retry-After"):
		if (p.h.status == 429 || p.h.status == 503) && !p.hasRetry && foldIs(name, "retry-after") {
			p.hasRetry = true
			p.h.retryAfter = string(value)
		}
	case len("Content-Length"):
		if foldIs(name, "content-length") {
			return p.contentLength(value)
		}
	case len("Transfer-Encoding"):
		// HTTP/1.0 knows none (RFC 9112, 6.1).
		if foldIs(name, "transfer-encoding") && (p.major > 1 || p.major == 1 && p.minor >= 1 || p.major == 0 && p.minor == 0) {
			p.encodings++
			p.h.chunked = true
			return p.encodings == 1 && foldIs(value, "chunked")
		}
	}
	return true
}

func (p *headParser) contentLength(value []byte) bool {
	var n int64
	for _, c := range value {
		digit := int64(c) - '0'
		if digit < 0 || digit > 9 || n > (math.MaxInt64-digit)/10 {
			return false
		}
		n = 10*n + digit
	}
	// Twice is once where it is the same, to the letter.
	if len(value) == 0 || p.digits > 0 && (p.digits != len(value) || p.length != n) {
		return false
	}
	p.digits, p.length = len(value), n
	return true
}

// finish puts together where the body ends (RFC 9112, 6.3).
func (p *headParser) finish() (head, error) {
	h := p.h
	h.close = h.close || p.major < 1 || p.major == 1 && p.minor == 0 && !p.keepAlive
	switch {
	case h.status < 200, h.status == 204, h.status == 304:
		h.length, h.chunked = 0, false
	case h.chunked:
		h.length = -1
	case p.digits > 0:
		h.length = p.length
	default:
		h.length, h.close = -1, true
	}
	return h, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func trimSpace(b []byte) []byte { return bytes.Trim(b, " \t") }

// foldIs tells whether b is the lower-case ASCII text s in any case.
func foldIs(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// hasElement tells whether a comma-separated list has an element, in any case.
func hasElement(list []byte, element string) bool {
	for part := range bytes.SplitSeq(list, []byte{','}) {
		if foldIs(trimSpace(part), element) {
			return true
		}
	}
	return false
}
