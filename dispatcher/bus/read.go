package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Stored is one message of a stream, read by its place.
type Stored struct {
	Seq     uint64
	Time    time.Time
	Subject string
	Header  map[string][]string
	Data    []byte
}

// Attach names the streams to read, without a look at them, where Setup is not to be called: by those that change nothing.
func (b *Bus) Attach(ctx context.Context, t Topology) error {
	b.once.Do(func() { b.top = t })
	return b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, t.Retries)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		if err == nil {
			b.scheduled.Store(s.CachedInfo().Config.AllowMsgSchedules)
		}
		return err
	})
}

// readAtOnce is how many messages are asked for at a time.
const readAtOnce = 16

// ReadOutcomes reads outcomes by their sequences. What is no longer there is left out; the order is that of seqs.
func (b *Bus) ReadOutcomes(ctx context.Context, seqs []uint64) ([]Stored, error) {
	return b.read(ctx, b.top.Results.Stream, seqs)
}

// Recorded reads a stored outcome's place, headers and subject as Follow does.
func (b *Bus) Recorded(m *Stored) Recorded {
	r := Recorded{Seq: m.Seq, Time: m.Time, Header: m.Header}
	if ids := m.Header[MsgID]; len(ids) > 0 {
		r.MsgID = ids[0]
	}
	r.Outcome, r.Type, _ = strings.Cut(strings.TrimPrefix(m.Subject, b.top.Results.Prefix+"."), ".")
	return r
}

// ReadEvent reads one event by its sequence; nil where it is no longer there.
func (b *Bus) ReadEvent(ctx context.Context, seq uint64) (*Stored, error) {
	list, err := b.read(ctx, b.top.Events.Stream, []uint64{seq})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// EventType is the event type of an event's subject.
func (b *Bus) EventType(subject string) string {
	return strings.TrimPrefix(subject, b.top.Events.Prefix+".")
}

// RecentEvents reads the newest events, newest first, of one type where it is given. It looks at a bounded number of places.
func (b *Bus) RecentEvents(ctx context.Context, eventType string, n int) ([]Stored, error) {
	const look = 2000
	var s jetstream.Stream
	if err := b.api(ctx, func(ctx context.Context) (err error) {
		s, err = b.js().Stream(ctx, b.top.Events.Stream)
		return err
	}); err != nil {
		return nil, fmt.Errorf("stream %s: %w", b.top.Events.Stream, err)
	}
	state := s.CachedInfo().State
	var list []Stored
	if eventType != "" {
		var last *jetstream.RawStreamMsg
		err := b.api(ctx, func(ctx context.Context) (err error) {
			last, err = s.GetLastMsgForSubject(ctx, b.top.Events.Prefix+"."+eventType)
			return err
		})
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("last event of type %s: %w", eventType, err)
		}
		state.LastSeq = last.Sequence
	}
	looked := 0
	for at := state.LastSeq; at >= state.FirstSeq && at > 0 && len(list) < n && looked < look; {
		var seqs []uint64
		for ; at >= state.FirstSeq && at > 0 && len(seqs) < max(readAtOnce, min(n, 100)); at-- {
			seqs = append(seqs, at)
		}
		looked += len(seqs)
		got, err := b.readFrom(ctx, s, seqs)
		if err != nil {
			return nil, err
		}
		for _, m := range got {
			if len(list) < n && strings.HasPrefix(m.Subject, b.top.Events.Prefix+".") && (eventType == "" || b.EventType(m.Subject) == eventType) {
				list = append(list, m)
			}
		}
	}
	return list, nil
}

func (b *Bus) read(ctx context.Context, stream string, seqs []uint64) ([]Stored, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	var s jetstream.Stream
	if err := b.api(ctx, func(ctx context.Context) (err error) {
		s, err = b.js().Stream(ctx, stream)
		return err
	}); err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	return b.readFrom(ctx, s, seqs)
}

// readFrom reads several messages at a time.
func (b *Bus) readFrom(ctx context.Context, s jetstream.Stream, seqs []uint64) ([]Stored, error) {
	found := make([]*Stored, len(seqs))
	errs := make([]error, len(seqs))
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(readAtOnce, len(seqs)) {
		wg.Go(func() {
			for i := range next {
				errs[i] = b.api(ctx, func(ctx context.Context) error {
					m, err := s.GetMsg(ctx, seqs[i])
					if errors.Is(err, jetstream.ErrMsgNotFound) {
						return nil
					}
					if err != nil {
						return fmt.Errorf("message %d of %s: %w", seqs[i], s.CachedInfo().Config.Name, err)
					}
					found[i] = &Stored{Seq: m.Sequence, Time: m.Time.UTC(), Subject: m.Subject, Header: m.Header, Data: m.Data}
					return nil
				})
			}
		})
	}
	for i := range seqs {
		next <- i
	}
	close(next)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	list := make([]Stored, 0, len(found))
	for _, m := range found {
		if m != nil {
			list = append(list, *m)
		}
	}
	return list, nil
}
