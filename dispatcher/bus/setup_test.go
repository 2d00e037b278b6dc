package bus

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestSetupCreatesAndRepeats(t *testing.T) {
	each(t, func(t *testing.T, be backend, url string) {
		b := ready(t, url)
		if b.Schedules() != be.schedules {
			t.Errorf("Schedules() = %v, want %v", b.Schedules(), be.schedules)
		}
		before := map[string]time.Time{}
		for _, name := range []string{"EVENTS", "WEBHOOKS", "WEBHOOK_RETRIES"} {
			before[name] = streamInfo(t, b, name).Created
		}
		// Again here, and by a second daemon.
		setup(t, b, testTopology())
		setup(t, connect(t, Options{URL: url}), testTopology())
		for name, created := range before {
			if now := streamInfo(t, b, name).Created; !now.Equal(created) {
				t.Errorf("Setup made stream %s anew", name)
			}
		}
		events, results, retries := streamInfo(t, b, "EVENTS").Config, streamInfo(t, b, "WEBHOOKS").Config, streamInfo(t, b, "WEBHOOK_RETRIES").Config
		if !covers(events.Subjects, "events.>") || events.MaxAge != 168*time.Hour || events.Storage != jetstream.FileStorage {
			t.Errorf("EVENTS = %+v", events)
		}
		if !covers(results.Subjects, "webhooks.>") || results.MaxAge != 168*time.Hour || results.Duplicates > 2*time.Minute {
			t.Errorf("WEBHOOKS = %+v", results)
		}
		if retries.Retention != jetstream.WorkQueuePolicy || retries.MaxAge != 0 || retries.MaxBytes > 0 || retries.MaxMsgs > 0 {
			t.Errorf("WEBHOOK_RETRIES = %+v", retries)
		}
		c, err := b.js().Consumer(t.Context(), "EVENTS", "bellhop")
		if err != nil {
			t.Fatalf("the events' consumer: %v", err)
		}
		if cfg := c.CachedInfo().Config; cfg.AckWait != ackWait || cfg.MaxDeliver != -1 || cfg.DeliverPolicy != jetstream.DeliverNewPolicy {
			t.Errorf("the events' consumer = %+v", cfg)
		}
	})
}

func TestSetupStartsWhereItIsTold(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := connect(t, Options{URL: url})
		if _, err := b.js().CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}}); err != nil {
			t.Fatalf("CreateStream: %v", err)
		}
		publish(t, b, "events.course.completed", "", "{}")
		fresh := testTopology()
		setup(t, b, fresh)
		all := testTopology()
		all.Events.Consumer, all.Events.All = "from-the-beginning", true
		second := connect(t, Options{URL: url})
		setup(t, second, all)
		publish(t, b, "events.course.completed", "", "{}")
		m, _ := pullOne(t, puller(t, b.Events), 5*time.Second)
		if m.Seq != 2 {
			t.Errorf("a consumer that starts new got event %d first, want 2", m.Seq)
		}
		ack(t, m)
		m, _ = pullOne(t, puller(t, second.Events), 5*time.Second)
		if m.Seq != 1 {
			t.Errorf("a consumer that starts at the beginning got event %d first, want 1", m.Seq)
		}
		ack(t, m)
	})
}

func TestSetupRefusesWhatIsWrong(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		admin := connect(t, Options{URL: url})
		stream := func(cfg jetstream.StreamConfig) func(*testing.T, Topology) {
			return func(t *testing.T, top Topology) {
				t.Helper()
				if _, err := admin.js().CreateStream(t.Context(), cfg); err != nil {
					t.Fatalf("CreateStream(%s): %v", cfg.Name, err)
				}
			}
		}
		consumer := func(stream string, cfg jetstream.ConsumerConfig) func(*testing.T, Topology) {
			return func(t *testing.T, top Topology) {
				t.Helper()
				if err := connect(t, Options{URL: url}).Setup(t.Context(), top); err != nil {
					t.Fatalf("Setup: %v", err)
				}
				if err := admin.js().DeleteConsumer(t.Context(), stream, cfg.Durable); err != nil {
					t.Fatalf("DeleteConsumer: %v", err)
				}
				if cfg.DeliverSubject != "" {
					if _, err := admin.js().CreateOrUpdatePushConsumer(t.Context(), stream, cfg); err != nil {
						t.Fatalf("CreateOrUpdatePushConsumer: %v", err)
					}
					return
				}
				if _, err := admin.js().CreateConsumer(t.Context(), stream, cfg); err != nil {
					t.Fatalf("CreateConsumer: %v", err)
				}
			}
		}
		work := jetstream.WorkQueuePolicy
		// Each case has names of its own, so that all run on one server: E, R, Q and e, w for case N are EN, RN, QN, eN, wN.
		for n, c := range []struct {
			name    string
			prepare func(n string) func(*testing.T, Topology)
			want    []string
		}{
			{"the events' stream takes other subjects", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "E" + n, Subjects: []string{"x" + n + ".>"}})
			}, []string{"stream E", "takes x", "events.prefix"}},
			{"the events' stream is a work queue, which is to begin with what is new", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "E" + n, Subjects: []string{"e" + n + ".>"}, Retention: work})
			}, []string{"stream E", "set events.start to all"}},
			{"the outcomes are gone once read", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "R" + n, Subjects: []string{"w" + n + ".>"}, Retention: jetstream.InterestPolicy})
			}, []string{"stream R", "retention interest", "results.stream"}},
			{"the outcomes' stream confirms nothing", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "R" + n, Subjects: []string{"w" + n + ".>"}, NoAck: true})
			}, []string{"stream R", "no_ack"}},
			{"no outcome fits its stream", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "R" + n, Subjects: []string{"w" + n + ".>"}, MaxMsgSize: 300})
			}, []string{"stream R", "up to 300 bytes", "max-msg-size"}},
			{"retries are limited in size", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "Q" + n, Subjects: []string{"Q" + n + ".>"}, Retention: work, MaxMsgSize: 1000})
			}, []string{"stream Q", "max_msg_size"}},
			{"another stream takes the events", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "OTHER" + n, Subjects: []string{"e" + n + ".>"}})
			}, []string{"stream OTHER", "takes e", "events.stream"}},
			{"another stream takes one kind of event", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "OTHER" + n, Subjects: []string{"e" + n + ".course.*"}})
			}, []string{"stream OTHER", "events.stream"}},
			{"the outcomes' stream takes other subjects", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "R" + n, Subjects: []string{"x" + n + ".>"}})
			}, []string{"stream R", "does not cover", "results.prefix"}},
			{"the outcomes' stream takes some of them", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "R" + n, Subjects: []string{"w" + n + ".failed.>"}})
			}, []string{"stream R", "does not cover", "results.stream"}},
			{"another stream takes the outcomes", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "OTHER" + n, Subjects: []string{"w" + n + ".>"}})
			}, []string{"stream OTHER", "results.stream"}},
			{"the retries' stream takes other subjects", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "Q" + n, Subjects: []string{"x" + n + ".>"}, Retention: work})
			}, []string{"stream Q", "not Bellhop's", "retries.stream"}},
			{"the retries' stream keeps its messages", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "Q" + n, Subjects: []string{"Q" + n + ".>"}})
			}, []string{"stream Q", "retention limits", "retries.stream"}},
			{"the retries' stream is limited in bytes", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{Name: "Q" + n, Subjects: []string{"Q" + n + ".>"}, Retention: work, MaxBytes: 1 << 20})
			}, []string{"has a limit (max_bytes)", "nats stream edit"}},
			{"the retries' stream is limited thrice", func(n string) func(*testing.T, Topology) {
				return stream(jetstream.StreamConfig{
					Name: "Q" + n, Subjects: []string{"Q" + n + ".>"}, Retention: work, MaxMsgs: 10, MaxAge: time.Hour, MaxMsgsPerSubject: 1,
				})
			}, []string{"max_msgs", "max_age", "max_msgs_per_subject"}},
			{"the events' consumer pushes", func(n string) func(*testing.T, Topology) {
				return consumer("E"+n, jetstream.ConsumerConfig{
					Durable: "bellhop", DeliverSubject: "push." + n, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "e" + n + ".>",
				})
			}, []string{"consumer bellhop on stream E", "pushes", "events.consumer"}},
			{"the events' consumer acknowledges all", func(n string) func(*testing.T, Topology) {
				return consumer("E"+n, jetstream.ConsumerConfig{Durable: "bellhop", AckPolicy: jetstream.AckAllPolicy, FilterSubject: "e" + n + ".>"})
			}, []string{"consumer bellhop on stream E", "ack policy", "events.consumer"}},
			{"the events' consumer reads less", func(n string) func(*testing.T, Topology) {
				return consumer("E"+n, jetstream.ConsumerConfig{
					Durable: "bellhop", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "e" + n + ".course.>",
				})
			}, []string{"consumer bellhop on stream E", ".course.>", "events.consumer"}},
			{"the events' consumer reads all", func(n string) func(*testing.T, Topology) {
				return consumer("E"+n, jetstream.ConsumerConfig{Durable: "bellhop", AckPolicy: jetstream.AckExplicitPolicy})
			}, []string{"consumer bellhop on stream E", `needs "e`, "events.consumer"}},
		} {
			id := string(rune('a' + n))
			top := Topology{
				Events:  EventsTopology{Stream: "E" + id, Prefix: "e" + id, Consumer: "bellhop"},
				Results: ResultsTopology{Stream: "R" + id, Prefix: "w" + id},
				Retries: "Q" + id,
			}
			t.Run(c.name, func(t *testing.T) {
				c.prepare(id)(t, top)
				err := connect(t, Options{URL: url}).Setup(t.Context(), top)
				if err == nil {
					t.Fatal("Setup returned no error")
				}
				for _, want := range c.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("Setup: %v; want it to hold %q", err, want)
					}
				}
				if Passing(err) {
					t.Errorf("Passing(%v) = true: waiting does not mend it", err)
				}
				if got := strings.Count(err.Error(), "\n"); got != 0 {
					t.Errorf("Setup gave %d errors for one problem: %v", got+1, err)
				}
			})
		}
	})
}

func TestSetupNamesAllThatIsWrong(t *testing.T) {
	t.Parallel()
	url := startEmbedded(t)
	b := connect(t, Options{URL: url})
	for _, name := range []string{"EVENTS", "WEBHOOKS", "WEBHOOK_RETRIES"} {
		if _, err := b.js().CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{"other." + name}}); err != nil {
			t.Fatalf("CreateStream: %v", err)
		}
	}
	err := b.Setup(t.Context(), testTopology())
	for _, name := range []string{"stream EVENTS", "stream WEBHOOKS", "stream WEBHOOK_RETRIES"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Setup = %v, want it to name %s", err, name)
		}
	}
}

func TestSetupMendsAnOlderConsumer(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := connect(t, Options{URL: url})
		if _, err := b.js().CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}}); err != nil {
			t.Fatalf("CreateStream: %v", err)
		}
		if _, err := b.js().CreateConsumer(t.Context(), "EVENTS", jetstream.ConsumerConfig{
			Durable: "bellhop", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "events.>", AckWait: 30 * time.Second, MaxDeliver: 3,
			MaxAckPending: 100,
		}); err != nil {
			t.Fatalf("CreateConsumer: %v", err)
		}
		setup(t, b, testTopology())
		c, err := b.js().Consumer(t.Context(), "EVENTS", "bellhop")
		if err != nil {
			t.Fatalf("Consumer: %v", err)
		}
		if cfg := c.CachedInfo().Config; cfg.AckWait != ackWait || cfg.MaxDeliver != -1 || cfg.MaxAckPending != maxAckPending {
			t.Errorf("the consumer = %+v, want ack wait %s, unlimited deliveries and %d pending", cfg, ackWait, maxAckPending)
		}
	})
}

func TestSetupUsesAMirror(t *testing.T) {
	t.Parallel()
	b := connect(t, Options{URL: startEmbedded(t)})
	if _, err := b.js().CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORIGIN", Subjects: []string{"events.>"}}); err != nil {
		t.Fatalf("CreateStream: %v", err)
	}
	if _, err := b.js().CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Mirror: &jetstream.StreamSource{Name: "ORIGIN"}}); err != nil {
		t.Fatalf("CreateStream: %v", err)
	}
	setup(t, b, testTopology())
	publish(t, b, "events.course.completed", "", "{}")
	m, _ := pullOne(t, puller(t, b.Events), 5*time.Second)
	ack(t, m)
	if m.Stream != "EVENTS" || m.Subject != "events.course.completed" {
		t.Errorf("a mirrored event came from %s as %s", m.Stream, m.Subject)
	}
}

func TestSetupGivesSchedulesToAnOlderStream(t *testing.T) {
	t.Parallel()
	b := connect(t, Options{URL: startEmbedded(t)})
	if _, err := b.js().CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "WEBHOOK_RETRIES", Subjects: []string{"WEBHOOK_RETRIES.>"}, Retention: jetstream.WorkQueuePolicy,
	}); err != nil {
		t.Fatalf("CreateStream: %v", err)
	}
	setup(t, b, testTopology())
	if !b.Schedules() {
		t.Error("Schedules() = false for a stream made by an older server")
	}
}
