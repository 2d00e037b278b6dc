package dispatcher

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// ackTries is how often acknowledgements are tried before their messages are let go.
	ackTries = 8
	// ackTimeout bounds one wait for a confirmation.
	ackTimeout = 5 * time.Second
)

// acks acknowledges what is settled, consumer by consumer: all that came while the last confirmation was awaited goes together.
// A consumer takes acknowledgements in their order, so the confirmation of the last one is that of all.
type acks struct {
	d         *Dispatcher
	mu        sync.Mutex
	consumers map[string]*ackQueue
}

type ackQueue struct {
	waiting []*held
	spare   []*held
	busy    bool
}

func (a *acks) init(d *Dispatcher) {
	a.d, a.consumers = d, map[string]*ackQueue{}
}

func (a *acks) add(h *held) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := h.msg.Stream + " " + h.msg.Consumer
	q := a.consumers[key]
	if q == nil {
		q = &ackQueue{}
		a.consumers[key] = q
	}
	q.waiting = append(q.waiting, h)
	if !q.busy {
		q.busy = true
		go a.run(key, q)
	}
}

// run acknowledges until nothing waits.
func (a *acks) run(key string, q *ackQueue) {
	for {
		a.mu.Lock()
		batch := q.waiting
		if len(batch) == 0 {
			q.busy = false
			// Lanes' consumers come and go.
			delete(a.consumers, key)
			a.mu.Unlock()
			return
		}
		q.waiting = q.spare[:0]
		a.mu.Unlock()
		a.d.acknowledge(batch)
		a.d.drop(batch...)
		clear(batch)
		a.mu.Lock()
		q.spare = batch
		a.mu.Unlock()
	}
}

// acknowledge says that the messages of one consumer are done with until the bus has confirmed it. An acknowledgement that is
// lost costs nothing but a look: the delivery's outcome is on the bus.
func (d *Dispatcher) acknowledge(batch []*held) {
	for wait, n := 100*time.Millisecond, 1; ; wait, n = min(2*wait, 5*time.Second), n+1 {
		err := d.acknowledgeOnce(batch)
		if err == nil {
			if n > 2 {
				d.ready.set("ack", nil)
			}
			return
		}
		d.metrics.BusErrors.WithLabelValues("ack").Inc()
		if n == 2 {
			d.ready.set("ack", err)
			d.trouble()
		}
		if n == ackTries {
			// Their consumer or stream may be another by now, which knows nothing of them. What comes again is looked up.
			d.ready.set("ack", nil)
			return
		}
		d.log.Debug("acknowledgements not confirmed", zap.String("stream", batch[0].msg.Stream), zap.Int("messages", len(batch)), zap.Error(err))
		if !d.sleep(wait) {
			return
		}
	}
}

func (d *Dispatcher) acknowledgeOnce(batch []*held) error {
	last := len(batch) - 1
	for _, h := range batch[:last] {
		if err := h.msg.Replier.AckUnconfirmed(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(d.hard, ackTimeout)
	defer cancel()
	return batch[last].msg.Replier.Ack(ctx)
}
