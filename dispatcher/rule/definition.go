// Package rule selects the webhooks that an event triggers. It validates and compiles what operators define into an
// immutable set, matches events against it and explains why not. It performs no I/O and never reads the clock.
package rule

import (
	"fmt"
	"time"
)

// Pos is where something stands in a rule file. The zero Pos is nowhere.
type Pos struct {
	File         string
	Line, Column int // from 1; columns count characters
}

// String gives file:line:column.
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Severity says how bad a problem is.
type Severity uint8

// The severities. A set with an Error is not put in force.
const (
	Error Severity = iota + 1
	Warning
)

// Problem is one thing found in rule files.
type Problem struct {
	Pos      Pos
	Path     string // rules[0].webhooks[1].endpoint; "" for the file as a whole
	Severity Severity
	Text     string // without position or path
	// Lack tells that the problem is of something that is not there. Where the file's shape is broken, that may only
	// follow from what could not be read.
	Lack bool
}

// Scalar is one YAML scalar with its place. Text is as written (12.50 stays 12.50).
type Scalar struct {
	Text string
	Type ScalarType
	Pos  Pos
	Path string
}

// ScalarType is what YAML takes a plain scalar for; a quoted one is always Text.
type ScalarType uint8

// The types of scalars. Absent is the zero: the key was not there.
const (
	Absent ScalarType = iota
	TextScalar
	NumberScalar
	BoolScalar
	NullScalar
)

// Definitions is all that the rule files define, as written, in file order. Shapes have been checked (known keys,
// mappings where mappings belong), meanings have not: that is Compile's.
type Definitions struct {
	Filters []FilterDef
	Rules   []RuleDef
	// Files maps a file's path to its text, for versions in the store.
	Files []SourceFile
}

// SourceFile is one rule file's text.
type SourceFile struct{ Path, Text string }

// FilterDef is one named filter.
type FilterDef struct {
	Name   Scalar
	Filter *FilterNode
}

// FilterNode is a filter as written: a name, or a mapping. All of its parts must hold.
type FilterNode struct {
	Pos  Pos
	Path string
	Name *Scalar // a named filter stands here; everything else is empty then
	// The mapping's entries in written order.
	Entries []FilterEntry
}

// FilterEntry is one entry of a filter's mapping: exactly one of the fields besides Key is set.
type FilterEntry struct {
	Key        Scalar // the path, or all, any, not
	All, Any   []*FilterNode
	Not        *FilterNode
	Conditions []Condition // for a path; a bare value is one equals
}

// Condition is one operator on a path.
type Condition struct {
	Op     Scalar   // equals, in, ...; its Pos that of the value where the value stands bare
	Value  Scalar   // for a single operand
	Values []Scalar // for a list operand
	IsList bool     // the operand was a list, possibly an empty one
}

// RuleDef is one rule as written.
type RuleDef struct {
	Pos             Pos
	Path            string
	Name            Scalar
	Description     Scalar
	On              []Scalar
	OnPos           Pos
	Enabled         Scalar // BoolScalar or Absent
	IncludeArchived Scalar
	Filter          *FilterNode
	Webhooks        []WebhookDef
}

// WebhookDef is one webhook as written.
type WebhookDef struct {
	Pos        Pos
	Path       string
	Name       Scalar // Absent: webhook-N
	Endpoint   Scalar
	Parameters []Parameter
	Filter     *FilterNode
	When       Scalar
	Timeout    Scalar
	Retries    Scalar
	Encoding   Scalar
	Headers    []HeaderDef
	Secrets    []Scalar
}

// Parameter is one parameter as written; the string form has been split already.
type Parameter struct {
	Name, Value Scalar
}

// HeaderDef is one header as written.
type HeaderDef struct {
	Name, Value Scalar
}

// Defaults are the daemon's settings that webhooks fall back on.
type Defaults struct {
	Timeout  time.Duration
	Retries  int
	Encoding string // normalize or literal
}
