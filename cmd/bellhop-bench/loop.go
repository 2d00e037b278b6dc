package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// loopOrder is what the bare loop is to do: it reads it from its standard input.
type loopOrder struct {
	URLs    []string      `json:"urls"` // in turn
	Workers int           `json:"workers"`
	For     time.Duration `json:"for"`
	Headers [][2]string   `json:"headers"` // as they go out; webhook-id gets a value of its own each time
	Body    []byte        `json:"body"`
}

// loopDone is what it did: it writes it to its standard output.
type loopDone struct {
	Done   int64  `json:"done"`
	Failed int64  `json:"failed"`
	Error  string `json:"error"` // the first
	CPU    usage  `json:"usage"`
	Alloc  uint64 `json:"alloc"`
}

// runLoop is the bare loop's process: it does nothing but POST the same bytes with net/http's client.
func runLoop(args []string) error {
	return errand("loop", args, func(o loopOrder) (done loopDone, err error) {
		if len(o.URLs) == 0 || o.Workers < 1 {
			return done, errors.New("the order names no URL or no workers")
		}
		done = o.run()
		done.CPU, done.Alloc, err = spent()
		return done, err
	})
}

func (o loopOrder) run() loopDone {
	transport := &http.Transport{
		MaxIdleConns: 2 * o.Workers, MaxIdleConnsPerHost: o.Workers, DisableCompression: true, ForceAttemptHTTP2: true,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var d loopDone
	var next, done, failed atomic.Int64
	var once sync.Once
	end := time.Now().Add(o.For)
	var over atomic.Bool
	timer := time.AfterFunc(time.Until(end), func() { over.Store(true) })
	defer timer.Stop()
	var wg sync.WaitGroup
	for range o.Workers {
		wg.Go(func() {
			for !over.Load() {
				n := next.Add(1)
				if err := o.post(client, o.URLs[int(n)%len(o.URLs)], n); err != nil {
					failed.Add(1)
					once.Do(func() { d.Error = err.Error() })
					continue
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	d.Done, d.Failed = done.Load(), failed.Load()
	return d
}

func (o loopOrder) post(client *http.Client, url string, n int64) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(o.Body))
	if err != nil {
		return err
	}
	for _, h := range o.Headers {
		req.Header[h[0]] = []string{h[1]}
	}
	req.Header["webhook-id"] = []string{deliveryID(n)}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return err
}
