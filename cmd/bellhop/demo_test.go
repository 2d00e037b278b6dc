package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/event"
	"bellhop/dispatcher/rule"
)

func TestDemoLeavesNothingBehind(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	r := bellhop(t, "", "demo", "--events", "12", "--rate", "50")
	r.wants(t, exitDone, "lost                       0", "")
	if strings.Contains(r.out, "\x1b") {
		t.Errorf("output that is no terminal holds escape sequences:\n%s", r.out)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 0 {
		t.Errorf("the temporary folder holds %v (%v) after a demo, want nothing", left, err)
	}
}

// brokenPipe is an output that nobody reads from some line on.
type brokenPipe struct{ lines int }

func (p *brokenPipe) Write(b []byte) (int, error) {
	if p.lines--; p.lines < 0 {
		return 0, syscall.EPIPE
	}
	return len(b), nil
}

func TestDemoEndsWhereNobodyReads(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var errs bytes.Buffer
	if status := run([]string{"demo"}, strings.NewReader(""), &brokenPipe{lines: 4}, &errs); status != exitFailed || errs.Len() > 0 {
		t.Errorf("demo into a closed pipe ended with %d and %q, want 1 and no words", status, errs.String())
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("the temporary folder holds %v (%v) after a demo into a closed pipe, want nothing", left, err)
	}
}

func TestDemoStopsBeforeItStarts(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out bytes.Buffer
	a := &app{stdout: &out, stderr: &out}
	cmd := newRoot(a)
	cmd.SetArgs([]string{"demo"})
	if err := cmd.ExecuteContext(ctx); err != nil {
		t.Errorf("a demo that is stopped while it starts ended with %v, want nil", err)
	}
}

// endsAt ends a demo as Ctrl-C does, once it has printed a text.
type endsAt struct {
	printed strings.Builder
	text    string
	end     func()
}

func (w *endsAt) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(w.text)) {
		w.end()
	}
	return w.printed.Write(b)
}

func TestDemoSettlesAfterCtrlC(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// The first retry is under way: its delivery has to be settled before the summary.
	out := &endsAt{text: "retrying in", end: cancel}
	a := &app{stdout: out, stderr: out}
	cmd := newRoot(a)
	cmd.SetArgs([]string{"demo", "--rate", "20", "--for", "20s"})
	if err := cmd.ExecuteContext(ctx); err != nil {
		t.Errorf("a demo ended with %v at Ctrl-C, want nil; it printed:\n%s", err, out.printed.String())
	}
	for _, want := range []string{"waiting for ", "attempt 2 of 4\n", "unsettled                  0\n"} {
		if !strings.Contains(out.printed.String(), want) {
			t.Errorf("a demo that ends at Ctrl-C prints no %q:\n%s", want, out.printed.String())
		}
	}
}

// The sides of the ledger, as short as they can be written.
type step func(*ledger)

func expects(ids ...string) step {
	return func(l *ledger) {
		names := map[string]string{}
		for _, id := range ids {
			names[id] = "delivery " + id
		}
		l.event(names)
	}
}

func rejects(id string) step { return func(l *ledger) { l.unreadable(id) } }

func records(id string, run, attempt int, o delivery.Outcome) step {
	return func(l *ledger) { l.outcome(delivery.OutcomeID(id, run, attempt), o) }
}

func posts(id string, status int) step { return func(l *ledger) { l.post(id, status) } }

func TestLedger(t *testing.T) {
	for _, tt := range []struct {
		name    string
		steps   []step
		want    report
		pending int
	}{
		{
			name:  "an event that matches nothing needs nothing",
			steps: []step{expects()},
			want:  report{Published: 1},
		},
		{
			name:  "delivered at once",
			steps: []step{expects("a"), posts("a", 200), records("a", 1, 1, delivery.Delivered)},
			want:  report{Published: 1, Matched: 1, Deliveries: 1, Delivered: 1, Posts: 1},
		},
		{
			name:  "the outcome is here before the publisher knows of its event",
			steps: []step{posts("a", 204), records("a", 1, 1, delivery.Delivered), expects("a")},
			want:  report{Published: 1, Matched: 1, Deliveries: 1, Delivered: 1, Posts: 1},
		},
		{
			name: "delivered after a retry, its outcomes read twice",
			steps: []step{
				expects("a"), posts("a", 503), records("a", 1, 1, delivery.Retrying), posts("a", 200), records("a", 1, 2, delivery.Delivered),
				records("a", 1, 1, delivery.Retrying), records("a", 1, 2, delivery.Delivered),
			},
			want: report{Published: 1, Matched: 1, Deliveries: 1, Delivered: 1, Retries: 1, Posts: 2},
		},
		{
			name:  "failed without a request, as a refused address is",
			steps: []step{expects("a"), records("a", 1, 1, delivery.Failed)},
			want:  report{Published: 1, Matched: 1, Deliveries: 1, Failed: 1},
		},
		{
			name:    "a delivery without a trace is lost",
			steps:   []step{expects("a", "b"), posts("a", 200), records("a", 1, 1, delivery.Delivered)},
			want:    report{Published: 1, Matched: 1, Deliveries: 2, Delivered: 1, Posts: 1, Lost: 1, Details: []string{"delivery b was never begun"}},
			pending: 1,
		},
		{
			name:  "a delivery that the receiver never got is lost, whatever the bus says",
			steps: []step{expects("a"), records("a", 1, 1, delivery.Delivered)},
			want: report{Published: 1, Matched: 1, Deliveries: 1, Lost: 1, Details: []string{
				"delivery a is recorded as delivered, but the receiver took no request of it",
			}},
		},
		{
			name:  "so is one that the receiver refused",
			steps: []step{expects("a"), posts("a", 500), records("a", 1, 1, delivery.Delivered)},
			want: report{Published: 1, Matched: 1, Deliveries: 1, Posts: 1, Lost: 1, Details: []string{
				"delivery a is recorded as delivered, but the receiver took no request of it",
			}},
		},
		{
			name:    "a request without an outcome is unsettled",
			steps:   []step{expects("a"), posts("a", 200)},
			want:    report{Published: 1, Matched: 1, Deliveries: 1, Posts: 1, Unsettled: 1, Details: []string{"delivery a has no final outcome (retries: 0)"}},
			pending: 1,
		},
		{
			name:  "a retry that never comes is unsettled",
			steps: []step{expects("a"), posts("a", 500), records("a", 1, 1, delivery.Retrying)},
			want: report{Published: 1, Matched: 1, Deliveries: 1, Posts: 1, Retries: 1, Unsettled: 1, Details: []string{
				"delivery a has no final outcome (retries: 1)",
			}},
			pending: 1,
		},
		{
			name:  "two final outcomes of one run are one too many",
			steps: []step{expects("a"), posts("a", 200), records("a", 1, 1, delivery.Delivered), records("a", 1, 2, delivery.Failed)},
			want: report{Published: 1, Matched: 1, Deliveries: 1, Failed: 1, Posts: 1, Twice: 1, Details: []string{
				"delivery a ended 2 times: delivered, failed",
			}},
		},
		{
			name: "sent again by hand, it ends once a run",
			steps: []step{
				expects("a"), posts("a", 404), records("a", 1, 1, delivery.Failed), posts("a", 200), records("a", 2, 1, delivery.Delivered),
			},
			want: report{Published: 1, Matched: 1, Deliveries: 1, Delivered: 1, Posts: 2},
		},
		{
			name:  "an unreadable event is rejected",
			steps: []step{rejects("EVENTS-1.rejected"), func(l *ledger) { l.outcome("EVENTS-1.rejected", delivery.Rejected) }},
			want:  report{Published: 1, Rejected: 1},
		},
		{
			name:    "an unreadable event of which nobody hears is lost",
			steps:   []step{rejects("EVENTS-1.rejected")},
			want:    report{Published: 1, Lost: 1, Details: []string{"rejection EVENTS-1.rejected was not published"}},
			pending: 1,
		},
		{
			name:  "what comes of somebody else's events is not judged",
			steps: []step{posts("x", 500), records("x", 1, 1, delivery.Retrying)},
			want:  report{Posts: 1, Foreign: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger()
			for _, s := range tt.steps {
				s(l)
			}
			if n := l.pending(); n != tt.pending {
				t.Errorf("%d are pending, want %d", n, tt.pending)
			}
			got := l.report()
			if !slices.Equal(got.Details, tt.want.Details) {
				t.Errorf("details %q, want %q", got.Details, tt.want.Details)
			}
			well := len(tt.want.Details) == 0
			got.Details, tt.want.Details = nil, nil
			if !equalReports(got, tt.want) {
				t.Errorf("report %+v, want %+v", got, tt.want)
			}
			if err := got.err(); (err == nil) != well {
				t.Errorf("a demo with that balance ends with %v", err)
			}
		})
	}
}

func equalReports(a, b report) bool {
	flat := func(r report) [11]int {
		return [...]int{r.Published, r.Matched, r.Rejected, r.Deliveries, r.Delivered, r.Failed, r.Retries, r.Posts, r.Foreign, r.Lost, r.Unsettled + 1000*r.Twice}
	}
	return flat(a) == flat(b)
}

func TestLedgerSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		expects("a", "b")(l)
		begin := time.Now()
		time.AfterFunc(3*time.Second, func() { records("a", 1, 1, delivery.Delivered)(l) })
		l.settle(t.Context(), 4*time.Second)
		if waited := time.Since(begin); waited != 7*time.Second || l.pending() != 1 {
			t.Errorf("settle gave up after %v with %d pending, want 4s after the last change and one", waited, l.pending())
		}
		time.AfterFunc(time.Second, func() { records("b", 1, 1, delivery.Failed)(l) })
		begin = time.Now()
		l.settle(t.Context(), 4*time.Second)
		if waited := time.Since(begin); waited != time.Second || l.pending() != 0 {
			t.Errorf("settle returned after %v with %d pending, want as soon as the last is settled", waited, l.pending())
		}
	})
}

// demoSet compiles the sample rules as a demo does.
func demoSet(t *testing.T) *rule.Set {
	t.Helper()
	dir := t.TempDir()
	if err := layOut(dir, strings.NewReplacer(), make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	d := &demo{}
	cmd := newDemoCmd(&app{})
	if _, err := d.configure(&app{flags: cmd.Flags()}, dir); err != nil {
		t.Fatal(err)
	}
	return d.rules
}

func TestStory(t *testing.T) {
	set := demoSet(t)
	fired, types, encodings := map[string]int{}, map[string]bool{}, map[encoding]bool{}
	rejected, silent := 0, 0
	for n := range story {
		a, err := scripted(n, time.Unix(1700000000, 0))
		if err != nil {
			t.Fatal(err)
		}
		types[a.typ], encodings[a.encoding] = true, true
		e, err := a.decoded("EVENTS", time.Unix(0, 0), uint64(n+1), time.Unix(1700000001, 0))
		if (err != nil) != (a.encoding == torn) {
			t.Errorf("decode of event %d (%s, %s) = %v", n, a.typ, a.encoding, err)
		}
		if err != nil {
			rejected++
			continue
		}
		hooks := set.Match(e, nil)
		if len(hooks) == 0 {
			silent++
		}
		for _, w := range hooks {
			fired[w.Rule.Name]++
			if _, err := w.Render(nil, e); err != nil {
				t.Errorf("render %s for event %d: %v", w.Rule.Name, n, err)
			}
		}
	}
	for _, typ := range event.Types() {
		if !types[typ] {
			t.Errorf("the story has no %s", typ)
		}
	}
	for _, e := range []encoding{structured, binary, plain, nameless, torn} {
		if !encodings[e] {
			t.Errorf("the story has no event in %s", e)
		}
	}
	for _, r := range set.Rules {
		if fired[r.Name] == 0 {
			t.Errorf("rule %s fires for no event of the story", r.Name)
		}
	}
	if rejected == 0 || silent == 0 {
		t.Errorf("%d events of the story cannot be read and %d send nothing, want some of both", rejected, silent)
	}
}

func TestStoryBeginsWithAllThereIs(t *testing.T) {
	entities := map[string]bool{}
	archived := false
	for _, s := range story[:12] {
		entity, _, _ := strings.Cut(s.typ, ".")
		entities[entity] = true
		archived = archived || s.archived
	}
	if len(entities) != len(event.Catalogue()) || !archived {
		t.Errorf("the first dozen events are about %d entities (an archived user: %t), want all %d", len(entities), archived, len(event.Catalogue()))
	}
}

func TestScriptedKeepsDigits(t *testing.T) {
	a, err := scripted(0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, digits := range []string{`"price":12.50`, `"id":9007199254740993`} {
		if !bytes.Contains(a.msg.Data, []byte(digits)) {
			t.Errorf("the first event lacks %s: %s", digits, a.msg.Data)
		}
	}
}

func TestMishap(t *testing.T) {
	for _, tt := range []struct {
		m            mishap
		nth, attempt int
		want         bool
	}{
		{mishap{nth: 2, attempts: 1}, 1, 1, false},
		{mishap{nth: 2, attempts: 1}, 2, 1, true},
		{mishap{nth: 2, attempts: 1}, 2, 2, false},
		{mishap{nth: 2, attempts: 1}, 4, 1, false},
		{mishap{nth: 2, every: 3, attempts: 2}, 5, 2, true},
		{mishap{nth: 2, every: 3, attempts: 2}, 6, 1, false},
		{mishap{nth: 1, every: 1}, 7, 9, true},
	} {
		if got := tt.m.hits(tt.nth, tt.attempt); got != tt.want {
			t.Errorf("%+v hits attempt %d of delivery %d: %t, want %t", tt.m, tt.attempt, tt.nth, got, tt.want)
		}
	}
}

func TestReceiver(t *testing.T) {
	key := []byte("a key of the demo's, 32 bytes it")
	calls := make(chan received, 10)
	r, err := openReceiver(key, func(got received) { calls <- got })
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	post := func(address, id, attempt, signature string) *http.Response {
		t.Helper()
		q, err := http.NewRequest(http.MethodPost, "http://"+r.ports.Replace(address)+"/x?y=z", strings.NewReader("a=1"))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("webhook-id", id)
		q.Header.Set("webhook-attempt", attempt)
		q.Header.Set("webhook-timestamp", "17")
		q.Header.Set("webhook-signature", signature)
		resp, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	right := rule.Sign("s1", 17, []byte("a=1"), [][]byte{key})
	for _, tt := range []struct {
		what, address, id, attempt, signature string
		status                                int
		retryAfter                            string
	}{
		{"a request that is none of Bellhop's", "127.0.0.1:18001", "", "", "", 400, ""},
		{"the CRM's first delivery", "127.0.0.1:18001", "c1", "1", "", 200, ""},
		{"the CRM's second one", "127.0.0.1:18001", "c2", "1", "", 503, "1"},
		{"its second attempt", "127.0.0.1:18001", "c2", "2", "", 200, ""},
		{"what has moved", "127.0.0.1:18006", "l1", "1", "", 404, ""},
		{"a wrong signature", "127.0.0.1:18005", "s1", "1", "v1,AAAA", 401, ""},
		{"a right signature, after one of an old key", "127.0.0.1:18005", "s1", "1", "v1,AAAA " + right, 200, ""},
	} {
		resp := post(tt.address, tt.id, tt.attempt, tt.signature)
		if resp.StatusCode != tt.status || resp.Header.Get("Retry-After") != tt.retryAfter {
			t.Errorf("%s is answered with %d, Retry-After %q, want %d, %q", tt.what, resp.StatusCode, resp.Header.Get("Retry-After"), tt.status, tt.retryAfter)
		}
	}
	if n := len(calls); n != 6 {
		t.Errorf("the receiver tells of %d requests, want 6: all but the one that is none of Bellhop's", n)
	}
	if got, want := <-calls, (received{"crm", "c1", 1, "/x?y=z", "a=1", 200}); got != want {
		t.Errorf("the receiver tells of %+v, want %+v", got, want)
	}
}

func TestDemoLines(t *testing.T) {
	at := time.Date(2026, 1, 2, 12, 0, 1, 123e6, time.UTC)
	next := delivery.At(at.Add(700 * time.Millisecond))
	record := func(change func(*delivery.Record)) *delivery.Record {
		r := &delivery.Record{
			DeliveryID: "0123456789abcdef", Webhook: "crm", Attempt: 1, MaxAttempts: 4, StartedAt: delivery.At(at), DurationMS: 12.4, Status: 200,
		}
		change(r)
		return r
	}
	for _, tt := range []struct {
		print func(*demoPrinter)
		want  string
	}{
		{
			func(p *demoPrinter) { p.outcome(at, delivery.Delivered, record(func(*delivery.Record) {})) },
			"12:00:01.123   ← 200       crm     01234567     delivered in 12 ms",
		},
		{
			func(p *demoPrinter) {
				p.outcome(at, delivery.Retrying, record(func(r *delivery.Record) {
					r.Status, r.Error, r.NextAttemptAt, r.DurationMS = 503, &delivery.Error{Kind: delivery.KindStatus, Message: "503 Service Unavailable"}, &next, 200
				}))
			},
			"12:00:01.123   ← 503       crm     01234567     retrying in 500 ms (attempt 2 of 4): 503 Service Unavailable",
		},
		{
			func(p *demoPrinter) {
				p.outcome(at, delivery.Failed, record(func(r *delivery.Record) {
					r.Status, r.Attempt, r.Error = 0, 4, &delivery.Error{Kind: delivery.KindTimeout, Message: "no response within 1s"}
				}))
			},
			"12:00:01.123   ← timeout   crm     01234567     failed for good, attempt 4 of 4: no response within 1s",
		},
		{
			func(p *demoPrinter) { p.posted(at, received{"crm", "0123456789", 2, "/done", "a=\x1b[2J", 200}) },
			`12:00:01.123   → POST      crm     01234567     (attempt 2) /done a=\x1b[2J`,
		},
		{
			func(p *demoPrinter) { p.nothing(at, "no rule is on group.left") },
			"12:00:01.123   -           sends nothing: no rule is on group.left",
		},
		{
			func(p *demoPrinter) { p.width = 40; p.nothing(at, "日本語入門") },
			"12:00:01.123   -           sends nothin…",
		},
	} {
		var out bytes.Buffer
		tt.print(newDemoPrinter(&out, func() {}))
		if got := strings.TrimSuffix(out.String(), "\n"); got != tt.want {
			t.Errorf("printed\n%s\nwant\n%s", got, tt.want)
		}
	}
}

func TestCutTo(t *testing.T) {
	for _, tt := range []struct {
		text    string
		columns int
		want    string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"日本", 4, "日本"},
		{"日本語", 4, "日…"},
		{"", 1, ""},
	} {
		if got := cutTo(tt.text, tt.columns); got != tt.want {
			t.Errorf("cutTo(%q, %d) = %q, want %q", tt.text, tt.columns, got, tt.want)
		}
	}
}

func TestDemoTakesAnotherConsolePort(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	// Two at once: one of them at most has the usual port.
	outs := make(chan result, 2)
	for range 2 {
		go func() {
			var out, errs bytes.Buffer
			status := run([]string{"demo", "--events", "3", "--rate", "50"}, strings.NewReader(""), &out, &errs)
			outs <- result{status, out.String(), errs.String()}
		}()
	}
	urls := map[string]bool{}
	for range 2 {
		r := <-outs
		r.wants(t, exitDone, "nothing was lost", "")
		urls[regexp.MustCompile(`console +http://\S+`).FindString(r.out)] = true
	}
	if len(urls) != 2 {
		t.Errorf("two demos at once have the consoles %v, want two", urls)
	}
}

func TestDemoFolderIsShortEnoughForASocket(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 25))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	dir, err := demoFolder()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if path := filepath.Join(dir, demoData, socketName); len(path) > maxSocketPath {
		t.Errorf("the socket would be %s, %d bytes", path, len(path))
	}
	if left, err := os.ReadDir(long); err != nil || len(left) != 0 {
		t.Errorf("%v is left in the folder that was too long (%v)", left, err)
	}
}

func TestDemoRefusesWhatItBrings(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, flag := range []string{"--nats.url=nats://bus.example.com", "--rules=./rules", "--data_dir=x", "--delivery.allow_networks=10.0.0.0/8"} {
		name, _, _ := strings.Cut(flag, "=")
		r := bellhop(t, "", "demo", flag)
		r.wants(t, exitUsage, "", name+" does not go with demo")
	}
}

var errWrite = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errWrite }

func TestPrinterTellsOnceThatNobodyReads(t *testing.T) {
	broke := 0
	p := newDemoPrinter(fullDisk{}, func() { broke++ })
	p.text("a")
	p.text("b")
	if broke != 1 || !errors.Is(p.failed(), errWrite) {
		t.Errorf("the printer told %d times, of %v, want once, of %v", broke, p.failed(), errWrite)
	}
}
