package dispatcher

import (
	"context"
	"time"

	"go.uber.org/zap"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
)

const (
	// holdEarly is how early a retry may come to be held here until it is due; an earlier one goes back to the bus for the rest.
	holdEarly = time.Second
	// mendWithin is how old an outcome may be to be published again from the retry that follows it: within the stream's
	// deduplication, so that it is never recorded twice.
	mendWithin = 100 * time.Second
)

// pullDue pulls retries that have fallen due until ctx ends.
func (d *Dispatcher) pullDue(ctx context.Context) error {
	return d.pull(ctx, "retries", d.bus.Due, &d.dues, func(m *bus.Message) { d.takeJob(m, &d.dues, nil) })
}

// takeJob takes an attempt that waited on the bus: until it was due, or until its lane had room, in the place that
// was reserved for it.
func (d *Dispatcher) takeJob(m *bus.Message, g *gate, at *place) {
	h := d.hold(m, g)
	h.place = at
	if d.stopping.Load() {
		h.giveBack(0)
		d.part(h)
		return
	}
	dj, err := delivery.DecodeJob(m.Data)
	if err != nil {
		// Written by a newer Bellhop, or by somebody else: a daemon that knows it may take it.
		d.log.Error("unreadable retry, left on the bus", zap.String("subject", m.Subject), zap.Uint64("seq", m.Seq), zap.Error(err))
		h.giveBack(unreadableAfter)
		d.part(h)
		return
	}
	if early := time.Until(dj.Due); early > holdEarly {
		// The message decides, not the server: one without schedules hands retries over at once, and its clock may be ahead.
		h.giveBack(early)
		d.part(h)
		return
	}
	if d.recent.settled(dj.ID, dj.Run, dj.Attempt) {
		d.metrics.Repeated.Inc()
		d.part(h)
		return
	}
	if !d.claims.take(dj.ID) {
		h.giveBack(giveBackAfter)
		d.part(h)
		return
	}
	j := &job{Job: dj, owner: h, doubt: d.doubtful(m, dj.ID)}
	go d.begin(j)
}

// unreadableAfter delays what no daemon here can read.
const unreadableAfter = 30 * time.Second

// begin brings a job from the bus to its lane: not before it is due, not where the delivery has ended meanwhile, and by the
// rules in force.
func (d *Dispatcher) begin(j *job) {
	if j.Previous != nil && !d.mend(j) {
		return
	}
	if early := time.Until(j.Due); early > 0 && !d.waitDue(early) {
		d.abandon(j)
		return
	}
	if !d.current(j, d.Rules()) {
		return
	}
	j.lane = j.hook.URL.Lane
	if at := j.owner.place; at != nil {
		at.learn(j.lane)
	}
	if j.doubt {
		d.recover(j)
		return
	}
	d.enter(j)
}

// enter brings a job into its lane: into its reserved place, or where there is room.
func (d *Dispatcher) enter(j *job) {
	if j.owner.place == nil {
		d.submit(j)
		return
	}
	j.owner.place.leave()
	switch d.pool.submit(j, fromWait) {
	case accepted:
	case refused:
		d.abandon(j)
	case full:
		// Its endpoint has changed, and the new lane is full, or it shares its token with others.
		d.move(j)
	}
}

// waitDue waits until a job is due; false where the daemon stops before.
func (d *Dispatcher) waitDue(early time.Duration) bool {
	timer := time.NewTimer(early)
	defer timer.Stop()
	select {
	case <-timer.C:
		return !d.stopping.Load()
	case <-d.hard.Done():
		return false
	}
}

// mend publishes the outcome before a retry where a crash came between the two. It returns false where the delivery has ended
// already, and the job with it.
func (d *Dispatcher) mend(j *job) bool {
	if d.recent.settled(j.ID, j.Run, j.Attempt-1) {
		return true
	}
	env, rec, err := delivery.Decode(j.Previous)
	if err != nil || rec == nil || time.Since(env.Time.Time) > mendWithin {
		// Long past: whoever held the attempt before has settled it since.
		return true
	}
	return d.restate(j, rec, env)
}

// restate publishes an outcome as it was first written. It returns false, with the job ended, where another outcome of the
// same attempt stands and is final.
func (d *Dispatcher) restate(j *job, rec *delivery.Record, env delivery.Envelope) bool {
	rec.UserID = j.UserID
	msg, err := d.outcomeMessage(env.ID, env.Outcome(), rec)
	if err == nil {
		msg.Data = j.Previous
		var ack bus.Ack
		if ack, err = d.publishOutcome(&msg, nil); err == nil && ack.Duplicate {
			var data []byte
			err = d.retry("outcome", func(ctx context.Context) (err error) {
				data, err = d.bus.Outcomes.Outcome(ctx, ack.Seq)
				return err
			})
			if stands, _, derr := delivery.Decode(data); err == nil && derr == nil && stands.Outcome().Final() {
				d.recent.add(j.ID, rec.Run, rec.Attempt, true)
				d.claims.release(j.ID)
				d.part(j.owner)
				return false
			}
		}
	}
	if err != nil {
		d.abandon(j)
		return false
	}
	d.recent.add(j.ID, rec.Run, rec.Attempt, false)
	return true
}

// recover looks for what an earlier execution of the same attempt left before it died: where it had scheduled the next attempt
// but not published its outcome, the outcome is published from the schedule and the attempt is not made again.
func (d *Dispatcher) recover(j *job) {
	var data []byte
	err := d.retry("look up", func(ctx context.Context) (err error) {
		data, _, err = d.bus.Schedule.Scheduled(ctx, j.ID)
		return err
	})
	if err != nil {
		d.abandon(j)
		return
	}
	// What is found may be this very retry, on servers without schedules, or another run's; anything else but the next attempt
	// is a leftover that a final outcome is to take back.
	j.doubt = false
	if data != nil {
		next, err := delivery.DecodeJob(data)
		if err == nil && next.Run == j.Run && next.Attempt > j.Attempt && next.Previous != nil {
			if env, rec, err := delivery.Decode(next.Previous); err == nil && rec != nil {
				j.Previous = next.Previous
				if d.restate(j, rec, env) {
					d.metrics.Repeated.Inc()
					d.claims.release(j.ID)
					d.part(j.owner)
				}
				return
			}
		}
		j.doubt = err != nil || next.Run < j.Run || (next.Run == j.Run && next.Attempt != j.Attempt)
	}
	// Its outcome may have been recorded while it was looked up.
	if d.recent.settled(j.ID, j.Run, j.Attempt) {
		d.claims.release(j.ID)
		d.part(j.owner)
		return
	}
	d.enter(j)
}
