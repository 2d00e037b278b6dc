package dispatcher

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"bellhop/dispatcher/bus"
)

const (
	// heartbeatEvery is how often held messages are looked over; one that has been silent for heartbeatAfter gets its sign of
	// life: well within the bus's ack wait of 4 s.
	heartbeatEvery = 500 * time.Millisecond
	heartbeatAfter = 1200 * time.Millisecond
	// giveBackAfter delays what is given back for a reason that a moment may mend.
	giveBackAfter = time.Second
)

// held is one message that this daemon holds until each delivery of it is settled.
type held struct {
	msg     *bus.Message
	gate    *gate  // where its place is; nil for none
	place   *place // in a lane, for what waited on the bus; nil for none
	touched time.Time
	pending atomic.Int32
	next    *held // in the set
	prev    *held
	back    atomic.Int64 // give it back instead, after this many nanoseconds; -1: at once
}

// place is a place in a lane that was reserved before a message was pulled for it.
type place struct {
	pool  *pool
	lane  string
	token string            // under which the message waited
	learn func(lane string) // told which lane the message turned out to be for
	once  sync.Once
}

// leave gives the place back: the job is in the lane's queue now, or needs none.
func (p *place) leave() { p.once.Do(func() { p.pool.unreserve(p.lane, 1) }) }

// heldSet is all that this daemon holds: a ring in the order in which each was last told of, the longest silent first.
type heldSet struct {
	mu   sync.Mutex
	ring held // its own next and prev are the ends
	n    int
}

func (s *heldSet) init() { s.ring.next, s.ring.prev = &s.ring, &s.ring }

func (s *heldSet) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// push puts one behind all others, with the lock held.
func (s *heldSet) push(h *held) {
	h.prev, h.next = s.ring.prev, &s.ring
	h.prev.next, s.ring.prev = h, h
	s.n++
}

// cut takes one out, with the lock held.
func (s *heldSet) cut(h *held) {
	h.prev.next, h.next.prev = h.next, h.prev
	h.prev, h.next = nil, nil
	s.n--
}

// silent returns those of which nothing was said since a time, and takes it that something is said now.
func (s *heldSet) silent(since, now time.Time, list []*held) []*held {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := s.ring.next; h != &s.ring && h.touched.Before(since); h = s.ring.next {
		s.cut(h)
		h.touched = now
		s.push(h)
		list = append(list, h)
	}
	return list
}

// hold takes charge of a message, with one part pending that the caller is to end by part.
func (d *Dispatcher) hold(m *bus.Message, g *gate) *held {
	h := &held{msg: m, gate: g, touched: time.Now()}
	h.pending.Store(1)
	d.held.mu.Lock()
	d.held.push(h)
	d.held.mu.Unlock()
	d.work.Add(1)
	d.metrics.Held.Inc()
	return h
}

// giveBack makes the message somebody's again once its parts have ended: after a delay, 0 for at once.
func (h *held) giveBack(after time.Duration) {
	n := int64(after)
	if n == 0 {
		n = -1
	}
	h.back.CompareAndSwap(0, n)
}

// part ends one pending part. After the last one the message is acknowledged, or given back where a part asked for that.
func (d *Dispatcher) part(h *held) {
	if h.pending.Add(-1) > 0 {
		return
	}
	if back := h.back.Load(); back != 0 {
		if err := h.msg.Replier.Nak(max(time.Duration(back), 0)); err != nil {
			d.log.Debug("a message could not be given back; the bus takes it back by itself", zap.Error(err))
		}
		d.drop(h)
		return
	}
	d.acks.add(h)
}

// drop ends the charge of messages.
func (d *Dispatcher) drop(all ...*held) {
	d.held.mu.Lock()
	for _, h := range all {
		d.held.cut(h)
	}
	d.held.mu.Unlock()
	for _, h := range all {
		if h.gate != nil {
			h.gate.release(1)
		}
		if h.place != nil {
			h.place.leave()
		}
		d.work.Done()
	}
	d.metrics.Held.Sub(float64(len(all)))
}

// sleep waits, and tells whether the work goes on: false once what is in flight has been given up.
func (d *Dispatcher) sleep(t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.hard.Done():
		return false
	}
}

// heartbeat tells the bus of what is held for long, until ctx ends.
func (d *Dispatcher) heartbeat(ctx context.Context) {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	var silent []*held
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return
		case now = <-tick.C:
		}
		silent = d.held.silent(now.Add(-heartbeatAfter), now, silent[:0])
		for _, h := range silent {
			if err := h.msg.Replier.InProgress(); err != nil {
				break // the bus is away: the next tick tries again
			}
		}
		clear(silent)
	}
}

// claims are the deliveries under way in this daemon: the same one may come twice, by a redelivery or a repeated event.
type claims struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

func (c *claims) take(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.ids[id]; taken {
		return false
	}
	c.ids[id] = struct{}{}
	return true
}

func (c *claims) release(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ids, id)
}
