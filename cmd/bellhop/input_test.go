package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// TestReadingEndsAtASignal: a command that waits for its input ends like any other, with nothing done.
func TestReadingEndsAtASignal(t *testing.T) {
	for _, line := range []string{"events publish --type a.b", "events publish --type a.b -", "rules test --event - --type a.b"} {
		in, feed := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		var out, errs bytes.Buffer
		ended := make(chan int, 1)
		go func() { ended <- runUntil(ctx, strings.Fields(line), in, &out, &errs) }()
		if _, err := feed.Write([]byte(`{"a":`)); err != nil { // it is reading now
			t.Fatal(err)
		}
		cancel()
		select {
		case status := <-ended:
			if status != exitFailed || out.Len() > 0 || !strings.Contains(errs.String(), "context canceled") {
				t.Errorf("%s: status %d, stdout %q, stderr %q, want %d and why", line, status, out.String(), errs.String(), exitFailed)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: still reading 10 s after it was to end", line)
		}
		if err := feed.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
