package rule

import (
	"strconv"
	"strings"
	"time"

	"bellhop/dispatcher/event"
)

// operator is one of the conditions a filter may set on a path.
type operator uint8

const (
	opEquals operator = iota + 1
	opNotEquals
	opIn
	opNotIn
	opContains
	opStartsWith
	opEndsWith
	opMatches
	opGT
	opGTE
	opLT
	opLTE
	opExists
)

// operatorNames lists the operators in documentation order; an operator is its place here, counted from 1.
var operatorNames = []string{
	"equals", "not_equals", "in", "not_in", "contains", "starts_with", "ends_with", "matches",
	"gt", "gte", "lt", "lte", "exists",
}

// Operators lists the filter operators in documentation order, for schemas and completion.
func Operators() []string { return append([]string(nil), operatorNames...) }

func (o operator) String() string { return operatorNames[o-1] }

// operatorOf finds an operator by its name, 0 where there is none.
func operatorOf(name string) operator {
	for i, n := range operatorNames {
		if n == name {
			return operator(i + 1)
		}
	}
	return 0
}

// operand is one value that a condition compares with.
type operand struct {
	kind   event.Kind // Bool, Number or String
	truth  bool
	text   string
	number number
}

// equal tells whether the value is the operand's: of the same kind, numbers by value, text by its bytes.
func (o *operand) equal(v event.Value) bool {
	if v.Kind() != o.kind {
		return false
	}
	switch o.kind {
	case event.Bool:
		return v.Bool() == o.truth
	case event.String:
		return v.Text() == o.text
	case event.Number:
		// Most numbers come as they are written in the rule; the rest are compared digit by digit, never as floats.
		if v.Text() == o.text {
			return true
		}
		n, ok := parseNumber(v.Text())
		return ok && n.compare(o.number) == 0
	}
	return false
}

// String shows the operand as an operator would write it: text bare where it can be taken for nothing else.
func (o *operand) String() string {
	if o.kind != event.String {
		return cut(o.text, maxShown)
	}
	_, numeric := parseOperand(o.text)
	switch {
	case numeric, o.text == "", o.text == "true", o.text == "false", o.text == "null", o.text == "~",
		strings.ContainsAny(o.text, "\"',[]{}:#\\"), strings.TrimSpace(o.text) != o.text,
		strconv.Quote(o.text) != `"`+o.text+`"`:
		return strconv.Quote(cut(o.text, maxShown))
	}
	return cut(o.text, maxShown)
}

// condition is one operator on one path.
type condition struct {
	key      string   // the path as written
	path     []string // into the data; nil for the envelope
	attr     string   // of the envelope: event.<attr>
	op       operator
	operands []operand
	isList   bool // the operand was written as a list
	pattern  *pattern
	isTime   bool // gt, gte, lt, lte: the operand is a time
	time     time.Time
	want     bool // exists
}

func (c *condition) lookup(e *event.Event) event.Value {
	if c.attr != "" {
		return e.Attr(c.attr)
	}
	return e.Data.Lookup(c.path)
}

func (c *condition) holds(e *event.Event) bool { return c.holdsFor(c.lookup(e)) }

// holdsFor judges the value found. Missing and null are alike; a list answers contains and exists alone.
func (c *condition) holdsFor(v event.Value) bool {
	switch {
	case c.op == opExists:
		return v.Absent() != c.want
	case v.Absent():
		return c.op == opNotEquals || c.op == opNotIn
	case v.Kind() == event.List:
		return c.op == opContains && c.anyElement(v)
	}
	switch c.op {
	case opEquals, opIn:
		return c.anyEqual(v)
	case opNotEquals, opNotIn:
		return !c.anyEqual(v)
	case opGT, opGTE, opLT, opLTE:
		return c.ordered(v)
	}
	return v.Kind() == event.String && c.holdsForText(v.Text())
}

func (c *condition) holdsForText(text string) bool {
	switch c.op {
	case opContains:
		for i := range c.operands {
			if o := &c.operands[i]; o.kind == event.String && strings.Contains(text, o.text) {
				return true
			}
		}
	case opStartsWith:
		return strings.HasPrefix(text, c.operands[0].text)
	case opEndsWith:
		return strings.HasSuffix(text, c.operands[0].text)
	case opMatches:
		return !c.pattern.tooLong(text) && c.pattern.MatchString(text)
	}
	return false
}

func (c *condition) anyEqual(v event.Value) bool {
	for i := range c.operands {
		if c.operands[i].equal(v) {
			return true
		}
	}
	return false
}

func (c *condition) anyElement(list event.Value) bool {
	for _, item := range list.Items() {
		if c.anyEqual(item) {
			return true
		}
	}
	return false
}

// ordered answers gt, gte, lt and lte: number against number, instant against instant, nothing across.
func (c *condition) ordered(v event.Value) bool {
	var order int
	if c.isTime {
		if v.Kind() != event.String {
			return false
		}
		t, ok := parseTime(v.Text())
		if !ok {
			return false
		}
		order = t.Compare(c.time)
	} else {
		if v.Kind() != event.Number {
			return false
		}
		n, ok := parseNumber(v.Text())
		if !ok {
			return false
		}
		order = n.compare(c.operands[0].number)
	}
	switch c.op {
	case opGT:
		return order > 0
	case opGTE:
		return order >= 0
	case opLT:
		return order < 0
	default:
		return order <= 0
	}
}

// parseTime reads an RFC 3339 time strictly. A leap second is the first instant of the next minute; t and z may be small.
func parseTime(s string) (time.Time, bool) {
	// A comma before the fraction is ISO 8601, and not of this profile.
	if len(s) < len("2006-01-02T15:04:05Z") || len(s) > 64 || strings.Contains(s, ",") {
		return time.Time{}, false
	}
	s = strings.ToUpper(s)
	leap := s[16:19] == ":60"
	if leap {
		s = s[:16] + ":59" + s[19:]
	}
	var t time.Time
	if err := t.UnmarshalText([]byte(s)); err != nil {
		return time.Time{}, false
	}
	if leap {
		t = t.Truncate(time.Second).Add(time.Second)
	}
	return t, true
}
