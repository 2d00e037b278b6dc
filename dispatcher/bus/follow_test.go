package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// follow follows in the background; what comes goes to the channel. It ends with the test.
func follow(t *testing.T, b *Bus, from From) <-chan Recorded {
	t.Helper()
	// The test's own context ends before its clean-up, with another cause.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(t.Context()))
	got, done := make(chan Recorded, 1024), make(chan error, 1)
	go func() { done <- b.Follow(ctx, from, func(r Recorded) { got <- r }) }()
	t.Cleanup(func() {
		cancel(errEnded)
		select {
		case err := <-done:
			if !errors.Is(err, errEnded) {
				t.Errorf("Follow = %v, want its context's cause", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Follow does not end with its context")
		}
	})
	return got
}

// next takes one that was followed.
func next(t *testing.T, from <-chan Recorded, within time.Duration) Recorded {
	t.Helper()
	select {
	case r := <-from:
		return r
	case <-time.After(within):
		t.Fatalf("nothing followed within %s", within)
		return Recorded{}
	}
}

func TestFollow(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		publish(t, b, "webhooks.retrying.course.completed", "d.1.1", "body")
		middle := publish(t, b, "webhooks.delivered.course.completed", "d.1.2", "body")
		info := streamInfo(t, b, "WEBHOOKS")
		bySeq := follow(t, b, From{Seq: middle.Seq})
		byTime := follow(t, b, From{Time: info.State.FirstTime.Add(-time.Hour)})
		later := follow(t, b, From{Time: time.Now().Add(time.Hour)})
		_, err := b.Publish(t.Context(), Msg{
			Subject: "webhooks.failed.a.b.c", Header: map[string][]string{MsgID: {"e.1.1"}, "Bellhop-Rule": {"crm"}}, Data: []byte("x"),
		})
		if err != nil {
			t.Fatalf("Publish: %v", err)
		}
		for _, c := range []struct {
			name string
			from <-chan Recorded
			want []uint64
		}{{"from a sequence", bySeq, []uint64{2, 3}}, {"from a time", byTime, []uint64{1, 2, 3}}} {
			for _, seq := range c.want {
				r := next(t, c.from, 5*time.Second)
				if r.Seq != seq {
					t.Errorf("%s: %d came, want %d", c.name, r.Seq, seq)
				}
				if seq == 3 && (r.MsgID != "e.1.1" || r.Outcome != "failed" || r.Type != "a.b.c" || r.Header["Bellhop-Rule"][0] != "crm" || r.Time.IsZero()) {
					t.Errorf("%s: %+v", c.name, r)
				}
			}
		}
		select {
		case r := <-later:
			// Servers differ on a start in the future: it is at worst what comes from now on.
			if r.Seq < 3 {
				t.Errorf("from a time to come: %d came", r.Seq)
			}
		default:
		}
	})
}

func TestFollowGoesOnOverARestart(t *testing.T) {
	t.Parallel()
	_, start := restartable(t)
	s := start()
	b := ready(t, s.URL())
	got := follow(t, b, From{Time: time.Now().Add(-time.Minute)})
	for i := range 5 {
		publish(t, b, "webhooks.delivered.a", fmt.Sprint("before", i), "x")
	}
	if r := next(t, got, 5*time.Second); r.Seq != 1 {
		t.Fatalf("followed %d first, want 1", r.Seq)
	}
	s.Close()
	s = start()
	t.Cleanup(s.Close)
	until(t, 10*time.Second, "connected again", b.Connected)
	for i := range 5 {
		publish(t, b, "webhooks.delivered.a", fmt.Sprint("after", i), "x")
	}
	for seq := uint64(2); seq <= 10; seq++ {
		if r := next(t, got, 20*time.Second); r.Seq != seq {
			t.Fatalf("followed %d, want %d: in order, each once", r.Seq, seq)
		}
	}
}

func TestFollowEndsWithItsStream(t *testing.T) {
	t.Parallel()
	b := connect(t, Options{URL: startEmbedded(t)})
	b.top = testTopology()
	if err := b.Follow(t.Context(), From{Seq: 1}, func(Recorded) {}); err == nil {
		t.Error("Follow of a stream that is not there returned no error")
	}
}

func TestFirstSinceAndState(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		ctx := t.Context()
		if seq, err := b.FirstSince(ctx, time.Now().Add(-time.Hour)); seq != 0 || err != nil {
			t.Errorf("FirstSince of an empty stream = %d, %v; want 0", seq, err)
		}
		state, err := b.Results(ctx)
		if err != nil || state.Messages != 0 || state.Last != 0 || state.Stream != "WEBHOOKS" {
			t.Errorf("Results() of an empty stream = %+v, %v", state, err)
		}
		publish(t, b, "webhooks.failed.a", "1", "x")
		second := publish(t, b, "webhooks.failed.a", "2", "x")
		s, err := b.js().Stream(ctx, "WEBHOOKS")
		if err != nil {
			t.Fatalf("Stream: %v", err)
		}
		m, err := s.GetMsg(ctx, second.Seq)
		if err != nil {
			t.Fatalf("GetMsg: %v", err)
		}
		for _, c := range []struct {
			name string
			at   time.Time
			want uint64
		}{
			{"an hour ago", time.Now().Add(-time.Hour), 1},
			{"when the second was stored", m.Time, 2},
			{"a nanosecond before that", m.Time.Add(-1), 2},
			{"a nanosecond after that", m.Time.Add(1), 0},
		} {
			if seq, err := b.FirstSince(ctx, c.at); seq != c.want || err != nil {
				t.Errorf("FirstSince(%s) = %d, %v; want %d", c.name, seq, err, c.want)
			}
		}
		state, err = b.Results(ctx)
		if err != nil || state.First != 1 || state.Last != 2 || state.Messages != 2 || state.FirstAt.IsZero() || state.Created.IsZero() {
			t.Errorf("Results() = %+v, %v", state, err)
		}
		created, err := b.EventsCreated(ctx)
		if want := streamInfo(t, b, "EVENTS").Created; err != nil || !created.Equal(want) {
			t.Errorf("EventsCreated() = %s, %v; want %s", created, err, want)
		}
	})
}
