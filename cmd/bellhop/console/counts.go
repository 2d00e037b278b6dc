package console

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/store"
)

// Counts is what the console asks of the store's counters.
type Counts interface {
	Stats() (store.Stats, error)
	Series(w store.Window, dim store.Dimension, value string) ([]store.Point, error)
	Breakdown(from, to time.Time, dim store.Dimension) ([]store.Share, error)
	Durations(from, to time.Time, dim store.Dimension, value string) (store.Histogram, error)
	StepFor(from, to time.Time) store.Step
}

var dimensions = map[string]store.Dimension{
	"": store.All, "rule": store.ByRule, "webhook": store.ByWebhook, "endpoint": store.ByEndpoint, "type": store.ByType, "kind": store.ByKind,
}

var stepNames = map[string]store.Step{"minute": store.Minute, "hour": store.Hour, "day": store.Day}

// maxPoints bounds a series.
const maxPoints = 3000

// parseTime reads an RFC 3339 time, or a duration (of Go's, or in days or weeks: 7d, 2w) back from now.
func parseTime(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	d, err := ParseAge(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no RFC 3339 time, and no duration such as 15m, 24h or 7d", text)
	}
	return now.Add(-d).UTC(), nil
}

// ParseAge reads a duration as people give it: of Go's, or in whole days or weeks.
func ParseAge(text string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if digits, ok := strings.CutSuffix(text, unit); ok {
			if n, err := strconv.ParseUint(digits, 10, 16); err == nil {
				return time.Duration(n) * length, nil
			}
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration: 15m, 24h, 7d", text)
	}
	return d, nil
}

// window reads from and to: the last day where neither is given.
func window(q url.Values) (from, to time.Time, err error) {
	to = time.Now().UTC()
	now := to
	if text := q.Get("to"); text != "" {
		if to, err = parseTime(text, now); err != nil {
			return from, to, fmt.Errorf("to: %w", err)
		}
	}
	from = to.Add(-24 * time.Hour)
	if text := q.Get("from"); text != "" {
		if from, err = parseTime(text, now); err != nil {
			return from, to, fmt.Errorf("from: %w", err)
		}
	}
	if !from.Before(to) {
		return from, to, fmt.Errorf("from %s is not before to %s", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	return from, to, nil
}

// narrowed reads by and value.
func narrowed(q url.Values) (store.Dimension, string, error) {
	by, value := q.Get("by"), q.Get("value")
	dim, ok := dimensions[by]
	switch {
	case !ok:
		return 0, "", fmt.Errorf("by: %q is none of rule, webhook, endpoint, type, kind", by)
	case dim == store.All && value != "":
		return 0, "", fmt.Errorf("value needs by, which says of what: rule, webhook, endpoint, type, kind")
	case dim != store.All && value == "":
		return 0, "", fmt.Errorf("by %s needs a value", by)
	}
	return dim, value, nil
}

func (s *Server) stats(w http.ResponseWriter, _ *http.Request) {
	stats, err := s.o.Counts.Stats()
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, stats)
}

func (s *Server) series(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, to, err := window(q)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	dim, value, err := narrowed(q)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	step := s.o.Counts.StepFor(from, to)
	if name := q.Get("step"); name != "" {
		chosen, ok := stepNames[name]
		if !ok {
			problem(w, http.StatusBadRequest, fmt.Sprintf("step: %q is none of minute, hour, day", name))
			return
		}
		if n := to.Sub(from) / chosen.Length(); n > maxPoints {
			problem(w, http.StatusBadRequest, fmt.Sprintf("step: %d points of a %s are too many, at most %d: take a longer step", n, name, maxPoints))
			return
		}
		if time.Since(from) > chosen.Keep()+chosen.Length() {
			problem(w, http.StatusBadRequest, fmt.Sprintf("step: counts by the %s are kept for %s: take a longer step", name, chosen.Keep()))
			return
		}
		step = chosen
	}
	points, err := s.o.Counts.Series(store.Window{From: from, To: to, Step: step}, dim, value)
	if err != nil {
		s.fail(w, err)
		return
	}
	out := api.Series{From: from, To: to, Points: make([]api.Point, 0, len(points))}
	for name, one := range stepNames {
		if one == step {
			out.Step = name
		}
	}
	for _, p := range points {
		c := api.Counts(p.Counts)
		out.Sum.Add(c)
		out.Points = append(out.Points, api.Point{At: p.At, Counts: c})
	}
	answer(w, out)
}

func (s *Server) breakdown(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, to, err := window(q)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	dim, ok := dimensions[q.Get("by")]
	if !ok || dim == store.All {
		problem(w, http.StatusBadRequest, fmt.Sprintf("by: %q is none of rule, webhook, endpoint, type, kind", q.Get("by")))
		return
	}
	limit, err := number(q, "limit", 100, 1, 1000)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	list, err := s.o.Counts.Breakdown(from, to, dim)
	if err != nil {
		s.fail(w, err)
		return
	}
	switch q.Get("sort") {
	case "", "calls":
	case "errors":
		slices.SortStableFunc(list, func(a, b store.Share) int { return cmp.Compare(b.Errors, a.Errors) })
	default:
		problem(w, http.StatusBadRequest, fmt.Sprintf("sort: %q is neither calls nor errors", q.Get("sort")))
		return
	}
	out := api.Breakdown{By: q.Get("by"), From: from, To: to, Items: make([]api.Share, 0, min(limit, len(list)))}
	for _, one := range list[:min(limit, len(list))] {
		out.Items = append(out.Items, api.Share{
			Value: one.Value, Counts: api.Counts(one.Counts), P50: quantile(one.Durations, .5), P95: quantile(one.Durations, .95),
		})
	}
	answer(w, out)
}

func (s *Server) latency(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, to, err := window(q)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	dim, value, err := narrowed(q)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	h, err := s.o.Counts.Durations(from, to, dim, value)
	if err != nil {
		s.fail(w, err)
		return
	}
	out := api.Latency{From: from, To: to, Count: h.Count(), Buckets: []api.LatencyStep{}, Percentiles: api.Percentiles{
		P50: quantile(h, .5), P90: quantile(h, .9), P95: quantile(h, .95), P99: quantile(h, .99),
	}}
	for _, b := range slices.Sorted(maps.Keys(h)) {
		out.Buckets = append(out.Buckets, api.LatencyStep{LE: rounded(store.Bound(b)), Count: h[b]})
	}
	answer(w, out)
}

// quantile is nil where nothing was timed.
func quantile(h store.Histogram, q float64) *float64 {
	v, ok := h.Quantile(q)
	if !ok {
		return nil
	}
	v = rounded(v)
	return &v
}

// rounded cuts milliseconds to microseconds.
func rounded(ms float64) float64 { return float64(int64(ms*1000+.5)) / 1000 }

// number reads a whole number within bounds.
func number(q url.Values, name string, otherwise, least, most int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s: %q is no whole number from %d to %d", name, text, least, most)
	}
	return n, nil
}
