package store

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// fixed opens a store whose clock stands still.
func fixed(t *testing.T, now time.Time) *Store {
	t.Helper()
	return openStore(t, dbPath(t), Options{Now: func() time.Time { return now }})
}

func TestSeriesHasNoGaps(t *testing.T) {
	now := epoch.Add(time.Hour)
	s := fixed(t, now)
	apply(t, s, stream, 4, tally(1, "delivered", ""), tally(2, "retrying", "status"), tally(4, "failed", "blocked"))
	points, err := s.Series(Window{From: epoch, To: epoch.Add(5 * time.Minute), Step: Minute}, All, "")
	if err != nil || len(points) != 6 {
		t.Fatalf("Series = %d points, %v, want 6", len(points), err)
	}
	for i, want := range []Counts{{}, {Calls: 1, Delivered: 1}, {Calls: 1, Errors: 1, Retrying: 1}, {}, {Errors: 1, Failed: 1}, {}} {
		if points[i].Counts != want || !points[i].At.Equal(epoch.Truncate(time.Minute).Add(time.Duration(i)*time.Minute)) {
			t.Errorf("point %d = %+v, want %+v", i, points[i], want)
		}
	}
	for _, tt := range []struct {
		dim   Dimension
		value string
		calls uint64
	}{
		{All, "", 2}, {ByRule, "crm", 2}, {ByRule, "lms", 0}, {ByWebhook, "crm/crm", 2}, {ByEndpoint, "https://crm.example.com", 2},
		{ByType, "course.completed", 2}, {ByKind, "status", 1},
	} {
		for _, step := range []Step{Minute, Hour, Day} {
			points, err := s.Series(Window{From: epoch, To: now, Step: step}, tt.dim, tt.value)
			var sum Counts
			for _, p := range points {
				sum.add(p.Counts)
			}
			if err != nil || sum.Calls != tt.calls {
				t.Errorf("Series(step %d, %q %q) sums to %+v, %v, want %d calls", step, tt.dim, tt.value, sum, err, tt.calls)
			}
		}
	}
	wantSound(t, s)
}

func TestBreakdown(t *testing.T) {
	s := fixed(t, epoch.Add(time.Hour))
	var batch []Tally
	for i := range uint64(10) {
		one := tally(i+1, "delivered", "")
		one.Rule, one.Webhook = fmt.Sprint("rule-", i%3), "a"
		batch = append(batch, one)
	}
	apply(t, s, stream, 10, batch...)
	list, err := s.Breakdown(epoch, epoch.Add(time.Hour), ByRule)
	if err != nil || len(list) != 3 || list[0].Value != "rule-0" || list[0].Calls != 4 || list[2].Calls != 3 {
		t.Errorf("Breakdown = %+v, %v, want rule-0 with 4 calls first, of three", list, err)
	}
}

func TestPeriodsAreBounded(t *testing.T) {
	s := fixed(t, epoch.Add(time.Hour))
	var batch []Tally
	for i := range uint64(400) {
		one := tally(i+1, "delivered", "")
		one.Time, one.EventType = epoch, fmt.Sprint("made-up.", i)
		batch = append(batch, one)
	}
	apply(t, s, stream, 400, batch...)
	list, err := s.Breakdown(epoch, epoch.Add(time.Minute), ByType)
	if err != nil || len(list) != periods[Minute].values+1 || list[0].Value != Other {
		t.Errorf("400 types in a minute are %d values, the largest %+v, %v; want %d and %s", len(list), list[0], err, periods[Minute].values+1, Other)
	}
	var sum uint64
	for _, one := range list {
		sum += one.Calls
	}
	if sum != 400 {
		t.Errorf("they sum to %d, want 400: nothing is left out", sum)
	}
	wantSound(t, s)
}

func TestOldPeriodsAreForgotten(t *testing.T) {
	now := epoch
	s := openStore(t, dbPath(t), Options{Now: func() time.Time { return now }})
	one := tally(1, "delivered", "")
	one.Time = now
	apply(t, s, stream, 1, one)
	now = now.Add(periods[Minute].keep + 2*time.Minute)
	two := tally(2, "delivered", "")
	two.Time = now
	apply(t, s, stream, 2, two)
	for step, want := range map[Step]uint64{Minute: 1, Hour: 2, Day: 2} {
		points, err := s.Series(Window{From: epoch, To: now, Step: step}, All, "")
		var sum Counts
		for _, p := range points {
			sum.add(p.Counts)
		}
		if err != nil || sum.Calls != want {
			t.Errorf("after two days step %d holds %d calls, %v, want %d", step, sum.Calls, err, want)
		}
	}
	old := tally(3, "delivered", "")
	old.Time = epoch
	apply(t, s, stream, 3, old)
	wantStats(t, s, "an old outcome", Stats{Calls: 3, Delivered: 3, Since: epoch})
}

func TestDurations(t *testing.T) {
	s := fixed(t, epoch.Add(time.Hour))
	var batch []Tally
	for i := range uint64(1000) {
		one := tally(i+1, "delivered", "")
		one.Time, one.Duration = epoch, time.Duration(i+1)*time.Millisecond
		batch = append(batch, one)
	}
	apply(t, s, stream, 1000, batch...)
	h, err := s.Durations(epoch, epoch.Add(time.Minute), ByEndpoint, "https://crm.example.com")
	if err != nil || h.Count() != 1000 {
		t.Fatalf("Durations hold %d, %v, want 1000", h.Count(), err)
	}
	for q, want := range map[float64]float64{0.5: 500, 0.9: 900, 0.99: 990} {
		if got, ok := h.Quantile(q); !ok || math.Abs(got-want)/want > 0.1 {
			t.Errorf("quantile %g = %g ms, want %g within a tenth", q, got, want)
		}
	}
	if _, ok := (Histogram{}).Quantile(0.5); ok {
		t.Error("the median of nothing is something")
	}
	for _, d := range []time.Duration{1, 250 * time.Microsecond, time.Millisecond, 10 * time.Second, 24 * time.Hour, math.MaxInt64} {
		b := bucketOf(d)
		if ms := float64(d) / 1e6; b < histogramLast && (ms > Bound(b)*1.000001 || b > 0 && ms <= Bound(b-1)*0.999999) {
			t.Errorf("%v is in the bucket up to %g ms", d, Bound(b))
		}
	}
}
