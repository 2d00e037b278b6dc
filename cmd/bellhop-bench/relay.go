package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// relayOrder is what the relay is to do: it reads it from its standard input.
type relayOrder struct {
	Server  string      `json:"server"`
	URL     string      `json:"url"` // http alone
	Workers int         `json:"workers"`
	Events  int         `json:"events"`  // so many come, or wait already
	Request []byte      `json:"request"` // as it goes out; its webhook-id and its time get values of their own each time
	Subject string      `json:"subject"` // of an outcome
	Headers nats.Header `json:"headers"` // of an outcome; Nats-Msg-Id gets a value of its own each time
	Outcome []byte      `json:"outcome"`
}

// relayDone is what it did: it writes it to its standard output.
type relayDone struct {
	Failed int64  `json:"failed"`
	Error  string `json:"error"` // the first
	CPU    usage  `json:"usage"`
	Alloc  uint64 `json:"alloc"`
}

// err tells what failed of so many events.
func (d relayDone) err(events int) error {
	if d.Failed == 0 {
		return nil
	}
	return fmt.Errorf("relay: %d of %d events failed: %s", d.Failed, events, d.Error)
}

// relay does what no daemon can do without, and nothing else: it takes each event, POSTs the same request but for its id and the
// event's time, publishes the same outcome, and acknowledges the event once that is confirmed. It reads nothing else of an event, has
// no rules, renders nothing, knows no time-out, no retry and no endpoint but one, and counts nothing.
type relay struct {
	relayOrder
	nc      *nats.Conn
	id      int // where the request holds its webhook-id
	time    int // and where the time at which its event was meant to be published
	work    chan *nats.Msg
	inbox   string // of confirmations
	mu      sync.Mutex
	waiting map[string]string // reply subjects of events, by that of their outcome's confirmation
	sent    atomic.Int64
	done    atomic.Int64
	failed  atomic.Int64
	once    sync.Once
	err     error
	over    chan struct{} // closed once all events are done with
	broken  chan struct{} // closed by the first failure
}

func runRelay(args []string) error {
	return errand("relay", args, func(o relayOrder) (done relayDone, err error) {
		r := &relay{relayOrder: o, waiting: map[string]string{}, over: make(chan struct{}), broken: make(chan struct{})}
		if err := r.run(); err != nil {
			return done, err
		}
		if done.Failed = r.failed.Load(); r.err != nil {
			done.Error = r.err.Error()
		}
		done.CPU, done.Alloc, err = spent()
		return done, err
	})
}

const (
	// relayPull is how many events one pull of the relay's asks for.
	relayPull    = 64
	relayExpires = 30 * time.Second
)

func (r *relay) run() error {
	to, err := url.Parse(r.URL)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	if r.id, err = valueAt(r.Request, "\r\nwebhook-id: ", len(deliveryID(0))); err != nil {
		return err
	}
	if r.time, err = valueAt(r.Request, sentField, sentDigits); err != nil {
		return err
	}
	if r.nc, err = nats.Connect(r.Server, nats.Name("relay")); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	defer r.nc.Close()
	if err := r.setup(); err != nil {
		return err
	}
	ahead := max(r.Workers*5/4, relayPull)
	r.work = make(chan *nats.Msg, ahead+relayPull)
	r.inbox = r.nc.NewInbox() + "."
	confirmed, err := r.nc.Subscribe(r.inbox+"*", r.confirmed)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	pulls := r.nc.NewInbox()
	stop := make(chan struct{})
	events, err := r.nc.Subscribe(pulls, func(m *nats.Msg) {
		if m.Reply == "" {
			return
		}
		select {
		case r.work <- m:
		case <-stop:
		}
	})
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	if err := errors.Join(confirmed.SetPendingLimits(-1, -1), events.SetPendingLimits(-1, -1)); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	var workers sync.WaitGroup
	for range r.Workers {
		workers.Go(func() { r.post(to.Host, pulls, stop) })
	}
	for range ahead / relayPull {
		r.pull(pulls)
	}
	r.wait()
	close(stop)
	workers.Wait()
	return r.nc.Flush()
}

// wait blocks until all is done with, something has failed, or nothing moves any more.
func (r *relay) wait() {
	tick := time.NewTicker(stallAfter)
	defer tick.Stop()
	for last := int64(-1); ; {
		select {
		case <-r.over:
			return
		case <-r.broken:
			return
		case <-tick.C:
		}
		now := r.done.Load()
		if now == last {
			r.fail(fmt.Errorf("only %d of %d events are done with", now, r.Events))
			return
		}
		last = now
	}
}

// setup makes the stream of outcomes and the consumer of events, which are like the daemon's.
func (r *relay) setup() error {
	ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
	defer cancel()
	js, err := jetstream.New(r.nc)
	if err == nil {
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: resultsStream, Subjects: []string{"webhooks.>"}, Storage: jetstream.FileStorage, MaxAge: 168 * time.Hour,
			Duplicates: 2 * time.Minute, AllowDirect: true,
		})
	}
	if err == nil {
		_, err = js.CreateConsumer(ctx, eventsStream, jetstream.ConsumerConfig{
			Durable: consumer, FilterSubject: "events.>", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxDeliver: -1,
			MaxAckPending: 100_000,
		})
	}
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}

func (r *relay) pull(inbox string) {
	request := fmt.Sprintf(`{"batch":%d,"expires":%d}`, relayPull, relayExpires.Nanoseconds())
	if err := r.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+eventsStream+"."+consumer, inbox, []byte(request)); err != nil {
		r.fail(err)
	}
}

// post is a worker, with a connection of its own.
func (r *relay) post(host, pulls string, stop <-chan struct{}) {
	c, err := net.Dial("tcp", host)
	if err != nil {
		r.fail(err)
		return
	}
	defer func() { _ = c.Close() }()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		r.fail(err)
		return
	}
	request := append([]byte(nil), r.Request...)
	in := make([]byte, 4<<10)
	for {
		var m *nats.Msg
		select {
		case m = <-r.work:
		case <-stop:
			return
		}
		n := r.sent.Add(1)
		id := deliveryID(n)
		copy(request[r.id:], id)
		copy(request[r.time:], sentOf(m.Data))
		if err := exchangeRaw(raw, request, in); err != nil {
			r.fail(err)
			return
		}
		if n%relayPull == 0 {
			r.pull(pulls)
		}
		r.outcome(id, m)
	}
}

// exchangeRaw writes a request and reads the response, which is taken to come whole, in as few system calls as can be.
func exchangeRaw(raw syscall.RawConn, out, in []byte) error {
	written, n := false, 0
	var failed error
	err := raw.Read(func(fd uintptr) bool {
		if !written {
			written = true
			if n, failed = syscall.Write(int(fd), out); failed != nil || n < len(out) {
				failed = errors.Join(failed, errors.New("the request does not fit the socket"))
				return true
			}
			return false
		}
		n, failed = syscall.Read(int(fd), in)
		return !errors.Is(failed, syscall.EAGAIN)
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("POST: %w", err)
	}
	const ok = "HTTP/1.1 200 "
	if n < len(ok) || string(in[:len(ok)]) != ok {
		return fmt.Errorf("answered with %q", in[:n])
	}
	return nil
}

// outcome publishes an event's outcome.
func (r *relay) outcome(id string, event *nats.Msg) {
	reply := r.inbox + id
	r.mu.Lock()
	r.waiting[reply] = event.Reply
	r.mu.Unlock()
	h := make(nats.Header, len(r.Headers))
	for name, values := range r.Headers {
		h[name] = values
	}
	h[nats.MsgIdHdr] = []string{id + ".1.1"}
	if err := r.nc.PublishMsg(&nats.Msg{Subject: r.Subject, Reply: reply, Header: h, Data: r.Outcome}); err != nil {
		r.fail(err)
	}
}

// confirmed acknowledges the event whose outcome is on the bus.
func (r *relay) confirmed(m *nats.Msg) {
	r.mu.Lock()
	event := r.waiting[m.Subject]
	delete(r.waiting, m.Subject)
	r.mu.Unlock()
	var ack struct {
		Seq   uint64          `json:"seq"`
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil || ack.Seq == 0 || event == "" {
		r.fail(fmt.Errorf("outcome not stored: %s", m.Data))
		return
	}
	if err := r.nc.Publish(event, []byte("+ACK")); err != nil {
		r.fail(err)
	}
	if r.done.Add(1) == int64(r.Events) {
		close(r.over)
	}
}

func (r *relay) fail(err error) {
	r.failed.Add(1)
	r.once.Do(func() {
		r.err = err
		close(r.broken)
	})
}

// deliveryID is the id of delivery n.
func deliveryID(n int64) string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return hex.EncodeToString(id[:])
}

// valueAt finds the value of so many bytes that follows a name in a request.
func valueAt(request []byte, name string, size int) (int, error) {
	i := bytes.Index(request, []byte(name))
	if i < 0 || len(request) < i+len(name)+size {
		return 0, fmt.Errorf("no %q in the request %q", strings.TrimSpace(name), request)
	}
	return i + len(name), nil
}
