package config

import (
	"fmt"
	"regexp"
)

// Bounds on what one YAML text may hold. Operators never meet them; a text made to exhaust the daemon does.
const (
	maxFileSize  = 64 << 20 // bytes of one file
	maxDepth     = 100      // levels of nesting, those behind aliases included
	maxExpansion = 500_000  // nodes that aliases may add by repeating what is anchored
)

// nodeKind says what a node of a YAML document is. Aliases are resolved, tags and anchors are gone.
type nodeKind uint8

const (
	scalarNode nodeKind = iota + 1
	mappingNode
	listNode
)

// String names the kind as error texts do.
func (k nodeKind) String() string {
	switch k {
	case mappingNode:
		return "a mapping"
	case listNode:
		return "a list"
	default:
		return "a single value"
	}
}

// node is one node of a YAML document. What an alias repeats is the same node, so a document is a graph without cycles.
type node struct {
	kind      nodeKind
	plain     bool // scalar: written without quotes, so that its text decides its type
	inline    bool // scalar: its text stands on one line of the file character by character, from line and column on
	line, col int32
	text      string // scalar: decoded; plain ones as written
	pairs     []pair // mapping, in written order
	items     []*node
	depth     int // levels of nesting below, itself included
	size      int // nodes when every alias is written out, saturated
}

// nodes makes nodes, many at a time: a large file has millions.
type nodes struct {
	slabs [][]node
	used  int // of the last slab that is in use
	at    int // which that is
}

// slabSize is how many nodes are made together, at most.
const slabSize = 1024

// next gives a node, which holds what it held before.
func (s *nodes) next() *node {
	if s.at < len(s.slabs) && s.used == len(s.slabs[s.at]) {
		s.at, s.used = s.at+1, 0
	}
	if s.at == len(s.slabs) {
		s.slabs = append(s.slabs, make([]node, min(16<<min(s.at, 6), slabSize)))
	}
	s.used++
	return &s.slabs[s.at][s.used-1]
}

// reset takes all nodes back, to be given out again.
func (s *nodes) reset() { s.at, s.used = 0, 0 }

// pair is one entry of a mapping.
type pair struct{ key, value *node }

// merge tells whether the pair is a merge key (<<), which is only ever plain.
func (p pair) merge() bool { return p.key.kind == scalarNode && p.key.plain && p.key.text == "<<" }

// null tells whether the node is an empty or null scalar.
func (n *node) null() bool { return n.kind == scalarNode && n.scalarType() == nullType }

// scalarType is what the YAML 1.2 core schema (YAML 1.2.2, 10.3.2) takes a scalar for.
type scalarType uint8

const (
	textType scalarType = iota + 1
	numberType
	boolType
	nullType
)

// The core schema's numbers. Neither yes nor 0b1 nor 1_000 is anything but text in it.
var corePattern = regexp.MustCompile(`^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+` +
	`|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?` +
	`|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)

// scalarType resolves the scalar's type; a quoted one is always text.
func (n *node) scalarType() scalarType {
	if !n.plain {
		return textType
	}
	switch n.text {
	case "", "~", "null", "Null", "NULL":
		return nullType
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return boolType
	}
	// Most scalars are words: only what begins like a number is worth the pattern.
	switch c := n.text[0]; {
	case c >= '0' && c <= '9', c == '.', c == '-', c == '+':
		if corePattern.MatchString(n.text) {
			return numberType
		}
	}
	return textType
}

// describe says what the node is, for the texts of errors: `a list`, `the number 12`, `the text "x"`, `nothing`.
func (n *node) describe() string {
	if n.kind != scalarNode {
		return n.kind.String()
	}
	switch n.scalarType() {
	case nullType:
		return "nothing"
	case numberType:
		return "the number " + n.text
	case boolType:
		return n.text
	default:
		return "the text " + quote(n.text)
	}
}

// quote quotes text for an error, shortened so that the error stays on one readable line.
func quote(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return fmt.Sprintf("%q...", string(runes[:most]))
	}
	return fmt.Sprintf("%q", text)
}

// grow records a child's depth and size.
func (n *node) grow(child *node) {
	n.depth = max(n.depth, child.depth+1)
	n.size = min(n.size+child.size, 1<<40)
}
