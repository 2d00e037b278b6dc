package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bellhop/internal/testkit"
)

// wireHeaders are the names of the headers that a request without extras has, in lower case.
var wireHeaders = []string{"content-length", "content-type", "host", "user-agent", "webhook-attempt", "webhook-id", "webhook-timestamp"}

// checkRequest checks a request against what is promised of every one.
func (w *world) checkRequest(p posted, attempt int, body string) {
	w.Helper()
	if p.line != "POST /hook HTTP/1.1" {
		w.Errorf("request line = %q", p.line)
	}
	var names []string
	for _, h := range p.headers {
		name, _, _ := strings.Cut(h, ": ")
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	names = slices.DeleteFunc(names, func(n string) bool { return n == "accept-encoding" })
	if !slices.Equal(names, wireHeaders) {
		w.Errorf("request has the headers %v, want %v", names, wireHeaders)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "webhook-attempt": strconv.Itoa(attempt),
		"Content-Length": strconv.Itoa(len(body)), "Host": strings.TrimPrefix(w.to.url, "http://"),
	} {
		if got := p.header(name); got != want {
			w.Errorf("request's %s = %q, want %q", name, got, want)
		}
	}
	if got := p.header("User-Agent"); !strings.HasPrefix(got, "bellhop/") {
		w.Errorf("request's User-Agent = %q, want bellhop/ and the version", got)
	}
	if sec, err := strconv.ParseInt(p.header("webhook-timestamp"), 10, 64); err != nil || p.at.Unix()-sec > 2 || sec > p.at.Unix() {
		w.Errorf("request's webhook-timestamp = %q, want the seconds of %s", p.header("webhook-timestamp"), p.at)
	}
	if p.body != body {
		w.Errorf("request's body = %q, want %q", p.body, body)
	}
}

const aUser = `"user":{"first_name":"Zoë","last_name":"O'Hara & Söhne"}`

const aUserForm = "name=Zo%C3%AB+O%27Hara+%26+S%C3%B6hne&score="

var rulesVersion = regexp.MustCompile(`^[0-9a-f]{12}$`)

func threeEncodings(w *world) {
	w.rules(oneRule)
	w.to.answers(func(int, *posted) reply { return reply{body: "thanks"} })
	w.serve()
	for i, c := range []struct {
		name, data string
		header     []string
		score, id  string
	}{
		{
			"structured", `{"specversion":"1.0","id":"s-1","source":"/lms","type":"something.else","time":"2026-01-02T03:04:05Z","data":{` +
				aUser + `,"score":9007199254740993}}`, nil, "9007199254740993", "s-1",
		},
		{
			"binary", `{` + aUser + `,"score":12.50}`,
			[]string{"ce-specversion", "1.0", "ce-id", "b-1", "ce-source", "/lms", "ce-type", "something.else", "ce-time", "2026-01-02T03:04:05Z"},
			"12.50", "b-1",
		},
		{"plain with an id", `{` + aUser + `,"score":1e3}`, []string{"Nats-Msg-Id", "p-1"}, "1e3", "p-1"},
		{"plain", `{` + aUser + `}`, nil, "", "EVENTS-4"},
	} {
		seq := w.publish("events.course.completed", c.data, c.header...)
		got := w.to.wait(w, i+1, 5*time.Second)
		w.checkRequest(got[i], 1, aUserForm+c.score)
		o := w.outcomes(i+1, 5*time.Second)[i]
		w.checkEnvelope(o, "delivered", "course.completed", attemptFields("status", "response")...)
		id := got[i].header("webhook-id")
		w.checkData(o, map[string]any{
			"delivery_id": id, "event_id": c.id, "event_type": "course.completed", "event_seq": seq, "rule": "crm", "webhook": "hook",
			"endpoint": w.to.url + "/hook", "run": 1, "attempt": 1, "max_attempts": 11, "status": 200,
			"response": map[string]any{"body": "thanks", "truncated": false},
		})
		if v, _ := o.data["rules_version"].(string); !rulesVersion.MatchString(v) {
			w.Errorf("%s: rules_version = %q, want 12 hex digits", c.name, v)
		}
		if o.msgID != id+".1.1" {
			w.Errorf("%s: Nats-Msg-Id = %q, want %s.1.1", c.name, o.msgID, id)
		}
		if at := w.instant(o, "started_at"); at.After(got[i].at) || got[i].at.Sub(at) > 2*time.Second {
			w.Errorf("%s: started_at = %s, the request came at %s", c.name, at, got[i].at)
		}
		if ms, _ := o.data["duration_ms"].(float64); ms <= 0 || ms > 2000 {
			w.Errorf("%s: duration_ms = %v", c.name, ms)
		}
	}
	// The same event once more is the same delivery, which is not made again.
	w.publish("events.course.completed", `{"specversion":"1.0","id":"s-1","source":"/lms","data":{}}`)
	w.publish("events.course.completed", `{}`)
	if got := w.to.wait(w, 5, 5*time.Second); len(got) != 5 {
		w.Errorf("%d requests, want 5", len(got))
	}
	w.settled()
}

// settled waits until every event is acknowledged.
func (w *world) settled() {
	w.Helper()
	w.until(5*time.Second, "every event is acknowledged", func() bool {
		c, err := w.js.Consumer(w.Context(), "EVENTS", "bellhop")
		return err == nil && c.CachedInfo().NumAckPending == 0 && c.CachedInfo().NumPending == 0
	})
}

func publishedByCommand(w *world) {
	w.rules(oneRule)
	key := "url: nats://" + w.nats
	if w.kind == embedded {
		key = "listen: " + w.nats
	}
	w.write(filepath.Join(w.dir, "bellhop.yaml"), "nats: {"+key+"}\n")
	w.serve()
	w.write(filepath.Join(w.dir, "event.json"), `{"specversion":"1.0","id":"s-1","source":"/lms","data":{`+aUser+`,"score":7}}`)
	w.run("", "events", "publish", "--type", "course.completed", "event.json").wants(w.T, 0, "EVENTS 1", "")
	w.checkRequest(w.to.wait(w, 1, 5*time.Second)[0], 1, aUserForm+"7")
	w.run(`{`+aUser+`,"score":12.50}`, "events", "publish", "--type", "module.completed", "--id", "evt-17").wants(w.T, 0, "EVENTS 2", "")
	w.checkRequest(w.to.wait(w, 2, 5*time.Second)[1], 1, aUserForm+"12.50")
	w.run(`{`+aUser+`,"score":12.50}`, "events", "publish", "--type", "module.completed", "--id", "evt-17").wants(w.T, 0, "duplicate", "")
	w.run(`{"score":1}`+"\n"+`{"score":2}`+"\n", "events", "publish", "--type", "module.completed", "-").wants(w.T, 0, "published 2 events", "")
	var bodies []string
	for _, p := range w.to.wait(w, 4, 5*time.Second)[2:] {
		bodies = append(bodies, p.body)
	}
	slices.Sort(bodies)
	if want := []string{"name=+&score=1", "name=+&score=2"}; !slices.Equal(bodies, want) {
		w.Errorf("bodies = %q, want %q", bodies, want)
	}
	o := w.outcomes(4, 5*time.Second)
	w.checkData(o[1], map[string]any{"event_id": "evt-17", "event_type": "module.completed"})
	w.settled()
}

func unreadableEvents(w *world) {
	w.rules(oneRule)
	w.serve("--events.max_bytes", "2KiB")
	events := []struct{ name, data string }{
		{"no JSON", "not JSON"},
		{"no object", `[1,2]`},
		{"empty", ""},
		{"structured without an id", `{"specversion":"1.0","source":"/lms","data":{}}`},
		{"structured with data that is no object", `{"specversion":"1.0","id":"x","source":"/lms","data":"text"}`},
		{"invalid UTF-8", "{\"a\":\"\xff\"}"},
		{"over the limit", `{"a":"` + strings.Repeat("x", 2048) + `"}`},
	}
	for _, e := range events {
		w.publish("events.course.completed", e.data)
	}
	w.publish("events.course.completed", `{"score":1}`)
	w.to.wait(w, 1, 5*time.Second)
	list := w.outcomes(len(events)+1, 5*time.Second)
	bySeq := map[string]outcome{}
	for _, o := range list {
		bySeq[o.msgID] = o
	}
	for i, e := range events {
		o, ok := bySeq[fmt.Sprintf("EVENTS-%d.rejected", i+1)]
		if !ok {
			w.Errorf("%s: no outcome EVENTS-%d.rejected", e.name, i+1)
			continue
		}
		w.checkEnvelope(o, "rejected", "course.completed", "stream", "event_seq", "subject", "error", "size", "sha256")
		sum := sha256.Sum256([]byte(e.data))
		w.checkData(o, map[string]any{
			"stream": "EVENTS", "event_seq": i + 1, "subject": "events.course.completed", "size": len(e.data), "sha256": hex.EncodeToString(sum[:]),
		})
		why, _ := o.data["error"].(map[string]any)
		if text, _ := why["message"].(string); why["kind"] != "event" || text == "" {
			w.Errorf("%s: error = %v, want the kind event and a reason", e.name, why)
		}
	}
	if got := w.to.requests(); len(got) != 1 {
		w.Errorf("%d requests, want the one of the readable event", len(got))
	}
	w.settled()
}

func failures(w *world) {
	_, port, _ := net.SplitHostPort(testkit.FreeAddress(w.T))
	w.rules(strings.ReplaceAll(`
rules:
  - name: r
    on: a.>
    webhooks:
      - {name: gone, endpoint: ENDPOINT/404, filter: {do: gone}, parameters: {a: "1", b: "@do"}}
      - {name: moved, endpoint: ENDPOINT/302, filter: {do: moved}}
      - {name: slow, endpoint: ENDPOINT/hang, filter: {do: slow}, timeout: 1s, retries: 0}
      - {name: refused, endpoint: "http://127.0.0.1:PORT/", filter: {do: refused}, retries: 1}
      - {name: blocked, endpoint: "http://[::1]:PORT/", filter: {do: blocked}}
      - {name: busy, endpoint: ENDPOINT/429, filter: {do: busy}, retries: 2}
`, "PORT", port))
	never := make(chan struct{})
	w.Cleanup(func() { close(never) })
	w.to.answers(func(_ int, p *posted) reply {
		switch {
		case strings.Contains(p.line, "/404"):
			return reply{status: "404 Not Found", body: strings.Repeat("é", 600)}
		case strings.Contains(p.line, "/302"):
			return reply{status: "302 Found", headers: []string{"Location: " + w.to.url + "/elsewhere"}}
		case strings.Contains(p.line, "/429"):
			return reply{status: "429 Too Many Requests"}
		}
		return reply{after: never}
	})
	w.serve("--delivery.initial_delay", "300ms", "--delivery.multiplier", "1")
	seen := 0
	for _, c := range []struct {
		do, kind, message string
		outcomes          []string
		status            any
	}{
		{"gone", "status", "404 Not Found", []string{"failed"}, 404},
		{"moved", "status", "302 Found", []string{"failed"}, 302},
		{"slow", "timeout", "", []string{"failed"}, nil},
		{"refused", "network", "", []string{"retrying", "failed"}, nil},
		{"blocked", "blocked", "", []string{"failed"}, nil},
		{"busy", "status", "429 Too Many Requests", []string{"retrying", "retrying", "failed"}, 429},
	} {
		w.publish("events.a.b", `{"do":"`+c.do+`"}`)
		list := w.outcomes(seen+len(c.outcomes), 10*time.Second)[seen:]
		seen += len(list)
		if len(list) != len(c.outcomes) {
			w.Errorf("%s: %d outcomes, want %v", c.do, len(list), c.outcomes)
			continue
		}
		for i, o := range list {
			fields := attemptFields("error")
			if c.status != nil {
				fields = append(fields, "status", "response")
			}
			if c.outcomes[i] == "retrying" {
				fields = append(fields, "next_attempt_at")
			} else {
				fields = append(fields, "request")
			}
			w.checkEnvelope(o, c.outcomes[i], "a.b", fields...)
			w.checkData(o, map[string]any{"webhook": c.do, "attempt": i + 1})
			if c.status != nil {
				w.checkData(o, map[string]any{"status": c.status})
			}
			why, _ := o.data["error"].(map[string]any)
			text, _ := why["message"].(string)
			if why["kind"] != c.kind || text == "" || c.message != "" && text != c.message {
				w.Errorf("%s: error = %v, want the kind %s %s", c.do, why, c.kind, c.message)
			}
		}
		switch last := list[len(list)-1]; c.do {
		case "gone":
			w.checkData(last, map[string]any{
				"request": map[string]any{"body": "a=1&b=gone"}, "response": map[string]any{"body": strings.Repeat("é", 512), "truncated": true},
			})
		case "slow":
			if ms, _ := last.data["duration_ms"].(float64); ms < 1000 || ms > 1500 {
				w.Errorf("a timeout of 1s took %v ms", ms)
			}
		}
	}
	for _, p := range w.to.requests() {
		if strings.Contains(p.line, "elsewhere") {
			w.Error("a redirect was followed")
		}
	}
	w.settled()
}

func secrets(w *world) {
	w.write(filepath.Join(w.dir, "secrets", "key"), "f1le-s3cret\n")
	w.rules(`
rules:
  - name: r
    on: a.b
    webhooks:
      - name: signed
        endpoint: ENDPOINT/hook?key=${file:key}
        parameters: {a: "@x"}
        headers: {Authorization: "Bearer ${TOKEN}", X-Extra: plain, User-Agent: mine}
        secret: ${SIGN}
`)
	w.to.answers(func(n int, _ *posted) reply {
		if n == 1 {
			return reply{status: "503 Service Unavailable", body: "no"}
		}
		return reply{}
	})
	d := w.serve("--delivery.initial_delay", "500ms")
	w.publish("events.a.b", `{"x":"1","password":"hunter2"}`)
	got := w.to.wait(w, 2, 10*time.Second)
	for i, p := range got {
		if p.line != "POST /hook?key=f1le-s3cret HTTP/1.1" {
			w.Errorf("request line = %q", p.line)
		}
		for name, want := range map[string]string{"Authorization": "Bearer t0p-s3cret", "X-Extra": "plain", "User-Agent": "mine"} {
			if p.header(name) != want {
				w.Errorf("attempt %d: %s = %q, want %q", i+1, name, p.header(name), want)
			}
		}
		key, _ := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", p.header("webhook-id"), p.header("webhook-timestamp"), p.body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); p.header("webhook-signature") != want {
			w.Errorf("attempt %d: webhook-signature = %q, want %q", i+1, p.header("webhook-signature"), want)
		}
	}
	for _, o := range w.outcomes(2, 5*time.Second) {
		w.checkData(o, map[string]any{"endpoint": w.to.url + "/hook?key=${file:key}"})
	}
	_, rules := d.get("/api/v1/rules")
	_, rule := d.get("/api/v1/rules/r")
	if !strings.Contains(rules+rule, "${TOKEN}") {
		w.Errorf("/api/v1/rules shows no ${TOKEN}: %s", rules)
	}
	w.settled()
	if status := d.stop(sigterm); status != 0 {
		w.Errorf("stopped with status %d", status)
	}
	// Neither on the bus, nor in the store, nor in the log.
	places := map[string]string{"the log": d.log(), "/api/v1/rules": rules + rule}
	if err := filepath.WalkDir(filepath.Join(w.dir, "data"), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		places[path] = string(text)
		return err
	}); err != nil {
		w.Fatal(err)
	}
	for _, secret := range []string{"t0p-s3cret", "f1le-s3cret", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} {
		for place, text := range places {
			if strings.Contains(text, secret) {
				w.Errorf("%s holds the secret %s", place, secret)
			}
		}
	}
}

func bodiesLeftOut(w *world) {
	w.rules(oneRule)
	w.to.answers(func(int, *posted) reply { return reply{status: "400 Bad Request", body: "personal"} })
	w.serve("--results.request_body=false", "--results.response_body=false")
	w.publish("events.a.b", `{}`)
	w.checkEnvelope(w.outcomes(1, 5*time.Second)[0], "failed", "a.b", attemptFields("status", "error")...)
}
