package rule

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"bellhop/dispatcher/event"
)

// maxPlanned bounds what is remembered of event types, in rules over all types. Types come from publishers, who may
// invent any number of them.
const maxPlanned = 1 << 22

// index finds the rules on an event type. Exact types are looked up; wildcard patterns are tried once for each type.
type index struct {
	exact    map[string][]int // event type to places in all, ascending
	wildcard []int            // rules with a pattern among their types
	all      []*Rule

	plans   sync.Map // event type to *plan
	planned atomic.Int64
}

// build fills the index. It is not safe for concurrent use; everything after it is.
func (x *index) build(rules []*Rule) {
	x.all = rules
	x.exact = map[string][]int{}
	for i, r := range rules {
		patterned := false
		for _, on := range r.On {
			if isPattern(on) {
				patterned = true
				continue
			}
			if at := x.exact[on]; len(at) == 0 || at[len(at)-1] != i {
				x.exact[on] = append(at, i)
			}
		}
		if patterned {
			x.wildcard = append(x.wildcard, i)
		}
	}
}

// plan finds the rules whose on covers the type. The caller must not change it.
func (x *index) plan(eventType string) *plan {
	if known, ok := x.plans.Load(eventType); ok {
		return known.(*plan)
	}
	places := x.exact[eventType]
	if len(places) == 0 && len(x.wildcard) == 0 {
		return &plan{}
	}
	rules := make([]*Rule, 0, len(places))
	next := 0 // of the exact ones
	for _, i := range x.wildcard {
		for ; next < len(places) && places[next] < i; next++ {
			rules = append(rules, x.all[places[next]])
		}
		if next < len(places) && places[next] == i {
			continue // its exact type brings it in
		}
		if covers(x.all[i].On, eventType) {
			rules = append(rules, x.all[i])
		}
	}
	for ; next < len(places); next++ {
		rules = append(rules, x.all[places[next]])
	}
	p := newPlan(rules)
	// Past the bound types are planned anew each time: slower, and right.
	if size := int64(len(rules) + 64); x.planned.Load()+size <= maxPlanned {
		if _, loaded := x.plans.LoadOrStore(strings.Clone(eventType), p); !loaded {
			x.planned.Add(size)
		}
	}
	return p
}

// isPattern tells whether a type of an on list has wildcards.
func isPattern(on string) bool { return strings.ContainsAny(on, "*>") }

func covers(patterns []string, eventType string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return isPattern(p) && event.Match(p, eventType)
	})
}
