package config

import (
	"strconv"

	"bellhop/dispatcher/rule"
)

// operators are the conditions on a path, in documentation order.
var operators = []string{
	"equals", "not_equals", "in", "not_in", "contains", "starts_with", "ends_with", "matches", "gt", "gte", "lt", "lte", "exists",
}

// filter reads a filter: a name, or a mapping.
func (s *shaper) filter(n *node, path string) *rule.FilterNode {
	switch {
	case n.null():
		// Not the same as no filter: a filter that lost its content must not let everything through.
		s.fault(n, path, "no value: give a filter, or leave the key out")
		return nil
	case n.kind == scalarNode:
		name := s.scalar(n, path)
		return &rule.FilterNode{Pos: name.Pos, Path: path, Name: &name}
	case n.kind == listNode:
		s.fault(n, path, "a list, but a filter is a name or a mapping: put the list under all or any")
		return nil
	}
	out := &rule.FilterNode{Pos: s.pos(n), Path: path, Entries: make([]rule.FilterEntry, 0, len(n.pairs))}
	s.mapping(n, path, nil, "a filter", func(key string, k, v *node) {
		at := join(path, key)
		entry := rule.FilterEntry{Key: s.scalar(k, at)}
		switch key {
		case "all":
			entry.All = s.filterList(v, at)
		case "any":
			entry.Any = s.filterList(v, at)
		case "not":
			entry.Not = s.filter(v, at)
		default:
			entry.Conditions = s.conditions(v, key, at)
		}
		if entry.All != nil || entry.Any != nil || entry.Not != nil || entry.Conditions != nil {
			out.Entries = append(out.Entries, entry)
		}
	})
	return out
}

// filterList reads what stands under all or any; an empty list is not nil.
func (s *shaper) filterList(n *node, path string) []*rule.FilterNode {
	if n.kind != listNode {
		s.fault(n, path, "%s, but a list of filters belongs here: begin each with a dash", n.describe())
		return nil
	}
	out := make([]*rule.FilterNode, 0, len(n.items))
	for i, item := range n.items {
		if f := s.filter(item, path+"["+strconv.Itoa(i)+"]"); f != nil {
			out = append(out, f)
		}
	}
	return out
}

// conditions reads what must hold of a path: a bare value, or a mapping of operators.
func (s *shaper) conditions(n *node, field, path string) []rule.Condition {
	switch n.kind {
	case scalarNode:
		op := rule.Scalar{Text: "equals", Type: rule.TextScalar, Pos: s.pos(n), Path: path}
		return []rule.Condition{{Op: op, Value: s.scalar(n, path)}}
	case listNode:
		s.fault(n, path, "a list is no condition: write {in: [...]} for one of several values")
		return nil
	}
	if len(n.pairs) == 0 {
		s.fault(n, path, "no condition: an empty mapping")
		return nil
	}
	out := make([]rule.Condition, 0, len(n.pairs))
	s.mapping(n, path, nil, "conditions", func(key string, k, v *node) {
		at := join(path, key)
		if !contains(operators, key) {
			s.fault(k, at, "%s", unknownOperator(field, key))
			return
		}
		c := rule.Condition{Op: s.scalar(k, at)}
		switch v.kind {
		case scalarNode:
			c.Value = s.scalar(v, at)
		case listNode:
			c.IsList = true
			c.Values = make([]rule.Scalar, 0, len(v.items))
			for i, item := range v.items {
				in := at + "[" + strconv.Itoa(i) + "]"
				if item.kind != scalarNode {
					s.fault(item, in, "%s, but a single value belongs here", item.describe())
					continue
				}
				c.Values = append(c.Values, s.scalar(item, in))
			}
		default:
			s.fault(v, at, "a mapping, but a value or a list of values belongs here")
			return
		}
		out = append(out, c)
	})
	return out
}

// unknownOperator is the text for a condition that is not known. Fields nested as mappings are the usual slip.
func unknownOperator(field, name string) string {
	if op := nearest(name, operators); op != "" {
		return "unknown condition " + quote(name) + ", did you mean " + op + "?"
	}
	return "unknown condition " + quote(name) + "; a nested field is written with dots: " + field + "." + name
}
