package dispatcher

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bellhop/dispatcher/endpoint"
)

// aliveBehindDead publishes events whose endpoints hang, and behind them all some for a healthy one, which must have them within a second:
// while the first attempts are still hanging.
func aliveBehindDead(t *testing.T, b *memBus, p *poster) {
	t.Helper()
	for range 2000 {
		b.event("course.completed", `{}`, nil)
	}
	for range 100 {
		b.event("group.joined", `{}`, nil)
	}
	time.Sleep(time.Second)
	synctest.Wait()
	if got := countTo(p.all(), "alive"); got != 100 {
		t.Fatalf("%d of 100 deliveries to the healthy endpoint after a second", got)
	}
}

func TestDeadEndpointDoesNotHoldUpAHealthyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: hang}
		start(t, b, p, twoEndpoints, func(o *Options) { o.Workers, o.PerEndpoint = 32, 8 })
		aliveBehindDead(t, b, p)
		if got := countTo(p.all(), "dead"); got != 8 {
			t.Errorf("%d attempts at the dead endpoint, want per_endpoint's 8", got)
		}
		parked := len(b.history("park"))
		if parked < 1900 {
			t.Errorf("%d parked on the bus, want most of the 2,000", parked)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := len(b.history("park")) + len(b.history("nak")); got != parked {
			t.Errorf("%d messages of churn within 5 s, want none: what is parked stays parked", got-parked)
		}
	})
}

// However much one endpoint may have at a time, what waits for it never keeps the consumer from what comes behind.
func TestFullLanesDoNotStopTheConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: hang}
		r := start(t, b, p, twoEndpoints, func(o *Options) { o.Workers, o.PerEndpoint = 256, 256 })
		const n = 3000
		for range n {
			b.event("course.completed", `{}`, nil)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		b.mu.Lock()
		left := len(b.queue("events").msgs)
		b.mu.Unlock()
		if left != 0 {
			t.Errorf("%d of %d events not taken after a second: the consumer waits for the endpoint", left, n)
		}
		if got := len(p.all()); got != 256 {
			t.Errorf("%d attempts under way, want per_endpoint's 256", got)
		}
		// Places that an open pull has asked for are free as well.
		if free := r.events.size - r.held.len(); free < 64 {
			t.Errorf("%d of %d places left for other events", free, r.events.size)
		}
	})
}

// Once what waited has been handed over, new events go straight into the lane, though its pull stays open.
func TestIdleLaneTakesEventsThoughItsPullIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := true
		b, p := newMemBus(), &poster{}
		p.answer = func(int, endpoint.Request) endpoint.Response {
			if slow {
				time.Sleep(time.Second)
			}
			return status(200)
		}
		start(t, b, p, twoEndpoints, func(o *Options) { o.Workers, o.PerEndpoint = 8, 2 })
		for range 12 {
			b.event("course.completed", `{}`, nil)
		}
		// Two at a time: they have just gone out.
		time.Sleep(6*time.Second + 50*time.Millisecond)
		synctest.Wait()
		slow = false
		parked := len(b.history("park"))
		if got := len(p.all()); got != 12 || parked == 0 {
			t.Fatalf("%d attempts, %d parked, want 12 and some", got, parked)
		}
		// A steady trickle keeps the pull from ever finding nothing for long.
		for range 50 {
			b.event("course.completed", `{}`, nil)
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		if got := len(b.history("park")) - parked; got != 0 {
			t.Errorf("%d of 50 events were parked though the lane was idle", got)
		}
	})
}

// An endpoint that was quick and hangs all at once keeps the events behind it waiting for a moment only.
func TestQuickLaneThatHangsIsRelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		b, p := newMemBus(), &poster{}
		p.answer = func(n int, r endpoint.Request) endpoint.Response {
			if hangs.Load() {
				return hang(n, r)
			}
			time.Sleep(time.Millisecond)
			return status(200)
		}
		r := start(t, b, p, twoEndpoints, func(o *Options) { o.Workers, o.PerEndpoint = 64, 32 })
		for range 20_000 {
			b.event("course.completed", `{}`, nil)
		}
		time.Sleep(500 * time.Millisecond)
		if got := len(b.history("park")); got != 0 {
			t.Errorf("%d of the quick endpoint's were parked, want none", got)
		}
		hangs.Store(true)
		b.event("group.joined", `{}`, nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.held.len(); got > 128 {
			t.Errorf("%d messages held for an endpoint that hangs", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := countTo(p.all(), "alive"); got != 1 {
			t.Errorf("%d deliveries to the healthy endpoint behind 20,000 for one that hangs, want 1", got)
		}
	})
}

// An endpoint that answers, but does less than it is given, holds up what comes behind its events no more than one that hangs does.
func TestSlowLaneHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{}
		p.answer = func(_ int, r endpoint.Request) endpoint.Response {
			if strings.Contains(r.URL.Lane, "dead") {
				time.Sleep(30 * time.Millisecond)
			}
			return status(200)
		}
		start(t, b, p, twoEndpoints, func(o *Options) { o.Lanes = map[string]Limit{"http://dead.test:80": {Concurrency: 3}} })
		for range 2000 { // 20 s of its time
			b.event("course.completed", `{}`, nil)
		}
		time.Sleep(time.Second) // more than what is not known yet of its speed allows for
		b.event("group.joined", `{}`, nil)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if got := countTo(p.all(), "alive"); got != 1 {
			t.Errorf("%d deliveries to the healthy endpoint behind 2,000 for a slow one, want 1", got)
		}
	})
}

// Many endpoints that hang have all the workers and queue more: together they leave places for what comes behind them.
func TestManyHangingLanesDoNotStopTheConsumer(t *testing.T) {
	const lanes = 8
	var text strings.Builder
	text.WriteString("rules:\n")
	for i := range lanes {
		fmt.Fprintf(&text, "  - {name: r%d, on: lane.%d, webhooks: [{endpoint: \"http://dead%d.test/hook\", timeout: 10s}]}\n", i, i, i)
	}
	text.WriteString("  - {name: ok, on: group.joined, webhooks: [{endpoint: \"http://alive.test/hook\"}]}\n")
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: hang}
		start(t, b, p, text.String(), func(o *Options) { o.Workers, o.PerEndpoint = 16, 16 })
		for i := range lanes {
			for range 60 {
				b.event(fmt.Sprintf("lane.%d", i), `{}`, nil)
			}
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b.mu.Lock()
		left := len(b.queue("events").msgs)
		b.mu.Unlock()
		if left != 0 {
			t.Errorf("%d of %d events not taken after five seconds: the consumer waits for endpoints that hang", left, lanes*60)
		}
	})
}
