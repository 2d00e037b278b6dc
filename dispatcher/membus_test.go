package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
)

// memBus is a bus in memory, for what a real server cannot be made to do at will and for time under synctest. It hands
// messages out as JetStream does: to one puller at a time, until they are acknowledged.
type memBus struct {
	mu        sync.Mutex
	log       []string // what happened, in order
	seq       uint64
	queues    map[string]*memQueue // events, due, and a token for each lane
	schedules map[string]memSchedule
	outcomes  []bus.Msg
	ids       map[string]uint64 // Nats-Msg-Id of outcomes: sequence
	parkIDs   map[string]bool
	fail      func(what string) error // forces a failure; nil forces none
	max       int                     // MaxPayload
}

type memSchedule struct {
	due   time.Time
	seq   uint64
	data  []byte
	timer *time.Timer
}

type memQueue struct {
	msgs  []*memMessage
	added chan struct{}
}

type memMessage struct {
	b       *memBus
	queue   string
	m       bus.Message
	beats   int
	settled bool
}

func newMemBus() *memBus {
	return &memBus{
		queues: map[string]*memQueue{}, schedules: map[string]memSchedule{}, ids: map[string]uint64{}, parkIDs: map[string]bool{}, max: 1 << 20,
	}
}

func (b *memBus) engine() Bus {
	return Bus{
		Outcomes: b, Schedule: b, Waiting: b,
		Events: func() (Source, error) { return &memSource{b, "events"}, nil },
		Due:    func() (Source, error) { return &memSource{b, "due"}, nil },
		Lane:   func(token string) (Source, error) { return &memSource{b, "wait." + token}, nil },
		BusyLanes: func(context.Context) ([]string, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			var tokens []string
			for name, q := range b.queues {
				if token, ok := strings.CutPrefix(name, "wait."); ok && len(q.msgs) > 0 {
					tokens = append(tokens, token)
				}
			}
			return tokens, nil
		},
	}
}

func (b *memBus) queue(name string) *memQueue {
	q := b.queues[name]
	if q == nil {
		q = &memQueue{added: make(chan struct{})}
		b.queues[name] = q
	}
	return q
}

// add puts a message into a queue, with the lock held.
func (b *memBus) add(queue string, m *memMessage) {
	q := b.queue(queue)
	q.msgs = append(q.msgs, m)
	close(q.added)
	q.added = make(chan struct{})
}

func (b *memBus) note(format string, v ...any) { b.log = append(b.log, fmt.Sprintf(format, v...)) }

func (b *memBus) forced(what string) error {
	if b.fail == nil {
		return nil
	}
	return b.fail(what)
}

// event publishes an event.
func (b *memBus) event(typ, data string, header map[string][]string) *memMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	m := &memMessage{b: b, queue: "events", m: bus.Message{
		Subject: "events." + typ, Header: header, Data: []byte(data), Stream: "EVENTS", Consumer: "bellhop", Seq: b.seq, Time: time.Now(),
	}}
	b.add("events", m)
	return m
}

// history returns what happened so far, of the kinds given, in order.
func (b *memBus) history(kinds ...string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, line := range b.log {
		for _, k := range kinds {
			if strings.HasPrefix(line, k) {
				out = append(out, line)
			}
		}
	}
	return out
}

// records returns the outcomes published so far.
func (b *memBus) records() []delivery.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []delivery.Record
	for _, m := range b.outcomes {
		_, r, err := delivery.Decode(m.Data)
		if err != nil {
			panic(err)
		}
		if r == nil {
			r = &delivery.Record{}
		}
		out = append(out, *r)
	}
	return out
}

type memSource struct {
	b    *memBus
	name string
}

func (s *memSource) Close() {}

func (s *memSource) Pull(ctx context.Context, n int, expires time.Duration, handle func(*bus.Message)) (int, error) {
	timer := time.NewTimer(expires)
	defer timer.Stop()
	for got := 0; ; {
		s.b.mu.Lock()
		q := s.b.queue(s.name)
		var batch []*memMessage
		for len(q.msgs) > 0 && got+len(batch) < n {
			m := q.msgs[0]
			q.msgs = q.msgs[1:]
			m.m.Delivered++
			m.m.Pending = uint64(len(q.msgs))
			batch = append(batch, m)
		}
		added := q.added
		s.b.mu.Unlock()
		for _, m := range batch {
			copied := m.m
			copied.Replier = m
			handle(&copied)
		}
		if got += len(batch); got == n {
			return got, nil
		}
		select {
		case <-added:
		case <-timer.C:
			return got, nil
		case <-ctx.Done():
			return got, context.Cause(ctx)
		}
	}
}

func (m *memMessage) Ack(context.Context) error {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	if err := m.b.forced("ack"); err != nil {
		return err
	}
	m.settled = true
	m.b.note("ack %s %d", m.queue, m.m.Seq)
	return nil
}

func (m *memMessage) AckUnconfirmed() error { return m.Ack(context.Background()) }

func (m *memMessage) Nak(delay time.Duration) error {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	m.b.note("nak %s %d after %s", m.queue, m.m.Seq, delay)
	if delay <= 0 {
		m.b.add(m.queue, m)
		return nil
	}
	time.AfterFunc(delay, func() {
		m.b.mu.Lock()
		defer m.b.mu.Unlock()
		m.b.add(m.queue, m)
	})
	return nil
}

func (m *memMessage) InProgress() error {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	m.beats++
	return nil
}

func (b *memBus) MaxPayload() int { return b.max }

func (b *memBus) PublishAsync(m bus.Msg, done func(bus.Ack, error)) { done(b.publish(m)) }

func (b *memBus) publish(m bus.Msg) (bus.Ack, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.forced("publish"); err != nil {
		return bus.Ack{}, err
	}
	id := m.Header[bus.MsgID][0]
	if seq, ok := b.ids[id]; ok {
		b.note("duplicate %s", id)
		return bus.Ack{Seq: seq, Duplicate: true}, nil
	}
	b.outcomes = append(b.outcomes, m)
	b.ids[id] = uint64(len(b.outcomes))
	b.note("outcome %s", m.Subject)
	return bus.Ack{Seq: uint64(len(b.outcomes))}, nil
}

func (b *memBus) Outcome(_ context.Context, seq uint64) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq == 0 || seq > uint64(len(b.outcomes)) {
		return nil, nil
	}
	return b.outcomes[seq-1].Data, nil
}

func (b *memBus) Schedule(_ context.Context, r bus.Retry) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.forced("schedule"); err != nil {
		return 0, err
	}
	if old, ok := b.schedules[r.ID]; ok {
		if old.seq != r.Replaces {
			return 0, bus.ErrScheduled
		}
		old.timer.Stop()
	} else if r.Replaces != 0 {
		return 0, bus.ErrScheduled
	}
	b.note("schedule in %s", time.Until(r.Due))
	b.seq++
	b.schedules[r.ID] = memSchedule{due: r.Due, seq: b.seq, data: r.Data, timer: time.AfterFunc(time.Until(r.Due), func() { b.fire(r.ID) })}
	return b.seq, nil
}

func (b *memBus) fire(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.schedules[id]
	if !ok {
		return
	}
	delete(b.schedules, id)
	b.addJob("due", s.data)
}

func (b *memBus) addJob(queue string, data []byte) {
	b.seq++
	b.add(queue, &memMessage{b: b, queue: queue, m: bus.Message{
		Subject: queue, Data: data, Stream: "WEBHOOK_RETRIES", Consumer: queue, Seq: b.seq, Time: time.Now(),
	}})
}

func (b *memBus) Unschedule(_ context.Context, id string, seq uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note("unschedule")
	if s, ok := b.schedules[id]; ok && s.seq <= seq {
		s.timer.Stop()
		delete(b.schedules, id)
	}
	return nil
}

func (b *memBus) Scheduled(_ context.Context, id string) ([]byte, uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.schedules[id].data, b.schedules[id].seq, nil
}

func (b *memBus) Park(_ context.Context, token, _, key string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parkIDs[key] {
		return nil
	}
	b.parkIDs[key] = true
	b.note("park")
	b.addJob("wait."+token, data)
	return nil
}

func (b *memBus) OpenLane(context.Context, string) error { return nil }

func (b *memBus) CloseLane(_ context.Context, token string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue("wait."+token).msgs) == 0, nil
}

var errForced = errors.New("forced")
