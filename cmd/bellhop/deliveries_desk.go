package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"bellhop/cmd/bellhop/console"
	"bellhop/cmd/bellhop/console/api"
	"bellhop/dispatcher"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/event"
	"bellhop/store"
)

// desk answers what is asked about deliveries: the store knows where outcomes are, the bus what they say.
type desk struct {
	db  *store.Store
	bus func() (*bus.Bus, error)
	// decode reads an event as the engine does.
	decode func(m *bus.Stored, eventType string) (*event.Event, error)
	// engine does what changes something; nil where no daemon runs.
	engine func() (*dispatcher.Dispatcher, error)
}

// desk is the daemon's own.
func (d *daemon) desk() *desk {
	return &desk{
		db: d.db,
		bus: func() (*bus.Bus, error) {
			if d.ready.Load() != nil {
				return nil, console.Unavailable(errNotYet)
			}
			return d.bus, nil
		},
		engine: func() (*dispatcher.Dispatcher, error) {
			if d.ready.Load() != nil {
				return nil, console.Unavailable(errNotYet)
			}
			return d.engine, nil
		},
		decode: func(m *bus.Stored, eventType string) (*event.Event, error) { return d.engine.Event(m, eventType) },
	}
}

// away says of an error of the bus that it may pass.
func away(err error) error {
	if err != nil && bus.Passing(err) {
		return console.Unavailable(err)
	}
	return err
}

// outcomeOf reads a stored outcome.
func outcomeOf(b *bus.Bus, m *bus.Stored) (api.Outcome, store.Tally, error) {
	t := tallyOf(b.Recorded(m))
	env, _, err := delivery.Decode(m.Data)
	if err != nil {
		return api.Outcome{}, t, fmt.Errorf("outcome %d: %w", m.Seq, err)
	}
	var out api.Outcome
	if err := json.Unmarshal(env.Data, &out); err != nil {
		return out, t, fmt.Errorf("outcome %d: %w", m.Seq, err)
	}
	out.Outcome, out.Seq, out.At, out.Node = string(t.Outcome), m.Seq, delivery.At(m.Time), strings.TrimPrefix(env.Source, "bellhop/")
	if out.EventType == "" {
		out.EventType = t.EventType
	}
	// Older outcomes say less in their headers.
	t.EventID = cmp.Or(t.EventID, out.EventID)
	return out, t, nil
}

// List implements console.Deliveries.
func (k *desk) List(ctx context.Context, q store.Query) (api.DeliveryList, uint64, error) {
	list := api.DeliveryList{Items: []api.Outcome{}}
	b, err := k.bus()
	if err != nil {
		return list, 0, err
	}
	want := q.Limit
	fresh, counted, err := k.uncounted(ctx, b)
	if err != nil {
		return list, 0, err
	}
	for i := range fresh {
		m := &fresh[i]
		if q.Before > 0 && m.Seq >= q.Before || !q.From.IsZero() && m.Time.Before(q.From) || !q.To.IsZero() && !m.Time.Before(q.To) {
			continue
		}
		if out, t, err := outcomeOf(b, m); err == nil && q.Holds(&t) {
			if len(list.Items) == want {
				return list, m.Seq + 1, nil
			}
			list.Items = append(list.Items, out)
		}
	}
	if len(fresh) > 0 && (q.Before == 0 || q.Before > counted) {
		// What is counted meanwhile is among those above.
		q.Before = counted + 1
	}
	if len(list.Items) == want {
		return list, q.Before, nil
	}
	for {
		q.Limit = want - len(list.Items)
		page, err := k.db.Find(q)
		if err != nil {
			return list, 0, err
		}
		seqs := make([]uint64, 0, len(page.Hits))
		for _, h := range page.Hits {
			seqs = append(seqs, h.Seq)
		}
		stored, err := b.ReadOutcomes(ctx, seqs)
		if err != nil {
			return list, 0, away(err)
		}
		for i := range stored {
			out, t, err := outcomeOf(b, &stored[i])
			if err == nil && q.Holds(&t) {
				list.Items = append(list.Items, out)
			}
		}
		if !page.SearchedTo.IsZero() {
			list.SearchedTo = &page.SearchedTo
		}
		// A page that is short though the index had enough hits lost some that only looked like matches.
		if page.Next == 0 || len(list.Items) >= want || len(page.Hits) < q.Limit {
			return list, page.Next, nil
		}
		q.Before = page.Next
	}
}

const (
	// mostUncounted bounds the outcomes that are read past the index.
	mostUncounted = 500
	// countedSoon is how long more of them are waited for, and soonCounted how many are worth it.
	countedSoon = time.Second
	soonCounted = 50_000
)

// uncounted reads the outcomes that the index does not hold yet, newest first, and says up to which one it holds them: writing it
// takes a moment, in which what is recorded must not be missing from lists. Far behind, the index is all there is.
func (k *desk) uncounted(ctx context.Context, b *bus.Bus) (list []bus.Stored, counted uint64, err error) {
	state, err := b.Results(ctx)
	if err != nil {
		return nil, 0, away(err)
	}
	until := time.Now().Add(countedSoon)
	for {
		p := k.db.Progress()
		if !p.Stream.Equal(store.StreamID{Name: state.Stream, Created: state.Created}) || p.Cursor >= state.Last {
			return nil, p.Cursor, nil
		}
		if lag := state.Last - p.Cursor; lag <= mostUncounted {
			counted = p.Cursor
			break
		} else if lag > soonCounted || time.Now().After(until) {
			return nil, p.Cursor, nil
		}
		select {
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
	seqs := make([]uint64, 0, state.Last-counted)
	for seq := state.Last; seq > counted; seq-- {
		seqs = append(seqs, seq)
	}
	list, err = b.ReadOutcomes(ctx, seqs)
	return list, counted, away(err)
}

// outcomes reads outcomes by their sequences.
func (k *desk) outcomes(ctx context.Context, seqs []uint64) ([]api.Outcome, error) {
	b, err := k.bus()
	if err != nil {
		return nil, err
	}
	stored, err := b.ReadOutcomes(ctx, seqs)
	if err != nil {
		return nil, away(err)
	}
	var list []api.Outcome
	for i := range stored {
		if out, _, err := outcomeOf(b, &stored[i]); err == nil {
			list = append(list, out)
		}
	}
	return list, nil
}

// records reads a delivery's outcomes, oldest first.
func (k *desk) records(ctx context.Context, b *bus.Bus, id string) ([]api.Outcome, []store.Tally, error) {
	fresh, counted, err := k.uncounted(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	seqs, err := k.db.Outcomes(id)
	if err != nil {
		return nil, nil, err
	}
	if len(fresh) > 0 {
		seqs = slices.DeleteFunc(seqs, func(seq uint64) bool { return seq > counted })
	}
	stored, err := b.ReadOutcomes(ctx, seqs)
	if err != nil {
		return nil, nil, away(err)
	}
	slices.Reverse(fresh)
	stored = append(stored, fresh...)
	var list []api.Outcome
	var tallies []store.Tally
	for i := range stored {
		if out, t, err := outcomeOf(b, &stored[i]); err == nil && out.DeliveryID == id {
			list, tallies = append(list, out), append(tallies, t)
		}
	}
	return list, tallies, nil
}

// lastOutcome is the one of the highest run and attempt.
func lastOutcome(list []api.Outcome) int {
	last := -1
	for i, o := range list {
		if last < 0 || cmp.Or(cmp.Compare(o.Run, list[last].Run), cmp.Compare(o.Attempt, list[last].Attempt)) > 0 {
			last = i
		}
	}
	return last
}

// Show implements console.Deliveries.
func (k *desk) Show(ctx context.Context, id string) (api.Delivery, error) {
	one := api.Delivery{DeliveryID: id, Outcomes: []api.Outcome{}}
	b, err := k.bus()
	if err != nil {
		return one, err
	}
	pending, err := b.PendingOf(ctx, id)
	if err != nil {
		return one, away(err)
	}
	list, _, err := k.records(ctx, b, id)
	if err != nil {
		return one, err
	}
	one.Outcomes = append(one.Outcomes, list...)
	var seq uint64
	for _, p := range pending {
		if next, err := pendingOf(p, time.Now()); err == nil && (one.Pending == nil || next.Attempt > one.Pending.Attempt || next.Run > one.Pending.Run) {
			one.Pending, seq = &next, next.EventSeq
		}
	}
	if last := lastOutcome(list); last >= 0 {
		seq = list[last].EventSeq
		one.CanRetry = one.Pending == nil && list[last].Outcome == string(delivery.Failed)
	}
	if len(one.Outcomes) == 0 && one.Pending == nil {
		return one, console.NotFound(fmt.Errorf("delivery %s not found: it has no outcome yet, or its outcomes are no longer kept", id))
	}
	one.CanCancel = one.Pending != nil
	if seq > 0 {
		if m, err := b.ReadEvent(ctx, seq); err == nil && m != nil {
			e := k.describe(b, m, true)
			one.Event = &e
		}
	}
	return one, nil
}

// describe shows a stored event.
func (k *desk) describe(b *bus.Bus, m *bus.Stored, data bool) api.Event {
	out := api.Event{Seq: m.Seq, Type: b.EventType(m.Subject), At: m.Time, Size: len(m.Data)}
	e, err := k.decode(m, out.Type)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	at := e.Time.UTC()
	out.ID, out.Source, out.Time = e.ID, e.Source, &at
	if data {
		out.Data = e.Data.AppendJSON(nil)
	}
	return out
}
