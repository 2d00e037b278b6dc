package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// restoreLook is how many consumers one look of Restore goes into: each costs the server a search.
const restoreLook = 16

// stranded is what Restore saw when it last looked.
type stranded struct {
	mu     sync.Mutex        // one look at a time
	floors map[string]uint64 // of the consumers, by name
	passed int               // consumers that this round has gone into
}

// reset forgets what was seen: the stream may be another.
func (s *stranded) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floors, s.passed = nil, 0
}

// Restore gives back attempts that no consumer would give out any more; it returns how many. A server that lost what it had not
// written, by a crash, a full disk or a power cut, may hold an attempt that its consumer takes for acknowledged: what the attempt
// led to, the next one or its outcome, may be lost with it. It is published again in the old one's place, and so is examined once
// more: one that was settled is known by its outcome.
//
// What is acknowledged is gone from the stream a moment later, so what lies there and was taken for acknowledged in the call
// before is stranded. Restore is to be called every few seconds at most, more often than not after a connection was made.
func (b *Bus) Restore(ctx context.Context) (n int, err error) {
	b.stranded.mu.Lock()
	defer b.stranded.mu.Unlock()
	before := b.stranded.floors
	b.stranded.floors = map[string]uint64{}
	err = b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		state := s.CachedInfo().State
		if state.Msgs == 0 {
			return nil
		}
		at, looked := 0, 0
		consumers := s.ListConsumers(ctx)
		for c := range consumers.Info() {
			if c.Config.FilterSubject == "" {
				continue
			}
			b.stranded.floors[c.Name] = floorOf(c)
			at++
			floor := before[c.Name]
			if floor < state.FirstSeq || at <= b.stranded.passed || looked == restoreLook {
				continue
			}
			looked++
			more, err := b.restoreBelow(ctx, s, c, floor)
			if n += more; err != nil {
				return err
			}
		}
		if b.stranded.passed += restoreLook; b.stranded.passed >= at {
			b.stranded.passed = 0
		}
		return consumers.Err()
	})
	if err != nil {
		return n, fmt.Errorf("look for stranded attempts in %s: %w", b.top.Retries, err)
	}
	return n, nil
}

// floorOf is up to where a consumer takes everything for acknowledged. After a crash its ack floor may stay behind for good.
func floorOf(c *jetstream.ConsumerInfo) uint64 {
	if c.NumAckPending == 0 {
		return max(c.AckFloor.Stream, c.Delivered.Stream)
	}
	return c.AckFloor.Stream
}

// restoreBelow publishes again what a consumer's subjects hold at or below a floor.
func (b *Bus) restoreBelow(ctx context.Context, s jetstream.Stream, c *jetstream.ConsumerInfo, floor uint64) (n int, err error) {
	for from := uint64(1); ; n++ {
		m, err := s.GetMsg(ctx, from, jetstream.WithGetMsgSubject(c.Config.FilterSubject))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound), err == nil && m.Sequence > floor:
			if n > 0 {
				b.log(fmt.Sprintf("%d attempts that the server took for acknowledged are examined again: it lost what it had not written (%s)", n, c.Name), nil)
			}
			return n, nil
		case err != nil:
			return n, err
		}
		// One id, whichever daemon comes first: the others' is dropped. What is given out meanwhile was not stranded.
		_, err = b.Publish(ctx, Msg{
			Subject: m.Subject, Data: m.Data,
			Header: map[string][]string{MsgID: {"stranded." + strconv.FormatUint(m.Sequence, 10) + "." + strconv.FormatInt(m.Time.UnixNano(), 36)}},
		})
		if err != nil {
			return n, err
		}
		if err := s.Purge(ctx, jetstream.WithPurgeSubject(m.Subject), jetstream.WithPurgeSequence(m.Sequence+1)); err != nil {
			return n, err
		}
		from = m.Sequence + 1
	}
}
