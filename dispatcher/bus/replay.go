package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// replayBatch is how many past events one pull asks for; what it may bring is bounded in bytes too.
	replayBatch = 1000
	// replayExpires ends a pull that brings less.
	replayExpires = 5 * time.Second
)

// Replay names the past events to read again. It needs no Setup.
type Replay struct {
	Stream, Prefix string
	Since          time.Time                      // when the stream stored the first of them
	Begin          func(n int, created time.Time) // how many there are, and when the stream was created; called first
}

// Replay calls handle for each event stored since a time, in their order and in the caller's goroutine, up to the last one
// that the stream held when it began. It leaves the daemons' consumer alone, and holds no more than one pull's events. It
// returns the first error: its own, ctx's cause, or that of handle.
func (b *Bus) Replay(ctx context.Context, r Replay, handle func(*Message) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read stream %s: %w", r.Stream, err)
		}
	}()
	var name string
	var left int
	var created time.Time
	err = b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, r.Stream)
		if err != nil {
			return err
		}
		since := r.Since.UTC()
		c, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
			FilterSubject: r.Prefix + ".>", DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
			AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Minute, MemoryStorage: true, Replicas: 1,
		})
		if err != nil {
			return err
		}
		name, left, created = c.CachedInfo().Name, int(c.CachedInfo().NumPending), s.CachedInfo().Created
		return nil
	})
	if err != nil {
		return err
	}
	defer func() {
		// It would go by itself, but a minute later.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiTimeout)
		defer cancel()
		_ = b.js().DeleteConsumer(ctx, r.Stream, name)
	}()
	r.Begin(left, created)
	p, err := b.puller(r.Stream, name)
	if err != nil {
		return err
	}
	defer p.Close()
	var failed error
	for left > 0 && failed == nil {
		n, err := p.Pull(ctx, min(left, replayBatch), replayExpires, func(m *Message) {
			if failed == nil {
				failed = handle(m)
			}
		})
		left -= n
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case n == 0:
			// What was counted may have been purged, or may have grown too old, since.
			if left, err = b.pending(ctx, r.Stream, name, left); err != nil {
				return err
			}
		}
	}
	return failed
}

// pending asks how many messages a consumer still has to hand over, of so many at most.
func (b *Bus) pending(ctx context.Context, stream, consumer string, most int) (int, error) {
	left := 0
	err := b.api(ctx, func(ctx context.Context) error {
		c, err := b.js().Consumer(ctx, stream, consumer)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return ErrGone
		}
		if err != nil {
			return err
		}
		left = min(int(c.CachedInfo().NumPending), most)
		return nil
	})
	return left, err
}
