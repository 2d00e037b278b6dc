package dispatcher

import "github.com/prometheus/client_golang/prometheus"

// Series of the lanes, and of what is under way. They are read when they are asked for, so they cost deliveries nothing.
var (
	laneLabel   = []string{"lane"}
	descLanes   = prometheus.NewDesc("bellhop_lanes", "Endpoints that this daemon has called since its start.", nil, nil)
	descUnsaid  = prometheus.NewDesc("bellhop_outcomes_unconfirmed", "Attempts made whose outcome the bus has not confirmed yet.", nil, nil)
	descCalls   = prometheus.NewDesc("bellhop_lane_attempts_total", "Attempts made, by lane.", laneLabel, nil)
	descFailed  = prometheus.NewDesc("bellhop_lane_failures_total", "Attempts that failed, by lane.", laneLabel, nil)
	descUnder   = prometheus.NewDesc("bellhop_lane_in_flight", "Attempts under way, by lane.", laneLabel, nil)
	descQueued  = prometheus.NewDesc("bellhop_lane_queued", "Attempts that wait in this daemon for room in their lane.", laneLabel, nil)
	descBacklog = prometheus.NewDesc("bellhop_lane_backlog", "1 where more of the lane waits on the bus.", laneLabel, nil)
	descPaused  = prometheus.NewDesc("bellhop_lane_paused", "1 where the lane is paused, by an operator or as its receiver asked.", laneLabel, nil)
	descFailing = prometheus.NewDesc("bellhop_lane_failing", "1 where every attempt has failed for long, so that the lane gets few at a time.", laneLabel, nil)
)

// DescribeLanes sends the descriptions of what CollectLanes sends.
func DescribeLanes(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descLanes, descUnsaid, descCalls, descFailed, descUnder, descQueued, descBacklog, descPaused, descFailing,
	} {
		out <- d
	}
}

// CollectLanes sends what the lanes are doing now. Lanes without a series of their own are added up in one.
func (d *Dispatcher) CollectLanes(out chan<- prometheus.Metric) {
	type sums struct {
		attempts, failures                                uint64
		inFlight, queued, backlogged, paused, failingOnes int
	}
	lanes := d.Lanes()
	byLabel := map[string]*sums{}
	for _, l := range lanes {
		label := d.labels.of(l.Name)
		s := byLabel[label]
		if s == nil {
			s = &sums{}
			byLabel[label] = s
		}
		s.attempts += l.Attempts
		s.failures += l.Failures
		s.inFlight += l.InFlight
		s.queued += l.Queued
		if l.Backlog {
			s.backlogged++
		}
		if l.Paused || !l.PausedUntil.IsZero() {
			s.paused++
		}
		if l.Failing {
			s.failingOnes++
		}
	}
	gauge := func(desc *prometheus.Desc, v int, label ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(v), label...)
	}
	gauge(descLanes, len(lanes))
	gauge(descUnsaid, int(d.pool.settling.Load()))
	for label, s := range byLabel {
		out <- prometheus.MustNewConstMetric(descCalls, prometheus.CounterValue, float64(s.attempts), label)
		out <- prometheus.MustNewConstMetric(descFailed, prometheus.CounterValue, float64(s.failures), label)
		gauge(descUnder, s.inFlight, label)
		gauge(descQueued, s.queued, label)
		gauge(descBacklog, s.backlogged, label)
		gauge(descPaused, s.paused, label)
		gauge(descFailing, s.failingOnes, label)
	}
}
