package dispatcher

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"bellhop/config"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/endpoint"
	"bellhop/dispatcher/rule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// poster answers attempts as a test says, and remembers them.
type poster struct {
	mu     sync.Mutex
	posts  []post
	answer func(n int, r endpoint.Request) endpoint.Response
	now    int // under way
	most   int
}

type post struct {
	at time.Time
	r  endpoint.Request
}

func (p *poster) Post(ctx context.Context, r endpoint.Request) endpoint.Response {
	p.mu.Lock()
	p.posts = append(p.posts, post{time.Now(), r})
	n := len(p.posts)
	p.now++
	p.most = max(p.most, p.now)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
	}()
	started := time.Now()
	done := make(chan endpoint.Response, 1)
	go func() { done <- p.answer(n, r) }()
	select {
	case resp := <-done:
		resp.Started, resp.Duration = started, time.Since(started)
		return resp
	case <-ctx.Done():
		go func() { <-done }()
		return endpoint.Response{Started: started, Duration: time.Since(started), Err: &delivery.Error{Kind: delivery.KindCancelled}}
	}
}

func (p *poster) all() []post {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]post(nil), p.posts...)
}

func status(code int) endpoint.Response {
	r := endpoint.Response{Status: code}
	if code/100 != 2 {
		r.Err = &delivery.Error{Kind: delivery.KindStatus, Message: http.StatusText(code)}
	}
	return r
}

func (p post) header(name string) string {
	for _, h := range p.r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

const oneRule = `
rules:
  - name: crm
    on: [course.completed]
    webhooks:
      - endpoint: http://crm.test/hook
        parameters: {student: "@first_name"}
`

// rules compiles a rule file.
func rules(t *testing.T, text string) InForce {
	t.Helper()
	defs, problems := config.ParseRules([]rule.SourceFile{{Path: "rules.yaml", Text: text}})
	set, more := rule.Compile(defs, rule.Options{Defaults: rule.Defaults{Timeout: 10 * time.Second, Retries: 10, Encoding: "normalize"}})
	for _, p := range append(problems, more...) {
		if p.Severity == rule.Error {
			t.Fatalf("%s: %s: %s", p.Pos, p.Path, p.Text)
		}
	}
	return InForce{Set: set, Since: time.Now()}
}

// rig is an engine on a bus in memory.
type rig struct {
	*Dispatcher
	b    *memBus
	p    *poster
	stop func() error
}

// start runs an engine. Its stop is called at the test's end where the test has not.
func start(t *testing.T, b *memBus, p *poster, text string, change func(*Options)) *rig {
	t.Helper()
	policy, err := delivery.NewPolicy(5*time.Second, 2, []string{"timeout", "network", "408", "425", "429", "5xx"})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Node: "test", UserAgent: "bellhop/test", EventStream: "EVENTS", EventPrefix: "events", MaxEvent: 1 << 20, ResultPrefix: "webhooks",
		RequestBody: true, ResponseBody: true, Policy: policy, ShutdownTimeout: 30 * time.Second,
	}
	if change != nil {
		change(&o)
	}
	d := New(b.engine(), p, o)
	d.SetRules(rules(t, text))
	d.Resume(nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	return &rig{d, b, p, stop}
}

func ok(int, endpoint.Request) endpoint.Response { return status(200) }

// first answers the first attempt with one status, and those after it with another.
func first(code, then int) func(int, endpoint.Request) endpoint.Response {
	return func(n int, _ endpoint.Request) endpoint.Response {
		if n == 1 {
			return status(code)
		}
		return status(then)
	}
}

func TestDeliversAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: ok}
		start(t, b, p, oneRule, nil)
		b.event("course.completed", `{"user":{"first_name":"Ann & Bob"}}`, nil)
		synctest.Wait()
		posts := p.all()
		if len(posts) != 1 || string(posts[0].r.Body) != "student=Ann+%26+Bob" {
			t.Fatalf("posts = %v, want one with body student=Ann+%%26+Bob", posts)
		}
		if got := posts[0].header("webhook-attempt"); got != "1" {
			t.Errorf("webhook-attempt = %q, want 1", got)
		}
		if got := strings.Join(b.history("outcome", "ack"), "; "); got != "outcome webhooks.delivered.course.completed; ack events 1" {
			t.Errorf("the bus saw %q, want the outcome and then the ack", got)
		}
	})
}

// The schedule that is promised: 10 s for each attempt, then 5 s, doubled each time, ten retries, then failed.
func TestWholeRetrySchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemBus()
		p := &poster{answer: func(int, endpoint.Request) endpoint.Response {
			time.Sleep(10 * time.Second) // the attempt's whole time, on the bubble's clock
			return endpoint.Response{Err: &delivery.Error{Kind: delivery.KindTimeout, Message: "no response within 10s"}}
		}}
		start(t, b, p, oneRule, nil)
		began := time.Now()
		b.event("course.completed", `{}`, nil)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		posts := p.all()
		if len(posts) != 11 {
			t.Fatalf("%d attempts, want 11", len(posts))
		}
		want, delay := time.Duration(0), 5*time.Second
		for i, post := range posts {
			if at := post.at.Sub(began); at != want {
				t.Errorf("attempt %d began %s after the event, want %s", i+1, at, want)
			}
			if post.header("webhook-id") != posts[0].header("webhook-id") {
				t.Errorf("attempt %d has another webhook-id than the first", i+1)
			}
			want += 10*time.Second + delay
			delay *= 2
		}
		records := b.records()
		if len(records) != 11 {
			t.Fatalf("%d outcomes, want 11", len(records))
		}
		last := records[10]
		if last.Error == nil || last.Error.Kind != delivery.KindTimeout || last.Attempt != 11 || last.MaxAttempts != 11 || last.NextAttemptAt != nil {
			t.Errorf("last outcome = %+v, want attempt 11 of 11 with kind timeout and no next attempt", last)
		}
		if got := b.history("outcome"); got[10] != "outcome webhooks.failed.course.completed" || got[9] != "outcome webhooks.retrying.course.completed" {
			t.Errorf("outcomes end with %v, want retrying and then failed", got[9:])
		}
		if last.Request == nil || records[9].Request != nil {
			t.Errorf("the request's body is in outcome 10: %v, in outcome 11: %v, want only in the failed one", records[9].Request, last.Request)
		}
	})
}

func TestSettlesNextAttemptThenOutcomeThenAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemBus()
		p := &poster{answer: first(503, 200)}
		failures := map[string]int{"schedule": 3, "publish": 3, "ack": 2}
		b.fail = func(what string) error {
			if failures[what] > 0 {
				failures[what]--
				return errForced
			}
			return nil
		}
		start(t, b, p, oneRule, nil)
		b.event("course.completed", `{}`, nil)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		got := b.history("schedule", "outcome", "ack")
		if len(got) != 3 || !strings.HasPrefix(got[0], "schedule") || got[1] != "outcome webhooks.retrying.course.completed" || got[2] != "ack events 1" {
			t.Fatalf("the bus saw %q, want the schedule, the outcome and the ack, in this order, each once", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := len(p.all()); got != 2 {
			t.Errorf("%d attempts, want 2: a bus that fails for a while must cost none and add none", got)
		}
	})
}

func TestHoldsWhatTheBusDoesNotConfirm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: ok}
		away := true
		b.fail = func(what string) error {
			if away && what == "publish" {
				return errForced
			}
			return nil
		}
		r := start(t, b, p, oneRule, nil)
		m := b.event("course.completed", `{}`, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.history("ack"); len(got) != 0 {
			t.Fatalf("acknowledged %v while no outcome was confirmed", got)
		}
		if err := r.Ready(); err == nil {
			t.Errorf("Ready = nil while the bus confirms nothing, want why")
		}
		if b.mu.Lock(); m.beats < 20 {
			t.Errorf("%d signs of life in a minute, want one each 5 s at least", m.beats)
		}
		away = false
		b.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := b.history("ack"); len(got) != 1 {
			t.Errorf("acknowledged %v after the bus came back, want the event once", got)
		}
		if err := r.Ready(); err != nil {
			t.Errorf("Ready = %v after the bus came back, want nil", err)
		}
		if got := len(p.all()); got != 1 {
			t.Errorf("%d attempts, want 1", got)
		}
	})
}

// TestOutcomesShrinkWithTheBus: a server that takes less than it did, as after a reload, still gets the outcome.
func TestOutcomesShrinkWithTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: first(404, 404)}
		b.fail = func(what string) error {
			if what != "publish" || b.max == 20<<10 {
				return nil
			}
			b.max = 20 << 10
			return errForced
		}
		start(t, b, p, oneRule, nil)
		b.event("course.completed", `{"user":{"first_name":"`+strings.Repeat("x", 100<<10)+`"}}`, nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.outcomes) != 1 {
			t.Fatalf("%d outcomes, want one", len(b.outcomes))
		}
		if n := len(b.outcomes[0].Data); n > 20<<10 || n < 1<<10 {
			t.Errorf("an outcome of %d bytes, want what fits 20 KiB", n)
		}
		if !strings.Contains(string(b.outcomes[0].Data), `"truncated":true`) {
			t.Error("the outcome does not say that its request's body was cut")
		}
	})
}

// TestRetryingStaysAsItWasWritten: an outcome of which nothing can be left out is published with the same bytes each time, by which its
// execution knows it for its own where an answer was lost. Its schedule would else be taken back.
func TestRetryingStaysAsItWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMemBus(), &poster{answer: first(500, 500)}
		tried := 0
		b.fail = func(what string) error {
			if tried++; what != "publish" || tried > 3 {
				return nil
			}
			b.max = 1200 // less than it and room for its headers
			return errForced
		}
		start(t, b, p, oneRule, nil)
		b.event("course.completed", `{}`, nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.outcomes) != 1 || len(b.schedules) != 1 {
			t.Fatalf("%d outcomes and %d schedules, want one each", len(b.outcomes), len(b.schedules))
		}
		for _, s := range b.schedules {
			j, err := delivery.DecodeJob(s.data)
			if err != nil || string(j.Previous) != string(b.outcomes[0].Data) {
				t.Errorf("the outcome recorded is not the one that its next attempt knows (%v)", err)
			}
		}
	})
}

func TestRejectsWhatCannotBeRead(t *testing.T) {
	for _, tt := range []struct{ name, data, typ string }{
		{"no JSON", "<xml/>", ""}, {"a list", `[1]`, ""}, {"not UTF-8", "{\"a\":\"\xff\"}", ""}, {"too large", `{"a":"` + strings.Repeat("x", 1<<20) + `"}`, ""},
		{"a structured event without an id", `{"specversion":"1.0","data":{}}`, ""},
		{"an id that no outcome could hold", `{"specversion":"1.0","id":"` + strings.Repeat("x", 2049) + `","data":{}}`, ""},
		{"a type that no outcome could be published under", `{}`, "course." + strings.Repeat("é", bus.MaxSubject/2)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, p := newMemBus(), &poster{answer: ok}
				start(t, b, p, oneRule, nil)
				b.event(cmp.Or(tt.typ, "course.completed"), tt.data, nil)
				b.event("course.completed", `{}`, nil)
				synctest.Wait()
				got := b.history("outcome webhooks.rejected.course.")
				if len(got) != 1 {
					t.Errorf("rejected outcomes = %v, want one", got)
				}
				if subject := strings.TrimPrefix(strings.Join(got, ""), "outcome "); len(subject) > bus.MaxSubject || !utf8.ValidString(subject) {
					t.Errorf("the outcome's subject %q of %d bytes is too long, or cut within a character", subject, len(subject))
				}
				if got := len(b.history("ack")); got != 2 {
					t.Errorf("%d acks, want 2: the bad event must stop nothing", got)
				}
				if got := len(p.all()); got != 1 {
					t.Errorf("%d attempts, want 1", got)
				}
				if _, ok := b.ids["EVENTS-1.rejected"]; !ok {
					t.Errorf("outcome ids = %v, want EVENTS-1.rejected", b.ids)
				}
			})
		})
	}
}
