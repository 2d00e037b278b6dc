package bus

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// TestRenewFiresWhatTheServerForgot: a server without room when an attempt falls due does not try it again by itself.
func TestRenewFiresWhatTheServerForgot(t *testing.T) {
	t.Parallel()
	url := startWith(t, &server.Options{JetStream: true, JetStreamMaxStore: 1 << 20})
	b, admin := ready(t, url), connect(t, Options{URL: url})
	filler, err := admin.js().CreateStream(t.Context(), jetstream.StreamConfig{Name: "FILLER", Subjects: []string{"filler"}})
	if err != nil {
		t.Fatal(err)
	}
	// Late enough for the server to be full by then, however busy the machine is.
	due := time.Now().Add(5 * time.Second)
	schedule(t, b, "forgotten", due, "forgotten")
	schedule(t, b, "later", due.Add(time.Hour), "later")
	full := &jetstream.APIError{}
	for n := 0; ; n++ {
		if _, err := admin.js().Publish(t.Context(), "filler", make([]byte, 1000)); errors.As(err, &full) {
			break
		} else if err != nil || n > 2000 {
			t.Fatalf("after %d messages: %v, want no room", n, err)
		}
	}
	if late := time.Since(due); late > 0 {
		t.Fatalf("the server was full %s after the attempt was due", late)
	}
	// It has tried by then: a schedule fires within a second.
	timer := time.NewTimer(time.Until(due) + 4*time.Second)
	<-timer.C
	if err := filler.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := puller(t, b.Due)
	n, err := p.Pull(t.Context(), 1, 2*time.Second, func(m *Message) { ack(t, m) })
	if err != nil || n > 0 {
		t.Fatalf("Pull: %d attempts, %v; want none, as the server does not try again by itself", n, err)
	}
	if n, err := b.Renew(t.Context()); n != 0 || err != nil {
		t.Errorf("Renew() before it is %s late = %d, %v, want none", overdueAfter, n, err)
	}
	until(t, overdueAfter+5*time.Second, "the forgotten one is scheduled again", func() bool {
		n, err := b.Renew(t.Context())
		if err != nil || n > 1 {
			t.Fatalf("Renew() = %d, %v, want at most one", n, err)
		}
		return n == 1
	})
	m, _ := pullOne(t, p, 5*time.Second)
	if string(m.Data) != "forgotten" {
		t.Errorf("%q fired, want the forgotten one", m.Data)
	}
	ack(t, m)
	if n, err := b.Renew(t.Context()); n != 0 || err != nil {
		t.Errorf("Renew() of what waits for its time = %d, %v, want none", n, err)
	}
}
