package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"bellhop/internal/testkit"
)

const sigstop, sigcont = syscall.SIGSTOP, syscall.SIGCONT

// busAway takes the server away under a load, by killing or by freezing it, and brings it back: the daemon says so, keeps what
// it holds, and goes on by itself. Nothing that it made is made again.
func busAway(w *world, how syscall.Signal) {
	events, rate, away := scale(1500, 20_000), scale(300, 1000), scale(3*time.Second, time.Minute)
	to := newWitness(w.T, func(c *call) answer {
		a := flaky(c)
		a.after *= 20
		return a
	})
	w.rules(oneNumbered(to.url))
	d := w.daemonNamed("a", "--delivery.initial_delay", "500ms", "--delivery.multiplier", "1.5")
	all := w.publishNumbered("events.course.completed", 0, events, rate)
	w.until(time.Minute, "the load is under way", func() bool { return to.len() > events/4 && to.now() > 5 })
	gone := time.Now()
	if err := w.srv.cmd.Process.Signal(how); err != nil {
		w.Fatal(err)
	}
	if how == sigkill {
		w.srv.wait(10 * time.Second)
	}
	d.saysNotReady(30*time.Second, "NATS", "timeout")
	noticed := time.Since(gone)
	if left := away - noticed; left > 0 {
		w.pause(left)
	}
	held := d.metric("bellhop_held_messages")
	if held == "0" || held == "" {
		w.Errorf("the daemon holds %q messages while the bus is away, want what was under way", held)
	}
	if how == sigkill {
		w.startNATS(w.bin.nats)
	} else if err := w.srv.cmd.Process.Signal(sigcont); err != nil {
		w.Fatal(err)
	}
	back := time.Now()
	d.saysReady(30 * time.Second)
	ready := time.Since(back)
	all.wait(3 * time.Minute)
	// Nothing is excused: what was under way when the bus went is settled when it is back, not made again.
	s := w.takeStock(to, events, 2*time.Minute)
	s.faults = make([]fault, 1)
	w.report(s, events, "away %s with %s held, noticed after %s, ready %s after its return", back.Sub(gone).Round(100*time.Millisecond), held,
		noticed.Round(10*time.Millisecond), ready.Round(10*time.Millisecond))
}

// saysNotReady waits until /readyz, the log and the metrics all tell of trouble; one of the words tells which.
func (d *daemonProcess) saysNotReady(within time.Duration, words ...string) {
	d.w.Helper()
	text := ""
	d.w.until(within, fmt.Sprintf("/readyz tells of one of %q", words), func() bool {
		var status int
		status, text = d.get("/readyz")
		if status != http.StatusServiceUnavailable {
			return false
		}
		for _, word := range words {
			if strings.Contains(text, word) {
				return true
			}
		}
		return false
	})
	d.w.until(within, "the log tells of trouble with the bus", func() bool {
		_, ok := d.find(`"level":"warn"`)
		return ok
	})
	d.w.until(within, "a metric counts what the bus does not confirm", func() bool {
		for _, what := range []string{"ack", "pull", "publish", "schedule", "park"} {
			if n := d.metric(`bellhop_bus_errors_total{what="` + what + `"}`); n != "" && n != "0" {
				return true
			}
		}
		return false
	})
}

func (d *daemonProcess) saysReady(within time.Duration) {
	d.w.Helper()
	d.w.until(within, "/readyz is 200 again", func() bool {
		status, _ := d.get("/readyz")
		return status == http.StatusOK
	})
}

// busSlow puts a slow link between daemon and server.
func busSlow(w *world) {
	events, there := scale(400, 10_000), scale(50*time.Millisecond, 150*time.Millisecond)
	to := newWitness(w.T, flaky)
	w.rules(oneNumbered(to.url))
	slow := newSlowLink(w, w.nats, there)
	w.daemonNamed("a", "--nats.url", "nats://"+slow, "--delivery.initial_delay", "500ms", "--delivery.multiplier", "1.5")
	began := time.Now()
	w.publishNumbered("events.course.completed", 0, events, 0).wait(time.Minute)
	s := w.takeStock(to, events, 3*time.Minute)
	s.faults = make([]fault, 1)
	w.report(s, events, "%.0f deliveries/s, retries included, with %s there and back", float64(events)/time.Since(began).Seconds(), 2*there)
}

// newSlowLink forwards connections to an address and delays what passes, each way, and returns where it listens.
func newSlowLink(w *world, to string, delay time.Duration) string {
	w.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	pass := func(from, to net.Conn) {
		type piece struct {
			due  time.Time
			data []byte
		}
		line := make(chan piece, 1<<16)
		wg.Go(func() {
			defer close(line)
			for {
				b := make([]byte, 32<<10)
				n, err := from.Read(b)
				if n > 0 {
					line <- piece{time.Now().Add(delay), b[:n]}
				}
				if err != nil {
					return
				}
			}
		})
		wg.Go(func() {
			defer to.Close()
			for p := range line {
				time.Sleep(time.Until(p.due)) // the line's delay itself
				if _, err := to.Write(p.data); err != nil {
					from.Close()
				}
			}
		})
	}
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			mu.Lock()
			open = append(open, near, far)
			mu.Unlock()
			pass(near, far)
			pass(far, near)
		}
	})
	w.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// limitOutcomes changes the limits of the outcomes' stream.
func (w *world) limitOutcomes(discard jetstream.DiscardPolicy, messages int64) {
	w.Helper()
	s, err := w.js.Stream(w.Context(), "WEBHOOKS")
	if err != nil {
		w.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.Discard, cfg.MaxMsgs = discard, messages
	if _, err := w.js.UpdateStream(w.Context(), cfg); err != nil {
		w.Fatal(err)
	}
}

// outcomesRefused fills the outcomes' stream, which refuses more: nothing is acknowledged without its outcome, the daemon stops
// taking events once it holds its fill, and goes on when there is room.
func outcomesRefused(w *world) {
	const room = 200
	events := scale(2000, 20_000)
	to := newWitness(w.T, flaky)
	w.rules(oneNumbered(to.url))
	d := w.daemonNamed("a", "--delivery.initial_delay", "500ms", "--delivery.multiplier", "1.5")
	w.limitOutcomes(jetstream.DiscardNew, room)
	w.publishNumbered("events.course.completed", 0, events, 0).wait(time.Minute)
	d.saysNotReady(30*time.Second, "settle", "maximum messages")
	w.until(30*time.Second, "the daemon has stopped taking events", func() bool {
		before := to.len()
		w.pause(time.Second)
		return to.len() == before
	})
	// What was begun is held, the rest waits on the bus: on its stream, or in line for its endpoint.
	held, err := strconv.Atoi(d.metric("bellhop_held_messages"))
	if err != nil {
		w.Fatal(err)
	}
	if most := room + 4*256; to.len() > most {
		w.Errorf("%d POSTs were made with room for %d outcomes, want %d at most", to.len(), room, most)
	}
	if held < to.len()-room {
		w.Errorf("%d messages are held and %d POSTs made, with %d outcomes recorded: some were let go without theirs", held, to.len(), room)
	}
	posted := to.len()
	w.limitOutcomes(jetstream.DiscardNew, -1)
	d.saysReady(30 * time.Second)
	s := w.takeStock(to, events, 2*time.Minute)
	s.faults = make([]fault, 1)
	w.report(s, events, "room for %d outcomes: %d POSTs made, %d messages held, then all went on", room, posted, held)
}

// outcomesLimited gives the outcomes' stream a limit by which the oldest go, and a consumer too slow for it: deliveries go on.
func outcomesLimited(w *world) {
	const room = 300
	events := scale(1500, 20_000)
	to := newWitness(w.T, flaky)
	w.rules(oneNumbered(to.url))
	d := w.daemonNamed("a", "--delivery.initial_delay", "300ms", "--delivery.multiplier", "1")
	w.limitOutcomes(jetstream.DiscardOld, room)
	slow, err := w.js.CreateConsumer(w.Context(), "WEBHOOKS", jetstream.ConsumerConfig{Durable: "slow", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		w.Fatal(err)
	}
	w.publishNumbered("events.course.completed", 0, events, 0).wait(time.Minute)
	if m, err := slow.Next(jetstream.FetchMaxWait(5 * time.Second)); err != nil || m.Ack() != nil {
		w.Errorf("the slow consumer gets nothing: %v", err)
	}
	w.idle(2 * time.Minute)
	if n := to.events(); n != events {
		w.Errorf("%d of %d events came while outcomes were at their limit", n, events)
	}
	posts := map[attemptKey]int{}
	for _, c := range to.all() {
		if posts[c.key()]++; posts[c.key()] == 2 {
			w.Errorf("attempt %d of %s was POSTed twice", c.attempt, c.id)
		}
	}
	s, err := w.js.Stream(w.Context(), "WEBHOOKS")
	if err != nil {
		w.Fatal(err)
	}
	state := s.CachedInfo().State
	if state.Msgs != room || state.FirstSeq != state.LastSeq-room+1 {
		w.Errorf("the stream holds %d outcomes from %d to %d, want the last %d", state.Msgs, state.FirstSeq, state.LastSeq, room)
	}
	w.until(20*time.Second, "a metric counts the outcomes that have gone", func() bool {
		return d.metric("bellhop_outcomes_discarded_total") == strconv.FormatUint(state.FirstSeq-1, 10)
	})
	w.report(stock{faults: make([]fault, 1)}, events, "%d outcomes, the oldest %d gone, and counted", state.LastSeq, state.FirstSeq-1)
}

// clusterLosesLeader kills the leader of the streams, again and again, in a cluster of three.
func clusterLosesLeader(w *world) {
	events, rate, kills := scale(2000, 20_000), scale(300, 500), scale(1, 3)
	to := newWitness(w.T, flaky)
	w.rules(oneNumbered(to.url))
	c := newCluster(w, 3)
	w.kind, w.nats = external, strings.Join(c.clients, ",nats://")
	flags := []string{"--nats.replicas", "3", "--delivery.initial_delay", "500ms", "--delivery.multiplier", "1.5"}
	w.daemonNamed("a", flags...)
	all := w.publishNumbered("events.course.completed", 0, events, rate)
	var faults []fault
	var resumed time.Duration
	for n := range kills {
		w.until(2*time.Minute, "the next fault is due", func() bool { return to.events() > events*(n+1)/(kills+2) })
		stream := []string{"EVENTS", "WEBHOOKS", "WEBHOOK_RETRIES"}[n%3]
		leader := c.leader(stream)
		f := fault{from: time.Now()}
		c.kill(leader)
		f.to = time.Now()
		faults = append(faults, f)
		had := to.len()
		w.until(time.Minute, "deliveries go on without the leader of "+stream, func() bool { return to.len() > had+rate })
		gap := to.gap(f.from, time.Now())
		// Bounded, others may load the machine while servers elect.
		if limit := scale(30*time.Second, 10*time.Second); gap > limit {
			w.Errorf("without the leader of %s nothing was delivered for %s, want %s at most", stream, gap, limit)
		}
		w.Logf("without the leader of %s nothing was delivered for %s", stream, gap)
		resumed = max(resumed, gap)
		c.start(leader)
	}
	all.wait(3 * time.Minute)
	s := w.takeStock(to, events, 2*time.Minute, faults...)
	w.report(s, events, "no delivery for %s at most", resumed.Round(10*time.Millisecond))
}

// cluster is several servers in processes of their own.
type cluster struct {
	w       *world
	clients []string // host:port each
	routes  []string
	servers []*process
}

func newCluster(w *world, n int) *cluster {
	w.Helper()
	c := &cluster{w: w, servers: make([]*process, n)}
	for range n {
		c.clients, c.routes = append(c.clients, testkit.FreeAddress(w.T)), append(c.routes, testkit.FreeAddress(w.T))
	}
	for i := range n {
		c.start(i)
	}
	return c
}

// start starts one server and waits until it takes connections.
func (c *cluster) start(i int) {
	c.w.Helper()
	_, port, _ := net.SplitHostPort(c.clients[i])
	c.servers[i] = start(c.w.T, exec.Command(c.w.bin.nats, "-a", "127.0.0.1", "-p", port, "-js", "-sd", filepath.Join(c.w.dir, fmt.Sprint("nats-", i)),
		"-n", fmt.Sprint("server-", i), "--cluster_name", "soak", "--cluster", "nats://"+c.routes[i], "--routes", "nats://"+strings.Join(c.routes, ",nats://")))
	c.w.until(20*time.Second, "nats-server takes connections", func() bool {
		conn, err := net.Dial("tcp", c.clients[i])
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

func (c *cluster) kill(i int) {
	c.w.Helper()
	if err := c.servers[i].cmd.Process.Kill(); err != nil {
		c.w.Fatal(err)
	}
	c.servers[i].wait(10 * time.Second)
}

// leader is the server that leads a stream.
func (c *cluster) leader(stream string) int {
	c.w.Helper()
	i := -1
	c.w.until(20*time.Second, "stream "+stream+" has a leader", func() bool {
		s, err := c.w.js.Stream(c.w.Context(), stream)
		if err != nil || s.CachedInfo().Cluster == nil {
			return false
		}
		_, err = fmt.Sscanf(s.CachedInfo().Cluster.Leader, "server-%d", &i)
		return err == nil
	})
	return i
}

// busDiskFull fills the disk of the server: a file system of a few megabytes, in a mount namespace of its own.
func busDiskFull(w *world) {
	events := scale(1200, 5000)
	to := newWitness(w.T, flaky)
	w.rules(oneNumbered(to.url))
	w.kind = external
	disk := newSmallDisk(w, filepath.Join(w.dir, "small"), scale("24m", "96m"))
	_, port, _ := net.SplitHostPort(w.nats)
	serve := func() {
		w.srv = start(w.T, disk.command(w.bin.nats, "-a", "127.0.0.1", "-p", port, "-js", "-sd", disk.at))
		w.until(10*time.Second, "nats-server takes connections", func() bool {
			c, err := net.Dial("tcp", w.nats)
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		})
	}
	serve()
	d := w.daemonNamed("a", "--delivery.initial_delay", "500ms", "--delivery.multiplier", "1.5")
	all := w.publishNumbered("events.course.completed", 0, events, 300)
	w.until(time.Minute, "the load is under way", func() bool { return to.len() > events/6 })
	filler := disk.path("filler")
	fill(w, filler)
	d.saysNotReady(time.Minute, "settle", "insufficient", "resource", "NATS", "not enabled", "timeout", "responders")
	_, why := d.get("/readyz")
	w.Logf("/readyz: %s", why)
	w.pause(scale(time.Second, 10*time.Second))
	if err := os.Remove(filler); err != nil {
		w.Fatal(err)
	}
	restarted := ""
	recovers, confirmed := time.Now(), all.confirmed.Load()
	for ready := false; !ready; {
		// A daemon is ready while the stream of events alone refuses what comes.
		if status, _ := d.get("/readyz"); status == http.StatusOK && all.confirmed.Load() > confirmed {
			ready = true
		} else if time.Since(recovers) > 5*time.Second && restarted == "" {
			// A server that has turned JetStream off for want of room turns it on at its next start.
			restarted = ", after a restart of the server"
			// It may be stuck in what it could not write, and end for no kinder word.
			if err := w.srv.cmd.Process.Signal(sigkill); err != nil {
				w.Fatal(err)
			}
			w.srv.wait(20 * time.Second)
			serve()
		} else if time.Since(recovers) > time.Minute {
			_, why := d.get("/readyz")
			w.Fatalf("not ready a minute after there is room again, or no event is taken: %s", why)
		}
		w.pause(50 * time.Millisecond)
	}
	all.wait(3 * time.Minute)
	s := w.takeStock(to, events, 2*time.Minute)
	s.faults = make([]fault, 1)
	w.report(s, events, "ready %s after there was room%s", time.Since(recovers).Round(100*time.Millisecond), restarted)
}

// fill writes a file until its disk is full.
func fill(w *world, name string) {
	w.Helper()
	f, err := os.Create(name)
	if err != nil {
		w.Fatalf("fill the disk: %v", err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := io.CopyN(f, zeros{}, int64(size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			w.Fatalf("fill the disk: %v", err)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
