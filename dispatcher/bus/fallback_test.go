package bus

import (
	"testing"
	"time"
)

// TestWithoutSchedules is what retries do on a server that has no schedules: they are handed over at once and given back for
// the time that is left.
func TestWithoutSchedules(t *testing.T) {
	t.Parallel()
	s := startOld(t)
	b := ready(t, s.url)
	p := puller(t, b.Due)
	due := time.Now().Add(1200 * time.Millisecond)
	schedule(t, b, "d1", due, "first")
	schedule(t, b, "d1", due, "the same attempt again")
	if data, _, err := b.Scheduled(t.Context(), "d1"); err != nil || string(data) != "first" {
		t.Errorf("Scheduled(d1) = %q, %v; want the first", data, err)
	}
	m, at := pullOne(t, p, 2*time.Second)
	if at.After(due) {
		t.Error("it was not handed over at once")
	}
	if err := m.Replier.Nak(time.Until(due)); err != nil {
		t.Fatalf("Nak: %v", err)
	}
	m, at = pullOne(t, p, 5*time.Second)
	if late := at.Sub(due); late < 0 || late > time.Second {
		t.Errorf("given back until it was due, it came %s after that, want 0 to 1s", late)
	}
	if m.Delivered != 2 || string(m.Data) != "first" {
		t.Errorf("it came as delivery %d with %q, want 2 with the first", m.Delivered, m.Data)
	}
	ack(t, m)
	if data, _, err := b.Scheduled(t.Context(), "d1"); err != nil || data != nil {
		t.Errorf("Scheduled(d1) after its acknowledgement = %q, %v; want nothing", data, err)
	}

	schedule(t, b, "d2", time.Now().Add(time.Hour), "called off")
	if err := b.Unschedule(t.Context(), "d2", 1<<32); err != nil {
		t.Errorf("Unschedule: %v", err)
	}
	if n, err := p.Pull(t.Context(), 1, 300*time.Millisecond, func(m *Message) { t.Errorf("%q came, though it was called off", m.Data) }); n != 0 || err != nil {
		t.Errorf("Pull = %d, %v", n, err)
	}
}

// TestWithoutSchedulesOverACrash: the server forgets delays when it restarts, not messages.
func TestWithoutSchedulesOverACrash(t *testing.T) {
	t.Parallel()
	s := startOld(t)
	b := ready(t, s.url)
	due := time.Now().Add(time.Hour)
	schedule(t, b, "d1", due, "x")
	m, _ := pullOne(t, puller(t, b.Due), 2*time.Second)
	if err := m.Replier.Nak(time.Until(due)); err != nil {
		t.Fatalf("Nak: %v", err)
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatalf("Flush: %v", err)
	}
	s.kill(t)
	<-b.Changed()
	s.start(t)
	until(t, 10*time.Second, "connected again", b.Connected)
	setup(t, b, testTopology())
	m, _ = pullOne(t, puller(t, b.Due), 10*time.Second)
	if string(m.Data) != "x" {
		t.Errorf("after the crash %q came", m.Data)
	}
	ack(t, m)
}
