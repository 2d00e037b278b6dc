package console

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/store"
)

// badgeWindows are the windows that a badge can show, each with its name on the badge.
var badgeWindows = map[string]struct {
	name  string
	lasts time.Duration // 0: from the beginning
}{
	"1h": {"last hour", time.Hour}, "24h": {"last day", 24 * time.Hour}, "7d": {"last week", 7 * 24 * time.Hour}, "all": {"all", 0},
}

// badge draws the counts of a window as a picture, for pages that show pictures alone.
func (s *Server) badge(w http.ResponseWriter, r *http.Request) {
	key := r.URL.Query().Get("window")
	if key == "" {
		key = "24h"
	}
	window, ok := badgeWindows[key]
	if !ok {
		problem(w, http.StatusBadRequest, fmt.Sprintf("window: %q is none of 1h, 24h, 7d, all", key))
		return
	}
	counts, err := s.countsOf(window.lasts)
	if err != nil {
		s.fail(w, err)
		return
	}
	colour := "#2a7a4b"
	switch {
	case counts.Failed > 0:
		colour = "#b3261e"
	case counts.Errors > 0:
		colour = "#8a5a00"
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	// Pages that show it to many ask for it through a cache.
	w.Header().Set("Cache-Control", "max-age=30")
	drawBadge(w, "webhooks, "+window.name, fmt.Sprintf("%s, %s", countOf(counts.Calls, "call"), countOf(counts.Errors, "error")), colour)
}

// countsOf sums the counts of the time up to now; 0 sums all.
func (s *Server) countsOf(lasts time.Duration) (api.Counts, error) {
	var sum api.Counts
	if lasts == 0 {
		stats, err := s.o.Counts.Stats()
		return api.Counts{Calls: stats.Calls, Errors: stats.Errors, Failed: stats.Failed}, err
	}
	to := time.Now().UTC()
	from := to.Add(-lasts)
	points, err := s.o.Counts.Series(store.Window{From: from, To: to, Step: s.o.Counts.StepFor(from, to)}, store.All, "")
	for _, p := range points {
		sum.Add(api.Counts(p.Counts))
	}
	return sum, err
}

// drawBadge writes a label and a value side by side. Both are the program's own words and numbers: nothing in them needs escaping.
func drawBadge(w http.ResponseWriter, label, value, colour string) {
	const height, pad, perChar = 20, 7, 6.3
	left, right := float64(len(label))*perChar+2*pad, float64(len(value))*perChar+2*pad
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" role="img" aria-label="%s: %s">`+
		`<title>%[3]s: %[4]s</title><rect width="%.0[1]f" height="%[2]d" rx="3" fill="#3b4249"/>`, left+right, height, label, value)
	fmt.Fprintf(w, `<path fill="%s" d="M%.1f 0h%.1fa3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-%.1fz"/>`, colour, left, right-3, right-3)
	fmt.Fprintf(w, `<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="%d" y="14" textLength="%.1f">%s</text>`+
		`<text x="%.1f" y="14" textLength="%.1f">%s</text></g></svg>`, pad, left-2*pad, label, left+pad, right-2*pad, value)
}

// countOf is a number with its noun: 1 call, 1,204 calls.
func countOf(n uint64, noun string) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	if n != 1 {
		noun += "s"
	}
	return b.String() + " " + noun
}
