package endpoint

import "strings"

// charset is a set of ASCII characters.
type charset [128]bool

func newCharset(chars string) *charset {
	var s charset
	for i := range len(chars) {
		s[chars[i]] = true
	}
	return &s
}

// has tells whether c is in the set; bytes outside ASCII are in none.
func (s *charset) has(c byte) bool { return c < 128 && s[c] }

// The characters of RFC 3986: 2.3 (unreserved), 2.2 (sub-delims), 3.3 (pchar, without its escapes) and 3.4.
const (
	unreservedChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	subDelims       = "!$&'()*+,;="
	pchar           = unreservedChars + subDelims + ":@"
)

var (
	unreserved = newCharset(unreservedChars)
	pathLegal  = newCharset(pchar + "/")
	queryLegal = newCharset(pchar + "/?")
)

const upperHex = "0123456789ABCDEF"

// encode percent-encodes the bytes of s that are not legal. With escapes, a valid escape stays one, its hex in upper
// case (RFC 3986, 6.2.2.1), or becomes the unreserved character it stands for (6.2.2.2), and any other % becomes %25;
// without, every % does. The result holds no % but that of an escape, so encoding it with escapes changes nothing.
func encode(s string, legal *charset, escapes bool) string {
	if clean(s, legal) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 2*len(s)/4)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && escapes {
			if octet, ok := unhex(s[i:]); ok {
				if unreserved.has(octet) {
					b.WriteByte(octet)
				} else {
					writeEscape(&b, octet)
				}
				i += 2
				continue
			}
		}
		if legal.has(c) {
			b.WriteByte(c)
		} else {
			writeEscape(&b, c)
		}
	}
	return b.String()
}

func clean(s string, legal *charset) bool {
	for i := range len(s) {
		if !legal.has(s[i]) {
			return false
		}
	}
	return true
}

// decode undoes every valid escape; a stray % stays.
func decode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if octet, ok := unhex(s[i:]); ok {
			b.WriteByte(octet)
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func writeEscape(b *strings.Builder, c byte) {
	b.WriteByte('%')
	b.WriteByte(upperHex[c>>4])
	b.WriteByte(upperHex[c&15])
}

// unhex reads the escape that s begins with.
func unhex(s string) (octet byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	hi, lo := hexDigit(s[1]), hexDigit(s[2])
	if hi < 0 || lo < 0 {
		return 0, false
	}
	return byte(hi<<4 | lo), true
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
