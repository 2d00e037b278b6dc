package rule

import (
	"slices"

	"bellhop/dispatcher/event"
)

// fewRules is how many rules are judged one by one rather than looked up by what they ask for.
const fewRules = 16

// plan is the rules on one event type, in file order. Where there are many, those whose filter cannot hold unless a
// field has one of some texts are found by that field's text. A plan is immutable.
type plan struct {
	rules  []*Rule
	always []int // places in rules of those to judge for every event, ascending; nil with no keys
	keys   []planKey
}

// planKey finds rules by the text of one field.
type planKey struct {
	field *condition // for its lookup
	by    map[string][]int
}

func newPlan(rules []*Rule) *plan {
	p := &plan{rules: rules}
	if len(rules) < fewRules {
		return p
	}
	at := map[string]int{} // a field's path to its place in keys
	for i, r := range rules {
		c := needed(r.filter)
		if c == nil {
			p.always = append(p.always, i)
			continue
		}
		k, ok := at[c.key]
		if !ok {
			k = len(p.keys)
			at[c.key] = k
			p.keys = append(p.keys, planKey{c, map[string][]int{}})
		}
		by := p.keys[k].by
		for j := range c.operands {
			text := c.operands[j].text
			if places := by[text]; len(places) == 0 || places[len(places)-1] != i {
				by[text] = append(places, i)
			}
		}
	}
	return p
}

// needed finds a condition without which the filter cannot hold and that only one of some texts fulfils; nil for none.
func needed(f filter) *condition {
	switch f := f.(type) {
	case named:
		return needed(f.inner)
	case all:
		for _, part := range f {
			if c := needed(part); c != nil {
				return c
			}
		}
	case *condition:
		if f.op != opEquals && f.op != opIn {
			return nil
		}
		for i := range f.operands {
			if f.operands[i].kind != event.String {
				return nil
			}
		}
		return f
	}
	return nil
}

// candidates appends to dst the places of the rules that the event may fire, in file order, and perhaps of others.
func (p *plan) candidates(e *event.Event, dst []int) []int {
	dst = append(dst, p.always...)
	for i := range p.keys {
		if v := p.keys[i].field.lookup(e); v.Kind() == event.String {
			dst = append(dst, p.keys[i].by[v.Text()]...)
		}
	}
	slices.Sort(dst)
	return dst
}
