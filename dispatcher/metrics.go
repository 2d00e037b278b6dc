package dispatcher

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/telemetry"
)

// Metrics are the engine's counters, for Prometheus. Label values are bounded.
type Metrics struct {
	Events     prometheus.Counter
	Repeated   prometheus.Counter
	Calls      prometheus.Counter
	Attempts   *prometheus.CounterVec
	Outcomes   *prometheus.CounterVec
	Errors     *prometheus.CounterVec
	Parked     prometheus.Counter
	Discarded  prometheus.Counter
	BusErrors  *prometheus.CounterVec
	LoadErrors prometheus.Counter
	Reloads    prometheus.Counter
	LastLoad   prometheus.Gauge
	Spans      *prometheus.CounterVec
	StoreErrs  prometheus.Counter
	Held       prometheus.Gauge
	InFlight   prometheus.Gauge
	Latency    prometheus.Histogram
	Wait       prometheus.Histogram
	Lateness   prometheus.Histogram

	byStatus  [6]prometheus.Counter // of Attempts, by the status's first digit; at 0 those without a response
	byOutcome map[delivery.Outcome]prometheus.Counter
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
		Calls:      counter("calls_total", "Attempts that were POSTed and whose outcome this daemon published."),
		Attempts:   vec("attempts_total", "Attempts made by this daemon, by the class of the response's status.", "status"),
		Outcomes:   vec("outcomes_total", "Outcomes published by this daemon.", "outcome"),
		Errors:     vec("attempt_errors_total", "Attempts that failed, by kind of error.", "kind"),
		Parked:     counter("parked_total", "Attempts that did not fit their lane and wait on the bus."),
		Discarded:  counter("outcomes_discarded_total", "Outcomes that limits of their stream took away before their age was over, read by nobody or by all."),
		BusErrors:  vec("bus_errors_total", "Requests to the bus that failed and were made again.", "what"),
		LoadErrors: counter("rules_load_errors_total", "Rule files that were not put in force because of errors."),
		Reloads:    counter("rules_reloads_total", "Rule sets put in force since the start."),
		LastLoad:   gauge("rules_last_load_successful", "1 where the rule files as they were last read are in force, 0 where they have errors."),
		StoreErrs:  counter("store_errors_total", "Writes to the store that failed."),
		Spans:      vec("spans_total", "Spans of traces, by what became of them.", "result"),
		Held:       gauge("held_messages", "Messages held and not yet acknowledged."),
		InFlight:   gauge("attempts_in_flight", "POSTs under way."),
		Latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bellhop_attempt_duration_seconds", Help: "Time from an attempt's start to its end.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		Wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bellhop_event_wait_seconds", Help: "Time from an event's arrival in its stream to the start of a first attempt that did not wait on the bus.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
		}),
		Lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bellhop_retry_lateness_seconds", Help: "Time from when a retry was due to its start, waiting for room in its lane included.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
		}),
	}
	// All there from the start: a counter that appears with its first count hides that count from increase().
	m.byOutcome = map[delivery.Outcome]prometheus.Counter{}
	for _, o := range []delivery.Outcome{delivery.Delivered, delivery.Retrying, delivery.Failed, delivery.Rejected} {
		m.byOutcome[o] = m.Outcomes.WithLabelValues(string(o))
	}
	for _, k := range delivery.Kinds() {
		m.Errors.WithLabelValues(string(k))
	}
	for i, class := range []string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		m.byStatus[i] = m.Attempts.WithLabelValues(class)
	}
	for _, result := range telemetry.Results() {
		m.Spans.WithLabelValues(result)
	}
	for _, what := range []string{"ack", "pull", "publish", "schedule", "unschedule", "park", "open lane", "look up", "outcome", "hold"} {
		m.BusErrors.WithLabelValues(what)
	}
	return m
}

// Register registers the metrics.
func (m *Metrics) Register(r prometheus.Registerer) {
	r.MustRegister(m.Events, m.Repeated, m.Calls, m.Attempts, m.Outcomes, m.Errors, m.Parked, m.Discarded, m.BusErrors, m.LoadErrors,
		m.Reloads, m.LastLoad, m.StoreErrs, m.Spans, m.Held, m.InFlight, m.Latency, m.Wait, m.Lateness)
}

// attempted counts an attempt that was made, by the status of its response.
func (m *Metrics) attempted(status int, took time.Duration) {
	class := status / 100
	if class < 0 || class >= len(m.byStatus) {
		// A status that HTTP does not know is taken for a failure of the receiver's.
		class = len(m.byStatus) - 1
	}
	m.byStatus[class].Inc()
	m.Latency.Observe(took.Seconds())
}

// begun observes how long an attempt that begins now has waited for it.
func (m *Metrics) begun(j *job, now time.Time) {
	switch {
	case j.fresh:
		m.Wait.Observe(max(0, now.Sub(j.owner.msg.Time).Seconds()))
	case j.Attempt > 1 && !j.Due.IsZero():
		m.Lateness.Observe(max(0, now.Sub(j.Due).Seconds()))
	}
}
