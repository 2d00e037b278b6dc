package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// nothingIsLost kills the daemon again and again while events come and attempts fail: every event ends delivered, once.
func nothingIsLost(w *world) {
	w.rules(oneRule)
	w.to.answers(func(n int, _ *posted) reply {
		if n%5 == 0 {
			return reply{status: "503 Service Unavailable"}
		}
		return reply{}
	})
	flags := []string{"--delivery.initial_delay", "300ms", "--delivery.multiplier", "1", "--delivery.retries", "20"}
	const lives, each = 4, 150
	published := 0
	for life := range lives {
		d := w.serve(flags...)
		for range each {
			// An event that was not confirmed, the embedded server being down, would be nobody's promise.
			w.publish("events.a.b", fmt.Sprintf(`{"score":%d}`, published))
			published++
		}
		if life < lives-1 {
			d.stop(sigkill)
		}
	}
	w.until(30*time.Second, "every event is acknowledged", func() bool {
		c, err := w.js.Consumer(w.Context(), "EVENTS", "bellhop")
		if err != nil || c.CachedInfo().NumAckPending > 0 || c.CachedInfo().NumPending > 0 {
			return false
		}
		s, err := w.js.Stream(w.Context(), "WEBHOOK_RETRIES")
		return err == nil && s.CachedInfo().State.Msgs == 0
	})
	delivered, ids := map[string]int{}, map[string]bool{}
	for _, o := range w.outcomes(published, 10*time.Second) {
		if ids[o.msgID] {
			w.Errorf("outcome %s was recorded twice", o.msgID)
		}
		ids[o.msgID] = true
		switch o.envelope["type"] {
		case "webhook.delivered":
			delivered[o.data["event_id"].(string)]++
		case "webhook.retrying":
		default:
			w.Errorf("outcome %s", o.text)
		}
	}
	for seq := 1; seq <= published; seq++ {
		if n := delivered[fmt.Sprintf("EVENTS-%d", seq)]; n != 1 {
			w.Errorf("event %d was delivered %d times, by its outcomes", seq, n)
		}
	}
	posts := map[string]bool{}
	for _, p := range w.to.requests() {
		posts[p.body] = true
	}
	if len(posts) != published {
		w.Errorf("%d different events were POSTed, want %d", len(posts), published)
	}
}

// retryAfter: a receiver that asks for more time gets it, for its other deliveries, too, and other receivers do not wait.
func retryAfter(w *world) {
	other := newReceiver(w.T)
	w.rules(oneRule + `
  - name: other
    on: ">"
    webhooks: [{endpoint: ` + other.url + `/}]
`)
	w.to.answers(func(n int, _ *posted) reply {
		if n == 1 {
			return reply{status: "429 Too Many Requests", headers: []string{"Retry-After: 2"}}
		}
		return reply{}
	})
	w.serve("--delivery.initial_delay", "100ms")
	w.publish("events.a.b", `{"score":1}`)
	w.to.wait(w, 1, 5*time.Second)
	w.outcomes(2, 5*time.Second)
	w.publish("events.a.b", `{"score":2}`)
	w.until(5*time.Second, "the other receiver has both", func() bool { return len(other.requests()) == 2 })
	got := w.to.wait(w, 3, 10*time.Second)
	for _, p := range got[1:] {
		if gap := p.at.Sub(got[0].answered); gap < 2*time.Second || gap > 8*time.Second {
			w.Errorf("%q came %s after the receiver asked for 2s", p.body, gap)
		}
		if want := map[bool]string{true: "2", false: "1"}[p.body == got[0].body]; p.header("webhook-attempt") != want {
			w.Errorf("%q was attempt %s, want %s: a pause is no attempt", p.body, p.header("webhook-attempt"), want)
		}
	}
	if first := other.requests()[0].at; first.Sub(got[0].answered) > 2*time.Second {
		w.Errorf("the other receiver got its first %s after the pause began: it has none", first.Sub(got[0].answered))
	}
	w.settled()
}

// busTrouble takes a consumer and the outcomes' stream away under a daemon: it makes them anew and goes on.
func busTrouble(w *world) {
	w.rules(oneRule)
	d := w.serve()
	w.goesTo("/hook")
	if err := w.js.DeleteConsumer(w.Context(), "EVENTS", "bellhop"); err != nil {
		w.Fatal(err)
	}
	w.until(10*time.Second, "the consumer is there again", func() bool {
		_, err := w.js.Consumer(w.Context(), "EVENTS", "bellhop")
		return err == nil
	})
	w.goesTo("/hook")
	if err := w.js.DeleteStream(w.Context(), "WEBHOOKS"); err != nil {
		w.Fatal(err)
	}
	w.goesTo("/hook")
	w.outcomes(1, 20*time.Second)
	w.until(15*time.Second, "ready again", func() bool {
		status, _ := d.get("/readyz")
		return status == http.StatusOK
	})
	w.goesTo("/hook")
	w.outcomes(2, 10*time.Second)
	w.settled()
}

// largeEvent makes a form nearly as large as forms may be, of letters that treble in it: its retry waits on the bus all the
// same, and where it fails for good the outcome holds the beginning of it, as much as fits.
func largeEvent(w *world) {
	const letters = 1300 << 10
	w.rules(oneRule)
	w.to.answers(func(n int, _ *posted) reply {
		if n == 1 {
			return reply{status: "503 Service Unavailable"}
		}
		return reply{status: "404 Not Found"}
	})
	w.serve("--events.max_bytes", "8MiB", "--delivery.initial_delay", "200ms")
	w.publish("events.a.b", `{"user":{"first_name":"`+strings.Repeat("é", letters)+`"}}`)
	got := w.to.wait(w, 2, 20*time.Second)
	if want := "name=" + strings.Repeat("%C3%A9", letters) + "+&score="; got[0].body != want || got[1].body != want {
		w.Errorf("bodies of %d and %d bytes, want %d", len(got[0].body), len(got[1].body), len(want))
	}
	o := w.outcomes(2, 10*time.Second)[1]
	request, _ := o.data["request"].(map[string]any)
	if body, _ := request["body"].(string); !strings.HasPrefix(got[0].body, body) || len(body) < 4<<20 {
		w.Errorf("the outcome holds %d bytes of the request's body, want its beginning, as much as fits", len(body))
	}
	w.settled()
}
