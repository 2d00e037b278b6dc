package rule

// maxCover bounds the alternatives of an any that webhooks are found by, and the values that each may ask for by a name.
const maxCover = 64

// cover is values of which an event must have one, each at its path, for a filter to hold.
type cover struct {
	values []int32
	weight int  // how many webhooks ask for them: the fewer, the sooner a look at them decides
	shared bool // by webhooks whose filters have the same name in them
}

// chooser picks for each webhook what it is found by: count for all, then weigh, then choose for each.
type chooser struct {
	values *dictionary
	asked  []int // how many webhooks ask for a value, by its number
	named  map[string]*namedNeed
	order  []*namedNeed // inner before outer
}

// namedNeed is a named filter, judged once for all that name it.
type namedNeed struct {
	name   string
	inner  filter
	uses   int // in the filters of webhooks, directly or through other names
	chosen bool
	cover  *cover
}

// count notes a webhook's filters, its rule's among them.
func (c *chooser) count(filters ...filter) {
	for _, f := range filters {
		c.note(f, 1)
	}
}

// weigh ends counting: what stands in a named filter is asked for by all that name it.
func (c *chooser) weigh() {
	for i := len(c.order) - 1; i >= 0; i-- {
		c.note(c.order[i].inner, c.order[i].uses)
	}
}

// note counts what a filter asks for; what stands under a name is noted once the name's uses are known.
func (c *chooser) note(f filter, uses int) {
	switch f := f.(type) {
	case named:
		c.need(f).uses += uses
	case all:
		for _, part := range f {
			c.note(part, uses)
		}
	case anyOf:
		for _, part := range f {
			c.note(part, uses)
		}
	case *condition:
		if !f.byValue() {
			return
		}
		at := c.values.at(f)
		for i := range f.operands {
			n := c.values.number(at, &f.operands[i])
			for int(n) >= len(c.asked) {
				c.asked = append(c.asked, 0)
			}
			c.asked[n] += uses
		}
	}
}

// need finds what is known of a named filter. Those that it names come before it in the order.
func (c *chooser) need(f named) *namedNeed {
	n := c.named[f.name]
	if n == nil {
		c.names(f.inner)
		n = &namedNeed{name: f.name, inner: f.inner}
		c.named[f.name] = n
		c.order = append(c.order, n)
	}
	return n
}

// names makes the names in a filter known.
func (c *chooser) names(f filter) {
	switch f := f.(type) {
	case named:
		c.need(f)
	case not:
		c.names(f.inner)
	case all:
		for _, part := range f {
			c.names(part)
		}
	case anyOf:
		for _, part := range f {
			c.names(part)
		}
	}
}

// byValue tells whether only values that are equal to one of the operands fulfil the condition.
func (c *condition) byValue() bool { return c.op == opEquals || c.op == opIn }

// choose gives the best cover of filters that must all hold, nil where they have none: an event without any of its values
// fires nothing.
func (c *chooser) choose(filters ...filter) *cover {
	var best *cover
	for _, f := range filters {
		if got := c.cover(f); got != nil && (best == nil || got.weight < best.weight) {
			best = got
		}
	}
	return best
}

func (c *chooser) cover(f filter) *cover {
	switch f := f.(type) {
	case named:
		n := c.need(f)
		if !n.chosen {
			n.chosen = true
			if n.cover = c.cover(n.inner); n.cover != nil {
				n.cover.shared = true
			}
		}
		return n.cover
	case all:
		return c.choose(f...)
	case anyOf:
		return c.either(f)
	case *condition:
		if !f.byValue() {
			return nil
		}
		at := c.values.at(f)
		got := &cover{values: make([]int32, 0, len(f.operands))}
		for i := range f.operands {
			got.add(c, c.values.number(at, &f.operands[i]))
		}
		return got
	}
	// What a negation lets through has any value: a list, which nothing equals, is not unequal either.
	return nil
}

// either covers filters of which one must hold: one of the values of one of their covers must be there.
func (c *chooser) either(parts []filter) *cover {
	if len(parts) > maxCover {
		return nil
	}
	joint := &cover{}
	for _, part := range parts {
		got := c.cover(part)
		// Names may stand for thousands of values: they are not copied for each webhook that uses them.
		if got == nil || got.shared && len(got.values) > maxCover {
			return nil
		}
		for _, v := range got.values {
			joint.add(c, v)
		}
	}
	return joint
}

func (v *cover) add(c *chooser, number int32) {
	v.values = append(v.values, number)
	v.weight += c.asked[number]
}
