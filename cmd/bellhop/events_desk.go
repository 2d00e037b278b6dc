package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"bellhop/cmd/bellhop/console"
	"bellhop/cmd/bellhop/console/api"
	"bellhop/dispatcher/event"
)

// trier answers what is asked about events, and what they would send by the rules in force.
type trier struct {
	desk   *desk
	keeper *ruleKeeper
}

// Recent implements console.Events.
func (t *trier) Recent(ctx context.Context, eventType string, n int) ([]api.Event, error) {
	if eventType != "" {
		if err := checkType(eventType); err != nil {
			return nil, &console.Refusal{Status: http.StatusBadRequest, Err: err}
		}
	}
	b, err := t.desk.bus()
	if err != nil {
		return nil, err
	}
	stored, err := b.RecentEvents(ctx, eventType, n)
	if err != nil {
		return nil, away(err)
	}
	list := make([]api.Event, 0, len(stored))
	for i := range stored {
		list = append(list, t.desk.describe(b, &stored[i], false))
	}
	return list, nil
}

// Event implements console.Events.
func (t *trier) Event(ctx context.Context, seq uint64) (api.Event, error) {
	b, err := t.desk.bus()
	if err != nil {
		return api.Event{}, err
	}
	m, err := b.ReadEvent(ctx, seq)
	if err != nil {
		return api.Event{}, away(err)
	}
	if m == nil {
		return api.Event{}, console.NotFound(fmt.Errorf("event %d is not in the stream", seq))
	}
	return t.desk.describe(b, m, true), nil
}

// Try implements console.Events.
func (t *trier) Try(ctx context.Context, req api.TryRequest) (api.TryResult, error) {
	e, err := t.read(ctx, req)
	if err != nil {
		return api.TryResult{}, err
	}
	t.keeper.mu.Lock()
	set := t.keeper.set
	t.keeper.mu.Unlock()
	return api.TryResult{Type: e.Type, RulesVersion: set.Version, Items: try(set, e, time.Now())}, nil
}

func (t *trier) read(ctx context.Context, req api.TryRequest) (*event.Event, error) {
	bad := func(err error) error { return &console.Refusal{Status: http.StatusBadRequest, Err: err} }
	if req.Seq > 0 {
		b, err := t.desk.bus()
		if err != nil {
			return nil, err
		}
		m, err := b.ReadEvent(ctx, req.Seq)
		if err != nil {
			return nil, away(err)
		}
		if m == nil {
			return nil, console.NotFound(fmt.Errorf("event %d is not in the stream", req.Seq))
		}
		e, err := t.desk.decode(m, b.EventType(m.Subject))
		if err != nil {
			return nil, bad(fmt.Errorf("event %d cannot be read: %w", req.Seq, err))
		}
		return e, nil
	}
	eventType := req.Type
	if eventType == "" {
		v, err := event.ParseJSON(req.Event)
		if err != nil {
			return nil, bad(fmt.Errorf("event: %w", err))
		}
		if eventType = v.Field("type").Text(); v.Field("type").Kind() != event.String {
			return nil, bad(errors.New("the event does not say its type: give type, such as course.completed"))
		}
	}
	if err := checkType(eventType); err != nil {
		return nil, bad(err)
	}
	e, err := event.Decode(event.Message{
		Stream: "EVENTS", Created: time.Unix(0, 0), Seq: 1, Time: time.Now(), Type: eventType, Data: req.Event,
	}, 0)
	if err != nil {
		return nil, bad(fmt.Errorf("event: %w", err))
	}
	return e, nil
}
