package bus

import (
	"strings"
	"testing"
	"time"
)

// A hold reaches those who listen and those who ask later; of a hidden lane the bus is told nothing but its token.
func TestHolds(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b, other := ready(t, url), connect(t, Options{URL: url})
		setup(t, other, testTopology())
		heard := make(chan LaneHold, 4)
		stop, err := other.WatchLanes(func(h LaneHold) { heard <- h })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		if err := other.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, h := range []LaneHold{{Lane: "https://a.example:443", Pause: true, By: "me"}, {Lane: "https://s3cret.example:443", Hidden: true, Pause: true}} {
			if err := b.HoldLane(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			want := LaneHold{Lane: h.Lane, Token: LaneToken(h.Lane, 0), Pause: true, By: h.By}
			if h.Hidden {
				want.Lane = ""
			}
			select {
			case got := <-heard:
				if got != want {
					t.Errorf("%+v was heard, want %+v", got, want)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("no hold was heard within 5 s")
			}
			m, err := b.js().Stream(t.Context(), b.top.Retries)
			if err != nil {
				t.Fatal(err)
			}
			text, err := m.GetLastMsgForSubject(t.Context(), b.top.laneSubject(want.Token))
			if err != nil {
				t.Fatal(err)
			}
			if h.Hidden && strings.Contains(string(text.Data), "s3cret") {
				t.Errorf("the bus holds %s", text.Data)
			}
		}
		holds, err := other.LaneHolds(t.Context())
		if err != nil || len(holds) != 2 {
			t.Errorf("LaneHolds = %+v, %v, want both", holds, err)
		}
	})
}
