package main

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// soak runs the fault tests in full instead of bounded: minutes of load, a table at the end. make soak sets it.
var soak = os.Getenv("SOAK") != ""

// TestFaults breaks what the built program stands on, under load, and then takes stock: what came to the receivers against
// what the bus recorded. Nothing may be lost, every delivery has one final outcome, and only what was in flight may be POSTed
// twice.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out what kills processes")
	}
	if !soak {
		t.Parallel()
	}
	bin := binaries(t)
	table := &faultTable{}
	type scenario struct {
		name string
		run  func(*world)
		kind kind
	}
	together := []scenario{
		{"kill -9 of daemon and server", killedAgainAndAgain, embedded},
		{"kill -9 of the daemon", killedAgainAndAgain, external},
		{"three daemons", threeDaemons, external},
		{"stopped daemon hands over", func(w *world) { handsOver(w, sigterm) }, external},
		{"bus killed", func(w *world) { busAway(w, sigkill) }, external},
		{"bus frozen", func(w *world) { busAway(w, sigstop) }, external},
		{"bus slow", busSlow, external},
		{"outcomes refused", outcomesRefused, external},
		{"outcomes limited", outcomesLimited, external},
		{"cluster loses a leader", clusterLosesLeader, embedded},
		{"disk of the bus full", busDiskFull, embedded},
		{"store copied mid-write", storeCopied, external},
		{"disk of the store full", storeDiskFull, external},
		{"store of a newer version", storeFromTheFuture, embedded},
		{"killed daemon's work taken over", func(w *world) { handsOver(w, sigkill) }, external},
	}
	together = append(together, scenario{"paused everywhere", pausedEverywhere, external})
	// Measured against each other: nothing else of this test may run beside them.
	alone := []scenario{
		{"isolation", isolation, external},
		{"fair among endpoints", fairness, external},
		{"limits", limits, external},
		{"memory", memory, external},
	}
	if soak {
		// It builds all that the program is made of a second time.
		alone = append(alone, scenario{"clock steps", clockSteps, embedded})
	}

	run := func(s scenario) {
		if !t.Run(s.name, func(t *testing.T) {
			w := newWorld(t, bin, s.kind)
			w.table, w.scenario = table, s.name
			s.run(w)
		}) {
			table.add(faultRow{scenario: s.name, note: "FAILED"})
		}
	}
	// They wait more than they work.
	limit := 6
	if soak {
		// Alone each, so that what one measures is not another's load.
		limit = 1
	}
	slots := make(chan struct{}, limit)
	var wg sync.WaitGroup
	for _, s := range together {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			run(s)
		})
	}
	wg.Wait()
	for _, s := range alone {
		run(s)
	}
	if testing.Verbose() {
		table.print()
	}
}

// scale is the size of a load: bounded for go test, full for make soak.
func scale[T any](bounded, full T) T {
	if soak {
		return full
	}
	return bounded
}

// seed makes what is random the same in every run; SOAK_SEED sets another.
func seed(w *world) *rand.Rand {
	var n uint64 = 1
	if s := os.Getenv("SOAK_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			w.Fatalf("SOAK_SEED=%q: %v", s, err)
		}
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(w.scenario))
	return rand.New(rand.NewPCG(n, h.Sum64()))
}

// binaries builds the program and a server of the version that it embeds, once a run.
var built struct {
	once sync.Once
	e2e
	dir, failed string
}

func binaries(t *testing.T) e2e {
	t.Helper()
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "bellhop-e2e-")
		if err != nil {
			built.failed = err.Error()
			return
		}
		built.dir = dir
		built.e2e = e2e{bellhop: filepath.Join(dir, "bellhop"), nats: filepath.Join(dir, "nats-server")}
		for out, pkg := range map[string]string{built.bellhop: ".", built.nats: "github.com/nats-io/nats-server/v2"} {
			if text, err := exec.Command("go", "build", "-o", out, pkg).CombinedOutput(); err != nil {
				built.failed = fmt.Sprintf("go build %s: %v\n%s", pkg, err, text)
			}
		}
	})
	if built.failed != "" {
		t.Fatal(built.failed)
	}
	return built.e2e
}

// removeBinaries is for the end of the run.
func removeBinaries() {
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
}

// faultTable is what make soak prints.
type faultTable struct {
	mu   sync.Mutex
	rows []faultRow
}

// faultRow is one scenario: load held, faults survived, and what it cost.
type faultRow struct {
	scenario         string
	events, faults   int
	lost, duplicated int
	inFlight         int // at the faults: what may be duplicated
	note             string
}

func (t *faultTable) add(r faultRow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

func (t *faultTable) print() {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortStableFunc(t.rows, func(a, b faultRow) int { return strings.Compare(a.scenario, b.scenario) })
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "\nscenario\tevents\tfaults\tlost\tduplicated\tin flight at faults\tmeasured")
	for _, r := range t.rows {
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%d\t%d\t%s\n", r.scenario, r.events, r.faults, r.lost, r.duplicated, r.inFlight, r.note)
	}
	_ = out.Flush()
}

// report adds the scenario's row.
func (w *world) report(s stock, events int, note string, args ...any) {
	w.table.add(faultRow{
		scenario: w.scenario, events: events, faults: len(s.faults), lost: s.lost, duplicated: s.duplicated, inFlight: s.inFlight,
		note: fmt.Sprintf(note, args...),
	})
}

// oneNumbered is a rule file with one webhook on every event, whose body is the event's number and whose headers name the daemon.
func oneNumbered(endpoint string) string {
	return `
rules:
  - name: crm
    on: ">"
    webhooks:
      - name: hook
        endpoint: ` + endpoint + `/hook
        parameters: {n: "@n"}
        headers: {X-Daemon: "${file:daemon}"}
`
}

// daemonNamed starts a daemon with its own folder, whose POSTs bear its name, and waits until it runs.
func (w *world) daemonNamed(name string, more ...string) *daemonProcess {
	w.Helper()
	d := w.launchNamed(name, more...)
	d.waitRunning()
	w.connect()
	return d
}

// life names a daemon in one of its lives: a, then a.2, a.3 and so on.
func (w *world) life(name string) string {
	if w.lives == nil {
		w.lives = map[string]int{}
	}
	if w.lives[name]++; w.lives[name] > 1 {
		name += "." + strconv.Itoa(w.lives[name])
	}
	return name
}

func (w *world) launchNamed(name string, more ...string) *daemonProcess {
	w.Helper()
	secrets := filepath.Join(w.dir, "secrets-"+name)
	if err := os.MkdirAll(secrets, 0o700); err != nil {
		w.Fatal(err)
	}
	w.write(filepath.Join(secrets, "daemon"), w.life(name))
	return w.launch(append([]string{"--node", name, "--secrets_dir", secrets, "--data_dir", "data-" + name}, more...)...)
}

// kill ends a daemon by SIGKILL and returns when that was.
func (d *daemonProcess) kill(name string) fault {
	d.w.Helper()
	f := fault{from: time.Now(), daemon: strings.TrimSpace(d.w.read(filepath.Join(d.w.dir, "secrets-"+name, "daemon")))}
	d.stop(sigkill)
	f.to = time.Now()
	return f
}

// peakMemory is the most memory that a process has had, in bytes.
func peakMemory(p *process) int64 { return memoryOf(p, "VmHWM:") }

// memoryOf reads a line of a process's status; 0 where the system does not say.
func memoryOf(p *process, name string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			var kb int64
			if _, err := fmt.Sscan(rest, &kb); err == nil {
				return kb << 10
			}
		}
	}
	return 0
}
