package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// isolation puts an endpoint that hangs on every call, with events waiting for it, beside a healthy one, and measures what the
// healthy one notices: against a second daemon with a server of its own that has no such endpoint, turn by turn.
func isolation(w *world) {
	waiting, events, rounds := scale(5000, 100_000), scale(1000, 10_000), scale(1, 5)
	rate := scale(200, 500)
	plain := newWorld(w.T, w.bin, external)
	healthy := [2]*witness{newWitness(w.T, nil), newWitness(w.T, nil)}
	hung := newWitness(w.T, func(*call) answer { return answer{never: true} })
	w.rules(oneNumbered(healthy[0].url) + `
  - name: hung
    on: other.thing
    webhooks: [{endpoint: ` + hung.url + `/, parameters: {n: "@n"}}]
`)
	w.replaceRule("on: \">\"", "on: course.completed")
	plain.rules(oneNumbered(healthy[1].url))
	d := w.daemonNamed("a")
	plain.daemonNamed("a")
	parking := time.Now()
	stuck := w.publishNumbered("events.other.thing", 10_000_000, 10_000_000+waiting, 0)
	stuck.wait(2 * time.Minute)
	w.until(2*time.Minute, "all that the hung endpoint waits for is parked", func() bool {
		c, err := w.js.Consumer(w.Context(), "EVENTS", "bellhop")
		return err == nil && c.CachedInfo().NumPending == 0 && c.CachedInfo().NumAckPending < 1000 && w.waiting() > waiting-1500
	})
	parked := time.Since(parking)

	// The parked ones alone: what do they cost the bus?
	const quiet = 5 * time.Second
	before := w.serverMessages()
	w.pause(quiet)
	churn := float64(w.serverMessages()-before) / quiet.Seconds()
	if churn > 500 {
		w.Errorf("%d parked attempts cost the bus %.0f messages a second, want a few hundred at most whatever waits", waiting, churn)
	}

	var ratios, with, without []float64
	next := 0
	least := scale(0.4, 0.9)
	for round := range scale(5, rounds) {
		var speed [2]float64
		for i, one := range []*world{w, plain} {
			speed[i] = one.throughput(healthy[i], next, events)
		}
		next += events
		ratios = append(ratios, speed[0]/speed[1])
		if !soak && round+1 >= rounds && slices.Max(ratios) >= least {
			break // other tests run beside it, and may have slowed down one of two
		}
	}
	for range rounds {
		for i, one := range []*world{w, plain} {
			p99 := one.latency(healthy[i], next, scale(2, 5)*rate, rate)
			if i == 0 {
				with = append(with, p99)
			} else {
				without = append(without, p99)
			}
		}
		next += scale(2, 5) * rate
	}
	ratio, slow, base := median(ratios), median(with), median(without)
	if !soak {
		ratio = slices.Max(ratios)
	}
	if ratio < least {
		w.Errorf("with %d waiting for a hung endpoint, a healthy one's throughput is %.2f of that without (%v), want %.2f", waiting, ratio, ratios, least)
	}
	if most := scale(2*base+0.25, max(2*base, 0.01)); slow > most {
		w.Errorf("with %d waiting for a hung endpoint, a healthy one's event-to-POST p99 is %.1f ms, and %.1f ms without", waiting, 1000*slow, 1000*base)
	}
	if n := w.waiting(); n < waiting*9/10 {
		w.Errorf("%d of %d are still waiting for the hung endpoint: the measurement was without them", n, waiting)
	}
	probing := ""
	if soak {
		// By now it has failed on every call for more than half a minute.
		w.until(40*time.Second, "the hung endpoint gets probes only", func() bool { return hung.now() <= 4 })
		probing = fmt.Sprintf(", %d probes at a time", hung.now())
	}
	w.table.add(faultRow{
		scenario: w.scenario, events: waiting + 2*next, faults: 1,
		note: fmt.Sprintf("throughput %.2f of that without, p99 %.1f ms against %.1f; parked in %s, %.0f bus messages/s%s; daemon's peak memory %d MB",
			ratio, 1000*slow, 1000*base, parked.Round(100*time.Millisecond), churn, probing, peakMemory(d.process)>>20),
	})
	// The hung ones are nobody's concern any more.
	d.stop(sigkill)
}

// throughput publishes events from a number on as fast as it can, and returns how many a second have come.
func (w *world) throughput(to *witness, from, n int) float64 {
	w.Helper()
	had, began := to.len(), time.Now()
	all := w.publishNumbered("events.course.completed", from, from+n, 0)
	w.until(2*time.Minute, fmt.Sprintf("%d POSTs have come", n), func() bool { return to.len() >= had+n })
	took := latestOf(to.all()[had:]).Sub(began)
	all.wait(10 * time.Second)
	return float64(n) / took.Seconds()
}

func latestOf(calls []*call) (at time.Time) {
	for _, c := range calls {
		if c.at.After(at) {
			at = c.at
		}
	}
	return at
}

// latency publishes events at a rate and returns the 99th percentile of the seconds from an event's publication to its POST.
func (w *world) latency(to *witness, from, n, rate int) float64 {
	w.Helper()
	had := to.len()
	sent := make([]time.Time, n)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	js, err := jetstream.New(w.nc)
	if err != nil {
		w.Fatal(err)
	}
	for i := range n {
		<-tick.C
		sent[i] = time.Now()
		if _, err := js.PublishAsync("events.course.completed", fmt.Appendf(nil, `{"n":%d}`, from+i)); err != nil {
			w.Fatalf("publish: %v", err)
		}
	}
	w.until(time.Minute, fmt.Sprintf("%d POSTs have come", n), func() bool { return to.len() >= had+n })
	var took []float64
	for _, c := range to.all()[had:] {
		took = append(took, c.at.Sub(sent[number(c.body)-from]).Seconds())
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// serverMessages is how many messages the server has taken and sent since its start.
func (w *world) serverMessages() int64 {
	w.Helper()
	resp, err := http.Get("http://" + w.monitor + "/varz")
	if err != nil {
		w.Fatalf("ask the server: %v", err)
	}
	defer resp.Body.Close()
	var v struct {
		In  int64 `json:"in_msgs"`
		Out int64 `json:"out_msgs"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		w.Fatalf("ask the server: %v", err)
	}
	return v.In + v.Out
}

// pause lets time pass that is measured over.
func (w *world) pause(t time.Duration) {
	select {
	case <-time.After(t):
	case <-w.Context().Done():
	}
}

// replaceRule changes the rule file before a daemon reads it.
func (w *world) replaceRule(old, text string) {
	w.Helper()
	name := filepath.Join(w.dir, "rules", "rules.yaml")
	w.write(name, strings.Replace(w.read(name), old, text, 1))
}

// fairness gives many endpoints more than a daemon can do at once, one endpoint's events after the other's: all progress alike.
func fairness(w *world) {
	const lanes = 8
	each := scale(60, 400)
	to := make([]*witness, lanes)
	begin := make(chan struct{})
	const takes = 100 * time.Millisecond
	var rules strings.Builder
	rules.WriteString("rules:\n")
	for i := range to {
		to[i] = newWitness(w.T, func(*call) answer {
			select {
			case <-begin:
				return answer{after: takes}
			default:
				return answer{when: begin}
			}
		})
		fmt.Fprintf(&rules, "  - {name: lane-%d, on: lane.%d, webhooks: [{endpoint: %q, parameters: {n: \"@n\"}}]}\n", i, i, to[i].url)
	}
	w.rules(rules.String())
	w.connect()
	// The stream is there before the daemon, which starts with its beginning.
	if _, err := w.js.CreateStream(w.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}, Duplicates: 2 * time.Minute}); err != nil {
		w.Fatal(err)
	}
	for i := range to {
		w.publishNumbered(fmt.Sprintf("events.lane.%d", i), i*each, (i+1)*each, 0).wait(time.Minute)
	}
	w.daemonNamed("a", "--events.start", "all", "--delivery.workers", "16", "--delivery.per_endpoint", "16", "--delivery.timeout", "2m")
	// All of them wait before the first is answered, so that nobody has a start.
	w.until(time.Minute, "all is in line", func() bool {
		c, err := w.js.Consumer(w.Context(), "EVENTS", "bellhop")
		return err == nil && c.CachedInfo().NumPending == 0 && c.CachedInfo().NumAckPending <= 4*16
	})
	close(begin)
	first := -1
	w.until(2*time.Minute, "one endpoint has all", func() bool {
		first = slices.IndexFunc(to, func(one *witness) bool { return one.len() >= each })
		return first >= 0
	})
	var progress []int
	least := each
	for _, one := range to {
		progress = append(progress, one.len())
		least = min(least, one.len())
	}
	if want := each * scale(25, 50) / 100; least < want {
		w.Errorf("when endpoint %d had all its %d, the others had %v: want %d at least", first, each, progress, want)
	}
	w.idle(2 * time.Minute)
	for i, one := range to {
		if one.events() != each || one.len() != each {
			w.Errorf("endpoint %d got %d POSTs of %d events, want %d", i, one.len(), one.events(), each)
		}
	}
	w.report(stock{}, lanes*each, "when the first of %d endpoints was through, the last was at %d %%", lanes, 100*least/each)
}

// limits: concurrency and rates of single endpoints hold exactly.
func limits(w *world) {
	span := scale(3, 10)
	rates := []int{1, 10, 500}
	few := newWitness(w.T, func(*call) answer { return answer{after: 30 * time.Millisecond} })
	to := make([]*witness, len(rates))
	rules := "rules:\n  - {name: few, on: few.x, webhooks: [{endpoint: \"" + few.url + "\", parameters: {n: \"@n\"}}]}\n"
	lanes := fmt.Sprintf("delivery:\n  lanes:\n    - {endpoint: %q, concurrency: 3}\n", few.url)
	for i, rate := range rates {
		to[i] = newWitness(w.T, nil)
		rules += fmt.Sprintf("  - {name: rate-%d, on: rate.%d, webhooks: [{endpoint: %q, parameters: {n: \"@n\"}}]}\n", rate, rate, to[i].url)
		lanes += fmt.Sprintf("    - {endpoint: %q, rate: %d/s}\n", to[i].url, rate)
	}
	w.rules(rules)
	w.write(filepath.Join(w.dir, "bellhop.yaml"), lanes)
	w.daemonNamed("a")
	total := 0
	w.publishNumbered("events.few.x", 0, 40*span, 0)
	for i, rate := range rates {
		n := rate*span*5/4 + 3
		total += n
		w.publishNumbered(fmt.Sprintf("events.rate.%d", rate), 1_000_000*(i+1), 1_000_000*(i+1)+n, 0)
	}
	var said []string
	for i, rate := range rates {
		w.until(30*time.Second, "the rate has been kept for long enough", func() bool {
			calls := to[i].all()
			return len(calls) > 0 && latestOf(calls).Sub(calls[0].at) > time.Duration(span)*time.Second || len(calls) >= rate*span*5/4+3
		})
		calls := to[i].all()
		from := calls[0].at
		n := 0
		for _, c := range calls {
			if c.at.Sub(from) < time.Duration(span)*time.Second {
				n++
			}
		}
		// The clock of a receiver that is slow to look is off by as much. How much of the rate is used is for a machine that has
		// nothing else to do.
		most := rate*span + 1 + rate/50
		if least := rate * span * scale(1, 95) / 100; n > most || n < least {
			w.Errorf("at %d/s %d POSTs came in %d s, want %d to %d", rate, n, span, least, most)
		}
		said = append(said, fmt.Sprintf("%d in %d s at %d/s", n, span, rate))
	}
	w.until(time.Minute, "all that the narrow endpoint waits for has come", func() bool { return few.len() == 40*span })
	if few.most != 3 {
		w.Errorf("%d POSTs at a time to an endpoint with concurrency 3", few.most)
	}
	w.idle(time.Minute)
	w.report(stock{}, total+40*span, "%s; 3 at a time at concurrency 3", strings.Join(said, ", "))
}

// pausedEverywhere: a receiver's Retry-After, and an operator's pause, hold an endpoint back on all daemons.
func pausedEverywhere(w *world) {
	const wait = 3 * time.Second
	var once sync.Once
	to := newWitness(w.T, func(*call) answer {
		a := answer{after: 50 * time.Millisecond}
		once.Do(func() { a = answer{status: http.StatusTooManyRequests, retryAfter: "3"} })
		return a
	})
	w.rules(oneNumbered(to.url))
	flags := []string{"--delivery.initial_delay", "100ms", "--delivery.workers", "4"}
	a, b := w.daemonNamed("a", flags...), w.daemonNamed("b", flags...)
	paused := func(d *daemonProcess) bool {
		status, text := d.get("/api/v1/lanes")
		return status == 200 && strings.Contains(text, `"paused`) && strings.Contains(text, to.url)
	}
	w.publishNumbered("events.a.b", 0, 1, 0).wait(10 * time.Second)
	w.until(5*time.Second, "both daemons know of the pause", func() bool { return paused(a) && paused(b) })
	w.publishNumbered("events.a.b", 1, 60, 0).wait(10 * time.Second)
	w.idle(20 * time.Second)
	calls := to.all()
	if gap := calls[1].at.Sub(calls[0].ended); gap < wait || gap > wait+2*time.Second {
		w.Errorf("the next POST came %s after the receiver asked for %s", gap, wait)
	}
	by := map[string]int{}
	for _, c := range calls[1:] {
		by[c.daemon]++
	}
	if len(by) < 2 {
		w.Errorf("after the pause the daemons delivered %v, want both to", by)
	}

	// An operator's word to one is heard by the other, and outlives both.
	had := to.len()
	w.run("", "lanes", "pause", to.url, "--config", w.configOf("a")).wants(w.T, 0, to.url, "")
	w.publishNumbered("events.a.b", 60, 80, 0).wait(10 * time.Second)
	a.stop(sigterm)
	b.stop(sigkill)
	a, b = w.daemonNamed("a", flags...), w.daemonNamed("b", flags...)
	w.until(15*time.Second, "both daemons know of the pause after a restart", func() bool { return paused(a) && paused(b) })
	w.pause(time.Second)
	if n := to.len(); n != had {
		w.Errorf("%d POSTs came to a paused endpoint", n-had)
	}
	w.run("", "lanes", "resume", to.url, "--config", w.configOf("b")).wants(w.T, 0, to.url, "")
	w.idle(20 * time.Second)
	s := w.takeStock(to, 80, 20*time.Second)
	w.report(s, 80, "Retry-After of 3 s held both daemons for %s; a pause outlived both", calls[1].at.Sub(calls[0].ended).Round(10*time.Millisecond))
}

// configOf writes the configuration by which commands find a daemon's socket.
func (w *world) configOf(name string) string {
	w.Helper()
	file := filepath.Join(w.dir, "config-"+name+".yaml")
	w.write(file, "data_dir: "+filepath.Join(w.dir, "data-"+name)+"\n")
	return file
}
