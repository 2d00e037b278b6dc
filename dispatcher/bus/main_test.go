package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"bellhop/internal/testkit"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// backend is one kind of server that the tests run against.
type backend struct {
	name      string
	schedules bool
	start     func(t *testing.T) string // returns its URL; it stops with the test
}

// backends are the servers that Bellhop promises to work with: its own, and the oldest.
var backends = []backend{
	{"embedded", true, startEmbedded},
	{"nats-server 2.9", false, func(t *testing.T) string { return startOld(t).url }},
}

// each runs a test against every backend, in parallel.
func each(t *testing.T, test func(t *testing.T, be backend, url string)) {
	t.Parallel()
	for _, be := range backends {
		t.Run(be.name, func(t *testing.T) {
			t.Parallel()
			test(t, be, be.start(t))
		})
	}
}

// startEmbedded starts Bellhop's own server on a free port.
func startEmbedded(t *testing.T) string {
	t.Helper()
	s, err := StartServer(ServerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatalf("StartServer: %v", err)
	}
	t.Cleanup(s.Close)
	return s.URL()
}

// restartable gives a server's folder, and what starts it there at one address.
func restartable(t *testing.T) (dir string, start func() *Server) {
	t.Helper()
	dir, address := t.TempDir(), testkit.FreeAddress(t)
	return dir, func() *Server {
		t.Helper()
		s, err := StartServer(ServerOptions{Dir: dir, Listen: address})
		if err != nil {
			t.Fatalf("StartServer: %v", err)
		}
		return s
	}
}

// startWith starts a server in this process with options that Bellhop's own does not have: permissions, TLS.
func startWith(t *testing.T, o *server.Options) string {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	if o.JetStream {
		o.StoreDir = t.TempDir()
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatalf("NewServer: %v", err)
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not take connections within 10s")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s.ClientURL()
}

// connect connects with the options, and closes with the test.
func connect(t *testing.T, o Options) *Bus {
	t.Helper()
	b, err := Connect(t.Context(), o)
	if err != nil {
		t.Fatalf("Connect(%s): %v", o.URL, err)
	}
	t.Cleanup(b.Close)
	return b
}

// testTopology is the default one.
func testTopology() Topology {
	return Topology{
		Events:  EventsTopology{Stream: "EVENTS", Prefix: "events", Consumer: "bellhop", MaxAge: 168 * time.Hour},
		Results: ResultsTopology{Stream: "WEBHOOKS", Prefix: "webhooks", MaxAge: 168 * time.Hour},
		Retries: "WEBHOOK_RETRIES",
	}
}

// ready returns a connection whose streams and consumers are set up.
func ready(t *testing.T, url string) *Bus {
	t.Helper()
	b := connect(t, Options{URL: url, Name: t.Name()})
	setup(t, b, testTopology())
	return b
}

func setup(t *testing.T, b *Bus, top Topology) {
	t.Helper()
	if err := b.Setup(t.Context(), top); err != nil {
		t.Fatalf("Setup: %v", err)
	}
}

// publish publishes or ends the test.
func publish(t *testing.T, b *Bus, subject, id, data string) Ack {
	t.Helper()
	m := Msg{Subject: subject, Data: []byte(data)}
	if id != "" {
		m.Header = map[string][]string{MsgID: {id}}
	}
	ack, err := b.Publish(t.Context(), m)
	if err != nil {
		t.Fatalf("Publish(%s): %v", subject, err)
	}
	return ack
}

// until polls a condition that the server brings about, and fails after a deadline.
func until(t *testing.T, within time.Duration, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(within)
	for !condition() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("after %s still not: %s", within, what)
		}
	}
}

// pullOne pulls until one message has come, and returns it with the time it came.
func pullOne(t *testing.T, p *Puller, within time.Duration) (*Message, time.Time) {
	t.Helper()
	var got *Message
	var at time.Time
	for end := time.Now().Add(within); got == nil; {
		left := time.Until(end)
		if left <= 0 {
			t.Fatalf("no message from %s within %s", p.name, within)
		}
		if _, err := p.Pull(t.Context(), 1, left, func(m *Message) { got, at = m, time.Now() }); err != nil {
			t.Fatalf("Pull from %s: %v", p.name, err)
		}
	}
	return got, at
}

// ack acknowledges or ends the test.
func ack(t *testing.T, m *Message) {
	t.Helper()
	if err := m.Replier.Ack(t.Context()); err != nil {
		t.Fatalf("Ack of %s %d: %v", m.Stream, m.Seq, err)
	}
}

// puller opens a puller, closed with the test.
func puller(t *testing.T, open func() (*Puller, error)) *Puller {
	t.Helper()
	p, err := open()
	if err != nil {
		t.Fatalf("open puller: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

// ackPending is how many messages of a consumer are held.
func ackPending(t *testing.T, b *Bus, stream, consumer string) int {
	t.Helper()
	c, err := b.js().Consumer(t.Context(), stream, consumer)
	if err != nil {
		t.Fatalf("Consumer(%s, %s): %v", stream, consumer, err)
	}
	return c.CachedInfo().NumAckPending
}

func streamInfo(t *testing.T, b *Bus, name string) *jetstream.StreamInfo {
	t.Helper()
	s, err := b.js().Stream(t.Context(), name)
	if err != nil {
		t.Fatalf("Stream(%s): %v", name, err)
	}
	return s.CachedInfo()
}

// canceled is a context that has ended already.
func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnded)
	return ctx
}

var errEnded = errors.New("ended by the test")

// inCI tells whether what is missing here must not be skipped.
func inCI() bool { return os.Getenv("CI") != "" }

func numbered(format string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return list
}
