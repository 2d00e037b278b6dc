package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// group is one part of the benchmark.
type group struct {
	name   string
	title  string
	quick  bool // measured by -quick as well
	weight int  // its share of the time, as against the others'
	run    func(context.Context, *bench, *result) error
}

// groups in the order that they are measured.
func groups() []group {
	return []group{
		{"throughput", "events waiting in the stream, drained; 1 webhook each", true, 45, throughput},
		{"cost", "by process, per 1,000 deliveries, in the throughput run at 256 workers", true, 0, cost},
		{"floor", "the messages and the POSTs alone, by a relay that decides and renders nothing", false, 25, floor},
		{"latency", "from when an event was to be published to its POST's arrival, in ms", true, 20, latency},
		{"rules", "rules on one event type, each with a filter of its own; one matches", false, 45, rules},
		{"fanout", "one event to several webhooks", false, 12, fanout},
		{"retries", "scheduled, and fired while traffic flows", false, 20, retries},
		{"backlog", "a backlog's first and last tenth", false, 30, backlog},
		{"daemons", "several daemons on one server, all on this machine", false, 14, daemons},
		{"endpoints", "receivers, bodies, latency, TLS, HTTP/2", false, 55, endpoints},
	}
}

func groupNames() []string {
	var names []string
	for _, g := range groups() {
		names = append(names, g.name)
	}
	return names
}

// measure runs what was asked for, prints the tables, and writes the JSON. Lost deliveries are an error.
func measure(ctx context.Context, o options, stdout, say io.Writer) error {
	out := newOutcome(o)
	all, own, err := machineCPU()
	if err != nil {
		return err
	}
	b, err := openBench(ctx, o, say)
	if err != nil {
		return err
	}
	switch {
	case o.against != "":
		err = b.one(ctx, out, stdout, group{"against", "this bellhop (A) and another (B), in turn", true, 1, against})
	case o.profile != "" && len(o.only) == 0:
		err = b.one(ctx, out, stdout, group{"profile", "one long run under the profiler", true, 1, profiled})
	default:
		err = b.all(ctx, out, stdout)
	}
	err = errors.Join(err, b.close())
	out.Seconds, out.Tally = time.Since(out.Started).Seconds(), b.tally
	if allNow, ownNow, failed := machineCPU(); failed == nil {
		out.Others = max((allNow-all)-(ownNow-own), 0) / (out.Seconds * float64(out.CPUs))
		fmt.Fprintf(stdout, "\n%d processors; other programs took %.0f %% of them meanwhile\n", out.CPUs, 100*out.Others)
	}
	fmt.Fprintf(stdout, "%d deliveries in %.0f s: %d lost, %d duplicated\n", b.tally.Deliveries, out.Seconds, b.tally.Lost, b.tally.Duplicated)
	err = errors.Join(b.tally.err(), err)
	if err != nil {
		out.Error = err.Error()
	}
	if o.json != "" {
		err = errors.Join(err, out.write(o.json))
	}
	return err
}

// all runs the groups that were asked for, until one fails.
func (b *bench) all(ctx context.Context, out *outcome, stdout io.Writer) error {
	var chosen []group
	weight := 0
	for _, g := range groups() {
		switch {
		case !b.o.wants(g.name), b.o.quick && !g.quick && len(b.o.only) == 0:
			continue
		case g.name == "backlog" && !b.o.full && len(b.o.only) == 0:
			continue
		}
		chosen = append(chosen, g)
		weight += g.weight
	}
	all := b.end
	for _, g := range chosen {
		// Each group may begin new stretches within its share of what is left, so that a slow one leaves the others theirs.
		if left := time.Until(all); weight > 0 {
			b.end = time.Now().Add(left * time.Duration(g.weight) / time.Duration(weight))
		}
		weight -= g.weight
		if err := b.one(ctx, out, stdout, g); err != nil {
			return err
		}
	}
	return nil
}

// one runs one group and prints its table, also where it failed halfway.
func (b *bench) one(ctx context.Context, out *outcome, stdout io.Writer, g group) error {
	r := &result{Group: g.name, Title: g.title}
	out.Results = append(out.Results, r)
	var err error
	if g.weight > 0 && b.over() {
		r.Skipped = "the time was over"
	} else if err = g.run(ctx, b, r); err != nil {
		err = fmt.Errorf("%s: %w", g.name, err)
	}
	r.table(stdout)
	return err
}
