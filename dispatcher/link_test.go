package dispatcher

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
)

// counted is a projection in memory, which survives its daemon.
type counted struct {
	mu      sync.Mutex
	stream  time.Time
	cursor  uint64
	seqs    map[uint64]int
	anew    int
	failing int
	stuck   chan struct{} // Apply waits until it is closed; nil: not
}

func (c *counted) Cursor(_ string, created, _ time.Time) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renew(created)
	return c.cursor, nil
}

func (c *counted) renew(created time.Time) {
	if !c.stream.Equal(created) {
		c.stream, c.cursor, c.seqs = created, 0, map[uint64]int{}
		c.anew++
	}
}

func (c *counted) Apply(_ string, created time.Time, batch []bus.Recorded, last uint64) error {
	c.mu.Lock()
	stuck := c.stuck
	c.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing > 0 {
		c.failing--
		return errForced
	}
	c.renew(created)
	for _, r := range batch {
		if r.Seq > c.cursor {
			c.seqs[r.Seq]++
		}
	}
	c.cursor = last
	return nil
}

func (c *counted) Reset() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing > 0 {
		c.failing--
		return errForced
	}
	c.cursor, c.seqs = 0, map[uint64]int{}
	c.anew++
	return nil
}

// state returns how many outcomes are counted, and whether each is so once, without a gap from the first on.
func (c *counted) state() (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for seq := uint64(1); seq <= uint64(len(c.seqs)); seq++ {
		if c.seqs[seq] != 1 {
			return len(c.seqs), false
		}
	}
	return len(c.seqs), true
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if is() {
			return
		}
		select {
		case <-t.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}

var testTopology = bus.Topology{
	Events:  bus.EventsTopology{Stream: "EVENTS", Prefix: "events", Consumer: "bellhop"},
	Results: bus.ResultsTopology{Stream: "WEBHOOKS", Prefix: "webhooks"},
	Retries: "WEBHOOK_RETRIES",
}

// link runs a link on a server until the returned function is called.
func link(t *testing.T, server *bus.Server, c *counted) (*Dispatcher, *bus.Bus, func()) {
	t.Helper()
	l, stop := linked(t, server, c)
	return l.Engine, l.Bus, stop
}

func linked(t *testing.T, server *bus.Server, c *counted) (*Link, func()) {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := delivery.NewPolicy(time.Second, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := New(Bus{}, nil, Options{Policy: policy})
	l := &Link{Bus: b, Topology: testTopology, Engine: d, Projection: c, Log: zap.NewNop()}
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return l, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		b.Close()
	})
}

func publishOutcomes(t *testing.T, b *bus.Bus, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		_, err := b.Publish(t.Context(), bus.Msg{
			Subject: "webhooks.delivered.course.completed", Data: []byte("{}"),
			Header: map[string][]string{bus.MsgID: {delivery.OutcomeID(fmt.Sprintf("%032x", i), 1, 1)}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestLinkTellsTheEngineAndCountsOnce(t *testing.T) {
	server, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c := &counted{}
	d, b, stop := link(t, server, c)
	defer func() { stop() }()
	eventually(t, "the engine may pull", func() bool { return d.Ready() == nil })
	publishOutcomes(t, b, 0, 50)
	eventually(t, "the engine knows the last outcome", func() bool { return d.recent.settled(fmt.Sprintf("%032x", 49), 1, 1) })
	eventually(t, "all 50 are counted", func() bool { n, once := c.state(); return n == 50 && once })
	stop()

	// Another daemon works on while this one is down, and its own count fails at first.
	other, err := bus.Connect(t.Context(), bus.Options{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	publishOutcomes(t, other, 50, 70)
	c.mu.Lock()
	c.failing = 2
	c.mu.Unlock()
	d, b, stop = link(t, server, c)
	eventually(t, "the engine may pull again", func() bool { return d.Ready() == nil })
	// Told before it may pull: what an event would find is there already.
	for _, i := range []int{0, 49, 119} {
		if !d.recent.settled(fmt.Sprintf("%032x", i), 1, 1) {
			t.Errorf("outcome %d is not known to an engine that may pull", i)
		}
	}
	publishOutcomes(t, b, 120, 30)
	eventually(t, "all 150 are counted once", func() bool { n, once := c.state(); return n == 150 && once })
	if c.anew != 1 {
		t.Errorf("counted anew %d times, want once, at the first start", c.anew)
	}
}

// countedTwenty is a link that has counted twenty outcomes.
func countedTwenty(t *testing.T) (*bus.Server, *Dispatcher, *bus.Bus, *counted) {
	t.Helper()
	server, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	c := &counted{}
	d, b, stop := link(t, server, c)
	t.Cleanup(stop)
	eventually(t, "the engine may pull", func() bool { return d.Ready() == nil })
	publishOutcomes(t, b, 0, 20)
	eventually(t, "all 20 are counted", func() bool { n, once := c.state(); return n == 20 && once })
	return server, d, b, c
}

// countsAnew publishes ten outcomes in a stream that was made anew, and waits until they and no others are known.
func countsAnew(t *testing.T, d *Dispatcher, b *bus.Bus, c *counted) {
	t.Helper()
	publishOutcomes(t, b, 100, 10)
	eventually(t, "the new stream's 10 are counted", func() bool { n, once := c.state(); return n == 10 && once })
	eventually(t, "the engine knows them", func() bool { return d.recent.settled(fmt.Sprintf("%032x", 109), 1, 1) })
	eventually(t, "the engine may pull again", func() bool { return d.Ready() == nil })
}

func TestLinkCountsARecreatedStreamAnew(t *testing.T) {
	_, d, b, c := countedTwenty(t)
	if err := b.DeleteStream(t.Context(), "WEBHOOKS"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is there again, though nobody publishes", func() bool {
		state, err := b.Results(t.Context())
		return err == nil && state.Last == 0
	})
	countsAnew(t, d, b, c)
}

// TestLinkNoticesWhatAnotherMadeAnew: another daemon deletes and makes the stream, and records less in it than was in the last.
func TestLinkNoticesWhatAnotherMadeAnew(t *testing.T) {
	server, d, _, c := countedTwenty(t)
	other, err := bus.Connect(t.Context(), bus.Options{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Setup(t.Context(), testTopology); err != nil {
		t.Fatal(err)
	}
	if err := other.DeleteStream(t.Context(), "WEBHOOKS"); err != nil {
		t.Fatal(err)
	}
	if err := other.Setup(t.Context(), testTopology); err != nil {
		t.Fatal(err)
	}
	countsAnew(t, d, other, c)
}

// A projection whose disk hangs must not keep the engine from knowing what is recorded, nor miss anything once it goes on.
func TestLinkDoesNotWaitForAStuckProjection(t *testing.T) {
	server, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c := &counted{stuck: make(chan struct{})}
	l, stop := linked(t, server, c)
	d := l.Engine
	defer stop()
	eventually(t, "the engine may pull", func() bool { return d.Ready() == nil })
	eventually(t, "the projection is fed", l.isLive)
	// One batch is stuck in Apply, a feed is full behind it, and more comes.
	const n = projectBatch + feedSize + 1000
	publishOutcomes(t, l.Bus, 0, n)
	eventually(t, "the engine knows the last outcome", func() bool { return d.recent.settled(fmt.Sprintf("%032x", n-1), 1, 1) })
	if got, _ := c.state(); got != 0 {
		t.Fatalf("%d outcomes are counted, want none while the projection is stuck", got)
	}
	c.mu.Lock()
	close(c.stuck)
	c.stuck = nil
	c.mu.Unlock()
	eventually(t, "all are counted once", func() bool { got, once := c.state(); return got == n && once })
	eventually(t, "the projection is fed again", l.isLive)
	publishOutcomes(t, l.Bus, n, 10)
	eventually(t, "what follows is counted once", func() bool { got, once := c.state(); return got == n+10 && once })
}

func TestLinkRecounts(t *testing.T) {
	server, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c := &counted{}
	l, stop := linked(t, server, c)
	defer stop()
	eventually(t, "the engine may pull", func() bool { return l.Engine.Ready() == nil })
	publishOutcomes(t, l.Bus, 0, 40)
	eventually(t, "all 40 are counted", func() bool { got, once := c.state(); return got == 40 && once })
	c.mu.Lock()
	c.failing = 1 // the first try to forget fails
	c.mu.Unlock()
	l.Recount()
	eventually(t, "why it does not count is known", func() bool { return l.Counting() != nil })
	publishOutcomes(t, l.Bus, 40, 10)
	eventually(t, "all 50 are counted anew, once", func() bool {
		got, once := c.state()
		c.mu.Lock()
		defer c.mu.Unlock()
		return got == 50 && once && c.anew == 2
	})
	eventually(t, "it is known to count again", func() bool { return l.Counting() == nil })
}
