package main

import (
	"strconv"
	"syscall"
	"time"
)

// takeoverWithin is how soon what a dead daemon held is being delivered by the others.
var takeoverWithin = scale(8*time.Second, 6*time.Second) // bounded, others may load the machine

// threeDaemons share events and retries on one bus: one is killed, one is stopped, one joins late.
func threeDaemons(w *world) {
	events, rate := scale(3000, 20_000), scale(500, 1000)
	random := seed(w)
	to := newWitness(w.T, func(c *call) answer {
		a := flaky(c)
		a.after *= 10 // so that much is in flight
		return a
	})
	w.rules(oneNumbered(to.url))
	flags := []string{"--delivery.initial_delay", "500ms", "--delivery.multiplier", "1.5"}
	a := w.daemonNamed("a", flags...)
	b := w.daemonNamed("b", flags...)
	all := w.publishNumbered("events.course.completed", 0, events, rate)
	reach := func(share float64) {
		at := int(share*float64(events)) + random.IntN(events/20)
		w.until(120*time.Second, "the next fault is due", func() bool { return int(all.confirmed.Load()) >= at })
	}
	reach(0.2)
	c := w.daemonNamed("c", flags...)
	reach(0.4)
	published := int(all.confirmed.Load())
	killed := a.kill("a")
	// What was published while it lived must all have come, from whoever: it came before, or another took it over.
	w.until(takeoverWithin+10*time.Second, "what the killed daemon held has come", func() bool { return to.events() >= published && cameBelow(to, published) })
	late := latest(to, published, killed.from)
	if late > takeoverWithin {
		w.Errorf("what was published before a daemon was killed came up to %s after the kill, want %s at most", late, takeoverWithin)
	}
	reach(0.7)
	stopping := time.Now()
	if status := b.stop(sigterm); status != 0 {
		w.Errorf("SIGTERM ended a daemon with status %d, want 0", status)
	}
	stopTook := time.Since(stopping)
	all.wait(120 * time.Second)
	s := w.takeStock(to, events, 60*time.Second, killed)
	if late = max(late, s.takeover); late > takeoverWithin {
		w.Errorf("what was in flight in the killed daemon came again %s later, want %s at most", late, takeoverWithin)
	}
	for _, name := range []string{"a", "b", "c"} {
		if to.from(name) == 0 {
			w.Errorf("daemon %s delivered nothing", name)
		}
	}
	if status := c.stop(sigterm); status != 0 {
		w.Errorf("SIGTERM with nothing to do ended a daemon with status %d, want 0", status)
	}
	w.report(s, events, "takeover %s, stop %s; a %d, b %d, c %d POSTs", late.Round(10*time.Millisecond), stopTook.Round(10*time.Millisecond),
		to.from("a"), to.from("b"), to.from("c"))
}

// cameBelow tells whether each event below n has come.
func cameBelow(to *witness, n int) bool {
	_, ok := firsts(to, n)
	return ok
}

// firsts finds when each event below n came first; false where one has not.
func firsts(to *witness, n int) (map[int]time.Time, bool) {
	at := map[int]time.Time{}
	for _, c := range to.all() {
		i := number(c.body)
		if _, ok := at[i]; !ok && i < n {
			at[i] = c.at
		}
	}
	return at, len(at) >= n
}

// latest is how long after a time the last of the events below n came first.
func latest(to *witness, n int, after time.Time) time.Duration {
	at, _ := firsts(to, n)
	late := time.Duration(0)
	for _, t := range at {
		late = max(late, t.Sub(after))
	}
	return late
}

// handsOver: what a daemon holds and has not begun is another's at once where it is stopped, and within seconds where it dies.
func handsOver(w *world, signal syscall.Signal) {
	const events, workers = 60, 4
	open := make(chan struct{})
	to := newWitness(w.T, func(c *call) answer {
		if c.daemon == "a" {
			return answer{when: open}
		}
		return answer{}
	})
	w.rules(oneNumbered(to.url))
	a := w.daemonNamed("a", "--delivery.workers", "4", "--delivery.timeout", "60s")
	all := w.publishNumbered("events.course.completed", 0, events, 0)
	all.wait(10 * time.Second)
	w.until(10*time.Second, "the first daemon has its hands full", func() bool { return to.len() == workers })
	b := w.daemonNamed("b")
	// What waits on the bus is anybody's; what is left then is what the first one holds.
	held := 0
	w.until(10*time.Second, "nothing is left but what the first daemon holds", func() bool {
		var err error
		held, err = strconv.Atoi(a.metric("bellhop_held_messages"))
		held -= workers
		return err == nil && held+to.events() == events
	})
	if held == 0 {
		w.Fatal("the first daemon holds nothing that it has not begun")
	}
	faults, limit := []fault(nil), time.Second
	from := time.Now()
	if signal == sigkill {
		limit = takeoverWithin
		faults = append(faults, a.kill("a"))
		from = faults[0].to
	} else if err := a.cmd.Process.Signal(signal); err != nil {
		w.Fatal(err)
	}
	w.until(20*time.Second, "the other daemon has all that was not begun", func() bool { return to.events() == events })
	took := latest(to, events, from)
	close(open)
	if signal == sigterm {
		if status := a.wait(20 * time.Second); status != 0 {
			w.Errorf("SIGTERM ended it with status %d, want 0", status)
		}
	}
	s := w.takeStock(to, events, 20*time.Second, faults...)
	if took = max(took, s.takeover); took > limit {
		w.Errorf("what the daemon held came from the other %s after %s, want %s at most", took, signal, limit)
	}
	if want := len(faults) * workers; s.duplicated != want {
		w.Errorf("%d POSTs were made twice, want %d: those under way when it was killed", s.duplicated, want)
	}
	b.stop(sigterm)
	w.report(s, events, "%d held and not begun came %s after %s", held, took.Round(time.Millisecond), signal)
}
