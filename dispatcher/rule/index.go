package rule

import (
	"slices"
	"strings"

	"bellhop/dispatcher/event"
)

// index finds the webhooks that an event may fire: those whose rules are on its type and whose filters ask for nothing
// that the event lacks. Its answers cost by what they hold, not by how many rules there are. It is immutable once built.
type index struct {
	hooks    []*Webhook // of the enabled rules, in file order; an int32 below is a place in it
	exact    map[string]*group
	patterns tokens
	values   dictionary
}

// group is the webhooks of the rules that name one event type or pattern.
type group struct {
	always []int32         // those that are found by no value, ascending
	heads  map[int32]int32 // a value to its first entry
	chain  []entry
	shared [][]int32 // webhooks that are found by the same shared filter, ascending
}

// entry is one webhook that a value finds, or, as the complement of a place in shared, many of them.
type entry struct{ ref, next int32 }

// noEntry ends a chain.
const noEntry = -1

// build fills the index. It is not safe for concurrent use; everything after it is.
func (x *index) build(rules []*Rule) {
	c := chooser{values: &x.values, named: map[string]*namedNeed{}}
	members := map[string][]int32{} // what an on list names, to the webhooks under it
	for _, r := range rules {
		if !r.Enabled {
			continue
		}
		first := int32(len(x.hooks))
		for _, w := range r.Webhooks {
			x.hooks = append(x.hooks, w)
			c.count(r.filter, w.filter)
		}
		for _, on := range r.On {
			places := members[on]
			if n := len(places); n > 0 && places[n-1] >= first {
				continue // named twice
			}
			for at := first; at < int32(len(x.hooks)); at++ {
				places = append(places, at)
			}
			members[on] = places
		}
	}
	c.weigh()
	covers := make([]*cover, len(x.hooks))
	for i, w := range x.hooks {
		covers[i] = c.choose(w.Rule.filter, w.filter)
	}
	x.exact = map[string]*group{}
	var made []*group // with their members in lists
	var lists [][]int32
	for on, places := range members {
		var g *group
		// Rules made by a program often name the same few types: one group serves them all.
		if i := slices.IndexFunc(lists[max(0, len(lists)-32):], func(l []int32) bool { return slices.Equal(l, places) }); i >= 0 {
			g = made[max(0, len(lists)-32)+i]
		} else {
			g = newGroup(places, covers)
			made, lists = append(made, g), append(lists, places)
		}
		if isPattern(on) {
			x.patterns.add(on, g)
		} else {
			x.exact[on] = g
		}
	}
}

func newGroup(places []int32, covers []*cover) *group {
	g := &group{heads: map[int32]int32{}}
	shared := map[*cover]int32{}
	// From the last to the first, since what comes later stands earlier in its chain.
	for _, at := range slices.Backward(places) {
		c := covers[at]
		if c == nil {
			g.always = append(g.always, at)
			continue
		}
		ref := at
		if c.shared {
			i, known := shared[c]
			if !known {
				i = int32(len(g.shared))
				shared[c] = i
				g.shared = append(g.shared, nil)
			}
			g.shared[i] = append(g.shared[i], at)
			if known {
				continue
			}
			ref = ^i
		}
		for _, v := range c.values {
			next, ok := g.heads[v]
			if !ok {
				next = noEntry
			}
			g.heads[v] = int32(len(g.chain))
			g.chain = append(g.chain, entry{ref, next})
		}
	}
	slices.Reverse(g.always)
	g.always = slices.Clip(g.always)
	g.chain = slices.Clip(g.chain)
	for _, list := range g.shared {
		slices.Reverse(list)
	}
	return g
}

// find appends the webhooks that the values find, in no order.
func (g *group) find(values []int32, dst []int32) []int32 {
	for _, v := range values {
		at, ok := g.heads[v]
		for ok && at != noEntry {
			e := g.chain[at]
			if e.ref < 0 {
				dst = append(dst, g.shared[^e.ref]...)
			} else {
				dst = append(dst, e.ref)
			}
			at = e.next
		}
	}
	return dst
}

// match judges each webhook that the event may fire, in file order.
func (x *index) match(m *matching) {
	e := m.event
	var few [8]*group
	groups := few[:0]
	if g := x.exact[e.Type]; g != nil {
		groups = append(groups, g)
	}
	groups = x.patterns.match(e.Type, groups)
	if len(groups) == 0 {
		return
	}
	var fewValues [32]int32
	values := x.values.of(e, fewValues[:0])
	var fewFound [64]int32
	found := fewFound[:0]
	var fewLists [8][]int32
	lists := fewLists[:0]
	for _, g := range groups {
		found = g.find(values, found)
		if len(g.always) > 0 {
			lists = append(lists, g.always)
		}
	}
	if len(lists) > cap(fewLists) {
		found = append(found, slices.Concat(lists...)...)
		lists = lists[:0]
	}
	slices.Sort(found)
	x.merge(found, lists, m)
}

// merge judges each webhook that was found or is in one of the lists, all of them ascending, once and in file order.
func (x *index) merge(found []int32, lists [][]int32, m *matching) {
	for {
		least := int32(-1)
		if len(found) > 0 {
			least = found[0]
		}
		for _, list := range lists {
			if len(list) > 0 && (least < 0 || list[0] < least) {
				least = list[0]
			}
		}
		if least < 0 {
			return
		}
		m.judge(x.hooks[least])
		for len(found) > 0 && found[0] == least {
			found = found[1:]
		}
		for i, list := range lists {
			if len(list) > 0 && list[0] == least {
				lists[i] = list[1:]
			}
		}
	}
}

// tokens finds the patterns that cover a type, token by token.
type tokens struct {
	next map[string]*tokens
	end  *group // of the pattern that ends here
	rest *group // of the pattern that goes on with a >
}

func (t *tokens) add(pattern string, g *group) {
	for token := range strings.SplitSeq(pattern, ".") {
		if token == ">" {
			t.rest = g
			return
		}
		if t.next == nil {
			t.next = map[string]*tokens{}
		}
		if t.next[token] == nil {
			t.next[token] = &tokens{}
		}
		t = t.next[token]
	}
	t.end = g
}

// match appends the groups of the patterns that cover what is left of a type, as event.Match would judge each.
func (t *tokens) match(left string, dst []*group) []*group {
	if left == "" {
		return dst
	}
	if t.rest != nil {
		dst = append(dst, t.rest)
	}
	token, behind, more := strings.Cut(left, ".")
	if t.next == nil || token == "" {
		return dst
	}
	for _, step := range [...]string{token, "*"} {
		next := t.next[step]
		switch {
		case next == nil:
		case more:
			dst = next.match(behind, dst)
		case next.end != nil:
			dst = append(dst, next.end)
		}
		if token == "*" {
			break // both steps are one
		}
	}
	return dst
}

// isPattern tells whether a type of an on list has wildcards.
func isPattern(on string) bool { return strings.ContainsAny(on, "*>") }

// covers tells whether one of the types or patterns covers the event's type.
func covers(on []string, eventType string) bool {
	return slices.ContainsFunc(on, func(p string) bool {
		return p == eventType || isPattern(p) && event.Match(p, eventType)
	})
}
