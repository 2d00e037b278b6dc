package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// partner is one system that the demo's webhooks go to. Each has a port of its own, and so a lane of its own: what one of them
// gets wrong holds up none of the others.
type partner struct {
	name    string
	address string // as the rule files have it; the real port is put in its place
	mishaps []mishap
	signed  bool // requests without a right signature get a 401
}

// mishap makes some of a partner's deliveries go wrong. Which ones is counted, not drawn, so that every demo shows them all.
type mishap struct {
	nth, every int // the nth delivery that arrives, from 1, then each one so many later; every 0: once
	attempts   int // how many attempts of it go wrong; 0: all
	status     int
	retryAfter int  // seconds; 0 sends no Retry-After
	hang       bool // answers nothing, until the caller gives up
}

// hits tells whether an attempt of the nth delivery goes wrong.
func (m mishap) hits(nth, attempt int) bool {
	if m.attempts > 0 && attempt > m.attempts {
		return false
	}
	return nth == m.nth || m.every > 0 && nth > m.nth && (nth-m.nth)%m.every == 0
}

// partners lists whom the demo's rules call.
var partners = []partner{
	{name: "crm", address: "127.0.0.1:18001", mishaps: []mishap{{nth: 2, attempts: 1, status: http.StatusServiceUnavailable, retryAfter: 1}}},
	{name: "badges", address: "127.0.0.1:18002", mishaps: []mishap{{nth: 1, every: 3, attempts: 1, status: http.StatusInternalServerError}}},
	{name: "lms", address: "127.0.0.1:18003", mishaps: []mishap{{nth: 3, every: 6, attempts: 1, status: http.StatusTooManyRequests}}},
	{name: "scores", address: "127.0.0.1:18004", mishaps: []mishap{{nth: 1, attempts: 1, hang: true}}},
	{name: "audit", address: "127.0.0.1:18005", signed: true, mishaps: []mishap{{nth: 2, every: 8, attempts: 2, status: http.StatusServiceUnavailable}}},
	{name: "legacy", address: "127.0.0.1:18006", mishaps: []mishap{{nth: 1, every: 1, status: http.StatusNotFound}}},
}

// received is one request as the receiver got it.
type received struct {
	partner string
	id      string // webhook-id
	attempt int
	target  string // path and query, as they came
	body    string
	status  int // that it is answered with; 0: with nothing
}

// demoReceiver is all partners in one: HTTP servers on free ports of 127.0.0.1.
type demoReceiver struct {
	key     []byte            // of the signatures
	seen    func(received)    // called before the answer goes out, concurrently
	ports   *strings.Replacer // partner addresses as the rule files have them, to the real ones
	servers []*http.Server
	closing chan struct{} // closed to end what hangs
	wg      sync.WaitGroup

	mu    sync.Mutex
	order map[string]map[string]int // by partner: its delivery ids, numbered as they came
}

// maxDemoBody bounds what is read of a request, in bytes.
const maxDemoBody = 1 << 20

// openReceiver listens for every partner. Close ends it.
func openReceiver(key []byte, seen func(received)) (*demoReceiver, error) {
	r := &demoReceiver{key: key, seen: seen, closing: make(chan struct{}), order: map[string]map[string]int{}}
	var ports []string
	for _, p := range partners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("a port for the demo's receiver %s: %w", p.name, err), r.Close())
		}
		ports = append(ports, p.address, l.Addr().String())
		r.order[p.name] = map[string]int{}
		srv := &http.Server{
			Handler:           http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.serve(p, w, q) }),
			ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		}
		r.servers = append(r.servers, srv)
		r.wg.Go(func() { _ = srv.Serve(l) }) // ends with Close, and with nothing else that could be mended
	}
	r.ports = strings.NewReplacer(ports...)
	return r, nil
}

// serve takes one request.
func (r *demoReceiver) serve(p partner, w http.ResponseWriter, q *http.Request) {
	// Read to its end first: only then does the server notice a caller that gives up.
	body, err := io.ReadAll(io.LimitReader(q.Body, maxDemoBody))
	if err != nil {
		http.Error(w, "the body did not come whole", http.StatusBadRequest)
		return
	}
	got := received{partner: p.name, id: q.Header.Get("webhook-id"), target: q.URL.RequestURI(), body: string(body), status: http.StatusOK}
	if got.attempt, err = strconv.Atoi(q.Header.Get("webhook-attempt")); err != nil || got.id == "" {
		http.Error(w, "no webhook-id and webhook-attempt: not one of Bellhop's", http.StatusBadRequest)
		return
	}
	m := r.mishap(p, got)
	got.status = m.status
	if p.signed && !signedWith(r.key, q.Header, body) {
		m, got.status = mishap{}, http.StatusUnauthorized
	}
	r.seen(got)
	if m.hang {
		select {
		case <-q.Context().Done():
		case <-r.closing:
		}
		return
	}
	if m.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(m.retryAfter))
	}
	w.WriteHeader(got.status)
	fmt.Fprintf(w, "%s: %s\n", p.name, http.StatusText(got.status))
}

// mishap is what goes wrong with an attempt; a 200 where nothing does.
func (r *demoReceiver) mishap(p partner, got received) mishap {
	r.mu.Lock()
	nth, known := r.order[p.name][got.id]
	if !known {
		nth = len(r.order[p.name]) + 1
		r.order[p.name][got.id] = nth
	}
	r.mu.Unlock()
	for _, m := range p.mishaps {
		if m.hits(nth, got.attempt) {
			return m
		}
	}
	return mishap{status: http.StatusOK}
}

// signedWith checks a signature as a receiver does (Standard Webhooks, "Verifying signatures").
func signedWith(key []byte, h http.Header, body []byte) bool {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", h.Get("webhook-id"), h.Get("webhook-timestamp"), body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for one := range strings.FieldsSeq(h.Get("webhook-signature")) {
		if hmac.Equal([]byte(one), []byte(want)) {
			return true
		}
	}
	return false
}

// Close ends what hangs, lets the rest end for a moment, and stops listening.
func (r *demoReceiver) Close() error {
	close(r.closing)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var errs []error
	for _, srv := range r.servers {
		if err := srv.Shutdown(ctx); err != nil {
			errs = append(errs, srv.Close())
		}
	}
	r.wg.Wait()
	return errors.Join(errs...)
}
