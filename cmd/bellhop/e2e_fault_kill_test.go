package main

import (
	"fmt"
	"net/http"
	"time"
)

// flaky answers one call in ten with 503, and all after up to 10 ms, so that there is always something in flight.
func flaky(c *call) answer {
	a := answer{after: time.Duration(c.draw(10_000)) * time.Microsecond}
	if c.draw(10) == 3 {
		a.status = http.StatusServiceUnavailable
	}
	return a
}

// killedAgainAndAgain kills the daemon, and with it the server that it embeds, at random points of its deliveries.
func killedAgainAndAgain(w *world) {
	events, kills := scale(1500, 20_000), scale(4, 20)
	random := seed(w)
	to := newWitness(w.T, flaky)
	w.rules(oneNumbered(to.url))
	flags := []string{"--delivery.initial_delay", "500ms", "--delivery.multiplier", "1.5"}
	d := w.daemonNamed("a", flags...)
	all := w.publishNumbered("events.course.completed", 0, events, 0)
	var faults []fault
	for range kills {
		// So far into what is left that the kills spread over the whole load.
		share := max(1, (events-to.len())/(kills+1-len(faults)))
		at := to.len() + 1 + random.IntN(share)
		w.until(60*time.Second, fmt.Sprintf("%d POSTs have come", at), func() bool { return to.len() >= at })
		faults = append(faults, d.kill("a"))
		d = w.daemonNamed("a", flags...)
	}
	all.wait(60 * time.Second)
	s := w.takeStock(to, events, 60*time.Second, faults...)
	w.report(s, events, "one final outcome each; goes on within %s", s.takeover.Round(10*time.Millisecond))
}
