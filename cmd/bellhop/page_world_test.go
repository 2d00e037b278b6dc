package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"bellhop/config"
	"bellhop/dispatcher/bus"
	"bellhop/internal/testkit"
)

// pageRules are what the page's tests run on: one that succeeds, one that is always refused for a while, one that fails at once
// until it is mended, one that asks for a score, and one that is disabled.
const pageRules = `rules:
  - name: crm
    description: Tell the CRM when somebody finishes a course
    on: course.completed
    webhooks:
      - name: contacts
        endpoint: ENDPOINT/crm done
        parameters: {student: "@first_name @last_name", course: "@course_name", note: "<b>&</b>"}
  - name: busy
    description: Its receiver is busy
    on: module.completed
    webhooks:
      - name: lms
        endpoint: ENDPOINT/busy
        parameters: {module: "@module_name"}
  - name: gone
    description: Its receiver has moved
    on: course.inactive
    webhooks:
      - name: legacy
        endpoint: ENDPOINT/gone
        parameters: {student: "@first_name", course: "@course_name"}
  - name: scores
    on: course.completed
    webhooks:
      - endpoint: ENDPOINT/scores
        filter: {score: {gte: 80}}
  - name: off
    enabled: false
    on: account.created
    webhooks:
      - endpoint: ENDPOINT/off
`

// nasty is what a receiver answers that would like to be markup.
const nasty = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script><h1>gone</h1>`

// pageWorld is a daemon in this process with a receiver, and somebody who publishes. A part of a test has it with its own T.
type pageWorld struct {
	*testing.T
	*pageDaemon
}

type pageDaemon struct {
	dir      string
	to       *receiver
	settings *config.Settings
	running  *runningDaemon
	nc       *nats.Conn
	js       jetstream.JetStream
	url      string
	mended   atomic.Bool // /gone answers 200
}

// newPageWorld starts all of it; environ are settings as variables.
func newPageWorld(t *testing.T, environ ...string) pageWorld {
	t.Helper()
	w := pageWorld{t, &pageDaemon{dir: t.TempDir(), to: newReceiver(t)}}
	w.to.answers(func(_ int, p *posted) reply {
		switch {
		case strings.Contains(p.line, "/busy"):
			return reply{status: "503 Service Unavailable", body: "busy, come again"}
		case strings.Contains(p.line, "/gone") && !w.mended.Load():
			return reply{status: "404 Not Found", body: nasty}
		}
		return reply{body: "thank you"}
	})
	rules := filepath.Join(w.dir, "rules")
	if err := os.Mkdir(rules, 0o700); err != nil {
		t.Fatal(err)
	}
	w.rules(pageRules)
	loaded, err := config.Load(config.LoadOptions{File: w.file("bellhop.yaml", ""), Environ: append([]string{
		"BELLHOP_DATA_DIR=" + filepath.Join(w.dir, "data"), "BELLHOP_RULES=" + rules, "BELLHOP_NODE=here", "BELLHOP_NATS__LISTEN=127.0.0.1:0",
		"BELLHOP_CONSOLE__LISTEN=" + testkit.FreeAddress(t), "BELLHOP_DELIVERY__ALLOW_NETWORKS=127.0.0.0/8", "BELLHOP_DELIVERY__INITIAL_DELAY=10m",
		"BELLHOP_DELIVERY__TIMEOUT=3s", "BELLHOP_SHUTDOWN_TIMEOUT=3s",
	}, environ...)})
	if err != nil {
		t.Fatal(err)
	}
	w.settings = &loaded.Settings
	if err := os.Mkdir(w.settings.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w pageWorld) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		w.Fatal(err)
	}
	return path
}

// rules puts a rule file in place, whole.
func (w pageWorld) rules(yaml string) {
	w.Helper()
	w.file("rules/page.yaml", strings.ReplaceAll(yaml, "ENDPOINT", w.to.url))
}

// start runs the daemon, and connects as a publisher of events would.
func (w pageWorld) start() {
	w.Helper()
	s := *w.settings
	running, err := startDaemon(context.Background(), &s, zap.NewNop())
	if err != nil {
		w.Fatal(err)
	}
	w.running, w.url = running, running.http.URL()
	if w.nc, err = nats.Connect(running.server.URL(), nats.NoReconnect()); err != nil {
		w.Fatal(err)
	}
	if w.js, err = jetstream.New(w.nc); err != nil {
		w.Fatal(err)
	}
}

// stop ends the daemon.
func (w pageWorld) stop() {
	if w.running == nil {
		return
	}
	w.nc.Close()
	if err := w.running.end(); err != nil {
		w.Error(err)
	}
	w.running = nil
}

// publish publishes an event for a user.
func (w pageWorld) publish(typ string, user int) {
	w.Helper()
	data := fmt.Sprintf(`{"user":{"id":%d,"first_name":"Ada","last_name":"Lovelace"},"course":{"name":"Engines","ref":9007199254740993},"module":{"name":"Punched cards"},"score":72.50}`, user)
	m := nats.NewMsg("events." + typ)
	m.Data = []byte(data)
	m.Header.Set(bus.MsgID, fmt.Sprintf("%s-%d", typ, user))
	if _, err := w.js.PublishMsg(w.Context(), m); err != nil {
		w.Fatalf("publish %s: %v", typ, err)
	}
}

// get asks the API.
func (w pageWorld) get(path string, into any) {
	w.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(w.url + "/api/v1" + path)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(body, into)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		w.Fatalf("GET %s = %d %s, %v", path, resp.StatusCode, body, err)
	}
}

// counted waits until so many outcomes of a kind are counted.
func (w pageWorld) counted(outcome string, n float64) {
	w.Helper()
	end := time.Now().Add(20 * time.Second)
	for {
		var stats map[string]any
		w.get("/stats", &stats)
		if got, _ := stats[outcome].(float64); got >= n {
			return
		}
		if time.Now().After(end) {
			w.Fatalf("not %v %s: %v", n, outcome, stats)
		}
		time.Sleep(30 * time.Millisecond) // a poll's pause
	}
}
