package main

import (
	"context"
	"runtime"
)

// daemons measures several daemons on one server, and checks a model of what they carry.
func daemons(ctx context.Context, b *bench, r *result) error {
	r.columns = []column{
		{"daemons", "daemons", ""}, {"rate", "deliveries/s", "%.0f"}, {"gain", "over 1", "%.2f"}, {"model", "model/s", "%.0f"}, {"off", "measured/model", "%.2f"},
		{"daemon", "daemons CPU s/1,000", "%.3f"}, {"server", "server CPU s/1,000", "%.3f"}, {"receiver", "receiver CPU s/1,000", "%.3f"},
	}
	if _, err := b.usualSample(ctx); err != nil {
		return err
	}
	path, err := b.usualRules("daemons", b.hook())
	if err != nil {
		return err
	}
	rounds := 1
	if b.o.full {
		rounds = 3
	}
	counts := []int{1, 2, 4}
	got := map[int][]drained{}
	for range rounds {
		for _, n := range counts {
			if b.over() {
				r.note("%d daemons: not measured, the time was over", n)
				continue
			}
			b.progress("daemons: %d", n)
			d, err := b.drain(ctx, drainOptions{
				daemon: daemonOptions{rules: path, workers: 256 / n}, daemons: n, events: b.events(b.rate, 1), event: usual,
			})
			if err != nil {
				return err
			}
			got[n] = append(got[n], d)
		}
	}
	m := modelOf(got[1])
	var one []float64
	for _, n := range counts {
		if len(got[n]) == 0 {
			continue
		}
		var rates, cpus, servers, receivers []float64
		for _, d := range got[n] {
			k := float64(d.Deliveries) / 1000
			rates = append(rates, d.Rate)
			cpus, servers, receivers = append(cpus, d.Daemon.CPU/k), append(servers, d.Server.CPU/k), append(receivers, d.Receiver.CPU/k)
		}
		if n == 1 {
			one = rates
		}
		predicted := m.together(runtime.NumCPU())
		r.add(map[string]any{
			"daemons": n, "rate": median(rates), "gain": median(ratios(rates, one)), "model": predicted, "off": median(rates) / predicted,
			"daemon": median(cpus), "server": median(servers), "receiver": median(receivers),
		})
	}
	r.note("model: this machine's cores, all spent, over the CPU that one delivery costs all processes with 1 daemon")
	r.note("the same costs on machines of their own with %d cores each: a daemon carries %.0f/s, a server %.0f/s", runtime.NumCPU(),
		m.daemon(runtime.NumCPU()), m.server(runtime.NumCPU()))
	return nil
}

// model predicts what a cluster carries from the CPU that one delivery costs each process, as long as nothing else is short.
type model struct {
	perDaemon, perServer, perReceiver float64 // seconds of CPU a delivery
}

// modelOf takes the costs from runs with one daemon.
func modelOf(runs []drained) model {
	var daemons, servers, receivers []float64
	for _, d := range runs {
		n := float64(d.Deliveries)
		daemons, servers, receivers = append(daemons, d.Daemon.CPU/n), append(servers, d.Server.CPU/n), append(receivers, d.Receiver.CPU/n)
	}
	return model{median(daemons), median(servers), median(receivers)}
}

// together is the rate at which all processes together spend the cores. More daemons share the same work; each of them follows all
// outcomes besides, which the model leaves out.
func (m model) together(cores int) float64 {
	return float64(cores) / (m.perDaemon + m.perServer + m.perReceiver)
}

// daemon is the rate of one daemon with so many cores to itself.
func (m model) daemon(cores int) float64 { return float64(cores) / m.perDaemon }

// server is the rate at which one server spends so many cores, however many daemons it feeds.
func (m model) server(cores int) float64 { return float64(cores) / m.perServer }
