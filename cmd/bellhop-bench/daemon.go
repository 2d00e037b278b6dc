package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// daemonOptions says how a daemon is to run.
type daemonOptions struct {
	binary  string // "" means the one measured
	rules   string // rule file
	workers int    // 0 means 256; as many go to one endpoint
	flags   []string
}

// daemon is one bellhop serve.
type daemon struct {
	*process
	console string
	ready   time.Duration // from its start to the first 200 of /readyz
}

// readyWithin bounds a daemon's start.
const readyWithin = 2 * time.Minute

// serve starts a daemon and waits until it is ready.
func (b *bench) serve(ctx context.Context, o daemonOptions) (*daemon, error) {
	b.runs++
	name := "daemon-" + strconv.Itoa(b.runs)
	binary, err := filepath.Abs(cmp.Or(o.binary, b.o.bellhop))
	if err != nil {
		return nil, fmt.Errorf("find bellhop: %w", err)
	}
	workers := strconv.Itoa(cmp.Or(o.workers, 256))
	args := append([]string{
		"serve", "--nats.url", b.url, "--rules", o.rules, "--data_dir", filepath.Join(b.dir, name), "--node", name,
		"--events.start", "all", "--console.listen", "127.0.0.1:0", "--log.format", "json",
		"--delivery.allow_networks", "127.0.0.0/8", "--delivery.workers", workers, "--delivery.per_endpoint", workers,
	}, o.flags...)
	if b.o.profile != "" {
		args = append(args, "--profile", filepath.Join(b.o.profile, "daemon"))
	}
	cmd := exec.Command(binary, args...) //nolint:gosec // G702: the binary that is to be measured
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+b.ca)
	began := time.Now()
	d := &daemon{process: &process{name: name, cmd: cmd, exited: make(chan struct{})}}
	running := make(chan string, 1)
	var once sync.Once
	d.log.line = func(line []byte) {
		var l struct{ Msg, Console string }
		if json.Unmarshal(line, &l) == nil && l.Msg == "bellhop is running" {
			once.Do(func() { running <- l.Console })
		}
	}
	if err := d.start(); err != nil {
		return nil, err
	}
	select {
	case d.console = <-running:
	case <-d.exited:
		return nil, d.failed(errors.New("ended at its start"))
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), d.stop())
	case <-time.After(readyWithin):
		return nil, errors.Join(fmt.Errorf("%s is not running after %s", name, readyWithin), d.stop())
	}
	for {
		if resp, err := d.get(ctx, "/readyz"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Since(began) > readyWithin {
			return nil, errors.Join(fmt.Errorf("%s is not ready after %s", name, readyWithin), d.stop())
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return nil, errors.Join(err, d.stop())
		}
	}
	d.ready = time.Since(began)
	return d, nil
}

// get asks the console; the caller closes the body.
func (d *daemon) get(ctx context.Context, path string) (*http.Response, error) {
	url := strings.TrimRight(d.console, "/") + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody) //nolint:gosec // G704: the daemon says where it listens
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return client.Do(req) //nolint:gosec // G704: as above
}

// figures are what the daemon's metrics tell of its life so far.
type figures struct {
	Bytes   float64 // allocated
	Objects float64
	Parked  float64 // attempts that waited on the bus for room in their lane
}

// figures asks the daemon's metrics.
func (d *daemon) figures(ctx context.Context) (f figures, err error) {
	resp, err := d.get(ctx, "/metrics")
	if err != nil {
		return f, fmt.Errorf("%s: %w", d.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	want := map[string]*float64{
		"go_memstats_alloc_bytes_total": &f.Bytes, "go_memstats_mallocs_total": &f.Objects, "bellhop_parked_total": &f.Parked,
	}
	found := 0
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		to := want[name]
		if to == nil {
			continue
		}
		found++
		if *to, err = strconv.ParseFloat(value, 64); err != nil {
			return f, fmt.Errorf("%s: %s: %w", d.name, name, err)
		}
	}
	if found < len(want) {
		return f, errors.Join(fmt.Errorf("%s: its metrics lack some of %d", d.name, len(want)), lines.Err())
	}
	return f, nil
}
