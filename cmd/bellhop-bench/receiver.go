package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// receiverHello says where the receiver listens: the port is the same on every loopback address.
type receiverHello struct {
	Plain int `json:"plain"` // ports
	TLS   int `json:"tls"`   // HTTP/1.1
	HTTP2 int `json:"http2"`
}

// receiverCommand is one command; the zero value asks how many requests there were.
type receiverCommand struct {
	Reset  bool          `json:"reset"`  // forget what came
	Delay  time.Duration `json:"delay"`  // with Reset: between a request and its response
	Report bool          `json:"report"` // tell all that came
	Retry  time.Duration `json:"retry"`  // with Report: the delay of the first retry, by which lateness is judged
	Edge   int           `json:"edge"`   // with Report: how many requests make the first and the last stretch
	Sample bool          `json:"sample"` // the bytes of one request, HTTP/1.1 only
}

// received answers every command; what was not asked for is empty.
type received struct {
	Count  int64   `json:"count"`
	Report arrived `json:"report"`
	Sample []byte  `json:"sample"`
}

// runReceiver is the receiver's process.
func runReceiver(args []string) error {
	flags := flag.NewFlagSet("receiver", flag.ContinueOnError)
	cert := flags.String("cert", "", "PEM file of the certificate")
	key := flags.String("key", "", "PEM file of its key")
	profiles := flags.String("profile", "", "folder for profiles")
	if err := flags.Parse(args); err != nil {
		return usageError{err}
	}
	r := &receiver{}
	hello, err := r.listen(*cert, *key)
	if err != nil {
		return err
	}
	return part[receiverCommand]{hello: hello, profile: *profiles, answer: r.answer}.run()
}

// receiver is the endpoint of every webhook, and of the bare loop: it reads requests off raw connections, notes who came
// when, and answers 200; 503 to what comes to /flaky for the first time.
type receiver struct {
	delay  atomic.Int64
	count  atomic.Int64
	epoch  atomic.Int64 // counts resets
	sample atomic.Pointer[[]byte]

	mu    sync.Mutex
	conns map[*conn]struct{}
	notes []note // of connections that have gone
}

// note is one request.
type note struct {
	id      [16]byte
	at      int64 // nanoseconds since 1970, when it had been read
	sent    int64 // when it was meant to be published; 0 where it does not say
	attempt int32
	flaky   bool
}

func (r *receiver) listen(cert, key string) (receiverHello, error) {
	r.conns = map[*conn]struct{}{}
	var hello receiverHello
	plain, err := listenLoopback()
	if err != nil {
		return hello, err
	}
	hello.Plain = plain.port()
	go r.accept(plain)
	if cert == "" {
		return hello, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return hello, fmt.Errorf("receiver's certificate: %w", err)
	}
	secure, err := listenLoopback()
	if err != nil {
		return hello, err
	}
	hello.TLS = secure.port()
	go r.accept(tls.NewListener(secure, &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"},
	}))
	second, err := listenLoopback()
	if err != nil {
		return hello, err
	}
	hello.HTTP2 = second.port()
	server := &http.Server{
		Handler: http.HandlerFunc(r.http2), ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}},
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 4096},
	}
	go func() { _ = server.ServeTLS(second, "", "") }() // ends with the process
	return hello, nil
}

// loopback is a listener on every loopback address, of which there are 16 million, and on no other.
type loopback struct{ net.Listener }

// listenLoopback listens on the wildcard address, since no other covers 127.0.0.0/8; who comes from elsewhere is turned away.
func listenLoopback() (loopback, error) {
	l, err := net.Listen("tcp4", ":0") //nolint:gosec // G102: Accept takes loopback alone
	if err != nil {
		return loopback{}, fmt.Errorf("receiver: %w", err)
	}
	return loopback{l}, nil
}

func (l loopback) port() int { return l.Addr().(*net.TCPAddr).Port }

// Accept returns the next connection to a loopback address.
func (l loopback) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if local, ok := c.LocalAddr().(*net.TCPAddr); ok && local.IP.IsLoopback() {
			return c, nil
		}
		_ = c.Close()
	}
}

func (r *receiver) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Too many open files, say: those that are open go on.
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go r.serve(c)
	}
}

// conn is one connection's notes: a list of its own, so that connections do not wait for each other.
type conn struct {
	mu    sync.Mutex
	epoch int64
	notes []note
}

func (c *conn) add(n note, epoch int64) {
	c.mu.Lock()
	if c.epoch != epoch {
		c.epoch, c.notes = epoch, nil
	}
	c.notes = append(c.notes, n)
	c.mu.Unlock()
}

// open enters a connection whose notes count.
func (r *receiver) open() *conn {
	c := &conn{epoch: r.epoch.Load()}
	r.mu.Lock()
	r.conns[c] = struct{}{}
	r.mu.Unlock()
	return c
}

// leave keeps the notes of a connection that has gone.
func (r *receiver) leave(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
	if c.epoch == r.epoch.Load() {
		r.notes = append(r.notes, c.notes...)
	}
}

// take notes a request and tells the status of its answer, once the delay is over.
func (r *receiver) take(c *conn, n note) int {
	n.at = time.Now().UnixNano()
	c.add(n, r.epoch.Load())
	r.count.Add(1)
	if delay := r.delay.Load(); delay > 0 {
		time.Sleep(time.Duration(delay))
	}
	if n.flaky && n.attempt == 1 {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

// http2 is the same for HTTP/2, by net/http.
func (r *receiver) http2(w http.ResponseWriter, req *http.Request) {
	defer func() { _ = req.Body.Close() }()
	body := make([]byte, max(req.ContentLength, 0))
	for n := 0; n < len(body); {
		m, err := req.Body.Read(body[n:])
		if n += m; err != nil && n < len(body) {
			return
		}
	}
	n := note{attempt: number32(req.Header.Get("webhook-attempt")), flaky: strings.HasPrefix(req.URL.Path, flakyPath), sent: sentIn(body)}
	if !parseID(&n.id, req.Header.Get("webhook-id")) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	// A connection of its own for each request: streams share one.
	c := r.open()
	status := r.take(c, n)
	r.leave(c)
	w.Header()["Date"] = nil
	w.WriteHeader(status)
	_, _ = w.Write([]byte(answerBody)) // the peer may have gone
}

func (r *receiver) answer(c receiverCommand) (any, error) {
	if c.Reset {
		r.mu.Lock()
		r.delay.Store(int64(c.Delay))
		r.epoch.Add(1)
		r.count.Store(0)
		r.notes = nil
		r.sample.Store(nil)
		r.mu.Unlock()
	}
	a := received{Count: r.count.Load()}
	if c.Report {
		a.Report = arrivedOf(r.all(), c.Retry, c.Edge)
	}
	if p := r.sample.Load(); c.Sample && p != nil {
		a.Sample = *p
	}
	return a, nil
}

// all copies the notes since the last reset.
func (r *receiver) all() []note {
	r.mu.Lock()
	defer r.mu.Unlock()
	epoch := r.epoch.Load()
	notes := append([]note(nil), r.notes...)
	for c := range r.conns {
		c.mu.Lock()
		if c.epoch == epoch {
			notes = append(notes, c.notes...)
		}
		c.mu.Unlock()
	}
	return notes
}
