package config

import (
	"strings"
	"unicode/utf8"
)

// source is a YAML text whose lines can be found, to tell what stands at a place. Lines and columns count from 1, columns
// in characters.
type source struct {
	text   string
	starts []int // where each line begins; made when first asked for
	before int   // lines of the file before the text, which is a part of it
	moved  int   // the line whose columns the library counts too far, by documentStart; 0 for none
}

// place is the library's place in the text.
func (s *source) place(line, col int) (int, int) {
	if line == s.moved {
		col -= len(documentStart)
	}
	return s.before + max(line, 1), max(col, 1)
}

// line is the text of a line without its end, "" beyond the last one.
func (s *source) line(n int) string {
	if s.starts == nil {
		s.starts = append(s.starts, 0)
		for i := range len(s.text) {
			if c := s.text[i]; c == '\n' || c == '\r' && !strings.HasPrefix(s.text[i:], "\r\n") {
				s.starts = append(s.starts, i+1)
			}
		}
	}
	n -= s.before
	if n < 1 || n > len(s.starts) {
		return ""
	}
	end := len(s.text)
	if n < len(s.starts) {
		end = s.starts[n]
	}
	return strings.TrimRight(s.text[s.starts[n-1]:end], "\r\n")
}

// from is what stands in a line from a column on.
func (s *source) from(line, col int) string {
	rest := s.line(line)
	for ; col > 1 && rest != ""; col-- {
		_, size := utf8.DecodeRuneInString(rest)
		rest = rest[size:]
	}
	return rest
}

// ended tells whether nothing but space is left from a place on.
func (s *source) ended(line, col int) bool {
	if strings.TrimSpace(s.from(line, col)) != "" {
		return false
	}
	line -= s.before
	return line >= len(s.starts) || strings.TrimSpace(s.text[s.starts[line]:]) == ""
}

// end is the place behind the last character that is no space.
func (s *source) end() (line, col int) {
	s.line(1)
	for n := s.before + len(s.starts); n > s.before; n-- {
		if text := strings.TrimRight(s.line(n), " \t"); text != "" {
			return n, utf8.RuneCountInString(text) + 1
		}
	}
	return 1, 1
}
