package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestPullGivesWhatIsAskedFor(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		for i := range 10 {
			publish(t, b, "events.course.completed", "", fmt.Sprint(i))
		}
		p := puller(t, b.Events)
		var got []string
		take := func(m *Message) {
			got = append(got, string(m.Data))
			ack(t, m)
		}
		if n, err := p.Pull(t.Context(), 3, 2*time.Second, take); n != 3 || err != nil || len(got) != 3 {
			t.Errorf("Pull of 3 from 10 = %d, %v, with %d handled", n, err, len(got))
		}
		started := time.Now()
		if n, err := p.Pull(t.Context(), 20, 500*time.Millisecond, take); n != 7 || err != nil {
			t.Errorf("Pull of 20 from 7 = %d, %v; want 7", n, err)
		}
		if took := time.Since(started); took < 400*time.Millisecond || took > 1400*time.Millisecond {
			t.Errorf("Pull of more than there is ended after %s, want its expiry of 500ms", took)
		}
		if n, err := p.Pull(t.Context(), 1, 200*time.Millisecond, take); n != 0 || err != nil {
			t.Errorf("Pull of nothing = %d, %v", n, err)
		}
		for i, data := range got {
			if data != fmt.Sprint(i) {
				t.Errorf("message %d was %q: out of order", i, data)
			}
		}
	})
}

func TestPullWaitsForWhatComes(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		p := puller(t, b.Events)
		type result struct {
			n   int
			err error
		}
		done := make(chan result, 1)
		go func() {
			n, err := p.Pull(t.Context(), 2, 5*time.Second, func(m *Message) { _ = m.Replier.Ack(t.Context()) })
			done <- result{n, err}
		}()
		publish(t, b, "events.a.b", "", "1")
		publish(t, b, "events.a.b", "", "2")
		started := time.Now()
		if r := <-done; r.n != 2 || r.err != nil {
			t.Errorf("Pull = %d, %v; want 2", r.n, r.err)
		}
		if took := time.Since(started); took > 2*time.Second {
			t.Errorf("Pull returned %s after its last message, want at once", took)
		}
	})
}

func TestMessageSaysWhereItComesFrom(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		before := time.Now().Add(-time.Second)
		_, err := b.Publish(t.Context(), Msg{
			Subject: "events.course.completed", Data: []byte("data"), Header: map[string][]string{"ce-id": {"one"}, "Ce-Source": {"two", "three"}},
		})
		if err != nil {
			t.Fatalf("Publish: %v", err)
		}
		p := puller(t, b.Events)
		m, _ := pullOne(t, p, 5*time.Second)
		if m.Stream != "EVENTS" || m.Seq != 1 || m.Delivered != 1 || m.Subject != "events.course.completed" || string(m.Data) != "data" {
			t.Errorf("the message = %+v", m)
		}
		if m.Time.Before(before) || m.Time.After(time.Now().Add(time.Second)) || m.Time.Location() != time.UTC {
			t.Errorf("stored at %s, want now, in UTC", m.Time)
		}
		// Names keep their case: headers are told apart by whoever reads them.
		if len(m.Header["ce-id"]) != 1 || len(m.Header["Ce-Source"]) != 2 {
			t.Errorf("headers = %v", m.Header)
		}
		if err := m.Replier.Nak(0); err != nil {
			t.Fatalf("Nak: %v", err)
		}
		started := time.Now()
		m, at := pullOne(t, p, 5*time.Second)
		if m.Delivered != 2 || m.Seq != 1 {
			t.Errorf("given back, it came as delivery %d of %d, want 2 of 1", m.Delivered, m.Seq)
		}
		if took := at.Sub(started); took > time.Second {
			t.Errorf("given back, it came again after %s, want at once", took)
		}
		if err := m.Replier.Nak(700 * time.Millisecond); err != nil {
			t.Fatalf("Nak: %v", err)
		}
		started = time.Now()
		m, at = pullOne(t, p, 5*time.Second)
		if took := at.Sub(started); took < 650*time.Millisecond || took > 2*time.Second {
			t.Errorf("given back for 700ms, it came after %s", took)
		}
		ack(t, m)
		if n := ackPending(t, b, "EVENTS", "bellhop"); n != 0 {
			t.Errorf("%d are held after Ack returned", n)
		}
	})
}

// TestPullHandsOverWhatIsOnItsWay ends pulls at every moment of a stream of messages: what the server has sent to a puller is
// handed to it, for a message that nobody holds nor gives back would be nobody's for the whole ack wait.
func TestPullHandsOverWhatIsOnItsWay(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		publishing, stop := context.WithCancel(t.Context())
		var published atomic.Int64
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for publishing.Err() == nil {
					if _, err := b.Publish(publishing, Msg{Subject: "events.a.b", Data: []byte("{}")}); err == nil {
						published.Add(1)
					}
				}
			})
		}
		const rounds = 50
		seen, naks := map[uint64]int{}, map[uint64]int{}
		lost := 0
		for round := range rounds {
			p, err := b.Events()
			if err != nil {
				t.Fatalf("Events: %v", err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			n := 0
			take := func(m *Message) {
				n++
				if m.Delivered != naks[m.Seq]+1 {
					lost++
				}
				if n == 1+round%23 {
					cancel(errEnded)
				}
				if round%2 == 0 && ctx.Err() != nil {
					if err := m.Replier.Nak(0); err != nil {
						t.Errorf("Nak: %v", err)
					}
					naks[m.Seq]++
					return
				}
				seen[m.Seq]++
				ack(t, m)
			}
			got, err := p.Pull(ctx, 200, 2*time.Second, take)
			for err == nil && ctx.Err() == nil {
				var more int
				more, err = p.Pull(ctx, 200, 2*time.Second, take)
				got += more
			}
			if !errors.Is(err, errEnded) || got != n {
				t.Errorf("round %d: Pull = %d, %v; want the %d handled and the context's cause", round, got, err, n)
			}
			cancel(nil)
			p.Close()
		}
		stop()
		wg.Wait()
		// The rest.
		p := puller(t, b.Events)
		total := int(streamInfo(t, b, "EVENTS").State.LastSeq)
		for len(seen) < total {
			n, err := p.Pull(t.Context(), 500, time.Second, func(m *Message) {
				if m.Delivered != naks[m.Seq]+1 {
					lost++
				}
				seen[m.Seq]++
				ack(t, m)
			})
			if err != nil || n == 0 {
				t.Fatalf("Pull of the rest = %d, %v; %d of %d seen", n, err, len(seen), total)
			}
		}
		if lost > 0 {
			t.Errorf("%d of %d messages were sent to a puller and not handed over", lost, total)
		}
		if n := ackPending(t, b, "EVENTS", "bellhop"); n != 0 {
			t.Errorf("%d are held after all were acknowledged", n)
		}
		for seq, n := range seen {
			if n != 1 {
				t.Errorf("event %d was handed over and acknowledged %d times", seq, n)
			}
		}
	})
}

func TestPullEndsWithItsContext(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		p := puller(t, b.Events)
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := p.Pull(ctx, 10, 30*time.Second, func(*Message) {})
			done <- err
		}()
		until(t, 5*time.Second, "the pull waits at the server", func() bool {
			c, err := b.js().Consumer(t.Context(), "EVENTS", "bellhop")
			return err == nil && c.CachedInfo().NumWaiting == 1
		})
		started := time.Now()
		cancel(errEnded)
		if err := <-done; !errors.Is(err, errEnded) {
			t.Errorf("Pull = %v, want the context's cause", err)
		}
		if took := time.Since(started); took > time.Second {
			t.Errorf("Pull of a quiet stream took %s to end", took)
		}
		// What is published now is somebody else's at once.
		publish(t, b, "events.a.b", "", "x")
		started = time.Now()
		m, at := pullOne(t, puller(t, b.Events), 5*time.Second)
		if took := at.Sub(started); took > time.Second || m.Delivered != 1 {
			t.Errorf("the next puller got it after %s as delivery %d", took, m.Delivered)
		}
		ack(t, m)
	})
}

func TestPullFromWhatIsGone(t *testing.T) {
	each(t, func(t *testing.T, be backend, url string) {
		for _, c := range []struct {
			name   string
			during bool // else before
			gone   func(*Bus) error
		}{
			{"consumer deleted before", false, func(b *Bus) error { return b.js().DeleteConsumer(context.Background(), "EVENTS", "bellhop") }},
			{"consumer deleted during", true, func(b *Bus) error { return b.js().DeleteConsumer(context.Background(), "EVENTS", "bellhop") }},
			{"stream deleted before", false, func(b *Bus) error { return b.js().DeleteStream(context.Background(), "EVENTS") }},
			{"stream deleted during", true, func(b *Bus) error { return b.js().DeleteStream(context.Background(), "EVENTS") }},
		} {
			t.Run(c.name, func(t *testing.T) {
				b := ready(t, url) // makes anew what the last case took
				p := puller(t, b.Events)
				done := make(chan error, 1)
				pull := func() {
					_, err := p.Pull(t.Context(), 10, 2*time.Second, func(*Message) {})
					done <- err
				}
				if c.during {
					go pull()
					until(t, 5*time.Second, "the pull waits at the server", func() bool {
						c, err := b.js().Consumer(t.Context(), "EVENTS", "bellhop")
						return err == nil && c.CachedInfo().NumWaiting == 1
					})
				}
				if err := c.gone(b); err != nil {
					t.Fatalf("delete: %v", err)
				}
				started := time.Now()
				if !c.during {
					go pull()
				}
				if err := <-done; !errors.Is(err, ErrGone) || !Passing(err) {
					t.Errorf("Pull = %v, want ErrGone", err)
				}
				// An old server does not say so: then it shows when the pull is not ended.
				if took := time.Since(started); took > 4*time.Second || be.schedules && took > time.Second {
					t.Errorf("Pull took %s to notice", took)
				}
				// It works again once it is set up again.
				setup(t, b, testTopology())
				publish(t, b, "events.a.b", "", "x")
				m, _ := pullOne(t, puller(t, b.Events), 5*time.Second)
				ack(t, m)
			})
		}
	})
}

// TestConsumerMadeAnew: a consumer that somebody deletes goes on where it was, with what was not acknowledged and with what was
// published while it was gone.
func TestConsumerMadeAnew(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b := ready(t, url)
		for i := range 5 {
			publish(t, b, "events.a.b", "", fmt.Sprint("e", i+1))
		}
		p := puller(t, b.Events)
		for seq := uint64(1); seq <= 3; seq++ {
			m, _ := pullOne(t, p, 5*time.Second)
			if m.Seq != 3 {
				ack(t, m) // the third is held, the others wait
			}
		}
		until(t, 5*time.Second, "two are acknowledged", func() bool {
			backlog, err := b.Backlog(t.Context())
			return err == nil && backlog == Backlog{Pending: 2, Held: 1}
		})
		if err := b.js().DeleteConsumer(t.Context(), "EVENTS", "bellhop"); err != nil {
			t.Fatalf("DeleteConsumer: %v", err)
		}
		publish(t, b, "events.a.b", "", "e6")
		setup(t, b, testTopology())
		p = puller(t, b.Events)
		for seq := uint64(3); seq <= 6; seq++ {
			m, _ := pullOne(t, p, 5*time.Second)
			if m.Seq != seq {
				t.Fatalf("event %d came, want %d", m.Seq, seq)
			}
			ack(t, m)
		}
		// Of a stream that is made anew, all is new.
		if err := b.js().DeleteStream(t.Context(), "EVENTS"); err != nil {
			t.Fatalf("DeleteStream: %v", err)
		}
		admin := connect(t, Options{URL: url})
		if _, err := admin.js().CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}}); err != nil {
			t.Fatalf("CreateStream: %v", err)
		}
		publish(t, b, "events.a.b", "", "first of the new stream")
		setup(t, b, testTopology())
		if m, _ := pullOne(t, puller(t, b.Events), 5*time.Second); m.Seq != 1 {
			t.Errorf("event %d of the new stream came first, want 1", m.Seq)
		}
	})
}

// TestHeldMessages: what is held is nobody else's as long as its holder gives signs of life, and somebody else's soon after
// they end.
func TestHeldMessages(t *testing.T) {
	each(t, func(t *testing.T, _ backend, url string) {
		b, other := ready(t, url), ready(t, url)
		publish(t, b, "events.a.b", "", "silent")
		publish(t, b, "events.a.b", "", "alive")
		held := map[string]*Message{}
		for len(held) < 2 {
			m, _ := pullOne(t, puller(t, b.Events), 5*time.Second)
			held[string(m.Data)] = m
		}
		taken := time.Now()
		beat, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()
		wg.Go(func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-beat.Done():
					return
				case <-tick.C:
					if err := held["alive"].Replier.InProgress(); err != nil {
						t.Errorf("InProgress: %v", err)
					}
				}
			}
		})
		p := puller(t, other.Events)
		m, at := pullOne(t, p, 10*time.Second)
		if string(m.Data) != "silent" || m.Delivered != 2 {
			t.Fatalf("%q came as delivery %d, want the silent one as the second", m.Data, m.Delivered)
		}
		if took := at.Sub(taken); took < ackWait-500*time.Millisecond || took > ackWait+time.Second {
			t.Errorf("the silent message was handed over after %s, want about %s", took, ackWait)
		}
		ack(t, m)
		// Well beyond the ack wait: the other is still held.
		if n, err := p.Pull(t.Context(), 1, 2*time.Second, func(m *Message) { t.Errorf("%q was handed over while it was held", m.Data) }); n != 0 || err != nil {
			t.Errorf("Pull = %d, %v", n, err)
		}
		ack(t, held["alive"])
		if n := ackPending(t, b, "EVENTS", "bellhop"); n != 0 {
			t.Errorf("%d are held after all were acknowledged", n)
		}
	})
}
