// Package template renders @variables of parameter values and serializes forms. It performs no I/O of any kind.
package template

import (
	"strings"

	"bellhop/dispatcher/event"
)

// Template is one parsed parameter value. It is immutable and safe for concurrent use.
type Template struct {
	source string
	parts  []part
}

// part is literal text or one variable.
type part struct {
	text    string   // literal: the text; variable: as written, with its @ and braces
	form    string   // literal: the text form-encoded
	reading *reading // what a short name reads
	path    []string // into the data
	entity  bool     // the path begins with an entity, so it is a variable whatever the data holds
	offset  int      // of the variable's @
	inWord  bool     // a letter or digit stands right before the @, as in an e-mail address
}

// Parse reads a parameter value. It never fails: what is no variable stands for itself. Only one question is left to
// Append: whether a name that the catalogue does not know is a field of the event's data.
func Parse(text string) *Template {
	t := &Template{source: text}
	var literal []byte
	flush := func() {
		if len(literal) > 0 {
			t.parts = append(t.parts, part{text: string(literal), form: string(appendEncoded(nil, literal))})
			literal = literal[:0]
		}
	}
	end := 0 // of the last variable
	for i := 0; i < len(text); {
		if text[i] != '@' {
			literal = append(literal, text[i])
			i++
			continue
		}
		if strings.HasPrefix(text[i:], "@@") {
			literal = append(literal, '@')
			i += 2
			continue
		}
		name, written := scan(text[i:])
		if name == "" {
			literal = append(literal, '@')
			i++
			continue
		}
		flush()
		v := variable(name, written)
		v.offset = i
		v.inWord = i > end && isWord(text[i-1])
		t.parts = append(t.parts, v)
		i += len(written)
		end = i
	}
	flush()
	return t
}

// variable decides what the name reads.
func variable(name, written string) part {
	v := part{text: written}
	if r := short[name]; r != nil {
		v.reading = r
		return v
	}
	v.path = strings.Split(name, ".")
	v.entity = isEntity(v.path[0])
	return v
}

// scan reads the variable at the start of s, which begins with an @. Name is "" where there is none.
func scan(s string) (name, written string) {
	if len(s) > 1 && s[1] == '{' {
		return scanBraced(s)
	}
	if len(s) < 2 || !isLetter(s[1]) {
		return "", ""
	}
	end := 2
	for end < len(s) {
		// A dot belongs to the path only where a token follows: @first_name. is the name and a full stop.
		if !isToken(s[end]) && (s[end] != '.' || end+1 == len(s) || !isToken(s[end+1])) {
			break
		}
		end++
	}
	return s[1:end], s[:end]
}

// scanBraced reads @{name}, where a name may hold anything but braces, an @ and control characters.
func scanBraced(s string) (name, written string) {
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c == '}':
			name = s[2:i]
			if name == "" || name[0] == '.' || name[len(name)-1] == '.' || strings.Contains(name, "..") {
				return "", ""
			}
			return name, s[:i+1]
		case c == '{' || c == '@' || c < 0x20 || c == 0x7f:
			return "", ""
		}
	}
	return "", ""
}

// isLetter tells whether a name may begin with c.
func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// isToken tells whether c may stand in a token of a name without braces.
func isToken(c byte) bool { return isLetter(c) || c >= '0' && c <= '9' }

// isWord tells whether c is part of a word: a letter of any script (all bytes outside ASCII are taken for one) or a
// digit. An underscore is not: it joins the parts of a file's name more often than it ends that of a mailbox.
func isWord(c byte) bool { return isToken(c) && c != '_' || c >= 0x80 }

// Source returns the text that Parse read.
func (t *Template) Source() string { return t.source }

// Append appends the rendered text, not yet form-encoded.
func (t *Template) Append(dst []byte, e *event.Event) []byte {
	for i := range t.parts {
		if p := &t.parts[i]; p.constant() {
			dst = append(dst, p.text...)
		} else {
			dst = p.append(dst, e)
		}
	}
	return dst
}

// AppendForm appends one pair as the function AppendForm does, with the rendered text for its value. It renders variables
// into scratch, which it returns grown, for the next call: a form is built with no allocation of its own.
func (t *Template) AppendForm(dst, scratch []byte, name string, e *event.Event) (form, spare []byte) {
	dst = appendName(dst, name)
	for i := range t.parts {
		if p := &t.parts[i]; p.constant() {
			dst = append(dst, p.form...)
		} else {
			scratch = p.append(scratch[:0], e)
			dst = appendEncoded(dst, scratch)
		}
	}
	return dst, scratch
}

// constant tells whether the part is literal text.
func (p *part) constant() bool { return p.reading == nil && p.path == nil }

// append renders a variable.
func (p *part) append(dst []byte, e *event.Event) []byte {
	if p.path == nil {
		return p.reading.append(dst, e)
	}
	first := e.Data.Field(p.path[0])
	if p.entity || first.Kind() != event.Missing {
		return first.Lookup(p.path[1:]).AppendText(dst)
	}
	return append(dst, p.text...)
}
