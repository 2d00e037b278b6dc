package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// syntaxError is a text that is no YAML, or more of it than the bounds allow.
type syntaxError struct {
	line, col int
	text      string
}

// Error gives line:column: text.
func (e *syntaxError) Error() string { return fmt.Sprintf("%d:%d: %s", e.line, e.col, e.text) }

// complaints translate what the library says, which speaks of its own states, into what an operator can do. The first whose
// context and message are both found in the library's is taken.
var complaints = []struct {
	context, message string
	text             string // %s is where what is not closed begins, %q the character at the place
	begin            bool   // the place is where the unfinished thing begins, not where that was noticed
}{
	{"", "exceeded max depth", fmt.Sprintf("nested more than %d levels deep", maxDepth), false},
	{"", "tab character", "a tab in the indentation, where only spaces may stand", false},
	{"", "mapping values are not allowed", "a colon where none can stand: quote a value that has a colon and a space in it, " +
		"or look at the indentation", false},
	{"", "mapping keys are not allowed", "a question mark where no key can stand: quote a value that begins with one", false},
	{"", "block sequence entries are not allowed", "a dash where no list can begin: begin a list in a line of its own", false},
	{"flow sequence", "did not find expected", "a comma or ] is missing in the list that begins at %s: quote a text with a " +
		"comma, a colon or brackets in it", false},
	{"flow mapping", "did not find expected", "a comma or } is missing in the mapping that begins at %s: quote a text with a " +
		"comma, a colon or brackets in it", false},
	{"", "did not find expected node content", "a %q where a value belongs: quote a text that begins with it", false},
	{"", "did not find expected key", "not a key of the mapping that begins at %s: look at the indentation and the quotes", false},
	{"", "expected '-' indicator", "not an entry of the list that begins at %s: look at the indentation and the dashes", false},
	{"simple key", "could not find expected ':'", "a key without a colon: write key: value, or look at the indentation", true},
	{"quoted scalar", "unexpected end of stream", "a quote that is never closed", true},
	{"quoted scalar", "document indicator", "a quote that is not closed before the document ends", true},
	{"quoted scalar", "unknown escape", `no such escape in double quotes: write \\ for a backslash, or use single quotes`, false},
	{"quoted scalar", "", `a \x, \u or \U in double quotes without its hexadecimal digits`, false},
	{"", "cannot start any token", "no value can begin with %q: quote it", false},
	{"alias", "expected alphabetic", "no value can begin with * unless it is quoted", true},
	{"anchor", "expected alphabetic", "no value can begin with & unless it is quoted", true},
	{"", "comment without preceding whitespace", "a # right behind a value: a comment has a space before it", false},
	{"block scalar", "", "no text can stand in the line of | or >: it begins in the next line", false},
	{"document-end", "", "text behind the ... that ends a document", false},
	{"directive", "", "a line that begins with % is a directive of YAML, and this is none", true},
	{"", "%YAML directive", "a second %YAML directive", false},
	{"", "%TAG directive", "a second %TAG directive", false},
	{"", "incompatible YAML document", "the directive asks for a version other than YAML 1.2", false},
	{"", "<document start>", "text behind the end of the document: look at the brackets, the quotes and the indentation", false},
	{"", "undefined tag handle", "an unknown tag: quote a value that begins with an exclamation mark", false},
	{"tag", "", "no valid tag: quote a value that begins with an exclamation mark", true},
}

// unknownAnchor is how the library begins its complaint of an alias; the name follows.
const unknownAnchor = "unknown anchor '"

// complain makes a syntaxError of the library's error.
func complain(err error, src *source) error {
	lib := (*yaml.LoadError)(nil)
	if !errors.As(err, &lib) || lib.Mark.Line < 1 {
		return &syntaxError{1, 1, strings.Join(strings.Fields(err.Error()), " ")}
	}
	e := &syntaxError{text: strings.Join(strings.Fields(lib.Message), " ")}
	e.line, e.col = src.place(lib.Mark.Line, lib.Mark.Column)
	if name, ok := strings.CutPrefix(lib.Message, unknownAnchor); ok {
		name = strings.TrimSuffix(name, "' referenced")
		e.text = fmt.Sprintf("no anchor &%s stands before this alias: quote a text that begins with *", name)
		return e
	}
	ended := src.ended(e.line, e.col)
	if ended {
		// The library counts a line that is not there.
		e.line, e.col = src.end()
	}
	for _, c := range complaints {
		if !strings.Contains(lib.ContextMsg, c.context) || !strings.Contains(lib.Message, c.message) {
			continue
		}
		line, col := src.place(lib.ContextMark.Line, lib.ContextMark.Column) // where what is unfinished begins
		switch {
		case ended && strings.Contains(c.context, "flow"):
			e.line, e.col = line, col
			e.text = fmt.Sprintf("a %.1s that is never closed", src.from(line, col))
		case strings.Contains(c.text, "%q") && ended:
			e.text = "the text ends where a value belongs"
		case strings.Contains(c.text, "%q"):
			r, _ := utf8.DecodeRuneInString(src.from(e.line, e.col))
			if r == '\t' {
				e.text = "a tab in the indentation, where only spaces may stand"
				break
			}
			e.text = strings.Replace(c.text, "%q", string(r), 1)
		case strings.Contains(c.text, "%s"):
			e.text = fmt.Sprintf(c.text, fmt.Sprintf("%d:%d", line, col))
		default:
			e.text = c.text
			if c.begin && lib.ContextMark.Line > 0 {
				e.line, e.col = line, col
			}
		}
		break
	}
	return e
}
