package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bellhop/internal/testkit"
)

// oldNATS is nats-server 2.9, the oldest that Bellhop works with, as Debian 12 packages it.
const oldNATS = "/usr/sbin/nats-server"

// kind is one kind of server that a daemon runs against.
type kind string

const (
	embedded kind = "embedded"
	external kind = "nats-server 2.15"
	old      kind = "nats-server 2.9"
)

// e2e are the binaries that the end-to-end tests run, in processes of their own.
type e2e struct{ bellhop, nats string }

// TestEndToEnd runs the program as an operator does: against its own server and against others, over the network, with real
// signals. Each scenario has its own folder, server, receiver and daemon.
func TestEndToEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out what starts processes")
	}
	t.Parallel()
	bin := binaries(t)
	everywhere := map[string]func(*world){
		"three encodings":               threeEncodings,
		"published by command":          publishedByCommand,
		"retry after five seconds":      retryAfterFiveSeconds,
		"retry over SIGTERM":            func(w *world) { retryOverRestart(w, syscall.SIGTERM) },
		"retry over kill -9":            func(w *world) { retryOverRestart(w, syscall.SIGKILL) },
		"unreadable events":             unreadableEvents,
		"in flight when told to stop":   inFlightWhenStopped,
		"retry cancelled by its rule":   retryCancelledByItsRule,
		"mended endpoint mends a retry": mendedEndpoint,
		"nothing is lost":               nothingIsLost,
		"pause asked for":               retryAfter,
		"backtest":                      backtestByCommand,
	}
	once := map[string]func(*world){
		"failures":                   failures,
		"secrets":                    secrets,
		"secrets nowhere":            secretsNowhere,
		"reload":                     reload,
		"rollback":                   rollback,
		"console":                    consoleAnswers,
		"broken rules at start":      brokenRulesAtStart,
		"broken rules at restart":    brokenRulesAtRestart,
		"second daemon":              secondDaemon,
		"usage":                      usage,
		"permissions":                permissions,
		"bodies left out":            bodiesLeftOut,
		"bus trouble":                busTrouble,
		"large event":                largeEvent,
		"killed with POST under way": killedDuringPost,
	}
	// These need a server that lives on, or dies, without the daemon.
	apart := map[string]func(*world){
		"server restarts": serverRestarts, "takeover": takeover, "documented permissions": documentedPermissions,
	}

	// They wait far more than they work: more of them than processors run at a time.
	slots := make(chan struct{}, 10)
	var wg sync.WaitGroup
	defer wg.Wait()
	run := func(name string, scenario func(*world), kinds ...kind) {
		for _, k := range kinds {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				t.Run(name+"/"+string(k), func(t *testing.T) { scenario(newWorld(t, bin, k)) })
			})
		}
	}
	for name, scenario := range everywhere {
		run(name, scenario, embedded, external, old)
	}
	for name, scenario := range apart {
		run(name, scenario, external, old)
	}
	for name, scenario := range once {
		run(name, scenario, embedded)
	}
}

// world is all that one scenario has.
type world struct {
	*testing.T

	bin  e2e
	kind kind
	dir  string // the working directory of its daemons: rules, data, secrets
	nats string // host:port of the server
	to   *receiver
	srv  *process // the external server; nil where it is embedded
	nc   *nats.Conn
	js   jetstream.JetStream

	// Of fault tests.
	table    *faultTable
	scenario string
	losses   int
	lives    map[string]int // of daemons, by their names
	// clockIsWrong excuses outcomes recorded twice: the server forgets ids by its clock.
	clockIsWrong bool
	monitor      string // host:port of the external server's monitoring
}

// newWorld makes the folder, the receiver and, where it is not embedded, the server.
func newWorld(t *testing.T, bin e2e, k kind) *world {
	t.Helper()
	w := &world{T: t, bin: bin, kind: k, dir: t.TempDir(), nats: testkit.FreeAddress(t), to: newReceiver(t)}
	for _, sub := range []string{"rules", "secrets"} {
		if err := os.Mkdir(filepath.Join(w.dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	switch k {
	case embedded:
	case old:
		if _, err := os.Stat(oldNATS); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("nats-server 2.9 is needed in CI (apt-get install nats-server): %v", err)
			}
			t.Skipf("no nats-server 2.9 here (apt-get install nats-server): %v", err)
		}
		w.startNATS(oldNATS)
	case external:
		w.startNATS(bin.nats)
	}
	return w
}

// startNATS starts a server in a process of its own.
func (w *world) startNATS(binary string, args ...string) {
	w.Helper()
	_, port, _ := net.SplitHostPort(w.nats)
	if w.monitor == "" {
		w.monitor = testkit.FreeAddress(w.T)
	}
	_, monitor, _ := net.SplitHostPort(w.monitor)
	cmd := exec.Command(binary, append([]string{"-a", "127.0.0.1", "-p", port, "-m", monitor, "-js", "-sd", filepath.Join(w.dir, "nats")}, args...)...)
	w.srv = start(w.T, cmd)
	w.until(10*time.Second, "nats-server takes connections", func() bool {
		c, err := net.Dial("tcp", w.nats)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// connect connects to the server as a publisher of events would.
func (w *world) connect() {
	w.Helper()
	if w.nc != nil {
		return
	}
	nc, err := nats.Connect("nats://"+w.nats, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		w.Fatalf("connect to %s: %v", w.nats, err)
	}
	w.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		w.Fatal(err)
	}
	w.nc, w.js = nc, js
}

// rules writes the rule file; ENDPOINT in it is the receiver's address.
func (w *world) rules(yaml string) {
	w.Helper()
	// Put in place whole, as editors do.
	name := filepath.Join(w.dir, "rules", "rules.yaml")
	w.write(name+".new", strings.ReplaceAll(yaml, "ENDPOINT", w.to.url))
	if err := os.Rename(name+".new", name); err != nil {
		w.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

func (w *world) write(name, text string) {
	w.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
}

// oneRule is a rule file with one webhook on every event.
const oneRule = `
rules:
  - name: crm
    on: ">"
    webhooks:
      - name: hook
        endpoint: ENDPOINT/hook
        parameters: {name: "@first_name @last_name", score: "@score"}
`

// publish publishes an event, and returns its sequence.
func (w *world) publish(subject, data string, header ...string) uint64 {
	w.Helper()
	m := nats.NewMsg(subject)
	m.Data = []byte(data)
	for i := 0; i < len(header); i += 2 {
		m.Header[header[i]] = []string{header[i+1]}
	}
	ack, err := w.js.PublishMsg(w.Context(), m)
	if err != nil {
		w.Fatalf("publish to %s: %v", subject, err)
	}
	return ack.Sequence
}

// args are the flags of a daemon in this world.
func (w *world) args(more ...string) []string {
	args := []string{"--delivery.allow_networks", "127.0.0.0/8", "--console.listen", "127.0.0.1:0", "--node", "node-1", "--secrets_dir", "secrets"}
	if w.kind == embedded {
		args = append(args, "--nats.listen", w.nats)
	} else {
		args = append(args, "--nats.url", "nats://"+w.nats)
	}
	return append(args, more...)
}

// serve starts a daemon and waits until it runs.
func (w *world) serve(more ...string) *daemonProcess {
	w.Helper()
	d := w.launch(more...)
	d.waitRunning()
	w.connect()
	return d
}

// launch starts a daemon.
func (w *world) launch(more ...string) *daemonProcess {
	w.Helper()
	cmd := exec.Command(w.bin.bellhop, append([]string{"serve"}, w.args(more...)...)...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "BELLHOP_SECRET_TOKEN=t0p-s3cret", "BELLHOP_SECRET_SIGN=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	return &daemonProcess{process: start(w.T, cmd), w: w}
}

// run runs a command to its end, in the world's folder.
func (w *world) run(stdin string, args ...string) result {
	w.Helper()
	cmd := exec.Command(w.bin.bellhop, args...)
	cmd.Dir = w.dir
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.Fatalf("run %q: %v", args, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// until polls a condition, and ends the test where it does not hold in time.
func (w *world) until(within time.Duration, what string, condition func() bool) {
	w.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(within)
	for !condition() {
		select {
		case <-tick.C:
		case <-end:
			w.Fatalf("after %s still not: %s", within, what)
		}
	}
}

// daemonProcess is bellhop serve.
type daemonProcess struct {
	*process
	w       *world
	console string
}

// waitRunning waits for the line of the log that says that it runs.
func (d *daemonProcess) waitRunning() {
	d.w.Helper()
	var line struct{ Msg, Console string }
	d.w.until(time.Minute, "the daemon runs", func() bool {
		select {
		case <-d.exited:
			d.w.Fatalf("the daemon ended with status %d:\n%s", d.status(), d.log())
		default:
		}
		text, ok := d.find("bellhop is running")
		return ok && json.Unmarshal([]byte(text), &line) == nil
	})
	d.console = line.Console
	d.w.until(time.Minute, "the daemon is ready", func() bool {
		status, _ := d.get("/readyz")
		return status == http.StatusOK
	})
}

// get asks the console.
func (d *daemonProcess) get(path string) (int, string) {
	d.w.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(strings.TrimRight(d.console, "/") + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// metric is the value of a line of /metrics.
func (d *daemonProcess) metric(name string) string {
	d.w.Helper()
	_, text := d.get("/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// stop ends the daemon by a signal and returns its status.
func (d *daemonProcess) stop(s syscall.Signal) int {
	d.w.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.w.Fatalf("signal: %v", err)
	}
	return d.wait(20 * time.Second)
}

// process is a child with its output kept.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	exited chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

// start starts a child, which is killed at the test's end if it is still there.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		_ = cmd.Wait() // its status is asked for by who wants it
		close(p.exited)
	}()
	t.Cleanup(func() {
		select {
		case <-p.exited:
		default:
			_ = cmd.Process.Kill()
			<-p.exited
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), p.log())
		}
	})
	return p
}

// Write keeps what the child says.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// find returns the first line that holds the text.
func (p *process) find(text string) (string, bool) {
	for line := range strings.Lines(p.log()) {
		if strings.HasSuffix(line, "\n") && strings.Contains(line, text) {
			return strings.TrimSpace(line), true
		}
	}
	return "", false
}

// wait waits for the child's end and returns its status.
func (p *process) wait(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.status()
	case <-time.After(within):
		p.t.Fatalf("%s has not ended within %s", filepath.Base(p.cmd.Path), within)
		return -1
	}
}

func (p *process) status() int { return p.cmd.ProcessState.ExitCode() }

// describe is for failures.
func describe(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
