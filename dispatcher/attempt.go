package dispatcher

import (
	"strconv"
	"strings"
	"time"

	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/endpoint"
	"bellhop/dispatcher/rule"
)

// attempt makes one attempt and has it settled. It runs in a worker of the pool's.
func (d *Dispatcher) attempt(j *job) {
	// The rules in force when it goes out decide where it goes: a mended endpoint mends what waits for it.
	if now := d.Rules(); !j.fresh && now.Set != j.set && !d.current(j, now) {
		return
	}
	if !j.fresh && d.recent.settled(j.ID, j.Run, j.Attempt) {
		// It was called off, or made elsewhere, while it stood in its lane.
		d.metrics.Repeated.Inc()
		d.finish(j)
		return
	}
	d.metrics.InFlight.Inc()
	started := time.Now()
	d.metrics.begun(j, started)
	req, span := d.outgoing(j, started)
	resp := d.poster.Post(d.hard, req)
	d.metrics.InFlight.Dec()
	if d.hard.Err() != nil && resp.Err != nil && resp.Err.Kind == delivery.KindCancelled {
		span.End(time.Now())
		d.abandon(j)
		return
	}
	answered(span, resp)
	d.pool.judged(j.lane, resp.Err != nil, resp.Err != nil && d.o.Policy.MayPass(resp.Err.Kind, resp.Status))
	d.metrics.attempted(resp.Status, resp.Duration)
	if resp.RetryAfter > 0 {
		d.holdBack(j.lane, time.Now().Add(resp.RetryAfter))
	}
	// The worker goes on with another delivery while the bus confirms this one.
	j.settling = true
	d.pool.settling.Add(1)
	if resp.Err == nil && !j.doubt {
		d.delivered(j, resp)
		return
	}
	go d.end(j, resp)
}

// current gives the job the webhook that the rules now in force have under its names. Where they have none it ends the job
// and returns false: cancelled by newer rules, handed back to the bus by older ones.
func (d *Dispatcher) current(j *job, now InForce) bool {
	if hook := now.Set.Find(j.Rule, j.Webhook); hook != nil {
		j.hook, j.set = hook, now.Set
		j.RulesVersion, j.RulesSince = now.Set.Version, now.Since
		return true
	}
	if !now.Since.After(j.RulesSince) {
		// This daemon's rules are older than the delivery's: another daemon knows the webhook, or this one soon will.
		d.claims.release(j.ID)
		j.owner.giveBack(handBackAfter)
		d.part(j.owner)
		return false
	}
	j.hook = nil
	j.RulesVersion = now.Set.Version
	go d.end(j, endpointFailure(delivery.KindCancelled, "the rule or webhook is gone or disabled"))
	return false
}

// handBackAfter delays what a daemon with older rules hands back.
const handBackAfter = 2 * time.Second

// endpointFailure is the result of an attempt that POSTed nothing.
func endpointFailure(kind delivery.Kind, why string) endpoint.Response {
	return endpoint.Response{Started: time.Now(), Err: &delivery.Error{Kind: kind, Message: why}}
}

// request builds the POST of an attempt.
func (d *Dispatcher) request(j *job, now time.Time) endpoint.Request {
	return endpoint.Request{
		URL: j.hook.URL, Body: j.Body, Timeout: j.hook.Timeout,
		Headers: Headers(j.hook, d.o.UserAgent, j.ID, j.Attempt, now.Unix(), j.Body, false),
	}
}

// Headers are the headers of a request, in the order that they are shown: Bellhop's own, then the webhook's. masked shows
// secrets by their names.
func Headers(w *rule.Webhook, userAgent, id string, attempt int, unix int64, body []byte, masked bool) []endpoint.Header {
	h := make([]endpoint.Header, 0, 6+len(w.Headers))
	h = append(h, endpoint.Header{Name: "Content-Type", Value: "application/x-www-form-urlencoded"})
	own := false
	for _, x := range w.Headers {
		own = own || strings.EqualFold(x.Name, "User-Agent")
	}
	if !own {
		h = append(h, endpoint.Header{Name: "User-Agent", Value: userAgent})
	}
	h = append(h,
		endpoint.Header{Name: "webhook-id", Value: id},
		endpoint.Header{Name: "webhook-timestamp", Value: strconv.FormatInt(unix, 10)},
		endpoint.Header{Name: "webhook-attempt", Value: strconv.Itoa(attempt)},
	)
	switch {
	case w.Signed && masked:
		h = append(h, endpoint.Header{Name: "webhook-signature", Value: "v1,<signed when sent>"})
	case len(w.Secrets) > 0:
		h = append(h, endpoint.Header{Name: "webhook-signature", Value: rule.Sign(id, unix, body, w.Secrets)})
	}
	for _, x := range w.Headers {
		value := x.Value
		if masked {
			value = x.Masked
		}
		h = append(h, endpoint.Header{Name: x.Name, Value: value})
	}
	return h
}
