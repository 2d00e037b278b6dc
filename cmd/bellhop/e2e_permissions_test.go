package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// documentedPermissions runs daemons as the user that the documentation describes, for all that they do: whatever they may not,
// the page has left out.
func documentedPermissions(w *world) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		w.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(page), "```\nauthorization {")
	block, _, ends := strings.Cut(rest, "```")
	if !begins || !ends {
		w.Fatal("docs/operations.md has no block of permissions")
	}
	block = strings.ReplaceAll("authorization {"+block, `"..."`, `"x"`)
	// Somebody has to look at what came of it.
	block = strings.Replace(block, "users: [", "users: [ { user: admin, password: x }", 1)
	conf := filepath.Join(w.dir, "nats.conf")
	w.write(conf, block)
	binary := w.bin.nats
	if w.kind == old {
		binary = oldNATS
	}
	_ = w.srv.cmd.Process.Kill()
	w.srv.wait(5 * time.Second)
	w.startNATS(binary, "-c", conf)
	nc, err := nats.Connect("nats://"+w.nats, nats.UserInfo("admin", "x"))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		w.Fatal(err)
	}
	w.nc = nc

	// A retry, more at once than the lane takes, a pause that the receiver asks for and one that an operator does.
	w.rules(oneRule)
	w.to.answers(func(n int, _ *posted) reply {
		switch n {
		case 1:
			return reply{status: "500 Internal Server Error"}
		case 2:
			return reply{status: "429 Too Many Requests", headers: []string{"Retry-After: 1"}}
		}
		return reply{}
	})
	flags := []string{
		"--nats.user", "bellhop", "--nats.password", "x", "--delivery.initial_delay", "300ms",
		"--delivery.lanes", "[{endpoint: \"" + w.to.url + "\", concurrency: 1}]",
	}
	first := w.serve(flags...)
	second := w.serve(append(flags, "--data_dir", "data2")...)
	r := w.run(`{"score":1}`, "events", "publish", "--type", "a.b", "--nats.url", "nats://"+w.nats, "--nats.user", "lms", "--nats.password", "x")
	r.wants(w.T, 0, "published a.b", "warning: a.b is not in the catalogue")
	w.outcomes(1, 10*time.Second)
	const events = 20
	for range events - 1 {
		w.publish("events.a.b", `{"score":2}`)
	}
	w.outcomes(events+2, 20*time.Second)
	w.run("", "lanes", "pause", w.to.url).wants(w.T, 0, "paused", "")
	w.publish("events.a.b", `{"score":3}`)
	w.run("", "lanes", "resume", w.to.url).wants(w.T, 0, "resumed", "")
	w.outcomes(events+3, 10*time.Second)
	w.settled()
	// A daemon that finds everything there asks for other things than one that makes it.
	first.stop(sigterm)
	third := w.serve(flags...)
	w.publish("events.a.b", `{"score":4}`)
	w.outcomes(events+4, 10*time.Second)
	for _, d := range []*daemonProcess{first, second, third} {
		if line, refused := d.find("may not"); refused {
			w.Errorf("the documented permissions do not suffice: %s", line)
		}
	}
}
