package bus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// progress is how far the events' consumer was when it was last looked at. A consumer that somebody deletes is made anew from
// there, not from the stream's end: what comes a second time is known by its outcome.
type progress struct {
	mu      sync.Mutex
	created time.Time // of the stream; zero: never looked
	floor   uint64    // all events up to here were acknowledged
}

// start says where a consumer that has to be made is to begin.
func (p *progress) start(c *jetstream.ConsumerConfig, stream time.Time, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.created.IsZero() && !all:
		c.DeliverPolicy = jetstream.DeliverNewPolicy
	case p.created.Equal(stream) && p.floor > 0:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, p.floor+1
	default:
		// The operator asks for all, or the stream was made anew while its events were being consumed.
		c.DeliverPolicy = jetstream.DeliverAllPolicy
	}
}

func (p *progress) learn(stream time.Time, info *jetstream.ConsumerInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.created, p.floor = stream, info.AckFloor.Stream
}

// Backlog is what the events' consumer has before it.
type Backlog struct {
	Pending uint64 // events not handed to any daemon yet
	Held    int    // events that daemons hold, not acknowledged yet
}

// Backlog asks for the state of the events' consumer. It also notes how far that is, so call it every few seconds.
func (b *Bus) Backlog(ctx context.Context) (Backlog, error) {
	var backlog Backlog
	e := b.top.Events
	err := b.api(ctx, func(ctx context.Context) error {
		c, err := b.js().Consumer(ctx, e.Stream, e.Consumer)
		if err != nil {
			return err
		}
		info := c.CachedInfo()
		b.events.advance(info)
		backlog = Backlog{Pending: info.NumPending, Held: info.NumAckPending}
		return nil
	})
	if err != nil {
		return backlog, fmt.Errorf("consumer %s on stream %s: %w", e.Consumer, e.Stream, err)
	}
	return backlog, nil
}

// advance notes the progress of the consumer on the stream that is known. It never goes back: a lower floor is another
// consumer's, of which Setup will learn.
func (p *progress) advance(info *jetstream.ConsumerInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.floor = max(p.floor, info.AckFloor.Stream)
}
