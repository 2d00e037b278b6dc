package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// replay reads past events and gives their bodies, and how many it was told there are.
func replay(t *testing.T, b *Bus, since time.Time, handle func(*Message) error) (got []string, told int, err error) {
	t.Helper()
	told = -1
	err = b.Replay(t.Context(), Replay{
		Stream: "EVENTS", Prefix: "events", Since: since,
		Begin: func(n int, created time.Time) {
			if time.Since(created) > time.Minute {
				t.Errorf("the stream was created at %s, want just now", created)
			}
			told = n
		},
	}, func(m *Message) error {
		got = append(got, string(m.Data))
		return handle(m)
	})
	return got, told, err
}

func goOn(*Message) error { return nil }

func TestReplayGivesThePastAndNoMore(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		const n = 2*replayBatch + 7
		for i := range n {
			publish(t, b, "events.course.completed", "", fmt.Sprint(i))
		}
		got, told, err := replay(t, b, time.Now().Add(-time.Hour), func(m *Message) error {
			if m.Seq == 1 {
				publish(t, b, "events.course.completed", "", "later")
			}
			return nil
		})
		if err != nil || told != n || len(got) != n {
			t.Fatalf("Replay gave %d of %d events and %v, want %d", len(got), told, err, n)
		}
		for i, data := range got {
			if data != fmt.Sprint(i) {
				t.Fatalf("event %d is %q: out of order", i, data)
			}
		}
		if got, told, err := replay(t, b, time.Now().Add(time.Hour), goOn); err != nil || told != 0 || len(got) != 0 {
			t.Errorf("Replay of the future = %v, told %d, %v; want nothing", got, told, err)
		}
		// The daemons' own consumer has everything before it still.
		p := puller(t, b.Events)
		if m, _ := pullOne(t, p, 2*time.Second); m.Seq != 1 {
			t.Errorf("after Replay the daemons' consumer is at %d, want 1", m.Seq)
		}
		if left := streamInfo(t, b, "EVENTS").State.Consumers; left != 1 {
			t.Errorf("Replay left %d consumers, want the daemons' one", left)
		}
	})
}

func TestReplayEnds(t *testing.T) {
	url := startEmbedded(t)
	b := ready(t, url)
	for i := range 10 {
		publish(t, b, "events.course.completed", "", fmt.Sprint(i))
	}
	enough := errors.New("enough")
	if got, _, err := replay(t, b, time.Now().Add(-time.Hour), func(*Message) error { return enough }); !errors.Is(err, enough) || len(got) != 1 {
		t.Errorf("Replay whose handler fails gave %d events and %v, want one and its error", len(got), err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	err := b.Replay(ctx, Replay{Stream: "EVENTS", Prefix: "events", Begin: func(int, time.Time) {}}, goOn)
	if err == nil {
		t.Error("Replay whose context is over ended without an error")
	}
	err = b.Replay(t.Context(), Replay{Stream: "NONE", Prefix: "events", Begin: func(int, time.Time) {}}, goOn)
	if err == nil || err.Error() == "" {
		t.Errorf("Replay of a stream that is not there = %v, want an error", err)
	}
}
