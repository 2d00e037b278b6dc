package bus

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Stock is how much waits on the bus, for all daemons together.
type Stock struct {
	Events     uint64 // not handed to any daemon yet
	EventsHeld uint64 // handed over, and not acknowledged yet
	Scheduled  uint64 // retries whose time has not come; on servers without schedules they count as held
	Due        uint64 // retries that have fallen due, not handed over yet
	DueHeld    uint64 // handed over, and not acknowledged yet
	Waiting    uint64 // attempts that wait for room in their lane, those handed over included
}

// Stock counts without listing: it costs the same however much waits.
func (b *Bus) Stock(ctx context.Context) (Stock, error) {
	events, err := b.Backlog(ctx)
	if err != nil {
		return Stock{}, err
	}
	s := Stock{Events: events.Pending, EventsHeld: uint64(max(0, events.Held))}
	err = b.api(ctx, func(ctx context.Context) error {
		stream, err := b.js().Stream(ctx, b.top.Retries)
		if err != nil || stream.CachedInfo().State.Msgs == 0 {
			return err
		}
		list := stream.ListConsumers(ctx)
		for info := range list.Info() {
			switch pending, held := info.NumPending, uint64(max(0, info.NumAckPending)); {
			case info.Name == dueConsumer:
				s.Due, s.DueHeld = pending, held
			case strings.HasPrefix(info.Name, lanePrefix):
				s.Waiting += pending + held
			}
		}
		if err := list.Err(); err != nil {
			return err
		}
		// Words about lanes are no attempts.
		info, err := stream.Info(ctx, jetstream.WithSubjectFilter(b.top.laneSubject("*")))
		if err != nil {
			return err
		}
		// All counts are of slightly different moments.
		others := s.Due + s.DueHeld + s.Waiting + uint64(len(info.State.Subjects))
		s.Scheduled = info.State.Msgs - min(info.State.Msgs, others)
		return nil
	})
	if err != nil {
		return Stock{}, fmt.Errorf("count what waits on stream %s: %w", b.top.Retries, err)
	}
	return s, nil
}
