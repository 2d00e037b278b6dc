package event

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads one quoted string: a slice of the source where nothing is escaped.
func (p *parser) text() (string, error) {
	p.pos++
	start := p.pos
	for p.pos+8 <= len(p.src) && plain(p.src[p.pos:p.pos+8]) {
		p.pos += 8
	}
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == '"':
			p.pos++
			return p.src[start : p.pos-1], nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.expected("no bare control character in a string")
		default:
			p.pos++
		}
	}
	return "", p.expected("a closing quote")
}

// plain tells whether eight bytes stand for themselves in a string: no quote, no backslash, no control character. It looks at all of
// them at once: a byte is below n where taking n from it borrows and its own high bit is not set.
func plain(s string) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	_ = s[7]
	x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	quote, backslash := x^(ones*'"'), x^(ones*'\\')
	special := (x-ones*0x20)&^x | (quote-ones)&^quote | (backslash-ones)&^backslash
	return special&highs == 0
}

// escaped reads on from the first escape of the string that began at start.
func (p *parser) escaped(start int) (string, error) {
	out := p.scratch[:0]
	// The grown buffer is kept whichever way this ends.
	defer func() { p.scratch = out[:0] }()
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == '"':
			out = append(out, p.src[start:p.pos]...)
			p.pos++
			return string(out), nil
		case c < 0x20:
			return "", p.expected("no bare control character in a string")
		case c != '\\':
			p.pos++
			continue
		}
		out = append(out, p.src[start:p.pos]...)
		p.pos++
		switch c := p.peek(); c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, err := p.unit()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, p.pair(r))
			start = p.pos
			continue
		default:
			return "", p.expected(`one of "\/bfnrtu after a backslash`)
		}
		p.pos++
		start = p.pos
	}
	return "", p.expected("a closing quote")
}

// unit reads the u of an escape and its four hex digits.
func (p *parser) unit() (rune, error) {
	p.pos++
	var r rune
	for range 4 {
		c := p.peek()
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, p.expected("four hex digits after \\u")
		}
		p.pos++
	}
	return r, nil
}

// pair joins a surrogate with the one escaped right behind it; a lone one becomes U+FFFD, and what follows it is read
// by itself.
func (p *parser) pair(r rune) rune {
	if !utf16.IsSurrogate(r) {
		return r
	}
	if strings.HasPrefix(p.src[p.pos:], `\u`) {
		behind := p.pos
		p.pos++
		if low, err := p.unit(); err == nil {
			if joined := utf16.DecodeRune(r, low); joined != utf8.RuneError {
				return joined
			}
		}
		p.pos = behind
	}
	return utf8.RuneError
}
