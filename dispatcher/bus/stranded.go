package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// restoreStranded gives back attempts that no consumer would give out any more. A server that lost what it had not written, by a
// full disk or a power cut, may hold an attempt that its consumer takes for acknowledged: what the attempt led to, the next
// one or its outcome, may be lost with it. It is published again in the old one's place, and so is examined once more: one that
// was settled is known by its outcome.
//
// This finds what the consumers take for acknowledged now. RestoreLate finds the rest.
func (b *Bus) restoreStranded(ctx context.Context) error {
	b.lateMu.Lock()
	defer b.lateMu.Unlock()
	b.floors, b.floorsAt = nil, 0
	_, err := b.restore(ctx, floorOf)
	return err
}

// floorOf is up to where a consumer takes everything for acknowledged. After a crash its ack floor may stay behind for good.
func floorOf(c *jetstream.ConsumerInfo) uint64 {
	if c.NumAckPending == 0 {
		return max(c.AckFloor.Stream, c.Delivered.Stream)
	}
	return c.AckFloor.Stream
}

// lateLook is how many consumers one look of RestoreLate goes into: each costs the server a search.
const lateLook = 16

// RestoreLate gives back stranded attempts that were above their consumers' ack floors as the connection was made, for others that
// were delivered before them were not acknowledged yet; it returns how many. Acknowledged attempts are gone from their stream soon: what still
// lies below a floor of the call before is stranded. To be called every few seconds at most.
func (b *Bus) RestoreLate(ctx context.Context) (int, error) {
	b.lateMu.Lock()
	defer b.lateMu.Unlock()
	before, looked, at := b.floors, 0, 0
	b.floors = map[string]uint64{}
	n, err := b.restore(ctx, func(c *jetstream.ConsumerInfo) uint64 {
		b.floors[c.Name] = floorOf(c)
		at++
		if before[c.Name] == 0 || at <= b.floorsAt || looked == lateLook {
			return 0
		}
		looked++
		return before[c.Name]
	})
	b.floorsAt += lateLook
	if b.floorsAt >= at {
		b.floorsAt = 0
	}
	return n, err
}

// restore goes through the consumers of attempts, each up to a floor; 0 for none.
func (b *Bus) restore(ctx context.Context, floor func(*jetstream.ConsumerInfo) uint64) (n int, err error) {
	err = b.api(ctx, func(ctx context.Context) error {
		s, err := b.js.Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		first := s.CachedInfo().State.FirstSeq
		if s.CachedInfo().State.Msgs == 0 {
			return nil
		}
		consumers := s.ListConsumers(ctx)
		for c := range consumers.Info() {
			if c.Config.FilterSubject == "" {
				continue
			}
			if up := floor(c); up >= first {
				more, err := b.restoreBelow(ctx, s, c, up)
				if n += more; err != nil {
					return err
				}
			}
		}
		return consumers.Err()
	})
	if err != nil {
		return n, fmt.Errorf("look for stranded attempts in %s: %w", b.top.Retries, err)
	}
	return n, nil
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
