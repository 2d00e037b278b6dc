package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// drainOptions describes one stretch of the pipeline: events wait in the stream, daemons start, all is delivered.
type drainOptions struct {
	daemon   daemonOptions
	daemons  int // 0 means 1
	events   int
	perEvent int // deliveries of each; 0 means 1
	event    func(i int) *nats.Msg
	delay    time.Duration // of the receiver
	edge     int           // requests in the first and the last stretch
}

// drained is what came of it.
type drained struct {
	arrived
	Deliveries int
	Recorded   float64         // deliveries a second, from the first POST until the last outcome was on the bus
	Ready      []time.Duration // of each daemon
	Daemon     usage           // all daemons together, from their start until all was acknowledged; their peaks added up
	Server     usage
	Receiver   usage
	figures            // of all daemons
	ServerMem  float64 // bytes allocated by the server
}

// cpu is the seconds that all processes together spent on 1,000 deliveries.
func (r drained) cpu() float64 {
	return (r.Daemon.CPU + r.Server.CPU + r.Receiver.CPU) / float64(r.Deliveries) * 1000
}

// parked is the share of attempts that waited on the bus for room in their lane, in percent.
func (r drained) parked() float64 { return 100 * r.Parked / float64(r.Deliveries) }

// drain measures one stretch.
func (b *bench) drain(ctx context.Context, o drainOptions) (r drained, err error) {
	if err := b.reset(ctx); err != nil {
		return r, err
	}
	if err := b.publish(ctx, o.events, o.event); err != nil {
		return r, err
	}
	if err := b.forget(o.delay); err != nil {
		return r, err
	}
	resetPeak(b.server.cmd.Process.Pid)
	resetPeak(b.to.cmd.Process.Pid)
	before, err := b.parts()
	if err != nil {
		return r, err
	}
	var daemons []*daemon
	defer func() {
		for _, d := range daemons {
			err = errors.Join(err, d.stop())
		}
	}()
	for range max(o.daemons, 1) {
		d, err := b.serve(ctx, o.daemon)
		if err != nil {
			return r, err
		}
		daemons = append(daemons, d)
		r.Ready = append(r.Ready, d.ready)
	}
	r.Deliveries = o.events * max(o.perEvent, 1)
	if err := b.await(ctx, int64(r.Deliveries), daemons...); err != nil {
		return r, err
	}
	recorded, unsettled := b.settled(ctx, r.Deliveries)
	after, err := b.parts()
	if err != nil {
		return r, err
	}
	r.Server = after.server.since(before.server)
	r.Receiver = after.receiver.since(before.receiver)
	r.ServerMem = after.serverMem - before.serverMem
	for _, d := range daemons {
		u, err := usageOf(d.cmd.Process.Pid)
		if err != nil {
			return r, err
		}
		r.Daemon.CPU += u.CPU
		r.Daemon.PeakRSS += u.PeakRSS
		f, err := d.figures(ctx)
		if err != nil {
			return r, err
		}
		r.Bytes, r.Objects, r.Parked = r.Bytes+f.Bytes, r.Objects+f.Objects, r.Parked+f.Parked
	}
	// What was lost is counted before an outcome that lacks ends the run.
	r.arrived, err = b.report(r.Deliveries, 0, o.edge)
	if err = errors.Join(err, unsettled); err != nil {
		return r, err
	}
	r.Recorded = rate(r.Deliveries, recorded.Sub(r.First))
	return r, nil
}

// parts is what server and receiver have used.
type parts struct {
	server, receiver usage
	serverMem        float64
}

func (b *bench) parts() (p parts, err error) {
	if p.server, err = usageOf(b.server.cmd.Process.Pid); err != nil {
		return p, err
	}
	if p.receiver, err = usageOf(b.to.cmd.Process.Pid); err != nil {
		return p, err
	}
	var mem serverMemory
	err = b.server.ask(serverCommand{}, &mem)
	p.serverMem = float64(mem.Alloc)
	return p, err
}

func (u usage) since(before usage) usage { return usage{CPU: u.CPU - before.CPU, PeakRSS: u.PeakRSS} }

// bareOptions describes one stretch of the bare loop.
type bareOptions struct {
	urls    []string
	workers int
	delay   time.Duration
	sample  []byte // a request of the pipeline's, whose headers and body it sends
}

// bared is what came of it.
type bared struct {
	arrived
	Loop     loopDone
	Receiver usage
}

// bare measures one stretch of the bare loop, of so long.
func (b *bench) bare(ctx context.Context, o bareOptions, length time.Duration) (r bared, err error) {
	headers, body, err := splitSample(o.sample)
	if err != nil {
		return r, err
	}
	if err := b.forget(o.delay); err != nil {
		return r, err
	}
	before, err := usageOf(b.to.cmd.Process.Pid)
	if err != nil {
		return r, err
	}
	order := loopOrder{URLs: o.urls, Workers: o.workers, For: length, Headers: headers, Body: body}
	if err := b.send(ctx, "loop", order, &r.Loop); err != nil {
		return r, err
	}
	if r.Loop.Failed > 0 {
		return r, fmt.Errorf("loop: %d of %d requests failed: %s", r.Loop.Failed, r.Loop.Failed+r.Loop.Done, r.Loop.Error)
	}
	after, err := usageOf(b.to.cmd.Process.Pid)
	if err != nil {
		return r, err
	}
	r.Receiver = after.since(before)
	var a received
	if err := b.to.ask(receiverCommand{Report: true}, &a); err != nil {
		return r, err
	}
	if r.arrived = a.Report; int64(r.Distinct) < r.Loop.Done {
		return r, fmt.Errorf("loop: %d requests were answered, but only %d came", r.Loop.Done, r.Distinct)
	}
	return r, nil
}

// splitSample takes a request apart: the headers that the loop sends as they are, and the body.
func splitSample(sample []byte) (headers [][2]string, body []byte, err error) {
	head, rest, ok := strings.Cut(string(sample), "\r\n\r\n")
	if !ok {
		return nil, nil, errors.New("loop: no request of a daemon came to take the bytes from")
	}
	lines := strings.Split(head, "\r\n")
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		switch strings.ToLower(name) {
		case "host", "content-length", "accept-encoding", "connection":
			// net/http's own.
		default:
			headers = append(headers, [2]string{name, value})
		}
	}
	return headers, []byte(rest), nil
}

// sample is the first request that came since the receiver was last reset.
func (b *bench) sample() ([]byte, error) {
	var a received
	err := b.to.ask(receiverCommand{Sample: true}, &a)
	return a.Sample, err
}

// calibrate finds out about how fast a daemon and the bare loop are at 256 workers, and what a request looks like.
func (b *bench) calibrate(ctx context.Context) ([]byte, error) {
	rules, err := b.usualRules("calibrate", b.hook())
	if err != nil {
		return nil, err
	}
	r, err := b.drain(ctx, drainOptions{daemon: daemonOptions{rules: rules}, events: int(min(2000*b.o.arm.Seconds()+500, 3000)), event: usual})
	if err != nil {
		return nil, err
	}
	sample, err := b.sample()
	if err != nil {
		return nil, err
	}
	bare, err := b.bare(ctx, bareOptions{urls: []string{b.hook()}, workers: 256, sample: sample}, 500*time.Millisecond)
	if err != nil {
		return nil, err
	}
	b.rate, b.bareRate = r.Rate, bare.Rate
	b.progress("calibrated: about %.0f deliveries/s, bare loop %.0f/s", r.Rate, bare.Rate)
	return sample, nil
}

// events is how many events make a stretch of about the wanted length, at a rate of deliveries a second.
func (b *bench) events(rate float64, perEvent int) int {
	n := int(rate*b.o.arm.Seconds()) / max(perEvent, 1)
	return max(n, 200/max(perEvent, 1), 20)
}

// code is the value that the filter of rule i looks for.
func code(i int) string { return "C-" + strconv.Itoa(i) }
