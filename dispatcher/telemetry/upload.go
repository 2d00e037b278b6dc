package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

const (
	// exportWithin bounds one export, its repetitions included.
	exportWithin = 10 * time.Second
	// tries is how often an export is made where the collector is busy.
	tries = 3
	// sayAgain is how long a collector that does not answer is not complained of again.
	sayAgain = time.Minute
	// tracesPath is where collectors take traces (OTLP/HTTP).
	tracesPath = "/v1/traces"
)

// uploader is the client of a collector. It implements otlptrace.Client: theirs over HTTP brings all of gRPC along.
type uploader struct {
	o      Options
	url    string
	client *http.Client

	mu   sync.Mutex
	said time.Time // zero: all is well
}

func newUploader(o Options) (*uploader, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("telemetry.otlp_endpoint: %w", err)
	}
	if base := strings.TrimSuffix(u.Path, "/"); !strings.HasSuffix(base, tracesPath) {
		u.Path = base + tracesPath
	}
	return &uploader{o: o, url: u.String(), client: &http.Client{
		// The environment's proxies are not used, as for webhooks.
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Start implements otlptrace.Client.
func (u *uploader) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (u *uploader) Stop(context.Context) error { return nil }

// UploadTraces implements otlptrace.Client. What fails is counted and said here, and is no error of the caller's.
func (u *uploader) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	n := 0
	for _, r := range spans {
		for _, s := range r.GetScopeSpans() {
			n += len(s.GetSpans())
		}
	}
	err := u.export(ctx, spans)
	if err != nil {
		u.o.Count(Failed, n)
	} else {
		u.o.Count(Exported, n)
	}
	u.say(err)
	return nil
}

// export sends one batch, again where the collector is busy.
func (u *uploader) export(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// TracesData is on the wire what ExportTraceServiceRequest is.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode traces: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, exportWithin)
	defer cancel()
	for try := 1; ; try++ {
		wait, err := u.post(ctx, body)
		if err == nil || wait == 0 || try == tries {
			return err
		}
		timer := time.NewTimer(wait * time.Duration(try))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// post sends a batch once. Where it fails in a way that may pass it says how long to wait.
func (u *uploader) post(ctx context.Context, body []byte) (again time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("export traces: %w", err)
	}
	for name, value := range u.o.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "bellhop/"+u.o.Version)
	resp, err := u.client.Do(req)
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return time.Second, fmt.Errorf("export traces to %s: %w", req.URL.Host, err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode/100 == 2 {
		return 0, nil
	}
	err = fmt.Errorf("export traces to %s: %s", req.URL.Host, resp.Status)
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return max(time.Second, time.Duration(min(max(seconds, 0), 60))*time.Second), err
	}
	return 0, err
}

// say logs that exports fail, not each time, and that they no longer do.
func (u *uploader) say(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil && !u.said.IsZero():
		u.said = time.Time{}
		u.o.Log.Info("traces are exported again")
	case err != nil && (u.said.IsZero() || now.Sub(u.said) > sayAgain):
		u.said = now
		u.o.Log.Warn("traces are not exported, and go", zap.Error(err))
	}
}
