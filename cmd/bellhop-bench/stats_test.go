package main

import (
	"math"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	thousand := make([]time.Duration, 1000)
	for i := range thousand {
		thousand[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		name   string
		sorted []time.Duration
		q      float64
		want   time.Duration
	}{
		{"none", nil, 0.5, 0},
		{"one", []time.Duration{7}, 0.99, 7},
		{"median of two", []time.Duration{1, 2}, 0.5, 1},
		{"median of three", []time.Duration{1, 2, 3}, 0.5, 2},
		{"p50 of 1000", thousand, 0.5, 500},
		{"p99 of 1000", thousand, 0.99, 990},
		{"p99.9 of 1000", thousand, 0.999, 999},
		{"all of 1000", thousand, 1, 1000},
		{"nothing of 1000", thousand, 0, 1},
	} {
		if got := quantile(c.sorted, c.q); got != c.want {
			t.Errorf("%s: quantile(%v) = %d, want %d", c.name, c.q, got, c.want)
		}
	}
}

func TestSpreadOf(t *testing.T) {
	if got, want := spreadOf([]time.Duration{3, 1, 2}), (spread{Count: 3, P50: 2, P99: 3, P999: 3, Max: 3}); got != want {
		t.Errorf("spreadOf = %+v, want %+v", got, want)
	}
	if got := spreadOf(nil); got != (spread{}) {
		t.Errorf("spreadOf(nil) = %+v, want nothing", got)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{{[]float64{5}, 5}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		before := append([]float64(nil), c.of...)
		if got := median(c.of); got != c.want {
			t.Errorf("median(%v) = %v, want %v", before, got, c.want)
		}
		for i := range before {
			if c.of[i] != before[i] {
				t.Errorf("median changed %v into %v", before, c.of)
			}
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
}

func TestRatios(t *testing.T) {
	got := ratios([]float64{1, 3, 9}, []float64{2, 3})
	if len(got) != 2 || got[0] != 0.5 || got[1] != 1 {
		t.Errorf("ratios = %v, want [0.5 1]", got)
	}
}

func TestRate(t *testing.T) {
	if got := rate(101, 2*time.Second); got != 50 {
		t.Errorf("rate of 101 in 2 s = %v, want 50", got)
	}
	if got := rate(1, time.Second); got != 0 {
		t.Errorf("rate of one = %v, want 0", got)
	}
}
