package dispatcher

import (
	"testing"
	"time"
)

// TestPaceMakesUpForLateTimers: timers come late, by about a millisecond on a good day; a rate is used in full all the same, as
// long as something waits, and never outrun.
func TestPaceMakesUpForLateTimers(t *testing.T) {
	t.Parallel()
	const span = 10 * time.Second
	for _, rate := range []float64{1, 10, 500, 3000} {
		for _, late := range []time.Duration{0, 1100 * time.Microsecond, 20 * time.Millisecond} {
			p := newPace(rate)
			begun := time.Unix(1_000_000_000, 0)
			var starts []time.Time
			for now := begun; now.Sub(begun) < span; {
				if wait := p.wait(now); wait > 0 {
					now = now.Add(wait + late)
					continue
				}
				starts = append(starts, now)
				if want := time.Duration(float64(len(starts)-1) / rate * float64(time.Second)); now.Sub(begun) < want {
					t.Fatalf("at %g/s, timers %s late: start %d after %s, want not before %s", rate, late, len(starts), now.Sub(begun), want)
				}
			}
			if got, want := len(starts), int(rate*(span-late).Seconds()); got < want {
				t.Errorf("at %g/s, timers %s late: %d starts in %s, want %d", rate, late, got, span, want)
			}
		}
	}
}

// TestPaceForgetsRest: time in which nothing waited, or longer than a timer is ever late, is not made up for.
func TestPaceForgetsRest(t *testing.T) {
	t.Parallel()
	at := func(p *pace, now time.Time) (starts int) {
		for p.wait(now) == 0 {
			starts++
		}
		return starts
	}
	now := time.Unix(1_000_000_000, 0)
	p := newPace(100)
	if n := at(p, now); n != 1 {
		t.Errorf("%d starts at once, want 1", n)
	}
	if n := at(p, now.Add(time.Minute)); n != 1+int(catchUp.Seconds()*100) {
		t.Errorf("%d starts at once where something waited for a minute, want %d", n, 1+int(catchUp.Seconds()*100))
	}
	p.rest()
	if n := at(p, now.Add(2*time.Minute)); n != 1 {
		t.Errorf("%d starts at once where nothing waited, want 1", n)
	}
}
