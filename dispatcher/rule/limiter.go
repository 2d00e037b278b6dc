package rule

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/file"
)

// The names under which an expression's machine finds what Bellhop adds. No expression can spell a NUL.
const (
	hidden      = "\x00"
	stepName    = hidden + "step"    // step(value, cost): one round of a loop
	sizeName    = hidden + "size"    // size(value, weight): what an operation over the value costs
	deepName    = hidden + "deep"    // deep(value, weight): the same, over all that the value holds
	matchesName = hidden + "matches" // a pattern that is not known before the event
	allName     = hidden + "all"     // $env
	fieldName   = hidden + "field "  // before a field's name that a function of the library has too
)

// replaced are the library's functions that an expression does not get as they are: those whose work grows beyond their
// operands have a bounded one in their place, and those with "" have none, because what they give depends on more than
// the event.
var replaced = map[string]string{
	"join":     hidden + "join",
	"replace":  hidden + "replace",
	"repeat":   hidden + "repeat",
	"uniq":     hidden + "uniq",
	"now":      "",
	"timezone": "",
}

// limiter builds an expression's limits into it: it has every loop and every operation whose cost depends on the data
// charge a meter, which ends the expression when it is over. So neither loops within loops over a large event nor a text
// that doubles at each step can hold a daemon up.
type limiter struct {
	names map[string]string // the machine's name of a field to the field's
	all   bool
	err   *file.Error

	patterns int // the steps of the patterns in it
}

// reads lists the fields the expression reads.
func (l *limiter) reads() []reading {
	var reads []reading
	for _, name := range slices.Sorted(maps.Keys(l.names)) {
		reads = append(reads, reading{name, l.names[name]})
	}
	return reads
}

// reading is one field of the data that an expression reads.
type reading struct{ name, field string }

// Visit implements ast.Visitor; children come first.
func (l *limiter) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		l.identifier(node, n)
	case *ast.PredicateNode:
		n.Node = call(stepName, n.Node, &ast.IntegerNode{Value: roundCost(n.Node)})
	case *ast.BinaryNode:
		l.binary(node, n)
	case *ast.BuiltinNode:
		l.builtin(n)
	case *ast.SliceNode:
		n.Node = charged(sizeName, n.Node, 1)
	case *ast.CallNode:
		l.call(n)
	}
}

func (l *limiter) identifier(node *ast.Node, n *ast.IdentifierNode) {
	if n.Value == "$env" {
		l.all = true
		ast.Patch(node, &ast.IdentifierNode{Value: allName})
		return
	}
	if l.names == nil {
		l.names = map[string]string{}
	}
	name := machineName(n.Value)
	l.names[name] = n.Value
	n.Value = name
}

// fields gives the fields that are called like a function of the library (count, type, date) a name of their own, so
// that an expression reads them like any other.
type fields struct{}

// Visit implements ast.Visitor.
func (fields) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		n.Value = machineName(n.Value)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			callee.Value = strings.TrimPrefix(callee.Value, fieldName)
		}
	}
}

// machineName is the name under which the machine finds a field of the data.
func machineName(field string) string {
	if _, ok := builtin.Index[field]; ok {
		return fieldName + field
	}
	return field
}

// call lets methods of times and durations through, and the functions that have a bounded one in their place.
func (l *limiter) call(n *ast.CallNode) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return
	}
	name := strings.TrimPrefix(callee.Value, fieldName)
	bounded := replaced[name]
	if bounded == "" {
		l.fail(n, "there is no function %s", name)
		return
	}
	callee.Value = bounded
}

func (l *limiter) fail(n ast.Node, format string, args ...any) {
	if l.err == nil {
		l.err = &file.Error{Location: n.Location(), Message: fmt.Sprintf(format, args...)}
	}
}

func (l *limiter) binary(node *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "==", "!=":
		// Against a constant the comparison ends where the constant does.
		if !constant(n.Left) && !constant(n.Right) {
			n.Left, n.Right = charged(deepName, n.Left, 1), charged(deepName, n.Right, 1)
		}
	case "<", "<=", ">", ">=":
		if !constant(n.Left) && !constant(n.Right) {
			n.Left, n.Right = charged(sizeName, n.Left, 1), charged(sizeName, n.Right, 1)
		}
	case "in":
		if constant(n.Left) {
			n.Right = charged(sizeName, n.Right, 1)
		} else {
			n.Right = charged(deepName, n.Right, 1)
		}
	case "+", "contains", "startsWith", "endsWith":
		n.Left, n.Right = charged(sizeName, n.Left, 1), charged(sizeName, n.Right, 1)
	case "matches":
		if pattern, ok := n.Right.(*ast.StringNode); ok {
			steps, err := patternSteps(pattern.Value)
			if err != nil {
				l.fail(n, "matches: %v", err)
				return
			}
			l.patterns += steps
			n.Left = charged(sizeName, n.Left, patternWeight(steps))
			return
		}
		c := call(matchesName, n.Left, n.Right)
		ast.Patch(node, c)
	}
}

// deepBuiltins are the library's functions that go through all that a value holds; the weight is for what they do there.
var deepBuiltins = map[string]int{
	"string": 4, "toJSON": 4, "flatten": 2, "min": 1, "max": 1, "mean": 1, "median": 16, "sum": 1,
}

// weights are for the library's functions whose cost is more than a look at each element or at sixteen characters.
var weights = map[string]int{
	"split": 16, "splitAfter": 16, "sort": 16, "sortBy": 16, "fromJSON": 16, "keys": 4, "values": 4, "toPairs": 8,
	"fromPairs": 8, "groupBy": 4, "date": 16, "duration": 16,
}

// free are those that cost the same whatever they get.
var free = map[string]bool{
	"type": true, "abs": true, "ceil": true, "floor": true, "round": true, "get": true, "first": true, "last": true,
}

func (l *limiter) builtin(n *ast.BuiltinNode) {
	if n.Name == "date" && len(n.Arguments) > 2 {
		l.fail(n, "date takes no time zone by name: write the offset in the text")
		return
	}
	if free[n.Name] {
		return
	}
	name, weight := sizeName, max(1, weights[n.Name])
	if w, ok := deepBuiltins[n.Name]; ok {
		name, weight = deepName, w
	}
	for i, arg := range n.Arguments {
		if _, ok := arg.(*ast.PredicateNode); !ok {
			n.Arguments[i] = charged(name, arg, weight)
		}
	}
}

// charged has a value that is not known before the event charge what an operation over it costs.
func charged(name string, n ast.Node, weight int) ast.Node {
	if constant(n) {
		return n
	}
	return call(name, n, &ast.IntegerNode{Value: weight})
}

// call calls a hidden function in the place of its first argument.
func call(name string, args ...ast.Node) ast.Node {
	callee := &ast.IdentifierNode{Value: name}
	c := &ast.CallNode{Callee: callee, Arguments: args}
	callee.SetLocation(args[0].Location())
	c.SetLocation(args[0].Location())
	return c
}

// constant tells whether the value is written out in the expression.
func constant(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.NilNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode, *ast.BytesNode, *ast.ConstantNode:
		return true
	case *ast.UnaryNode:
		return constant(n.Node)
	case *ast.ArrayNode:
		return !slices.ContainsFunc(n.Nodes, func(n ast.Node) bool { return !constant(n) })
	}
	return false
}

// roundCost is what one round of a loop costs besides what its operations charge: by the parts of its body.
func roundCost(body ast.Node) int {
	var c counter
	ast.Walk(&body, &c)
	return max(minRound, 2*int(c))
}

type counter int

// Visit implements ast.Visitor.
func (c *counter) Visit(*ast.Node) { *c++ }

// patternWeight is what a pattern costs for each sixteen characters it is held against, by the size of its machine.
func patternWeight(steps int) int { return 4 + steps/2 }
