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
func (b *Bus) restoreStranded(ctx context.Context) error {
	err := b.api(ctx, func(ctx context.Context) error {
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
			if c.AckFloor.Stream < first || c.Config.FilterSubject == "" {
				continue
			}
			if err := b.restoreBelow(ctx, s, c); err != nil {
				return err
			}
		}
		return consumers.Err()
	})
	if err != nil {
		return fmt.Errorf("look for stranded attempts in %s: %w", b.top.Retries, err)
	}
	return nil
}

// restoreBelow publishes again what a consumer's subjects hold at or below its ack floor.
func (b *Bus) restoreBelow(ctx context.Context, s jetstream.Stream, c *jetstream.ConsumerInfo) error {
	for from, n := uint64(1), 0; ; n++ {
		m, err := s.GetMsg(ctx, from, jetstream.WithGetMsgSubject(c.Config.FilterSubject))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound), err == nil && m.Sequence > c.AckFloor.Stream:
			if n > 0 {
				b.log(fmt.Sprintf("%d attempts that the server took for acknowledged are examined again: it lost what it had not written (%s)", n, c.Name), nil)
			}
			return nil
		case err != nil:
			return err
		}
		// One id, whichever daemon comes first: the others' is dropped. What is given out meanwhile was not stranded.
		_, err = b.Publish(ctx, Msg{
			Subject: m.Subject, Data: m.Data,
			Header: map[string][]string{MsgID: {"stranded." + strconv.FormatUint(m.Sequence, 10) + "." + strconv.FormatInt(m.Time.UnixNano(), 36)}},
		})
		if err != nil {
			return err
		}
		if err := s.Purge(ctx, jetstream.WithPurgeSubject(m.Subject), jetstream.WithPurgeSequence(m.Sequence+1)); err != nil {
			return err
		}
		from = m.Sequence + 1
	}
}
