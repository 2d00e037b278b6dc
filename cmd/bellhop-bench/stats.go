package main

import (
	"math"
	"slices"
	"time"
)

// quantile returns the value below or at which a share q of the sorted values lies, by the nearest rank; 0 of none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	// A hair less: 0.999 times 1000 is a little more than 999.
	rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// spread is a distribution of durations.
type spread struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
}

// spreadOf sorts the values in place.
func spreadOf(v []time.Duration) spread {
	slices.Sort(v)
	return spread{Count: len(v), P50: quantile(v, 0.5), P99: quantile(v, 0.99), P999: quantile(v, 0.999), Max: quantile(v, 1)}
}

// median of the values, which it leaves as they are; NaN of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// ratios divides pairwise: what was measured next to each other.
func ratios(a, b []float64) []float64 {
	r := make([]float64, 0, len(a))
	for i, x := range a {
		if i < len(b) && b[i] > 0 {
			r = append(r, x/b[i])
		}
	}
	return r
}

// rate is how many a second, of so many marks from the first to the last; 0 where there is no span.
func rate(n int, span time.Duration) float64 {
	if n < 2 || span <= 0 {
		return 0
	}
	return float64(n-1) / span.Seconds()
}
