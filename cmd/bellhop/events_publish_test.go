package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"bellhop/config"
	"bellhop/dispatcher/bus"
)

// startBus starts an embedded server that listens on a free port, with the default streams, for one test.
func startBus(t *testing.T, streams bool) *bus.Server {
	t.Helper()
	server, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0", User: "ann", Password: "hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	if streams {
		b, err := bus.Connect(t.Context(), bus.Options{Server: server, User: "ann", Password: "hunter2"})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		top := bus.Topology{
			Events:  bus.EventsTopology{Stream: "EVENTS", Prefix: "events", Consumer: "bellhop"},
			Results: bus.ResultsTopology{Stream: "WEBHOOKS", Prefix: "webhooks"},
			Retries: "WEBHOOK_RETRIES",
		}
		if err := b.Setup(t.Context(), top); err != nil {
			t.Fatal(err)
		}
	}
	return server
}

func TestEventsPublish(t *testing.T) {
	t.Chdir(t.TempDir())
	server := startBus(t, true)
	t.Setenv("BELLHOP_NATS__LISTEN", strings.TrimPrefix(server.URL(), "nats://"))
	t.Setenv("BELLHOP_NATS__USER", "ann")

	r := bellhop(t, `{"a":1}`, "events", "publish", "--type", "course.completed")
	r.wants(t, exitFailed, "", "bellhop: ")
	if strings.Contains(r.errors, "hunter2") {
		t.Errorf("the error %q holds the password", r.errors)
	}

	t.Setenv("BELLHOP_NATS__PASSWORD", "hunter2")
	bellhop(t, `{"a":1}`, "events", "publish", "--type", "course.completed").
		wants(t, exitDone, "published course.completed as EVENTS 1\n", "")
	bellhop(t, "{\n \"a\": 2\n}\n", "events", "publish", "--type", "course.completed", "-").
		wants(t, exitDone, "published course.completed as EVENTS 2\n", "")
	bellhop(t, "{\"a\":3}\n{\"a\":4}\n", "events", "publish", "--type", "course.completed").
		wants(t, exitDone, "published 2 events course.completed as EVENTS 3 to 4\n", "")
	bellhop(t, `{"a":5}`, "events", "publish", "--type", "lesson.done").
		wants(t, exitDone, "published lesson.done as EVENTS 5\n", "warning: lesson.done is not in the catalogue")
	bellhop(t, `{"specversion":"1.0"}`, "events", "publish", "--type", "course.completed").
		wants(t, exitDone, "EVENTS 6\n", "warning: line 1: daemons will reject this event: ")

	// One that the server would not take, behind one that it would: none is published, so that the next is 7.
	bellhop(t, "{\"a\":1}\n{\"a\":\""+strings.Repeat("x", 8<<20)+"\"}\n", "events", "publish", "--type", "course.completed").
		wants(t, exitFailed, "", "bellhop: nothing was published: line 2: 8388616 bytes, and the server takes 8388608\n")

	bellhop(t, `{"a":7}`, "events", "publish", "--type", "course.completed", "--id", "evt-7").
		wants(t, exitDone, "EVENTS 7\n", "")
	bellhop(t, `{"a":7}`, "events", "publish", "--type", "course.completed", "--id", "evt-7").
		wants(t, exitDone, "EVENTS 7 (a duplicate: the stream had it already)\n", "")

	r = bellhop(t, "{\"a\":8}\n{\"a\":9}\n{\"a\":10}\n", "events", "publish", "--type", "group.joined", "-o", "json", "--parallel", "3")
	r.wants(t, exitDone, `"duplicate": false`, "")
	var acks []published
	if err := json.Unmarshal([]byte(r.out), &acks); err != nil || len(acks) != 3 || acks[0].Stream != "EVENTS" {
		t.Errorf("events publish -o json = %s (%v), want three confirmations of EVENTS", r.out, err)
	}
	sum := uint64(0)
	for _, ack := range acks {
		sum += ack.Seq
	}
	if sum != 8+9+10 {
		t.Errorf("the sequences of %v add up to %d, want those of 8, 9 and 10", acks, sum)
	}
}

func TestEventsPublishWithoutStream(t *testing.T) {
	t.Chdir(t.TempDir())
	server := startBus(t, false)
	t.Setenv("BELLHOP_NATS__URL", strings.Replace(server.URL(), "nats://", "nats://ann:hunter2@", 1))
	r := bellhop(t, `{"a":1}`, "events", "publish", "--type", "course.completed")
	r.wants(t, exitFailed, "", "try: bellhop serve, which creates the stream\n")
	if strings.Contains(r.errors, "hunter2") {
		t.Errorf("the error %q holds the password", r.errors)
	}
}

func TestEventsPublishSaysWhatToTry(t *testing.T) {
	t.Chdir(t.TempDir())
	server, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0", User: "ann", Password: "hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	listen := strings.TrimPrefix(server.URL(), "nats://")
	for _, tt := range []struct {
		name string
		args []string
		want int
		errs string
	}{
		// An id is a header: a line feed in it would end the header, or silently become something else.
		{"a line feed in the id", []string{"--id", "a\nb"}, exitUsage, "bellhop: --id \"a\\nb\" has a control character\ntry: bellhop events publish --help\n"},
		// The server is there: to start one is no help.
		{"a wrong password", []string{"--nats.listen", listen, "--nats.user", "ann", "--nats.password", "x"}, exitFailed, "\ntry: bellhop config show, for the keys of nats\n"},
		{"nobody there", []string{"--nats.listen", "127.0.0.1:1"}, exitFailed, "\ntry: bellhop serve\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bellhop(t, `{"a":1}`, append([]string{"events", "publish", "--type", "course.completed"}, tt.args...)...).wants(t, tt.want, "", tt.errs)
		})
	}
}

// fakeBus confirms everything but one document.
type fakeBus struct {
	fails string

	mu   sync.Mutex
	seq  uint64
	seen []string
}

func (f *fakeBus) Publish(ctx context.Context, m bus.Msg) (bus.Ack, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, string(m.Data))
	if string(m.Data) == f.fails {
		return bus.Ack{}, errors.New("the bus is away")
	}
	f.seq++
	return bus.Ack{Stream: "EVENTS", Seq: f.seq}, nil
}

func TestPublicationKeepsOrder(t *testing.T) {
	docs := numbered(50)
	to := &fakeBus{}
	acks, err := publication{to: to, subject: "events.a.b", parallel: 1, progress: func() {}}.run(t.Context(), docs)
	if err != nil || len(acks) != len(docs) {
		t.Fatalf("run = %d confirmations, %v, want %d", len(acks), err, len(docs))
	}
	for i, seen := range to.seen {
		if seen != string(docs[i].text) {
			t.Fatalf("message %d is %s, want %s", i, seen, docs[i].text)
		}
	}
}

func TestPublicationStopsAtTheFirstFailure(t *testing.T) {
	docs := numbered(50)
	to := &fakeBus{fails: "20"}
	acks, err := publication{to: to, subject: "events.a.b", parallel: 1, progress: func() {}}.run(t.Context(), docs)
	if err == nil || err.Error() != "published 20 of 50: line 21: the bus is away" {
		t.Errorf("run fails with %v, want it to say how far it came, the line and the reason", err)
	}
	if len(acks) != 20 || len(to.seen) != 21 {
		t.Errorf("run gave %d confirmations for %d messages, want 20 for 21", len(acks), len(to.seen))
	}
}

func TestPublicationEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	to := &fakeBus{}
	_, err := publication{to: to, subject: "events.a.b", parallel: 4, progress: func() {}}.run(ctx, numbered(10))
	if !errors.Is(err, context.Canceled) || len(to.seen) > 0 {
		t.Errorf("run of a cancelled context = %v after %d messages, want that and none", err, len(to.seen))
	}
}

func numbered(n int) []document {
	docs := make([]document, n)
	for i := range docs {
		docs[i] = document{line: i + 1, text: []byte(fmt.Sprint(i))}
	}
	return docs
}

func TestBusOptions(t *testing.T) {
	for _, tt := range []struct{ url, listen, want string }{
		{"nats://bus.example.com:4222", "127.0.0.1:4222", "nats://bus.example.com:4222"},
		{"", "127.0.0.1:4333", "nats://127.0.0.1:4333"},
		{"", "0.0.0.0:4333", "nats://127.0.0.1:4333"},
		{"", "[::]:4333", "nats://127.0.0.1:4333"},
		{"", ":4333", "nats://127.0.0.1:4333"},
		{"", "[::1]:4333", "nats://[::1]:4333"},
		{"", "", ""},
	} {
		s := &config.Settings{NATS: config.NATS{URL: tt.url, Listen: tt.listen}}
		o, err := busOptions(s)
		if o.URL != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("busOptions(url %q, listen %q) = %q, %v, want %q", tt.url, tt.listen, o.URL, err, tt.want)
		}
	}
}

func TestCheckType(t *testing.T) {
	for _, good := range []string{"course.completed", "a", "a.b.c", "Über.x-1"} {
		if err := checkType(good); err != nil {
			t.Errorf("checkType(%q) = %v, want it to pass", good, err)
		}
	}
	for _, bad := range []string{"", ".", "a.", ".a", "a..b", "a.*", "a.>", "a b", "a\tb", "a\x00"} {
		if err := checkType(bad); err == nil {
			t.Errorf("checkType(%q) passes, want an error", bad)
		}
	}
}
