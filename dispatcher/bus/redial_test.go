package bus

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// TestClosedForGood: on errors that it does not know the client gives the connection up and makes no other; the bus does, and what
// listened before goes on listening.
func TestClosedForGood(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		publish(t, b, "events.a.b", "", "held")
		m, _ := pullOne(t, puller(t, b.Events), 5*time.Second)
		heard := make(chan LaneHold, 8)
		stop, err := b.WatchLanes(func(h LaneHold) { heard <- h })
		if err != nil {
			t.Fatalf("WatchLanes: %v", err)
		}
		defer stop()
		for range 2 {
			old, life := b.nc(), b.life()
			// More than a server takes in one line, 4096 bytes where nothing else is configured.
			if err := old.Publish("webhooks.delivered."+strings.Repeat("x", 5000), nil); err != nil {
				t.Fatalf("Publish: %v", err)
			}
			until(t, 15*time.Second, "another connection stands", func() bool { return b.nc() != old && b.Connected() })
			if !old.IsClosed() || life.Err() == nil {
				t.Fatal("the old connection is not closed, or what was under way on it not ended")
			}
		}
		for length, fits := range map[int]bool{100: true, MaxSubject: true, MaxSubject + 1: false} {
			subject := "webhooks.delivered."
			subject += strings.Repeat("x", length-len(subject))
			if _, err := b.Publish(t.Context(), Msg{Subject: subject, Header: map[string][]string{MsgID: {subject[:64] + strconv.Itoa(length)}}}); (err == nil) != fits {
				t.Errorf("Publish to a subject of %d bytes on the new connection: %v", length, err)
			}
		}
		if err := m.Replier.Ack(t.Context()); err != nil {
			t.Errorf("Ack of what came on the old connection: %v", err)
		}
		if err := b.HoldLane(t.Context(), LaneHold{Lane: "http://a.example.com:80", Pause: true}); err != nil {
			t.Errorf("HoldLane: %v", err)
		}
		select {
		case h := <-heard:
			if h.Lane != "http://a.example.com:80" {
				t.Errorf("heard of %+v", h)
			}
		case <-time.After(5 * time.Second):
			t.Error("nothing is heard of a lane on the new connection")
		}
		publish(t, b, "events.a.b", "", "next")
		if m, _ := pullOne(t, puller(t, b.Events), 5*time.Second); m.Seq != 2 {
			t.Errorf("event %d came, want 2", m.Seq)
		}
	})
}

// TestCloseWhileRedialling: Close does not wait for a server that does not come back.
func TestCloseWhileRedialling(t *testing.T) {
	_, start := restartable(t)
	s := start()
	b := ready(t, s.URL())
	s.Close()
	b.nc().Close() // as the client does
	until(t, 5*time.Second, "the connection is gone", func() bool { return !b.Connected() })
	begin := time.Now()
	b.Close()
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("Close took %v", took)
	}
	b.Close() // again does no harm
}

// TestServerThatTakesLess: a server that is configured anew says nothing of it, and closes the connection over what it took before.
func TestServerThatTakesLess(t *testing.T) {
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(), MaxPayload: 1 << 20}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatalf("NewServer: %v", err)
	}
	go s.Start()
	defer func() {
		s.Shutdown()
		s.WaitForShutdown()
	}()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not take connections within 10s")
	}
	b := ready(t, s.ClientURL())
	defer b.Close()
	less := o.Clone()
	less.MaxPayload = 64 << 10
	if err := s.ReloadOptions(less); err != nil {
		t.Fatalf("ReloadOptions: %v", err)
	}
	if _, err := b.Publish(t.Context(), Msg{Subject: "events.a.b", Data: make([]byte, 300<<10)}); err == nil {
		t.Error("300 KiB are published, want an error")
	}
	until(t, 15*time.Second, "the new limit is known", func() bool { return b.Connected() && b.MaxPayload() == 64<<10 })
	publish(t, b, "events.a.b", "", "less")
}

// TestListenBetweenConnections: who comes to listen while no connection stands is heard on the next.
func TestListenBetweenConnections(t *testing.T) {
	b := ready(t, startEmbedded(t))
	old := b.nc()
	old.Close() // as the client does
	heard := make(chan LaneHold, 1)
	stop, err := b.WatchLanes(func(h LaneHold) { heard <- h })
	if err != nil {
		t.Fatalf("WatchLanes: %v", err)
	}
	until(t, 15*time.Second, "another connection stands", func() bool { return b.nc() != old && b.Connected() })
	if err := b.HoldLane(t.Context(), LaneHold{Lane: "http://a.example.com:80", Pause: true}); err != nil {
		t.Fatalf("HoldLane: %v", err)
	}
	select {
	case <-heard:
	case <-time.After(5 * time.Second):
		t.Error("nothing is heard of a lane")
	}
	stop()
}
