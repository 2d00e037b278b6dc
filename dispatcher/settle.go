package dispatcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/endpoint"
)

// end settles an attempt: its next attempt first, then its outcome, each confirmed, then its part of the message that it came
// from. It blocks until that is done or given up.
func (d *Dispatcher) end(j *job, resp endpoint.Response) {
	outcome, next := d.judge(j, resp)
	rec := d.record(j, resp, outcome, next)
	if err := d.settle(j, rec, outcome, next); err != nil {
		d.unsettled(j, err)
	}
	d.finish(j)
}

// finish lets go of a delivery that is settled, or given up.
func (d *Dispatcher) finish(j *job) {
	d.claims.release(j.ID)
	if j.settling {
		d.pool.settled()
	}
	d.part(j.owner)
}

// delivered settles an attempt that succeeded, as nearly all do, without a goroutine that waits for it.
func (d *Dispatcher) delivered(j *job, resp endpoint.Response) {
	rec := d.record(j, resp, delivery.Delivered, time.Time{})
	id := delivery.OutcomeID(j.ID, j.Run, j.Attempt)
	msg, err := d.outcomeMessage(id, delivery.Delivered, rec)
	if err != nil {
		go d.end(j, resp)
		return
	}
	asked := time.Now()
	d.doubts.add(id)
	d.bus.Outcomes.PublishAsync(msg, func(ack bus.Ack, err error) {
		if err == nil && !ack.Duplicate {
			d.doubts.drop(id)
			d.counted(delivery.Delivered, rec)
			d.recent.add(j.ID, j.Run, j.Attempt, true)
			d.finish(j)
			return
		}
		go func() {
			if err != nil {
				ack, err = d.publishAgain(&msg, asked, nil)
			}
			d.doubts.drop(id)
			if err == nil {
				err = d.confirmed(j, rec, delivery.Delivered, msg, ack, 0)
			}
			if err != nil {
				d.unsettled(j, err)
			}
			d.finish(j)
		}()
	})
}

// unsettled gives a delivery back whose settlement was given up.
func (d *Dispatcher) unsettled(j *job, err error) {
	d.log.Warn("delivery not settled; it stays on the bus", zap.String("delivery", j.ID), zap.Error(err))
	j.owner.giveBack(0)
}

// counted counts an outcome that is on the bus.
func (d *Dispatcher) counted(outcome delivery.Outcome, rec *delivery.Record) {
	d.metrics.byOutcome[outcome].Inc()
	if rec.Error != nil {
		d.metrics.Errors.WithLabelValues(string(rec.Error.Kind)).Inc()
	}
	if rec.Error == nil || rec.Error.Kind.Posted() {
		d.metrics.Calls.Inc()
	}
}

// judge says what became of an attempt, and when the next one comes.
func (d *Dispatcher) judge(j *job, resp endpoint.Response) (delivery.Outcome, time.Time) {
	switch {
	case resp.Err == nil:
		return delivery.Delivered, time.Time{}
	case !d.o.Policy.MayPass(resp.Err.Kind, resp.Status), j.Attempt >= d.maxAttempts(j):
		return delivery.Failed, time.Time{}
	}
	return delivery.Retrying, d.o.Policy.Next(resp.Started.Add(resp.Duration), j.Attempt, resp.RetryAfter)
}

func (d *Dispatcher) maxAttempts(j *job) int {
	if j.hook == nil {
		return max(j.MaxAttempts, j.Attempt)
	}
	return j.hook.Retries + 1
}

// record makes the outcome's data.
func (d *Dispatcher) record(j *job, resp endpoint.Response, outcome delivery.Outcome, next time.Time) *delivery.Record {
	r := &delivery.Record{
		DeliveryID: j.ID, EventID: j.EventID, EventType: j.EventType, EventSeq: j.EventSeq, Rule: j.Rule, Webhook: j.Webhook,
		RulesVersion: j.RulesVersion, Run: j.Run, Attempt: j.Attempt, MaxAttempts: d.maxAttempts(j),
		StartedAt: delivery.At(resp.Started), DurationMS: float64(resp.Duration.Microseconds()) / 1000,
		Status: resp.Status, Error: resp.Err, Endpoint: j.Endpoint, UserID: j.UserID,
	}
	if j.hook != nil {
		r.Endpoint = j.hook.Endpoint
	}
	if !next.IsZero() {
		at := delivery.At(next)
		r.NextAttemptAt = &at
	}
	if resp.Status != 0 && d.o.ResponseBody {
		truncated := resp.Truncated
		body := text(resp.Body)
		if j.hook != nil {
			// A receiver may send back what it was sent.
			body = j.hook.Redact(body, truncated)
		}
		r.Response = &delivery.Body{Body: body, Truncated: &truncated}
	}
	if outcome == delivery.Failed && d.o.RequestBody {
		r.Request = &delivery.Body{Body: string(j.Body)}
	}
	return r
}

// text makes a body fit for people: valid UTF-8, an incomplete last character left out.
func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	for cut := 1; cut < utf8.UTFMax && cut < len(b); cut++ {
		if utf8.Valid(b[:len(b)-cut]) && !utf8.FullRune(b[len(b)-cut:]) {
			return string(b[:len(b)-cut])
		}
	}
	// One sign for each byte that belongs to no character, and not for a run of them.
	return string([]rune(string(b)))
}

// settle confirms the next attempt and then the outcome. It returns an error only where the work was given up.
func (d *Dispatcher) settle(j *job, rec *delivery.Record, outcome delivery.Outcome, next time.Time) error {
	id := delivery.OutcomeID(j.ID, j.Run, j.Attempt)
	msg, err := d.outcomeMessage(id, outcome, rec)
	if err != nil {
		return err
	}
	var scheduled uint64 // by this execution
	if outcome == delivery.Retrying {
		follow := *j.Job
		follow.Attempt++
		follow.Due, follow.Cause, follow.Previous = next, rec.Error, msg.Data
		follow.Endpoint, follow.MaxAttempts = rec.Endpoint, rec.MaxAttempts
		data, err := delivery.EncodeJob(&follow)
		if err != nil {
			return err
		}
		if slack := 4 << 10; len(data)+slack > d.bus.Outcomes.MaxPayload() {
			// It cannot wait on the bus, so no other attempt can follow: say so instead of losing it without a word.
			rec.Error = &delivery.Error{Kind: rec.Error.Kind, Message: fmt.Sprintf("%s; no retry: its %d bytes exceed the bus's max_payload",
				rec.Error.Message, len(data))}
			outcome, rec.NextAttemptAt = delivery.Failed, nil
			if d.o.RequestBody {
				rec.Request = &delivery.Body{Body: string(j.Body)}
			}
			if msg, err = d.outcomeMessage(id, outcome, rec); err != nil {
				return err
			}
		} else if d.recent.settled(j.ID, j.Run, j.Attempt) {
			// Another daemon made the same attempt, and its outcome stands: its schedule must not be replaced by this one.
			return nil
		} else if scheduled, err = d.schedule(&follow, data); err != nil {
			return err
		}
	}
	ack, err := d.publishOutcome(&msg, func() (bus.Msg, error) {
		if rec.Request == nil || rec.Request.Body == "" {
			// There is nothing to leave out, and what is written once more would not be known for this execution's own.
			return msg, nil
		}
		return d.outcomeMessage(id, outcome, rec)
	})
	if err != nil {
		return err
	}
	return d.confirmed(j, rec, outcome, msg, ack, scheduled)
}

// confirmed takes the bus's word for an attempt's outcome: this execution's stands, or an earlier one's. scheduled is the sequence
// of the next attempt where this execution has scheduled it, else 0.
func (d *Dispatcher) confirmed(j *job, rec *delivery.Record, outcome delivery.Outcome, msg bus.Msg, ack bus.Ack, scheduled uint64) error {
	d.counted(outcome, rec)
	if ack.Duplicate {
		if mine, err := d.yield(j, ack.Seq, msg.Data, scheduled); err != nil || !mine {
			return err
		}
	}
	d.recent.add(j.ID, j.Run, j.Attempt, outcome.Final())
	if outcome.Final() && j.doubt {
		// The execution before this one may have left a schedule; this outcome is the first recorded, so it goes.
		return d.unschedule(j)
	}
	return nil
}

// yield lets an earlier execution's outcome stand: the delivery goes on from it, so what this execution has scheduled is taken
// back. It tells whether the outcome is this execution's own, of which only the confirmation was lost.
func (d *Dispatcher) yield(j *job, seq uint64, own []byte, scheduled uint64) (mine bool, err error) {
	var stands delivery.Outcome
	err = d.retry("outcome", func(ctx context.Context) error {
		data, err := d.bus.Outcomes.Outcome(ctx, seq)
		if err != nil || data == nil {
			return err
		}
		if mine = bytes.Equal(data, own); mine {
			return nil
		}
		env, _, err := delivery.Decode(data)
		stands = env.Outcome()
		return err
	})
	if err != nil || mine {
		return mine, err
	}
	d.metrics.Repeated.Inc()
	d.log.Info("an earlier outcome of this attempt stands", zap.String("delivery", j.ID), zap.Int("attempt", j.Attempt),
		zap.String("stands", string(stands)))
	final := stands != "" && stands.Final()
	d.recent.add(j.ID, j.Run, j.Attempt, final)
	switch {
	case final && (scheduled != 0 || j.doubt):
		return false, d.unschedule(j)
	case scheduled != 0:
		// The schedule that goes with the outcome that stands was not there any more: it has fired.
		return false, d.retry("unschedule", func(ctx context.Context) error {
			return d.bus.Schedule.Unschedule(ctx, j.ID, scheduled)
		})
	}
	return false, nil
}

// headerRoom is left for the headers of an outcome's message, in bytes.
const headerRoom = 1 << 10

// outcomeMessage makes the message of an outcome, which fits the bus.
func (d *Dispatcher) outcomeMessage(id string, outcome delivery.Outcome, rec *delivery.Record) (bus.Msg, error) {
	m := bus.Msg{
		Subject: d.o.ResultPrefix + "." + string(outcome) + "." + rec.EventType, Header: make(map[string][]string, 8),
	}
	// One array holds all values.
	values := make([]string, 0, 8)
	set := func(name, value string) {
		values = append(values, value)
		m.Header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	set(bus.MsgID, id)
	set(delivery.HeaderRule, rec.Rule)
	set(delivery.HeaderWebhook, rec.Webhook)
	set(delivery.HeaderEndpoint, rec.Endpoint)
	if id := delivery.HeaderText(rec.EventID); id != "" {
		set(delivery.HeaderEvent, id)
	}
	if id := delivery.HeaderText(rec.UserID); id != "" {
		set(delivery.HeaderUser, id)
	}
	if rec.Error == nil || rec.Error.Kind.Posted() {
		set(delivery.HeaderDuration, strconv.FormatFloat(rec.DurationMS, 'f', -1, 64))
	}
	if rec.Error != nil {
		set(delivery.HeaderKind, string(rec.Error.Kind))
	}
	for {
		data, err := delivery.Encode(outcome, id, d.o.Node, time.Now(), rec)
		if err != nil {
			return m, err
		}
		over := len(data) + headerRoom - d.bus.Outcomes.MaxPayload()
		if over <= 0 || rec.Request == nil || rec.Request.Body == "" {
			m.Data = data
			return m, nil
		}
		// The end of the request's body goes rather than the outcome.
		truncated := true
		keep := max(0, len(rec.Request.Body)-over-len(rec.Request.Body)/8)
		rec.Request = &delivery.Body{Body: rec.Request.Body[:keep], Truncated: &truncated}
	}
}

// schedule hands the next attempt to the bus until that has confirmed it. A schedule of the same attempt or a later one stands:
// this attempt was then made twice, here and by a daemon that took this one for dead, and the other one was first. It returns
// the sequence of what was scheduled, 0 where something stands.
func (d *Dispatcher) schedule(j *delivery.Job, data []byte) (seq uint64, err error) {
	r := bus.Retry{ID: j.ID, Key: delivery.OutcomeID(j.ID, j.Run, j.Attempt) + ".due", Due: j.Due, Data: data}
	err = d.retry("schedule", func(ctx context.Context) (err error) {
		for {
			seq, err = d.bus.Schedule.Schedule(ctx, r)
			if !errors.Is(err, bus.ErrScheduled) {
				return err
			}
			there, last, err := d.bus.Schedule.Scheduled(ctx, j.ID)
			if err != nil {
				return err
			}
			if there != nil {
				if other, err := delivery.DecodeJob(there); err == nil && !other.Before(j) {
					return nil
				}
			}
			r.Replaces = last
		}
	})
	return seq, err
}

// unschedule takes back what an execution of a run that has ended left scheduled.
func (d *Dispatcher) unschedule(j *job) error {
	return d.retry("unschedule", func(ctx context.Context) error {
		there, seq, err := d.bus.Schedule.Scheduled(ctx, j.ID)
		if err != nil || there == nil {
			return err
		}
		if other, err := delivery.DecodeJob(there); err == nil && other.Run > j.Run {
			return nil // sent again by hand meanwhile
		}
		return d.bus.Schedule.Unschedule(ctx, j.ID, seq)
	})
}

// retry does what the bus has to confirm until it has, for as long as it takes: what is held stays held. Only the end of a
// shutdown's grace ends it.
func (d *Dispatcher) retry(what string, do func(context.Context) error) error {
	for wait, n := 100*time.Millisecond, 1; ; wait, n = min(2*wait, 5*time.Second), n+1 {
		err := do(d.hard)
		if err == nil {
			// One that is confirmed says nothing of the others: a stream may take what another refuses.
			if n > 2 && d.unconfirmed.Add(-1) == 0 {
				d.ready.set("settle", nil)
				d.unwell.over(func() { d.log.Info("the bus confirms again", zap.String("what", what)) })
			}
			return nil
		}
		if d.hard.Err() != nil {
			return errors.Join(context.Cause(d.hard), err)
		}
		d.metrics.BusErrors.WithLabelValues(what).Inc()
		if n >= 2 {
			if n == 2 {
				d.unconfirmed.Add(1)
				d.trouble()
			}
			d.ready.set("settle", err)
			d.unwell.say(func() {
				d.log.Warn("the bus does not confirm, trying until it does", zap.String("what", what), zap.Int("held", d.held.len()), zap.Error(err))
			})
		}
		if !d.sleep(wait) {
			return errors.Join(context.Cause(d.hard), err)
		}
	}
}
