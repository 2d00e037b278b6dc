package dispatcher

import (
	"context"
	"sync"
	"time"

	"bellhop/dispatcher/bus"
)

// knownFor is for how long the bus is sure to know an outcome that it has confirmed to nobody: within the deduplication window
// of the stream, with a margin.
const knownFor = 90 * time.Second

// doubts are the outcomes whose publishing has no answer yet: where that is lost, the bus may have recorded them all the same.
// Within the stream's deduplication window it says so itself; after a longer outage only those who follow the stream can tell.
type doubts struct {
	mu    sync.Mutex
	ids   map[string]uint64 // Nats-Msg-Id to the sequence of the record; 0: none seen
	again chan struct{}     // closed by the next look
}

func (x *doubts) init() {
	x.ids = map[string]uint64{}
	x.again = make(chan struct{})
}

func (x *doubts) add(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ids[id] = 0
}

func (x *doubts) drop(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.ids, id)
}

// recorded notes an outcome that the stream holds.
func (x *doubts) recorded(id string, seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if at, ok := x.ids[id]; ok && at == 0 {
		x.ids[id] = seq
	}
}

// looked notes that all that was recorded when a look began is known.
func (x *doubts) looked() {
	x.mu.Lock()
	defer x.mu.Unlock()
	close(x.again)
	x.again = make(chan struct{})
}

// resolve waits until the stream has been read past this moment, and returns where the outcome is recorded, 0 where it is not.
func (x *doubts) resolve(ctx context.Context, id string, ask func()) (uint64, error) {
	// A look that is under way may have begun before the doubt did: the one after it will not.
	for range 2 {
		x.mu.Lock()
		again := x.again
		x.mu.Unlock()
		ask()
		select {
		case <-again:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ids[id], nil
}

// publishOutcome publishes an outcome until the stream has confirmed it, once. remake makes it anew where the bus takes less by now
// than it did; nil where nothing of it can be left out.
func (d *Dispatcher) publishOutcome(m *bus.Msg, remake func() (bus.Msg, error)) (bus.Ack, error) {
	id := m.Header[bus.MsgID][0]
	// From before it is sent: its record may be read before it shows that the answer is lost.
	d.doubts.add(id)
	defer d.doubts.drop(id)
	return d.publishAgain(m, time.Time{}, remake)
}

// publishAgain publishes an outcome, whose answer was first missed at a time, until the stream has confirmed it: where the bus
// was away for so long that the stream no longer knows the id, what has been recorded meanwhile is looked at first.
func (d *Dispatcher) publishAgain(m *bus.Msg, first time.Time, remake func() (bus.Msg, error)) (bus.Ack, error) {
	id := m.Header[bus.MsgID][0]
	var ack bus.Ack
	err := d.retry("publish", func(ctx context.Context) (err error) {
		if !first.IsZero() && time.Since(first) > knownFor {
			seq, err := d.doubts.resolve(ctx, id, d.trouble)
			if err != nil {
				return err
			}
			if seq != 0 {
				ack = bus.Ack{Seq: seq, Duplicate: true}
				return nil
			}
		}
		if remake != nil && len(m.Data)+headerRoom > d.bus.Outcomes.MaxPayload() {
			if *m, err = remake(); err != nil {
				return err
			}
		}
		asked := time.Now()
		if ack, err = d.publish(ctx, *m); err != nil && first.IsZero() {
			first = asked
		}
		return err
	})
	return ack, err
}

// publish publishes a message and waits until its stream has confirmed it.
func (d *Dispatcher) publish(ctx context.Context, m bus.Msg) (bus.Ack, error) {
	type answer struct {
		ack bus.Ack
		err error
	}
	answered := make(chan answer, 1)
	d.bus.Outcomes.PublishAsync(m, func(ack bus.Ack, err error) { answered <- answer{ack, err} })
	select {
	case a := <-answered:
		return a.ack, a.err
	case <-ctx.Done():
		return bus.Ack{}, context.Cause(ctx)
	}
}
