package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// backtestByCommand holds rules that are not in force yet against what the stream holds, while a daemon works on it.
func backtestByCommand(w *world) {
	w.rules(ruleTo("/one"))
	key := "url: nats://" + w.nats
	if w.kind == embedded {
		key = "listen: " + w.nats
	}
	w.write(filepath.Join(w.dir, "bellhop.yaml"), "nats: {"+key+"}\n")
	d := w.serve()
	w.write(filepath.Join(w.dir, "next.yaml"), `
rules:
  - name: crm
    on: ">"
    webhooks:
      - name: hook
        endpoint: `+w.to.url+`/one
        parameters: [{name: name, value: "@first_name @last_name"}, {name: score, value: "@score"}]
      - name: top
        endpoint: `+w.to.url+`/top
        filter: {score: {gte: 50}}
`)
	for _, data := range []string{`{"score":40}`, `{"score":50}`, `{"score":60}`, `no event`} {
		w.publish("events.a.b", data)
	}
	w.to.wait(w, 3, 5*time.Second)

	r := w.run("", "rules", "backtest", "--since", "1h", "-o", "json", "next.yaml")
	var b backtest
	if err := json.Unmarshal([]byte(r.out), &b); err != nil || r.status != 0 {
		w.Fatalf("rules backtest -o json = %+v, %v", r, err)
	}
	if b.Events != 4 || b.Rejected != 1 || b.InForce == nil || b.InForce.Number != 1 || len(b.Version) != 12 {
		w.Errorf("rules backtest counted %+v, want 4 events, 1 of them unreadable, against version 1", b)
	}
	var names []string
	for _, t := range b.Webhooks {
		names = append(names, t.Webhook)
	}
	if !slices.Equal(names, []string{"hook", "top"}) || b.Webhooks[0].Fires != 3 || *b.Webhooks[0].InForce != 3 ||
		b.Webhooks[1].Fires != 2 || *b.Webhooks[1].Added != 2 || *b.Webhooks[1].Removed != 0 {
		w.Errorf("rules backtest counted %s", r.out)
	}
	w.run("", "rules", "backtest").wants(w.T, 0, "crm   hook     3      3         0    0     0", "")
	w.run("", "rules", "backtest", "--since", "24h", "next.yaml").wants(w.T, 0, "4 events since ", "")
	if n := len(w.to.requests()); n != 3 {
		w.Errorf("the receiver has %d requests, want the 3 of the daemon: a backtest sends nothing", n)
	}
	// Without the daemon its store tells what was in force, and the events are in its server, or in the files of that.
	d.stop(sigterm)
	r = w.run("", "rules", "backtest", "next.yaml")
	if r.status != 0 || !strings.Contains(r.out, "in force, version 1 ") || !strings.Contains(r.out, "4 events since ") {
		w.Errorf("rules backtest with no daemon = %+v", r)
	}
	if w.kind == embedded {
		w.run("", "rules", "backtest", "--data-dir", "elsewhere", "next.yaml").wants(w.T, 1, "", "connect to NATS")
		return
	}
	r = w.run("", "rules", "backtest", "--data-dir", "elsewhere", "next.yaml")
	if r.status != 0 || !strings.Contains(r.errors, "nothing to compare with") || strings.Contains(r.out, "IN FORCE") {
		w.Errorf("rules backtest with no store = %+v", r)
	}
	w.run("", "rules", "backtest", "--events.stream", "NONE").wants(w.T, 1, "", "NONE")
}
