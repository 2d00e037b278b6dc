package main

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bellhop/dispatcher"
	"bellhop/dispatcher/bus"
)

const (
	// gaugesWithin bounds how long a scrape waits for the bus; what that does not say in time is left out.
	gaugesWithin = 2 * time.Second
	// gaugesFor is how long the bus's answer serves further scrapes.
	gaugesFor = time.Second
)

// gauges are what a scrape reads: of the daemon, its store and what waits on the bus. It implements prometheus.Collector.
type gauges struct {
	d *daemon

	build, ready, connected                 *prometheus.Desc
	rules, projectionLag, projectionStalled *prometheus.Desc
	storeSize, storeIndexed                 *prometheus.Desc
	lag, held, retries                      *prometheus.Desc

	mu     sync.Mutex
	asked  time.Time
	said   busSays
	answer chan struct{} // closed with the answer to the one question under way; nil: none is
}

// busSays is the bus's answer.
type busSays struct {
	connected bool
	stock     *bus.Stock // nil: no answer
	results   *bus.ResultsState
}

func newGauges(d *daemon) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("bellhop_"+name, help, labels, nil)
	}
	return &gauges{
		d:                 d,
		build:             desc("build_info", "1, with the version of Bellhop and of Go.", "version", "go"),
		ready:             desc("ready", "1 while the daemon is connected and consuming, as /readyz says."),
		connected:         desc("bus_connected", "1 while the daemon is connected to NATS."),
		rules:             desc("rules", "Rules in force."),
		projectionLag:     desc("projection_lag_outcomes", "Outcomes in their stream that the store has not counted yet."),
		projectionStalled: desc("projection_stalled", "1 where outcomes cannot be counted now."),
		storeSize:         desc("store_size_bytes", "Size of the store's file."),
		storeIndexed:      desc("store_indexed_outcomes", "Outcomes that the store's index holds."),
		lag:               desc("consumer_lag_messages", "Messages that the consumer has not handed to any daemon yet.", "consumer"),
		held:              desc("consumer_held_messages", "Messages handed to a daemon, of whichever, and not acknowledged yet.", "consumer"),
		retries:           desc("retries_pending", "Attempts that wait on the bus, by what for.", "place"),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		g.build, g.ready, g.connected, g.rules, g.projectionLag, g.projectionStalled, g.storeSize, g.storeIndexed, g.lag, g.held, g.retries,
	} {
		out <- d
	}
	dispatcher.DescribeLanes(out)
}

// Collect implements prometheus.Collector. What is not known now is left out.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	d := g.d
	gauge(g.build, 1, buildVersion(), runtime.Version())
	gauge(g.storeSize, float64(d.db.Size()))
	progress := d.db.Progress()
	gauge(g.storeIndexed, float64(progress.Indexed))
	gauge(g.ready, truth(d.isReady() == nil))
	if d.ready.Load() != nil {
		// The bus is being reached, or the daemon ends: there is nothing more to say.
		gauge(g.connected, 0)
		return
	}
	gauge(g.rules, float64(len(d.engine.Rules().Set.Rules)))
	gauge(g.projectionStalled, truth(d.link.Counting() != nil))
	d.engine.CollectLanes(out)
	said := g.ask()
	gauge(g.connected, truth(said.connected))
	if r := said.results; r != nil {
		gauge(g.projectionLag, float64(lagBehind(progress, *r)))
	}
	if s := said.stock; s != nil {
		gauge(g.lag, float64(s.Events), "events")
		gauge(g.held, float64(s.EventsHeld), "events")
		gauge(g.lag, float64(s.Due), "retries")
		gauge(g.held, float64(s.DueHeld), "retries")
		gauge(g.retries, float64(s.Scheduled), "scheduled")
		gauge(g.retries, float64(s.Due+s.DueHeld), "due")
		gauge(g.retries, float64(s.Waiting), "lane")
	}
}

// ask asks the bus, unless somebody just has or is at it. It waits no longer than gaugesWithin: a connection whose server is stuck
// can block whoever uses it, whatever the deadline.
func (g *gauges) ask() busSays {
	g.mu.Lock()
	if time.Since(g.asked) < gaugesFor {
		defer g.mu.Unlock()
		return g.said
	}
	if g.answer == nil {
		g.answer = make(chan struct{})
		go g.question(g.answer)
	}
	answer := g.answer
	g.mu.Unlock()
	late := time.NewTimer(gaugesWithin)
	defer late.Stop()
	select {
	case <-answer:
	case <-late.C:
		return busSays{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.said
}

// question gets the bus's answer.
func (g *gauges) question(answer chan struct{}) {
	var said busSays
	if said.connected = g.d.bus.Connected(); said.connected {
		ctx, cancel := context.WithTimeout(context.Background(), gaugesWithin)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if s, err := g.d.bus.Stock(ctx); err == nil {
				said.stock = &s
			}
		})
		wg.Go(func() {
			if r, err := g.d.bus.Results(ctx); err == nil {
				said.results = &r
			}
		})
		wg.Wait()
	}
	g.mu.Lock()
	g.said, g.asked, g.answer = said, time.Now(), nil
	g.mu.Unlock()
	close(answer)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
