package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Where an attempt to come is.
const (
	InSchedule = "at"   // until its time
	InDue      = "due"  // to be taken now, or taken and not settled; without schedules also until its time
	InLane     = "wait" // until its lane has room
)

// PendingJob is an attempt that is on the bus.
type PendingJob struct {
	ID    string // the delivery's
	Place string // InSchedule, InDue or InLane
	Seq   uint64
	Time  time.Time // when it came there
	Data  []byte
}

// pendingSubject reads a subject of the retries' stream; false for what is no attempt.
func (b *Bus) pendingSubject(subject string) (place, id string, ok bool) {
	rest, ok := strings.CutPrefix(subject, b.top.Retries+".")
	if !ok {
		return "", "", false
	}
	parts := strings.Split(rest, ".")
	switch {
	case len(parts) == 2 && (parts[0] == InSchedule || parts[0] == InDue):
		return parts[0], parts[1], true
	case len(parts) == 3 && parts[0] == InLane:
		return InLane, parts[2], true
	}
	return "", "", false
}

// Pending reads attempts that are on the bus, at most so many, and says how many there are.
func (b *Bus) Pending(ctx context.Context, most int) (list []PendingJob, total int, err error) {
	var s jetstream.Stream
	var subjects []string
	err = b.api(ctx, func(ctx context.Context) (err error) {
		if s, err = b.js().Stream(ctx, b.top.Retries); err != nil || s.CachedInfo().State.Msgs == 0 {
			return err
		}
		for _, place := range []string{InSchedule, InDue, InLane} {
			info, err := s.Info(ctx, jetstream.WithSubjectFilter(b.top.Retries+"."+place+".>"))
			if err != nil {
				return err
			}
			for _, n := range info.State.Subjects {
				total += int(n)
			}
			if len(subjects) < most {
				subjects = append(subjects, slices.Sorted(maps.Keys(info.State.Subjects))...)
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list what is pending: %w", err)
	}
	list, err = b.lastOf(ctx, s, subjects[:min(most, len(subjects))])
	return list, total, err
}

// CountPending counts the attempts that are on the bus.
func (b *Bus) CountPending(ctx context.Context) (uint64, error) {
	var n uint64
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		state := s.CachedInfo().State
		n = state.Msgs
		if n == 0 {
			return nil
		}
		// Words about lanes are no attempts.
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(b.top.laneSubject("*")))
		if err == nil {
			n -= min(n, uint64(len(info.State.Subjects)))
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count what is pending: %w", err)
	}
	return n, nil
}

// PendingOf reads what is on the bus of one delivery.
func (b *Bus) PendingOf(ctx context.Context, id string) ([]PendingJob, error) {
	var s jetstream.Stream
	if err := b.api(ctx, func(ctx context.Context) (err error) {
		s, err = b.js().Stream(ctx, b.top.Retries)
		return err
	}); err != nil {
		return nil, fmt.Errorf("look for what is pending of %s: %w", id, err)
	}
	return b.lastOf(ctx, s, []string{b.top.atSubject(id), b.top.dueSubject(id), b.top.waitSubject("*", id)})
}

// lastOf reads the last message of each subject that has one.
func (b *Bus) lastOf(ctx context.Context, s jetstream.Stream, subjects []string) ([]PendingJob, error) {
	found := make([]*PendingJob, len(subjects))
	errs := make([]error, len(subjects))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(readAtOnce, len(subjects)) {
		wg.Go(func() {
			for i := range next {
				errs[i] = b.api(ctx, func(ctx context.Context) error {
					m, err := s.GetLastMsgForSubject(ctx, subjects[i])
					if errors.Is(err, jetstream.ErrMsgNotFound) {
						return nil
					}
					if err != nil {
						return fmt.Errorf("read what is pending: %w", err)
					}
					if place, id, ok := b.pendingSubject(m.Subject); ok {
						found[i] = &PendingJob{ID: id, Place: place, Seq: m.Sequence, Time: m.Time.UTC(), Data: m.Data}
					}
					return nil
				})
			}
		})
	}
	for i := range subjects {
		next <- i
	}
	close(next)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var list []PendingJob
	for _, j := range found {
		if j != nil {
			list = append(list, *j)
		}
	}
	return list, nil
}

// Enqueue hands an attempt to the bus that is due at once. key names it: of two with the same key within two minutes one is kept.
// It tells whether it was the first.
func (b *Bus) Enqueue(ctx context.Context, id, key string, data []byte) (bool, error) {
	ack, err := b.Publish(ctx, Msg{Subject: b.top.dueSubject(id), Header: map[string][]string{MsgID: {key}}, Data: data})
	if err != nil {
		return false, fmt.Errorf("hand %s to the bus: %w", id, err)
	}
	return !ack.Duplicate, nil
}

// Withdraw takes everything of a delivery off the bus that has come there up to a sequence.
func (b *Bus) Withdraw(ctx context.Context, id string, upTo uint64) error {
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		for _, subject := range []string{b.top.atSubject(id), b.top.dueSubject(id), b.top.waitSubject("*", id)} {
			if err := s.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(upTo+1)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("take %s off the bus: %w", id, err)
	}
	return nil
}
