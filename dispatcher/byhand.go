package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/event"
)

// ByHand is what operators do to single deliveries on the bus.
type ByHand interface {
	// Enqueue hands over an attempt that is due at once; of two with the same key within two minutes one is kept. It tells whether
	// it was the first.
	Enqueue(ctx context.Context, id, key string, data []byte) (bool, error)
	// PendingOf reads the attempts to come of one delivery.
	PendingOf(ctx context.Context, id string) ([]bus.PendingJob, error)
	// Withdraw takes what came to the bus of one delivery up to a sequence off it.
	Withdraw(ctx context.Context, id string, upTo uint64) error
}

// Errors of what is asked by hand.
var (
	ErrNothingPending = errors.New("nothing is scheduled or waiting")
	ErrAlreadyMade    = errors.New("the attempt was made meanwhile, and its outcome stands")
	ErrNotInForce     = errors.New("its rule or webhook is not in force")
	ErrOtherEvent     = errors.New("the event at its place in the stream is another one")
)

// Again sends a delivery that has failed again, as the run after the failed one, with the body given. The caller has made sure
// that the outcome is the delivery's last and that nothing of it is pending. It tells the run.
func (d *Dispatcher) Again(ctx context.Context, failed *delivery.Record, userID string, body []byte) (int, error) {
	rules := d.Rules()
	hook := rules.Set.Find(failed.Rule, failed.Webhook)
	if hook == nil {
		return 0, fmt.Errorf("%s/%s: %w", failed.Rule, failed.Webhook, ErrNotInForce)
	}
	j := &delivery.Job{
		ID: failed.DeliveryID, EventID: failed.EventID, EventType: failed.EventType, EventSeq: failed.EventSeq,
		Rule: failed.Rule, Webhook: failed.Webhook, RulesVersion: rules.Set.Version, RulesSince: rules.Since,
		Endpoint: hook.Endpoint, MaxAttempts: hook.Retries + 1, Run: failed.Run + 1, Attempt: 1, Cause: failed.Error, UserID: userID, Body: body,
	}
	data, err := delivery.EncodeJob(j)
	if err != nil {
		return 0, err
	}
	if len(data)+1<<10 > d.bus.Outcomes.MaxPayload() {
		return 0, fmt.Errorf("its %d bytes exceed the bus's max_payload", len(data))
	}
	// Whoever asks a second time, here or elsewhere, asks for the same run.
	_, err = d.bus.ByHand.Enqueue(ctx, j.ID, delivery.OutcomeID(j.ID, j.Run, j.Attempt)+".again", data)
	return j.Run, err
}

// Render makes a failed delivery's body from its event, by the rules in force.
func (d *Dispatcher) Render(failed *delivery.Record, e *event.Event) ([]byte, error) {
	hook := d.Rules().Set.Find(failed.Rule, failed.Webhook)
	switch {
	case hook == nil:
		return nil, fmt.Errorf("%s/%s: %w", failed.Rule, failed.Webhook, ErrNotInForce)
	case delivery.ID(e.Identity, failed.Rule, failed.Webhook) != failed.DeliveryID:
		return nil, ErrOtherEvent
	}
	body, err := hook.Render(nil, e)
	if err != nil {
		return nil, fmt.Errorf("render %s/%s: %w", failed.Rule, failed.Webhook, err)
	}
	return body, nil
}

// Event reads a stored event as the engine does when it takes one.
func (d *Dispatcher) Event(m *bus.Stored, eventType string) (*event.Event, error) {
	return event.Decode(event.Message{
		Stream: d.o.EventStream, Created: *d.created.Load(), Seq: m.Seq, Time: m.Time, Subject: m.Subject, Type: eventType,
		Header: m.Header, Data: m.Data,
	}, d.o.MaxEvent)
}

// Cancel calls off a delivery's next attempt: the delivery ends as failed, of kind cancelled, in place of that attempt. Where the
// attempt has an outcome already, that stands, and the error is ErrAlreadyMade. An attempt that is under way somewhere may still
// arrive at its receiver; what it comes to is not recorded. It returns the outcome and its sequence.
func (d *Dispatcher) Cancel(ctx context.Context, id, why string) (*delivery.Record, uint64, error) {
	pending, err := d.bus.ByHand.PendingOf(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	var next *delivery.Job
	var upTo uint64
	for _, p := range pending {
		j, err := delivery.DecodeJob(p.Data)
		if err != nil {
			return nil, 0, err
		}
		upTo = max(upTo, p.Seq)
		if next == nil || cmp.Or(cmp.Compare(j.Run, next.Run), cmp.Compare(j.Attempt, next.Attempt)) > 0 {
			next = j
		}
	}
	if next == nil {
		return nil, 0, ErrNothingPending
	}
	if err := d.unveil(ctx, next); err != nil {
		return nil, 0, err
	}
	rec := &delivery.Record{
		DeliveryID: next.ID, EventID: next.EventID, EventType: next.EventType, EventSeq: next.EventSeq, Rule: next.Rule, Webhook: next.Webhook,
		RulesVersion: next.RulesVersion, Endpoint: next.Endpoint, Run: next.Run, Attempt: next.Attempt,
		MaxAttempts: max(next.MaxAttempts, next.Attempt), StartedAt: delivery.At(time.Now()),
		Error: &delivery.Error{Kind: delivery.KindCancelled, Message: why}, UserID: next.UserID,
	}
	if d.o.RequestBody {
		rec.Request = &delivery.Body{Body: string(next.Body)}
	}
	msg, err := d.outcomeMessage(delivery.OutcomeID(next.ID, next.Run, next.Attempt), delivery.Failed, rec)
	if err != nil {
		return nil, 0, err
	}
	// Recorded before it is taken away: after a crash in between, the attempt finds its outcome and is not made.
	ack, err := d.publish(ctx, msg)
	if err != nil {
		return nil, 0, err
	}
	if ack.Duplicate {
		// It may be this very word, of which the confirmation was lost when it was said first.
		data, err := d.bus.Outcomes.Outcome(ctx, ack.Seq)
		if err != nil {
			return nil, 0, err
		}
		_, stands, err := delivery.Decode(data)
		if err != nil || stands == nil || stands.Error == nil || stands.Error.Kind != delivery.KindCancelled {
			return nil, 0, ErrAlreadyMade
		}
		rec = stands
	} else {
		d.counted(delivery.Failed, rec)
	}
	d.recent.add(next.ID, next.Run, next.Attempt, true)
	if err := d.bus.ByHand.Withdraw(ctx, id, upTo); err != nil {
		// Its outcome is known to all for a while, but it may be due in an hour: it has to go.
		d.log.Warn("a cancelled attempt is still on the bus, trying to take it off", zap.String("delivery", id), zap.Error(err))
		d.work.Add(1)
		go func() {
			defer d.work.Done()
			_ = d.retry("unschedule", func(ctx context.Context) error { return d.bus.ByHand.Withdraw(ctx, id, upTo) })
		}()
	}
	return rec, ack.Seq, nil
}

// unveil publishes the outcome before a pending attempt where a crash came between the two.
func (d *Dispatcher) unveil(ctx context.Context, j *delivery.Job) error {
	if j.Previous == nil || j.Attempt < 2 || d.recent.settled(j.ID, j.Run, j.Attempt-1) {
		return nil
	}
	env, rec, err := delivery.Decode(j.Previous)
	if err != nil || rec == nil || time.Since(env.Time.Time) > mendWithin {
		return nil // long past: it was settled since
	}
	rec.UserID = j.UserID
	msg, err := d.outcomeMessage(env.ID, env.Outcome(), rec)
	if err != nil {
		return err
	}
	msg.Data = j.Previous
	ack, err := d.publish(ctx, msg)
	if err != nil || !ack.Duplicate {
		return err
	}
	data, err := d.bus.Outcomes.Outcome(ctx, ack.Seq)
	if err != nil || data == nil {
		return err
	}
	if stands, _, err := delivery.Decode(data); err == nil && stands.Outcome().Final() {
		return ErrAlreadyMade
	}
	return nil
}
