package rule

import (
	"regexp"
	"strings"

	"bellhop/dispatcher/event"
	"bellhop/internal/parallel"
)

// compiler turns definitions into a set, collecting all that is wrong with them.
type compiler struct {
	filterCompiler
	problems problems
	defs     *Definitions
	options  Options
	lines    *fileLines
	// By source: rules made by a program repeat theirs.
	whens  map[string]*when
	values map[string]value

	params  []Param // of the last webhook
	scratch []Param
}

// Compile validates the definitions and compiles them, all processors at work. Problems come in file order, all at once;
// the set is nil where one of them is an Error. Texts of problems hold no secret's value.
func Compile(d *Definitions, o Options) (*Set, []Problem) {
	c := newCompiler(d, o, map[string]*namedFilter{}, &fileLines{files: d.Files})
	c.patterns = &patterns{}
	c.compileFilters()
	set := &Set{Rules: make([]*Rule, len(d.Rules)), webhooks: make(map[webhookKey]*Webhook, len(d.Rules))}
	names := make(map[string]Pos, len(d.Rules))
	for i := range d.Rules {
		def := &d.Rules[i]
		c.name(def.Name, def.Pos, def.Path, "rule", names)
	}
	// The named filters are compiled: from here on they are only read.
	parts := make([]*compiler, (len(d.Rules)+partSize-1)/partSize)
	parallel.Each(1+len(parts), func(i int) {
		if i == 0 {
			set.Version = version(d)
			return
		}
		part := newCompiler(d, o, c.named, c.lines)
		part.names, part.patterns = c.names, c.patterns
		for at := (i - 1) * partSize; at < min(i*partSize, len(d.Rules)); at++ {
			set.Rules[at] = part.rule(&d.Rules[at])
		}
		parts[i-1] = part
	})
	for _, part := range parts {
		c.problems.list = append(c.problems.list, part.problems.list...)
		c.problems.errors += part.problems.errors
	}
	found := c.problems.sorted(d)
	if c.problems.errors > 0 {
		return nil, found
	}
	for _, r := range set.Rules {
		for _, w := range r.Webhooks {
			set.webhooks[webhookKey{r.Name, w.Name}] = w
		}
	}
	set.index.build(set.Rules)
	return set, found
}

// partSize is how many rules are compiled together.
const partSize = 1000

func newCompiler(d *Definitions, o Options, filters map[string]*namedFilter, lines *fileLines) *compiler {
	c := &compiler{defs: d, options: o, lines: lines, whens: map[string]*when{}, values: map[string]value{}}
	c.filterCompiler = filterCompiler{problems: &c.problems, named: filters}
	return c
}

// compileFilters compiles the named filters. All names are known before the first is compiled: they may stand in any order.
func (c *compiler) compileFilters() {
	first := map[string]Pos{}
	var all []*namedFilter
	for i := range c.defs.Filters {
		def := &c.defs.Filters[i]
		n := &namedFilter{def: def}
		all = append(all, n)
		if c.name(def.Name, def.Name.Pos, def.Name.Path, "filter", first) {
			c.named[def.Name.Text] = n
			c.names = append(c.names, def.Name.Text)
		}
	}
	for _, n := range all {
		c.resolve(n)
	}
}

// namePattern is what rules, filters and webhooks may be called.
var namePattern = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

// name checks a name and that it is the first of its kind; false where an earlier one holds it.
func (c *compiler) name(name Scalar, pos Pos, path, kind string, first map[string]Pos) bool {
	if name.Type == Absent {
		c.lack(pos, path, "a %s without a name", kind)
		return false
	}
	c.nameShape(name, kind)
	if at, taken := first[name.Text]; taken {
		c.errorAt(name, "%s %q is already defined at %s", kind, cut(name.Text, maxShown), at)
		return false
	}
	first[name.Text] = name.Pos
	return true
}

func (c *compiler) nameShape(name Scalar, kind string) {
	if !namePattern.MatchString(name.Text) || name.Type == NullScalar {
		c.errorAt(name, "%q is no name for a %s: 1 to 64 of a-z 0-9 - _", cut(name.Text, maxShown), kind)
	}
}

// boolean checks a scalar that may be left out.
func (c *compiler) boolean(s Scalar, key string, otherwise bool) bool {
	if s.Type != Absent && s.Type != BoolScalar {
		c.errorAt(s, "%s needs true or false, not %s", key, described(s))
	}
	return truth(s, otherwise)
}

// rule compiles one rule, as far as it can be; what cannot is reported.
func (c *compiler) rule(def *RuleDef) *Rule {
	r := &Rule{
		Name:            def.Name.Text,
		Description:     def.Description.Text,
		Enabled:         c.boolean(def.Enabled, "enabled", true),
		IncludeArchived: c.boolean(def.IncludeArchived, "include_archived", false),
		Pos:             def.Pos,
	}
	c.on(r, def)
	if def.Filter != nil {
		r.filter = c.compile(def.Filter, 1).filter
	}
	if len(def.Webhooks) == 0 {
		c.lack(def.Pos, def.Path+".webhooks", "a rule without webhooks: name at least one")
	}
	var names map[string]Pos
	if len(def.Webhooks) > 1 {
		names = map[string]Pos{}
	}
	r.Webhooks = make([]*Webhook, 0, len(def.Webhooks))
	for i := range def.Webhooks {
		r.Webhooks = append(r.Webhooks, c.webhook(r, &def.Webhooks[i], i, names))
	}
	return r
}

// onPattern is an event type of an on list: tokens of a subject joined by dots, * for one of them, a trailing > for the
// rest.
var onPattern = regexp.MustCompile(`^(?:(?:[^.*>\s\p{Z}\p{C}]+|\*)\.)*(?:[^.*>\s\p{Z}\p{C}]+|\*|>)$`)

// on checks the event types of a rule.
func (c *compiler) on(r *Rule, def *RuleDef) {
	if len(def.On) == 0 {
		pos := def.OnPos
		if pos == (Pos{}) {
			pos = def.Pos
		}
		c.lack(pos, def.Path+".on", "no event types: name at least one, such as course.completed")
	}
	for _, s := range def.On {
		if s.Type == NullScalar || !onPattern.MatchString(s.Text) {
			c.errorAt(s, "%q is no event type: tokens without spaces joined by dots; * is one token, a trailing > the rest",
				cut(s.Text, maxShown))
			continue
		}
		r.On = append(r.On, s.Text)
		c.known(s)
	}
}

// known warns of a type that the catalogue does not have: it works, but is likely a slip.
func (c *compiler) known(s Scalar) {
	if !isPattern(s.Text) {
		if event.Known(s.Text) {
			return
		}
		// The type is the subject after the prefix; operators know the subject.
		if _, rest, ok := strings.Cut(s.Text, "."); ok && event.Known(rest) {
			c.warnAt(s, "%s is not in the catalogue; did you mean %s, without the subject's prefix?", s.Text, rest)
			return
		}
		c.warnAt(s, "%s is not in the catalogue%s", s.Text, didYouMean(s.Text, event.Types()))
		return
	}
	for _, t := range event.Types() {
		if event.Match(s.Text, t) {
			return
		}
	}
	c.warnAt(s, "%s matches no type in the catalogue", s.Text)
}
