package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/config"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
)

// works is a daemon in this process, with an embedded server, a receiver whose answers can be changed, and a client.
type works struct {
	t        *testing.T
	running  *runningDaemon
	settings *config.Settings
	client   *client
	receiver *httptest.Server
	log      *zap.Logger

	mu     sync.Mutex
	status int
	hits   []string // webhook-id, attempt and body of each
}

func (w *works) answer(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = status
}

func (w *works) received() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.hits...)
}

func (w *works) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	status := w.status
	w.hits = append(w.hits, r.Header.Get("webhook-id")+" "+r.Header.Get("webhook-attempt")+" "+string(body))
	w.mu.Unlock()
	rw.WriteHeader(status)
}

// newWorks starts it all. change may change the settings.
func newWorks(t *testing.T, change func(*config.Settings)) *works {
	t.Helper()
	return newLoggedWorks(t, zap.NewNop(), change)
}

// newLoggedWorks starts it all with a log.
func newLoggedWorks(t *testing.T, log *zap.Logger, change func(*config.Settings)) *works {
	t.Helper()
	w := &works{t: t, status: 200, log: log}
	w.receiver = httptest.NewServer(w)
	t.Cleanup(w.receiver.Close)
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules.yaml")
	text := fmt.Sprintf(`rules:
  - name: crm
    on: [course.*]
    webhooks:
      - name: a
        endpoint: %s/hook
        parameters: {student: "@first_name", course: "@course_name"}
  - name: other
    on: module.completed
    webhooks: [{name: b, endpoint: "%s/other", parameters: {id: "@module_id"}}]
`, w.receiver.URL, w.receiver.URL)
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "bellhop.yaml")
	text = fmt.Sprintf("data_dir: %s\nrules: [%s]\nnats: {listen: \"\"}\nconsole: {listen: \"127.0.0.1:0\"}\nnode: works\n"+
		"delivery: {allow_networks: [127.0.0.0/8], retries: 3, initial_delay: 1h}\n", filepath.Join(dir, "data"), rules)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(config.LoadOptions{File: file})
	if err != nil {
		t.Fatal(err)
	}
	w.settings = &loaded.Settings
	if change != nil {
		change(w.settings)
	}
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *works) start() {
	w.t.Helper()
	running, err := startDaemon(w.t.Context(), w.settings, w.log)
	if err != nil || running == nil {
		w.t.Fatalf("start the daemon: %v", err)
	}
	w.running = running
	w.client = socketClient(filepath.Join(w.settings.DataDir, socketName))
	w.until("the daemon is ready", func() bool { return running.isReady() == nil })
}

func (w *works) stop() {
	if w.running == nil {
		return
	}
	if err := w.running.end(); err != nil {
		w.t.Errorf("the daemon ended with %v", err)
	}
	w.running = nil
}

func (w *works) publish(eventType, id, data string) {
	w.t.Helper()
	_, err := w.running.bus.Publish(w.t.Context(), bus.Msg{
		Subject: "events." + eventType, Data: []byte(data), Header: map[string][]string{bus.MsgID: {id}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *works) until(what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); {
		if is() {
			return
		}
		select {
		case <-w.t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	w.t.Fatalf("not within a minute: %s", what)
}

// get asks the daemon, and fails the test where it refuses.
func (w *works) get(path string, into any) {
	w.t.Helper()
	if err := w.client.get(w.t.Context(), path, into); err != nil {
		w.t.Fatalf("GET %s: %v", path, err)
	}
}

// list waits until a listing has n outcomes.
func (w *works) list(query string, n int) []api.Outcome {
	w.t.Helper()
	var list api.DeliveryList
	w.until(fmt.Sprintf("%d outcomes of %s", n, query), func() bool {
		w.get(api.DeliveriesPath+query, &list)
		return len(list.Items) == n
	})
	return list.Items
}

func refusedWith(t *testing.T, err error, status int, holds string) {
	t.Helper()
	var e *answerError
	if !errors.As(err, &e) || e.status != status || !strings.Contains(e.Error(), holds) {
		t.Errorf("refused with %v, want %d with %q", err, status, holds)
	}
}

const ann = `{"user":{"id":"u-7","first_name":"Ann"},"course":{"name":"Go & more"}}`

func TestDeliveriesAreListedAndShown(t *testing.T) {
	w := newWorks(t, nil)
	w.publish("course.completed", "e-1", ann)
	w.list("", 1)
	w.answer(404)
	w.publish("course.enrolled", "e-2", ann)
	w.list("", 2)
	w.answer(503)
	w.publish("module.completed", "e-3", `{"module":{"id":5}}`)
	w.publish("course.broken", "e-4", `no JSON`)
	all := w.list("", 4)
	for query, want := range map[string]string{
		"?outcome=delivered": "e-1", "?outcome=failed": "e-2", "?outcome=retrying": "e-3", "?outcome=errors&rule=other": "e-3", "?rule=crm&outcome=failed": "e-2",
		"?type=module.*": "e-3", "?q=e-2": "e-2", "?q=u-7&outcome=delivered": "e-1", "?kind=status&outcome=failed": "e-2", "?webhook=other/b": "e-3",
		"?endpoint=" + w.receiver.URL + "/other": "e-3", "?from=1h&outcome=delivered": "e-1",
	} {
		if got := w.list(query, 1); got[0].EventID != want {
			t.Errorf("%s lists event %s, want %s", query, got[0].EventID, want)
		}
	}
	if got := w.list("?outcome=rejected", 1)[0]; got.Stream != "EVENTS" || got.EventType != "course.broken" || got.SHA256 == "" {
		t.Errorf("the rejected one is %+v", got)
	}
	w.list("?to=1h", 0)
	var page api.DeliveryList
	w.get(api.DeliveriesPath+"?limit=3", &page)
	w.publish("course.completed", "e-5", ann)
	w.list("", 5)
	next := page.Next
	w.get(api.DeliveriesPath+"?limit=3&cursor="+next, &page)
	if len(page.Items) != 1 || page.Items[0].Seq != all[3].Seq || page.Next != "" {
		t.Errorf("the second page is %+v, want the oldest outcome alone, though a new one has come", page)
	}

	retrying := w.list("?outcome=retrying&rule=other", 1)[0]
	var one api.Delivery
	w.get(api.DeliveriesPath+"/"+retrying.DeliveryID, &one)
	if len(one.Outcomes) != 1 || one.Pending == nil || one.Pending.State != "scheduled" || one.Pending.Attempt != 2 || !one.CanCancel || one.CanRetry {
		t.Errorf("the delivery is %+v, want its outcome and its next attempt", one)
	}
	if one.Event == nil || one.Event.ID != "e-3" || string(one.Event.Data) != `{"module":{"id":5}}` {
		t.Errorf("its event is %+v", one.Event)
	}
	if got := one.Outcomes[0]; got.Status != 503 || got.Error == nil || got.Error.Kind != "status" || got.NextAttemptAt == nil || got.RulesVersion == "" {
		t.Errorf("its outcome is %+v", got)
	}
	for path, why := range map[string]string{"/" + strings.Repeat("0", 32): "not found", "/x": "no delivery's id"} {
		refusedWith(t, w.client.get(t.Context(), api.DeliveriesPath+path, &one), 404, why)
	}
	for _, query := range []string{"?outcome=lost", "?kind=x", "?limit=0", "?limit=501", "?cursor=x", "?from=x", "?q=" + strings.Repeat("x", 300)} {
		refusedWith(t, w.client.get(t.Context(), api.DeliveriesPath+query, &page), 400, "")
	}
	var pending api.PendingList
	w.get(api.PendingPath+"?rule=other", &pending)
	if len(pending.Items) != 1 || pending.Total != 1 || !pending.Complete || pending.Due[2].Count+pending.Due[3].Count != 1 {
		t.Errorf("pending = %+v, want one within an hour or so", pending)
	}
	w.get(api.PendingPath+"?state=waiting", &pending)
	if len(pending.Items) != 0 {
		t.Errorf("waiting for room = %+v, want none", pending)
	}
}

// stream reads server-sent events until it has one of a name.
func (w *works) stream(ctx context.Context, query, lastID string) (next func(name string) (id, data string), closed func()) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", w.running.http.URL()+api.StreamPath+query, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		w.t.Fatalf("follow %s: %v %v", query, resp, err)
	}
	lines := bufio.NewScanner(resp.Body)
	return func(name string) (string, string) {
		var id, event, data string
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), ": ")
			switch key {
			case "id":
				id = value
			case "event":
				event = value
			case "data":
				data = value
			case "":
				if event == name {
					return id, data
				}
				id, event, data = "", "", ""
			}
		}
		w.t.Fatalf("the stream ended before %s came: %v", name, lines.Err())
		return "", ""
	}, func() { resp.Body.Close() }
}

func TestOutcomesAreFollowed(t *testing.T) {
	w := newWorks(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	next, closed := w.stream(ctx, "?rule=crm", "")
	if _, data := next("stats"); !strings.Contains(data, `"calls":0`) {
		t.Errorf("the first counts are %s", data)
	}
	w.publish("module.completed", "m", `{"module":{"id":1}}`)
	w.publish("course.completed", "e-1", ann)
	id, data := next("outcome")
	var got api.Outcome
	if err := json.Unmarshal([]byte(data), &got); err != nil || got.EventID != "e-1" || got.Outcome != string(delivery.Delivered) || fmt.Sprint(got.Seq) != id {
		t.Errorf("the first outcome is %s %s, want that of e-1 under its sequence", id, data)
	}
	closed()
	w.publish("course.completed", "e-2", ann)
	w.publish("course.completed", "e-3", ann)
	w.list("?rule=crm", 3)
	next, closed = w.stream(ctx, "?rule=crm&stats=false", id)
	defer closed()
	seen := map[string]bool{}
	for range 2 {
		_, data := next("outcome")
		if err := json.Unmarshal([]byte(data), &got); err != nil {
			t.Fatal(err)
		}
		seen[got.EventID] = true
	}
	if !seen["e-2"] || !seen["e-3"] {
		t.Errorf("after a break came %v, want e-2 and e-3", seen)
	}
}

func TestAboutTheDaemon(t *testing.T) {
	w := newWorks(t, nil)
	w.publish("course.completed", "e-1", ann)
	w.list("", 1)
	var status api.Status
	// It is listed before it is counted.
	w.until("it is counted", func() bool {
		w.get(api.StatusPath, &status)
		return status.Projection.Lag == 0
	})
	if !status.Ready || status.Node != "works" || !status.Bus.Connected || status.Projection.Sequence != 1 || status.Projection.Indexed != 1 || status.Store.Size == 0 {
		t.Errorf("status = %+v", status)
	}
	var daemons api.DaemonList
	w.get(api.DaemonsPath, &daemons)
	if len(daemons.Items) != 1 || !daemons.Items[0].Self || !daemons.Complete {
		t.Errorf("daemons = %+v, want this one", daemons)
	}
	var events api.EventList
	w.get(api.EventsPath+"?type=course.completed", &events)
	if len(events.Items) != 1 || events.Items[0].ID != "e-1" {
		t.Errorf("events = %+v, want e-1", events)
	}
	var try struct {
		Type  string
		Items []struct {
			Matched bool
			Request struct{ Body string }
		}
	}
	if err := w.client.post(t.Context(), api.TryPath, api.TryRequest{Seq: 1}, &try); err != nil || len(try.Items) != 1 || !try.Items[0].Matched ||
		try.Items[0].Request.Body != "student=Ann&course=Go+%26+more" {
		t.Errorf("trying event 1 = %+v, %v", try, err)
	}
	body := api.TryRequest{Type: "module.completed", Event: json.RawMessage(`{"module":{"id":3}}`)}
	if err := w.client.post(t.Context(), api.TryPath, body, &try); err != nil || len(try.Items) != 1 || try.Items[0].Request.Body != "id=3" {
		t.Errorf("trying data = %+v, %v", try, err)
	}
	for _, bad := range []api.TryRequest{{}, {Event: json.RawMessage(`{"a":1}`)}, {Event: json.RawMessage(`[1]`), Type: "course.completed"}, {Seq: 1, Type: "x.y"}} {
		refusedWith(t, w.client.post(t.Context(), api.TryPath, bad, &try), 400, "")
	}
	refusedWith(t, w.client.post(t.Context(), api.TryPath, api.TryRequest{Seq: 99}, &try), 404, "not in the stream")
	var diff api.Diff
	w.get(api.DiffPath, &diff)
	if diff.From != 0 || diff.To != 1 || len(diff.Files) != 1 || !strings.Contains(diff.Files[0].Diff, "+rules:") {
		t.Errorf("the diff of the first version = %+v, want all of it", diff)
	}
	var p api.Projection
	if err := w.client.post(t.Context(), api.RebuildPath, nil, &p); err != nil {
		t.Fatal(err)
	}
	w.until("all is counted anew", func() bool {
		w.get(api.StatusPath, &status)
		return status.Projection.Lag == 0 && status.Projection.Indexed == 1
	})
	w.list("", 1)
}
