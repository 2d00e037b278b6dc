package rule

import (
	"math/big"
	"strconv"
	"strings"
)

// number is a decimal number of any size, as digits and the place of the point: its value is 0.<whole><part> times ten
// to the power of exp. Nothing is ever multiplied out, so 1e999999999 costs what 1 costs. The zero number is 0.
type number struct {
	negative    bool
	whole, part string // digits; no zero leads or trails the two put together
	exp         int64
}

// maxExponent bounds the exponents that are told apart: beyond it numbers differ by their sign and digits alone.
const maxExponent = 1 << 60

// parseNumber reads a decimal number: JSON's grammar (RFC 8259, section 6), with a leading plus, a leading or trailing
// point and leading zeros let through, for YAML writes those too.
func parseNumber(s string) (number, bool) {
	var n number
	switch {
	case strings.HasPrefix(s, "-"):
		n.negative, s = true, s[1:]
	case strings.HasPrefix(s, "+"):
		s = s[1:]
	}
	i := digits(s)
	n.whole, s = s[:i], s[i:]
	if strings.HasPrefix(s, ".") {
		i = digits(s[1:])
		n.part, s = s[1:1+i], s[1+i:]
	}
	if n.whole == "" && n.part == "" {
		return number{}, false
	}
	if s != "" {
		if s[0] != 'e' && s[0] != 'E' {
			return number{}, false
		}
		var ok bool
		if n.exp, ok = parseExponent(s[1:]); !ok {
			return number{}, false
		}
	}
	return n.trimmed(), true
}

// trimmed drops the zeros that change nothing, so that equal values have equal fields' digits.
func (n number) trimmed() number {
	n.whole = strings.TrimLeft(n.whole, "0")
	n.part = strings.TrimRight(n.part, "0")
	if n.whole == "" {
		part := strings.TrimLeft(n.part, "0")
		if part == "" {
			return number{}
		}
		n.exp -= int64(len(n.part) - len(part))
		n.part = part
		return n
	}
	n.exp += int64(len(n.whole))
	if n.part == "" {
		n.whole = strings.TrimRight(n.whole, "0")
	}
	return n
}

// parseExponent reads what follows an e, held to maxExponent on either side.
func parseExponent(s string) (int64, bool) {
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	if s == "" || digits(s) != len(s) {
		return 0, false
	}
	var e int64
	for i := range len(s) {
		if e = e*10 + int64(s[i]-'0'); e > maxExponent {
			e = maxExponent
			break
		}
	}
	if negative {
		e = -e
	}
	return e, true
}

// digits counts the decimal digits that s begins with.
func digits(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}

// sign is -1, 0 or 1.
func (n number) sign() int {
	switch {
	case n.whole == "" && n.part == "":
		return 0
	case n.negative:
		return -1
	}
	return 1
}

// compare gives -1, 0 or 1 by the exact values.
func (n number) compare(m number) int {
	s, t := n.sign(), m.sign()
	switch {
	case s != t:
		if s < t {
			return -1
		}
		return 1
	case s == 0:
		return 0
	case n.exp != m.exp:
		if n.exp < m.exp {
			return -s
		}
		return s
	}
	return s * n.compareDigits(m)
}

// keySize is room for the key of any number that people write.
const keySize = 64

// appendKey appends what is the same for equal numbers and differs for others.
func (n number) appendKey(dst []byte) []byte {
	if n.sign() < 0 {
		dst = append(dst, '-')
	}
	dst = append(dst, n.whole...)
	dst = append(dst, n.part...)
	dst = append(dst, 'e')
	return strconv.AppendInt(dst, n.exp, 10)
}

// compareDigits compares two fractions by their digits. No zero trails, so of two that agree the longer is the larger.
func (n number) compareDigits(m number) int {
	total := len(n.whole) + len(n.part)
	other := len(m.whole) + len(m.part)
	for i := range min(total, other) {
		a, b := n.digit(i), m.digit(i)
		if a != b {
			if a < b {
				return -1
			}
			return 1
		}
	}
	switch {
	case total < other:
		return -1
	case total > other:
		return 1
	}
	return 0
}

func (n number) digit(i int) byte {
	if i < len(n.whole) {
		return n.whole[i]
	}
	return n.part[i-len(n.whole)]
}

// maxBased is how long a number in another base than ten may be: turning one into decimals takes quadratic time.
const maxBased = 1000

// parseOperand reads a number as YAML writes them: decimal, or 0x, 0o and 0b integers, underscores between digits.
func parseOperand(s string) (number, bool) {
	if n, ok := parseNumber(s); ok {
		return n, true
	}
	if len(s) > maxBased {
		return number{}, false
	}
	i, ok := new(big.Int).SetString(s, 0)
	if !ok {
		return number{}, false
	}
	return parseNumber(i.String())
}
