package event

import (
	"slices"
	"strings"
)

// Entity is one kind of thing that events are about, with the actions in the catalogue.
type Entity struct {
	Name    string
	Actions []string
}

var entities = []Entity{
	{Name: "course", Actions: []string{"enrolled", "unenrolled", "reenrolled", "completed", "inactive"}},
	{Name: "module", Actions: []string{"added", "completed", "deleted"}},
	{Name: "section", Actions: []string{"added", "completed", "deleted"}},
	{Name: "assessment", Actions: []string{"given", "submitted", "graded"}},
	{Name: "group", Actions: []string{"joined", "left"}},
	{Name: "account", Actions: []string{"created", "updated", "archived", "deleted"}},
}

var types = func() []string {
	var all []string
	for _, e := range entities {
		for _, action := range e.Actions {
			all = append(all, e.Name+"."+action)
		}
	}
	return all
}()

// Catalogue lists the entities and their actions in documentation order. The caller must not change it.
func Catalogue() []Entity { return entities }

// Types lists the catalogue's event types ("course.completed") in documentation order. The list is the caller's own.
func Types() []string { return slices.Clone(types) }

// Known tells whether the catalogue has the event type. A type it lacks works all the same.
func Known(eventType string) bool { return slices.Contains(types, eventType) }

// Match tells whether a pattern of a rule's on list covers the event type: * is one token, a trailing > one or more, as
// in NATS subjects. Any other token is compared as it is, with its case.
func Match(pattern, eventType string) bool {
	for {
		if pattern == ">" {
			return eventType != ""
		}
		want, restOfPattern, morePattern := strings.Cut(pattern, ".")
		got, restOfType, moreType := strings.Cut(eventType, ".")
		if got == "" || want != "*" && want != got || morePattern != moreType {
			return false
		}
		if !morePattern {
			return true
		}
		pattern, eventType = restOfPattern, restOfType
	}
}
