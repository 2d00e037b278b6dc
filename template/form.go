package template

import (
	"bytes"
	"unicode/utf8"
)

// Pair is one parameter of a form.
type Pair struct{ Name, Value string }

// AppendForm appends one pair in the application/x-www-form-urlencoded serialization (WHATWG URL Standard, 5.2), with a
// leading & unless dst is empty. Name and value must be valid UTF-8; other bytes become U+FFFD.
func AppendForm(dst []byte, name string, value []byte) []byte {
	return appendEncoded(appendName(dst, name), value)
}

// appendName appends a pair up to its equals sign.
func appendName(dst []byte, name string) []byte {
	if len(dst) > 0 {
		dst = append(dst, '&')
	}
	return append(appendEncoded(dst, name), '=')
}

// bare marks the bytes that go out as they are: those outside the application/x-www-form-urlencoded percent-encode set.
var bare = func() (set [256]bool) {
	for c := range len(set) {
		set[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
			c == '*' || c == '-' || c == '.' || c == '_'
	}
	return set
}()

const upperHex = "0123456789ABCDEF"

// appendEncoded appends the text percent-encoded, a space as a plus.
func appendEncoded[T string | []byte](dst []byte, s T) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case bare[c]:
			start := i
			for i < len(s) && bare[s[i]] {
				i++
			}
			dst = append(dst, s[start:i]...)
		case c == ' ':
			dst = append(dst, '+')
			i++
		case c < utf8.RuneSelf:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&0xf])
			i++
		default:
			n, valid := sequence(s[i:])
			if !valid {
				dst = append(dst, "%EF%BF%BD"...)
				i += n
				continue
			}
			for end := i + n; i < end; i++ {
				dst = append(dst, '%', upperHex[s[i]>>4], upperHex[s[i]&0xf])
			}
		}
	}
	return dst
}

// sequence measures the UTF-8 sequence of more than one byte at the start of s. Where it is invalid, the length is that of
// what one U+FFFD stands for: the longest start of a valid sequence, at least a byte (Unicode Standard, 3.9, U+FFFD
// substitution of maximal subparts), as the Encoding Standard's decoder does.
func sequence[T string | []byte](s T) (n int, valid bool) {
	var need int
	low, high := byte(0x80), byte(0xbf) // bounds of the second byte
	switch c := s[0]; {
	case c >= 0xc2 && c <= 0xdf:
		need = 2
	case c >= 0xe0 && c <= 0xef:
		need = 3
		switch c {
		case 0xe0:
			low = 0xa0 // below: overlong
		case 0xed:
			high = 0x9f // above: surrogates
		}
	case c >= 0xf0 && c <= 0xf4:
		need = 4
		switch c {
		case 0xf0:
			low = 0x90 // below: overlong
		case 0xf4:
			high = 0x8f // above: beyond U+10FFFF
		}
	default:
		return 1, false
	}
	for n = 1; n < need; n++ {
		if n == len(s) || s[n] < low || s[n] > high {
			return n, false
		}
		low, high = 0x80, 0xbf
	}
	return need, true
}

// ParseForm is the standard's parser (5.1), for tests and tools: ParseForm(serialized) gives the pairs back.
func ParseForm(body []byte) []Pair {
	var pairs []Pair
	for part := range bytes.SplitSeq(body, []byte("&")) {
		if len(part) == 0 {
			continue
		}
		name, value, _ := bytes.Cut(part, []byte("="))
		pairs = append(pairs, Pair{Name: decoded(name), Value: decoded(value)})
	}
	return pairs
}

// decoded resolves pluses and percent escapes, then decodes UTF-8 without looking for a byte order mark.
func decoded(s []byte) string {
	raw := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			raw = append(raw, ' ')
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			raw = append(raw, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			raw = append(raw, c)
		}
	}
	if utf8.Valid(raw) {
		return string(raw)
	}
	text := make([]byte, 0, len(raw)+utf8.UTFMax)
	for i := 0; i < len(raw); {
		if raw[i] < utf8.RuneSelf {
			text = append(text, raw[i])
			i++
			continue
		}
		n, valid := sequence(raw[i:])
		if valid {
			text = append(text, raw[i:i+n]...)
		} else {
			text = utf8.AppendRune(text, utf8.RuneError)
		}
		i += n
	}
	return string(text)
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// unhex returns the value of a hex digit.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
