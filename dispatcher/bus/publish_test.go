package bus

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestPublishTellsDuplicates(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		first := publish(t, b, "webhooks.delivered.course.completed", "d.1.1", "first")
		if first.Duplicate || first.Stream != "WEBHOOKS" || first.Seq != 1 {
			t.Errorf("the first Publish = %+v", first)
		}
		publish(t, b, "webhooks.delivered.course.completed", "d.1.2", "other")
		// Under another subject, too: the id decides.
		again := publish(t, b, "webhooks.failed.course.completed", "d.1.1", "second")
		if !again.Duplicate || again.Seq != first.Seq {
			t.Errorf("Publish of the same id = %+v, want a duplicate of %d", again, first.Seq)
		}
		data, err := b.Outcome(t.Context(), again.Seq)
		if err != nil || string(data) != "first" {
			t.Errorf("Outcome(%d) = %q, %v; want the first", again.Seq, data, err)
		}
	})
}

func TestPublishWhereNoStreamListens(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := connect(t, Options{URL: url})
		_, err := b.Publish(t.Context(), Msg{Subject: "nobody.reads.this"})
		if err == nil || !strings.Contains(err.Error(), "nobody.reads.this") || !Passing(err) {
			t.Errorf("Publish = %v, want a passing error that names the subject", err)
		}
		if _, err := b.Publish(canceled(t), Msg{Subject: "nobody.reads.this"}); err == nil {
			t.Error("Publish with an ended context returned no error")
		}
	})
}

func TestOutcomeThatIsGone(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		for _, seq := range []uint64{1, 1 << 40} {
			if data, err := b.Outcome(t.Context(), seq); data != nil || err != nil {
				t.Errorf("Outcome(%d) = %q, %v; want nothing", seq, data, err)
			}
		}
		publish(t, b, "webhooks.failed.x.y", "", "one")
		publish(t, b, "webhooks.failed.x.y", "", "two")
		s, err := b.js().Stream(t.Context(), "WEBHOOKS")
		if err != nil {
			t.Fatalf("Stream: %v", err)
		}
		if err := s.DeleteMsg(t.Context(), 1); err != nil {
			t.Fatalf("DeleteMsg: %v", err)
		}
		if data, err := b.Outcome(t.Context(), 1); data != nil || err != nil {
			t.Errorf("Outcome of what was deleted = %q, %v; want nothing", data, err)
		}
		if data, err := b.Outcome(t.Context(), 2); string(data) != "two" || err != nil {
			t.Errorf("Outcome(2) = %q, %v; want two", data, err)
		}
	})
}

func TestClosedConnectionPublishesNothing(t *testing.T) {
	t.Parallel()
	b, err := Connect(t.Context(), Options{URL: startEmbedded(t)})
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	setup(t, b, testTopology())
	b.Close()
	if b.Connected() {
		t.Error("Connected() = true after Close")
	}
	if _, err := b.Publish(t.Context(), Msg{Subject: "webhooks.failed.x"}); err == nil {
		t.Error("Publish after Close returned no error")
	}
	if err := b.Flush(t.Context()); err == nil {
		t.Error("Flush after Close returned no error")
	}
}

func TestPassing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("pull: %w", ErrGone), true},
		{fmt.Errorf("stream: %w", jetstream.ErrNoStreamResponse), true},
		{&jetstream.APIError{Code: 503, Description: "JetStream system temporarily unavailable"}, true},
		{&jetstream.APIError{Code: 400, Description: "bad request"}, false},
		{errors.Join(&PermissionError{}, fmt.Errorf("pull: %w", ErrGone)), false},
		{errors.New("stream X has a limit"), false},
	} {
		if got := Passing(c.err); got != c.want {
			t.Errorf("Passing(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestChangedAfterTheServerWent(t *testing.T) {
	t.Parallel()
	_, start := restartable(t)
	s := start()
	b := ready(t, s.URL())
	s.Close()
	<-b.Changed()
	if b.Connected() {
		t.Error("Connected() = true after the server went")
	}
	started := time.Now()
	if _, err := b.Publish(t.Context(), Msg{Subject: "webhooks.failed.x"}); err == nil || !Passing(err) {
		t.Errorf("Publish while the server is away = %v, want a passing error", err)
	}
	if took := time.Since(started); took > publishTimeout+2*time.Second {
		t.Errorf("Publish while the server is away took %s", took)
	}
	s = start()
	t.Cleanup(s.Close)
	until(t, 10*time.Second, "connected again", b.Connected)
	<-b.Changed()
	setup(t, b, testTopology())
	publish(t, b, "webhooks.failed.x", "", "{}")
}
