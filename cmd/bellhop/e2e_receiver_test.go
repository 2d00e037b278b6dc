package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// receiver is a webhook's receiver that keeps the bytes of each request as they came over the wire.
type receiver struct {
	url string

	mu     sync.Mutex
	got    []*posted
	answer func(n int, p *posted) reply // n counts from 1; nil answers 200
	conns  map[net.Conn]bool
	closed chan struct{} // at the test's end
}

// posted is one request.
type posted struct {
	at       time.Time // when it had come whole
	answered time.Time // before the answer was written
	line     string    // the request line
	headers  []string  // in their order, as written
	body     string
}

// reply is an answer.
type reply struct {
	status  string // "503 Service Unavailable"; "" is "200 OK"
	headers []string
	body    string
	after   <-chan struct{} // answer only then; nil: at once
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{url: "http://" + l.Addr().String(), conns: map[net.Conn]bool{}, closed: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			select {
			case <-r.closed:
				_ = c.Close()
			default:
			}
			r.conns[c] = true
			r.mu.Unlock()
			wg.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		close(r.closed)
		for c := range r.conns {
			_ = c.Close()
		}
		r.mu.Unlock()
		wg.Wait()
	})
	return r
}

// answers sets how requests are answered from now on.
func (r *receiver) answers(answer func(n int, p *posted) reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		p := &posted{}
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		p.line = strings.TrimSuffix(line, "\r\n")
		length := 0
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line = strings.TrimSuffix(line, "\r\n"); line == "" {
				break
			}
			p.headers = append(p.headers, line)
			if name, value, _ := strings.Cut(line, ": "); strings.EqualFold(name, "Content-Length") {
				length, _ = strconv.Atoi(value)
			}
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		p.body, p.at = string(body), time.Now()
		r.mu.Lock()
		r.got = append(r.got, p)
		n, answer := len(r.got), r.answer
		r.mu.Unlock()
		a := reply{}
		if answer != nil {
			a = answer(n, p)
		}
		if a.after != nil {
			select {
			case <-a.after:
			case <-r.closed:
				return
			}
		}
		if a.status == "" {
			a.status = "200 OK"
		}
		head := fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n", a.status, len(a.body))
		for _, h := range a.headers {
			head += h + "\r\n"
		}
		r.mu.Lock()
		p.answered = time.Now()
		r.mu.Unlock()
		if _, err := io.WriteString(c, head+"\r\n"+a.body); err != nil {
			return
		}
	}
}

// requests returns what came so far.
func (r *receiver) requests() []posted {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]posted, len(r.got))
	for i, p := range r.got {
		list[i] = *p
	}
	return list
}

// wait waits until so many requests have come, and returns them.
func (r *receiver) wait(w *world, n int, within time.Duration) []posted {
	w.Helper()
	w.until(within, fmt.Sprintf("%d requests have come", n), func() bool { return len(r.requests()) >= n })
	return r.requests()
}

// header returns a header's value; "" where it is not there.
func (p posted) header(name string) string {
	for _, h := range p.headers {
		if n, value, _ := strings.Cut(h, ": "); strings.EqualFold(n, name) {
			return value
		}
	}
	return ""
}
