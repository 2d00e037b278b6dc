package bus

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestConsumerAheadOfItsStream: a server that loses what it had not written, by a full disk or a power cut, but has noted how far
// its consumers were, would give out none of the messages that take the lost ones' places.
func TestConsumerAheadOfItsStream(t *testing.T) {
	for _, tt := range []struct {
		about            string
		meanwhile, after int // events published before Bellhop is back, and after that
	}{
		{"nothing new yet", 0, 5},
		{"as many as were lost", 4, 1},
		{"more than were lost", 8, 1},
	} {
		t.Run(tt.about, func(t *testing.T) {
			t.Parallel()
			dir, start := restartable(t)
			s := start()
			b := ready(t, s.URL())
			take := func(p *Puller, n int) (got []string) {
				for range n {
					m, _ := pullOne(t, p, 5*time.Second)
					got = append(got, string(m.Data))
					ack(t, m)
				}
				return got
			}
			due := testTopology().dueSubject
			for i := range 3 {
				publish(t, b, "events.a.b", "", fmt.Sprint("kept ", i))
				publish(t, b, due(fmt.Sprint("kept", i)), "", fmt.Sprint("kept ", i))
			}
			events, retries := puller(t, b.Events), puller(t, b.Due)
			take(events, 3)
			take(retries, 2)
			s.Close()
			streams, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "*"))
			if err != nil || len(streams) != 3 {
				t.Fatalf("streams are in %v, %v, want three", streams, err)
			}
			saved := t.TempDir()
			for _, stream := range streams {
				if err := os.CopyFS(filepath.Join(saved, filepath.Base(stream)), os.DirFS(filepath.Join(stream, "msgs"))); err != nil {
					t.Fatal(err)
				}
			}
			s = start()
			until(t, 10*time.Second, "connected again", b.Connected)
			for i := range 4 {
				publish(t, b, "events.a.b", "", fmt.Sprint("lost ", i))
				publish(t, b, due(fmt.Sprint("lost", i)), "", fmt.Sprint("lost ", i))
			}
			take(puller(t, b.Events), 4)
			take(puller(t, b.Due), 5)
			if _, err := b.Backlog(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Close()
			for _, stream := range streams {
				if err := os.RemoveAll(filepath.Join(stream, "msgs")); err != nil {
					t.Fatal(err)
				}
				if err := os.CopyFS(filepath.Join(stream, "msgs"), os.DirFS(filepath.Join(saved, filepath.Base(stream)))); err != nil {
					t.Fatal(err)
				}
			}
			s = start()
			t.Cleanup(s.Close)
			until(t, 10*time.Second, "connected again", b.Connected)
			want := map[string]bool{}
			add := func(n int) {
				for range n {
					text := fmt.Sprint("new ", len(want))
					want[text] = true
					publish(t, b, "events.a.b", "", text)
					publish(t, b, due(fmt.Sprint("new", len(want))), "", text)
				}
			}
			add(tt.meanwhile)
			setup(t, b, testTopology())
			if _, err := b.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			add(tt.after)
			if _, err := b.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			for name, open := range map[string]func() (*Puller, error){"events": b.Events, "retries": b.Due} {
				missing := map[string]bool{}
				for text := range want {
					missing[text] = true
				}
				if name == "retries" {
					// It is there again, but was acknowledged before the loss.
					missing["kept 2"] = true
				}
				p := puller(t, open)
				t.Logf("%s: %d are to come", name, len(missing))
				for len(missing) > 0 {
					m, _ := pullOne(t, p, 5*time.Second)
					delete(missing, string(m.Data))
					ack(t, m)
				}
			}
			until(t, 5*time.Second, "no attempt is left in the stream", func() bool { return streamInfo(t, b, "WEBHOOK_RETRIES").State.Msgs == 0 })
		})
	}
}

// TestStrandedBehindAnUnacknowledgedOne: of two attempts the second was acknowledged, and the server has lost that it is gone. While
// the first is not acknowledged, nothing tells the second from one that was handed out.
func TestStrandedBehindAnUnacknowledgedOne(t *testing.T) {
	t.Parallel()
	dir, start := restartable(t)
	s := start()
	b := ready(t, s.URL())
	due := testTopology().dueSubject
	publish(t, b, due("first"), "", "first")
	publish(t, b, due("second"), "", "second")
	held := puller(t, b.Due)
	if n, err := held.Pull(t.Context(), 2, 5*time.Second, func(*Message) {}); n != 2 || err != nil {
		t.Fatalf("Pull: %d, %v, want both", n, err)
	}
	s.Close()
	found, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "WEBHOOK_RETRIES", "msgs"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the stream is in %v, %v", found, err)
	}
	saved := filepath.Join(t.TempDir(), "msgs")
	if err := os.CopyFS(saved, os.DirFS(found[0])); err != nil {
		t.Fatal(err)
	}
	s = start()
	until(t, 10*time.Second, "connected again", b.Connected)
	p := puller(t, b.Due)
	for acked := false; !acked; {
		m, _ := pullOne(t, p, 10*time.Second)
		if string(m.Data) == "second" {
			ack(t, m)
			acked = true
		}
	}
	s.Close()
	if err := os.RemoveAll(found[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(found[0], os.DirFS(saved)); err != nil {
		t.Fatal(err)
	}
	s = start()
	t.Cleanup(s.Close)
	until(t, 10*time.Second, "connected again", b.Connected)
	setup(t, b, testTopology())
	late := func(want int) {
		t.Helper()
		if n, err := b.Restore(t.Context()); n != want || err != nil {
			t.Errorf("Restore() = %d, %v, want %d", n, err, want)
		}
	}
	late(0)
	late(0) // the first one is still to be acknowledged
	p = puller(t, b.Due)
	m, _ := pullOne(t, p, 10*time.Second)
	if string(m.Data) != "first" {
		t.Fatalf("%q came, want the one that was not acknowledged", m.Data)
	}
	ack(t, m)
	if n, err := p.Pull(t.Context(), 1, time.Second, func(*Message) {}); n != 0 || err != nil {
		t.Fatalf("Pull: %d, %v, want none: the server takes the second for acknowledged", n, err)
	}
	late(0) // it might be on its way out
	late(1)
	m, _ = pullOne(t, p, 5*time.Second)
	if string(m.Data) != "second" {
		t.Errorf("%q came, want the stranded one", m.Data)
	}
	ack(t, m)
	late(0)
	until(t, 5*time.Second, "no attempt is left in the stream", func() bool { return streamInfo(t, b, "WEBHOOK_RETRIES").State.Msgs == 0 })
}
