package main

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestStored: of the events that were asked for, and of no others; and nothing stays on the server.
func TestStored(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out what starts processes")
	}
	t.Setenv(asProgram, "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{self: self, dir: t.TempDir(), say: io.Discard}
	if err := b.startServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := b.reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Two of an hour ago, more of ten minutes ago than are read at a time, and two of now.
	const asked = storedBatch + 10
	const before, after = 2, 2
	if err := b.publish(t.Context(), before+asked+after, func(i int) *nats.Msg {
		ago := 10 * time.Minute
		switch {
		case i < before:
			ago = time.Hour
		case i >= before+asked:
			ago = 0
		}
		return eventOf(i, usualType, time.Now().Add(-ago), "SAFE-101", "")
	}); err != nil {
		t.Fatal(err)
	}
	got, err := b.stored(t.Context(), before, asked)
	if err != nil {
		t.Fatal(err)
	}
	if got.Count != asked || got.Max > 30*time.Minute || got.P50 < 10*time.Minute-time.Second {
		t.Errorf("stored = %+v, want %d, each about ten minutes", got, asked)
	}
	if least, err := b.stored(t.Context(), before+asked, after); err != nil || least.P50 > 5*time.Minute {
		t.Errorf("stored of the last = %+v, %v, want those of now", least, err)
	}
	s, err := b.js.Stream(t.Context(), eventsStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers stay behind, want none", n)
	}
}
