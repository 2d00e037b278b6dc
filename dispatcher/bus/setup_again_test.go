package bus

import (
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
