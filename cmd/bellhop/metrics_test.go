package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v4"
)

// scrape reads a daemon's metrics as Prometheus does.
func (w pageWorld) scrape() map[string]*dto.MetricFamily {
	w.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(w.url + "/metrics")
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		w.Fatalf("/metrics: %v\n%s", err, text)
	}
	return families
}

// busyMetrics are the metrics of a daemon that has had all kinds of outcomes.
func busyMetrics(t *testing.T) (pageWorld, map[string]*dto.MetricFamily) {
	t.Helper()
	w := newPageWorld(t)
	w.publish("course.completed", 1)
	w.publish("module.completed", 2)
	w.publish("course.inactive", 3)
	if _, err := w.js.Publish(t.Context(), "events.course.completed", []byte("no JSON")); err != nil {
		t.Fatal(err)
	}
	for _, outcome := range []string{"delivered", "retrying", "failed", "rejected"} {
		w.counted(outcome, 1)
	}
	// Counts of the bus are a moment old.
	end := time.Now().Add(20 * time.Second)
	for {
		m := w.scrape()
		if value(m, "bellhop_retries_pending", "place", "scheduled") == 1 && value(m, "bellhop_projection_lag_outcomes") == 0 {
			return w, m
		}
		if time.Now().After(end) {
			t.Fatalf("one retry is scheduled and all outcomes are counted, but the metrics say %v", m["bellhop_retries_pending"])
		}
		time.Sleep(50 * time.Millisecond) // a poll's pause
	}
}

// value is a metric's value, or a histogram's count; the sum of all whose label has the value, -1 where there is none.
func value(families map[string]*dto.MetricFamily, name string, label ...string) float64 {
	sum, found := 0.0, false
	for _, m := range families[name].GetMetric() {
		if len(label) == 2 && labelValue(m, label[0]) != label[1] {
			continue
		}
		found = true
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	if !found {
		return -1
	}
	return sum
}

func labelValue(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// TestMetrics holds the documented metrics against those that a daemon prints, which is to count what has happened.
func TestMetrics(t *testing.T) {
	w, families := busyMetrics(t)
	documented := map[string]bool{}
	for _, row := range rows(chapter(t, page(t, "docs", "operations.md"), "## Metrics")) {
		cell, _ := code(row[0])
		if !strings.HasPrefix(cell, "bellhop_") {
			continue // of the table of alerts
		}
		name, labelled, _ := strings.Cut(strings.TrimSuffix(cell, "}"), "{")
		documented[name] = true
		f := families[name]
		if f == nil {
			t.Errorf("%s is documented, and not on /metrics", name)
			continue
		}
		if got := strings.ToLower(f.GetType().String()); got != row[1] {
			t.Errorf("%s is a %s, documented as a %s", name, got, row[1])
		}
		for _, m := range f.GetMetric() {
			var have []string
			for _, l := range m.GetLabel() {
				have = append(have, l.GetName())
			}
			want := strings.FieldsFunc(labelled, func(r rune) bool { return r == ',' || r == ' ' })
			slices.Sort(want)
			slices.Sort(have)
			if !slices.Equal(have, want) {
				t.Errorf("%s has labels %q, documented are %q", name, have, want)
			}
		}
	}
	for name := range families {
		if strings.HasPrefix(name, "bellhop_") && !documented[name] {
			t.Errorf("%s has no row in docs/operations.md", name)
		}
	}
	lane := w.to.url
	for _, c := range []struct {
		name  string
		label []string
		want  float64
	}{
		{"bellhop_ready", nil, 1},
		{"bellhop_bus_connected", nil, 1},
		{"bellhop_events_total", nil, 4},
		{"bellhop_calls_total", nil, 3},
		{"bellhop_outcomes_total", []string{"outcome", "delivered"}, 1},
		{"bellhop_outcomes_total", []string{"outcome", "retrying"}, 1},
		{"bellhop_outcomes_total", []string{"outcome", "failed"}, 1},
		{"bellhop_outcomes_total", []string{"outcome", "rejected"}, 1},
		{"bellhop_attempts_total", []string{"status", "2xx"}, 1},
		{"bellhop_attempts_total", []string{"status", "4xx"}, 1},
		{"bellhop_attempts_total", []string{"status", "5xx"}, 1},
		{"bellhop_attempts_total", []string{"status", "none"}, 0},
		{"bellhop_attempt_errors_total", []string{"kind", "status"}, 2},
		{"bellhop_attempt_duration_seconds", nil, 3},
		{"bellhop_event_wait_seconds", nil, 3},
		{"bellhop_lanes", nil, 1},
		{"bellhop_lane_attempts_total", []string{"lane", lane}, 3},
		{"bellhop_lane_failures_total", []string{"lane", lane}, 2},
		{"bellhop_lane_paused", []string{"lane", lane}, 0},
		{"bellhop_retries_pending", []string{"place", "due"}, 0},
		{"bellhop_retries_pending", []string{"place", "lane"}, 0},
		{"bellhop_consumer_lag_messages", []string{"consumer", "events"}, 0},
		{"bellhop_consumer_lag_messages", []string{"consumer", "retries"}, 0},
		{"bellhop_store_errors_total", nil, 0},
		{"bellhop_rules", nil, 5},
		{"bellhop_rules_reloads_total", nil, 1},
		{"bellhop_rules_last_load_successful", nil, 1},
	} {
		if got := value(families, c.name, c.label...); got != c.want {
			t.Errorf("%s%q = %v, want %v", c.name, c.label, got, c.want)
		}
	}
	if got := value(families, "bellhop_store_size_bytes"); got <= 0 {
		t.Errorf("bellhop_store_size_bytes = %v, want more than 0", got)
	}

	// What a broken file does shows, and that it was mended.
	for _, c := range []struct {
		rules string
		want  float64
	}{{"rules: [{name: broken}]\n", 0}, {pageRules, 1}} {
		w.rules(c.rules)
		end := time.Now().Add(20 * time.Second)
		for value(w.scrape(), "bellhop_rules_last_load_successful") != c.want {
			if time.Now().After(end) {
				t.Fatalf("bellhop_rules_last_load_successful is not %v after the rules were changed", c.want)
			}
			time.Sleep(50 * time.Millisecond) // a poll's pause
		}
	}
}

// expressions checks PromQL against what a daemon prints.
type expressions struct {
	t        *testing.T
	families map[string]*dto.MetricFamily
	parser   parser.Parser
	used     map[string]bool
}

// fromTarget are the labels that Prometheus adds to all that it scrapes.
var fromTarget = []string{"job", "instance"}

// dashboardWords stand for what Grafana fills in.
var dashboardWords = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$__interval", "1m")

func newExpressions(t *testing.T, families map[string]*dto.MetricFamily) *expressions {
	up := "up"
	all := maps.Clone(families)
	all[up] = &dto.MetricFamily{Name: &up, Metric: []*dto.Metric{{}}} // Prometheus's own, of each target
	return &expressions{t, all, parser.NewParser(parser.Options{}), map[string]bool{}}
}

// family finds the metric of a name in PromQL, which for histograms has an ending.
func (x *expressions) family(name string) (f *dto.MetricFamily, bucket bool) {
	if f = x.families[name]; f != nil {
		return f, false
	}
	for _, ending := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, ending); ok && x.families[base].GetType() == dto.MetricType_HISTOGRAM {
			return x.families[base], ending == "_bucket"
		}
	}
	return nil, false
}

// check parses an expression and looks each metric, label and value up. It returns the labels that its metrics have.
func (x *expressions) check(where, text string) map[string]bool {
	x.t.Helper()
	known := map[string]bool{}
	for _, l := range fromTarget {
		known[l] = true
	}
	expr, err := x.parser.ParseExpr(dashboardWords.Replace(text))
	if err != nil {
		x.t.Errorf("%s: %s: %v", where, text, err)
		return known
	}
	var asked []string
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			x.selector(where, n, known)
		case *parser.AggregateExpr:
			asked = append(asked, n.Grouping...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				asked = append(asked, n.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	for _, l := range asked {
		if !known[l] {
			x.t.Errorf("%s: %s: no metric in it has a label %s", where, text, l)
		}
	}
	return known
}

func (x *expressions) selector(where string, s *parser.VectorSelector, known map[string]bool) {
	x.t.Helper()
	f, bucket := x.family(s.Name)
	if f == nil {
		x.t.Errorf("%s: no metric %s on /metrics", where, s.Name)
		return
	}
	x.used[f.GetName()] = true
	values := map[string][]string{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			values[l.GetName()] = append(values[l.GetName()], l.GetValue())
			known[l.GetName()] = true
		}
	}
	known["le"] = known["le"] || bucket
	for _, m := range s.LabelMatchers {
		if m.Name == model.MetricNameLabel || slices.Contains(fromTarget, m.Name) {
			continue
		}
		if have, ok := values[m.Name]; !ok || !slices.ContainsFunc(have, m.Matches) {
			x.t.Errorf("%s: %s: %s is of no series; its values are %q", where, s.Name, m, have)
		}
	}
}

// TestAlerts reads the alert rules as Prometheus does, and holds each expression and each word of its texts against a daemon.
func TestAlerts(t *testing.T) {
	_, families := busyMetrics(t)
	x := newExpressions(t, families)
	type alert struct {
		Alert       string            `yaml:"alert"`
		Expr        string            `yaml:"expr"`
		For         string            `yaml:"for"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
	}
	var file struct {
		Groups []struct {
			Name     string  `yaml:"name"`
			Interval string  `yaml:"interval"`
			Rules    []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	text := page(t, "docs", "alerts.yaml")
	in, err := yaml.NewLoader(strings.NewReader(text), yaml.WithKnownFields(true))
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Load(&file); err != nil {
		t.Fatalf("docs/alerts.yaml: %v", err)
	}
	documented := map[string][]string{}
	for _, row := range rows(chapter(t, page(t, "docs", "operations.md"), "### Alerts")) {
		name, _ := code(row[0])
		documented[name] = row
	}
	ofText := regexp.MustCompile(`\$labels\.(\w+)`)
	seen := map[string]bool{}
	for _, g := range file.Groups {
		for _, a := range g.Rules {
			if a.Alert == "" || seen[a.Alert] || g.Name == "" {
				t.Errorf("group %q: an alert %q without a name, or with that of another", g.Name, a.Alert)
			}
			seen[a.Alert] = true
			if a.For != "" {
				if _, err := model.ParseDuration(a.For); err != nil {
					t.Errorf("%s: for: %v", a.Alert, err)
				}
			}
			if row := documented[a.Alert]; row == nil || row[1] != a.Labels["severity"] {
				t.Errorf("%s of severity %q is documented as %q", a.Alert, a.Labels["severity"], row)
			}
			known := x.check(a.Alert, a.Expr)
			if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
				t.Errorf("%s has no summary or no description", a.Alert)
			}
			for _, text := range a.Annotations {
				for _, l := range ofText.FindAllStringSubmatch(text, -1) {
					if !known[l[1]] {
						t.Errorf("%s speaks of the label %s, which no metric in it has", a.Alert, l[1])
					}
				}
			}
		}
	}
	for name := range documented {
		if !seen[name] {
			t.Errorf("%s is documented, and no alert", name)
		}
	}
	if len(seen) < 12 {
		t.Errorf("%d alerts, want 12 at least", len(seen))
	}
}

// TestDashboard reads the dashboard, and holds each expression against a daemon.
func TestDashboard(t *testing.T) {
	_, families := busyMetrics(t)
	x := newExpressions(t, families)
	type source struct{ Type, UID string }
	type panel struct {
		ID         int
		Type       string
		Title      string
		Datasource *source
		GridPos    struct{ X, Y, W, H int }
		Targets    []struct {
			Expr, LegendFormat, RefID string
			Datasource                source
		}
	}
	var dash struct {
		Title, UID    string
		SchemaVersion int
		Templating    struct {
			List []struct {
				Name, Type string
				Datasource *source
				Query      json.RawMessage
			}
		}
		Panels []panel
	}
	if err := json.Unmarshal([]byte(page(t, "docs", "grafana-dashboard.json")), &dash); err != nil {
		t.Fatalf("docs/grafana-dashboard.json: %v", err)
	}
	if dash.Title == "" || dash.SchemaVersion == 0 {
		t.Error("the dashboard has no title or no schemaVersion: Grafana imports none such")
	}
	chosen := source{"prometheus", "${datasource}"}
	ofQuery := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	variables := map[string]bool{}
	for _, v := range dash.Templating.List {
		variables[v.Name] = true
		if v.Type == "datasource" {
			continue
		}
		var query struct{ Query string }
		if err := json.Unmarshal(v.Query, &query); err != nil {
			t.Errorf("variable %s: %v", v.Name, err)
		}
		m := ofQuery.FindStringSubmatch(query.Query)
		if m == nil || v.Datasource == nil || *v.Datasource != chosen {
			t.Errorf("variable %s asks %q of %v", v.Name, query.Query, v.Datasource)
			continue
		}
		if known := x.check("variable "+v.Name, m[1]); !known[m[2]] {
			t.Errorf("variable %s lists the label %s, which %s has not", v.Name, m[2], m[1])
		}
	}
	if !variables["datasource"] {
		t.Error("no variable of the data source")
	}
	ids := map[int]bool{}
	ofVariable := regexp.MustCompile(`\$\{?(\w+)`)
	ofLegend := regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
	for _, p := range dash.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: its id is another's, it has no title, or is beyond the right edge", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource == nil || *p.Datasource != chosen {
			t.Errorf("panel %q has no query, or data source %v", p.Title, p.Datasource)
		}
		for _, target := range p.Targets {
			where := fmt.Sprintf("panel %q %s", p.Title, target.RefID)
			if target.Datasource != chosen {
				t.Errorf("%s: data source %v", where, target.Datasource)
			}
			known := x.check(where, target.Expr)
			for _, l := range ofLegend.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !known[l[1]] {
					t.Errorf("%s: its legend speaks of the label %s, which no metric in it has", where, l[1])
				}
			}
			for _, v := range ofVariable.FindAllStringSubmatch(dashboardWords.Replace(target.Expr), -1) {
				if !variables[v[1]] {
					t.Errorf("%s: no variable %s", where, v[1])
				}
			}
		}
	}
	for name := range families {
		if strings.HasPrefix(name, "bellhop_") && !x.used[name] && name != "bellhop_lanes" {
			t.Errorf("%s is on no panel", name)
		}
	}
}
