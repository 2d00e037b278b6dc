package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
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
	r.note("in the stream: the same until the server begins to store the event, before which no daemon can know of it")
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

// stretch is one that is measured: events at a load, after others.
type stretch struct {
	load   int // percent
	paced  paced
	before int // how many events came before these
	got    steadied
}

// addLatency adds a row for each stretch. It reads their events again, which is best done once nothing is measured any more.
func (b *bench) addLatency(ctx context.Context, r *result, what string, all ...stretch) error {
	for _, x := range all {
		stored, err := b.stored(ctx, x.before, x.paced.events)
		if err != nil {
			return err
		}
		latency := x.got.Latency
		r.add(map[string]any{
			"what": what, "load": fmt.Sprintf("%d %%", x.load), "rate": x.paced.rate, "events": x.paced.events,
			"p50": latency.P50, "p99": latency.P99, "p999": latency.P999, "max": latency.Max, "stored99": stored.P99, "late99": x.got.late.P99,
		})
	}
	return nil
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
	var all []stretch
	before := warm.events
	for _, load := range loads {
		if b.over() {
			r.note("%d %%: not measured, the time was over", load)
			continue
		}
		x := stretch{load: load, paced: b.load(load, before), before: before}
		if x.got, err = b.steady(ctx, x.paced, before, d); err != nil {
			return err
		}
		before += x.paced.events
		all = append(all, x)
	}
	return b.addLatency(ctx, r, "daemon", all...)
}

// relayLatency has the relay do what the daemon did, at one load.
func (b *bench) relayLatency(ctx context.Context, r *result, load int) error {
	warm := b.warmUp()
	x := stretch{load: load, paced: b.load(load, warm.events), before: warm.events}
	order := relayOrder{Server: b.url, URL: b.hook(), Workers: 256, Events: warm.events + x.paced.events, Request: b.sampled}
	if err := order.like(ctx, b); err != nil {
		return err
	}
	if err := b.reset(ctx); err != nil {
		return err
	}
	// Whichever fails first ends the other, and is what is said.
	g, both := errgroup.WithContext(ctx)
	g.Go(func() error {
		var did relayDone
		if err := b.send(both, "relay", order, &did); err != nil {
			return err
		}
		return did.err(order.Events)
	})
	g.Go(func() (err error) {
		if _, err = b.steady(both, warm, 0); err == nil {
			x.got, err = b.steady(both, x.paced, x.before)
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return b.addLatency(ctx, r, "relay", x)
}

// usualAt are usual events with the times that they are meant to go out at, numbered from first on.
func usualAt(first int) func(int, time.Time) *nats.Msg {
	return func(i int, at time.Time) *nats.Msg { return eventOf(first+i, usualType, at, "SAFE-101", "") }
}

// steadied is what came of events at a steady rate.
type steadied struct {
	arrived
	late spread // how late the publisher was
}

// steady publishes, waits until all is delivered and settled, and reports. before is how many events came before these. Without a
// daemon it is the relay that delivers, whose losses are none of Bellhop's.
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
	if len(d) > 0 {
		s.arrived, err = b.report(p.events, 0, 0)
	} else {
		s.arrived, err = b.reportRelay(p.events)
	}
	if err != nil {
		return s, err
	}
	_, err = b.settled(ctx, before+p.events)
	return s, err
}

// storedBatch is how many events are read again at a time.
const storedBatch = 4096

// stored reads n events after the first ones again, and compares the time that each carries with that at which the server began to
// store it.
func (b *bench) stored(ctx context.Context, before, n int) (s spread, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c, err := b.js.CreateConsumer(ctx, eventsStream, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: uint64(before) + 1, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true,
	})
	if err != nil {
		return s, fmt.Errorf("read events again: %w", err)
	}
	defer func() { err = errors.Join(err, b.js.DeleteConsumer(ctx, eventsStream, c.CachedInfo().Name)) }()
	took := make([]time.Duration, 0, n)
	for len(took) < n {
		batch, err := c.Fetch(min(n-len(took), storedBatch), jetstream.FetchContext(ctx))
		if err != nil {
			return s, fmt.Errorf("read events again: %w", err)
		}
		for m := range batch.Messages() {
			about, err := m.Metadata()
			if err != nil {
				return s, fmt.Errorf("read events again: %w", err)
			}
			sent, err := strconv.ParseInt(string(sentOf(m.Data())), 10, 64)
			if err != nil {
				return s, fmt.Errorf("event %d carries no time: %w", about.Sequence.Stream, err)
			}
			took = append(took, about.Timestamp.Sub(time.Unix(0, sent)))
		}
		if err := batch.Error(); err != nil {
			return s, fmt.Errorf("read events again, after %d of %d: %w", len(took), n, err)
		}
	}
	return spreadOf(took), nil
}
