package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// paced publishes events at a steady rate in an open loop: each has a time at which it is meant to go out, which it carries, and
// what goes out late goes out at once, so that a slow bus or publisher shows in the latency instead of thinning the load.
type paced struct {
	events int
	rate   float64 // a second
	event  func(i int, at time.Time) *nats.Msg
}

// run blocks until all are published and confirmed. It returns how late they went out.
func (p paced) run(ctx context.Context, js jetstream.JetStream) (spread, error) {
	every := time.Duration(float64(time.Second) / p.rate)
	late := make([]time.Duration, 0, p.events)
	futures := make([]jetstream.PubAckFuture, 0, p.events)
	began := time.Now().Add(5 * time.Millisecond)
	for i := range p.events {
		at := began.Add(time.Duration(i) * every)
		if wait := time.Until(at); wait > 0 {
			if err := pause(ctx, wait); err != nil {
				return spread{}, err
			}
		}
		late = append(late, max(time.Since(at), 0))
		f, err := js.PublishMsgAsync(p.event(i, at), jetstream.WithStallWait(stallAfter))
		if err != nil {
			return spread{}, fmt.Errorf("publish event %d: %w", i, err)
		}
		futures = append(futures, f)
	}
	for i, f := range futures {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			return spread{}, fmt.Errorf("publish event %d: %w", i, err)
		case <-time.After(time.Minute):
			return spread{}, fmt.Errorf("publish event %d: not confirmed within a minute", i)
		case <-ctx.Done():
			return spread{}, context.Cause(ctx)
		}
	}
	return spreadOf(late), nil
}

// latency measures the time from an event to its POST: the daemon's at three loads, and the relay's at the first of them.
func latency(ctx context.Context, b *bench, r *result) error {
	r.columns = []column{
		{"what", "", ""}, {"load", "load", ""}, {"rate", "events/s", "%.0f"}, {"events", "events", ""},
		{"p50", "p50", ""}, {"p99", "p99", ""}, {"p999", "p99.9", ""}, {"max", "max", ""}, {"stored99", "in the stream p99", ""}, {"late99", "publisher late p99", ""},
	}
	if _, err := b.usualSample(ctx); err != nil {
		return err
	}
	loads := []int{50, 10, 80}
	if b.o.quick {
		loads = loads[:1]
	}
	b.progress("latency: %v %% of %.0f/s", loads, b.rate)
	if err := b.daemonLatency(ctx, r, loads); err != nil {
		return err
	}
	r.note("an open loop: counted from the time at which an event was meant to go out, the publisher's own lateness included; the first second is left out")
	r.note("in the stream: the same until the server has stored the event, before which no daemon can know of it")
	if b.over() {
		r.note("relay: not measured, the time was over")
		return nil
	}
	if err := b.relayLatency(ctx, r, loads[0]); err != nil {
		return err
	}
	r.note("the relay takes each event, POSTs, publishes the same outcome and acknowledges, and does nothing else")
	return nil
}

// addLatency adds a row.
func addLatency(r *result, what string, load int, p paced, got steadied) {
	r.add(map[string]any{
		"what": what, "load": fmt.Sprintf("%d %%", load), "rate": p.rate, "events": p.events,
		"p50": got.arrived.Latency.P50, "p99": got.arrived.Latency.P99, "p999": got.arrived.Latency.P999, "max": got.arrived.Latency.Max,
		"stored99": got.stored.P99, "late99": got.late.P99,
	})
}

// warmUp is what goes before the events that are measured: a fresh program opens its connections and touches its memory for the first
// time, which is another question.
func (b *bench) warmUp() paced {
	const length = time.Second
	return paced{events: max(int(b.rate/2*length.Seconds()), 100), rate: b.rate / 2, event: usualAt(0)}
}

// load is that percentage of the throughput, in events that follow first others.
func (b *bench) load(percent, first int) paced {
	p := paced{rate: b.rate * float64(percent) / 100, event: usualAt(first)}
	p.events = max(int(p.rate*2*b.o.arm.Seconds()), 500)
	return p
}

func (b *bench) daemonLatency(ctx context.Context, r *result, loads []int) (err error) {
	rules, err := b.usualRules("latency", b.hook())
	if err != nil {
		return err
	}
	if err := b.reset(ctx); err != nil {
		return err
	}
	d, err := b.serve(ctx, daemonOptions{rules: rules})
	if err != nil {
		return err
	}
	defer func() { err = stopAfter(err, d) }()
	warm := b.warmUp()
	if _, err := b.steady(ctx, warm, 0, d); err != nil {
		return err
	}
	before := warm.events
	for _, load := range loads {
		if b.over() {
			r.note("%d %%: not measured, the time was over", load)
			continue
		}
		p := b.load(load, before)
		got, err := b.steady(ctx, p, before, d)
		if err != nil {
			return err
		}
		before += p.events
		addLatency(r, "daemon", load, p, got)
	}
	return nil
}

// relayLatency has the relay do what the daemon did last.
func (b *bench) relayLatency(ctx context.Context, r *result, load int) error {
	warm := b.warmUp()
	p := b.load(load, warm.events)
	order := relayOrder{Server: b.url, URL: b.hook(), Workers: 256, Events: warm.events + p.events, Request: b.sampled}
	if err := order.like(ctx, b); err != nil {
		return err
	}
	if err := b.reset(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var did relayDone
	ended := make(chan error, 1)
	go func() {
		err := b.send(ctx, "relay", order, &did)
		if err = errors.Join(err, did.err(order.Events)); err != nil {
			cancel(err)
		}
		ended <- err
	}()
	got := steadied{}
	_, err := b.steady(ctx, warm, 0)
	if err == nil {
		got, err = b.steady(ctx, p, warm.events)
	}
	if err != nil {
		cancel(err)
	}
	if failed := <-ended; failed != nil {
		return failed
	}
	if err == nil {
		addLatency(r, "relay", load, p, got)
	}
	return err
}

// usualAt are usual events with the times that they are meant to go out at, numbered from first on.
func usualAt(first int) func(int, time.Time) *nats.Msg {
	return func(i int, at time.Time) *nats.Msg { return eventOf(first+i, usualType, at, "SAFE-101", "") }
}

// steadied is what came of events at a steady rate.
type steadied struct {
	arrived
	stored spread // from when an event was meant to be published until it was in the stream
	late   spread // the publisher's part of it
}

// steady publishes, waits until all is delivered and settled, and reports. before is how many events came before these.
func (b *bench) steady(ctx context.Context, p paced, before int, d ...*daemon) (s steadied, err error) {
	if err := b.forget(0); err != nil {
		return s, err
	}
	if s.late, err = p.run(ctx, b.js); err != nil {
		return s, err
	}
	if err := b.await(ctx, int64(p.events), d...); err != nil {
		return s, err
	}
	if s.arrived, err = b.report(p.events, 0, 0); err != nil {
		return s, err
	}
	if _, err := b.settled(ctx, before+p.events); err != nil {
		return s, err
	}
	s.stored, err = b.stored(ctx, before, p.events)
	return s, err
}

// stored reads n events after the first ones again, and compares the time that each carries with that at which it was stored.
func (b *bench) stored(ctx context.Context, before, n int) (spread, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	c, err := b.js.OrderedConsumer(ctx, eventsStream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: uint64(before) + 1,
	})
	if err != nil {
		return spread{}, fmt.Errorf("read events again: %w", err)
	}
	messages, err := c.Messages()
	if err != nil {
		return spread{}, fmt.Errorf("read events again: %w", err)
	}
	defer messages.Stop()
	took := make([]time.Duration, 0, n)
	for range n {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return spread{}, fmt.Errorf("read events again, after %d of %d: %w", len(took), n, err)
		}
		about, err := m.Metadata()
		if err != nil {
			return spread{}, fmt.Errorf("read events again: %w", err)
		}
		sent, err := strconv.ParseInt(string(sentOf(m.Data())), 10, 64)
		if err != nil {
			return spread{}, fmt.Errorf("event %d carries no time: %w", about.Sequence.Stream, err)
		}
		took = append(took, about.Timestamp.Sub(time.Unix(0, sent)))
	}
	return spreadOf(took), nil
}
