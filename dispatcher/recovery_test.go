package dispatcher

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/endpoint"
	"bellhop/dispatcher/event"
)

// idOf is the id of the one delivery of oneRule for a plain event with the given Nats-Msg-Id.
func idOf(t *testing.T, msgID string) string {
	t.Helper()
	e, err := event.Decode(event.Message{Stream: "EVENTS", Seq: 1, Type: "course.completed", Data: []byte(`{}`), Header: named(msgID)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return delivery.ID(e.Identity, "crm", "webhook-1")
}

func named(id string) map[string][]string { return map[string][]string{bus.MsgID: {id}} }

func TestDoesNotPostWhatIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: ok}
		r := start(t, b, p, oneRule, nil)
		b.event("course.completed", `{}`, named("a"))
		synctest.Wait()
		// The server hands the event out again, as if for the first time: it crashed before it wrote the ack down.
		b.event("course.completed", `{}`, named("a"))
		// And another daemon's outcome of event b is known before the event comes.
		r.recent.add(idOf(t, "b"), 1, 1, false)
		b.event("course.completed", `{}`, named("b"))
		synctest.Wait()
		if got := len(p.all()); got != 1 {
			t.Errorf("%d attempts, want 1: what has an outcome is not POSTed again", got)
		}
		if got := len(b.history("ack")); got != 3 {
			t.Errorf("%d acks, want 3", got)
		}
	})
}

func TestRecentForgetsNoSoonerThanItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecent()
		id := strings.Repeat("ab", 16)
		r.add(id, 1, 1, true)
		other := 0
		for end := time.Now().Add(recentWindow); time.Now().Before(end); time.Sleep(time.Second) {
			other++
			r.add(strings.Repeat("0", 28)+string(rune('a'+other%6))+"000", 1, 1, true)
			if !r.settled(id, 1, 1) {
				t.Fatalf("forgotten after %d s, want %s at least", other, recentWindow)
			}
		}
		time.Sleep(recentWindow)
		r.add(strings.Repeat("f", 32), 1, 1, true)
		if r.settled(id, 1, 1) {
			t.Errorf("still remembered after twice the window: it would grow for ever")
		}
		if got := r.size(); got > 7 {
			t.Errorf("%d deliveries remembered, want few", got)
		}
	})
}

// The table keeps what a map would.
func TestMarksAreAsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var table marks
	for round := range 3 {
		want := map[recentKey]mark{}
		for range 20_000 {
			// Few keys, so that they repeat, and crowded ones, so that places collide.
			k := recentKey{high: rng.Uint64N(1<<14) << rng.UintN(3), low: rng.Uint32N(2)}
			m := markOf(rng.IntN(80), rng.IntN(40), rng.IntN(2) == 0)
			table.set(k, m)
			want[k] = m
		}
		for k, m := range want {
			if got, ok := table.get(k); !ok || got != m {
				t.Fatalf("round %d: get(%v) = %+v, %v, want %+v", round, k, got, ok, m)
			}
		}
		if _, ok := table.get(recentKey{high: 1 << 40}); ok || table.n != len(want) {
			t.Errorf("round %d: %d keys, want %d, and none that was not set", round, table.n, len(want))
		}
		table.reset(table.n)
		if len(table.high) == 0 || table.n != 0 {
			t.Errorf("round %d: %d places and %d keys after a reset, want as many places and none", round, len(table.high), table.n)
		}
	}
}

func TestMarkCovers(t *testing.T) {
	for _, tt := range []struct {
		m            mark
		run, attempt int
		want         bool
	}{
		{mark{1, 1, false}, 1, 1, true}, {mark{1, 1, false}, 1, 2, false}, {mark{1, 1, true}, 1, 2, true},
		{mark{1, 11, true}, 2, 1, false}, {mark{2, 1, false}, 1, 9, true}, {mark{1, 3, false}, 1, 2, true},
	} {
		if got := tt.m.covers(tt.run, tt.attempt); got != tt.want {
			t.Errorf("%+v covers run %d attempt %d = %v, want %v", tt.m, tt.run, tt.attempt, got, tt.want)
		}
	}
}

// A daemon died between the next attempt's confirmation and the outcome's: the outcome is in the schedule.
func TestPublishesTheOutcomeThatACrashLeftInTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: func(int, endpoint.Request) endpoint.Response { return status(500) }}
		down := true
		b.fail = func(what string) error {
			if down && what == "publish" {
				return errForced
			}
			return nil
		}
		first := start(t, b, p, oneRule, func(o *Options) { o.ShutdownTimeout = time.Second })
		m := b.event("course.completed", `{}`, named("a"))
		synctest.Wait()
		_ = first.stop()
		b.mu.Lock()
		down = false
		b.log = nil
		if len(b.schedules) != 1 || m.settled {
			t.Fatalf("%d schedules, event settled %v, want one and false", len(b.schedules), m.settled)
		}
		b.mu.Unlock()
		start(t, b, p, oneRule, nil)
		synctest.Wait()
		if got := strings.Join(b.history("outcome", "ack"), "; "); got != "outcome webhooks.retrying.course.completed; ack events 1" {
			t.Errorf("the bus saw %q, want the outcome out of the schedule and the ack", got)
		}
		if got := len(p.all()); got != 1 {
			t.Errorf("%d attempts, want 1: the attempt before the crash counts", got)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if got := p.all(); len(got) != 2 || got[1].header("webhook-attempt") != "2" {
			t.Errorf("%d attempts, want the second one after its delay", len(got))
		}
	})
}

// The same crash, but the schedule falls due before the event comes again.
func TestRetryMendsTheOutcomeBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: ok}
		start(t, b, p, oneRule, nil)
		prev, err := delivery.Encode(delivery.Retrying, delivery.OutcomeID(idOf(t, "a"), 1, 1), "dead", time.Now(), &delivery.Record{
			DeliveryID: idOf(t, "a"), EventType: "course.completed", Rule: "crm", Webhook: "webhook-1", Run: 1, Attempt: 1, MaxAttempts: 11,
			Error: &delivery.Error{Kind: delivery.KindTimeout},
		})
		if err != nil {
			t.Fatal(err)
		}
		data, err := delivery.EncodeJob(&delivery.Job{
			ID: idOf(t, "a"), EventType: "course.completed", Rule: "crm", Webhook: "webhook-1", Run: 1, Attempt: 2, Previous: prev,
		})
		if err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		b.addJob("due", data)
		b.mu.Unlock()
		synctest.Wait()
		b.event("course.completed", `{}`, named("a"))
		synctest.Wait()
		want := "outcome webhooks.retrying.course.completed; outcome webhooks.delivered.course.completed"
		if got := strings.Join(b.history("outcome"), "; "); got != want {
			t.Errorf("outcomes = %q, want %q", got, want)
		}
		if got := p.all(); len(got) != 1 || got[0].header("webhook-attempt") != "2" {
			t.Errorf("%d attempts, want one, the second: the event came after its outcome", len(got))
		}
	})
}

// Two daemons made the same attempt. The other's outcome was recorded first, so it stands, and what this one scheduled goes.
func TestFirstOutcomeStands(t *testing.T) {
	for _, tt := range []struct {
		name   string
		theirs delivery.Outcome
		next   int    // the attempt that theirs has scheduled; 0 for none, or it has fired
		left   string // what is scheduled in the end
	}{
		{"theirs was delivered", delivery.Delivered, 0, ""},
		{"theirs was retrying, and its next attempt is under way", delivery.Retrying, 0, ""},
		{"theirs was retrying", delivery.Retrying, 2, "attempt 2 of theirs"},
		{"theirs is ahead", delivery.Retrying, 3, "attempt 3 of theirs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newMemBus()
				id := delivery.OutcomeID(idOf(t, "a"), 1, 1)
				p := &poster{answer: func(int, endpoint.Request) endpoint.Response {
					data, err := delivery.Encode(tt.theirs, id, "other", time.Now(), &delivery.Record{Run: 1, Attempt: 1})
					if err != nil {
						t.Error(err)
					}
					b.mu.Lock()
					defer b.mu.Unlock()
					b.outcomes = append(b.outcomes, bus.Msg{Data: data})
					b.ids[id] = 1
					if tt.next > 0 {
						job, err := delivery.EncodeJob(&delivery.Job{
							ID: idOf(t, "a"), Rule: "crm", Webhook: "webhook-1", Run: 1, Attempt: tt.next, Endpoint: "of theirs",
						})
						if err != nil {
							t.Error(err)
						}
						b.schedules[idOf(t, "a")] = memSchedule{seq: 77, timer: time.NewTimer(time.Hour), data: job}
					}
					return status(500)
				}}
				start(t, b, p, oneRule, nil)
				b.event("course.completed", `{}`, named("a"))
				synctest.Wait()
				left := ""
				for _, s := range b.schedules {
					job, err := delivery.DecodeJob(s.data)
					if err != nil {
						t.Fatal(err)
					}
					left += fmt.Sprintf("attempt %d %s", job.Attempt, job.Endpoint)
				}
				if left != tt.left {
					t.Errorf("scheduled in the end: %q, want %q", left, tt.left)
				}
				if got := len(b.history("ack")); got != 1 {
					t.Errorf("%d acks, want 1", got)
				}
			})
		})
	}
}

// A redelivered attempt succeeds and is the first recorded: the schedule that the execution before it left is taken back.
func TestSuccessTakesBackALeftoverSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: ok}
		r := start(t, b, p, oneRule, nil)
		id := idOf(t, "a")
		b.mu.Lock()
		b.schedules[id] = memSchedule{timer: time.NewTimer(time.Hour), data: []byte("not a job")}
		b.mu.Unlock()
		r.Resume(map[string]struct{}{id: {}})
		b.event("course.completed", `{}`, named("a"))
		synctest.Wait()
		if got := strings.Join(b.history("outcome", "unschedule", "ack"), "; "); got != "outcome webhooks.delivered.course.completed; unschedule; ack events 1" {
			t.Errorf("the bus saw %q, want the outcome, the schedule taken back, the ack", got)
		}
	})
}

func TestRetryIsNeverEarly(t *testing.T) {
	for _, early := range []time.Duration{300 * time.Millisecond, 5 * time.Second, time.Hour} {
		t.Run(early.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, p := newMemBus(), &poster{answer: ok}
				start(t, b, p, oneRule, nil)
				due := time.Now().Add(early)
				data, err := delivery.EncodeJob(&delivery.Job{
					ID: idOf(t, "a"), EventType: "course.completed", Rule: "crm", Webhook: "webhook-1", Run: 1, Attempt: 2, Due: due,
				})
				if err != nil {
					t.Fatal(err)
				}
				b.mu.Lock()
				b.addJob("due", data)
				b.mu.Unlock()
				time.Sleep(early + time.Second)
				synctest.Wait()
				posts := p.all()
				if len(posts) != 1 || posts[0].at.Before(due) || posts[0].at.Sub(due) > 100*time.Millisecond {
					t.Errorf("posts = %v, want one at %s: handed over early, it waits", posts, due)
				}
			})
		})
	}
}

func TestRetryFollowsTheRulesInForce(t *testing.T) {
	const mended = `
rules:
  - name: crm
    on: course.completed
    webhooks: [{endpoint: "http://mended.test/new", headers: {X-Key: k2}}]
`
	const gone = `
rules:
  - name: other
    on: course.completed
    webhooks: [{endpoint: "http://crm.test/hook"}]
`
	const disabled = `
rules:
  - name: crm
    enabled: false
    on: course.completed
    webhooks: [{endpoint: "http://crm.test/hook"}]
`
	for _, tt := range []struct {
		name, then string
		posts      int
		kind       delivery.Kind
	}{
		{"mended", mended, 2, ""}, {"gone", gone, 1, delivery.KindCancelled}, {"disabled", disabled, 1, delivery.KindCancelled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newMemBus()
				p := &poster{answer: first(502, 204)}
				r := start(t, b, p, oneRule, nil)
				b.event("course.completed", `{"user":{"first_name":"Ann"}}`, named("a"))
				time.Sleep(time.Second)
				r.SetRules(rules(t, tt.then))
				time.Sleep(10 * time.Second)
				synctest.Wait()
				posts := p.all()
				if len(posts) != tt.posts {
					t.Fatalf("%d attempts, want %d", len(posts), tt.posts)
				}
				last := b.records()[1]
				if tt.kind != "" {
					if last.Error == nil || last.Error.Kind != tt.kind || last.Attempt != 2 || last.Endpoint != "http://crm.test/hook" {
						t.Errorf("last outcome = %+v (error %v), want attempt 2 cancelled", last, last.Error)
					}
					return
				}
				if posts[1].r.URL.Text != "http://mended.test/new" || posts[1].header("X-Key") != "k2" || string(posts[1].r.Body) != "student=Ann" {
					t.Errorf("retry = %+v, want the new endpoint and header with the first body", posts[1].r)
				}
			})
		})
	}
}

// A daemon whose rules are older than the delivery hands the retry back to the bus, for one that knows the webhook.
func TestOlderRulesHandBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: ok}
		r := start(t, b, p, "rules: []", nil)
		data, err := delivery.EncodeJob(&delivery.Job{
			ID: idOf(t, "a"), EventType: "course.completed", Rule: "crm", Webhook: "webhook-1", Run: 1, Attempt: 2,
			RulesSince: time.Now().Add(time.Minute),
		})
		if err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		b.addJob("due", data)
		b.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(b.records()) != 0 || len(b.history("nak")) < 2 {
			t.Fatalf("outcomes %v, naks %v, want none and some", b.records(), b.history("nak"))
		}
		newer := rules(t, oneRule)
		r.SetRules(newer)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := len(p.all()); got != 1 {
			t.Errorf("%d attempts after the rules came, want 1", got)
		}
	})
}

// The bus records an outcome, its confirmation is lost, and it is away for longer than it remembers ids: the outcome is looked
// for before it is published again.
func TestLongOutageRecordsAnOutcomeOnce(t *testing.T) {
	for _, recorded := range []bool{true, false} {
		t.Run(fmt.Sprintf("recorded %v", recorded), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, p := newMemBus(), &poster{answer: ok}
				r := start(t, b, p, oneRule, nil)
				away := true
				var seen []string
				b.fail = func(what string) error {
					if what != "publish" || !away {
						return nil
					}
					return errForced
				}
				b.event("course.completed", `{}`, named("a"))
				time.Sleep(time.Second)
				synctest.Wait()
				id := delivery.OutcomeID(idOf(t, "a"), 1, 1)
				b.mu.Lock()
				if recorded {
					b.outcomes = append(b.outcomes, bus.Msg{Data: outcomeOf(t, id)})
					r.doubts.recorded(id, 1)
				}
				b.mu.Unlock()
				time.Sleep(10 * time.Minute)
				b.mu.Lock()
				away = false // and the bus has forgotten the id: a second publishing would be taken
				b.mu.Unlock()
				for range 20 {
					time.Sleep(time.Second)
					r.Resume(nil) // as after each look
				}
				synctest.Wait()
				b.mu.Lock()
				for _, m := range b.outcomes {
					seen = append(seen, m.Subject)
				}
				b.mu.Unlock()
				if len(seen) != 1 {
					t.Errorf("%d outcomes of one attempt are recorded, want 1", len(seen))
				}
				if got := len(b.history("ack")); got != 1 {
					t.Errorf("%d acks, want 1", got)
				}
			})
		})
	}
}

func outcomeOf(t *testing.T, id string) []byte {
	t.Helper()
	data, err := delivery.Encode(delivery.Delivered, id, "test", time.Now(), &delivery.Record{Run: 1, Attempt: 1})
	if err != nil {
		t.Fatal(err)
	}
	return data
}
