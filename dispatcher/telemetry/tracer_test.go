package telemetry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"bellhop/dispatcher/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counts are what became of spans.
type counts struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counts) add(result string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[result] += n
}

// open makes a tracer that exports to a collector which answers as said, and counts the spans that it was sent.
func open(t *testing.T, ratio float64, answer func(n int) int) (tracer *Tracer, c *counts, sent func() int) {
	t.Helper()
	var mu sync.Mutex
	requests, spans := 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		if err != nil || r.URL.Path != "/base/v1/traces" {
			t.Errorf("export to %s: %v", r.URL, err)
		}
		mu.Lock()
		defer mu.Unlock()
		requests++
		status := answer(requests)
		if status == http.StatusOK {
			for _, rs := range data.ResourceSpans {
				for _, ss := range rs.ScopeSpans {
					spans += len(ss.Spans)
				}
			}
		}
		w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	c = &counts{}
	tracer, err := Open(Options{
		Endpoint: server.URL + "/base/", Service: "bellhop", Version: "v1", Node: "here", Ratio: ratio, Count: c.add, Log: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return tracer, c, func() int {
		mu.Lock()
		defer mu.Unlock()
		return spans
	}
}

// shut exports what is queued.
func shut(t *testing.T, tracer *Tracer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := tracer.Close(ctx); err != nil {
		t.Errorf("Close = %v", err)
	}
}

// TestExport counts what becomes of spans, by what the collector answers.
func TestExport(t *testing.T) {
	for name, c := range map[string]struct {
		answer           func(n int) int
		exported, failed int
	}{
		"taken":           {func(int) int { return 200 }, 3, 0},
		"busy once":       {func(n int) int { return []int{503, 200}[min(n, 2)-1] }, 3, 0},
		"refused":         {func(int) int { return 401 }, 0, 3},
		"sent elsewhere":  {func(int) int { return 307 }, 0, 3},
		"always too busy": {func(int) int { return 429 }, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, counts, sent := open(t, 1, c.answer)
			for range 3 {
				s := tracer.Attempt(nil, Attempt{Delivery: "d", Endpoint: "https://crm.example.com/${TOKEN}", Run: 1, Attempt: 1}, time.Now())
				s.Answered(503, "status", "503 Service Unavailable")
				s.End(time.Now())
			}
			shut(t, tracer)
			if n := counts.n; n[Made] != 3 || n[Exported] != c.exported || n[Failed] != c.failed || sent() != c.exported {
				t.Errorf("%v, and %d came; want 3 made, %d exported, %d failed", n, sent(), c.exported, c.failed)
			}
		})
	}
}

// TestSampling leaves it to who began a trace whether it is exported, and to the ratio for those that begin here.
func TestSampling(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	tracer, counts, _ := open(t, 0, func(int) int { return 200 })
	for flags, want := range map[string]string{"01": "01", "00": "00"} {
		s := tracer.Attempt(&trace.Context{Parent: "00-" + id + "-b7ad6b7169203331-" + flags, State: "a=1"}, Attempt{}, time.Now())
		c := s.Context()
		if c.Valid() == nil || c.Parent[3:35] != id || c.Parent[36:52] == "b7ad6b7169203331" || c.Parent[53:] != want || c.State != "a=1" {
			t.Errorf("below flags %s: context %+v, want a child of %s with flags %s", flags, c, id, want)
		}
		s.End(time.Now())
	}
	s := tracer.Begin(Event{ID: "1", Type: "course.completed", Stream: "EVENTS"}, time.Now())
	if c := s.Context(); c.Valid() == nil || c.Parent[53:] != "00" && c.Parent[53:] != "02" {
		t.Errorf("a trace that begins here with a ratio of 0 has context %+v, want one that is not sampled", c)
	}
	s.End(time.Now())
	shut(t, tracer)
	if counts.n[Made] != 1 {
		t.Errorf("%v, want the one span of the sampled trace", counts.n)
	}
	if c := (Span{}).Context(); c != nil {
		t.Errorf("context of no span = %+v", c)
	}
}
