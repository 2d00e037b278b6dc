package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"
)

const (
	// flakyType is the type of the events whose first POST is refused.
	flakyType = "module.completed"
	// Shares of the measured throughput: what is refused and comes again, and the traffic beside it.
	flakyShare, besideShare = 0.3, 0.2
)

// retries measures how late retries come that fire while other traffic flows, and what they cost that.
func retries(ctx context.Context, b *bench, r *result) (err error) {
	r.columns = []column{
		{"what", "what", ""}, {"count", "count", ""}, {"rate", "/s", "%.0f"}, {"p50", "p50", ""}, {"p99", "p99", ""}, {"p999", "p99.9", ""}, {"max", "max", ""},
	}
	if _, err := b.usualSample(ctx); err != nil {
		return err
	}
	count := 5000
	if b.o.full {
		count = 200_000
	}
	pace := b.rate * flakyShare
	length := time.Duration(float64(count) / pace * float64(time.Second))
	// All of them are scheduled before the first is due.
	delay := (length + 2*time.Second).Truncate(time.Second)
	f := newRuleFile()
	f.rule("beside", usualType, "", usualParameters, b.hook())
	// The same lane: one in which everything fails for long would get probes alone.
	f.rule("flaky", flakyType, "", usualParameters, endpointURL("http", b.ports.Plain, 0, flakyPath))
	rules, err := f.write(b, "retries")
	if err != nil {
		return err
	}
	if err := b.reset(ctx); err != nil {
		return err
	}
	d, err := b.serve(ctx, daemonOptions{rules: rules, flags: []string{"--delivery.initial_delay", delay.String()}})
	if err != nil {
		return err
	}
	defer func() { err = stopAfter(err, d) }()
	b.progress("retries: %d at %.0f/s, due after %s", count, pace, delay)

	beside := paced{rate: b.rate * besideShare}
	beside.events = int(beside.rate * 2 * b.o.arm.Seconds())
	beside.event = usualAt(0)
	alone, err := b.steady(ctx, beside, 0, d)
	if err != nil {
		return err
	}
	spreadRow := func(what string, rate float64, s spread) {
		r.add(map[string]any{"what": what, "count": s.Count, "rate": rate, "p50": s.P50, "p99": s.P99, "p999": s.P999, "max": s.Max})
	}
	spreadRow("latency of the traffic alone", beside.rate, alone.Latency)

	if err := b.forget(0); err != nil {
		return err
	}
	first := beside.events
	beside.events = int(beside.rate * (2*length + 2*time.Second).Seconds())
	beside.event = usualAt(first)
	refused := paced{events: count, rate: pace, event: func(i int, at time.Time) *nats.Msg {
		return eventOf(first+beside.events+i, flakyType, at, "SAFE-101", "")
	}}
	g, publishing := errgroup.WithContext(ctx)
	for _, p := range []paced{beside, refused} {
		g.Go(func() error {
			_, err := p.run(publishing, b.js)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	// Nothing may come for as long as the delay, which is no stall.
	if err := b.await(ctx, int64(beside.events+count), d); err != nil {
		return err
	}
	if err := pause(ctx, max(delay-length, 0)); err != nil {
		return err
	}
	if err := b.await(ctx, int64(beside.events+2*count), d); err != nil {
		return err
	}
	got, err := b.report(beside.events+count, delay, 0)
	if err != nil {
		return err
	}
	spreadRow("latency of the traffic beside", beside.rate, got.Latency)
	spreadRow("lateness of the retries", pace, got.Lateness)
	r.note("lateness: a second attempt's arrival after the first one's, less the delay of %s, in ms; all %d wait at the same time", delay, count)
	if got.Early > 0 {
		return fmt.Errorf("%d of %d retries came before their time", got.Early, count)
	}
	if got.Unretried > 0 {
		return fmt.Errorf("%d of %d retries did not come", got.Unretried, count)
	}
	_, err = b.settled(ctx, first+beside.events+2*count)
	return err
}

// backlog measures whether the rate holds over a large backlog.
func backlog(ctx context.Context, b *bench, r *result) error {
	r.columns = []column{
		{"events", "events", ""}, {"rate", "deliveries/s", "%.0f"}, {"first", "first tenth/s", "%.0f"}, {"last", "last tenth/s", "%.0f"},
		{"ratio", "last over first", "%.2f"}, {"rss", "daemon peak MB", "mb"}, {"server", "server peak MB", "mb"},
	}
	if _, err := b.usualSample(ctx); err != nil {
		return err
	}
	events := 50_000
	if b.o.full {
		events = 1_000_000
	}
	b.progress("backlog: %d events", events)
	rules, err := b.usualRules("backlog", b.hook())
	if err != nil {
		return err
	}
	d, err := b.drain(ctx, drainOptions{daemon: daemonOptions{rules: rules}, events: events, event: usual, edge: events / 10})
	if err != nil {
		return err
	}
	r.add(map[string]any{
		"events": events, "rate": d.Rate, "first": d.FirstRate, "last": d.LastRate, "ratio": d.LastRate / d.FirstRate,
		"rss": float64(d.Daemon.PeakRSS), "server": float64(d.Server.PeakRSS),
	})
	return nil
}

// stopAfter stops a daemon at the end of a group that an error may have ended.
func stopAfter(err error, d *daemon) error {
	stopped := d.stop()
	if err != nil && stopped != nil && strings.Contains(stopped.Error(), err.Error()) {
		return err
	}
	return errors.Join(err, stopped)
}
