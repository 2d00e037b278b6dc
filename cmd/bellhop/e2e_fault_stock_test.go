package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// recorded is one outcome as the bus holds it, without its body.
type recorded struct {
	key   attemptKey
	msgID string
	kind  string // delivered, retrying, failed, rejected
	at    time.Time
}

func (r recorded) final() bool { return r.kind == "delivered" || r.kind == "failed" }

// ledger reads the whole stream of outcomes.
func (w *world) ledger() []recorded {
	w.Helper()
	s, err := w.js.Stream(w.Context(), "WEBHOOKS")
	if err != nil {
		w.Fatalf("the outcomes' stream: %v", err)
	}
	state := s.CachedInfo().State
	list := make([]recorded, 0, state.Msgs)
	if state.Msgs == 0 {
		return nil
	}
	var c jetstream.Consumer
	// A server that came back a moment ago does not answer each request.
	deadline := time.Now().Add(time.Minute)
	for last := uint64(0); last < state.LastSeq; {
		again := func(err error) {
			w.Helper()
			if time.Now().After(deadline) {
				w.Fatalf("read outcomes: at %d of %d: %v", last, state.LastSeq, err)
			}
			c = nil
			w.pause(100 * time.Millisecond)
		}
		if c == nil {
			o := jetstream.OrderedConsumerConfig{HeadersOnly: true, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: last + 1}
			if c, err = w.js.OrderedConsumer(w.Context(), "WEBHOOKS", o); err != nil {
				again(err)
				continue
			}
		}
		batch, err := c.Fetch(1000, jetstream.FetchMaxWait(5*time.Second))
		if err != nil {
			again(err)
			continue
		}
		n := 0
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				w.Fatalf("read outcomes: %v", err)
			}
			if meta.Sequence.Stream <= last {
				continue
			}
			n++
			last = meta.Sequence.Stream
			r := recorded{msgID: m.Headers().Get(nats.MsgIdHdr), kind: strings.Split(m.Subject(), ".")[1], at: meta.Timestamp}
			if parts := strings.Split(r.msgID, "."); len(parts) == 3 {
				attempt, err := strconv.Atoi(parts[2])
				if err != nil {
					w.Fatalf("outcome's id %q", r.msgID)
				}
				r.key = attemptKey{parts[0], attempt}
			}
			list = append(list, r)
		}
		if n == 0 {
			again(batch.Error())
		}
	}
	return list
}

// fault is the time within which something died.
type fault struct {
	from, to time.Time
	daemon   string // which one, in which of its lives; "": what all of them need
}

func (f fault) String() string {
	return fmt.Sprintf("%s to %s of %q", clock(f.from), clock(f.to), f.daemon)
}

// hits tells whether a call may have been under way when the fault came. A receiver that is busy reads what a daemon sent after
// that has died, so a daemon's own fault goes by its name.
func (f fault) hits(c *call) bool {
	if f.daemon != "" {
		return f.daemon == c.daemon
	}
	return c.at.Before(f.to)
}

// stock is what became of a load.
type stock struct {
	faults     []fault
	lost       int           // events without a POST that was answered 2xx, or without a final outcome
	duplicated int           // POSTs of an attempt after its first
	inFlight   int           // POSTs whose outcome was not recorded when something died, over all faults
	final      int           // deliveries with a final outcome
	twice      int           // outcomes that the bus holds a second time
	takeover   time.Duration // the longest from a fault to the next POST of what was in flight
}

// takeStock waits until the bus holds nothing more to do, and compares what came with what was recorded. Every event's number
// below n must have come and be settled once. An attempt may come again only after a fault at which it was in flight.
func (w *world) takeStock(to *witness, n int, within time.Duration, faults ...fault) stock {
	w.Helper()
	w.idle(within)
	s := stock{faults: faults}
	recordedAt := map[attemptKey]time.Time{}
	finals := map[string]int{}
	twice := ""
	for _, r := range w.ledger() {
		if _, again := recordedAt[r.key]; again {
			s.twice++
			twice = r.msgID
			continue
		}
		recordedAt[r.key] = r.at
		if r.final() {
			finals[r.key.id]++
		}
	}
	if s.twice > 0 && !w.clockIsWrong {
		w.Errorf("%d outcomes are recorded twice, such as %s", s.twice, twice)
	}
	s.final = len(finals)
	calls := to.all()
	came, delivery := map[string]bool{}, map[string]string{}
	posts := map[attemptKey][]*call{}
	for _, c := range calls {
		if c.status/100 == 2 {
			came[c.body] = true
		}
		delivery[c.body] = c.id
		posts[c.key()] = append(posts[c.key()], c)
	}
	for i := range n {
		body := fmt.Sprintf("n=%d", i)
		switch {
		case !came[body]:
			s.lost++
			w.lost("event %d was never POSTed with success", i)
		case finals[delivery[body]] != 1:
			s.lost++
			w.lost("event %d has %d final outcomes, want 1", i, finals[delivery[body]])
		}
	}
	if len(finals) != n {
		w.Errorf("%d deliveries have a final outcome, want %d", len(finals), n)
	}
	for _, c := range calls {
		if f := slices.IndexFunc(faults, func(f fault) bool { return f.hits(c) }); f >= 0 {
			// By the first fault it was over, one way or the other.
			if at, ok := recordedAt[c.key()]; !ok || at.After(faults[f].from) {
				s.inFlight++
			}
		}
	}
	wrong := 0
	for key, list := range posts {
		slices.SortFunc(list, func(a, b *call) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
		for i, again := range list[1:] {
			s.duplicated++
			before := list[i]
			at, ok := recordedAt[key]
			cause := slices.IndexFunc(faults, func(f fault) bool {
				return f.hits(before) && again.at.After(f.from) && (!ok || at.After(f.from))
			})
			if cause >= 0 {
				// Whoever was to go on with it may have died as well: the last fault before counts.
				for cause+1 < len(faults) && again.at.After(faults[cause+1].from) {
					cause++
				}
				s.takeover = max(s.takeover, again.at.Sub(faults[cause].to))
			} else {
				if wrong++; wrong <= 10 {
					w.Errorf("attempt %d of %s (%s) was POSTed by %s at %s and again by %s at %s, with its outcome recorded at %s and nothing dying while it was in flight: faults %s",
						key.attempt, key.id, again.body, before.daemon, clock(before.at), again.daemon, clock(again.at), clock(at), faults)
				}
			}
		}
	}
	if s.duplicated > s.inFlight {
		w.Errorf("%d POSTs were duplicates, and only %d attempts were in flight when something died", s.duplicated, s.inFlight)
	}
	w.Logf("%d events: lost %d, duplicated %d, in flight at %d faults %d, final outcomes %d, taken over within %s", n, s.lost, s.duplicated,
		len(faults), s.inFlight, s.final, s.takeover)
	return s
}

// lost reports a lost event, the first few of them in words.
func (w *world) lost(format string, args ...any) {
	w.Helper()
	if w.losses++; w.losses <= 10 {
		w.Errorf(format, args...)
	} else {
		w.Fail()
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// idle waits until every event is acknowledged and nothing waits among the retries.
func (w *world) idle(within time.Duration) {
	w.Helper()
	reached := false
	defer func() {
		if !reached {
			w.logStreams()
		}
	}()
	w.until(within, "every event is acknowledged and no retry waits", func() bool {
		c, err := w.js.Consumer(w.Context(), "EVENTS", "bellhop")
		if err != nil || c.CachedInfo().NumAckPending > 0 || c.CachedInfo().NumPending > 0 {
			return false
		}
		return w.waiting() == 0
	})
	reached = true
}

// logStreams says what the streams and their consumers hold: a test that waits for it in vain shows it.
func (w *world) logStreams() {
	for _, name := range []string{"EVENTS", "WEBHOOK_RETRIES"} {
		s, err := w.js.Stream(w.Context(), name)
		if err != nil {
			w.Logf("%s: %v", name, err)
			continue
		}
		info, err := s.Info(w.Context(), jetstream.WithSubjectFilter("WEBHOOK_RETRIES.>"))
		if err != nil {
			w.Logf("%s: %v", name, err)
			continue
		}
		w.Logf("%s holds %+v", name, info.State)
		consumers := s.ListConsumers(w.Context())
		for c := range consumers.Info() {
			w.Logf("%s: %s delivered %+v, acknowledged up to %+v, %d to be acknowledged, %d again, %d to come, %d pulls", name, c.Name,
				c.Delivered, c.AckFloor, c.NumAckPending, c.NumRedelivered, c.NumPending, c.NumWaiting)
		}
		if err := consumers.Err(); err != nil {
			w.Logf("%s: %v", name, err)
		}
	}
}

// waiting is how many attempts the retries' stream holds, whatever for; -1 where it does not say. Words about lanes are none.
func (w *world) waiting() int {
	s, err := w.js.Stream(w.Context(), "WEBHOOK_RETRIES")
	if err != nil {
		return -1
	}
	n := s.CachedInfo().State.Msgs
	if n == 0 {
		return 0
	}
	info, err := s.Info(w.Context(), jetstream.WithSubjectFilter("WEBHOOK_RETRIES.lane.*"))
	if err != nil {
		return -1
	}
	return int(n) - len(info.State.Subjects)
}

// load publishes numbered events until each is confirmed, whatever happens to the server meanwhile.
type load struct {
	w         *world
	confirmed atomic.Int64
	done      chan struct{}
}

// publishNumbered publishes the events from to to-1 in the background, so many a second (0: as fast as they are confirmed).
func (w *world) publishNumbered(subject string, from, to, rate int) *load {
	w.Helper()
	js, err := jetstream.New(w.nc, jetstream.WithPublishAsyncTimeout(2*time.Second), jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		w.Fatal(err)
	}
	l := &load{w: w, done: make(chan struct{})}
	go func() {
		// The publisher goes with the connection. Cleaned up by itself, just after its beginning, it can leave a goroutine of the
		// client's behind for ever, which then waits for a channel that is gone already.
		defer close(l.done)
		began := time.Now()
		batch := 200
		if rate > 0 {
			batch = max(1, rate/50)
		}
		for at := from; at < to && w.Context().Err() == nil; at += batch {
			var todo []int
			for i := at; i < min(at+batch, to); i++ {
				todo = append(todo, i)
			}
			for len(todo) > 0 && w.Context().Err() == nil {
				todo = l.publish(js, subject, todo)
			}
			if rate > 0 {
				pause := time.Until(began.Add(time.Duration(at+batch-from) * time.Second / time.Duration(rate)))
				select {
				case <-time.After(pause):
				case <-w.Context().Done():
				}
			}
		}
	}()
	w.Cleanup(func() { <-l.done })
	return l
}

// publish publishes the events and returns those that were not confirmed. Their ids make a second publication the same event.
func (l *load) publish(js jetstream.JetStream, subject string, numbers []int) (failed []int) {
	futures := make([]jetstream.PubAckFuture, len(numbers))
	for i, n := range numbers {
		futures[i], _ = js.PublishMsgAsync(&nats.Msg{
			Subject: subject, Header: nats.Header{nats.MsgIdHdr: {"e-" + strconv.Itoa(n)}}, Data: fmt.Appendf(nil, `{"n":%d}`, n),
		})
	}
	for i, f := range futures {
		if f == nil {
			failed = append(failed, numbers[i])
			continue
		}
		select {
		case <-f.Ok():
			l.confirmed.Add(1)
		case <-f.Err():
			failed = append(failed, numbers[i])
		case <-time.After(3 * time.Second):
			failed = append(failed, numbers[i])
		case <-l.w.Context().Done():
			return nil
		}
	}
	if len(failed) > 0 {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-l.w.Context().Done():
		}
	}
	return failed
}

// wait waits until all is published.
func (l *load) wait(within time.Duration) {
	l.w.Helper()
	select {
	case <-l.done:
	case <-time.After(within):
		l.w.Fatalf("after %s only %d events were confirmed", within, l.confirmed.Load())
	}
}

// number reads an event's number from the body of its POST; -1 where there is none.
func number(body string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(body, "n="))
	if err != nil {
		return -1
	}
	return n
}
