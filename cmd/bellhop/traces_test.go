package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes traces by OTLP over HTTP, as decoded from what came over the wire.
type collector struct {
	*httptest.Server

	mu       sync.Mutex
	spans    []*tracepb.Span
	resource map[string]string
	requests []*http.Request
	wrong    []string
	hang     chan struct{} // closed: it answers
}

func newCollector(t *testing.T) *collector {
	c := &collector{hang: make(chan struct{})}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		c.mu.Lock()
		hang := c.hang
		c.requests = append(c.requests, r)
		if err != nil {
			c.wrong = append(c.wrong, err.Error())
		}
		for _, rs := range data.ResourceSpans {
			c.resource = map[string]string{}
			for _, a := range rs.Resource.Attributes {
				c.resource[a.Key] = a.Value.GetStringValue()
			}
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
		c.mu.Unlock()
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// answers lets the collector answer.
func (c *collector) answers() *collector { close(c.hang); return c }

func (c *collector) all() []*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// attributes are a span's, as text.
func attributes(s *tracepb.Span) map[string]string {
	out := map[string]string{}
	for _, a := range s.Attributes {
		out[a.Key] = a.Value.GetStringValue()
		if out[a.Key] == "" {
			out[a.Key] = fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return out
}

const (
	traceID   = "0af7651916cd43dd8448eb211c80319c"
	eventSpan = "b7ad6b7169203331"
	sampled   = "00-" + traceID + "-" + eventSpan + "-01"
)

// traceRule has a secret in its endpoint, which no span may hold.
const traceRule = `
rules:
  - name: crm
    on: ">"
    webhooks:
      - name: hook
        endpoint: ENDPOINT/hook?key=${TOKEN}
        parameters: {name: "@first_name"}
        secret: ${SIGN}
`

// TestTraces follows a trace from an event's headers through a POST that fails and its retry, in a daemon of its own process, and
// through another daemon's life, to a collector.
func TestTraces(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out what starts processes")
	}
	t.Parallel()
	bin := binaries(t)
	for _, k := range []kind{embedded, external, old} {
		t.Run(string(k), func(t *testing.T) { traceThrough(newWorld(t, bin, k)) })
	}
	t.Run("off", func(t *testing.T) { traceOff(newWorld(t, bin, embedded)) })
	t.Run("collector hangs", func(t *testing.T) { collectorHangs(newWorld(t, bin, embedded)) })
}

func traceThrough(w *world) {
	c := newCollector(w.T).answers()
	w.rules(traceRule)
	w.to.answers(func(n int, _ *posted) reply {
		if n == 1 {
			return reply{status: "503 Service Unavailable"}
		}
		return reply{}
	})
	flags := []string{"--delivery.initial_delay", "2s", "--telemetry.otlp_endpoint", c.URL, "--telemetry.otlp_headers", "X-Tenant=acme%20eu"}
	d := w.serve(flags...)
	w.publish("events.course.completed", `{"user":{"first_name":"Ada"}}`, "traceparent", sampled, "tracestate", "rojo=00f067aa0ba902b7,congo=t61")
	w.to.wait(w, 1, 10*time.Second)
	// The retry is another daemon life's: what it belongs to went with it over the bus.
	if status := d.stop(syscall.SIGTERM); status != 0 {
		w.Fatalf("the daemon ended with status %d:\n%s", status, d.log())
	}
	d = w.serve(flags...)
	got := w.to.wait(w, 2, 20*time.Second)
	ids := map[string]bool{eventSpan: true}
	for i, p := range got {
		parts := strings.Split(p.header("traceparent"), "-")
		if len(parts) != 4 || parts[0] != "00" || parts[1] != traceID || ids[parts[2]] || parts[3] != "01" {
			w.Errorf("attempt %d: traceparent = %q, want a child of %s with an id of its own", i+1, p.header("traceparent"), sampled)
			continue
		}
		ids[parts[2]] = true
		if s := p.header("tracestate"); s != "rojo=00f067aa0ba902b7,congo=t61" {
			w.Errorf("attempt %d: tracestate = %q, want the event's", i+1, s)
		}
		if p.header("webhook-attempt") != fmt.Sprint(i+1) || p.header("webhook-signature") == "" {
			w.Errorf("attempt %d: headers %q", i+1, p.headers)
		}
	}
	w.until(15*time.Second, "the collector has the spans of both attempts", func() bool { return len(c.all()) >= 2 })
	spans := c.all()
	for i, s := range spans[:2] {
		attrs := attributes(s)
		if hex.EncodeToString(s.TraceId) != traceID || hex.EncodeToString(s.ParentSpanId) != eventSpan || s.TraceState != "rojo=00f067aa0ba902b7,congo=t61" {
			w.Errorf("span %d is of trace %x below %x with state %q, want those of the event", i, s.TraceId, s.ParentSpanId, s.TraceState)
		}
		if sent := strings.Split(got[i].header("traceparent"), "-"); len(sent) != 4 || hex.EncodeToString(s.SpanId) != sent[2] {
			w.Errorf("span %d is %x, the request said %q", i, s.SpanId, got[i].header("traceparent"))
		}
		if s.Name != "POST" || s.Kind != tracepb.Span_SPAN_KIND_CLIENT || s.EndTimeUnixNano < s.StartTimeUnixNano {
			w.Errorf("span %d is %s %s from %d to %d", i, s.Kind, s.Name, s.StartTimeUnixNano, s.EndTimeUnixNano)
		}
		want := map[string]string{
			"http.request.method": "POST", "bellhop.rule": "crm", "bellhop.webhook": "hook", "bellhop.attempt": fmt.Sprint(i + 1), "bellhop.run": "1",
			"cloudevents.event_type": "course.completed", "url.full": w.to.url + "/hook?key=${TOKEN}", "server.address": "127.0.0.1",
			"bellhop.delivery_id": got[i].header("webhook-id"), "http.response.status_code": []string{"503", "200"}[i],
		}
		for name, value := range want {
			if attrs[name] != value {
				w.Errorf("span %d: %s = %q, want %q", i, name, attrs[name], value)
			}
		}
		if text := fmt.Sprint(s); strings.Contains(text, "t0p-s3cret") {
			w.Errorf("span %d holds the secret: %s", i, text)
		}
	}
	if s := spans[0]; s.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || attributes(s)["error.type"] != "503" {
		w.Errorf("the failed attempt's span has status %v and error.type %q", s.Status, attributes(s)["error.type"])
	}
	if s := spans[1]; s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR || attributes(s)["http.request.resend_count"] != "1" {
		w.Errorf("the retry's span has status %v and attributes %v", s.Status, attributes(s))
	}

	// An event without a trace begins one, an unsampled one is sent on and not exported, an invalid one is as none.
	w.publish("events.course.completed", `{"user":{"first_name":"Bob"}}`)
	w.publish("events.course.completed", `{"user":{"first_name":"Cy"}}`, "traceparent", "00-"+traceID+"-"+eventSpan+"-00")
	w.publish("events.course.completed", `{"user":{"first_name":"Di"}}`, "traceparent", "00-nonsense", "tracestate", "rojo=1")
	w.to.wait(w, 5, 10*time.Second)
	w.until(15*time.Second, "the collector has two traces more, of an event and its POST each", func() bool { return len(c.all()) >= 6 })
	for _, p := range w.to.requests()[2:] {
		parent := p.header("traceparent")
		switch {
		case strings.HasPrefix(p.body, "name=Cy"):
			if !strings.HasPrefix(parent, "00-"+traceID) || !strings.HasSuffix(parent, "-00") {
				w.Errorf("traceparent of an unsampled event = %q", parent)
			}
		case len(parent) != 55 || strings.Contains(parent, traceID) || p.header("tracestate") != "":
			w.Errorf("traceparent of %s = %q with tracestate %q, want a trace of its own", p.body, parent, p.header("tracestate"))
		}
	}
	roots := 0
	for _, s := range c.all()[2:] {
		if s.Kind == tracepb.Span_SPAN_KIND_CONSUMER && s.Name == "process EVENTS" && len(s.ParentSpanId) == 0 {
			roots++
		}
	}
	if roots != 2 || len(c.all()) != 6 {
		w.Errorf("%d spans with %d beginnings of traces among them, want 6 with 2", len(c.all()), roots)
	}
	w.until(5*time.Second, "the metrics count the spans", func() bool { return d.metric(`bellhop_spans_total{result="exported"}`) == "5" })
	if status := d.stop(syscall.SIGTERM); status != 0 {
		w.Errorf("the daemon ended with status %d", status)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wrong) > 0 || c.resource["service.name"] != "bellhop" || c.resource["service.instance.id"] != "node-1" || c.resource["service.version"] == "" {
		w.Errorf("exports of %v, with errors %q", c.resource, c.wrong)
	}
	for _, r := range c.requests {
		if r.Method != "POST" || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("X-Tenant") != "acme eu" {
			w.Errorf("export %s %s with headers %v", r.Method, r.URL, r.Header)
		}
	}
}

// traceOff has no collector: an event's trace goes on as it came, nothing else is sent.
func traceOff(w *world) {
	w.rules(traceRule)
	w.serve()
	w.publish("events.course.completed", `{"user":{"first_name":"Ada"}}`, "traceparent", sampled, "tracestate", "rojo=1")
	w.publish("events.course.completed", `{"user":{"first_name":"Bob"}}`)
	w.publish("events.course.completed", `{"user":{"first_name":"Cy"}}`, "traceparent", sampled+"-more")
	for _, p := range w.to.wait(w, 3, 10*time.Second) {
		want, state := "", ""
		if strings.HasPrefix(p.body, "name=Ada") {
			want, state = sampled, "rojo=1"
		}
		if p.header("traceparent") != want || p.header("tracestate") != state {
			w.Errorf("traceparent of %s = %q with tracestate %q, want %q with %q", p.body, p.header("traceparent"), p.header("tracestate"), want, state)
		}
	}
}

// collectorHangs has a collector that takes exports and answers none: deliveries are made as ever, what has no room is dropped, and
// a stop does not wait for long.
func collectorHangs(w *world) {
	c := newCollector(w.T)
	w.rules(traceRule)
	d := w.serve("--telemetry.otlp_endpoint", c.URL+"/v1/traces")
	const events = 6000 // more than the queue holds
	for i := range events {
		if _, err := w.js.PublishAsync("events.course.completed", fmt.Appendf(nil, `{"user":{"first_name":"U%d"}}`, i)); err != nil {
			w.Fatal(err)
		}
		if i%500 == 499 {
			// A client that has too much unanswered gives up.
			<-w.js.PublishAsyncComplete()
		}
	}
	w.to.wait(w, events, 60*time.Second)
	w.until(20*time.Second, "all is settled", func() bool {
		return d.metric(`bellhop_outcomes_total{outcome="delivered"}`) == fmt.Sprint(events) && d.metric("bellhop_held_messages") == "0"
	})
	if made, err := strconv.Atoi(d.metric(`bellhop_spans_total{result="made"}`)); err != nil || made < 2*events {
		w.Errorf("%d spans made, want one at least for each event and each attempt", made)
	}
	if exported := d.metric(`bellhop_spans_total{result="exported"}`); exported != "0" {
		w.Errorf("%s spans exported to a collector that answers nothing", exported)
	}
	begun := time.Now()
	if status := d.stop(syscall.SIGTERM); status != 0 || time.Since(begun) > 15*time.Second {
		w.Errorf("the daemon ended with status %d after %s:\n%s", status, time.Since(begun), d.log())
	}
	close(c.hang)
}
