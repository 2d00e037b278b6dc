package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// inFlightWhenStopped tells a daemon to stop while a POST is under way: it ends, its outcome is on the bus, the status is 0.
func inFlightWhenStopped(w *world) {
	w.rules(oneRule)
	release := make(chan struct{})
	w.to.answers(func(int, *posted) reply { return reply{after: release, body: "done"} })
	d := w.serve()
	w.publish("events.a.b", `{"score":1}`)
	w.to.wait(w, 1, 5*time.Second)
	if err := d.cmd.Process.Signal(sigterm); err != nil {
		w.Fatal(err)
	}
	w.until(5*time.Second, "/readyz says that it stops", func() bool {
		status, _ := d.get("/readyz")
		return status == http.StatusServiceUnavailable
	})
	close(release)
	if status := d.wait(10 * time.Second); status != 0 {
		w.Errorf("SIGTERM ended it with status %d, want 0", status)
	}
	// The embedded server stopped with it.
	again := w.serve()
	o := w.outcomes(1, 5*time.Second)[0]
	w.checkEnvelope(o, "delivered", "a.b", attemptFields("status", "response")...)
	w.checkData(o, map[string]any{"attempt": 1, "response": map[string]any{"body": "done", "truncated": false}})
	w.settled()
	if n := len(w.to.requests()); n != 1 {
		w.Errorf("%d requests, want 1", n)
	}
	if status := again.stop(sigterm); status != 0 {
		w.Errorf("SIGTERM with nothing to do ended it with status %d, want 0", status)
	}
}

// killedDuringPost kills the daemon under a POST: its next life makes the attempt again, under the same id.
func killedDuringPost(w *world) {
	w.rules(oneRule)
	release := make(chan struct{})
	w.Cleanup(func() { close(release) })
	w.to.answers(func(n int, _ *posted) reply {
		if n == 1 {
			return reply{after: release}
		}
		return reply{}
	})
	d := w.serve()
	w.publish("events.a.b", `{"score":1}`)
	w.to.wait(w, 1, 5*time.Second)
	d.stop(sigkill)
	killed := time.Now()
	w.serve()
	got := w.to.wait(w, 2, 15*time.Second)
	if took := got[1].at.Sub(killed); took > 6*time.Second {
		w.Errorf("the attempt was made again %s after the kill, want 6s at most", took)
	}
	if got[0].header("webhook-id") != got[1].header("webhook-id") || got[1].header("webhook-attempt") != "1" {
		w.Errorf("after the kill the request was %+v, before it %+v; want the same attempt", got[1], got[0])
	}
	w.checkEnvelope(w.outcomes(1, 5*time.Second)[0], "delivered", "a.b", attemptFields("status", "response")...)
	w.settled()
}

// takeover kills one of two daemons while it holds a POST and a retry: the other goes on with both.
func takeover(w *world) {
	w.rules(oneRule)
	release := make(chan struct{})
	w.Cleanup(func() { close(release) })
	w.to.answers(func(n int, _ *posted) reply {
		switch n {
		case 1:
			return reply{status: "503 Service Unavailable"}
		case 2:
			return reply{after: release}
		}
		return reply{}
	})
	flags := []string{"--delivery.initial_delay", "3s"}
	first := w.serve(flags...)
	w.publish("events.a.b", `{"score":1}`)
	due := w.instant(w.outcomes(1, 5*time.Second)[0], "next_attempt_at")
	w.publish("events.a.b", `{"score":2}`)
	w.to.wait(w, 2, 5*time.Second)
	w.serve(append(flags, "--data_dir", "data2")...)
	first.stop(sigkill)
	killed := time.Now()
	got := w.to.wait(w, 4, 15*time.Second)
	for _, p := range got[2:] {
		after := killed
		if p.body == got[0].body && due.After(killed) {
			after = due
			if early := due.Sub(p.at); early > 0 {
				w.Errorf("the retry came %s before it was due", early)
			}
		}
		if took := p.at.Sub(after); took > 6*time.Second {
			w.Errorf("the other daemon took %s for %q, want 6s at most", took, p.body)
		}
	}
	w.outcomes(3, 5*time.Second)
	w.settled()
}

func secondDaemon(w *world) {
	w.rules(oneRule)
	first := w.serve()
	second := w.launch()
	if status := second.wait(10 * time.Second); status != 1 {
		w.Errorf("a second daemon on the same data_dir ended with status %d, want 1", status)
	}
	for _, want := range []string{"bellhop: ", "data", fmt.Sprint(first.cmd.Process.Pid)} {
		if !strings.Contains(second.log(), want) {
			w.Errorf("it said %q, want it to hold %q", second.log(), want)
		}
	}
	if status, _ := first.get("/readyz"); status != http.StatusOK {
		w.Errorf("/readyz of the first = %d after the second's try", status)
	}
}

func usage(w *world) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--nonsense"}, "--nonsense"},
		{[]string{"nonsense"}, "nonsense"},
		{[]string{"serve", "extra"}, "extra"},
	} {
		r := w.run("", c.args...)
		r.wants(w.T, 2, "", c.want)
		if n := strings.Count(r.errors, "bellhop: "); n != 1 || !strings.Contains(r.errors, "try: ") {
			w.Errorf("%q said %q, want one error and what to try", c.args, r.errors)
		}
	}
	r := w.run("", "serve", "--delivery.workers", "-1", "--delivery.timeout", "soon")
	r.wants(w.T, 2, "", "delivery.workers")
	r.wants(w.T, 2, "", "delivery.timeout")
}

func permissions(w *world) {
	w.rules(oneRule)
	conf := filepath.Join(w.dir, "nats.conf")
	w.write(conf, `authorization: {users: [
		{user: bell, password: hunter2, permissions: {publish: {deny: ["$JS.API.STREAM.CREATE.WEBHOOKS"]}}}
		{user: admin, password: hunter2}
	]}`)
	w.startNATS(w.bin.nats, "-c", conf)
	refused := func(name, url, want string) {
		d := w.launch("--nats.url", url, "--data_dir", "data-"+strings.ReplaceAll(name, " ", "-"))
		started := time.Now()
		if status := d.wait(15 * time.Second); status != 1 {
			w.Errorf("%s: it ended with status %d, want 1", name, status)
		}
		if took := time.Since(started); took > 5*time.Second {
			w.Errorf("%s: it took %s to say so", name, took)
		}
		line, ok := d.find("bellhop: ")
		if !ok || !strings.Contains(line, want) || strings.Count(d.log(), "bellhop: ") != 1 {
			w.Errorf("%s: it said %q, want one error that holds %q", name, d.log(), want)
		}
		if strings.Contains(d.log(), "hunter") {
			w.Errorf("%s: the log shows a password: %s", name, d.log())
		}
	}
	refused("a permission lacks", "nats://bell:hunter2@"+w.nats, `"$JS.API.STREAM.CREATE.WEBHOOKS"`)
	refused("wrong password", "nats://bell:hunter3@"+w.nats, "credentials")
	d := w.launch("--nats.url", "nats://admin:hunter2@"+w.nats, "--data_dir", "data-admin")
	d.waitRunning()
}

func consoleAnswers(w *world) {
	w.rules(oneRule)
	w.to.answers(func(n int, _ *posted) reply {
		switch n {
		case 1:
			return reply{status: "503 Service Unavailable"}
		case 3:
			return reply{status: "404 Not Found"}
		}
		return reply{}
	})
	d := w.serve("--delivery.initial_delay", "200ms")
	w.publish("events.a.b", `{}`)
	w.outcomes(2, 5*time.Second)
	w.publish("events.a.b", `{}`)
	w.publish("events.a.b", `broken`)
	w.outcomes(4, 5*time.Second)
	var stats map[string]any
	counted := func(d *daemonProcess) func() bool {
		return func() bool {
			status, text := d.get("/api/v1/stats")
			return status == 200 && json.Unmarshal([]byte(text), &stats) == nil && stats["rejected"] == 1.0 && stats["failed"] == 1.0
		}
	}
	w.until(5*time.Second, "all is counted", counted(d))
	check := func(when string) {
		w.Helper()
		for name, want := range map[string]float64{"calls": 3, "errors": 2, "delivered": 1, "retrying": 1, "failed": 1, "rejected": 1} {
			if stats[name] != want {
				w.Errorf("%s: stats' %s = %v, want %v", when, name, stats[name], want)
			}
		}
		if since, _ := stats["since"].(string); len(stats) != 7 || !strings.HasSuffix(since, "Z") {
			w.Errorf("%s: stats = %v, want six counts and since", when, stats)
		}
	}
	check("while it runs")
	for path, want := range map[string]string{"/healthz": "", "/readyz": "", "/metrics": "bellhop_rules_load_errors_total 0", "/api/v1/rules": `"crm"`, "/": ""} {
		if status, text := d.get(path); status != 200 || !strings.Contains(text, want) {
			w.Errorf("GET %s = %d %q, want 200 and %q in it", path, status, text, want)
		}
	}
	for name, c := range map[string]struct {
		method, host, write string
		status              int
	}{
		"a name that resolves to loopback": {"GET", "evil.example", "", http.StatusForbidden},
		"a write without X-Bellhop":        {"POST", "", "", http.StatusForbidden},
	} {
		req, err := http.NewRequestWithContext(w.Context(), c.method, strings.TrimRight(d.console, "/")+"/api/v1/rules", nil)
		if err != nil {
			w.Fatal(err)
		}
		req.Host, req.Close = c.host, true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode/100 != 4 {
			w.Errorf("%s is answered %d, want a refusal", name, resp.StatusCode)
		}
	}
	// Counts survive a restart, and are not counted twice.
	d.stop(sigterm)
	d = w.serve()
	clear(stats)
	w.until(5*time.Second, "all is counted after a restart", counted(d))
	check("after a restart")
	// A rebuilt store starts at the oldest outcome still kept.
	d.stop(sigterm)
	w.forget()
	d = w.serve()
	clear(stats)
	w.until(5*time.Second, "all is counted into a new store", counted(d))
	check("in a new store")
}
