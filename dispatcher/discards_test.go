package dispatcher

import (
	"testing"
	"time"

	"bellhop/dispatcher/bus"
)

func TestDiscards(t *testing.T) {
	const week = 168 * time.Hour
	now := time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	born := now.Add(-2 * week)
	state := func(first uint64, age time.Duration) bus.ResultsState {
		return bus.ResultsState{Created: born, First: first, Last: first + 9, FirstAt: now.Add(-age), Messages: 10, MaxAge: week}
	}
	var x discards
	for _, c := range []struct {
		name  string
		state bus.ResultsState
		want  uint64
	}{
		{"the first look", state(100, time.Hour), 0},
		{"nothing went", state(100, time.Hour), 0},
		{"a limit took forty", state(140, time.Hour), 40},
		{"age took ten", state(150, week-time.Minute), 0},
		{"a limit again", state(155, time.Hour), 5},
		{"all went, by age or by hand", bus.ResultsState{Created: born, First: 165, Last: 164, MaxAge: week}, 0},
		{"a stream made anew", bus.ResultsState{Created: now, First: 1, Last: 9, FirstAt: now, Messages: 9, MaxAge: week}, 0},
		{"a limit of the new one", bus.ResultsState{Created: now, First: 4, Last: 9, FirstAt: now, Messages: 6, MaxAge: week}, 3},
		{"another that holds nothing yet", bus.ResultsState{Created: now.Add(time.Hour), MaxAge: week}, 0},
		{"its first two went", bus.ResultsState{Created: now.Add(time.Hour), First: 3, Last: 9, FirstAt: now, Messages: 7, MaxAge: week}, 2},
		{"without an age", bus.ResultsState{Created: now.Add(time.Hour), First: 5, Last: 9, FirstAt: now.Add(-10 * week), Messages: 5}, 2},
	} {
		if got := x.since(c.state, now); got != c.want {
			t.Errorf("%s: since = %d, want %d", c.name, got, c.want)
		}
	}
}
