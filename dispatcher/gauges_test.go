package dispatcher

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"bellhop/dispatcher/endpoint"
	"bellhop/dispatcher/rule"
)

// laneCollector makes a collector of an engine's lanes.
type laneCollector struct{ d *Dispatcher }

func (laneCollector) Describe(out chan<- *prometheus.Desc)   { DescribeLanes(out) }
func (c laneCollector) Collect(out chan<- prometheus.Metric) { c.d.CollectLanes(out) }

// TestLaneSeriesAreBounded has more endpoints than there are series: those beyond the first are added up in one, and no series is
// ever lost or renamed.
func TestLaneSeriesAreBounded(t *testing.T) {
	d := New(newMemBus().engine(), &poster{answer: ok}, Options{})
	file := func(from, to int) string {
		var b strings.Builder
		b.WriteString("rules:\n  - name: many\n    on: course.completed\n    webhooks:\n")
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, "      - endpoint: http://host-%d.test/hook\n", i)
		}
		return b.String()
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(laneCollector{d})
	gather := func() map[string]float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			if f.GetName() == "bellhop_lane_attempts_total" {
				for _, m := range f.GetMetric() {
					got[laneOf(m)] = m.GetCounter().GetValue()
				}
			}
		}
		return got
	}
	const lanes = 3*maxLaneLabels + 50
	call := func(from, to int) {
		for i := from; i < to; i++ {
			d.pool.judged(fmt.Sprintf("http://host-%d.test:80", i), i%2 == 0, false)
		}
	}
	d.SetRules(rules(t, file(0, maxLaneLabels+50)))
	call(0, maxLaneLabels+50)
	before := gather()
	if len(before) != maxLaneLabels+1 || before[OtherLane] != 50 {
		t.Fatalf("%d lanes have %d series, and %v attempts in %q; want %d series and 50 attempts", maxLaneLabels+50, len(before), before[OtherLane],
			OtherLane, maxLaneLabels+1)
	}
	// Other rules, other endpoints: there is no more room.
	d.SetRules(rules(t, file(maxLaneLabels+50, lanes)))
	call(0, lanes)
	after := gather()
	if len(after) != len(before) {
		t.Errorf("%d series with other rules, %d before", len(after), len(before))
	}
	sum := 0.0
	for label, n := range after {
		if n <= before[label] {
			t.Errorf("series %s counts %v, and %v before", label, n, before[label])
		}
		sum += n
	}
	if want := float64(maxLaneLabels + 50 + lanes); sum != want {
		t.Errorf("all series together count %v attempts, want %v", sum, want)
	}
}

func laneOf(m *dto.Metric) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == "lane" {
			return l.GetValue()
		}
	}
	return ""
}

// TestLaneSeriesHideSecretHosts has a host that is a secret: its series has the secret's name.
func TestLaneSeriesHideSecretHosts(t *testing.T) {
	d := New(newMemBus().engine(), &poster{answer: ok}, Options{})
	d.SetRules(InForce{Set: &rule.Set{Rules: []*rule.Rule{{Webhooks: []*rule.Webhook{
		{Endpoint: "https://${HOST}/hooks", URL: endpoint.URL{Lane: "https://h1dden.test:443"}},
	}}}}})
	d.pool.judged("https://h1dden.test:443", false, false)
	registry := prometheus.NewRegistry()
	registry.MustRegister(laneCollector{d})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(families)
	if !strings.Contains(text, "https://${HOST}") || strings.Contains(text, "h1dden") {
		t.Errorf("the lane of a secret host shows as %s", text)
	}
}
