package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bellhop/internal/testkit"
)

// ruleTo is a rule file whose webhook goes to a path, for telling versions apart.
func ruleTo(path string) string { return strings.ReplaceAll(oneRule, "/hook", path) }

// goesTo publishes an event and wants it POSTed to a path.
func (w *world) goesTo(path string) {
	w.Helper()
	n := len(w.to.requests())
	w.publish("events.a.b", `{}`)
	if p := w.to.wait(w, n+1, 5*time.Second)[n]; p.line != "POST "+path+" HTTP/1.1" {
		w.Errorf("the event went out as %q, want it at %s", p.line, path)
	}
}

// inForce waits until a rule file that was just written is in force.
func (w *world) inForce(d *daemonProcess, path string) {
	w.Helper()
	w.until(2*time.Second, "rules with "+path+" are in force", func() bool {
		_, text := d.get("/api/v1/rules")
		return strings.Contains(text, path)
	})
}

// forget removes the store, as a lost disk does.
func (w *world) forget() {
	w.Helper()
	if err := os.Remove(filepath.Join(w.dir, "data", "bellhop.db")); err != nil {
		w.Fatal(err)
	}
}

func reload(w *world) {
	w.rules(ruleTo("/one"))
	d := w.serve()
	w.goesTo("/one")
	w.rules(ruleTo("/two"))
	w.inForce(d, "/two")
	w.goesTo("/two")

	w.rules("rules:\n  - name: BAD NAME\n    on: a.b\n    webhooks: []\n    nonsense: 1\n")
	w.until(2*time.Second, "the broken file is counted", func() bool { return d.metric("bellhop_rules_load_errors_total") == "1" })
	for _, want := range []string{"rules.yaml:2:", "rules.yaml:5:", "nonsense"} {
		if !strings.Contains(d.log(), want) {
			w.Errorf("the log says nothing of %s", want)
		}
	}
	if _, text := d.get("/api/v1/rules"); !strings.Contains(text, "nonsense") {
		w.Errorf("/api/v1/rules says nothing of the errors: %s", text)
	}
	w.goesTo("/two")

	w.rules(ruleTo("/three"))
	w.inForce(d, "/three")
	w.goesTo("/three")

	// A second file, and its end.
	more := filepath.Join(w.dir, "rules", "deeper", "more.yml")
	if err := os.Mkdir(filepath.Dir(more), 0o700); err != nil {
		w.Fatal(err)
	}
	w.write(more, strings.ReplaceAll(strings.ReplaceAll(ruleTo("/four"), "ENDPOINT", w.to.url), "crm", "more"))
	w.inForce(d, "/four")
	if err := os.Remove(more); err != nil {
		w.Fatal(err)
	}
	w.until(2*time.Second, "the second file's rules are gone", func() bool {
		_, text := d.get("/api/v1/rules")
		return !strings.Contains(text, "/four")
	})
	w.goesTo("/three")

	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		w.Fatal(err)
	}
	w.until(2*time.Second, "SIGHUP is logged", func() bool { _, ok := d.find("SIGHUP"); return ok })
	w.goesTo("/three")
}

func rollback(w *world) {
	w.rules(ruleTo("/one"))
	d := w.serve()
	w.rules(ruleTo("/two"))
	w.inForce(d, "/two")
	w.run("", "rules", "rollback", "1").wants(w.T, 0, "in force", "")
	if n, known := testkit.Unsynced(w.T, filepath.Join(w.dir, "data", storeName)); known && n > 0 {
		w.Errorf("%d pages of the store are not on disk, want what is in force to survive a power cut", n)
	}
	w.goesTo("/one")
	var history []map[string]any
	r := w.run("", "rules", "history", "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &history); err != nil || len(history) != 3 {
		w.Errorf("rules history -o json = %+v, %v; want three versions", r, err)
	}
	// Over a restart, by signal and by kill.
	for _, signal := range []syscall.Signal{sigterm, sigkill} {
		d.stop(signal)
		d = w.serve()
		w.goesTo("/one")
	}
	// The same bytes once more are no change.
	w.rules(ruleTo("/two"))
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		w.Fatal(err)
	}
	w.until(2*time.Second, "SIGHUP is logged", func() bool { _, ok := d.find("SIGHUP"); return ok })
	w.goesTo("/one")
	// A comment is.
	w.rules("# mended\n" + ruleTo("/two"))
	w.inForce(d, "/two")
	w.goesTo("/two")
	w.rules(ruleTo("/three"))
	w.inForce(d, "/three")
	w.goesTo("/three")
	w.run("", "rules", "rollback", "99").wants(w.T, 1, "", "99")
	w.run("", "rules", "list").wants(w.T, 0, "crm", "")
}

const brokenRules = `
rules:
  - name: crm
    on: a.b
    filter: nobody
    webhooks:
      - {endpoint: "ftp://127.0.0.1/"}
  - name: crm
    on: a.b
    webhooks:
      - {endpoint: "http://127.0.0.1:1/", headers: {Authorization: "${MISSING}"}}
`

func brokenRulesAtStart(w *world) {
	w.rules(brokenRules)
	d := w.launch()
	if status := d.wait(10 * time.Second); status != 1 {
		w.Errorf("it ended with status %d, want 1", status)
	}
	for _, line := range []int{5, 7, 8, 11} {
		if want := fmt.Sprintf("rules.yaml:%d:", line); !strings.Contains(d.log(), want) {
			w.Errorf("it said %q, want it to name %s", d.log(), want)
		}
	}
	if !strings.Contains(d.log(), "try: bellhop rules check") {
		w.Errorf("it said %q, want what to try next", d.log())
	}
	if strings.Contains(d.log(), "bellhop is running") {
		w.Error("it ran")
	}
}

func brokenRulesAtRestart(w *world) {
	w.rules(ruleTo("/one"))
	w.serve().stop(sigterm)
	w.rules(brokenRules)
	d := w.serve()
	if _, ok := d.find("last good"); !ok {
		w.Error("the log does not say that the last good rules run")
	}
	if got := d.metric("bellhop_rules_load_errors_total"); got != "1" {
		w.Errorf("bellhop_rules_load_errors_total = %s, want 1", got)
	}
	w.goesTo("/one")
	w.rules(ruleTo("/two"))
	w.inForce(d, "/two")
	w.goesTo("/two")
}
