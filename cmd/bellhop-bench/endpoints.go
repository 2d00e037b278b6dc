package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// endpointCase is one kind of receiver.
type endpointCase struct {
	name      string
	receivers int // 0 means 1
	pad       int // bytes more in the body
	delay     time.Duration
	scheme    string // "" means http
	port      int
}

func (b *bench) endpointCases() []endpointCase {
	many := 1000
	if b.o.full {
		many = 10_000
	}
	return []endpointCase{
		{name: "100 receivers", receivers: 100, port: b.ports.Plain},
		{name: strconv.Itoa(many) + " receivers", receivers: many, port: b.ports.Plain},
		{name: "1 KiB body", pad: 1 << 10, port: b.ports.Plain},
		{name: "64 KiB body", pad: 64 << 10, port: b.ports.Plain},
		{name: "1 ms latency", delay: time.Millisecond, port: b.ports.Plain},
		{name: "20 ms latency", delay: 20 * time.Millisecond, port: b.ports.Plain},
		{name: "200 ms latency", delay: 200 * time.Millisecond, port: b.ports.Plain},
		{name: "TLS", scheme: "https", port: b.ports.TLS},
		{name: "TLS, HTTP/2", scheme: "https", port: b.ports.HTTP2},
		{name: "TLS, HTTP/2, 20 ms", delay: 20 * time.Millisecond, scheme: "https", port: b.ports.HTTP2},
	}
}

// endpoints measures kinds of receivers, each next to the bare loop against the same.
func endpoints(ctx context.Context, b *bench, r *result) error {
	r.columns = rateColumns(column{"case", "receiver", ""})
	sample, err := b.usualSample(ctx)
	if err != nil {
		return err
	}
	rounds := 1
	if b.o.full {
		rounds = 3
	}
	for _, c := range b.endpointCases() {
		if b.over() {
			r.note("%s: not measured, the time was over", c.name)
			continue
		}
		b.progress("endpoints: %s", c.name)
		got, err := b.endpoint(ctx, c, sample, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		r.add(got.row(map[string]any{"case": c.name}))
	}
	r.note("256 workers; every receiver is an address and port of its own")
	return nil
}

// endpoint measures one kind.
func (b *bench) endpoint(ctx context.Context, c endpointCase, sample []byte, rounds int) (paired, error) {
	urls := make([]string, max(c.receivers, 1))
	f := newRuleFile()
	parameters := usualParameters
	if c.pad > 0 {
		parameters = strings.TrimSuffix(parameters, "}") + `, note: "@{note}"}`
	}
	for i := range urls {
		urls[i] = endpointURL(cmp.Or(c.scheme, "http"), c.port, i, "/hook")
		// An event type for each, so that many receivers are measured and not many rules.
		f.rule(fmt.Sprintf("r-%d", i), typeOf(i), "", parameters, urls[i])
	}
	path, err := f.write(b, "endpoints-"+strings.NewReplacer(" ", "-", ",", "", "/", "").Replace(c.name))
	if err != nil {
		return paired{}, err
	}
	pad := strings.Repeat("x", c.pad)
	if c.pad > 0 {
		// The loop sends what the daemon sends.
		sample = []byte(string(sample) + "&note=" + pad)
	}
	expected := b.rate
	if c.delay > 0 {
		expected = min(expected, 256/(c.delay.Seconds()+0.005))
	}
	if c.pad > 16<<10 {
		expected /= 2
	}
	return b.measure(ctx, pair{
		drain: drainOptions{daemon: daemonOptions{rules: path}, delay: c.delay, event: func(i int) *nats.Msg {
			return eventOf(i, typeOf(i%len(urls)), time.Now(), "SAFE-101", pad)
		}},
		bare:   bareOptions{urls: urls, workers: 256, delay: c.delay, sample: sample},
		rounds: rounds, rate: expected,
	})
}

// typeOf is the event type of receiver i.
func typeOf(i int) string { return "course.completed-" + strconv.Itoa(i) }
