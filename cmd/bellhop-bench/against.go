package main

import (
	"context"
	"fmt"
	"time"
)

const (
	// againstRounds is how often two programs are measured in turn.
	againstRounds = 4
	// profiledFor is how long a run under the profiler is, about.
	profiledFor = 8 * time.Second
)

// against measures two programs in turn, and fails where the first is too slow.
func against(ctx context.Context, b *bench, r *result) error {
	r.columns = []column{{"round", "round", ""}, {"a", "A/s", "%.0f"}, {"b", "B/s", "%.0f"}, {"ratio", "A over B", "%.2f"},
		{"cpuA", "A CPU s/1,000", "%.3f"}, {"cpuB", "B CPU s/1,000", "%.3f"}, {"parkedA", "A waited on the bus %", "%.1f"},
		{"parkedB", "B waited on the bus %", "%.1f"}}
	if _, err := b.usualSample(ctx); err != nil {
		return err
	}
	rules, err := b.usualRules("against", b.hook())
	if err != nil {
		return err
	}
	r.note("A: %s", b.o.bellhop)
	r.note("B: %s", b.o.against)
	var as, bs, cpu []float64
	for round := range againstRounds {
		var got [2]drained
		binaries, order := [2]string{b.o.bellhop, b.o.against}, [2]int{0, 1}
		if round%2 == 1 {
			// Who comes first changes, so that a machine that slows down or warms up favours neither.
			order[0], order[1] = order[1], order[0]
		}
		for _, which := range order {
			binary := binaries[which]
			b.progress("against: round %d, %s", round+1, binary)
			d, err := b.drain(ctx, drainOptions{
				daemon: daemonOptions{binary: binary, rules: rules}, events: b.events(2*b.rate, 1), event: usual,
			})
			if err != nil {
				return fmt.Errorf("%s: %w", binary, err)
			}
			got[which] = d
		}
		x, y := got[0], got[1]
		as, bs, cpu = append(as, x.Rate), append(bs, y.Rate), append(cpu, y.cpu()/x.cpu())
		r.add(map[string]any{
			"round": round + 1, "a": x.Rate, "b": y.Rate, "ratio": x.Rate / y.Rate, "cpuA": x.cpu(), "cpuB": y.cpu(),
			"parkedA": x.parked(), "parkedB": y.parked(),
		})
	}
	ratio := median(ratios(as, bs))
	r.note("CPU of daemon, server and receiver. Median of the ratios: %.2f; by CPU alone %.2f", ratio, median(cpu))
	if b.o.minRatio > 0 && ratio < b.o.minRatio {
		return fmt.Errorf("%s does %.2f of %s, at least %.2f is asked for", b.o.bellhop, ratio, b.o.against, b.o.minRatio)
	}
	return nil
}

// profiled measures one long run; every process writes its profiles at its end.
func profiled(ctx context.Context, b *bench, r *result) error {
	r.columns = rateColumns(column{"workers", "workers", ""})
	b.o.arm = profiledFor
	got, err := b.usualPair(ctx, 256, 1)
	if err != nil {
		return err
	}
	r.add(got.row(map[string]any{"workers": 256}))
	r.note("profiles are in %s, one folder for each process; a profiled run is slower than others", b.o.profile)
	return nil
}
