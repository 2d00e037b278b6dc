package config

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"bellhop/dispatcher/rule"
)

var parameterKeys = []string{"name", "value"}

// parameters reads a webhook's parameters: a mapping, a list of {name, value}, or a string.
func (s *shaper) parameters(n *node, path string) []rule.Parameter {
	switch {
	case n.null():
		return nil
	case n.kind == scalarNode:
		return s.splitParameters(n, path)
	}
	out := make([]rule.Parameter, 0, len(n.items)+len(n.pairs))
	if n.kind == listNode {
		for i, item := range n.items {
			if p, ok := s.parameter(item, path+"["+strconv.Itoa(i)+"]"); ok {
				out = append(out, p)
			}
		}
		return out
	}
	s.mapping(n, path, nil, "parameters by name", func(name string, k, v *node) {
		at := join(path, name)
		if value, ok := s.parameterValue(v, at); ok {
			out = append(out, rule.Parameter{Name: s.scalar(k, at), Value: value})
		}
	})
	return out
}

// parameter reads one {name, value}.
func (s *shaper) parameter(n *node, path string) (rule.Parameter, bool) {
	if n.kind != mappingNode {
		s.fault(n, path, "%s, but a parameter in a list is a mapping with name and value", n.describe())
		return rule.Parameter{}, false
	}
	var p rule.Parameter
	whole := true
	has := s.mapping(n, path, parameterKeys, "a parameter", func(key string, k, v *node) {
		switch key {
		case "name":
			p.Name = s.single(v, path+".name")
			whole = whole && p.Name.Type != rule.Absent
		case "value":
			var ok bool
			p.Value, ok = s.parameterValue(v, path+".value")
			whole = whole && ok
		}
	})
	s.need(n, path, has, parameterKeys...)
	return p, whole && contains(has, "name") && contains(has, "value")
}

// parameterValue reads a value, which may be nothing at all: the parameter is then sent empty.
func (s *shaper) parameterValue(n *node, path string) (rule.Scalar, bool) {
	if n.kind != scalarNode {
		s.fault(n, path, "%s, but a parameter's value is a single value", n.describe())
		return rule.Scalar{}, false
	}
	return s.scalar(n, path), true
}

// splitParameters reads the string form: split at &, then at the first =, as written. Nothing between two & is nothing.
func (s *shaper) splitParameters(n *node, path string) []rule.Parameter {
	var out []rule.Parameter
	column := int(n.col)
	for i, part := range strings.Split(n.text, "&") {
		name, value, _ := strings.Cut(part, "=")
		pos := s.pos(n)
		// Only where the text stands in the file as it is can a place inside of it be told.
		if n.inline {
			pos.Column = column
			column += utf8.RuneCountInString(part) + 1
		}
		if part == "" {
			continue
		}
		at := path + "[" + strconv.Itoa(i) + "]"
		valuePos := pos
		if n.inline && len(name) < len(part) {
			valuePos.Column += utf8.RuneCountInString(name) + 1
		}
		out = append(out, rule.Parameter{
			Name:  rule.Scalar{Text: name, Type: rule.TextScalar, Pos: pos, Path: at},
			Value: rule.Scalar{Text: value, Type: rule.TextScalar, Pos: valuePos, Path: at},
		})
	}
	return out
}
