package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Headers of message schedules (nats-server 2.12, ADR-51).
const (
	scheduleHeader = "Nats-Schedule"
	targetHeader   = "Nats-Schedule-Target"
)

// ErrScheduled says that a delivery has another schedule than the one that was to be replaced.
var ErrScheduled = errors.New("another attempt is scheduled")

// Retry is a delivery's next attempt, for the bus to keep until it is due.
type Retry struct {
	ID  string    // the delivery's
	Key string    // names the attempt, for servers without schedules, which keep the first of two with the same key
	Due time.Time // handed to a daemon no earlier, by the server's clock
	// Replaces is the sequence of the schedule whose place it takes; 0 for none. Where another one is there by then, an
	// attempt made twice, here and by a daemon that was taken for dead, would put an earlier attempt in a later one's place.
	Replaces uint64
	Data     []byte
}

// Schedule hands a delivery's next attempt to the bus. It blocks until the bus has confirmed it, and returns the schedule's
// sequence, 0 where the bus had the attempt already; ErrScheduled says that the delivery has another schedule.
func (b *Bus) Schedule(ctx context.Context, r Retry) (uint64, error) {
	m := Msg{Data: r.Data}
	if b.Schedules() {
		m.Subject = b.top.atSubject(r.ID)
		m.Header = map[string][]string{
			// With its fraction: cut to whole seconds it would fire up to a second early. No Nats-Msg-Id: a duplicate would be
			// confirmed without being scheduled.
			scheduleHeader:                      {"@at " + r.Due.UTC().Format(time.RFC3339Nano)},
			targetHeader:                        {b.top.dueSubject(r.ID)},
			jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(r.Replaces, 10)},
		}
	} else {
		m.Subject = b.top.dueSubject(r.ID)
		m.Header = map[string][]string{MsgID: {r.Key}}
	}
	ack, err := b.Publish(ctx, m)
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		err = ErrScheduled
	}
	if err != nil {
		return 0, fmt.Errorf("schedule %s: %w", r.ID, err)
	}
	if ack.Duplicate {
		return 0, nil
	}
	return ack.Seq, nil
}

// retrySubject is where a delivery's scheduled attempt is kept.
func (b *Bus) retrySubject(id string) string {
	if !b.Schedules() {
		return b.top.dueSubject(id)
	}
	return b.top.atSubject(id)
}

// Unschedule takes a delivery's schedule back, where there is one of that sequence or an earlier one.
func (b *Bus) Unschedule(ctx context.Context, id string, seq uint64) error {
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		return s.Purge(ctx, jetstream.WithPurgeSubject(b.retrySubject(id)), jetstream.WithPurgeSequence(seq+1))
	})
	if err != nil {
		return fmt.Errorf("take back the schedule of %s: %w", id, err)
	}
	return nil
}

// Scheduled returns a delivery's scheduled attempt and its sequence, nil where none is.
func (b *Bus) Scheduled(ctx context.Context, id string) (data []byte, seq uint64, err error) {
	err = b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		m, err := s.GetLastMsgForSubject(ctx, b.retrySubject(id))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err == nil {
			data, seq = m.Data, m.Sequence
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("look up the schedule of %s: %w", id, err)
	}
	return data, seq, nil
}

// ScheduledIDs lists the deliveries that have a schedule now.
func (b *Bus) ScheduledIDs(ctx context.Context) (map[string]struct{}, error) {
	prefix := b.top.atSubject("")
	if !b.Schedules() {
		prefix = b.top.dueSubject("")
	}
	ids := map[string]struct{}{}
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Retries)
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
