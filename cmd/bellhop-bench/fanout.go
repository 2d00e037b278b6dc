package main

import (
	"context"
	"fmt"
)

// fanout measures events that trigger several webhooks.
func fanout(ctx context.Context, b *bench, r *result) error {
	r.columns = []column{
		{"webhooks", "webhooks", ""}, {"rate", "deliveries/s", "%.0f"}, {"events", "events/s", "%.0f"}, {"ratio", "over 1 webhook", "%.2f"},
		{"cpu", "daemon CPU s/1,000", "%.3f"}, {"parked", "waited on the bus %", "%.1f"},
	}
	if _, err := b.usualSample(ctx); err != nil {
		return err
	}
	rounds := 1
	if b.o.full {
		rounds = 3
	}
	counts := []int{1, 10, 100}
	rates, cpus, parked := map[int][]float64{}, map[int][]float64{}, map[int][]float64{}
	for range rounds {
		for _, n := range counts {
			if b.over() {
				r.note("%d webhooks: not measured, the time was over", n)
				continue
			}
			b.progress("fanout: %d webhooks", n)
			f := newRuleFile()
			hooks := make([]string, n)
			for i := range hooks {
				hooks[i] = b.hook()
			}
			f.rule("fanout", usualType, "", usualParameters, hooks...)
			path, err := f.write(b, fmt.Sprintf("fanout-%d", n))
			if err != nil {
				return err
			}
			d, err := b.drain(ctx, drainOptions{
				daemon: daemonOptions{rules: path}, events: b.events(b.rate, n), perEvent: n, event: usual,
			})
			if err != nil {
				return err
			}
			rates[n], cpus[n] = append(rates[n], d.Rate), append(cpus[n], d.Daemon.CPU/float64(d.Deliveries)*1000)
			parked[n] = append(parked[n], d.parked())
		}
	}
	for _, n := range counts {
		if len(rates[n]) == 0 {
			continue
		}
		r.add(map[string]any{
			"webhooks": n, "rate": median(rates[n]), "events": median(rates[n]) / float64(n), "ratio": median(ratios(rates[n], rates[1])),
			"cpu": median(cpus[n]), "parked": median(parked[n]),
		})
	}
	return nil
}
