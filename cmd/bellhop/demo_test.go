package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

func TestDemoLeavesNothingBehind(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	r := bellhop(t, "", "demo", "--events", "12", "--rate", "50")
	r.wants(t, exitDone, "lost                       0", "")
	if strings.Contains(r.out, "\x1b") {
		t.Errorf("output that is no terminal holds escape sequences:\n%s", r.out)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 0 {
		t.Errorf("the temporary folder holds %v (%v) after a demo, want nothing", left, err)
	}
}

// brokenPipe is an output that nobody reads from some line on.
type brokenPipe struct{ lines int }

func (p *brokenPipe) Write(b []byte) (int, error) {
	if p.lines--; p.lines < 0 {
		return 0, syscall.EPIPE
	}
	return len(b), nil
}

func TestDemoEndsWhereNobodyReads(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var errs bytes.Buffer
	if status := run([]string{"demo"}, strings.NewReader(""), &brokenPipe{lines: 4}, &errs); status != exitFailed || errs.Len() > 0 {
		t.Errorf("demo into a closed pipe ended with %d and %q, want 1 and no words", status, errs.String())
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("the temporary folder holds %v (%v) after a demo into a closed pipe, want nothing", left, err)
	}
}

func TestDemoStopsBeforeItStarts(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out bytes.Buffer
	a := &app{stdout: &out, stderr: &out}
	cmd := newRoot(a)
	cmd.SetArgs([]string{"demo"})
	if err := cmd.ExecuteContext(ctx); err != nil {
		t.Errorf("a demo that is stopped while it starts ended with %v, want nil", err)
	}
}

// endsAt ends a demo as Ctrl-C does, once it has printed a text.
type endsAt struct {
	printed strings.Builder
	text    string
	end     func()
}

func (w *endsAt) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(w.text)) {
		w.end()
	}
	return w.printed.Write(b)
}

func TestDemoSettlesAfterCtrlC(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// The first retry is under way: its delivery has to be settled before the summary.
	out := &endsAt{text: "retrying in", end: cancel}
	a := &app{stdout: out, stderr: out}
	cmd := newRoot(a)
	cmd.SetArgs([]string{"demo", "--rate", "20", "--for", "20s"})
	if err := cmd.ExecuteContext(ctx); err != nil {
		t.Errorf("a demo ended with %v at Ctrl-C, want nil; it printed:\n%s", err, out.printed.String())
	}
	for _, want := range []string{"waiting for ", "attempt 2 of 4\n", "unsettled                  0\n"} {
		if !strings.Contains(out.printed.String(), want) {
			t.Errorf("a demo that ends at Ctrl-C prints no %q:\n%s", want, out.printed.String())
		}
	}
}

func TestDemoTakesAnotherConsolePort(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	// Two at once: one of them at most has the usual port.
	outs := make(chan result, 2)
	for range 2 {
		go func() {
			var out, errs bytes.Buffer
			status := run([]string{"demo", "--events", "3", "--rate", "50"}, strings.NewReader(""), &out, &errs)
			outs <- result{status, out.String(), errs.String()}
		}()
	}
	urls := map[string]bool{}
	for range 2 {
		r := <-outs
		r.wants(t, exitDone, "nothing was lost", "")
		urls[regexp.MustCompile(`console +http://\S+`).FindString(r.out)] = true
	}
	if len(urls) != 2 {
		t.Errorf("two demos at once have the consoles %v, want two", urls)
	}
}

func TestDemoFolderIsShortEnoughForASocket(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 25))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	dir, err := demoFolder()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if path := filepath.Join(dir, demoData, socketName); len(path) > maxSocketPath {
		t.Errorf("the socket would be %s, %d bytes", path, len(path))
	}
	if left, err := os.ReadDir(long); err != nil || len(left) != 0 {
		t.Errorf("%v is left in the folder that was too long (%v)", left, err)
	}
}

func TestDemoRefusesWhatItBrings(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, flag := range []string{"--nats.url=nats://bus.example.com", "--rules=./rules", "--data_dir=x", "--delivery.allow_networks=10.0.0.0/8"} {
		name, _, _ := strings.Cut(flag, "=")
		r := bellhop(t, "", "demo", flag)
		r.wants(t, exitUsage, "", name+" does not go with demo")
	}
}
