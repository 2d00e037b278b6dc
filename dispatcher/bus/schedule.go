package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Headers of message schedules (nats-server 2.12, ADR-51).
const (
	scheduleHeader = "Nats-Schedule"
	targetHeader   = "Nats-Schedule-Target"
)

// Schedule hands a delivery's next attempt to the bus, which hands it to a daemon once it is due, never before by the
// server's clock. There is one schedule a delivery: a second replaces the first. key names the attempt for servers without
// schedules, which keep the first of two with the same key. It blocks until the bus has confirmed it.
func (b *Bus) Schedule(ctx context.Context, id, key string, due time.Time, data []byte) error {
	m := Msg{Data: data}
	if b.Schedules() {
		m.Subject = b.top.atSubject(id)
		m.Header = map[string][]string{
			// With its fraction: cut to whole seconds it would fire up to a second early. No Nats-Msg-Id: a duplicate would be
			// confirmed without being scheduled.
			scheduleHeader: {"@at " + due.UTC().Format(time.RFC3339Nano)},
			targetHeader:   {b.top.dueSubject(id)},
		}
	} else {
		m.Subject = b.top.dueSubject(id)
		m.Header = map[string][]string{MsgID: {key}}
	}
	if _, err := b.Publish(ctx, m); err != nil {
		return fmt.Errorf("schedule %s: %w", id, err)
	}
	return nil
}

// Unschedule takes a delivery's schedule back, where there is one.
func (b *Bus) Unschedule(ctx context.Context, id string) error {
	subject := b.top.atSubject(id)
	if !b.Schedules() {
		subject = b.top.dueSubject(id)
	}
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js.Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		return s.Purge(ctx, jetstream.WithPurgeSubject(subject))
	})
	if err != nil {
		return fmt.Errorf("take back the schedule of %s: %w", id, err)
	}
	return nil
}

// Scheduled returns a delivery's scheduled attempt, nil where none is.
func (b *Bus) Scheduled(ctx context.Context, id string) ([]byte, error) {
	subject := b.top.atSubject(id)
	if !b.Schedules() {
		subject = b.top.dueSubject(id)
	}
	var data []byte
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js.Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		m, err := s.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err == nil {
			data = m.Data
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up the schedule of %s: %w", id, err)
	}
	return data, nil
}

// ScheduledIDs lists the deliveries that have a schedule now.
func (b *Bus) ScheduledIDs(ctx context.Context) (map[string]struct{}, error) {
	prefix := b.top.atSubject("")
	if !b.Schedules() {
		prefix = b.top.dueSubject("")
	}
	ids := map[string]struct{}{}
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js.Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		// Nothing waits, mostly: then the listing is not asked for.
		if s.CachedInfo().State.Msgs == 0 {
			return nil
		}
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(prefix+">"))
		if err != nil {
			return err
		}
		for subject := range info.State.Subjects {
			ids[strings.TrimPrefix(subject, prefix)] = struct{}{}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list schedules: %w", err)
	}
	return ids, nil
}
