package main

import (
	"context"
	"fmt"
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

// warmUp is for how long a daemon has traffic before it is measured.
const warmUp = time.Second

// latency measures the time from an event to its POST at three loads.
func latency(ctx context.Context, b *bench, r *result) (err error) {
	r.columns = []column{
		{"load", "load", ""}, {"rate", "events/s", "%.0f"}, {"events", "events", ""}, {"p50", "p50", ""}, {"p99", "p99", ""}, {"p999", "p99.9", ""}, {"max", "max", ""},
		{"late99", "publisher late p99", ""},
	}
	if _, err := b.usualSample(ctx); err != nil {
		return err
	}
	loads := []int{50, 10, 80}
	if b.o.quick {
		loads = []int{50}
	}
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
	b.progress("latency: %v %% of %.0f/s", loads, b.rate)
	// A fresh daemon opens its connections and touches its memory for the first time: that is another question.
	settled := 0
	warm := paced{events: max(int(b.rate/2*warmUp.Seconds()), 100), rate: b.rate / 2, event: usualAt(settled)}
	if _, _, err := b.steady(ctx, d, warm, &settled); err != nil {
		return err
	}
	for _, load := range loads {
		if b.over() {
			r.note("%d %%: not measured, the time was over", load)
			continue
		}
		p := paced{rate: b.rate * float64(load) / 100, event: usualAt(settled)}
		p.events = max(int(p.rate*2*b.o.arm.Seconds()), 500)
		got, late, err := b.steady(ctx, d, p, &settled)
		if err != nil {
			return err
		}
		r.add(map[string]any{
			"load": fmt.Sprintf("%d %%", load), "rate": p.rate, "events": p.events, "p50": got.Latency.P50, "p99": got.Latency.P99, "p999": got.Latency.P999,
			"max": got.Latency.Max, "late99": late.P99,
		})
	}
	r.note("an open loop: counted from the time at which an event was meant to go out, the publisher's own lateness included; the daemon's first second is left out")
	return nil
}

// usualAt are usual events with the times that they are meant to go out at, numbered from first on.
func usualAt(first int) func(int, time.Time) *nats.Msg {
	return func(i int, at time.Time) *nats.Msg { return eventOf(first+i, usualType, at, "SAFE-101", "") }
}

// steady publishes, waits until all is delivered and settled, and reports. settled counts the outcomes so far.
func (b *bench) steady(ctx context.Context, d *daemon, p paced, settled *int) (arrived, spread, error) {
	if err := b.forget(0); err != nil {
		return arrived{}, spread{}, err
	}
	late, err := p.run(ctx, b.js)
	if err != nil {
		return arrived{}, late, err
	}
	if err := b.await(ctx, int64(p.events), d); err != nil {
		return arrived{}, late, err
	}
	a, err := b.report(p.events, 0, 0)
	if err != nil {
		return a, late, err
	}
	*settled += p.events
	_, err = b.settled(ctx, *settled)
	return a, late, err
}
