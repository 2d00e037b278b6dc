package main

import (
	"cmp"
	"slices"
	"time"
)

// arrived is what came to the receiver since it was last reset.
type arrived struct {
	Requests   int `json:"requests"`
	Distinct   int `json:"distinct"`   // deliveries, by webhook-id
	Duplicated int `json:"duplicated"` // requests of a delivery and attempt that had come already
	Unretried  int `json:"unretried"`  // deliveries that were refused once and did not come again

	First time.Time     `json:"first"`
	Span  time.Duration `json:"span"` // from the first request to the last
	Rate  float64       `json:"rate"` // requests a second in it

	Latency  spread `json:"latency"`  // from when it was meant to be published, first attempts; not those to /flaky
	Lateness spread `json:"lateness"` // second attempts, from the first's arrival and the delay
	Early    int    `json:"early"`    // second attempts that came before their time

	FirstRate float64 `json:"first_rate"` // of the first and the last requests, as many as were asked for
	LastRate  float64 `json:"last_rate"`
}

// arrivedOf sums notes up, which it sorts. retry is the delay before second attempts, edge the length of the first and the
// last stretch; 0 leaves their parts empty.
func arrivedOf(notes []note, retry time.Duration, edge int) arrived {
	a := arrived{Requests: len(notes)}
	if len(notes) == 0 {
		return a
	}
	slices.SortFunc(notes, func(x, y note) int { return cmp.Compare(x.at, y.at) })
	last := len(notes) - 1
	a.First = time.Unix(0, notes[0].at)
	a.Span = time.Duration(notes[last].at - notes[0].at)
	a.Rate = rate(len(notes), a.Span)
	if edge > 1 && edge <= len(notes) {
		a.FirstRate = rate(edge, time.Duration(notes[edge-1].at-notes[0].at))
		a.LastRate = rate(edge, time.Duration(notes[last].at-notes[last-edge+1].at))
	}
	type key struct {
		id      [16]byte
		attempt int32
	}
	seen := make(map[key]int64, len(notes))
	var latency, lateness []time.Duration
	for _, n := range notes {
		k := key{n.id, n.attempt}
		if _, again := seen[k]; again {
			a.Duplicated++
			continue
		}
		seen[k] = n.at
		if n.attempt == 1 {
			a.Distinct++
		}
		if n.attempt == 1 && !n.flaky && n.sent > 0 {
			latency = append(latency, time.Duration(n.at-n.sent))
		}
	}
	if retry > 0 {
		for _, n := range notes {
			if !n.flaky || n.attempt != 1 {
				continue
			}
			second, came := seen[key{n.id, 2}]
			if !came {
				a.Unretried++
				continue
			}
			late := time.Duration(second-n.at) - retry
			if late < 0 {
				a.Early++
			}
			lateness = append(lateness, late)
		}
	}
	a.Latency, a.Lateness = spreadOf(latency), spreadOf(lateness)
	return a
}
