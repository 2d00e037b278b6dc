package bus

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// schedule schedules or ends the test.
func schedule(t *testing.T, b *Bus, id string, due time.Time, data string) {
	t.Helper()
	if _, err := b.Schedule(t.Context(), Retry{ID: id, Key: id + ".1.2.due", Due: due, Data: []byte(data)}); err != nil {
		t.Fatalf("Schedule(%s): %v", id, err)
	}
}

func TestScheduleFiresInTime(t *testing.T) {
	t.Parallel()
	b := ready(t, startEmbedded(t))
	p := puller(t, b.Due)
	due := map[string]time.Time{}
	base := time.Now()
	for i := range 40 {
		// Every fraction of a second, so that one that is cut to whole seconds shows.
		id := fmt.Sprintf("id%02d", i)
		due[id] = base.Add(500*time.Millisecond + time.Duration(i)*37*time.Millisecond)
		schedule(t, b, id, due[id], id)
	}
	for len(due) > 0 {
		m, at := pullOne(t, p, 5*time.Second)
		id := string(m.Data)
		want, ok := due[id]
		if !ok {
			t.Fatalf("%s fired twice, or was never scheduled", id)
		}
		delete(due, id)
		switch late := at.Sub(want); {
		case late < 0:
			t.Errorf("%s fired %s before it was due", id, -late)
		case late > time.Second:
			t.Errorf("%s fired %s late, at most 1s", id, late)
		}
		if m.Subject != "WEBHOOK_RETRIES.due."+id {
			t.Errorf("%s came on %s", id, m.Subject)
		}
		ack(t, m)
	}
	if got := streamInfo(t, b, "WEBHOOK_RETRIES").State.Msgs; got != 0 {
		t.Errorf("%d messages are left in the retries' stream after all were acknowledged", got)
	}
}

func TestSchedulePastFiresAtOnce(t *testing.T) {
	t.Parallel()
	b := ready(t, startEmbedded(t))
	started := time.Now()
	schedule(t, b, "late", started.Add(-time.Minute), "x")
	m, at := pullOne(t, puller(t, b.Due), 3*time.Second)
	ack(t, m)
	if took := at.Sub(started); took > time.Second {
		t.Errorf("what was due a minute ago came after %s", took)
	}
}

func TestScheduleReplacesAndIsTakenBack(t *testing.T) {
	t.Parallel()
	b := ready(t, startEmbedded(t))
	p := puller(t, b.Due)
	soon := time.Now().Add(time.Second)
	schedule(t, b, "replaced", time.Now().Add(300*time.Millisecond), "first")
	second := Retry{ID: "replaced", Due: soon, Data: []byte("second")}
	if _, err := b.Schedule(t.Context(), second); !errors.Is(err, ErrScheduled) {
		t.Errorf("Schedule in the place of none, where one is: %v, want ErrScheduled", err)
	}
	_, first, err := b.Scheduled(t.Context(), "replaced")
	if err != nil {
		t.Fatalf("Scheduled: %v", err)
	}
	second.Replaces = first
	if _, err := b.Schedule(t.Context(), second); err != nil {
		t.Fatalf("Schedule in the place of the first: %v", err)
	}
	schedule(t, b, "cancelled", time.Now().Add(300*time.Millisecond), "never")
	if data, _, err := b.Scheduled(t.Context(), "replaced"); err != nil || string(data) != "second" {
		t.Errorf("Scheduled(replaced) = %q, %v; want the second", data, err)
	}
	if err := b.Unschedule(t.Context(), "replaced", first); err != nil {
		t.Errorf("Unschedule(replaced), up to the one that it replaced: %v", err)
	}
	_, seq, err := b.Scheduled(t.Context(), "cancelled")
	if err != nil {
		t.Errorf("Scheduled(cancelled): %v", err)
	}
	if err := b.Unschedule(t.Context(), "cancelled", seq); err != nil {
		t.Errorf("Unschedule(cancelled): %v", err)
	}
	if data, _, err := b.Scheduled(t.Context(), "cancelled"); err != nil || data != nil {
		t.Errorf("Scheduled(cancelled) = %q, %v; want nothing", data, err)
	}
	ids, err := b.ScheduledIDs(t.Context())
	if err != nil || !maps.Equal(ids, map[string]struct{}{"replaced": {}}) {
		t.Errorf("ScheduledIDs() = %v, %v; want replaced", ids, err)
	}
	m, at := pullOne(t, p, 5*time.Second)
	if string(m.Data) != "second" || at.Before(soon) {
		t.Errorf("%q fired %s before it was due, want the second in time", m.Data, soon.Sub(at))
	}
	ack(t, m)
	n, err := p.Pull(t.Context(), 1, 500*time.Millisecond, func(m *Message) { t.Errorf("%q fired, too", m.Data) })
	if n != 0 || err != nil {
		t.Errorf("Pull = %d, %v; want nothing more", n, err)
	}
	for _, id := range []string{"replaced", "never-there"} {
		if err := b.Unschedule(t.Context(), id, 1<<32); err != nil {
			t.Errorf("Unschedule(%s), where nothing is scheduled: %v", id, err)
		}
	}
}

// TestScheduledIDsListsAll goes beyond what fits one answer of the server's in smaller set-ups.
func TestScheduledIDsListsAll(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		ids, err := b.ScheduledIDs(t.Context())
		if err != nil || len(ids) != 0 {
			t.Errorf("ScheduledIDs() where nothing is = %v, %v", ids, err)
		}
		const total = 5000
		due := time.Now().Add(time.Hour)
		want := numbered("%032x", total)
		work := make(chan string)
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for id := range work {
					if _, err := b.Schedule(t.Context(), Retry{ID: id, Key: id + ".1.2.due", Due: due, Data: []byte("x")}); err != nil {
						t.Errorf("Schedule(%s): %v", id, err)
					}
				}
			})
		}
		for _, id := range want {
			work <- id
		}
		close(work)
		wg.Wait()
		// What waits for room in a lane is no schedule.
		if err := b.Park(t.Context(), "lane", "parked", "parked.1.1", nil); err != nil {
			t.Fatalf("Park: %v", err)
		}
		ids, err = b.ScheduledIDs(t.Context())
		if err != nil {
			t.Fatalf("ScheduledIDs: %v", err)
		}
		if got := slices.Sorted(maps.Keys(ids)); !slices.Equal(got, want) {
			t.Errorf("ScheduledIDs lists %d of %d", len(got), total)
		}
	})
}

func TestScheduleSurvivesARestart(t *testing.T) {
	t.Parallel()
	_, start := restartable(t)
	s := start()
	b := ready(t, s.URL())
	due := time.Now().Add(1500 * time.Millisecond)
	schedule(t, b, "survivor", due, "x")
	s.Close()
	s = start()
	t.Cleanup(s.Close)
	until(t, 10*time.Second, "connected again", b.Connected)
	m, at := pullOne(t, puller(t, b.Due), 5*time.Second)
	ack(t, m)
	if late := at.Sub(due); late < 0 || late > time.Second {
		t.Errorf("over a restart it fired %s after it was due, want 0 to 1s", late)
	}
}
