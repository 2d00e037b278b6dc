package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asProgram has the test binary be the program itself, so that it can start its parts.
const asProgram = "BENCH_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestUsage(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"help":             {[]string{"-help"}, 0, "Usage: bellhop-bench"},
		"an argument":      {[]string{"more"}, 2, `unknown argument "more"`},
		"an unknown flag":  {[]string{"-nope"}, 2, "not defined"},
		"an unknown group": {[]string{"-only", "speed"}, 2, `unknown group "speed": one of throughput, `},
		"both":             {[]string{"-quick", "-full"}, 2, "exclude each other"},
		"no binary":        {[]string{"-bellhop", "/nowhere/bellhop"}, 1, "no bellhop at /nowhere/bellhop"},
		"a part's flag":    {[]string{"server"}, 2, "-dir is missing"},
		"another's flag":   {[]string{"relay", "-nope"}, 2, "not defined"},
	} {
		var out, errs bytes.Buffer
		if got := run(c.args, &out, &errs); got != c.status {
			t.Errorf("%s: status %d, want %d; stderr: %s", name, got, c.status, errs.String())
		}
		if !strings.Contains(errs.String(), c.says) {
			t.Errorf("%s: stderr %q, want %q in it", name, errs.String(), c.says)
		}
	}
}

// TestThroughput runs the real thing for a moment: every process, one short stretch of the loop and one of the daemon.
func TestThroughput(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out what starts processes")
	}
	dir := t.TempDir()
	bellhop := filepath.Join(dir, "bellhop")
	if out, err := exec.Command("go", "build", "-o", bellhop, "bellhop/cmd/bellhop").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	t.Setenv("TMPDIR", dir)
	t.Setenv(asProgram, "1")
	file := filepath.Join(dir, "bench.json")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-bellhop", bellhop, "-quick", "-only", "throughput,cost,floor,latency", "-budget", "3m", "-arm", "100ms", "-json", file, "-profile", "profiles")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("bellhop-bench: %v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Tally   tally
		Results []struct {
			Group string
			Rows  []map[string]any
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if got.Tally.Deliveries < 1000 || got.Tally.Lost != 0 {
		t.Errorf("tally = %+v, want 1000 deliveries at least and none lost", got.Tally)
	}
	for _, r := range got.Results {
		if len(r.Rows) == 0 {
			t.Errorf("%s has no rows:\n%s", r.Group, out)
		}
	}
	if len(got.Results) != 4 || got.Results[0].Rows[0]["ratio"].(float64) <= 0 || len(got.Results[2].Rows) != 3 {
		t.Errorf("results = %+v, want throughput with a ratio, cost, the floor with three programs, and latency", got.Results)
	}
	rows := got.Results[len(got.Results)-1].Rows
	if len(rows) != 2 || rows[0]["what"] != "daemon" || rows[1]["what"] != "relay" {
		t.Errorf("latency = %+v, want the daemon's and the relay's", rows)
	}
	for _, row := range rows {
		p50, p99, stored := row["p50"].(float64), row["p99"].(float64), row["stored99"].(float64)
		// The relay's would count from the run's beginning where it did not pass on when each event was to be published.
		if p50 <= 0 || p50 > float64(5*time.Second) || stored <= 0 || stored > p99 {
			t.Errorf("latency of the %s: p50 %v ns, p99 %v ns, in the stream p99 %v ns", row["what"], p50, p99, stored)
		}
	}
	for _, part := range []string{"daemon", "server", "receiver", "loop", "relay"} {
		if info, err := os.Stat(filepath.Join(dir, "profiles", part, "cpu.pprof")); err != nil || info.Size() == 0 {
			t.Errorf("profile of the %s: %v", part, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "bellhop-bench-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestProfileFolder: daemons work in a folder of their own, so that the folder must not depend on it.
func TestProfileFolder(t *testing.T) {
	var errs bytes.Buffer
	o, err := parseOptions([]string{"-profile", "profiles"}, &errs)
	if err != nil || !filepath.IsAbs(o.profile) || filepath.Base(o.profile) != "profiles" {
		t.Errorf("profile = %q, %v, want the whole path of profiles", o.profile, err)
	}
}
