package dispatcher

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"bellhop/dispatcher/bus"
)

// Holds makes known to every daemon that a lane is held back.
type Holds interface {
	HoldLane(ctx context.Context, h bus.LaneHold) error
}

// holdBack lets nothing begin in a lane before a time, as its receiver asked, here and on every other daemon.
func (d *Dispatcher) holdBack(lane string, until time.Time) {
	longer, held := d.pool.pause(lane, until)
	if !longer {
		return
	}
	name, hidden := d.names.of(lane)
	d.log.Info("endpoint asked for a pause", zap.String("lane", name), zap.Time("until", until))
	d.vacate(lane, until)
	if d.bus.Holds == nil || time.Until(until) < tellAfter {
		return
	}
	d.work.Add(1)
	go func() {
		defer d.work.Done()
		// Once is enough: a daemon that is not told asks the receiver itself, and gets the same answer.
		if err := d.bus.Holds.HoldLane(d.hard, bus.LaneHold{
			Lane: lane, Hidden: hidden, Until: until, Pause: held, By: "Retry-After, to " + d.o.Node,
		}); err != nil {
			d.metrics.BusErrors.WithLabelValues("hold").Inc()
			d.log.Warn("other daemons were not told of the pause", zap.String("lane", name), zap.Error(err))
		}
	}()
}

// tellAfter is the shortest pause that other daemons are told of.
const tellAfter = 500 * time.Millisecond

// vacate sends what had a place in a paused lane to the bus where the wait is long, so that the place is another's.
func (d *Dispatcher) vacate(lane string, until time.Time) {
	if time.Until(until) < giveBackAfter {
		return
	}
	for _, j := range d.pool.drain(lane) {
		go d.park(j)
	}
}

// Hold makes an operator's word known to every daemon: the lane is paused until it is resumed, or resumed.
func (d *Dispatcher) Hold(ctx context.Context, lane string, pause bool, by string) error {
	_, hidden := d.names.of(lane)
	h := bus.LaneHold{Lane: lane, Hidden: hidden, Pause: pause, By: by}
	if err := d.bus.Holds.HoldLane(ctx, h); err != nil {
		return err
	}
	d.Heed(h)
	return nil
}

// Heed takes the word of another daemon, or its own again, about a lane.
func (d *Dispatcher) Heed(h bus.LaneHold) {
	if h.Lane == "" {
		var known bool
		if h.Lane, known = d.names.whose(h); !known {
			return
		}
	}
	switch {
	case h.Pause:
		d.pool.hold(h.Lane, true)
		d.vacate(h.Lane, time.Now().Add(heldLook))
	case h.Until.IsZero():
		d.pool.hold(h.Lane, false)
	}
	if time.Now().Before(h.Until) {
		if longer, _ := d.pool.pause(h.Lane, h.Until); longer {
			d.vacate(h.Lane, h.Until)
		}
	}
}

// LaneState is what one lane is doing in this daemon.
type LaneState struct {
	Lane        string
	Name        string // of the lane, for people: a secret host by its secret's name
	Concurrency int
	InFlight    int
	Queued      int
	Backlog     bool      // something of it waits on the bus
	Paused      bool      // by an operator, until it is resumed
	PausedUntil time.Time // as its receiver asked; zero: not
	Failing     bool      // every attempt has failed for long: it gets probes alone
	Attempts    uint64    // made since the start
	Failures    uint64    // of those
}

// LaneName gives the name by which a lane may be shown.
func (d *Dispatcher) LaneName(lane string) string {
	name, _ := d.names.of(lane)
	return name
}

// LaneNamed finds the lane that is shown under a name because its own holds a secret.
func (d *Dispatcher) LaneNamed(name string) (lane string, ok bool) { return d.names.lane(name) }

// Lanes lists the lanes used since the start.
func (d *Dispatcher) Lanes() []LaneState {
	p := d.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]LaneState, 0, len(p.lanes))
	now := time.Now()
	for _, l := range p.lanes {
		if l.key == "" {
			continue
		}
		s := LaneState{
			Lane: l.key, Name: d.LaneName(l.key), Concurrency: l.concurrency, InFlight: l.inflight, Queued: l.queued(), Backlog: l.backlog, Paused: l.held,
			Failing: l.failing(now), Attempts: l.attempts, Failures: l.failures,
		}
		if now.Before(l.paused) {
			s.PausedUntil = l.paused
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b LaneState) int { return strings.Compare(a.Lane, b.Lane) })
	return list
}
