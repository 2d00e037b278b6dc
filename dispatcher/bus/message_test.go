package bus

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestMessageFromItsReply(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	sub := &nats.Subscription{}
	for _, c := range []struct {
		name, reply string
		want        Message
	}{
		{"of old servers", "$JS.ACK.EVENTS.bellhop.3.17.20.1772600767000000008.4", Message{Stream: "EVENTS", Seq: 17, Delivered: 3, Time: at}},
		{
			"with a domain and an account", "$JS.ACK.hub.hash.EVENTS.bellhop.1.9007199254740993.20.1772600767000000008.0.token",
			Message{Stream: "EVENTS", Seq: 9007199254740993, Delivered: 1, Time: at},
		},
		{"without a domain", "$JS.ACK._.hash.EVENTS.bellhop.1.17.20.1772600767000000008.0.token", Message{Stream: "EVENTS", Seq: 17, Delivered: 1, Time: at}},
	} {
		got, err := (&Bus{}).message(&nats.Msg{Subject: "events.a.b", Reply: c.reply, Sub: sub})
		if err != nil {
			t.Errorf("a reply %s: %v", c.name, err)
			continue
		}
		if got.Stream != c.want.Stream || got.Seq != c.want.Seq || got.Delivered != c.want.Delivered || !got.Time.Equal(c.want.Time) {
			t.Errorf("a reply %s gives %+v, want %+v", c.name, got, c.want)
		}
	}
	for _, reply := range []string{"", "$JS.ACK", "$JS.ACK.EVENTS.bellhop.3", "_INBOX.abc", "$JS.API.EVENTS.bellhop.3.17.20.1.4"} {
		if m, err := (&Bus{}).message(&nats.Msg{Subject: "events.a.b", Reply: reply, Sub: sub}); err == nil {
			t.Errorf("the reply %q gives %+v, want an error", reply, m)
		}
	}
}
