package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
)

// manyEnv is how many outcomes TestBrowserManyOutcomes works on. With it the times are held to what is promised; without it there
// are fewer, and the times are those of a machine that does much else.
const manyEnv = "PAGE_OUTCOMES"

// firstView runs in each document before anything else, and notes when the page first shows what an expression asks for.
const firstView = `(() => { const drawn = () => (%s) ? window.drawn = performance.now() : requestAnimationFrame(drawn); requestAnimationFrame(drawn) })()`

// TestBrowserManyOutcomes opens pages on a stream with many outcomes, each in a browser that has nothing of them yet.
func TestBrowserManyOutcomes(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out what starts a browser")
	}
	n, limit, rounds := 2000, time.Minute, 1
	if text := os.Getenv(manyEnv); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1000 {
			t.Fatalf("%s=%s: want a number of 1000 at least", manyEnv, text)
		}
		limit, rounds = time.Second, 3
	} else {
		t.Parallel()
	}
	b := newBrowser(t)
	w := newPageWorld(t)
	begun := time.Now()
	w.record(n)
	t.Logf("%d outcomes are in the stream after %s", n, time.Since(begun).Round(time.Millisecond))
	begun = time.Now()
	w.until("all are counted", func() bool {
		var status api.Status
		w.get("/status", &status)
		return status.Projection.Lag == 0 && status.Projection.Indexed == uint64(n)
	})
	t.Logf("all are counted %s later; the store has %d MiB", time.Since(begun).Round(time.Millisecond), w.running.db.Size()>>20)

	id := fmt.Sprintf("%032x", uint64(n/2)*0x9e3779b97f4a7c15)
	for _, path := range []string{
		"/stats", "/series?from=1h&step=minute", "/series?from=7d&step=hour", "/latency?from=7d", "/breakdown?by=endpoint&from=7d", "/breakdown?by=kind&from=7d",
		"/deliveries", "/deliveries?outcome=failed", "/deliveries?rule=rule-7&outcome=failed", "/deliveries?q=nobody", "/deliveries?q=event-17", "/deliveries/" + id,
		"/pending", "/rules", "/status", "/lanes",
	} {
		var times []time.Duration
		for range rounds {
			at := time.Now()
			w.get(path, new(map[string]any))
			times = append(times, time.Since(at))
		}
		t.Logf("GET /api/v1%s: %v", path, times)
		if least := slices.Min(times); least > limit {
			t.Errorf("GET /api/v1%s takes %s, at most %s", path, least, limit)
		}
	}

	for _, view := range []struct{ path, drawn string }{
		{"/", fmt.Sprintf(`document.querySelector('.window:nth-child(4) b')?.title === %s && document.querySelector('.chart canvas') && document.querySelectorAll('.legend b').length === 2 && !document.querySelector('.cols .c4.stack .loading, .cols .c6 .loading')`, quotedJS(grouped(n)))},
		{"/?window=7d", `document.querySelectorAll('.legend b').length === 2 && !document.querySelector('.cols .c4.stack .loading, .cols .c6 .loading')`},
		{"/deliveries", `document.querySelectorAll('tbody tr').length === 50`},
		{"/deliveries?outcome=failed&rule=rule-7", `document.querySelectorAll('tbody tr').length === 50`},
		{"/deliveries?q=nobody", `document.querySelector('.state')?.innerText.includes('No outcome matches')`},
		{"/deliveries/" + id, `document.querySelector('.attempts')`},
	} {
		var times []time.Duration
		for i := range rounds {
			t.Run(fmt.Sprint(view.path, i), func(t *testing.T) {
				tab := b.tab(t, w.url)
				tab.before(fmt.Sprintf(firstView, view.drawn))
				tab.open(view.path)
				tab.holds(view.path+" is drawn", `!!window.drawn`)
				times = append(times, time.Duration(js[float64](tab, `window.drawn`)*float64(time.Millisecond)).Round(time.Millisecond))
			})
		}
		if len(times) < rounds {
			t.FailNow()
		}
		t.Logf("%s is drawn after %v", view.path, times)
		if least := slices.Min(times); least > limit {
			t.Errorf("the first view of %s takes %s, at most %s", view.path, least, limit)
		}
	}
}

// grouped is a number as the page writes it.
func grouped(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

// record publishes n outcomes as daemons would: of 20 rules, 40 endpoints and as many types as the catalogue has; one in ten is to
// be tried again, one in twenty has failed.
func (w pageWorld) record(n int) {
	w.Helper()
	types := []string{"course.completed", "module.completed", "assessment.graded", "account.created", "group.joined"}
	truncated := false
	for i := range n {
		at := time.Now()
		r := &delivery.Record{
			DeliveryID: fmt.Sprintf("%032x", uint64(i)*0x9e3779b97f4a7c15), EventID: fmt.Sprint("event-", i), EventType: types[i%len(types)], EventSeq: uint64(i + 1),
			Rule: fmt.Sprint("rule-", i%20), Webhook: "hook", RulesVersion: "9f1c2ab34de0", Endpoint: fmt.Sprintf("https://r%d.example.com/hooks/%d", i%40, i%20),
			Run: 1, Attempt: 1, MaxAttempts: 11, StartedAt: delivery.At(at), DurationMS: float64(i%997) / 7, Status: 200,
			Response: &delivery.Body{Body: "thank you", Truncated: &truncated},
		}
		outcome := delivery.Delivered
		switch {
		case i%10 == 3:
			outcome, r.Status, r.Error = delivery.Retrying, 503, &delivery.Error{Kind: delivery.KindStatus, Message: "503 Service Unavailable"}
		case i%20 == 7:
			outcome, r.Status, r.Error = delivery.Failed, 0, &delivery.Error{Kind: delivery.KindTimeout, Message: "no answer within 10s"}
			r.Request = &delivery.Body{Body: "student=Ada+Lovelace&course=Engines"}
		}
		id := delivery.OutcomeID(r.DeliveryID, 1, 1)
		m := nats.NewMsg("webhooks." + string(outcome) + "." + r.EventType)
		m.Data = delivery.AppendOutcome(nil, outcome, id, "elsewhere", at, r)
		for name, value := range map[string]string{
			bus.MsgID: id, delivery.HeaderRule: r.Rule, delivery.HeaderWebhook: r.Webhook, delivery.HeaderEndpoint: r.Endpoint, delivery.HeaderEvent: r.EventID,
			delivery.HeaderUser: fmt.Sprint("user-", i%5000), delivery.HeaderDuration: strconv.FormatFloat(r.DurationMS, 'f', 3, 64),
		} {
			m.Header[name] = []string{value}
		}
		if r.Error != nil {
			m.Header[delivery.HeaderKind] = []string{string(r.Error.Kind)}
		}
		if _, err := w.js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute)); err != nil {
			w.Fatalf("record outcome %d: %v", i, err)
		}
	}
	select {
	case <-w.js.PublishAsyncComplete():
	case <-time.After(2 * time.Minute):
		w.Fatal("the outcomes were not confirmed in two minutes")
	}
}

// until polls until something is so.
func (w pageWorld) until(what string, is func() bool) {
	w.Helper()
	most := time.Minute
	if os.Getenv(manyEnv) != "" {
		most = 10 * time.Minute
	}
	for end := time.Now().Add(most); !is(); time.Sleep(50 * time.Millisecond) { // a poll's pause
		if time.Now().After(end) {
			w.Fatalf("not within %s: %s", most, what)
		}
	}
}

// before has a script run in each document before anything else.
func (w *tab) before(script string) {
	w.Helper()
	command(w, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
}
