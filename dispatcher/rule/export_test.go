package rule

import "bellhop/dispatcher/event"

// Judged counts the webhooks that Match looks at for an event.
func Judged(s *Set, e *event.Event) int {
	m := matching{event: e, archived: e.Archived()}
	s.index.match(&m)
	return m.judged
}
