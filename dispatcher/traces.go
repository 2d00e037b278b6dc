package dispatcher

import (
	"slices"
	"strings"
	"time"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/endpoint"
	"bellhop/dispatcher/event"
	"bellhop/dispatcher/rule"
	"bellhop/dispatcher/telemetry"
	"bellhop/dispatcher/trace"
)

// tracing is what one event's deliveries belong to.
type tracing struct {
	context *trace.Context // nil: no trace
	span    telemetry.Span // of the event, where a trace begins with it
}

// end ends the event's own span.
func (t *tracing) end() { t.span.End(time.Now()) }

// traced is the context of an event's deliveries. One that brings none begins a trace with the first of them, where traces are made.
func (d *Dispatcher) traced(t *tracing, m *bus.Message, e *event.Event) *trace.Context {
	if t.context == nil && d.o.Tracer != nil {
		t.span = d.o.Tracer.Begin(telemetry.Event{ID: e.ID, Type: e.Type, Stream: m.Stream}, time.Now())
		t.context = t.span.Context()
	}
	return t.context
}

// outgoing builds the POST of an attempt, with what it belongs to, and begins its span.
func (d *Dispatcher) outgoing(j *job, now time.Time) (endpoint.Request, telemetry.Span) {
	r := d.request(j, now)
	if j.Trace == nil && d.o.Tracer == nil {
		return r, telemetry.Span{}
	}
	span := d.trace(j, &r, now)
	return r, span
}

// trace has a request say what it belongs to: the attempt's own span, or where no spans are made what its event said.
//
// Without a span of its own the attempt hands on the event's: a new id would be one that nobody ever tells of.
func (d *Dispatcher) trace(j *job, r *endpoint.Request, now time.Time) telemetry.Span {
	var span telemetry.Span
	c := j.Trace
	if d.o.Tracer != nil {
		span = d.o.Tracer.Attempt(c, telemetry.Attempt{
			Delivery: j.ID, EventID: j.EventID, EventType: j.EventType, Rule: j.Rule, Webhook: j.Webhook, Endpoint: j.hook.Endpoint,
			Run: j.Run, Attempt: j.Attempt,
		}, now)
		c = span.Context()
		if j.Trace == nil {
			// Its retries belong to the same trace.
			j.Trace = c
		}
	}
	if !slices.ContainsFunc(j.hook.Headers, setsTrace) {
		r.Headers = append(r.Headers, endpoint.Header{Name: trace.ParentHeader, Value: c.Parent})
		if c.State != "" {
			r.Headers = append(r.Headers, endpoint.Header{Name: trace.StateHeader, Value: c.State})
		}
	}
	return span
}

// setsTrace tells whether a webhook's own header says what its requests belong to, which then stands.
func setsTrace(h rule.Header) bool {
	return strings.EqualFold(h.Name, trace.ParentHeader) || strings.EqualFold(h.Name, trace.StateHeader)
}

// answered ends the span of an attempt.
func answered(span telemetry.Span, resp endpoint.Response) {
	if span == (telemetry.Span{}) {
		return
	}
	kind, message := "", ""
	if resp.Err != nil {
		kind, message = string(resp.Err.Kind), resp.Err.Message
	}
	span.Answered(resp.Status, kind, message)
	span.End(resp.Started.Add(resp.Duration))
}
