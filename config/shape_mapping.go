package config

// mapping calls each for every entry, in written order, merge keys written out, and returns which of the known keys were
// there or were meant. known are the keys allowed, nil for any; what names the mapping in errors. Duplicate and unknown
// keys are problems.
func (s *shaper) mapping(n *node, path string, known []string, what string, each func(key string, k, v *node)) (has []string) {
	if n.kind != mappingNode {
		s.fault(n, path, "%s, but a mapping belongs here: %s", n.describe(), what)
		return known
	}
	for _, p := range s.entries(n, path) {
		key := p.key.text
		switch {
		case known == nil:
		case contains(known, key):
			has = append(has, key)
		default:
			s.fault(p.key, join(path, key), "%s", unknownKey(key, known))
			has = append(has, nearest(key, known)) // the key that was meant is not missing too
			continue
		}
		each(key, p.key, p.value)
	}
	return has
}

// entries lists a mapping's entries with its merge keys written out: what stands in the mapping itself wins over what is
// merged, earlier merged mappings over later ones. Keys that stand twice in the mapping itself are problems.
func (s *shaper) entries(n *node, path string) []pair {
	own := keysOf(n)
	whole := true
	for i, p := range n.pairs {
		switch {
		case p.key.kind != scalarNode:
			s.fault(p.key, path, "%s as a key, but keys are single values", p.key.kind)
			whole = false
		case p.merge():
			whole = false
		default:
			if first := own.find(p.key.text); first < i {
				s.fault(p.key, join(path, p.key.text), "key %s is here twice, first in line %d", quote(p.key.text), n.pairs[first].key.line)
				whole = false
			}
		}
	}
	if whole {
		return n.pairs
	}
	var out []pair
	merged := map[string]bool{}
	for i, p := range n.pairs {
		switch {
		case p.key.kind != scalarNode:
		case p.merge():
			for _, q := range s.merged(p.value, path) {
				if key := q.key.text; own.find(key) < 0 && !merged[key] {
					merged[key] = true
					out = append(out, q)
				}
			}
		case own.find(p.key.text) == i:
			out = append(out, p)
		}
	}
	return out
}

// merged lists what a merge key's value brings: a mapping's entries, or those of a list of mappings.
func (s *shaper) merged(n *node, path string) []pair {
	sources := []*node{n}
	if n.kind == listNode {
		sources = n.items
	}
	var out []pair
	for _, source := range sources {
		if source.kind != mappingNode {
			s.fault(source, path, "%s behind <<, but only a mapping can be merged", source.describe())
			continue
		}
		out = append(out, s.entries(source, path)...)
	}
	return out
}

// keys finds a mapping's own keys: by looking through a few, by a map among many.
type keys struct {
	pairs []pair
	index map[string]int
}

// keysOf prepares the keys of a mapping.
func keysOf(n *node) keys {
	k := keys{pairs: n.pairs}
	if len(n.pairs) > 16 {
		k.index = make(map[string]int, len(n.pairs))
		for i, p := range n.pairs {
			if _, twice := k.index[p.key.text]; !twice && p.key.kind == scalarNode && !p.merge() {
				k.index[p.key.text] = i
			}
		}
	}
	return k
}

// find is the place of the first pair with the key, -1 where there is none.
func (k keys) find(key string) int {
	if k.index != nil {
		if i, ok := k.index[key]; ok {
			return i
		}
		return -1
	}
	for i, p := range k.pairs {
		if p.key.text == key && p.key.kind == scalarNode && !p.merge() {
			return i
		}
	}
	return -1
}

// need reports the required keys that are not there.
func (s *shaper) need(n *node, path string, has []string, keys ...string) {
	for _, key := range keys {
		if !contains(has, key) {
			s.fault(n, path+"."+key, "missing, but needed")
		}
	}
}
