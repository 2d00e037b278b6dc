package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"bellhop/dispatcher/delivery"
)

// ledger is the demo's own account of what has to come of the events that it published, kept apart from the daemon's: what
// the rules ask for on one side, what the bus recorded and what the receiver got on the other. It is safe for concurrent use,
// and takes both sides in any order, as an outcome may be there before the publisher knows of its event.
type ledger struct {
	mu         sync.Mutex
	published  int
	matched    int
	deliveries map[string]*account // by delivery id
	rejections map[string]*account // by outcome id
	recorded   map[string]bool     // outcome ids: each counts once, whatever the reading repeats
	changed    chan struct{}       // one slot
}

// account is one delivery's, or one unreadable event's.
type account struct {
	name     string // for people
	expected bool   // by the events published; else somebody else published
	runs     map[int]*tally
	posts    int // requests that the receiver got
	accepted int // of those, answered with a 2xx
}

// tally counts one run's outcomes.
type tally struct {
	retrying int
	final    []delivery.Outcome // one, where all is well
}

func newLedger() *ledger {
	return &ledger{
		deliveries: map[string]*account{}, rejections: map[string]*account{}, recorded: map[string]bool{}, changed: make(chan struct{}, 1),
	}
}

// event notes one event that was published, and the deliveries that have to come of it: their names by their ids.
func (l *ledger) event(expected map[string]string) {
	defer l.signal()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.published++
	if len(expected) > 0 {
		l.matched++
	}
	for id, name := range expected {
		a := of(l.deliveries, id)
		a.expected, a.name = true, name
	}
}

// unreadable notes one event that was published and has to be rejected, under the outcome's id.
func (l *ledger) unreadable(id string) {
	defer l.signal()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.published++
	a := of(l.rejections, id)
	a.expected, a.name = true, "rejection "+id
}

// outcome notes one outcome off the bus, by its id.
func (l *ledger) outcome(msgID string, o delivery.Outcome) {
	defer l.signal()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recorded[msgID] {
		return
	}
	l.recorded[msgID] = true
	if o == delivery.Rejected {
		t := of(l.rejections, msgID).run(1)
		t.final = append(t.final, o)
		return
	}
	id, run, _, ok := delivery.ParseOutcomeID(msgID)
	if !ok {
		return
	}
	t := of(l.deliveries, id).run(run)
	if o.Final() {
		t.final = append(t.final, o)
		return
	}
	t.retrying++
}

// post notes one request that the receiver got, and how it answers.
func (l *ledger) post(id string, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := of(l.deliveries, id)
	a.posts++
	if status/100 == 2 {
		a.accepted++
	}
}

// of returns the account of an id, opening it where there is none.
func of(accounts map[string]*account, id string) *account {
	a := accounts[id]
	if a == nil {
		a = &account{name: "delivery " + id, runs: map[int]*tally{}}
		accounts[id] = a
	}
	return a
}

func (a *account) run(n int) *tally {
	if a.runs[n] == nil {
		a.runs[n] = &tally{}
	}
	return a.runs[n]
}

// open tells whether something has to come yet: no final outcome, in the first run or in one that was begun by hand.
func (a *account) open() bool {
	if first := a.runs[1]; a.expected && (first == nil || len(first.final) == 0) {
		return true
	}
	for _, t := range a.runs {
		if a.expected && len(t.final) == 0 {
			return true
		}
	}
	return false
}

func (l *ledger) signal() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// pending counts what has to come yet.
func (l *ledger) pending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, accounts := range []map[string]*account{l.deliveries, l.rejections} {
		for _, a := range accounts {
			if a.open() {
				n++
			}
		}
	}
	return n
}

// settle blocks until nothing is pending, ctx ends, or nothing has moved for patience.
func (l *ledger) settle(ctx context.Context, patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for l.pending() > 0 {
		select {
		case <-l.changed:
			timer.Reset(patience)
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// report is the ledger's balance.
type report struct {
	Published, Matched, Rejected           int // events
	Deliveries, Delivered, Failed, Retries int // of the events published; retries are the attempts after the first
	Posts                                  int // requests that the receiver got, of whichever delivery
	Foreign                                int // deliveries of events that somebody else published
	Lost, Unsettled, Twice                 int
	Details                                []string // what is wrong, one delivery a line, sorted
}

// ok tells whether every delivery, and every unreadable event, has exactly one end.
func (r report) ok() bool { return r.Lost+r.Unsettled+r.Twice == 0 }

// err says what is wrong; nil where nothing is.
func (r report) err() error {
	if r.ok() {
		return nil
	}
	return withHint(fmt.Errorf("%d lost, %d left unsettled, %d ended more than once, of %s with %s", r.Lost, r.Unsettled, r.Twice,
		count(r.Published, "event"), counted(r.Deliveries, "delivery", "deliveries")), "bellhop demo --verbose")
}

// report strikes the balance. A delivery is lost that has left no trace, or is said to be delivered while the receiver took
// no request of it; it is unsettled where it was begun and has no final outcome.
func (l *ledger) report() report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := report{Published: l.published, Matched: l.matched}
	for _, a := range l.rejections {
		if len(a.run(1).final) > 0 {
			r.Rejected++
		} else if a.expected {
			r.Lost++
			r.Details = append(r.Details, a.name+" was not published")
		}
	}
	for _, a := range l.deliveries {
		r.Posts += a.posts
		if !a.expected {
			r.Foreign++
			continue
		}
		r.Deliveries++
		r.add(a)
	}
	slices.Sort(r.Details)
	return r
}

// add judges one delivery.
func (r *report) add(a *account) {
	first := a.run(1)
	if len(a.runs) == 1 && len(first.final) == 0 && first.retrying == 0 && a.posts == 0 {
		r.Lost++
		r.Details = append(r.Details, a.name+" was never begun")
		return
	}
	last, latest := 0, delivery.Outcome("")
	for n, t := range a.runs {
		r.Retries += t.retrying
		switch {
		case len(t.final) == 0:
			r.Unsettled++
			r.Details = append(r.Details, fmt.Sprintf("%s has no final outcome (retries: %d)", a.name, t.retrying))
		case len(t.final) > 1:
			r.Twice++
			r.Details = append(r.Details, fmt.Sprintf("%s ended %d times: %s", a.name, len(t.final), joined(t.final)))
		}
		if n > last && len(t.final) > 0 {
			last, latest = n, t.final[len(t.final)-1]
		}
	}
	switch {
	case latest == delivery.Delivered && a.accepted == 0:
		r.Lost++
		r.Details = append(r.Details, a.name+" is recorded as delivered, but the receiver took no request of it")
	case latest == delivery.Delivered:
		r.Delivered++
	case latest == delivery.Failed:
		r.Failed++
	}
}

func joined(outcomes []delivery.Outcome) string {
	texts := make([]string, len(outcomes))
	for i, o := range outcomes {
		texts[i] = string(o)
	}
	return strings.Join(texts, ", ")
}
