package rule

import (
	"bytes"
	"slices"

	"bellhop/dispatcher/event"
)

// Tally counts what one webhook does over many events. All but Fires compare with the rules in force.
type Tally struct {
	Rule, Webhook string
	Fires         int // events that trigger it
	InForce       int // events that it is triggered by in force
	Added         int // of Fires, those that do not trigger it in force
	Removed       int // of InForce, those that would no longer trigger it
	Changed       int // of Fires, those in force too whose request would be another one
}

// Backtest counts what a rule set would have done, and how that differs from the rules in force. It holds a tally for each
// webhook and no event. One goroutine may use it at a time.
type Backtest struct {
	set, inForce *Set
	tallies      []*tally
	of           map[*Webhook]*tally // of either set

	event     int // counts them, to tell which tallies have fired for the one at hand
	now, was  []*Webhook
	one, next []byte
}

// tally is a Tally under way.
type tally struct {
	Tally
	now, was *Webhook // in the set, and in force; nil where it has none
	nowAt    int      // the event that now was last triggered by
	wasAt    int
	request  sameness
}

// sameness says what is known beforehand of whether two webhooks' requests are the same.
type sameness uint8

const (
	same    sameness = iota // whatever the event
	unknown                 // the bodies tell
	other                   // whatever the event
)

// NewBacktest prepares the counting; inForce is nil where nothing is in force.
func NewBacktest(set, inForce *Set) *Backtest {
	b := &Backtest{set: set, inForce: inForce, of: map[*Webhook]*tally{}}
	byName := map[webhookKey]*tally{}
	for _, r := range set.Rules {
		for _, w := range r.Webhooks {
			t := &tally{Tally: Tally{Rule: r.Name, Webhook: w.Name}, now: w}
			b.tallies = append(b.tallies, t)
			b.of[w], byName[webhookKey{r.Name, w.Name}] = t, t
		}
	}
	if inForce == nil {
		return b
	}
	for _, r := range inForce.Rules {
		for _, w := range r.Webhooks {
			t := byName[webhookKey{r.Name, w.Name}]
			if t == nil {
				t = &tally{Tally: Tally{Rule: r.Name, Webhook: w.Name}}
				b.tallies = append(b.tallies, t)
			} else {
				t.request = compareRequests(t.now, w)
			}
			t.was, b.of[w] = w, t
		}
	}
	return b
}

// compareRequests compares what two webhooks send, as far as no event is needed for it.
func compareRequests(a, b *Webhook) sameness {
	switch {
	case a.Endpoint != b.Endpoint, a.Signed != b.Signed, !slices.Equal(a.MaskedHeaders(), b.MaskedHeaders()):
		return other
	case !slices.EqualFunc(a.Parameters, b.Parameters, func(p, q Param) bool {
		return p.Name == q.Name && p.Value.Source() == q.Value.Source()
	}):
		return unknown
	}
	return same
}

// Add counts one event. An event whose body cannot be rendered fires all the same.
func (b *Backtest) Add(e *event.Event) {
	b.event++
	b.now = b.set.Match(e, b.now[:0])
	if b.inForce != nil {
		b.was = b.inForce.Match(e, b.was[:0])
	}
	for _, w := range b.was {
		t := b.of[w]
		t.InForce++
		t.wasAt = b.event
	}
	for _, w := range b.now {
		t := b.of[w]
		t.Fires++
		t.nowAt = b.event
		switch {
		case b.inForce == nil:
		case t.wasAt != b.event:
			t.Added++
		case b.changed(t, e):
			t.Changed++
		}
	}
	for _, w := range b.was {
		if t := b.of[w]; t.nowAt != b.event {
			t.Removed++
		}
	}
}

// changed tells whether the event's request would be another one than in force.
func (b *Backtest) changed(t *tally, e *event.Event) bool {
	if t.request != unknown {
		return t.request == other
	}
	var errOne, errNext error
	b.one, errOne = t.was.Render(b.one[:0], e)
	b.next, errNext = t.now.Render(b.next[:0], e)
	return (errOne == nil) != (errNext == nil) || !bytes.Equal(b.one, b.next)
}

// Tallies gives the counts: the set's webhooks in file order, then those that are in force alone.
func (b *Backtest) Tallies() []Tally {
	out := make([]Tally, len(b.tallies))
	for i, t := range b.tallies {
		out[i] = t.Tally
	}
	return out
}
