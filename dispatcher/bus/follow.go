package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Recorded is one outcome on the bus, without its body.
type Recorded struct {
	Seq     uint64
	Time    time.Time
	MsgID   string
	Outcome string // the subject's token behind the prefix
	Type    string // the event type
	Header  map[string][]string
}

// ResultsState describes the outcomes' stream.
type ResultsState struct {
	Stream   string
	Created  time.Time
	First    uint64 // sequences; First > Last where it is empty
	Last     uint64
	FirstAt  time.Time // zero where it is empty
	Messages uint64
	MaxAge   time.Duration // 0: for ever
}

// Results asks for the state of the outcomes' stream.
func (b *Bus) Results(ctx context.Context) (ResultsState, error) {
	var r ResultsState
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Results.Stream)
		if err != nil {
			return err
		}
		info := s.CachedInfo()
		r = ResultsState{
			Stream: info.Config.Name, Created: info.Created, First: info.State.FirstSeq, Last: info.State.LastSeq,
			FirstAt: info.State.FirstTime, Messages: info.State.Msgs, MaxAge: info.Config.MaxAge,
		}
		return nil
	})
	if err != nil {
		return r, fmt.Errorf("stream %s: %w", b.top.Results.Stream, err)
	}
	return r, nil
}

// EventsCreated is when the events' stream was created, which is part of a plain event's identity.
func (b *Bus) EventsCreated(ctx context.Context) (time.Time, error) {
	var created time.Time
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Events.Stream)
		if err == nil {
			created = s.CachedInfo().Created
		}
		return err
	})
	if err != nil {
		return created, fmt.Errorf("stream %s: %w", b.top.Events.Stream, err)
	}
	return created, nil
}

// Outcome fetches one recorded outcome's message by its sequence; nil where it is no longer there.
func (b *Bus) Outcome(ctx context.Context, seq uint64) ([]byte, error) {
	var data []byte
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Results.Stream)
		if err != nil {
			return err
		}
		m, err := s.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err == nil {
			data = m.Data
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("outcome %d: %w", seq, err)
	}
	return data, nil
}

// From says where Follow starts: at a sequence, else at a time.
type From struct {
	Seq     uint64 // 0: at Time
	Time    time.Time
	Created time.Time // of the stream that is meant; zero: whichever is there
}

// ErrReplaced says that the outcomes' stream is another one by now, in which sequences began again.
var ErrReplaced = errors.New("the stream was made anew")

const (
	// followBatch is how many outcomes one pull of a follower asks for.
	followBatch = 2000
	// followExpires is how long such a pull stays open.
	followExpires = 5 * time.Second
	// followIdle is how long the server keeps the consumer of a follower that has gone.
	followIdle = time.Minute
	followWait = 250 * time.Millisecond
)

// Follow calls handle for each outcome in order, from where it is told on, in one goroutine, without the outcomes' bodies.
// It goes on through reconnects and leader changes and returns only when ctx ends, or the stream is not there or another one
// (ErrReplaced).
func (b *Bus) Follow(ctx context.Context, from From, handle func(Recorded)) error {
	for {
		err := b.followOn(ctx, &from, handle)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && (!Passing(err) || errors.Is(err, jetstream.ErrStreamNotFound)) {
			return fmt.Errorf("follow %s: %w", b.top.Results.Stream, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(followWait):
		}
	}
}

// followOn follows by one consumer, until that is lost or has passed something over, and moves from on.
//
// The consumer is the server's to forget: it acknowledges nothing and keeps nothing on disk. What gets lost on the way shows
// as a gap in its count.
func (b *Bus) followOn(ctx context.Context, from *From, handle func(Recorded)) error {
	cfg := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, HeadersOnly: true, MemoryStorage: true, Replicas: 1, InactiveThreshold: followIdle,
	}
	if from.Seq > 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from.Seq
	} else {
		at := from.Time.UTC()
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &at
	}
	var name string
	err := b.api(ctx, func(ctx context.Context) error {
		c, err := b.js().CreateConsumer(ctx, b.top.Results.Stream, cfg)
		if err == nil {
			name = c.CachedInfo().Name
		}
		return err
	})
	if err != nil {
		return err
	}
	// Asked once the consumer is there, which goes with its stream.
	if state, err := b.Results(ctx); err != nil {
		return err
	} else if !from.Created.IsZero() && !state.Created.Equal(from.Created) {
		return ErrReplaced
	}
	p, err := b.puller(b.top.Results.Stream, name)
	if err != nil {
		return err
	}
	p.careless = true
	defer func() {
		p.Close()
		// A courtesy: it would go by itself.
		_ = b.nc().Publish("$JS.API.CONSUMER.DELETE."+b.top.Results.Stream+"."+name, nil)
	}()
	var order uint64
	gap := false
	for !gap {
		_, err := p.Pull(ctx, followBatch, followExpires, func(m *Message) {
			if gap = gap || m.Order != order+1; gap || ctx.Err() != nil {
				return
			}
			order, from.Seq = m.Order, m.Seq+1
			handle(b.recorded(m))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// recorded reads an outcome's message, without its body.
func (b *Bus) recorded(m *Message) Recorded {
	r := Recorded{Seq: m.Seq, Time: m.Time, Header: m.Header}
	if ids := m.Header[MsgID]; len(ids) > 0 {
		r.MsgID = ids[0]
	}
	r.Outcome, r.Type, _ = strings.Cut(strings.TrimPrefix(m.Subject, b.top.Results.Prefix+"."), ".")
	return r
}

// FirstSince returns the sequence of the first outcome stored at or after a time; 0 where there is none.
func (b *Bus) FirstSince(ctx context.Context, at time.Time) (uint64, error) {
	var seq uint64
	err := b.api(ctx, func(ctx context.Context) error {
		at = at.UTC()
		c, err := b.js().CreateConsumer(ctx, b.top.Results.Stream, jetstream.ConsumerConfig{
			AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &at,
			HeadersOnly: true, InactiveThreshold: 10 * time.Second, MemoryStorage: true, Replicas: 1,
		})
		if err != nil {
			return err
		}
		batch, err := c.FetchNoWait(1)
		if err != nil {
			return err
		}
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			seq = meta.Sequence.Stream
		}
		return batch.Error()
	})
	if err != nil {
		return 0, fmt.Errorf("recent outcomes: %w", err)
	}
	return seq, nil
}

// DeleteStream deletes a stream with all that it holds.
func (b *Bus) DeleteStream(ctx context.Context, name string) error {
	if err := b.api(ctx, func(ctx context.Context) error { return b.js().DeleteStream(ctx, name) }); err != nil {
		return fmt.Errorf("delete stream %s: %w", name, err)
	}
	return nil
}
