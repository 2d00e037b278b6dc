package bus

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// restricted starts a server with a user "bell" who lacks the subjects to publish and subscribe to, and "admin", who may all.
func restricted(t *testing.T, publish, subscribe []string) string {
	t.Helper()
	p := &server.Permissions{Publish: &server.SubjectPermission{Deny: publish}, Subscribe: &server.SubjectPermission{Deny: subscribe}}
	return startWith(t, &server.Options{JetStream: true, Users: []*server.User{
		{Username: "bell", Password: "x", Permissions: p}, {Username: "admin", Password: "x"},
	}})
}

func TestMissingPermissionIsNamedQuickly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name               string
		publish, subscribe []string
		want               []string // subjects that one error or another names
		not                []string
	}{
		{"to look at the events' stream", []string{"$JS.API.STREAM.INFO.EVENTS"}, nil, []string{"$JS.API.STREAM.INFO.EVENTS"}, []string{"WEBHOOKS"}},
		{"to create the events' stream", []string{"$JS.API.STREAM.CREATE.EVENTS"}, nil, []string{"$JS.API.STREAM.CREATE.EVENTS"}, []string{"WEBHOOKS"}},
		{
			"to create the events' consumer", []string{"$JS.API.CONSUMER.CREATE.EVENTS.>"}, nil,
			[]string{"$JS.API.CONSUMER.CREATE.EVENTS.bellhop.events.>"}, []string{"WEBHOOKS"},
		},
		{
			"to create any stream", []string{"$JS.API.STREAM.CREATE.>"}, nil,
			[]string{"$JS.API.STREAM.CREATE.EVENTS", "$JS.API.STREAM.CREATE.WEBHOOKS", "$JS.API.STREAM.CREATE.WEBHOOK_RETRIES"}, nil,
		},
		{"to pull events", []string{"$JS.API.CONSUMER.MSG.NEXT.EVENTS.>"}, nil, []string{"$JS.API.CONSUMER.MSG.NEXT.EVENTS.bellhop"}, []string{"WEBHOOK"}},
		{"to acknowledge retries", []string{"$JS.ACK.WEBHOOK_RETRIES.>"}, nil, []string{"$JS.ACK.WEBHOOK_RETRIES.due.probe"}, []string{"EVENTS"}},
		{"to follow outcomes", []string{"$JS.API.CONSUMER.CREATE.WEBHOOKS.>"}, nil, []string{"$JS.API.CONSUMER.CREATE.WEBHOOKS.probe"}, []string{"EVENTS"}},
		{"to hear of held lanes", nil, []string{"WEBHOOK_RETRIES.lane.*"}, []string{"WEBHOOK_RETRIES.lane.*"}, []string{"EVENTS", "_INBOX"}},
		{
			"two at once", []string{"$JS.API.STREAM.INFO.WEBHOOKS", "$JS.API.STREAM.CREATE.WEBHOOK_RETRIES"}, nil,
			[]string{"$JS.API.STREAM.INFO.WEBHOOKS", "$JS.API.STREAM.CREATE.WEBHOOK_RETRIES"}, []string{"EVENTS"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := connect(t, Options{URL: restricted(t, c.publish, c.subscribe), User: "bell", Password: "x"})
			started := time.Now()
			err := b.Setup(t.Context(), testTopology())
			if took := time.Since(started); took > 3*time.Second {
				t.Errorf("Setup took %s to say so, want less than 3s", took)
			}
			var denied *PermissionError
			if !errors.As(err, &denied) {
				t.Fatalf("Setup = %v, want a PermissionError", err)
			}
			for _, want := range c.want {
				if n := strings.Count(err.Error(), `"`+want+`"`); n != 1 {
					t.Errorf("Setup: %v; it names %q %d times, want once", err, want, n)
				}
			}
			for _, not := range c.not {
				if strings.Contains(err.Error(), not) {
					t.Errorf("Setup: %v; it names %s, which is allowed", err, not)
				}
			}
			if Passing(err) {
				t.Errorf("Passing(%v) = true: waiting does not mend it", err)
			}
		})
	}
}

func TestMissingPermissionToPublish(t *testing.T) {
	t.Parallel()
	url := restricted(t, []string{"webhooks.>"}, nil)
	setup(t, connect(t, Options{URL: url, User: "admin", Password: "x"}), testTopology())
	b := connect(t, Options{URL: url, User: "bell", Password: "x"})
	started := time.Now()
	_, err := b.Publish(t.Context(), Msg{Subject: "webhooks.delivered.course.completed"})
	if took := time.Since(started); took > 3*time.Second {
		t.Errorf("Publish took %s to say that it may not, want less than 3s", took)
	}
	var denied *PermissionError
	if !errors.As(err, &denied) || denied.Subject != "webhooks.delivered.course.completed" {
		t.Errorf("Publish = %v, want a PermissionError of the subject", err)
	}
}

func TestMissingPermissionToReceive(t *testing.T) {
	t.Parallel()
	url := restricted(t, nil, []string{"_INBOX.>"})
	started := time.Now()
	b, err := Connect(t.Context(), Options{URL: url, User: "bell", Password: "x"})
	if err == nil {
		t.Cleanup(b.Close)
		err = b.Setup(t.Context(), testTopology())
	}
	if took := time.Since(started); took > 3*time.Second {
		t.Errorf("it took %s to say that the inbox is refused, want less than 3s", took)
	}
	var denied *PermissionError
	if !errors.As(err, &denied) || !strings.HasPrefix(denied.Subject, "_INBOX.") || !strings.HasPrefix(denied.Operation, "subscribe") {
		t.Errorf("Connect and Setup = %v, want a PermissionError of the inbox", err)
	}
}

func TestMissingPermissionToPull(t *testing.T) {
	t.Parallel()
	url := restricted(t, []string{"$JS.API.CONSUMER.MSG.NEXT.EVENTS.>"}, nil)
	setup(t, connect(t, Options{URL: url, User: "admin", Password: "x"}), testTopology())
	b := connect(t, Options{URL: url, User: "bell", Password: "x"})
	// It may have been taken away after the set-up.
	b.top = testTopology()
	var denied *PermissionError
	_, err := puller(t, b.Events).Pull(t.Context(), 1, 300*time.Millisecond, func(*Message) {})
	if !errors.As(err, &denied) || denied.Subject != "$JS.API.CONSUMER.MSG.NEXT.EVENTS.bellhop" {
		t.Errorf("Pull = %v, want a PermissionError of the subject", err)
	}
}

func TestAccountInfoNeedsNoPermission(t *testing.T) {
	t.Parallel()
	b := connect(t, Options{URL: restricted(t, []string{"$JS.API.INFO"}, nil), User: "bell", Password: "x"})
	setup(t, b, testTopology())
}

func TestParsePermission(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]PermissionError{
		`nats: permissions violation: Permissions Violation for Publish to "a.b"`:                    {"publish to", "a.b"},
		`nats: permissions violation: Permissions Violation for Subscription to "_INBOX.x.*"`:        {"subscribe to", "_INBOX.x.*"},
		`nats: permissions violation: Permissions Violation for Subscription to "a" using queue "q"`: {"subscribe to", "a"},
		`nats: permissions violation: Permissions Violation for Publish with Reply of "_INBOX.x"`:    {"publish to", "_INBOX.x"},
		`nats: permissions violation`: {"publish to", ""},
	} {
		if got := parsePermission(text); *got != want {
			t.Errorf("parsePermission(%q) = %+v, want %+v", text, *got, want)
		}
	}
}
