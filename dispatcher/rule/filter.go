package rule

import (
	"fmt"
	"strconv"
	"strings"

	"bellhop/dispatcher/event"
)

// maxShown is how many characters of a value an explanation shows.
const maxShown = 80

// maxAlternatives is how many failed alternatives of an any an explanation names.
const maxAlternatives = 8

// filter is a compiled filter, immutable.
type filter interface {
	// holds judges the event.
	holds(e *event.Event) bool
	// why says which condition failed with what it found; it may only be asked where holds says false.
	why(e *event.Event) string
	// String shows the filter on one line.
	String() string
}

// all holds where each part does.
type all []filter

func (f all) holds(e *event.Event) bool {
	for _, part := range f {
		if !part.holds(e) {
			return false
		}
	}
	return true
}

func (f all) why(e *event.Event) string {
	for _, part := range f {
		if !part.holds(e) {
			return part.why(e)
		}
	}
	return ""
}

func (f all) String() string { return "(" + joined(f, " and ") + ")" }

// anyOf holds where one part does.
type anyOf []filter

func (f anyOf) holds(e *event.Event) bool {
	for _, part := range f {
		if part.holds(e) {
			return true
		}
	}
	return false
}

func (f anyOf) why(e *event.Event) string {
	if len(f) == 1 {
		return f[0].why(e)
	}
	var b strings.Builder
	b.WriteString("none of: ")
	for i, part := range f {
		if i > 0 {
			b.WriteString("; ")
		}
		if i == maxAlternatives {
			b.WriteString(strconv.Itoa(len(f) - i))
			b.WriteString(" more")
			break
		}
		b.WriteString(part.why(e))
	}
	return b.String()
}

func (f anyOf) String() string { return "(" + joined(f, " or ") + ")" }

// not holds where its inner filter does not.
type not struct{ inner filter }

func (f not) holds(e *event.Event) bool { return !f.inner.holds(e) }

func (f not) why(e *event.Event) string {
	if c, ok := f.inner.(*condition); ok {
		return "not " + c.why(e)
	}
	return "not " + cut(f.inner.String(), 2*maxShown) + ": it holds"
}

func (f not) String() string { return "not " + f.inner.String() }

// named is a filter that a name stands for.
type named struct {
	name  string
	inner filter
}

func (f named) holds(e *event.Event) bool { return f.inner.holds(e) }
func (f named) why(e *event.Event) string { return "filter " + f.name + ": " + f.inner.why(e) }
func (f named) String() string            { return "filter " + f.name }

func (c *condition) why(e *event.Event) string {
	v := c.lookup(e)
	if c.op == opMatches && v.Kind() == event.String && c.pattern.tooLong(v.Text()) {
		return fmt.Sprintf("%v: found a text of %d bytes, too long for a pattern of %d steps", c, len(v.Text()), c.pattern.steps)
	}
	return c.String() + ": found " + shown(v)
}

func (c *condition) String() string {
	var b strings.Builder
	b.WriteString(c.key)
	b.WriteString(": ")
	b.WriteString(c.op.String())
	b.WriteByte(' ')
	if c.op == opExists {
		b.WriteString(strconv.FormatBool(c.want))
		return b.String()
	}
	if c.isList {
		b.WriteByte('[')
	}
	for i := range c.operands {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == maxAlternatives {
			b.WriteString("…")
			break
		}
		b.WriteString(c.operands[i].String())
	}
	if c.isList {
		b.WriteByte(']')
	}
	return b.String()
}

// shown gives a found value for people: JSON, cut short, or the word missing.
func shown(v event.Value) string {
	switch v.Kind() {
	case event.Missing:
		return "missing"
	case event.String:
		return strconv.Quote(cut(v.Text(), maxShown))
	}
	return cut(string(v.AppendJSON(nil)), maxShown)
}

func joined(parts []filter, by string) string {
	var b strings.Builder
	for i, part := range parts {
		if i > 0 {
			b.WriteString(by)
		}
		// A filter may stand for thousands of conditions; what is shown is cut anyway.
		if b.Len() > 4*maxShown {
			b.WriteString("…")
			break
		}
		b.WriteString(part.String())
	}
	return b.String()
}
