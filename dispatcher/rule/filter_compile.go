package rule

import (
	"strings"

	"bellhop/dispatcher/event"
)

const (
	// maxNesting bounds how deep filters stand in one another, names followed.
	maxNesting = 64
	// maxConditions bounds what one filter amounts to once its names are followed: names that use names twice over
	// would otherwise double at each step.
	maxConditions = 10_000
)

// compiledFilter is a filter with what it costs. The filter is nil where it has errors, which are reported already.
type compiledFilter struct {
	filter filter
	depth  int
	size   int // conditions, names followed
}

// namedFilter is one definition of a filter on its way through compilation.
type namedFilter struct {
	def      *FilterDef
	compiled compiledFilter
	state    compileState
}

type compileState uint8

const (
	untouched compileState = iota
	underway
	compiled
)

// filterCompiler compiles filters, following names to one another.
type filterCompiler struct {
	*problems
	named map[string]*namedFilter
	names []string // of all filters, in file order, for suggestions
	chain []string // the names being compiled, outermost first

	patterns *patterns
}

// resolve compiles the filter of that name unless it is compiled already.
func (c *filterCompiler) resolve(n *namedFilter) {
	if n.state != untouched {
		return
	}
	n.state = underway
	c.chain = append(c.chain, n.def.Name.Text)
	if n.def.Filter == nil {
		c.lack(n.def.Name.Pos, n.def.Name.Path, "a filter without conditions")
	} else {
		n.compiled = c.compile(n.def.Filter, 1)
	}
	c.chain = c.chain[:len(c.chain)-1]
	n.state = compiled
}

// compile compiles the filter as written; depth is where it stands, 1 outermost.
func (c *filterCompiler) compile(n *FilterNode, depth int) compiledFilter {
	if depth > maxNesting {
		c.add(Error, n.Pos, n.Path, "filters nested deeper than %d", maxNesting)
		return compiledFilter{}
	}
	if n.Name != nil {
		return c.reference(*n.Name, depth)
	}
	if len(n.Entries) == 0 {
		c.lack(n.Pos, n.Path, "an empty filter: name a path with its condition, or leave the filter out")
		return compiledFilter{}
	}
	var parts []compiledFilter
	for i := range n.Entries {
		parts = append(parts, c.entry(&n.Entries[i], depth)...)
	}
	return c.join(n, parts, func(f []filter) filter { return all(f) })
}

// reference follows a filter's name.
func (c *filterCompiler) reference(name Scalar, depth int) compiledFilter {
	target := c.named[name.Text]
	if target == nil {
		c.errorAt(name, "no filter is named %q%s", name.Text, didYouMean(name.Text, c.names))
		return compiledFilter{}
	}
	if target.state == underway {
		c.errorAt(name, "filter %q uses itself: %s", name.Text, c.circle(name.Text))
		return compiledFilter{}
	}
	c.resolve(target)
	got := target.compiled
	if got.filter == nil {
		return compiledFilter{}
	}
	if depth+got.depth > maxNesting {
		c.errorAt(name, "filters nested deeper than %d, the names followed", maxNesting)
		return compiledFilter{}
	}
	return compiledFilter{filter: named{name.Text, got.filter}, depth: got.depth + 1, size: got.size}
}

// circle shows the way from a name back to itself.
func (c *filterCompiler) circle(name string) string {
	from := 0
	for i, n := range c.chain {
		if n == name {
			from = i
		}
	}
	return strings.Join(append(append([]string(nil), c.chain[from:]...), name), " > ")
}

// entry compiles one entry of a mapping; a path with several conditions gives several parts.
func (c *filterCompiler) entry(e *FilterEntry, depth int) []compiledFilter {
	switch {
	case e.Not != nil:
		got := c.compile(e.Not, depth+1)
		if got.filter != nil {
			got.filter, got.depth = not{got.filter}, got.depth+1
		}
		return []compiledFilter{got}
	case len(e.Conditions) == 0 && (e.All != nil || e.Key.Text == "all"):
		return []compiledFilter{c.list(e, e.All, depth, func(f []filter) filter { return all(f) })}
	case len(e.Conditions) == 0 && (e.Any != nil || e.Key.Text == "any"):
		return []compiledFilter{c.list(e, e.Any, depth, func(f []filter) filter { return anyOf(f) })}
	case len(e.Conditions) == 0:
		c.lack(e.Key.Pos, e.Key.Path, "%s has no condition", e.Key.Text)
		return []compiledFilter{{}}
	}
	proto, ok := c.path(e.Key)
	var parts []compiledFilter
	for i := range e.Conditions {
		cond := proto
		if !c.condition(&cond, &e.Conditions[i]) || !ok {
			parts = append(parts, compiledFilter{})
			continue
		}
		parts = append(parts, compiledFilter{filter: &cond, depth: 1, size: 1})
	}
	return parts
}

func (c *filterCompiler) list(e *FilterEntry, nodes []*FilterNode, depth int, combine func([]filter) filter) compiledFilter {
	if len(nodes) == 0 {
		c.lack(e.Key.Pos, e.Key.Path, "an empty list of filters")
		return compiledFilter{}
	}
	var parts []compiledFilter
	for _, n := range nodes {
		parts = append(parts, c.compile(n, depth+1))
	}
	at := &FilterNode{Pos: e.Key.Pos, Path: e.Key.Path}
	return c.join(at, parts, combine)
}

// join puts the parts together, or gives nothing where one of them has errors.
func (c *filterCompiler) join(at *FilterNode, parts []compiledFilter, combine func([]filter) filter) compiledFilter {
	var joint compiledFilter
	var filters []filter
	for _, p := range parts {
		if p.filter == nil {
			return compiledFilter{}
		}
		filters = append(filters, p.filter)
		joint.depth = max(joint.depth, p.depth+1)
		joint.size += p.size
	}
	if joint.size > maxConditions {
		c.add(Error, at.Pos, at.Path, "%d conditions, the names followed; at most %d", joint.size, maxConditions)
		return compiledFilter{}
	}
	if _, ok := combine(nil).(all); ok && len(filters) == 1 {
		return parts[0]
	}
	joint.filter = combine(filters)
	return joint
}

// envelope lists the attributes that a filter can read as event.<attribute>.
var envelope = []string{"type", "id", "source", "time"}

// path reads an entry's key as a path into the data or the envelope.
func (c *filterCompiler) path(key Scalar) (condition, bool) {
	steps := strings.Split(key.Text, ".")
	for _, s := range steps {
		if s == "" {
			c.errorAt(key, "%q is no path: names joined by dots, none of them empty", key.Text)
			return condition{}, false
		}
		if strings.EqualFold(s, "password") || strings.EqualFold(s, "ssn") {
			c.warnAt(key, "%s is always missing: fields named %s are never readable", key.Text, strings.ToLower(s))
		}
	}
	if steps[0] != "event" {
		return condition{key: key.Text, path: steps}, true
	}
	// The envelope wins over a field of the data that is called event.
	if len(steps) == 2 {
		for _, attr := range envelope {
			if steps[1] == attr {
				return condition{key: key.Text, attr: attr}, true
			}
		}
		c.errorAt(key, "event has no %s, only event.type, event.id, event.source and event.time%s",
			steps[1], didYouMean(steps[1], envelope))
		return condition{}, false
	}
	c.errorAt(key, "%s is no attribute of the envelope: event.type, event.id, event.source or event.time", key.Text)
	return condition{}, false
}

// condition checks one operator with its operands and completes the compiled condition.
func (c *filterCompiler) condition(out *condition, in *Condition) bool {
	out.op = operatorOf(in.Op.Text)
	name := in.Op.Text
	if out.op == 0 {
		c.errorAt(in.Op, "unknown condition %q%s", name, didYouMean(name, operatorNames))
		return false
	}
	before := c.errors
	switch out.op {
	case opIn, opNotIn:
		if !in.IsList {
			c.errorAt(in.Value, "%s needs a list: [%s]", name, in.Value.Text)
			return false
		}
	case opContains:
	default:
		if in.IsList {
			c.notAList(out.op, in)
			return false
		}
	}
	if in.IsList {
		out.isList = true
		if len(in.Values) == 0 {
			c.lack(in.Op.Pos, in.Op.Path, "%s with an empty list", name)
		}
		for _, v := range in.Values {
			out.operands = append(out.operands, c.operand(name, v))
		}
		return c.errors == before
	}
	switch out.op {
	case opExists:
		if in.Value.Type != BoolScalar {
			c.errorAt(in.Value, "exists needs true or false, not %s", described(in.Value))
			return false
		}
		out.want = strings.EqualFold(in.Value.Text, "true")
	case opStartsWith, opEndsWith, opMatches:
		if in.Value.Type != TextScalar {
			c.errorAt(in.Value, "%s needs text, not %s; quote it", name, described(in.Value))
			return false
		}
		out.operands = []operand{{kind: event.String, text: in.Value.Text}}
		if out.op == opMatches {
			return c.pattern(out, in.Value)
		}
	case opGT, opGTE, opLT, opLTE:
		return c.bound(out, name, in.Value)
	default:
		out.operands = []operand{c.operand(name, in.Value)}
	}
	return c.errors == before
}

func (c *filterCompiler) notAList(op operator, in *Condition) {
	hint := ""
	switch op {
	case opEquals:
		hint = "; in takes a list"
	case opNotEquals:
		hint = "; not_in takes a list"
	case opStartsWith, opEndsWith, opMatches:
		hint = "; any takes alternatives"
	}
	c.errorAt(in.Op, "%s takes one value, not a list%s", op, hint)
}

// operand reads one value to compare with.
func (c *filterCompiler) operand(name string, v Scalar) operand {
	switch v.Type {
	case TextScalar:
		return operand{kind: event.String, text: v.Text}
	case BoolScalar:
		truth := strings.EqualFold(v.Text, "true")
		text := "false"
		if truth {
			text = "true"
		}
		return operand{kind: event.Bool, truth: truth, text: text}
	case NumberScalar:
		n, ok := parseOperand(v.Text)
		if !ok {
			c.errorAt(v, "%s is no number that an event can hold; quote it if it is text", v.Text)
		}
		return operand{kind: event.Number, text: v.Text, number: n}
	}
	if operatorOf(name) == opNotEquals || operatorOf(name) == opNotIn {
		c.errorAt(v, "%s cannot ask for null, which counts as missing; use exists: true", name)
	} else {
		c.errorAt(v, "%s cannot ask for null, which counts as missing; use exists: false", name)
	}
	return operand{}
}

// bound reads the operand of gt, gte, lt and lte.
func (c *filterCompiler) bound(out *condition, name string, v Scalar) bool {
	if v.Type == NumberScalar {
		n, ok := parseOperand(v.Text)
		if !ok {
			c.errorAt(v, "%s is no number that an event can hold", v.Text)
			return false
		}
		out.operands = []operand{{kind: event.Number, text: v.Text, number: n}}
		return true
	}
	t, ok := parseTime(v.Text)
	if v.Type != TextScalar || !ok {
		c.errorAt(v, "%s needs a number or an RFC 3339 time (2026-01-31T08:00:00Z), not %s", name, described(v))
		return false
	}
	out.isTime, out.time = true, t
	out.operands = []operand{{kind: event.String, text: v.Text}}
	return true
}

// pattern compiles the operand of matches.
func (c *filterCompiler) pattern(out *condition, v Scalar) bool {
	p, err := c.patterns.compile(v.Text)
	if err != nil {
		c.errorAt(v, "matches: %v", err)
	}
	out.pattern = p
	return p != nil
}

// described names a scalar for a problem's text: what YAML took it for, and how it is written.
func described(s Scalar) string {
	text := cut(s.Text, 40)
	switch s.Type {
	case NumberScalar:
		return "the number " + text
	case BoolScalar:
		return "the boolean " + text
	case NullScalar:
		return "null"
	case TextScalar:
		if s.Text == "" {
			return "an empty text"
		}
		return `"` + text + `"`
	}
	return "nothing"
}
