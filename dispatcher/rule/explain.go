package rule

import "bellhop/dispatcher/event"

// Verdict is one webhook's answer to an event.
type Verdict struct {
	Webhook *Webhook
	Matched bool
	Reason  string // only where not matched: which condition failed, with what it found
}

// Explain judges every webhook of each rule whose on covers the event's type, in file order, disabled ones included. It
// agrees with Match, and looks at every rule. Reasons show values of the event, so they are for the operator who asked and not for a log.
func (s *Set) Explain(e *event.Event) []Verdict {
	var verdicts []Verdict
	run := newScope(e)
	for _, r := range s.Rules {
		if !covers(r.On, e.Type) {
			continue
		}
		reason := r.why(e)
		for _, w := range r.Webhooks {
			v := Verdict{Webhook: w, Reason: reason}
			if reason == "" {
				v.Reason = w.why(e, run)
			}
			v.Matched = v.Reason == ""
			verdicts = append(verdicts, v)
		}
	}
	return verdicts
}

// why says what keeps the rule from firing, "" where nothing does.
func (r *Rule) why(e *event.Event) string {
	switch {
	case !r.Enabled:
		return "rule is disabled"
	case !r.IncludeArchived && e.Archived():
		return "user.archived is true and the rule does not include archived users"
	}
	return filterWhy(r.filter, e)
}

// why says what keeps the webhook of a rule that fires from being sent, "" where nothing does.
func (w *Webhook) why(e *event.Event, run *scope) string {
	if reason := filterWhy(w.filter, e); reason != "" || w.when == nil {
		return reason
	}
	if reason := w.when.why(run); reason != "" {
		return "when: " + reason
	}
	return ""
}

func filterWhy(f filter, e *event.Event) string {
	if f == nil || f.holds(e) {
		return ""
	}
	if _, ok := f.(named); ok {
		return f.why(e)
	}
	return "filter: " + f.why(e)
}
