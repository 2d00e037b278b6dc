package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Topology names the streams and consumers of one Bellhop.
type Topology struct {
	Events  EventsTopology
	Results ResultsTopology
	// Retries is the name of the internal stream that holds attempts waiting for their time or for room. It is also the first
	// token of that stream's subjects, so that several Bellhops can share an account.
	Retries  string
	Replicas int // of streams and consumers that Bellhop creates; 0 means 1
}

// EventsTopology names the events' stream.
type EventsTopology struct {
	Stream, Prefix, Consumer string
	All                      bool          // a new consumer starts at the stream's beginning instead of its end
	MaxAge                   time.Duration // only where Bellhop creates the stream
}

// ResultsTopology names the outcomes' stream.
type ResultsTopology struct {
	Stream, Prefix string
	MaxAge         time.Duration
}

const (
	// dedupeWindow is how long a stream remembers a Nats-Msg-Id: a longer one costs the server 300 bytes an id.
	dedupeWindow = 2 * time.Minute
	// ackWait is how long the server waits for a held message's sign of life before it hands it to another daemon: short, so
	// that what a dead daemon held is soon somebody else's.
	ackWait = 4 * time.Second
	// maxAckPending is the number of messages that all daemons together may hold of one consumer.
	maxAckPending = 1 << 20
	// dueConsumer is the name of the durable consumer of retries that have fallen due.
	dueConsumer = "due"
)

// Subjects of the retries' stream.
func (t Topology) atSubject(id string) string         { return t.Retries + ".at." + id }
func (t Topology) dueSubject(id string) string        { return t.Retries + ".due." + id }
func (t Topology) waitSubject(lane, id string) string { return t.Retries + ".wait." + lane + "." + id }

// Setup makes sure that the streams and the two shared consumers are there and right, creating what lacks. It is to be
// called before anything else and again, with the same names, after every reconnect: a server may have changed its version
// or lost a stream.
func (b *Bus) Setup(ctx context.Context, t Topology) error {
	b.once.Do(func() {
		b.top = t
		b.top.Replicas = max(t.Replicas, 1)
	})
	if err := errors.Join(b.setupEvents(ctx), b.setupResults(ctx), b.setupRetries(ctx)); err != nil {
		return err
	}
	if err := errors.Join(b.mayPublish(ctx, b.top.Results.Prefix+".delivered.probe"), b.mayPublish(ctx, b.top.atSubject("probe")), b.mayWork(ctx)); err != nil {
		return err
	}
	b.stranded.reset()
	return nil
}

// mayPublish finds out whether the user may publish to a subject, before there is something to lose: the message names a
// stream that is none, so that the one that takes the subject refuses to store it.
func (b *Bus) mayPublish(ctx context.Context, subject string) error {
	mark := b.denied.mark()
	err := b.api(ctx, func(ctx context.Context) error {
		_, err := b.js().Publish(ctx, subject, nil, jetstream.WithExpectStream("-"))
		return err
	})
	if denied, _ := b.denied.since(mark, publishing(subject)); denied != nil {
		return denied
	}
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return nil
	}
	return err
}

// Schedules tells whether the server keeps schedules; where it does not, retries wait as delayed redeliveries.
func (b *Bus) Schedules() bool { return b.scheduled.Load() }

func (b *Bus) setupEvents(ctx context.Context) error {
	e := b.top.Events
	want := jetstream.StreamConfig{
		Name: e.Stream, Subjects: []string{e.Prefix + ".>"}, MaxAge: e.MaxAge, Storage: jetstream.FileStorage,
		Replicas: b.top.Replicas, Duplicates: window(e.MaxAge), Description: "Learning-platform events",
	}
	info, err := b.stream(ctx, want, "events.stream")
	if err != nil {
		return err
	}
	cfg := info.Config
	if cfg.Mirror == nil && len(cfg.Sources) == 0 && !overlaps(cfg.Subjects, e.Prefix+".>") {
		return fmt.Errorf("stream %s takes %s, none of it under %q: add %q to its subjects, or set events.stream and events.prefix to where the events are",
			e.Stream, strings.Join(cfg.Subjects, ", "), e.Prefix, e.Prefix+".>")
	}
	if !covers(cfg.Subjects, e.Prefix+".>") && cfg.Mirror == nil && len(cfg.Sources) == 0 {
		b.log(fmt.Sprintf("stream %s takes %s: events under %q outside of that are not kept, and fire nothing", e.Stream,
			strings.Join(cfg.Subjects, ", "), e.Prefix), nil)
	}
	consumer := jetstream.ConsumerConfig{
		Durable: e.Consumer, Description: "Shared by all daemons", FilterSubject: e.Prefix + ".>",
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1, MaxAckPending: maxAckPending,
		Replicas: b.top.Replicas,
	}
	b.events.start(&consumer, info.Created, e.All)
	have, err := b.consumer(ctx, e.Stream, consumer, "events.consumer")
	if err == nil {
		b.events.learn(info.Created, have)
	}
	return err
}

func (b *Bus) setupResults(ctx context.Context) error {
	r := b.top.Results
	want := jetstream.StreamConfig{
		Name: r.Stream, Subjects: []string{r.Prefix + ".>"}, MaxAge: r.MaxAge, Storage: jetstream.FileStorage,
		Replicas: b.top.Replicas, Duplicates: window(r.MaxAge), AllowDirect: true, Description: "Outcomes of webhooks",
	}
	info, err := b.stream(ctx, want, "results.stream")
	if err != nil {
		return err
	}
	if !covers(info.Config.Subjects, r.Prefix+".>") {
		return fmt.Errorf("stream %s takes %s, which does not cover %q: add it to its subjects, or set results.stream or results.prefix",
			r.Stream, strings.Join(info.Config.Subjects, ", "), r.Prefix+".>")
	}
	switch cfg := info.Config; {
	case cfg.Retention != jetstream.LimitsPolicy:
		return fmt.Errorf("stream %s has retention %s, by which outcomes would be gone once read: Bellhop needs limits; set results.stream to another name",
			r.Stream, strings.ToLower(cfg.Retention.String()))
	case cfg.NoAck:
		return errNoAck(r.Stream)
	case cfg.MaxMsgSize > 0 && cfg.MaxMsgSize < minOutcome:
		return fmt.Errorf("stream %s takes messages up to %d bytes (max_msg_size), too small for outcomes: raise it to %d or more, as in: nats stream edit %s --max-msg-size=-1",
			r.Stream, cfg.MaxMsgSize, minOutcome, r.Stream)
	}
	b.outcomeMax.Store(int64(info.Config.MaxMsgSize))
	return nil
}

// minOutcome is the least, in bytes, that the outcomes' stream must take in one message: any outcome without its bodies.
const minOutcome = 16 << 10

// errNoAck says that nothing sent to a stream is ever confirmed.
func errNoAck(stream string) error {
	return fmt.Errorf("stream %s confirms nothing (no_ack): Bellhop has to know what is stored; allow it, as in: nats stream edit %s --ack", stream, stream)
}

func (b *Bus) setupRetries(ctx context.Context) error {
	name := b.top.Retries
	want := jetstream.StreamConfig{
		Name: name, Subjects: []string{name + ".>"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
		Replicas: b.top.Replicas, Duplicates: dedupeWindow, AllowRollup: true, AllowMsgSchedules: true,
		Description: "Bellhop's own: attempts that wait. Never limit it",
	}
	info, err := b.stream(ctx, want, "retries.stream")
	if err != nil {
		return err
	}
	cfg := info.Config
	switch {
	case !covers(cfg.Subjects, name+".>"):
		return fmt.Errorf("stream %s takes %s, which does not cover %q: it is not Bellhop's; set retries.stream to another name",
			name, strings.Join(cfg.Subjects, ", "), name+".>")
	case cfg.Retention != jetstream.WorkQueuePolicy:
		return fmt.Errorf("stream %s has retention %s, not workqueue: it is not Bellhop's; set retries.stream to another name",
			name, strings.ToLower(cfg.Retention.String()))
	case cfg.NoAck:
		return errNoAck(name)
	}
	// A limit would drop the oldest retries without a word.
	var limits []string
	for _, l := range []struct {
		name string
		set  bool
	}{
		{"max_bytes", cfg.MaxBytes > 0}, {"max_msgs", cfg.MaxMsgs > 0}, {"max_age", cfg.MaxAge > 0},
		{"max_msgs_per_subject", cfg.MaxMsgsPerSubject > 0}, {"max_msg_size", cfg.MaxMsgSize > 0},
	} {
		if l.set {
			limits = append(limits, l.name)
		}
	}
	if len(limits) > 0 {
		return fmt.Errorf("stream %s has a limit (%s), by which retries would be lost: remove it, as in: nats stream edit %s --max-bytes=-1 --max-msgs=-1 --max-age=0 --max-msg-size=-1",
			name, strings.Join(limits, ", "), name)
	}
	if !cfg.AllowMsgSchedules {
		// Made on an older server: the same stream can schedule once the server can. An older one drops the flag silently, so
		// what it returns decides.
		cfg.AllowMsgSchedules, cfg.AllowRollup, cfg.DenyPurge = true, true, false
		err := b.api(ctx, func(ctx context.Context) error {
			s, err := b.js().UpdateStream(ctx, cfg)
			if err == nil {
				cfg = s.CachedInfo().Config
			}
			return err
		})
		if err != nil {
			b.log("stream "+name+" cannot be given schedules; retries wait as delayed redeliveries", err)
			cfg.AllowMsgSchedules = false
		}
	}
	b.scheduled.Store(cfg.AllowMsgSchedules)
	_, err = b.consumer(ctx, name, jetstream.ConsumerConfig{
		Durable: dueConsumer, Description: "Retries that have fallen due", FilterSubject: name + ".due.>",
		DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1,
		// Delayed redeliveries count as pending, and any number of retries may wait.
		MaxAckPending: -1, Replicas: b.top.Replicas,
	}, "retries.stream")
	return err
}

// stream returns the stream's state, creating it where it is not there.
func (b *Bus) stream(ctx context.Context, want jetstream.StreamConfig, key string) (*jetstream.StreamInfo, error) {
	var s jetstream.Stream
	err := b.api(ctx, func(ctx context.Context) (err error) {
		s, err = b.js().Stream(ctx, want.Name)
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = b.api(ctx, func(ctx context.Context) (err error) {
			s, err = b.js().CreateStream(ctx, want)
			return err
		})
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			// Another daemon created it in between.
			return b.stream(ctx, want, key)
		}
		if err != nil {
			return nil, b.createError(ctx, want, key, err)
		}
		b.log("created stream "+want.Name, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s (%s): %w", want.Name, key, err)
	}
	return s.CachedInfo(), nil
}

func (b *Bus) createError(ctx context.Context, want jetstream.StreamConfig, key string, err error) error {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("create stream %s (%s): %w", want.Name, key, err)
	}
	hint := ""
	switch {
	case strings.Contains(api.Description, "overlap"):
		other := "another stream"
		_ = b.api(ctx, func(ctx context.Context) error {
			name, err := b.js().StreamNameBySubject(ctx, want.Subjects[0])
			if err == nil {
				other = "stream " + name
			}
			return err
		})
		hint = fmt.Sprintf(": %s takes %s already; set %s to it, or choose another prefix", other, want.Subjects[0], key)
	case strings.Contains(api.Description, "replicas"):
		hint = ": set nats.replicas to what the cluster can hold"
	case strings.Contains(api.Description, "insufficient"), strings.Contains(api.Description, "resource"):
		hint = ": the server or account has no room for it: free some, or raise its limits"
	}
	return fmt.Errorf("create stream %s (%s): %w%s", want.Name, key, err, hint)
}

// workQueueCode is the server's refusal of a consumer of a work queue that does not begin at its beginning.
const workQueueCode jetstream.ErrorCode = 10101

// consumer makes sure that a durable pull consumer is there and right, and returns its state.
func (b *Bus) consumer(ctx context.Context, stream string, want jetstream.ConsumerConfig, key string) (*jetstream.ConsumerInfo, error) {
	var c jetstream.Consumer
	err := b.api(ctx, func(ctx context.Context) (err error) {
		c, err = b.js().Consumer(ctx, stream, want.Durable)
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		err = b.api(ctx, func(ctx context.Context) (err error) {
			c, err = b.js().CreateOrUpdateConsumer(ctx, stream, want)
			return err
		})
		if err != nil {
			var api *jetstream.APIError
			if errors.As(err, &api) && api.ErrorCode == workQueueCode {
				err = fmt.Errorf("a work queue hands out all that it holds, from its beginning: set events.start to all: %w", err)
			}
			return nil, fmt.Errorf("create consumer %s on stream %s (%s): %w", want.Durable, stream, key, err)
		}
		return c.CachedInfo(), nil
	case errors.Is(err, jetstream.ErrNotPullConsumer):
		return nil, fmt.Errorf("consumer %s on stream %s pushes: Bellhop needs a pull consumer; remove it, or set %s to another name", want.Durable, stream, key)
	case err != nil:
		return nil, fmt.Errorf("consumer %s on stream %s (%s): %w", want.Durable, stream, key, err)
	}
	have := c.CachedInfo().Config
	switch {
	case have.AckPolicy != jetstream.AckExplicitPolicy:
		return nil, fmt.Errorf("consumer %s on stream %s has ack policy %s, Bellhop needs explicit: remove it, or set %s to another name",
			want.Durable, stream, have.AckPolicy, key)
	case have.FilterSubject != want.FilterSubject:
		return nil, fmt.Errorf("consumer %s on stream %s reads %q, Bellhop needs %q: remove it, or set %s to another name",
			want.Durable, stream, have.FilterSubject, want.FilterSubject, key)
	}
	if have.AckWait == want.AckWait && have.MaxDeliver == want.MaxDeliver && have.MaxAckPending == want.MaxAckPending && len(have.BackOff) == 0 {
		return c.CachedInfo(), nil
	}
	have.AckWait, have.MaxDeliver, have.MaxAckPending, have.BackOff = want.AckWait, want.MaxDeliver, want.MaxAckPending, nil
	err = b.api(ctx, func(ctx context.Context) (err error) {
		c, err = b.js().UpdateConsumer(ctx, stream, have)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("update consumer %s on stream %s (%s): ack wait %s, unlimited deliveries, max ack pending %d: %w",
			want.Durable, stream, key, want.AckWait, want.MaxAckPending, err)
	}
	return c.CachedInfo(), nil
}

// window is the deduplication window of a stream: never longer than the stream keeps its messages.
func window(maxAge time.Duration) time.Duration {
	if maxAge > 0 && maxAge < dedupeWindow {
		return maxAge
	}
	return dedupeWindow
}

// covers tells whether one of the patterns takes every subject that want takes.
func covers(patterns []string, want string) bool {
	for _, p := range patterns {
		if subset(strings.Split(want, "."), strings.Split(p, ".")) {
			return true
		}
	}
	return false
}

// subset tells whether every subject of pattern a is one of pattern b.
func subset(a, b []string) bool {
	for i, tok := range b {
		if tok == ">" {
			return len(a) > i
		}
		if i >= len(a) || a[i] == ">" || (tok != "*" && tok != a[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

// overlaps tells whether one of the patterns takes any subject that want takes.
func overlaps(patterns []string, want string) bool {
	for _, p := range patterns {
		if collide(strings.Split(want, "."), strings.Split(p, ".")) {
			return true
		}
	}
	return false
}

func collide(a, b []string) bool {
	for i := 0; ; i++ {
		switch {
		case i == len(a) || i == len(b):
			return len(a) == len(b)
		case a[i] == ">" || b[i] == ">":
			return true
		case a[i] != b[i] && a[i] != "*" && b[i] != "*":
			return false
		}
	}
}
