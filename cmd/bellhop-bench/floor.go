package main

import (
	"context"
	"errors"
	"fmt"
)

// share is what one stretch took of each process, in CPU seconds for 1,000 deliveries.
type share struct{ rate, own, server, receiver float64 }

func (s share) cpu() float64 { return s.own + s.server + s.receiver }

// shares are stretches of one program.
type shares []share

func (s shares) each(of func(share) float64) []float64 {
	all := make([]float64, 0, len(s))
	for _, x := range s {
		all = append(all, of(x))
	}
	return all
}

func (s shares) rates() []float64 { return s.each(func(x share) float64 { return x.rate }) }
func (s shares) cpus() []float64  { return s.each(share.cpu) }

// row compares a program with the bare loop.
func (s shares) row(what string, bare shares) map[string]any {
	return map[string]any{
		"what": what, "rate": median(s.rates()), "ratio": median(ratios(s.rates(), bare.rates())), "cpuRatio": median(ratios(bare.cpus(), s.cpus())),
		"own":      median(s.each(func(x share) float64 { return x.own })),
		"server":   median(s.each(func(x share) float64 { return x.server })),
		"receiver": median(s.each(func(x share) float64 { return x.receiver })),
	}
}

// floorRounds is how often the three programs are measured in turn.
const floorRounds = 3

// floor measures what the messages and the POSTs cost by themselves: the relay, next to the daemon and the bare loop.
func floor(ctx context.Context, b *bench, r *result) error {
	r.columns = []column{
		{"what", "", ""}, {"rate", "deliveries/s", "%.0f"}, {"ratio", "of the bare loop", "%.2f"}, {"cpuRatio", "the same by CPU", "%.2f"},
		{"own", "CPU s/1,000: its own", "%.3f"}, {"server", "server", "%.3f"}, {"receiver", "receiver", "%.3f"},
	}
	sample, err := b.usualSample(ctx)
	if err != nil {
		return err
	}
	rules, err := b.usualRules("floor", b.hook())
	if err != nil {
		return err
	}
	order := relayOrder{Server: b.url, URL: b.hook(), Workers: 256, Events: b.events(b.rate, 1), Request: sample}
	var bares, drains, relays shares
	for round := range floorRounds {
		if round > 0 && b.over() {
			r.note("%d rounds of %d: the time was over", round, floorRounds)
			break
		}
		b.progress("floor: round %d of %d", round+1, floorRounds)
		bare, err := b.bare(ctx, bareOptions{urls: []string{b.hook()}, workers: order.Workers, sample: sample}, b.o.arm)
		if err != nil {
			return err
		}
		d, err := b.drain(ctx, drainOptions{daemon: daemonOptions{rules: rules, workers: order.Workers}, event: usual, events: order.Events})
		if err != nil {
			return err
		}
		if err := order.like(ctx, b); err != nil {
			return err
		}
		x, err := b.relay(ctx, order)
		if err != nil {
			return err
		}
		k, n := float64(bare.Requests)/1000, float64(order.Events)/1000
		bares = append(bares, share{rate: bare.Rate, own: bare.Loop.CPU.CPU / k, receiver: bare.Receiver.CPU / k})
		drains = append(drains, share{d.Rate, d.Daemon.CPU / n, d.Server.CPU / n, d.Receiver.CPU / n})
		relays = append(relays, share{x.Rate, x.Relay.CPU.CPU / n, x.Server.CPU / n, x.Receiver.CPU / n})
	}
	r.add(bares.row("bare loop", bares))
	r.add(relays.row("relay", bares))
	r.add(drains.row("daemon", bares))
	r.note("the relay takes each event, POSTs, publishes the same outcome and acknowledges: no daemon can do without that.")
	r.note("The daemon does %.2f of it by rate, %.2f by CPU", median(ratios(drains.rates(), relays.rates())), median(ratios(relays.cpus(), drains.cpus())))
	return nil
}

// relayed is what came of one stretch of the relay.
type relayed struct {
	arrived
	Relay    relayDone
	Server   usage
	Receiver usage
}

// like takes over what an outcome looks like from the one recorded last.
func (o *relayOrder) like(ctx context.Context, b *bench) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := b.js.Stream(ctx, resultsStream)
	if err != nil {
		return fmt.Errorf("stream %s: %w", resultsStream, err)
	}
	m, err := s.GetMsg(ctx, s.CachedInfo().State.LastSeq)
	if err != nil {
		return fmt.Errorf("last outcome: %w", err)
	}
	o.Subject, o.Headers, o.Outcome = m.Subject, m.Header, m.Data
	return nil
}

// relay measures one stretch of the relay.
func (b *bench) relay(ctx context.Context, order relayOrder) (r relayed, err error) {
	if err := b.reset(ctx); err != nil {
		return r, err
	}
	if err := b.publish(ctx, order.Events, usual); err != nil {
		return r, err
	}
	if err := b.forget(0); err != nil {
		return r, err
	}
	before, err := b.parts()
	if err != nil {
		return r, err
	}
	if err := b.send(ctx, "relay", order, &r.Relay); err != nil {
		return r, err
	}
	if err := r.Relay.err(order.Events); err != nil {
		return r, err
	}
	if _, err := b.settled(ctx, order.Events); err != nil {
		return r, errors.Join(errors.New("relay"), err)
	}
	after, err := b.parts()
	if err != nil {
		return r, err
	}
	r.Server, r.Receiver = after.server.since(before.server), after.receiver.since(before.receiver)
	r.arrived, err = b.reportRelay(order.Events)
	return r, err
}
