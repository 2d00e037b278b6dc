package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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

// pendingOf describes an attempt to come.
func pendingOf(p bus.PendingJob, now time.Time) (api.Pending, error) {
	j, err := delivery.DecodeJob(p.Data)
	if err != nil {
		return api.Pending{}, err
	}
	out := api.Pending{
		DeliveryID: j.ID, EventID: j.EventID, EventType: j.EventType, EventSeq: j.EventSeq, Rule: j.Rule, Webhook: j.Webhook,
		Endpoint: j.Endpoint, Run: j.Run, Attempt: j.Attempt, MaxAttempts: max(j.MaxAttempts, j.Attempt), Since: &p.Time, State: "waiting",
	}
	if j.Cause != nil {
		out.Error = &api.Error{Kind: string(j.Cause.Kind), Message: j.Cause.Message}
	}
	if !j.Due.IsZero() {
		due := j.Due.UTC()
		out.Due = &due
	}
	switch {
	case p.Place == bus.InSchedule, p.Place == bus.InDue && j.Due.After(now):
		out.State = "scheduled"
	case p.Place == bus.InDue:
		out.State = "due"
	}
	return out, nil
}

// pendingRead bounds the attempts that one listing looks at.
const pendingRead = 5000

// Pending implements console.Deliveries.
func (k *desk) Pending(ctx context.Context, q console.PendingQuery) (api.PendingList, error) {
	out := api.PendingList{Items: []api.Pending{}, Due: []api.DueCount{}}
	b, err := k.bus()
	if err != nil {
		return out, err
	}
	jobs, total, err := b.Pending(ctx, pendingRead)
	if err != nil {
		return out, away(err)
	}
	now := time.Now()
	names := store.Query{Rules: q.Rules, Endpoints: q.Endpoints, Types: q.Types}
	var list []api.Pending
	for _, p := range jobs {
		one, err := pendingOf(p, now)
		if err != nil {
			continue // of a newer Bellhop
		}
		t := store.Tally{Rule: one.Rule, Webhook: one.Webhook, Endpoint: one.Endpoint, EventType: one.EventType}
		if names.Holds(&t) && (len(q.States) == 0 || slices.Contains(q.States, one.State)) {
			list = append(list, one)
		}
	}
	out.Complete = total <= pendingRead
	out.Total = len(list)
	if len(list) == len(jobs) {
		out.Total = total
	}
	out.Due = dueCounts(list, now)
	slices.SortFunc(list, func(a, b api.Pending) int { return strings.Compare(pendingCursor(a), pendingCursor(b)) })
	for _, one := range list {
		if q.After != "" && pendingCursor(one) <= q.After {
			continue
		}
		if len(out.Items) == q.Limit {
			out.Next = pendingCursor(out.Items[len(out.Items)-1])
			break
		}
		out.Items = append(out.Items, one)
	}
	return out, nil
}

// pendingCursor sorts attempts by when they are due.
func pendingCursor(p api.Pending) string {
	var due int64
	if p.Due != nil {
		due = max(0, p.Due.UnixMilli())
	}
	return fmt.Sprintf("%015d-%s", due, p.DeliveryID)
}

var dueSteps = []struct {
	name   string
	within time.Duration
}{{"1m", time.Minute}, {"5m", 5 * time.Minute}, {"1h", time.Hour}, {"6h", 6 * time.Hour}, {"24h", 24 * time.Hour}}

func dueCounts(list []api.Pending, now time.Time) []api.DueCount {
	sums := map[string]int{}
	for _, p := range list {
		switch {
		case p.State == "waiting":
			sums["room"]++
		case p.Due == nil:
			sums["1m"]++
		default:
			i := slices.IndexFunc(dueSteps, func(s struct {
				name   string
				within time.Duration
			}) bool {
				return p.Due.Sub(now) <= s.within
			})
			if i < 0 {
				sums["later"]++
			} else {
				sums[dueSteps[i].name]++
			}
		}
	}
	counts := []api.DueCount{}
	for _, s := range dueSteps {
		counts = append(counts, api.DueCount{Within: s.name, Count: sums[s.name]})
	}
	return append(counts, api.DueCount{Within: "later", Count: sums["later"]}, api.DueCount{Within: "room", Count: sums["room"]})
}

// reachFor is how long a retry waits until the index has all outcomes.
const reachFor = 5 * time.Second

// reach waits until the store has counted what the stream holds now.
func (k *desk) reach(ctx context.Context, b *bus.Bus) error {
	state, err := b.Results(ctx)
	if err != nil {
		return away(err)
	}
	ctx, cancel := context.WithTimeout(ctx, reachFor)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		p := k.db.Progress()
		if p.Cursor >= state.Last && p.Stream.Name == state.Stream {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return console.Unavailable(fmt.Errorf("the counts are at outcome %d of %d: try again once they have come there", p.Cursor, state.Last))
		}
	}
}

// Retry implements console.ByHand.
func (k *desk) Retry(ctx context.Context, id string) (api.Retried, error) {
	var none api.Retried
	b, err := k.bus()
	if err != nil {
		return none, err
	}
	engine, err := k.engine()
	if err != nil {
		return none, err
	}
	// What is pending comes first, and then all outcomes that there are: a run begun before the first look is found in one of
	// the two, and one begun later has the same key as this.
	pending, err := b.PendingOf(ctx, id)
	if err != nil {
		return none, away(err)
	}
	if len(pending) > 0 {
		return none, &console.Refusal{Status: http.StatusConflict, Err: fmt.Errorf("delivery %s is under way: an attempt is scheduled or waiting", id),
			Next: "bellhop deliveries show " + id}
	}
	if err := k.reach(ctx, b); err != nil {
		return none, err
	}
	list, tallies, err := k.records(ctx, b, id)
	if err != nil {
		return none, err
	}
	last := lastOutcome(list)
	if last < 0 {
		return none, console.NotFound(fmt.Errorf("delivery %s not found: it has no outcome yet, or its outcomes are no longer kept", id))
	}
	o := list[last]
	if o.Outcome != string(delivery.Failed) {
		return none, console.Conflict(fmt.Errorf("delivery %s has not failed: its last outcome is %s", id, o.Outcome))
	}
	failed := &delivery.Record{
		DeliveryID: id, EventID: o.EventID, EventType: o.EventType, EventSeq: o.EventSeq, Rule: o.Rule, Webhook: o.Webhook, Run: o.Run, Attempt: o.Attempt,
	}
	if o.Error != nil {
		failed.Error = &delivery.Error{Kind: delivery.Kind(o.Error.Kind), Message: o.Error.Message}
	}
	body, err := k.body(ctx, b, engine, &o, failed)
	if err != nil {
		return none, err
	}
	run, err := engine.Again(ctx, failed, tallies[last].User, body)
	if errors.Is(err, dispatcher.ErrNotInForce) {
		return none, &console.Refusal{Status: http.StatusConflict, Err: err, Next: "bellhop rules list"}
	}
	if err != nil {
		return none, away(err)
	}
	return api.Retried{DeliveryID: id, Run: run}, nil
}

// body is what the failed attempt sent; where its outcome does not hold that, it is rendered again from the event.
func (k *desk) body(ctx context.Context, b *bus.Bus, engine *dispatcher.Dispatcher, o *api.Outcome, failed *delivery.Record) ([]byte, error) {
	whole := o.Request != nil && (o.Request.Truncated == nil || !*o.Request.Truncated)
	if whole && (failed.Error == nil || failed.Error.Kind != delivery.KindRender) {
		return []byte(o.Request.Body), nil
	}
	m, err := b.ReadEvent(ctx, o.EventSeq)
	if err != nil {
		return nil, away(err)
	}
	if m == nil {
		return nil, console.Conflict(fmt.Errorf("its body is not in the outcome, and event %d is no longer in the stream", o.EventSeq))
	}
	e, err := k.decode(m, b.EventType(m.Subject))
	if err != nil {
		return nil, console.Conflict(fmt.Errorf("event %d: %w", o.EventSeq, err))
	}
	body, err := engine.Render(failed, e)
	if err != nil {
		return nil, console.Conflict(fmt.Errorf("event %d: %w", o.EventSeq, err))
	}
	return body, nil
}

// Cancel implements console.ByHand.
func (k *desk) Cancel(ctx context.Context, id, by string) (api.Outcome, error) {
	var none api.Outcome
	b, err := k.bus()
	if err != nil {
		return none, err
	}
	engine, err := k.engine()
	if err != nil {
		return none, err
	}
	_, seq, err := engine.Cancel(ctx, id, "cancelled by hand: "+by)
	if errors.Is(err, dispatcher.ErrNothingPending) || errors.Is(err, dispatcher.ErrAlreadyMade) {
		return none, &console.Refusal{Status: http.StatusConflict, Err: fmt.Errorf("delivery %s: %w", id, err), Next: "bellhop deliveries show " + id}
	}
	if err != nil {
		return none, away(err)
	}
	stored, err := b.ReadOutcomes(ctx, []uint64{seq})
	if err != nil || len(stored) == 0 {
		return none, cmp.Or(away(err), errors.New("the outcome is recorded, and cannot be read back"))
	}
	out, _, err := outcomeOf(b, &stored[0])
	return out, err
}

// chooseMost bounds a bulk operation.
const chooseMost = 100_000

// Choose implements console.ByHand.
func (k *desk) Choose(ctx context.Context, req api.OperationRequest) ([]string, uint64, error) {
	b, err := k.bus()
	if err != nil {
		return nil, 0, err
	}
	if len(req.IDs) > 0 {
		return req.IDs, req.Until, nil
	}
	q, err := console.QueryOf(req.Filter, time.Now())
	if err != nil {
		return nil, 0, &console.Refusal{Status: http.StatusBadRequest, Err: err}
	}
	if req.Action == "cancel" {
		return k.choosePending(ctx, b, q)
	}
	until := req.Until
	if until == 0 {
		if err := k.reach(ctx, b); err != nil {
			return nil, 0, err
		}
		until = k.db.Progress().Cursor
	}
	seqs, err := k.db.Failed(q, until, chooseMost)
	if err != nil {
		return nil, 0, err
	}
	ids := make([]string, 0, len(seqs))
	for part := range slices.Chunk(seqs, 500) {
		stored, err := b.ReadOutcomes(ctx, part)
		if err != nil {
			return nil, 0, away(err)
		}
		for i := range stored {
			t := tallyOf(b.Recorded(&stored[i]))
			if t.Outcome != delivery.Failed || !q.Holds(&t) {
				continue
			}
			if id, _, _, ok := delivery.ParseOutcomeID(t.ID); ok {
				ids = append(ids, id)
			}
		}
	}
	return ids, until, nil
}

func (k *desk) choosePending(ctx context.Context, b *bus.Bus, q store.Query) ([]string, uint64, error) {
	jobs, total, err := b.Pending(ctx, chooseMost)
	if err != nil {
		return nil, 0, away(err)
	}
	if total > chooseMost {
		return nil, 0, &store.TooManyError{Most: chooseMost}
	}
	var ids []string
	seen := map[string]struct{}{}
	for _, p := range jobs {
		j, err := delivery.DecodeJob(p.Data)
		if err != nil {
			continue // of a newer Bellhop
		}
		t := store.Tally{
			ID: delivery.OutcomeID(j.ID, j.Run, j.Attempt), Rule: j.Rule, Webhook: j.Webhook, Endpoint: j.Endpoint,
			EventType: j.EventType, EventID: j.EventID, User: j.UserID,
		}
		if j.Cause != nil {
			t.Kind = j.Cause.Kind
		}
		if _, twice := seen[j.ID]; !twice && q.Holds(&t) {
			seen[j.ID] = struct{}{}
			ids = append(ids, j.ID)
		}
	}
	return ids, 0, nil
}
