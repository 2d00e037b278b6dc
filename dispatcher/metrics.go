package dispatcher

import (
	"github.com/prometheus/client_golang/prometheus"

	"bellhop/dispatcher/delivery"
)

// Metrics are the engine's counters, for Prometheus. Label values are bounded.
type Metrics struct {
	Events     prometheus.Counter
	Repeated   prometheus.Counter
	Outcomes   *prometheus.CounterVec
	Errors     *prometheus.CounterVec
	Parked     prometheus.Counter
	Discarded  prometheus.Counter
	BusErrors  *prometheus.CounterVec
	LoadErrors prometheus.Counter
	Reloads    prometheus.Counter
	Held       prometheus.Gauge
	InFlight   prometheus.Gauge
	Latency    prometheus.Histogram
}

// NewMetrics allocates the metrics, all at zero.
func NewMetrics() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "bellhop_" + name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bellhop_" + name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "bellhop_" + name, Help: help})
	}
	m := &Metrics{
		Events:     counter("events_total", "Events taken from the bus by this daemon."),
		Repeated:   counter("repeated_total", "Deliveries not made again because their outcome was recorded already."),
		Outcomes:   vec("outcomes_total", "Outcomes published by this daemon.", "outcome"),
		Errors:     vec("attempt_errors_total", "Attempts that failed, by kind of error.", "kind"),
		Parked:     counter("parked_total", "Attempts that did not fit their lane and wait on the bus."),
		Discarded:  counter("outcomes_discarded_total", "Outcomes that limits of their stream took away before their age was over, read by nobody or by all."),
		BusErrors:  vec("bus_errors_total", "Requests to the bus that failed and were made again.", "what"),
		LoadErrors: counter("rules_load_errors_total", "Rule files that were not put in force because of errors."),
		Reloads:    counter("rules_reloads_total", "Rule sets put in force since the start."),
		Held:       gauge("held_messages", "Messages held and not yet acknowledged."),
		InFlight:   gauge("attempts_in_flight", "POSTs under way."),
		Latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bellhop_attempt_duration_seconds", Help: "Time from an attempt's start to its end.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
	}
	// All there from the start: a counter that appears with its first count hides that count from increase().
	for _, o := range []delivery.Outcome{delivery.Delivered, delivery.Retrying, delivery.Failed, delivery.Rejected} {
		m.Outcomes.WithLabelValues(string(o))
	}
	for _, k := range delivery.Kinds() {
		m.Errors.WithLabelValues(string(k))
	}
	for _, what := range []string{"ack", "pull", "publish", "schedule", "unschedule", "park", "open lane", "look up", "outcome", "hold"} {
		m.BusErrors.WithLabelValues(what)
	}
	return m
}

// Register registers the metrics.
func (m *Metrics) Register(r prometheus.Registerer) {
	r.MustRegister(m.Events, m.Repeated, m.Outcomes, m.Errors, m.Parked, m.Discarded, m.BusErrors, m.LoadErrors, m.Reloads, m.Held, m.InFlight, m.Latency)
}
