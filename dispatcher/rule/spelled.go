package rule

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// spelled is a text with the escapes of one kind read, which knows where each byte was written.
type spelled struct {
	text string
	from []int // of each byte of text, where in the original it was written; nil: the same place
	size int   // of the original
}

// at is where in the original a byte of the text begins, or for its end where that is.
func (s spelled) at(i int) int {
	if s.from == nil {
		return i
	}
	return s.from[i]
}

// maxEntity is the longest name of an HTML character reference that is looked up.
const maxEntity = 12

const entityLetters = "#abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// readings gives a text in all the ways that it may be meant: as it is, and with the escapes of URLs, forms, JSON, JSON in
// JSON, and HTML read.
func readings(text string, cut bool) []spelled {
	list := []spelled{{text: text, size: len(text)}}
	for _, way := range []struct {
		mark string
		read func(string) (string, int)
	}{{`\`, readJSON}, {`\`, readJSON}, {"&", readEntity}} {
		// JSON may stand in JSON, as in a log of what came in, and markup in either.
		last := list[len(list)-1]
		if strings.Contains(last.text, way.mark) {
			list = append(list, last.unescape(way.read, cut))
		}
	}
	if first := list[0]; len(list) > 1 && strings.Contains(text, "&") {
		list = append(list, first.unescape(readEntity, cut))
	}
	for _, one := range list {
		if strings.Contains(one.text, "%") {
			list = append(list, one.unescape(readPercent, cut))
		}
		if strings.ContainsAny(one.text, "%+") {
			list = append(list, one.unescape(readForm, cut))
		}
	}
	return list
}

// unescape reads the escapes that read knows: it gives what stands at the beginning of a text and how long it is written, 0
// where that is no escape, -1 where the text ends within one, of which nothing is kept where the text was cut.
func (s spelled) unescape(read func(string) (string, int), cut bool) spelled {
	var b strings.Builder
	out := spelled{from: make([]int, 0, len(s.text)+1), size: s.size}
	for i := 0; i < len(s.text); {
		meant, n := read(s.text[i:])
		if n < 0 && cut {
			out.text, out.from = b.String(), append(out.from, s.at(i))
			return out
		}
		if n <= 0 {
			meant, n = s.text[i:i+1], 1
		}
		for range len(meant) {
			out.from = append(out.from, s.at(i))
		}
		b.WriteString(meant)
		i += n
	}
	out.text, out.from = b.String(), append(out.from, s.at(len(s.text)))
	return out
}

func readForm(s string) (string, int) {
	if s[0] == '+' {
		return " ", 1
	}
	return readPercent(s)
}

func readPercent(s string) (string, int) {
	if s[0] != '%' {
		return "", 0
	}
	if len(s) < 3 {
		return "", -1
	}
	n, err := strconv.ParseUint(s[1:3], 16, 8)
	if err != nil {
		return "", 0
	}
	return string([]byte{byte(n)}), 3
}

func readJSON(s string) (string, int) {
	if s[0] != '\\' {
		return "", 0
	}
	if len(s) < 2 {
		return "", -1
	}
	switch c := s[1]; c {
	case '"', '\\', '/', '\'':
		return s[1:2], 2
	case 't':
		return "\t", 2
	case 'u':
		if len(s) < 6 {
			return "", -1
		}
		n, err := strconv.ParseUint(s[2:6], 16, 16)
		if err != nil {
			return "", 0
		}
		if !utf16.IsSurrogate(rune(n)) || len(s) < 12 || s[6:8] != `\u` {
			return string(rune(n)), 6
		}
		low, err := strconv.ParseUint(s[8:12], 16, 16)
		if r := utf16.DecodeRune(rune(n), rune(low)); err == nil && r != utf8.RuneError {
			return string(r), 12
		}
		return string(utf8.RuneError), 6
	}
	return "", 0
}

func readEntity(s string) (string, int) {
	if s[0] != '&' {
		return "", 0
	}
	end := strings.IndexByte(s[:min(len(s), maxEntity)], ';')
	if end < 0 {
		if len(s) < maxEntity && strings.Trim(s[1:], entityLetters) == "" {
			return "", -1
		}
		return "", 0
	}
	if meant := html.UnescapeString(s[:end+1]); meant != s[:end+1] {
		return meant, end + 1
	}
	return "", 0
}
