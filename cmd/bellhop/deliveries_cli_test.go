package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/config"
)

// cli runs the command line against the daemon's data_dir, and returns its status and what it prints.
func (w *works) cli(args ...string) (status int, stdout, stderr string) {
	w.t.Helper()
	var out, errs bytes.Buffer
	status = w.cliUntil(w.t.Context(), &out, &errs, args...)
	return status, out.String(), errs.String()
}

func (w *works) cliUntil(ctx context.Context, stdout, stderr io.Writer, args ...string) int {
	return runUntil(ctx, append(args, "--data-dir", w.settings.DataDir, "--nats.listen", ""), strings.NewReader(""), stdout, stderr)
}

// heard is what a command prints while it runs.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(b)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// must runs a command that has to succeed.
func (w *works) must(args ...string) string {
	w.t.Helper()
	status, stdout, stderr := w.cli(args...)
	if status != 0 || stderr != "" {
		w.t.Fatalf("%v = %d\n%s%s", args, status, stdout, stderr)
	}
	return stdout
}

func TestDeliveriesCommands(t *testing.T) {
	w := newWorks(t, nil)
	w.publish("course.completed", "e-1", ann)
	w.list("", 1)
	w.answer(404)
	w.publish("course.enrolled", "e-2", ann)
	w.list("", 2)
	w.answer(503)
	w.publish("module.completed", "e-3", `{"module":{"id":5}}`)
	w.list("", 3)

	// With a daemon and without one the answers are the same.
	check := func(when string) {
		if got := w.must("deliveries", "list"); strings.Count(got, "\n") != 4 || !strings.Contains(got, "404 Not Found") {
			t.Errorf("%s: list prints\n%s", when, got)
		}
		var items []api.Outcome
		if err := json.Unmarshal([]byte(w.must("deliveries", "list", "--failed", "--since", "1h", "--rule", "crm", "-o", "json")), &items); err != nil ||
			len(items) != 1 || items[0].EventID != "e-2" {
			t.Errorf("%s: the failed ones are %+v, %v", when, items, err)
		}
		if got := w.must("deliveries", "list", "--failed", "--rule", "other", "-o", "json"); got != "[]\n" {
			t.Errorf("%s: none failed of another rule, but %s", when, got)
		}
		if got := w.must("deliveries", "list", "--rule", "none"); got != "no outcomes\n" {
			t.Errorf("%s: the outcomes of no rule are %q", when, got)
		}
		got := w.must("deliveries", "show", items[0].DeliveryID)
		for _, holds := range []string{items[0].DeliveryID, "crm/a", "404 Not Found", "student=Ann&course=Go+%26+more", `"first_name":"Ann"`} {
			if !strings.Contains(got, holds) {
				t.Errorf("%s: show lacks %q:\n%s", when, holds, got)
			}
		}
		var pending []api.Pending
		if err := json.Unmarshal([]byte(w.must("deliveries", "pending", "-o", "json")), &pending); err != nil || len(pending) != 1 || pending[0].State != "scheduled" ||
			pending[0].Due == nil {
			t.Errorf("%s: pending = %+v, %v", when, pending, err)
		}
		if got := w.must("deliveries", "pending"); !strings.Contains(got, "scheduled for") {
			t.Errorf("%s: pending prints\n%s", when, got)
		}
		status, _, stderr := w.cli("deliveries", "show", strings.Repeat("0", 32))
		if status != 1 || !strings.Contains(stderr, "not found") || !strings.Contains(stderr, "try: ") {
			t.Errorf("%s: showing what is not there = %d %s", when, status, stderr)
		}
	}
	check("with a daemon")
	w.stop()
	check("without a daemon")
	for _, args := range [][]string{{"retry", "--failed"}, {"cancel", "--all"}, {"tail"}, {"retry", strings.Repeat("0", 32)}} {
		status, _, stderr := w.cli(append([]string{"deliveries"}, args...)...)
		if status != 1 || !strings.Contains(stderr, "no daemon is running") {
			t.Errorf("%v without a daemon = %d %s, want 1 and why", args, status, stderr)
		}
	}
	if got := w.must("deliveries", "rebuild"); !strings.Contains(got, "the next one to start") {
		t.Errorf("rebuild without a daemon prints %q", got)
	}
	w.start()
	w.list("", 3)
	if got := w.must("deliveries", "rebuild"); got != "3 outcomes counted\n" {
		t.Errorf("rebuild prints %q", got)
	}
	for _, args := range [][]string{
		{"retry"}, {"retry", "x"}, {"cancel"}, {"retry", "--failed", strings.Repeat("0", 32)}, {"list", "--since", "yesterday"}, {"list", "--outcome", "lost"},
		{"list", "--limit", "0"}, {"pending", "--state", "x"}, {"show"}, {"list", "-o", "xml"},
	} {
		if status, _, stderr := w.cli(append([]string{"deliveries"}, args...)...); status != 2 || stderr == "" {
			t.Errorf("%v = %d %s, want 2 and why", args, status, stderr)
		}
	}
}

func TestDeliveriesByHandOnTheCommandLine(t *testing.T) {
	w := newWorks(t, func(s *config.Settings) { s.Console.Token, s.Console.ReadToken = "operator's", "reader's" })
	w.answer(404)
	w.publish("course.completed", "e-1", ann)
	w.publish("course.enrolled", "e-2", ann)
	failed := w.list("?outcome=failed", 2)
	w.answer(200)
	if got := w.must("deliveries", "retry", failed[0].DeliveryID); got != failed[0].DeliveryID+" sent again\n" {
		t.Errorf("retry prints %q", got)
	}
	w.list("?outcome=delivered", 1)
	status, _, stderr := w.cli("deliveries", "retry", failed[0].DeliveryID)
	if status != 1 || !strings.Contains(stderr, "has not failed") {
		t.Errorf("retrying what is delivered = %d %s", status, stderr)
	}
	address := []string{"--address", w.running.http.URL()}
	status, _, stderr = w.cli(append([]string{"deliveries", "retry", "--failed", "--since", "1h", "--token", "reader's"}, address...)...)
	if status != 1 || !strings.Contains(stderr, "does not allow") {
		t.Errorf("retrying with a reader's token = %d %s", status, stderr)
	}
	status, _, stderr = w.cli(append([]string{"deliveries", "list", "--token", "nobody's"}, address...)...)
	if status != 1 || !strings.Contains(stderr, "token") {
		t.Errorf("listing with a wrong token = %d %s", status, stderr)
	}
	got := w.must(append([]string{"deliveries", "retry", "--failed", "--since", "1h", "--token", "operator's"}, address...)...)
	if got != "1 delivery of 1 sent again\n" {
		t.Errorf("retrying all that failed prints %q", got)
	}
	w.list("?outcome=delivered", 2)
	if got := w.must("deliveries", "retry", "--failed"); got != "nothing matches\n" {
		t.Errorf("retrying none prints %q", got)
	}
	w.answer(503)
	w.publish("course.completed", "e-3", ann)
	w.publish("module.completed", "e-4", `{"module":{"id":5}}`)
	w.list("?outcome=retrying", 2)
	if got := w.must("deliveries", "cancel", "--all", "--rule", "other"); got != "1 delivery of 1 cancelled\n" {
		t.Errorf("cancel prints %q", got)
	}
	id := w.list("?outcome=retrying&rule=crm", 1)[0].DeliveryID
	var list []handled
	if err := json.Unmarshal([]byte(w.must("deliveries", "cancel", id, "-o", "json")), &list); err != nil || len(list) != 1 || list[0].Attempt != 2 {
		t.Errorf("cancel -o json = %+v, %v", list, err)
	}
	w.list("?kind=cancelled", 2)
}

func TestDeliveriesTail(t *testing.T) {
	w := newWorks(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr heard
	done := make(chan int, 1)
	go func() { done <- w.cliUntil(ctx, &stdout, &stderr, "deliveries", "tail", "--rule", "crm", "-o", "json") }()
	w.until("somebody watches", w.running.live.Watched)
	w.publish("module.completed", "m", `{"module":{"id":5}}`)
	w.publish("course.completed", "e-1", ann)
	w.until("the outcome is printed", func() bool { return strings.Contains(stdout.String(), `"event_id":"e-1"`) })
	cancel()
	if status := <-done; status != 0 || strings.Count(stdout.String(), "\n") != 1 || stderr.String() != "" {
		t.Errorf("tail ended with %d %s%s, want 0 and one line, of e-1", status, stderr.String(), stdout.String())
	}
}
