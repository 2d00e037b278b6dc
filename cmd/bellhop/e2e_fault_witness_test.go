package main

import (
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// witness is a receiver that counts: which attempt of which delivery came when, and from which daemon.
type witness struct {
	url string

	mu     sync.Mutex
	calls  []*call
	open   int // now under way
	most   int // at a time
	behave func(*call) answer
	closed chan struct{}
}

// call is one request.
type call struct {
	id      string
	attempt int
	body    string
	path    string
	daemon  string
	at      time.Time
	ended   time.Time // zero where it is under way
	status  int       // as it was answered; 0 where it was not
}

type attemptKey struct {
	id      string
	attempt int
}

func (c *call) key() attemptKey { return attemptKey{c.id, c.attempt} }

// draw is a number below n, the same for the same attempt in every run.
func (c *call) draw(n uint64) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, c.body+"/"+strconv.Itoa(c.attempt))
	return h.Sum64() % n
}

// answer is how a call is answered: after a while, when a channel is closed, or never.
type answer struct {
	status     int // 0: 200
	after      time.Duration
	when       <-chan struct{}
	never      bool // until the daemon gives up
	retryAfter string
}

func newWitness(t *testing.T, behave func(*call) answer) *witness {
	t.Helper()
	to := &witness{behave: behave, closed: make(chan struct{})}
	s := httptest.NewServer(to)
	to.url = s.URL
	t.Cleanup(func() {
		close(to.closed)
		s.CloseClientConnections()
		s.Close()
	})
	return to
}

// ServeHTTP counts and answers.
func (to *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	attempt, _ := strconv.Atoi(r.Header.Get("webhook-attempt"))
	c := &call{
		id: r.Header.Get("webhook-id"), attempt: attempt, body: string(body), path: r.URL.Path, daemon: r.Header.Get("X-Daemon"), at: time.Now(),
	}
	to.mu.Lock()
	to.calls = append(to.calls, c)
	to.open++
	to.most = max(to.most, to.open)
	behave := to.behave
	to.mu.Unlock()
	status := 0
	defer func() {
		to.mu.Lock()
		to.open--
		c.ended, c.status = time.Now(), status
		to.mu.Unlock()
	}()
	a := answer{}
	if behave != nil {
		a = behave(c)
	}
	var after <-chan time.Time
	if a.after > 0 {
		timer := time.NewTimer(a.after)
		defer timer.Stop()
		after = timer.C
	}
	if a.after > 0 || a.when != nil || a.never {
		select {
		case <-after:
		case <-a.when:
		case <-r.Context().Done():
			return
		case <-to.closed:
			return
		}
	}
	status = max(a.status, 0)
	if status == 0 {
		status = http.StatusOK
	}
	if a.retryAfter != "" {
		rw.Header().Set("Retry-After", a.retryAfter)
	}
	rw.WriteHeader(status)
}

// all returns copies of the calls so far, in the order in which they came.
func (to *witness) all() []*call {
	to.mu.Lock()
	defer to.mu.Unlock()
	list := make([]*call, len(to.calls))
	for i, c := range to.calls {
		one := *c
		list[i] = &one
	}
	return list
}

// len is how many calls have come.
func (to *witness) len() int {
	to.mu.Lock()
	defer to.mu.Unlock()
	return len(to.calls)
}

// from counts the calls by a daemon.
func (to *witness) from(daemon string) int {
	to.mu.Lock()
	defer to.mu.Unlock()
	n := 0
	for _, c := range to.calls {
		if c.daemon == daemon {
			n++
		}
	}
	return n
}

// events is how many different events have come.
func (to *witness) events() int {
	to.mu.Lock()
	defer to.mu.Unlock()
	bodies := make(map[string]struct{}, len(to.calls))
	for _, c := range to.calls {
		bodies[c.body] = struct{}{}
	}
	return len(bodies)
}

// gap is the longest time without a call between two times.
func (to *witness) gap(from, until time.Time) time.Duration {
	at := []time.Time{from}
	for _, c := range to.all() {
		if c.at.After(from) && c.at.Before(until) {
			at = append(at, c.at)
		}
	}
	at = append(at, until)
	slices.SortFunc(at, time.Time.Compare)
	longest := time.Duration(0)
	for i := 1; i < len(at); i++ {
		longest = max(longest, at[i].Sub(at[i-1]))
	}
	return longest
}

// now is how many calls are under way.
func (to *witness) now() int {
	to.mu.Lock()
	defer to.mu.Unlock()
	return to.open
}
