package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"bellhop/dispatcher/rule"
	"bellhop/internal/parallel"
)

// The keys of rule files, in documentation order.
var (
	fileKeys    = []string{"filters", "rules"}
	ruleKeys    = []string{"name", "description", "on", "enabled", "include_archived", "filter", "webhooks"}
	webhookKeys = []string{"name", "endpoint", "parameters", "filter", "when", "timeout", "retries", "encoding", "headers", "secret"}
)

// ParseRules reads rule files' texts into definitions. It never fails as a
// whole: what can be read is in the definitions, what cannot is among the problems, in file order.
func ParseRules(files []rule.SourceFile) (*rule.Definitions, []rule.Problem) {
	read := make([]shaper, len(files))
	parallel.Each(len(files), func(i int) {
		read[i].defs = &rule.Definitions{}
		read[i].file(files[i])
	})
	if len(files) == 1 {
		read[0].defs.Files = files
		return read[0].defs, read[0].problems
	}
	defs := &rule.Definitions{Files: files}
	var problems []rule.Problem
	for _, s := range read {
		defs.Filters = append(defs.Filters, s.defs.Filters...)
		defs.Rules = append(defs.Rules, s.defs.Rules...)
		problems = append(problems, s.problems...)
	}
	return defs, problems
}

// shaper turns the YAML nodes of one file into definitions. It checks shapes (known keys, mappings where mappings belong), not meanings.
type shaper struct {
	defs     *rule.Definitions
	problems []rule.Problem
	name     string // of the file
	rules    int    // rules seen, over all documents
}

// file reads one file. A text that is no YAML ends that file alone.
func (s *shaper) file(f rule.SourceFile) {
	s.name = f.Path
	if !s.pieces(f, pieceSize) && !s.whole(f) {
		return
	}
	sortProblems(s.problems)
}

// sortProblems puts a file's problems in its order.
func sortProblems(problems []rule.Problem) {
	slices.SortStableFunc(problems, func(a, b rule.Problem) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column))
	})
}

// whole reads a file in one go. It is false for a text that is no YAML, which is then the only problem.
func (s *shaper) whole(f rule.SourceFile) bool {
	docs, err := parseYAML(f.Text)
	if err != nil {
		pos := rule.Pos{File: f.Path, Line: 1, Column: 1}
		text := err.Error()
		if e := (*syntaxError)(nil); errors.As(err, &e) {
			pos.Line, pos.Column, text = e.line, e.col, e.text
		}
		s.problems = append(s.problems, rule.Problem{Pos: pos, Severity: rule.Error, Text: "not valid YAML: " + text})
		return false
	}
	for _, doc := range docs {
		s.document(doc)
	}
	return true
}

// document reads one document of a file.
func (s *shaper) document(doc *node) {
	if doc.null() {
		return
	}
	s.mapping(doc, "", fileKeys, "filters and rules", func(key string, k, v *node) {
		switch key {
		case "filters":
			s.filters(v)
		case "rules":
			s.ruleList(v)
		}
	})
}

// filters reads the named filters.
func (s *shaper) filters(n *node) {
	if n.null() {
		return
	}
	s.mapping(n, "filters", nil, "filters by name", func(name string, k, v *node) {
		path := join("filters", name)
		// Broken ones too: a rule that names one must not be told that there is none of that name.
		s.defs.Filters = append(s.defs.Filters, rule.FilterDef{Name: s.scalar(k, path), Filter: s.filter(v, path)})
	})
}

// ruleList reads the rules.
func (s *shaper) ruleList(n *node) {
	if n.null() {
		return
	}
	if n.kind != listNode {
		s.fault(n, "rules", "%s, but a list of rules belongs here: begin each with a dash", n.describe())
		return
	}
	if s.defs.Rules == nil {
		s.defs.Rules = make([]rule.RuleDef, 0, len(n.items))
	}
	for _, item := range n.items {
		path := "rules[" + strconv.Itoa(s.rules) + "]"
		s.rules++
		if item.kind != mappingNode {
			s.fault(item, path, "%s, but a rule is a mapping with name, on and webhooks", item.describe())
			continue
		}
		s.defs.Rules = append(s.defs.Rules, s.rule(item, path))
	}
}

// rule reads one rule.
func (s *shaper) rule(n *node, path string) rule.RuleDef {
	r := rule.RuleDef{Pos: s.pos(n), Path: path}
	has := s.mapping(n, path, ruleKeys, "a rule", func(key string, k, v *node) {
		at := path + "." + key
		switch key {
		case "name":
			r.Name = s.single(v, at)
		case "description":
			if !v.null() {
				r.Description = s.single(v, at)
			}
		case "on":
			r.On, r.OnPos = s.singleOrList(v, at, "event types"), s.pos(v)
		case "enabled":
			r.Enabled = s.truth(v, at)
		case "include_archived":
			r.IncludeArchived = s.truth(v, at)
		case "filter":
			r.Filter = s.filter(v, at)
		case "webhooks":
			r.Webhooks = s.webhooks(v, at)
		}
	})
	s.need(n, path, has, "name", "on", "webhooks")
	return r
}

// webhooks reads a rule's webhooks.
func (s *shaper) webhooks(n *node, path string) []rule.WebhookDef {
	if n.kind != listNode || len(n.items) == 0 {
		what := n.describe()
		if n.kind == listNode {
			what = "an empty list"
		}
		s.fault(n, path, "%s, but a list of one or more webhooks belongs here: begin each with a dash", what)
		return nil
	}
	out := make([]rule.WebhookDef, 0, len(n.items))
	for i, item := range n.items {
		at := path + "[" + strconv.Itoa(i) + "]"
		if item.kind != mappingNode {
			s.fault(item, at, "%s, but a webhook is a mapping with an endpoint", item.describe())
			continue
		}
		out = append(out, s.webhook(item, at))
	}
	return out
}

// webhook reads one webhook.
func (s *shaper) webhook(n *node, path string) rule.WebhookDef {
	w := rule.WebhookDef{Pos: s.pos(n), Path: path}
	has := s.mapping(n, path, webhookKeys, "a webhook", func(key string, k, v *node) {
		at := path + "." + key
		switch key {
		case "name":
			w.Name = s.single(v, at)
		case "endpoint":
			w.Endpoint = s.single(v, at)
		case "parameters":
			w.Parameters = s.parameters(v, at)
		case "filter":
			w.Filter = s.filter(v, at)
		case "when":
			w.When = s.single(v, at)
		case "timeout":
			w.Timeout = s.single(v, at)
		case "retries":
			w.Retries = s.single(v, at)
		case "encoding":
			w.Encoding = s.single(v, at)
		case "headers":
			w.Headers = s.headers(v, at)
		case "secret":
			w.Secrets = s.singleOrList(v, at, "secrets")
		}
	})
	s.need(n, path, has, "endpoint")
	return w
}

// headers reads a webhook's headers.
func (s *shaper) headers(n *node, path string) []rule.HeaderDef {
	if n.null() {
		return nil
	}
	var out []rule.HeaderDef
	s.mapping(n, path, nil, "headers by name", func(name string, k, v *node) {
		at := join(path, name)
		if value := s.single(v, at); value.Type != rule.Absent {
			out = append(out, rule.HeaderDef{Name: s.scalar(k, at), Value: value})
		}
	})
	return out
}

// single reads a value that is one scalar; Absent where it is not, which is then a problem.
func (s *shaper) single(n *node, path string) rule.Scalar {
	switch {
	case n.kind != scalarNode:
		s.fault(n, path, "%s, but a single value belongs here", n.describe())
	case n.null():
		s.fault(n, path, "no value: give one, or leave the key out")
	default:
		return s.scalar(n, path)
	}
	return rule.Scalar{}
}

// singleOrList reads a value that is one scalar or a list of them.
func (s *shaper) singleOrList(n *node, path, what string) []rule.Scalar {
	switch {
	case n.kind == mappingNode:
		s.fault(n, path, "%s, but a single value or a list of %s belongs here", n.describe(), what)
		return nil
	case n.kind == scalarNode:
		if one := s.single(n, path); one.Type != rule.Absent {
			return []rule.Scalar{one}
		}
		return nil
	case len(n.items) == 0:
		s.fault(n, path, "an empty list: one or more %s belong here", what)
		return nil
	}
	out := make([]rule.Scalar, 0, len(n.items))
	for i, item := range n.items {
		if one := s.single(item, path+"["+strconv.Itoa(i)+"]"); one.Type != rule.Absent {
			out = append(out, one)
		}
	}
	return out
}

// truth reads a value that is true or false.
func (s *shaper) truth(n *node, path string) rule.Scalar {
	one := s.single(n, path)
	if one.Type != rule.BoolScalar && one.Type != rule.Absent {
		s.fault(n, path, "%s, but only true or false belongs here", n.describe())
		return rule.Scalar{}
	}
	return one
}

// scalar converts a scalar node.
func (s *shaper) scalar(n *node, path string) rule.Scalar {
	out := rule.Scalar{Text: n.text, Type: rule.TextScalar, Pos: s.pos(n), Path: path}
	switch n.scalarType() {
	case numberType:
		out.Type = rule.NumberScalar
	case boolType:
		out.Type = rule.BoolScalar
	case nullType:
		out.Type = rule.NullScalar
	}
	return out
}

// pos is the node's place in the file at hand.
func (s *shaper) pos(n *node) rule.Pos {
	return rule.Pos{File: s.name, Line: int(n.line), Column: int(n.col)}
}

// fault notes an error at a node.
func (s *shaper) fault(n *node, path, format string, args ...any) {
	s.problems = append(s.problems, rule.Problem{
		Pos: s.pos(n), Path: path, Severity: rule.Error, Text: shorten(fmt.Sprintf(format, args...), maxText),
	})
}

// join appends a key to a path.
func join(path, key string) string {
	key = shorten(key, maxKey)
	if path == "" {
		return key
	}
	return path + "." + key
}

const (
	maxKey  = 200  // characters of a key in a path
	maxText = 4000 // characters of a problem's text
)

// shorten cuts a text for people to n characters, an ellipsis in the place of the rest.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for at := range s {
		if n == 0 {
			return s[:at] + "…"
		}
		n--
	}
	return s
}

// contains tells whether the list has the name; the lists are too short for anything faster.
func contains(list []string, name string) bool {
	for _, s := range list {
		if s == name {
			return true
		}
	}
	return false
}
