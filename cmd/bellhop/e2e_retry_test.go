package main

import (
	"slices"
	"strings"
	"syscall"
	"time"
)

// signals by names that read well below.
const (
	sigterm = syscall.SIGTERM
	sigkill = syscall.SIGKILL
)

// busyOnce answers 503 to the first request and 200 to those after it.
func busyOnce(n int, _ *posted) reply {
	if n == 1 {
		return reply{status: "503 Service Unavailable", body: "come back"}
	}
	return reply{}
}

// retryAfterFiveSeconds is the promise with nothing configured: 5 s after the end of the failed attempt, at most 1 s later.
func retryAfterFiveSeconds(w *world) {
	w.rules(oneRule)
	w.to.answers(busyOnce)
	w.serve()
	w.publish("events.course.completed", `{`+aUser+`,"score":1}`)
	got := w.to.wait(w, 2, 12*time.Second)
	gap := got[1].at.Sub(got[0].answered)
	if gap < 5*time.Second || gap > 6500*time.Millisecond {
		w.Errorf("the retry came %s after the failed attempt, want 5s and at most 1s more", gap)
	}
	for i := range got {
		w.checkRequest(got[i], i+1, aUserForm+"1")
	}
	if a, b := got[0].header("webhook-id"), got[1].header("webhook-id"); a != b {
		w.Errorf("webhook-id = %q, then %q; want the same", a, b)
	}
	list := w.outcomes(2, 5*time.Second)
	w.checkEnvelope(list[0], "retrying", "course.completed", attemptFields("status", "error", "next_attempt_at", "response")...)
	w.checkEnvelope(list[1], "delivered", "course.completed", attemptFields("status", "response")...)
	w.checkData(list[0], map[string]any{
		"attempt": 1, "status": 503, "error": map[string]any{"kind": "status", "message": "503 Service Unavailable"},
		"response": map[string]any{"body": "come back", "truncated": false},
	})
	w.checkData(list[1], map[string]any{"attempt": 2, "status": 200, "event_seq": list[0].data["event_seq"]})
	due := w.instant(list[0], "next_attempt_at")
	if off := due.Sub(w.ended(list[0])) - 5*time.Second; off < -time.Millisecond || off > 10*time.Millisecond {
		w.Errorf("next_attempt_at is %s beside the end of the attempt and 5s", off)
	}
	if late := w.instant(list[1], "started_at").Sub(due); late < 0 || late > time.Second {
		w.Errorf("attempt 2 started %s after it was due, want 0 to 1s", late)
	}
	w.settled()
}

// retryOverRestart ends the daemon while a retry is scheduled.
func retryOverRestart(w *world, signal syscall.Signal) {
	w.rules(oneRule)
	w.to.answers(busyOnce)
	// The log comes before a kill that it could be lost by: the outcome on the bus tells that the retry is scheduled.
	flags := []string{"--delivery.initial_delay", "3s"}
	d := w.serve(flags...)
	w.publish("events.course.completed", `{"score":1}`)
	due := w.instant(w.outcomes(1, 5*time.Second)[0], "next_attempt_at")
	if status := d.stop(signal); signal == sigterm && status != 0 {
		w.Errorf("SIGTERM ended it with status %d, want 0", status)
	}
	w.serve(flags...)
	late := time.Second
	if w.kind == old && signal == sigkill {
		// What the dead daemon held, the server hands over after the ack wait.
		late = 6 * time.Second
	}
	got := w.to.wait(w, 2, 15*time.Second)
	list := w.outcomes(2, 5*time.Second)
	w.checkEnvelope(list[1], "delivered", "course.completed", attemptFields("status", "response")...)
	w.checkData(list[1], map[string]any{"attempt": 2, "run": 1})
	if off := w.instant(list[1], "started_at").Sub(due); off < 0 || off > late {
		w.Errorf("attempt 2 started %s after it was due, want 0 to %s", off, late)
	}
	if got[1].header("webhook-attempt") != "2" || got[1].header("webhook-id") != got[0].header("webhook-id") || got[1].body != got[0].body {
		w.Errorf("the retry was %+v, after %+v", got[1], got[0])
	}
	w.settled()
	if n := len(w.to.requests()); n != 2 {
		w.Errorf("%d requests, want 2", n)
	}
}

// retryCancelledByItsRule takes the rule away before the retry is due.
func retryCancelledByItsRule(w *world) {
	w.rules(oneRule)
	w.to.answers(busyOnce)
	d := w.serve("--delivery.initial_delay", "2500ms")
	w.publish("events.course.completed", `{"score":1}`)
	due := w.instant(w.outcomes(1, 5*time.Second)[0], "next_attempt_at")
	w.rules(strings.ReplaceAll(oneRule, "crm", "another"))
	w.until(2*time.Second, "the new rules are in force", func() bool {
		_, text := d.get("/api/v1/rules")
		return strings.Contains(text, `"another"`)
	})
	o := w.outcomes(2, 8*time.Second)[1]
	w.checkEnvelope(o, "failed", "course.completed", attemptFields("error", "request")...)
	w.checkData(o, map[string]any{"attempt": 2, "rule": "crm", "webhook": "hook", "request": map[string]any{"body": "name=+&score=1"}})
	if why, _ := o.data["error"].(map[string]any); why["kind"] != "cancelled" {
		w.Errorf("error = %v, want the kind cancelled", why)
	}
	if early := due.Sub(w.instant(o, "started_at")); early > 0 {
		w.Errorf("it was cancelled %s before it was due", early)
	}
	w.settled()
	if n := len(w.to.requests()); n != 1 {
		w.Errorf("%d requests, want 1", n)
	}
}

// mendedEndpoint changes the endpoint, the headers and the parameters while a retry waits: the first two go with it.
func mendedEndpoint(w *world) {
	w.rules(oneRule)
	w.to.answers(busyOnce)
	d := w.serve("--delivery.initial_delay", "2500ms")
	w.publish("events.course.completed", `{"score":1}`)
	first := w.outcomes(1, 5*time.Second)[0]
	mended := strings.NewReplacer("ENDPOINT/hook", "ENDPOINT/mended", `score: "@score"}`, `other: "@score"}`+"\n        headers: {X-New: yes-now}").Replace(oneRule)
	w.rules(mended)
	w.until(2*time.Second, "the new rules are in force", func() bool {
		_, text := d.get("/api/v1/rules")
		return strings.Contains(text, "/mended")
	})
	p := w.to.wait(w, 2, 8*time.Second)[1]
	if p.line != "POST /mended HTTP/1.1" || p.header("X-New") != "yes-now" || p.body != "name=+&score=1" {
		w.Errorf("the retry was %+v, want the new endpoint and header with the body as first rendered", p)
	}
	o := w.outcomes(2, 5*time.Second)[1]
	w.checkData(o, map[string]any{"endpoint": w.to.url + "/mended", "attempt": 2})
	if o.data["rules_version"] == first.data["rules_version"] {
		w.Errorf("rules_version is %v on both attempts, by different rules", o.data["rules_version"])
	}
}

// serverRestarts kills the server while one retry waits and one POST is under way: both end well, the retry not early.
func serverRestarts(w *world) {
	w.rules(oneRule)
	release := make(chan struct{})
	w.to.answers(func(n int, p *posted) reply {
		switch {
		case n == 1:
			return reply{status: "503 Service Unavailable"}
		case strings.HasSuffix(p.body, "score=2"):
			return reply{after: release}
		}
		return reply{}
	})
	d := w.serve("--delivery.initial_delay", "3s")
	w.publish("events.a.b", `{"score":1}`)
	due := w.instant(w.outcomes(1, 5*time.Second)[0], "next_attempt_at")
	w.publish("events.a.b", `{"score":2}`)
	w.to.wait(w, 2, 5*time.Second)
	if err := w.srv.cmd.Process.Kill(); err != nil {
		w.Fatal(err)
	}
	w.srv.wait(5 * time.Second)
	w.until(5*time.Second, "/readyz says that the bus is away", func() bool {
		status, text := d.get("/readyz")
		return status == 503 && strings.Contains(text, "NATS")
	})
	close(release)
	binary := w.bin.nats
	if w.kind == old {
		binary = oldNATS
	}
	w.startNATS(binary)
	list := w.outcomes(3, 20*time.Second)
	kinds := map[string]int{}
	for _, o := range list {
		kinds[strings.Split(o.subject, ".")[1]]++
		if o.data["attempt"] == 2.0 {
			if early := due.Sub(w.instant(o, "started_at")); early > 0 {
				w.Errorf("attempt 2 started %s before it was due", early)
			}
		}
	}
	if kinds["retrying"] != 1 || kinds["delivered"] != 2 || len(list) != 3 {
		w.Errorf("outcomes = %v, want one retrying and two delivered", kinds)
	}
	w.until(15*time.Second, "ready again", func() bool {
		status, _ := d.get("/readyz")
		return status == 200
	})
	w.until(10*time.Second, "every event is acknowledged", func() bool {
		c, err := w.js.Consumer(w.Context(), "EVENTS", "bellhop")
		return err == nil && c.CachedInfo().NumAckPending == 0 && c.CachedInfo().NumPending == 0
	})
	var bodies []string
	for _, p := range w.to.requests() {
		bodies = append(bodies, p.body)
	}
	slices.Sort(bodies)
	if want := []string{"name=+&score=1", "name=+&score=1", "name=+&score=2"}; !slices.Equal(bodies, want) {
		w.Errorf("requests = %q, want %q: what was under way is settled, not made again", bodies, want)
	}
}
