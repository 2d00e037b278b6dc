package main

import "context"

// pair is one setting of the pipeline and of the bare loop, measured in turn.
type pair struct {
	drain  drainOptions
	bare   bareOptions
	rounds int
	rate   float64 // expected deliveries a second
}

// paired is what came of it.
type paired struct {
	drains []drained
	bares  []bared
}

// measure runs B A B A ..., the bare loop first.
func (b *bench) measure(ctx context.Context, p pair) (r paired, err error) {
	p.drain.events = b.events(p.rate, p.drain.perEvent)
	for range p.rounds {
		bare, err := b.bare(ctx, p.bare, b.o.arm)
		if err != nil {
			return r, err
		}
		d, err := b.drain(ctx, p.drain)
		if err != nil {
			return r, err
		}
		r.bares, r.drains = append(r.bares, bare), append(r.drains, d)
	}
	return r, nil
}

func (r paired) rates() (pipeline, recorded, bare []float64) {
	for i := range r.drains {
		pipeline = append(pipeline, r.drains[i].Rate)
		recorded = append(recorded, r.drains[i].Recorded)
		bare = append(bare, r.bares[i].Rate)
	}
	return pipeline, recorded, bare
}

// row puts rates and their ratio into a row.
func (r paired) row(row map[string]any) map[string]any {
	pipeline, recorded, bare := r.rates()
	row["rate"], row["recorded"], row["bare"] = median(pipeline), median(recorded), median(bare)
	row["ratio"], row["rates"], row["bares"] = median(ratios(pipeline, bare)), pipeline, bare
	var parked []float64
	for _, d := range r.drains {
		parked = append(parked, d.parked())
	}
	row["parked"] = median(parked)
	return row
}

// rateColumns are the columns of row.
func rateColumns(first ...column) []column {
	return append(first,
		column{"rate", "deliveries/s", "%.0f"}, column{"recorded", "until recorded/s", "%.0f"}, column{"bare", "bare loop/s", "%.0f"},
		column{"ratio", "ratio", "%.2f"}, column{"parked", "waited on the bus %", "%.1f"})
}

// throughput is the first group, and the second takes its costs from it.
func throughput(ctx context.Context, b *bench, r *result) error {
	r.columns = rateColumns(column{"workers", "workers", ""})
	counts := []int{256, 16, 64, 1024}
	if b.o.quick {
		counts = counts[:1]
	}
	for _, workers := range counts {
		if b.over() {
			r.note("%d workers: not measured, the time was over", workers)
			continue
		}
		rounds := 2
		if workers == 256 && !b.o.quick || b.o.full {
			rounds = 3
		}
		got, err := b.usualPair(ctx, workers, rounds)
		if err != nil {
			return err
		}
		r.add(got.row(map[string]any{"workers": workers}))
	}
	r.note("deliveries/s from the first POST to the last, at the receiver; until recorded: to the last outcome on the bus, every event")
	r.note("acknowledged. Medians of pairs measured in turn; the loop and the daemon never run at the same time.")
	return nil
}

// usualPair measures the usual rule, and keeps what the costs are taken from.
func (b *bench) usualPair(ctx context.Context, workers, rounds int) (paired, error) {
	sample, err := b.usualSample(ctx)
	if err != nil {
		return paired{}, err
	}
	path, err := b.usualRules("usual", b.hook())
	if err != nil {
		return paired{}, err
	}
	b.progress("throughput: %d workers, %d rounds", workers, rounds)
	got, err := b.measure(ctx, pair{
		drain: drainOptions{daemon: daemonOptions{rules: path, workers: workers}, event: usual},
		bare:  bareOptions{urls: []string{b.hook()}, workers: workers, sample: sample}, rounds: rounds, rate: b.rate,
	})
	if err == nil && workers == 256 {
		pipeline, _, bare := got.rates()
		b.usual, b.rate, b.bareRate = &got, median(pipeline), median(bare)
	}
	return got, err
}

// usualSample calibrates once.
func (b *bench) usualSample(ctx context.Context) ([]byte, error) {
	if b.sampled == nil {
		sample, err := b.calibrate(ctx)
		if err != nil {
			return nil, err
		}
		b.sampled = sample
	}
	return b.sampled, nil
}

// cost tells what a delivery costs, and which process pays.
func cost(ctx context.Context, b *bench, r *result) error {
	r.columns = []column{
		{"process", "process", ""}, {"cpu", "CPU s", "%.3f"}, {"bytes", "allocated MB", "mb"}, {"objects", "objects", "%.0f"},
		{"rss", "peak RSS MB", "mb"},
	}
	if b.usual == nil {
		if _, err := b.usualPair(ctx, 256, 2); err != nil {
			return err
		}
	}
	type row struct{ cpu, bytes, objects, rss []float64 }
	var daemon, server, receiver, loop, looped row
	for i, d := range b.usual.drains {
		k := float64(d.Deliveries) / 1000
		daemon.cpu = append(daemon.cpu, d.Daemon.CPU/k)
		daemon.bytes = append(daemon.bytes, d.Bytes/k)
		daemon.objects = append(daemon.objects, d.Objects/k)
		daemon.rss = append(daemon.rss, float64(d.Daemon.PeakRSS))
		server.cpu = append(server.cpu, d.Server.CPU/k)
		server.bytes = append(server.bytes, d.ServerMem/k)
		server.rss = append(server.rss, float64(d.Server.PeakRSS))
		receiver.cpu = append(receiver.cpu, d.Receiver.CPU/k)
		receiver.rss = append(receiver.rss, float64(d.Receiver.PeakRSS))
		l := b.usual.bares[i]
		k = float64(l.Requests) / 1000
		loop.cpu = append(loop.cpu, l.Loop.CPU.CPU/k)
		loop.bytes = append(loop.bytes, float64(l.Loop.Alloc)/k)
		loop.rss = append(loop.rss, float64(l.Loop.CPU.PeakRSS))
		looped.cpu = append(looped.cpu, l.Receiver.CPU/k)
	}
	put := func(name string, x row) {
		out := map[string]any{"process": name}
		for key, v := range map[string][]float64{"cpu": x.cpu, "bytes": x.bytes, "objects": x.objects, "rss": x.rss} {
			if len(v) > 0 {
				out[key] = median(v)
			}
		}
		r.add(out)
	}
	put("daemon", daemon)
	put("server", server)
	put("receiver", receiver)
	pipeline := median(daemon.cpu) + median(server.cpu) + median(receiver.cpu)
	r.add(map[string]any{"process": "all three", "cpu": pipeline})
	put("bare loop", loop)
	put("receiver of the bare loop", looped)
	bare := median(loop.cpu) + median(looped.cpu)
	r.add(map[string]any{"process": "both", "cpu": bare})
	r.note("by CPU alone the pipeline could reach %.2f of the bare loop, on cores that nothing else uses", bare/pipeline)
	r.note("the daemon's CPU includes its start; peaks are of each stretch, medians of %d rounds", len(b.usual.drains))
	return nil
}
