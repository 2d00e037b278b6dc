package dispatcher

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/endpoint"
)

const twoEndpoints = `
rules:
  - name: dead
    on: course.completed
    webhooks: [{endpoint: "http://dead.test/hook", timeout: 10s}]
  - name: alive
    on: group.joined
    webhooks: [{endpoint: "http://alive.test/hook"}]
`

// hang answers the dead endpoint's attempts after their whole time, and all others at once.
func hang(_ int, r endpoint.Request) endpoint.Response {
	if strings.Contains(r.URL.Text, "dead") {
		time.Sleep(r.Timeout)
		return endpoint.Response{Err: &delivery.Error{Kind: delivery.KindTimeout}}
	}
	return status(200)
}

func countTo(posts []post, host string) int {
	n := 0
	for _, p := range posts {
		if strings.Contains(p.r.URL.Text, host) {
			n++
		}
	}
	return n
}

func TestParkedDeliveriesGoOutWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemBus()
		p := &poster{answer: func(int, endpoint.Request) endpoint.Response {
			time.Sleep(300 * time.Millisecond)
			return status(200)
		}}
		r := start(t, b, p, oneRule, func(o *Options) { o.Workers, o.PerEndpoint = 16, 4 })
		const n = 200
		for i := range n {
			b.event("course.completed", `{}`, named(fmt.Sprint("e", i)))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		ids := map[string]int{}
		for _, post := range p.all() {
			ids[post.header("webhook-id")]++
		}
		if len(ids) != n || len(p.all()) != n {
			t.Errorf("%d attempts for %d deliveries, want one for each of %d", len(p.all()), len(ids), n)
		}
		if p.most > 4 {
			t.Errorf("%d attempts at a time, want 4 at most", p.most)
		}
		if got := len(b.records()); got != n {
			t.Errorf("%d outcomes, want %d", got, n)
		}
		if got := r.held.len(); got != 0 {
			t.Errorf("%d messages still held, want none", got)
		}
		for _, l := range r.Lanes() {
			if l.InFlight != 0 || l.Queued != 0 || l.Backlog {
				t.Errorf("lane %+v, want it empty", l)
			}
		}
		// The bus's consumer of an empty lane is given up, and comes back when it is needed.
		if got := len(r.lanes.serves); got != 0 {
			t.Errorf("%d lane pullers, want none after a while without work", got)
		}
	})
}

// What another daemon parked and did not live to send is found and sent.
func TestTakesOverParkedDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: ok}
		start(t, b, p, oneRule, nil)
		token := bus.LaneToken("http://crm.test:80", 0)
		b.mu.Lock()
		for i := range 20 {
			data, err := delivery.EncodeJob(&delivery.Job{
				ID: idOf(t, fmt.Sprint("e", i)), EventType: "course.completed", Rule: "crm", Webhook: "webhook-1", Run: 1, Attempt: 1,
			})
			if err != nil {
				t.Fatal(err)
			}
			b.addJob("wait."+token, data)
		}
		b.mu.Unlock()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := len(p.all()); got != 20 {
			t.Errorf("%d of 20 attempts within 5 s", got)
		}
	})
}

func TestRetryAfterHoldsTheLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemBus()
		p := &poster{answer: func(n int, _ endpoint.Request) endpoint.Response {
			if n == 1 {
				r := status(429)
				r.RetryAfter = 30 * time.Second
				return r
			}
			return status(200)
		}}
		start(t, b, p, oneRule, nil)
		began := time.Now()
		b.event("course.completed", `{}`, named("a"))
		time.Sleep(time.Second)
		for i := range 50 {
			b.event("course.completed", `{}`, named(fmt.Sprint("later", i)))
		}
		time.Sleep(28 * time.Second)
		synctest.Wait()
		if got := len(p.all()); got != 1 {
			t.Fatalf("%d attempts while the receiver asked for a pause, want 1", got)
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		posts := p.all()
		if len(posts) != 52 {
			t.Errorf("%d attempts after the pause, want 52: the first, its retry and the 50 held back", len(posts))
		}
		for _, post := range posts[1:] {
			if at := post.at.Sub(began); at < 30*time.Second || at > 33*time.Second {
				t.Errorf("an attempt began %s after the first, want 30 s to 33 s", at)
			}
			if a := post.header("webhook-attempt"); a != "1" && post.header("webhook-id") != posts[0].header("webhook-id") {
				t.Errorf("a delivery that was held back has attempt %s, want 1: the pause is not counted", a)
			}
		}
	})
}

func TestStopGivesBackWhatHasNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemBus()
		p := &poster{answer: func(int, endpoint.Request) endpoint.Response {
			time.Sleep(4 * time.Second)
			return status(200)
		}}
		r := start(t, b, p, oneRule, func(o *Options) { o.Workers, o.PerEndpoint = 4, 2 })
		for i := range 4 {
			b.event("course.completed", `{}`, named(fmt.Sprint("e", i)))
		}
		time.Sleep(time.Second)
		began := time.Now()
		if err := r.stop(); err != nil {
			t.Fatalf("Run = %v, want nil", err)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the stop took %s, want what the attempts under way needed", took)
		}
		if got := len(p.all()); got != 2 {
			t.Errorf("%d attempts, want the 2 under way and no other begun", got)
		}
		if got := b.history("outcome"); len(got) != 2 {
			t.Errorf("outcomes = %v, want those of the 2 under way", got)
		}
		if got := b.history("nak"); len(got) != 2 || !strings.HasSuffix(got[0], "after 0s") {
			t.Errorf("given back = %v, want 2 at once", got)
		}
	})
}

func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemBus()
		p := &poster{answer: func(int, endpoint.Request) endpoint.Response {
			time.Sleep(time.Hour)
			return status(200)
		}}
		r := start(t, b, p, oneRule, func(o *Options) { o.ShutdownTimeout = 3 * time.Second })
		b.event("course.completed", `{}`, nil)
		time.Sleep(time.Second)
		began := time.Now()
		if err := r.stop(); err != nil {
			t.Fatalf("Run = %v, want nil", err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("the stop took %s, want shutdown_timeout's 3 s", took)
		}
		if len(b.history("ack")) != 0 || len(b.history("nak")) != 1 {
			t.Errorf("the bus saw %v, want the event given back, not acknowledged", b.history("ack", "nak"))
		}
		time.Sleep(2 * time.Hour) // let the poster's goroutine end
	})
}

func TestFanOutSettlesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := "rules:\n"
		for i := range 30 {
			text += fmt.Sprintf("  - {name: r%d, on: \"*.*\", webhooks: [{endpoint: \"http://h%d.test/\"}]}\n", i, i%7)
		}
		b, p := newMemBus(), &poster{answer: func(n int, _ endpoint.Request) endpoint.Response {
			time.Sleep(time.Duration(n%5) * time.Second)
			return status(200)
		}}
		start(t, b, p, text, nil)
		b.event("course.completed", `{}`, nil)
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		if got := b.history("ack"); len(got) != 0 {
			t.Errorf("acknowledged %v before every delivery was settled", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := b.history("ack"); len(got) != 1 || len(b.records()) != 30 {
			t.Errorf("%d acks and %d outcomes, want 1 and 30", len(got), len(b.records()))
		}
	})
}

// What waited on the bus already and meets a pause must not be parked under the same key again: the stream would drop it as
// a duplicate, and the first copy would be acknowledged.
func TestPauseLosesNothingThatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemBus()
		p := &poster{answer: func(n int, _ endpoint.Request) endpoint.Response {
			time.Sleep(200 * time.Millisecond)
			if n%12 == 0 && n < 100 {
				r := status(503)
				r.RetryAfter = 4 * time.Second
				return r
			}
			return status(200)
		}}
		r := start(t, b, p, oneRule, func(o *Options) { o.PerEndpoint = 4 })
		const n = 80
		for i := range n {
			b.event("course.completed", `{}`, named(fmt.Sprint("e", i)))
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		final := map[string]bool{}
		for _, rec := range b.records() {
			if rec.NextAttemptAt == nil {
				final[rec.DeliveryID] = true
			}
		}
		if len(final) != n || r.held.len() != 0 {
			t.Errorf("%d of %d deliveries ended, %d messages held", len(final), n, r.held.len())
		}
	})
}

// Endpoints that hang for long keep a few workers each, not all of the daemon's; their deliveries keep attempts and delays.
func TestFailingLanesGetProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := "rules:\n  - {name: alive, on: group.joined, webhooks: [{endpoint: \"http://alive.test/\"}]}\n"
		for i := range 5 {
			text += fmt.Sprintf("  - {name: dead%d, on: course.completed, webhooks: [{endpoint: \"http://dead%d.test/\"}]}\n", i, i)
		}
		b, p := newMemBus(), &poster{answer: hang}
		start(t, b, p, text, func(o *Options) { o.Workers, o.PerEndpoint = 64, 16 })
		// The dead endpoints want more workers than there are, and have not even failed yet: some are kept from them.
		aliveBehindDead(t, b, p)
		// Later they are known for what they are.
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		p.mu.Lock()
		if p.now > 5*probes {
			t.Errorf("%d attempts under way at 5 dead endpoints, want %d at most", p.now, 5*probes)
		}
		p.mu.Unlock()
		before := len(p.all())
		for range 200 {
			b.event("group.joined", `{}`, nil)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if got := countTo(p.all()[before:], "alive"); got != 200 {
			t.Errorf("%d of 200 deliveries to the healthy endpoint within 100 ms", got)
		}
	})
}

// What waits for a lane that is held back goes out once its webhook calls another endpoint, at the pace of that one.
func TestMendedEndpointFreesWhatWaitsForAPausedLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: func(int, endpoint.Request) endpoint.Response {
			time.Sleep(50 * time.Millisecond)
			return status(200)
		}}
		r := start(t, b, p, twoEndpoints, func(o *Options) { o.Workers, o.PerEndpoint = 8, 4 })
		r.Heed(bus.LaneHold{Lane: "http://dead.test:80", Pause: true})
		const n = 300
		for range n {
			b.event("course.completed", `{}`, nil)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(p.all()); got != 0 {
			t.Fatalf("%d attempts in a lane that is paused, want none", got)
		}
		r.SetRules(rules(t, strings.Replace(twoEndpoints, "dead.test", "mended.test", 1)))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := countTo(p.all(), "mended.test"); got != n || len(p.all()) != n {
			t.Errorf("%d of %d deliveries to the mended endpoint, %d attempts in all", got, n, len(p.all()))
		}
		if p.most > 4 {
			t.Errorf("%d at a time, want at most the lane's 4", p.most)
		}
		if got := len(b.history("ack events")); got != n {
			t.Errorf("%d of %d events acknowledged", got, n)
		}
	})
}

// While the bus records no outcome, only so many attempts are made as can be held without one, whatever waits.
func TestUnrecordedAttemptsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: ok}
		refused := true // guarded by the bus's lock
		b.fail = func(what string) error {
			if what == "publish" && refused {
				return errForced
			}
			return nil
		}
		start(t, b, p, twoEndpoints, func(o *Options) { o.Workers, o.PerEndpoint = 32, 16 })
		const n = 2000
		for range n {
			b.event("group.joined", `{}`, nil)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(p.all()); got > 3*32 {
			t.Errorf("%d attempts without an outcome, want at most three for each of 32 workers", got)
		}
		b.mu.Lock()
		refused = false
		b.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(p.all()); got != n || len(b.records()) != n {
			t.Errorf("%d attempts and %d outcomes once the bus takes them, want %d", got, len(b.records()), n)
		}
	})
}
