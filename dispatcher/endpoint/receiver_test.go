package endpoint

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// receiver is a raw TCP server that does to each connection what it is told, one request at a time.
type receiver struct {
	addr  string
	conns atomic.Int64

	mu   sync.Mutex
	seen []string // requests, as they came
}

// exchange is one request to a receiver.
type exchange struct {
	net.Conn
	request string // head and body as they came
	gone    <-chan struct{}
}

// newReceiver serves until the test ends. answer returns whether the connection stays open for another request.
func newReceiver(t testing.TB, answer func(x exchange) bool) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{addr: l.Addr().String()}
	gone := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.conns.Add(1)
			wg.Go(func() {
				defer conn.Close()
				stop := context.AfterFunc(t.Context(), func() { _ = conn.Close() })
				defer stop()
				r.serve(conn, gone, answer)
			})
		}
	})
	t.Cleanup(func() {
		close(gone)
		_ = l.Close()
		wg.Wait()
	})
	return r
}

func (r *receiver) serve(conn net.Conn, gone <-chan struct{}, answer func(exchange) bool) {
	br := bufio.NewReader(conn)
	for {
		var b strings.Builder
		length := 0
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			b.WriteString(line)
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
			if line == "\r\n" {
				break
			}
		}
		if _, err := io.CopyN(&b, br, int64(length)); err != nil {
			return
		}
		r.mu.Lock()
		r.seen = append(r.seen, b.String())
		r.mu.Unlock()
		if !answer(exchange{conn, b.String(), gone}) {
			return
		}
	}
}

func (r *receiver) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.seen...)
}

// say answers with the same bytes each time and keeps the connection.
func say(answer string) func(exchange) bool {
	return func(x exchange) bool {
		_, err := io.WriteString(x, answer)
		return err == nil
	}
}

// hang answers with some bytes and then with silence.
func hang(answer string) func(exchange) bool {
	return func(x exchange) bool {
		_, _ = io.WriteString(x, answer)
		<-x.gone
		return false
	}
}
