package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"bellhop/cmd/bellhop/console"
	"bellhop/cmd/bellhop/console/api"
	"bellhop/dispatcher"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/store"
)

// reachFor is how long a retry waits until the index has all outcomes.
const reachFor = 5 * time.Second

// chooseMost bounds a bulk operation.
const chooseMost = 100_000

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
		return k.choosePending(ctx, b, q, req)
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

// choosePending takes attempts to come as they stood when they were counted: until is the last one's place in its stream.
func (k *desk) choosePending(ctx context.Context, b *bus.Bus, q store.Query, req api.OperationRequest) ([]string, uint64, error) {
	jobs, total, err := b.Pending(ctx, chooseMost)
	if err != nil {
		return nil, 0, away(err)
	}
	if total > chooseMost {
		return nil, 0, &store.TooManyError{Most: chooseMost}
	}
	until := req.Until
	if until == 0 {
		until = 1 // not none, where nothing is pending
		for _, p := range jobs {
			until = max(until, p.Seq)
		}
	}
	var ids []string
	seen := map[string]struct{}{}
	now := time.Now()
	for _, p := range jobs {
		if p.Seq > until {
			continue
		}
		if len(req.Filter.State) > 0 {
			if one, err := pendingOf(p, now); err != nil || !slices.Contains(req.Filter.State, one.State) {
				continue
			}
		}
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
	return ids, until, nil
}
