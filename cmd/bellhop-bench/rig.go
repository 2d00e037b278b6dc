package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// bench is one run: a folder, a receiver, a server, and what was measured so far.
type bench struct {
	o    options
	self string // this program
	dir  string
	say  io.Writer // progress
	end  time.Time // of the budget

	to     *served
	ports  receiverHello
	ca     string // PEM file of the receiver's certificate
	server *served
	url    string // of the server
	nc     *nats.Conn
	js     jetstream.JetStream

	runs     int     // daemons started, for their folders
	bareRate float64 // what the bare loop does at 256 workers, about
	rate     float64 // what a daemon does at 256 workers, about
	sampled  []byte  // a daemon's request, as it came
	usual    *paired // the throughput at 256 workers, once measured
	tally    tally
}

// tally is how many deliveries were made in all, and what went wrong.
type tally struct {
	Deliveries int `json:"deliveries"`
	Lost       int `json:"lost"`
	Duplicated int `json:"duplicated"`
}

// count adds a stretch: what was to come, and what came.
func (t *tally) count(want int, a arrived) {
	t.Deliveries += want
	t.Lost += max(want-a.Distinct, 0) + a.Unretried
	t.Duplicated += a.Duplicated
}

// err is the verdict: what was lost is an error, what came twice is not.
func (t tally) err() error {
	if t.Lost > 0 {
		return fmt.Errorf("%d of %d deliveries were lost", t.Lost, t.Deliveries)
	}
	return nil
}

const (
	eventsStream  = "EVENTS"
	resultsStream = "WEBHOOKS"
	retriesStream = "WEBHOOK_RETRIES"
	stayingStream = "BENCH"
	consumer      = "bellhop"

	// apiTimeout bounds one request to the server.
	apiTimeout = 20 * time.Second
	// stallAfter is how long nothing comes before what is missing is given up as lost.
	stallAfter = 20 * time.Second
	pollEvery  = 10 * time.Millisecond
)

// openBench starts the receiver and the server.
func openBench(ctx context.Context, o options, say io.Writer) (b *bench, err error) {
	b = &bench{o: o, say: say, end: time.Now().Add(o.budget)}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.self, err = os.Executable(); err != nil {
		return b, fmt.Errorf("find this program: %w", err)
	}
	for _, binary := range []string{o.bellhop, o.against} {
		if binary == "" {
			continue
		}
		if info, err := os.Stat(binary); err != nil || info.IsDir() {
			return b, fmt.Errorf("no bellhop at %s: build it with make build, or name it with -bellhop", binary)
		}
	}
	if b.dir, err = os.MkdirTemp("", "bellhop-bench-"); err != nil {
		return b, fmt.Errorf("make a folder: %w", err)
	}
	cert, key, err := writeCertificate(b.dir)
	if err != nil {
		return b, err
	}
	b.ca = cert
	if b.to, err = b.serveSelf("receiver", &b.ports, "-cert", cert, "-key", key); err != nil {
		return b, err
	}
	return b, b.startServer(ctx)
}

// startServer starts a server on a folder of its own. One stream stays in it until the server's end: after the last stream is deleted,
// the server removes the folder of all streams, some time later, and the next one can't be made in that moment (nats-server 2.15.2).
func (b *bench) startServer(ctx context.Context) error {
	var hello serverHello
	var err error
	b.runs++
	if b.server, err = b.serveSelf("server", &hello, "-dir", filepath.Join(b.dir, "nats-"+strconv.Itoa(b.runs))); err != nil {
		return err
	}
	b.url = hello.URL
	if b.nc, err = nats.Connect(hello.URL, nats.Name("bellhop-bench")); err != nil {
		return fmt.Errorf("connect to the server: %w", err)
	}
	if b.js, err = jetstream.New(b.nc, jetstream.WithPublishAsyncMaxPending(4096)); err != nil {
		return fmt.Errorf("connect to the server: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if _, err := b.js.CreateStream(ctx, jetstream.StreamConfig{Name: stayingStream, Subjects: []string{"bench"}}); err != nil {
		return fmt.Errorf("create the stream that stays: %w", err)
	}
	return nil
}

// stopServer stops the server. What it kept goes with the folder of the run.
func (b *bench) stopServer() error {
	if b.nc != nil {
		b.nc.Close()
		b.nc = nil
	}
	if b.server == nil {
		return nil
	}
	err := b.server.close()
	b.server = nil
	return err
}

// close ends every process and removes the folder.
func (b *bench) close() error {
	err := b.stopServer()
	if b.to != nil {
		err = errors.Join(err, b.to.close())
		b.to = nil
	}
	if b.dir != "" {
		err = errors.Join(err, os.RemoveAll(b.dir))
	}
	return err
}

// over tells whether the budget is spent.
func (b *bench) over() bool { return time.Now().After(b.end) }

// endpoint is a URL of the receiver's: port on the loopback address of that number, 0 for 127.0.0.1.
func endpointURL(scheme string, port, number int, path string) string {
	number++
	return fmt.Sprintf("%s://127.%d.%d.%d:%d%s", scheme, number>>16&0xff, number>>8&0xff, number&0xff, port, path)
}

// hook is the usual endpoint.
func (b *bench) hook() string { return endpointURL("http", b.ports.Plain, 0, "/hook") }

// reset deletes the streams of events, outcomes and retries, and makes that of events anew.
func (b *bench) reset(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	for _, name := range []string{eventsStream, resultsStream, retriesStream} {
		if err := b.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("delete stream %s: %w", name, err)
		}
	}
	_, err := b.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: eventsStream, Subjects: []string{"events.>"}, Storage: jetstream.FileStorage, MaxAge: 168 * time.Hour, Duplicates: 2 * time.Minute,
	})
	if err != nil {
		return fmt.Errorf("create stream %s: %w", eventsStream, err)
	}
	return nil
}

// publish puts n events into the stream, as fast as it takes them.
func (b *bench) publish(ctx context.Context, n int, make func(i int) *nats.Msg) error {
	var last jetstream.PubAckFuture
	for i := range n {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f, err := b.js.PublishMsgAsync(make(i), jetstream.WithStallWait(stallAfter))
		if err != nil {
			return fmt.Errorf("publish event %d: %w", i, err)
		}
		last = f
	}
	select {
	case <-b.js.PublishAsyncComplete():
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Minute):
		return errors.New("publish events: not confirmed within a minute")
	}
	if last == nil {
		return nil
	}
	select {
	case err := <-last.Err():
		return fmt.Errorf("publish events: %w", err)
	default:
	}
	state, err := b.state(ctx, eventsStream)
	if err == nil && state.Msgs < uint64(n) {
		err = fmt.Errorf("publish events: the stream holds %d of %d", state.Msgs, n)
	}
	return err
}

func (b *bench) state(ctx context.Context, stream string) (jetstream.StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("stream %s: %w", stream, err)
	}
	return s.CachedInfo().State, nil
}

// unacknowledged is how many events are not done with.
func (b *bench) unacknowledged(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	c, err := b.js.Consumer(ctx, eventsStream, consumer)
	if err != nil {
		return 0, fmt.Errorf("consumer %s: %w", consumer, err)
	}
	info := c.CachedInfo()
	return int(info.NumPending) + info.NumAckPending, nil
}

// forget has the receiver begin anew.
func (b *bench) forget(delay time.Duration) error {
	return b.to.ask(receiverCommand{Reset: true, Delay: delay}, new(received))
}

// report asks the receiver for all that came of a daemon, and adds it to the tally.
func (b *bench) report(want int, retry time.Duration, edge int) (arrived, error) {
	var a received
	if err := b.to.ask(receiverCommand{Report: true, Retry: retry, Edge: edge}, &a); err != nil {
		return a.Report, err
	}
	b.tally.count(want, a.Report)
	return a.Report, nil
}

// reportRelay asks the receiver for all that came of the relay. That something lacks is an error, and no delivery of Bellhop's.
func (b *bench) reportRelay(want int) (arrived, error) {
	var a received
	if err := b.to.ask(receiverCommand{Report: true}, &a); err != nil {
		return a.Report, err
	}
	if a.Report.Distinct < want {
		return a.Report, fmt.Errorf("relay: only %d of %d events were POSTed", a.Report.Distinct, want)
	}
	return a.Report, nil
}

// await blocks until so many requests came, or none for stallAfter: what is missing then, the report tells.
func (b *bench) await(ctx context.Context, want int64, p ...*daemon) error {
	last, since := int64(-1), time.Now()
	for {
		var a received
		if err := b.to.ask(receiverCommand{}, &a); err != nil {
			return err
		}
		switch {
		case a.Count >= want:
			return nil
		case a.Count != last:
			last, since = a.Count, time.Now()
		case time.Since(since) > stallAfter:
			return nil
		}
		for _, d := range p {
			select {
			case <-d.exited:
				return d.failed(errors.New("ended by itself"))
			default:
			}
		}
		if err := pause(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// settled blocks until so many outcomes are on the bus and every event is acknowledged, and returns when the last outcome was
// stored. It gives up where nothing moves any more.
func (b *bench) settled(ctx context.Context, want int) (time.Time, error) {
	last, since := -1, time.Now()
	for {
		state, err := b.state(ctx, resultsStream)
		if err != nil {
			return time.Time{}, err
		}
		left, err := b.unacknowledged(ctx)
		if err != nil {
			return time.Time{}, err
		}
		have := int(state.Msgs)
		switch {
		case have >= want && left == 0:
			return state.LastTime, nil
		case have-left != last:
			last, since = have-left, time.Now()
		case time.Since(since) > stallAfter:
			return time.Time{}, fmt.Errorf("only %d of %d outcomes are on the bus, and %d events are not acknowledged", have, want, left)
		}
		if err := pause(ctx, pollEvery); err != nil {
			return time.Time{}, err
		}
	}
}

func pause(ctx context.Context, t time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(t):
		return nil
	}
}

// progress says what is going on.
func (b *bench) progress(format string, v ...any) {
	fmt.Fprintf(b.say, format+"\n", v...)
}
