package endpoint

import (
	"context"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// stacks gives the stacks of all goroutines.
func stacks() []string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			return strings.Split(string(buf[:n]), "\n\n")
		}
		buf = make([]byte, 2*len(buf))
	}
}

func countStacks(function string) int {
	n := 0
	for _, s := range stacks() {
		if strings.Contains(s, function) {
			n++
		}
	}
	return n
}

// A POST that hangs costs the goroutine that makes it, and no other.
func TestPostHangsInOneGoroutine(t *testing.T) {
	onlyDirect(t)
	const posts = 100
	rcv := newReceiver(t, hang("HTTP/1.1 200 OK\r\nA: b\r\n"))
	c := newClient(t, ClientOptions{Workers: posts, PerEndpoint: posts})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	r := Request{URL: mustParse(t, "http://"+rcv.addr), Timeout: time.Minute}
	for range posts {
		wg.Go(func() { c.Post(ctx, r) })
	}
	eventually(t, "all POSTs to be read", func() bool { return len(rcv.requests()) == posts })
	eventually(t, "all POSTs to wait for the rest of the headers", func() bool { return countStacks("endpoint.(*reader).fill") == posts })
	if n := countStacks("endpoint.(*Client).Post"); n != posts {
		t.Errorf("%d POSTs that hang are in %d goroutines", posts, n)
	}
	// What else there is, the receiver and the test have started: one for each connection, and a few.
	if n := runtime.NumGoroutine(); n > 2*posts+20 {
		t.Errorf("%d POSTs that hang take %d goroutines, their receiver's included", posts, n)
	}
}

// What a receiver sends costs the memory that the bounds allow, however much it is.
func TestPostAllocatesWithinBounds(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	for what, tt := range map[string]struct {
		first, more string
		most        uint64
	}{
		"endless headers":        {"HTTP/1.1 200 OK\r\n", strings.Repeat("X: y\r\n", 10_000), 64 << 10},
		"an endless header":      {"HTTP/1.1 200 OK\r\nX: ", long, 300 << 10},
		"an endless status line": {"HTTP/1.1 200 ", long, 300 << 10},
		"an endless body":        {"HTTP/1.1 200 OK\r\n\r\n", long, 64 << 10},
		"a bomb of gzip":         {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", strings.Repeat("\x00", 64<<10), 64 << 10},
		"endless chunks":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", strings.Repeat("1\r\nx\r\n", 10_000), 64 << 10},
	} {
		first, more := []byte(tt.first), []byte(tt.more)
		rcv := newReceiver(t, func(x exchange) bool {
			_, err := x.Write(first)
			for err == nil {
				_, err = x.Write(more)
			}
			return false
		})
		c := newClient(t, ClientOptions{})
		if os.Getenv(netHTTPEnv) != "" {
			tt.most = 1 << 20 // it keeps every header
		}
		const posts = 20
		var before, after runtime.MemStats
		post(t, c, "http://"+rcv.addr)
		runtime.ReadMemStats(&before)
		for range posts {
			post(t, c, "http://"+rcv.addr)
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / posts; n > tt.most {
			t.Errorf("a POST answered with %s allocates %d bytes, at most %d", what, n, tt.most)
		}
	}
}
