package dispatcher

import (
	"testing"
	"testing/synctest"
	"time"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/endpoint"
	"bellhop/dispatcher/event"
	"bellhop/dispatcher/rule"
	"bellhop/dispatcher/trace"
)

const traced = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// TestTraceGoesOnWithoutExport hands an event's trace on to every attempt as it came, where no spans are made.
func TestTraceGoesOnWithoutExport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemBus()
		p := &poster{answer: first(503, 200)}
		r := start(t, b, p, oneRule, nil)
		b.event("course.completed", `{"user":{"first_name":"Ada"}}`, map[string][]string{"traceparent": {traced}, "tracestate": {"rojo=1"}})
		time.Sleep(10 * time.Second)
		posts := r.p.all()
		if len(posts) != 2 {
			t.Fatalf("%d POSTs, want a first attempt and its retry", len(posts))
		}
		for i, post := range posts {
			if got := post.header("traceparent"); got != traced {
				t.Errorf("attempt %d: traceparent = %q, want %q", i+1, got, traced)
			}
			if got := post.header("tracestate"); got != "rojo=1" {
				t.Errorf("attempt %d: tracestate = %q, want the event's", i+1, got)
			}
		}
	})
}

// TestNoTraceNoHeader sends nothing of traces where the event has none, or none that is valid, and no spans are made.
func TestNoTraceNoHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: ok}
		r := start(t, b, p, oneRule, nil)
		b.event("course.completed", `{"user":{"first_name":"Ada"}}`, nil)
		b.event("course.completed", `{"user":{"first_name":"Ada"}}`, map[string][]string{"traceparent": {"00-nonsense"}, "tracestate": {"rojo=1"}})
		time.Sleep(time.Second)
		posts := r.p.all()
		if len(posts) != 2 {
			t.Fatalf("%d POSTs, want 2", len(posts))
		}
		for _, post := range posts {
			if post.header("traceparent") != "" || post.header("tracestate") != "" {
				t.Errorf("headers %v hold a trace", post.r.Headers)
			}
		}
	})
}

// TestOwnTraceHeaderStands leaves a webhook's own traceparent alone.
func TestOwnTraceHeaderStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: ok}
		r := start(t, b, p, oneRule+"        headers: {Traceparent: mine}\n", nil)
		b.event("course.completed", `{"user":{"first_name":"Ada"}}`, map[string][]string{"traceparent": {traced}, "tracestate": {"rojo=1"}})
		time.Sleep(time.Second)
		posts := r.p.all()
		if len(posts) != 1 || posts[0].header("traceparent") != "mine" || posts[0].header("tracestate") != "" {
			t.Errorf("POSTs %+v, want one with the rule's own traceparent and no tracestate", posts)
		}
	})
}

// TestNoTraceCostsNothing measures what traces add to an event's way where there are none: not one allocation.
func TestNoTraceCostsNothing(t *testing.T) {
	d := New(newMemBus().engine(), &poster{answer: ok}, Options{})
	m := &bus.Message{Header: map[string][]string{"Nats-Msg-Id": {"1"}}, Stream: "EVENTS"}
	e := &event.Event{ID: "1", Type: "course.completed"}
	var got *trace.Context
	if n := testing.AllocsPerRun(1000, func() {
		tr := tracing{context: trace.Of(m.Header)}
		got = d.traced(&tr, m, e)
		tr.end()
	}); n != 0 || got != nil {
		t.Errorf("%v allocations and the context %v for an event without a trace, want none", n, got)
	}
	hook := &rule.Webhook{URL: endpoint.URL{Lane: "https://crm.test:443"}, Timeout: time.Second}
	j := &job{Job: &delivery.Job{ID: "1", Attempt: 1}, hook: hook}
	now := time.Now()
	bare := testing.AllocsPerRun(1000, func() { sink = d.request(j, now) })
	whole := testing.AllocsPerRun(1000, func() {
		req, span := d.outgoing(j, now)
		sink = req
		answered(span, endpoint.Response{Status: 200})
	})
	if whole != bare {
		t.Errorf("%v allocations for a request without a trace, %v for the request alone", whole, bare)
	}
}

var sink endpoint.Request
