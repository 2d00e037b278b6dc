// Package trace reads the W3C Trace Context of events, so that it can go on to receivers. It performs no I/O.
package trace

import (
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// The names of the headers (W3C Trace Context, 3.2 and 3.3).
const (
	ParentHeader = "traceparent"
	StateHeader  = "tracestate"
)

// Context is the place of something in a trace. Its fields are fit for headers.
type Context struct {
	Parent string `json:"traceparent"`
	State  string `json:"tracestate,omitempty"` // "" where there is none
}

const (
	parentLength = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	// maxState is how much of a tracestate goes on: as much as the standard asks for (3.3.1.5).
	maxState = 512
	// longMember is the length from which members go first where a tracestate is too long (3.3.1.5).
	longMember = 128
	// maxRead bounds what is looked at.
	maxRead = 8 << 10
)

// Of reads the context from a message's headers; nil where there is none, or none that is valid. A tracestate that is not
// valid is left out (W3C Trace Context, 4.3). It allocates nothing where there is no traceparent.
func Of(h map[string][]string) *Context {
	if len(h) == 0 {
		return nil
	}
	values := find(h, parentNames)
	if len(values) != 1 {
		return nil
	}
	c := Context{Parent: values[0], State: strings.Join(find(h, stateNames), ",")}
	return c.Valid()
}

// Valid returns the context as it may go on, nil where it is not valid.
func (c *Context) Valid() *Context {
	if c == nil {
		return nil
	}
	parent, ok := parse(strings.Trim(c.Parent, " \t"))
	if !ok {
		return nil
	}
	return &Context{Parent: parent, State: state(c.State)}
}

// The spellings of the headers that are looked for: NATS takes names as they are, and publishers write them as the standard does, or
// as their libraries write the names of headers. A look at every header would cost each event more.
var (
	parentNames = [...]string{ParentHeader, "Traceparent", "TRACEPARENT"}
	stateNames  = [...]string{StateHeader, "Tracestate", "TRACESTATE"}
)

// find returns the values of a header by the first of its spellings that is there.
func find(h map[string][]string, names [3]string) []string {
	for _, name := range names {
		if v, ok := h[name]; ok {
			return v
		}
	}
	return nil
}

// parse checks a traceparent (3.2.2), and gives one of a later version the form of version 00, as 4.3 asks for.
func parse(s string) (string, bool) {
	if len(s) < parentLength || s[2] != '-' || s[35] != '-' || s[52] != '-' ||
		!hex(s[:2]) || !hex(s[3:35]) || !hex(s[36:52]) || !hex(s[53:55]) ||
		s[:2] == "ff" || zero(s[3:35]) || zero(s[36:52]) {
		return "", false
	}
	if s[:2] == "00" {
		return strings.Clone(s), len(s) == parentLength
	}
	if len(s) > parentLength && s[parentLength] != '-' {
		return "", false
	}
	flags := "00"
	if strings.IndexByte("13579bdf", s[54]) >= 0 {
		flags = "01"
	}
	return "00" + s[2:53] + flags, true
}

// hex tells whether a text is lower-case hex digits.
func hex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zero(s string) bool { return strings.Trim(s, "0") == "" }

// state checks a tracestate, and shortens one that is too long by whole members: long ones first, then from the end.
func state(s string) string {
	if s == "" || len(s) > maxRead {
		return ""
	}
	parsed, err := trace.ParseTraceState(s)
	if err != nil {
		return ""
	}
	text := parsed.String()
	if len(text) <= maxState {
		return text
	}
	members := strings.Split(text, ",")
	for i := len(members) - 1; i >= 0 && length(members) > maxState; i-- {
		if len(members[i]) > longMember {
			members = append(members[:i], members[i+1:]...)
		}
	}
	for length(members) > maxState {
		members = members[:len(members)-1]
	}
	return strings.Join(members, ",")
}

// length is that of the members joined.
func length(members []string) int {
	n := len(members) - 1
	for _, m := range members {
		n += len(m)
	}
	return n
}
