package bus

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestLaneToken(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for i := range 10_000 {
		lane := fmt.Sprintf("https://host%d.example.com:443", i)
		token := LaneToken(lane, 0)
		if other, twice := seen[token]; twice {
			t.Fatalf("%s and %s have the token %s", lane, other, token)
		}
		seen[token] = lane
		if token != LaneToken(lane, maxLanes-1) {
			t.Errorf("the token of %s depends on how many are open", lane)
		}
	}
	groups := map[string]bool{}
	for lane := range 10_000 {
		token := LaneToken(fmt.Sprint(lane), maxLanes)
		if _, own := seen[token]; own {
			t.Errorf("group %s is a lane's token, too", token)
		}
		groups[token] = true
	}
	if len(groups) != sharedLanes {
		t.Errorf("beyond %d lanes there are %d groups, want %d", maxLanes, len(groups), sharedLanes)
	}
}

func TestLanes(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b, other := ready(t, url), ready(t, url)
		ctx := t.Context()
		a, z := LaneToken("https://a:443", 0), LaneToken("https://z:443", 0)
		busy := func(want ...string) {
			t.Helper()
			slices.Sort(want)
			// A consumer's counts follow what its stream has confirmed within a moment.
			var got []string
			var err error
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
				got, err = other.BusyLanes(ctx)
				slices.Sort(got)
				if err == nil && slices.Equal(got, want) {
					return
				}
			}
			t.Errorf("BusyLanes() = %v, %v; want %v", got, err, want)
		}
		busy()
		for _, token := range []string{a, z} {
			// Twice: two daemons open the same lane.
			for range 2 {
				if err := b.OpenLane(ctx, token); err != nil {
					t.Fatalf("OpenLane: %v", err)
				}
			}
		}
		busy()
		for i := range 3 {
			if err := b.Park(ctx, a, fmt.Sprintf("d%d", i), fmt.Sprintf("d%d.1.1", i), []byte(fmt.Sprint(i))); err != nil {
				t.Fatalf("Park: %v", err)
			}
		}
		if err := b.Park(ctx, a, "d0", "d0.1.1", []byte("again")); err != nil {
			t.Fatalf("Park of the same: %v", err)
		}
		busy(a)
		if closed, err := b.CloseLane(ctx, a); closed || err != nil {
			t.Errorf("CloseLane of a busy lane = %v, %v", closed, err)
		}
		if closed, err := b.CloseLane(ctx, z); !closed || err != nil {
			t.Errorf("CloseLane of an empty lane = %v, %v", closed, err)
		}
		p := puller(t, func() (*Puller, error) { return other.Lane(a) })
		var held []*Message
		n, err := p.Pull(ctx, 10, 300*time.Millisecond, func(m *Message) { held = append(held, m) })
		if n != 3 || err != nil {
			t.Fatalf("Pull of the lane = %d, %v; want 3", n, err)
		}
		busy(a) // held
		for i, m := range held {
			if string(m.Data) != fmt.Sprint(i) {
				t.Errorf("parked %d came as %q", i, m.Data)
			}
			ack(t, m)
		}
		busy()
		if closed, err := other.CloseLane(ctx, a); !closed || err != nil {
			t.Errorf("CloseLane = %v, %v; want closed", closed, err)
		}
		if closed, err := b.CloseLane(ctx, a); !closed || err != nil {
			t.Errorf("CloseLane of a closed lane = %v, %v; want closed", closed, err)
		}
		if _, err := p.Pull(ctx, 1, time.Second, func(*Message) {}); !errors.Is(err, ErrGone) {
			t.Errorf("Pull of a closed lane = %v, want ErrGone", err)
		}
		// What is parked without a consumer waits, and is found once it has one.
		if err := b.Park(ctx, z, "d9", "d9.1.1", []byte("9")); err != nil {
			t.Fatalf("Park: %v", err)
		}
		if err := b.OpenLane(ctx, z); err != nil {
			t.Fatalf("OpenLane: %v", err)
		}
		busy(z)
		m, _ := pullOne(t, puller(t, func() (*Puller, error) { return b.Lane(z) }), 5*time.Second)
		ack(t, m)
		// The due consumer never sees what waits for room.
		if n, err := puller(t, b.Due).Pull(ctx, 1, 200*time.Millisecond, func(m *Message) { t.Errorf("%s came as due", m.Subject) }); n != 0 || err != nil {
			t.Errorf("Pull of due = %d, %v", n, err)
		}
	})
}

func TestManyLanes(t *testing.T) {
	t.Parallel()
	b := ready(t, startEmbedded(t))
	var want []string
	for i := range 300 { // more than the server lists at once
		token := LaneToken(fmt.Sprint("https://h", i), i)
		if err := b.OpenLane(t.Context(), token); err != nil {
			t.Fatalf("OpenLane %d: %v", i, err)
		}
		if err := b.Park(t.Context(), token, "d", fmt.Sprint("d", i), nil); err != nil {
			t.Fatalf("Park %d: %v", i, err)
		}
		want = append(want, token)
	}
	got, err := b.BusyLanes(t.Context())
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("BusyLanes() lists %d, %v; want %d", len(got), err, len(want))
	}
}
