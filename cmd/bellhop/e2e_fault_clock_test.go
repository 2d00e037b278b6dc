package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// clockSteps runs the program, its server included, under a clock that steps. A Go program asks the kernel for the time without
// a system call, so that nothing outside can step its clock alone: the program is built with a time package whose Now is off by
// what signals say. Nothing else differs, and nothing of it is in the program that is shipped.
func clockSteps(w *world) {
	const delay = 4 * time.Second
	failing := scale(50, 2000)
	w.bin.bellhop = steppingBinary(w)
	var fails bool
	to := newWitness(w.T, nil)
	to.behave = func(c *call) answer {
		to.mu.Lock()
		defer to.mu.Unlock()
		if fails && c.attempt == 1 {
			return answer{status: http.StatusServiceUnavailable}
		}
		return answer{}
	}
	fail := func(is bool) {
		to.mu.Lock()
		defer to.mu.Unlock()
		fails = is
	}
	second := func(from, n int) int { // how many of these events have come a second time
		had := 0
		for _, c := range to.all() {
			if i := number(c.body); i >= from && i < from+n && c.attempt > 1 {
				had++
			}
		}
		return had
	}
	w.rules(oneNumbered(to.url))
	d := w.daemonNamed("a", "--delivery.initial_delay", delay.String())
	steps := 0
	step := func(s syscall.Signal) {
		if err := d.cmd.Process.Signal(s); err != nil {
			w.Fatal(err)
		}
		steps++
		w.until(5*time.Second, "the clock has stepped", func() bool { return strings.Count(d.log(), "the clock stepped by") == steps })
	}
	publish := func(from, n int) {
		had := to.len()
		w.publishNumbered("events.course.completed", from, from+n, 0).wait(time.Minute)
		w.until(time.Minute, "they have come", func() bool { return to.len() >= had+n })
	}

	// Back by an hour, while retries wait: they wait for the clock to catch up. Others are delivered meanwhile.
	fail(true)
	publish(0, failing)
	step(backwards)
	fail(false)
	publish(failing, failing)
	w.pause(delay + 2*time.Second)
	if n := second(0, failing); n > 0 {
		w.Errorf("%d retries came within %s of a step back by an hour, want none before the clock has caught up", n, delay+2*time.Second)
	}
	// The next life has a clock that is right. Put forward again under its feet, the server would not look before its timer is
	// over, an hour later.
	if status := d.stop(sigterm); status != 0 {
		w.Errorf("SIGTERM ended it with status %d, want 0", status)
	}
	d, steps = w.daemonNamed("a", "--delivery.initial_delay", delay.String()), 0
	w.until(90*time.Second, "the retries come once the clock is right", func() bool { return second(0, failing) == failing })

	// Forward by an hour, while retries wait and calls are under way: all is due, and comes once.
	fail(true)
	publish(2*failing, failing)
	fail(false)
	before := time.Now()
	step(forwards)
	w.until(90*time.Second, "the retries come once the clock is past their time", func() bool { return second(2*failing, failing) == failing })
	early := time.Since(before)
	w.clockIsWrong = true
	s := w.takeStock(to, 3*failing, 2*time.Minute)
	s.faults = make([]fault, 2)
	if n, want := to.len(), 5*failing; n != want {
		w.Errorf("%d POSTs in all, want %d: one for each attempt", n, want)
	}
	// By the clock of the daemon no attempt was early.
	w.noneEarly()
	w.report(s, 3*failing, "steps of -1h and +1h: no attempt early by the daemon's clock, none twice; due ones came %s after the step; %d outcomes recorded twice", early.Round(100*time.Millisecond), s.twice)
}

const backwards, forwards = syscall.SIGUSR2, syscall.SIGUSR1

// noneEarly compares each attempt's start with what the outcome before it said, both by the daemon's clock.
func (w *world) noneEarly() {
	w.Helper()
	due := map[attemptKey]time.Time{}
	for _, o := range w.outcomes(1, 10*time.Second) {
		attempt, _ := o.data["attempt"].(float64)
		id, _ := o.data["delivery_id"].(string)
		if at, ok := due[attemptKey{id, int(attempt)}]; ok {
			if early := at.Sub(w.instant(o, "started_at")); early > 0 {
				w.Errorf("attempt %v of %s was %s early by the daemon's clock", attempt, id, early)
			}
		}
		if o.data["next_attempt_at"] != nil {
			due[attemptKey{id, int(attempt) + 1}] = w.instant(o, "next_attempt_at")
		}
	}
}

// steppingBinary builds the program with a clock that SIGUSR1 puts forward and SIGUSR2 back, by an hour each.
func steppingBinary(w *world) string {
	w.Helper()
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		w.Fatalf("go env GOROOT: %v", err)
	}
	file := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time", "time.go")
	const reads = "\tsec, nsec, mono := runtimeNow()\n"
	source := w.read(file)
	at := strings.Index(source, "func Now() Time {\n"+reads)
	if at < 0 {
		w.Fatalf("%s of %s reads the clock in a way that this test does not know", file, runtime.Version())
	}
	at += len("func Now() Time {\n" + reads)
	overlay := filepath.Join(w.dir, "overlay")
	if err := os.Mkdir(overlay, 0o700); err != nil {
		w.Fatal(err)
	}
	w.write(filepath.Join(overlay, "time.go"), source[:at]+"\tsec += stepped.Load()\n"+source[at:])
	w.write(filepath.Join(overlay, "step.go"), `package time

import "sync/atomic"

var stepped atomic.Int64

// Step puts the clock forward, or back.
func Step(d Duration) { stepped.Add(int64(d / Second)) }
`)
	w.write(filepath.Join(overlay, "main.go"), `package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func init() {
	told := make(chan os.Signal, 8)
	signal.Notify(told, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range told {
			d := time.Hour
			if s == syscall.SIGUSR2 {
				d = -d
			}
			time.Step(d)
			fmt.Fprintln(os.Stderr, "the clock stepped by", d)
		}
	}()
}
`)
	here, err := os.Getwd()
	if err != nil {
		w.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{"Replace": map[string]string{
		file: filepath.Join(overlay, "time.go"),
		filepath.Join(filepath.Dir(file), "step_overlay.go"): filepath.Join(overlay, "step.go"),
		filepath.Join(here, "step_overlay.go"):               filepath.Join(overlay, "main.go"),
	}})
	if err != nil {
		w.Fatal(err)
	}
	w.write(filepath.Join(overlay, "overlay.json"), string(config))
	binary := filepath.Join(w.dir, "bellhop-stepping")
	if text, err := exec.Command("go", "build", "-overlay", filepath.Join(overlay, "overlay.json"), "-o", binary, ".").CombinedOutput(); err != nil {
		w.Fatalf("go build -overlay: %v\n%s", err, text)
	}
	return binary
}
