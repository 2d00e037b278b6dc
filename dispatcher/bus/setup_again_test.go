package bus

import (
	"sync"
	"testing"
	"time"
)

// A look at the bus comes after every trouble: it must leave alone whatever waits there.
func TestSetupAgainLeavesWhatWaits(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		schedule(t, b, "later", time.Now().Add(time.Hour), "retry")
		if err := b.Park(t.Context(), LaneToken("https://a.example:443", 0), "parked", "parked.1.1", []byte("job")); err != nil {
			t.Fatalf("Park: %v", err)
		}
		if err := b.HoldLane(t.Context(), LaneHold{Lane: "https://a.example:443", Pause: true}); err != nil {
			t.Fatalf("HoldLane: %v", err)
		}
		publish(t, b, "events.course.completed", "", "{}")
		publish(t, b, "webhooks.delivered.course.completed", "d.1.1", "body")
		before := map[string]uint64{}
		for _, name := range []string{"EVENTS", "WEBHOOKS", "WEBHOOK_RETRIES"} {
			before[name] = streamInfo(t, b, name).State.Msgs
		}
		setup(t, b, testTopology())
		setup(t, connect(t, Options{URL: url}), testTopology())
		for name, had := range before {
			if has := streamInfo(t, b, name).State.Msgs; has != had {
				t.Errorf("%s holds %d messages after Setup, and held %d before", name, has, had)
			}
		}
	})
}

// A set-up asks what the user may do, and leaves no trace of it: no consumer, and nothing in the server's log to worry about.
func TestSetupLeavesNoTrace(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var warned []string
	s, err := StartServer(ServerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: func(level ServerLevel, text string) {
		mu.Lock()
		defer mu.Unlock()
		if level != ServerNotice {
			warned = append(warned, text)
		}
	}})
	if err != nil {
		t.Fatalf("StartServer: %v", err)
	}
	t.Cleanup(s.Close)
	b := ready(t, s.URL())
	setup(t, b, testTopology())
	// What was asked last has been read once this is answered.
	if got := streamInfo(t, b, "WEBHOOKS").State.Consumers; got != 0 {
		t.Errorf("%d consumers on WEBHOOKS after a set-up, want none", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(warned) > 0 {
		t.Errorf("the server warns of a set-up: %q", warned)
	}
}
