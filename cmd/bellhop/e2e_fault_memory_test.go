package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// memoryBound is what a daemon with an external server may use, whatever waits and whoever answers: a promise of docs/reliability.md.
const memoryBound = 256 << 20

// memory puts all on a daemon that could make it grow: a backlog for an endpoint that hangs, retries in the far future, many
// endpoints, and receivers that send without end.
func memory(w *world) {
	// A hostile endpoint that fails for long gets four calls at a time, of three seconds each.
	waiting, retries, endpoints, attacks := scale(5000, 1_000_000), scale(2000, 200_000), scale(200, 10_000), scale(20, 300)
	hung := newWitness(w.T, func(*call) answer { return answer{never: true} })
	failing := newQuiet(w, http.StatusServiceUnavailable)
	many := newQuiet(w, http.StatusOK)
	var rules strings.Builder
	rule := func(on, endpoint, more string) {
		fmt.Fprintf(&rules, "  - {name: r-%s, on: m.%s, webhooks: [{endpoint: %q, parameters: {n: \"@n\"}%s}]}\n", on, on, endpoint, more)
	}
	rules.WriteString("rules:\n")
	rule("hung", hung.url, "")
	rule("failing", failing.url("127.0.0.1"), "")
	for i := range endpoints {
		rule(fmt.Sprintf("e%d", i), many.url(fmt.Sprintf("127.%d.%d.%d", 1+i/65536, i/256%256, i%256)), "")
	}
	hostile := newHostile(w)
	for name, url := range hostile {
		rule(name, url, ", timeout: 3s, retries: 0")
	}
	w.rules(rules.String())
	d := w.daemonNamed("a", "--delivery.initial_delay", "1h", "--delivery.timeout", "5s")
	idle := memoryNow(d.process)
	peaks := []string{fmt.Sprintf("idle %d MB", idle>>20)}
	measure := func(what string) {
		now, peak := memoryNow(d.process), peakMemory(d.process)
		peaks = append(peaks, fmt.Sprintf("%s %d MB", what, peak>>20))
		w.Logf("%s: now %d MB, peak %d MB", what, now>>20, peak>>20)
		if peak > memoryBound {
			w.Errorf("%s: the daemon has used %d MB, want %d MB at most", what, peak>>20, memoryBound>>20)
		}
	}
	// Hostile receivers, each with as many calls at a time as an endpoint may have.
	from := 100_000_000 // numbers are events' ids: each load has its own
	for name := range hostile {
		w.publishNumbered("events.m."+name, from, from+attacks, 0).wait(time.Minute)
		from += attacks
	}
	w.until(scale(time.Minute, 15*time.Minute), "the hostile receivers' deliveries have ended", func() bool {
		return w.settledSubject("webhooks.*.m.>") >= attacks*len(hostile)
	})
	measure(fmt.Sprintf("%d calls of hostile receivers", attacks*len(hostile)))
	// Many endpoints.
	js, err := jetstream.New(w.nc, jetstream.WithPublishAsyncMaxPending(1024))
	if err != nil {
		w.Fatal(err)
	}
	for i := range endpoints {
		if _, err := js.PublishAsync(fmt.Sprintf("events.m.e%d", i), fmt.Appendf(nil, `{"n":%d}`, i)); err != nil {
			w.Fatal(err)
		}
	}
	w.until(3*time.Minute, "all endpoints were called", func() bool { return many.calls() >= endpoints })
	measure(fmt.Sprintf("%d endpoints", endpoints))
	// Retries scheduled.
	w.publishNumbered("events.m.failing", 0, retries, 0).wait(5 * time.Minute)
	w.until(5*time.Minute, "all retries are scheduled", func() bool { return failing.calls() >= retries && w.waiting() >= retries })
	measure(fmt.Sprintf("%d retries scheduled", retries))
	// A backlog for an endpoint that hangs.
	w.publishNumbered("events.m.hung", 1_000_000_000, 1_000_000_000+waiting, 0).wait(10 * time.Minute)
	w.until(10*time.Minute, "the backlog waits for its endpoint", func() bool { return w.waiting() >= retries+waiting*9/10 })
	measure(fmt.Sprintf("%d events waiting", waiting))
	// A start with all of that on the bus.
	d.stop(sigkill)
	began := time.Now()
	d = w.daemonNamed("a", "--delivery.initial_delay", "1h", "--delivery.timeout", "5s")
	ready := time.Since(began)
	w.pause(scale(time.Second, 10*time.Second))
	measure("started again with all of it waiting")
	w.table.add(faultRow{
		scenario: w.scenario, events: waiting + retries + endpoints + attacks*len(hostile), faults: len(hostile),
		note: fmt.Sprintf("peak so far: %s (bound %d MB); ready again after %s", strings.Join(peaks, ", "), memoryBound>>20, ready.Round(10*time.Millisecond)),
	})
	d.stop(sigkill)
}

// settledSubject counts outcomes by subject.
func (w *world) settledSubject(filter string) int {
	s, err := w.js.Stream(w.Context(), "WEBHOOKS")
	if err != nil {
		return -1
	}
	info, err := s.Info(w.Context(), jetstream.WithSubjectFilter(filter))
	if err != nil {
		return -1
	}
	n := uint64(0)
	for _, had := range info.State.Subjects {
		n += had
	}
	return int(n)
}

// memoryNow is the memory that a process has now, in bytes.
func memoryNow(p *process) int64 { return memoryOf(p, "VmRSS:") }

// quiet is a receiver on every loopback address that only counts.
type quiet struct {
	port string
	mu   sync.Mutex
	n    int
}

func newQuiet(w *world, status int) *quiet {
	w.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		w.Fatal(err)
	}
	q := &quiet{}
	_, q.port, _ = net.SplitHostPort(l.Addr().String())
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		q.mu.Lock()
		q.n++
		q.mu.Unlock()
		rw.WriteHeader(status)
	})}}
	s.Start()
	w.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return q
}

func (q *quiet) url(host string) string { return "http://" + net.JoinHostPort(host, q.port) + "/" }

func (q *quiet) calls() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n
}

// newHostile starts receivers that want to fill the caller's memory or to hold it for ever, and returns their endpoints.
func newHostile(w *world) map[string]string {
	w.Helper()
	line := strings.Repeat("x", 4000)
	bomb := func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
		pr, pw := io.Pipe()
		go func() {
			z := gzip.NewWriter(pw)
			_, err := io.CopyN(z, zeros{}, 10<<30)
			_ = pw.CloseWithError(err)
		}()
		defer pr.Close()
		b := make([]byte, 4096)
		for {
			n, err := pr.Read(b)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", n, b[:n]); err != nil {
				return
			}
		}
	}
	kinds := map[string]func(net.Conn){
		"headers": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(c, "X-%d: %s\r\n", i, line); err != nil {
					return
				}
			}
		},
		"oneheader": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Long: ")
			for {
				if _, err := io.WriteString(c, line); err != nil {
					return
				}
			}
		},
		"statusline": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 ")
			for {
				if _, err := io.WriteString(c, line); err != nil {
					return
				}
			}
		},
		"informational": func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"); err != nil {
					return
				}
			}
		},
		"body": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := io.WriteString(c, line); err != nil {
					return
				}
			}
		},
		"chunk": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")
			for {
				if _, err := io.WriteString(c, line); err != nil {
					return
				}
			}
		},
		"bomb": bomb,
		"slow": func(c net.Conn) {
			for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + line) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second) // what makes this receiver hostile
			}
		},
	}
	urls := map[string]string{}
	for name, answer := range kinds {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		open := map[net.Conn]bool{}
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				mu.Lock()
				open[c] = true
				mu.Unlock()
				wg.Go(func() {
					defer c.Close()
					if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
						answer(c)
					}
				})
			}
		})
		w.Cleanup(func() {
			l.Close()
			mu.Lock()
			for c := range open {
				c.Close()
			}
			mu.Unlock()
			wg.Wait()
		})
		urls[name] = "http://" + l.Addr().String() + "/"
	}
	return urls
}
